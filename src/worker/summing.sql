-- The statements of summing.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- name: select_units()
SELECT unit, before, account FROM mirox_internal.usage_summed;

-- The first closed use at or after an instant; NULL: none.
-- name: first_minute(since timestamptz)
SELECT LEAST((SELECT min(first_at) FROM mirox_internal.usage_minute WHERE first_at >= $1),
             (SELECT min(first_at) FROM mirox_internal.refusal_minute WHERE first_at >= $1));

-- name: first_hour(since timestamptz)
SELECT LEAST((SELECT min(hour) FROM mirox_internal.usage_hour WHERE hour >= $1),
             (SELECT min(hour) FROM mirox_internal.refusal_hour WHERE hour >= $1));

-- The first minute that is still open; NULL: none.
-- name: first_open()
SELECT min(minute) FROM mirox_internal.usage_open;

-- name: put_summed(unit text, before timestamptz, account int8)
INSERT INTO mirox_internal.usage_summed (unit, before, account) VALUES ($1, $2, $3)
ON CONFLICT (unit) DO UPDATE SET before = excluded.before, account = excluded.account;

-- Up to which account some rows reach; NULL: to the end.
-- name: minute_bound(from timestamptz, to timestamptz, account int8, rows int4)
SELECT LEAST((SELECT account_id FROM mirox_internal.usage_minute
              WHERE account_id > $3 AND first_at >= $1 AND first_at < $2 ORDER BY account_id OFFSET $4 LIMIT 1),
             (SELECT account_id FROM mirox_internal.refusal_minute
              WHERE account_id > $3 AND first_at >= $1 AND first_at < $2 ORDER BY account_id OFFSET $4 LIMIT 1));

-- name: hour_bound(from timestamptz, to timestamptz, account int8, rows int4)
SELECT LEAST((SELECT account_id FROM mirox_internal.usage_hour
              WHERE account_id > $3 AND hour >= $1 AND hour < $2 ORDER BY account_id OFFSET $4 LIMIT 1),
             (SELECT account_id FROM mirox_internal.refusal_hour
              WHERE account_id > $3 AND hour >= $1 AND hour < $2 ORDER BY account_id OFFSET $4 LIMIT 1));

-- Accounts beyond $3 up to $4.
-- name: sum_hour(from timestamptz, to timestamptz, account int8, bound int8)
WITH refused AS (
    INSERT INTO mirox_internal.refusal_hour (hour, first_at, last_at, requests, account_id, token_id, session_id, generation,
        status, agent_id, place_id, endpoint_id, scope_id, ip, reason)
    SELECT $1, min(first_at), max(last_at), sum(requests::int4), account_id, token_id, session_id, generation, status, agent_id,
        place_id, endpoint_id, scope_id, ip, reason
    FROM mirox_internal.refusal_minute
    WHERE first_at >= $1 AND first_at < $2 AND account_id > $3 AND account_id <= $4
    GROUP BY account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip, reason ORDER
        BY account_id, token_id
)
INSERT INTO mirox_internal.usage_hour (hour, first_at, last_at, requests, account_id, token_id, session_id, generation, status,
    agent_id, place_id, endpoint_id, scope_id, ip)
SELECT $1, min(first_at), max(last_at), sum(requests::int4), account_id, token_id, session_id, generation, status, agent_id,
    place_id, endpoint_id, scope_id, ip
FROM mirox_internal.usage_minute
WHERE first_at >= $1 AND first_at < $2 AND account_id > $3 AND account_id <= $4
GROUP BY account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip ORDER BY
    account_id, token_id;

-- name: sum_day(from timestamptz, to timestamptz, account int8, bound int8)
WITH used AS MATERIALIZED (
    SELECT timezone('UTC', $1)::date AS day, min(first_at) AS first_at, max(last_at) AS last_at, sum(requests)::int8 AS
        requests, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip
    FROM mirox_internal.usage_hour
    WHERE hour >= $1 AND hour < $2 AND account_id > $3 AND account_id <= $4
    GROUP BY account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip ORDER BY
        account_id, token_id
), refused AS MATERIALIZED (
    SELECT timezone('UTC', $1)::date AS day, min(first_at) AS first_at, max(last_at) AS last_at, sum(requests)::int8 AS
        requests, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip, reason
    FROM mirox_internal.refusal_hour
    WHERE hour >= $1 AND hour < $2 AND account_id > $3 AND account_id <= $4
    GROUP BY account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip, reason ORDER
        BY account_id, token_id
), use_days AS (
    INSERT INTO mirox_internal.usage_day (day, first_at, last_at, requests, account_id, token_id, session_id, generation,
        status, agent_id, place_id, endpoint_id, scope_id, ip)
    SELECT day, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip FROM used
), refusal_days AS (
    INSERT INTO mirox_internal.refusal_day (day, first_at, last_at, requests, account_id, token_id, session_id, generation,
        status, agent_id, place_id, endpoint_id, scope_id, ip, reason)
    SELECT day, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip, reason FROM refused
), both_kinds AS MATERIALIZED (
    SELECT day, first_at, last_at, requests, account_id, token_id, generation, status, endpoint_id, place_id, 'ok' COLLATE "C"
        AS reason
    FROM used
    UNION ALL
    SELECT day, first_at, last_at, requests, account_id, token_id, generation, status, endpoint_id, place_id, reason FROM refused
), token_days AS (
    INSERT INTO mirox_internal.token_day (day, first_at, last_at, requests, account_id, token_id, generation, status, endpoint_id,
                                          reason, country)
    SELECT l.day, min(l.first_at), max(l.last_at), sum(l.requests)::int8, l.account_id, l.token_id, l.generation, l.status,
           l.endpoint_id, l.reason, p.country
    FROM both_kinds l LEFT JOIN mirox_internal.used_place p ON p.place_id = l.place_id
    GROUP BY l.day, l.account_id, l.token_id, l.generation, l.status, l.endpoint_id, l.reason, p.country
)
INSERT INTO mirox_internal.account_day (day, account_id, uses, refusals)
SELECT day, account_id, COALESCE(sum(requests) FILTER (WHERE status < 400), 0)::int8,
       COALESCE(sum(requests) FILTER (WHERE status >= 400), 0)::int8
FROM both_kinds GROUP BY day, account_id ORDER BY account_id;

-- name: fold_traffic(hour timestamptz)
WITH gone AS (
    DELETE FROM mirox_internal.traffic_hour WHERE hour = $1 RETURNING hour, kind, status, reason, requests
)
INSERT INTO mirox_internal.traffic_hour (hour, kind, status, reason, requests)
SELECT hour, kind, status, reason, sum(requests)::int8 FROM gone GROUP BY hour, kind, status, reason;
