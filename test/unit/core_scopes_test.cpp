// Tests of core/scopes.hpp: tables worked by hand from the contract's words, and laws held against a second
// statement of coverage that knows nothing of the code under test (segments as vectors, every pair compared).
#include "core/scopes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace mirox::core {
namespace {

using Texts = std::vector<std::string>;
using Bytes = std::vector<std::byte>;

Scope scope(std::string_view text) {
    Scope out{};
    EXPECT_EQ(parse_scope(text, out), ScopeStatus::ok) << text;
    return out;
}

std::string text_of(const Scope& scope) {
    std::string out(scope.resource);
    if (!scope.action.empty()) {
        out += ':';
        out += scope.action;
    }
    EXPECT_EQ(out.size(), scope.text_size());
    return out;
}

Texts texts_of(std::span<const Scope> scopes) {
    Texts out;
    for (const Scope& one : scopes) {
        out.push_back(text_of(one));
    }
    return out;
}

Texts texts_of(const ScopeSet& set) {
    Texts out;
    ScopeSet::Cursor walk = set.begin();
    Scope one;
    while (walk.next(one)) {
        out.push_back(text_of(one));
    }
    return out;
}

// The stored form, written by hand from the header's words.
Bytes raw(const Texts& texts) {
    Bytes out;
    const auto put16 = [&out](std::size_t value) {
        const auto narrow = static_cast<std::uint16_t>(value);
        out.resize(out.size() + 2);
        std::memcpy(out.data() + out.size() - 2, &narrow, 2);
    };
    put16(texts.size());
    for (const std::string& text : texts) {
        put16(text.size());
        for (char c : text) {
            out.push_back(static_cast<std::byte>(c));
        }
    }
    return out;
}

Texts normal(const Texts& texts) {
    std::vector<Scope> scopes;
    for (const std::string& text : texts) {
        scopes.push_back(scope(text));
    }
    scopes.resize(normalise(scopes));
    return texts_of(scopes);
}

Bytes stored(const Texts& texts) {
    std::vector<Scope> scopes;
    for (const std::string& text : texts) {
        scopes.push_back(scope(text));
    }
    scopes.resize(normalise(scopes));
    Bytes out(encoded_size(scopes));
    encode(scopes, out);
    return out;
}

Texts meet(const Texts& a, const Texts& b) {
    const Bytes x = stored(a);
    const Bytes y = stored(b);
    std::vector<Scope> work(std::max<std::size_t>(ScopeSet(x).count() * ScopeSet(y).count(), 1));
    work.resize(intersect(ScopeSet(x), ScopeSet(y), work));
    return texts_of(work);
}

// ---- coverage stated a second time
struct Parts {
    Texts segments;
    std::string action;
};

Parts parts(const std::string& text) {
    Parts out;
    const std::size_t colon = text.find(':');
    std::string rest = text.substr(0, colon);
    if (colon != std::string::npos) {
        out.action = text.substr(colon + 1);
    }
    for (;;) {
        const std::size_t dot = rest.find('.');
        out.segments.push_back(rest.substr(0, dot));
        if (dot == std::string::npos) {
            return out;
        }
        rest = rest.substr(dot + 1);
    }
}

bool model_covers(const std::string& broad, const std::string& narrow) {
    if (broad == "*") {
        return true;
    }
    const Parts b = parts(broad);
    const Parts n = parts(narrow);
    if (!b.action.empty() && b.action != n.action) {
        return false;
    }
    return b.segments.size() <= n.segments.size() && std::equal(b.segments.begin(), b.segments.end(), n.segments.begin());
}

bool model_covers(const Texts& set, const std::string& narrow) {
    return std::any_of(set.begin(), set.end(), [&](const std::string& s) { return model_covers(s, narrow); });
}

Texts model_normal(Texts texts) {
    std::sort(texts.begin(), texts.end());
    texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
    Texts out;
    for (const std::string& one : texts) {
        if (std::none_of(texts.begin(), texts.end(),
                         [&](const std::string& other) { return other != one && model_covers(other, one); })) {
            out.push_back(one);
        }
    }
    return out;
}

// A small world, so that generated scopes meet often: names that begin alike, and bytes around '.' and ':'.
class World {
  public:
    explicit World(std::uint32_t seed) : engine_(seed) {}

    std::size_t below(std::size_t n) { return engine_() % n; }

    std::string scope() {
        if (below(60) == 0) {
            return "*";
        }
        static constexpr const char* kNames[] = {"a", "b", "a-", "a_", "a0", "aa", "-"};
        std::string out = kNames[below(7)];
        for (std::size_t more = below(4); more > 0; --more) {
            out += '.';
            out += kNames[below(7)];
        }
        static constexpr const char* kActions[] = {":r", ":w", ":r-", ":rr", ":a"};
        if (below(2) == 0) {
            out += kActions[below(5)];
        }
        return out;
    }

    Texts set(std::size_t most) {
        Texts out(below(most + 1));
        for (std::string& one : out) {
            one = scope();
        }
        return out;
    }

  private:
    std::mt19937 engine_;
};

// ---- one scope

TEST(ParseScope, Accepted) {
    struct Row {
        const char* text;
        const char* resource;
        const char* action;
    };
    for (const Row& row :
         {Row{"*", "*", ""}, Row{"reports", "reports", ""}, Row{"reports:generate", "reports", "generate"},
          Row{"parks.berlin.turbine_7:read", "parks.berlin.turbine_7", "read"}, Row{"a", "a", ""}, Row{"0", "0", ""},
          Row{"-", "-", ""}, Row{"_", "_", ""}, Row{"a:b", "a", "b"}, Row{"-.-:-", "-.-", "-"}}) {
        const Scope got = scope(row.text);
        EXPECT_EQ(got.resource, row.resource);
        EXPECT_EQ(got.action, row.action);
        EXPECT_EQ(text_of(got), row.text);
    }
}

TEST(ParseScope, Refused) {
    struct Row {
        std::string text;
        ScopeStatus status;
    };
    const std::string longest(63, 'a');
    std::string sixteen = "a";
    for (int i = 1; i < 16; ++i) {
        sixteen += ".a";
    }
    const Row rows[] = {
        {"", ScopeStatus::empty},
        {".", ScopeStatus::empty},
        {":", ScopeStatus::empty},
        {".a", ScopeStatus::empty},
        {"a.", ScopeStatus::empty},
        {"a..b", ScopeStatus::empty},
        {"a:", ScopeStatus::empty},
        {":a", ScopeStatus::empty},
        {"a.:b", ScopeStatus::empty},
        {"a::b", ScopeStatus::empty},
        {"a:b:c", ScopeStatus::bad_character},
        {"a:b.c", ScopeStatus::bad_character},
        {"a:b.", ScopeStatus::bad_character},
        {"*a", ScopeStatus::bad_character},
        {"**", ScopeStatus::bad_character},
        {"*:read", ScopeStatus::bad_character},
        {"*.a", ScopeStatus::bad_character},
        {"a.*", ScopeStatus::bad_character},
        {"a:*", ScopeStatus::bad_character},
        {"A", ScopeStatus::bad_character},
        {"a b", ScopeStatus::bad_character},
        {" a", ScopeStatus::bad_character},
        {"a ", ScopeStatus::bad_character},
        {"a\n", ScopeStatus::bad_character},
        {"a,b", ScopeStatus::bad_character},
        {"a/b", ScopeStatus::bad_character},
        {"\xC3\xA4", ScopeStatus::bad_character},
        {std::string("a\0", 2), ScopeStatus::bad_character},
        {longest + "a", ScopeStatus::segment_too_long},
        {"a:" + longest + "a", ScopeStatus::segment_too_long},
        {"a." + longest + "a.b", ScopeStatus::segment_too_long},
        {std::string(1 << 20, 'a'), ScopeStatus::segment_too_long},
        {sixteen + ".a", ScopeStatus::too_many_segments},
        {sixteen + ".a:read", ScopeStatus::too_many_segments},
    };
    for (const Row& row : rows) {
        Scope out{"kept", "as it was"};
        EXPECT_EQ(parse_scope(row.text, out), row.status) << row.text.substr(0, 80);
        EXPECT_EQ(out, (Scope{"kept", "as it was"}));
    }
    EXPECT_EQ(text_of(scope(longest + ":" + longest)), longest + ":" + longest);
    EXPECT_EQ(text_of(scope(sixteen + ":read")), sixteen + ":read");
}

TEST(ParseScope, TheLongestFits) {
    std::string text(63, 'a');
    for (int i = 1; i < 16; ++i) {
        text += '.' + std::string(63, 'b');
    }
    text += ':' + std::string(63, 'c');
    EXPECT_EQ(text.size(), kMaxScopeChars);
    EXPECT_EQ(text_of(scope(text)), text);
}

TEST(ParseScope, EveryByte) {
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const bool good = std::strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", c) != nullptr && c != '\0';
        Scope out;
        EXPECT_EQ(parse_scope(std::string{'a', c, 'b'}, out) == ScopeStatus::ok, good || c == '.' || c == ':') << byte;
        EXPECT_EQ(is_segment(std::string(1, c)), good) << byte;
    }
    EXPECT_FALSE(is_segment(""));
    EXPECT_FALSE(is_segment("a.b"));
    EXPECT_TRUE(is_segment(std::string(63, 'a')));
    EXPECT_FALSE(is_segment(std::string(64, 'a')));
}

TEST(Covers, WorkedByHand) {
    struct Row {
        const char* broad;
        const char* narrow;
        bool forth;
        bool back;
    };
    for (const Row& row : {
             Row{"parks:read", "parks.berlin.turbine_7:read", true, false},
             Row{"reports", "reports:generate", true, false},
             Row{"reports", "reports", true, true},
             Row{"*", "reports", true, false},
             Row{"*", "parks.berlin:read", true, false},
             Row{"*", "*", true, true},
             Row{"parks", "parks.berlin", true, false},
             Row{"parks", "parks.berlin:read", true, false},
             Row{"parks", "parks2", false, false},
             Row{"parks", "parks_x", false, false},
             Row{"parks", "parks-x", false, false},
             Row{"parks", "parksx.berlin", false, false},
             Row{"parks", "park", false, false},
             Row{"parks:read", "parks", false, true},
             Row{"parks:read", "parks.berlin", false, false},
             Row{"parks:read", "parks:write", false, false},
             Row{"parks:read", "parks:reading", false, false},
             Row{"parks:read", "parks.read", false, false},
             Row{"parks", "parks.read", true, false},
             Row{"parks.berlin", "parks:read", false, false},
             Row{"parks.berlin", "parks.berlin2", false, false},
             Row{"parks.berlin", "parks.hamburg", false, false},
             Row{"parks.berlin:read", "parks.berlin.a.b.c:read", true, false},
             Row{"berlin", "parks.berlin", false, false},
         }) {
        EXPECT_EQ(covers(scope(row.broad), scope(row.narrow)), row.forth) << row.broad << " @> " << row.narrow;
        EXPECT_EQ(covers(scope(row.narrow), scope(row.broad)), row.back) << row.narrow << " @> " << row.broad;
        const Bytes broad = stored({row.broad});
        const Bytes narrow = stored({row.narrow});
        EXPECT_EQ(ScopeSet(broad).covers(scope(row.narrow)), row.forth) << row.broad << " @> " << row.narrow;
        EXPECT_EQ(ScopeSet(narrow).covers(scope(row.broad)), row.back) << row.narrow << " @> " << row.broad;
        EXPECT_EQ(ScopeSet(broad).covers(ScopeSet(narrow)), row.forth);
        EXPECT_EQ(ScopeSet(narrow).covers(ScopeSet(broad)), row.back);
    }
}

TEST(Intersect, WorkedByHand) {
    struct Row {
        const char* a;
        const char* b;
        const char* both;  // nullptr: nothing
    };
    for (const Row& row : {
             Row{"parks:read", "parks.berlin", "parks.berlin:read"},
             Row{"parks:read", "parks.berlin:read", "parks.berlin:read"},
             Row{"parks:read", "parks.berlin:write", nullptr},
             Row{"parks", "parks:read", "parks:read"},
             Row{"parks", "parks", "parks"},
             Row{"parks", "parks2", nullptr},
             Row{"parks", "parks_x:read", nullptr},
             Row{"parks.berlin", "parks.hamburg", nullptr},
             Row{"*", "parks.berlin:read", "parks.berlin:read"},
             Row{"*", "*", "*"},
             Row{"a.b.c", "a:x", "a.b.c:x"},
             Row{"a.b.c:x", "a.b:y", nullptr},
             Row{"reports", "timeseries", nullptr},
         }) {
        for (const auto& [x, y] : {std::pair(row.a, row.b), std::pair(row.b, row.a)}) {
            Scope out{"kept", ""};
            EXPECT_EQ(intersect(scope(x), scope(y), out), row.both != nullptr) << x << " * " << y;
            EXPECT_EQ(text_of(out), row.both != nullptr ? row.both : "kept") << x << " * " << y;
            EXPECT_EQ(meet({x}, {y}), row.both != nullptr ? Texts{row.both} : Texts{}) << x << " * " << y;
        }
    }
}

TEST(Compare, IsTheOrderOfTheTexts) {
    EXPECT_LT(compare(scope("a-b"), scope("a.b")), 0);
    EXPECT_LT(compare(scope("a.b"), scope("a:r")), 0);
    World world(1);
    for (int i = 0; i < 50000; ++i) {
        const std::string a = world.scope();
        const std::string b = world.below(10) == 0 ? a : world.scope();
        const int texts = a < b ? -1 : a > b ? 1 : 0;
        ASSERT_EQ(compare(scope(a), scope(b)), texts) << a << " " << b;
        ASSERT_EQ(scope(a) == scope(b), texts == 0);
    }
}

// ---- laws of coverage

TEST(CoverageLaws, AgreesWithTheModel) {
    World world(2);
    for (int i = 0; i < 100000; ++i) {
        const std::string a = world.scope();
        const std::string b = world.scope();
        ASSERT_EQ(covers(scope(a), scope(b)), model_covers(a, b)) << a << " @> " << b;
    }
}

TEST(CoverageLaws, PartialOrder) {
    World world(3);
    Texts all = {"*"};
    for (int i = 0; i < 60; ++i) {
        all.push_back(world.scope());
    }
    for (const std::string& a : all) {
        ASSERT_TRUE(covers(scope(a), scope(a)));
        for (const std::string& b : all) {
            const bool ab = covers(scope(a), scope(b));
            if (ab && covers(scope(b), scope(a))) {
                ASSERT_EQ(a, b);
            }
            for (const std::string& c : all) {
                if (ab && covers(scope(b), scope(c))) {
                    ASSERT_TRUE(covers(scope(a), scope(c))) << a << " " << b << " " << c;
                }
            }
        }
    }
}

TEST(CoverageLaws, IntersectionIsTheGreatestThatBothCover) {
    World world(4);
    for (int i = 0; i < 50000; ++i) {
        const std::string a = world.scope();
        const std::string b = world.scope();
        const std::string c = world.scope();
        Scope both;
        const bool any = intersect(scope(a), scope(b), both);
        if (any) {
            ASSERT_TRUE(covers(scope(a), both) && covers(scope(b), both)) << a << " * " << b;
        }
        ASSERT_EQ(any && covers(both, scope(c)), model_covers(a, c) && model_covers(b, c)) << a << " * " << b << " @> " << c;
    }
}

// ---- normal form

TEST(Normalise, WorkedByHand) {
    EXPECT_EQ(normal({}), Texts{});
    EXPECT_EQ(normal({"b", "a", "b"}), (Texts{"a", "b"}));
    EXPECT_EQ(normal({"reports", "parks:read"}), (Texts{"parks:read", "reports"}));
    EXPECT_EQ(normal({"parks.berlin", "parks"}), Texts{"parks"});
    EXPECT_EQ(normal({"parks", "parks2", "parks_x", "parks-x"}), (Texts{"parks", "parks-x", "parks2", "parks_x"}));
    EXPECT_EQ(normal({"parks:read", "parks:write"}), (Texts{"parks:read", "parks:write"}));
    EXPECT_EQ(normal({"parks:read", "parks.berlin:read", "parks.berlin:write"}), (Texts{"parks.berlin:write", "parks:read"}));
    EXPECT_EQ(normal({"a.b:r", "a:r", "a"}), Texts{"a"});
    EXPECT_EQ(normal({"a.b.c:r", "a.b:r", "a:r"}), Texts{"a:r"});
    EXPECT_EQ(normal({"*", "a", "b:r", "*"}), Texts{"*"});
    // `a.b` covers `a.b:r`, and `a:r` does too, but neither covers the other.
    EXPECT_EQ(normal({"a.b:r", "a.b", "a:r"}), (Texts{"a.b", "a:r"}));
}

TEST(Normalise, AgreesWithTheModelWhateverTheOrder) {
    World world(5);
    std::mt19937 shuffle(6);
    for (int i = 0; i < 2000; ++i) {
        Texts set = world.set(40);
        const Texts expected = model_normal(set);
        ASSERT_EQ(normal(set), expected);
        std::shuffle(set.begin(), set.end(), shuffle);
        set.insert(set.end(), expected.begin(), expected.end());
        ASSERT_EQ(normal(set), expected) << "not unique";
        ASSERT_EQ(normal(expected), expected) << "not a fixed point";
    }
}

TEST(Normalise, AsManyAsAnIntersectionCanHave) {
    std::vector<std::string> texts;
    for (int i = 0; i < 256; ++i) {
        for (int k = 0; k < 256; ++k) {
            texts.push_back("r" + std::to_string(i) + ".s.t.u.v" + std::to_string(k) + ":act");
        }
    }
    std::vector<Scope> scopes;
    for (const std::string& text : texts) {
        scopes.push_back(scope(text));
    }
    EXPECT_EQ(normalise(scopes), 65536U);
    scopes.back() = scope("r7");
    scopes.front() = scope("r8.s:act");
    EXPECT_EQ(normalise(scopes), 65536U - 2U - 2U * 256U + 2U);  // two replaced, two families covered
}

// ---- the stored form

TEST(Encoding, IsWhatTheHeaderSays) {
    EXPECT_EQ(stored({}), raw({}));
    EXPECT_EQ(stored({"reports", "parks:read"}), raw({"parks:read", "reports"}));
    EXPECT_EQ(stored({"*"}), raw({"*"}));
    EXPECT_EQ(ScopeSet().count(), 0U);
    EXPECT_EQ(texts_of(ScopeSet()), Texts{});
    EXPECT_FALSE(ScopeSet().covers(scope("a")));
    EXPECT_TRUE(ScopeSet().covers(ScopeSet()));
    EXPECT_FALSE(ScopeSet().covers_everything());
}

TEST(Encoding, RoundTripsAtAnyAlignment) {
    World world(7);
    for (int i = 0; i < 1500; ++i) {
        const Texts set = world.set(20);
        const Bytes bytes = stored(set);
        Bytes shifted(1 + static_cast<std::size_t>(i % 8));
        const std::size_t shift = shifted.size();
        shifted.insert(shifted.end(), bytes.begin(), bytes.end());
        const auto view = std::span<const std::byte>(shifted).subspan(shift);
        ASSERT_TRUE(valid_encoding(view));
        ASSERT_EQ(texts_of(ScopeSet(view)), model_normal(set));
        ASSERT_EQ(ScopeSet(view).count(), model_normal(set).size());
        ASSERT_EQ(ScopeSet(view).covers_everything(), model_covers(set, "*"));
    }
}

TEST(Encoding, FullSetOfLongestScopes) {
    Texts texts;
    for (int i = 0; i < 256; ++i) {
        std::string text = std::to_string(100 + i) + std::string(60, 'a');
        for (int k = 1; k < 16; ++k) {
            text += '.' + std::string(63, 'b');
        }
        texts.push_back(text + ':' + std::string(63, 'c'));
    }
    const Bytes bytes = stored(texts);
    EXPECT_EQ(bytes.size(), 2 + 256 * (2 + kMaxScopeChars));
    EXPECT_TRUE(valid_encoding(bytes));
    EXPECT_TRUE(ScopeSet(bytes).covers(ScopeSet(bytes)));
    texts.push_back("one-more");
    EXPECT_FALSE(valid_encoding(stored(texts)));
}

TEST(ValidEncoding, RefusesWhatIsNotNormal) {
    EXPECT_TRUE(valid_encoding(raw({})));
    EXPECT_TRUE(valid_encoding(raw({"a", "b"})));
    EXPECT_FALSE(valid_encoding({}));
    for (const Texts& texts : {Texts{"b", "a"}, Texts{"a", "a"}, Texts{"a", "a.b"}, Texts{"a", "a:r"}, Texts{"*", "a"},
                               Texts{"a.b:r", "a:r"}, Texts{"a.b.c.d:r", "a:r"}, Texts{""}, Texts{"A"}, Texts{"a", ""},
                               Texts{"a:r:s"}, Texts{"*:r"}, Texts{std::string(64, 'a')}, Texts{"*", "*"}}) {
        EXPECT_FALSE(valid_encoding(raw(texts)));
    }
}

TEST(ValidEncoding, RefusesEveryTruncationAndExtension) {
    World world(8);
    for (int i = 0; i < 500; ++i) {
        const Bytes bytes = stored(world.set(8));
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            // A copy of just that size, so that the sanitizer sees a read past it.
            const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
            ASSERT_FALSE(valid_encoding(cut));
        }
        for (int more : {0, 1, 97, 255}) {
            Bytes longer = bytes;
            longer.push_back(static_cast<std::byte>(more));
            ASSERT_FALSE(valid_encoding(longer));
        }
    }
}

// Whatever the bytes: what is accepted reads back as scopes that the model calls normal, and encodes to the
// same.
TEST(ValidEncoding, EveryMutationIsNormalOrRefused) {
    World world(9);
    std::size_t accepted = 0;
    std::size_t refused = 0;
    const auto judge = [&](const Bytes& bytes) {
        if (!valid_encoding(bytes)) {
            ++refused;
            return;
        }
        ++accepted;
        const Texts texts = texts_of(ScopeSet(bytes));
        ASSERT_EQ(model_normal(texts), texts);
        ASSERT_EQ(raw(texts), bytes);
        ASSERT_EQ(stored(texts), bytes);
    };
    for (int i = 0; i < 200; ++i) {
        const Bytes bytes = stored(world.set(6));
        for (std::size_t at = 0; at < bytes.size(); ++at) {
            for (char c : std::string_view("\0\1\2\5ab.:*-_A\xFF", 13)) {
                Bytes changed = bytes;
                changed[at] = static_cast<std::byte>(c);
                judge(changed);
            }
        }
        // Two scopes swapped, one repeated, one that another covers: never normal.
        const Texts texts = texts_of(ScopeSet(bytes));
        if (texts.size() >= 2) {
            Texts swapped = texts;
            std::swap(swapped[0], swapped[1]);
            ASSERT_FALSE(valid_encoding(raw(swapped)));
        }
        for (const std::string& one : texts) {
            for (const std::string& more :
                 {one, one == "*" ? std::string("a") : one + (one.find(':') == std::string::npos ? ".x" : "")}) {
                Texts repeated = texts;
                repeated.push_back(more);
                std::sort(repeated.begin(), repeated.end());
                ASSERT_FALSE(valid_encoding(raw(repeated)));
            }
        }
    }
    EXPECT_GT(accepted, 1000U);
    EXPECT_GT(refused, 1000U);
}

// Valid exactly when normal, over sets written down sorted and unsorted, covered and not.
TEST(ValidEncoding, AgreesWithTheModel) {
    World world(10);
    for (int i = 0; i < 20000; ++i) {
        Texts texts = world.set(5);
        if (i % 2 == 0) {
            std::sort(texts.begin(), texts.end());
        }
        ASSERT_EQ(valid_encoding(raw(texts)), model_normal(texts) == texts);
    }
}

// ---- sets

TEST(ScopeSet, CoversAsTheModel) {
    World world(11);
    for (int i = 0; i < 20000; ++i) {
        const Texts a = world.set(12);
        const Texts b = world.set(3);
        const Bytes x = stored(a);
        const Bytes y = stored(b);
        const std::string one = world.scope();
        ASSERT_EQ(ScopeSet(x).covers(scope(one)), model_covers(a, one)) << one;
        const bool all = std::all_of(b.begin(), b.end(), [&](const std::string& s) { return model_covers(a, s); });
        ASSERT_EQ(ScopeSet(x).covers(ScopeSet(y)), all);
    }
}

TEST(ScopeSet, IntersectionWorkedByHand) {
    EXPECT_EQ(meet({"*"}, {"parks:read", "reports"}), (Texts{"parks:read", "reports"}));
    EXPECT_EQ(meet({"parks", "reports"}, {"parks.berlin:read", "timeseries"}), Texts{"parks.berlin:read"});
    EXPECT_EQ(meet({"reports:generate", "exports"}, {"reports", "exports:csv"}), (Texts{"exports:csv", "reports:generate"}));
    EXPECT_EQ(meet({"parks"}, {}), Texts{});
    EXPECT_EQ(meet({}, {}), Texts{});
    // The pairs give p.q:r twice and p.q, p:r; the narrow one is dropped.
    EXPECT_EQ(meet({"p:r", "p.q"}, {"p:r", "p.q"}), (Texts{"p.q", "p:r"}));
}

TEST(ScopeSet, IntersectionLaws) {
    World world(12);
    for (int i = 0; i < 2000; ++i) {
        const Texts a = world.set(8);
        const Texts b = world.set(8);
        const Texts c = world.set(8);
        const Texts ab = meet(a, b);
        ASSERT_EQ(ab, meet(b, a));
        ASSERT_EQ(meet(ab, c), meet(a, meet(b, c)));
        ASSERT_EQ(meet(a, a), model_normal(a));
        ASSERT_EQ(meet(a, {"*"}), model_normal(a));
        ASSERT_EQ(model_normal(ab), ab) << "not in normal form";
        const Bytes x = stored(a);
        const Bytes y = stored(b);
        const Bytes xy = stored(ab);
        ASSERT_TRUE(ScopeSet(x).covers(ScopeSet(xy)));
        ASSERT_TRUE(ScopeSet(y).covers(ScopeSet(xy)));
        for (int k = 0; k < 20; ++k) {
            const std::string s = world.scope();
            ASSERT_EQ(ScopeSet(xy).covers(scope(s)), model_covers(a, s) && model_covers(b, s)) << s;
        }
    }
}

TEST(ScopeSet, IntersectionMayHoldMoreThanASet) {
    Texts deep;
    Texts acting;
    for (int i = 0; i < 256; ++i) {
        deep.push_back("r.s" + std::to_string(i));
        acting.push_back("r:a" + std::to_string(i));
    }
    EXPECT_EQ(meet(deep, acting).size(), 65536U);
}

}  // namespace
}  // namespace mirox::core
