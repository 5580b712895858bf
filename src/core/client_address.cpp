// Network addresses and the walk over forwarding headers; the header states its rules.
//
// Pure: may include the C++ library and inet_pton only. Nothing here allocates, throws or logs.
#include "core/client_address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "core/chars.hpp"
#include "core/slice.hpp"

namespace mirox::core {
namespace {

constexpr std::uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// The ZoneID of RFC 6874, unescaped, and at most as long as an interface name on any system.
bool is_zone(std::string_view text) noexcept {
    if (text.empty() || text.size() > 64) return false;
    for (const char c : text)
        if (!is_alphanumeric(c) && c != '-' && c != '.' && c != '_' && c != '~' && c != '%') return false;
    return true;
}

bool parse_bytes(int family, std::string_view text, std::uint8_t* out) noexcept {
    char copy[INET6_ADDRSTRLEN + 1];
    if (text.empty() || text.size() >= sizeof copy || text.find('\0') != std::string_view::npos) return false;
    std::memcpy(copy, text.data(), text.size());
    copy[text.size()] = '\0';
    return inet_pton(family, copy, out) == 1;
}

// `:` and a port, or an obfuscated port, `:_x` (RFC 7239, 6).
bool is_port_suffix(std::string_view text) noexcept {
    if (text.size() < 2 || text.front() != ':') return false;
    text.remove_prefix(1);
    if (text.front() == '_') {
        for (const char c : text)
            if (!is_alphanumeric(c) && c != '.' && c != '_' && c != '-') return false;
        return text.size() > 1;
    }
    if (text.size() > 5) return false;
    unsigned port = 0;
    for (const char c : text) {
        if (!is_digit(c)) return false;
        port = port * 10 + static_cast<unsigned>(c - '0');
    }
    return port <= 65535;
}

bool parse_node(std::string_view node, Address& out) noexcept {
    node = trim(node);
    if (node.size() >= 2 && node.front() == '"' && node.back() == '"') {
        node.remove_prefix(1);
        node.remove_suffix(1);
    }
    if (node.empty()) return false;
    if (node.front() == '[') {
        const std::size_t end = node.find(']');
        if (end == std::string_view::npos) return false;
        const std::string_view after = slice(node, end + 1);
        if (!after.empty() && !is_port_suffix(after)) return false;
        const std::string_view inside = slice(node, 1, end - 1);
        return inside.find(':') != std::string_view::npos && parse_address(inside, out);
    }
    const std::size_t colon = node.find(':');
    if (colon != std::string_view::npos && node.find(':', colon + 1) == std::string_view::npos) {
        if (!is_port_suffix(slice(node, colon))) return false;
        node = slice(node, 0, colon);
    }
    return parse_address(node, out);
}

// The start of the quoted string that ends at text[end]; npos when there is none. A quote after an odd number of backslashes is
// part of the string.
std::size_t quote_start(std::string_view text, std::size_t end, std::size_t floor) noexcept {
    for (std::size_t at = end; at-- > floor;) {
        if (text[at] != '"') continue;
        std::size_t slashes = 0;
        while (at - slashes > floor && text[at - slashes - 1] == '\\') ++slashes;
        if (slashes % 2 == 0) return at;
    }
    return std::string_view::npos;
}

// Removes the last element from the list. False when it is longer than kMaxHopBytes or its quotes do not match.
bool take_last(std::string_view& list, std::string_view& element) noexcept {
    const std::size_t floor = list.size() > kMaxHopBytes ? list.size() - kMaxHopBytes : 0;
    std::size_t at = list.size();
    while (at > floor) {
        --at;
        if (list[at] == ',') {
            element = slice(list, at + 1);
            list = slice(list, 0, at);
            return true;
        }
        if (list[at] == '"') {
            at = quote_start(list, at, floor);
            if (at == std::string_view::npos) return false;
        }
    }
    if (floor > 0) return false;
    element = list;
    list = {};
    return true;
}

// For `for=…;proto=…`: true, with the value of the one `for`.
bool find_for(std::string_view element, std::string_view& value) noexcept {
    bool found = false;
    while (!element.empty()) {
        std::size_t end = 0;
        bool quoted = false;
        for (; end < element.size() && (quoted || element[end] != ';'); ++end) {
            if (element[end] == '"') quoted = !quoted;
            if (quoted && element[end] == '\\') ++end;
        }
        if (quoted) return false;
        end = std::min(end, element.size());
        const std::string_view pair = trim(slice(element, 0, end));
        element.remove_prefix(std::min(end + 1, element.size()));
        if (pair.empty()) continue;
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos) return false;
        if (!equals_ignoring_case(slice(pair, 0, equals), "for")) continue;
        if (found) return false;
        found = true;
        value = slice(pair, equals + 1);
    }
    return found;
}

bool parse_hop(std::string_view element, Address& out) noexcept {
    if (element.find('=') != std::string_view::npos) {
        std::string_view value;
        return find_for(element, value) && parse_node(value, out);
    }
    return parse_node(element, out);
}

}  // namespace

Address make_address(std::span<const std::uint8_t> bytes, unsigned bits) noexcept {
    Address made;
    if ((bytes.size() != 4 && bytes.size() != 16) || bits > bytes.size() * 8) return made;
    if (bytes.size() == 16 && bits >= 96 && std::memcmp(bytes.data(), kMappedPrefix, sizeof kMappedPrefix) == 0) {
        bytes = bytes.subspan(12);
        bits -= 96;
    }
    made.family = bytes.size() == 4 ? AddressFamily::ipv4 : AddressFamily::ipv6;
    made.bits = static_cast<std::uint8_t>(bits);
    std::memcpy(made.bytes.data(), bytes.data(), bytes.size());
    return made;
}

Address host_of(const Address& address) noexcept {
    switch (address.family) {
        case AddressFamily::ipv4:
            return make_address(std::span(address.bytes).first(4), 32);
        case AddressFamily::ipv6:
            return make_address(address.bytes, 128);
        case AddressFamily::none:
            break;
    }
    return {};
}

Address network_of(const Address& address, unsigned bits) noexcept {
    if (address.family == AddressFamily::none) return {};
    Address network = address;
    network.bits = static_cast<std::uint8_t>(bits);
    for (unsigned i = 0; i < network.bytes.size(); i++) {
        const unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
        if (kept < 8) network.bytes[i] &= static_cast<std::uint8_t>(0xFF00U >> kept);
    }
    return network;
}

bool parse_address(std::string_view text, Address& out) noexcept {
    std::uint8_t bytes[16];
    if (text.find(':') == std::string_view::npos) {
        if (!parse_bytes(AF_INET, text, bytes)) return false;
        out = make_address({bytes, 4}, 32);
        return true;
    }
    if (const std::size_t zone = text.find('%'); zone != std::string_view::npos) {
        if (!is_zone(slice(text, zone + 1))) return false;
        text = slice(text, 0, zone);
    }
    if (!parse_bytes(AF_INET6, text, bytes)) return false;
    out = make_address({bytes, 16}, 128);
    return true;
}

bool contains(const Address& network, const Address& address) noexcept {
    if (network.family == AddressFamily::none || network.family != address.family) return false;
    if (address.bits < network.bits) return false;
    const std::size_t whole = network.bits / 8;
    const unsigned left = network.bits % 8;
    if (std::memcmp(network.bytes.data(), address.bytes.data(), whole) != 0) return false;
    return left == 0 || ((network.bytes[whole] ^ address.bytes[whole]) >> (8 - left)) == 0;
}

bool address_in(std::span<const Address> networks, const Address& address) noexcept {
    for (const Address& network : networks)
        if (contains(network, address)) return true;
    return false;
}

Address nearest_hop(std::string_view forwarded) noexcept {
    std::string_view element;
    Address hop;
    if (!take_last(forwarded, element) || !parse_hop(trim(element), hop)) return {};
    return hop;
}

Address client_address(std::string_view forwarded, const Address& peer, std::span<const Address> trusted) noexcept {
    Address hop = host_of(peer);
    for (std::size_t hops = 0; address_in(trusted, hop); ++hops) {
        std::string_view element;
        if (hops == kMaxHops || !take_last(forwarded, element) || !parse_hop(trim(element), hop)) return {};
    }
    return hop;
}

}  // namespace mirox::core
