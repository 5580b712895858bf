-- Checks: none raises an error because of client input; each returns a verdict. VOLATILE and PARALLEL UNSAFE: a check reads with
-- a fresh snapshot, which parallel mode does not allow.

CREATE TYPE mirox.verdict AS (
    status integer, reason text, token_id bigint, user_id text, permission_group text, permissions mirox.scopes,
    expires_at timestamptz, retry_after_ms integer
);
GRANT USAGE ON TYPE mirox.verdict TO PUBLIC;
COMMENT ON TYPE mirox.verdict IS
    'The answer of a check. status: 200, 401, 403 or 429; reason: ok, malformed, unknown, revoked, rotated, expired, locked, '
    'suspended, ip_not_allowed, insufficient_scope, rate_limited. Send only the status to the client. On a 401 all columns except status '
    'and reason are NULL';

CREATE FUNCTION mirox.verify_token(secret text, client_ip inet DEFAULT NULL, user_agent text DEFAULT NULL,
                                   required_scope text DEFAULT NULL) RETURNS mirox.verdict
    AS 'MODULE_PATHNAME', 'mirox_verify_token' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION mirox.verify_token(text, inet, text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.verify_token(text, inet, text, text) IS
    'Checks a token''s secret: who is the caller, what may it reach, is it within the rate limit? Client input never raises an '
    'error. Call it as SELECT ... FROM mirox.verify_token(...): (f(x)).* would check once for each column';

CREATE FUNCTION mirox.verify_digest(sha256 bytea, client_ip inet DEFAULT NULL, user_agent text DEFAULT NULL,
                                    required_scope text DEFAULT NULL) RETURNS mirox.verdict
    AS 'MODULE_PATHNAME', 'mirox_verify_digest' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION mirox.verify_digest(bytea, inet, text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.verify_digest(bytea, inet, text, text) IS
    'Like verify_token, but takes the 32 bytes of SHA-256 of the secret, so that the secret itself never enters SQL';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.verify_token(text,inet,text,text)', 'function', 'gateway'),
    ('mirox.verify_digest(bytea,inet,text,text)', 'function', 'gateway');
