// Processes that are killed at any instruction: producers, the consumer and a reader of the counters, over
// many restarts.
//
// What must hold, judged from what the processes noted outside of the region: each event whose record()
// returned is applied exactly once and whole; no other is applied twice; and at any moment the stored counts
// and the counters together show at least what had been answered and at most what had been begun.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <random>

#include "shmem_support.hpp"

namespace mirox::test {
namespace {

constexpr unsigned kProducers = 3;
constexpr unsigned kDatabases = 2;
constexpr unsigned kTokens = 12;
constexpr std::uint64_t kMaxEvents = 2'000'000;  // of one producer
constexpr std::uint64_t kMaxRows = 1'000'000;    // of one database

enum Outcome : std::uint8_t { none, begun, recorded, dropped };

// Stands for the tables: rows and position become visible by one store, as by a COMMIT.
struct Database {
    struct Commit {
        std::uint64_t rows, ring_id, position;
    };
    Commit commits[2];
    std::atomic<std::uint32_t> current;
    std::uint64_t row[kMaxRows];  // an event's number
    const Commit& committed() const { return commits[current.load(std::memory_order_acquire)]; }
};

struct Witness {
    std::atomic<std::uint64_t> next[kProducers];
    std::atomic<std::uint8_t> outcome[kProducers][kMaxEvents];
    std::atomic<std::uint64_t> answered[kDatabases][kTokens];
    std::atomic<std::uint64_t> begun[kDatabases][kTokens];
    std::atomic<std::uint64_t> wrong;
    Database database[kDatabases];
};

constexpr std::uint64_t number(unsigned producer, std::uint64_t n) {
    return std::uint64_t{producer} << 32 | n;
}
constexpr unsigned database_of(unsigned producer, std::uint64_t n) {
    return (producer + n / 64) % kDatabases;
}
constexpr unsigned token_of(std::uint64_t n) {
    return static_cast<unsigned>(n * 7 % kTokens);
}

Made made(std::uint64_t id) {
    Made m(id & 0xFFFF'FFFF, 1 + static_cast<std::int64_t>(token_of(id & 0xFFFF'FFFF)));
    m.event.generation = 1;
    m.event.status = 200;
    m.event.account = static_cast<std::int64_t>(id);
    return m;
}

[[noreturn]] void produce(Region region, Witness& w, unsigned p) {
    for (;;) {
        const std::uint64_t n = w.next[p].load();
        if (n == kMaxEvents) _exit(0);
        w.next[p].store(n + 1);
        const unsigned d = database_of(p, n);
        const QueueRef queue = region.ring().find_queue(d + 1);
        const Made m = made(number(p, n));
        w.outcome[p][n].store(begun);
        w.begun[d][token_of(n)].fetch_add(1);
        Published got;
        for (int tries = 0; tries < 50; tries++) {
            got = region.record(queue, m.event);
            if (got.status == PublishStatus::ok) break;
            sched_yield();
        }
        if (got.status == PublishStatus::ok) {
            w.outcome[p][n].store(recorded);
            w.answered[d][token_of(n)].fetch_add(1);
        } else {
            region.count_drop(queue);
            w.outcome[p][n].store(dropped);
        }
    }
}

// The worker of core_region.hpp's opening comment, for one database after the other.
[[noreturn]] void consume(Region region, Witness& w, unsigned seed) {
    std::mt19937 random(seed);
    bool started[kDatabases] = {};
    for (;;) {
        for (unsigned d = 0; d < kDatabases; d++) {
            Database& db = w.database[d];
            const QueueRef queue = region.ring().find_queue(d + 1);
            std::uint64_t uses[kTokens] = {};
            const auto post = [&](std::uint64_t from, std::uint64_t to) {
                for (unsigned t = 0; t < kTokens; t++)
                    if (uses[t] != 0 && !region.counters().post({d + 1, 1, 1 + t}, from, to, uses[t], 0)) w.wrong++;
            };
            StoredEvent e;
            const Database::Commit was = db.committed();
            if (!started[d]) {
                started[d] = true;
                const std::uint64_t freed = region.ring().freed(queue);
                if (was.position > freed) {
                    RingReader reader(region.ring(), queue);
                    while (reader.position() < was.position) {
                        const ReadStatus s = reader.next(e);
                        if (s == ReadStatus::event && e.counted) uses[token_of(e.event.account & 0xFFFF'FFFF)]++;
                        if (s == ReadStatus::empty || s == ReadStatus::in_progress) break;
                    }
                    if (reader.position() < was.position) w.wrong++;
                    post(freed, was.position);
                    region.ring().free_to(queue, was.position);
                }
                region.set_posted(queue);
                continue;
            }
            RingReader reader(region.ring(), queue);
            Database::Commit now = was;
            unsigned taken = 0;
            const unsigned most = 1 + random() % 3000;
            while (taken < most && now.rows < kMaxRows) {
                const ReadStatus s = reader.next(e);
                if (s == ReadStatus::new_ring_id && taken == 0) continue;
                if (s != ReadStatus::event) break;
                if (e.begin < was.position) continue;
                const auto id = static_cast<std::uint64_t>(e.event.account);
                if (!same(e.event, made(id).event)) w.wrong++;
                db.row[now.rows++] = id;
                now.ring_id = e.ring_id;
                now.position = e.end;
                if (e.counted) uses[token_of(id & 0xFFFF'FFFF)]++;
                taken++;
            }
            if (taken == 0) continue;
            post(was.position, now.position);
            if (random() % 8 == 0) continue;  // rolled back: the next batch may be smaller or larger
            const std::uint32_t other = 1 - db.current.load();
            db.commits[other] = now;
            db.current.store(other, std::memory_order_release);
            if (random() % 4 == 0) sched_yield();
            region.ring().set_applied(queue, now.position);
            region.ring().free_to(queue, now.position);
        }
    }
}

// A view: stored counts of a snapshot, then the counters.
void look(const Region& region, Witness& w, unsigned d, unsigned token, std::uint64_t& looked) {
    const std::uint64_t least = w.answered[d][token].load();
    const Database::Commit snapshot = w.database[d].committed();
    const QueueRef queue = region.ring().find_queue(d + 1);
    PendingCounts pending;
    const bool any = region.counters().pending({d + 1, 1, 1 + token}, snapshot.position, pending);
    // A snapshot that two drains have overtaken, or that the worker has not settled after a restart, is not
    // judged.
    if (region.unposted(queue) || region.ring().freed(queue) > snapshot.position) return;
    const std::uint64_t most = w.begun[d][token].load();
    std::uint64_t shown = any ? pending.uses : 0;
    for (std::uint64_t i = 0; i < snapshot.rows; i++) shown += token_of(w.database[d].row[i] & 0xFFFF'FFFF) == token ? 1 : 0;
    EXPECT_GE(shown, least);
    EXPECT_LE(shown, most);
    looked++;
}

void sleep_us(long us) {
    const timespec t{0, us * 1000};
    nanosleep(&t, nullptr);
}

std::uint64_t all_answered(const Witness& w) {
    std::uint64_t sum = 0;
    for (const auto& database : w.answered)
        for (const auto& token : database) sum += token.load();
    return sum;
}

TEST(ShmemCrash, EveryAnsweredEventIsAppliedOnceThroughKillsOfAll) {
    Mapping memory(sizeof(Witness));
    auto& w = *reinterpret_cast<Witness*>(memory.at());
    TestRegion t(small_config(16), 1000);
    for (unsigned d = 1; d <= kDatabases; d++) ASSERT_TRUE(t.region.open_queue(d));
    std::mt19937 random(20'240'601);
    std::uint64_t torn = 0;
    std::uint64_t recovered = 0;
    std::uint64_t looked = 0;
    constexpr unsigned kRounds = 24;
    for (unsigned round = 0; round < kRounds; round++) {
        std::vector<pid_t> children;
        const auto start = [&](auto&& body) {
            const pid_t pid = fork();
            ASSERT_GE(pid, 0);
            if (pid == 0) body();
            children.push_back(pid);
        };
        for (unsigned p = 0; p < kProducers; p++) start([&] { produce(t.region, w, p); });
        start([&] { consume(t.region, w, 31 * round + 7); });
        // A child of a large process runs late. The round begins when producers and consumer are all at work.
        const std::uint64_t before = all_answered(w);
        for (int i = 0; i < 5000 && all_answered(w) < before + 1000; i++) sleep_us(1000);
        for (unsigned i = 0; i < 30; i++) {
            sleep_us(1000 + static_cast<long>(random() % 2000));
            look(t.region, w, random() % kDatabases, random() % kTokens, looked);
        }
        // One is killed, the others run on for a moment as the server's do, then they are killed too.
        std::shuffle(children.begin(), children.end(), random);
        for (const pid_t pid : children) {
            kill(pid, SIGKILL);
            sleep_us(static_cast<long>(random() % 3000));
        }
        for (const pid_t pid : children) ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
        const Recovered found = t.restart(1001 + round);
        torn += found.torn;
        recovered += found.events;
        EXPECT_EQ(found.damaged, 0U);
        EXPECT_EQ(t.region.counters().misses(), 0U);
    }
    // The last start drains all that is left.
    const pid_t last = fork();
    ASSERT_GE(last, 0);
    if (last == 0) consume(t.region, w, 1);
    for (int i = 0; i < 2000 && !t.region.ring().empty(); i++) sleep_us(2000);
    EXPECT_TRUE(t.region.ring().empty());
    for (unsigned d = 0; d < kDatabases; d++)
        for (unsigned token = 0; token < kTokens; token++) look(t.region, w, d, token, looked);
    kill(last, SIGKILL);
    waitpid(last, nullptr, 0);

    EXPECT_EQ(w.wrong.load(), 0U);
    std::vector<std::vector<std::uint8_t>> applied(kProducers, std::vector<std::uint8_t>(kMaxEvents, 0));
    for (unsigned d = 0; d < kDatabases; d++) {
        const Database& db = w.database[d];
        ASSERT_LT(db.committed().rows, kMaxRows);
        for (std::uint64_t i = 0; i < db.committed().rows; i++) {
            const auto p = static_cast<unsigned>(db.row[i] >> 32);
            const std::uint64_t n = db.row[i] & 0xFFFF'FFFF;
            ASSERT_LT(p, kProducers);
            ASSERT_LT(n, kMaxEvents);
            ASSERT_EQ(database_of(p, n), d);
            applied[p][n]++;
        }
    }
    std::uint64_t answered = 0;
    std::uint64_t drops = 0;
    for (unsigned p = 0; p < kProducers; p++) {
        EXPECT_LT(w.next[p].load(), kMaxEvents);
        for (std::uint64_t n = 0; n < w.next[p].load(); n++) {
            const std::uint8_t outcome = w.outcome[p][n].load();
            if (outcome == recorded) {
                ASSERT_EQ(applied[p][n], 1) << p << " " << n;
                answered++;
            } else if (outcome == dropped) {
                ASSERT_EQ(applied[p][n], 0);
                drops++;
            } else {
                ASSERT_LE(applied[p][n], 1);
            }
        }
    }
    std::uint64_t counted_drops = 0;
    for (unsigned d = 1; d <= kDatabases; d++) counted_drops += t.region.ring().dropped(t.region.ring().find_queue(d));
    EXPECT_GE(counted_drops, drops);
    EXPECT_LE(counted_drops, drops + kRounds * kProducers);
    EXPECT_GT(answered, 10'000U);
    EXPECT_GT(recovered, 0U);
    EXPECT_GT(looked, 100U);
    RecordProperty("answered", std::to_string(answered));
    printf("answered %llu, dropped %llu, recovered %llu, torn %llu, looked %llu\n", static_cast<unsigned long long>(answered),
           static_cast<unsigned long long>(drops), static_cast<unsigned long long>(recovered),
           static_cast<unsigned long long>(torn), static_cast<unsigned long long>(looked));
}

// Producers of long records and nothing else, so that many a kill falls between claim and commit.
TEST(ShmemCrash, KillsInTheMiddleOfARecord) {
    struct Counts {
        std::atomic<std::uint64_t> begun[2], answered[2];
    };
    Mapping memory(sizeof(Counts));
    auto& w = *reinterpret_cast<Counts*>(memory.at());
    TestRegion t(small_config(64), 1);
    ASSERT_TRUE(t.region.open_queue(1));
    const std::string scope = text_of(1, kScopeRoom);
    const std::string agent = text_of(2, kAgentRoom);
    std::mt19937 random(7);
    std::uint64_t torn = 0;
    for (unsigned round = 0; round < 120; round++) {
        const std::uint64_t before = t.region.ring().waiting(t.region.ring().find_queue(1));
        std::uint64_t sure = 0;
        std::uint64_t most = 0;
        pid_t pids[2];
        for (unsigned p = 0; p < 2; p++) {
            w.begun[p] = w.answered[p] = 0;
            pids[p] = fork();
            ASSERT_GE(pids[p], 0);
            if (pids[p] != 0) continue;
            const QueueRef queue = t.region.ring().find_queue(1);
            Event e;
            e.texts[kScope] = scope;
            e.texts[kAgent] = agent;
            while (w.begun[p]++, t.region.record(queue, e).status == PublishStatus::ok) w.answered[p]++;
            _exit(0);
        }
        while (w.answered[0] + w.answered[1] < 5) sched_yield();
        sleep_us(static_cast<long>(random() % 100));
        for (const pid_t pid : pids) kill(pid, SIGKILL);
        for (const pid_t pid : pids) waitpid(pid, nullptr, 0);
        for (unsigned p = 0; p < 2; p++) {
            sure += w.answered[p];
            most += w.begun[p];
        }
        const Recovered found = t.restart(2 + round);
        ASSERT_GE(found.events, before + sure);
        ASSERT_LE(found.events + found.torn, before + most);
        const QueueRef queue = t.region.ring().find_queue(1);
        RingReader reader(t.region.ring(), queue);
        StoredEvent e;
        std::uint64_t n = 0;
        for (ReadStatus s = reader.next(e); s != ReadStatus::empty; s = reader.next(e)) {
            ASSERT_NE(s, ReadStatus::in_progress);
            if (s != ReadStatus::event) continue;
            n++;
            ASSERT_TRUE(e.event.texts[kScope] == scope && e.event.texts[kAgent] == agent);
        }
        ASSERT_EQ(n, found.events);
        if (round % 4 == 0 || t.region.ring().free_segments() < 32) t.region.ring().free_to(queue, reader.position());
        torn += found.torn;
    }
    printf("torn %llu\n", static_cast<unsigned long long>(torn));
    EXPECT_EQ(t.region.ring().torn(t.region.ring().find_queue(1)), torn);
}

// The file outlives every process that had it mapped, and is read at another address.
TEST(ShmemCrash, TheFileHoldsWhatAKilledProcessPublished) {
    char path[] = "/tmp/mirox_shmem_XXXXXX";
    const int fd = mkstemp(path);
    ASSERT_GE(fd, 0);
    unlink(path);
    const Config config = small_config();
    const std::size_t size = region_bytes(config);
    ASSERT_EQ(posix_fallocate(fd, 0, static_cast<off_t>(size)), 0);
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
        void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) _exit(1);
        Region region = Region::initialise(static_cast<std::byte*>(at), config, 5);
        const QueueRef queue = region.open_queue(1);
        for (std::uint64_t i = 0; i < 1000; i++) region.record(queue, Made(i).event);
        const std::uint8_t host[4] = {192, 0, 2, 1};
        refuse(region, 1, 1, host, 2);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status));
    Mapping elsewhere(4096);
    void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ASSERT_NE(at, MAP_FAILED);
    Region region;
    Recovered found;
    ASSERT_EQ(Region::attach(static_cast<std::byte*>(at), size, 6, region, found), AttachStatus::ok);
    EXPECT_EQ(found.events, 1000U);
    RingReader reader(region.ring(), region.ring().find_queue(1));
    StoredEvent e;
    for (std::uint64_t i = 0; i < 1000; i++) {
        ASSERT_EQ(reader.next(e), ReadStatus::event);
        ASSERT_TRUE(same(e.event, Made(i).event));
        ASSERT_EQ(e.ring_id, 5U);
    }
    EXPECT_EQ(region.unauthenticated().used(), 1U);
    munmap(at, size);
    close(fd);
}

}  // namespace
}  // namespace mirox::test
