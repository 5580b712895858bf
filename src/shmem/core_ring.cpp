// The ring of events: claiming, committing, freeing.
//
// Holds no server call, exception, allocation or system call. The words, and which processes write them:
//   Segment.cursor  producers claim by compare-and-swap; one that finds too little room closes the segment
//   Segment.next    the first producer that links a successor wins; close_queue() seals it
//   Segment.states  the producer that claimed the cell; then no process until the segment is given out again
//   Queue.tail      any process moves it to the successor, as in a Michael-Scott queue
//   Queue.head      the consumer
// cursor, next and tail have the segment's generation in them, so that the claim of a producer that slept too long fails.
#include "shmem/core_record.hpp"

namespace mirox::shmem {

namespace {

using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

constexpr std::size_t kQueuesAt = round_up(sizeof(RingHead), alignof(Queue));

constexpr std::uint32_t reserve_of(std::uint32_t segments) noexcept {
    return segments / 8 < 2 ? 2 : segments / 8;
}

}  // namespace

// ---- making ----------------------------------------------------------------------------------------------------------

std::size_t Ring::bytes(std::uint32_t segments, std::uint32_t queues) noexcept {
    return round_up(kQueuesAt + std::size_t{queues} * sizeof(Queue), alignof(Segment)) + std::size_t{segments} * sizeof(Segment);
}

Ring Ring::view(std::byte* at, std::uint32_t queues) noexcept {
    Ring ring;
    ring.head_ = reinterpret_cast<RingHead*>(at);
    ring.queues_ = reinterpret_cast<Queue*>(at + kQueuesAt);
    ring.segments_ = reinterpret_cast<Segment*>(at + bytes(0, queues));
    return ring;
}

Ring Ring::initialise(std::byte* at, std::uint32_t segments, std::uint32_t queues, std::uint64_t ring_id,
                      std::uint64_t first_position) noexcept {
    std::memset(at, 0, bytes(segments, queues));
    const Ring ring = view(at, queues);
    ring.head_->segments = segments;
    ring.head_->queues = queues;
    ring.head_->ring_id.store(ring_id, memory_order_relaxed);
    ring.head_->floor.store(first_position, memory_order_relaxed);
    ring.head_->free_segments.store(segments, memory_order_relaxed);
    for (std::uint32_t i = 0; i < segments; i++) ring.segments_[i].cursor.store(tagged(1, kClosedBit), memory_order_relaxed);
    return ring;
}

// ---- segments --------------------------------------------------------------------------------------------------------

std::uint32_t Ring::allocate(std::uint32_t queue, std::uint64_t base, bool use_reserve) noexcept {
    const std::uint32_t free = head_->free_segments.load(memory_order_relaxed);
    if (free == 0 || (!use_reserve && free <= reserve_of(head_->segments))) return 0;
    const std::uint32_t n = head_->segments;
    std::uint32_t at = head_->search_from.load(memory_order_relaxed) % n;
    for (std::uint32_t tried = 0; tried < n; tried++, at = at + 1 == n ? 0 : at + 1) {
        Segment& s = segments_[at];
        std::uint32_t nobody = 0;
        if (s.owner.load(memory_order_relaxed) != 0 ||
            !s.owner.compare_exchange_strong(nobody, queue + 1, memory_order_acq_rel, memory_order_relaxed))
            continue;
        head_->free_segments.fetch_sub(1, memory_order_relaxed);
        queues_[queue].segments.fetch_add(1, memory_order_relaxed);
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
    s.cursor.store(tagged(generation_of(s.cursor.load(memory_order_relaxed)) + 1, kClosedBit), memory_order_release);
    queues_[owner - 1].segments.fetch_sub(1, memory_order_relaxed);
    s.owner.store(0, memory_order_release);
    head_->free_segments.fetch_add(1, memory_order_relaxed);
}

// Moves the tail from the seen value to the segment (index + 1), unless another process has moved it.
void Ring::move_tail(Queue& queue, std::uint64_t from, std::uint32_t to) noexcept {
    queue.tail.compare_exchange_strong(from, tagged(generation_of(segments_[to - 1].cursor.load(memory_order_acquire)), to),
                                       memory_order_acq_rel, memory_order_relaxed);
}

// ---- queues ----------------------------------------------------------------------------------------------------------

QueueRef Ring::queue_at(std::uint32_t index) const noexcept {
    const std::uint64_t key = queues_[index].key.load(memory_order_acquire);
    return is_open(key) ? QueueRef{index, key} : QueueRef{};
}

[[gnu::hot]] QueueRef Ring::find_queue(std::uint32_t database) const noexcept {
    for (std::uint32_t i = 0; i < head_->queues; i++) {
        const QueueRef queue = queue_at(i);
        if (queue && queue.database() == database) return queue;
    }
    return {};
}

QueueRef Ring::open_queue(std::uint32_t database) noexcept {
    if (database == 0) return {};
    if (const QueueRef queue = find_queue(database)) return queue;
    for (std::uint32_t i = 0; i < head_->queues; i++) {
        // A queue that could not be closed yet must not exist beside a new one of the same database.
        if (low_of(queues_[i].key.load(memory_order_relaxed)) == database && !close_queue(database)) return {};
    }
    for (std::uint32_t i = 0; i < head_->queues; i++) {
        Queue& queue = queues_[i];
        if (queue.key.load(memory_order_acquire) != 0) continue;
        const std::uint64_t base = head_->floor.load(memory_order_relaxed);
        const std::uint32_t segment = allocate(i, base, true);
        if (segment == 0) return {};
        for (auto* position : {&queue.applied, &queue.freed, &queue.freed_before}) position->store(base, memory_order_relaxed);
        for (auto* count : {&queue.dropped, &queue.torn, &queue.dropped_before, &queue.torn_before, &queue.unposted})
            count->store(0, memory_order_relaxed);
        queue.head.store(segment, memory_order_relaxed);
        std::uint32_t serial = head_->queue_serial.fetch_add(1, memory_order_relaxed) + 1;
        if (serial == 0) serial = head_->queue_serial.fetch_add(1, memory_order_relaxed) + 1;
        const std::uint64_t key = tagged(serial, database);
        // A producer with an old reference that sees the new tail will then see that the key has changed: the old key was removed
        // before the old tail.
        queue.tail.store(tagged(generation_of(segments_[segment - 1].cursor.load(memory_order_relaxed)), segment),
                         memory_order_release);
        queue.key.store(key, memory_order_release);
        return {i, key};
    }
    return {};
}

// Closes the last segment and seals its link, while a producer may be adding a segment. Returns the end of the queue's positions.
std::uint64_t Ring::seal_end(Queue& queue) noexcept {
    for (;;) {
        const std::uint64_t tail = queue.tail.load(memory_order_acquire);
        if (low_of(tail) == 0) return queue.freed.load(memory_order_relaxed);
        Segment& s = segments_[low_of(tail) - 1];
        s.cursor.fetch_or(kClosedBit, memory_order_acq_rel);
        std::uint64_t next = tagged(generation_of(tail), 0);
        if (s.next.compare_exchange_strong(next, tagged(generation_of(tail), kSealed), memory_order_acq_rel,
                                           memory_order_acquire) ||
            low_of(next) == kSealed)
            return s.base.load(memory_order_relaxed) + kSegmentCells;
        move_tail(queue, tail, low_of(next));
    }
}

bool Ring::close_queue(std::uint32_t database) noexcept {
    std::uint32_t index = 0;
    while (index < head_->queues && low_of(queues_[index].key.load(memory_order_relaxed)) != database) index++;
    if (database == 0 || index == head_->queues) return true;
    Queue& queue = queues_[index];
    queue.key.store(database, memory_order_release);
    const std::uint64_t end = seal_end(queue);

    // When a claim is not committed yet, its producer is still writing.
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
    head_->lost_discarded.fetch_add(discarded, memory_order_relaxed);
    head_->lost_drops.fetch_add(queue.dropped.load(memory_order_relaxed), memory_order_relaxed);
    std::uint32_t segment = queue.head.load(memory_order_relaxed);
    queue.tail.store(0, memory_order_release);
    queue.head.store(0, memory_order_relaxed);
    while (segment != 0) {
        const std::uint32_t next = successor_of(segments_[segment - 1].next.load(memory_order_acquire));
        give_back(segment - 1);
        segment = next;
    }
    queue.key.store(0, memory_order_release);
    head_->free_steps.fetch_add(1, memory_order_release);
    return true;
}

// ---- publishing ------------------------------------------------------------------------------------------------------

// Claims cells in the tail's segment and writes the record there. `full` when the segment has no room; it is closed then.
[[gnu::hot]] Ring::Step Ring::claim(std::uint64_t tail, Record& record, bool counted, Published& out) noexcept {
    Segment& s = segments_[low_of(tail) - 1];
    std::uint64_t cursor = s.cursor.load(memory_order_acquire);
    if (generation_of(cursor) != generation_of(tail)) return Step::again;
    if (is_closed(cursor)) return Step::full;
    const std::uint32_t cell = cells_of(cursor);
    if (cell + record.span > kSegmentCells) {
        s.cursor.compare_exchange_strong(cursor, cursor | kClosedBit, memory_order_acq_rel, memory_order_relaxed);
        return Step::again;
    }
    if (!s.cursor.compare_exchange_weak(cursor, cursor + (1U << 16) + record.span, memory_order_acq_rel, memory_order_relaxed))
        return Step::again;
    s.states[cell].store(state_word(kClaimed, record.span), memory_order_relaxed);
    const std::uint64_t begin = s.base.load(memory_order_relaxed) + cell;
    record.put(s, cell, begin);
    s.states[cell].store(state_word(kCommitted, record.span, counted), memory_order_release);
    out.end = begin + record.span;
    return Step::done;
}

// Moves on from the tail's closed segment to its successor, and makes one when there is none. `full` when no segment is free.
Ring::Step Ring::extend(std::uint32_t index, std::uint64_t tail, Published& out) noexcept {
    Queue& queue = queues_[index];
    Segment& s = segments_[low_of(tail) - 1];
    std::uint64_t next = s.next.load(memory_order_acquire);
    if (generation_of(next) != generation_of(tail)) return Step::again;
    if (low_of(next) == kSealed) return Step::again;  // the key has changed by now
    if (low_of(next) == 0) {
        const std::uint32_t total = head_->segments;
        const bool small = queue.segments.load(memory_order_relaxed) < reserve_of(total);
        const std::uint32_t fresh = allocate(index, s.base.load(memory_order_relaxed) + kSegmentCells, small);
        if (fresh == 0) {
            // Another producer may have linked one meanwhile.
            const bool linked = low_of(s.next.load(memory_order_acquire)) != 0 || queue.tail.load(memory_order_acquire) != tail;
            return linked ? Step::again : Step::full;
        }
        if (!s.next.compare_exchange_strong(next, tagged(generation_of(tail), fresh), memory_order_acq_rel,
                                            memory_order_acquire)) {
            give_back(fresh - 1);
            return Step::again;
        }
        next = tagged(generation_of(tail), fresh);
        out.wake = head_->free_segments.load(memory_order_relaxed) * 2 <= total;
    }
    move_tail(queue, tail, low_of(next));
    return Step::again;
}

[[gnu::hot]] Published Ring::publish(QueueRef ref, const Event& event, bool counted) noexcept {
    Published out;
    out.status = PublishStatus::no_queue;
    if (!ref || ref.index >= head_->queues) return out;
    Record record(event);
    Queue& queue = queues_[ref.index];
    for (;;) {
        const std::uint64_t tail = queue.tail.load(memory_order_acquire);
        if (queue.key.load(memory_order_acquire) != ref.key) return out;
        if (low_of(tail) == 0) continue;  // being closed: the key has changed by now
        Step step = claim(tail, record, counted, out);
        if (step == Step::done) {
            out.status = PublishStatus::ok;
            return out;
        }
        if (step == Step::full && extend(ref.index, tail, out) == Step::full) {
            out.status = PublishStatus::full;
            out.wake = true;
            return out;
        }
    }
}

void Ring::count_drop(QueueRef queue) noexcept {
    (holds(queue) ? queues_[queue.index].dropped : head_->lost_drops).fetch_add(1, memory_order_relaxed);
}

// ---- consuming -------------------------------------------------------------------------------------------------------

void Ring::set_applied(QueueRef queue, std::uint64_t position) noexcept {
    if (holds(queue)) raise_to(queues_[queue.index].applied, position);
}

void Ring::free_to(QueueRef ref, std::uint64_t position) noexcept {
    if (!holds(ref)) return;
    Queue& queue = queues_[ref.index];
    raise_to(queue.applied, position);
    const std::uint64_t before = queue.freed.load(memory_order_relaxed);
    if (position <= before) return;
    queue.freed_before.store(before, memory_order_relaxed);
    queue.freed.store(position, memory_order_release);
    head_->free_steps.fetch_add(1, memory_order_release);
    for (;;) {
        const std::uint32_t index = queue.head.load(memory_order_relaxed);
        Segment& s = segments_[index - 1];
        const std::uint64_t cursor = s.cursor.load(memory_order_acquire);
        if (!is_closed(cursor) || position < s.base.load(memory_order_relaxed) + cells_of(cursor)) return;
        const std::uint32_t next = successor_of(s.next.load(memory_order_acquire));
        if (next == 0) return;
        const std::uint64_t tail = queue.tail.load(memory_order_acquire);
        if (low_of(tail) == index) move_tail(queue, tail, next);
        // Head first: if the process is killed in between, the segment is in no chain, and recovery frees it.
        queue.head.store(next, memory_order_release);
        give_back(index - 1);
    }
}

void Ring::reset_statistics(QueueRef ref) noexcept {
    if (!holds(ref)) return;
    Queue& queue = queues_[ref.index];
    queue.dropped_before.store(dropped(ref), memory_order_relaxed);
    queue.torn_before.store(torn(ref), memory_order_relaxed);
}

}  // namespace mirox::shmem
