// The state of rate limits: one 64-bit word for each account, shared by all processes, on which core/rate_limit.hpp draws.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or system call. Finding
// a word is lock-free; making an entry takes a bounded lock chosen by hash.
//
// The caller defines what a word means. This table only asks whether a word is idle, that is, equivalent to a word that was never
// drawn on (core::is_idle). When the table is full, no account gets a looser limit:
//   - only an idle word on which no process draws is given to another account. Its old account loses nothing, since a new word is
//     equivalent;
//   - an account that finds no free word draws on one of a few shared words, which makes its limit stricter;
//   - when the account gets its own word later, it begins as a copy of the shared one. Both steps happen under the lock of the
//     account's hash, so that no draw falls between them.
// When the lock cannot be had at once, because the process that has it is not running, use() returns `none` and draws nothing.
// The caller sleeps for a millisecond and retries, and refuses the request after some tries.
#pragma once

#include "shmem/core_table.hpp"

namespace mirox::shmem {

struct alignas(kCacheLine) LimitEntry {
    std::atomic<std::uint64_t> guard;  // counts the processes that draw at this moment
    std::atomic<std::uint64_t> word;
    std::atomic<std::int64_t> account;
    std::atomic<std::uint32_t> database;
};
static_assert(sizeof(LimitEntry) == kCacheLine);

inline constexpr std::uint32_t kSharedWords = 256;
inline constexpr std::uint32_t kLimitLocks = 256;

struct alignas(kCacheLine) LimitsHead {
    std::uint32_t entries;  // a power of two
    alignas(kCacheLine) std::atomic<std::uint64_t> shared_draws;
    std::atomic<std::uint32_t> used;
    alignas(kCacheLine) BoundedLock locks[kLimitLocks];
    struct alignas(kCacheLine) {
        std::atomic<std::uint64_t> word;
    } shared[kSharedWords];
};

class Limits {
  public:
    using IdleFn = bool (*)(std::uint64_t word, Micros now) noexcept;
    enum class Word : std::uint8_t { own, shared, none };

    Limits() noexcept = default;
    static std::size_t bytes(std::uint32_t entries) noexcept;
    static Limits initialise(std::byte* at, std::uint32_t entries) noexcept;
    static Limits view(std::byte* at, std::uint32_t entries) noexcept;
    // Calls draw(std::atomic<std::uint64_t>&) once on the account's word. `draw` must make no server call, since the entry cannot
    // be evicted while it runs.
    template <typename Draw>
    Word use(std::uint32_t database, std::int64_t account, Micros now, IdleFn idle, Draw&& draw) noexcept {
        const std::uint64_t hash = hash_of(database, account);
        Found found;
        for (unsigned tries = 0; tries < 64; tries++) {
            while (find(database, account, hash, found)) {
                LimitEntry& e = table_.entries[found.at];
                if (!Bits::enter(e.guard, found.word)) continue;
                draw(e.word);
                e.guard.fetch_sub(1, std::memory_order_release);
                return Word::own;
            }
            BoundedLock& lock = head_->locks[(hash >> 40) % kLimitLocks];
            if (!lock.acquire(kSpins)) break;
            if (make(database, account, hash, now, idle)) {
                lock.release();
                continue;
            }
            draw(shared_of(hash));
            head_->shared_draws.fetch_add(1, std::memory_order_relaxed);
            lock.release();
            return Word::shared;
        }
        return Word::none;
    }

    // The word's value, without a draw. For an account without a word this is its shared word, which is 0 when it was never used.
    std::uint64_t peek(std::uint32_t database, std::int64_t account) const noexcept;

    std::uint32_t entries() const noexcept { return head_->entries; }
    std::uint32_t used() const noexcept { return head_->used.load(std::memory_order_relaxed); }
    std::uint64_t shared_draws() const noexcept { return head_->shared_draws.load(std::memory_order_relaxed); }

  private:
    static constexpr unsigned kSpins = 4000;  // some ten microseconds
    using Bits = Guard<30, 2>;
    using Entries = Table<LimitEntry, Bits, 32>;
    using Found = Entries::Found;

    static std::uint64_t hash_of(std::uint32_t database, std::int64_t account) noexcept {
        return combine(database, static_cast<std::uint64_t>(account));
    }
    std::atomic<std::uint64_t>& shared_of(std::uint64_t hash) const noexcept {
        return head_->shared[(hash >> 48) % kSharedWords].word;
    }
    bool find(std::uint32_t database, std::int64_t account, std::uint64_t hash, Found& out) const noexcept;
    // Call with the lock held. True when the account has an entry now.
    bool make(std::uint32_t database, std::int64_t account, std::uint64_t hash, Micros now, IdleFn idle) noexcept;

    LimitsHead* head_ = nullptr;
    Entries table_;
};

}  // namespace mirox::shmem
