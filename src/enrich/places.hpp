// Where an address is, by any MaxMind DB file: country, and region and city when the file has them.
//
// Holds no server call. Plain data in and out, nothing throws, no static object: the state is made by open_locations and lives
// behind a pointer. One user at a time: the worker's single thread; it takes no lock.
//
// Layouts that are understood: GeoLite2, GeoIP2 and DB-IP (country.iso_code, country.names.en, subdivisions[0].names.en,
// city.names.en) and the flat ones of ip-location-db, IPinfo and IPLocate (country_code, country, country_name, state1, region,
// city). Names are taken in English.
#pragma once

#include <cstdint>
#include <span>

#include "enrich/text.hpp"

namespace mirox::enrich {

struct Locations;

// Makes the state for the file `path`, which is not read yet and may be absent; an empty path names none. Null when out of
// memory.
Locations* open_locations(const char* path) noexcept;
void close_locations(Locations* locations) noexcept;

// Reads the file when another stands in its place (see file.hpp); `why` gets the reason when the status is not ok.
Status refresh_locations(Locations& locations, std::span<char> why) noexcept;

// Where `address` is: 4 or 16 bytes in network order. For people: city, region, country, as far as known; a region of the city's
// name is left out, and the code stands in for a country whose name is not in the file: "Munich, Bavaria, Germany", "Berlin,
// Germany", "DE". Private, reserved and unknown addresses are nowhere. Asks no file system.
void locate(const Locations& locations, std::span<const std::uint8_t> address, Text& out) noexcept;

}  // namespace mirox::enrich
