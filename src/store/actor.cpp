// Who acts (see actor.hpp). Takes no locks.
#include "store/actor.hpp"

#include "pg/members.hpp"
#include "store/secrets.hpp"

extern "C" {
#include "access/xact.h"
#include "optimizer/planner.h"
}

namespace mirox::store {
namespace {

// In the (sub)transaction's memory, since the Actor itself may be gone when the callbacks run: it goes with the act that failed.
struct Link {
    Link* previous;
    Actor* actor;
    int nest_level;
};
Link* innermost = nullptr;

void on_transaction(XactEvent event, void*) {
    if (event == XACT_EVENT_ABORT) wipe_secrets(0);
    if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE) innermost = nullptr;
}

void on_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
    if (event != SUBXACT_EVENT_ABORT_SUB) return;
    const int level = GetCurrentTransactionNestLevel();
    wipe_secrets(level);
    while (innermost != nullptr && innermost->nest_level >= level) innermost = innermost->previous;
}

// An act begins with a look at whose our objects are. One may have come to belong to somebody else since, while a statement waited
// for its lock; then its plan is no longer good, and it is planned anew, with all that it names locked.
planner_hook_type next_planner = nullptr;

PlannedStmt* plan(::Query* query, const char* text, int options, ParamListInfo parameters) {
    if (innermost != nullptr) pg::require_own_members();
    return (next_planner != nullptr ? next_planner : standard_planner)(query, text, options, parameters);
}

}  // namespace

void enter(Actor& actor, bool direct) {
    actor = {};
    actor.direct = direct;
    actor.owner = pg::enter_owner();
    pg::spi_open();
    auto* link = static_cast<Link*>(MemoryContextAlloc(CurTransactionContext, sizeof(Link)));
    *link = {innermost, &actor, GetCurrentTransactionNestLevel()};
    innermost = link;
}

void leave(Actor& actor) {
    Assert(innermost != nullptr && innermost->actor == &actor);
    Link* link = innermost;
    innermost = link->previous;
    pfree(link);
    pg::spi_close();
    pg::leave_owner(actor.owner);
}

Actor* current_actor() {
    return innermost == nullptr ? nullptr : innermost->actor;
}

void watch_acts() {
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
    next_planner = planner_hook;
    planner_hook = plan;
}

}  // namespace mirox::store
