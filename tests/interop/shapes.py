#!/usr/bin/env python3
"""Compares models with real shapes and random weights, one layer of each, in bd-eval and in unmodified transformers.

To be run by hand; not part of the test suite. Run pip install torch transformers tokenizers safetensors, build, then

	PATH=$PWD/bin:$PATH python tests/interop/shapes.py CONFIGS [WORD...]

CONFIGS is a folder of folders with a config.json each. For those whose name contains all the WORDs, bd-init makes a model with one layer,
whose gains and biases are then randomised too. Both sides run two texts in float32, one of them longer than gemma's window. The largest
difference between logits, relative to the largest logit, is printed and must be below LIMIT. A model with sliding attention is run a
second time with a full-attention layer. Configs that bd-init refuses are printed with the reason and do not count as failures. Needs disk
space and memory for two copies of the largest embedding.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import safetensors.torch
import tokenizers
import torch
import transformers

TOKENIZER = pathlib.Path(__file__).resolve().parent.parent / "golden" / "tok-bytes.json"
LIMIT = 1e-3
ROWS = ({"text": "The quick brown fox", "answer": " jumps over the lazy dog."},
        {"text": "".join(f"{i * i % 97} " for i in range(280)), "answer": " and so on"})
TEMPLATE = {"name": "shapes", "fields": ["text", "answer"], "prompt": "{text}", "answer": "{answer}"}


def stream(tmp):
	"""Writes ROWS as a stream, and returns them as (ids, number of ids in the answer)."""
	(tmp / "template.json").write_text(json.dumps(TEMPLATE))
	(tmp / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in ROWS))
	subprocess.run(["bd-data", "-q", "--eos", "0", "--template", tmp / "template.json", "--tokenizer", TOKENIZER, "-o", tmp / "rows.bds",
	                tmp / "rows.jsonl"], check=True)
	encode = lambda s: tokenizers.Tokenizer.from_file(str(TOKENIZER)).encode(s).ids
	pairs = [(encode(r["text"]), encode(r["answer"]) + [0]) for r in ROWS]
	return [(torch.tensor(prompt + answer), len(answer)) for prompt, answer in pairs]


def randomise(path, offset):
	"""Randomises gains and biases in place; the matrices stay those of bd-init."""
	size = int.from_bytes(path.open("rb").read(8), "little")
	header = json.loads(path.open("rb").read(8 + size)[8:])
	data, random = np.memmap(path, np.uint8, "r+", 8 + size), np.random.default_rng(1)
	for name, t in header.items():
		if len(t.get("shape", ())) == 1:
			begin, end = t["data_offsets"]
			x = random.normal(0, 0.2, t["shape"][0]) + (0 if offset or name.endswith("bias") else 1)
			data[begin:end] = np.frombuffer(x.astype(np.float32).tobytes(), np.uint8)
	data.flush()


def theirs(folder, texts):
	model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
	wrong = {k: v for k, v in info.items() if v and k in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")}
	if wrong:
		raise SystemExit(f"{folder}: {wrong}")
	with torch.no_grad():
		return type(model).__name__, torch.cat([model.eval()(i[None], logits_to_keep=n + 1).logits[0, :-1] for i, n in texts])


def one_layer(config, slides):
	config = config | {"num_hidden_layers": 1}
	if "layer_types" in config or not slides:
		config["layer_types"] = ["sliding_attention" if slides else "full_attention"]
	return config


def run(name, config, tmp, texts):
	folder, logits = tmp / "model", tmp / "logits"
	(tmp / "config.json").write_text(json.dumps(config))
	made = subprocess.run(["bd-init", "-q", "--tokenizer", TOKENIZER, "-f", tmp / "config.json", "-o", folder], capture_output=True, text=True)
	if made.returncode:
		print(f"{name:36} refused: {made.stderr.strip().split(': ', 2)[-1]}", flush=True)
		return 0
	randomise(folder / "model.safetensors", config["model_type"] == "gemma3_text")
	subprocess.run(["bd-eval", "-q", folder, "--logits", logits, tmp / "rows.bds"], check=True, stdout=subprocess.DEVNULL)
	got = safetensors.torch.load_file(logits)["logits"]
	cls, want = theirs(folder, texts)
	shutil.rmtree(folder)
	difference = ((got - want).abs().max() / want.abs().max()).item()
	good = got.isfinite().all() and got.shape == want.shape and difference <= LIMIT
	print(f"{name:36} {cls:24} {len(got)} x {got.shape[1]} logits, {difference:.1e}  {'ok' if good else 'DIFFERS'}", flush=True)
	return not good


def main():
	transformers.utils.logging.disable_progress_bar()
	transformers.utils.logging.set_verbosity_error()
	bad = 0
	with tempfile.TemporaryDirectory() as tmp:
		texts = stream(pathlib.Path(tmp))
		for path in sorted(pathlib.Path(sys.argv[1]).glob("*/config.json")):
			name, config = path.parent.name, json.loads(path.read_text())
			if all(w in name for w in sys.argv[2:]):
				bad += run(name, one_layer(config, True), pathlib.Path(tmp), texts)
				if config["model_type"] == "gemma3_text":
					bad += run(name + ", not sliding", one_layer(config, False), pathlib.Path(tmp), texts)
	sys.exit(bad > 0)


main()
