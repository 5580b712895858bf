// SQL of our own, run by C code: each statement prepared once a backend, run as the extension's owner with a search_path
// of pg_catalog alone and, where it must see what others have just committed, with a fresh snapshot at any isolation
// level. A Query is a constinit global; Args and Scope are plain data, safe across a server error.
#pragma once

#include "pg/catalog.hpp"

#include <array>

extern "C" {
#include "executor/spi.h"
}

namespace mirox::pg {

// Until AtEOXact_GUC(false, level), or the transaction's abort: names are looked up in pg_catalog, then pg_temp.
int pin_search_path();

// Who acts: the extension's owner, with the caller remembered. enter() and leave() pair in one function; on an ERROR the
// server's transaction abort undoes both (user and GUC nest level), and nothing of ours needs to run.
struct OwnerScope {
    Oid caller;
    int security_context;
    int guc_level;
};
OwnerScope enter_owner();

// For SQL over somebody else's table: as that table's owner and as the server checks its foreign keys (row security does not hide
// rows from it), besides restricted. Planning alone runs code of the table's owner, such as CHECK constraints and the
// predicates of indexes, and must not run it with anybody else's rights. leave_owner() ends it.
OwnerScope enter_table_owner(Oid owner);

// From here on all that this process runs as the owner is a security-restricted operation. For a background process, whose
// session is a superuser's: a deferred trigger that its SQL set off would fire at COMMIT, as that superuser.
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
    std::uint64_t epoch = 0;  // of the catalog that the plan was made for
};

// Runs the statement inside an SPI connection (spi_open()). `fresh`: with the newest committed state and whatever this
// transaction has done, whatever the isolation level. Returns the number of rows; results are in SPI_tuptable.
std::uint64_t run(Query& query, Args& args, bool fresh = true);

// A value of row `row`, column `column` (from 1) of the last result.
Datum result(std::uint64_t row, int column, bool* is_null);
// The same for a column that is never NULL.
Datum result_value(std::uint64_t row, int column);

void spi_open();
void spi_close();

// Runs a command that returns no rows, inside an SPI connection; what comes next sees what it did.
void execute(const char* command);

// Fills a set-returning function's result with the last result of SPI. 42804 when a column is of another type than the function's
// row type says. Where one of the two has more columns, as after a new version of the library or of the script, those at the end are
// left out or NULL.
void return_rows(FunctionCallInfo fcinfo);

}  // namespace mirox::pg
