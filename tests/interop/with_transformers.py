#!/usr/bin/env python3
"""Checks that unmodified transformers loads the output of bd-pack --target hf and agrees with bd-eval in every logit.

To be run by hand; not part of the test suite. Run pip install torch transformers accelerate tokenizers safetensors, build, then

	PATH=$PWD/bin:$PATH python tests/interop/with_transformers.py [WORD...]

For every model whose name contains all the WORDs: transformers makes a small random one of its family and saves it, bd-subln turns it into
a student (whose new gains are randomised here), bd-pack writes the student for transformers as masters and packed, and both sides run the
same texts in float32. The largest difference between logits in a text, relative to the largest logit, is printed for `all` texts and for
`most`, the three quarters that agree best. int8 activations are discontinuous: one that lies within float error of a rounding boundary
may get different codes on the two sides, which changes the logits at its position, and slightly at later ones, by fractions of a percent.
So `most` must be within float error, while `all` may include one such code.

In the other direction, bd-eval runs models that transformers made in BitNet's own layout, as masters and packed.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # the arithmetic is the same compiled or not, and compiling takes minutes
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import safetensors.torch
import tokenizers
import torch
import transformers

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
TEXTS = ("The quick brown fox", "jumps over the lazy dog.", "1, 2, 3; 44 and 555", "What is it? It is late!", "a b c d e f g h i",
         "Never mind the rest", "[x] -> (y) = {z}", "one more, for luck")
MOST, ALL = 1e-5, 2e-2

TINY = {"hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 136, "vocab_size": 384,
        "num_hidden_layers": 2, "max_position_embeddings": 256, "rope_theta": 10000.0, "tie_word_embeddings": True, "bos_token_id": None,
        "eos_token_id": 0, "pad_token_id": None}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
WIDE = {"head_dim": 24}  # H D != C
FAMILIES = {
	"llama": ("llama", {}),
	"llama-untied-llama3": ("llama", {"tie_word_embeddings": False, "rope_scaling": LLAMA3}),
	"llama-yarn": ("llama", {"rope_scaling": YARN}),
	"llama-biased": ("llama", {"attention_bias": True, "mlp_bias": True}),
	"llama-wide": ("llama", WIDE),
	"qwen2": ("qwen2", {}),
	"qwen2-sliding": ("qwen2", {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}),
	"qwen3": ("qwen3", WIDE),
	"gemma3": ("gemma3_text", {"head_dim": 24, "query_pre_attn_scalar": 20, "sliding_window": 16, "num_hidden_layers": 3,
	                           "sliding_window_pattern": 2}),
}
NORMS = ("subln", "none", "all")
FORMS = ("online", "offline")


def bd(*args):
	return subprocess.run([str(a) for a in args], check=True, stdout=subprocess.PIPE).stdout


def randomise(tensors, offset):
	"""Makes matrices far from the initial 0.02, gains other than 1, biases other than 0."""
	for name, x in tensors.items():
		if name.endswith("bias"):
			x.normal_(0, 0.3)
		elif "norm" in name:
			x.normal_(0 if offset and not name.endswith("proj.norm.weight") and "sub_norm" not in name else 1, 0.2)
		elif "embed" in name or "lm_head" in name:
			x.normal_(0, 1)
		else:
			x.normal_(0, x.shape[1] ** -0.5)


def change(folder, fn):
	path = folder / "model.safetensors"
	tensors = safetensors.torch.load_file(path)
	fn(tensors)
	safetensors.torch.save_file(tensors, path, {"format": "pt"})


def make(folder, model_type, options):
	"""Makes a random model as transformers writes it."""
	config = transformers.AutoConfig.for_model(model_type, **(TINY | options))
	model = transformers.AutoModelForCausalLM.from_config(config)
	with torch.no_grad():
		randomise(dict(model.named_parameters()), model_type == "gemma3_text")
	model.save_pretrained(folder)
	shutil.copy(GOLDEN / "tok-bytes.json", folder / "tokenizer.json")


def ours(folder, run):
	"""The logits of every text at every position but the last."""
	bd("bd-eval", "-q", folder, "--logits", folder.with_suffix(".logits"), run.stream)
	logits = safetensors.torch.load_file(folder.with_suffix(".logits"))["logits"]
	return logits.split([len(ids) - 1 for ids in run.ids])


def theirs(folder, run):
	model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
	wrong = {k: v for k, v in info.items() if v and k in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")}
	if wrong:
		raise SystemExit(f"{folder}: {wrong}")
	with torch.no_grad():
		return type(model).__name__, [model.eval()(ids[None]).logits[0, :-1] for ids in run.ids]


def compare(name, got, want):
	"""Prints one line of the table; returns whether the result is good."""
	largest = max(w.abs().max() for w in want)
	d = sorted(((g - w).abs().max() / largest).item() for g, w in zip(got, want))
	most, worst = d[3 * len(d) // 4 - 1], d[-1]
	good = most <= MOST and worst <= ALL
	print(f"{name:64} {most:8.1e} {worst:8.1e}  {'ok' if good else 'DIFFERS'}", flush=True)
	return good


class Run:
	"""The texts as a stream for bd-eval and as ids."""
	def __init__(self, tmp):
		tokenizer = GOLDEN / "tok-bytes.json"
		(tmp / "text.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
		self.tmp, self.stream = tmp, tmp / "text.bds"
		bd("bd-data", "-q", "--text", "--tokenizer", tokenizer, "-o", self.stream, tmp / "text.jsonl")
		self.ids = [torch.tensor(tokenizers.Tokenizer.from_file(str(tokenizer)).encode(t).ids) for t in TEXTS]


def students(words, run):
	bad = 0
	for family, (model_type, options) in FAMILIES.items():
		for norms in NORMS:
			names = [f"{family} {norms} {form}" for form in FORMS]
			names = [n for n in names if all(w in n for w in words)]
			if not names:
				continue
			base, student = run.tmp / f"{family}-{norms}-base", run.tmp / f"{family}-{norms}"
			make(base, model_type, options)
			bd("bd-subln", "-q", base, "--norms", norms, "-o", student)
			change(student, lambda t: randomise({k: v for k, v in t.items() if ".norm.weight" in k and k != "model.norm.weight"}, False))
			want = ours(student, run)
			for name in names:
				out = run.tmp / name.replace(" ", "-")
				bd("bd-pack", "-q", "--target", "hf", "--type", name.split()[-1], student, "-o", out)
				cls, got = theirs(out, run)
				bad += not compare(f"{name}: {cls}", got, want)
				bad += not compare(f"{name}: read back by bd-eval", ours(out, run), want)
	return bad


def pack(tensors):
	"""Microsoft's layout of bitnet-b1.58-2B-4T: uint8 codes by transformers' own packer, weight_scale = mean |W|."""
	for name in [n for n in tensors if n.endswith("proj.weight")]:
		w = tensors[name]
		scale = w.abs().mean().clamp(min=1e-5)
		tensors[name] = transformers.integrations.bitnet.pack_weights((w / scale).round().clamp(-1, 1))
		tensors[name.replace(".weight", ".weight_scale")] = scale.reshape(1)


def bitnets(words, run):
	bad = 0
	for form in FORMS:
		name = f"bitnet relu2 {form}"
		if not all(w in name for w in words):
			continue
		folder = run.tmp / name.replace(" ", "-")
		make(folder, "bitnet", {})
		config = json.loads((folder / "config.json").read_text())
		config["quantization_config"] = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": form}
		(folder / "config.json").write_text(json.dumps(config))
		if form == "offline":
			change(folder, pack)
		cls, got = theirs(folder, run)
		bad += not compare(f"{name}: {cls}, made by transformers", got, ours(folder, run))
	return bad


def main():
	words = sys.argv[1:]
	torch.manual_seed(1)
	transformers.utils.logging.disable_progress_bar()
	transformers.utils.logging.set_verbosity_error()
	print(f"transformers {transformers.__version__}, torch {torch.__version__}\n{'':64} {'most':>8} {'all':>8}")
	with tempfile.TemporaryDirectory() as tmp:
		run = Run(pathlib.Path(tmp))
		bad = students(words, run) + bitnets(words, run)
	sys.exit(bad > 0)


main()
