-- Policies cost what a hand-written WHERE costs: the identity is asked once a query, and indexes and parallel plans stay. Plans
-- are compared by their shape: nodes and indexes, without the init-plans, of which the policies have at least one.
CREATE SCHEMA protect_plans;
SET search_path = protect_plans;
\set VERBOSITY terse
CREATE ROLE regress_protect_plans;
SELECT mirox.grant_access('regress_protect_plans', 'gateway');
GRANT USAGE ON SCHEMA protect_plans TO regress_protect_plans;
SELECT mirox.put_account('plans-ann', '{parks.berlin:read,parks.rome:read,notes}', 1000000, 1000);
SELECT mirox.put_account('plans-all', '{*}', 1000000, 1000);
CREATE FUNCTION bearer("user" text, OUT text) LANGUAGE sql AS
    $$ SELECT 'Bearer ' || secret FROM mirox.issue_token(mirox.open_session("user"), 'test', 'full_access') $$;
SELECT bearer('plans-ann') AS ann, bearer('plans-all') AS "all" \gset

CREATE FUNCTION nodes(plan jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    child jsonb;
    below text := '';
BEGIN
    FOR child IN SELECT jsonb_array_elements(coalesce(plan->'Plans', '[]')) LOOP
        IF child->>'Parent Relationship' IS DISTINCT FROM 'InitPlan' THEN
            below := below || ' > ' || protect_plans.nodes(child);
        END IF;
    END LOOP;
    RETURN (CASE WHEN (plan->>'Parallel Aware')::boolean THEN 'Parallel ' ELSE '' END)
        || (plan->>'Node Type') || coalesce(' ' || (plan->>'Index Name'), '') || below;
END $$;
CREATE FUNCTION shape(query text, OUT init_plans bigint, OUT shape text) LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    shape := protect_plans.nodes(plan->0->'Plan');
    init_plans := (SELECT count(*) FROM regexp_matches(plan::text, '"Parent Relationship": "InitPlan"', 'g'));
END $$;

CREATE TABLE hand (id int PRIMARY KEY, owner text NOT NULL, region text NOT NULL, v float8);
INSERT INTO hand SELECT i, CASE WHEN i % 1000 = 0 THEN 'plans-ann' ELSE 'u' || i % 997 END,
    CASE WHEN i % 1000 = 1 THEN 'berlin' WHEN i % 1000 = 2 THEN 'berlin.turbine_' || i WHEN i % 1000 = 3 THEN 'berlin-x'
         WHEN i % 1000 = 4 THEN 'rome' ELSE chr(97 + i % 26) || i % 499 END, i
    FROM generate_series(1, 40000) i;
CREATE INDEX hand_owner ON hand (owner);
CREATE INDEX hand_region ON hand (region);
CREATE TABLE policed (LIKE hand INCLUDING ALL);
INSERT INTO policed SELECT * FROM hand;
ALTER INDEX policed_pkey RENAME TO p_pkey;
ALTER INDEX policed_owner_idx RENAME TO p_owner;
ALTER INDEX policed_region_idx RENAME TO p_region;
ALTER INDEX hand_pkey RENAME TO h_pkey;
ALTER INDEX hand_owner RENAME TO h_owner;
ALTER INDEX hand_region RENAME TO h_region;
VACUUM ANALYZE hand;
VACUUM ANALYZE policed;
GRANT SELECT ON hand, policed TO regress_protect_plans;

-- ---- an owner column -------------------------------------------------------------------------------------------------------
SELECT mirox.protect_table('policed', 'notes', 'owner');
SET ROLE regress_protect_plans;
SET max_parallel_workers_per_gather = 0;
BEGIN;
SELECT mirox.authenticate(:'ann');
SELECT * FROM shape($$SELECT * FROM hand WHERE owner = 'plans-ann'$$);
SELECT * FROM shape('SELECT * FROM policed');
SELECT * FROM shape($$SELECT * FROM hand WHERE owner = 'plans-ann' AND id = 5$$);
SELECT * FROM shape('SELECT * FROM policed WHERE id = 5');
SELECT (SELECT count(*) FROM policed) = (SELECT count(*) FROM hand WHERE owner = 'plans-ann') AS same_rows;
ROLLBACK;

-- ---- parallel -------------------------------------------------------------------------------------------------------------
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
RESET ROLE;
SELECT mirox.protect_table('policed', 'notes');
SET ROLE regress_protect_plans;
BEGIN;
SELECT mirox.authenticate(:'ann');
SELECT * FROM shape('SELECT sum(v) FROM hand WHERE v > 7');
SELECT * FROM shape('SELECT sum(v) FROM policed WHERE v > 7');
SELECT (SELECT sum(v) FROM policed WHERE v > 7) = (SELECT sum(v) FROM hand WHERE v > 7) AS same;
ROLLBACK;
SELECT * FROM shape('SELECT sum(v) FROM policed WHERE v > 7');
SELECT count(*) FROM policed;
RESET ROLE;
SELECT mirox.protect_table('policed', 'parks', resource_column => 'region');
SET ROLE regress_protect_plans;
BEGIN;
SELECT mirox.authenticate(:'all');
SELECT * FROM shape('SELECT sum(v) FROM policed');
SELECT count(*) FROM policed;
ROLLBACK;
-- Whatever can be sent to a worker is.
SELECT set_config(CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END,
    'on', false);
BEGIN;
SELECT mirox.authenticate(:'ann');
SELECT count(*), count(DISTINCT region) FROM policed;
SELECT mirox.current_user_id(), mirox.granted('read'), mirox.allows('notes:read') FROM policed LIMIT 1;
ROLLBACK;
SELECT count(*) FROM policed;
SELECT mirox.current_user_id(), mirox.granted('read'), mirox.allows('notes:read');
SELECT set_config(CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'debug_parallel_query' ELSE 'force_parallel_mode' END,
    'off', false);
SET max_parallel_workers_per_gather = 0;

-- ---- a resource column: a range of the index for few values, the whole table for all ---------------------------------------------
SET enable_bitmapscan = off;
BEGIN;
SELECT mirox.authenticate(:'ann');
-- Two grants far apart: most of the index lies between.
SELECT * FROM shape('SELECT * FROM policed');
SELECT (SELECT count(*) FROM policed) = (SELECT count(*) FROM hand WHERE region IN ('berlin', 'rome') OR region LIKE 'berlin.%') AS same_rows;
ROLLBACK;
RESET ROLE;
SELECT mirox.put_account('plans-one', '{parks.berlin:read}', 1000000, 1000);
SELECT bearer('plans-one') AS one \gset
SET ROLE regress_protect_plans;
-- A plan made for few rows is right for all, for none, and for others: with and without the index's range.
PREPARE kept AS SELECT count(*), count(DISTINCT region) FROM policed;
BEGIN; SELECT mirox.authenticate(:'one'); SELECT * FROM shape('SELECT * FROM policed'); EXECUTE kept; ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'all'); SELECT * FROM shape('SELECT * FROM policed'); EXECUTE kept; ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'ann'); EXECUTE kept; ROLLBACK;
EXECUTE kept;
DEALLOCATE kept;
PREPARE kept AS SELECT count(*), count(DISTINCT region) FROM policed;
BEGIN; SELECT mirox.authenticate(:'all'); EXECUTE kept; ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'one'); EXECUTE kept; ROLLBACK;
EXECUTE kept;
SELECT (SELECT count(*) FROM hand), (SELECT count(DISTINCT region) FROM hand),
       (SELECT count(*) FROM hand WHERE region = 'berlin' OR region LIKE 'berlin.%') AS one;
-- What the range must hold: values beyond all letters, and what sorts beside the grant.
RESET ROLE;
INSERT INTO policed SELECT 100000 + n, 'x', r, 0 FROM unnest(ARRAY['', ' ', 'berlin', 'berlin.', 'berlin/', 'berlin0', 'berlin-', 'zzz',
    'é', U&'\+10FFFF', repeat(U&'\+10FFFF', 600), E'\x01', 'rome.' || repeat('z', 63)]) WITH ORDINALITY u(r, n);
SET ROLE regress_protect_plans;
PREPARE extra AS SELECT count(*), string_agg(left(region, 7), '|' ORDER BY region COLLATE "C") FROM policed WHERE owner = 'x';
SET enable_seqscan = off;
BEGIN; SELECT mirox.authenticate(:'one'); EXECUTE extra; SELECT count(*) FROM policed; ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'all'); EXECUTE extra; ROLLBACK;
DEALLOCATE extra;
PREPARE everything AS SELECT count(*) FROM policed;
BEGIN; SELECT mirox.authenticate(:'one'); SELECT * FROM shape('SELECT count(*) FROM policed'); EXECUTE everything; ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'all'); EXECUTE everything; ROLLBACK;
RESET enable_seqscan;
-- NULLs are in no range: a column that may hold them has none, since a grant of the whole reaches them.
RESET ROLE;
ALTER TABLE policed ALTER region DROP NOT NULL;
INSERT INTO policed VALUES (200000, 'x', NULL, 0);
SET ROLE regress_protect_plans;
BEGIN; SELECT mirox.authenticate(:'one'); SELECT * FROM shape('SELECT * FROM policed'); EXECUTE everything; ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'all'); EXECUTE everything; ROLLBACK;
RESET ROLE;
DELETE FROM policed WHERE region IS NULL;
ALTER TABLE policed ALTER region SET NOT NULL;
-- An index in a language's order holds no such range; one by the bytes of the text does.
DROP INDEX p_region;
CREATE INDEX p_pattern ON policed (region text_pattern_ops);
ANALYZE policed;
SET ROLE regress_protect_plans;
BEGIN; SELECT mirox.authenticate(:'one'); SELECT * FROM shape('SELECT v FROM policed'); SELECT count(*) FROM policed; ROLLBACK;
RESET ROLE;
-- Partitions, each with its index; a varchar column.
CREATE TABLE parts (region varchar(70) NOT NULL, v int) PARTITION BY RANGE (v);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (20000);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (20000) TO (50000);
INSERT INTO parts SELECT region, v FROM hand;
CREATE INDEX parts_region ON parts (region COLLATE "C");
VACUUM ANALYZE parts;
GRANT SELECT ON parts TO regress_protect_plans;
SELECT mirox.protect_table('parts', 'parks', resource_column => 'region');
SET ROLE regress_protect_plans;
BEGIN; SELECT mirox.authenticate(:'one'); SELECT * FROM shape('SELECT * FROM parts'); SELECT count(*) FROM parts; ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'all'); SELECT * FROM shape('SELECT * FROM parts'); SELECT count(*) FROM parts; ROLLBACK;
RESET ROLE;

-- ---- the operators by themselves ------------------------------------------------------------------------------------------------
SELECT '{parks.berlin,parks.rome.x,reports}'::mirox.scopes OPERATOR(mirox.->) 'parks' AS below,
       '{parks}'::mirox.scopes OPERATOR(mirox.->) 'parks.rome' AS whole, '{parks:read}'::mirox.scopes OPERATOR(mirox.->) 'parks' AS acting,
       '{*}'::mirox.scopes OPERATOR(mirox.->) 'no resource!' AS none, '{}'::mirox.scopes OPERATOR(mirox.->) 'parks' AS empty;
SELECT v, '{berlin}'::mirox.scopes OPERATOR(mirox.~>) v AS berlin, '{*}'::mirox.scopes OPERATOR(mirox.~>) v AS "all",
       NULL::mirox.scopes OPERATOR(mirox.~>) v AS "null" FROM unnest('{berlin,berlin.x,rome,"no value!",NULL}'::text[]) v;
SELECT OPERATOR(mirox.|<) s AS least, left(OPERATOR(mirox.|>) s, 20) = repeat(U&'\+10FFFF', 20) AS "all",
       CASE WHEN s::text <> '{*}' THEN OPERATOR(mirox.|>) s END AS bound
  FROM unnest('{"{}","{*}","{a,a-b}","{berlin}"}'::mirox.scopes[]) s;

SET client_min_messages = warning;
DROP SCHEMA protect_plans CASCADE;
SELECT count(mirox.delete_account(user_id)) FROM mirox_internal.account WHERE user_id LIKE 'plans-%';
SELECT mirox.revoke_access('regress_protect_plans', 'gateway');
DROP ROLE regress_protect_plans;
