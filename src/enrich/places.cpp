// Where an address is, by any MaxMind DB file.
//
// This file holds no server call: the C++ library's exceptions end in this file. Takes no lock.
//
// libmaxminddb opens the file, searches its tree and decodes its records. It trusts one thing that a damaged
// or hostile file can abuse: it skips nested values by recursion without a bound, and a few megabytes of
// nested arrays end the process. So the metadata and each record are first walked here, with bounds on depth
// and number.
#include "enrich/places.hpp"

#include <fcntl.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

namespace mirox::enrich {
namespace {

constexpr off_t kMaxFileBytes = off_t{1} << 30;
constexpr std::size_t kCopyBytes = 256 << 10;
constexpr std::size_t kMaxMetadataBytes = 128 << 10;  // the format's bound, marker included
constexpr std::string_view kMetadataMarker = "\xab\xcd\xefMaxMind.com";

struct Failure {
    LocationStatus status;
    std::string message;
};

std::string system_error(int number) {
    char buffer[128];
    return strerror_r(number, buffer, sizeof buffer);  // GNU's form: returns the text
}

struct FileMark {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = -1;
    std::int64_t modified = 0;  // nanoseconds
    std::int64_t changed = 0;   // of the inode: also moves when the time of modification is set back

    bool operator==(const FileMark&) const = default;
};

FileMark mark_of(const struct stat& status) {
    const auto nanoseconds = [](const struct timespec& time) {
        return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
    };
    return {status.st_dev, status.st_ino, status.st_size, nanoseconds(status.st_mtim),
            nanoseconds(status.st_ctim)};
}

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return number_; }

  private:
    int number_;
};

class Mapping {
  public:
    Mapping(int file, std::size_t size) : size_(size) {
        address_ = mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
        if (address_ == MAP_FAILED) throw Failure{LocationStatus::out_of_memory, system_error(errno)};
    }
    ~Mapping() { munmap(address_, size_); }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    std::span<const std::uint8_t> bytes() const {
        return {static_cast<const std::uint8_t*>(address_), size_};
    }

  private:
    void* address_;
    std::size_t size_;
};

// ---- walking values, with bounds ----------------------------------------------------------------------

// The depth of a GeoIP2 record is 4 and it has some 300 values; each level is one call of `walk`.
constexpr int kMaxDepth = 16;
constexpr int kMaxValues = 20'000;

class Walk {
  public:
    explicit Walk(std::span<const std::uint8_t> section) : section_(section) {}

    // Whether the value at `at` is whole, of known types, and neither too deep nor too large.
    bool sound(std::size_t at) { return walk(at, 0, nullptr); }

  private:
    bool walk(std::size_t& at, int depth, std::uint8_t* seen_type) {
        if (depth > kMaxDepth || --values_left_ < 0) return false;
        std::uint32_t control = 0;
        if (!take(at, 1, control)) return false;
        std::uint32_t type = control >> 5;
        if (type == MMDB_DATA_TYPE_POINTER) return follow(at, control, depth, seen_type);
        if (type == MMDB_DATA_TYPE_EXTENDED) {
            if (!take(at, 1, type)) return false;
            type += 7;
            if (type < MMDB_DATA_TYPE_INT32) return false;
        }
        if (seen_type != nullptr) *seen_type = static_cast<std::uint8_t>(type);

        std::uint32_t size = control & 31;
        if (size >= 29) {
            static constexpr std::uint32_t kBase[] = {29, 285, 65821};
            const std::uint32_t form = size - 29;
            if (!take(at, form + 1, size)) return false;
            size += kBase[form];
        }
        switch (type) {
            case MMDB_DATA_TYPE_UTF8_STRING:
            case MMDB_DATA_TYPE_BYTES:
                return skip(at, size);
            case MMDB_DATA_TYPE_DOUBLE:
                return size == 8 && skip(at, size);
            case MMDB_DATA_TYPE_FLOAT:
                return size == 4 && skip(at, size);
            case MMDB_DATA_TYPE_UINT16:
                return size <= 2 && skip(at, size);
            case MMDB_DATA_TYPE_UINT32:
            case MMDB_DATA_TYPE_INT32:
                return size <= 4 && skip(at, size);
            case MMDB_DATA_TYPE_UINT64:
                return size <= 8 && skip(at, size);
            case MMDB_DATA_TYPE_UINT128:
                return size <= 16 && skip(at, size);
            case MMDB_DATA_TYPE_BOOLEAN:
                return size <= 1;  // the size is the value
            case MMDB_DATA_TYPE_ARRAY:
                for (; size > 0; --size) {
                    if (!walk(at, depth + 1, nullptr)) return false;
                }
                return true;
            case MMDB_DATA_TYPE_MAP:
                for (; size > 0; --size) {
                    std::uint8_t key_type = 0;
                    if (!walk(at, depth + 1, &key_type) || key_type != MMDB_DATA_TYPE_UTF8_STRING)
                        return false;
                    if (!walk(at, depth + 1, nullptr)) return false;
                }
                return true;
            default:
                return false;
        }
    }

    // A pointer: what it points to must be sound too, and no pointer itself.
    bool follow(std::size_t& at, std::uint32_t control, int depth, std::uint8_t* seen_type) {
        static constexpr std::uint32_t kBase[] = {0, 2048, 526336, 0};
        const std::uint32_t form = (control >> 3) & 3;
        std::uint32_t target = 0;
        if (!take(at, form + 1, target)) return false;
        if (form < 3) target += ((control & 7) << (8 * (form + 1))) + kBase[form];
        std::size_t there = target;
        if (there >= section_.size() || section_[there] >> 5 == MMDB_DATA_TYPE_POINTER) return false;
        return walk(there, depth + 1, seen_type);
    }

    bool take(std::size_t& at, std::size_t count, std::uint32_t& value) {
        if (at > section_.size() || section_.size() - at < count) return false;
        value = 0;
        for (; count > 0; --count) value = value << 8 | section_[at++];
        return true;
    }

    bool skip(std::size_t& at, std::size_t count) {
        if (section_.size() - at < count) return false;
        at += count;
        return true;
    }

    std::span<const std::uint8_t> section_;
    int values_left_ = kMaxValues;
};

// ---- reading the file -----------------------------------------------------------------------------------

// The metadata stand after the last marker near the end of the file.
std::span<const std::uint8_t> metadata_of(std::span<const std::uint8_t> file) {
    const std::span<const std::uint8_t> tail = file.last(std::min(file.size(), kMaxMetadataBytes));
    const std::string_view text(reinterpret_cast<const char*>(tail.data()), tail.size());
    const std::size_t at = text.rfind(kMetadataMarker);
    if (at == std::string_view::npos) throw Failure{LocationStatus::invalid, "it is not a MaxMind DB file"};
    return tail.subspan(at + kMetadataMarker.size());
}

// Copies the file's bytes to `memory` and seals them.
void copy_file(int file, int memory, off_t size) {
    const auto buffer = std::make_unique<char[]>(kCopyBytes);
    off_t copied = 0;
    for (;;) {
        const ssize_t got = read(file, buffer.get(), kCopyBytes);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) throw Failure{LocationStatus::unreadable, system_error(errno)};
        if (got == 0) break;
        copied += got;
        if (copied > size) throw Failure{LocationStatus::changing, "it grew while it was read"};
        for (ssize_t put = 0; put < got;) {
            const ssize_t now = write(memory, buffer.get() + put, static_cast<std::size_t>(got - put));
            if (now < 0 && errno == EINTR) continue;
            if (now < 0) throw Failure{LocationStatus::out_of_memory, system_error(errno)};
            put += now;
        }
    }
    if (copied != size) throw Failure{LocationStatus::changing, "it shrank while it was read"};
    if (fcntl(memory, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
        throw Failure{LocationStatus::unreadable,
                      "its copy in memory cannot be sealed: " + system_error(errno)};
    }
}

class Database {
  public:
    // Opens the copy in `memory`.
    Database(int memory, std::size_t size) {
        {
            const Mapping mapping(memory, size);
            if (!Walk(metadata_of(mapping.bytes())).sound(0)) {
                throw Failure{LocationStatus::invalid, "its metadata are damaged"};
            }
        }
        char name[48];
        std::snprintf(name, sizeof name, "/proc/self/fd/%d", memory);
        const int result = MMDB_open(name, MMDB_MODE_MMAP, &mmdb_);
        if (result == MMDB_OUT_OF_MEMORY_ERROR) throw std::bad_alloc();
        if (result != MMDB_SUCCESS) {
            const bool system = result == MMDB_IO_ERROR || result == MMDB_FILE_OPEN_ERROR;
            throw Failure{system ? LocationStatus::unreadable : LocationStatus::invalid,
                          MMDB_strerror(result)};
        }
    }
    ~Database() { MMDB_close(&mmdb_); }
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    const MMDB_s& get() const { return mmdb_; }
    std::span<const std::uint8_t> data() const { return {mmdb_.data_section, mmdb_.data_section_size}; }

  private:
    MMDB_s mmdb_{};
};

}  // namespace

struct LocationDatabase {
    std::string path;
    std::unique_ptr<Database> current;
    FileMark mark;  // of the file that `current` was read from
    LocationFile file;

    LocationStatus last_status = LocationStatus::no_database;
    std::string last_error;
    std::optional<FileMark> failed;  // the file that cannot be used, until it changes
};

namespace {

void load(LocationDatabase& database) {
    struct stat status {};
    FileMark mark;
    if (stat(database.path.c_str(), &status) == 0) {
        mark = mark_of(status);
        if (database.current && mark == database.mark) return;
        if (database.failed && mark == *database.failed) {
            throw Failure{database.last_status, database.last_error};
        }
    }
    database.failed.reset();

    // A pipe or device under this name must not stop the worker: hence O_NONBLOCK.
    const Descriptor file(open(database.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (file.get() < 0 || fstat(file.get(), &status) != 0) {
        throw Failure{LocationStatus::unreadable, system_error(errno)};
    }
    if (!S_ISREG(status.st_mode)) throw Failure{LocationStatus::unreadable, "it is not a regular file"};
    mark = mark_of(status);
    if (status.st_size > kMaxFileBytes) {
        database.failed = mark;
        throw Failure{LocationStatus::unreadable, "it is larger than 1 GB"};
    }

    const Descriptor memory(memfd_create("mirox_tokens geoip", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (memory.get() < 0) {
        throw Failure{LocationStatus::unreadable, "no memory for a copy of it: " + system_error(errno)};
    }
    copy_file(file.get(), memory.get(), status.st_size);
    if (fstat(file.get(), &status) != 0 || mark_of(status) != mark) {
        throw Failure{LocationStatus::changing, "it changed while it was read"};
    }

    std::unique_ptr<Database> fresh;
    try {
        if (mark.size == 0) throw Failure{LocationStatus::invalid, "it is empty"};
        fresh = std::make_unique<Database>(memory.get(), static_cast<std::size_t>(mark.size));
    } catch (const Failure& failure) {
        if (failure.status == LocationStatus::invalid) database.failed = mark;
        throw;
    }
    database.current = std::move(fresh);
    database.mark = mark;

    LocationFile& about = database.file;
    const MMDB_metadata_s& metadata = database.current->get().metadata;
    about.loaded = true;
    about.bytes = static_cast<std::uint64_t>(mark.size);
    about.build_epoch = metadata.build_epoch;
    about.nodes = metadata.node_count;
    about.type.assign_clean(metadata.database_type == nullptr ? "" : metadata.database_type);
    ++about.loads;
}

void put_error(std::span<char> error, const LocationDatabase& database, LocationStatus status) noexcept {
    if (error.empty()) return;
    const std::string_view path = database.path;
    std::string_view why = database.last_error;
    if (status == LocationStatus::no_database) why = "no file is named";
    if (why.empty()) why = status == LocationStatus::out_of_memory ? "out of memory" : "cannot be used";
    const int written = std::snprintf(error.data(), error.size(), "location database \"%.*s\": %.*s",
                                      static_cast<int>(utf8_prefix(path, 120)), path.data(),
                                      static_cast<int>(utf8_prefix(why, 100)), why.data());
    if (written < 0) error[0] = '\0';
}

void put_error(std::span<char> error, std::string_view why) noexcept {
    if (error.empty()) return;
    const std::size_t size = utf8_prefix(why, error.size() - 1);
    std::memcpy(error.data(), why.data(), size);
    error[size] = '\0';
}

// ---- addresses --------------------------------------------------------------------------------------------

bool within(std::span<const std::uint8_t> address, std::initializer_list<std::uint8_t> prefix,
            int bits) noexcept {
    const std::uint8_t* network = prefix.begin();
    for (std::size_t i = 0; bits > 0; ++i, bits -= 8) {
        const auto mask = static_cast<std::uint8_t>(bits >= 8 ? 0xFF : 0xFF << (8 - bits));
        if ((address[i] ^ network[i]) & mask) return false;
    }
    return true;
}

// IANA's special-purpose addresses that belong to no place, and multicast.
bool is_public_v4(std::span<const std::uint8_t> a) noexcept {
    return !(within(a, {0}, 8) || within(a, {10}, 8) || within(a, {100, 64}, 10) || within(a, {127}, 8) ||
             within(a, {169, 254}, 16) || within(a, {172, 16}, 12) || within(a, {192, 0, 0}, 24) ||
             within(a, {192, 0, 2}, 24) || within(a, {192, 168}, 16) || within(a, {198, 18}, 15) ||
             within(a, {198, 51, 100}, 24) || within(a, {203, 0, 113}, 24) || within(a, {224}, 3));
}

// Only 2000::/3 is given out, less what IETF keeps of it (2001::/23, with Teredo) and what is for documents.
bool is_public_v6(std::span<const std::uint8_t> a) noexcept {
    return within(a, {0x20}, 3) && !within(a, {0x20, 0x01, 0x00}, 23) &&
           !within(a, {0x20, 0x01, 0x0D, 0xB8}, 32) && !within(a, {0x3F, 0xFF, 0x00}, 20);
}

// The last four bytes of an IPv4-mapped address, others as they are.
std::span<const std::uint8_t> unmapped(std::span<const std::uint8_t> address) noexcept {
    static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    if (address.size() == 16 && std::equal(std::begin(kMapped), std::end(kMapped), address.begin())) {
        return address.subspan(12);
    }
    return address;
}

// ---- records
// ------------------------------------------------------------------------------------------------

using Path = std::array<const char*, 5>;  // ends in a null

// The text at the first of `paths` that is there and not empty.
template <std::size_t kSize, std::size_t kPaths>
void read_text(MMDB_entry_s& entry, const Path (&paths)[kPaths], ShortText<kSize>& out) noexcept {
    for (const Path& path : paths) {
        MMDB_entry_data_s value{};
        if (MMDB_aget_value(&entry, &value, path.data()) != MMDB_SUCCESS) continue;
        if (!value.has_data || value.type != MMDB_DATA_TYPE_UTF8_STRING) continue;
        // Only so much is looked at as can be needed: a damaged file may claim megabytes.
        out.assign_clean({value.utf8_string, std::min<std::size_t>(value.data_size, 4 * kSize)});
        if (out.view() == "-") out.clear();  // some files' word for unknown
        if (!out.empty()) return;
    }
}

constexpr Path kCodePaths[] = {{"country", "iso_code"}, {"country_code"}, {"country"}};
constexpr Path kCountryPaths[] = {{"country", "names", "en"}, {"country_name"}, {"country"}};
constexpr Path kRegionPaths[] = {
    {"subdivisions", "0", "names", "en"}, {"region_name"}, {"region"}, {"state1"}};
constexpr Path kCityPaths[] = {{"city", "names", "en"}, {"city_name"}, {"city"}};

// A country's code: two letters. ZZ and XX say that it is unknown.
bool country_code(std::string_view text, ShortText<2>& code) noexcept {
    code.clear();
    if (text.size() != 2) return false;
    for (char c : text) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        if (c < 'A' || c > 'Z') {
            code.clear();
            return false;
        }
        code.append({&c, 1});
    }
    if (code.view() == "ZZ" || code.view() == "XX") code.clear();
    return true;
}

// Joins with ", " what is not empty; false, and nothing written, when it does not fit.
bool join(ShortText<128>& shown, std::initializer_list<std::string_view> parts) noexcept {
    shown.clear();
    for (const std::string_view part : parts) {
        if (part.empty()) continue;
        if ((shown.size > 0 && !shown.append(", ")) || !shown.append(part)) {
            shown.clear();
            return false;
        }
    }
    return true;
}

void read_location(MMDB_entry_s& entry, Location& location) noexcept {
    // A field "country" is a map, a code or a name, by the layout.
    ShortText<64> code{};
    read_text(entry, kCodePaths, code);
    country_code(code.view(), location.country_code);
    read_text(entry, kCountryPaths, location.country);
    ShortText<2> name_is_code{};
    if (country_code(location.country.view(), name_is_code)) location.country.clear();
    read_text(entry, kRegionPaths, location.region);
    read_text(entry, kCityPaths, location.city);

    const std::string_view country =
        location.country.empty() ? location.country_code.view() : location.country.view();
    const std::string_view city = location.city.view();
    std::string_view region = location.region.view();
    if (region == city) region = {};
    // Two of the names always fit, three almost always: the region gives way.
    if (!join(location.shown, {city, region, country}) && !join(location.shown, {city, country})) {
        join(location.shown, {country});
    }
}

}  // namespace

LocationDatabase* open_locations(std::string_view path) noexcept {
    try {
        auto database = std::make_unique<LocationDatabase>();
        database->path = path;
        return database.release();
    } catch (...) {
        return nullptr;
    }
}

void close_locations(LocationDatabase* database) noexcept {
    delete database;
}

LocationStatus refresh_locations(LocationDatabase& database, LocationFile* file,
                                 std::span<char> error) noexcept {
    if (!error.empty()) error[0] = '\0';
    LocationStatus status = LocationStatus::ok;
    std::string message;
    try {
        if (database.path.empty()) {
            status = LocationStatus::no_database;
        } else if (database.path.find('\0') != std::string::npos) {
            throw Failure{LocationStatus::unreadable, "its name has a zero byte"};
        } else {
            load(database);
        }
    } catch (Failure& failure) {
        status = failure.status;
        message = std::move(failure.message);
    } catch (...) {
        status = LocationStatus::out_of_memory;
    }
    database.last_status = status;
    database.last_error = std::move(message);
    if (status != LocationStatus::ok) put_error(error, database, status);
    if (file != nullptr) *file = database.file;
    return status;
}

void rest_locations(LocationDatabase& database) noexcept {
    database.current.reset();
    database.file.loaded = false;
}

LocationStatus locate(const LocationDatabase& database, std::span<const std::uint8_t> address,
                      Location& location, std::span<char> error) noexcept {
    location = Location{};
    if (!error.empty()) error[0] = '\0';
    if (!database.current) {
        const LocationStatus status =
            database.last_status == LocationStatus::ok ? LocationStatus::no_database : database.last_status;
        put_error(error, database, status);
        return status;
    }
    if (!is_public_address(address)) return LocationStatus::ok;
    address = unmapped(address);

    const MMDB_s& mmdb = database.current->get();
    int result = MMDB_SUCCESS;
    MMDB_lookup_result_s found{};
    if (address.size() == 4) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        std::memcpy(&v4.sin_addr, address.data(), 4);
        found = MMDB_lookup_sockaddr(&mmdb, reinterpret_cast<const sockaddr*>(&v4), &result);
    } else {
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        std::memcpy(&v6.sin6_addr, address.data(), 16);
        found = MMDB_lookup_sockaddr(&mmdb, reinterpret_cast<const sockaddr*>(&v6), &result);
    }
    if (result == MMDB_IPV6_LOOKUP_IN_IPV4_DATABASE_ERROR) return LocationStatus::ok;
    if (result == MMDB_SUCCESS && !found.found_entry) return LocationStatus::ok;
    if (result != MMDB_SUCCESS || !Walk(database.current->data()).sound(found.entry.offset)) {
        put_error(error, "location database: the record of an address is damaged");
        return LocationStatus::invalid;
    }
    read_location(found.entry, location);
    return LocationStatus::ok;
}

bool is_public_address(std::span<const std::uint8_t> address) noexcept {
    address = unmapped(address);
    if (address.size() == 4) return is_public_v4(address);
    return address.size() == 16 && is_public_v6(address);
}

}  // namespace mirox::enrich
