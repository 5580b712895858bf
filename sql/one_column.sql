-- A column taken out of a check, (f(x)).status: asked of the function alone, with the answer that the row would have given.
-- So few requests a minute that none comes back meanwhile.
SELECT mirox.put_account('one_column', '{parks, stations}', 1, 200) IS NOT NULL AS registered;
SELECT mirox.open_session('one_column') AS session \gset
SELECT secret AS s, token_id AS id FROM mirox.issue_token(:'session', 'one', 'full_access') \gset

-- ---- which plan -------------------------------------------------------------------------------------------------------
-- How a plan names what a sub-select gives differs between versions.
CREATE FUNCTION pg_temp.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF, VERBOSE) ' || query LOOP
        RETURN NEXT regexp_replace(regexp_replace(line, '\$0|\(InitPlan 1\)\.col1', '(sub-select)'), ' \(returns .*\)$', '');
    END LOOP;
END $$;
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_token('x')).status;
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_token('x')).reason, (mirox.verify_token('y', NULL, 'agent')).token_id;
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_digest(sha256('x'))).status;
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.check_request('x', 'GET', '/')).www_authenticate;
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.explain_check('x')).required_scope;
-- Named and left-out arguments are put in their places first.
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_token(required_scope => 'parks', secret => 'x')).status;
-- One as the argument of another; in a sub-select, which is planned by itself.
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_token((mirox.verify_token('x')).reason)).status;
SELECT pg_temp.plan($$SELECT (SELECT (mirox.verify_token('x')).status), 1$$);
-- Not where the row is wanted too, or a column of a type of ours; nor where a call may be hidden.
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_token('x')).status, mirox.verify_token('y');
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_token('x')).status, (mirox.verify_token('x')).permissions;
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_token('x')).status FROM mirox.verify_token('y') v;
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_token('x')).status WHERE mirox.verify_token('y') IS NOT NULL;
SELECT pg_temp.plan($$SELECT (mirox.verify_token('x')).status, (SELECT mirox.verify_token('y'))$$);
CREATE FUNCTION pg_temp.whole(secret text) RETURNS mirox.verdict LANGUAGE sql VOLATILE AS 'SELECT mirox.verify_token($1)';
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_token('x')).status, pg_temp.whole('x');
EXPLAIN (COSTS OFF, VERBOSE) SELECT (pg_temp.whole('x')).status;
CREATE FUNCTION pg_temp.by_default(a integer, v mirox.verdict DEFAULT mirox.verify_token('x')) RETURNS text LANGUAGE plpgsql AS
    'BEGIN RETURN a || v.reason; END';
EXPLAIN (COSTS OFF, VERBOSE) SELECT (mirox.verify_token('x')).status, pg_temp.by_default(1);
SELECT (mirox.verify_token('x')).status, pg_temp.by_default(1), (pg_temp.whole('x')).reason;
SELECT (mirox.verify_token(:'s')).status, (pg_temp.whole(:'s')).user_id;

-- ---- what it answers ---------------------------------------------------------------------------------------------------
SELECT (mirox.verify_token(:'s')).status, (mirox.verify_token(:'s')).reason, (mirox.verify_token(:'s')).token_id = :id AS same,
    (mirox.verify_token(:'s')).user_id, (mirox.verify_token(:'s')).permission_group, (mirox.verify_token(:'s')).retry_after_ms;
SELECT (mirox.verify_token(:'s')).expires_at = expires_at AS same FROM mirox.list_tokens(:'session');
SELECT (mirox.verify_token(:'s')).permissions;
SELECT (mirox.verify_token(:'s', required_scope => 'trains')).status, (mirox.verify_token(:'s', required_scope => 'trains')).reason;
SELECT (mirox.verify_digest(sha256(:'s'::bytea))).status, (mirox.verify_digest(sha256(:'s'::bytea))).user_id;
SELECT (mirox.verify_token(NULL)).status, (mirox.verify_token(NULL)).reason, (mirox.verify_token(NULL)).user_id;
SELECT (mirox.verify_token('x')).*;
SELECT (mirox.check_request('Bearer ' || :'s', 'GET', '/nowhere')).status, (mirox.check_request('Bearer x', 'GET', '/')).www_authenticate,
    (mirox.check_request('Bearer ' || :'s', 'GET', '/nowhere')).ratelimit_limit, (mirox.check_request('Bearer ' || :'s', 'GET', '/nowhere')).required_scope,
    (mirox.check_request('Bearer ' || :'s', 'GET', '/nowhere')).retry_after;
SELECT (mirox.explain_check(:'s', 'GET', '/nowhere')).reason, (mirox.explain_check(:'s', 'GET', '/nowhere')).required_scope;
-- One draw and one use a call, whatever the column.
SELECT (mirox.check_request('Bearer ' || :'s', 'GET', '/nowhere')).ratelimit_remaining AS before \gset
SELECT (mirox.verify_token(:'s')).status, (mirox.verify_token(:'s')).reason;
SELECT :before - (mirox.check_request('Bearer ' || :'s', 'GET', '/nowhere')).ratelimit_remaining AS drawn;

-- ---- where it may stand ------------------------------------------------------------------------------------------------
PREPARE asked (text) AS SELECT (mirox.verify_token($1)).status;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF, VERBOSE) EXECUTE asked('x');
EXECUTE asked(:'s');
EXECUTE asked('x');
RESET plan_cache_mode;
DEALLOCATE asked;
CREATE TEMPORARY TABLE sent (id integer, s text, status integer DEFAULT 0, reason text);
INSERT INTO sent SELECT i, CASE WHEN i % 2 = 0 THEN :'s' ELSE 'x' || i END FROM generate_series(1, 4) i;
SELECT id, (mirox.verify_token(s)).reason FROM sent ORDER BY (mirox.verify_token(s)).status, id;
SELECT (mirox.verify_token(s)).status, count(*) FROM sent GROUP BY 1 ORDER BY 1;
SELECT id FROM sent WHERE (mirox.verify_token(s)).status = 200 AND (mirox.verify_token(s)).user_id = 'one_column' ORDER BY 1;
SELECT max(id), (mirox.verify_token(max(s))).status FROM sent HAVING (mirox.verify_token(max(s))).reason <> 'ok';
SELECT id, CASE WHEN id > 2 THEN (mirox.verify_token(s)).status END AS status FROM sent ORDER BY 1;
UPDATE sent SET status = (mirox.verify_token(s)).status, reason = (mirox.verify_token(s)).reason RETURNING id, status, (mirox.verify_token(s)).reason;
INSERT INTO sent VALUES (5, :'s', (mirox.verify_token(:'s')).status, (mirox.verify_token('y')).reason) RETURNING id, status, reason;
MERGE INTO sent USING (SELECT 5 AS id) five ON sent.id = five.id WHEN MATCHED THEN UPDATE SET status = (mirox.verify_token('x')).status;
SELECT id, status, reason FROM sent WHERE id = 5;
WITH asked AS (SELECT (mirox.verify_token(s)).status AS status FROM sent) SELECT count(*), sum(status) FROM asked;
SELECT id, (SELECT (mirox.verify_token(sent.s)).status) AS status FROM sent ORDER BY 1;
SELECT x.status FROM sent, LATERAL (SELECT (mirox.verify_token(sent.s)).status) x WHERE id < 3 ORDER BY 1;
SELECT 1 AS status UNION ALL SELECT (mirox.verify_token('x')).status ORDER BY 1;
SELECT status FROM (VALUES ((mirox.verify_token(:'s')).status), ((mirox.verify_token('x')).status)) v (status) ORDER BY 1;
CREATE TEMPORARY VIEW asked AS SELECT id, (mirox.verify_token(s)).reason FROM sent;
SELECT * FROM asked WHERE id = 2;
-- What the planner folds more than once, estimates by, or looks at again below or above.
SELECT id FROM sent WHERE (mirox.verify_token(s)).status IN (200, 429) ORDER BY 1;
SELECT count(*) FROM sent WHERE status = (mirox.verify_token('x')).status;
CREATE TEMPORARY TABLE parted (s text) PARTITION BY LIST (s);
CREATE TEMPORARY TABLE part PARTITION OF parted DEFAULT;
INSERT INTO parted VALUES (:'s'), ('x');
SELECT count(*) FROM parted WHERE (mirox.verify_token(s)).status = 200;
SELECT count(*) FROM (SELECT s FROM sent UNION ALL SELECT s FROM sent) u WHERE (mirox.verify_token(s)).status = 200;
SELECT id FROM (SELECT id, max(s) AS m FROM sent GROUP BY id) q WHERE (mirox.verify_token(m)).status = 200 ORDER BY 1;
SELECT count(*) FROM (SELECT s, random() AS r FROM sent) q WHERE (mirox.verify_token(s)).status = 200;
SELECT lpad((mirox.verify_token('x')).reason, 12), bit_length((mirox.verify_token('x')).reason);
SELECT interval '1 day' + (mirox.verify_token(:'s')).expires_at > now() AS later;
SELECT max(g) FROM generate_series(1, (mirox.verify_token('x')).status) g;
SELECT id, u FROM sent, LATERAL unnest(string_to_array((mirox.verify_token(s, required_scope => 'trains')).reason, '_')) u ORDER BY 1, 2;
SELECT id FROM sent ORDER BY 1 LIMIT (mirox.verify_token('x')).status OFFSET (mirox.verify_token('x')).status - 398;
-- HAVING finds what is grouped by: a draw for each of the five rows, and none more.
SELECT (mirox.check_request('Bearer ' || :'s', 'GET', '/nowhere')).ratelimit_remaining AS before \gset
SELECT (mirox.verify_token(:'s' || repeat('', id))).status, count(*) FROM sent
GROUP BY (mirox.verify_token(:'s' || repeat('', id))).status HAVING (mirox.verify_token(:'s' || repeat('', id))).status = 200;
SELECT :before - (mirox.check_request('Bearer ' || :'s', 'GET', '/nowhere')).ratelimit_remaining AS drawn;
-- One of many calls is left as it is.
SELECT string_agg('(mirox.verify_token(''x' || i || ''')).status', ' + ') AS many FROM generate_series(1, 400) i \gset
SELECT :many AS sum;
-- A column of a row that a sub-select has made is no column of a call.
SELECT (v).status, (v).reason FROM (SELECT mirox.verify_token(:'s') OFFSET 0) x (v);
DO $$
DECLARE status integer; reason text; whole mirox.verdict;
BEGIN
    status := (mirox.verify_token('x')).status;
    reason := (mirox.verify_token('x')).reason;
    whole := mirox.verify_token('x');
    RAISE NOTICE '% % %', status, reason, whole.reason;
    FOR i IN 1 .. 8 LOOP
        reason := reason || ' ' || (mirox.verify_token(NULL)).reason;
    END LOOP;
    RAISE NOTICE '%', reason;
END $$;

-- ---- rights ------------------------------------------------------------------------------------------------------------
CREATE ROLE regress_one_column;
SET ROLE regress_one_column;
SELECT (mirox.verify_token('x')).status;
-- What it takes cannot be made in SQL; which refusal that is differs between minor versions of the server.
SELECT oidvectortypes(proargtypes) AS takes, has_function_privilege(oid, 'EXECUTE') AS granted
  FROM pg_proc WHERE proname = 'one_column_support';
RESET ROLE;
SELECT mirox.grant_access('regress_one_column', 'gateway');
SET ROLE regress_one_column;
SELECT (mirox.verify_token('x')).status;
RESET ROLE;
-- A plan made while it might call may not go on when it may no more.
PREPARE asked (text) AS SELECT (mirox.verify_token($1)).status;
SET plan_cache_mode = force_generic_plan;
SET ROLE regress_one_column;
EXECUTE asked('x');
RESET ROLE;
SELECT mirox.revoke_access('regress_one_column', 'gateway');
SET ROLE regress_one_column;
EXECUTE asked('x');
RESET ROLE;
DEALLOCATE asked;
DROP ROLE regress_one_column;
