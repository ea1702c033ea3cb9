#!/usr/bin/env bats
# Models with published shapes, one layer with random weights each: dense, ternary and packed. Needs $BD_DATA/configs.

load model.bash

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
	tok=$BATS_TEST_DIRNAME/../golden/tok-bytes.json
	if [ -z "${BD_DATA-}" ]; then
		skip 'BD_DATA is not set'
	fi
}

# Prints the config of a published model, reduced to one layer, a small vocabulary and a window shorter than the test's sequences.
shrunk() {
	sed 's/\("num_hidden_layers": \)[0-9][0-9]*/\11/; s/\("vocab_size": \)[0-9][0-9]*/\1384/; s/\("sliding_window": \)[0-9][0-9]*/\18/' \
		"$BD_DATA/configs/$1/config.json"
}

@test "every published shape of the families runs, and gives the same bits when packed" {
	printf 'the quick brown fox jumps over the lazy dog\n1, 2, 3 and 44\n' >text
	bd-data -q --text --format lines --eos 0 --tokenizer "$tok" -o text.bds text
	for name in Llama-3.2-1B Llama-3.2-3B Qwen2-0.5B Qwen2-1.5B Qwen2.5-3B Qwen3-0.6B Qwen3-1.7B SmolLM-135M SmolLM2-135M \
		TinyLlama-1.1B-Chat-v1.0 gemma-3-1b-it; do
		shrunk "$name" >config.json
		bd-init -q -f --dtype bf16 --tokenizer "$tok" config.json -o model
		bd-eval -q model text.bds >dense.json
		bd-eval -q --ternary --logits ternary model text.bds >ternary.json
		bd-pack -q --force --embd f32 model -o model.gguf
		bd-eval -q --logits packed model.gguf text.bds >packed.json
		echo "$name: nll $(json nll dense.json) dense, $(json nll ternary.json) ternary"
		for form in dense ternary; do # chance for 384 tokens: ln 384 = 5.95; a scaled, tied embedding favours the input token itself
			json nll $form.json | awk '{ exit !($1 > 5 && $1 < 11) }'
		done
		cmp ternary packed
	done
}

@test "other families are refused by name" {
	dies 3 'model_type "gpt2" is not supported' bd-init -q "$BD_DATA/configs/gpt2" -o x
	dies 3 'model_type "gemma2" is not supported' bd-init -q "$BD_DATA/configs/gemma-2-2b" -o x
}
