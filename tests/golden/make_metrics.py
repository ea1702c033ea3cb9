"""Writes metrics.json and stems.json: results of rouge_score, sacrebleu and nltk for sentences written for the purpose.

	venv/bin/pip install rouge_score==0.1.2 sacrebleu==2.6.0 nltk==3.10.4 && venv/bin/python make_metrics.py"""
import json

import sacrebleu
from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer

PAIRS = [
    ("The train left the station at nine.", ["The train left the station at nine."]),
    ("The train left at nine from the station.", ["The train left the station at nine."]),
    ("Nine trains leaving stations", ["The train left the station at nine."]),
    ("", ["An answer was expected here."]),
    ("An answer nobody asked for.", [""]),
    (" \n ", ["Only blanks were said."]),
    ("...", ["..."]),
    ("a a a a a", ["a a b"]),
    ("a a b", ["a a a a a"]),
    ("one two three four five six", ["six five four three two one"]),
    ("the the the cat", ["the cat sat on the mat", "there is a cat on the mat"]),
    ("it is a guide to action which ensures that the military always obeys the commands of the party",
     ["it is a guide to action that ensures that the military will forever heed party commands",
      "it is the guiding principle which guarantees the military forces always being under the command of the party",
      "it is the practical guide for the army always to heed the directions of the party"]),
    ("Prices rose 3.5% to $1,234.56 on 1-2-2020.", ["Prices rose by 3.5 % to $1,234.56 on 1-2-2020."]),
    ("He paid 5, 6, or 7.", ["He paid 5,6, or 7 ."]),
    ("U.S.A.'s e.g., i.e., etc.", ["The U.S.A.'s e.g. i.e. etc."]),
    ("a well-\nknown fact", ["a wellknown fact"]),
    ("a well-known 20-year fact", ["a well-known 20 -year fact"]),
    ("&quot;Yes&quot; &amp; no &lt;tag&gt; &amp;lt;", ["\"Yes\" & no <tag> &lt;"]),
    ("keep <skipped>this", ["keep this"]),
    ("brackets [x] {y} (z) a_b c^d e|f g~h i`j", ["brackets [ x ] { y } ( z ) a _ b c^d e|f g~h i`j"]),
    ("mail me@example.org/now; soon: ok?", ["mail me @ example.org / now ; soon : ok ?"]),
    ("Caf\u00e9 na\u00efve fa\u00e7ade, s'il vous pla\u00eet.", ["Cafe naive facade, s'il vous plait."]),
    ("300 \u212aelvin in \u0130zmir", ["300 kelvin in izmir"]),
    ("\u4f60\u597d \u4e16\u754c 42", ["\u4f60\u597d \u4e16\u754c 42"]),
    ("non\u00a0breaking\u2003and\u001cother\u2028blanks", ["non breaking and other blanks"]),
    ("tab\tand\r\nreturn", ["tab and return"]),
    ("\U0001f600 emoji\U0001f680s.", ["\U0001f600 emojis."]),
    ("Stra\u00dfe STRASSE", ["strasse Strasse"]),
    ("running runners ran easily, happily and hopefully", ["the runner runs easy, happy and hopeful"]),
    ("connection connected connecting connects", ["connect connectivity connections"]),
    ("the generalizations of oscillators", ["a generalization of the oscillator"]),
    ("dying skies and lying news at the inning", ["die sky and lie news at the innings"]),
    ("first line\nsecond line\nthird line", ["third line\nfirst line"]),
    ("the cat sat\non the mat\nthe end", ["the end\n\nthe cat on the mat"]),
    ("a b c\nd e f", ["a c e\nb d f"]),
    ("\n\nonly one\n\n", ["only\none"]),
    ("x y x y x y\nx y", ["y x\ny x y x"]),
    ("12 34 56 78", ["12 34 56 78 90"]),
    ("ab", ["AB"]),
    ("It rained all day, so the match was put off until Sunday morning, the club said.",
     ["The club put off the match until Sunday morning because it rained all day."]),
    ("It rained all day, so the match was put off until Sunday morning, the club said.",
     ["Rain delayed it.", "The match was put off until Sunday morning, the club said."]),
    ("a b c", ["a b c d", "a b"]),
    ("a b c", ["a b", "a b c d"]),
    ("a a c", ["c\nc a"]),
    ("a c\nc", ["d\nc a"]),
    ("word " * 40, ["word " * 30 + "end"]),
]
WORDS = """caresses ponies ties dies flies skies sky caress cats gas this us is feed agreed freed plastered bled motoring sing ring
conflated troubled sized hopping tanned falling hissing fizzed failing filing tried spied died tied lied dying lying tying crying
happy sky enjoy boy by say employment enjoyment relational conditional rational valency hesitancy digitizer conformably radically
differently vilely analogously vietnamization predication operator feudalism decisiveness hopefulness callousness formality sensitivity
sensibility archaeology geology theology apology triplicate formative formalize electricity electrical hopeful goodness revival allowance
inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption homologous communism activate
angularity effective bowdlerize probate rate cease controlling rolling roll news innings inning outing outings canning cannings howe
proceed exceed succeed proceeding exceeded succeeds fully fulfilling carefully specially totally ally rally tally finally generally
equally usually bubbles possibly nobly humbly simply comply supply apply yes yyyy syzygy toy toys try tries trying tried yellow eying
being seeing agreeing fleeing aging ageing dyed eyed owed used aimed ended inning wedding embedding bedding ceiling sibling bling king
thing nothing string strings ninth ions ion onion union unions million mission position nation station stations national nationally
organization organizations organizer realize realizes realized realizing analyze analysis analyses crisis crises axes boxes buses
horses houses matrices mice geese children 2nd 1990s 3d covid19 b2b a1ed 7ing x9ies abc123s internet computers computing computation
happily happiness unhappy lazily busy busier business businesses easy easily easier worry worries worried argue arguing argument
arguments agreement agreements government governments parliament element elements statement treatment presidential residency consistency
emergency emergencies agency agencies currency currencies""".split()


def pair(prediction, references):
    out = {"prediction": prediction, "references": references}
    for key, stem in (("rouge", False), ("rouge_stem", True)):
        scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=stem)
        s = scorer.score_multi(references, prediction)
        out[key] = [[float(x) for x in s[t]] for t in s]
    bleu = sacrebleu.BLEU().corpus_score([prediction], [[r] for r in references])
    out["bleu"] = bleu.score
    out["words"] = sacrebleu.BLEU().tokenizer(prediction.rstrip())
    return out


def main():
    longest = max(len(r) for _, r in PAIRS)
    streams = [[r[k] if k < len(r) else None for _, r in PAIRS] for k in range(longest)]
    corpus = sacrebleu.BLEU().corpus_score([p for p, _ in PAIRS], streams)
    out = {"corpus": {"score": corpus.score, "precisions": corpus.precisions, "brevity": corpus.bp, "predicted": corpus.sys_len,
                      "wanted": corpus.ref_len}, "pairs": [pair(*p) for p in PAIRS]}
    with open("metrics.json", "w") as f:
        f.write('{"corpus": %s,\n"pairs": [\n%s\n]}\n' % (json.dumps(out["corpus"]), ",\n".join(map(json.dumps, out["pairs"]))))
    stemmer = PorterStemmer()
    words = list(dict.fromkeys(WORDS))
    with open("stems.json", "w") as f:
        f.write("{%s}\n" % ",\n".join(", ".join(f'"{w}": "{stemmer.stem(w)}"' for w in words[i:i + 8]) for i in range(0, len(words), 8)))


if __name__ == "__main__":
    main()
