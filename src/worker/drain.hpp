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
    later,   // a backend is still writing an event: call again
    absent,  // this database does not have the extension
    failed,  // a transaction was rolled back: `trouble` says why
};

// Adds to `open` the number of uses by minute and caller that it wrote to usage_open. With `until` it is the last drain before a
// stop: in small batches, and over by then. With 0 it has no time limit, and ends early when the process is told to stop.
Drained drain_events(shmem::DatabaseStats* stats, std::uint64_t& open, pg::Trouble& trouble, TimestampTz until = 0);
// Adds events that found no room in the ring to their tokens' totals.
bool write_lost(shmem::DatabaseStats* stats, pg::Trouble& trouble);
// Writes the refusals of unauthenticated callers.
Drained drain_unauthenticated(shmem::DatabaseStats* stats, pg::Trouble& trouble, TimestampTz until = 0);

// Runs a transaction of the worker, and counts it in the stats (unless null), so that flush() sees that the worker makes
// progress.
bool run_step(shmem::DatabaseStats* stats, void (*step)(void*), void* state, pg::Trouble& trouble, int most_ms = 0);
// The milliseconds until then, for run_step(). 0 means no limit.
int left_ms(TimestampTz until);

// Begins the worker's part of a transaction, as the extension's owner and with the right to change recorded rows. End it with
// store::leave(). False when this database does not have the extension; then nothing has begun.
bool begin_step(store::Actor& actor);

// Whether this server has recorded use in this database. Where it has not, a dump may be about to be restored: there the worker adds up
// and drops nothing. Call inside a step.
bool records_uses();

// Until store::leave(), the planner makes plans that look each row up by an index, and never read a whole table. A worker makes
// its plans when it starts, perhaps while the tables are empty, and keeps them for as long as it runs. A plan that reads a table,
// or a large part of an index, for each row of a batch would practically never end.
//
// For the same reason these statements have LATERAL with OFFSET 0, which makes the planner begin with the batch's rows, and
// conditions that only the right index can serve: (a, b) >= (x, y) AND (a, b) <= (x, y) where another index has b alone. For such
// a condition the server reads the index from that row to the last one with this a, so b must be a column whose values grow.
void plan_by_keys();
// The same for a slice of some thousand rows, which is worth plans of its own: they are made by the tables' present sizes. So its joins
// need no LATERAL. It has more memory too.
void plan_slices();

Datum* datums(std::uint32_t count);

// A value of a column of Arrays.
struct Cell {
    Datum value;
    bool is_null = false;

    Cell(Datum of) : value(of) {}
    static Cell null() {
        Cell cell(0);
        cell.is_null = true;
        return cell;
    }
    // A network or an address; NULL for none.
    static Cell network(const core::Address& address);
    // A key of a text; NULL for 0, which is none.
    static Cell key(std::int32_t key) { return key == 0 ? null() : Cell(Int32GetDatum(key)); }
    static Cell text(std::string_view utf8);  // NULL for the empty text
};

// Rows for a statement that takes an array for each column: its parameters from $`first` on.
class Arrays {
  public:
    Arrays(const pg::Query& query, int first, std::uint32_t room) {
        for (int i = first - 1; i < pg::kMaxArgs && query.types[i] != pg::Type::none; i++) {
            types_[columns_] = get_element_type(pg::type_oid(query.types[i]));
            nulls_[columns_] = static_cast<bool*>(palloc(Max(room, 1U)));
            values_[columns_++] = datums(room);
        }
    }
    void add_row(std::initializer_list<Cell> cells) {
        int column = 0;
        for (const Cell& cell : cells) {
            values_[column][rows_] = cell.value;
            nulls_[column++][rows_] = cell.is_null;
        }
        rows_++;
    }
    int rows() const { return rows_; }
    void clear() { rows_ = 0; }
    void add_to(pg::Args& args) const {
        for (int i = 0; i < columns_; i++) args.add(array_datum(types_[i], values_[i], nulls_[i], rows_));
    }

  private:
    int columns_ = 0, rows_ = 0;
    Oid types_[pg::kMaxArgs];
    Datum* values_[pg::kMaxArgs];
    bool* nulls_[pg::kMaxArgs];
};

}  // namespace mirox::worker
