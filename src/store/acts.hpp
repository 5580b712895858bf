// The gate before every act of management, whatever the caller's role. Who acts for a token manages nothing; who acts for a web
// session manages that session's account alone. Each function of the levels login, application and admin is defined by MIROX_ACT
// or MIROX_OWN_ACT, so that the gate comes before its arguments are looked at (test/static/check_acts.py compares these
// definitions with the levels). Nor does anybody manage an extension whose version the library does not know. What triggers do is
// no such act: a bound user's end is the platform's, and direct DML its owner's.
//
// A refused act is counted and recorded in shared memory, which the ERROR that follows does not take back: as a refusal of the
// token or session that tried, else as an unauthenticated caller's.
//
// Takes no locks.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/entry.hpp"
#include "shmem/record.hpp"

namespace mirox::store {

// `function` is a literal: the name without its schema. 42501 when the transaction acts for a token; begin_act() also when it
// acts for a session. 55000 when the library does not know the version of the extension here.
void begin_act(const char* function);
void begin_own_act(const char* function);

// 42501 when the transaction acts for a session of another account.
void require_own_account(std::int64_t account_id);
// 42501 when the transaction acts for another token. Of revoke_self(), which is level gateway's and no act as those above.
void require_own_token(std::int64_t token_id);

// Counts and records that the act begun last is refused. `who`: whose secret was given, by holder, generation and account, as far
// as known; a transaction's identity goes before it.
void record_refused_act(const shmem::Event& who = {});

}  // namespace mirox::store

// As MIROX_FUNCTION, for an act of management; MIROX_SECRET_ACT for one that is given or shows a secret. MIROX_OWN_ACT: one of an
// account's owner, who says so by a session's secret (find_session() holds it to the account that the transaction acts for).
#define MIROX_ACT(NAME) MIROX_ACT_WITH(NAME, MIROX_FUNCTION, begin_act)
#define MIROX_SECRET_ACT(NAME) MIROX_ACT_WITH(NAME, MIROX_SECRET_FUNCTION, begin_act)
#define MIROX_OWN_ACT(NAME) MIROX_ACT_WITH(NAME, MIROX_SECRET_FUNCTION, begin_own_act)

#define MIROX_ACT_WITH(NAME, FUNCTION, GATE)          \
    static Datum NAME##_act(FunctionCallInfo fcinfo); \
    FUNCTION(NAME) {                                  \
        ::mirox::store::GATE(#NAME);                  \
        return NAME##_act(fcinfo);                    \
    }                                                 \
    static Datum NAME##_act([[maybe_unused]] FunctionCallInfo fcinfo)
