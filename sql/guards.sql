-- Trigger functions of ours, put where they do not belong: refused, never a crash. And what is recorded, changed by hand: refused to
-- everybody, the owner too.
\set SHOW_CONTEXT never

-- ---- each trigger function, on a table and a view of somebody else's, in every way -------------------------------------
CREATE TABLE guards_table (a bigint, b text);
INSERT INTO guards_table VALUES (1, 'x');
CREATE VIEW guards_view AS SELECT a, b FROM guards_table;
CREATE TABLE guards_nothing ();
CREATE FUNCTION guards_instead() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN COALESCE(NEW, OLD); END';
CREATE TRIGGER later INSTEAD OF INSERT OR UPDATE OR DELETE ON guards_view FOR EACH ROW EXECUTE FUNCTION guards_instead();
CREATE FUNCTION pg_temp.outcomes(function regprocedure) RETURNS TABLE (target text, way text, event text, state text) LANGUAGE plpgsql AS $$
BEGIN
    FOR target, way IN
        SELECT t.target, w.way
        FROM unnest('{guards_table,guards_nothing,guards_view,mirox_internal.notice}'::text[]) t (target)
        CROSS JOIN unnest('{BEFORE % FOR EACH ROW,AFTER % FOR EACH ROW,BEFORE % FOR EACH STATEMENT,AFTER % FOR EACH STATEMENT,INSTEAD OF % FOR EACH ROW}'::text[]) w (way)
    LOOP
        FOREACH event IN ARRAY '{INSERT,UPDATE,DELETE,TRUNCATE}'::text[] LOOP
            CONTINUE WHEN event = 'UPDATE' AND target = 'guards_nothing';  -- it has nothing to set
            state := NULL;
            BEGIN
                EXECUTE format('CREATE TRIGGER guards %s EXECUTE FUNCTION %s', replace(way, '%', event || ' ON ' || target), function);
                state := t.state(CASE event WHEN 'UPDATE' THEN format('UPDATE %s SET %s', target, CASE WHEN target LIKE 'guards%' THEN 'a = a' ELSE 'days = days' END)
                                            WHEN 'DELETE' THEN 'DELETE FROM ' || target
                                            WHEN 'TRUNCATE' THEN 'TRUNCATE ' || target
                                            ELSE format('INSERT INTO %s %s', target, CASE WHEN target LIKE 'guards%' THEN 'DEFAULT VALUES' ELSE 'VALUES (0, now(), 1, now())' END) END);
                RAISE EXCEPTION 'undo';
            EXCEPTION WHEN OTHERS THEN
                CONTINUE WHEN state IS NULL;  -- no such trigger can be
            END;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END $$;
INSERT INTO guards_nothing DEFAULT VALUES;
INSERT INTO mirox_internal.notice VALUES (0, '2020-01-01', 1, '2020-01-01');
CREATE TEMP TABLE ours AS
SELECT p.oid::regprocedure AS function FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'mirox_tokens' WHERE p.prorettype = 'trigger'::regtype;
SELECT count(*) > 10 AS all_of_them FROM ours;
CREATE TEMP TABLE outcome AS SELECT function, o.* FROM ours, pg_temp.outcomes(function) o;
SELECT way, string_agg(DISTINCT event, ' ') AS events FROM outcome GROUP BY way ORDER BY way COLLATE "C";
-- (The functions that refuse may stand on any table of ours, as notice is.)
SELECT function, target, way, event, state FROM outcome
WHERE state <> '39P01' AND function <> 'mirox.account_bound()'::regprocedure ORDER BY function::text COLLATE "C", target, way, event;
SELECT count(*) > 500 AS tried FROM outcome;
SELECT count(*) > 0 AS refused_or_nothing FROM outcome WHERE function = 'mirox.account_bound()'::regprocedure;

-- ---- on the right table, at a wrong moment ------------------------------------------------------------------------------
SELECT mirox.put_account('guards', '{parks}');
CREATE TRIGGER guards AFTER UPDATE ON mirox_internal.account FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.account_guard();
SELECT t.state('UPDATE mirox_internal.account SET burst = 7 WHERE user_id = ''guards''');
DROP TRIGGER guards ON mirox_internal.account;
CREATE TRIGGER guards BEFORE UPDATE ON mirox_internal.account FOR EACH ROW EXECUTE FUNCTION mirox_internal.account_follow();
SELECT t.state('UPDATE mirox_internal.account SET burst = 7 WHERE user_id = ''guards''');
DROP TRIGGER guards ON mirox_internal.account;
CREATE TRIGGER guards BEFORE UPDATE ON mirox_internal.account FOR EACH ROW EXECUTE FUNCTION mirox_internal.token_secret_guard();
UPDATE mirox_internal.account SET burst = 7 WHERE user_id = 'guards';
DROP TRIGGER guards ON mirox_internal.account;
UPDATE mirox_internal.account SET burst = 7 WHERE user_id = 'guards';

-- ---- what is recorded, by hand --------------------------------------------------------------------------------------------
SELECT r.name, t.state(format('DELETE FROM mirox_internal.%I', r.name)) AS deleted, t.state(format('DELETE FROM mirox_internal.%I WHERE false', r.name)) AS none_deleted,
       t.state(format('UPDATE mirox_internal.%I SET %I = %2$I', r.name, (SELECT attname FROM pg_attribute WHERE attrelid = ('mirox_internal.' || r.name)::regclass AND attnum = 1))) AS updated,
       t.state(format('TRUNCATE mirox_internal.%I', r.name)) AS truncated,
       t.state(format('TRUNCATE mirox_internal.%I CASCADE', r.name)) AS cascaded
FROM unnest('{audit_log,agent,used_place,used_endpoint,used_scope,usage_open,usage_closing,usage_summed,usage_dropped,erasure,upkeep,traffic_hour,usage_minute,refusal_minute,usage_hour,refusal_hour,usage_day,refusal_day,token_day,account_day,token_usage,unauthenticated}'::text[]) r (name);
UPDATE mirox_internal.usage_minute SET ip = '192.0.2.1';
TRUNCATE mirox_internal.usage_day;
DELETE FROM mirox_internal.usage_hour;
-- Rows can be added, as a restore does.
BEGIN;
SELECT t.state('INSERT INTO mirox_internal.agent (agent, key, resolved, seen_on) VALUES (''guards'', 1, true, current_date)') AS agent,
       t.state('INSERT INTO mirox_internal.used_scope (scope) VALUES (''guards'')') AS scope;
-- A statement trigger of an act of ours counts for nothing: only the worker's own statements pass.
CREATE FUNCTION pg_temp.tamper() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE mirox_internal.used_scope SET scope = scope; RETURN NEW; END';
CREATE TRIGGER guards BEFORE INSERT ON mirox_internal.token FOR EACH ROW EXECUTE FUNCTION pg_temp.tamper();
SELECT mirox.open_session('guards') AS session \gset
SELECT mirox.issue_token(:'session', 'tampering', 'full_access');
ROLLBACK;
SELECT mirox.delete_account('guards');
DELETE FROM mirox_internal.notice WHERE token_id = 0;
DROP VIEW guards_view;
DROP TABLE guards_table, guards_nothing;
DROP FUNCTION guards_instead();
