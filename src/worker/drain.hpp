// From the ring to the tables: each batch of events in one transaction with the position that it reaches, applied exactly once
// (see shmem/core_region.hpp for the steps).
//
// Locks: ordinary row and table locks of the statements, with lock_timeout; region_lock() exclusive for freeing what was written.
#pragma once

#include "pg/prelude.hpp"
//
#include "pg/transaction.hpp"
#include "shmem/events.hpp"
#include "store/actor.hpp"

namespace mirox::worker {

enum class Drained : std::uint8_t {
    all,     // everything published before the call is in the tables
    later,   // an event is still being written by its backend: come back
    absent,  // the extension is not in this database (any more)
    failed,  // a transaction was rolled back: `trouble` says why
};

// Adds to `open` how many rows by minute and caller it wrote to usage_open. `until`: a last drain, in small batches, which ends then
// at the latest; 0: one that takes its time, and ends when the process is told to stop.
Drained drain_events(shmem::Seat* seat, std::uint64_t& open, pg::Trouble& trouble, TimestampTz until = 0);
Drained drain_strangers(shmem::Seat* seat, pg::Trouble& trouble, TimestampTz until = 0);

// A transaction of the worker's, counted in the seat (null: none) so that whoever waits sees it move.
bool run_step(shmem::Seat* seat, void (*step)(void*), void* state, pg::Trouble& trouble, int most_ms = 0);

// Begins what the worker does within a transaction, as the extension's owner and as the one who may change what is recorded. False,
// and nothing begun, where the extension is not in this database (any more). Ends with store::leave().
bool begin_step(store::Actor& actor);

// Until store::leave(): statements planned from now on find rows by an index, one after the other, and read no table whole. A
// worker's plans are made when it starts, perhaps of tables that are empty then, and serve for as long as it lives; a plan that
// reads a table, or what many rows have in common in an index, for each row of a batch would never end. Hence in these
// statements LATERAL and OFFSET 0 (the batch's rows first), and conditions that the right index alone can serve:
// (a, b) >= (x, y) AND (a, b) <= (x, y) where another index has b alone. (Of such a range the index is read from the row on to
// the last one with this a, so b must be one that grows.)
void plan_by_keys();

// An address as an inet Datum; 0.0.0.0/0 for none.
Datum stored_inet(const shmem::Address& address);

// An array Datum of non-NULL (or, with nulls, some NULL) elements of a built-in type.
Datum array_datum(Oid type, Datum* values, bool* nulls, int count);

}  // namespace mirox::worker
