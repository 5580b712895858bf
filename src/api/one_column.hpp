// A column of a check's answer without its row: `(mirox.verify_token($1)).status` (one_column.cpp).
#pragma once

#include "pg/prelude.hpp"
//
extern "C" {
#include "access/transam.h"
#include "nodes/primnodes.h"
}

namespace mirox::api {

// Which column alone the planner asks of a function that takes so many arguments, counted from 1; 0: all of them, as a row. (A later
// version's script may have more arguments.) The types that a column alone may have are the server's own, below its first free
// OID, where a row type of ours never is.
inline int column_asked(FunctionCallInfo fcinfo, int arguments) {
    if (fcinfo->nargs <= arguments) [[likely]]
        return 0;
    const auto* call = reinterpret_cast<const FuncExpr*>(fcinfo->flinfo->fn_expr);
    if (call == nullptr || !IsA(call, FuncExpr) || call->funcresulttype >= FirstNormalObjectId) return 0;
    return DatumGetInt32(fcinfo->args[fcinfo->nargs - 1].value);
}

// That column of those made for the row, of which there are so many; a later version's are NULL.
Datum one_column(FunctionCallInfo fcinfo, int number, const Datum* values, const bool* nulls, int count);

}  // namespace mirox::api
