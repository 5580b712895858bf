// Counters of tokens: what of a token's use is on its way to the tables, so that a view need not wait for a drain.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or system call. Counting
// is lock-free; making an entry takes a bounded lock of its hash, and gives up when it cannot have it.
//
// The scheme. An entry belongs to (database, token, generation) and counts, for as long as it lives, the uses and refusals that
// went into the ring with the mark "counted": C, only ever growing. Beside it stands D, how many of those the worker has applied
// *at a stored position*: the last two pairs (position, D) are kept. A reader takes a snapshot of the tables, and in it T, the
// token's stored counts, and P, the stored position of this node's queue; then
//
//     shown = T + C - D(P)          last use = the greater of the table's and the entry's
//
// where D(P) is the newest pair's when P has reached its position, else the one before. That is exact: the worker posts a pair
// *before* it commits, so a snapshot that holds the batch (P >= its position) finds the pair, and one that does not, finds the
// pair before. No base has to be read when an entry is made, T may hold the uses of other nodes too, and an aborted batch is
// undone by being posted again (post() says from which position on). A snapshot older than the last two drains sees its own T and
// some of what followed, never more than was made.
//
// Eviction. An entry may go when C = D, its newest pair is stored and a later drain has been stored after that, so that no reader
// of the present needs it. A newcomer that finds no room is in the ring all the same, unmarked; the miss is counted, and the view
// shows it after the drain.
//
// Death and restart. The table is rebuilt from the ring at attach: cleared, then every event not freed is counted again with D =
// 0 at position 0. Those that had been applied but not freed, the worker posts as applied before its first batch (as a batch from
// freed to stored); until then a view may show them twice, and asks unsettled() first.
//
// An event that finds no room in the ring is taken back from C: what is shown is what is recorded.
#pragma once

#include "shmem/core_ring.hpp"
#include "shmem/core_table.hpp"

namespace mirox::shmem {

struct TokenKey {
    std::uint32_t database = 0;
    std::int32_t generation = 0;
    std::int64_t token = 0;
};

// What a view adds to the stored counts.
struct PendingCounts {
    std::uint64_t uses = 0;
    std::uint64_t refusals = 0;
    Micros last_used = 0;          // 0: no use since the entry was made
    Micros last_refused = 0;       // 0: no refusal
    core::Address last_address;    // of the last use; none when it was being written, or there is none
    std::uint64_t last_agent = 0;  // text_key() of its user agent
};

struct alignas(kCacheLine) CounterEntry {
    // version (30) | state (2) | events begun to be counted (32). Equal to uses + refusals when nobody is counting.
    std::atomic<std::uint64_t> guard;
    std::atomic<std::uint64_t> uses;
    std::atomic<std::uint64_t> refusals;
    std::atomic<std::int64_t> last_used;
    std::atomic<std::int64_t> last_refused;
    std::atomic<std::int64_t> token;
    std::atomic<std::uint32_t> database;
    std::atomic<std::int32_t> generation;
    std::atomic<std::uint32_t> last_lock;  // odd while the last use's details are being written
    // Details of the last use, on the second line.
    alignas(kCacheLine) SharedAddress address;
    std::atomic<std::uint64_t> agent;
    // The worker's: D and the D before.
    std::atomic<std::uint64_t> posted_at;
    std::atomic<std::uint64_t> posted_uses;
    std::atomic<std::uint64_t> posted_refusals;
    std::atomic<std::uint64_t> before_uses;
    std::atomic<std::uint64_t> before_refusals;
    std::atomic<std::uint32_t> post_lock;  // odd while they are being written
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
    // What count() gives, for undo().
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
    void clear() noexcept;  // exclusive, nobody else attached

    // Counts an event about to be published with the mark, or says that it could not. Lock-free for a known token.
    Counted count(const TokenKey& key, const Event& event, const Ring& ring) noexcept;
    // The event was not published after all.
    void undo(const Counted& counted) noexcept;

    // Worker of the database, before COMMIT of the batch that applies [from, to): of these events so many *marked* uses and
    // refusals are this token's. `from` is the position stored before the batch. False when the token has no entry, which only
    // happens when nothing of it was marked.
    bool post(const TokenKey& key, std::uint64_t from, std::uint64_t to, std::uint64_t uses, std::uint64_t refusals) noexcept;

    // A reader whose snapshot has the stored position `stored`. False when there is nothing to add.
    bool pending(const TokenKey& key, std::uint64_t stored, PendingCounts& out) const noexcept;

    // For a reader of all: each index below entries(); false when no token of the database has the entry.
    bool key_at(std::uint32_t entry, std::uint32_t database, TokenKey& key) const noexcept;

    // Exclusive. Forgets a database's tokens (its extension was dropped).
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
    std::atomic<std::uint32_t>* prints_ = nullptr;  // of each entry's key a fingerprint: a miss reads two lines
    // Of each window, the step of freeing (and one) at which a newcomer found no place in it, so that the next ones need not
    // look.
    std::atomic<std::uint32_t>* full_at_ = nullptr;
    Entries table_;
};

}  // namespace mirox::shmem
