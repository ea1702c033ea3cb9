# Damage is noticed wherever a file is read; tests/fault/flips.sh does the same at length.

bats_require_minimum_version 1.5.0
load model.bash

setup_file() {
	make_models
}

setup() {
	dir=$BATS_FILE_TMPDIR
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_TEST_TMPDIR" || return
}

# flip FILE: turns over a bit in the middle of it.
flip() {
	local at=$(($(wc -c <"$1") / 2))
	byte=$(od -An -tu1 -j "$at" -N 1 "$1")
	printf '%b' "\\0$(printf %o $((byte ^ 4)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}

@test "random flips and cuts in files of every kind, for every tool" {
	run -0 sh "$repo/tests/fault/flips.sh" 1 1 'bd i2_s|stock tq1|directory student|hf, bd-(eval|info)|zst|state'
	[[ $output == *" pairs of a file and a tool, 0 with "* ]]
}

@test "a directory: what is wrong with it, and how to accept it" {
	cp -r "$dir/student" moved
	bd-info --check moved >out 2>err
	[ ! -s err ]
	grep -q '^  wrong: \[\]$' out
	grep -q '^    config.json$' out
	echo x >moved/notes.txt
	bd-info --check moved >out
	grep -q '^    notes.txt$' out
	flip moved/tokenizer.json
	dies 3 "moved/tokenizer.json: is not what was written" bd-run -p x moved
	grep -F 'remove moved/bd-digests.txt or give --no-verify' err
	run -1 bd-info --check moved
	[[ $output == *"damaged directory"*"wrong:"*"tokenizer.json"* ]]
	rm moved/tokenizer.json
	run -1 bd-info --check moved
	[[ $output == *"missing:"*"tokenizer.json"* ]]
	cp "$dir/student/tokenizer.json" moved
	sed -i 's/"rope_theta": 10000.0/"rope_theta": 20000.0/' moved/config.json
	dies 3 "moved/config.json: is not what was written" bd-eval -q moved "$dir/dev.bds"
	bd-eval -q --no-verify moved "$dir/dev.bds" >/dev/null
	rm moved/bd-digests.txt
	bd-eval -q moved "$dir/dev.bds" >/dev/null
	bd-info --check moved 2>&1 >/dev/null | grep -F 'moved: has no digests; only its structure and its values'
}

@test "a damaged file does not go on into an output" {
	cp -r "$dir/base" base
	echo '#version: 0.2' >base/merges.txt
	rm base/bd-digests.txt
	bd-subln -q base -o s0 # whose list has merges.txt
	echo '#version: 0.3' >s0/merges.txt
	dies 3 "s0/merges.txt" bd-pack -q --force --target hf s0 -o hf
	[ ! -e hf ]
}

@test "a packed file: the tensor, and --no-verify, of which no history names the digest" {
	bd-pack -q "$dir/student" -o x.gguf
	cp x.gguf y.gguf
	flip y.gguf
	dies 3 "y.gguf: tensor " bd-eval -q y.gguf "$dir/dev.bds"
	dies 3 "y.gguf: tensor " bd-pack -q -d y.gguf -o back
	bd-eval -q x.gguf "$dir/dev.bds" | grep -q ' <- packed file [0-9a-f]\{16\}'
	bd-eval -q --no-verify y.gguf "$dir/dev.bds" >out
	run ! grep -q 'packed file' out
	run -1 bd-info --check y.gguf
	run -1 bd-run --verify y.gguf
	[[ $output == *"prompts were not run"* ]]
}

@test "names that are not UTF-8: described, checked, and in JSON" {
	name=$(printf 'caf\351')
	bd-pack -q "$dir/student" -o "$name.gguf"
	cp -r "$dir/student" "$name"
	bd-info "$name.gguf" | grep -q '^file: caf.*gguf$'
	bd-info --check "$name" "$name.gguf" >/dev/null
	bd-eval -q "$name.gguf" "$dir/dev.bds" | grep -q '"model": "caf\\\{0,1\}.*gguf"'
	bd-bench -q -t 1 -p 1 -n 1 -r 1 "$name.gguf" | grep -q 'gguf'
	flip "$name.gguf"
	run -1 bd-info --check "$name.gguf"
	flip "$name/model.safetensors"
	run -1 bd-info --check "$name"
}

@test "a checkpoint: damage is noticed before it is compared with the run" {
	zstd -dqc "$dir/dev.bds" >dev.bds
	size=$(wc -c <dev.bds)
	head -c $((size * 3 / 4)) dev.bds | run -3 bd-sft -q -t 1 --steps 6 --batch 4 --checkpoint-every 1 --model "$dir/base" -o o
	[ -e o.ckpt/state.json ]
	cp -r o.ckpt good
	for f in state.json state.safetensors bd-digests.txt; do
		rm -rf o.ckpt
		cp -r good o.ckpt
		flip "o.ckpt/$f"
		dies 3 "o.ckpt/$f" bd-sft -q -t 1 --resume --no-verify --steps 5 --batch 4 --model "$dir/base" -o o dev.bds
		[ ! -e o ]
	done
}
