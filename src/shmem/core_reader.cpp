// The ring of events: reading and counting the events that wait. Holds no server call, exception, allocation or system call.
#include "shmem/core_record.hpp"

namespace mirox::shmem {

using std::memory_order_acquire;
using std::memory_order_relaxed;

RingReader::RingReader(const Ring& ring, QueueRef ref) noexcept : ring_(&ring) {
    if (!ring.holds(ref)) return;
    const Queue& queue = ring.queues_[ref.index];
    position_ = queue.freed.load(memory_order_acquire);
    segment_ = queue.head.load(memory_order_acquire);
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
            const std::uint32_t next = is_closed(cursor) ? successor_of(s.next.load(memory_order_acquire)) : 0;
            if (next == 0) return ReadStatus::empty;
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
        if (span == 0 || span > cells - cell_) span = cells - cell_;  // a damaged word: skip the rest of the segment
        cell_ += span;
        position_ = base + cell_;
    }
    return ReadStatus::empty;
}

std::uint64_t Ring::claimed(QueueRef ref) const noexcept {
    if (!holds(ref)) return 0;
    const Queue& queue = queues_[ref.index];
    for (;;) {
        const std::uint64_t tail = queue.tail.load(memory_order_acquire);
        if (low_of(tail) == 0) return queue.freed.load(memory_order_acquire);
        const Segment& s = segments_[low_of(tail) - 1];
        const std::uint64_t base = s.base.load(memory_order_acquire);
        const std::uint64_t cursor = s.cursor.load(memory_order_acquire);
        if (generation_of(cursor) != generation_of(tail) || queue.tail.load(memory_order_acquire) != tail) continue;
        const std::uint32_t next = is_closed(cursor) ? successor_of(s.next.load(memory_order_acquire)) : 0;
        if (next != 0) {
            // The tail is one segment behind at most, since no process claims past it before it has been moved.
            const Segment& n = segments_[next - 1];
            const std::uint64_t end = n.base.load(memory_order_acquire) + cells_of(n.cursor.load(memory_order_acquire));
            if (queue.tail.load(memory_order_acquire) != tail) continue;
            if (cells_of(n.cursor.load(memory_order_acquire)) != 0) return end;
        }
        return base + cells_of(cursor);
    }
}

std::uint64_t Ring::waiting(QueueRef queue, std::uint64_t position) const noexcept {
    return holds(queue) ? waiting_in(queues_[queue.index], position) : 0;
}

std::uint64_t Ring::waiting_in(const Queue& queue, std::uint64_t position) const noexcept {
    const std::uint64_t freed = queue.freed.load(memory_order_acquire);
    const std::uint64_t from = position > freed ? position : freed;
    std::uint64_t n = 0;
    for (std::uint32_t at = queue.head.load(memory_order_acquire); at != 0;) {
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
        at = is_closed(cursor) ? successor_of(s.next.load(memory_order_acquire)) : 0;
    }
    return n;
}

bool Ring::empty() const noexcept {
    for (std::uint32_t i = 0; i < head_->queues; i++)
        if (queues_[i].key.load(memory_order_acquire) != 0 && waiting_in(queues_[i], 0) != 0) return false;
    return true;
}

}  // namespace mirox::shmem
