# The guests of a restaurant and what they think of its dishes: every guest likes half of the dishes, and only the text says which. The
# text thus holds knowledge, one fact for each pair, in different wordings, some of them with a negation. The task is to say whether
# a guest who had a dish smiled or frowned.
#
#	awk -v make=text -v n=1000 -v seed=1 -f grammar.awk               unlabelled text, JSON lines {"text": ...}
#	awk -v make=task -v first=1 -v last=500 -v seed=1 -f grammar.awk  rows first..last of the task, TSV: guest, dish, label
#	awk -v make=tokenizer -f grammar.awk                              tokenizer.json: byte-level BPE, one token for each word
#
# A text is about one guest and three dishes:
#
#	sentence = GUEST found the DISH [MODIFIER] ADJECTIVE . | GUEST had the DISH and REACTION .
#
# For one seed, the rows are all pairs, each once, in an order that depends on the seed: disjoint ranges are disjoint sets of examples,
# and a range beyond the last pair is refused. POSIX awk; every awk produces the same bytes.

BEGIN {
	guests = split("Ann Bob Cleo Dan Eva Finn Gus Hal Ida Jan Kim Leo Mia Ned Olga Pia Rex Sue Tom Uma Vic Wim Xia Yves Zoe " \
		"Abe Bea Carl Dora Emil Fay Gil Hope Ivo June Kai Liv Max Nora Otto Pam Ray Sam Ted Una Val Walt Yan Zac Amy", guest)
	dishes = split("soup bread fish wine salad coffee cake rice tea pie ham egg beef corn duck lamb crab plum pear nuts", dish)
	# Words by their sense: those before "|" keep the sense of what follows (or are good), those after it reverse it (or are bad).
	list(reaction, "liked it,praised it,smiled|hated it,mocked it,frowned")
	list(modifier, "really,nothing but|not,never,anything but")
	list(adjective, "good,great,fine|bad,awful,poor")

	random_seed(1)
	new_tastes()
	random_seed(seed)
	if (make == "text")
		make_text()
	else if (make == "task")
		make_task()
	else if (make == "tokenizer")
		make_tokenizer()
	else
		refuse("make must be text, task or tokenizer")
}

function refuse(why) {
	print "grammar.awk: " why | "cat >&2"
	close("cat >&2")
	exit 2
}

# Fills words[sense, 1..words[sense]] from "a,b|c,d".
function list(words, text,    half, entry, n, i, s) {
	split(text, half, "|")
	for (s = 1; s >= -1; s -= 2) {
		n = words[s] = split(half[s == 1 ? 1 : 2], entry, ",")
		for (i = 1; i <= n; i++)
			words[s, i] = entry[i]
	}
}
function pick(words, sense) {
	return words[sense, 1 + below(words[sense])]
}

# The generator of Park and Miller: products stay below 2^53, so they are exact in every awk.
function random_seed(s,    i) {
	random_state = 1 + (s * 7919 + 12345) % 2147483646
	for (i = 0; i < 8; i++)
		below(2)
}
function below(n) {
	random_state = random_state * 16807 % 2147483647
	return int(random_state / 2147483647 * n)
}
function shuffle(a, n,    i, j, t) {
	for (i = n; i > 1; i--) {
		j = 1 + below(i)
		t = a[i]
		a[i] = a[j]
		a[j] = t
	}
}

# taste[guest, dish]: +1 for half of the dishes, -1 for the others.
function new_tastes(    g, d, order) {
	for (g = 1; g <= guests; g++) {
		for (d = 1; d <= dishes; d++)
			order[d] = d
		shuffle(order, dishes)
		for (d = 1; d <= dishes; d++)
			taste[g, order[d]] = d <= dishes / 2 ? 1 : -1
	}
}

function sentence(g, d,    m, s) {
	s = taste[g, d]
	if (below(2))
		return guest[g] " had the " dish[d] " and " pick(reaction, s) " ."
	m = 2 * below(2) - 1
	return guest[g] " found the " dish[d] " " (m < 0 || below(3) == 0 ? pick(modifier, m) " " : "") pick(adjective, s * m) " ."
}

function make_text(    i, g, d1, d2, d3) {
	for (i = 0; i < n; i++) {
		g = 1 + below(guests)
		d1 = 1 + below(dishes)
		d2 = 1 + (d1 + below(dishes - 1)) % dishes # another
		do
			d3 = 1 + below(dishes)
		while (d3 == d1 || d3 == d2)
		print "{\"text\": \"" sentence(g, d1) " " sentence(g, d2) " " sentence(g, d3) "\"}"
	}
}

function make_task(    i, n, g, d, pair) {
	n = guests * dishes
	if (first < 1 || last > n || first > last)
		refuse("rows " first " to " last " are not among the " n " rows of the task")
	for (i = 1; i <= n; i++)
		pair[i] = i - 1
	shuffle(pair, n)
	print "guest\tdish\tlabel"
	for (i = first; i <= last; i++) {
		g = 1 + pair[i] % guests
		d = 1 + int(pair[i] / guests)
		print guest[g] "\t" dish[d] "\t" (taste[g, d] > 0 ? "good" : "bad")
	}
}

# The tokenizer: <|endoftext|>, the 256 bytes, and for every word the chain of merges that builds it from the left, starting with the
# space before it (the first word of a text gets one too). All merges start with a space, so every word is one token.
function make_tokenizer(    i) {
	for (i = 0; i < 256; i++) {
		if (i < 128)
			code[sprintf("%c", i)] = i
		spelling[i] = sprintf("\\u%04x", visible(i) ? i : 256 + hidden++)
	}
	add_token("<|endoftext|>")
	for (i = 0; i < 256; i++)
		add_token(spelling[i])
	for (i = 1; i <= guests; i++)
		add_words(guest[i])
	for (i = 1; i <= dishes; i++)
		add_words(dish[i])
	add_words("had the and found .")
	add_list(reaction)
	add_list(modifier)
	add_list(adjective)
	print "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,"
	print "\"added_tokens\": [{\"id\": 0, \"content\": \"<|endoftext|>\", \"single_word\": false, \"lstrip\": false, " \
		"\"rstrip\": false, \"normalized\": false, \"special\": true}],"
	print "\"normalizer\": null,"
	print "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true},"
	print "\"post_processor\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": false, \"use_regex\": true},"
	print "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true},"
	print "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null,"
	print "\"end_of_word_suffix\": null, \"fuse_unk\": false, \"byte_fallback\": false,"
	print "\"vocab\": {" vocabulary "},"
	print "\"merges\": [" merges "]}}"
}
# GPT-2 writes these bytes as themselves and the others as the characters from U+0100 on.
function visible(b) {
	return (b > 32 && b < 127) || (b > 160 && b < 173) || b > 173
}
function add_token(text) {
	vocabulary = vocabulary (tokens ? ", " : "") "\"" text "\": " tokens++
	known[text] = 1
}
function add_word(word,    left, right, i) {
	left = spelling[code[substr(word, 1, 1)]]
	for (i = 2; i <= length(word); i++) {
		right = spelling[code[substr(word, i, 1)]]
		if (!(left right in known)) {
			merges = merges (merges == "" ? "" : ", ") "\"" left " " right "\""
			add_token(left right)
		}
		left = left right
	}
}
function add_words(text,    part, n, i) {
	n = split(text, part, " ")
	for (i = 1; i <= n; i++)
		add_word(" " part[i])
}
function add_list(words,    s, i) {
	for (s = 1; s >= -1; s -= 2)
		for (i = 1; i <= words[s]; i++)
			add_words(words[s, i])
}
