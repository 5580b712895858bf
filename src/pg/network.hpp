// Converts inet and cidr Datums to addresses of src/core and back. IPv4-mapped IPv6 counts as IPv4 everywhere.
#pragma once

#include "pg/prelude.hpp"
//
#include "core/client_address.hpp"

namespace mirox::pg {

// The address of an inet or cidr.
core::Address address_of(Datum value);
inline core::Address address_arg(FunctionCallInfo fcinfo, int n) {
    return n >= fcinfo->nargs || fcinfo->args[n].isnull ? core::Address{} : address_of(fcinfo->args[n].value);
}

// An inet (the host) or a cidr (the network) of an address that is not none.
Datum inet_datum(const core::Address& address);
Datum cidr_datum(const core::Address& network);

// The network of an inet or cidr, a cidr: without the bits right of the mask, and with IPv4-mapped IPv6 turned into IPv4.
inline Datum network_datum(Datum value) {
    const core::Address address = address_of(value);
    return cidr_datum(core::network_of(address, address.bits));
}

// The networks of a cidr[] without its NULLs; palloc'd.
std::span<const core::Address> addresses_of(Datum cidr_array);

// True when one of the networks of a cidr[] contains the address. Allocates only to detoast.
bool array_contains(Datum cidr_array, const core::Address& address);

}  // namespace mirox::pg
