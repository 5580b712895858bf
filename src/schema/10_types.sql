-- Base types: digest, secret, scopes. PUBLIC may call their support functions: a type is of no use to a role that may not call
-- its input function, and none of them reads a table.

-- ---- digest: 32 bytes, fixed length --------------------------------------------------------------------------------
CREATE TYPE mirox.digest;
CREATE FUNCTION mirox.digest_in(cstring) RETURNS mirox.digest
    AS 'MODULE_PATHNAME', 'mirox_digest_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.digest_out(mirox.digest) RETURNS cstring
    AS 'MODULE_PATHNAME', 'mirox_digest_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.digest_recv(internal) RETURNS mirox.digest
    AS 'MODULE_PATHNAME', 'mirox_digest_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.digest_send(mirox.digest) RETURNS bytea
    AS 'MODULE_PATHNAME', 'mirox_digest_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE TYPE mirox.digest (
    INPUT = mirox.digest_in, OUTPUT = mirox.digest_out, RECEIVE = mirox.digest_recv, SEND = mirox.digest_send,
    INTERNALLENGTH = 32, ALIGNMENT = char, STORAGE = plain
);
COMMENT ON TYPE mirox.digest IS 'A 32-byte digest, as 64 hex digits; equality takes constant time';

CREATE FUNCTION mirox.digest_eq(mirox.digest, mirox.digest) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_digest_eq' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION mirox.digest_ne(mirox.digest, mirox.digest) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_digest_ne' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION mirox.digest_lt(mirox.digest, mirox.digest) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_digest_lt' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION mirox.digest_le(mirox.digest, mirox.digest) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_digest_le' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION mirox.digest_gt(mirox.digest, mirox.digest) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_digest_gt' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION mirox.digest_ge(mirox.digest, mirox.digest) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_digest_ge' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION mirox.digest_cmp(mirox.digest, mirox.digest) RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_digest_cmp' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION mirox.digest_hash(mirox.digest) RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_digest_hash' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
CREATE FUNCTION mirox.digest_hash_extended(mirox.digest, bigint) RETURNS bigint
    AS 'MODULE_PATHNAME', 'mirox_digest_hash_extended' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;

CREATE OPERATOR mirox.= (
    LEFTARG = mirox.digest, RIGHTARG = mirox.digest, FUNCTION = mirox.digest_eq,
    COMMUTATOR = OPERATOR(mirox.=), NEGATOR = OPERATOR(mirox.<>),
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR mirox.<> (
    LEFTARG = mirox.digest, RIGHTARG = mirox.digest, FUNCTION = mirox.digest_ne,
    COMMUTATOR = OPERATOR(mirox.<>), NEGATOR = OPERATOR(mirox.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR mirox.< (
    LEFTARG = mirox.digest, RIGHTARG = mirox.digest, FUNCTION = mirox.digest_lt,
    COMMUTATOR = OPERATOR(mirox.>), NEGATOR = OPERATOR(mirox.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR mirox.<= (
    LEFTARG = mirox.digest, RIGHTARG = mirox.digest, FUNCTION = mirox.digest_le,
    COMMUTATOR = OPERATOR(mirox.>=), NEGATOR = OPERATOR(mirox.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR mirox.> (
    LEFTARG = mirox.digest, RIGHTARG = mirox.digest, FUNCTION = mirox.digest_gt,
    COMMUTATOR = OPERATOR(mirox.<), NEGATOR = OPERATOR(mirox.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR mirox.>= (
    LEFTARG = mirox.digest, RIGHTARG = mirox.digest, FUNCTION = mirox.digest_ge,
    COMMUTATOR = OPERATOR(mirox.<=), NEGATOR = OPERATOR(mirox.<), RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR CLASS mirox.digest_btree_ops DEFAULT FOR TYPE mirox.digest USING btree AS
    OPERATOR 1 mirox.<, OPERATOR 2 mirox.<=, OPERATOR 3 mirox.=, OPERATOR 4 mirox.>=, OPERATOR 5 mirox.>,
    FUNCTION 1 mirox.digest_cmp(mirox.digest, mirox.digest);
CREATE OPERATOR CLASS mirox.digest_hash_ops DEFAULT FOR TYPE mirox.digest USING hash AS
    OPERATOR 1 mirox.=,
    FUNCTION 1 mirox.digest_hash(mirox.digest), FUNCTION 2 mirox.digest_hash_extended(mirox.digest, bigint);

-- ---- secret: for arguments and variables; no send or receive, no table columns ----------------------------------------
CREATE TYPE mirox.secret;
CREATE FUNCTION mirox.secret_in(cstring) RETURNS mirox.secret
    AS 'MODULE_PATHNAME', 'mirox_secret_in' LANGUAGE C STABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.secret_out(mirox.secret) RETURNS cstring
    AS 'MODULE_PATHNAME', 'mirox_secret_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE TYPE mirox.secret (INPUT = mirox.secret_in, OUTPUT = mirox.secret_out, STORAGE = plain);
COMMENT ON TYPE mirox.secret IS
    'A well-formed secret, shown in redacted form only. For arguments and variables: a dump of a column would lose the value';

-- ---- scopes: a set of scopes in normal form --------------------------------------------------------------------------
CREATE TYPE mirox.scopes;
CREATE FUNCTION mirox.scopes_in(cstring) RETURNS mirox.scopes
    AS 'MODULE_PATHNAME', 'mirox_scopes_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.scopes_out(mirox.scopes) RETURNS cstring
    AS 'MODULE_PATHNAME', 'mirox_scopes_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.scopes_recv(internal) RETURNS mirox.scopes
    AS 'MODULE_PATHNAME', 'mirox_scopes_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.scopes_send(mirox.scopes) RETURNS bytea
    AS 'MODULE_PATHNAME', 'mirox_scopes_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE TYPE mirox.scopes (
    INPUT = mirox.scopes_in, OUTPUT = mirox.scopes_out, RECEIVE = mirox.scopes_recv, SEND = mirox.scopes_send,
    STORAGE = extended
);
COMMENT ON TYPE mirox.scopes IS
    'A normalised set of scopes, written like a text array: {parks:read,reports}; sorted, none covered by another';

CREATE FUNCTION mirox.scopes(text[]) RETURNS mirox.scopes
    AS 'MODULE_PATHNAME', 'mirox_scopes_from_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION mirox.scopes(text[]) IS 'The normalised set of these scopes; 22023 for a malformed one';
CREATE FUNCTION mirox.scopes_to_array(mirox.scopes) RETURNS text[]
    AS 'MODULE_PATHNAME', 'mirox_scopes_to_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION mirox.scopes_to_array(mirox.scopes) IS 'The scopes of a set, sorted, as a text array';
CREATE CAST (text[] AS mirox.scopes) WITH FUNCTION mirox.scopes(text[]) AS ASSIGNMENT;
CREATE CAST (mirox.scopes AS text[]) WITH FUNCTION mirox.scopes_to_array(mirox.scopes) AS ASSIGNMENT;

CREATE FUNCTION mirox.scopes_eq(mirox.scopes, mirox.scopes) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_scopes_eq' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.scopes_ne(mirox.scopes, mirox.scopes) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_scopes_ne' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.scopes_hash(mirox.scopes) RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_scopes_hash' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.scopes_covers(mirox.scopes, mirox.scopes) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_scopes_covers' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.scopes_covered_by(mirox.scopes, mirox.scopes) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_scopes_covered_by' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.scopes_covers_scope(mirox.scopes, text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_scopes_covers_scope' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.scope_covered_by(text, mirox.scopes) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_scope_covered_by' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION mirox.scopes_intersection(mirox.scopes, mirox.scopes) RETURNS mirox.scopes
    AS 'MODULE_PATHNAME', 'mirox_scopes_intersection' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE OPERATOR mirox.= (
    LEFTARG = mirox.scopes, RIGHTARG = mirox.scopes, FUNCTION = mirox.scopes_eq,
    COMMUTATOR = OPERATOR(mirox.=), NEGATOR = OPERATOR(mirox.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
CREATE OPERATOR mirox.<> (
    LEFTARG = mirox.scopes, RIGHTARG = mirox.scopes, FUNCTION = mirox.scopes_ne,
    COMMUTATOR = OPERATOR(mirox.<>), NEGATOR = OPERATOR(mirox.=), RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR mirox.@> (
    LEFTARG = mirox.scopes, RIGHTARG = mirox.scopes, FUNCTION = mirox.scopes_covers,
    COMMUTATOR = OPERATOR(mirox.<@), RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR mirox.<@ (
    LEFTARG = mirox.scopes, RIGHTARG = mirox.scopes, FUNCTION = mirox.scopes_covered_by,
    COMMUTATOR = OPERATOR(mirox.@>), RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR mirox.@> (
    LEFTARG = mirox.scopes, RIGHTARG = text, FUNCTION = mirox.scopes_covers_scope,
    COMMUTATOR = OPERATOR(mirox.<@), RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR mirox.<@ (
    LEFTARG = text, RIGHTARG = mirox.scopes, FUNCTION = mirox.scope_covered_by,
    COMMUTATOR = OPERATOR(mirox.@>), RESTRICT = contsel, JOIN = contjoinsel
);
CREATE OPERATOR mirox.* (
    LEFTARG = mirox.scopes, RIGHTARG = mirox.scopes, FUNCTION = mirox.scopes_intersection,
    COMMUTATOR = OPERATOR(mirox.*)
);
COMMENT ON OPERATOR mirox.@> (mirox.scopes, mirox.scopes) IS 'covers every scope of the other set';
COMMENT ON OPERATOR mirox.@> (mirox.scopes, text) IS 'covers the scope';
COMMENT ON OPERATOR mirox.<@ (mirox.scopes, mirox.scopes) IS 'is covered by the other set';
COMMENT ON OPERATOR mirox.<@ (text, mirox.scopes) IS 'the scope is covered by the set';
COMMENT ON OPERATOR mirox.* (mirox.scopes, mirox.scopes) IS
    'what both sets cover; 54000 when the result would hold more than 256 scopes';
CREATE OPERATOR CLASS mirox.scopes_hash_ops DEFAULT FOR TYPE mirox.scopes USING hash AS
    OPERATOR 1 mirox.=, FUNCTION 1 mirox.scopes_hash(mirox.scopes);

-- Granted explicitly, since ALTER DEFAULT PRIVILEGES may have taken it from PUBLIC. This covers every function that exists in the
-- schema so far.
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mirox TO PUBLIC;
GRANT USAGE ON TYPE mirox.digest, mirox.secret, mirox.scopes TO PUBLIC;

CREATE FUNCTION mirox_internal.compile_permissions(owner mirox.scopes, own mirox.scopes) RETURNS mirox.scopes
    AS 'MODULE_PATHNAME', 'mirox_compile_permissions' LANGUAGE C IMMUTABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.compile_permissions(mirox.scopes, mirox.scopes) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.compile_permissions(mirox.scopes, mirox.scopes) IS
    'Internal: the owner''s permissions, intersected with the token''s own; own NULL: all of the owner''s. Beyond 256 scopes '
    'the rest is cut';
