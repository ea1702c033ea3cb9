#!/bin/sh
# Every call of the system that a tool makes fails once: a full disk, an input/output error, a transfer of one byte instead of all.
# The tool must end with status 4 and one sentence, or with 0 and the right bytes where the call does not matter. Either way each
# file and directory under its final name is whole, the one from before or the new one; no temporary is left; a training goes on
# from where it was and gives the same bytes. To be run with the tools in PATH; $BUILD: for inject.so.
#
#	sh tests/fault/io.sh [MOST [CASE...]]     at most MOST calls of each case, spread evenly (default: all)
set -eu
most=${1:-1000000}
test $# -eq 0 || shift
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/small.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 4' INT TERM HUP
shim=$dir/inject.so
${CC:-cc} -O1 -Wall -shared -fPIC -D_GNU_SOURCE -o "$shim" "$root/tests/fault/inject.c" -ldl

mkdir "$dir/in"
cd "$dir/in"
small_models
bd-pack -q student -o student.gguf
printf '{"prediction": "a b", "reference": "a"}\n' >pairs.jsonl
bd-data -q --text --format lines --tokenizer m -o lines.bds rows.tsv
printf '{"prompt": "ab", "max_tokens": 3}\n{"left": "a"}\n' >requests
cd "$dir"

train='-q -t 1 --steps 3 --batch 2 --epochs 9 --checkpoint-every 1 --eval ../in/task.bds --log log --force --resume -o out'
# A name and a command; its outputs are called out* (there is an older one of each) and log, and standard output counts too.
cases=$(
	cat <<-END
		data bd-data -q --template ../in/task.json --tokenizer ../in/m -o out ../in/rows.tsv
		data-stdout bd-data -q --template ../in/task.json --tokenizer ../in/m ../in/rows.tsv
		init bd-init -q -t 1 -f ../in/config.json --tokenizer ../in/tokenizer.json -o out
		subln bd-subln -q -f ../in/m -o out
		sft bd-sft --model ../in/s --weights ternary $train ../in/task.bds
		cpt bd-cpt --model ../in/s $train ../in/lines.bds
		distill bd-distill --model ../in/s $train ../in/full.bds
		teacher-dump bd-teacher-dump -q -t 1 --model ../in/m -o out ../in/task.bds
		pack bd-pack -q -t 1 ../in/student -o out
		pack-hf bd-pack -q -t 1 -f --target hf ../in/student -o out
		unpack bd-pack -q -t 1 -f -d ../in/student.gguf -o out
		eval bd-eval -q -t 1 ../in/student --predictions out1 --logits out2 ../in/task.bds
		eval-packed bd-eval -q -t 1 ../in/student.gguf ../in/task.bds
		score bd-eval -q --score --predictions out ../in/pairs.jsonl
		run bd-run -q -t 1 ../in/student.gguf -p ab -n 4
		run-jsonl bd-run -q -t 1 ../in/student --jsonl <../in/requests
		run-rows bd-run -q -t 1 ../in/student.gguf <../in/rows.tsv
		info bd-info ../in/m ../in/student.gguf ../in/task.bds
		check bd-info --check ../in/student.gguf
	END
)

die() {
	echo "$name, call $i ($(sed -n "${i}p" "$dir/calls")), $what: $1" >&2
	test ! -s "$dir/err" || sed 's/^/    /' "$dir/err" >&2
	failures=$((failures + 1))
}

# fresh: the working directory as it is before the tool runs.
fresh() {
	cd "$dir"
	rm -rf w
	cp -R before w
	cd w
}

# same A B: files or directories with the same contents.
same() {
	if test -f "$1" && test -f "$2"; then cmp -s "$1" "$2"; else diff -rq "$1" "$2" >/dev/null 2>&1; fi
}

# Standard output without what was measured.
untimed() {
	sed '/"seconds"\|_per_second"/d' "$1" | cksum
}

# What is in the working directory is from before, or whole. Checkpoints and logs are judged by what becomes of them.
check_names() {
	for f in * .[!.]*; do
		test -e "$f" || continue
		case $f in
		log | *.ckpt | out1 | out2 | out)
			case $f in log | *.ckpt) continue ;; esac
			same "$f" "../before/$f" || same "$f" "../after/$f" || die "$f is neither the old nor the new one"
			;;
		*) die "left behind: $f" ;;
		esac
	done
	for f in ../before/*; do
		test -e "${f##*/}" || test ! -e "$f" || die "lost: ${f##*/}"
	done
}

failures=0
total=0
harmless=0
while read -r name command; do
	if test $# -gt 0; then
		case " $* " in *" $name "*) ;; *) continue ;; esac
	fi
	what=none i=0
	rm -rf before after calls
	mkdir before
	case $name in
	init | subln | sft | cpt | distill | pack-hf | unpack) cp -R in/m before/out ;;
	*) for f in out out1 out2; do
		case " $command " in *" $f "*) echo older >"before/$f" ;; esac
	done ;;
	esac
	fresh
	INJECT_COUNT=$dir/calls LD_PRELOAD=$shim sh -c "exec $command" >"$dir/stdout" 2>"$dir/err" || die "fails as it is"
	cd "$dir"
	mv w after
	calls=$(wc -l <calls)
	step=$(((calls + most - 1) / most))
	test "$step" -gt 0 || step=1
	ran=0
	for what in ENOSPC EIO short; do
		i=$step
		while test "$i" -le "$calls"; do
			fresh
			rc=0
			INJECT=$what INJECT_AT=$i LD_PRELOAD=$shim sh -c "exec $command" >"$dir/got" 2>"$dir/err" || rc=$?
			ran=$((ran + 1))
			case $rc in
			0)
				harmless=$((harmless + 1))
				rm -f log ../after/log
				same . ../after || die "exit status 0, but other files"
				test "$(untimed "$dir/got")" = "$(untimed "$dir/stdout")" || die "exit status 0, but another standard output"
				;;
			4)
				test "$(wc -l <"$dir/err")" -eq 1 || die "not one sentence"
				test $what != short || die "exit status 4"
				check_names
				;;
			*) die "exit status $rc" ;;
			esac
			case $name.$rc in
			sft.4 | cpt.4 | distill.4)
				sh -c "exec $command" >"$dir/got" 2>"$dir/err" || die "cannot be resumed"
				same out ../after/out || die "another result when resumed"
				test ! -e out.ckpt || die "checkpoint left when resumed"
				;;
			esac
			i=$((i + step))
		done
	done
	cd "$dir"
	total=$((total + ran))
	echo "$name: $calls calls, $ran failures of calls"
done <<END
$cases
END
echo "$total failures of calls, $harmless of them without consequence; $failures not as promised"
test "$failures" -eq 0
