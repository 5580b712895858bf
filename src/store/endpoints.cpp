// The backend's compiled endpoint rules, and the acts that change them (see endpoints.hpp, also for the locks).
#include "store/endpoints.hpp"

#include "core/path.hpp"
#include "pg/cache_validity.hpp"
#include "pg/query.hpp"
#include "pg/values.hpp"
#include "store/audit.hpp"
#include "store/endpoints.sql.hpp"
#include "store/rows.hpp"

extern "C" {
#include "access/table.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"
}

namespace mirox::store {
namespace {

MemoryContext memory = nullptr;
constinit core::EndpointMatcher matcher;
constinit std::string_view* rule_texts = nullptr;  // "METHOD path" of each rule, in the order compiled
// Of the last request.
constinit char last_method[core::kMaxMethodChars];
constinit char last_path[core::kMaxPathBytes];
bool closed = false;  // the rules could not be compiled, so every request needs `*`
constinit pg::CacheValidity validity(&pg::Catalog::endpoint);

// Recorded for a method that neither a registry nor the matching rule names. Clients could invent any number of them, and a minute
// has a row for each.
constexpr std::string_view kOtherMethod = "other";

// Empty for NULL.
std::string_view utf8_column(TupleTableSlot* slot, int number) {
    bool is_null;
    const Datum value = column(slot, number, &is_null);
    if (is_null) return {};
    const std::string_view text = pg::text_view(value);
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

core::EndpointAccess access_of(bool has_scope, bool is_public) {
    return is_public ? core::EndpointAccess::everybody : has_scope ? core::EndpointAccess::scope : core::EndpointAccess::any;
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
        core::Endpoint& rule = rules[count++];
        rule = {utf8_column(slot, endpoint_column::kMethod), utf8_column(slot, endpoint_column::kPath),
                utf8_column(slot, endpoint_column::kScope)};
        rule.access = access_of(!rule.scope.empty(), DatumGetBool(column(slot, endpoint_column::kPublic)));
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
        case core::EndpointStatus::placeholder:
            return "A segment of any value is written *, not {id}, :id or <id>.";
        case core::EndpointStatus::rest_not_last:
            return "After ** nothing may follow.";
        case core::EndpointStatus::bad_scope:
            return "The scope is malformed.";
        case core::EndpointStatus::needless_scope:
            return "A public endpoint has no scope.";
        default:
            return "The rule is malformed.";
    }
}

const char* argument_of(core::EndpointStatus status) {
    return status == core::EndpointStatus::bad_method                                                    ? "method"
           : status == core::EndpointStatus::bad_scope || status == core::EndpointStatus::needless_scope ? "scope"
                                                                                                         : "path";
}

}  // namespace

void ready_endpoints() {
    if (!validity.usable()) fill();
}

RequestScope scope_of_request(std::string_view method_given, std::string_view path_given) {
    std::size_t method_size, path_size;
    std::string_view target;
    RequestScope out = {};
    if (!core::normalise_method(method_given, last_method, method_size)) return out;
    const std::string_view method = {last_method, method_size};
    out.method = core::is_registered_method(method) ? method : kOtherMethod;
    if (!pg::try_to_utf8(path_given, target) || core::normalise_path(target, last_path, path_size) != core::PathStatus::ok)
        return out;
    out.path = {last_path, path_size};
    out.valid = true;
    out.scope = "*";
    ready_endpoints();
    const core::EndpointMatch match = closed ? core::EndpointMatch{} : matcher.match(method, out.path);
    if (!match.found) return out;
    out.access = match.access;
    out.scope = match.scope;
    out.endpoint = rule_texts[match.rule];
    if (out.endpoint.starts_with(method) && out.endpoint[method.size()] == ' ') out.method = method;
    return out;
}

void too_many_endpoints() {
    MIROX_RAISE(ERRCODE_PROGRAM_LIMIT_EXCEEDED, errword(ErrorWord::endpoints_too_many), errmsg("too many endpoint rules"),
                errdetail("There may be %d.", static_cast<int>(core::kMaxEndpoints)),
                errhint("Write broader rules: * stands for one path segment, ** for the rest."));
}

core::Endpoint rule_of(const pg::OptionalText& method, const pg::OptionalText& path, const pg::OptionalText& scope,
                       bool is_public) {
    return {pg::to_utf8(method.text), pg::to_utf8(path.text), pg::to_utf8(scope.text), access_of(scope.given, is_public)};
}

void normalise_rule(const core::Endpoint& rule, core::EndpointText& out) {
    const core::EndpointStatus status = core::normalise_endpoint(rule, out);
    if (status != core::EndpointStatus::ok)
        MIROX_RAISE(
            ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::endpoint_invalid, argument_of(status)),
            errmsg("invalid endpoint rule"), errdetail("%s", status_text(status)),
            errhint("Write a rule such as ('GET', '/api/v1/parks/*', 'parks:read'); ** stands for the rest of the path."));
}

bool is_normal_rule(const core::Endpoint& rule) {
    core::EndpointText normal;
    return core::normalise_endpoint(rule, normal) == core::EndpointStatus::ok && normal.method() == rule.method &&
           normal.path() == rule.path;
}

void put_endpoint(const core::Endpoint& given) {
    core::EndpointText rule;
    normalise_rule(given, rule);
    LockRelationOid(pg::catalog().endpoint, RowExclusiveLock);
    lock_name(pg::catalog().endpoint, rule.method(), rule.path());
    pg::Args args;
    args.text(pg::from_utf8(rule.method()))
        .text(pg::from_utf8(rule.path()))
        .text_or_null(pg::from_utf8(given.scope), given.access == core::EndpointAccess::scope)
        .add(BoolGetDatum(given.access == core::EndpointAccess::everybody));
    if (pg::run(select_rule, args) == 0)
        pg::run(insert_rule, args);
    else if (!DatumGetBool(pg::result_value(0, 1)))
        pg::run(update_rule, args);
}

bool drop_endpoint(std::string_view method, std::string_view path) {
    core::EndpointText rule;
    normalise_rule({pg::to_utf8(method), pg::to_utf8(path), "*"}, rule);
    // Before the snapshot of the DELETE, which would not show what put_endpoints() has just put.
    LockRelationOid(pg::catalog().endpoint, RowExclusiveLock);
    lock_name(pg::catalog().endpoint, rule.method(), rule.path());
    pg::Args args;
    args.text(pg::from_utf8(rule.method())).text(pg::from_utf8(rule.path()));
    return pg::run(delete_rule, args) > 0;
}

namespace {

constexpr const char* kListHint =
    "Give a list such as [{\"method\": \"GET\", \"path\": \"/parks/*\", \"scope\": \"parks:read\"}].";
constexpr const char* kDocumentHint = "Change the document, or give a list of rules instead.";

[[noreturn]] void refuse_rule(const char* place, const char* fault, bool listed) {
    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::endpoint_invalid, "rules"), errmsg("invalid endpoint rules"),
                errdetail("%s: %s.", place, fault), errhint("%s", listed ? kListHint : kDocumentHint));
}

[[noreturn]] void refuse_names() {
    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::endpoint_invalid, "names"), errmsg("invalid names of scopes"),
                errdetail("It is an object that maps each scope of the document to one of ours, or to null for none."),
                errhint("Give an object such as {\"read:parks\": \"parks:read\"}."));
}

// The scope for a scope of the document; empty for none.
std::string_view own_scope(std::string_view given, Jsonb* names, const char* place, bool listed) {
    if (names == nullptr) return given;
    JsonbValue buffer;
    const JsonbValue* found = getKeyJsonValueFromContainer(&names->root, given.data(), static_cast<int>(given.size()), &buffer);
    // A secret in the wrong place is longer than this.
    constexpr std::size_t kMostShown = 40;
    if (found == nullptr && given.size() > kMostShown) refuse_rule(place, "names does not map one of its scopes", listed);
    if (found == nullptr)
        refuse_rule(place, psprintf("names does not map its scope \"%.*s\"", static_cast<int>(given.size()), given.data()),
                    listed);
    if (found->type == jbvNull) return {};
    if (found->type != jbvString) refuse_names();
    return {found->val.string.val, static_cast<std::size_t>(found->val.string.len)};
}

// The one scope that a list of scopes comes to, all of which a request needs; empty for none.
std::string_view required_scope(Datum list, Jsonb* names, const char* place, bool listed) {
    Datum* items;
    bool* nulls;
    int count;
    deconstruct_array(DatumGetArrayTypeP(list), TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &count);
    if (count > static_cast<int>(core::kMaxGivenScopes)) refuse_rule(place, "it has too many scopes", listed);
    auto* scopes = static_cast<core::Scope*>(palloc(sizeof(core::Scope) * Max(count, 1)));
    std::size_t used = 0;
    for (int i = 0; i < count; i++) {
        if (nulls[i]) refuse_rule(place, "one of its scopes is null", listed);
        const std::string_view own = own_scope(pg::text_view(items[i]), names, place, listed);
        if (own.empty() && names != nullptr) continue;
        if (core::parse_scope(own, scopes[used++]) != core::ScopeStatus::ok) refuse_rule(place, "its scope is malformed", listed);
    }
    used = core::normalise({scopes, used});
    if (used == 0) return {};
    if (used > 1) refuse_rule(place, "it needs several scopes at once, and a rule has one", listed);
    StringInfoData text;
    initStringInfo(&text);
    pg::append_scope(&text, scopes[0]);
    return {text.data, static_cast<std::size_t>(text.len)};
}

}  // namespace

RulesChanged put_endpoints(Datum rules, Datum names_given) {
    Jsonb* names = names_given == 0 ? nullptr : DatumGetJsonbP(names_given);
    if (names != nullptr && !JB_ROOT_IS_OBJECT(names)) refuse_names();
    LockRelationOid(pg::catalog().endpoint, ShareRowExclusiveLock);
    pg::Args given;
    given.add(rules);
    const bool listed = pg::run(select_fault, given) == 0;
    if (!listed) {
        bool is_null;
        const Datum fault = pg::result(0, 1, &is_null);
        if (!is_null)
            MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::endpoint_invalid, "rules"),
                        errmsg("invalid endpoint rules"), errdetail("%s", TextDatumGetCString(fault)), errhint("%s", kListHint));
    }
    const std::uint64_t count = pg::run(listed ? select_listed : select_documented, given);
    if (count > core::kMaxEndpoints) too_many_endpoints();
    enum { kPlace = 1, kMethod, kPath, kScopes, kPublic, kFault };
    enum { kMethods, kPaths, kOwnScopes, kArrays };
    Datum* values[kArrays];
    for (Datum*& array : values) array = static_cast<Datum*>(palloc(sizeof(Datum) * Max(count, std::uint64_t{1})));
    auto* nulls = static_cast<bool*>(palloc0(Max(count, std::uint64_t{1})));
    for (std::uint64_t i = 0; i < count; i++) {
        bool is_null;
        const char* place = TextDatumGetCString(pg::result_value(i, kPlace));
        const Datum fault = pg::result(i, kFault, &is_null);
        if (!is_null) refuse_rule(place, TextDatumGetCString(fault), listed);
        const bool is_public = DatumGetBool(pg::result(i, kPublic, &is_null)) && !is_null;
        const std::string_view scope =
            is_public ? std::string_view{} : required_scope(pg::result_value(i, kScopes), names, place, listed);
        core::EndpointText rule;
        const core::EndpointStatus status = core::normalise_endpoint(
            {pg::to_utf8(pg::text_view(pg::result_value(i, kMethod))), pg::to_utf8(pg::text_view(pg::result_value(i, kPath))),
             scope, access_of(!scope.empty(), is_public)},
            rule);
        if (status != core::EndpointStatus::ok)
            MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::endpoint_invalid, "rules"),
                        errmsg("invalid endpoint rules"), errdetail("%s: %s", place, status_text(status)),
                        errhint("%s", listed ? kListHint : kDocumentHint));
        values[kMethods][i] = pg::text_datum(pg::from_utf8(rule.method()));
        values[kPaths][i] = pg::text_datum(pg::from_utf8(rule.path()));
        nulls[i] = scope.empty() && !is_public;
        values[kOwnScopes][i] = pg::text_datum(scope);
    }
    const int rows = static_cast<int>(count);
    pg::Args all;
    all.add(pg::array_datum(TEXTOID, values[kMethods], nullptr, rows))
        .add(pg::array_datum(TEXTOID, values[kPaths], nullptr, rows))
        .add(pg::array_datum(TEXTOID, values[kOwnScopes], nulls, rows));
    if (pg::run(select_contradiction, all) > 0)
        refuse_rule(TextDatumGetCString(pg::result_value(0, 1)), "two rules for it differ", listed);
    pg::run(compare_rules, all);
    const RulesChanged changed = {DatumGetInt32(pg::result_value(0, 1)), DatumGetInt32(pg::result_value(0, 2)),
                                  DatumGetInt32(pg::result_value(0, 3))};
    if (changed.added + changed.changed + changed.dropped == 0) return changed;
    Detail detail;
    detail.add_value("added", Int32GetDatum(changed.added), INT4OID);
    detail.add_value("changed", Int32GetDatum(changed.changed), INT4OID);
    detail.add_value("dropped", Int32GetDatum(changed.dropped), INT4OID);
    detail.add_value("rules", pg::result_value(0, 4), JSONBOID);
    audit("endpoints_replaced", {}, detail);
    current_actor()->audited = true;
    pg::run(drop_other_rules, all);
    pg::run(change_rules, all);
    pg::run(add_rules, all);
    current_actor()->audited = false;
    return changed;
}

}  // namespace mirox::store
