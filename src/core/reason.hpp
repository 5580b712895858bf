// Why a request was admitted or refused: the one table of reasons.
//
// Pure: may include the C++ library only.
#pragma once

#include <cstdint>
#include <iterator>
#include <string_view>

namespace mirox::core {

// The ring's file holds the numbers, and it survives a restart and an upgrade. So no number is ever changed or reused. A new
// reason goes before `end` and gets a row below.
enum class Reason : std::uint8_t {
    ok,
    malformed,
    unknown,
    revoked,
    rotated,
    expired,
    locked,
    ip_not_allowed,
    insufficient_scope,
    rate_limited,
    invalid_request,     // from check_request() only
    management_refused,  // from no check: a refused act of management (store/acts.hpp)
    keys_unavailable,    // the secret has the form of a JWT, and no key can verify it
    public_endpoint,     // no credentials were sent, and the endpoint needs none
    suspended,           // its owner has suspended the token
    end                  // none
};
inline constexpr int kReasons = static_cast<int>(Reason::end);

struct Outcome {
    Reason reason;
    const char* word;         // the word that the gateway gets
    int status;               // the HTTP status that the client gets
    const char* stat_column;  // what counts it in mirox.stat
    bool check;               // counted among the checks
};
inline constexpr Outcome kOutcomes[] = {
    {Reason::ok, "ok", 200, "ok", true},
    {Reason::malformed, "malformed", 401, "malformed", true},
    {Reason::unknown, "unknown", 401, "unknown", true},
    {Reason::revoked, "revoked", 401, "revoked", true},
    {Reason::rotated, "rotated", 401, "rotated", true},
    {Reason::expired, "expired", 401, "expired", true},
    {Reason::locked, "locked", 401, "locked", true},
    {Reason::ip_not_allowed, "ip_not_allowed", 401, "ip_not_allowed", true},
    {Reason::insufficient_scope, "insufficient_scope", 403, "insufficient_scope", true},
    {Reason::rate_limited, "rate_limited", 429, "rate_limited", true},
    {Reason::invalid_request, "invalid_request", 400, "invalid_request", true},
    {Reason::management_refused, "management_refused", 403, "acts_refused", false},
    {Reason::keys_unavailable, "keys_unavailable", 503, "keys_unavailable", true},
    {Reason::public_endpoint, "public", 200, "public", true},
    {Reason::suspended, "suspended", 401, "suspended", true},
};
inline constexpr std::size_t kMaxReasonChars = 24;

static_assert(
    [] {
        if (std::size(kOutcomes) != kReasons) return false;
        for (int i = 0; i < kReasons; i++)
            if (static_cast<int>(kOutcomes[i].reason) != i || std::string_view(kOutcomes[i].word).size() > kMaxReasonChars)
                return false;
        return true;
    }(),
    "each reason has its row, in the order of the numbers");

constexpr const Outcome& outcome_of(Reason reason) noexcept {
    return kOutcomes[static_cast<int>(reason)];
}
// The word for a number in shared memory; `other` for a number that this version does not know.
constexpr const char* reason_word(std::uint8_t number) noexcept {
    return number < kReasons ? kOutcomes[number].word : "other";
}

}  // namespace mirox::core
