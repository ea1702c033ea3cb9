# Shared by the pipelines: the path of the tools, a job pool. To be sourced: . "$(dirname "$0")/lib.sh"
# shellcheck shell=sh

here=$(cd "$(dirname "$0")/.." && pwd)
PATH=$here/bin:$PATH
export PATH

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# Builds the tools unless they are there already. Installs what that needs, and says so; with BD_DEPS=no it installs nothing.
ensure_tools() {
	[ -x "$here/bin/bd-run" ] && [ -x "$here/bin/bd-distill" ] && return
	sh "$here/pipelines/deps.sh" || die "packages are missing"
	make -s -C "$here" || die "the tools cannot be built"
}

# pool N: allows at most N jobs at once. job NAME CMD...: starts a job with its output in $work/NAME.out, unless it is done already.
# finish: waits for all jobs and fails if one of them failed.
pool() {
	pool_fifo=$(mktemp -u)
	mkfifo "$pool_fifo"
	exec 9<>"$pool_fifo"
	rm -f "$pool_fifo"
	pool_i=0
	while [ "$pool_i" -lt "$1" ]; do
		echo >&9
		pool_i=$((pool_i + 1))
	done
	pool_pids=
}
job() {
	job_name=$1
	shift
	[ -e "${work:?}/$job_name.done" ] && return
	read -r _ <&9
	{
		if "$@" >"${work:?}/$job_name.out" 2>&1; then
			: >"${work:?}/$job_name.done"
			job_status=0
		else
			job_status=1
			say "$(basename "$0"): $job_name failed:"
			tail -n 5 "${work:?}/$job_name.out" >&2
		fi
		echo >&9
		exit "$job_status"
	} &
	pool_pids="$pool_pids $!"
}
finish() {
	finish_status=0
	for finish_pid in $pool_pids; do
		wait "$finish_pid" || finish_status=1
	done
	pool_pids=
	[ "$finish_status" = 0 ] || die "a job failed; see $work"
}

cores() { getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1; }
