"""Compares the tokenizers of this project with `tokenizers` from PyPI: ids and decoded text of random strings, real text, broken bytes.

	pip install tokenizers==0.23.3 transformers sentencepiece
	make && BD_DATA=dir python tests/interop/tokens.py [--strings 100000] [--text 10000000] [--san] [NAME...]

BD_DATA: a folder with tokenizers/*/tokenizer.json, models/*/tokenizer.json and corpus/*.jsonl.zst. Also tested are Llama-2's
SentencePiece model, converted as transformers does, and a tokenizer with the shape and size of Gemma's: the pieces of Qwen and Llama-3 in
Gemma's pipeline. A NAME may be the path of a tokenizer.json, such as that of an unpacked file of bd-pack --vocab-from. Prints the number of
differences; the exit status is 1 if there are any.
"""

import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata
from itertools import islice
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BD_DATA", "/nonexistent"))
MARK = "\u2581"

# ---- tokenizers made here ----


def merges_of(score):
    """Every way to compose a piece from two others, the best pieces first (generate_merges of transformers)."""
    rank = {p: i for i, p in enumerate(score)}
    ways = []
    for piece, s in score.items():
        local = [(piece[:i], piece[i:]) for i in range(1, len(piece)) if piece[:i] in rank and piece[i:] in rank]
        ways += [(s, len(a), len(b), a, b) for a, b in sorted(local, key=lambda w: (rank[w[0]], rank[w[1]]))]
    ways.sort(key=lambda w: w[:3], reverse=True)
    return [w[3:] for w in ways]


def pieces_tokenizer(vocab, merges, added, bos, prefix):
    """vocab: pieces in the order of their ids. prefix: put a space before the text, as in Llama-2."""
    ids = {p: i for i, p in enumerate(vocab)}
    t = Tokenizer(models.BPE(ids, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    undo = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefix:
        t.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
        undo.append(decoders.Strip(" ", 1, 0))
    else:
        t.normalizer = normalizers.Replace(" ", MARK)
        t.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    t.decoder = decoders.Sequence(undo)
    t.post_processor = processors.TemplateProcessing(f"{bos} $A", f"{bos} $A {bos}:1 $B:1", [(bos, ids[bos])])
    t.add_tokens([AddedToken(p, normalized=False, special=special) for p, special in added])
    return t


def llama2():
    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor(str(DATA / "tokenizers/llama2/tokenizer.model"))
    score = {sp.id_to_piece(i): sp.get_score(i) for i in range(sp.vocab_size())}
    return pieces_tokenizer(list(score), merges_of(score), [(c, True) for c in ("<unk>", "<s>", "</s>")], "<s>", True)


def byte_of():
    """The byte that each of GPT-2's printable stand-ins represents."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in keep]
    return {chr(b) if b in keep else chr(256 + other.index(b)): b for b in range(256)}


def gemma():
    """Gemma's layout: special and unused tokens, runs of newlines and of spaces, tags, bytes with a tab in place of <0x09>, pieces."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
    plain = ["[multimodal]", *(f"<unused{i}>" for i in range(99)), *("\n" * n for n in range(1, 32)), *(MARK * n for n in range(2, 32)),
             *(f"<{t}>" for t in "table caption thead tbody tfoot tr th td h1 h2 h3 blockquote /table /td h6".split())]
    codes = ["\t" if b == 9 else "<0x%02X>" % b for b in range(256)]
    stand_in, pieces = byte_of(), {}
    for name in ("qwen2.5", "llama3.2"):
        vocab = json.loads((DATA / f"tokenizers/{name}/tokenizer.json").read_text())["model"]["vocab"]
        for piece in sorted(vocab, key=vocab.get):
            try:
                text = bytes(stand_in[c] for c in piece).decode().replace(" ", MARK)
            except UnicodeDecodeError:
                continue
            digits = sum(c.isdigit() for c in text)
            if digits < 2 and "\0" not in text and MARK not in text.lstrip(MARK) and len(pieces) < 261000:
                pieces[text] = -len(pieces)
    vocab = list(dict.fromkeys([*special, *plain, *codes, *pieces]))
    # A piece may begin with a run of newlines or spaces, which are tokens as well
    score = {p: pieces.get(p, 0) for p in vocab if p not in special}
    merges = merges_of({p: s for p, s in score.items() if p not in plain or set(p) <= {"\n", MARK}})
    return pieces_tokenizer(vocab, merges, [(p, True) for p in special] + [(p, False) for p in plain], "<bos>", False)


def flags():
    """Every flag of added tokens, on top of a real vocabulary."""
    t = Tokenizer.from_file(str(DATA / "tokenizers/english-8k/tokenizer.json"))
    for i, text in enumerate(("<l>", "<r>", "<both>", "word", "\u0301", "e\u0301", "<w>", "\n\n", " x", "<l><r>", "rd")):
        t.add_tokens([AddedToken(text, lstrip="<l>" in text or "both" in text, rstrip="<r>" in text or "both" in text,
                                 single_word=text in ("word", "<w>", "rd"), normalized=i % 2 == 1, special=i % 3 == 0)])
    t.post_processor = processors.TemplateProcessing("<|endoftext|> <l> $A <|im_start|>", None,
                                                     [(s, t.token_to_id(s)) for s in ("<|endoftext|>", "<l>", "<|im_start|>")])
    return t


MADE = {"llama2": llama2, "gemma-shaped": gemma, "flags": flags}

# ---- texts ----

SPACES = [chr(c) for c in (9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0x180E, 0x200B, 0xFEFF)]
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
MARKS = [chr(c) for c in CODES if unicodedata.combining(chr(c))]
DIGITS = [chr(c) for c in CODES if unicodedata.category(chr(c)).startswith("N")]
CONTROLS = [chr(c) for c in (*range(32), *range(127, 160), 0xAD, 0x200C, 0x200D, 0x200E, 0x202E, 0x2066)]
COMPOSED = [chr(c) for c in CODES if unicodedata.decomposition(chr(c)) and not unicodedata.decomposition(chr(c)).startswith("<")]
EMOJI = ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f44d\U0001f3fd", "\u2764\ufe0f", "\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3"]
WORDS = "the The THE and of 's 'S 'll 'LL don't we've I'm 'd '\u017f hello world Straße naïve café über 1234567 3.14159 http://a.b/c?d=e&f def return for(i=0;i<n;i++){} \t\t\n x==y !!! ... --- 日本語 こんにちは 안녕하세요 Привет мир مرحبا שלום नमस्ते สวัสดี".split(" ")


def random_text(r, own):
    pick = lambda: chr(r.choice(CODES))
    plane = lambda: chr(r.choice((r.randrange(0x20, 0x7F), r.randrange(0xA0, 0x600), r.randrange(0x600, 0xD800), r.randrange(0xE000, 0x10000), r.randrange(0x10000, 0x20000))))
    jamo = lambda: chr(r.randrange(0x1100, 0x1113)) + chr(r.randrange(0x1161, 0x1176)) + r.choice(("", chr(r.randrange(0x11A7, 0x11C3))))
    kinds = (
        lambda: r.choice(WORDS),
        lambda: " " + r.choice(WORDS),
        lambda: "".join(r.choice(SPACES) for _ in range(r.randrange(1, 5))),
        lambda: r.choice(" \n\r\t") * r.randrange(1, 12),
        lambda: plane() * r.randrange(1, 3),
        pick,
        lambda: "".join(r.choice(DIGITS) for _ in range(r.randrange(1, 6))),
        lambda: str(r.randrange(10 ** r.randrange(1, 12))),
        lambda: r.choice("aeoucAEnyα가カ") + "".join(r.choice(MARKS) for _ in range(r.randrange(1, 4))),
        lambda: chr(r.randrange(0x300, 0x370)) * r.randrange(1, 3),
        lambda: unicodedata.normalize(r.choice(("NFD", "NFC")), r.choice(COMPOSED)),
        jamo,
        lambda: r.choice(EMOJI),
        lambda: r.choice(CONTROLS),
        lambda: r.choice(own),
        lambda: r.choice(own)[: r.randrange(1, 8)],
        lambda: MARK * r.randrange(1, 4),
        lambda: "<0x%02X>" % r.randrange(256),
        lambda: "".join(chr(r.randrange(33, 127)) for _ in range(r.randrange(1, 8))),
        lambda: r.choice(("word", "words", "e\u0301", "\u0301", "<l>", "<r>", "<both>", "<w>", "<l><r>")),
    )
    if r.random() < 0.002: # very long words, and runs of marks
        return r.choice((r.choice(WORDS), r.choice(MARKS), plane(), "ab", " ", "\n", MARK)) * r.randrange(100, 3000)
    if r.random() < 0.01:
        return "e" + "".join(r.choice(MARKS) for _ in range(r.choice((r.randrange(4, 80), r.randrange(4, 500)))))
    return "".join(r.choice(kinds)() for _ in range(r.randrange(0, 14)))


def broken_text(r):
    s = bytearray(random_text(r, ["<s>"]).encode())
    for _ in range(r.randrange(1, 6)):
        at = r.randrange(len(s) + 1)
        s[at : at + r.randrange(3)] = bytes(r.choice((r.randrange(256), 0xED, 0xF4, 0xE0, 0xC0)) for _ in range(r.randrange(3)))
    return bytes(s)


def real_texts(total):
    """The beginnings of the corpora and of other available files, in equal shares."""
    files = sorted((DATA / "corpus").glob("*.jsonl.zst"))
    for f in files:
        left = total // len(files)
        p = subprocess.Popen(["zstd", "-dcq", f], stdout=subprocess.PIPE)
        for line in p.stdout:
            text = json.loads(line)["text"]
            yield text
            left -= len(text.encode())
            if left < 0:
                break
        p.kill()
        p.wait()
    for f in sorted((DATA / "tokenizers/ggml-vocab").glob("*.inp"))[:1]:
        yield from f.read_text().split("\n__ggml_vocab_test__\n")


# ---- the comparison ----


def frames(data):
    at = 0
    while at < len(data):
        (n,) = struct.unpack_from("I", data, at)
        ids = struct.unpack_from(f"{n}I", data, at + 4)
        at += 4 + 4 * n
        texts = []
        for _ in range(2):
            (n,) = struct.unpack_from("I", data, at)
            texts.append(data[at + 4 : at + 4 + n].decode())
            at += 4 + n
        yield list(ids), *texts


def compare(driver, path, t, texts, shown):
    """texts: bytes. Returns the number of texts that differ."""
    with tempfile.TemporaryFile() as f:
        for s in texts:
            f.write(struct.pack("I", len(s)) + s)
        f.seek(0)
        ours = subprocess.run([driver, path], stdin=f, stdout=subprocess.PIPE, check=True).stdout
    bad = 0
    for s, got in zip(texts, frames(ours), strict=True):
        text = s.decode(errors="replace")
        ids = t.encode(text).ids
        want = (ids, t.decode(ids, skip_special_tokens=False), t.decode(ids, skip_special_tokens=True))
        if got != want:
            bad += 1
            if bad <= shown:
                print(f"  {text!r}\n    ours {got}\n    HF   {want}")
    return bad


def build(san):
    where = "build-san" if san else "build"
    driver = ROOT / where / "tok_ids"
    subprocess.run(f"make -s {'SAN=1' if san else ''} {where}/libbd.a {where}/tests/interop/tok_ids.o", shell=True, cwd=ROOT, check=True)
    libs = "-lzstd -lz -lxxhash -ljansson -lutf8proc -lpcre2-8 -lmsgpackc -ldnnl -lgomp -lm -lpthread"
    flags = "-fsanitize=address,undefined" if san else ""
    subprocess.run(f"cc {flags} -o {driver} {where}/tests/interop/tok_ids.o {where}/libbd.a {libs}", shell=True, cwd=ROOT, check=True)
    return driver


def main():
    p = argparse.ArgumentParser()
    p.add_argument("names", nargs="*")
    p.add_argument("--strings", type=int, default=100000)
    p.add_argument("--text", type=int, default=10000000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--show", type=int, default=3)
    p.add_argument("--san", action="store_true")
    a = p.parse_args()
    driver, total = build(a.san), 0
    found = {f.parent.name: f for f in sorted([*DATA.glob("tokenizers/*/tokenizer.json"), *DATA.glob("models/*/tokenizer.json")])}
    found |= {name: Path(name) for name in a.names if name.endswith(".json")}
    for name in [*found, *MADE]:
        if a.names and name not in a.names:
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            path = found.get(name)
            if not path:
                f.write(MADE[name]().to_str())
                f.flush()
                path = f.name
            t = Tokenizer.from_file(str(path))
            r = random.Random(a.seed)
            own = [c["content"] for c in json.loads(Path(path).read_text())["added_tokens"]]
            sets = [("random strings", [random_text(r, own).encode() for _ in range(a.strings)]),
                    ("broken strings", [broken_text(r) for _ in range(a.strings // 20)]),
                    ("real texts", [s.encode() for s in real_texts(a.text)])]
            for what, texts in sets:
                bad = compare(driver, path, t, texts, a.show)
                total += bad
                print(f"{name}: {len(texts)} {what} ({sum(map(len, texts))} bytes): {bad} differ", flush=True)
    print(f"{total} differences in total")
    sys.exit(total > 0)


main()
