// Tests of core/text.hpp. Normal forms are those of Python's unicodedata (Unicode 14; utf8proc 2.8 knows 15),
// classes those of the Unicode Character Database; nothing was taken from what the code under test gave.
#include "core/text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace mirox::core {
namespace {

struct Result {
    NameStatus status;
    std::string text;
    friend bool operator==(const Result&, const Result&) = default;
};

std::ostream& operator<<(std::ostream& out, const Result& result) {
    return out << static_cast<int>(result.status) << " '" << result.text << "'";
}

Result name(std::string_view text) {
    std::array<char, kMaxNameBytes> out;
    out.fill('#');
    std::size_t size = 12345;
    const NameStatus status = normalise_name(text, out, size);
    if (status != NameStatus::ok) {
        EXPECT_EQ(size, 12345U) << "size set although nothing was written";
        return {status, ""};
    }
    EXPECT_LE(size, out.size());
    return {status, std::string(out.data(), size)};
}

NameStatus status(std::string_view text) {
    return name(text).status;
}

std::string agent(std::string_view text) {
    std::array<char, kMaxUserAgentBytes> out;
    const std::size_t size = clean_user_agent(text, out);
    EXPECT_LE(size, out.size());
    return {out.data(), size};
}

// UTF-8 by its definition (Unicode, table 3-6).
std::string utf8(std::uint32_t c) {
    std::string out;
    if (c < 0x80) {
        out += static_cast<char>(c);
    } else if (c < 0x800) {
        out += static_cast<char>(0xC0 | (c >> 6));
        out += static_cast<char>(0x80 | (c & 63));
    } else if (c < 0x10000) {
        out += static_cast<char>(0xE0 | (c >> 12));
        out += static_cast<char>(0x80 | (c >> 6 & 63));
        out += static_cast<char>(0x80 | (c & 63));
    } else {
        out += static_cast<char>(0xF0 | (c >> 18));
        out += static_cast<char>(0x80 | (c >> 12 & 63));
        out += static_cast<char>(0x80 | (c >> 6 & 63));
        out += static_cast<char>(0x80 | (c & 63));
    }
    return out;
}

bool is_surrogate(std::uint32_t c) {
    return c >= 0xD800 && c <= 0xDFFF;
}

std::string times(std::size_t n, std::string_view text) {
    std::string out;
    for (; n > 0; --n) {
        out += text;
    }
    return out;
}

constexpr std::uint32_t kWhiteSpace[] = {0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x20,   0x85,   0xA0,   0x1680,
                                         0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
                                         0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};

TEST(NormaliseName, PlainNamesStay) {
    for (std::string_view text : {"a", "nightly export", "CI/CD #3 (Berlin)", "\xD0\x9E\xD1\x82\xD1\x87\xD1\x91\xD1\x82",
                                  "\xE5\xA0\xB1\xE5\x91\x8A", "\xF0\x9F\x93\x88", "'; DROP TABLE x; --", "%s%n"}) {
        EXPECT_EQ(name(text), (Result{NameStatus::ok, std::string(text)}));
    }
}

TEST(NormaliseName, TrimsEveryWhiteSpace) {
    for (std::uint32_t c : kWhiteSpace) {
        const std::string blank = utf8(c);
        EXPECT_EQ(name(blank + "a b" + blank), (Result{NameStatus::ok, "a b"})) << std::hex << c;
        EXPECT_EQ(status(blank), NameStatus::empty) << std::hex << c;
        EXPECT_EQ(name(times(1000, blank) + "x" + times(1000, blank)), (Result{NameStatus::ok, "x"})) << std::hex << c;
    }
    EXPECT_EQ(status(""), NameStatus::empty);
    EXPECT_EQ(status({}), NameStatus::empty);
    EXPECT_EQ(status(times(500, " \t\n\xE3\x80\x80")), NameStatus::empty);
    EXPECT_EQ(name("a  b"), (Result{NameStatus::ok, "a  b"}));
}

TEST(NormaliseName, NothingElseIsTrimmed) {
    for (std::uint32_t c = 1; c < 0x3100; ++c) {
        bool white = false;
        for (std::uint32_t w : kWhiteSpace) {
            white = white || w == c;
        }
        const Result got = name(utf8(c) + "xy");
        if (!white && got.status == NameStatus::ok) {
            ASSERT_NE(got.text, "xy") << std::hex << c;
        }
    }
}

TEST(NormaliseName, Nfc) {
    struct Row {
        const char* in;
        const char* out;
    };
    for (const Row& row : {
             Row{"\x43\x61\x66\x65\xCC\x81", "\x43\x61\x66\xC3\xA9"},
             Row{"\xC3\x85", "\xC3\x85"},
             Row{"\xE2\x84\xAB", "\xC3\x85"},
             Row{"\xE1\xBA\x9B\xCC\xA3", "\xE1\xBA\x9B\xCC\xA3"},
             Row{"\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC"},
             Row{"\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C"},
             Row{"\xEA\xB0\x80\xE1\x86\xA8", "\xEA\xB0\x81"},
             Row{"\x61\xCC\xA3\xCC\x87", "\xE1\xBA\xA1\xCC\x87"},
             Row{"\x61\xCC\x87\xCC\xA3", "\xE1\xBA\xA1\xCC\x87"},
             Row{"\x78\xCD\x84", "\xE1\xBA\x8D\xCC\x81"},
             Row{"\xCE\x90\xCC\x81", "\xCE\x90\xCC\x81"},
             Row{"\xE1\xBE\x82", "\xE1\xBE\x82"},
             Row{"\xCE\xB1\xCC\x93\xCC\x80\xCD\x85", "\xE1\xBE\x82"},
             Row{"\xF0\x9D\x85\x9E", "\xF0\x9D\x85\x97\xF0\x9D\x85\xA5"},
             Row{"\xE2\x84\xA6", "\xCE\xA9"},
             Row{"\xE0\xBD\x83", "\xE0\xBD\x82\xE0\xBE\xB7"},
             Row{"\xEF\xAC\xAC", "\xD7\xA9\xD6\xBC\xD7\x81"},
             Row{"\xD7\xA9\xD6\xBC\xD7\x81", "\xD7\xA9\xD6\xBC\xD7\x81"},
             Row{"\xE3\x81\x82\xE3\x82\x99", "\xE3\x81\x82\xE3\x82\x99"},
             Row{"\xE3\x81\x8B\xE3\x82\x99", "\xE3\x81\x8C"},
             Row{"\xE0\xA7\x87\xE0\xA6\xBE\x20\x61", "\xE0\xA7\x8B\x20\x61"},
             Row{"\xF0\x91\x84\xB1\xF0\x91\x84\xA7\x20\x78", "\xF0\x91\x84\xAE\x20\x78"},
             Row{"\x65\xCC\xA7\xCC\x81\xCC\x82", "\xC8\xA9\xCC\x81\xCC\x82"},
             Row{"\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8\xE1\x86\xA8", "\xEA\xB0\x81\xE1\x86\xA8"},
             Row{"\xC2\xBD", "\xC2\xBD"},
             Row{"\xEF\xAC\x81", "\xEF\xAC\x81"},
             Row{"\x41\xCC\x8A\xCC\x81", "\xC7\xBA"},
             Row{"\xE1\xBF\xAF\xE2\x8C\xA9\xE2\x8C\xAA", "\x60\xE3\x80\x88\xE3\x80\x89"},
             Row{"\x71\xCC\x87\xCC\xA3", "\x71\xCC\xA3\xCC\x87"},
             Row{"\xC7\x95", "\xC7\x95"},
             Row{"\x55\xCC\x88\xCC\x84", "\xC7\x95"},
             Row{"\x61\xCC\x95\xCC\x80\xD6\xAE\xCC\x80\x62", "\xC3\xA0\xD6\xAE\xCC\x80\xCC\x95\x62"},
         }) {
        EXPECT_EQ(name(row.in), (Result{NameStatus::ok, row.out}));
        EXPECT_EQ(name(row.out), (Result{NameStatus::ok, row.out})) << "not a fixed point";
    }
}

TEST(NormaliseName, WhiteSpaceThatNormalisesInside) {
    // EN QUAD and EM QUAD become EN SPACE and EM SPACE; at the ends they are trimmed before.
    EXPECT_EQ(name("a\xE2\x80\x80"
                   "b"),
              (Result{NameStatus::ok,
                      "a\xE2\x80\x82"
                      "b"}));
    EXPECT_EQ(name("\xE2\x80\x81"
                   "ab\xE2\x80\x80"),
              (Result{NameStatus::ok, "ab"}));
}

TEST(NormaliseName, HundredCharactersInAnyScript) {
    for (std::string_view one : {"a", "\xC3\xA9", "\xE5\xA0\xB1", "\xF0\x9F\x93\x88", "\xED\x95\x9C"}) {
        const std::string hundred = times(100, one);
        EXPECT_EQ(name(hundred), (Result{NameStatus::ok, hundred}));
        EXPECT_EQ(name("  " + hundred + "\n"), (Result{NameStatus::ok, hundred}));
        EXPECT_EQ(status(hundred + std::string(one)), NameStatus::too_long);
    }
}

TEST(NormaliseName, CountsAfterNfc) {
    EXPECT_EQ(name(times(100, "e\xCC\x81")), (Result{NameStatus::ok, times(100, "\xC3\xA9")}));
    EXPECT_EQ(status(times(101, "e\xCC\x81")), NameStatus::too_long);
    // Three jamo a syllable, and four code points for one: the most that composing takes away.
    EXPECT_EQ(name(times(100, "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB")), (Result{NameStatus::ok, times(100, "\xED\x95\x9C")}));
    EXPECT_EQ(name(times(100, "\xCE\xB1\xCC\x93\xCC\x80\xCD\x85")), (Result{NameStatus::ok, times(100, "\xE1\xBE\x82")}));
    EXPECT_EQ(status(times(100, "\xCE\xB1\xCC\x93\xCC\x80\xCD\x85") + "a"), NameStatus::too_long);
    // What grows: 0958 is two code points in NFC, 1D160 three.
    EXPECT_EQ(name(times(50, "\xE0\xA5\x98")), (Result{NameStatus::ok, times(50, "\xE0\xA4\x95\xE0\xA4\xBC")}));
    EXPECT_EQ(status(times(51, "\xE0\xA5\x98")), NameStatus::too_long);
    EXPECT_EQ(status(times(34, "\xF0\x9D\x85\xA0")), NameStatus::too_long);
    EXPECT_EQ(name(times(33, "\xF0\x9D\x85\xA0")).text.size(), 33U * 12U);
}

TEST(NormaliseName, HugeInput) {
    EXPECT_EQ(status(std::string(std::size_t{64} << 20, 'a')), NameStatus::too_long);
    EXPECT_EQ(status(std::string(std::size_t{64} << 20, ' ')), NameStatus::too_long);
    EXPECT_EQ(status(std::string(kMaxRawNameBytes, ' ')), NameStatus::empty);
    EXPECT_EQ(name(std::string(kMaxRawNameBytes - 1, ' ') + "a"), (Result{NameStatus::ok, "a"}));
    EXPECT_EQ(status(std::string(kMaxRawNameBytes, ' ') + "a"), NameStatus::too_long);
    EXPECT_EQ(status("a" + times(30000, "\xCC\x81")), NameStatus::too_long);
    EXPECT_EQ(status("a" + std::string(10000, ' ') + "b"), NameStatus::too_long);
}

TEST(NormaliseName, ControlCharacters) {
    for (std::uint32_t c = 0; c < 0x3000; ++c) {
        // Cc, the separators, and U+202A-202E, U+2066-2069.
        const bool control = c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || (c >= 0x202A && c <= 0x202E) ||
                             (c >= 0x2066 && c <= 0x2069);
        ASSERT_EQ(status("a" + utf8(c) + "b"), control ? NameStatus::control_character : NameStatus::ok) << std::hex << c;
    }
    EXPECT_EQ(status("\xE2\x80\xAE"
                     "evil"),
              NameStatus::control_character);
    EXPECT_EQ(status("\x1B[2J"), NameStatus::control_character);
    EXPECT_EQ(status(std::string("a\0b", 3)), NameStatus::control_character);
    EXPECT_EQ(status(std::string(1, '\0')), NameStatus::control_character);
}

TEST(NormaliseName, NothingVisible) {
    for (std::uint32_t c : {
             0x00ADU,  0x200BU,  0x200CU,  0x200DU,  0x200EU,  0x200FU,  0x2060U, 0xFEFFU, 0x061CU, 0x180EU,  // Cf
             0x0301U,  0x20DDU,  0x034FU,  0xFE0FU,  0xE0100U, 0x17B4U,  0x0488U,                             // Mn, Me
             0x115FU,  0x1160U,  0x3164U,  0xFFA0U,  0x2800U,  0x1D159U,                                      // blank fillers
             0xE0001U, 0xE0020U, 0xE007FU,                                                                    // tags
             0x2065U,  0xFFF0U,  0xE0000U, 0xE0FFFU,  // unassigned, and to be ignored when they come
         }) {
        EXPECT_EQ(status(utf8(c)), NameStatus::nothing_visible) << std::hex << c;
        EXPECT_EQ(status(utf8(c) + " " + utf8(c)), NameStatus::nothing_visible) << std::hex << c;
        EXPECT_EQ(name(utf8(c) + "a").status, NameStatus::ok) << std::hex << c;
    }
    for (std::uint32_t c : {0x21U, 0x5FU, 0xA1U, 0x0903U /* a spacing mark */, 0x2581U, 0x1F600U, 0xE000U, 0x10FFFDU}) {
        EXPECT_EQ(status(utf8(c)), NameStatus::ok) << std::hex << c;
    }
}

constexpr std::string_view kNotUtf8[] = {
    "\x80",
    "\xBF",
    "\xC0\x80",
    "\xC1\xBF",
    "\xC3",
    "\xC3(",
    "\xE0\x80\x80",
    "\xE0\x9F\xBF",
    "\xE2\x82",
    "\xE2(\xA1",
    "\xED\xA0\x80",
    "\xED\xBF\xBF",
    "\xF0\x80\x80\x80",
    "\xF0\x8F\xBF\xBF",
    "\xF0\x9F\x93",
    "\xF4\x90\x80\x80",
    "\xF5\x80\x80\x80",
    "\xF8\x88\x80\x80\x80",
    "\xFE",
    "\xFF",
    "\xED\xA0\xBD\xED\xB3\x88",
};

TEST(NormaliseName, InvalidUtf8) {
    for (std::string_view bad : kNotUtf8) {
        for (std::string_view before : {"", " ", "name "}) {
            for (std::string_view after : {"", " ", "x"}) {
                EXPECT_EQ(status(std::string(before) + std::string(bad) + std::string(after)), NameStatus::invalid_utf8);
            }
        }
    }
}

TEST(NormaliseName, WhateverComesOutGoesInUnchanged) {
    std::mt19937 random(1);
    int accepted = 0;
    for (int i = 0; i < 20000; ++i) {
        std::string text;
        for (std::size_t n = random() % 30; n > 0; --n) {
            switch (random() % 6) {
                case 0:
                    text += utf8(0x20 + random() % 0x60);
                    break;
                case 1:
                    text += utf8(0x300 + random() % 0x70);
                    break;
                case 2:
                    text += utf8(0x1100 + random() % 0x100);
                    break;
                case 3:
                    text += utf8(0x1F00 + random() % 0x200);
                    break;
                case 4:
                    text += utf8(kWhiteSpace[random() % std::size(kWhiteSpace)]);
                    break;
                default:
                    const std::uint32_t c = 0xA0 + random() % 0x30000;
                    text += utf8(is_surrogate(c) ? 'x' : c);
            }
        }
        const Result once = name(text);
        if (once.status == NameStatus::ok) {
            ++accepted;
            ASSERT_EQ(name(once.text), once);
            ASSERT_TRUE(valid_utf8(once.text));
            ASSERT_EQ(name(" " + once.text + "\t"), once);
        }
    }
    EXPECT_GT(accepted, 5000);
}

TEST(ValidUtf8, EveryCodePoint) {
    std::string all;
    for (std::uint32_t c = 0; c < 0x110000; ++c) {
        const std::string one = utf8(c);
        ASSERT_EQ(valid_utf8(one), !is_surrogate(c)) << std::hex << c;
        if (!is_surrogate(c)) {
            all += one;
        }
    }
    EXPECT_TRUE(valid_utf8(all));
    EXPECT_FALSE(valid_utf8(utf8(0x110000)));
    EXPECT_FALSE(valid_utf8(all.substr(0, all.size() - 1)));
    all[all.size() / 2] = '\xFF';
    EXPECT_FALSE(valid_utf8(all));
}

TEST(ValidUtf8, AtEveryOffset) {
    EXPECT_TRUE(valid_utf8(""));
    EXPECT_TRUE(valid_utf8({}));
    for (std::size_t before = 0; before < 20; ++before) {
        for (std::string_view bad : kNotUtf8) {
            const std::string text = std::string(before, 'a') + std::string(bad);
            EXPECT_FALSE(valid_utf8(text));
            EXPECT_FALSE(valid_utf8(text + "bcdefghijk"));
        }
        EXPECT_TRUE(valid_utf8(std::string(before, 'a') + "\xE2\x80\xA6" + "bcdefghijk"));
    }
}

// Every sequence of up to three bytes against table 3-7 of the Unicode Standard.
TEST(ValidUtf8, EveryThreeBytes) {
    const auto in = [](int b, int low, int high) { return b >= low && b <= high; };
    for (int a = 0x80; a < 256; ++a) {
        const char one[] = {static_cast<char>(a)};
        ASSERT_FALSE(valid_utf8({one, 1}));
        for (int b = 0; b < 256; ++b) {
            const char two[] = {static_cast<char>(a), static_cast<char>(b)};
            ASSERT_EQ(valid_utf8({two, 2}), in(a, 0xC2, 0xDF) && in(b, 0x80, 0xBF)) << a << " " << b;
            for (int c = 0x7F; c < 0xC1; ++c) {
                const char three[] = {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)};
                const bool wide =
                    in(a, 0xE0, 0xEF) && in(b, a == 0xE0 ? 0xA0 : 0x80, a == 0xED ? 0x9F : 0xBF) && in(c, 0x80, 0xBF);
                const bool narrow = in(a, 0xC2, 0xDF) && in(b, 0x80, 0xBF) && c == 0x7F;
                ASSERT_EQ(valid_utf8({three, 3}), wide || narrow) << a << " " << b << " " << c;
            }
        }
    }
}

TEST(CheckLine, OneLineForPeople) {
    EXPECT_EQ(check_line(""), NameStatus::ok);
    EXPECT_EQ(check_line("  a reason, \xC3\xBC\xE2\x80\xA6 "), NameStatus::ok);
    std::string longest;
    for (std::size_t i = 0; i < kMaxLineChars; ++i) longest += "\xF0\x9F\x94\x91";
    EXPECT_EQ(check_line(longest), NameStatus::ok);
    EXPECT_EQ(check_line(longest + "x"), NameStatus::too_long);
    EXPECT_EQ(check_line(std::string(200000000, 'x')), NameStatus::too_long);
    EXPECT_EQ(check_line(std::string_view("a\0b", 3)), NameStatus::control_character);
    for (const char* bad : {"\n", "a\x1B[2J", "\x7F", "\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xAE", "\xE2\x81\xA6"})
        EXPECT_EQ(check_line(bad), NameStatus::control_character) << bad;
    for (const char* bad : {"\xFF", "a\xC3", "\xED\xA0\x80"}) EXPECT_EQ(check_line(bad), NameStatus::invalid_utf8) << bad;
}

TEST(CleanUserAgent, KeepsWhatIsFit) {
    for (std::string_view text : {"", "curl/7.88.1", "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
                                  "\xE5\xA0\xB1\xE5\x91\x8A/1.0", "  spaces  "}) {
        EXPECT_EQ(agent(text), text);
    }
    EXPECT_EQ(agent({}), "");
}

TEST(CleanUserAgent, Replaces) {
    EXPECT_EQ(agent("a\nb\tc\x7F"
                    "d"),
              "a?b?c?d");
    EXPECT_EQ(agent(std::string("a\0b", 3)), "a?b");
    EXPECT_EQ(agent("x\xC2\x85y\xE2\x80\xA8z\xE2\x80\xAE\xE2\x81\xA6"), "x?y?z??");
    EXPECT_EQ(agent("caf\xE9"), "caf\xEF\xBF\xBD");
    EXPECT_EQ(agent("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD");
    EXPECT_EQ(agent("\xED\xA0\x80"
                    "a"),
              "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
              "a");
    EXPECT_EQ(agent("\xFF\xC3\xA9\xFE"), "\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBD");
    EXPECT_EQ(agent("\x1B]0;owned\x07"), "?]0;owned?");
}

TEST(CleanUserAgent, CutsOnACharacter) {
    EXPECT_EQ(agent(std::string(512, 'a')), std::string(512, 'a'));
    EXPECT_EQ(agent(std::string(513, 'a')), std::string(512, 'a'));
    EXPECT_EQ(agent(std::string(511, 'a') + "\xC3\xA9"), std::string(511, 'a'));
    EXPECT_EQ(agent(std::string(510, 'a') + "\xC3\xA9"), std::string(510, 'a') + "\xC3\xA9");
    EXPECT_EQ(agent(std::string(509, 'a') + "\xF0\x9F\x93\x88z"), std::string(509, 'a'));
    EXPECT_EQ(agent(std::string(508, 'a') + "\xF0\x9F\x93\x88z"), std::string(508, 'a') + "\xF0\x9F\x93\x88");
    EXPECT_EQ(agent(std::string(1 << 20, '\xFF')), times(170, "\xEF\xBF\xBD"));
    EXPECT_EQ(agent(std::string(511, 'a') + "\xFFz"), std::string(511, 'a'));
}

TEST(CleanUserAgent, AlwaysUtf8AndAFixedPoint) {
    std::mt19937 random(2);
    for (int i = 0; i < 5000; ++i) {
        std::string text(random() % 800, ' ');
        const bool mostly_high = random() % 2 == 0;
        for (char& c : text) {
            c = static_cast<char>(mostly_high || random() % 8 == 0 ? random() : random() % 0x80);
        }
        const std::string once = agent(text);
        ASSERT_TRUE(valid_utf8(once));
        ASSERT_EQ(agent(once), once);
        for (char c : once) {
            ASSERT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7F);
        }
    }
}

}  // namespace
}  // namespace mirox::core
