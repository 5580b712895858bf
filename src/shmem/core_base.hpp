// What the server-free half of shared memory shares: addresses, hashing, the words of a slot and a bounded
// lock.
//
// May include the C++ library only. No file named core_* in this room holds a server call, an exception, an
// allocation or a system call; each works on memory that the caller has mapped, at an address that differs
// from process to process, so nothing stored in it is a pointer. Every shared word is a std::atomic, so that
// a process may be killed at any instruction and leave a word whole.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace mirox::shmem {

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "shared words must be lock-free");
static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "shared words must be lock-free");

inline constexpr std::size_t kCacheLine = 64;

// Microseconds of one clock of the caller's choice (the server's TimestampTz serves); only differences
// matter.
using Micros = std::int64_t;
inline constexpr Micros kMinute = 60'000'000;

// The minute that holds `at`, also for times before the epoch.
constexpr Micros minute_of(Micros at) noexcept {
    const Micros rest = at % kMinute;
    return at - (rest < 0 ? rest + kMinute : rest);
}

// A host's address in network order. An IPv4 address stands in the first four bytes, the rest is zero.
struct Address {
    std::uint8_t bytes[16]{};
    std::uint8_t family = 0;  // 0 none, 4, 6

    friend bool operator==(const Address&, const Address&) = default;

    static Address ipv4(const std::uint8_t (&octets)[4]) noexcept {
        Address a;
        std::memcpy(a.bytes, octets, 4);
        a.family = 4;
        return a;
    }
    // ::ffff:a.b.c.d becomes a.b.c.d, so that one host has one form.
    static Address ipv6(const std::uint8_t (&octets)[16]) noexcept {
        static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
        Address a;
        if (std::memcmp(octets, kMapped, 12) == 0) {
            std::memcpy(a.bytes, octets + 12, 4);
            a.family = 4;
        } else {
            std::memcpy(a.bytes, octets, 16);
            a.family = 6;
        }
        return a;
    }
    // The network of `bits` bits that holds the address.
    Address prefix(unsigned bits) const noexcept {
        Address a = *this;
        for (unsigned i = 0; i < 16; i++) {
            const unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
            if (kept < 8) a.bytes[i] &= static_cast<std::uint8_t>(0xFF00U >> kept);
        }
        return a;
    }
    std::uint64_t high() const noexcept {
        std::uint64_t v;
        std::memcpy(&v, bytes, 8);
        return v;
    }
    std::uint64_t low() const noexcept {
        std::uint64_t v;
        std::memcpy(&v, bytes + 8, 8);
        return v;
    }
    static Address from_words(std::uint64_t high, std::uint64_t low, std::uint8_t family) noexcept {
        Address a;
        std::memcpy(a.bytes, &high, 8);
        std::memcpy(a.bytes + 8, &low, 8);
        a.family = family;
        return a;
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

// 64 bits over any bytes; not keyed and no defence against forgery: it finds torn and stale records and names
// texts. Its values are stored (text_key), so it never changes.
std::uint64_t hash_bytes(const void* at, std::size_t size) noexcept;

// The name of a text (a user agent) in a counter: equal texts, equal names. 0 for no text.
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

// A lock for rare steps (making an entry) that is never waited for without bound: a holder that was stopped
// costs the others a fallback, never a hang; one that was killed is undone by recovery, which clears all
// locks.
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
    while (seen < value &&
           !word.compare_exchange_weak(seen, value, std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
}

constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t to) noexcept {
    return (n + to - 1) / to * to;
}

}  // namespace mirox::shmem
