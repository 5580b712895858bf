// Network addresses, and the address of the client behind proxies.
//
// client_address() reads a forwarding header from its right end, which the platform's own proxies write:
//   - The first hop is the peer of the connection. When the peer is not trusted, it is the client. The header is not read then,
//     since the peer may have made it up.
//   - Then each element: a trusted address is skipped, the first one that is not trusted is the client.
//   - When a trusted hop does not tell the address before it, the client is unknown and the answer is none. It is never the
//     address of that hop, since a token may be bound to the very network of that hop. This covers an element without an address
//     (`unknown`, `_hidden`, an empty one, a broken quote or port, only `proto=`), a header that is missing or ends before the
//     client, and more than kMaxHops elements. RFC 9110 5.6.1 says to ignore empty list elements. They are not skipped here,
//     because the client may have invented what stands to their left.
//   - An element is a bare node (`X-Forwarded-For`) or holds pairs with one `for=` (RFC 7239 `Forwarded`). Each element is read
//     by itself: nothing further left changes how it is read, neither an open quote nor a `=`.
// A node is `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1%eth0]:80`, quoted or not. Ports and
// zones are dropped. IPv4-mapped IPv6 counts as IPv4 everywhere, so `::/0` holds no IPv4 address. However long the header, at
// most kMaxHops elements of kMaxHopBytes each are read.
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

// From 4 or 16 bytes in network order. Any other size, or too many bits, gives none. Mapped IPv6 becomes IPv4.
Address make_address(std::span<const std::uint8_t> bytes, unsigned bits) noexcept;

// The address with all its bits, whatever network it came with.
Address host_of(const Address& address) noexcept;

// The network of `bits` bits that holds the address. None gives none.
Address network_of(const Address& address, unsigned bits) noexcept;

// `192.0.2.1`, `2001:db8::1`, with or without a zone; no port, no brackets, no prefix.
bool parse_address(std::string_view text, Address& out) noexcept;

bool contains(const Address& network, const Address& address) noexcept;

bool address_in(std::span<const Address> networks, const Address& address) noexcept;

// The address that the nearest proxy reports for its own peer; none when it does not tell.
Address nearest_hop(std::string_view forwarded) noexcept;

// A peer of family none (a Unix socket) gives none.
Address client_address(std::string_view forwarded, const Address& peer, std::span<const Address> trusted) noexcept;

}  // namespace mirox::core
