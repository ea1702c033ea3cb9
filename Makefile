# make [check|lint|install|clean] [SAN=1] [BUILD=dir] [BIN=dir]
# SAN=1: everything under AddressSanitizer and UndefinedBehaviorSanitizer, in build-san/.

ifdef SAN
BUILD ?= build-san
BIN ?= build-san/bin
SANFLAGS = -DBD_SAN -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
BUILD ?= build
BIN ?= bin
PREFIX ?= /usr/local

CFLAGS ?= -O3 -g
PKG_CONFIG ?= pkg-config
PKGS := libzstd libxxhash jansson libutf8proc libpcre2-8 \
	$(if $(shell $(PKG_CONFIG) --exists msgpack-c 2>/dev/null && echo yes),msgpack-c,msgpack)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS))
PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PKGS))
ifeq ($(PKG_LIBS),)
$(warning some libraries are missing; "sh pipelines/deps.sh --build" installs them)
endif
override CPPFLAGS += -D_GNU_SOURCE= -iquote lib $(PKG_CFLAGS)
override CFLAGS += -std=gnu11 -Wall -Wextra -Wconversion -ffp-contract=off -fno-math-errno -pthread $(SANFLAGS)
LDLIBS = $(PKG_LIBS) -ldnnl -lgomp -lm -lpthread

LIB = $(patsubst lib/%.c,$(BUILD)/lib/%.o,$(wildcard lib/*.c lib/kern/*.c))
TOOLS = $(patsubst bin/%.c,$(BIN)/%,$(wildcard bin/bd-*.c))
TESTS = $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
MAN1 = $(wildcard man/*.1)
MAN5 = $(wildcard man/*.5)
MAN7 = $(wildcard man/*.7)
TEMPLATES = $(wildcard examples/templates/*)

all: $(BUILD)/libbd.a $(TOOLS)

tests: $(TESTS)

$(TOOLS): $(BIN)/%: $(BUILD)/bin/%.o $(BUILD)/libbd.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(TESTS): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(BUILD)/libbd.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

$(BUILD)/libbd.a: $(LIB)
	rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(ISA) -MMD -MP -c -o $@ $<

# Only these files may use instructions beyond the baseline; elsewhere than on x86-64 they are empty.
ifneq ($(filter x86_64-%,$(shell $(CC) -dumpmachine)),)
$(BUILD)/lib/kern/%_avx2.o: ISA = -mavx2 -mfma -mf16c
$(BUILD)/lib/kern/%_avx512.o: ISA = -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c
$(BUILD)/lib/kern/%_amx.o: ISA = -mamx-tile -mamx-bf16 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma
endif

check:
	BUILD=$(BUILD) BIN=$(BIN) SAN=$(SAN) sh tests/run.sh

lint:
	sh tests/lint.sh

install: all
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin share/man/man1 share/man/man5 share/man/man7 share/bd/templates)
	$(if $(TOOLS),install $(TOOLS) $(DESTDIR)$(PREFIX)/bin)
	$(if $(MAN1),install -m 644 $(MAN1) $(DESTDIR)$(PREFIX)/share/man/man1)
	$(if $(MAN5),install -m 644 $(MAN5) $(DESTDIR)$(PREFIX)/share/man/man5)
	$(if $(MAN7),install -m 644 $(MAN7) $(DESTDIR)$(PREFIX)/share/man/man7)
	$(if $(TEMPLATES),install -m 644 $(TEMPLATES) $(DESTDIR)$(PREFIX)/share/bd/templates)

uninstall:
	cd $(DESTDIR)$(PREFIX)/bin && rm -f $(notdir $(TOOLS))
	cd $(DESTDIR)$(PREFIX)/share/man && rm -f $(MAN1:man/%=man1/%) $(MAN5:man/%=man5/%) $(MAN7:man/%=man7/%)
	rm -rf $(DESTDIR)$(PREFIX)/share/bd

clean:
	rm -rf build build-san $(BUILD)
	rm -f $(TOOLS)

.PHONY: all tests check lint install uninstall clean
.SECONDARY: # keep all objects
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
