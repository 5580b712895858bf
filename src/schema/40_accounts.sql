-- Accounts and sessions.

CREATE FUNCTION mirox.put_account(user_id text, permissions text[], rate_limit integer DEFAULT NULL,
                                  burst integer DEFAULT NULL) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_put_account' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.put_account(text, text[], integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION mirox.put_account(text, text[], integer, integer) IS
    'Registers an account or changes it. rate_limit: requests a minute, burst: requests at once; NULL leaves what the account '
    'has, the configured default at first. A permission that the owner loses here is lost by every token of the owner at its '
    'next check';

CREATE FUNCTION mirox.set_rate_limit(user_id text, rate_limit integer, burst integer) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_set_rate_limit' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.set_rate_limit(text, integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION mirox.set_rate_limit(text, integer, integer) IS
    'Sets an account''s limits: requests a minute, and requests at once after a pause; NULL is the configured default again. '
    'P0002: no such account';

CREATE FUNCTION mirox.lock_account(user_id text, reason text DEFAULT NULL) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_lock_account' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.lock_account(text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.lock_account(text, text) IS
    'Refuses the account''s tokens (401) and closes its sessions at once; returns when it was first locked. P0002: no such '
    'account';

CREATE FUNCTION mirox.unlock_account(user_id text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_unlock_account' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.unlock_account(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.unlock_account(text) IS
    'Unlocks an account, so that its tokens work again; its sessions stay closed. False when it was not locked. P0002: no such '
    'account';

CREATE FUNCTION mirox.delete_account(user_id text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_delete_account' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.delete_account(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.delete_account(text) IS
    'Revokes the account''s tokens, closes its sessions, then deletes the account; the audit log stays. False when there was no '
    'account';

CREATE FUNCTION mirox.erase_traces(user_id text, until timestamptz DEFAULT NULL) RETURNS bigint
    AS 'MODULE_PATHNAME', 'mirox_erase_traces' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.erase_traces(text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION mirox.erase_traces(text, timestamptz) IS
    'Takes addresses, agents and places out of a user''s usage, sessions and audit rows before until (NULL: now), and of a deleted '
    'account all of them, and the user id; counts stay. The worker does it in steps: returns the erasure_id by which mirox.erasures '
    'tells when it is finished. P0002: no account ever had this user id';

CREATE FUNCTION mirox.open_session(user_id text, lifetime interval DEFAULT '12 hours', client_ip inet DEFAULT NULL,
                                   user_agent text DEFAULT NULL) RETURNS text
    AS 'MODULE_PATHNAME', 'mirox_open_session' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.open_session(text, interval, inet, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.open_session(text, interval, inet, text) IS
    'Opens a web session for a logged-in user; returns its secret, which is shown only once. P0002: no such account; 28000: '
    'locked';

CREATE FUNCTION mirox.close_session(session text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_close_session' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.close_session(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.close_session(text) IS
    'Closes a session; false when it was not open (so that logging out twice is no error)';

CREATE FUNCTION mirox.close_sessions(user_id text, reason text DEFAULT NULL) RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_close_sessions' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.close_sessions(text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.close_sessions(text, text) IS
    'Closes all open sessions of an account, as after a change of its password; returns how many. P0002: no such account';

CREATE FUNCTION mirox.revoke_tokens(user_id text, reason text DEFAULT NULL) RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_revoke_tokens' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.revoke_tokens(text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.revoke_tokens(text, text) IS
    'Revokes all tokens of an account, without a session; returns how many. P0002: no such account';

-- ---- the owner's own ---------------------------------------------------------------------------------------------------

CREATE TYPE mirox.own_account AS (
    user_id text, permissions mirox.scopes, tokens integer, places_free integer, max_tokens integer, default_lifetime interval,
    max_lifetime interval, rate_limit integer, burst integer, remaining integer, session_id bigint, session_expires_at timestamptz
);
GRANT USAGE ON TYPE mirox.own_account TO PUBLIC;
COMMENT ON TYPE mirox.own_account IS
    'What my_account returns. default_lifetime, max_lifetime, max_tokens: the settings in force; rate_limit, burst: the account''s '
    'or the configured ones; remaining: how many requests would be admitted now';
CREATE FUNCTION mirox.my_account(session text) RETURNS mirox.own_account
    AS 'MODULE_PATHNAME', 'mirox_my_account' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.my_account(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.my_account(text) IS
    'What a form on the profile page needs to know of the account: permissions, places, lifetimes, rate limit, the session''s end';

CREATE TYPE mirox.listed_session AS (
    session_id bigint, current boolean, opened_at timestamptz, expires_at timestamptz, client_ip inet, user_agent text
);
GRANT USAGE ON TYPE mirox.listed_session TO PUBLIC;
COMMENT ON TYPE mirox.listed_session IS 'A row of list_sessions. current: the session whose secret was given';
CREATE FUNCTION mirox.list_sessions(session text) RETURNS SETOF mirox.listed_session
    AS 'MODULE_PATHNAME', 'mirox_list_sessions' LANGUAGE C VOLATILE ROWS 4;
REVOKE ALL ON FUNCTION mirox.list_sessions(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.list_sessions(text) IS 'The account''s open sessions, the newest first';

CREATE FUNCTION mirox.close_session(session text, session_id bigint) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_close_session_by_id' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.close_session(text, bigint) FROM PUBLIC;
COMMENT ON FUNCTION mirox.close_session(text, bigint) IS
    'Closes another session of the same account; false when the account has no open session of this id';

CREATE FUNCTION mirox.close_other_sessions(session text) RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_close_other_sessions' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.close_other_sessions(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.close_other_sessions(text) IS 'Closes all sessions of the account but this one; returns how many';

CREATE TYPE mirox.logged_act AS (
    at timestamptz, event text, token_id bigint, token_name text, session_id bigint, by_session_id bigint, ip inet, user_agent text,
    detail jsonb
);
GRANT USAGE ON TYPE mirox.logged_act TO PUBLIC;
COMMENT ON TYPE mirox.logged_act IS
    'A row of account_log. token_id, session_id: what the act was about; by_session_id, ip, user_agent: the session by whose secret '
    'it was done, NULL: by none; detail: what the row had, or {"column": {"from": ..., "to": ...}}';
CREATE FUNCTION mirox.account_log(session text, since timestamptz DEFAULT NULL, max_rows integer DEFAULT 100)
    RETURNS SETOF mirox.logged_act
    AS 'MODULE_PATHNAME', 'mirox_account_log' LANGUAGE C VOLATILE ROWS 100;
REVOKE ALL ON FUNCTION mirox.account_log(text, timestamptz, integer) FROM PUBLIC;
COMMENT ON FUNCTION mirox.account_log(text, timestamptz, integer) IS
    'The acts on the account, its tokens and its sessions, the newest first, whoever did them. since: only acts at or after that '
    'time; max_rows NULL: all';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.put_account(text,text[],integer,integer)', 'function', 'login'),
    ('mirox.set_rate_limit(text,integer,integer)', 'function', 'login'),
    ('mirox.lock_account(text,text)', 'function', 'admin'),
    ('mirox.unlock_account(text)', 'function', 'admin'),
    ('mirox.delete_account(text)', 'function', 'admin'),
    ('mirox.erase_traces(text,timestamp with time zone)', 'function', 'admin'),
    ('mirox.open_session(text,interval,inet,text)', 'function', 'login'),
    ('mirox.close_session(text)', 'function', 'login'),
    ('mirox.close_sessions(text,text)', 'function', 'login'),
    ('mirox.revoke_tokens(text,text)', 'function', 'admin'),
    ('mirox.my_account(text)', 'function', 'application'),
    ('mirox.list_sessions(text)', 'function', 'application'),
    ('mirox.close_session(text,bigint)', 'function', 'application'),
    ('mirox.close_other_sessions(text)', 'function', 'application'),
    ('mirox.account_log(text,timestamptz,integer)', 'function', 'application');
