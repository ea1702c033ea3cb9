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

@test "install: programs, manual, library, headers, templates, completions" {
	for source in "$repo"/bin/bd-*.c; do
		tool=$(basename "$source" .c)
		[ -x "$prefix/bin/$tool" ]
		[ -s "$prefix/share/man/man1/$tool.1" ]
		[ -s "$prefix/share/bash-completion/completions/$tool" ]
		[ -s "$prefix/share/zsh/site-functions/_$tool" ]
		[ -s "$prefix/share/fish/vendor_completions.d/$tool.fish" ]
	done
	[ -s "$prefix/share/man/man7/bd.7" ] && [ -s "$prefix/share/man/man5/bd-stream.5" ]
	[ -s "$prefix/lib/libbd.a" ] && [ -s "$prefix/include/bd/run/infer.h" ]
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

@test "a C program is built with pkg-config, the installed headers and the library" {
	cat >program.c <<-'END'
	#include <bd/run/infer.h>
	#include <stdio.h>

	int main(int argc, char **argv)
	{
		struct bd_dev *dev = bd_dev_threads(1);
		struct bd_infer *m = argc == 2 ? bd_infer_open(argv[1], dev, false) : NULL;
		struct bd_session *s = m != NULL ? bd_session_new(m, 8) : NULL;
		float *z = s != NULL ? bd_session_feed(s, (uint32_t[]){1, 2, 3}, 3) : NULL;

		printf("%d %d\n", m->net->cfg.vocab, z[0] == z[0]);
		bd_session_free(s);
		bd_infer_close(m);
		bd_dev_close(dev);
		return 0;
	}
	END
	export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
	[ "bd-run $(pkg-config --modversion bd)" = "$(bd-run --version)" ]
	# shellcheck disable=SC2046 # lists of words
	${CC:-cc} ${SAN:+-fsanitize=address,undefined} -o program program.c $(pkg-config --cflags --libs bd)
	bd-init -q -o model "$prefix/share/bd/configs/tiny-llama.json"
	[ "$(./program model)" = "512 1" ]
}

@test "every installed header stands alone" {
	# shellcheck disable=SC2046 # a list of words
	for header in "$prefix"/include/bd/*/*.h; do
		echo "#include <bd/${header##*/include/bd/}>"
		${CC:-cc} -std=c11 -fsyntax-only -x c $(PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --cflags bd) - \
			<<<"#include <bd/${header##*/include/bd/}>"
	done
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
	find other -type f | sort >before
	make_ install DESTDIR="$PWD/other" PREFIX=/usr
	[ "$(find other -type f | wc -l)" -gt 60 ]
	make_ uninstall DESTDIR="$PWD/other" PREFIX=/usr
	find other -type f | sort | diff before -
	[ ! -e other/usr/include/bd ] && [ ! -e other/usr/share/bd/configs ]
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
