"""The ternary student and its losses in plain PyTorch: the reference for lib/.

Written from the papers (arXiv 2510.13998, 2402.17764, 2402.10631, 2012.15828) to be read alongside them, not to be fast: one sequence at
a time, gradients by autograd, any float type.  The names of parameters are those of the checkpoint.

T tokens, C hidden size, H query heads, G key/value heads, D head size, F ffn size, V vocabulary, P target positions.
"""
import math

import torch
from torch.nn.functional import gelu, log_softmax, relu, silu

QEPS = 1e-5


def straight_through(x, quantised):
	"""The value of `quantised`, the gradient of the identity."""
	return x + (quantised - x).detach()


def ternary(w):
	"""What = D C, D = max(mean |W|, eps), C = clip(round(W / D), -1, 1)."""
	d = w.abs().mean().clamp(min=QEPS)
	return straight_through(w, d * (w / d).round().clamp(-1, 1))


def int8(x, margins=None):
	"""xhat = a q / 127 per token, a = max(max |x|, eps), q = round(127 x / a).  Appends the least distance to a rounding boundary to margins."""
	a = x.abs().amax(-1, keepdim=True).clamp(min=QEPS)
	y = x * (127 / a)
	if margins is not None:
		margins.append(((y - y.floor()) - 0.5).abs().min().item())
	return straight_through(x, y.round().clamp(-128, 127) * (a / 127))


def rms_norm(x, gain, eps):
	return gain * (x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps))


def gemma(config):
	return config["model_type"] == "gemma3_text"


def head_dim(config):
	return config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])


def slides(config, layer):
	"""Whether a position in this layer sees only the last sliding_window keys."""
	if "layer_types" in config:
		return config["layer_types"][layer] == "sliding_attention"
	if gemma(config):
		return (layer + 1) % config.get("sliding_window_pattern", 6) != 0
	return config.get("use_sliding_window", False) and layer >= config["max_window_layers"]


def rope_of(config, layer):
	"""rope_theta and, if scaled, the other parameters, from either config dialect."""
	local = gemma(config) and slides(config, layer)
	if "rope_parameters" in config:
		rope = config["rope_parameters"]
		return rope["sliding_attention" if local else "full_attention"] if gemma(config) else rope
	if local:
		return {"rope_theta": config["rope_local_base_freq"]}
	return {"rope_theta": config["rope_theta"]} | (config.get("rope_scaling") or {})


def yarn(rope, f, d):
	"""YaRN (arXiv 2309.00071): fast-rotating pairs are unchanged, slow-rotating pairs are stretched, with a ramp between the two."""
	pair = lambda turns: d * math.log(rope["original_max_position_embeddings"] / (turns * 2 * math.pi)) / (2 * math.log(rope["rope_theta"]))
	first, last = pair(rope.get("beta_fast", 32)), pair(rope.get("beta_slow", 1))
	if rope.get("truncate", True):
		first, last = math.floor(first), math.ceil(last)
	first, last = max(first, 0), min(last, d - 1)
	stretch = ((torch.arange(d // 2) - first) / (last - first)).clamp(0, 1).double()
	return stretch * f / rope["factor"] + (1 - stretch) * f, rope.get("attention_factor", 0.1 * math.log(rope["factor"]) + 1)


def inverse_frequencies(rope, d):
	"""The inverse frequencies of d / 2 pairs, and the factor on cos and sin."""
	f = rope["rope_theta"] ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)
	kind = rope.get("rope_type", rope.get("type", "default"))
	if kind == "linear":
		return f / rope["factor"], 1
	if kind == "llama3":
		turns = rope["original_max_position_embeddings"] * f / (2 * math.pi)
		low, high = rope["low_freq_factor"], rope["high_freq_factor"]
		smooth = ((turns - low) / (high - low)).clamp(0, 1)
		return (1 - smooth) * f / rope["factor"] + smooth * f, 1
	if kind == "yarn":
		return yarn(rope, f, d)
	assert kind == "default"
	return f, 1


def rotate(x, rope):
	"""Rotary embedding of x[T, heads, D]: pairs (i, i + D/2)."""
	f, factor = inverse_frequencies(rope, x.shape[-1])
	angle = torch.outer(torch.arange(len(x), dtype=torch.float64), f)[:, None, :]
	cos, sin = (factor * angle.cos()).to(x.dtype), (factor * angle.sin()).to(x.dtype)
	a, b = x.chunk(2, -1)
	return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


ACTIVATION = {"silu": silu, "gelu_pytorch_tanh": lambda x: gelu(x, approximate="tanh"), "relu2": lambda x: relu(x) ** 2}
# The names that BitNetForCausalLM uses for the norms on the inputs of o and down.
SUBLN = {"self_attn.o_proj": "self_attn.attn_sub_norm", "mlp.down_proj": "mlp.ffn_sub_norm"}


class Model:
	"""forward() gives logits[T, V]; states holds each layer's (q[T, H D], k[T, G D], v[T, G D]) as they enter attention."""

	def __init__(self, config, params):
		self.config, self.params = config, params
		self.ternary = config.get("bitdistill", {}).get("weights") == "ternary"
		self.eps = config["rms_norm_eps"]
		self.states, self.margins = [], []

	def norm(self, name, x):
		"""In Gemma, the parameter is the gain minus one."""
		return rms_norm(x, self.params[name + ".weight"] + (1 if gemma(self.config) else 0), self.eps)

	def linear(self, layer, name, x):
		p = self.params
		layer = f"model.layers.{layer}."
		for subln in (name + ".norm", SUBLN.get(name, "")):
			if layer + subln + ".weight" in p:
				x = rms_norm(x, p[layer + subln + ".weight"], self.eps)
		name = layer + name
		w = p[name + ".weight"]
		if self.ternary:
			x, w = int8(x, self.margins), ternary(w)
		y = x @ w.T
		return y + p[name + ".bias"] if name + ".bias" in p else y

	def attention(self, layer, x):
		"""x[T, C] -> [T, C], causal, each key/value head serving H / G query heads."""
		c, p, name, rope = self.config, self.params, f"model.layers.{layer}.self_attn.", rope_of(self.config, layer)
		H, G, D, T = c["num_attention_heads"], c["num_key_value_heads"], head_dim(c), len(x)
		q = self.linear(layer, "self_attn.q_proj", x).view(T, H, D)
		k = self.linear(layer, "self_attn.k_proj", x).view(T, G, D)
		v = self.linear(layer, "self_attn.v_proj", x)
		if name + "q_norm.weight" in p:
			q, k = self.norm(name + "q_norm", q), self.norm(name + "k_norm", k)
		q, k = rotate(q, rope).reshape(T, H * D), rotate(k, rope).reshape(T, G * D)
		self.states.append((q, k, v))
		heads = []
		unseen = torch.ones(T, T, dtype=torch.bool).triu(1)
		if slides(c, layer):
			unseen |= torch.ones(T, T, dtype=torch.bool).tril(-c["sliding_window"])
		for h in range(H):
			g = h // (H // G)
			qh, kh, vh = q[:, h * D:(h + 1) * D], k[:, g * D:(g + 1) * D], v[:, g * D:(g + 1) * D]
			scores = (qh @ kh.T / math.sqrt(c.get("query_pre_attn_scalar", D))).masked_fill(unseen, -math.inf)
			heads.append(scores.softmax(-1) @ vh)
		return self.linear(layer, "self_attn.o_proj", torch.cat(heads, -1))

	def mlp(self, layer, x):
		act = ACTIVATION[self.config["hidden_activation" if gemma(self.config) else "hidden_act"]]
		return self.linear(layer, "mlp.down_proj", act(self.linear(layer, "mlp.gate_proj", x)) * self.linear(layer, "mlp.up_proj", x))

	def forward(self, ids):
		p, c = self.params, self.config
		self.states, self.margins = [], []
		embedding = p["model.embed_tokens.weight"]
		x = embedding[ids] * (c["hidden_size"] ** 0.5 if gemma(c) else 1)
		for i in range(c["num_hidden_layers"]):
			layer = f"model.layers.{i}."
			a = self.attention(i, self.norm(layer + "input_layernorm", x))
			if gemma(c):
				x = x + self.norm(layer + "post_attention_layernorm", a)
				m = self.mlp(i, self.norm(layer + "pre_feedforward_layernorm", x))
				x = x + self.norm(layer + "post_feedforward_layernorm", m)
			else:
				x = x + a
				x = x + self.mlp(i, self.norm(layer + "post_attention_layernorm", x))
		return self.norm("model.norm", x) @ p.get("lm_head.weight", embedding).T


# The losses. Each is a sum over the given rows.

def ce(z, y):
	"""-log softmax(z[P, V])[y[P]]"""
	return -log_softmax(z, -1).gather(-1, y[:, None]).sum()


def kl(log_t, log_p):
	"""KL(t || p) for rows of log-probabilities."""
	return (log_t.exp() * (log_t - log_p)).sum()


def ld(z, zt, tau, tau2):
	"""Logit distillation: KL of the softmax at temperature tau, times tau^2 if tau2."""
	return kl(log_softmax(zt / tau, -1), log_softmax(z / tau, -1)) * (tau * tau if tau2 else 1)


def truncate(zt, K):
	"""The output of a truncated teacher: its K largest logits, their ids, the log-sum-exp of the rest."""
	top, ids = zt.topk(K, -1)
	rest = zt.scatter(-1, ids, -math.inf).logsumexp(-1)
	return top, ids, rest


def ld_top(z, top, ids, rest, tau, tau2):
	"""ld over K + 1 classes, the last of which is all other tokens together."""
	z_top = z.gather(-1, ids)
	z_rest = z.scatter(-1, ids, -math.inf).logsumexp(-1)
	return ld(torch.cat((z_top, z_rest[:, None]), -1), torch.cat((top, rest[:, None]), -1), tau, tau2)


def cakld(z, zt, beta):
	"""Confidence-aware divergence: beta KL(p || t) + (1 - beta) KL(t || p)."""
	p, t = log_softmax(z, -1), log_softmax(zt, -1)
	return beta * kl(p, t) + (1 - beta) * kl(t, p)


def relation(s, A, cosine, temperature):
	"""Relations of the states s[n, width] of one sequence: A heads of log-probabilities [n, n], no causal mask."""
	u = s.view(len(s), A, -1).transpose(0, 1)
	if cosine:
		u = u / u.norm(dim=-1, keepdim=True).clamp(min=1e-12)
	else:
		temperature = temperature * math.sqrt(u.shape[-1])
	return (u @ u.transpose(1, 2) / temperature).softmax(-1).clamp(min=1e-8).log()


def ad(s, t, A, cosine, temperature):
	"""Attention-relation distillation of one kind of state, s[n, ws] from t[n, wt]."""
	return kl(relation(t, A, cosine, temperature), relation(s, A, cosine, temperature))
