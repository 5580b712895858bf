// Counters of tokens: the uses of each token that are not in the tables yet, so that a view need not wait for a drain.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or system call. Counting
// is lock-free. Making an entry takes a bounded lock chosen by hash, and is given up when the lock cannot be had.
//
// The scheme. An entry belongs to (database, token, generation). Its count C is the number of uses and refusals that went into
// the ring with the mark "counted"; it only grows. D is how many of those the worker has applied up to a stored position. The
// last two pairs (position, D) are kept. A reader takes a snapshot of the tables. In it, it reads T, the token's stored counts,
// and P, the stored position of this node's queue. A view then shows
//
//     shown = T + C - D(P)          last use = the greater of the table's and the entry's
//
// where D(P) is the D of the newest pair when P has reached its position, else the D of the pair before. That is exact, since the
// worker posts a pair before it commits: a snapshot that has the batch (P >= its position) finds the newest pair, and one that
// does not have it uses the pair before. T may include uses on other nodes. When a batch is rolled back, posting the next one
// replaces its pair (see `from` of post()). A snapshot older than the last two drains shows its own T and a part of the later
// uses, never more than there were.
//
// Eviction. An entry may be evicted when C = D, its newest pair is stored, and a later drain has been stored after that, so that
// no current reader needs it. If a token finds no free entry, its use goes into the ring without the mark and counts as a miss;
// views show it after the drain.
//
// Restart. At attach the table is cleared and rebuilt from the ring: every event that is not freed is counted again, with D = 0
// at position 0. Some of them may be applied already. The worker posts those before its first batch, as a batch from the freed to
// the stored position. Until then a view would count them twice, so it asks unposted() first.
//
// An event that finds no room in the ring is subtracted from C again, since it is not recorded. It is counted as lost instead: its
// token's totals include it. The worker adds lost events to the tables from time to time, and takes them off the entry after COMMIT.
// Until then the entry is not evicted. So totals stay exact for as many tokens as there are entries, unless the server stops before.
#pragma once

#include "shmem/core_ring.hpp"
#include "shmem/core_table.hpp"

namespace mirox::shmem {

struct TokenKey {
    std::uint32_t database = 0;
    std::int32_t generation = 0;
    std::int64_t token = 0;
};

// The counts that a view adds to the stored ones.
struct PendingCounts {
    std::uint64_t uses = 0;
    std::uint64_t refusals = 0;
    Micros last_used = 0;          // 0: no use since the entry was made
    Micros last_refused = 0;       // 0: no refusal
    core::Address last_address;    // of the last use; none when unknown or just being written
    std::uint64_t last_agent = 0;  // text_key() of its user agent
};

struct alignas(kCacheLine) CounterEntry {
    // version (30) | state (2) | events whose counting has begun (32). The last equals uses + refusals when no process is
    // counting.
    std::atomic<std::uint64_t> guard;
    std::atomic<std::uint64_t> uses;
    std::atomic<std::uint64_t> refusals;
    std::atomic<std::int64_t> last_used;
    std::atomic<std::int64_t> last_refused;
    std::atomic<std::int64_t> token;
    std::atomic<std::uint32_t> database;
    std::atomic<std::int32_t> generation;
    std::atomic<std::uint32_t> last_lock;  // odd while the details of the last use are being written
    // Details of the last use, on the second cache line.
    alignas(kCacheLine) SharedAddress address;
    std::atomic<std::uint64_t> agent;
    // Written by the worker: D and the D before.
    std::atomic<std::uint64_t> posted_at;
    std::atomic<std::uint64_t> posted_uses;
    std::atomic<std::uint64_t> posted_refusals;
    std::atomic<std::uint64_t> before_uses;
    std::atomic<std::uint64_t> before_refusals;
    std::atomic<std::uint32_t> post_lock;  // odd while they are being written
    // Events that found no room in the ring, and that the worker has not added to the tables yet.
    std::atomic<std::uint64_t> lost_uses;
    std::atomic<std::uint64_t> lost_refusals;
};
static_assert(sizeof(CounterEntry) == 3 * kCacheLine);

struct alignas(kCacheLine) CountersHead {
    std::uint32_t entries;  // a power of two
    alignas(kCacheLine) std::atomic<std::uint64_t> misses;
    std::atomic<std::uint64_t> evictions;
    std::atomic<std::uint32_t> used;
    alignas(kCacheLine) BoundedLock locks[64];
};

class Counters {
  public:
    // The result of count(), for undo().
    struct Counted {
        std::uint32_t entry = 0;
        std::uint32_t tag = 0;  // 0: not counted
        bool refusal = false;

        explicit operator bool() const noexcept { return tag != 0; }
    };

    Counters() noexcept = default;
    static std::size_t bytes(std::uint32_t entries) noexcept;
    static Counters initialise(std::byte* at, std::uint32_t entries) noexcept;
    static Counters view(std::byte* at, std::uint32_t entries) noexcept;
    void clear() noexcept;  // no other process may be attached

    // Counts an event that is about to be published with the mark. The result says whether it could. Lock-free for a token that
    // has an entry.
    Counted count(const TokenKey& key, const Event& event, const Ring& ring) noexcept;
    // To call when the event could not be published, and is tried again.
    void undo(const Counted& counted) noexcept;
    // To call when the event could not be published, and is dropped.
    void lose(const Counted& counted) noexcept;
    // The lost events of a token. After the worker has added them to the tables, it takes them off.
    bool lost(const TokenKey& key, PendingCounts& out) const noexcept;
    void take_lost(const TokenKey& key, std::uint64_t uses, std::uint64_t refusals) noexcept;

    // Called by the database's worker before COMMIT of the batch that applies [from, to): the number of marked uses and refusals
    // of this token in it. `from` is the position stored before the batch. False when the token has no entry; then none of its
    // events was marked.
    bool post(const TokenKey& key, std::uint64_t from, std::uint64_t to, std::uint64_t uses, std::uint64_t refusals) noexcept;

    // For a reader whose snapshot has the stored position `stored`. False when there is nothing to add.
    bool pending(const TokenKey& key, std::uint64_t stored, PendingCounts& out) const noexcept;

    // For a reader of all tokens: call it for each index below entries(). False when the entry is of no token of the database.
    bool key_at(std::uint32_t entry, std::uint32_t database, TokenKey& key) const noexcept;

    // Exclusive. Removes the entries of a database whose extension was dropped.
    void forget(std::uint32_t database) noexcept;

    std::uint32_t entries() const noexcept { return head_->entries; }
    std::uint32_t used() const noexcept { return head_->used.load(std::memory_order_relaxed); }
    std::uint64_t misses() const noexcept { return head_->misses.load(std::memory_order_relaxed); }
    std::uint64_t evictions() const noexcept { return head_->evictions.load(std::memory_order_relaxed); }

  private:
    static constexpr std::uint32_t kWindow = 32;
    using Bits = Guard<32, 2>;  // counts uses
    using Entries = Table<CounterEntry, Bits, kWindow>;
    using Found = Entries::Found;

    bool find(const TokenKey& key, std::uint64_t hash, Found& out) const noexcept;
    bool make(const TokenKey& key, std::uint64_t hash, const Ring& ring, Found& out) noexcept;
    static bool can_go(const CounterEntry& e, std::uint64_t word, const Ring& ring) noexcept;

    CountersHead* head_ = nullptr;
    std::atomic<std::uint32_t>* prints_ = nullptr;  // a fingerprint of each entry's key: a miss reads two cache lines
    // For each window the step of freeing, plus one, at which no entry in it could be had. Until the next step no process tries
    // again.
    std::atomic<std::uint32_t>* full_at_ = nullptr;
    Entries table_;
};

}  // namespace mirox::shmem
