// The gate before every act of management, whatever the caller's role. A transaction that acts for a token manages nothing; one
// that acts for a web session manages that session's account only. Each function of the levels login, application and admin is
// defined by MIROX_ACT or one of the macros below, so that the gate comes before its arguments are read and before any lock
// (test/static/check_acts.py compares these definitions with the levels). The gate also refuses management of an extension whose
// version the library does not know, and acts that write in a read-only transaction, as every transaction on a standby is.
// Triggers do not pass the gate: what a bound table or direct DML does is the decision of the table's owner.
//
// A refused act is counted and recorded in shared memory, which the ERROR that follows does not undo: as a refusal of the token
// or session that tried it, otherwise as one of an unauthenticated caller.
//
// Takes no locks.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/entry.hpp"
#include "shmem/record.hpp"

namespace mirox::store {

// Whether an act writes tables. One that does not goes on in a read-only transaction and on a standby.
enum class Effect : std::uint8_t { reads, writes };

// `function` is a literal: the name without its schema. Both raise 42501 if the transaction acts for a token; begin_act() also if
// it acts for a session. Then 55000 if the library does not know the version of the extension, and 25006 for an act that writes
// in a read-only transaction.
void begin_act(const char* function, Effect effect);
void begin_own_act(const char* function, Effect effect);

// Raises 25006 in a read-only transaction. A standby could give neither the row lock nor the transaction id that an act needs,
// and would fail with an internal error.
void require_writable(const char* function);

// Raises 42501 if the transaction acts for a session of another account.
void require_own_account(std::int64_t account_id);
// Raises 42501 if the transaction acts for another token. For revoke_self(), which is of level gateway and does not pass the
// gate.
void require_own_token(std::int64_t token_id);

// Counts and records that the act begun last is refused. `who`: the credential_id, generation and account of the given secret, as far as
// they are known. A transaction's identity takes precedence over it.
void record_refused_act(const shmem::Event& who = {});

}  // namespace mirox::store

// Like MIROX_FUNCTION, for an act of management. MIROX_SECRET_ACT: one that is given or shows a secret. MIROX_OWN_ACT: one of an
// account's owner, identified by a session's secret (find_session() compares it with the account that the transaction acts for).
// MIROX_READ_ONLY_ACT and MIROX_OWN_READ_ONLY_ACT: acts that write no table.
#define MIROX_ACT(NAME) MIROX_ACT_WITH(NAME, MIROX_FUNCTION, begin_act, writes)
#define MIROX_SECRET_ACT(NAME) MIROX_ACT_WITH(NAME, MIROX_SECRET_FUNCTION, begin_act, writes)
#define MIROX_READ_ONLY_ACT(NAME) MIROX_ACT_WITH(NAME, MIROX_SECRET_FUNCTION, begin_act, reads)
#define MIROX_OWN_ACT(NAME) MIROX_ACT_WITH(NAME, MIROX_SECRET_FUNCTION, begin_own_act, writes)
#define MIROX_OWN_READ_ONLY_ACT(NAME) MIROX_ACT_WITH(NAME, MIROX_SECRET_FUNCTION, begin_own_act, reads)

#define MIROX_ACT_WITH(NAME, FUNCTION, GATE, EFFECT)                 \
    static Datum NAME##_act(FunctionCallInfo fcinfo);                \
    FUNCTION(NAME) {                                                 \
        ::mirox::store::GATE(#NAME, ::mirox::store::Effect::EFFECT); \
        return NAME##_act(fcinfo);                                   \
    }                                                                \
    static Datum NAME##_act([[maybe_unused]] FunctionCallInfo fcinfo)
