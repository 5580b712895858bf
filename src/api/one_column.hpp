// A column of a check's answer without its row: `(mirox.verify_token($1)).status` (one_column.cpp).
#pragma once

#include "pg/prelude.hpp"

namespace mirox::api {

// Which column alone the planner asks for, counted from 1; 0: all of them, as a row. It stands where the call's collation would:
// checks compare bytes and ask for none, and no collation of the server's has so small an OID.
inline constexpr int kMostColumns = 64;
inline int column_asked(FunctionCallInfo fcinfo) {
    return fcinfo->fncollation <= kMostColumns ? static_cast<int>(fcinfo->fncollation) : 0;
}

// That column of those made for the row, of which there are so many; a later version's are NULL.
Datum one_column(FunctionCallInfo fcinfo, int number, const Datum* values, const bool* nulls, int count);

}  // namespace mirox::api
