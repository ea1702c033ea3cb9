# make [check|lint|clean] [SAN=1] [BUILD=dir] [BIN=dir]
# make install|uninstall [PREFIX=/usr/local] [DESTDIR=]
# make dist|deb            a source archive, a Debian package; in BUILD, the same bytes for the same SOURCE_DATE_EPOCH
#
# CC=aarch64-linux-gnu-gcc: for another machine, in build-aarch64-linux-gnu; the tools of that prefix are used, and programs are
# run by RUN (qemu-aarch64 -L SYSROOT), if it is given: without it no shell completions are made.
# SAN=1: everything under AddressSanitizer and UndefinedBehaviorSanitizer, in build-san/; SAN=thread: under ThreadSanitizer, in
# build-tsan/; with CC=clang in build-san-clang/ and build-tsan-clang/.

ifdef SAN
BUILD ?= build-$(if $(filter thread,$(SAN)),tsan,san)$(if $(findstring clang,$(CC)),-clang)
BIN ?= $(BUILD)/bin
SANFLAGS = $(if $(filter thread,$(SAN)),-fsanitize=thread,-DBD_SAN -fsanitize=address$(comma)undefined) \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
endif
CROSS := $(patsubst %-gcc,%,$(filter %-gcc,$(CC)))
ifneq ($(CROSS),)
BUILD ?= build-$(CROSS)
BIN ?= $(BUILD)/bin
AR = $(CROSS)-ar
LD = $(CROSS)-ld
OBJCOPY = $(CROSS)-objcopy
PKG_CONFIG ?= $(shell command -v $(CROSS)-pkg-config || echo pkg-config)
endif
BUILD ?= build
BIN ?= bin
PREFIX ?= /usr/local
ZSH ?= share/zsh/site-functions
VERSION := $(shell sed -n 's/^\#define BD_VERSION "\(.*\)"/\1/p' lib/base/msg.h)

CFLAGS ?= -O3 -g
PKG_CONFIG ?= pkg-config
OBJCOPY ?= objcopy
comma := ,
PKGS := libzstd zlib libxxhash jansson libutf8proc libpcre2-8 \
	$(if $(shell $(PKG_CONFIG) --exists msgpack-c 2>/dev/null && echo yes),msgpack-c,msgpack)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS))
# Asked where something is compiled: what is built can be installed, and removed, without them.
LIBRARIES = $(if $(PKG_LIBS),,$(error libraries are missing; "sh pipelines/deps.sh --build" installs them))
override CPPFLAGS += -D_GNU_SOURCE= -iquote lib $(PKG_CFLAGS)
override CFLAGS += -std=gnu11 -Wall -Wextra -Wconversion -ffp-contract=off -fno-math-errno -pthread $(SANFLAGS) \
	-fPIC -fvisibility=hidden
OTHER_LIBS = -ldnnl -lgomp -lm -lpthread
LDLIBS = $(PKG_LIBS) $(OTHER_LIBS)

LIB = $(patsubst lib/%.c,$(BUILD)/lib/%.o,$(wildcard lib/*/*.c lib/*/*/*.c))
TOOLS = $(patsubst bin/%.c,$(BIN)/%,$(wildcard bin/bd-*.c))
TESTS = $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c tests/unit/*/test_*.c))
FUZZERS = $(patsubst tests/fuzz/harness/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/harness/*.c))
NAMES = $(notdir $(TOOLS))
SONAME = libbd.so.0

# What is installed: in.DIR lists the files that go into DIR below PREFIX.
in.bin = $(TOOLS)
in.lib = $(BUILD)/door/libbd.a $(BUILD)/door/$(SONAME)
in.lib/pkgconfig = $(BUILD)/bd.pc
in.include = lib/bd.h
in.share/man/man1 = $(wildcard man/*.1)
in.share/man/man3 = $(wildcard man/*.3)
in.share/man/man5 = $(wildcard man/*.5)
in.share/man/man7 = $(wildcard man/*.7)
in.share/doc/bd = README.md LICENSE
in.share/bd/templates = $(wildcard examples/templates/*)
in.share/bd/configs = $(wildcard examples/configs/*)
ifneq ($(or $(RUN),$(if $(CROSS),,native)),)
in.share/bash-completion/completions = $(NAMES:%=$(BUILD)/complete/bash/%)
in.$(ZSH) = $(NAMES:%=$(BUILD)/complete/zsh/_%)
in.share/fish/vendor_completions.d = $(NAMES:%=$(BUILD)/complete/fish/%.fish)
endif
INTO = $(patsubst in.%,%,$(filter in.%,$(.VARIABLES)))
OURS = share/doc/bd share/bd/templates share/bd/configs share/bd # also removed
TOP = Makefile README.md LICENSE bin lib man tests examples pipelines .ci .gitignore .clang-format
TO = $(DESTDIR)$(PREFIX)

all: $(foreach d,$(INTO),$(in.$d))

tests: $(TESTS) fuzz

fuzz: $(FUZZERS)

$(TOOLS): $(BIN)/%: $(BUILD)/bin/%.o $(BUILD)/libbd.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(TESTS): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/tests/unit/device.o $(BUILD)/libbd.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(LDLIBS)

$(filter $(BUILD)/tests/door/%,$(TESTS)): $(BUILD)/tests/unit/door/models.o

# They replay a corpus; with FUZZ_MAIN=-fsanitize=fuzzer and clang they fuzz (tests/fuzz/run.sh).
FUZZ_MAIN = $(BUILD)/tests/fuzz/main.o
$(FUZZERS): $(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/harness/%.o $(BUILD)/tests/fuzz/fuzz.o $(filter %.o,$(FUZZ_MAIN)) \
		$(BUILD)/libbd.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter -%,$(FUZZ_MAIN)) $(filter %.a,$^) $(LDLIBS)

$(BUILD)/libbd.a: $(LIB)
	rm -f $@
	$(AR) rcs $@ $^

# The library as it is installed: the names of bd.h and no others, in one object with all that they need. Once loaded, the
# shared one stays: jansson keeps pointers into it.
$(BUILD)/door/bd.o: $(BUILD)/libbd.a
	@mkdir -p $(@D)
	$(LD) -r -o $@.all $(filter $(BUILD)/lib/door/%,$(LIB)) $<
	$(OBJCOPY) --localize-hidden $@.all $@
	rm $@.all

$(BUILD)/door/libbd.a: $(BUILD)/door/bd.o
	rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/door/$(SONAME): $(BUILD)/door/bd.o
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(SONAME),-z,nodelete $(if $(SAN),,-Wl$(comma)-z$(comma)defs) -o $@ $^ \
		-Wl,--as-needed $(LDLIBS)

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(LIBRARIES)$(CC) $(CPPFLAGS) $(CFLAGS) $(ISA) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%.o: override CPPFLAGS += -iquote tests/unit -iquote tests/fuzz

# Only these files may use instructions beyond the baseline; on other architectures they are empty.
ifneq ($(filter x86_64-%,$(shell $(CC) -dumpmachine)),)
$(BUILD)/lib/machine/kern/%_avx2.o: ISA = -mavx2 -mfma -mf16c
$(BUILD)/lib/machine/kern/%_avx512.o: ISA = -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c
$(BUILD)/lib/machine/kern/%_amx.o: ISA = -mamx-tile -mamx-bf16 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma
endif
ifneq ($(filter aarch64-%,$(shell $(CC) -dumpmachine)),)
$(BUILD)/lib/machine/kern/%_dotprod.o: ISA = -march=armv8.2-a+dotprod
$(BUILD)/lib/machine/kern/%_i8mm.o: ISA = -march=armv8.2-a+dotprod+i8mm
endif

check:
	BUILD=$(BUILD) BIN=$(BIN) SAN=$(SAN) sh tests/run.sh

lint: $(LIB)
	BUILD=$(BUILD) sh tests/lint.sh

$(BUILD)/complete/bash/%: $(BIN)/%
	@mkdir -p $(@D)
	$(RUN) $(BIN)/$* --completion bash >$@
$(BUILD)/complete/zsh/_%: $(BIN)/%
	@mkdir -p $(@D)
	$(RUN) $(BIN)/$* --completion zsh >$@
$(BUILD)/complete/fish/%.fish: $(BIN)/%
	@mkdir -p $(@D)
	$(RUN) $(BIN)/$* --completion fish >$@

# Finds the library relative to its own location, so that it is the same for every PREFIX.
$(BUILD)/bd.pc: Makefile lib/base/msg.h
	@mkdir -p $(@D)
	printf '%s\n' 'prefix=$${pcfiledir}/../..' 'Name: bd' 'Description: ternary language models by BitNet Distillation' \
		'Version: $(VERSION)' 'Libs: -L$${prefix}/lib -lbd' \
		'Libs.private: $(PKG_LIBS) $(OTHER_LIBS) -pthread' 'Cflags: -I$${prefix}/include' >$@

install: all
	$(foreach d,$(INTO),install -d '$(TO)/$d' && install -m $(if $(filter bin,$d),755,644) $(in.$d) '$(TO)/$d' &&) :
	ln -sf $(SONAME) '$(TO)/lib/libbd.so'

uninstall:
	$(foreach d,$(INTO),rm -f $(foreach f,$(in.$d),'$(TO)/$d/$(notdir $f)') &&) :
	rm -f '$(TO)/lib/libbd.so'
	for d in $(OURS); do if test -d "$(TO)/$$d"; then rmdir --ignore-fail-on-non-empty "$(TO)/$$d"; fi; done

# From a clone: the files tracked by git; from an unpacked archive: everything except what was built.
dist: EPOCH := $(or $(SOURCE_DATE_EPOCH),$(shell test -e .git && git log -1 --format=%ct || stat -c %Y Makefile))
dist:
	@mkdir -p $(BUILD)
	{ test -e .git && git ls-files || find $(TOP) -type f ! -path 'bin/*' -o -path 'bin/*.c'; } | LC_ALL=C sort | \
		tar -c -T - --mtime=@$(EPOCH) --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=ustar \
		--transform='s,^,bd-$(VERSION)/,' | gzip -9n >$(BUILD)/bd-$(VERSION).tar.gz

deb: all
	BUILD=$(BUILD) BIN=$(BIN) VERSION=$(VERSION) MAKE='$(MAKE)' sh pipelines/deb.sh

clean:
	rm -rf build build-san build-san-clang build-tsan build-tsan-clang $(BUILD)
	rm -f $(TOOLS)

.PHONY: all tests fuzz check lint install uninstall dist deb clean
.SECONDARY: # keep all objects
-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)
