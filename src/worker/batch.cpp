// A batch of events (see batch.hpp, also for the locks).
#include "worker/batch.hpp"

#include "pg/query.hpp"
#include "pg/values.hpp"
#include "worker/batch.sql.hpp"
#include "worker/drain.hpp"
#include "worker/lookup.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "common/hashfn.h"
}

namespace mirox::worker {

using pg::Query;
using pg::Type;
using shmem::Event;

using shmem::kAgent;
using shmem::kEndpoint;
using shmem::kMethod;
using shmem::kScope;

// What distinguishes callers, compared as bytes.
struct Key : shmem::Facts {
    std::uint32_t texts[shmem::kTexts];
};
struct Caller {
    Key key;
    std::uint32_t number;
};

namespace {

// Distinct refused callers of one token in a batch. The rest are counted without address and texts, so that nobody can fill the
// tables by sending a dead token with many user agents.
constexpr int kRefusedCallers = 200;
// Callers in a row of usage_open, which then takes 2.5 kB. A reader of one token unpacks each row that may hold it.
constexpr int kPacked = 64;

Datum location_of(Batch& batch, const core::Address& address);

// The columns of table caller, which the statements look for and insert. Its unique index caller_key has all of them.
struct Dimension {
    const char* column;
    Type type;
    Datum (*of)(Batch& batch, const Key& key);
};
constexpr Dimension kDimensions[] = {
    {"token_id", Type::int8_array, [](Batch&, const Key& k) { return Int64GetDatum(k.token()); }},
    {"session_id", Type::int8_array, [](Batch&, const Key& k) { return Int64GetDatum(k.session()); }},
    {"account_id", Type::int8_array, [](Batch&, const Key& k) { return Int64GetDatum(k.account); }},
    {"agent_id", Type::int8_array, [](Batch& b, const Key& k) { return b.agent_ids[k.texts[kAgent]]; }},
    {"generation", Type::int4_array, [](Batch&, const Key& k) { return Int32GetDatum(k.generation); }},
    {"status", Type::int2_array, [](Batch&, const Key& k) { return Int16GetDatum(k.status); }},
    {"reason", Type::text_array, [](Batch& b, const Key& k) { return b.reasons[Min(k.reason, core::kReasons)]; }},
    {"ip", Type::inet_array, [](Batch&, const Key& k) { return stored_network(k.address); }},
    {"location", Type::text_array, [](Batch& b, const Key& k) { return location_of(b, k.address); }},
    {"scope", Type::text_array, [](Batch& b, const Key& k) { return b.texts[kScope].shown[k.texts[kScope]]; }},
    {"method", Type::text_array, [](Batch& b, const Key& k) { return b.texts[kMethod].shown[k.texts[kMethod]]; }},
    {"endpoint", Type::text_array, [](Batch& b, const Key& k) { return b.texts[kEndpoint].shown[k.texts[kEndpoint]]; }},
};

// Made from the list at first use.
Query select_callers = {}, insert_callers = {};

void make_statements() {
    if (select_callers.sql != nullptr) return;
    const MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);
    StringInfoData columns, arrays, same;
    for (StringInfoData* list : {&columns, &arrays, &same}) initStringInfo(list);
    for (int i = 0; i < static_cast<int>(std::size(kDimensions)); i++) {
        const Dimension& is = kDimensions[i];
        appendStringInfo(&columns, "%s%s", i == 0 ? "" : ", ", is.column);
        appendStringInfo(&arrays, "%s$%d", i == 0 ? "" : ", ", i + 1);
        appendStringInfo(&same, "%sc.%s = g.%s%s", i == 0 ? "" : " AND ", is.column, is.column,
                         is.type == Type::text_array ? " COLLATE \"C\"" : "");
        select_callers.types[i] = insert_callers.types[i] = is.type;
    }
    insert_callers.sql = psprintf("INSERT INTO mirox_internal.caller (%s) SELECT * FROM unnest(%s) g ON CONFLICT DO NOTHING",
                                  columns.data, arrays.data);
    select_callers.sql = psprintf(
        "SELECT g.n, c.caller_id FROM unnest(%s) WITH ORDINALITY g (%s, n) CROSS JOIN LATERAL "
        "(SELECT c.caller_id FROM mirox_internal.caller c WHERE %s OFFSET 0) c",
        arrays.data, columns.data, same.data);
    MemoryContextSwitchTo(before);
}

// ---- gathering --------------------------------------------------------------------------------------------------------

struct Text {
    std::string_view text;  // the key
    std::uint32_t number;
};
std::uint32_t hash_text(const void* key, Size) {
    const auto& text = *static_cast<const std::string_view*>(key);
    return ::hash_bytes(reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
}
int compare_text(const void* a, const void* b, Size) {
    return *static_cast<const std::string_view*>(a) != *static_cast<const std::string_view*>(b);
}

struct UseKey {
    std::int64_t minute;
    std::uint64_t caller;
};
struct Use {
    UseKey key;
    std::int64_t requests, first_at, last_at;
};
struct TokenKey {
    std::int64_t credential_id, generation;
};
struct Token {
    TokenKey key;
    std::int64_t marked_uses, marked_refusals;  // those that the counters include
    int refused_callers;
};
struct Location {
    core::Address address;
    Datum text;
};

std::uint32_t number_of(Texts& texts, std::string_view text) {
    if (text.empty()) return 0;
    bool found;
    auto* entry = static_cast<Text*>(hash_search(texts.table, &text, HASH_ENTER, &found));
    if (!found) {
        entry->number = ++texts.count;
        texts.all[texts.count] = text;
    }
    return entry->number;
}

HTAB* make_table(const char* name, Size key, Size entry) {
    HASHCTL how = {};
    how.keysize = key;
    how.entrysize = entry;
    how.hcxt = CurrentMemoryContext;
    return hash_create(name, 1024, &how, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

Token& token_of(Batch& batch, const Event& event) {
    const TokenKey key = {event.credential_id, event.generation};
    bool found;
    auto* token = static_cast<Token*>(hash_search(batch.tokens, &key, HASH_ENTER, &found));
    if (!found) {
        *token = {};
        token->key = key;
    }
    return *token;
}

// ---- writing ---------------------------------------------------------------------------------------------------------

Datum location_of(Batch& batch, const core::Address& address) {
    if (address.family == core::AddressFamily::none) return batch.empty;
    bool found;
    auto* location = static_cast<Location*>(hash_search(batch.locations, &address, HASH_ENTER, &found));
    if (!found) location->text = location_datum(address);
    return location->text;
}

void show_texts(Batch& batch) {
    for (Texts& texts : batch.texts) {
        texts.shown = datums(texts.count + 1);
        texts.shown[0] = batch.empty;
        for (std::uint32_t i = 1; i <= texts.count; i++) texts.shown[i] = pg::text_datum(pg::from_utf8_lossy(texts.all[i]));
    }
}

// Looks the agents up, inserts those that are missing, and looks the inserted ones up too.
void resolve_agents(shmem::DatabaseStats* stats, Batch& batch) {
    const Texts& agents = batch.texts[kAgent];
    batch.agent_ids = static_cast<Datum*>(palloc0(sizeof(Datum) * (agents.count + 1)));
    if (agents.count == 0) return;
    for (int round = 0; round < 2; round++) {
        pg::Args args;
        args.add(array_datum(TEXTOID, agents.shown + 1, nullptr, static_cast<int>(agents.count)));
        const std::uint64_t rows = pg::run(select_agents, args);
        for (std::uint64_t i = 0; i < rows; i++) batch.agent_ids[DatumGetInt64(pg::result_value(i, 1))] = pg::result_value(i, 2);
        SPI_freetuptable(SPI_tuptable);
        if (round == 1) break;
        Arrays missing(insert_agents, 1, agents.count);
        for (std::uint32_t i = 1; i <= agents.count; i++) {
            if (batch.agent_ids[i] != 0) continue;
            enrich::AgentInfo info;
            const bool known = look_up_agent(stats, agents.all[i], info);
            missing.add_row({agents.shown[i], Int64GetDatum(static_cast<std::int64_t>(shmem::text_key(agents.all[i]))),
                             pg::text_datum(pg::from_utf8_lossy(info.browser.view())),
                             pg::text_datum(pg::from_utf8_lossy(info.os.view())), BoolGetDatum(known)});
        }
        if (missing.rows() == 0) break;
        pg::Args rows_of;
        missing.add_to(rows_of);
        pg::run(insert_agents, rows_of);
    }
}

// The ids of the batch's callers, in the batch's order.
std::int64_t* resolve_callers(Batch& batch) {
    make_statements();
    const std::uint32_t count = batch.caller_count;
    auto* ids = static_cast<std::int64_t*>(palloc0(sizeof(std::int64_t) * Max(count, std::uint32_t{1})));
    auto* order = static_cast<std::uint32_t*>(palloc(sizeof(std::uint32_t) * Max(count, std::uint32_t{1})));
    for (int i = 0; i <= core::kReasons; i++) batch.reasons[i] = pg::text_datum(core::reason_word(static_cast<std::uint8_t>(i)));
    Arrays missing(insert_callers, 1, count);
    for (int round = 0; round < 2; round++) {
        missing.clear();
        for (std::uint32_t i = 0; i < count; i++) {
            if (ids[i] != 0) continue;
            int column = 0;
            for (const Dimension& is : kDimensions) missing.set(column++, is.of(batch, batch.caller_list[i]->key));
            order[missing.rows()] = i;
            missing.next_row();
        }
        if (missing.rows() == 0) return ids;
        pg::Args args;
        missing.add_to(args);
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

// The uses of a caller within a minute. They are packed in the order of minute, token and caller.
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

}  // namespace

void make_batch(Batch& batch) {
    for (Texts& texts : batch.texts) {
        HASHCTL how = {};
        how.keysize = sizeof(std::string_view);
        how.entrysize = sizeof(Text);
        how.hash = hash_text;
        how.match = compare_text;
        how.hcxt = CurrentMemoryContext;
        texts.table = hash_create("texts of a batch", 256, &how, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
        texts.all = static_cast<std::string_view*>(palloc(sizeof(std::string_view) * (kBatch + 1)));
        texts.count = 0;
    }
    batch.callers = make_table("callers of a batch", sizeof(Key), sizeof(Caller));
    batch.uses = make_table("uses of a batch", sizeof(UseKey), sizeof(Use));
    batch.tokens = make_table("tokens of a batch", sizeof(TokenKey), sizeof(Token));
    batch.locations = make_table("locations of a batch", sizeof(core::Address), sizeof(Location));
    batch.caller_list = static_cast<Caller**>(palloc(sizeof(Caller*) * kBatch));
    batch.caller_count = 0;
    batch.empty = pg::text_datum({});
}

void gather(Batch& batch, const shmem::StoredEvent& stored) {
    const Event& event = stored.event;
    Token& token = token_of(batch, event);
    if (stored.counted) (event.refused() ? token.marked_refusals : token.marked_uses)++;
    Key key;
    memset(static_cast<void*>(&key), 0, sizeof(key));
    static_cast<shmem::Facts&>(key) = event;
    for (unsigned kind = 0; kind < shmem::kTexts; kind++) key.texts[kind] = number_of(batch.texts[kind], event.texts[kind]);
    bool found;
    auto* caller = static_cast<Caller*>(hash_search(batch.callers, &key, HASH_FIND, &found));
    if (!found && event.refused() && token.refused_callers++ >= kRefusedCallers) {
        memset(key.texts, 0, sizeof(key.texts));
        key.address = {};
        caller = static_cast<Caller*>(hash_search(batch.callers, &key, HASH_FIND, &found));
    }
    if (!found) {
        caller = static_cast<Caller*>(hash_search(batch.callers, &key, HASH_ENTER, &found));
        caller->number = batch.caller_count;
        batch.caller_list[batch.caller_count++] = caller;
    }
    const UseKey use_key = {shmem::minute_of(event.at), caller->number};
    auto* use = static_cast<Use*>(hash_search(batch.uses, &use_key, HASH_ENTER, &found));
    if (!found) {
        use->requests = 0;
        use->first_at = use->last_at = event.at;
    }
    use->requests++;
    use->first_at = Min(use->first_at, event.at);
    use->last_at = Max(use->last_at, event.at);
}

// Two texts may become equal in the database's encoding: then one caller occurs twice.
std::uint64_t write_batch(shmem::DatabaseStats* stats, Batch& batch) {
    show_texts(batch);
    resolve_agents(stats, batch);
    const std::int64_t* ids = resolve_callers(batch);
    const auto count = static_cast<std::uint32_t>(hash_get_num_entries(batch.uses));
    auto* uses = static_cast<Packed*>(palloc(sizeof(Packed) * Max(count, std::uint32_t{1})));
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, batch.uses);
    std::uint32_t n = 0;
    while (auto* use = static_cast<Use*>(hash_seq_search(&scan)))
        uses[n++] = {use->key.minute,      batch.caller_list[use->key.caller]->key.token(),
                     ids[use->key.caller], use->requests,
                     use->first_at,        use->last_at};
    qsort(uses, count, sizeof(Packed), compare_packed);
    Arrays packed(insert_open, 4, kPacked);
    for (std::uint32_t at = 0; at < count;) {
        const Packed& first = uses[at];
        packed.clear();
        for (; packed.rows() < kPacked && at < count && uses[at].minute == first.minute; at++)
            packed.add_row({Int64GetDatum(uses[at].caller), Int64GetDatum(uses[at].token),
                            Int32GetDatum(static_cast<std::int32_t>(uses[at].requests)), TimestampTzGetDatum(uses[at].first_at),
                            TimestampTzGetDatum(uses[at].last_at)});
        pg::Args args;
        args.add(TimestampTzGetDatum(first.minute)).int8(first.token).int8(uses[at - 1].token);
        packed.add_to(args);
        pg::run(insert_open, args, false);
    }
    return count;
}

void post_counts(shmem::Region& region, const Batch& batch, std::uint64_t from, std::uint64_t to) {
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, batch.tokens);
    while (auto* token = static_cast<Token*>(hash_seq_search(&scan))) {
        if (token->marked_uses == 0 && token->marked_refusals == 0) continue;
        region.counters().post({MyDatabaseId, static_cast<std::int32_t>(token->key.generation), token->key.credential_id}, from,
                               to, static_cast<std::uint64_t>(token->marked_uses),
                               static_cast<std::uint64_t>(token->marked_refusals));
    }
}

}  // namespace mirox::worker
