-- Hostile names before ours: operators, functions, types, tables, casts in the first schema of search_path and in pg_temp.
-- Nothing of theirs is ever called, and every answer is the same as without them.
\set SHOW_CONTEXT never
CREATE SCHEMA hostile;
CREATE TABLE hostile.called (name text);
-- Whatever of theirs is called leaves a trace; it also gives the answer that would do harm.
DO $do$
DECLARE
    type text;
    op record;
BEGIN
    FOREACH type IN ARRAY ARRAY['text', 'bigint', 'integer', 'smallint', 'boolean', '"char"', 'timestamptz', 'interval', 'jsonb', 'name', 'inet',
                                'mirox.digest', 'mirox.scopes', 'oid', 'regclass'] LOOP
        FOR op IN SELECT * FROM (VALUES ('=', true), ('<>', false), ('<=', true), ('>=', true), ('<', true), ('>', true), ('@>', true), ('<@', true)) v (name, answer) LOOP
            EXECUTE format($f$CREATE FUNCTION hostile.%1$I(%2$s, %2$s) RETURNS boolean LANGUAGE plpgsql AS
                $b$ BEGIN INSERT INTO hostile.called VALUES (%3$L); RETURN %4$L; END $b$$f$, 'op' || op.name || type, type, op.name || ' ' || type, op.answer);
            EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = %s, RIGHTARG = %2$s, FUNCTION = hostile.%I)', op.name, type, 'op' || op.name || type);
        END LOOP;
    END LOOP;
END
$do$;
CREATE FUNCTION hostile.stole(what text) RETURNS void LANGUAGE sql AS $$ INSERT INTO hostile.called VALUES (what) $$;
CREATE FUNCTION hostile.now() RETURNS pg_catalog.timestamptz LANGUAGE sql AS $$ SELECT hostile.stole('now'); SELECT 'epoch'::pg_catalog.timestamptz $$;
CREATE FUNCTION hostile.clock_timestamp() RETURNS pg_catalog.timestamptz LANGUAGE sql AS $$ SELECT hostile.stole('clock_timestamp'); SELECT 'epoch'::pg_catalog.timestamptz $$;
CREATE FUNCTION hostile.nextval(regclass) RETURNS bigint LANGUAGE sql AS $$ SELECT hostile.stole('nextval'); SELECT 1::bigint $$;
CREATE FUNCTION hostile.length(text) RETURNS int LANGUAGE sql AS $$ SELECT hostile.stole('length'); SELECT 1 $$;
CREATE FUNCTION hostile.isfinite(timestamptz) RETURNS boolean LANGUAGE sql AS $$ SELECT hostile.stole('isfinite'); SELECT true $$;
CREATE FUNCTION hostile.cardinality(anyarray) RETURNS int LANGUAGE sql AS $$ SELECT hostile.stole('cardinality'); SELECT 1 $$;
CREATE FUNCTION hostile.string_agg(text, text) RETURNS text LANGUAGE sql AS $$ SELECT hostile.stole('string_agg'); SELECT 'x'::text $$;
CREATE FUNCTION hostile.to_regclass(text) RETURNS regclass LANGUAGE sql AS $$ SELECT hostile.stole('to_regclass'); SELECT NULL::regclass $$;
CREATE FUNCTION hostile.to_regprocedure(text) RETURNS regprocedure LANGUAGE sql AS $$ SELECT hostile.stole('to_regprocedure'); SELECT NULL::regprocedure $$;
CREATE FUNCTION hostile.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS $$ SELECT hostile.stole('jsonb_typeof'); SELECT 'object'::text $$;
CREATE FUNCTION hostile.compile_permissions(mirox.scopes, mirox.scopes) RETURNS mirox.scopes LANGUAGE sql AS $$ SELECT hostile.stole('compile_permissions'); SELECT '{*}'::mirox.scopes $$;
CREATE FUNCTION hostile.token_status(timestamptz, timestamptz, timestamptz, timestamptz, timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT hostile.stole('token_status'); SELECT 'active'::text $$;
CREATE FUNCTION hostile.granted(text) RETURNS mirox.scopes LANGUAGE sql AS $$ SELECT hostile.stole('granted'); SELECT '{*}'::mirox.scopes $$;
CREATE FUNCTION hostile.allows(text) RETURNS boolean LANGUAGE sql AS $$ SELECT hostile.stole('allows'); SELECT true $$;
CREATE FUNCTION hostile.current_user_id() RETURNS text LANGUAGE sql AS $$ SELECT hostile.stole('current_user_id'); SELECT 'x'::text $$;
CREATE FUNCTION hostile.digest(text, text) RETURNS bytea LANGUAGE sql AS $$ SELECT hostile.stole('digest'); SELECT ''::bytea $$;
CREATE DOMAIN hostile.timestamptz AS pg_catalog.text;
CREATE DOMAIN hostile.scopes AS pg_catalog.text;
CREATE TABLE hostile.account (LIKE mirox_internal.account);
CREATE TABLE hostile.token (LIKE mirox_internal.token);
CREATE TABLE hostile.token_secret (LIKE mirox_internal.token_secret);
CREATE TABLE hostile.session (LIKE mirox_internal.session);
CREATE TABLE hostile.audit_log (LIKE mirox_internal.audit_log);
CREATE TABLE hostile.permission_group (LIKE mirox_internal.permission_group);
CREATE TABLE hostile.access_rule (LIKE mirox_internal.access_rule);
CREATE TABLE hostile.pg_proc (LIKE pg_catalog.pg_proc);
CREATE TEMP TABLE account (LIKE mirox_internal.account);
CREATE TEMP TABLE token (LIKE mirox_internal.token);
CREATE TEMP TABLE session (LIKE mirox_internal.session);
CREATE TEMP TABLE audit_log (LIKE mirox_internal.audit_log);
CREATE TEMP TABLE permission_group (LIKE mirox_internal.permission_group);
CREATE TEMP TABLE pg_class (i int);
CREATE TEMP TABLE pg_proc (i int);
CREATE DOMAIN pg_temp.text AS int;
CREATE DOMAIN pg_temp.digest AS int;
CREATE DOMAIN pg_temp.scopes AS int;
CREATE DOMAIN pg_temp.inet AS int;

CREATE ROLE regress_mirox_attack;
CREATE TABLE hostile.users (id pg_catalog.text, owner pg_catalog.text);
CREATE TABLE hostile.parks (name pg_catalog.text, owner pg_catalog.text);
-- The whole life of a token, and whatever else is there; each step's outcome as text.
CREATE FUNCTION t.life() RETURNS TABLE (step pg_catalog.text, outcome pg_catalog.text) LANGUAGE plpgsql SET client_min_messages = warning AS $$
DECLARE
    session pg_catalog.text;
    issued mirox.issued_token;
    rotated mirox.issued_token;
BEGIN
    step := 'put_account'; PERFORM mirox.put_account('attack', '{parks,reports:generate}', 60000, 1000); PERFORM mirox.put_account('attack', '{parks,reports}', 60000, 1000);
    outcome := (SELECT permissions FROM mirox_internal.account WHERE user_id OPERATOR(pg_catalog.=) 'attack'); RETURN NEXT;
    step := 'open_session'; session := mirox.open_session('attack', '1 hour', '203.0.113.7', 'agent'); outcome := pg_catalog.left(session, 7); RETURN NEXT;
    step := 'issue_token'; issued := mirox.issue_token(session, 'attack', 'full_access', permissions => '{parks:read}', allowed_ips => '{203.0.113.0/24,2001:db8::/32}', metadata => '{"a": 1}');
    outcome := pg_catalog.concat_ws(' ', issued.name, issued.permission_group, issued.place); RETURN NEXT;
    step := 'beyond'; BEGIN PERFORM mirox.issue_token(session, 'attack', 'full_access', permissions => '{exports}'); outcome := 'ok'; EXCEPTION WHEN OTHERS THEN outcome := SQLSTATE; END; RETURN NEXT;
    step := 'verify_token'; SELECT v.status || ' ' || v.permissions::pg_catalog.text INTO outcome FROM mirox.verify_token(issued.secret, '203.0.113.7', 'agent', 'parks:read') v; RETURN NEXT;
    step := 'verify elsewhere'; SELECT v.reason INTO outcome FROM mirox.verify_token(issued.secret, '198.51.100.7') v; RETURN NEXT;
    step := 'verify beyond'; SELECT v.reason INTO outcome FROM mirox.verify_token(issued.secret, '203.0.113.7', NULL, 'exports') v; RETURN NEXT;
    step := 'verify another'; SELECT v.reason INTO outcome FROM mirox.verify_token('mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria') v; RETURN NEXT;
    step := 'list_tokens'; SELECT pg_catalog.concat_ws(' ', l.name, l.status, l.permissions) INTO outcome FROM mirox.list_tokens(session) l; RETURN NEXT;
    step := 'rename_token'; outcome := mirox.rename_token(session, issued.token_id, ' renamed '); RETURN NEXT;
    step := 'rotate_token'; rotated := mirox.rotate_token(session, issued.token_id, '1 hour');
    SELECT pg_catalog.concat_ws(' ', a.reason, b.reason) INTO outcome FROM mirox.verify_token(issued.secret, '203.0.113.7') a, mirox.verify_token(rotated.secret, '203.0.113.7') b; RETURN NEXT;
    step := 'rotate again'; PERFORM mirox.rotate_token(session, issued.token_id); SELECT pg_catalog.concat_ws(' ', a.reason, b.reason) INTO outcome FROM mirox.verify_token(issued.secret, '203.0.113.7') a, mirox.verify_token(rotated.secret, '203.0.113.7') b; RETURN NEXT;
    step := 'others'' token'; BEGIN PERFORM mirox.revoke_token(session, -1); outcome := 'ok'; EXCEPTION WHEN OTHERS THEN outcome := SQLSTATE; END; RETURN NEXT;
    step := 'lock_account'; PERFORM mirox.lock_account('attack', 'x'); BEGIN PERFORM mirox.list_tokens(session); outcome := 'ok'; EXCEPTION WHEN OTHERS THEN outcome := SQLSTATE; END; RETURN NEXT;
    step := 'unlock_account'; outcome := mirox.unlock_account('attack'); session := mirox.open_session('attack'); RETURN NEXT;
    step := 'set_token'; outcome := pg_catalog.concat_ws(' ', mirox.set_token_permissions(session, issued.token_id, '{parks}'), mirox.set_token_networks(session, issued.token_id, NULL),
        mirox.set_token_expiration(session, issued.token_id, expires_in => '1 day') IS NOT NULL, mirox.set_token_metadata(session, issued.token_id, '{}')); RETURN NEXT;
    step := 'suspend_token'; outcome := pg_catalog.concat_ws(' ', mirox.suspend_token(session, issued.token_id) IS NOT NULL, mirox.resume_token(session, issued.token_id),
        mirox.end_overlap(session, issued.token_id)); RETURN NEXT;
    step := 'my_account'; SELECT pg_catalog.concat_ws(' ', a.permissions, a.tokens, g.name, g.permissions, s.current) INTO outcome
        FROM mirox.my_account(session) a, mirox.list_groups(session) g, mirox.list_sessions(session) s LIMIT 1; RETURN NEXT;
    step := 'account_log'; SELECT event INTO outcome FROM mirox.account_log(session, max_rows => 1); RETURN NEXT;
    step := 'sessions'; PERFORM mirox.open_session('attack'); PERFORM mirox.open_session('attack');
        outcome := pg_catalog.concat_ws(' ', mirox.close_session(session, -1), mirox.close_other_sessions(session), mirox.close_sessions('attack'));
        session := mirox.open_session('attack'); RETURN NEXT;
    step := 'set_rate_limit'; PERFORM mirox.set_rate_limit('attack', 600, 60); outcome := 'ok'; RETURN NEXT;
    step := 'revoke_token'; outcome := mirox.revoke_token(session, issued.token_id, 'x') IS NOT NULL; RETURN NEXT;
    step := 'revoke_self'; issued := mirox.issue_token(session, 'b', 'reporting'); outcome := mirox.revoke_self(issued.secret) IS NOT NULL; RETURN NEXT;
    step := 'revoke_any_token'; issued := mirox.issue_token(session, 'c', 'reporting', expires_in => '1 second'); outcome := mirox.revoke_any_token(issued.token_id) IS NOT NULL; RETURN NEXT;
    step := 'revoke_all_tokens'; issued := mirox.issue_token(session, 'd', 'timeseries'); outcome := mirox.revoke_all_tokens(session) || ' ' || mirox.revoke_expired_tokens(session) || ' ' || mirox.revoke_tokens('attack'); RETURN NEXT;
    step := 'put_group'; PERFORM mirox.put_group('attack', '{parks}'); PERFORM mirox.put_group('attack', '{reports}', 'x'); issued := mirox.issue_token(session, 'e', 'attack');
    SELECT v.permissions INTO outcome FROM mirox.verify_token(issued.secret) v; RETURN NEXT;
    step := 'drop_group'; BEGIN PERFORM mirox.drop_group('attack'); outcome := 'ok'; EXCEPTION WHEN OTHERS THEN outcome := SQLSTATE; END; RETURN NEXT;
    step := 'direct DML'; UPDATE mirox_internal.token SET name = 'f' WHERE token_id OPERATOR(pg_catalog.=) issued.token_id; UPDATE mirox_internal.account SET permissions = '{}' WHERE user_id OPERATOR(pg_catalog.=) 'attack';
    SELECT v.permissions INTO outcome FROM mirox.verify_token(issued.secret) v; RETURN NEXT;
    step := 'close_session'; outcome := mirox.close_session(session) || ' ' || mirox.close_session(session); RETURN NEXT;
    step := 'grant_access'; PERFORM mirox.grant_access('regress_mirox_attack', 'login'); PERFORM mirox.grant_access('regress_mirox_attack', 'application'); PERFORM mirox.revoke_access('regress_mirox_attack', 'login');
    outcome := pg_catalog.has_function_privilege('regress_mirox_attack', 'mirox.open_session(pg_catalog.text,pg_catalog.interval,pg_catalog.inet,pg_catalog.text)', 'EXECUTE') || ' '
        || pg_catalog.has_function_privilege('regress_mirox_attack', 'mirox.list_tokens(pg_catalog.text, pg_catalog.bool)', 'EXECUTE'); PERFORM mirox.revoke_access('regress_mirox_attack', 'application'); RETURN NEXT;
    step := 'bind_accounts'; PERFORM mirox.bind_accounts('hostile.users', 'id'); SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO hostile.users VALUES ('attack'); UPDATE hostile.users SET id = 'attacked'; DELETE FROM hostile.users;
    outcome := (SELECT pg_catalog.count(*) FROM mirox_internal.account WHERE user_id OPERATOR(pg_catalog.~) '^attack'); RETURN NEXT;
    step := 'protect_table'; PERFORM mirox.protect_table('hostile.parks', 'parks', 'owner', 'name');
    outcome := (SELECT pg_catalog.count(*) FROM pg_catalog.pg_policy WHERE polrelid OPERATOR(pg_catalog.=) 'hostile.parks'::pg_catalog.regclass); RETURN NEXT;
    step := 'delete_account'; outcome := mirox.delete_account('attack'); DELETE FROM mirox_internal.permission_group WHERE name OPERATOR(pg_catalog.=) 'attack'; RETURN NEXT;
    step := 'audit rows'; outcome := (SELECT pg_catalog.count(*) FROM mirox_internal.audit_log WHERE user_id OPERATOR(pg_catalog.~) '^attack'); RETURN NEXT;
END
$$;
-- As it should be, in a backend without any of it in its path, and what it logged.
CREATE TABLE hostile.expected AS SELECT * FROM t.life();
TABLE hostile.expected;
SELECT count(*) AS called FROM hostile.called;
-- Hostile names first; each in a fresh backend, since plans and triggers are prepared once.
CREATE FUNCTION t.compare(before bigint) RETURNS TABLE (differing bigint, called bigint) LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    UPDATE hostile.now_life SET outcome = outcome::bigint - before WHERE step = 'audit rows';
    RETURN QUERY SELECT (SELECT count(*) FROM (SELECT * FROM hostile.now_life EXCEPT SELECT * FROM hostile.expected) d), (SELECT count(*) FROM hostile.called);
END
$$;
\c -
SELECT count(*) AS before FROM mirox_internal.audit_log WHERE user_id ~ '^attack' \gset
SET search_path = hostile, pg_catalog, mirox, public;
CREATE TABLE hostile.now_life AS SELECT * FROM t.life();
SET search_path = pg_catalog;
SELECT * FROM t.compare(:before);
DROP TABLE hostile.now_life;
\c -
SET client_min_messages = warning;
CREATE DOMAIN pg_temp.text AS pg_catalog.int4;
CREATE DOMAIN pg_temp.digest AS pg_catalog.int4;
CREATE DOMAIN pg_temp.scopes AS pg_catalog.int4;
CREATE DOMAIN pg_temp.timestamptz AS pg_catalog.int4;
CREATE TEMP TABLE account (LIKE mirox_internal.account);
CREATE TEMP TABLE token (LIKE mirox_internal.token);
CREATE TEMP TABLE token_secret (LIKE mirox_internal.token_secret);
CREATE TEMP TABLE session (LIKE mirox_internal.session);
CREATE TEMP TABLE permission_group (LIKE mirox_internal.permission_group);
CREATE TEMP TABLE audit_log (LIKE mirox_internal.audit_log);
CREATE TEMP TABLE access_rule (LIKE mirox_internal.access_rule);
CREATE TEMP TABLE pg_proc (i pg_catalog.int4);
CREATE TEMP TABLE pg_class (i pg_catalog.int4);
SELECT count(*) AS before FROM mirox_internal.audit_log WHERE user_id ~ '^attack' \gset
SET search_path = pg_temp, hostile, mirox, pg_catalog;
CREATE TABLE hostile.now_life AS SELECT * FROM t.life();
SET search_path = pg_catalog;
SELECT * FROM t.compare(:before);
SELECT name, count(*) FROM hostile.called GROUP BY name ORDER BY name;
-- An empty path, and one that names nothing.
DROP TABLE hostile.now_life;
SELECT count(*) AS before FROM mirox_internal.audit_log WHERE user_id ~ '^attack' \gset
SET search_path = '';
CREATE TABLE hostile.now_life AS SELECT * FROM t.life();
SET search_path = pg_catalog;
SELECT * FROM t.compare(:before);
-- Whatever else a caller may set changes no answer.
DROP TABLE hostile.now_life;
SELECT count(*) AS before FROM mirox_internal.audit_log WHERE user_id ~ '^attack' \gset
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET transform_null_equals = on;
SET array_nulls = off;
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET timezone = 'Pacific/Apia';
SET extra_float_digits = -15;
SET bytea_output = escape;
SET xmlbinary = hex;
SET quote_all_identifiers = on;
SET row_security = off;
SET check_function_bodies = off;
SET default_transaction_isolation = 'serializable';
SET enable_indexscan = off;
SET enable_seqscan = off;
SET plan_cache_mode = force_custom_plan;
SET work_mem = '64kB';
CREATE TABLE hostile.now_life AS SELECT * FROM t.life();
SELECT * FROM t.compare(:before);
\c -
-- No trigger or policy made meanwhile goes by a name of theirs.
SELECT count(*) FROM pg_depend d WHERE d.classid IN ('pg_trigger'::regclass, 'pg_policy'::regclass) AND (
    d.refclassid = 'pg_operator'::regclass AND d.refobjid IN (SELECT oid FROM pg_operator WHERE oprnamespace = 'hostile'::regnamespace)
    OR d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM pg_proc WHERE pronamespace = 'hostile'::regnamespace));
-- The traps do work.
SET search_path = hostile, pg_catalog;
SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text AS trapped, now() = now() AS too;
SET search_path = pg_catalog;
SELECT count(*) FROM hostile.called;
RESET search_path;
-- The search_path is the caller's again after each call.
SET search_path = hostile, pg_catalog, mirox;
SELECT mirox.put_account('attack', '{}');
SHOW search_path;
SELECT mirox.delete_account('nobody/at all');
SHOW search_path;
SET search_path = pg_catalog;
SELECT t.state($$SELECT mirox.lock_account('nobody/at all')$$);
SHOW search_path;
SELECT mirox.delete_account('attack');
SET client_min_messages = warning;
DROP FUNCTION t.life(), t.compare(bigint);
DROP SCHEMA hostile CASCADE;
DROP ROLE regress_mirox_attack;
