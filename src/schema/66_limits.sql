-- Rate limits: all tokens and web sessions of an account share one.

CREATE FUNCTION mirox.rate_limit_status(
    user_id text, OUT rate_limit integer, OUT burst integer, OUT remaining integer, OUT retry_after_ms integer,
    OUT reset_ms integer) RETURNS record
    AS 'MODULE_PATHNAME', 'mirox_rate_limit_status' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION mirox.rate_limit_status(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.rate_limit_status(text) IS
    'The state of an account''s rate limit, counting nothing: requests a minute and at once, how many would be admitted now, '
    'the time until the next one would be (0: now) and until the whole burst is available again. P0002: no such account';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.rate_limit_status(text)', 'function', 'application'),
    ('mirox.rate_limit_status(text)', 'function', 'gateway');
