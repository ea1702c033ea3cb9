#!/bin/sh
# The memory that --dry-run announces against the peak of the run itself, for every family, 256 and 8192 tokens a
# micro-batch, dense and ternary training and distillation. Prints plan, peak and their ratio; fails where they differ by
# more than 5%. To be run by hand, with the tools in PATH; takes a quarter of an hour on two processors.
#
#   sh tests/interop/plan.sh [FAMILY...]      default: qwen3 llama qwen2 gemma3
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
test $# -gt 0 || set -- qwen3 llama qwen2 gemma3
status=0

# config FAMILY: config.json of 9 million parameters.
config() {
	case $1 in
	qwen3) own='"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 64, "hidden_act": "silu"' ;;
	llama) own='"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu"' ;;
	qwen2) own='"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu"' ;;
	gemma3)
		own='"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "head_dim": 64, "sliding_window": 128,
			"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 64, "rope_local_base_freq": 10000.0,
			"layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]'
		;;
	esac
	cat <<-END
		{$own, "vocab_size": 4096, "hidden_size": 384, "num_hidden_layers": 4, "num_attention_heads": 6,
		"num_key_value_heads": 2, "intermediate_size": 1152, "max_position_embeddings": 1024, "rms_norm_eps": 1e-6,
		"rope_theta": 10000.0, "attention_bias": false, "tie_word_embeddings": true, "bos_token_id": null,
		"eos_token_id": 0}
	END
}

# peak COMMAND...: runs it and prints its peak resident memory in MiB.
peak() {
	python3 -c 'import os, sys
pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(pid, 0)
print(used.ru_maxrss / 1024)
sys.exit(os.waitstatus_to_exitcode(status))' "$@"
}

# compare NAME TOOL OPTIONS...
compare() {
	name=$1
	shift
	plan=$("$@" -t 2 --dry-run | sed -n 's/^memory *\([0-9]*\) MiB.*/\1/p')
	rm -rf out
	real=$(peak "$@" -t 2 -q --steps 2 -o out)
	awk -v name="$name" -v plan="$plan" -v real="$real" 'BEGIN {
		printf "%-28s plan %5d MiB  peak %7.1f MiB  ratio %.3f\n", name, plan, real, plan / real
		exit plan / real < 0.95 || plan / real > 1.05
	}' || status=1
}

{
	echo "text	label"
	awk 'BEGIN { for (i = 0; i < 1500; i++) print "row " i " is so and so good	" i % 2 }'
} >rows.tsv
awk 'BEGIN { for (i = 0; i < 6000; i++) print "this is the text of line " i ", and there is more of it" }' >text.txt
printf '%s' '{"name": "parity", "fields": ["text", "label"], "prompt": "{text}=", "label": "label", "labels": [["0"], ["1"]]}' >t.json
for family; do
	rm -rf dense ternary
	config "$family" >config.json
	bd-init -q config.json --tokenizer "$here/tests/golden/tok-bytes.json" -o dense
	bd-subln -q dense -o ternary
	bd-data -q --tokenizer dense --template t.json rows.tsv -o task.bds
	bd-data -q --tokenizer dense --text --pack 256 text.txt -o text.bds
	bd-teacher-dump -q --model dense --positions all -o teacher.bds text.bds
	for tokens in 256 8192; do
		compare "$family sft $tokens" bd-sft --model dense --batch-tokens $tokens task.bds
		compare "$family cpt ternary $tokens" bd-cpt --model ternary --batch-tokens $tokens text.bds
		compare "$family distill $tokens" bd-distill --model ternary --batch-tokens $tokens teacher.bds
	done
	compare "$family sft --eval" bd-sft --model dense --batch 4 --eval task.bds task.bds
	compare "$family sft --shuffle" bd-sft --model dense --batch 64 --shuffle text.bds
done
exit $status
