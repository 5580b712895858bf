// Where the time of a check goes, stage by stage, for the bench alone: a build with -DMIROX_STAGES reads the processor's clock
// where a stage ends and adds up (src/api/stages.cpp shows the sums); in every other build MIROX_STAGE() is nothing.
//
// May include standard headers. Takes no locks; a backend's own memory.
#pragma once

#ifdef MIROX_STAGES

#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <ctime>
#endif

namespace mirox::pg {

enum class Stage : std::uint8_t { parse, digest, look_up, checks, limit, record, answer };
inline constexpr int kStages = 7;

struct Stages {
    std::uint64_t last;
    std::uint64_t sums[kStages];
    std::uint64_t marks[kStages];
};
inline constinit Stages stages = {};

inline std::uint64_t stage_clock() {
#if defined(__x86_64__)
    return __rdtsc();
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
#endif
}

inline void end_stage(Stage stage) {
    const std::uint64_t now = stage_clock();
    stages.sums[static_cast<int>(stage)] += now - stages.last;
    stages.marks[static_cast<int>(stage)]++;
    stages.last = now;
}

}  // namespace mirox::pg

#define MIROX_STAGES_BEGIN() (mirox::pg::stages.last = mirox::pg::stage_clock())
#define MIROX_STAGE(NAME) mirox::pg::end_stage(mirox::pg::Stage::NAME)
#else
#define MIROX_STAGES_BEGIN() static_cast<void>(0)
#define MIROX_STAGE(NAME) static_cast<void>(0)
#endif
