// Who acts: for the length of one call of ours, the caller's role and web session, and the account that is locked. Triggers
// read it to write the audit log, and to tell our own statements from DML that bypasses the functions.
//
// An Actor lives on the C stack of the call. After an ERROR nothing of ours runs; callbacks of the (sub)transaction's abort
// take the dead ones off the list, without looking into them: their frames are overwritten by then.
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
    pg::OwnerScope owner;
    bool direct;              // a trigger on behalf of DML that bypasses the functions
    bool maintenance;         // the worker: may change recorded use, and delete what is past its time
    std::int64_t session_id;  // 0: none
    Datum session_ip;         // inet, 0: none
    struct varlena* session_agent;
    Account account;  // the locked account; account_id 0 when none
    AuditKey last;    // of the last audit row
};

// enter: acts from here on as the extension's owner, with SPI open. leave: the caller again. They pair in one function.
void enter(Actor& actor, bool direct = false);
void leave(Actor& actor);

// Calls what(actor) between the two.
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

// The innermost one, or null: then whoever runs SQL does so directly.
Actor* current_actor();

// Called once from _PG_init.
void watch_acts();

}  // namespace mirox::store
