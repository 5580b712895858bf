// Fuzzes core/scopes.hpp: texts of scopes (the input, cut at commas and at a bar into two sets), and the
// stored form from foreign bytes (the input as it stands).
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/scopes.hpp"

namespace {

using namespace mirox::core;

void check(bool holds) {
    if (!holds) {
        std::abort();
    }
}

std::vector<std::byte> stored(std::string_view texts) {
    std::vector<Scope> scopes;
    while (!texts.empty() && scopes.size() < 48) {
        const std::size_t comma = texts.find(',');
        Scope one;
        if (parse_scope(texts.substr(0, comma), one) == ScopeStatus::ok) {
            check(one.text_size() <= kMaxScopeChars);
            check(one.text_size() == texts.substr(0, comma).size());
            scopes.push_back(one);
        }
        texts = comma == std::string_view::npos ? std::string_view{} : texts.substr(comma + 1);
    }
    const std::vector<Scope> given = scopes;
    scopes.resize(normalise(scopes));
    std::vector<std::byte> out(encoded_size(scopes));
    encode(scopes, out);
    check(valid_encoding(out));
    for (const Scope& one : given) {
        check(ScopeSet(out).covers(one));
    }
    return out;
}

void judge_pair(const ScopeSet& a, const ScopeSet& b) {
    std::vector<Scope> work(a.count() * b.count() + 1);
    work.resize(intersect(a, b, work));
    std::vector<std::byte> both(encoded_size(work));
    encode(work, both);
    check(work.size() > kMaxScopes || valid_encoding(both));
    check(a.covers(ScopeSet(both)) && b.covers(ScopeSet(both)));
    check(a.covers(a) && b.covers(b));
    if (a.covers(b)) {
        check(both.size() == b.bytes().size() && std::memcmp(both.data(), b.bytes().data(), both.size()) == 0);
    }
    ScopeSet::Cursor walk = a.begin();
    Scope one;
    while (walk.next(one)) {
        check(ScopeSet(both).covers(one) == b.covers(one));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span<const std::byte> foreign(reinterpret_cast<const std::byte*>(data), size);
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (valid_encoding(foreign)) {
        const ScopeSet set(foreign);
        check(set.count() <= kMaxScopes);
        std::vector<Scope> scopes;
        ScopeSet::Cursor walk = set.begin();
        Scope one;
        while (walk.next(one)) {
            scopes.push_back(one);
        }
        check(scopes.size() == set.count());
        check(normalise(scopes) == scopes.size());
        std::vector<std::byte> again(encoded_size(scopes));
        encode(scopes, again);
        check(again.size() == size && std::memcmp(again.data(), data, size) == 0);
        judge_pair(set, set);
    }
    const std::size_t bar = text.find('|');
    const auto a = stored(text.substr(0, bar));
    const auto b = stored(bar == std::string_view::npos ? text : text.substr(bar + 1));
    judge_pair(ScopeSet(a), ScopeSet(b));
    judge_pair(ScopeSet(b), ScopeSet(a));
    check(is_segment(text) == (size <= kMaxSegmentChars && text.find_first_of(".:*") == std::string_view::npos && [&] {
              Scope one;
              return parse_scope(text, one) == ScopeStatus::ok;
          }()));
    return 0;
}
