-- The statements of maintenance.cpp. They run as the extension's owner with a search_path of pg_catalog, so names of the server
-- need no schema.

-- A token may have passed several thresholds without a notice. One notice is sent, for the nearest of them; all are noted as
-- sent. A token is found by its current secret, which expires at the same time and has the index. The order of the look-ups is fixed:
-- planned while the tables are empty, and used while they are filled, the statement would go through all tokens.
-- name: send_due_notices(now timestamptz, days int4[], from timestamptz, to timestamptz, until timestamptz[])
WITH due AS (
    SELECT t.token_id, t.account_id, t.name, t.expires_at, d.days
    FROM (SELECT token_id, generation FROM mirox_internal.token_secret WHERE expires_at > $3 AND expires_at <= $4 OFFSET 0) c
    CROSS JOIN LATERAL (
        SELECT t.token_id, t.account_id, t.name, t.expires_at, t.generation, t.revoked_at
        FROM mirox_internal.token t WHERE t.token_id = c.token_id OFFSET 0) t
    JOIN unnest($2, $5) d (days, until) ON t.expires_at <= d.until
    WHERE t.generation = c.generation AND t.revoked_at IS NULL AND t.expires_at > $3 AND t.expires_at <= $4
), sent AS (
    INSERT INTO mirox_internal.notice (token_id, expires_at, days, sent_at)
    SELECT token_id, expires_at, days, $1 FROM due
    ON CONFLICT DO NOTHING
    RETURNING token_id, days
), posted AS (
    INSERT INTO mirox_internal.posted_notice (at, event, account_id, token_id, detail)
    SELECT $1, 'token_expiring', d.account_id, d.token_id, jsonb_build_object(
        'expires_at', to_char(timezone('UTC', d.expires_at), 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'days_left', mirox_internal.days_until(d.expires_at, $1),
        'threshold_days', s.days)
    FROM (SELECT token_id, min(days) AS days FROM sent GROUP BY token_id) s
    JOIN due d ON d.token_id = s.token_id AND d.days = s.days
    ORDER BY d.expires_at
    RETURNING notice_id, event
)
SELECT pg_notify('mirox_tokens', json_build_object('event', event, 'notice_id', notice_id)::text) FROM posted ORDER BY notice_id;

-- Up to which expiration some rows reach; no row: to the horizon.
-- name: notice_bound(from timestamptz, horizon timestamptz, rows int4)
SELECT expires_at::timestamptz FROM mirox_internal.token_secret WHERE expires_at > $1 AND expires_at <= $2
ORDER BY expires_at OFFSET $3 LIMIT 1;

-- name: delete_notices(before timestamptz)
DELETE FROM mirox_internal.notice WHERE expires_at < $1;

-- To go through a table by its key, each slice takes the range from the last key to one of these: the key of the last of some
-- rows.
-- name: step_of_sessions(after int8, rows int4)
SELECT max(s.session_id)
FROM (SELECT session_id FROM mirox_internal.session WHERE session_id > $1 ORDER BY session_id LIMIT $2) s;

-- name: step_of_usage(after int8, rows int4)
SELECT max(s.token_id)
FROM (SELECT token_id FROM mirox_internal.token_usage WHERE token_id > $1 ORDER BY token_id LIMIT $2) s;

-- name: select_ended(after int8, until int8, before timestamptz)
SELECT DISTINCT account_id FROM mirox_internal.session
WHERE session_id > $1 AND session_id <= $2 AND LEAST(closed_at, expires_at) < $3;

-- name: hold_account(account_id int8)
SELECT 1 FROM mirox_internal.account WHERE account_id = $1 FOR NO KEY UPDATE SKIP LOCKED;

-- name: delete_ended(after int8, until int8, before timestamptz, account_id int8)
DELETE FROM mirox_internal.session
WHERE session_id > $1 AND session_id <= $2 AND LEAST(closed_at, expires_at) < $3 AND account_id = $4;

-- Retention of what is not dropped with a partition, some rows at a time. In order, so that an index gives just these: without one, a bitmap
-- of all that is due would be made for each slice. From where the last slice has ended, since the index has what is deleted until VACUUM.
-- name: delete_audit(before timestamptz, rows int4, from timestamptz)
WITH gone AS (
    DELETE FROM mirox_internal.audit_log WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM mirox_internal.audit_log WHERE at < $1 AND at >= $3 ORDER BY at LIMIT $2))
    RETURNING at
)
SELECT count(*), max(at)::timestamptz FROM gone;

-- name: delete_traffic(before timestamptz, rows int4, from timestamptz)
WITH gone AS (
    DELETE FROM mirox_internal.traffic_hour WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM mirox_internal.traffic_hour WHERE hour < $1 AND hour >= $3 ORDER BY hour LIMIT $2))
    RETURNING hour
)
SELECT count(*), max(hour)::timestamptz FROM gone;

-- name: delete_unauthenticated(before timestamptz, rows int4, from timestamptz)
WITH gone AS (
    DELETE FROM mirox_internal.unauthenticated WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM mirox_internal.unauthenticated WHERE minute < $1 AND minute >= $3 ORDER BY minute LIMIT $2))
    RETURNING minute
)
SELECT count(*), max(minute)::timestamptz FROM gone;

-- name: delete_agents(before timestamptz, rows int4, from timestamptz)
WITH gone AS (
    DELETE FROM mirox_internal.agent WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM mirox_internal.agent WHERE seen_on < timezone('UTC', $1)::date AND seen_on >= timezone('UTC', $3)::date ORDER BY seen_on LIMIT $2))
    RETURNING seen_on
)
SELECT count(*), max(seen_on)::timestamptz FROM gone;

-- Usage of tokens that no longer exist and of earlier generations. Usage of the current generation is kept, however old.
-- name: delete_usage(after int8, until int8, before timestamptz)
DELETE FROM mirox_internal.token_usage u
WHERE u.token_id > $1 AND u.token_id <= $2 AND GREATEST(u.last_used_at, u.last_refused_at) < $3
  AND NOT EXISTS (SELECT FROM mirox_internal.token t WHERE t.token_id = u.token_id AND t.generation = u.generation);

-- name: blank_usage(after int8, until int8, before timestamptz)
UPDATE mirox_internal.token_usage SET last_ip = NULL, last_agent_id = NULL, last_place_id = NULL
WHERE token_id > $1 AND token_id <= $2 AND last_used_at < $3
  AND (last_ip IS NOT NULL OR last_agent_id IS NOT NULL OR last_place_id IS NOT NULL);

-- name: select_upkeep()
SELECT task, due, cursor FROM mirox_internal.upkeep;

-- name: put_upkeep(task text, due timestamptz, cursor int8)
INSERT INTO mirox_internal.upkeep (task, due, cursor) VALUES ($1, $2, $3)
ON CONFLICT (task) DO UPDATE SET due = excluded.due, cursor = excluded.cursor;

-- name: select_summed_before()
SELECT unit, before FROM mirox_internal.summed;

-- Unauthenticated requests of a past minute, or of a past hour of earlier days: the networks with the most requests keep their
-- rows, the rest become one row.
-- name: fold_unauthenticated(before timestamptz, since timestamptz, networks int4, node int4, unit text)
WITH ranked AS (
    SELECT s.ctid AS at, row_number() OVER (PARTITION BY date_trunc($5, s.minute, 'UTC')
                                            ORDER BY s.network IS NULL, s.requests DESC) AS n
    FROM mirox_internal.unauthenticated s WHERE s.minute >= $2 AND s.minute < $1
), gone AS (
    DELETE FROM mirox_internal.unauthenticated s USING ranked r WHERE s.ctid = r.at AND r.n > $3
    RETURNING date_trunc($5, s.minute, 'UTC') AS minute, s.status, s.reason, s.requests, s.first_at, s.last_at
)
INSERT INTO mirox_internal.unauthenticated (node, ring_id, serial, minute, status, reason, requests, first_at, last_at)
SELECT $4, 0, nextval('mirox_internal.unauthenticated_serial_seq'), g.*
FROM (SELECT minute, status, reason, sum(requests)::int8, min(first_at), max(last_at)
      FROM gone GROUP BY minute, status, reason) g;

-- name: first_network()
SELECT min(minute) FROM mirox_internal.unauthenticated WHERE network IS NOT NULL;

-- name: delete_positions(ring_ids int8[])
DELETE FROM mirox_internal.drain_position
WHERE NOT (ring_id = ANY ($1)) AND at < now() - INTERVAL '1 day'
   OR NOT EXISTS (SELECT FROM pg_database d WHERE d.oid = database);

-- name: select_unresolved(rows int4)
SELECT agent_id, agent FROM mirox_internal.agent WHERE NOT resolved LIMIT $1;

-- name: resolve_agent(agent_id int8, browser text, os text)
UPDATE mirox_internal.agent SET browser = NULLIF($2, ''), os = NULLIF($3, ''), resolved = true WHERE agent_id = $1;
