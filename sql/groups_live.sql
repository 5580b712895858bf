-- Permission groups: added, changed and dropped while tokens are in them; obeyed by the next check and costing no token's row.
\set VERBOSITY terse
SELECT mirox.put_account('groups_live', '{parks,reports,exports}', 100000, 1000);
SELECT mirox.open_session('groups_live') AS session \gset
SELECT mirox.put_group('groups_ops', '{parks:read,reports}', 'Operations');
SELECT secret AS token FROM mirox.issue_token(:'session', 'ops', 'groups_ops') \gset
SELECT secret AS narrow FROM mirox.issue_token(:'session', 'narrow', 'groups_ops', permissions => '{parks.berlin:read}') \gset
SELECT permission_group, permissions FROM mirox.verify_token(:'token');
SELECT permission_group, permissions FROM mirox.verify_token(:'narrow');

-- A change: no description given, so it stays; the same again is no change and no audit row.
SELECT mirox.put_group('groups_ops', '{parks}');
SELECT mirox.put_group('groups_ops', '{parks}');
SELECT permissions, description, builtin FROM mirox_internal.permission_group WHERE name = 'groups_ops';
SELECT status, permissions FROM mirox.verify_token(:'token', required_scope => 'reports');
SELECT status, permissions FROM mirox.verify_token(:'narrow', required_scope => 'parks.berlin:read');
SELECT mirox.put_group('groups_ops', '{}', 'Nothing now');
SELECT status, permissions FROM mirox.verify_token(:'token', required_scope => 'parks:read');
SELECT status, permissions FROM mirox.verify_token(:'narrow');
-- A group never gives more than the owner has.
SELECT mirox.put_group('groups_ops', '{*}');
SELECT status, permissions FROM mirox.verify_token(:'token', required_scope => 'users');
-- Direct DML obeys the same rules.
UPDATE mirox_internal.permission_group SET permissions = '{exports}' WHERE name = 'groups_ops';
SELECT permissions FROM mirox.verify_token(:'token');
-- Rolled back, it never was.
BEGIN;
SELECT mirox.put_group('groups_ops', '{reports}');
SELECT permissions FROM mirox.verify_token(:'token');
ROLLBACK;
SELECT permissions FROM mirox.verify_token(:'token');
SELECT event, detail - 'group_id' AS detail FROM mirox_internal.audit_log
WHERE event LIKE 'group%' AND detail::text LIKE '%groups_ops%' ORDER BY audit_id;

-- What the owner, the group or the token loses is lost at the next check; all that counts is what all three have.
SELECT mirox.put_group('groups_ops', '{parks:read,reports,exports:read}');
SELECT mirox.put_account('groups_live', '{parks.berlin,exports:read,users}', 100000, 1000);
SELECT permissions FROM mirox.verify_token(:'token');
SELECT permissions FROM mirox.verify_token(:'narrow');
SELECT mirox.put_account('groups_live', '{parks,reports,exports}', 100000, 1000);
SELECT permissions FROM mirox.verify_token(:'token');

-- ---- refusals
\set VERBOSITY sqlstate
SELECT mirox.put_group('full_access', '{parks}');
SELECT mirox.put_group('timeseries', '{*}', 'all of it');
SELECT mirox.drop_group('reporting');
UPDATE mirox_internal.permission_group SET permissions = '{*}' WHERE name = 'reporting';
UPDATE mirox_internal.permission_group SET builtin = false WHERE name = 'reporting';
DELETE FROM mirox_internal.permission_group WHERE name = 'timeseries';
INSERT INTO mirox_internal.permission_group (name, permissions, builtin) VALUES ('groups_builtin', '{*}', true);
SELECT mirox.put_group('Groups', '{parks}');
SELECT mirox.put_group('', '{parks}');
SELECT mirox.put_group(NULL, '{parks}');
SELECT mirox.put_group('9groups', '{parks}');
SELECT mirox.put_group(repeat('g', 64), '{parks}');
SELECT mirox.put_group('groups_new', NULL);
SELECT mirox.put_group('groups_new', '{Parks}');
SELECT mirox.drop_group('groups_ops');
TRUNCATE mirox_internal.permission_group;
\set VERBOSITY terse
SELECT mirox.drop_group('groups_none');
-- In use means by any token, revoked ones too: the list and the log still name it.
SELECT mirox.revoke_all_tokens(:'session');
SELECT mirox.drop_group('groups_ops');
SELECT mirox.delete_account('groups_live');
SELECT mirox.drop_group('groups_ops');

-- ---- a million tokens in one group (here: 20,000; test/tap/042 has the million): a change writes one row of the group's
SELECT mirox.put_account('groups_many', '{parks,reports}', 100000, 1000);
SELECT mirox.put_group('groups_many', '{parks:read}');
SELECT account_id FROM mirox_internal.account WHERE user_id = 'groups_many' \gset
SELECT group_id FROM mirox_internal.permission_group WHERE name = 'groups_many' \gset
-- Revoked on paper, since an account holds 64; put in place as a restore would.
INSERT INTO mirox_internal.token (account_id, place, name, group_id, hint, lifetime, expires_at, revoked_at, audit_node, audit_id)
SELECT :account_id, 1, 'token ' || i, :group_id, 'mirox_' || i, '1 year', now() + interval '1 year', now(), 0, 1 FROM generate_series(1, 20000) i;
SELECT mirox.open_session('groups_many') AS session \gset
SELECT secret AS token FROM mirox.issue_token(:'session', 'live', 'groups_many') \gset
-- Anew, so that the counters begin at 0.
\c -
\set VERBOSITY terse
CREATE TEMP TABLE before AS SELECT 'token' AS what, ctid AS at, xmin AS writer FROM mirox_internal.token WHERE group_id = :group_id
    UNION ALL SELECT 'secret', ctid, xmin FROM mirox_internal.token_secret WHERE group_id = :group_id;
SELECT count(*) FROM before;
BEGIN;
SELECT mirox.put_group('groups_many', '{reports,parks:read,parks:write}');
SELECT relname, n_tup_ins AS ins, n_tup_upd AS upd, n_tup_del AS del FROM pg_stat_xact_all_tables
WHERE schemaname = 'mirox_internal' AND n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY relname;
COMMIT;
SELECT count(*) AS rewritten FROM (SELECT 'token', ctid, xmin FROM mirox_internal.token WHERE group_id = :group_id
    UNION ALL SELECT 'secret', ctid, xmin FROM mirox_internal.token_secret WHERE group_id = :group_id EXCEPT TABLE before) changed;
SELECT permissions FROM mirox.verify_token(:'token', required_scope => 'reports');

-- ---- who may
CREATE ROLE groups_gateway; CREATE ROLE groups_admin;
SELECT mirox.grant_access('groups_gateway', 'gateway'), mirox.grant_access('groups_admin', 'admin');
SET ROLE groups_gateway;
SELECT mirox.put_group('groups_role', '{parks}');
SELECT mirox.drop_group('groups_role');
SET ROLE groups_admin;
SELECT mirox.put_group('groups_role', '{parks}');
SELECT mirox.drop_group('groups_role');
RESET ROLE;
SELECT mirox.revoke_access('groups_gateway', 'gateway'), mirox.revoke_access('groups_admin', 'admin');
DROP ROLE groups_gateway, groups_admin;
-- Nothing is left behind for the tests that list the groups.
SELECT mirox.delete_account('groups_many'), mirox.drop_group('groups_many');
