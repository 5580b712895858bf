-- The statements of endpoints.cpp.

-- name: select_rule(method text, path text, scope text, public boolean)
SELECT scope IS NOT DISTINCT FROM $3 AND public = $4 FROM mirox_internal.endpoint WHERE method = $1 AND path = $2;

-- name: insert_rule(method text, path text, scope text, public boolean)
INSERT INTO mirox_internal.endpoint (method, path, scope, public) VALUES ($1, $2, $3, $4);

-- name: update_rule(method text, path text, scope text, public boolean)
UPDATE mirox_internal.endpoint SET scope = $3, public = $4 WHERE method = $1 AND path = $2;

-- name: delete_rule(method text, path text)
DELETE FROM mirox_internal.endpoint WHERE method = $1 AND path = $2;

-- The next three read what put_endpoints() is given. Each row is a rule, or a fault of what cannot become one.

-- What is wrong with the whole; NULL: nothing.
-- name: select_fault(rules jsonb)
SELECT CASE WHEN jsonb_typeof($1) = 'string' THEN 'It is one text: convert a document in YAML to JSON first.'
            WHEN $1 ? 'swagger' THEN 'It is a document of Swagger 2, not of OpenAPI 3.'
            WHEN jsonb_typeof($1) <> 'object' OR COALESCE($1 ->> 'openapi', '') NOT LIKE '3.%'
            THEN 'It is neither a list of rules nor an OpenAPI 3 document.'
            WHEN COALESCE(jsonb_typeof($1 -> 'paths'), '') <> 'object' THEN 'The document has no paths.'
            WHEN EXISTS (SELECT FROM jsonb_path_query($1, 'strict $.servers[*].url', silent => true) u
                         WHERE u #>> '{}' !~* '^([a-z0-9+.{}-]*:)?(//[^/?#]*)?/?$')
            THEN 'The document has servers with a path, which its paths lack.'
       END
WHERE jsonb_typeof($1) <> 'array';

-- name: select_listed(rules jsonb)
SELECT 'Rule ' || e.n || CASE WHEN e.rule ->> 'path' LIKE '/%' THEN ' (' || (e.rule ->> 'path') || ')' ELSE '' END AS place,
       e.rule ->> 'method', e.rule ->> 'path',
       CASE WHEN e.rule ->> 'scope' IS NOT NULL THEN ARRAY[e.rule ->> 'scope'] ELSE '{}' END,
       e.rule -> 'public' = 'true' AS public,
       CASE WHEN jsonb_typeof(e.rule) <> 'object' THEN 'it is no object'
            WHEN EXISTS (SELECT FROM jsonb_object_keys(e.rule) k WHERE k NOT IN ('method', 'path', 'scope', 'public'))
            THEN 'it has a field that is none of method, path, scope and public'
            WHEN jsonb_typeof(e.rule -> 'method') IS DISTINCT FROM 'string' THEN 'its method is no text'
            WHEN jsonb_typeof(e.rule -> 'path') IS DISTINCT FROM 'string' THEN 'its path is no text'
            WHEN jsonb_typeof(e.rule -> 'public') <> 'boolean' THEN 'public is neither true nor false'
            WHEN jsonb_typeof(e.rule -> 'scope') NOT IN ('string', 'null') THEN 'its scope is neither a text nor null'
            WHEN e.rule -> 'public' = 'true' AND e.rule ->> 'scope' IS NOT NULL THEN 'it is public and has a scope'
            WHEN NOT e.rule ? 'scope' AND (e.rule -> 'public' = 'true') IS NOT TRUE
            THEN 'it has no scope; null stands for any token or session in force'
       END
FROM jsonb_array_elements($1) WITH ORDINALITY e (rule, n) ORDER BY e.n;

-- A field of each path, and of those that are operations the one requirement of security.
-- name: select_documented(rules jsonb)
WITH field AS (
    SELECT p.key AS path, jsonb_typeof(p.value) AS form, f.key AS field, f.value,
           f.key IN ('get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace', 'query') AS operation,
           COALESCE(f.value -> 'security', $1 -> 'security') AS security
    FROM jsonb_each($1 -> 'paths') p
    LEFT JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(p.value) = 'object' THEN p.value ELSE '{}' END) f ON true
    WHERE p.key NOT LIKE 'x-%'
), required AS (
    SELECT f.*, r.key AS scheme, r.value AS scopes, $1 #> ARRAY['components', 'securitySchemes', r.key] AS kind
    FROM field f LEFT JOIN LATERAL (
        SELECT key, value FROM jsonb_each(CASE WHEN jsonb_typeof(f.security -> 0) = 'object' THEN f.security -> 0 ELSE '{}' END)
        WHERE f.operation LIMIT 1) r ON true
)
SELECT CASE WHEN path NOT LIKE '/%' THEN 'A path' WHEN operation THEN upper(field) || ' ' || path ELSE 'Path ' || path END AS place,
       upper(field), regexp_replace(path, '/\{[^{}/]+\}(?=/|$)', '/*', 'g'),
       CASE WHEN jsonb_typeof(scopes) = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(scopes)) ELSE '{}' END,
       security IN ('[]', '[{}]') AS public, fault
FROM (SELECT *, CASE
    WHEN path NOT LIKE '/%' THEN 'it does not begin with a slash'
    WHEN form <> 'object' OR (operation AND jsonb_typeof(value) <> 'object') THEN 'it is no object'
    WHEN field = '$ref' THEN 'it refers to another place, which is not read'
    WHEN path LIKE '%*%' THEN 'a * would be a wildcard in a rule'
    WHEN NOT operation AND field NOT IN ('summary', 'description', 'servers', 'parameters') AND field NOT LIKE 'x-%'
    THEN 'it has a field that a path of OpenAPI 3 does not have'
    WHEN (field = 'servers' OR operation)
         AND EXISTS (SELECT FROM jsonb_path_query(CASE WHEN operation THEN value -> 'servers' ELSE value END, 'strict $[*].url', silent => true) u
                     WHERE u #>> '{}' !~* '^([a-z0-9+.{}-]*:)?(//[^/?#]*)?/?$')
    THEN 'it has servers with a path'
    WHEN NOT operation THEN NULL
    WHEN security IS NULL THEN 'neither it nor the document says what security it needs; [] stands for none'
    WHEN jsonb_typeof(security) <> 'array' THEN 'its security is no list'
    WHEN jsonb_array_length(security) > 1 THEN 'its security has alternatives, and a rule has one scope'
    WHEN security IN ('[]', '[{}]') THEN NULL
    WHEN scheme IS NULL OR jsonb_typeof(scopes) <> 'array' THEN 'its security is malformed'
    WHEN security -> 0 <> jsonb_build_object(scheme, scopes) THEN 'its security needs two credentials at once'
    WHEN kind IS NULL THEN 'the document does not define the security scheme that it names'
    WHEN kind ? '$ref' THEN 'its security scheme refers to another place, which is not read'
    WHEN COALESCE(kind ->> 'type', '') NOT IN ('oauth2', 'openIdConnect')
         AND NOT (kind ->> 'type' = 'http' AND lower(COALESCE(kind ->> 'scheme', '')) = 'bearer')
    THEN 'its security scheme is not one of bearer tokens'
END AS fault FROM required) r
WHERE operation OR fault IS NOT NULL OR form <> 'object'
ORDER BY path, field;

-- The arguments of the next ones are the whole new set, in normal form; a scope '' means public. Two rules for one method and path
-- that differ.
-- name: select_contradiction(methods text[], paths text[], scopes text[])
SELECT method || ' ' || path FROM unnest($1, $2, $3) g (method, path, scope)
GROUP BY method, path HAVING count(DISTINCT COALESCE(scope, ' ')) > 1 ORDER BY method, path LIMIT 1;

-- What the set changes: how many rules, and the first thousand of them.
-- name: compare_rules(methods text[], paths text[], scopes text[])
WITH change AS (
    SELECT COALESCE(g.method, e.method) AS method, COALESCE(g.path, e.path) AS path,
           CASE WHEN e.path IS NULL THEN 'added' WHEN g.path IS NULL THEN 'dropped' ELSE 'changed' END AS what,
           CASE WHEN e.path IS NOT NULL THEN jsonb_build_object('scope', e.scope, 'public', e.public) END AS before,
           CASE WHEN g.path IS NOT NULL THEN jsonb_build_object('scope', NULLIF(g.scope, ''), 'public', COALESCE(g.scope = '', false)) END AS after
    FROM (SELECT DISTINCT * FROM unnest($1, $2, $3) g (method, path, scope)) g
    FULL JOIN mirox_internal.endpoint e ON g.method = e.method AND g.path = e.path
    WHERE g.path IS NULL OR e.path IS NULL
          OR CASE WHEN e.public THEN '' ELSE e.scope END IS DISTINCT FROM g.scope
)
SELECT count(*) FILTER (WHERE what = 'added')::int4, count(*) FILTER (WHERE what = 'changed')::int4,
       count(*) FILTER (WHERE what = 'dropped')::int4,
       (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('what', what, 'method', method, 'path', path)) ||
                         CASE WHEN before IS NULL THEN '{}' ELSE jsonb_build_object('from', before) END ||
                         CASE WHEN after IS NULL THEN '{}' ELSE jsonb_build_object('to', after) END)
        FROM (SELECT * FROM change ORDER BY path COLLATE "C", method COLLATE "C" LIMIT 1000) c)
FROM change;

-- name: drop_other_rules(methods text[], paths text[], scopes text[])
DELETE FROM mirox_internal.endpoint e
WHERE NOT EXISTS (SELECT FROM unnest($1, $2, $3) g (method, path, scope) WHERE g.method = e.method AND g.path = e.path);

-- name: change_rules(methods text[], paths text[], scopes text[])
UPDATE mirox_internal.endpoint e SET scope = NULLIF(g.scope, ''), public = COALESCE(g.scope = '', false)
FROM (SELECT DISTINCT * FROM unnest($1, $2, $3) g (method, path, scope)) g
WHERE g.method = e.method AND g.path = e.path AND CASE WHEN e.public THEN '' ELSE e.scope END IS DISTINCT FROM g.scope;

-- name: add_rules(methods text[], paths text[], scopes text[])
INSERT INTO mirox_internal.endpoint (method, path, scope, public)
SELECT DISTINCT g.method, g.path, NULLIF(g.scope, ''), COALESCE(g.scope = '', false)
FROM unnest($1, $2, $3) g (method, path, scope)
WHERE NOT EXISTS (SELECT FROM mirox_internal.endpoint e WHERE e.method = g.method AND e.path = g.path);
