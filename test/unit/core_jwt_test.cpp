// JWT: the vector of RFC 7515 A.1, tokens made by PyJWT 2.6, one made by hand with Python's json and hmac,
// and tokens that are signed with the right key but should never have been made.
#include "core/jwt.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

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

struct Verified {
    std::vector<char> work = std::vector<char>(kJwtWorkBytes);
    JwtClaims claims;
    bool ok;

    Verified(std::string_view token, std::span<const JwtKey> keys) {
        ok = verify_jwt(token, keys, std::span<char, kJwtWorkBytes>(work), claims);
    }
};

bool accepted(std::string_view token) {
    const JwtKey keys[] = {key()};
    return Verified(token, keys).ok;
}

std::string encode(std::string_view bytes) {
    std::string out(base64url_size(bytes.size()), '?');
    EXPECT_TRUE(base64url_encode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, out));
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

void expect_claims(const JwtClaims& got) {
    EXPECT_EQ(got.issuer, kClaims.issuer);
    EXPECT_EQ(got.subject, kClaims.subject);
    EXPECT_EQ(got.token_id, kClaims.token_id);
    EXPECT_EQ(got.issued_at, kClaims.issued_at);
    EXPECT_EQ(got.expires_at, kClaims.expires_at);
    EXPECT_EQ(got.group, kClaims.group);
}

TEST(Jwt, VectorOfRfc7515A1) {
    constexpr std::string_view kSigned =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    constexpr std::string_view kKey =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    char bytes[64];
    std::size_t size = 0;
    ASSERT_TRUE(base64url_decode(kKey, bytes, size));
    ASSERT_EQ(size, 64u);
    Digest mac;
    ASSERT_TRUE(hmac_sha256({reinterpret_cast<const std::uint8_t*>(bytes), size}, kSigned, mac));
    EXPECT_EQ(encode({reinterpret_cast<const char*>(mac.data()), mac.size()}),
              "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    char payload[128];
    ASSERT_TRUE(base64url_decode(kSigned.substr(kSigned.find('.') + 1), payload, size));
    EXPECT_EQ(std::string_view(payload, size),
              "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}");
}

TEST(Jwt, WritesWhatWasMadeByHand) {
    char out[kMaxJwtChars];
    std::size_t size = 0;
    ASSERT_TRUE(write_jwt(key(), kClaims, out, size));
    EXPECT_EQ(std::string_view(out, size), kByHand);
}

TEST(Jwt, ReadsPyJwt) {
    const JwtKey keys[] = {{"other", key_bytes()}, key()};
    const Verified by_library(kFromPyJwt, keys);
    ASSERT_TRUE(by_library.ok);
    expect_claims(by_library.claims);
    const Verified by_hand(kByHand, keys);
    ASSERT_TRUE(by_hand.ok);
    expect_claims(by_hand.claims);
}

TEST(Jwt, OtherAlgorithms) {
    EXPECT_FALSE(accepted(kAlgNone));
    EXPECT_FALSE(accepted(kHs384));
    EXPECT_FALSE(accepted(kHs512));
    for (const char* alg :
         {"none", "None", "NONE", "hs256", "HS384", "HS512", "RS256", "ES256", "", "HS256 "})
        EXPECT_FALSE(
            accepted(made(std::string(R"({"alg":")") + alg + R"(","typ":"JWT","kid":"k-2024.1"})", kPayload)))
            << alg;
}

TEST(Jwt, Headers) {
    for (const char* good :
         {kHeader, R"({"kid":"k-2024.1","alg":"HS256"})", R"({"alg":"\u0048S256","kid":"k-2024.1"})",
          R"({"alg" : "HS256" , "kid":"k-2024.1"} )"})
        EXPECT_TRUE(accepted(made(good, kPayload))) << good;
    for (const char* bad : {R"({"alg":"HS256"})",
                            R"({"kid":"k-2024.1"})",
                            R"({"alg":"HS256","kid":"other"})",
                            R"({"alg":"HS256","kid":""})",
                            R"({"alg":"HS256","typ":"jwt","kid":"k-2024.1"})",
                            R"({"alg":"HS256","typ":"at+jwt","kid":"k-2024.1"})",
                            R"({"alg":"HS256","kid":"k-2024.1","kid":"k-2024.1"})",
                            R"({"alg":"none","alg":"HS256","kid":"k-2024.1"})",
                            R"({"alg":"HS256","kid":"k-2024.1","crit":"exp"})",
                            R"({"alg":"HS256","kid":"k-2024.1","crit":["exp"]})",
                            R"({"alg":"HS256","kid":"k-2024.1","jku":"https://x"})",
                            R"({"alg":"HS256","kid":"k-2024.1","jwk":{}})",
                            R"({"alg":"HS256","kid":"k-2024.1","x":1})",
                            R"({"alg":["HS256"],"kid":"k-2024.1"})",
                            R"({"alg":null,"kid":"k-2024.1"})",
                            R"({"alg":"HS256","kid":7})",
                            R"({"alg":"HS256","kid":"k-2024.1"}x)",
                            R"({"alg":"HS256","kid":"k-2024.1",})",
                            R"({"alg":"HS256","kid":"k-2024.1")",
                            R"({"alg":"HS256""kid":"k-2024.1"})",
                            R"({,"alg":"HS256","kid":"k-2024.1"})",
                            R"({"ALG":"HS256","kid":"k-2024.1"})",
                            R"({"alg":"HS256\u0000","kid":"k-2024.1"})",
                            R"({"":"","alg":"HS256"})"})
        EXPECT_FALSE(accepted(made(bad, kPayload))) << bad;
}

TEST(Jwt, Payloads) {
    const std::string base(kPayload, std::string_view(kPayload).size() - 1);
    EXPECT_TRUE(accepted(made(kHeader, kPayload)));
    for (const char* more : {R"(,"nbf":1})", R"(,"x":"y","z":true,"n":null,"f":false})", R"( , "a" : -5 } )",
                             R"(,"a":0})", R"(,"a":"\"\\\/\b\f\n\r\t\u00e4\ud83c\udf2c"})"})
        EXPECT_TRUE(accepted(made(kHeader, base + more))) << more;
    for (const char* more : {R"(,"sub":"v"})",
                             R"(,"\u0073ub":"v"})",
                             R"(,"x":1,"x":1})",
                             R"(,"x":{}})",
                             R"(,"x":[]})",
                             R"(,"x":1.5})",
                             R"(,"x":1e3})",
                             R"(,"x":01})",
                             R"(,"x":-})",
                             R"(,"x":+1})",
                             R"(,"x":})",
                             R"(,"x"})",
                             R"(,})",
                             R"(}})",
                             R"(}{)",
                             R"(,"x":tru})",
                             R"(,"x":truefalse})",
                             R"(,"x":"\x"})",
                             R"(,"x":"\u12"})",
                             R"(,"x":"\u0000"})",
                             R"(,"x":"\ud800"})",
                             R"(,"x":"\udc00"})",
                             R"(,"x":"\ud800\u0041"})",
                             "",
                             ",\"x\":\"\n\"}",
                             ",\"x\":\"\xff\"}",
                             ",\"x\":\"\xC0\xAE\"}",
                             R"(,"x":9223372036854775808})",
                             R"(,"x":0x1})",
                             R"(,x:1})",
                             R"(,'x':1})",
                             R"(,"x":NaN})"})
        EXPECT_FALSE(accepted(made(kHeader, base + more))) << more;
    for (const char* bad : {"", "{}", "[]", "null", R"({"iss":"mirox","sub":"u","jti":"1","iat":1,"exp":2})",
                            R"({"iss":"mirox","sub":7,"jti":"1","iat":1,"exp":2,"grp":"g"})",
                            R"({"iss":"mirox","sub":"u","jti":1,"iat":1,"exp":2,"grp":"g"})",
                            R"({"iss":"mirox","sub":"u","jti":"1","iat":"1","exp":2,"grp":"g"})",
                            R"({"iss":"mirox","sub":"u","jti":"1","iat":1,"exp":2.0,"grp":"g"})",
                            R"({"iss":"mirox","sub":"u","jti":"1","iat":1,"exp":2,"grp":["g"]})"})
        EXPECT_FALSE(accepted(made(kHeader, bad))) << bad;
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
        for (const char c :
             {'A', 'Q', 'g', 'w', 'z', '0', '9', '-', '_', '.', '+', '/', '=', ' ', '\0', '\xff'}) {
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
    EXPECT_FALSE(Verified(good, wrong_key).ok);
    const JwtKey other_id[] = {{"k-2024", key_bytes()}};
    EXPECT_FALSE(Verified(good, other_id).ok);
    EXPECT_FALSE(Verified(good, {}).ok);
    const JwtKey short_key[] = {{"k-2024.1", std::span(key_bytes()).first(31)}};
    EXPECT_FALSE(Verified(good, short_key).ok);
    // Claims are left empty by a refusal.
    EXPECT_EQ(Verified(good, wrong_key).claims.subject, "");

    char out[kMaxJwtChars];
    std::size_t size = 7;
    EXPECT_FALSE(write_jwt(short_key[0], kClaims, out, size));
    EXPECT_EQ(size, 0u);
    for (const char* id : {"", "a b", "a\"b", "a/b", "\xC3\xA4"})
        EXPECT_FALSE(write_jwt({id, key_bytes()}, kClaims, out, size));
}

TEST(Jwt, RoundTripsAnyUtf8) {
    std::mt19937 random(9);
    const JwtKey keys[] = {key()};
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
        const JwtClaims claims{
            "i", subject, "j", static_cast<std::int64_t>(random()) - 1000, INT64_MIN + round, "g"};
        char out[kMaxJwtChars];
        std::size_t size = 0;
        ASSERT_TRUE(write_jwt(key(), claims, out, size));
        ASSERT_TRUE(looks_like_jwt({out, size}));
        const Verified back({out, size}, keys);
        ASSERT_TRUE(back.ok);
        ASSERT_EQ(back.claims.subject, subject);
        ASSERT_EQ(back.claims.issued_at, claims.issued_at);
        ASSERT_EQ(back.claims.expires_at, claims.expires_at);
    }
}

TEST(Jwt, WhatCannotBeWritten) {
    char out[kMaxJwtChars];
    std::size_t size = 0;
    JwtClaims claims = kClaims;
    for (const std::string_view bad :
         {std::string_view("\xff"), std::string_view("a\0b", 3), std::string_view("\xED\xA0\x80")}) {
        claims.subject = bad;
        EXPECT_FALSE(write_jwt(key(), claims, out, size));
    }
    const std::string much(kMaxJwtChars, 'a');
    claims.subject = much;
    EXPECT_FALSE(write_jwt(key(), claims, out, size));
    // Every length of buffer that is too short.
    for (std::size_t room = 0; room < kByHand.size(); ++room) {
        std::unique_ptr<char[]> tight(new char[room]);
        ASSERT_FALSE(write_jwt(key(), kClaims, {tight.get(), room}, size));
    }
    std::unique_ptr<char[]> exact(new char[kByHand.size()]);
    EXPECT_TRUE(write_jwt(key(), kClaims, {exact.get(), kByHand.size()}, size));
}

TEST(Jwt, Shape) {
    EXPECT_TRUE(looks_like_jwt(kByHand));
    EXPECT_FALSE(looks_like_jwt("mirox_0123456789"));
    EXPECT_FALSE(looks_like_jwt(kAlgNone));
    EXPECT_FALSE(looks_like_jwt(kHs384));
    EXPECT_FALSE(looks_like_jwt(""));
}

// RFC 4648, section 10, without padding, and 5's two other digits.
TEST(Jwt, Redacted) {
    char hint[kMaxJwtHintBytes];
    const std::string_view jwt = kByHand;
    EXPECT_EQ(std::string(hint, redact_jwt(jwt, hint)),
              "eyJ\xE2\x80\xA6" + std::string(jwt.substr(jwt.size() - 4)));
}

TEST(Base64Url, Vectors) {
    const std::pair<std::string_view, std::string_view> table[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};
    for (const auto& [bytes, text] : table) {
        EXPECT_EQ(encode(bytes), text);
        char out[16];
        std::size_t size = 0;
        ASSERT_TRUE(base64url_decode(text, out, size));
        EXPECT_EQ(std::string_view(out, size), bytes);
    }
    char out[16];
    std::size_t size = 0;
    for (const char* bad : {"Z", "Zh", "Zm9", "Zg==", "Zg=", "Z g", "+_8", "-/8", "Zm9vY", "Zm9vYm\n"})
        EXPECT_FALSE(base64url_decode(bad, out, size)) << bad;
    EXPECT_FALSE(base64url_decode("Zm9v", std::span(out, 2), size));
}

}  // namespace
