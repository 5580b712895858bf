# mirox_tokens: build, install and the project's own commands.
#
# The version comes from mirox_tokens.control alone; sources are whatever stands in the rooms of src/, so that
# adding a file needs no edit here. `make help` lists the commands.

EXTENSION = mirox_tokens
EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" mirox_tokens.control)
# As PGXN writes it, in three numbers.
SEMVERSION := $(shell echo $(EXTVERSION).0.0 | cut -d. -f1-3)

# The server to build for: PG_CONFIG when given, else the one of PG_MAJOR, else the newest whose headers are here.
ifndef PG_MAJOR
PG_MAJOR := $(shell ls -d /usr/lib/postgresql/*/lib/pgxs 2>/dev/null | cut -d/ -f5 | sort -n | tail -1)
endif
PG_CONFIG ?= $(if $(PG_MAJOR),/usr/lib/postgresql/$(PG_MAJOR)/bin/pg_config,pg_config)
export PG_CONFIG

MODULE_big = mirox_tokens
CORE_SRCS := $(sort $(wildcard src/core/*.cpp))
SERVER_SRCS := $(sort $(wildcard src/pg/*.cpp src/store/*.cpp src/shmem/*.cpp src/worker/*.cpp src/api/*.cpp))
OBJS := $(CORE_SRCS:.cpp=.o) $(SERVER_SRCS:.cpp=.o)

SCHEMA_PARTS := $(sort $(wildcard src/schema/*.sql))
DATA_built = $(EXTENSION)--$(EXTVERSION).sql
# Released versions' own install scripts stand there too: a dump of an old version restores into that one first.
DATA = $(wildcard src/upgrade/$(EXTENSION)--*.sql)
EXTRA_CLEAN = src/enrich/*.o mirox_tokens_enrich$(DLSUFFIX) .deps build results tmp_check tmp_check_iso output_iso regression.diffs regression.out META.json

# `make install && make installcheck`, as an ordinary user: the tests bring a server of their own, since the library must be
# preloaded. (`make test` needs no installation, and runs the other suites too.)
REGRESS = $(shell sed -n 's/^test: *//p' test/regress.schedule)
REGRESS_OPTS = --temp-instance=tmp_check --temp-config=test/conf/mirox_tokens.conf --encoding=UTF8 --no-locale --inputdir=.
ISOLATION = $(shell sed -n 's/^test: *//p' test/isolation.schedule)
ISOLATION_OPTS = --temp-instance=tmp_check_iso --temp-config=test/conf/mirox_tokens.conf --encoding=UTF8 --no-locale \
	--inputdir=test/isolation --load-extension=mirox_tokens

# ---- compiling ------------------------------------------------------------------------------------
# Server headers come in as system headers so that our own warnings stay errors. -Wno-register: the headers of 15
# use `register`; -Wno-deprecated-volatile: macros of theirs count in volatile variables. gcc-only warnings stay out
# of PG_CXXFLAGS, which clang reads for bitcode.
SERVER_INCLUDE := $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)
PG_CPPFLAGS = -isystem $(SERVER_INCLUDE) -Isrc -Ibuild/sql -DMIROX_VERSION='"$(EXTVERSION)"'
PG_CXXFLAGS = -std=c++20 -Wall -Wextra -Werror -Wno-register -Wno-deprecated-volatile -Wno-deprecated-declarations -fno-strict-aliasing
SHLIB_LINK += -lcrypto -lz -lutf8proc -Wl,--version-script=src/exports.map

PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(PGXS)),)
include $(PGXS)

# What PGXS sets by := is fixed by now, so flags that differ by room or target go into the commands themselves.
# The library that the server loads can neither throw nor ask for a type; src/enrich, which uses libraries that throw, is another.
# What holds no server call is not given the server's headers. Dependencies on headers, which PGXS does not track, are written by
# each compilation, the object's and the bitcode's apart.
PURE = src/core/% src/shmem/core_% src/enrich/agents% src/enrich/places%
ROOM_FLAGS = $(if $(filter src/enrich/%,$@),,-fno-exceptions -fno-rtti) $(if $(filter $(PURE),$@),-include src/core/pure.hpp)
DEPENDENCIES = -MMD -MP -MT $@ -MF .deps/$(subst /,_,$@).d
COMPILE.cc += $(ROOM_FLAGS) $(DEPENDENCIES)
# The server's own macros count on volatile variables (HOLD_INTERRUPTS), which clang calls deprecated in C++20.
COMPILE.cxx.bc += $(PG_CXXFLAGS) -Wno-deprecated-volatile $(ROOM_FLAGS) $(DEPENDENCIES)
$(OBJS) $(OBJS:.o=.bc): Makefile | .deps
# What holds the version.
VERSIONED := $(patsubst %.cpp,%,$(shell grep -lE 'MIROX_(VERSION|MODULE_MAGIC)\b' $(SERVER_SRCS)))
$(VERSIONED:=.o) $(VERSIONED:=.bc): mirox_tokens.control
.deps:
	@mkdir -p $@
-include $(wildcard .deps/*.d)

# SQL of the C++ code stands in .sql files beside it; each becomes a header, build/sql/ROOM/NAME.sql.hpp.
SQL_HEADERS := $(patsubst src/%,build/sql/%.hpp,$(sort $(wildcard src/store/*.sql src/worker/*.sql src/api/*.sql)))
$(SQL_HEADERS): build/sql/%.hpp: src/% scripts/sql_header.awk
	@mkdir -p $(@D)
	awk -v room=$(patsubst src/%/,%,$(dir $<)) -v source=$< -f scripts/sql_header.awk $< > $@.new && mv $@.new $@
$(OBJS) $(OBJS:.o=.bc): | $(SQL_HEADERS)

# What is linked and joined is made afresh when a file is taken away, too: the lists stand in files that change with
# them.
.deps/list: FORCE | .deps
	@echo '$(OBJS) $(SCHEMA_PARTS)' | cmp -s - $@ || echo '$(OBJS) $(SCHEMA_PARTS)' > $@
FORCE:
$(shlib): src/exports.map .deps/list

# The library that the worker alone loads, at first need: what it links is not needed to start the server.
ENRICH_OBJS := $(patsubst %.cpp,%.o,$(sort $(wildcard src/enrich/*.cpp))) src/core/text.o
ENRICH_LIB = mirox_tokens_enrich$(DLSUFFIX)
$(ENRICH_LIB): $(ENRICH_OBJS) src/enrich/exports.map
	$(CXX) -shared -o $@ $(ENRICH_OBJS) $(LDFLAGS) -lre2 -lyaml-cpp -lmaxminddb -lutf8proc -Wl,--version-script=src/enrich/exports.map
$(ENRICH_OBJS): Makefile | .deps
all: $(ENRICH_LIB)
install: install-enrich
.PHONY: install-enrich
install-enrich: $(ENRICH_LIB)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_SHLIB) $(ENRICH_LIB) '$(DESTDIR)$(pkglibdir)/'
uninstall: uninstall-enrich
.PHONY: uninstall-enrich
uninstall-enrich:
	rm -f '$(DESTDIR)$(pkglibdir)/$(ENRICH_LIB)'

# The install script: the parts, joined in the order of their numbers.
$(DATA_built): $(SCHEMA_PARTS) mirox_tokens.control .deps/list
	cat /dev/null $(SCHEMA_PARTS) > $@
else
all install:
	@echo 'No PostgreSQL server headers found ($(PG_CONFIG)): run scripts/setup.sh, or give PG_CONFIG=…' >&2; exit 1
clean:
	rm -rf $(OBJS) $(OBJS:.o=.bc) $(MODULE_big).so $(DATA_built) $(EXTRA_CLEAN)
endif

# ---- the project's own commands ------------------------------------------------------------------------
# TESTS="name …" chooses tests within a suite; KEEP=1 leaves the demo's server up; SECONDS is a fuzzer's time.
export PG_MAJOR TESTS KEEP
.PHONY: help setup demo dist test test-static test-unit test-regress test-isolation test-tap fuzz fresh-root format

help:
	@sed -n 's/^## //p' Makefile
## make                 build the library and the install script
## make install         install them into the server of PG_CONFIG
## make setup           install missing Debian packages
setup:
	@scripts/setup.sh
## make demo            play the life of a token on a private server (KEEP=1 leaves it up)
demo:
	@scripts/demo.sh
## make test            every suite; ends in `N passed, N failed`
test:
	@scripts/test.sh
## make test-SUITE      static, unit, regress, isolation or tap; TESTS="name …" chooses
test-static test-unit test-regress test-isolation test-tap:
	@scripts/test.sh $(@:test-%=%)
## make fuzz            each fuzzer for FUZZ_SECONDS (default 20) over its corpus
fuzz:
	@scripts/fuzz.sh $(or $(FUZZ_SECONDS),$(if $(filter command,$(origin SECONDS)),$(SECONDS)),20)
## make fresh-root      as root: demo and test from a clean clone in a new Debian 12 with git and make only; FRESH_SUITE=trixie
##                      takes Debian 13 with PostgreSQL 17, FRESH_SUITE=forky the next one with 18
fresh-root:
	@scripts/fresh-root.sh
## make dist            the release as a zip file for PGXN, META.json made from the one version
dist:
	@sed 's/@SEMVER@/$(SEMVERSION)/' META.json.in > META.json
	@git archive --format=zip --prefix=$(EXTENSION)-$(SEMVERSION)/ --add-file=META.json -o $(EXTENSION)-$(SEMVERSION).zip HEAD
	@rm META.json; echo $(EXTENSION)-$(SEMVERSION).zip
## make format          clang-format over src and test
format:
	@clang-format-14 -i $$(find src test -name '*.cpp' -o -name '*.hpp')
## make bench           beside limits and peers, about 30 minutes (SIZE=large: 10,000,000 tokens); make bench-quick: one
.PHONY: bench bench-quick
export SIZE
bench:
	@scripts/bench.sh
bench-quick:
	@scripts/bench.sh quick
## make bench-docs      make bench, then the figures and tables of docs/performance.md anew
## make bench-core      what the rules of src/core cost, by Google Benchmark
.PHONY: bench-docs bench-core
bench-docs:
	@scripts/bench.sh
	@/usr/bin/python3 test/bench/report.py bench/results.json docs
bench-core:
	@$(MAKE) -s -f test/bench/bench.mk
	@for program in build/bench/*_bench; do $$program --benchmark_min_time=0.1 || exit 1; done
