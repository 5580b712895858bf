// The ring of events: every use and refusal on its way to the tables.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or
// system call. Takes no lock: publish() and the readers are lock-free. Steps marked "exclusive" and "shared"
// are serialised by the caller (one LWLock does for all lanes; none of them is on a request's path).
//
// Shape. The memory is cut into segments of 64 KiB. A database that publishes owns a *lane*, a chain of
// segments; producers claim cells of 64 bytes in the last one by one compare-and-swap, write a record over 1
// to 26 of them (its scope and user agent in full, so there is no table of texts to fill or to get torn, and
// most records take 1 to 3 cells), and commit it by one store. Records of several databases never share a
// segment, so each frees its own and a database that nobody drains holds up only itself: it can never take
// the last eighth of the ring from one that holds less than an eighth. A record of a stranger is taken only
// while three quarters of the ring are free.
//
// Positions. A lane's records stand at growing positions, counted in cells and never used twice while the
// file lives, also when a lane is given up and opened again. An event takes [begin, end). What is stored in a
// database is the `end` of the last event applied; an event with begin < stored has been applied.
//
// Ring ids. Each start of the server brings a new one. Events that an earlier start left keep the ring id
// they were published under: what two copies of one data folder inherit is the same events, what each
// publishes later is not. A batch holds events of one ring id; the stored position is kept by (node, ring id,
// database).
//
// Exactly once, as the worker does it, in one transaction a batch:
//   1. stored = SELECT position … FOR UPDATE, for the reader's ring id; read events, skip those with begin <
//   stored;
//   2. write rows, and the position of the batch's end; tell the counters (core_counters.hpp) what they are
//   about
//      to see; COMMIT;
//   3. set_applied(end); then, on a primary, free_to(end). On a standby free_to() comes when its own replay
//   shows
//      a stored position >= end. After a crash between 2 and 3 the next reader starts at the freed position
//      and step 1 skips what was stored.
//
// Death. A producer killed between claim and commit leaves a claimed record that a reader waits at. The
// server answers a killed backend by restarting all, and nothing in publish() can raise an error or run a
// signal handler's exit, so no one dies there without a restart, and attach() then marks the record dead and
// counts it. (It is not done while others run: a process that was only stopped could wake up and write into
// cells used anew.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "shmem/core_base.hpp"

namespace mirox::shmem {

inline constexpr std::size_t kMaxScopeText = 1087;  // core::kMaxScopeChars
inline constexpr std::size_t kMaxAgentText = 512;   // core::kMaxUserAgentBytes

// What happened. The values are stored; new ones are added at the end.
enum class EventKind : std::uint8_t {
    use = 1,      // a known token, let through
    refusal = 2,  // a known token, refused
    session = 3,  // a session's request, let through or refused by its status
    stranger = 4  // nobody known; the small part of the ring only
};

// Texts longer than the bounds above are cut there; the caller has cleaned them. An event is a token's or a session's.
struct Event {
    EventKind kind = EventKind::use;
    std::uint8_t reason = 0;   // the caller's code
    std::uint16_t status = 0;  // as HTTP's
    std::int32_t generation = 0;
    std::int64_t token = 0;  // 0: none
    std::int64_t session = 0;
    std::int64_t account = 0;
    Micros at = 0;
    Address address;
    std::string_view scope;
    std::string_view agent;
};

struct StoredEvent {
    Event event;  // its texts point into the ring and last until free_to() passes the event
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t ring_id = 0;
    bool counted = false;  // core_counters has it
};

// ---- memory
// ------------------------------------------------------------------------------------------------------

inline constexpr std::size_t kSegmentBytes = 64 * 1024;
inline constexpr std::size_t kCellBytes = 64;
inline constexpr std::uint32_t kSegmentCells = 960;
inline constexpr std::uint32_t kMinSegments = 8;
inline constexpr std::uint32_t kMaxSegments = 1U << 16;  // 4 GiB

struct alignas(kSegmentBytes / 64) Segment {
    // generation (32) | closed (1) | events (15) | cells (16), claimed so far. The generation is new each
    // time the segment is given out, so that a producer that slept holds no valid claim.
    std::atomic<std::uint64_t> cursor;
    std::atomic<std::uint64_t>
        next;  // generation (32) | index + 1 of the next in the chain, 0 none, or kSealed
    std::atomic<std::uint64_t> base;     // position of the first cell
    std::atomic<std::uint64_t> ring_id;  // of the start that gave it out
    std::atomic<std::uint32_t> owner;    // 0 free, else lane + 1
    std::uint32_t unused[23];
    // One word a cell, of a record's first cell only; the others' stay 0. phase (2) | counted (1) | cells
    // (11) << 3.
    std::atomic<std::uint32_t> states[kSegmentCells];
    std::byte cells[kSegmentCells][kCellBytes];
};
static_assert(sizeof(Segment) == kSegmentBytes);

struct alignas(4 * kCacheLine) Lane {
    std::atomic<std::uint64_t> key;   // serial (32) | database; 0 free; kClosingLane
    std::atomic<std::uint64_t> tail;  // generation (32) | index + 1 of the segment to claim in
    std::atomic<std::uint32_t> segments;
    std::uint32_t unused0[11];
    // The reader's side, on a line of its own.
    std::atomic<std::uint32_t> head;  // index + 1
    std::uint32_t unused1;
    std::atomic<std::uint64_t> applied;
    std::atomic<std::uint64_t> freed;
    std::atomic<std::uint64_t> freed_before;  // `freed` before the last step of it
    std::uint64_t unused2[4];
    // Statistics.
    std::atomic<std::uint64_t> dropped;    // events that found no room, as counted by count_drop()
    std::atomic<std::uint64_t> torn;       // claimed, never committed whole: their publish() never returned
    std::atomic<std::uint64_t> discarded;  // thrown away by close_lane()
    std::atomic<std::uint64_t> recovered;  // found by the last attach
    std::atomic<std::uint64_t> unsettled;  // 1: see Region::unsettled
    std::atomic<std::uint64_t> dropped_before;  // at the last reset_statistics()
    std::atomic<std::uint64_t> torn_before;
    std::uint64_t unused3[9];
};
static_assert(sizeof(Lane) == 4 * kCacheLine);

struct alignas(kCacheLine) RingHead {
    std::uint32_t segments;
    std::uint32_t lanes;
    std::atomic<std::uint64_t> ring_id;
    std::atomic<std::uint64_t> floor;  // new lanes start here: above all positions of lanes that were closed
    std::atomic<std::uint32_t> lane_serial;
    std::atomic<std::uint32_t> free_steps;  // steps of freeing, of all lanes
    std::uint32_t unused0[8];
    std::atomic<std::uint32_t> free_segments;
    std::atomic<std::uint32_t> search_from;  // where the next search for a free segment begins
    std::atomic<std::uint64_t> lost_drops;   // drops without a lane, and those of closed lanes
    std::atomic<std::uint64_t> lost_torn;
    std::atomic<std::uint64_t> lost_discarded;
    std::atomic<std::uint64_t> damaged;  // segments given up by recovery since their words made no sense
    std::uint64_t unused1[3];
};

// ---- use
// ---------------------------------------------------------------------------------------------------------

// A producer's hold of its database's lane; a plain value, kept for the life of a backend, and asked for
// again when publish() says no_lane.
struct LaneRef {
    std::uint32_t index = 0;
    std::uint64_t key = 0;

    explicit operator bool() const noexcept { return key != 0; }
    std::uint32_t database() const noexcept { return static_cast<std::uint32_t>(key); }
};

enum class PublishStatus : std::uint8_t {
    ok,
    full,    // no room: try again a little later, then count_drop()
    no_lane  // the lane is closed or another's now: find or open it again
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
    new_ring_id   // the events that follow were published under another ring id: end the batch, then call
                  // again
};

struct RecoveredRing {
    std::uint64_t events = 0;
    std::uint64_t torn = 0;
    std::uint32_t damaged = 0;
};

class RingReader;

class Ring {
  public:
    Ring() noexcept = default;

    static std::size_t bytes(std::uint32_t segments, std::uint32_t lanes) noexcept;
    static Ring initialise(std::byte* at, std::uint32_t segments, std::uint32_t lanes, std::uint64_t ring_id,
                           std::uint64_t first_position) noexcept;
    static Ring view(std::byte* at, std::uint32_t lanes) noexcept;

    // Sets all right after any deaths; nobody else may have the memory mapped. Closes the segments left by
    // the start before, so that what is published from now on stands under `ring_id`.
    RecoveredRing recover(std::uint64_t ring_id) noexcept;

    // -- lanes --
    // Lock-free; empty when the database has none.
    LaneRef find_lane(std::uint32_t database) const noexcept;
    // Exclusive. Finds or makes; empty when all lanes or segments are taken (nothing of the database can be
    // recorded: count_drop with the empty reference).
    LaneRef open_lane(std::uint32_t database) noexcept;
    // Exclusive. Gives up the lane of a database or extension that is gone, discarding and counting its
    // events. False when a producer is in the middle of a publish: call again. Producers' references end at
    // the first call.
    bool close_lane(std::uint32_t database) noexcept;
    // The lanes in use, for a launcher: each index below lane_count(), empty when free.
    LaneRef lane_at(std::uint32_t index) const noexcept;
    std::uint32_t lane_count() const noexcept { return head_ == nullptr ? 0 : head_->lanes; }

    // -- producers --
    // Lock-free, no system call; 1 to 26 cells. The caller may not have the reference of a forked parent's.
    Published publish(LaneRef lane, const Event& event, bool counted = false) noexcept;
    void count_drop(LaneRef lane) noexcept;

    // -- the one consumer of a lane --
    void set_applied(LaneRef lane, std::uint64_t position) noexcept;
    // Exclusive of readers other than the caller's own. Frees what lies below `position`, the end of an
    // event.
    void free_to(LaneRef lane, std::uint64_t position) noexcept;

    // -- numbers --
    std::uint64_t ring_id() const noexcept { return head_->ring_id.load(std::memory_order_acquire); }
    std::uint64_t applied(LaneRef lane) const noexcept;
    std::uint64_t freed(LaneRef lane) const noexcept;
    std::uint64_t freed_before(LaneRef lane) const noexcept;
    // Grows whenever what freed_before() says may have.
    std::uint32_t free_steps() const noexcept { return head_->free_steps.load(std::memory_order_acquire); }
    // The position that the next event will have or pass: flush() waits until this one is applied.
    std::uint64_t claimed(LaneRef lane) const noexcept;
    // Shared. Events not yet freed, and of those the ones at or past `position`.
    std::uint64_t waiting(LaneRef lane) const noexcept;
    std::uint64_t waiting(LaneRef lane, std::uint64_t position) const noexcept;
    std::uint64_t dropped(LaneRef lane) const noexcept;
    std::uint64_t torn(LaneRef lane) const noexcept;
    std::uint64_t recovered(LaneRef lane) const noexcept;
    // The first two since the last reset; like all that is here they outlive the server.
    std::uint64_t dropped_since_reset(LaneRef lane) const noexcept;
    std::uint64_t torn_since_reset(LaneRef lane) const noexcept;
    void reset_statistics(LaneRef lane) noexcept;
    std::uint64_t lost_drops() const noexcept { return head_->lost_drops.load(std::memory_order_relaxed); }
    std::uint64_t lost_torn() const noexcept { return head_->lost_torn.load(std::memory_order_relaxed); }
    std::uint64_t lost_discarded() const noexcept {
        return head_->lost_discarded.load(std::memory_order_relaxed);
    }
    std::uint64_t damaged() const noexcept { return head_->damaged.load(std::memory_order_relaxed); }
    std::uint32_t segments() const noexcept { return head_->segments; }
    std::uint32_t free_segments() const noexcept {
        return head_->free_segments.load(std::memory_order_relaxed);
    }
    // True when nothing waits anywhere (so that a file of another size may take this one's place). Shared.
    bool empty() const noexcept;

  private:
    friend class RingReader;
    friend class Region;

    bool holds(LaneRef lane) const noexcept;
    std::uint32_t allocate(std::uint32_t lane, std::uint64_t base,
                           bool reserve_too) noexcept;  // index + 1, or 0
    void give_back(std::uint32_t segment) noexcept;
    void recover_segment(Segment& segment, RecoveredRing& found) noexcept;
    std::uint64_t waiting_in(const Lane& lane, std::uint64_t position) const noexcept;
    void set_counted(std::uint32_t segment, std::uint32_t cell, bool counted) noexcept;

    RingHead* head_ = nullptr;
    Lane* lanes_ = nullptr;
    Segment* segments_ = nullptr;
};

// Reads a lane from its freed position on. Plain value; any number may read at once (the worker, and under
// the caller's shared lock a view that shows what still waits). It frees nothing.
class RingReader {
  public:
    RingReader(const Ring& ring, LaneRef lane) noexcept;

    // Fills `out` on `event` only. Records whose checksum fails are skipped and counted in torn().
    ReadStatus next(StoredEvent& out) noexcept;

    // Where reading has come to: the end of the last event, past what was skipped. Everything below is
    // accounted for.
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
