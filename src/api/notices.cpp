// SQL-callable functions on notices, and the report of a leaked secret. The work is in store/notices.hpp and store/tokens.hpp.
//
// Locks: for a leaked secret, the account's row.
#include "store/notices.hpp"

#include "pg/query.hpp"
#include "pg/values.hpp"
#include "store/acts.hpp"
#include "store/check.hpp"
#include "store/manage.hpp"
#include "store/sessions.hpp"
#include "store/tokens.hpp"

using namespace mirox;
using store::Actor;

MIROX_ACT(acknowledge_notice) {
    if (PG_ARGISNULL(0))
        MIROX_RAISE(ERRCODE_INVALID_PARAMETER_VALUE, errword(ErrorWord::argument_missing, "notice_id"),
                    errmsg("notice_id must not be NULL"));
    return TimestampTzGetDatum(store::as_act([&](Actor&) { return store::acknowledge_notice(PG_GETARG_INT64(0)); }));
}

namespace {

struct Leak {
    const char* outcome;
    store::Subject subject;
};

// Revokes the token, unless the secret has been rotated away: whoever finds an old secret must not be able to end the new one.
Leak end_token(Actor& actor, const core::Digest& digest, const char* reason) {
    store::Checked found;
    store::begin_digest(digest, {}, found);
    const std::int64_t token_id = found.token_id, account_id = found.account_id;
    store::end_check(found);
    if (token_id == 0) return {"unknown", {}};
    store::require_own_token(token_id);
    if (!store::account_for_update(account_id, actor.account)) return {"unknown", {}};
    store::begin_digest(digest, {}, found);
    const store::Reason now = found.reason;
    store::end_check(found);
    if (now == store::Reason::unknown) return {"unknown", {}};
    const store::Subject subject = {account_id, actor.account.user_id, token_id, 0};
    if (now == store::Reason::rotated || now == store::Reason::revoked) return {"ended", subject};
    (void)store::revoke(actor, token_id, reason, true);
    return {"revoked", subject};
}

Leak end_session(Actor& actor, const core::Digest& digest, std::string_view secret) {
    store::SessionState session;
    if (!store::session_state(digest, session)) return {"unknown", {}};
    const bool closed = store::close_session(actor, secret);
    if (!closed && !store::account_for_update(session.account_id, actor.account)) return {"unknown", {}};
    return {closed ? "closed" : "ended", {session.account_id, actor.account.user_id, 0, session.session_id}};
}

}  // namespace

MIROX_SECRET_FUNCTION(report_leak) {
    const pg::OptionalText secret = pg::secret_arg(fcinfo, 0);
    const pg::OptionalText reporter = pg::text_arg(fcinfo, 1);
    if (reporter.given) store::check_line("reporter", reporter.text);
    const bool session = secret.given && store::kind_of(secret.text) == core::SecretKind::session;
    if (!secret.given || (!session && !store::looks_like_token(secret.text))) return pg::text_datum("unknown");
    store::require_writable("report_leak");
    const core::Digest digest = store::digest_of(secret.text);
    const char* outcome = store::as_act([&](Actor& actor) {
        const Leak leak = session ? end_session(actor, digest, secret.text) : end_token(actor, digest, "its secret leaked");
        if (leak.subject.account_id == 0) return leak.outcome;
        const auto tell = [&](store::Detail& detail) {
            detail.add_text("outcome", leak.outcome);
            if (reporter.given) detail.add_text("reporter", reporter.text);
        };
        store::Detail recorded, posted;
        tell(recorded);
        tell(posted);
        // An old secret may be found again and again, by anybody. Then a day has one notice and one row.
        if (store::post_notice("secret_leaked", leak.subject, posted, strcmp(leak.outcome, "ended") == 0))
            store::audit("leak_reported", leak.subject, recorded);
        return leak.outcome;
    });
    return pg::text_datum(outcome);
}
