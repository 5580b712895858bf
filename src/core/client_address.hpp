// Network addresses, and the address of the client behind proxies.
//
// client_address() walks a forwarding header from its right end, which is the end that our own proxies write:
//   - The first hop is the peer of the connection. A peer that is not trusted is the client; the header, which it
//     may have made up, is not read.
//   - Then each element: one that is trusted is stepped over, the first that is not is the client.
//   - What a trusted hop does not tell is not known, and the answer is none: never the address of that hop, which a
//     network that a token is bound to may well hold. So it is with an element that has no address (`unknown`,
//     `_hidden`, nothing at all, a broken quote or port, only `proto=`), with a header that is missing or comes to
//     its end before the client, and after kMaxHops elements. An element with nothing in it is not stepped over,
//     whatever RFC 9110 5.6.1 says of lists: what stands to its left may be the client's own invention.
//   - An element is a bare node (`X-Forwarded-For`), or holds pairs with one `for=` (RFC 7239 `Forwarded`),
//   by its
//     own looks. What is further left cannot change how one is read: not by a quote left open, nor by a `=`.
// A node is `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1%eth0]:80`, quoted or
// not; ports and zones are dropped. IPv4-mapped IPv6 counts as IPv4 everywhere, so `::/0` holds no IPv4
// address. However long the header, at most kMaxHops elements of kMaxHopBytes each are read.
//
// Pure: may include the C++ library and inet_pton only. Nothing here allocates, throws or logs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mirox::core {

inline constexpr std::size_t kMaxHops = 64;
inline constexpr std::size_t kMaxHopBytes = 1024;

enum class AddressFamily : std::uint8_t { none, ipv4, ipv6 };

// An address (with all its bits) or a network. Bytes past the family's are zero.
struct Address {
    AddressFamily family = AddressFamily::none;
    std::uint8_t bits = 0;
    std::array<std::uint8_t, 16> bytes{};

    friend bool operator==(const Address&, const Address&) = default;
};

// From 4 or 16 bytes in network order; any other size, or too many bits, gives none. Mapped IPv6 becomes IPv4.
Address make_address(std::span<const std::uint8_t> bytes, unsigned bits) noexcept;

// The address without its network's bits.
Address host_of(const Address& address) noexcept;

// The network of so many bits that holds the address; none of none.
Address network_of(const Address& address, unsigned bits) noexcept;

// `192.0.2.1`, `2001:db8::1`, with or without a zone; no port, no brackets, no prefix.
bool parse_address(std::string_view text, Address& out) noexcept;

bool contains(const Address& network, const Address& address) noexcept;

bool address_in(std::span<const Address> networks, const Address& address) noexcept;

// What the proxy that is nearest to us says of who came to it; none when it does not tell.
Address nearest_hop(std::string_view forwarded) noexcept;

// With a peer of family none (a Unix socket), none is the answer.
Address client_address(std::string_view forwarded, const Address& peer, std::span<const Address> trusted) noexcept;

}  // namespace mirox::core
