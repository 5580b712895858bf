// Tests of core/row_scope.hpp: tables by hand from the contract's words, and the law that ties it to coverage: a set reaches
// a row exactly when it covers the row's resource, or the whole of it.
#include "core/row_scope.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace mirox::core {
namespace {

using Texts = std::vector<std::string>;

// A set in its stored form, of texts that live as long as it.
struct Set {
    std::vector<std::byte> bytes;
    explicit Set(const Texts& texts) {
        std::vector<Scope> scopes(texts.size());
        for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(parse_scope(texts[i], scopes[i]), ScopeStatus::ok) << texts[i];
        const std::size_t kept = normalise(scopes);
        bytes.resize(encoded_size({scopes.data(), kept}));
        encode({scopes.data(), kept}, bytes);
    }
    ScopeSet view() const { return ScopeSet(bytes); }
};

Set below(const Texts& texts, std::string_view resource) {
    const Set set(texts);
    std::vector<Scope> out(texts.empty() ? 1 : texts.size());
    const std::size_t count = grants_below(set.view(), resource, out);
    Texts found;
    for (std::size_t i = 0; i < count; ++i) {
        EXPECT_TRUE(out[i].action.empty());
        found.emplace_back(out[i].resource);
    }
    return Set(found);
}

Texts texts_of(const Set& set) {
    Texts out;
    ScopeSet::Cursor cursor = set.view().begin();
    Scope scope;
    while (cursor.next(scope)) out.emplace_back(scope.resource);
    return out;
}

TEST(RowScope, GrantsBelow) {
    EXPECT_EQ(texts_of(below({"parks.berlin", "parks.hamburg.dock_1", "reports"}, "parks")), (Texts{"berlin", "hamburg.dock_1"}));
    EXPECT_EQ(texts_of(below({"parks"}, "parks")), (Texts{"*"}));
    EXPECT_EQ(texts_of(below({"*"}, "parks")), (Texts{"*"}));
    EXPECT_EQ(texts_of(below({"parks"}, "parks.berlin")), (Texts{"*"}));
    EXPECT_EQ(texts_of(below({"parks.berlin"}, "parks.berlin")), (Texts{"*"}));
    EXPECT_EQ(texts_of(below({"parks-x", "parksberlin", "park"}, "parks")), Texts{});
    EXPECT_EQ(texts_of(below({"parks:read", "parks.berlin:read"}, "parks")), Texts{});
    EXPECT_EQ(texts_of(below({}, "parks")), Texts{});
}

TEST(RowScope, ValuesThatAScopeCanName) {
    for (const char* good : {"berlin", "berlin.turbine_7", "0", "a-b.c_d.9", "b2f5ff47-4365-4c6e-8b3d-3a5a4c2b1e10"})
        EXPECT_TRUE(is_row_value(good)) << good;
    for (const char* bad : {"", ".", "berlin.", ".berlin", "berlin..x", "Berlin", "ber lin", "berlin:read", "*", "berlin.*",
                            "br\xC3\xBC", "a/b", "a\n"})
        EXPECT_FALSE(is_row_value(bad)) << bad;
    EXPECT_TRUE(is_row_value(std::string(63, 'a')));
    EXPECT_FALSE(is_row_value(std::string(64, 'a')));
    EXPECT_FALSE(is_row_value(std::string_view("a\0b", 3)));
}

TEST(RowScope, ReachesRow) {
    const Set berlin = below({"parks.berlin"}, "parks");
    EXPECT_TRUE(reaches_row(berlin.view(), "berlin"));
    EXPECT_TRUE(reaches_row(berlin.view(), "berlin.turbine_7"));
    for (const char* other :
         {"berlin-x", "berlin_x", "berlinx", "berli", "", "berlin.", "berlin..x", "berlin.X", "munich", "berlin:read", "*"})
        EXPECT_FALSE(reaches_row(berlin.view(), other)) << other;
    EXPECT_FALSE(reaches_row(berlin.view(), "berlin." + std::string(64, 'a')));
    const Set all = below({"parks"}, "parks");
    for (const char* any : {"berlin", "", "berlin..x", "BERLIN", "*"}) EXPECT_TRUE(reaches_row(all.view(), any)) << any;
    const Set none = below({"reports"}, "parks");
    for (const char* any : {"berlin", "", "*"}) EXPECT_FALSE(reaches_row(none.view(), any)) << any;
}

// Coverage is tested by itself: what a row needs is `resource.value`.
TEST(RowScope, AgreesWithCoverage) {
    std::mt19937 random(7);
    const Texts words = {"a", "b", "a-b", "a_", "ab", "z9"};
    const auto path = [&](int most) {
        std::string out = words[random() % words.size()];
        for (int more = static_cast<int>(random() % static_cast<unsigned>(most)); more > 0; --more)
            out += "." + words[random() % words.size()];
        return out;
    };
    for (int round = 0; round < 20000; ++round) {
        Texts granted;
        for (std::size_t n = random() % 6; n > 0; --n) granted.push_back(path(4));
        const std::string resource = path(2), value = path(3);
        const Set set(granted);
        const std::string needed = resource + "." + value;
        Scope scope{};
        ASSERT_EQ(parse_scope(needed, scope), ScopeStatus::ok);
        EXPECT_EQ(reaches_row(below(granted, resource).view(), value), set.view().covers(scope))
            << needed << " in round " << round;
    }
}

}  // namespace
}  // namespace mirox::core
