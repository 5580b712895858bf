-- The statements of batch.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- Each row is found by its key (see plan_by_keys() in drain.hpp).
-- name: select_agents(agents text[])
SELECT g.n, a.agent_id
FROM unnest($1) WITH ORDINALITY g (agent, n)
CROSS JOIN LATERAL (
    SELECT a.agent_id FROM mirox_internal.agent a WHERE a.agent = g.agent COLLATE "C" OFFSET 0) a;

-- name: insert_agents(agents text[], keys int8[], browsers text[], systems text[], resolved boolean[])
INSERT INTO mirox_internal.agent (agent, key, browser, os, resolved, seen_on)
SELECT g.agent, g.key, g.browser, g.os, g.resolved, timezone('UTC', now())::date
FROM unnest($1, $2, $3, $4, $5) g (agent, key, browser, os, resolved)
ON CONFLICT (agent) DO NOTHING;

-- name: touch_agents(ids int4[])
UPDATE mirox_internal.agent SET seen_on = timezone('UTC', now())::date
WHERE agent_id = ANY ($1) AND seen_on < timezone('UTC', now())::date;

-- name: select_scopes(scopes text[])
SELECT g.n, s.scope_id
FROM unnest($1) WITH ORDINALITY g (scope, n)
CROSS JOIN LATERAL (
    SELECT s.scope_id FROM mirox_internal.used_scope s WHERE s.scope = g.scope COLLATE "C" OFFSET 0) s;

-- name: insert_scopes(scopes text[])
INSERT INTO mirox_internal.used_scope (scope) SELECT g.scope FROM unnest($1) g (scope) ON CONFLICT (scope) DO NOTHING;

-- name: select_endpoints(methods text[], endpoints text[])
SELECT g.n, e.endpoint_id
FROM unnest($1, $2) WITH ORDINALITY g (method, endpoint, n)
CROSS JOIN LATERAL (
    SELECT e.endpoint_id FROM mirox_internal.used_endpoint e
    WHERE e.method = g.method COLLATE "C" AND e.endpoint = g.endpoint COLLATE "C" OFFSET 0) e;

-- name: insert_endpoints(methods text[], endpoints text[])
INSERT INTO mirox_internal.used_endpoint (method, endpoint) SELECT g.method, g.endpoint FROM unnest($1, $2) g (method, endpoint)
ON CONFLICT (method, endpoint) DO NOTHING;

-- name: insert_open(minute timestamptz, first int8, last int8, credentials int8[], accounts int8[], generations int4[], ips inet[],
--     statuses int4[], reasons text[], agents int4[], places int4[], endpoints int4[], scopes int4[], requests int4[],
--     firsts timestamptz[], lasts timestamptz[])
INSERT INTO mirox_internal.usage_open (minute, first_credential, last_credential, credentials, accounts, generations, ips, statuses,
                                       reasons, agents, places, endpoints, scopes, requests, first_at, last_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);
