-- The statements of access.cpp.

-- name: select_levels(level text)
SELECT bool_or(level = $1), string_agg(level, ',' ORDER BY level)
FROM (SELECT DISTINCT level FROM mirox_internal.access_rule) l;

-- The functions and relations of a level. The texts in the rules are only looked up: what is granted are members of the
-- extension, under names that the server makes from their OIDs. So a text that somebody else managed to write there never becomes
-- SQL. On revocation (role not NULL), an object stays if it belongs to another level that the role holds in full. The query reads
-- access lists instead of calling has_*_privilege(), because privileges inherited from another role belong to that role.
-- name: select_objects(level text, extension oid, role oid)
WITH rule AS (
    SELECT r.level, r.kind, o.object, EXISTS (SELECT FROM aclexplode(o.acl) a WHERE a.grantee = $3) AS granted
    FROM mirox_internal.access_rule r CROSS JOIN LATERAL (
        SELECT 'pg_proc'::regclass AS classid, oid, oid::regprocedure::text AS object, proacl AS acl
        FROM pg_proc WHERE r.kind = 'function' AND oid = to_regprocedure(r.object)
        UNION ALL
        SELECT 'pg_class'::regclass, oid, oid::regclass::text, relacl
        FROM pg_class WHERE r.kind = 'relation' AND oid = to_regclass(r.object)) o
    JOIN pg_depend d ON d.classid = o.classid AND d.objid = o.oid
        AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = $2 AND d.deptype = 'e'
), kept AS (
    SELECT level FROM rule WHERE level <> $1 AND level <> 'admin' GROUP BY level HAVING bool_and(granted)
)
SELECT string_agg(object, ', ' ORDER BY object) FILTER (WHERE kind = 'function'),
       string_agg(object, ', ' ORDER BY object) FILTER (WHERE kind = 'relation')
FROM (SELECT DISTINCT object, kind FROM rule WHERE level = $1 OR $1 = 'admin') r
WHERE $1 = 'admin' OR NOT EXISTS (SELECT FROM rule h JOIN kept k USING (level) WHERE h.object = r.object);
