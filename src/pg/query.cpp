// The extension's own SQL (see query.hpp). Takes no locks itself; the statements take the ordinary ones.
#include "pg/query.hpp"

#include "pg/members.hpp"

extern "C" {
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"
}

namespace mirox::pg {

namespace {

constinit bool restricted = false;

}  // namespace

void restrict_process() {
    restricted = true;
}

int pin_search_path() {
    const int level = NewGUCNestLevel();
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    return level;
}

// The extension's triggers check every change of its tables, so they must fire. A trigger on a users table that is ENABLE ALWAYS
// also calls the extension where session_replication_role is replica. There the extension's triggers would not fire.
static void pin_own_triggers() {
    if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
        (void)set_config_option("session_replication_role", "origin", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

OwnerScope enter_owner() {
    OwnerScope scope;
    GetUserIdAndSecContext(&scope.caller, &scope.security_context);
    // In a long transaction, changes made meanwhile may not have been noticed yet.
    AcceptInvalidationMessages();
    require_own_members();
    const Oid owner = catalog().owner;
    // All names are qualified already; this is a second protection.
    scope.guc_level = pin_search_path();
    pin_own_triggers();
    SetUserIdAndSecContext(
        owner, scope.security_context | SECURITY_LOCAL_USERID_CHANGE | (restricted ? SECURITY_RESTRICTED_OPERATION : 0));
    return scope;
}

OwnerScope enter_table_owner(Oid owner) {
    OwnerScope scope;
    GetUserIdAndSecContext(&scope.caller, &scope.security_context);
    scope.guc_level = pin_search_path();
    SetUserIdAndSecContext(
        owner, scope.security_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS | SECURITY_RESTRICTED_OPERATION);
    return scope;
}

void leave_owner(const OwnerScope& scope) {
    AtEOXact_GUC(false, scope.guc_level);
    SetUserIdAndSecContext(scope.caller, scope.security_context);
}

Args& Args::text(std::string_view value) {
    return add(PointerGetDatum(cstring_to_text_with_len(value.data(), static_cast<int>(value.size()))));
}

Args& Args::text_or_null(std::string_view value, bool given) {
    return given ? text(value) : null();
}

void spi_open() {
    if (SPI_connect() != SPI_OK_CONNECT) MIROX_DEFECT("SPI_connect failed");
}

void spi_close() {
    if (SPI_finish() != SPI_OK_FINISH) MIROX_DEFECT("SPI_finish failed");
}

void execute(const char* command) {
    const int code = SPI_execute(command, false, 0);
    if (code != SPI_OK_UTILITY) MIROX_DEFECT("command failed: %s", SPI_result_code_string(code));
    CommandCounterIncrement();
}

std::uint64_t run(Query& query, Args& args, bool fresh) {
    const std::uint64_t epoch = catalog().epoch;
    if (query.plan != nullptr && query.epoch != epoch) {
        SPI_freeplan(query.plan);
        query.plan = nullptr;
    }
    if (query.plan == nullptr) {
        Oid types[kMaxArgs];
        int count = 0;
        while (count < kMaxArgs && query.types[count] != Type::none) {
            types[count] = type_oid(query.types[count]);
            count++;
        }
        SPIPlanPtr plan = SPI_prepare(query.sql, count, types);
        if (plan == nullptr) MIROX_DEFECT("SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
        if (SPI_keepplan(plan) != 0) MIROX_DEFECT("SPI_keepplan failed");
        query.plan = plan;
        query.epoch = epoch;
    }
    Assert(args.count() == kMaxArgs || query.types[args.count()] == Type::none);
    Snapshot snapshot = InvalidSnapshot;
    if (fresh) {
        CommandCounterIncrement();
        snapshot = GetLatestSnapshot();
    }
    const int code =
        fresh ? SPI_execute_snapshot(query.plan, args.values(), args.nulls(), snapshot, InvalidSnapshot, false, true, 0)
              : SPI_execute_plan(query.plan, args.values(), args.nulls(), false, 0);
    if (code < 0) MIROX_DEFECT("statement failed: %s", SPI_result_code_string(code));
    return SPI_processed;
}

Datum result(std::uint64_t row, int column, bool* is_null) {
    return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, is_null);
}

Datum result_value(std::uint64_t row, int column) {
    bool is_null;
    const Datum value = result(row, column, &is_null);
    if (is_null) MIROX_DEFECT("unexpected NULL in column %d", column);
    return value;
}

void return_rows(FunctionCallInfo fcinfo) {
    auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    const TupleDesc given = SPI_tuptable->tupdesc, declared = info->setDesc;
    for (int i = 0; i < Min(given->natts, declared->natts); i++) {
        const Oid is = TupleDescAttr(given, i)->atttypid, said = TupleDescAttr(declared, i)->atttypid;
        if (is != said)
            MIROX_RAISE(
                ERRCODE_DATATYPE_MISMATCH, errword(ErrorWord::row_type_changed),
                errmsg("column %d of function %s is of another type than declared", i + 1, get_func_name(fcinfo->flinfo->fn_oid)),
                errdetail("It is of type %s, and declared as %s.", format_type_be(is), format_type_be(said)),
                errhint("Restore the function from the install script of the library's version."));
    }
    for (std::uint64_t i = 0; i < SPI_processed; i++) tuplestore_puttuple(info->setResult, SPI_tuptable->vals[i]);
}

void add_max_rows(Args& args, FunctionCallInfo fcinfo, int n) {
    const bool given = n < fcinfo->nargs && !PG_ARGISNULL(n);
    if (given && PG_GETARG_INT32(n) < 0)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(core::ErrorWord::limit_out_of_range, "max_rows"),
                    errmsg("max_rows must not be negative"), errhint("Leave it NULL for all rows."));
    args.add_or_null(given ? Int64GetDatum(PG_GETARG_INT32(n)) : 0, given);
}

}  // namespace mirox::pg
