// libFuzzer: any bytes as a token are none of ours; any as claims, cut at NUL, make one that is, unless a byte of it is another. And
// base64 both ways.
#include <algorithm>
#include <array>
#include <cstring>

#include "core/crypto.hpp"
#include "core/jwt.hpp"
#include "core/text.hpp"

using namespace mirox::core;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::array<std::uint8_t, 32> kBytes{1, 2, 3};
    const JwtKey keys[] = {{"other", kBytes}, {"k1", kBytes}};
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (verify_jwt(text, keys)) __builtin_trap();  // nobody guesses a signature

    static std::array<char, base64url_room(kMaxJwtChars)> encoded;
    static std::array<std::uint8_t, kMaxJwtChars> decoded;
    if (size > decoded.size()) return 0;
    const std::size_t chars = base64url_encode({data, size}, encoded);
    if (chars != base64url_size(size)) __builtin_trap();
    if (base64_decode({encoded.data(), chars}, decoded) != size) __builtin_trap();
    if (size > 0 && std::memcmp(decoded.data(), data, size) != 0) __builtin_trap();
    if (base64_decode(text, decoded) > size / 4 * 3 + 2) __builtin_trap();

    const std::size_t cut = std::min(text.find('\0'), size);
    JwtClaims claims;
    claims.subject = text.substr(0, cut);
    claims.group = text.substr(cut);
    claims.issued_at = static_cast<std::int64_t>(size);
    static std::array<char, kMaxJwtChars> token;
    std::size_t length = 0;
    if (!write_jwt(keys[1], claims, token, length)) {
        if (size < 900 && valid_utf8(claims.subject) && valid_utf8(claims.group)) __builtin_trap();
        return 0;
    }
    if (!looks_like_jwt({token.data(), length}) || !verify_jwt({token.data(), length}, keys)) __builtin_trap();
    char& other = token[size % length];
    other = other == 'A' ? 'B' : 'A';
    if (verify_jwt({token.data(), length}, keys)) __builtin_trap();
    return 0;
}
