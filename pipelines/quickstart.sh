#!/bin/sh
# Runs every step once, in a few minutes and without a download: a grammar (examples/grammar/) generates text that states facts and a
# task that asks for them, a small base model is trained on the text, and BitNet Distillation turns it into a ternary student for the
# task. Only a few rows are labelled, so whatever a model knows about the others comes from the text: ternary weights blur this knowledge,
# BitNet-SFT cannot relearn it from the labelled rows, and stage 2 of BitDistill restores it from text.
#
#	sh pipelines/quickstart.sh [--out DIR] [--seeds N] [--jobs N] [--rows N] [--tokens N] [--epochs N]
#
# It builds the suite first if need be, and installs the packages that this needs (deps.sh); BD_DEPS=no in the environment keeps it from
# installing anything.
#
# It ends with a table (full-precision teacher, BitNet-SFT, BitDistill: accuracy, file size, speed; also in OUT/table.tsv) and a
# plot of the training curves (OUT/report.png). Training steps that are finished are not run again.
set -eu
. "$(dirname "$0")/lib.sh"

work=quickstart-out seeds=1 jobs=$(cores)
rows=200 tokens=1800000 epochs=5 # labelled rows to train on; tokens of unlabelled text for the base model; passes over the rows
pairs=1000                       # number of rows in all; those not trained on are the test set
lr_base=1e-3 lr_cpt=1e-3 lr_teacher=1e-4 lr_student=2e-4
while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || die "$1 needs a value; see the head of this script"
	case $1 in
	--out) work=$2 ;;
	--seeds) seeds=$2 ;;
	--jobs) jobs=$2 ;;
	--rows) rows=$2 ;;
	--tokens) tokens=$2 ;;
	--epochs) epochs=$2 ;;
	*) die "unknown option $1; see the head of this script" ;;
	esac
	shift 2
done
if [ "$rows" -lt 1 ] || [ "$rows" -gt $((pairs - 100)) ]; then
	die "--rows must be 1 to $((pairs - 100)), to leave 100 of the $pairs rows for the test"
fi

grammar() { # MAKE=WHAT ...: see examples/grammar/grammar.awk
	for assignment; do
		set -- "$@" -v "$assignment"
		shift
	done
	awk "$@" -f "$here/examples/grammar/grammar.awk"
}
task_rows() { # NAME FIRST LAST: writes rows of the task as TSV and as an example stream
	grammar make=task first="$2" last="$3" seed=1 >"$work/$1.tsv"
	bd-data --template "$here/examples/grammar/task.json" --tokenizer "$work/init" -o "$work/$1.bds" "$work/$1.tsv"
}
text() { # NAME TOKENS SEED: writes unlabelled texts of about 22 tokens, one sequence each
	grammar make=text n=$(($2 / 22)) seed="$3" >"$work/$1.txt"
	bd-data --text --format jsonl --tokenizer "$work/init" -o "$work/$1.bds" "$work/$1.txt"
}
train() { # TOOL MODEL OUTPUT OPTION...: runs one training stage
	tool=$1 from=$2 to=$3
	shift 3
	"$tool" -q --force --model "$work/$from" -o "$work/$to" --log "$work/$to.jsonl" "$@"
}
base() { train bd-cpt init base -t "$jobs" --weights full --batch 8 --lr "$lr_base" "$work/base.bds"; }
teacher() { train bd-sft base "teacher.$1" -t 1 -s "$1" --shuffle --batch 16 --epochs "$epochs" --lr "$lr_teacher" "$work/train.bds"; }
bitnet_sft() {
	train bd-sft base "bitnet-sft.$1" -t 1 -s "$1" --shuffle --batch 16 --weights ternary --epochs "$epochs" --lr "$lr_student" "$work/train.bds"
}
cpt() { train bd-cpt subln cpt -t "$jobs" --batch 8 --lr "$lr_cpt" "$work/cpt.bds"; }
distill() {
	bd-teacher-dump -q -t 1 -s "$1" --shuffle --epochs "$epochs" --model "$work/teacher.$1" "$work/train.bds" |
		train bd-distill cpt "bitdistill.$1" -t 1 -s "$1" --batch 16 --lr "$lr_student"
}

ensure_tools
mkdir -p "$work"
say "making the task in $work"
grammar make=tokenizer >"$work/tokenizer.json"
bd-init --force --tokenizer "$work/tokenizer.json" -o "$work/init" "$here/examples/configs/quickstart.json"
task_rows train 1 "$rows"
task_rows test $((rows + 1)) "$pairs"
text base "$tokens" 2
text cpt $((tokens / 4)) 3

pool "$jobs"
say "training the base model on unlabelled text"
job base base
finish
bd-subln --force -o "$work/subln" "$work/base"
say "fine-tuning the teacher; stages 1 and 2 of the student: SubLN and continual pre-training"
job cpt cpt
for seed in $(seq "$seeds"); do job "teacher.$seed" teacher "$seed"; done
finish
say "stage 3 of the student: distillation; the baseline: BitNet-SFT"
for seed in $(seq "$seeds"); do
	job "bitdistill.$seed" distill "$seed"
	job "bitnet-sft.$seed" bitnet_sft "$seed"
done
finish

say "packing, evaluating, measuring"
packed() { # ARM SEED: prints the model to measure: the packed file if it is ternary
	case $1 in
	teacher) echo "$work/$1.$2" ;;
	*) echo "$work/$1.$2.gguf" ;;
	esac
}
measure() { # ARM SEED: prints lines "ARM KEY VALUE"
	model=$(packed "$1" "$2")
	[ "$1" = teacher ] || bd-pack -q "$work/$1.$2" -o "$model"
	bd-eval "$model" "$work/test.bds" >"$work/$1.$2.json"
	sed -n 's/^ *"accuracy": *\([0-9.eE+-]*\),*$/'"$1"'\taccuracy\t\1/p' "$work/$1.$2.json"
	if [ "$2" = 1 ]; then
		bd-bench --format csv -t 1 -p 128 -n 64 -r 5 "$model" >"$work/$1.bench.csv"
		awk -F, -v arm="$1" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
			NR == 2 { printf "%s\tfile_bytes\t%s\n", arm, $at["file_bytes"] }
			{ printf "%s\t%s\t%s\n", arm, ($at["n_gen"] > 0 ? "decode" : "prefill"), $at["median"] }' "$work/$1.bench.csv"
	fi
}
for seed in $(seq "$seeds"); do
	for arm in teacher bitnet-sft bitdistill; do
		measure "$arm" "$seed"
	done
done >"$work/measured.tsv"
bd-info "$work/bitdistill.1.gguf" >"$work/bitdistill.1.txt"

awk -F '\t' '
	$2 == "accuracy" { n[$1]++; s[$1] += 100 * $3; q[$1] += 1e4 * $3 * $3; next }
	{ x[$1, $2] = $3 }
	function sd(a, v) {
		v = n[a] < 2 ? 0 : (q[a] - s[a] * s[a] / n[a]) / (n[a] - 1)
		return v > 0 ? sqrt(v) : 0
	}
	function row(a, name) {
		if (!n[a] || !x[a, "file_bytes"] || !x[a, "decode"]) {
			print "quickstart.sh: no measurements for " name | "cat >&2"
			exit 1
		}
		printf "%s\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\n", name, s[a] / n[a], sd(a), x[a, "file_bytes"] / 1024, x[a, "prefill"], x[a, "decode"]
	}
	END {
		print "arm\ttest mean\ttest sd\tKiB\tprefill tok/s\tdecode tok/s"
		row("teacher", "full-precision teacher")
		row("bitnet-sft", "BitNet-SFT")
		row("bitdistill", "BitDistill")
	}' "$work/measured.tsv" >"$work/table.tsv"
if command -v gnuplot >/dev/null; then
	sh "$here/pipelines/report.sh" -o "$work/report.png" "$work"
	plot="curves and accuracies: $work/report.png"
else
	plot="no plot: gnuplot is missing"
fi

say 'asking the packed student:'
tail -n 3 "$work/test.tsv" | cut -f 1,2 >"$work/asked.tsv"
bd-run -q "$work/bitdistill.1.gguf" <"$work/asked.tsv" >"$work/answers.tsv"
paste "$work/asked.tsv" "$work/answers.tsv" | awk -F '\t' '{ printf "\t%s, %s: %s (%.0f %%)\n", $1, $2, $3, 100 * $4 }' >&2
awk -F '\t' '{ printf "%-24s %10s %9s %7s %14s %13s\n", $1, $2, $3, $4, $5, $6 }' "$work/table.tsv"
say "$plot"
