-- The statements of maintenance.cpp. They run as the extension's owner with a search_path of pg_catalog, so names of the server
-- need no schema.

-- Open uses move to closed minutes, and are added to hours, days and tokens. The view and the DELETE see the same rows, since
-- they are parts of one statement, and only the worker writes this table. Only the worker writes the other tables too. So
-- existing rows are updated and the rest inserted: an INSERT ... ON CONFLICT DO UPDATE would lock each existing row first, and
-- write WAL for that.
--
-- Each row is looked up by its own key, and by no other index (see plan_by_keys() in drain.hpp).
-- name: close_minutes(before timestamptz)
WITH gone AS (
    DELETE FROM mirox_internal.usage_open WHERE minute < $1
), minutes AS MATERIALIZED (
    SELECT * FROM mirox_internal.open_minute WHERE minute < $1
), kept AS (
    INSERT INTO mirox_internal.usage_minute (minute, caller_id, requests, first_at, last_at, token_id)
    SELECT minute, caller_id, requests, first_at, last_at, token_id FROM minutes ORDER BY first_at
), hours AS MATERIALIZED (
    SELECT date_trunc('hour', minute, 'UTC') AS hour, caller_id,
           sum(requests)::int8 AS requests, min(first_at) AS first_at, max(last_at) AS last_at
    FROM minutes GROUP BY 1, 2 ORDER BY 2, 1
), hour_had AS (
    UPDATE mirox_internal.usage_hour u
    SET requests = u.requests + g.requests, first_at = LEAST(u.first_at, g.first_at),
        last_at = GREATEST(u.last_at, g.last_at)
    FROM (SELECT n.*, h.at
          FROM hours n CROSS JOIN LATERAL (
              SELECT h.ctid AS at FROM mirox_internal.usage_hour h
              WHERE (h.caller_id, h.hour) >= (n.caller_id, n.hour) AND (h.caller_id, h.hour) <= (n.caller_id, n.hour)
              OFFSET 0) h) g
    WHERE u.ctid = g.at
), hour_new AS (
    INSERT INTO mirox_internal.usage_hour (hour, caller_id, requests, first_at, last_at)
    SELECT hour, caller_id, requests, first_at, last_at FROM hours
    ON CONFLICT (caller_id, hour) DO NOTHING
), days AS MATERIALIZED (
    SELECT timezone('UTC', minute)::date AS day, caller_id,
           sum(requests)::int8 AS requests, min(first_at) AS first_at, max(last_at) AS last_at
    FROM minutes GROUP BY 1, 2 ORDER BY 2, 1
), day_had AS (
    UPDATE mirox_internal.usage_day u
    SET requests = u.requests + g.requests, first_at = LEAST(u.first_at, g.first_at),
        last_at = GREATEST(u.last_at, g.last_at)
    FROM (SELECT n.*, h.at
          FROM days n CROSS JOIN LATERAL (
              SELECT h.ctid AS at FROM mirox_internal.usage_day h
              WHERE (h.caller_id, h.day) >= (n.caller_id, n.day) AND (h.caller_id, h.day) <= (n.caller_id, n.day)
              OFFSET 0) h) g
    WHERE u.ctid = g.at
), day_new AS (
    INSERT INTO mirox_internal.usage_day (day, caller_id, requests, first_at, last_at)
    SELECT day, caller_id, requests, first_at, last_at FROM days
    ON CONFLICT (caller_id, day) DO NOTHING
), sums AS (
    SELECT c.token_id, c.generation,
           COALESCE(sum(m.requests) FILTER (WHERE c.status < 400), 0)::int8 AS uses,
           COALESCE(sum(m.requests) FILTER (WHERE c.status >= 400), 0)::int8 AS refusals,
           max(m.last_at) FILTER (WHERE c.status < 400) AS last_used_at,
           max(m.last_at) FILTER (WHERE c.status >= 400) AS last_refused_at,
           (array_agg(m.caller_id ORDER BY m.last_at DESC) FILTER (WHERE c.status < 400))[1] AS last_caller
    FROM minutes m CROSS JOIN LATERAL (
        SELECT c.token_id, c.generation, c.status FROM mirox_internal.caller c WHERE c.caller_id = m.caller_id OFFSET 0) c
    WHERE m.token_id > 0
    GROUP BY 1, 2
), tokens AS MATERIALIZED (
    SELECT s.*, NULLIF(c.ip, '0.0.0.0/0') AS last_ip, NULLIF(c.location, '') AS last_location,
           c.browser AS last_browser, c.os AS last_os
    FROM sums s LEFT JOIN LATERAL (
        SELECT c.ip, c.location, a.browser, a.os
        FROM mirox_internal.caller c LEFT JOIN LATERAL (
            SELECT a.browser, a.os FROM mirox_internal.agent a WHERE a.agent_id = c.agent_id OFFSET 0) a ON true
        WHERE c.caller_id = s.last_caller
        OFFSET 0) c ON true
    ORDER BY s.token_id, s.generation
), token_had AS (
    UPDATE mirox_internal.token_usage u
    SET uses = u.uses + g.uses, refusals = u.refusals + g.refusals,
        last_used_at = GREATEST(u.last_used_at, g.last_used_at),
        last_refused_at = GREATEST(u.last_refused_at, g.last_refused_at),
        last_ip = CASE WHEN g.newer THEN g.last_ip ELSE u.last_ip END,
        last_location = CASE WHEN g.newer THEN g.last_location ELSE u.last_location END,
        last_browser = CASE WHEN g.newer THEN g.last_browser ELSE u.last_browser END,
        last_os = CASE WHEN g.newer THEN g.last_os ELSE u.last_os END
    FROM (SELECT n.*, h.at, n.last_used_at >= COALESCE(h.last_used_at, '-infinity') AS newer
          FROM tokens n CROSS JOIN LATERAL (
              SELECT h.ctid AS at, h.last_used_at FROM mirox_internal.token_usage h
              WHERE (h.token_id, h.generation) >= (n.token_id, n.generation)
                AND (h.token_id, h.generation) <= (n.token_id, n.generation)
              OFFSET 0) h) g
    WHERE u.ctid = g.at
)
INSERT INTO mirox_internal.token_usage (token_id, generation, uses, refusals, last_used_at, last_refused_at,
                                        last_ip, last_location, last_browser, last_os)
SELECT token_id, generation, uses, refusals, last_used_at, last_refused_at, last_ip, last_location, last_browser, last_os
FROM tokens
ON CONFLICT (token_id, generation) DO NOTHING;

-- A token may have passed several thresholds without a notice. One notice is sent, for the nearest of them; all are noted as
-- sent. A token is found by its current secret, which expires at the same time and has the index.
-- name: send_due_notices(now timestamptz, days int4[], horizon timestamptz, until timestamptz[])
WITH due AS (
    SELECT t.token_id, t.account_id, t.name, t.expires_at, d.days
    FROM mirox_internal.token_secret c
    JOIN mirox_internal.token t ON t.token_id = c.token_id AND t.generation = c.generation
    JOIN unnest($2, $4) d (days, until) ON t.expires_at <= d.until
    WHERE t.revoked_at IS NULL AND t.expires_at > $1 AND t.expires_at <= $3
      AND c.expires_at > $1 AND c.expires_at <= $3
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

-- name: step_of_callers(after int8, rows int4)
SELECT max(s.caller_id)
FROM (SELECT caller_id FROM mirox_internal.caller WHERE caller_id > $1 ORDER BY caller_id LIMIT $2) s;

-- name: select_ended(after int8, until int8, before timestamptz)
SELECT DISTINCT account_id FROM mirox_internal.session
WHERE session_id > $1 AND session_id <= $2 AND LEAST(closed_at, expires_at) < $3;

-- name: hold_account(account_id int8)
SELECT 1 FROM mirox_internal.account WHERE account_id = $1 FOR NO KEY UPDATE SKIP LOCKED;

-- name: delete_ended(after int8, until int8, before timestamptz, account_id int8)
DELETE FROM mirox_internal.session
WHERE session_id > $1 AND session_id <= $2 AND LEAST(closed_at, expires_at) < $3 AND account_id = $4;

-- Retention, some rows at a time.
-- name: delete_minutes(before timestamptz, rows int4)
DELETE FROM mirox_internal.usage_minute
WHERE ctid = ANY (ARRAY(SELECT ctid FROM mirox_internal.usage_minute WHERE first_at < $1 LIMIT $2));

-- name: delete_hours(before timestamptz, rows int4)
DELETE FROM mirox_internal.usage_hour
WHERE ctid = ANY (ARRAY(SELECT ctid FROM mirox_internal.usage_hour WHERE hour < $1 LIMIT $2));

-- name: delete_days(before timestamptz, rows int4)
DELETE FROM mirox_internal.usage_day
WHERE ctid = ANY (ARRAY(SELECT ctid FROM mirox_internal.usage_day WHERE day < $1 LIMIT $2));

-- name: delete_unauthenticated(before timestamptz, rows int4)
DELETE FROM mirox_internal.unauthenticated
WHERE ctid = ANY (ARRAY(SELECT ctid FROM mirox_internal.unauthenticated WHERE minute < $1 LIMIT $2));

-- name: delete_audit(before timestamptz, rows int4)
DELETE FROM mirox_internal.audit_log
WHERE ctid = ANY (ARRAY(SELECT ctid FROM mirox_internal.audit_log WHERE at < $1 LIMIT $2));

-- Usage of tokens that no longer exist and of earlier generations. Usage of the current generation is kept, however old.
-- name: delete_usage(after int8, until int8, before timestamptz)
DELETE FROM mirox_internal.token_usage u
WHERE u.token_id > $1 AND u.token_id <= $2 AND GREATEST(u.last_used_at, u.last_refused_at) < $3
  AND NOT EXISTS (SELECT FROM mirox_internal.token t WHERE t.token_id = u.token_id AND t.generation = u.generation);

-- Callers without any kept use. Each closed use has a row in usage_day, so minutes and hours must not be kept longer than days.
-- name: select_unused(after int8, until int8)
SELECT caller_id FROM mirox_internal.caller c
WHERE c.caller_id > $1 AND c.caller_id <= $2
  AND NOT EXISTS (SELECT FROM mirox_internal.usage_day u WHERE u.caller_id = c.caller_id);

-- name: delete_callers(callers int8[])
DELETE FROM mirox_internal.caller
WHERE caller_id = ANY (ARRAY(SELECT unnest($1) EXCEPT SELECT u.caller_id FROM mirox_internal.open_use u));

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

-- name: delete_positions(ring_ids int8[])
DELETE FROM mirox_internal.drain_position
WHERE NOT (ring_id = ANY ($1)) AND at < now() - INTERVAL '1 day'
   OR NOT EXISTS (SELECT FROM pg_database d WHERE d.oid = database);

-- name: select_unresolved(rows int4)
SELECT agent_id, agent FROM mirox_internal.agent WHERE NOT resolved LIMIT $1;

-- name: resolve_agent(agent_id int8, browser text, os text)
UPDATE mirox_internal.agent SET browser = NULLIF($2, ''), os = NULLIF($3, ''), resolved = true WHERE agent_id = $1;
