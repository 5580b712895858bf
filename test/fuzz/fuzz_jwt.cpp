// libFuzzer: any bytes as a token, and `header NUL payload` signed with the right key, so that the readers
// behind the signature are reached; what they take is written and read again.
#include <array>
#include <cstring>

#include "core/crypto.hpp"
#include "core/jwt.hpp"

using namespace mirox::core;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static std::array<char, kJwtWorkBytes> work;
    static std::array<char, kJwtWorkBytes> again;
    static std::array<char, kMaxJwtChars> token;
    constexpr std::array<std::uint8_t, 32> kBytes{1, 2, 3};
    const JwtKey keys[] = {{"k1", kBytes}};
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    JwtClaims claims;
    if (verify_jwt(text, keys, work, claims)) __builtin_trap();  // nobody guesses a signature
    std::size_t length = 0;
    if (base64url_decode(text, work, length)) {
        std::array<char, kMaxJwtChars> encoded;
        if (!base64url_encode({reinterpret_cast<const std::uint8_t*>(work.data()), length}, encoded))
            __builtin_trap();
        if (std::string_view(encoded.data(), base64url_size(length)) != text) __builtin_trap();
    }

    const std::size_t cut = text.find('\0');
    if (cut == std::string_view::npos || base64url_size(size) + 64 > token.size()) return 0;
    const std::size_t header = base64url_size(cut);
    const std::size_t payload = base64url_size(size - cut - 1);
    if (!base64url_encode({data, cut}, token)) __builtin_trap();
    token[header] = '.';
    if (!base64url_encode({data + cut + 1, size - cut - 1}, std::span(token).subspan(header + 1)))
        __builtin_trap();
    std::size_t at = header + 1 + payload;
    Digest mac;
    if (!hmac_sha256(kBytes, {token.data(), at}, mac)) return 0;
    token[at++] = '.';
    if (!base64url_encode(mac, std::span(token).subspan(at))) __builtin_trap();
    at += base64url_size(mac.size());
    if (!verify_jwt({token.data(), at}, keys, work, claims)) return 0;

    std::size_t written = 0;
    if (!write_jwt(keys[0], claims, token, written)) return 0;  // too long when escaped
    JwtClaims back;
    if (!verify_jwt({token.data(), written}, keys, again, back)) __builtin_trap();
    if (back.subject != claims.subject || back.issuer != claims.issuer || back.token_id != claims.token_id ||
        back.group != claims.group || back.issued_at != claims.issued_at ||
        back.expires_at != claims.expires_at)
        __builtin_trap();
    return 0;
}
