// The one way in from the server: every SQL-callable function, hook, callback and worker main of ours runs
// under guard(). May include pg/ and standard headers; takes no locks.
//
// Rules (src/pg holds the only code that knows both worlds' errors):
// - A C++ exception never reaches the server: guard() catches all, leaves the catch block, puts the server's
//   exception and error-context stacks back, and only then raises. (One that left an entry would end in
//   std::terminate, and the abort of one backend restarts the whole cluster.)
// - A server error (longjmp) passes through our frames without running destructors. So every local that is
// alive at
//   a call that can ereport is trivially destructible; where an object with a destructor must live above such
//   a call, pg_call() (pgcall.hpp) turns the error into a PgError exception and guard() rethrows it whole.
// - A caught server error is always thrown on, unless the call ran in a subtransaction that is rolled back.
// - Nobody throws across PG_TRY, or leaves one by return, break or goto.
#pragma once

#include "pg/prelude.hpp"
//
#include <type_traits>

namespace mirox::pg {

// Where the server's error handling stands: the jump target and the callbacks that add CONTEXT lines. Both
// point into stack frames, so whoever leaves frames by other means than return or ereport puts them back.
struct Stacks {
    sigjmp_buf* exception;
    ErrorContextCallback* context;

    static Stacks current() noexcept { return {PG_exception_stack, error_context_stack}; }
    void restore() const noexcept {
        PG_exception_stack = exception;
        error_context_stack = context;
    }
};

// For guard() alone. note_failure() is called inside a catch block and keeps what is being handled as plain
// data; raise_failure() is called after it, when no C++ object is alive, and raises that.
void note_failure() noexcept;
[[noreturn]] void raise_failure(Stacks saved);

// Calls fn(args...) so that whatever it throws becomes a server error. On the normal path it costs four
// loads.
template <class Fn, class... Args>
std::invoke_result_t<Fn&, Args&...> guard(Fn fn, Args... args) {
    using Result = std::invoke_result_t<Fn&, Args&...>;
    static_assert(std::is_trivially_destructible_v<Fn> && (std::is_trivially_destructible_v<Args> && ...) &&
                      (std::is_void_v<Result> || std::is_trivially_destructible_v<Result>),
                  "what is alive around the body must survive a longjmp over it");
    const Stacks saved = Stacks::current();
    try {
        return fn(args...);
    } catch (...) {
        note_failure();
    }
    raise_failure(saved);
}

// guard() for a function that is given or returns a secret. While it runs nobody tells where it was called from: the callers'
// context (a PL/pgSQL expression, a line of COPY) is their SQL, with the secret in it, and any error raised meanwhile, the
// server's own too (a timeout, a cancel, a failing trigger), would carry it to the log, the client and PG_EXCEPTION_CONTEXT.
// After an error the server puts the stack back, in each of its handlers.
template <class Fn, class... Args>
std::invoke_result_t<Fn&, Args&...> secret_guard(Fn fn, Args... args) {
    Stacks saved = Stacks::current();
    error_context_stack = nullptr;
    try {
        const auto result = fn(args...);
        error_context_stack = saved.context;
        return result;
    } catch (...) {
        note_failure();
    }
    saved.context = nullptr;
    raise_failure(saved);
}

// guarded<body> is the address of a function with body's signature that runs it under guard(), for the
// server's pointers: `shmem_request_hook = guarded<request_shmem>;`, `before_shmem_exit(guarded<leave>, 0)`.
template <auto body>
struct Guarded;

template <class Result, class... Args, Result (*body)(Args...)>
struct Guarded<body> {
    static Result call(Args... args) { return guard(body, args...); }
};

template <auto body>
inline constexpr auto guarded = &Guarded<body>::call;

}  // namespace mirox::pg

// Defines the SQL-callable C symbol mirox_NAME; the braces that follow are its body, with `fcinfo` in scope.
#define MIROX_FUNCTION(NAME) MIROX_FUNCTION_WITH(NAME, guard)
// One that is given or returns a secret, or what may be one.
#define MIROX_SECRET_FUNCTION(NAME) MIROX_FUNCTION_WITH(NAME, secret_guard)

#define MIROX_FUNCTION_WITH(NAME, GUARD)               \
    static Datum NAME##_body(FunctionCallInfo fcinfo); \
    extern "C" {                                       \
    PG_FUNCTION_INFO_V1(mirox_##NAME);                 \
    Datum mirox_##NAME(PG_FUNCTION_ARGS) {             \
        return mirox::pg::GUARD(NAME##_body, fcinfo);  \
    }                                                  \
    }                                                  \
    static Datum NAME##_body([[maybe_unused]] FunctionCallInfo fcinfo)

// Defines the C symbol mirox_NAME that bgw_function_name names; the braces that follow are the worker's body,
// with `argument` in scope.
#define MIROX_WORKER(NAME)                         \
    static void NAME##_body(Datum argument);       \
    extern "C" {                                   \
    PGDLLEXPORT void mirox_##NAME(Datum argument); \
    void mirox_##NAME(Datum argument) {            \
        mirox::pg::guard(NAME##_body, argument);   \
    }                                              \
    }                                              \
    static void NAME##_body([[maybe_unused]] Datum argument)
