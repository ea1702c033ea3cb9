#!/usr/bin/env bats
# bd-pack --target hf: the contents of the directory for transformers, and that it is still the same model. bd-subln in little memory.

load model

setup_file() {
	make_models
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	dir=$BATS_FILE_TMPDIR
}

# header DIR: prints the JSON header of its model.safetensors.
header() {
	n=$(od -A n -t u8 -N 8 "$1/model.safetensors")
	tail -c +9 "$1/model.safetensors" | head -c "$((n))"
}

# llama DIR NORMS: makes a ternary student of the llama family.
llama() {
	sed -e 's/qwen3/llama/; s/Qwen3/Llama/; s/"head_dim": 24/"head_dim": 16/' "$dir/config.json" >config.json
	bd-init -q config.json --tokenizer "$dir/base" -o "$1-base"
	bd-subln -q "$1-base" --norms "$2" -o "$1"
}

@test "both formats give the student's logits, bit for bit, and so do the files packed from them" {
	llama tiny subln
	for model in "$dir/student" tiny; do
		bd-eval -q "$model" --logits want "$dir/dev.bds" >/dev/null
		for form in online offline; do
			bd-pack -q "$model" --target hf --type $form -f -o out
			bd-eval -q out --logits got "$dir/dev.bds" >/dev/null
			cmp want got
			bd-pack -q out --embd f32 -o x.gguf
			bd-eval -q x.gguf --logits got "$dir/dev.bds" >/dev/null
			cmp want got
		done
	done
	bd-eval -q "$dir/teacher" --logits other "$dir/dev.bds" >/dev/null
	run -1 cmp -s want other
}

@test "a qwen3 student: its own class, a norm before every linear layer" {
	bd-pack "$dir/student" --target hf --type offline -o out
	header out >h
	grep -F '"__metadata__":{"format":"pt"}' h
	grep -F '"model.layers.1.self_attn.q_proj.rms_norm.weight":{"dtype":"F32","shape":[64]' h
	grep -F '"model.layers.1.mlp.down_proj.rms_norm.weight":{"dtype":"F32","shape":[140]' h
	grep -F '"model.layers.1.mlp.down_proj.weight":{"dtype":"U8","shape":[16,140]' h
	grep -F '"model.layers.1.mlp.down_proj.weight_scale":{"dtype":"F32","shape":[1]' h
	run -1 grep -F '_proj.norm.' h
	grep -F '"Qwen3ForCausalLM"' out/config.json
	tr -d ' \n' <out/config.json | grep -F '"quantization_config":{"quant_method":"bitnet","linear_class":"autobitlinear",'
	grep -F '"quantization_mode": "offline"' out/config.json
	grep -F '"use_rms_norm": true' out/config.json
	grep -F 'bd-pack' out/config.json # its own line of history
	cmp out/tokenizer.json "$dir/student/tokenizer.json"
}

@test "a llama student: BitNetForCausalLM" {
	llama tiny subln
	bd-pack tiny --target hf --type online --dtype bf16 -o out
	header out >h
	grep -F '"model.layers.1.self_attn.attn_sub_norm.weight":{"dtype":"BF16","shape":[64]' h
	grep -F '"model.layers.1.mlp.ffn_sub_norm.weight":{"dtype":"BF16","shape":[140]' h
	grep -F '"model.layers.1.mlp.down_proj.weight":{"dtype":"BF16","shape":[64,140]' h
	grep -F '"BitNetForCausalLM"' out/config.json
	grep -F '"model_type": "bitnet"' out/config.json
	grep -F '"hidden_act": "silu"' out/config.json
	grep -F '"quantization_mode": "online"' out/config.json
	grep -F '"use_rms_norm": false' out/config.json
	bd-info --check out
}

@test "masters can be trained further; packed weights cannot" {
	bd-pack "$dir/student" --target hf --type online -o online
	bd-pack "$dir/student" --target hf --type offline -o offline
	bd-sft -q -t 1 --model online -o more --steps 1 --batch 8 "$dir/dev.bds"
	run -1 grep quantization_config more/config.json
	dies 3 "masters" bd-sft -q --model offline -o no --steps 1 "$dir/dev.bds"
	dies 3 "masters" bd-subln offline -o no
	dies 3 "masters" bd-pack offline --target hf --type online -o no
	[ ! -e no ]
}

@test "the directory appears complete or not at all" {
	bd-pack "$dir/student" --target hf -o there
	dies 2 "exists" bd-pack "$dir/student" --target hf -o there
	dies 3 "not trained as a ternary model" bd-pack "$dir/teacher" --target hf -o no
	[ ! -e no ]
}

@test "bd-subln keeps gains and weights" {
	bd-subln "$dir/student" --norms subln -o same
	cmp same/model.safetensors "$dir/student/model.safetensors"
	dies 3 "dropping trained gains" bd-subln "$dir/student" --norms none -o no
	bd-subln "$dir/base" --norms none -o none
	run -1 grep -F '_proj.norm.' none/model.safetensors
	header none >a
	header "$dir/base" >b
	cmp a b
	bd-subln "$dir/base" --norms all -o all
	[ "$(header all | grep -o '_proj.norm.weight' | wc -l)" -eq 14 ]
}

@test "bd-subln and the export hold only a part of the model in memory" {
	[ -z "${SAN-}" ] || skip "the sanitizer alone needs more memory than the limit"
	sed -e 's/"hidden_size": 64/"hidden_size": 512/; s/"intermediate_size": 140/"intermediate_size": 4096/' \
		-e 's/"num_hidden_layers": 2/"num_hidden_layers": 6/' "$dir/config.json" >config.json
	bd-init -q config.json -o big
	[ "$(stat -c %s big/model.safetensors)" -gt 150000000 ]
	ulimit -d 40000 # KiB
	dies 4 "memory" bd-sft -q -t 1 --model big -o no --steps 1 "$dir/dev.bds"
	bd-subln -q big -o s
	bd-pack -q -t 1 s --target hf --type online -o online
	bd-pack -q -t 1 s --target hf --type offline -o offline
}

@test "an end token that only tokenizer_config.json names ends the answers of the model and of its packed file" {
	cp -r "$dir/student" m && rm m/bd-digests.txt
	sed -i '/"eos_token_id"/d' m/config.json
	run -1 grep -rF '"eos_token_id"' m
	printf '{"eos_token": {"content": "e"}}' >m/tokenizer_config.json
	bd-info m | grep -F 'eos: [68]'
	bd-init -q m/config.json --tokenizer m -o again
	bd-info again | grep -F 'eos: [68]'
	bd-pack -q m -o m.gguf
	bd-pack -d -q m.gguf -o back
	bd-info back | grep -F 'eos: [68]'
}
