// Words of rate limits. Holds no server call, exception, allocation or system call.
#include "shmem/core_limits.hpp"

namespace mirox::shmem {

namespace {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

constexpr std::uint32_t kWindow = 32;

using Bits = Guard<30, 2>;  // counts processes that draw at this moment
constexpr std::uint64_t kFree = Bits::kFree, kBusy = Bits::kBusy, kLive = Bits::kLive;

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

bool Limits::find(std::uint32_t database, std::int64_t account, std::uint64_t hash, std::uint32_t& entry,
                  std::uint64_t& guard) const noexcept {
    const std::uint32_t mask = head_->entries - 1;
    for (std::uint32_t i = 0; i < kWindow; i++) {
        const std::uint32_t at = (static_cast<std::uint32_t>(hash) + i) & mask;
        const LimitEntry& e = entries_[at];
        const std::uint64_t g = e.guard.load(memory_order_acquire);
        if (Bits::state_of(g) != kLive || e.account.load(memory_order_relaxed) != account ||
            e.database.load(memory_order_relaxed) != database)
            continue;
        entry = at;
        guard = g;
        return true;
    }
    return false;
}

bool Limits::hold(std::uint32_t database, std::int64_t account, std::uint64_t hash,
                  std::uint32_t& entry) noexcept {
    std::uint64_t guard = 0;
    while (find(database, account, hash, entry, guard)) {
        std::atomic<std::uint64_t>& word = entries_[entry].guard;
        if (Bits::without_count(word.fetch_add(1, memory_order_acq_rel)) == Bits::without_count(guard))
            return true;
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
        const bool live = Bits::state_of(g) == kLive;
        if (i < kWindow
                ? Bits::state_of(g) != kFree
                : !live || (g & Bits::kCountMask) != 0 || !idle(e.word.load(memory_order_acquire), now))
            continue;
        if (!e.guard.compare_exchange_strong(g, Bits::next_version(g, kBusy), memory_order_acq_rel,
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
        if (Bits::without_count(entries_[entry].guard.load(memory_order_acquire)) ==
            Bits::without_count(guard))
            return word;
    }
    return shared_of(hash).load(memory_order_acquire);
}

}  // namespace mirox::shmem
