// The type mirox.scopes: a set of scopes in normal form, with casts from and to text[], coverage and intersection.
#include "core/scopes.hpp"
#include "core/chars.hpp"

#include "core/slice.hpp"
#include "pg/entry.hpp"
#include "pg/values.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/array.h"
}

using namespace mirox;

namespace {

core::ScopeSet set_arg(FunctionCallInfo fcinfo, int n) {
    return pg::scope_set(fcinfo->args[n].value);
}

[[noreturn]] void malformed(const char* detail) {
    MIROX_RAISE(ERRCODE_INVALID_TEXT_REPRESENTATION, errword(ErrorWord::value_malformed), errmsg("malformed set of scopes"),
                errdetail("%s", detail),
                errhint("Write a set as {parks:read,reports}; a single scope to compare with needs a cast: "
                        "'parks:read'::text."));
}

bool same(FunctionCallInfo fcinfo) {
    const auto a = set_arg(fcinfo, 0).bytes(), b = set_arg(fcinfo, 1).bytes();
    return a.size() == b.size() && memcmp(a.data(), b.data(), a.size()) == 0;
}

bool covers_text(core::ScopeSet set, Datum text) {
    const std::string_view view = pg::text_view(text);
    core::Scope scope;
    const core::ScopeStatus status = core::parse_scope(view, scope);
    if (status != core::ScopeStatus::ok)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::scope_invalid), errmsg("invalid scope"),
                    errdetail("%s", pg::scope_status_text(status)), errhint(pg::kScopeHint));
    return set.covers(scope);
}

}  // namespace

// Takes the text form of an array. No scope needs quotes, and quotes are removed.
MIROX_FUNCTION(scopes_in) {
    std::string_view text = core::trim(PG_GETARG_CSTRING(0), core::is_space);
    if (text.size() < 2 || text.front() != '{' || text.back() != '}') malformed("It does not stand in braces.");
    text = core::slice(text, 1, text.size() - 2);
    std::size_t room = 1;
    for (const char c : text) room += c == ',';
    if (room > core::kMaxGivenScopes) malformed(pg::scope_status_text(core::ScopeStatus::too_many_scopes));
    auto* scopes = static_cast<core::Scope*>(palloc(sizeof(core::Scope) * room));
    std::size_t count = 0;
    for (std::size_t at = 0; at <= text.size(); at++) {
        const std::size_t stop = Min(text.find(',', at), text.size());
        std::string_view scope = core::trim(core::slice(text, at, stop - at), core::is_space);
        at = stop;
        if (scope.empty() && room == 1) break;
        if (scope.size() >= 2 && scope.front() == '"' && scope.back() == '"') scope = core::slice(scope, 1, scope.size() - 2);
        const core::ScopeStatus status = core::parse_scope(scope, scopes[count++]);
        if (status != core::ScopeStatus::ok) malformed(pg::scope_status_text(status));
    }
    count = core::normalise({scopes, count});
    if (count > core::kMaxScopes) malformed(pg::scope_status_text(core::ScopeStatus::too_many_scopes));
    return pg::scopes_datum({scopes, count});
}

MIROX_FUNCTION(scopes_out) {
    StringInfoData out;
    initStringInfo(&out);
    appendStringInfoChar(&out, '{');
    core::ScopeSet::Cursor cursor = set_arg(fcinfo, 0).begin();
    core::Scope scope;
    bool first = true;
    while (cursor.next(scope)) {
        if (!first) appendStringInfoChar(&out, ',');
        first = false;
        pg::append_scope(&out, scope);
    }
    appendStringInfoChar(&out, '}');
    return CStringGetDatum(out.data);
}

// Wire format: int32 count, then for each scope an int32 length and the text. Only a set in normal form is accepted.
MIROX_FUNCTION(scopes_recv) {
    auto* message = reinterpret_cast<StringInfo>(PG_GETARG_POINTER(0));
    const int count = pq_getmsgint(message, 4);
    const auto refuse = [](const char* detail) {
        MIROX_RAISE(ERRCODE_INVALID_BINARY_REPRESENTATION, errword(ErrorWord::binary_malformed),
                    errmsg("malformed binary set of scopes"), errdetail("%s", detail),
                    errhint("Send a count, then each scope's length and text, sorted, none covered by another."));
    };
    if (count < 0 || count > static_cast<int>(core::kMaxScopes))
        refuse(pg::scope_status_text(core::ScopeStatus::too_many_scopes));
    auto* scopes = static_cast<core::Scope*>(palloc(sizeof(core::Scope) * Max(count, 1)));
    for (int i = 0; i < count; i++) {
        const int size = pq_getmsgint(message, 4);
        if (size < 0 || size > static_cast<int>(core::kMaxScopeChars))
            refuse(pg::scope_status_text(core::ScopeStatus::segment_too_long));
        const char* bytes = pq_getmsgbytes(message, size);
        const core::ScopeStatus status = core::parse_scope({bytes, static_cast<std::size_t>(size)}, scopes[i]);
        if (status != core::ScopeStatus::ok) refuse(pg::scope_status_text(status));
    }
    const Datum result = pg::scopes_datum({scopes, static_cast<std::size_t>(count)});
    if (!core::valid_encoding(pg::scope_set(result).bytes())) refuse("It is not in normal form.");
    return result;
}

MIROX_FUNCTION(scopes_send) {
    StringInfoData message;
    const core::ScopeSet set = set_arg(fcinfo, 0);
    pq_begintypsend(&message);
    pq_sendint32(&message, static_cast<std::uint32_t>(set.count()));
    core::ScopeSet::Cursor cursor = set.begin();
    core::Scope scope;
    while (cursor.next(scope)) {
        pq_sendint32(&message, static_cast<std::uint32_t>(scope.text_size()));
        pg::append_scope(&message, scope);
    }
    return PointerGetDatum(pq_endtypsend(&message));
}

MIROX_FUNCTION(scopes_from_array) {
    return pg::scopes_from_text_array(PG_GETARG_DATUM(0));
}

MIROX_FUNCTION(scopes_to_array) {
    const core::ScopeSet set = set_arg(fcinfo, 0);
    auto* items = static_cast<Datum*>(palloc(sizeof(Datum) * Max(set.count(), std::size_t{1})));
    core::ScopeSet::Cursor cursor = set.begin();
    core::Scope scope;
    int count = 0;
    while (cursor.next(scope)) {
        StringInfoData text;
        initStringInfo(&text);
        pg::append_scope(&text, scope);
        items[count++] = pg::text_datum({text.data, static_cast<std::size_t>(text.len)});
    }
    return pg::array_datum(TEXTOID, items, nullptr, count);
}

MIROX_FUNCTION(scopes_eq) {
    return BoolGetDatum(same(fcinfo));
}
MIROX_FUNCTION(scopes_ne) {
    return BoolGetDatum(!same(fcinfo));
}
MIROX_FUNCTION(scopes_hash) {
    const auto bytes = set_arg(fcinfo, 0).bytes();
    return hash_any(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
}
MIROX_FUNCTION(scopes_covers) {
    return BoolGetDatum(set_arg(fcinfo, 0).covers(set_arg(fcinfo, 1)));
}
MIROX_FUNCTION(scopes_covered_by) {
    return BoolGetDatum(set_arg(fcinfo, 1).covers(set_arg(fcinfo, 0)));
}
MIROX_FUNCTION(scopes_covers_scope) {
    return BoolGetDatum(covers_text(set_arg(fcinfo, 0), PG_GETARG_DATUM(1)));
}
MIROX_FUNCTION(scope_covered_by) {
    return BoolGetDatum(covers_text(set_arg(fcinfo, 1), PG_GETARG_DATUM(0)));
}
MIROX_FUNCTION(scopes_intersection) {
    return pg::scopes_intersection(set_arg(fcinfo, 0), set_arg(fcinfo, 1), false, nullptr);
}

MIROX_FUNCTION(compile_permissions) {
    if (PG_ARGISNULL(0)) PG_RETURN_NULL();
    return pg::compile_permissions(PG_GETARG_DATUM(0), PG_ARGISNULL(1) ? 0 : PG_GETARG_DATUM(1));
}
