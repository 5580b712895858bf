-- The statements of usage.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- The last rotation ended the uses of the secret before; what that secret does since is shown.
-- name: select_generation(token_id int8, account_id int8)
SELECT generation, rotated_at FROM mirox_internal.token WHERE token_id = $1 AND account_id = $2;

-- Rows of the tables, and events that still wait in shared memory, grouped alike: the newest, by an index. A minute has one row for each
-- caller, or more where a use came late, so each table is read back to the start of the minute in which its newest rows end.
-- name: select_history(token_id int8, generation int4, rotated_at timestamptz, since timestamptz, max_rows int8)
WITH position AS MATERIALIZED (SELECT d."position" FROM mirox_internal.drained d),
facts AS (
    SELECT minute, first_at, last_at, requests, status, 'ok' COLLATE "C" AS reason, ip, generation, agent_id, place_id, endpoint_id, scope_id
    FROM mirox_internal.usage_minute
    WHERE token_id = $1 AND first_at >= GREATEST(
        date_trunc('minute', $4, 'UTC'),
        date_trunc('minute', CASE WHEN $5 > 0 THEN (SELECT first_at FROM mirox_internal.usage_minute WHERE token_id = $1
                                                 ORDER BY first_at DESC OFFSET $5 - 1 LIMIT 1) END, 'UTC'), '-infinity')
    UNION ALL
    SELECT minute, first_at, last_at, requests, status, reason, ip, generation, agent_id, place_id, endpoint_id, scope_id
    FROM mirox_internal.refusal_minute
    WHERE token_id = $1 AND first_at >= GREATEST(
        date_trunc('minute', $4, 'UTC'),
        date_trunc('minute', CASE WHEN $5 > 0 THEN (SELECT first_at FROM mirox_internal.refusal_minute WHERE token_id = $1
                                                 ORDER BY first_at DESC OFFSET $5 - 1 LIMIT 1) END, 'UTC'), '-infinity')
    UNION ALL
    SELECT minute, first_at, last_at, requests, status, COALESCE(reason, 'ok'), ip, generation, agent_id, place_id, endpoint_id, scope_id
    FROM mirox_internal.open_use WHERE first_credential <= $1 AND last_credential >= $1 AND credential = $1
)
SELECT min(x.first_at), max(x.last_at), x.status::int4, x.reason, sum(x.requests)::int8, x.ip, max(x.location), max(x.browser),
       max(x.os), x.user_agent, x.scope, x.generation, x.method, x.endpoint, max(x.country), max(x.region), max(x.city),
       max(x.latitude), max(x.longitude)
FROM (SELECT u.minute, u.first_at, u.last_at, u.requests, u.status, u.reason, u.ip, u.generation, p.location, g.browser, g.os,
             g.agent AS user_agent, s.scope, NULLIF(e.method, '') AS method, NULLIF(e.endpoint, '') AS endpoint, p.country, p.region,
             p.city, p.latitude, p.longitude
      FROM facts u
      LEFT JOIN mirox_internal.agent g ON g.agent_id = u.agent_id
      LEFT JOIN mirox_internal.used_place p ON p.place_id = u.place_id
      LEFT JOIN mirox_internal.used_endpoint e ON e.endpoint_id = u.endpoint_id
      LEFT JOIN mirox_internal.used_scope s ON s.scope_id = u.scope_id
      UNION ALL
      SELECT date_trunc('minute', w.at, 'UTC'), w.at, w.at, 1, w.status, w.reason, w.ip, n.generation, NULL, g.browser, g.os,
             w.user_agent, w.scope, w.method, w.endpoint, NULL, NULL, NULL, NULL, NULL
      FROM (VALUES ($2), ($2 - 1)) n (generation)
      CROSS JOIN LATERAL mirox_internal.waiting_uses((SELECT "position" FROM position), $1, n.generation) w
      LEFT JOIN mirox_internal.agent g ON g.agent = w.user_agent COLLATE "C") x
WHERE (x.generation = $2 OR x.generation = $2 - 1 AND x.last_at >= $3) AND ($4 IS NULL OR x.last_at >= $4)
GROUP BY x.minute, x.status, x.reason, x.ip, x.user_agent, x.scope, x.generation, x.method, x.endpoint
ORDER BY 2 DESC, 1 DESC
LIMIT $5;
