#!/usr/bin/env bats
# bd-run: labels for lines, continuations of texts, and the agreement with bd-eval.

load model

setup_file() {
	make_models
	bd-pack student -o student.gguf --embd f32
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	dir=$BATS_FILE_TMPDIR
}

# The labels of the answers in file $1 that are right.
right() {
	tail -n +2 "$dir/rows.tsv" | cut -f 3 | paste - "$1" |
		awk -F '\t' '($1 == 1) == ($2 == "same") {n++} END {print n + 0}'
}

@test "accuracy over the raw lines is bd-eval's" {
	for model in student student.gguf teacher; do
		bd-run "$dir/$model" <"$dir/rows.tsv" >answers
		[ "$(wc -l <answers)" -eq 24 ]
		bd-eval "$dir/$model" --predictions p.jsonl "$dir/dev.bds" >score.json
		[ "$(right answers)" -eq "$(json correct score.json)" ]
		paste <(cut -f 1 answers) <(sed 's/.*"predicted":\([01]\).*/\1/' p.jsonl) |
			awk '($1 == "same") != ($2 == 1) {exit 1}'
	done
}

@test "the file answers as the directory does" {
	bd-run "$dir/student" <"$dir/rows.tsv" >a
	bd-run "$dir/student.gguf" -t 2 <"$dir/rows.tsv" >b
	cmp a b
}

@test "lines, TSV without a label and JSON objects mean the same" {
	tail -n +2 "$dir/rows.tsv" | cut -f 1,2 | bd-run "$dir/student" >a
	bd-run "$dir/student" <"$dir/rows.tsv" >b
	cmp a b
	tail -n +2 "$dir/rows.tsv" | sed 's/"/\\"/g' |
		awk -F '\t' '{printf "{\"left\": \"%s\", \"right\": \"%s\"}\n", $1, $2}' | bd-run "$dir/student" >c
	cmp a c
	bd-run "$dir/student" -p "$(printf 'the "1"\té 1')" >d
	head -n 1 a | cmp - d
}

@test "--json gives every class's probability" {
	bd-run "$dir/student" --json -p "$(printf 'the "1"\té 1')" >a
	grep -qE '^\{"label":"(same|different)","class":[01],"probability":0\.[0-9]+,"probabilities":\{"different":0\.[0-9]+,"same":0\.[0-9]+\}\}$' a
}

@test "answers come line by line" {
	mkfifo in out
	bd-run "$dir/student.gguf" <in >out &
	exec 5>in 6<out
	printf 'the "1"\té 1\n' >&5
	read -r -t 20 first <&6
	printf 'the "2"\té 3\n' >&5
	read -r -t 20 second <&6
	exec 5>&-
	wait $!
	[ -n "$first" ] && [ -n "$second" ]
}

@test "texts are continued, greedily or by the seed" {
	bd-run "$dir/base" -n 12 -p 'the end' >a
	printf 'the end\n' | bd-run "$dir/base" -n 12 -t 2 >b
	cmp a b
	bd-run "$dir/base" -n 12 -p 'the end' --temperature 1 -s 5 >c
	bd-run "$dir/base" -n 12 -p 'the end' --temperature 1 -s 5 >d
	bd-run "$dir/base" -n 12 -p 'the end' --temperature 1 -s 6 >e
	cmp c d
	run -1 cmp -s c e
	bd-run "$dir/base" -n 12 -p 'the end' --temperature 1 --top-k 1 -s 9 >f
	cmp a f
	bd-run "$dir/base" -n 12 -p 'the end' --json | grep -qE '^\{"text":".*","tokens":[0-9]+,"stop":"(eos|length)"\}$'
}

@test "--generate continues the text although there is a task" {
	bd-run "$dir/student" -g -n 4 -p 'the 1' >a
	run -1 grep -qP '^(same|different)\t' a
}

@test "the context bounds prompt and continuation" {
	bd-run "$dir/base" --json -n 100 --context 10 -p 'abcd' >a
	grep -q '"stop":"length"' a || grep -q '"stop":"eos"' a
	dies 3 "context" bd-run "$dir/base" --context 4 -p 'a long text of many tokens'
}

@test "--verify" {
	bd-run --verify "$dir/student.gguf"
	cp "$dir/student.gguf" bad.gguf
	size=$(stat -c %s bad.gguf)
	printf '\0\0\0\0' | dd of=bad.gguf bs=1 seek=$((size - 5000)) conv=notrunc status=none
	run -1 cmp -s bad.gguf "$dir/student.gguf"
	run -1 bd-run --verify bad.gguf
	dies 2 "packed file" bd-run --verify "$dir/student"
}

@test "what cannot be answered is refused" {
	dies 3 "empty" bd-run "$dir/student" </dev/null
	dies 3 "empty" bd-run "$dir/base" </dev/null
	dies 3 "right" bd-run "$dir/student" -p 'one column'
	dies 3 "no-such" bd-run no-such -p x
	dies 2 "unknown" bd-run "$dir/base" --no-such-option
	status=0
	bd-run "$dir/base" -n 4 -p x >/dev/full 2>err || status=$?
	[ "$status" -eq 4 ]
}

@test "a greedy story is a story" {
	if [ -z "${BD_DATA-}" ]; then
		skip 'BD_DATA is not set'
	fi
	bd-run "$BD_DATA/models/stories-3m" -n 60 -p 'Once upon a time' >a
	grep -q 'there was a little girl named Lily' a
}
