#!/bin/sh
# Measures speed over threads and context for the README: a ternary student with every type of head, beside the same shape in full
# precision and, if `llama-bench` is on PATH and LLAMA_MODEL names a model for it, that program. Weights are random: they do not change
# the speed.
#
#	sh pipelines/bench.sh [--out DIR] [--config CONFIG.json] [--heads LIST] [--threads LIST] [--prefill N] [--decode N] [--depths LIST]
#	                      [--reps N] [--quick]
#
# Lists are separated by commas. The default shape is that of Qwen3-0.6B; --quick is a tiny one, in seconds, to see whether it works.
# Each student is measured in turns with the others beside it, so that the ratios are those of neighbours in time. LLAMA_ARGS: more
# options for llama-bench.
#
# Results: OUT/bench.tsv (everything), OUT/bench.md (tables for the README), OUT/bench.png (the plot).
set -eu
. "$(dirname "$0")/lib.sh"

work=bench-out config='' heads=f16,q8_0,q6_k,q4_0 threads=1,$(cores) prefill=512 decode=128 depths=0,2048,8192 reps=5
[ "$threads" != 1,1 ] || threads=1
while [ $# -gt 0 ]; do
	if [ "$1" = --quick ]; then
		quick=yes threads=1,2 prefill=16 decode=4 depths=0,16 reps=2
		shift
		continue
	fi
	[ $# -ge 2 ] || die "$1 needs a value; see the head of this script"
	case $1 in
	--out) work=$2 ;;
	--config) config=$2 ;;
	--heads) heads=$2 ;;
	--threads) threads=$2 ;;
	--prefill) prefill=$2 ;;
	--decode) decode=$2 ;;
	--depths) depths=$2 ;;
	--reps) reps=$2 ;;
	*) die "unknown option $1; see the head of this script" ;;
	esac
	shift 2
done
case $prefill$decode in
*[!0-9]*) die "--prefill and --decode are one number each" ;;
esac
command -v gnuplot >/dev/null || die "gnuplot is missing; sh pipelines/deps.sh installs it"
ensure_tools
mkdir -p "$work"

# qwen3 HIDDEN LAYERS HEADS KV_HEADS HEAD_DIM FFN VOCAB
qwen3() {
	cat <<-END
		{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": $1, "num_hidden_layers": $2,
		 "num_attention_heads": $3, "num_key_value_heads": $4, "head_dim": $5, "intermediate_size": $6, "vocab_size": $7,
		 "max_position_embeddings": 40960, "hidden_act": "silu", "rms_norm_eps": 1e-06, "rope_theta": 1000000,
		 "attention_bias": false, "tie_word_embeddings": true, "eos_token_id": 0}
	END
}

# The models: full precision as published, in bf16, and the student packed with each head.
if [ -n "$config" ]; then
	cp "$config" "$work/config.json"
elif [ -n "${quick:-}" ]; then
	qwen3 256 2 4 2 64 512 512 >"$work/config.json"
else
	qwen3 1024 28 16 8 128 3072 151936 >"$work/config.json"
fi
if ! cmp -s "$work/config.json" "$work/made-from.json"; then
	say "making models of this shape in $work"
	rm -f "$work"/*.gguf
	bd-init -q --force --dtype bf16 -o "$work/full" "$work/config.json"
	bd-subln -q --force --dtype bf16 -o "$work/student" "$work/full"
	cp "$work/config.json" "$work/made-from.json"
fi

peer=
if command -v llama-bench >/dev/null && [ -n "${LLAMA_MODEL:-}" ]; then
	cat >"$work/peer.sh" <<-'END'
		exec llama-bench -m "$LLAMA_MODEL" -o json -r 1 -t $BD_THREADS -p $BD_PREFILL -n $BD_DECODE -d $BD_DEPTH $LLAMA_ARGS
	END
	export LLAMA_MODEL LLAMA_ARGS="${LLAMA_ARGS:-}" PEER="$work/peer.sh"
	peer=yes
fi
set --
for head in $(echo "$heads" | tr , ' '); do
	[ -e "$work/$head.gguf" ] || bd-pack -q --embd "$head" "$work/student" -o "$work/$head.gguf"
	say "measuring, head $head"
	# shellcheck disable=SC2016 # PEER is for the shell that bd-bench starts
	bd-bench -q --roofline -t "$threads" -p "$prefill" -n "$decode" -d "$depths" -r "$reps" --format csv \
		--vs "$work/full" ${peer:+--vs-cmd 'sh "$PEER"'} "$work/$head.gguf" >"$work/$head.csv"
	set -- "$@" "$work/$head.csv"
done

# Column "run": the head that was measured beside the row; "side": ours, full or peer.
table() { # MAKE=WHAT ...: see bench.awk
	for assignment; do
		set -- "$@" -v "$assignment"
		shift
	done
	awk "$@" -f "$here/pipelines/bench.awk" "$work/bench.tsv"
}
awk -v make=tsv -f "$here/pipelines/bench.awk" "$@" >"$work/bench.tsv"
table make=markdown cpu="$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)" >"$work/bench.md"

# Four panels: prefill and decoding over threads (at the first depth) and over context (with most threads), a line for each model.
most=$(echo "$threads" | tr , '\n' | sort -n | tail -n 1)
{
	echo "set terminal pngcairo size 1120,760 font 'sans,10'"
	echo "set output '$work/bench.png.new'"
	echo "set multiplot layout 2,2; set grid; set border 3; set tics nomirror; set yrange [0:*]; set autoscale xfix; set offsets graph 0.05, graph 0.05, graph 0.4, 0; set key noenhanced"
	panel=0
	for kind in prefill:n_prompt decoding:n_gen; do
		for axis in "threads:n_threads:n_depth:${depths%%,*}" "tokens of context:n_depth:n_threads:$most"; do
			panel=$((panel + 1))
			IFS=: read -r label x fixed value <<-END
				$axis
			END
			table make=curves x="$x" kind="${kind#*:}" fixed="$fixed" value="$value" >"$work/bench.$panel.dat"
			if [ "$x" = n_threads ]; then
				at="$value tokens of context"
				echo "set xtics 1; set key top left"
			else
				at="$value threads"
				echo "set xtics auto; set key top right"
			fi
			echo "set title '${kind%:*}, $at'; set xlabel '$label'; set ylabel 'tokens/s'"
			echo "stats '$work/bench.$panel.dat' using 2 nooutput"
			echo "plot for [i=0:STATS_blocks-1] '$work/bench.$panel.dat' index i using 1:2:3:4 with yerrorlines lw 2 pt 7 ps 0.7 title columnheader(1)"
		done
	done
} >"$work/bench.gp"
gnuplot "$work/bench.gp" >"$work/gnuplot.log" 2>&1 || die "gnuplot: $(cat "$work/gnuplot.log")"
[ -s "$work/bench.png.new" ] || die "gnuplot produced no image: $(cat "$work/gnuplot.log")"
mv "$work/bench.png.new" "$work/bench.png"
cat "$work/bench.md"
say "tables: $work/bench.md; numbers: $work/bench.tsv; plot: $work/bench.png"
