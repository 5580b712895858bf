-- Accounts that follow the platform's own users table.

CREATE FUNCTION mirox.bind_accounts(users regclass, id_column name) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_bind_accounts' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.bind_accounts(regclass, name) FROM PUBLIC;
COMMENT ON FUNCTION mirox.bind_accounts(regclass, name) IS
    'Puts triggers on the platform''s own users table, so that deleting a user deletes the account and changing its id '
    'renames it, at the end of the transaction. The caller must own the table';

-- Schema mirox, because the DDL of users tables names it, and their owners make partitions. It has no level: bind_accounts grants
-- EXECUTE to the owner of the table, and without that grant the function does nothing.
CREATE FUNCTION mirox.account_bound() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_account_bound' LANGUAGE C;
REVOKE ALL ON FUNCTION mirox.account_bound() FROM PUBLIC;
COMMENT ON FUNCTION mirox.account_bound() IS
    'The trigger that mirox.bind_accounts puts on the platform''s own users table';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.bind_accounts(regclass,name)', 'function', 'admin');
