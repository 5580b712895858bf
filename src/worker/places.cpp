// The rows of table place (see places.hpp, also for the locks).
#include "worker/places.hpp"

#include "pg/query.hpp"
#include "pg/values.hpp"
#include "worker/drain.hpp"
#include "worker/lookup.hpp"
#include "worker/places.sql.hpp"

extern "C" {
#include "common/hashfn.h"
#include "common/shortest_dec.h"
#include "nodes/pg_list.h"
}

namespace mirox::worker {
namespace {

// A place, and the text that holds all of it.
struct Row {
    std::string_view key;  // as in the database
    enrich::Place place;
};
struct Number {
    std::string_view key;
    std::int32_t number;
};

std::uint32_t hash_key(const void* key, Size) {
    const auto& text = *static_cast<const std::string_view*>(key);
    return ::hash_bytes(reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
}
int compare_keys(const void* a, const void* b, Size) {
    return *static_cast<const std::string_view*>(a) != *static_cast<const std::string_view*>(b);
}

const char* degrees(double value) {
    auto* const text = static_cast<char*>(palloc(DOUBLE_SHORTEST_DECIMAL_LEN));
    double_to_shortest_decimal_buf(value, text);
    return text;
}

Cell degrees_cell(const enrich::Place& place, double value) {
    return place.positioned ? Cell(pg::text_datum(degrees(value))) : Cell::null();
}

std::string_view key_of(const enrich::Place& place) {
    StringInfoData key;
    initStringInfo(&key);
    for (const std::string_view part : {place.location.view(), place.country_code(), place.region.view(), place.city.view()}) {
        const std::string_view shown = pg::from_utf8_lossy(part);
        appendBinaryStringInfo(&key, shown.data(), static_cast<int>(shown.size()));
        appendStringInfoChar(&key, '\x1f');
    }
    if (place.positioned) appendStringInfo(&key, "%s\x1f%s", degrees(place.latitude), degrees(place.longitude));
    return {key.data, static_cast<std::size_t>(key.len)};
}

bool is_unknown(const enrich::Place& place) {
    return place.location.view().empty() && place.country_code().empty() && place.region.view().empty() &&
           place.city.view().empty() && !place.positioned;
}

}  // namespace

void begin_places(PlaceIds& places) {
    HASHCTL how = {};
    how.keysize = sizeof(std::string_view);
    how.entrysize = sizeof(Number);
    how.hash = hash_key;
    how.match = compare_keys;
    how.hcxt = CurrentMemoryContext;
    places = {};
    places.numbers = hash_create("places", 256, &how, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

std::int32_t number_of_place(PlaceIds& places, const core::Address& address) {
    const enrich::Place place = look_up_place(address);
    if (is_unknown(place)) return 0;
    const std::string_view key = key_of(place);
    bool found;
    auto* entry = static_cast<Number*>(hash_search(places.numbers, &key, HASH_ENTER, &found));
    if (!found) {
        entry->number = ++places.count;
        auto* row = static_cast<Row*>(palloc(sizeof(Row)));
        *row = {key, place};
        places.rows = lappend(places.rows, row);
    }
    return entry->number;
}

void end_places(PlaceIds& places) {
    places.ids = static_cast<std::int32_t*>(palloc0(sizeof(std::int32_t) * (places.count + 1)));
    if (places.count == 0) return;
    Arrays all(select_places, 1, static_cast<std::uint32_t>(places.count));
    ListCell* cell;
    foreach (cell, places.rows) all.add_row({pg::text_datum(static_cast<Row*>(lfirst(cell))->key)});
    for (int round = 0; round < 2; round++) {
        pg::Args args;
        all.add_to(args);
        const std::uint64_t rows = pg::run(select_places, args);
        for (std::uint64_t i = 0; i < rows; i++)
            places.ids[DatumGetInt64(pg::result_value(i, 1))] = DatumGetInt32(pg::result_value(i, 2));
        SPI_freetuptable(SPI_tuptable);
        if (round == 1) return;
        Arrays missing(insert_places, 1, static_cast<std::uint32_t>(places.count));
        std::int32_t number = 0;
        foreach (cell, places.rows) {
            const Row& row = *static_cast<Row*>(lfirst(cell));
            if (places.ids[++number] != 0) continue;
            const enrich::Place& place = row.place;
            missing.add_row({pg::text_datum(row.key), Cell::text(place.location.view()), Cell::text(place.country_code()),
                             Cell::text(place.region.view()), Cell::text(place.city.view()), degrees_cell(place, place.latitude),
                             degrees_cell(place, place.longitude)});
        }
        if (missing.rows() == 0) return;
        pg::Args rows_of;
        missing.add_to(rows_of);
        pg::run(insert_places, rows_of);
    }
}

}  // namespace mirox::worker
