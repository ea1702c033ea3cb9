# Small models for the tests of bd-pack, bd-run, bd-eval and bd-bench, made once per test file:
# $BATS_FILE_TMPDIR/{base,teacher,student}, with the rows.tsv (header, 24 rows) and the stream dev.bds of their task.

bats_require_minimum_version 1.5.0

make_models() {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_FILE_TMPDIR" || return
	cat >config.json <<-'END'
	{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 2,
	 "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24, "intermediate_size": 140, "vocab_size": 384,
	 "max_position_embeddings": 128, "hidden_act": "silu", "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
	 "attention_bias": false, "tie_word_embeddings": true, "eos_token_id": 0}
	END
	cat >task.json <<-'END'
	{"name": "match", "fields": ["left", "right", "label"], "prompt": "{left} / {right}:",
	 "classes": ["different", "same"], "labels": ["-", "+"]}
	END
	{
		printf 'left\tright\tlabel\n'
		for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
			printf 'the "%s"\té %s\t1\n' "$i" "$i"
			printf 'the "%s"\té %s\t0\n' "$i" "$((i + 1))"
		done
	} >rows.tsv
	bd-init -q config.json --tokenizer "$repo/tests/golden/tok-bytes.json" -o base
	bd-data -q --template task.json --tokenizer base -o dev.bds rows.tsv
	bd-sft -q -t 1 --model base -o teacher --steps 6 --batch 8 --epochs 100 --lr 1e-3 dev.bds
	bd-subln -q base -o s0
	bd-sft -q -t 1 --model s0 --weights ternary -o student --steps 6 --batch 8 --epochs 100 --lr 1e-3 dev.bds
}

# dies STATUS TEXT COMMAND...: checks that the command exits with STATUS, prints one line with TEXT on stderr and nothing on stdout.
dies() {
	status=0
	"${@:3}" >out 2>err || status=$?
	cat err
	[ "$status" -eq "$1" ]
	grep -F -- "$2" err
	[ "$(wc -l <err)" -eq 1 ]
	[ ! -s out ]
}

# json KEY FILE: prints the number under this key in a JSON object that has one key per line.
json() {
	sed -n 's/^ *"'"$1"'": \([^,]*\),*$/\1/p' "$2"
}

# near X Y: checks that the numbers agree; how many digits are printed depends on the other numbers in the same object.
near() {
	awk -v x="$1" -v y="$2" 'BEGIN { d = x - y; exit !(x != "" && y != "" && d < 1e-9 && d > -1e-9) }'
}
