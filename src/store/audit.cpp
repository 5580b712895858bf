// The audit log (see audit.hpp). Only appends rows. Takes the ordinary lock of an INSERT.
#include "store/audit.hpp"

#include "pg/catalog.hpp"
#include "pg/network.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/identity.hpp"
#include "store/manage.hpp"
#include "store/write.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
}

namespace mirox::store {
namespace {

// Columns that are of no use to a reader of the log, or must not appear in it.
bool left_out(const char* name, Oid type) {
    return type == pg::catalog().digest_type || strcmp(name, "audit_node") == 0 || strcmp(name, "audit_id") == 0;
}

void push_string(JsonbParseState** out, JsonbIteratorToken as, std::string_view text) {
    JsonbValue value;
    value.type = jbvString;
    value.val.string.val = const_cast<char*>(text.data());
    value.val.string.len = static_cast<int>(text.size());
    pushJsonbValue(out, as, &value);
}

void push_value(JsonbParseState** out, Datum datum, Oid type) {
    JsonbValue value;
    switch (const Oid base = getBaseType(type)) {
        case BOOLOID:
            value.type = jbvBool;
            value.val.boolean = DatumGetBool(datum);
            break;
        case INT2OID:
        case INT4OID:
        case INT8OID:
            value.type = jbvNumeric;
            value.val.numeric = int64_to_numeric(base == INT2OID   ? DatumGetInt16(datum)
                                                 : base == INT4OID ? DatumGetInt32(datum)
                                                                   : DatumGetInt64(datum));
            break;
        case TIMESTAMPTZOID: {
            // ISO 8601 in UTC, whatever the session's DateStyle and TimeZone.
            auto* const iso = static_cast<char*>(palloc(MAXDATELEN + 1));
            const int utc = 0;
            JsonEncodeDateTime(iso, datum, TIMESTAMPTZOID, &utc);
            push_string(out, WJB_VALUE, iso);
            return;
        }
        case INTERVALOID: {
            // ISO 8601 as well, whatever the session's IntervalStyle.
            auto* const iso = static_cast<char*>(palloc(MAXDATELEN + 1));
            struct pg_itm parts;
            interval2itm(*DatumGetIntervalP(datum), &parts);
            EncodeInterval(&parts, INTSTYLE_ISO_8601, iso);
            push_string(out, WJB_VALUE, iso);
            return;
        }
        case JSONBOID: {
            Jsonb* const json = DatumGetJsonbP(datum);
            if (JsonbExtractScalar(&json->root, &value)) break;
            value.type = jbvBinary;
            value.val.binary.data = &json->root;
            value.val.binary.len = static_cast<int>(VARSIZE(json)) - VARHDRSZ;
            break;
        }
        default: {
            Oid output;
            bool is_varlena;
            getTypeOutputInfo(base, &output, &is_varlena);
            push_string(out, WJB_VALUE, OidOutputFunctionCall(output, datum));
            return;
        }
    }
    pushJsonbValue(out, WJB_VALUE, &value);
}

// All columns of a row at once. Fetching them one by one would walk the row from its start each time.
struct Values {
    Datum* datums;
    bool* nulls;
};
Values values_of(HeapTuple row, TupleDesc columns) {
    Values out = {static_cast<Datum*>(palloc(sizeof(Datum) * columns->natts)),
                  static_cast<bool*>(palloc(sizeof(bool) * columns->natts))};
    heap_deform_tuple(row, columns, out.datums, out.nulls);
    return out;
}

}  // namespace

Detail::Detail() {
    pushJsonbValue(&state_, WJB_BEGIN_OBJECT, nullptr);
}

void Detail::key(const char* name) {
    push_string(&state_, WJB_KEY, name);
}

void Detail::add_text(const char* name, std::string_view value) {
    key(name);
    push_string(&state_, WJB_VALUE, value);
}

void Detail::add_bool(const char* name, bool value) {
    key(name);
    push_value(&state_, BoolGetDatum(value), BOOLOID);
}

void Detail::add_value(const char* name, Datum value, Oid type) {
    key(name);
    push_value(&state_, value, type);
}

void Detail::add_row(HeapTuple row, TupleDesc columns) {
    const Values values = values_of(row, columns);
    for (int i = 0; i < columns->natts; i++) {
        const Form_pg_attribute attribute = TupleDescAttr(columns, i);
        if (attribute->attisdropped || left_out(NameStr(attribute->attname), attribute->atttypid)) continue;
        if (values.nulls[i]) continue;
        add_value(NameStr(attribute->attname), values.datums[i], attribute->atttypid);
    }
}

void Detail::add_changes(HeapTuple before, HeapTuple after, TupleDesc columns) {
    const auto push_side = [this](const char* side, Datum value, bool is_null, Oid type) {
        key(side);
        JsonbValue null;
        null.type = jbvNull;
        if (is_null)
            pushJsonbValue(&state_, WJB_VALUE, &null);
        else
            push_value(&state_, value, type);
    };
    const Values old_values = values_of(before, columns), new_values = values_of(after, columns);
    for (int i = 0; i < columns->natts; i++) {
        const Form_pg_attribute attribute = TupleDescAttr(columns, i);
        if (attribute->attisdropped) continue;
        const char* name = NameStr(attribute->attname);
        const bool null_before = old_values.nulls[i], null_after = new_values.nulls[i];
        const Datum old_value = old_values.datums[i], new_value = new_values.datums[i];
        if (null_before && null_after) continue;
        if (!null_before && !null_after && datum_image_eq(old_value, new_value, attribute->attbyval, attribute->attlen)) continue;
        if (left_out(name, attribute->atttypid)) {
            // The log shows that a digest was changed, but not the digest.
            if (attribute->atttypid == pg::catalog().digest_type) {
                add_text(name, "changed");
            }
            continue;
        }
        key(name);
        pushJsonbValue(&state_, WJB_BEGIN_OBJECT, nullptr);
        push_side("from", old_value, null_before, attribute->atttypid);
        push_side("to", new_value, null_after, attribute->atttypid);
        pushJsonbValue(&state_, WJB_END_OBJECT, nullptr);
    }
}

Datum Detail::jsonb() {
    return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state_, WJB_END_OBJECT, nullptr)));
}

AuditKey audit(const char* event, const Subject& subject, Detail& detail) {
    Actor* actor = current_actor();
    Assert(actor != nullptr);
    if (actor->direct) detail.add_bool("direct", true);
    const std::int64_t session = subject.session_id != 0 ? subject.session_id : actor->session_id;
    const Identity* acting = current_identity();
    const std::int64_t acting_token = acting == nullptr ? 0 : acting->token_id;
    const std::int64_t acting_session = acting == nullptr ? 0 : acting->session_id;
    // From where: an authenticated transaction knows where its request came from, otherwise it is where the session was opened.
    Datum ip = actor->session_ip;
    auto agent = PointerGetDatum(actor->session_agent);
    if (acting_session != 0 && acting->client.family != core::AddressFamily::none) ip = pg::inet_datum(acting->client);
    if (acting_session != 0 && !acting->agent.empty()) agent = pg::text_datum(stored_user_agent(acting->agent));
    const char* role = GetUserNameFromId(actor->role.caller, true);
    const char* login_role = GetUserNameFromId(GetSessionUserId(), true);
    const AuditKey key = {pg::settings().node_id, next_value(pg::catalog().audit_id_seq)};
    using namespace audit_column;
    Columns row;
    row.add(kNode, Int32GetDatum(key.node))
        .add(kAuditId, Int64GetDatum(key.id))
        .add(kAt, TimestampTzGetDatum(GetCurrentTimestamp()))
        .add(kEvent, pg::text_datum(event))
        .add_or_null(kAccountId, Int64GetDatum(subject.account_id), subject.account_id != 0)
        .add_or_null(kUserId, PointerGetDatum(subject.user_id), subject.user_id != nullptr)
        .add_or_null(kTokenId, Int64GetDatum(subject.token_id), subject.token_id != 0)
        .add_or_null(kSessionId, Int64GetDatum(session), session != 0)
        .add_or_null(kRole, role == nullptr ? 0 : pg::text_datum(role), role != nullptr)
        .add_or_null(kIp, ip, ip != 0)
        .add_or_null(kUserAgent, agent, agent != 0)
        .add(kDetail, detail.jsonb())
        .add_or_null(kActingToken, Int64GetDatum(acting_token), acting_token != 0)
        .add_or_null(kActingSession, Int64GetDatum(acting_session), acting_session != 0)
        .add_or_null(kLoginRole, login_role == nullptr ? 0 : pg::text_datum(login_role), login_role != nullptr)
        .add_or_null(kBySession, Int64GetDatum(actor->session_id), actor->session_id != 0);
    insert_row(pg::catalog().audit_log, row);
    // A caller who was told that a token is revoked must be able to rely on it. So the commit waits for the disk whatever
    // synchronous_commit says, and a crash cannot undo the act.
    ForceSyncCommit();
    actor->last = key;
    return key;
}

}  // namespace mirox::store
