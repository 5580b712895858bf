-- Accounts and sessions.

CREATE FUNCTION mirox.put_account(user_id text, permissions text[], rate_limit integer DEFAULT NULL,
                                  burst integer DEFAULT NULL) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_put_account' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.put_account(text, text[], integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION mirox.put_account(text, text[], integer, integer) IS
    'Registers an account or changes it. rate_limit: requests a minute, burst: requests at once; NULL: the configured '
    'defaults. A permission that the owner loses here is lost by every token of the owner at its next check';

CREATE FUNCTION mirox.lock_account(user_id text, reason text DEFAULT NULL) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_lock_account' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.lock_account(text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.lock_account(text, text) IS
    'Refuses the account''s tokens and sessions (401) at once; returns when it was first locked. P0002: no such account';

CREATE FUNCTION mirox.unlock_account(user_id text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_unlock_account' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.unlock_account(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.unlock_account(text) IS
    'Unlocks an account, so that its tokens and sessions work again; false when it was not locked. P0002: no such account';

CREATE FUNCTION mirox.delete_account(user_id text) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_delete_account' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.delete_account(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.delete_account(text) IS
    'Revokes the account''s tokens, closes its sessions, then deletes the account; the audit log stays. False when there was no '
    'account';

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

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.put_account(text,text[],integer,integer)', 'function', 'login'),
    ('mirox.lock_account(text,text)', 'function', 'admin'),
    ('mirox.unlock_account(text)', 'function', 'admin'),
    ('mirox.delete_account(text)', 'function', 'admin'),
    ('mirox.open_session(text,interval,inet,text)', 'function', 'login'),
    ('mirox.close_session(text)', 'function', 'login');
