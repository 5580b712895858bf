// Writes single rows from C as a subscriber's apply worker does: with row triggers, NOT NULL and CHECK constraints and indexes,
// but without a plan to find, copy and start. An act of management writes four or five rows. Starting their statements took
// longer than writing the rows.
//
// Statement triggers do not fire, and domains are not checked, because their conditions belong to the expression that produces a
// value. So the caller must have checked what it writes.
//
// Locks: RowExclusiveLock on the table until the end of the transaction.
#pragma once

#include "pg/prelude.hpp"
//
#include "store/rows.hpp"

namespace mirox::store {

// Columns of a row, by number. In a new row, columns that are not named have their default; in a changed row, they keep their
// value.
inline constexpr int kMaxColumns = 24;
struct Columns {
    int numbers[kMaxColumns];
    Datum values[kMaxColumns];
    bool nulls[kMaxColumns];
    int count = 0;

    Columns& add(int number, Datum value) { return put(number, value, false); }
    Columns& add_or_null(int number, Datum value, bool given) { return put(number, value, !given); }

  private:
    Columns& put(int number, Datum value, bool null) {
        Assert(count < kMaxColumns);
        numbers[count] = number;
        values[count] = value;
        nulls[count++] = null;
        return *this;
    }
};

// Returns where the row is (open_written()). Raises 55000 if a BEFORE trigger skips the row. A BEFORE trigger may also change the
// row, so read it again before relying on it.
ItemPointerData insert_row(Oid table, const Columns& columns);

// Changes the row under an open scan, likewise. Call it with the account's row locked, so that nobody else changes the row.
// Raises 40001 if somebody has changed it nevertheless. Close the scan afterwards.
ItemPointerData update_row(RowScan& scan, const Columns& columns);

// The next value of a sequence, whatever the caller's privileges.
std::int64_t next_value(Oid sequence);

}  // namespace mirox::store
