// A transaction of a background process (see transaction.hpp). Takes no locks.
#include "pg/transaction.hpp"

extern "C" {
#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "pgstat.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
}

namespace mirox::pg {
namespace {

void keep(const char* text, char (&out)[256]) {
    const char* from = text == nullptr ? "" : text;
    const int length = pg_mbcliplen(from, static_cast<int>(strlen(from)), static_cast<int>(sizeof(out)) - 1);
    memcpy(out, from, static_cast<std::size_t>(length));
    out[length] = '\0';
}

void run_step(void (*step)(void*), void* state, int most_ms) {
    StartTransactionCommand();
    // In the server's main loop, statement_timeout would do this.
    if (most_ms > 0) enable_timeout_after(STATEMENT_TIMEOUT, most_ms);
    PushActiveSnapshot(GetTransactionSnapshot());
    step(state);
    PopActiveSnapshot();
    if (most_ms > 0) disable_timeout(STATEMENT_TIMEOUT, false);
    CommitTransactionCommand();
}

}  // namespace

void serve_interrupts() {
    QueryCancelPending = false;
    CHECK_FOR_INTERRUPTS();
}

bool in_transaction(void (*step)(void*), void* state, Trouble& trouble, int most_ms) {
    const MemoryContext context = CurrentMemoryContext;
    volatile bool done = false;
    PG_TRY();
    {
        run_step(step, state, most_ms);
        done = true;
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(context);
        ErrorData* const error = CopyErrorData();
        FlushErrorState();
        trouble.sqlstate = error->sqlerrcode;
        keep(error->message, trouble.message);
        keep(error->detail, trouble.detail);
        FreeErrorData(error);
        // As PostgresMain does: clear all state of the failed transaction, including a served cancel request.
        disable_all_timeouts(false);
        QueryCancelPending = false;
        AbortCurrentTransaction();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(context);
    return done;
}

}  // namespace mirox::pg
