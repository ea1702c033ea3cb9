#!/bin/sh
# Runs arms.sh on AESLC (bodies and subjects of e-mails: a short summarisation task, scored by the cross entropy of the subject):
#
#	sh pipelines/aeslc.sh --model DIR --data DIR --corpus FILE [--limit N] [--seeds N] [more options of arms.sh]
exec sh "$(dirname "$0")/arms.sh" --template aeslc --max-len 128 --batch 16 --lr-student 1e-3 --lr-tuned 1e-3 "$@"
