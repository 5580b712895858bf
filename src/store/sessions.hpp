// Web sessions, and the start of every act of an account's owner: find the session by its secret, lock its account, read the
// session again.
//
// Locks: the account's row (accounts.hpp) for an act that changes something; none for one that only reads.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/crypto.hpp"
#include "pg/values.hpp"
#include "store/actor.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace mirox::store {

// What a check needs of a session.
struct SessionState {
    std::int64_t session_id;
    std::int64_t account_id;
    TimestampTz expires_at;
    bool closed;
};

struct Session : SessionState {
    Datum client_ip;             // inet copy, 0: none
    struct varlena* user_agent;  // copy, null: none
};

// The session with this digest, open or not. Locks nothing. False if there is none.
bool session_state(const core::Digest& digest, SessionState& out);

// The session with this digest, open or not, and its account. With `lock`, the account is locked and the session is as it is
// under that lock. Raises 42501 if the transaction acts for a session of another account.
enum class SessionFound { found, unknown, no_account };
SessionFound find_session(const core::Digest& digest, bool lock, Session& out, Account& owner);

// Makes the session the one in which the actor acts.
void act_in(const Session& session, Actor& actor);

// Finds the session of a secret for an act of management. Fills the actor (entered by the caller) with the session and its
// account, which is locked if `lock` is true. Raises 42501 for a token's secret, 28000 if the session is not open or its account
// is locked.
void require_session(Actor& actor, const pg::OptionalText& secret, bool lock);

// Calls what(actor) within an act of the account whose session's secret is the first argument; with `lock`, the account is
// locked.
template <class What>
auto in_session(FunctionCallInfo fcinfo, bool lock, What what) {
    const pg::OptionalText secret = pg::secret_arg(fcinfo, 0);
    return as_act([&](Actor& actor) {
        require_session(actor, secret, lock);
        return what(actor);
    });
}

}  // namespace mirox::store
