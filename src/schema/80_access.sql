-- Levels of access, by mirox_internal.access_rule. The extension creates no roles.

-- The texts in the rules are only looked up: what is granted are members of the extension, under names that the server makes from
-- their OIDs. So a text that somebody else managed to write there never becomes SQL. The names are looked up with the search_path
-- of the C code that reads this view, which is pg_catalog. No level but backup may name what is in mirox_internal, so no other
-- role could look these names up.
CREATE VIEW mirox_internal.level_object AS
    -- Materialized, so that each name is looked up once, whatever the planner thinks of the join below.
    WITH named AS MATERIALIZED (
        SELECT r.level, r.kind, o.classid, o.oid, o.object, o.acl, o.owner
        FROM mirox_internal.access_rule r
        CROSS JOIN LATERAL (
            SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass AS classid, p.oid, p.oid::pg_catalog.regprocedure::text AS object,
                   p.proacl AS acl, p.proowner AS owner
            FROM pg_catalog.pg_proc p WHERE r.kind = 'function' AND p.oid = pg_catalog.to_regprocedure(r.object)
            UNION ALL
            SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, c.oid::pg_catalog.regclass::text, c.relacl, c.relowner
            FROM pg_catalog.pg_class c WHERE r.kind = 'relation' AND c.oid = pg_catalog.to_regclass(r.object)
            UNION ALL
            SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, n.oid::pg_catalog.regnamespace::text, n.nspacl, n.nspowner
            FROM pg_catalog.pg_namespace n WHERE r.kind = 'schema' AND n.oid = pg_catalog.to_regnamespace(r.object)) o
    ), member AS (
        SELECT o.*
        FROM named o
        JOIN pg_catalog.pg_depend d ON d.classid = o.classid AND d.objid = o.oid AND d.objsubid = 0
            AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
            AND d.refobjid = (SELECT e.oid FROM pg_catalog.pg_extension e WHERE e.extname = 'mirox_tokens')
    )
    SELECT l.level, o.kind, o.object, o.acl, o.owner
    FROM (SELECT m.level, m.kind, m.object, m.acl, m.owner FROM member m
          UNION ALL
          -- pg_dump reads partitions one by one.
          SELECT m.level, m.kind, c.oid::pg_catalog.regclass::text, c.relacl, c.relowner
          FROM member m
          JOIN pg_catalog.pg_inherits i ON m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND i.inhparent = m.oid
          JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition AND c.relowner = m.owner) o
    -- The level admin has what all the others have, except backup. (An object of two levels is there twice: readers use DISTINCT.)
    CROSS JOIN LATERAL (
        SELECT o.level
        UNION ALL
        SELECT 'admin' WHERE o.level <> ALL (ARRAY['admin', 'backup'])) l;
REVOKE ALL ON TABLE mirox_internal.level_object FROM PUBLIC;
COMMENT ON VIEW mirox_internal.level_object IS 'Internal: each object of each level of access, with its access list';

-- Read from access lists instead of has_*_privilege(), because privileges inherited from another role belong to that role. Of a role
-- that has half of level admin or more, as after an update that adds to it, no other level is shown, since admin contains them.
-- Where a role has only part of a level, the level is shown if the role's complete levels do not explain that part, and no other
-- level explains more of what the role has.
CREATE VIEW mirox_internal.held_level AS
    WITH object AS MATERIALIZED (
        SELECT o.* FROM mirox_internal.level_object o
    ), granted AS (
        SELECT DISTINCT o.level, o.object, a.grantee
        FROM object o CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) a
        WHERE a.grantee <> o.owner
    ), part AS (
        SELECT g.grantee, g.level, pg_catalog.array_agg(g.object) AS objects,
               (SELECT pg_catalog.array_agg(DISTINCT o.object ORDER BY o.object) FROM object o
                WHERE o.level = g.level AND o.object <> ALL (pg_catalog.array_agg(g.object))) AS missing
        FROM granted g GROUP BY g.grantee, g.level
    ), held AS MATERIALIZED (
        SELECT p.*, pg_catalog.cardinality(p.objects) >= COALESCE(pg_catalog.cardinality(p.missing), 0) AS half FROM part p
    )
    SELECT h.grantee AS role, h.level, h.missing
    FROM held h
    WHERE CASE WHEN h.missing IS NULL
               THEN h.level = ANY (ARRAY['admin', 'backup'])
                    OR NOT EXISTS (SELECT FROM held a WHERE a.grantee = h.grantee AND a.level = 'admin' AND a.half)
               ELSE EXISTS (SELECT FROM pg_catalog.unnest(h.objects) x (object)
                            WHERE NOT EXISTS (SELECT FROM held w
                                              WHERE w.grantee = h.grantee AND w.level <> h.level AND x.object = ANY (w.objects)
                                                AND (w.missing IS NULL OR h.level = 'admin' AND NOT h.half)))
                    AND NOT EXISTS (SELECT FROM held m
                                    WHERE m.grantee = h.grantee AND m.level <> h.level AND (m.level <> 'admin' OR m.half)
                                      AND m.objects @> h.objects
                                      AND (pg_catalog.cardinality(m.objects) > pg_catalog.cardinality(h.objects)
                                           OR pg_catalog.cardinality(m.missing) < pg_catalog.cardinality(h.missing)))
          END;
REVOKE ALL ON TABLE mirox_internal.held_level FROM PUBLIC;
COMMENT ON VIEW mirox_internal.held_level IS 'Internal: the levels that each role has, in whole or in part';

CREATE FUNCTION mirox_internal.access_now(
    OUT role text, OUT level text, OUT complete boolean, OUT missing text[], OUT can_login boolean, OUT superuser boolean,
    OUT bypassrls boolean, OUT members text[]) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'mirox_access_now' LANGUAGE C VOLATILE ROWS 10;
REVOKE ALL ON FUNCTION mirox_internal.access_now() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.access_now() IS 'Internal: the rows of the view access';

CREATE VIEW mirox.access AS SELECT * FROM mirox_internal.access_now();
REVOKE ALL ON TABLE mirox.access FROM PUBLIC;
COMMENT ON VIEW mirox.access IS 'A row for each role and level of access that was granted to it in this database';
COMMENT ON COLUMN mirox.access.role IS 'The role; public: everybody';
COMMENT ON COLUMN mirox.access.level IS 'The level; admin stands for all levels except backup';
COMMENT ON COLUMN mirox.access.complete IS 'Whether the role has all of the level. After an update, grant the level again';
COMMENT ON COLUMN mirox.access.missing IS 'What the role lacks of the level; NULL: nothing';
COMMENT ON COLUMN mirox.access.can_login IS 'Whether the role itself may log in';
COMMENT ON COLUMN mirox.access.superuser IS 'Whether the role is a superuser, who may do everything without a level';
COMMENT ON COLUMN mirox.access.bypassrls IS 'Whether the role has BYPASSRLS: the policies of protect_table hide no row from it';
COMMENT ON COLUMN mirox.access.members IS 'The roles that are members of it, directly or not, and so have the level too; NULL: none';

CREATE FUNCTION mirox.grant_access(role regrole, level text) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_grant_access' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.grant_access(regrole, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.grant_access(regrole, text) IS
    'Grants a role the use of all objects of a level. 22023: no such level; 42501: only a superuser or the extension''s owner '
    'grants the level backup';

CREATE FUNCTION mirox.revoke_access(role regrole, level text) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_revoke_access' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.revoke_access(regrole, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.revoke_access(regrole, text) IS
    'Revokes a level from a role; objects that another level of the role also has stay granted. 42501: as for grant_access';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.access', 'relation', 'admin'),
    ('mirox_internal.access_now()', 'function', 'admin'),
    ('mirox.grant_access(regrole,text)', 'function', 'admin'),
    ('mirox.revoke_access(regrole,text)', 'function', 'admin');
