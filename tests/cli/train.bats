#!/usr/bin/env bats
# bd-sft, bd-cpt, bd-distill and bd-teacher-dump as a user would call them: a small task, its teacher and its student; interruption,
# resumption and bad input.

bats_require_minimum_version 1.5.0

setup_file() {
	here=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	export here
	cd "$BATS_FILE_TMPDIR" || return
	printf '%s' '{"name": "parity", "fields": ["text", "label"], "prompt": "{text}=", "label": "label", "labels": [["0"], ["1"]]}' >t.json
	awk 'BEGIN {
		srand(7)
		print "text\tlabel"
		for (i = 0; i < 160; i++) {
			s = ""
			n = 3 + int(rand() * 8)
			for (j = 0; j < n; j++)
				s = s sprintf("%c", 97 + int(rand() * 26))
			print s "\t" (substr(s, 1, 1) < "n" ? 0 : 1)
		}
	}' >rows.tsv
	awk 'BEGIN { for (i = 0; i < 40; i++) print "this is the text of line " i ", and there is more of it" }' >text.txt
	sed 's/"hidden_size": 128/"hidden_size": 64/; s/"head_dim": 64/"head_dim": 16/; s/"intermediate_size": 384/"intermediate_size": 96/' \
		"$here/examples/configs/tiny-qwen3.json" >config.json
	bd-init --tokenizer "$here/tests/golden/tok-bytes.json" config.json -o base
	bd-data --tokenizer base --template t.json rows.tsv -o task.bds
	bd-data --tokenizer base --text --format lines --pack 32 text.txt -o text.bds
	bd-sft -q -t 2 --model base -o teacher --epochs 3 --lr 3e-3 --log teacher.log task.bds
	bd-subln base -o s0
	bd-teacher-dump -q --model teacher task.bds -o teacher.bds
}

setup() {
	cd "$BATS_FILE_TMPDIR" || return
	rm -rf out out.ckpt
	options=(-q -t 2 --model s0 --lr 1e-3 --batch 4 --steps 40)
}

# distill OUTPUT [options] < stream: the run that the tests interrupt and repeat.
distill() {
	bd-distill "${options[@]}" "$@"
}

@test "the teacher learns, and its directory describes it" {
	grep -q '"step":15,' teacher.log
	run bd-eval teacher task.bds
	[ "$status" -eq 0 ]
	run cat teacher/config.json
	[[ $output == *'"stage": "sft"'* && $output == *'"golden"'* && $output == *'"parity"'* && $output == *'"history"'* ]]
	cmp teacher/tokenizer.json base/tokenizer.json
}

@test "stages 2 and 3 make a ternary student, reading from pipes" {
	bd-data -q --tokenizer base --text --format lines --pack 32 text.txt | bd-cpt -q --model s0 -o out --batch 8 --steps 3 --log cpt.log
	grep -q '"weights": "ternary"' out/config.json
	[ "$(grep -c '"loss"' cpt.log)" -eq 3 ]
	rm -rf out
	bd-teacher-dump -q --model teacher task.bds | bd-distill -q --model s0 -o out --log kd.log
	[ "$(grep -c '"ld".*"gamma"' kd.log)" -eq 5 ]
	[ ! -e out.ckpt ]
}

@test "a teacher that holds the examples of a pipe tells the student their number" {
	cat task.bds | bd-teacher-dump -q --model teacher --epochs 2 --shuffle | bd-distill -q --model s0 -o out --log two.log
	[ "$(grep -c '"loss"' two.log)" -eq 10 ]
}

@test "same seed, same threads: the same bytes" {
	distill -o out <teacher.bds
	mv out first
	distill -o out <teacher.bds
	cmp first/model.safetensors out/model.safetensors
	rm -rf first
}

@test "SIGTERM in the middle of a pipeline, then --resume: the same bytes" {
	bd-teacher-dump -q --model teacher --epochs 1 task.bds | distill -o out --steps 0 --log a.log
	mv out whole
	mkfifo slow || skip "no FIFOs"
	(head -c "$(($(wc -c <teacher.bds) / 2))" teacher.bds; exec sleep 60) >slow 2>/dev/null 3>&- &
	feeder=$!
	bd-distill "${options[@]}" -o out --steps 0 --log b.log --schedule constant <slow 2>err 3>&- &
	pid=$!
	for _ in $(seq 400); do
		! grep -q '"step"' b.log || break
		sleep 0.05
	done
	kill -TERM $pid
	kill $feeder
	status=0
	wait $pid || status=$?
	[ "$status" -eq 4 ]
	grep -q -- '--schedule constant --resume$' err
	[ -d out.ckpt ] && [ ! -e out ]
	run distill -o out --steps 0 --resume teacher.bds
	[ "$status" -eq 2 ]
	[[ $output == *"other options"* ]]
	distill -o out --steps 0 --log b.log --schedule constant --resume teacher.bds
	mv out resumed
	distill -o out --steps 0 --log c.log --schedule constant teacher.bds
	cmp resumed/model.safetensors out/model.safetensors
	run ! cmp -s whole/model.safetensors out/model.safetensors
	[ "$(grep -c '"step"' b.log)" -eq "$(grep -c '"step"' c.log)" ]
	[ "$(grep -c '"history":.*--resume' b.log)" -eq 1 ]
	[ ! -e out.ckpt ]
	rm -rf whole resumed slow
}

@test "a teacher with more ids than the student, or fewer, but the same tokenizer: full, largest and drawn logits" {
	sed 's/"vocab_size": 512/"vocab_size": 520/' config.json >wide.json
	run -1 cmp -s config.json wide.json
	bd-init -q --tokenizer "$here/tests/golden/tok-bytes.json" wide.json -o wide
	bd-subln -q wide -o w0
	bd-data -q --tokenizer wide --template t.json rows.tsv -o wide.bds
	for pair in 'wide s0' 'teacher w0'; do
		# shellcheck disable=SC2086
		set -- $pair
		for examples in task.bds wide.bds; do
			bd-teacher-dump -q --model "$1" "$examples" | bd-distill "${options[@]}" --steps 2 -f --model "$2" -o out
			bd-teacher-dump -q --model "$1" --top-k 8 --vocab 512 "$examples" | bd-distill "${options[@]}" --steps 2 -f --model "$2" -o out
			bd-teacher-dump -q --model "$1" --sample 8 --vocab 512 "$examples" | bd-distill "${options[@]}" --steps 2 -f --model "$2" -o out
		done
	done
	bd-teacher-dump -q --model wide --sample 8 task.bds | bd-info | grep -q '^vocab: 512$'
	run bash -c "bd-teacher-dump -q --model wide --sample 8 wide.bds | bd-distill ${options[*]} --model s0 -o no"
	[ "$status" -eq 3 ] && [[ $output == *"over 520 ids, but"*"has only 512; give --vocab 512 to bd-teacher-dump"* ]]
	run bash -c "bd-teacher-dump -q --model teacher --top-k 8 --tau 2 task.bds | bd-distill ${options[*]} --tau 3 --model s0 -o no"
	[ "$status" -eq 2 ] && [[ $output == *"at temperature 2, but --tau is 3; give the same --tau to bd-teacher-dump"* ]]
	run bd-teacher-dump -q --model teacher --tau 2 task.bds
	[ "$status" -eq 2 ] && [[ $output == *"--tau is for --top-k and --sample"* ]]
	run bd-teacher-dump -q --model teacher --top-k 3 --sample 2 task.bds
	[ "$status" -eq 2 ]
	[ ! -e no ]
}

@test "a dying teacher or a damaged stream leaves nothing behind" {
	head -c 20000 teacher.bds >cut.bds
	run distill -o out cut.bds
	[ "$status" -eq 3 ] && [ ! -e out ]
	bd-teacher-dump -q --model teacher task.bds | head -c 30000 >pipe.bds || true
	run distill -o out <pipe.bds
	[ "$status" -eq 3 ] && [ ! -e out ]
	[[ $output == *"ends inside a record"* || $output == *"before its end record"* ]]
}

@test "usage errors: exit status 2 and helpful messages" {
	run bd-sft --model base task.bds
	[ "$status" -eq 2 ]
	mkdir out
	run bd-sft --model base -o out task.bds
	[ "$status" -eq 2 ] && [[ $output == *"--force"* ]]
	rmdir out
	run bash -c 'cat task.bds | bd-sft --model base -o out'
	[ "$status" -eq 2 ] && [[ $output == *"--steps or --tokens"* ]]
	run bash -c 'cat task.bds | bd-sft --model base -o out --epochs 2'
	[ "$status" -eq 2 ] && [[ $output == *"bd-teacher-dump --epochs"* ]]
	run bd-distill --model s0 -o out --heads 5 teacher.bds
	[ "$status" -eq 2 ] && [[ $output == *"divisor of"* ]]
	run bd-distill --model s0 -o out --gamma 3 --gamma-ratio 0.1 teacher.bds
	[ "$status" -eq 2 ]
	run bd-distill --model s0 -o out --states qx teacher.bds
	[ "$status" -eq 2 ]
	run bd-teacher-dump --model teacher --layer 9 task.bds
	[ "$status" -eq 2 ]
	[ ! -e out ]
}

@test "the tokenizer of another model is refused" {
	bd-init --tokenizer "$here/tests/golden/tok-digits.json" config.json -o other
	run bd-sft --model other -o out task.bds
	[ "$status" -eq 3 ] && [[ $output == *"tokenizer"* ]] && [ ! -e out ]
	rm -rf other
}

@test "an output that cannot be written is detected at once" {
	run bd-sft --model base -o /proc/nowhere/out task.bds
	[ "$status" -eq 4 ]
	run bash -c 'bd-teacher-dump -q --model teacher task.bds >/dev/full'
	[ "$status" -eq 4 ]
}

@test "--dry-run prints the plan and writes nothing" {
	run bd-distill --model s0 --dry-run teacher.bds
	[ "$status" -eq 0 ]
	[[ $output == *"parameters"* && $output == *"MFLOP"* && $output == *"5 steps (160 examples)"* ]]
}

@test "--dry-run: the parts of the memory, program included, are its sum" {
	for options in "" "--eval task.bds --eval-every 3"; do
		# shellcheck disable=SC2086 # words are options
		bd-sft --model base --dry-run $options task.bds >plan
		read -r sum parts n <<<"$(sed -n 's/^memory  *\([0-9]*\) MiB: /\1, /p' plan | awk -F, '{
			for (i = 2; i <= NF; i++) { sub(/.* /, "", $i); sum += $i }
			print $1, sum, NF - 1 }')"
		cat plan
		grep -q ', program [1-9]' plan
		# each is rounded
		[ $((2 * (sum - parts))) -le "$n" ] && [ $((2 * (parts - sum))) -le "$n" ]
	done
}

# plan OPTIONS...: MiB that --dry-run announces, and tokens of the largest micro-batch
plan() {
	bd-sft --model base -t 1 --dry-run "$@" | sed -nE 's/^memory *([0-9]+) MiB.*/\1/p; s/^ *for micro-batches of ([0-9]+) tokens.*/\1/p' | tr '\n' ' '
}

@test "--dry-run looks at the input for the memory, which is that of the run" {
	[ -z "${SAN-}" ] || skip "a sanitizer has memory of its own"
	read -r few small <<<"$(plan --batch-tokens 64 text.bds)"
	read -r many large <<<"$(plan --batch-tokens 4096 text.bds)"
	[ "$small" -le 64 ] && [ "$large" -gt 64 ] && [ "$large" -le 4096 ]
	[ "$few" -le "$many" ]
	bd-sft -q -t 1 --model base --batch-tokens 4096 --steps 2 --log memory.log -o out text.bds
	peak=$(grep -oE '"rss_mib": ?[0-9.]+' memory.log | tail -n 1 | grep -oE '[0-9]+' | head -n 1)
	echo "plan $many, peak $peak"
	[ $((many * 100)) -ge $((peak * 80)) ] && [ $((many * 80)) -le $((peak * 100)) ]
	rm -rf out
}

@test "a run that diverges exits with status 1 and writes nothing" {
	run bd-sft -q --model base -o out --lr 10 --warmup 0 --clip 0 --decay 10 --steps 400 task.bds
	[ "$status" -eq 1 ]
	[[ $output == *"not finite"* && $output == *"--lr"* ]]
	[ ! -e out ]
}

@test "--eval keeps the best model and logs its step" {
	bd-sft -q --model base -o out --steps 12 --lr 3e-3 --eval task.bds --eval-every 4 --log eval.log task.bds
	[ "$(grep -c '"eval"' eval.log)" -eq 3 ]
	grep -q '"best_step"' eval.log
	run bash -c 'cat task.bds | bd-sft -q --model base -o out2 --steps 2 --eval /dev/stdin text.bds'
	[ "$status" -eq 2 ]
}

@test "signals at random moments: exit status 4, a checkpoint, the same bytes after --resume" {
	run sh "$here/tests/interop/signals.sh" 16
	[ "$status" -eq 0 ]
}

@test "the training tools have no options beside the tables that a run's identity is made from" {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	run grep -nE 'BD_(FLAG|INT|REAL|STR|ENUM|LIST)\b' "$repo"/bin/bd-sft.c "$repo"/bin/bd-cpt.c "$repo"/bin/bd-distill.c
	[ "$status" -eq 1 ]
}

@test "streams in parts are the whole" {
	bd-data --tokenizer base --template t.json --limit 60 rows.tsv -o part1.bds
	bd-data --tokenizer base --template t.json --skip 60 --limit 40 rows.tsv -o part2.bds
	bd-data --tokenizer base --template t.json --skip 100 rows.tsv -o part3.bds
	parts=(part1.bds part2.bds part3.bds)
	cmp <(bd-data -d -m base "${parts[@]}") <(bd-data -d -m base task.bds)
	diff <(bd-eval teacher "${parts[@]}" | grep -v '"seconds\|<-\|second"') <(bd-eval teacher task.bds | grep -v '"seconds\|<-\|second"')
	for order in "" --shuffle; do
		# shellcheck disable=SC2086 # one word or none
		bd-sft -q -t 1 --model base -o whole --force --epochs 2 $order task.bds
		# shellcheck disable=SC2086
		bd-sft -q -t 1 --model base -o joined --force --epochs 2 $order "${parts[@]}"
		cmp whole/model.safetensors joined/model.safetensors
	done
	bd-info joined | grep -c 'bd-data .*--limit 60' # the history has all of them
	bd-info joined | grep -c 'bd-data .*--skip 100'
	mkfifo pipe3
	cat part3.bds >pipe3 &
	cmp <(bd-data -d -m base part1.bds - pipe3 <part2.bds) <(bd-data -d -m base task.bds)
}

@test "shards of a teacher's stream are the whole, and are asked for as such" {
	for i in 1 2 3; do bd-teacher-dump -q --model teacher --epochs 2 --shuffle --shard $i/3 task.bds -o shard$i.bds; done
	shards=(shard1.bds shard2.bds shard3.bds)
	bd-teacher-dump -q --model teacher --epochs 2 --shuffle task.bds -o twice.bds
	cmp <(bd-data -d -m base "${shards[@]}") <(bd-data -d -m base twice.bds)
	bd-distill "${options[@]}" -t 1 -o joined.kd "${shards[@]}"
	bd-distill "${options[@]}" -t 1 -o whole.kd twice.bds
	cmp joined.kd/model.safetensors whole.kd/model.safetensors
	for wrong in "shard1.bds shard3.bds shard2.bds" "shard1.bds shard2.bds" shard2.bds "shard1.bds twice.bds shard3.bds"; do
		# shellcheck disable=SC2086 # words
		run bd-distill "${options[@]}" -o out $wrong
		[ "$status" -eq 3 ]
		[[ $output == *"all shards of "*"in order"* ]]
	done
	bd-data -d -m base shard2.bds | head -n 1 | grep -q '"ids"' # to look at one is fine
	bd-info shard2.bds | grep -Eq '^shard: \[2, ?3\]'
	run bd-sft "${options[@]}" -o out part1.bds ./part1.bds
	[ "$status" -eq 3 ]
	[[ $output == *"part1.bds: the same file as part1.bds"* ]]
	run bd-sft "${options[@]}" -o out task.bds text.bds
	[ "$status" -eq 3 ]
	[[ $output == *"text.bds: does not go together with task.bds: they were made with different templates"* ]]
	run bd-distill "${options[@]}" -o out twice.bds task.bds
	[[ $output == *"one is an example stream, the other a teacher stream"* ]]
	run bd-teacher-dump -q --model teacher --shard 4/3 task.bds
	[ "$status" -eq 2 ]
}
