-- mirox_tokens: issue, rotate, revoke and verify hashed API tokens inside the database.
-- Joined from src/schema in the order of the parts' numbers. Every name below is qualified, so that nothing that
-- stands on a caller's search_path can take the place of what is meant.
\echo Use "CREATE EXTENSION mirox_tokens" to load this file. \quit

-- A schema that somebody else prepared is never adopted: this fails when it exists.
CREATE SCHEMA mirox;
COMMENT ON SCHEMA mirox IS 'API tokens: accounts, sessions, tokens, usage and audit (extension mirox_tokens)';

SET LOCAL search_path = pg_catalog, pg_temp;

-- Usage recording and rate limits live in shared memory, which only a preloaded library can ask for.
CREATE FUNCTION mirox.require_preload() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_require_preload' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.require_preload() FROM PUBLIC;
COMMENT ON FUNCTION mirox.require_preload() IS
    'Internal: fails with 55000 and the line to add unless shared_preload_libraries holds mirox_tokens';
SELECT mirox.require_preload();

-- Functions left to PUBLIC by name (current_user_id and the like) must be callable by it; everything else in the
-- schema is revoked where it is created.
GRANT USAGE ON SCHEMA mirox TO PUBLIC;

-- Which level of access may use what: read by mirox.grant_access, filled beside each object. Text, not regprocedure:
-- object identifiers do not survive pg_upgrade.
-- Not dumped: each version's script fills it.
CREATE TABLE mirox.access_rule (
    object text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY['function', 'relation'])),
    level text COLLATE "C" NOT NULL CHECK (
        level OPERATOR(pg_catalog.=) ANY (ARRAY['login', 'application', 'gateway', 'reporting', 'admin'])),
    PRIMARY KEY (object, level)
);
REVOKE ALL ON TABLE mirox.access_rule FROM PUBLIC;
COMMENT ON TABLE mirox.access_rule IS
    'The objects that each level of access may use (the level admin may use all of them)';
