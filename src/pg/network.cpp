// Converts inet and cidr Datums (see network.hpp). Takes no locks; reads no table.
#include "pg/network.hpp"

extern "C" {
#include <sys/socket.h>

#include "access/tupmacs.h"
#include "utils/array.h"
#include "utils/inet.h"
}

namespace mirox::pg {
namespace {

core::Address read(inet* value) {
    return core::make_address({ip_addr(value), static_cast<std::size_t>(ip_addrsize(value))}, ip_bits(value));
}

Datum write(const core::Address& address, unsigned bits) {
    auto* out = static_cast<inet*>(palloc0(sizeof(inet)));
    ip_family(out) = address.family == core::AddressFamily::ipv4 ? PGSQL_AF_INET : PGSQL_AF_INET6;
    ip_bits(out) = bits;
    memcpy(ip_addr(out), address.bytes.data(), ip_addrsize(out));
    SET_INET_VARSIZE(out);
    return InetPGetDatum(out);
}

}  // namespace

core::Address address_of(Datum value) {
    return read(DatumGetInetPP(value));
}

Datum inet_datum(const core::Address& address) {
    return write(address, address.family == core::AddressFamily::ipv4 ? 32 : 128);
}

Datum cidr_datum(const core::Address& network) {
    return write(network, network.bits);
}

namespace {

// Calls `each` with every network of a cidr[] that is not NULL, until it returns true.
template <typename Each>
bool any_network(Datum cidr_array, Each&& each) {
    ArrayType* array = DatumGetArrayTypeP(cidr_array);
    // issue_token refuses a NULL. A direct UPDATE could still store one, which then matches nothing.
    const bits8* nulls = ARR_NULLBITMAP(array);
    const char* at = ARR_DATA_PTR(array);
    const int count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    for (int i = 0; i < count; i++) {
        if (nulls != nullptr && (nulls[i / 8] & (1 << (i % 8))) == 0) continue;
        if (each(address_of(PointerGetDatum(at)))) return true;
        at = reinterpret_cast<const char*>(
            att_align_nominal(att_addlength_pointer(reinterpret_cast<std::uintptr_t>(at), -1, at), TYPALIGN_INT));
    }
    return false;
}

}  // namespace

std::span<const core::Address> addresses_of(Datum cidr_array) {
    ArrayType* array = DatumGetArrayTypeP(cidr_array);
    const int room = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    auto* out = static_cast<core::Address*>(palloc(sizeof(core::Address) * Max(room, 1)));
    std::size_t count = 0;
    any_network(PointerGetDatum(array), [&](const core::Address& network) {
        out[count++] = network;
        return false;
    });
    return {out, count};
}

bool array_contains(Datum cidr_array, const core::Address& address) {
    if (address.family == core::AddressFamily::none) return false;
    return any_network(cidr_array, [&](const core::Address& network) { return core::contains(network, address); });
}

}  // namespace mirox::pg
