// The ring of events: every use and refusal on its way to the tables.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or system call. Takes no
// lock: publish() and the readers are lock-free. The caller takes an LWLock, one for all queues, for functions marked "exclusive"
// or "shared"; no request calls them.
//
// Layout. The memory is cut into segments of 64 KiB. Each database that publishes owns a queue, which is a chain of segments. A
// producer claims cells of 64 bytes in the last segment by one compare-and-swap, writes a record into 1 to 43 of them, and
// commits it by one store. A record has its texts in full, so there is no table of texts that could be full or torn; most records
// take 1 to 3 cells. Records of different databases never share a segment. So each database frees its own segments, and one that
// is not drained holds up only itself: it can never take the last eighth of the ring from a database that has less than an
// eighth.
//
// Positions. The records of a queue have growing positions, counted in cells. No position is used twice while the file exists,
// even when a queue is discarded and opened again. An event takes [begin, end). A database stores the `end` of the last event
// applied. An event with begin < stored has been applied.
//
// Ring ids. Each start of the server has a new one. Events left by an earlier start keep the ring id under which they were
// published: two copies of one data folder inherit the same events, and publish different ones later. A batch has events of one
// ring id; the stored position is kept by (node, ring id, database).
//
// Exactly once. The worker does this in one transaction a batch:
//   1. stored = SELECT position … FOR UPDATE, for the reader's ring id; read events, skip those with begin < stored;
//   2. write rows, and the position of the batch's end; post the batch to the counters (core_counters.hpp); COMMIT;
//   3. set_applied(end); then, on a primary, free_to(end). On a standby free_to() follows when its own replay shows a stored
//      position >= end. After a crash between 2 and 3 the next reader starts at the freed position, and step 1 skips stored events.
//
// Killed producers. A producer that is killed between claim and commit leaves a claimed record, at which readers wait. When a
// backend is killed, the server restarts all processes. Nothing in publish() can raise an error or exit in a signal handler, so a
// producer cannot end there without such a restart. attach() then marks the record dead and counts it. This is not done while
// other processes run, since a process that was only stopped could continue and write into cells that are in use again.
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
    // generation (32) | closed (1) | events (15) | cells (16) claimed so far. The generation changes each time the segment is
    // given out, so that a producer that slept meanwhile has no valid claim.
    std::atomic<std::uint64_t> cursor;
    std::atomic<std::uint64_t> next;     // generation (32) | index + 1 of the next in the chain; 0: none; or kSealed
    std::atomic<std::uint64_t> base;     // position of the first cell
    std::atomic<std::uint64_t> ring_id;  // the server's when the segment was given out
    std::atomic<std::uint32_t> owner;    // 0: free, else queue + 1
    // One word for each cell: phase (2) | counted (1) | cells (11) << 3. Only a record's first cell has one, the others' stay 0.
    alignas(2 * kCacheLine) std::atomic<std::uint32_t> states[kSegmentCells];
    std::byte cells[kSegmentCells][kCellBytes];
};
static_assert(sizeof(Segment) == kSegmentBytes);

struct alignas(4 * kCacheLine) Queue {
    std::atomic<std::uint64_t> key;   // serial (32) | database; 0: free; without serial: being closed
    std::atomic<std::uint64_t> tail;  // generation (32) | index + 1 of the segment to claim in
    std::atomic<std::uint32_t> segments;
    // Written by the consumer, on a cache line of its own.
    alignas(kCacheLine) std::atomic<std::uint32_t> head;  // index + 1
    std::atomic<std::uint64_t> applied;
    std::atomic<std::uint64_t> freed;
    std::atomic<std::uint64_t> freed_before;  // the value of `freed` before its last change
    // Statistics.
    alignas(kCacheLine) std::atomic<std::uint64_t> dropped;  // events for which there was no room
    std::atomic<std::uint64_t> torn;                         // records claimed and never committed whole
    std::atomic<std::uint64_t> unposted;                     // 1: see Region::unposted
    std::atomic<std::uint64_t> dropped_before;               // at the last reset_statistics()
    std::atomic<std::uint64_t> torn_before;
};
static_assert(sizeof(Queue) == 4 * kCacheLine);

struct alignas(kCacheLine) RingHead {
    std::uint32_t segments;
    std::uint32_t queues;
    std::atomic<std::uint64_t> ring_id;
    std::atomic<std::uint64_t> floor;  // where new queues start: above all positions of closed queues
    std::atomic<std::uint32_t> queue_serial;
    std::atomic<std::uint32_t> free_steps;  // how often any queue freed something
    alignas(kCacheLine) std::atomic<std::uint32_t> free_segments;
    std::atomic<std::uint32_t> search_from;  // where the next search for a free segment begins
    std::atomic<std::uint64_t> lost_drops;   // drops without a queue, and those of closed queues
    std::atomic<std::uint64_t> lost_discarded;
};

// ---- use -------------------------------------------------------------------------------------------------------------

// A producer's reference to its database's queue: a plain value that a backend keeps. When publish() returns no_queue, the
// backend gets a new one.
struct QueueRef {
    std::uint32_t index = 0;
    std::uint64_t key = 0;

    explicit operator bool() const noexcept { return key != 0; }
    std::uint32_t database() const noexcept { return static_cast<std::uint32_t>(key); }
};

enum class PublishStatus : std::uint8_t {
    ok,
    full,     // no room: retry a little later, then count_drop()
    no_queue  // the queue is closed, or is another database's now: find or open it again
};

struct Published {
    PublishStatus status = PublishStatus::full;
    // Wake the worker. True once for each segment begun while half the ring or more is in use, and on `full`.
    bool wake = false;
    std::uint64_t end = 0;  // once a drain has applied this position, it has applied the event
};

enum class ReadStatus : std::uint8_t {
    event,
    empty,        // every claimed record has been read
    in_progress,  // the next record is claimed and not committed yet: call again
    new_ring_id   // the events that follow were published under another ring id: end the batch, then call again
};

struct Recovered {
    std::uint64_t events = 0;   // waiting for a drain
    std::uint64_t torn = 0;     // records claimed and never committed whole
    std::uint32_t damaged = 0;  // segments discarded because of invalid words
};

class RingReader;

class Ring {
  public:
    Ring() noexcept = default;

    static std::size_t bytes(std::uint32_t segments, std::uint32_t queues) noexcept;
    static Ring initialise(std::byte* at, std::uint32_t segments, std::uint32_t queues, std::uint64_t ring_id,
                           std::uint64_t first_position) noexcept;
    static Ring view(std::byte* at, std::uint32_t queues) noexcept;

    // Repairs the ring after processes were killed. No other process may have the memory mapped. Closes the segments of the last
    // start, so that new events are published under `ring_id`.
    Recovered recover(std::uint64_t ring_id) noexcept;

    // -- queues --
    // Lock-free; empty when the database has none.
    QueueRef find_queue(std::uint32_t database) const noexcept;
    // Exclusive. Finds or makes a queue. Empty when all queues or segments are taken; then no event of the database can be
    // recorded, and count_drop() takes the empty reference.
    QueueRef open_queue(std::uint32_t database) noexcept;
    // Exclusive. Closes the queue of a database or extension that no longer exists; its events are discarded and counted. False
    // when a publish is in progress: call again. The first call already makes all references to the queue invalid.
    bool close_queue(std::uint32_t database) noexcept;
    // The queue at an index below max_queues(); empty when it is free.
    QueueRef queue_at(std::uint32_t index) const noexcept;
    std::uint32_t max_queues() const noexcept { return head_ == nullptr ? 0 : head_->queues; }

    // -- producers --
    // Lock-free, no system call. The reference must not come from before a fork.
    Published publish(QueueRef queue, const Event& event, bool counted = false) noexcept;
    void count_drop(QueueRef queue) noexcept;

    // -- the one consumer of a queue --
    void set_applied(QueueRef queue, std::uint64_t position) noexcept;
    // Exclusive. Only the caller may be reading the queue. Frees everything below `position`, which is the end of an event.
    void free_to(QueueRef queue, std::uint64_t position) noexcept;

    // -- numbers; 0 when the reference to the queue is no longer valid --
    std::uint64_t ring_id() const noexcept { return head_->ring_id.load(std::memory_order_acquire); }
    std::uint64_t applied(QueueRef queue) const noexcept { return number(queue, &Queue::applied); }
    std::uint64_t freed(QueueRef queue) const noexcept { return number(queue, &Queue::freed); }
    std::uint64_t freed_before(QueueRef queue) const noexcept { return number(queue, &Queue::freed_before); }
    // Grows whenever freed_before() may have changed.
    std::uint32_t free_steps() const noexcept { return head_->free_steps.load(std::memory_order_acquire); }
    // The end of what is claimed so far. flush() waits until this position is applied.
    std::uint64_t claimed(QueueRef queue) const noexcept;
    // Shared. The number of events at or past `position` that are not freed.
    std::uint64_t waiting(QueueRef queue, std::uint64_t position = 0) const noexcept;
    std::uint64_t dropped(QueueRef queue) const noexcept { return number(queue, &Queue::dropped); }
    std::uint64_t torn(QueueRef queue) const noexcept { return number(queue, &Queue::torn); }
    // The same since the last reset. Like everything in the ring, these survive a restart of the server.
    std::uint64_t dropped_since_reset(QueueRef queue) const noexcept {
        return dropped(queue) - number(queue, &Queue::dropped_before);
    }
    std::uint64_t torn_since_reset(QueueRef queue) const noexcept { return torn(queue) - number(queue, &Queue::torn_before); }
    void reset_statistics(QueueRef queue) noexcept;
    std::uint64_t lost_drops() const noexcept { return head_->lost_drops.load(std::memory_order_relaxed); }
    std::uint64_t lost_discarded() const noexcept { return head_->lost_discarded.load(std::memory_order_relaxed); }
    std::uint32_t segments() const noexcept { return head_->segments; }
    std::uint32_t free_segments() const noexcept { return head_->free_segments.load(std::memory_order_relaxed); }
    // Shared. True when no queue has waiting events, so that the file may be replaced by one of another size.
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
                           bool use_reserve) noexcept;  // index + 1, or 0
    void give_back(std::uint32_t segment) noexcept;
    void move_tail(Queue& queue, std::uint64_t from, std::uint32_t to) noexcept;
    std::uint64_t seal_end(Queue& queue) noexcept;
    Step claim(std::uint64_t tail, Record& record, bool counted, Published& out) noexcept;
    Step extend(std::uint32_t queue, std::uint64_t tail, Published& out) noexcept;
    std::uint64_t waiting_in(const Queue& queue, std::uint64_t position) const noexcept;
    bool is_duplicate(std::uint32_t queue) const noexcept;
    std::uint32_t recover_chain(std::uint32_t queue, Recovered& found, std::uint64_t& end) noexcept;
    void recover_positions(Queue& queue, std::uint64_t end) noexcept;
    Recovered recover_queue(std::uint32_t queue, std::uint64_t& end) noexcept;
    void set_counted(std::uint32_t segment, std::uint32_t cell, bool counted) noexcept;

    RingHead* head_ = nullptr;
    Queue* queues_ = nullptr;
    Segment* segments_ = nullptr;
};

// Reads a queue from its freed position on. A plain value. Several may read at the same time: the worker, and, under the caller's
// shared lock, views that show waiting events. It frees nothing.
class RingReader {
  public:
    RingReader(const Ring& ring, QueueRef queue) noexcept;

    // Fills `out` only when it returns `event`. Records whose checksum fails are skipped and counted in torn().
    ReadStatus next(StoredEvent& out) noexcept;

    // The position reached: the end of the last event, or of records skipped after it.
    std::uint64_t position() const noexcept { return position_; }
    // The ring id of the next event, or of the last one when no event follows.
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
