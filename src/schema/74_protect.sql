-- Row security by scope: policies that read the transaction's identity once a query, and the operators that they use.

CREATE FUNCTION mirox.scopes_below(mirox.scopes, resource text) RETURNS mirox.scopes
    AS 'MODULE_PATHNAME', 'mirox_scopes_below' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION mirox.scopes_below(mirox.scopes, text) IS
    'What a set of resources grants below one, named from there: {berlin} of {parks.berlin} below parks; {*} when it grants '
    'that resource itself. Scopes with an action are left out';
CREATE OPERATOR mirox.-> (
    LEFTARG = mirox.scopes, RIGHTARG = text, FUNCTION = mirox.scopes_below
);
COMMENT ON OPERATOR mirox.-> (mirox.scopes, text) IS 'what the set grants below the resource';

CREATE FUNCTION mirox_internal.scopes_reach_row_support(internal) RETURNS internal
    AS 'MODULE_PATHNAME', 'mirox_scopes_reach_row_support' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.scopes_reach_row_support(internal) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.scopes_reach_row_support(internal) IS
    'Internal: tells the planner how many rows pass scopes_reach_row, and a range of an index that holds them';

CREATE FUNCTION mirox.scopes_reach_row(below mirox.scopes, value text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_scopes_reach_row' LANGUAGE C IMMUTABLE PARALLEL SAFE
    SUPPORT mirox_internal.scopes_reach_row_support;
COMMENT ON FUNCTION mirox.scopes_reach_row(mirox.scopes, text) IS
    'Whether the set that -> made reaches the row with this value; only {*} reaches NULL and a value that no scope can name';
CREATE OPERATOR mirox.~> (
    LEFTARG = mirox.scopes, RIGHTARG = text, FUNCTION = mirox.scopes_reach_row
);
COMMENT ON OPERATOR mirox.~> (mirox.scopes, text) IS 'reaches the row with this value';

-- The range of texts, in byte order, that contains every row that a set reaches.
CREATE FUNCTION mirox_internal.scopes_least_row(mirox.scopes) RETURNS text
    AS 'MODULE_PATHNAME', 'mirox_scopes_least_row' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION mirox_internal.scopes_least_row(mirox.scopes) IS 'Internal: the range of an index that holds the rows begins here';
CREATE FUNCTION mirox_internal.scopes_row_bound(mirox.scopes) RETURNS text
    AS 'MODULE_PATHNAME', 'mirox_scopes_row_bound' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION mirox_internal.scopes_row_bound(mirox.scopes) IS 'Internal: the range of an index that holds the rows ends before this';
CREATE OPERATOR mirox.|< (RIGHTARG = mirox.scopes, FUNCTION = mirox_internal.scopes_least_row);
COMMENT ON OPERATOR mirox.|< (NONE, mirox.scopes) IS 'the least value of a row that the set reaches';
CREATE OPERATOR mirox.|> (RIGHTARG = mirox.scopes, FUNCTION = mirox_internal.scopes_row_bound);
COMMENT ON OPERATOR mirox.|> (NONE, mirox.scopes) IS 'a bound above the values of all rows that the set reaches';

-- To PUBLIC, as in 10_types.sql: every role that queries a protected table calls these.
GRANT EXECUTE ON FUNCTION mirox.scopes_below(mirox.scopes, text), mirox.scopes_reach_row(mirox.scopes, text),
    mirox_internal.scopes_least_row(mirox.scopes), mirox_internal.scopes_row_bound(mirox.scopes) TO PUBLIC;

-- These two run as the caller, who must own the table.
CREATE FUNCTION mirox.protect_table(tbl regclass, resource text, owner_column name DEFAULT NULL,
                                    resource_column name DEFAULT NULL, force boolean DEFAULT true) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_protect_table' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.protect_table(regclass, text, name, name, boolean) FROM PUBLIC;
COMMENT ON FUNCTION mirox.protect_table(regclass, text, name, name, boolean) IS
    'Enables row security with one policy for each command: a row needs resource:read, :insert, :update or :delete, with a '
    'resource column resource.VALUE:read and so on, and with an owner column that its owner is the identity''s account. force: '
    'the table''s owner is bound too. Call it again to change the columns, and after a partition was attached';

CREATE FUNCTION mirox.unprotect_table(tbl regclass) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_unprotect_table' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.unprotect_table(regclass) FROM PUBLIC;
COMMENT ON FUNCTION mirox.unprotect_table(regclass) IS
    'Drops the policies of protect_table, and disables row security where no other policy is left; false when there were none';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.protect_table(regclass,text,name,name,boolean)', 'function', 'admin'),
    ('mirox.unprotect_table(regclass)', 'function', 'admin');
