-- Level backup: whatever holds data. pg_dump locks a table before it copies it, which needs SELECT, and looks its name up, which
-- needs USAGE on the schema. With them a role that is no superuser can dump its database. Two tables are left out, since a dump
-- leaves them out: the scripts fill access_rule, and drain_position belongs to one server's ring. Partitioned tables are here for
-- their partitions, which the worker makes with the SELECT grants of the parent.
INSERT INTO mirox_internal.access_rule (object, kind, level)
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), 'relation', 'backup'
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid
    JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = d.objid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE e.extname = 'mirox_tokens' AND d.deptype = 'e' AND n.nspname = 'mirox_internal'
      AND c.relkind = ANY (ARRAY['r', 'p', 'S']::"char"[]) AND c.relname <> ALL (ARRAY['access_rule', 'drain_position']);
INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox_internal', 'schema', 'backup');
