#!/usr/bin/env bats
# bd-pack: packed files keep every bit, and nothing appears under the output's name unless it was checked.

load model

setup_file() {
	make_models
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	dir=$BATS_FILE_TMPDIR
}

@test "the packed file gives the directory's logits, bit by bit" {
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

@test "tables in f16 and q8_0 are smaller and near" {
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

@test "unpacking gives a dense directory that is not packed again by mistake" {
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

@test "q8_0 tables want a hidden size that is a multiple of 32" {
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

@test "cut, changed and foreign files are refused" {
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
	dies 3 "bd-pack did not write" bd-run foreign.gguf
}
