-- The last part: takes from every role but the owner what ALTER DEFAULT PRIVILEGES gave on what this script made. Scripts
-- that add objects end with the same call.
CREATE FUNCTION mirox_internal.revoke_default_privileges() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_revoke_default_privileges' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox_internal.revoke_default_privileges() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.revoke_default_privileges() IS
    'Internal: takes from every role but the owner all rights on the objects that this transaction made for the extension';
SELECT mirox_internal.revoke_default_privileges();
