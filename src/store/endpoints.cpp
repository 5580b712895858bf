// The backend's compiled endpoint rules, and the acts that change them (see endpoints.hpp, also for the locks).
#include "store/endpoints.hpp"

#include "core/path.hpp"
#include "pg/cache_validity.hpp"
#include "pg/query.hpp"
#include "pg/values.hpp"
#include "store/endpoints.sql.hpp"
#include "store/rows.hpp"

extern "C" {
#include "access/table.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
}

namespace mirox::store {
namespace {

MemoryContext memory = nullptr;
constinit core::EndpointMatcher matcher;
constinit std::string_view* rule_texts = nullptr;  // "METHOD path" of each rule, in the order compiled
constinit char last_method[core::kMaxMethodChars];
bool closed = false;  // the rules could not be compiled, so every request needs `*`
constinit pg::CacheValidity validity(&pg::Catalog::endpoint);

std::string_view utf8_column(TupleTableSlot* slot, int number) {
    const std::string_view text = pg::text_view(column(slot, number));
    // A copy, because the slot's values are gone at the next row.
    return pg::to_utf8({pnstrdup(text.data(), text.size()), text.size()});
}

// The rule as people write it, in `memory`.
std::string_view joined(const core::Endpoint& rule) {
    const std::size_t size = rule.method.size() + 1 + rule.path.size();
    auto* text = static_cast<char*>(MemoryContextAlloc(memory, size));
    memcpy(text, rule.method.data(), rule.method.size());
    text[rule.method.size()] = ' ';
    memcpy(text + rule.method.size() + 1, rule.path.data(), rule.path.size());
    return {text, size};
}

void fill() {
    const pg::Catalog& catalog = pg::catalog();
    if (memory == nullptr) memory = AllocSetContextCreate(TopMemoryContext, "mirox_tokens endpoints", ALLOCSET_SMALL_SIZES);
    // While the new rules are not compiled yet, every request needs `*`.
    closed = true;
    matcher = {};
    rule_texts = nullptr;
    MemoryContextReset(memory);
    const MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "mirox_tokens endpoint rules", ALLOCSET_DEFAULT_SIZES);
    const MemoryContext before = MemoryContextSwitchTo(work);
    const Relation table = pg::open_table(catalog.endpoint, AccessShareLock);
    const std::uint64_t begun = validity.begin();
    std::size_t count = 0, room = 256;
    auto* rules = static_cast<core::Endpoint*>(palloc(sizeof(core::Endpoint) * room));
    for_all_rows(table, RegisterSnapshot(GetLatestSnapshot()), [&](TupleTableSlot* slot) {
        if (count == room) {
            room *= 2;
            rules = static_cast<core::Endpoint*>(repalloc_huge(rules, sizeof(core::Endpoint) * room));
        }
        rules[count++] = {utf8_column(slot, endpoint_column::kMethod), utf8_column(slot, endpoint_column::kPath),
                          utf8_column(slot, endpoint_column::kScope)};
        return true;
    });
    table_close(table, AccessShareLock);

    const std::size_t size = core::EndpointMatcher::compiled_size({rules, count});
    auto* at = static_cast<std::byte*>(MemoryContextAllocHuge(memory, size));
    const core::EndpointStatus status = core::EndpointMatcher::compile({rules, count}, {at, size}, matcher);
    closed = status != core::EndpointStatus::ok;
    rule_texts = static_cast<std::string_view*>(MemoryContextAllocHuge(memory, sizeof(std::string_view) * Max(count, 1)));
    for (std::size_t i = 0; i < count; i++) rule_texts[i] = joined(rules[i]);
    if (closed) {
        matcher = {};
        MIROX_LOG(LOG,
                  errmsg("mirox_internal.endpoint holds rules that cannot be used; every request needs "
                         "the scope \"*\""),
                  errdetail("Status %d of %zu rules.", static_cast<int>(status), count),
                  errhint("Delete the rules that were written without mirox.put_endpoint."));
    }
    validity.keep(begun);
    MemoryContextSwitchTo(before);
    MemoryContextDelete(work);
}

const char* status_text(core::EndpointStatus status) {
    switch (status) {
        case core::EndpointStatus::bad_method:
            return "The method is none, or longer than 32 characters; * stands for every method.";
        case core::EndpointStatus::not_absolute:
            return "The path does not begin with a slash.";
        case core::EndpointStatus::path_too_long:
            return "The path is longer than 1024 bytes.";
        case core::EndpointStatus::too_many_segments:
            return "The path has more than 32 segments.";
        case core::EndpointStatus::empty_segment:
            return "The path has two slashes beside each other.";
        case core::EndpointStatus::dot_segment:
            return "The path has a segment \".\" or \"..\".";
        case core::EndpointStatus::bad_character:
            return "The path has a character that cannot stand in one: paths are written decoded, without "
                   "query.";
        case core::EndpointStatus::partial_wildcard:
            return "A wildcard stands for a whole segment.";
        case core::EndpointStatus::rest_not_last:
            return "After ** nothing may follow.";
        case core::EndpointStatus::bad_scope:
            return "The scope is malformed.";
        default:
            return "The rule is malformed.";
    }
}

const char* argument_of(core::EndpointStatus status) {
    return status == core::EndpointStatus::bad_method ? "method" : status == core::EndpointStatus::bad_scope ? "scope" : "path";
}

}  // namespace

void ready_endpoints() {
    if (!validity.usable()) fill();
}

RequestScope scope_of_request(std::string_view method_given, std::string_view path_given) {
    char path[core::kMaxPathBytes];
    std::size_t method_size, path_size;
    std::string_view target;
    if (!core::normalise_method(method_given, last_method, method_size)) return {};
    const std::string_view method = {last_method, method_size};
    if (!pg::try_to_utf8(path_given, target) || core::normalise_path(target, path, path_size) != core::PathStatus::ok)
        return {false, {}, method, {}};
    ready_endpoints();
    const core::EndpointMatch match = closed ? core::EndpointMatch{} : matcher.match(method, {path, path_size});
    if (!match.found) return {true, "*", method, {}};
    return {true, match.scope, method, rule_texts[match.rule]};
}

void normalise_rule(std::string_view method, std::string_view path, std::string_view scope, core::EndpointText& out) {
    const core::EndpointStatus status =
        core::normalise_endpoint({pg::to_utf8(method), pg::to_utf8(path), pg::to_utf8(scope)}, out);
    if (status != core::EndpointStatus::ok)
        MIROX_RAISE(
            ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::endpoint_invalid, argument_of(status)),
            errmsg("invalid endpoint rule"), errdetail("%s", status_text(status)),
            errhint("Write a rule such as ('GET', '/api/v1/parks/*', 'parks:read'); ** stands for the rest of the path."));
}

bool is_normal_rule(std::string_view method, std::string_view path, std::string_view scope) {
    core::EndpointText normal;
    const std::string_view utf8_method = pg::to_utf8(method), utf8_path = pg::to_utf8(path);
    return core::normalise_endpoint({utf8_method, utf8_path, pg::to_utf8(scope)}, normal) == core::EndpointStatus::ok &&
           normal.method() == utf8_method && normal.path() == utf8_path;
}

void put_endpoint(std::string_view method, std::string_view path, std::string_view scope) {
    core::EndpointText rule;
    normalise_rule(method, path, scope, rule);
    lock_name(pg::catalog().endpoint, rule.method(), rule.path());
    pg::Args args;
    args.text(pg::from_utf8(rule.method())).text(pg::from_utf8(rule.path())).text(scope);
    if (pg::run(select_rule, args) == 0)
        pg::run(insert_rule, args);
    else if (!DatumGetBool(pg::result_value(0, 1)))
        pg::run(update_rule, args);
}

bool drop_endpoint(std::string_view method, std::string_view path) {
    core::EndpointText rule;
    normalise_rule(method, path, "*", rule);
    lock_name(pg::catalog().endpoint, rule.method(), rule.path());
    pg::Args args;
    args.text(pg::from_utf8(rule.method())).text(pg::from_utf8(rule.path()));
    return pg::run(delete_rule, args) > 0;
}

}  // namespace mirox::store
