// Rate limits (see limits.hpp, also for the locks).
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

// A power of two, as the table of words wants it; never fewer than asked for.
std::uint32_t entries() {
    return pg_nextpower2_32(static_cast<std::uint32_t>(pg::settings().max_tracked_accounts));
}

// All processes of the machine read the same one, and nobody can set it.
std::int64_t monotonic_us() {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

// No word could be had: come back in a second.
constexpr core::Decision kRefused = {false, 1'000'000, 0, 1'000'000, 0};

// A word's lock is held for some hundred nanoseconds, unless its holder is put off the processor meanwhile: on a busy machine
// that takes some milliseconds. Only a holder that was stopped is not waited for.
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
        const std::int64_t now = monotonic_us();  // anew each time: nobody may draw by an old reading
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
