// The region: one mapping with the ring, the counters and the refusals of unauthenticated callers.
//
// May include the C++ library and core_* of this room only; holds no server call, exception, allocation or system call. Region is
// a process's view of a mapping. It has only plain values, and each process has its own, or inherits it by fork.
//
// Setup, in region.cpp. The postmaster does it before any child runs: at start, and again when it restarts its children after a
// crash. Then no other process has the region mapped.
//   1. Read the file's first kHeaderBytes. read_config() gives the sizes that it was made with. If they differ from the settings, the
//      file is attached as it is while ring().empty() is false, so that no event is lost, and replaced when it is true.
//   2. If there is no file, or attach() refuses it: make one of region_bytes(config), allocated in full (posix_fallocate, since a
//      hole raises SIGBUS on a full disk), map it MAP_SHARED, and initialise() it.
//   3. Otherwise attach() with a new random ring id.
// Children inherit the mapping. Each keeps a QueueRef of its database, from find_queue(), or from open_queue() under the
// exclusive lock. The same LWLock is meant by "exclusive" and "shared" everywhere.
//
// A check calls record(). On `full` it may wait a limited time for the worker and retry, and finally calls count_drop(). The
// refusal of an unauthenticated caller goes to unauthenticated().count(). So each answered check is recorded, dropped, or counted
// as unauthenticated.
//
// The worker of a database, one transaction a batch (see also core_ring.hpp, core_counters.hpp, core_unauthenticated.hpp):
//   start:  stored = this node's position for the reader's ring id; if it is above freed(), read from freed() to stored and post
//           the marked counts of those events as a batch from freed() to stored; free_to(stored); set_posted()
//   batch:  read events until enough, `empty`, `in_progress` or `new_ring_id`; write; for each (token, generation)
//           counters().post(key, from, to, …) with its `counted` events; write the position; COMMIT; ring().set_applied(to);
//           ring().free_to(to) under the lock
//   slots:  unauthenticated().read() each; upsert by (node, ring id, serial); after COMMIT release() each whose minute is over
#pragma once

#include <span>

#include "shmem/core_base.hpp"
#include "shmem/core_counters.hpp"
#include "shmem/core_ring.hpp"
#include "shmem/core_unauthenticated.hpp"

namespace mirox::shmem {

struct Config {
    std::uint32_t segments = 512;                // of 64 KiB
    std::uint32_t max_databases = 64;            // queues
    std::uint32_t unauthenticated_slots = 4096;  // the last two are powers of two
    std::uint32_t counter_entries = 16384;

    // The nearest valid sizes, within the limits never smaller than the arguments.
    static Config fit(std::uint64_t ring_bytes, std::uint32_t max_databases, std::uint32_t unauthenticated_slots,
                      std::uint32_t counter_entries) noexcept;
    bool valid() const noexcept;
    friend bool operator==(const Config&, const Config&) = default;
};

std::size_t region_bytes(const Config& config) noexcept;  // a multiple of 4096

inline constexpr std::size_t kHeaderBytes = 4096;
inline constexpr std::size_t kKeptRingIds = 64;

struct RegionHeader;

enum class AttachStatus : std::uint8_t {
    ok,
    foreign,        // not a region, or initialise() was interrupted
    other_version,  // another layout: its events cannot be read
    other_size,     // the mapping is not as large as the header says
};

class Region {
  public:
    Region() noexcept = default;

    // `ring_id` is random and not 0. `first_position` is where queues begin: 0, or above the positions of a file that was lost.
    static Region initialise(std::byte* at, const Config& config, std::uint64_t ring_id,
                             std::uint64_t first_position = 0) noexcept;
    static AttachStatus attach(std::byte* at, std::size_t size, std::uint64_t ring_id, Region& out, Recovered& found) noexcept;
    static bool read_config(std::span<const std::byte> header, Config& out) noexcept;
    // A view without recovery, for a process that maps a region that another process has attached.
    static AttachStatus view(std::byte* at, std::size_t size, Region& out) noexcept;

    explicit operator bool() const noexcept { return header_ != nullptr; }
    const Config& config() const noexcept;
    Ring& ring() noexcept { return ring_; }
    const Ring& ring() const noexcept { return ring_; }
    Counters& counters() noexcept { return counters_; }
    const Counters& counters() const noexcept { return counters_; }
    Unauthenticated& unauthenticated() noexcept { return unauthenticated_; }
    const Unauthenticated& unauthenticated() const noexcept { return unauthenticated_; }

    // The ring ids that this file has had, newest first, and how many. For a reader of the counters, the stored position of a
    // queue is the greatest of all these ring ids.
    std::size_t ring_ids(std::span<std::uint64_t> out) const noexcept;

    // Exclusive.
    QueueRef open_queue(std::uint32_t database) noexcept;
    // Exclusive. Discards everything of a database that no longer exists. False when a publish is in progress: call again.
    bool close_queue(std::uint32_t database) noexcept;

    // Records a use or refusal of a token or session: counts it for its token and publishes it. With `last`, an event that finds no
    // room is not tried again: its token counts it as lost.
    Published record(QueueRef queue, const Event& event, bool last = false) noexcept;
    void count_drop(QueueRef queue) noexcept { ring_.count_drop(queue); }
    Unauthenticated::Result count_unauthenticated(std::uint32_t database, const Event& event) noexcept {
        return unauthenticated_.count(database, ring_.ring_id(), event.at, event.address, event.status, event.reason);
    }

    // True from an attach that recovered events of the queue until its worker calls set_posted(). Meanwhile, if the reader's
    // stored position is above freed(), counters().pending() may count stored events again; so a reader waits a moment.
    bool unposted(QueueRef queue) const noexcept;
    void set_posted(QueueRef queue) noexcept;

  private:
    void set_parts(std::byte* at, const Config& config) noexcept;
    Counters::Counted count(QueueRef queue, const Event& event) noexcept;
    void recount() noexcept;

    RegionHeader* header_ = nullptr;
    Ring ring_;
    Counters counters_;
    Unauthenticated unauthenticated_;
};

}  // namespace mirox::shmem
