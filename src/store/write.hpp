// Single rows written by C code as a subscriber's apply worker writes them: row triggers, NOT NULL and CHECK constraints and
// indexes as ever, but no plan to find, copy and start. An act of management writes four or five rows, and starting their
// statements took longer than writing them.
//
// What it does not do: statement triggers do not fire, and domains, whose conditions belong to the expression that makes a value,
// are not asked: who writes here has checked what it writes.
//
// Locks: RowExclusiveLock on the table, until the end of the transaction.
#pragma once

#include "pg/prelude.hpp"
//
#include "store/rows.hpp"

namespace mirox::store {

// Columns of a row, by number; those that are not named have their default in a new row and are as they were in a changed one.
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

// Where the row stands now (open_written()). 55000 when a BEFORE trigger leaves the row out; one that changes it has its way, so
// read what is to be relied on.
ItemPointerData insert_row(Oid table, const Columns& columns);

// Changes the row on which an open scan stands, likewise. Call it with the account's row locked, so that nobody else changes it:
// 40001 when somebody has all the same. The scan must be closed afterwards as ever.
ItemPointerData update_row(RowScan& scan, const Columns& columns);

// The next value of a sequence, whoever calls.
std::int64_t next_value(Oid sequence);

}  // namespace mirox::store
