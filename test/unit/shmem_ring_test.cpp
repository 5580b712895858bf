// The ring: what is published is read, once, whole and in order; full rings, queues, ring ids, recovery of
// torn records.
#include <set>
#include <thread>

#include "shmem/core_record.hpp"
#include "shmem_support.hpp"

namespace mirox::test {
namespace {

std::uint64_t drain(Ring& ring, QueueRef queue) {
    std::uint64_t n = 0;
    RingReader reader(ring, queue);
    StoredEvent e;
    for (;;) {
        const ReadStatus s = reader.next(e);
        if (s == ReadStatus::event) n++;
        if (s == ReadStatus::empty || s == ReadStatus::in_progress) break;
    }
    ring.free_to(queue, reader.position());
    return n;
}

TEST(ShmemRing, EventsComeBackWholeAndInOrder) {
    TestRegion t;
    Ring& ring = t.region.ring();
    const QueueRef queue = t.region.open_queue(16384);
    ASSERT_TRUE(queue);
    std::uint64_t end = 0;
    const std::uint64_t n = 1500;
    for (std::uint64_t i = 0; i < n; i++) {
        const Made m(i);
        const Published p = ring.publish(queue, m.event, i % 2 == 0);
        ASSERT_EQ(p.status, PublishStatus::ok);
        ASSERT_GT(p.end, end);
        end = p.end;
    }
    EXPECT_EQ(ring.waiting(queue), n);
    EXPECT_EQ(ring.claimed(queue), end);
    RingReader reader(ring, queue);
    StoredEvent e;
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < n; i++) {
        ASSERT_EQ(reader.next(e), ReadStatus::event);
        ASSERT_TRUE(same(e.event, Made(i).event)) << i;
        ASSERT_EQ(e.counted, i % 2 == 0);
        ASSERT_EQ(e.ring_id, 77U);
        ASSERT_GE(e.begin, last);
        last = e.end;
        ASSERT_EQ(reader.position(), e.end);
        if (i == 700) {
            ring.free_to(queue, e.end);
            EXPECT_EQ(ring.waiting(queue), n - 701);
        }
    }
    EXPECT_EQ(reader.next(e), ReadStatus::empty);
    EXPECT_EQ(last, end);
    ring.free_to(queue, last);
    EXPECT_EQ(ring.waiting(queue), 0U);
    EXPECT_TRUE(ring.empty());
    EXPECT_EQ(ring.free_segments(), ring.segments() - 1);  // a queue keeps the one it writes to
}

TEST(ShmemRing, TextsAreKeptInFullToTheirBoundsAndCutThere) {
    TestRegion t;
    const QueueRef queue = t.region.open_queue(1);
    Event e;
    const std::string scope(kScopeRoom + 9, 's');
    const std::string agent(kAgentRoom + 9, 'a');
    e.texts[kScope] = scope;
    e.texts[kAgent] = agent;
    ASSERT_EQ(t.region.ring().publish(queue, e).status, PublishStatus::ok);
    RingReader reader(t.region.ring(), queue);
    StoredEvent out;
    ASSERT_EQ(reader.next(out), ReadStatus::event);
    EXPECT_EQ(out.event.texts[kScope], scope.substr(0, kScopeRoom));
    EXPECT_EQ(out.event.texts[kAgent], agent.substr(0, kAgentRoom));
}

// An event is of a token or of a session, by the sign of one number.
TEST(ShmemRing, ATokensOrASessions) {
    TestRegion t;
    const QueueRef queue = t.region.open_queue(1);
    const std::int64_t holders[] = {0x1122'3344'5566'7788, -0x1020'3040'5060'7080};
    for (const std::int64_t credential_id : holders) {
        Event e;
        e.credential_id = credential_id;
        ASSERT_EQ(t.region.record(queue, e).status, PublishStatus::ok);
    }
    EXPECT_EQ(t.region.counters().used(), 1U);  // sessions have none
    RingReader reader(t.region.ring(), queue);
    StoredEvent e;
    ASSERT_EQ(reader.next(e), ReadStatus::event);
    EXPECT_EQ(e.event.token(), 0x1122'3344'5566'7788);
    EXPECT_EQ(e.event.session(), 0);
    ASSERT_EQ(reader.next(e), ReadStatus::event);
    EXPECT_EQ(e.event.token(), 0);
    EXPECT_EQ(e.event.session(), 0x1020'3040'5060'7080);
}

// 64 bytes, and as much again for each 64 bytes of scope and agent together.
TEST(ShmemRing, CellsOfARecord) {
    TestRegion t;
    const QueueRef queue = t.region.open_queue(1);
    const struct {
        std::size_t scope, agent;
        std::uint64_t cells;
    } cases[] = {{0, 0, 1},
                 {1, 0, 2},
                 {0, 1, 2},
                 {0, 64, 2},
                 {64, 0, 2},
                 {32, 32, 2},
                 {0, 65, 3},
                 {1, 64, 3},
                 {0, 128, 3},
                 {9, 120, 4},
                 {kScopeRoom, kAgentRoom, 26}};
    RingReader reader(t.region.ring(), queue);
    std::uint64_t end = 0;
    for (const auto& c : cases) {
        const std::string scope(c.scope, 's');
        const std::string agent(c.agent, 'a');
        Event e;
        e.texts[kScope] = scope;
        e.texts[kAgent] = agent;
        const Published p = t.region.record(queue, e);
        ASSERT_EQ(p.status, PublishStatus::ok);
        EXPECT_EQ(p.end - end, c.cells) << c.scope << " " << c.agent;
        StoredEvent out;
        ASSERT_EQ(reader.next(out), ReadStatus::event);
        EXPECT_EQ(out.begin, end);
        EXPECT_EQ(out.end, p.end);
        EXPECT_EQ(out.event.texts[kScope], scope);
        EXPECT_EQ(out.event.texts[kAgent], agent);
        end = p.end;
    }
}

// Records of one cell fill a segment to its last: 960 in each.
TEST(ShmemRing, TheSmallestRecordsFillEverySegment) {
    TestRegion t(small_config(8));
    Ring& ring = t.region.ring();
    const QueueRef queue = t.region.open_queue(1);
    std::uint64_t n = 0;
    Event e;
    for (e.account = 0; ring.publish(queue, e, true).status == PublishStatus::ok; e.account++) n++;
    // Two of the eight are kept back for those who hold fewer.
    EXPECT_EQ(n, 6U * kSegmentCells);
    EXPECT_EQ(ring.waiting(queue), n);
    RingReader reader(ring, queue);
    StoredEvent out;
    for (std::uint64_t i = 0; i < n; i++) {
        ASSERT_EQ(reader.next(out), ReadStatus::event);
        ASSERT_EQ(out.event.account, static_cast<std::int64_t>(i));
        ASSERT_EQ(out.begin, i);
        ASSERT_EQ(out.end, i + 1);
        ASSERT_TRUE(out.counted);
    }
    EXPECT_EQ(reader.next(out), ReadStatus::empty);
    ring.free_to(queue, out.end);
    EXPECT_TRUE(ring.empty());
    EXPECT_EQ(ring.publish(queue, e).status, PublishStatus::ok);
    EXPECT_EQ(t.restart(78).events, 1U);
}

TEST(ShmemRing, AFullRingSaysSoAndCountsExactly) {
    TestRegion t(small_config(8));
    Ring& ring = t.region.ring();
    const QueueRef queue = t.region.open_queue(1);
    std::uint64_t recorded = 0;
    std::uint64_t woken = 0;
    const std::uint64_t answered = 20'000;
    for (std::uint64_t i = 0; i < answered; i++) {
        const Published p = t.region.record(queue, Made(i).event);
        woken += p.wake ? 1 : 0;
        if (p.status == PublishStatus::ok)
            recorded++;
        else {
            ASSERT_EQ(p.status, PublishStatus::full);
            t.region.count_drop(queue);
        }
    }
    EXPECT_GT(woken, 0U);
    EXPECT_EQ(ring.dropped(queue) + recorded, answered);
    EXPECT_GT(recorded, 6U * 960 / 30);
    EXPECT_EQ(ring.waiting(queue), recorded);
    // What was refused is not shown either: counters hold exactly what is recorded.
    std::uint64_t shown = 0;
    for (std::int32_t g = 0; g < 3; g++) {
        PendingCounts c;
        if (t.region.counters().pending({1, g, 5}, 0, c)) shown += c.uses + c.refusals;
    }
    EXPECT_EQ(shown, recorded);
    EXPECT_EQ(drain(ring, queue), recorded);
    EXPECT_EQ(t.region.record(queue, Made(1).event).status, PublishStatus::ok);
}

TEST(ShmemRing, OneThatNobodyDrainsDoesNotStopAnother) {
    TestRegion t(small_config(16));
    Ring& ring = t.region.ring();
    const QueueRef a = t.region.open_queue(1);
    while (ring.publish(a, Made(3).event).status == PublishStatus::ok) {
    }
    EXPECT_EQ(ring.free_segments(), 2U);
    const QueueRef b = t.region.open_queue(2);
    ASSERT_TRUE(b);
    const QueueRef c = t.region.open_queue(3);
    ASSERT_TRUE(c);
    // The last two queues share what is kept back, and live on it for ever.
    std::uint64_t n = 0;
    for (std::uint64_t i = 0; i < 50'000; i++) {
        if (ring.publish(b, Made(i).event).status == PublishStatus::ok) {
            n++;
            continue;
        }
        ASSERT_GT(drain(ring, b) + drain(ring, c), 0U) << i;
        ASSERT_EQ(ring.publish(b, Made(i).event).status, PublishStatus::full);
        break;
    }
    EXPECT_GT(n, 100U);
    ASSERT_TRUE(ring.close_queue(3));
    for (std::uint64_t i = 0; i < 50'000; i++) {
        Published p = ring.publish(b, Made(i).event);
        if (p.status == PublishStatus::full) {
            drain(ring, b);
            p = ring.publish(b, Made(i).event);
        }
        ASSERT_EQ(p.status, PublishStatus::ok) << i;
    }
    EXPECT_EQ(ring.publish(a, Made(3).event).status, PublishStatus::full);
}

TEST(ShmemRing, PositionsNeverComeBackWhenAQueueIsReopened) {
    TestRegion t;
    Ring& ring = t.region.ring();
    const QueueRef first = t.region.open_queue(9);
    std::uint64_t end = 0;
    for (std::uint64_t i = 0; i < 700; i++) end = t.region.record(first, Made(i).event).end;
    ring.count_drop(first);
    ASSERT_TRUE(t.region.close_queue(9));
    EXPECT_EQ(ring.lost_discarded(), 700U);
    EXPECT_EQ(ring.lost_drops(), 1U);
    EXPECT_EQ(ring.free_segments(), ring.segments());
    EXPECT_EQ(t.region.record(first, Made(1).event).status, PublishStatus::no_queue);
    EXPECT_EQ(t.region.counters().used(), 0U);
    EXPECT_FALSE(ring.find_queue(9));
    const QueueRef again = t.region.open_queue(9);
    ASSERT_TRUE(again);
    EXPECT_NE(again.key, first.key);
    EXPECT_EQ(t.region.record(first, Made(1).event).status, PublishStatus::no_queue);
    const Published p = t.region.record(again, Made(1).event);
    ASSERT_EQ(p.status, PublishStatus::ok);
    EXPECT_GT(p.end, end);
    EXPECT_TRUE(t.region.close_queue(12345));  // one that was never opened
}

TEST(ShmemRing, EveryLaneTaken) {
    TestRegion t;
    for (std::uint32_t d = 1; d <= 8; d++) ASSERT_TRUE(t.region.open_queue(d));
    EXPECT_FALSE(t.region.open_queue(9));
    EXPECT_EQ(t.region.open_queue(3).key, t.region.ring().find_queue(3).key);
    EXPECT_EQ(t.region.record({}, Made(1).event).status, PublishStatus::no_queue);
    t.region.count_drop({});
    EXPECT_EQ(t.region.ring().lost_drops(), 1U);
}

TEST(ShmemRing, EventsOfAnEarlierStartKeepTheirRingId) {
    TestRegion t;
    const QueueRef old = t.region.open_queue(7);
    for (std::uint64_t i = 0; i < 100; i++) t.region.record(old, Made(i).event);
    const Recovered found = t.restart(78);
    EXPECT_EQ(found.events, 100U);
    EXPECT_EQ(found.torn, 0U);
    Ring& ring = t.region.ring();
    const QueueRef queue = ring.find_queue(7);
    ASSERT_TRUE(queue);
    for (std::uint64_t i = 100; i < 150; i++) t.region.record(queue, Made(i).event);
    RingReader reader(ring, queue);
    StoredEvent e;
    for (std::uint64_t i = 0; i < 100; i++) {
        ASSERT_EQ(reader.next(e), ReadStatus::event);
        ASSERT_EQ(e.ring_id, 77U);
    }
    EXPECT_EQ(reader.next(e), ReadStatus::new_ring_id);
    EXPECT_EQ(reader.ring_id(), 78U);
    ring.free_to(queue, reader.position());
    for (std::uint64_t i = 100; i < 150; i++) {
        ASSERT_EQ(reader.next(e), ReadStatus::event);
        ASSERT_EQ(e.ring_id, 78U);
        ASSERT_TRUE(same(e.event, Made(i).event));
    }
    EXPECT_EQ(reader.next(e), ReadStatus::empty);
    std::uint64_t ids[4];
    ASSERT_EQ(t.region.ring_ids(ids), 2U);
    EXPECT_EQ(ids[0], 78U);
    EXPECT_EQ(ids[1], 77U);
}

TEST(ShmemRing, AnotherAddressAnotherProcess) {
    const Config config = small_config();
    TestRegion t(config);
    const QueueRef queue = t.region.open_queue(7);
    for (std::uint64_t i = 0; i < 400; i++) t.region.record(queue, Made(i).event);
    Mapping copy(t.mapping.size());
    std::memcpy(copy.at(), t.mapping.at(), copy.size());
    Region region;
    Recovered found;
    ASSERT_EQ(Region::attach(copy.at(), copy.size(), 99, region, found), AttachStatus::ok);
    EXPECT_EQ(found.events, 400U);
    EXPECT_EQ(accounts_of(region.ring(), region.ring().find_queue(7)).size(), 400U);
    Config read;
    ASSERT_TRUE(Region::read_config({copy.at(), kHeaderBytes}, read));
    EXPECT_EQ(read, config);
}

TEST(ShmemRing, ForeignFilesAreRefused) {
    TestRegion t;
    Region region;
    Recovered found;
    std::byte* const at = t.mapping.at();
    EXPECT_EQ(Region::attach(at, t.mapping.size() - 4096, 1, region, found), AttachStatus::other_size);
    EXPECT_EQ(Region::attach(at, 100, 1, region, found), AttachStatus::foreign);
    std::uint32_t version;
    std::memcpy(&version, at + 8, 4);
    version++;
    std::memcpy(at + 8, &version, 4);
    EXPECT_EQ(Region::attach(at, t.mapping.size(), 1, region, found), AttachStatus::other_version);
    version--;
    std::memcpy(at + 8, &version, 4);
    at[16] ^= std::byte{1};  // the number of segments
    EXPECT_EQ(Region::attach(at, t.mapping.size(), 1, region, found), AttachStatus::foreign);
    at[16] ^= std::byte{1};
    EXPECT_EQ(Region::attach(at, t.mapping.size(), 1, region, found), AttachStatus::ok);
    Mapping zero(t.mapping.size());
    EXPECT_EQ(Region::attach(zero.at(), zero.size(), 1, region, found), AttachStatus::foreign);
}

// Any byte of a record that is not as it was written: that record is torn, and no other.
TEST(ShmemRing, ATornRecordIsDroppedAndCounted) {
    const std::uint64_t n = 60;
    TestRegion t;
    const QueueRef queue = t.region.open_queue(7);
    for (std::uint64_t i = 0; i < n; i++) {
        Made m(i * 2 + 1);
        m.event.account = static_cast<std::int64_t>(i);
        ASSERT_EQ(t.region.record(queue, m.event).status, PublishStatus::ok);
    }
    std::vector<StoredEvent> where;
    RingReader reader(t.region.ring(), queue);
    for (StoredEvent e; reader.next(e) == ReadStatus::event;) where.push_back(e);
    ASSERT_EQ(where.size(), n);
    const std::vector<std::byte> image(t.mapping.at(), t.mapping.at() + t.mapping.size());
    std::uint64_t tried = 0;
    for (std::size_t victim = 0; victim < n; victim += 7) {
        // The texts follow the fixed part: its bytes, then some text.
        auto* const record =
            reinterpret_cast<std::byte*>(const_cast<char*>(where[victim].event.texts[kScope].data())) - sizeof(RecordHead);
        for (std::size_t byte = 0; byte < sizeof(RecordHead) + where[victim].event.texts[kScope].size(); byte += 3) {
            std::memcpy(t.mapping.at(), image.data(), image.size());
            record[byte] ^= std::byte{0x10};
            const Recovered found = t.restart(78);
            tried++;
            ASSERT_EQ(found.torn, 1U) << victim << " " << byte;
            ASSERT_EQ(found.events, n - 1);
            const QueueRef l = t.region.ring().find_queue(7);
            EXPECT_EQ(t.region.ring().torn(l), 1U);
            const std::vector<std::uint64_t> got = accounts_of(t.region.ring(), l);
            ASSERT_EQ(got.size(), n - 1);
            EXPECT_EQ(std::set<std::uint64_t>(got.begin(), got.end()).count(victim), 0U);
            // Once more: it is not counted twice.
            ASSERT_EQ(t.restart(79).torn, 0U);
        }
    }
    EXPECT_GT(tried, 100U);
}

// What a producer leaves that was killed between claim and commit: its state word says claimed, or nothing
// yet.
TEST(ShmemRing, AClaimWithoutCommitHoldsTheReaderUntilTheRestart) {
    TestRegion t;
    const QueueRef queue = t.region.open_queue(7);
    for (std::uint64_t i = 0; i < 10; i++) t.region.record(queue, Made(i + 1).event);
    RingReader reader(t.region.ring(), queue);
    unsigned at = 0;
    for (StoredEvent e; reader.next(e) == ReadStatus::event; at++) {
        if (at != 4 && at != 6 && at != 7) continue;
        // The queue's first segment begins at position 0: 128 bytes, the state words, the cells.
        auto* const record = reinterpret_cast<std::byte*>(const_cast<char*>(e.event.texts[kScope].data())) - sizeof(RecordHead);
        std::byte* const segment = record - e.begin * kCellBytes - offsetof(Segment, cells);
        auto& state = reinterpret_cast<Segment*>(segment)->states[e.begin];
        ASSERT_EQ(state.load() >> 3, e.end - e.begin);
        state.store(at == 4 ? (state.load() & ~7U) | 1U : 0U);
    }
    ASSERT_EQ(at, 10U);
    bool in_progress = false;
    EXPECT_EQ(accounts_of(t.region.ring(), queue, &in_progress).size(), 4U);
    EXPECT_TRUE(in_progress);
    EXPECT_FALSE(t.region.close_queue(7));  // its producer might still write
    EXPECT_FALSE(t.region.open_queue(7));
    EXPECT_EQ(t.region.record(queue, Made(1).event).status, PublishStatus::no_queue);

    TestRegion u;
    std::memcpy(u.mapping.at(), t.mapping.at(), t.mapping.size());
    const Recovered closing = u.restart(80);
    EXPECT_EQ(closing.events, 0U);  // the closing was brought to its end
    EXPECT_EQ(closing.torn, 3U);
    EXPECT_EQ(u.region.ring().lost_discarded(), 7U);
    EXPECT_EQ(u.region.ring().free_segments(), u.region.ring().segments());
    EXPECT_TRUE(u.region.open_queue(7));
}

TEST(ShmemRing, ADeadProducersClaimsAreSkippedAndCounted) {
    TestRegion t;
    const QueueRef queue = t.region.open_queue(7);
    for (std::uint64_t i = 0; i < 10; i++) t.region.record(queue, Made(i + 1).event);
    RingReader reader(t.region.ring(), queue);
    unsigned at = 0;
    for (StoredEvent e; reader.next(e) == ReadStatus::event; at++) {
        if (at != 0 && at != 6 && at != 7 && at != 9) continue;
        auto* const record = reinterpret_cast<std::byte*>(const_cast<char*>(e.event.texts[kScope].data())) - sizeof(RecordHead);
        std::byte* const segment = record - e.begin * kCellBytes - offsetof(Segment, cells);
        reinterpret_cast<Segment*>(segment)->states[e.begin].store(0);
    }
    const Recovered found = t.restart(80);
    EXPECT_EQ(found.events, 6U);
    EXPECT_EQ(found.torn, 4U);
    const QueueRef now = t.region.ring().find_queue(7);
    EXPECT_EQ(accounts_of(t.region.ring(), now), (std::vector<std::uint64_t>{2, 3, 4, 5, 6, 9}));
    EXPECT_EQ(t.region.ring().waiting(now), 6U);
    EXPECT_EQ(t.region.ring().torn(now), 4U);
    ASSERT_EQ(t.region.record(now, Made(50).event).status, PublishStatus::ok);
    EXPECT_EQ(accounts_of(t.region.ring(), now).size(), 7U);
}

// Threads, for ThreadSanitizer: what the processes of shmem_crash_test do, in one address space.
TEST(ShmemRing, ThreadsPublishWhileOneDrains) {
    TestRegion t(small_config(12));
    Ring& ring = t.region.ring();
    const std::uint32_t kDatabases = 2;
    for (std::uint32_t d = 1; d <= kDatabases; d++) ASSERT_TRUE(t.region.open_queue(d));
    const std::uint64_t each = 20'000;
    const unsigned kThreads = 4;
    std::atomic<unsigned> running{kThreads};
    std::atomic<std::uint64_t> dropped{0};
    std::vector<std::thread> threads;
    for (unsigned p = 0; p < kThreads; p++) {
        threads.emplace_back([&, p] {
            const QueueRef queue = ring.find_queue(1 + p % kDatabases);
            for (std::uint64_t i = 0; i < each; i++) {
                Made m(i, static_cast<std::int64_t>(1 + i % 50));
                m.event.account = static_cast<std::int64_t>(p * each + i);
                Published got;
                for (int tries = 0; tries < 200; tries++) {
                    got = t.region.record(queue, m.event);
                    if (got.status == PublishStatus::ok) break;
                    std::this_thread::yield();
                }
                if (got.status != PublishStatus::ok) {
                    t.region.count_drop(queue);
                    dropped++;
                }
            }
            running--;
        });
    }
    std::vector<std::uint8_t> seen(kThreads * each, 0);
    std::uint64_t total = 0;
    for (bool last = false;;) {
        std::uint64_t batch = 0;
        for (std::uint32_t d = 1; d <= kDatabases; d++) {
            const QueueRef queue = ring.find_queue(d);
            RingReader reader(ring, queue);
            StoredEvent e;
            while (reader.next(e) == ReadStatus::event) {
                const auto who = static_cast<std::uint64_t>(e.event.account);
                Made m(who % each, static_cast<std::int64_t>(1 + who % each % 50));
                m.event.account = e.event.account;
                ASSERT_TRUE(same(e.event, m.event));
                seen[who]++;
                batch++;
                PendingCounts c;
                if (batch % 64 == 0) t.region.counters().pending({d, e.event.generation, e.event.token()}, reader.position(), c);
            }
            ring.free_to(queue, reader.position());
        }
        total += batch;
        if (last && batch == 0) break;
        last = running == 0;
    }
    for (std::thread& th : threads) th.join();
    EXPECT_EQ(total + dropped, kThreads * each);
    for (std::uint8_t s : seen) ASSERT_LE(s, 1);
    EXPECT_EQ(ring.dropped(ring.find_queue(1)) + ring.dropped(ring.find_queue(2)), dropped);
}

}  // namespace
}  // namespace mirox::test
