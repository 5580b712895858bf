-- What an administrator sets and may look up: accounts, sessions, permission groups and endpoint rules as they stand (level admin).
-- Who has which level is in the view access. None shows a digest. A view reads the tables as the extension's owner.

CREATE VIEW mirox.accounts AS
    SELECT a.account_id, a.user_id, a.permissions, a.rate_limit::integer AS rate_limit, a.burst::integer AS burst, a.locked_at,
           a.lock_reason, a.created_at, s.account_id IS NOT NULL AS service
    FROM mirox_internal.account a LEFT JOIN mirox_internal.service_account s ON s.account_id = a.account_id;
REVOKE ALL ON TABLE mirox.accounts FROM PUBLIC;
COMMENT ON VIEW mirox.accounts IS 'A row for each account, as put_account and lock_account set it';
COMMENT ON COLUMN mirox.accounts.account_id IS 'The account''s number, which stays when the user is renamed';
COMMENT ON COLUMN mirox.accounts.user_id IS 'The owner, as the platform names the user';
COMMENT ON COLUMN mirox.accounts.permissions IS 'The owner''s permissions; no token of the owner has more';
COMMENT ON COLUMN mirox.accounts.rate_limit IS 'Requests a minute; NULL: mirox_tokens.rate_limit';
COMMENT ON COLUMN mirox.accounts.burst IS 'Requests at once after a pause; NULL: mirox_tokens.rate_burst';
COMMENT ON COLUMN mirox.accounts.locked_at IS 'When the account was locked; NULL: it is not';
COMMENT ON COLUMN mirox.accounts.lock_reason IS 'Why it was locked';
COMMENT ON COLUMN mirox.accounts.created_at IS 'When the account was registered';
COMMENT ON COLUMN mirox.accounts.service IS 'Whether it is a program''s: no session, and tokens by an administrator';

CREATE VIEW mirox.sessions AS
    SELECT s.session_id, s.account_id, a.user_id,
           CASE WHEN s.closed_at IS NOT NULL THEN 'closed'
                WHEN s.expires_at <= pg_catalog.statement_timestamp() THEN 'expired'
                WHEN a.locked_at IS NOT NULL THEN 'locked'
                ELSE 'open' END AS status,
           s.opened_at, s.expires_at::timestamptz AS expires_at, s.closed_at, s.client_ip, s.user_agent
    FROM mirox_internal.session s LEFT JOIN mirox_internal.account a ON a.account_id = s.account_id;
REVOKE ALL ON TABLE mirox.sessions FROM PUBLIC;
COMMENT ON VIEW mirox.sessions IS 'A row for each web session; one that ended is kept for 30 days';
COMMENT ON COLUMN mirox.sessions.session_id IS 'The session''s id';
COMMENT ON COLUMN mirox.sessions.account_id IS 'The account''s number';
COMMENT ON COLUMN mirox.sessions.user_id IS 'The owner, as the platform names the user';
COMMENT ON COLUMN mirox.sessions.status IS 'open, closed, expired, or locked (its account is)';
COMMENT ON COLUMN mirox.sessions.opened_at IS 'When it was opened';
COMMENT ON COLUMN mirox.sessions.expires_at IS 'When it ends unless it is closed before';
COMMENT ON COLUMN mirox.sessions.closed_at IS 'When it was closed; NULL: it was not';
COMMENT ON COLUMN mirox.sessions.client_ip IS 'The address at log-in; NULL: not given';
COMMENT ON COLUMN mirox.sessions.user_agent IS 'The user agent at log-in; NULL: not given';

CREATE VIEW mirox.erasures AS
    SELECT e.erasure_id, e.account_id, n.user_id, e.until, e.requested_at, e.rows, e.finished_at
    FROM mirox_internal.erasure e LEFT JOIN mirox_internal.account_name n ON n.account_id = e.account_id;
REVOKE ALL ON TABLE mirox.erasures FROM PUBLIC;
COMMENT ON VIEW mirox.erasures IS 'A row for each account that a call of erase_traces found';
COMMENT ON COLUMN mirox.erasures.erasure_id IS 'What erase_traces returned; former accounts of the same user id have a row each';
COMMENT ON COLUMN mirox.erasures.account_id IS 'The account''s number';
COMMENT ON COLUMN mirox.erasures.user_id IS 'The owner, as the platform names the user; NULL: the account was deleted';
COMMENT ON COLUMN mirox.erasures.until IS 'Traces before this time are taken out';
COMMENT ON COLUMN mirox.erasures.requested_at IS 'When erase_traces was called';
COMMENT ON COLUMN mirox.erasures.rows IS 'How many rows the worker has changed so far';
COMMENT ON COLUMN mirox.erasures.finished_at IS 'When all was taken out; NULL: the worker is not through yet';

CREATE VIEW mirox.groups AS
    SELECT g.group_id, g.name, g.permissions, g.description, g.builtin, p.max_lifetime, p.unused_after, p.on_reuse
    FROM mirox_internal.permission_group g LEFT JOIN mirox_internal.group_policy p ON p.group_id = g.group_id;
REVOKE ALL ON TABLE mirox.groups FROM PUBLIC;
COMMENT ON VIEW mirox.groups IS 'A row for each permission group, as put_group and set_group_policy set it';
COMMENT ON COLUMN mirox.groups.group_id IS 'The group''s number';
COMMENT ON COLUMN mirox.groups.name IS 'The group''s name';
COMMENT ON COLUMN mirox.groups.permissions IS 'What tokens of the group may reach at most; the owner''s permissions limit them too';
COMMENT ON COLUMN mirox.groups.description IS 'What the group is for';
COMMENT ON COLUMN mirox.groups.builtin IS 'Whether it is one of the three that cannot be changed or dropped';
COMMENT ON COLUMN mirox.groups.max_lifetime IS 'The longest lifetime of a token issued or rotated now; NULL: mirox_tokens.max_lifetime';
COMMENT ON COLUMN mirox.groups.unused_after IS 'A token that was not used for so long is revoked; NULL: no token is';
COMMENT ON COLUMN mirox.groups.on_reuse IS 'What follows when a rotated secret is used; NULL: mirox_tokens.on_reuse';

CREATE VIEW mirox.endpoints AS
    SELECT e.method, e.path, e.scope, e.public
    FROM mirox_internal.endpoint e;
REVOKE ALL ON TABLE mirox.endpoints FROM PUBLIC;
COMMENT ON VIEW mirox.endpoints IS 'A row for each endpoint rule, as put_endpoint, put_public_endpoint and put_endpoints set it';
COMMENT ON COLUMN mirox.endpoints.method IS 'The method; *: every method';
COMMENT ON COLUMN mirox.endpoints.path IS 'The path; * stands for one segment, ** at the end for the rest';
COMMENT ON COLUMN mirox.endpoints.scope IS 'The scope that a request needs; NULL: any token or session in force, or nothing where public';
COMMENT ON COLUMN mirox.endpoints.public IS 'Whether a request without credentials is admitted';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.accounts', 'relation', 'admin'),
    ('mirox.sessions', 'relation', 'admin'),
    ('mirox.erasures', 'relation', 'admin'),
    ('mirox.groups', 'relation', 'admin'),
    ('mirox.endpoints', 'relation', 'admin');
