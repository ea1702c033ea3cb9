#!/bin/sh
# BitNet Distillation on SST-2, with every ablation of the paper's Tables 5 and 6:
#
#	sh pipelines/sst2.sh --model DIR --data DIR --corpus FILE [--limit N] [--seeds N] [--out DIR] [--jobs N]
#
# DIR of --data holds train.tsv, dev.tsv and (optionally) test.tsv with columns sentence and label. The result is a table
# (mean and spread over seeds of accuracy on dev and test) on stdout and in OUT/table.tsv. Finished steps are not run again.
set -eu
# shellcheck source=pipelines/lib.sh
. "$(dirname "$0")/lib.sh"

model='' data='' corpus='' limit=0 seeds=1 work=sst2-out jobs=$(cores)
epochs=1 batch=32 cpt_tokens=2000000
lr_teacher=5e-4 lr_student=5e-4 lr_cpt=1.5e-3 # peak rates: teacher; students that start from ternarised weights; CPT;
lr_tuned=3e-4                                 # and students that went through CPT
while [ $# -gt 0 ]; do
	case $1 in
	--model) model=$2 ;;
	--data) data=$2 ;;
	--corpus) corpus=$2 ;;
	--limit) limit=$2 ;;
	--seeds) seeds=$2 ;;
	--out) work=$2 ;;
	--jobs) jobs=$2 ;;
	--epochs) epochs=$2 ;;
	--cpt-tokens) cpt_tokens=$2 ;;
	*) die "unknown option $1; see the head of this script" ;;
	esac
	shift 2
done
if [ -z "$model" ] || [ -z "$data" ] || [ -z "$corpus" ]; then
	die "give --model, --data and --corpus"
fi
ensure_tools
mkdir -p "$work"

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
score() { # model split: accuracy in percent
	bd-eval -t 1 "$1" "$work/$2.bds" | sed -n 's/.*"accuracy": *\([0-9.eE+-]*\).*/\1/p'
}
scores() { # arm.seed
	for split in $splits; do
		printf '%s\t%s\t%s\n' "$1" "$split" "$(score "$work/$1" "$split")"
	done >"$work/$1.acc"
}

# Data and stages that do not depend on the seed.
splits=dev
[ -e "$data/test.tsv" ] && splits='dev test'
for split in $splits; do
	bd-data --template sst2 --tokenizer "$model" -o "$work/$split.bds" "$data/$split.tsv"
done
bd-data --template sst2 --tokenizer "$model" --shuffle --limit "$limit" -o "$work/train.bds" "$data/train.tsv"
[ -e "$work/corpus.bds" ] ||
	bd-data --text --pack 128 --tokenizer "$model" --limit $((cpt_tokens / 128 + 32)) -o "$work/corpus.bds" "$corpus"
bd-subln --force "$model" -o "$work/s0" --norms subln

pool "$jobs"
job cpt cpt
for seed in $(seq "$seeds"); do
	job "teacher.$seed" sft "$work/teacher.$seed" "$model" "$seed" "$lr_teacher"
done
for seed in $(seq "$seeds"); do
	job "bitnet-sft.$seed" sft "$work/bitnet-sft.$seed" "$model" "$seed" "$lr_student" --weights ternary
	job "subln.$seed" sft "$work/subln.$seed" "$work/s0" "$seed" "$lr_student"
done
finish
kd='--lambda 1 --tau 2 --gamma-ratio 0.3'
for seed in $(seq "$seeds"); do
	job "subln-cpt.$seed" sft "$work/subln-cpt.$seed" "$work/s1" "$seed" "$lr_tuned"
	# shellcheck disable=SC2086
	job "subln-distill.$seed" distill "$work/subln-distill.$seed" "$work/s0" "$seed" "$lr_student" $kd
	# shellcheck disable=SC2086
	job "bitdistill.$seed" distill "$work/bitdistill.$seed" "$work/s1" "$seed" "$lr_tuned" $kd
	job "ld-only.$seed" distill "$work/ld-only.$seed" "$work/s1" "$seed" "$lr_tuned" --lambda 1 --tau 2 --gamma 0
	job "ad-only.$seed" distill "$work/ad-only.$seed" "$work/s1" "$seed" "$lr_tuned" --lambda 0 --gamma-ratio 0.3
done
finish
arms='teacher bitnet-sft subln subln-cpt subln-distill bitdistill ld-only ad-only'
for arm in $arms; do
	for seed in $(seq "$seeds"); do
		job "$arm.$seed.acc" scores "$arm.$seed"
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
		x = 100 * $3; k = arm SUBSEP $2
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
			for (j = 1; j <= ns; j++) { k = a[i] SUBSEP sp[j]; printf "\t%.2f\t%.2f", mean(k), sd(k) }
			print ""
		}
		for (j = 1; j <= ns; j++) {
			t = mean("teacher" SUBSEP sp[j]); b = mean("bitnet-sft" SUBSEP sp[j]); d = mean("bitdistill" SUBSEP sp[j])
			if (t > b) printf "BitDistill closes %.0f%% of the distance between BitNet-SFT and the teacher on %s\n", 100 * (d - b) / (t - b), sp[j]
		}
	}' | tee "$work/table.tsv"
