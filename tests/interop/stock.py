#!/usr/bin/env python3
"""Runs files of `bd-pack --target stock` in unmodified llama.cpp from PyPI.

	python3 -m venv venv && venv/bin/pip install numpy safetensors xllamacpp     (or llama-cpp-python, which takes an hour to compile)
	make && venv/bin/python tests/interop/stock.py STUDENT TEXT...

STUDENT is a ternary directory for which --list-targets says that stock is possible. For every type that fits and each file TEXT,
llama.cpp must load the file and split the text into the same tokens. The L1 distance between its next-token probabilities and those of
bd-run must not exceed 0.06 in the mean over all positions, which is the effect of its different activation quantiser on a ternary model.
Along the greedy continuation of bd-run, each token must also be llama.cpp's choice, or lie within that distance of it. To be run by hand;
not part of the test suite."""
import json
import math
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[2]
MOST = 0.06
CONTINUE = 40


class Binding:
    """llama-cpp-python."""

    def __init__(self, path, vocab):
        import llama_cpp

        self.llama, self.name = llama_cpp.Llama(str(path), n_ctx=512, logits_all=True, verbose=False), f"llama-cpp-python {llama_cpp.__version__}"

    def tokens(self, text):
        return self.llama.tokenize(text.encode(), add_bos=True, special=False)

    def probabilities(self, ids):
        self.llama.reset()
        self.llama.eval(ids)
        z = np.array(self.llama.scores[: len(ids)], np.float64)
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)


class Server:
    """llama.cpp's own server inside xllamacpp."""

    def __init__(self, path, vocab):
        import xllamacpp

        p = xllamacpp.CommonParams()
        p.model.path, p.n_ctx, p.n_parallel, p.warmup, p.n_gpu_layers, p.port, p.verbosity = str(path), 512, 1, False, 0, 0, -1
        p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
        self.server, self.vocab, self.name = xllamacpp.Server(p), vocab, f"xllamacpp {xllamacpp.__version__}"

    def ask(self, what, body):
        request = urllib.request.Request(self.server.listening_address + what, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def tokens(self, text):
        return self.ask("/tokenize", {"content": text, "add_special": True, "parse_special": False})["tokens"]

    def probabilities(self, ids):
        p = np.zeros((len(ids), self.vocab))
        for i in range(len(ids)):
            answer = self.ask("/completion", {"prompt": ids[: i + 1], "n_predict": 1, "n_probs": self.vocab, "temperature": -1.0})
            for t in answer["completion_probabilities"][0]["top_logprobs"]:
                p[i, t["id"]] = math.exp(t["logprob"])
        return p


def runtime(path, vocab):
    try:
        return Binding(path, vocab)
    except ModuleNotFoundError:
        return Server(path, vocab)


def bd(*args, **kw):
    return subprocess.run([str(ROOT / "bin" / args[0]), "-q", *map(str, args[1:])], check=True, capture_output=True, **kw).stdout


def positions(model, text, work):
    """The tokens of the text, and bd-eval's probabilities after each of them."""
    bd("bd-data", "--text", "--tokenizer", model, "-o", work / "x.bds", input=(json.dumps({"text": text}) + "\n").encode())
    ids = json.loads(bd("bd-data", "-d", "--tokenizer", model, work / "x.bds"))["ids"]
    bd("bd-eval", "-t", 1, "--logits", work / "x.safetensors", model, work / "x.bds")
    z = load_file(work / "x.safetensors")["logits"].astype(np.float64)
    e = np.exp(z - z.max(1, keepdims=True))
    return ids, e / e.sum(1, keepdims=True)


def continuation(model, text):
    """The ids of the greedy continuation of the text."""
    answer = json.loads(bd("bd-run", "-g", "--json", "--logprobs", "0", "-n", CONTINUE, "-p", text, model))
    return [t["id"] for t in answer["logprobs"]]


def check(llama, path, text, work):
    ids, want = positions(path, text, work)
    if llama.tokens(text) != ids:
        sys.exit(f"stock.py: the tokens differ: {llama.tokens(text)} and {ids}")
    theirs = llama.probabilities(ids[:-1])
    l1 = np.abs(theirs - want).sum(1)
    more = continuation(path, " ".join(text.split()[:6]))
    head = positions(path, " ".join(text.split()[:6]), work)[0]
    p = llama.probabilities(head + more)[len(head) - 1 : -1]
    same = p.argmax(1) == more
    behind = p.max(1) - p[np.arange(len(more)), more]
    exact = positions(work / "dense", text, work)[1]
    return l1, same, behind, np.abs(theirs - exact).sum(1), np.abs(want - exact).sum(1)


def main():
    student, texts = Path(sys.argv[1]), [Path(p).read_text() for p in sys.argv[2:]]
    row = next(t for t in json.loads(bd("bd-pack", "--list-targets", "--json", student)) if t["target"] == "stock")
    if not row["possible"] or not texts:
        sys.exit(f"stock.py: {student}: {row.get('reason', 'no texts given')}")
    vocab, failed = json.loads((student / "config.json").read_text())["vocab_size"], False
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for kind in row["types"]:
            path = work / f"{kind}.gguf"
            bd("bd-pack", "--target", "stock", "--type", kind, "--embd", "f32", "-o", path, student)
            bd("bd-pack", "-d", "-f", path, "-o", work / "dense")
            llama = runtime(path, vocab)
            parts = [check(llama, path, text, work) for text in texts]
            l1, same, behind = (np.concatenate([p[i] for p in parts]) for i in range(3))
            far = [np.concatenate([p[i] for p in parts]).mean() for i in (3, 4)]
            good = l1.mean() <= MOST and behind.max() <= MOST
            failed |= not good
            print(f"{'ok' if good else 'FAILED'}  {llama.name}, {row['arch']}, {kind}: mean L1 {l1.mean():.4f}, maximum {l1.max():.4f}, over "
                  f"{len(l1)} positions; greedy: {same.sum()} of {len(same)} tokens the same, the others at most {behind.max():.4f} behind; distance from unrounded activations: llama.cpp {far[0]:.4f}, bd-run {far[1]:.4f}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
