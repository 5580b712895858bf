// The rate limit; the header holds the algorithm, the word's layout and what is promised.
//
// Pure: may include the C++ library only. Nothing here allocates, throws, logs or locks.
#include "core/rate_limit.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>

namespace mirox::core {
namespace {

constexpr unsigned kCodeBits = 12;
constexpr unsigned kMantissaBits = 7;
constexpr std::uint64_t kCodeMask = (std::uint64_t{1} << kCodeBits) - 1;
constexpr std::int64_t kMaxClock = std::int64_t{1} << 51;
constexpr std::int64_t kMicrosecondsPerSecond = 1'000'000;

// A limit as the algorithm uses it: the interval, and the debt at which no more requests are admitted.
struct Rate {
    std::int64_t interval;  // T, 1 to 60'000'000
    std::int64_t burst;     // B, 1 to kMaxBurst
    std::int64_t full;      // B T, below 2^46
};

// The limit must be above 0.
Rate rate_of(std::int64_t limit_per_minute, std::int64_t burst) noexcept {
    const std::int64_t limit = std::min(limit_per_minute, kMaxLimitPerMinute);
    Rate rate;
    rate.interval = (kMicrosecondsPerMinute + limit - 1) / limit;
    rate.burst = std::clamp<std::int64_t>(burst, 1, kMaxBurst);
    rate.full = rate.burst * rate.interval;
    return rate;
}

// An interval's leading eight binary digits. Below 256 it is the interval itself, otherwise an exponent of at least 1 and the
// digits after the leading one. No interval gives 0.
std::uint64_t encode_interval(std::int64_t interval) noexcept {
    const auto value = static_cast<std::uint64_t>(interval);
    const unsigned width = static_cast<unsigned>(std::bit_width(value));
    if (width <= kMantissaBits + 1) return value;
    const unsigned shift = width - (kMantissaBits + 1);
    const std::uint64_t mantissa = (value >> shift) & ((1U << kMantissaBits) - 1);
    return ((std::uint64_t{shift} + 1) << kMantissaBits) | mantissa;
}

std::int64_t decode_interval(std::uint64_t code) noexcept {
    const std::uint64_t exponent = code >> kMantissaBits;
    if (exponent <= 1) return static_cast<std::int64_t>(code);
    const std::uint64_t mantissa = code & ((1U << kMantissaBits) - 1);
    return static_cast<std::int64_t>(((std::uint64_t{1} << kMantissaBits) | mantissa) << (exponent - 1));
}

std::uint64_t pack(std::int64_t tat, std::int64_t interval) noexcept {
    return static_cast<std::uint64_t>(tat) << kCodeBits | encode_interval(interval);
}

std::int64_t tat_of(std::uint64_t word) noexcept {
    return static_cast<std::int64_t>(word >> kCodeBits);
}

std::int64_t clamp_clock(std::int64_t now_us) noexcept {
    return std::clamp<std::int64_t>(now_us, 0, kMaxClock);
}

// The account's debt at the present rate. `adjusted` tells that the debt differs from the one in the word.
std::int64_t debt_of(std::uint64_t word, std::int64_t now, const Rate& rate, bool& adjusted) noexcept {
    adjusted = false;
    const std::int64_t ahead = tat_of(word) - now;
    if (ahead <= 0) return 0;
    const std::uint64_t code = word & kCodeMask;
    if (code != encode_interval(rate.interval)) {
        adjusted = true;
        // The decoded interval is never above the old one, so the used requests never become fewer.
        const std::int64_t old_interval = std::max<std::int64_t>(decode_interval(code), 1);
        __extension__ using wide = unsigned __int128;
        const wide scaled = (static_cast<wide>(ahead) * static_cast<wide>(rate.interval) + static_cast<wide>(old_interval - 1)) /
                            static_cast<wide>(old_interval);
        return scaled > static_cast<wide>(rate.full) ? rate.full : static_cast<std::int64_t>(scaled);
    }
    if (ahead > rate.full + kClockSlack) {
        adjusted = true;
        return rate.full;
    }
    return ahead;
}

// Judges a request, or only tells what a request would get.
Decision judge(std::uint64_t word, std::int64_t now_us, std::int64_t limit_per_minute, std::int64_t burst,
               bool is_request) noexcept {
    if (limit_per_minute < 1) return {false, kNobodyRetryAfter, 0, 0, kNobodyRetryAfter, word};

    const std::int64_t now = clamp_clock(now_us);
    const Rate rate = rate_of(limit_per_minute, burst);
    bool adjusted = false;
    std::int64_t debt = debt_of(word, now, rate, adjusted);

    Decision decision;
    decision.admitted = debt <= rate.full - rate.interval;
    decision.retry_after_us = decision.admitted ? 0 : debt - (rate.full - rate.interval);
    decision.new_word = word;
    if (is_request && decision.admitted) debt += rate.interval;
    if (is_request && (decision.admitted || adjusted)) decision.new_word = pack(now + debt, rate.interval);
    decision.remaining = std::max<std::int64_t>(rate.full - debt, 0) / rate.interval;
    decision.reset_us = debt;
    decision.next_us = std::max<std::int64_t>(debt - (rate.full - (decision.remaining + 1) * rate.interval), 0);
    if (debt == 0) decision.next_us = 0;
    return decision;
}

std::int32_t to_field(std::int64_t value) noexcept {
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(value, 0, std::numeric_limits<std::int32_t>::max()));
}

std::int32_t to_seconds(std::int64_t us) noexcept {
    return to_field(us / kMicrosecondsPerSecond + (us % kMicrosecondsPerSecond > 0 ? 1 : 0));
}

}  // namespace

Decision decide(std::uint64_t word, std::int64_t now_us, std::int64_t limit_per_minute, std::int64_t burst) noexcept {
    return judge(word, now_us, limit_per_minute, burst, true);
}

Decision peek(std::uint64_t word, std::int64_t now_us, std::int64_t limit_per_minute, std::int64_t burst) noexcept {
    Decision decision = judge(word, now_us, limit_per_minute, burst, false);
    decision.new_word = word;
    return decision;
}

Decision draw(std::atomic<std::uint64_t>& word, std::int64_t now_us, std::int64_t limit_per_minute, std::int64_t burst,
              Receipt* receipt) noexcept {
    // Relaxed order is enough: the word is the whole state, and no other memory is published with it.
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    for (;;) {
        const Decision decision = decide(seen, now_us, limit_per_minute, burst);
        if (decision.new_word == seen) return decision;
        if (!word.compare_exchange_weak(seen, decision.new_word, std::memory_order_relaxed)) continue;
        if (receipt != nullptr) *receipt = {seen, decision.new_word, now_us, rate_of(limit_per_minute, burst).interval};
        return decision;
    }
}

void give_back(std::atomic<std::uint64_t>& word, const Receipt& receipt, std::int64_t now_us) noexcept {
    std::uint64_t seen = word.load(std::memory_order_relaxed);
    for (;;) {
        std::uint64_t becomes = receipt.before;
        if (seen != receipt.after) {
            // A change of the limit has rescaled the debt. It stays.
            if ((seen & kCodeMask) != (receipt.after & kCodeMask)) return;
            const std::int64_t elapsed = std::max<std::int64_t>(clamp_clock(now_us) - clamp_clock(receipt.at_us), 0);
            const std::int64_t back = receipt.interval_us - elapsed;
            if (back <= 0 || back > tat_of(seen)) return;
            becomes = static_cast<std::uint64_t>(tat_of(seen) - back) << kCodeBits | (seen & kCodeMask);
        }
        if (word.compare_exchange_weak(seen, becomes, std::memory_order_relaxed)) return;
    }
}

Quota own_quota(const Quota& own, const Quota& account) noexcept {
    const std::int32_t limit = std::min(own.limit_per_minute, account.limit_per_minute);
    const std::int32_t burst = own.burst < 0 ? std::max(limit, 1) : own.burst;
    return {limit, std::min(burst, account.burst)};
}

bool own_limit_binds(const Decision& account, const Decision& own) noexcept {
    if (account.admitted != own.admitted) return !own.admitted;
    if (!own.admitted) return own.retry_after_us >= account.retry_after_us;
    return own.remaining < account.remaining || (own.remaining == account.remaining && own.next_us > account.next_us);
}

bool is_idle(std::uint64_t word, std::int64_t now_us) noexcept {
    return tat_of(word) <= clamp_clock(now_us);
}

RateLimitFields rate_limit_fields(const Decision& decision, std::int64_t limit_per_minute, std::int64_t burst) noexcept {
    RateLimitFields fields = {0, to_seconds(kNobodyRetryAfter), to_field(decision.remaining), to_seconds(decision.next_us),
                              decision.admitted ? 0 : to_seconds(decision.retry_after_us)};
    if (limit_per_minute < 1) return fields;
    const Rate rate = rate_of(limit_per_minute, burst);
    fields.limit = to_field(rate.burst);
    fields.window = to_seconds(rate.full);
    return fields;
}

namespace {

// The name and two parameters of one letter.
char* write_item(char* at, char* end, bool own, char a, std::int32_t a_value, char b, std::int32_t b_value) noexcept {
    const std::string_view name = own ? "\"token\"" : "\"account\"";
    at = std::copy(name.begin(), name.end(), at);
    const auto parameter = [&](char letter, std::int32_t value) noexcept {
        *at++ = ';';
        *at++ = letter;
        *at++ = '=';
        at = std::to_chars(at, end, value).ptr;
    };
    parameter(a, a_value);
    parameter(b, b_value);
    return at;
}

std::string_view written(std::span<char, kMaxRateLimitChars> out, const char* end) noexcept {
    return {out.data(), static_cast<std::size_t>(end - out.data())};
}

}  // namespace

std::string_view write_rate_limit_policy(const RateLimitAnswer& answer, std::span<char, kMaxRateLimitChars> out) noexcept {
    char* const end = out.data() + out.size();
    char* at = write_item(out.data(), end, false, 'q', answer.account.limit, 'w', answer.account.window);
    if (answer.has_own) {
        *at++ = ',';
        *at++ = ' ';
        at = write_item(at, end, true, 'q', answer.own.limit, 'w', answer.own.window);
    }
    return written(out, at);
}

std::string_view write_rate_limit(const RateLimitAnswer& answer, std::span<char, kMaxRateLimitChars> out) noexcept {
    const RateLimitFields& fields = answer.binding();
    return written(out,
                   write_item(out.data(), out.data() + out.size(), answer.own_binds, 'r', fields.remaining, 't', fields.reset));
}

}  // namespace mirox::core
