#!/bin/sh
# Gives every harness in $BUILD/fuzz its seeds and the inputs of corpus/, which once made a reader fail. Prints TAP.
set -u
cd "$(dirname "$0")/../.." || exit 4
BD_ROOT=$PWD
export BD_ROOT
seeds=$(mktemp -d) || exit 4
trap 'rm -rf "$seeds"' EXIT
trap 'exit 4' INT TERM HUP
sh tests/fuzz/seeds.sh "$seeds" || exit 4

n=0
failed=0
for h in tests/fuzz/harness/*.c; do
	h=${h##*/}
	h=${h%.c}
	n=$((n + 1))
	set -- "$seeds/$h"
	test ! -d "tests/fuzz/corpus/$h" || set -- "$@" "tests/fuzz/corpus/$h"
	if output=$("${BUILD:-build}/fuzz/$h" "$@" 2>&1); then
		echo "ok $n - $h: $output"
	else
		echo "not ok $n - $h"
		echo "$output" | sed 's/^/# /'
		failed=1
	fi
done
echo "1..$n"
exit "$failed"
