// What a use costs in shared memory: publishing, counting, limit words and unauthenticated callers; alone, and by processes
// that share the region as backends do (fork, one mapping).
//
// Build: make -f test/bench/bench.mk
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include <memory>
#include <vector>

#include "shmem/core_limits.hpp"
#include "shmem/core_region.hpp"

namespace {

using namespace mirox::shmem;

const std::string kSomeAgent(120, 'm');

struct Shared {
    Shared() {
        const Config config = Config::fit(64U << 20, 8, 4096, 16384);
        size = region_bytes(config);
        at = static_cast<std::byte*>(
            mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
        if (at == MAP_FAILED) abort();
        region = Region::initialise(at, config, 1);
        queue = region.open_queue(1);
    }
    ~Shared() { munmap(at, size); }
    void drain() {
        RingReader reader(region.ring(), queue);
        StoredEvent e;
        while (reader.next(e) == ReadStatus::event) benchmark::DoNotOptimize(e);
        region.ring().free_to(queue, reader.position());
    }
    std::size_t size;
    std::byte* at;
    Region region;
    QueueRef queue;
};

Event event_of(std::int64_t token, Micros at, std::string_view agent) {
    Event e;
    e.holder = token;
    e.at = at;
    e.status = 200;
    e.texts[kScope] = "parks:read";
    e.texts[kAgent] = agent;
    e.address = {mirox::core::AddressFamily::ipv4, 32, {}};
    return e;
}

// Publishes into a ring that is emptied, off the clock, when it is full.
template <typename Step>
void publish_loop(benchmark::State& state, Step&& step) {
    Shared s;
    std::int64_t n = 0;
    for (auto _ : state) {
        if (step(s, ++n).status == PublishStatus::ok) continue;
        state.PauseTiming();
        s.drain();
        state.ResumeTiming();
    }
}

void publish_short(benchmark::State& state) {
    publish_loop(state, [](Shared& s, std::int64_t n) { return s.region.ring().publish(s.queue, event_of(1, n, "")); });
}
BENCHMARK(publish_short);

void publish_with_agent(benchmark::State& state) {
    publish_loop(state, [](Shared& s, std::int64_t n) { return s.region.ring().publish(s.queue, event_of(1, n, kSomeAgent)); });
}
BENCHMARK(publish_with_agent);

void record_one_token(benchmark::State& state) {
    publish_loop(state, [](Shared& s, std::int64_t n) { return s.region.record(s.queue, event_of(1, n, kSomeAgent)); });
}
BENCHMARK(record_one_token);

void record_ten_thousand_tokens(benchmark::State& state) {
    publish_loop(state, [](Shared& s, std::int64_t n) {
        return s.region.record(s.queue, event_of(1 + n * 7919 % 10'000, n, kSomeAgent));
    });
}
BENCHMARK(record_ten_thousand_tokens);

void count_only(benchmark::State& state) {
    Shared s;
    Micros at = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(s.region.counters().count({1, 0, 1}, event_of(1, ++at, kSomeAgent), s.region.ring()));
}
BENCHMARK(count_only);

bool never(std::uint64_t, Micros) noexcept {
    return false;
}

void limit_word(benchmark::State& state) {
    std::vector<std::byte> memory(Limits::bytes(16384) + kCacheLine);
    void* at = memory.data();
    std::size_t room = memory.size();
    Limits limits = Limits::initialise(static_cast<std::byte*>(std::align(kCacheLine, Limits::bytes(16384), at, room)), 16384);
    for (auto _ : state) limits.use(1, 5, 1, never, [](std::atomic<std::uint64_t>& w) { w.fetch_add(1); });
}
BENCHMARK(limit_word);

void unauthenticated_same_prefix(benchmark::State& state) {
    Shared s;
    Event e = event_of(0, 1, "");
    for (auto _ : state) s.region.count_unauthenticated(1, e);
}
BENCHMARK(unauthenticated_same_prefix);

void unauthenticated_flood(benchmark::State& state) {
    Shared s;
    std::uint64_t n = 0;
    for (auto _ : state) {
        n++;
        Event e = event_of(0, 1, "");
        e.address = {mirox::core::AddressFamily::ipv6, 128, {0x20, 1}};
        std::memcpy(e.address.bytes.data() + 2, &n, 8);
        s.region.count_unauthenticated(1, e);
    }
}
BENCHMARK(unauthenticated_flood);

void drain_event(benchmark::State& state) {
    Shared s;
    std::uint64_t n = 0;
    while (s.region.ring().publish(s.queue, event_of(1, 1, kSomeAgent)).status == PublishStatus::ok) n++;
    for (auto _ : state) {
        RingReader reader(s.region.ring(), s.queue);
        StoredEvent e;
        while (reader.next(e) == ReadStatus::event) benchmark::DoNotOptimize(e);
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * n));
}
BENCHMARK(drain_event);

double now_s() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// `processes` processes do `each` steps at once; prints the whole throughput.
template <typename Step>
void processes(const char* what, unsigned processes, std::uint64_t each, Step&& step) {
    Shared s;
    struct Gate {
        std::atomic<unsigned> ready, open;
    };
    auto* const gate =
        static_cast<Gate*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
    for (unsigned p = 0; p < processes; p++) {
        const pid_t pid = fork();
        if (pid == 0) {
            // A child has no pages of the mapping yet; as in a backend that has been at work, they come
            // first.
            for (std::size_t i = 0; i < s.size; i += 4096) reinterpret_cast<std::atomic<std::uint64_t>*>(s.at + i)->fetch_or(0);
            gate->ready++;
            while (gate->open == 0) mirox::shmem::pause();
            for (std::uint64_t i = 0; i < each; i++) step(s, p, i);
            _exit(0);
        }
    }
    while (gate->ready < processes) mirox::shmem::pause();
    const double start = now_s();
    gate->open = 1;
    while (wait(nullptr) > 0) {
    }
    const double seconds = now_s() - start;
    printf("%-44s %u processes  %7.2f M/s  %6.1f ns a step and process at work\n", what, processes,
           static_cast<double>(processes * each) / seconds / 1e6,
           seconds * 1e9 * static_cast<double>(processes < 2 ? 1 : 2) / static_cast<double>(processes * each));
}

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    // No drain: as many events as the ring holds.
    for (const unsigned p : {1U, 2U})
        processes("publish, agent of 120 bytes", p, 200'000 / p, [](Shared& s, unsigned, std::uint64_t i) {
            s.region.ring().publish(s.queue, event_of(1, static_cast<Micros>(i), kSomeAgent));
        });
    for (const unsigned p : {1U, 2U, 8U}) {
        processes("count, all on one token", p, 4'000'000 / p, [](Shared& s, unsigned, std::uint64_t i) {
            s.region.counters().count({1, 0, 1}, event_of(1, static_cast<Micros>(i), kSomeAgent), s.region.ring());
        });
        processes("count, a token each", p, 4'000'000 / p, [](Shared& s, unsigned me, std::uint64_t i) {
            s.region.counters().count({1, 0, me}, event_of(1, static_cast<Micros>(i), kSomeAgent), s.region.ring());
        });
    }
    return 0;
}
