-- What endpoints ask for beside a scope: any credentials, or none. What a verdict tells of the request, and its RateLimit fields.
\set VERBOSITY terse
SELECT mirox.put_account('endpoints', '{parks:read}', 600, 60);
SELECT mirox.open_session('endpoints') AS session \gset
SELECT secret AS token FROM mirox.issue_token(:'session', 'endpoints', 'full_access') \gset
SELECT secret AS narrow FROM mirox.issue_token(:'session', 'narrow', 'reporting') \gset
SELECT mirox.put_endpoint('GET', '/e/parks/**', 'parks:read');
SELECT mirox.put_endpoint('GET', '/e/me', NULL);
SELECT mirox.put_public_endpoint('GET', '/e/status/');
SELECT method, path, scope, public FROM mirox_internal.endpoint WHERE path LIKE '/e/%' ORDER BY path;

-- No scope: any token or session in force, whatever it covers. Public: no credentials, or credentials that are in force.
CREATE TEMP TABLE asked (n, header, method, path) AS VALUES
    (1, 'Bearer TOKEN', 'GET', '/e/me'), (2, 'Bearer NARROW', 'GET', '/e/me'), (3, 'Bearer SESSION', 'HEAD', '/e/me'),
    (4, NULL, 'GET', '/e/me'), (5, 'Bearer x', 'GET', '/e/me'), (6, 'Bearer NARROW', 'PUT', '/e/me'),
    (7, NULL, 'GET', '/e/status'), (8, '', 'HEAD', '/e/./status/?a=b'), (9, ' ', 'GET', '/e//status'),
    (10, NULL, 'POST', '/e/status'), (11, NULL, 'GET', '/e/status/x'), (12, NULL, 'GET', '/e/%2e%2e%2fstatus'),
    (13, 'Bearer NARROW', 'GET', '/e/status'), (14, 'Bearer SESSION', 'GET', '/e/status'), (15, 'Bearer x', 'GET', '/e/status'),
    (16, 'Basic dTpw', 'GET', '/e/status'), (17, 'Bearer a b', 'GET', '/e/status'), (18, NULL, 'G T', '/e/status'),
    (19, 'Bearer TOKEN', 'GET', '/e/parks/%62erlin/../a%20b'), (20, 'Bearer TOKEN', 'GET', '/e/parks/%c3%a4/?q=1#x'),
    (21, 'Bearer NARROW', 'GET', '/e/parks'), (22, 'Bearer TOKEN', 'GET', '/e/nowhere'), (23, 'Bearer TOKEN', 'get', '/e/parks/..%5cx');
SELECT n, v.status, v.reason, v.user_id, v.required_scope, v.path, v.endpoint, v.www_authenticate, v.ratelimit IS NOT NULL AS ratelimit
FROM asked, mirox.check_request(replace(replace(replace(header, 'TOKEN', :'token'), 'NARROW', :'narrow'), 'SESSION', :'session'), method, path) v
ORDER BY n;
SELECT n, v.status, v.reason, v.user_id, v.required_scope, v.path, v.endpoint
FROM asked, mirox.explain_check(replace(replace(replace(header, 'TOKEN', :'token'), 'NARROW', :'narrow'), 'SESSION', :'session'), method, path) v
WHERE n IN (2, 4, 7, 10, 13, 15, 21) ORDER BY n;

-- A rule changes its kind by the other call, and each change is audited once.
SELECT mirox.put_public_endpoint('GET', '/e/me'), mirox.put_public_endpoint('GET', '/e/me');
SELECT status, reason FROM mirox.check_request(NULL, 'GET', '/e/me');
SELECT mirox.put_endpoint('GET', '/e/me', 'parks'), mirox.put_endpoint('GET', '/e/me', 'parks');
SELECT status, reason FROM mirox.check_request(NULL, 'GET', '/e/me');
SELECT mirox.put_endpoint('GET', '/e/me', NULL), mirox.put_endpoint('GET', '/e/me', NULL);
SELECT mirox.drop_endpoint('GET', '/e/me');
SELECT event, detail FROM mirox_internal.audit_log WHERE event LIKE 'endpoint%' AND detail ->> 'path' = '/e/me' ORDER BY audit_id;
SELECT status, reason, required_scope FROM mirox.check_request('Bearer ' || :'token', 'GET', '/e/me');

-- Notations of other tools for a segment of any value are refused: as literals they would match no request.
CREATE FUNCTION pg_temp.refusal(path text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    more text; word text; argument text;
BEGIN
    PERFORM mirox.put_endpoint('GET', path, 'parks');
    PERFORM mirox.drop_endpoint('GET', path);
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS more = PG_EXCEPTION_DETAIL, word = CONSTRAINT_NAME, argument = COLUMN_NAME;
    RETURN word || ' ' || argument || ': ' || more;
END $$;
SELECT path, pg_temp.refusal(path) FROM unnest(ARRAY['/e/{id}', '/e/{id}.json', '/e/:id', '/e/<int:id>/x', '/e/a:b', '/e/*', '/e/x*']) path;

-- RateLimit fields: one quota, the burst. What is told is kept.
SELECT mirox.put_account('endpoints/limit', '{a}', 6, 3);
SELECT mirox.open_session('endpoints/limit') AS slow \gset
CREATE TEMP TABLE answers AS SELECT i, v.* FROM generate_series(1, 5) i, LATERAL mirox.check_request('Bearer ' || :'slow', 'GET', '/e/status/' || i) v;
SELECT i, status, reason, ratelimit_policy, ratelimit_limit, ratelimit_remaining, ratelimit_reset BETWEEN 9 AND 10 AS reset,
       ratelimit = format('"account";r=%s;t=%s', ratelimit_remaining, ratelimit_reset) AS same, retry_after = ratelimit_reset AS retry
FROM answers ORDER BY i;
SELECT mirox.put_account('endpoints/none', '{a}', 0, 3);
SELECT mirox.open_session('endpoints/none') AS none \gset
SELECT status, retry_after, ratelimit_policy, ratelimit, ratelimit_limit, ratelimit_remaining, ratelimit_reset
FROM mirox.check_request('Bearer ' || :'none', 'GET', '/');
-- None at a public endpoint, but a 429 says when to come back.
SELECT status, reason, retry_after, ratelimit_policy, ratelimit, ratelimit_limit, ratelimit_remaining, ratelimit_reset
FROM mirox.check_request('Bearer ' || :'none', 'GET', '/e/status');

-- Requests to public endpoints are counted, by minute and without an address; they are no refusals.
SELECT mirox.stat_reset();
SELECT count(*) FROM generate_series(1, 5) i, mirox.check_request(NULL, 'GET', '/e/status?' || i, '203.0.113.5', 'x') v WHERE v.reason = 'public';
SELECT public, checks, ok FROM mirox.stat;
SELECT mirox.flush();
SELECT DISTINCT network, status, reason FROM mirox_internal.unauthenticated WHERE reason = 'public';
SELECT count(*) FROM mirox.refusals WHERE reason = 'public';

SELECT count(mirox.drop_endpoint(method, path)) FROM mirox_internal.endpoint WHERE path LIKE '/e/%';
SELECT count(mirox.delete_account(user_id)) FROM mirox_internal.account WHERE user_id LIKE 'endpoints%';
