// The location of an address, from any MaxMind DB file: country, and region and city when the file has them.
//
// Holds no server call. Plain data in and out, nothing throws, no static objects: open_locations makes the state, which lives
// behind a pointer. Only the worker's single thread uses it, so it takes no lock.
//
// Supported layouts: GeoLite2, GeoIP2 and DB-IP (country.iso_code, country.names.en, subdivisions[0].names.en, city.names.en),
// and the flat ones of ip-location-db, IPinfo and IPLocate (country_code, country, country_name, state1, region, city). Names are
// read in English.
#pragma once

#include <cstdint>
#include <span>

#include "enrich/text.hpp"

namespace mirox::enrich {

struct Locations;

// Makes the state for the file `path`, which is not read yet and may be missing. An empty path means no file. Null when out of
// memory.
Locations* open_locations(const char* path) noexcept;
void close_locations(Locations* locations) noexcept;

// Reads the file when it was replaced (see file.hpp). `why` gets the reason when the status is not ok.
Status refresh_locations(Locations& locations, std::span<char> why) noexcept;

// The location of `address` (4 or 16 bytes in network order) as people read it: city, region, country, as far as known. A region
// with the name of the city is left out, and the code stands in for a country whose name is not in the file: "Munich, Bavaria,
// Germany", "Berlin, Germany", "DE". Private, reserved and unknown addresses have no location. Makes no file system call.
void locate(const Locations& locations, std::span<const std::uint8_t> address, Text& out) noexcept;

}  // namespace mirox::enrich
