// Hints: where the row of a digest was last found, so that most checks go to the row at once and read no index.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or system call.
// Lock-free: two words a hint, each read and written whole.
//
// A hint proves nothing. It names a buffer, the block that the buffer held, and an item on that page; whoever follows it pins the
// buffer, makes sure that it holds that block of the table, judges what stands there as an index scan would (visible to its snapshot)
// and compares the whole digest. A hint that is old, another's or torn (its two words of two writers) therefore costs a look-up by
// the index, and nothing else. So hints may be lost at any time, and are, when the server starts.
//
// One cache line holds the four places where a digest's hint may stand. A newcomer takes the place of the same digest, an empty
// one, or one of the four in turn.
#pragma once

#include "shmem/core_base.hpp"

namespace mirox::shmem {

struct Hint {
    std::uint32_t buffer = 0;  // the server's number of it, from 1
    std::uint32_t block = 0;   // that the buffer held
    std::uint16_t item = 0;    // line pointer of the row, or of the first of its versions on the page; from 1
};

class Hints {
  public:
    Hints() noexcept = default;
    // For so many digests: two places each, so that few of them meet four others. 0: no hint is ever found or kept.
    static std::size_t bytes(std::uint32_t digests) noexcept;
    static Hints initialise(std::byte* at, std::uint32_t digests) noexcept;  // at a cache line
    static Hints view(std::byte* at, std::uint32_t digests) noexcept;

    // A key's low bits, uniform, choose the cache line; its high 48 tell the digests of a line apart. Databases are told apart by
    // the caller's mixing them in.
    bool find(std::uint64_t key, Hint& out) const noexcept;
    void put(std::uint64_t key, const Hint& hint) noexcept;

  private:
    struct Place {
        std::atomic<std::uint64_t> where;  // buffer (32) | block (32)
        std::atomic<std::uint64_t> what;   // tag (48) | item (16); 0: empty
    };
    struct alignas(kCacheLine) Set {
        Place places[4];
    };
    static std::uint32_t sets_for(std::uint32_t digests) noexcept;

    Set* sets_ = nullptr;
    std::uint32_t mask_ = 0;
};

}  // namespace mirox::shmem
