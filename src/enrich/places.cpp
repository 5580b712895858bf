// The location of an address, from any MaxMind DB file (see places.hpp).
//
// Holds no server call: the C++ library's exceptions end in this file. Takes no lock.
//
// libmaxminddb opens the file, searches its tree and decodes its records. This file adds two protections:
// - The library maps its file, so a file that is truncated in place would end the process with SIGBUS. It gets a copy in
//   anonymous memory, so later changes of the file cannot harm the worker. The price is the size of the file in memory, for each
//   worker, while it is open.
// - The library skips nested values by unbounded recursion, so a few megabytes of nested arrays would end the process. The
//   metadata and each record are first walked here, with bounds on depth and number.
#include "enrich/places.hpp"

#include <maxminddb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <initializer_list>

#include "core/chars.hpp"
#include "enrich/file.hpp"

namespace mirox::enrich {
namespace {

constexpr off_t kMostFileBytes = off_t{1} << 30;
constexpr std::size_t kMostMetadataBytes = 128 << 10;  // the format's bound, marker included
constexpr std::string_view kMetadataMarker = "\xab\xcd\xefMaxMind.com";

// ---- walking values, with bounds ------------------------------------------------------------------------------------------

// The depth of a GeoIP2 record is 4 and it has some 300 values; each level is one call of `walk`.
constexpr int kMostDepth = 16;
constexpr int kMostValues = 20'000;

class Walk {
  public:
    explicit Walk(std::string_view section) : section_(section) {}

    // Whether the value at `at` ends within the section and stays within the bounds.
    bool sound(std::size_t at) { return walk(at, 0); }

  private:
    bool walk(std::size_t& at, int depth) {
        std::uint32_t control = 0, type = 0;
        if (depth > kMostDepth || --values_left_ < 0 || !take(at, 1, control)) return false;
        type = control >> 5;
        if (type == MMDB_DATA_TYPE_POINTER) return follow(at, control, depth);
        if (type == MMDB_DATA_TYPE_EXTENDED) {
            if (!take(at, 1, type)) return false;
            type += 7;
        }
        std::uint32_t size = control & 31;
        if (size >= 29) {
            static constexpr std::uint32_t kBase[] = {29, 285, 65821};
            const std::uint32_t form = size - 29;
            if (!take(at, form + 1, size)) return false;
            size += kBase[form];
        }
        if (type == MMDB_DATA_TYPE_BOOLEAN) return true;  // the size is the value
        if (type == MMDB_DATA_TYPE_MAP || type == MMDB_DATA_TYPE_ARRAY) {
            for (std::uint64_t left = std::uint64_t{size} * (type == MMDB_DATA_TYPE_MAP ? 2 : 1); left > 0; --left)
                if (!walk(at, depth + 1)) return false;
            return true;
        }
        at += size;
        return at <= section_.size();
    }

    // Follows a pointer. Its target must be valid too, and not a pointer.
    bool follow(std::size_t& at, std::uint32_t control, int depth) {
        static constexpr std::uint32_t kBase[] = {0, 2048, 526336, 0};
        const std::uint32_t form = (control >> 3) & 3;
        std::uint32_t target = 0;
        if (!take(at, form + 1, target)) return false;
        if (form < 3) target += ((control & 7) << (8 * (form + 1))) + kBase[form];
        std::size_t there = target;
        return there < section_.size() && static_cast<std::uint8_t>(section_[there]) >> 5 != MMDB_DATA_TYPE_POINTER &&
               walk(there, depth + 1);
    }

    bool take(std::size_t& at, std::size_t count, std::uint32_t& value) {
        if (at > section_.size() || section_.size() - at < count) return false;
        value = 0;
        for (; count > 0; --count) value = value << 8 | static_cast<std::uint8_t>(section_[at++]);
        return true;
    }

    std::string_view section_;
    int values_left_ = kMostValues;
};

// ---- reading the file -----------------------------------------------------------------------------------------------------

struct Database {
    MMDB_s mmdb{};
    bool open = false;

    Database() = default;
    ~Database() {
        if (open) MMDB_close(&mmdb);
    }
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
};

// The metadata follow the last marker near the end of the file.
void check_metadata(const Descriptor& file, std::size_t size) {
    std::string tail(std::min(size, kMostMetadataBytes), '\0');
    if (pread(file.get(), tail.data(), tail.size(), static_cast<off_t>(size - tail.size())) < 0)
        throw Failure{Status::unreadable, system_error()};
    const std::size_t at = tail.rfind(kMetadataMarker);
    if (at == std::string::npos) throw Failure{Status::invalid, "it is not a MaxMind DB file"};
    if (!Walk(std::string_view(tail).substr(at + kMetadataMarker.size())).sound(0))
        throw Failure{Status::invalid, "its metadata are damaged"};
}

std::unique_ptr<Database> read_database(const Descriptor& file, std::size_t size) {
    const Descriptor memory(memfd_create("mirox_tokens geoip", MFD_CLOEXEC));
    if (memory.get() < 0) throw Failure{Status::unreadable, "no memory for a copy of it: " + system_error()};
    for (std::size_t copied = 0; copied < size;) {
        const ssize_t now = sendfile(memory.get(), file.get(), nullptr, size - copied);
        if (now < 0 && errno == EINTR) continue;
        if (now < 0) throw Failure{Status::unreadable, system_error()};
        if (now == 0) throw Failure{Status::unreadable, "it shrank while it was read"};
        copied += static_cast<std::size_t>(now);
    }
    check_metadata(memory, size);
    auto database = std::make_unique<Database>();
    const int result = MMDB_open(memory.path().c_str(), MMDB_MODE_MMAP, &database->mmdb);
    const bool may_pass = result == MMDB_IO_ERROR || result == MMDB_FILE_OPEN_ERROR || result == MMDB_OUT_OF_MEMORY_ERROR;
    if (result != MMDB_SUCCESS) throw Failure{may_pass ? Status::unreadable : Status::invalid, MMDB_strerror(result)};
    database->open = true;
    return database;
}

// ---- addresses ------------------------------------------------------------------------------------------------------------

struct Network {
    std::uint32_t first;  // the first four bytes; no network below is narrower
    int bits;

    constexpr bool holds(std::uint32_t address) const { return (address ^ first) >> (32 - bits) == 0; }
};

// IANA's special-purpose networks, which have no location, and multicast.
constexpr Network kNowhereV4[] = {{0x00000000, 8},  {0x0A000000, 8},  {0x64400000, 10}, {0x7F000000, 8},  {0xA9FE0000, 16},
                                  {0xAC100000, 12}, {0xC0000000, 24}, {0xC0000200, 24}, {0xC0A80000, 16}, {0xC6120000, 15},
                                  {0xC6336400, 24}, {0xCB007100, 24}, {0xE0000000, 3}};
// Only 2000::/3 is allocated, except what IETF reserves of it (2001::/23, with Teredo) and the documentation networks.
constexpr Network kPublicV6{0x20000000, 3};
constexpr Network kNowhereV6[] = {{0x20010000, 23}, {0x20010DB8, 32}, {0x3FFF0000, 20}};

bool is_public(std::span<const std::uint8_t> address) {
    std::uint32_t first = 0;
    for (const std::uint8_t byte : address.first(4)) first = first << 8 | byte;
    const std::span<const Network> nowhere =
        address.size() == 4 ? std::span<const Network>(kNowhereV4) : std::span<const Network>(kNowhereV6);
    return (address.size() == 4 || kPublicV6.holds(first)) &&
           std::none_of(nowhere.begin(), nowhere.end(), [&](const Network& network) { return network.holds(first); });
}

MMDB_lookup_result_s look_up(const MMDB_s& mmdb, std::span<const std::uint8_t> address) {
    int result = MMDB_SUCCESS;
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    v4.sin_family = AF_INET;
    v6.sin6_family = AF_INET6;
    const bool is_v4 = address.size() == 4;
    std::copy(address.begin(), address.end(), is_v4 ? reinterpret_cast<std::uint8_t*>(&v4.sin_addr) : v6.sin6_addr.s6_addr);
    MMDB_lookup_result_s found = MMDB_lookup_sockaddr(
        &mmdb, is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6), &result);
    found.found_entry = found.found_entry && result == MMDB_SUCCESS;
    return found;
}

// ---- records --------------------------------------------------------------------------------------------------------------

// Two names and a separator fit into a Text.
constexpr std::size_t kMostNameBytes = (sizeof Text::bytes - 2) / 2;

using Path = std::initializer_list<const char*>;  // ends in a null

// The text at the first of `paths` that exists and is not empty.
std::string text_at(MMDB_entry_s& entry, std::initializer_list<Path> paths) {
    for (const Path& path : paths) {
        MMDB_entry_data_s value{};
        if (MMDB_aget_value(&entry, &value, path.begin()) != MMDB_SUCCESS) continue;
        if (!value.has_data || value.type != MMDB_DATA_TYPE_UTF8_STRING) continue;
        char clean[kMostNameBytes];
        const std::size_t size = Text::clean({value.utf8_string, value.data_size}, clean);
        if (size > 0 && std::string_view(clean, size) != "-")  // some files use it for unknown
            return {clean, size};
    }
    return {};
}

bool is_code(std::string_view text) {
    const auto is_letter = [](char c) { return core::is_alphanumeric(c) && !core::is_digit(c); };
    return text.size() == 2 && std::all_of(text.begin(), text.end(), is_letter);
}

// Joins the parts that are not empty with ", ".
std::string joined(std::initializer_list<std::string_view> parts) {
    std::string out;
    for (const std::string_view part : parts) {
        if (part.empty()) continue;
        if (!out.empty()) out += ", ";
        out += part;
    }
    return out;
}

// The code at the first of `paths` that holds one, in upper case. ZZ and XX mean unknown.
std::string country_code(MMDB_entry_s& entry) {
    for (const Path& path : {Path{"country", "iso_code", nullptr}, Path{"country_code", nullptr}, Path{"country", nullptr}}) {
        std::string code = text_at(entry, {path});
        std::transform(code.begin(), code.end(), code.begin(), core::to_upper);
        if (is_code(code) && code != "ZZ" && code != "XX") return code;
    }
    return {};
}

// The number at the first of `paths` that holds one of at most `most` degrees, as a number or as text.
bool degrees_at(MMDB_entry_s& entry, std::initializer_list<Path> paths, double most, double& out) {
    for (const Path& path : paths) {
        MMDB_entry_data_s value{};
        if (MMDB_aget_value(&entry, &value, path.begin()) != MMDB_SUCCESS || !value.has_data) continue;
        if (value.type == MMDB_DATA_TYPE_DOUBLE) {
            out = value.double_value;
        } else if (value.type == MMDB_DATA_TYPE_FLOAT) {
            out = value.float_value;
        } else if (value.type == MMDB_DATA_TYPE_UTF8_STRING) {
            const char* const end = value.utf8_string + value.data_size;
            const auto [last, error] = std::from_chars(value.utf8_string, end, out);
            if (error != std::errc() || last != end) continue;
        } else {
            continue;
        }
        if (std::abs(out) <= most) return true;  // false for what is no number, too
    }
    return false;
}

void describe(MMDB_entry_s& entry, Place& out) {
    const std::string code = country_code(entry);
    std::copy(code.begin(), code.end(), out.country);
    // The field "country" is a map, a code or a name, depending on the layout.
    std::string country = text_at(entry, {{"country", "names", "en", nullptr}, {"country_name", nullptr}, {"country", nullptr}});
    if (country.empty() || is_code(country)) country = code;
    const std::string city = text_at(entry, {{"city", "names", "en", nullptr}, {"city_name", nullptr}, {"city", nullptr}});
    std::string region = text_at(
        entry,
        {{"subdivisions", "0", "names", "en", nullptr}, {"region_name", nullptr}, {"region", nullptr}, {"state1", nullptr}});
    out.city.assign(city);
    out.region.assign(region);
    if (region == city) region.clear();
    std::string all = joined({city, region, country});
    if (all.size() > sizeof Text::bytes) all = joined({city, country});
    out.location.assign(all);
    double latitude = 0, longitude = 0;
    // A file that does not know the position of an entry may say 0, 0, which is in the sea.
    if (!degrees_at(entry, {{"location", "latitude", nullptr}, {"latitude", nullptr}, {"lat", nullptr}}, 90, latitude) ||
        !degrees_at(entry, {{"location", "longitude", nullptr}, {"longitude", nullptr}, {"lng", nullptr}, {"lon", nullptr}}, 180,
                    longitude) ||
        (latitude == 0 && longitude == 0))
        return;
    out.positioned = true;
    out.latitude = latitude;
    out.longitude = longitude;
}

}  // namespace

struct Locations {
    FromFile<Database> file;
};

Locations* open_locations(const char* path) noexcept {
    try {
        return new Locations{{path, kMostFileBytes}};
    } catch (...) {
        return nullptr;
    }
}

void close_locations(Locations* locations) noexcept {
    delete locations;
}

Status refresh_locations(Locations& locations, std::span<char> why) noexcept {
    return locations.file.refresh(read_database, why);
}

void locate(const Locations& locations, std::span<const std::uint8_t> address, Place& out) noexcept {
    out = {};
    const Database* const database = locations.file.get();
    if (database == nullptr || !is_public(address)) return;
    const MMDB_s& mmdb = database->mmdb;
    MMDB_lookup_result_s found = look_up(mmdb, address);
    const std::string_view data(reinterpret_cast<const char*>(mmdb.data_section), mmdb.data_section_size);
    if (!found.found_entry || !Walk(data).sound(found.entry.offset)) return;
    try {
        describe(found.entry, out);
    } catch (...) {  // only an allocation can fail here
        out = {};
    }
}

}  // namespace mirox::enrich
