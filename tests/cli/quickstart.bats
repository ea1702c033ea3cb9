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

# answers ARM SEED RIGHT: as of bd-eval --predictions: 100 rows, of which the first RIGHT are answered rightly.
answers() {
	awk -v right="$3" 'BEGIN { for (i = 1; i <= 100; i++)
		printf "{\"index\": %d, \"tokens\": 1, \"nll\": 0.5, \"label\": 1, \"predicted\": %d, \"probability\": [0.1, 0.9]}\n", i, i <= right
	}' >"$1.$2.test.rows"
}

claims() {
	for awk in awk mawk gawk original-awk; do
		command -v "$awk" >/dev/null || continue
		"$awk" -f "$repo/pipelines/claims.awk" ./*.rows >claims."$awk"
		cmp claims.awk claims."$awk"
	done
	cat claims.awk
}

@test "a share that is closed is claimed with its interval, from rows and seeds" {
	answers teacher 1 90
	answers teacher 2 92
	answers bitnet-sft 1 60
	answers bitnet-sft 2 64
	answers bitdistill 1 80
	answers bitdistill 2 80
	# Teacher - BitNet-SFT, mean 29: per row 4 times 50, 26 times 100, 2 times 50: (275000 - 100 29^2) / 99 / 100 = 19.283; seeds 90, 92
	# and 60, 64: 2/2 + 8/2 = 5; together 4.928^2, with 24.283^2 / (19.283^2/99 + 1 + 4^2) = 28 degrees of freedom: 29 -+ 2.053 4.928.
	# BitDistill - BitNet-SFT, mean 18: (170000 - 100 18^2) / 9900 + 8/2 = 17.899 = 4.231^2, 17 degrees: 18 -+ 2.110 4.231.
	# Covariance (170000 - 100 29 18) / 9900 + 8/2 = 15.899. Fieller with t = 2.110: 732.9 R^2 - 2 451.2 R + 244.3 = 0.
	claims
	diff - claims.awk <<-'END'
		test: 100 rows, 2 seeds, accuracy in percent
		teacher - BitNet-SFT: +29.000 (95 % interval +18.884 to +39.116)
		BitDistill - BitNet-SFT: +18.000 (95 % interval +9.073 to +26.927)
		On test, BitDistill closes 62% of the gap between BitNet-SFT and the teacher (95 % interval 40% to 83%)
	END
}

@test "no share is claimed of a gap of one row in a hundred, of one seed, or where there is no gap" {
	answers teacher 1 71
	answers bitnet-sft 1 70
	answers bitdistill 1 71
	claims | grep -x 'On test, one seed does not tell how much another would differ: no share of the gap is claimed'
	# one row of 100: variance (10000 - 100) / 9900 = 1; 99 degrees of freedom
	grep -xF 'teacher - BitNet-SFT: +1.000 (95 % interval -0.986 to +2.986)' claims.awk
	for seed in 2 3; do
		answers teacher "$seed" 71
		answers bitnet-sft "$seed" 70
		answers bitdistill "$seed" 71
	done
	claims | grep -x 'On test, the gap between BitNet-SFT and the teacher cannot be told from 0: no share of it is claimed'
	for seed in 1 2 3; do
		answers bitnet-sft "$seed" 95
	done
	claims | grep -x 'On test, BitNet-SFT is better than the teacher: there is no gap to close'
}

@test "claims of texts weigh rows by their tokens, and less is better" {
	nll() { # ARM FACTOR FIRST: rows of 1 to 4 tokens, FACTOR nat each, FIRST in the first row
		for seed in 1 2; do
			awk -v f="$2" -v first="$3" 'BEGIN { for (i = 1; i <= 4; i++)
				printf "{\"index\": %d, \"tokens\": %d, \"nll\": %.3f}\n", i, i, i == 1 ? first : f * i }' >"$1.$seed.dev.rows"
		done
	}
	nll teacher 1 1
	nll bitnet-sft 2 3
	nll bitdistill 1.5 1.5
	# 1.0 - 2.1 nat/token; residuals -0.9 0.2 0.3 0.4, variance 1.1 / 3 / 4 / 2.5^2 = 0.1211^2; 3 degrees of freedom: 3.182
	claims
	grep -xF 'teacher - BitNet-SFT: -1.100 (95 % interval -1.485 to -0.715)' claims.awk
	grep -F 'On dev, BitDistill closes 55% of the gap' claims.awk
	sed -i 's/"nll": 1.500/"nll": null/' bitdistill.1.dev.rows
	run -3 awk -f "$repo/pipelines/claims.awk" ./*.rows
	[[ $output == *"bitdistill.1.dev.rows: line 1: the cross entropy is not finite"* ]]
	printf '{"index": 1, "tokens": 1, "nll": 1}\n' >bitdistill.1.dev.rows
	run -3 awk -f "$repo/pipelines/claims.awk" ./*.rows
	[[ $output == *"bitdistill, dev: runs over different rows"* ]]
}
