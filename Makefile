# moonrise. On a fresh Debian: `make deps` once, then `make` and `make check`.
#
#   make                    build/moonrise: the release, one static file with musl;
#                           build/moonrise-bus: D-Bus for it, with glibc and libsystemd
#   make LIBC=glibc         build/glibc/moonrise: for valgrind and coverage
#   make LIBC=glibc SAN=1   build/glibc-asan/moonrise: with ASan and UBSan
#   make CC=clang           works with each LIBC=glibc: build/glibc-clang/moonrise, ...
#   make check-one T=tests/boot/test_x.py::test_y
#   V=1 shows the commands; DEPS=DIR is where the sources of Lua and libcap are kept.

VERSION = 0.1.0
PREFIX  = /usr/local
LIBC   ?= musl
DEPS   ?= build/deps
DKJSON ?= /usr/share/lua/5.4//dkjson.lua

ifeq ($(origin CC),default)
CC = $(if $(filter musl,$(LIBC)),musl-gcc,gcc)
endif

O   = build/$(LIBC)$(if $(findstring clang,$(CC)),-clang)$(if $(SAN),-asan)
BIN = $(if $(filter build/musl,$O),build,$O)/moonrise
BUS = $(BIN)-bus

# All rules are in here: make's own would only be tried in vain.
MAKEFLAGS += --no-builtin-rules

# ---- flags

WARN     = -std=gnu17 -Wall -Wextra -Werror
OPT      = -O2 -g
CPPFLAGS = -D_GNU_SOURCE -DMOONRISE_VERSION='"$(VERSION)"' -iquote core -isystem $(LUA)/src \
	   -isystem $(LIBCAP)/libcap/include -isystem $O/include
CFLAGS   = $(OPT) -ffunction-sections -fdata-sections
LDFLAGS  = -Wl,--gc-sections

ifeq ($(LIBC),musl)
NEAR      = core/make/near.ld
CFLAGS   += -fno-pie # a static program stays where it is
CFLAGS   += -fno-asynchronous-unwind-tables # nobody unwinds; they would be mapped, too
LDFLAGS  += -static
CPPFLAGS += -isystem $O/kernel # musl-gcc hides the kernel's headers together with glibc's
endif
ifeq ($(LIBC)$(SAN),glibc)
CPPFLAGS += -DSPAWN_SHARES_FDS=0 # valgrind has no such clone
endif
ifdef SAN
OPT       = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CPPFLAGS += -DLUA_USE_APICHECK -DMEMORY_LARGE_MAX=0
endif

ifndef V
.SILENT:
say = echo "  $1	$2"
endif

# ---- moonrise

LUA     = $(DEPS)/lua
LIBCAP  = $(DEPS)/libcap
CORE_O  = $(patsubst core/%.c,$O/%.o,$(filter-out core/main.c core/embed.c,$(wildcard core/*.c)))
MODULES = $(shell find lua -name '*.lua' | LC_ALL=C sort)
LUA_O   = $(addprefix $O/lua/,$(addsuffix .o, \
	  lapi lauxlib lbaselib lcode lcorolib lctype ldblib ldebug ldo ldump lfunc lgc linit \
	  liolib llex lmathlib lmem loadlib lobject lopcodes loslib lparser lstate lstring \
	  lstrlib ltable ltablib ltm lundump lutf8lib lvm lzio))
LIBS    = $O/core.a $O/libcap.a -lm

all: $(BIN) $(BUS)

$(BIN): $O/moonrise.debug
	strip -o $@ $<

$O/moonrise.debug: $O/main.o $O/core.a $O/libcap.a $(NEAR)
	$(call say,LINK,$(BIN))
	$(CC) $(CFLAGS) $(LDFLAGS) $(NEAR:%=-Wl,-T,%) -o $@ $< $(LIBS)

# A program like any other: what musl-gcc builds can't use the distribution's libraries.
BUS_CC  = $(if $(filter musl,$(LIBC)),gcc,$(CC))
BUS_O   = $(patsubst core/bus/%.c,$O/bus/%.o,$(wildcard core/bus/*.c))

$(BUS): $(BUS_O)
	$(call say,LINK,$@)
	$(BUS_CC) $(OPT) $(if $(SAN),,-s) -o $@ $^ -lsystemd

$O/bus/%.o: core/bus/%.c $O/ready $O/flags
	$(call say,CC,$@)
	mkdir -p $(@D)
	$(BUS_CC) $(WARN) -D_GNU_SOURCE -DMOONRISE_VERSION='"$(VERSION)"' -iquote core $(OPT) -MMD -MP -c -o $@ $<

$O/core.a: $(CORE_O) $O/embedded.o $(LUA_O)
	rm -f $@
	ar rcs $@ $^

$O/%.o: core/%.c $O/ready $O/flags
	$(call say,CC,$@)
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# What waits for people, for the building of an image or for a disk need not be quick.
ifndef SAN
$(patsubst %,$O/%.o,bind_file changes client describe diff edit enter file forward handover image \
	lay_folder lay_op layers ledger listing logfile merge mounts owners populate present snapshot \
	split split_late split_plan standing top upgrade upgrade_act volume words worker): \
	private OPT = -Os -g
endif

# The Lua modules, as bytecode; dkjson is Debian's lua-dkjson.
$O/embed: $O/embed.o $(LUA_O)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lm

$O/embedded.c: $O/embed $(MODULES) $O/modules
	$(call say,EMBED,$@)
	$< $(patsubst lua/%,lua//%,$(MODULES)) $(DKJSON) > $@.new
	mv $@.new $@

$O/embedded.o: $O/embedded.c $O/flags
	$(CC) $(WARN) $(CPPFLAGS) $(OPT) -fdata-sections -c -o $@ $<

# The list of modules is a file, so that a module that is gone is noticed, too. So are
# the flags: another flag makes everything again.
$O/modules: NOW = $(MODULES)
$O/flags: NOW = $(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $(LUA_CFLAGS)
$O/modules $O/flags: $O/ready always
	$(file > $@.new,$(NOW))
	cmp -s $@.new $@ || cp $@.new $@

# ---- Lua and libcap, from the distribution's source packages

$(DEPS)/ready:
	core/make/packages --missing $(BUILD)
	$(call say,FETCH,the sources of Lua and libcap)
	core/make/sources $(DEPS)

$O/ready: $(DEPS)/ready core/make/flavour
	core/make/flavour $O $(LIBC)
	touch $@

# Lua copies thousands of short strings while it starts; musl's memcpy is slow at that.
ifeq ($(LIBC)-$(shell uname -m),musl-x86_64)
LUA_CFLAGS = -minline-stringops-dynamically
endif
LUA_CFLAGS += -DMINSTRTABSIZE=1024 # what our modules need at once

$O/lua/%.o: $O/ready $O/flags
	$(call say,CC,$@)
	$(CC) -std=gnu17 $(CPPFLAGS) -DLUA_USE_POSIX $(CFLAGS) $(LUA_CFLAGS) -c -o $@ $(LUA)/src/$*.c

# Its constructor would cost every start of moonrise some system calls: cred.c calls
# it when capabilities are asked for.
$O/libcap.a: $O/ready $O/flags
	$(call say,MAKE,$@)
	rm -rf $O/libcap && cp -a $(LIBCAP) $O/libcap
	$(MAKE) -C $O/libcap/libcap libcap.a BUILD_CC="gcc -no-pie" \
		COPTS="$(CFLAGS) '-Dconstructor(priority)=used'" CC="$(CC) \
		$(if $(filter musl,$(LIBC)),-isystem $(abspath $O)/kernel)" > $O/libcap.log 2>&1 || \
		{ cat $O/libcap.log; exit 1; }
	cp $O/libcap/libcap/libcap.a $@

# ---- tests: tests/run knows the rings and counts

RINGS = lint unit boot alloc asan valgrind fuzz doc crash container trixie
SLOW  = apps

check:
	tests/run lint unit boot

check-all: # of the crash matrix, every seventh point; `make check-crash` tries all
	CRASH_STEP=7 tests/run $(RINGS)

check-one: all
	MOONRISE=$(BIN) /usr/bin/python3 -m pytest -q $(T)

$(RINGS:%=check-%) $(SLOW:%=check-%):
	tests/run $(@:check-%=%)

# One program for each tests/unit/NAME.c; cmocka is there for glibc only.
UNIT = $(patsubst tests/unit/%.c,$O/unit/%,$(wildcard tests/unit/*.c))

unit: $(UNIT)

$(UNIT): $O/unit/%: tests/unit/%.c $O/core.a $O/libcap.a
	$(call say,LINK,$@)
	mkdir -p $(@D)
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -o $@ $< $(LIBS) -lcmocka

# The allocation sweep wraps malloc, so that it fails when it is told to.
$O/sweep: tests/alloc/sweep.c $O/core.a $O/libcap.a
	$(call say,LINK,$@)
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc \
		-MMD -MP -o $@ $< $(LIBS)

sweep: $O/sweep

$O/strike: tests/crash/strike.c $O/ready
	$(call say,LINK,$@)
	$(CC) $(WARN) -D_GNU_SOURCE -O2 -g -MMD -MP -o $@ $< -lseccomp

strike: $O/strike

# ---- manual, installation

PAGES = $(patsubst doc/%.scd,build/doc/%,$(wildcard doc/*.scd))

doc: $(PAGES)

build/doc/%: doc/%.scd
	mkdir -p $(@D)
	scdoc < $< > $@

INSTALLED = bin/moonrise libexec/moonrise/moonrise-bus share/bash-completion/completions/moonrise \
	    $(foreach page,$(notdir $(PAGES)),share/man/man$(subst .,,$(suffix $(page)))/$(page))

install: all doc
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/moonrise
	install -D -m 755 $(BUS) $(DESTDIR)$(PREFIX)/libexec/moonrise/moonrise-bus
	install -D -m 644 doc/moonrise.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/moonrise
	set -e; for page in $(PAGES); do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; \
	done

uninstall:
	rm -f $(INSTALLED:%=$(DESTDIR)$(PREFIX)/%)
	! [ -d $(DESTDIR)$(PREFIX)/libexec/moonrise ] || rmdir $(DESTDIR)$(PREFIX)/libexec/moonrise

dist:
	mkdir -p build
	git archive --prefix=moonrise-$(VERSION)/ -o build/moonrise-$(VERSION).tar.gz HEAD

# Installs what it needs by itself, and builds.
demo:
	examples/httpd/demo

bench: all
	tests/bench/run
	tests/bench/services
	tests/bench/logs
	tests/bench/volumes
	tests/bench/389ds

# ---- what has to be installed; those of BUILD are enough for `make` and `make install`

BUILD    = make gcc libc6-dev libsystemd-dev linux-libc-dev musl-tools patch scdoc xz-utils lua-dkjson
CHECK    = clang clang-format cppcheck dbus-bin dbus-daemon git iproute2 libc6-dbg libcap2-bin libclang-rt-dev libcmocka-dev \
	   libseccomp-dev lua-busted lua-check lua5.4 mandoc procps python3 python3-dbus python3-pexpect python3-pytest \
	   python3-pytest-xdist python3-systemd shellcheck systemd tzdata util-linux valgrind
PODMAN   = busybox-static ca-certificates curl debootstrap iptables netavark podman runc

deps:
	core/make/packages $(BUILD) $(CHECK) $(PODMAN)
	$(MAKE) $(DEPS)/ready

packages: # for tests/container/check-in
	echo $(BUILD) $(CHECK)

clean: # but not the downloaded sources
	find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +

# The base images of the container tests, which are kept between runs.
clean-images:
	tests/container/base-image --remove

distclean:
	rm -rf build

# A source that a .d file names and that has moved is no reason to stop.
%.c: ;

-include $(wildcard $O/*.d $O/bus/*.d $O/unit/*.d)
.PHONY: all always check check-all check-one unit sweep strike doc install uninstall dist demo bench deps packages \
	clean clean-images distclean \
	$(RINGS:%=check-%) $(SLOW:%=check-%)
.DELETE_ON_ERROR:
