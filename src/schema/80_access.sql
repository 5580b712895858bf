-- Levels of access, by mirox_internal.access_rule. The extension creates no roles.

CREATE FUNCTION mirox.grant_access(role regrole, level text) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_grant_access' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.grant_access(regrole, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.grant_access(regrole, text) IS
    'Grants a role the use of all objects of a level (mirox_internal.access_rule has the levels; admin has all objects)';

CREATE FUNCTION mirox.revoke_access(role regrole, level text) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_revoke_access' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.revoke_access(regrole, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.revoke_access(regrole, text) IS
    'Revokes a level from a role; objects that another level of the role also has stay granted';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.grant_access(regrole,text)', 'function', 'admin'),
    ('mirox.revoke_access(regrole,text)', 'function', 'admin');
