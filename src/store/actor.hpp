// The act that runs: the caller's role and web session, and the locked account, for the length of one function call. Triggers
// read it to write the audit log, and to tell the extension's own statements from direct DML.
//
// An Actor lives on the C stack of the call. After an ERROR the function does not return. Then callbacks of the
// (sub)transaction's abort take its Actor off the list. They do not read it, since its stack frame is overwritten by then.
#pragma once

#include "pg/prelude.hpp"
//
#include <type_traits>

#include "pg/query.hpp"
#include "store/accounts.hpp"

namespace mirox::store {

struct AuditKey {
    std::int32_t node;
    std::int64_t id;
};

struct Actor {
    pg::OwnerScope role;      // the caller's role, to which leave() returns
    bool direct;              // a trigger that runs for direct DML
    bool erases;              // the worker takes out traces: may blank recorded use and audit rows
    bool worker;              // the worker acts: may change recorded use, and delete expired rows
    std::int64_t session_id;  // 0: none
    Datum session_ip;         // inet, 0: none
    struct varlena* session_agent;
    TimestampTz session_expires_at;
    Account account;  // the locked account; account_id 0 when none
    AuditKey last;    // key of the last audit row
    bool audited;     // the act has written its audit row: what it does to rows is no act of its own, and they take that key
};

// enter() switches to the extension's owner and opens SPI. leave() switches back. Call both in the same function.
void enter(Actor& actor, bool direct = false);
void leave(Actor& actor);

// Calls what(actor) between enter() and leave().
template <class What>
std::invoke_result_t<What&, Actor&> as_act(What what) {
    using Result = std::invoke_result_t<What&, Actor&>;
    Actor actor;
    enter(actor);
    if constexpr (std::is_void_v<Result>) {
        what(actor);
        leave(actor);
    } else {
        Result result = what(actor);
        leave(actor);
        return result;
    }
}

// The innermost act; null while SQL runs outside of any act.
Actor* current_actor();

// Called once from _PG_init.
void watch_acts();

}  // namespace mirox::store
