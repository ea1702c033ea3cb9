#!/usr/bin/env bats
# bd-eval: scores, what is written down, and what is refused.

load model

setup_file() {
	make_models
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	dir=$BATS_FILE_TMPDIR
}

@test "scores are those of the predictions" {
	bd-eval "$dir/student" --predictions p.jsonl "$dir/dev.bds" >score.json
	[ "$(json examples score.json)" -eq 24 ]
	[ "$(json tokens score.json)" -eq 24 ]
	[ "$(wc -l <p.jsonl)" -eq 24 ]
	right=$(sed 's/.*"label":\([0-9]*\).*"predicted":\([0-9]*\).*/\1 \2/' p.jsonl | awk '$1 == $2' | wc -l)
	[ "$(json correct score.json)" -eq "$right" ]
	[ "$right" -gt 0 ] && [ "$right" -lt 24 ]
	nll=$(sed 's/.*"nll":\([0-9.e-]*\).*/\1/' p.jsonl | awk '{s += $1} END {print s / NR}')
	paste <(json nll score.json) <(echo "$nll") | awk '{d = $1 - $2; exit !(d < 1e-4 && d > -1e-4)}'
	grep -q '"classes"' score.json
}

@test "TSV is two lines with the same numbers" {
	bd-eval "$dir/student" --tsv "$dir/dev.bds" >score.tsv
	[ "$(wc -l <score.tsv)" -eq 2 ]
	bd-eval "$dir/student" "$dir/dev.bds" >score.json
	n=$(head -n 1 score.tsv | tr '\t' '\n' | grep -n '^correct$' | cut -d: -f1)
	[ "$(tail -n 1 score.tsv | cut -f "$n")" = "$(json correct score.json)" ]
}

@test "plain text has a perplexity and no accuracy" {
	printf 'once upon a time\nthe end of it\n' | bd-data -q --text --tokenizer "$dir/base" --format lines | bd-eval "$dir/base" >score.json
	[ "$(json examples score.json)" -eq 2 ]
	json perplexity score.json | grep .
	run -1 grep accuracy score.json
}

@test "the teacher is dense, --ternary rounds it" {
	bd-eval "$dir/teacher" "$dir/dev.bds" >a.json
	bd-eval "$dir/teacher" --ternary "$dir/dev.bds" >b.json
	[ "$(json nll a.json)" != "$(json nll b.json)" ]
}

@test "logits: one row of the vocabulary's width a predicted position" {
	bd-eval "$dir/student" --logits z.safetensors "$dir/dev.bds" >/dev/null
	head -c 300 z.safetensors | grep -aq '"logits":{"dtype":"F32","shape":\[24,384\]'
	head -c 300 z.safetensors | grep -aq '"ids":{"dtype":"I32","shape":\[24\]'
}

@test "what cannot be evaluated is refused" {
	mkdir other
	cp "$BATS_TEST_DIRNAME/../golden/tok-spm.json" other/tokenizer.json
	echo 'some text' | bd-data -q --text --tokenizer other --format lines >other.bds
	dies 3 "tokenizer" bd-eval "$dir/student" other.bds
	dies 3 "" bd-eval "$dir/student" /dev/null
	head -c 400 "$dir/dev.bds" >cut.bds
	dies 3 "cut.bds" bd-eval "$dir/student" cut.bds
	dies 3 "missing.bds" bd-eval "$dir/student" missing.bds
	dies 4 "No space left" bd-eval "$dir/student" --predictions /dev/full "$dir/dev.bds"
	dies 4 "No space left" bd-eval "$dir/student" --logits /dev/full "$dir/dev.bds"
	dies 2 "operand" bd-eval
	status=0
	bd-eval "$dir/student" "$dir/dev.bds" >/dev/full || status=$?
	[ "$status" -eq 4 ]
}

@test "published losses of the real models" {
	if [ -z "${BD_DATA-}" ]; then
		skip 'BD_DATA is not set'
	fi
	while read -r model corpus len nll tokens; do
		zstdcat "$BD_DATA/corpus/$corpus.jsonl.zst" | tail -n 12 |
			bd-data -q --text --max-len "$len" --tokenizer "$BD_DATA/models/$model" |
			bd-eval "$BD_DATA/models/$model" >score.json
		echo "$model $corpus $(json nll score.json) $(json tokens score.json)"
		[ "$(json tokens score.json)" -eq "$tokens" ]
		json nll score.json | awk -v want="$nll" '{d = $1 - want; exit !(d < 0.001 && d > -0.001)}'
	done <<-'END'
	stories-3m stories 400 1.2935 3715
	stories-260k stories 400 1.3929 4686
	base-7m wikitext2-test 256 5.6397 3060
	base-7m children 256 5.0380 2899
	END
}
