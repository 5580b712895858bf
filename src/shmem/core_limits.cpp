// The state of rate limits (see core_limits.hpp). Holds no server call, exception, allocation or system call.
#include "shmem/core_limits.hpp"

namespace mirox::shmem {

using std::memory_order_acquire;
using std::memory_order_relaxed;

std::size_t Limits::bytes(std::uint32_t entries) noexcept {
    return sizeof(LimitsHead) + std::size_t{entries} * sizeof(LimitEntry);
}

Limits Limits::view(std::byte* at, std::uint32_t entries) noexcept {
    Limits l;
    l.head_ = reinterpret_cast<LimitsHead*>(at);
    l.table_ = {reinterpret_cast<LimitEntry*>(at + sizeof(LimitsHead)), entries - 1};
    return l;
}

Limits Limits::initialise(std::byte* at, std::uint32_t entries) noexcept {
    std::memset(at, 0, bytes(entries));
    Limits l = view(at, entries);
    l.head_->entries = entries;
    return l;
}

bool Limits::find(std::uint32_t database, std::int64_t account, std::uint64_t hash, Found& out) const noexcept {
    const auto is = [&](const LimitEntry& e) noexcept {
        return e.account.load(memory_order_relaxed) == account && e.database.load(memory_order_relaxed) == database;
    };
    return table_.find(hash, is, out);
}

bool Limits::make(std::uint32_t database, std::int64_t account, std::uint64_t hash, Micros now, IdleFn idle) noexcept {
    Found found;
    if (find(database, account, hash, found)) return true;
    const auto can_go = [&](const LimitEntry& e, std::uint64_t word) noexcept {
        return Bits::count_of(word) == 0 && idle(e.word.load(memory_order_acquire), now);
    };
    const auto fill = [&](LimitEntry& e, std::uint32_t, bool evicted) noexcept {
        const std::uint64_t shared = shared_of(hash).load(memory_order_acquire);
        e.word.store(shared != 0 && !idle(shared, now) ? shared : 0, memory_order_relaxed);
        e.account.store(account, memory_order_relaxed);
        e.database.store(database, memory_order_relaxed);
        if (!evicted) head_->used.fetch_add(1, memory_order_relaxed);
    };
    return table_.make(hash, 0, can_go, fill, found);
}

std::uint64_t Limits::peek(std::uint32_t database, std::int64_t account) const noexcept {
    const std::uint64_t hash = hash_of(database, account);
    Found found;
    while (find(database, account, hash, found)) {
        const LimitEntry& e = table_.entries[found.at];
        const std::uint64_t word = e.word.load(memory_order_acquire);
        if (Bits::same(e.guard.load(memory_order_acquire), found.word)) return word;
    }
    return shared_of(hash).load(memory_order_acquire);
}

}  // namespace mirox::shmem
