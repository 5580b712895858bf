// Scopes, `resource[.sub…][:action]` or `*`, and sets of them.
//
// A scope covers its resource, every resource below it and, without an action, every action. `*` covers everything. A set is kept
// in normal form: sorted by text, without duplicates, without a scope that another one covers.
//
// Pure: may include the C++ library only. Nothing here allocates, throws or logs; the caller provides work space.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mirox::core {

inline constexpr std::size_t kMaxScopes = 256;
// The most scopes that an input may hold, with duplicates and covered ones. There is a limit because normalise() cannot be
// interrupted.
inline constexpr std::size_t kMaxGivenScopes = 65536;
inline constexpr std::size_t kMaxScopeSegments = 16;
inline constexpr std::size_t kMaxSegmentChars = 63;  // of a resource's segment, and of an action
inline constexpr std::size_t kMaxScopeChars = kMaxScopeSegments * (kMaxSegmentChars + 1) + kMaxSegmentChars;

struct Scope {
    std::string_view resource;  // "*" for everything (then action is empty)
    std::string_view action;    // empty: every action

    std::size_t text_size() const noexcept { return resource.size() + (action.empty() ? 0 : 1 + action.size()); }
    friend bool operator==(const Scope&, const Scope&) = default;
};

enum class ScopeStatus : std::uint8_t {
    ok,
    empty,              // "", or a resource or action or segment with no character
    bad_character,      // something outside [a-z0-9_-], '.' between segments, one ':'
    segment_too_long,   // more than kMaxSegmentChars
    too_many_segments,  // more than kMaxScopeSegments
    too_many_scopes,    // more than kMaxScopes in a set
};

// One scope; `out` points into `text`.
ScopeStatus parse_scope(std::string_view text, Scope& out) noexcept;

// True for a valid segment of a resource, which a scope can name.
bool is_segment(std::string_view text) noexcept;

bool covers(const Scope& broad, const Scope& narrow) noexcept;

// The scope that both cover; false when there is none. The result points into a and b.
bool intersect(const Scope& a, const Scope& b, Scope& out) noexcept;

// Orders by text, bytewise: `a-b` before `a.b` before `a:r`.
int compare(const Scope& a, const Scope& b) noexcept;

// Sorts the scopes, drops those that another one covers, and returns the new count. O(n log n) look-ups.
std::size_t normalise(std::span<Scope> scopes) noexcept;

// ---- the stored form -----------------------------------------------------------------------------------------
// uint16 count, then for each scope uint16 length and its text; integers in the machine's byte order, unaligned.

std::size_t encoded_size(std::span<const Scope> scopes) noexcept;
void encode(std::span<const Scope> scopes, std::span<std::byte> out) noexcept;  // out.size() == encoded_size

// A view of the stored form, which encode() must have written or valid_encoding() accepted.
class ScopeSet {
  public:
    constexpr ScopeSet() noexcept = default;  // the empty set
    explicit ScopeSet(std::span<const std::byte> encoded) noexcept : bytes_(encoded) {}

    std::size_t count() const noexcept;
    std::span<const std::byte> bytes() const noexcept { return bytes_; }

    // Walks the set: `ScopeSet::Cursor c = s.begin(); Scope x; while (c.next(x)) …`
    struct Cursor {
        const std::byte* at;
        std::size_t left;
        bool next(Scope& out) noexcept;
    };
    Cursor begin() const noexcept;

    bool covers(const Scope& one) const noexcept;
    bool covers(const ScopeSet& other) const noexcept;  // every scope of the other
    bool covers_everything() const noexcept;            // holds `*`

  private:
    std::span<const std::byte> bytes_{};
};

// True when the bytes are one complete set in normal form. Checks bytes from outside, such as in recv.
bool valid_encoding(std::span<const std::byte> bytes) noexcept;

// Writes the intersection of two sets, in normal form, to `work` and returns its count. `work` must have room for max(a.count() *
// b.count(), 1) scopes; the result may hold more than kMaxScopes, which the caller must handle.
std::size_t intersect(const ScopeSet& a, const ScopeSet& b, std::span<Scope> work) noexcept;

}  // namespace mirox::core
