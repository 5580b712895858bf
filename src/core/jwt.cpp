// JWT with HS256: writing and recognising our own (see jwt.hpp).
//
// Pure: may include the C++ library, OpenSSL and its own room only. Nothing here allocates, throws or logs.
#include "core/jwt.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "core/chars.hpp"
#include "core/crypto.hpp"
#include "core/secret.hpp"
#include "core/slice.hpp"
#include "core/text.hpp"

namespace mirox::core {
namespace {

constexpr std::string_view kHeaderStart = R"({"alg":"HS256","typ":"JWT","kid":")";
constexpr std::string_view kHeaderEnd = R"("})";
constexpr std::size_t kMaxHeaderBytes = kHeaderStart.size() + kMaxJwtKeyIdChars + kHeaderEnd.size();
constexpr std::size_t kSignatureChars = base64url_size(kDigestBytes);
constexpr std::size_t kSignatureRoom = base64url_room(kDigestBytes);

bool is_base64url_char(char c) noexcept {
    return is_alphanumeric(c) || c == '-' || c == '_';
}

bool is_base64url(std::string_view text) noexcept {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_base64url_char);
}

std::span<const std::uint8_t> as_bytes(std::string_view text) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Writes JSON to a buffer. A text that does not fit or is not UTF-8 makes the whole result invalid.
class Json {
  public:
    explicit Json(std::span<char> out) noexcept : out_(out) {}

    void put(std::string_view text) noexcept {
        good_ = good_ && text.size() <= out_.size() - size_;
        if (!good_ || text.empty()) return;
        std::memcpy(out_.data() + size_, text.data(), text.size());
        size_ += text.size();
    }
    void put_string(std::string_view text) noexcept {
        good_ = good_ && valid_utf8(text);
        put("\"");
        for (const char& c : text) {
            const auto byte = static_cast<std::uint8_t>(c);
            if (byte < 0x20) {
                put(byte < 0x10 ? "\\u000" : "\\u001");
                put(slice(std::string_view("0123456789abcdef"), byte & 15, 1));
                continue;
            }
            if (c == '"' || c == '\\') put("\\");
            put({&c, 1});
        }
        put("\"");
    }
    void put_integer(std::int64_t value) noexcept {
        char digits[24];
        const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, value);
        put({digits, static_cast<std::size_t>(end.ptr - digits)});
    }

    // What was written; empty when it is invalid.
    std::string_view text() const noexcept { return good_ ? std::string_view(out_.data(), size_) : std::string_view(); }

  private:
    std::span<char> out_;
    std::size_t size_ = 0;
    bool good_ = true;
};

// Writes the header of a key's tokens, with the dot after it. Returns 0 when the key id is invalid.
std::size_t put_header(std::string_view key_id, std::span<char> out) noexcept {
    if (!is_jwt_key_id(key_id)) return 0;
    char json[kMaxHeaderBytes];
    Json header(json);
    for (const std::string_view part : {kHeaderStart, key_id, kHeaderEnd}) header.put(part);
    const std::size_t size = base64url_encode(as_bytes(header.text()), out);
    out[size] = '.';
    return size + 1;
}

void put_claims(const JwtClaims& claims, Json& out) noexcept {
    out.put(R"({"iss":)");
    out.put_string(claims.issuer);
    out.put(R"(,"sub":)");
    out.put_string(claims.subject);
    out.put(R"(,"jti":)");
    out.put_string(claims.token_id);
    out.put(R"(,"iat":)");
    out.put_integer(claims.issued_at);
    out.put(R"(,"exp":)");
    out.put_integer(claims.expires_at);
    out.put(R"(,"grp":)");
    out.put_string(claims.group);
    out.put("}");
}

// Writes the signature of header and claims, kSignatureChars characters, to `out`.
bool sign(const JwtKey& key, std::string_view text, std::span<char, kSignatureRoom> out) noexcept {
    Digest signature;
    const bool good = hmac_sha256(key.bytes, text, signature);
    if (good) base64url_encode(signature, out);
    wipe(signature.data(), signature.size());
    return good;
}

}  // namespace

bool is_jwt_key_id(std::string_view id) noexcept {
    return !id.empty() && id.size() <= kMaxJwtKeyIdChars &&
           std::all_of(id.begin(), id.end(), [](char c) noexcept { return is_base64url_char(c) || c == '.'; });
}

bool write_jwt(const JwtKey& key, const JwtClaims& claims, std::span<char, kMaxJwtChars> out, std::size_t& size) noexcept {
    size = 0;
    const std::size_t header = put_header(key.id, out);
    char json[kMaxJwtChars / 4 * 3];
    Json payload(json);
    put_claims(claims, payload);
    const std::string_view text = payload.text();
    const bool fits = header != 0 && !text.empty() && header + base64url_room(text.size()) + kSignatureRoom <= out.size();
    const std::size_t end = fits ? header + base64url_encode(as_bytes(text), out.subspan(header)) : 0;
    wipe(json, sizeof json);  // whoever knows the key could make the token from the claims
    if (!fits) return false;
    out[end] = '.';
    if (!sign(key, {out.data(), end}, std::span<char, kSignatureRoom>(&out[end + 1], kSignatureRoom))) return false;
    size = end + 1 + kSignatureChars;
    return true;
}

bool verify_jwt(std::string_view token, std::span<const JwtKey> keys) noexcept {
    if (!looks_like_jwt(token)) return false;
    for (const JwtKey& key : keys) {
        char header[base64url_room(kMaxHeaderBytes) + 1];
        const std::size_t size = put_header(key.id, header);
        if (size == 0 || !token.starts_with(std::string_view(header, size))) continue;
        const std::size_t end = token.size() - kSignatureChars;
        char right[kSignatureRoom];
        const bool genuine = sign(key, slice(token, 0, end - 1), right) &&
                             equal_constant_time(as_bytes(slice(token, end)), as_bytes({right, kSignatureChars}));
        wipe(right, sizeof right);  // the right signature of a forged token must not stay in memory
        return genuine;
    }
    return false;
}

std::size_t redact_jwt(std::string_view jwt, std::span<char, kMaxJwtHintBytes> out) noexcept {
    std::size_t size = 0;
    for (const std::string_view part : {slice(jwt, 0, 3), kEllipsis, slice(jwt, jwt.size() - kHintRandomChars)}) {
        std::memcpy(out.data() + size, part.data(), part.size());
        size += part.size();
    }
    return size;
}

bool looks_like_jwt(std::string_view text) noexcept {
    if (text.size() > kMaxJwtChars || !text.starts_with("eyJ")) return false;
    const std::size_t first = text.find('.');
    const std::size_t second = text.rfind('.');
    return first != second && text.size() - second - 1 == kSignatureChars && is_base64url(slice(text, 0, first)) &&
           is_base64url(slice(text, first + 1, second - first - 1)) && is_base64url(slice(text, second + 1));
}

}  // namespace mirox::core
