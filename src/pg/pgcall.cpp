// The jump target behind pg_call(). Takes no locks.
#include "pg/prelude.hpp"
//
#include "pg/entry.hpp"
#include "pg/error.hpp"
#include "pg/pgcall.hpp"

namespace mirox::pg {

namespace {

// Puts the stacks back on every way out of call_server(), also when the step throws a C++ exception. It
// stands above the jump target, so that no jump passes over it.
struct StacksRestorer {
    const Stacks saved = Stacks::current();
    StacksRestorer() = default;
    StacksRestorer(const StacksRestorer&) = delete;
    StacksRestorer& operator=(const StacksRestorer&) = delete;
    ~StacksRestorer() { saved.restore(); }
};

// Copies the error that is being handled into the current context, or gives NULL if there is no memory for
// it: that is an error too, and must not jump over the C++ frames above.
pg_noinline ErrorData* keep_error() {
    ErrorData* volatile kept = nullptr;
    sigjmp_buf jump;
    if (sigsetjmp(jump, 0) == 0) {
        PG_exception_stack = &jump;
        kept = CopyErrorData();
    }
    return kept;
}

}  // namespace

void call_server(void (*step)(void*), void* state) {
    const MemoryContext context = CurrentMemoryContext;
    if (context == ErrorContext) {
        // The copy of an error would be lost with the error.
        throw Error(ERRCODE_INTERNAL_ERROR, "pg_call was used while an error is being handled");
    }
    const StacksRestorer restorer;
    sigjmp_buf jump;
    if (sigsetjmp(jump, 0) == 0) {
        PG_exception_stack = &jump;
        step(state);
        return;
    }
    restorer.saved.restore();
    MemoryContextSwitchTo(context);
    const int code = geterrcode();
    ErrorData* const kept = keep_error();
    restorer.saved.restore();
    MemoryContextSwitchTo(context);
    FlushErrorState();
    throw PgError(code, kept);
}

}  // namespace mirox::pg
