"""The ternary student and its losses in plain PyTorch: what lib/ is compared with.

Written from the papers (arXiv 2510.13998, 2402.17764, 2402.10631, 2012.15828), to be read beside them and not to be fast: one sequence at
a time, gradients by autograd, any float type.  Names of parameters are those of the checkpoint.

T tokens, C hidden size, H query heads, G key/value heads, D head size, F ffn size, V vocabulary, P target positions.
"""
import math

import torch
from torch.nn.functional import log_softmax, silu

QEPS = 1e-5


def straight_through(x, quantised):
	"""The value of `quantised`, the gradient of the identity."""
	return x + (quantised - x).detach()


def ternary(w):
	"""What = D C, D = max(mean |W|, eps), C = clip(round(W / D), -1, 1)."""
	d = w.abs().mean().clamp(min=QEPS)
	return straight_through(w, d * (w / d).round().clamp(-1, 1))


def int8(x, margins=None):
	"""xhat = a q / 127 by token, a = max(max |x|, eps), q = round(127 x / a).  margins: gets the least distance to a rounding boundary."""
	a = x.abs().amax(-1, keepdim=True).clamp(min=QEPS)
	y = x * (127 / a)
	if margins is not None:
		margins.append(((y - y.floor()) - 0.5).abs().min().item())
	return straight_through(x, y.round().clamp(-128, 127) * (a / 127))


def rms_norm(x, gain, eps):
	return gain * (x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps))


def inverse_frequencies(config):
	rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
	theta = rope.get("rope_theta", config.get("rope_theta", 10000.0))
	d = config["head_dim"]
	f = theta ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)
	kind = rope.get("rope_type", "default")
	if kind == "linear":
		return f / rope["factor"]
	if kind == "llama3":
		turns = rope["original_max_position_embeddings"] * f / (2 * math.pi)
		low, high = rope["low_freq_factor"], rope["high_freq_factor"]
		smooth = ((turns - low) / (high - low)).clamp(0, 1)
		return (1 - smooth) * f / rope["factor"] + smooth * f
	assert kind == "default"
	return f


def rotate(x, config):
	"""Rotary embedding of x[T, heads, D]: pairs (i, i + D/2)."""
	angle = torch.outer(torch.arange(len(x), dtype=torch.float64), inverse_frequencies(config))[:, None, :]
	cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
	a, b = x.chunk(2, -1)
	return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Model:
	"""forward() gives logits[T, V]; states holds each layer's (q[T, H D], k[T, G D], v[T, G D]) as they enter attention."""

	def __init__(self, config, params):
		self.config, self.params = config, params
		self.ternary = config.get("bitdistill", {}).get("weights") == "ternary"
		self.eps = config["rms_norm_eps"]
		self.states, self.margins = [], []

	def linear(self, name, x):
		p = self.params
		if name + ".norm.weight" in p:
			x = rms_norm(x, p[name + ".norm.weight"], self.eps)
		w = p[name + ".weight"]
		if self.ternary:
			x, w = int8(x, self.margins), ternary(w)
		y = x @ w.T
		return y + p[name + ".bias"] if name + ".bias" in p else y

	def attention(self, layer, x):
		"""x[T, C] -> [T, C], causal, each key/value head serving H / G query heads."""
		c, p, name = self.config, self.params, f"model.layers.{layer}.self_attn."
		H, G, D, T = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"], len(x)
		q = self.linear(name + "q_proj", x).view(T, H, D)
		k = self.linear(name + "k_proj", x).view(T, G, D)
		v = self.linear(name + "v_proj", x)
		if name + "q_norm.weight" in p:
			q = rms_norm(q, p[name + "q_norm.weight"], self.eps)
			k = rms_norm(k, p[name + "k_norm.weight"], self.eps)
		q, k = rotate(q, c).reshape(T, H * D), rotate(k, c).reshape(T, G * D)
		self.states.append((q, k, v))
		heads = []
		future = torch.ones(T, T, dtype=torch.bool).triu(1)
		for h in range(H):
			g = h // (H // G)
			qh, kh, vh = q[:, h * D:(h + 1) * D], k[:, g * D:(g + 1) * D], v[:, g * D:(g + 1) * D]
			scores = (qh @ kh.T / math.sqrt(D)).masked_fill(future, -math.inf)
			heads.append(scores.softmax(-1) @ vh)
		return self.linear(name + "o_proj", torch.cat(heads, -1))

	def mlp(self, layer, x):
		name = f"model.layers.{layer}.mlp."
		return self.linear(name + "down_proj", silu(self.linear(name + "gate_proj", x)) * self.linear(name + "up_proj", x))

	def forward(self, ids):
		p = self.params
		self.states, self.margins = [], []
		embedding = p["model.embed_tokens.weight"]
		x = embedding[ids]
		for i in range(self.config["num_hidden_layers"]):
			layer = f"model.layers.{i}."
			x = x + self.attention(i, rms_norm(x, p[layer + "input_layernorm.weight"], self.eps))
			x = x + self.mlp(i, rms_norm(x, p[layer + "post_attention_layernorm.weight"], self.eps))
		h = rms_norm(x, p["model.norm.weight"], self.eps)
		return h @ p.get("lm_head.weight", embedding).T


# The losses. Each is the sum over the rows it is given.

def ce(z, y):
	"""-log softmax(z[P, V])[y[P]]"""
	return -log_softmax(z, -1).gather(-1, y[:, None]).sum()


def kl(log_t, log_p):
	"""KL(t || p) of rows of log-probabilities."""
	return (log_t.exp() * (log_t - log_p)).sum()


def ld(z, zt, tau, tau2):
	"""Logit distillation: KL of the softmax at temperature tau, times tau^2 if tau2."""
	return kl(log_softmax(zt / tau, -1), log_softmax(z / tau, -1)) * (tau * tau if tau2 else 1)


def truncate(zt, K):
	"""What a truncated teacher keeps: its K largest logits, their ids, the log-sum-exp of the rest."""
	top, ids = zt.topk(K, -1)
	rest = zt.scatter(-1, ids, -math.inf).logsumexp(-1)
	return top, ids, rest


def ld_top(z, top, ids, rest, tau, tau2):
	"""ld over K + 1 classes, the last one being all the others together."""
	z_top = z.gather(-1, ids)
	z_rest = z.scatter(-1, ids, -math.inf).logsumexp(-1)
	return ld(torch.cat((z_top, z_rest[:, None]), -1), torch.cat((top, rest[:, None]), -1), tau, tau2)


def cakld(z, zt, beta):
	"""Confidence-aware: beta KL(p || t) + (1 - beta) KL(t || p)."""
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
