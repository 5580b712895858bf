// How our code reports an error, in both worlds.
//
// Holds: MIROX_RAISE, MIROX_DEFECT and MIROX_LOG for server code, the Error exception for pure C++ rooms, sqlstate() to name a code
// without a server header. May include standard headers only, so that a room without server headers can
// include it. No locks.
//
// Server code raises with MIROX_RAISE (an ereport: nothing is allocated before it, the location reported is
// the caller's, SQLSTATE cannot be forgotten):
//
//     MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("name is empty"),
//                 errhint("Give 1 to 100 characters."));
//
// Each error has a HINT that says what to do and a DETAIL where there is something to tell; none repeats a
// secret. It is a longjmp: only trivially destructible locals may be alive.
//
// A C++ room throws Error instead; guard() (entry.hpp) turns it into the same kind of report.
#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>

// The statement is left out of the log: a caller's SQL text may hold a secret.
#define MIROX_RAISE(SQLSTATE, ...) ereport(ERROR, errcode(SQLSTATE), errhidestmt(true), __VA_ARGS__)

// For what cannot be: MIROX_DEFECT("unexpected column %d", number).
#define MIROX_DEFECT(...) \
    MIROX_RAISE(ERRCODE_INTERNAL_ERROR, errmsg_internal(__VA_ARGS__), errhint("%s", mirox::pg::kDefectHint))

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

// The server's number for a five-character SQLSTATE; any other length does not compile.
consteval int sqlstate(const char (&code)[6]) {
    int packed = 0;
    for (int i = 0; i < 5; ++i) {
        packed |= ((code[i] - '0') & 0x3F) << (6 * i);
    }
    return packed;
}

// Text of a fixed size, cut to fit and kept to printable ASCII: the database's encoding is unknown to a C++
// room, and text that is invalid in it could not be sent to the client at all. Server code that must quote a
// caller's text uses MIROX_RAISE.
class ErrorText {
  public:
    constexpr ErrorText() noexcept = default;
    constexpr explicit ErrorText(std::string_view text) noexcept {
        const std::size_t length = text.size() < kSize - 1 ? text.size() : kSize - 1;
        for (std::size_t i = 0; i < length; ++i) {
            const char c = text[i];
            const bool plain = (c >= ' ' && c <= '~') || c == '\n' || c == '\t';
            text_[i] = plain ? c : '?';
        }
    }
    constexpr const char* c_str() const noexcept { return text_; }
    constexpr bool empty() const noexcept { return text_[0] == '\0'; }

  private:
    static constexpr std::size_t kSize = 256;
    char text_[kSize] = {};
};

// What a C++ room throws. Plain data: it can be copied in a catch block and raised after it.
struct Error {
    int sqlstate = 0;
    ErrorText message;
    ErrorText detail;
    ErrorText hint;

    constexpr Error() noexcept = default;
    constexpr Error(int code, std::string_view what, std::string_view more = {},
                    std::string_view advice = {}) noexcept
        : sqlstate(code), message(what), detail(more), hint(advice) {}
};
static_assert(std::is_trivially_copyable_v<Error> && std::is_trivially_destructible_v<Error>);

inline constexpr char kDefectHint[] =
    "This is a defect of mirox_tokens; please report it with the server log.";

// For a library that could not allocate (OpenSSL and others return NULL). `doing` is a fixed text: "hashing a
// secret".
[[noreturn]] void raise_out_of_memory(const char* doing);

}  // namespace mirox::pg
