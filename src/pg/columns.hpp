// The tables whose rows C++ reads and writes: the constant, name and base type of each column, in order. A column's number
// follows from its position. Before anything is read by these numbers, pg/catalog.cpp compares names and types with pg_attribute.
// Columns that a later script adds come after these.
#pragma once

#include "pg/catalog.hpp"

namespace mirox {

struct ColumnKind {
    const char* name;
    pg::Type type;
};

// clang-format off
#define MIROX_ACCOUNT(COLUMN) \
    COLUMN(kAccountId, "account_id", int8) COLUMN(kUserId, "user_id", text) COLUMN(kPermissions, "permissions", scopes) \
    COLUMN(kRateLimit, "rate_limit", int4) COLUMN(kBurst, "burst", int4) COLUMN(kLockedAt, "locked_at", timestamptz) \
    COLUMN(kLockReason, "lock_reason", text) COLUMN(kCreatedAt, "created_at", timestamptz) \
    COLUMN(kAuditNode, "audit_node", int4) COLUMN(kAuditId, "audit_id", int8)

#define MIROX_SESSION(COLUMN) \
    COLUMN(kDigest, "digest", digest) COLUMN(kSessionId, "session_id", int8) COLUMN(kAccountId, "account_id", int8) \
    COLUMN(kOpenedAt, "opened_at", timestamptz) COLUMN(kExpiresAt, "expires_at", timestamptz) \
    COLUMN(kClosedAt, "closed_at", timestamptz) COLUMN(kClientIp, "client_ip", inet) COLUMN(kUserAgent, "user_agent", text) \
    COLUMN(kAuditNode, "audit_node", int4) COLUMN(kAuditId, "audit_id", int8) COLUMN(kCloseReason, "close_reason", text)

#define MIROX_TOKEN(COLUMN) \
    COLUMN(kTokenId, "token_id", int8) COLUMN(kAccountId, "account_id", int8) COLUMN(kPlace, "place", int2) \
    COLUMN(kGeneration, "generation", int4) COLUMN(kName, "name", text) COLUMN(kGroupId, "group_id", int4) \
    COLUMN(kPermissions, "permissions", scopes) COLUMN(kAllowedIps, "allowed_ips", cidr_array) COLUMN(kFormat, "format", text) \
    COLUMN(kHint, "hint", text) COLUMN(kLifetime, "lifetime", interval) COLUMN(kCreatedAt, "created_at", timestamptz) \
    COLUMN(kRotatedAt, "rotated_at", timestamptz) COLUMN(kExpiresAt, "expires_at", timestamptz) \
    COLUMN(kRevokedAt, "revoked_at", timestamptz) COLUMN(kRevokeReason, "revoke_reason", text) \
    COLUMN(kMetadata, "metadata", jsonb) COLUMN(kAuditNode, "audit_node", int4) COLUMN(kAuditId, "audit_id", int8) \
    COLUMN(kSuspendedAt, "suspended_at", timestamptz) COLUMN(kSuspendReason, "suspend_reason", text) \
    COLUMN(kRateLimit, "rate_limit", int4) COLUMN(kBurst, "burst", int4)

#define MIROX_TOKEN_SECRET(COLUMN) \
    COLUMN(kDigest, "digest", digest) COLUMN(kTokenId, "token_id", int8) COLUMN(kAccountId, "account_id", int8) \
    COLUMN(kExpiresAt, "expires_at", timestamptz) COLUMN(kEndsAt, "ends_at", timestamptz) \
    COLUMN(kGeneration, "generation", int4) COLUMN(kGroupId, "group_id", int4) COLUMN(kRateLimit, "rate_limit", int4) \
    COLUMN(kBurst, "burst", int4) COLUMN(kOwnRateLimit, "own_rate_limit", int4) COLUMN(kOwnBurst, "own_burst", int4) \
    COLUMN(kKeyId, "key_id", int2) COLUMN(kScheme, "scheme", character) \
    COLUMN(kState, "state", character) COLUMN(kLocked, "locked", boolean) \
    COLUMN(kSuspended, "suspended", boolean) COLUMN(kUserId, "user_id", text) COLUMN(kPermissions, "permissions", scopes) \
    COLUMN(kAllowedIps, "allowed_ips", cidr_array) \
    COLUMN(kAuditNode, "audit_node", int4) COLUMN(kAuditId, "audit_id", int8)

#define MIROX_GROUP(COLUMN) \
    COLUMN(kGroupId, "group_id", int4) COLUMN(kName, "name", text) COLUMN(kPermissions, "permissions", scopes) \
    COLUMN(kDescription, "description", text) COLUMN(kBuiltin, "builtin", boolean) COLUMN(kAuditNode, "audit_node", int4) \
    COLUMN(kAuditId, "audit_id", int8)

#define MIROX_ENDPOINT(COLUMN) \
    COLUMN(kMethod, "method", text) COLUMN(kPath, "path", text) COLUMN(kScope, "scope", text) \
    COLUMN(kPublic, "public", boolean) COLUMN(kAuditNode, "audit_node", int4) COLUMN(kAuditId, "audit_id", int8)

#define MIROX_GROUP_POLICY(COLUMN) \
    COLUMN(kGroupId, "group_id", int4) COLUMN(kMaxLifetime, "max_lifetime", interval) \
    COLUMN(kUnusedAfter, "unused_after", interval) COLUMN(kOnReuse, "on_reuse", text) COLUMN(kAuditNode, "audit_node", int4) \
    COLUMN(kAuditId, "audit_id", int8)

#define MIROX_SERVICE_ACCOUNT(COLUMN) \
    COLUMN(kAccountId, "account_id", int8) COLUMN(kAuditNode, "audit_node", int4) COLUMN(kAuditId, "audit_id", int8)

#define MIROX_AUDIT(COLUMN) \
    COLUMN(kNode, "node", int4) COLUMN(kAuditId, "audit_id", int8) COLUMN(kAt, "at", timestamptz) COLUMN(kEvent, "event", text) \
    COLUMN(kAccountId, "account_id", int8) COLUMN(kUserId, "user_id", text) COLUMN(kTokenId, "token_id", int8) \
    COLUMN(kSessionId, "session_id", int8) COLUMN(kRole, "db_role", text) COLUMN(kIp, "ip", inet) \
    COLUMN(kUserAgent, "user_agent", text) COLUMN(kRequests, "requests", int8) COLUMN(kDetail, "detail", jsonb) \
    COLUMN(kActingToken, "acting_token_id", int8) COLUMN(kActingSession, "acting_session_id", int8) \
    COLUMN(kLoginRole, "login_role", text) COLUMN(kBySession, "by_session_id", int8)

#define MIROX_NUMBER(CONSTANT, NAME, TYPE) CONSTANT,
#define MIROX_KIND(CONSTANT, NAME, TYPE) {NAME, pg::Type::TYPE},
#define MIROX_TABLE(SPACE, COLUMNS) \
    namespace SPACE { \
    enum { kNone, COLUMNS(MIROX_NUMBER) }; \
    inline constexpr ColumnKind kAll[] = {COLUMNS(MIROX_KIND)}; \
    }
MIROX_TABLE(account_column, MIROX_ACCOUNT)
MIROX_TABLE(session_column, MIROX_SESSION)
MIROX_TABLE(token_column, MIROX_TOKEN)
MIROX_TABLE(secret_column, MIROX_TOKEN_SECRET)
MIROX_TABLE(group_column, MIROX_GROUP)
MIROX_TABLE(endpoint_column, MIROX_ENDPOINT)
MIROX_TABLE(policy_column, MIROX_GROUP_POLICY)
MIROX_TABLE(service_column, MIROX_SERVICE_ACCOUNT)
MIROX_TABLE(audit_column, MIROX_AUDIT)
#undef MIROX_NUMBER
#undef MIROX_KIND
#undef MIROX_TABLE
// clang-format on

// The tables whose changes the catalog and its listeners react to.
struct TableKind {
    Oid pg::Catalog::*table;
    const char* name;
    std::span<const ColumnKind> columns;
};
inline constexpr TableKind kTables[] = {
    {&pg::Catalog::account, "account", account_column::kAll},
    {&pg::Catalog::session, "session", session_column::kAll},
    {&pg::Catalog::token, "token", token_column::kAll},
    {&pg::Catalog::token_secret, "token_secret", secret_column::kAll},
    {&pg::Catalog::permission_group, "permission_group", group_column::kAll},
    {&pg::Catalog::endpoint, "endpoint", endpoint_column::kAll},
    {&pg::Catalog::group_policy, "group_policy", policy_column::kAll},
    {&pg::Catalog::service_account, "service_account", service_column::kAll},
    {&pg::Catalog::audit_log, "audit_log", audit_column::kAll},
};

}  // namespace mirox
