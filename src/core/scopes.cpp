// Scopes and sets of them: parsing, coverage, intersection, normal form, the stored form.
//
// Pure: the C++ library only. Takes no lock, allocates nothing, keeps no state. Every check tests coverage, so coverage works
// directly on the stored bytes.
#include "core/scopes.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/chars.hpp"
#include "core/slice.hpp"

namespace mirox::core {
namespace {

constexpr std::string_view kEverything = "*";

constexpr bool is_segment_char(char c) noexcept {
    return is_lower(c) || is_digit(c) || c == '_' || c == '-';
}

// True when the resource `narrow` is `broad` or lies below it; neither is `*`.
bool is_at_or_below(std::string_view narrow, std::string_view broad) noexcept {
    return narrow.size() >= broad.size() && (narrow.size() == broad.size() || narrow[broad.size()] == '.') &&
           std::memcmp(narrow.data(), broad.data(), broad.size()) == 0;
}

// The numbers of segments that occur in a set, with and without an action, so that look-ups which cannot succeed are skipped. Bit
// 0 is `*`, which has no segment.
struct Depths {
    std::uint32_t plain = 0;
    std::uint32_t acting = 0;

    void add(const Scope& scope) noexcept {
        if (scope.resource == kEverything) {
            plain |= 1U;
            return;
        }
        const auto dots = std::count(scope.resource.begin(), scope.resource.end(), '.');
        (scope.action.empty() ? plain : acting) |= 1U << (dots + 1);
    }
};

bool contains(std::span<const Scope> sorted, const Scope& wanted) noexcept {
    const auto at =
        std::lower_bound(sorted.begin(), sorted.end(), wanted, [](const Scope& a, const Scope& b) { return compare(a, b) < 0; });
    return at != sorted.end() && *at == wanted;
}

// True when another scope covers `scope`. `before` and `after` are the sorted scopes before and after it. Looks up each ancestor:
// at most two binary searches a segment.
bool is_covered(std::span<const Scope> before, const Scope& scope, std::span<const Scope> after, const Depths& depths) noexcept {
    if (scope.resource == kEverything) {
        return false;
    }
    if ((depths.plain & 1U) != 0) {
        return true;
    }
    std::size_t segments = 0;
    for (std::size_t end = 0; end < scope.resource.size();) {
        end = scope.resource.find('.', end + (segments > 0 ? 1 : 0));
        if (end == std::string_view::npos) {
            end = scope.resource.size();
        }
        ++segments;
        const bool itself = end == scope.resource.size();
        const std::string_view ancestor = slice(scope.resource, 0, end);
        // A text sorts after its own prefixes, so the ancestor without an action can only be in `before`.
        if ((depths.plain >> segments & 1U) != 0 && !(itself && scope.action.empty()) && contains(before, {ancestor, {}})) {
            return true;
        }
        if (!scope.action.empty() && !itself && (depths.acting >> segments & 1U) != 0) {
            // `a:r` against `a.b:r`: ':' is larger than '.', so the ancestor is in `after`.
            if (contains(after, {ancestor, scope.action})) {
                return true;
            }
        }
    }
    return false;
}

std::uint16_t load16(const std::byte* at) noexcept {
    std::uint16_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

std::byte* store16(std::byte* at, std::size_t value) noexcept {
    const auto narrow = static_cast<std::uint16_t>(value);
    std::memcpy(at, &narrow, sizeof narrow);
    return at + sizeof narrow;
}

std::byte* store_text(std::byte* at, std::string_view text) noexcept {
    if (!text.empty()) {
        std::memcpy(at, text.data(), text.size());
    }
    return at + text.size();
}

constexpr std::size_t kCountBytes = sizeof(std::uint16_t);
constexpr std::size_t kLengthBytes = sizeof(std::uint16_t);

}  // namespace

ScopeStatus parse_scope(std::string_view text, Scope& out) noexcept {
    if (text.empty()) {
        return ScopeStatus::empty;
    }
    if (text == kEverything) {
        out = {text, {}};
        return ScopeStatus::ok;
    }
    std::size_t segments = 1;
    std::size_t start = 0;
    std::size_t colon = std::string_view::npos;
    // One iteration more than there are characters: the end closes the last part as a separator would.
    for (std::size_t i = 0;; ++i) {
        const bool at_end = i == text.size();
        if (!at_end && is_segment_char(text[i])) {
            if (i - start == kMaxSegmentChars) {
                return ScopeStatus::segment_too_long;
            }
            continue;
        }
        if (!at_end && text[i] != '.' && text[i] != ':') {
            return ScopeStatus::bad_character;
        }
        if (i == start) {
            return ScopeStatus::empty;
        }
        if (at_end) {
            break;
        }
        if (colon != std::string_view::npos) {
            return ScopeStatus::bad_character;  // an action holds neither '.' nor ':'
        }
        if (text[i] == ':') {
            colon = i;
        } else if (++segments > kMaxScopeSegments) {
            return ScopeStatus::too_many_segments;
        }
        start = i + 1;
    }
    if (colon == std::string_view::npos) {
        out = {text, {}};
    } else {
        out = {slice(text, 0, colon), slice(text, colon + 1)};
    }
    return ScopeStatus::ok;
}

bool is_segment(std::string_view text) noexcept {
    return !text.empty() && text.size() <= kMaxSegmentChars && std::all_of(text.begin(), text.end(), is_segment_char);
}

bool covers(const Scope& broad, const Scope& narrow) noexcept {
    if (broad.resource == kEverything) {
        return true;
    }
    if (!broad.action.empty() && broad.action != narrow.action) {
        return false;
    }
    return is_at_or_below(narrow.resource, broad.resource);
}

bool intersect(const Scope& a, const Scope& b, Scope& out) noexcept {
    if (a.resource == kEverything) {
        out = b;
        return true;
    }
    if (b.resource == kEverything) {
        out = a;
        return true;
    }
    if (!a.action.empty() && !b.action.empty() && a.action != b.action) {
        return false;
    }
    std::string_view resource;
    if (is_at_or_below(a.resource, b.resource)) {
        resource = a.resource;
    } else if (is_at_or_below(b.resource, a.resource)) {
        resource = b.resource;
    } else {
        return false;
    }
    out = {resource, a.action.empty() ? b.action : a.action};
    return true;
}

int compare(const Scope& a, const Scope& b) noexcept {
    const std::size_t common = std::min(a.resource.size(), b.resource.size());
    const int head = common == 0 ? 0 : std::memcmp(a.resource.data(), b.resource.data(), common);
    if (head != 0) {
        return head < 0 ? -1 : 1;
    }
    if (a.resource.size() == b.resource.size()) {
        const int action = a.action.compare(b.action);
        return action < 0 ? -1 : action > 0 ? 1 : 0;
    }
    // One resource is a prefix of the other. The next character of the shorter one is the end or ':', which no resource holds, so
    // the texts differ there at the latest.
    const bool a_is_shorter = a.resource.size() == common;
    const Scope& shorter = a_is_shorter ? a : b;
    const auto next = static_cast<unsigned char>((a_is_shorter ? b : a).resource[common]);
    const bool shorter_first = shorter.action.empty() || ':' < next;
    return shorter_first == a_is_shorter ? -1 : 1;
}

std::size_t normalise(std::span<Scope> scopes) noexcept {
    if (scopes.empty()) {
        return 0;
    }
    std::sort(scopes.begin(), scopes.end(), [](const Scope& a, const Scope& b) { return compare(a, b) < 0; });
    const auto end = std::unique(scopes.begin(), scopes.end());
    scopes = scopes.first(static_cast<std::size_t>(end - scopes.begin()));
    Depths depths;
    for (const Scope& scope : scopes) {
        depths.add(scope);
    }
    // Kept scopes move to the front. A scope that covers another may already have been dropped, but never the broadest one that
    // covers it: that one was kept or comes later.
    std::size_t kept = 0;
    for (std::size_t i = 0; i < scopes.size(); ++i) {
        const Scope scope = scopes[i];
        if (!is_covered(scopes.first(kept), scope, scopes.subspan(i + 1), depths)) {
            scopes[kept++] = scope;
        }
    }
    return kept;
}

std::size_t encoded_size(std::span<const Scope> scopes) noexcept {
    std::size_t size = kCountBytes;
    for (const Scope& scope : scopes) {
        size += kLengthBytes + scope.text_size();
    }
    return size;
}

void encode(std::span<const Scope> scopes, std::span<std::byte> out) noexcept {
    std::byte* at = store16(out.data(), scopes.size());
    for (const Scope& scope : scopes) {
        at = store16(at, scope.text_size());
        at = store_text(at, scope.resource);
        if (!scope.action.empty()) {
            *at++ = static_cast<std::byte>(':');
            at = store_text(at, scope.action);
        }
    }
}

std::size_t ScopeSet::count() const noexcept {
    return bytes_.empty() ? 0 : load16(bytes_.data());
}

ScopeSet::Cursor ScopeSet::begin() const noexcept {
    return bytes_.empty() ? Cursor{nullptr, 0} : Cursor{bytes_.data() + kCountBytes, load16(bytes_.data())};
}

bool ScopeSet::Cursor::next(Scope& out) noexcept {
    if (left == 0) {
        return false;
    }
    const std::string_view text(reinterpret_cast<const char*>(at) + kLengthBytes, load16(at));
    at += kLengthBytes + text.size();
    --left;
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
        out = {text, {}};
    } else {
        out = {slice(text, 0, colon), slice(text, colon + 1)};
    }
    return true;
}

bool ScopeSet::covers_everything() const noexcept {
    // `*` covers all other scopes, so in normal form it is alone.
    return bytes_.size() == kCountBytes + kLengthBytes + 1 && static_cast<char>(bytes_[kCountBytes + kLengthBytes]) == '*';
}

bool ScopeSet::covers(const Scope& one) const noexcept {
    if (bytes_.empty()) {
        return false;
    }
    if (covers_everything()) {
        return true;
    }
    if (one.resource.empty() || one.resource == kEverything) {
        return false;
    }
    const std::byte* at = bytes_.data() + kCountBytes;
    const char first = one.resource.front();
    // The texts are compared directly, without a search for the ':' first. A broader resource is a prefix of the resource of
    // `one`, which holds no ':'. So the rest of the text is either nothing, or ':' and the same action.
    const std::size_t tail = one.action.empty() ? 0 : 1 + one.action.size();
    for (std::size_t left = load16(bytes_.data()); left > 0; --left) {
        const std::size_t size = load16(at);
        const char* text = reinterpret_cast<const char*>(at) + kLengthBytes;
        at += kLengthBytes + size;
        if (text[0] != first) {
            if (static_cast<unsigned char>(text[0]) > static_cast<unsigned char>(first)) {
                return false;  // sorted: no later scope begins with the same character
            }
            continue;
        }
        if (is_at_or_below(one.resource, {text, size})) {
            return true;
        }
        if (tail != 0 && size > tail && text[size - tail] == ':' && is_at_or_below(one.resource, {text, size - tail}) &&
            std::memcmp(text + size - tail + 1, one.action.data(), one.action.size()) == 0) {
            return true;
        }
    }
    return false;
}

bool ScopeSet::covers(const ScopeSet& other) const noexcept {
    if (covers_everything()) {
        return true;
    }
    Cursor walk = other.begin();
    Scope one;
    while (walk.next(one)) {
        if (!covers(one)) {
            return false;
        }
    }
    return true;
}

bool valid_encoding(std::span<const std::byte> bytes) noexcept {
    if (bytes.size() < kCountBytes) {
        return false;
    }
    const std::size_t count = load16(bytes.data());
    if (count > kMaxScopes) {
        return false;
    }
    std::array<Scope, kMaxScopes> scopes;
    Depths depths;
    std::size_t at = kCountBytes;
    for (std::size_t i = 0; i < count; ++i) {
        if (bytes.size() - at < kLengthBytes) {
            return false;
        }
        const std::size_t size = load16(bytes.data() + at);
        at += kLengthBytes;
        if (bytes.size() - at < size) {
            return false;
        }
        const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + at, size);
        at += size;
        if (parse_scope(text, scopes[i]) != ScopeStatus::ok || (i > 0 && compare(scopes[i - 1], scopes[i]) >= 0)) {
            return false;
        }
        depths.add(scopes[i]);
    }
    if (at != bytes.size()) {
        return false;
    }
    const std::span<const Scope> all(scopes.data(), count);
    for (std::size_t i = 0; i < count; ++i) {
        if (is_covered(all.first(i), all[i], all.subspan(i + 1), depths)) {
            return false;
        }
    }
    return true;
}

std::size_t intersect(const ScopeSet& a, const ScopeSet& b, std::span<Scope> work) noexcept {
    std::size_t found = 0;
    ScopeSet::Cursor outer = a.begin();
    Scope x;
    while (outer.next(x)) {
        ScopeSet::Cursor inner = b.begin();
        Scope y;
        while (inner.next(y)) {
            Scope both;
            if (intersect(x, y, both)) {
                work[found++] = both;
            }
        }
    }
    return normalise(work.first(found));
}

}  // namespace mirox::core
