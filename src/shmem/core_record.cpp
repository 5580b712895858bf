// Records of the ring (see core_record.hpp), and the hash that shows whether a record is whole. Holds no server call, exception,
// allocation or system call.
#include "shmem/core_record.hpp"
#include "core/slice.hpp"

#include <algorithm>

namespace mirox::shmem {

using std::memory_order_relaxed;

namespace {

constexpr std::size_t kBodyAt = offsetof(RecordHead, at);

constexpr std::uint64_t seal(std::uint64_t body, std::uint64_t begin, std::uint64_t ring_id, std::size_t size) noexcept {
    return combine(combine(body, begin), ring_id ^ static_cast<std::uint64_t>(size) << 40);
}

}  // namespace

[[gnu::hot]] std::uint64_t hash_bytes(const void* at, std::size_t size) noexcept {
    // Four independent chains, so that multiplications overlap. Each step is a bijection of its word, so that a change in one
    // word always changes the hash.
    constexpr std::uint64_t kOdd = 0x9FB2'1C65'1E98'DF25ULL;
    const auto* p = static_cast<const unsigned char*>(at);
    std::uint64_t h[4] = {0x243F'6A88'85A3'08D3ULL, 0x1319'8A2E'0370'7344ULL, 0xA409'3822'299F'31D0ULL, 0x082E'FA98'EC4E'6C89ULL};
    std::size_t left = size;
    const auto step = [](std::uint64_t h, std::uint64_t w) noexcept {
        h = (h ^ w) * kOdd;
        return h << 27 | h >> 37;
    };
    for (; left >= 32; left -= 32, p += 32) {
        std::uint64_t w[4];
        std::memcpy(w, p, 32);
        for (int i = 0; i < 4; i++) h[i] = step(h[i], w[i]);
    }
    for (int i = 0; left >= 8; left -= 8, p += 8, i++) {
        std::uint64_t w;
        std::memcpy(&w, p, 8);
        h[i] = step(h[i], w);
    }
    std::uint64_t rest = 0;
    if (left > 0) std::memcpy(&rest, p, left);
    h[3] = step(h[3], rest);
    return combine(combine(combine(combine(size, h[0]), h[1]), h[2]), h[3]);
}

[[gnu::hot]] Ring::Record::Record(const Event& event) noexcept {
    RecordHead head = {};
    head.at = event.at;
    std::memcpy(head.facts, static_cast<const Facts*>(&event), kFactsBytes);
    std::size_t used = sizeof head;
    std::uint8_t* length = head.lengths;
    for (unsigned i = 0; i < kTexts; i++) {
        const std::string_view text = core::slice(event.texts[i], 0, std::min(event.texts[i].size(), kTextColumns[i].room));
        *length++ = static_cast<std::uint8_t>(text.size());
        if (length_bytes(i) > 1) *length++ = static_cast<std::uint8_t>(text.size() >> 8);
        if (!text.empty()) std::memcpy(bytes + used, text.data(), text.size());
        used += text.size();
    }
    std::memcpy(bytes, &head, sizeof head);
    size = round_up(used, 8);
    std::memset(bytes + used, 0, size - used);
    span = static_cast<std::uint32_t>((size + kCellBytes - 1) / kCellBytes);
    body = hash_bytes(bytes + kBodyAt, size - kBodyAt);
}

[[gnu::hot]] void Ring::Record::put(Segment& segment, std::uint32_t cell, std::uint64_t begin) noexcept {
    const std::uint64_t checksum = seal(body, begin, segment.ring_id.load(memory_order_relaxed), size);
    std::memcpy(bytes + offsetof(RecordHead, checksum), &checksum, sizeof checksum);
    std::memcpy(segment.cells[cell], bytes, size);
}

bool read_record(const Segment& segment, std::uint32_t cell, std::uint32_t span, StoredEvent& out) noexcept {
    if (span * kCellBytes < sizeof(RecordHead) || span > kMaxRecordCells || cell + span > kSegmentCells) return false;
    const std::byte* const bytes = segment.cells[cell];
    RecordHead head;
    std::memcpy(&head, bytes, sizeof head);
    std::size_t size = sizeof head;
    std::size_t lengths[kTexts];
    const std::uint8_t* length = head.lengths;
    for (unsigned i = 0; i < kTexts; i++) {
        lengths[i] = *length++;
        if (length_bytes(i) > 1) lengths[i] |= std::size_t{*length++} << 8;
        if (lengths[i] > kTextColumns[i].room) return false;
        size += lengths[i];
    }
    size = round_up(size, 8);
    if (round_up(size, kCellBytes) / kCellBytes != span) return false;
    const std::uint64_t begin = segment.base.load(memory_order_relaxed) + cell;
    const std::uint64_t ring_id = segment.ring_id.load(memory_order_relaxed);
    if (head.checksum != seal(hash_bytes(bytes + kBodyAt, size - kBodyAt), begin, ring_id, size)) return false;
    out.event = {};
    std::memcpy(static_cast<void*>(static_cast<Facts*>(&out.event)), head.facts, kFactsBytes);
    out.event.at = head.at;
    const char* text = reinterpret_cast<const char*>(bytes + sizeof head);
    for (unsigned i = 0; i < kTexts; text += lengths[i++]) out.event.texts[i] = {text, lengths[i]};
    out.begin = begin;
    out.end = begin + span;
    out.ring_id = ring_id;
    return true;
}

}  // namespace mirox::shmem
