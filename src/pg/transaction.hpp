// A transaction of a background process, with its errors caught: the step runs in one of its own, which is committed, or
// rolled back when the step raised an error. (This is what the server's own main loop does for a client's command.)
// Takes no locks.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::pg {

// What went wrong, in plain data of a fixed size.
struct Trouble {
    int sqlstate;
    char message[256];
    char detail[256];
};

// Calls step(state) in a transaction, with an active snapshot. False when it was rolled back; `trouble` says why. A request
// to cancel a statement ends this one alone, and so does its time, if one is given (57014). Not to be called inside a transaction.
bool in_transaction(void (*step)(void*), void* state, Trouble& trouble, int most_ms = 0);

// What is asked of the process between two transactions. A request to cancel has come too late, and asks for nothing.
void serve_interrupts();

}  // namespace mirox::pg
