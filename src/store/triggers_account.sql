-- The statements of triggers_account.cpp.

-- name: revoke_tokens_of(account_id int8)
UPDATE mirox_internal.token
SET revoked_at = clock_timestamp(), revoke_reason = 'account deleted', suspended_at = NULL, suspend_reason = NULL
WHERE account_id = $1 AND revoked_at IS NULL;

-- name: close_sessions_of(account_id int8, reason text)
UPDATE mirox_internal.session SET closed_at = clock_timestamp(), close_reason = $2 WHERE account_id = $1 AND closed_at IS NULL;

-- Each half has an index of its own.
-- name: delete_tokens_of(account_id int8)
DELETE FROM mirox_internal.token
WHERE (account_id = $1 AND revoked_at IS NOT NULL) OR (account_id = $1 AND revoked_at IS NULL);

-- name: delete_sessions_of(account_id int8)
DELETE FROM mirox_internal.session WHERE account_id = $1;

-- name: delete_service_of(account_id int8)
DELETE FROM mirox_internal.service_account WHERE account_id = $1;

-- The columns of a secret's row that repeat the account's.
-- name: update_secrets_of(account_id int8)
UPDATE mirox_internal.token_secret s
SET user_id = a.user_id, locked = a.locked_at IS NOT NULL,
    rate_limit = COALESCE(a.rate_limit, -1), burst = COALESCE(a.burst, -1),
    permissions = mirox_internal.compile_permissions(a.permissions, t.permissions)
FROM mirox_internal.token t, mirox_internal.account a
WHERE a.account_id = $1 AND t.account_id = $1 AND t.revoked_at IS NULL
  AND s.token_id = t.token_id AND s.state = ANY (ARRAY['c', 'o']::"char"[]);

-- name: put_name(account_id int8, user_id text)
INSERT INTO mirox_internal.account_name (account_id, user_id) VALUES ($1, $2)
ON CONFLICT (account_id) DO UPDATE SET user_id = excluded.user_id;
