#!/usr/bin/env bats
# bd-run: labels for lines, continuations of texts, and agreement with bd-eval.

load model

setup_file() {
	make_models
	bd-pack student -o student.gguf --embd f32
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	dir=$BATS_FILE_TMPDIR
}

# Prints the correct labels among the answers in file $1.
right() {
	tail -n +2 "$dir/rows.tsv" | cut -f 3 | paste - "$1" |
		awk -F '\t' '($1 == 1) == ($2 == "same") {n++} END {print n + 0}'
}

@test "the accuracy on the raw lines is that of bd-eval" {
	for model in student student.gguf teacher; do
		bd-run "$dir/$model" <"$dir/rows.tsv" >answers
		[ "$(wc -l <answers)" -eq 24 ]
		bd-eval "$dir/$model" --predictions p.jsonl "$dir/dev.bds" >score.json
		[ "$(right answers)" -eq "$(json correct score.json)" ]
		paste <(cut -f 1 answers) <(sed 's/.*"predicted":\([01]\).*/\1/' p.jsonl) |
			awk '($1 == "same") != ($2 == 1) {exit 1}'
	done
}

@test "the packed file answers like the directory" {
	bd-run "$dir/student" <"$dir/rows.tsv" >a
	bd-run "$dir/student.gguf" -t 2 <"$dir/rows.tsv" >b
	cmp a b
}

@test "lines, TSV without a label and JSON objects are equivalent" {
	tail -n +2 "$dir/rows.tsv" | cut -f 1,2 | bd-run "$dir/student" >a
	bd-run "$dir/student" <"$dir/rows.tsv" >b
	cmp a b
	tail -n +2 "$dir/rows.tsv" | sed 's/"/\\"/g' |
		awk -F '\t' '{printf "{\"left\": \"%s\", \"right\": \"%s\"}\n", $1, $2}' | bd-run "$dir/student" >c
	cmp a c
	bd-run "$dir/student" -p "$(printf 'the "1"\té 1')" >d
	head -n 1 a | cmp - d
}

@test "--json gives the probability of every class" {
	bd-run "$dir/student" --json -p "$(printf 'the "1"\té 1')" >a
	grep -qE '^\{"label":"(same|different)","class":[01],"probability":0\.[0-9]+,"probabilities":\{"different":0\.[0-9]+,"same":0\.[0-9]+\}\}$' a
}

@test "answers come line by line" {
	mkfifo in out
	bd-run "$dir/student.gguf" <in >out &
	exec 5>in 6<out
	printf 'the "1"\té 1\n' >&5
	read -r -t 20 first <&6
	printf 'the "2"\té 3\n' >&5
	read -r -t 20 second <&6
	exec 5>&-
	wait $!
	[ -n "$first" ] && [ -n "$second" ]
}

@test "many lines at once give what each gives alone, bad ones among them" {
	for i in 1 2 3 4 5 6 7 8; do
		tail -n +2 "$dir/rows.tsv" | cut -f 1,2
		printf 'one column %s\n' $i
		printf 'not \377 text\t%s\n' $i
	done >lines
	bd-run --json "$dir/student.gguf" <lines >at_once 2>err && return 1
	grep -q '16 of 208 lines refused' err
	bd-run --json -t 2 "$dir/student" <lines >threads && return 1
	cmp at_once threads
	while IFS= read -r line; do
		printf '%s\n' "$line"
		sleep 0.002
	done <lines | bd-run --json "$dir/student.gguf" >slowly && return 1
	cmp at_once slowly
	[ "$(grep -c '"label"' at_once)" -eq 192 ]
}

@test "many texts at once are those that each row gets alone" {
	cat >template.json <<-'END'
		{"name": "say", "fields": ["left", "right", "label"], "prompt": "{left} and {right} are", "answer": " {label}"}
	END
	cp -r "$dir/student" asks
	rm asks/bd-digests.txt
	python3 - <<-'END'
		import json
		config = json.load(open("asks/config.json"))
		config["bitdistill"]["task"] = {"template": json.load(open("template.json"))}
		json.dump(config, open("asks/config.json", "w"))
	END
	tail -n +2 "$dir/rows.tsv" | cut -f 1,2 | head -n 20 >lines
	printf 'one column\n' >>lines
	tail -n 3 "$dir/rows.tsv" | cut -f 1,2 >>lines
	for how in "--temperature 0" "--temperature 1 --seed 5 --repeat-penalty 1.3" "--stop e"; do
		# shellcheck disable=SC2086 # words
		bd-run --json --logprobs 1 -n 9 $how asks <lines >at_once && return 1
		# shellcheck disable=SC2086
		while IFS= read -r line; do
			printf '%s\n' "$line"
			sleep 0.05
		done <lines | bd-run --json --logprobs 1 -n 9 $how asks >slowly && return 1
		cmp at_once slowly
		[ "$(grep -c completion_tokens at_once)" -eq 23 ]
		[ "$(grep -n '"error"' at_once | cut -d : -f 1)" -eq 21 ]
	done
}

@test "texts are continued, greedily or at random with a seed" {
	bd-run "$dir/base" -n 12 -p 'the end' >a
	printf 'the end\n' | bd-run "$dir/base" -n 12 -t 2 >b
	cmp a b
	bd-run "$dir/base" -n 12 -p 'the end' --temperature 1 -s 5 >c
	bd-run "$dir/base" -n 12 -p 'the end' --temperature 1 -s 5 >d
	bd-run "$dir/base" -n 12 -p 'the end' --temperature 1 -s 6 >e
	cmp c d
	run -1 cmp -s c e
	bd-run "$dir/base" -n 12 -p 'the end' --temperature 1 --top-k 1 -s 9 >f
	cmp a f
	bd-run "$dir/base" -n 12 -p 'the end' --json |
		grep -qE '^\{"text":".*","finish_reason":"(eos|length)","prompt_tokens":[0-9]+,"completion_tokens":[0-9]+\}$'
}

@test "--generate continues the text even if the model has a task" {
	bd-run "$dir/student" -g -n 4 -p 'the 1' >a
	run -1 grep -qP '^(same|different)\t' a
}

@test "the context limits prompt and continuation" {
	bd-run "$dir/base" --json -n 100 --context 10 -p 'abcd' >a
	grep -qE '"finish_reason":"(length|eos)"' a
	dies 3 "context" bd-run "$dir/base" --context 4 -p 'a long text of many tokens'
}

@test "stop texts end the text and are not part of it" {
	bd-run "$dir/base" -n 20 -p 'the end' >all
	part=$(head -c 7 all | tail -c 2)
	bd-run "$dir/base" -n 20 -p 'the end' --stop nowhere --stop "$part" >cut
	bd-run "$dir/base" -n 20 -p 'the end' --stop "$part" --json >json
	grep -q '"finish_reason":"stop"' json
	run -1 grep -qF -- "$part" cut
	size=$(($(stat -c %s cut) - 1))
	[ "$size" -le 5 ]
	cmp -n "$size" all cut
	dies 2 "stop" bd-run "$dir/base" --stop '' -p x
}

@test "--repeat-penalty and --logprobs" {
	bd-run "$dir/base" -n 30 -p 'the end' --repeat-penalty 50 --repeat-last-n 1000 --json --logprobs 2 >a
	[ "$(grep -o '"top":' a | wc -l)" -eq "$(sed 's/.*"completion_tokens":\([0-9]*\).*/\1/' a)" ]
	[ "$(grep -oE '"id":[0-9]+,"logprob":[^,]*,"top"' a | cut -d , -f 1 | sort | uniq -d | wc -l)" -eq 0 ]
	dies 2 "--json" bd-run "$dir/base" --logprobs 2 -p x
}

@test "objects in, objects out, in order" {
	cat >in <<-'END'
	{"id": "a", "prompt": "the end", "max_tokens": 3}
	
	{"prompt": "the", "id": 2, "temperature": 1, "seed": 4, "max_tokens": 5, "stop": "zzz"}
	{"messages": [{"role": "user", "content": "the"}], "id": null, "max_tokens": 2}
	END
	bd-run "$dir/base" --jsonl --template chatml <in >out
	[ "$(wc -l <out)" -eq 3 ]
	sed -n 1p out | grep -q '^{"id":"a","text":".*"completion_tokens":3}$'
	sed -n 2p out | grep -q '^{"id":2,.*"completion_tokens":[0-5]}$'
	sed -n 3p out | grep -q '^{"id":null,'
	sed -n 2p in >one && sed -n 1p in >>one
	tac one | bd-run "$dir/base" --jsonl >again # answers do not depend on earlier objects
	head -n 1 again | cmp - <(head -n 1 out)
	bd-run "$dir/base" -p 'the' -n 5 --temperature 1 -s 4 --json | cmp - <(sed -n 2p out | sed 's/"id":2,//')
	dies 3 "<stdin>: line 2" bash -c "printf '{\"prompt\":\"x\"}\n{\"prompt\":\"x\",\"max_tokens\":\"many\"}\n' | bd-run '$dir/base' --jsonl >/dev/null"
	dies 3 "line 1" bash -c "echo '{\"prompt\":' | bd-run '$dir/base' --jsonl >/dev/null"
	dies 3 "chat template" bash -c "sed -n 4p in | bd-run '$dir/base' --jsonl >/dev/null"
}

@test "a bad line is refused, and the next one answered" {
	printf 'the\té\nonly\nx\351\té\na\tb\tc\td\n%s\té\nthe\té\n' "$(seq -s ' ' 200)" >in
	status=0
	bd-run "$dir/student" <in >out 2>err || status=$?
	[ "$status" -eq 3 ]
	grep -Fx 'bd-run: 4 of 6 lines refused; the first: <stdin>: line 2: 1 column, but there are 3 fields and no first line that names them' err
	[ "$(wc -l <out)" -eq 6 ]
	[ "$(sed -n 1p out)" = "$(sed -n 6p out)" ]
	sed -n 2p out | grep -q '^error: <stdin>: line 2: '
	sed -n 3p out | grep -q 'line 3: not UTF-8'
	sed -n 5p out | grep -Eq 'line 5: [0-9]+ tokens with the answer, but the context of .* is 128'
	bd-run --json "$dir/student" <in 2>err | grep -c '^{"error":"<stdin>: line' | grep -qx 4
	bd-run --truncate left "$dir/student" <in 2>err >cut || true
	grep -F '1 inputs cut to the context of 128 tokens, ' err
	sed -n 5p cut | grep -Eq '^(different|same)	'
	printf '{"left":"x","right":"y","id":1}\n{"left":"x"}\n[]\n{"id":[7],"left":\n{"id":[7],"left":{}}\n{"left":"x","right":"y","id":1}\n' >in
	status=0
	bd-run --jsonl "$dir/student" <in >out 2>err || status=$?
	[ "$status" -eq 3 ]
	grep -F '4 of 6 lines refused' err
	cmp <(sed -n 1p out) <(sed -n 6p out)
	sed -n 5p out | grep -q '^{"id":\[7\],"error":"<stdin>: line 5: '
}

@test "a bad first line is refused like any other" {
	printf 'x\351\té\nthe\té\n' >in
	status=0
	bd-run "$dir/student" <in >out 2>err || status=$?
	[ "$status" -eq 3 ]
	sed -n 1p out | grep -q '^error: <stdin>: line 1: not UTF-8'
	[ "$(sed -n 2p out)" = "$(bd-run "$dir/student" -p 'the	é')" ]
}

@test "refused lines leave nothing behind" {
	[ -z "${SAN-}" ] || skip "a sanitizer keeps what was freed"
	for i in $(seq 3000); do printf '%s\t%s\nhalf\n\377\n' "$i" "$i"; done >in
	limit=$(bd-run "$dir/student" <<<'a	b' >/dev/null && echo ok)
	[ "$limit" = ok ]
	peak() { awk '/VmHWM/ { print $2 }' "/proc/$1/status"; }
	mkfifo pipe
	bd-run -t 1 "$dir/student" <pipe >out 2>err &
	exec 8>pipe
	head -n 300 in >&8
	while [ "$(wc -l <out)" -lt 300 ]; do sleep 0.1; done
	early=$(peak $!)
	tail -n +301 in >&8
	while [ "$(wc -l <out)" -lt 9000 ]; do sleep 0.1; done
	late=$(peak $!)
	exec 8>&-
	wait $! || true
	[ $((late - early)) -lt 2000 ]
}

@test "a task model answers objects that have its fields" {
	tail -n +2 "$dir/rows.tsv" | sed 's/"/\\"/g' |
		awk -F '\t' '{printf "{\"left\": \"%s\", \"right\": \"%s\", \"id\": %d, \"other\": 1}\n", $1, $2, NR}' |
		bd-run "$dir/student" --jsonl >objects
	tail -n +2 "$dir/rows.tsv" | bd-run "$dir/student" --json >lines
	awk '{printf "{\"id\":%d,%s\n", NR, substr($0, 2)}' lines | cmp - objects
	echo '{"prompt": "the 1", "max_tokens": 4}' | bd-run "$dir/student" --jsonl | grep -q '"text":'
}

@test "a conversation continues where it left off" {
	printf 'the end\nand more\n' | bd-run "$dir/base" --chat --template chatml -n 6 --json >talk
	[ "$(wc -l <talk)" -eq 2 ]
	first=$(sed -n 's/^{"text":"\(.*\)","finish_reason.*/\1/p' talk | head -n 1)
	printf '{"messages":[{"role":"user","content":"the end"},{"role":"assistant","content":"%s"},{"role":"user","content":"and more"}],"max_tokens":6}\n' "$first" |
		bd-run "$dir/base" --jsonl --template chatml >at-once
	tail -n 1 talk | cmp - at-once
	printf 'the end\n/reset\nthe end\n' | bd-run "$dir/base" -c --template chatml -n 6 >twice
	[ "$(sort -u twice | wc -l)" -le "$(($(wc -l <twice) / 2))" ]
	printf 'two \\\nlines\n' | bd-run "$dir/base" -c --template chatml -n 6 >a
	bd-run "$dir/base" -c --template chatml -n 6 -p "$(printf 'two \nlines')" >b
	cmp a b
	bd-run "$dir/base" -c --template chatml -n 6 -p 'the end' --system 'Be brief.' >c
	bd-run "$dir/base" -c --template chatml -n 6 -p 'the end' >d
	[ -s c ] && [ -s d ]
}

@test "a conversation that exceeds the context forgets its oldest turns, with a warning" {
	for _ in 1 2 3 4 5; do echo 'the end'; done |
		bd-run "$dir/base" -c --template chatml --context 100 -n 4 --json >talk 2>err
	[ "$(wc -l <talk)" -eq 5 ]
	grep -q 'exceeds the context; its first [24] messages are forgotten' err
	echo 'the end' | bd-run "$dir/base" -c --template chatml --context 100 -n 4 2>err
	[ ! -s err ]
}

@test "the chat template comes from the model or from an option" {
	cp -r "$dir/base" talker
	dies 3 "no chat template" bd-run talker --chat -p x
	printf "%s" "[INST] {{ messages }} [/INST]" >talker/chat_template.jinja
	dies 3 "unknown chat template; choose one with --template" bd-run talker --chat -p x
	printf "%s" "'<|im_start|>assistant' '<|im_end|>'" >talker/chat_template.jinja
	bd-run talker --chat -p 'the end' -n 5 >a
	bd-run "$dir/base" --chat --template chatml -p 'the end' -n 5 >b
	cmp a b
	cp -r "$dir/student" talker-student
	cp talker/chat_template.jinja talker-student
	bd-pack -q talker-student -o talker.gguf
	bd-run talker.gguf --chat -p 'the end' -n 5 >c
	bd-run talker-student --chat -p 'the end' -n 5 >d
	cmp c d
	for name in qwen2.5 qwen3 llama3 gemma bitnet; do
		bd-run talker --chat --template $name -p 'the end' -n 5 --context 1000 --system 'Be brief.' >/dev/null
	done
	dies 2 "unknown" bd-run talker --chat --template no-such -p x
	dies 2 "--chat or --jsonl" bd-run talker --system x -p x
	dies 2 "choose one" bd-run talker --chat --generate -p x
}

@test "a terminal gets a prompt, and stdout only the replies" {
	command -v script >/dev/null || skip 'no script(1)'
	script -qec true /dev/null >/dev/null 2>&1 || skip 'no pseudo-terminals'
	printf 'the end\n\004' | script -qec "bd-run '$dir/base' --chat --template chatml -n 4 2>err" /dev/null >both
	run ! grep -q '^> ' both
	printf 'the end\n\004' | script -qec "bd-run '$dir/base' --chat --template chatml -n 4 >replies" /dev/null >both
	grep -q '> ' both
	[ "$(wc -l <replies)" -ge 1 ]
	! grep -q '> ' replies
}

@test "--verify" {
	bd-run --verify "$dir/student.gguf"
	cp "$dir/student.gguf" bad.gguf
	size=$(stat -c %s bad.gguf)
	printf '\0\0\0\0' | dd of=bad.gguf bs=1 seek=$((size - 5000)) conv=notrunc status=none
	run -1 cmp -s bad.gguf "$dir/student.gguf"
	run -1 bd-run --verify bad.gguf
	dies 2 "packed file" bd-run --verify "$dir/student"
}

@test "input that cannot be answered is refused" {
	dies 3 "empty" bd-run "$dir/student" </dev/null
	dies 3 "empty" bd-run "$dir/base" </dev/null
	dies 3 "right" bd-run "$dir/student" -p 'one column'
	dies 3 "no-such" bd-run no-such -p x
	dies 2 "unknown" bd-run "$dir/base" --no-such-option
	status=0
	bd-run "$dir/base" -n 4 -p x >/dev/full 2>err || status=$?
	[ "$status" -eq 4 ]
}

@test "a greedy story is a story" {
	if [ -z "${BD_DATA-}" ]; then
		skip 'BD_DATA is not set'
	fi
	bd-run "$BD_DATA/models/stories-3m" -n 60 -p 'Once upon a time' >a
	grep -q 'there was a little girl named Lily' a
}

@test "labels cannot forge a line, and generated text says nothing to a terminal" {
	sed 's/"different"/"a\\nsame\\t1.0\\u001b[31m"/' "$dir/task.json" >forger.json
	bd-data -q --template forger.json --tokenizer "$dir/base" -o forger.bds "$dir/rows.tsv"
	bd-sft -q -t 1 --model "$dir/base" -o forger --steps 1 --batch 8 forger.bds
	bd-run forger <"$dir/rows.tsv" >answers
	[ "$(wc -l <answers)" -eq 24 ]
	[ "$(grep -cE "^(same|a\\\\nsame\\\\t1\\.0\\\\x1b\\[31m)$(printf '\t')[01]\\.[0-9]{6}$" answers)" -eq 24 ]
	bd-info forger.bds >info
	[ "$(grep -c "$(printf '\033')" info)" -eq 0 ]
	dies 3 'no\nsuch\x1b[31m: ' bd-run "$(printf 'no\nsuch\033[31m')" -p x
	for _ in 1 2 3 4 5 6 7 8; do
		printf '{"text": "the \\u001b[31m\\u001b[31m\\u001b[31m\\n\\u001b[31m\\u001b[31m"}\n'
	done >red.jsonl
	bd-data -q --text --tokenizer "$dir/base" -o red.bds red.jsonl
	bd-sft -q -t 1 --model "$dir/base" -o red --steps 40 --batch 8 --epochs 100 --lr 5e-3 red.bds
	bd-run red -p 'the ' -n 12 >raw
	grep -q "$(printf '\033')" raw
	script -qec true /dev/null >/dev/null 2>&1 || skip 'no pseudo-terminals'
	script -qec "bd-run red -p 'the ' -n 12" /dev/null >shown
	grep -qF '\x1b' shown
	[ "$(grep -c "$(printf '\033')" shown)" -eq 0 ]
}
