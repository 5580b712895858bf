# mirox_tokens: build, install and the project's own commands.
#
# The version comes from mirox_tokens.control alone; sources are whatever stands in the rooms of src/
# (test/static checks that each is used), so that adding a file needs no edit here.

EXTENSION = mirox_tokens
EXTVERSION := $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" mirox_tokens.control)

MODULE_big = mirox_tokens
CORE_SRCS := $(sort $(wildcard src/core/*.cpp))
SERVER_SRCS := $(sort $(wildcard src/pg/*.cpp src/store/*.cpp src/shmem/*.cpp src/worker/*.cpp src/api/*.cpp))
OBJS := $(CORE_SRCS:.cpp=.o) $(SERVER_SRCS:.cpp=.o)

SCHEMA_PARTS := $(sort $(wildcard src/schema/*.sql))
DATA_built = $(EXTENSION)--$(EXTVERSION).sql
EXTRA_CLEAN = .deps build results output_iso regression.diffs regression.out tmp_check log

# ---- compiling ------------------------------------------------------------------------------------
# Server headers come in as system headers so that our own warnings stay errors. -Wno-register: the
# headers of 15 use `register`. gcc-only warnings stay out of PG_CXXFLAGS, which clang reads for bitcode.
SERVER_INCLUDE := $(shell pg_config --includedir-server 2>/dev/null)
PG_CPPFLAGS = -isystem $(SERVER_INCLUDE) -Isrc -DMIROX_VERSION='"$(EXTVERSION)"'
PG_CXXFLAGS = -std=c++20 -Wall -Wextra -Werror -Wno-register -Wno-deprecated-declarations -fno-strict-aliasing
SHLIB_LINK += -lcrypto -lz -lutf8proc -lre2 -lyaml-cpp -lmaxminddb -lpq -lstdc++ \
	-Wl,--version-script=src/exports.map

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

COMPILE.cxx.bc += $(PG_CXXFLAGS)
$(CORE_SRCS:.cpp=.o) $(CORE_SRCS:.cpp=.bc): PG_CXXFLAGS += -fno-exceptions -fno-rtti

# ---- header dependencies, which PGXS does not track ---------------------------------------------------
override CXXFLAGS += -MMD -MP -MF .deps/$(subst /,_,$*).d
$(shell mkdir -p .deps)
-include $(wildcard .deps/*.d)

$(shlib): src/exports.map

# ---- the install script: parts joined in the order of their numbers -----------------------------------
$(DATA_built): $(SCHEMA_PARTS) mirox_tokens.control
	cat $(SCHEMA_PARTS) > $@
