// How our code raises an error and writes to the log. No locks.
//
//     MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("name is empty"),
//                 errhint("Give 1 to 100 characters."));
//
// Each error has a DETAIL where there is something to tell and a HINT that says what to do; none repeats a secret. It is a
// longjmp: only trivially destructible locals may be alive.
#pragma once

// The statement is left out of the log: a caller's SQL text may hold a secret.
#define MIROX_RAISE(SQLSTATE, ...) ereport(ERROR, errcode(SQLSTATE), errhidestmt(true), __VA_ARGS__)

// For what cannot be: MIROX_DEFECT("unexpected column %d", number).
#define MIROX_DEFECT(...)                                             \
    MIROX_RAISE(ERRCODE_INTERNAL_ERROR, errmsg_internal(__VA_ARGS__), \
                errhint("This is a defect of mirox_tokens; please report it with the server log."))

// For what is no error: MIROX_LOG(WARNING, errmsg(…), errhint(…)). A caller's statement and context are left out of it too.
#define MIROX_LOG(LEVEL, ...)                                            \
    do {                                                                 \
        static_assert((LEVEL) < ERROR, "an error is raised");            \
        ErrorContextCallback* const mirox_callers = error_context_stack; \
        error_context_stack = nullptr;                                   \
        ereport(LEVEL, errhidestmt(true), __VA_ARGS__);                  \
        error_context_stack = mirox_callers;                             \
    } while (0)

namespace mirox::pg {

// For a library that could not allocate (OpenSSL and others return NULL). `doing` is a fixed text: "hashing a secret".
[[noreturn]] void raise_out_of_memory(const char* doing);

// Where shared memory is needed and there is none of ours.
[[noreturn]] void raise_not_preloaded();

}  // namespace mirox::pg
