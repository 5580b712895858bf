-- The statements of usage.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- name: select_generation(token_id int8, account_id int8)
SELECT generation FROM mirox_internal.token WHERE token_id = $1 AND account_id = $2;

-- Rows of the tables, and events that still wait in shared memory, grouped alike.
-- name: select_history(token_id int8, generation int4, since timestamptz)
SELECT min(x.first_at), max(x.last_at), x.status::int4, x.reason, sum(x.requests)::int8, x.ip, max(x.location),
       max(x.browser), max(x.os), x.user_agent, x.scope
FROM (SELECT u.minute, u.first_at, u.last_at, u.requests,
             c.status, c.reason, c.ip, c.location, c.browser, c.os, c.user_agent, c.scope
      FROM (SELECT minute, caller_id, requests, first_at, last_at
            FROM mirox_internal.usage_minute
            WHERE token_id = $1
            UNION ALL
            SELECT minute, caller_id, requests, first_at, last_at
            FROM mirox_internal.open_use
            WHERE first_token <= $1 AND last_token >= $1 AND token_id = $1) u
      JOIN mirox_internal.caller_shown c ON c.caller_id = u.caller_id
      WHERE c.generation = $2
      UNION ALL
      SELECT date_trunc('minute', w.at, 'UTC'), w.at, w.at, 1,
             w.status, w.reason, w.ip, NULL, g.browser, g.os, w.user_agent, w.scope
      FROM mirox_internal.waiting_uses((SELECT d."position" FROM mirox_internal.drained d), $1, $2) w
      LEFT JOIN mirox_internal.agent g ON g.agent = w.user_agent COLLATE "C") x
WHERE $3 IS NULL OR x.last_at >= $3
GROUP BY x.minute, x.status, x.reason, x.ip, x.user_agent, x.scope
ORDER BY 2 DESC, 1 DESC;
