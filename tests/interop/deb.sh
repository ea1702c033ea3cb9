#!/bin/sh
# Tests the Debian package in a clean Debian 12, then `make install` there. To be run by hand, as root, with debootstrap and a network:
#
#	make deb && sh tests/interop/deb.sh build/bd_*.deb [DIR]
#
# A minimal system is made in DIR (kept) or in a temporary directory. Everything in it runs with an empty environment. Prints a line
# for each test that passes; stops at the first that fails.
set -eu

deb=$(realpath "${1:?usage: deb.sh PACKAGE [DIR]}")
keep=${2-}
repo=$(cd "$(dirname "$0")/../.." && pwd)
root=${keep:-$(mktemp -d)}
clean() {
	umount "$root/proc" 2>/dev/null || :
	test -n "$keep" || rm -rf --one-file-system "$root"
}
trap clean EXIT
trap 'exit 4' INT TERM HUP

test -e "$root/etc/debian_version" || debootstrap --variant=minbase bookworm "$root" >&2
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
cp "$deb" "$root/tmp/bd.deb"
rm -rf "$root/tmp/bd"
mkdir "$root/tmp/bd"
(cd "$repo" && tar -c Makefile README.md LICENSE bin lib man tests examples pipelines build) | tar -x -C "$root/tmp/bd"

# inside NAME: runs the sh script on stdin inside the minimal system.
inside() {
	env -i ${http_proxy:+"http_proxy=$http_proxy"} PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		DEBIAN_FRONTEND=noninteractive chroot "$root" sh -eu -s
	echo "ok - $1"
}

inside 'a plain system with man and completion' >&2 <<'END'
# The minimal system may be configured to omit manuals.
rm -f /etc/dpkg/dpkg.cfg.d/docker
apt-get -q update
apt-get -q install -y --no-install-recommends man-db bash-completion zsh fish make zstd
END

inside 'the package installs with its dependencies' >&2 <<'END'
test ! -e /usr/bin/bd-run
apt-get -q install -y --no-install-recommends /tmp/bd.deb
dpkg -s bd | grep -q '^Status: install ok installed'
dpkg --verify bd
END

inside 'the tools work and find the templates' <<'END'
rm -rf /tmp/try
mkdir /tmp/try
cd /tmp/try
for tool in /usr/bin/bd-*; do "$tool" --version >/dev/null; done
bd-init -q --tokenizer /tmp/bd/tests/golden/tok-bytes.json -o base /usr/share/bd/configs/tiny-qwen3.json
printf 'sentence\tlabel\na joy\t1\na bore\t0\n' >rows.tsv
bd-data -q --template sst2 --tokenizer base -o rows.bds rows.tsv
bd-sft -q --model base -o teacher rows.bds
bd-subln base -o s0
bd-teacher-dump -q --model teacher rows.bds | bd-distill -q --model s0 -o s1
bd-pack -q s1 -o s1.gguf
bd-eval s1.gguf rows.bds | grep -q accuracy
echo 'a joy' | bd-run -q s1.gguf | grep -q .
bd-info --check s1.gguf | grep -q bd-distill
END

inside 'man shows every page' <<'END'
for page in /usr/share/man/man1/bd-*.1.gz; do
	name=$(basename "$page" .1.gz)
	man "$name" | head -n 40 | grep -q "$name"
done
man bd-distill | head -n 12 | grep -q 'train a student'
man 7 bd | grep -q ENVIRONMENT
man 5 bd-stream | grep -q Header
END

inside 'bash, zsh and fish complete options' <<'END'
bash -i -c '
	. /usr/share/bash-completion/bash_completion
	_completion_loader bd-distill
	complete -p bd-distill
	COMP_WORDS=(bd-distill --ga) COMP_CWORD=1
	_bd-distill
	echo "${COMPREPLY[@]}"' 2>/dev/null | grep -qx -- '--gamma --gamma-ratio'
zsh -f -c 'autoload -Uz compinit && compinit -u -D && echo ${_comps[bd-pack]}' | grep -qx _bd-pack
zsh -n /usr/share/zsh/vendor-completions/_bd-*
fish -c 'complete -C "bd-distill --gamma-r"' | grep -q -- '--gamma-ratio'
fish -c 'complete -C "bd-distill --objective ca"' | grep -q cakld
END

inside 'removal leaves nothing behind' >&2 <<'END'
apt-get -q purge -y bd
test ! -e /usr/share/bd
test ! -e /usr/share/doc/bd
END
test -z "$(find "$root/usr" -name 'bd-*' -o -name 'libbd.*' -o -name bd.h)"

inside 'make install and uninstall' <<'END'
cd /tmp/bd
find /usr -type f -o -type l | sort >/tmp/before.install
# Nothing is built here, as there is no compiler.
install="make -s CC=false -o all BUILD=build BIN=bin PREFIX=/usr/local"
$install install
/usr/local/bin/bd-data -q --template sst2 --tokenizer /tmp/try/base -o /tmp/try/local.bds /tmp/try/rows.tsv
man -w bd-pack | grep -qx /usr/local/share/man/man1/bd-pack.1
$install uninstall
find /usr -type f -o -type l | sort | cmp - /tmp/before.install
END
echo 'all tests passed'
