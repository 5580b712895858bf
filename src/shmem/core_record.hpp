// The words of the ring and the layout of a record, only for core_ring.cpp, core_reader.cpp and core_recovery.cpp.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or system call.
#pragma once

#include "shmem/core_ring.hpp"

namespace mirox::shmem {

constexpr std::uint64_t kClosedBit = 1ULL << 31;
constexpr std::uint32_t kSealed = 0xFFFF'FFFF;
constexpr std::uint64_t kMaxPosition = 1ULL << 62;

constexpr std::uint32_t generation_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 32);
}
constexpr std::uint32_t low_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word);
}
constexpr std::uint64_t tagged(std::uint32_t generation, std::uint32_t low) noexcept {
    return static_cast<std::uint64_t>(generation) << 32 | low;
}
constexpr bool is_closed(std::uint64_t cursor) noexcept {
    return (cursor & kClosedBit) != 0;
}
constexpr std::uint32_t cells_of(std::uint64_t cursor) noexcept {
    return static_cast<std::uint32_t>(cursor & 0xFFFF);
}
constexpr std::uint32_t events_of(std::uint64_t cursor) noexcept {
    return static_cast<std::uint32_t>(cursor >> 16 & 0x7FFF);
}
// From Segment.next the segment that follows, as index + 1; 0 when none does.
constexpr std::uint32_t successor_of(std::uint64_t next) noexcept {
    return low_of(next) == kSealed ? 0 : low_of(next);
}
// The key of a queue that is being closed has the database but no serial, so that no reference matches it.
constexpr bool is_open(std::uint64_t key) noexcept {
    return key >> 32 != 0;
}

enum Phase : std::uint32_t { kUntouched = 0, kClaimed = 1, kCommitted = 2, kDead = 3 };
constexpr std::uint32_t kCountedBit = 4;
constexpr std::uint32_t state_word(Phase phase, std::uint32_t cells, bool counted = false) noexcept {
    return phase | (counted ? kCountedBit : 0) | cells << 3;
}
constexpr Phase phase_of(std::uint32_t state) noexcept {
    return static_cast<Phase>(state & 3);
}
constexpr std::uint32_t span_of(std::uint32_t state) noexcept {
    return state >> 3;
}

// The fixed part of a record; the texts follow. The checksum covers everything after it. Position, ring id and size are
// part of its seed, so that an old record left in the cell is never taken for a new one.
constexpr std::size_t kFactsBytes = offsetof(Facts, unused);
// The length of a short text takes one byte, that of another two, the lower one first. So a record without texts is one cell.
constexpr std::size_t length_bytes(unsigned kind) noexcept {
    return kTextColumns[kind].room < 256 ? 1 : 2;
}
constexpr std::size_t all_length_bytes() noexcept {
    std::size_t size = 0;
    for (unsigned kind = 0; kind < kTexts; kind++) size += length_bytes(kind);
    return size;
}
struct RecordHead {
    std::uint64_t checksum;
    std::int64_t at;
    std::uint8_t lengths[all_length_bytes()];                                       // of the texts
    std::byte facts[round_up(kFactsBytes + sizeof(lengths), 8) - sizeof(lengths)];  // the Facts, except their unused end
};
static_assert(sizeof(RecordHead) % 8 == 0 && std::has_unique_object_representations_v<RecordHead>);

constexpr std::size_t max_record_bytes() noexcept {
    std::size_t size = sizeof(RecordHead);
    for (const TextColumn& text : kTextColumns) size += text.room;
    return round_up(size, 8);
}
constexpr std::uint32_t kMaxRecordCells = round_up(max_record_bytes(), kCellBytes) / kCellBytes;

// A record, built before its cells are claimed, so that the time between claim and commit is short.
struct Ring::Record {
    alignas(8) std::byte bytes[max_record_bytes()];
    std::size_t size;
    std::uint32_t span;  // cells
    std::uint64_t body;  // hash of all but the checksum

    explicit Record(const Event& event) noexcept;
    // Computes the checksum for the cell that was claimed, and writes the record there.
    void put(Segment& segment, std::uint32_t cell, std::uint64_t begin) noexcept;
};

// Reads the record at a cell. Every length is checked before it is used.
bool read_record(const Segment& segment, std::uint32_t cell, std::uint32_t span, StoredEvent& out) noexcept;

}  // namespace mirox::shmem
