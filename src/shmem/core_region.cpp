// The region: layout, initialising, attaching. Holds no server call, exception, allocation or system call.
#include "shmem/core_region.hpp"

namespace mirox::shmem {

namespace {

using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

constexpr std::uint64_t kMagic = 0x676E'6972'786F'726DULL;  // "mroxring" in memory
// The version of the layout and of the meaning of each word. The first part is changed by hand, the part of Facts follows by
// itself.
constexpr std::uint32_t kVersion = 4 << 16 | kTexts << 8 | offsetof(Facts, unused);

constexpr std::uint32_t kMinPower = 64;
constexpr std::uint32_t kMaxPower = 1U << 24;
constexpr std::uint32_t kMaxQueues = 1024;

constexpr std::uint32_t power_from(std::uint32_t n) noexcept {
    std::uint32_t p = kMinPower;
    while (p < n && p < kMaxPower) p *= 2;
    return p;
}
constexpr bool is_power(std::uint32_t n) noexcept {
    return n >= kMinPower && n <= kMaxPower && (n & (n - 1)) == 0;
}

struct Offsets {
    std::size_t ring, counters, unauthenticated, end;
};

Offsets offsets_of(const Config& c) noexcept {
    Offsets o{};
    o.ring = kHeaderBytes;
    o.counters = round_up(o.ring + Ring::bytes(c.segments, c.max_databases), kHeaderBytes);
    o.unauthenticated = round_up(o.counters + Counters::bytes(c.counter_entries), kHeaderBytes);
    o.end = round_up(o.unauthenticated + Unauthenticated::bytes(c.unauthenticated_slots), kHeaderBytes);
    return o;
}

}  // namespace

struct RegionHeader {
    std::uint64_t magic;
    std::uint32_t version;
    std::uint32_t byte_order;  // 0x01020304 in the byte order of the server that made the file
    Config config;
    std::uint64_t size;
    std::uint64_t check;                                // hash of everything before it
    std::atomic<std::uint64_t> ready;                   // the magic again, written last by initialise()
    std::atomic<std::uint64_t> ring_ids[kKeptRingIds];  // newest first; 0: none
};
static_assert(sizeof(RegionHeader) <= kHeaderBytes);

namespace {

constexpr std::uint32_t kByteOrder = 0x0102'0304;

std::uint64_t check_of(const RegionHeader& h) noexcept {
    return hash_bytes(&h, offsetof(RegionHeader, check));
}

AttachStatus check_header(const RegionHeader& h) noexcept {
    if (h.magic != kMagic || h.byte_order != kByteOrder) return AttachStatus::foreign;
    if (h.version != kVersion) return AttachStatus::other_version;
    if (h.check != check_of(h) || !h.config.valid() || h.size != region_bytes(h.config) ||
        h.ready.load(memory_order_acquire) != kMagic)
        return AttachStatus::foreign;
    return AttachStatus::ok;
}

}  // namespace

Config Config::fit(std::uint64_t ring_bytes, std::uint32_t max_databases, std::uint32_t unauthenticated_slots,
                   std::uint32_t counter_entries) noexcept {
    Config c;
    const std::uint64_t segments = ring_bytes / kSegmentBytes + (ring_bytes % kSegmentBytes != 0 ? 1 : 0);
    c.segments = segments < kMinSegments   ? kMinSegments
                 : segments > kMaxSegments ? kMaxSegments
                                           : static_cast<std::uint32_t>(segments);
    c.max_databases = max_databases < 1 ? 1 : max_databases > kMaxQueues ? kMaxQueues : max_databases;
    c.unauthenticated_slots = power_from(unauthenticated_slots);
    c.counter_entries = power_from(counter_entries);
    return c;
}

bool Config::valid() const noexcept {
    return segments >= kMinSegments && segments <= kMaxSegments && max_databases >= 1 && max_databases <= kMaxQueues &&
           is_power(unauthenticated_slots) && is_power(counter_entries);
}

std::size_t region_bytes(const Config& config) noexcept {
    return offsets_of(config).end;
}

void Region::set_parts(std::byte* at, const Config& config) noexcept {
    const Offsets o = offsets_of(config);
    header_ = reinterpret_cast<RegionHeader*>(at);
    ring_ = Ring::view(at + o.ring, config.max_databases);
    counters_ = Counters::view(at + o.counters, config.counter_entries);
    unauthenticated_ = Unauthenticated::view(at + o.unauthenticated, config.unauthenticated_slots);
}

Region Region::initialise(std::byte* at, const Config& config, std::uint64_t ring_id, std::uint64_t first_position) noexcept {
    const Offsets o = offsets_of(config);
    std::memset(at, 0, kHeaderBytes);
    Ring::initialise(at + o.ring, config.segments, config.max_databases, ring_id, first_position);
    Counters::initialise(at + o.counters, config.counter_entries);
    Unauthenticated::initialise(at + o.unauthenticated, config.unauthenticated_slots);
    Region region;
    region.set_parts(at, config);
    RegionHeader& h = *region.header_;
    h.magic = kMagic;
    h.version = kVersion;
    h.byte_order = kByteOrder;
    h.config = config;
    h.size = o.end;
    h.check = check_of(h);
    h.ring_ids[0].store(ring_id, memory_order_relaxed);
    h.ready.store(kMagic, memory_order_release);
    return region;
}

AttachStatus Region::view(std::byte* at, std::size_t size, Region& out) noexcept {
    if (size < kHeaderBytes) return AttachStatus::foreign;
    const auto& h = *reinterpret_cast<const RegionHeader*>(at);
    if (const AttachStatus status = check_header(h); status != AttachStatus::ok) return status;
    if (h.size != size) return AttachStatus::other_size;
    out.set_parts(at, h.config);
    // Each part has its size too, so that it can be used alone. In a damaged file the sizes may differ.
    if (out.ring_.head_->segments != h.config.segments || out.ring_.head_->queues != h.config.max_databases ||
        out.counters_.entries() != h.config.counter_entries ||
        out.unauthenticated_.capacity() != h.config.unauthenticated_slots + kOverflowSlots) {
        out = {};
        return AttachStatus::foreign;
    }
    return AttachStatus::ok;
}

AttachStatus Region::attach(std::byte* at, std::size_t size, std::uint64_t ring_id, Region& out, Recovered& found) noexcept {
    if (const AttachStatus status = view(at, size, out); status != AttachStatus::ok) return status;
    RegionHeader& h = *out.header_;
    if (h.ring_ids[0].load(memory_order_relaxed) != ring_id) {
        for (std::size_t i = kKeptRingIds - 1; i > 0; i--)
            h.ring_ids[i].store(h.ring_ids[i - 1].load(memory_order_relaxed), memory_order_relaxed);
        h.ring_ids[0].store(ring_id, memory_order_relaxed);
    }
    found = out.ring_.recover(ring_id);
    out.unauthenticated_.recover();
    out.recount();
    return AttachStatus::ok;
}

bool Region::read_config(std::span<const std::byte> header, Config& out) noexcept {
    if (header.size() < sizeof(RegionHeader)) return false;
    alignas(RegionHeader) std::byte copy[sizeof(RegionHeader)];
    std::memcpy(copy, header.data(), sizeof copy);
    const auto& h = *reinterpret_cast<const RegionHeader*>(copy);
    if (check_header(h) != AttachStatus::ok) return false;
    out = h.config;
    return true;
}

const Config& Region::config() const noexcept {
    return header_->config;
}

std::size_t Region::ring_ids(std::span<std::uint64_t> out) const noexcept {
    std::size_t n = 0;
    for (const auto& id : header_->ring_ids) {
        const std::uint64_t value = id.load(memory_order_relaxed);
        if (value == 0 || n == out.size()) break;
        out[n++] = value;
    }
    return n;
}

// Rebuilds the counters from the events that the ring still has.
void Region::recount() noexcept {
    counters_.clear();
    for (std::uint32_t i = 0; i < ring_.max_queues(); i++) {
        const QueueRef queue = ring_.queue_at(i);
        if (!queue) continue;
        RingReader reader(ring_, queue);
        StoredEvent stored;
        for (;;) {
            const ReadStatus status = reader.next(stored);
            if (status == ReadStatus::new_ring_id) continue;
            if (status != ReadStatus::event) break;
            const bool counted = static_cast<bool>(count(queue, stored.event));
            if (counted != stored.counted) ring_.set_counted(reader.segment_ - 1, reader.last_cell_ - 1, counted);
        }
    }
}

QueueRef Region::open_queue(std::uint32_t database) noexcept {
    if (const QueueRef queue = ring_.find_queue(database)) return queue;
    // A producer that was counting while the database's last queue was closed may have left an entry with old times.
    counters_.forget(database);
    return ring_.open_queue(database);
}

bool Region::close_queue(std::uint32_t database) noexcept {
    if (!ring_.close_queue(database)) return false;
    counters_.forget(database);
    unauthenticated_.forget(database);
    return true;
}

// Sessions have no counters.
Counters::Counted Region::count(QueueRef queue, const Event& event) noexcept {
    if (event.token() == 0) return {};
    return counters_.count({queue.database(), event.generation, event.token()}, event, ring_);
}

Published Region::record(QueueRef queue, const Event& event, bool last) noexcept {
    if (!ring_.holds(queue)) return {PublishStatus::no_queue, false, 0};
    const Counters::Counted counted = count(queue, event);
    const Published published = ring_.publish(queue, event, static_cast<bool>(counted));
    if (published.status == PublishStatus::full && last)
        counters_.lose(counted);
    else if (published.status != PublishStatus::ok)
        counters_.undo(counted);
    return published;
}

bool Region::unposted(QueueRef queue) const noexcept {
    return ring_.holds(queue) && ring_.queues_[queue.index].unposted.load(memory_order_acquire) != 0;
}

void Region::set_posted(QueueRef queue) noexcept {
    if (ring_.holds(queue)) ring_.queues_[queue.index].unposted.store(0, memory_order_release);
}

}  // namespace mirox::shmem
