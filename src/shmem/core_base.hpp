// What the files of shared memory without server calls have in common: addresses, hashing, atomic words and a bounded lock.
//
// May include the C++ library and src/core. No file named core_* in this room holds a server call, an exception, an allocation or
// a system call. Each works on memory that the caller has mapped. The address may differ between processes, so no pointers are
// stored in it. Every shared word is a std::atomic: a process that is killed at any instruction leaves each word whole.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/client_address.hpp"

namespace mirox::shmem {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared words must be lock-free");
static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "shared words must be lock-free");

inline constexpr std::size_t kCacheLine = 64;

// Microseconds of a clock that the caller chooses, such as the server's TimestampTz. Only differences matter.
using Micros = std::int64_t;
inline constexpr Micros kMinute = 60'000'000;

// The minute that holds `at`, also for times before the epoch.
constexpr Micros minute_of(Micros at) noexcept {
    const Micros rest = at % kMinute;
    return at - (rest < 0 ? rest + kMinute : rest);
}

// An address or network in shared memory. A reader must check by other words whether it was written at the same time.
struct SharedAddress {
    std::atomic<std::uint64_t> words[2];
    std::atomic<std::uint32_t> form;  // family << 8 | bits

    void store(const core::Address& address) noexcept {
        const auto parts = std::bit_cast<std::array<std::uint64_t, 2>>(address.bytes);
        for (int i = 0; i < 2; i++) words[i].store(parts[i], std::memory_order_release);
        form.store(static_cast<std::uint32_t>(address.family) << 8 | address.bits, std::memory_order_release);
    }
    core::Address load() const noexcept {
        std::array<std::uint64_t, 2> parts;
        for (int i = 0; i < 2; i++) parts[i] = words[i].load(std::memory_order_acquire);
        const std::uint32_t how = form.load(std::memory_order_acquire);
        return {static_cast<core::AddressFamily>(how >> 8), static_cast<std::uint8_t>(how),
                std::bit_cast<std::array<std::uint8_t, 16>>(parts)};
    }
};

// A bijection of 64-bit words with good avalanche: two rounds of multiply and fold.
constexpr std::uint64_t scramble(std::uint64_t x) noexcept {
    x ^= x >> 31;
    x *= 0x9E6C'63D0'876A'3F6BULL;
    x ^= x >> 29;
    x *= 0xC2F0'3D13'5B1D'94C5ULL;
    x ^= x >> 32;
    return x;
}
constexpr std::uint64_t combine(std::uint64_t h, std::uint64_t x) noexcept {
    return scramble(h ^ scramble(x + 0x5851'F42D'4C95'7F2DULL));
}

// A 64-bit hash of any bytes. It has no key, so it is no defence against forgery. It detects torn and stale records and names
// texts. Its values are stored in tables (text_key), so the function must never change.
std::uint64_t hash_bytes(const void* at, std::size_t size) noexcept;

// Names a text (a user agent) in a counter. Equal texts have equal names. 0 for no text.
inline std::uint64_t text_key(std::string_view text) noexcept {
    return text.empty() ? 0 : hash_bytes(text.data(), text.size()) | 1;
}

inline void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// A spinlock for rare steps, such as making an entry. Waiting for it has a limit: when a process that has the lock is stopped,
// the others fail to acquire it and take another way. When it is killed, recovery clears all locks.
struct BoundedLock {
    std::atomic<std::uint32_t> word;

    bool acquire(unsigned spins) noexcept {
        for (unsigned i = 0; i <= spins; i++) {
            std::uint32_t free = 0;
            if (word.load(std::memory_order_relaxed) == 0 &&
                word.compare_exchange_weak(free, 1, std::memory_order_acquire, std::memory_order_relaxed))
                return true;
            pause();
        }
        return false;
    }
    void release() noexcept { word.store(0, std::memory_order_release); }
};

// Raises a word to at least `value`.
template <typename T>
void raise_to(std::atomic<T>& word, T value) noexcept {
    T seen = word.load(std::memory_order_relaxed);
    while (seen < value && !word.compare_exchange_weak(seen, value, std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
}

constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t to) noexcept {
    return (n + to - 1) / to * to;
}

}  // namespace mirox::shmem
