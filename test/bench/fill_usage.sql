-- Fills the store by time with made-up use of past days, for benchmarks and tests of pages read. Called by psql as a superuser, with
-- variables: rows (minute rows in all), days (before today, in UTC), tokens, accounts, addresses, acts (rows of the audit log).
-- Each parent must have a partition already, which is the pattern of the others: so indexes are those that the worker makes.
\set ON_ERROR_STOP 1
SET timezone = 'UTC';
SET client_min_messages = warning;
SET synchronous_commit = off;
SET work_mem = '256MB';
SET maintenance_work_mem = '256MB';
SELECT setseed(0.5) IS NULL AS seeded \gset

-- ---- partitions ----------------------------------------------------------------------------------------------------------
-- As wide as the worker's: a day, a month, a year.
SELECT format('CREATE TABLE %1$s (LIKE %2$s INCLUDING ALL); ALTER TABLE %3$s ATTACH PARTITION %1$s FOR VALUES FROM (%4$L) TO (%5$L);',
              'mirox_internal.' || quote_ident(p.parent || '_' || to_char(d.from_at, 'YYYYMMDD') || '_filled'), t.pattern, t.of, d.from_at, d.to_at)
FROM (VALUES ('usage_minute', 'day'), ('refusal_minute', 'day'), ('usage_hour', 'month'), ('refusal_hour', 'month'), ('usage_day', 'year'),
             ('refusal_day', 'year'), ('token_day', 'year'), ('account_day', 'year')) p (parent, width)
CROSS JOIN LATERAL (SELECT ('mirox_internal.' || p.parent)::regclass AS of,
                           (SELECT min(inhrelid)::regclass FROM pg_inherits WHERE inhparent = ('mirox_internal.' || p.parent)::regclass) AS pattern) t
CROSS JOIN LATERAL (
    SELECT DISTINCT date_trunc(p.width, day) AS from_at, date_trunc(p.width, day) + ('1 ' || p.width)::interval AS to_at
    FROM generate_series(date_trunc('day', now()) - :days * INTERVAL '1 day', date_trunc('day', now()) - INTERVAL '1 day', '1 day') day) d
WHERE NOT EXISTS (
    SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') b
    WHERE i.inhparent = t.of AND b[1]::timestamptz < d.to_at AND b[2]::timestamptz > d.from_at)
ORDER BY 1 \gexec

-- ---- names -----------------------------------------------------------------------------------------------------------------
INSERT INTO mirox_internal.account_name SELECT 1000000000 + i, 'filled-' || i FROM generate_series(1, :accounts) i;
INSERT INTO mirox_internal.agent (agent, key, browser, os, resolved, seen_on)
SELECT 'filled/' || i, -i, 'Browser ' || i % 20, 'System ' || i % 5, true, current_date FROM generate_series(1, 500) i;
INSERT INTO mirox_internal.used_place (key, location, country, region, city, latitude, longitude)
SELECT 'filled ' || i, 'City ' || i, (ARRAY['DE', 'FR', 'GB', 'US', 'NL'])[1 + i % 5], 'Region ' || i % 50, 'City ' || i, i % 90, i % 180
FROM generate_series(1, 1000) i;
INSERT INTO mirox_internal.used_endpoint (method, endpoint) SELECT 'GET', 'GET /parks/' || i FROM generate_series(1, 100) i;
INSERT INTO mirox_internal.used_scope (scope) SELECT 'filled:' || i FROM generate_series(1, 50) i;
SELECT min(agent_id) AS agent FROM mirox_internal.agent WHERE agent LIKE 'filled/%' \gset
SELECT min(place_id) AS place FROM mirox_internal.used_place WHERE key LIKE 'filled %' \gset
SELECT min(endpoint_id) AS endpoint FROM mirox_internal.used_endpoint WHERE endpoint LIKE 'GET /parks/%' \gset
SELECT min(scope_id) AS scope FROM mirox_internal.used_scope WHERE scope LIKE 'filled:%' \gset

-- ---- minutes, a day at a time: nine of ten admitted, one of twenty a session's ------------------------------------------------
SELECT format($$
CREATE TEMP TABLE raw AS
SELECT at, 1 + (random() * %2$s)::bigint %% %2$s AS token, random() AS luck, '10.0.0.0'::inet + (random() * %3$s)::bigint AS ip,
       %5$s + (random() * 499)::int AS agent_id, %6$s + (random() * 999)::int AS place_id, %7$s + (random() * 99)::int AS endpoint_id,
       %8$s + (random() * 49)::int AS scope_id
FROM (SELECT %1$L::timestamptz + i * (INTERVAL '24 hours' / %9$s) AS at FROM generate_series(0, %9$s - 1) i) t;
INSERT INTO mirox_internal.usage_minute
    (minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip)
SELECT date_trunc('minute', at), at, at, 1 + (luck * 5)::int, 1000000000 + 1 + token %% %4$s,
       CASE WHEN luck > 0.05 THEN 1000000000 + token END, CASE WHEN luck <= 0.05 THEN 1000000000 + token END, 1, 200, agent_id, place_id, endpoint_id, scope_id, ip
FROM raw WHERE luck < 0.9 ORDER BY at;
INSERT INTO mirox_internal.refusal_minute
    (minute, first_at, last_at, requests, account_id, token_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip, reason)
SELECT date_trunc('minute', at), at, at, 1, 1000000000 + 1 + token %% %4$s, 1000000000 + token, 1, 403, agent_id, place_id, endpoint_id, scope_id, ip,
       (ARRAY['insufficient_scope', 'rate_limited', 'expired'])[1 + token %% 3]
FROM raw WHERE luck >= 0.9 ORDER BY at;
DROP TABLE raw;$$, day, :tokens, :addresses, :accounts, :agent, :place, :endpoint, :scope, :rows / :days)
FROM generate_series(date_trunc('day', now()) - :days * INTERVAL '1 day', date_trunc('day', now()) - INTERVAL '1 day', '1 day') day \gexec

-- ---- hours, days and sums, as the worker adds them up --------------------------------------------------------------------------
SELECT format($$
INSERT INTO mirox_internal.%1$s_hour (hour, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
    endpoint_id, scope_id, ip%4$s)
SELECT date_trunc('hour', minute), min(first_at), max(last_at), sum(requests), account_id, token_id, session_id, generation, status, agent_id, place_id,
    endpoint_id, scope_id, ip%4$s
FROM mirox_internal.%1$s_minute WHERE first_at >= %2$L AND first_at < %3$L AND account_id >= 1000000000
GROUP BY 1, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip%4$s ORDER BY 1, account_id;
INSERT INTO mirox_internal.%1$s_day (day, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
    endpoint_id, scope_id, ip%4$s)
SELECT %2$L::timestamptz::date, min(first_at), max(last_at), sum(requests), account_id, token_id, session_id, generation, status, agent_id, place_id,
    endpoint_id, scope_id, ip%4$s
FROM mirox_internal.%1$s_hour WHERE hour >= %2$L AND hour < %3$L AND account_id >= 1000000000
GROUP BY account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip%4$s ORDER BY account_id;
INSERT INTO mirox_internal.traffic_hour (hour, kind, status, reason, requests)
SELECT hour, CASE WHEN token_id IS NULL THEN 'session' ELSE 'token' END, status, %5$s, sum(requests)
FROM mirox_internal.%1$s_hour WHERE hour >= %2$L AND hour < %3$L AND account_id >= 1000000000 GROUP BY 1, 2, 3, 4;$$,
    v.store, day, day + INTERVAL '1 day', v.reason, v.reason_of)
FROM generate_series(date_trunc('day', now()) - :days * INTERVAL '1 day', date_trunc('day', now()) - INTERVAL '1 day', '1 day') day,
     (VALUES ('usage', '', '''ok'''), ('refusal', ', reason', 'reason')) v (store, reason, reason_of) \gexec
INSERT INTO mirox_internal.account_day (day, account_id, uses, refusals)
SELECT day, account_id, sum(uses), sum(refusals)
FROM (SELECT day, account_id, requests AS uses, 0 AS refusals FROM mirox_internal.usage_day WHERE account_id >= 1000000000
      UNION ALL SELECT day, account_id, 0, requests FROM mirox_internal.refusal_day WHERE account_id >= 1000000000) d
GROUP BY day, account_id ORDER BY day, account_id;

-- ---- acts ------------------------------------------------------------------------------------------------------------------
INSERT INTO mirox_internal.audit_log (node, audit_id, at, event, account_id, user_id, token_id, session_id, ip)
SELECT 1000, i, now() - (:acts - i) * (:days * INTERVAL '24 hours' / :acts), (ARRAY['token_issued', 'token_revoked', 'session_opened'])[1 + i % 3],
       1000000000 + 1 + i % :accounts, 'filled-' || 1 + i % :accounts, CASE WHEN i % 3 < 2 THEN 1000000000 + 1 + i % :tokens END, 1000000000 + i,
       '10.0.0.0'::inet + i % :addresses
FROM generate_series(1, :acts) i;
VACUUM (ANALYZE);
