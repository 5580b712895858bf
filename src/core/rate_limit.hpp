// The rate limit: the generic cell rate algorithm, as virtual scheduling (ITU-T I.371 annex A; ATM Forum
// Traffic Management 4.0, section 4.4.3), in integers, with all of its state in one 64-bit word.
//
// With a limit of L a minute and a burst of B, a request takes one interval T = 60 s / L (in whole microseconds, rounded up). The
// state is the theoretical arrival time (TAT) of the next request; a request at `now` is admitted when TAT <= now + (B - 1) T,
// and then TAT = max(TAT, now) + T. From idle B go through at once, and at most B + W / T in any time W: 600 a minute with a
// burst of 60 gives at most 60 + 100 in 10 s. A refused request moves nothing.
//
// The word: TAT in microseconds above 12 bits that hold T's leading digits (5 of exponent, 7 of mantissa:
// exact below 256, else within 1/128 below it). 0 is an account never seen. The digits are there for changes
// of a limit, which take effect at the next draw: what was used, counted in requests, stays used, and the
// time ahead is rescaled from the old T to the new. Otherwise a lower limit would make an old debt small, and
// a higher one would keep it for hours. The rescaled word is stored by a refused request too.
//
// Clocks: any microsecond clock from 0 to 2^51 (71 years; it is clamped there) that all who share a word read, CLOCK_MONOTONIC
// best. A request that read it before another one, and comes after, is judged the more strictly. A clock that was put back by
// more than kClockSlack would leave TAT too far ahead: it is brought back to a full debt, so that requests go on at the rate. So
// nobody may sit on a reading for that long: read the clock, then draw.
//
// Pure: may include the C++ library only. Nothing here allocates, throws, logs or locks: draw() is a loop of
// compare-and-exchange on one word, and any number of threads or processes may share it.
#pragma once

#include <atomic>
#include <cstdint>

namespace mirox::core {

inline constexpr std::int64_t kMicrosecondsPerMinute = 60'000'000;
inline constexpr std::int64_t kMaxLimitPerMinute = kMicrosecondsPerMinute;  // more counts as this many
inline constexpr std::int64_t kMaxBurst = 1'000'000;                        // the same
inline constexpr std::int64_t kClockSlack = 10'000'000;
// With a limit of 0 nobody is admitted, ever; this is what is said of when to come back.
inline constexpr std::int64_t kNobodyRetryAfter = 3'600'000'000;

struct Decision {
    bool admitted;
    std::int64_t retry_after_us;  // 0 when admitted, else at least 1
    std::int64_t remaining;       // how many more would be admitted at once
    std::int64_t reset_us;        // until the whole burst is there again
    std::uint64_t new_word;       // to be stored in place of the one judged, when it differs
};

// Judges one request. A limit below 1 admits nobody; a burst below 1 counts as 1.
Decision decide(std::uint64_t word, std::int64_t now_us, std::int64_t limit_per_minute, std::int64_t burst) noexcept;

// What decide() would say of the account, without a request: `admitted` tells whether one would be, nothing is stored.
Decision peek(std::uint64_t word, std::int64_t now_us, std::int64_t limit_per_minute, std::int64_t burst) noexcept;

// Judges one request and stores the outcome.
Decision draw(std::atomic<std::uint64_t>& word, std::int64_t now_us, std::int64_t limit_per_minute, std::int64_t burst) noexcept;

// True when the account is as if never seen, so that its word can be given up without letting anybody through sooner.
bool is_idle(std::uint64_t word, std::int64_t now_us) noexcept;

// The fields of draft-ietf-httpapi-ratelimit-headers (RateLimit-Limit, -Remaining, -Reset) and Retry-After (RFC 9110, 10.2.3), in
// whole seconds rounded up. `limit` is the quota of a minute; what is left can be no more than the burst.
struct RateLimitFields {
    std::int32_t limit;
    std::int32_t remaining;
    std::int32_t reset;
    std::int32_t retry_after;  // 0 when admitted: the field is left out
};

RateLimitFields rate_limit_fields(const Decision& decision, std::int64_t limit_per_minute) noexcept;

}  // namespace mirox::core
