-- Permission groups: what a DBA may add to the three built-in ones.

CREATE FUNCTION mirox.put_group(name text, permissions text[], description text DEFAULT NULL) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_put_group' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.put_group(text, text[], text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.put_group(text, text[], text) IS
    'Adds or changes a permission group; the change applies to its tokens at their next check, and no row of a token is written. '
    'description NULL: unchanged. 22023: a built-in group, or a bad argument';

CREATE FUNCTION mirox.drop_group(name text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_drop_group' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.drop_group(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.drop_group(text) IS
    'Drops a permission group that no token uses; false when there was none. 2BP01: in use; 22023: built-in';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.put_group(text,text[],text)', 'function', 'admin'),
    ('mirox.drop_group(text)', 'function', 'admin');
