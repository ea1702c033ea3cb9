"""Writes the golden cases: one folder each, a small model and vectors.safetensors.  See README.md.

Dense cases come from Hugging Face transformers in float32 and check reference.py; the ternary cases come from
reference.py in float64.  Everything that is written is also computed in the other precision, and this script fails
if the two differ by more than AGREE, which is well below what the tests allow.
"""
import json
import pathlib
import shutil

import safetensors.torch
import torch
import transformers
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import reference as ref

HERE = pathlib.Path(__file__).parent
LENGTHS = (11, 7)    # tokens of the two sequences of every case
FIRST_TARGET = (6, 1)  # positions from here on are predicted: an answer after a prompt, and all but the first token
AGREE = 1e-5         # between float32 and float64, relative to a tensor's largest value

BASE = {"hidden_act": "silu", "max_position_embeddings": 256, "num_hidden_layers": 2, "initializer_range": 0.02,
        "bos_token_id": 1, "eos_token_id": 2}
QWEN3 = BASE | {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "rms_norm_eps": 1e-6, "attention_bias": False,
                "use_sliding_window": False}
LLAMA = BASE | {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rms_norm_eps": 1e-5, "attention_bias": False,
                "mlp_bias": False}
QWEN2 = BASE | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rms_norm_eps": 1e-6}
GEMMA3 = BASE | {"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "rms_norm_eps": 1e-6, "attention_bias": False,
                 "hidden_activation": "gelu_pytorch_tanh", "num_hidden_layers": 3, "sliding_window": 4, "query_pre_attn_scalar": 20}
del GEMMA3["hidden_act"]
BITNET = BASE | {"architectures": ["BitNetForCausalLM"], "model_type": "bitnet", "rms_norm_eps": 1e-5, "attention_bias": False,
                 "hidden_act": "relu2"}


def shape(hidden, heads, kv_heads, head_dim, ffn, vocab, tied):
	return {"hidden_size": hidden, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
	        "intermediate_size": ffn, "vocab_size": vocab, "tie_word_embeddings": tied}


DENSE = {
	"qwen3-tied": QWEN3 | shape(32, 4, 2, 12, 44, 64, True)
	| {"rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0}, "dtype": "float32"},
	"qwen3-odd": QWEN3 | shape(52, 3, 1, 10, 76, 67, False)
	| {"rope_theta": 10000.0, "rope_scaling": None, "torch_dtype": "float32"},
	"llama3-rope": LLAMA | shape(42, 6, 2, 16, 58, 64, False)
	| {"rope_theta": 10000.0, "torch_dtype": "float32",
	   "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
	                    "original_max_position_embeddings": 64}},
	"llama-bias": LLAMA | shape(32, 4, 1, 14, 50, 71, True)
	| {"attention_bias": True, "mlp_bias": True, "dtype": "float32",
	   "rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 10000.0}},
	"llama-yarn": LLAMA | shape(36, 3, 3, 20, 46, 64, False)
	| {"rope_theta": 10000.0, "torch_dtype": "float32",
	   "rope_scaling": {"type": "yarn", "factor": 4.0, "beta_fast": 8.0, "original_max_position_embeddings": 256}},
	"qwen2-sliding": QWEN2 | shape(40, 4, 2, 10, 52, 66, True)
	| {"rope_theta": 1000000.0, "torch_dtype": "float32", "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
	"gemma3-v4": GEMMA3 | shape(32, 4, 1, 12, 44, 68, True)
	| {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
	   "sliding_window_pattern": 2, "torch_dtype": "float32"},
	"gemma3-v5": GEMMA3 | shape(42, 6, 2, 10, 57, 61, False)
	| {"attention_bias": True, "dtype": "float32", "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
	   "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 50000.0},
	                       "sliding_attention": {"rope_type": "default", "rope_theta": 2000.0}}},
	"bitnet-relu2": BITNET | shape(48, 4, 2, 12, 56, 65, False)
	| {"dtype": "float32", "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
}
del DENSE["qwen2-sliding"]["head_dim"]
TERNARY = {
	"ternary-subln": QWEN3 | shape(32, 4, 2, 12, 44, 64, True)
	| {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}, "dtype": "float32",
	   "bitdistill": {"norms": "subln", "weights": "ternary"}},
	"ternary-all": LLAMA | shape(36, 3, 1, 20, 52, 67, False)
	| {"rope_theta": 10000.0, "torch_dtype": "float32", "attention_bias": True,
	   "bitdistill": {"norms": "all", "weights": "ternary"}},
	"ternary-gemma3": GEMMA3 | shape(32, 4, 2, 16, 44, 64, True)
	| {"rope_theta": 1000000.0, "rope_local_base_freq": 10000.0, "rope_scaling": None, "sliding_window_pattern": 2,
	   "torch_dtype": "float32", "bitdistill": {"norms": "subln", "weights": "ternary"}},
	"ternary-qwen2": QWEN2 | shape(36, 3, 1, 12, 52, 67, True)
	| {"rope_theta": 10000.0, "rope_scaling": None, "torch_dtype": "float32",
	   "bitdistill": {"norms": "subln", "weights": "ternary"}},
}
TEACHER = QWEN3 | shape(40, 5, 1, 16, 60, 64, True) | {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
# Distillation: options of the losses, and the weights of the combined objective.
TAU, BETA, TOP_K, HEADS, LAMBDA, GAMMA = 5.0, 0.3, 9, 4, 0.5, 2.0
STEPS, LR, DECAY, BETAS, EPS = 10, 1e-3, 0.1, (0.9, 0.95), 1e-8


# Models.

def parameter_shapes(c):
	"""Names and shapes of the tensors in the checkpoint."""
	C, D, F = c["hidden_size"], ref.head_dim(c), c["intermediate_size"]
	HD, GD = c["num_attention_heads"] * D, c["num_key_value_heads"] * D
	norms = "subln" if c["model_type"] == "bitnet" else c.get("bitdistill", {}).get("norms")
	linears = {"self_attn.q_proj": (HD, C), "self_attn.k_proj": (GD, C), "self_attn.v_proj": (GD, C), "self_attn.o_proj": (C, HD),
	           "mlp.gate_proj": (F, C), "mlp.up_proj": (F, C), "mlp.down_proj": (C, F)}
	out = {"model.embed_tokens.weight": (c["vocab_size"], C), "model.norm.weight": (C,)}
	if not c["tie_word_embeddings"]:
		out["lm_head.weight"] = (c["vocab_size"], C)
	for i in range(c["num_hidden_layers"]):
		layer = f"model.layers.{i}."
		out[layer + "input_layernorm.weight"] = out[layer + "post_attention_layernorm.weight"] = (C,)
		if ref.gemma(c):
			out[layer + "pre_feedforward_layernorm.weight"] = out[layer + "post_feedforward_layernorm.weight"] = (C,)
		if c["model_type"] == "qwen3" or ref.gemma(c):
			out[layer + "self_attn.q_norm.weight"] = out[layer + "self_attn.k_norm.weight"] = (D,)
		for name, (rows, cols) in linears.items():
			out[layer + name + ".weight"] = (rows, cols)
			if has_bias(c, name):
				out[layer + name + ".bias"] = (rows,)
			if norms == "all" or norms == "subln" and name in ref.SUBLN:
				out[layer + (ref.SUBLN[name] if c["model_type"] == "bitnet" else name + ".norm") + ".weight"] = (cols,)
	return out


def has_bias(c, linear):
	if c["model_type"] == "qwen2":
		return linear in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
	return c.get("attention_bias" if "attn" in linear else "mlp_bias")


def random_parameters(c, generator):
	"""Weights large enough, and gains and biases uneven enough, for every part to matter."""
	def make(name, size):
		x = torch.randn(size, generator=generator)
		if name == "model.embed_tokens.weight":
			return 0.4 * x
		if len(size) == 2:
			return x / size[1] ** 0.5
		if name.endswith("bias"):
			return 0.1 * x
		return 0.2 * x + (0 if ref.gemma(c) and not name.endswith("proj.norm.weight") else 1)
	return {name: make(name, size) for name, size in parameter_shapes(c).items()}


def off_the_thresholds(w):
	"""w, changed so that no weight lies within 0.2% of D / 2, where the ternary code would depend on the last bit."""
	while True:
		y = w.double() / w.double().abs().mean()
		near = (y.abs() - 0.5).abs() < 1e-3
		if not near.any():
			return w
		w = torch.where(near, w * 1.01, w)


def choose_ids(model, lengths, generator, least):
	"""Two random sequences; for a ternary model, ones whose int8 activations keep at least `least` from every rounding boundary: the
	model is causal, so tokens can be chosen one by one."""
	sequences = []
	for n in lengths:
		ids = []
		while len(ids) < n:
			ids.append(int(torch.randint(0, model.config["vocab_size"], (1,), generator=generator)))
			model.forward(torch.tensor(ids))
			if model.margins and min(model.margins) < least:
				ids.pop()
		sequences.append(torch.tensor(ids))
	return sequences


# Running the models. A batch is a list of sequences and, for each, the positions whose logits predict a target.

def rows(sequences):
	return [torch.arange(first - 1, len(s) - 1) for s, first in zip(sequences, FIRST_TARGET)]


def targets(sequences):
	return torch.cat([s[r + 1] for s, r in zip(sequences, rows(sequences))])


def run(model, sequences):
	"""Logits[T, V], the logits [P, V] of the target rows, and states [layer][q, k, v][sequence]."""
	logits, states = [], []
	for ids in sequences:
		logits.append(model.forward(ids))
		states.append(model.states)
	states = [[[s[layer][which] for s in states] for which in range(3)] for layer in range(len(states[0]))]
	return torch.cat(logits), torch.cat([z[r] for z, r in zip(logits, rows(sequences))]), states


class HuggingFace:
	"""A transformers model with the interface of reference.Model."""

	def __init__(self, directory):
		self.hf = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="watched")
		self.config = json.loads((directory / "config.json").read_text())
		self.params = {name: p for name, p in self.hf.named_parameters()}
		self.states, self.margins = [], []

	def forward(self, ids):
		WATCHED.clear()
		z = self.hf(input_ids=ids[None], use_cache=False).logits[0]
		self.states = list(WATCHED)
		return z


WATCHED = []


def watched_attention(module, query, key, value, attention_mask, scaling, **kwargs):
	"""Eager attention that records its inputs: q[1, H, T, D], k, v[1, G, T, D]."""
	WATCHED.append(tuple(x[0].transpose(0, 1).flatten(1) for x in (query, key, value)))
	repeat = query.shape[1] // key.shape[1]
	p = (query @ key.repeat_interleave(repeat, 1).transpose(2, 3) * scaling + attention_mask).softmax(-1)
	return (p @ value.repeat_interleave(repeat, 1)).transpose(1, 2).contiguous(), p


ALL_ATTENTION_FUNCTIONS.register("watched", watched_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register("watched", eager_mask)


# Vectors.

def gradients(loss, params, prefix):
	grads = torch.autograd.grad(loss, list(params.values()), retain_graph=True, allow_unused=True)
	return {f"{prefix}.{name}": torch.zeros_like(p) if g is None else g for (name, p), g in zip(params.items(), grads)}


def basics(model, sequences):
	"""Logits, states and the gradients of CE, the mean over all target positions."""
	logits, z, states = run(model, sequences)
	y = targets(sequences)
	loss = ref.ce(z, y) / len(y)
	out = {"logits": logits, "ce.loss": loss[None]} | gradients(loss, model.params, "ce.grad")
	for i, layer in enumerate(states):
		for name, state in zip("qkv", layer):
			out[f"state.{i}.{name}"] = torch.cat(state)
	return out


def logit_losses(z, zt):
	"""{name: loss summed over the P rows}."""
	return {"ld": ref.ld(z, zt, TAU, False), "ld_tau2": ref.ld(z, zt, TAU, True), "ld_1": ref.ld(z, zt, 1.0, False),
	        "top_1": ref.ld_top(z, *ref.truncate(zt, TOP_K), 1.0, False),
	        "cakld": ref.cakld(z, zt, BETA)}


def relation_losses(states, teacher, cosine, temperature):
	"""Sums over sequences and rows for each of Q, K, V."""
	return [sum(ref.ad(s, t, HEADS, cosine, temperature) for s, t in zip(*pair)) for pair in zip(states, teacher)]


# name: layer, teacher, cosine, temperature
RELATIONS = {"ad": (1, "same", True, 1.0), "ad_wide": (0, "wide", True, 1.0), "ad_dot": (1, "wide", False, 2.0)}


def objective(model, sequences, teachers):
	"""CE + lambda LD + gamma AD, each a mean, and its three parts."""
	_, z, states = run(model, sequences)
	y, n = targets(sequences), sum(map(len, sequences))
	layer, which, cosine, temperature = RELATIONS["ad"]
	ce = ref.ce(z, y) / len(y)
	ld = ref.ld(z, teachers["z"], TAU, True) / len(y)
	ad = sum(relation_losses(states[layer], teachers[which], cosine, temperature)) / (HEADS * n)
	return ce + LAMBDA * ld + GAMMA * ad, ce, ld, ad


def distillation(model, sequences, teachers):
	"""Every loss with its gradient on logits or states, and the gradient of the combined objective on the parameters."""
	_, z, states = run(model, sequences)
	n, out = sum(map(len, sequences)), {}
	for name, loss in logit_losses(z, teachers["z"]).items():
		out |= {f"{name}.loss": loss[None], f"{name}.dz": torch.autograd.grad(loss, z, retain_graph=True)[0]}
	out |= gradients(LAMBDA * out["ld_tau2.loss"][0] / len(z), model.params, "ld_tau2.grad")
	for name, (layer, which, cosine, temperature) in RELATIONS.items():
		losses = relation_losses(states[layer], teachers[which], cosine, temperature)
		for state, x, loss in zip("qkv", states[layer], losses):
			out |= {f"{name}.{state}.loss": loss[None],
			        f"{name}.{state}.ds": torch.cat(torch.autograd.grad(loss, x, retain_graph=True))}
		if cosine:
			out |= gradients(GAMMA * sum(losses) / (HEADS * n), model.params, f"{name}.grad")
	total, ce, *_ = objective(model, sequences, teachers)
	out |= {"total.loss": total[None]} | gradients(total, model.params, "total.grad")
	_, z, states = run(model, sequences)
	loss = ref.ce(z, targets(sequences)) / len(z)
	arrived = [torch.autograd.grad(loss, x, retain_graph=True) for x in states[RELATIONS["ad"][0]]]
	out["ce.states2"] = torch.stack([sum((g * g).sum() for g in grads) for grads in arrived])
	return out


def training(model, sequences, teachers):
	"""The loss before each AdamW step and after the last; decay on matrices only."""
	p = list(model.params.values())
	optimiser = torch.optim.AdamW([{"params": [x for x in p if x.dim() == 2], "weight_decay": DECAY},
	                               {"params": [x for x in p if x.dim() == 1], "weight_decay": 0.0}], LR, BETAS, EPS)
	losses = []
	for step in range(STEPS + 1):
		if teachers:
			loss = objective(model, sequences, teachers)[0]
		else:
			loss = ref.ce(run(model, sequences)[1], targets(sequences)) / len(targets(sequences))
		losses.append(loss.detach())
		if step == STEPS:
			break
		optimiser.zero_grad()
		loss.backward()
		optimiser.step()
	return {"train.loss": torch.stack(losses)}


# Cases.

def difference(a, b):
	a, b = a.detach().double(), b.detach().double()
	return ((a - b).abs().max() / b.abs().max()).item() if b.abs().max() > 0 else a.abs().max().item()


def agree(case, a, b):
	"""Fails unless the tensors of a and b agree to within AGREE."""
	assert a.keys() == b.keys()
	name = max(a, key=lambda k: difference(a[k], b[k]))
	print(f"{case}: float32 and float64 agree to {difference(a[name], b[name]):.1e}, worst in {name}")
	assert difference(a[name], b[name]) <= AGREE


def typed(params, dtype):
	return {name: p.detach().to(dtype).requires_grad_() for name, p in params.items()}


def write_model(case, config, params):
	directory = HERE / case
	shutil.rmtree(directory, ignore_errors=True)
	directory.mkdir()
	(directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
	safetensors.torch.save_file(params, directory / "model.safetensors", {"format": "pt"})
	return directory


def options():
	"""The options used, for readers of the vectors: one JSON object, because safetensors does not keep the order of metadata."""
	relations = {name: dict(zip(("layer", "teacher", "cosine", "temperature"), row)) for name, row in RELATIONS.items()}
	return {"options": json.dumps({
		"tau": TAU, "beta": BETA, "heads": HEADS, "lambda": LAMBDA, "gamma": GAMMA, "relations": relations,
		"lr": LR, "decay": DECAY, "beta1": BETAS[0], "beta2": BETAS[1], "eps": EPS})}


def write_vectors(case, sequences, vectors, **more):
	start = [0]
	for s in sequences:
		start.append(start[-1] + len(s))
	predicted = torch.cat([(torch.arange(len(s)) >= first).to(torch.uint8) for s, first in zip(sequences, FIRST_TARGET)])
	vectors = {"ids": torch.cat(sequences).int(), "start": torch.tensor(start, dtype=torch.int32), "target": predicted,
	           **{k: v.detach().float().contiguous() for k, v in vectors.items()}, **more}
	safetensors.torch.save_file(vectors, HERE / case / "vectors.safetensors", options())


def dense(case, config, seed):
	generator = torch.Generator().manual_seed(seed)
	directory = write_model(case, config, random_parameters(config, generator))
	model = HuggingFace(directory)
	sequences = choose_ids(model, LENGTHS, generator, 0)
	vectors = basics(model, sequences)
	assert set(parameter_shapes(config)) == set(model.params)
	agree(case, vectors, basics(ref.Model(config, typed(model.params, torch.float64)), sequences))
	write_vectors(case, sequences, vectors)


def teach(sequences, config, seed):
	"""Logits of the target rows and the states [layer 1][q, k, v][sequence] of a random teacher, in half precision as in a stream."""
	generator = torch.Generator().manual_seed(seed)
	with torch.no_grad():
		_, z, states = run(ref.Model(config, random_parameters(config, generator)), sequences)
	return z.half(), [[s.half() for s in state] for state in states[1]]


def ternary(case, config, seed, distil):
	generator = torch.Generator().manual_seed(seed)
	params = random_parameters(config, generator)
	params = {k: off_the_thresholds(w) if w.dim() == 2 and "proj" in k else w for k, w in params.items()}
	write_model(case, config, params)
	sequences = choose_ids(ref.Model(config, params), LENGTHS, generator, 1e-3)
	teachers, more = {}, {}
	if distil:
		z, wide = teach(sequences, TEACHER, seed + 1)
		_, same = teach(sequences, {k: v for k, v in config.items() if k != "bitdistill"}, seed + 2)
		teachers = {"z": z, "same": same, "wide": wide}
		top, ids, rest = ref.truncate(z.float(), TOP_K)
		more = {"teacher.z": z, "teacher.top": top.half(), "teacher.top_ids": ids.int(), "teacher.top_rest": rest}
		for name in ("same", "wide"):
			more |= {f"teacher.{name}.{s}": torch.cat(x) for s, x in zip("qkv", teachers[name])}

	def vectors(dtype):
		model = ref.Model(config, typed(params, dtype))
		t = {"z": teachers["z"].to(dtype), **{k: [[s.to(dtype) for s in x] for x in teachers[k]] for k in ("same", "wide")}} if distil else {}
		out = basics(model, sequences)
		if distil:
			out |= distillation(model, sequences, t)
		return out | training(ref.Model(config, typed(params, dtype)), sequences, t)

	exact = vectors(torch.float64)
	agree(case, vectors(torch.float32), exact)
	write_vectors(case, sequences, exact, **more)


if __name__ == "__main__":
	torch.set_num_threads(1)
	torch.use_deterministic_algorithms(True)
	for seed, (case, config) in enumerate(DENSE.items()):
		dense(case, config, seed)
	ternary("ternary-subln", TERNARY["ternary-subln"], 100, True)
	ternary("ternary-all", TERNARY["ternary-all"], 200, False)
	ternary("ternary-gemma3", TERNARY["ternary-gemma3"], 300, True)
	ternary("ternary-qwen2", TERNARY["ternary-qwen2"], 405, False)
