// The sums of pg/stages.hpp as SQL, in a build for the bench; nothing in any other. Takes no locks; reads no table.
#ifdef MIROX_STAGES

#include "pg/prelude.hpp"
//
#include <ctime>

#include "pg/entry.hpp"
#include "pg/stages.hpp"
#include "pg/values.hpp"

namespace mirox::api {
namespace {

std::int64_t monotonic_ns() {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

// Nanoseconds a mark of each stage since the last call, "parse=12.3 digest=…", the clock's own cost taken out; starts anew.
MIROX_FUNCTION(stage_times) {
    static constexpr const char* kNames[pg::kStages] = {"parse", "digest", "look_up", "checks",
                                                        "limit", "record", "answer"};
    // What a tick is, and what looking at the clock costs.
    constexpr int kLooks = 200'000;
    const std::int64_t from = monotonic_ns();
    const std::uint64_t first = pg::stage_clock();
    const pg::Stages saved = pg::stages;
    for (int i = 0; i < kLooks; i++) MIROX_STAGE(parse);
    const std::uint64_t last = pg::stage_clock();
    const double ns_a_tick = static_cast<double>(monotonic_ns() - from) / static_cast<double>(last - first);
    const double look = static_cast<double>(last - first) / kLooks;
    StringInfoData out;
    initStringInfo(&out);
    for (int i = 0; i < pg::kStages; i++) {
        const double marks = static_cast<double>(saved.marks[i]);
        const double each = marks == 0 ? 0 : static_cast<double>(saved.sums[i]) / marks - look;
        appendStringInfo(&out, "%s%s=%.1f", i == 0 ? "" : " ", kNames[i], Max(each, 0.0) * ns_a_tick);
    }
    pg::stages = {};
    return pg::text_datum({out.data, static_cast<std::size_t>(out.len)});
}

}  // namespace mirox::api

#endif
