-- What is wrong with the server, its settings and the extension's objects, and what to do about it (level monitor).

CREATE TYPE mirox.finding AS (
    name text COLLATE "C",
    state text COLLATE "C",
    found bigint,
    seen text,
    advice text
);
REVOKE ALL ON TYPE mirox.finding FROM PUBLIC;
GRANT USAGE ON TYPE mirox.finding TO PUBLIC;
COMMENT ON TYPE mirox.finding IS 'The outcome of one check of doctor()';
COMMENT ON COLUMN mirox.finding.name IS 'The check';
COMMENT ON COLUMN mirox.finding.state IS 'ok; info: good to know; warning: look at it soon; error: something fails or a secret is at risk';
COMMENT ON COLUMN mirox.finding.found IS 'How many things of this kind were found; 0: none';
COMMENT ON COLUMN mirox.finding.seen IS
    'What was seen. Names of roles, tables and settings, and paths, only for level admin; NULL: nothing to show';
COMMENT ON COLUMN mirox.finding.advice IS 'What to do; NULL: nothing';

CREATE FUNCTION mirox.doctor() RETURNS SETOF mirox.finding
    AS 'MODULE_PATHNAME', 'mirox_doctor' LANGUAGE C VOLATILE ROWS 25;
REVOKE ALL ON FUNCTION mirox.doctor() FROM PUBLIC;
COMMENT ON FUNCTION mirox.doctor() IS
    'A row for each check of the server, the extension and its settings, with what was seen and what to do. Reads only';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.doctor()', 'function', 'monitor');
