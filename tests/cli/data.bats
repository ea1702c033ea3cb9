#!/usr/bin/env bats
# bd-data: its input, its output, and what it refuses.

setup() {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_TEST_TMPDIR" || return
	mkdir bytes spm
	cp "$repo/tests/golden/tok-bytes.json" bytes/tokenizer.json
	cp "$repo/tests/golden/tok-spm.json" spm/tokenizer.json
	echo '{"eos_token": {"content": "<|end|>"}, "model_max_length": 1000000000000000019884624838656}' >bytes/tokenizer_config.json
	echo '{"vocab_size": 512, "eos_token_id": [2, 0]}' >spm/config.json
	sst2=$repo/examples/templates/sst2.json
	aeslc=$repo/examples/templates/aeslc.json
	printf 'sentence\tlabel\nthe story was "good" inside\t1\na bad thing\t0\n' >rows.tsv
}

# decode MODEL STREAM: prints the stream as JSON lines.
decode() {
	bd-data --decode --tokenizer "$1" "$2"
}

# field NAME: prints this member of each JSON line as it is written there.
field() {
	case $1 in
	text) sed -n 's/^{"text":"\(.*\)","ids":.*/\1/p' ;;
	ids | target) sed -n 's/.*"'"$1"'":\[\([0-9,]*\)\].*/\1/p' ;;
	label) sed -n 's/.*,"label":\([0-9]*\).*/\1/p' ;;
	ref) sed -n 's/.*,"ref":"\(.*\)"}$/\1/p' ;;
	esac
}

# dies STATUS TEXT COMMAND...: checks that the command exits with STATUS, prints TEXT on stderr and nothing on stdout.
dies() {
	status=0
	"${@:3}" >out 2>err || status=$?
	cat err
	[ "$status" -eq "$1" ]
	grep -F -- "$2" err
	[ ! -s out ]
}

@test "a template makes prompt, answer and label" {
	bd-data --template "$sst2" --tokenizer bytes rows.tsv -o x.bds
	decode bytes x.bds >x
	[ "$(field label <x | tr '\n' ' ')" = "1 0 " ]
	[ "$(field text <x | head -n 1)" = 'the story was \"good\" inside It was good' ]
	[ "$(field target <x | sed 's/^\(0,\)*1$/good/')" = "good
good" ]
	[ -z "$(field ref <x)" ]
}

@test "the header has vocabulary, template and choices" {
	bd-data -T "$sst2" -m spm --level 0 rows.tsv >x.bds
	decode spm x.bds | grep -q '"text":"<s> the story'
	for key in examples tokenizer vocab choices template "It was"; do
		grep -aq "$key" x.bds
	done
}

@test "TSV without a header, JSONL and shuffled columns give the same stream" {
	bd-data -T "$sst2" -m bytes --level 0 rows.tsv >a
	tail -n 2 rows.tsv | bd-data -T "$sst2" -m bytes --level 0 >b
	printf '{"label":1,"sentence":"the story was \\"good\\" inside"}\n{"sentence":"a bad thing","label":"negative"}\n' |
		bd-data -T "$sst2" -m bytes --level 0 - >c
	printf 'label\tid\tsentence\n1\t7\tthe story was "good" inside\n0\t8\ta bad thing\n' | bd-data -T "$sst2" -m bytes --level 0 >d
	decode bytes a >rows # the histories differ
	for x in b c d; do decode bytes $x | cmp rows; done
	zstd -q rows.tsv -o rows.zst
	bd-data -T "$sst2" -m bytes rows.zst -o z.bds
	decode bytes z.bds | cmp rows
}

@test "generation: answer, end token and reference" {
	echo '{"body":"the thing","subject":"good story"}' | bd-data -T "$aeslc" -m bytes -o x.bds
	decode bytes x.bds >x
	[ "$(field text <x)" = 'the thing\n\nSubject: good story<|end|>' ]
	[ "$(field ref <x)" = "good story" ]
	echo '{"body":"the thing","subject":"good story"}' | bd-data -T "$aeslc" -m spm | decode spm - | field text | grep -q 'story</s>$'
	echo '{"body":"the thing","subject":"good story"}' | bd-data -T "$aeslc" -m bytes --eos 65 | decode bytes - | field ids | grep -q ',65$'
	rm bytes/tokenizer_config.json
	echo '{"body":"the thing","subject":"good story"}' >x.jsonl
	dies 2 --eos bd-data -T "$aeslc" -m bytes x.jsonl
}

@test "--max-len cuts the longest field, never the template or the answer" {
	printf '%s\t1\n' "$(seq -s ' ' 100)" | bd-data -T "$sst2" -m bytes --max-len 40 -o x.bds 2>err
	grep -F '1 of 1 rows cut to 40 tokens' err
	decode bytes x.bds >x
	[ "$(field ids <x | tr ',' '\n' | wc -l)" -le 40 ]
	field text <x | grep -q '^1 2 3 .*[0-9] It was good$'
	printf '%s\t1\n' "$(seq -s ' ' 100)" | bd-data -q -T "$sst2" -m bytes --max-len 40 -o x.bds 2>err
	[ ! -s err ]
	printf 'x\t1\n' >x.tsv
	dies 3 "no row gives a sequence" bd-data -T "$sst2" -m bytes --max-len 3 x.tsv
}

@test "--max-len cuts whole characters, and no more of them than it must" {
	# U+0958 is three bytes, which NFC makes six, tokens of their own: more than what is cut from
	printf '\340\245\230x\t1\n' >row.tsv
	n=$(bd-data -q -T "$sst2" -m bytes row.tsv | decode bytes - | field ids | tr ',' '\n' | wc -l)
	bd-data -q -T "$sst2" -m bytes --max-len $((n - 1)) row.tsv -o x.bds
	[ "$(decode bytes x.bds | field text)" = "$(printf '\340\244\225\340\244\274 It was good')" ]
}

@test "plain text: lines, JSONL and their limits" {
	printf 'the thing\n\nx\nsea story\n' >t
	bd-data --text -m spm t | decode spm - >x
	[ "$(field text <x)" = '<s> the thing
<s> x
<s> sea story' ]
	[ "$(field target <x | sed -n 2p)" = 0,1,1 ]
	[ -z "$(field label <x)" ]
	[ "$(bd-data --text -m spm --skip 1 --limit 1 t | decode spm - | field text)" = '<s> x' ]
	[ "$(bd-data -q --text -m spm --max-len 2 t | decode spm - | field text | head -n 1)" = '<s> the' ]
	echo '{"body":"the thing"}' >j
	[ "$(bd-data --text -m spm --key body j | decode spm - | field text)" = '<s> the thing' ]
	dies 3 'no field "text"' bd-data --text -m spm j
}

@test "--pack joins documents with the end token and cuts them into equal sequences" {
	printf 'the thing\nsea\ngood story\nthe end\n' >t
	bd-data --text --pack 5 -m spm t | decode spm - >x
	[ "$(field ids <x | awk -F, '{ print NF }' | head -n -1 | sort -u)" = 5 ]
	[ "$(field ids <x | awk -F, 'END { print (NF >= 2 && NF <= 5) }')" = 1 ]
	[ "$(field ids <x | tr , '\n' | grep -cx 1)" = 4 ] # a document begins with <s>
	[ "$(field ids <x | tr , '\n' | grep -cx 2)" = 3 ] # and documents are joined by </s>
	[ "$(field target <x | head -n 1)" = 0,1,1,1,1 ]
	bd-data --text --pack 5 -m bytes t | decode bytes - >x
	[ "$(field text <x | tr -d '\n')" = 'the thing<|end|>sea<|end|>good story<|end|>the end' ]
	[ -z "$(field label <x)" ] # nor has the last, which is shorter
}

@test "--shuffle is a permutation that depends on the seed" {
	seq 1 200 >t
	bd-data --text -m bytes t | decode bytes - | field text >plain
	bd-data --text -m bytes --shuffle -s 7 t | decode bytes - | field text >a
	bd-data --text -m bytes --shuffle -s 7 t | decode bytes - | field text >b
	bd-data --text -m bytes --shuffle -s 8 t | decode bytes - | field text >c
	cmp a b
	run cmp -s a c
	[ "$status" -eq 1 ]
	run cmp -s a plain
	[ "$status" -eq 1 ]
	[ "$(sort -n a)" = "$(sort -n plain)" ]
	bd-data --text -m bytes --shuffle -s 7 --limit 50 t | decode bytes - | field text | cmp - <(head -n 50 a)
	bd-data --text -m bytes --shuffle -s 7 --skip 50 t | decode bytes - | field text | cmp - <(tail -n +51 a)
}

@test "several files and stdin are read one after the other" {
	printf 'the\tthing\n' >t
	[ "$(echo sea story | bd-data --text -m bytes t - t | decode bytes - | field text | tr '\n' '|')" = 'the\tthing|sea story|the\tthing|' ]
}

@test "a template of the suite is found by name" {
	bin=$(dirname "$(command -v bd-data)")
	mkdir -p here/bin here/examples
	cp "$bin/bd-data" here/bin/
	cp -R "$repo/examples/templates" here/examples/
	here/bin/bd-data -T sst2 -m bytes rows.tsv | decode bytes - | field text | grep -q "It was"
	dies 3 "no such template" here/bin/bd-data -T nothing -m bytes rows.tsv
}

@test "every template of the suite loads, and its labels are distinct" {
	for t in sst2 mnli qnli cnndm aeslc; do
		fields=$(sed -n 's/.*"fields": \[\(.*\)\],/\1/p' "$repo/examples/templates/$t.json")
		echo "{$fields}" | sed 's/"label"/"label":0/; s/"\([a-z]*\)"\([,}]\)/"\1":"the thing"\2/g' >row.jsonl
		bd-data -T "$repo/examples/templates/$t.json" -m bytes row.jsonl -o x.bds
		decode bytes x.bds | grep -q 'the thing'
	done
}

@test "bad input is refused with a message, the right status and no output" {
	: >empty
	dies 3 "empty" bd-data --text -m bytes empty -o o.bds
	dies 3 "empty" bd-data -T "$sst2" -m bytes empty -o o.bds
	printf 'a\t1\nb\t5\n' >bad.tsv
	dies 3 'bad.tsv: line 2: label "5"' bd-data -T "$sst2" -m bytes bad.tsv -o o.bds
	printf 'sentence\nthe thing\n' >unlabelled.tsv
	bd-data -T "$sst2" -m bytes unlabelled.tsv | decode bytes - | field target | grep -qx '0\(,0\)*'
	echo '{"sentence":' >cut.jsonl
	dies 3 "cut.jsonl: line 1" bd-data -T "$sst2" -m bytes --format jsonl cut.jsonl -o o.bds
	dies 3 "rows.tsv: line 1" bd-data -T "$sst2" -m bytes --format jsonl rows.tsv -o o.bds
	echo '{"label":1}' >absent.jsonl
	dies 3 'absent.jsonl: line 1: the field "sentence"' bd-data -T "$sst2" -m bytes absent.jsonl -o o.bds
	dies 3 no-model bd-data --text -m no-model empty
	echo '{"vocab_size": 100}' >bytes/config.json
	dies 3 "outside the model's vocabulary" bd-data --text -m bytes rows.tsv -o o.bds
	[ ! -e o.bds ]
}

@test "what a first line is decides nothing that a later one would not" {
	printf '{"sentence":"a","label":1,"score":NaN}\n{"sentence":"b","label":0}\n' >nan.jsonl
	dies 3 "nan.jsonl: line 1: column 37: not valid JSON" bd-data -T "$sst2" -m bytes nan.jsonl -o o.bds
	dies 3 "nan.jsonl: line 1: column" bd-data --text --key sentence -m bytes nan.jsonl -o o.bds
	printf '[{"sentence":"a","label":1}]\n' >list.json
	dies 3 "a JSON array; one object a line is wanted" bd-data -T "$sst2" -m bytes list.json -o o.bds
	[ ! -e o.bds ]
}

@test "gzip and CSV give the stream that TSV gives" {
	bd-data -T "$sst2" -m bytes rows.tsv | decode bytes - >want
	gzip -c rows.tsv >rows.gz
	bd-data -T "$sst2" -m bytes rows.gz | decode bytes - | cmp want
	printf '\357\273\277sentence,label\r\n"the story was ""good"" inside",1\r\na bad thing,0\r\n' >rows.csv
	bd-data -T "$sst2" -m bytes rows.csv | decode bytes - | cmp want
	bd-data -T "$sst2" -m bytes --format csv <rows.csv | decode bytes - | cmp want
	[ "$(printf 'id,text\n1,"one,\ntwo"\n' | bd-data --text -m bytes | decode bytes - | field text)" = 'one,\ntwo' ]
	dies 3 'no first line names the one called "text"' bd-data --text -m bytes rows.csv -o o.bds
}

@test "other files are refused by name" {
	printf 'PAR1xxxx' >rows.parquet
	printf 'sentence\tlabel\na thing\t1\n' | iconv -t UTF-16 >rows16.tsv
	printf 'sentence\tlabel\na caf\351\t1\n' >latin.tsv
	for how in "-T $sst2" --text; do
		# shellcheck disable=SC2086 # two words
		for case in "rows.parquet: a Parquet file" "rows16.tsv: UTF-16 text; convert it" "latin.tsv: line 2: not UTF-8"; do
			dies 3 "$case" bd-data $how -m bytes "${case%%:*}" -o o.bds
		done
	done
	[ ! -e o.bds ]
}

@test "a row without its label is refused, or left out and counted" {
	printf 'sentence\tlabel\na good thing\t1\nhalf a row\nx\ty\tz\na bad thing\t0\n' >short.tsv
	dies 3 "short.tsv: line 3: 1 column, the header has 2" bd-data -T "$sst2" -m bytes short.tsv -o o.bds
	bd-data -T "$sst2" -m bytes --skip-bad short.tsv -o x.bds 2>err
	grep -F 'rows left out: 2 (2 with another number of columns); the first: short.tsv: line 3' err
	[ "$(decode bytes x.bds | field label | tr '\n' ' ')" = "1 0 " ]
	printf '{"sentence":"a","label":1}\n{"sentence":"b"}\n{"label":1}\n{"sentence":"c","label":7}\n{\n' >mixed.jsonl
	dies 3 "mixed.jsonl: line 2: has no label" bd-data -T "$sst2" -m bytes mixed.jsonl -o o.bds
	bd-data -T "$sst2" -m bytes --skip-bad mixed.jsonl -o x.bds 2>err
	for why in "rows left out: 4 (" "1 without a label" "1 without a field of the prompt" "1 with an unknown label" "1 not valid JSON"; do
		grep -F "$why" err
	done
	[ "$(decode bytes x.bds | wc -l)" -eq 1 ]
	bd-data -q -T "$sst2" -m bytes --skip-bad short.tsv -o x.bds 2>err
	[ ! -s err ]
}

@test "rows longer than the model's context are refused, or cut and counted" {
	echo '{"max_position_embeddings": 40}' >bytes/config.json
	printf '%s\t1\n' "$(seq -s ' ' 100)" >long.tsv
	dies 3 "long.tsv: line 1: " bd-data -T "$sst2" -m bytes long.tsv -o o.bds
	grep -E 'line 1: [0-9]+ tokens, but the model.s context is 40' err
	for end in left right; do
		bd-data -T "$sst2" -m bytes --truncate $end long.tsv -o x.bds 2>err
		grep -F '1 of 1 rows cut to 40 tokens' err
		decode bytes x.bds >$end
		[ "$(field ids <$end | tr ',' '\n' | wc -l)" -le 40 ]
	done
	field text <right | grep -q '^1 2 3 .* It was good$'
	field text <left | grep -q ' 99 100 It was good$'
	seq 1 100 | tr '\n' ' ' >long.txt
	[ "$(bd-data --text -m bytes long.txt | decode bytes - | field ids | tr ',' '\n' | wc -l)" -gt 100 ] # for bd-eval --window
	bd-data -q --text --truncate left -m bytes long.txt | decode bytes - | field text | grep -q '99 100 $'
	bd-data --text --pack 40 -m bytes long.txt -o x.bds
	dies 2 "the context of bytes is 40" bd-data --text --pack 41 -m bytes long.txt
	bd-data -T "$sst2" -m bytes --skip-bad long.tsv rows.tsv -o x.bds 2>err || true
	grep -F 'rows left out: 1 (1 too long)' err
}

@test "conversations: what the assistant says is to be predicted" {
	cat >chats.jsonl <<-'END'
	{"messages": [{"role": "user", "content": "the"}, {"role": "assistant", "content": "sea"}, {"role": "user", "content": "x"}, {"role": "assistant", "content": "inside"}]}
	{"conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "the"}, {"from": "gpt", "value": "sea"}]}
	END
	bd-data --chat chatml -m bytes chats.jsonl -o x.bds
	decode bytes x.bds >x
	head() { printf '<|im_start|>%s\\n%s<|im_end|>\\n' "$@"; }
	[ "$(field text <x | sed -n 1p)" = "$(head user the assistant sea user x assistant inside)" ]
	[ "$(field text <x | sed -n 2p)" = "$(head system s user the assistant sea)" ]
	# Each answer with its end is as many tokens as the text alone: two runs of ones, then one.
	n() { printf '%s<|im_end|>' "$1" | bd-data --text --format lines -m bytes | decode bytes - | field ids | tr ',' '\n' | wc -l; }
	runs() { field target | tr -d , | grep -o '1\+' | awk '{ print length($0) }' | tr '\n' ' '; }
	[ "$(sed -n 1p x | runs)" = "$(n sea) $(n inside) " ]
	[ "$(sed -n 2p x | runs)" = "$(n sea) " ]
	dies 3 "bytes: has no chat template; choose one with --chat" bd-data --chat auto -m bytes chats.jsonl
	dies 2 "--chat reads JSONL only" bd-data --chat chatml --format csv -m bytes chats.jsonl
}

@test "bad conversations are refused, or left out and counted; long ones are cut" {
	cat >chats.jsonl <<-'END'
	{"messages": [{"role": "user", "content": "the"}, {"role": "assistant", "content": "sea"}]}
	{"messages": [{"role": "user", "content": "the"}]}
	{"messages": [{"role": "tool", "content": "the"}]}
	{"messages": [{"role": "user", "content": null}]}
	{"messages": "the"}
	{"text": "the"}
	END
	dies 3 'chats.jsonl: line 2: the assistant says nothing' bd-data --chat chatml -m bytes chats.jsonl -o o.bds
	dies 3 'line 1: the role "tool" is none of' bd-data --chat chatml -m bytes <(sed -n 3p chats.jsonl) -o o.bds
	dies 3 'line 1: a message without text' bd-data --chat chatml -m bytes <(sed -n 4p chats.jsonl) -o o.bds
	dies 3 'line 1: neither "messages" nor "conversations"' bd-data --chat chatml -m bytes <(sed -n 6p chats.jsonl) -o o.bds
	[ ! -e o.bds ]
	bd-data --skip-bad --chat chatml -m bytes chats.jsonl -o x.bds 2>err
	grep -F 'rows left out: 5 (1 without an answer of the assistant, 3 that are no conversations of this template, 1 without' err
	[ "$(decode bytes x.bds | wc -l)" -eq 1 ]
	echo '{"max_position_embeddings": 40}' >bytes/config.json
	dies 3 "but the model's context is 40" bd-data --chat chatml -m bytes chats.jsonl -o o.bds
	bd-data --truncate left --skip-bad --chat chatml -m bytes chats.jsonl -o x.bds 2>err
	grep -F 'rows cut to 40 tokens' err
	[ "$(decode bytes x.bds | field ids | tr ',' '\n' | wc -l)" -eq 40 ]
	decode bytes x.bds | field text | grep -q 'sea<|im_end|>\\n$'
}

@test "labels that begin alike are named with their token" {
	sed 's/" bad", "bad"/"sea", "sea"/; s/" good", "good"/"sea story", "sea story"/' "$sst2" >alike.json
	dies 3 'the labels "sea" and "sea story" begin with the same token' bd-data -T alike.json -m bytes rows.tsv
}

@test "usage errors" {
	dies 2 "--tokenizer" bd-data --text rows.tsv
	dies 2 "one of" bd-data -m bytes rows.tsv
	dies 2 "operand 2: the name is empty" bd-data -m bytes --text rows.tsv ""
	dies 2 "--output: the name is empty" bd-data -m bytes --text rows.tsv --output ""
	dies 2 "one of" bd-data -m bytes --text --decode rows.tsv
	dies 2 "--pack" bd-data -m bytes -T "$sst2" --pack 5 rows.tsv
	dies 2 "" bd-data -m bytes --text --pack 1 rows.tsv
}

@test "--decode refuses a stream of another tokenizer and a truncated one" {
	bd-data --text -m bytes rows.tsv -o x.bds --level 0
	dies 3 "tokenizer" bd-data --decode -m spm x.bds
	head -c 100 x.bds >cut.bds
	dies 3 "cut.bds" bd-data --decode -m bytes cut.bds
}

@test "a full disk: exit status 4" {
	dies 4 "" bd-data --text -m bytes rows.tsv -o /dev/full
}
