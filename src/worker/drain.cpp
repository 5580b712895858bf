// From the ring to the tables (see drain.hpp, also for the locks). All memory of a batch is in its transaction's context.
#include "worker/drain.hpp"

#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/query.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/actor.hpp"
#include "store/check.hpp"
#include "worker/lookup.hpp"
#include "worker/presence.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
}

namespace mirox::worker {
namespace {

using pg::Query;
using pg::Type;
using shmem::Address;
using shmem::Event;
using shmem::EventKind;
using shmem::LaneRef;
using shmem::ReadStatus;
using shmem::Region;
using shmem::RingReader;
using shmem::StoredEvent;

// Events a transaction: what a ring of the default size holds, so that a drain writes a token's rows once, however often it was
// used; a bound all the same, since what differs is held in memory.
constexpr int kBatch = 500'000;
// … of a last drain, so that what was written before its time is up stays written.
constexpr std::uint64_t kLastBatch = 10'000;
// Distinct refused callers of one token in a batch; what is beyond them is gathered without address and agent, so that whoever
// holds a dead token cannot fill the tables by inventing agents.
constexpr int kRefusedCallers = 200;
// Callers in a row of usage_open: 2.5 kB. A reader of one token unpacks those that can hold it.
constexpr int kPacked = 64;

// ---- statements ------------------------------------------------------------------------------------------------------

Query select_position = {
    "SELECT COALESCE(pg_catalog.max(\"position\"), 0) FROM mirox_internal.drain_position "
    "WHERE ring_id = ANY ($1) AND database = $2",
    {Type::int8_array, Type::oid}};

Query put_position = {
    "INSERT INTO mirox_internal.drain_position (node, ring_id, database, \"position\", at) "
    "VALUES ($1, $2, $3, $4, pg_catalog.clock_timestamp()) ON CONFLICT (node, ring_id, database) "
    "DO UPDATE SET \"position\" = excluded.\"position\", at = excluded.at",
    {Type::int4, Type::int8, Type::oid, Type::int8}};

Query select_agents = {
    "SELECT g.n, a.agent_id FROM pg_catalog.unnest($1) WITH ORDINALITY g (agent, n) CROSS JOIN LATERAL "
    "(SELECT a.agent_id FROM mirox_internal.agent a WHERE a.agent = g.agent COLLATE \"C\" OFFSET 0) a",
    {Type::text_array}};

Query insert_agents = {
    "INSERT INTO mirox_internal.agent (agent, key, browser, os, resolved) "
    "SELECT g.agent, g.key, NULLIF(g.browser, ''), NULLIF(g.os, ''), g.resolved "
    "FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), "
    "pg_catalog.unnest($4), "
    "pg_catalog.unnest($5)) g (agent, key, browser, os, resolved) ON CONFLICT (agent) DO NOTHING",
    {Type::text_array, Type::int8_array, Type::text_array, Type::text_array, Type::boolean_array}};

#define CALLER_ARRAYS                                                                              \
    "ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), "             \
    "pg_catalog.unnest($4), "                                                                      \
    "pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), " \
    "pg_catalog.unnest($9), pg_catalog.unnest($10))"
#define CALLER_COLUMNS \
    "token_id, session_id, account_id, agent_id, generation, status, reason, ip, location, scope"
#define CALLER_TYPES                                                                                  \
    {                                                                                                 \
        Type::int8_array, Type::int8_array, Type::int8_array, Type::int8_array, Type::int4_array,     \
            Type::int2_array, Type::text_array, Type::inet_array, Type::text_array, Type::text_array, \
    }

Query select_callers = {
    "SELECT g.n, c.caller_id FROM " CALLER_ARRAYS " WITH ORDINALITY g (" CALLER_COLUMNS
    ", n) CROSS JOIN LATERAL (SELECT c.caller_id FROM mirox_internal.caller c "
    "WHERE c.token_id = g.token_id AND c.generation = g.generation "
    "AND c.session_id = g.session_id AND c.account_id = g.account_id AND c.agent_id = g.agent_id "
    "AND c.ip = g.ip AND c.status = g.status AND c.reason = g.reason COLLATE \"C\" "
    "AND c.scope = g.scope COLLATE \"C\" AND c.location = g.location COLLATE \"C\" OFFSET 0) c",
    CALLER_TYPES};

Query insert_callers = {"INSERT INTO mirox_internal.caller (" CALLER_COLUMNS ") SELECT * FROM " CALLER_ARRAYS
                        " g ON CONFLICT DO NOTHING",
                        CALLER_TYPES};

Query put_open = {
    "INSERT INTO mirox_internal.usage_open (minute, first_token, last_token, callers, tokens, requests, "
    "first_at, "
    "last_at) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    {Type::timestamptz, Type::int8, Type::int8, Type::int8_array, Type::int8_array, Type::int4_array,
     Type::timestamptz_array, Type::timestamptz_array}};

Query put_strangers = {
    "INSERT INTO mirox_internal.stranger AS s (node, ring_id, serial, minute, network, location, status, "
    "reason, "
    "requests, "
    "first_at, last_at) "
    "SELECT $1, g.ring, g.serial, g.minute, NULLIF(g.network, '0.0.0.0/0')::pg_catalog.cidr, "
    "NULLIF(g.location, ''), "
    "g.status, g.reason, g.requests, g.first_at, g.last_at "
    "FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4), "
    "pg_catalog.unnest($5), "
    "pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9), "
    "pg_catalog.unnest($10), pg_catalog.unnest($11)) "
    "g (ring, serial, minute, network, location, status, reason, requests, first_at, last_at) "
    "ON CONFLICT (node, ring_id, serial) DO UPDATE SET requests = GREATEST(s.requests, excluded.requests), "
    "first_at = LEAST(s.first_at, excluded.first_at), last_at = GREATEST(s.last_at, excluded.last_at) "
    "WHERE s.requests < excluded.requests",
    {Type::int4, Type::int8_array, Type::int8_array, Type::timestamptz_array, Type::inet_array,
     Type::text_array, Type::int2_array, Type::text_array, Type::int8_array, Type::timestamptz_array,
     Type::timestamptz_array}};

// ---- a batch, gathered -----------------------------------------------------------------------------------------------

// A distinct text of the batch; the key points into the ring.
struct TextKey {
    const char* at;
    std::size_t size;
};
struct Text {
    TextKey key;
    std::uint32_t number;
};
std::uint32_t hash_text(const void* key, Size) {
    const auto* text = static_cast<const TextKey*>(key);
    return ::hash_bytes(reinterpret_cast<const unsigned char*>(text->at), static_cast<int>(text->size));
}
int compare_text(const void* a, const void* b, Size) {
    const auto* x = static_cast<const TextKey*>(a);
    const auto* y = static_cast<const TextKey*>(b);
    return x->size != y->size || memcmp(x->at, y->at, x->size) != 0;
}

// Numbers its texts from 1; 0 is none.
struct Texts {
    HTAB* table;
    std::string_view* all;
    std::uint32_t count;

    void make(const char* name) {
        HASHCTL how = {};
        how.keysize = sizeof(TextKey);
        how.entrysize = sizeof(Text);
        how.hash = hash_text;
        how.match = compare_text;
        how.hcxt = CurrentMemoryContext;
        table = hash_create(name, 256, &how, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
        all = static_cast<std::string_view*>(palloc0(sizeof(std::string_view) * (kBatch + 1)));
        count = 0;
    }
    std::uint32_t number_of(std::string_view text) {
        if (text.empty()) return 0;
        const TextKey key = {text.data(), text.size()};
        bool found;
        auto* entry = static_cast<Text*>(hash_search(table, &key, HASH_ENTER, &found));
        if (!found) {
            entry->number = ++count;
            all[count] = text;
        }
        return entry->number;
    }
};

// Without padding: keys are compared as bytes.
struct CallerKey {
    std::int64_t token, session, account;
    std::int32_t generation;
    std::uint32_t agent, scope;
    std::uint16_t status;
    std::uint8_t reason, family;
    std::uint8_t address[16];
};
static_assert(sizeof(CallerKey) == 56);
struct Caller {
    CallerKey key;
    std::uint32_t number;
};
struct UseKey {
    std::int64_t minute;
    std::uint64_t caller;
};
struct Use {
    UseKey key;
    std::int64_t requests, first_at, last_at;
};
struct TokenKey {
    std::int64_t token;  // minus the session for a session's
    std::int64_t generation;
};
struct Token {
    TokenKey key;
    std::int64_t marked_uses, marked_refusals;  // those that the counters have
    int refused_callers;
};
struct Place {
    Address address;
    Datum location;  // text
};

struct Batch {
    Texts agents, scopes;
    HTAB *callers, *uses, *tokens, *places;
    Caller** caller_list;
    std::uint32_t caller_count;
    std::int64_t* agent_ids;
    Datum empty;  // text
};

HTAB* make_table(const char* name, Size key, Size entry) {
    HASHCTL how = {};
    how.keysize = key;
    how.entrysize = entry;
    how.hcxt = CurrentMemoryContext;
    return hash_create(name, 1024, &how, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void make_batch(Batch& batch) {
    batch.agents.make("agents of a batch");
    batch.scopes.make("scopes of a batch");
    batch.callers = make_table("callers of a batch", sizeof(CallerKey), sizeof(Caller));
    batch.uses = make_table("uses of a batch", sizeof(UseKey), sizeof(Use));
    batch.tokens = make_table("tokens of a batch", sizeof(TokenKey), sizeof(Token));
    batch.places = make_table("places of a batch", sizeof(Address), sizeof(Place));
    batch.caller_list = static_cast<Caller**>(palloc(sizeof(Caller*) * kBatch));
    batch.caller_count = 0;
    batch.empty = pg::text_datum({});
}

Token& token_of(Batch& batch, const Event& event) {
    TokenKey key = {event.token != 0 ? event.token : -event.session, event.generation};
    bool found;
    auto* token = static_cast<Token*>(hash_search(batch.tokens, &key, HASH_ENTER, &found));
    if (!found) {
        *token = {};
        token->key = key;
    }
    return *token;
}

void gather(Batch& batch, const StoredEvent& stored) {
    const Event& event = stored.event;
    Token& token = token_of(batch, event);
    if (stored.counted) {
        if (event.kind == EventKind::use)
            token.marked_uses++;
        else
            token.marked_refusals++;
    }
    CallerKey key = {};
    key.token = event.token;
    key.session = event.session;
    key.account = event.account;
    key.generation = event.generation;
    key.agent = batch.agents.number_of(event.agent);
    key.scope = batch.scopes.number_of(event.scope);
    key.status = event.status;
    key.reason = event.reason;
    key.family = event.address.family;
    memcpy(key.address, event.address.bytes, sizeof(key.address));
    bool found;
    auto* caller = static_cast<Caller*>(hash_search(batch.callers, &key, HASH_FIND, &found));
    if (!found && event.status >= 400 && token.refused_callers++ >= kRefusedCallers) {
        key.agent = key.scope = 0;
        key.family = 0;
        memset(key.address, 0, sizeof(key.address));
        caller = static_cast<Caller*>(hash_search(batch.callers, &key, HASH_FIND, &found));
    }
    if (!found) {
        caller = static_cast<Caller*>(hash_search(batch.callers, &key, HASH_ENTER, &found));
        caller->number = batch.caller_count;
        batch.caller_list[batch.caller_count++] = caller;
    }
    UseKey use_key = {shmem::minute_of(event.at), caller->number};
    auto* use = static_cast<Use*>(hash_search(batch.uses, &use_key, HASH_ENTER, &found));
    if (!found) {
        use->requests = 0;
        use->first_at = use->last_at = event.at;
    }
    use->requests++;
    use->first_at = Min(use->first_at, event.at);
    use->last_at = Max(use->last_at, event.at);
}

// ---- a batch, written ------------------------------------------------------------------------------------------------

Datum* datums(std::uint32_t count) {
    return static_cast<Datum*>(palloc(sizeof(Datum) * Max(count, std::uint32_t{1})));
}

Datum location_of(Batch& batch, const Address& address) {
    if (address.family == 0) return batch.empty;
    bool found;
    auto* place = static_cast<Place*>(hash_search(batch.places, &address, HASH_ENTER, &found));
    if (!found) {
        enrich::Location location;
        look_up_location(address, location);
        place->location =
            location.shown.empty() ? batch.empty : pg::text_datum(pg::from_utf8_lossy(location.shown.view()));
    }
    return place->location;
}

// Fills agent_ids, which are numbered as the texts are.
void resolve_agents(shmem::Seat* seat, Batch& batch) {
    const std::uint32_t count = batch.agents.count;
    batch.agent_ids = static_cast<std::int64_t*>(palloc0(sizeof(std::int64_t) * (count + 1)));
    if (count == 0) return;
    Datum* texts = datums(count + 1);
    for (std::uint32_t i = 1; i <= count; i++)
        texts[i] = pg::text_datum(pg::from_utf8_lossy(batch.agents.all[i]));
    for (int round = 0; round < 2; round++) {
        pg::Args args;
        args.add(array_datum(TEXTOID, texts + 1, nullptr, static_cast<int>(count)));
        const std::uint64_t rows = pg::run(select_agents, args);
        for (std::uint64_t i = 0; i < rows; i++) {
            const std::int64_t number = DatumGetInt64(pg::result_value(i, 1));
            batch.agent_ids[number] = DatumGetInt64(pg::result_value(i, 2));
        }
        SPI_freetuptable(SPI_tuptable);
        if (round == 1) break;
        Datum *agents = datums(count), *keys = datums(count), *browsers = datums(count),
              *systems = datums(count), *resolved = datums(count);
        int missing = 0;
        for (std::uint32_t i = 1; i <= count; i++) {
            if (batch.agent_ids[i] != 0) continue;
            enrich::AgentInfo info;
            const bool known = look_up_agent(seat, batch.agents.all[i], info);
            agents[missing] = texts[i];
            keys[missing] = Int64GetDatum(static_cast<std::int64_t>(shmem::text_key(batch.agents.all[i])));
            browsers[missing] = pg::text_datum(pg::from_utf8_lossy(info.browser.view()));
            systems[missing] = pg::text_datum(pg::from_utf8_lossy(info.os.view()));
            resolved[missing++] = BoolGetDatum(known);
        }
        if (missing == 0) break;
        pg::Args rows_of;
        rows_of.add(array_datum(TEXTOID, agents, nullptr, missing))
            .add(array_datum(INT8OID, keys, nullptr, missing))
            .add(array_datum(TEXTOID, browsers, nullptr, missing))
            .add(array_datum(TEXTOID, systems, nullptr, missing))
            .add(array_datum(BOOLOID, resolved, nullptr, missing));
        pg::run(insert_agents, rows_of);
    }
}

// The ids of the batch's callers, in their order.
std::int64_t* resolve_callers(Batch& batch) {
    const std::uint32_t count = batch.caller_count;
    auto* ids = static_cast<std::int64_t*>(palloc0(sizeof(std::int64_t) * Max(count, std::uint32_t{1})));
    // With the word for a code that is none of ours, of a file that a newer library has left.
    Datum* reasons = datums(store::kReasons + 1);
    for (int i = 0; i <= store::kReasons; i++)
        reasons[i] = pg::text_datum(store::reason_text(static_cast<std::uint8_t>(i)));
    Datum* scopes = datums(batch.scopes.count + 1);
    scopes[0] = batch.empty;
    for (std::uint32_t i = 1; i <= batch.scopes.count; i++)
        scopes[i] = pg::text_datum(pg::from_utf8_lossy(batch.scopes.all[i]));
    Datum* columns[10];
    for (Datum*& column : columns) column = datums(count);
    auto* order = static_cast<std::uint32_t*>(palloc(sizeof(std::uint32_t) * Max(count, std::uint32_t{1})));
    constexpr Oid kTypes[10] = {INT8OID, INT8OID, INT8OID, INT8OID, INT4OID,
                                INT2OID, TEXTOID, INETOID, TEXTOID, TEXTOID};
    // Found; then made where there was none, and found again.
    for (int round = 0; round < 2; round++) {
        int missing = 0;
        for (std::uint32_t i = 0; i < count; i++) {
            if (ids[i] != 0) continue;
            const CallerKey& key = batch.caller_list[i]->key;
            Address address;
            address.family = key.family;
            memcpy(address.bytes, key.address, sizeof(address.bytes));
            columns[0][missing] = Int64GetDatum(key.token);
            columns[1][missing] = Int64GetDatum(key.session);
            columns[2][missing] = Int64GetDatum(key.account);
            columns[3][missing] = Int64GetDatum(batch.agent_ids[key.agent]);
            columns[4][missing] = Int32GetDatum(key.generation);
            columns[5][missing] = Int16GetDatum(static_cast<std::int16_t>(key.status));
            columns[6][missing] = reasons[Min(key.reason, store::kReasons)];
            columns[7][missing] = stored_inet(address);
            columns[8][missing] = location_of(batch, address);
            columns[9][missing] = scopes[key.scope];
            order[missing++] = i;
        }
        if (missing == 0) return ids;
        pg::Args args;
        for (int i = 0; i < 10; i++) args.add(array_datum(kTypes[i], columns[i], nullptr, missing));
        if (round == 1) pg::run(insert_callers, args);
        const std::uint64_t rows = pg::run(select_callers, args);
        for (std::uint64_t i = 0; i < rows; i++)
            ids[order[DatumGetInt64(pg::result_value(i, 1)) - 1]] = DatumGetInt64(pg::result_value(i, 2));
        SPI_freetuptable(SPI_tuptable);
    }
    for (std::uint32_t i = 0; i < count; i++)
        if (ids[i] == 0) MIROX_DEFECT("a recorded caller was not found again");
    return ids;
}

// A use by minute, token and caller: the order in which they are packed.
struct Packed {
    std::int64_t minute, token, caller, requests, first_at, last_at;
};
int compare_packed(const void* a, const void* b) {
    const auto& x = *static_cast<const Packed*>(a);
    const auto& y = *static_cast<const Packed*>(b);
    if (x.minute != y.minute) return x.minute < y.minute ? -1 : 1;
    if (x.token != y.token) return x.token < y.token ? -1 : 1;
    return x.caller < y.caller ? -1 : x.caller > y.caller ? 1 : 0;
}

// Returns how many uses were written. (Texts that the database's encoding cannot tell apart may bring one caller twice.)
std::uint64_t write_uses(Batch& batch) {
    const std::int64_t* ids = resolve_callers(batch);
    const auto count = static_cast<std::uint32_t>(hash_get_num_entries(batch.uses));
    auto* uses = static_cast<Packed*>(palloc(sizeof(Packed) * Max(count, std::uint32_t{1})));
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, batch.uses);
    std::uint32_t n = 0;
    while (auto* use = static_cast<Use*>(hash_seq_search(&scan)))
        uses[n++] = {use->key.minute,      batch.caller_list[use->key.caller]->key.token,
                     ids[use->key.caller], use->requests,
                     use->first_at,        use->last_at};
    qsort(uses, count, sizeof(Packed), compare_packed);
    Datum callers[kPacked], tokens[kPacked], requests[kPacked], firsts[kPacked], lasts[kPacked];
    for (std::uint32_t at = 0; at < count;) {
        const Packed& first = uses[at];
        int packed = 0;
        for (; packed < kPacked && at < count && uses[at].minute == first.minute; packed++, at++) {
            callers[packed] = Int64GetDatum(uses[at].caller);
            tokens[packed] = Int64GetDatum(uses[at].token);
            requests[packed] = Int32GetDatum(static_cast<std::int32_t>(uses[at].requests));
            firsts[packed] = TimestampTzGetDatum(uses[at].first_at);
            lasts[packed] = TimestampTzGetDatum(uses[at].last_at);
        }
        pg::Args args;
        args.add(TimestampTzGetDatum(first.minute))
            .int8(first.token)
            .int8(uses[at - 1].token)
            .add(array_datum(INT8OID, callers, nullptr, packed))
            .add(array_datum(INT8OID, tokens, nullptr, packed))
            .add(array_datum(INT4OID, requests, nullptr, packed))
            .add(array_datum(TIMESTAMPTZOID, firsts, nullptr, packed))
            .add(array_datum(TIMESTAMPTZOID, lasts, nullptr, packed));
        pg::run(put_open, args, false);
    }
    return count;
}

void tell_counters(Region& region, const Batch& batch, std::uint64_t from, std::uint64_t to) {
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, batch.tokens);
    while (auto* token = static_cast<Token*>(hash_seq_search(&scan))) {
        if (token->marked_uses == 0 && token->marked_refusals == 0) continue;
        region.counters().post(
            {MyDatabaseId, static_cast<std::int32_t>(token->key.generation), token->key.token}, from, to,
            static_cast<std::uint64_t>(token->marked_uses),
            static_cast<std::uint64_t>(token->marked_refusals));
    }
}

// ---- one transaction -------------------------------------------------------------------------------------------------

struct Step {
    shmem::Seat* seat;
    LaneRef lane;
    std::uint64_t from, to;
    std::uint64_t ring_id;
    std::uint64_t most;  // events
    std::uint64_t events;
    std::uint64_t uses;  // by minute and caller
    ReadStatus ended;
    bool absent;
    bool settles;  // what an earlier start wrote is only made known to the counters
};

std::uint64_t stored_position(Region& region) {
    std::uint64_t ids[shmem::kKeptRingIds];
    const std::size_t count = region.ring_ids(ids);
    Datum* values = datums(static_cast<std::uint32_t>(count));
    for (std::size_t i = 0; i < count; i++) values[i] = Int64GetDatum(static_cast<std::int64_t>(ids[i]));
    pg::Args args;
    args.add(array_datum(INT8OID, values, nullptr, static_cast<int>(count)))
        .add(ObjectIdGetDatum(MyDatabaseId));
    pg::run(select_position, args);
    return static_cast<std::uint64_t>(DatumGetInt64(pg::result_value(0, 1)));
}

void write_batch(void* state) {
    Step& step = *static_cast<Step*>(state);
    store::Actor actor;
    if (!begin_step(actor)) {
        step.absent = true;
        discard_absent();
        return;
    }
    Region& region = shmem::region();
    plan_by_keys();
    const std::uint64_t freed = region.ring().freed(step.lane);
    // Positions grow as long as the file lives, whatever ring id an event has; so the greatest one holds for all.
    const std::uint64_t stored = stored_position(region);
    Batch batch;
    make_batch(batch);
    RingReader reader(region.ring(), step.lane);
    StoredEvent event;
    step.settles = stored > freed;
    step.from = step.settles ? freed : stored;
    step.to = step.settles ? stored : Max(stored, freed);
    step.events = 0;
    for (;;) {
        step.ended = reader.next(event);
        // A batch ends with its ring id; what nothing was read of yet has none.
        if (step.ended == ReadStatus::new_ring_id && (step.events == 0 || step.settles)) continue;
        if (step.ended != ReadStatus::event) break;
        if (step.settles && event.begin >= stored) break;
        if (!step.settles && event.begin < stored) continue;
        gather(batch, event);
        step.ring_id = event.ring_id;
        if (!step.settles) step.to = event.end;
        step.events++;
        if (step.events >= step.most && !step.settles) break;
    }
    if (!step.settles && step.ended != ReadStatus::event && step.ended != ReadStatus::new_ring_id)
        step.to = Max(step.to, reader.position());  // past what was torn
    if (step.events > 0 && !step.settles) {
        resolve_agents(step.seat, batch);
        step.uses = write_uses(batch);
    }
    if (step.to > stored && !step.settles) {
        if (step.events == 0) step.ring_id = region.ring().ring_id();
        pg::Args args;
        args.int4(pg::settings().node_id)
            .int8(static_cast<std::int64_t>(step.ring_id))
            .add(ObjectIdGetDatum(MyDatabaseId))
            .int8(static_cast<std::int64_t>(step.to));
        pg::run(put_position, args);
    }
    // Before COMMIT, so that whoever sees the rows finds the counters told.
    tell_counters(region, batch, step.from, step.to);
    store::leave(actor);
}

}  // namespace

bool begin_step(store::Actor& actor) {
    if (!pg::extension_present()) return false;
    store::enter(actor);
    actor.maintenance = true;
    return true;
}

void plan_by_keys() {
    for (const char* setting : {"enable_seqscan", "enable_hashjoin", "enable_mergejoin"})
        (void)set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

Datum stored_inet(const Address& address) {
    core::Address out = {};
    if (address.family == 0) {
        out.family = core::AddressFamily::ipv4;
        out.bits = 0;
        return pg::cidr_datum(out);
    }
    out.family = address.family == 4 ? core::AddressFamily::ipv4 : core::AddressFamily::ipv6;
    memcpy(out.bytes.data(), address.bytes, sizeof(address.bytes));
    return pg::inet_datum(out);
}

Datum array_datum(Oid type, Datum* values, bool* nulls, int count) {
    std::int16_t length;
    bool by_value;
    char alignment;
    get_typlenbyvalalign(type, &length, &by_value, &alignment);
    int dimensions[1] = {count};
    int bounds[1] = {1};
    return PointerGetDatum(
        construct_md_array(values, nulls, 1, dimensions, bounds, type, length, by_value, alignment));
}

bool run_step(shmem::Seat* seat, void (*step)(void*), void* state, pg::Trouble& trouble, int most_ms) {
    const bool well = pg::in_transaction(step, state, trouble, most_ms);
    if (seat != nullptr) seat->steps.fetch_add(1, std::memory_order_relaxed);
    return well;
}

// What is left of the time, for run_step(): 0 for as long as it takes.
static int left_ms(TimestampTz until) {
    return until == 0
               ? 0
               : static_cast<int>(Max(TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until), 1L));
}

Drained drain_events(shmem::Seat* seat, std::uint64_t& open, pg::Trouble& trouble, TimestampTz until) {
    Region& region = shmem::region();
    const LaneRef lane = region.ring().find_lane(MyDatabaseId);
    const std::uint64_t target = region.ring().claimed(lane);
    refresh_lookups(seat);
    for (;;) {
        Step step = {};
        step.seat = seat;
        step.lane = lane;
        step.most = until == 0 ? kBatch : kLastBatch;
        const TimestampTz began = GetCurrentTimestamp();
        if (!run_step(seat, write_batch, &step, trouble, left_ms(until))) return Drained::failed;
        if (step.absent) return Drained::absent;
        if (!lane) return Drained::all;
        region.ring().set_applied(lane, step.to);
        LWLockAcquire(shmem::region_lock(), LW_EXCLUSIVE);
        region.ring().free_to(lane, step.to);
        LWLockRelease(shmem::region_lock());
        if (!step.settles) region.settled(lane);
        open += step.uses;
        if (seat != nullptr && step.events > 0 && !step.settles) {
            const TimestampTz now = GetCurrentTimestamp();
            seat->drains.fetch_add(1, std::memory_order_relaxed);
            seat->flushed.fetch_add(step.events, std::memory_order_relaxed);
            seat->drain_us.fetch_add(static_cast<std::uint64_t>(Max(now - began, 0)),
                                     std::memory_order_relaxed);
            seat->last_drain_at.store(now, std::memory_order_relaxed);
        }
        ConditionVariableBroadcast(&shmem::control().drained);
        pgstat_report_stat(true);
        pg::serve_interrupts();
        if (until == 0 ? ShutdownRequestPending != 0 : GetCurrentTimestamp() >= until) return Drained::later;
        if (step.settles) continue;
        if (step.to >= target) return Drained::all;
        if (step.events == 0) return step.ended == ReadStatus::empty ? Drained::all : Drained::later;
    }
}

// ---- strangers -------------------------------------------------------------------------------------------------------

namespace {

struct StrangerStep {
    shmem::StrangerCount* counts;
    std::uint32_t* at;
    int count;
};

void write_strangers(void* state) {
    const StrangerStep& step = *static_cast<StrangerStep*>(state);
    store::Actor actor;
    if (!begin_step(actor)) return;
    constexpr Oid kTypes[10] = {INT8OID, INT8OID, TIMESTAMPTZOID, INETOID,        TEXTOID,
                                INT2OID, TEXTOID, INT8OID,        TIMESTAMPTZOID, TIMESTAMPTZOID};
    const Datum empty = pg::text_datum({});
    Datum* columns[10];
    for (Datum*& column : columns) column = datums(static_cast<std::uint32_t>(step.count));
    for (int i = 0; i < step.count; i++) {
        const shmem::StrangerCount& slot = step.counts[i];
        enrich::Location location;
        look_up_location(slot.network, location);
        core::Address network = {};
        network.family = slot.network.family == 6 ? core::AddressFamily::ipv6 : core::AddressFamily::ipv4;
        network.bits = slot.network.family == 0 ? 0 : slot.bits;
        if (slot.network.family != 0)
            memcpy(network.bytes.data(), slot.network.bytes, sizeof(slot.network.bytes));
        columns[0][i] = Int64GetDatum(static_cast<std::int64_t>(slot.ring_id));
        columns[1][i] = Int64GetDatum(static_cast<std::int64_t>(slot.serial));
        columns[2][i] = TimestampTzGetDatum(slot.minute);
        columns[3][i] = pg::cidr_datum(network);
        columns[4][i] =
            location.shown.empty() ? empty : pg::text_datum(pg::from_utf8_lossy(location.shown.view()));
        columns[5][i] = Int16GetDatum(static_cast<std::int16_t>(slot.status));
        columns[6][i] = pg::text_datum(store::reason_text(slot.reason));
        columns[7][i] = Int64GetDatum(static_cast<std::int64_t>(slot.requests));
        columns[8][i] = TimestampTzGetDatum(slot.first_at);
        columns[9][i] = TimestampTzGetDatum(slot.last_at);
    }
    pg::Args args;
    args.int4(pg::settings().node_id);
    for (int i = 0; i < 10; i++) args.add(array_datum(kTypes[i], columns[i], nullptr, step.count));
    pg::run(put_strangers, args);
    store::leave(actor);
}

}  // namespace

Drained drain_strangers(shmem::Seat* seat, pg::Trouble& trouble, TimestampTz until) {
    shmem::Strangers& strangers = shmem::region().strangers();
    const std::uint32_t capacity = strangers.capacity();
    StrangerStep step = {};
    step.counts = static_cast<shmem::StrangerCount*>(palloc(sizeof(shmem::StrangerCount) * capacity));
    step.at = static_cast<std::uint32_t*>(palloc(sizeof(std::uint32_t) * capacity));
    for (std::uint32_t i = 0; i < capacity; i++)
        if (strangers.read(i, MyDatabaseId, step.counts[step.count])) step.at[step.count++] = i;
    if (step.count == 0) return Drained::all;
    if (!run_step(seat, write_strangers, &step, trouble, left_ms(until))) return Drained::failed;
    // Only once the minute is over: until then more of the same comes.
    const TimestampTz over = GetCurrentTimestamp() - shmem::kMinute;
    for (int i = 0; i < step.count; i++)
        if (step.counts[i].minute < over) strangers.release(step.at[i], step.counts[i]);
    return Drained::all;
}

}  // namespace mirox::worker
