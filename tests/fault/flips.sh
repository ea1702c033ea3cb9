#!/bin/sh
# Damage in every kind of file, for every tool that reads it: nothing may change a result silently.
#
#   sh tests/fault/flips.sh N [CUTS [PATTERN]]     with bd's tools in PATH
#
# For each pair of a file and a tool: N times, a bit at a random place is turned over, CUTS times (0) the file is cut at
# a random place. The tool must then end with status 3, or give what it gives for the intact file: flip.c judges, with
# the seed SEED (1). PATTERN, an extended regular expression, chooses pairs. The last line counts; the exit status is 0
# if nothing went wrong.
set -eu
N=${1:?usage: flips.sh N [CUTS [PATTERN]]}
CUTS=${2-0}
PATTERN=${3-.}
SEED=${SEED-1}
here=$(cd "$(dirname "$0")" && pwd)
tests=$(dirname "$here")

# In memory if possible: outputs wait for the disk.
dir=$(mktemp -d -p "$(test -n "${TMPDIR-}" && echo "$TMPDIR" || { test -w /dev/shm && echo /dev/shm; } || echo /tmp)" bd-flips.XXXXXX)
trap 'rm -rf "$dir"' EXIT
trap 'exit 4' INT TERM HUP
cd "$dir"
${CC:-cc} -O2 -o flip "$here/flip.c"

pairs=0
bad=0

# pair NAME FILES [-1] [-i] COMMAND...: FILES is one word, a list
pair() {
	name=$1 files=$2 flags=
	shift 2
	while test "$1" = -1 || test "$1" = -i; do
		flags="$flags $1"
		shift
	done
	echo "$name" | grep -qE "$PATTERN" || return 0
	pairs=$((pairs + 1))
	# shellcheck disable=SC2086 # lists of words
	if ./flip $flags $((SEED + pairs)) "$N" "$CUTS" $files -- "$@" >said; then
		echo "ok $name: $(tail -n 1 said)"
	else
		bad=$((bad + 1))
		echo "not ok $name: $(tail -n 1 said)"
		head -n 5 said | sed 's/^/# /'
	fi
	rm -rf out
}

stdin() {
	cp "$1" flip.stdin
}

# ---- small files of every kind ----

make_models() {
	cat >config.json <<-'END'
	{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1,
	 "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 384,
	 "max_position_embeddings": 128, "hidden_act": "silu", "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
	 "tie_word_embeddings": true, "eos_token_id": 0}
	END
	sed 's/"\(hidden\|intermediate\)_size": [0-9]*/"\1_size": 512/g' config.json >wide.json
	cat >task.json <<-'END'
	{"name": "match", "fields": ["left", "right", "label"], "prompt": "{left} / {right}:",
	 "classes": ["different", "same"], "labels": ["-", "+"]}
	END
	printf 'left\tright\n%s\n' "$(seq 8 | sed 's/.*/&\té &/')" >question.tsv
	{
		printf 'left\tright\tlabel\n'
		seq 12 | awk '{ printf "the \"%d\"\té %d\t%d\n", $1, $1 + NR % 2, NR % 2 }'
	} >rows.tsv
	bd-init -q config.json --tokenizer "$tests/golden/tok-bytes.json" -o base
	echo '{"eos_token_id": 0}' >base/generation_config.json
	echo '{"bos_token": null, "model_max_length": 128}' >base/tokenizer_config.json
	rm base/bd-digests.txt
	bd-data -q --template task.json --tokenizer base --level 0 -o dev.bds rows.tsv
	bd-data -q --template task.json --tokenizer base --level 3 -o dev.bds.zst rows.tsv
	train bd-sft --model base -o teacher dev.bds
	bd-subln -q base -o s0
	train bd-sft --model s0 -o student dev.bds
	bd-teacher-dump -q -t 1 --level 0 --model teacher -o dump.kd dev.bds
	bd-teacher-dump -q -t 1 --level 3 --model teacher -o dump.kd.zst dev.bds
	bd-pack -q -t 1 --target hf student -o hf
	bd-init -q wide.json --tokenizer "$tests/golden/tok-bytes.json" -o w0
	bd-data -q --template task.json --tokenizer w0 --level 0 -o wide.bds rows.tsv
	bd-subln -q --norms none w0 -o w1
	train bd-sft --model w1 -o wide wide.bds
}

train() {
	"$@" -q -t 1 --steps 2 --batch 4 --epochs 9 --lr 1e-3
}

# state TOOL MODEL STREAM: out.ckpt, of a run whose input breaks off; steps of four examples
state() {
	rm -rf out.ckpt
	head -c $(($(wc -c <"$3") * 3 / 4)) "$3" |
		"$1" -q -t 1 --batch 4 --steps 3 --checkpoint-every 1 --model "$2" -o out 2>err && return 1
	test -e out.ckpt/state.json || { cat err; return 1; }
}

# ---- pairs ----

# bench NAME FILES ARGUMENT...: it opens files as bd-run and bd-eval do, and takes time.
bench() {
	name=$1 files=$2
	shift 2
	pair "$name, bd-bench" "$files" -i bd-bench -q -t 1 -p 1 -n 1 -r 1 "$@"
}

packed() { # TARGET TYPE
	p=$1-$2.gguf
	bd-pack -q -t 1 --target "$1" --type "$2" wide -o "$p"
	stdin question.tsv
	pair "packed $1 $2, bd-run" "$p" bd-run -q -t 1 "$p"
	pair "packed $1 $2, bd-eval" "$p" -i bd-eval -q -t 1 --logits out "$p" wide.bds # says how long it took
	test "$2" != i2_s || bench "packed $1 $2" "$p" "$p"
	pair "packed $1 $2, bd-pack -d" "$p" bd-pack -q -t 1 -d "$p" -o out
	pair "packed $1 $2, bd-info" "$p" bd-info "$p"
	pair "packed $1 $2, bd-info --check" "$p" -1 bd-info --check "$p"
	pair "packed $1 $2, bd-info --diff" "$p" bd-info --diff "$p" "$p"
	pair "packed $1 $2, bd-run --verify" "$p" -1 bd-run -t 1 --verify "$p"
	pair "packed $1 $2, bd-data" "$p" bd-data -q --tokenizer "$p" --template task.json -o out rows.tsv
	rm "$p"
}

directory() { # DIR
	files=$(echo "$1"/*)
	stdin question.tsv
	pair "directory $1, bd-run" "$files" bd-run -q -t 1 "$1"
	pair "directory $1, bd-eval" "$files" -i bd-eval -q -t 1 --logits out "$1" dev.bds
	test "$1" != student || bench "directory $1" "$files" "$1"
	pair "directory $1, bd-info" "$files" bd-info "$1"
	pair "directory $1, bd-info --check" "$files" -1 bd-info --check "$1"
	pair "directory $1, bd-info --diff" "$files" bd-info --diff "$1" "$1"
	pair "directory $1, bd-data" "$files" bd-data -q --tokenizer "$1" --template task.json -o out rows.tsv
	pair "directory $1, bd-init" "$files" bd-init -q -t 1 "$1" -o out
	test "$1" != hf || return 0 # no masters
	pair "directory $1, bd-pack" "$files" bd-pack -q -t 1 --force "$1" -o out
	pair "directory $1, bd-pack --list-targets" "$files" bd-pack --list-targets "$1"
	pair "directory $1, bd-pack --target hf" "$files" bd-pack -q -t 1 --force --target hf "$1" -o out
	pair "directory $1, bd-subln" "$files" bd-subln -q "$1" -o out
	pair "directory $1, bd-sft" "$files" bd-sft -q -t 1 --steps 1 --batch 4 --model "$1" -o out dev.bds
	pair "directory $1, bd-cpt" "$files" bd-cpt -q -t 1 --steps 1 --batch 4 --model "$1" -o out dev.bds
	pair "directory $1, bd-distill" "$files" bd-distill -q -t 1 --steps 1 --batch 4 --model "$1" -o out dump.kd
	pair "directory $1, bd-teacher-dump" "$files" bd-teacher-dump -q -t 1 --model "$1" -o out dev.bds
}

examples() { # STREAM
	pair "examples $1, bd-sft" "$1" bd-sft -q -t 1 --batch 4 --model base -o out "$1"
	pair "examples $1, bd-cpt" "$1" bd-cpt -q -t 1 --batch 4 --model base -o out "$1"
	pair "examples $1, bd-sft --eval" "$1" bd-sft -q -t 1 --steps 1 --model base --eval "$1" -o out dev2.bds
	pair "examples $1, bd-eval" "$1" -i bd-eval -q -t 1 --logits out teacher "$1"
	test "$1" != dev.bds || bench "examples $1" "$1" --task "$1" teacher
	pair "examples $1, bd-teacher-dump" "$1" bd-teacher-dump -q -t 1 --model teacher -o out "$1"
	pair "examples $1, bd-data -d" "$1" bd-data -q -d --tokenizer base "$1"
	pair "examples $1, bd-info" "$1" bd-info "$1"
}

teacher() { # STREAM
	pair "teacher $1, bd-distill" "$1" bd-distill -q -t 1 --batch 4 --model s0 -o out "$1"
	pair "teacher $1, bd-info" "$1" bd-info "$1"
}

states() { # TOOL MODEL STREAM
	echo "state, $1" | grep -qE "$PATTERN" || return 0
	state "$@"
	pair "state, $1" "$(echo out.ckpt/*)" "$1" -q -t 1 --batch 4 --steps 3 --checkpoint-every 1 --resume --model "$2" -o out "$3"
	rm -rf out.ckpt
}

make_models
cp dev.bds dev2.bds
for type in i2_s tq2_0 tq1_0 q2_0 iq2_bn iq1_bn; do
	packed bd "$type"
done
for type in tq2_0 q2_0 tq1_0; do
	packed stock "$type"
done
packed ik iq2_bn
packed ik iq1_bn
packed bitnet.cpp i2_s
for d in teacher student hf; do
	directory "$d"
done
examples dev.bds
examples dev.bds.zst
teacher dump.kd
teacher dump.kd.zst
states bd-sft base dev.bds
states bd-cpt base dev.bds
states bd-distill s0 dump.kd
echo "$pairs pairs of a file and a tool, $bad with a result that is silently wrong, a crash or another status"
test "$bad" -eq 0 && test "$pairs" -gt 0
