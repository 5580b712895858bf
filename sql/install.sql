-- The first test: makes the extension in the database that the other tests share, and what they use to look at it.
-- (That CREATE EXTENSION fails without preload is a TAP test: it needs a server of its own.)
CREATE EXTENSION mirox_tokens;
SELECT extnamespace::regnamespace, extrelocatable FROM pg_extension WHERE extname = 'mirox_tokens';
CREATE EXTENSION mirox_tokens;
-- The tests' own witness; nothing of ours needs it.
CREATE EXTENSION pgcrypto;
ALTER EXTENSION mirox_tokens SET SCHEMA mirox;
ALTER EXTENSION mirox_tokens SET SCHEMA pg_catalog;
SELECT superuser, trusted, relocatable, schema, requires FROM pg_available_extension_versions WHERE name = 'mirox_tokens';

-- The schema is the extension's, as is all in it, and nothing of it stands elsewhere.
SELECT d.deptype FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
WHERE e.extname = 'mirox_tokens' AND d.classid = 'pg_namespace'::regclass AND d.objid IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace);
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE identity !~ 'mirox') AS elsewhere
FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid, pg_identify_object(d.classid, d.objid, 0)
WHERE e.extname = 'mirox_tokens' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';
SELECT relname FROM pg_class c WHERE relnamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace) AND relkind IN ('r', 'v', 'S') AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e');
DROP TABLE mirox_internal.token_usage;
DROP SCHEMA mirox;
DROP SCHEMA mirox_internal;

-- The built-in permission groups, and an empty log: nobody did anything yet.
SELECT group_id, name, permissions, builtin FROM mirox_internal.permission_group ORDER BY group_id;
SELECT count(*) FROM mirox_internal.audit_log;

-- ---- what the tests share -------------------------------------------------------------------------------------------
CREATE SCHEMA t;
GRANT USAGE ON SCHEMA t TO PUBLIC;
-- What becomes of a statement: `ok`, or SQLSTATE, message, DETAIL and HINT. What it did is rolled back when it failed.
CREATE FUNCTION t.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    more text;
    advice text;
BEGIN
    EXECUTE statement;
    RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
    RETURN pg_catalog.concat_ws(' | ', SQLSTATE, message, NULLIF(more, ''), 'HINT: ' || NULLIF(advice, ''));
END
$$;
CREATE FUNCTION t.state(statement text) RETURNS text LANGUAGE sql AS
    $$ SELECT pg_catalog.split_part(t.outcome(statement), ' | ', 1) $$;
-- The audit trail of one account, as far as it is the same in each run.
CREATE FUNCTION t.audit(account text) RETURNS TABLE (event text, detail jsonb) LANGUAGE sql AS $$
    SELECT a.event, pg_catalog.jsonb_strip_nulls(a.detail - ARRAY['account_id', 'token_id', 'session_id', 'created_at',
        'opened_at', 'expires_at', 'locked_at', 'closed_at', 'revoked_at', 'rotated_at', 'hint', 'group_id'])
    FROM mirox_internal.audit_log a WHERE a.user_id = account ORDER BY a.audit_id
$$;
-- SHA-256 by pgcrypto, independent of ours.
CREATE FUNCTION t.sha256(secret text) RETURNS bytea LANGUAGE sql AS
    $$ SELECT public.digest(secret, 'sha256') $$;
CREATE FUNCTION t.stored(secret text) RETURNS mirox.digest LANGUAGE sql AS
    $$ SELECT pg_catalog.encode(t.sha256(secret), 'hex')::mirox.digest $$;

-- ---- a database where somebody else was first -----------------------------------------------------------------------
CREATE DATABASE regress_mirox_scratch TEMPLATE template0;
CREATE ROLE regress_mirox_install;
GRANT CREATE ON DATABASE regress_mirox_scratch TO regress_mirox_install;
\set home :DBNAME
\c regress_mirox_scratch
-- A schema that was prepared is never adopted, not even an empty one, nor its owner trusted.
SET ROLE regress_mirox_install;
CREATE SCHEMA mirox;
CREATE EXTENSION mirox_tokens; -- not trusted: only a superuser may
RESET ROLE;
\set SHOW_CONTEXT never
CREATE EXTENSION mirox_tokens;
\set SHOW_CONTEXT errors
SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'mirox';
DROP SCHEMA mirox;
CREATE SCHEMA mirox_internal;
\set SHOW_CONTEXT never
CREATE EXTENSION mirox_tokens;
\set SHOW_CONTEXT errors
DROP SCHEMA mirox_internal;
SELECT count(*) FROM pg_namespace WHERE nspname ~ '^mirox';
-- Asked to stand elsewhere, it says where it stands.
CREATE EXTENSION mirox_tokens SCHEMA public;
CREATE EXTENSION mirox_tokens;
-- It works, is dropped without a trace, and works again in the same backend.
CREATE FUNCTION life(OUT before int, OUT after int) LANGUAGE plpgsql AS $$
DECLARE
    session text;
    issued record;
BEGIN
    PERFORM mirox.put_account('anna', '{parks}');
    session := mirox.open_session('anna');
    SELECT * INTO issued FROM mirox.issue_token(session, 'a', 'full_access');
    before := (SELECT status FROM mirox.verify_token(issued.secret));
    PERFORM mirox.revoke_token(session, issued.token_id);
    after := (SELECT status FROM mirox.verify_token(issued.secret));
END
$$;
SELECT * FROM life();
-- A cursor over a function that is gone when its plan is told of.
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
BEGIN;
DECLARE outlives CURSOR FOR SELECT reason FROM mirox.verify_token('x');
FETCH outlives;
DROP EXTENSION mirox_tokens;
CLOSE outlives;
ROLLBACK;
RESET auto_explain.log_min_duration;
DROP EXTENSION mirox_tokens;
SELECT count(*) FROM pg_namespace WHERE nspname ~ '^mirox';
SELECT count(*) FROM pg_proc WHERE probin LIKE '%mirox_tokens%';
SELECT * FROM life();
CREATE EXTENSION mirox_tokens;
SELECT * FROM life();
SELECT * FROM life();
\c :home
DROP DATABASE regress_mirox_scratch;
DROP ROLE regress_mirox_install;
