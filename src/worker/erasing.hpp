// Takes out the traces that mirox.erase_traces() was asked for (store/traces.hpp), some rows of one account at a time: open minutes, then
// minutes, hours and days, then acts. Table erasure tells how far this has come, also to a worker that was restarted.
//
// A use may be drained after its account's traces were taken out: it waited in the ring, or came from elsewhere. Each worker knows the
// erased accounts, and drains such a use without its traces.
//
// Locks: row locks of what it changes.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/transaction.hpp"
#include "shmem/control.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace mirox::worker {

struct Erasing {
    bool active;             // a slice follows
    std::int32_t rows;       // about how many the next slice looks at; 0: the first
    TimestampTz drained_at;  // what was recorded before is in the tables
};

// Call inside a step, before uses are gathered. Finds what was ordered meanwhile too.
void know_erased();
// Whether a use at that time is drained without address, agent and place.
bool is_erased(std::int64_t account_id, TimestampTz at);

// Runs a slice, which takes a second at most. When nothing is left to do, `active` is false. On failure too; `trouble` says why.
bool erase_slice(Erasing& erasing, shmem::DatabaseStats* stats, pg::Trouble& trouble);

}  // namespace mirox::worker
