#!/usr/bin/env bats
# bd-bench: the numbers are present and consistent; their size depends on the machine.

load model

setup_file() {
	make_models
	bd-pack student -o student.gguf
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	dir=$BATS_FILE_TMPDIR
}

@test "JSON: medians between minimum and maximum" {
	bd-bench "$dir/student.gguf" -t 1 -r 3 --prefill 16 --decode 4 --format json >a.json
	for what in prefill decode; do
		paste <(json ${what}_min a.json) <(json $what a.json) <(json ${what}_max a.json) |
			awk '{exit !(0 < $1 && $1 <= $2 && $2 <= $3)}'
	done
	[ "$(json file_bytes a.json)" -eq "$(stat -c %s "$dir/student.gguf")" ]
	json bandwidth a.json | awk '{exit !($1 > 0)}'
	# two layers of 96x64, 2 times 48x64, 64x96, 2 times 140x64 and 64x140 codes in rows of 32 or 64 bytes; head of 384x64 f16
	codes=$((2 * (96 * 32 + 2 * 48 * 32 + 64 * 32 + 2 * 140 * 32 + 64 * 64)))
	[ "$(json read_bytes a.json)" -gt $((codes + 384 * 64 * 2)) ]
	[ "$(json read_bytes a.json)" -lt $((codes + 384 * 64 * 2 + 8000)) ]
}

@test "two models in one run, with their ratio" {
	bd-bench "$dir/student.gguf" --vs "$dir/teacher" -t 1 -r 2 --prefill 8 --decode 2 --format json >a.json
	[ "$(json prefill a.json | wc -l)" -eq 3 ]
	[ "$(json file_bytes a.json | sed -n 2p)" -eq "$(stat -c %s "$dir/teacher/model.safetensors")" ]
	json prefill a.json | tr '\n' ' ' | awk '{r = $1 / $2 / $3; exit !(r > 0.999 && r < 1.001)}'
	bd-bench "$dir/student.gguf" --vs "$dir/teacher" -t 1 -r 1 --prefill 8 --decode 2 >a.txt
	grep -q '^first / second: prefill' a.txt
}

@test "CSV: a header and one row per model, all with the same number of columns" {
	bd-bench "$dir/student.gguf" --vs "$dir/teacher" -t 1 -r 1 --prefill 8 --decode 2 --format csv >a.csv
	[ "$(wc -l <a.csv)" -eq 3 ]
	[ "$(awk -F , '{print NF}' a.csv | sort -u | wc -l)" -eq 1 ]
}

@test "examples of a task per second, with the accuracy of bd-eval" {
	bd-bench "$dir/student.gguf" -t 1 -r 1 --prefill 8 --decode 2 --task "$dir/dev.bds" --format json >a.json
	bd-eval "$dir/student.gguf" "$dir/dev.bds" >b.json
	near "$(json accuracy a.json)" "$(json accuracy b.json)"
	json examples a.json | awk '{exit !($1 > 0)}'
}

@test "bad input" {
	dies 3 "nothing" bd-bench nothing
	dies 2 "repetitions" bd-bench "$dir/teacher" -r 0
}
