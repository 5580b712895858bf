// The ring of events: recovery after processes were killed, before any other process has it mapped. Holds no server call,
// exception, allocation or system call.
#include "shmem/core_record.hpp"

namespace mirox::shmem {

using std::memory_order_relaxed;
using std::memory_order_release;

namespace {

// Marks records dead that were not committed whole, closes the segment and corrects its count of events.
void recover_segment(Segment& s, Recovered& found) noexcept {
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
        // Not a record. The dead range ends before the next cell with a state, where a record may begin.
        std::uint32_t to = cell + 1;
        while (to < cells && s.states[to].load(memory_order_relaxed) == 0) to++;
        s.states[cell].store(state_word(kDead, to - cell), memory_order_relaxed);
        cell = to;
    }
    const std::uint32_t claimed = events_of(cursor);
    found.torn += claimed > whole ? claimed - whole : 0;
    s.cursor.store(tagged(generation_of(cursor), static_cast<std::uint32_t>(kClosedBit) | whole << 16 | cells),
                   memory_order_relaxed);
}

}  // namespace

// Whether an earlier queue has the same database.
bool Ring::is_duplicate(std::uint32_t index) const noexcept {
    const std::uint32_t database = low_of(queues_[index].key.load(memory_order_relaxed));
    for (std::uint32_t i = 0; i < index; i++)
        if (low_of(queues_[i].key.load(memory_order_relaxed)) == database) return true;
    return false;
}

// Recovers the segments of the queue's chain up to the first damaged link. Returns the last one, index + 1; `end` is the position
// where it ends.
std::uint32_t Ring::recover_chain(std::uint32_t index, Recovered& found, std::uint64_t& end) noexcept {
    std::uint32_t last = 0;
    for (std::uint32_t at = successor_of(queues_[index].head.load(memory_order_relaxed)); at != 0;) {
        if (at > head_->segments || segments_[at - 1].owner.load(memory_order_relaxed) != 0 ||
            segments_[at - 1].base.load(memory_order_relaxed) > kMaxPosition ||
            segments_[at - 1].base.load(memory_order_relaxed) < end) {
            found.damaged++;
            if (last != 0)
                segments_[last - 1].next.store(tagged(generation_of(segments_[last - 1].cursor.load(memory_order_relaxed)), 0),
                                               memory_order_relaxed);
            break;
        }
        Segment& s = segments_[at - 1];
        s.owner.store(index + 1, memory_order_relaxed);
        recover_segment(s, found);
        queues_[index].segments.fetch_add(1, memory_order_relaxed);
        last = at;
        end = s.base.load(memory_order_relaxed) + kSegmentCells;
        const std::uint32_t generation = generation_of(s.cursor.load(memory_order_relaxed));
        const std::uint64_t next = s.next.load(memory_order_relaxed);
        at = generation_of(next) == generation ? successor_of(next) : 0;
        if (at == 0) s.next.store(tagged(generation, 0), memory_order_relaxed);
    }
    return last;
}

// The freed position must be where a record begins. If it is not, reading begins earlier, and the position stored in the database
// prevents that events are applied twice.
void Ring::recover_positions(Queue& queue, std::uint64_t end) noexcept {
    const Segment& s = segments_[queue.head.load(memory_order_relaxed) - 1];
    const std::uint64_t base = s.base.load(memory_order_relaxed);
    const std::uint32_t cells = cells_of(s.cursor.load(memory_order_relaxed));
    const std::uint64_t freed = queue.freed.load(memory_order_relaxed);
    std::uint32_t cell = 0;
    while (cell < cells && base + cell < freed) cell += span_of(s.states[cell].load(memory_order_relaxed));
    const bool known = freed < base || base + cell == freed || (cell >= cells && freed <= end);
    const std::uint64_t start = !known || freed < base ? base : freed;
    queue.freed.store(start, memory_order_relaxed);
    queue.freed_before.store(start, memory_order_relaxed);
    const std::uint64_t applied = queue.applied.load(memory_order_relaxed);
    if (applied < start || applied > end) queue.applied.store(start, memory_order_relaxed);
}

// `end` is where the queue's positions end.
Recovered Ring::recover_queue(std::uint32_t index, std::uint64_t& end) noexcept {
    Queue& queue = queues_[index];
    const std::uint64_t key = queue.key.load(memory_order_relaxed);
    Recovered found;
    queue.segments.store(0, memory_order_relaxed);
    const std::uint32_t last = low_of(key) == 0 || is_duplicate(index) ? 0 : recover_chain(index, found, end);
    if (last == 0) {  // the queue was never open, or none of it can be read
        const std::uint64_t freed = queue.freed.load(memory_order_relaxed);
        if (end == 0 && low_of(key) != 0 && freed < kMaxPosition) end = freed + kSegmentCells;
        queue.key.store(0, memory_order_relaxed);
        queue.head.store(0, memory_order_relaxed);
        queue.tail.store(0, memory_order_relaxed);
        return found;
    }
    queue.tail.store(tagged(generation_of(segments_[last - 1].cursor.load(memory_order_relaxed)), last), memory_order_relaxed);
    recover_positions(queue, end);
    found.events = waiting_in(queue, 0);
    queue.torn.fetch_add(found.torn, memory_order_relaxed);
    queue.unposted.store(found.events != 0 ? 1 : 0, memory_order_relaxed);
    if (!is_open(key)) {  // its closing was interrupted
        close_queue(low_of(key));
        found.events = 0;
    }
    return found;
}

Recovered Ring::recover(std::uint64_t ring_id) noexcept {
    const std::uint32_t n = head_->segments;
    for (std::uint32_t i = 0; i < n; i++) segments_[i].owner.store(0, memory_order_relaxed);
    std::uint64_t floor = head_->floor.load(memory_order_relaxed);
    if (floor > kMaxPosition) floor = 0;
    Recovered all;
    for (std::uint32_t i = 0; i < head_->queues; i++) {
        std::uint64_t end = 0;
        const Recovered found = recover_queue(i, end);
        if (end > floor) floor = end;
        all.events += found.events;
        all.torn += found.torn;
        all.damaged += found.damaged;
    }
    std::uint32_t free = 0;
    for (std::uint32_t i = 0; i < n; i++) {
        Segment& s = segments_[i];
        if (s.owner.load(memory_order_relaxed) != 0) continue;
        free++;
        s.cursor.store(tagged(generation_of(s.cursor.load(memory_order_relaxed)) + 1, kClosedBit), memory_order_relaxed);
    }
    raise_to(head_->floor, floor);
    if (head_->floor.load(memory_order_relaxed) > kMaxPosition) head_->floor.store(floor, memory_order_relaxed);
    head_->free_segments.store(free, memory_order_relaxed);
    head_->search_from.store(0, memory_order_relaxed);
    head_->ring_id.store(ring_id, memory_order_release);
    return all;
}

void Ring::set_counted(std::uint32_t segment, std::uint32_t cell, bool counted) noexcept {
    std::atomic<std::uint32_t>& state = segments_[segment].states[cell];
    const std::uint32_t word = state.load(memory_order_relaxed);
    state.store(counted ? word | kCountedBit : word & ~kCountedBit, memory_order_relaxed);
}

}  // namespace mirox::shmem
