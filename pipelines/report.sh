#!/bin/sh
# Plots a run: the training curves of every log and the accuracies of the table.
#
#	sh pipelines/report.sh [-o FILE.png] DIR
#
# DIR contains *.jsonl (the logs of the training tools; NAME.SEED.jsonl are runs of one NAME) and may contain table.tsv, whose columns
# "SPLIT mean" and "SPLIT sd" are drawn as bars with error bars. The default of -o is DIR/report.png.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
die() {
	echo "report.sh: $*" >&2
	exit "${status:-4}"
}
usage() {
	status=2 die "usage: report.sh [-o FILE.png] DIR"
}

out=
while getopts o: option; do
	[ "$option" = o ] || usage
	out=$OPTARG
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || usage
dir=$1
out=${out:-$dir/report.png}
[ -d "$dir" ] || status=3 die "$dir: no such directory"
command -v gnuplot >/dev/null || die "gnuplot is missing; sh pipelines/deps.sh installs it"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# One gnuplot "plot" element per log, with the runs of one name in one colour. Language-modelling losses are per token of text, those of
# the task per answer, so they are drawn in separate panels.
language='' task='' colours=''
for log in "$dir"/*.jsonl; do
	[ -e "$log" ] || status=3 die "$dir: no *.jsonl; the training tools write one with --log"
	name=$(basename "$log" .jsonl)
	awk -v make=curve -f "$here/report.awk" "$log" >"$tmp/$name.dat"
	[ -s "$tmp/$name.dat" ] || continue
	arm=${name%.[0-9]*}
	case " $colours " in
	*" $arm "*) title='' ;;
	*) colours="$colours $arm" title=$arm ;;
	esac
	colour=$(echo "$colours" | tr ' ' '\n' | grep -nxF "$arm" | cut -d: -f1)
	curve="'$tmp/$name.dat' using 1:2 with lines lw 2 lc $((colour - 1)) title '$title' noenhanced"
	case $arm in
	base | cpt | s1) language="$language${language:+, }$curve" ;;
	*) task="$task${task:+, }$curve" ;;
	esac
done
[ -n "$language$task" ] || status=3 die "$dir: the logs have no training steps"
bars=
if [ -s "$dir/table.tsv" ]; then
	awk -v make=bars -f "$here/report.awk" "$dir/table.tsv" >"$tmp/bars.dat" ||
		status=3 die "$dir/table.tsv: no column \"SPLIT mean\""
	bars=yes
fi

panels=0
for panel in "$language" "$task" "$bars"; do
	[ -z "$panel" ] || panels=$((panels + 1))
done
{
	echo "set terminal pngcairo size $((560 * panels)),480 font 'sans,10'"
	echo "set output '$tmp/report.png'"
	echo "set multiplot layout 1,$panels; set grid ytics; set border 3; set tics nomirror; set xlabel 'step'"
	echo "set ylabel 'cross entropy (nat)'; set logscale y; set key top right"
	[ -z "$language" ] || echo "set title 'language modelling'; plot $language"
	[ -z "$task" ] || echo "set title 'task'; plot $task"
	if [ -n "$bars" ]; then
		cat <<-END
			unset logscale; unset xlabel; set title 'accuracy (%)'; unset ylabel
			set style data histogram; set style histogram errorbars gap 1 lw 1; set style fill solid 0.6 border
			set xtics rotate by -30 noenhanced; set key top left; set bmargin 8
			stats '$tmp/bars.dat' using 2 nooutput
			low = floor((STATS_min - 5) / 10) * 10; set yrange [low < 0 ? 0 : low:100]
			plot for [i=0:STATS_blocks-1] '$tmp/bars.dat' index i using 2:3:xtic(1) title columnheader(1)
		END
	fi
} >"$tmp/report.gp"
gnuplot "$tmp/report.gp" >"$tmp/gnuplot.log" 2>&1 || die "gnuplot: $(cat "$tmp/gnuplot.log")"
[ -s "$tmp/report.png" ] || die "gnuplot produced no image: $(cat "$tmp/gnuplot.log")"
mv "$tmp/report.png" "$out"
