// Hints of where rows are. Holds no server call, exception, allocation or system call.
#include "shmem/core_hints.hpp"

#include <bit>

namespace mirox::shmem {

namespace {

using std::memory_order_relaxed;

constexpr int kItemBits = 16;

// The item is never 0, so neither is a word that is in use.
constexpr std::uint64_t word_of(std::uint64_t key, std::uint16_t item) noexcept {
    return (key >> kItemBits) << kItemBits | item;
}
constexpr bool is_of(std::uint64_t word, std::uint64_t key) noexcept {
    return word != 0 && word >> kItemBits == key >> kItemBits;
}

}  // namespace

std::uint32_t Hints::sets_for(std::uint32_t digests) noexcept {
    return digests == 0 ? 0 : std::bit_ceil(digests < 2 ? 1U : digests / 2);
}

std::size_t Hints::bytes(std::uint32_t digests) noexcept {
    return std::size_t{sets_for(digests)} * sizeof(Set);
}

Hints Hints::view(std::byte* at, std::uint32_t digests) noexcept {
    Hints h;
    if (digests == 0) return h;
    h.sets_ = reinterpret_cast<Set*>(at);
    h.mask_ = sets_for(digests) - 1;
    return h;
}

Hints Hints::initialise(std::byte* at, std::uint32_t digests) noexcept {
    std::memset(at, 0, bytes(digests));
    return view(at, digests);
}

bool Hints::find(std::uint64_t key, Hint& out) const noexcept {
    if (sets_ == nullptr) return false;
    for (const Place& place : sets_[static_cast<std::uint32_t>(key) & mask_].places) {
        const std::uint64_t what = place.what.load(memory_order_relaxed);
        if (!is_of(what, key)) continue;
        const std::uint64_t where = place.where.load(memory_order_relaxed);
        out.buffer = static_cast<std::uint32_t>(where >> 32);
        out.block = static_cast<std::uint32_t>(where);
        out.item = static_cast<std::uint16_t>(what);
        return out.buffer != 0;
    }
    return false;
}

void Hints::put(std::uint64_t key, const Hint& hint) noexcept {
    if (sets_ == nullptr || hint.buffer == 0 || hint.item == 0) return;
    const std::uint64_t where = std::uint64_t{hint.buffer} << 32 | hint.block;
    const std::uint64_t what = word_of(key, hint.item);
    auto& places = sets_[static_cast<std::uint32_t>(key) & mask_].places;
    Place* to = nullptr;
    for (Place& place : places) {
        const std::uint64_t seen = place.what.load(memory_order_relaxed);
        if (is_of(seen, key)) {
            to = &place;
            break;
        }
        if (seen == 0 && to == nullptr) to = &place;
    }
    // Which of the four is given up is as good as random: by bits of what is written, which differ from time to time.
    if (to == nullptr) to = &places[scramble(where ^ what) & 3];
    // The line is left alone when there is nothing to change.
    if (to->where.load(memory_order_relaxed) != where) to->where.store(where, memory_order_relaxed);
    if (to->what.load(memory_order_relaxed) != what) to->what.store(what, memory_order_relaxed);
}

}  // namespace mirox::shmem
