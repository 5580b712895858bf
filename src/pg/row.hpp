// Builds result rows by the names of their columns, so that neither order nor number of columns is written twice. A column that
// the script has and this library does not know (of a later version) stays NULL. A value for which the script has no column (an
// earlier version) is left out.
//
// Takes no locks.
#pragma once

#include "pg/prelude.hpp"

extern "C" {
#include "access/htup_details.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
}

namespace mirox::pg {

class Row {
  public:
    // All columns are NULL.
    explicit Row(TupleDesc columns) : columns_(columns) { clear(); }

    // Fastest in the order of the columns.
    Row& set(const char* column, Datum value) {
        const int count = columns_->natts;
        for (int tried = 0; tried < count; tried++, next_++) {
            if (next_ == count) next_ = 0;
            if (strcmp(NameStr(TupleDescAttr(columns_, next_)->attname), column) != 0) continue;
            values_[next_] = value;
            nulls_[next_++] = false;
            break;
        }
        if (next_ == count) next_ = 0;
        return *this;
    }
    Row& set_if(bool given, const char* column, Datum value) { return given ? set(column, value) : *this; }
    // Sets an instant; 0 stays NULL.
    Row& set_time(const char* column, std::int64_t at) { return set_if(at != 0, column, TimestampTzGetDatum(at)); }

    HeapTuple tuple() { return heap_form_tuple(columns_, values_, nulls_); }
    Datum datum() { return HeapTupleGetDatum(tuple()); }
    // Adds the row to the result of a set-returning function, and clears it.
    void put(const ReturnSetInfo* info) {
        tuplestore_putvalues(info->setResult, columns_, values_, nulls_);
        clear();
    }

  private:
    static constexpr int kMostColumns = 100;

    void clear() {
        if (columns_->natts > kMostColumns) MIROX_DEFECT("a row of %d columns", columns_->natts);
        memset(nulls_, true, columns_->natts);
        next_ = 0;
    }

    TupleDesc columns_;
    int next_ = 0;
    // Only values of columns that are not NULL are read.
    Datum values_[kMostColumns];
    bool nulls_[kMostColumns];
};

// The row type that the function returns, with its columns (tupDesc). Use it at once; do not keep it.
const TypeCacheEntry& result_type(FunctionCallInfo fcinfo);

// The same for a function of OUT columns, which has no named type.
TupleDesc result_columns(FunctionCallInfo fcinfo);

}  // namespace mirox::pg
