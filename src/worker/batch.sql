-- The statements of batch.cpp, except those of callers, which are built from the list of their columns. They run as the
-- extension's owner with a search_path of pg_catalog.

-- Each row is found by its key (see plan_by_keys() in drain.hpp).
-- name: select_agents(agents text[])
SELECT g.n, a.agent_id
FROM unnest($1) WITH ORDINALITY g (agent, n)
CROSS JOIN LATERAL (
    SELECT a.agent_id FROM mirox_internal.agent a WHERE a.agent = g.agent COLLATE "C" OFFSET 0) a;

-- name: insert_agents(agents text[], keys int8[], browsers text[], systems text[], resolved boolean[])
INSERT INTO mirox_internal.agent (agent, key, browser, os, resolved)
SELECT g.agent, g.key, NULLIF(g.browser, ''), NULLIF(g.os, ''), g.resolved
FROM unnest($1, $2, $3, $4, $5) g (agent, key, browser, os, resolved)
ON CONFLICT (agent) DO NOTHING;

-- name: insert_open(minute timestamptz, first int8, last int8, callers int8[], tokens int8[], requests int4[],
--     firsts timestamptz[], lasts timestamptz[])
INSERT INTO mirox_internal.usage_open (minute, first_token, last_token, callers, tokens, requests, first_at, last_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);
