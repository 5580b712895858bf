// JWT with HS256: writing and checking; the header says what is refused, and when.
//
// Pure: may include the C++ library and its own room only. Nothing here allocates, throws or logs.
#include "core/jwt.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>

#include "core/crypto.hpp"
#include "core/secret.hpp"
#include "core/slice.hpp"
#include "core/text.hpp"

namespace mirox::core {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::int8_t kNotInAlphabet = -1;
constexpr std::size_t kSignatureChars = base64url_size(kDigestBytes);

constexpr std::array<std::int8_t, 256> make_values() noexcept {
    std::array<std::int8_t, 256> values{};
    values.fill(kNotInAlphabet);
    for (std::size_t i = 0; i < kAlphabet.size(); ++i)
        values[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::int8_t>(i);
    return values;
}

constexpr std::array<std::int8_t, 256> kValues = make_values();

int value_of(char c) noexcept {
    return kValues[static_cast<std::uint8_t>(c)];
}

bool is_base64url(std::string_view text) noexcept {
    for (const char c : text)
        if (value_of(c) < 0) return false;
    return !text.empty();
}

std::span<const std::uint8_t> as_bytes(std::string_view text) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// ---- writing
// -----------------------------------------------------------------------------------------------------

// JSON straight into base64url, so that no second buffer is needed.
class PartWriter {
  public:
    PartWriter(std::span<char> out, std::size_t at) noexcept : out_(out), at_(at) {}

    void put(char c) noexcept {
        held_ = held_ << 8 | static_cast<std::uint8_t>(c);
        if (++held_bytes_ < 3) return;
        for (int shift = 18; shift >= 0; shift -= 6) emit(held_ >> shift);
        held_ = 0;
        held_bytes_ = 0;
    }
    void put(std::string_view text) noexcept {
        for (const char c : text) put(c);
    }
    void put_string(std::string_view text) noexcept {
        constexpr std::string_view kHex = "0123456789abcdef";
        put('"');
        for (const char c : text) {
            const auto byte = static_cast<std::uint8_t>(c);
            if (c == '"' || c == '\\') {
                put('\\');
                put(c);
            } else if (byte < 0x20) {
                put("\\u00");
                put(kHex[byte >> 4]);
                put(kHex[byte & 15]);
            } else {
                put(c);
            }
        }
        put('"');
    }
    void put_integer(std::int64_t value) noexcept {
        char digits[24];
        const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, value);
        put(std::string_view(digits, static_cast<std::size_t>(end.ptr - digits)));
    }

    // Ends the part. False when it did not fit.
    bool finish(std::size_t& at) noexcept {
        if (held_bytes_ == 1) {
            emit(held_ >> 2);
            emit(held_ << 4);
        } else if (held_bytes_ == 2) {
            emit(held_ >> 10);
            emit(held_ >> 4);
            emit(held_ << 2);
        }
        at = at_;
        return fits_;
    }

  private:
    void emit(std::uint32_t six) noexcept {
        if (at_ < out_.size())
            out_[at_++] = kAlphabet[six & 63];
        else
            fits_ = false;
    }

    std::span<char> out_;
    std::size_t at_;
    std::uint32_t held_ = 0;
    int held_bytes_ = 0;
    bool fits_ = true;
};

bool is_writable(std::string_view text) noexcept {
    return text.find('\0') == std::string_view::npos && valid_utf8(text);
}

// ---- reading
// -----------------------------------------------------------------------------------------------------

struct Value {
    enum class Kind : std::uint8_t { string, integer, other } kind;
    std::string_view text;
    std::int64_t integer;
};

// Reads a flat object in memory that it may change: strings are unescaped where they stand, which never makes
// them longer.
class ObjectReader {
  public:
    explicit ObjectReader(std::span<char> json) noexcept
        : at_(json.data()), end_(json.data() + json.size()) {}

    bool open() noexcept {
        skip_blanks();
        return take('{');
    }

    // The next member. False at the end of the object and on an error; finished() tells which.
    bool next(std::string_view& name, Value& value) noexcept {
        skip_blanks();
        if (first_ && take('}')) return close();
        if (!first_) {
            if (take('}')) return close();
            if (!take(',')) return false;
            skip_blanks();
        }
        first_ = false;
        if (!read_string(name)) return false;
        skip_blanks();
        if (!take(':')) return false;
        skip_blanks();
        return read_value(value);
    }

    bool finished() const noexcept { return finished_; }

  private:
    bool close() noexcept {
        skip_blanks();
        finished_ = at_ == end_;
        return false;
    }
    void skip_blanks() noexcept {
        while (at_ != end_ && (*at_ == ' ' || *at_ == '\t' || *at_ == '\n' || *at_ == '\r')) ++at_;
    }
    bool take(char c) noexcept {
        if (at_ == end_ || *at_ != c) return false;
        ++at_;
        return true;
    }
    bool take(std::string_view word) noexcept {
        if (static_cast<std::size_t>(end_ - at_) < word.size()) return false;
        if (std::memcmp(at_, word.data(), word.size()) != 0) return false;
        at_ += word.size();
        return true;
    }

    bool read_hex(std::uint32_t& code) noexcept {
        if (end_ - at_ < 4) return false;
        const std::from_chars_result read = std::from_chars(at_, at_ + 4, code, 16);
        if (read.ec != std::errc{} || read.ptr != at_ + 4) return false;
        at_ += 4;
        return true;
    }

    static char* put_utf8(char* to, std::uint32_t code) noexcept {
        const auto put = [&](std::uint32_t byte) noexcept { *to++ = static_cast<char>(byte); };
        if (code < 0x80) {
            put(code);
        } else if (code < 0x800) {
            put(0xc0 | code >> 6);
            put(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
            put(0xe0 | code >> 12);
            put(0x80 | (code >> 6 & 0x3f));
            put(0x80 | (code & 0x3f));
        } else {
            put(0xf0 | code >> 18);
            put(0x80 | (code >> 12 & 0x3f));
            put(0x80 | (code >> 6 & 0x3f));
            put(0x80 | (code & 0x3f));
        }
        return to;
    }

    bool read_escape(char*& to) noexcept {
        if (at_ == end_) return false;
        const char c = *at_++;
        constexpr std::string_view kShort = "\"\\/bfnrt";
        constexpr std::string_view kMeans = "\"\\/\b\f\n\r\t";
        if (const std::size_t i = kShort.find(c); i != std::string_view::npos) {
            *to++ = kMeans[i];
            return true;
        }
        std::uint32_t code = 0;
        if (c != 'u' || !read_hex(code) || code == 0) return false;
        if (code >= 0xdc00 && code < 0xe000) return false;
        if (code >= 0xd800 && code < 0xdc00) {
            std::uint32_t low = 0;
            if (!take("\\u") || !read_hex(low) || low < 0xdc00 || low >= 0xe000) return false;
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        to = put_utf8(to, code);
        return true;
    }

    bool read_string(std::string_view& text) noexcept {
        if (!take('"')) return false;
        char* const start = at_;
        char* to = at_;
        while (at_ != end_) {
            const char c = *at_++;
            if (c == '"') {
                text = {start, static_cast<std::size_t>(to - start)};
                return valid_utf8(text);
            }
            if (static_cast<std::uint8_t>(c) < 0x20) return false;
            if (c != '\\')
                *to++ = c;
            else if (!read_escape(to))
                return false;
        }
        return false;
    }

    bool read_value(Value& value) noexcept {
        if (at_ == end_) return false;
        value = {Value::Kind::other, {}, 0};
        if (*at_ == '"') {
            value.kind = Value::Kind::string;
            return read_string(value.text);
        }
        if (take("true") || take("false") || take("null")) return true;

        // RFC 8259, 6, without fraction and exponent: no leading zero, no plus sign.
        value.kind = Value::Kind::integer;
        const char* digits = at_ + (*at_ == '-' ? 1 : 0);
        if (digits == end_ || *digits < '0' || *digits > '9') return false;
        if (*digits == '0' && digits + 1 != end_ && digits[1] >= '0' && digits[1] <= '9') return false;
        const std::from_chars_result read = std::from_chars(at_, end_, value.integer, 10);
        if (read.ec != std::errc{}) return false;
        at_ += read.ptr - at_;
        return at_ != end_ && *at_ != '.' && *at_ != 'e' && *at_ != 'E';
    }

    char* at_;
    char* end_;
    bool first_ = true;
    bool finished_ = false;
};

bool read_header(std::span<char> json, std::string_view& key_id) noexcept {
    enum : unsigned { kAlg = 1, kTyp = 2, kKid = 4 };
    ObjectReader reader(json);
    if (!reader.open()) return false;
    unsigned seen = 0;
    std::string_view name;
    Value value;
    while (reader.next(name, value)) {
        unsigned member = 0;
        if (name == "alg")
            member = kAlg;
        else if (name == "typ")
            member = kTyp;
        else if (name == "kid")
            member = kKid;
        if (member == 0 || (seen & member) != 0 || value.kind != Value::Kind::string) return false;
        seen |= member;
        if (member == kAlg && value.text != "HS256") return false;
        if (member == kTyp && value.text != "JWT") return false;
        if (member == kKid) key_id = value.text;
    }
    return reader.finished() && (seen & (kAlg | kKid)) == (kAlg | kKid);
}

// Unknown claims are remembered by name, so that none of them can stand twice either.
constexpr std::size_t kMaxUnknownClaims = 16;

bool read_claims(std::span<char> json, JwtClaims& out) noexcept {
    struct Known {
        std::string_view name;
        std::string_view JwtClaims::*text;
        std::int64_t JwtClaims::*integer;
    };
    constexpr Known kKnown[] = {
        {"iss", &JwtClaims::issuer, nullptr},     {"sub", &JwtClaims::subject, nullptr},
        {"jti", &JwtClaims::token_id, nullptr},   {"iat", nullptr, &JwtClaims::issued_at},
        {"exp", nullptr, &JwtClaims::expires_at}, {"grp", &JwtClaims::group, nullptr},
    };
    constexpr unsigned kAll = (1U << std::size(kKnown)) - 1;

    ObjectReader reader(json);
    if (!reader.open()) return false;
    std::array<std::string_view, kMaxUnknownClaims> unknown;
    std::size_t unknown_count = 0;
    unsigned seen = 0;
    std::string_view name;
    Value value;
    while (reader.next(name, value)) {
        std::size_t i = 0;
        while (i < std::size(kKnown) && kKnown[i].name != name) ++i;
        if (i == std::size(kKnown)) {
            if (unknown_count == unknown.size()) return false;
            for (std::size_t u = 0; u < unknown_count; ++u)
                if (unknown[u] == name) return false;
            unknown[unknown_count++] = name;
            continue;
        }
        if (seen & 1U << i) return false;
        seen |= 1U << i;
        if (kKnown[i].text != nullptr) {
            if (value.kind != Value::Kind::string) return false;
            out.*kKnown[i].text = value.text;
        } else {
            if (value.kind != Value::Kind::integer) return false;
            out.*kKnown[i].integer = value.integer;
        }
    }
    return reader.finished() && seen == kAll;
}

// The places of the two dots, when there are exactly two.
bool find_dots(std::string_view token, std::size_t& first, std::size_t& second) noexcept {
    first = token.find('.');
    if (first == std::string_view::npos) return false;
    second = token.find('.', first + 1);
    return second != std::string_view::npos && token.find('.', second + 1) == std::string_view::npos;
}

}  // namespace

bool is_jwt_key_id(std::string_view id) noexcept {
    if (id.empty() || id.size() > kMaxJwtKeyIdChars) return false;
    for (const char c : id)
        if (value_of(c) < 0 && c != '.') return false;
    return true;
}

bool base64url_encode(std::span<const std::uint8_t> bytes, std::span<char> out) noexcept {
    if (out.size() < base64url_size(bytes.size())) return false;
    PartWriter writer(out, 0);
    for (const std::uint8_t byte : bytes) writer.put(static_cast<char>(byte));
    std::size_t end = 0;
    return writer.finish(end);
}

bool base64url_decode(std::string_view text, std::span<char> out, std::size_t& size) noexcept {
    size = 0;
    const std::size_t tail = text.size() % 4;
    if (tail == 1) return false;
    const std::size_t bytes = text.size() / 4 * 3 + (tail == 0 ? 0 : tail - 1);
    if (bytes > out.size()) return false;

    std::uint32_t held = 0;
    unsigned held_bits = 0;
    std::size_t written = 0;
    for (const char c : text) {
        const int six = value_of(c);
        if (six < 0) return false;
        held = held << 6 | static_cast<std::uint32_t>(six);
        held_bits += 6;
        if (held_bits < 8) continue;
        held_bits -= 8;
        out[written++] = static_cast<char>(held >> held_bits & 0xff);
    }
    // Bits past the last byte are zero in the one right spelling.
    if ((held & ((1U << held_bits) - 1)) != 0) return false;
    size = written;
    return true;
}

bool write_jwt(const JwtKey& key, const JwtClaims& claims, std::span<char> out, std::size_t& size) noexcept {
    size = 0;
    if (!is_jwt_key_id(key.id) || key.bytes.size() < kMinJwtKeyBytes) return false;
    for (const std::string_view text : {claims.issuer, claims.subject, claims.token_id, claims.group})
        if (!is_writable(text)) return false;
    if (out.size() > kMaxJwtChars) out = out.first(kMaxJwtChars);

    std::size_t at = 0;
    PartWriter header(out, at);
    header.put(R"({"alg":"HS256","typ":"JWT","kid":)");
    header.put_string(key.id);
    header.put('}');
    if (!header.finish(at) || at == out.size()) return false;
    out[at++] = '.';

    PartWriter payload(out, at);
    payload.put(R"({"iss":)");
    payload.put_string(claims.issuer);
    payload.put(R"(,"sub":)");
    payload.put_string(claims.subject);
    payload.put(R"(,"jti":)");
    payload.put_string(claims.token_id);
    payload.put(R"(,"iat":)");
    payload.put_integer(claims.issued_at);
    payload.put(R"(,"exp":)");
    payload.put_integer(claims.expires_at);
    payload.put(R"(,"grp":)");
    payload.put_string(claims.group);
    payload.put('}');
    if (!payload.finish(at) || out.size() - at < 1 + kSignatureChars) return false;

    Digest signature;
    if (!hmac_sha256(key.bytes, {out.data(), at}, signature)) return false;
    out[at++] = '.';
    const bool fits = base64url_encode(signature, out.subspan(at));
    wipe(signature.data(), signature.size());
    if (!fits) return false;
    size = at + kSignatureChars;
    return true;
}

bool verify_jwt(std::string_view token, std::span<const JwtKey> keys, std::span<char, kJwtWorkBytes> work,
                JwtClaims& out) noexcept {
    out = {};
    if (!looks_like_jwt(token)) return false;
    std::size_t first = 0;
    std::size_t second = 0;
    if (!find_dots(token, first, second)) return false;

    std::size_t size = 0;
    std::string_view key_id;
    if (!base64url_decode(slice(token, 0, first), work, size)) return false;
    if (!read_header(work.first(size), key_id)) return false;
    const auto key =
        std::find_if(keys.begin(), keys.end(), [&](const JwtKey& k) noexcept { return k.id == key_id; });
    if (key == keys.end() || key->bytes.size() < kMinJwtKeyBytes) return false;

    std::array<char, kDigestBytes> sent;
    if (!base64url_decode(slice(token, second + 1), sent, size) || size != sent.size()) return false;
    Digest right;
    if (!hmac_sha256(key->bytes, slice(token, 0, second), right)) return false;
    const bool genuine = equal_constant_time(as_bytes({sent.data(), sent.size()}), right);
    wipe(right.data(), right.size());  // of a forgery, it is what the forger wants
    if (!genuine) return false;

    JwtClaims claims;
    if (!base64url_decode(slice(token, first + 1, second - first - 1), work, size)) return false;
    if (!read_claims(work.first(size), claims)) return false;
    out = claims;
    return true;
}

std::size_t redact_jwt(std::string_view jwt, std::span<char, kMaxJwtHintBytes> out) noexcept {
    std::size_t size = 0;
    for (const std::string_view part :
         {slice(jwt, 0, 3), kEllipsis, slice(jwt, jwt.size() - kHintRandomChars)}) {
        std::memcpy(out.data() + size, part.data(), part.size());
        size += part.size();
    }
    return size;
}

bool looks_like_jwt(std::string_view text) noexcept {
    if (text.size() > kMaxJwtChars || !text.starts_with("eyJ")) return false;
    std::size_t first = 0;
    std::size_t second = 0;
    if (!find_dots(text, first, second)) return false;
    const std::string_view signature = slice(text, second + 1);
    return signature.size() == kSignatureChars && is_base64url(slice(text, 0, first)) &&
           is_base64url(slice(text, first + 1, second - first - 1)) && is_base64url(signature);
}

}  // namespace mirox::core
