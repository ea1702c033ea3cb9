"""Writes tok-NAME.json and tok-NAME.cases.json: tiny tokenizers, and the results of Hugging Face's `tokenizers` for difficult texts.

	venv/bin/pip install tokenizers==0.23.3
	venv/bin/python make_tokenizers.py
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer

HERE = Path(__file__).parent
MARK = "\u2581"
R1 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
R2 = R1.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = [r"\p{N}{1,3}", r"[一-龥\u3040-ゟ゠-ヿ]+",
            r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
DEEPSEEK_V2 = [r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿ]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+"]
ODD = r"\w+(?<=e)|(?m:x.)|[^\S\n]+$|\h{,2}\b|\u65e5|\P{L}?"
WORDS = "the them then there this that thing in ing in inside sea sell sold good bad negative positive feeling sentiment story was saw yes maybe no".split()


def byte_chars():
    """GPT-2's printable stand-in for each byte."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in keep]
    return [chr(b) if b in keep else chr(256 + other.index(b)) for b in range(256)]


def train(words, vocab, count):
    """Plain byte-pair training: merges of the most frequent pairs, ties by spelling. Extends vocab."""
    words, merges = [list(w) for w in words], []
    for _ in range(count):
        pairs = {}
        for w in words:
            for pair in zip(w, w[1:]):
                pairs[pair] = pairs.get(pair, 0) + 1
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        vocab.setdefault("".join(best), len(vocab))
        for w in words:
            i = 0
            while i < len(w) - 1:
                if (w[i], w[i + 1]) == best:
                    w[i : i + 2] = ["".join(best)]
                i += 1
    return merges


def added(vocab, content, **flags):
    token = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) | flags
    return {"id": vocab.get(content, 0), "content": content} | token


def bytes_model(extra, unreachable=(), **flags):
    chars = byte_chars()
    vocab = {c: i for i, c in enumerate(sorted(chars))}
    spell = lambda s: "".join(chars[b] for b in s.encode())
    words = [spell(" " + w) for w in WORDS * 2] + [spell(w) for w in WORDS] + [spell(s) for s in ("\n\n", "  ", "   ", "123", "é", "日本", "'s", "...")]
    merges = train(words, vocab, 140)
    for w in unreachable:
        vocab[spell(w)] = len(vocab)
    tokens = [dict(added({}, c, **f), id=len(vocab) + i) for i, (c, f) in enumerate(extra)]
    model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False,
                 byte_fallback=False, ignore_merges=False, vocab=vocab, merges=[" ".join(m) for m in merges]) | flags
    return model, tokens


def pieces_model(specials, bytes_too, **flags):
    vocab = {c: i for i, (c, _) in enumerate(specials)}
    if bytes_too:
        for b in range(256):
            vocab["<0x%02X>" % b] = len(vocab)
    words = [MARK + w for w in WORDS * 2] + [MARK + MARK, MARK * 4, "日本", "é", ".", ",", "!", "'s"]
    for w in words:
        for c in w:
            vocab.setdefault(c, len(vocab))
    merges = train(words, vocab, 120)
    model = dict(type="BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=True,
                 byte_fallback=bytes_too, ignore_merges=False, vocab=vocab, merges=[list(m) for m in merges]) | flags
    return model, [added(vocab, c, **f) for c, f in specials]


def level(regex, space=False):
    return dict(type="ByteLevel", add_prefix_space=space, trim_offsets=False, use_regex=regex)


def split(regex, behavior="Isolated", invert=False):
    return dict(type="Split", pattern={"Regex": regex}, behavior=behavior, invert=invert)


def literal(string, behavior, invert=False):
    return dict(type="Split", pattern={"String": string}, behavior=behavior, invert=invert)


def seq(key, *steps):
    return {"type": "Sequence", key: list(steps)}


def bos(token, i):
    single = [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return dict(type="TemplateProcessing", single=single, pair=single + [{"Sequence": {"id": "B", "type_id": 1}}],
                special_tokens={token: {"id": token, "ids": [i], "tokens": [token]}})


def replace(a, b):
    return dict(type="Replace", pattern={"String": a}, content=b)


def tokenizer(model, tokens, norm, pre, post, dec):
    return dict(version="1.0", truncation=None, padding=None, added_tokens=tokens, normalizer=norm, pre_tokenizer=pre,
                post_processor=post, decoder=dec, model=model)


def tokenizers():
    end, tool = ("<|end|>", {}), ("<tool>", dict(special=False))
    greedy = ("<mask>", dict(lstrip=True, rstrip=True))
    model, tokens = bytes_model([end, tool])
    yield "bytes", tokenizer(model, tokens, {"type": "NFC"}, seq("pretokenizers", split(R1), level(False)), level(False), level(False))
    model, tokens = bytes_model([("<|begin|>", {}), end, greedy, ("longer<|end|>", {})], [" sentences"], ignore_merges=True)
    yield "llama3", tokenizer(model, tokens, None, seq("pretokenizers", split(R2), level(False)),
                              seq("processors", level(True), bos("<|begin|>", tokens[0]["id"])), level(True))
    model, tokens = bytes_model([end, ("the thing", dict(normalized=True, special=False))])
    yield "gpt2", tokenizer(model, tokens, None, level(True, space=True), level(True), level(True))
    model, tokens = bytes_model([end])
    yield "digits", tokenizer(model, tokens, None, seq("pretokenizers", dict(type="Digits", individual_digits=True), level(True)), level(True), level(True))
    specials = [("<unk>", {}), ("<s>", {}), ("</s>", {}), ("<pad>", dict(normalized=True)), greedy]
    space = seq("normalizers", dict(type="Prepend", prepend=MARK), replace(" ", MARK))
    undo = seq("decoders", replace(MARK, " "), dict(type="ByteFallback"), dict(type="Fuse"), dict(type="Strip", content=" ", start=1, stop=0))
    model, tokens = pieces_model(specials, True)
    yield "spm", tokenizer(model, tokens, space, None, bos("<s>", 1), undo)
    meta = dict(type="Metaspace", replacement=MARK, prepend_scheme="first", split=False)
    model, tokens = pieces_model(specials[:3], False)
    yield "metaspace", tokenizer(model, tokens, None, meta, bos("<s>", 1), meta)
    model, tokens = pieces_model(specials[:3], False, fuse_unk=False)
    after = dict(type="Split", pattern={"String": " "}, behavior="MergedWithPrevious", invert=False)
    undo = seq("decoders", replace(MARK, " "), dict(type="ByteFallback"), dict(type="Fuse"))
    yield "unfused", tokenizer(model, tokens, replace(" ", MARK), after, bos("<s>", 1), undo)
    # Gemma: runs of newlines, runs of spaces and tags are tokens; a tab takes the place of <0x09>
    runs = [(c * n, dict(special=False)) for c in ("\n", MARK) for n in range(2, 6)]
    specials = [(c, {}) for c in ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")]
    model, tokens = pieces_model([*specials, ("<unused0>", dict(special=False)), *runs, ("<td>", dict(special=False))], True)
    model["vocab"] = {"\t" if c == "<0x09>" else c: i for c, i in model["vocab"].items()}
    yield "gemma", tokenizer(model, tokens, replace(" ", MARK), after, bos("<bos>", 2), undo)
    # Patterns without a function of their own, and everything that is done with matches
    model, tokens = bytes_model([end])
    for name, steps in [("o200k", [split(O200K)]), ("qwen35", [split(QWEN35)]), ("deepseek", [split(r) for r in DEEPSEEK]),
                        ("deepseek-v2", [*map(split, DEEPSEEK_V2), dict(type="Digits", individual_digits=True)]),
                        ("literal", [literal("the", "MergedWithNext"), literal(" ", "MergedWithNext"), literal("s", "Removed"), literal("in", "Contiguous", True)]),
                        ("merged", [split(r"\s|\d", "MergedWithPrevious"), split("[aeiou]", "MergedWithNext", True), split(r"[a-zé]", "Contiguous")]),
                        ("odd", [split(ODD), split("^.|n$", "Isolated", True)])]:
        yield name, tokenizer(model, tokens, None, seq("pretokenizers", *steps, level(False)), level(False), level(False))
    # Every flag of added tokens, and tokens after the text
    model, tokens = bytes_model([end, ("<l>", dict(lstrip=True)), ("<r>", dict(rstrip=True)), ("<r><l>", dict(lstrip=True, normalized=True, special=False)),
                                 ("word", dict(single_word=True, special=False)), ("wordy", dict(normalized=True, special=False)),
                                 ("\n\n", dict(special=False)), ("e\u0301", dict(normalized=True)), ("\u0301", {})])
    ends = dict(type="TemplateProcessing", single=[{"SpecialToken": {"id": "<l>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|end|>", "type_id": 0}}], pair=[],
                special_tokens={t["content"]: {"id": t["content"], "ids": [t["id"]], "tokens": [t["content"]]} for t in tokens[:2]})
    yield "flags", tokenizer(model, tokens, {"type": "NFC"}, seq("pretokenizers", split(R1), level(False)), ends, level(False))


FIXED = [
    "", " ", "  ", "   ", "\n", "\n\n \n x", "\t\n", "the thing in the sea", " the thing", "the  thing   inside", "The story was good.\n\nThe end",
    "I'll say it's we'VE 'S '\u017f 'LL'd ''re", "1234567 12 3\u0663\u00bd\u2167", "e\u0301 \u00e9 \u1e9b\u0323 \u212b \uac00\u11a8 \u30ab\u3099", "\u65e5\u672c\u8a9e \U0001f680\U0001f3fd",
    "a\u0898\u0301b \u08ca\u0327 \u1ace\u0316", "\u180e x\u00a0\u3000y\u2003z\u0085w", "x\r\n\r\n y\r", "!!!\n\n?? ...\r\nthe", "<|end|>the<|end|>", "in <|end|> the <tool> thing<tool>",
    "a  <mask>  b<mask>\n\u2003c", "longer<|end|> longer<|end", "<s>the</s> <pad> x<pad>y <unk>", "<0x41>\u2581the\u2581\u2581", "sentences sentence  sentences", "the thing the things",
    "\u0000\u0001\u007f\u00ad\u00ff", "\U000323af\u1c8a\U00010d4a\U0001e5f1", "\ufffd\ufeff\u200d", "aaaaaaaaaa", "thethethethe", "seasellsoldsea" * 12,
    "a <l> <r> \n\n b<r>\n\n\nc <r><l> d\u3000<l>", "word words aword word-wordy \u0301word word\u0301 _word wordy", "e\u0301 \u00e9 x\u0301\u0327 <r>\n\n\n\n<l>",
    "\uac00\u11a7 \uac00\u11a8 \u1100\u1161\u11a7\u11a8 \u1112\u1175\u11c2", "x\n\n\n\n\n\n\ny\t\t \u2581\u2581\u2581     z<td><unused0>", "<start_of_turn>the\n<end_of_turn>\n",
]


def random_text(r):
    kinds = [lambda: r.choice(WORDS), lambda: " " * r.randrange(1, 4), lambda: chr(r.randrange(32, 127)), lambda: r.choice("\n\t\r \u2581'"),
             lambda: r.choice("0123456789"), lambda: chr(r.choice([*range(0xA0, 0xD800), *range(0xE000, 0x20000)])),
             lambda: chr(r.randrange(0x300, 0x345)), lambda: r.choice(["<|end|>", "<s>", "<mask>", "<pad>", "<unk>", "the thing", "<l>", "<r>", "word", "wordy", "\n\n", "\u2581\u2581", "<td>"])]
    return "".join(r.choice(kinds)() for _ in range(r.randrange(1, 16)))


def span_of(r, text, encoding):
    """Two random places in the text, in bytes, and the tokens that have something of the text between them; None if one is in no token or there are unknown ones (tokens overlap in "flags": none)."""
    begin = r.randrange(len(text))
    end = r.randrange(begin, len(text)) + 1
    at = lambda place: [i for i, (a, b) in enumerate(encoding.offsets) if a <= place < b]
    if not at(begin) or not at(end - 1) or "<unk>" in encoding.tokens:
        return None
    return [len(text[:begin].encode()), len(text[:end].encode()), at(begin)[0], at(end - 1)[-1] + 1]


def main():
    r, places = random.Random(1), random.Random(2)
    for name, definition in tokenizers():
        text = json.dumps(definition, ensure_ascii=False, separators=(",", ":"))
        (HERE / f"tok-{name}.json").write_text(text + "\n")
        t = Tokenizer.from_str(text)
        cases = []
        for s in FIXED + [random_text(r) for _ in range(24)]:
            encoding = t.encode(s)
            ids = encoding.ids
            cases.append(dict(text=s, ids=ids, decoded=t.decode(ids, skip_special_tokens=False), plain=t.decode(ids), span=span_of(places, s, encoding) if s and name != "flags" else None))
        lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
        (HERE / f"tok-{name}.cases.json").write_text(f"[\n{lines}\n]\n")


main()
