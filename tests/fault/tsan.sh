#!/bin/sh
# Data races: training and inference with four threads, and the unit tests of what has threads, under ThreadSanitizer.
#
#	sh tests/fault/tsan.sh
#
# Builds in build-tsan/ (with CC=clang: build-tsan-clang/). Prints "ok" or "not ok" for each, with the reports; the last line counts,
# the exit status is 0 if nothing was reported.
set -eu
cd "$(dirname "$0")/../.."
here=$(pwd)
case ${CC-} in
*clang*) : "${BUILD:=build-tsan-clang}" ;;
*) : "${BUILD:=build-tsan}" ;;
esac
tests='machine/test_par machine/test_gemm machine/test_kern math/test_ops net/test_net run/test_generate base/test_guard'
for name in $tests; do
	set -- "$@" "$BUILD/tests/$name"
done
make -s -j"$(nproc)" SAN=thread BUILD="$BUILD" BIN="$BUILD/bin" all "$@"

BUILD=$(cd "$BUILD" && pwd)
PATH=$BUILD/bin:$PATH
export TSAN_OPTIONS="exitcode=66 halt_on_error=0 second_deadlock_stack=1 die_after_fork=0 suppressions=$here/tests/fault/tsan.supp"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 4' INT TERM HUP
checked=0
bad=0

# A fixed address space: the sanitizer of gcc 12 does not know the layouts of newer kernels.
check() { # NAME COMMAND...
	name=$1
	shift
	checked=$((checked + 1))
	if setarch -R "$@" >"$dir/out.log" 2>&1 && ! grep -q 'WARNING: ThreadSanitizer' "$dir/out.log"; then
		echo "ok $name"
	else
		bad=$((bad + 1))
		echo "not ok $name"
		sed 's/^/# /' "$dir/out.log"
	fi
}

for name in $tests; do
	check "$name" "$BUILD/tests/$name"
done

cd "$dir"
printf '%s' '{"name": "parity", "fields": ["text", "label"], "prompt": "{text}=", "label": "label", "labels": [["0"], ["1"]]}' >t.json
awk 'BEGIN {
	print "text\tlabel"
	for (i = 0; i < 40; i++)
		print "row number " i "\t" i % 2
}' >rows.tsv
cut -f 1 rows.tsv >lines
check bd-init bd-init -t 4 "$here/examples/configs/tiny-qwen3.json" --tokenizer "$here/tests/golden/tok-bytes.json" -o base
check bd-data bd-data -t 4 --template t.json -m base rows.tsv -o task.bds
check 'bd-data --text' bd-data -t 4 --text --format lines --pack 32 -m base lines -o text.bds
check bd-sft bd-sft -t 4 -m base -o teacher --epochs 2 --batch 8 --eval task.bds --eval-every 3 --log sft.log task.bds
check bd-subln bd-subln -t 4 base -o s0
check bd-cpt bd-cpt -t 4 -m s0 -o s1 --steps 3 --batch 4 --checkpoint-every 2 text.bds
check bd-teacher-dump bd-teacher-dump -t 4 -m teacher --positions all -o all.bds task.bds
check 'bd-teacher-dump --top-k' bd-teacher-dump -t 4 -m teacher --top-k 8 -o top.bds task.bds
check 'bd-teacher-dump --sample' bd-teacher-dump -t 4 -m teacher --sample 8 -o drawn.bds task.bds
for stream in all top drawn; do
	check "bd-distill, $stream" bd-distill -f -t 4 -m s1 -o s2 --batch 8 --lambda-ratio 1 --gamma-ratio 0.5 "$stream.bds"
done
check bd-pack bd-pack -t 4 s2 -o s2.gguf
check 'bd-eval, directory' bd-eval -t 4 s2 task.bds
check 'bd-eval, packed' bd-eval -t 4 --generate s2.gguf task.bds
check 'bd-run, rows' sh -c 'bd-run -t 4 s2.gguf <lines'
check 'bd-run, text' sh -c 'echo text | bd-run -t 4 --generate -n 20 --temperature 1 s2.gguf'
check 'bd-run, floats' sh -c 'echo text | bd-run -t 4 --generate -n 20 base'
check 'bd-run --verify' bd-run -t 4 --verify s2.gguf
check bd-bench bd-bench -t 4 -p 32 -n 8 -r 1 s2.gguf
check 'bd-info --check' bd-info --check s2 s2.gguf all.bds
cat >interrupt <<'END'
bd-sft -t 4 -m base -o long --steps 100000 --epochs 100000 task.bds &
sleep 5
kill $!
wait $!
test $? -eq 4
END
check 'an interruption' sh interrupt

echo "$checked checked, $bad reported"
test "$bad" -eq 0
