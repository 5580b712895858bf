-- The statements of policies.cpp.

-- Refusals are summed by the minute, so those since an instant begin up to a minute before it. Not those that a notice of the last day
-- has told of.
-- name: select_reused(since timestamptz, setting text, rows int4)
WITH refused AS MATERIALIZED (
    SELECT token_id, sum(requests)::int8 AS requests FROM mirox.refusals
    WHERE reason = 'rotated' AND first_at >= $1 - INTERVAL '1 minute' AND last_at > $1 AND token_id IS NOT NULL
    GROUP BY token_id
)
SELECT r.token_id, t.account_id, COALESCE(p.on_reuse, $2), r.requests
FROM refused r
CROSS JOIN LATERAL (SELECT account_id, group_id, revoked_at FROM mirox_internal.token t WHERE t.token_id = r.token_id OFFSET 0) t
LEFT JOIN mirox_internal.group_policy p ON p.group_id = t.group_id
WHERE t.revoked_at IS NULL
  AND (COALESCE(p.on_reuse, $2) = 'revoke'
       OR COALESCE(p.on_reuse, $2) = 'notify' AND NOT EXISTS (
           SELECT FROM mirox_internal.posted_notice n
           WHERE n.token_id = r.token_id AND n.at > clock_timestamp() - INTERVAL '1 day' AND n.event = 'secret_reused'))
LIMIT $3;

-- Up to when reuse has been looked at, also by workers before: an instant as the server counts it.
-- name: select_looked()
SELECT cursor FROM mirox_internal.upkeep WHERE task = 'look_for_reuse';

-- name: put_looked(cursor int8)
INSERT INTO mirox_internal.upkeep (task, due, cursor) VALUES ('look_for_reuse', 'infinity', $1)
ON CONFLICT (task) DO UPDATE SET cursor = excluded.cursor;

-- The next tokens by their key: the last of them, how many of them are unused, and which of them their group's policy
-- ends. Use of the current minute is not in token_usage yet, so each of those is looked at again before it is revoked.
-- name: select_stretch(after int8, rows int4)
WITH stretch AS (
    SELECT t.token_id, t.account_id, t.generation, t.group_id, t.revoked_at, t.expires_at,
           COALESCE(t.rotated_at, t.created_at) AS since
    FROM mirox_internal.token t WHERE t.token_id > $1 ORDER BY t.token_id LIMIT $2
), seen AS (
    SELECT s.token_id, s.account_id, p.unused_after, GREATEST(s.since, u.last_used_at) AS last_at
    FROM stretch s
    LEFT JOIN mirox_internal.group_policy p ON p.group_id = s.group_id
    LEFT JOIN LATERAL (SELECT u.last_used_at FROM mirox_internal.token_usage u
                       WHERE u.token_id = s.token_id AND u.generation = s.generation OFFSET 0) u ON true
    WHERE s.revoked_at IS NULL AND s.expires_at > clock_timestamp()
)
SELECT (SELECT max(token_id) FROM stretch), (SELECT count(*) FROM stretch),
       count(*) FILTER (WHERE last_at < mirox_internal.unused_since(clock_timestamp())),
       array_agg(token_id) FILTER (WHERE last_at < clock_timestamp() - unused_after),
       array_agg(account_id) FILTER (WHERE last_at < clock_timestamp() - unused_after)
FROM seen;

-- Whether the token is unused indeed, and for how many days.
-- name: select_idle(token_id int8)
SELECT mirox_internal.days_until(clock_timestamp(), COALESCE(r.last_used_at, r.rotated_at, r.created_at))
FROM mirox.token_report r
JOIN mirox_internal.permission_group g ON g.name = r.permission_group
JOIN mirox_internal.group_policy p ON p.group_id = g.group_id
WHERE r.token_id = $1 AND r.revoked_at IS NULL AND r.expires_at > clock_timestamp()
  AND COALESCE(r.last_used_at, r.rotated_at, r.created_at) < clock_timestamp() - p.unused_after;

-- name: hold_owner(account_id int8)
SELECT 1 FROM mirox_internal.account WHERE account_id = $1 FOR NO KEY UPDATE SKIP LOCKED;

-- name: delete_old_notices(rows int4)
DELETE FROM mirox_internal.posted_notice WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM mirox_internal.posted_notice
    WHERE at < now() - INTERVAL '90 days' AND (at < now() - INTERVAL '1 year' OR acknowledged_at < now() - INTERVAL '90 days')
    LIMIT $1));

-- name: delete_old_answers(rows int4)
DELETE FROM mirox_internal.answered_call WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM mirox_internal.answered_call WHERE at < now() - INTERVAL '1 day' LIMIT $1));
