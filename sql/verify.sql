-- Checks: each reason, what a 401 keeps to itself, permissions as they are now, the clock, and what clients send.
\set SHOW_CONTEXT never
SELECT mirox.put_account('verify', '{parks,reports:generate}', 60000, 100000);
SELECT mirox.open_session('verify') AS session \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'a', 'full_access') \gset

-- ---- reasons --------------------------------------------------------------------------------------------------------
CREATE TEMP TABLE given (n serial, what text, secret text, ip inet, scope text);
INSERT INTO given (what, secret, scope) VALUES ('in force', :'secret', NULL), ('with a scope', :'secret', 'parks.berlin:read'),
    ('beyond', :'secret', 'exports'), ('NULL', NULL, NULL), ('another kind', :'session', NULL),
    ('unknown', 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria', NULL);
SELECT token_id AS id, secret AS s FROM mirox.issue_token(:'session', 'revoked', 'full_access') \gset
SELECT mirox.revoke_token(:'session', :id) IS NOT NULL AS revoked;
INSERT INTO given (what, secret) VALUES ('revoked', :'s');
SELECT token_id AS id, secret AS s FROM mirox.issue_token(:'session', 'rotated', 'full_access') \gset
SELECT mirox.rotate_token(:'session', :id) IS NOT NULL AS rotated;
INSERT INTO given (what, secret) VALUES ('rotated', :'s');
SELECT secret AS s FROM mirox.issue_token(:'session', 'expired', 'full_access', expires_in => '1 millisecond') \gset
INSERT INTO given (what, secret) VALUES ('expired', :'s');
SELECT mirox.put_account('verify/locked', '{parks}');
SELECT mirox.open_session('verify/locked') AS other \gset
SELECT secret AS s FROM mirox.issue_token(:'other', 'locked', 'full_access') \gset
SELECT mirox.lock_account('verify/locked') IS NOT NULL AS locked;
INSERT INTO given (what, secret) VALUES ('locked', :'s');
SELECT secret AS s FROM mirox.issue_token(:'session', 'elsewhere', 'full_access', allowed_ips => '{203.0.113.0/24}') \gset
INSERT INTO given (what, secret, ip) VALUES ('from elsewhere', :'s', '198.51.100.1'), ('from nowhere', :'s', NULL), ('from there', :'s', '203.0.113.9');
INSERT INTO given (what, secret, scope) VALUES ('from elsewhere, and beyond', :'s', 'exports');
SELECT what, v.status, v.reason FROM given, mirox.verify_token(secret, ip, NULL, scope) v ORDER BY n;
-- verify_digest gives the same for the SHA-256 of each (what has no shape is unknown there).
SELECT what, v.status, v.reason FROM given, mirox.verify_token(secret, ip, NULL, scope) v, mirox.verify_digest(t.sha256(secret), ip, NULL, scope) d
WHERE v IS DISTINCT FROM d ORDER BY n;
SELECT status, reason FROM given, mirox.verify_digest(t.sha256(secret)) WHERE what = 'another kind';
SELECT n, v.status, v.reason FROM (VALUES (1, NULL), (2, ''::bytea), (3, t.sha256(:'secret') || '\x00'), (4, substr(t.sha256(:'secret'), 1, 31)),
    (5, convert_to(:'secret', 'UTF8')), (6, decode(repeat('00', 32), 'hex'))) x (n, d), mirox.verify_digest(d) v ORDER BY n;
-- On a 401 every other column but reason is NULL; on a 403 the token is told.
SELECT v.status, bool_and(num_nonnulls(v.token_id, v.user_id, v.permission_group, v.permissions, v.expires_at, v.retry_after_ms)
       = CASE v.status WHEN 401 THEN 0 ELSE 5 END) AS told FROM given, mirox.verify_token(secret, ip, NULL, scope) v GROUP BY 1 ORDER BY 1;
SELECT v.user_id, v.permission_group, v.permissions, v.expires_at > now() AS expires, v.retry_after_ms
FROM given, mirox.verify_token(secret, ip, NULL, scope) v WHERE what = 'beyond';

-- ---- what clients send ----------------------------------------------------------------------------------------------
-- Never an error, whatever it is.
SELECT what, v.status, v.reason FROM (VALUES
    ('empty', ''), ('a megabyte', repeat('x', 1048576)), ('a megabyte with our prefix', 'mirox_' || repeat('0', 1048570)),
    ('prefix alone', 'mirox_'), ('blank before', ' ' || :'secret'), ('blank after', :'secret' || ' '), ('line end', :'secret' || E'\n'),
    ('with Bearer', 'Bearer ' || :'secret'), ('quoted', '"' || :'secret' || '"'), ('last character off', left(:'secret', -1)),
    ('last character wrong', left(:'secret', -1) || CASE right(:'secret', 1) WHEN 'x' THEN 'y' ELSE 'x' END),
    ('case', upper(:'secret')), ('digest as hex', encode(t.sha256(:'secret'), 'hex')), ('controls', E'\x01\x02\x03'), ('percent', '%s%n%x'),
    ('emoji', repeat('🙂', 100)), ('full-width', translate(:'secret', 'mirox', 'ｍｉｒｏｘ')), ('JSON', '{"secret": 1}'),
    ('SQL', ''' OR true; --'), ('all base62, no checksum', 'mirox_' || repeat('0', 49))) x (what, secret), mirox.verify_token(secret) v;
-- Any required scope: one that is none is what no token reaches; empty is one.
SELECT scope, v.status, v.reason FROM (VALUES (NULL), ('parks'), ('parks:read'), ('parks.berlin.turbine_7:read'), ('reports:generate'),
    ('reports'), ('reports:delete'), ('park'), ('parks2'), ('*'), (''), ('Parks:read'), ('parks:'), ('parks:read:write'), ('parks..b'), ('../parks'),
    (repeat('a', 100000)), ('parks' || repeat('.x', 15)), ('parks' || repeat('.x', 16))) x (scope),
    mirox.verify_token(:'secret', NULL, NULL, scope) v WHERE length(scope) < 40 OR scope IS NULL OR v.status <> 403;
-- Any user agent.
SELECT count(*) AS answered FROM unnest(ARRAY[NULL, '', repeat('x', 1048576), E'\x01', repeat('🙂', 1000)]) agent, mirox.verify_token(:'secret', NULL, agent) v WHERE v.status = 200;

-- ---- networks -------------------------------------------------------------------------------------------------------
CREATE FUNCTION pg_temp.from_ip(session text, allowed cidr[], ip inet) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    i mirox.issued_token;
    answer text;
BEGIN
    i := mirox.issue_token(session, 'n', 'full_access', allowed_ips => allowed);
    answer := (SELECT reason FROM mirox.verify_token(i.secret, ip));
    PERFORM mirox.revoke_token(session, i.token_id);
    RETURN answer;
END
$$;
SELECT allowed, ip, pg_temp.from_ip(:'session', allowed, ip) FROM (VALUES
    ('{203.0.113.0/24}'::cidr[], '203.0.113.0'::inet), ('{203.0.113.0/24}', '203.0.113.255'), ('{203.0.113.0/24}', '203.0.114.0'),
    ('{203.0.113.0/24}', '::ffff:203.0.113.7'), ('{203.0.113.0/24}', '::203.0.113.7'), ('{203.0.113.0/24}', '203.0.113.7/8'),
    ('{::ffff:203.0.113.0/120}', '203.0.113.7'), ('{::ffff:203.0.113.0/120}', '::ffff:203.0.113.7'), ('{::ffff:203.0.113.0/120}', '203.0.112.7'),
    ('{0.0.0.0/0}', '8.8.8.8'), ('{0.0.0.0/0}', '2001:db8::1'), ('{0.0.0.0/0}', '::ffff:8.8.8.8'), ('{0.0.0.0/0}', NULL),
    ('{2001:db8::/32}', '2001:db8:ffff::1'), ('{2001:db8::/32}', '2001:db9::1'), ('{2001:db8::/33}', '2001:db8:8000::1'), ('{::/0}', '::1'),
    ('{10.0.0.0/8,192.168.0.0/16,2001:db8::/32,203.0.113.7}', '203.0.113.7'), ('{10.0.0.0/8,192.168.0.0/16,2001:db8::/32,203.0.113.7}', '192.168.255.1'),
    ('{10.0.0.0/8,192.168.0.0/16,2001:db8::/32,203.0.113.7}', '203.0.113.8'), ('{2001:db8::/32,10.0.0.0/8}', '10.1.1.1'),
    ('{10.0.0.1,10.0.0.3,10.0.0.5,2001:db8::1,10.0.0.7}', '10.0.0.7'), ('{10.0.0.1,10.0.0.3,10.0.0.5,2001:db8::1,10.0.0.7}', '10.0.0.6')) v (allowed, ip);
SELECT pg_temp.from_ip(:'session', (SELECT array_agg(('10.0.' || i || '.0/24')::cidr) FROM generate_series(0, 255) i), '10.0.255.255') AS last_of_256,
       pg_temp.from_ip(:'session', (SELECT array_agg(('10.0.' || i || '.0/24')::cidr) FROM generate_series(0, 255) i), '10.1.0.0') AS none_of_256;

-- ---- permissions as they are now ------------------------------------------------------------------------------------
-- What the owner loses, the token loses at its next check; what comes back, comes back. The token's own narrowing stays.
SELECT secret AS narrow FROM mirox.issue_token(:'session', 'narrow', 'full_access', permissions => '{parks:read}') \gset
SELECT secret AS grouped FROM mirox.issue_token(:'session', 'grouped', 'reporting') \gset
CREATE FUNCTION pg_temp.reaches(VARIADIC secrets text[]) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(v.status || ' ' || v.permissions::text, ', ' ORDER BY n) FROM unnest(secrets) WITH ORDINALITY u (s, n), mirox.verify_token(s, NULL, NULL, 'parks:read') v
$$;
SELECT pg_temp.reaches(:'secret', :'narrow', :'grouped');
SELECT mirox.put_account('verify', '{reports:generate}', 60000, 100000);
SELECT pg_temp.reaches(:'secret', :'narrow', :'grouped');
SELECT mirox.put_account('verify', '{*}', 60000, 100000);
SELECT pg_temp.reaches(:'secret', :'narrow', :'grouped');
UPDATE mirox_internal.account SET permissions = '{parks.berlin,exports}' WHERE user_id = 'verify';
SELECT pg_temp.reaches(:'secret', :'narrow', :'grouped');
UPDATE mirox_internal.account SET permissions = '{}' WHERE user_id = 'verify';
SELECT pg_temp.reaches(:'secret', :'narrow', :'grouped');
SELECT mirox.put_account('verify', '{parks,reports:generate}', 60000, 100000);
-- Within one transaction, and rolled back with it.
BEGIN;
SELECT pg_temp.reaches(:'secret');
SELECT mirox.put_account('verify', '{}', 60000, 100000);
SELECT pg_temp.reaches(:'secret');
ROLLBACK;
SELECT pg_temp.reaches(:'secret');

-- ---- the clock ------------------------------------------------------------------------------------------------------
-- Expiration is judged by the clock, not by the start of the transaction, at any isolation level.
SELECT secret AS s FROM mirox.issue_token(:'session', 'short', 'full_access', expires_in => '2 seconds') \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT status, reason FROM mirox.verify_token(:'s');
SELECT pg_sleep(2.1);
SELECT status, reason FROM mirox.verify_token(:'s');
COMMIT;
-- A direct UPDATE of the expiration is obeyed; an older snapshot of our own does not hide what we did since.
SELECT token_id AS id, secret AS s FROM mirox.issue_token(:'session', 'updated', 'full_access') \gset
UPDATE mirox_internal.token SET expires_at = clock_timestamp() + interval '500 milliseconds' WHERE token_id = :id;
SELECT pg_sleep(0.6);
SELECT status, reason FROM mirox.verify_token(:'s');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) > 0 AS snapshot_taken FROM mirox_internal.token;
SELECT secret AS s FROM mirox.rotate_token(:'session', :id) \gset
SELECT status, reason FROM mirox.verify_token(:'s');
SELECT mirox.revoke_token(:'session', :id) IS NOT NULL AS revoked;
SELECT status, reason FROM mirox.verify_token(:'s');
COMMIT;

-- ---- how it is called -----------------------------------------------------------------------------------------------
-- In a query over many rows, in a prepared statement, in a cursor, in a read-only transaction, in plpgsql.
SELECT count(*) FROM generate_series(1, 1000), mirox.verify_token(:'secret') v WHERE v.status = 200;
PREPARE check_it (text) AS SELECT status, reason FROM mirox.verify_token($1);
EXECUTE check_it(:'secret');
EXECUTE check_it('junk');
DEALLOCATE check_it;
BEGIN READ ONLY;
SELECT status, reason FROM mirox.verify_token(:'secret');
DECLARE c CURSOR FOR SELECT status FROM generate_series(1, 3), mirox.verify_token(:'secret');
FETCH 2 FROM c;
COMMIT;
SELECT (mirox.verify_token(:'secret')).status;
-- VOLATILE and PARALLEL UNSAFE: a fresh snapshot cannot be had in parallel mode.
SELECT proname, provolatile, proparallel FROM pg_proc WHERE oid IN ('mirox.verify_token(text,inet,text,text)'::regprocedure,
    'mirox.verify_digest(bytea,inet,text,text)'::regprocedure) ORDER BY 1;

SELECT mirox.delete_account('verify'), mirox.delete_account('verify/locked');
