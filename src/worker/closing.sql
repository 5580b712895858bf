-- The statements of closing.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- name: begin_rows(before timestamptz)
INSERT INTO mirox_internal.usage_closing (before, upto, credential)
SELECT $1, max(open_id), -9223372036854775808 FROM mirox_internal.usage_open WHERE minute < $1
HAVING max(open_id) IS NOT NULL
ON CONFLICT DO NOTHING;

-- name: select_closing()
SELECT before, upto, credential FROM mirox_internal.usage_closing;

-- Up to where some rows' credentials reach; no row: to the end.
-- name: select_bound(before timestamptz, upto int8, credential int8, rows int4)
SELECT last_credential FROM mirox_internal.usage_open
WHERE minute < $1 AND open_id <= $2 AND last_credential > $3
ORDER BY last_credential OFFSET $4 LIMIT 1;

-- name: select_minutes(before timestamptz, upto int8)
SELECT DISTINCT minute FROM mirox_internal.usage_open WHERE minute < $1 AND open_id <= $2;

-- How far hours and days are added up, for late uses: unit, before, account.
-- name: select_summed()
SELECT unit, before, account FROM mirox_internal.summed;

-- Uses of a range of credentials. Minutes before $5 are added to no minute: their partition was dropped. Only the worker writes
-- token_usage. So existing rows are updated and the rest inserted: an INSERT ... ON CONFLICT DO UPDATE would lock each existing row
-- first, and write WAL for that. Where all rows existed, nothing is inserted and no key is looked up again.
-- name: close_rows(before timestamptz, upto int8, credential int8, bound int8, since timestamptz)
WITH slice AS MATERIALIZED (
    SELECT minute, min(first_at) AS first_at, max(last_at) AS last_at, sum(requests::int4)::int4 AS requests,
           min(account_id) AS account_id, CASE WHEN credential > 0 THEN credential END AS token_id,
           CASE WHEN credential < 0 THEN - credential END AS session_id, generation, status, agent_id, place_id, endpoint_id,
           scope_id, ip, reason, credential
    FROM (SELECT minute, first_at, last_at, requests, account_id, generation, status, agent_id, place_id, endpoint_id, scope_id,
                 ip, reason, credential
          FROM mirox_internal.open_use
          WHERE minute < $1 AND open_id <= $2 AND last_credential > $3 AND first_credential <= $4 AND credential <= $4
          OFFSET 0) o
    GROUP BY credential, minute, generation, status, agent_id, place_id, endpoint_id, scope_id, ip, reason
    ORDER BY credential, minute
), used AS (
    INSERT INTO mirox_internal.usage_minute (minute, first_at, last_at, requests, account_id, token_id, session_id, generation,
        status, agent_id, place_id, endpoint_id, scope_id, ip)
    SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip FROM slice WHERE status < 400 AND minute >= $5
), refused AS (
    INSERT INTO mirox_internal.refusal_minute (minute, first_at, last_at, requests, account_id, token_id, session_id,
        generation, status, agent_id, place_id, endpoint_id, scope_id, ip, reason)
    SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip, reason FROM slice WHERE status >= 400 AND minute >= $5
), traffic AS (
    INSERT INTO mirox_internal.traffic_hour (hour, kind, status, reason, requests)
    SELECT date_trunc('hour', minute, 'UTC'), CASE WHEN credential > 0 THEN 'token' ELSE 'session' END, status,
           COALESCE(reason, 'ok'), sum(requests)
    FROM slice GROUP BY 1, 2, 3, 4
), tokens AS MATERIALIZED (
    SELECT * FROM (
        SELECT token_id, generation, status, ip, agent_id, place_id,
               COALESCE(sum(requests) FILTER (WHERE status < 400) OVER whole, 0) AS uses,
               COALESCE(sum(requests) FILTER (WHERE status >= 400) OVER whole, 0) AS refusals,
               max(last_at) FILTER (WHERE status < 400) OVER whole AS last_used_at,
               max(last_at) FILTER (WHERE status >= 400) OVER whole AS last_refused_at,
               row_number() OVER whole AS n
        FROM slice WHERE credential > 0
        WINDOW whole AS (PARTITION BY token_id, generation ORDER BY status >= 400, last_at DESC
                         ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) t
    WHERE n = 1
), had AS (
    UPDATE mirox_internal.token_usage u
    SET uses = u.uses + n.uses, refusals = u.refusals + n.refusals,
        last_used_at = GREATEST(u.last_used_at, n.last_used_at),
        last_refused_at = GREATEST(u.last_refused_at, n.last_refused_at),
        last_ip = CASE WHEN n.last_used_at >= COALESCE(u.last_used_at, '-infinity') THEN n.ip ELSE u.last_ip END,
        last_agent_id = CASE WHEN n.last_used_at >= COALESCE(u.last_used_at, '-infinity') THEN n.agent_id ELSE u.last_agent_id END,
        last_place_id = CASE WHEN n.last_used_at >= COALESCE(u.last_used_at, '-infinity') THEN n.place_id ELSE u.last_place_id END
    FROM tokens n
    WHERE u.token_id = n.token_id AND u.generation = n.generation
    RETURNING 1
)
INSERT INTO mirox_internal.token_usage (token_id, generation, uses, refusals, last_used_at, last_refused_at, last_ip,
                                        last_agent_id, last_place_id)
SELECT token_id, generation, uses, refusals, last_used_at, last_refused_at, CASE WHEN status < 400 THEN ip END,
       CASE WHEN status < 400 THEN agent_id END, CASE WHEN status < 400 THEN place_id END
FROM tokens
WHERE (SELECT count(*) FROM had) < (SELECT count(*) FROM tokens)
ON CONFLICT (token_id, generation) DO NOTHING;

-- Late uses, whose hour is added up already, make rows of their own. $5, $6: how far hours are added up. Hours before $7 are gone.
-- name: late_hours(before timestamptz, upto int8, credential int8, bound int8, summed timestamptz, account int8, since timestamptz)
WITH late AS MATERIALIZED (
    SELECT date_trunc('hour', minute, 'UTC') AS hour, min(first_at) AS first_at, max(last_at) AS last_at,
           sum(requests)::int8 AS requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
               endpoint_id, scope_id, ip, reason
    FROM mirox_internal.open_use
    WHERE minute < $1 AND open_id <= $2 AND last_credential > $3 AND first_credential <= $4 AND credential <= $4 AND minute >= $7
      AND (minute < $5 OR (minute < $5 + INTERVAL '1 hour' AND account_id <= $6))
    GROUP BY 1, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip, reason
), refused AS (
    INSERT INTO mirox_internal.refusal_hour (hour, first_at, last_at, requests, account_id, token_id, session_id, generation,
        status, agent_id, place_id, endpoint_id, scope_id, ip, reason)
    SELECT hour, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip, reason FROM late WHERE status >= 400
)
INSERT INTO mirox_internal.usage_hour (hour, first_at, last_at, requests, account_id, token_id, session_id, generation, status,
    agent_id, place_id, endpoint_id, scope_id, ip)
SELECT hour, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id,
    scope_id, ip FROM late WHERE status < 400;

-- The same for days.
-- name: late_days(before timestamptz, upto int8, credential int8, bound int8, summed timestamptz, account int8, since timestamptz)
WITH late AS MATERIALIZED (
    SELECT timezone('UTC', minute)::date AS day, min(first_at) AS first_at, max(last_at) AS last_at,
           sum(requests)::int8 AS requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
               endpoint_id, scope_id, ip, reason
    FROM mirox_internal.open_use
    WHERE minute < $1 AND open_id <= $2 AND last_credential > $3 AND first_credential <= $4 AND credential <= $4 AND minute >= $7
      AND (minute < $5 OR (minute < $5 + INTERVAL '1 day' AND account_id <= $6))
    GROUP BY 1, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip, reason
), refused AS (
    INSERT INTO mirox_internal.refusal_day (day, first_at, last_at, requests, account_id, token_id, session_id, generation,
        status, agent_id, place_id, endpoint_id, scope_id, ip, reason)
    SELECT day, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip, reason FROM late WHERE status >= 400 AND day >= COALESCE((
        SELECT before FROM mirox_internal.usage_dropped WHERE store = 'refusal_day'), '-infinity')
), kept AS (
    INSERT INTO mirox_internal.token_day (day, first_at, last_at, requests, account_id, token_id, generation, status, endpoint_id,
                                          reason, country)
    SELECT l.day, min(l.first_at), max(l.last_at), sum(l.requests)::int8, l.account_id, l.token_id, l.generation, l.status,
           l.endpoint_id, COALESCE(l.reason, 'ok'), p.country
    FROM late l LEFT JOIN mirox_internal.used_place p ON p.place_id = l.place_id
    GROUP BY l.day, l.account_id, l.token_id, l.generation, l.status, l.endpoint_id, l.reason, p.country
), accounts AS (
    INSERT INTO mirox_internal.account_day (day, account_id, uses, refusals)
    SELECT day, account_id, COALESCE(sum(requests) FILTER (WHERE status < 400), 0)::int8,
           COALESCE(sum(requests) FILTER (WHERE status >= 400), 0)::int8
    FROM late GROUP BY day, account_id
)
INSERT INTO mirox_internal.usage_day (day, first_at, last_at, requests, account_id, token_id, session_id, generation, status,
    agent_id, place_id, endpoint_id, scope_id, ip)
SELECT day, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id,
    scope_id, ip FROM late WHERE status < 400 AND day >= COALESCE((
    SELECT before FROM mirox_internal.usage_dropped WHERE store = 'usage_day'), '-infinity');

-- name: count_late(before timestamptz, upto int8, credential int8, bound int8, since timestamptz)
SELECT COALESCE(sum(requests), 0)::int8 FROM mirox_internal.open_use
WHERE minute < $1 AND open_id <= $2 AND last_credential > $3 AND first_credential <= $4 AND credential <= $4 AND minute < $5;

-- name: advance_closing(credential int8)
UPDATE mirox_internal.usage_closing SET credential = $1;

-- name: delete_closed(before timestamptz, upto int8)
WITH gone AS (DELETE FROM mirox_internal.usage_closing)
DELETE FROM mirox_internal.usage_open WHERE minute < $1 AND open_id <= $2;
