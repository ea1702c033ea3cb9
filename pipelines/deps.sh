#!/bin/sh
# Installs what bd needs on Debian or Ubuntu; elsewhere prints the list and exits with status 4. Does nothing if everything is installed.
# deps.sh: for building, testing and plotting; deps.sh --build: only for building.
set -eu

case "${1-}" in
--build | '') ;;
*)
	echo "usage: deps.sh [--build]" >&2
	exit 2
	;;
esac

packages='gcc libc6-dev make pkg-config libzstd-dev libxxhash-dev libjansson-dev libutf8proc-dev libpcre2-dev libdnnl-dev'
test "${1-}" = --build ||
	packages="$packages libcmocka-dev bats mandoc shellcheck clang-format zstd gnuplot-nox"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	cat >&2 <<-END
		deps.sh: this is not Debian or Ubuntu; please install the equivalents of these Debian packages:
		$packages libmsgpack-dev
	END
	exit 4
fi

installed() {
	dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

missing=
for p in $packages; do
	installed "$p" || missing="$missing $p"
done
# The package of the MessagePack C library was renamed after Debian 12.
msgpack=
installed libmsgpack-dev || installed libmsgpack-c-dev || msgpack=yes
test -n "$missing$msgpack" || exit 0

as_root=
if test "$(id -u)" -ne 0; then
	if ! command -v sudo >/dev/null; then
		echo "deps.sh: run this as root: apt-get install$missing${msgpack:+ libmsgpack-dev}" >&2
		exit 4
	fi
	as_root=sudo
fi

$as_root apt-get -q update >&2 || exit 4
if test -n "$msgpack"; then
	msgpack=libmsgpack-dev
	apt-cache show libmsgpack-c-dev >/dev/null 2>&1 && msgpack=libmsgpack-c-dev
fi
# shellcheck disable=SC2086 # lists of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing $msgpack >&2 || exit 4
