// Acts of management on accounts, sessions and access. Those on tokens, groups and endpoints are in tokens.hpp, groups.hpp and
// endpoints.hpp. Call each within an act (store::enter).
//
// Locks: the account's row first (accounts.hpp). A first registration takes an object lock on the user id while it writes the row, and
// waits for other transactions that have written one. So two of them never collide in the unique index.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/values.hpp"
#include "store/actor.hpp"
#include "store/secrets.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::store {

struct AccountRequest {
    std::string_view user_id;
    Datum permissions;  // mirox.scopes
    pg::OptionalInt rate_limit, burst;
};
// Registers the account or changes it. A limit that is not given stays; a new account has the configured default.
void put_account(Actor& actor, const AccountRequest& request);
// A limit that is not given becomes the configured default. Raises P0002 if there is no such account.
void set_rate_limit(Actor& actor, const AccountRequest& request);

// Returns when the account was first locked. Its sessions are closed by the trigger. Raises P0002 if there is none.
TimestampTz lock_account(Actor& actor, std::string_view user_id, std::string_view reason, bool has_reason);
bool unlock_account(Actor& actor, std::string_view user_id);
// False if there was no such account.
bool delete_account(Actor& actor, std::string_view user_id);
// By account_id, for the users of a bound table (bound.hpp).
bool delete_account(Actor& actor, std::int64_t account_id);
bool rename_account(Actor& actor, std::int64_t account_id, std::string_view after);
// Raises 23505: the user's new id belongs to another account.
[[noreturn]] void refuse_taken_id();

struct SessionRequest {
    std::string_view user_id;
    const Interval* lifetime;
    Datum client_ip;  // inet, 0: none
    std::string_view user_agent;
    bool has_user_agent;
};
// Call forget() on the secret once it is shown.
NewSecret& open_session(Actor& actor, const SessionRequest& request);
// False if it was not open.
bool close_session(Actor& actor, std::string_view secret);
// These are on sessions of the actor's account, which is locked. The second closes all open ones but `spared` (0: none), and
// returns how many.
bool close_session(Actor& actor, std::int64_t session_id);
int close_sessions(Actor& actor, const pg::OptionalText& reason, std::int64_t spared);

// Grants to a role, or revokes from it, the privileges of a level in mirox_internal.access_rule.
void change_access(const char* role, std::string_view level, bool grant);
// The rows of the view access, as the result of a set-returning function.
void list_access(FunctionCallInfo fcinfo);

// The user agent as it is stored: at most 512 bytes, cut between characters; palloc'd.
std::string_view stored_user_agent(std::string_view raw);

}  // namespace mirox::store
