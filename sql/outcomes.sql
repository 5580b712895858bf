-- The platform's outcomes, by table: each state of a token, for each built-in group, at each kind of endpoint. What is
-- expected is written down here: who may go where, and what each state means.
\set VERBOSITY terse
SELECT mirox.put_endpoint(method, path, scope) FROM (VALUES
    ('GET', '/outcomes/parks/*', 'parks:read'),
    ('POST', '/outcomes/reports', 'reports:generate'),
    ('GET', '/outcomes/export/**', 'exports:read'),
    ('POST', '/outcomes/query', 'timeseries:query'),
    ('GET', '/outcomes/users', 'users:read')) AS e (method, path, scope);

CREATE TEMP TABLE endpoints (endpoint, method, path, scope) AS VALUES
    ('park', 'GET', '/outcomes/parks/berlin', 'parks:read'),
    ('report', 'POST', '/outcomes/reports', 'reports:generate'),
    ('export', 'GET', '/outcomes/export/metrics/2026.csv', 'exports:read'),
    ('query', 'POST', '/outcomes/query', 'timeseries:query'),
    ('users', 'GET', '/outcomes/users', 'users:read'),        -- which the owner does not have
    ('unnamed', 'GET', '/outcomes/nothing/of/the/kind', '*'); -- which no rule names

-- Where a token in force may go.
CREATE TEMP TABLE allowed (permission_group, endpoint) AS VALUES
    ('full_access', 'park'), ('full_access', 'report'), ('full_access', 'export'), ('full_access', 'query'),
    ('reporting', 'report'), ('reporting', 'export'),
    ('timeseries', 'query');
CREATE TEMP TABLE states (state, refused) AS VALUES
    ('fresh', NULL), ('expired', 'expired'), ('revoked', 'revoked'), ('rotated', 'rotated'), ('locked', 'locked'),
    ('deleted', 'unknown'), ('narrowed', NULL);

-- An owner a state, a token a group.
SELECT count(mirox.put_account('outcomes-' || state, '{parks,reports,exports,timeseries}', 100000, 1000)) FROM states;
CREATE TEMP TABLE sessions AS SELECT state, mirox.open_session('outcomes-' || state) AS session FROM states;
CREATE TEMP TABLE tokens AS
    SELECT s.state, t.* FROM sessions s, unnest('{full_access,reporting,timeseries}'::text[]) AS g,
        mirox.issue_token(s.session, s.state || ' ' || g, g,
                          expires_in => CASE WHEN s.state = 'expired' THEN interval '0.2 seconds' END) AS t;
SELECT pg_sleep(0.3);
SELECT count(mirox.revoke_token(s.session, t.token_id)) FROM tokens t JOIN sessions s USING (state) WHERE state = 'revoked';
SELECT count(mirox.rotate_token(s.session, t.token_id)) FROM tokens t JOIN sessions s USING (state) WHERE state = 'rotated';
SELECT mirox.lock_account('outcomes-locked') IS NOT NULL AS locked;
SELECT mirox.delete_account('outcomes-deleted');
SELECT mirox.put_account('outcomes-narrowed', '{parks}', 100000, 1000);

CREATE TEMP TABLE expected AS
    SELECT s.state, g AS permission_group, e.endpoint, e.method, e.path, e.scope,
        CASE WHEN s.refused IS NOT NULL THEN 401 WHEN may THEN 200 ELSE 403 END AS status,
        CASE WHEN s.refused IS NOT NULL THEN s.refused WHEN may THEN 'ok' ELSE 'insufficient_scope' END AS reason,
        CASE WHEN s.refused IS NOT NULL THEN 'Bearer realm="mirox", error="invalid_token"'
             WHEN NOT may THEN 'Bearer realm="mirox", error="insufficient_scope", scope="' || e.scope || '"' END AS www_authenticate
    FROM states s, unnest('{full_access,reporting,timeseries}'::text[]) AS g, endpoints e,
        LATERAL (SELECT EXISTS (SELECT FROM allowed a WHERE a.permission_group = g AND a.endpoint = e.endpoint)
                        AND (s.state <> 'narrowed' OR e.endpoint = 'park') AS may) m;
CREATE TEMP TABLE actual AS
    SELECT x.state, x.permission_group, x.endpoint, v.*
    FROM expected x JOIN tokens t USING (state, permission_group),
        LATERAL mirox.check_request('Bearer ' || t.secret, x.method, x.path, '192.0.2.1', 'outcomes') AS v
        (status, reason, token_id, user_id, grp, permissions, expires_at, retry_after_ms, www_authenticate, retry_after,
         ratelimit_limit, ratelimit_remaining, ratelimit_reset, required_scope, ratelimit_policy, ratelimit, plain, rule);

SELECT count(*), count(DISTINCT (state, permission_group, endpoint)) AS cases FROM actual;
-- None of these may have a row.
SELECT x.state, x.permission_group, x.endpoint, x.status, a.status AS was, x.reason, a.reason AS was, a.www_authenticate
FROM expected x JOIN actual a USING (state, permission_group, endpoint)
WHERE (x.status, x.reason, x.www_authenticate) IS DISTINCT FROM (a.status, a.reason, a.www_authenticate);
SELECT * FROM actual WHERE status = 401 AND num_nonnulls(token_id, user_id, grp, permissions, expires_at, retry_after_ms,
    retry_after, ratelimit_limit, ratelimit_remaining, ratelimit_reset, required_scope, ratelimit_policy, ratelimit, plain, rule) > 0;
SELECT a.* FROM actual a JOIN tokens t USING (state, permission_group) WHERE a.status <> 401 AND
    (a.token_id IS DISTINCT FROM t.token_id OR user_id IS DISTINCT FROM 'outcomes-' || state OR grp <> permission_group
     OR a.expires_at IS DISTINCT FROM t.expires_at OR ratelimit_limit IS DISTINCT FROM 1000
     OR ratelimit_remaining NOT BETWEEN 900 AND 999 OR ratelimit_reset IS DISTINCT FROM 1
     OR ratelimit_policy IS DISTINCT FROM '"account";q=1000;w=1' OR plain IS NULL
     OR retry_after IS NOT NULL OR retry_after_ms IS NOT NULL
     OR required_scope IS DISTINCT FROM (SELECT scope FROM endpoints e WHERE e.endpoint = a.endpoint));

-- A client can tell no two of the refused states apart.
SELECT DISTINCT status, www_authenticate FROM actual WHERE state IN ('expired', 'revoked', 'rotated', 'locked', 'deleted');
SELECT state, permission_group, status, string_agg(endpoint, ' ' ORDER BY endpoint) FROM actual WHERE status <> 401
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- What is effective, by group; after the owner's permissions were taken away.
SELECT DISTINCT state, permission_group, permissions::text FROM actual WHERE status <> 401 ORDER BY 1, 2;

-- verify_token and verify_digest say the same.
SELECT count(*) AS differing FROM actual a JOIN tokens t USING (state, permission_group) JOIN endpoints e USING (endpoint),
    LATERAL mirox.verify_token(t.secret, '192.0.2.1', 'outcomes', e.scope) AS v,
    LATERAL mirox.verify_digest(sha256(convert_to(t.secret, 'UTF8')), '192.0.2.1', 'outcomes', e.scope) AS d
WHERE (a.status, a.reason, a.token_id) IS DISTINCT FROM (v.status, v.reason, v.token_id)
    OR (v.status, v.reason, v.token_id, v.permissions::text) IS DISTINCT FROM (d.status, d.reason, d.token_id, d.permissions::text);

-- explain_check says it too, with what the client is not told.
SELECT DISTINCT t.state, v.status, v.reason, v.user_id, v.required_scope, v.token_id = t.token_id AS is_it
FROM tokens t, mirox.explain_check(t.secret, 'GET', '/outcomes/parks/berlin') AS v
WHERE t.permission_group = 'full_access' ORDER BY 1;
