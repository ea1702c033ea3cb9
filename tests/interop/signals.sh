#!/bin/sh
# Signals at random moments of training: every interrupted run must end with exit status 4, and --resume must give the same bytes as
# an uninterrupted run. To be run by hand, with the tools in PATH.
#
#   sh tests/interop/signals.sh [N]      N signals in all (default 1000), for the three trainers and the pipe, with -t 1 and 2
#
# BD_GEMM=lib is set, so that every dense product goes through oneDNN's sgemm, whose AVX-512 code keeps its stack
# pointer in a heap block.
set -eu
n=${1:-1000}
here=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export BD_GEMM=lib MALLOC_CHECK_=3

bd-init -q "$here/examples/configs/tiny-qwen3.json" --tokenizer "$here/tests/golden/tok-bytes.json" -o base
printf '%s' '{"name": "parity", "fields": ["text", "label"], "prompt": "{text}=", "label": "label", "labels": [["0"], ["1"]]}' >t.json
awk 'BEGIN {
	srand(7)
	print "text\tlabel"
	for (i = 0; i < 160; i++) {
		s = ""
		for (j = 0; j < 20; j++)
			s = s sprintf("%c", 97 + int(rand() * 26))
		print s "\t" (substr(s, 1, 1) < "n" ? 0 : 1)
	}
}' >rows.tsv
awk 'BEGIN { for (i = 0; i < 400; i++) print "this is the text of line " i ", and there is more of it" }' >text.txt
bd-data -q --tokenizer base --template t.json rows.tsv -o task.bds
bd-data -q --tokenizer base --text --format lines --pack 32 text.txt -o text.bds
bd-subln -q base -o s0
bd-teacher-dump -q --model base task.bds -o teacher.bds

# command WHAT THREADS OPTIONS: prints one training run as a command for sh.
command() {
	case $1 in
	sft) echo "bd-sft -q -t $2 --model base --batch 8 --epochs 2 --log log $3 task.bds" ;;
	cpt) echo "bd-cpt -q -t $2 --model s0 --batch 8 --log log $3 text.bds" ;;
	distill) echo "bd-distill -q -t $2 --model s0 --batch 8 --lr 1e-3 --log log $3 teacher.bds" ;;
	pipe) echo "bd-teacher-dump -q -t $2 --model base task.bds | bd-distill -q -t $2 --model s0 --batch 8 --lr 1e-3 --log log $3" ;;
	esac
}

fail() {
	echo "$what -t $t, signal $sig after $delay s: $1" >&2
	cat err >&2
	exit 1
}

done=0
early=0
unborn=0
while test "$done" -lt "$n"; do
	for what in sft cpt distill pipe; do
		for t in 1 2; do
			if ! test -d "whole.$what.$t"; then
				began=$(date +%s%N)
				sh -c "$(command $what $t "-o whole.$what.$t")"
				echo $((($(date +%s%N) - began) / 1000000)) >"ms.$what.$t"
			fi
			for sig in INT TERM; do
				delay=$(awk -v ms="$(cat "ms.$what.$t")" -v seed="$(date +%N)" \
					'BEGIN { srand(seed); printf "%.4f", (.02 + rand() * .9) * ms / 1000 }')
				status=0
				rm -rf out out.ckpt log
				env --default-signal=INT timeout --preserve-status -s $sig "$delay" \
					sh -c "trap : INT TERM; $(command $what $t '-o out')" 2>err || status=$?
				if test "$status" -eq 0 && test -d out; then
					early=$((early + 1)) # the run ended before the signal
					continue
				fi
				if test "$status" -gt 128 && ! test -e log && ! test -e out.ckpt; then
					unborn=$((unborn + 1)) # the signal came before the program: it has no log yet
					continue
				fi
				test "$status" -eq 4 || fail "exit status $status"
				grep -q 'interrupted after step' err || fail "no message about resuming"
				sh -c "$(command $what $t '-o out --resume')" 2>err || fail "cannot resume"
				cmp "whole.$what.$t/model.safetensors" out/model.safetensors || fail "the bytes differ"
				done=$((done + 1))
			done
		done
	done
done
echo "$done signals, each with exit status 4 and the same bytes after --resume; $early runs ended before the signal, $unborn had not begun"
