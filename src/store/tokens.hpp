// Tokens: the acts of management on them, and the rules that triggers enforce for direct DML as well.
//
// Locks: call each act with the owner's account locked (sessions.hpp, accounts.hpp).
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

// A name as it is stored (trimmed, NFC), in the database's encoding. normalise_name() raises 22023 if it is invalid.
struct Name {
    char text[4 * core::kMaxNameBytes];
    std::size_t size;
    std::string_view view() const { return {text, size}; }
};
void normalise_name(std::string_view given, Name& out);
// For a name that comes from a table.
void keep_name(std::string_view text, Name& out);

// Raises 22023 unless the time is finite, after `now`, and within mirox_tokens.max_lifetime of it (in UTC).
void check_expiry(TimestampTz expires_at, TimestampTz now, const char* argument = "expires_at");
[[noreturn]] void too_far_away(TimestampTz now, const char* argument);
// The lifetime of a token that is issued without an expiration.
Interval default_lifetime();
// Raises 22023 unless the lifetime is positive at every time of the year.
void check_lifetime(const Interval& lifetime, const char* argument);

// Raises 22023 if a text for people (a reason, a description) is longer than core::kMaxLineChars or contains characters that
// could break a line, a terminal or the reading order of a list.
void check_line(const char* what, std::string_view text);

// Raises 22023 if a rate limit or burst is given and below `least`.
void check_limit(const char* argument, const pg::OptionalInt& given, std::int32_t least);

// Whether a token's own permissions (mirox.scopes; 0: all of the group's) grow from `before` to `after`.
bool widens(Datum before, Datum after, const Group& group);

// The places of an account's unrevoked tokens (bit 0: place 1). Call with the account locked.
struct Places {
    std::uint64_t taken;
    int held;
};
Places places_of(std::int64_t account_id);

// The lowest free place. Raises 54000 with the owner's counts if the cap is reached.
int free_place(const Places& places, const Account& owner);

// ---- acts ----------------------------------------------------------------------------------------------------------

struct ExpiryRequest {
    bool has_expires_at, has_expires_in;
    TimestampTz expires_at;
    const Interval* expires_in;
};

struct IssueRequest {
    std::string_view name;
    std::string_view group;
    ExpiryRequest expiry;
    Datum permissions;  // text[], 0: none
    Datum allowed_ips;  // inet[], 0: none
    bool jwt;           // else opaque
    Datum metadata;     // jsonb
    pg::OptionalInt rate_limit;
};

struct Issued {
    std::int64_t token_id;
    NewSecret* secret;  // call forget() once it is shown
    Name name;
    std::int32_t group_id;
    int place;
    TimestampTz expires_at;
    TimestampTz created_at;
};

void issue(Actor& actor, const IssueRequest& request, Issued& out);
void rotate(Actor& actor, std::int64_t token_id, const Interval& overlap, Issued& out);
// Revokes one token of the account and returns when it was first revoked. Raises P0002 if the account has no such token.
TimestampTz revoke(Actor& actor, std::int64_t token_id, std::string_view reason, bool has_reason);
int revoke_all(Actor& actor, std::string_view reason, bool has_reason, bool expired_only);

// Changes of a token that is not revoked, by the rules of issuing. One that widens it posts the notice token_widened. All raise P0002 if the account has no such token, and write
// nothing where nothing changes.
void rename(Actor& actor, std::int64_t token_id, std::string_view name, Name& out);
// `asked` is a text[], 0: all that owner and group have. Returns the permissions in force then. Raises 55000 if the token would
// gain a permission while two of its secrets are in force.
Datum set_permissions(Actor& actor, std::int64_t token_id, Datum asked);
// `given` is an inet[], 0: from everywhere. Returns the cidr[] as it is stored, 0: none.
Datum set_networks(Actor& actor, std::int64_t token_id, Datum given);
// Raises 55000 for a token that has expired.
TimestampTz set_expiration(Actor& actor, std::int64_t token_id, const ExpiryRequest& request);
void set_metadata(Actor& actor, std::int64_t token_id, Datum metadata);
// A limit of the token's own; without a rate_limit it has none.
void set_rate_limit(Actor& actor, std::int64_t token_id, const pg::OptionalInt& rate_limit, const pg::OptionalInt& burst);
// Returns since when it is suspended.
TimestampTz suspend(Actor& actor, std::int64_t token_id, const pg::OptionalText& reason);
// False if it was not suspended.
bool resume(Actor& actor, std::int64_t token_id);
// Ends the secret before the last rotation. False if only one was in force.
bool end_overlap(Actor& actor, std::int64_t token_id);

// The account that a token belongs to, 0 if there is no such token.
std::int64_t account_of_token(std::int64_t token_id);

[[noreturn]] void no_such_token();

}  // namespace mirox::store
