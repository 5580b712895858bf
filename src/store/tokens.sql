-- The statements of tokens.cpp.

-- name: revoke_rows(account_id int8, at timestamptz, reason text, expired_only boolean)
UPDATE mirox_internal.token SET revoked_at = $2, revoke_reason = $3, suspended_at = NULL, suspend_reason = NULL
WHERE account_id = $1 AND revoked_at IS NULL AND (NOT $4 OR expires_at <= $2);
