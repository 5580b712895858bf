-- Columns of our tables that are not as the library knows them: each act and check is refused by name, and no row is read by them.
-- Whatever comes after them is a DBA's own, or a later version's.
\set SHOW_CONTEXT never
SELECT mirox.put_account('col-1', '{parks}');
SELECT mirox.put_endpoint('GET', '/col/1', 'parks');
-- Every table that C++ reads. The catalog has been looked up before: its listener hears of each.
CREATE FUNCTION pg_temp.broken(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE said text; more text; hinted text; said_next text;
BEGIN
    BEGIN
        EXECUTE change;
        BEGIN
            PERFORM mirox.put_account('col-1', '{parks}');
            said := 'nothing';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL;
            said := pg_catalog.concat_ws(' | ', SQLSTATE, said, more);
        END;
        RAISE EXCEPTION 'undone' USING ERRCODE = 'ZZ001';
    EXCEPTION WHEN SQLSTATE 'ZZ001' THEN NULL;
    END;
    PERFORM mirox.put_account('col-1', '{parks}');
    RETURN said;
END $$;
SELECT t AS "table", pg_temp.broken(format('ALTER TABLE mirox_internal.%I RENAME COLUMN audit_id TO audit', t))
FROM unnest(ARRAY['account', 'session', 'token', 'token_secret', 'permission_group', 'endpoint', 'audit_log']) t;
SELECT pg_temp.broken('ALTER TABLE mirox_internal.account ALTER COLUMN audit_node TYPE bigint');
SELECT pg_temp.broken('ALTER TABLE mirox_internal.endpoint DROP COLUMN audit_node');
SELECT pg_temp.broken('ALTER TABLE mirox_internal.account ADD COLUMN note text');
-- A check too, and what only looks.
BEGIN;
ALTER TABLE mirox_internal.token_secret RENAME COLUMN state TO is_state;
SAVEPOINT s;
SELECT status FROM mirox.verify_digest(pg_catalog.sha256('x'));
ROLLBACK TO s;
SELECT mirox.drop_endpoint('GET', '/col/1');
ROLLBACK;
SELECT status, reason FROM mirox.verify_digest(pg_catalog.sha256('x'));
SELECT mirox.drop_endpoint('GET', '/col/1');
SELECT mirox.delete_account('col-1');
