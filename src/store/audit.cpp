// The audit log (see audit.hpp). Appends only; takes the ordinary lock of an INSERT.
#include "store/audit.hpp"

#include "pg/catalog.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/write.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
}

namespace mirox::store {
namespace {

namespace columns {
constexpr int kNode = 1, kAuditId = 2, kAt = 3, kEvent = 4, kAccountId = 5, kUserId = 6, kTokenId = 7,
              kSessionId = 8, kRole = 9, kIp = 10, kUserAgent = 11, kDetail = 13;
}

// Columns that say nothing to a reader of the log, or must not be in it.
bool left_out(const char* name, Oid type) {
    return type == pg::catalog().digest_type || strcmp(name, "audit_node") == 0 ||
           strcmp(name, "audit_id") == 0;
}

void append_value(StringInfo out, Datum value, Oid type) {
    switch (type) {
        case BOOLOID:
            appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
            return;
        case INT2OID:
            appendStringInfo(out, "%d", DatumGetInt16(value));
            return;
        case INT4OID:
            appendStringInfo(out, "%d", DatumGetInt32(value));
            return;
        case INT8OID:
            appendStringInfo(out, INT64_FORMAT, DatumGetInt64(value));
            return;
        case TIMESTAMPTZOID: {
            // ISO 8601 in UTC, whatever the session's DateStyle and TimeZone.
            char iso[MAXDATELEN + 1];
            const int utc = 0;
            JsonEncodeDateTime(iso, value, TIMESTAMPTZOID, &utc);
            appendStringInfo(out, "\"%s\"", iso);
            return;
        }
        case INTERVALOID: {
            // ISO 8601 too, whatever the session's IntervalStyle.
            char iso[MAXDATELEN + 1];
            struct pg_itm parts;
            interval2itm(*DatumGetIntervalP(value), &parts);
            EncodeInterval(&parts, INTSTYLE_ISO_8601, iso);
            appendStringInfo(out, "\"%s\"", iso);
            return;
        }
        case JSONBOID: {
            Jsonb* json = DatumGetJsonbP(value);
            JsonbToCString(out, &json->root, VARSIZE(json));
            return;
        }
        default: {
            const Oid base = getBaseType(type);
            if (base != type) {
                append_value(out, value, base);
                return;
            }
            Oid output;
            bool is_varlena;
            getTypeOutputInfo(type, &output, &is_varlena);
            escape_json(out, OidOutputFunctionCall(output, value));
        }
    }
}

}  // namespace

Detail::Detail() {
    initStringInfo(&text_);
    appendStringInfoChar(&text_, '{');
}

void Detail::key(const char* name) {
    if (!empty_) appendStringInfoString(&text_, ", ");
    empty_ = false;
    escape_json(&text_, name);
    appendStringInfoString(&text_, ": ");
}

void Detail::add_text(const char* name, std::string_view value) {
    key(name);
    escape_json(&text_, pnstrdup(value.data(), value.size()));
}

void Detail::add_bool(const char* name, bool value) {
    key(name);
    appendStringInfoString(&text_, value ? "true" : "false");
}

void Detail::add_int(const char* name, std::int64_t value) {
    key(name);
    appendStringInfo(&text_, INT64_FORMAT, value);
}

void Detail::add_value(const char* name, Datum value, Oid type) {
    key(name);
    append_value(&text_, value, type);
}

int Detail::add_row(HeapTuple row, TupleDesc columns) {
    int written = 0;
    for (int i = 0; i < columns->natts; i++) {
        const Form_pg_attribute attribute = TupleDescAttr(columns, i);
        if (attribute->attisdropped || left_out(NameStr(attribute->attname), attribute->atttypid)) continue;
        bool is_null;
        const Datum value = heap_getattr(row, i + 1, columns, &is_null);
        if (is_null) continue;
        add_value(NameStr(attribute->attname), value, attribute->atttypid);
        written++;
    }
    return written;
}

int Detail::add_changes(HeapTuple before, HeapTuple after, TupleDesc columns) {
    int written = 0;
    for (int i = 0; i < columns->natts; i++) {
        const Form_pg_attribute attribute = TupleDescAttr(columns, i);
        if (attribute->attisdropped) continue;
        const char* name = NameStr(attribute->attname);
        bool null_before, null_after;
        const Datum old_value = heap_getattr(before, i + 1, columns, &null_before);
        const Datum new_value = heap_getattr(after, i + 1, columns, &null_after);
        if (null_before && null_after) continue;
        if (!null_before && !null_after &&
            datum_image_eq(old_value, new_value, attribute->attbyval, attribute->attlen))
            continue;
        if (left_out(name, attribute->atttypid)) {
            // That a digest was changed is worth knowing; which one it was is nobody's business.
            if (attribute->atttypid == pg::catalog().digest_type) {
                add_text(name, "changed");
                written++;
            }
            continue;
        }
        key(name);
        appendStringInfoString(&text_, "{\"from\": ");
        if (null_before)
            appendStringInfoString(&text_, "null");
        else
            append_value(&text_, old_value, attribute->atttypid);
        appendStringInfoString(&text_, ", \"to\": ");
        if (null_after)
            appendStringInfoString(&text_, "null");
        else
            append_value(&text_, new_value, attribute->atttypid);
        appendStringInfoChar(&text_, '}');
        written++;
    }
    return written;
}

Datum Detail::jsonb() {
    appendStringInfoChar(&text_, '}');
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(text_.data));
}

AuditKey audit(const char* event, const Subject& subject, Detail& detail) {
    Actor* actor = current_actor();
    Assert(actor != nullptr);
    if (actor->direct) detail.add_bool("direct", true);
    const std::int64_t session = subject.session_id != 0 ? subject.session_id : actor->session_id;
    const char* role = GetUserNameFromId(actor->owner.caller, true);
    const AuditKey key = {pg::settings().node_id, next_value(pg::catalog().audit_id_seq)};
    using namespace columns;
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
        .add_or_null(kIp, actor->session_ip, actor->session_ip != 0)
        .add_or_null(kUserAgent, PointerGetDatum(actor->session_agent), actor->session_agent != nullptr)
        .add(kDetail, detail.jsonb());
    insert_row(pg::catalog().audit_log, row);
    // Whoever was told that a token is revoked can rely on it: no crash takes back an act that was committed, whatever
    // synchronous_commit says.
    ForceSyncCommit();
    actor->last = key;
    return key;
}

}  // namespace mirox::store
