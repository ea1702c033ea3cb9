# What may be said of the gap between BitNet-SFT and its teacher, and of the share that BitDistill closes:
#
#	awk -f claims.awk ARM.SEED.SPLIT.rows...      of bd-eval --predictions, for the arms teacher, bitnet-sft and bitdistill
#
# The score of an arm is the accuracy in percent, or without classes the cross entropy in nat/token, over all rows and seeds. A
# difference has two sources of chance: the rows that happen to be in the test set (paired: every arm has answered the same ones) and
# the seeds that happen to have been trained. Their variances add up; intervals are Student's, at 95 %, with the degrees of freedom of
# Welch and Satterthwaite, and that of a share is Fieller's. With one seed the spread over seeds is unknown, and no share is claimed.

# The number stored under a key of a flat JSON object, or "".
function field(key) {
	if (!match($0, "\"" key "\": *-?[0-9][0-9.eE+-]*"))
		return ""
	key = substr($0, RSTART, RLENGTH)
	sub(/^[^:]*: */, "", key)
	return key
}
FNR == 1 {
	name = FILENAME
	sub(/^.*\//, "", name)
	if (split(name, part, ".") != 4 || part[4] != "rows")
		stop(FILENAME ": the name must be ARM.SEED.SPLIT.rows")
	arm = part[1]; split_name = part[3]; run = arm SUBSEP split_name SUBSEP part[2]
	if (!(split_name in rows)) {
		splits[++n_splits] = split_name
		rows[split_name] = 0
	}
	seeds[arm, split_name]++
}
{
	if (field("tokens") == "")
		stop(FILENAME ": line " FNR ": not a line of bd-eval --predictions")
	class = field("label") != ""
	if (kind != "" && kind != class)
		stop(FILENAME ": line " FNR ": some rows have a label and others have none")
	kind = class
	value = class ? 100 * (field("label") == field("predicted")) : field("nll")
	weight = class ? 1 : field("tokens")
	if (value == "")
		stop(FILENAME ": line " FNR ": the cross entropy is not finite")
	if (FNR > rows[split_name])
		rows[split_name] = FNR
	sum[arm, split_name, FNR] += value
	w[split_name, FNR] = weight
	run_sum[run] += value
	run_weight[run] += weight
	count[run]++
}

function stop(text) {
	print "claims.awk: " text | "cat >&2"
	failed = 1
	exit 3
}
# Of an arm on a split: mean[], and the variance of the mean that comes from the seeds.
function seed_spread(a, s, k, i, x, n, q, m) {
	n = m = q = 0
	for (k in run_sum) {
		split(k, i, SUBSEP)
		if (i[1] != a || i[2] != s)
			continue
		if (count[k] != rows[s])
			stop(a ", " s ": runs over different rows")
		x[++n] = run_sum[k] / run_weight[k]
		m += x[n]
	}
	m /= n
	for (k = 1; k <= n; k++)
		q += (x[k] - m) * (x[k] - m)
	mean[a] = m
	var_seeds[a] = n > 1 ? q / (n - 1) / n : 0
}
# The covariance of the means of two differences of arms, a - c and b - c, that comes from the rows.
function row_covariance(a, b, c, s, i, n, W, x, y, q) {
	n = rows[s]
	for (i = 1; i <= n; i++)
		W += w[s, i] / n
	for (i = 1; i <= n; i++) {
		x = sum[a, s, i] / seeds[a, s] - sum[c, s, i] / seeds[c, s] - (mean[a] - mean[c]) * w[s, i]
		y = sum[b, s, i] / seeds[b, s] - sum[c, s, i] / seeds[c, s] - (mean[b] - mean[c]) * w[s, i]
		q += x * y
	}
	return n > 1 ? q / (n - 1) / n / W / W : 0
}
# Student's quantile at 0.975, rounded up between the degrees of freedom of the table.
function student(df, t) {
	split("12.706 4.303 3.182 2.776 2.571 2.447 2.365 2.306 2.262 2.228 2.201 2.179 2.160 2.145 2.131 2.120 2.110 2.101 2.093 2.086", t, " ")
	df = int(df)
	return df < 1 ? t[1] : df <= 20 ? t[df] : 1.960 + 2.6 / df
}
# Degrees of freedom of a sum of variances of means: of the rows, of n1 and of n2 seeds.
function freedom(v0, n0, v1, n1, v2, n2, d) {
	d = (n0 > 1 ? v0 * v0 / (n0 - 1) : 0) + (n1 > 1 ? v1 * v1 / (n1 - 1) : 0) + (n2 > 1 ? v2 * v2 / (n2 - 1) : 0)
	return d > 0 ? (v0 + v1 + v2) * (v0 + v1 + v2) / d : 1e6
}
# Fills difference[a], variance[a] and quantile[a] of a - bitnet-sft.
function compare(a, s, v) {
	v = row_covariance(a, a, "bitnet-sft", s)
	difference[a] = mean[a] - mean["bitnet-sft"]
	variance[a] = v + var_seeds[a] + var_seeds["bitnet-sft"]
	quantile[a] = student(freedom(v, rows[s], var_seeds[a], seeds[a, s], var_seeds["bitnet-sft"], seeds["bitnet-sft", s]))
}
function say_difference(a, title, half) {
	half = quantile[a] * sqrt(variance[a])
	printf "%s - BitNet-SFT: %+.3f (95 %% interval %+.3f to %+.3f)\n", title, difference[a], difference[a] - half, difference[a] + half
}
# R = D / G lies where (D - R G)^2 <= t^2 (var D - 2 R cov + R^2 var G): between two roots, if G is not 0.
function say_share(s, D, G, t, c, a0, a1, a2, root) {
	D = difference["bitdistill"]
	G = difference["teacher"]
	t = quantile["teacher"] > quantile["bitdistill"] ? quantile["teacher"] : quantile["bitdistill"]
	c = row_covariance("bitdistill", "teacher", "bitnet-sft", s) + var_seeds["bitnet-sft"]
	a2 = G * G - t * t * variance["teacher"]
	a1 = D * G - t * t * c
	a0 = D * D - t * t * variance["bitdistill"]
	root = a1 * a1 - a0 * a2
	if (seeds["teacher", s] < 2 || seeds["bitnet-sft", s] < 2 || seeds["bitdistill", s] < 2)
		printf "On %s, one seed does not tell how much another would differ: no share of the gap is claimed\n", s
	else if (a2 <= 0)
		printf "On %s, the gap between BitNet-SFT and the teacher cannot be told from 0: no share of it is claimed\n", s
	else if (G * (kind ? 1 : -1) < 0)
		printf "On %s, BitNet-SFT is better than the teacher: there is no gap to close\n", s
	else
		printf "On %s, BitDistill closes %.0f%% of the gap between BitNet-SFT and the teacher (95 %% interval %.0f%% to %.0f%%)\n",
		       s, 100 * D / G, 100 * (a1 - sqrt(root > 0 ? root : 0)) / a2, 100 * (a1 + sqrt(root > 0 ? root : 0)) / a2
}
END {
	if (failed)
		exit 3
	for (j = 1; j <= n_splits; j++) {
		s = splits[j]
		if (!seeds["teacher", s] || !seeds["bitnet-sft", s])
			continue
		printf "%s: %d rows, %d seed%s, %s\n", s, rows[s], seeds["teacher", s], seeds["teacher", s] == 1 ? "" : "s",
		       kind ? "accuracy in percent" : "nat/token"
		seed_spread("bitnet-sft", s)
		seed_spread("teacher", s)
		compare("teacher", s)
		say_difference("teacher", "teacher")
		if (!seeds["bitdistill", s])
			continue
		seed_spread("bitdistill", s)
		compare("bitdistill", s)
		say_difference("bitdistill", "BitDistill")
		say_share(s)
	}
}
