// Web sessions (see sessions.hpp, also for the locks).
#include "store/sessions.hpp"

#include "pg/catalog.hpp"
#include "pg/values.hpp"
#include "store/acts.hpp"
#include "store/check.hpp"
#include "store/rows.hpp"
#include "store/secrets.hpp"

extern "C" {
#include "utils/inet.h"
}

namespace mirox::store {
namespace {

// close_scan() must follow.
bool open_session(RowScan& scan, const core::Digest& digest) {
    return open_scan(scan, kSessionByDigest, PointerGetDatum(digest.data()));
}

void read_state(const RowScan& scan, SessionState& out) {
    bool is_null;
    out.session_id = DatumGetInt64(column(scan.slot, session_column::kSessionId));
    out.account_id = DatumGetInt64(column(scan.slot, session_column::kAccountId));
    out.expires_at = DatumGetTimestampTz(column(scan.slot, session_column::kExpiresAt));
    (void)column(scan.slot, session_column::kClosedAt, &is_null);
    out.closed = !is_null;
}

// Also reads what only acts of management need, as copies.
void read_whole(const RowScan& scan, Session& out) {
    out = {};
    read_state(scan, out);
    bool is_null;
    Datum value = column(scan.slot, session_column::kClientIp, &is_null);
    if (!is_null) out.client_ip = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
    value = column(scan.slot, session_column::kUserAgent, &is_null);
    if (!is_null) out.user_agent = PG_DETOAST_DATUM_COPY(value);
}

// `known`: the secret's session, if it was found.
[[noreturn]] void refuse_session(const char* detail, const SessionState* known = nullptr) {
    shmem::Event who;
    if (known != nullptr) {
        who.credential_id = -known->session_id;
        who.account = known->account_id;
    }
    record_refused_act(who);
    MIROX_RAISE(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, errword(ErrorWord::session_not_open, "session"),
                errmsg("no open session"), errdetail("%s", detail),
                errhint("Log in again and open a session with mirox.open_session."));
}

[[noreturn]] void refuse_token(std::string_view secret) {
    Checked token;
    begin_secret(secret, Accept::token, {}, token);
    shmem::Event who;
    who.credential_id = token.token_id;
    who.generation = token.generation;
    who.account = token.account_id;
    end_check(token);
    record_refused_act(who);
    MIROX_RAISE(ERRCODE_INSUFFICIENT_PRIVILEGE, errword(ErrorWord::token_instead_of_session, "session"),
                errmsg("a token cannot manage tokens"),
                errdetail("The argument is a token's secret where a web session's is needed."),
                errhint("Log in and pass the secret that mirox.open_session returned."));
}

}  // namespace

bool session_state(const core::Digest& digest, SessionState& out) {
    RowScan scan;
    const bool found = open_session(scan, digest);
    if (found) read_state(scan, out);
    close_scan(scan);
    return found;
}

SessionFound find_session(const core::Digest& digest, bool lock, Session& out, Account& owner) {
    RowScan scan;
    if (lock) lock_tables();
    const bool found = open_session(scan, digest);
    if (found) {
        read_whole(scan, out);
        require_own_account(out.account_id);
    }
    const bool account_there =
        found && (lock ? account_row_for_update(out.account_id, owner) : find_account(out.account_id, owner));
    // Under the lock nothing of the account changes any more, so what is true now stays true until the act is done.
    const bool as_read = account_there && (!lock || is_newest(scan));
    close_scan(scan);
    if (!found) return SessionFound::unknown;
    if (!account_there) return SessionFound::no_account;
    if (as_read) return SessionFound::found;
    const bool still_there = open_session(scan, digest);
    if (still_there) read_whole(scan, out);
    close_scan(scan);
    return still_there ? SessionFound::found : SessionFound::unknown;
}

void act_in(const Session& session, Actor& actor) {
    actor.session_id = session.session_id;
    actor.session_ip = session.client_ip;
    actor.session_agent = session.user_agent;
    actor.session_expires_at = session.expires_at;
}

void require_session(Actor& actor, const pg::OptionalText& given, bool lock) {
    const std::string_view secret = given.text;
    const core::SecretKind kind = given.given ? kind_of(secret) : core::SecretKind::malformed;
    if (kind == core::SecretKind::token || (given.given && core::looks_like_jwt(secret))) refuse_token(secret);
    if (kind == core::SecretKind::malformed) refuse_session("The argument is not a session's secret.");
    const core::Digest digest = digest_of(secret);
    Session session;
    const SessionFound found = find_session(digest, lock, session, actor.account);
    if (found == SessionFound::unknown) refuse_session("The session is unknown.");
    if (found == SessionFound::no_account) refuse_session("The session's account was deleted.", &session);
    if (actor.account.locked) refuse_session("The account is locked.", &session);
    if (session.closed) refuse_session("The session was closed.", &session);
    if (session.expires_at <= GetCurrentTimestamp()) refuse_session("The session has expired.", &session);
    act_in(session, actor);
}

}  // namespace mirox::store
