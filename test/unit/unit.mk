# The unit tests: one GoogleTest program of all sources that need no server and all test/unit/*_test.cpp, with
# AddressSanitizer and UBSan. Run from the top: make -f test/unit/unit.mk
#
# Server-free by rule: src/core/*, src/enrich/*, src/shmem/core_*.

B := build/unit
SRCS := $(sort $(wildcard src/core/*.cpp src/enrich/agents.cpp src/enrich/places.cpp src/shmem/core_*.cpp))
TESTS := $(sort $(wildcard test/unit/*_test.cpp))
OBJS := $(patsubst %.cpp,$(B)/%.o,$(SRCS) $(TESTS))

CXXFLAGS := -std=c++20 -O1 -g -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS -Wall -Wextra -Werror \
	-fsanitize=address,undefined -fno-sanitize-recover=all -Isrc -Itest/unit -DMIROX_SOURCE_DIR='"$(CURDIR)"'
# As in the library: the rules can neither throw nor ask for a type.
ROOM_FLAGS = $(if $(filter $(B)/src/core/%,$@),-fno-exceptions -fno-rtti)
LIBS := -lgtest -lgtest_main -lcrypto -lz -lutf8proc -lre2 -lyaml-cpp -lmaxminddb

$(B)/tests: $(OBJS)
	$(CXX) $(CXXFLAGS) -o $@ $^ $(LIBS)

$(B)/%.o: %.cpp test/unit/unit.mk
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(ROOM_FLAGS) -MMD -MP -c -o $@ $<

-include $(OBJS:.o=.d)
