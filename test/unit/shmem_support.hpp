// What the shmem tests share: a mapping that children inherit, and events that tell whether they came through whole.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "shmem/core_region.hpp"

namespace mirox::test {

using namespace mirox::shmem;

class Mapping {
  public:
    explicit Mapping(std::size_t size) : size_(size) {
        at_ = static_cast<std::byte*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        if (at_ == MAP_FAILED) abort();
    }
    ~Mapping() { munmap(at_, size_); }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    std::byte* at() const { return at_; }
    std::size_t size() const { return size_; }

  private:
    std::byte* at_;
    std::size_t size_;
};

inline Config small_config(std::uint32_t segments = 16) {
    return Config::fit(std::uint64_t{segments} * kSegmentBytes, 8, 256, 256);
}

// A region in memory of its own.
struct TestRegion {
    explicit TestRegion(const Config& config = small_config(), std::uint64_t ring_id = 77)
        : mapping(region_bytes(config)), region(Region::initialise(mapping.at(), config, ring_id)) {}
    // As after a restart of the server.
    Recovered restart(std::uint64_t ring_id) {
        Recovered found;
        EXPECT_EQ(Region::attach(mapping.at(), mapping.size(), ring_id, region, found), AttachStatus::ok);
        return found;
    }
    Mapping mapping;
    Region region;
};

constexpr std::size_t kScopeRoom = kTextColumns[kScope].room;
constexpr std::size_t kAgentRoom = kTextColumns[kAgent].room;

inline core::Address address_of(std::span<const std::uint8_t> host) {
    return core::make_address(host, static_cast<unsigned>(host.size()) * 8);
}

// A refusal of an unauthenticated caller.
inline Unauthenticated::Result refuse(Region& region, std::uint32_t database, Micros at, std::span<const std::uint8_t> host,
                                      std::uint8_t reason) {
    Event event;
    event.at = at;
    event.address = address_of(host);
    event.status = 401;
    event.reason = reason;
    return region.count_unauthenticated(database, event);
}

inline std::string text_of(std::uint64_t n, std::size_t size) {
    std::string s;
    for (std::size_t i = 0; i < size; i++) s += static_cast<char>('a' + (n * 31 + i * 7 + (n >> 8)) % 26);
    return s;
}

// An event of a token all of whose fields follow from n, which is the account's number.
struct Made {
    explicit Made(std::uint64_t n, std::int64_t token = 5) {
        scope = text_of(n, n % 97 == 0 ? kScopeRoom : n % 23);
        agent = text_of(n + 1, n % 89 == 0 ? kAgentRoom : n % 150);
        event.reason = static_cast<std::uint8_t>(n % 11);
        event.status = n % 5 == 0 ? 403 : 200;
        event.generation = static_cast<std::int32_t>(n % 3);
        event.credential_id = token;
        event.account = static_cast<std::int64_t>(n);
        event.at = static_cast<Micros>(1'000'000 + n);
        const std::uint8_t v4[4] = {10, static_cast<std::uint8_t>(n >> 16), static_cast<std::uint8_t>(n >> 8),
                                    static_cast<std::uint8_t>(n)};
        event.address = address_of(v4);
        event.texts[kScope] = scope;
        event.texts[kAgent] = agent;
    }
    std::string scope, agent;
    Event event;
};

inline bool same(const Event& a, const Event& b) {
    return static_cast<const Facts&>(a) == b && a.at == b.at && std::ranges::equal(a.texts, b.texts);
}

// The accounts of everything a queue holds, read but not freed.
inline std::vector<std::uint64_t> accounts_of(const Ring& ring, QueueRef queue, bool* in_progress = nullptr) {
    std::vector<std::uint64_t> out;
    RingReader reader(ring, queue);
    StoredEvent e;
    for (;;) {
        const ReadStatus s = reader.next(e);
        if (s == ReadStatus::event)
            out.push_back(static_cast<std::uint64_t>(e.event.account));
        else if (s != ReadStatus::new_ring_id) {
            if (in_progress != nullptr) *in_progress = s == ReadStatus::in_progress;
            return out;
        }
    }
}

}  // namespace mirox::test
