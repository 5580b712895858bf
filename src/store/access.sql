-- The statements of access.cpp.

-- name: select_levels(level text)
SELECT bool_or(level = $1), string_agg(level, ', ' ORDER BY level)
FROM (SELECT DISTINCT level FROM mirox_internal.access_rule) l;

-- The functions and the relations that a level names. The rules' texts only say what to look for: what is granted are members of the
-- extension, by names that the server makes of their OIDs, so a text that somebody else could have written there is never SQL.
-- Those are left out that another level names too which the role (NULL: none) holds in full. Rights that come by membership in
-- another role are that role's own, so access lists are read, not has_*_privilege().
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
