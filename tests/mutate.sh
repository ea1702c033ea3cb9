#!/bin/sh
# Do the tests notice a wrong program? One operator, constant, condition or statement of lib/ is changed at a time, and the
# tests run until one of them fails. What none notices is a gap, unless the change changes nothing that counts.
#
#   sh tests/mutate.sh [-n 300] [-s SEED] [-j JOBS] [FOLDER...]
#
# N changes, the same number in each folder of lib/ (net, train, data, pack, run and math), drawn by the seed: same seed,
# same code, same draw. A change that does not compile, or to the same object code, is drawn anew. The unit tests that
# link the file run first, the one of its name and the quick ones first of all, then the tests of the tools; a test that
# takes five times as long as it did is noticed too. Prints one line for each change and a table of the folders. -l: lists
# all places that may be drawn and stops.
#
# Everything happens in a copy under $TMPDIR; the tree may change meanwhile. tests/mutate.allow names changes that no test
# can notice, and why; they are counted on their own. Exit status: 1 if a change survived.
# shellcheck disable=SC2317 # in_turn calls functions by their names
set -u
cd "$(dirname "$0")/.." || exit 4
export LC_ALL=C
unset BD_DATA BD_KERN BD_GEMM BD_GOLDEN SAN MAKEFLAGS SOURCE_DATE_EPOCH 2>/dev/null

count=300
seed=1
jobs=2
list=

usage() {
	echo "usage: sh tests/mutate.sh [-n COUNT] [-s SEED] [-j JOBS] [-l] [FOLDER...]" >&2
	exit 2
}

while getopts n:s:j:l option; do
	case $option in
	n) count=$OPTARG ;;
	s) seed=$OPTARG ;;
	j) jobs=$OPTARG ;;
	l) list=1 ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
test $# -gt 0 || set -- net train data pack run math
for number in "$count" "$seed" "$jobs"; do
	case $number in
	'' | *[!0-9]* | 0) usage ;;
	esac
done
for folder; do
	test -d "lib/$folder" || {
		echo "lib/$folder: there is no such folder" >&2
		exit 2
	}
done

# The places of all files of a folder, each with its file in front.
places() {
	find "lib/$1" -name '*.c' | sort | while read -r file; do
		awk -f tests/mutate.awk "$file" | awk -v file="$file" '{ print file "\t" $0 }'
	done
}

if test -n "$list"; then
	for folder; do
		places "$folder"
	done | awk -F '\t' '{ print $1 ":" $2 ": " $3 " -> " $4 "  [" $11 "]" }'
	exit
fi

# Which tests of the tools are run for a folder, the quick ones first.
cli_of() {
	case $1 in
	data) echo files data eval train ;;
	train | math) echo eval history train ;;
	pack) echo history run pack ;;
	run) echo bench eval hf run ;;
	net) echo eval run train ;;
	*) echo files history data eval hf run pack train ;;
	esac
}

work=$(mktemp -d "${TMPDIR:-/tmp}/bd-mutate.XXXXXX") || exit 4
tree=$work/tree
workers= # process ids of the jobs
child=   # and of the test that a job waits for

finish() {
	trap - EXIT INT TERM HUP
	for pid in $workers $child; do
		kill "$pid" 2>/dev/null
	done
	wait
	rm -rf "$work"
	exit "${1:-4}"
}
trap 'finish $?' EXIT
trap 'finish 4' INT TERM HUP

# ---- the program as it is ----

made() {
	make BUILD=build BIN=bin CFLAGS='-O1 -g0 -w' "$@" all tests
}

# The command that makes $1, as make would run it.
command_of() {
	grep -F -e " -o $1 " "$work/commands"
}

# The copy, and everything in it built.
prepare() {
	mkdir "$tree" "$work/t" "$work/time" "$work/uses" "$work/draw" "$work/seen" || exit 4
	cp -R Makefile README.md LICENSE lib bin tests examples man pipelines "$tree" || exit 4
	cp tests/mutate.awk "$work" || exit 4
	cd "$tree" || exit 4
	rm -f bin/bd-*[!c] # tools that were built in the original
	# What a test leaves behind when it dies goes with everything else.
	find tests/unit -name '*.[ch]' -exec sed -i "s,\"/tmp/bd-test,\"$work/t/bd-test," {} +
	TMPDIR=$work/t
	BUILD=$tree/build
	export TMPDIR BUILD
	ulimit -f 4194304 # blocks of 512 bytes: a change that writes without end stops at 2 GiB

	echo "building, and running the tests as they are" >&2
	made -j"$jobs" >"$work/log" 2>&1 || {
		tail "$work/log" >&2
		exit 4
	}
	made -n -B >"$work/commands" 2>/dev/null
	units=$(cd tests/unit && find . -name 'test_*.c' | sed 's,^\./,,; s,\.c$,,' | sort)
	tools=$(cd bin && find . -name 'bd-*.c' | sed 's,^\./,,; s,\.c$,,' | sort)

	# uses/NAME: the objects of the library that a program takes.
	for program in $units $tools; do
		target=build/tests/$program
		case $program in
		bd-*) target=bin/$program ;;
		esac
		mkdir -p "$work/uses/$(dirname "$program")"
		sh -c "$(command_of "$target" | sed "s, -o $target , -Wl\\,-t\\,-t -o $work/probe ,")" 2>&1 |
			sed -n 's/.*libbd\.a[()]*\([a-z_0-9]*\)\.o.*/\1/p' >"$work/uses/$program"
	done
	test -s "$work/uses/bd-info" || {
		echo "cannot tell what a program links" >&2
		exit 4
	}
}

# timed LIMIT COMMAND...: its status, 124 when it takes longer.
timed() {
	limit=$1
	shift
	timeout -k 2 "$limit" "$@" >/dev/null 2>&1 </dev/null &
	child=$!
	wait "$child" 2>/dev/null # which says how it died
}

now() {
	date +%s%N | cut -c 1-13
}

# run_test NAME DIR LIMIT: a unit test or a file of tests of the tools, with the programs in DIR.
run_test() {
	case $1 in
	*.bats) PATH=$2:$PATH BIN=$2 timed "$3" bats "tests/cli/$1" ;;
	*) timed "$3" "$2/$1" ;;
	esac
}

# time/NAME: what each test takes, in ms; all of them must hold. Arguments: the folders.
measure() {
	for test in $units $(for folder; do cli_of "$folder"; done | tr ' ' '\n' | sort -u | sed 's/$/.bats/'); do
		dir=$tree/build/tests
		case $test in
		*.bats) dir=$tree/bin ;;
		esac
		began=$(now)
		run_test "$test" "$dir" 300 || {
			echo "$test fails without a change" >&2
			exit 4
		}
		mkdir -p "$work/time/$(dirname "$test")"
		echo $(($(now) - began)) >"$work/time/$test"
	done
}

# ---- the draw ----

# apply PLACE FILE: the file with that change, on stdout.
apply() {
	printf '%s\n' "$1" | awk -F '\t' -v file="$2" '{
		while ((getline line <file) > 0)
			text = text line "\n"
		printf "%s%s%s%s%s", substr(text, 1, $5 - 1), $7, substr(text, $5 + $6, $8 ? $8 - $5 - $6 : length(text)),
			$8 ? $10 : "", $8 ? substr(text, $8 + $9) : ""
	}'
}

# compile FILE FOR OUTPUT LEVEL: as make compiles FOR.
compile() {
	object=build/${2%.c}.o
	sh -c "$(command_of "$object" | sed "s, -o $object $2, -o $3 $1,; s/ -MMD -MP / /; s/ -O1 / $4 /")" 2>/dev/null
}

# The changes of a folder as work/draw/FOLDER.NUMBER: its place, source and object.
draw() {
	folder=$1
	wanted=$2
	drawn=0
	places "$folder" | awk -v seed="$seed" -v folder="$folder" 'BEGIN {
		x = seed % 2147483646 + 1
		for (i = 1; i <= length(folder); i++)
			next_number(index("abcdefghijklmnopqrstuvwxyz", substr(folder, i, 1)))
		for (i = 0; i < 10; i++)
			next_number(0)
	}
	{ printf "%010d\t%s\n", next_number(0), $0 }
	function next_number(more) {
		x = (x * 48271 + more) % 2147483647
		if (x == 0)
			x = 1
		return x
	}' | sort | cut -f 2- >"$work/places.$folder"
	while test "$drawn" -lt "$wanted" && IFS= read -r place; do
		file=${place%%	*}
		dir=$work/draw/$folder.$(printf %04d "$drawn")
		mkdir -p "$dir"
		apply "$place" "$file" >"$dir/${file##*/}"
		if compile "$dir/${file##*/}" "$file" "$dir/changed.o" -O1 &&
			! cmp -s "$dir/changed.o" "build/${file%.c}.o"; then
			printf '%s\n' "$place" >"$dir/place"
			drawn=$((drawn + 1))
		else
			rm -r "$dir"
		fi
	done <"$work/places.$folder"
	test "$drawn" -eq "$wanted" || echo "lib/$folder: no more than $drawn changes" >&2
}

# in_turn FUNCTION: each job calls it for every line of work/turn that no other job has taken.
in_turn() {
	while test "$(echo "$workers" | wc -w)" -lt "$jobs"; do
		(
			trap 'test -n "$child" && kill "$child"; exit 4' TERM
			while IFS= read -r line; do
				mkdir "$work/seen/$1.$line" 2>/dev/null || continue
				# shellcheck disable=SC2086 # words of the line are arguments
				"$1" $line
			done <"$work/turn"
		) &
		workers="$workers $!"
	done
	# shellcheck disable=SC2086 # process ids
	wait $workers
	workers=
}

draw_all() {
	echo "drawing" >&2
	k=0
	for folder; do
		echo "$folder $((count / $# + (k < count % $#)))"
		k=$((k + 1))
	done >"$work/turn"
	in_turn draw
}

# ---- the tests ----

# The unit tests that link a file: the one of its name, those of its folder, the others; each by its time.
units_of() {
	name=$(basename "$1" .c)
	folder=$(echo "$1" | cut -d / -f 2)
	for unit in $units; do
		grep -qx "$name" "$work/uses/$unit" || continue
		case $unit in
		*/test_"$name") rank=0 ;;
		"$folder"/*) rank=1 ;;
		*) rank=2 ;;
		esac
		echo "$rank $(cat "$work/time/$unit") $unit"
	done | sort -k 1,1n -k 2,2n | cut -d ' ' -f 3
}

# link PROGRAM TARGET OUTPUT DIR: the program with the changed object before the library that has the old one.
link() {
	mkdir -p "$(dirname "$3")"
	sh -c "$(command_of "$2" | sed "s, -o $2 , -o $3 ,; s, build/libbd\.a ,  $4/changed.o&,")" >"$4/log" 2>&1 || {
		cat "$4/log" >&2
		exit 4
	}
}

# Tries one test; true if it notices. Where it takes too long, the machine may be busy with something else: the limit counts
# if the program as it is keeps it now.
notices() {
	limit=$(($(cat "$work/time/$1") / 200 + 5)) # 5 times as long, and 5 seconds
	while :; do
		run_test "$1" "$2" "$limit"
		status=$?
		by=$1
		test "$status" -eq 124 || break
		by="$1 (time)"
		same=$tree/build/tests
		case $1 in
		*.bats) same=$tree/bin ;;
		esac
		run_test "$1" "$same" "$limit" && break
		limit=$((2 * limit))
	done
	test "$status" -ne 0
}

# Links and runs all that could notice the change in directory $1 of file $2; true if something does, `by` tells it.
noticed() {
	for unit in $(units_of "$2"); do
		link "$unit" "build/tests/$unit" "$1/$unit" "$1"
		notices "$unit" "$1" && return
		rm -f "$1/$unit"
	done
	mkdir -p "$1/bin"
	ln -s "$tree/examples" "$1/examples"
	for tool in $tools; do
		if grep -qx "$(basename "$2" .c)" "$work/uses/$tool"; then
			link "$tool" "bin/$tool" "$1/bin/$tool" "$1"
		else
			ln -s "$tree/bin/$tool" "$1/bin/$tool"
		fi
	done
	for cli in $(cli_of "$(echo "$2" | cut -d / -f 2)"); do
		notices "$cli.bats" "$1/bin" && return
	done
	return 1
}

# Optimised more, the change may be none after all.
same_code() {
	compile "$1/${2##*/}" "$2" "$1/changed.o" -O3 && compile "$2" "$2" "$1/same.o" -O3 &&
		cmp -s "$1/changed.o" "$1/same.o"
}

# The reason that tests/mutate.allow gives for a place; false if there is none. Its lines: FILE :: TEXT :: CHANGE ::
# REASON, where TEXT begins in the source line, may go on in the next one, and CHANGE is "a -> b", or "*" for any change
# of that line.
allowed() {
	next=$(sed -n "$(($3 + 1))s/^[[:blank:]]*//p" "$1")
	awk -v file="$1" -v change="$2" -v source="$4" -v after="$next" '
	BEGIN { FS = " :: " }
	/^#/ || NF < 4 || $1 != file { next }
	{ at = index(source " " after, $2) }
	at && at <= length(source) && ($3 == "*" || $3 == change) { print $4; found = 1; exit }
	END { exit !found }' tests/mutate.allow
}

try() {
	dir=$work/draw/$1
	file=$(cut -f 1 "$dir/place")
	change=$(cut -f 3,4 "$dir/place" | sed 's/	/ -> /')
	source=$(cut -f 11- "$dir/place")
	if noticed "$dir" "$file"; then
		verdict=noticed
	elif same_code "$dir" "$file"; then
		verdict=equivalent
		by='the same code at -O3'
	elif by=$(allowed "$file" "$change" "$(cut -f 2 "$dir/place" | cut -d : -f 1)" "$source"); then
		verdict=equivalent
	else
		verdict=SURVIVED
		by='no test'
	fi
	echo "$verdict" >"$dir/verdict"
	printf '%-10s %s:%s: %s  [%.90s]  %s\n' "$verdict" "$file" "$(cut -f 2 "$dir/place")" "$change" "$source" "$by"
	rm -rf "${dir:?}/bin" "$dir/examples"
	find "$dir" -name 'test_*' -type f ! -name '*.c' -exec rm -f {} +
}

try_all() {
	began=$(date +%s)
	# The first of each folder, then the second of each.
	(cd "$work/draw" && ls) | sort -t . -k 2,2 -k 1,1 >"$work/turn"
	in_turn try
}

table() {
	for folder; do
		for dir in "$work/draw/$folder".*; do
			test -e "$dir/verdict" && echo "$folder $(cat "$dir/verdict")"
		done
	done | awk -v seed="$seed" -v seconds="$(($(date +%s) - began))" '
		!($1 in all) { name[++n] = $1 }
		{ all[$1]++; is[$1, $2]++; all["total"]++; is["total", $2]++ }
		END {
			name[++n] = "total"
			printf "\n%-8s %8s %8s %10s %8s %8s\n", "folder", "changes", "noticed", "equivalent", "survived", "noticed"
			for (i = 1; i <= n; i++) {
				f = name[i]
				counted = all[f] - is[f, "equivalent"]
				printf "%-8s %8d %8d %10d %8d %7.1f%%\n", f, all[f], is[f, "noticed"], is[f, "equivalent"],
					is[f, "SURVIVED"], counted ? 100 * is[f, "noticed"] / counted : 0
			}
			printf "seed %d, %d s; percent of the changes that are not equivalent\n", seed, seconds
			exit is["total", "SURVIVED"] > 0
		}'
}

# In braces: all of it is read before it begins, and this file may change, too.
{
	prepare
	measure "$@"
	draw_all "$@"
	try_all
	table "$@"
	exit
}
