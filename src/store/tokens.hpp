// Tokens: the acts of management on them, and the rules that triggers hold against direct DML as well.
//
// Locks: each act is called with the owner's account locked (sessions.hpp, accounts.hpp).
#pragma once

#include "pg/prelude.hpp"
//
#include "core/text.hpp"
#include "store/actor.hpp"
#include "store/groups.hpp"
#include "store/secrets.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::store {

// ---- rules -------------------------------------------------------------------------------------------------------

// A name as it is stored (trimmed, NFC), in the database's encoding; 22023 when it is none.
struct Name {
    char text[4 * core::kMaxNameBytes];
    std::size_t size;
    std::string_view view() const { return {text, size}; }
};
void normalise_name(std::string_view given, Name& out);
// One that is stored already.
void keep_name(std::string_view text, Name& out);

// 22023 unless the instant is finite, after `now` and within mirox_tokens.max_lifetime of it (in UTC).
void check_expiry(TimestampTz expires_at, TimestampTz now);
[[noreturn]] void too_far_away(TimestampTz now);
// 22023 unless whoever starts from it, at whatever time of the year, ends later.
void check_lifetime(const Interval& lifetime);

// 22023 for a text that people read (a reason, a description) when it is longer than core::kMaxLineChars or holds what could
// break a line, a terminal or the order in which a list is read.
void check_line(const char* what, std::string_view text);

// The places that an account's unrevoked tokens hold (bit 0: place 1). Call with the account locked.
struct Places {
    std::uint64_t taken;
    int held;
};
Places places_of(std::int64_t account_id);

// The lowest free place; 54000 with the owner's counts when the cap is reached.
int free_place(const Places& places, const Account& owner);

// ---- acts ----------------------------------------------------------------------------------------------------------

struct IssueRequest {
    std::string_view name;
    std::string_view group;
    bool has_expires_at, has_expires_in;
    TimestampTz expires_at;
    const Interval* expires_in;
    Datum permissions;  // text[], 0: none
    Datum allowed_ips;  // cidr[], 0: none
    bool jwt;           // else opaque
    Datum metadata;     // jsonb
};

struct Issued {
    std::int64_t token_id;
    NewSecret* secret;  // forget() it once shown
    Name name;
    std::int32_t group_id;
    int place;
    TimestampTz expires_at;
    TimestampTz created_at;
};

void issue(Actor& actor, const IssueRequest& request, Issued& out);
void rotate(Actor& actor, std::int64_t token_id, const Interval& overlap, Issued& out);
// Revokes one token of the account; returns when (the first time's). P0002 when the account has none such.
TimestampTz revoke(Actor& actor, std::int64_t token_id, std::string_view reason, bool has_reason);
int revoke_all(Actor& actor, std::string_view reason, bool has_reason, bool expired_only);
void rename(Actor& actor, std::int64_t token_id, std::string_view name, Name& out);

// The account that a token belongs to, 0 when there is no such token.
std::int64_t account_of_token(std::int64_t token_id);

[[noreturn]] void no_such_token();

}  // namespace mirox::store
