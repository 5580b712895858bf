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

// A network with IPv4-mapped IPv6 turned into IPv4.
inline Datum plain_network(Datum cidr) {
    return cidr_datum(address_of(cidr));
}

// The networks of a cidr[] without its NULLs; palloc'd.
std::span<const core::Address> addresses_of(Datum cidr_array);

// True when one of the networks of a cidr[] contains the address. Allocates only to detoast.
bool array_contains(Datum cidr_array, const core::Address& address);

}  // namespace mirox::pg
