-- The transaction's identity: the token or session that it acts for. It is in the backend's memory, which no setting can change,
-- and ends with the transaction.

CREATE FUNCTION mirox.authenticate("authorization" text, client_ip inet DEFAULT NULL, user_agent text DEFAULT NULL,
                                   counted boolean DEFAULT true) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_authenticate' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION mirox.authenticate(text, inet, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION mirox.authenticate(text, inet, text, boolean) IS
    'For the rest of the transaction the caller acts as the token or session of this Authorization field. 28000: no valid '
    'credentials (401); 53400: over the rate limit (429), with the wait in DETAIL; 25001: the transaction already has an '
    'identity. counted => false after a check_request of the same request: neither counted nor recorded again. A transaction '
    'that acts for a token may manage nothing; one that acts for a session may manage only that session''s account (42501)';

CREATE FUNCTION mirox.postgrest_pre_request() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_postgrest_pre_request' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION mirox.postgrest_pre_request() FROM PUBLIC;
COMMENT ON FUNCTION mirox.postgrest_pre_request() IS
    'For PostgREST''s db-pre-request: authenticates by the request''s Authorization field, or X-Mirox-Authorization, where a '
    'proxy puts what PostgREST would take for a JWT of its own; adds the RateLimit fields to the response''s; raises PT401, '
    'PT429 or PT503, with the fields in DETAIL. The client''s address is the last hop of X-Forwarded-For: configure the proxy '
    'before PostgREST to write that field';

-- To PUBLIC: policies call these four as the querying role. They show only the caller's own transaction.
CREATE FUNCTION mirox.current_user_id() RETURNS text
    AS 'MODULE_PATHNAME', 'mirox_current_user_id' LANGUAGE C STABLE PARALLEL RESTRICTED;
GRANT EXECUTE ON FUNCTION mirox.current_user_id() TO PUBLIC;
COMMENT ON FUNCTION mirox.current_user_id() IS 'The account that the transaction acts for; NULL when it has no identity';

-- To PUBLIC.
CREATE FUNCTION mirox.current_token_id() RETURNS bigint
    AS 'MODULE_PATHNAME', 'mirox_current_token_id' LANGUAGE C STABLE PARALLEL RESTRICTED;
GRANT EXECUTE ON FUNCTION mirox.current_token_id() TO PUBLIC;
COMMENT ON FUNCTION mirox.current_token_id() IS
    'The token that the transaction acts for; NULL when it has no identity, or that of a web session';

-- To PUBLIC.
CREATE FUNCTION mirox.granted(action text) RETURNS mirox.scopes
    AS 'MODULE_PATHNAME', 'mirox_granted' LANGUAGE C STABLE PARALLEL RESTRICTED;
GRANT EXECUTE ON FUNCTION mirox.granted(text) TO PUBLIC;
COMMENT ON FUNCTION mirox.granted(text) IS
    'The resources on which the transaction''s identity has the action, as scopes without one: {parks.berlin} of '
    '{parks.berlin:read} for ''read''. All of them, even more than the 256 that an input may have; empty without an identity';

-- To PUBLIC.
CREATE FUNCTION mirox.allows(scope text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_allows' LANGUAGE C STABLE PARALLEL RESTRICTED;
GRANT EXECUTE ON FUNCTION mirox.allows(text) TO PUBLIC;
COMMENT ON FUNCTION mirox.allows(text) IS
    'Whether the transaction''s identity reaches the scope; false without an identity, and for text that is no scope';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.authenticate(text,inet,text,boolean)', 'function', 'gateway'),
    ('mirox.postgrest_pre_request()', 'function', 'gateway');
