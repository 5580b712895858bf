-- The statements of access.cpp.

-- name: select_levels(level text)
SELECT bool_or(level = $1), string_agg(level, ',' ORDER BY level)
FROM (SELECT DISTINCT level FROM mirox_internal.access_rule) l;

-- The functions, relations and schemas of a level. On revocation (role not NULL), an object stays if it belongs to another level
-- that the role holds in full. Privileges inherited from another role belong to that role, so access lists are read.
-- name: select_objects(level text, role oid)
WITH rule AS (
    SELECT o.level, o.kind, o.object, EXISTS (SELECT FROM aclexplode(o.acl) a WHERE a.grantee = $2) AS granted
    FROM mirox_internal.level_object o
), kept AS (
    SELECT level FROM rule WHERE level <> $1 AND level <> 'admin' GROUP BY level HAVING bool_and(granted)
)
SELECT string_agg(object, ', ' ORDER BY object) FILTER (WHERE kind = 'function'),
       string_agg(object, ', ' ORDER BY object) FILTER (WHERE kind = 'relation'),
       string_agg(object, ', ' ORDER BY object) FILTER (WHERE kind = 'schema')
FROM (SELECT DISTINCT object, kind FROM rule WHERE level = $1) r
WHERE $1 = 'admin' OR NOT EXISTS (SELECT FROM rule h JOIN kept k USING (level) WHERE h.object = r.object);

-- name: select_access()
SELECT CASE h.role WHEN 0 THEN 'public' ELSE r.rolname::text END, h.level, h.missing IS NULL, h.missing,
       COALESCE(r.rolcanlogin, false), COALESCE(r.rolsuper, false), COALESCE(r.rolbypassrls, false), m.members
FROM mirox_internal.held_level h
LEFT JOIN pg_roles r ON r.oid = h.role
LEFT JOIN LATERAL (
    WITH RECURSIVE member (oid) AS (
        SELECT g.member FROM pg_auth_members g WHERE g.roleid = h.role
        UNION
        SELECT g.member FROM member m JOIN pg_auth_members g ON g.roleid = m.oid
    )
    SELECT array_agg(x.rolname::text ORDER BY x.rolname) AS members
    FROM member JOIN pg_roles x ON x.oid = member.oid) m ON true
ORDER BY 1, 2;
