-- mirox_tokens: issue, rotate, revoke and verify hashed API tokens inside the database.
-- Joined from src/schema in the order of the file numbers. Every name below is qualified, so that nothing on a caller's
-- search_path can take the place of the intended object.
\echo Use "CREATE EXTENSION mirox_tokens" to load this file. \quit

-- A schema that another role has prepared is never adopted: this fails when it exists. The extension itself is registered in
-- pg_catalog (mirox_tokens.control), so that no DROP SCHEMA can drop it.
CREATE SCHEMA mirox;
CREATE SCHEMA mirox_internal;
COMMENT ON SCHEMA mirox IS 'API tokens: what people call and read (extension mirox_tokens)';
COMMENT ON SCHEMA mirox_internal IS 'API tokens: tables and internal objects, for the extension mirox_tokens only';
-- Takes back what ALTER DEFAULT PRIVILEGES granted to PUBLIC. The last part takes back what it granted to roles.
REVOKE ALL ON SCHEMA mirox, mirox_internal FROM PUBLIC;

SET LOCAL search_path = pg_catalog, pg_temp;

-- Usage recording and rate limits are in shared memory, which only a preloaded library can request.
CREATE FUNCTION mirox_internal.require_preload() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_require_preload' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox_internal.require_preload() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.require_preload() IS
    'Internal: fails with 55000 and the line to add unless shared_preload_libraries holds mirox_tokens';
SELECT mirox_internal.require_preload();

-- PUBLIC must be able to call the functions that are granted to it by name (such as current_user_id). All other objects of the
-- schema are revoked where they are created.
GRANT USAGE ON SCHEMA mirox TO PUBLIC;

-- The levels of access and the objects that each may use. mirox.grant_access reads it; each object is added beside its
-- definition. Text, not regprocedure: object identifiers do not survive pg_upgrade. Grants by it are made as the extension's
-- owner. So nobody else may write here, not even a role that may write all data: a trigger admits only scripts of the extension.
-- Not dumped: the script of each version fills it.
CREATE TABLE mirox_internal.access_rule (
    object text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY['function', 'relation', 'schema'])),
    level text COLLATE "C" NOT NULL,
    PRIMARY KEY (object, level)
);
REVOKE ALL ON TABLE mirox_internal.access_rule FROM PUBLIC;
COMMENT ON TABLE mirox_internal.access_rule IS
    'The objects that each level of access may use (the level admin may use all of them, except those of level backup)';
CREATE FUNCTION mirox_internal.script_only() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_script_only' LANGUAGE C;
REVOKE ALL ON FUNCTION mirox_internal.script_only() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.script_only() IS 'Internal: refuses changes of a table that only the extension''s own scripts may make';
CREATE TRIGGER access_rule_script_only BEFORE INSERT OR UPDATE OR DELETE ON mirox_internal.access_rule
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.script_only();
CREATE TRIGGER access_rule_no_truncate BEFORE TRUNCATE ON mirox_internal.access_rule
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.script_only();
-- A subscription's apply worker writes with session_replication_role = replica, where ordinary triggers do not fire.
ALTER TABLE mirox_internal.access_rule ENABLE ALWAYS TRIGGER access_rule_script_only;
ALTER TABLE mirox_internal.access_rule ENABLE ALWAYS TRIGGER access_rule_no_truncate;
