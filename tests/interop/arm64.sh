#!/bin/sh
# The suite on 64-bit ARM, without such a machine: cross-compiled, then run under qemu.
#
#   sh tests/interop/arm64.sh [PACKED...]
#
# Every kernel table against the reference, the operations, the golden models; and the golden prompts of PACKED files, made
# on this machine, with each table: the same bits. Needs Debian's gcc-aarch64-linux-gnu and qemu-user, and apt's lists; the
# ARM libraries are unpacked in $ARM64_ROOT (build-aarch64-linux-gnu/root), not installed.
set -eu
cd "$(dirname "$0")/../.."

build="build-aarch64-linux-gnu"
root=${ARM64_ROOT:-$PWD/$build/root}
lib=$root/usr/lib/aarch64-linux-gnu

for program in aarch64-linux-gnu-gcc qemu-aarch64; do
	command -v $program >/dev/null || {
		echo "$program is missing: apt-get install gcc-aarch64-linux-gnu qemu-user" >&2
		exit 2
	}
done

# apt's state for the other architecture, beside that of this machine.
fetch() {
	mkdir -p "$root/debs" "$root/apt/lists/partial" "$root/apt/cache/archives/partial" "$root/apt/dpkg"
	: >"$root/apt/dpkg/status"
	set -- -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User= \
		-o Dir::State::lists="$root/apt/lists" -o Dir::Cache="$root/apt/cache" \
		-o Dir::State::status="$root/apt/dpkg/status"
	apt-get "$@" update
	cd "$root/debs"
	apt-get "$@" download libc6 libc6-dev linux-libc-dev libgcc-s1 libstdc++6 libgomp1 libzstd1 libzstd-dev \
		libxxhash0 libxxhash-dev libjansson4 libjansson-dev libutf8proc2 libutf8proc-dev libpcre2-8-0 \
		libpcre2-dev libmsgpackc2 libmsgpack-dev libdnnl2 libdnnl-dev libcmocka0 libcmocka-dev zlib1g zlib1g-dev
	for deb in ./*.deb; do
		dpkg -x "$deb" "$root"
	done
	cd - >/dev/null
}

arm() {
	qemu-aarch64 -L "$root" -E LD_LIBRARY_PATH="$lib:$root/lib/aarch64-linux-gnu" "$@"
}

test -e "$lib/libcmocka.so" || fetch
PKG_CONFIG_LIBDIR=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root make -s -j"$(nproc)" CC=aarch64-linux-gnu-gcc \
	CFLAGS="-O2 -g" CPPFLAGS="--sysroot=$root" LDFLAGS="--sysroot=$root" all tests # gcc 12 dies of a test at -O3

for test in machine/test_kern machine/test_quant machine/test_par math/test_ops math/test_loss net/test_golden; do
	echo "$test"
	arm $build/tests/$test >$build/arm64.log 2>&1 || {
		cat $build/arm64.log
		exit 1
	}
done
for table in i8mm dotprod ref; do
	for file in tests/golden/packed-first.gguf "$@"; do
		echo "$file, $table"
		arm -E BD_KERN=$table $build/bin/bd-run --verify "$file"
	done
done
echo "64-bit ARM: the same bits"
