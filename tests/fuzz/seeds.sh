#!/bin/sh
# Makes the inputs that fuzzing begins with, from the suite's own tools and the golden files:
#
#	sh tests/fuzz/seeds.sh DIR      DIR/HARNESS/*; the tools are those in $PATH
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 4' INT TERM HUP
cd "$work"

# put HARNESS/NAME PART...: the files and texts (of printf) as one input, 0xff between them
put() {
	mkdir -p "$out/${1%/*}"
	target=$out/$1
	shift
	: >"$target"
	first=yes
	for part; do
		test -n "$first" || printf '\377' >>"$target"
		first=
		if test -f "$part"; then
			cat "$part" >>"$target"
		else
			# shellcheck disable=SC2059 # the text may have escapes
			printf -- "$part" >>"$target"
		fi
	done
}

# put1 HARNESS/NAME BYTES FILE: a file after some bytes
put1() {
	mkdir -p "$out/${1%/*}"
	# shellcheck disable=SC2059 # likewise
	{ printf "$2" && cat "$3"; } >"$out/$1"
}

# ---- a small model, its streams and packed files ----

. "$root/tests/small.sh"
small_models
for f in task text full top; do
	zstd -dqcf $f.bds >$f.plain 2>/dev/null || cp $f.bds $f.plain
	put stream/$f $f.plain
	put1 feed/$f '\024' $f.plain
	put1 feed/$f-shuffled '\070' $f.plain
done
put stream/zstd task.bds
n=$(wc -c <task.plain)
# shellcheck disable=SC2059 # two bytes
printf "\\$(printf %03o $((n / 256)))\\$(printf %03o $((n % 256)))" >length
cat length task.plain task.plain >two
put1 feed/two '\100' two
for t in i2_s tq2_0 tq1_0 q2_0; do
	bd-pack -q student -o $t.gguf --type $t
	put door/$t $t.gguf
	put1 gguf/$t '\002\001' $t.gguf
done
for d in m s student; do
	put safetensors/$d $d/model.safetensors
	put model_dir/$d $d/config.json $d/model.safetensors
	put door/$d $d/config.json tokenizer.json $d/model.safetensors
	put config/$d $d/config.json
done

# ---- texts ----

for f in "$root"/tests/golden/*/config.json; do
	name=$(basename "$(dirname "$f")")
	put config/"$name" "$f" '{"eos_token_id": [1, 2], "bos_token_id": 0}'
	put beside/"$name" "$f" '{"eos_token_id": [1, 2]}' '{"eos_token": "</s>", "add_bos_token": true, "chat_template": "{{ x }}"}'
done
put tokenizer/small tokenizer.json 'ab a'
for f in "$root"/tests/golden/tok-*.json; do
	case $f in *cases*) continue ;; esac
	put tokenizer/"$(basename "$f" .json)" "$f" 'the <s> 42'
done
for i in 0 1 2 3 4 5 6 7 8; do
	put text/$i "$(printf '\\%03o' $i)"'\001\003Hello, World 12345  caf\303\251 e\314\201 \360\237\230\200\200 <s> [INST]\n\n'
	put ids/$i "$(printf '\\%03o' $i)"'\000\001\000\002\000\101\000\102\001\303\000\377\377'
done
put pieces/1 '{"type": "NFC"}' '{"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}' \
	'{"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "a", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
	"pair": [], "special_tokens": {"a": {"id": "a", "ids": [1], "tokens": ["a"]}}}' '{"type": "ByteLevel"}' \
	'[{"id": 1, "content": "a", "special": true, "lstrip": true, "rstrip": true, "normalized": true, "single_word": true}]' 'ab 11 a'
put pieces/2 '{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\342\226\201"},
	{"type": "Replace", "pattern": {"String": " "}, "content": "\342\226\201"}]}' '' '' '{"type": "Sequence", "decoders":
	[{"type": "Replace", "pattern": {"String": "\342\226\201"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
	{"type": "Strip", "content": " ", "start": 1, "stop": 0}]}' '' 'ab a'
put pieces/3 '' '{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\\\p{N}{1,3}"},
	"behavior": "Isolated", "invert": false}, {"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "use_regex": false}]}' \
	'' '' '' '111 a1'
put pieces/4 '' '{"type": "Metaspace", "replacement": "\342\226\201", "prepend_scheme": "first", "split": false}' '' \
	'{"type": "Metaspace", "replacement": "\342\226\201", "prepend_scheme": "first"}' '' 'ab a'
for i in 1 2 3 4 5 6 7; do
	put chat/$i $i '0be brief\n1hello\n2hi\n1<think>a</think>b'
done
put chat/chatml "{%% for m in messages %%}{{'<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>'}}{%% endfor %%}" '1hello\n2hi'
put chat/llama3 "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}" '1hello\n2hi'
put chat/gemma "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}" '1hello\n2hi'
put template/task task.json ab 1
put template/text text.json ab b
put template/sets '{"name": "x", "fields": ["a", "l"], "prompt": "{a} {{x}}", "label": "l", "labels": [[" n", "n"], [" y", "y"]]}' q 0
put1 rows/tsv '\001\001' rows.tsv
put rows/jsonl '\002\202{"text": "a", "label": 1, "id": true}\n{"text": "\\\\u00e9"}\n'
put rows/lines '\003\000a\nb\r\n\nc'
put rows/auto '\000\002text\tlabel\tid\na\t1\t2\n'
put rows/csv '\004\002text,label,id\n"a ""b"", c",1,2\n"x\ny",0,\n'
put in/lines '\007a\nbb\n\nccc'
printf 'a line\nanother\nanother\n' | zstd -qc >z.zst
put1 in/zstd '\037' z.zst
printf 'a line\nanother\nanother\n' | gzip -nc >z.gz
put1 in/gzip '\037' z.gz
put1 rows/gzip '\000\001' z.gz
put json/1 '{"i": 1, "r": 1.5e-7, "b": true, "s": "\\\\u00e9\\\\n", "n": null, "a": [1, [2, {}]]}'
put json/2 '[0.1, -1e308, 123456789012345678, "\\\\ud83d\\\\ude00"]'
put num/1 '\00112k'
put num/2 '\0001.5e-3'
put num/3 '\003-7M'
put num/4 '\004nan'
put opt/1 '--count=5\000-f\000--rate\0000.5\000file\000--\000-x'
put opt/2 '-wtwo\000--list\000a\000-lb\000-n3k\000--tex=q'
put index/1 '{"metadata": {"total_size": 4}, "weight_map": {"a": "a"}}' '\030\000\000\000\000\000\000\000{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}1234'
printf '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[8],"data_offsets":[16,48]}}' >h
{ printf '\156\000\000\000\000\000\000\000' && cat h && printf '%048d' 0; } >st
put checkpoint/1 '{"version": 2, "digest": "1111", "step": 3, "tokens": 5, "ce2": 0.5, "scored": true, "extra": {"golden": [[1]]}}' st
put checkpoint/2 '{"digest": "2222", "step": 3, "balanced": 9, "confidence": 0.25}' st
put history/1 '["bd-init 0.1.0: bd-init x", "bd-sft"]' '["bd-init 0.1.0: bd-init x", 5]' '{}'
put scores/1 '{"prediction": "the cat sat", "reference": "the cat sat on the mat"}\n{"prediction": "", "references": ["a", "b c"]}\n'
put request/1 '{"prompt": "ab", "max_tokens": 3, "temperature": 0.5, "top_k": 2, "stop": ["a"], "id": 7}'
put request/2 '{"messages": [{"role": "user", "content": "hi"}], "logprobs": 2, "seed": 3, "thinking": false}'
put request/3 '{"left": "ab", "top_p": 0.5, "min_p": 0.1, "repeat_penalty": 1.1, "repeat_last_n": 4}'
for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
	put gguf_rows/$i "$(printf '\\%03o' $i)"'\001\001\000\001\002\003\004abcdefgh'
done
