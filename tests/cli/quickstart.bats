#!/usr/bin/env bats
# The grammar in examples/grammar, and the scripts quickstart.sh and report.sh.

bats_require_minimum_version 1.5.0

setup() {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_TEST_TMPDIR" || return
}

grammar() { # AWK OPTION...
	"$1" "${@:2}" -f "$repo/examples/grammar/grammar.awk"
}

# Copies the pipelines and links to the tools under test, so that a test can replace a tool.
copy_suite() {
	mkdir -p suite/bin
	cp -R "$repo/pipelines" "$repo/examples" suite
	for tool in data init sft subln cpt teacher-dump distill pack run eval bench info; do
		ln -s "$(command -v "bd-$tool")" "suite/bin/bd-$tool"
	done
}

quickstart() { # with a small amount of everything
	sh suite/pipelines/quickstart.sh --out out --rows 40 --tokens 6000 --epochs 1 "$@"
}

@test "every awk writes the same grammar, and a seed changes it" {
	grammar awk -v make=text -v n=50 -v seed=1 >text.1
	grammar awk -v make=text -v n=50 -v seed=2 >text.2
	run -1 cmp -s text.1 text.2
	[ "$(wc -l <text.1)" -eq 50 ]
	for other in mawk gawk original-awk; do
		command -v "$other" >/dev/null || continue
		grammar "$other" -v make=text -v n=50 -v seed=1 | cmp - text.1
	done
}

@test "ranges of rows join up without duplicates, half of the rows are good, and a range beyond the last row is refused" {
	grammar awk -v make=task -v first=1 -v last=1000 -v seed=1 >all.tsv
	grammar awk -v make=task -v first=1 -v last=300 -v seed=1 >a.tsv
	grammar awk -v make=task -v first=301 -v last=1000 -v seed=1 | tail -n +2 | cat a.tsv - | cmp - all.tsv
	[ -z "$(cut -f 1,2 all.tsv | sort | uniq -d)" ]
	[ "$(cut -f 3 all.tsv | grep -cx good)" -eq 500 ]
	run ! grammar awk -v make=task -v first=1 -v last=1001 -v seed=1
	[[ $output == *"not among the 1000"* ]]
}

@test "text and task agree: the words of a sentence give the guest's opinion" {
	grammar awk -v make=task -v first=1 -v last=1000 -v seed=1 >all.tsv
	grammar awk -v make=text -v n=5000 -v seed=4 | sed 's/^{"text": "//; s/"}$//; s/ \. */\n/g' | grep . | awk '
		NR == FNR { taste[$1, $2] = $3; next }
		{
			s = 1
			if (/ (not|never|anything but) /) s = -s
			if (/ (hated|mocked|frowned|bad|awful|poor)/) s = -s
			n++
			right += taste[$1, $4] == (s > 0 ? "good" : "bad")
		}
		END { exit !(n == 15000 && right == n) }' all.tsv -
}

@test "the words of a row say almost nothing about its label" {
	# Naive Bayes over guest and dish, trained on the first half, is hardly better than chance on the second half.
	grammar awk -v make=task -v first=1 -v last=1000 -v seed=1 | tail -n +2 | awk -F '\t' '
		NR <= 500 { c[$3, $1]++; c[$3, $2]++; next }
		{
			s = log((c["good", $1] + 1) / (c["bad", $1] + 1)) + log((c["good", $2] + 1) / (c["bad", $2] + 1))
			right += (s > 0) == ($3 == "good")
		}
		END { print right / 500; exit !(right < 290) }'
}

@test "every word is one token" {
	grammar awk -v make=tokenizer >tokenizer.json
	bd-init -q --tokenizer tokenizer.json -o init "$repo/examples/configs/quickstart.json"
	grammar awk -v make=text -v n=300 -v seed=5 >text.jsonl
	bd-data -q --text --tokenizer init text.jsonl -o text.bds
	words=$(sed 's/^{"text": "//; s/"}$//' text.jsonl | wc -w)
	tokens=$(bd-info -j text.bds | sed -n 's/.*"tokens": *\([0-9]*\).*/\1/p')
	[ "$tokens" -eq "$words" ] || [ "$tokens" -eq $((words + 300)) ] # the latter with the end-of-text tokens
}

@test "quickstart.sh: all stages, the table and the plot; nothing is trained twice" {
	copy_suite
	quickstart >table
	[ "$(wc -l <table)" -eq 4 ]
	[ "$(wc -l <out/table.tsv)" -eq 4 ]
	awk -F '\t' 'NR > 1 && !($2 > 0 && $2 <= 100 && $4 > 0 && $5 > 0 && $6 > 0) { exit 1 }' out/table.tsv
	[ "$(head -c 8 out/report.png | od -An -tx1 | tr -d ' ')" = 89504e470d0a1a0a ]
	touch then
	quickstart >table
	[ -z "$(find out/*/model.safetensors -newer then ! -path 'out/init/*' ! -path 'out/subln/*')" ]
}

@test "quickstart.sh fails if a stage fails" {
	copy_suite
	for tool in teacher-dump bench run; do
		mv "suite/bin/bd-$tool" saved
		printf '#!/bin/sh\nexit 3\n' >"suite/bin/bd-$tool"
		chmod +x "suite/bin/bd-$tool"
		run quickstart
		[ "$status" -ne 0 ]
		mv saved "suite/bin/bd-$tool"
	done
	run -1 sh suite/pipelines/quickstart.sh --nonsense 1
	run -1 sh suite/pipelines/quickstart.sh --rows 950
}

@test "report.sh refuses input that it cannot plot" {
	mkdir empty bad
	run -3 sh "$repo/pipelines/report.sh" empty
	run -3 sh "$repo/pipelines/report.sh" nothing
	run -2 sh "$repo/pipelines/report.sh"
	echo '{"step":1,"ce":0.5}' >bad/a.jsonl
	echo 'no columns' >bad/table.tsv
	run -3 sh "$repo/pipelines/report.sh" bad
	[ ! -e bad/report.png ]
	rm bad/table.tsv
	sh "$repo/pipelines/report.sh" -o bad.png bad
	[ -s bad.png ]
}
