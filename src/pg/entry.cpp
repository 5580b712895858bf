// What guard() does once something was thrown: keep it as plain data, then raise it. Takes no locks.
#include "pg/prelude.hpp"
//
#include <exception>
#include <new>

#include "pg/entry.hpp"
#include "pg/error.hpp"
#include "pg/pgcall.hpp"

namespace mirox::pg {

namespace {

struct Failure {
    ErrorData* server_error;  // a server error to throw on whole; if NULL, `error` is what to raise
    Error error;
};

// One is enough, and it keeps guard()'s frame small: a backend has one thread, and nothing of ours runs
// between note_failure() and the copies that ereport makes in raise_failure().
constinit Failure failure{};

}  // namespace

// Rethrows what the caller's catch block is handling, to learn its type. Plain stores only: no server call
// may be made here, since a longjmp out of a catch block never ends the exception.
void note_failure() noexcept {
    failure.server_error = nullptr;
    try {
        throw;
    } catch (const PgError& e) {
        failure.server_error = e.data();
        failure.error = Error(e.sqlstate(), "a server error could not be kept: out of memory");
    } catch (const Error& e) {
        failure.error = e;
    } catch (const std::bad_alloc&) {
        failure.error = Error(ERRCODE_OUT_OF_MEMORY, "out of memory", "Failed while allocating in C++ code.",
                              "Free memory on the server, or lower what its sessions may use.");
    } catch (const std::exception& e) {
        const char* what = e.what();
        failure.error = Error(ERRCODE_INTERNAL_ERROR, "unexpected exception in mirox_tokens",
                              what != nullptr ? std::string_view(what) : std::string_view(), kDefectHint);
    } catch (...) {
        failure.error = Error(ERRCODE_INTERNAL_ERROR, "unexpected exception of unknown type in mirox_tokens",
                              {}, kDefectHint);
    }
}

void raise_failure(Stacks saved) {
    saved.restore();
    if (failure.server_error != nullptr) {
        ReThrowError(failure.server_error);
    }
    const Error& e = failure.error;
    ereport(ERROR, errcode(e.sqlstate), errhidestmt(true), errmsg_internal("%s", e.message.c_str()),
            e.detail.empty() ? 0 : errdetail_internal("%s", e.detail.c_str()),
            e.hint.empty() ? 0 : errhint("%s", e.hint.c_str()));
}

}  // namespace mirox::pg
