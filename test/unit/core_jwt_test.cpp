// JWT: the vector of RFC 7515 A.1, tokens made by PyJWT 2.6, one made by hand with Python's json and hmac, and tokens that are signed
// with the right key but that we would never have made. What we write is read by yaml-cpp.
#include "core/jwt.hpp"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "core/chars.hpp"
#include "core/crypto.hpp"

namespace {

using namespace mirox::core;

// Bytes 0 to 31, as in the script that made the tokens.
const std::vector<std::uint8_t>& key_bytes() {
    static const std::vector<std::uint8_t> bytes = [] {
        std::vector<std::uint8_t> made(32);
        for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<std::uint8_t>(i);
        return made;
    }();
    return bytes;
}

JwtKey key() {
    return {"k-2024.1", key_bytes()};
}

constexpr std::string_view kFromPyJwt =
    "eyJhbGciOiJIUzI1NiIsImtpZCI6ImstMjAyNC4xIiwidHlwIjoiSldUIn0.eyJpc3MiOiJtaXJveCIsInN1YiI6InVzZXIgXCI3"
    "XCJcXCBcdTAwZTRcdTIwYWNcdWQ4M2NcdWRmMmNcblx1MDAwMSIsImp0aSI6IjkwMDcxOTkyNTQ3NDA5OTMiLCJpYXQiOjE3MDAw"
    "MDAwMDAsImV4cCI6MTczMTUzNjAwMCwiZ3JwIjoicmVwb3J0aW5nIn0.edWFXVjVJITXkwZ323e4ZkPej2Vqz6poqQcMphEEpRk";
constexpr std::string_view kByHand =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImstMjAyNC4xIn0.eyJpc3MiOiJtaXJveCIsInN1YiI6InVzZXIgXCI3"
    "XCJcXCDDpOKCrPCfjKxcdTAwMGFcdTAwMDEiLCJqdGkiOiI5MDA3MTk5MjU0NzQwOTkzIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAi"
    "OjE3MzE1MzYwMDAsImdycCI6InJlcG9ydGluZyJ9.Z2QjBkKGsXqMh23IDhWJxU_NM9cTeOQMTzg9LG6XT-g";
constexpr std::string_view kAlgNone =
    "eyJhbGciOiJub25lIiwia2lkIjoiay0yMDI0LjEiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJtaXJveCIsInN1YiI6InVzZXIgXCI3X"
    "CJcXCBcdTAwZTRcdTIwYWNcdWQ4M2NcdWRmMmNcblx1MDAwMSIsImp0aSI6IjkwMDcxOTkyNTQ3NDA5OTMiLCJpYXQiOjE3MDAwM"
    "DAwMDAsImV4cCI6MTczMTUzNjAwMCwiZ3JwIjoicmVwb3J0aW5nIn0.";
constexpr std::string_view kHs384 =
    "eyJhbGciOiJIUzM4NCIsImtpZCI6ImstMjAyNC4xIiwidHlwIjoiSldUIn0.eyJpc3MiOiJtaXJveCIsInN1YiI6InVzZXIgXCI3"
    "XCJcXCBcdTAwZTRcdTIwYWNcdWQ4M2NcdWRmMmNcblx1MDAwMSIsImp0aSI6IjkwMDcxOTkyNTQ3NDA5OTMiLCJpYXQiOjE3MDAw"
    "MDAwMDAsImV4cCI6MTczMTUzNjAwMCwiZ3JwIjoicmVwb3J0aW5nIn0.MPnFRfWTFNzFJEdDkA3c1_lrcqnZR-4oJTxbtUj8MYTZ"
    "uvStziT-BxWXmoAEa1ze";
constexpr std::string_view kHs512 =
    "eyJhbGciOiJIUzUxMiIsImtpZCI6ImstMjAyNC4xIiwidHlwIjoiSldUIn0.eyJpc3MiOiJtaXJveCIsInN1YiI6InVzZXIgXCI3"
    "XCJcXCBcdTAwZTRcdTIwYWNcdWQ4M2NcdWRmMmNcblx1MDAwMSIsImp0aSI6IjkwMDcxOTkyNTQ3NDA5OTMiLCJpYXQiOjE3MDAw"
    "MDAwMDAsImV4cCI6MTczMTUzNjAwMCwiZ3JwIjoicmVwb3J0aW5nIn0.yox3OAV6-UPvSjyLlDe9z3W5CMtMlMn_w6kI00DdY53p"
    "DePcUmNlsleh05nWFGaNRtin9ppOXlgyz97gDwV8QQ";

constexpr std::string_view kSubject = "user \"7\"\\ \xC3\xA4\xE2\x82\xAC\xF0\x9F\x8C\xAC\n\x01";
const JwtClaims kClaims{"mirox", kSubject, "9007199254740993", 1700000000, 1731536000, "reporting"};

bool accepted(std::string_view token) {
    const JwtKey keys[] = {{"other", key_bytes()}, key()};
    return verify_jwt(token, keys);
}

std::string encode(std::string_view bytes) {
    std::string out(base64url_room(bytes.size()), '?');
    out.resize(base64url_encode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, out));
    return out;
}

std::string decode(std::string_view text) {
    std::string out(text.size(), '?');
    out.resize(base64_decode(text, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()}));
    return out;
}

std::string sign(const std::string& signed_part) {
    Digest mac;
    EXPECT_TRUE(hmac_sha256(key_bytes(), signed_part, mac));
    return signed_part + "." + encode({reinterpret_cast<const char*>(mac.data()), mac.size()});
}

constexpr const char* kHeader = R"({"alg":"HS256","typ":"JWT","kid":"k-2024.1"})";
constexpr const char* kPayload = R"({"iss":"mirox","sub":"u","jti":"1","iat":1,"exp":2,"grp":"g"})";

std::string made(std::string_view header, std::string_view payload) {
    return sign(encode(header) + "." + encode(payload));
}

TEST(Jwt, VectorOfRfc7515A1) {
    constexpr std::string_view kSigned =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    constexpr std::string_view kKey = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    const std::string bytes = decode(kKey);
    ASSERT_EQ(bytes.size(), 64u);
    Digest mac;
    ASSERT_TRUE(hmac_sha256({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, kSigned, mac));
    EXPECT_EQ(encode({reinterpret_cast<const char*>(mac.data()), mac.size()}), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    EXPECT_EQ(decode(kSigned.substr(kSigned.find('.') + 1)),
              "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}");
}

TEST(Jwt, WritesWhatWasMadeByHand) {
    char out[kMaxJwtChars];
    std::size_t size = 0;
    ASSERT_TRUE(write_jwt(key(), kClaims, out, size));
    EXPECT_EQ(std::string_view(out, size), kByHand);
}

// The digest of a token decides all else, so what follows the header need not be looked at.
TEST(Jwt, TakesOurHeaderAndSignature) {
    EXPECT_TRUE(accepted(kByHand));
    EXPECT_TRUE(accepted(made(kHeader, kPayload)));
    EXPECT_TRUE(accepted(made(kHeader, "[")));
    EXPECT_FALSE(accepted(made(kHeader, "")));
}

TEST(Jwt, OtherAlgorithms) {
    EXPECT_FALSE(accepted(kAlgNone));
    EXPECT_FALSE(accepted(kHs384));
    EXPECT_FALSE(accepted(kHs512));
    for (const char* alg : {"none", "None", "NONE", "hs256", "HS384", "HS512", "RS256", "ES256", "", "HS256 "})
        EXPECT_FALSE(accepted(made(std::string(R"({"alg":")") + alg + R"(","typ":"JWT","kid":"k-2024.1"})", kPayload))) << alg;
}

// What is not, byte for byte, the header that we write is not ours, however well it is signed.
TEST(Jwt, Headers) {
    EXPECT_FALSE(accepted(kFromPyJwt));  // kid before typ
    for (const char* bad :
         {R"({"alg":"HS256"})", R"({"kid":"k-2024.1"})", R"({"kid":"k-2024.1","alg":"HS256"})",
          R"({"alg":"HS256","kid":"k-2024.1"})", R"({"alg":"HS256","typ":"JWT","kid":""})",
          R"({"alg":"HS256","typ":"JWT","kid":"k-2024"})", R"({"alg":"HS256","typ":"JWT","kid":"k-2024.1","kid":"k-2024.1"})",
          R"({"alg":"HS256","typ":"JWT","kid":"k-2024.1","crit":["exp"]})",
          R"({"alg":"HS256","typ":"JWT","kid":"k-2024.1","jwk":{}})", R"({"alg":"HS256","typ":"JWT","kid":"k-2024.1"} )",
          R"({"alg":"HS256","typ":"JWT","kid":"k-2024.1")", R"({"alg":"\u0048S256","typ":"JWT","kid":"k-2024.1"})",
          R"({"alg":"HS256","typ":"jwt","kid":"k-2024.1"})", R"({"":""})", R"({})"})
        EXPECT_FALSE(accepted(made(bad, kPayload))) << bad;
}

TEST(Jwt, Structure) {
    const std::string good = made(kHeader, kPayload);
    ASSERT_TRUE(accepted(good));
    const std::size_t first = good.find('.');
    const std::size_t second = good.rfind('.');
    for (const std::string& bad : {std::string(),
                                   std::string("."),
                                   std::string(".."),
                                   good + ".",
                                   "." + good,
                                   good + ".x",
                                   good + "=",
                                   good + " ",
                                   " " + good,
                                   good + "\n",
                                   good.substr(0, second),
                                   good.substr(0, second + 1),
                                   good.substr(0, good.size() - 1),
                                   good.substr(first),
                                   good.substr(0, first) + "." + good.substr(second),
                                   good.substr(0, first) + good.substr(first + 1),
                                   good.substr(0, first) + "=." + good.substr(first + 1),
                                   good + std::string(65536, 'A'),
                                   good + good,
                                   good.substr(0, first + 1) + std::string(65536, 'A') + good.substr(second),
                                   std::string(65536, '.'),
                                   std::string(65536, 'A'),
                                   "eyJ" + std::string(65536, 'a')})
        EXPECT_FALSE(accepted(bad)) << bad.substr(0, 200);
}

// Any one byte changed to any other in the alphabet, the last digit's unused bits too.
TEST(Jwt, EveryAlteration) {
    const std::string good = made(kHeader, kPayload);
    for (std::size_t i = 0; i < good.size(); ++i)
        for (const char c : {'A', 'Q', 'g', 'w', 'z', '0', '9', '-', '_', '.', '+', '/', '=', ' ', '\0', '\xff'}) {
            std::string bad = good;
            if (bad[i] == c) continue;
            bad[i] = c;
            EXPECT_FALSE(accepted(bad)) << i << c;
        }
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (const char c : kAlphabet) {
        std::string other = good;
        other.back() = c;
        EXPECT_EQ(accepted(other), other == good);
    }
}

TEST(Jwt, Keys) {
    const std::string good = made(kHeader, kPayload);
    std::vector<std::uint8_t> wrong = key_bytes();
    wrong.back() ^= 1;
    const JwtKey wrong_key[] = {{"k-2024.1", wrong}};
    EXPECT_FALSE(verify_jwt(good, wrong_key));
    const JwtKey other_id[] = {{"k-2024", key_bytes()}};
    EXPECT_FALSE(verify_jwt(good, other_id));
    EXPECT_FALSE(verify_jwt(good, {}));

    char out[kMaxJwtChars];
    std::size_t size = 7;
    const std::string longest(kMaxJwtKeyIdChars, 'k'), longer = longest + "k";
    for (const std::string_view id : {std::string_view(), std::string_view("a b"), std::string_view("a\"b"),
                                      std::string_view("a/b"), std::string_view("\xC3\xA4"), std::string_view(longer)}) {
        EXPECT_FALSE(write_jwt({id, key_bytes()}, kClaims, out, size));
        EXPECT_EQ(size, 0u);
        const JwtKey bad_id[] = {{id, key_bytes()}};
        EXPECT_FALSE(verify_jwt(good, bad_id));
    }
    const JwtKey long_id[] = {{longest, key_bytes()}};
    ASSERT_TRUE(write_jwt(long_id[0], kClaims, out, size));
    EXPECT_TRUE(verify_jwt({out, size}, long_id));
}

TEST(Jwt, RoundTripsAnyUtf8) {
    std::mt19937 random(9);
    for (int round = 0; round < 2000; ++round) {
        std::string subject;
        for (unsigned n = random() % 40; n > 0; --n) {
            switch (random() % 4) {
                case 0:
                    subject += static_cast<char>(1 + random() % 127);
                    break;
                case 1:
                    subject += "\xC3\xA4";
                    break;
                case 2:
                    subject += "\xE2\x80\xA8";
                    break;
                default:
                    subject += "\xF0\x9F\x8C\xAC";
                    break;
            }
        }
        const JwtClaims claims{"i", subject, "j", static_cast<std::int64_t>(random()) - 1000, INT64_MIN + round, "g"};
        char out[kMaxJwtChars];
        std::size_t size = 0;
        ASSERT_TRUE(write_jwt(key(), claims, out, size));
        const std::string_view token(out, size);
        ASSERT_TRUE(looks_like_jwt(token));
        ASSERT_TRUE(accepted(token));
        const std::size_t first = token.find('.') + 1;
        const YAML::Node read = YAML::Load(decode(token.substr(first, token.rfind('.') - first)));
        ASSERT_EQ(read.size(), 6u);
        ASSERT_EQ(read["iss"].Scalar(), "i");
        ASSERT_EQ(read["sub"].Scalar(), subject);
        ASSERT_EQ(read["jti"].Scalar(), "j");
        ASSERT_EQ(read["iat"].as<std::int64_t>(), claims.issued_at);
        ASSERT_EQ(read["exp"].as<std::int64_t>(), claims.expires_at);
        ASSERT_EQ(read["grp"].Scalar(), "g");
    }
}

TEST(Jwt, WhatCannotBeWritten) {
    char out[kMaxJwtChars];
    std::size_t size = 0;
    JwtClaims claims = kClaims;
    for (const char* bad : {"\xff", "\xED\xA0\x80"}) {
        claims.subject = bad;
        EXPECT_FALSE(write_jwt(key(), claims, out, size));
    }
    // Every length about the bound, of characters that are escaped and that are not.
    std::size_t longest = 0;
    for (const char* one : {"a", "\"", "\x01"})
        for (std::size_t length = 900; length < kMaxJwtChars; ++length) {
            const std::string much = [&] {
                std::string text;
                for (std::size_t i = 0; i < length; ++i) text += one;
                return text;
            }();
            claims.subject = much;
            if (!write_jwt(key(), claims, out, size)) {
                EXPECT_EQ(size, 0u);
                break;
            }
            longest = std::max(longest, size);
        }
    EXPECT_LE(longest, kMaxJwtChars);
    EXPECT_GE(longest, kMaxJwtChars - 8);
}

TEST(Jwt, Shape) {
    EXPECT_TRUE(looks_like_jwt(kByHand));
    EXPECT_FALSE(looks_like_jwt("mirox_0123456789"));
    EXPECT_FALSE(looks_like_jwt(kAlgNone));
    EXPECT_FALSE(looks_like_jwt(kHs384));
    EXPECT_FALSE(looks_like_jwt(""));
}

TEST(Jwt, Redacted) {
    char hint[kMaxJwtHintBytes];
    const std::string_view jwt = kByHand;
    EXPECT_EQ(std::string(hint, redact_jwt(jwt, hint)), "eyJ\xE2\x80\xA6" + std::string(jwt.substr(jwt.size() - 4)));
}

// RFC 4648, section 10, without padding, and 5's two other digits.
TEST(Base64, Vectors) {
    const std::pair<std::string_view, std::string_view> table[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};
    for (const auto& [bytes, text] : table) {
        EXPECT_EQ(encode(bytes), text);
        EXPECT_EQ(decode(text), bytes);
    }
    EXPECT_EQ(decode("+/8="), "\xfb\xff");
    EXPECT_EQ(decode("Zg=="), "f");
    for (const char* bad : {"Z", "Z g", "Zm9vY", "Zm9vYm\n", "Zm=v", " Zm9v", "Zm9v\xff", "Zm9v.Zm9v"})
        EXPECT_EQ(decode(bad), "") << bad;
    std::uint8_t out[2];
    EXPECT_EQ(base64_decode("Zm9v", out), 0u);
}

TEST(Hex, Decodes) {
    std::uint8_t out[3] = {};
    EXPECT_TRUE(decode_hex("00aFf9", out));
    EXPECT_EQ(out[1], 0xAF);
    EXPECT_EQ(out[2], 0xF9);
    for (const char* bad : {"", "00af", "00aff", "00aff90", "00aff901", "00afg9", "00af:9", "00af 9"})
        EXPECT_FALSE(decode_hex(bad, out)) << bad;
    EXPECT_TRUE(decode_hex("", {}));
}

}  // namespace
