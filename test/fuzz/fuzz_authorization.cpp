// libFuzzer: any bytes as an Authorization field, and as the scope of a challenge.
#include <algorithm>
#include <array>

#include "core/authorization.hpp"

using namespace mirox::core;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view value(reinterpret_cast<const char*>(data), size);
    const Authorization parsed = parse_authorization(value);
    if ((parsed.kind == AuthorizationKind::bearer) != !parsed.credential.empty()) __builtin_trap();
    for (const char c : parsed.credential)
        if (c <= ' ' || c == ',' || c == '"' || c == 0x7f) __builtin_trap();
    if (parsed.kind == AuthorizationKind::bearer) {
        if (parsed.credential.data() < value.data() || parsed.credential.data() + parsed.credential.size() > value.data() + size)
            __builtin_trap();
    }

    std::array<char, kMaxChallengeChars> out;
    const std::size_t length = write_challenge(Challenge::insufficient_scope, value, out);
    const std::string_view field(out.data(), length);
    const auto quotes = std::count(field.begin(), field.end(), '"');
    if (quotes != 4 && quotes != 6) __builtin_trap();
    for (const char c : field)
        if (c < ' ' || c > '~') __builtin_trap();
    return 0;
}
