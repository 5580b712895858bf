-- Whole requests: the Authorization header, endpoint rules, the client's address, explain_check, sessions.
\set VERBOSITY terse
SELECT mirox.put_account('requests', '{parks:read,reports}', 100000, 1000);
SELECT mirox.open_session('requests') AS session \gset
SELECT secret AS token, token_id FROM mirox.issue_token(:'session', 'requests', 'full_access') \gset
SELECT secret AS bound FROM mirox.issue_token(:'session', 'bound', 'full_access', allowed_ips => '{192.0.2.0/24}') \gset

-- ---- the header, as RFC 6750 and RFC 9110 have it
SELECT mirox.put_endpoint('GET', '/requests/parks/*', 'parks:read');
CREATE TEMP TABLE headers (n, header) AS VALUES
    (1, 'Bearer TOKEN'), (2, 'bearer TOKEN'), (3, 'BEARER    TOKEN'), (4, '  Bearer TOKEN  '),
    (5, NULL), (6, ''), (7, 'Basic dXNlcjpwYXNz'), (8, 'TOKEN'), (9, 'Bearer'), (10, 'Bearer '),
    (11, 'Bearer TOKEN TOKEN'), (12, 'Bearer TOKEN, Bearer TOKEN'), (13, 'Bearer TOKEN,Basic x'), (14, E'Bearer\tTOKEN'),
    (15, E'Bearer TOKEN\r\nX: y'), (16, E'Bearer TOK\x01EN'), (17, 'Bearer "TOKEN"'), (18, 'Bearer ' || repeat('a', 65536)),
    (19, repeat('b', 65536)), (20, 'Bearer ' || repeat('é', 100)), (21, 'Bearer token=TOKEN'), (22, 'Digest TOKEN, Bearer TOKEN'),
    (23, 'Bearer SESSION'), (24, 'Bearer TOKENx'), (25, 'BearerTOKEN');
SELECT n, left(header, 40) AS header, v.status, v.reason, v.token_id IS NOT NULL AS token, v.user_id, v.www_authenticate
FROM headers, mirox.check_request(replace(replace(header, 'TOKEN', :'token'), 'SESSION', :'session'), 'GET', '/requests/parks/1') v
ORDER BY n;

-- ---- rules
SELECT mirox.put_endpoint('get', '/requests/tidy/', 'parks:read');
SELECT mirox.put_endpoint('GET', '/requests/tidy', 'parks:write');
SELECT method, path, scope, audit_id IS NOT NULL AS audited FROM mirox_internal.endpoint WHERE path LIKE '/requests/tidy%';
SELECT mirox.drop_endpoint('GET', '/requests/tidy/'), mirox.drop_endpoint('GET', '/requests/tidy');
SELECT event, detail - 'audit_id' AS detail FROM mirox_internal.audit_log WHERE event LIKE 'endpoint%' AND detail::text LIKE '%/requests/tidy%' ORDER BY audit_id;
\set VERBOSITY sqlstate
SELECT mirox.put_endpoint('G T', '/requests/x', 'parks');
SELECT mirox.put_endpoint('GET', 'requests/x', 'parks');
SELECT mirox.put_endpoint('GET', '/requests/../x', 'parks');
SELECT mirox.put_endpoint('GET', '/requests//x', 'parks');
SELECT mirox.put_endpoint('GET', '/requests/%41', 'parks');
SELECT mirox.put_endpoint('GET', '/requests/a*', 'parks');
SELECT mirox.put_endpoint('GET', '/requests/**/x', 'parks');
SELECT mirox.put_endpoint('GET', '/requests/x', 'Parks');
SELECT mirox.put_endpoint('GET', '/requests/x', '');
SELECT mirox.put_endpoint('GET', NULL, 'parks');
SELECT mirox.put_endpoint('GET', '/requests/' || repeat('a', 1024), 'parks');
SELECT mirox.put_endpoint('GET', repeat('/a', 33), 'parks');
-- Past the function: the trigger makes it tidy or refuses, the table's CHECK holds without the trigger.
INSERT INTO mirox_internal.endpoint (method, path, scope) VALUES ('put', '/requests/direct/', 'parks:write');
INSERT INTO mirox_internal.endpoint (method, path, scope) VALUES ('PUT', '/requests/./direct', 'parks:write');
INSERT INTO mirox_internal.endpoint VALUES ('put', '/requests/replayed', 'parks:write', false, 0, 1);
INSERT INTO mirox_internal.endpoint (method, path, scope, public) VALUES ('PUT', '/requests/direct', 'parks:write', true);
INSERT INTO mirox_internal.endpoint (method, path, scope, public) VALUES ('PUT', '/requests/direct', NULL, NULL);
UPDATE mirox_internal.endpoint SET path = '/requests/moved' WHERE path = '/requests/direct';
UPDATE mirox_internal.endpoint SET scope = 'parks:read' WHERE path = '/requests/direct';
TRUNCATE mirox_internal.endpoint;
\set VERBOSITY terse
SELECT method, path, scope FROM mirox_internal.endpoint WHERE path LIKE '/requests/direct%';
SELECT status, reason FROM mirox.check_request('Bearer ' || :'token', 'PUT', '/requests/direct');
DELETE FROM mirox_internal.endpoint WHERE path = '/requests/direct';
SELECT status, reason, required_scope FROM mirox.check_request('Bearer ' || :'token', 'PUT', '/requests/direct');

-- The most specific rule wins, the path before the method; HEAD is GET without the body; * is not OPTIONS only.
SELECT mirox.put_endpoint(m, p, s) FROM (VALUES ('*', '/requests/s/**', 's:rest'), ('*', '/requests/s/*', 's:star'),
    ('GET', '/requests/s/a', 's:get-a'), ('HEAD', '/requests/s/*', 's:head-star'), ('DELETE', '/requests/s/**', 's:delete-rest'),
    ('*', '/requests/s', 's:root')) AS r (m, p, s);
SELECT m, p, required_scope FROM (VALUES ('GET', '/requests/s'), ('GET', '/requests/s/a'), ('POST', '/requests/s/a'),
    ('HEAD', '/requests/s/a'), ('HEAD', '/requests/s/b'), ('GET', '/requests/s/b'), ('GET', '/requests/s/b/c'),
    ('DELETE', '/requests/s/b/c'), ('DELETE', '/requests/s/b'), ('OPTIONS', '/requests/s/a'), ('GET', '/requests/t'),
    ('patch', '/requests/S/a'), ('GET', '/requests/s/**')) AS r (m, p), mirox.explain_check(:'token', m, p);
SELECT count(mirox.drop_endpoint(method, path)) FROM mirox_internal.endpoint WHERE path LIKE '/requests/s%';

-- A rule is obeyed by the next check, also in a transaction that began before it and by what was compiled before.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT required_scope FROM mirox.check_request('Bearer ' || :'token', 'GET', '/requests/new');
SELECT mirox.put_endpoint('GET', '/requests/new', 'parks:read');
SELECT required_scope, status FROM mirox.check_request('Bearer ' || :'token', 'GET', '/requests/new');
ROLLBACK;
SELECT required_scope, status FROM mirox.check_request('Bearer ' || :'token', 'GET', '/requests/new');

-- ---- requests that are none
SELECT left(m, 12) AS m, left(p, 30) AS p, v.status, v.reason, v.required_scope, v.www_authenticate FROM (VALUES ('GET', NULL), (NULL, '/requests/parks/1'), ('', '/'), ('GET', ''),
    ('GET', '*'), ('GET', 'requests/parks/1'), ('G(ET', '/requests/parks/1'), ('GET', '/requests/%zz'), ('GET', '/requests/parks/..%2f1'),
    ('GET', '/' || repeat('a', 9000)), (repeat('G', 40), '/requests/parks/1')) AS r (m, p),
    mirox.check_request('Bearer ' || :'token', m, p) v;

-- ---- web sessions: the owner's permissions, no token
SELECT status, reason, token_id, user_id, permission_group, permissions, expires_at > now() AS later
FROM mirox.check_request('Bearer ' || :'session', 'GET', '/requests/parks/1');
SELECT status, reason FROM mirox.check_request('Bearer ' || :'session', 'GET', '/elsewhere');
SELECT status, reason FROM mirox.verify_token(:'session');
SELECT status, reason FROM mirox.verify_digest(sha256(:'session'));
SELECT mirox.lock_account('requests') IS NOT NULL AS locked;
SELECT status, reason, user_id FROM mirox.check_request('Bearer ' || :'session', 'GET', '/requests/parks/1');
SELECT mirox.unlock_account('requests');
SELECT mirox.open_session('requests', '0.2 seconds') AS brief \gset
SELECT status FROM mirox.check_request('Bearer ' || :'brief', 'GET', '/requests/parks/1');
SELECT pg_sleep(0.3);
SELECT status, reason FROM mirox.check_request('Bearer ' || :'brief', 'GET', '/requests/parks/1');
SELECT mirox.close_session(:'session');
SELECT status, reason, www_authenticate FROM mirox.check_request('Bearer ' || :'session', 'GET', '/requests/parks/1');

-- ---- addresses
SELECT a, status, reason FROM (VALUES (NULL::inet), ('192.0.2.7'), ('192.0.2.7/24'), ('::ffff:192.0.2.7'), ('192.0.3.7'), ('2001:db8::1')) AS r (a),
    mirox.check_request('Bearer ' || :'bound', 'GET', '/requests/parks/1', a);
SELECT forwarded, peer, mirox.client_ip(forwarded, peer, '{10.0.0.0/8,2001:db8:aa::/48}') FROM (VALUES
    (NULL, NULL::inet), (NULL, '198.51.100.9'), ('1.2.3.4', '198.51.100.9'), ('1.2.3.4', '10.0.0.1'), (NULL, '10.0.0.1'),
    ('6.6.6.6, 1.2.3.4, 10.1.1.1', '10.0.0.1'), ('1.2.3.4:5678, 10.1.1.1:80', '10.0.0.1'), ('[2001:db8::7]:443', '10.0.0.1'),
    ('fe80::1%eth0', '10.0.0.1'), ('1.2.3.4, unknown', '10.0.0.1'), ('1.2.3.4, , 10.1.1.1', '10.0.0.1'),
    ('for=1.2.3.4;proto=https, for="[2001:db8:aa::5]:80"', '10.0.0.1'), ('for=_hidden', '10.0.0.1'), ('1.2.3.4', '::ffff:10.0.0.1'),
    ('; DROP TABLE', '10.0.0.1'), ('1.2.3.4', NULL), ('unknown', '10.0.0.2'), ('for=unknown', '10.0.0.2'), ('', '10.0.0.2'),
    ('1.2.3.4,', '10.0.0.2'), ('10.0.0.9', '10.0.0.2'), ('1.2.3.4, unknown, 10.0.0.9', '10.0.0.2'), ('unknown', '198.51.100.9')) AS r (forwarded, peer);
SELECT mirox.client_ip('1.2.3.4', '10.0.0.1', NULL), mirox.client_ip('1.2.3.4', '10.0.0.1', '{}'),
    mirox.client_ip('1.2.3.4', '10.0.0.1', ARRAY[NULL, '10.0.0.0/8']::cidr[]);

-- ---- explain_check: leaves no trace, knows both forms
SELECT remaining AS before FROM mirox.rate_limit_status('requests') \gset
SELECT status, reason, required_scope, user_id FROM mirox.explain_check('Bearer ' || :'token', 'GET', '/requests/parks/1');
SELECT status, reason, required_scope, permissions FROM mirox.explain_check(:'token', required_scope => 'parks:write');
SELECT status, reason, required_scope, token_id FROM mirox.explain_check(NULL, 'GET', '/requests/parks/1');
SELECT status, reason, required_scope FROM mirox.explain_check('Bearer a b', 'GET', '/requests/parks/1');
SELECT status, reason, user_id FROM mirox.explain_check(:'session', 'GET', '/requests/parks/1');
SELECT remaining >= :before AS nothing_drawn FROM mirox.rate_limit_status('requests');
SELECT mirox.explain_check(:'token', 'GET', '/', required_scope => 'parks');

-- ---- who may
CREATE ROLE requests_nobody; CREATE ROLE requests_gateway; CREATE ROLE requests_admin;
SELECT mirox.grant_access('requests_gateway', 'gateway'), mirox.grant_access('requests_admin', 'admin');
SET ROLE requests_nobody;
SELECT mirox.client_ip('1.2.3.4', '10.0.0.1', '{10.0.0.0/8}');
SELECT status FROM mirox.check_request(NULL, 'GET', '/');
SET ROLE requests_gateway;
SELECT status FROM mirox.check_request('Bearer ' || :'token', 'GET', '/requests/parks/1');
SELECT status FROM mirox.explain_check(:'token');
SELECT mirox.put_endpoint('GET', '/requests/gateway', 'parks');
SELECT count(*) FROM mirox_internal.endpoint;
SET ROLE requests_admin;
SELECT status FROM mirox.explain_check(:'token');
SELECT mirox.put_endpoint('GET', '/requests/admin', 'parks');
SELECT mirox.drop_endpoint('GET', '/requests/admin');
RESET ROLE;
SELECT mirox.revoke_access('requests_gateway', 'gateway'), mirox.revoke_access('requests_admin', 'admin');
DROP ROLE requests_nobody, requests_gateway, requests_admin;
