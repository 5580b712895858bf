// The rate limit: the generic cell rate algorithm, as virtual scheduling (ITU-T I.371 annex A; ATM Forum
// Traffic Management 4.0, section 4.4.3), in integers, with all of its state in one 64-bit word.
//
// With a limit of L a minute and a burst of B, a request takes one interval T = 60 s / L (in whole microseconds, rounded up). The
// state is the theoretical arrival time (TAT) of the next request; a request at `now` is admitted when TAT <= now + (B - 1) T,
// and then TAT = max(TAT, now) + T. From idle B go through at once, and at most B + W / T in any time W: 600 a minute with a
// burst of 60 gives at most 60 + 100 in 10 s. A refused request moves nothing.
//
// The word: TAT in microseconds, above 12 bits that hold the leading digits of T (5 bits of exponent, 7 of mantissa: exact below
// 256, otherwise at most 1/128 below it). 0 is an account that was never seen. The digits serve changes of a limit, which take
// effect at the next draw: used requests stay used, and the remaining time is rescaled from the old T to the new one. Otherwise a
// lower limit would shrink an old debt, and a higher one would keep it for hours. A refused request stores the rescaled word too.
//
// Clocks: any microsecond clock from 0 to 2^51 (71 years; clamped there) that all users of a word share, CLOCK_MONOTONIC at best.
// A request that read the clock earlier but draws later is judged more strictly. A clock that was set back by more than
// kClockSlack would leave TAT too far ahead. TAT is then set to a full debt, so that requests continue at the rate. So no caller
// may hold a reading for that long: read the clock, then draw.
//
// Pure: may include the C++ library only. Nothing here allocates, throws, logs or locks: draw() is a compare-and-exchange loop on
// one word, which any number of threads or processes may share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mirox::core {

inline constexpr std::int64_t kMicrosecondsPerMinute = 60'000'000;
inline constexpr std::int64_t kMaxLimitPerMinute = kMicrosecondsPerMinute;  // a higher limit counts as this one
inline constexpr std::int64_t kMaxBurst = 1'000'000;                        // the same
inline constexpr std::int64_t kClockSlack = 10'000'000;
// A limit of 0 admits no request, ever. This is the retry-after that is reported then.
inline constexpr std::int64_t kNobodyRetryAfter = 3'600'000'000;

// A limit: requests a minute, and at once after a pause.
struct Quota {
    std::int32_t limit_per_minute, burst;
};

// The limit of a token's own in force: never above the account's. Without a burst (-1) it lets through at once what it lets through
// in a minute.
Quota own_quota(const Quota& own, const Quota& account) noexcept;

struct Decision {
    bool admitted;
    std::int64_t retry_after_us;  // 0 when admitted, else at least 1
    std::int64_t remaining;       // how many more would be admitted at once
    std::int64_t reset_us;        // until the whole burst is available again
    std::int64_t next_us;    // until one more than `remaining` is available; retry_after_us when refused, 0 at the whole burst
    std::uint64_t new_word;  // the caller stores it when it differs from the word judged
};

// Judges one request. A limit below 1 admits nobody; a burst below 1 counts as 1.
Decision decide(std::uint64_t word, std::int64_t now_us, std::int64_t limit_per_minute, std::int64_t burst) noexcept;

// What decide() would answer, without a request: `admitted` tells whether a request would be admitted now. Nothing is stored.
Decision peek(std::uint64_t word, std::int64_t now_us, std::int64_t limit_per_minute, std::int64_t burst) noexcept;

// A draw that was admitted: what it made of the word, and when.
struct Receipt {
    std::uint64_t before, after;
    std::int64_t at_us, interval_us;
};

// Judges one request and stores the outcome.
Decision draw(std::atomic<std::uint64_t>& word, std::int64_t now_us, std::int64_t limit_per_minute, std::int64_t burst,
              Receipt* receipt = nullptr) noexcept;

// Undoes an admitted draw, because another limit refused the request. If nobody has drawn since, the word is as it was before.
// Otherwise the interval goes back less the time between the two calls, in which the word might have been idle, so that what others
// drew meanwhile stays drawn. The word never admits a request sooner than if the draw had not been.
void give_back(std::atomic<std::uint64_t>& word, const Receipt& receipt, std::int64_t now_us) noexcept;

// Two limits judged a request of a token. True if the token's own is the one to tell the client of: of those that refuse the one
// with the longer wait, otherwise the one that has fewer requests left.
bool own_limit_binds(const Decision& account, const Decision& own) noexcept;

// True when the account has no debt: its word can be freed, and no request is admitted sooner for that.
bool is_idle(std::uint64_t word, std::int64_t now_us) noexcept;

// The values of RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-12), of the older RateLimit-Limit,
// -Remaining and -Reset (its -06), and of Retry-After (RFC 9110, 10.2.3). All speak of one quota, the burst. Times are in whole
// seconds, rounded up.
struct RateLimitFields {
    std::int32_t limit;        // q: the burst; 0 where the limit admits nobody
    std::int32_t window;       // w: in which an empty burst fills
    std::int32_t remaining;    // r: how many more are admitted at once
    std::int32_t reset;        // t: until one more is; never later than retry_after
    std::int32_t retry_after;  // 0 when admitted: the field is left out
};

RateLimitFields rate_limit_fields(const Decision& decision, std::int64_t limit_per_minute, std::int64_t burst) noexcept;

// What a response says of the limits that judged its request.
struct RateLimitAnswer {
    RateLimitFields account;
    bool has_own, own_binds;
    RateLimitFields own;  // of the token's own limit, if it has one

    const RateLimitFields& binding() const noexcept { return own_binds ? own : account; }
};

inline constexpr std::size_t kMaxRateLimitChars = 96;

// Write the value of RateLimit-Policy, which names all limits, `"account";q=60;w=6, "token";q=5;w=60`, and of RateLimit, which
// tells of the one that binds, `"account";r=59;t=1`.
std::string_view write_rate_limit_policy(const RateLimitAnswer& answer, std::span<char, kMaxRateLimitChars> out) noexcept;
std::string_view write_rate_limit(const RateLimitAnswer& answer, std::span<char, kMaxRateLimitChars> out) noexcept;

}  // namespace mirox::core
