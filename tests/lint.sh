#!/bin/sh
# Checks code, manual pages and shell scripts. Needs the objects in $BUILD, for the symbols that they use. Prints TAP.
set -u
cd "$(dirname "$0")/.." || exit 4

n=0
failed=0

# check NAME COMMAND...: runs one test; the output of the command is shown if it fails.
check() {
	name=$1
	shift
	n=$((n + 1))
	if output=$("$@" 2>&1); then
		case $output in
		'SKIP '*) echo "ok $n - $name # $output" ;;
		*) echo "ok $n - $name" ;;
		esac
	else
		echo "not ok $n - $name"
		echo "$output" | sed 's/^/# /'
		failed=1
	fi
}

check "order of the folders of lib/" sh tests/lint-folders.sh
for what in format lines sizes; do
	check "$what of code" sh tests/lint-code.sh "$what"
done
for f in man/*.[0-9]; do
	test -e "$f" && check "mandoc $f" mandoc -T lint -W warning "$f"
done
for f in .ci/run $(find . -name '*.sh' ! -path './build*' ! -path './.git/*' | sort); do
	check "shellcheck $f" shellcheck -x -P SCRIPTDIR "$f"
done
for f in tests/cli/*.bats tests/cli/*.bash; do
	test -e "$f" && check "shellcheck $f" shellcheck -s bash -S error "$f"
done
echo "1..$n"
exit "$failed"
