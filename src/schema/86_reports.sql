-- Views for reporting tools (level reporting). None shows a digest. A view reads the tables as the extension's owner. The
-- functions in it run as the reader, so the level has them too.
--
-- token_report and the views that build on it also show uses that are in shared memory and not drained yet. No view sorts or
-- aggregates the use of all time, so one page of any comes at once.

CREATE FUNCTION mirox_internal.expiry_horizon() RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_expiry_horizon' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.expiry_horizon() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.expiry_horizon() IS 'Internal: tokens that expire before this count as expiring (mirox_tokens.expiry_notice from now)';
CREATE FUNCTION mirox_internal.places() RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_places' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.places() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.places() IS 'Internal: how many tokens an account may hold (mirox_tokens.max_tokens_per_account)';

-- ---- tokens ------------------------------------------------------------------------------------------------------------

CREATE VIEW mirox.token_report AS
    SELECT
        t.token_id,
        a.user_id,
        t.name,
        g.name AS permission_group,
        mirox_internal.compile_permissions(g.permissions, mirox_internal.compile_permissions(a.permissions, t.permissions)) AS permissions,
        t.place::integer AS place,
        mirox_internal.token_status(t.revoked_at, t.expires_at, pg_catalog.statement_timestamp()) AS status,
        t.created_at,
        t.rotated_at,
        t.expires_at::timestamptz AS expires_at,  -- the domain's base type, which anyone may put in a table
        u.last_used_at, u.last_ip, u.last_location, u.last_browser, u.last_os, u.uses, u.refusals, u.last_refused_at,
        t.hint,
        t.allowed_ips::cidr[] AS allowed_ips,
        t.revoked_at,
        t.revoke_reason,
        t.metadata::jsonb AS metadata
    FROM mirox_internal.token t
    JOIN mirox_internal.account a ON a.account_id = t.account_id
    JOIN mirox_internal.permission_group g ON g.group_id = t.group_id
    LEFT JOIN mirox_internal.token_usage c ON c.token_id = t.token_id AND c.generation = t.generation
    LEFT JOIN mirox_internal.open_token o ON o.token_id = t.token_id AND o.generation = t.generation
    LEFT JOIN (mirox_internal.pending_uses((SELECT d."position" FROM mirox_internal.drained d)) p
               LEFT JOIN LATERAL (SELECT x.browser, x.os FROM mirox_internal.agent x WHERE x.key = p.agent_key LIMIT 1) x ON true)
        ON p.token_id = t.token_id AND p.generation = t.generation
    CROSS JOIN LATERAL mirox_internal.whole_use(
        c.uses, c.refusals, c.last_used_at, c.last_refused_at, c.last_ip, c.last_location, c.last_browser, c.last_os,
        o.uses, o.refusals, o.last_used_at, o.last_refused_at, o.last_ip, o.last_location, o.last_browser, o.last_os,
        p.uses, p.refusals, p.last_used_at, p.last_refused_at, p.last_ip, x.browser, x.os) u;
REVOKE ALL ON TABLE mirox.token_report FROM PUBLIC;
COMMENT ON VIEW mirox.token_report IS 'A row for each token, with its use since it was issued or last rotated';
COMMENT ON COLUMN mirox.token_report.token_id IS 'The token''s id';
COMMENT ON COLUMN mirox.token_report.user_id IS 'The owner, as the platform names the user';
COMMENT ON COLUMN mirox.token_report.name IS 'The token''s name';
COMMENT ON COLUMN mirox.token_report.permission_group IS 'The token''s permission group';
COMMENT ON COLUMN mirox.token_report.permissions IS 'What the token may reach now: the owner''s, the group''s and its own permissions';
COMMENT ON COLUMN mirox.token_report.place IS 'Its place in the owner''s list';
COMMENT ON COLUMN mirox.token_report.status IS 'active, expiring (within mirox_tokens.expiry_notice), expired or revoked';
COMMENT ON COLUMN mirox.token_report.created_at IS 'When it was issued';
COMMENT ON COLUMN mirox.token_report.rotated_at IS 'When it was last rotated; NULL: never';
COMMENT ON COLUMN mirox.token_report.expires_at IS 'When it stops working';
COMMENT ON COLUMN mirox.token_report.last_used_at IS 'When it was last admitted, since it was issued or last rotated';
COMMENT ON COLUMN mirox.token_report.last_ip IS 'The address of the last use';
COMMENT ON COLUMN mirox.token_report.last_location IS 'The location of that address, by mirox_tokens.geoip_database';
COMMENT ON COLUMN mirox.token_report.last_browser IS 'The browser or program of the last use';
COMMENT ON COLUMN mirox.token_report.last_os IS 'The operating system of the last use';
COMMENT ON COLUMN mirox.token_report.uses IS 'How often it was admitted, since it was issued or last rotated';
COMMENT ON COLUMN mirox.token_report.refusals IS 'How often it was refused, since it was issued or last rotated';
COMMENT ON COLUMN mirox.token_report.last_refused_at IS 'When it was last refused';
COMMENT ON COLUMN mirox.token_report.hint IS 'The redacted form of the current secret';
COMMENT ON COLUMN mirox.token_report.allowed_ips IS 'The networks it works from; NULL: all';
COMMENT ON COLUMN mirox.token_report.revoked_at IS 'When it was revoked; NULL: it was not';
COMMENT ON COLUMN mirox.token_report.revoke_reason IS 'Why it was revoked';
COMMENT ON COLUMN mirox.token_report.metadata IS 'Metadata of the application';

CREATE VIEW mirox.expiring_tokens AS
    SELECT r.token_id, r.user_id, r.name, r.permission_group, r.permissions, r.place, r.status, r.created_at, r.rotated_at,
           r.expires_at, r.last_used_at, r.last_ip, r.last_location, r.last_browser, r.last_os, r.uses, r.refusals,
           mirox_internal.days_until(r.expires_at, pg_catalog.statement_timestamp()) AS days_left
    FROM mirox.token_report r
    WHERE r.revoked_at IS NULL AND r.expires_at > pg_catalog.statement_timestamp()
      AND r.expires_at <= mirox_internal.expiry_horizon()
      -- A token expires with its current secret, whose index finds the rows to look at.
      AND r.token_id IN (SELECT s.token_id FROM mirox_internal.token_secret s
                         WHERE s.expires_at > pg_catalog.statement_timestamp() AND s.expires_at <= mirox_internal.expiry_horizon());
REVOKE ALL ON TABLE mirox.expiring_tokens FROM PUBLIC;
COMMENT ON VIEW mirox.expiring_tokens IS 'A row for each token in force that expires within mirox_tokens.expiry_notice';
COMMENT ON COLUMN mirox.expiring_tokens.token_id IS 'The token''s id';
COMMENT ON COLUMN mirox.expiring_tokens.user_id IS 'The owner, as the platform names the user';
COMMENT ON COLUMN mirox.expiring_tokens.name IS 'The token''s name';
COMMENT ON COLUMN mirox.expiring_tokens.permission_group IS 'The token''s permission group';
COMMENT ON COLUMN mirox.expiring_tokens.permissions IS 'What the token may reach now: the owner''s, the group''s and its own permissions';
COMMENT ON COLUMN mirox.expiring_tokens.place IS 'Its place in the owner''s list';
COMMENT ON COLUMN mirox.expiring_tokens.status IS 'active, expiring (within mirox_tokens.expiry_notice), expired or revoked';
COMMENT ON COLUMN mirox.expiring_tokens.created_at IS 'When it was issued';
COMMENT ON COLUMN mirox.expiring_tokens.rotated_at IS 'When it was last rotated; NULL: never';
COMMENT ON COLUMN mirox.expiring_tokens.expires_at IS 'When it stops working';
COMMENT ON COLUMN mirox.expiring_tokens.last_used_at IS 'When it was last admitted, since it was issued or last rotated';
COMMENT ON COLUMN mirox.expiring_tokens.last_ip IS 'The address of the last use';
COMMENT ON COLUMN mirox.expiring_tokens.last_location IS 'The location of that address, by mirox_tokens.geoip_database';
COMMENT ON COLUMN mirox.expiring_tokens.last_browser IS 'The browser or program of the last use';
COMMENT ON COLUMN mirox.expiring_tokens.last_os IS 'The operating system of the last use';
COMMENT ON COLUMN mirox.expiring_tokens.uses IS 'How often it was admitted, since it was issued or last rotated';
COMMENT ON COLUMN mirox.expiring_tokens.refusals IS 'How often it was refused, since it was issued or last rotated';
COMMENT ON COLUMN mirox.expiring_tokens.days_left IS 'Whole days until it expires';

CREATE VIEW mirox.unused_tokens AS
    SELECT r.token_id, r.user_id, r.name, r.permission_group, r.permissions, r.place, r.status, r.created_at, r.rotated_at,
           r.expires_at, r.last_used_at, r.last_ip, r.last_location, r.last_browser, r.last_os, r.uses, r.refusals,
           mirox_internal.days_until(pg_catalog.statement_timestamp(), COALESCE(r.last_used_at, r.rotated_at, r.created_at))
               AS days_unused
    FROM mirox.token_report r
    WHERE r.revoked_at IS NULL AND r.expires_at > pg_catalog.statement_timestamp()
      AND r.created_at < pg_catalog.statement_timestamp() - INTERVAL '90 days'
      AND COALESCE(r.last_used_at, r.rotated_at, r.created_at) < pg_catalog.statement_timestamp() - INTERVAL '90 days';
REVOKE ALL ON TABLE mirox.unused_tokens FROM PUBLIC;
COMMENT ON VIEW mirox.unused_tokens IS
    'A row for each token in force that has not been used for 90 days (nor issued or rotated in them)';
COMMENT ON COLUMN mirox.unused_tokens.token_id IS 'The token''s id';
COMMENT ON COLUMN mirox.unused_tokens.user_id IS 'The owner, as the platform names the user';
COMMENT ON COLUMN mirox.unused_tokens.name IS 'The token''s name';
COMMENT ON COLUMN mirox.unused_tokens.permission_group IS 'The token''s permission group';
COMMENT ON COLUMN mirox.unused_tokens.permissions IS 'What the token may reach now: the owner''s, the group''s and its own permissions';
COMMENT ON COLUMN mirox.unused_tokens.place IS 'Its place in the owner''s list';
COMMENT ON COLUMN mirox.unused_tokens.status IS 'active, expiring (within mirox_tokens.expiry_notice), expired or revoked';
COMMENT ON COLUMN mirox.unused_tokens.created_at IS 'When it was issued';
COMMENT ON COLUMN mirox.unused_tokens.rotated_at IS 'When it was last rotated; NULL: never';
COMMENT ON COLUMN mirox.unused_tokens.expires_at IS 'When it stops working';
COMMENT ON COLUMN mirox.unused_tokens.last_used_at IS 'When it was last admitted, since it was issued or last rotated';
COMMENT ON COLUMN mirox.unused_tokens.last_ip IS 'The address of the last use';
COMMENT ON COLUMN mirox.unused_tokens.last_location IS 'The location of that address, by mirox_tokens.geoip_database';
COMMENT ON COLUMN mirox.unused_tokens.last_browser IS 'The browser or program of the last use';
COMMENT ON COLUMN mirox.unused_tokens.last_os IS 'The operating system of the last use';
COMMENT ON COLUMN mirox.unused_tokens.uses IS 'How often it was admitted, since it was issued or last rotated';
COMMENT ON COLUMN mirox.unused_tokens.refusals IS 'How often it was refused, since it was issued or last rotated';
COMMENT ON COLUMN mirox.unused_tokens.days_unused IS 'Whole days since its last use (or since it was issued or rotated)';

CREATE VIEW mirox.account_report AS
    SELECT a.user_id, a.locked_at IS NOT NULL AS locked, n.tokens, n.tokens_expiring, n.tokens_expired,
           GREATEST(mirox_internal.places() - n.tokens, 0) AS places_free, GREATEST(n.last_used_at, p.last_used_at) AS last_used_at,
           n.uses + COALESCE(p.uses, 0) AS uses, n.refusals + COALESCE(p.refusals, 0) AS refusals, a.permissions, a.created_at
    FROM mirox_internal.account a
    CROSS JOIN LATERAL (
        SELECT pg_catalog.count(*) FILTER (WHERE t.revoked_at IS NULL)::integer AS tokens,
               pg_catalog.count(*) FILTER (WHERE t.revoked_at IS NULL AND t.expires_at > pg_catalog.statement_timestamp()
                                           AND t.expires_at <= mirox_internal.expiry_horizon())::integer AS tokens_expiring,
               pg_catalog.count(*) FILTER (WHERE t.revoked_at IS NULL
                                           AND t.expires_at <= pg_catalog.statement_timestamp())::integer AS tokens_expired,
               pg_catalog.max(u.last_used_at) AS last_used_at, COALESCE(pg_catalog.sum(u.uses), 0)::bigint AS uses,
               COALESCE(pg_catalog.sum(u.refusals), 0)::bigint AS refusals
        FROM mirox_internal.token t
        LEFT JOIN mirox_internal.token_usage u ON u.token_id = t.token_id AND u.generation = t.generation
        WHERE t.account_id = a.account_id) n
    LEFT JOIN (
        SELECT t.account_id, pg_catalog.max(q.last_used_at) AS last_used_at, pg_catalog.sum(q.uses)::bigint AS uses,
               pg_catalog.sum(q.refusals)::bigint AS refusals
        FROM (SELECT token_id, generation, uses, refusals, last_used_at FROM mirox_internal.open_token
              UNION ALL
              SELECT token_id, generation, uses, refusals, last_used_at
              FROM mirox_internal.pending_uses((SELECT d."position" FROM mirox_internal.drained d))) q
        JOIN mirox_internal.token t ON t.token_id = q.token_id AND t.generation = q.generation
        GROUP BY t.account_id) p ON p.account_id = a.account_id;
REVOKE ALL ON TABLE mirox.account_report FROM PUBLIC;
COMMENT ON VIEW mirox.account_report IS 'A row for each account, with its tokens and their use';
COMMENT ON COLUMN mirox.account_report.user_id IS 'The owner, as the platform names the user';
COMMENT ON COLUMN mirox.account_report.locked IS 'Whether the account is locked';
COMMENT ON COLUMN mirox.account_report.tokens IS 'Tokens that are not revoked';
COMMENT ON COLUMN mirox.account_report.tokens_expiring IS 'Of those, the ones that expire within mirox_tokens.expiry_notice';
COMMENT ON COLUMN mirox.account_report.tokens_expired IS 'Of those, the ones that have expired';
COMMENT ON COLUMN mirox.account_report.places_free IS 'How many more tokens it may hold';
COMMENT ON COLUMN mirox.account_report.last_used_at IS 'When one of its tokens was last admitted';
COMMENT ON COLUMN mirox.account_report.uses IS 'How often its tokens were admitted, since each was issued or last rotated';
COMMENT ON COLUMN mirox.account_report.refusals IS 'How often its tokens were refused, since each was issued or last rotated';
COMMENT ON COLUMN mirox.account_report.permissions IS 'The owner''s permissions';
COMMENT ON COLUMN mirox.account_report.created_at IS 'When the account was registered';

-- ---- usage by time -----------------------------------------------------------------------------------------------------

-- Open use is added to the hours and days that exist, and makes rows of its own where none exists. Each half is joined to its
-- callers separately, so that a query for some callers reads no others.
CREATE VIEW mirox.usage_hourly AS
    SELECT u.hour, c.user_id, c.token_id, c.ip, c.location, c.browser, c.os, c.scope, c.status, c.reason,
           u.requests + COALESCE(o.requests, 0) AS requests, LEAST(u.first_at, o.first_at) AS first_at,
           GREATEST(u.last_at, o.last_at) AS last_at, c.user_agent, c.generation
    FROM mirox_internal.usage_hour u JOIN mirox_internal.caller_shown c ON c.caller_id = u.caller_id
    LEFT JOIN mirox_internal.open_hour o ON o.caller_id = u.caller_id AND o.hour = u.hour
    WHERE c.token_id > 0
    UNION ALL
    SELECT o.hour, c.user_id, c.token_id, c.ip, c.location, c.browser, c.os, c.scope, c.status, c.reason,
           o.requests, o.first_at, o.last_at, c.user_agent, c.generation
    FROM mirox_internal.open_hour o JOIN mirox_internal.caller_shown c ON c.caller_id = o.caller_id
    WHERE c.token_id > 0
      AND NOT EXISTS (SELECT FROM mirox_internal.usage_hour u WHERE u.caller_id = o.caller_id AND u.hour = o.hour);
REVOKE ALL ON TABLE mirox.usage_hourly FROM PUBLIC;
COMMENT ON VIEW mirox.usage_hourly IS 'Use of tokens: a row for each hour, token, address, location, agent, scope and outcome';
COMMENT ON COLUMN mirox.usage_hourly.hour IS 'The start of the hour';
COMMENT ON COLUMN mirox.usage_hourly.user_id IS 'The owner, as the platform names the user; for a deleted account, its last id';
COMMENT ON COLUMN mirox.usage_hourly.token_id IS 'The token''s id';
COMMENT ON COLUMN mirox.usage_hourly.ip IS 'The caller''s address; NULL: not known';
COMMENT ON COLUMN mirox.usage_hourly.location IS 'The location of that address at the time; NULL: not known';
COMMENT ON COLUMN mirox.usage_hourly.browser IS 'The browser or program';
COMMENT ON COLUMN mirox.usage_hourly.os IS 'The operating system';
COMMENT ON COLUMN mirox.usage_hourly.scope IS 'The scope that the request needed; NULL: none';
COMMENT ON COLUMN mirox.usage_hourly.status IS 'The HTTP status of the answer';
COMMENT ON COLUMN mirox.usage_hourly.reason IS 'The exact reason of the answer; other: a reason that this version does not know';
COMMENT ON COLUMN mirox.usage_hourly.requests IS 'Number of requests';
COMMENT ON COLUMN mirox.usage_hourly.first_at IS 'Time of the first';
COMMENT ON COLUMN mirox.usage_hourly.last_at IS 'Time of the last';
COMMENT ON COLUMN mirox.usage_hourly.user_agent IS 'The user agent that the caller sent, cleaned and cut at 512 bytes';
COMMENT ON COLUMN mirox.usage_hourly.generation IS 'How often the token had been issued and rotated';

CREATE VIEW mirox.usage_daily AS
    SELECT u.day, c.user_id, c.token_id, c.ip, c.location, c.browser, c.os, c.scope, c.status, c.reason,
           u.requests + COALESCE(o.requests, 0) AS requests, LEAST(u.first_at, o.first_at) AS first_at,
           GREATEST(u.last_at, o.last_at) AS last_at, c.user_agent, c.generation
    FROM mirox_internal.usage_day u JOIN mirox_internal.caller_shown c ON c.caller_id = u.caller_id
    LEFT JOIN mirox_internal.open_day o ON o.caller_id = u.caller_id AND o.day = u.day
    WHERE c.token_id > 0
    UNION ALL
    SELECT o.day, c.user_id, c.token_id, c.ip, c.location, c.browser, c.os, c.scope, c.status, c.reason,
           o.requests, o.first_at, o.last_at, c.user_agent, c.generation
    FROM mirox_internal.open_day o JOIN mirox_internal.caller_shown c ON c.caller_id = o.caller_id
    WHERE c.token_id > 0
      AND NOT EXISTS (SELECT FROM mirox_internal.usage_day u WHERE u.caller_id = o.caller_id AND u.day = o.day);
REVOKE ALL ON TABLE mirox.usage_daily FROM PUBLIC;
COMMENT ON VIEW mirox.usage_daily IS 'Use of tokens: a row for each day in UTC, token, address, location, agent, scope and outcome';
COMMENT ON COLUMN mirox.usage_daily.day IS 'The day in UTC';
COMMENT ON COLUMN mirox.usage_daily.user_id IS 'The owner, as the platform names the user; for a deleted account, its last id';
COMMENT ON COLUMN mirox.usage_daily.token_id IS 'The token''s id';
COMMENT ON COLUMN mirox.usage_daily.ip IS 'The caller''s address; NULL: not known';
COMMENT ON COLUMN mirox.usage_daily.location IS 'The location of that address at the time; NULL: not known';
COMMENT ON COLUMN mirox.usage_daily.browser IS 'The browser or program';
COMMENT ON COLUMN mirox.usage_daily.os IS 'The operating system';
COMMENT ON COLUMN mirox.usage_daily.scope IS 'The scope that the request needed; NULL: none';
COMMENT ON COLUMN mirox.usage_daily.status IS 'The HTTP status of the answer';
COMMENT ON COLUMN mirox.usage_daily.reason IS 'The exact reason of the answer; other: a reason that this version does not know';
COMMENT ON COLUMN mirox.usage_daily.requests IS 'Number of requests';
COMMENT ON COLUMN mirox.usage_daily.first_at IS 'Time of the first';
COMMENT ON COLUMN mirox.usage_daily.last_at IS 'Time of the last';
COMMENT ON COLUMN mirox.usage_daily.user_agent IS 'The user agent that the caller sent, cleaned and cut at 512 bytes';
COMMENT ON COLUMN mirox.usage_daily.generation IS 'How often the token had been issued and rotated';

-- In this view and the next, the tables are combined first and then joined to callers, so that the indexes on time give the
-- newest rows of all tables.
CREATE VIEW mirox.refusals AS
    SELECT e.first_at, e.last_at, COALESCE(e.status, c.status) AS status, COALESCE(e.reason, c.reason) AS reason, e.token_id,
           c.user_id, COALESCE(e.network, c.ip) AS ip, COALESCE(e.location, c.location) AS location, c.user_agent, e.requests,
           CASE WHEN c.session_id > 0 THEN c.session_id END AS session_id, c.scope
    FROM (SELECT first_at, last_at, requests, token_id, caller_id, NULL::integer AS status, NULL::text COLLATE "C" AS reason,
                 NULL::inet AS network, NULL::text COLLATE "C" AS location FROM mirox_internal.minute_use
          UNION ALL
          SELECT first_at, last_at, requests, NULL::bigint, NULL::bigint, status::integer, reason, network::inet, location
          FROM mirox_internal.unauthenticated) e
    LEFT JOIN mirox_internal.caller_shown c ON c.caller_id = e.caller_id
    WHERE e.status >= 400 OR c.status >= 400;
REVOKE ALL ON TABLE mirox.refusals FROM PUBLIC;
COMMENT ON VIEW mirox.refusals IS
    'A row for each refused caller, reason and minute. Callers without a known token are grouped by network';
COMMENT ON COLUMN mirox.refusals.first_at IS 'Time of the first';
COMMENT ON COLUMN mirox.refusals.last_at IS 'Time of the last';
COMMENT ON COLUMN mirox.refusals.status IS 'The HTTP status of the answer';
COMMENT ON COLUMN mirox.refusals.reason IS 'The exact reason of the answer; other: a reason that this version does not know';
COMMENT ON COLUMN mirox.refusals.token_id IS 'The token, when it is known';
COMMENT ON COLUMN mirox.refusals.user_id IS 'The owner, when known';
COMMENT ON COLUMN mirox.refusals.ip IS 'The address; for callers without a known token the network; NULL: not known, or many networks';
COMMENT ON COLUMN mirox.refusals.location IS 'The location of that address at the time; NULL: not known';
COMMENT ON COLUMN mirox.refusals.user_agent IS 'The user agent; not recorded for callers without a known token';
COMMENT ON COLUMN mirox.refusals.requests IS 'Number of requests';
COMMENT ON COLUMN mirox.refusals.session_id IS 'The web session that sent the request; NULL: a token, or an unauthenticated caller';
COMMENT ON COLUMN mirox.refusals.scope IS 'The scope that the request needed, or the function that was called (management_refused); NULL: none';

CREATE VIEW mirox.audit_trail AS
    SELECT e.audit_id, e.at,
           COALESCE(e.event, CASE WHEN c.token_id > 0 THEN 'token_' ELSE 'session_' END
                             || CASE WHEN c.status < 400 THEN 'used' ELSE 'refused' END) AS event,
           COALESCE(e.user_id, c.user_id) AS user_id, e.token_id,
           COALESCE(e.session_id, CASE WHEN c.session_id > 0 THEN c.session_id END) AS session_id, e.db_role,
           COALESCE(e.ip, c.ip) AS ip, COALESCE(e.user_agent, c.user_agent) AS user_agent, e.requests,
           COALESCE(e.detail, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
               'status', c.status, 'reason', c.reason, 'scope', c.scope, 'location', c.location, 'browser', c.browser,
               'os', c.os, 'last_at',
               pg_catalog.to_char(pg_catalog.timezone('UTC', e.last_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))) AS detail,
           e.node, e.acting_token_id, e.acting_session_id, e.login_role
    FROM (SELECT audit_id, at, event, user_id, token_id, session_id, db_role, ip, user_agent, requests, detail, node,
                 NULL::timestamptz AS last_at, NULL::bigint AS caller_id, acting_token_id, acting_session_id, login_role
          FROM mirox_internal.audit_log
          UNION ALL
          SELECT NULL::bigint, first_at, NULL::text COLLATE "C", NULL::text COLLATE "C", token_id, NULL::bigint,
                 NULL::text COLLATE "C", NULL::inet, NULL::text, requests, NULL::jsonb, NULL::integer, last_at, caller_id,
                 NULL::bigint, NULL::bigint, NULL::text COLLATE "C"
          FROM mirox_internal.minute_use) e
    LEFT JOIN mirox_internal.caller_shown c ON c.caller_id = e.caller_id;
REVOKE ALL ON TABLE mirox.audit_trail FROM PUBLIC;
COMMENT ON VIEW mirox.audit_trail IS
    'A row for each act of management, and for each use of a token or session, summed by minute (requests is the number)';
COMMENT ON COLUMN mirox.audit_trail.audit_id IS 'With node, the key of the row in the audit log; NULL: a use';
COMMENT ON COLUMN mirox.audit_trail.at IS 'When it happened; for uses, the first one of the minute';
COMMENT ON COLUMN mirox.audit_trail.event IS 'What happened: token_issued, token_used, token_refused ...';
COMMENT ON COLUMN mirox.audit_trail.user_id IS 'The user of the account';
COMMENT ON COLUMN mirox.audit_trail.token_id IS 'The token';
COMMENT ON COLUMN mirox.audit_trail.session_id IS 'The web session that acted';
COMMENT ON COLUMN mirox.audit_trail.db_role IS 'The database role that called: current_user at the call';
COMMENT ON COLUMN mirox.audit_trail.ip IS 'The address of the session or of the caller';
COMMENT ON COLUMN mirox.audit_trail.user_agent IS 'The user agent of the session or of the caller';
COMMENT ON COLUMN mirox.audit_trail.requests IS 'The number of uses in the row; NULL: an act of management';
COMMENT ON COLUMN mirox.audit_trail.detail IS 'Details: changes, or the answer to a use';
COMMENT ON COLUMN mirox.audit_trail.node IS 'With audit_id, the key in the audit log';
COMMENT ON COLUMN mirox.audit_trail.acting_token_id IS 'The token that the transaction acted for (authenticate); NULL: none';
COMMENT ON COLUMN mirox.audit_trail.acting_session_id IS 'The web session that the transaction acted for; NULL: none';
COMMENT ON COLUMN mirox.audit_trail.login_role IS 'The database role that logged in: session_user at the call';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.token_report', 'relation', 'reporting'),
    ('mirox.expiring_tokens', 'relation', 'reporting'),
    ('mirox.unused_tokens', 'relation', 'reporting'),
    ('mirox.usage_hourly', 'relation', 'reporting'),
    ('mirox.usage_daily', 'relation', 'reporting'),
    ('mirox.refusals', 'relation', 'reporting'),
    ('mirox.audit_trail', 'relation', 'reporting'),
    ('mirox.account_report', 'relation', 'reporting'),
    ('mirox_internal.token_status(timestamp with time zone,timestamp with time zone,timestamp with time zone)', 'function', 'reporting'),
    ('mirox_internal.days_until(timestamp with time zone,timestamp with time zone)', 'function', 'reporting'),
    ('mirox_internal.compile_permissions(mirox.scopes,mirox.scopes)', 'function', 'reporting'),
    ('mirox_internal.pending_uses(bigint,bigint,integer)', 'function', 'reporting'),
    ('mirox_internal.ring_ids()', 'function', 'reporting'),
    ('mirox_internal.expiry_horizon()', 'function', 'reporting'),
    ('mirox_internal.places()', 'function', 'reporting'),
    ('mirox_internal.whole_use(bigint,bigint,timestamptz,timestamptz,inet,text,text,text,bigint,bigint,timestamptz,timestamptz,inet,text,'
     'text,text,bigint,bigint,timestamptz,timestamptz,inet,text,text)', 'function', 'reporting');
