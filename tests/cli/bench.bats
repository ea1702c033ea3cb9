#!/usr/bin/env bats
# bd-bench: the numbers are present, consistent, and computed right; their size depends on the machine.

load model

setup_file() {
	make_models
	bd-pack student -o student.gguf
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	dir=$BATS_FILE_TMPDIR
}

# column NAME FILE: the values in this column of a CSV file without commas in its fields.
column() {
	awk -F , -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next }
		{ gsub(/"/, "", $c); print $c } END { exit !c }' "$2"
}

# fake SPEED...: makes ./fake, a program that prints as llama-bench -o json does; its n-th run is as fast as the n-th argument says,
# with samples below and above, and decodes at a tenth of that.
fake() {
	echo "$@" >speeds
	cat >fake <<-'END'
	#!/bin/sh
	echo "this is not JSON" >&2
	n=$(($(cat runs 2>/dev/null || echo 0) + 1))
	echo "$n" >runs
	echo "$BD_THREADS $BD_PREFILL $BD_DECODE $BD_DEPTH" >>told
	v=$(cut -d ' ' -f "$n" speeds)
	cat <<-JSON
	[{"model_filename": "/none/peer.gguf", "model_type": "qwen3 Q8_0", "n_threads": $BD_THREADS, "n_prompt": 8, "n_gen": 0,
	  "n_depth": $BD_DEPTH, "avg_ts": 1, "samples_ts": [$((v + 7)), $v, 1]},
	 {"n_threads": $BD_THREADS, "n_prompt": 0, "n_gen": 2, "n_depth": $BD_DEPTH, "avg_ts": $((v / 10))},
	 {"n_threads": 64, "n_prompt": 8, "n_gen": 0, "n_depth": $BD_DEPTH, "avg_ts": 5},
	 {"n_threads": $BD_THREADS, "n_prompt": 8, "n_gen": 2, "n_depth": $BD_DEPTH, "avg_ts": 6}]
	JSON
	END
	chmod +x fake
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
	paste <(json load_seconds a.json) <(json first_token_seconds a.json) | awk '{exit !(0 < $1 && $1 < $2)}'
	paste <(json memory_bytes a.json) <(json peak_bytes a.json) | awk '{exit !(0 < $1 && $1 <= $2)}'
}

@test "lists: every test with every number of threads, in the order given" {
	bd-bench "$dir/student.gguf" -t 1,2 -r 2 -p 8,16 -n 2,4 -d 0,5 --sequences 1,3 --format csv >a.csv
	cat >want <<-'END'
	pp8
	pp16
	tg2
	tg2 x3
	tg4
	tg4 x3
	pp8 @ d5
	pp16 @ d5
	tg2 @ d5
	tg2 x3 @ d5
	tg4 @ d5
	tg4 x3 @ d5
	END
	diff <(cat want want) <(column test a.csv)
	[ "$(column n_threads a.csv | uniq -c | awk '{print $1 ":" $2}' | tr '\n' ' ')" = "12:1 12:2 " ]
	[ "$(column n_depth a.csv | sort | uniq -c | awk '{print $1 ":" $2}' | tr '\n' ' ')" = "12:0 12:5 " ]
	paste <(column min a.csv) <(column q1 a.csv) <(column median a.csv) <(column q3 a.csv) <(column max a.csv) |
		awk '{ if (!(0 < $1 && $1 <= $2 && $2 <= $3 && $3 <= $4 && $4 <= $5)) bad = 1 } END {exit bad}'
	bd-bench "$dir/student.gguf" -t 1 -r 1 -p 0 -n 3 --format csv >b.csv
	[ "$(column test b.csv)" = tg3 ]
}

@test "two models in one run, with the ratio of the pairs" {
	bd-bench "$dir/student.gguf" --vs "$dir/teacher" -t 1 -r 2 --prefill 8 --decode 2 --format json >a.json
	[ "$(json prefill a.json | wc -l)" -eq 3 ]
	[ "$(json file_bytes a.json | sed -n 2p)" -eq "$(stat -c %s "$dir/teacher/model.safetensors")" ]
	# prefill: two models, two measurements each, in turns; the median of two ratios is their mean
	awk '/"prefill":/ { gsub(/[^0-9.e+-]/, "", $2); ratio = $2 }
		/"model":/ { ++side } /"test": / { kind = $2 } /"samples_ts"/ { on = kind ~ /pp8/; next } /\]/ { on = 0 }
		on { sub(/,/, ""); v[++n] = $1 }
		END { r = (v[1] / v[3] + v[2] / v[4]) / 2 / ratio; exit !(n == 4 && r > 0.999999 && r < 1.000001) }' a.json
	bd-bench "$dir/student.gguf" --vs "$dir/teacher" -t 1 -r 1 --prefill 8 --decode 2 >a.txt
	grep -q 'first / this' a.txt
	grep -q '^teacher  *f32 ' a.txt
	[ "$(awk '{ if (length($0) > n) n = length($0) } END { print n }' a.txt)" -le 140 ]
	bd-init -q --dtype bf16 --tokenizer "$BATS_TEST_DIRNAME/../golden/tok-bytes.json" -o halves "$dir/config.json"
	bd-bench halves -t 1 -r 1 -p 4 -n 0 | grep -q '^halves  *bf16  *BF16 '
}

@test "CSV: a header and one row per test and model, all with the same number of columns" {
	bd-bench "$dir/student.gguf" --vs "$dir/teacher" -t 1 -r 1 --prefill 8 --decode 2 --format csv >a.csv
	[ "$(wc -l <a.csv)" -eq 5 ]
	[ "$(awk -F , '{print NF}' a.csv | sort -u | wc -l)" -eq 1 ]
	[ "$(column test a.csv | tr '\n' ' ')" = "pp8 pp8 tg2 tg2 " ]
	[ "$(column weights a.csv | tr '\n' ' ')" = "ternary f32 ternary f32 " ]
	cp "$dir/student.gguf" 'a "b", c.gguf'
	bd-bench 'a "b", c.gguf' -t 1 -r 1 -p 8 -n 0 --format csv | grep -qF '"a ""b"", c.gguf","ternary",'
}

@test "examples of a task per second, with the accuracy of bd-eval" {
	bd-bench "$dir/student.gguf" -t 1 -r 1 --prefill 8 --decode 2 --task "$dir/dev.bds" --format json >a.json
	bd-eval "$dir/student.gguf" "$dir/dev.bds" >b.json
	near "$(json accuracy a.json)" "$(json accuracy b.json)"
	json examples a.json | awk '{exit !($1 > 0)}'
}

@test "roofline: peaks, and the share that a test reaches" {
	bd-bench "$dir/student.gguf" -t 1,2 -r 3 -p 16 -n 4 -d 0,6 --roofline --format csv >a.csv
	for what in bandwidth int8 f32; do
		[ "$(column $what a.csv | sort -u | wc -l)" -eq 2 ]
		column $what a.csv | awk '!($1 > 1e8) { exit 1 }'
	done
	# nothing computes faster than the peak; a model as small as this one is read from caches
	paste <(column n_prompt a.csv) <(column of_peak a.csv) | awk '$1 > 0 { n++; if (!(0 < $2 && $2 < 1.5)) exit 1 } END {exit !n}'
	# 2 multiplications and additions of each of these weights
	weights=$((2 * (96 * 64 + 2 * 48 * 64 + 64 * 96 + 3 * 140 * 64)))
	paste <(column n_prompt a.csv) <(column median a.csv) <(column int8 a.csv) <(column of_peak a.csv) |
		awk -v w=$weights '$1 > 0 { r = 2 * w * $2 / $3 / $4; if (r < 0.9999 || r > 1.0001) exit 1 }'
	# decoding 4 tokens behind d others sees d + 2.5 positions on average: 2 layers of 2 heads of 24 keys and values in f32
	bytes=$(bd-bench "$dir/student.gguf" -t 1 -r 1 -p 4 -n 1 --format json | sed -n 's/.*"read_bytes": \([0-9]*\).*/\1/p')
	paste <(column n_gen a.csv) <(column n_depth a.csv) <(column median a.csv) <(column bandwidth a.csv) <(column of_peak a.csv) |
		awk -v b="$bytes" '$1 > 0 { r = (b + ($2 + 2.5) * 2 * 2 * 2 * 24 * 4) * $3 / $4 / $5; if (r < 0.9999 || r > 1.0001) exit 1 }'
	bd-bench "$dir/student.gguf" -t 1 -r 1 -p 16 -n 4 --roofline | grep -q '^1 thread: bandwidth .* int8 .* f32 '
}

@test "without --roofline no share of what is computed" {
	bd-bench "$dir/student.gguf" -t 1 -r 1 -p 16 -n 4 --format csv >a.csv
	[ -z "$(column int8 a.csv | tr -d '\n')" ]
	[ "$(column peak a.csv | tr '\n' ' ')" = " bandwidth " ]
}

@test "a program beside the model: run in every repetition, matched by test and threads, ratios of the pairs" {
	fake 100 1000 400
	bd-bench "$dir/student.gguf" --vs-cmd ./fake -t 1 -r 3 -p 8 -n 2 -d 3 --format json >a.json 2>err
	[ "$(cat told)" = "$(printf '1 8 2 3\n1 8 2 3\n1 8 2 3\n')" ]
	[ "$(cat err)" = "$(printf 'this is not JSON\n%.0s' 1 2 3)" ]
	awk '/"test": / { kind = $2 } /"ratio":/ && kind { sub(/,/, "", $2); ratio[kind] = $2 }
		/"median":/ { sub(/,/, "", $2); median[kind] = $2 + 0 }
		/"samples_ts"/ { on = 1; next } /\]/ { on = 0 } on { sub(/,/, ""); v[kind, ++n[kind]] = $1 }
		function check(kind, x, y, z,	a, b, c, m) {
			a = v[kind, 1] / x; b = v[kind, 2] / y; c = v[kind, 3] / z
			m = a + b + c - (a > b ? (a > c ? a : c) : (b > c ? b : c)) - (a < b ? (a < c ? a : c) : (b < c ? b : c))
			if (m / ratio[kind] < 0.9999 || m / ratio[kind] > 1.0001 || median[kind] != z) exit 1
		}
		END { check("\"pp8", 100, 1000, 400); check("\"tg2", 10, 100, 40) }' a.json
	grep -q '"model": "/none/peer.gguf"' a.json
	grep -q '"weights": "qwen3 Q8_0"' a.json
	fake 1 2
	rm runs
	bd-bench "$dir/student.gguf" --vs "$dir/teacher" --vs-cmd ./fake -t 1,2 -r 1 -p 8 -n 0 --format csv >a.csv 2>err
	[ "$(tail -n 2 told)" = "$(printf '1 8 0 0\n2 8 0 0')" ]
	[ "$(column median a.csv | awk 'NR % 3 == 0' | tr '\n' ' ')" = "1 2 " ]
	paste <(column ratio a.csv) <(column median a.csv) | awk 'NR % 3 == 1 { mine = $1 } NR % 3 == 0 { r = mine / $2 / $1; if (r < 0.9999 || r > 1.0001) exit 1 }'
}

@test "bd-bench beside another bd-bench" {
	bd-bench "$dir/student.gguf" -t 1 -r 2 -p 4 -n 2 --format csv \
		--vs-cmd "bd-bench '$dir/teacher' -t \$BD_THREADS -p \$BD_PREFILL -n \$BD_DECODE -d \$BD_DEPTH -r 1 --format json" >a.csv
	[ "$(column weights a.csv | tr '\n' ' ')" = "ternary f32 ternary f32 " ]
	[ "$(column head a.csv | tr '\n' ' ')" = "F16 F32 F16 F32 " ]
	column ratio a.csv | awk 'NR % 2 == 0 && !($1 > 0) { exit 1 }'
}

@test "a program that fails, or says something else" {
	says() { # STATUS MESSAGE OUTPUT
		printf '%s\n' "$3" >output
		dies "$1" "$2" bd-bench "$dir/student.gguf" -t 1 -r 1 -p 8 -n 0 --vs-cmd 'cat output'
	}
	result='{"n_prompt": 8, "n_gen": 0, "n_threads": 1, "avg_ts": 5}'
	says 3 "not JSON: line 1" 'model | size'
	says 3 "not JSON" ''
	says 3 "not JSON" "[$result"
	says 3 "no array of results" '{"n_prompt": 8}'
	says 3 "no array of results" '[]'
	says 3 "result 1 lacks n_prompt, n_gen or n_threads" "[$result, 7]"
	says 3 "no result for pp8 with 1 threads" '[{"n_prompt": 8, "n_gen": 0, "n_threads": 2, "avg_ts": 5}]'
	says 3 "no result for pp8" '[{"n_prompt": 8, "n_gen": 0, "n_threads": 1, "n_depth": 1, "avg_ts": 5}]'
	says 3 "two results for pp8 with 1 threads" "[$result, $result]"
	says 3 "has no speed in samples_ts or avg_ts" '[{"n_prompt": 8, "n_gen": 0, "n_threads": 1}]'
	says 3 "has no speed" '[{"n_prompt": 8, "n_gen": 0, "n_threads": 1, "samples_ts": [1, "x"]}]'
	says 3 "has no speed" '[{"n_prompt": 8, "n_gen": 0, "n_threads": 1, "avg_ts": 0}]'
	dies 4 "failed with exit status 5" bd-bench "$dir/student.gguf" -t 1 -r 1 -p 8 -n 0 --vs-cmd "echo '[$result]'; exit 5"
	dies 4 "ended by signal 9" bd-bench "$dir/student.gguf" -t 1 -r 1 -p 8 -n 0 --vs-cmd "kill -9 \$\$"
	dies 4 "was not found" bd-bench "$dir/student.gguf" -t 1 -r 1 -p 8 -n 0 --vs-cmd "exec ./nothing 2>/dev/null"
}

@test "kernels: every operation in the shapes of the model" {
	bd-bench --kernels "$dir/student.gguf" -t 1 -r 2 -p 8 --sequences 1,2 -d 0,6 --format csv >a.csv
	[ "$(tail -n +2 a.csv | cut -d '"' -f 2 | sort -u | tr '\n' ':')" = 'attention:head:linear down:linear gate up:linear k v:linear o:linear q:norm, quantise:' ]
	grep -q '^"linear gate up","ternary","140 x 64",8,0,1,' a.csv
	grep -q '^"head","F16","384 x 64",2,0,1,' a.csv
	grep -q '^"attention","f32","4 of 2 x 24",8,6,1,' a.csv
	# operations of a linear: 2 x 140 x 64 x tokens
	awk -F , '/^"linear gate up"/ { n++; r = 2 * 140 * 64 * $4 / $7 / $10; if (r < 0.9999 || r > 1.0001) exit 1 } END {exit n != 3}' a.csv
	bd-bench --kernels "$dir/config.json" -t 1 -r 1 -p 8 --roofline --format json >a.json # no weights needed
	[ "$(json seconds a.json | awk '$1 > 0' | wc -l)" -eq "$(grep -c '"operation"' a.json)" ]
	grep -q '"type": "F32"' a.json
	sed 's/"hidden_size": 64/"hidden_size": 64, "dtype": "bfloat16"/' "$dir/config.json" >halves.json
	bd-bench --kernels halves.json -t 1 -r 1 -p 8 --format csv | grep -q '^"linear q","BF16","96 x 64",8,'
	bd-bench --kernels "$dir/student" -t 1 -r 1 -p 8 | grep -q '^head .* F32 '
}

@test "bench.sh: numbers, tables and a plot, of students, full precision and a peer" {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	command -v gnuplot >/dev/null || skip "gnuplot is missing"
	mkdir -p suite/bin peer
	cp -R "$repo/pipelines" suite
	for tool in init subln pack bench run distill; do
		ln -s "$(command -v "bd-$tool")" "suite/bin/bd-$tool"
	done
	cat >peer/llama-bench <<-'END'
	#!/bin/sh
	echo "$*" >>told
	shift 6
	cat <<-JSON
	[{"model_type": "qwen3 Q8_0", "n_threads": $2, "n_prompt": $4, "n_gen": 0, "n_depth": $8, "samples_ts": [100]},
	 {"n_threads": $2, "n_prompt": 0, "n_gen": $6, "n_depth": $8, "samples_ts": [10]}]
	JSON
	END
	chmod +x peer/llama-bench
	measure() { PATH=$PWD/peer:$PATH sh suite/pipelines/bench.sh --quick --out results --threads 1 --reps 1 --heads q8_0,q4_0 "$@"; }
	LLAMA_MODEL="a model.gguf" measure >table 2>err
	cat err
	cmp table results/bench.md
	[ "$(head -n 1 told)" = "-m a model.gguf -o json -r 1 -t 1 -p 16 -n 4 -d 0" ]
	# 2 heads, 4 tests, 3 sides, all with as many columns as the header
	[ "$(wc -l <results/bench.tsv)" -eq 25 ]
	[ "$(awk -F '\t' '{print NF}' results/bench.tsv | sort -u | wc -l)" -eq 1 ]
	[ "$(cut -f 1,2 results/bench.tsv | sort | uniq -c | awk '{print $1 $2 $3}' | tr '\n' ' ')" = "4q4_0full 4q4_0ours 4q4_0peer 4q8_0full 4q8_0ours 4q8_0peer 1runside " ]
	grep -q '^| ternary, head q4_0 |.* | 1 | .*%)' table
	grep -q '^| full precision (bf16) |.* | 1 | .*%)' table
	grep -q '^| qwen3 Q8_0 | .* | 1 | 100 | 10.0 | 100 | 10.0 |$' table
	grep -q '^| q4_0 | qwen3 Q8_0 | 1 | [0-9.]* ([0-9.]*-[0-9.]*) | ' table
	# the ratio of the table is that of the numbers: 100 and 10 are the peer's
	awk -F '\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
		$2 == "ours" { mine[$1, $at["test"]] = $at["median"] }
		$2 == "peer" { n++; r = mine[$1, $at["test"]] / $at["median"] / $at["ratio"]; if (r < 0.999 || r > 1.001) bad = 1 }
		END { exit bad || n != 8 }' results/bench.tsv
	[ "$(head -c 4 results/bench.png | tail -c 3)" = PNG ]
	[ "$(grep -c . results/bench.4.dat)" -eq 12 ] # four lines of a title and two contexts
	touch -d 2020-01-01 results/full/config.json
	measure >table 2>err # without a peer; the models are there
	[ "$(cut -f 2 results/bench.tsv | sort -u | tr '\n' ' ')" = "full ours side " ]
	[ results/full/config.json -ot results/config.json ]
	dies 1 "unknown option" sh suite/pipelines/bench.sh --slow x
}

@test "bad input" {
	dies 3 "nothing" bd-bench nothing
	dies 3 "nothing" bd-bench --kernels nothing
	dies 2 "repetitions" bd-bench "$dir/teacher" -r 0
	dies 2 '--prefill: "x" is not a whole number' bd-bench "$dir/teacher" -p 1,x
	dies 2 '--decode: "" is not a whole number' bd-bench "$dir/teacher" -n 1,
	dies 2 '--depth: -1 is out of range' bd-bench "$dir/teacher" -d -1
	dies 2 '--threads: 0 is out of range' bd-bench "$dir/teacher" -t 1,0
	dies 2 '--threads: more than 16 numbers' bd-bench "$dir/teacher" -t 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1
	dies 2 'nothing to measure' bd-bench "$dir/teacher" -p 0 -n 0
	dies 2 'leave out --vs' bd-bench "$dir/teacher" --kernels --vs "$dir/teacher"
}
