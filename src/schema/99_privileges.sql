-- The last part: revokes from every role except the owner what ALTER DEFAULT PRIVILEGES granted on the objects of this script.
-- Scripts that add objects end with the same call.
CREATE FUNCTION mirox_internal.revoke_default_privileges() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_revoke_default_privileges' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox_internal.revoke_default_privileges() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.revoke_default_privileges() IS
    'Internal: revokes from every role except the owner all privileges on the objects that this transaction created for the '
    'extension';
SELECT mirox_internal.revoke_default_privileges();
