#!/usr/bin/env bats
# bd-pack: packed files keep every bit, and nothing appears under the output name unless it was checked.

load model

setup_file() {
	make_models
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	dir=$BATS_FILE_TMPDIR
}

@test "the packed file gives the same logits as the directory, bit for bit" {
	bd-eval -q "$dir/student" --logits want -t 1 --batch-tokens 1 "$dir/dev.bds" >/dev/null
	for type in i2_s tq2_0; do
		bd-pack "$dir/student" --type $type --embd f32 -o x.gguf
		bd-eval x.gguf --logits got -t 2 --batch-tokens 100 "$dir/dev.bds" >/dev/null
		cmp want got
		bd-eval x.gguf --logits got -t 3 --batch-tokens 100000 "$dir/dev.bds" >/dev/null
		cmp want got
		BD_KERN=ref bd-eval x.gguf --logits got "$dir/dev.bds" >/dev/null
		cmp want got
		bd-run --verify x.gguf
	done
	bd-eval "$dir/teacher" --logits other "$dir/dev.bds" >/dev/null
	run -1 cmp -s want other
}

@test "tables in f16 and q8_0 are smaller, and the results close" {
	bd-pack "$dir/student" --embd f32 -o f32.gguf
	bd-pack "$dir/student" --embd f16 -o f16.gguf
	bd-pack "$dir/student" --embd q8_0 -o q8_0.gguf
	[ "$(stat -c %s f16.gguf)" -lt "$(stat -c %s f32.gguf)" ]
	[ "$(stat -c %s q8_0.gguf)" -lt "$(stat -c %s f16.gguf)" ]
	for e in f32 f16 q8_0; do
		bd-eval $e.gguf "$dir/dev.bds" >$e.json
		bd-run --verify $e.gguf
		paste <(json nll f32.json) <(json nll $e.json) | awk '{d = $1 - $2; exit !(d < 0.02 && d > -0.02)}'
	done
}

@test "the same input gives the same bytes" {
	bd-pack "$dir/student" -t 1 -o a.gguf
	cp a.gguf b.gguf
	bd-pack "$dir/student" -t 1 -o a.gguf
	cmp a.gguf b.gguf
}

@test "unpacking gives a dense directory that cannot be packed again by mistake" {
	bd-pack "$dir/student" -o x.gguf
	bd-pack -d x.gguf -o back
	cmp back/tokenizer.json "$dir/student/tokenizer.json"
	bd-eval back "$dir/dev.bds" >/dev/null
	dies 3 "not trained as a ternary model" bd-pack back -o y.gguf
	[ ! -e y.gguf ]
	dies 2 "exists" bd-pack -d x.gguf -o back
	bd-pack -d x.gguf -o back --force --dtype f16
}

@test "a model not trained as ternary is refused, unless forced" {
	dies 3 "not trained as a ternary model" bd-pack "$dir/teacher" -o x.gguf
	[ ! -e x.gguf ]
	bd-pack "$dir/teacher" --force -o x.gguf
	bd-eval "$dir/teacher" --ternary --logits want "$dir/dev.bds" >/dev/null
	bd-pack "$dir/teacher" --force --embd f32 -o x.gguf
	bd-eval x.gguf --logits got "$dir/dev.bds" >/dev/null
	cmp want got
}

@test "q8_0 tables need a hidden size that is a multiple of 32" {
	sed 's/"hidden_size": 64/"hidden_size": 52/' "$dir/config.json" >config.json
	bd-init -q config.json -o odd
	dies 3 "multiple of 32" bd-pack odd --force --embd q8_0 -o x.gguf
	[ ! -e x.gguf ]
	bd-pack odd --force -o x.gguf
}

@test "nothing is left behind when the output cannot be written" {
	dies 4 "No space left" bd-pack "$dir/student" -o /dev/full
	dies 4 "nowhere/x.gguf" bd-pack "$dir/student" -o nowhere/x.gguf
	dies 2 "-o is missing" bd-pack "$dir/student"
	dies 3 "no-such-model" bd-pack no-such-model -o x.gguf
	rm -f out err
	[ -z "$(ls -A)" ]
}

@test "truncated, altered and foreign files are refused" {
	bd-pack "$dir/student" -o x.gguf
	size=$(stat -c %s x.gguf)
	for n in 0 3 24 1000 $((size / 2)) $((size - 1)); do
		head -c "$n" x.gguf >cut.gguf
		dies 3 "cut.gguf" bd-eval -q cut.gguf "$dir/dev.bds"
		dies 3 "cut.gguf" bd-pack -d cut.gguf -o back
		[ ! -e back ]
	done
	cp x.gguf bad.gguf
	printf '\377' | dd of=bad.gguf bs=1 seek=$((size - 3000)) conv=notrunc status=none
	run -1 bd-run --verify bad.gguf
	printf 'GGUF\003\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' >foreign.gguf
	dies 3 "not written by bd-pack" bd-run foreign.gguf
}

# wide SIZE VOCAB KEY=VALUE...: makes a student with random weights in the directory "wide".
wide() {
	local size=$1 vocab=$2
	cat >wide.json <<-END
	{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": $size, "num_hidden_layers": 1,
	 "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": $size, "vocab_size": $vocab,
	 "max_position_embeddings": 64, "hidden_act": "silu", "rms_norm_eps": 1e-06, "tie_word_embeddings": ${3:-true}}
	END
	bd-init -q wide.json -o wide-base
	bd-subln -q wide-base -o wide
}

@test "--list-targets says what is possible, with the same reasons as a refusal" {
	wide 512 384
	bd-pack --list-targets wide >list
	cat list
	grep -x "bd          yes  bd-llama: i2_s tq2_0 tq1_0 q2_0 iq2_bn iq1_bn" list
	grep -x "stock       yes  bitnet: tq2_0 q2_0 tq1_0" list
	grep -x "ik          yes  bitnet: iq2_bn iq1_bn" list
	grep -x "bitnet.cpp  yes  bitnet: i2_s" list
	grep -x "hf          yes  directory: online offline" list
	bd-pack --list-targets "$dir/student" >list
	while read -r target possible why; do
		[ "$possible" = no ] || continue
		dies 3 "$dir/student: --target $target: $why" bd-pack "$dir/student" --target "$target" -o x
		[ ! -e x ]
	done <list
	[ "$(grep -c " no " list)" -eq 3 ]
	bd-pack --list-targets --json "$dir/student" | tee json
	[ "$(grep -c '"possible": false' json)" -eq 3 ]
	dies 3 "stock: llama.cpp does not support i2_s; types that fit: tq2_0 q2_0 tq1_0" bd-pack wide -f --target stock --type i2_s -o x
	dies 2 "for --target hf" bd-pack wide --target stock --type online -o x
	dies 2 "for --target hf" bd-pack wide --target hf --type i2_s -o x
}

@test "files for every target give the same logits as the directory" {
	wide 512 384
	bd-data -q --text --tokenizer "$dir/student" -o text.bds <<<"the same words again, and again"
	bd-eval -q wide --ternary --logits want text.bds >/dev/null
	for how in "stock tq2_0" "stock tq1_0" "stock q2_0" "ik iq2_bn" "ik iq1_bn" "bitnet.cpp i2_s" "bd iq1_bn" "bd tq1_0"; do
		bd-pack wide -f --target "${how% *}" --type "${how#* }" --embd f32 -o x.gguf
		bd-eval x.gguf --logits got text.bds >/dev/null
		cmp want got
		bd-run --verify x.gguf
		bd-info --check x.gguf >/dev/null
		bd-pack -d x.gguf -f -o back
	done
	bd-pack wide -f --target hf -o wide-hf
	bd-eval wide-hf --logits got text.bds >/dev/null
	cmp want got
}

@test "--vocab-from: the same answers with a part of the vocabulary" {
	for how in "bd f16" "bd q8_0" "bd q4_0"; do
		bd-pack "$dir/student" --target "${how% *}" --embd "${how#* }" -o whole.gguf
		bd-pack "$dir/student" --target "${how% *}" --embd "${how#* }" --vocab-from "$dir/dev.bds" -o part.gguf
		[ "$(stat -c %s part.gguf)" -lt "$(stat -c %s whole.gguf)" ]
		for f in whole part; do
			bd-eval -q $f.gguf --predictions $f "$dir/dev.bds" >$f.json
			cut -f 1,2 "$dir/rows.tsv" | bd-run -q $f.gguf >$f.answers
		done
		paste <(json correct whole.json) <(json correct part.json) | awk '{exit $1 != $2 || $1 == ""}'
		[ "$(wc -l <whole.answers)" -eq 24 ]
		cmp whole.answers part.answers
		bd-run --verify part.gguf
	done
	bd-info part.gguf | grep -E 'bd.vocab: .*"kept":[0-9]+,"of":384,'
	bd-info part.gguf | grep -F "bd-pack $dir/student --target bd --embd q4_0 --vocab-from $dir/dev.bds"
}

@test "--vocab-from: any text, and streams of both tokenizers" {
	bd-pack "$dir/student" --vocab-from "$dir/dev.bds" -o part.gguf
	printf '%s\n' 'sentiment: was the story good? <|end|>' 'é 日本 🚀' >texts
	bd-data -q --text --format lines --tokenizer part.gguf -o texts.bds texts
	bd-data -d --tokenizer part.gguf texts.bds | grep -F 'was the story good?'
	bd-data -d --tokenizer part.gguf texts.bds | grep -F 'é 日本 🚀'
	bd-eval -q part.gguf texts.bds >/dev/null
	bd-data -q --text --format lines --tokenizer "$dir/student" -o whole.bds texts
	dies 3 "examples are not among those that part.gguf has kept" bd-eval -q part.gguf whole.bds
	dies 3 "made with tokenizer" bd-eval -q "$dir/student" texts.bds
	bd-pack "$dir/student" --vocab-from "$dir/dev.bds" --vocab-from whole.bds -o part.gguf
	bd-eval -q part.gguf whole.bds >/dev/null
	bd-eval -q part.gguf "$dir/dev.bds" >/dev/null
	dies 3 "made with tokenizer" bd-eval -q part.gguf texts.bds
}

@test "--vocab-from: other targets, a directory again, and what is refused" {
	wide 512 384
	cp "$dir/student/tokenizer.json" wide
	for how in "stock tq1_0" "ik iq2_bn" "bitnet.cpp i2_s"; do
		bd-pack wide --target "${how% *}" --type "${how#* }" --vocab-from "$dir/dev.bds" -o part.gguf
		bd-eval -q part.gguf "$dir/dev.bds" >/dev/null
	done
	bd-pack "$dir/student" --vocab-from "$dir/dev.bds" -o part.gguf
	bd-pack -d part.gguf -o back
	[ "$(stat -c %s back/tokenizer.json)" -lt "$(stat -c %s "$dir/student/tokenizer.json")" ]
	bd-data -q --template "$dir/task.json" --tokenizer back -o back.bds "$dir/rows.tsv"
	bd-eval -q back back.bds >/dev/null
	bd-eval -q part.gguf back.bds >/dev/null
	rm -rf back
	dies 2 "--vocab-from is for GGUF files" bd-pack wide --target hf --vocab-from "$dir/dev.bds" -o x
	dies 2 "--vocab-from is for packing" bd-pack -d part.gguf --vocab-from "$dir/dev.bds" -o x
	dies 2 "$dir/dev.bds" bd-pack "$dir/student" --vocab-from "$dir/dev.bds" -o "$dir/dev.bds"
	dies 3 "no-such.bds" bd-pack "$dir/student" --vocab-from no-such.bds -o x
	bd-data -q --template "$dir/task.json" --tokenizer part.gguf -o part.bds "$dir/rows.tsv"
	dies 3 "made with tokenizer" bd-pack "$dir/student" --vocab-from part.bds -o x
	rm wide/tokenizer.json
	dies 3 "there is no tokenizer.json" bd-pack wide --vocab-from "$dir/dev.bds" -o x
	[ ! -e x ]
}

@test "output through a pipe is the same" {
	bd-pack "$dir/student" -o x.gguf
	SOURCE_DATE_EPOCH=0 bd-pack "$dir/student" -o - >y.gguf
	bd-info --check y.gguf >/dev/null
	[ "$(stat -c %s x.gguf)" -gt 0 ]
	bd-run --verify y.gguf
}

@test "packing needs memory for the codes, not for the tables" {
	[ -z "${SAN:-}" ] || skip "the sanitizer needs memory of its own"
	wide 256 160000 # a table of 164 MB as f32, 82 MB as f16
	for embd in f16 q8_0 q6_k q4_0; do
		(ulimit -d 60000 && bd-pack -t 2 wide -f --embd $embd -o x.gguf)
	done
}

# A ternary file as other programs write it: without our keys, the tokenizer in GGUF's own.
foreign() {
	cat >llama.json <<-'END'
	{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 128, "num_hidden_layers": 1,
	 "num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 384,
	 "max_position_embeddings": 128, "tie_word_embeddings": true, "eos_token_id": 362}
	END
	bd-init -q llama.json --tokenizer "$dir/base" -o l0
	bd-subln -q l0 -o m
	sed -i 's/"weights": "full"/"weights": "ternary"/' m/config.json && rm -f m/bd-digests.txt
	bd-pack -q m --target bitnet.cpp -o m.gguf
	sed 's/tokenizer\.huggingface\.json/tokenizer.huggingfaceXjson/; s/bd\.version/Xd.version/; s/bd\.digest/Xd.digest/;
		s/bd\.tensor_digests/Xd.tensor_digests/; s/bd\.config/Xd.config/; s/bd\.target/Xd.target/' m.gguf >f.gguf
}

@test "a file of another program runs with its own tokenizer, in every tool" {
	foreign
	printf '{"text": "the thing is there"}\n{"text": "inside <|end|> 123"}\n' >t.jsonl
	bd-data -q --text -m m t.jsonl -o a.bds
	bd-data -q --text -m f.gguf t.jsonl -o b.bds
	bd-data -d -m m a.bds >a
	bd-data -d -m f.gguf b.bds >b
	cmp a b
	cp a c
	bd-run m.gguf -p 'the thing' -n 5 >a
	bd-run f.gguf -p 'the thing' -n 5 >b
	cmp a b
	bd-eval -q m.gguf a.bds | grep nll >a
	bd-eval -q f.gguf b.bds | grep nll >b
	cmp a b
	bd-eval f.gguf a.bds 2>err | grep nll >b # ids are compared as far as they can be
	cmp a b
	grep -F 'rebuilt from GGUF keys' err
	bd-pack -d -q f.gguf -o back
	bd-data -q --text -m back t.jsonl -o c.bds
	bd-data -d -m back c.bds | cmp - c
	sed 's/tokenizer\.ggml\.merges/tokenizer.ggml.merXes/' f.gguf >g.gguf
	dies 3 'has an incomplete tokenizer: key tokenizer.ggml.merges is missing' bd-run g.gguf -p 'the thing'
	dies 3 'has an incomplete tokenizer: key tokenizer.ggml.merges is missing' bd-data --text -m g.gguf t.jsonl -o x.bds
	bd-eval -q g.gguf b.bds | grep nll >b
	cmp a b
}
