#!/bin/sh
# bd-run as a service that gets hostile lines among good ones (serve.py), first lines of a task, then JSON objects: every line must be
# answered or refused, in order, good ones always alike, and memory must not grow. To be run with the tools in PATH; needs Python.
#
#	sh tests/fault/serve.sh SECONDS     half of them each way
set -eu
test $# -eq 1 || { echo 'usage: serve.sh SECONDS' >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/small.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 4' INT TERM HUP
cd "$dir"
small_models
bd-pack -q student -o student.gguf
half=$(($1 / 2))
python3 "$root/tests/fault/serve.py" $half lines bd-run -t 1 --format tsv student.gguf &&
	python3 "$root/tests/fault/serve.py" $half objects bd-run -t 1 --jsonl student.gguf
