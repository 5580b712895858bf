-- Management of tokens: each function takes a web session's secret first.

CREATE TYPE mirox.issued_token AS (
    token_id bigint, secret text, name text, permission_group text, place integer, expires_at timestamptz,
    created_at timestamptz
);
GRANT USAGE ON TYPE mirox.issued_token TO PUBLIC;
COMMENT ON TYPE mirox.issued_token IS 'The result of issuing and rotating a token; the only time that the secret is shown';

CREATE FUNCTION mirox.issue_token(
    session text, name text, permission_group text, expires_at timestamptz DEFAULT NULL,
    expires_in interval DEFAULT NULL, permissions text[] DEFAULT NULL, allowed_ips inet[] DEFAULT NULL,
    format text DEFAULT 'opaque', metadata jsonb DEFAULT '{}', idempotency_key text DEFAULT NULL,
    rate_limit integer DEFAULT NULL) RETURNS mirox.issued_token
    AS 'MODULE_PATHNAME', 'mirox_issue_token' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.issue_token(text, text, text, timestamptz, interval, text[], inet[], text, jsonb, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION mirox.issue_token(text, text, text, timestamptz, interval, text[], inet[], text, jsonb, text, integer) IS
    'Issues a token for the session''s owner. Lives until expires_at or for expires_in (mirox_tokens.default_lifetime '
    'when neither is given), both in UTC. permissions narrows it, allowed_ips limits where it works. format: opaque, '
    'or jwt (which needs mirox_tokens.jwt_key_file, else 55000). idempotency_key: a repeated call of the session within a day '
    'issues no second token and returns the first one, with secret NULL; with other arguments it is refused. '
    'rate_limit: requests a minute, beside the account''s limit (set_token_rate_limit). Errors: 28000 no open session, '
    '42501 a token instead of a session or permissions that the owner or the group does not have, 54000 the owner''s places '
    'are full, 22023 a bad argument';

CREATE FUNCTION mirox.rotate_token(
    session text, token_id bigint, overlap interval DEFAULT '0', idempotency_key text DEFAULT NULL)
    RETURNS mirox.issued_token
    AS 'MODULE_PATHNAME', 'mirox_rotate_token' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.rotate_token(text, bigint, interval, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.rotate_token(text, bigint, interval, text) IS
    'Gives a token a new secret, starts its lifetime again and clears its usage. The old secret stops at once, or '
    'after overlap (7 days at most, never past its own expiry). idempotency_key: as for issue_token. P0002: the owner has no such token, or it is revoked';

CREATE FUNCTION mirox.revoke_token(session text, token_id bigint, reason text DEFAULT NULL) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_revoke_token' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.revoke_token(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.revoke_token(text, bigint, text) IS
    'Revokes a token at once; returns the time at which it was first revoked. P0002: the owner has no such token';

CREATE FUNCTION mirox.revoke_all_tokens(session text, reason text DEFAULT NULL, close_sessions boolean DEFAULT false)
    RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_revoke_all_tokens' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.revoke_all_tokens(text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION mirox.revoke_all_tokens(text, text, boolean) IS
    'Revokes every token of the owner; returns how many. close_sessions: also closes all sessions of the owner but this one';

CREATE FUNCTION mirox.revoke_expired_tokens(session text) RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_revoke_expired_tokens' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.revoke_expired_tokens(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.revoke_expired_tokens(text) IS
    'Revokes the owner''s expired tokens, which frees their places; returns how many';

CREATE FUNCTION mirox.revoke_self(secret text, reason text DEFAULT NULL) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_revoke_self' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.revoke_self(text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.revoke_self(text, text) IS
    'Revokes the token that this secret belongs to, and nothing else: for anyone who finds a leaked secret. P0002: no such '
    'secret in use; 42501: the transaction acts for another token';

CREATE FUNCTION mirox.revoke_any_token(token_id bigint, reason text DEFAULT NULL) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_revoke_any_token' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.revoke_any_token(bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.revoke_any_token(bigint, text) IS
    'Revokes a token of any account, without a session; returns the time at which it was first revoked. P0002: no such token';

CREATE FUNCTION mirox.rename_token(session text, token_id bigint, name text) RETURNS text
    AS 'MODULE_PATHNAME', 'mirox_rename_token' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.rename_token(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.rename_token(text, bigint, text) IS
    'Renames a token; returns the name as it is stored (trimmed, NFC). P0002: the owner has no such token, or it is revoked';

-- ---- changing a token --------------------------------------------------------------------------------------------------

CREATE FUNCTION mirox.set_token_permissions(session text, token_id bigint, permissions text[]) RETURNS mirox.scopes
    AS 'MODULE_PATHNAME', 'mirox_set_token_permissions' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.set_token_permissions(text, bigint, text[]) FROM PUBLIC;
COMMENT ON FUNCTION mirox.set_token_permissions(text, bigint, text[]) IS
    'Narrows or widens a token, by the rules of issue_token; NULL: all that owner and group have. Returns what it may reach now. '
    '55000: it would gain a permission while two secrets are in force';

CREATE FUNCTION mirox.set_token_networks(session text, token_id bigint, allowed_ips inet[]) RETURNS cidr[]
    AS 'MODULE_PATHNAME', 'mirox_set_token_networks' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.set_token_networks(text, bigint, inet[]) FROM PUBLIC;
COMMENT ON FUNCTION mirox.set_token_networks(text, bigint, inet[]) IS
    'Sets the networks from which a token works; NULL: everywhere. Returns them as they are stored: 203.0.113.9/24 is '
    '203.0.113.0/24';

CREATE FUNCTION mirox.set_token_expiration(session text, token_id bigint, expires_at timestamptz DEFAULT NULL,
                                           expires_in interval DEFAULT NULL) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_set_token_expiration' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.set_token_expiration(text, bigint, timestamptz, interval) FROM PUBLIC;
COMMENT ON FUNCTION mirox.set_token_expiration(text, bigint, timestamptz, interval) IS
    'Sets when a token expires, by the rules of issue_token (neither argument: mirox_tokens.default_lifetime from now). A rotation '
    'then starts the time from now to that date again. 55000: it has expired';

CREATE FUNCTION mirox.set_token_metadata(session text, token_id bigint, metadata jsonb) RETURNS jsonb
    AS 'MODULE_PATHNAME', 'mirox_set_token_metadata' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.set_token_metadata(text, bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION mirox.set_token_metadata(text, bigint, jsonb) IS 'Replaces a token''s metadata and returns it; NULL: {}';

CREATE FUNCTION mirox.set_token_rate_limit(session text, token_id bigint, rate_limit integer, burst integer DEFAULT NULL) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_set_token_rate_limit' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.set_token_rate_limit(text, bigint, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION mirox.set_token_rate_limit(text, bigint, integer, integer) IS
    'Gives a token a rate limit of its own beside the account''s, never above it: requests a minute, and at once after a pause (burst '
    'NULL: as many as in a minute). A request has to pass both. rate_limit NULL: no limit of its own';

CREATE FUNCTION mirox.suspend_token(session text, token_id bigint, reason text DEFAULT NULL) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_suspend_token' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.suspend_token(text, bigint, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.suspend_token(text, bigint, text) IS
    'Refuses a token (401) until resume_token; it keeps its place, may be rotated and expires as ever. Returns since when it is '
    'suspended';

CREATE FUNCTION mirox.resume_token(session text, token_id bigint) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_resume_token' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.resume_token(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION mirox.resume_token(text, bigint) IS 'Ends the suspension of a token; false when it was not suspended';

CREATE FUNCTION mirox.end_overlap(session text, token_id bigint) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_end_overlap' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.end_overlap(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION mirox.end_overlap(text, bigint) IS
    'Ends at once the secret that a rotation left in force for a while; false when there was none';

-- ---- what a page shows -------------------------------------------------------------------------------------------------

CREATE TYPE mirox.listed_group AS (name text, description text, permissions mirox.scopes);
GRANT USAGE ON TYPE mirox.listed_group TO PUBLIC;
COMMENT ON TYPE mirox.listed_group IS 'A row of list_groups. permissions: what a token of that group would reach for this owner';
CREATE FUNCTION mirox.list_groups(session text) RETURNS SETOF mirox.listed_group
    AS 'MODULE_PATHNAME', 'mirox_list_groups' LANGUAGE C VOLATILE ROWS 4;
REVOKE ALL ON FUNCTION mirox.list_groups(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.list_groups(text) IS 'The permission groups, the built-in ones first, and what a token of each would reach';

-- Columns are added at the end.
CREATE TYPE mirox.listed_token AS (
    place integer, token_id bigint, name text, hint text, permission_group text, permissions mirox.scopes, allowed_ips cidr[],
    status text, created_at timestamptz, rotated_at timestamptz, expires_at timestamptz, days_left integer,
    last_used_at timestamptz, last_ip inet, last_location text, last_browser text, last_os text, uses bigint, refusals bigint,
    metadata jsonb, suspended_at timestamptz, suspend_reason text, overlap_ends_at timestamptz, previous_uses bigint,
    previous_refusals bigint, previous_last_used_at timestamptz, previous_last_ip inet, revoked_at timestamptz, revoke_reason text,
    own_permissions mirox.scopes, format text, rate_limit integer, burst integer
);
GRANT USAGE ON TYPE mirox.listed_token TO PUBLIC;
COMMENT ON TYPE mirox.listed_token IS
    'A row of list_tokens. status: active, expiring (within mirox_tokens.expiry_notice), suspended, expired or revoked; permissions: '
    'effective now, own_permissions: what the token was narrowed to, NULL: it was not; days_left: whole days; uses, refusals, '
    'last_...: of the current secret, previous_...: of the one before the last rotation; overlap_ends_at: until when that one still '
    'works; rate_limit, burst: the token''s own limit, NULL: none';
CREATE FUNCTION mirox.list_tokens(session text, revoked boolean DEFAULT false) RETURNS SETOF mirox.listed_token
    AS 'MODULE_PATHNAME', 'mirox_list_tokens' LANGUAGE C VOLATILE ROWS 16;
REVOKE ALL ON FUNCTION mirox.list_tokens(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION mirox.list_tokens(text, boolean) IS
    'The owner''s unrevoked tokens by place, with their newest recorded use; revoked => true: the revoked ones after them, the '
    'newest revocation first';

-- Columns are added at the end.
CREATE TYPE mirox.token_use AS (
    first_at timestamptz, last_at timestamptz, status integer, reason text, requests bigint, ip inet, location text, browser text,
    os text, user_agent text, scope text, generation integer, method text, endpoint text, country text, region text, city text,
    latitude double precision, longitude double precision
);
GRANT USAGE ON TYPE mirox.token_use TO PUBLIC;
COMMENT ON TYPE mirox.token_use IS
    'A row of token_history: requests of one minute, caller, endpoint and outcome. generation: how often the token had been issued and '
    'rotated, which tells the current secret from the one before';
CREATE FUNCTION mirox.token_history(
    session text, token_id bigint, since timestamptz DEFAULT NULL, max_rows integer DEFAULT 100) RETURNS SETOF mirox.token_use
    AS 'MODULE_PATHNAME', 'mirox_token_history' LANGUAGE C VOLATILE ROWS 100;
REVOKE ALL ON FUNCTION mirox.token_history(text, bigint, timestamptz, integer) FROM PUBLIC;
COMMENT ON FUNCTION mirox.token_history(text, bigint, timestamptz, integer) IS
    'When and how one of the owner''s tokens was used since it was issued or last rotated, by its current secret and by the one '
    'before: by minute, newest first. since: only uses at or after that time; max_rows NULL: all. Errors: P0002 the owner has no such '
    'token; 22023 max_rows is negative';

CREATE FUNCTION mirox_internal.token_status(
    revoked_at timestamptz, expires_at timestamptz, now timestamptz, suspended_at timestamptz DEFAULT NULL,
    locked_at timestamptz DEFAULT NULL) RETURNS text
    AS 'MODULE_PATHNAME', 'mirox_token_status' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.token_status(timestamptz, timestamptz, timestamptz, timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.token_status(timestamptz, timestamptz, timestamptz, timestamptz, timestamptz) IS
    'Internal: active, expiring (within mirox_tokens.expiry_notice), suspended, locked, expired or revoked';
CREATE FUNCTION mirox_internal.days_until(instant timestamptz, now timestamptz) RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_days_until' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.days_until(timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.days_until(timestamptz, timestamptz) IS 'Internal: whole days from now until the instant, 0 when past';

-- Neither immutable nor parallel safe: the result depends on the identity of the transaction.
CREATE FUNCTION mirox.reveal(secret mirox.secret) RETURNS text
    AS 'MODULE_PATHNAME', 'mirox_reveal' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION mirox.reveal(mirox.secret) FROM PUBLIC;
COMMENT ON FUNCTION mirox.reveal(mirox.secret) IS 'The plaintext of a value of type secret';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.issue_token(text,text,text,timestamptz,interval,text[],inet[],text,jsonb,text,integer)', 'function', 'application'),
    ('mirox.rotate_token(text,bigint,interval,text)', 'function', 'application'),
    ('mirox.revoke_token(text,bigint,text)', 'function', 'application'),
    ('mirox.revoke_all_tokens(text,text,boolean)', 'function', 'application'),
    ('mirox.revoke_expired_tokens(text)', 'function', 'application'),
    ('mirox.revoke_self(text,text)', 'function', 'gateway'),
    ('mirox.revoke_any_token(bigint,text)', 'function', 'admin'),
    ('mirox.rename_token(text,bigint,text)', 'function', 'application'),
    ('mirox.set_token_permissions(text,bigint,text[])', 'function', 'application'),
    ('mirox.set_token_networks(text,bigint,inet[])', 'function', 'application'),
    ('mirox.set_token_expiration(text,bigint,timestamptz,interval)', 'function', 'application'),
    ('mirox.set_token_metadata(text,bigint,jsonb)', 'function', 'application'),
    ('mirox.set_token_rate_limit(text,bigint,integer,integer)', 'function', 'application'),
    ('mirox.suspend_token(text,bigint,text)', 'function', 'application'),
    ('mirox.resume_token(text,bigint)', 'function', 'application'),
    ('mirox.end_overlap(text,bigint)', 'function', 'application'),
    ('mirox.list_groups(text)', 'function', 'application'),
    ('mirox.list_tokens(text,boolean)', 'function', 'application'),
    ('mirox.token_history(text,bigint,timestamp with time zone,integer)', 'function', 'application'),
    ('mirox.reveal(mirox.secret)', 'function', 'application');
