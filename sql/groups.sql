-- Permission groups: built-in ones stand as they are, a DBA's own come and go, and each backend sees a change at once.
\set SHOW_CONTEXT never
SELECT group_id, name, permissions, description, builtin FROM mirox_internal.permission_group WHERE builtin ORDER BY group_id;
-- Built-in ones can be neither changed, renamed, unmarked nor dropped, nor can one be added or made.
SELECT change, t.outcome(change) FROM unnest(ARRAY[
    $$UPDATE mirox_internal.permission_group SET permissions = '{*}' WHERE name = 'reporting'$$,
    $$UPDATE mirox_internal.permission_group SET description = 'x' WHERE name = 'full_access'$$,
    $$UPDATE mirox_internal.permission_group SET builtin = false WHERE name = 'timeseries'$$,
    $$UPDATE mirox_internal.permission_group SET name = 'everything' WHERE name = 'full_access'$$,
    $$UPDATE mirox_internal.permission_group SET group_id = 50 WHERE name = 'full_access'$$,
    $$DELETE FROM mirox_internal.permission_group WHERE name = 'timeseries'$$,
    $$DELETE FROM mirox_internal.permission_group$$,
    $$TRUNCATE mirox_internal.permission_group$$,
    $$INSERT INTO mirox_internal.permission_group (name, permissions, builtin) VALUES ('grp_x', '{*}', true)$$]) change;

-- One's own.
INSERT INTO mirox_internal.permission_group (name, permissions, description) VALUES ('grp_ops', '{parks:read,turbines}', 'Operations');
SELECT group_id >= 100 AS apart_from_builtin, builtin FROM mirox_internal.permission_group WHERE name = 'grp_ops';
SELECT t.state(format('INSERT INTO mirox_internal.permission_group (name, permissions) VALUES (%L, ''{}'')', name)), name FROM (VALUES
    ('grp_ops'), ('Groups'), (''), ('1groups'), ('groups ops'), ('grp_' || repeat('x', 60)), (NULL)) v (name);
SELECT t.state('INSERT INTO mirox_internal.permission_group (name, permissions) VALUES (''grp_null'', NULL)'),
       t.state('INSERT INTO mirox_internal.permission_group (name, permissions) VALUES (''grp_bad'', ''{Parks}'')');
SELECT mirox.put_account('groups', '{parks,turbines:start,reports}');
SELECT mirox.open_session('groups') AS session \gset
SELECT token_id, secret, permission_group FROM mirox.issue_token(:'session', 'a', 'grp_ops') \gset
SELECT permission_group, permissions FROM mirox.verify_token(:'secret');
SELECT t.state(format('SELECT mirox.issue_token(%L, ''a'', ''grp_nope'')', :'session'));
-- A change of the group is a change of all its tokens, at the next check, in this backend and any other.
UPDATE mirox_internal.permission_group SET permissions = '{turbines}' WHERE name = 'grp_ops';
SELECT status, permissions FROM mirox.verify_token(:'secret', NULL, NULL, 'parks:read');
\c -
SELECT status, permissions FROM mirox.verify_token(:'secret', NULL, NULL, 'turbines:start');
UPDATE mirox_internal.permission_group SET permissions = '{}' WHERE name = 'grp_ops';
SELECT status, permissions FROM mirox.verify_token(:'secret', NULL, NULL, 'turbines:start');
UPDATE mirox_internal.permission_group SET permissions = '{*}' WHERE name = 'grp_ops';
SELECT status, permissions FROM mirox.verify_token(:'secret', NULL, NULL, 'reports');
-- In a transaction, and rolled back.
BEGIN;
UPDATE mirox_internal.permission_group SET permissions = '{parks}' WHERE name = 'grp_ops';
SELECT permissions FROM mirox.verify_token(:'secret');
SAVEPOINT s;
UPDATE mirox_internal.permission_group SET permissions = '{reports}' WHERE name = 'grp_ops';
SELECT permissions FROM mirox.verify_token(:'secret');
ROLLBACK TO s;
SELECT permissions FROM mirox.verify_token(:'secret');
ROLLBACK;
SELECT permissions FROM mirox.verify_token(:'secret');
BEGIN;
INSERT INTO mirox_internal.permission_group (name, permissions) VALUES ('grp_new', '{parks}');
SELECT permission_group FROM mirox.issue_token(:'session', 'b', 'grp_new');
ROLLBACK;
SELECT t.state(format('SELECT mirox.issue_token(%L, ''b'', ''grp_new'')', :'session'));
-- Replication and restores with triggers off are obeyed all the same.
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE mirox_internal.permission_group SET permissions = '{turbines}' WHERE name = 'grp_ops';
SELECT permissions FROM mirox.verify_token(:'secret');
ROLLBACK;
SELECT permissions FROM mirox.verify_token(:'secret');
-- Added again in one statement with what to do if it is there: one row in the log, of what came of it.
INSERT INTO mirox_internal.permission_group (name, permissions) VALUES ('grp_ops', '{x}') ON CONFLICT DO NOTHING;
INSERT INTO mirox_internal.permission_group (name, permissions) VALUES ('grp_ops', '{parks,reports,turbines}')
    ON CONFLICT (name) DO UPDATE SET permissions = EXCLUDED.permissions;
SELECT permissions FROM mirox.verify_token(:'secret');
-- In use it cannot be dropped, by a revoked token either: the log and the reports still name it.
SELECT mirox.open_session('groups') AS session \gset
DELETE FROM mirox_internal.permission_group WHERE name = 'grp_ops';
SELECT mirox.revoke_token(:'session', :token_id) IS NOT NULL AS revoked;
DELETE FROM mirox_internal.permission_group WHERE name = 'grp_ops';
SELECT t.outcome($$UPDATE mirox_internal.permission_group SET name = 'grp_two' WHERE name = 'grp_ops'$$);
SELECT t.outcome($$UPDATE mirox_internal.permission_group SET group_id = 7 WHERE name = 'grp_ops'$$);
SELECT mirox.delete_account('groups');
DELETE FROM mirox_internal.permission_group WHERE name = 'grp_ops';

-- ---- by the functions -----------------------------------------------------------------------------------------------
SELECT mirox.put_group('grp_api', '{reports,reports:generate}', 'By function');
SELECT mirox.put_group('grp_api', '{reports}');
SELECT mirox.put_group('grp_api', '{parks}');
SELECT mirox.put_group('grp_api', '{parks}', '');
SELECT name, permissions, description, builtin FROM mirox_internal.permission_group WHERE name = 'grp_api';
SELECT call, t.outcome('SELECT mirox.' || call) FROM unnest(ARRAY[
    $$put_group('full_access', '{parks}')$$, $$put_group('Groups', '{parks}')$$, $$put_group('', '{}')$$, $$put_group(NULL, '{}')$$,
    $$put_group('grp_api', NULL)$$, $$put_group('grp_api', '{Parks}')$$, $$put_group(repeat('x', 64), '{}')$$,
    $$drop_group('timeseries')$$, $$drop_group(NULL)$$]) call;
-- A description is one line of 500 characters: it stands in the audit log.
SELECT t.outcome($$SELECT mirox.put_group('grp_api', '{parks}', repeat('x', 501))$$), t.outcome($$SELECT mirox.put_group('grp_api', '{parks}', E'a\nb')$$);
SELECT t.state($$SELECT mirox.put_group('grp_large', '{parks}', repeat('x', 200000000))$$) AS new,
    t.state($$UPDATE mirox_internal.permission_group SET description = repeat('x', 501) WHERE name = 'grp_api'$$) AS direct;
BEGIN;
SELECT mirox.put_group('grp_api', '{parks}', repeat('ü', 500));
SELECT length(description) FROM mirox_internal.permission_group WHERE name = 'grp_api';
ROLLBACK;
SELECT mirox.drop_group('grp_nope') AS none, mirox.drop_group('grp_api') AS dropped, mirox.drop_group('grp_api') AS again;

-- Audited.
SELECT event, detail - 'group_id' AS detail FROM mirox_internal.audit_log WHERE event LIKE 'group%' AND detail ->> 'name' LIKE 'grp_%' ORDER BY audit_id;
-- All three stand as they stood.
SELECT group_id, name, permissions, builtin FROM mirox_internal.permission_group WHERE name !~ '^grp_' AND builtin ORDER BY group_id;
