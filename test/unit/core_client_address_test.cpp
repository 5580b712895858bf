// Addresses and forwarding headers: the examples of RFC 7239, de-facto X-Forwarded-For, and hostile headers.
#include "core/client_address.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using namespace mirox::core;

Address address(std::string_view text) {
    Address out;
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos) {
        EXPECT_TRUE(parse_address(text, out)) << text;
        return out;
    }
    std::uint8_t bytes[16];
    const bool is_ipv6 = text.find(':') != std::string_view::npos;
    EXPECT_EQ(inet_pton(is_ipv6 ? AF_INET6 : AF_INET, std::string(text.substr(0, slash)).c_str(), bytes), 1) << text;
    const unsigned long bits = std::stoul(std::string(text.substr(slash + 1)));
    return make_address({bytes, is_ipv6 ? 16u : 4u}, static_cast<unsigned>(bits));
}

std::string text(const Address& a) {
    if (a.family == AddressFamily::none) return "none";
    char out[INET6_ADDRSTRLEN];
    inet_ntop(a.family == AddressFamily::ipv4 ? AF_INET : AF_INET6, a.bytes.data(), out, sizeof out);
    return out;
}

const std::vector<Address>& proxies() {
    static const std::vector<Address> all{address("10.0.0.0/8"), address("fd00::/8"), address("192.0.2.43")};
    return all;
}

std::string client(std::string_view forwarded, std::string_view peer = "10.0.0.1") {
    return text(client_address(forwarded, address(peer), proxies()));
}

TEST(Address, Parses) {
    Address a;
    for (const char* good : {"0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1%eth0", "fe80::1%25eth0",
                             "FE80::A", "::ffff:1.2.3.4"})
        EXPECT_TRUE(parse_address(good, a)) << good;
    for (const char* bad : {"", " ", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "0x7f.0.0.1", "2130706433",
                            "1.2.3.4%eth0", "fe80::1%", "fe80::1%a b", "[::1]", "::1/64", ":::", "1::2::3", "12345::", "g::"})
        EXPECT_FALSE(parse_address(bad, a)) << bad;
    EXPECT_FALSE(parse_address(std::string_view("1.2.3.4\0", 8), a));
    EXPECT_FALSE(parse_address(std::string(65536, '1'), a));
}

TEST(Address, MappedIsIpv4) {
    EXPECT_EQ(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    EXPECT_EQ(address("::ffff:c000:201"), address("192.0.2.1"));
    EXPECT_EQ(address("::ffff:10.0.0.0/104"), address("10.0.0.0/8"));
    EXPECT_EQ(address("::ffff:0:0/96"), address("0.0.0.0/0"));
    EXPECT_EQ(address("::/0").family, AddressFamily::ipv6);
    EXPECT_FALSE(contains(address("::/0"), address("192.0.2.1")));
    EXPECT_TRUE(contains(address("::/0"), address("2001:db8::1")));
}

TEST(Address, Networks) {
    EXPECT_TRUE(contains(address("192.0.2.0/25"), address("192.0.2.127")));
    EXPECT_FALSE(contains(address("192.0.2.0/25"), address("192.0.2.128")));
    EXPECT_TRUE(contains(address("0.0.0.0/0"), address("255.1.2.3")));
    EXPECT_TRUE(contains(address("2001:db8::/33"), address("2001:db8:7fff::1")));
    EXPECT_FALSE(contains(address("2001:db8::/33"), address("2001:db8:8000::1")));
    EXPECT_TRUE(contains(address("192.0.2.1"), address("192.0.2.1")));
    EXPECT_FALSE(contains(address("192.0.2.1"), address("192.0.2.0")));
    EXPECT_FALSE(contains(address("10.0.0.0/8"), address("10.0.0.0/7")));
    EXPECT_FALSE(contains(Address{}, address("1.2.3.4")));
    EXPECT_FALSE(contains(address("0.0.0.0/0"), Address{}));
    EXPECT_FALSE(address_in({}, address("1.2.3.4")));
    const std::uint8_t five[5] = {};
    EXPECT_EQ(make_address(five, 8).family, AddressFamily::none);
    EXPECT_EQ(make_address(std::span(five).first(4), 33).family, AddressFamily::none);
}

TEST(ClientAddress, AnUntrustedPeerIsTheClient) {
    EXPECT_EQ(client("1.2.3.4", "203.0.113.9"), "203.0.113.9");
    EXPECT_EQ(client("for=1.2.3.4", "203.0.113.9"), "203.0.113.9");
    EXPECT_EQ(text(client_address("1.2.3.4", {}, proxies())), "none");
    EXPECT_EQ(text(client_address("1.2.3.4", address("10.0.0.1"), {})), "10.0.0.1");
    EXPECT_EQ(client("1.2.3.4", "::ffff:10.0.0.1"), "1.2.3.4");
    EXPECT_EQ(client("1.2.3.4", "10.0.0.1/8"), "1.2.3.4");
}

TEST(ClientAddress, RightmostUntrusted) {
    EXPECT_EQ(client("203.0.113.9"), "203.0.113.9");
    EXPECT_EQ(client("6.6.6.6, 203.0.113.9"), "203.0.113.9");
    EXPECT_EQ(client("6.6.6.6, 203.0.113.9, 10.1.1.1,10.2.2.2"), "203.0.113.9");
    EXPECT_EQ(client("10.9.9.9, 10.1.1.1"), "none");
    EXPECT_EQ(client(""), "none");
    EXPECT_EQ(client(" , ,, "), "none");
    EXPECT_EQ(client("203.0.113.9,"), "none");
    EXPECT_EQ(client("203.0.113.9, , 10.1.1.1"), "none");
    EXPECT_EQ(client(", 203.0.113.9"), "203.0.113.9");
    EXPECT_EQ(client("203.0.113.9:4711"), "203.0.113.9");
    EXPECT_EQ(client("[2001:db8::7]:4711"), "2001:db8::7");
    EXPECT_EQ(client("2001:db8::7"), "2001:db8::7");
    EXPECT_EQ(client("fe80::7%eth0"), "fe80::7");
    EXPECT_EQ(client("[fe80::7%eth0]:80, fd00::1"), "fe80::7");
    EXPECT_EQ(client("::ffff:203.0.113.9, ::ffff:10.0.0.7"), "203.0.113.9");
    EXPECT_EQ(client("\t203.0.113.9\t"), "203.0.113.9");
}

// RFC 7239, sections 4, 6 and 7.1; 192.0.2.43 is a proxy of ours here.
TEST(ClientAddress, ForwardedOfTheRfc) {
    EXPECT_EQ(client("for=\"_gazonk\""), "none");
    EXPECT_EQ(client("For=\"[2001:db8:cafe::17]:4711\""), "2001:db8:cafe::17");
    EXPECT_EQ(client("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60");
    EXPECT_EQ(client("for=192.0.2.43, for=198.51.100.17"), "198.51.100.17");
    EXPECT_EQ(client("for=198.51.100.17, for=192.0.2.43"), "198.51.100.17");
    EXPECT_EQ(client("for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown"), "none");
    EXPECT_EQ(client("for=192.0.2.43:47011"), "none");
    EXPECT_EQ(client("for=\"192.0.2.61:_port\""), "192.0.2.61");
    EXPECT_EQ(client("proto=https; FOR=192.0.2.60 ;host=\"a,b;c\\\"d\""), "192.0.2.60");
    EXPECT_EQ(client("for=198.51.100.17;host=\"x,for=1.1.1.1\", for=10.3.3.3"), "198.51.100.17");
    EXPECT_EQ(client("host=\"for=1.1.1.1\";for=198.51.100.17"), "198.51.100.17");
}

TEST(ClientAddress, TheNearestHop) {
    const auto hop = [](std::string_view forwarded) { return text(nearest_hop(forwarded)); };
    EXPECT_EQ(hop("6.6.6.6, 203.0.113.9"), "203.0.113.9");
    EXPECT_EQ(hop("for=6.6.6.6, for=\"[2001:db8::7]:443\";proto=https"), "2001:db8::7");
    EXPECT_EQ(hop("0.0.0.0"), "0.0.0.0");
    EXPECT_EQ(hop("6.6.6.6, 0.0.0.0"), "0.0.0.0");
    for (const char* junk : {"", " ", ",", "6.6.6.6,", "6.6.6.6, unknown", "6.6.6.6, for=_hidden", "6.6.6.6, x"})
        EXPECT_EQ(hop(junk), "none") << junk;
}

// What a hop of ours does not tell is not known; the address of the hop is never the client's.
TEST(ClientAddress, JunkStopsTheWalk) {
    for (const char* junk : {"unknown",
                             "_hidden",
                             "_SEVKISEK",
                             "localhost",
                             "1.2.3",
                             "1.2.3.4:",
                             "1.2.3.4:x",
                             "1.2.3.4:65536",
                             "1.2.3.4:-1",
                             "[1.2.3.4]",
                             "[::1",
                             "::1]",
                             "[::1]x",
                             "[::1]:",
                             "[]",
                             "\"",
                             "\"1.2.3.4",
                             "1.2.3.4\"",
                             "for=",
                             "for=\"\"",
                             "proto=http",
                             "for=unknown",
                             "for=1.2.3.4;for=5.6.7.8",
                             "for=1.2.3.4;junk",
                             "for=\"1.2.3.4",
                             "=",
                             "=1.2.3.4",
                             "1.2.3.4 5.6.7.8",
                             "1.2.3.4;",
                             "1.2.3.4/32",
                             "0x1.2.3.4",
                             "a=b=c"}) {
        EXPECT_EQ(client(junk), "none") << junk;
        EXPECT_EQ(client(std::string("6.6.6.6, ") + junk + ", 10.7.7.7"), "none") << junk;
        // What a client sent is no matter to the hop that our proxy wrote to the right of it.
        EXPECT_EQ(client(std::string(junk) + ", 203.0.113.9"), "203.0.113.9") << junk;
        EXPECT_EQ(client(std::string(junk) + ", for=203.0.113.9"), "203.0.113.9") << junk;
        EXPECT_EQ(client(std::string(junk) + ",for=\"[2001:db8::1]:80\";proto=http"), "2001:db8::1") << junk;
    }
    EXPECT_EQ(client(std::string_view("6.6.6.6, 1.2.3.4\0", 17)), "none");
}

TEST(ClientAddress, LongHeadersAreBounded) {
    const auto list = [](int count, const char* one) {
        std::string out = "6.6.6.6";
        for (int i = 0; i < count; ++i) out += std::string(",") + one;
        return out;
    };
    EXPECT_EQ(client(list(kMaxHops - 1, "10.1.1.1")), "6.6.6.6");
    EXPECT_EQ(client(list(kMaxHops, "10.1.1.1")), "none");
    EXPECT_EQ(client(list(20000, "10.1.1.1")), "none");
    EXPECT_EQ(client(list(20000, "")), "none");
    EXPECT_EQ(client(std::string(65536, 'a') + ", 203.0.113.9"), "203.0.113.9");
    EXPECT_EQ(client(std::string(65536, 'a') + ", 10.1.1.1"), "none");
    EXPECT_EQ(client("6.6.6.6," + std::string(65536, ' ')), "none");
    EXPECT_EQ(client("6.6.6.6," + std::string(65536, '"')), "none");
    EXPECT_EQ(client("6.6.6.6,\"" + std::string(65536, '\\') + "\""), "none");
}

}  // namespace
