// Endpoint rules: validation, the order of specificity, and the matcher against a plain list search.
#include "core/endpoint.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace mirox::core;
using Status = EndpointStatus;

struct Compiled {
    std::vector<std::byte> memory;
    EndpointMatcher matcher;
    Status status;

    explicit Compiled(const std::vector<Endpoint>& rules) : memory(EndpointMatcher::compiled_size(rules)) {
        status = EndpointMatcher::compile(rules, memory, matcher);
    }
    std::string scope(std::string_view method, std::string_view path) const {
        const EndpointMatch match = matcher.match(method, path);
        return match.found ? std::string(match.scope) : "none";
    }
};

Status check(std::string_view method, std::string_view path, std::string_view scope = "parks:read") {
    EndpointText out;
    return normalise_endpoint({method, path, scope}, out);
}

TEST(Endpoint, NormalForm) {
    EndpointText out;
    ASSERT_EQ(normalise_endpoint({"get", "/api/*/parks/**", "parks:read"}, out), Status::ok);
    EXPECT_EQ(out.method(), "GET");
    EXPECT_EQ(out.path(), "/api/*/parks/**");
    ASSERT_EQ(normalise_endpoint({"*", "/api/", "*"}, out), Status::ok);
    EXPECT_EQ(out.method(), "*");
    EXPECT_EQ(out.path(), "/api");
    ASSERT_EQ(normalise_endpoint({"*", "/", "*"}, out), Status::ok);
    EXPECT_EQ(out.path(), "/");
    EXPECT_EQ(check("*", "/**"), Status::ok);
    EXPECT_EQ(check("GET", "/parks/ä b"), Status::ok);
}

TEST(Endpoint, Refusals) {
    EXPECT_EQ(check("", "/"), Status::bad_method);
    EXPECT_EQ(check("G T", "/"), Status::bad_method);
    EXPECT_EQ(check("GET", ""), Status::not_absolute);
    EXPECT_EQ(check("GET", "api"), Status::not_absolute);
    EXPECT_EQ(check("GET", "http://host/api"), Status::not_absolute);
    EXPECT_EQ(check("GET", "//"), Status::empty_segment);
    EXPECT_EQ(check("GET", "/a//b"), Status::empty_segment);
    EXPECT_EQ(check("GET", "/a//"), Status::empty_segment);
    EXPECT_EQ(check("GET", "//a"), Status::empty_segment);
    EXPECT_EQ(check("GET", "/a/../b"), Status::dot_segment);
    EXPECT_EQ(check("GET", "/a/."), Status::dot_segment);
    EXPECT_EQ(check("GET", "/a/b*"), Status::partial_wildcard);
    EXPECT_EQ(check("GET", "/a/***"), Status::partial_wildcard);
    EXPECT_EQ(check("GET", "/**/a"), Status::rest_not_last);
    EXPECT_EQ(check("GET", "/a/**/**"), Status::rest_not_last);
    for (const char* path : {"/a%20b", "/a?b", "/a#b", "/a;b", "/a\\b", "/a\tb", "/a\xff", "/a\xEF\xBC\x8F"})
        EXPECT_EQ(check("GET", path), Status::bad_character) << path;
    for (const char* path : {"/a/{id}", "/a/{id}.json", "/{a}-{b}", "/a/id}", "/a/:id", "/:", "/a/<id>", "/a/<int:id>/b"})
        EXPECT_EQ(check("GET", path), Status::placeholder) << path;
    for (const char* path : {"/a/b:c", "/a<b", "/a>b"}) EXPECT_EQ(check("GET", path), Status::ok) << path;
    EXPECT_EQ(check("GET", "/" + std::string(kMaxPatternBytes - 1, 'a')), Status::ok);
    EXPECT_EQ(check("GET", "/" + std::string(kMaxPatternBytes, 'a')), Status::path_too_long);
    std::string deep;
    for (std::size_t i = 0; i < kMaxPatternSegments; ++i) deep += "/a";
    EXPECT_EQ(check("GET", deep), Status::ok);
    EXPECT_EQ(check("GET", deep + "/a"), Status::too_many_segments);
    for (const char* scope : {"", "Parks", "parks:", "a..b", "a b", "a:b:c", "parks\"", "*:read"})
        EXPECT_EQ(check("GET", "/", scope), Status::bad_scope) << scope;
}

TEST(Endpoint, CompileRefuses) {
    std::vector<std::byte> memory(65536);
    EndpointMatcher matcher;
    const auto compile = [&](std::vector<Endpoint> rules) { return EndpointMatcher::compile(rules, memory, matcher); };
    EXPECT_EQ(compile({{"GET", "/a", "x"}, {"GET", "/a", "y"}}), Status::duplicate);
    EXPECT_EQ(compile({{"get", "/a", "x"}}), Status::bad_method);
    EXPECT_EQ(compile({{"GET", "/a/", "x"}}), Status::empty_segment);
    EXPECT_EQ(compile({{"GET", "/a", "X"}}), Status::bad_scope);
    const std::vector<Endpoint> rules{{"GET", "/a/b", "x"}};
    const std::size_t size = EndpointMatcher::compiled_size(rules);
    EXPECT_EQ(EndpointMatcher::compile(rules, std::span(memory).first(size - 1), matcher), Status::no_room);
    // At any address.
    for (std::size_t shift = 0; shift < 8; ++shift) {
        ASSERT_EQ(EndpointMatcher::compile(rules, std::span(memory).subspan(shift, size), matcher), Status::ok);
        EXPECT_EQ(matcher.match("GET", "/a/b").scope, "x");
    }
}

TEST(Endpoint, AccessWithoutScope) {
    EndpointText out;
    for (const EndpointAccess access : {EndpointAccess::any, EndpointAccess::everybody}) {
        EXPECT_EQ(normalise_endpoint({"GET", "/a", "", access}, out), Status::ok);
        EXPECT_EQ(normalise_endpoint({"GET", "/a", "x", access}, out), Status::needless_scope);
    }
    const Compiled c(
        {{"GET", "/a/**", "x"}, {"GET", "/a/me", "", EndpointAccess::any}, {"GET", "/a/up", "", EndpointAccess::everybody}});
    ASSERT_EQ(c.status, Status::ok);
    EXPECT_EQ(c.matcher.match("GET", "/a").access, EndpointAccess::scope);
    EXPECT_EQ(c.matcher.match("HEAD", "/a/me").access, EndpointAccess::any);
    EXPECT_EQ(c.matcher.match("GET", "/a/up").access, EndpointAccess::everybody);
    EXPECT_EQ(c.matcher.match("POST", "/a/up").found, false);
    EXPECT_EQ(c.matcher.match("POST", "/a/up").access, EndpointAccess::scope);
}

TEST(Endpoint, NoRules) {
    EXPECT_FALSE(EndpointMatcher().match("GET", "/").found);
    const Compiled none({});
    ASSERT_EQ(none.status, Status::ok);
    EXPECT_FALSE(none.matcher.match("GET", "/").found);
    EXPECT_FALSE(none.matcher.match("GET", "/a/b").found);
}

TEST(Endpoint, MostSpecificWins) {
    const Compiled c({{"*", "/**", "all"},
                      {"GET", "/api/**", "api"},
                      {"GET", "/api", "top"},
                      {"GET", "/api/*", "one"},
                      {"GET", "/api/parks", "parks"},
                      {"*", "/api/parks", "parks-any"},
                      {"GET", "/api/*/turbines", "turbines"},
                      {"GET", "/api/parks/**", "parks-rest"},
                      {"GET", "/*/parks/x", "odd"},
                      {"POST", "/api/parks/*/turbines", "made"}});
    ASSERT_EQ(c.status, Status::ok);
    EXPECT_EQ(c.scope("GET", "/"), "all");
    EXPECT_EQ(c.scope("GET", "/api"), "top");
    EXPECT_EQ(c.scope("POST", "/api"), "all");
    EXPECT_EQ(c.scope("GET", "/api/x"), "one");
    EXPECT_EQ(c.scope("GET", "/api/parks"), "parks");
    EXPECT_EQ(c.scope("DELETE", "/api/parks"), "parks-any");
    EXPECT_EQ(c.scope("GET", "/api/x/turbines"), "turbines");
    // Literal `parks` before `*`, though `**` comes after it.
    EXPECT_EQ(c.scope("GET", "/api/parks/turbines"), "parks-rest");
    EXPECT_EQ(c.scope("GET", "/api/parks/x"), "parks-rest");
    EXPECT_EQ(c.scope("GET", "/other/parks/x"), "odd");
    EXPECT_EQ(c.scope("POST", "/api/parks/7/turbines"), "made");
    EXPECT_EQ(c.scope("GET", "/api/parks/7/turbines"), "parks-rest");
    EXPECT_EQ(c.scope("GET", "/api/x/y"), "api");
    EXPECT_EQ(c.scope("PUT", "/api/x/y"), "all");
    EXPECT_EQ(c.scope("GET", "/apis"), "all");
    EXPECT_EQ(c.scope("GET", "/API"), "all");
}

TEST(Endpoint, StarIsOneSegmentAndRestIsAny) {
    const Compiled c({{"GET", "/a/*", "one"}, {"GET", "/b/**", "rest"}, {"GET", "/c/*/**", "more"}});
    EXPECT_EQ(c.scope("GET", "/a"), "none");
    EXPECT_EQ(c.scope("GET", "/a/x"), "one");
    EXPECT_EQ(c.scope("GET", "/a/*"), "one");
    EXPECT_EQ(c.scope("GET", "/a/x/y"), "none");
    EXPECT_EQ(c.scope("GET", "/b"), "rest");
    EXPECT_EQ(c.scope("GET", "/b/x"), "rest");
    EXPECT_EQ(c.scope("GET", "/b/x/y/z"), "rest");
    EXPECT_EQ(c.scope("GET", "/bx"), "none");
    EXPECT_EQ(c.scope("GET", "/c"), "none");
    EXPECT_EQ(c.scope("GET", "/c/x"), "more");
}

TEST(Endpoint, HeadIsReadAsGet) {
    const Compiled c({{"GET", "/a", "get"},
                      {"*", "/a", "any"},
                      {"HEAD", "/b", "head"},
                      {"GET", "/b", "get"},
                      {"HEAD", "/**", "head-all"},
                      {"GET", "/admin", "admin"},
                      {"POST", "/p", "post"}});
    EXPECT_EQ(c.scope("HEAD", "/a"), "get");
    EXPECT_EQ(c.scope("HEAD", "/b"), "head");
    EXPECT_EQ(c.scope("GET", "/b"), "get");
    EXPECT_EQ(c.scope("HEAD", "/admin"), "admin");
    EXPECT_EQ(c.scope("HEAD", "/p"), "head-all");
    EXPECT_EQ(c.scope("OPTIONS", "/a"), "any");
    EXPECT_EQ(c.scope("OPTIONS", "/admin"), "none");
    // `*` as a request's method is a token like another.
    EXPECT_EQ(c.scope("*", "/a"), "any");
    EXPECT_EQ(c.scope("*", "/admin"), "none");
}

// ---- against the definition, written without a tree
// --------------------------------------------------------------

std::vector<std::string> split(const std::string& path) {
    std::vector<std::string> out;
    for (std::size_t at = 1; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        out.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] == "**") return true;
        if (i >= path.size() || (pattern[i] != "*" && pattern[i] != path[i])) return false;
    }
    return pattern.size() == path.size();
}

// The lower, the more specific; only of patterns that match the same path.
std::vector<int> rank(const std::vector<std::string>& pattern, int method) {
    std::vector<int> out;
    for (const std::string& segment : pattern) out.push_back(segment == "**" ? 3 : segment == "*" ? 2 : 1);
    out.push_back(0);
    out.push_back(method);
    return out;
}

TEST(Endpoint, AgreesWithTheDefinition) {
    std::mt19937 random(7);
    const char* const methods[] = {"GET", "HEAD", "POST", "*"};
    const char* const words[] = {"a", "b", "c", "ab", "*"};
    for (int round = 0; round < 300; ++round) {
        std::set<std::pair<std::string, std::string>> made;
        for (unsigned n = random() % 60; n > 0; --n) {
            std::string path;
            for (unsigned i = random() % 4; i > 0; --i) path += std::string("/") + words[random() % 5];
            if (random() % 3 == 0) path += "/**";
            made.insert({methods[random() % 4], path.empty() ? "/" : path});
        }
        std::vector<std::string> scopes;
        for (std::size_t i = 0; i < made.size(); ++i) scopes.push_back("s" + std::to_string(i));
        std::vector<Endpoint> rules;
        for (const auto& [method, path] : made) rules.push_back({method, path, scopes[rules.size()]});
        std::shuffle(rules.begin(), rules.end(), random);
        const Compiled c(rules);
        ASSERT_EQ(c.status, Status::ok);

        for (int asked = 0; asked < 200; ++asked) {
            std::string path;
            for (unsigned i = random() % 5; i > 0; --i) path += std::string("/") + words[random() % 4];
            if (path.empty()) path = "/";
            const std::string method = methods[random() % 3];
            int best = -1;
            std::vector<int> best_rank;
            for (std::size_t i = 0; i < rules.size(); ++i) {
                const std::string known(rules[i].method);
                const int by = known == method ? 0 : method == "HEAD" && known == "GET" ? 1 : known == "*" ? 2 : -1;
                const std::vector<std::string> pattern = split(std::string(rules[i].path));
                if (by < 0 || !matches(pattern, split(path))) continue;
                const std::vector<int> this_rank = rank(pattern, by);
                if (best >= 0 && best_rank <= this_rank) continue;
                best = static_cast<int>(i);
                best_rank = this_rank;
            }
            const EndpointMatch got = c.matcher.match(method, path);
            ASSERT_EQ(got.found, best >= 0) << method << " " << path;
            if (got.found) {
                ASSERT_EQ(static_cast<int>(got.rule), best) << method << " " << path;
                ASSERT_EQ(got.scope, rules[got.rule].scope);
            }
        }
    }
}

}  // namespace
