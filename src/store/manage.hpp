// Acts of management on accounts, sessions and access; those on tokens, groups and endpoints are in tokens.hpp, groups.hpp and
// endpoints.hpp. Each runs inside an entered Actor.
//
// Locks: the account's row first (accounts.hpp). A first registration takes an object lock on the user id, so that two of
// them wait for each other instead of meeting in the unique index.
#pragma once

#include "pg/prelude.hpp"
//
#include "store/actor.hpp"
#include "store/secrets.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::store {

struct AccountRequest {
    std::string_view user_id;
    Datum permissions;  // mirox.scopes
    bool has_rate_limit, has_burst;
    std::int32_t rate_limit, burst;
};
void put_account(Actor& actor, const AccountRequest& request);

// When the account was first locked. P0002 when there is none.
TimestampTz lock_account(Actor& actor, std::string_view user_id, std::string_view reason, bool has_reason);
bool unlock_account(Actor& actor, std::string_view user_id);
// False when there was none.
bool delete_account(Actor& actor, std::string_view user_id);
// The same by the account's own number, for users of a bound table (bound.hpp).
bool delete_account(Actor& actor, std::int64_t account_id);
bool rename_account(Actor& actor, std::int64_t account_id, std::string_view after);
// 23505: the id that a user is to have is another account's.
[[noreturn]] void refuse_taken_id();

struct SessionRequest {
    std::string_view user_id;
    const Interval* lifetime;
    Datum client_ip;  // inet, 0: none
    std::string_view user_agent;
    bool has_user_agent;
};
// forget() the secret once shown.
NewSecret& open_session(Actor& actor, const SessionRequest& request);
// False when it was not open.
bool close_session(Actor& actor, std::string_view secret);

// Gives a role, or takes from it, what a level names in mirox_internal.access_rule.
void change_access(const char* role, std::string_view level, bool grant);

// A user agent as it is stored: 512 bytes at most, cut on a character boundary; palloc'd.
std::string_view stored_user_agent(std::string_view raw);

}  // namespace mirox::store
