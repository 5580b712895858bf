// Refusals of unauthenticated callers, which sent no known token, counted by minute, network and reason in a fixed number of
// slots.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or system call.
// Lock-free.
//
// A slot counts the refusals of one (database, minute, network, status, reason). While less than half of the slots are in use,
// the network is the host (IPv4 /32) or its subnet (IPv6 /64), otherwise a larger one (/24, /48). When no slot is free for a
// network, its refusals go to an overflow slot of (database, minute, status, reason) without an address. When those are full too,
// they go to one number. The ring is not used.
//
// Exactly once. Each life of a slot has a name that is never used again, (ring id, serial), and a count that only grows. The
// worker writes the count itself, not a difference: one row for each name, whose requests become the greater of the row's and the
// slot's. Doing that twice changes nothing. Once the minute is over and the count is stored, release() frees the slot, unless it
// has counted more since; later refusals begin a new life. Slots that an earlier start left no longer count, keep their names, and
// are drained like the others.
#pragma once

#include "shmem/core_table.hpp"

namespace mirox::shmem {

struct alignas(kCacheLine) UnauthenticatedSlot {
    std::atomic<std::uint64_t> guard;  // counts refusals
    std::atomic<std::uint64_t> serial;
    std::atomic<std::uint64_t> ring_id;
    std::atomic<std::int64_t> minute;
    std::atomic<std::int64_t> first_at;
    std::atomic<std::int64_t> last_at;
    SharedAddress network;
    std::atomic<std::uint32_t> outcome;  // status << 8 | reason
    std::atomic<std::uint32_t> database;
};
static_assert(sizeof(UnauthenticatedSlot) == 2 * kCacheLine);

inline constexpr std::uint32_t kOverflowSlots = 256;

struct alignas(kCacheLine) UnauthenticatedHead {
    std::uint32_t slots;  // a power of two; kOverflowSlots more come after them
    alignas(kCacheLine) std::atomic<std::uint64_t> serial;
    std::atomic<std::uint64_t> overflowed;  // 1 once a refusal was counted in an overflow slot
    std::atomic<std::uint64_t> uncounted;   // refusals for which no slot was free
    std::atomic<std::uint32_t> used;        // without overflow slots
};

struct UnauthenticatedCount {
    std::uint64_t ring_id = 0;  // with serial, the name of the row
    std::uint64_t serial = 0;
    std::uint32_t database = 0;
    Micros minute = 0;
    Micros first_at = 0;
    Micros last_at = 0;     // within the minute
    core::Address network;  // none: overflow, no address
    std::uint8_t reason = 0;
    std::uint16_t status = 0;
    std::uint64_t requests = 0;
    std::uint64_t word = 0;  // for release()
};

class Unauthenticated {
  public:
    enum class Result : std::uint8_t { slot, overflow, uncounted };

    Unauthenticated() noexcept = default;
    static std::size_t bytes(std::uint32_t slots) noexcept;
    static Unauthenticated initialise(std::byte* at, std::uint32_t slots) noexcept;
    static Unauthenticated view(std::byte* at, std::uint32_t slots) noexcept;
    void recover() noexcept;  // no other process may be attached

    Result count(std::uint32_t database, std::uint64_t ring_id, Micros at, const core::Address& address, std::uint16_t status,
                 std::uint8_t reason) noexcept;

    // For the worker: call it for each index below capacity(). False when the slot has no count of the database.
    std::uint32_t capacity() const noexcept { return head_->slots + kOverflowSlots; }
    bool read(std::uint32_t index, std::uint32_t database, UnauthenticatedCount& out) const noexcept;
    // The database of the slot's count, 0 when it has none.
    std::uint32_t database_at(std::uint32_t index) const noexcept;
    // To call after COMMIT of the count that read() returned. Frees the slot, unless it has counted more since. True when freed.
    bool release(std::uint32_t index, const UnauthenticatedCount& stored) noexcept;
    // Frees the slots of a database that no longer exists; returns how many refusals they had.
    std::uint64_t forget(std::uint32_t database) noexcept;

    std::uint32_t used() const noexcept { return head_->used.load(std::memory_order_relaxed); }
    std::uint64_t overflowed() const noexcept { return head_->overflowed.load(std::memory_order_relaxed); }
    std::uint64_t uncounted() const noexcept { return head_->uncounted.load(std::memory_order_relaxed); }

  private:
    using Bits = Guard<36, 4>;

    template <typename Slots>
    bool count_in(Slots slots, std::uint64_t hash, const UnauthenticatedCount& key) noexcept;

    UnauthenticatedHead* head_ = nullptr;
    UnauthenticatedSlot* slots_ = nullptr;
};

}  // namespace mirox::shmem
