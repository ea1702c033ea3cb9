#!/usr/bin/env bats
# Provenance: every output records the runs that made it, from the first model to the packed file and its score.

load model

bats_require_minimum_version 1.5.0

setup_file() {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_FILE_TMPDIR" || return
	unset SOURCE_DATE_EPOCH
	cp "$repo/tests/golden/tok-bytes.json" tok.json
	cp "$repo/examples/configs/tiny-llama.json" config.json
	cp "$repo/examples/templates/sst2.json" task.json
	printf 'sentence\tlabel\n' >rows.tsv
	for i in 1 2 3 4; do printf 'a joy %s\t1\nno joy %s\t0\n' $i $i; done >>rows.tsv
	bd-init -q --tokenizer tok.json -o base config.json
	bd-data -q --template ./task.json --tokenizer base -o rows.bds rows.tsv
	bd-sft -q --model base -o teacher rows.bds
	bd-subln base -o s0
	bd-teacher-dump -q --model teacher rows.bds | bd-distill -q --model s0 -o s1 --log s1.log
	bd-pack -q s1 -o s1.gguf
	bd-eval s1.gguf rows.bds >score.json
	bd-bench -p 4 -n 2 -r 1 --format json s1.gguf >bench.json
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return
}

# tools FILE: prints the tools in its history, in order, on one line.
tools() {
	bd-info "$1" | sed -n '/^history:/,/^[^ ]/s/^  \(bd-[a-z-]*\) [0-9].*/\1/p' | tr '\n' ' '
}

@test "the history from the first model to the packed file has each run once" {
	[ "$(tools rows.bds)" = "bd-data " ]
	[ "$(tools teacher)" = "bd-init bd-data bd-sft " ]
	chain="bd-init bd-subln bd-data bd-sft bd-teacher-dump bd-distill "
	[ "$(tools s1)" = "$chain" ]
	[ "$(tools s1.gguf)" = "${chain}bd-pack " ]
	[ "$(tools score.json)" = "${chain}bd-pack bd-eval " ]
	[ "$(tools bench.json)" = "${chain}bd-pack bd-bench " ]
	bd-pack -q -d s1.gguf -o back
	[ "$(tools back)" = "${chain}bd-pack bd-pack " ]
}

@test "a run records its command and its inputs" {
	version=$(bd-info --version)
	version=${version#bd-info }
	base=$(bd-info --check base | sed -n 's/^digest: //p')
	[ ${#base} -eq 32 ]
	bd-info s1.gguf | grep -A 1 -F "  bd-subln $version: bd-subln base -o s0" | grep -qx " *<- model $base"
	bd-info s1.gguf | grep -qE '^ +<- text [0-9a-f]{32}, tokenizer [0-9a-f]{32}$'
	bd-info s1.gguf | grep -qE '^ +<- model [0-9a-f]{32}, teacher stream [0-9a-f]{16}$'
	[ "$(sed -n 's/.*"history":\[.*bd-distill -q --model s0.*/yes/p' s1.log | head -n 1)" = yes ]
}

@test "no output contains a path of this machine" {
	run ! grep -raF "$BATS_FILE_TMPDIR" base teacher s0 s1 s1.gguf s1.log score.json bench.json
	zstd -dqc rows.bds >rows.plain
	run ! grep -aF "$BATS_FILE_TMPDIR" rows.plain
}

@test "the same run gives the same bytes; the date is that of SOURCE_DATE_EPOCH" {
	cp s1.gguf first.gguf
	bd-pack -q s1 -o s1.gguf
	cmp first.gguf s1.gguf
	SOURCE_DATE_EPOCH=1700000000 bd-subln base -o dated
	bd-info dated | grep -q '^  bd-subln [0-9.]* (2023-11-14T22:13:20Z): bd-subln base -o dated$'
	SOURCE_DATE_EPOCH=yesterday dies 2 SOURCE_DATE_EPOCH bd-subln base -o wrong
	[ ! -e wrong ]
}

@test "bd-info --check: a changed letter in the header of a packed file" {
	bd-info --check s1.gguf >out
	grep -qx 'wrong_digests: 0' out
	sed 's/bd-subln base -o s0/bd-subln fake -o s0/' s1.gguf >fake.gguf
	run ! cmp -s s1.gguf fake.gguf
	run -3 bd-info --check fake.gguf
	[[ $output == *"fake.gguf: its keys are not what was written"* ]]
	run -3 bd-info fake.gguf
	bd-info --no-verify fake.gguf | grep -q 'bd-subln fake -o s0'
}
