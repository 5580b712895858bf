// Accounts (see accounts.hpp, also for the locks).
#include "store/accounts.hpp"

#include "core/text.hpp"
#include "pg/catalog.hpp"
#include "pg/values.hpp"
#include "store/rows.hpp"

extern "C" {
#include "mb/pg_wchar.h"
#include "storage/lmgr.h"
}

namespace mirox::store {
namespace {

void read_account(RowScan& scan, Account& out) {
    bool is_null;
    const AccountState state = account_state(scan);
    out = {};
    out.account_id = DatumGetInt64(column(scan.slot, account_column::kAccountId));
    const std::string_view user = pg::text_view(state.user_id);
    out.user_id = cstring_to_text_with_len(user.data(), static_cast<int>(user.size()));
    out.permissions = PointerGetDatum(PG_DETOAST_DATUM_COPY(state.permissions));
    out.rate_limit = state.rate_limit;
    out.burst = state.burst;
    const Datum value = column(scan.slot, account_column::kLockedAt, &is_null);
    out.locked = !is_null;
    out.locked_at = is_null ? 0 : DatumGetTimestampTz(value);
}

bool read_by(const RowIndex& by, Datum key, bool lock, Account& out) {
    RowScan scan;
    const bool found = lock ? open_locked(scan, by, key, LockTupleNoKeyExclusive) : open_scan(scan, by, key);
    if (found)
        read_account(scan, out);
    else
        out = {};
    close_scan(scan);
    return found;
}

}  // namespace

AccountState account_state(RowScan& scan) {
    AccountState out;
    bool is_null;
    out.user_id = column(scan.slot, account_column::kUserId);
    out.permissions = column(scan.slot, account_column::kPermissions);
    const Datum limit = column(scan.slot, account_column::kRateLimit, &is_null);
    out.rate_limit = is_null ? -1 : DatumGetInt32(limit);
    const Datum burst = column(scan.slot, account_column::kBurst, &is_null);
    out.burst = is_null ? -1 : DatumGetInt32(burst);
    (void)column(scan.slot, account_column::kLockedAt, &is_null);
    out.locked = !is_null;
    return out;
}

void lock_tables() {
    const pg::Catalog tables = pg::catalog();
    for (const Oid table : {tables.account, tables.session, tables.token, tables.token_secret, tables.audit_log})
        LockRelationOid(table, RowExclusiveLock);
}

bool account_row_for_update(std::int64_t account_id, Account& out) {
    return read_by(kAccountById, Int64GetDatum(account_id), true, out);
}

bool account_for_update(std::int64_t account_id, Account& out) {
    lock_tables();
    return account_row_for_update(account_id, out);
}

bool account_for_update(std::string_view user_id, Account& out) {
    lock_tables();
    return read_by(kAccountByUser, pg::text_datum(user_id), true, out);
}

bool find_account(std::int64_t account_id, Account& out) {
    return read_by(kAccountById, Int64GetDatum(account_id), false, out);
}

bool find_account_of(std::string_view user_id, Account& out) {
    return read_by(kAccountByUser, pg::text_datum(user_id), false, out);
}

void require_account(std::string_view user_id, Account& out) {
    if (!account_for_update(user_id, out)) no_such_account();
}

void no_such_account(const std::int64_t* referred) {
    constexpr const char* kHint = "Register the account with mirox.put_account first.";
    if (referred == nullptr)
        MIROX_RAISE(ERRCODE_NO_DATA_FOUND, errword(ErrorWord::account_unknown, "user_id"), errmsg("no such account"),
                    errhint("%s", kHint));
    MIROX_RAISE(ERRCODE_FOREIGN_KEY_VIOLATION, errword(ErrorWord::reference_missing, "account_id"), errmsg("no such account"),
                errdetail("There is no account with account_id " INT64_FORMAT ".", *referred), errhint("%s", kHint));
}

void check_user_id(std::string_view user_id) {
    const int chars = pg_mbstrlen_with_len(user_id.data(), static_cast<int>(user_id.size()));
    if (chars < 1 || chars > static_cast<int>(kMaxUserIdChars) ||
        core::check_line(pg::to_utf8(user_id)) == core::NameStatus::control_character)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::user_id_invalid, "user_id"), errmsg("invalid user id"),
                    errdetail("A user id has 1 to %d characters, none of them a control character, a line "
                              "separator or a mark that overrides the direction of text.",
                              static_cast<int>(kMaxUserIdChars)),
                    errhint("Use the key of the platform's own users table, as text."));
}

}  // namespace mirox::store
