// Google Benchmark: what a request costs in the core before any table is read.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "core/authorization.hpp"
#include "core/client_address.hpp"
#include "core/endpoint.hpp"
#include "core/jwt.hpp"
#include "core/path.hpp"
#include "core/rate_limit.hpp"

namespace {

using namespace mirox::core;

void parse_bearer(benchmark::State& state) {
    const std::string value = "Bearer mirox_" + std::string(49, 'a');
    for (auto _ : state) benchmark::DoNotOptimize(parse_authorization(value));
}
BENCHMARK(parse_bearer);

void plain_path(benchmark::State& state) {
    const std::string_view targets[] = {"/api/v1/parks/berlin/turbines/7?limit=10",
                                        "/api//v1/./parks/%62erlin/x/../turbines;v=1/7/?limit=10"};
    const std::string_view target = targets[state.range(0)];
    std::array<char, kMaxPathBytes> out;
    std::size_t size = 0;
    for (auto _ : state) benchmark::DoNotOptimize(normalise_path(target, out, size));
}
BENCHMARK(plain_path)->Arg(0)->Arg(1);

void match_endpoint(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    std::vector<std::string> paths;
    for (std::size_t i = 0; i < count; ++i) {
        paths.push_back("/api/v" + std::to_string(i % 3) + "/resource_" + std::to_string(i / 3) +
                        (i % 4 == 0   ? "/*/items/**"
                         : i % 4 == 1 ? "/*/items"
                         : i % 4 == 2 ? "/**"
                                      : "/items/*"));
    }
    std::vector<Endpoint> rules;
    for (const std::string& path : paths) rules.push_back({rules.size() % 2 ? "GET" : "*", path, "parks:read"});
    std::vector<std::byte> memory(EndpointMatcher::compiled_size(rules));
    EndpointMatcher matcher;
    if (EndpointMatcher::compile(rules, memory, matcher) != EndpointStatus::ok) state.SkipWithError("compile");
    std::vector<std::string> asked;
    for (std::size_t i = 0; i < 64; ++i)
        asked.push_back("/api/v" + std::to_string(i % 3) + "/resource_" + std::to_string(i * 5 % (count / 3 + 1)) +
                        "/turbine_7/items/" + std::to_string(i));
    std::size_t at = 0;
    for (auto _ : state) benchmark::DoNotOptimize(matcher.match("GET", asked[at++ % asked.size()]));
}
BENCHMARK(match_endpoint)->Arg(10)->Arg(100)->Arg(1000)->Arg(10000);

void find_client(benchmark::State& state) {
    constexpr std::uint8_t kTen[4] = {10}, kLocal[16] = {0xfd};
    const std::array<Address, 2> trusted = {make_address(kTen, 8), make_address(kLocal, 8)};
    Address peer;
    if (!parse_address("10.0.0.1", peer)) state.SkipWithError("address");
    std::string header = "203.0.113.9, 10.1.1.1";
    if (state.range(0) == 1) {
        header.clear();
        while (header.size() < 65536) header += "10.1.1.1,";
    }
    for (auto _ : state) benchmark::DoNotOptimize(client_address(header, peer, trusted));
}
BENCHMARK(find_client)->Arg(0)->Arg(1);

std::atomic<std::uint64_t> shared_word{0};
std::atomic<std::int64_t> shared_clock{817'000'000'000'000};

void draw_shared(benchmark::State& state) {
    std::int64_t now = shared_clock.load();
    for (auto _ : state) benchmark::DoNotOptimize(draw(shared_word, ++now, 60'000'000, 60));
}
BENCHMARK(draw_shared)->Threads(1)->Threads(2);

void jwt(benchmark::State& state) {
    const std::vector<std::uint8_t> bytes(32, 7);
    const JwtKey keys[] = {{"k1", bytes}};
    const JwtClaims claims{"mirox", "user-42", "9007199254740993", 1700000000, 1731536000, "reporting"};
    std::array<char, kMaxJwtChars> token;
    std::size_t size = 0;
    if (!write_jwt(keys[0], claims, token, size)) state.SkipWithError("write");
    for (auto _ : state) {
        const bool good = state.range(0) == 0 ? verify_jwt({token.data(), size}, keys) : write_jwt(keys[0], claims, token, size);
        if (!good) state.SkipWithError("jwt");
    }
}
BENCHMARK(jwt)->Arg(0)->Arg(1);

}  // namespace

BENCHMARK_MAIN();
