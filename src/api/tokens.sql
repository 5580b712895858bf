-- The statement of tokens.cpp.

-- The list, as the view token_report shows it. It reads open minutes and shared memory for the account's few tokens only.
-- name: select_list(account_id int8)
SELECT t.place::int4, t.token_id, t.name, t.hint, g.name,
       mirox_internal.compile_permissions(g.permissions, mirox_internal.compile_permissions(a.permissions, t.permissions)),
       t.allowed_ips::cidr[], mirox_internal.token_status(t.revoked_at, t.expires_at, clock_timestamp()), t.created_at,
       t.rotated_at, t.expires_at::timestamptz, mirox_internal.days_until(t.expires_at, clock_timestamp()),
       u.last_used_at, u.last_ip, u.last_location, u.last_browser, u.last_os, u.uses, u.refusals, t.metadata::jsonb
FROM mirox_internal.token t
JOIN mirox_internal.account a ON a.account_id = t.account_id
JOIN mirox_internal.permission_group g ON g.group_id = t.group_id
LEFT JOIN mirox_internal.token_usage c ON c.token_id = t.token_id AND c.generation = t.generation
CROSS JOIN LATERAL (
    SELECT sum(o.requests) FILTER (WHERE w.status < 400)::int8 AS uses,
           sum(o.requests) FILTER (WHERE w.status >= 400)::int8 AS refusals,
           max(o.last_at) FILTER (WHERE w.status < 400) AS used_at,
           max(o.last_at) FILTER (WHERE w.status >= 400) AS refused_at,
           (array_agg(o.caller_id ORDER BY o.last_at DESC) FILTER (WHERE w.status < 400))[1] AS last_caller
    FROM mirox_internal.open_use o JOIN mirox_internal.caller w ON w.caller_id = o.caller_id
    WHERE o.first_token <= t.token_id AND o.last_token >= t.token_id AND o.token_id = t.token_id
      AND w.generation = t.generation) o
LEFT JOIN mirox_internal.caller_shown s ON s.caller_id = o.last_caller
LEFT JOIN LATERAL mirox_internal.pending_uses((SELECT d."position" FROM mirox_internal.drained d), t.token_id, t.generation) p
    ON true
LEFT JOIN LATERAL (SELECT x.browser, x.os FROM mirox_internal.agent x WHERE x.key = p.agent_key LIMIT 1) x ON true
CROSS JOIN LATERAL mirox_internal.whole_use(
    c.uses, c.refusals, c.last_used_at, c.last_refused_at, c.last_ip, c.last_location, c.last_browser, c.last_os,
    o.uses, o.refusals, o.used_at, o.refused_at, s.ip, s.location, s.browser, s.os,
    p.uses, p.refusals, p.last_used_at, p.last_refused_at, p.last_ip, x.browser, x.os) u
WHERE t.account_id = $1 AND t.revoked_at IS NULL
ORDER BY t.place;
