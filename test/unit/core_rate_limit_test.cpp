// The rate limit: hand-worked tables of the algorithm, its bound over generated arrivals, changes of a limit,
// clocks, and threads on one word.
#include "core/rate_limit.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <thread>
#include <vector>

namespace {

using namespace mirox::core;

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kStart = 817'000'000 * kSecond;

struct Account {
    std::uint64_t word = 0;
    Decision last{};

    bool ask(std::int64_t now, std::int64_t limit, std::int64_t burst) {
        last = decide(word, now, limit, burst);
        word = last.new_word;
        return last.admitted;
    }
    int ask_many(int times, std::int64_t now, std::int64_t limit, std::int64_t burst) {
        int admitted = 0;
        for (int i = 0; i < times; ++i) admitted += ask(now, limit, burst) ? 1 : 0;
        return admitted;
    }
};

// T = 1 s, B = 3. Worked by hand on I.371's virtual scheduling: conforming when TAT <= t + 2, then TAT =
// max(t, TAT) + 1.
TEST(RateLimit, HandWorkedTable) {
    const struct {
        std::int64_t at_ms;
        bool admitted;
        std::int64_t retry_ms, remaining, reset_ms;
    } table[] = {
        {0, true, 0, 2, 1000},                                   // TAT 1
        {0, true, 0, 1, 2000},                                   // TAT 2
        {0, true, 0, 0, 3000},                                   // TAT 3
        {0, false, 1000, 0, 3000},                               // 3 > 2
        {999, false, 1, 0, 2001},                                // 3 > 2.999
        {1000, true, 0, 0, 3000},                                // TAT 4
        {1500, false, 500, 0, 2500}, {3500, true, 0, 1, 1500},   // TAT 5
        {3600, true, 0, 0, 2400},                                // TAT 6
        {3600, false, 400, 0, 2400}, {60000, true, 0, 2, 1000},  // idle: TAT 61
    };
    Account account;
    for (const auto& row : table) {
        EXPECT_EQ(account.ask(kStart + row.at_ms * 1000, 60, 3), row.admitted) << row.at_ms;
        EXPECT_EQ(account.last.retry_after_us, row.retry_ms * 1000) << row.at_ms;
        EXPECT_EQ(account.last.remaining, row.remaining) << row.at_ms;
        EXPECT_EQ(account.last.reset_us, row.reset_ms * 1000) << row.at_ms;
    }
}

TEST(RateLimit, SixHundredAMinuteWithABurstOfSixty) {
    Account account;
    EXPECT_EQ(account.ask_many(1000, kStart, 600, 60), 60);
    int admitted = 60;
    for (std::int64_t t = 0; t <= 10 * kSecond; t += 500) admitted += account.ask(kStart + t, 600, 60) ? 1 : 0;
    EXPECT_EQ(admitted, 160);
}

TEST(RateLimit, ARefusedRequestCostsNothing) {
    Account account;
    account.ask_many(60, kStart, 600, 60);
    const std::uint64_t before = account.word;
    EXPECT_EQ(account.ask_many(100000, kStart + 1, 600, 60), 0);
    EXPECT_EQ(account.word, before);
    const std::int64_t retry = account.last.retry_after_us;
    EXPECT_FALSE(account.ask(kStart + 1 + retry - 1, 600, 60));
    EXPECT_TRUE(account.ask(kStart + 1 + retry, 600, 60));
}

// In any window of W at most B + floor(W / T), for every pair of admitted requests.
TEST(RateLimit, NeverMoreThanTheBound) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 200; ++round) {
        const std::int64_t limit = 1 + static_cast<std::int64_t>(random() % (round % 2 ? 100000 : 600));
        const std::int64_t burst = 1 + static_cast<std::int64_t>(random() % 40);
        const double interval = 60e6 / static_cast<double>(limit);
        std::int64_t now = kStart;
        std::int64_t last_retry = 0;
        std::vector<std::int64_t> admitted;
        Account account;
        for (int i = 0; i < 2000; ++i) {
            now += random() % 4 == 0 ? static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(interval * 3 + 1)) : 0;
            const std::int64_t seen = now - static_cast<std::int64_t>(random() % 3);  // clocks of several processes
            if (account.ask(seen, limit, burst)) {
                admitted.push_back(now);
            } else if ((last_retry = account.last.retry_after_us) > 0 && random() % 8 == 0) {
                ASSERT_TRUE(decide(account.word, seen + last_retry, limit, burst).admitted);
                ASSERT_FALSE(decide(account.word, seen + last_retry - 1, limit, burst).admitted);
            }
            ASSERT_LE(account.last.remaining, burst);
        }
        for (std::size_t i = 0; i < admitted.size(); i += 7)
            for (std::size_t j = i; j < admitted.size(); ++j)
                ASSERT_LE(static_cast<double>(j - i + 1),
                          static_cast<double>(burst) + static_cast<double>(admitted[j] - admitted[i] + 2) / interval + 1e-9);
    }
}

// `remaining` is what a flood at the same instant would still get.
TEST(RateLimit, RemainingIsTrue) {
    std::mt19937_64 random(5);
    for (int round = 0; round < 2000; ++round) {
        const std::int64_t limit = 1 + static_cast<std::int64_t>(random() % 5000);
        const std::int64_t burst = 1 + static_cast<std::int64_t>(random() % 30);
        Account account;
        std::int64_t now = kStart;
        for (int i = 0; i < 20; ++i) {
            now += static_cast<std::int64_t>(random() % (120 * kSecond / static_cast<std::uint64_t>(limit)));
            account.ask(now, limit, burst);
        }
        const std::int64_t remaining = account.last.remaining;
        ASSERT_EQ(peek(account.word, now, limit, burst).remaining, remaining);
        ASSERT_EQ(account.ask_many(50, now, limit, burst), remaining);
    }
}

TEST(RateLimit, ALowerLimitKeepsWhatWasUsed) {
    Account account;
    EXPECT_EQ(account.ask_many(100, kStart, 600, 60), 60);
    // The debt of 6 s would be one request of the new limit.
    EXPECT_EQ(account.ask_many(100, kStart, 6, 60), 0);
    EXPECT_NEAR(static_cast<double>(account.last.retry_after_us), 10e6, 1);
    EXPECT_EQ(account.ask_many(100, kStart + 9 * kSecond, 6, 60), 0);
    EXPECT_EQ(account.ask_many(100, kStart + 10 * kSecond, 6, 60), 1);

    Account half;
    half.ask_many(30, kStart, 600, 60);
    EXPECT_NEAR(half.ask_many(100, kStart, 6, 60), 30, 1);
}

TEST(RateLimit, AHigherLimitWorksAtOnce) {
    Account account;
    EXPECT_EQ(account.ask_many(10, kStart, 1, 1), 1);
    EXPECT_EQ(account.last.retry_after_us, 60 * kSecond);
    EXPECT_NEAR(account.ask_many(100, kStart, 600, 60), 59, 1);

    Account full;
    EXPECT_EQ(full.ask_many(100, kStart, 6, 60), 60);
    EXPECT_EQ(full.ask_many(100, kStart, 600, 60), 0);
    EXPECT_LE(full.last.retry_after_us, 100'000);
    EXPECT_EQ(full.ask_many(100, kStart + kSecond, 600, 60), 10);
}

TEST(RateLimit, ABurstChangesAtOnce) {
    Account account;
    EXPECT_EQ(account.ask_many(100, kStart, 600, 10), 10);
    EXPECT_EQ(account.ask_many(100, kStart, 600, 60), 50);
    EXPECT_EQ(account.ask_many(100, kStart, 600, 10), 0);
    EXPECT_EQ(account.ask_many(100, kStart + 6 * kSecond, 600, 10), 10);
}

// Two views of one account's limit give no more than the looser one alone.
TEST(RateLimit, FlippingLimitsGivesNothing) {
    Account account;
    int admitted = 0;
    for (int i = 0; i < 10000; ++i) admitted += account.ask(kStart, i % 2 ? 6 : 600, 60) ? 1 : 0;
    EXPECT_LE(admitted, 60);
    EXPECT_GE(admitted, 30);
}

TEST(RateLimit, NobodyAndExtremes) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
    for (const std::int64_t limit : {std::int64_t{0}, std::int64_t{-1}, kLeast}) {
        const Decision none = decide(0, kStart, limit, 60);
        EXPECT_FALSE(none.admitted);
        EXPECT_EQ(none.remaining, 0);
        EXPECT_EQ(none.retry_after_us, kNobodyRetryAfter);
        EXPECT_EQ(none.new_word, 0u);
    }
    Account one;
    EXPECT_EQ(one.ask_many(5, kStart, 60, 0), 1);
    Account least;
    EXPECT_EQ(least.ask_many(5, kStart, 60, kLeast), 1);
    Account most;
    EXPECT_TRUE(most.ask(kStart, kMost, kMost));
    EXPECT_EQ(most.last.remaining, kMaxBurst - 1);
    for (const std::uint64_t word : {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{0xfff}})
        for (const std::int64_t now : {kLeast, std::int64_t{-1}, std::int64_t{0}, kStart, kMost})
            for (const std::int64_t limit : {std::int64_t{1}, std::int64_t{600}, kMost})
                for (const std::int64_t burst : {kLeast, std::int64_t{1}, kMost}) {
                    const Decision d = decide(word, now, limit, burst);
                    EXPECT_GE(d.retry_after_us, d.admitted ? 0 : 1);
                    EXPECT_GE(d.remaining, 0);
                    EXPECT_GE(d.reset_us, 0);
                    (void)decide(d.new_word, now, limit, burst);
                }
}

TEST(RateLimit, ClocksPutBack) {
    Account account;
    account.ask_many(100, kStart, 600, 60);
    // By less than the slack: the wait is as much longer, and nothing is given away.
    EXPECT_EQ(account.ask_many(100, kStart - 500'000, 600, 60), 0);
    EXPECT_EQ(account.last.retry_after_us, 600'000);
    // By an hour: on at the rate, from a full debt.
    const std::int64_t back = kStart - 3600 * kSecond;
    EXPECT_EQ(account.ask_many(100, back, 600, 60), 0);
    EXPECT_EQ(account.last.retry_after_us, 100'000);
    EXPECT_EQ(account.ask_many(100, back + kSecond, 600, 60), 10);
    // Idle for long.
    EXPECT_EQ(account.ask_many(100, kStart + 1000000 * kSecond, 600, 60), 60);
}

TEST(RateLimit, Idle) {
    Account account;
    EXPECT_TRUE(is_idle(0, kStart));
    account.ask(kStart, 600, 60);
    EXPECT_FALSE(is_idle(account.word, kStart));
    EXPECT_FALSE(is_idle(account.word, kStart + 99'999));
    EXPECT_TRUE(is_idle(account.word, kStart + 100'000));
}

TEST(RateLimit, FieldsAreWholeSecondsRoundedUp) {
    const RateLimitFields refused = rate_limit_fields({false, 1, 0, 5'000'001, 1, 0}, 600, 60);
    EXPECT_EQ(refused.limit, 60);
    EXPECT_EQ(refused.window, 6);
    EXPECT_EQ(refused.remaining, 0);
    EXPECT_EQ(refused.reset, 1);
    EXPECT_EQ(refused.retry_after, 1);
    const RateLimitFields admitted = rate_limit_fields({true, 0, 59, 1'000'000, 100'000, 0}, 600, 60);
    EXPECT_EQ(admitted.remaining, 59);
    EXPECT_EQ(admitted.reset, 1);
    EXPECT_EQ(admitted.retry_after, 0);
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ(rate_limit_fields({false, kMost, kMost, kMost, kMost, 0}, kMost, kMost).retry_after,
              std::numeric_limits<std::int32_t>::max());
    EXPECT_EQ(rate_limit_fields({false, 2'000'000, 0, 0, 0, 0}, -1, 60).limit, 0);
    EXPECT_EQ(rate_limit_fields({false, 2'000'000, 0, 0, 0, 0}, 1, 60).retry_after, 2);
    EXPECT_EQ(rate_limit_fields({true, 0, 0, 0, 0, 0}, 7, 1).window, 9);
}

TEST(RateLimit, FieldsSpeakOfOneQuota) {
    const std::vector<std::pair<int, int>> limits = {{600, 60}, {60, 1}, {1, 5}, {7, 3}, {60'000'000, 1'000'000}, {0, 60}};
    for (const auto& [limit, burst] : limits) {
        Account account;
        std::int64_t now = kStart;
        for (int i = 0; i < 2 * burst + 5 && i < 1000; ++i, now += 7'777) {
            account.ask(now, limit, burst);
            const RateLimitFields fields = rate_limit_fields(account.last, limit, burst);
            EXPECT_LE(fields.remaining, fields.limit);
            EXPECT_LE(fields.reset, fields.window);
            if (account.last.admitted) {
                EXPECT_EQ(fields.retry_after, 0);
                EXPECT_GT(account.last.next_us, 0);
                // At the time named, one more is admitted than now.
                EXPECT_EQ(peek(account.word, now + account.last.next_us, limit, burst).remaining, account.last.remaining + 1);
                EXPECT_LE(peek(account.word, now + account.last.next_us - 1, limit, burst).remaining, account.last.remaining);
            } else {
                EXPECT_EQ(fields.reset, fields.retry_after);
                EXPECT_EQ(fields.remaining, 0);
            }
        }
    }
    EXPECT_EQ(peek(0, kStart, 600, 60).next_us, 0);
    const RateLimitFields nobody = rate_limit_fields(decide(0, kStart, 0, 60), 0, 60);
    EXPECT_EQ(nobody.limit, 0);
    EXPECT_EQ(nobody.reset, nobody.retry_after);
}

TEST(RateLimit, FieldsAsText) {
    char text[kMaxRateLimitChars];
    RateLimitAnswer answer = {{60, 6, 59, 1, 0}, false, false, {}};
    EXPECT_EQ(write_rate_limit_policy(answer, text), "\"account\";q=60;w=6");
    EXPECT_EQ(write_rate_limit(answer, text), "\"account\";r=59;t=1");
    answer = {{60, 6, 59, 1, 0}, true, true, {5, 60, 4, 12, 0}};
    EXPECT_EQ(write_rate_limit_policy(answer, text), "\"account\";q=60;w=6, \"token\";q=5;w=60");
    EXPECT_EQ(write_rate_limit(answer, text), "\"token\";r=4;t=12");
    answer.own_binds = false;
    EXPECT_EQ(write_rate_limit(answer, text), "\"account\";r=59;t=1");
    constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
    const RateLimitFields most = {kMost, kMost, kMost, kMost, 0};
    answer = {most, true, true, most};
    EXPECT_EQ(write_rate_limit_policy(answer, text),
              "\"account\";q=2147483647;w=2147483647, \"token\";q=2147483647;w=2147483647");
    EXPECT_EQ(write_rate_limit(answer, text), "\"token\";r=2147483647;t=2147483647");
}

// ---- a token's own limit ------------------------------------------------------------------------------------------------

TEST(RateLimit, ATokensOwnLimitIsNeverAboveTheAccounts) {
    const struct {
        Quota own, account, in_force;
    } table[] = {
        {{10, 3}, {600, 60}, {10, 3}},       {{10, -1}, {600, 60}, {10, 10}},  {{100, -1}, {600, 60}, {100, 60}},
        {{1000, 100}, {600, 60}, {600, 60}}, {{10, 100}, {600, 60}, {10, 60}}, {{10, 3}, {0, 60}, {0, 3}},
        {{0, -1}, {600, 60}, {0, 1}},
    };
    for (const auto& row : table) {
        const Quota in_force = own_quota(row.own, row.account);
        EXPECT_EQ(in_force.limit_per_minute, row.in_force.limit_per_minute);
        EXPECT_EQ(in_force.burst, row.in_force.burst);
    }
}

// Admitted, and for how long to wait and how many are left: the client is told of the limit that stops it first.
TEST(RateLimit, WhichLimitBinds) {
    const auto refused = [](std::int64_t wait) { return Decision{false, wait, 0, wait, wait, 0}; };
    const auto admitted = [](std::int64_t left, std::int64_t next) { return Decision{true, 0, left, next, next, 0}; };
    EXPECT_TRUE(own_limit_binds(admitted(59, 1), refused(5)));
    EXPECT_FALSE(own_limit_binds(refused(5), admitted(0, 9)));
    EXPECT_TRUE(own_limit_binds(refused(5), refused(6)));
    EXPECT_FALSE(own_limit_binds(refused(7), refused(6)));
    EXPECT_TRUE(own_limit_binds(admitted(5, 1), admitted(4, 1)));
    EXPECT_FALSE(own_limit_binds(admitted(3, 1), admitted(4, 9)));
    EXPECT_TRUE(own_limit_binds(admitted(4, 1), admitted(4, 2)));
    EXPECT_FALSE(own_limit_binds(admitted(4, 2), admitted(4, 2)));
}

// T = 1 s, B = 3, as in HandWorkedTable.
TEST(RateLimit, AGivenBackDrawHasNeverBeen) {
    std::atomic<std::uint64_t> word{0};
    Receipt receipt;
    ASSERT_TRUE(draw(word, kStart, 60, 3, &receipt).admitted);
    const std::uint64_t one = word.load();
    ASSERT_TRUE(draw(word, kStart + 500'000, 60, 3, &receipt).admitted);
    give_back(word, receipt, kStart + 500'007);
    EXPECT_EQ(word.load(), one);
    // Nor does a thousand of them change anything.
    for (int i = 0; i < 1000; ++i) {
        ASSERT_TRUE(draw(word, kStart + 600'000 + i, 60, 3, &receipt).admitted);
        give_back(word, receipt, kStart + 600'001 + i);
    }
    EXPECT_EQ(word.load(), one);
}

TEST(RateLimit, AGivenBackDrawLeavesWhatOthersDrew) {
    const auto debt = [](std::uint64_t word, std::int64_t now) { return peek(word, now, 60, 3).reset_us; };
    std::atomic<std::uint64_t> word{0};
    Receipt receipt;
    // TAT 1, then 2 by another: 1 goes back, less the 10 us that have passed.
    draw(word, kStart, 60, 3, &receipt);
    draw(word, kStart + 4, 60, 3);
    give_back(word, receipt, kStart + 10);
    EXPECT_EQ(debt(word.load(), kStart + 10), kSecond);  // the other one's alone would be 6 us less
    // Its time is over when it goes back: the other draw stays whole.
    word = 0;
    draw(word, kStart, 60, 3, &receipt);
    draw(word, kStart + 2 * kSecond, 60, 3);
    give_back(word, receipt, kStart + 2 * kSecond);
    EXPECT_EQ(debt(word.load(), kStart + 2 * kSecond), kSecond);
    // Another limit has rescaled it meanwhile: nothing goes back.
    word = 0;
    draw(word, kStart, 60, 3, &receipt);
    draw(word, kStart, 6, 3);
    const std::uint64_t rescaled = word.load();
    give_back(word, receipt, kStart + 1);
    EXPECT_EQ(word.load(), rescaled);
}

// However draws that stay and draws that go back interleave, the word is never freer than if only those that stay had been.
TEST(RateLimit, GivingBackNeverAdmitsMore) {
    std::mt19937_64 random(11);
    for (int round = 0; round < 2000; ++round) {
        const std::int64_t limit = 1 + static_cast<std::int64_t>(random() % 100'000);
        const std::int64_t interval = (kMicrosecondsPerMinute + limit - 1) / limit;
        std::atomic<std::uint64_t> word{0};
        std::uint64_t alone = 0;
        std::vector<Receipt> open;
        std::int64_t now = kStart;
        for (int i = 0; i < 60; ++i) {
            now += random() % 3 == 0 ? static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(2 * interval)) : 1;
            Receipt receipt;
            if (random() % 2 == 0 && !open.empty()) {
                const std::size_t at = random() % open.size();
                give_back(word, open[at], now);
                open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
            } else if (draw(word, now, limit, 20, &receipt).admitted) {
                if (random() % 2 == 0)
                    open.push_back(receipt);
                else
                    alone = decide(alone, now, limit, 20).new_word;
            }
            ASSERT_GE(peek(word.load(), now, limit, 20).reset_us, peek(alone, now, limit, 20).reset_us) << round << ' ' << i;
        }
    }
}

// One clock runs over 10 s while eight threads read it and draw; a reading may be old by the time it is used.
TEST(RateLimit, ThreadsShareOneWord) {
    for (int round = 0; round < 20; ++round) {
        std::atomic<std::uint64_t> word{0};
        std::atomic<std::int64_t> clock{0};
        std::atomic<int> admitted{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 8; ++t)
            threads.emplace_back([&] {
                for (std::int64_t now; (now = clock.fetch_add(500)) <= 10 * kSecond;)
                    if (draw(word, kStart + now, 600, 60).admitted) ++admitted;
            });
        for (std::thread& thread : threads) thread.join();
        EXPECT_LE(admitted, 160);
        EXPECT_GE(admitted, 157);
    }
}

TEST(RateLimit, ThreadsAtOneInstant) {
    for (int round = 0; round < 50; ++round) {
        std::atomic<std::uint64_t> word{0};
        std::atomic<int> admitted{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&] {
                for (int i = 0; i < 500; ++i)
                    if (draw(word, kStart, 600, 60).admitted) ++admitted;
            });
        for (std::thread& thread : threads) thread.join();
        EXPECT_EQ(admitted, 60);
    }
}

}  // namespace
