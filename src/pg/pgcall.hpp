// The one way back into the server for code that has live C++ objects above the call: a server error becomes
// a PgError exception, so that destructors run. May include pg/ and standard headers; takes no locks.
//
// Use it only where an object with a destructor must live above; everywhere else call the server directly.
// - The lambda's own locals are trivially destructible (nothing can check that for us), and so are its
// captures.
// - A caught PgError is thrown on, unless the call ran in a subtransaction that is rolled back: locks, pins
// and
//   snapshots of the failed call are still held, and a cancel or shutdown request must never be lost. guard()
//   rethrows it with all it carried.
// - The server has set its interrupt and critical-section counters to zero: do not release an LWLock that was
// taken
//   before the call.
// - Not for error-context callbacks or other code that runs while an error is being built.
#pragma once

#include "pg/prelude.hpp"
//
#include <type_traits>

namespace mirox::pg {

// A server error on its way up through C++ frames. Not a std::exception, so that no handler for those stops
// it. The data lies in the memory context that was current when pg_call() began. Trivially copyable.
class PgError {
  public:
    PgError(int code, ErrorData* data) noexcept : sqlstate_(code), data_(data) {}
    int sqlstate() const noexcept { return sqlstate_; }
    // NULL if there was no memory to keep it; sqlstate() holds in any case.
    ErrorData* data() const noexcept { return data_; }

  private:
    int sqlstate_;
    ErrorData* data_;
};
static_assert(std::is_trivially_copyable_v<PgError>);

// The part of pg_call() that does not depend on types: calls step(state) with a jump target of its own. Out
// of line, so that the frame that sigsetjmp returns into twice holds nothing of the caller's.
void call_server(void (*step)(void*), void* state);

// Calls fn() and returns its result; a server error in it is thrown as PgError. The server's stacks and,
// after an error, the current memory context are as before the call, whichever way it is left.
template <class Fn>
std::invoke_result_t<Fn&> pg_call(Fn fn) {
    using Result = std::invoke_result_t<Fn&>;
    static_assert(std::is_trivially_destructible_v<Fn> && std::is_trivially_copyable_v<Fn>,
                  "capture by reference or by trivial value: a longjmp passes over the captures");
    static_assert(std::is_void_v<Result> || std::is_trivially_copyable_v<Result>,
                  "return nothing or plain data: a longjmp passes over the result");
    if constexpr (std::is_void_v<Result>) {
        call_server([](void* state) { (*static_cast<Fn*>(state))(); }, &fn);
    } else {
        struct State {
            Fn& fn;
            Result result;
        } state{fn, {}};
        call_server(
            [](void* at) {
                State* const s = static_cast<State*>(at);
                s->result = s->fn();
            },
            &state);
        return state.result;
    }
}

}  // namespace mirox::pg
