// The check of a secret (see check.hpp, also for the locks).
#include "store/check.hpp"

#include "pg/catalog.hpp"
#include "pg/network.hpp"
#include "pg/settings.hpp"
#include "pg/values.hpp"
#include "shmem/limits.hpp"
#include "shmem/record.hpp"
#include "store/accounts.hpp"
#include "store/keys.hpp"
#include "store/secrets.hpp"
#include "store/sessions.hpp"

extern "C" {
#include "utils/inval.h"
}

namespace mirox::store {
namespace {

void clear(Checked& out) {
    out.reason = Reason::malformed;
    out.credential = Credential::none;
    out.in_force = out.open = out.limited = out.own_limited = false;
    out.own.limit_per_minute = -1;
    out.token_id = out.session_id = out.account_id = 0;
    out.generation = 0;
    out.at = 0;
    out.group = nullptr;
}

Reason judge_token(const SecretFixed& row, const SecretRest& rest, const core::Address& client, TimestampTz now) {
    switch (row.state) {
        case kCurrent:
            break;
        case kOverlapping:
            if (row.ends_at <= now) return Reason::rotated;
            break;
        case kRevoked:
            return Reason::revoked;
        default:
            return Reason::rotated;
    }
    if (row.expires_at <= now) return Reason::expired;
    if (row.locked) return Reason::locked;
    if (row.suspended) return Reason::suspended;
    // An unknown address is not an allowed one.
    if (rest.has_allowed_ips && !pg::array_contains(rest.allowed_ips, client)) return Reason::ip_not_allowed;
    return Reason::ok;
}

void begin_session(const core::Digest& digest, Checked& out) {
    AcceptInvalidationMessages();
    SessionState session;
    if (!session_state(digest, session)) {
        out.reason = Reason::unknown;
        return;
    }
    out.open = true;
    if (!open_scan(out.scan, kAccountById, Int64GetDatum(session.account_id))) {
        out.reason = Reason::unknown;
        return;
    }
    const AccountState account = account_state(out.scan);
    out.credential = Credential::session;
    out.session_id = session.session_id;
    out.account_id = session.account_id;
    out.expires_at = session.expires_at;
    out.rate_limit = account.rate_limit;
    out.burst = account.burst;
    out.user_id = account.user_id;
    out.permissions = account.permissions;
    out.at = GetCurrentTimestamp();
    // Locking an account closes its sessions. As long as it is locked, that is what their holders are told.
    if (account.locked)
        out.reason = Reason::locked;
    else if (session.closed)
        out.reason = Reason::revoked;
    else
        out.reason = session.expires_at <= out.at ? Reason::expired : Reason::ok;
    out.in_force = out.reason == Reason::ok;
}

bool reaches(const Checked& checked, std::string_view needed) {
    core::Scope scope;
    // No credential reaches a malformed scope.
    if (core::parse_scope(needed, scope) != core::ScopeStatus::ok) return false;
    if (checked.credential == Credential::token) {
        if (checked.group == nullptr) return false;
        if (!checked.group->everything && !checked.group->permissions.covers(scope)) return false;
    }
    return pg::scope_set(checked.permissions).covers(scope);
}

// For a token that has a limit of its own.
bool passes_both_limits(Checked& checked, Counting counting) {
    checked.own_quota = core::own_quota(checked.own, checked.quota);
    const auto judge = counting == Counting::full ? shmem::draw_on_limits : shmem::peek_at_limits;
    const shmem::TwoLimits limits = judge(checked.account_id, checked.quota, checked.token_id, checked.own_quota);
    checked.decision = limits.account;
    checked.own_decision = limits.own;
    checked.own_limited = true;
    return limits.account.admitted && limits.own.admitted;
}

// 429 comes before 403, so that a client that probes for permissions pays for each attempt.
Reason judge_request(Checked& checked, const Check& check) {
    if (check.counting != Counting::none) {
        const pg::Settings& settings = pg::settings();
        checked.quota = {checked.rate_limit < 0 ? settings.rate_limit : checked.rate_limit,
                         checked.burst < 0 ? settings.rate_burst : checked.burst};
        checked.limited = true;
        if (checked.own.limit_per_minute >= 0) {
            if (!passes_both_limits(checked, check.counting)) return Reason::rate_limited;
        } else {
            const auto judge = check.counting == Counting::full ? shmem::draw_on_limit : shmem::peek_at_limit;
            checked.decision = judge(checked.account_id, checked.quota.limit_per_minute, checked.quota.burst);
            if (!checked.decision.admitted) return Reason::rate_limited;
        }
    }
    switch (check.need) {
        case Need::nothing:
            return Reason::ok;
        case Need::invalid:
            return Reason::invalid_request;
        case Need::scope:
            break;
    }
    return reaches(checked, check.texts[shmem::kScope]) ? Reason::ok : Reason::insufficient_scope;
}

}  // namespace

void begin_refused(Reason reason, Checked& out) {
    clear(out);
    out.reason = reason;
}

namespace {
void begin_at(const core::Digest& digest, const core::Address& client, Checked& out) {
    clear(out);
    // Everything committed before the check began is visible to it, also in the caches.
    AcceptInvalidationMessages();
    ready_groups();
    out.digest = digest;  // the scan's key points here until end_check()
    out.open = true;
    if (!open_scan(out.scan, kSecretByDigest, PointerGetDatum(out.digest.data()))) {
        out.reason = Reason::unknown;
        return;
    }
    const SecretFixed& row = secret_fixed(out.scan.slot);
    out.credential = Credential::token;
    out.token_id = row.token_id;
    out.account_id = row.account_id;
    out.generation = row.generation;
    out.rate_limit = row.rate_limit;
    out.burst = row.burst;
    out.own = {row.own_rate_limit, row.own_burst};
    out.expires_at = row.state == kOverlapping ? Min(row.ends_at, row.expires_at) : row.expires_at;
    const SecretRest rest = secret_rest(out.scan.slot);
    out.user_id = rest.user_id;
    out.permissions = rest.permissions;
    out.group = group_by_id(row.group_id);
    out.at = GetCurrentTimestamp();
    out.reason = judge_token(row, rest, client, out.at);
    out.in_force = out.reason == Reason::ok;
}

}  // namespace

void begin_digest(const core::Digest& digest, const core::Address& client, Checked& out) {
    begin_at(digest, client, out);
}

void begin_secret(std::string_view secret, Accept accept, const core::Address& client, Checked& out) {
    switch (kind_of(secret)) {
        case core::SecretKind::token:
            if (accept == Accept::session) break;
            begin_at(digest_of(secret), client, out);
            return;
        case core::SecretKind::session:
            if (accept == Accept::token) break;
            clear(out);
            begin_session(digest_of(secret), out);
            return;
        case core::SecretKind::malformed:
            // The signature is verified first, so that no table is read for a JWT that we did not sign.
            if (accept == Accept::session) break;
            switch (signature_of(secret)) {
                case JwtSignature::foreign:
                    break;
                case JwtSignature::ours:
                    begin_digest(digest_of(secret), client, out);
                    return;
                case JwtSignature::unavailable:
                    begin_refused(Reason::keys_unavailable, out);
                    return;
            }
            break;
    }
    begin_refused(Reason::malformed, out);
}

void conclude(Checked& checked, const Check& check) {
    if (checked.in_force) checked.reason = judge_request(checked, check);
    if (check.counting != Counting::full) return;
    shmem::Event use;
    use.credential_id = checked.credential == Credential::token ? checked.token_id : -checked.session_id;
    use.account = checked.account_id;
    use.generation = checked.generation;
    use.reason = static_cast<std::uint8_t>(checked.reason);
    use.status = static_cast<std::uint16_t>(outcome_of(checked.reason).status);
    use.at = checked.at != 0 ? checked.at : GetCurrentTimestamp();
    // Anybody may read a public endpoint, so its readers are counted together and without an address.
    if (checked.reason != Reason::public_endpoint) use.address = check.client;
    std::copy(std::begin(check.texts), std::end(check.texts), use.texts);
    shmem::record_use(use);
}

void end_check(Checked& checked) {
    if (checked.open) close_scan(checked.scan);
    checked.open = false;
}

core::RateLimitAnswer rate_limit_answer(const Checked& checked) {
    const auto fields = [](const core::Decision& decision, const core::Quota& quota) {
        return core::rate_limit_fields(decision, quota.limit_per_minute, quota.burst);
    };
    core::RateLimitAnswer answer = {};
    answer.account = fields(checked.decision, checked.quota);
    answer.has_own = checked.own_limited;
    if (checked.own_limited) answer.own = fields(checked.own_decision, checked.own_quota);
    answer.own_binds = own_limit_binds(checked);
    return answer;
}

Datum effective_permissions(const Checked& checked) {
    if (checked.credential == Credential::session) return checked.permissions;
    if (checked.group == nullptr) return pg::scopes_datum({});
    if (checked.group->everything) return checked.permissions;
    return pg::scopes_intersection(pg::scope_set(checked.permissions), checked.group->permissions, true, nullptr);
}

}  // namespace mirox::store
