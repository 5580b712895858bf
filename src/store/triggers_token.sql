-- The statements of triggers_token.cpp.

-- name: revoke_secrets(token_id int8)
UPDATE mirox_internal.token_secret SET state = 'v' WHERE token_id = $1 AND state <> 'v';

-- name: delete_secrets(token_id int8)
DELETE FROM mirox_internal.token_secret WHERE token_id = $1;

-- An overlapping secret has its own end, which is never extended. A token's earlier expiration ends it too.
-- name: update_secrets(token_id int8)
UPDATE mirox_internal.token_secret s
SET group_id = t.group_id, own_rate_limit = COALESCE(t.rate_limit, -1), own_burst = COALESCE(t.burst, -1), allowed_ips = t.allowed_ips, suspended = t.suspended_at IS NOT NULL,
    expires_at = CASE WHEN s.state = 'c' THEN t.expires_at ELSE LEAST(s.expires_at, t.expires_at) END,
    permissions = mirox_internal.compile_permissions(a.permissions, t.permissions)
FROM mirox_internal.token t, mirox_internal.account a
WHERE t.token_id = $1 AND a.account_id = t.account_id
  AND s.token_id = $1 AND s.state = ANY (ARRAY['c', 'o']::"char"[]);
