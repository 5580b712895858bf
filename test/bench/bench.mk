# The benches of what needs no server, one Google Benchmark program for each test/bench/*_bench.cpp.
# Run from the top: make -f test/bench/bench.mk; make bench-core runs them too.

B := build/bench
SRCS := $(sort $(wildcard src/core/*.cpp src/shmem/core_*.cpp))
PROGRAMS := $(patsubst test/bench/%.cpp,$(B)/%,$(sort $(wildcard test/bench/*_bench.cpp)))
OBJS := $(patsubst %.cpp,$(B)/%.o,$(SRCS))

CXXFLAGS := -std=c++20 -O2 -Wall -Wextra -Werror -Isrc
ROOM_FLAGS = $(if $(filter $(B)/src/core/%,$@),-fno-exceptions -fno-rtti)

all: $(PROGRAMS)
.SECONDARY:

$(B)/%_bench: $(B)/test/bench/%_bench.o $(OBJS)
	$(CXX) $(CXXFLAGS) -o $@ $^ -lbenchmark -lcrypto -lz -lutf8proc -pthread

$(B)/%.o: %.cpp test/bench/bench.mk
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(ROOM_FLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(B) -name '*.d' 2>/dev/null)
