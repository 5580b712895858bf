-- Row security by scope: who sees and writes which rows, by whatever way they come to the table.
CREATE SCHEMA protect_test;
SET search_path = protect_test;
\set VERBOSITY terse
CREATE ROLE regress_protect_app;
CREATE ROLE regress_protect_owner;
SELECT mirox.grant_access('regress_protect_app', 'gateway');
SELECT mirox.grant_access('regress_protect_owner', 'admin');
GRANT ALL ON SCHEMA protect_test TO regress_protect_owner;
GRANT USAGE ON SCHEMA protect_test TO regress_protect_app;
SELECT mirox.put_account('protect-ann', '{parks.berlin:read,parks.berlin:update,parks.rome.x,notes}', 1000000, 1000);
SELECT mirox.put_account('protect-bob', '{parks,notes:read,notes:insert}', 1000000, 1000);
SELECT mirox.put_account('protect-none', '{reports}', 1000000, 1000);
CREATE FUNCTION bearer("user" text, OUT text) LANGUAGE sql AS
    $$ SELECT 'Bearer ' || secret FROM mirox.issue_token(mirox.open_session("user"), 'test', 'full_access') $$;
SELECT bearer('protect-ann') AS ann, bearer('protect-bob') AS bob, bearer('protect-none') AS none \gset

-- ---- a resource column ---------------------------------------------------------------------------------------------------
SET ROLE regress_protect_owner;
CREATE TABLE measure (id int PRIMARY KEY, region text, v int NOT NULL DEFAULT 0);
INSERT INTO measure (id, region) VALUES (1, 'berlin'), (2, 'berlin.turbine_7'), (3, 'rome'), (4, 'rome.x'), (5, 'rome.x.y'),
    (6, 'berlin-x'), (7, 'berlin..x'), (8, 'Berlin'), (9, ''), (10, NULL), (11, 'berlin:read'), (12, '*'), (13, 'berlin.*'),
    (14, 'berlin.' || repeat('a', 63)), (15, 'berlin.' || repeat('a', 64)), (16, 'berlin '), (17, E'berlin\n'), (18, 'parks.berlin');
GRANT SELECT, INSERT, UPDATE, DELETE ON measure TO regress_protect_app;
SELECT mirox.protect_table('measure', 'parks', resource_column => 'region');
SELECT polname, polcmd, polpermissive, polroles::regrole[], pg_get_expr(polqual, polrelid) AS "using", pg_get_expr(polwithcheck, polrelid) AS "check"
  FROM pg_policy WHERE polrelid = 'measure'::regclass ORDER BY polname;
SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = 'measure'::regclass;
-- The owner is bound too.
SELECT count(*) FROM measure;
SET ROLE regress_protect_app;
-- Nobody: nothing, and no error.
SELECT count(*) FROM measure;
UPDATE measure SET v = 1;
DELETE FROM measure;
INSERT INTO measure VALUES (100, 'berlin');
BEGIN; SELECT mirox.authenticate(:'none'); SELECT count(*) FROM measure; ROLLBACK;
-- What ann reaches; a grant of the whole reaches everything.
BEGIN; SELECT mirox.authenticate(:'ann'); SELECT id, left(region, 20) FROM measure ORDER BY id; ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'bob'); SELECT count(*) FROM measure; ROLLBACK;
-- Writing: by the action, on the row as it was and as it becomes.
BEGIN;
SELECT mirox.authenticate(:'ann');
UPDATE measure SET v = 2 RETURNING id;
SAVEPOINT s;
UPDATE measure SET region = 'rome.x' WHERE id = 1 RETURNING id;
UPDATE measure SET region = 'rome' WHERE id = 1;
ROLLBACK TO s;
UPDATE measure SET region = NULL WHERE id = 1;
ROLLBACK TO s;
INSERT INTO measure VALUES (100, 'rome.x.new') RETURNING id;
INSERT INTO measure VALUES (101, 'berlin');
ROLLBACK TO s;
DELETE FROM measure RETURNING id;
INSERT INTO measure VALUES (2, 'rome.x') ON CONFLICT (id) DO UPDATE SET v = 9;
INSERT INTO measure VALUES (6, 'rome.x') ON CONFLICT (id) DO UPDATE SET v = 9;
ROLLBACK TO s;
MERGE INTO measure m USING (VALUES (1, 'berlin'), (4, 'rome.x')) s(id, region) ON m.id = s.id
    WHEN MATCHED THEN UPDATE SET v = 77;
SELECT id FROM measure WHERE v = 77 ORDER BY id;
MERGE INTO measure m USING (VALUES (200, 'berlin')) s(id, region) ON m.id = s.id
    WHEN NOT MATCHED THEN INSERT (id, region) VALUES (s.id, s.region);
ROLLBACK TO s;
MERGE INTO measure m USING (VALUES (1)) s(id) ON m.id = s.id WHEN MATCHED THEN DELETE;
ROLLBACK;

-- ---- other ways to the rows -------------------------------------------------------------------------------------------------
BEGIN; SELECT mirox.authenticate(:'ann'); COPY (SELECT id FROM measure ORDER BY id) TO STDOUT; COPY measure (id) TO STDOUT; ROLLBACK;
COPY measure TO STDOUT;
BEGIN;
SELECT mirox.authenticate(:'ann');
-- From a file: what psql does with the lines after a COPY FROM STDIN that is refused differs from one psql to the next.
RESET ROLE;
GRANT pg_read_server_files TO regress_protect_app;
SET ROLE regress_protect_app;
COPY measure (id, region) FROM '/dev/null';
ROLLBACK;
RESET ROLE;
CREATE VIEW as_invoker WITH (security_invoker = true) AS SELECT id, region FROM measure;
CREATE VIEW as_owner AS SELECT id, region FROM measure;
ALTER VIEW as_owner OWNER TO regress_protect_owner;
CREATE FUNCTION leak(int, text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'seen: %', $1; RETURN true; END $$;
CREATE FUNCTION counts() RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT count(*) FROM protect_test.measure); END $$;
CREATE FUNCTION counts_sql() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM protect_test.measure $$;
CREATE FUNCTION counts_definer() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS
    $$ SELECT count(*) FROM protect_test.measure $$;
ALTER FUNCTION counts_definer() OWNER TO regress_protect_owner;
GRANT SELECT ON as_invoker, as_owner TO regress_protect_app;
SET ROLE regress_protect_app;
SELECT (SELECT count(*) FROM as_invoker), (SELECT count(*) FROM as_owner), counts(), counts_sql(), counts_definer();
BEGIN;
SELECT mirox.authenticate(:'ann');
SELECT (SELECT count(*) FROM as_invoker), (SELECT count(*) FROM as_owner), counts(), counts_sql(), counts_definer();
-- A condition of the query's own is not tried on rows that it may not see.
SELECT count(*) FROM measure WHERE leak(id, region);
ROLLBACK;
SELECT counts(), counts_sql(), counts_definer();

-- ---- plans that outlive the identity ----------------------------------------------------------------------------------------
PREPARE all_rows AS SELECT count(*) FROM measure;
PREPARE past AS SELECT count(*) FROM measure WHERE id > $1;
BEGIN; SELECT mirox.authenticate(:'bob'); EXECUTE all_rows; EXECUTE past(0); ROLLBACK;
EXECUTE all_rows; EXECUTE past(0);
SET plan_cache_mode = force_generic_plan;
BEGIN; SELECT mirox.authenticate(:'ann'); EXECUTE all_rows; EXECUTE past(0); ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'bob'); EXECUTE all_rows; EXECUTE past(0); ROLLBACK;
EXECUTE all_rows; EXECUTE past(0);
RESET plan_cache_mode;
-- The same plan before, under and after an identity of one transaction.
BEGIN; EXECUTE all_rows; SAVEPOINT s; SELECT mirox.authenticate(:'ann'); EXECUTE all_rows; ROLLBACK TO s; EXECUTE all_rows; ROLLBACK;
-- A cursor that is held was filled before the identity ended; one that is not ends with it.
BEGIN;
SELECT mirox.authenticate(:'ann');
DECLARE held CURSOR WITH HOLD FOR SELECT id FROM measure ORDER BY id;
COMMIT;
SELECT mirox.current_user_id();
FETCH 2 FROM held;
SELECT count(*) FROM measure;
CLOSE held;
-- A cursor is nobody's who was not there when it was first read.
BEGIN;
DECLARE before CURSOR FOR SELECT id FROM measure ORDER BY id;
FETCH 1 FROM before;
SELECT mirox.authenticate(:'bob');
FETCH 1 FROM before;
ROLLBACK;
-- And no other identity follows one that has filled it.
BEGIN;
DECLARE across CURSOR FOR SELECT id FROM measure ORDER BY id;
SAVEPOINT s;
SELECT mirox.authenticate(:'bob');
FETCH 1 FROM across;
ROLLBACK TO s;
SELECT mirox.authenticate(:'ann');
ROLLBACK;

-- ---- an owner column ---------------------------------------------------------------------------------------------------------
SET ROLE regress_protect_owner;
CREATE TABLE note (id int PRIMARY KEY, owner text, body text);
INSERT INTO note SELECT i, (ARRAY['protect-ann', 'protect-bob', 'PROTECT-ANN', NULL])[1 + i % 4], 'x' FROM generate_series(1, 40) i;
GRANT SELECT, INSERT, UPDATE, DELETE ON note TO regress_protect_app;
SELECT mirox.protect_table('note', 'notes', 'owner');
SET ROLE regress_protect_app;
SELECT count(*) FROM note;
BEGIN;
SELECT mirox.authenticate(:'ann');
SELECT count(*), min(owner), max(owner) FROM note;
INSERT INTO note VALUES (100, 'protect-ann') RETURNING id;
SAVEPOINT s;
INSERT INTO note VALUES (101, 'protect-bob');
ROLLBACK TO s;
INSERT INTO note VALUES (101, NULL);
ROLLBACK TO s;
UPDATE note SET owner = 'protect-bob' WHERE id = 100;
ROLLBACK TO s;
UPDATE note SET body = 'mine';
DELETE FROM note;
ROLLBACK;
BEGIN;
SELECT mirox.authenticate(:'bob');
SELECT count(*), min(owner), max(owner) FROM note;
INSERT INTO note VALUES (100, 'protect-bob') RETURNING id;
-- Read, but neither changed nor deleted.
UPDATE note SET body = 'mine';
DELETE FROM note;
ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'none'); SELECT count(*) FROM note; ROLLBACK;
-- Once more with other arguments: both columns; then without force.
SET ROLE regress_protect_owner;
ALTER TABLE note ADD COLUMN topic varchar(20) DEFAULT 'a';
SELECT mirox.protect_table('note', 'notes', owner_column => 'owner', resource_column => 'topic', force => false);
SELECT count(*) FROM note;
SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'note'::regclass AND polname = 'mirox_read';
SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = 'note'::regclass;

-- Ids of other types: only what is the text form of an account's id.
RESET ROLE;
SELECT count(mirox.put_account(u, '{things}', 1000000, 1000)) FROM unnest(ARRAY['7', '07', '-7', '+7', '-0', '9223372036854775807',
    '9223372036854775808', '32768', 'b2f5ff47-4365-4c6e-8b3d-3a5a4c2b1e10', 'B2F5FF47-4365-4C6E-8B3D-3A5A4C2B1E10',
    '{b2f5ff47-4365-4c6e-8b3d-3a5a4c2b1e10}']) u;
CREATE TABLE by_int8 (owner bigint);
CREATE TABLE by_int2 (owner smallint);
CREATE DOMAIN ids AS uuid;
CREATE TABLE by_uuid (owner ids);
CREATE TABLE by_varchar (owner varchar(40) COLLATE "C");
INSERT INTO by_int8 VALUES (7), (-7), (9223372036854775807), (32768), (0), (NULL);
INSERT INTO by_int2 VALUES (7), (-7);
INSERT INTO by_uuid VALUES ('b2f5ff47-4365-4c6e-8b3d-3a5a4c2b1e10');
INSERT INTO by_varchar VALUES ('7'), ('07'), (NULL);
SELECT mirox.protect_table(t, 'things', 'owner') FROM unnest('{by_int8,by_int2,by_uuid,by_varchar}'::regclass[]) t;
GRANT SELECT ON by_int8, by_int2, by_uuid, by_varchar TO regress_protect_app;
CREATE FUNCTION sees("user" text, OUT int8s text, OUT int2s text, OUT uuids bigint, OUT varchars text) LANGUAGE plpgsql AS $$
DECLARE
    secret text := protect_test.bearer("user");
BEGIN
    SET LOCAL ROLE regress_protect_app;
    PERFORM mirox.authenticate(secret);
    int8s := (SELECT string_agg(owner::text, ' ') FROM protect_test.by_int8);
    int2s := (SELECT string_agg(owner::text, ' ') FROM protect_test.by_int2);
    uuids := (SELECT count(*) FROM protect_test.by_uuid);
    varchars := (SELECT string_agg(owner, ' ') FROM protect_test.by_varchar);
END $$;
SELECT * FROM sees('7');
SELECT * FROM sees('07');
SELECT * FROM sees('-7');
SELECT * FROM sees('+7');
SELECT * FROM sees('-0');
SELECT * FROM sees('9223372036854775807');
SELECT * FROM sees('9223372036854775808');
SELECT * FROM sees('32768');
SELECT * FROM sees('b2f5ff47-4365-4c6e-8b3d-3a5a4c2b1e10');
SELECT * FROM sees('B2F5FF47-4365-4C6E-8B3D-3A5A4C2B1E10');
SELECT * FROM sees('{b2f5ff47-4365-4c6e-8b3d-3a5a4c2b1e10}');
-- Values of other types.
CREATE TABLE by_park (park int, id uuid);
INSERT INTO by_park VALUES (1, 'b2f5ff47-4365-4c6e-8b3d-3a5a4c2b1e10'), (2, NULL), (-3, NULL), (NULL, NULL);
GRANT SELECT ON by_park TO regress_protect_app;
SELECT mirox.put_account('protect-two', '{parks.2,ids.b2f5ff47-4365-4c6e-8b3d-3a5a4c2b1e10}', 1000000, 1000);
SELECT bearer('protect-two') AS two \gset
SELECT mirox.protect_table('by_park', 'parks', resource_column => 'park');
BEGIN; SELECT mirox.authenticate(:'two'); SET LOCAL ROLE regress_protect_app; SELECT park FROM by_park; ROLLBACK;
SELECT mirox.protect_table('by_park', 'ids', resource_column => 'id');
BEGIN; SELECT mirox.authenticate(:'two'); SET LOCAL ROLE regress_protect_app; SELECT park FROM by_park; ROLLBACK;

-- ---- partitions ------------------------------------------------------------------------------------------------------------
SET ROLE regress_protect_owner;
CREATE TABLE series (region text, at int, v int) PARTITION BY RANGE (at);
CREATE TABLE series_1 PARTITION OF series FOR VALUES FROM (0) TO (10);
CREATE TABLE series_2 PARTITION OF series FOR VALUES FROM (10) TO (20) PARTITION BY LIST (region);
CREATE TABLE series_2a PARTITION OF series_2 DEFAULT;
INSERT INTO series SELECT (ARRAY['berlin', 'rome', 'rome.x'])[1 + i % 3], i, i FROM generate_series(0, 19) i;
GRANT SELECT ON series, series_1, series_2, series_2a TO regress_protect_app;
SELECT mirox.protect_table('series', 'parks', resource_column => 'region');
SELECT relname, relrowsecurity, relforcerowsecurity, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) AS policies
  FROM pg_class c WHERE relname LIKE 'series%' ORDER BY relname COLLATE "C";
SET ROLE regress_protect_app;
BEGIN;
SELECT mirox.authenticate(:'ann');
SELECT region, count(*) FROM series GROUP BY 1 ORDER BY 1;
SELECT (SELECT count(*) FROM series_1), (SELECT count(*) FROM series_2), (SELECT count(*) FROM series_2a);
COPY series_1 TO STDOUT;
ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'bob'); SELECT count(*) FROM series; SELECT count(*) FROM series_2a; ROLLBACK;
-- A partition attached later: once more.
SET ROLE regress_protect_owner;
CREATE TABLE series_3 (region text, at int, v int);
INSERT INTO series_3 VALUES ('berlin', 25, 1), ('rome', 26, 1);
GRANT SELECT ON series_3 TO regress_protect_app;
ALTER TABLE series ATTACH PARTITION series_3 FOR VALUES FROM (20) TO (30);
SELECT count(*) FROM series_3;
SELECT mirox.protect_table('series', 'parks', resource_column => 'region');
SELECT count(*) FROM series_3;
SET ROLE regress_protect_app;
BEGIN; SELECT mirox.authenticate(:'ann'); SELECT count(*) FROM series WHERE at >= 20; SELECT count(*) FROM series_3; ROLLBACK;
SET ROLE regress_protect_owner;
\set VERBOSITY default
SELECT mirox.protect_table('series_3', 'parks');
\set VERBOSITY terse
-- One that was protected by itself and attached then has policies of its own, which would show its rows to whoever reads it
-- directly: the top takes them away. So it is with policies of the same names, whoever made them, and with row security that was
-- disabled meanwhile.
CREATE TABLE series_4 (region text, at int, v int);
INSERT INTO series_4 VALUES ('berlin', 35, 1), ('rome', 36, 1);
GRANT SELECT ON series_4 TO regress_protect_app;
SELECT mirox.protect_table('series_4', 'parks');
ALTER TABLE series ATTACH PARTITION series_4 FOR VALUES FROM (30) TO (40);
CREATE POLICY mirox_read ON series_2a USING (true);
ALTER TABLE series_3 DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
SET ROLE regress_protect_app;
BEGIN; SELECT mirox.authenticate(:'bob'); SELECT (SELECT count(*) FROM series_2a), (SELECT count(*) FROM series_3), (SELECT count(*) FROM series_4); ROLLBACK;
SET ROLE regress_protect_owner;
SELECT mirox.protect_table('series', 'parks', resource_column => 'region');
SET ROLE regress_protect_app;
BEGIN; SELECT mirox.authenticate(:'bob'); SELECT (SELECT count(*) FROM series_2a), (SELECT count(*) FROM series_3), (SELECT count(*) FROM series_4); ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'ann'); SELECT region, count(*) FROM series WHERE at >= 30 GROUP BY 1; SELECT count(*) FROM series_4; ROLLBACK;
SET ROLE regress_protect_owner;
SELECT relname, relrowsecurity, relforcerowsecurity, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) AS policies
  FROM pg_class c WHERE relname LIKE 'series%' ORDER BY relname COLLATE "C";
-- To unprotect one below gives its own policies up, and leaves it closed: the top is protected.
SELECT mirox.unprotect_table('series_4') AS nothing;
CREATE POLICY mirox_read ON series_4 USING (true);
SELECT mirox.unprotect_table('series_4') AS dropped;
SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = 'series_4';
-- Detached it stays closed, until it is protected by itself or its row security is disabled.
ALTER TABLE series DETACH PARTITION series_4;
SELECT count(*) FROM series_4;
SELECT mirox.protect_table('series_4', 'parks');
ALTER TABLE series ATTACH PARTITION series_4 FOR VALUES FROM (30) TO (40);
SELECT mirox.unprotect_table('series'), mirox.unprotect_table('series');
SELECT relname, relrowsecurity, relforcerowsecurity, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) AS policies
  FROM pg_class c WHERE relname LIKE 'series%' ORDER BY relname COLLATE "C";
SELECT count(*) FROM series;

-- ---- other policies --------------------------------------------------------------------------------------------------------
CREATE TABLE shared (id int, region text);
CREATE POLICY everybody ON shared USING (true);
\set VERBOSITY default
SELECT mirox.protect_table('shared', 'parks');
DROP POLICY everybody ON shared;
CREATE POLICY fewer ON shared AS RESTRICTIVE USING (id < 3);
SELECT mirox.protect_table('shared', 'parks');
CREATE POLICY knowingly ON shared TO regress_protect_owner USING (id = 1);
SELECT mirox.protect_table('shared', 'parks');
\set VERBOSITY terse
INSERT INTO shared VALUES (1, 'a');
-- What is not ours stays, and goes on to bind.
SELECT mirox.unprotect_table('shared');
SELECT polname FROM pg_policy WHERE polrelid = 'shared'::regclass ORDER BY 1;
SELECT relrowsecurity FROM pg_class WHERE oid = 'shared'::regclass;

-- ---- what cannot be protected ------------------------------------------------------------------------------------------------
RESET ROLE;
\set VERBOSITY default
CREATE FOREIGN DATA WRAPPER protect_test_wrapper;
CREATE SERVER protect_test_server FOREIGN DATA WRAPPER protect_test_wrapper;
CREATE FOREIGN TABLE elsewhere (id int) SERVER protect_test_server;
CREATE TABLE with_foreign (id int) PARTITION BY LIST (id);
CREATE FOREIGN TABLE with_foreign_1 PARTITION OF with_foreign FOR VALUES IN (1) SERVER protect_test_server;
CREATE MATERIALIZED VIEW kept AS SELECT 1 AS id;
CREATE SEQUENCE numbers;
CREATE TEMP TABLE mine (id int);
CREATE TABLE plain (id int, flag boolean, owner text, at timestamptz, "a ""quoted"" name" text);
SELECT mirox.protect_table('elsewhere', 'parks');
SELECT mirox.protect_table('with_foreign', 'parks');
SELECT mirox.protect_table('as_invoker', 'parks');
SELECT mirox.protect_table('kept', 'parks');
SELECT mirox.protect_table('numbers', 'parks');
SELECT mirox.protect_table('mine', 'parks');
SELECT mirox.protect_table('pg_class', 'parks');
SELECT mirox.protect_table('information_schema.sql_features', 'parks');
SELECT mirox.protect_table('mirox_internal.token', 'parks');
SELECT mirox.protect_table(0, 'parks');
SELECT mirox.protect_table(NULL, 'parks');
SELECT mirox.protect_table('plain', NULL);
SELECT mirox.protect_table('plain', 'parks:read');
SELECT mirox.protect_table('plain', '*');
SELECT mirox.protect_table('plain', 'Parks'''');DROP TABLE plain;--');
SELECT mirox.protect_table('plain', 'parks', 'nothing');
SELECT mirox.protect_table('plain', 'parks', 'ctid');
SELECT mirox.protect_table('plain', 'parks', 'at');
SELECT mirox.protect_table('plain', 'parks', 'owner', 'flag');
SELECT mirox.unprotect_table('pg_class');
SELECT mirox.unprotect_table('plain');
SELECT mirox.unprotect_table(NULL);
SET ROLE regress_protect_owner;
SELECT mirox.protect_table('protect_test.plain', 'parks');
SELECT mirox.unprotect_table('protect_test.plain');
SET ROLE regress_protect_app;
SELECT mirox.protect_table('protect_test.plain', 'parks');
RESET ROLE;
SELECT mirox.protect_table('plain', 'parks', 'a "quoted" name', 'a "quoted" name');
SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'plain'::regclass AND polname = 'mirox_read';
-- Names that the caller's search path puts in the way are not taken.
CREATE SCHEMA protect_hostile;
CREATE FUNCTION protect_hostile.yes(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR protect_hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = protect_hostile.yes);
CREATE FUNCTION protect_hostile.allows(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE DOMAIN protect_hostile.int8 AS text;
SET search_path = protect_hostile, protect_test, pg_catalog;
SELECT mirox.protect_table('plain', 'parks', 'owner');
SELECT mirox.protect_table('by_int8', 'things', 'owner');
SET search_path = protect_test;
SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid IN ('plain'::regclass, 'by_int8'::regclass) AND polname = 'mirox_read' ORDER BY 1;
DROP SCHEMA protect_hostile CASCADE;

-- ---- the audit log says who did it ---------------------------------------------------------------------------------------------
SELECT event, db_role, detail FROM mirox_internal.audit_log
 WHERE event IN ('table_protected', 'table_unprotected') AND detail->>'table' IN ('protect_test.measure', 'protect_test.note', 'protect_test.series')
 ORDER BY audit_id;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA protect_test CASCADE;
DROP FOREIGN DATA WRAPPER protect_test_wrapper CASCADE;
DROP TABLE mine;
SELECT count(mirox.delete_account(user_id)) FROM mirox_internal.account
 WHERE user_id LIKE 'protect-%' OR user_id ~* '^[{]?b2f5ff47'
    OR user_id IN ('7', '07', '-7', '+7', '-0', '9223372036854775807', '9223372036854775808', '32768');
SELECT mirox.revoke_access('regress_protect_app', 'gateway');
SELECT mirox.revoke_access('regress_protect_owner', 'admin');
DROP ROLE regress_protect_app, regress_protect_owner;
