-- What an administrator demands of the tokens of a permission group. A table of its own: built-in groups can have a policy too, and
-- stay as they are.

CREATE TABLE mirox_internal.group_policy (
    group_id integer NOT NULL PRIMARY KEY,
    max_lifetime interval,
    unused_after interval,
    on_reuse text COLLATE "C"
        CHECK (on_reuse OPERATOR(pg_catalog.=) 'record' OR on_reuse OPERATOR(pg_catalog.=) 'notify'
               OR on_reuse OPERATOR(pg_catalog.=) 'revoke')
);
REVOKE ALL ON TABLE mirox_internal.group_policy FROM PUBLIC;
COMMENT ON TABLE mirox_internal.group_policy IS 'What is demanded of the tokens of a permission group; NULL: the setting, or nothing';
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.group_policy', '');

CREATE FUNCTION mirox.set_group_policy(
    name text, max_lifetime interval DEFAULT NULL, unused_after interval DEFAULT NULL, on_reuse text DEFAULT NULL) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_set_group_policy' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.set_group_policy(text, interval, interval, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.set_group_policy(text, interval, interval, text) IS
    'Sets the policy of a permission group, also of a built-in one. max_lifetime: the longest lifetime of a token issued or rotated '
    'from now on; unused_after: a token that was not used for so long is revoked; on_reuse: what follows when a rotated secret is '
    'used: record, notify or revoke. NULL: no such rule, or mirox_tokens.on_reuse. 22023: no such group, or a bad argument';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.set_group_policy(text,interval,interval,text)', 'function', 'admin');
