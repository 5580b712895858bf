-- The statements of doctor.cpp. Each gives the number of things found, and the first ten of their names. They read catalogs, or
-- tables by an index and no more than 10,000 rows, so that a call stays below a second at any size.

-- name: find_foreign_objects()
SELECT count(*)::int8, string_agg(o.name, ', ' ORDER BY o.name) FILTER (WHERE o.n <= 10)
FROM (SELECT m.name, row_number() OVER (ORDER BY m.name) AS n
      FROM (SELECT oid::regprocedure::text AS name, proowner AS owner FROM pg_proc
            WHERE pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('mirox', 'mirox_internal'))
            UNION ALL
            SELECT oid::regclass::text, relowner FROM pg_class
            WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('mirox', 'mirox_internal'))
              AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            UNION ALL
            SELECT 'schema ' || nspname, nspowner FROM pg_namespace WHERE nspname IN ('mirox', 'mirox_internal')
            UNION ALL
            SELECT format('CREATE ON SCHEMA %I', n.nspname), a.grantee
            FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
            WHERE n.nspname IN ('mirox', 'mirox_internal') AND a.privilege_type = 'CREATE') m
      WHERE m.owner <> (SELECT extowner FROM pg_extension WHERE extname = 'mirox_tokens') AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = m.owner AND r.rolsuper)) o;

-- A package that was upgraded on disk: the server runs the library that it has loaded until the restart.
-- name: find_newer_package(version text)
SELECT count(*)::int8, max(default_version)
FROM pg_available_extensions WHERE name = 'mirox_tokens' AND default_version <> $1;

-- Triggers of our own tables, which keep them in step and write the audit log.
-- name: find_disabled_triggers()
SELECT count(*)::int8, string_agg(o.name, ', ' ORDER BY o.name) FILTER (WHERE o.n <= 10)
FROM (SELECT format('%I on %s', t.tgname, t.tgrelid::regclass) AS name, row_number() OVER (ORDER BY t.tgrelid, t.tgname) AS n
      FROM pg_depend d JOIN pg_trigger t ON t.tgrelid = d.objid
      WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'mirox_tokens') AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
        AND NOT t.tgisinternal AND t.tgenabled NOT IN ('O', 'A')) o;

-- name: find_public()
SELECT count(*)::int8, string_agg(DISTINCT level, ', ' ORDER BY level) FROM mirox_internal.held_level WHERE role = 0;

-- name: find_incomplete()
SELECT count(*)::int8, string_agg(o.name, ', ' ORDER BY o.name) FILTER (WHERE o.n <= 10)
FROM (SELECT format('%s: %s', r.rolname, h.level) AS name, row_number() OVER (ORDER BY r.rolname, h.level) AS n
      FROM mirox_internal.held_level h JOIN pg_roles r ON r.oid = h.role
      WHERE h.missing IS NOT NULL) o;

-- The levels of a role are its own and those of the roles that it is a member of. A superuser and the extension's owner need none.
-- name: find_many_levels()
WITH RECURSIVE has (role, level) AS (
    SELECT role, level FROM mirox_internal.held_level WHERE role <> 0 AND missing IS NULL
    UNION
    SELECT m.member, h.level FROM has h JOIN pg_auth_members m ON m.roleid = h.role
)
SELECT count(*)::int8, string_agg(o.name, ', ' ORDER BY o.name) FILTER (WHERE o.n <= 10)
FROM (SELECT format('%s: %s', r.rolname, string_agg(h.level, ' + ' ORDER BY h.level)) AS name,
             row_number() OVER (ORDER BY r.rolname) AS n
      FROM has h JOIN pg_roles r ON r.oid = h.role
      WHERE NOT r.rolsuper AND r.oid <> (SELECT extowner FROM pg_extension WHERE extname = 'mirox_tokens')
      GROUP BY r.oid, r.rolname HAVING count(*) > 1) o;

-- name: find_bypassing()
WITH RECURSIVE has (role) AS (
    SELECT role FROM mirox_internal.held_level WHERE role <> 0
    UNION
    SELECT m.member FROM has h JOIN pg_auth_members m ON m.roleid = h.role
)
SELECT count(*)::int8, string_agg(o.name, ', ' ORDER BY o.name) FILTER (WHERE o.n <= 10)
FROM (SELECT r.rolname::text AS name, row_number() OVER (ORDER BY r.rolname) AS n
      FROM has h JOIN pg_roles r ON r.oid = h.role
      WHERE r.rolbypassrls AND NOT r.rolsuper) o;

-- name: find_unbound_triggers()
SELECT count(*)::int8, string_agg(o.name, ', ' ORDER BY o.name) FILTER (WHERE o.n <= 10)
FROM (SELECT format('%I on %s', t.tgname, t.tgrelid::regclass) AS name, row_number() OVER (ORDER BY t.tgrelid, t.tgname) AS n
      FROM pg_trigger t WHERE t.tgfoid = 'mirox.account_bound()'::regprocedure AND t.tgenabled NOT IN ('O', 'A')) o;

-- bind_accounts makes a trigger for DELETE (8) and one for UPDATE (16), and grants the owner EXECUTE. A table that has one of them
-- has lost the other; an owner with the grant and without any such table has lost both.
-- name: find_dropped_triggers()
WITH bound AS (
    SELECT c.oid, c.relowner, count(*) FILTER (WHERE t.tgtype & 8 <> 0 AND t.tgdeferrable) AS deleted,
           count(*) FILTER (WHERE t.tgtype & 16 <> 0) AS renamed
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE t.tgfoid = 'mirox.account_bound()'::regprocedure GROUP BY c.oid, c.relowner
)
SELECT count(*)::int8, string_agg(o.name, ', ' ORDER BY o.name) FILTER (WHERE o.n <= 10)
FROM (SELECT m.name, row_number() OVER (ORDER BY m.name) AS n
      FROM (SELECT oid::regclass::text AS name FROM bound WHERE deleted = 0 OR renamed = 0
            UNION ALL
            SELECT 'a table of ' || r.rolname
            FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee
            WHERE p.oid = 'mirox.account_bound()'::regprocedure AND a.grantee <> p.proowner AND NOT EXISTS (SELECT FROM bound b WHERE b.relowner = a.grantee)) m) o;

-- A bound table's trigger does not see the rows of a child by inheritance. (A partition has the trigger of its parent.)
-- name: find_unseen_children()
SELECT count(*)::int8, string_agg(o.name, ', ' ORDER BY o.name) FILTER (WHERE o.n <= 10)
FROM (SELECT format('%s inherits from %s', i.inhrelid::regclass, i.inhparent::regclass) AS name,
             row_number() OVER (ORDER BY i.inhrelid) AS n
      FROM pg_inherits i JOIN pg_class child ON child.oid = i.inhrelid
      WHERE NOT child.relispartition
        AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = 'mirox.account_bound()'::regprocedure AND t.tgrelid IN (i.inhparent, i.inhrelid))) o;

-- protect_table switched row security on; without it the policies are of no effect.
-- name: find_unprotected()
SELECT count(*)::int8, string_agg(o.name, ', ' ORDER BY o.name) FILTER (WHERE o.n <= 10)
FROM (SELECT c.oid::regclass::text AS name, row_number() OVER (ORDER BY c.oid) AS n
      FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
      WHERE p.polname = 'mirox_read' AND NOT c.relrowsecurity) o;

-- Settings of roles and databases that put bind parameters, or a plan with their values, into the log.
-- name: find_logging_roles()
SELECT count(*)::int8, string_agg(o.name, ', ' ORDER BY o.name) FILTER (WHERE o.n <= 10)
FROM (SELECT format('%s: %s', COALESCE(r.rolname::text, 'database ' || current_database()), c.setting) AS name,
             row_number() OVER (ORDER BY r.rolname, c.setting) AS n
      FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole CROSS JOIN LATERAL unnest(s.setconfig) c (setting)
      WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND (c.setting ~ '^(log_parameter_max_length|log_parameter_max_length_on_error|auto_explain\.log_parameter_max_length)=' AND
             c.setting !~ '=0[A-Za-z]*$'
             OR c.setting ~ '^(auto_explain\.log_verbose|debug_print_(parse|rewritten|plan))=(on|true|yes|1)$'
             OR c.setting ~ '^log_statement=(mod|all)$')) o;

-- name: find_open_notices()
SELECT count(*)::int8, NULL::text
FROM (SELECT FROM mirox_internal.posted_notice
      WHERE acknowledged_at IS NULL AND at < clock_timestamp() - INTERVAL '7 days' LIMIT 10000) s;

-- name: find_expiring(until timestamptz)
SELECT count(*)::int8, NULL::text
FROM (SELECT FROM mirox_internal.token_secret
      WHERE expires_at > clock_timestamp() AND expires_at <= $1 AND state = 'c' LIMIT 10000) s;

-- Whether a role may see names: whoever may read the view access.
-- name: may_see_names(role oid)
SELECT has_function_privilege($1, 'mirox_internal.access_now()', 'EXECUTE');
