// Location by MaxMind DB files. The files are made from data/enrich_places_*.json by
// scripts/make_test_mmdb.py and checked against mmdblookup (Debian package mmdb-bin), so the expected values
// do not come from our reader; the damaged and hostile ones are built here byte by byte from the format's
// specification.
#include "enrich/places.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "enrich_support.hpp"

#ifndef MIROX_SOURCE_DIR
#error "MIROX_SOURCE_DIR must name the tree"
#endif

namespace {

using namespace mirox::enrich;
namespace fs = std::filesystem;

const std::string kData = MIROX_SOURCE_DIR "/test/unit/data/";
const std::string kCity = kData + "enrich_places_city.mmdb";
const std::string kFlat = kData + "enrich_places_flat.mmdb";
const std::string kWriter = "python3 " MIROX_SOURCE_DIR "/scripts/make_test_mmdb.py ";

std::vector<std::uint8_t> bytes_of(const std::string& address) {
    std::vector<std::uint8_t> bytes(16);
    if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) return bytes;
    bytes.resize(4);
    if (inet_pton(AF_INET, address.c_str(), bytes.data()) != 1) std::abort();
    return bytes;
}

std::string content_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

struct Places {
    explicit Places(const std::string& path) : locations(open_locations(path.c_str())) {}
    ~Places() { close_locations(locations); }
    Places(const Places&) = delete;
    Places& operator=(const Places&) = delete;

    Status refresh() { return refresh_locations(*locations, why); }
    Place place(const std::string& address) {
        Place out;
        locate(*locations, bytes_of(address), out);
        return out;
    }
    std::string find(const std::string& address) { return std::string(place(address).location.view()); }
    bool says(std::string_view words) const { return std::string_view(why).find(words) != std::string_view::npos; }

    Locations* locations;
    char why[kReasonBytes] = "";
};

std::string output_of(const std::string& command) {
    std::string out;
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return out;
    char buffer[4096];
    for (std::size_t got; (got = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, got);
    pclose(pipe);
    return out;
}

// What mmdblookup finds at a path of keys: the text between the quotes, or nothing.
std::string mmdblookup(const std::string& file, const std::string& address, const std::string& keys) {
    const std::string out = output_of("mmdblookup -f " + file + " -i " + address + " " + keys + " 2>/dev/null");
    const std::size_t from = out.find('"');
    const std::size_t to = out.rfind("\" <utf8_string>");
    if (from == std::string::npos || to == std::string::npos) return {};
    return out.substr(from + 1, to - from - 1);
}

std::string repeated(std::string_view piece, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += piece;
    return out;
}

// ---- files built by hand -------------------------------------------------------------------------------

std::string text(std::string_view value) {
    return std::string(1, static_cast<char>(0x40 | value.size())) + std::string(value);
}
std::string map(int pairs) {
    return std::string(1, static_cast<char>(0xE0 | pairs));
}
const std::string kArrayOfOne("\x01\x04", 2);
const std::string kMarker = "\xab\xcd\xefMaxMind.com";

std::string metadata(const std::string& languages = std::string("\x00\x04", 2), int record_size = 24, int ip_version = 4) {
    return map(9) + text("binary_format_major_version") + "\xa1\x02" + text("binary_format_minor_version") + "\xa0" +
           text("build_epoch") + std::string("\x01\x02\x01", 3) + text("database_type") + text("Hand") + text("description") +
           map(0) + text("ip_version") + "\xa1" + static_cast<char>(ip_version) + text("languages") + languages +
           text("node_count") + "\xc1\x01" + text("record_size") + "\xa1" + static_cast<char>(record_size);
}

// One node, whose two records lead to the value at `offset` of `data`: every IPv4 address has this value.
std::string hand_made(const std::string& data, std::uint32_t offset = 0, const std::string& meta = metadata()) {
    const std::uint32_t record = 1 + 16 + offset;
    const std::string half{static_cast<char>(record >> 16), static_cast<char>(record >> 8), static_cast<char>(record)};
    return half + half + std::string(16, '\0') + data + kMarker + meta;
}

// ---- tests ------------------------------------------------------------------------------------------------

TEST(WorkerEnrichGeo, WriterGivesTheCommittedFiles) {
    TemporaryFile file("geo.mmdb");
    for (const std::string name : {"city", "flat"}) {
        const std::string source = kData + "enrich_places_" + name + ".json";
        ASSERT_EQ(std::system((kWriter + source + " " + file.path).c_str()), 0);
        EXPECT_EQ(content_of(file.path), content_of(kData + "enrich_places_" + name + ".mmdb"));
    }
}

TEST(WorkerEnrichGeo, FindsWhatMmdblookupFinds) {
    Places locations(kCity);
    ASSERT_EQ(locations.refresh(), Status::ok) << locations.why;
    int named = 0;
    for (const char* address :
         {"81.2.0.0", "81.2.69.0", "81.2.69.191", "81.2.69.192", "81.2.69.255", "81.2.70.0", "81.3.0.0", "85.10.1.1",
          "85.10.128.0", "1.1.1.1", "8.8.8.8", "2a02:8100::", "2a02:8100:ffff::1", "2a02:8101::1"}) {
        const std::string city = mmdblookup(kCity, address, "city names en");
        const std::string region = mmdblookup(kCity, address, "subdivisions 0 names en");
        std::string expected;
        for (const std::string& part : {city, region == city ? "" : region, mmdblookup(kCity, address, "country names en")})
            if (!part.empty()) expected += (expected.empty() ? "" : ", ") + part;
        EXPECT_EQ(locations.find(address), expected) << address;
        named += !city.empty();
    }
    EXPECT_EQ(named, 7);  // mmdblookup did find something to compare with
    Places flat(kFlat);
    ASSERT_EQ(flat.refresh(), Status::ok) << flat.why;
    for (const char* address : {"81.2.69.7", "85.10.1.1", "12.1.1.1", "14.0.0.1"}) {
        const std::string city = mmdblookup(kFlat, address, "city");
        EXPECT_EQ(flat.find(address).substr(0, city.size()), city) << address;
    }
}

TEST(WorkerEnrichGeo, GivesTextForPeople) {
    struct {
        const char *address, *shown;
    } const cases[] = {
        {"81.2.1.1", "United Kingdom"},
        {"81.2.69.1", "London, England, United Kingdom"},
        {"81.2.69.200", "Munich, Bavaria, Germany"},
        {"2002:5102:45c8::1", "Munich, Bavaria, Germany"},  // 6to4, by the file's own alias
        {"85.10.0.1", "Berlin, Germany"},
        {"2a02:8100::1", "Hamburg, Free and Hanseatic City of Hamburg, Germany"},
        {"9.1.1.1", "FR"},
        {"9.130.1.1", "FR"},                   // no English name
        {"9.193.1.1", "Reykjavík?, Iceland"},  // a control character and a space at the end
        {"9.209.1.1", ""},                     // ZZ: unknown
        {"9.225.1.1", ""},                     // an empty record
        {"9.241.1.1", ""},                     // a record of another kind
        {"1.1.1.1", ""},                       // where an address is registered is not where it is
        {"8.8.8.8", ""},
        {"10.1.2.3", ""},  // private, whatever the file says
        {"203.0.113.9", ""},
        {"fd00::1", ""},
        {"::81.2.69.200", ""},  // IPv4-compatible, not mapped
    };
    Places locations(kCity);
    ASSERT_EQ(locations.refresh(), Status::ok) << locations.why;
    for (const auto& c : cases) EXPECT_EQ(locations.find(c.address), c.shown) << c.address;
    // Names too long for the bound: cut between characters, and the region gives way.
    EXPECT_EQ(locations.find("9.249.1.1"),
              "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch and, "
              "The United Kingdom of Great Britain and Northern Ireland, in fu");

    const struct {
        const char *address, *shown;
    } flat_cases[] = {
        {"81.2.69.1", "London, England, GB"},
        {"85.10.1.1", "DE"},
        {"9.1.1.1", "Lyon, Auvergne-Rhône-Alpes, FR"},
        {"9.129.1.1", "Germany"},
        {"11.1.1.1", "Zeist, Utrecht, Netherlands"},
        {"12.1.1.1", ""},
        {"13.1.1.1", ""},
        {"2a02:8100::1", ""},  // an IPv4 file knows no IPv6 address
    };
    Places flat(kFlat);
    ASSERT_EQ(flat.refresh(), Status::ok) << flat.why;
    for (const auto& c : flat_cases) EXPECT_EQ(flat.find(c.address), c.shown) << c.address;
}

// Country, region, city and position, each by itself.
TEST(WorkerEnrichGeo, GivesTheParts) {
    const auto parts = [](const Place& place) {
        std::string out = std::string(place.country_code()) + "|" + std::string(place.region.view()) + "|" +
                          std::string(place.city.view()) + "|";
        if (place.positioned) out += std::to_string(place.latitude) + " " + std::to_string(place.longitude);
        return out;
    };
    const struct {
        const char *address, *parts;
    } cases[] = {
        {"81.2.1.1", "GB|||"},
        {"81.2.69.1", "GB|England|London|51.514200 -0.093100"},
        {"85.10.0.1", "DE|Berlin|Berlin|"},  // the location leaves this region out, the column does not
        {"9.1.1.1", "FR|||"},
        {"9.130.1.1", "FR|||"},  // a code in lower case
        {"9.209.1.1", "|||"},    // ZZ: unknown
        {"9.241.1.1", "|||"},
        {"1.1.1.1", "|||"},
        {"10.1.2.3", "|||"},
    };
    Places locations(kCity);
    ASSERT_EQ(locations.refresh(), Status::ok) << locations.why;
    for (const auto& c : cases) EXPECT_EQ(parts(locations.place(c.address)), c.parts) << c.address;
    const struct {
        const char *address, *parts;
    } flat_cases[] = {
        {"81.2.69.1", "GB|England|London|51.500000 -0.090000"},  // numbers as text
        {"9.1.1.1", "FR|Auvergne-Rhône-Alpes|Lyon|"},            // the field "country" is a code
        {"9.129.1.1", "DE|||"},                                  // and here a name
        {"11.1.1.1", "NL|Utrecht|Zeist|"},
        {"12.1.1.1", "|||"},
    };
    Places flat(kFlat);
    ASSERT_EQ(flat.refresh(), Status::ok) << flat.why;
    for (const auto& c : flat_cases) EXPECT_EQ(parts(flat.place(c.address)), c.parts) << c.address;
}

// A position that is none: out of range, no number, or 0, 0.
TEST(WorkerEnrichGeo, RefusesPositionsThatAreNone) {
    TemporaryFile file("geo.mmdb");
    const struct {
        const char *latitude, *longitude;
        bool positioned;
    } cases[] = {{"48.1", "11.5", true}, {"-90", "-180", true},  {"0", "11.5", true}, {"90.1", "11.5", false},
                 {"48.1", "181", false}, {"nan", "11.5", false}, {"inf", "1", false}, {"48.1x", "1", false},
                 {"", "1", false},       {"0", "0", false}};
    for (const auto& c : cases) {
        file.replace(hand_made(map(2) + text("latitude") + text(c.latitude) + text("longitude") + text(c.longitude)));
        Places places(file.path);
        ASSERT_EQ(places.refresh(), Status::ok) << places.why;
        EXPECT_EQ(places.place("8.8.8.8").positioned, c.positioned) << c.latitude << " " << c.longitude;
    }
}

TEST(WorkerEnrichGeo, ReadsEveryRecordSize) {
    TemporaryFile file("geo.mmdb");
    for (const std::string size : {"24", "28", "32"}) {
        ASSERT_EQ(std::system((kWriter + "--record-size " + size + " " + kData + "enrich_places_city.json " + file.path).c_str()),
                  0);
        Places locations(file.path);
        ASSERT_EQ(locations.refresh(), Status::ok) << locations.why;
        EXPECT_EQ(locations.find("81.2.69.200"), "Munich, Bavaria, Germany");
        EXPECT_EQ(locations.find("2a02:8100::1"), "Hamburg, Free and Hanseatic City of Hamburg, Germany");
        EXPECT_EQ(mmdblookup(file.path, "81.2.69.200", "city names en"), "Munich");
    }
}

// Pointers of two, three and four bytes: data beyond 526336 bytes.
TEST(WorkerEnrichGeo, FollowsFarPointers) {
    TemporaryFile file("geo.mmdb");
    constexpr int kNetworks = 5000;
    {
        std::ofstream json(file.directory + "/far.json");
        json << R"({"metadata": {"database_type": "Far", "ip_version": 4, "record_size": 24, "build_epoch": 1},
                    "networks": {)";
        for (int i = 0; i < kNetworks; ++i) {
            json << (i ? "," : "") << "\"20." << i / 256 << '.' << i % 256 << R"(.0/24": {"pad": ")" << std::string(110, 'x') << i
                 << R"(", "city": {"names": {"en": "Far away town )" << i
                 << R"("}}, "country": {"iso_code": "DE", "names": {"en": "Germany"}}})";
        }
        json << "}}";
    }
    ASSERT_EQ(std::system((kWriter + file.directory + "/far.json " + file.path).c_str()), 0);
    ASSERT_GT(fs::file_size(file.path), 600'000u);
    Places locations(file.path);
    ASSERT_EQ(locations.refresh(), Status::ok) << locations.why;
    for (int i = 0; i < kNetworks; ++i) {
        ASSERT_EQ(locations.find("20." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".77"),
                  "Far away town " + std::to_string(i) + ", Germany");
    }
    EXPECT_EQ(mmdblookup(file.path, "20.19.135.1", "city names en"), "Far away town 4999");
}

// By a file that knows a place for every address.
TEST(WorkerEnrichGeo, KnowsPublicAddresses) {
    TemporaryFile file("geo.mmdb");
    file.overwrite(hand_made(map(1) + text("city") + text("Ulm")));
    Places v4(file.path);
    ASSERT_EQ(v4.refresh(), Status::ok) << v4.why;
    file.overwrite(hand_made(map(1) + text("city") + text("Ulm"), 0, metadata(std::string("\x00\x04", 2), 24, 6)));
    Places v6(file.path);
    ASSERT_EQ(v6.refresh(), Status::ok) << v6.why;
    for (const std::string address :
         {"0.1.2.3",        "10.0.0.1",         "100.64.0.1", "100.127.255.255", "127.0.0.1",       "169.254.1.1", "172.16.0.1",
          "172.31.255.255", "192.0.0.9",        "192.0.2.1",  "192.168.0.1",     "198.18.0.1",      "198.19.0.1",  "198.51.100.1",
          "203.0.113.1",    "224.0.0.1",        "239.1.1.1",  "240.0.0.1",       "255.255.255.255", "::",          "::1",
          "::8.8.8.8",      "64:ff9b::808:808", "100::1",     "2001::1",         "2001:1ff::1",     "2001:db8::1", "3fff::1",
          "3fff:fff::1",    "4000::1",          "5f00::1",    "fc00::1",         "fdff::1",         "fe80::1",     "fec0::1",
          "ff02::1"}) {
        EXPECT_EQ((address.find(':') == std::string::npos ? v4 : v6).find(address), "") << address;
    }
    for (const std::string address :
         {"1.1.1.1",     "9.255.255.255", "11.0.0.0",        "100.63.255.255", "100.128.0.0",     "126.255.255.255",
          "128.0.0.0",   "169.253.0.0",   "169.255.0.0",     "172.15.255.255", "172.32.0.0",      "191.255.255.255",
          "192.0.1.0",   "192.0.3.0",     "192.167.0.0",     "192.169.0.0",    "198.17.0.0",      "198.20.0.0",
          "198.51.99.0", "198.51.101.0",  "203.0.112.0",     "203.0.114.0",    "223.255.255.255", "2001:200::1",
          "2001:db7::1", "2001:db9::1",   "2002:808:808::1", "2606:4700::1",   "3ffe::1",         "3fff:1000::1"}) {
        EXPECT_EQ((address.find(':') == std::string::npos ? v4 : v6).find(address), "Ulm") << address;
    }
}

TEST(WorkerEnrichGeo, SaysWhyThereIsNoDatabase) {
    TemporaryFile file("geo.mmdb");
    {
        Places none("");
        EXPECT_EQ(none.find("81.2.69.1"), "");
        EXPECT_EQ(none.refresh(), Status::none);
        EXPECT_TRUE(none.says("no file is named")) << none.why;
        EXPECT_EQ(none.find("81.2.69.1"), "");
    }
    {
        Places unread(kCity);  // no refresh yet
        EXPECT_EQ(unread.find("81.2.69.1"), "");
    }
    const auto fails = [&](const std::string& path, Status status, std::string_view words) {
        Places locations(path);
        for (int round = 0; round < 2; ++round) {  // the second is the answer kept in mind
            EXPECT_EQ(locations.refresh(), status) << locations.why;
            EXPECT_TRUE(locations.says(words)) << locations.why;
        }
        EXPECT_EQ(locations.find("81.2.69.1"), "");
        char tiny[5] = {'#', '#', '#', '#', '#'};
        EXPECT_EQ(refresh_locations(*locations.locations, tiny), status);
        EXPECT_EQ(tiny[4], '\0');
        EXPECT_EQ(refresh_locations(*locations.locations, {}), status);
    };
    fails(file.directory + "/none", Status::unreadable, "No such file");
    fails(file.directory, Status::unreadable, "not a regular file");
    fails("/" + std::string(5000, 'p'), Status::unreadable, "name too long");
    const std::string pipe = file.directory + "/pipe";
    ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
    fails(pipe, Status::unreadable, "not a regular file");

    file.overwrite("");
    fails(file.path, Status::invalid, "not a MaxMind DB file");
    file.overwrite("\x1f\x8b a gzip file");
    fails(file.path, Status::invalid, "not a MaxMind DB file");
    file.overwrite(kMarker);
    fails(file.path, Status::invalid, "metadata");
    file.overwrite(content_of(kCity).substr(0, content_of(kCity).size() - 1));
    fails(file.path, Status::invalid, "metadata");
    file.overwrite("");
    fs::resize_file(file.path, (std::uintmax_t{1} << 30) + 1);
    fails(file.path, Status::unreadable, "too large");
}

TEST(WorkerEnrichGeo, NoticesAnotherFile) {
    TemporaryFile file("geo.mmdb");
    Places locations(file.path);
    EXPECT_EQ(locations.refresh(), Status::unreadable);

    file.replace(content_of(kCity));  // appears
    EXPECT_EQ(locations.refresh(), Status::ok) << locations.why;
    EXPECT_EQ(locations.find("85.10.1.1"), "Berlin, Germany");
    EXPECT_EQ(locations.refresh(), Status::ok);

    file.replace(content_of(kFlat));  // replaced, as a careful updater does it
    EXPECT_EQ(locations.refresh(), Status::ok);
    EXPECT_EQ(locations.find("85.10.1.1"), "DE");

    file.overwrite(content_of(kCity));  // written over, as a careless one does it
    EXPECT_EQ(locations.refresh(), Status::ok);
    EXPECT_EQ(locations.find("85.10.1.1"), "Berlin, Germany");

    // Written over with the same size, and the time of modification set back.
    struct stat before {};
    ASSERT_EQ(stat(file.path.c_str(), &before), 0);
    std::string other = content_of(kCity);
    for (std::size_t at; (at = other.find("Berlin")) != std::string::npos;) other.replace(at, 6, "Potsda");
    file.overwrite(other);
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    ASSERT_EQ(utimensat(AT_FDCWD, file.path.c_str(), times, 0), 0);
    EXPECT_EQ(locations.refresh(), Status::ok);
    EXPECT_EQ(locations.find("85.10.1.1"), "Potsda, Germany");

    file.replace("broken");  // the old one stays in use
    EXPECT_EQ(locations.refresh(), Status::invalid);
    EXPECT_EQ(locations.find("85.10.1.1"), "Potsda, Germany");
    fs::remove(file.path);
    EXPECT_EQ(locations.refresh(), Status::unreadable);
    EXPECT_EQ(locations.find("85.10.1.1"), "Potsda, Germany");
    file.replace(content_of(kFlat));
    EXPECT_EQ(locations.refresh(), Status::ok);
    EXPECT_EQ(locations.find("85.10.1.1"), "DE");
}

// A file that libmaxminddb had mapped itself would end the process here by SIGBUS.
TEST(WorkerEnrichGeo, OutlivesTruncationInPlace) {
    TemporaryFile file("geo.mmdb");
    file.overwrite(content_of(kCity));
    Places locations(file.path);
    ASSERT_EQ(locations.refresh(), Status::ok) << locations.why;
    fs::resize_file(file.path, 0);
    EXPECT_EQ(locations.find("85.10.1.1"), "Berlin, Germany");
    EXPECT_EQ(locations.refresh(), Status::invalid);
    EXPECT_EQ(locations.find("85.10.1.1"), "Berlin, Germany");
}

TEST(WorkerEnrichGeo, ReadsAFileMadeByHand) {
    TemporaryFile file("geo.mmdb");
    file.overwrite(hand_made(map(2) + text("country_code") + text("de") + text("city") + text("Ulm")));
    Places locations(file.path);
    ASSERT_EQ(locations.refresh(), Status::ok) << locations.why;
    EXPECT_EQ(locations.find("1.2.3.4"), "Ulm, DE");
}

TEST(WorkerEnrichGeo, RefusesHostileRecords) {
    const std::string deep = repeated(kArrayOfOne, 4'000'000) + text("x");
    // Each array holds the one before twice: 2^40 values in 200 bytes.
    std::string doubling = text("x");
    std::uint32_t last = 0;
    for (int i = 0; i < 12; ++i) {
        const auto at = static_cast<std::uint32_t>(doubling.size());
        const std::string pointer{static_cast<char>(0x20 | last >> 8), static_cast<char>(last)};
        doubling += std::string("\x04\x04", 2) + pointer + pointer + pointer + pointer;
        last = at;
    }
    struct {
        const char* what;
        std::string data;
        std::uint32_t offset;
    } const cases[] = {
        {"arrays without end", deep, 0},
        {"arrays without end before the country", map(2) + text("a") + deep + text("country_code") + text("DE"), 0},
        {"a map that holds itself", map(1) + text("country") + std::string("\x20\x00", 2), 0},
        {"a pointer to itself", std::string("\x20\x00", 2), 0},
        {"a pointer to a pointer", map(1) + text("city") + std::string("\x20\x08\x20\x00", 4), 0},
        {"a pointer beyond the end", map(1) + text("city") + std::string("\x38\xff\xff\xff\xff", 5), 0},
        {"a map of 16 million", "\xff\xff\xff\xff" + text("a"), 0},
        {"an array of 16 million", std::string("\x1f\x04\xff\xff\xff", 5), 0},
        {"a string longer than the file", map(1) + text("city") + "\x5f\xff\xff\xff", 0},
        {"a key that is a number", map(1) + "\xc1\x05" + text("x"), 0},
        {"a double of 3 bytes", map(1) + text("a") + "\x63xyz", 0},
        {"an integer of 9 bytes", map(1) + text("a") + std::string("\x09\x02", 2) + "123456789", 0},
        {"a type that does not exist", map(1) + text("a") + std::string("\x00\x40", 2), 0},
        {"an extended type that is none", map(1) + text("a") + std::string("\x00\x00", 2), 0},
        {"values that double", doubling, last},
        {"an offset beyond the file", map(0), 4'000'000},
    };
    TemporaryFile file("geo.mmdb");
    for (const auto& c : cases) {
        SCOPED_TRACE(c.what);
        file.replace(hand_made(c.data, c.offset));
        Places locations(file.path);
        ASSERT_EQ(locations.refresh(), Status::ok) << locations.why;  // the fault is in the record alone
        EXPECT_EQ(locations.find("1.2.3.4"), "");
    }
    // The same in the metadata, which are read when the file is opened.
    for (const std::string& meta :
         {metadata(repeated(kArrayOfOne, 60'000) + text("x")), metadata(std::string("\x1f\x04\xff\xff\xff", 5)),
          metadata(std::string("\x20\x00", 2)), map(1) + text("node_count"), text("x"), std::string()}) {
        file.replace(hand_made(map(0), 0, meta));
        Places locations(file.path);
        EXPECT_EQ(locations.refresh(), Status::invalid);
    }
    for (const int record_size : {0, 1, 16, 25, 64, 255}) {
        file.replace(hand_made(map(0), 0, metadata(std::string("\x00\x04", 2), record_size)));
        Places locations(file.path);
        EXPECT_EQ(locations.refresh(), Status::invalid) << record_size;
    }
}

// Each byte spoilt, the file cut at many lengths: whatever comes of it, the process lives and texts are
// well-formed.
TEST(WorkerEnrichGeo, StandsDamagedFiles) {
    TemporaryFile file("geo.mmdb");
    const std::string whole = content_of(kCity);
    const char* const addresses[] = {"81.2.1.1",  "81.2.69.1", "81.2.69.200", "85.10.0.1", "1.1.1.1",      "9.193.1.1",
                                     "9.209.1.1", "9.249.1.1", "8.8.8.8",     "9.225.1.1", "2a02:8100::1", "2002:5102:45c8::1"};
    std::vector<std::vector<std::uint8_t>> asked;
    for (const char* address : addresses) asked.push_back(bytes_of(address));
    int opened = 0;
    const auto try_out = [&](const std::string& bytes) {
        file.replace(bytes);
        Places places(file.path);
        opened += places.refresh() == Status::ok;
        for (const auto& address : asked) {
            Place out;
            locate(*places.locations, address, out);
            for (const Text* text : {&out.location, &out.region, &out.city})
                ASSERT_EQ(mirox::core::check_line(text->view()), mirox::core::NameStatus::ok);
            ASSERT_TRUE(std::abs(out.latitude) <= 90 && std::abs(out.longitude) <= 180);
        }
    };
    std::uint32_t state = 7;
    for (std::size_t at = 0; at < whole.size(); ++at) {
        state = state * 1664525 + 1013904223;
        const char values[] = {'\0', '\xff', static_cast<char>(whole[at] ^ 0x20), static_cast<char>(state >> 24)};
        std::string spoilt = whole;
        spoilt[at] = values[(at + at / 4) % 4];
        try_out(spoilt);
    }
    const int opened_spoilt = opened;
    EXPECT_GT(opened_spoilt, 2'500);
    for (std::size_t length = 0; length < whole.size(); length += 11) try_out(whole.substr(0, length));
    EXPECT_EQ(opened, opened_spoilt);
}

}  // namespace
