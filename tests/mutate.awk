# The places of a C file of this project that tests/mutate.sh may change, one a line, separated by tabs:
#
#	LINE:COLUMN  BEFORE  AFTER  OFFSET  LENGTH  TEXT  OFFSET  LENGTH  TEXT  SOURCE LINE
#
# LENGTH bytes at OFFSET (the first is 1) become TEXT; the second edit is behind the first and may be empty. Only bodies of
# functions count, and what the format makes of them is relied upon: "{" and "}" of a function stand at the margin, a
# binary operator has blanks on both sides. Left out are preprocessor lines, static tables, enumerations, declarations
# without a value, the zero of `{0}`, sizeof, what messages say, and calls that only free: leaks are for SAN=1.

{
	text = text $0 "\n"
	source[NR] = $0
}

# Token i: word[i] is its text, kind[i] one of i (identifier), n (number), s (literal), o (operator).
function add(length_, k) {
	n++
	word[n] = substr(text, at, length_)
	kind[n] = k
	from[n] = at
	line[n] = row
	column[n] = at - begin + 1
	at += length_
}

function skip_to(what, j) {
	j = index(substr(text, at), what)
	j = j ? at + j - 1 + length(what) : size + 1
	for (; at < j; at++)
		if (substr(text, at, 1) == "\n") {
			row++
			begin = at + 1
		}
}

function scan(c, rest, fresh, k, len) {
	size = length(text)
	at = row = begin = 1
	fresh = 1 # nothing but blanks before, in this line
	while (at <= size) {
		c = substr(text, at, 1)
		if (c == "\n") {
			row++
			begin = ++at
			fresh = 1
		} else if (c == " " || c == "\t") {
			at++
		} else if (c == "#" && fresh) {
			while (substr(source[row], length(source[row])) == "\\")
				skip_to("\n")
			skip_to("\n")
		} else if (substr(text, at, 2) == "/*") {
			skip_to("*/")
		} else if (substr(text, at, 2) == "//") {
			skip_to("\n")
			fresh = 1
		} else {
			fresh = 0
			rest = substr(text, at, 200)
			if (c == "\"" || c == "'") {
				for (len = 1; substr(text, at + len, 1) != c; len++)
					if (substr(text, at + len, 1) == "\\")
						len++
				add(len + 1, "s")
			} else if (match(rest, /^[A-Za-z_][A-Za-z_0-9]*/)) {
				add(RLENGTH, "i")
			} else if (match(rest, /^\.?[0-9]([eEpP][+-]|[0-9A-Za-z.])*/)) {
				add(RLENGTH, "n")
			} else {
				k = 1
				if (match(rest, /^(<<=|>>=|\.\.\.|->|\+\+|--|<<|>>|[<>=!+*\/%&|^-]=|&&|\|\|)/))
					k = RLENGTH
				add(k, "o")
			}
		}
	}
}

# partner[i] of each bracket; depth[i]: round brackets around; inside[i]: a function's body.
function structure(i, top, stack, round, body) {
	top = round = body = 0
	for (i = 1; i <= n; i++) {
		if (word[i] == "{" && column[i] == 1)
			body = 1
		if (word[i] == "}" && column[i] == 1)
			body = 0
		inside[i] = body
		if (word[i] ~ /^[)\]}]$/ && kind[i] == "o") {
			round -= word[i] == ")"
			partner[i] = stack[top]
			partner[stack[top--]] = i
		}
		depth[i] = round
		if (word[i] ~ /^[(\[{]$/ && kind[i] == "o") {
			round += word[i] == "("
			stack[++top] = i
		}
	}
	for (i = 1; i <= n; i++)
		if (kind[i] == "i" && word[i] ~ /^(if|for|while|switch|EACH|json_array_foreach|json_object_foreach)$/)
			header[partner[i + 1]] = 1
}

# The ";" that ends what begins at i.
function end_of(i) {
	for (; i < n && word[i] != ";"; i++)
		if (word[i] ~ /^[(\[{]$/ && kind[i] == "o")
			i = partner[i]
	return i
}

function leave(a, b) {
	for (; a <= b; a++)
		left[a] = 1
}

function starts(i) {
	return inside[i] && !depth[i] && (word[i - 1] ~ /^([;{}:]|else|do)$/ || header[i - 1])
}

# A declaration without a value, from i to its ";".
function is_declaration(i, end, j) {
	if (kind[i] != "i" || word[i] ~ /^(return|goto|else|do|case|break|continue)$/)
		return 0
	if (kind[i + 1] != "i" && word[i + 1] != "*")
		return 0
	for (j = i; j < end; j++)
		if (kind[j] == "s" || (kind[j] == "o" && word[j] !~ /^[*,\[\]+]$/))
			return 0
	return 1
}

function exclude(i) {
	for (i = 1; i <= n; i++) {
		if (!inside[i])
			continue
		if (word[i] == "static" || (word[i] == "enum" && (word[i + 1] == "{" || word[i + 2] == "{")))
			leave(i, end_of(i))
		if (word[i] ~ /^(bd_die|bd_warn|bd_note|note|sizeof|offsetof|assert)$/ && word[i + 1] == "(")
			leave(i + 1, partner[i + 1])
		if (starts(i) && is_declaration(i, end_of(i)))
			leave(i, end_of(i))
		if (word[i] == "0" && word[i - 1] == "{" && word[i + 1] == "}")
			leave(i, i)
	}
}

# After token b, up to the end of token e.
function span(b, e) {
	return from[e] + length(word[e]) - from[b]
}

function put(i, before, after, at1, len1, text1, at2, len2, text2, shown) {
	shown = source[line[i]]
	gsub(/^[ \t]+|[ \t]+$/, "", shown)
	gsub(/\t/, " ", shown)
	printf "%d:%d\t%s\t%s\t%d\t%d\t%s\t%d\t%d\t%s\t%s\n", line[i], column[i], before, after, at1, len1, text1,
		at2, len2, text2, shown
}

function swap(i, after) {
	put(i, word[i], after, from[i], length(word[i]), after, 0, 0, "")
}

function number(i, w, digits, tail) {
	w = word[i]
	if (w ~ /^[0-9]+[uUlL]*$/ || w ~ /^[0-9]*\.[0-9]*f?$/) {
		match(w, /^[0-9]*/)
		digits = substr(w, 1, RLENGTH)
		tail = substr(w, RLENGTH + 1)
		if (length(digits) > 1 && digits ~ /^0/)
			return
		swap(i, (digits + 1) tail)
		if (w ~ /^1[uUlL]*$/)
			swap(i, "0" tail)
	}
}

function operator(i, w, k, other) {
	w = word[i]
	if (w == "!")
		put(i, "!", "", from[i], 1, "", 0, 0, "")
	if (!(w in instead) || substr(text, from[i] - 1, 1) !~ /[ \t\n]/ ||
	    substr(text, from[i] + length(w), 1) !~ /[ \t\n]/)
		return
	k = split(instead[w], other, " ")
	for (; k > 0; k--)
		swap(i, other[k])
}

# if (c) and while (c) with c turned round, unless that is what another change of c does.
function condition(i, j, end, compares, joins) {
	end = partner[i + 1]
	for (j = i + 2; j < end; j++) {
		compares += word[j] ~ /^([<>]=?|[!=]=)$/
		joins += word[j] == "&&" || word[j] == "||"
	}
	if (joins > 0 || (compares != 1 && word[i + 2] != "!"))
		put(i, word[i] " (c)", word[i] " (!(c))", from[i + 2], 0, "!(", from[end], 0, ")")
}

function returned(i, end) {
	end = end_of(i)
	if (!(word[end + 1] == "}" && column[end + 1] == 1))
		put(i, "return", "nothing", from[i], span(i, end), ";", 0, 0, "")
	if (end > i + 2)
		put(i, "return x", "return 0", from[i], span(i, end), "return 0;", 0, 0, "")
}

function call(i, j, end) {
	for (j = i; kind[j] == "i" && word[j + 1] ~ /^(->|\.)$/; j += 2)
		;
	if (kind[j] != "i" || word[j + 1] != "(" || word[partner[j + 1] + 1] != ";" ||
	    word[j] ~ /^(if|for|while|switch|return|sizeof)$/ || word[j] ~ /(free|decref)$/ ||
	    word[j] ~ /_(source|in|st|feed|ckpt|gguf)_close$/)
		return
	end = partner[j + 1] + 1
	put(i, word[j] "()", "nothing", from[i], span(i, end), ";", 0, 0, "")
}

END {
	split("< <= > >= == != + - * / % && || += -= *= /= & | << >>", order, " ")
	split("<=,> <,> >=,< >,< != == - + / * / || && -= += /= *= | & >> <<", others, " ")
	for (i = 1; i in order; i++) {
		gsub(/,/, " ", others[i])
		instead[order[i]] = others[i]
	}
	scan()
	structure()
	exclude()
	for (i = 1; i <= n; i++) {
		if (!inside[i] || left[i])
			continue
		if (kind[i] == "n")
			number(i)
		else if (kind[i] == "o")
			operator(i)
		else if (word[i] == "true" || word[i] == "false")
			swap(i, word[i] == "true" ? "false" : "true")
		else if ((word[i] == "break" || word[i] == "continue") && word[i + 1] == ";")
			put(i, word[i], "nothing", from[i], span(i, i), "", 0, 0, "")
		else if ((word[i] == "if" || word[i] == "while") && word[i + 1] == "(")
			condition(i)
		else if (word[i] == "return")
			returned(i)
		else if (kind[i] == "i" && starts(i))
			call(i)
	}
}
