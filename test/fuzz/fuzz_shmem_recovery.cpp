// Fuzzes recovery: a region with events of two databases, damaged wherever the input says, is attached,
// drained, used and attached again. Nothing may crash, hang or be read outside of the mapping, and each event
// that comes out is one that went in, whole.
//
// Input: steps of 6 bytes, 4 of an offset into what is behind the header page (taken modulo its size), one of
// the width, one of the value. A page whose offset's top bit is set is aimed at the ring's own words.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "shmem/core_region.hpp"

namespace {

using namespace mirox::shmem;

void check(bool holds) {
    if (!holds) std::abort();
}

constexpr std::uint64_t kEvents = 900;

Event made(std::uint64_t n, std::string& agent) {
    agent.assign(n % 200, static_cast<char>('a' + n % 26));
    Event e;
    e.status = n % 3 == 0 ? 403 : 200;
    e.credential_id = static_cast<std::int64_t>(1 + n % 20);
    e.account = static_cast<std::int64_t>(n);
    e.at = static_cast<Micros>(n);
    e.texts[kScope] = "reports:read";
    e.texts[kAgent] = agent;
    return e;
}

struct Image {
    Image() {
        const Config config = Config::fit(8 * kSegmentBytes, 4, 64, 64);
        size = region_bytes(config);
        at = static_cast<std::byte*>(std::aligned_alloc(4096, size));
        Region region = Region::initialise(at, config, 1);
        std::string agent;
        for (std::uint64_t n = 0; n < kEvents; n++) region.record(region.open_queue(1 + n % 2), made(n, agent));
        Event refused;
        refused.at = 5;
        refused.address = {mirox::core::AddressFamily::ipv4, 32, {10, 1, 2, 3}};
        refused.status = 401;
        region.count_unauthenticated(1, refused);
        clean.assign(at, at + size);
    }
    std::size_t size;
    std::byte* at;
    std::vector<std::byte> clean;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static Image image;
    std::memcpy(image.at, image.clean.data(), image.size);
    for (std::size_t i = 0; i + 6 <= size && i < 6 * 64; i += 6) {
        std::uint32_t where;
        std::memcpy(&where, data + i, 4);
        // The queues and the first segments' words are few among all bytes: half of the steps go there.
        const std::size_t span = (where >> 31) != 0 ? 8192 : image.size - kHeaderBytes - 8;
        std::memset(image.at + kHeaderBytes + (where & 0x7FFF'FFFF) % span, data[i + 5], 1 + data[i + 4] % 8);
    }
    for (std::uint64_t id = 2; id < 4; id++) {
        Region region;
        Recovered found;
        if (Region::attach(image.at, image.size, id, region, found) != AttachStatus::ok) return 0;
        std::string agent;
        for (std::uint32_t i = 0; i < region.ring().max_queues(); i++) {
            const QueueRef queue = region.ring().queue_at(i);
            if (!queue) continue;
            RingReader reader(region.ring(), queue);
            StoredEvent e;
            std::uint64_t n = 0;
            for (;;) {
                const ReadStatus s = reader.next(e);
                check(s != ReadStatus::in_progress);
                if (s == ReadStatus::empty) break;
                if (s != ReadStatus::event) continue;
                const auto account = static_cast<std::uint64_t>(e.event.account);
                const Event was = made(account % (2 * kEvents), agent);
                check(static_cast<const Facts&>(e.event) == was && e.event.at == was.at &&
                      std::ranges::equal(e.event.texts, was.texts));
                n++;
            }
            check(n <= kEvents);
            check(n == region.ring().waiting(queue));
            if (id == 3) region.ring().free_to(queue, reader.position());
        }
        UnauthenticatedCount count;
        for (std::uint32_t i = 0; i < region.unauthenticated().capacity(); i++) region.unauthenticated().read(i, 1, count);
        for (std::uint32_t d = 1; d <= 3; d++) {
            const QueueRef queue = region.open_queue(d);
            for (std::uint64_t n = 0; n < 20 && queue; n++) region.record(queue, made(kEvents + n, agent));
        }
        region.close_queue(3);
    }
    return 0;
}
