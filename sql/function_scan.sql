-- Our functions that return one row, in FROM: by a scan node of our own, which must answer as the server's function scan does.
SELECT mirox.put_account('function_scan', '{parks}') IS NOT NULL AS registered;
SELECT mirox.open_session('function_scan') AS session \gset
SELECT secret AS s, token_id AS id FROM mirox.issue_token(:'session', 'scan', 'full_access') \gset

-- ---- which plan -------------------------------------------------------------------------------------------------------
EXPLAIN (COSTS OFF) SELECT status, reason FROM mirox.verify_token('x');
EXPLAIN (COSTS OFF, VERBOSE) SELECT reason, status + 1 FROM mirox.verify_token('x') v WHERE v.status > 200;
EXPLAIN (COSTS OFF) SELECT count(*) FROM mirox.check_request('Bearer x', 'GET', '/');
PREPARE by_plan (text) AS SELECT status, user_id FROM mirox.verify_token($1);
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF, VERBOSE) EXECUTE by_plan('x');
EXECUTE by_plan(:'s');
EXECUTE by_plan('x');
-- What the function is given is not shown, though it is a constant in a plan of its own.
SET plan_cache_mode = force_custom_plan;
EXPLAIN (COSTS OFF, VERBOSE) EXECUTE by_plan('x');
RESET plan_cache_mode;
DEALLOCATE by_plan;
EXPLAIN (COSTS OFF, VERBOSE) SELECT v.status FROM (VALUES ('x'), ('y')) AS g (s), mirox.verify_token(g.s || 'z', required_scope => 'parks') v;
-- The server's scan where a row may have to be shown again whole, or there is more than one function.
EXPLAIN (COSTS OFF) SELECT v FROM mirox.verify_token('x') v;
EXPLAIN (COSTS OFF) SELECT status FROM mirox.verify_token('x') v WHERE v IS NOT NULL;
EXPLAIN (COSTS OFF) SELECT status, ordinality FROM mirox.verify_token('x') WITH ORDINALITY;
EXPLAIN (COSTS OFF) SELECT a.status, b FROM ROWS FROM (mirox.verify_token('x'), generate_series(1, 2)) a (status, r, t, u, g, p, e, m, b);
EXPLAIN (COSTS OFF) SELECT name FROM mirox.list_tokens('x');
CREATE TEMPORARY TABLE scanned (id integer, s text, status integer);
EXPLAIN (COSTS OFF) UPDATE scanned c SET status = v.status FROM mirox.verify_token('x') v;
EXPLAIN (COSTS OFF) SELECT v.status FROM scanned c, mirox.verify_token('x') v FOR UPDATE OF c;
EXPLAIN (COSTS OFF) INSERT INTO scanned SELECT 5, reason, status FROM mirox.verify_token('x');
-- Others' functions are left alone.
CREATE FUNCTION pg_temp.verdict() RETURNS mirox.verdict LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
EXPLAIN (COSTS OFF) SELECT status FROM pg_temp.verdict();

-- ---- what it answers: each pair is one question, to our scan and (as a whole row, or with ordinality) to the server's --------
SELECT status, reason, token_id = :id AS same, user_id, permission_group, permissions, expires_at > now() AS later, retry_after_ms
FROM mirox.verify_token(:'s');
SELECT status, reason, token_id = :id AS same, user_id, permission_group, permissions, expires_at > now() AS later, retry_after_ms
FROM mirox.verify_token(:'s') WITH ORDINALITY;
SELECT to_jsonb(v) - 'expires_at' - 'token_id' FROM mirox.verify_token(:'s') v;
SELECT retry_after_ms, status, status FROM mirox.verify_token('x');
SELECT retry_after_ms, status, status FROM mirox.verify_token('x') WITH ORDINALITY;
SELECT count(*), max(status) FROM mirox.verify_token(:'s') WHERE status = 401;
SELECT count(*), max(status) FROM mirox.verify_token(:'s') WHERE status = 200;
SELECT FROM mirox.verify_token(:'s');
SELECT status, required_scope, ratelimit_limit > 0 AS limited FROM mirox.check_request('Bearer ' || :'s', 'GET', '/nowhere');
SELECT status, (SELECT max(i) FROM generate_series(1, status) i) AS most FROM mirox.verify_token(:'s') ORDER BY reason || status LIMIT 1;

-- ---- called once for what it is given, however often its row is read --------------------------------------------------------
INSERT INTO scanned SELECT i, CASE WHEN i % 2 = 0 THEN :'s' ELSE 'x' || i END FROM generate_series(1, 4) i;
SELECT count(*), count(DISTINCT v.secret) FROM scanned, mirox.issue_token(:'session', 'once', 'reporting') v;
SELECT count(*), count(DISTINCT v.secret)
FROM scanned c LEFT JOIN (SELECT secret, place FROM mirox.issue_token(:'session', 'once, filtered', 'reporting') WHERE place > 64) v ON v.place > c.id;
SELECT count(*), count(DISTINCT v.secret) FROM scanned c, LATERAL mirox.issue_token(:'session', 'each ' || c.id, 'reporting') v;
SELECT name, count(*) FROM mirox.list_tokens(:'session') GROUP BY name ORDER BY name;
SELECT c.id, v.status FROM scanned c, LATERAL mirox.verify_token(c.s) v ORDER BY 1;
SELECT c.id, v.status FROM scanned c LEFT JOIN LATERAL mirox.verify_token(c.s) v ON v.status = 200 ORDER BY 1;
SELECT id, (SELECT reason FROM mirox.verify_token(c.s)) FROM scanned c ORDER BY 1;
SELECT id, ARRAY(SELECT v.status + g FROM mirox.verify_token(c.s) v, generate_series(1, 2) g) FROM scanned c ORDER BY 1;
SELECT id, EXISTS (SELECT FROM mirox.verify_token(c.s) v WHERE v.user_id = 'function_scan') FROM scanned c ORDER BY 1;
-- A parameter of the condition or of the result is none of what the function is given.
SELECT count(DISTINCT (SELECT v.secret FROM mirox.issue_token(:'session', 'once in all', 'reporting') v WHERE v.place > c.id - 100)) FROM scanned c;
SELECT count(DISTINCT (SELECT split_part(v.secret || ' ' || c.id, ' ', 1) FROM mirox.issue_token(:'session', 'once in all', 'reporting') v)) FROM scanned c;
SELECT count(DISTINCT (SELECT v.secret FROM mirox.issue_token(:'session', 'each ' || (SELECT c.id), 'reporting') v)) FROM scanned c;
-- A merge join reads its inner side again, a hash join once.
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT c.id, v.status FROM (VALUES (401, 1), (401, 2), (200, 3)) c (status, id) JOIN mirox.verify_token('x') v USING (status) ORDER BY 1;
RESET enable_hashjoin;
SET enable_mergejoin = off;
SELECT c.id, v.status FROM (VALUES (401, 1), (401, 2), (200, 3)) c (status, id) JOIN mirox.verify_token('x') v USING (status) ORDER BY 1;
RESET enable_mergejoin;
RESET enable_nestloop;
UPDATE scanned c SET status = v.status FROM mirox.verify_token(:'s') v WHERE c.id = 2;
INSERT INTO scanned SELECT 5, reason, status FROM mirox.verify_token(:'s') RETURNING id, s, status;
WITH v AS (SELECT status FROM mirox.verify_token(:'s')) SELECT (SELECT status FROM v) + (SELECT status FROM v) AS twice;

-- ---- cursors, both ways ---------------------------------------------------------------------------------------------------
BEGIN;
DECLARE c CURSOR FOR SELECT secret, place FROM mirox.issue_token(:'session', 'cursor', 'reporting');
FETCH c \gset first_
FETCH c;
FETCH BACKWARD 1 FROM c \gset again_
FETCH BACKWARD 1 FROM c;
FETCH BACKWARD 1 FROM c;
FETCH 5 FROM c \gset third_
SELECT :'first_secret' = :'again_secret' AND :'first_secret' = :'third_secret' AS one_call;
COMMIT;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT status + 1 AS more FROM mirox.verify_token('x') WHERE status > 300;
FETCH LAST FROM c;
FETCH FIRST FROM c;
FETCH ABSOLUTE 2 FROM c;
FETCH PRIOR FROM c;
COMMIT;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT status FROM mirox.verify_token('x') WHERE status > 500;
FETCH LAST FROM c;
FETCH FIRST FROM c;
COMMIT;

-- ---- rights are checked when it is run, by whoever runs it ----------------------------------------------------------------------
CREATE ROLE regress_mirox_scan;
GRANT USAGE ON SCHEMA mirox TO regress_mirox_scan;
PREPARE as_anyone AS SELECT status FROM mirox.verify_token('x');
EXECUTE as_anyone;
SET ROLE regress_mirox_scan;
EXECUTE as_anyone;
SELECT status FROM mirox.verify_token('x');
RESET ROLE;
EXECUTE as_anyone;
DEALLOCATE as_anyone;
CREATE FUNCTION pg_temp.reason_of(text) RETURNS text LANGUAGE plpgsql AS
    $$DECLARE r text; BEGIN SELECT reason INTO r FROM mirox.verify_token($1); RETURN r; END$$;
SELECT pg_temp.reason_of(s) FROM scanned ORDER BY id;
REVOKE USAGE ON SCHEMA mirox FROM regress_mirox_scan;
DROP ROLE regress_mirox_scan;

-- ---- a row type that has grown since the plan was made ----------------------------------------------------------------------------
BEGIN;
PREPARE grown AS SELECT status, reason FROM mirox.verify_token('x');
EXECUTE grown;
ALTER TYPE mirox.verdict ADD ATTRIBUTE of_later text;
EXECUTE grown;
SELECT status, of_later FROM mirox.verify_token('x');
ROLLBACK;
EXECUTE grown;
DEALLOCATE grown;

BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT user_id FROM mirox.verify_token(:'s');
FETCH c;
ALTER TYPE mirox.verdict ALTER ATTRIBUTE token_id TYPE text;
FETCH FIRST FROM c;
ROLLBACK;
SELECT mirox.delete_account('function_scan');
