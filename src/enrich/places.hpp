// Where an address is, by any MaxMind DB file: country, and region and city when the file has them.
//
// This file holds no server call. Plain data in and out, nothing throws, no static object: the state is made
// by open_locations and lives behind a pointer. One user at a time: the worker's single thread; it takes no
// lock.
//
// The worker calls refresh_locations once a drain, which looks whether the file is new, and locate for each
// address. Layouts that are understood: GeoLite2, GeoIP2 and DB-IP (country.iso_code, country.names.en,
// subdivisions[0].names.en, city.names.en) and the flat ones of ip-location-db, IPinfo and IPLocate
// (country_code, country, country_name, state1, region, city). Names are taken in English.
//
// libmaxminddb maps its file, so that a file cut short in place would end the process by SIGBUS. We read the
// file into sealed anonymous memory first and let libmaxminddb map that: whatever happens to the file later
// cannot harm the worker. The price is the file's size in memory, for each worker, while it is open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "enrich/text.hpp"

namespace mirox::enrich {

inline constexpr std::size_t kLocationErrorBytes = 256;  // a buffer that holds every message

enum class LocationStatus : std::uint8_t {
    ok,
    no_database,  // no file is named
    unreadable,   // missing, no right to read it, not a file, too large, or an error of the disk
    invalid,      // not a MaxMind DB file, or a damaged one
    changing,     // it changed while it was read: to be tried again
    out_of_memory,
};

// Empty where nothing is known.
struct Location {
    // For people: city, region, country, as far as known; a region of the city's name is left out, and the
    // code stands in for a country whose name is not in the file: "Munich, Bavaria, Germany", "Berlin,
    // Germany", "DE".
    ShortText<128> shown;
    ShortText<2> country_code;  // ISO 3166-1 alpha-2
    ShortText<64> country;
    ShortText<64> region;
    ShortText<64> city;
};

struct LocationFile {
    bool loaded = false;  // there is a database to ask, if perhaps an older one than the file
    std::uint64_t bytes = 0;
    std::uint64_t build_epoch = 0;  // by the file's own word
    std::uint32_t nodes = 0;
    std::uint32_t loads = 0;  // how often a file was read with success
    ShortText<64> type;       // "GeoLite2-City"
};

struct LocationDatabase;

// Makes the state for the file `path`, which is not read yet and may be absent; an empty path names none.
// Null when out of memory.
LocationDatabase* open_locations(std::string_view path) noexcept;
void close_locations(LocationDatabase* database) noexcept;

// Reads the file when it has not been read, or another stands in its place (device, inode, size or time of
// change differ). A file that failed is not read again until it changes, unless the failure may pass by
// itself; the status and message are repeated. When it fails and an older one is at hand, that one stays in
// use. `file` may be null.
LocationStatus refresh_locations(LocationDatabase& database, LocationFile* file,
                                 std::span<char> error) noexcept;

// Gives back the memory of the database; the next refresh reads the file again.
void rest_locations(LocationDatabase& database) noexcept;

// Where `address` is: 4 or 16 bytes in network order. An IPv4-mapped IPv6 address counts as IPv4. Private,
// reserved and unknown addresses are nowhere: ok, and empty. Without a database: the status of the last
// refresh. `invalid` when the address leads to a damaged place of the file. Asks no file system.
LocationStatus locate(const LocationDatabase& database, std::span<const std::uint8_t> address,
                      Location& location, std::span<char> error) noexcept;

// Whether an address of 4 or 16 bytes can be somewhere: it is neither private nor reserved.
bool is_public_address(std::span<const std::uint8_t> address) noexcept;

}  // namespace mirox::enrich
