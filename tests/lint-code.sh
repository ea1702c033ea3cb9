#!/bin/sh
# Rules for C code.
#
#   sh tests/lint-code.sh format   clang-format 14 leaves it unchanged
#   sh tests/lint-code.sh lines    at most 110 columns; sizeof(x) with its parentheses
#   sh tests/lint-code.sh sizes    files of lib/: at most 450 lines; functions: at most 60, and 8 parameters. A function
#                                  is what the format makes of it: name and "(" at the margin, then "{" and "}" there.
set -eu
cd "$(dirname "$0")/.."

sources() {
	find "$@" -name '*.[ch]' -o -name '*.inc' | LC_ALL=C sort
}

format() {
	tool=$(command -v clang-format-14 || command -v clang-format) || {
		echo "clang-format is missing"
		return 1
	}
	case $("$tool" --version) in
	*' 14.'*) sources lib bin tests examples | xargs "$tool" --dry-run -Werror ;;
	*) echo "SKIP $tool is not version 14, and others format differently" ;;
	esac
}

lines() {
	status=0
	for file in $(sources lib bin tests examples); do
		expand "$file" | awk -v file="$file" '
		length > 110 { print file ":" NR ": " length " columns"; failed = 1 }
		/(^|[^a-z_])sizeof [^(]/ { print file ":" NR ": sizeof without parentheses"; failed = 1 }
		END { exit failed }' || status=1
	done
	return "$status"
}

sizes() {
	# shellcheck disable=SC2016 # awk's $
	sources lib | xargs awk '
	function complain(place, what) {
		print place ": " what
		failed = 1
	}
	# Commas between the parentheses of the head "TYPE NAME(A, B(*)(C, D))".
	function parameters(head, depth, n, i, c) {
		n = 1
		for (i = index(head, "("); i <= length(head); i++) {
			c = substr(head, i, 1)
			depth += (c == "(") - (c == ")")
			n += c == "," && depth == 1
			if (depth == 0)
				break
		}
		return n
	}
	function close_file() {
		if (lines > 450)
			complain(file, lines " lines, more than 450")
	}
	FNR == 1 {
		close_file()
		file = FILENAME
		head = ""
	}
	{ lines = FNR }
	/^[A-Za-z_].*\(/ {
		head = ""
		first = FNR
	}
	/^[A-Za-z_].*\(/ || (head != "" && /^[ \t]/) { head = head $0 }
	/^[{]/ && head != "" {
		name = head
		sub(/\(.*/, "", name)
		sub(/.*[ *]/, "", name)
		if (parameters(head) > 8)
			complain(file ":" first, name " has " parameters(head) " parameters, more than 8")
	}
	/^[}]/ && head != "" {
		if (FNR - first + 1 > 60)
			complain(file ":" first, name " has " FNR - first + 1 " lines, more than 60")
	}
	/^[}]/ || (/;$/ && !/^[ \t]/) { head = "" }
	END {
		close_file()
		exit failed
	}'
}

"$1"
