// Words of rate limits. Holds no server call, exception, allocation or system call.
#include "shmem/core_limits.hpp"

namespace mirox::shmem {

namespace {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

constexpr std::uint32_t kWindow = 32;

constexpr std::uint64_t kStateMask = 3ULL << 30;
constexpr std::uint64_t kFree = 0;
constexpr std::uint64_t kBusy = 1ULL << 30;
constexpr std::uint64_t kLive = 2ULL << 30;
constexpr std::uint64_t kHoldsMask = kBusy - 1;
constexpr std::uint64_t kVersionStep = 1ULL << 32;

constexpr std::uint64_t without_holds(std::uint64_t guard) noexcept {
    return guard & ~kHoldsMask;
}
constexpr std::uint64_t next_version(std::uint64_t guard, std::uint64_t state) noexcept {
    return (guard & ~(kVersionStep - 1)) + kVersionStep + state;
}

}  // namespace

std::size_t Limits::bytes(std::uint32_t entries) noexcept {
    return sizeof(LimitsHead) + std::size_t{entries} * sizeof(LimitEntry);
}

Limits Limits::view(std::byte* at, std::uint32_t entries) noexcept {
    (void)entries;
    Limits l;
    l.head_ = reinterpret_cast<LimitsHead*>(at);
    l.entries_ = reinterpret_cast<LimitEntry*>(at + sizeof(LimitsHead));
    return l;
}

Limits Limits::initialise(std::byte* at, std::uint32_t entries) noexcept {
    std::memset(at, 0, bytes(entries));
    Limits l = view(at, entries);
    l.head_->entries = entries;
    return l;
}

void Limits::recover() noexcept {
    std::uint32_t used = 0;
    for (std::uint32_t i = 0; i < head_->entries; i++) {
        LimitEntry& e = entries_[i];
        const std::uint64_t g = e.guard.load(memory_order_relaxed);
        if ((g & kStateMask) == kLive) {
            e.guard.store(without_holds(g), memory_order_relaxed);
            used++;
        } else {
            e.guard.store(next_version(g, kFree), memory_order_relaxed);
        }
    }
    for (BoundedLock& lock : head_->locks) lock.release();
    head_->used.store(used, memory_order_relaxed);
}

[[gnu::hot]] bool Limits::find(std::uint32_t database, std::int64_t account, std::uint64_t hash,
                               std::uint32_t& entry, std::uint64_t& guard) const noexcept {
    const std::uint32_t mask = head_->entries - 1;
    for (std::uint32_t i = 0; i < kWindow; i++) {
        const std::uint32_t at = (static_cast<std::uint32_t>(hash) + i) & mask;
        const LimitEntry& e = entries_[at];
        const std::uint64_t g = e.guard.load(memory_order_acquire);
        if ((g & kStateMask) != kLive || e.account.load(memory_order_relaxed) != account ||
            e.database.load(memory_order_relaxed) != database)
            continue;
        entry = at;
        guard = g;
        return true;
    }
    return false;
}

[[gnu::hot]] bool Limits::hold(std::uint32_t database, std::int64_t account, std::uint64_t hash,
                               std::uint32_t& entry) noexcept {
    std::uint64_t guard = 0;
    while (find(database, account, hash, entry, guard)) {
        std::atomic<std::uint64_t>& word = entries_[entry].guard;
        if (without_holds(word.fetch_add(1, memory_order_acq_rel)) == without_holds(guard)) return true;
        word.fetch_sub(1, memory_order_release);
    }
    return false;
}

bool Limits::make(std::uint32_t database, std::int64_t account, std::uint64_t hash, Micros now,
                  IdleFn idle) noexcept {
    std::uint32_t entry = 0;
    std::uint64_t guard = 0;
    if (find(database, account, hash, entry, guard)) return true;
    const std::uint32_t mask = head_->entries - 1;
    for (std::uint32_t i = 0; i < 2 * kWindow; i++) {
        // Free places first, idle ones in the second round.
        LimitEntry& e = entries_[(static_cast<std::uint32_t>(hash) + i % kWindow) & mask];
        std::uint64_t g = e.guard.load(memory_order_acquire);
        const bool live = (g & kStateMask) == kLive;
        if (i < kWindow ? (g & kStateMask) != kFree
                        : !live || (g & kHoldsMask) != 0 || !idle(e.word.load(memory_order_acquire), now))
            continue;
        if (!e.guard.compare_exchange_strong(g, next_version(g, kBusy), memory_order_acq_rel,
                                             memory_order_relaxed))
            continue;
        // Between the look at the word and the swap somebody may have drawn and gone: it was not idle after
        // all.
        if (live && !idle(e.word.load(memory_order_acquire), now)) {
            e.guard.fetch_add(kLive - kBusy, memory_order_acq_rel);
            continue;
        }
        const std::uint64_t shared = shared_of(hash).load(memory_order_acquire);
        e.word.store(shared != 0 && !idle(shared, now) ? shared : 0, memory_order_relaxed);
        e.account.store(account, memory_order_relaxed);
        e.database.store(database, memory_order_relaxed);
        e.guard.fetch_add(kLive - kBusy, memory_order_acq_rel);
        if (!live) head_->used.fetch_add(1, memory_order_relaxed);
        return true;
    }
    return false;
}

std::uint64_t Limits::peek(std::uint32_t database, std::int64_t account) const noexcept {
    const std::uint64_t hash = hash_of(database, account);
    std::uint32_t entry = 0;
    std::uint64_t guard = 0;
    while (find(database, account, hash, entry, guard)) {
        const std::uint64_t word = entries_[entry].word.load(memory_order_acquire);
        if (without_holds(entries_[entry].guard.load(memory_order_acquire)) == without_holds(guard))
            return word;
    }
    return shared_of(hash).load(memory_order_acquire);
}

}  // namespace mirox::shmem
