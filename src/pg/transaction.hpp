// Transactions of a background process that catch errors. A step runs in a transaction of its own, which is committed, or rolled
// back when the step raised an error. (The server's main loop does the same for a client's command.)
#pragma once

#include "pg/prelude.hpp"

namespace mirox::pg {

// The error, in plain data of a fixed size.
struct Trouble {
    int sqlstate;
    char message[256];
    char detail[256];
};

// Calls step(state) in a transaction, with an active snapshot. False when the transaction was rolled back; `trouble` has the
// error then. A cancel request ends only this transaction, and so does the timeout `most_ms`, if given (57014). Not to be called
// inside a transaction.
bool in_transaction(void (*step)(void*), void* state, Trouble& trouble, int most_ms = 0);

// Serves interrupts between two transactions. A cancel request that comes then is too late and is dropped.
void serve_interrupts();

}  // namespace mirox::pg
