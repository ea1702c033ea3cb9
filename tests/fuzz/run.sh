#!/bin/sh
# Feeds changed inputs to every reader (harness/*.c) for some seconds in all, and says how many. What a sanitizer reports, memory
# that was not released, an input that takes seconds or 256 MB: the exit status is 1, and the input is kept.
#
#	sh tests/fuzz/run.sh SECONDS [HARNESS...]
#	FAST=1 ...        without sanitizers and with small read buffers: several times as many
#	JOBS=2            at a time
#	CORPUS=dir        where inputs that reach new code are kept [build-fuzz/corpus]; failures: CORPUS/failures/HARNESS-*
set -eu
cd "$(dirname "$0")/../.."

test $# -gt 0 || { echo 'usage: run.sh SECONDS [HARNESS...]' >&2; exit 2; }
total=$1
shift
command -v clang >/dev/null || { echo 'run.sh: clang is needed (Debian: apt-get install clang)' >&2; exit 4; }

FAST=${FAST-}
if test -n "$FAST"; then
	build="build-fuzz/fast"
	flags='-O2 -g -DBD_IN_CHUNK=512 -fsanitize=fuzzer-no-link'
else
	build="build-fuzz/san"
	flags='-O2 -g -DBD_SAN -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
fi
make -s -j"${JOBS:-2}" BIN=build-fuzz/bin BUILD=build-fuzz/tools CFLAGS='-O1 -g' build-fuzz/bin/bd-init build-fuzz/bin/bd-data \
	build-fuzz/bin/bd-teacher-dump build-fuzz/bin/bd-subln build-fuzz/bin/bd-sft build-fuzz/bin/bd-pack >/dev/null
make -s -j"${JOBS:-2}" BUILD=$build CC=clang CFLAGS="$flags" FUZZ_MAIN=-fsanitize=fuzzer fuzz

CORPUS=${CORPUS:-build-fuzz/corpus}
mkdir -p "$CORPUS/failures"
PATH=$PWD/build-fuzz/bin:$PATH sh tests/fuzz/seeds.sh "$CORPUS/seeds"

if test $# -eq 0; then
	for h in tests/fuzz/harness/*.c; do
		h=${h##*/}
		set -- "$@" "${h%.c}"
	done
fi
each=$((total * ${JOBS:-2} / $#))
test $each -gt 0 || each=1
BD_ROOT=$PWD
ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1:quarantine_size_mb=1:malloc_context_size=8}
export CORPUS BD_ROOT ASAN_OPTIONS build each

# One harness; its line, and on failure the end of its log.
# shellcheck disable=SC2016 # expanded by the inner shell
printf '%s\n' "$@" | xargs -P "${JOBS:-2}" -I{} sh -c '
	mkdir -p "$CORPUS/{}"
	log=$CORPUS/{}.log
	rc=0
	inputs="$CORPUS/seeds/{}"
	test ! -d "tests/fuzz/corpus/{}" || inputs="$inputs tests/fuzz/corpus/{}"
	"$build/fuzz/{}" -max_total_time="$each" -rss_limit_mb=1024 -malloc_limit_mb=256 -timeout=60 -max_len=16384 \
		-artifact_prefix="$CORPUS/failures/{}-" -print_final_stats=1 "$CORPUS/{}" $inputs >"$log" 2>&1 || rc=$?
	n=$(sed -n "s/^stat::number_of_executed_units: *//p" "$log")
	if test "$rc" -eq 0; then
		echo "{}: ${n:-0}"
	else
		echo "{}: ${n:-0}, FAILED"
		grep -vE "^#|^INFO|^stat::|NEW_FUNC" "$log" | tail -n 60 >&2
		exit 1
	fi' || exit 1
