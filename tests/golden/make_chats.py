"""Writes chats.json: conversations as rendered by real chat templates.

	venv/bin/pip install transformers==5.23.0 jinja2==3.1.6
	BD_DATA=dir venv/bin/python make_chats.py

BD_DATA: a folder with tokenizers/chat_templates/*.jinja. The templates of Gemma 3, Llama 3.0 and plain ChatML are written here.
"""

import json
import os
import re
from pathlib import Path

from transformers.utils.chat_template_utils import _compile_jinja_template, _render_with_assistant_indices

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
BITNET = """{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = message['role'] | capitalize + ': '+ message['content'] | trim + '<|eot_id|>' %}\
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"""
BITNET_GGUF = """{% for message in messages %}{% if loop.first %}{{ bos_token }}{% endif %}{% if message['role'] == 'user' %}{{ 'Human: ' + message['content'] + '\\n\\nBITNETAssistant: ' + eos_token }}\
{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"""
# What is to be learned is marked: with the end token; with all of the turn; without the end token.
MARKED = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}\
{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
MARKED_TURN = """{% for message in messages %}{% if message['role'] == 'assistant' %}{% generation %}{{ '<|im_start|>assistant\\n' + message['content'] + '<|im_end|>\\n' }}{% endgeneration %}\
{% else %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
MARKED_TEXT = """{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}{% if message['role'] == 'assistant' %}\
{%- generation -%}{{ message['content'] | trim }}{%- endgeneration -%}{% else %}{{ message['content'] | trim }}{% endif %}{{ '<|eot_id|>' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

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
    ("bitnet", None, BITNET, "<|begin_of_text|>", {}),
    ("bitnet-gguf", None, BITNET_GGUF, "<|begin_of_text|>", {"eos_token": "<|end_of_text|>"}),
    ("marked", None, MARKED, "", {}),
    ("marked-turn", None, MARKED_TURN, "", {}),
    ("marked-text", None, MARKED_TEXT, "<|begin_of_text|>", {}),
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

# An answer and its end token, where the templates do not mark what is to be learned; the empty thought belongs to the question.
ANSWER = {
    "chatml": r"(?s)<\|im_start\|>assistant\n(.*?<\|im_end\|>)",
    "qwen": r"(?s)<\|im_start\|>assistant\n(.*?<\|im_end\|>)",
    "quiet": r"(?s)<\|im_start\|>assistant\n(?:<think>\n\n</think>\n\n)?(.*?<\|im_end\|>)",
    "llama3": r"(?s)<\|start_header_id\|>assistant<\|end_header_id\|>\n\n(.*?<\|eot_id\|>)",
    "gemma": r"(?s)<start_of_turn>model\n(.*?<end_of_turn>)",
    "bitnet": r"(?s)(?<=>)Assistant: (.*?<\|eot_id\|>)",
    "bitnet-gguf": r"(?s)BITNETAssistant: <\|end_of_text\|>((?:(?!Human: ).)+)",
}


def spans_of(name, options, text, marked):
    """Where the answers are, in bytes."""
    if name.startswith("marked"):
        found = marked
    else:
        key = "quiet" if options.get("enable_thinking") is False else "bitnet-gguf" if name == "bitnet-gguf" else re.match("[a-z]+3?", name)[0].replace("qwen3", "qwen").replace("gemma2", "gemma")
        found = [m.span(1) for m in re.finditer(ANSWER[key], text)]
    return [[len(text[:i].encode()) for i in span] for span in found]


def main():
    cases = []
    for name, file, text, bos, options in TEMPLATES:
        template = _compile_jinja_template((REAL / f"{file}.jinja").read_text() if file else text)
        for talk in TALKS:
            if name.startswith("gemma") and [r for r, _ in talk if r != S] != [(U, A)[i % 2] for i in range(sum(r != S for r, _ in talk))]:
                continue
            if name.startswith("gemma") and S in [r for r, _ in talk][name == "gemma":]:
                continue
            if name == "bitnet-gguf" and (S in [r for r, _ in talk] or [r for r, _ in talk] != [(U, A)[i % 2] for i in range(len(talk))]):
                continue
            messages = [dict(role=r, content=c) for r, c in talk]
            out = template.render(messages=messages, bos_token=bos, add_generation_prompt=True, date_string=DATE, **options)
            case = dict(template=name, thinking=options.get("enable_thinking", True), bos=bos, messages=messages, text=out)
            whole, marked = _render_with_assistant_indices(template, messages, None, None, False, bos_token=bos, date_string=DATE, **options)
            case |= dict(whole=whole, spans=spans_of(name, options, whole, marked))
            cases.append(case | (dict(jinja=text) if text else dict(file=file)))
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    (HERE / "chats.json").write_text(f"[\n{lines}\n]\n")


main()
