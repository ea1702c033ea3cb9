#!/usr/bin/env bats
# bd-init, bd-subln and bd-info make, change, describe and compare models; and how they handle bad files.

bats_require_minimum_version 1.5.0

setup() {
	configs=$BATS_TEST_DIRNAME/../../examples/configs
	cd "$BATS_TEST_TMPDIR" || return 1
}

# One example of three tokens with label 1; these bytes pin the format.
stream() {
	base64 -d <<-'END'
		haJiZKhleGFtcGxlc6d2ZXJzaW9uAal0b2tlbml6ZXLZIDAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmpXZvY2FiCKdj
		aG9pY2VzkgMEhKFpAKNpZHPEDAEAAAACAAAABAAAAKZ0YXJnZXTEAwAAAaVsYWJlbAGDo2VuZMOncmVjb3JkcwGlY2hlY2vPlQwe
		szW5zb0=
	END
}

# patch FILE OFFSET BYTES: overwrites bytes in place.
patch() {
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

@test "bd-init: the same seed makes the same model, another seed a different one" {
	bd-init "$configs/tiny-llama.json" -o a
	bd-init "$configs/tiny-llama.json" -o b
	bd-init "$configs/tiny-llama.json" -o c -s 2
	cmp a/model.safetensors b/model.safetensors
	run cmp -s a/model.safetensors c/model.safetensors
	[ "$status" -eq 1 ]
}

@test "bd-init: the result does not depend on the threads; every example config works with bd-subln, bd-info and bd-eval" {
	printf 'the quick brown fox jumps over the lazy dog\n' >text
	tok=$BATS_TEST_DIRNAME/../golden/tok-bytes.json
	bd-data -q --text --format lines --eos 0 --tokenizer "$tok" -o text.bds text
	for config in "$configs"/*.json; do
		bd-init -q -f -t 1 "$config" --tokenizer "$tok" -o a
		bd-init -q -f -t 3 "$config" --tokenizer "$tok" -o b
		cmp a/model.safetensors b/model.safetensors
		bd-subln -q -f a -o s
		bd-info s | grep -q '^norms: subln$'
		bd-eval -q --ternary s text.bds | grep -q '"nll"'
	done
}

@test "bd-init: the number of parameters is right, and --dtype halves the file" {
	bd-init "$configs/tiny-qwen3.json" -o a
	bd-init "$configs/tiny-qwen3.json" -o b --dtype bf16
	run bd-info a
	[ "$status" -eq 0 ]
	# 512 x 128 embedding, 2 layers of (256 + 128 + 128) x 128 + 128 x 256 + 3 x 384 x 128 and 2 x 128 + 2 x 64 gains, 128 gains
	[[ "$output" == *"parameters: 557952"* ]]
	[[ "$output" == *"linear_parameters: 491520"* ]]
	[[ "$output" == *"bytes: 2231808"* ]]
	run bd-info b
	[[ "$output" == *"bytes: 1115904"* ]]
}

@test "bd-init: an existing output is refused, but replaced with --force" {
	bd-init "$configs/tiny-llama.json" -o a
	run bd-init "$configs/tiny-llama.json" -o a
	[ "$status" -eq 2 ]
	[[ "$output" == *"--force"* ]]
	bd-init "$configs/tiny-qwen3.json" -o a --force
	bd-info a | grep -q '^family: qwen3$'
}

@test "bd-init: no output, no operand, no such file: usage or data errors, and no directory" {
	run bd-init "$configs/tiny-llama.json"
	[ "$status" -eq 2 ]
	run bd-init -o x
	[ "$status" -eq 2 ]
	run bd-init nothing.json -o x
	[ "$status" -eq 3 ]
	[ ! -e x ]
	sed 's/llama/mamba/' "$configs/tiny-llama.json" >mamba.json
	run bd-init mamba.json -o x
	[ "$status" -eq 3 ]
	[[ "$output" == *'"mamba" is not supported; supported are: llama, '* ]]
	[ ! -e x ]
}

@test "bd-init: a directory that cannot be written" {
	run bd-init "$configs/tiny-llama.json" -o /proc/x
	[ "$status" -eq 4 ]
}

@test "bd-subln: two gains of 1 per layer, the rest unchanged, and the model is marked" {
	bd-init "$configs/tiny-llama.json" -o a
	bd-subln a -o s
	run bd-info s
	[ "$status" -eq 0 ]
	[[ "$output" == *"weights: ternary"* ]]
	[[ "$output" == *"norms: subln"* ]]
	[[ "$output" == *"bd-init"*"bd-subln"* ]]
	run bd-info --diff a s
	[ "$status" -eq 1 ]
	[[ "$output" == *"tensors: 20"* ]]
	[[ "$output" == *"max_abs: 0.0"* ]]
	[[ "$output" == *"model.layers.1.mlp.down_proj.norm.weight"* ]]
}

@test "bd-subln: --norms all and none; gains are never dropped" {
	bd-init "$configs/tiny-llama.json" -o a
	bd-subln a -o none --norms none
	bd-info none | grep -q '^weights: ternary$'
	bd-info --diff a none
	bd-subln a -o s
	bd-subln s -o all --norms all
	[ "$(bd-info --tensors all | grep -c 'proj.norm.weight')" -eq 14 ]
	run bd-subln all -o s2 --norms subln
	[ "$status" -eq 3 ]
	[[ "$output" == *"--norms all"* ]]
	[ ! -e s2 ]
}

@test "a config that claims norms missing from the tensors is refused" {
	bd-init "$configs/tiny-llama.json" -o a
	bd-subln a -o s
	cp a/model.safetensors s/
	run bd-info s
	[ "$status" -eq 3 ]
	[[ "$output" == *"s/model.safetensors: is not what was written"*"remove s/bd-digests.txt or give --no-verify"* ]]
	run bd-info --no-verify s
	[ "$status" -eq 3 ]
	[[ "$output" == *'bitdistill.norms in config.json is "subln", but the tensors have "none"'* ]]
}

@test "bd-info --diff: equal, different, different in shape" {
	bd-init "$configs/tiny-llama.json" -o a
	bd-init "$configs/tiny-llama.json" -o b -s 9
	bd-init "$configs/tiny-qwen3.json" -o q
	run bd-info --diff a a/model.safetensors
	[ "$status" -eq 0 ]
	[[ "$output" == *"equal: true"* ]]
	run bd-info --json --diff a b
	[ "$status" -eq 1 ]
	[[ "$output" == *'"model.layers.0.mlp.up_proj.weight"'* ]]
	run bd-info --diff a q
	[ "$status" -eq 1 ]
	[[ "$output" == *"self_attn.q_proj.weight [[128,128],[256,128]]"* ]]
	run bd-info --diff a
	[ "$status" -eq 2 ]
}

@test "bd-info --check: a value that is not finite" {
	bd-init "$configs/tiny-llama.json" -o a
	run bd-info --check a
	[ "$status" -eq 0 ]
	[[ "$output" == *"not_finite: 0"* ]]
	size=$(stat -c %s a/model.safetensors)
	patch a/model.safetensors $((size - 4)) '\0\0\300\177'
	rm a/bd-digests.txt
	run bd-info --check a
	[ "$status" -eq 1 ]
	[[ "$output" == *"not_finite: 1"* ]]
}

@test "bd-info: a stream, from a file and from a pipe" {
	stream >a.bds
	run bd-info a.bds
	[ "$status" -eq 0 ]
	[[ "$output" == *"kind: example stream"* ]]
	[[ "$output" == *"examples: 1"*"tokens: 3"*"predicted: 1"* ]]
	[[ "$output" == *"0 3 0"*"1 4 1"* ]]
	stream | bd-info --json | grep -q '"file": "<stdin>"'
}

@test "bd-info: messages about truncated and damaged streams name the byte" {
	stream | head -c 150 >cut.bds
	run bd-info cut.bds
	[ "$status" -eq 3 ]
	[[ "$output" == *"cut.bds: byte 150: the stream ends inside a record"* ]]
	stream | head -c 125 >cut.bds
	run bd-info cut.bds
	[ "$status" -eq 3 ]
	[[ "$output" == *"before its end record, after 1 examples"* ]]
	stream >bit.bds
	patch bit.bds 98 '\003'
	run bd-info bit.bds
	[ "$status" -eq 3 ]
	[[ "$output" == *"bit.bds: byte 125: the checksum"* ]]
	(stream; printf x) >more.bds
	run bd-info more.bds
	[ "$status" -eq 3 ]
	[[ "$output" == *"continues after its end record"* ]]
}

@test "bd-info: safetensors whose offsets lie outside the file, truncated files, empty input" {
	bd-init "$configs/tiny-llama.json" -o a
	head -c 100000 a/model.safetensors >cut.safetensors
	run bd-info cut.safetensors
	[ "$status" -eq 3 ]
	[[ "$output" == *"lie outside the file"* ]]
	printf 'GGUF\3\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' >cut.gguf
	run bd-info cut.gguf
	[ "$status" -eq 3 ]
	: >empty
	run bd-info empty
	[ "$status" -eq 3 ]
	run bd-info </dev/null
	[ "$status" -eq 3 ]
}

@test "bd-info: configs and JSON output" {
	run bd-info "$configs/tiny-llama.json" "$configs/tiny-qwen3.json"
	[ "$status" -eq 0 ]
	[[ "$output" == *"family: llama"*"family: qwen3"* ]]
	bd-info --json "$configs/tiny-llama.json" | grep -q '"hidden": 128'
}

# refused TEXT COMMAND...: the command dies as a usage error with TEXT, in one line, and changes no file.
refused() {
	local before status=0
	before=$(find . -type f ! -name err -exec md5sum {} + | sort)
	"${@:2}" >/dev/null 2>err </dev/null || status=$?
	cat err
	[ "$status" -eq 2 ]
	grep -F -- "$1" err
	[ "$(wc -l <err)" -eq 1 ]
	[ "$before" = "$(find . -type f ! -name err -exec md5sum {} + | sort)" ]
}

@test "an output is never an input, another output, or inside one of them, whatever its path looks like" {
	tok=$BATS_TEST_DIRNAME/../golden/tok-bytes.json
	bd-init -q "$configs/tiny-llama.json" --tokenizer "$tok" -o m
	printf 'one line\nand another\n' >text
	bd-data -q --text --format lines --eos 0 -m m -o s.bds text
	mkdir w w/in old.ckpt
	cp -r m w/m
	cp s.bds w/s.bds
	cp s.bds old.ckpt/s.bds
	ln s.bds hard.bds
	ln -s s.bds soft.bds
	ln -s m link
	ln -s nowhere dangling
	run='bd-sft -q --steps 1'
	while IFS='|' read -r want command; do
		eval "refused '$want' $command"
	done <<-END
		--log s.bds: is the same file as s.bds|$run -m m -o o --log s.bds s.bds
		--log ./w/../s.bds: is the same file as s.bds|$run -m m -o o --log ./w/../s.bds s.bds
		--log hard.bds: is the same file as s.bds|$run -m m -o o --log hard.bds s.bds
		--log soft.bds: is the same file as s.bds|$run -m m -o o --log soft.bds s.bds
		--log s.bds: is the same file as --eval hard.bds|$run -m m -o o --log s.bds --eval hard.bds w/s.bds
		--log m/config.json: lies inside --model link|$run -m link -o o --log m/config.json s.bds
		--log o: is the same file as --output w/../o|$run -m m -o w/../o --log o s.bds
		--log dangling: is the same file as --output nowhere|$run -m m -o nowhere --log dangling s.bds
		--log w/log: lies inside --output w/|$run -m m -o w/ -f --log w/log s.bds
		--output m: is the same file as --model m|$run -m m -o m -f s.bds
		--output m/o: lies inside --model link/|$run -m link/ -o m/o s.bds
		--output w: contains --model w/m, which would be lost|$run -m w/m -o w -f s.bds
		--output w: contains w/s.bds|$run -m m -o w -f w/s.bds
		old.ckpt/s.bds, which would be lost|$run -m m -o old old.ckpt/s.bds
		the checkpoint old.ckpt: is the same file as --log old.ckpt|$run -m m -o old --log old.ckpt s.bds
		--output s.bds: is the same file as hard.bds|bd-teacher-dump -q -m m -o s.bds hard.bds
		--output m/t.bds: lies inside --model m|bd-teacher-dump -q -m m -o m/t.bds s.bds
		--output text: is the same file as text|bd-data -q --text -m m -o text text
		--output m/tokenizer.json: lies inside --tokenizer m|bd-data -q --text -m m -o m/tokenizer.json text
		--output soft.bds: is the same file as s.bds|bd-data -q -d -m m -o soft.bds s.bds
		--output m: is the same file as link|bd-subln -q -f link -o m
		--output w/m/in: lies inside w/m|bd-subln -q w/m -o w/m/in
		--output w: contains w/m, which|bd-subln -q -f w/m -o w
		--output w: contains w/m, which|bd-init -q -f w/m -o w
		--output w: contains --tokenizer w/m|bd-init -q -f "$configs/tiny-llama.json" --tokenizer w/m -o w
		--output m/p.gguf: lies inside m|bd-pack -q -f m -o m/p.gguf
		--logits s.bds: is the same file as hard.bds|bd-eval -q --logits s.bds m hard.bds
		--predictions x: is the same file as --logits ./x|bd-eval -q --logits ./x --predictions x m s.bds
		--predictions link/x: lies inside m|bd-eval -q --predictions link/x m s.bds
		--predictions text: is the same file as text|bd-eval -q --score --predictions text text
	END
	[ -z "$(find . -name '.*.tmp')" ]
}

@test "an output is never standard input, or a file that standard output goes to" {
	printf '{"text": "one line"}\n' >text
	run -2 bash -c 'bd-data --text -m '"$BATS_TEST_DIRNAME"'/../golden/tok-bytes.json -o text <text'
	[[ "$output" == *"--output text: is the same file as <stdin>"* ]]
	run -2 bash -c 'bd-data --text -m '"$BATS_TEST_DIRNAME"'/../golden/tok-bytes.json text >>text'
	[ "$output" = "bd-data: <stdout>: is the same file as text; choose another name" ]
	[ "$(cat text)" = '{"text": "one line"}' ]
}

@test "an output, or a log, that another process is writing: refused at once; after it was killed: written" {
	tok=$BATS_TEST_DIRNAME/../golden/tok-bytes.json
	bd-init -q "$configs/tiny-llama.json" --tokenizer "$tok" -o m
	printf 'one line\nand another\n' >text
	bd-data -q --text --format lines --eos 0 -m m -o s.bds text
	mkdir d
	mkfifo pipe
	ln -s d e
	bd-sft -q -m m -o d/o --log log <pipe 2>/dev/null &
	exec 7>pipe
	until ls d/.o.*.tmp >/dev/null 2>&1; do sleep 0.02; done
	sleep 0.1
	refused "d/o: process $! is writing it" bd-sft -q -m m -o d/o --steps 1 s.bds
	refused "e//o: process $! is writing it" bd-sft -q -m m -o e//o/ --steps 1 s.bds
	refused "d/../d/o: process $! is writing it" bd-subln -q m -o d/../d/o
	refused "d/o: process $! is writing it" bd-data -q --text -m m -o d/o text
	refused "log: another process is writing this log" bd-sft -q -m m -o d/other --log log --steps 1 s.bds
	kill -9 $!
	exec 7>&-
	wait $! || true
	bd-sft -q -m m -o d/o --log log --steps 1 s.bds
	[ -e d/o/config.json ]
	[ -z "$(find d -name '.*.tmp')" ]
}

@test "a full disk: exit status 4, no output" {
	[ -w /dev/full ] || skip "no /dev/full"
	bd-init "$configs/tiny-llama.json" -o a
	run bash -c 'bd-info a >/dev/full'
	[ "$status" -eq 4 ]
}

@test "real models: the published numbers of parameters" {
	[ -n "${BD_DATA-}" ] || skip "BD_DATA is not set"
	bd-info "$BD_DATA/models/stories-656k" | grep -q '^parameters: 656000$'
	bd-info "$BD_DATA/models/base-7m" | grep -q '^parameters: 6819840$'
	bd-subln "$BD_DATA/models/stories-656k" -o s
	bd-info --check s
	cmp s/tokenizer.json "$BD_DATA/models/stories-656k/tokenizer.json"
}
