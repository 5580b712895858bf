-- Who acts for a token manages nothing; who acts for a web session, its account alone. By the catalog, so that a new function of
-- the levels login, application and admin cannot slip through; and what the audit log and the owner see of it.
CREATE SCHEMA acting;
SET search_path = acting;
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE ROLE regress_acting_admin;
CREATE ROLE regress_acting_app;
CREATE ROLE regress_acting_other;
SELECT mirox.grant_access('regress_acting_admin', 'admin');
SELECT mirox.grant_access('regress_acting_app', level) FROM unnest('{gateway,application}'::text[]) level;
GRANT USAGE ON SCHEMA acting TO PUBLIC;

SELECT mirox.put_account('acting-ann', '{*}', 1000000, 1000), mirox.put_account('acting-bob', '{*}', 1000000, 1000);
SELECT mirox.open_session('acting-ann') AS ann, mirox.open_session('acting-ann') AS ann_too, mirox.open_session('acting-bob') AS bob \gset
SELECT secret AS ann_secret, token_id AS ann_id FROM mirox.issue_token(:'ann', 'acts', 'full_access') \gset
SELECT secret AS idle_secret, token_id AS idle_id FROM mirox.issue_token(:'ann', 'idle', 'full_access') \gset
SELECT secret AS bob_secret, token_id AS bob_id FROM mirox.issue_token(:'bob', 'acts', 'full_access') \gset
CREATE TABLE users (id text PRIMARY KEY);
CREATE TABLE note (owner text);

-- ---- every function of these levels ---------------------------------------------------------------------------------
CREATE TABLE functions AS
    SELECT p.oid, p.oid::regprocedure::text AS function, p.proname, p.proparallel, p.provolatile,
           array_agg(r.level ORDER BY r.level) AS levels
    FROM mirox_internal.access_rule r JOIN pg_proc p ON p.oid = to_regprocedure(r.object)
    WHERE r.kind = 'function' AND p.prorettype <> 'trigger'::regtype
    GROUP BY p.oid;
-- What stands behind a view is no act: views answer as ever.
CREATE TABLE managing AS SELECT * FROM functions WHERE levels <@ '{login,application,admin}' AND function NOT LIKE 'mirox\_internal.%';
CREATE TABLE answering AS SELECT * FROM functions WHERE NOT levels <@ '{login,application,admin}';
GRANT SELECT ON functions, managing, answering TO PUBLIC;
-- The identity has a say in each call: it is not folded at plan time, nor made in a worker, which has no identity.
SELECT function FROM managing WHERE proparallel = 's' OR provolatile = 'i';

-- An argument that the function could do something with, by its name, else by its type.
CREATE FUNCTION argument(name text, type regtype) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('%L::%s', CASE
        WHEN name IN ('session', 'secret') THEN current_setting('acting.' || name)
        WHEN name IN ('credential', 'authorization') THEN 'Bearer ' || current_setting('acting.secret')
        WHEN name = 'token_id' THEN current_setting('acting.token')
        WHEN name = 'user_id' THEN 'acting-bob'
        WHEN name = 'permission_group' THEN 'full_access'
        WHEN name = 'users' THEN 'acting.users'
        WHEN name = 'tbl' THEN 'acting.note'
        WHEN name = 'id_column' THEN 'id'
        WHEN name = 'role' THEN 'regress_acting_other'
        WHEN name = 'level' THEN 'login'
        WHEN name = 'method' THEN 'GET'
        WHEN name = 'path' THEN '/acting'
        WHEN type = 'bytea'::regtype THEN '\x00'
        WHEN type = 'inet[]'::regtype THEN '{203.0.113.0/24}'
        WHEN type::text LIKE '%[]' THEN '{acting}'
        WHEN type IN ('integer'::regtype, 'bigint'::regtype) THEN '1'
        WHEN type = 'interval'::regtype THEN '1 hour'
        WHEN type = 'timestamptz'::regtype THEN 'tomorrow'
        WHEN type IN ('text'::regtype, 'name'::regtype) THEN 'acting'
        END, type)
$$;
CREATE FUNCTION call(function oid) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('SELECT count(*) FROM %s(%s)', p.oid::regproc,
        (SELECT string_agg(acting.argument(p.proargnames[i], p.proargtypes[i - 1]), ', ' ORDER BY i)
         FROM generate_series(1, p.pronargs - p.pronargdefaults) i))
    FROM pg_proc p WHERE p.oid = function
$$;
-- What becomes of it, as t.outcome says it; nothing of it stays.
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'U0000';
EXCEPTION WHEN SQLSTATE 'U0000' THEN
    RETURN 'ok';
WHEN OTHERS THEN
    RETURN concat_ws(' ', SQLSTATE, SQLERRM);
END
$$;
-- All that an act could change: every row of ours, sequences of management, rights, policies, triggers.
CREATE FUNCTION everything() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    one record;
    part text;
    whole text := '';
BEGIN
    FOR one IN SELECT oid::regclass AS name FROM pg_class WHERE relnamespace = 'mirox_internal'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1 LOOP
        EXECUTE format('SELECT md5(string_agg(md5(x::text), %L ORDER BY md5(x::text))) FROM %s x', '', one.name) INTO part;
        whole := whole || one.name || part;
    END LOOP;
    FOR one IN SELECT oid::regclass AS name FROM pg_class WHERE relnamespace = 'mirox_internal'::regnamespace AND relkind = 'S'
        AND relname IN ('account_id_seq', 'session_id_seq', 'token_id_seq', 'group_id_seq', 'audit_id_seq') ORDER BY 1 LOOP
        EXECUTE format('SELECT concat(last_value, is_called) FROM %s', one.name) INTO part;
        whole := whole || one.name || part;
    END LOOP;
    SELECT whole || string_agg(p.proacl::text, '' ORDER BY p.oid) INTO whole FROM pg_proc p WHERE pronamespace = 'mirox'::regnamespace;
    SELECT concat(whole, string_agg(concat(c.relacl, c.relrowsecurity, c.relforcerowsecurity), '' ORDER BY c.oid)) INTO whole
    FROM pg_class c WHERE relnamespace IN ('mirox'::regnamespace, 'acting'::regnamespace);
    SELECT concat(whole, count(*), max(oid)) INTO whole FROM pg_policy;
    SELECT concat(whole, count(*), max(oid)) INTO whole FROM pg_trigger;
    RETURN md5(concat(whole, (SELECT stats_reset FROM mirox.stat)));
END
$$;
SELECT set_config('acting.session', :'ann', false) <> '' AND set_config('acting.secret', :'ann_secret', false) <> ''
   AND set_config('acting.token', :'ann_id', false) <> '' AS given;

-- With no identity these calls do what they are for, so that it is not for their arguments that they are refused below.
SELECT count(*) FILTER (WHERE outcome = 'ok') > 20 AS most, count(*) FILTER (WHERE outcome LIKE '% a transaction that acts for%') AS refused
FROM (SELECT try(call(oid)) AS outcome FROM managing OFFSET 0) x;

-- A token's transaction: whatever the role, nothing is done, whosever session is passed, and each is counted.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT everything() AS before, acts_refused AS refused, checks FROM mirox.stat \gset
SELECT mirox.authenticate('Bearer ' || :'ann_secret', '203.0.113.9', 'curl/8.5.0');
SELECT function, outcome FROM (SELECT function, try(call(oid)) AS outcome FROM managing OFFSET 0) x
WHERE outcome <> '42501 a transaction that acts for a token manages nothing' ORDER BY 1;
SELECT set_config('acting.session', :'bob', true) <> '' AS given;
SET LOCAL ROLE regress_acting_admin;
SELECT function, outcome FROM (SELECT function, try(call(oid)) AS outcome FROM managing OFFSET 0) x
WHERE outcome <> '42501 a transaction that acts for a token manages nothing' ORDER BY 1;
RESET ROLE;
-- NULLs, too: nothing is looked at before. (A strict function is not called at all for one.)
SELECT p.oid::regproc AS function, outcome FROM pg_proc p JOIN managing USING (oid), LATERAL (SELECT try(format('SELECT count(*) FROM %s(%s)', p.oid::regproc,
    (SELECT string_agg('NULL::' || type::regtype, ', ') FROM unnest(p.proargtypes) type))) AS outcome OFFSET 0) x
WHERE NOT proisstrict AND outcome <> '42501 a transaction that acts for a token manages nothing' ORDER BY 1;
SELECT everything() = :'before' AS nothing_changed;
SELECT acts_refused - :refused = 2 * (SELECT count(*) FROM managing) + (SELECT count(*) FROM managing JOIN pg_proc USING (oid) WHERE NOT proisstrict) AS counted,
    checks - :checks AS checks FROM mirox.stat;
-- What gateways, reports and monitors may call answers as ever.
SELECT function, outcome FROM (SELECT function, try(call(oid)) AS outcome FROM answering OFFSET 0) x WHERE outcome <> 'ok' ORDER BY 1;
SELECT object, outcome FROM (SELECT object, try('SELECT count(*) FROM ' || object) AS outcome FROM mirox_internal.access_rule WHERE kind = 'relation' OFFSET 0) x
WHERE outcome <> 'ok' ORDER BY 1;
SELECT mirox.current_user_id(), mirox.current_token_id() = :ann_id AS same, mirox.allows('x:y'), mirox.granted('read');
SELECT status, user_id FROM mirox.verify_token(:'bob_secret');
SELECT burst FROM mirox.rate_limit_status('acting-bob');
ROLLBACK;
-- It was this transaction alone.
SELECT count(*) FROM mirox.list_tokens(:'ann');

-- revoke_self ends the token that acts, and no other, of nobody's.
\set VERBOSITY default
BEGIN; SELECT mirox.authenticate('Bearer ' || :'ann_secret'); SELECT mirox.revoke_self(:'idle_secret'); ROLLBACK;
\set VERBOSITY terse
BEGIN; SELECT mirox.authenticate('Bearer ' || :'ann_secret'); SELECT mirox.revoke_self(:'bob_secret'); ROLLBACK;
BEGIN; SELECT mirox.authenticate('Bearer ' || :'ann_secret'); SELECT mirox.revoke_self('mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'); ROLLBACK;
BEGIN; SELECT mirox.authenticate('Bearer ' || :'ann_secret'); SELECT mirox.revoke_self(:'ann_secret') IS NOT NULL AS revoked; ROLLBACK;
BEGIN; SELECT mirox.authenticate('Bearer ' || :'ann'); SELECT mirox.revoke_self(:'bob_secret') IS NOT NULL AS revoked; ROLLBACK;
SELECT status FROM mirox.verify_token(:'idle_secret') UNION ALL SELECT status FROM mirox.verify_token(:'bob_secret');

-- A session's transaction: the owner's functions with a session of the same account, this one or another; nothing else.
CREATE TABLE owners AS SELECT * FROM managing WHERE 'application' = ANY (levels) OR proname = 'close_session';
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT everything() AS before \gset
SELECT mirox.authenticate('Bearer ' || :'ann', '203.0.113.9', 'Firefox');
SELECT function, outcome FROM (SELECT function, try(call(oid)) AS outcome FROM managing WHERE oid NOT IN (SELECT oid FROM owners) OFFSET 0) x
WHERE outcome <> '42501 a transaction that acts for a web session manages that session''s account alone' ORDER BY 1;
SELECT set_config('acting.session', :'bob', true) <> '' AND set_config('acting.token', :'bob_id', true) <> '' AS given;
-- (reveal() takes no session, and tells of a value that the caller holds.)
SELECT function, outcome FROM (SELECT function, try(call(oid)) AS outcome FROM owners OFFSET 0) x
WHERE outcome <> '42501 the session belongs to another account than the one that the transaction acts for' ORDER BY 1;
SELECT everything() = :'before' AS nothing_changed;
SELECT function, outcome FROM (SELECT function, try(call(oid)) AS outcome FROM answering OFFSET 0) x WHERE outcome <> 'ok' ORDER BY 1;
SELECT set_config('acting.session', :'ann_too', true) <> '' AND set_config('acting.token', :'ann_id', true) <> '' AS given;
SELECT function, outcome FROM (SELECT function, try(call(oid)) AS outcome FROM owners OFFSET 0) x WHERE outcome <> 'ok' ORDER BY 1;
ROLLBACK;
\set VERBOSITY default
BEGIN; SELECT mirox.authenticate('Bearer ' || :'ann'); SELECT mirox.put_account('acting-ann', '{*}'); ROLLBACK;
BEGIN; SELECT mirox.authenticate('Bearer ' || :'ann'); SELECT mirox.close_session(:'bob'); ROLLBACK;
\set VERBOSITY terse
-- No session of anybody's is not open, as ever.
BEGIN; SELECT mirox.authenticate('Bearer ' || :'ann'); SELECT mirox.close_session('miroxs_junk'); SELECT count(*) FROM mirox.list_tokens('miroxs_junk'); ROLLBACK;
-- Its own log-out, and what comes after.
BEGIN; SELECT mirox.authenticate('Bearer ' || :'ann_too'); SELECT mirox.close_session(:'ann_too'); SELECT count(*) FROM mirox.list_tokens(:'ann_too'); ROLLBACK;

-- ---- how long ---------------------------------------------------------------------------------------------------------
-- A refusal that is caught leaves the transaction as it was; a savepoint takes back an identity that was set in it.
BEGIN;
SELECT mirox.authenticate('Bearer ' || :'ann_secret');
SAVEPOINT a;
SELECT mirox.put_account('acting-new', '{*}');
ROLLBACK TO a;
SELECT try('SELECT mirox.lock_account(''acting-ann'')');
SELECT mirox.current_user_id();
ROLLBACK;
BEGIN;
SAVEPOINT a;
SELECT mirox.authenticate('Bearer ' || :'ann_secret');
SELECT try('SELECT mirox.put_account(''acting-new'', ''{}'')');
ROLLBACK TO a;
SELECT try('SELECT mirox.put_account(''acting-new'', ''{}'')');
ROLLBACK;
-- Through others' functions, cursors and plans that were made before.
CREATE FUNCTION definer() RETURNS timestamptz LANGUAGE sql SECURITY DEFINER AS $$ SELECT mirox.lock_account('acting-bob') $$;
PREPARE kept AS SELECT mirox.reveal('mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'::mirox.secret) IS NOT NULL AS revealed;
SET plan_cache_mode = force_generic_plan;
EXECUTE kept;
BEGIN;
DECLARE early CURSOR FOR SELECT mirox.lock_account('acting-bob') FROM generate_series(1, 2);
SELECT mirox.authenticate('Bearer ' || :'ann_secret');
SELECT try('SELECT acting.definer()'), try('EXECUTE kept'), try('FETCH early');
SELECT (mirox.explain_check('x')).status;
ROLLBACK;
RESET plan_cache_mode;
DEALLOCATE kept;

-- ---- what a token's transaction ends without managing --------------------------------------------------------------
-- A bound user, deleted by an API that acts for one; direct DML, which is the owner's, who is trusted. The log names who acted.
SELECT mirox.bind_accounts('users', 'id');
INSERT INTO users VALUES ('acting-carl');
SELECT mirox.put_account('acting-carl', '{}');
GRANT SELECT, DELETE ON users TO regress_acting_app;
SET ROLE regress_acting_app;
BEGIN;
SELECT mirox.authenticate('Bearer ' || :'ann_secret');
DELETE FROM users WHERE id = 'acting-carl';
COMMIT;
RESET ROLE;
SELECT event, token_id, acting_token_id = :ann_id AS by_token, acting_session_id, NULLIF(db_role, session_user) AS db_role, login_role = session_user AS login_role
FROM mirox.audit_trail WHERE user_id = 'acting-carl' AND requests IS NULL ORDER BY audit_id;
BEGIN;
SELECT mirox.authenticate('Bearer ' || :'ann_secret');
UPDATE mirox_internal.account SET lock_reason = 'directly' WHERE user_id = 'acting-bob';
COMMIT;
SELECT event, detail, acting_token_id = :ann_id AS by_token, acting_session_id FROM mirox.audit_trail
WHERE user_id = 'acting-bob' AND requests IS NULL ORDER BY audit_id DESC LIMIT 1;
-- A session's: the one that the transaction acts for beside the one that was passed. session_user beside current_user, which a
-- function of somebody's changes.
CREATE FUNCTION renames(session text, token bigint) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT mirox.rename_token(session, token, 'renamed') $$;
ALTER FUNCTION renames(text, bigint) OWNER TO regress_acting_app;
GRANT regress_acting_app TO regress_acting_other;
SET ROLE regress_acting_other;
BEGIN;
SELECT mirox.authenticate('Bearer ' || :'ann_too');
SELECT renames(:'ann', :idle_id);
COMMIT;
RESET ROLE;
SELECT a.event, a.db_role, a.login_role = session_user AS login_role, a.acting_token_id, a.session_id < a.acting_session_id AS another_session
FROM mirox.audit_trail a WHERE a.user_id = 'acting-ann' AND a.requests IS NULL ORDER BY audit_id DESC LIMIT 1;
-- Without an identity: neither.
SELECT count(*) FILTER (WHERE acting_token_id IS NULL AND acting_session_id IS NULL) > 0 AS without, count(*) FILTER (WHERE login_role IS NULL) AS nameless
FROM mirox_internal.audit_log WHERE user_id LIKE 'acting-%';

-- ---- what is recorded of the refusals ---------------------------------------------------------------------------------------
SELECT secret AS tried_secret, token_id AS tried_id FROM mirox.issue_token(:'ann', 'tries', 'full_access') \gset
SELECT acts_refused AS refused, clock_timestamp() AS began FROM mirox.stat \gset
BEGIN; SELECT mirox.authenticate('Bearer ' || :'tried_secret', '203.0.113.9', 'curl/8.5.0'); SELECT mirox.put_account('acting-ann', '{*}'); ROLLBACK;
BEGIN; SELECT mirox.authenticate('Bearer ' || :'tried_secret', '203.0.113.9', 'curl/8.5.0'); SELECT mirox.put_account('acting-ann', '{*}'); ROLLBACK;
-- A token's secret instead of a session's; no session; a closed one.
SELECT count(*) FROM mirox.list_tokens(:'tried_secret');
SELECT token_id FROM mirox.issue_token('miroxs_junk', 'x', 'reporting');
SELECT token_id FROM mirox.issue_token(NULL, 'x', 'reporting');
SELECT token_id FROM mirox.issue_token('mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria', 'x', 'reporting');
SELECT mirox.close_session(:'ann_too');
SELECT mirox.revoke_all_tokens(:'ann_too');
-- What is wrong with an act is no refusal of it.
SELECT mirox.rename_token(:'ann', :tried_id, '');
SELECT mirox.close_session('miroxs_junk');
SELECT acts_refused - :refused AS refused FROM mirox.stat;
SELECT status, reason, sum(requests) AS requests, ip, user_agent, scope FROM mirox.token_history(:'ann', :tried_id) WHERE status <> 200 GROUP BY 1, 2, 4, 5, 6 ORDER BY scope;
SELECT mirox.flush();
SELECT status, reason, token_id IS NOT NULL AS of_token, session_id IS NOT NULL AS of_session, user_id, ip, user_agent, CASE WHEN user_id IS NOT NULL THEN sum(requests) END AS requests, scope
FROM mirox.refusals WHERE reason = 'management_refused' AND last_at >= :'began' AND (token_id = :tried_id OR user_id = 'acting-ann' OR user_id IS NULL)
GROUP BY 1, 2, 3, 4, 5, 6, 7, 9 ORDER BY scope;
SELECT event, sum(requests) AS requests, detail ->> 'scope' AS scope FROM mirox.audit_trail WHERE token_id = :tried_id AND requests IS NOT NULL GROUP BY 1, 3 ORDER BY 1, 3;
SELECT refusals FROM mirox.token_report WHERE token_id = :tried_id;
-- They are no checks.
SELECT checks = ok + malformed + unknown + revoked + rotated + expired + locked + ip_not_allowed + insufficient_scope + rate_limited + invalid_request AS checks_alone,
    acts_refused > 0 AS some FROM mirox.stat;
SELECT mirox.stat_reset();
SELECT acts_refused FROM mirox.stat;

SELECT mirox.delete_account('acting-' || name) FROM unnest('{ann,bob}'::text[]) name;
SELECT mirox.revoke_access('regress_acting_admin', 'admin');
SELECT mirox.revoke_access('regress_acting_app', level) FROM unnest('{gateway,application}'::text[]) level;
\set VERBOSITY sqlstate
SET client_min_messages = warning;
DROP SCHEMA acting CASCADE;
DROP ROLE regress_acting_admin, regress_acting_app, regress_acting_other;
