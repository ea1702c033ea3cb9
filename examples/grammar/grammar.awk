# A small language of restaurant reviews, whose task needs attention: what a review says of a dish hangs on negation, on word
# order and on the noun that a word belongs to, so that a bag of words tells next to nothing.
#
#	awk -v make=text -v n=1000 -v seed=1 -f grammar.awk               unlabelled reviews, JSON lines {"text": ...}
#	awk -v make=task -v first=1 -v last=500 -v seed=1 -f grammar.awk  rows first..last of the task, TSV: text, label
#	awk -v make=tokenizer -f grammar.awk                              tokenizer.json: byte-level BPE, a token for each word
#
# A review is about a scene, three dishes, each good (+1) or bad (-1), not all the same. Its clauses are true of the scene:
#
#	clause = [it is TRUTH that] plain | [un]like the B , the A was MODIFIER ADJECTIVE
#	plain  = the A [that came with the B] was MODIFIER ADJECTIVE | PEOPLE [who had the B] VERB the A
#	       | the A was [not] (better|worse) than the B
#
# A row of the task is a review that then begins to speak of one of the dishes, "... . The soup", and the answer is what it is worth.
# The rows of one seed are all different: disjoint ranges are disjoint sets of examples. POSIX awk; every awk makes the same bytes.

BEGIN {
	nouns = split("soup bread fish wine salad coffee", noun)
	# Words by their sense: those before "|" keep the sense of what follows (or are good), those after it turn it (or are bad).
	list(truth, "true|false")
	list(people, "everyone,most guests|nobody,no guest")
	list(verb, "liked,praised|hated,mocked")
	list(modifier, "really,nothing but|not,never,anything but")
	list(adjective, "good,great,fine|bad,awful,poor")
	list(order, "better|worse")
	list(outcome, "finished,shared,recommend|left,returned,regret")

	random_seed(seed)
	if (make == "text")
		make_text()
	else if (make == "task")
		make_task()
	else if (make == "tokenizer")
		make_tokenizer()
	else {
		print "grammar.awk: give -v make=text, task or tokenizer" | "cat >&2"
		exit 2
	}
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
function sign() {
	return 2 * below(2) - 1
}

# Two dishes, 1 and 2, hence 3 - a is the other one.
function new_scene() {
	dish[1] = noun[1 + below(nouns)]
	do
		dish[2] = noun[1 + below(nouns)]
	while (dish[2] == dish[1])
	value[1] = sign()
	value[2] = sign()
}

# The sense of a word that is to keep or turn what follows. Half of what people write at length is plain.
function turn() {
	return at_length && below(2) ? 1 : sign()
}
# Now and then another dish stands between a word and what it belongs to.
function aside(text) {
	return below(at_length ? 4 : 2) ? "" : text
}
# "the A was ...": says that dish a is good or bad (s).
function is(a, s, between,    m) {
	m = turn()
	return "the " dish[a] between " was " (m < 0 || below(2) ? pick(modifier, m) " " : "") pick(adjective, s * m)
}
# A clause that says that dish a is good or bad (s); told[] gets the dishes that it tells of.
function plain(a, s,    b, m, kind) {
	kind = below(10)
	b = 3 - a
	m = turn()
	told[a] = 1
	if (kind < 5 && value[a] != value[b]) {
		told[b] = 1
		return "the " dish[a] " was " (m < 0 ? "not " : "") pick(order, s * m) " than the " dish[b]
	}
	if (kind < 7)
		return pick(people, m) aside(" who had the " dish[b]) " " pick(verb, s * m) " the " dish[a]
	return is(a, s, aside(" that came with the " dish[b]))
}
# A sentence that is true of the scene.
function review(    a, b, kind, t) {
	a = 1 + below(2)
	b = 3 - a
	kind = below(10)
	told[1] = told[2] = 0
	if (kind < 4)
		return sentence(plain(a, value[a]))
	if (kind < 7) {
		t = turn()
		return sentence("it is " pick(truth, t) " that " plain(a, value[a] * t))
	}
	told[1] = told[2] = 1
	return sentence((value[b] == value[a] ? "like" : "unlike") " the " dish[b] " , " is(a, value[a], ""))
}
function sentence(s) {
	return toupper(substr(s, 1, 1)) substr(s, 2) " ."
}
# One of the dishes that the last review told of.
function told_of(    a) {
	a = 1 + below(2)
	return told[a] ? a : 3 - a
}

function make_text(    i, a, text) {
	at_length = 1
	for (i = 0; i < n; i++) {
		new_scene()
		text = review()
		a = told_of()
		text = text " " sentence("the " dish[a] " we " pick(outcome, value[a]))
		if (told[3 - a])
			text = text " " sentence("the " dish[3 - a] " we " pick(outcome, value[3 - a]))
		print "{\"text\": \"" text "\"}"
	}
}

function make_task(    i, text, a, seen) {
	print "text\tlabel"
	while (i < last) {
		new_scene()
		text = review()
		a = told_of()
		text = text " The " dish[a]
		if (text in seen)
			continue
		seen[text] = 1
		if (++i >= first)
			print text "\t" (value[a] > 0 ? "good" : "bad")
	}
}

# The tokenizer: <|endoftext|>, the 256 bytes, and for every word the chain of merges that builds it from its left end: the
# space before it or, ranked last, the capital at the beginning of a text. No merge begins otherwise, so every word is one token.
function make_tokenizer(    opener, openers, n, i, s) {
	for (i = 0; i < 256; i++) {
		if (i < 128)
			code[sprintf("%c", i)] = i
		spelling[i] = sprintf("\\u%04x", visible(i) ? i : 256 + hidden++)
	}
	add_token("<|endoftext|>")
	for (i = 0; i < 256; i++)
		add_token(spelling[i])
	for (i = 1; i <= nouns; i++)
		add_words(noun[i])
	add_words("the that came with was who had we than not it is like unlike , . ?")
	add_list(truth)
	add_list(people)
	add_list(verb)
	add_list(modifier)
	add_list(adjective)
	add_list(order)
	add_list(outcome)
	openers = "The It Like Unlike"
	for (s = 1; s >= -1; s -= 2)
		for (i = 1; i <= people[s]; i++)
			openers = openers " " first_word(sentence(people[s, i]))
	add_words(openers)
	n = split(openers, opener, " ")
	for (i = 1; i <= n; i++)
		add_word(opener[i])
	print "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,"
	print "\"added_tokens\": [{\"id\": 0, \"content\": \"<|endoftext|>\", \"single_word\": false, \"lstrip\": false, " \
		"\"rstrip\": false, \"normalized\": false, \"special\": true}],"
	print "\"normalizer\": null,"
	print "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true},"
	print "\"post_processor\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": false, \"use_regex\": true},"
	print "\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true},"
	print "\"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null,"
	print "\"end_of_word_suffix\": null, \"fuse_unk\": false, \"byte_fallback\": false,"
	print "\"vocab\": {" vocabulary "},"
	print "\"merges\": [" merges "]}}"
}
# GPT-2 spells these bytes as themselves, the others as the characters from U+0100 on.
function visible(b) {
	return (b > 32 && b < 127) || (b > 160 && b < 173) || b > 173
}
function first_word(text) {
	return substr(text, 1, index(text, " ") - 1)
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
