-- What an administrator demands of the tokens of a permission group. A table of its own: built-in groups can have a policy too, and
-- stay as they are.

CREATE TABLE mirox_internal.group_policy (
    group_id integer NOT NULL PRIMARY KEY,
    max_lifetime interval,
    unused_after interval,
    on_reuse text COLLATE "C"
        CHECK (on_reuse OPERATOR(pg_catalog.=) 'record' OR on_reuse OPERATOR(pg_catalog.=) 'notify'
               OR on_reuse OPERATOR(pg_catalog.=) 'revoke'),
    audit_node integer,
    audit_id bigint
);
REVOKE ALL ON TABLE mirox_internal.group_policy FROM PUBLIC;
COMMENT ON TABLE mirox_internal.group_policy IS 'What is demanded of the tokens of a permission group; NULL: the setting, or nothing';
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.group_policy', '');

CREATE FUNCTION mirox_internal.group_policy_guard() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_group_policy_guard' LANGUAGE C;
REVOKE ALL ON FUNCTION mirox_internal.group_policy_guard() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.group_policy_guard() IS 'Internal: checks and audits changes of policies';
CREATE TRIGGER group_policy_guard BEFORE INSERT OR UPDATE OR DELETE ON mirox_internal.group_policy
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.group_policy_guard();
-- Backends keep the longest lifetime with the groups, so they read these again (30_triggers.sql).
CREATE TRIGGER group_policy_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mirox_internal.group_policy
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.cache_changed();
CREATE TRIGGER group_policy_row_changed AFTER INSERT OR UPDATE OR DELETE ON mirox_internal.group_policy
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.cache_changed();
ALTER TABLE mirox_internal.group_policy ENABLE ALWAYS TRIGGER group_policy_changed;
ALTER TABLE mirox_internal.group_policy ENABLE ALWAYS TRIGGER group_policy_row_changed;
CREATE TRIGGER group_policy_no_truncate BEFORE TRUNCATE ON mirox_internal.group_policy
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();

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
