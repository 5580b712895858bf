// The check of a secret (see check.hpp, also for the locks).
#include "store/check.hpp"

#include "pg/catalog.hpp"
#include "pg/network.hpp"
#include "pg/values.hpp"

extern "C" {
#include "utils/inval.h"
}

namespace mirox::store {
namespace {

constexpr Outcome kOutcomes[kReasons] = {
    {"ok", 200},      {"malformed", 401}, {"unknown", 401},        {"revoked", 401},            {"rotated", 401},
    {"expired", 401}, {"locked", 401},    {"ip_not_allowed", 401}, {"insufficient_scope", 403}, {"rate_limited", 429},
};

Reason judge(Checked& checked, const Check& check) {
    const SecretFixed& row = checked.fixed;
    const TimestampTz now = GetCurrentTimestamp();
    switch (row.state) {
        case kCurrent: break;
        case kOverlapping:
            if (row.ends_at <= now) return Reason::rotated;
            break;
        case kRevoked: return Reason::revoked;
        default: return Reason::rotated;
    }
    if (row.expires_at <= now) return Reason::expired;
    if (row.locked) return Reason::locked;
    bool is_null;
    const Datum networks = column(checked.scan.slot, secret_column::kAllowedIps, &is_null);
    // An address that we are not told is not one that is allowed.
    if (!is_null && !pg::array_contains(networks, check.client)) return Reason::ip_not_allowed;
    checked.authenticated = true;

    if (!check.has_scope) return Reason::ok;
    core::Scope scope;
    // A scope that is none is what no token reaches.
    if (core::parse_scope(check.scope, scope) != core::ScopeStatus::ok) return Reason::insufficient_scope;
    if (checked.group == nullptr) return Reason::insufficient_scope;
    if (!checked.group->everything && !checked.group->permissions.covers(scope)) return Reason::insufficient_scope;
    return pg::scope_set(checked.permissions).covers(scope) ? Reason::ok : Reason::insufficient_scope;
}

}  // namespace

const Outcome& outcome_of(Reason reason) { return kOutcomes[static_cast<int>(reason)]; }

void begin_check(const core::Digest& digest, const Check& check, Checked& out) {
    out.authenticated = false;
    out.group = nullptr;
    // What was committed before we began is known to us: groups first of all.
    AcceptInvalidationMessages();
    const pg::Catalog& catalog = pg::catalog();
    out.open = true;
    if (!open_scan(out.scan, catalog.token_secret, catalog.token_secret_digest,
                   {Key::Kind::digest, PointerGetDatum(digest.data())})) {
        out.reason = Reason::unknown;
        return;
    }
    out.fixed = secret_fixed(out.scan.slot);
    bool is_null;
    out.user_id = column(out.scan.slot, secret_column::kUserId, &is_null);
    out.permissions = column(out.scan.slot, secret_column::kPermissions, &is_null);
    out.group = group_by_id(out.fixed.group_id);
    out.reason = judge(out, check);
}

void end_check(Checked& checked) {
    if (checked.open) close_scan(checked.scan);
    checked.open = false;
}

Datum effective_permissions(const Checked& checked) {
    if (checked.group == nullptr) return pg::scopes_datum({});
    if (checked.group->everything) return checked.permissions;
    return pg::scopes_intersection(pg::scope_set(checked.permissions), checked.group->permissions, true, nullptr);
}

}  // namespace mirox::store
