#!/bin/sh
# Runs arms.sh on SST-2 (sentiment of sentences, scored by accuracy):
#
#	sh pipelines/sst2.sh --model DIR --data DIR --corpus FILE [--limit N] [--seeds N] [more options of arms.sh]
exec sh "$(dirname "$0")/arms.sh" --template sst2 "$@"
