// Triggers of the management tables: what direct DML must obey as well as the functions, the audit log, and what is derived
// from a change.
//
// Locks: a trigger on a token or session takes its account's row (accounts.hpp) unless the act that runs has it already. A
// direct UPDATE or DELETE has locked the token's or session's row before any row trigger runs, the wrong way round; its
// statement trigger therefore first takes ShareRowExclusiveLock on the account table, which waits for, and keeps out, all
// management (open_locked() takes RowExclusiveLock there).
#include "pg/catalog.hpp"
#include "pg/entry.hpp"
#include "pg/network.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "store/audit.hpp"
#include "store/endpoints.hpp"
#include "store/rows.hpp"
#include "store/tokens.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "storage/lmgr.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace mirox::store {
namespace {

using pg::Query;
using pg::Type;

// What a trigger was called for.
struct Change {
    TriggerData* data;
    TupleDesc columns;
    HeapTuple before;  // null on INSERT
    HeapTuple after;   // null on DELETE
    bool inserted, updated, deleted;
};

Change read_change(FunctionCallInfo fcinfo) {
    if (!CALLED_AS_TRIGGER(fcinfo))
        MIROX_RAISE(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED, errmsg("not called as a trigger"),
                    errhint("It is internal to mirox_tokens."));
    auto* data = reinterpret_cast<TriggerData*>(fcinfo->context);
    Change change = {};
    change.data = data;
    change.columns = RelationGetDescr(data->tg_relation);
    change.inserted = TRIGGER_FIRED_BY_INSERT(data->tg_event);
    change.updated = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
    change.deleted = TRIGGER_FIRED_BY_DELETE(data->tg_event);
    if (change.inserted) change.after = data->tg_trigtuple;
    if (change.updated) {
        change.before = data->tg_trigtuple;
        change.after = data->tg_newtuple;
    }
    if (change.deleted) change.before = data->tg_trigtuple;
    return change;
}

// How the install script has put a trigger: when it fires, and for which events.
struct Fires {
    bool before, row;
    const char* events;  // letters of insert, update, delete, truncate
};
constexpr Fires kBeforeRow = {true, true, "iud"};
constexpr Fires kAfterRow = {false, true, "ud"};

bool fires(const Change& change, const Fires& as) {
    const TriggerEvent event = change.data->tg_event;
    const char letter = change.inserted ? 'i' : change.updated ? 'u' : change.deleted ? 'd' : 't';
    return (as.before ? TRIGGER_FIRED_BEFORE(event) : TRIGGER_FIRED_AFTER(event)) &&
           (TRIGGER_FIRED_FOR_ROW(event) != 0) == as.row && strchr(as.events, letter) != nullptr;
}

[[noreturn]] void not_ours(const Change& change) {
    MIROX_RAISE(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
                errmsg("trigger \"%s\" does not belong on \"%s\" as it is", change.data->tg_trigger->tgname,
                       RelationGetRelationName(change.data->tg_relation)),
                errdetail("Its function reads rows of one table of mirox_tokens, at one moment."),
                errhint("Drop the trigger: the extension has put its own where they belong."));
}

// The install script itself writes rows before all of the tables are there.
bool is_installing() {
    return creating_extension && CurrentExtensionObject == get_extension_oid(pg::kExtension, true);
}

// The same where the trigger stands as the script has put it. Anybody who may call the function can put it elsewhere, where rows
// have other columns, or there are none.
Change read_change(FunctionCallInfo fcinfo, Oid pg::Catalog::*table, const Fires& as) {
    const Change change = read_change(fcinfo);
    if (!fires(change, as) ||
        (!is_installing() && RelationGetRelid(change.data->tg_relation) != pg::catalog().*table))
        not_ours(change);
    return change;
}

struct Value {
    Datum datum;
    bool is_null;
};

Value get(HeapTuple row, const Change& change, int column) {
    Value value;
    value.datum = heap_getattr(row, column, change.columns, &value.is_null);
    return value;
}

std::int64_t get_int8(HeapTuple row, const Change& change, int column) {
    return DatumGetInt64(get(row, change, column).datum);
}

bool differs(const Change& change, int column) {
    const Value before = get(change.before, change, column), after = get(change.after, change, column);
    if (before.is_null || after.is_null) return before.is_null != after.is_null;
    const Form_pg_attribute attribute = TupleDescAttr(change.columns, column - 1);
    return !datum_image_eq(before.datum, after.datum, attribute->attbyval, attribute->attlen);
}

// A text that people read, where it is new.
void check_new_line(const Change& change, int column, const char* what) {
    if (change.deleted || (change.updated && !differs(change, column))) return;
    const Value text = get(change.after, change, column);
    if (!text.is_null) check_line(what, pg::text_view(text.datum));
}

HeapTuple with_values(const Change& change, HeapTuple row, int count, int* columns, Datum* values,
                      bool* nulls) {
    return heap_modify_tuple_by_cols(row, change.columns, count, columns, values, nulls);
}

// An INSERT that brings the key of an audit row is a replay: a restore, or a subscriber's copy.
bool is_replay(const Change& change, int audit_id_column) {
    return change.inserted && !get(change.after, change, audit_id_column).is_null;
}

// The act that a trigger belongs to: the one that runs, or, for direct DML, one of its own.
struct Act {
    Actor own;
    Actor* actor;
    bool direct;  // DML on this very table, not a consequence of an act
    MemoryContext caller;
};

void begin(Act& act) {
    act.caller = CurrentMemoryContext;
    act.actor = current_actor();
    act.direct = act.actor == nullptr;
    if (act.direct) {
        enter(act.own, true);
        act.actor = &act.own;
    } else {
        pg::spi_open();
    }
}

void end(Act& act) {
    if (act.direct)
        leave(act.own);
    else
        pg::spi_close();
    MemoryContextSwitchTo(act.caller);
}

// The account of a row, locked: the act's own, or fetched. False when it is gone.
bool with_account(Act& act, std::int64_t account_id, Account& out) {
    if (act.actor->account.account_id == account_id) {
        out = act.actor->account;
        return true;
    }
    if (!lock_account(account_id, out)) return false;
    return true;
}

[[noreturn]] void no_such_account(std::int64_t account_id) {
    MIROX_RAISE(ERRCODE_FOREIGN_KEY_VIOLATION, errmsg("no such account"),
                errdetail("There is no account with account_id " INT64_FORMAT ".", account_id),
                errhint("Register the account with mirox.put_account first."));
}

void refuse_move(const Change& change, int column) {
    if (!change.updated || !differs(change, column)) return;
    MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE,
                errmsg("column \"%s\" of %s cannot be changed",
                       NameStr(TupleDescAttr(change.columns, column - 1)->attname),
                       RelationGetRelationName(change.data->tg_relation)),
                errhint("Leave it as it is, since others go by it, and make a new one instead."));
}

// Puts the key of the audit row on the row.
HeapTuple stamp(const Change& change, HeapTuple row, int node_column, AuditKey key) {
    int columns[] = {node_column, node_column + 1};
    Datum values[] = {Int32GetDatum(key.node), Int64GetDatum(key.id)};
    bool nulls[] = {false, false};
    return with_values(change, row, 2, columns, values, nulls);
}

}  // namespace

// ---- account ---------------------------------------------------------------------------------------------------------

namespace {
namespace account_column {
constexpr int kAccountId = 1, kUserId = 2, kPermissions = 3, kRateLimit = 4, kBurst = 5, kLockedAt = 6,
              kLockReason = 7, kAuditNode = 9, kAuditId = 10;
}

Query revoke_tokens_of = {
    "UPDATE mirox_internal.token SET revoked_at = pg_catalog.clock_timestamp(), revoke_reason = 'account "
    "deleted' "
    "WHERE account_id OPERATOR(pg_catalog.=) $1 AND revoked_at IS NULL",
    {Type::int8}};
Query close_sessions_of = {
    "UPDATE mirox_internal.session SET closed_at = pg_catalog.clock_timestamp() "
    "WHERE account_id OPERATOR(pg_catalog.=) $1 AND closed_at IS NULL",
    {Type::int8}};
Query delete_tokens_of = {"DELETE FROM mirox_internal.token WHERE account_id OPERATOR(pg_catalog.=) $1",
                          {Type::int8}};
Query delete_sessions_of = {"DELETE FROM mirox_internal.session WHERE account_id OPERATOR(pg_catalog.=) $1",
                            {Type::int8}};

// What a secret's row repeats of its account.
Query update_secrets_of = {
    "UPDATE mirox_internal.token_secret s SET user_id = a.user_id, locked = a.locked_at IS NOT NULL, "
    "rate_limit = COALESCE(a.rate_limit, -1), burst = COALESCE(a.burst, -1), "
    "permissions = mirox_internal.compile_permissions(a.permissions, t.permissions) "
    "FROM mirox_internal.token t, mirox_internal.account a "
    "WHERE a.account_id OPERATOR(pg_catalog.=) $1 AND t.account_id OPERATOR(pg_catalog.=) $1 AND "
    "t.revoked_at IS NULL "
    "AND s.token_id OPERATOR(pg_catalog.=) t.token_id "
    "AND s.state OPERATOR(pg_catalog.=) ANY (ARRAY['c', 'o']::pg_catalog.\"char\"[])",
    {Type::int8}};

std::int64_t account_id_of(const Change& change) {
    return get_int8(change.before != nullptr ? change.before : change.after, change,
                    account_column::kAccountId);
}

Account account_of(HeapTuple row, const Change& change) {
    Account account = {};
    account.account_id = get_int8(row, change, account_column::kAccountId);
    account.user_id = PG_DETOAST_DATUM_COPY(get(row, change, account_column::kUserId).datum);
    // NULL is left to the column's constraint, which is checked after us.
    const Value permissions = get(row, change, account_column::kPermissions);
    if (!permissions.is_null) account.permissions = PointerGetDatum(PG_DETOAST_DATUM_COPY(permissions.datum));
    return account;
}
}  // namespace

MIROX_FUNCTION(account_guard) {
    const Change change = read_change(fcinfo, &pg::Catalog::account, kBeforeRow);
    if (is_replay(change, account_column::kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, account_column::kAccountId);
    check_new_line(change, account_column::kLockReason, "reason");
    if (change.inserted || (change.updated && differs(change, account_column::kUserId))) {
        const Value user = get(change.after, change, account_column::kUserId);
        check_user_id(user.is_null ? std::string_view{} : pg::text_view(user.datum));
    }
    Act act;
    begin(act);
    Account known;
    if (change.inserted && act.direct &&
        find_account_of(pg::text_view(get(change.after, change, account_column::kUserId).datum), known)) {
        // The unique index refuses it, or ON CONFLICT goes another way: nothing was registered that the log could tell.
        end(act);
        return PointerGetDatum(change.after);
    }
    Detail detail;
    const char* event;
    Subject subject = {};
    const Account before_or_after =
        account_of(change.before != nullptr ? change.before : change.after, change);
    subject.account_id = before_or_after.account_id;
    subject.user_id = before_or_after.user_id;
    if (change.inserted) {
        event = "account_registered";
        detail.add_row(change.after, change.columns);
    } else if (change.updated) {
        const bool was = !get(change.before, change, account_column::kLockedAt).is_null;
        const bool is = !get(change.after, change, account_column::kLockedAt).is_null;
        event = was == is ? "account_changed" : is ? "account_locked" : "account_unlocked";
        detail.add_changes(change.before, change.after, change.columns);
    } else {
        event = "account_deleted";
        // All of it ends before it goes, each end with an audit row of its own.
        if (act.direct) act.own.account = before_or_after;
        pg::Args args;
        args.int8(subject.account_id);
        pg::run(revoke_tokens_of, args);
        pg::run(close_sessions_of, args);
    }
    const AuditKey key = audit(event, subject, detail);
    end(act);
    return PointerGetDatum(change.deleted ? change.before
                                          : stamp(change, change.after, account_column::kAuditNode, key));
}

MIROX_FUNCTION(account_follow) {
    const Change change = read_change(fcinfo, &pg::Catalog::account, kAfterRow);
    Act act;
    if (change.updated) {
        using namespace account_column;
        if (!differs(change, kUserId) && !differs(change, kPermissions) && !differs(change, kRateLimit) &&
            !differs(change, kBurst) && !differs(change, kLockedAt))
            return PointerGetDatum(nullptr);
        begin(act);
        act.actor->last = {DatumGetInt32(get(change.after, change, kAuditNode).datum),
                           get_int8(change.after, change, kAuditId)};
        pg::Args args;
        args.int8(account_id_of(change));
        pg::run(update_secrets_of, args);
        end(act);
    } else if (change.deleted) {
        begin(act);
        // The row is gone, and the lock that it was with it; its children can have no other user now.
        if (act.actor->account.account_id == 0) act.actor->account = account_of(change.before, change);
        pg::Args args;
        args.int8(account_id_of(change));
        pg::run(delete_tokens_of, args);
        pg::run(delete_sessions_of, args);
        end(act);
    }
    return PointerGetDatum(nullptr);
}

// ---- session ---------------------------------------------------------------------------------------------------------

namespace {
namespace session_column {
constexpr int kDigest = 1, kSessionId = 2, kAccountId = 3, kClosedAt = 6, kAuditNode = 9, kAuditId = 10;
}
}  // namespace

MIROX_FUNCTION(session_guard) {
    using namespace session_column;
    const Change change = read_change(fcinfo, &pg::Catalog::session, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, kDigest);
    refuse_move(change, kSessionId);
    refuse_move(change, kAccountId);
    if (change.updated && !get(change.before, change, kClosedAt).is_null && differs(change, kClosedAt))
        MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    errmsg("a closed session cannot be opened again"),
                    errhint("Open a new one with mirox.open_session."));
    HeapTuple row = change.before != nullptr ? change.before : change.after;
    const std::int64_t account_id = get_int8(row, change, kAccountId);
    Act act;
    begin(act);
    Account account;
    if (!with_account(act, account_id, account) && change.inserted) no_such_account(account_id);
    Detail detail;
    Subject subject = {account_id, account.user_id, 0, get_int8(row, change, kSessionId)};
    const char* event;
    if (change.inserted) {
        event = "session_opened";
        detail.add_row(change.after, change.columns);
    } else if (change.updated) {
        event = differs(change, kClosedAt) ? "session_closed" : "session_changed";
        detail.add_changes(change.before, change.after, change.columns);
    } else {
        event = "session_deleted";
    }
    const AuditKey key = audit(event, subject, detail);
    end(act);
    return PointerGetDatum(change.deleted ? change.before : stamp(change, change.after, kAuditNode, key));
}

// ---- token -----------------------------------------------------------------------------------------------------------

namespace {

Query revoke_secrets = {
    "UPDATE mirox_internal.token_secret SET state = 'v' "
    "WHERE token_id OPERATOR(pg_catalog.=) $1 AND state OPERATOR(pg_catalog.<>) 'v'",
    {Type::int8}};
Query delete_secrets = {"DELETE FROM mirox_internal.token_secret WHERE token_id OPERATOR(pg_catalog.=) $1",
                        {Type::int8}};
Query update_secrets = {
    "UPDATE mirox_internal.token_secret s SET group_id = t.group_id, allowed_ips = t.allowed_ips, "
    // An overlapping secret has an end of its own, which is never put off, and a token's new end that is sooner ends it too.
    "expires_at = CASE WHEN s.state OPERATOR(pg_catalog.=) 'c' THEN t.expires_at ELSE LEAST(s.expires_at, "
    "t.expires_at) END, "
    "permissions = mirox_internal.compile_permissions(a.permissions, t.permissions) "
    "FROM mirox_internal.token t, mirox_internal.account a "
    "WHERE t.token_id OPERATOR(pg_catalog.=) $1 AND a.account_id OPERATOR(pg_catalog.=) t.account_id "
    "AND s.token_id OPERATOR(pg_catalog.=) $1 "
    "AND s.state OPERATOR(pg_catalog.=) ANY (ARRAY['c', 'o']::pg_catalog.\"char\"[])",
    {Type::int8}};

// The group stays while we refer to it; a change of its permissions need not wait for us, nor we for it.
void hold_group(std::int32_t group_id) {
    const Group* group = group_by_id(group_id);
    if (group != nullptr && group->builtin) return;  // goes nowhere, and all would lock this one row
    RowScan scan;
    const bool there = open_locked(scan, pg::catalog().permission_group, pg::catalog().permission_group_pkey,
                                   {Key::Kind::int4, Int32GetDatum(group_id)}, LockTupleKeyShare);
    close_scan(scan);
    if (!there)
        MIROX_RAISE(ERRCODE_FOREIGN_KEY_VIOLATION, errmsg("no such permission group"),
                    errdetail("There is no permission group with group_id %d.", group_id),
                    errhint("Choose one of mirox_internal.permission_group."));
}

const char* token_event(const Change& change) {
    using namespace token_column;
    if (change.inserted) return "token_issued";
    if (change.deleted) return "token_deleted";
    if (differs(change, kRevokedAt)) return "token_revoked";
    if (differs(change, kGeneration)) return "token_rotated";
    if (differs(change, kName)) return "token_renamed";
    return "token_changed";
}

}  // namespace

MIROX_FUNCTION(token_guard) {
    using namespace token_column;
    const Change change = read_change(fcinfo, &pg::Catalog::token, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, kTokenId);
    refuse_move(change, kAccountId);
    HeapTuple row = change.before != nullptr ? change.before : change.after;
    const std::int64_t account_id = get_int8(row, change, kAccountId);
    Act act;
    begin(act);
    Account account;
    if (!with_account(act, account_id, account) && !change.deleted) no_such_account(account_id);

    check_new_line(change, kRevokeReason, "reason");

    // What the functions have checked already, under the account's lock, holds for direct DML as well.
    Name name = {};
    int place = 0;
    if (change.updated) {
        if (!get(change.before, change, kRevokedAt).is_null && differs(change, kRevokedAt))
            MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                        errmsg("a revoked token cannot be brought back"),
                        errhint("Issue a new token with mirox.issue_token."));
        if (act.direct) refuse_move(change, kGeneration);
    }
    const bool live = change.after != nullptr && get(change.after, change, kRevokedAt).is_null;
    if (act.direct && (change.inserted || (change.updated && differs(change, kName)))) {
        const Value given = get(change.after, change, kName);
        normalise_name(given.is_null ? std::string_view{} : pg::text_view(given.datum), name);
    }
    if (act.direct && (change.inserted || (change.updated && differs(change, kExpiresAt)))) {
        const Value given = get(change.after, change, kExpiresAt);
        if (!given.is_null) check_expiry(DatumGetTimestampTz(given.datum), GetCurrentTimestamp());
    }
    if (act.direct && (change.inserted || (change.updated && differs(change, kLifetime)))) {
        const Value given = get(change.after, change, kLifetime);
        if (!given.is_null) check_lifetime(*DatumGetIntervalP(given.datum));
    }
    if (change.inserted || (change.updated && differs(change, kGroupId))) {
        const Value group = get(change.after, change, kGroupId);
        if (!group.is_null) hold_group(DatumGetInt32(group.datum));
    }
    if (act.direct && live && (change.inserted || differs(change, kPlace))) {
        const Places places = places_of(account_id);
        const Value given = get(change.after, change, kPlace);
        // The cap counts whatever place is named.
        const int lowest = change.inserted || given.is_null ? free_place(places, account) : 0;
        place = given.is_null ? lowest : DatumGetInt16(given.datum);
        if (place >= 1 && place <= pg::kMaxTokensPerAccount && ((places.taken >> (place - 1)) & 1))
            MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("place %d is taken", place),
                        errhint("Leave the place NULL for the lowest free one."));
    }

    // The row as it will be stored, which is also what the log tells. Made to outlive the act.
    HeapTuple stored = change.after;
    if (name.size > 0 || place > 0) {
        const MemoryContext inner = MemoryContextSwitchTo(act.caller);
        int columns[2];
        Datum values[2];
        bool nulls[2] = {};
        int count = 0;
        if (name.size > 0) {
            columns[count] = kName;
            values[count++] = pg::text_datum(name.view());
        }
        if (place > 0) {
            columns[count] = kPlace;
            values[count++] = Int16GetDatum(place);
        }
        stored = with_values(change, change.after, count, columns, values, nulls);
        MemoryContextSwitchTo(inner);
    }

    Detail detail;
    Subject subject = {account_id, account.user_id, get_int8(row, change, kTokenId), 0};
    if (change.updated)
        detail.add_changes(change.before, stored, change.columns);
    else if (change.inserted)
        detail.add_row(stored, change.columns);
    const AuditKey key = audit(token_event(change), subject, detail);
    end(act);
    return PointerGetDatum(change.deleted ? change.before : stamp(change, stored, kAuditNode, key));
}

MIROX_FUNCTION(token_follow) {
    using namespace token_column;
    const Change change = read_change(fcinfo, &pg::Catalog::token, kAfterRow);
    HeapTuple row = change.before;
    pg::Args args;
    args.int8(get_int8(row, change, kTokenId));
    Query* query = nullptr;
    if (change.deleted)
        query = &delete_secrets;
    else if (differs(change, kRevokedAt))
        query = &revoke_secrets;
    else if (!differs(change, kGeneration) && (differs(change, kGroupId) || differs(change, kPermissions) ||
                                               differs(change, kAllowedIps) || differs(change, kExpiresAt)))
        query = &update_secrets;  // a rotation puts its new secret in place itself
    if (query == nullptr) return PointerGetDatum(nullptr);
    Act act;
    begin(act);
    if (change.after != nullptr)
        act.actor->last = {DatumGetInt32(get(change.after, change, kAuditNode).datum),
                           get_int8(change.after, change, kAuditId)};
    pg::run(*query, args);
    end(act);
    return PointerGetDatum(nullptr);
}

namespace {
Query select_state = {
    "SELECT revoked_at IS NOT NULL, generation FROM mirox_internal.token WHERE token_id "
    "OPERATOR(pg_catalog.=) $1 "
    "AND account_id OPERATOR(pg_catalog.=) $2",
    {Type::int8, Type::int8}};
}  // namespace

MIROX_FUNCTION(token_secret_guard) {
    using namespace secret_column;
    const Change change = read_change(fcinfo, &pg::Catalog::token_secret, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    Act act;
    begin(act);
    AuditKey key = act.actor->last;
    if (act.direct) {
        refuse_move(change, kTokenId);
        refuse_move(change, kAccountId);
        HeapTuple row = change.before != nullptr ? change.before : change.after;
        const std::int64_t account_id = get_int8(row, change, kAccountId);
        Account account;
        if (!with_account(act, account_id, account) && !change.deleted) no_such_account(account_id);
        if (!change.deleted) {
            // A direct UPDATE or INSERT must not bring a revoked token back, nor lend its owner a 65th.
            pg::Args args;
            args.int8(get_int8(row, change, kTokenId)).int8(account_id);
            if (pg::run(select_state, args) == 0)
                MIROX_RAISE(ERRCODE_FOREIGN_KEY_VIOLATION, errmsg("no such token"),
                            errdetail("The account has no token of this token_id."),
                            errhint("Issue a token with mirox.issue_token."));
            const Value state = get(change.after, change, kState);
            if (DatumGetBool(pg::result_value(0, 1)) && !state.is_null &&
                DatumGetChar(state.datum) != kRevoked)
                MIROX_RAISE(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                            errmsg("a revoked token cannot be brought back"),
                            errhint("Issue a new token with mirox.issue_token."));
            // So that a token has one current and one overlapping secret at most.
            const Value generation = get(change.after, change, kGeneration);
            const std::int32_t whose = DatumGetInt32(pg::result_value(0, 2));
            const char is = state.is_null ? kRevoked : DatumGetChar(state.datum);
            if (!generation.is_null && (is == kCurrent || is == kOverlapping) &&
                DatumGetInt32(generation.datum) != (is == kCurrent ? whose : whose - 1))
                MIROX_RAISE(
                    ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, errmsg("not the secret that is in force"),
                    errdetail("The token's current secret is of generation %d, an overlapping one of the "
                              "generation before.",
                              whose),
                    errhint("Rotate the token with mirox.rotate_token."));
        }
        Detail detail;
        const Subject subject = {account_id, account.user_id, get_int8(row, change, kTokenId), 0};
        if (change.updated) detail.add_changes(change.before, change.after, change.columns);
        key = audit(change.inserted  ? "secret_inserted"
                    : change.updated ? "secret_changed"
                                     : "secret_deleted",
                    subject, detail);
    }
    end(act);
    return PointerGetDatum(change.deleted ? change.before : stamp(change, change.after, kAuditNode, key));
}

// ---- permission_group ------------------------------------------------------------------------------------------------

namespace {
namespace group_column {
constexpr int kGroupId = 1, kName = 2, kDescription = 4, kBuiltin = 5, kAuditNode = 6, kAuditId = 7;
}
Query select_group_named = {
    "SELECT 1 FROM mirox_internal.permission_group WHERE name OPERATOR(pg_catalog.=) $1", {Type::text}};
#define FIRST_MADE_GROUP 100  // of group_id_seq, as token_group's condition has it
#define GROUP_IN_USE "SELECT 1 FROM mirox_internal.token WHERE group_id OPERATOR(pg_catalog.=) $1 "
// The second as the partial index token_group has it, which holds every group that put_group made.
Query select_group_use = {GROUP_IN_USE "LIMIT 1", {Type::int4}};
Query select_made_group_use = {
    GROUP_IN_USE "AND group_id OPERATOR(pg_catalog.>=) " CppAsString2(FIRST_MADE_GROUP) " LIMIT 1",
    {Type::int4}};
}  // namespace

MIROX_FUNCTION(group_guard) {
    using namespace group_column;
    const Change change = read_change(fcinfo, &pg::Catalog::permission_group, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, kGroupId);
    refuse_move(change, kName);
    check_new_line(change, kDescription, "description");
    const bool was = change.before != nullptr && DatumGetBool(get(change.before, change, kBuiltin).datum);
    const bool is = change.after != nullptr && DatumGetBool(get(change.after, change, kBuiltin).datum);
    if (was || is)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("built-in permission groups cannot be changed"),
                    errhint("Add a permission group of another name."));
    HeapTuple row = change.before != nullptr ? change.before : change.after;
    Act act;
    begin(act);
    if (change.deleted) {
        pg::Args args;
        const std::int32_t group_id = DatumGetInt32(get(row, change, kGroupId).datum);
        args.int4(group_id);
        if (pg::run(group_id >= FIRST_MADE_GROUP ? select_made_group_use : select_group_use, args) > 0)
            MIROX_RAISE(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST, errmsg("the permission group is in use"),
                        errdetail("Some tokens, revoked ones included, are in this group."),
                        errhint("Keep it and take its permissions away instead."));
    }
    if (change.inserted && act.direct) {
        const Value name = get(change.after, change, kName);
        pg::Args args;
        args.add_or_null(name.datum, !name.is_null);
        if (pg::run(select_group_named, args) > 0) {
            // As for accounts: the unique index or ON CONFLICT decides, and the log tells what comes of it.
            end(act);
            return PointerGetDatum(change.after);
        }
    }
    Detail detail;
    if (change.updated) {
        detail.add_value("name", get(row, change, kName).datum,
                         TupleDescAttr(change.columns, kName - 1)->atttypid);
        detail.add_changes(change.before, change.after, change.columns);
    } else {
        detail.add_row(row, change.columns);
    }
    const AuditKey key = audit(change.inserted  ? "group_added"
                               : change.updated ? "group_changed"
                                                : "group_dropped",
                               {}, detail);
    end(act);
    return PointerGetDatum(change.deleted ? change.before : stamp(change, change.after, kAuditNode, key));
}

// ---- endpoint --------------------------------------------------------------------------------------------------------

namespace {
namespace endpoint_column {
constexpr int kMethod = 1, kPath = 2, kScope = 3, kAuditNode = 4, kAuditId = 5;
}
Query count_endpoints = {"SELECT pg_catalog.count(*) FROM mirox_internal.endpoint", {}};
}  // namespace

MIROX_FUNCTION(endpoint_guard) {
    using namespace endpoint_column;
    const Change change = read_change(fcinfo, &pg::Catalog::endpoint, kBeforeRow);
    if (is_replay(change, kAuditId)) return PointerGetDatum(change.after);
    refuse_move(change, kMethod);
    refuse_move(change, kPath);
    HeapTuple row = change.before != nullptr ? change.before : change.after;
    core::EndpointText rule;
    if (change.after != nullptr) {
        const auto text_of = [&](int column) {
            const Value value = get(change.after, change, column);
            return value.is_null ? std::string_view{} : pg::text_view(value.datum);
        };
        normalise_rule(text_of(kMethod), text_of(kPath), text_of(kScope), rule);
    }
    Act act;
    begin(act);
    if (change.inserted) {
        pg::Args none;
        pg::run(count_endpoints, none);
        if (DatumGetInt64(pg::result_value(0, 1)) >= static_cast<std::int64_t>(core::kMaxEndpoints))
            MIROX_RAISE(ERRCODE_PROGRAM_LIMIT_EXCEEDED, errmsg("too many endpoint rules"),
                        errdetail("There may be %d.", static_cast<int>(core::kMaxEndpoints)),
                        errhint("Write broader rules: * stands for one path segment, ** for the rest."));
    }
    Detail detail;
    if (change.updated) {
        for (const int column : {kMethod, kPath})
            detail.add_value(NameStr(TupleDescAttr(change.columns, column - 1)->attname),
                             get(row, change, column).datum,
                             TupleDescAttr(change.columns, column - 1)->atttypid);
        detail.add_changes(change.before, change.after, change.columns);
    } else {
        detail.add_row(row, change.columns);
    }
    const AuditKey key = audit(change.inserted  ? "endpoint_added"
                               : change.updated ? "endpoint_changed"
                                                : "endpoint_dropped",
                               {}, detail);
    end(act);
    if (change.deleted) return PointerGetDatum(change.before);
    int columns[] = {kMethod, kPath, kAuditNode, kAuditId};
    Datum values[] = {pg::text_datum(pg::from_utf8(rule.method())),
                      pg::text_datum(pg::from_utf8(rule.path())), Int32GetDatum(key.node),
                      Int64GetDatum(key.id)};
    bool nulls[4] = {};
    return PointerGetDatum(with_values(change, change.after, 4, columns, values, nulls));
}

// ---- all -------------------------------------------------------------------------------------------------------------

// On permission_group and endpoint, for statements and, for a subscriber's apply worker, rows.
MIROX_FUNCTION(cache_changed) {
    const Change change = read_change(fcinfo);
    const Oid table = RelationGetRelid(change.data->tg_relation);
    if ((!fires(change, {false, false, "iudt"}) && !fires(change, {false, true, "iud"})) ||
        (!is_installing() && table != pg::catalog().permission_group && table != pg::catalog().endpoint))
        not_ours(change);
    CacheInvalidateRelcacheByRelid(table);
    return PointerGetDatum(nullptr);
}

MIROX_FUNCTION(statement_lock) {
    const Change change = read_change(fcinfo);
    const pg::Catalog& ours = pg::catalog();
    const Oid table = RelationGetRelid(change.data->tg_relation);
    if (!fires(change, {true, false, "ud"}) ||
        (table != ours.session && table != ours.token && table != ours.token_secret))
        not_ours(change);
    if (current_actor() == nullptr) LockRelationOid(ours.account, ShareRowExclusiveLock);
    return PointerGetDatum(nullptr);
}

// What the extension's scripts alone write: its rights are the owner's.
MIROX_FUNCTION(script_only) {
    const Change change = read_change(fcinfo);
    const Oid extension =
        getExtensionOfObject(RelationRelationId, RelationGetRelid(change.data->tg_relation));
    const bool placed = fires(change, kBeforeRow) || fires(change, {true, false, "t"});
    const bool scripted = creating_extension && CurrentExtensionObject == extension;
    if (!placed || !OidIsValid(extension) || (!scripted && extension != pg::catalog().extension))
        not_ours(change);
    if (!scripted)
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE,
                    errmsg("%s is filled by the scripts of mirox_tokens alone",
                           RelationGetRelationName(change.data->tg_relation)),
                    errdetail("What stands there is done with the rights of the extension's owner."),
                    errhint("Give a role rights with mirox.grant_access, or by GRANT."));
    return PointerGetDatum(change.deleted ? change.before : change.after);
}

// TRUNCATE, and on the audit log and on recorded use also UPDATE and DELETE. For each statement, not row, so that the worker pays
// nothing for its rows.
MIROX_FUNCTION(refuse_change) {
    const Change change = read_change(fcinfo);
    const Oid table = RelationGetRelid(change.data->tg_relation);
    const pg::Catalog& ours = pg::catalog();
    if (!fires(change, {true, false, "udt"}) ||
        getExtensionOfObject(RelationRelationId, table) != ours.extension)
        not_ours(change);
    const bool audit = table == ours.audit_log;
    const Actor* actor = current_actor();
    if (actor != nullptr && actor->maintenance && (change.deleted || (change.updated && !audit)))
        return PointerGetDatum(nullptr);
    if (audit)
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errmsg("the audit log is append-only"),
                    errdetail("Only the retention job takes rows from it."),
                    errhint("Set how long rows are kept with mirox_tokens.audit_retention."));
    const char* name = RelationGetRelationName(change.data->tg_relation);
    if (TRIGGER_FOR_UPDATE(change.data->tg_trigger->tgtype))
        MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errmsg("recorded use cannot be changed"),
                    errdetail("Only the worker changes rows of %s, or takes them away.", name),
                    errhint("Set how long rows are kept with mirox_tokens.audit_retention."));
    MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errmsg("%s cannot be truncated", name),
                errdetail("Each row's end is checked, audited and carried to what depends on it."),
                errhint("Delete rows, or accounts with mirox.delete_account."));
    return PointerGetDatum(nullptr);
}

}  // namespace mirox::store
