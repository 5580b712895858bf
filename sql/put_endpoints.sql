-- The whole set of endpoint rules in one act, from a list and from an OpenAPI document.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SELECT added FROM mirox.put_endpoints('[]');
SELECT max(audit_id) AS start FROM mirox_internal.audit_log \gset
CREATE VIEW pg_temp.rules AS SELECT method, path, scope, public FROM mirox_internal.endpoint ORDER BY path, method;

-- ---- a list
SELECT mirox.put_endpoint('GET', '/p/old', 'parks'), mirox.put_endpoint('GET', '/p/same', 'parks:read');
SELECT * FROM mirox.put_endpoints('[{"method": "get", "path": "/p/same/", "scope": "parks:read"}, {"method": "*", "path": "/p/**", "scope": null},
    {"method": "GET", "path": "/p/up", "public": true}, {"method": "GET", "path": "/p/up", "public": true, "scope": null}]');
SELECT * FROM pg_temp.rules;
SELECT status, reason FROM mirox.check_request(NULL, 'GET', '/p/up');
-- One audit row, with what has changed; each rule carries its key. The same set again writes nothing.
SELECT event, jsonb_pretty(detail) FROM mirox_internal.audit_log WHERE audit_id > :start AND event = 'endpoints_replaced';
SELECT count(*) FROM mirox_internal.audit_log WHERE audit_id > :start;
SELECT path, a.event FROM mirox_internal.endpoint e JOIN mirox_internal.audit_log a ON (a.node, a.audit_id) = (e.audit_node, e.audit_id) ORDER BY path;
SELECT * FROM mirox.put_endpoints('[{"method": "*", "path": "/p/**", "scope": null}, {"method": "GET", "path": "/p/same", "scope": "parks:read", "public": false},
    {"method": "GET", "path": "/p/up", "public": true}]');
SELECT * FROM mirox.put_endpoints('[{"method": "*", "path": "/p/**", "scope": "parks"}, {"method": "GET", "path": "/p/same", "public": true},
    {"method": "GET", "path": "/p/up", "scope": null}]');
SELECT * FROM pg_temp.rules;
SELECT detail -> 'rules' -> 0 AS first FROM mirox_internal.audit_log WHERE audit_id > :start AND event = 'endpoints_replaced' ORDER BY audit_id DESC LIMIT 1;
-- Single acts after it are audited as ever.
SELECT mirox.put_endpoint('GET', '/p/same', 'parks');
SELECT event FROM mirox_internal.audit_log WHERE audit_id > :start ORDER BY audit_id DESC LIMIT 1;
BEGIN;
SELECT * FROM mirox.put_endpoints('[]');
SELECT count(*) FROM pg_temp.rules;
ROLLBACK;

-- ---- what is refused, and why
CREATE FUNCTION pg_temp.refusal(rules jsonb, names jsonb = NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    state text; word text; argument text; more text;
BEGIN
    PERFORM mirox.put_endpoints(rules, names);
    RAISE EXCEPTION USING ERRCODE = 'ZZZZZ';
EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
    RETURN 'taken';
WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, word = CONSTRAINT_NAME, argument = COLUMN_NAME, more = PG_EXCEPTION_DETAIL;
    RETURN CASE WHEN (state, word) = ('22023', 'endpoint_invalid') THEN '' ELSE concat_ws(' ', state, word, '') END || argument || ': ' || more;
END $$;
SELECT n, pg_temp.refusal(rules::jsonb) FROM (VALUES
    (1, NULL), (2, '"openapi: 3.1.0"'), (3, '3'), (4, '{}'), (5, '{"swagger": "2.0", "paths": {}}'), (6, '[3]'), (7, '[[]]'),
    (8, '[{"method": "GET", "path": "/p"}]'), (9, '[{"method": "GET", "path": "/p", "scopes": "parks"}]'),
    (10, '[{"path": "/p", "scope": "parks"}]'), (11, '[{"method": "GET", "scope": "parks"}]'),
    (12, '[{"method": "GET", "path": "/p", "scope": ["parks"]}]'), (13, '[{"method": "GET", "path": "/p", "scope": "Parks"}]'),
    (14, '[{"method": "GET", "path": "/p", "scope": ""}]'), (15, '[{"method": "GET", "path": "/p", "public": 1}]'),
    (16, '[{"method": "GET", "path": "/p", "public": true, "scope": "parks"}]'),
    (17, '[{"method": "GET", "path": "/p", "scope": null, "public": false}, {"method": "GET", "path": "/p/{id}", "scope": "parks"}]'),
    (18, '[{"method": "GET", "path": "/p/:id", "scope": "parks"}]'), (19, '[{"method": "G T", "path": "/p", "scope": "parks"}]'),
    (20, '[{"method": "GET", "path": "p", "scope": "parks"}]'),
    (21, '[{"method": "GET", "path": "/p", "scope": "parks"}, {"method": "get", "path": "/p/", "scope": "parks:read"}]'),
    (22, '[{"method": "GET", "path": "/p", "scope": null}, {"method": "GET", "path": "/p", "public": true}]')) v (n, rules) ORDER BY n;

-- ---- an OpenAPI document
CREATE FUNCTION pg_temp.document(paths jsonb, more jsonb = '{}') RETURNS jsonb LANGUAGE sql AS $$
    SELECT '{"openapi": "3.1.0", "info": {"title": "Parks", "version": "1"}, "servers": [{"url": "https://api.example.org/"}],
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "Bearer"},
            "oauth": {"type": "oauth2", "flows": {}}, "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://id.example.org"},
            "basic": {"type": "http", "scheme": "basic"}, "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "tls": {"type": "mutualTLS"}, "far": {"$ref": "other.json#/x"}}}}'::jsonb || jsonb_build_object('paths', paths) || more
$$;
SELECT * FROM mirox.put_endpoints(pg_temp.document('{
    "/p/parks": {"summary": "Parks", "parameters": [], "get": {"security": [{"bearer": ["parks:read"]}]}, "post": {"security": [{"oauth": ["parks:write", "parks:write"]}]}},
    "/p/parks/{park}/turbines/{turbine}": {"get": {"security": [{"oidc": ["parks", "parks:read"]}], "responses": {}, "x-cost": 2}, "x-team": "wind"},
    "/p/me": {"get": {"security": [{"bearer": []}]}},
    "/p/up": {"get": {"security": []}, "head": {"security": [{}]}},
    "/p/other": {"delete": {}}, "x-internal": {"get": {}}}', '{"security": [{"bearer": ["admin"]}]}'));
SELECT * FROM pg_temp.rules;
SELECT status, required_scope, endpoint FROM mirox.explain_check(NULL, 'GET', '/p/parks/7/turbines/%38');
-- Names of its own for scopes.
SELECT * FROM mirox.put_endpoints(pg_temp.document('{
    "/p/parks": {"get": {"security": [{"oauth": ["openid", "read:parks"]}]}, "put": {"security": [{"oauth": ["openid"]}]}}}'),
    '{"read:parks": "parks:read", "openid": null, "unused": "x"}');
SELECT * FROM pg_temp.rules;

SELECT n, pg_temp.refusal(pg_temp.document(paths::jsonb, more::jsonb), names::jsonb) FROM (VALUES
    (1, '{"/p": {"get": {}}}', '{}', NULL),
    (2, '{"/p": {"get": {"security": [{"bearer": []}, {"oauth": []}]}}}', '{}', NULL),
    (3, '{"/p": {"get": {"security": [{}, {"bearer": []}]}}}', '{}', NULL),
    (4, '{"/p": {"get": {"security": [{"bearer": [], "key": []}]}}}', '{}', NULL),
    (5, '{"/p": {"get": {"security": [{"oauth": ["parks:read", "users:read"]}]}}}', '{}', NULL),
    (6, '{"/p": {"get": {"security": [{"key": []}]}}}', '{}', NULL),
    (7, '{"/p": {"get": {"security": [{"basic": []}]}}}', '{}', NULL),
    (8, '{"/p": {"get": {"security": [{"tls": []}]}}}', '{}', NULL),
    (9, '{"/p": {"get": {"security": [{"far": []}]}}}', '{}', NULL),
    (10, '{"/p": {"get": {"security": [{"nobody": []}]}}}', '{}', NULL),
    (11, '{"/p": {"get": {"security": {"bearer": []}}}}', '{}', NULL),
    (12, '{"/p": {"get": {"security": ["bearer"]}}}', '{}', NULL),
    (13, '{"/p": {"get": {"security": [{"bearer": "parks"}]}}}', '{}', NULL),
    (14, '{"/p": {"get": {"security": [{"bearer": ["Parks Read"]}]}}}', '{}', NULL),
    (15, '{"/p/{a}.json": {"get": {"security": []}}}', '{}', NULL),
    (16, '{"/p/{a}-{b}": {"get": {"security": []}}}', '{}', NULL),
    (17, '{"/p/*": {"get": {"security": []}}}', '{}', NULL),
    (18, '{"/p/{a}": {"get": {"security": []}}, "/p/{b}": {"get": {"security": [{"bearer": []}]}}}', '{}', NULL),
    (19, '{"/p": {"$ref": "paths.json#/p"}}', '{}', NULL),
    (20, '{"/p": {"fetch": {"security": []}}}', '{}', NULL),
    (21, '{"/p": [], "/q": 3}', '{}', NULL),
    (22, '{"/p": {"get": []}}', '{}', NULL),
    (23, '{"p": {"get": {"security": []}}}', '{}', NULL),
    (24, '{"/p%20x": {"get": {"security": []}}}', '{}', NULL),
    (25, '{"/p": {"servers": [{"url": "https://a.example.org/v1"}], "get": {"security": []}}}', '{}', NULL),
    (26, '{"/p": {"get": {"security": [], "servers": [{"url": "/v1"}]}}}', '{}', NULL),
    (27, '{"/p": {"get": {"security": []}}}', '{"servers": [{"url": "https://api.example.org"}, {"url": "https://api.example.org/v2/"}]}', NULL),
    (28, '{"/p": {"get": {"security": []}}}', '{"servers": [{"url": "{base}"}]}', NULL),
    (29, '{"/p": {"get": {"security": []}}}', '{"servers": [{"url": "https://{region}.example.org:8443"}, {"url": "/"}, {"url": ""}]}', NULL),
    (30, '3', '{}', NULL),
    (31, '{"/p": {"get": {"security": []}}}', '{"openapi": "4.0.0"}', NULL),
    (32, '{"/p": {"get": {"security": [{"oauth": ["read:parks"]}]}}}', '{}', '{}'),
    (33, '{"/p": {"get": {"security": [{"oauth": ["read:parks"]}]}}}', '{}', '{"read:parks": 3}'),
    (34, '{"/p": {"get": {"security": [{"oauth": ["read:parks"]}]}}}', '{}', '{"read:parks": "Parks"}'),
    (35, '{"/p": {"get": {"security": [{"oauth": ["read:parks"]}]}}}', '{}', '[]'),
    (36, '{"/p": {"get": {"security": [{"oauth": [null]}]}}}', '{}', NULL)) v (n, paths, more, names) ORDER BY n;
-- Nothing of a set that is refused was taken.
SELECT * FROM pg_temp.rules;

-- Many rules: as fast as they are written, without a count for each.
SELECT added, changed, dropped FROM mirox.put_endpoints((SELECT jsonb_agg(jsonb_build_object('method', 'GET', 'path', '/p/' || i, 'scope', 'parks')) FROM generate_series(1, 5000) i));
SELECT jsonb_array_length(detail -> 'rules') AS told, detail -> 'added' AS added FROM mirox_internal.audit_log WHERE audit_id > :start ORDER BY audit_id DESC LIMIT 1;
SELECT pg_temp.refusal((SELECT jsonb_agg(jsonb_build_object('method', 'GET', 'path', '/p/' || i, 'scope', 'parks')) FROM generate_series(1, 65537) i));
SELECT * FROM mirox.put_endpoints('[]');
