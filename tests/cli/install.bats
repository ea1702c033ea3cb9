#!/usr/bin/env bats
# make install, uninstall and dist; programs, templates, library and completions work from any prefix.

bats_require_minimum_version 1.5.0

setup_file() {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_FILE_TMPDIR" || return
	make_ install DESTDIR="$PWD/root" PREFIX=/opt/bd
}

setup() {
	repo=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	cd "$BATS_FILE_TMPDIR" || return
	prefix=$PWD/root/opt/bd
}

# Calls make as run.sh does, so that nothing is rebuilt.
make_() {
	make -s -C "$repo" BUILD="${BUILD:-build}" BIN="${BIN:-bin}" SAN="${SAN-}" "$@"
}

@test "install: programs, manual, library, header, templates, completions" {
	for source in "$repo"/bin/bd-*.c; do
		tool=$(basename "$source" .c)
		[ -x "$prefix/bin/$tool" ]
		[ -s "$prefix/share/man/man1/$tool.1" ]
		[ -s "$prefix/share/bash-completion/completions/$tool" ]
		[ -s "$prefix/share/zsh/site-functions/_$tool" ]
		[ -s "$prefix/share/fish/vendor_completions.d/$tool.fish" ]
	done
	[ -s "$prefix/share/man/man7/bd.7" ] && [ -s "$prefix/share/man/man5/bd-stream.5" ]
	[ -s "$prefix/share/man/man3/bd.3" ]
	[ -s "$prefix/lib/libbd.a" ] && [ "$(readlink "$prefix/lib/libbd.so")" = libbd.so.0 ]
	[ "$(ls "$prefix/include")" = bd.h ]
	diff -r "$repo/examples/templates" "$prefix/share/bd/templates"
	diff -r "$repo/examples/configs" "$prefix/share/bd/configs"
}

@test "installed programs and those in the build tree find the templates by name" {
	printf 'sentence\tlabel\na joy\t1\n' >rows.tsv
	env -i "$prefix/bin/bd-data" -q --template sst2 --tokenizer "$repo/tests/golden/tok-bytes.json" -o a.bds rows.tsv
	[ "$("$prefix/bin/bd-info" a.bds | grep -c '^  name: sst2$')" -eq 1 ]
	if [ "${BIN-$repo/bin}" = "$repo/bin" ]; then # beside examples/
		bd-data -q --template sst2 --tokenizer "$repo/tests/golden/tok-bytes.json" -o b.bds rows.tsv
		[ "$(bd-info b.bds | grep -c '^  name: sst2$')" -eq 1 ]
	fi
	run -3 "$prefix/bin/bd-data" --template sst3 --tokenizer "$repo/tests/golden/tok-bytes.json" rows.tsv
	[[ $output == *"sst3: no such template"* ]]
}

# build OUTPUT SOURCE [OPTION...]: with what pkg-config says.
build() {
	# shellcheck disable=SC2046 # lists of words
	"${compiler:-${CC:-cc}}" -Wall -Wextra -Werror -pedantic ${SAN:+-fsanitize=address,undefined} -o "$1" "$2" "${@:3}" \
		$(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags --libs bd) -Wl,-rpath,"$prefix/lib"
}

make_models() {
	[ -e lm ] && return
	bd-init -q --tokenizer "$repo/tests/golden/tok-bytes.json" -o lm "$prefix/share/bd/configs/tiny-llama.json"
	printf 'sentence\tlabel\na joy\t1\na bore\t0\n' |
		bd-data -q --template "$prefix/share/bd/templates/sst2.json" --tokenizer lm -o rows.bds
	bd-sft -q -t 1 --model lm -o task rows.bds
	bd-subln -q task -o s0
	bd-sft -q -t 1 --model s0 --weights ternary -o student rows.bds
	bd-pack -q student -o task.gguf
}

# A program PROG MODEL TEXT says what bd-run says.
answers() {
	"$@" lm "the story was" >got
	bd-run -n 24 -p "the story was" lm | diff - got
}

classifies() {
	for model in task student task.gguf; do
		"$@" "$model" "a joy" >got
		bd-run -p "a joy" "$model" | diff - got
	done
	run "$@" nowhere "a joy"
	[ "$status" -eq 1 ] && [ "$output" = "nowhere: cannot open: No such file or directory" ]
}

@test "the library has the names of bd.h and no others, shared and static" {
	sed -n 's/^[a-z].*[ *]\(bd_[a-z_]*\)(.*/\1/p' "$prefix/include/bd.h" | sort >names
	[ "$(wc -l <names)" -gt 20 ] && [ "$(wc -l <names)" -le 40 ]
	nm -D --defined-only "$prefix/lib/libbd.so.0" | sed -n 's/.* [A-Z] //p' | grep -v '^__[a-z]*san_' | sort | diff names -
	nm -g --defined-only "$prefix/lib/libbd.a" | sed -n 's/.* [A-Z] //p' | grep -v '^__[a-z]*san_' | sort | diff names -
	objdump -p "$prefix/lib/libbd.so.0" | grep -q 'SONAME *libbd.so.0$'
}

@test "the example is C and C++, with the shared and the static library" {
	make_models
	build embed "$repo/examples/embed.c" -std=c11
	answers ./embed
	classifies ./embed
	if command -v "${CXX:-g++}" >/dev/null; then
		compiler=${CXX:-g++} build embed++ "$repo/examples/embed.c" -x c++ -std=c++11
		answers ./embed++
		classifies ./embed++
	fi
	# shellcheck disable=SC2046 # lists of words
	${CC:-cc} ${SAN:+-fsanitize=address,undefined} -o static "$repo/examples/embed.c" -I"$prefix/include" \
		"$prefix/lib/libbd.a" $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --libs --static bd | sed 's/-lbd\>//')
	answers ./static
	[ "bd-run $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --modversion bd)" = "$(bd-run --version)" ]
}

@test "the manual's example" {
	make_models
	mandoc -T man "$prefix/share/man/man3/bd.3" >/dev/null
	sed -n '/^#include <bd.h>/,/^}/p' "$prefix/share/man/man3/bd.3" | sed 's/\\e/\\/g' >manual.c
	build manual manual.c -std=c11
	./manual lm >got
	bd-run -p "Once upon a time" lm | head -c -1 | cmp - got
}

@test "the example in Python" {
	command -v python3 >/dev/null || skip "no python3"
	[ -z "$SAN" ] || skip "python3 is not built with the sanitizers"
	make_models
	answers python3 "$repo/examples/embed.py" "$prefix/lib/libbd.so"
	run python3 "$repo/examples/embed.py" "$prefix/lib/libbd.so" nowhere x
	[ "$status" -eq 1 ] && [ "$output" = "nowhere: cannot open: No such file or directory" ]
}

@test "the header stands alone, in C and C++" {
	for std in c99 c11 c17; do
		${CC:-cc} -std=$std -pedantic -Wall -Wextra -Werror -fsyntax-only -x c -I"$prefix/include" - <<<"#include <bd.h>"
	done
	command -v "${CXX:-g++}" >/dev/null || skip "no C++"
	${CXX:-g++} -std=c++11 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c++ -I"$prefix/include" - <<<"#include <bd.h>"
}

@test "completion in bash: options, choices, paths, --name=value" {
	reply() { # TOOL WORD...: prints the completions of the last word
		(
			. "$prefix/share/bash-completion/completions/$1"
			COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
			"_$1" 2>/dev/null # compopt complains outside a real completion
			echo "${COMPREPLY[@]}"
		)
	}
	complete -p bd-distill 2>/dev/null && false
	(. "$prefix/share/bash-completion/completions/bd-distill" && complete -p bd-distill) | grep -q -- '-F _bd-distill bd-distill'
	[ "$(reply bd-distill --gam)" = "--gamma --gamma-ratio" ]
	[ "$(reply bd-distill --objective "")" = "kl cakld" ]
	[ "$(reply bd-distill --objective = ca)" = "cakld" ]
	[ "$(reply bd-distill --objective =)" = "kl cakld" ]
	[ "$(reply bd-distill -o "")" = "" ]
	[ "$(reply bd-distill --lr "")" = "" ]
	# Every option that --help lists.
	for source in "$repo"/bin/bd-*.c; do
		tool=$(basename "$source" .c)
		"$prefix/bin/$tool" --help | sed -n 's/^  \(-., \|    \)\(--[a-z0-9-]*\).*/\2/p' | sort >has
		reply "$tool" -- | tr ' ' '\n' | grep '^--' | sort | diff has -
	done
}

@test "completion in zsh and fish: the same options" {
	for source in "$repo"/bin/bd-*.c; do
		tool=$(basename "$source" .c)
		zsh=$prefix/share/zsh/site-functions/_$tool fish=$prefix/share/fish/vendor_completions.d/$tool.fish
		"$prefix/bin/$tool" --help | sed -n 's/^  \(-., \|    \)--\([a-z0-9-]*\).*/\2/p' | sort >has
		sed -n "s/^complete -c $tool \\(-s . \\)*-l \\([a-z0-9-]*\\) -d '.*'.*/\\2/p" "$fish" | sort | diff has -
		[ "$(head -n 1 "$zsh")" = "#compdef $tool" ]
		sed -nE "s/^\t'\*?(\(-. --[a-z0-9-]+\)'\{-.\+?,)?--([a-z0-9-]+)=?(\}'\[|\[).*\].*'( \\\\)?$/\2/p" "$zsh" | sort | diff has -
		! command -v zsh >/dev/null || zsh -n "$zsh"
		! command -v fish >/dev/null || fish -n "$fish"
	done
}

@test "uninstall removes what install wrote, and nothing else" {
	mkdir -p other/usr/bin other/usr/share/bd/templates
	touch other/usr/bin/bd-other other/usr/share/bd/templates/mine.json
	find other -type f -o -type l | sort >before
	make_ install DESTDIR="$PWD/other" PREFIX=/usr
	[ "$(find other -type f | wc -l)" -gt 60 ]
	make_ uninstall DESTDIR="$PWD/other" PREFIX=/usr
	find other -type f -o -type l | sort | diff before -
	[ ! -e other/usr/include/bd.h ] && [ ! -L other/usr/lib/libbd.so ] && [ ! -e other/usr/share/bd/configs ]
}

@test "dist: the same SOURCE_DATE_EPOCH gives the same bytes, also from the unpacked archive" {
	version=$(bd-run --version)
	name=bd-${version#bd-run }
	export SOURCE_DATE_EPOCH=1700000000
	make -s -C "$repo" BUILD="$PWD/dist1" dist
	tar -xzf "dist1/$name.tar.gz"
	[ "$(tar -tzf "dist1/$name.tar.gz" | grep -vc "^$name/")" -eq 0 ]
	[ "$(stat -c %Y "$name/Makefile")" -eq 1700000000 ]
	[ -x "$name/.ci/run" ] && [ -s "$name/lib/machine/kern/ref.c" ] && [ ! -e "$name/bin/bd-run" ]
	mkdir -p "$name/build" && touch "$name/bin/bd-run" "$name/build/x.o"
	make -s -C "$name" BUILD="$PWD/dist2" dist
	cmp "dist1/$name.tar.gz" "dist2/$name.tar.gz"
	unset SOURCE_DATE_EPOCH # the date is then that of the source
	make -s -C "$name" BUILD="$PWD/dist3" dist
	cmp "dist1/$name.tar.gz" "dist3/$name.tar.gz"
}
