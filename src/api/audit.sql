-- The statements of audit.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- Audited rows whose last audit row is not there. Where acts are deleted after some time, one that is older than all that a node has left
-- is not missed.
-- name: select_unaudited(keeps boolean)
SELECT r.kind COLLATE "C", r.key COLLATE "C", r.audit_node, r.audit_id
FROM (SELECT 'account', account_id::text, audit_node, audit_id FROM mirox_internal.account
      UNION ALL SELECT 'session', session_id::text, audit_node, audit_id FROM mirox_internal.session
      UNION ALL SELECT 'token', token_id::text, audit_node, audit_id FROM mirox_internal.token
      UNION ALL SELECT 'token_secret', token_id || ' ' || generation, audit_node, audit_id FROM mirox_internal.token_secret
      UNION ALL SELECT 'permission_group', name, audit_node, audit_id FROM mirox_internal.permission_group WHERE NOT builtin
      UNION ALL SELECT 'group_policy', group_id::text, audit_node, audit_id FROM mirox_internal.group_policy
      UNION ALL SELECT 'service_account', account_id::text, audit_node, audit_id FROM mirox_internal.service_account
      UNION ALL SELECT 'endpoint', method || ' ' || path, audit_node, audit_id FROM mirox_internal.endpoint
     ) r (kind, key, audit_node, audit_id)
WHERE NOT EXISTS (SELECT FROM mirox_internal.audit_log l WHERE l.node = r.audit_node AND l.audit_id = r.audit_id)
  AND ($1 OR r.audit_id IS NULL
       OR r.audit_id > (SELECT min(l.audit_id) FROM mirox_internal.audit_log l WHERE l.node = r.audit_node))
ORDER BY 1, 2;
