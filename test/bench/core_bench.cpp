// What the rules of src/core cost, function by function. No server: links the core, OpenSSL, libdeflate, utf8proc
// and Google Benchmark. Not a test: it prints, nothing passes or fails by it.
#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/crypto.hpp"
#include "core/scopes.hpp"
#include "core/secret.hpp"
#include "core/text.hpp"

namespace {

using namespace mirox::core;

PrefixList prefixes(std::string_view list) {
    PrefixList out;
    if (!parse_prefix_list(list, out)) {
        std::abort();
    }
    return out;
}

std::string token() {
    std::array<char, kSecretRandomChars> random;
    if (!random_base62(random)) {
        std::abort();
    }
    std::array<char, kMaxSecretChars> out;
    return {out.data(), format_secret(SecretKind::token, prefixes("mirox"), random, out)};
}

std::vector<std::byte> encoded(const std::vector<std::string>& texts) {
    std::vector<Scope> scopes(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (parse_scope(texts[i], scopes[i]) != ScopeStatus::ok) {
            std::abort();
        }
    }
    scopes.resize(normalise(scopes));
    std::vector<std::byte> bytes(encoded_size(scopes));
    encode(scopes, bytes);
    return bytes;
}

// A platform's features, as an owner may hold them.
std::vector<std::string> features(std::size_t n) {
    static constexpr const char* kNames[] = {"alarms:read",       "assets.turbines:read", "dashboards", "exports:generate",
                                             "parks.berlin:read", "parks.hamburg:write",  "reports",    "timeseries:read"};
    std::vector<std::string> out;
    for (std::size_t i = 0; i < n; ++i) {
        std::string one = kNames[i % 8];
        if (i >= 8) {
            one.insert(one.find_first_of(".:") == std::string::npos ? one.size() : one.find_first_of(".:"), std::to_string(i));
        }
        out.push_back(one);
    }
    return out;
}

Scope scope(std::string_view text) {
    Scope out;
    if (parse_scope(text, out) != ScopeStatus::ok) {
        std::abort();
    }
    return out;
}

void BM_classify_secret(benchmark::State& state) {
    const std::string secret = token();
    const PrefixList list = prefixes("mirox,acme,old1");
    for (auto _ : state) {
        benchmark::DoNotOptimize(secret.data());
        benchmark::DoNotOptimize(classify_secret(secret, list));
    }
}
BENCHMARK(BM_classify_secret);

void BM_classify_not_ours(benchmark::State& state) {
    const std::string secret(static_cast<std::size_t>(state.range(0)), 'x');
    const PrefixList list = prefixes("mirox,acme,old1");
    for (auto _ : state) {
        benchmark::DoNotOptimize(secret.data());
        benchmark::DoNotOptimize(classify_secret(secret, list));
    }
}
BENCHMARK(BM_classify_not_ours)->Arg(55)->Arg(1 << 20);

void BM_sha256_secret(benchmark::State& state) {
    const std::string secret = token();
    Digest digest;
    for (auto _ : state) {
        benchmark::DoNotOptimize(sha256(secret, digest));
        benchmark::DoNotOptimize(digest);
    }
}
BENCHMARK(BM_sha256_secret);

void BM_hmac_digest(benchmark::State& state) {
    const std::array<std::uint8_t, 32> key{1, 2, 3};
    const std::string message(32, 'd');
    Digest digest;
    for (auto _ : state) {
        benchmark::DoNotOptimize(hmac_sha256(key, message, digest));
        benchmark::DoNotOptimize(digest);
    }
}
BENCHMARK(BM_hmac_digest);

void BM_random_base62(benchmark::State& state) {
    std::array<char, kSecretRandomChars> out;
    for (auto _ : state) {
        benchmark::DoNotOptimize(random_base62(out));
    }
}
BENCHMARK(BM_random_base62);

void BM_equal_constant_time(benchmark::State& state) {
    const Digest a{1};
    const Digest b{1};
    for (auto _ : state) {
        benchmark::DoNotOptimize(equal_constant_time(a, b));
    }
}
BENCHMARK(BM_equal_constant_time);

void BM_set_covers_hit(benchmark::State& state) {
    const auto bytes = encoded(features(static_cast<std::size_t>(state.range(0))));
    const ScopeSet set(bytes);
    const Scope wanted = scope("timeseries.berlin.turbine_7:read");  // the last of the set
    for (auto _ : state) {
        benchmark::DoNotOptimize(bytes.data());
        benchmark::DoNotOptimize(set.covers(wanted));
    }
}
BENCHMARK(BM_set_covers_hit)->Arg(1)->Arg(8)->Arg(20)->Arg(256);

void BM_set_covers_miss(benchmark::State& state) {
    const auto bytes = encoded(features(static_cast<std::size_t>(state.range(0))));
    const ScopeSet set(bytes);
    const Scope wanted = scope("parks.berlin.turbine_7:write");
    for (auto _ : state) {
        benchmark::DoNotOptimize(bytes.data());
        benchmark::DoNotOptimize(set.covers(wanted));
    }
}
BENCHMARK(BM_set_covers_miss)->Arg(1)->Arg(8)->Arg(20)->Arg(256);

void BM_parse_scope(benchmark::State& state) {
    const std::string text = "parks.berlin.turbine_7:read";
    for (auto _ : state) {
        benchmark::DoNotOptimize(text.data());
        benchmark::DoNotOptimize(scope(text));
    }
}
BENCHMARK(BM_parse_scope);

void BM_intersect_sets(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const auto a = encoded(features(n));
    const auto b = encoded({"parks", "reports:generate", "timeseries:read"});
    std::vector<Scope> work(n * 3);
    for (auto _ : state) {
        benchmark::DoNotOptimize(intersect(ScopeSet(a), ScopeSet(b), work));
    }
}
BENCHMARK(BM_intersect_sets)->Arg(8)->Arg(20)->Arg(256);

// The worst that two full sets can do: every pair meets, at every depth and with every action.
void BM_intersect_worst(benchmark::State& state) {
    std::vector<std::string> deep;
    std::vector<std::string> acting;
    for (std::size_t i = 0; i < kMaxScopes; ++i) {
        std::string text = "r";
        for (std::size_t k = 0; k < i % (kMaxScopeSegments - 1); ++k) {
            text += ".s" + std::to_string(k);
        }
        deep.push_back(text + ".leaf" + std::to_string(i));
        acting.push_back("r:a" + std::to_string(i));
    }
    const auto a = encoded(deep);
    const auto b = encoded(acting);
    std::vector<Scope> work(kMaxScopes * kMaxScopes);
    for (auto _ : state) {
        benchmark::DoNotOptimize(intersect(ScopeSet(a), ScopeSet(b), work));
    }
}
BENCHMARK(BM_intersect_worst)->Unit(benchmark::kMillisecond);

// As many scopes as an intersection can have, as deep as they go, with strangers at every depth so that no
// look-up of an ancestor can be left out.
void BM_normalise_worst(benchmark::State& state) {
    std::vector<std::string> texts;
    std::string decoy = "q";
    for (std::size_t k = 0; k < kMaxScopeSegments; ++k) {
        texts.push_back(decoy + ".plain");
        texts.push_back(decoy + ".acting:a");
        decoy += ".q";
    }
    texts.resize(2 * (kMaxScopeSegments - 1));
    texts.insert(texts.end(), {"qq", "qr:a"});
    while (texts.size() < kMaxScopes * kMaxScopes) {
        std::string text = "r";
        for (std::size_t k = 2; k < kMaxScopeSegments; ++k) {
            text += ".segment";
        }
        texts.push_back(text + "." + std::to_string(texts.size() * 7919 % 65537) + ":a");
    }
    std::vector<Scope> scopes(texts.size());
    std::vector<Scope> work;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        scopes[i] = scope(texts[i]);
    }
    for (auto _ : state) {
        state.PauseTiming();
        work = scopes;
        state.ResumeTiming();
        benchmark::DoNotOptimize(normalise(work));
    }
}
BENCHMARK(BM_normalise_worst)->Unit(benchmark::kMillisecond);

void BM_crc32(benchmark::State& state) {
    const std::string secret = token();
    for (auto _ : state) {
        benchmark::DoNotOptimize(crc32(secret));
    }
}
BENCHMARK(BM_crc32);

void BM_normalise_name(benchmark::State& state) {
    static constexpr std::string_view kNames[] = {
        "nightly export, park Berlin",
        "  Cafe\xCC\x81 au lait \xE2\x80\x93 No\xCC\x88rdlich  ",
        "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB\xE1\x84\x80\xE1\x85\xB3\xE1\x86\xAF",
    };
    const std::string_view name = kNames[state.range(0)];
    std::array<char, kMaxNameBytes> out;
    std::size_t size;
    for (auto _ : state) {
        benchmark::DoNotOptimize(name.data());
        benchmark::DoNotOptimize(normalise_name(name, out, size));
    }
}
BENCHMARK(BM_normalise_name)->DenseRange(0, 2);

void BM_normalise_name_hostile(benchmark::State& state) {
    std::string name = "a";
    for (int i = 0; i < 399; ++i) {
        name += i % 2 == 0 ? "\xCC\x81" : "\xCC\xA7";  // classes 230 and 202, to be put in order
    }
    std::array<char, kMaxNameBytes> out;
    std::size_t size;
    for (auto _ : state) {
        benchmark::DoNotOptimize(name.data());
        benchmark::DoNotOptimize(normalise_name(name, out, size));
    }
}
BENCHMARK(BM_normalise_name_hostile);

void BM_clean_user_agent(benchmark::State& state) {
    const std::string agent =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
        "Safari/537.36";
    std::array<char, kMaxUserAgentBytes> out;
    for (auto _ : state) {
        benchmark::DoNotOptimize(agent.data());
        benchmark::DoNotOptimize(clean_user_agent(agent, out));
    }
}
BENCHMARK(BM_clean_user_agent);

}  // namespace

BENCHMARK_MAIN();
