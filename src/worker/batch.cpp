// A batch of events (see batch.hpp, also for the locks).
#include "worker/batch.hpp"

#include "pg/network.hpp"
#include "pg/query.hpp"
#include "pg/values.hpp"
#include "worker/batch.sql.hpp"
#include "worker/drain.hpp"
#include "worker/erasing.hpp"
#include "worker/lookup.hpp"
#include "worker/places.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/timestamp.h"
}

namespace mirox::worker {

using pg::Query;
using shmem::Event;

using shmem::kAgent;
using shmem::kEndpoint;
using shmem::kMethod;
using shmem::kScope;

// What distinguishes uses, compared as bytes.
struct Key : shmem::Facts {
    std::int64_t minute;
    std::uint32_t texts[shmem::kTexts];
    static_assert(shmem::kTexts % 2 == 0);
};
struct Use {
    Key key;
    std::int64_t requests, first_at, last_at;
};

namespace {

// How many different callers (address, agent) of one token or session a minute shows one by one. Above that an address is widened to
// its network and the agent left out; with as many networks, the address is left out too. Status, reason, scope and endpoint stay.
// So nobody can fill the tables with a dead token: one token or session has at most twice this many rows a minute and one for each
// different answer, scope and endpoint, fewer than kCrowd more for each drain, and as many again for each start of the worker in that
// minute.
constexpr int kRefusedCallers = 200, kAdmittedCallers = 2000;
constexpr unsigned kWideIpv4 = 24, kWideIpv6 = 48;
// From so many on, a token's callers are remembered until their minute closes, beyond the batch.
constexpr int kCrowd = 10;
// Uses in a row of usage_open, which then takes 4 kB. A reader of one token unpacks each row that may hold it.
constexpr int kPacked = 48;
// New texts of a kind in a day, since clients choose some of them. Uses with further ones have none.
constexpr int kNewTexts = 20'000;

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

struct Crowd {
    std::int64_t minute;              // of the newest use; an older one that comes late is counted here too
    int refused, admitted;            // callers that were shown one by one
    int wide_refused, wide_admitted;  // networks
};
struct TokenKey {
    std::int64_t credential_id, generation;
};
struct Token {
    TokenKey key;
    std::int64_t marked_uses, marked_refusals;  // those that the counters include
    Crowd crowd;
};
struct RememberedCrowd {
    std::int64_t credential_id;
    Crowd crowd;
};
// A method and an endpoint, by their numbers in the batch.
struct EndpointOf {
    std::uint32_t texts[2];
    std::int32_t id;
};
struct PlaceOf {
    core::Address address;
    std::int32_t id;
};

// Tokens with many callers in the minutes that are open.
constinit HTAB* crowds = nullptr;
constinit MemoryContext crowds_context = nullptr;

std::uint32_t number_of(Texts& texts, std::string_view text) {
    if (text.empty()) return 0;
    bool found;
    auto* entry = static_cast<Text*>(hash_search(texts.table, &text, HASH_ENTER, &found));
    if (!found) {
        if (++texts.count >= texts.room) {
            texts.room *= 2;
            texts.all = static_cast<std::string_view*>(repalloc_huge(texts.all, sizeof(std::string_view) * texts.room));
        }
        entry->number = texts.count;
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
    if (found) return *token;
    *token = {};
    token->key = key;
    if (crowds != nullptr)
        if (auto* known = static_cast<RememberedCrowd*>(hash_search(crowds, &key.credential_id, HASH_FIND, nullptr)))
            token->crowd = known->crowd;
    return *token;
}

void remember_crowds(const Batch& batch) {
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, batch.tokens);
    while (auto* token = static_cast<Token*>(hash_seq_search(&scan))) {
        if (token->crowd.refused < kCrowd && token->crowd.admitted < kCrowd) continue;
        if (crowds == nullptr) {
            crowds_context = AllocSetContextCreate(TopMemoryContext, "mirox_tokens crowds", ALLOCSET_DEFAULT_SIZES);
            const MemoryContext before = MemoryContextSwitchTo(crowds_context);
            crowds = make_table("crowds", sizeof(std::int64_t), sizeof(RememberedCrowd));
            MemoryContextSwitchTo(before);
        }
        auto* known = static_cast<RememberedCrowd*>(hash_search(crowds, &token->key.credential_id, HASH_ENTER, nullptr));
        known->crowd = token->crowd;
    }
}

Use* use_of(Batch& batch, const Key& key) {
    return static_cast<Use*>(hash_search(batch.uses, &key, HASH_FIND, nullptr));
}

// Makes the key of a caller beyond the limit: of its network, or without an address.
Use* widened(Batch& batch, Key& key, Token& token) {
    const bool refused = key.refused();
    const int most = refused ? kRefusedCallers : kAdmittedCallers;
    if (key.minute > token.crowd.minute) token.crowd = {key.minute, 0, 0, 0, 0};
    int& callers = refused ? token.crowd.refused : token.crowd.admitted;
    if (callers < most) {
        callers++;
        return nullptr;
    }
    key.texts[kAgent] = 0;
    key.address = core::network_of(key.address, key.address.family == core::AddressFamily::ipv4 ? kWideIpv4 : kWideIpv6);
    if (Use* use = use_of(batch, key)) return use;
    int& networks = refused ? token.crowd.wide_refused : token.crowd.wide_admitted;
    if (networks < most) {
        networks++;
        return nullptr;
    }
    key.address = {};
    return use_of(batch, key);
}

// ---- writing ---------------------------------------------------------------------------------------------------------

// Counted in shared memory: a worker leaves when there is nothing to do, and another comes. Before a database has stats nothing has
// been drained since the server's start.
bool may_be_new(shmem::DatabaseStats* stats, unsigned kind) {
    static shmem::NewTexts first[shmem::kTexts];
    shmem::NewTexts& added = stats == nullptr ? first[kind] : stats->new_texts[kind];
    const TimestampTz day = GetCurrentTimestamp() / USECS_PER_DAY;
    if (added.day != day) added = {day, 0};
    return added.count++ < kNewTexts;
}

// Looks the texts up, inserts those that are missing, and looks the inserted ones up too.
void resolve(shmem::DatabaseStats* stats, Texts& texts, unsigned kind, Query& select, Query& insert) {
    texts.ids = static_cast<std::int32_t*>(palloc0(sizeof(std::int32_t) * (texts.count + 1)));
    if (texts.count == 0) return;
    Arrays all(select, 1, texts.count);
    for (std::uint32_t i = 1; i <= texts.count; i++) all.add_row({pg::text_datum(pg::from_utf8_lossy(texts.all[i]))});
    for (int round = 0; round < 2; round++) {
        pg::Args args;
        all.add_to(args);
        const std::uint64_t rows = pg::run(select, args);
        for (std::uint64_t i = 0; i < rows; i++)
            texts.ids[DatumGetInt64(pg::result_value(i, 1))] = DatumGetInt32(pg::result_value(i, 2));
        SPI_freetuptable(SPI_tuptable);
        if (round == 1) return;
        Arrays missing(insert, 1, texts.count);
        for (std::uint32_t i = 1; i <= texts.count; i++) {
            if (texts.ids[i] != 0 || !may_be_new(stats, kind)) continue;
            const Datum text = pg::text_datum(pg::from_utf8_lossy(texts.all[i]));
            if (kind != kAgent) {
                missing.add_row({text});
                continue;
            }
            enrich::AgentInfo info;
            const bool known = look_up_agent(stats, texts.all[i], info);
            missing.add_row({text, Int64GetDatum(static_cast<std::int64_t>(shmem::text_key(texts.all[i]))),
                             Cell::text(info.browser.view()), Cell::text(info.os.view()), BoolGetDatum(known)});
        }
        if (missing.rows() == 0) return;
        pg::Args rows_of;
        missing.add_to(rows_of);
        pg::run(insert, rows_of);
    }
}

void note_seen(const Texts& agents) {
    Arrays seen(touch_agents, 1, agents.count);
    for (std::uint32_t i = 1; i <= agents.count; i++)
        if (agents.ids[i] != 0) seen.add_row({Int32GetDatum(agents.ids[i])});
    if (seen.rows() == 0) return;
    pg::Args args;
    seen.add_to(args);
    pg::run(touch_agents, args, false);
}

// Each distinct pair of method and endpoint, as resolve() does it for one text.
void resolve_endpoints(shmem::DatabaseStats* stats, Batch& batch) {
    batch.endpoints = make_table("endpoints of a batch", sizeof(std::uint32_t) * 2, sizeof(EndpointOf));
    List* all = NIL;
    for (std::uint32_t i = 0; i < batch.count; i++) {
        const Key& key = batch.list[i]->key;
        const std::uint32_t pair[2] = {key.texts[kMethod], key.texts[kEndpoint]};
        if (pair[0] == 0 && pair[1] == 0) continue;
        bool found;
        auto* endpoint = static_cast<EndpointOf*>(hash_search(batch.endpoints, pair, HASH_ENTER, &found));
        if (found) continue;
        endpoint->id = 0;
        all = lappend(all, endpoint);
    }
    if (all == NIL) return;
    const auto shown = [&batch](unsigned kind, std::uint32_t number) {
        return pg::text_datum(number == 0 ? std::string_view() : pg::from_utf8_lossy(batch.texts[kind].all[number]));
    };
    const auto count = static_cast<std::uint32_t>(list_length(all));
    for (int round = 0; round < 2; round++) {
        Arrays pairs(select_endpoints, 1, count);
        ListCell* cell;
        foreach (cell, all) {
            const auto* endpoint = static_cast<EndpointOf*>(lfirst(cell));
            pairs.add_row({shown(kMethod, endpoint->texts[0]), shown(kEndpoint, endpoint->texts[1])});
        }
        pg::Args args;
        pairs.add_to(args);
        const std::uint64_t rows = pg::run(select_endpoints, args);
        for (std::uint64_t i = 0; i < rows; i++)
            static_cast<EndpointOf*>(list_nth(all, static_cast<int>(DatumGetInt64(pg::result_value(i, 1))) - 1))->id =
                DatumGetInt32(pg::result_value(i, 2));
        SPI_freetuptable(SPI_tuptable);
        if (round == 1) break;
        Arrays missing(insert_endpoints, 1, count);
        foreach (cell, all) {
            const auto* endpoint = static_cast<EndpointOf*>(lfirst(cell));
            if (endpoint->id == 0 && may_be_new(stats, kEndpoint))
                missing.add_row({shown(kMethod, endpoint->texts[0]), shown(kEndpoint, endpoint->texts[1])});
        }
        if (missing.rows() == 0) break;
        pg::Args rows_of;
        missing.add_to(rows_of);
        pg::run(insert_endpoints, rows_of);
    }
}

std::int32_t endpoint_of(const Batch& batch, const Key& key) {
    const std::uint32_t pair[2] = {key.texts[kMethod], key.texts[kEndpoint]};
    const auto* endpoint = static_cast<const EndpointOf*>(hash_search(batch.endpoints, pair, HASH_FIND, nullptr));
    return endpoint == nullptr ? 0 : endpoint->id;
}

// The place of each distinct address. Their names are looked up once, and stand in the table once.
void resolve_places(Batch& batch) {
    batch.places = make_table("places of a batch", sizeof(core::Address), sizeof(PlaceOf));
    if (!has_places()) return;
    PlaceIds ids;
    begin_places(ids);
    for (std::uint32_t i = 0; i < batch.count; i++) {
        const core::Address& address = batch.list[i]->key.address;
        if (address.family == core::AddressFamily::none) continue;
        bool found;
        auto* place = static_cast<PlaceOf*>(hash_search(batch.places, &address, HASH_ENTER, &found));
        if (!found) place->id = number_of_place(ids, address);
    }
    end_places(ids);
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, batch.places);
    while (auto* place = static_cast<PlaceOf*>(hash_seq_search(&scan))) place->id = ids.ids[place->id];
}

std::int32_t place_of(const Batch& batch, const core::Address& address) {
    const auto* place = static_cast<const PlaceOf*>(hash_search(batch.places, &address, HASH_FIND, nullptr));
    return place == nullptr ? 0 : place->id;
}

// The order of usage_open: minute, then credential.
int compare_uses(const void* a, const void* b) {
    const Key& x = (*static_cast<Use* const*>(a))->key;
    const Key& y = (*static_cast<Use* const*>(b))->key;
    if (x.minute != y.minute) return x.minute < y.minute ? -1 : 1;
    return x.credential_id < y.credential_id ? -1 : x.credential_id > y.credential_id ? 1 : 0;
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
        texts.room = 1024;
        texts.all = static_cast<std::string_view*>(palloc(sizeof(std::string_view) * texts.room));
        texts.count = 0;
    }
    batch.uses = make_table("uses of a batch", sizeof(Key), sizeof(Use));
    batch.tokens = make_table("tokens of a batch", sizeof(TokenKey), sizeof(Token));
    batch.room = 1024;
    batch.list = static_cast<Use**>(palloc(sizeof(Use*) * batch.room));
    batch.count = 0;
}

void gather(Batch& batch, const shmem::StoredEvent& stored) {
    const Event& event = stored.event;
    Token& token = token_of(batch, event);
    if (stored.counted) (event.refused() ? token.marked_refusals : token.marked_uses)++;
    Key key;
    memset(static_cast<void*>(&key), 0, sizeof(key));
    static_cast<shmem::Facts&>(key) = event;
    key.minute = shmem::minute_of(event.at);
    const bool erased = is_erased(event.account, event.at);
    if (erased) memset(static_cast<void*>(&key.address), 0, sizeof(key.address));
    for (unsigned kind = 0; kind < shmem::kTexts; kind++)
        key.texts[kind] = erased && kind == kAgent ? 0 : number_of(batch.texts[kind], event.texts[kind]);
    Use* use = use_of(batch, key);
    if (use == nullptr) use = widened(batch, key, token);
    if (use == nullptr) {
        use = static_cast<Use*>(hash_search(batch.uses, &key, HASH_ENTER, nullptr));
        use->requests = 0;
        use->first_at = use->last_at = event.at;
        if (batch.count == batch.room) {
            batch.room *= 2;
            batch.list = static_cast<Use**>(repalloc_huge(batch.list, sizeof(Use*) * batch.room));
        }
        batch.list[batch.count++] = use;
    }
    use->requests++;
    use->first_at = Min(use->first_at, event.at);
    use->last_at = Max(use->last_at, event.at);
}

std::uint64_t write_batch(shmem::DatabaseStats* stats, Batch& batch) {
    resolve(stats, batch.texts[kAgent], kAgent, select_agents, insert_agents);
    note_seen(batch.texts[kAgent]);
    resolve(stats, batch.texts[kScope], kScope, select_scopes, insert_scopes);
    resolve_endpoints(stats, batch);
    resolve_places(batch);
    qsort(batch.list, batch.count, sizeof(Use*), compare_uses);
    Datum reasons[core::kReasons + 1];  // the last one: for a number that this version does not know
    for (int i = 0; i <= core::kReasons; i++) reasons[i] = pg::text_datum(core::reason_word(static_cast<std::uint8_t>(i)));
    Arrays packed(insert_open, 4, kPacked);
    for (std::uint32_t at = 0; at < batch.count;) {
        const Key& first = batch.list[at]->key;
        packed.clear();
        for (; packed.rows() < kPacked && at < batch.count && batch.list[at]->key.minute == first.minute; at++) {
            const Use& use = *batch.list[at];
            const Key& key = use.key;
            packed.add_row({Int64GetDatum(key.credential_id), Int64GetDatum(key.account), Int32GetDatum(key.generation),
                            Cell::network(key.address), Int32GetDatum(key.status),
                            key.refused() ? Cell(reasons[Min(key.reason, core::kReasons)]) : Cell::null(),
                            Cell::key(batch.texts[kAgent].ids[key.texts[kAgent]]), Cell::key(place_of(batch, key.address)),
                            Cell::key(endpoint_of(batch, key)), Cell::key(batch.texts[kScope].ids[key.texts[kScope]]),
                            Int32GetDatum(static_cast<std::int32_t>(use.requests)), TimestampTzGetDatum(use.first_at),
                            TimestampTzGetDatum(use.last_at)});
        }
        pg::Args args;
        args.add(TimestampTzGetDatum(first.minute)).int8(first.credential_id).int8(batch.list[at - 1]->key.credential_id);
        packed.add_to(args);
        pg::run(insert_open, args, false);
    }
    remember_crowds(batch);
    return batch.count;
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

void forget_crowds(std::int64_t before) {
    if (crowds == nullptr) return;
    bool any = false;
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, crowds);
    while (auto* known = static_cast<RememberedCrowd*>(hash_seq_search(&scan))) {
        if (known->crowd.minute >= before)
            any = true;
        else
            (void)hash_search(crowds, &known->credential_id, HASH_REMOVE, nullptr);
    }
    if (any) return;
    MemoryContextDelete(crowds_context);
    crowds_context = nullptr;
    crowds = nullptr;
}

}  // namespace mirox::worker
