-- Who may what: PUBLIC, each level, no level. Over the whole catalog, so that a new function or table cannot slip through.
\set SHOW_CONTEXT never
CREATE ROLE regress_mirox_none;
CREATE ROLE regress_mirox_login;
CREATE ROLE regress_mirox_application;
CREATE ROLE regress_mirox_gateway;
CREATE ROLE regress_mirox_reporting;
CREATE ROLE regress_mirox_monitor;
CREATE ROLE regress_mirox_backup;
CREATE ROLE regress_mirox_admin;
CREATE TEMP TABLE levels AS SELECT unnest(ARRAY['login', 'application', 'gateway', 'reporting', 'monitor', 'backup', 'admin']) AS level;
SELECT mirox.grant_access(('regress_mirox_' || level)::regrole, level) FROM levels;

-- ---- PUBLIC ---------------------------------------------------------------------------------------------------------
CREATE TEMP VIEW functions AS SELECT p.oid, p.oid::regprocedure::text AS function, p.prorettype = 'trigger'::regtype AS is_trigger,
    EXISTS (SELECT FROM pg_type t WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend)) OR EXISTS (SELECT FROM pg_operator WHERE oprcode = p.oid)
    OR EXISTS (SELECT FROM pg_amproc WHERE amproc = p.oid) OR EXISTS (SELECT FROM pg_cast WHERE castfunc = p.oid) AS behind_a_type
FROM pg_proc p WHERE pronamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace);
-- What a role without any level may call: what the contract names, and what policies call as the querying role.
SELECT function FROM functions WHERE NOT behind_a_type AND has_function_privilege('regress_mirox_none', oid, 'EXECUTE') ORDER BY function COLLATE "C";
SELECT function AS behind_a_type_but_not_callable FROM functions WHERE behind_a_type AND NOT has_function_privilege('regress_mirox_none', oid, 'EXECUTE');
-- It may read, write or use no relation, no column, no sequence, and create nothing.
SELECT relname FROM pg_class c WHERE relnamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace) AND relkind IN ('r', 'v', 'm', 'p', 'f')
    AND (has_table_privilege('regress_mirox_none', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
         OR has_any_column_privilege('regress_mirox_none', oid, 'SELECT, INSERT, UPDATE, REFERENCES'));
SELECT relname FROM pg_class c WHERE relnamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace) AND CASE relkind WHEN 'S' THEN has_sequence_privilege('regress_mirox_none', oid, 'USAGE, SELECT, UPDATE') END;
SELECT nspname, has_schema_privilege('regress_mirox_none', oid, 'USAGE') AS usage, has_schema_privilege('regress_mirox_none', oid, 'CREATE') AS "create"
FROM pg_namespace WHERE nspname ~ '^mirox' ORDER BY nspname;

-- ---- the rules of access --------------------------------------------------------------------------------------------
-- Each names what is there; whatever is not PUBLIC's, a trigger or marked as internal has a level.
SELECT object AS gone FROM mirox_internal.access_rule WHERE CASE kind WHEN 'function' THEN to_regprocedure(object)::oid WHEN 'schema' THEN to_regnamespace(object)::oid ELSE to_regclass(object)::oid END IS NULL;
-- The level admin has all but what backup has, and nothing of backup's is another level's.
SELECT object AS of_backup_and_another FROM mirox_internal.access_rule GROUP BY object HAVING bool_or(level = 'backup') AND count(*) > 1;
-- Backup names what a dump reads, and nothing is dumped that it does not name.
SELECT extconfig_oid::regclass AS dumped_and_not_of_backup FROM pg_extension, unnest(extconfig) extconfig_oid
WHERE extname = 'mirox_tokens' AND NOT EXISTS (SELECT FROM mirox_internal.access_rule WHERE level = 'backup' AND to_regclass(object) = extconfig_oid);
CREATE TEMP VIEW rules AS SELECT to_regprocedure(object)::oid AS oid, level FROM mirox_internal.access_rule WHERE kind = 'function';
SELECT function AS without_a_level FROM functions WHERE NOT behind_a_type AND NOT is_trigger AND oid NOT IN (SELECT oid FROM rules)
    AND NOT has_function_privilege('regress_mirox_none', oid, 'EXECUTE') AND obj_description(oid, 'pg_proc') NOT LIKE 'Internal: %' ORDER BY 1;
SELECT function AS with_a_level_and_public FROM functions WHERE oid IN (SELECT oid FROM rules) AND has_function_privilege('regress_mirox_none', oid, 'EXECUTE');
-- The levels that the contract gives.
SELECT name, string_agg(level, ',' ORDER BY level) AS expected, (SELECT string_agg(DISTINCT r.level, ',' ORDER BY r.level) FROM rules r JOIN pg_proc p USING (oid) WHERE p.proname = name) AS actual
FROM (VALUES ('put_account', 'login'), ('open_session', 'login'), ('close_session', 'login'), ('close_session', 'application'), ('issue_token', 'application'), ('rotate_token', 'application'),
    ('revoke_token', 'application'), ('revoke_all_tokens', 'application'), ('revoke_expired_tokens', 'application'), ('rename_token', 'application'),
    ('list_tokens', 'application'), ('reveal', 'application'), ('verify_token', 'gateway'), ('verify_digest', 'gateway'), ('revoke_self', 'gateway'),
    ('lock_account', 'admin'), ('unlock_account', 'admin'), ('delete_account', 'admin'), ('revoke_any_token', 'admin'), ('bind_accounts', 'admin'),
    ('grant_access', 'admin'), ('revoke_access', 'admin'), ('set_rate_limit', 'login'), ('close_sessions', 'login'), ('revoke_tokens', 'admin'),
    ('my_account', 'application'), ('list_sessions', 'application'), ('close_other_sessions', 'application'), ('account_log', 'application'),
    ('list_groups', 'application'), ('set_token_permissions', 'application'), ('set_token_networks', 'application'), ('set_token_expiration', 'application'),
    ('set_token_metadata', 'application'), ('suspend_token', 'application'), ('resume_token', 'application'), ('end_overlap', 'application')) v (name, level) GROUP BY name
HAVING string_agg(level, ',' ORDER BY level) IS DISTINCT FROM (SELECT string_agg(DISTINCT r.level, ',' ORDER BY r.level) FROM rules r JOIN pg_proc p USING (oid) WHERE p.proname = name);

-- ---- each level alone -----------------------------------------------------------------------------------------------
-- May call what its level names and what PUBLIC may, nothing else; may read what its level names, and change no table. A partition is read with its parent.
SELECT level, function, has_function_privilege('regress_mirox_' || level, oid, 'EXECUTE') AS may FROM levels, functions f
WHERE has_function_privilege('regress_mirox_' || level, oid, 'EXECUTE') IS DISTINCT FROM
      (has_function_privilege('regress_mirox_none', oid, 'EXECUTE') OR EXISTS (SELECT FROM rules r WHERE r.oid = f.oid AND (r.level = levels.level OR levels.level = 'admin')));
SELECT level, relname FROM levels, pg_class c WHERE relnamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace) AND relkind IN ('r', 'v', 'm', 'p', 'f')
    AND (has_any_column_privilege('regress_mirox_' || level, c.oid, 'SELECT') IS DISTINCT FROM
         EXISTS (SELECT FROM mirox_internal.access_rule r WHERE r.kind = 'relation' AND to_regclass(r.object) = COALESCE((SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid AND c.relispartition), c.oid) AND (r.level = levels.level OR levels.level = 'admin' AND r.level <> 'backup'))
         OR has_table_privilege('regress_mirox_' || level, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
         OR has_any_column_privilege('regress_mirox_' || level, c.oid, 'INSERT, UPDATE, REFERENCES'));
SELECT level, relname FROM levels, pg_class c WHERE relnamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace) AND CASE relkind WHEN 'S' THEN has_sequence_privilege('regress_mirox_' || level, c.oid, 'USAGE, UPDATE') OR level <> 'backup' AND has_sequence_privilege('regress_mirox_' || level, c.oid, 'SELECT') END;
SELECT level, nspname FROM levels, pg_namespace n WHERE nspname ~ '^mirox' AND has_schema_privilege('regress_mirox_' || level, n.oid, 'CREATE')
    OR nspname = 'mirox_internal' AND level <> 'backup' AND has_schema_privilege('regress_mirox_' || level, n.oid, 'USAGE');
-- None may pass on what it was given, but by grant_access.
SELECT level, function FROM levels, functions WHERE has_function_privilege('regress_mirox_' || level, oid, 'EXECUTE WITH GRANT OPTION');

-- ---- in use ---------------------------------------------------------------------------------------------------------
SET ROLE regress_mirox_login;
SELECT mirox.put_account('access', '{parks}');
SELECT mirox.open_session('access') AS session \gset
SET ROLE regress_mirox_application;
SELECT token_id, secret FROM mirox.issue_token(:'session', 'a', 'full_access') \gset
SELECT name, status FROM mirox.list_tokens(:'session');
SELECT mirox.reveal('mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria') IS NOT NULL AS revealed;
SELECT * FROM mirox.verify_token(:'secret');
SELECT * FROM mirox.verify_digest(t.sha256(:'secret'));
SELECT mirox.open_session('access');
SELECT mirox.revoke_self(:'secret');
SELECT * FROM mirox_internal.token;
SET ROLE regress_mirox_gateway;
SELECT status, user_id, permissions FROM mirox.verify_token(:'secret');
SELECT status, user_id FROM mirox.verify_digest(t.sha256(:'secret'));
SELECT mirox.issue_token(:'session', 'b', 'full_access');
SELECT mirox.list_tokens(:'session');
SELECT mirox.rotate_token(:'session', :token_id);
SELECT mirox.revoke_any_token(:token_id);
SELECT * FROM mirox_internal.token_secret;
SELECT nextval('mirox_internal.token_id_seq');
SET ROLE regress_mirox_reporting;
SELECT status FROM mirox.verify_token(:'secret');
SELECT mirox.open_session('access');
SELECT mirox.list_tokens(:'session');
SELECT * FROM mirox_internal.audit_log;
SET ROLE regress_mirox_login;
SELECT status FROM mirox.verify_token(:'secret');
SELECT mirox.issue_token(:'session', 'b', 'full_access');
SELECT mirox.lock_account('access');
SELECT mirox.delete_account('access');
SELECT * FROM mirox_internal.account;
UPDATE mirox_internal.account SET permissions = '{*}';
SET ROLE regress_mirox_none;
SELECT status FROM mirox.verify_token(:'secret');
SELECT mirox.put_account('access', '{*}');
SELECT mirox.grant_access('regress_mirox_none', 'admin');
SELECT * FROM mirox_internal.access_rule;
INSERT INTO mirox_internal.access_rule VALUES ('x', 'function', 'login');
CREATE TABLE mirox.mine (i int);
SELECT '{parks:read}'::mirox.scopes OPERATOR(mirox.<@) '{parks}'::mirox.scopes AS types_work, repeat('0', 64)::mirox.digest OPERATOR(mirox.=) repeat('0', 64)::mirox.digest AS they_do;
SET ROLE regress_mirox_admin;
SELECT mirox.lock_account('access') IS NOT NULL AS locked, mirox.unlock_account('access') AS unlocked;
SELECT status FROM mirox.verify_token(:'secret');
SELECT mirox.open_session('access') AS session \gset
SELECT count(*) FROM mirox.list_tokens(:'session');
SELECT mirox.grant_access('regress_mirox_none', 'login');
UPDATE mirox_internal.account SET permissions = '{*}';
DELETE FROM mirox_internal.audit_log;
RESET ROLE;
-- ---- monitor and backup ---------------------------------------------------------------------------------------------
SET ROLE regress_mirox_monitor;
SELECT count(*) FROM mirox.stat;
SELECT t.state(statement), statement FROM unnest(ARRAY['SELECT * FROM mirox.token_report', 'SELECT * FROM mirox.accounts', 'SELECT * FROM mirox.access',
    'SELECT * FROM mirox_internal.account', 'SELECT mirox.flush()']) statement;
SET ROLE regress_mirox_backup;
SELECT count(*) > 0 AS read FROM mirox_internal.token_secret;
SELECT t.state(statement), statement FROM unnest(ARRAY['DELETE FROM mirox_internal.token_secret', 'SELECT nextval(''mirox_internal.token_id_seq'')',
    'SELECT * FROM mirox.stat', 'SELECT mirox.verify_token(''x'')', 'SELECT * FROM mirox_internal.access_rule']) statement;
-- Only the extension's owner and superusers give and take it.
SET ROLE regress_mirox_admin;
SELECT mirox.grant_access('regress_mirox_admin', 'backup');
SELECT mirox.revoke_access('regress_mirox_backup', 'backup');
SELECT mirox.grant_access('regress_mirox_none', 'monitor');
SELECT t.state(statement), statement FROM unnest(ARRAY['SELECT * FROM mirox_internal.token_secret', 'SELECT * FROM mirox_internal.access_rule']) statement;

-- ---- reading what one sets ------------------------------------------------------------------------------------------
SELECT role, level, complete, missing, can_login, superuser, bypassrls, members FROM mirox.access WHERE role ~ '^regress_mirox';
SELECT user_id, permissions, rate_limit, burst, locked_at, lock_reason FROM mirox.accounts WHERE user_id = 'access';
SELECT user_id, status, closed_at IS NOT NULL AS closed, client_ip FROM mirox.sessions WHERE user_id = 'access' ORDER BY session_id;
SELECT name, permissions, description, builtin FROM mirox.groups WHERE builtin ORDER BY group_id;
SELECT count(*) >= 0 AS read FROM mirox.endpoints;
SELECT count(*) >= 0 AS read FROM mirox.notices;
RESET ROLE;
-- A level in part, as after an update that adds to it; everybody; a member.
GRANT EXECUTE ON FUNCTION mirox.close_session(text) TO regress_mirox_reporting, PUBLIC;
REVOKE EXECUTE ON FUNCTION mirox.verify_digest(bytea, inet, text, text) FROM regress_mirox_gateway;
GRANT regress_mirox_gateway TO regress_mirox_none;
SELECT role, level, complete, CASE WHEN role ~ 'gateway' THEN missing END AS missing, members FROM mirox.access
WHERE role IN ('public', 'regress_mirox_gateway', 'regress_mirox_reporting');
-- An administrator after such an update.
REVOKE EXECUTE ON FUNCTION mirox.put_group(text, text[], text) FROM regress_mirox_admin;
SELECT role, level, complete, missing FROM mirox.access WHERE role = 'regress_mirox_admin';
SELECT mirox.grant_access('regress_mirox_admin', 'admin');
REVOKE regress_mirox_gateway FROM regress_mirox_none;
REVOKE EXECUTE ON FUNCTION mirox.close_session(text) FROM regress_mirox_reporting, PUBLIC;
SELECT mirox.grant_access('regress_mirox_gateway', 'gateway'), mirox.revoke_access('regress_mirox_none', 'monitor');
-- No digest is in any view, and no type of mirox_internal in any view or result.
SELECT attrelid::regclass AS view, attname, atttypid::regtype FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'mirox'::regnamespace AND c.relkind = 'v' AND attnum > 0
    AND (atttypid = 'mirox.digest'::regtype OR (SELECT typnamespace FROM pg_type WHERE oid = atttypid) = 'mirox_internal'::regnamespace);
SELECT c.relname AS view, a.attname AS without_comment FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'mirox'::regnamespace AND c.relkind = 'v' AND attnum > 0 AND col_description(c.oid, attnum) IS NULL;

-- The log names the role that called, not the owner that acted for it.
SELECT event, NULLIF(db_role, session_user) AS db_role FROM mirox_internal.audit_log WHERE user_id = 'access' ORDER BY audit_id;
SELECT event, NULLIF(db_role, session_user) AS db_role, detail FROM mirox_internal.audit_log
WHERE event LIKE 'access\_%' AND detail ->> 'role' IN (SELECT 'regress_mirox_' || level FROM levels UNION VALUES ('regress_mirox_none')) ORDER BY audit_id;
-- A caller's role and rights are its own again after each call, after a failed one too.
SET ROLE regress_mirox_application;
SELECT current_user, (SELECT count(*) FROM mirox.list_tokens(:'session')) AS listed, current_user AS after;
SELECT t.state(format('SELECT mirox.rotate_token(%L, -1)', :'session')), current_user;
SELECT * FROM mirox_internal.account;
RESET ROLE;
-- SECURITY DEFINER functions of others, and views, count as their owners.
CREATE FUNCTION pg_temp.gateway(s text) RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT status FROM mirox.verify_token(s)';
ALTER FUNCTION pg_temp.gateway(text) OWNER TO regress_mirox_gateway;
SET ROLE regress_mirox_none;
SELECT pg_temp.gateway(:'secret');
RESET ROLE;

-- ---- revoking -------------------------------------------------------------------------------------------------------
SELECT mirox.revoke_access('regress_mirox_none', 'login');
SELECT count(*) AS left FROM functions WHERE has_function_privilege('regress_mirox_none', oid, 'EXECUTE') AND oid IN (SELECT oid FROM rules);
-- What another level of the role's also names stays, in either order.
SELECT mirox.grant_access('regress_mirox_none', level) FROM levels WHERE level IN ('application', 'gateway');
SELECT mirox.revoke_access('regress_mirox_none', 'application');
SELECT function FROM functions f WHERE oid IN (SELECT oid FROM rules)
    AND has_function_privilege('regress_mirox_none', oid, 'EXECUTE') IS DISTINCT FROM EXISTS (SELECT FROM rules r WHERE r.oid = f.oid AND level = 'gateway');
SELECT mirox.grant_access('regress_mirox_none', 'application');
SELECT mirox.revoke_access('regress_mirox_none', 'gateway');
SELECT function FROM functions f WHERE oid IN (SELECT oid FROM rules)
    AND has_function_privilege('regress_mirox_none', oid, 'EXECUTE') IS DISTINCT FROM EXISTS (SELECT FROM rules r WHERE r.oid = f.oid AND level = 'application');
SELECT mirox.revoke_access('regress_mirox_none', 'application');
-- Again: nothing left to take.
SELECT mirox.revoke_access('regress_mirox_none', 'application');
SELECT count(*) AS left FROM functions WHERE has_function_privilege('regress_mirox_none', oid, 'EXECUTE') AND oid IN (SELECT oid FROM rules);
-- The level admin taken away takes all.
SELECT mirox.grant_access('regress_mirox_none', 'admin');
SELECT mirox.revoke_access('regress_mirox_none', 'admin');
SELECT count(*) AS left FROM functions WHERE has_function_privilege('regress_mirox_none', oid, 'EXECUTE') AND oid IN (SELECT oid FROM rules);
-- By membership: the member may what the role may, and keeps nothing when it leaves.
GRANT regress_mirox_gateway TO regress_mirox_none;
SET ROLE regress_mirox_none;
SELECT status FROM mirox.verify_token(:'secret');
RESET ROLE;
REVOKE regress_mirox_gateway FROM regress_mirox_none;
SET ROLE regress_mirox_none;
SELECT status FROM mirox.verify_token(:'secret');
RESET ROLE;

-- ---- bad arguments --------------------------------------------------------------------------------------------------
SELECT call, t.outcome('SELECT mirox.' || call) FROM unnest(ARRAY[$$grant_access('regress_mirox_none', 'root')$$, $$grant_access('regress_mirox_none', 'Admin')$$,
    $$grant_access('regress_mirox_none', '')$$, $$grant_access('regress_mirox_none', NULL)$$, $$grant_access(NULL, 'admin')$$,
    $$grant_access('regress_mirox_no_such', 'admin')$$, $$grant_access('-', 'admin')$$, $$grant_access(999999::oid, 'admin')$$,
    $$revoke_access('regress_mirox_none', 'root')$$, $$revoke_access('regress_mirox_none', 'admin')$$]) call;
-- A role whose name needs quotes.
CREATE ROLE "regress_mirox ""x""; DROP TABLE mirox_internal.token";
SELECT mirox.grant_access('"regress_mirox ""x""; DROP TABLE mirox_internal.token"', 'login');
SELECT has_function_privilege('regress_mirox "x"; DROP TABLE mirox_internal.token', 'mirox.open_session(text,interval,inet,text)', 'EXECUTE') AS granted;
SELECT mirox.revoke_access('"regress_mirox ""x""; DROP TABLE mirox_internal.token"', 'login');
DROP ROLE "regress_mirox ""x""; DROP TABLE mirox_internal.token";

-- The rules of access are the scripts' alone, even for a publisher, by whom no ordinary trigger fires.
SET session_replication_role = replica;
SELECT statement, t.state(statement) FROM unnest(ARRAY[$$INSERT INTO mirox_internal.access_rule VALUES ('mirox_internal.token_secret', 'relation', 'reporting')$$,
    $$UPDATE mirox_internal.access_rule SET level = 'login'$$, 'DELETE FROM mirox_internal.access_rule', 'TRUNCATE mirox_internal.access_rule']) statement;
RESET session_replication_role;

SELECT mirox.delete_account('access');
SELECT mirox.revoke_access(('regress_mirox_' || level)::regrole, level) FROM levels;
SELECT level, function FROM levels, functions WHERE oid IN (SELECT oid FROM rules) AND has_function_privilege('regress_mirox_' || level, oid, 'EXECUTE');
DROP FUNCTION pg_temp.gateway(text);
DROP ROLE regress_mirox_none, regress_mirox_login, regress_mirox_application, regress_mirox_gateway, regress_mirox_reporting, regress_mirox_monitor,
    regress_mirox_backup, regress_mirox_admin;
