// From the ring to the tables: each batch of events in one transaction with the position that it reaches, applied exactly once
// (see shmem/core_region.hpp for the steps).
//
// Locks: ordinary row and table locks of the statements, with lock_timeout; region_lock() exclusive for freeing what was written.
#pragma once

#include "pg/prelude.hpp"
//
#include <initializer_list>

#include "pg/query.hpp"
#include "pg/transaction.hpp"
#include "pg/values.hpp"
#include "shmem/control.hpp"
#include "store/actor.hpp"

extern "C" {
#include "utils/lsyscache.h"
}

namespace mirox::worker {

using pg::array_datum;

enum class Drained : std::uint8_t {
    all,     // everything published before the call is in the tables
    later,   // an event is still being written by its backend: come back
    absent,  // the extension is not in this database (any more)
    failed,  // a transaction was rolled back: `trouble` says why
};

// Adds to `open` how many rows by minute and caller it wrote to usage_open. `until`: a last drain, in small batches, which ends
// then at the latest; 0: one that takes its time, and ends when the process is told to stop.
Drained drain_events(shmem::DatabaseStats* stats, std::uint64_t& open, pg::Trouble& trouble, TimestampTz until = 0);
// The refusals of unauthenticated callers.
Drained drain_unauthenticated(shmem::DatabaseStats* stats, pg::Trouble& trouble, TimestampTz until = 0);

// A transaction of the worker's, counted in the stats (null: none) so that whoever waits sees it move.
bool run_step(shmem::DatabaseStats* stats, void (*step)(void*), void* state, pg::Trouble& trouble, int most_ms = 0);
// What is left of the time, for run_step(): 0 for as long as it takes.
int left_ms(TimestampTz until);

// Begins what the worker does within a transaction, as the extension's owner and as the one who may change what is recorded.
// False, and nothing begun, where the extension is not in this database (any more). Ends with store::leave().
bool begin_step(store::Actor& actor);

// Until store::leave(): statements planned from now on find rows by an index, one after the other, and read no table whole. A
// worker's plans are made when it starts, perhaps of tables that are empty then, and serve for as long as it lives; a plan that
// reads a table, or what many rows have in common in an index, for each row of a batch would never end. Hence in these
// statements LATERAL and OFFSET 0 (the batch's rows first), and conditions that the right index alone can serve:
// (a, b) >= (x, y) AND (a, b) <= (x, y) where another index has b alone. (Of such a range the index is read from the row on to
// the last one with this a, so b must be one that grows.)
void plan_by_keys();

// A network as a cidr Datum, which an address is too, with all its bits; 0.0.0.0/0 for none.
Datum stored_network(const core::Address& network);

Datum* datums(std::uint32_t count);

// Rows for a statement that unnests an array a column: its parameters from $`first` on.
class Arrays {
  public:
    Arrays(const pg::Query& query, int first, std::uint32_t room) {
        for (int i = first - 1; i < pg::kMaxArgs && query.types[i] != pg::Type::none; i++) {
            types_[columns_] = get_element_type(pg::type_oid(query.types[i]));
            values_[columns_++] = datums(room);
        }
    }
    void add_row(std::initializer_list<Datum> values) {
        int column = 0;
        for (const Datum value : values) set(column++, value);
        next_row();
    }
    void set(int column, Datum value) { values_[column][rows_] = value; }
    void next_row() { rows_++; }
    int rows() const { return rows_; }
    void clear() { rows_ = 0; }
    void add_to(pg::Args& args) const {
        for (int i = 0; i < columns_; i++) args.add(array_datum(types_[i], values_[i], nullptr, rows_));
    }

  private:
    int columns_ = 0, rows_ = 0;
    Oid types_[pg::kMaxArgs];
    Datum* values_[pg::kMaxArgs];
};

}  // namespace mirox::worker
