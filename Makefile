# moonrise: `make deps` once, then `make`, `make check`.
#
#   make                    build/moonrise: one static musl file, the release
#   make LIBC=glibc         build/glibc/moonrise: for valgrind and coverage
#   make LIBC=glibc SAN=1   build/glibc-asan/moonrise: ASan and UBSan
#   CC=clang                with LIBC=glibc: build/glibc-clang/...
#   DEPS=DIR                where the sources of Lua and libcap are kept

VERSION = 0.1.0
PREFIX  = /usr/local
LIBC   ?= musl
DEPS   ?= build/deps
DKJSON ?= /usr/share/lua/5.4//dkjson.lua

ifeq ($(origin CC),default)
CC = $(if $(filter musl,$(LIBC)),musl-gcc,gcc)
endif

O   = build/$(LIBC)$(if $(findstring clang,$(CC)),-clang)$(if $(SAN),-asan)
BIN = $(if $(filter build/musl,$(O)),build,$(O))/moonrise

# ---- flags

WARN     = -std=gnu17 -Wall -Wextra -Werror
OPT      = -O2 -g
CPPFLAGS = -D_GNU_SOURCE -DMOONRISE_VERSION='"$(VERSION)"' -Icore -I$(LUA)/src -I$O/include
SECTIONS = -ffunction-sections -fdata-sections
LDFLAGS  = -Wl,--gc-sections

ifeq ($(LIBC),musl)
LDFLAGS  += -static
# musl-gcc hides the kernel's headers together with glibc's.
CPPFLAGS += -isystem $O/kernel
endif
ifdef SAN
OPT      = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
CPPFLAGS += -DLUA_USE_APICHECK
endif
CFLAGS = $(OPT) $(SECTIONS)

# ---- sources

LUA     = $(DEPS)/lua
LIBCAP  = $(DEPS)/libcap
SOURCES = $(filter-out core/embed.c,$(wildcard core/*.c))
OBJECTS = $(SOURCES:core/%.c=$O/%.o)
MODULES = $(shell find lua -name '*.lua' | LC_ALL=C sort)
LUA_C   = lapi lauxlib lbaselib lcode lcorolib lctype ldblib ldebug ldo ldump lfunc lgc linit liolib \
	  llex lmathlib lmem loadlib lobject lopcodes loslib lparser lstate lstring lstrlib ltable \
	  ltablib ltm lundump lutf8lib lvm lzio
LUA_O   = $(LUA_C:%=$O/lua/%.o)

all: $(BIN)

$(BIN): $O/moonrise.debug
	strip -o $@ $<

$O/moonrise.debug: $(OBJECTS) $O/embedded.o $(LUA_O) $O/libcap.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm

$O/%.o: core/%.c $O/ready
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -c -o $@ $<

# ---- the Lua modules, as bytecode

$O/embed: $O/embed.o $(LUA_O)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm

$O/embedded.c: $O/embed $(MODULES) Makefile
	$< $(patsubst lua/%,lua//%,$(MODULES)) $(DKJSON) > $@.new
	mv $@.new $@

$O/embedded.o: $O/embedded.c
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# ---- Lua and libcap, from the distribution's source packages

$(DEPS)/ready:
	tools/sources $(DEPS)

$O/ready: $(DEPS)/ready
	tools/flavour $O $(LIBC)
	touch $@

$O/lua/%.o: $O/ready
	$(CC) -std=gnu17 $(CPPFLAGS) -DLUA_USE_POSIX $(CFLAGS) -c -o $@ $(LUA)/src/$*.c

$O/libcap.a: $O/ready
	rm -rf $O/libcap && cp -a $(LIBCAP) $O/libcap
	$(MAKE) -C $O/libcap/libcap libcap.a BUILD_CC=gcc \
		CC="$(CC) $(if $(filter musl,$(LIBC)),-isystem $(abspath $O)/kernel)" \
		COPTS="$(CFLAGS)" > $O/libcap.log 2>&1 || { cat $O/libcap.log; exit 1; }
	cp $O/libcap/libcap/libcap.a $@

clean:
	find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +

distclean:
	rm -rf build

-include $(wildcard $O/*.d)
.PHONY: all clean distclean
.DELETE_ON_ERROR:
