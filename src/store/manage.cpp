// Acts of management on accounts and sessions (see manage.hpp, also for the locks).
#include "store/manage.hpp"

#include "core/text.hpp"
#include "pg/catalog.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "shmem/record.hpp"
#include "store/manage.sql.hpp"
#include "store/rows.hpp"
#include "store/services.hpp"
#include "store/sessions.hpp"
#include "store/tokens.hpp"

extern "C" {
#include "utils/fmgrprotos.h"
}

namespace mirox::store {
namespace {

constexpr Interval kLongestSession = {0, 0, 12};

bool delete_locked(Actor& actor) {
    pg::Args args;
    args.int8(actor.account.account_id);
    pg::run(delete_row, args);
    return true;
}

// Until release_user_id(), nobody else gives an account this user id, and nobody has done so without having committed it.
void reserve_user_id(std::string_view user_id) {
    lock_name(pg::catalog().account, user_id);
    await_uncommitted(kAccountByUser, pg::text_datum(user_id));
}

void release_user_id(std::string_view user_id) {
    unlock_name(pg::catalog().account, user_id);
}

}  // namespace

void put_account(Actor& actor, const AccountRequest& request) {
    check_user_id(request.user_id);
    check_limit("rate_limit", request.rate_limit, 0);
    check_limit("burst", request.burst, 1);
    Account& account = actor.account;
    bool known = account_for_update(request.user_id, account);
    const bool reserved = !known;
    if (reserved) {
        reserve_user_id(request.user_id);
        known = account_for_update(request.user_id, account);
    }
    pg::Args args;
    if (known)
        args.int8(account.account_id);
    else
        args.text(request.user_id);
    args.add(request.permissions)
        .add_or_null(Int32GetDatum(request.rate_limit.value), request.rate_limit.given)
        .add_or_null(Int32GetDatum(request.burst.value), request.burst.given);
    pg::run(known ? update_account : insert_account, args);
    if (reserved) release_user_id(request.user_id);
}

void set_rate_limit(Actor& actor, const AccountRequest& request) {
    check_limit("rate_limit", request.rate_limit, 0);
    check_limit("burst", request.burst, 1);
    require_account(request.user_id, actor.account);
    pg::Args args;
    args.int8(actor.account.account_id)
        .add_or_null(Int32GetDatum(request.rate_limit.value), request.rate_limit.given)
        .add_or_null(Int32GetDatum(request.burst.value), request.burst.given);
    pg::run(update_limits, args);
}

TimestampTz lock_account(Actor& actor, std::string_view user_id, std::string_view reason, bool has_reason) {
    check_line("reason", reason);
    require_account(user_id, actor.account);
    if (actor.account.locked) return actor.account.locked_at;
    const TimestampTz now = GetCurrentTimestamp();
    pg::Args args;
    args.int8(actor.account.account_id).add(TimestampTzGetDatum(now)).text_or_null(reason, has_reason);
    pg::run(update_lock, args);
    return now;
}

bool unlock_account(Actor& actor, std::string_view user_id) {
    require_account(user_id, actor.account);
    if (!actor.account.locked) return false;
    pg::Args args;
    args.int8(actor.account.account_id).null().null();
    pg::run(update_lock, args);
    return true;
}

bool delete_account(Actor& actor, std::string_view user_id) {
    return account_for_update(user_id, actor.account) && delete_locked(actor);
}

bool delete_account(Actor& actor, std::int64_t account_id) {
    return account_for_update(account_id, actor.account) && delete_locked(actor);
}

void refuse_taken_id() {
    MIROX_RAISE(ERRCODE_UNIQUE_VIOLATION, errword(ErrorWord::user_id_taken), errmsg("the new id belongs to another account"),
                errdetail("Renaming the account would give it that account's tokens, or lose them."),
                errhint("Delete that account first with mirox.delete_account, or choose another id."));
}

bool rename_account(Actor& actor, std::int64_t account_id, std::string_view after) {
    if (!account_for_update(account_id, actor.account)) return false;
    // An account that already has the new id belongs to another user: accounts are never merged.
    reserve_user_id(after);
    Account other;
    if (find_account_of(after, other)) refuse_taken_id();
    pg::Args args;
    args.int8(actor.account.account_id).text(after);
    pg::run(rename_row, args);
    release_user_id(after);
    return true;
}

std::string_view stored_user_agent(std::string_view raw) {
    char clean[core::kMaxUserAgentBytes];
    const std::size_t size = core::clean_user_agent(pg::to_utf8_lossy(shmem::cut_agent(raw)), clean);
    return pg::text_view(pg::text_datum(pg::from_utf8_lossy({clean, size})));
}

NewSecret& open_session(Actor& actor, const SessionRequest& request) {
    const TimestampTz now = GetCurrentTimestamp();
    const bool positive = pg::is_always_positive(*request.lifetime);
    if (!positive || pg::compare_spans(*request.lifetime, kLongestSession) > 0)
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE,
                    errword(positive ? ErrorWord::lifetime_too_long : ErrorWord::lifetime_not_positive, "lifetime"),
                    errmsg("invalid session lifetime"), errdetail("A session lives for a positive time of at most one year."),
                    errhint("Give an interval such as '12 hours'."));
    require_account(request.user_id, actor.account);
    if (actor.account.locked)
        MIROX_RAISE(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, errword(ErrorWord::account_locked, "user_id"),
                    errmsg("the account is locked"), errhint("Let an administrator unlock it with mirox.unlock_account."));
    if (is_service_account(actor.account.account_id))
        MIROX_RAISE(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, errword(ErrorWord::account_of_service, "user_id"),
                    errmsg("nobody logs in to a service account"),
                    errhint("Let an administrator issue its tokens with mirox.issue_service_token."));
    actor.session_ip = request.client_ip;
    std::string_view agent;
    if (request.has_user_agent) {
        agent = stored_user_agent(request.user_agent);
        actor.session_agent = reinterpret_cast<struct varlena*>(DatumGetPointer(pg::text_datum(agent)));
    }
    NewSecret& out = make_secret(core::SecretKind::session);
    pg::Args args;
    args.add(PointerGetDatum(out.digest.data()))
        .int8(actor.account.account_id)
        .add(TimestampTzGetDatum(now))
        .add(TimestampTzGetDatum(pg::add_in_utc(now, *request.lifetime)))
        .add_or_null(request.client_ip, request.client_ip != 0)
        .text_or_null(agent, request.has_user_agent);
    pg::run(insert_session, args);
    return out;
}

bool close_session(Actor& actor, std::string_view secret) {
    if (kind_of(secret) != core::SecretKind::session) return false;
    const core::Digest digest = digest_of(secret);
    Session session;
    if (find_session(digest, true, session, actor.account) != SessionFound::found || session.closed ||
        session.expires_at <= GetCurrentTimestamp())
        return false;
    act_in(session, actor);
    return close_session(actor, session.session_id);
}

bool close_session(Actor& actor, std::int64_t session_id) {
    pg::Args args;
    args.int8(actor.account.account_id).int8(session_id);
    return pg::run(close_row, args) > 0;
}

int close_sessions(Actor& actor, const pg::OptionalText& reason, std::int64_t spared) {
    check_line("reason", reason.text);
    pg::Args args;
    args.int8(actor.account.account_id).int8(spared).text_or_null(reason.text, reason.given);
    return static_cast<int>(pg::run(close_rows, args));
}

}  // namespace mirox::store
