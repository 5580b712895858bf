// The extension's own SQL, run by C code. Each statement is prepared once a backend and runs as the extension's owner, with a
// search_path of pg_catalog alone. Where it must see what other transactions have just committed, it gets a fresh snapshot at any
// isolation level. A Query is a constinit global. Args and OwnerScope are plain data, so a server error may pass over them.
#pragma once

#include "pg/catalog.hpp"

#include <array>

extern "C" {
#include "executor/spi.h"
}

namespace mirox::pg {

// Names are looked up in pg_catalog, then pg_temp, until AtEOXact_GUC(false, level) or the transaction's abort.
int pin_search_path();

// Switches to the extension's owner and remembers the caller. enter_owner() and leave_owner() pair in one function. On an ERROR
// the server's transaction abort restores the user and the GUC nest level, so no cleanup is needed here.
struct OwnerScope {
    Oid caller;
    int security_context;
    int guc_level;
};
OwnerScope enter_owner();

// For SQL on a table of another role. It runs as the owner of that table, in a security-restricted operation, and row security
// does not hide rows from it, as when the server checks a foreign key. Planning alone runs code of the table's owner, such as
// CHECK constraints and index predicates. That code must not run with the rights of another role. leave_owner() ends it.
OwnerScope enter_table_owner(Oid owner);

// Makes everything that this process runs as the owner a security-restricted operation. For a background process, whose session
// belongs to a superuser: a deferred trigger that its SQL set off would otherwise fire at COMMIT, as that superuser.
void restrict_process();
void leave_owner(const OwnerScope& scope);

inline constexpr int kMaxArgs = 20;

class Args {
  public:
    Args& add(Datum value) { return put(value, ' '); }
    Args& null() { return put(0, 'n'); }
    Args& add_or_null(Datum value, bool given) { return put(value, given ? ' ' : 'n'); }
    Args& text(std::string_view value);
    Args& text_or_null(std::string_view value, bool given);
    Args& int8(std::int64_t value) { return add(Int64GetDatum(value)); }
    Args& int4(std::int32_t value) { return add(Int32GetDatum(value)); }

    Datum* values() { return values_; }
    const char* nulls() const { return nulls_; }
    int count() const { return count_; }

  private:
    Args& put(Datum value, char null) {
        Assert(count_ < kMaxArgs);
        values_[count_] = value;
        nulls_[count_++] = null;
        return *this;
    }
    Datum values_[kMaxArgs];
    char nulls_[kMaxArgs];
    int count_ = 0;
};

struct Query {
    const char* sql;
    std::array<Type, kMaxArgs> types;  // of $1, $2, …; the rest none
    SPIPlanPtr plan = nullptr;
    std::uint64_t epoch = 0;  // the epoch of the catalog when the plan was made
};

// Adds the argument max_rows, an int4, as an int8; NULL: all rows. 22023 if it is negative.
void add_max_rows(Args& args, FunctionCallInfo fcinfo, int n);

// Runs the statement inside an SPI connection (spi_open()). `fresh`: it sees the newest committed state and the changes of this
// transaction, at any isolation level. Returns the number of rows; the results are in SPI_tuptable.
std::uint64_t run(Query& query, Args& args, bool fresh = true);

// The value in row `row` (from 0), column `column` (from 1) of the last result.
Datum result(std::uint64_t row, int column, bool* is_null);
// The same for a column that is never NULL.
Datum result_value(std::uint64_t row, int column);

void spi_open();
void spi_close();

// Runs a command that returns no rows, inside an SPI connection. Later statements see its changes.
void execute(const char* command);

// Fills the result of a set-returning function from the last SPI result. ERROR 42804 when a column's type differs from the
// function's row type. After an upgrade of only the library or the script, one of the two may have more columns: those at the end
// are left out or NULL.
void return_rows(FunctionCallInfo fcinfo);

}  // namespace mirox::pg
