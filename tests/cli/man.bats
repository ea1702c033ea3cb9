#!/usr/bin/env bats
# The manual: every tool has a page that is clean and documents all options, and the examples run as printed.
#
# An example is any .Dl or .Bd -literal in the section EXAMPLES of a tool's page, or anywhere in bd.7; "$ " is its prompt. All of
# them run in one directory, with small files under the names that the pages use, and every command must exit 0. Exceptions are
# stated in a comment before the example: `.\" exits 1: COMMAND`, one for each command whose result is rightly negative, and
# `.\" not run: WHY` for an example that cannot run there. A display that begins with "{" is a file, not a command.

bats_require_minimum_version 1.5.0

setup_file() {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_FILE_TMPDIR" || return
	make_world
}

setup() {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_FILE_TMPDIR" || return
}

# Makes what the examples refer to: models, rows, streams, text, packed files.
make_world() {
	ln -s "$repo/examples" examples
	cp examples/templates/sst2.json sst2 # the bare name is found only if BIN is beside examples or installed
	cp examples/templates/qnli.json qnli.json
	mkdir tok
	cp "$repo/tests/golden/tok-bytes.json" tok/tokenizer.json
	sed 's/"max_position_embeddings": [0-9]*/"max_position_embeddings": 1024/; s/"hidden_size": [0-9]*/"hidden_size": 64/' \
		examples/configs/tiny-qwen3.json >config.json
	bd-init -q --tokenizer tok/tokenizer.json -o base config.json
	printf 'body\tsubject\na long mail\tit is good\nanother\tthe end\n' | bd-data -q --template examples/templates/aeslc.json --tokenizer base -o titles.bds
	bd-sft -q -t 1 --model base -o titles --epochs 2 titles.bds
	cp -R base Qwen3-0.6B
	cp -R base stories
	printf 'question\tsentence\tlabel\n' >train.tsv
	for i in 1 2 3; do
		printf 'is it %s\ta joy to watch %s\t1\nis it %s\ttoo long by %s minutes\t0\n' "$i" "$i" "$i" "$i"
	done >>train.tsv
	cp train.tsv dev.tsv
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		printf '{"text": "%s"}\n' "Once upon a time there were $i pigs, and $i wolves who came to see them in the evening."
	done >corpus.jsonl
	zstd -q corpus.jsonl
	bd-data -q --template sst2 --tokenizer base -o train.bds train.tsv
	bd-data -q --template qnli.json --tokenizer base -o qnli.bds dev.tsv
	cp train.bds dev.bds
	bd-sft -q -t 1 --model base -o teacher train.bds
	bd-subln -q base -o s0
	bd-sft -q -t 1 --model s0 -o student train.bds
	bd-sft -q -t 1 --model s0 -o qnli qnli.bds
	for name in s1 s2 run1 run2; do cp -R student "$name"; done
	bd-pack -q --embd f32 student -o student.gguf
	bd-pack -q qnli -o qnli.gguf
	cp student.gguf sst2.gguf
}

# Writes the examples of a page as shell scripts example.1, example.2 ... that append "STATUS COMMAND" to `failed` for each
# command that fails, and the lines that are expected there as example.N.fails.
extract() {
	awk '
		/^\.Sh / { on = $2 == "EXAMPLES" || FILENAME ~ /bd\.7$/ }
		/^\.\\" not run: / { skip = 1; next }
		/^\.\\" exits [1-9][0-9]*: / {
			line = $0
			sub(/^\.\\" exits /, "", line)
			sub(/: /, " ", line)
			fails = fails line "\n"
			next
		}
		!on { next }
		/^\.Dl / { line = $0; sub(/^\.Dl /, "", line); if (!dl) start(); dl = 1; put(line); next }
		{ dl = 0 }
		/^\.Bd -literal/ { start(); inside = 1; next }
		/^\.Ed/ { inside = 0; next }
		inside { put($0) }
		function start() {
			if (skip) file = ""
			else {
				file = "example." ++n
				print "trap \047echo \"$? $BASH_COMMAND\" >>failed\047 ERR" >file
				printf "%s", fails >(file ".fails")
			}
			skip = 0
			fails = ""
			first = 1
		}
		function put(line) {
			gsub(/\\e/, "\\", line)
			sub(/^\$ /, "", line)
			if (first && line ~ /^{/ && file != "") { printf "" >file; file = "" }
			first = 0
			if (file != "") print line >file
		}' "$1"
}

# Runs the examples of a page, except those that need jq if it is not installed.
run_examples() {
	cp -R "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR/world"
	cd "$BATS_TEST_TMPDIR/world" || return
	extract "$repo/man/$1"
	ran=
	for example in example.*[0-9]; do
		[ -s "$example" ] || continue
		if grep -q '| jq' "$example" && ! command -v jq >/dev/null; then continue; fi
		# Remove earlier results that would be in the way of -o.
		sed -n 's/.* -o \([^ ]*\).*/\1/p' "$example" | xargs rm -rf
		cat "$example"
		ran=1
		status=0
		: >failed
		bash -o pipefail "$example" </dev/null || status=$?
		diff "$example.fails" failed
		[ "$status" -eq 0 ] || [ "$status" = "$(tail -n 1 failed | cut -d ' ' -f 1)" ]
	done
	[ -n "$ran" ]
}

@test "examples of bd-bench.1" {
	run_examples bd-bench.1
}

@test "examples of bd-cpt.1" {
	run_examples bd-cpt.1
}

@test "examples of bd-data.1" {
	run_examples bd-data.1
}

@test "examples of bd-distill.1" {
	run_examples bd-distill.1
}

@test "examples of bd-eval.1" {
	run_examples bd-eval.1
}

@test "examples of bd-info.1" {
	run_examples bd-info.1
}

@test "examples of bd-init.1" {
	run_examples bd-init.1
}

@test "examples of bd-pack.1" {
	run_examples bd-pack.1
}

@test "examples of bd-run.1" {
	run_examples bd-run.1
}

@test "examples of bd-sft.1" {
	run_examples bd-sft.1
}

@test "examples of bd-subln.1" {
	run_examples bd-subln.1
}

@test "examples of bd-teacher-dump.1" {
	run_examples bd-teacher-dump.1
}

@test "examples of bd-template.5" {
	run_examples bd-template.5
}

@test "examples of bd.7" {
	run_examples bd.7
}

# Print as lines "LETTER NAME": the options in `bd-x --help`, and those described in manual pages.
helps() {
	"$1" --help | sed -nE 's/^  (-(.), |    )--([a-z0-9-]+).*/\2 \3/p' | sort
}
describes() {
	grep -h '^\.It .*Fl Fl' "$@" | grep -oE '(Fl . , )?Fl Fl [a-z0-9-]+' | sed -E 's/^(Fl (.) , )?Fl Fl (.*)/\2 \3/' | sort -u
}

@test "every option of every tool is in its page or a common option in bd.7, with its letter; and no page has others" {
	for source in "$repo"/bin/bd-*.c; do
		tool=$(basename "$source" .c)
		pages=("$repo/man/$tool.1" "$repo/man/bd.7")
		# Some pages refer to the page of another trainer.
		other=$(sed -nE '/(options are those|is the trainer) of$/{n;s/^\.Xr (bd-[a-z-]+) 1.*/\1/p}' "$repo/man/$tool.1")
		[ -z "$other" ] || pages+=("$repo/man/$other.1")
		helps "$tool" >has
		[ -s has ]
		describes "${pages[@]}" >says
		echo "$tool: help (<) and manual (>)"
		diff has says
	done
}

@test "the common options are those of bd.7" {
	bd-info --help | awk '/^$/ { n++ } n == 3' | sed -nE 's/^  (-(.), |    )--([a-z0-9-]+).*/\2 \3/p' | sort >has
	[ "$(wc -l <has)" -ge 6 ]
	describes "$repo/man/bd.7" | diff has -
}

@test "every page of a tool has the standard sections" {
	for page in "$repo"/man/*.1; do
		echo "$page"
		for section in NAME SYNOPSIS DESCRIPTION 'EXIT STATUS' EXAMPLES 'SEE ALSO'; do
			grep -qx ".Sh $section" "$page"
		done
		grep -q '^\.Xr bd 7$' "$page"
	done
}

@test "every page is clean" {
	for page in "$repo"/man/*.[1-9]; do
		mandoc -T lint -W warning "$page"
		[ -z "$(grep -n '^\.D[l1] .*"' "$page")" ] # mdoc takes the quotes away
	done
}
