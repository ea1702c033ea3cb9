#!/usr/bin/env python3
"""Compares bd-eval --score with rouge_score and sacrebleu from PyPI on texts from real data, and the stemmer with nltk.

	python3 -m venv venv && venv/bin/pip install rouge_score sacrebleu
	make tests && venv/bin/python tests/interop/metrics.py DATA [PAIRS]

DATA has tasks/cnndm/*.jsonl and tasks/aeslc/*.jsonl. To be run by hand; not part of the test suite. A prediction is the reference with a
random modification: words shuffled, cut or doubled, the text of another row, nothing at all, other scripts, symbols, numbers, entities,
lines."""
import glob
import json
import math
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import sacrebleu
from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer

ROOT = Path(__file__).resolve().parents[2]
TYPES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
TOLERANCE = 1e-6


def texts(data):
    def rows(task, key):
        return [json.loads(line)[key] for path in sorted(glob.glob(f"{data}/tasks/{task}/*.jsonl")) for line in open(path)]

    return rows("cnndm", "highlights") + rows("aeslc", "subject") + [a[:600] for a in rows("cnndm", "article")[:300]]


STRANGE = ["naïve café", "Kelvin \u212a and \u0130stanbul", "你好 世界", "été — «oui»", "a\u00a0b\u2003c\u001cd", "\u2028", "😀 10%",
           "&quot;quoted&quot; &amp;lt; <skipped>x", "1,234.56-7,89", "3.5.", "...", "U.S.A.'s", "well-\nknown", "$5.00/€6,50", "a_b`c^d|e~f",
           "[x]{y}(z)", "e.g., i.e.,", "1-2-3", "-5", "5-", "tab\there", "\r\n", "don't", "A.B", "a.5", "5.a", ",5", "5,", "\x85", "yyyy", "ß"]


def disturb(rng, text, all_texts):
    words = text.split(" ")
    kind = rng.randrange(13)
    if kind == 0:
        rng.shuffle(words)
    elif kind == 1:
        words = words[: rng.randrange(len(words) + 1)]
    elif kind == 2:
        words = [w for w in words if rng.random() < 0.7]
    elif kind == 3:
        words = [w for w in words for _ in range(rng.choice([1, 1, 2]))]
    elif kind == 4:
        return rng.choice(all_texts)
    elif kind == 5:
        return rng.choice(["", " ", "\n", "."])
    elif kind in (6, 7, 8):
        for _ in range(rng.randrange(1, 6)):
            words.insert(rng.randrange(len(words) + 1), rng.choice(STRANGE))
    elif kind == 9:
        return re.sub(r" ", lambda m: rng.choice([" ", " ", "\n", "\n\n", "  "]), text)
    elif kind == 10:
        lines = text.split("\n")
        rng.shuffle(lines)
        return "\n".join(lines)
    elif kind == 11:
        return re.sub(r"[a-z]+", lambda m: m.group() + rng.choice(["", "", "s", "ing", "ed", "ly"]), text)
    return " ".join(words)


def make_pairs(data, n):
    rng = random.Random(1)
    all_texts = texts(data)
    pairs = []
    for i in range(n):
        reference = rng.choice(all_texts)
        if i % 5 == 0:
            reference = disturb(rng, reference, all_texts)
        pair = {"prediction": disturb(rng, reference, all_texts), "reference": reference}
        if i % 7 == 0:
            pair = {"prediction": pair["prediction"], "references": [reference] + rng.sample(all_texts, 2)}
        pairs.append(pair)
    return pairs


def references(pair):
    return pair["references"] if "references" in pair else [pair["reference"]]


def score(pairs):
    with tempfile.TemporaryDirectory() as tmp:
        path = Path(tmp) / "pairs.jsonl"
        path.write_text("".join(json.dumps(p, ensure_ascii=False) + "\n" for p in pairs), encoding="utf-8")
        out = subprocess.run([ROOT / "bin/bd-eval", "--score", "--predictions", f"{tmp}/each", path], check=True, capture_output=True)
        each = [json.loads(line) for line in open(f"{tmp}/each")]
    return json.loads(out.stdout), each


def check_rouge(pairs, ours, each):
    worst = 0
    for key, stem in (("rouge", False), ("rouge_stem", True)):
        scorer = rouge_scorer.RougeScorer(TYPES, use_stemmer=stem)
        sums = dict.fromkeys(TYPES, 0)
        for pair, mine in zip(pairs, each):
            theirs = scorer.score_multi(references(pair), pair["prediction"])
            for t in TYPES:
                got, want = mine[key][t], theirs[t]
                sums[t] += want.fmeasure
                d = max(abs(got["precision"] - want.precision), abs(got["recall"] - want.recall), abs(got["f1"] - want.fmeasure))
                if d > TOLERANCE:
                    print("differs", key, t, got, want, pair)
                worst = max(worst, d)
        for t in TYPES:
            worst = max(worst, abs(ours[key][t]["f1"] - sums[t] / len(pairs)))
    return worst


def check_bleu(pairs, ours):
    """All pairs together, and in tens, so that every kind of smoothing occurs."""
    worst = 0
    for size in (len(pairs), 10, 1):
        for i in range(0, len(pairs), size):
            some = pairs[i:i + size] if size > 1 else [pairs[i]]
            if size == 1 and i % 5:
                continue
            refs = [references(p) for p in some]
            streams = [[r[k] if k < len(r) else None for r in refs] for k in range(max(map(len, refs)))]
            theirs = sacrebleu.BLEU().corpus_score([p["prediction"] for p in some], streams)
            mine = (ours if size == len(pairs) else score(some)[0])["bleu"]
            d = max([abs(mine["score"] - theirs.score)] + [abs(a - b) for a, b in zip(mine["precisions"], theirs.precisions)])
            d = max(d, abs(mine["predicted_words"] - theirs.sys_len), abs(mine["reference_words"] - theirs.ref_len), abs(mine["brevity_penalty"] - theirs.bp))
            if d > TOLERANCE:
                print("differs: bleu", mine, theirs, some if size == 1 else "")
            worst = max(worst, d)
    return worst


def check_stems(data):
    """Compares the stem of every word type with nltk's. The unit test's program gives the stems, since the stem of a stem may differ."""
    words = sorted({w for t in texts(data) + [json.loads(line)["article"] for line in open(f"{data}/tasks/cnndm/train.jsonl")]
                    for w in re.findall(r"[a-z0-9]+", t.lower())})
    out = subprocess.run([ROOT / "build/tests/eval/test_metrics", "--stem"], input="\n".join(words) + "\n", text=True, check=True, capture_output=True)
    stemmer = PorterStemmer()
    got = out.stdout.split("\n")[:-1]
    bad = [(w, g, stemmer.stem(w)) for w, g in zip(words, got) if g != stemmer.stem(w)]
    for b in bad[:20]:
        print("differs: stem", b)
    return len(words), len(bad) + (len(got) != len(words))


def main():
    data, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 500
    pairs = make_pairs(data, n)
    ours, each = score(pairs)
    rouge, bleu = check_rouge(pairs, ours, each), check_bleu(pairs, ours)
    words, bad = check_stems(data)
    print(f"{n} pairs, rougeLsum {ours['rouge']['rougeLsum']['f1']:.4f}, BLEU {ours['bleu']['score']:.3f}: ROUGE within {rouge:.1e}, BLEU within {bleu:.1e}; {words} word types, {bad} stems differ")
    sys.exit(not (rouge <= TOLERANCE and bleu <= TOLERANCE and math.isfinite(rouge + bleu) and bad == 0))


if __name__ == "__main__":
    main()
