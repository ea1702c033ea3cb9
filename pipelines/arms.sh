#!/bin/sh
# BitNet Distillation on one task, with every ablation of the paper's Tables 5 and 6:
#
#	sh pipelines/arms.sh --template NAME --model DIR --data DIR --corpus FILE [--limit N] [--seeds N] [--out DIR] [--jobs N]
#		[--arms 'NAME...'] [--max-len N] [--batch N] [--epochs N] [--cpt-tokens N] [--lr-teacher X] [--lr-student X] [--lr-tuned X]
#
# The DIR of --data holds train, dev and (optionally) test as .tsv or .jsonl with the fields of the template. The result is a table
# (mean and standard deviation over seeds, on dev and test) on stdout and in OUT/table.tsv: accuracy if the template has classes,
# otherwise the cross entropy of the answers in nat/token. Below it, and in OUT/claims.txt, is what rows and seeds allow to be said of
# the gap that BitDistill closes. Finished steps are not run again.
set -eu
# shellcheck source=pipelines/lib.sh
. "$(dirname "$0")/lib.sh"

model='' template='' data='' corpus='' limit=0 seeds=1 work='' jobs=$(cores)
arms='teacher bitnet-sft subln subln-cpt subln-distill bitdistill ld-only ad-only'
epochs=1 batch=32 max_len=0 cpt_tokens=2000000
lr_teacher=5e-4 lr_student=5e-4 lr_cpt=1.5e-3 # peak rates: teacher; students that start from ternarised weights; CPT;
lr_tuned=3e-4                                 # students that went through CPT
while [ $# -gt 0 ]; do
	case $1 in
	--template) template=$2 ;;
	--model) model=$2 ;;
	--data) data=$2 ;;
	--corpus) corpus=$2 ;;
	--limit) limit=$2 ;;
	--seeds) seeds=$2 ;;
	--out) work=$2 ;;
	--jobs) jobs=$2 ;;
	--arms) arms=$2 ;;
	--max-len) max_len=$2 ;;
	--batch) batch=$2 ;;
	--epochs) epochs=$2 ;;
	--cpt-tokens) cpt_tokens=$2 ;;
	--lr-teacher) lr_teacher=$2 ;;
	--lr-student) lr_student=$2 ;;
	--lr-tuned) lr_tuned=$2 ;;
	*) die "unknown option $1; see the head of this script" ;;
	esac
	shift 2
done
if [ -z "$model" ] || [ -z "$template" ] || [ -z "$data" ] || [ -z "$corpus" ]; then
	die "give --model, --template, --data and --corpus"
fi
: "${work:=$(basename "$template" .json)-out}"
ensure_tools
mkdir -p "$work"

rows() { # split: prints its file, or nothing
	for rows_file in "$data/$1.tsv" "$data/$1.jsonl"; do
		if [ -e "$rows_file" ]; then echo "$rows_file"; fi
	done
}
sft() { # output model seed lr options
	out=$1 from=$2 seed=$3 lr=$4
	shift 4
	bd-sft -t 1 -q --force --shuffle -s "$seed" --epochs "$epochs" --batch "$batch" --lr "$lr" --model "$from" -o "$out" \
		--log "$out.jsonl" "$@" "$work/train.bds"
}
distill() { # output student seed lr options
	out=$1 from=$2 seed=$3 lr=$4
	shift 4
	bd-teacher-dump -t 1 -q --shuffle -s "$seed" --epochs "$epochs" --model "$work/teacher.$seed" "$work/train.bds" |
		bd-distill -t 1 -q --force --batch "$batch" --model "$from" -o "$out" --lr "$lr" --log "$out.jsonl" "$@"
}
cpt() {
	bd-cpt -t 1 -q --force --model "$work/s0" -o "$work/s1" --lr "$lr_cpt" --batch-tokens 2048 --tokens "$cpt_tokens" \
		--log "$work/s1.jsonl" "$work/corpus.bds"
}
score() { # arm.seed split: prints the accuracy in percent, or nat/token, and writes what became of each row
	bd-eval -t 1 --tsv --predictions "$work/$1.$2.rows" "$work/$1" "$work/$2.bds" | awk -F'\t' '
		NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i }
		NR == 2 { print "accuracy" in column ? 100 * $column["accuracy"] : $column["nll"] }'
}
scores() { # arm.seed
	for split in $splits; do
		printf '%s\t%s\t%s\n' "$1" "$split" "$(score "$1" "$split")"
	done >"$work/$1.acc"
}

# The data, and the stages that do not depend on the seed.
splits=dev
[ -n "$(rows test)" ] && splits='dev test'
for split in $splits; do
	bd-data --template "$template" --tokenizer "$model" --max-len "$max_len" -o "$work/$split.bds" "$(rows "$split")"
done
bd-data --template "$template" --tokenizer "$model" --max-len "$max_len" --shuffle --limit "$limit" -o "$work/train.bds" "$(rows train)"
[ -e "$work/corpus.bds" ] ||
	bd-data --text --pack 128 --tokenizer "$model" --limit $((cpt_tokens / 128 + 32)) -o "$work/corpus.bds" "$corpus"
bd-subln --force "$model" -o "$work/s0" --norms subln

pool "$jobs"
job cpt cpt
for seed in $(seq "$seeds"); do
	job "teacher.$seed" sft "$work/teacher.$seed" "$model" "$seed" "$lr_teacher"
done
finish
kd='--lambda 1 --tau 2 --gamma-ratio 0.3'
arm() { # arm.seed: trains this arm
	out=$work/$1 seed=${1##*.}
	# shellcheck disable=SC2086
	case ${1%.*} in
	bitnet-sft) sft "$out" "$model" "$seed" "$lr_student" --weights ternary ;;
	subln) sft "$out" "$work/s0" "$seed" "$lr_student" ;;
	subln-cpt) sft "$out" "$work/s1" "$seed" "$lr_tuned" ;;
	subln-distill) distill "$out" "$work/s0" "$seed" "$lr_student" $kd ;;
	bitdistill) distill "$out" "$work/s1" "$seed" "$lr_tuned" $kd ;;
	ld-only) distill "$out" "$work/s1" "$seed" "$lr_tuned" --lambda 1 --tau 2 --gamma 0 ;;
	ad-only) distill "$out" "$work/s1" "$seed" "$lr_tuned" --lambda 0 --gamma-ratio 0.3 ;;
	*) die "no arm ${1%.*}" ;;
	esac
}
for seed in $(seq "$seeds"); do
	for name in $arms; do
		[ "$name" = teacher ] || job "$name.$seed" arm "$name.$seed"
	done
done
finish
for name in $arms; do
	for seed in $(seq "$seeds"); do
		job "$name.$seed.rows" scores "$name.$seed"
	done
done
finish

cat "$work"/*.acc | awk -v arms="$arms" -v splits="$splits" '
	BEGIN {
		FS = "\t"
		name["teacher"] = "full-precision teacher"; name["bitnet-sft"] = "BitNet-SFT"; name["subln"] = "SubLN only"
		name["subln-cpt"] = "SubLN + CPT"; name["subln-distill"] = "SubLN + distillation"
		name["bitdistill"] = "BitDistill (all three)"; name["ld-only"] = "LD only"; name["ad-only"] = "AD only"
	}
	{
		arm = $1; sub(/\.[0-9]+$/, "", arm)
		x = $3; k = arm SUBSEP $2
		n[k]++; s[k] += x; q[k] += x * x
	}
	function mean(k) { return s[k] / n[k] }
	function sd(k, v) {
		if (n[k] < 2) return 0
		v = (q[k] - s[k] * s[k] / n[k]) / (n[k] - 1)
		return v > 0 ? sqrt(v) : 0
	}
	END {
		na = split(arms, a, " "); ns = split(splits, sp, " ")
		printf "arm"
		for (j = 1; j <= ns; j++) printf "\t%s mean\t%s sd", sp[j], sp[j]
		print ""
		for (i = 1; i <= na; i++) {
			printf "%s", name[a[i]]
			for (j = 1; j <= ns; j++) { k = a[i] SUBSEP sp[j]; printf "\t%.3f\t%.3f", mean(k), sd(k) }
			print ""
		}
	}' | tee "$work/table.tsv"
set --
for split in $splits; do
	for name in teacher bitnet-sft bitdistill; do
		for seed in $(seq "$seeds"); do
			[ ! -e "$work/$name.$seed.$split.rows" ] || set -- "$@" "$work/$name.$seed.$split.rows"
		done
	done
done
[ $# -eq 0 ] || awk -f "$here/pipelines/claims.awk" "$@" | tee "$work/claims.txt"
