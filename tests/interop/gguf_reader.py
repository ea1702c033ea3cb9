#!/usr/bin/env python3
"""Compares a GGUF file written by bd-pack, byte by byte, with the student it was made from.

	python3 -m venv venv && venv/bin/pip install numpy
	bd-pack student --target bitnet.cpp -o student.gguf
	venv/bin/python tests/interop/gguf_reader.py student.gguf student

Written only from the published layouts and sharing nothing with the suite's own reader. Checks that the container is as strict as ggml
requires, that it has exactly the tensors that the architecture's loader asks for, that the codes and scales of every matrix follow from
the masters, and that the norms are folded as they should be. To be run by hand; not part of the test suite."""
import json
import struct
import sys
from pathlib import Path

import numpy as np

F32, F16, Q4_0, Q8_0, Q6_K, TQ1_0, TQ2_0, I2_S, Q2_0, IQ1_BN, IQ2_BN = 0, 1, 2, 8, 14, 34, 35, 36, 42, 134, 135
# type: weights per block, bytes per block, bytes before each row, bytes after the tensor
BLOCKS = {F32: (1, 4, 0, 0), F16: (1, 2, 0, 0), Q4_0: (32, 18, 0, 0), Q8_0: (32, 34, 0, 0), Q6_K: (256, 210, 0, 0), TQ1_0: (256, 54, 0, 0),
          TQ2_0: (256, 66, 0, 0), I2_S: (128, 32, 0, 32), Q2_0: (64, 18, 0, 0), IQ1_BN: (64, 13, 2, 0), IQ2_BN: (64, 16, 4, 0)}
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def need(ok, what):
    if not ok:
        sys.exit(f"gguf_reader: {what}")


class Gguf:
    """Keys, and tensors as (shape with the slowest dimension first, type, bytes)."""

    def __init__(self, path):
        self.data, self.at = Path(path).read_bytes(), 0
        need(self.take(4) == b"GGUF" and self.scalar("I") == 3, "no GGUF of version 3")
        n_tensors, n_keys = self.scalar("Q"), self.scalar("Q")
        self.keys = {}
        for _ in range(n_keys):
            key = self.text()
            need(key and key not in self.keys, f"key {key!r} is empty or there twice")
            self.keys[key] = self.value(self.scalar("I"))
        need(self.keys.get("general.alignment", 32) == 32, "alignment other than 32")
        infos = [self.info() for _ in range(n_tensors)]
        need(len({i[0] for i in infos}) == n_tensors, "duplicate tensor name")
        self.pad()
        base, end = self.at, 0
        self.tensors = {}
        for name, shape, kind, offset in infos:
            block, size, front, tail = BLOCKS[kind]
            need(shape[-1] % block == 0, f"{name}: rows of {shape[-1]} in blocks of {block}")
            n = int(np.prod(shape[:-1])) * (front + shape[-1] // block * size) + tail
            need(offset == end, f"{name}: offset {offset}, the tensors before it end at {end}")
            need(base + offset + n <= len(self.data), f"{name}: behind the end of the file")
            self.tensors[name] = (shape, kind, np.frombuffer(self.data, np.uint8, n, base + offset))
            end = (offset + n + 31) // 32 * 32
        need(base + end == len(self.data), f"{len(self.data) - base - end} bytes behind the last tensor")

    def take(self, n):
        need(self.at + n <= len(self.data), "the file is cut")
        self.at += n
        return self.data[self.at - n : self.at]

    def scalar(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def text(self):
        return self.take(self.scalar("Q")).decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind != 9:
            return self.scalar(SCALARS[kind])
        kind, n = self.scalar("I"), self.scalar("Q")
        need(kind != 9, "an array of arrays")
        return [self.value(kind) for _ in range(n)]

    def info(self):
        name = self.text()
        need(0 < len(name.encode()) < 64, f"name {name!r}: 1 to 63 bytes are allowed")
        dims = [self.scalar("Q") for _ in range(self.scalar("I"))]
        return name, dims[::-1], self.scalar("I"), self.scalar("Q")

    def pad(self):
        need(not any(self.take(-self.at % 32)), "padding is not zero")


def trits(b, n):
    """Trits 0 .. n-1 of bytes ceil(256 v / 243), most significant first: [n, len(b)]."""
    return np.stack([((b.astype(np.uint32) * 3**i & 255) * 3) >> 8 for i in range(n)]).astype(np.uint8)


def fields(b, order=(0, 2, 4, 6)):
    return np.stack([b >> s & 3 for s in order])


def codes(shape, kind, raw):
    """Codes 0, 1, 2 [rows, cols], and the scale [rows, 1] stored in the blocks."""
    rows, cols = shape
    block, size, front, tail = BLOCKS[kind]
    body = raw[: len(raw) - tail].reshape(rows, -1)
    blocks = body[:, front:].reshape(-1, size)
    if kind == I2_S:
        c = fields(blocks, (6, 4, 2, 0))  # [4, n, 32]
        need(not raw[-28:].any(), "I2_S: bytes after the scale are not zero")
        return c.transpose(1, 0, 2).reshape(rows, cols), np.full((rows, 1), raw[-32:-28].view("<f4")[0])
    if kind == IQ2_BN:
        return fields(blocks).transpose(1, 0, 2).reshape(rows, cols), body[:, :4].copy().view("<f4")
    if kind == IQ1_BN:
        c = np.empty((len(blocks), 64), np.uint8)
        for i in range(4):
            for k in range(3):
                c[:, 16 * i + 5 * k : 16 * i + 5 * k + 5] = trits(blocks[:, 3 * i + k], 5)[::-1].T  # least significant first
            c[:, 16 * i + 15] = trits(blocks[:, 12], 5)[4 - i]
        return c.reshape(rows, cols), body[:, :2].copy().view("<f2").astype(np.float32)
    if kind == Q2_0:
        c, d = fields(blocks[:, 2:]).transpose(1, 2, 0), blocks[:, :2]
    elif kind == TQ2_0:
        c, d = fields(blocks[:, :64].reshape(-1, 2, 32)).transpose(1, 2, 0, 3), blocks[:, 64:]
    else:
        need(kind == TQ1_0, f"type {kind} is not ternary")
        parts = [trits(blocks[:, a:b], n).transpose(1, 0, 2).reshape(len(blocks), -1) for a, b, n in ((0, 32, 5), (32, 48, 5), (48, 52, 4))]
        c, d = np.concatenate(parts, 1), blocks[:, 52:]
    d = d.copy().view("<f2").astype(np.float32).reshape(rows, -1)
    need((d == d[:, :1]).all(), "the blocks of a row have different scales")
    return c.reshape(rows, cols), d[:, :1]


def safetensors(folder):
    out = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        data = path.read_bytes()
        n = struct.unpack("<Q", data[:8])[0]
        for name, t in json.loads(data[8 : 8 + n]).items():
            if name == "__metadata__":
                continue
            raw = data[8 + n + t["data_offsets"][0] : 8 + n + t["data_offsets"][1]]
            if t["dtype"] == "BF16":
                x = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
            else:
                x = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[t["dtype"]]).astype(np.float32)
            out[name] = x.reshape(t["shape"])
    return out


LINEARS = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
           "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


class Student:
    """The expected contents of the file, from the directory."""

    def __init__(self, folder):
        self.w, self.cfg = safetensors(folder), json.loads((Path(folder) / "config.json").read_text())
        self.gemma = self.cfg["model_type"] == "gemma3_text"
        self.norms = self.cfg.get("bitdistill", {}).get("norms", "none")

    def gain(self, name):
        return self.w[name] + (1 if self.gemma and ".norm." not in name else 0)

    def vectors(self, arch):
        """Expected float vectors by GGUF name."""
        out = {"output_norm.weight": self.gain("model.norm.weight")}
        qk, ffn = "self_attn.q_norm.weight", "post_attention_layernorm.weight"
        for i in range(self.cfg["num_hidden_layers"]):
            b, m = f"blk.{i}.", f"model.layers.{i}."
            out[b + "attn_norm.weight"] = self.gain(m + "input_layernorm.weight")
            if m + qk in self.w:
                out[b + "attn_q_norm.weight"] = self.gain(m + qk)
                out[b + "attn_k_norm.weight"] = self.gain(m + "self_attn.k_norm.weight")
            if self.gemma:
                out[b + "post_attention_norm.weight"] = self.gain(m + ffn)
                out[b + "post_ffw_norm.weight"] = self.gain(m + "post_feedforward_layernorm.weight")
                ffn_gain = self.gain(m + "pre_feedforward_layernorm.weight")
            else:
                ffn_gain = self.gain(m + ffn)
            out[b + "ffn_norm.weight"] = ffn_gain
            for g, h in LINEARS.items():
                if m + h + ".norm.weight" in self.w:
                    out[b + g + "_norm_in.weight"] = self.w[m + h + ".norm.weight"]
                if m + h + ".bias" in self.w:
                    out[b + g + ".bias"] = self.w[m + h + ".bias"]
            if arch == "bitnet":  # it has two of them, under its own names
                out[b + "attn_sub_norm.weight"] = out.pop(b + "attn_output_norm_in.weight")
                out[b + "ffn_sub_norm.weight"] = out.pop(b + "ffn_down_norm_in.weight")
            elif arch == "qwen3" and self.norms == "subln":  # the graph uses the norm of down only if gate has one
                out[b + "ffn_norm.weight"] = np.ones_like(ffn_gain)
                out[b + "ffn_gate_norm_in.weight"] = out[b + "ffn_up_norm_in.weight"] = ffn_gain
        return out

    def linear(self, name, arch):
        """Codes and D of a matrix such as "blk.0.attn_q.weight"."""
        _, i, part, _ = name.split(".")
        w = self.w[f"model.layers.{i}.{LINEARS[part]}.weight"]
        if arch == "llama" and part in ("attn_q", "attn_k"):  # rope rotates neighbouring elements
            d = self.cfg.get("head_dim") or self.cfg["hidden_size"] // self.cfg["num_attention_heads"]
            w = w.reshape(-1, 2, d // 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
        scale = np.float32(max(np.abs(w.astype(np.float64)).mean(), 1e-5))
        return np.clip(np.rint(w * (np.float32(1) / scale)), -1, 1).astype(np.int8), scale


def check_keys(g, s):
    arch, c = g.keys["general.architecture"], s.cfg
    dim = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    want = {"embedding_length": c["hidden_size"], "block_count": c["num_hidden_layers"], "feed_forward_length": c["intermediate_size"],
            "attention.head_count": c["num_attention_heads"], "attention.head_count_kv": c["num_key_value_heads"],
            "attention.key_length": dim, "attention.value_length": dim, "rope.dimension_count": dim, "vocab_size": c["vocab_size"],
            "context_length": c["max_position_embeddings"]}
    for key, value in want.items():
        need(g.keys.get(f"{arch}.{key}") == value, f"{arch}.{key} is {g.keys.get(f'{arch}.{key}')}, the config has {value}")
    for key, value in (("attention.layer_norm_rms_epsilon", c["rms_norm_eps"]), ("rope.freq_base", c.get("rope_theta", 1e6))):
        need(np.float32(g.keys[f"{arch}.{key}"]) == np.float32(value), f"{arch}.{key} is {g.keys[f'{arch}.{key}']}")
    need(f"{arch}.hidden_activation" not in g.keys, "hidden_activation would choose another graph")
    if "tokenizer.ggml.tokens" in g.keys:
        for key in ("tokens", "token_type"):
            need(len(g.keys[f"tokenizer.ggml.{key}"]) == c["vocab_size"], f"tokenizer.ggml.{key}: not one for each id")
        need("tokenizer.ggml.pre" in g.keys, "tokenizer.ggml.pre is missing")


def main():
    need(len(sys.argv) == 3, "usage: gguf_reader.py FILE.gguf STUDENT")
    g, s = Gguf(sys.argv[1]), Student(sys.argv[2])
    arch = g.keys["general.architecture"]
    check_keys(g, s)
    left = dict(g.tensors)
    for name, want in s.vectors(arch).items():
        shape, kind, raw = left.pop(name, (None, None, None))
        need(kind == F32 and shape == list(want.shape), f"{name}: missing, or not F32 of {list(want.shape)}")
        if arch == "llama" and name.endswith(("attn_q.bias", "attn_k.bias")):
            d = g.keys["llama.attention.key_length"]
            want = want.reshape(-1, 2, d // 2).swapaxes(1, 2).reshape(-1)
        need((raw.view("<f4") == want).all(), f"{name}: other values")
    matrices = 0
    for i in range(s.cfg["num_hidden_layers"]):
        for part in LINEARS:
            name = f"blk.{i}.{part}.weight"
            shape, kind, raw = left.pop(name)
            want, scale = s.linear(name, arch)
            need(shape == list(want.shape), f"{name}: {shape}")
            got, d = codes(shape, kind, raw)
            need((got < 3).all() and (got.astype(np.int8) - 1 == want).all(), f"{name}: other codes")
            if f"blk.{i}.{part}.scale" in left:
                need((d == 1).all(), f"{name}: block scales beside .scale")
                d = left.pop(f"blk.{i}.{part}.scale")[2].view("<f4")
            exact = scale if kind != IQ1_BN or arch.startswith("bd-") else np.float32(np.float16(scale))
            need((np.abs(d / exact - 1) <= 2.0**-23).all(), f"{name}: scale {d.flat[0]}, not {exact}")  # sums of doubles, one rounding
            matrices += 1
    table = left.pop("token_embd.weight")
    need(table[0] == [s.cfg["vocab_size"], s.cfg["hidden_size"]], "token_embd.weight: another shape")
    if not s.cfg.get("tie_word_embeddings", s.gemma):
        left.pop("output.weight")
    left.pop("rope_freqs.weight", None)
    need(not left, f"tensors that architecture {arch} does not ask for: {sorted(left)}")
    print(f"{sys.argv[1]}: architecture {arch}, {len(g.tensors)} tensors, {matrices} ternary matrices: all as the student has them")


if __name__ == "__main__":
    main()
