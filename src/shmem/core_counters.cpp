// Counters of tokens (see core_counters.hpp). Holds no server call, exception, allocation or system call.
//
// An entry is found by a fingerprint of its key. A process that counts adds one to the guard first. If the guard's version is
// still the one it saw, the entry cannot be given to another token before the event has been counted, published, applied and
// stored. Otherwise the process subtracts the one again and repeats the search.
#include "shmem/core_counters.hpp"

namespace mirox::shmem {

namespace {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

constexpr unsigned kLockSpins = 2000;
constexpr unsigned kReadTries = 64;

constexpr std::uint32_t tag_of(std::uint64_t guard) noexcept {
    return static_cast<std::uint32_t>(guard >> 32);
}

std::uint64_t hash_of(const TokenKey& key) noexcept {
    return combine(combine(key.database, static_cast<std::uint32_t>(key.generation)), static_cast<std::uint64_t>(key.token));
}
constexpr std::uint32_t print_of(std::uint64_t hash) noexcept {
    return static_cast<std::uint32_t>(hash >> 32) | 1;
}

bool is_of(const CounterEntry& e, const TokenKey& key) noexcept {
    return e.token.load(memory_order_relaxed) == key.token && e.generation.load(memory_order_relaxed) == key.generation &&
           e.database.load(memory_order_relaxed) == key.database;
}

// The details belong to the latest use. A writer that finds another one writing leaves the details to it: both uses are of this
// moment.
void note_use(CounterEntry& e, const Event& event) noexcept {
    if (event.at <= e.last_used.load(memory_order_relaxed)) return;
    std::uint32_t lock = e.last_lock.load(memory_order_relaxed);
    if ((lock & 1) == 0 && e.last_lock.compare_exchange_strong(lock, lock + 1, memory_order_acq_rel, memory_order_relaxed)) {
        if (event.at > e.last_used.load(memory_order_relaxed)) {
            e.address.store(event.address);
            e.agent.store(text_key(event.texts[kAgent]), memory_order_release);
            raise_to(e.last_used, event.at);
        }
        e.last_lock.store(lock + 2, memory_order_release);
    } else {
        raise_to(e.last_used, event.at);
    }
}

// The last use with its details; only its time when the details were being written.
void read_last_use(const CounterEntry& e, PendingCounts& out) noexcept {
    for (unsigned tries = 0; tries < kReadTries; tries++) {
        const std::uint32_t lock = e.last_lock.load(memory_order_acquire);
        out.last_used = e.last_used.load(memory_order_acquire);
        const core::Address address = e.address.load();
        const std::uint64_t agent = e.agent.load(memory_order_acquire);
        if ((lock & 1) == 0 && e.last_lock.load(memory_order_relaxed) == lock) {
            out.last_address = address;
            out.last_agent = agent;
            return;
        }
        pause();
    }
}

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
    c.table_ = {reinterpret_cast<CounterEntry*>(at), entries - 1};
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

bool Counters::find(const TokenKey& key, std::uint64_t hash, Found& out) const noexcept {
    const auto is = [&](const CounterEntry& e) noexcept { return is_of(e, key); };
    return table_.look(hash, [&](std::uint32_t at) noexcept {
        return prints_[at].load(memory_order_relaxed) == print_of(hash) && table_.is_live(at, is, out);
    });
}

// Whether the entry may be evicted.
bool Counters::can_go(const CounterEntry& e, std::uint64_t word, const Ring& ring) noexcept {
    const std::uint64_t uses = e.uses.load(memory_order_acquire);
    const std::uint64_t refusals = e.refusals.load(memory_order_acquire);
    if (static_cast<std::uint32_t>(uses + refusals) != static_cast<std::uint32_t>(word) ||
        uses != e.posted_uses.load(memory_order_acquire) || refusals != e.posted_refusals.load(memory_order_acquire) ||
        e.lost_uses.load(memory_order_acquire) != 0 || e.lost_refusals.load(memory_order_acquire) != 0)
        return false;
    const QueueRef queue = ring.find_queue(e.database.load(memory_order_relaxed));
    return !queue || e.posted_at.load(memory_order_acquire) <= ring.freed_before(queue);
}

bool Counters::make(const TokenKey& key, std::uint64_t hash, const Ring& ring, Found& out) noexcept {
    // No entry of the window could be evicted at this step of freeing, and none can be before the next step.
    std::atomic<std::uint32_t>& full_at = full_at_[table_.window_of(hash) / kWindow];
    const std::uint32_t step = ring.free_steps() + 1;
    if (full_at.load(memory_order_relaxed) == step) return false;
    // One key must never have two entries. The lock is chosen by hash, so two makers of one key want the same lock.
    BoundedLock& lock = head_->locks[(hash >> 24) % 64];
    if (!lock.acquire(kLockSpins)) return false;
    bool done = find(key, hash, out);
    if (!done) {
        const auto goes = [&](const CounterEntry& e, std::uint64_t word) noexcept { return can_go(e, word, ring); };
        const auto fill = [&](CounterEntry& e, std::uint32_t at, bool evicted) noexcept {
            for (auto* count : {&e.uses, &e.refusals, &e.agent, &e.posted_at, &e.posted_uses, &e.posted_refusals, &e.before_uses,
                                &e.before_refusals, &e.lost_uses, &e.lost_refusals})
                count->store(0, memory_order_relaxed);
            for (auto* lock : {&e.last_lock, &e.post_lock}) lock->store(0, memory_order_relaxed);
            for (auto* last : {&e.last_used, &e.last_refused}) last->store(0, memory_order_relaxed);
            e.address.store({});
            e.token.store(key.token, memory_order_relaxed);
            e.generation.store(key.generation, memory_order_relaxed);
            e.database.store(key.database, memory_order_relaxed);
            prints_[at].store(print_of(hash), memory_order_relaxed);
            if (evicted)
                head_->evictions.fetch_add(1, memory_order_relaxed);
            else
                head_->used.fetch_add(1, memory_order_relaxed);
        };
        done = table_.make(hash, 0, goes, fill, out);
    }
    if (!done) full_at.store(step, memory_order_relaxed);
    lock.release();
    return done;
}

Counters::Counted Counters::count(const TokenKey& key, const Event& event, const Ring& ring) noexcept {
    const std::uint64_t hash = hash_of(key);
    for (unsigned tries = 0; tries < kReadTries; tries++) {
        Found found;
        if (!find(key, hash, found) && !make(key, hash, ring, found)) break;
        CounterEntry& e = table_.entries[found.at];
        if (!Bits::enter(e.guard, found.word)) continue;
        if (event.refused()) {
            raise_to(e.last_refused, event.at);
            e.refusals.fetch_add(1, memory_order_acq_rel);
        } else {
            note_use(e, event);
            e.uses.fetch_add(1, memory_order_acq_rel);
        }
        return {found.at, tag_of(found.word), event.refused()};
    }
    head_->misses.fetch_add(1, memory_order_relaxed);
    return {};
}

void Counters::undo(const Counted& counted) noexcept {
    if (!counted) return;
    CounterEntry& e = table_.entries[counted.entry];
    // The guard first: until the count follows, the two differ, and the entry cannot be evicted. Only forget() can have given the
    // entry away before, and then there is nothing to undo.
    std::uint64_t g = e.guard.load(memory_order_relaxed);
    do {
        if (tag_of(g) != counted.tag) return;
    } while (!e.guard.compare_exchange_weak(g, g - 1, memory_order_acq_rel, memory_order_relaxed));
    (counted.refusal ? e.refusals : e.uses).fetch_sub(1, memory_order_acq_rel);
}

void Counters::lose(const Counted& counted) noexcept {
    if (!counted) return;
    CounterEntry& e = table_.entries[counted.entry];
    if (tag_of(e.guard.load(memory_order_acquire)) != counted.tag) return;
    // Before undo(), which lets the entry go.
    (counted.refusal ? e.lost_refusals : e.lost_uses).fetch_add(1, memory_order_acq_rel);
    undo(counted);
}

bool Counters::lost(const TokenKey& key, PendingCounts& out) const noexcept {
    Found found;
    if (!find(key, hash_of(key), found)) return false;
    const CounterEntry& e = table_.entries[found.at];
    out = {};
    out.uses = e.lost_uses.load(memory_order_acquire);
    out.refusals = e.lost_refusals.load(memory_order_acquire);
    out.last_used = e.last_used.load(memory_order_acquire);
    out.last_refused = e.last_refused.load(memory_order_acquire);
    return (out.uses != 0 || out.refusals != 0) && Bits::same(e.guard.load(memory_order_acquire), found.word);
}

void Counters::take_lost(const TokenKey& key, std::uint64_t uses, std::uint64_t refusals) noexcept {
    Found found;
    if (!find(key, hash_of(key), found)) return;
    CounterEntry& e = table_.entries[found.at];
    e.lost_uses.fetch_sub(uses, memory_order_acq_rel);
    e.lost_refusals.fetch_sub(refusals, memory_order_acq_rel);
}

bool Counters::post(const TokenKey& key, std::uint64_t from, std::uint64_t to, std::uint64_t uses,
                    std::uint64_t refusals) noexcept {
    Found found;
    if (!find(key, hash_of(key), found)) return false;
    CounterEntry& e = table_.entries[found.at];
    const std::uint32_t lock = e.post_lock.load(memory_order_relaxed) & ~1U;
    e.post_lock.store(lock + 1, memory_order_relaxed);
    // A pair past the stored position is of a batch that was rolled back. The pair before it is valid then.
    if (e.posted_at.load(memory_order_relaxed) <= from) {
        e.before_uses.store(e.posted_uses.load(memory_order_relaxed), memory_order_release);
        e.before_refusals.store(e.posted_refusals.load(memory_order_relaxed), memory_order_release);
    }
    // Released, since can_go() reads these without the lock and must never see a new D with an old position.
    e.posted_at.store(to, memory_order_release);
    e.posted_uses.store(e.before_uses.load(memory_order_relaxed) + uses, memory_order_release);
    e.posted_refusals.store(e.before_refusals.load(memory_order_relaxed) + refusals, memory_order_release);
    e.post_lock.store(lock + 2, memory_order_release);
    return true;
}

bool Counters::pending(const TokenKey& key, std::uint64_t stored, PendingCounts& out) const noexcept {
    const std::uint64_t hash = hash_of(key);
    for (unsigned tries = 0; tries < kReadTries; tries++) {
        Found found;
        if (!find(key, hash, found)) return false;
        const CounterEntry& e = table_.entries[found.at];
        // D is read before C, so that a use counted in between is shown, not missed.
        const std::uint32_t post = e.post_lock.load(memory_order_acquire);
        const bool newest = stored >= e.posted_at.load(memory_order_acquire);
        const std::uint64_t uses = (newest ? e.posted_uses : e.before_uses).load(memory_order_acquire);
        const std::uint64_t refusals = (newest ? e.posted_refusals : e.before_refusals).load(memory_order_acquire);
        if ((post & 1) != 0 || e.post_lock.load(memory_order_relaxed) != post) {
            pause();
            continue;
        }
        const std::uint64_t all_uses = e.uses.load(memory_order_acquire);
        const std::uint64_t all_refusals = e.refusals.load(memory_order_acquire);
        out = {};
        out.uses = (all_uses > uses ? all_uses - uses : 0) + e.lost_uses.load(memory_order_acquire);
        out.refusals = (all_refusals > refusals ? all_refusals - refusals : 0) + e.lost_refusals.load(memory_order_acquire);
        out.last_refused = e.last_refused.load(memory_order_acquire);
        read_last_use(e, out);
        if (Bits::same(e.guard.load(memory_order_acquire), found.word)) return true;
    }
    return false;
}

bool Counters::key_at(std::uint32_t entry, std::uint32_t database, TokenKey& key) const noexcept {
    const CounterEntry& e = table_.entries[entry];
    Found found;
    const auto is = [&](const CounterEntry& at) noexcept { return at.database.load(memory_order_relaxed) == database; };
    if (!table_.is_live(entry, is, found)) return false;
    key = {database, e.generation.load(memory_order_relaxed), e.token.load(memory_order_relaxed)};
    // If the entry is still in the same life, all parts of the key belong together.
    return Bits::same(e.guard.load(memory_order_acquire), found.word);
}

void Counters::forget(std::uint32_t database) noexcept {
    const auto is = [&](const CounterEntry& e) noexcept { return e.database.load(memory_order_relaxed) == database; };
    for (std::uint32_t at = 0; at < head_->entries; at++) {
        CounterEntry& e = table_.entries[at];
        Found found;
        for (unsigned tries = 0; tries < kReadTries && table_.is_live(at, is, found); tries++) {
            const std::uint64_t all = e.uses.load(memory_order_acquire) + e.refusals.load(memory_order_acquire);
            if (static_cast<std::uint32_t>(all) == static_cast<std::uint32_t>(found.word) &&
                Bits::advance(e.guard, found.word, Bits::kFree)) {
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
