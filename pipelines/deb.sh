#!/bin/sh
# Makes a Debian package, BUILD/bd_VERSION_ARCH.deb, from what `make` has built. Called by `make deb`; needs dpkg-dev.
# SOURCE_DATE_EPOCH is the date of all files in it, by default that of the source; DEBFULLNAME and DEBEMAIL give its maintainer.
set -eu
: "${BUILD:?}" "${BIN:?}" "${VERSION:?}" "${MAKE:=make}"
umask 022

if ! command -v dpkg-shlibdeps >/dev/null; then
	echo 'deb.sh: dpkg-shlibdeps is missing; apt-get install dpkg-dev' >&2
	exit 4
fi
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile)}"
export SOURCE_DATE_EPOCH
arch=$(dpkg --print-architecture)
maintainer="${DEBFULLNAME:-The bd authors} <${DEBEMAIL:-bd@localhost}>"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 4' INT TERM HUP
root=$work/root doc=$work/root/usr/share/doc/bd

$MAKE -s BUILD="$BUILD" BIN="$BIN" PREFIX=/usr DESTDIR="$root" ZSH=share/zsh/vendor-completions install >&2
strip --strip-unneeded "$root"/usr/bin/* "$root"/usr/lib/libbd.so.0
strip --strip-debug --enable-deterministic-archives "$root"/usr/lib/libbd.a
gzip -9n "$root"/usr/share/man/man*/*

{
	printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: bd\n\n'
	printf 'Files: *\nCopyright: %s\nLicense: Expat\n' "$(sed -n 's/^Copyright (c) //p' LICENSE)"
	sed '1,/^Copyright/d; s/^$/./; s/^/ /' LICENSE | sed 1d
} >"$doc/copyright"
rm "$doc/LICENSE"
gzip -9n >"$doc/changelog.gz" <<END
bd ($VERSION) unstable; urgency=medium

  * Release $VERSION.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END

# Dependencies: the packages of the libraries that the programs are linked with, in the versions that their symbols need.
mkdir "$work/debian"
printf 'Source: bd\n\nPackage: bd\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O root/usr/bin/* root/usr/lib/libbd.so.0 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
test -n "$depends"

mkdir "$root/DEBIAN"
echo 'activate-noawait ldconfig' >"$root/DEBIAN/triggers"
cat >"$root/DEBIAN/control" <<END
Package: bd
Version: $VERSION
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f 1)
Depends: $depends
Suggests: zstd, libdnnl-dev, libjansson-dev, libmsgpack-dev, libpcre2-dev, libutf8proc-dev, libxxhash-dev, libzstd-dev, zlib1g-dev
Section: science
Priority: optional
Description: ternary language models for one task, by BitNet Distillation
 Small programs that turn a full-precision language model into a student whose
 linear layers have weights of -1, 0 and +1 and 8-bit activations, trained for
 one task, and that run, evaluate and measure the student on CPUs. Models are
 read as Hugging Face directories; the student is packed into one GGUF file.
 .
 The library that runs models inside other programs is included; to link it
 statically the suggested development packages are needed.
END
(cd "$root" && find usr -type f | LC_ALL=C sort | xargs md5sum) >"$root/DEBIAN/md5sums"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb -Zxz --root-owner-group --build "$root" "$BUILD/bd_${VERSION}_$arch.deb" >&2
