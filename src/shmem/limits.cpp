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

namespace {

// Calls draw(word, now) on the word of an account, or of a token by its number below zero. False if no word could be had.
template <class Draw>
bool with_word(std::int64_t key, Draw draw) {
    Limits& words = limits();
    for (int tries = 0; tries < kTries; tries++) {
        const std::int64_t now = monotonic_us();  // read again for each try: a draw must not use an old time
        const auto drawn = [&](std::atomic<std::uint64_t>& word) noexcept { draw(word, now); };
        if (words.use(MyDatabaseId, key, now, core::is_idle, drawn) != Limits::Word::none) return true;
        pg_usleep(kPauseUs);
    }
    return false;
}

core::Decision peek_at(std::int64_t key, const core::Quota& quota) {
    return core::peek(limits().peek(MyDatabaseId, key), monotonic_us(), quota.limit_per_minute, quota.burst);
}

}  // namespace

core::Decision draw_on_limit(std::int64_t account_id, std::int32_t limit_per_minute, std::int32_t burst) {
    core::Decision decision = kRefused;
    with_word(account_id, [&](std::atomic<std::uint64_t>& word, std::int64_t now) noexcept {
        decision = core::draw(word, now, limit_per_minute, burst);
    });
    return decision;
}

core::Decision peek_at_limit(std::int64_t account_id, std::int32_t limit_per_minute, std::int32_t burst) {
    return peek_at(account_id, {limit_per_minute, burst});
}

TwoLimits draw_on_limits(std::int64_t account_id, const core::Quota& account, std::int64_t token_id, const core::Quota& own) {
    TwoLimits drawn = {kRefused, kRefused};
    core::Receipt receipt = {};
    with_word(-token_id, [&](std::atomic<std::uint64_t>& word, std::int64_t now) noexcept {
        drawn.own = core::draw(word, now, own.limit_per_minute, own.burst, &receipt);
    });
    if (!drawn.own.admitted) {
        drawn.account = peek_at(account_id, account);
        return drawn;
    }
    drawn.account = draw_on_limit(account_id, account.limit_per_minute, account.burst);
    if (!drawn.account.admitted)
        with_word(-token_id,
                  [&](std::atomic<std::uint64_t>& word, std::int64_t now) noexcept { core::give_back(word, receipt, now); });
    return drawn;
}

TwoLimits peek_at_limits(std::int64_t account_id, const core::Quota& account, std::int64_t token_id, const core::Quota& own) {
    return {peek_at(account_id, account), peek_at(-token_id, own)};
}

}  // namespace mirox::shmem
