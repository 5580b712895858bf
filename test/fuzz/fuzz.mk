# The fuzzers: each test/fuzz/fuzz_NAME.cpp becomes build/fuzz/NAME, by clang's libFuzzer with AddressSanitizer and
# UBSan, over the sources that need no server. Run from the top: make -f test/fuzz/fuzz.mk

B := build/fuzz
FUZZ_CXX ?= $(or $(shell command -v clang++-14),clang++)
SRCS := $(sort $(wildcard src/core/*.cpp src/enrich/agents.cpp src/enrich/places.cpp src/shmem/core_*.cpp))
FUZZERS := $(sort $(wildcard test/fuzz/fuzz_*.cpp))
PROGRAMS := $(patsubst test/fuzz/fuzz_%.cpp,$(B)/%,$(FUZZERS))

CXXFLAGS := -std=c++20 -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Werror -Isrc \
	-fsanitize=address,undefined -fno-sanitize-recover=all
ROOM_FLAGS = $(if $(filter $(B)/src/core/%,$@),-fno-exceptions -fno-rtti)
LIBS := -lcrypto -lz -lutf8proc -lre2 -lyaml-cpp -lmaxminddb

all: $(PROGRAMS)

$(B)/%: $(B)/test/fuzz/fuzz_%.o $(patsubst %.cpp,$(B)/%.o,$(SRCS))
	$(FUZZ_CXX) $(CXXFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

$(B)/%.o: %.cpp test/fuzz/fuzz.mk
	@mkdir -p $(@D)
	$(FUZZ_CXX) $(CXXFLAGS) $(ROOM_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

.SECONDARY:
-include $(patsubst %.cpp,$(B)/%.d,$(SRCS) $(FUZZERS))
