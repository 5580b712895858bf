// The location of an address, from any MaxMind DB file: country, and region and city when the file has them.
//
// Holds no server call. Plain data in and out, nothing throws, no static objects: open_locations makes the state, which lives
// behind a pointer. Only the worker's single thread uses it, so it takes no lock.
//
// Supported layouts: GeoLite2, GeoIP2 and DB-IP (country.iso_code, country.names.en, subdivisions[0].names.en, city.names.en),
// and the flat ones of ip-location-db, IPinfo and IPLocate (country_code, country, country_name, state1, region, city). Latitude and
// longitude stand in a map "location" or at the top, as numbers or as text. Names are read in English.
#pragma once

#include <cstdint>
#include <span>

#include "enrich/text.hpp"

namespace mirox::enrich {

struct Locations;

// What a file says of an address. Each part is empty where the file does not have it.
struct Place {
    Text location;  // for people: city, region, country
    Text region;
    Text city;
    char country[2] = {};  // ISO 3166-1 alpha-2 in upper case; zero bytes: not known
    bool positioned = false;
    double latitude = 0, longitude = 0;  // in degrees

    std::string_view country_code() const noexcept { return {country, country[0] == 0 ? 0U : 2U}; }
};

// Makes the state for the file `path`, which is not read yet and may be missing. An empty path means no file. Null when out of
// memory.
Locations* open_locations(const char* path) noexcept;
void close_locations(Locations* locations) noexcept;

// Reads the file when it was replaced (see file.hpp). `why` gets the reason when the status is not ok.
Status refresh_locations(Locations& locations, std::span<char> why) noexcept;

// The place of `address` (4 or 16 bytes in network order). Its location is city, region and country as people read them, as far
// as known. There a region with the name of the city is left out, and the code stands in for a country whose name is not in the
// file: "Munich, Bavaria, Germany", "Berlin, Germany", "DE". Private, reserved and unknown addresses have no place. Makes no file
// system call.
void locate(const Locations& locations, std::span<const std::uint8_t> address, Place& out) noexcept;

}  // namespace mirox::enrich
