// Counters, unauthenticated callers and limits: exact sums through drains and rollbacks, eviction, floods, and words never looser.
#include <map>
#include <random>
#include <thread>

#include "shmem/core_limits.hpp"
#include "shmem_support.hpp"

namespace mirox::test {
namespace {

Event use_at(std::int64_t token, Micros at, std::uint16_t status = 200) {
    Event e;
    e.status = status;
    e.credential_id = token;
    e.generation = 1;
    e.at = at;
    const std::uint8_t host[4] = {10, 0, 0, static_cast<std::uint8_t>(at)};
    e.address = address_of(host);
    e.texts[kAgent] = "curl/8.5.0";
    return e;
}

TEST(ShmemCounters, ShowsAUseBeforeAndAfterItsDrain) {
    TestRegion t;
    const QueueRef queue = t.region.open_queue(1);
    Counters& c = t.region.counters();
    const TokenKey key{1, 1, 42};
    PendingCounts p;
    EXPECT_FALSE(c.pending(key, 0, p));
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    for (int i = 1; i <= 3; i++) first = t.region.record(queue, use_at(42, 100 + i)).end;
    for (int i = 1; i <= 2; i++) second = t.region.record(queue, use_at(42, 90 + i, 403)).end;
    second = t.region.record(queue, use_at(42, 50)).end;  // a late one does not set the clock back
    ASSERT_TRUE(c.pending(key, 0, p));
    EXPECT_EQ(p.uses, 4U);
    EXPECT_EQ(p.refusals, 2U);
    EXPECT_EQ(p.last_used, 103);
    EXPECT_EQ(p.last_refused, 92);
    EXPECT_EQ(p.last_address, use_at(42, 103).address);
    EXPECT_EQ(p.last_agent, text_key("curl/8.5.0"));
    EXPECT_FALSE(c.pending({2, 1, 42}, 0, p));
    EXPECT_FALSE(c.pending({1, 2, 42}, 0, p));

    ASSERT_TRUE(c.post(key, 0, first, 3, 0));
    ASSERT_TRUE(c.pending(key, 0, p));  // a snapshot from before the commit
    EXPECT_EQ(p.uses, 4U);
    ASSERT_TRUE(c.pending(key, first, p));  // and from after it
    EXPECT_EQ(p.uses, 1U);
    EXPECT_EQ(p.refusals, 2U);
    // A larger batch rolled back, then a smaller one stored in its place.
    ASSERT_TRUE(c.post(key, first, second, 1, 2));
    ASSERT_TRUE(c.pending(key, first, p));
    EXPECT_EQ(p.uses, 1U);
    ASSERT_TRUE(c.post(key, first, second - 2, 0, 2));
    ASSERT_TRUE(c.pending(key, second - 2, p));
    EXPECT_EQ(p.uses, 1U);
    EXPECT_EQ(p.refusals, 0U);
    ASSERT_TRUE(c.post(key, second - 2, second, 1, 0));
    ASSERT_TRUE(c.pending(key, second, p));
    EXPECT_EQ(p.uses + p.refusals, 0U);
    EXPECT_FALSE(c.post({1, 1, 43}, 0, 1, 1, 0));
}

// More tokens than entries, drained now and then: shown is always what was made, but for misses, which are
// counted.
TEST(ShmemCounters, EvictionNeitherLosesNorDoubles) {
    Config config = small_config(32);
    config.counter_entries = 64;
    TestRegion t(config);
    const QueueRef queue = t.region.open_queue(1);
    Counters& c = t.region.counters();
    std::mt19937 random(3);
    std::map<std::int64_t, std::uint64_t> made, stored;
    std::uint64_t position = 0;
    std::uint64_t missed = 0;
    for (int batch = 0; batch < 400; batch++) {
        for (int i = 0; i < 60; i++) {
            const auto token = static_cast<std::int64_t>(1 + random() % (batch % 7 == 0 ? 500 : 30 + batch));
            ASSERT_EQ(t.region.record(queue, use_at(token, 1000 * batch + i)).status, PublishStatus::ok);
            made[token]++;
        }
        std::map<std::int64_t, std::uint64_t> unmarked, marked;
        RingReader reader(t.region.ring(), queue);
        StoredEvent e;
        while (reader.next(e) == ReadStatus::event) (e.counted ? marked : unmarked)[e.event.token()]++;
        for (const auto& [token, n] : made) {
            PendingCounts p;
            const bool any = c.pending({1, 1, token}, position, p);
            ASSERT_EQ(stored[token] + (any ? p.uses : 0) + unmarked[token], n) << batch << " " << token;
            missed += unmarked[token];
        }
        for (const auto& [token, n] : marked) {
            ASSERT_TRUE(c.post({1, 1, token}, position, reader.position(), n, 0));
        }
        for (const auto& [token, n] : marked) stored[token] += n;
        for (const auto& [token, n] : unmarked) stored[token] += n;
        position = reader.position();
        t.region.ring().free_to(queue, position);
        for (const auto& [token, n] : made) {
            PendingCounts p;
            ASSERT_EQ(stored[token] + (c.pending({1, 1, token}, position, p) ? p.uses : 0), n);
        }
    }
    EXPECT_GT(c.evictions(), 1000U);
    EXPECT_GT(missed, 0U);
    EXPECT_EQ(c.misses(), missed);
}

// ---- windows of 32 places that are full

// Two windows, both full of tokens that have a use each, and a token that found no place.
struct FullWindows {
    FullWindows() : t(config()), queue(t.region.open_queue(1)) {
        for (std::int64_t token = 1; newcomer == 0; token++) {
            if (const Counters::Counted counted = count(token)) {
                windows[counted.entry / 32].push_back({token, counted});
            } else {
                misses++;
                if (windows[0].size() + windows[1].size() == 64) newcomer = token;
            }
        }
        EXPECT_EQ(windows[0].size(), 32U);
        EXPECT_EQ(windows[1].size(), 32U);
        EXPECT_EQ(counters().used(), 64U);
        EXPECT_EQ(counters().misses(), misses);
        EXPECT_EQ(counters().evictions(), 0U);
    }
    static Config config() {
        Config c = small_config();
        c.counter_entries = 64;
        return c;
    }
    Counters& counters() { return t.region.counters(); }
    Counters::Counted count(std::int64_t token, std::uint32_t database = 1) {
        return counters().count({database, 1, token}, use_at(token, 1), t.region.ring());
    }
    // An event of no token, published and freed: a step of freeing. Its position.
    std::uint64_t step() {
        const std::uint64_t end = t.region.ring().publish(queue, use_at(0, 1)).end;
        t.region.ring().free_to(queue, end);
        return end;
    }
    struct Kept {
        std::int64_t token;
        Counters::Counted counted;
    };
    TestRegion t;
    QueueRef queue;
    std::vector<Kept> windows[2];
    std::int64_t newcomer = 0;
    std::uint64_t misses = 0;
};

TEST(ShmemCounters, AFullWindowIsNotSearchedAgainBeforeTheNextStep) {
    FullWindows f;
    // An entry in each that may be given up, without a step that says so: nobody looks.
    for (auto& window : f.windows) f.counters().undo(window[7].counted);
    for (int i = 1; i <= 1000; i++) ASSERT_FALSE(f.count(f.newcomer));
    EXPECT_EQ(f.counters().misses(), f.misses + 1000);
    EXPECT_EQ(f.counters().evictions(), 0U);
    // Those that are in it are found as ever.
    for (auto& window : f.windows)
        for (const auto& one : window) ASSERT_TRUE(f.count(one.token));
    EXPECT_EQ(f.counters().misses(), f.misses + 1000);
    // Their own counts keep all in use now, so that a step brings nothing; what is given up after it, the next one does.
    f.step();
    EXPECT_FALSE(f.count(f.newcomer));
    Counters::Counted again[2];
    for (int w = 0; w < 2; w++) {
        again[w] = f.windows[w][7].counted;
        f.counters().undo(again[w]);
    }
    EXPECT_FALSE(f.count(f.newcomer));
    EXPECT_EQ(f.counters().misses(), f.misses + 1002);
    EXPECT_EQ(f.counters().evictions(), 0U);
    f.step();
    EXPECT_TRUE(f.count(f.newcomer));
    EXPECT_EQ(f.counters().evictions(), 1U);
    EXPECT_EQ(f.counters().misses(), f.misses + 1002);
    // Whose place it was is told by who is not known any more.
    unsigned gone = 0;
    for (auto& window : f.windows)
        for (const auto& one : window) {
            PendingCounts p;
            if (!f.counters().pending({1, 1, one.token}, 0, p)) gone++;
        }
    EXPECT_EQ(gone, 1U);
}

// The way of a drain: what was posted may be given up once two steps have passed it, and not before.
TEST(ShmemCounters, AFullWindowHasRoomAfterTwoDrains) {
    FullWindows f;
    const std::uint64_t first = f.t.region.ring().publish(f.queue, use_at(0, 1)).end;
    for (auto& window : f.windows)
        for (const auto& one : window) ASSERT_TRUE(f.counters().post({1, 1, one.token}, 0, first, 1, 0));
    // Posted, not freed: no step yet.
    EXPECT_FALSE(f.count(f.newcomer));
    f.t.region.ring().free_to(f.queue, first);
    EXPECT_FALSE(f.count(f.newcomer));  // a reader's snapshot may be the one before
    EXPECT_FALSE(f.count(f.newcomer));
    EXPECT_EQ(f.counters().evictions(), 0U);
    EXPECT_EQ(f.counters().misses(), f.misses + 3);
    f.step();
    EXPECT_TRUE(f.count(f.newcomer));
    EXPECT_EQ(f.counters().evictions(), 1U);
    EXPECT_EQ(f.counters().misses(), f.misses + 3);
    EXPECT_EQ(f.counters().used(), 64U);
    PendingCounts p;
    ASSERT_TRUE(f.counters().pending({1, 1, f.newcomer}, first, p));
    EXPECT_EQ(p.uses, 1U);
    // Every place of both can be had now.
    std::uint64_t found = 1;
    for (std::int64_t token = f.newcomer + 1; token <= f.newcomer + 500; token++) found += f.count(token) ? 1 : 0;
    EXPECT_EQ(found, 64U);
    EXPECT_EQ(f.counters().evictions(), 64U);
}

// Another database's entries may be given up when it has no queue, which the closing of it says by a step of its own.
TEST(ShmemCounters, AFullWindowHasRoomWhenALaneIsClosed) {
    FullWindows f;
    for (auto& window : f.windows)
        for (const auto& one : window) ASSERT_TRUE(f.counters().post({1, 1, one.token}, 0, 10, 1, 0));
    EXPECT_FALSE(f.count(f.newcomer, 2));
    ASSERT_TRUE(f.t.region.ring().close_queue(1));
    EXPECT_TRUE(f.count(f.newcomer, 2));
    EXPECT_EQ(f.counters().evictions(), 1U);
}

TEST(ShmemCounters, AFullWindowHasRoomWhenADatabaseIsForgotten) {
    FullWindows f;
    // Of another database, so that what is forgotten is not the one who looks.
    std::uint64_t before = 0;
    for (std::int64_t token = 1; token <= 100; token++) before += f.count(token, 2) ? 1 : 0;
    EXPECT_EQ(before, 0U);
    f.counters().forget(1);
    EXPECT_EQ(f.counters().used(), 0U);
    std::uint64_t after = 0;
    for (std::int64_t token = 1; token <= 500; token++) after += f.count(token, 2) ? 1 : 0;
    EXPECT_EQ(after, 64U);
    EXPECT_EQ(f.counters().evictions(), 0U);
}

TEST(ShmemCounters, AFullWindowHasRoomAfterARestart) {
    FullWindows f;
    EXPECT_FALSE(f.count(f.newcomer));
    f.t.restart(2);
    EXPECT_TRUE(f.count(f.newcomer));
    EXPECT_EQ(f.counters().misses(), 0U);
    EXPECT_EQ(f.counters().used(), 1U);
}

TEST(ShmemCounters, StepsOfFreeing) {
    TestRegion t;
    Ring& ring = t.region.ring();
    const QueueRef a = t.region.open_queue(1);
    const QueueRef b = t.region.open_queue(2);
    EXPECT_EQ(ring.free_steps(), 0U);
    const std::uint64_t end = ring.publish(a, use_at(1, 1)).end;
    EXPECT_EQ(ring.free_steps(), 0U);
    ring.set_applied(a, end);
    EXPECT_EQ(ring.free_steps(), 0U);
    ring.free_to(a, end);
    EXPECT_EQ(ring.free_steps(), 1U);
    ring.free_to(a, end);  // nothing more
    EXPECT_EQ(ring.free_steps(), 1U);
    ring.free_to(b, ring.publish(b, use_at(1, 1)).end);
    EXPECT_EQ(ring.free_steps(), 2U);
    EXPECT_TRUE(ring.close_queue(2));
    EXPECT_EQ(ring.free_steps(), 3U);
    EXPECT_TRUE(ring.close_queue(2));  // there is none
    EXPECT_EQ(ring.free_steps(), 3U);
}

TEST(ShmemCounters, ARestartCountsWhatTheRingHolds) {
    TestRegion t;
    const QueueRef queue = t.region.open_queue(1);
    const TokenKey key{1, 1, 42};
    std::uint64_t half = 0;
    for (int i = 1; i <= 100; i++) {
        const std::uint64_t end = t.region.record(queue, use_at(42, i)).end;
        if (i == 60) half = end;
    }
    ASSERT_TRUE(t.region.counters().post(key, 0, half, 60, 0));
    t.region.ring().free_to(queue, half);
    EXPECT_EQ(t.restart(2).events, 40U);
    const QueueRef now = t.region.ring().find_queue(1);
    EXPECT_TRUE(t.region.unposted(now));
    PendingCounts p;
    ASSERT_TRUE(t.region.counters().pending(key, half, p));
    EXPECT_EQ(p.uses, 40U);
    EXPECT_EQ(p.last_used, 100);
    t.region.set_posted(now);
    EXPECT_FALSE(t.region.unposted(now));
}

// All on one token, threads: nothing is lost, and a reader never sees the last use go back.
TEST(ShmemCounters, OneHotTokenFromManyThreads) {
    TestRegion t(small_config(64));
    Counters& c = t.region.counters();
    const Ring& ring = t.region.ring();
    std::atomic<bool> stop{false};
    std::thread reader([&] {
        Micros last = 0;
        std::uint64_t uses = 0;
        while (!stop) {
            PendingCounts p;
            if (!c.pending({1, 1, 7}, 0, p)) continue;
            EXPECT_GE(p.last_used, last);
            EXPECT_GE(p.uses, uses);
            if (p.last_address.family != core::AddressFamily::none) {
                EXPECT_EQ(p.last_address.bytes[0], 10);
            }
            last = p.last_used;
            uses = p.uses;
        }
    });
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; n++)
        threads.emplace_back([&, n] {
            for (int i = 1; i <= 20'000; i++) ASSERT_TRUE(c.count({1, 1, 7}, use_at(7, i * 4 + n), ring));
        });
    for (auto& th : threads) th.join();
    stop = true;
    reader.join();
    PendingCounts p;
    ASSERT_TRUE(c.pending({1, 1, 7}, 0, p));
    EXPECT_EQ(p.uses, 80'000U);
    EXPECT_EQ(p.last_used, 80'003);
}

// ---- unauthenticated callers

std::uint64_t unauthenticated_in(const Unauthenticated& s, std::uint32_t database) {
    std::uint64_t n = 0;
    UnauthenticatedCount c;
    for (std::uint32_t i = 0; i < s.capacity(); i++)
        if (s.read(i, database, c)) n += c.requests;
    return n;
}

TEST(ShmemUnauthenticated, CountsByMinutePrefixAndReason) {
    TestRegion t;
    const std::uint8_t v4[4] = {192, 0, 2, 77};
    std::uint8_t mapped[16] = {};
    mapped[10] = mapped[11] = 0xFF;
    std::memcpy(mapped + 12, v4, 4);
    for (int i = 0; i < 5; i++) refuse(t.region, 1, 1000 + i, v4, 2);
    refuse(t.region, 1, 900, mapped, 2);  // the same host
    refuse(t.region, 1, kMinute, v4, 2);
    refuse(t.region, 1, 1000, v4, 3);
    refuse(t.region, 2, 1000, v4, 2);
    refuse(t.region, 1, -1, v4, 2);
    std::map<std::pair<Micros, int>, UnauthenticatedCount> got;
    UnauthenticatedCount c;
    for (std::uint32_t i = 0; i < t.region.unauthenticated().capacity(); i++)
        if (t.region.unauthenticated().read(i, 1, c)) got[{c.minute, c.reason}] = c;
    ASSERT_EQ(got.size(), 4U);
    const UnauthenticatedCount& first = got[{0, 2}];
    EXPECT_EQ(first.requests, 6U);
    EXPECT_EQ(first.first_at, 900);
    EXPECT_EQ(first.last_at, 1004);
    EXPECT_EQ(first.network, address_of(v4));
    EXPECT_EQ(first.network.bits, 32);
    EXPECT_EQ(first.status, 401);
    EXPECT_EQ((got[{kMinute, 2}].requests), 1U);
    EXPECT_EQ((got[{0, 3}].requests), 1U);
    EXPECT_EQ((got[{-kMinute, 2}].requests), 1U);
    EXPECT_EQ(unauthenticated_in(t.region.unauthenticated(), 2), 1U);
}

// Rows as the worker keeps them: by name, the greater count wins. Written twice, killed in between: the same
// sum.
TEST(ShmemUnauthenticated, DrainedExactlyOnceWithRestarts) {
    TestRegion t;
    std::mt19937 random(5);
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> rows;
    std::uint64_t made = 0;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 200; i++) {
            const std::uint8_t host[4] = {10, 0, static_cast<std::uint8_t>(random() % 20), 1};
            if (refuse(t.region, 1, round * kMinute / 4 + i, host, random() % 3) != Unauthenticated::Result::uncounted) made++;
        }
        UnauthenticatedCount c;
        for (std::uint32_t i = 0; i < t.region.unauthenticated().capacity(); i++) {
            if (!t.region.unauthenticated().read(i, 1, c)) continue;
            auto& row = rows[{c.ring_id, c.serial}];
            row = std::max(row, c.requests);
            if (random() % 3 != 0) continue;  // died before the release
            const std::uint8_t host[4] = {10, 0, 3, 1};
            if (random() % 2 == 0 && refuse(t.region, 1, round * kMinute / 4, host, 1) != Unauthenticated::Result::uncounted)
                made++;
            t.region.unauthenticated().release(i, c);
        }
        if (round % 9 == 0) t.restart(1000 + round);
    }
    UnauthenticatedCount c;
    for (std::uint32_t i = 0; i < t.region.unauthenticated().capacity(); i++) {
        if (!t.region.unauthenticated().read(i, 1, c)) continue;
        auto& row = rows[{c.ring_id, c.serial}];
        row = std::max(row, c.requests);
        EXPECT_TRUE(t.region.unauthenticated().release(i, c));
    }
    std::uint64_t sum = 0;
    for (const auto& [name, n] : rows) sum += n;
    EXPECT_EQ(sum, made);
    EXPECT_EQ(t.region.unauthenticated().used(), 0U);
}

TEST(ShmemUnauthenticated, AFloodHarmsNoKnownToken) {
    TestRegion t;
    const QueueRef queue = t.region.open_queue(1);
    std::mt19937_64 random(11);
    std::uint64_t recorded = 0;
    const std::uint64_t flood = 1'000'000;
    for (std::uint64_t i = 0; i < flood; i++) {
        std::uint8_t host[16] = {0x20, 0x01};
        const std::uint64_t r = random();
        std::memcpy(host + 2, &r, 8);
        refuse(t.region, 1, static_cast<Micros>(i * 100), host, i % 4);
        if (i % 1000 == 0) {
            ASSERT_EQ(t.region.record(queue, Made(i).event).status, PublishStatus::ok);
            recorded++;
        }
    }
    EXPECT_EQ(accounts_of(t.region.ring(), queue).size(), recorded);
    EXPECT_EQ(t.region.ring().dropped(queue), 0U);
    EXPECT_LE(t.region.unauthenticated().used(), t.region.config().unauthenticated_slots);
    EXPECT_EQ(unauthenticated_in(t.region.unauthenticated(), 1) + t.region.unauthenticated().uncounted(), flood);
    EXPECT_EQ(t.region.unauthenticated().uncounted(), 0U);  // two minutes and four reasons fit the overflow
    EXPECT_EQ(t.region.unauthenticated().forget(1), flood);
}

TEST(ShmemUnauthenticated, ThreadsCountAndAWorkerReleases) {
    TestRegion t;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> rows;
    std::atomic<int> running{3};
    std::vector<std::thread> threads;
    for (int n = 0; n < 3; n++)
        threads.emplace_back([&, n] {
            for (int i = 0; i < 20'000; i++) {
                const std::uint8_t host[4] = {10, 0, 0, static_cast<std::uint8_t>(i % 10)};
                refuse(t.region, 1, i + n, host, 1);
            }
            running--;
        });
    for (bool last = false; !last;) {
        last = running == 0;
        UnauthenticatedCount c;
        for (std::uint32_t i = 0; i < t.region.unauthenticated().capacity(); i++) {
            if (!t.region.unauthenticated().read(i, 1, c)) continue;
            auto& row = rows[{c.ring_id, c.serial}];
            row = std::max(row, c.requests);
            t.region.unauthenticated().release(i, c);
        }
    }
    for (auto& th : threads) th.join();
    std::uint64_t sum = unauthenticated_in(t.region.unauthenticated(), 1);
    UnauthenticatedCount c;
    for (const auto& [name, n] : rows) sum += n;
    for (std::uint32_t i = 0; i < t.region.unauthenticated().capacity(); i++)  // stored and still there: once
        if (t.region.unauthenticated().read(i, 1, c) && rows.contains({c.ring_id, c.serial})) sum -= rows[{c.ring_id, c.serial}];
    EXPECT_EQ(sum, 60'000U);
}

// ---- limits ------------------------------------------------------------------------------------------------------

// A limit simple enough to be checked by eye: the word is the time until which the account must wait.
bool waits_no_more(std::uint64_t word, Micros now) noexcept {
    return word <= static_cast<std::uint64_t>(now);
}

struct TestLimits {
    Mapping mapping{Limits::bytes(64)};
    Limits limits = Limits::initialise(mapping.at(), 64);
};

TEST(ShmemLimits, NobodyComesSoonerForWantOfRoom) {
    TestLimits t;
    Limits& limits = t.limits;
    std::mt19937 random(17);
    std::map<std::int64_t, Micros> next;  // when each may come again
    std::uint64_t admitted = 0;
    Micros now = 1;
    for (int i = 0; i < 200'000; i++) {
        now += random() % 3;
        const auto account = static_cast<std::int64_t>(1 + random() % (i < 100'000 ? 400 : 50));
        bool ok = false;
        const auto word = limits.use(1, account, now, waits_no_more, [&](std::atomic<std::uint64_t>& w) {
            ok = waits_no_more(w.load(), now);
            if (ok) w.store(static_cast<std::uint64_t>(now + 100));
        });
        ASSERT_NE(word, Limits::Word::none);
        if (ok) {
            ASSERT_GE(now, next[account]);
            next[account] = now + 100;
            admitted++;
        }
    }
    EXPECT_GT(limits.shared_draws(), 0U);
    EXPECT_GT(admitted, 50'000U);
    EXPECT_LE(limits.used(), 64U);
}

TEST(ShmemLimits, ThreadsShareOneWordAndFightForRoom) {
    TestLimits t;
    Limits& limits = t.limits;
    std::atomic<std::uint64_t> admitted[200] = {};
    std::atomic<Micros> clock{1};
    std::vector<std::thread> threads;
    // Each account may pass once in all: its word is set for ever by the first, and stays on the shared word
    // too.
    for (int n = 0; n < 4; n++)
        threads.emplace_back([&, n] {
            std::mt19937 random(static_cast<unsigned>(n));
            for (int i = 0; i < 20'000; i++) {
                const std::int64_t account = random() % 200;
                const Micros now = clock.fetch_add(1);
                const auto draw = [&](std::atomic<std::uint64_t>& w) {
                    std::uint64_t seen = w.load();
                    while (waits_no_more(seen, now))
                        if (w.compare_exchange_weak(seen, 1'000'000'000)) {
                            admitted[account]++;
                            break;
                        }
                };
                while (limits.use(1, account, now, waits_no_more, draw) == Limits::Word::none) std::this_thread::yield();
            }
        });
    for (auto& th : threads) th.join();
    for (auto& a : admitted) ASSERT_LE(a.load(), 1U);
    EXPECT_EQ(limits.used(), 64U);
    EXPECT_GT(limits.shared_draws(), 0U);
}

}  // namespace
}  // namespace mirox::test
