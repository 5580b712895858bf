-- Rate limits: all tokens and web sessions of an account share one, and a token can have an additional one of its own.

-- Columns are added at the end.
CREATE TYPE mirox.limit_status AS (
    rate_limit integer, burst integer, remaining integer, retry_after_ms integer, reset_ms integer, policy text
);
GRANT USAGE ON TYPE mirox.limit_status TO PUBLIC;
COMMENT ON TYPE mirox.limit_status IS
    'The row of rate_limit_status: requests a minute and at once, how many would be admitted now, the time until the next one would '
    'be (0: now) and until the whole burst is available again. policy: account, or token for the token''s own limit';

CREATE FUNCTION mirox.rate_limit_status(user_id text, token_id bigint DEFAULT NULL) RETURNS mirox.limit_status
    AS 'MODULE_PATHNAME', 'mirox_rate_limit_status' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION mirox.rate_limit_status(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION mirox.rate_limit_status(text, bigint) IS
    'The state of an account''s rate limit, counting nothing; with a token, of that token''s own limit if this is the one that binds '
    'its next request. P0002: no such account, or no such token of it';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.rate_limit_status(text,bigint)', 'function', 'application'),
    ('mirox.rate_limit_status(text,bigint)', 'function', 'gateway');
