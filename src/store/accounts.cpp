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

namespace columns {
constexpr int kAccountId = 1, kUserId = 2, kPermissions = 3, kRateLimit = 4, kBurst = 5, kLockedAt = 6;
}

void read_account(RowScan& scan, Account& out) {
    bool is_null;
    const AccountState state = account_state(scan);
    out = {};
    out.account_id = DatumGetInt64(column(scan.slot, columns::kAccountId, &is_null));
    const std::string_view user = pg::text_view(state.user_id);
    out.user_id = cstring_to_text_with_len(user.data(), static_cast<int>(user.size()));
    out.permissions = PointerGetDatum(PG_DETOAST_DATUM_COPY(state.permissions));
    out.rate_limit = state.rate_limit;
    out.burst = state.burst;
    const Datum value = column(scan.slot, columns::kLockedAt, &is_null);
    out.locked = !is_null;
    out.locked_at = is_null ? 0 : DatumGetTimestampTz(value);
}

bool read_by(Oid index, const Key& key, bool lock, Account& out) {
    RowScan scan;
    const Oid heap = pg::catalog().account;
    const bool found = lock ? open_locked(scan, heap, index, key, LockTupleNoKeyExclusive)
                            : open_scan(scan, heap, index, key);
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
    out.user_id = column(scan.slot, columns::kUserId, &is_null);
    out.permissions = column(scan.slot, columns::kPermissions, &is_null);
    const Datum limit = column(scan.slot, columns::kRateLimit, &is_null);
    out.rate_limit = is_null ? -1 : DatumGetInt32(limit);
    const Datum burst = column(scan.slot, columns::kBurst, &is_null);
    out.burst = is_null ? -1 : DatumGetInt32(burst);
    (void)column(scan.slot, columns::kLockedAt, &is_null);
    out.locked = !is_null;
    return out;
}

void lock_tables() {
    const pg::Catalog tables = pg::catalog();
    for (const Oid table :
         {tables.account, tables.session, tables.token, tables.token_secret, tables.audit_log})
        LockRelationOid(table, RowExclusiveLock);
}

bool lock_account_row(std::int64_t account_id, Account& out) {
    return read_by(pg::catalog().account_pkey, {Key::Kind::int8, Int64GetDatum(account_id)}, true, out);
}

bool lock_account(std::int64_t account_id, Account& out) {
    lock_tables();
    return lock_account_row(account_id, out);
}

bool lock_account_of(std::string_view user_id, Account& out) {
    lock_tables();
    // The newest version may have been given another name while we waited: then there is no account of this one.
    const Datum name = pg::text_datum(user_id);
    return read_by(pg::catalog().account_user, {Key::Kind::text, name}, true, out) &&
           pg::view_of(out.user_id) == user_id;
}

bool find_account(std::int64_t account_id, Account& out) {
    return read_by(pg::catalog().account_pkey, {Key::Kind::int8, Int64GetDatum(account_id)}, false, out);
}

bool find_account_of(std::string_view user_id, Account& out) {
    return read_by(pg::catalog().account_user, {Key::Kind::text, pg::text_datum(user_id)}, false, out);
}

void require_account(std::string_view user_id, Account& out) {
    if (!lock_account_of(user_id, out))
        MIROX_RAISE(ERRCODE_NO_DATA_FOUND, errmsg("no such account"),
                    errhint("Register the account with mirox.put_account first."));
}

void check_user_id(std::string_view user_id) {
    const int chars = pg_mbstrlen_with_len(user_id.data(), static_cast<int>(user_id.size()));
    if (chars < 1 || chars > static_cast<int>(kMaxUserIdChars) ||
        core::check_line(pg::to_utf8(user_id)) == core::NameStatus::control_character)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errmsg("invalid user id"),
                    errdetail("A user id has 1 to %d characters, none of them a control character, a line "
                              "separator or a mark that overrides the direction of text.",
                              static_cast<int>(kMaxUserIdChars)),
                    errhint("Use the key of the platform's own users table, as text."));
}

}  // namespace mirox::store
