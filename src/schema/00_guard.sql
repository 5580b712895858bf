-- mirox_tokens: issue, rotate, revoke and verify hashed API tokens inside the database.
-- Joined from src/schema in the order of the parts' numbers. Every name below is qualified, so that nothing that
-- stands on a caller's search_path can take the place of what is meant.
\echo Use "CREATE EXTENSION mirox_tokens" to load this file. \quit

-- A schema that somebody else prepared is never adopted: this fails when it exists. The extension itself is registered in
-- pg_catalog (mirox_tokens.control), so that nobody's DROP SCHEMA reaches it.
CREATE SCHEMA mirox;
CREATE SCHEMA mirox_internal;
COMMENT ON SCHEMA mirox IS 'API tokens: what people call and read (extension mirox_tokens)';
COMMENT ON SCHEMA mirox_internal IS 'API tokens: tables and what stands behind them, for the extension mirox_tokens alone';
-- What ALTER DEFAULT PRIVILEGES gave to everybody; the last part takes what it gave to roles by name.
REVOKE ALL ON SCHEMA mirox, mirox_internal FROM PUBLIC;

SET LOCAL search_path = pg_catalog, pg_temp;

-- Usage recording and rate limits live in shared memory, which only a preloaded library can ask for.
CREATE FUNCTION mirox_internal.require_preload() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_require_preload' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox_internal.require_preload() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.require_preload() IS
    'Internal: fails with 55000 and the line to add unless shared_preload_libraries holds mirox_tokens';
SELECT mirox_internal.require_preload();

-- Functions given to PUBLIC by name (current_user_id and the like) must be callable by it; everything else in the
-- schema is revoked where it is created.
GRANT USAGE ON SCHEMA mirox TO PUBLIC;

-- Which level of access may use what, and which levels there are: read by mirox.grant_access, filled beside each object. Text, not regprocedure:
-- object identifiers do not survive pg_upgrade. What is granted by it is done as the extension's owner, so nobody else writes
-- here, not even who may write all data: a trigger lets scripts of the extension alone.
-- Not dumped: each version's script fills it.
CREATE TABLE mirox_internal.access_rule (
    object text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY['function', 'relation'])),
    level text COLLATE "C" NOT NULL,
    PRIMARY KEY (object, level)
);
REVOKE ALL ON TABLE mirox_internal.access_rule FROM PUBLIC;
COMMENT ON TABLE mirox_internal.access_rule IS
    'The objects that each level of access may use (the level admin may use all of them)';
CREATE FUNCTION mirox_internal.script_only() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_script_only' LANGUAGE C;
REVOKE ALL ON FUNCTION mirox_internal.script_only() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.script_only() IS 'Internal: refuses what the extension''s own scripts alone may do to a table';
CREATE TRIGGER access_rule_script_only BEFORE INSERT OR UPDATE OR DELETE ON mirox_internal.access_rule
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.script_only();
CREATE TRIGGER access_rule_no_truncate BEFORE TRUNCATE ON mirox_internal.access_rule
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.script_only();
-- A subscription's apply worker writes with session_replication_role = replica, where ordinary triggers do not fire.
ALTER TABLE mirox_internal.access_rule ENABLE ALWAYS TRIGGER access_rule_script_only;
ALTER TABLE mirox_internal.access_rule ENABLE ALWAYS TRIGGER access_rule_no_truncate;
