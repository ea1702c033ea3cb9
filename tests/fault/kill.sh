#!/bin/sh
# kill -9 at random moments, which no program can catch, and readers of standard output that are gone. Whatever is under a final name
# must be whole, the result from before or the new one; a training goes on from its last checkpoint and gives the same bytes; what a
# killed process left behind is removed by the next one. To be run with the tools in PATH.
#
#	sh tests/fault/kill.sh [N]     N kills in all (default 100)
set -eu
n=${1:-100}
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/small.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 4' INT TERM HUP

mkdir "$dir/in"
cd "$dir/in"
small_models
i=0
while test $i -lt 4000; do
	printf 'ab a b 1\t%s\n' $((i % 2))
	i=$((i + 1))
done >many.tsv
bd-data -q --template task.json --tokenizer m -o many.bds many.tsv
bd-pack -q student -o student.gguf
cd "$dir"

train='-q -t 1 --steps 120 --batch 8 --checkpoint-every 3 --eval ../in/task.bds --log log --force --resume -o out'
cases=$(
	cat <<-END
		sft bd-sft --model ../in/s --weights ternary $train ../in/many.bds
		distill bd-distill --model ../in/s $train --epochs 99 ../in/full.bds
		data bd-data -q --template ../in/task.json --tokenizer ../in/m -o out ../in/many.tsv
		teacher-dump bd-teacher-dump -q -t 1 --model ../in/m -o out ../in/many.bds
		init bd-init -q -t 1 -f ../in/config.json --tokenizer ../in/tokenizer.json -o out
		pack bd-pack -q -t 1 ../in/student -o out
		unpack bd-pack -q -t 1 -f -d ../in/student.gguf -o out
		eval bd-eval -q -t 1 ../in/student --predictions out ../in/many.bds
	END
)

die() {
	echo "$name, killed after $delay s: $1" >&2
	test ! -s err || sed 's/^/    /' err >&2
	exit 1
}

# same A B: files or directories with the same contents.
same() {
	if test -f "$1" && test -f "$2"; then cmp -s "$1" "$2"; else diff -rq "$1" "$2" >/dev/null 2>&1; fi
}

# whole NAME: the result without a kill, what was there before it, and how long it took.
whole() {
	mkdir "before.$name"
	case $name in
	sft | distill | init | unpack) cp -R in/m "before.$name/out" ;;
	*) echo older >"before.$name/out" ;;
	esac
	cp -R "before.$name" "after.$name"
	cd "after.$name"
	began=$(date +%s%N)
	sh -c "exec $command" >../got
	echo $((($(date +%s%N) - began) / 1000000)) >"../ms.$name"
	cd ..
}

done=0
early=0
seed=1
while test "$done" -lt "$n"; do
	while read -r name command; do
		test "$done" -lt "$n" || break
		test -d "after.$name" || whole
		seed=$((seed + 1))
		delay=$(awk -v seed=$seed -v ms="$(cat "ms.$name")" 'BEGIN { srand(seed); printf "%.4f", rand() * ms / 1000 }')
		rm -rf w
		cp -R "before.$name" w
		cd w
		# again after a kill, until one of three attempts was not killed or the last one was
		for attempt in 1 2 3; do
			rc=0
			sh -c "exec $command" >../got 2>../err </dev/null &
			sleep "$delay"
			kill -9 $! 2>../killed || :
			wait $! 2>../killed || rc=$?
			case $rc in
			137) done=$((done + 1)) ;;
			0) early=$((early + 1)) ;;
			*) cd .. && die "attempt $attempt: exit status $rc" ;;
			esac
			if test -e out; then
				same out "../before.$name/out" || same out "../after.$name/out" || die "out is neither the old nor the new one"
			else
				die "out is lost"
			fi
		done
		sh -c "exec $command" >../got 2>../err || die "cannot be done after that"
		same out "../after.$name/out" || die "another result after that"
		cd ..
		for f in w/.[!.]* w/*.ckpt; do
			test ! -e "$f" || die "left behind: $f"
		done
	done <<-END
		$cases
	END
done
echo "$done kills, $early too late; every result whole, every training resumed to the same bytes"

# Readers that are gone: exit status 4 and one sentence.
cd in
while read -r name command; do
	delay=0
	{
		rc=0
		sh -c "$command" 2>../err || rc=$?
		echo $rc >../rc
	} | :
	test "$(cat ../rc)" -eq 4 || die "exit status $(cat ../rc) on a dead pipe"
	test "$(wc -l <../err)" -eq 1 || die "not one sentence on a dead pipe"
done <<END
data sleep 0.1; exec bd-data -q --template task.json --tokenizer m many.tsv
teacher-dump sleep 0.1; exec bd-teacher-dump -q -t 1 --model m many.bds
pack sleep 0.1; exec bd-pack -q -t 1 student -o -
eval sleep 0.1; exec bd-eval -q -t 1 student task.bds
run sleep 0.1; exec bd-run -q -t 1 student <many.tsv
info sleep 0.1; exec bd-info m
END
echo "6 dead pipes: exit status 4"
