// Hints: what is put is found; who takes whose place; what is not kept; and that neither word is ever a mixture.
#include <signal.h>

#include <array>
#include <random>
#include <thread>

#include "shmem/core_hints.hpp"
#include "shmem_support.hpp"

namespace mirox::test {
namespace {

struct TestHints {
    explicit TestHints(std::uint32_t digests)
        : mapping(Hints::bytes(digests)), hints(Hints::initialise(mapping.at(), digests)) {}
    Mapping mapping;
    Hints hints;
};

// A key by what the hints make of it: the low bits choose the set, the top 48 tell the digests of a set apart. (The sets of these
// tests are chosen by fewer than 16 bits.)
constexpr std::uint64_t key_of(std::uint64_t tag, std::uint64_t set = 0) {
    return tag << 16 | set;
}

// The hint's three numbers, or nothing.
std::vector<std::uint32_t> found(const Hints& hints, std::uint64_t key) {
    Hint h;
    if (!hints.find(key, h)) return {};
    return {h.buffer, h.block, h.item};
}

std::vector<std::uint32_t> numbers(std::uint32_t buffer, std::uint32_t block, std::uint32_t item) {
    return {buffer, block, item};
}

TEST(ShmemHints, Sizes) {
    // A line of four places for each two digests, in a power of two of lines, and one line at least.
    EXPECT_EQ(Hints::bytes(0), 0U);
    EXPECT_EQ(Hints::bytes(1), 64U);
    EXPECT_EQ(Hints::bytes(2), 64U);
    EXPECT_EQ(Hints::bytes(3), 64U);
    EXPECT_EQ(Hints::bytes(4), 128U);
    EXPECT_EQ(Hints::bytes(6), 256U);
    EXPECT_EQ(Hints::bytes(100), 4096U);  // 50 lines are 64
    EXPECT_EQ(Hints::bytes(1U << 20), std::size_t{32} << 20);
    EXPECT_EQ(Hints::bytes(1U << 28), std::size_t{8} << 30);
}

TEST(ShmemHints, NoneAreKeptWithoutRoom) {
    std::byte nothing[1];
    Hints hints = Hints::initialise(nothing, 0);
    hints.put(key_of(3, 5), {17, 8, 42});
    EXPECT_TRUE(found(hints, key_of(3, 5)).empty());
}

TEST(ShmemHints, NothingIsFoundBeforeItIsPut) {
    TestHints t(64);
    for (std::uint64_t tag = 0; tag < 16; tag++)
        for (std::uint64_t set = 0; set < 16; set++) EXPECT_TRUE(found(t.hints, key_of(tag, set)).empty());
}

TEST(ShmemHints, WhatIsPutIsFound) {
    TestHints t(64);
    t.hints.put(key_of(3, 5), {17, 8128, 42});
    EXPECT_EQ(found(t.hints, key_of(3, 5)), numbers(17, 8128, 42));
    EXPECT_TRUE(found(t.hints, key_of(4, 5)).empty());  // another digest of the set
    EXPECT_TRUE(found(t.hints, key_of(3, 6)).empty());  // another set
    // Another view of the same memory, as another process has it.
    EXPECT_EQ(found(Hints::view(t.mapping.at(), 64), key_of(3, 5)), numbers(17, 8128, 42));
    // A server that starts knows nothing.
    const Hints again = Hints::initialise(t.mapping.at(), 64);
    EXPECT_TRUE(found(again, key_of(3, 5)).empty());
}

TEST(ShmemHints, AllNumbersOfTheServersAreKept) {
    TestHints t(64);
    t.hints.put(key_of(9, 1), {0x7FFF'FFFF, 0xFFFF'FFFE, 0xFFFF});
    EXPECT_EQ(found(t.hints, key_of(9, 1)), numbers(2'147'483'647, 4'294'967'294, 65'535));
    t.hints.put(key_of(0, 1), {1, 0, 1});  // a tag of 0 is one like any other
    EXPECT_EQ(found(t.hints, key_of(0, 1)), numbers(1, 0, 1));
    // What names no buffer or no item is not kept, and leaves what was there.
    for (const Hint& none : {Hint{0, 1, 1}, Hint{1, 1, 0}, Hint{}}) {
        t.hints.put(key_of(2, 1), none);
        EXPECT_TRUE(found(t.hints, key_of(2, 1)).empty());
        t.hints.put(key_of(0, 1), none);
        EXPECT_EQ(found(t.hints, key_of(0, 1)), numbers(1, 0, 1));
    }
}

TEST(ShmemHints, TheSameDigestsIsReplaced) {
    TestHints t(2);  // one set
    for (std::uint64_t tag = 1; tag <= 4; tag++) t.hints.put(key_of(tag), {1, 1, 1});
    for (std::uint32_t round = 1; round <= 100; round++) {
        for (std::uint64_t tag = 1; tag <= 4; tag++)
            t.hints.put(key_of(tag), {round, round * 3, static_cast<std::uint16_t>(tag)});
        for (std::uint64_t tag = 1; tag <= 4; tag++)
            ASSERT_EQ(found(t.hints, key_of(tag)),
                      numbers(round, round * 3, static_cast<std::uint32_t>(tag)));
    }
}

TEST(ShmemHints, FourInASetAndTheFifthTakesThePlaceOfOne) {
    // Each of the four is given up now and then, or one place would be fought for while three lie still.
    std::array<unsigned, 5> given_up{};
    for (std::uint32_t buffer = 1; buffer <= 400; buffer++) {
        TestHints t(8);  // four sets
        for (std::uint64_t set = 0; set < 4; set++)
            for (std::uint64_t tag = 1; tag <= 4; tag++) t.hints.put(key_of(tag, set), {1000, 128, 7});
        t.hints.put(key_of(9, 2), {buffer, 192, 8});
        ASSERT_EQ(found(t.hints, key_of(9, 2)), numbers(buffer, 192, 8));
        unsigned lost = 0;
        for (std::uint64_t tag = 1; tag <= 4; tag++)
            if (found(t.hints, key_of(tag, 2)).empty()) {
                lost++;
                given_up[tag]++;
            }
        ASSERT_EQ(lost, 1U);
        for (const std::uint64_t set : {0, 1, 3})
            for (std::uint64_t tag = 1; tag <= 4; tag++)
                ASSERT_EQ(found(t.hints, key_of(tag, set)), numbers(1000, 128, 7));
    }
    // 400 in four: 100 each; five standard deviations (8.7) either way.
    for (std::uint64_t tag = 1; tag <= 4; tag++) {
        EXPECT_GT(given_up[tag], 56U) << tag;
        EXPECT_LT(given_up[tag], 144U) << tag;
    }
}

TEST(ShmemHints, ManyDigests) {
    constexpr std::uint32_t kDigests = 4096;
    TestHints t(kDigests);
    std::mt19937_64 random(4096);
    std::vector<std::uint64_t> keys(kDigests);
    for (std::uint32_t i = 0; i < kDigests; i++) {
        keys[i] = random();
        t.hints.put(keys[i], {i + 1, i * 2, static_cast<std::uint16_t>(1 + i % 200)});
    }
    std::uint32_t kept = 0;
    for (std::uint32_t i = 0; i < kDigests; i++)
        if (found(t.hints, keys[i]) == numbers(i + 1, i * 2, 1 + i % 200)) kept++;
    // Of two digests a line on average more than four meet in 5 % of lines (Poisson): what is lost is 4 % at most.
    EXPECT_GT(kept, kDigests / 100 * 95);
}

// Every word that is ever put tells whose it is and is whole; a hint's two words may be of two puts, which the reader of the row
// finds out.
constexpr unsigned kWriters = 3;
constexpr unsigned kRivals = 12;  // three for each place of the one set

Hint hint_of(std::uint64_t tag, std::uint32_t n) {
    return {n + 1, (n + 1) * 7 + 3, static_cast<std::uint16_t>(tag + kRivals * (n % 1000))};
}

bool is_whole(std::uint64_t tag, const Hint& hint) {
    return hint.block == hint.buffer * 7 + 3 && hint.item % kRivals == tag % kRivals;
}

// Puts and finds all of them; the number of finds that gave a hint, or the lot when a word was a mixture.
std::uint64_t put_and_find(Hints hints, unsigned seed, unsigned steps) {
    std::mt19937 random(seed);
    std::uint64_t finds = 0;
    for (unsigned i = 0; i < steps; i++) {
        const std::uint64_t tag = 1 + random() % kRivals;
        if (random() % 4 == 0) hints.put(key_of(tag), hint_of(tag, random() % 1'000'000));
        Hint got;
        if (!hints.find(key_of(tag), got)) continue;
        finds++;
        if (!is_whole(tag, got)) return ~std::uint64_t{0};
    }
    return finds;
}

TEST(ShmemHints, ThreadsNeverSeeAMixtureInAWord) {
    TestHints t(2);
    std::array<std::uint64_t, kWriters> finds{};
    std::vector<std::thread> threads;
    for (unsigned n = 0; n < kWriters; n++)
        threads.emplace_back([&, n] { finds[n] = put_and_find(t.hints, n, 200'000); });
    for (std::thread& thread : threads) thread.join();
    for (const std::uint64_t n : finds) {
        EXPECT_NE(n, ~std::uint64_t{0});
        EXPECT_GT(n, 10'000U);
    }
}

// Killed at any instruction they leave no word half written.
TEST(ShmemHints, ProcessesThatAreKilledLeaveNoMixture) {
    TestHints t(2);
    for (unsigned round = 0; round < 20; round++) {
        pid_t pids[kWriters];
        for (unsigned n = 0; n < kWriters; n++) {
            pids[n] = fork();
            ASSERT_GE(pids[n], 0);
            if (pids[n] != 0) continue;
            for (unsigned i = 0;; i++)
                if (put_and_find(t.hints, 1000 * round + n + i * 7919, 1000) == ~std::uint64_t{0}) _exit(1);
        }
        const std::uint64_t finds = put_and_find(t.hints, round, 5000);
        EXPECT_NE(finds, ~std::uint64_t{0});
        for (const pid_t pid : pids) kill(pid, SIGKILL);
        for (const pid_t pid : pids) {
            int status = 0;
            ASSERT_EQ(waitpid(pid, &status, 0), pid);
            EXPECT_TRUE(WIFSIGNALED(status)) << "a mixture was found";
        }
        for (std::uint64_t tag = 1; tag <= kRivals; tag++) {
            Hint got;
            if (t.hints.find(key_of(tag), got)) {
                EXPECT_TRUE(is_whole(tag, got));
            }
        }
    }
}

}  // namespace
}  // namespace mirox::test
