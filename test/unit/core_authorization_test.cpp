// The Authorization field and the challenges: expected values are the examples and the grammar of RFC 6750
// and 9110.
#include "core/authorization.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace {

using namespace mirox::core;
using Kind = AuthorizationKind;

std::string challenge(Challenge which, std::string_view scope = {}) {
    std::array<char, kMaxChallengeChars> out;
    return std::string(out.data(), write_challenge(which, scope, out));
}

void expect(std::string_view value, Kind kind, std::string_view credential = {}) {
    const Authorization got = parse_authorization(value);
    EXPECT_EQ(got.kind, kind) << value;
    EXPECT_EQ(got.credential, credential) << value;
}

TEST(Authorization, TakesTheExampleOfTheRfc) {
    expect("Bearer mF_9.B5f-4.1JqM", Kind::bearer, "mF_9.B5f-4.1JqM");
}

TEST(Authorization, SchemeIsReadInAnyCase) {
    for (const char* scheme : {"bearer", "BEARER", "BeArEr", "Bearer"}) expect(std::string(scheme) + " abc", Kind::bearer, "abc");
    expect("Bearer\xE2\x84\xAA abc", Kind::malformed);
    expect("Bearers abc", Kind::other_scheme);
    expect("Beare abc", Kind::other_scheme);
}

TEST(Authorization, SpacesBetweenAndAround) {
    expect("Bearer     abc", Kind::bearer, "abc");
    expect("  Bearer abc  ", Kind::bearer, "abc");
    expect("\tBearer abc\t", Kind::bearer, "abc");
    expect("Bearer\tabc", Kind::malformed);
    expect("Bearer \tabc", Kind::malformed);
    expect(
        "Bearer \xC2\xA0"
        "abc",
        Kind::malformed);
}

TEST(Authorization, NothingIsMissing) {
    for (const char* value : {"", " ", "\t", " \t  "}) expect(value, Kind::missing);
}

TEST(Authorization, AlphabetOfB64Token) {
    const std::string every = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    expect("Bearer " + every + "==", Kind::bearer, every + "==");
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        if (every.find(c) != std::string::npos || c == '=' || c == ' ' || c == '\t') continue;
        expect(std::string("Bearer a") + c, Kind::malformed);
        expect(std::string("Bearer a") + c + "b", Kind::malformed);
    }
    expect("Bearer =", Kind::malformed);
    expect("Bearer a=b", Kind::malformed);
}

TEST(Authorization, OneCredentialAndNothingAfterIt) {
    for (const char* value : {"Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer a, Bearer b", "Bearer a,", "Bearer a;",
                              "Bearer ,", "Bearer, Bearer a", "Bearer token=\"a\"", "Bearer a Bearer b"})
        expect(value, Kind::malformed);
}

TEST(Authorization, OtherSchemes) {
    for (const char* value : {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Negotiate", "Digest username=\"Bearer a\", b=c",
                              "mirox_0123456789", "DPoP abc", "Basic x, Bearer y"})
        expect(value, Kind::other_scheme);
}

TEST(Authorization, ControlBytesAndNoSchemes) {
    for (int byte = 0; byte < 0x20; ++byte) {
        if (byte == '\t') continue;
        expect(std::string("Basic a") + static_cast<char>(byte), Kind::malformed);
        expect(static_cast<char>(byte) + std::string("Bearer a"), Kind::malformed);
    }
    expect(std::string("Bearer abc\0", 11), Kind::malformed);
    expect(std::string("\0", 1), Kind::malformed);
    for (const char* value : {"\x7f", ": abc", "(x) y", ",Bearer a", "\"Bearer\" a", "=", "Basic\tabc", "Basic/a b"})
        expect(value, Kind::malformed);
}

TEST(Authorization, SizeIsNoSyntax) {
    const std::string much(65536, 'a');
    expect("Bearer " + much, Kind::bearer, much);
    expect("Bearer" + std::string(65536, ' ') + "a", Kind::bearer, "a");
    expect("Bearer " + much + "," + much, Kind::malformed);
    expect(std::string(65536, ' '), Kind::missing);
    expect(much, Kind::other_scheme);
}

TEST(Challenge, AsInSectionThree) {
    EXPECT_EQ(challenge(Challenge::none), "");
    EXPECT_EQ(challenge(Challenge::credentials_needed), "Bearer realm=\"mirox\"");
    EXPECT_EQ(challenge(Challenge::invalid_request), "Bearer realm=\"mirox\", error=\"invalid_request\"");
    EXPECT_EQ(challenge(Challenge::invalid_token), "Bearer realm=\"mirox\", error=\"invalid_token\"");
    EXPECT_EQ(challenge(Challenge::insufficient_scope, "parks.berlin:read"),
              "Bearer realm=\"mirox\", error=\"insufficient_scope\", scope=\"parks.berlin:read\"");
    EXPECT_EQ(challenge(Challenge::insufficient_scope, "*"), "Bearer realm=\"mirox\", error=\"insufficient_scope\", scope=\"*\"");
    EXPECT_EQ(challenge(Challenge::invalid_token, "parks"), "Bearer realm=\"mirox\", error=\"invalid_token\"");
}

TEST(Challenge, NothingIsInjected) {
    const std::string bare = "Bearer realm=\"mirox\", error=\"insufficient_scope\"";
    for (const std::string& scope : {std::string(), std::string("a\"b"), std::string("a\\"), std::string("a\r\nX: y"),
                                     std::string("a\0b", 3), std::string("\xC3\xA4"), std::string(kMaxScopeChars + 1, 'a')})
        EXPECT_EQ(challenge(Challenge::insufficient_scope, scope), bare);
    EXPECT_EQ(challenge(Challenge::insufficient_scope, std::string(kMaxScopeChars, 'a')).size(),
              bare.size() + kMaxScopeChars + std::string_view(", scope=\"\"").size());
}

TEST(Challenge, GoesByTheStatus) {
    EXPECT_EQ(challenge_for(200, Kind::bearer), Challenge::none);
    EXPECT_EQ(challenge_for(429, Kind::bearer), Challenge::none);
    EXPECT_EQ(challenge_for(400, Kind::malformed), Challenge::invalid_request);
    EXPECT_EQ(challenge_for(401, Kind::missing), Challenge::credentials_needed);
    EXPECT_EQ(challenge_for(401, Kind::other_scheme), Challenge::credentials_needed);
    EXPECT_EQ(challenge_for(401, Kind::bearer), Challenge::invalid_token);
    EXPECT_EQ(challenge_for(403, Kind::bearer), Challenge::insufficient_scope);
}

}  // namespace
