// libFuzzer: any bytes as a forwarding header. A trusted address is never the answer, and whatever stands to the left
// of the element that a trusted proxy wrote does not change what that element gives.
#include <algorithm>
#include <array>
#include <cstring>

#include "core/client_address.hpp"

using namespace mirox::core;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view header(reinterpret_cast<const char*>(data), size);
    Address peer;
    Address client;
    constexpr std::uint8_t kTen[4] = {10}, kLocal[16] = {0xfd};
    const std::array<Address, 2> trusted = {make_address(kTen, 8), make_address(kLocal, 8)};
    if (!parse_address("10.0.0.1", peer) || !parse_address("203.0.113.9", client)) __builtin_trap();

    const Address answer = client_address(header, peer, trusted);
    // Never the address of a hop of ours.
    if (address_in(trusted, answer)) __builtin_trap();
    constexpr unsigned kBits[] = {0, 32, 128};
    if (answer.bits != kBits[static_cast<int>(answer.family)]) __builtin_trap();
    if (const Address hop = nearest_hop(header); !address_in(trusted, hop) && hop != answer) __builtin_trap();
    if (client_address(header, client, trusted) != client) __builtin_trap();

    static std::array<char, 1 << 17> longer;
    for (const std::string_view written : {",203.0.113.9", ", for=203.0.113.9;host=\"a,b\"", ",for=\"203.0.113.9:80\""}) {
        if (size + written.size() > longer.size()) continue;
        std::memcpy(longer.data(), header.data(), size);
        std::memcpy(longer.data() + size, written.data(), written.size());
        if (client_address({longer.data(), size + written.size()}, peer, trusted) != client) __builtin_trap();
    }

    Address parsed;
    if (parse_address(header, parsed) && !contains(parsed, parsed)) __builtin_trap();
    return 0;
}
