// The entry points from the server: SQL-callable functions and the main functions of background workers. Takes no locks.
//
// A server error is a longjmp: it passes through these frames and runs no destructor. An exception that left one of these
// functions would end in std::terminate, and the abort of one backend restarts the whole cluster. So errors and exceptions never
// meet: everything alive at a call that can ereport is trivially destructible, and the library is compiled without exceptions and
// contains nothing that throws (test/static/check_banned.py checks its objects).
#pragma once

#include "pg/prelude.hpp"

namespace mirox::pg {

// Calls body without error context. The context of the callers (a PL/pgSQL expression, a line of COPY) is their SQL, with the
// secret in it. Any error raised meanwhile, also one of the server (a timeout, a cancel, a failing trigger), would carry it to
// the log, the client and PG_EXCEPTION_CONTEXT. After an error, the handler of the server restores the stack.
inline Datum without_callers(Datum (*body)(FunctionCallInfo fcinfo), FunctionCallInfo fcinfo) {
    ErrorContextCallback* const callers = error_context_stack;
    error_context_stack = nullptr;
    const Datum result = body(fcinfo);
    error_context_stack = callers;
    return result;
}

}  // namespace mirox::pg

// Defines the SQL-callable C symbol mirox_NAME; the braces that follow are its body, with `fcinfo` in scope.
#define MIROX_FUNCTION(NAME)           \
    extern "C" {                       \
    PG_FUNCTION_INFO_V1(mirox_##NAME); \
    }                                  \
    Datum mirox_##NAME([[maybe_unused]] FunctionCallInfo fcinfo)

// The same for a function that takes or returns a secret, or a value that may be one.
#define MIROX_SECRET_FUNCTION(NAME)                             \
    static Datum NAME##_body(FunctionCallInfo fcinfo);          \
    MIROX_FUNCTION(NAME) {                                      \
        return mirox::pg::without_callers(NAME##_body, fcinfo); \
    }                                                           \
    static Datum NAME##_body([[maybe_unused]] FunctionCallInfo fcinfo)

// Defines the C symbol mirox_NAME that bgw_function_name names; the braces that follow are the worker's body, with `argument` in
// scope.
#define MIROX_WORKER(NAME)                         \
    extern "C" {                                   \
    PGDLLEXPORT void mirox_##NAME(Datum argument); \
    }                                              \
    void mirox_##NAME([[maybe_unused]] Datum argument)
