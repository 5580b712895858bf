// Refusals of unauthenticated callers (see core_unauthenticated.hpp). Holds no server call, exception, allocation or system call.
//
// Two processes that make a slot for one key at the same time may take two slots. Each slot has its own name and count, and views
// add the counts.
#include "shmem/core_unauthenticated.hpp"

#include <algorithm>

namespace mirox::shmem {

namespace {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

using Bits = Guard<36, 4>;
constexpr std::uint64_t kClosed = Bits::kBusy + Bits::kLive;  // can be read and released, but counts no more

constexpr bool is_used(std::uint64_t word) noexcept {
    return Bits::state_of(word) == Bits::kLive || Bits::state_of(word) == kClosed;
}

constexpr std::uint32_t outcome_of(const UnauthenticatedCount& key) noexcept {
    return static_cast<std::uint32_t>(key.status) << 8 | key.reason;
}

bool is_of(const UnauthenticatedSlot& s, const UnauthenticatedCount& key) noexcept {
    return s.minute.load(memory_order_relaxed) == key.minute && s.outcome.load(memory_order_relaxed) == outcome_of(key) &&
           s.database.load(memory_order_relaxed) == key.database && s.network.load() == key.network &&
           s.ring_id.load(memory_order_relaxed) == key.ring_id;
}

std::uint64_t hash_of(const UnauthenticatedCount& key) noexcept {
    return combine(combine(static_cast<std::uint64_t>(key.minute), hash_bytes(&key.network, sizeof key.network)),
                   static_cast<std::uint64_t>(outcome_of(key)) << 32 ^ key.database);
}

}  // namespace

std::size_t Unauthenticated::bytes(std::uint32_t slots) noexcept {
    return sizeof(UnauthenticatedHead) + (std::size_t{slots} + kOverflowSlots) * sizeof(UnauthenticatedSlot);
}

Unauthenticated Unauthenticated::view(std::byte* at, std::uint32_t) noexcept {
    Unauthenticated u;
    u.head_ = reinterpret_cast<UnauthenticatedHead*>(at);
    u.slots_ = reinterpret_cast<UnauthenticatedSlot*>(at + sizeof(UnauthenticatedHead));
    return u;
}

Unauthenticated Unauthenticated::initialise(std::byte* at, std::uint32_t slots) noexcept {
    std::memset(at, 0, bytes(slots));
    Unauthenticated u = view(at, slots);
    u.head_->slots = slots;
    return u;
}

void Unauthenticated::recover() noexcept {
    std::uint32_t used = 0;
    for (std::uint32_t i = 0; i < capacity(); i++) {
        std::atomic<std::uint64_t>& guard = slots_[i].guard;
        const std::uint64_t word = guard.load(memory_order_relaxed);
        if (is_used(word)) {
            guard.store(Bits::version_of(word) | kClosed | Bits::count_of(word), memory_order_relaxed);
            if (i < head_->slots) used++;
        } else {
            guard.store(Bits::next_version(word, Bits::kFree), memory_order_relaxed);
        }
    }
    head_->used.store(used, memory_order_relaxed);
}

// Counts in a slot of the key, or makes one.
template <typename Slots>
bool Unauthenticated::count_in(Slots slots, std::uint64_t hash, const UnauthenticatedCount& key) noexcept {
    const bool counted = slots.look(hash, [&](std::uint32_t at) noexcept {
        UnauthenticatedSlot& s = slots.entries[at];
        std::uint64_t word = s.guard.load(memory_order_acquire);
        while (Bits::state_of(word) == Bits::kLive && Bits::count_of(word) != Bits::kCountMask && is_of(s, key)) {
            raise_to(s.last_at, key.last_at);
            std::int64_t first = s.first_at.load(memory_order_relaxed);
            while (key.first_at < first && !s.first_at.compare_exchange_weak(first, key.first_at, memory_order_relaxed)) {
            }
            // The word has the version in it: if the slot has been given to another key since, this fails, and the slot is
            // checked again.
            if (s.guard.compare_exchange_weak(word, word + 1, memory_order_acq_rel, memory_order_acquire)) return true;
        }
        return false;
    });
    if (counted) return true;
    const auto fill = [&](UnauthenticatedSlot& s, std::uint32_t, bool) noexcept {
        s.serial.store(head_->serial.fetch_add(1, memory_order_release) + 1, memory_order_release);
        s.ring_id.store(key.ring_id, memory_order_release);
        s.minute.store(key.minute, memory_order_release);
        s.first_at.store(key.first_at, memory_order_release);
        s.last_at.store(key.last_at, memory_order_release);
        s.network.store(key.network);
        s.outcome.store(outcome_of(key), memory_order_release);
        s.database.store(key.database, memory_order_release);
        if (slots.entries == slots_) head_->used.fetch_add(1, memory_order_relaxed);
    };
    typename Slots::Found made;
    return slots.make(
        hash, 1, [](const UnauthenticatedSlot&, std::uint64_t) noexcept { return false; }, fill, made);
}

Unauthenticated::Result Unauthenticated::count(std::uint32_t database, std::uint64_t ring_id, Micros at,
                                               const core::Address& address, std::uint16_t status, std::uint8_t reason) noexcept {
    UnauthenticatedCount key;
    key.database = database;
    key.ring_id = ring_id;
    key.minute = minute_of(at);
    key.first_at = key.last_at = at;
    key.status = status;
    key.reason = reason;
    if (address.family != core::AddressFamily::none) {
        const bool fine = head_->used.load(memory_order_relaxed) < head_->slots / 2;
        const bool ipv4 = address.family == core::AddressFamily::ipv4;
        key.network = core::network_of(address, ipv4 ? (fine ? 32 : 24) : (fine ? 64 : 48));
        if (count_in(Table<UnauthenticatedSlot, Bits, 16>{slots_, head_->slots - 1}, hash_of(key), key)) return Result::slot;
        key.network = {};
    }
    if (count_in(Table<UnauthenticatedSlot, Bits, kOverflowSlots>{slots_ + head_->slots, kOverflowSlots - 1}, hash_of(key),
                 key)) {
        // Written only once, since otherwise all processes would write the same cache line.
        if (head_->overflowed.load(memory_order_relaxed) == 0) head_->overflowed.store(1, memory_order_relaxed);
        return Result::overflow;
    }
    head_->uncounted.fetch_add(1, memory_order_relaxed);
    return Result::uncounted;
}

bool Unauthenticated::read(std::uint32_t index, std::uint32_t database, UnauthenticatedCount& out) const noexcept {
    const UnauthenticatedSlot& s = slots_[index];
    for (;;) {
        const std::uint64_t word = s.guard.load(memory_order_acquire);
        if (!is_used(word) || s.database.load(memory_order_acquire) != database) return false;
        out.ring_id = s.ring_id.load(memory_order_acquire);
        out.serial = s.serial.load(memory_order_acquire);
        out.database = database;
        out.minute = s.minute.load(memory_order_acquire);
        out.network = s.network.load();
        const std::uint32_t outcome = s.outcome.load(memory_order_acquire);
        out.reason = static_cast<std::uint8_t>(outcome);
        out.status = static_cast<std::uint16_t>(outcome >> 8);
        out.requests = Bits::count_of(word);
        out.word = word;
        // A late writer of the slot's previous life may have changed the times, so they are limited to the minute.
        out.last_at = std::clamp(s.last_at.load(memory_order_acquire), out.minute, out.minute + kMinute - 1);
        out.first_at = std::clamp(s.first_at.load(memory_order_acquire), out.minute, out.last_at);
        if (s.guard.load(memory_order_relaxed) == word) return true;
    }
}

std::uint32_t Unauthenticated::database_at(std::uint32_t index) const noexcept {
    const UnauthenticatedSlot& s = slots_[index];
    return is_used(s.guard.load(memory_order_acquire)) ? s.database.load(memory_order_acquire) : 0;
}

bool Unauthenticated::release(std::uint32_t index, const UnauthenticatedCount& stored) noexcept {
    if (!Bits::advance(slots_[index].guard, stored.word, Bits::kFree)) return false;
    if (index < head_->slots) head_->used.fetch_sub(1, memory_order_relaxed);
    return true;
}

std::uint64_t Unauthenticated::forget(std::uint32_t database) noexcept {
    std::uint64_t n = 0;
    UnauthenticatedCount count;
    for (std::uint32_t i = 0; i < capacity(); i++)
        while (read(i, database, count))
            if (release(i, count)) {
                n += count.requests;
                break;
            }
    return n;
}

}  // namespace mirox::shmem
