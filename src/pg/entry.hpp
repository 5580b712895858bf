// The one way in from the server: every SQL-callable function, hook and callback of ours runs under guard().
//
// Rules (src/pg holds the only code that knows both worlds' errors):
// - A C++ exception never reaches the server: guard() catches all, leaves the catch block, puts the server's
//   exception and error-context stacks back, and only then raises.
// - A server error (longjmp) passes through our frames without running destructors. So every local that is alive at
//   a call that can ereport is trivially destructible; where an object with a destructor must live above such a
//   call, pg_call() (pgcall.hpp) turns the error into a PgError exception and guard() rethrows it whole.
#pragma once

#include "pg/prelude.hpp"

namespace mirox::pg {

using Body = Datum (*)(FunctionCallInfo);

Datum guard(Body body, FunctionCallInfo fcinfo);

}  // namespace mirox::pg

// Defines the SQL-callable C symbol mirox_NAME; the braces that follow are its body, with `fcinfo` in scope.
#define MIROX_FUNCTION(NAME)                                          \
    static Datum NAME##_body(FunctionCallInfo fcinfo);                \
    extern "C" {                                                      \
    PG_FUNCTION_INFO_V1(mirox_##NAME);                                \
    Datum mirox_##NAME(PG_FUNCTION_ARGS) {                            \
        return mirox::pg::guard(NAME##_body, fcinfo);                 \
    }                                                                 \
    }                                                                 \
    static Datum NAME##_body([[maybe_unused]] FunctionCallInfo fcinfo)
