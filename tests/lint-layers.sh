#!/bin/sh
# Every file of lib/ includes headers of its own layer or of lower ones only; lib/kern/ is layer 1.
set -eu
cd "$(dirname "$0")/.."

awk '
BEGIN {
	n = split("msg signals mem num opt io temp scratch rng json hash history log procs|" \
		"cpu par quant kern gemm dev dist|" \
		"safetensors gguf stream unicode tok tokenizer chat stop template example rows config hf model checkpoint feed|" \
		"op loss adamw sched words stem rouge bleu interval|" \
		"net student target packed pack sample infer generate answer talk greedy pairs eval update distill dump codes plan step train " \
		"bench", layer, "|")
	for (i = 1; i <= n; i++) {
		k = split(layer[i], word, " ")
		for (j = 1; j <= k; j++)
			of[word[j]] = i - 1
	}
}
# The layer of "io_out.c": of the name, or of its part before the "_"; -1: unknown.
function find(name) {
	sub(/\.[ch]$/, "", name)
	if (name in of)
		return of[name]
	sub(/_.*/, "", name)
	return name in of ? of[name] : -1
}
function complain(what) {
	print FILENAME ":" FNR ": " what
	failed = 1
}
FNR == 1 {
	kern = FILENAME ~ /^lib\/kern\//
	own = find(kern ? "kern" : substr(FILENAME, 5))
	if (own < 0)
		complain("this module is not in the table of tests/lint-layers.sh")
}
own >= 0 && /^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, quoted, "\"")
	name = quoted[2]
	up = sub(/^\.\.\//, "", name)
	target = find(name)
	if (target < 0 && kern && !up)
		target = own # a header of lib/kern itself
	if (target < 0)
		complain("\"" name "\" is in no layer")
	else if (target > own)
		complain("layer " own " includes \"" name "\" of layer " target)
}
END { exit failed }
' lib/*.[ch] lib/kern/*.[ch]
