# SPDX-License-Identifier: GPL-2.0-or-later
#
#   make                  build/mallocpath and the tests' programs
#   make check            unit and command line tests
#   make kmod             build/kmod/RELEASE/mallocpath.ko (KDIR: the kernel's build directory)
#   make install-dkms     the module's sources for DKMS, in DESTDIR/usr/src
#   make bench            what tracing costs, beside libbpf-tools' memleak
#   make install          DESTDIR, prefix (/usr/local), bindir, mandir, docdir
#   make clean            removes build/
#   V=1 full commands; WERROR=1 warnings are errors; SAN=1 ASan+UBSan and -Werror, in build/san/
#
# Everything built lands in build/. BPF objects do not depend on SAN and are built once.

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

BUILD := build
O := $(if $(SAN),$(BUILD)/san,$(BUILD))

CC         := $(if $(filter default,$(origin CC)),gcc,$(CC))
CXX        := $(if $(filter default,$(origin CXX)),g++,$(CXX))
CLANG      ?= clang
BPFTOOL    ?= $(shell PATH="$$PATH:/usr/sbin:/sbin" command -v bpftool || echo bpftool)
PKG_CONFIG ?= pkg-config
INSTALL    ?= install

prefix ?= /usr/local
bindir ?= $(prefix)/bin
mandir ?= $(prefix)/share/man
docdir ?= $(prefix)/share/doc/mallocpath
bashdir ?= $(prefix)/share/bash-completion/completions
zshdir ?= $(prefix)/share/zsh/site-functions

Q := $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' '$(1)' '$(2)')

# --- what this machine's libraries offer (scripts/config asks by compiling)

ifneq ($(filter-out clean uninstall,$(or $(MAKECMDGOALS),all)),)
include $(BUILD)/config.mk
endif

# --- flags

comma := ,
warnings := -Wall -Wextra -Werror=implicit-function-declaration -Wshadow -Wmissing-prototypes -Wformat=2
werror := $(if $(SAN)$(filter 1,$(WERROR) $(CI)),-Werror)
sanitize := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer)

OPT ?= -O2
CFLAGS ?= $(OPT) -g
std := -std=gnu11 -D_GNU_SOURCE
includes := -Iuser -I$(BUILD)/bpf -include $(BUILD)/config.h
cflags = $(std) $(warnings) $(werror) $(includes) $(CPPFLAGS) $(CFLAGS) $(sanitize)
depflags = -MMD -MP -MT $@ -MF $(@:.o=.d)

bpf_arch := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))
multiarch := $(shell $(CC) -print-multiarch 2>/dev/null)
bpfflags = -target bpf -g -O2 -mcpu=v3 -std=gnu11 -Wall -Wextra -Wno-unused-parameter \
	-Wno-missing-declarations $(werror) -D__TARGET_ARCH_$(bpf_arch) -Ibpf $(BPF_DEFINES) \
	$(if $(multiarch),-idirafter /usr/include/$(multiarch))

# --- sources

sources := $(sort $(wildcard user/*/*.c))
main := $(wildcard user/main.c)
objects := $(sources:%.c=$(O)/%.o)
model_objects := $(filter $(O)/user/base/% $(O)/user/trace/% $(O)/user/model/%,$(objects))
skeleton_users := $(filter $(O)/user/collect/% $(O)/user/cli/% $(O)/user/main.o,\
	$(objects) $(main:%.c=$(O)/%.o))

bpf_sources := $(sort $(wildcard bpf/*.bpf.c))
question_sources := $(sort $(wildcard bpf/question/*.bpf.c))
skeletons := $(if $(bpf_sources),$(BUILD)/bpf/mallocpath.skel.h) \
	$(question_sources:bpf/%.bpf.c=$(BUILD)/bpf/%.skel.h)

# Of tests/unit/*.c, those with a main() are tests, the others are linked into each.
unit_sources := $(sort $(wildcard tests/unit/*.c))
unit_mains := $(if $(unit_sources),$(sort $(shell grep -lw '^int main' $(unit_sources))))
unit_tests := $(unit_mains:%.c=$(O)/%)
unit_utils := $(patsubst %.c,$(O)/%.o,$(filter-out $(unit_mains),$(unit_sources)))
fuzzers := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/fuzz/*.c)))
benches := $(patsubst %.c,$(O)/%,$(sort $(wildcard tests/bench/*.c)))
workloads := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard tests/workload/*.c))) \
	$(patsubst %.cc,$(BUILD)/%,$(sort $(wildcard tests/workload/*.cc)))

library := $(O)/libmallocpath.a
model_library := $(O)/libmallocpath-model.a
program := $(if $(main),$(O)/mallocpath)

# --- targets

.PHONY: all lib bpf witness tests unit fuzz workloads benches syntax check bench install uninstall clean
all: $(program) $(library) $(model_library)
lib: $(library) $(model_library)
bpf: $(skeletons)
unit: $(unit_tests)
fuzz: $(fuzzers)
workloads: $(workloads)
benches: $(benches)
tests: unit workloads benches tiers

$(BUILD)/config.mk: scripts/config
	$(call say,CONFIG,$@)
	$(Q)CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' scripts/config $(BUILD)
$(BUILD)/config.h: $(BUILD)/config.mk ;

$(O)/mallocpath: $(O)/user/main.o $(library)
	$(call say,LD,$@)
	$(Q)$(CC) $(sanitize) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(library): $(objects)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(model_library): $(model_objects)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/user/%.o: user/%.c $(BUILD)/config.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(cflags) $(depflags) -c -o $@ $<

$(skeleton_users): | $(skeletons)

# What MP_EMBED (user/view/embed.h) takes in is not among what the compiler lists.
$(O)/user/view/flame.o $(BUILD)/fuzz/user/view/flame.o: user/view/flame.js user/view/flame.css
# The HTML view's own files are put in by the assembler, which tells of no dependencies.
$(O)/user/view/html_assets.o $(BUILD)/fuzz/user/view/html_assets.o: $(wildcard user/view/html/*)

# --- kernel side: bpf/*.bpf.c are linked into one skeleton, bpf/question/*.bpf.c have one each

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,CLANG,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(bpfflags) $(depflags) -c -o $@ $<

$(BUILD)/bpf/mallocpath.linked.o: $(bpf_sources:%.c=$(BUILD)/%.o)
	$(call say,BPFLINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

# Written beside and renamed: a skeleton cut short by an error must not be taken for a whole one.
$(BUILD)/bpf/mallocpath.skel.h: $(BUILD)/bpf/mallocpath.linked.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name mallocpath_bpf >$@.tmp && mv $@.tmp $@

$(BUILD)/bpf/question/%.skel.h: $(BUILD)/bpf/question/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf >$@.tmp && mv $@.tmp $@

# --- tests

$(O)/tests/%.o: tests/%.c $(BUILD)/config.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(cflags) -Itests/unit $(depflags) -c -o $@ $<

$(unit_tests): $(O)/tests/unit/%: $(O)/tests/unit/%.o $(unit_utils) $(library)
	$(call say,LD,$@)
	$(Q)$(CC) $(sanitize) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CMOCKA_LIBS) $(LIBS) -lm
$(unit_tests:%=%.o) $(unit_utils): | $(skeletons)

$(benches:%=%.o): | $(skeletons)

$(O)/tests/bench/frames.o: CFLAGS += -fno-omit-frame-pointer -fno-optimize-sibling-calls
$(benches): $(O)/tests/bench/%: $(O)/tests/bench/%.o $(library)
	$(call say,LD,$@)
	$(Q)$(CC) $(sanitize) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $^ $(LIBS) -lm

# The other witness of tests/stacks; it shares no code with the program.
witness: $(BUILD)/tests/stacks/oracle
$(BUILD)/tests/stacks/oracle: tests/stacks/oracle.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(std) -Wall -Wextra $(werror) -O2 -g -o $@ $< -lbpf -ldw -lelf

# That of tests/tiers: breakpoints inside libc. The program it is put into is traced: nothing sanitized.
tiers := $(addprefix $(BUILD)/tests/tiers/,places truth.so mix ratchet)
.PHONY: tiers
tiers: $(tiers)
tiers_flags = $(std) -Wall -Wextra $(werror) -O2 -g
$(BUILD)/tests/tiers/places: tests/tiers/places.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(tiers_flags) -o $@ $< -ldw -lelf -lZydis
$(BUILD)/tests/tiers/truth.so: tests/tiers/truth.c bpf/event.h bpf/retention.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(tiers_flags) -shared -fPIC -o $@ $<
$(BUILD)/tests/tiers/mix $(BUILD)/tests/tiers/ratchet: $(BUILD)/tests/tiers/%: tests/tiers/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(tiers_flags) -pthread -o $@ $<

# Workloads are traced, so they are plain programs: never sanitized, nothing optimized away.
$(BUILD)/tests/workload/%: tests/workload/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D) && $(CC) $(std) -Wall -Wextra $(werror) -O1 -g -pthread \
		-MMD -MP -MT $@ -MF $@.d -o $@ $< -ldl

$(BUILD)/tests/workload/%: tests/workload/%.cc
	$(call say,CXX,$@)
	$(Q)mkdir -p $(@D) && $(CXX) -Wall -Wextra $(werror) -O1 -g -pthread \
		-MMD -MP -MT $@ -MF $@.d -o $@ $<

# The code under a fuzzer is compiled by clang, into a library of its own.
fuzz_cflags = $(std) $(includes) $(CPPFLAGS) -O1 -g -fno-omit-frame-pointer \
	-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined \
	-DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
fuzz_objects := $(sources:%.c=$(BUILD)/fuzz/%.o)

$(BUILD)/fuzz/%.o: %.c $(BUILD)/config.h | $(skeletons)
	$(call say,CLANG,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(fuzz_cflags) -fsanitize=fuzzer-no-link $(depflags) -c -o $@ $<

$(BUILD)/fuzz/libmallocpath.a: $(fuzz_objects)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(fuzzers): $(BUILD)/tests/fuzz/%: tests/fuzz/%.c $(BUILD)/fuzz/libmallocpath.a
	$(call say,CLANG,$@)
	$(Q)mkdir -p $(@D) && $(CLANG) $(fuzz_cflags) -fsanitize=fuzzer -MMD -MP -MT $@ -MF $@.d -o $@ \
		$< $(BUILD)/fuzz/libmallocpath.a $(LIBS) -lm

# What a SAN=1 build does not compile, with warnings as errors. Writes nothing.
syntax:
	$(Q)set -e; for file in $(bpf_sources) $(question_sources); do \
		$(CLANG) $(bpfflags) -Werror -fsyntax-only $$file; \
	done
	$(Q)set -e; for file in $(wildcard tests/workload/*.c tests/tiers/*.c); do \
		$(CC) $(std) -Wall -Wextra -Werror -O1 -pthread -S -o /dev/null $$file; \
	done
	$(Q)set -e; for file in $(wildcard tests/workload/*.cc); do \
		$(CXX) -Wall -Wextra -Werror -O1 -pthread -S -o /dev/null $$file; \
	done

# For scripts/check: what there is to run.
.PHONY: list-unit list-fuzz
list-unit:
	@echo $(unit_tests)
list-fuzz:
	@echo $(fuzzers)

check: all tests
	$(Q)scripts/check --no-setup --layer unit --layer house --layer golden --layer cli

# --- the kernel module. The kernel's build writes beside the sources, so it is given a copy of them.

KDIR ?= /lib/modules/$(shell uname -r)/build
kmod_sources := Kbuild $(wildcard kmod/*.[ch])
sparse := $(shell command -v sparse)

# What the compiler has warned of once it does not say again: those objects are not kept.
.PHONY: kmod
kmod:
	$(Q)release=$$(sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' '$(KDIR)/include/generated/utsrelease.h') && \
		dir='$(abspath $(BUILD))/kmod/'$$release && mkdir -p "$$dir/kmod" && \
		cp --preserve=timestamps Kbuild "$$dir/" && \
		cp --preserve=timestamps $(filter kmod/%,$(kmod_sources)) "$$dir/kmod/" && \
		{ $(MAKE) -C '$(KDIR)' M="$$dir" W=1 $(if $(sparse),C=2) modules >"$$dir/log" 2>&1 || \
			{ cat "$$dir/log"; exit 1; }; } && cat "$$dir/log" && \
		{ scripts/warnings $(if $(sparse),,--no-sparse) "$$dir" "$$dir/log" || \
			{ rm -f "$$dir"/kmod/*.o; $(if $(werror),exit 1,true); }; } && ls "$$dir/mallocpath.ko"

# The module's sources where dkms(8) looks for them.
dkms_dir = $(DESTDIR)/usr/src/mallocpath-$(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' kmod/dkms.conf)
.PHONY: install-dkms
install-dkms:
	$(INSTALL) -d '$(dkms_dir)/kmod'
	$(INSTALL) -m 644 Kbuild kmod/dkms.conf '$(dkms_dir)/'
	$(INSTALL) -m 644 $(filter kmod/%,$(kmod_sources)) '$(dkms_dir)/kmod/'

bench: all benches
	$(Q)scripts/bench

# --- install

install: $(program)
	$(INSTALL) -d '$(DESTDIR)$(bindir)' '$(DESTDIR)$(docdir)'
	$(INSTALL) -m 755 $(O)/mallocpath '$(DESTDIR)$(bindir)/mallocpath'
	$(INSTALL) -m 644 $(wildcard README.md) LICENSE '$(DESTDIR)$(docdir)'
	set -e; for page in $(wildcard docs/*.1 docs/*.8); do \
		$(INSTALL) -d '$(DESTDIR)$(mandir)'/man$${page##*.}; \
		$(INSTALL) -m 644 $$page '$(DESTDIR)$(mandir)'/man$${page##*.}/; \
	done
	$(INSTALL) -d '$(DESTDIR)$(bashdir)' '$(DESTDIR)$(zshdir)'
	$(INSTALL) -m 644 scripts/completion/mallocpath.bash '$(DESTDIR)$(bashdir)/mallocpath'
	$(INSTALL) -m 644 scripts/completion/_mallocpath '$(DESTDIR)$(zshdir)/'

uninstall:
	rm -f '$(DESTDIR)$(bindir)/mallocpath' '$(DESTDIR)$(bashdir)/mallocpath' \
		'$(DESTDIR)$(zshdir)/_mallocpath'
	set -e; for page in $(notdir $(wildcard docs/*.1 docs/*.8)); do \
		rm -f '$(DESTDIR)$(mandir)'/man$${page##*.}/$$page; \
	done
	rm -f '$(DESTDIR)$(docdir)/README.md' '$(DESTDIR)$(docdir)/LICENSE'
	-rmdir '$(DESTDIR)$(docdir)'

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
