#!/bin/sh
# The folders of lib/ have an order: a file includes headers, and an object in $BUILD uses symbols, only of its own
# folder or of earlier ones. No modules depend on each other in a circle; a module is NAME.c, NAME.h, NAME.inc and
# the contents of a folder NAME/ beside them.
set -eu
cd "$(dirname "$0")/.."

folders='base machine format text data model math net pack run door eval train'

# Prints lines "A B PLACE": module A, such as "base/io", needs module B.
needs() {
	# shellcheck disable=SC2016 # awk's $
	find lib -name '*.[ch]' -o -name '*.inc' | sort | xargs awk '
	function module(path) {
		sub(/^lib\//, "", path)
		sub(/\.[a-z]*$/, "", path)
		if (path == "bd") # the header of the library
			path = "door/bd"
		split(path, part, "/")
		return part[1] "/" part[2]
	}
	/^#include "/ {
		split($0, quoted, "\"")
		print module(FILENAME), module(quoted[2]), FILENAME ":" FNR
	}'
	find lib -name '*.c' | sed "s,^lib/\(.*\)c\$,$build/\1o," | sort | xargs nm -A -P | awk -v skip="$build/" '
	$2 !~ /^bd_/ || $3 ~ /[a-z]/ { next }
	{
		path = substr($1, length(skip) + 1)
		sub(/\.o:$/, "", path)
		split(path, part, "/")
		name = part[1] "/" part[2]
		if ($3 == "U")
			use[name " " $2] = path
		else
			home[$2] = name
	}
	END {
		for (u in use) {
			split(u, word, " ")
			if (word[2] in home)
				print word[1], home[word[2]], "lib/" use[u] ".c:" word[2]
		}
	}'
}

build=${BUILD:-build}/lib
if ! test -e "$build/base/io.o"; then
	echo "no objects in $build: run make first"
	exit 1
fi
list=$(mktemp)
trap 'rm -f "$list"' EXIT
needs >"$list"

status=0
awk -v folders="$folders" '
BEGIN {
	n = split(folders, name, " ")
	for (i = 1; i <= n; i++)
		place[name[i]] = i
}
{
	split($1, from, "/")
	split($2, to, "/")
	if (!(from[1] in place) || !(to[1] in place))
		what = "is not in the list of folders"
	else if (place[to[1]] > place[from[1]])
		what = "is of a later folder"
	else
		next
	print $3 ": " $1 " needs " $2 ", which " what
	failed = 1
}
END { exit failed }' "$list" || status=1
awk '$1 != $2 { print $1, $2 }' "$list" | sort -u | tsort 2>&1 >/dev/null |
	sed 's/^tsort: //; s/^-: .*/a circle of modules:/' | grep . && status=1

# math/ops.h lists every operation.
nm -P "$build"/math/*.o | awk '$1 ~ /^bd_op_/ && $2 ~ /[RD]/ { print $1 }' | sort -u >"$list"
nm -P "$build/math/ops.o" | awk '$1 ~ /^bd_op_/ { print $1 }' | sort -u | comm -3 "$list" - |
	sed 's/$/: is an operation, but not in math\/ops.h/' | grep . && status=1
exit "$status"
