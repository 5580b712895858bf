// Reasons: their numbers stand in files that outlive a server, so they are what they were.
#include "core/reason.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace mirox::core {
namespace {

TEST(CoreReason, NumbersNeverChange) {
    // Only ever longer.
    constexpr std::string_view kWords[] = {"ok",
                                           "malformed",
                                           "unknown",
                                           "revoked",
                                           "rotated",
                                           "expired",
                                           "locked",
                                           "ip_not_allowed",
                                           "insufficient_scope",
                                           "rate_limited",
                                           "invalid_request",
                                           "management_refused",
                                           "keys_unavailable",
                                           "public",
                                           "suspended"};
    ASSERT_EQ(std::size(kWords), kReasons);
    for (std::uint8_t number = 0; number < kReasons; number++) EXPECT_EQ(reason_word(number), kWords[number]);
    EXPECT_EQ(reason_word(kReasons), std::string_view("other"));
    EXPECT_EQ(reason_word(255), std::string_view("other"));
}

}  // namespace
}  // namespace mirox::core
