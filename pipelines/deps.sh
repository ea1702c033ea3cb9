#!/bin/sh
# Installs what bd needs on Debian or Ubuntu, after saying what that is. Does nothing if everything is installed. Elsewhere prints the
# list of packages and exits with status 4.
#
#	sh pipelines/deps.sh            for building, testing and plotting
#	sh pipelines/deps.sh --build    only for building
#	sh pipelines/deps.sh --list     prints the missing packages, one on a line, and installs nothing; also with --build
#	BD_DEPS=no sh ...               says what is missing, installs nothing and exits with status 0
set -eu

die() {
	echo "deps.sh: $*" >&2
	exit 4
}

packages='gcc libc6-dev make pkg-config libzstd-dev zlib1g-dev libxxhash-dev libjansson-dev libutf8proc-dev libpcre2-dev libdnnl-dev'
more='libcmocka-dev g++ python3 bats mandoc shellcheck clang-format zstd gnuplot-nox'
list=
for option; do
	case $option in
	--build) more= ;;
	--list) list=yes ;;
	*)
		echo "usage: deps.sh [--build] [--list]" >&2
		exit 2
		;;
	esac
done
packages="$packages${more:+ $more}"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	cat >&2 <<-END
		deps.sh: this is not Debian or Ubuntu; please install the equivalents of these Debian packages:
		$packages libmsgpack-dev
	END
	test "${BD_DEPS-}" = no && exit 0
	exit 4
fi

installed() {
	dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# Sets `missing`. The package of the MessagePack C library was renamed after Debian 12.
look() {
	missing=
	for p in $packages; do
		installed "$p" || missing="$missing $p"
	done
	if ! installed libmsgpack-dev && ! installed libmsgpack-c-dev; then
		if apt-cache show libmsgpack-c-dev >/dev/null 2>&1; then
			missing="$missing libmsgpack-c-dev"
		else
			missing="$missing libmsgpack-dev"
		fi
	fi
}

look
if test -n "$list"; then
	# shellcheck disable=SC2086 # a list of words
	test -z "$missing" || printf '%s\n' $missing
	exit 0
fi
test -n "$missing" || exit 0
if test "${BD_DEPS-}" = no; then
	echo "deps.sh: missing, but not installed because of BD_DEPS=no:$missing" >&2
	exit 0
fi

as_root=
if test "$(id -u)" -ne 0; then
	command -v sudo >/dev/null || die "run this as root: apt-get install$missing"
	as_root=sudo
fi

echo "deps.sh: installing$missing; with BD_DEPS=no, nothing would be installed" >&2
$as_root apt-get -q update >&2 || exit 4
look # the updated list of packages may know another name
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing >&2 || exit 4
