// Who acts (see actor.hpp). Takes no locks.
#include "store/actor.hpp"

extern "C" {
#include "access/xact.h"
}

namespace mirox::store {
namespace {

Actor* innermost = nullptr;

void on_transaction(XactEvent event, void*) {
    if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
        innermost = nullptr;
}

void on_subtransaction(SubXactEvent event, SubTransactionId, SubTransactionId, void*) {
    if (event != SUBXACT_EVENT_ABORT_SUB) return;
    const int level = GetCurrentTransactionNestLevel();
    while (innermost != nullptr && innermost->nest_level >= level) innermost = innermost->previous;
}

}  // namespace

void enter(Actor& actor, bool direct) {
    actor = {};
    actor.direct = direct;
    actor.owner = pg::enter_owner();
    pg::spi_open();
    actor.previous = innermost;
    actor.nest_level = GetCurrentTransactionNestLevel();
    innermost = &actor;
}

void leave(Actor& actor) {
    Assert(innermost == &actor);
    innermost = actor.previous;
    pg::spi_close();
    pg::leave_owner(actor.owner);
}

Actor* current_actor() {
    return innermost;
}

void watch_transactions() {
    RegisterXactCallback(on_transaction, nullptr);
    RegisterSubXactCallback(on_subtransaction, nullptr);
}

}  // namespace mirox::store
