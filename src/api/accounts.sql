-- The statements of accounts.cpp: what a profile page shows of the account and its sessions. They run as the extension's owner with
-- a search_path of pg_catalog.

-- name: select_groups(account_id int8)
SELECT g.name, g.description,
       mirox_internal.compile_permissions(a.permissions, g.permissions)
FROM mirox_internal.permission_group g JOIN mirox_internal.account a ON a.account_id = $1
ORDER BY g.group_id;

-- name: select_sessions(account_id int8, current int8)
SELECT s.session_id, s.session_id = $2, s.opened_at, s.expires_at::timestamptz, s.client_ip, s.user_agent
FROM mirox_internal.session s
WHERE s.account_id = $1 AND s.closed_at IS NULL AND s.expires_at > clock_timestamp()
ORDER BY s.opened_at DESC, s.session_id DESC;

-- Rows are compared whole, so that only the index by account gives the order: the planner might otherwise walk through everybody's
-- acts by time until it has found enough of this account.
-- A session's own acts name it as the one that they are about; in all others session_id is the one by whose secret they were done.
-- name: select_log(account_id int8, since timestamptz, max_rows int8)
SELECT l.at, l.event, l.token_id, (SELECT t.name FROM mirox_internal.token t WHERE t.token_id = l.token_id),
       CASE WHEN starts_with(l.event, 'session_') THEN l.session_id END, l.by_session_id, l.ip, l.user_agent, l.detail
FROM mirox_internal.audit_log l
WHERE (l.account_id, l.at) >= ($1, COALESCE($2, '-infinity')) AND (l.account_id, l.at) <= ($1, 'infinity')
  AND l.account_id IS NOT NULL
ORDER BY l.account_id DESC, l.at DESC, l.audit_id DESC
LIMIT $3;
