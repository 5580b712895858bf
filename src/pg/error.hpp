// How our code raises an error and writes to the log. No locks.
//
//     MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::name_empty, "name"), errmsg("name is empty"),
//                 errhint("Give 1 to 100 characters."));
//
// errword() tells programs the kind of the error and the argument or column that is wrong. Where a kind is about values, DETAIL
// is an array of them. An error has a DETAIL where there is more to say, and a HINT only where it tells what to do. No text holds a secret. An error
// is a longjmp: only trivially destructible locals may be alive.
#pragma once

#include "core/error_word.hpp"

// The statement is kept out of the log: SQL text may hold a secret.
#define MIROX_RAISE(SQLSTATE, ...) ereport(ERROR, errcode(SQLSTATE), errhidestmt(true), __VA_ARGS__)

// For a state that cannot occur: MIROX_DEFECT("unexpected column %d", number).
#define MIROX_DEFECT(...)                                                                         \
    MIROX_RAISE(ERRCODE_INTERNAL_ERROR, errword(ErrorWord::defect), errmsg_internal(__VA_ARGS__), \
                errhint("Report this defect of mirox_tokens, with the server log."))

// For a log message that is no error: MIROX_LOG(WARNING, errmsg(…), errhint(…)). It hides the statement and the context too.
#define MIROX_LOG(LEVEL, ...)                                            \
    do {                                                                 \
        static_assert((LEVEL) < ERROR, "an error is raised");            \
        ErrorContextCallback* const mirox_callers = error_context_stack; \
        error_context_stack = nullptr;                                   \
        ereport(LEVEL, errhidestmt(true), __VA_ARGS__);                  \
        error_context_stack = mirox_callers;                             \
    } while (0)

namespace mirox {

using core::ErrorWord;

// Sets CONSTRAINT NAME, and COLUMN NAME if an argument or column is named. SCHEMA NAME tells that the word is ours.
int errword(ErrorWord word, const char* argument = nullptr);

}  // namespace mirox

namespace mirox::pg {

// For a library that could not allocate (OpenSSL and others return NULL). `doing` is a fixed text: "hashing a secret".
[[noreturn]] void raise_out_of_memory(const char* doing);

// Where shared memory is needed and there is none of ours.
[[noreturn]] void raise_not_preloaded();

}  // namespace mirox::pg
