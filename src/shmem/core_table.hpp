// A hash table with a fixed number of entries in shared memory. The counters, the rate limits and the refusals of unauthenticated
// callers use it.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or system call.
//
// The hash of a key chooses a window of neighbouring entries, and where in it the search begins. Each entry has a word `guard`:
// version | state | count, from high to low. An entry is taken and released by a compare-and-swap of this word, which raises the
// version. So a process that finds the same version before and after reading an entry knows that everything it read belongs to
// one life of the entry, that is, to one key. The count is the number of processes that use the entry at this moment, or of the
// requests that it counts.
#pragma once

#include "shmem/core_base.hpp"

namespace mirox::shmem {

template <int kCountBits, int kStateBits>
struct Guard {
    static constexpr std::uint64_t kBusy = std::uint64_t{1} << kCountBits;  // being made or released
    static constexpr std::uint64_t kFree = 0;
    static constexpr std::uint64_t kLive = 2 * kBusy;
    static constexpr std::uint64_t kCountMask = kBusy - 1;
    static constexpr std::uint64_t kVersionStep = kBusy << kStateBits;
    static constexpr std::uint64_t kStateMask = kVersionStep - kBusy;

    static constexpr std::uint64_t version_of(std::uint64_t word) noexcept { return word & ~(kVersionStep - 1); }
    static constexpr std::uint64_t state_of(std::uint64_t word) noexcept { return word & kStateMask; }
    static constexpr std::uint64_t count_of(std::uint64_t word) noexcept { return word & kCountMask; }
    // Whether both words are of one life and state of the entry.
    static constexpr bool same(std::uint64_t a, std::uint64_t b) noexcept { return (a ^ b) < kBusy; }
    // The word of the entry's next life, in this state and with a count of 0.
    static constexpr std::uint64_t next_version(std::uint64_t word, std::uint64_t state) noexcept {
        return version_of(word) + kVersionStep + state;
    }
    // Begins the entry's next life, if its word is still this one.
    static bool advance(std::atomic<std::uint64_t>& guard, std::uint64_t word, std::uint64_t state) noexcept {
        return guard.compare_exchange_strong(word, next_version(word, state), std::memory_order_acq_rel,
                                             std::memory_order_relaxed);
    }
    // Adds one to the count, if the entry is still in the life in which `word` was read.
    static bool enter(std::atomic<std::uint64_t>& guard, std::uint64_t word) noexcept {
        if (same(guard.fetch_add(1, std::memory_order_acq_rel), word)) return true;
        guard.fetch_sub(1, std::memory_order_acq_rel);
        return false;
    }
};

// A process's view of the entries. Their number is a power of two and no smaller than the window.
template <typename Entry, typename Bits, std::uint32_t kWindow>
struct Table {
    struct Found {
        std::uint32_t at = 0;
        std::uint64_t word = 0;  // its guard
    };

    Entry* entries = nullptr;
    std::uint32_t mask = 0;

    std::uint32_t window_of(std::uint64_t hash) const noexcept {
        return static_cast<std::uint32_t>(hash) & mask & ~(kWindow - 1);
    }
    // Calls each(index) for the entries of the hash's window, until it returns true.
    template <typename Each>
    bool look(std::uint64_t hash, Each&& each) const noexcept {
        for (std::uint32_t i = 0; i < kWindow; i++)
            if (each(window_of(hash) + ((static_cast<std::uint32_t>(hash) + i) & (kWindow - 1)))) return true;
        return false;
    }
    // Finds the live entry for which is(entry) is true.
    template <typename Is>
    bool find(std::uint64_t hash, Is&& is, Found& out) const noexcept {
        return look(hash, [&](std::uint32_t at) noexcept { return is_live(at, is, out); });
    }
    template <typename Is>
    bool is_live(std::uint32_t at, Is&& is, Found& out) const noexcept {
        const std::uint64_t word = entries[at].guard.load(std::memory_order_acquire);
        if (Bits::state_of(word) != Bits::kLive || !is(entries[at])) return false;
        out = {at, word};
        return true;
    }
    // Takes a free entry, or one that can_go(entry, word) allows to evict. fill(entry, index, evicted) sets its fields; then it
    // is live with this count. can_go() is asked a second time once no other process can enter the entry, since one may have used
    // it after the first time.
    template <typename CanGo, typename Fill>
    bool make(std::uint64_t hash, std::uint64_t count, CanGo&& can_go, Fill&& fill, Found& out) noexcept {
        for (const bool live : {false, true}) {
            const bool made = look(hash, [&](std::uint32_t at) noexcept {
                Entry& e = entries[at];
                const std::uint64_t word = e.guard.load(std::memory_order_acquire);
                if (Bits::state_of(word) != (live ? Bits::kLive : Bits::kFree) || (live && !can_go(e, word)) ||
                    !Bits::advance(e.guard, word, Bits::kBusy))
                    return false;
                const bool taken = !live || can_go(e, word);
                if (taken) fill(e, at, live);
                // Added, not stored: a process that came too late may have added one to the count, and will subtract it again.
                const std::uint64_t opening = Bits::kLive - Bits::kBusy + (taken ? count : Bits::count_of(word));
                out = {at, e.guard.fetch_add(opening, std::memory_order_acq_rel) + opening};
                return taken;
            });
            if (made) return true;
        }
        return false;
    }
};

}  // namespace mirox::shmem
