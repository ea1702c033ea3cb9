# shellcheck shell=sh
# The smallest models and streams that go through every tool, for scripts to source:
#
#	small_models      makes, in the working directory: tokenizer.json, config.json, task.json and text.json (templates), rows.tsv,
#	                  m (dense), s (with SubLN), student (ternary), task.bds, text.bds, full.bds and top.bds (teacher streams)

small_models() {
	cat >tokenizer.json <<-'END'
		{"added_tokens": [{"id": 0, "content": "<s>", "special": true}],
		 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}, "decoder": {"type": "ByteLevel"},
		 "model": {"type": "BPE", "vocab": {"<s>": 0, "a": 1, "b": 2, ":": 3, "-": 4, "+": 5, "ab": 6, "1": 7, "Ġ": 8, "/": 9},
		 "merges": ["a b"]}}
	END
	cat >config.json <<-'END'
		{"model_type": "qwen3", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
		 "head_dim": 4, "intermediate_size": 8, "vocab_size": 10, "max_position_embeddings": 32, "hidden_act": "silu",
		 "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "tie_word_embeddings": true, "eos_token_id": 0}
	END
	cat >task.json <<-'END'
		{"name": "t", "fields": ["left", "label"], "prompt": "{left}:", "classes": ["no", "yes"], "label": "label",
		 "labels": ["-", "+"]}
	END
	cat >text.json <<-'END'
		{"name": "u", "fields": ["left", "label"], "prompt": "{label}:", "answer": "{left}"}
	END
	printf 'left\tlabel\nab\t1\na\t0\nb\t1\n' >rows.tsv
	bd-init -q config.json --tokenizer tokenizer.json -o m
	bd-data -q --template task.json --tokenizer m -o task.bds rows.tsv
	bd-data -q --template text.json --tokenizer m -o text.bds rows.tsv
	bd-teacher-dump -q -t 1 --model m -o full.bds task.bds
	bd-teacher-dump -q -t 1 --model m --top-k 2 --no-states -o top.bds text.bds
	bd-subln -q m -o s
	bd-sft -q -t 1 --model s --weights ternary --steps 1 --batch 2 -o student task.bds
}
