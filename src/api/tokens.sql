-- The statement of tokens.cpp.

-- The list: the unrevoked tokens by place, then the revoked ones if they are asked for, the newest revocation first. Each half has
-- an index of its own. The use is that of the current secret and of the one before the last rotation.
-- name: select_list(account_id int8, revoked boolean)
SELECT t.place::int4, t.token_id, t.name, t.hint, g.name,
       mirox_internal.compile_permissions(g.permissions, mirox_internal.compile_permissions(a.permissions, t.permissions)),
       t.allowed_ips::cidr[],
       mirox_internal.token_status(t.revoked_at, t.expires_at, clock_timestamp(), t.suspended_at, a.locked_at), t.created_at,
       t.rotated_at, t.expires_at::timestamptz, mirox_internal.days_until(t.expires_at, clock_timestamp()),
       u.last_used_at, u.last_ip, u.last_location, u.last_browser, u.last_os, u.uses, u.refusals, t.metadata::jsonb,
       t.suspended_at, t.suspend_reason,
       (SELECT LEAST(s.ends_at, s.expires_at) FROM mirox_internal.token_secret s
        WHERE s.token_id = t.token_id AND s.generation = t.generation - 1 AND s.state = 'o'
          AND LEAST(s.ends_at, s.expires_at) > clock_timestamp()),
       p.uses, p.refusals, p.last_used_at, p.last_ip,
       t.revoked_at, t.revoke_reason, t.permissions, t.format::text, t.rate_limit::int4, t.burst::int4
FROM (SELECT * FROM mirox_internal.token WHERE account_id = $1 AND revoked_at IS NULL
      UNION ALL
      SELECT * FROM mirox_internal.token WHERE $2 AND account_id = $1 AND revoked_at IS NOT NULL) t
JOIN mirox_internal.account a ON a.account_id = t.account_id
JOIN mirox_internal.permission_group g ON g.group_id = t.group_id
CROSS JOIN LATERAL mirox_internal.use_of(t.token_id, t.generation) u
LEFT JOIN LATERAL mirox_internal.use_of(t.token_id, t.generation - 1) p ON t.generation > 1
ORDER BY t.revoked_at DESC NULLS FIRST, t.place, t.token_id;
