-- The statements of partitions.cpp. They run as the extension's owner with a search_path of pg_catalog, in UTC.

-- The partitions of a parent and their bounds, in the order of time: table, from, to.
-- name: select_partitions(parent text)
SELECT c.oid, b[1]::timestamptz, b[2]::timestamptz
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') b
WHERE i.inhparent = $1::regclass AND b IS NOT NULL
ORDER BY 2;

-- Who has privileges on a table besides its owner: a role's name for SQL, whether it may SELECT.
-- name: select_grants(relation text)
SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, bool_or(a.privilege_type = 'SELECT')
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
WHERE c.oid = $1::regclass AND a.grantee <> c.relowner
GROUP BY a.grantee;

-- Of days before this one, callers are gone: readers take token_day.
-- name: note_dropped(store text, before timestamptz)
INSERT INTO mirox_internal.usage_dropped (store, before) VALUES ($1, timezone('UTC', $2)::date)
ON CONFLICT (store) DO UPDATE SET before = GREATEST(usage_dropped.before, excluded.before);
