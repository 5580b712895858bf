// Refusals without a known token. Holds no server call, exception, allocation or system call.
//
// Two makers of one key may take two slots: each has its own name and its own count, and the views add them
// up.
#include "shmem/core_strangers.hpp"

namespace mirox::shmem {

namespace {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

constexpr std::uint32_t kWindow = 16;

using Bits = Guard<36, 4>;  // counts refusals
constexpr std::uint64_t kFree = Bits::kFree, kBusy = Bits::kBusy, kLive = Bits::kLive;
constexpr std::uint64_t kClosed = kBusy + kLive;  // read and released, not counted on
constexpr std::uint64_t kCountMask = Bits::kCountMask;

constexpr std::uint64_t kind_word(const StrangerCount& key) noexcept {
    return key.network.family | static_cast<std::uint64_t>(key.bits) << 8 |
           static_cast<std::uint64_t>(key.reason) << 16 | static_cast<std::uint64_t>(key.status) << 24;
}

bool is_of(const StrangerSlot& s, const StrangerCount& key, std::uint64_t kind) noexcept {
    return s.minute.load(memory_order_relaxed) == key.minute && s.kind.load(memory_order_relaxed) == kind &&
           s.database.load(memory_order_relaxed) == key.database &&
           s.address_high.load(memory_order_relaxed) == key.network.high() &&
           s.address_low.load(memory_order_relaxed) == key.network.low() &&
           s.ring_id.load(memory_order_relaxed) == key.ring_id;
}

}  // namespace

std::size_t Strangers::bytes(std::uint32_t slots) noexcept {
    return sizeof(StrangersHead) + (std::size_t{slots} + kOverflowSlots) * sizeof(StrangerSlot);
}

Strangers Strangers::view(std::byte* at, std::uint32_t slots) noexcept {
    (void)slots;
    Strangers s;
    s.head_ = reinterpret_cast<StrangersHead*>(at);
    s.slots_ = reinterpret_cast<StrangerSlot*>(at + sizeof(StrangersHead));
    return s;
}

Strangers Strangers::initialise(std::byte* at, std::uint32_t slots) noexcept {
    std::memset(at, 0, bytes(slots));
    Strangers s = view(at, slots);
    s.head_->slots = slots;
    return s;
}

void Strangers::recover() noexcept {
    std::uint32_t used = 0;
    for (std::uint32_t i = 0; i < capacity(); i++) {
        StrangerSlot& s = slots_[i];
        const std::uint64_t word = s.word.load(memory_order_relaxed);
        const std::uint64_t state = Bits::state_of(word);
        if (state == kLive || state == kClosed) {
            s.word.store(Bits::version_of(word) | kClosed | (word & kCountMask), memory_order_relaxed);
            if (i < head_->slots) used++;
        } else {
            s.word.store(Bits::next_version(word, kFree), memory_order_relaxed);
        }
    }
    head_->used.store(used, memory_order_relaxed);
}

// Counts in a slot of the key among `window` places from `start` of the array that begins at `from`, or makes
// one.
bool Strangers::count_in(std::uint32_t from, std::uint32_t window, std::uint32_t mask, std::uint32_t start,
                         const StrangerCount& key) noexcept {
    const std::uint64_t kind = kind_word(key);
    for (std::uint32_t i = 0; i < window; i++) {
        StrangerSlot& s = slots_[from + ((start + i) & mask)];
        std::uint64_t word = s.word.load(memory_order_acquire);
        while (Bits::state_of(word) == kLive && (word & kCountMask) != kCountMask && is_of(s, key, kind)) {
            raise_to(s.last_at, key.last_at);
            std::int64_t first = s.first_at.load(memory_order_relaxed);
            while (key.first_at < first &&
                   !s.first_at.compare_exchange_weak(first, key.first_at, memory_order_relaxed)) {
            }
            // The version stands in the word: a slot given to another since fails here, and is looked at
            // anew.
            if (s.word.compare_exchange_weak(word, word + 1, memory_order_acq_rel, memory_order_acquire))
                return true;
        }
    }
    for (std::uint32_t i = 0; i < window; i++) {
        StrangerSlot& s = slots_[from + ((start + i) & mask)];
        std::uint64_t word = s.word.load(memory_order_acquire);
        if (Bits::state_of(word) != kFree ||
            !s.word.compare_exchange_strong(word, Bits::next_version(word, kBusy), memory_order_acq_rel,
                                            memory_order_relaxed))
            continue;
        s.serial.store(head_->serial.fetch_add(1, memory_order_release) + 1, memory_order_release);
        s.ring_id.store(key.ring_id, memory_order_release);
        s.minute.store(key.minute, memory_order_release);
        s.first_at.store(key.first_at, memory_order_release);
        s.last_at.store(key.last_at, memory_order_release);
        s.address_high.store(key.network.high(), memory_order_release);
        s.address_low.store(key.network.low(), memory_order_release);
        s.kind.store(kind, memory_order_release);
        s.database.store(key.database, memory_order_release);
        s.word.store(Bits::next_version(word, kLive) + 1, memory_order_release);
        if (from == 0) head_->used.fetch_add(1, memory_order_relaxed);
        return true;
    }
    return false;
}

Strangers::Place Strangers::count(std::uint32_t database, std::uint64_t ring_id, Micros at,
                                  const Address& address, std::uint16_t status,
                                  std::uint8_t reason) noexcept {
    StrangerCount key;
    key.database = database;
    key.ring_id = ring_id;
    key.minute = minute_of(at);
    key.first_at = key.last_at = at;
    key.status = status;
    key.reason = reason;
    if (address.family != 0) {
        const bool fine = head_->used.load(memory_order_relaxed) < head_->slots / 2;
        key.bits = address.family == 4 ? (fine ? 32 : 24) : (fine ? 64 : 48);
        key.network = address.prefix(key.bits);
        const std::uint64_t hash = combine(
            combine(combine(static_cast<std::uint64_t>(key.minute), key.network.high()), key.network.low()),
            kind_word(key) << 16 ^ database);
        if (count_in(0, kWindow, head_->slots - 1, static_cast<std::uint32_t>(hash), key)) return Place::slot;
        key.network = {};
        key.bits = 0;
    }
    const std::uint64_t hash =
        combine(static_cast<std::uint64_t>(key.minute), kind_word(key) << 16 ^ database);
    if (count_in(head_->slots, kOverflowSlots, kOverflowSlots - 1, static_cast<std::uint32_t>(hash), key)) {
        // Written once: all who are refused here would meet on its line.
        if (head_->overflowed.load(memory_order_relaxed) == 0)
            head_->overflowed.store(1, memory_order_relaxed);
        return Place::overflow;
    }
    head_->uncounted.fetch_add(1, memory_order_relaxed);
    return Place::uncounted;
}

bool Strangers::read(std::uint32_t index, std::uint32_t database, StrangerCount& out) const noexcept {
    const StrangerSlot& s = slots_[index];
    for (;;) {
        const std::uint64_t word = s.word.load(memory_order_acquire);
        const std::uint64_t state = Bits::state_of(word);
        if ((state != kLive && state != kClosed) || s.database.load(memory_order_acquire) != database)
            return false;
        const std::uint64_t kind = s.kind.load(memory_order_acquire);
        out.ring_id = s.ring_id.load(memory_order_acquire);
        out.serial = s.serial.load(memory_order_acquire);
        out.database = database;
        out.minute = s.minute.load(memory_order_acquire);
        out.first_at = s.first_at.load(memory_order_acquire);
        out.last_at = s.last_at.load(memory_order_acquire);
        out.network =
            Address::from_words(s.address_high.load(memory_order_acquire),
                                s.address_low.load(memory_order_acquire), static_cast<std::uint8_t>(kind));
        out.bits = static_cast<std::uint8_t>(kind >> 8);
        out.reason = static_cast<std::uint8_t>(kind >> 16);
        out.status = static_cast<std::uint16_t>(kind >> 24);
        out.requests = word & kCountMask;
        out.word = word;
        // A late writer of a life before may have touched the times: they stay within the minute.
        const Micros last = out.minute + kMinute - 1;
        out.last_at = out.last_at > last ? last : out.last_at < out.minute ? out.minute : out.last_at;
        out.first_at = out.first_at < out.minute    ? out.minute
                       : out.first_at > out.last_at ? out.last_at
                                                    : out.first_at;
        if (s.word.load(memory_order_relaxed) == word) return true;
    }
}

std::uint32_t Strangers::database_at(std::uint32_t index) const noexcept {
    const StrangerSlot& s = slots_[index];
    const std::uint64_t state = Bits::state_of(s.word.load(memory_order_acquire));
    return state == kLive || state == kClosed ? s.database.load(memory_order_acquire) : 0;
}

bool Strangers::release(std::uint32_t index, const StrangerCount& stored) noexcept {
    std::uint64_t word = stored.word;
    if (!slots_[index].word.compare_exchange_strong(word, Bits::next_version(word, kFree),
                                                    memory_order_acq_rel, memory_order_relaxed))
        return false;
    if (index < head_->slots) head_->used.fetch_sub(1, memory_order_relaxed);
    return true;
}

std::uint64_t Strangers::forget(std::uint32_t database) noexcept {
    std::uint64_t n = 0;
    StrangerCount count;
    for (std::uint32_t i = 0; i < capacity(); i++)
        while (read(i, database, count))
            if (release(i, count)) {
                n += count.requests;
                break;
            }
    return n;
}

}  // namespace mirox::shmem
