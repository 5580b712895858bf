// The act that runs (see actor.hpp). Takes no locks.
#include "store/actor.hpp"

#include "pg/members.hpp"
#include "store/secrets.hpp"

extern "C" {
#include "access/xact.h"
#include "optimizer/planner.h"
}

namespace mirox::store {
namespace {

// Allocated in the (sub)transaction's memory, because the Actor itself may be gone when the callbacks run. Freed with the act
// that failed.
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

// enter() checks who owns the extension's objects. The owner of one may change while a statement waits for its lock. That change
// invalidates the statement's plan, so the server plans it again with all its tables locked, and the owners are checked again
// here.
planner_hook_type next_planner = nullptr;

PlannedStmt* plan(::Query* query, const char* text, int options, ParamListInfo parameters) {
    if (innermost != nullptr) pg::require_own_members();
    return (next_planner != nullptr ? next_planner : standard_planner)(query, text, options, parameters);
}

}  // namespace

void enter(Actor& actor, bool direct) {
    actor = {};
    actor.direct = direct;
    actor.role = pg::enter_owner();
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
    pg::leave_owner(actor.role);
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
