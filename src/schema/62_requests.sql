-- Requests at a gateway: endpoint rules, the check of a whole request, the client's address behind proxies.

CREATE FUNCTION mirox.put_endpoint(method text, path text, scope text) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_put_endpoint' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.put_endpoint(text, text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.put_endpoint(text, text, text) IS
    'Sets the scope that a method and path need; NULL: any token or session in force. * as a method: every method; in a path: * '
    'one segment, ** the rest. The most specific rule wins, the path before the method. 22023: a malformed rule';

CREATE FUNCTION mirox.put_public_endpoint(method text, path text) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_put_public_endpoint' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.put_public_endpoint(text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.put_public_endpoint(text, text) IS
    'Admits requests without credentials to a method and path. Credentials that are sent are judged all the same';

CREATE FUNCTION mirox.put_endpoints(rules jsonb, names jsonb DEFAULT NULL, OUT added integer, OUT changed integer,
                                    OUT dropped integer)
    AS 'MODULE_PATHNAME', 'mirox_put_endpoints' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.put_endpoints(jsonb, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION mirox.put_endpoints(jsonb, jsonb) IS
    'Makes these the whole set of endpoint rules, in one act: a list of objects with method, path, scope (null: any token or session '
    'in force) and public, or an OpenAPI 3 document; names maps its scopes to those of permissions, null to none. 22023: a rule '
    'cannot express what is asked';

CREATE FUNCTION mirox.drop_endpoint(method text, path text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_drop_endpoint' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.drop_endpoint(text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.drop_endpoint(text, text) IS 'Drops an endpoint rule; false when there was none';

CREATE TYPE mirox.http_verdict AS (
    status integer, reason text, token_id bigint, user_id text, permission_group text, permissions mirox.scopes,
    expires_at timestamptz, retry_after_ms integer, www_authenticate text, retry_after integer, ratelimit_limit integer,
    ratelimit_remaining integer, ratelimit_reset integer, required_scope text, ratelimit_policy text, ratelimit text,
    path text, endpoint text
);
GRANT USAGE ON TYPE mirox.http_verdict TO PUBLIC;
COMMENT ON TYPE mirox.http_verdict IS
    'A verdict with what HTTP needs: the header fields WWW-Authenticate, Retry-After, RateLimit-Policy, RateLimit, and the older '
    'RateLimit-Limit, -Remaining and -Reset (NULL: leave it out); the scope that the request needs, the plain path that was '
    'judged, and the rule that matched it. status may also be 400';

CREATE FUNCTION mirox.check_request("authorization" text, method text, path text, client_ip inet DEFAULT NULL,
                                    user_agent text DEFAULT NULL) RETURNS mirox.http_verdict
    AS 'MODULE_PATHNAME', 'mirox_check_request' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION mirox.check_request(text, text, text, inet, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.check_request(text, text, text, inet, text) IS
    'Checks a request by its Authorization header, method and target, as the client sent them; accepts tokens and web sessions. '
    'The order is 401, 429, 403; each authenticated request counts once against its owner''s rate limit. Client input never '
    'raises an error. Call it as SELECT ... FROM mirox.check_request(...)';

CREATE FUNCTION mirox.explain_check(credential text, method text DEFAULT NULL, path text DEFAULT NULL,
                                    client_ip inet DEFAULT NULL, user_agent text DEFAULT NULL,
                                    required_scope text DEFAULT NULL) RETURNS mirox.http_verdict
    AS 'MODULE_PATHNAME', 'mirox_explain_check' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION mirox.explain_check(text, text, text, inet, text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.explain_check(text, text, text, inet, text, text) IS
    'What a check would answer, with the exact reason, the owner of the secret and the scope needed; records nothing and counts '
    'nothing. credential: an Authorization header or a secret; then method and path, or required_scope';

-- To PUBLIC: policies and types call it as the querying role, and its result depends only on its arguments.
CREATE FUNCTION mirox.client_ip(forwarded text, peer inet, trusted cidr[]) RETURNS inet
    AS 'MODULE_PATHNAME', 'mirox_client_ip' LANGUAGE C IMMUTABLE PARALLEL SAFE;
GRANT EXECUTE ON FUNCTION mirox.client_ip(text, inet, cidr[]) TO PUBLIC;
COMMENT ON FUNCTION mirox.client_ip(text, inet, cidr[]) IS
    'The client''s address: the rightmost hop of X-Forwarded-For or Forwarded that is not a trusted proxy; the peer itself when '
    'it is not a trusted proxy. NULL when a trusted proxy does not tell the address before it, and without a peer';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.put_endpoint(text,text,text)', 'function', 'admin'),
    ('mirox.put_public_endpoint(text,text)', 'function', 'admin'),
    ('mirox.put_endpoints(jsonb,jsonb)', 'function', 'admin'),
    ('mirox.drop_endpoint(text,text)', 'function', 'admin'),
    ('mirox.check_request(text,text,text,inet,text)', 'function', 'gateway'),
    ('mirox.explain_check(text,text,text,inet,text,text)', 'function', 'admin');
