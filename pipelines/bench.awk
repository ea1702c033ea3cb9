# Tables of bench.sh. make=tsv: from what bd-bench wrote as CSV for each head (HEAD.csv), one table with tabs; of that table,
# make=markdown (cpu=NAME): for the README; make=curves (x, kind, fixed: columns; value): blocks of "x median min max" behind a title
# for gnuplot, of the rows where kind is not 0 and fixed is value. full and peer are those of the first run.

BEGIN { FS = make == "tsv" ? "\n" : "\t"; OFS = "\t" }

# ---- tsv ----

# The fields of a line of CSV, with tabs.
function tabbed(line,	out, c, quoted, i) {
	for (i = 1; i <= length(line); i++) {
		c = substr(line, i, 1)
		if (c == "\"" && quoted && substr(line, i + 1, 1) == "\"") {
			out = out c
			i++
		} else if (c == "\"")
			quoted = !quoted
		else if (c == "," && !quoted)
			out = out OFS
		else
			out = out (c == "\t" ? " " : c)
	}
	return out
}
make == "tsv" && FNR == 1 {
	run = FILENAME
	sub(/.*\//, "", run)
	sub(/\.csv$/, "", run)
	first = ""
	if (NR == 1)
		print "run", "side", tabbed($0)
	next
}
make == "tsv" {
	line = tabbed($0)
	split(line, field, OFS)
	if (first == "")
		first = field[1]
	print run, field[1] == first ? "ours" : field[1] ~ /\/full$/ ? "full" : "peer", line
	next
}

# ---- both others ----

NR == 1 {
	for (i = 1; i <= NF; i++)
		at[$i] = i
	next
}
{
	side = $at["side"]
	if (first == "")
		first = $at["run"]
	name = side == "ours" ? "ternary, head " $at["run"] : side == "full" ? "full precision (" $at["weights"] ")" : $at["weights"]
}

# ---- curves ----

make == "curves" {
	if ($at[kind] == 0 || $at[fixed] != value || (side != "ours" && $at["run"] != first))
		next
	if (!(name in points))
		names[++n_names] = name
	points[name] = points[name] $at[x] " " $at["median"] " " $at["min"] " " $at["max"] "\n"
	next
}

# ---- markdown ----

function mib(key) {
	return $at[key] == "" ? "" : sprintf("%.0f", $at[key] / 1048576)
}
function speed(	text) {
	text = sprintf(($at["median"] < 100) ? "%.1f" : "%.0f", $at["median"])
	return $at["of_peak"] == "" ? text : text sprintf(" (%.0f %%)", 100 * $at["of_peak"])
}
{
	test = $at["test"]
	threads = $at["n_threads"]
	if (!(test in seen_test)) {
		seen_test[test] = 1
		tests[++n_tests] = test
	}
	if (!(threads in roof)) {
		counts[++n_threads] = threads
		roof[threads] = sprintf("%.1f GB/s, %.0f GOP/s in int8, %.0f GFLOP/s in f32", $at["bandwidth"] / 1e9, $at["int8"] / 1e9, $at["f32"] / 1e9)
	}
	if (side == "ours" && !($at["run"] in seen_run)) {
		seen_run[$at["run"]] = 1
		runs[++n_runs] = $at["run"]
	}
	if (side != "ours") {
		ratio[name, $at["run"], threads, test] = sprintf("%.2f (%.2f-%.2f)", $at["ratio"], $at["ratio_min"], $at["ratio_max"])
		if (!(name in seen_other)) {
			seen_other[name] = 1
			others[++n_others] = name
		}
		if ($at["run"] != first)
			next
	}
	if (!(name in facts)) {
		if (side == "ours")
			names[++n_names] = name
		load = $at["first_token_seconds"]
		facts[name] = mib("file_bytes") " | " mib("peak_bytes") " | " (load == "" ? "" : sprintf("%.2f", load))
	}
	cell[name, threads, test] = speed()
}

function heading(text, columns,	i) {
	for (i = 1; i <= n_tests; i++)
		text = text " | " tests[i]
	print text " |"
	text = "|"
	for (i = 0; i < n_tests + columns; i++)
		text = text "---|"
	print text
}
function speeds(	m, t, i, line) {
	for (i = 1; i <= n_others; i++)
		names[++n_names] = others[i]
	heading("| model | file MiB | peak memory MiB | first token s | threads", 5)
	for (m = 1; m <= n_names; m++)
		for (t = 1; t <= n_threads; t++) {
			line = "| " names[m] " | " facts[names[m]] " | " counts[t]
			for (i = 1; i <= n_tests; i++)
				line = line " | " cell[names[m], counts[t], tests[i]]
			print line " |"
		}
}
function ratios(	r, o, t, i, line) {
	heading("| head | beside | threads", 3)
	for (r = 1; r <= n_runs; r++)
		for (o = 1; o <= n_others; o++)
			for (t = 1; t <= n_threads; t++) {
				line = "| " runs[r] " | " others[o] " | " counts[t]
				for (i = 1; i <= n_tests; i++)
					line = line " | " ratio[others[o], runs[r], counts[t], tests[i]]
				print line " |"
			}
}
END {
	if (make == "curves")
		for (i = 1; i <= n_names; i++)
			printf "%s\"%s\"\n%s", (i > 1 ? "\n\n" : ""), names[i], points[names[i]]
	if (make != "markdown")
		exit
	printf "%s. Tokens per second, medians; in brackets the share of the memory bandwidth (decoding, tg) or of the peak of the arithmetic (prefill, pp), measured in the same run", cpu
	for (t = 1; t <= n_threads; t++)
		printf "; %d thread%s: %s", counts[t], (counts[t] == 1 ? "" : "s"), roof[counts[t]]
	print ".\n"
	speeds()
	print "\nHow many times as fast as the others in the same run: the median of the pairs (smallest-largest).\n"
	ratios()
}
