// The ring of events: claiming, committing, reading, freeing, recovering.
//
// Holds no server call, exception, allocation or system call. The words and who writes them:
//   Segment.cursor  producers claim by compare-and-swap; whoever finds it too full closes it
//   Segment.next    the first to link a successor wins; close_lane() seals it
//   Segment.states  the producer that claimed the cell, then nobody until the segment is given out again
//   Lane.tail       anybody helps it on to the successor, as in a Michael-Scott queue
//   Lane.head       the consumer
// A tag of the segment's generation in cursor, next and tail makes a claim by a sleeper fail.
#include "shmem/core_ring.hpp"

namespace mirox::shmem {

namespace {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

// ---- words
// -------------------------------------------------------------------------------------------------------

constexpr std::uint64_t kClosedBit = 1ULL << 31;
constexpr std::uint32_t kSealed = 0xFFFF'FFFF;

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

constexpr std::size_t kLanesAt = round_up(sizeof(RingHead), alignof(Lane));
constexpr std::uint64_t kMaxPosition = 1ULL << 62;

// A lane that is being closed keeps its database and loses its serial, so that no reference matches it.
constexpr bool is_open(std::uint64_t key) noexcept {
    return key >> 32 != 0;
}

// ---- records
// -----------------------------------------------------------------------------------------------------

// The fixed part of a record, one cell; scope and agent follow. The checksum covers all after itself, and position, ring
// id and size by way of its seed: an old record left in the cell never passes for a new one.
struct RecordHead {
    std::uint64_t checksum;
    std::int64_t at;
    std::int64_t subject;  // the session of EventKind::session, else the token
    std::int64_t account;
    std::uint8_t address[16];
    std::int32_t generation;
    std::uint16_t scope_bytes;
    std::uint16_t agent_bytes;
    std::uint16_t status;
    std::uint8_t kind;
    std::uint8_t reason;
    std::uint8_t family;
    std::uint8_t unused[3];
};
static_assert(sizeof(RecordHead) == kCellBytes && std::is_trivially_copyable_v<RecordHead>);
constexpr std::size_t kBodyAt = offsetof(RecordHead, at);
constexpr std::size_t kMaxRecordBytes = round_up(sizeof(RecordHead) + kMaxScopeText + kMaxAgentText, 8);
constexpr std::uint32_t kMaxRecordCells =
    static_cast<std::uint32_t>(round_up(kMaxRecordBytes, kCellBytes) / kCellBytes);
static_assert(kMaxRecordCells == 26);

constexpr std::uint64_t seal(std::uint64_t body, std::uint64_t begin, std::uint64_t ring_id,
                             std::size_t size) noexcept {
    return combine(combine(body, begin), ring_id ^ static_cast<std::uint64_t>(size) << 40);
}

[[gnu::hot]] std::string_view cut(std::string_view text, std::size_t most) noexcept {
    return text.size() <= most ? text : text.substr(0, most);
}

// Reads the record at a cell, with every length checked before it is used.
bool read_record(const Segment& segment, std::uint32_t cell, std::uint32_t span, StoredEvent& out) noexcept {
    if (span < 1 || span > kMaxRecordCells || cell + span > kSegmentCells) return false;
    const std::byte* const bytes = segment.cells[cell];
    RecordHead head;
    std::memcpy(&head, bytes, sizeof head);
    if (head.scope_bytes > kMaxScopeText || head.agent_bytes > kMaxAgentText) return false;
    const std::size_t size = round_up(sizeof head + head.scope_bytes + head.agent_bytes, 8);
    if (round_up(size, kCellBytes) / kCellBytes != span) return false;
    const std::uint64_t begin = segment.base.load(memory_order_relaxed) + cell;
    const std::uint64_t ring_id = segment.ring_id.load(memory_order_relaxed);
    if (head.checksum != seal(hash_bytes(bytes + kBodyAt, size - kBodyAt), begin, ring_id, size))
        return false;
    const char* const texts = reinterpret_cast<const char*>(bytes + sizeof head);
    out.event.kind = static_cast<EventKind>(head.kind);
    out.event.reason = head.reason;
    out.event.status = head.status;
    out.event.generation = head.generation;
    const bool of_session = out.event.kind == EventKind::session;
    out.event.token = of_session ? 0 : head.subject;
    out.event.session = of_session ? head.subject : 0;
    out.event.account = head.account;
    out.event.at = head.at;
    std::memcpy(out.event.address.bytes, head.address, sizeof head.address);
    out.event.address.family = head.family;
    out.event.scope = {texts, head.scope_bytes};
    out.event.agent = {texts + head.scope_bytes, head.agent_bytes};
    out.begin = begin;
    out.end = begin + span;
    out.ring_id = ring_id;
    return true;
}

constexpr std::uint32_t kept_back(std::uint32_t segments) noexcept {
    return segments / 8 < 2 ? 2 : segments / 8;
}

}  // namespace

[[gnu::hot]] std::uint64_t hash_bytes(const void* at, std::size_t size) noexcept {
    // Four independent chains, so that the multiplier is kept busy; each step is a bijection of its word, so
    // that a change in one word always shows.
    constexpr std::uint64_t kOdd = 0x9FB2'1C65'1E98'DF25ULL;
    const auto* p = static_cast<const unsigned char*>(at);
    std::uint64_t h[4] = {0x243F'6A88'85A3'08D3ULL, 0x1319'8A2E'0370'7344ULL, 0xA409'3822'299F'31D0ULL,
                          0x082E'FA98'EC4E'6C89ULL};
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

// ---- making
// ------------------------------------------------------------------------------------------------------

std::size_t Ring::bytes(std::uint32_t segments, std::uint32_t lanes) noexcept {
    return round_up(kLanesAt + std::size_t{lanes} * sizeof(Lane), alignof(Segment)) +
           std::size_t{segments} * sizeof(Segment);
}

Ring Ring::view(std::byte* at, std::uint32_t lanes) noexcept {
    Ring ring;
    ring.head_ = reinterpret_cast<RingHead*>(at);
    ring.lanes_ = reinterpret_cast<Lane*>(at + kLanesAt);
    ring.segments_ = reinterpret_cast<Segment*>(
        at + round_up(kLanesAt + std::size_t{lanes} * sizeof(Lane), alignof(Segment)));
    return ring;
}

Ring Ring::initialise(std::byte* at, std::uint32_t segments, std::uint32_t lanes, std::uint64_t ring_id,
                      std::uint64_t first_position) noexcept {
    std::memset(at, 0, bytes(segments, lanes));
    const Ring ring = view(at, lanes);
    ring.head_->segments = segments;
    ring.head_->lanes = lanes;
    ring.head_->ring_id.store(ring_id, memory_order_relaxed);
    ring.head_->floor.store(first_position, memory_order_relaxed);
    ring.head_->free_segments.store(segments, memory_order_relaxed);
    for (std::uint32_t i = 0; i < segments; i++)
        ring.segments_[i].cursor.store(tagged(1, kClosedBit), memory_order_relaxed);
    return ring;
}

// ---- segments
// ----------------------------------------------------------------------------------------------------

std::uint32_t Ring::allocate(std::uint32_t lane, std::uint64_t base, bool reserve_too) noexcept {
    const std::uint32_t free = head_->free_segments.load(memory_order_relaxed);
    if (free == 0 || (!reserve_too && free <= kept_back(head_->segments))) return 0;
    const std::uint32_t n = head_->segments;
    std::uint32_t at = head_->search_from.load(memory_order_relaxed) % n;
    for (std::uint32_t tried = 0; tried < n; tried++, at = at + 1 == n ? 0 : at + 1) {
        Segment& s = segments_[at];
        std::uint32_t nobody = 0;
        if (s.owner.load(memory_order_relaxed) != 0 ||
            !s.owner.compare_exchange_strong(nobody, lane + 1, memory_order_acq_rel, memory_order_relaxed))
            continue;
        head_->free_segments.fetch_sub(1, memory_order_relaxed);
        lanes_[lane].segments.fetch_add(1, memory_order_relaxed);
        head_->search_from.store(at + 1 == n ? 0 : at + 1, memory_order_relaxed);
        const std::uint32_t generation = generation_of(s.cursor.load(memory_order_relaxed));
        for (auto& state : s.states) state.store(0, memory_order_relaxed);
        s.base.store(base, memory_order_relaxed);
        s.ring_id.store(head_->ring_id.load(memory_order_relaxed), memory_order_relaxed);
        s.next.store(tagged(generation, 0), memory_order_relaxed);
        s.cursor.store(tagged(generation, 0), memory_order_release);  // open, empty
        return at + 1;
    }
    return 0;
}

void Ring::give_back(std::uint32_t segment) noexcept {
    Segment& s = segments_[segment];
    const std::uint32_t owner = s.owner.load(memory_order_relaxed);
    s.cursor.store(tagged(generation_of(s.cursor.load(memory_order_relaxed)) + 1, kClosedBit),
                   memory_order_release);
    lanes_[owner - 1].segments.fetch_sub(1, memory_order_relaxed);
    s.owner.store(0, memory_order_release);
    head_->free_segments.fetch_add(1, memory_order_relaxed);
}

// ---- lanes
// -------------------------------------------------------------------------------------------------------

LaneRef Ring::lane_at(std::uint32_t index) const noexcept {
    const std::uint64_t key = lanes_[index].key.load(memory_order_acquire);
    return is_open(key) ? LaneRef{index, key} : LaneRef{};
}

[[gnu::hot]] LaneRef Ring::find_lane(std::uint32_t database) const noexcept {
    for (std::uint32_t i = 0; i < head_->lanes; i++) {
        const LaneRef lane = lane_at(i);
        if (lane && lane.database() == database) return lane;
    }
    return {};
}

LaneRef Ring::open_lane(std::uint32_t database) noexcept {
    if (database == 0) return {};
    if (const LaneRef lane = find_lane(database)) return lane;
    for (std::uint32_t i = 0; i < head_->lanes; i++) {
        // One that could not be closed yet must not stand beside a new one of the same database.
        if (low_of(lanes_[i].key.load(memory_order_relaxed)) == database && !close_lane(database)) return {};
    }
    for (std::uint32_t i = 0; i < head_->lanes; i++) {
        Lane& lane = lanes_[i];
        if (lane.key.load(memory_order_acquire) != 0) continue;
        const std::uint64_t base = head_->floor.load(memory_order_relaxed);
        const std::uint32_t segment = allocate(i, base, true);
        if (segment == 0) return {};
        lane.applied.store(base, memory_order_relaxed);
        lane.freed.store(base, memory_order_relaxed);
        lane.freed_before.store(base, memory_order_relaxed);
        lane.dropped.store(0, memory_order_relaxed);
        lane.torn.store(0, memory_order_relaxed);
        lane.dropped_before.store(0, memory_order_relaxed);
        lane.torn_before.store(0, memory_order_relaxed);
        lane.discarded.store(0, memory_order_relaxed);
        lane.recovered.store(0, memory_order_relaxed);
        lane.unsettled.store(0, memory_order_relaxed);
        lane.head.store(segment, memory_order_relaxed);
        std::uint32_t serial = head_->lane_serial.fetch_add(1, memory_order_relaxed) + 1;
        if (serial == 0) serial = head_->lane_serial.fetch_add(1, memory_order_relaxed) + 1;
        const std::uint64_t key = tagged(serial, database);
        // A producer with an old reference that sees the new tail sees, after it, a key that is not its own:
        // the old one went before the old tail did.
        lane.tail.store(
            tagged(generation_of(segments_[segment - 1].cursor.load(memory_order_relaxed)), segment),
            memory_order_release);
        lane.key.store(key, memory_order_release);
        return {i, key};
    }
    return {};
}

bool Ring::close_lane(std::uint32_t database) noexcept {
    std::uint32_t index = 0;
    while (index < head_->lanes && low_of(lanes_[index].key.load(memory_order_relaxed)) != database) index++;
    if (database == 0 || index == head_->lanes) return true;
    Lane& lane = lanes_[index];
    lane.key.store(database, memory_order_release);

    // Close the last segment and seal its link; a producer may be adding one at this moment.
    std::uint64_t end;
    for (;;) {
        const std::uint64_t tail = lane.tail.load(memory_order_acquire);
        if (low_of(tail) == 0) {
            end = lane.freed.load(memory_order_relaxed);
            break;
        }
        Segment& s = segments_[low_of(tail) - 1];
        s.cursor.fetch_or(kClosedBit, memory_order_acq_rel);
        std::uint64_t none = tagged(generation_of(tail), 0);
        if (s.next.compare_exchange_strong(none, tagged(generation_of(tail), kSealed), memory_order_acq_rel,
                                           memory_order_acquire) ||
            low_of(none) == kSealed) {
            end = s.base.load(memory_order_relaxed) + kSegmentCells;
            break;
        }
        const std::uint32_t next = low_of(none);
        std::uint64_t expected = tail;
        lane.tail.compare_exchange_strong(
            expected, tagged(generation_of(segments_[next - 1].cursor.load(memory_order_acquire)), next),
            memory_order_acq_rel, memory_order_relaxed);
    }

    // A claim not yet committed: its producer still writes there.
    std::uint64_t discarded = 0;
    RingReader reader(*this, {index, database});
    StoredEvent event;
    for (;;) {
        const ReadStatus status = reader.next(event);
        if (status == ReadStatus::in_progress) return false;
        if (status == ReadStatus::empty) break;
        if (status == ReadStatus::event) discarded++;
    }
    raise_to(head_->floor, end);
    head_->lost_discarded.fetch_add(discarded + lane.discarded.load(memory_order_relaxed),
                                    memory_order_relaxed);
    head_->lost_drops.fetch_add(lane.dropped.load(memory_order_relaxed), memory_order_relaxed);
    head_->lost_torn.fetch_add(lane.torn.load(memory_order_relaxed), memory_order_relaxed);
    std::uint32_t segment = lane.head.load(memory_order_relaxed);
    lane.tail.store(0, memory_order_release);
    lane.head.store(0, memory_order_relaxed);
    while (segment != 0 && segment != kSealed) {
        const std::uint32_t next = low_of(segments_[segment - 1].next.load(memory_order_acquire));
        give_back(segment - 1);
        segment = next;
    }
    lane.key.store(0, memory_order_release);
    head_->free_steps.fetch_add(1, memory_order_release);
    return true;
}

[[gnu::hot]] bool Ring::holds(LaneRef lane) const noexcept {
    return lane && lane.index < head_->lanes && lanes_[lane.index].key.load(memory_order_acquire) == lane.key;
}

// ---- publishing
// --------------------------------------------------------------------------------------------------

[[gnu::hot]] Published Ring::publish(LaneRef ref, const Event& event, bool counted) noexcept {
    Published out;
    if (!ref || ref.index >= head_->lanes) {
        out.status = PublishStatus::no_lane;
        return out;
    }
    const std::uint32_t total = head_->segments;
    if (event.kind == EventKind::stranger &&
        head_->free_segments.load(memory_order_relaxed) < total - total / 4) {
        out.status = PublishStatus::full;  // counted elsewhere: no need to wake anybody
        return out;
    }

    // All is put together before the claim, so that little can happen between claim and commit.
    const std::string_view scope = cut(event.scope, kMaxScopeText);
    const std::string_view agent = cut(event.agent, kMaxAgentText);
    const std::size_t used = sizeof(RecordHead) + scope.size() + agent.size();
    const std::size_t size = round_up(used, 8);
    const auto span = static_cast<std::uint32_t>((size + kCellBytes - 1) / kCellBytes);
    alignas(8) std::byte record[kMaxRecordBytes];
    RecordHead head;
    head.at = event.at;
    head.subject = event.kind == EventKind::session ? event.session : event.token;
    head.account = event.account;
    std::memcpy(head.address, event.address.bytes, sizeof head.address);
    head.generation = event.generation;
    head.scope_bytes = static_cast<std::uint16_t>(scope.size());
    head.agent_bytes = static_cast<std::uint16_t>(agent.size());
    head.status = event.status;
    head.kind = static_cast<std::uint8_t>(event.kind);
    head.reason = event.reason;
    head.family = event.address.family;
    head.checksum = 0;
    std::memset(head.unused, 0, sizeof head.unused);
    std::memcpy(record, &head, sizeof head);
    std::memset(record + size - 8, 0, 8);  // the padding; what belongs there is written over it
    std::memcpy(record + sizeof head - 8, reinterpret_cast<const std::byte*>(&head) + sizeof head - 8, 8);
    if (!scope.empty()) std::memcpy(record + sizeof head, scope.data(), scope.size());
    if (!agent.empty()) std::memcpy(record + sizeof head + scope.size(), agent.data(), agent.size());
    const std::uint64_t body = hash_bytes(record + kBodyAt, size - kBodyAt);

    Lane& lane = lanes_[ref.index];
    for (;;) {
        const std::uint64_t tail = lane.tail.load(memory_order_acquire);
        if (lane.key.load(memory_order_acquire) != ref.key) {
            out.status = PublishStatus::no_lane;
            return out;
        }
        if (low_of(tail) == 0) continue;  // being closed: the key has changed by now
        Segment& s = segments_[low_of(tail) - 1];
        std::uint64_t cursor = s.cursor.load(memory_order_acquire);
        if (generation_of(cursor) != generation_of(tail)) continue;
        if (!is_closed(cursor)) {
            const std::uint32_t cell = cells_of(cursor);
            if (cell + span > kSegmentCells) {
                s.cursor.compare_exchange_strong(cursor, cursor | kClosedBit, memory_order_acq_rel,
                                                 memory_order_relaxed);
                continue;
            }
            if (!s.cursor.compare_exchange_weak(cursor, cursor + (1U << 16) + span, memory_order_acq_rel,
                                                memory_order_relaxed))
                continue;
            s.states[cell].store(state_word(kClaimed, span), memory_order_relaxed);
            const std::uint64_t begin = s.base.load(memory_order_relaxed) + cell;
            const std::uint64_t checksum = seal(body, begin, s.ring_id.load(memory_order_relaxed), size);
            std::memcpy(record + offsetof(RecordHead, checksum), &checksum, sizeof checksum);
            std::memcpy(s.cells[cell], record, size);
            s.states[cell].store(state_word(kCommitted, span, counted), memory_order_release);
            out.status = PublishStatus::ok;
            out.end = begin + span;
            return out;
        }
        // Full: on to the successor, which we make when there is none.
        std::uint64_t next = s.next.load(memory_order_acquire);
        if (generation_of(next) != generation_of(tail)) continue;
        if (low_of(next) == kSealed) continue;  // the key has changed by now
        if (low_of(next) == 0) {
            const bool small = lane.segments.load(memory_order_relaxed) < kept_back(total);
            const std::uint32_t fresh =
                allocate(ref.index, s.base.load(memory_order_relaxed) + kSegmentCells, small);
            if (fresh == 0) {
                // Another may have linked one while we looked.
                if (low_of(s.next.load(memory_order_acquire)) != 0 ||
                    lane.tail.load(memory_order_acquire) != tail)
                    continue;
                out.status = PublishStatus::full;
                out.wake = true;
                return out;
            }
            if (s.next.compare_exchange_strong(next, tagged(generation_of(tail), fresh), memory_order_acq_rel,
                                               memory_order_acquire)) {
                next = tagged(generation_of(tail), fresh);
                out.wake = head_->free_segments.load(memory_order_relaxed) * 2 <= total;
            } else {
                give_back(fresh - 1);
                continue;
            }
        }
        const std::uint32_t successor = low_of(next);
        std::uint64_t expected = tail;
        lane.tail.compare_exchange_strong(
            expected,
            tagged(generation_of(segments_[successor - 1].cursor.load(memory_order_acquire)), successor),
            memory_order_acq_rel, memory_order_relaxed);
    }
}

void Ring::count_drop(LaneRef lane) noexcept {
    if (holds(lane))
        lanes_[lane.index].dropped.fetch_add(1, memory_order_relaxed);
    else
        head_->lost_drops.fetch_add(1, memory_order_relaxed);
}

// ---- consuming
// ---------------------------------------------------------------------------------------------------

void Ring::set_applied(LaneRef lane, std::uint64_t position) noexcept {
    if (holds(lane)) raise_to(lanes_[lane.index].applied, position);
}

void Ring::free_to(LaneRef ref, std::uint64_t position) noexcept {
    if (!holds(ref)) return;
    Lane& lane = lanes_[ref.index];
    raise_to(lane.applied, position);
    const std::uint64_t before = lane.freed.load(memory_order_relaxed);
    if (position <= before) return;
    lane.freed_before.store(before, memory_order_relaxed);
    lane.freed.store(position, memory_order_release);
    head_->free_steps.fetch_add(1, memory_order_release);
    for (;;) {
        const std::uint32_t index = lane.head.load(memory_order_relaxed);
        Segment& s = segments_[index - 1];
        const std::uint64_t cursor = s.cursor.load(memory_order_acquire);
        if (!is_closed(cursor) || position < s.base.load(memory_order_relaxed) + cells_of(cursor)) return;
        const std::uint32_t next = low_of(s.next.load(memory_order_acquire));
        if (next == 0 || next == kSealed) return;
        std::uint64_t tail = lane.tail.load(memory_order_acquire);
        if (low_of(tail) == index) {
            lane.tail.compare_exchange_strong(
                tail, tagged(generation_of(segments_[next - 1].cursor.load(memory_order_acquire)), next),
                memory_order_acq_rel, memory_order_relaxed);
        }
        // Head first: a death in between leaves a segment that no chain holds, which recovery frees.
        lane.head.store(next, memory_order_release);
        give_back(index - 1);
    }
}

// ---- reading
// -----------------------------------------------------------------------------------------------------

RingReader::RingReader(const Ring& ring, LaneRef ref) noexcept : ring_(&ring) {
    if (!ref || ref.index >= ring.head_->lanes) return;
    const Lane& lane = ring.lanes_[ref.index];
    if (lane.key.load(memory_order_acquire) != ref.key) return;
    position_ = lane.freed.load(memory_order_acquire);
    segment_ = lane.head.load(memory_order_acquire);
    if (segment_ == 0) return;
    const Segment& s = ring.segments_[segment_ - 1];
    const std::uint64_t base = s.base.load(memory_order_relaxed);
    if (position_ > base) {
        const std::uint64_t inside = position_ - base;
        cell_ = inside > kSegmentCells ? kSegmentCells : static_cast<std::uint32_t>(inside);
    }
    ring_id_ = s.ring_id.load(memory_order_relaxed);
}

ReadStatus RingReader::next(StoredEvent& out) noexcept {
    while (segment_ != 0) {
        const Segment& s = ring_->segments_[segment_ - 1];
        const std::uint64_t cursor = s.cursor.load(memory_order_acquire);
        const std::uint32_t cells = cells_of(cursor);
        const std::uint64_t base = s.base.load(memory_order_relaxed);
        if (cell_ >= cells) {
            const std::uint32_t next = is_closed(cursor) ? low_of(s.next.load(memory_order_acquire)) : 0;
            if (next == 0 || next == kSealed) return ReadStatus::empty;
            segment_ = next;
            cell_ = 0;
            const std::uint64_t id = ring_->segments_[next - 1].ring_id.load(memory_order_relaxed);
            if (id != ring_id_) {
                const bool told = last_cell_ != 0;
                ring_id_ = id;
                last_cell_ = 0;
                if (told) return ReadStatus::new_ring_id;
            }
            continue;
        }
        const std::uint32_t state = s.states[cell_].load(memory_order_acquire);
        std::uint32_t span = span_of(state);
        switch (phase_of(state)) {
            case kUntouched:
            case kClaimed:
                return ReadStatus::in_progress;
            case kCommitted:
                if (span <= cells - cell_ && read_record(s, cell_, span, out)) {
                    out.counted = (state & kCountedBit) != 0;
                    last_cell_ = cell_ + 1;
                    cell_ += span;
                    position_ = base + cell_;
                    return ReadStatus::event;
                }
                torn_++;
                break;
            case kDead:
                break;
        }
        if (span == 0 || span > cells - cell_) span = cells - cell_;  // a damaged word: give up the rest
        cell_ += span;
        position_ = base + cell_;
    }
    return ReadStatus::empty;
}

// ---- numbers
// -----------------------------------------------------------------------------------------------------

std::uint64_t Ring::applied(LaneRef lane) const noexcept {
    return holds(lane) ? lanes_[lane.index].applied.load(memory_order_acquire) : 0;
}
std::uint64_t Ring::freed(LaneRef lane) const noexcept {
    return holds(lane) ? lanes_[lane.index].freed.load(memory_order_acquire) : 0;
}
std::uint64_t Ring::freed_before(LaneRef lane) const noexcept {
    return holds(lane) ? lanes_[lane.index].freed_before.load(memory_order_acquire) : 0;
}
std::uint64_t Ring::dropped(LaneRef lane) const noexcept {
    return holds(lane) ? lanes_[lane.index].dropped.load(memory_order_relaxed) : 0;
}
std::uint64_t Ring::torn(LaneRef lane) const noexcept {
    return holds(lane) ? lanes_[lane.index].torn.load(memory_order_relaxed) : 0;
}
std::uint64_t Ring::dropped_since_reset(LaneRef lane) const noexcept {
    return holds(lane) ? dropped(lane) - lanes_[lane.index].dropped_before.load(memory_order_relaxed) : 0;
}
std::uint64_t Ring::torn_since_reset(LaneRef lane) const noexcept {
    return holds(lane) ? torn(lane) - lanes_[lane.index].torn_before.load(memory_order_relaxed) : 0;
}
void Ring::reset_statistics(LaneRef lane) noexcept {
    if (!holds(lane)) return;
    lanes_[lane.index].dropped_before.store(dropped(lane), memory_order_relaxed);
    lanes_[lane.index].torn_before.store(torn(lane), memory_order_relaxed);
}
std::uint64_t Ring::recovered(LaneRef lane) const noexcept {
    return holds(lane) ? lanes_[lane.index].recovered.load(memory_order_relaxed) : 0;
}

std::uint64_t Ring::claimed(LaneRef ref) const noexcept {
    if (!holds(ref)) return 0;
    const Lane& lane = lanes_[ref.index];
    for (;;) {
        const std::uint64_t tail = lane.tail.load(memory_order_acquire);
        if (low_of(tail) == 0) return lane.freed.load(memory_order_acquire);
        const Segment& s = segments_[low_of(tail) - 1];
        const std::uint64_t base = s.base.load(memory_order_acquire);
        const std::uint64_t cursor = s.cursor.load(memory_order_acquire);
        if (generation_of(cursor) != generation_of(tail) || lane.tail.load(memory_order_acquire) != tail)
            continue;
        if (is_closed(cursor)) {
            const std::uint32_t next = low_of(s.next.load(memory_order_acquire));
            if (next != 0 && next != kSealed) {
                // The tail lags behind: one more segment at most, since nobody claims past it before it is
                // helped on.
                const Segment& n = segments_[next - 1];
                const std::uint64_t end =
                    n.base.load(memory_order_acquire) + cells_of(n.cursor.load(memory_order_acquire));
                if (lane.tail.load(memory_order_acquire) != tail) continue;
                if (cells_of(n.cursor.load(memory_order_acquire)) != 0) return end;
            }
        }
        return base + cells_of(cursor);
    }
}

std::uint64_t Ring::waiting(LaneRef lane) const noexcept {
    return waiting(lane, 0);
}

std::uint64_t Ring::waiting(LaneRef lane, std::uint64_t position) const noexcept {
    return holds(lane) ? waiting_in(lanes_[lane.index], position) : 0;
}

std::uint64_t Ring::waiting_in(const Lane& lane, std::uint64_t position) const noexcept {
    const std::uint64_t freed = lane.freed.load(memory_order_acquire);
    const std::uint64_t from = position > freed ? position : freed;
    std::uint64_t n = 0;
    for (std::uint32_t at = lane.head.load(memory_order_acquire); at != 0 && at != kSealed;) {
        const Segment& s = segments_[at - 1];
        const std::uint64_t cursor = s.cursor.load(memory_order_acquire);
        const std::uint64_t base = s.base.load(memory_order_relaxed);
        const std::uint32_t cells = cells_of(cursor);
        if (from <= base) {
            n += events_of(cursor);
        } else if (from < base + cells) {
            for (auto cell = static_cast<std::uint32_t>(from - base); cell < cells;) {
                const std::uint32_t state = s.states[cell].load(memory_order_acquire);
                const std::uint32_t span = span_of(state);
                n += phase_of(state) == kDead ? 0 : 1;
                if (span == 0) break;
                cell += span;
            }
        }
        at = is_closed(cursor) ? low_of(s.next.load(memory_order_acquire)) : 0;
    }
    return n;
}

bool Ring::empty() const noexcept {
    for (std::uint32_t i = 0; i < head_->lanes; i++)
        if (lanes_[i].key.load(memory_order_acquire) != 0 && waiting_in(lanes_[i], 0) != 0) return false;
    return true;
}

// ---- recovery
// ----------------------------------------------------------------------------------------------------

// Marks dead what was not committed whole, closes the segment and sets its count of events right.
void Ring::recover_segment(Segment& s, RecoveredRing& found) noexcept {
    const std::uint64_t cursor = s.cursor.load(memory_order_relaxed);
    const std::uint32_t cells = cells_of(cursor) < kSegmentCells ? cells_of(cursor) : kSegmentCells;
    std::uint32_t whole = 0;
    StoredEvent event;
    for (std::uint32_t cell = 0; cell < cells;) {
        const std::uint32_t state = s.states[cell].load(memory_order_relaxed);
        const std::uint32_t span = span_of(state);
        if (phase_of(state) == kCommitted && span <= cells - cell && read_record(s, cell, span, event)) {
            whole++;
            cell += span;
            continue;
        }
        // No record: as far as the next cell that is the first of one.
        std::uint32_t to = cell + 1;
        while (to < cells && s.states[to].load(memory_order_relaxed) == 0) to++;
        s.states[cell].store(state_word(kDead, to - cell), memory_order_relaxed);
        cell = to;
    }
    const std::uint32_t claimed = events_of(cursor);
    found.torn += claimed > whole ? claimed - whole : 0;
    s.cursor.store(
        tagged(generation_of(cursor), static_cast<std::uint32_t>(kClosedBit) | whole << 16 | cells),
        memory_order_relaxed);
}

RecoveredRing Ring::recover(std::uint64_t ring_id) noexcept {
    RecoveredRing all;
    const std::uint32_t n = head_->segments;
    for (std::uint32_t i = 0; i < n; i++) segments_[i].owner.store(0, memory_order_relaxed);

    std::uint64_t floor = head_->floor.load(memory_order_relaxed);
    if (floor > kMaxPosition) floor = 0;
    for (std::uint32_t i = 0; i < head_->lanes; i++) {
        Lane& lane = lanes_[i];
        const std::uint64_t key = lane.key.load(memory_order_relaxed);
        lane.segments.store(0, memory_order_relaxed);
        bool twice = false;
        for (std::uint32_t j = 0; j < i; j++) {
            const std::uint64_t other = lanes_[j].key.load(memory_order_relaxed);
            twice = twice || (other != 0 && low_of(other) == low_of(key));
        }
        RecoveredRing found;
        std::uint32_t held = 0;
        std::uint32_t last = 0;
        std::uint64_t end = 0;
        if (low_of(key) != 0 && !twice) {
            for (std::uint32_t at = lane.head.load(memory_order_relaxed); at != 0 && at != kSealed;) {
                if (at > n || segments_[at - 1].owner.load(memory_order_relaxed) != 0 ||
                    segments_[at - 1].base.load(memory_order_relaxed) > kMaxPosition ||
                    segments_[at - 1].base.load(memory_order_relaxed) < end) {
                    found.damaged++;
                    if (last != 0)
                        segments_[last - 1].next.store(
                            tagged(generation_of(segments_[last - 1].cursor.load(memory_order_relaxed)), 0),
                            memory_order_relaxed);
                    break;
                }
                Segment& s = segments_[at - 1];
                s.owner.store(i + 1, memory_order_relaxed);
                recover_segment(s, found);
                held++;
                last = at;
                end = s.base.load(memory_order_relaxed) + kSegmentCells;
                const std::uint32_t generation = generation_of(s.cursor.load(memory_order_relaxed));
                const std::uint64_t next = s.next.load(memory_order_relaxed);
                at = generation_of(next) == generation ? low_of(next) : 0;
                if (at == 0 || at == kSealed) s.next.store(tagged(generation, 0), memory_order_relaxed);
            }
        }
        if (last == 0) {  // never was open, or nothing of it can be read
            if (end == 0 && low_of(key) != 0 && lane.freed.load(memory_order_relaxed) < kMaxPosition)
                end = lane.freed.load(memory_order_relaxed) + kSegmentCells;
            if (end > floor) floor = end;
            lane.key.store(0, memory_order_relaxed);
            lane.head.store(0, memory_order_relaxed);
            lane.tail.store(0, memory_order_relaxed);
            all.damaged += found.damaged;
            continue;
        }
        if (end > floor) floor = end;
        lane.segments.store(held, memory_order_relaxed);
        lane.tail.store(tagged(generation_of(segments_[last - 1].cursor.load(memory_order_relaxed)), last),
                        memory_order_relaxed);

        // The freed position must stand where a record begins; if it does not, the stored one in the database
        // still keeps anything from being applied twice.
        const std::uint32_t first = lane.head.load(memory_order_relaxed);
        Segment& s = segments_[first - 1];
        const std::uint64_t base = s.base.load(memory_order_relaxed);
        const std::uint32_t cells = cells_of(s.cursor.load(memory_order_relaxed));
        const std::uint64_t freed = lane.freed.load(memory_order_relaxed);
        std::uint32_t cell = 0;
        while (cell < cells && base + cell < freed)
            cell += span_of(s.states[cell].load(memory_order_relaxed));
        const bool known = freed < base || base + cell == freed || (cell >= cells && freed <= end);
        const std::uint64_t start = !known || freed < base ? base : freed;
        lane.freed.store(start, memory_order_relaxed);
        lane.freed_before.store(start, memory_order_relaxed);
        const std::uint64_t applied = lane.applied.load(memory_order_relaxed);
        if (applied < start || applied > end) lane.applied.store(start, memory_order_relaxed);

        found.events = waiting_in(lane, 0);
        lane.torn.fetch_add(found.torn, memory_order_relaxed);
        lane.recovered.store(found.events, memory_order_relaxed);
        lane.unsettled.store(found.events != 0 ? 1 : 0, memory_order_relaxed);
        if (!is_open(key)) {  // its closing was cut short
            RecoveredRing none;
            close_lane(low_of(key));
            none.torn = found.torn;
            none.damaged = found.damaged;
            found = none;
        }
        all.events += found.events;
        all.torn += found.torn;
        all.damaged += found.damaged;
    }

    std::uint32_t free = 0;
    for (std::uint32_t i = 0; i < n; i++) {
        Segment& s = segments_[i];
        if (s.owner.load(memory_order_relaxed) != 0) continue;
        free++;
        s.cursor.store(tagged(generation_of(s.cursor.load(memory_order_relaxed)) + 1, kClosedBit),
                       memory_order_relaxed);
    }
    raise_to(head_->floor, floor);
    if (head_->floor.load(memory_order_relaxed) > kMaxPosition)
        head_->floor.store(floor, memory_order_relaxed);
    head_->free_segments.store(free, memory_order_relaxed);
    head_->search_from.store(0, memory_order_relaxed);
    head_->damaged.fetch_add(all.damaged, memory_order_relaxed);
    head_->ring_id.store(ring_id, memory_order_release);
    return all;
}

void Ring::set_counted(std::uint32_t segment, std::uint32_t cell, bool counted) noexcept {
    std::atomic<std::uint32_t>& state = segments_[segment].states[cell];
    const std::uint32_t word = state.load(memory_order_relaxed);
    state.store(counted ? word | kCountedBit : word & ~kCountedBit, memory_order_relaxed);
}

}  // namespace mirox::shmem
