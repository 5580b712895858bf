// Hints: where the row of a digest was last found, so that most checks go to the row at once and read no index.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or
// system call. Lock-free: one word a hint, read and written whole.
//
// A hint proves nothing. It names a buffer, an item on the page that the buffer held and where on it the row began; whoever
// follows it pins the buffer, makes sure that it holds a page of the table, judges what stands there as an index scan would
// (visible to its snapshot) and compares the whole digest. A hint that is old, another's or torn off by a newer one therefore
// costs a look-up by the index, and nothing else; so hints may be lost at any time, and are, when the server starts.
//
// One cache line holds the eight places where a digest's hint may stand. A newcomer takes the place of the same digest, an
// empty one, or one of the eight in turn.
#pragma once

#include "shmem/core_base.hpp"

namespace mirox::shmem {

struct Hint {
    std::uint32_t buffer = 0;  // the server's number of it, from 1
    std::uint16_t item = 0;    // line pointer of the row, or of the first of its versions on the page; from 1
    std::uint32_t offset =
        0;  // of the row on the page, in bytes, rounded down to a cache line: what to fetch early
};

// A hint holds buffers below 2^28 (2 TB of 8 kB pages), items below 2^11 and offsets below 2^15 (pages of 32 kB). What is
// beyond is not kept.
inline constexpr std::uint32_t kHintBufferBits = 28;
inline constexpr std::uint32_t kHintItemBits = 11;
inline constexpr std::uint32_t kHintLineBits = 9;

class Hints {
  public:
    Hints() noexcept = default;
    // For so many digests: two places each, so that few of them meet eight others.
    static std::size_t bytes(std::uint32_t digests) noexcept;
    static Hints initialise(std::byte* at, std::uint32_t digests) noexcept;  // at a cache line
    static Hints view(std::byte* at, std::uint32_t digests) noexcept;

    // A key's low bits, uniform, choose the cache line, by what the caller knows first; its high 16 are of the digest. Databases are
    // told apart by the caller's mixing them in.
    void prefetch(std::uint64_t key) const noexcept { prefetch_to_read(set_of(key)); }
    bool find(std::uint64_t key, Hint& out) const noexcept;
    void put(std::uint64_t key, const Hint& hint) noexcept;

  private:
    struct alignas(kCacheLine) Set {
        std::atomic<std::uint64_t> places[8];
    };
    static std::uint32_t sets_for(std::uint32_t digests) noexcept;
    Set* set_of(std::uint64_t key) const noexcept {
        return sets_ + (static_cast<std::uint32_t>(key) & mask_);
    }

    Set* sets_ = nullptr;
    std::uint32_t mask_ = 0;
};

}  // namespace mirox::shmem
