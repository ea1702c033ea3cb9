#!/bin/sh
# Sets up, builds and runs every test; the last line is "N passed, N failed[, N skipped]".
# The exit status is 0 only if something ran and nothing failed.
#
#   sh tests/run.sh            everything
#   SAN=1 sh tests/run.sh      under AddressSanitizer and UndefinedBehaviorSanitizer, in build-san/; with CC=clang, too, in
#                              build-san-clang/
#   BUILD=dir BIN=dir ...      in other directories
#   BD_DEPS=no ...             without installing missing packages: it only says what they are
#   BD_DATA=dir ...            including the tests that need real models
set -u
cd "$(dirname "$0")/.." || exit 4

SAN=${SAN-}
if test -n "$SAN"; then
	case ${CC-} in
	*clang*) : "${BUILD:=build-san-clang}" ;;
	*) : "${BUILD:=build-san}" ;;
	esac
	: "${BIN:=$BUILD/bin}"
fi
: "${BUILD:=build}" "${BIN:=bin}"

passed=0
failed=0
skipped=0

finish() {
	rm -f "$tap"
	printf '\n'
	if test "$skipped" -gt 0; then
		echo "$passed passed, $failed failed, $skipped skipped"
	else
		echo "$passed passed, $failed failed"
	fi
	test "$failed" -eq 0 && test "$passed" -gt 0
	exit
}

# run_tap NAME COMMAND...: runs a command that prints TAP and adds up its tests. A command that fails without reporting a
# failed test, stops before the end of its plan or has no tests at all counts as one more failure.
run_tap() {
	name=$1
	shift
	began=$(date +%s)
	"$@" >"$tap" 2>&1
	status=$?
	took=$(($(date +%s) - began))
	counts=$(awk -v status="$status" '
		/^1\.\.[0-9]+/ { plan += substr($1, 4) }
		/^(not )?ok .*# ?[Ss][Kk][Ii][Pp]/ { s++; next }
		/^ok / { p++ }
		/^not ok / { f++ }
		END {
			if (p + f + s == 0 || p + f + s != plan || (status != 0 && f == 0))
				f++
			print p + 0, f + 0, s + 0
		}' "$tap")
	# shellcheck disable=SC2086 # three numbers
	set -- $counts
	echo "$name: $1 passed, $2 failed, $3 skipped ($took s)"
	test "$2 $3" = '0 0' || grep -viE '^(1\.\.|ok [^#]*$)' "$tap" # the failed and skipped tests, with reasons
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + $3))
}

tap=$(mktemp) || exit 4
trap 'rm -f "$tap"; exit 4' INT TERM HUP

sh pipelines/deps.sh || { failed=1; finish; }
make -j"$(nproc)" BUILD="$BUILD" BIN="$BIN" SAN="$SAN" all tests || { failed=1; finish; }

mkdir -p "$BIN"
BUILD=$(cd "$BUILD" && pwd)
BIN=$(cd "$BIN" && pwd)
export BUILD BIN SAN
PATH=$BIN:$PATH

for source in tests/unit/test_*.c tests/unit/*/test_*.c; do
	name=${source#tests/unit/}
	name=${name%.c}
	run_tap "unit/$name" env CMOCKA_MESSAGE_OUTPUT=TAP "$BUILD/tests/$name"
done
for f in tests/cli/*.bats; do
	test -e "$f" && run_tap "${f#tests/}" bats --tap "$f"
done
run_tap fuzz/corpus sh tests/fuzz/replay.sh
run_tap lint sh tests/lint.sh
finish
