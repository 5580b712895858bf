-- Service accounts: no session, and tokens by an act of an administrator.
\set SHOW_CONTEXT never
SELECT mirox.put_account('robot', '{parks:read,reports}'), mirox.put_account('person', '{parks}');
SELECT mirox.open_session('person') AS session \gset
SELECT mirox.issue_service_token('robot', 'too early', 'full_access') IS NOT NULL AS issued;
SELECT mirox.set_service_account('robot');
SELECT mirox.set_service_account('robot');
SELECT token_id, secret, permission_group, place FROM mirox.issue_service_token('robot', 'nightly', 'reporting', expires_in => '30 days') \gset
SELECT status, user_id, permissions FROM mirox.verify_token(:'secret');
SELECT mirox.issue_service_token('robot', 'beyond', 'full_access', permissions => '{*}') IS NOT NULL AS issued;
-- Nobody logs in as a program, and no administrator issues for a person, logged in or not.
SELECT mirox.open_session('robot') IS NOT NULL AS opened;
SELECT mirox.set_service_account('person');
SELECT mirox.issue_service_token('person', 'theirs', 'full_access') IS NOT NULL AS issued;
SELECT user_id, service FROM mirox.accounts WHERE user_id IN ('robot', 'person') ORDER BY 1;
SELECT event, detail - 'created_at' - 'expires_at' - 'token_id' - 'hint' - 'account_id' AS detail FROM mirox_internal.audit_log
WHERE user_id = 'robot' AND event IN ('service_account_set', 'token_issued') ORDER BY audit_id;
SELECT mirox.revoke_any_token(:token_id) IS NOT NULL AS revoked;
SELECT mirox.set_service_account('robot', false);
SELECT mirox.open_session('robot') IS NOT NULL AS opened;
SELECT t.state('SELECT mirox.set_service_account(''nobody'')'), t.state('SELECT mirox.set_service_account(NULL)'), t.state('SELECT mirox.issue_service_token(''nobody'', ''x'', ''full_access'')');
SELECT mirox.delete_account('robot'), mirox.delete_account('person');
