// Hints of where rows are. Holds no server call, exception, allocation or system call.
//
// A word: tag (16) | buffer (28) | item (11) | line (9). The tag is of bits of the key that do not choose the set, and never 0.
#include "shmem/core_hints.hpp"

#include <bit>

namespace mirox::shmem {

namespace {

using std::memory_order_relaxed;

constexpr std::uint32_t kTagShift = kHintBufferBits + kHintItemBits + kHintLineBits;
static_assert(kTagShift == 48);

constexpr std::uint64_t tag_of(std::uint64_t key) noexcept {
    const std::uint64_t tag = key >> kTagShift;
    return tag == 0 ? 1 : tag;
}

}  // namespace

std::uint32_t Hints::sets_for(std::uint32_t digests) noexcept {
    return std::bit_ceil(digests < 4 ? 1U : digests / 4);
}

std::size_t Hints::bytes(std::uint32_t digests) noexcept {
    return std::size_t{sets_for(digests)} * sizeof(Set);
}

Hints Hints::view(std::byte* at, std::uint32_t digests) noexcept {
    Hints h;
    h.sets_ = reinterpret_cast<Set*>(at);
    h.mask_ = sets_for(digests) - 1;
    return h;
}

Hints Hints::initialise(std::byte* at, std::uint32_t digests) noexcept {
    std::memset(at, 0, bytes(digests));
    return view(at, digests);
}

[[gnu::hot]] bool Hints::find(std::uint64_t key, Hint& out) const noexcept {
    const std::uint64_t tag = tag_of(key);
    for (const auto& place : set_of(key)->places) {
        const std::uint64_t word = place.load(memory_order_relaxed);
        if (word >> kTagShift != tag) continue;
        out.buffer = static_cast<std::uint32_t>(word >> (kHintItemBits + kHintLineBits)) &
                     ((1U << kHintBufferBits) - 1);
        out.item = static_cast<std::uint16_t>(word >> kHintLineBits & ((1U << kHintItemBits) - 1));
        out.offset = static_cast<std::uint32_t>(word & ((1U << kHintLineBits) - 1)) *
                     static_cast<std::uint32_t>(kCacheLine);
        return true;
    }
    return false;
}

void Hints::put(std::uint64_t key, const Hint& hint) noexcept {
    const std::uint64_t line = hint.offset / kCacheLine;
    if (hint.buffer == 0 || hint.buffer >> kHintBufferBits != 0 || hint.item == 0 ||
        hint.item >> kHintItemBits != 0 || line >> kHintLineBits != 0)
        return;
    const std::uint64_t tag = tag_of(key);
    const std::uint64_t word = tag << kTagShift |
                               static_cast<std::uint64_t>(hint.buffer) << (kHintItemBits + kHintLineBits) |
                               static_cast<std::uint64_t>(hint.item) << kHintLineBits | line;
    auto& places = set_of(key)->places;
    std::atomic<std::uint64_t>* to = nullptr;
    for (auto& place : places) {
        const std::uint64_t seen = place.load(memory_order_relaxed);
        if (seen >> kTagShift == tag) {
            // Another's line is left alone when there is nothing to change.
            if (seen != word) place.store(word, memory_order_relaxed);
            return;
        }
        if (seen == 0 && to == nullptr) to = &place;
    }
    // Which of the eight is given up is as good as random: by bits of what is written, which differ from time to time.
    if (to == nullptr) to = &places[scramble(word) & 7];
    to->store(word, memory_order_relaxed);
}

}  // namespace mirox::shmem
