#!/usr/bin/env bats
# bd-eval: its scores, the files it writes, and what it refuses.

load model

setup_file() {
	make_models
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	dir=$BATS_FILE_TMPDIR
}

@test "the scores agree with the predictions" {
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

@test "the teacher is dense, and --ternary rounds it" {
	bd-eval "$dir/teacher" "$dir/dev.bds" >a.json
	bd-eval "$dir/teacher" --ternary "$dir/dev.bds" >b.json
	[ "$(json nll a.json)" != "$(json nll b.json)" ]
}

@test "logits: one row as wide as the vocabulary for each predicted position" {
	bd-eval "$dir/student" --logits z.safetensors "$dir/dev.bds" >/dev/null
	head -c 300 z.safetensors | grep -aq '"logits":{"dtype":"F32","shape":\[24,384\]'
	head -c 300 z.safetensors | grep -aq '"ids":{"dtype":"I32","shape":\[24\]'
}

@test "generation: with one-token labels, the accuracy is that of the likeliest token of the whole vocabulary" {
	bd-eval "$dir/student" --generate --predictions p.jsonl --tsv "$dir/dev.bds" | tr '\t' '\n' >cells
	n=$(($(wc -l <cells) / 2))
	[ "$(sed -n "$(grep -nx exact cells | cut -d: -f1),\$p" cells | sed -n "$((n + 1))p")" = \
		"$(sed -n "$(grep -nx generated.accuracy cells | cut -d: -f1),\$p" cells | sed -n "$((n + 1))p")" ]
	[ "$(wc -l <p.jsonl)" -eq 24 ]
	right=$(grep -c '"label":\([01]\),"predicted":\1' p.jsonl)
	[ "$right" -eq "$(sed -n "$(grep -nx generated.correct cells | cut -d: -f1),\$p" cells | sed -n "$((n + 1))p")" ]
}

@test "generation: the packed file gives the same answers as the directory, in any batch, and as bd-run" {
	printf 'text\ttitle\nthe story was\tgood\nonce upon a time\tthe end\na\tb c\n' >rows.tsv
	echo '{"name": "title", "fields": ["text", "title"], "prompt": "{text} =", "answer": " {title}"}' >title.json
	bd-data -q --template title.json --tokenizer "$dir/student" -o t.bds rows.tsv
	bd-sft -q -t 1 --model "$dir/base" --weights ternary -o titled --epochs 40 --lr 3e-3 t.bds
	bd-pack -q --embd f32 titled -o titled.gguf
	bd-eval titled --generate --max-new 12 --predictions a --batch-tokens 1 t.bds >a.json
	bd-eval titled.gguf --generate --max-new 12 --predictions b -t 2 t.bds >b.json
	cmp a b
	[ "$(grep -c '"reference":"\(good\|the end\|b c\)"' a)" -eq 3 ]
	for key in rouge1 rougeLsum bleu signature ended; do grep -q "\"$key\"" a.json; done
	tail -n +2 rows.tsv | cut -f 1 | bd-run --json -n 12 titled | sed 's/.*"text":"\([^"]*\)".*/\1/; s/^ *//; s/ *$//' >run
	sed 's/.*"prediction":"\([^"]*\)".*/\1/' a | cmp - run
	bd-eval --score a >scored.json # the predictions are valid input
	near "$(json exact scored.json)" "$(sed -n 's/^ *"exact": \(.*\),$/\1/p' a.json)"
}

@test "--score: texts against references, pair by pair and in total" {
	cat >pairs.jsonl <<-'END'
	{"prediction": "the cat sat on the mat", "reference": "the cat sat on the mat"}

	{"prediction": "no such thing", "references": ["the cat", "a thing such as this"]}
	END
	bd-eval --score --predictions each pairs.jsonl >a.json
	bd-eval --score <pairs.jsonl >b.json
	sed -i '/"history": \[/,/\]/d' a.json b.json # differs: only a file has a name
	cmp a.json b.json
	[ "$(json pairs a.json)" -eq 2 ]
	[ "$(json exact a.json)" = 0.5 ]
	[ "$(wc -l <each)" -eq 2 ]
	head -n 1 each | grep -q '"exact":true,"rouge":{"rouge1":{"precision":1.0,"recall":1.0,"f1":1.0}'
	bd-eval --score --tsv pairs.jsonl | head -n 1 | tr '\t' '\n' | grep -qx rouge_stem.rougeLsum.f1
}

@test "--score refuses lines that are not pairs" {
	while read -r line; do
		echo "$line" >bad.jsonl
		dies 3 "bad.jsonl" bd-eval --score bad.jsonl
	done <<-'END'
	{"prediction": "x"}
	{"reference": "x"}
	{"prediction": 1, "reference": "x"}
	{"prediction": "x", "references": []}
	{"prediction": "x", "references": ["y", null]}
	{"prediction": "x", "reference": "y", "references": ["y"]}
	["x", "y"]
	x
	END
	dies 3 "empty" bd-eval --score /dev/null
	dies 2 "operand" bd-eval --score a b
}

@test "windows: every token but the first counts once, with the context that the stride leaves" {
	printf 'once upon a time there was a story that was good and had an end that was bad or not so bad\n' >text
	bd-data -q --text --tokenizer "$dir/base" --format lines -o long.bds text
	bd-eval "$dir/student" long.bds >whole.json
	n=$(json tokens whole.json)
	bd-eval "$dir/student" --window 10000 long.bds >same.json
	near "$(json nll same.json)" "$(json nll whole.json)"
	bd-eval "$dir/student" --window 8 --stride 3 --predictions w long.bds >cut.json
	[ "$(json tokens cut.json)" -eq "$n" ]
	run -1 near "$(json nll cut.json)" "$(json nll whole.json)"
	[ "$(json examples cut.json)" -eq $(((n + 1 - 8 + 2) / 3 + 1)) ]
	sed 's/.*"tokens":\([0-9]*\).*/\1/' w | sed '1d;$d' | sort -u >steps
	[ "$(cat steps)" = 3 ]
	# Without overlap, the first token of a window has no context and is not predicted.
	bd-eval "$dir/student" --window 8 --stride 8 long.bds >apart.json
	[ "$(json tokens apart.json)" -eq $((n + 1 - (n + 1 + 7) / 8)) ]
	dies 2 "--stride" bd-eval --stride 8 "$dir/student" long.bds
	dies 2 "--stride" bd-eval --window 7 --stride 8 "$dir/student" long.bds
	dies 2 "--generate" bd-eval --window 7 --generate "$dir/student" long.bds
}

@test "input that cannot be evaluated is refused" {
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

@test "a stream of another task, and rows longer than the context, are refused" {
	sed 's/"match"/"other"/; s/{left}/{left} or/' "$dir/task.json" >other.json
	bd-data -q --template other.json --tokenizer "$dir/base" "$dir/rows.tsv" -o other.bds
	dies 3 "other.bds: made with template other, but $dir/teacher was trained with match" bd-eval "$dir/teacher" other.bds
	bd-eval --other-task "$dir/teacher" other.bds | grep -q '"accuracy"'
	bd-eval "$dir/base" other.bds | grep -q '"accuracy"' # it has no task
	bd-teacher-dump -q --model "$dir/teacher" other.bds -o /dev/null
	bd-teacher-dump --model "$dir/teacher" other.bds -o /dev/null 2>err
	grep -F 'other.bds: made with template other' err
	dies 3 "dev.bds: made with another template than other.bds" \
		bd-sft -q --model "$dir/base" -o trained --steps 1 --eval "$dir/dev.bds" other.bds
	cp "$dir/base/tokenizer.json" . # no config: bd-data knows no context
	seq -s ' ' 200 | bd-data --text -m tokenizer.json -o long.bds
	for tool in "bd-eval $dir/base" "bd-sft -q --steps 1 -o trained --model $dir/base" "bd-cpt -q --steps 1 -o trained --model $dir/base" \
		"bd-teacher-dump --model $dir/base -o out.bds"; do
		# shellcheck disable=SC2086 # words
		dies 3 "long.bds: example 0 has " $tool long.bds
		grep -F "tokens, but the model's context is 128" err
	done
	bd-eval --window 128 "$dir/base" long.bds | grep -q '"perplexity"'
	dies 3 "but the model's context is 128" bd-eval --window 129 "$dir/base" long.bds
}
