// Tests of core/crypto.hpp. Vectors: the SHA-256 examples published with FIPS 180, RFC 4231 for HMAC, and
// values by Python's hashlib and hmac at the block boundaries.
#include "core/crypto.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/secret.hpp"

namespace mirox::core {
namespace {

std::string hex(const Digest& digest) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out;
    for (std::uint8_t byte : digest) {
        out.push_back(kDigits[byte >> 4]);
        out.push_back(kDigits[byte & 15]);
    }
    return out;
}

std::string sha(std::string_view text) {
    Digest out;
    EXPECT_TRUE(sha256(text, out));
    return hex(out);
}

std::string mac(std::string_view key, std::string_view text) {
    Digest out;
    EXPECT_TRUE(hmac_sha256({reinterpret_cast<const std::uint8_t*>(key.data()), key.size()}, text, out));
    return hex(out);
}

TEST(Sha256, Fips180) {
    EXPECT_EQ(sha(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(sha("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
                  "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"),
              "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    EXPECT_EQ(sha(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, BlockBoundaries) {
    EXPECT_EQ(sha(std::string(55, 'x')), "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072");
    EXPECT_EQ(sha(std::string(56, 'x')), "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e");
    EXPECT_EQ(sha(std::string(63, 'x')), "75220b47218278e656f2013bb8f0c455a25eaf01e86c64924e9d48d89776d6f2");
    EXPECT_EQ(sha(std::string(64, 'x')), "7ce100971f64e7001e8fe5a51973ecdfe1ced42befe7ee8d5fd6219506b5393c");
    EXPECT_EQ(sha(std::string(119, 'x')), "000b48d4edf0fa7bee3c6236ecd2785baa5db4eeb8bb54341b029e0d9fa5fb0c");
}

TEST(Sha256, OfAWholeSecret) {
    EXPECT_EQ(sha("mirox_Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcDeFgHiJkLmNoPq1KEjhB"),
              "873ff3d59e46db5b3cc464e79963854cc942abc2f06e5acfd018c8e68324c790");
}

TEST(Sha256, NothingIsLeftFromTheLastCall) {
    const std::string once = sha("abc");
    sha(std::string(1000, 'z'));
    mac("key", "text");
    sha("");
    EXPECT_EQ(sha("abc"), once);
}

TEST(HmacSha256, Rfc4231) {
    EXPECT_EQ(mac(std::string(20, '\x0b'), "Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(mac("Jefe", "what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(mac(std::string(20, '\xaa'), std::string(50, '\xdd')),
              "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    std::string key;
    for (char c = 1; c <= 25; ++c) {
        key.push_back(c);
    }
    EXPECT_EQ(mac(key, std::string(50, '\xcd')), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    EXPECT_EQ(mac(std::string(20, '\x0c'), "Test With Truncation").substr(0, 32), "a3b6167473100ee06e0c796c2955552b");
    EXPECT_EQ(mac(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First"),
              "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    EXPECT_EQ(mac(std::string(131, '\xaa'),
                  "This is a test using a larger than block-size key and a larger than block-size data. The "
                  "key needs "
                  "to be hashed before being used by the HMAC algorithm."),
              "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

TEST(HmacSha256, KeysAtTheBlockSize) {
    EXPECT_EQ(mac(std::string(64, 'k'), "m"), "3b7a8d453e76edb519238a515105a57508d0f169f480ebeee120a9e7803289fa");
    EXPECT_EQ(mac(std::string(65, 'k'), "m"), "c2d7d4c2256ddb097409ec0c67e1d58fa1a007fc6932cac0d892a525d08af7cc");
}

// OpenSSL takes a null key for "as last time"; an empty key must not fall back to another's.
TEST(HmacSha256, EmptyKeyIsEmpty) {
    mac("somebody's key", "text");
    EXPECT_EQ(mac({}, {}), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    EXPECT_EQ(mac("", ""), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(HmacSha256, KeysDoNotMix) {
    const std::string one = mac("one", "text");
    const std::string two = mac("two", "text");
    EXPECT_NE(one, two);
    EXPECT_EQ(mac("one", "text"), one);
    EXPECT_EQ(mac("two", "text"), two);
}

TEST(RandomBytes, FillsAllSizes) {
    std::array<std::uint8_t, 300> buffer;
    for (std::size_t size : {0U, 1U, 2U, 16U, 63U, 64U, 65U, 299U}) {
        std::set<std::vector<std::uint8_t>> seen;
        buffer.fill(0xA5);
        ASSERT_TRUE(random_bytes(std::span(buffer).first(size)));
        EXPECT_EQ(buffer[size], 0xA5) << "written past the end";
        if (size >= 16) {
            for (int i = 0; i < 100; ++i) {
                ASSERT_TRUE(random_bytes(std::span(buffer).first(size)));
                seen.insert({buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size)});
            }
            EXPECT_EQ(seen.size(), 100U);
        }
    }
}

TEST(RandomBase62, FillsWithOurAlphabet) {
    constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    std::array<char, 400> buffer;
    for (std::size_t size : {0U, 1U, 43U, 63U, 64U, 65U, 399U}) {
        buffer.fill('#');
        ASSERT_TRUE(random_base62(std::span(buffer).first(size)));
        for (std::size_t i = 0; i < size; ++i) {
            ASSERT_NE(kAlphabet.find(buffer[i]), std::string_view::npos);
        }
        EXPECT_EQ(buffer[size], '#');
    }
}

// Chi-square over 62 characters: 61 degrees of freedom, mean 61, standard deviation about 11. 170 is ten of
// them away, so a sound source fails about once in 10^11 runs, and a bias of 2% in one character is found.
TEST(RandomBase62, ChiSquare) {
    constexpr std::size_t kDraws = 62U * 20000U;
    std::array<double, 256> count{};
    std::array<char, kSecretRandomChars> out;
    std::size_t drawn = 0;
    for (; drawn < kDraws; drawn += out.size()) {
        ASSERT_TRUE(random_base62(out));
        for (char c : out) {
            count[static_cast<unsigned char>(c)] += 1;
        }
    }
    const double expected = static_cast<double>(drawn) / 62;
    double chi = 0;
    for (char c : std::string_view("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")) {
        const double off = count[static_cast<unsigned char>(c)] - expected;
        chi += off * off / expected;
    }
    EXPECT_LT(chi, 170.0);
    EXPECT_GT(chi, 15.0);  // evener than chance is no chance either
}

// The places of a secret are independent of one another and no two secrets are alike.
TEST(RandomBase62, EveryPlaceVaries) {
    std::array<std::set<char>, kSecretRandomChars> seen;
    std::set<std::string> secrets;
    std::array<char, kSecretRandomChars> out;
    for (int i = 0; i < 5000; ++i) {
        ASSERT_TRUE(random_base62(out));
        secrets.insert({out.data(), out.size()});
        for (std::size_t k = 0; k < out.size(); ++k) {
            seen[k].insert(out[k]);
        }
    }
    EXPECT_EQ(secrets.size(), 5000U);
    for (const auto& place : seen) {
        EXPECT_EQ(place.size(), 62U);  // missing one has a chance of 62 * (61/62)^5000, about 10^-33
    }
}

TEST(EqualConstantTime, EveryBitOfEveryByte) {
    Digest a;
    for (std::size_t i = 0; i < a.size(); ++i) {
        a[i] = static_cast<std::uint8_t>(i * 37);
    }
    Digest b = a;
    EXPECT_TRUE(equal_constant_time(a, b));
    for (std::size_t i = 0; i < b.size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
            b[i] = static_cast<std::uint8_t>(b[i] ^ (1 << bit));
            EXPECT_FALSE(equal_constant_time(a, b));
            b = a;
        }
    }
}

TEST(EqualConstantTime, Sizes) {
    const std::array<std::uint8_t, 3> a{1, 2, 3};
    EXPECT_TRUE(equal_constant_time({}, {}));
    EXPECT_TRUE(equal_constant_time(std::span(a).first(0), {}));
    EXPECT_FALSE(equal_constant_time(a, {}));
    EXPECT_FALSE(equal_constant_time(a, std::span(a).first(2)));
    EXPECT_TRUE(equal_constant_time(std::span(a).first(2), std::span(a).first(2)));
}

TEST(Wipe, LeavesNothing) {
    std::array<char, 100> secret;
    secret.fill('s');
    wipe(secret.data() + 1, 98);
    EXPECT_EQ(secret[0], 's');
    EXPECT_EQ(secret[99], 's');
    for (std::size_t i = 1; i < 99; ++i) {
        EXPECT_EQ(secret[i], 0);
    }
    wipe(nullptr, 0);
}

}  // namespace
}  // namespace mirox::core
