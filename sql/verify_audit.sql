-- verify_audit() finds rows whose last act is not in the audit log. Other tests have left such rows, with the triggers off.
\set SHOW_CONTEXT never
CREATE TEMP VIEW missed AS SELECT * FROM mirox.verify_audit();
SELECT mirox.put_account('checked', '{parks}');
SELECT mirox.put_group('checked', '{parks}'), mirox.set_group_policy('checked', max_lifetime => '90 days'), mirox.put_endpoint('GET', '/checked', 'parks');
SELECT mirox.put_account('robot', '{parks}'), mirox.set_service_account('robot');
SELECT mirox.open_session('checked') AS session \gset
SELECT token_id FROM mirox.issue_token(:'session', 'one', 'full_access') \gset
SELECT mirox.rotate_token(:'session', :token_id) IS NOT NULL AS rotated;
CREATE TEMP TABLE known AS SELECT * FROM missed;
SELECT count(*) FROM known WHERE key ~ '/checked' OR kind = 'token' AND key = :'token_id';
-- A superuser, who turns the triggers off, takes acts out of the log and adds an account.
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM mirox_internal.audit_log l USING mirox_internal.account a
WHERE a.user_id IN ('checked', 'robot') AND l.account_id = a.account_id;
DELETE FROM mirox_internal.audit_log l
USING (SELECT audit_node, audit_id FROM mirox_internal.permission_group WHERE name = 'checked'
       UNION ALL SELECT p.audit_node, p.audit_id FROM mirox_internal.group_policy p JOIN mirox_internal.permission_group g USING (group_id) WHERE g.name = 'checked'
       UNION ALL SELECT audit_node, audit_id FROM mirox_internal.endpoint WHERE path = '/checked') k
WHERE l.node = k.audit_node AND l.audit_id = k.audit_id;
INSERT INTO mirox_internal.account (user_id, permissions) VALUES ('smuggled', '{*}');
SELECT kind, count(*), count(audit_id) AS with_key FROM (SELECT * FROM missed EXCEPT SELECT * FROM known) m GROUP BY kind ORDER BY kind COLLATE "C";
SELECT kind, key FROM (SELECT * FROM missed EXCEPT SELECT * FROM known) m WHERE kind IN ('endpoint', 'permission_group') ORDER BY kind COLLATE "C";
ROLLBACK;
SELECT count(*) FROM (SELECT * FROM missed EXCEPT SELECT * FROM known) m;
SELECT mirox.delete_account('checked'), mirox.delete_account('robot');
SELECT mirox.drop_group('checked'), mirox.drop_endpoint('GET', '/checked');
