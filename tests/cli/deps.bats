#!/usr/bin/env bats
# Nothing is installed unasked: deps.sh, run.sh and quickstart.sh with package managers and makes that only pretend.

bats_require_minimum_version 1.5.0

setup() {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_TEST_TMPDIR" || return
	unset BD_DEPS
	export world=$PWD
	mkdir fake
	pretend dpkg-query 'for p; do :; done; case " $(cat "$world/absent") " in *" $p "*) exit 1 ;; esac; echo installed'
	pretend apt-get 'echo "apt-get $*" >>"$world/calls"'
	pretend apt-cache 'exit 100'
	pretend sudo 'exec "$@"'
	pretend make 'echo "make $*" >>"$world/calls"; exit 2'
	echo 'bats libdnnl-dev libmsgpack-dev libmsgpack-c-dev' >absent
	PATH=$PWD/fake:$PATH
}

pretend() { # COMMAND SCRIPT
	printf '#!/bin/sh\n%s\n' "$2" >"fake/$1"
	chmod +x "fake/$1"
}

deps() {
	sh "$repo/pipelines/deps.sh" "$@"
}

@test "deps.sh says what it installs; then it installs that" {
	run --separate-stderr deps
	[ "$status" -eq 0 ] && [ -z "$output" ]
	[[ ${stderr_lines[0]} == "deps.sh: installing libdnnl-dev bats libmsgpack-dev;"* ]]
	[ "$(cat calls)" = "apt-get -q update
apt-get -q install -y --no-install-recommends libdnnl-dev bats libmsgpack-dev" ]
	rm calls
	pretend apt-cache 'exit 0' # the new name of the package
	deps --build
	[ "$(tail -n 1 calls)" = "apt-get -q install -y --no-install-recommends libdnnl-dev libmsgpack-c-dev" ]
	pretend apt-get 'exit 100'
	run -4 deps
}

@test "deps.sh --list prints what is missing; BD_DEPS=no says it; neither installs" {
	run -0 --separate-stderr deps --list
	[ "$output" = "libdnnl-dev
bats
libmsgpack-dev" ]
	[ -z "$stderr" ]
	[ "$(deps --list --build | tr '\n' ' ')" = "libdnnl-dev libmsgpack-dev " ]
	BD_DEPS=no run -0 --separate-stderr deps
	[ -z "$output" ]
	[ "$stderr" = "deps.sh: missing, but not installed because of BD_DEPS=no: libdnnl-dev bats libmsgpack-dev" ]
	echo libmsgpack-c-dev >absent # one of the two names is enough
	for option in '' --list --build; do
		run -0 deps $option
		[ -z "$output" ]
	done
	[ ! -e calls ]
	run -2 deps --nonsense
}

@test "deps.sh on other systems prints the list" {
	mkdir bare
	for tool in sh cat id; do ln -s "$(command -v $tool)" bare; done
	PATH=$PWD/bare run -4 sh "$repo/pipelines/deps.sh"
	[[ $output == *"not Debian or Ubuntu"*"libdnnl-dev"*"bats"* ]]
	PATH=$PWD/bare BD_DEPS=no run -0 sh "$repo/pipelines/deps.sh" --build
	[[ $output == *"libdnnl-dev"* && $output != *bats* ]]
}

@test "run.sh and quickstart.sh with BD_DEPS=no build with what there is, or fail" {
	BD_DEPS=no BUILD=$PWD/build BIN=$PWD/bin run -1 sh "$repo/tests/run.sh"
	[ "${lines[0]}" = "deps.sh: missing, but not installed because of BD_DEPS=no: libdnnl-dev bats libmsgpack-dev" ]
	[ "${lines[-1]}" = "0 passed, 1 failed" ]
	mkdir suite
	cp -R "$repo/pipelines" "$repo/examples" suite
	BD_DEPS=no run -1 sh suite/pipelines/quickstart.sh --out out
	[ "${lines[0]}" = "deps.sh: missing, but not installed because of BD_DEPS=no: libdnnl-dev bats libmsgpack-dev" ]
	[ "${lines[-1]}" = "quickstart.sh: the tools cannot be built" ]
	[ ! -e out ]
	! grep -q apt-get calls
}

@test "make says in one sentence that libraries are missing" {
	rm fake/make
	for goal in '' all tests; do
		# shellcheck disable=SC2086 # an empty goal is none
		run -2 make -s -C "$repo" BUILD="$PWD/build" BIN="$PWD/bin" PKG_CONFIG=false $goal
		[[ ${lines[-1]} == Makefile:*"libraries are missing; \"sh pipelines/deps.sh --build\" installs them.  Stop." ]]
	done
	run -0 make -n -s -C "$repo" BUILD="$PWD/build" BIN="$PWD/bin" PKG_CONFIG=false clean
}
