// The word that guards an entry of a table in shared memory: version | state | count, from high to low.
//
// May include the C++ library only; holds no server call, exception, allocation or system call.
//
// An entry is taken and given away by a compare-and-swap of this word, which raises the version. So whoever has read the word and
// finds the same version later knows that what he read in between belongs to one life of the entry. The count is of those who
// hold the entry at this moment, or of what it counts.
#pragma once

#include <cstdint>

namespace mirox::shmem {

template <int kCountBits, int kStateBits>
struct Guard {
    static constexpr std::uint64_t kBusy = std::uint64_t{1} << kCountBits;  // being made or unmade
    static constexpr std::uint64_t kFree = 0;
    static constexpr std::uint64_t kLive = 2 * kBusy;
    static constexpr std::uint64_t kCountMask = kBusy - 1;
    static constexpr std::uint64_t kVersionStep = kBusy << kStateBits;
    static constexpr std::uint64_t kStateMask = kVersionStep - kBusy;

    static constexpr std::uint64_t version_of(std::uint64_t word) noexcept {
        return word & ~(kVersionStep - 1);
    }
    static constexpr std::uint64_t state_of(std::uint64_t word) noexcept { return word & kStateMask; }
    static constexpr std::uint64_t without_count(std::uint64_t word) noexcept { return word & ~kCountMask; }
    // The word of the entry's next life, in this state and with a count of 0.
    static constexpr std::uint64_t next_version(std::uint64_t word, std::uint64_t state) noexcept {
        return version_of(word) + kVersionStep + state;
    }
};

}  // namespace mirox::shmem
