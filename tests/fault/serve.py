"""Feeds a service for some seconds and checks its answers: serve.py SECONDS lines|objects COMMAND..."""
import json
import random
import subprocess
import sys
import threading
import time
from collections import deque

seconds, kind, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
rng = random.Random(7)
words = ["ab", "a", "b", "1", "/", "-", "+", "b1", "a b"]


def good():
    """A line that is answered, and its key: the same key has the same answer. Below the context of 32."""
    text = " ".join(rng.choice(words) for _ in range(rng.randint(1, 3)))
    if kind == "lines":
        return text.encode(), text
    o = {"id": rng.randint(0, 1 << 40), "left": text}
    if rng.random() < 0.5:
        o = {"id": o["id"], "prompt": text, "max_tokens": 3, "seed": 1}
    return json.dumps(o).encode(), json.dumps({**o, "id": 0})


def hostile():
    """A line that is refused, or (None) may be either; it never has a newline."""
    n = rng.randint(1, 200)
    noise = bytes(rng.choice([*range(0, 10), *range(11, 13), *range(14, 256)]) for _ in range(n))
    refused = [
        b"b\xff" + b"a",
        b"\xc0\x80" + noise,
        b"a\x00b",
        b"\xed\xa0\x80",  # a surrogate
        b"ab " * rng.randint(50, 2000),  # longer than the context
        b"a" * rng.randint(100, 100000),
    ]
    either = [b"x" + noise, b"\x1b[2J\x07\x7f", b"\xf4\x8f\xbf\xbf", "e\u0301\u202e\u200b".encode() * n, b"<s>" * 5, b"[" * n]
    if rng.random() < 0.001:
        refused = [b"a" * (17 << 20)]  # longer than a line may be
    if kind == "lines":
        refused += [b"a\tb\tc\td", b"\t\t\t\t\t"]
    else:
        refused = [b'{"left": "' + r + b'"}' for r in refused] + [
            b'{"left": "a"', b"{", b"nul", b"[1, 2]", b'{"left": 1, "left": 2}', b'{"id": 1}', b'{"prompt": 5}',
            b'{"prompt": "a", "max_tokens": -1}', b'{"prompt": "a", "temperature": 1e999}', b"[" * 5000,
            b'{"prompt": "\\ud800"}', b'{"left": ' + b"9" * n + b"e}", b'{"messages": 3}',
            b'{"prompt": "a", "stop": [""]}', b'{"prompt": "a", "stop": 7}', b'{"messages": [{"role": "x", "content": 1}]}',
        ]  # fmt: skip
        either = [b'{"prompt": "\\u0000"}', b'{"id": {"a": [1]}, "prompt": "<s>", "max_tokens": 2}',
                  b'{"prompt": "a", "max_tokens": 1000000000}', b'{"left": "' + b"\\u00e9" * 3 + b'"}']  # fmt: skip
    if rng.random() < 0.5:
        return rng.choice(refused), True
    return rng.choice(either), None


def resident():
    with open(f"/proc/{service.pid}/status") as f:
        return int(next(line for line in f if line.startswith("VmRSS")).split()[1])


service = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
tail = []
asked = deque()  # (line, key or None, refused or None)
room = threading.Semaphore(500)
end = time.time() + seconds


def ask():
    while time.time() < end:
        if rng.random() < 0.6:
            line, key = good()
            refused = False
        else:
            line, refused = hostile()
            key = None
        room.acquire()
        asked.append((line, key, refused))
        service.stdin.write(line + (b"\r\n" if rng.random() < 0.1 else b"\n"))
        if rng.random() < 0.2:
            service.stdin.write(b"\n" * rng.randint(1, 3))  # empty lines are no requests
        service.stdin.flush()
    service.stdin.close()


threading.Thread(target=ask, daemon=True).start()
threading.Thread(target=lambda: tail.append(service.stderr.read()), daemon=True).start()
known, sizes = {}, []
answered = refusals = 0
sample = time.time() + min(60, seconds / 4)
for answer in service.stdout:
    line, key, refused = asked.popleft()
    room.release()
    answered += 1
    if kind == "lines":
        is_error = answer.startswith(b"error: ")
    else:
        o = json.loads(answer)
        is_error = "error" in o
        if key is not None:
            assert o["id"] == json.loads(line)["id"], (line, answer)
            answer = json.dumps({**o, "id": 0}).encode()
    refusals += is_error
    assert refused is None or is_error == refused, (line[:200], answer[:200])
    if key is not None:
        assert known.setdefault(key, answer) == answer, (line, answer, known[key])
    if time.time() >= sample:
        sizes.append(resident())
        sample = time.time() + max(1, seconds / 60)
status = service.wait()
assert not asked, f"{len(asked)} lines without an answer"
assert status == 3, (status, tail)
print(f"{kind}: {answered} lines answered, {refusals} of them refused; resident KiB at first {sizes[:1]}, at last {sizes[-1:]}, "
      f"least {min(sizes, default=0)}, most {max(sizes, default=0)}")  # fmt: skip
half = len(sizes) // 2
if half >= 10 and max(sizes[half:]) > max(sizes[:half]) + 1024:
    sys.exit("memory has grown")
