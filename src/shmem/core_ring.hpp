// The ring of events: every use and refusal on its way to the tables.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or system call. Takes no
// lock: publish() and the readers are lock-free. Steps marked "exclusive" and "shared" are serialised by the caller (one LWLock
// does for all queues; none of them is on a request's path).
//
// Shape. The memory is cut into segments of 64 KiB. A database that publishes owns a *queue*, a chain of segments. Producers
// claim cells of 64 bytes in the last one by one compare-and-swap, write a record over 1 to 26 of them (its texts in full, so
// there is no table of texts to fill or to get torn, and most records take 1 to 3 cells), and commit it by one store. Records of
// several databases never share a segment, so each frees its own and a database that nobody drains holds up only itself: it can
// never take the last eighth of the ring from one that holds less than an eighth.
//
// Positions. A queue's records stand at growing positions, counted in cells and never used twice while the file lives, also when
// a queue is given up and opened again. An event takes [begin, end). What is stored in a database is the `end` of the last event
// applied; an event with begin < stored has been applied.
//
// Ring ids. Each start of the server brings a new one. Events that an earlier start left keep the ring id they were published
// under: what two copies of one data folder inherit is the same events, what each publishes later is not. A batch holds events of
// one ring id; the stored position is kept by (node, ring id, database).
//
// Exactly once, as the worker does it, in one transaction a batch:
//   1. stored = SELECT position … FOR UPDATE, for the reader's ring id; read events, skip those with begin < stored;
//   2. write rows, and the position of the batch's end; tell the counters (core_counters.hpp) what they are about to see; COMMIT;
//   3. set_applied(end); then, on a primary, free_to(end). On a standby free_to() comes when its own replay shows a stored
//      position >= end. After a crash between 2 and 3 the next reader starts at the freed position and step 1 skips what was stored.
//
// Death. A producer killed between claim and commit leaves a claimed record that a reader waits at. The server answers a killed
// backend by restarting all, and nothing in publish() can raise an error or run a signal handler's exit, so no one dies there
// without a restart, and attach() then marks the record dead and counts it. (It is not done while others run: a process that was
// only stopped could wake up and write into cells used anew.)
#pragma once

#include <span>

#include "shmem/core_event.hpp"

namespace mirox::shmem {

// ---- memory ----------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kSegmentBytes = 64 * 1024;
inline constexpr std::size_t kCellBytes = 64;
inline constexpr std::uint32_t kSegmentCells = 960;
inline constexpr std::uint32_t kMinSegments = 8;
inline constexpr std::uint32_t kMaxSegments = 1U << 16;  // 4 GiB

struct alignas(kSegmentBytes / 64) Segment {
    // generation (32) | closed (1) | events (15) | cells (16), claimed so far. The generation is new each time the segment is
    // given out, so that a producer that slept holds no valid claim.
    std::atomic<std::uint64_t> cursor;
    std::atomic<std::uint64_t> next;     // generation (32) | index + 1 of the next in the chain, 0 none, or kSealed
    std::atomic<std::uint64_t> base;     // position of the first cell
    std::atomic<std::uint64_t> ring_id;  // of the start that gave it out
    std::atomic<std::uint32_t> owner;    // 0 free, else queue + 1
    // One word a cell, of a record's first cell only; the others' stay 0. phase (2) | counted (1) | cells (11) << 3.
    alignas(2 * kCacheLine) std::atomic<std::uint32_t> states[kSegmentCells];
    std::byte cells[kSegmentCells][kCellBytes];
};
static_assert(sizeof(Segment) == kSegmentBytes);

struct alignas(4 * kCacheLine) Queue {
    std::atomic<std::uint64_t> key;   // serial (32) | database; 0 free; no serial: being closed
    std::atomic<std::uint64_t> tail;  // generation (32) | index + 1 of the segment to claim in
    std::atomic<std::uint32_t> segments;
    // The reader's side, on a line of its own.
    alignas(kCacheLine) std::atomic<std::uint32_t> head;  // index + 1
    std::atomic<std::uint64_t> applied;
    std::atomic<std::uint64_t> freed;
    std::atomic<std::uint64_t> freed_before;  // `freed` before the last step of it
    // Statistics.
    alignas(kCacheLine) std::atomic<std::uint64_t> dropped;  // found no room, as counted by count_drop()
    std::atomic<std::uint64_t> torn;                         // claimed, never committed whole
    std::atomic<std::uint64_t> unsettled;                    // 1: see Region::unsettled
    std::atomic<std::uint64_t> dropped_before;               // at the last reset_statistics()
    std::atomic<std::uint64_t> torn_before;
};
static_assert(sizeof(Queue) == 4 * kCacheLine);

struct alignas(kCacheLine) RingHead {
    std::uint32_t segments;
    std::uint32_t queues;
    std::atomic<std::uint64_t> ring_id;
    std::atomic<std::uint64_t> floor;  // new queues start here: above all positions of queues that were closed
    std::atomic<std::uint32_t> queue_serial;
    std::atomic<std::uint32_t> free_steps;  // steps of freeing, of all queues
    alignas(kCacheLine) std::atomic<std::uint32_t> free_segments;
    std::atomic<std::uint32_t> search_from;  // where the next search for a free segment begins
    std::atomic<std::uint64_t> lost_drops;   // drops without a queue, and those of closed queues
    std::atomic<std::uint64_t> lost_discarded;
};

// ---- use -------------------------------------------------------------------------------------------------------------

// A producer's hold of its database's queue; a plain value, kept for the life of a backend, and asked for again when publish()
// says no_queue.
struct QueueRef {
    std::uint32_t index = 0;
    std::uint64_t key = 0;

    explicit operator bool() const noexcept { return key != 0; }
    std::uint32_t database() const noexcept { return static_cast<std::uint32_t>(key); }
};

enum class PublishStatus : std::uint8_t {
    ok,
    full,     // no room: try again a little later, then count_drop()
    no_queue  // the queue is closed or another's now: find or open it again
};

struct Published {
    PublishStatus status = PublishStatus::full;
    // True once for each segment begun while half the ring or more is in use, and on `full`: wake the worker.
    bool wake = false;
    std::uint64_t end = 0;  // a drain that has applied this position has applied the event
};

enum class ReadStatus : std::uint8_t {
    event,
    empty,        // all that was claimed has been read
    in_progress,  // the next record is claimed and not yet committed: come back
    new_ring_id   // the events that follow were published under another ring id: end the batch, then call again
};

struct Recovered {
    std::uint64_t events = 0;   // waiting for a drain
    std::uint64_t torn = 0;     // claimed and never committed whole
    std::uint32_t damaged = 0;  // segments given up since their words made no sense
};

class RingReader;

class Ring {
  public:
    Ring() noexcept = default;

    static std::size_t bytes(std::uint32_t segments, std::uint32_t queues) noexcept;
    static Ring initialise(std::byte* at, std::uint32_t segments, std::uint32_t queues, std::uint64_t ring_id,
                           std::uint64_t first_position) noexcept;
    static Ring view(std::byte* at, std::uint32_t queues) noexcept;

    // Sets all right after any deaths; nobody else may have the memory mapped. Closes the segments left by the start before, so
    // that what is published from now on stands under `ring_id`.
    Recovered recover(std::uint64_t ring_id) noexcept;

    // -- queues --
    // Lock-free; empty when the database has none.
    QueueRef find_queue(std::uint32_t database) const noexcept;
    // Exclusive. Finds or makes; empty when all queues or segments are taken (nothing of the database can be recorded: count_drop
    // with the empty reference).
    QueueRef open_queue(std::uint32_t database) noexcept;
    // Exclusive. Gives up the queue of a database or extension that is gone, discarding and counting its events. False when a
    // producer is in the middle of a publish: call again. Producers' references end at the first call.
    bool close_queue(std::uint32_t database) noexcept;
    // The queues in use, for a launcher: each index below queue_count(), empty when free.
    QueueRef queue_at(std::uint32_t index) const noexcept;
    std::uint32_t queue_count() const noexcept { return head_ == nullptr ? 0 : head_->queues; }

    // -- producers --
    // Lock-free, no system call; 1 to 26 cells. The caller may not have the reference of a forked parent's.
    Published publish(QueueRef queue, const Event& event, bool counted = false) noexcept;
    void count_drop(QueueRef queue) noexcept;

    // -- the one consumer of a queue --
    void set_applied(QueueRef queue, std::uint64_t position) noexcept;
    // Exclusive of readers other than the caller's own. Frees what lies below `position`, the end of an event.
    void free_to(QueueRef queue, std::uint64_t position) noexcept;

    // -- numbers; of a queue 0 when the reference is no longer good --
    std::uint64_t ring_id() const noexcept { return head_->ring_id.load(std::memory_order_acquire); }
    std::uint64_t applied(QueueRef queue) const noexcept { return number(queue, &Queue::applied); }
    std::uint64_t freed(QueueRef queue) const noexcept { return number(queue, &Queue::freed); }
    std::uint64_t freed_before(QueueRef queue) const noexcept { return number(queue, &Queue::freed_before); }
    // Grows whenever what freed_before() says may have.
    std::uint32_t free_steps() const noexcept { return head_->free_steps.load(std::memory_order_acquire); }
    // The position that the next event will have or pass: flush() waits until this one is applied.
    std::uint64_t claimed(QueueRef queue) const noexcept;
    // Shared. Events not yet freed, at or past `position`.
    std::uint64_t waiting(QueueRef queue, std::uint64_t position = 0) const noexcept;
    std::uint64_t dropped(QueueRef queue) const noexcept { return number(queue, &Queue::dropped); }
    std::uint64_t torn(QueueRef queue) const noexcept { return number(queue, &Queue::torn); }
    // The same since the last reset; like all that is here they outlive the server.
    std::uint64_t dropped_since_reset(QueueRef queue) const noexcept {
        return dropped(queue) - number(queue, &Queue::dropped_before);
    }
    std::uint64_t torn_since_reset(QueueRef queue) const noexcept { return torn(queue) - number(queue, &Queue::torn_before); }
    void reset_statistics(QueueRef queue) noexcept;
    std::uint64_t lost_drops() const noexcept { return head_->lost_drops.load(std::memory_order_relaxed); }
    std::uint64_t lost_discarded() const noexcept { return head_->lost_discarded.load(std::memory_order_relaxed); }
    std::uint32_t segments() const noexcept { return head_->segments; }
    std::uint32_t free_segments() const noexcept { return head_->free_segments.load(std::memory_order_relaxed); }
    // True when nothing waits anywhere (so that a file of another size may take this one's place). Shared.
    bool empty() const noexcept;

  private:
    friend class RingReader;
    friend class Region;

    struct Record;  // core_record.hpp
    enum class Step : std::uint8_t { done, again, full };

    bool holds(QueueRef queue) const noexcept {
        return queue && queue.index < head_->queues && queues_[queue.index].key.load(std::memory_order_acquire) == queue.key;
    }
    std::uint64_t number(QueueRef queue, std::atomic<std::uint64_t> Queue::*of) const noexcept {
        return holds(queue) ? (queues_[queue.index].*of).load(std::memory_order_acquire) : 0;
    }
    std::uint32_t allocate(std::uint32_t queue, std::uint64_t base,
                           bool reserve_too) noexcept;  // index + 1, or 0
    void give_back(std::uint32_t segment) noexcept;
    void move_tail(Queue& queue, std::uint64_t from, std::uint32_t to) noexcept;
    std::uint64_t seal_end(Queue& queue) noexcept;
    Step claim(std::uint64_t tail, Record& record, bool counted, Published& out) noexcept;
    Step extend(std::uint32_t queue, std::uint64_t tail, Published& out) noexcept;
    std::uint64_t waiting_in(const Queue& queue, std::uint64_t position) const noexcept;
    bool is_twice(std::uint32_t queue) const noexcept;
    std::uint32_t recover_chain(std::uint32_t queue, Recovered& found, std::uint64_t& end) noexcept;
    void recover_positions(Queue& queue, std::uint64_t end) noexcept;
    Recovered recover_queue(std::uint32_t queue, std::uint64_t& end) noexcept;
    void set_counted(std::uint32_t segment, std::uint32_t cell, bool counted) noexcept;

    RingHead* head_ = nullptr;
    Queue* queues_ = nullptr;
    Segment* segments_ = nullptr;
};

// Reads a queue from its freed position on. Plain value; any number may read at once (the worker, and under the caller's shared
// lock a view that shows what still waits). It frees nothing.
class RingReader {
  public:
    RingReader(const Ring& ring, QueueRef queue) noexcept;

    // Fills `out` on `event` only. Records whose checksum fails are skipped and counted in torn().
    ReadStatus next(StoredEvent& out) noexcept;

    // Where reading has come to: the end of the last event, past what was skipped. Everything below is accounted for.
    std::uint64_t position() const noexcept { return position_; }
    // Ring id of the next event, or of the last read when there is none.
    std::uint64_t ring_id() const noexcept { return ring_id_; }
    std::uint64_t torn() const noexcept { return torn_; }

  private:
    friend class Region;

    const Ring* ring_;
    std::uint32_t segment_ = 0;  // index + 1
    std::uint32_t cell_ = 0;
    std::uint32_t last_cell_ = 0;
    std::uint64_t position_ = 0;
    std::uint64_t ring_id_ = 0;
    std::uint64_t torn_ = 0;
};

}  // namespace mirox::shmem
