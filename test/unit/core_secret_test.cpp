// Tests of core/secret.hpp. Checksums and complete secrets were made by Python's zlib.crc32 and a base62 of
// its own; none was made by the code under test.
#include "core/secret.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mirox::core {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// A checksum from the polynomial's definition, bit by bit, to try many values against the library's.
std::uint32_t crc32_by_bits(std::string_view bytes) {
    std::uint32_t crc = 0xFFFFFFFFU;
    for (char c : bytes) {
        crc ^= static_cast<unsigned char>(c);
        for (int i = 0; i < 8; ++i) {
            crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
        }
    }
    return ~crc;
}

PrefixList list(std::string_view text) {
    PrefixList out{};
    EXPECT_TRUE(parse_prefix_list(text, out)) << text;
    return out;
}

std::string checksum(std::uint32_t value) {
    std::array<char, kSecretChecksumChars> out;
    base62_checksum(value, out);
    return {out.data(), out.size()};
}

std::string format(SecretKind kind, const PrefixList& prefixes, std::string_view random) {
    std::array<char, kMaxSecretChars> out;
    out.fill('#');
    const std::size_t size =
        format_secret(kind, prefixes, std::span<const char, kSecretRandomChars>(random.data(), kSecretRandomChars), out);
    EXPECT_LE(size, out.size());
    for (std::size_t i = size; i < out.size(); ++i) {
        EXPECT_EQ(out[i], '#') << "written past the returned size";
    }
    return {out.data(), size};
}

std::string redact(std::string_view secret) {
    std::array<char, kMaxHintBytes> out;
    return {out.data(), redact_secret(secret, out)};
}

struct Made {
    const char* stem;
    SecretKind kind;
    const char* random;
    const char* secret;
};

constexpr const char* kZeros = "0000000000000000000000000000000000000000000";
constexpr const char* kLast = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
constexpr const char* kMixed = "Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcDeFgHiJkLmNoPq";
constexpr const char* kFox = "The0quick0brown0fox0jumps0over0the0lazy0dog";
constexpr const char* kSmall = "QXFbKYYpAdbK13Tolms0iuIjEkfCxltyLcA7CD82Igu";  // a checksum with leading zeros

constexpr Made kMade[] = {
    {"mirox", SecretKind::token, kZeros, "mirox_00000000000000000000000000000000000000000001YaD8F"},
    {"mirox", SecretKind::token, kLast, "mirox_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz0zmudG"},
    {"mirox", SecretKind::token, kMixed, "mirox_Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcDeFgHiJkLmNoPq1KEjhB"},
    {"mirox", SecretKind::token, kFox, "mirox_The0quick0brown0fox0jumps0over0the0lazy0dog3UvPfl"},
    {"mirox", SecretKind::token, kSmall, "mirox_QXFbKYYpAdbK13Tolms0iuIjEkfCxltyLcA7CD82Igu0006lW"},
    {"mirox", SecretKind::session, kZeros, "miroxs_000000000000000000000000000000000000000000022ivnr"},
    {"mirox", SecretKind::session, kLast, "miroxs_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz0EeSaE"},
    {"mirox", SecretKind::session, kMixed, "miroxs_Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcDeFgHiJkLmNoPq26RRT3"},
    {"mirox", SecretKind::session, kFox, "miroxs_The0quick0brown0fox0jumps0over0the0lazy0dog2RaZQr"},
    {"acme", SecretKind::token, kMixed, "acme_Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcDeFgHiJkLmNoPq2lZ9YU"},
    {"acme", SecretKind::session, kFox, "acmes_The0quick0brown0fox0jumps0over0the0lazy0dog2bp8ag"},
    {"a", SecretKind::token, kMixed, "a_Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcDeFgHiJkLmNoPq29FY5K"},
    {"a", SecretKind::session, kLast, "as_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz3ccvjM"},
    {"abcdefghijklmnop", SecretKind::token, kFox, "abcdefghijklmnop_The0quick0brown0fox0jumps0over0the0lazy0dog1KuKDL"},
    {"abcdefghijklmnop", SecretKind::session, kZeros, "abcdefghijklmnops_000000000000000000000000000000000000000000008lIpp"},
};

TEST(Crc32, KnownValues) {
    EXPECT_EQ(crc32("123456789"), 0xCBF43926U);  // the catalogue's check value
    EXPECT_EQ(crc32(""), 0U);
    EXPECT_EQ(crc32({}), 0U);
    EXPECT_EQ(crc32("a"), 0xE8B7BE43U);
    EXPECT_EQ(crc32("abc"), 0x352441C2U);
    EXPECT_EQ(crc32("mirox_"), 0x0F05F38AU);
    EXPECT_EQ(crc32("The quick brown fox jumps over the lazy dog"), 0x414FA339U);
    EXPECT_EQ(crc32(std::string(32, '\0')), 0x190A55ADU);
    EXPECT_EQ(crc32(std::string(32, '\xFF')), 0xFF6CAB0BU);
}

TEST(Crc32, EveryByteAndManyLengths) {
    std::string bytes;
    for (int i = 0; i < 256 * 17; ++i) {
        bytes.push_back(static_cast<char>(i));
    }
    EXPECT_EQ(crc32(bytes), 0x671A56A6U);
    for (std::size_t size = 0; size < 300; ++size) {
        const std::string_view part(bytes.data() + size % 7, size);
        ASSERT_EQ(crc32(part), crc32_by_bits(part)) << size;
    }
}

TEST(Base62Checksum, KnownValues) {
    EXPECT_EQ(checksum(0), "000000");
    EXPECT_EQ(checksum(1), "000001");
    EXPECT_EQ(checksum(9), "000009");
    EXPECT_EQ(checksum(10), "00000A");
    EXPECT_EQ(checksum(35), "00000Z");
    EXPECT_EQ(checksum(36), "00000a");
    EXPECT_EQ(checksum(61), "00000z");
    EXPECT_EQ(checksum(62), "000010");
    EXPECT_EQ(checksum(3843), "0000zz");
    EXPECT_EQ(checksum(3844), "000100");
    EXPECT_EQ(checksum(916132831), "0zzzzz");
    EXPECT_EQ(checksum(916132832), "100000");
    EXPECT_EQ(checksum(0x80000000U), "2LKcb2");
    EXPECT_EQ(checksum(0xCBF43926U), "3jZRME");
    EXPECT_EQ(checksum(0xFFFFFFFFU), "4gfFC3");
}

TEST(FormatSecret, MadeByHand) {
    for (const Made& made : kMade) {
        EXPECT_EQ(format(made.kind, list(made.stem), made.random), made.secret);
    }
}

TEST(FormatSecret, TakesTheFirstStem) {
    EXPECT_EQ(format(SecretKind::token, list("mirox,acme,a"), kMixed), kMade[2].secret);
    EXPECT_EQ(format(SecretKind::token, list("acme,mirox"), kMixed), kMade[9].secret);
}

TEST(FormatSecret, NothingToWrite) {
    EXPECT_EQ(format(SecretKind::malformed, list("mirox"), kMixed), "");
    EXPECT_EQ(format(SecretKind::token, PrefixList{}, kMixed), "");
}

TEST(FormatSecret, LongestFillsTheBuffer) {
    EXPECT_EQ(format(SecretKind::session, list("abcdefghijklmnop"), kZeros).size(), kMaxSecretChars);
}

TEST(ClassifySecret, MadeByHand) {
    for (const Made& made : kMade) {
        EXPECT_EQ(classify_secret(made.secret, list(made.stem)), made.kind) << made.secret;
    }
}

TEST(ClassifySecret, EveryStemOfTheList) {
    const PrefixList all = list("mirox,acme,abcdefghijklmnop,a");
    for (const Made& made : kMade) {
        EXPECT_EQ(classify_secret(made.secret, all), made.kind) << made.secret;
    }
}

TEST(ClassifySecret, StemNotListed) {
    const PrefixList other = list("other");
    for (const Made& made : kMade) {
        EXPECT_EQ(classify_secret(made.secret, other), SecretKind::malformed) << made.secret;
        EXPECT_EQ(classify_secret(made.secret, PrefixList{}), SecretKind::malformed) << made.secret;
    }
}

// CRC-32 finds every change of up to 32 neighbouring bits, and a change of the checksum is a change.
TEST(ClassifySecret, EveryChangeOfOneByteIsRefused) {
    const PrefixList all = list("mirox,acme,abcdefghijklmnop,a");
    for (const Made& made : kMade) {
        const std::string secret = made.secret;
        for (std::size_t i = 0; i < secret.size(); ++i) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string changed = secret;
                changed[i] = static_cast<char>(byte);
                const SecretKind expected = changed == secret ? made.kind : SecretKind::malformed;
                ASSERT_EQ(classify_secret(changed, all), expected) << made.secret << " " << i << " " << byte;
            }
        }
    }
}

TEST(ClassifySecret, EveryOtherLengthIsRefused) {
    const PrefixList all = list("mirox,acme,abcdefghijklmnop,a");
    for (const Made& made : kMade) {
        const std::string secret = made.secret;
        for (std::size_t i = 0; i < secret.size(); ++i) {
            ASSERT_EQ(classify_secret(secret.substr(0, i), all), SecretKind::malformed);
            if (i > 0) {
                ASSERT_EQ(classify_secret(secret.substr(i), all), SecretKind::malformed);
            }
            ASSERT_EQ(classify_secret(secret.substr(0, i) + secret.substr(i + 1), all), SecretKind::malformed);
            ASSERT_EQ(classify_secret(secret.substr(0, i) + "0" + secret.substr(i), all), SecretKind::malformed);
        }
        for (const char* more : {" ", "\n", "0", "=", "_"}) {
            ASSERT_EQ(classify_secret(secret + more, all), SecretKind::malformed);
            ASSERT_EQ(classify_secret(more + secret, all), SecretKind::malformed);
        }
        ASSERT_EQ(classify_secret(secret + std::string(1, '\0'), all), SecretKind::malformed);
        ASSERT_EQ(classify_secret(secret + secret, all), SecretKind::malformed);
    }
}

TEST(ClassifySecret, OddInput) {
    const PrefixList mirox = list("mirox");
    for (std::string_view text : {"", "_", "mirox", "mirox_", "miroxs_", "Bearer x"}) {
        EXPECT_EQ(classify_secret(text, mirox), SecretKind::malformed);
    }
    EXPECT_EQ(classify_secret({}, mirox), SecretKind::malformed);
    for (std::size_t size : {54U, 55U, 56U, 57U, 66U, 67U, 68U, 1U << 20}) {
        for (char c : {'_', 'm', '0', '\0', '\xFF'}) {
            EXPECT_EQ(classify_secret(std::string(size, c), mirox), SecretKind::malformed);
        }
    }
    std::string upper = kMade[2].secret;
    std::transform(upper.begin(), upper.begin() + 5, upper.begin(), [](char c) { return static_cast<char>(c - 32); });
    EXPECT_EQ(classify_secret(upper, mirox), SecretKind::malformed);
}

TEST(ClassifySecret, RightChecksumOverWrongAlphabet) {
    // The checksum holds, and yet the random part has a character that ours never have.
    for (char stranger : {'-', '_', '+', '/', '=', '.', ' ', '\0', '\x7F', '\x80', '\xFF', '@', '[', '`', '{', ':'}) {
        std::string body = std::string("mirox_") + kMixed;
        body[20] = stranger;
        ASSERT_EQ(classify_secret(body + checksum(crc32_by_bits(body)), list("mirox")), SecretKind::malformed);
    }
}

TEST(PrefixList, Accepted) {
    const PrefixList two = list("mirox, acme");
    EXPECT_EQ(two.count, 2);
    EXPECT_EQ(two.stem(0), "mirox");
    EXPECT_EQ(two.stem(1), "acme");
    EXPECT_EQ(list(" \tmirox \n").stem(0), "mirox");
    EXPECT_EQ(list("a").stem(0), "a");
    EXPECT_EQ(list("v2").stem(0), "v2");
    EXPECT_EQ(list("abcdefghijklmnop").stem(0), "abcdefghijklmnop");
    EXPECT_EQ(list("a,b,c,d,e,f,g,h").count, 8);
    EXPECT_EQ(list("s,t").count, 2);
    EXPECT_EQ(list("mirox,miroxss").count, 2);  // two more characters are no session's
    EXPECT_EQ(list("mirox,miroxt").count, 2);
}

TEST(PrefixList, RefusedAndUntouched) {
    const PrefixList before = list("keep,me");
    for (std::string_view text : {"",
                                  " ",
                                  ",",
                                  "mirox,",
                                  ",mirox",
                                  "mirox,,acme",
                                  "mirox, ,acme",
                                  "mirox acme",
                                  "mirox;acme",
                                  "Mirox",
                                  "2mirox",
                                  "mi_rox",
                                  "mi-rox",
                                  "mirox_",
                                  "m\xC3\xAFrox",
                                  "abcdefghijklmnopq",
                                  "a,b,c,d,e,f,g,h,i",
                                  "mirox,mirox",
                                  "mirox, mirox",
                                  "mirox,miroxs",
                                  "miroxs,mirox",
                                  "a,b,as",
                                  "as,b,a",
                                  "s,ss",
                                  "mirox,acme,acmes"}) {
        PrefixList out = before;
        EXPECT_FALSE(parse_prefix_list(text, out)) << text;
        EXPECT_EQ(std::memcmp(&out, &before, sizeof out), 0) << text;
    }
    PrefixList out = before;
    EXPECT_FALSE(parse_prefix_list({}, out));
    EXPECT_FALSE(parse_prefix_list(std::string("mirox\0", 6), out));
    EXPECT_FALSE(parse_prefix_list(std::string(1 << 20, 'a'), out));
    EXPECT_EQ(std::memcmp(&out, &before, sizeof out), 0);
}

// Uniform by counting: over all 256 values of a byte each character comes from exactly four of them (256 = 4
// * 64), and the eight values whose low six bits are 62 or 63 give none.
TEST(Base62FromRandom, ExactlyUniform) {
    std::array<int, 256> count{};
    int none = 0;
    for (int byte = 0; byte < 256; ++byte) {
        const std::uint8_t in = static_cast<std::uint8_t>(byte);
        char out = 0;
        const std::size_t written = base62_from_random({&in, 1}, {&out, 1});
        if (written == 0) {
            ++none;
            EXPECT_GE(byte % 64, 62);
        } else {
            ++count[static_cast<unsigned char>(out)];
        }
    }
    EXPECT_EQ(none, 8);
    for (int c = 0; c < 256; ++c) {
        const bool ours = kAlphabet.find(static_cast<char>(c)) != std::string_view::npos;
        EXPECT_EQ(count[static_cast<std::size_t>(c)], ours ? 4 : 0) << c;
    }
}

TEST(Base62FromRandom, StopsWhenFullAndWhenOutOfBytes) {
    std::vector<std::uint8_t> bytes;
    for (int i = 0; i < 64; ++i) {
        bytes.push_back(static_cast<std::uint8_t>(i));
    }
    std::array<char, 70> out;
    out.fill('#');
    EXPECT_EQ(base62_from_random(bytes, out), 62U);
    EXPECT_EQ(std::string_view(out.data(), 62), kAlphabet);
    EXPECT_EQ(out[62], '#');
    out.fill('#');
    EXPECT_EQ(base62_from_random(bytes, std::span(out).first(5)), 5U);
    EXPECT_EQ(std::string_view(out.data(), 6), "01234#");
    EXPECT_EQ(base62_from_random(bytes, std::span<char>()), 0U);
    EXPECT_EQ(base62_from_random({}, out), 0U);
    const std::vector<std::uint8_t> refused(100, 0xFF);
    EXPECT_EQ(base62_from_random(refused, out), 0U);
}

TEST(RedactSecret, ShowsPrefixAndFourCharacters) {
    EXPECT_EQ(redact(kMade[2].secret), "mirox_Ab3d\xE2\x80\xA6");
    EXPECT_EQ(redact(kMade[7].secret), "miroxs_Ab3d\xE2\x80\xA6");
    EXPECT_EQ(redact(kMade[11].secret), "a_Ab3d\xE2\x80\xA6");
    EXPECT_EQ(redact(kMade[14].secret), "abcdefghijklmnops_0000\xE2\x80\xA6");
    EXPECT_EQ(redact(kMade[14].secret).size(), kMaxHintBytes);
}

TEST(RedactSecret, NothingOfWhatIsNoSecret) {
    for (std::string_view text : {"", "_", "hunter2", "mirox_", "mirox_Ab3d", "correct_horse_battery_staple"}) {
        EXPECT_EQ(redact(text), "") << text;
    }
    EXPECT_EQ(redact(std::string(1000, 'a')), "");
    EXPECT_EQ(redact(std::string(1000, '_')), "");
}

}  // namespace
}  // namespace mirox::core
