// Web sessions, and the start of every act of management: a session's secret, its account locked, the session read again.
//
// Locks: the account's row (accounts.hpp) for what changes something; none for what only reads.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/crypto.hpp"
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

// The session with this digest, open or not; nothing is locked. False when there is none.
bool session_state(const core::Digest& digest, SessionState& out);

// The session with this digest, open or not, and its account; with `lock`, the account locked and the session as it is under that
// lock. 42501 when the transaction acts for a session of another account.
enum class SessionFound { found, unknown, no_account };
SessionFound find_session(const core::Digest& digest, bool lock, Session& out, Account& owner);

// From here on the actor acts in this session.
void act_in(const Session& session, Actor& actor);

// The session of a secret for an act of management; fills the actor (entered by the caller) with it and, for `lock`, with the
// locked account, else with the account as it is. Errors: 42501 for a token's secret, 28000 for what is no open session or
// one of a locked account.
void require_session(Actor& actor, bool given, std::string_view secret, bool lock);

}  // namespace mirox::store
