-- Management of tokens: each function takes a web session's secret first.

CREATE TYPE mirox.issued_token AS (
    token_id bigint, secret text, name text, permission_group text, place integer, expires_at timestamptz,
    created_at timestamptz
);
GRANT USAGE ON TYPE mirox.issued_token TO PUBLIC;
COMMENT ON TYPE mirox.issued_token IS 'The result of issuing and rotating a token; the only time that the secret is shown';

CREATE FUNCTION mirox.issue_token(
    session text, name text, permission_group text, expires_at timestamptz DEFAULT NULL,
    expires_in interval DEFAULT NULL, permissions text[] DEFAULT NULL, allowed_ips cidr[] DEFAULT NULL,
    format text DEFAULT 'opaque', metadata jsonb DEFAULT '{}', idempotency_key text DEFAULT NULL) RETURNS mirox.issued_token
    AS 'MODULE_PATHNAME', 'mirox_issue_token' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.issue_token(text, text, text, timestamptz, interval, text[], cidr[], text, jsonb, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.issue_token(text, text, text, timestamptz, interval, text[], cidr[], text, jsonb, text) IS
    'Issues a token for the session''s owner. Lives until expires_at or for expires_in (mirox_tokens.default_lifetime '
    'when neither is given), both in UTC. permissions narrows it, allowed_ips limits where it works. format: opaque, '
    'or jwt (which needs mirox_tokens.jwt_key_file, else 55000). idempotency_key: a repeated call of the session within a day '
    'issues no second token and returns the first one, with secret NULL. Errors: 28000 no open '
    'session, 42501 a token instead of a session or permissions that the owner or the group does not have, 54000 the '
    'owner''s places are full, 22023 a bad argument';

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

CREATE FUNCTION mirox.revoke_all_tokens(session text, reason text DEFAULT NULL) RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_revoke_all_tokens' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.revoke_all_tokens(text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.revoke_all_tokens(text, text) IS 'Revokes every token of the owner; returns how many';

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

CREATE FUNCTION mirox.list_tokens(
    session text,
    OUT place integer, OUT token_id bigint, OUT name text, OUT hint text, OUT permission_group text,
    OUT permissions mirox.scopes, OUT allowed_ips cidr[], OUT status text, OUT created_at timestamptz,
    OUT rotated_at timestamptz, OUT expires_at timestamptz, OUT days_left integer, OUT last_used_at timestamptz,
    OUT last_ip inet, OUT last_location text, OUT last_browser text, OUT last_os text, OUT uses bigint,
    OUT refusals bigint, OUT metadata jsonb) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'mirox_list_tokens' LANGUAGE C VOLATILE ROWS 16;
REVOKE ALL ON FUNCTION mirox.list_tokens(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.list_tokens(text) IS
    'The owner''s unrevoked tokens by place, with their newest recorded use. status: active, expiring (within '
    'mirox_tokens.expiry_notice), expired. permissions: effective now; days_left: whole days';

CREATE FUNCTION mirox.token_history(
    session text, token_id bigint, since timestamptz DEFAULT NULL,
    OUT first_at timestamptz, OUT last_at timestamptz, OUT status integer, OUT reason text, OUT requests bigint, OUT ip inet,
    OUT location text, OUT browser text, OUT os text, OUT user_agent text, OUT scope text) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'mirox_token_history' LANGUAGE C VOLATILE ROWS 100;
REVOKE ALL ON FUNCTION mirox.token_history(text, bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION mirox.token_history(text, bigint, timestamptz) IS
    'When and how one of the owner''s tokens was used since it was issued or last rotated: by minute, newest first. since: '
    'only uses at or after that time. P0002: the owner has no such token';

CREATE FUNCTION mirox_internal.token_status(revoked_at timestamptz, expires_at timestamptz, now timestamptz) RETURNS text
    AS 'MODULE_PATHNAME', 'mirox_token_status' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.token_status(timestamptz, timestamptz, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.token_status(timestamptz, timestamptz, timestamptz) IS
    'Internal: active, expiring (within mirox_tokens.expiry_notice), expired or revoked';
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
    ('mirox.issue_token(text,text,text,timestamptz,interval,text[],cidr[],text,jsonb,text)', 'function', 'application'),
    ('mirox.rotate_token(text,bigint,interval,text)', 'function', 'application'),
    ('mirox.revoke_token(text,bigint,text)', 'function', 'application'),
    ('mirox.revoke_all_tokens(text,text)', 'function', 'application'),
    ('mirox.revoke_expired_tokens(text)', 'function', 'application'),
    ('mirox.revoke_self(text,text)', 'function', 'gateway'),
    ('mirox.revoke_any_token(bigint,text)', 'function', 'admin'),
    ('mirox.rename_token(text,bigint,text)', 'function', 'application'),
    ('mirox.list_tokens(text)', 'function', 'application'),
    ('mirox.token_history(text,bigint,timestamp with time zone)', 'function', 'application'),
    ('mirox.reveal(mirox.secret)', 'function', 'application');
