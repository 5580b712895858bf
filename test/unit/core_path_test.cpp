// Plain paths: the corpus of confusing spellings, the examples of RFC 3986 5.4 that a target can hold, and
// properties.
#include "core/path.hpp"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <random>
#include <string>

#include "core/endpoint.hpp"

namespace {

using namespace mirox::core;

std::string plain(std::string_view target) {
    std::array<char, kMaxPathBytes> out;
    std::size_t size = 0;
    switch (normalise_path(target, out, size)) {
        case PathStatus::ok:
            return std::string(out.data(), size);
        case PathStatus::malformed:
            EXPECT_EQ(size, 0u);
            return "refused";
        case PathStatus::too_long:
            EXPECT_EQ(size, 0u);
            return "too long";
    }
    return "?";
}

std::string upper(std::string_view method) {
    std::array<char, kMaxMethodChars> out;
    std::size_t size = 0;
    return normalise_method(method, out, size) ? std::string(out.data(), size) : "refused";
}

std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            out += text[i];
        } else if (text[i + 1] == 'x') {
            out += static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16));
            i += 3;
        } else {
            out += text[++i];
        }
    }
    return out;
}

struct Spelling {
    std::string method, target, expected;
};

std::vector<Spelling> corpus() {
    std::ifstream file(std::string(MIROX_SOURCE_DIR) + "/test/unit/data/path_confusion.txt");
    std::vector<Spelling> all;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line.front() == '#') continue;
        const std::size_t first = line.find('\t');
        const std::size_t second = line.rfind('\t');
        EXPECT_NE(first, second) << line;
        all.push_back(
            {line.substr(0, first), unescape(line.substr(first + 1, second - first - 1)), unescape(line.substr(second + 1))});
    }
    return all;
}

TEST(Path, Corpus) {
    const std::vector<Spelling> all = corpus();
    ASSERT_GE(all.size(), 80u);
    for (const Spelling& one : all) {
        EXPECT_EQ(plain(one.target), one.expected) << one.target;
        EXPECT_EQ(upper(one.method).size(), one.method.size());
    }
}

// Rules on the paths of the corpus: no spelling gets another scope than its plain path does.
TEST(Path, NoSpellingReachesPastARule) {
    const Endpoint rules[] = {
        {"*", "/api/v1/admin", "admin"},     {"GET", "/api/v1/public/**", "public"},
        {"GET", "/api/v1/public", "public"}, {"*", "/api/v1/admin/**", "admin"},
        {"GET", "/api/**", "api"},
    };
    std::array<std::byte, 4096> memory;
    EndpointMatcher matcher;
    ASSERT_EQ(EndpointMatcher::compile(rules, memory, matcher), EndpointStatus::ok);
    for (const Spelling& one : corpus()) {
        if (one.expected == "refused") continue;
        const EndpointMatch sent = matcher.match(upper(one.method), plain(one.target));
        const EndpointMatch meant = matcher.match(upper(one.method), one.expected);
        EXPECT_EQ(sent.found, meant.found) << one.target;
        EXPECT_EQ(sent.scope, meant.scope) << one.target;
    }
}

// RFC 3986, 5.2.4 and 5.4: the results with the base's path put before.
TEST(Path, DotSegmentsOfTheRfc) {
    EXPECT_EQ(plain("/a/b/c/./../../g"), "/a/g");
    EXPECT_EQ(plain("/b/c/./g"), "/b/c/g");
    EXPECT_EQ(plain("/b/c/.."), "/b");
    EXPECT_EQ(plain("/b/c/../g"), "/b/g");
    EXPECT_EQ(plain("/b/c/../../g"), "/g");
    EXPECT_EQ(plain("/b/c/g."), "/b/c/g.");
    EXPECT_EQ(plain("/b/c/..g"), "/b/c/..g");
    EXPECT_EQ(plain("/b/c/./g/."), "/b/c/g");
    EXPECT_EQ(plain("/b/c/g/../h"), "/b/c/h");
}

TEST(Path, Lengths) {
    const std::string longest = "/" + std::string(kMaxPathBytes - 1, 'a');
    EXPECT_EQ(plain(longest), longest);
    EXPECT_EQ(plain(longest + "?" + std::string(65536, 'q')), longest);
    EXPECT_EQ(plain(longest + "a"), "too long");
    EXPECT_EQ(plain(std::string(kMaxPathBytes, '/')), "/");
    EXPECT_EQ(plain("/" + std::string(65536, 'a')), "too long");
    std::string up = "/";
    for (int i = 0; i < 1000; ++i) up += "a/";
    for (int i = 0; i < 1000; ++i) up += "../";
    EXPECT_EQ(plain(up), "/");
    EXPECT_EQ(plain(up + ".."), "refused");
}

TEST(Path, EveryEscapeOfOneByte) {
    for (int byte = 0; byte < 256; ++byte) {
        char escape[8];
        std::snprintf(escape, sizeof escape, "%%%02x", byte);
        const char c = static_cast<char>(byte);
        const bool refused = byte < 0x20 || byte >= 0x7f || std::string_view("/\\?#;").find(c) != std::string_view::npos;
        EXPECT_EQ(plain(std::string("/x") + escape), refused ? "refused" : std::string("/x") + c) << escape;
    }
}

// What is plain stays as it is when it is escaped once and read again; and it holds no empty or dot segment.
TEST(Path, PlainIsPlain) {
    std::mt19937 random(14);
    const std::string_view pieces[] = {"/", "/", "/", ".",   "..",  "a", "B", "%2e", "%41", "%25", "%2f", "//",
                                       ";", "*", "ä", "%c3", "%a4", "~", "+", "x=1", "?",   "#",   "%",   "\\"};
    int kept = 0;
    for (int round = 0; round < 200000; ++round) {
        std::string target = "/";
        for (unsigned i = random() % 12; i > 0; --i) target += pieces[random() % std::size(pieces)];
        const std::string path = plain(target);
        if (path == "refused") continue;
        ++kept;
        ASSERT_EQ(path.front(), '/');
        std::string escaped;
        std::string_view left = path == "/" ? std::string_view{} : std::string_view(path);
        while (!left.empty()) {
            const std::size_t end = std::min(left.find('/', 1), left.size());
            ASSERT_TRUE(is_plain_segment(left.substr(1, end - 1)) || path.find('%') != std::string::npos) << target;
            left.remove_prefix(end);
        }
        for (const char c : path) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "%%%02X", static_cast<unsigned char>(c));
            escaped += c == '/' ? "/" : escape;
        }
        ASSERT_EQ(plain(escaped), path) << target;
    }
    EXPECT_GT(kept, 20000);
}

TEST(Method, TokensInUpperCase) {
    EXPECT_EQ(upper("get"), "GET");
    EXPECT_EQ(upper("PaTcH"), "PATCH");
    EXPECT_EQ(upper("M-SEARCH"), "M-SEARCH");
    EXPECT_EQ(upper("!#$%&'*+-.^_`|~0"), "!#$%&'*+-.^_`|~0");
    EXPECT_EQ(upper(std::string(kMaxMethodChars, 'a')), std::string(kMaxMethodChars, 'A'));
    EXPECT_EQ(upper(std::string(kMaxMethodChars + 1, 'a')), "refused");
    EXPECT_EQ(upper(std::string("GE\0T", 4)), "refused");
    for (const char* method : {"", " ", "GET ", " GET", "G\tT", "GET\n", "G(T", "G/T", "G\xC3\xA4T", "GET,POST", "\"GET\""})
        EXPECT_EQ(upper(method), "refused") << method;
}

TEST(Method, OfTheRegistry) {
    for (const char* method : {"GET", "ACL", "VERSION-CONTROL", "PROPFIND", "QUERY"})
        EXPECT_TRUE(is_registered_method(method)) << method;
    for (const char* method : {"", "get", "GETS", "GE", "PURGE", "*"}) EXPECT_FALSE(is_registered_method(method)) << method;
}

}  // namespace
