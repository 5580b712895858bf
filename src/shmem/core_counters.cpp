// Counters of tokens. Holds no server call, exception, allocation or system call.
//
// An entry is found by fingerprint in its hash's window of kWindow places. Whoever counts adds
// one to the guard first: if the guard's version is still the one it saw, the entry cannot be given to
// another before the count has been made, published, applied and stored; else it takes the one back and looks
// again.
#include "shmem/core_counters.hpp"

namespace mirox::shmem {

namespace {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

constexpr std::uint32_t kWindow = 32;
constexpr unsigned kLockSpins = 2000;
constexpr unsigned kReadTries = 64;

using Bits = Guard<32, 2>;  // counts uses
constexpr std::uint64_t kFree = Bits::kFree, kBusy = Bits::kBusy, kLive = Bits::kLive;

constexpr std::uint32_t tag_of(std::uint64_t guard) noexcept {
    return static_cast<std::uint32_t>(guard >> 32);
}

std::uint64_t hash_of(const TokenKey& key) noexcept {
    return combine(combine(key.database, static_cast<std::uint32_t>(key.generation)),
                   static_cast<std::uint64_t>(key.token));
}
// The window's first place, and the one to begin with.
constexpr std::uint32_t window_of(std::uint64_t hash, std::uint32_t mask) noexcept {
    return static_cast<std::uint32_t>(hash) & mask & ~(kWindow - 1);
}
constexpr std::uint32_t place_in(std::uint64_t hash, std::uint32_t i) noexcept {
    return (static_cast<std::uint32_t>(hash) + i) & (kWindow - 1);
}
constexpr std::uint32_t print_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32) | 1;
}

bool is_of(const CounterEntry& e, const TokenKey& key) noexcept {
    return e.token.load(memory_order_relaxed) == key.token &&
           e.generation.load(memory_order_relaxed) == key.generation &&
           e.database.load(memory_order_relaxed) == key.database;
}

// The details belong to the greatest time seen. A writer that finds another at work leaves it to that one:
// both uses are of this moment.
void note_use(CounterEntry& e, const Event& event) noexcept {
    if (event.at <= e.last_used.load(memory_order_relaxed)) return;
    std::uint32_t lock = e.last_lock.load(memory_order_relaxed);
    if ((lock & 1) == 0 &&
        e.last_lock.compare_exchange_strong(lock, lock + 1, memory_order_acq_rel, memory_order_relaxed)) {
        if (event.at > e.last_used.load(memory_order_relaxed)) {
            e.address_high.store(event.address.high(), memory_order_release);
            e.address_low.store(event.address.low(), memory_order_release);
            e.family.store(event.address.family, memory_order_release);
            e.agent.store(text_key(event.agent), memory_order_release);
            raise_to(e.last_used, event.at);
        }
        e.last_lock.store(lock + 2, memory_order_release);
    } else {
        raise_to(e.last_used, event.at);
    }
}

}  // namespace

namespace {
constexpr std::size_t words_bytes(std::uint32_t words) noexcept {
    return round_up(std::size_t{words} * sizeof(std::atomic<std::uint32_t>), kCacheLine);
}
}  // namespace

std::size_t Counters::bytes(std::uint32_t entries) noexcept {
    return sizeof(CountersHead) + words_bytes(entries) + words_bytes(entries / kWindow) +
           std::size_t{entries} * sizeof(CounterEntry);
}

Counters Counters::view(std::byte* at, std::uint32_t entries) noexcept {
    Counters c;
    c.head_ = reinterpret_cast<CountersHead*>(at);
    at += sizeof(CountersHead);
    c.prints_ = reinterpret_cast<std::atomic<std::uint32_t>*>(at);
    at += words_bytes(entries);
    c.full_at_ = reinterpret_cast<std::atomic<std::uint32_t>*>(at);
    at += words_bytes(entries / kWindow);
    c.entries_ = reinterpret_cast<CounterEntry*>(at);
    return c;
}

Counters Counters::initialise(std::byte* at, std::uint32_t entries) noexcept {
    std::memset(at, 0, bytes(entries));
    Counters c = view(at, entries);
    c.head_->entries = entries;
    return c;
}

void Counters::clear() noexcept {
    const std::uint32_t n = head_->entries;
    initialise(reinterpret_cast<std::byte*>(head_), n);
}

// The places of the hash's window that have its fingerprint, in the order in which they are tried, until each(place) says that it
// is the one.
template <typename Each>
bool Counters::look(std::uint64_t hash, Each&& each) const noexcept {
    const std::uint32_t window = window_of(hash, head_->entries - 1);
    const std::uint32_t print = print_of(hash);
    for (std::uint32_t i = 0; i < kWindow; i++) {
        const std::uint32_t at = window + place_in(hash, i);
        if (prints_[at].load(memory_order_relaxed) == print && each(at)) return true;
    }
    return false;
}

bool Counters::find(const TokenKey& key, std::uint64_t hash, std::uint32_t& entry,
                    std::uint64_t& guard) const noexcept {
    return look(hash, [&](std::uint32_t at) noexcept {
        const std::uint64_t g = entries_[at].guard.load(memory_order_acquire);
        if (Bits::state_of(g) != kLive || !is_of(entries_[at], key)) return false;
        entry = at;
        guard = g;
        return true;
    });
}

// Takes a place that is free, or whose entry nobody needs any more.
bool Counters::take(std::uint32_t at, const Ring& ring) noexcept {
    CounterEntry& e = entries_[at];
    std::uint64_t g = e.guard.load(memory_order_acquire);
    if (Bits::state_of(g) == kLive) {
        const std::uint64_t uses = e.uses.load(memory_order_acquire);
        const std::uint64_t refusals = e.refusals.load(memory_order_acquire);
        if (static_cast<std::uint32_t>(uses + refusals) != static_cast<std::uint32_t>(g)) return false;
        if (uses != e.posted_uses.load(memory_order_acquire) ||
            refusals != e.posted_refusals.load(memory_order_acquire))
            return false;
        const LaneRef lane = ring.find_lane(e.database.load(memory_order_relaxed));
        if (lane && e.posted_at.load(memory_order_acquire) > ring.freed_before(lane)) return false;
        if (!e.guard.compare_exchange_strong(g, Bits::next_version(g, kBusy), memory_order_acq_rel,
                                             memory_order_relaxed))
            return false;
        head_->evictions.fetch_add(1, memory_order_relaxed);
        return true;
    }
    if (Bits::state_of(g) != kFree ||
        !e.guard.compare_exchange_strong(g, Bits::next_version(g, kBusy), memory_order_acq_rel,
                                         memory_order_relaxed))
        return false;
    head_->used.fetch_add(1, memory_order_relaxed);
    return true;
}

bool Counters::make(const TokenKey& key, std::uint64_t hash, const Ring& ring, std::uint32_t& entry,
                    std::uint64_t& guard) noexcept {
    // Nothing in the window could be given up since this step of freeing, and nothing can before the next.
    const std::uint32_t window = window_of(hash, head_->entries - 1);
    std::atomic<std::uint32_t>& full_at = full_at_[window / kWindow];
    const std::uint32_t step = ring.free_steps() + 1;
    if (full_at.load(memory_order_relaxed) == step) return false;
    // Two entries of one key must not come to be: the lock is by hash, so both makers want the same.
    BoundedLock& lock = head_->locks[(hash >> 24) % 64];
    if (!lock.acquire(kLockSpins)) return false;
    bool done = find(key, hash, entry, guard);
    for (int round = 0; round < 2 && !done; round++) {
        for (std::uint32_t i = 0; i < kWindow && !done; i++) {
            const std::uint32_t at = window + place_in(hash, i);
            CounterEntry& e = entries_[at];
            // Free places first, evictions in the second round.
            if (round == 0 && Bits::state_of(e.guard.load(memory_order_relaxed)) != kFree) continue;
            if (!take(at, ring)) continue;
            e.uses.store(0, memory_order_relaxed);
            e.refusals.store(0, memory_order_relaxed);
            e.last_used.store(0, memory_order_relaxed);
            e.last_refused.store(0, memory_order_relaxed);
            e.last_lock.store(0, memory_order_relaxed);
            e.family.store(0, memory_order_relaxed);
            e.agent.store(0, memory_order_relaxed);
            e.posted_at.store(0, memory_order_relaxed);
            e.posted_uses.store(0, memory_order_relaxed);
            e.posted_refusals.store(0, memory_order_relaxed);
            e.before_uses.store(0, memory_order_relaxed);
            e.before_refusals.store(0, memory_order_relaxed);
            e.post_lock.store(0, memory_order_relaxed);
            e.token.store(key.token, memory_order_relaxed);
            e.generation.store(key.generation, memory_order_relaxed);
            e.database.store(key.database, memory_order_relaxed);
            prints_[at].store(print_of(hash), memory_order_relaxed);
            // Added, not stored: one that looked too late may have put its one here and will take it back.
            guard = e.guard.fetch_add(kLive - kBusy, memory_order_acq_rel) + (kLive - kBusy);
            entry = at;
            done = true;
        }
    }
    if (!done) full_at.store(step, memory_order_relaxed);
    lock.release();
    return done;
}

Counters::Counted Counters::count(const TokenKey& key, const Event& event, const Ring& ring) noexcept {
    const std::uint64_t hash = hash_of(key);
    for (unsigned tries = 0; tries < kReadTries; tries++) {
        std::uint32_t at = 0;
        std::uint64_t guard = 0;
        if (!find(key, hash, at, guard) && !make(key, hash, ring, at, guard)) break;
        CounterEntry& e = entries_[at];
        if (tag_of(e.guard.fetch_add(1, memory_order_acq_rel)) != tag_of(guard)) {
            e.guard.fetch_sub(1, memory_order_acq_rel);
            continue;
        }
        const bool refusal = event.kind == EventKind::refusal;
        if (refusal) {
            raise_to(e.last_refused, event.at);
            e.refusals.fetch_add(1, memory_order_acq_rel);
        } else {
            note_use(e, event);
            e.uses.fetch_add(1, memory_order_acq_rel);
        }
        return {at, tag_of(guard), refusal};
    }
    head_->misses.fetch_add(1, memory_order_relaxed);
    return {};
}

void Counters::undo(const Counted& counted) noexcept {
    if (!counted) return;
    CounterEntry& e = entries_[counted.entry];
    // The guard first: until the count follows they differ, and nobody may take the entry. It can only have
    // changed hands by forget(), and then there is nothing to undo.
    std::uint64_t g = e.guard.load(memory_order_relaxed);
    do {
        if (tag_of(g) != counted.tag) return;
    } while (!e.guard.compare_exchange_weak(g, g - 1, memory_order_acq_rel, memory_order_relaxed));
    (counted.refusal ? e.refusals : e.uses).fetch_sub(1, memory_order_acq_rel);
}

bool Counters::post(const TokenKey& key, std::uint64_t from, std::uint64_t to, std::uint64_t uses,
                    std::uint64_t refusals) noexcept {
    std::uint32_t at = 0;
    std::uint64_t guard = 0;
    if (!find(key, hash_of(key), at, guard)) return false;
    CounterEntry& e = entries_[at];
    const std::uint32_t lock = e.post_lock.load(memory_order_relaxed) & ~1U;
    e.post_lock.store(lock + 1, memory_order_relaxed);
    // A pair past the stored position is of a batch that was rolled back: the one before it holds.
    if (e.posted_at.load(memory_order_relaxed) <= from) {
        e.before_uses.store(e.posted_uses.load(memory_order_relaxed), memory_order_release);
        e.before_refusals.store(e.posted_refusals.load(memory_order_relaxed), memory_order_release);
    }
    // Released, so that take(), which reads these without the lock, never sees a new D with an old position.
    e.posted_at.store(to, memory_order_release);
    e.posted_uses.store(e.before_uses.load(memory_order_relaxed) + uses, memory_order_release);
    e.posted_refusals.store(e.before_refusals.load(memory_order_relaxed) + refusals, memory_order_release);
    e.post_lock.store(lock + 2, memory_order_release);
    return true;
}

bool Counters::pending(const TokenKey& key, std::uint64_t stored, PendingCounts& out) const noexcept {
    const std::uint64_t hash = hash_of(key);
    for (unsigned tries = 0; tries < kReadTries; tries++) {
        std::uint32_t at = 0;
        std::uint64_t guard = 0;
        if (!find(key, hash, at, guard)) return false;
        const CounterEntry& e = entries_[at];

        // D before C: what is counted in between is shown rather than missed.
        std::uint64_t uses = 0;
        std::uint64_t refusals = 0;
        const std::uint32_t post = e.post_lock.load(memory_order_acquire);
        const bool newest = stored >= e.posted_at.load(memory_order_acquire);
        uses = (newest ? e.posted_uses : e.before_uses).load(memory_order_acquire);
        refusals = (newest ? e.posted_refusals : e.before_refusals).load(memory_order_acquire);
        if ((post & 1) != 0 || e.post_lock.load(memory_order_relaxed) != post) {
            pause();
            continue;
        }
        const std::uint64_t all_uses = e.uses.load(memory_order_acquire);
        const std::uint64_t all_refusals = e.refusals.load(memory_order_acquire);
        out.uses = all_uses > uses ? all_uses - uses : 0;
        out.refusals = all_refusals > refusals ? all_refusals - refusals : 0;
        out.last_refused = e.last_refused.load(memory_order_acquire);
        out.last_address = {};
        out.last_agent = 0;
        for (unsigned again = 0; again < kReadTries; again++) {
            const std::uint32_t lock = e.last_lock.load(memory_order_acquire);
            out.last_used = e.last_used.load(memory_order_acquire);
            const std::uint64_t high = e.address_high.load(memory_order_acquire);
            const std::uint64_t low = e.address_low.load(memory_order_acquire);
            const auto family = static_cast<std::uint8_t>(e.family.load(memory_order_acquire));
            const std::uint64_t agent = e.agent.load(memory_order_acquire);
            if ((lock & 1) == 0 && e.last_lock.load(memory_order_relaxed) == lock) {
                if (family != 0) out.last_address = Address::from_words(high, low, family);
                out.last_agent = agent;
                break;
            }
            pause();
        }
        if (tag_of(e.guard.load(memory_order_acquire)) == tag_of(guard)) return true;
    }
    return false;
}

bool Counters::key_at(std::uint32_t entry, std::uint32_t database, TokenKey& key) const noexcept {
    const CounterEntry& e = entries_[entry];
    const std::uint64_t g = e.guard.load(memory_order_acquire);
    if (Bits::state_of(g) != kLive || e.database.load(memory_order_relaxed) != database) return false;
    key = {database, e.generation.load(memory_order_relaxed), e.token.load(memory_order_relaxed)};
    // Still the same token's: what was read belongs together.
    return tag_of(e.guard.load(memory_order_acquire)) == tag_of(g);
}

void Counters::forget(std::uint32_t database) noexcept {
    for (std::uint32_t at = 0; at < head_->entries; at++) {
        CounterEntry& e = entries_[at];
        for (unsigned tries = 0; tries < kReadTries; tries++) {
            std::uint64_t g = e.guard.load(memory_order_acquire);
            if (Bits::state_of(g) != kLive || e.database.load(memory_order_relaxed) != database) break;
            const std::uint64_t all =
                e.uses.load(memory_order_acquire) + e.refusals.load(memory_order_acquire);
            if (static_cast<std::uint32_t>(all) == static_cast<std::uint32_t>(g) &&
                e.guard.compare_exchange_strong(g, Bits::next_version(g, kFree), memory_order_acq_rel,
                                                memory_order_relaxed)) {
                prints_[at].store(0, memory_order_relaxed);
                full_at_[at / kWindow].store(0, memory_order_relaxed);
                head_->used.fetch_sub(1, memory_order_relaxed);
                break;
            }
            pause();
        }
    }
}

}  // namespace mirox::shmem
