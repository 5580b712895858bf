// Rate limits. For the locks see limits.hpp.
#include "shmem/limits.hpp"

#include <ctime>

#include "pg/settings.hpp"
#include "shmem/startup.hpp"

extern "C" {
#include "port/pg_bitutils.h"
}

namespace mirox::shmem {
namespace {

// A view of plain pointers. The postmaster's children inherit it.
constinit Limits view;
constinit bool present = false;

// The table needs a power of two; no fewer than the setting says.
std::uint32_t entries() {
    return pg_nextpower2_32(static_cast<std::uint32_t>(pg::settings().max_tracked_accounts));
}

// All processes of the machine read the same clock, and it cannot be set.
std::int64_t monotonic_us() {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

// The answer when no word could be had: retry in a second.
constexpr core::Decision kRefused = {false, 1'000'000, 0, 1'000'000, 1'000'000, 0};

// A lock of the table is kept for some hundred nanoseconds. On a busy machine its process may lose the processor meanwhile, for
// some milliseconds. The tries are enough for that, and only a process that was stopped makes them fail.
constexpr int kTries = 200;
constexpr long kPauseUs = 1000;

}  // namespace

std::size_t limits_bytes() {
    return Limits::bytes(entries());
}

void start_limits() {
    bool found;
    std::byte* at = shared_part("mirox_tokens rate limits", limits_bytes(), &found);
    view = found ? Limits::view(at, entries()) : Limits::initialise(at, entries());
    present = true;
}

Limits& limits() {
    if (!present) pg::raise_not_preloaded();
    return view;
}

core::Decision draw_on_limit(std::int64_t account_id, std::int32_t limit_per_minute, std::int32_t burst) {
    Limits& words = limits();
    core::Decision decision = kRefused;
    for (int tries = 0; tries < kTries; tries++) {
        const std::int64_t now = monotonic_us();  // read again for each try: a draw must not use an old time
        const auto draw = [&](std::atomic<std::uint64_t>& word) noexcept {
            decision = core::draw(word, now, limit_per_minute, burst);
        };
        if (words.use(MyDatabaseId, account_id, now, core::is_idle, draw) != Limits::Word::none) break;
        pg_usleep(kPauseUs);
    }
    return decision;
}

core::Decision peek_at_limit(std::int64_t account_id, std::int32_t limit_per_minute, std::int32_t burst) {
    return core::peek(limits().peek(MyDatabaseId, account_id), monotonic_us(), limit_per_minute, burst);
}

}  // namespace mirox::shmem
