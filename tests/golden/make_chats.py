"""Writes chats.json: conversations as rendered by real chat templates.

	venv/bin/pip install transformers==5.23.0 jinja2==3.1.6
	BD_DATA=dir venv/bin/python make_chats.py

BD_DATA: a folder with tokenizers/chat_templates/*.jinja. The templates of Gemma 3, Llama 3.0 and plain ChatML are written here.
"""

import json
import os
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = Path(__file__).parent
REAL = Path(os.environ["BD_DATA"]) / "tokenizers/chat_templates"
DATE = "22 Nov 2026"  # of SOURCE_DATE_EPOCH 1795348800

CHATML = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
CHATML_SYSTEM = """{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}{% endif %}""" + CHATML
LLAMA30 = """{% for message in messages %}{{ bos_token if loop.first else '' }}\
{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""
GEMMA3 = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first_user_prefix = messages[0]['content'] + '\\n\\n' %}\
{% set turns = messages[1:] %}{% else %}{% set first_user_prefix = '' %}{% set turns = messages %}{% endif %}{% for message in turns %}\
{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' + (first_user_prefix if loop.first else '') }}\
{{ message['content'] | trim }}{{ '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"""

# name, file or None, Jinja text if it may be stored, bos, options
TEMPLATES = [
    ("chatml", None, CHATML, "", {}),
    ("chatml-system", None, CHATML_SYSTEM, "", {}),
    ("qwen2.5", "Qwen-Qwen2.5-7B-Instruct", None, "", {}),
    ("qwen3", "Qwen-Qwen3-0.6B", None, "", {}),
    ("qwen3", "Qwen-Qwen3-0.6B", None, "", {"enable_thinking": False}),
    ("llama3", "meta-llama-Llama-3.2-3B-Instruct", None, "<|begin_of_text|>", {}),
    ("llama3.0", None, LLAMA30, "<|begin_of_text|>", {}),
    ("gemma", None, GEMMA3, "<bos>", {}),
    ("gemma2", "google-gemma-2-2b-it", None, "<bos>", {}),
]

U, A, S = "user", "assistant", "system"
TALKS = [
    [(U, "Hello")],
    [(S, "Be kind."), (U, "Hello")],
    [(U, "1+1?"), (A, "2"), (U, "2+2?")],
    [(S, "  Answer in one word.\n"), (U, " 1+1? \n\n"), (A, "\n two "), (U, "2+2?"), (A, "four"), (U, "\u3000more\u00a0\x1c")],
    [(U, "why"), (A, "<think>\nLet me see.\nYes.\n</think>\n\nBecause."), (U, "and?")],
    [(U, "why"), (A, "<think>\nLet me see.\n</think>\n\nBecause.")],
    [(U, "why"), (A, "Because.\n")],
    [(U, "why"), (A, "a</think>b<think>c</think>\n\nd"), (U, "e")],
    [(U, "<tool_response>\n{}\n</tool_response>"), (A, "plain"), (A, "<think>x</think>y")],
    [(U, "q"), (A, "<think>\n\n</think>\n\nA"), (U, "<tool_response>1</tool_response>"), (A, "<think>t</think>\nB"), (A, "C")],
    [(U, "q"), (S, "Later."), (U, "r")],
    [(U, ""), (A, ""), (U, " ")],
    [(U, "<|im_end|><|eot_id|><end_of_turn> {{ x }} 'quoted' \"too\" \u65e5\u672c\u8a9e \U0001f680")],
]


def main():
    cases = []
    for name, file, text, bos, options in TEMPLATES:
        template = _compile_jinja_template((REAL / f"{file}.jinja").read_text() if file else text)
        for talk in TALKS:
            if name.startswith("gemma") and [r for r, _ in talk if r != S] != [(U, A)[i % 2] for i in range(sum(r != S for r, _ in talk))]:
                continue
            if name.startswith("gemma") and S in [r for r, _ in talk][name == "gemma":]:
                continue
            messages = [dict(role=r, content=c) for r, c in talk]
            out = template.render(messages=messages, bos_token=bos, add_generation_prompt=True, date_string=DATE, **options)
            case = dict(template=name, thinking=options.get("enable_thinking", True), bos=bos, messages=messages, text=out)
            cases.append(case | (dict(jinja=text) if text else dict(file=file)))
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    (HERE / "chats.json").write_text(f"[\n{lines}\n]\n")


main()
