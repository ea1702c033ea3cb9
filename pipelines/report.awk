# Turns the logs and the table of a run into columns for gnuplot.
#
#	awk -v make=curve -f report.awk NAME.jsonl    step and smoothed cross entropy of a training log (one flat JSON object per line)
#	awk -v make=bars -f report.awk table.tsv      a block "name mean sd" for every split, from the columns "SPLIT mean", "SPLIT sd"

# The number stored under a key, or "".
function field(key) {
	if (!match($0, "\"" key "\": *-?[0-9][0-9.eE+-]*"))
		return ""
	key = substr($0, RSTART, RLENGTH)
	sub(/^[^:]*: */, "", key)
	return key
}

make == "curve" {
	step = field("step")
	loss = field("ce")
	if (step == "" || loss == "")
		next
	seen++
	mean += (loss - mean) / (seen < 20 ? seen : 20)
	print step, mean
}

make == "bars" && FNR == 1 {
	FS = "\t"
	$0 = $0
	for (i = 2; i <= NF; i++)
		if ($i ~ / mean$/)
			split_of[i] = substr($i, 1, length($i) - 5)
	columns = NF
	next
}
make == "bars" && NF == columns {
	row[++rows] = $0
}
END {
	for (i = 2; make == "bars" && i <= columns; i++) {
		if (!(i in split_of))
			continue
		printf "%s\"%s\"\n", blocks++ ? "\n\n" : "", split_of[i]
		for (j = 1; j <= rows; j++) {
			split(row[j], cell, "\t")
			print "\"" cell[1] "\"", cell[i], cell[i + 1]
		}
	}
	if (make == "bars" && !blocks)
		exit 3
}
