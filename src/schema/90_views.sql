-- Views for reporting tools (level reporting). No digest is in any of them. A view reads the tables as the extension's owner;
-- the functions in it run as the reader, which is why they have the level too.
--
-- token_report and those that build on it also show what stands in shared memory and is not drained yet. None sorts or gathers
-- the usage of all time, so that a page of any comes at once.

CREATE FUNCTION mirox_internal.expiry_horizon() RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_expiry_horizon' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.expiry_horizon() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.expiry_horizon() IS 'Internal: until when a token counts as expiring (mirox_tokens.expiry_notice from now)';
CREATE FUNCTION mirox_internal.places() RETURNS integer
    AS 'MODULE_PATHNAME', 'mirox_places' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.places() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.places() IS 'Internal: how many tokens an account may hold (mirox_tokens.max_tokens_per_account)';

-- ---- tokens ------------------------------------------------------------------------------------------------------------

-- Internal: a caller as reports show it.
CREATE VIEW mirox_internal.caller_shown AS
    SELECT c.caller_id,
           COALESCE(a.user_id, (SELECT l.user_id FROM mirox_internal.audit_log l
                                WHERE l.account_id = c.account_id AND l.event = 'account_deleted' LIMIT 1)) AS user_id,
           c.token_id, c.session_id, c.generation,
           CASE WHEN c.ip <> '0.0.0.0/0' THEN c.ip END AS ip,
           CASE WHEN c.location <> '' THEN c.location END AS location,
           g.browser, g.os, g.agent AS user_agent,
           CASE WHEN c.scope <> '' THEN c.scope END AS scope,
           c.status::integer AS status, c.reason
    FROM mirox_internal.caller c
    LEFT JOIN mirox_internal.account a ON a.account_id = c.account_id
    LEFT JOIN mirox_internal.agent g ON g.agent_id = c.agent_id;
REVOKE ALL ON TABLE mirox_internal.caller_shown FROM PUBLIC;
COMMENT ON VIEW mirox_internal.caller_shown IS 'Internal: callers as reports show them';

-- Internal: what is open, unpacked before anything is sorted or gathered (hence OFFSET 0: the packed arrays are not carried along).
CREATE VIEW mirox_internal.open_all AS
    SELECT minute, caller_id, requests, first_at, last_at, token_id FROM mirox_internal.open_use OFFSET 0;
REVOKE ALL ON TABLE mirox_internal.open_all FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_all IS 'Internal: use of open minutes by minute, caller and drain, all of it';

-- Internal: what of a token's use its row in token_usage does not hold yet.
CREATE VIEW mirox_internal.open_token AS
    SELECT s.token_id, s.generation, s.uses, s.refusals, s.last_used_at, s.last_refused_at, c.ip AS last_ip,
           c.location AS last_location, c.browser AS last_browser, c.os AS last_os
    FROM (SELECT c.token_id, c.generation,
                 COALESCE(pg_catalog.sum(o.requests) FILTER (WHERE c.status < 400), 0)::bigint AS uses,
                 COALESCE(pg_catalog.sum(o.requests) FILTER (WHERE c.status >= 400), 0)::bigint AS refusals,
                 pg_catalog.max(o.last_at) FILTER (WHERE c.status < 400) AS last_used_at,
                 pg_catalog.max(o.last_at) FILTER (WHERE c.status >= 400) AS last_refused_at,
                 (pg_catalog.array_agg(o.caller_id ORDER BY o.last_at DESC) FILTER (WHERE c.status < 400))[1] AS last_caller
          FROM mirox_internal.open_all o JOIN mirox_internal.caller c ON c.caller_id = o.caller_id
          WHERE o.token_id > 0
          GROUP BY c.token_id, c.generation) s
    LEFT JOIN mirox_internal.caller_shown c ON c.caller_id = s.last_caller;
REVOKE ALL ON TABLE mirox_internal.open_token FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_token IS 'Internal: use of tokens in minutes that are still open';

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
        GREATEST(u.last_used_at, p.last_used_at) AS last_used_at,
        CASE WHEN p.last_used_at > COALESCE(u.last_used_at, '-infinity') THEN p.last_ip ELSE u.last_ip END AS last_ip,
        CASE WHEN p.last_used_at > COALESCE(u.last_used_at, '-infinity') AND p.last_ip IS DISTINCT FROM u.last_ip THEN NULL
             ELSE u.last_location END AS last_location,
        CASE WHEN p.last_used_at > COALESCE(u.last_used_at, '-infinity')
             THEN (SELECT x.browser FROM mirox_internal.agent x WHERE x.key = p.agent_key LIMIT 1) ELSE u.last_browser END AS last_browser,
        CASE WHEN p.last_used_at > COALESCE(u.last_used_at, '-infinity')
             THEN (SELECT x.os FROM mirox_internal.agent x WHERE x.key = p.agent_key LIMIT 1) ELSE u.last_os END AS last_os,
        u.uses + COALESCE(p.uses, 0) AS uses,
        u.refusals + COALESCE(p.refusals, 0) AS refusals,
        GREATEST(u.last_refused_at, p.last_refused_at) AS last_refused_at,
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
    CROSS JOIN LATERAL (
        SELECT COALESCE(c.uses, 0) + COALESCE(o.uses, 0) AS uses, COALESCE(c.refusals, 0) + COALESCE(o.refusals, 0) AS refusals,
               GREATEST(c.last_used_at, o.last_used_at) AS last_used_at,
               GREATEST(c.last_refused_at, o.last_refused_at) AS last_refused_at,
               CASE WHEN o.last_used_at >= COALESCE(c.last_used_at, '-infinity') THEN o.last_ip ELSE c.last_ip END AS last_ip,
               CASE WHEN o.last_used_at >= COALESCE(c.last_used_at, '-infinity') THEN o.last_location
                    ELSE c.last_location END AS last_location,
               CASE WHEN o.last_used_at >= COALESCE(c.last_used_at, '-infinity') THEN o.last_browser
                    ELSE c.last_browser END AS last_browser,
               CASE WHEN o.last_used_at >= COALESCE(c.last_used_at, '-infinity') THEN o.last_os ELSE c.last_os END AS last_os) u
    LEFT JOIN mirox_internal.pending_uses((SELECT d."position" FROM mirox_internal.drained d)) p
        ON p.token_id = t.token_id AND p.generation = t.generation;
REVOKE ALL ON TABLE mirox.token_report FROM PUBLIC;
COMMENT ON VIEW mirox.token_report IS 'A row for each token, with its use since it was issued or last rotated';

CREATE VIEW mirox.expiring_tokens AS
    SELECT r.token_id, r.user_id, r.name, r.permission_group, r.permissions, r.place, r.status, r.created_at, r.rotated_at,
           r.expires_at, r.last_used_at, r.last_ip, r.last_location, r.last_browser, r.last_os, r.uses, r.refusals,
           mirox_internal.days_until(r.expires_at, pg_catalog.statement_timestamp()) AS days_left
    FROM mirox.token_report r
    WHERE r.revoked_at IS NULL AND r.expires_at > pg_catalog.statement_timestamp()
      AND r.expires_at <= mirox_internal.expiry_horizon()
      -- A token expires with its current secret, whose index tells which ones to look at.
      AND r.token_id IN (SELECT s.token_id FROM mirox_internal.token_secret s
                         WHERE s.expires_at > pg_catalog.statement_timestamp() AND s.expires_at <= mirox_internal.expiry_horizon());
REVOKE ALL ON TABLE mirox.expiring_tokens FROM PUBLIC;
COMMENT ON VIEW mirox.expiring_tokens IS 'A row for each token in force that expires within mirox_tokens.expiry_notice';

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

-- ---- usage by time --------------------------------------------------------------------------------------------------------

CREATE VIEW mirox_internal.open_minute AS
    SELECT minute, caller_id, pg_catalog.sum(requests)::bigint AS requests, pg_catalog.min(first_at) AS first_at,
           pg_catalog.max(last_at) AS last_at, token_id
    FROM mirox_internal.open_all GROUP BY minute, caller_id, token_id;
REVOKE ALL ON TABLE mirox_internal.open_minute FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_minute IS 'Internal: use of open minutes by minute and caller';

CREATE VIEW mirox_internal.minute_use AS
    SELECT minute, caller_id, requests, first_at, last_at, token_id FROM mirox_internal.usage_minute
    UNION ALL
    SELECT minute, caller_id, requests, first_at, last_at, token_id FROM mirox_internal.open_minute;
REVOKE ALL ON TABLE mirox_internal.minute_use FROM PUBLIC;
COMMENT ON VIEW mirox_internal.minute_use IS 'Internal: use by minute and caller, open minutes included';

-- What is open is added to the hours and days that are there, and stands beside them where there is none. Each half is joined to its
-- callers by itself, so that a reader who asks for some of them reads no others.
CREATE VIEW mirox_internal.open_hour AS
    SELECT pg_catalog.date_trunc('hour', minute, 'UTC') AS hour, caller_id, pg_catalog.sum(requests)::bigint AS requests,
           pg_catalog.min(first_at) AS first_at, pg_catalog.max(last_at) AS last_at
    FROM mirox_internal.open_all GROUP BY 1, 2;
REVOKE ALL ON TABLE mirox_internal.open_hour FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_hour IS 'Internal: use of open minutes by hour and caller';

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
COMMENT ON VIEW mirox.usage_hourly IS 'Use of tokens: a row for each hour, token, address, place, agent, scope and outcome';

CREATE VIEW mirox_internal.open_day AS
    SELECT pg_catalog.timezone('UTC', minute)::date AS day, caller_id, pg_catalog.sum(requests)::bigint AS requests,
           pg_catalog.min(first_at) AS first_at, pg_catalog.max(last_at) AS last_at
    FROM mirox_internal.open_all GROUP BY 1, 2;
REVOKE ALL ON TABLE mirox_internal.open_day FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_day IS 'Internal: use of open minutes by day and caller';

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
COMMENT ON VIEW mirox.usage_daily IS 'Use of tokens: a row for each day in UTC, token, address, place, agent, scope and outcome';

-- In this view and the next, tables are put together first and callers joined to the whole, so that the newest rows of all
-- come by the indexes on time.
CREATE VIEW mirox.refusals AS
    SELECT e.first_at, e.last_at, COALESCE(e.status, c.status) AS status, COALESCE(e.reason, c.reason) AS reason, e.token_id,
           c.user_id, COALESCE(e.network, c.ip) AS ip, COALESCE(e.location, c.location) AS location, c.user_agent, e.requests,
           CASE WHEN c.session_id > 0 THEN c.session_id END AS session_id, c.scope
    FROM (SELECT first_at, last_at, requests, token_id, caller_id, NULL::integer AS status, NULL::text COLLATE "C" AS reason,
                 NULL::inet AS network, NULL::text COLLATE "C" AS location FROM mirox_internal.minute_use
          UNION ALL
          SELECT first_at, last_at, requests, NULL::bigint, NULL::bigint, status::integer, reason, network::inet, location
          FROM mirox_internal.stranger) e
    LEFT JOIN mirox_internal.caller_shown c ON c.caller_id = e.caller_id
    WHERE e.status IS NOT NULL OR c.status >= 400;
REVOKE ALL ON TABLE mirox.refusals FROM PUBLIC;
COMMENT ON VIEW mirox.refusals IS
    'A row for each refused caller, reason and minute. Callers without a known token are gathered by network';

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
    'A row for each act of management, and for each use of a token or session, gathered by the minute (requests says how many)';

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
-- A token that was revoked is still the account's, by a token's place alone it would not be found.
CREATE INDEX token_account ON mirox_internal.token (account_id);

-- ---- the profile page's history -------------------------------------------------------------------------------------------

CREATE FUNCTION mirox.token_history(
    session text, token_id bigint, since timestamptz DEFAULT NULL,
    OUT first_at timestamptz, OUT last_at timestamptz, OUT status integer, OUT reason text, OUT requests bigint, OUT ip inet,
    OUT location text, OUT browser text, OUT os text, OUT user_agent text, OUT scope text) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'mirox_token_history' LANGUAGE C VOLATILE ROWS 100;
REVOKE ALL ON FUNCTION mirox.token_history(text, bigint, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION mirox.token_history(text, bigint, timestamptz) IS
    'When and how one of the owner''s tokens was used since it was issued or last rotated: by minute, newest first. since: '
    'only what lasted until then or came later. P0002: no such token of the owner''s';

-- ---- health ---------------------------------------------------------------------------------------------------------------

CREATE FUNCTION mirox_internal.stat_now(
    OUT checks bigint, OUT ok bigint, OUT malformed bigint, OUT unknown bigint, OUT revoked bigint, OUT rotated bigint,
    OUT expired bigint, OUT locked bigint, OUT ip_not_allowed bigint, OUT insufficient_scope bigint, OUT rate_limited bigint,
    OUT invalid_request bigint, OUT events_waiting bigint, OUT events_flushed bigint, OUT events_dropped bigint,
    OUT events_torn bigint, OUT flushes bigint, OUT flush_failures bigint, OUT flush_time double precision,
    OUT last_flush_at timestamptz, OUT worker_pid integer, OUT ring_bytes bigint, OUT ring_used double precision,
    OUT shared_memory bigint, OUT counters_missed bigint, OUT unauthenticated_uncounted bigint, OUT discarded bigint,
    OUT lost bigint, OUT agent_rules text,
    OUT geoip text, OUT stats_reset timestamptz, OUT acts_refused bigint,
    OUT keys_unavailable bigint, OUT jwt_keys integer, OUT jwt_key_file text, OUT jwt_key_file_since timestamptz,
    OUT worker_state text, OUT last_error text, OUT last_error_at timestamptz, OUT failing_since timestamptz)
    AS 'MODULE_PATHNAME', 'mirox_stat_now' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION mirox_internal.stat_now() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.stat_now() IS 'Internal: the row of the view stat';

CREATE VIEW mirox.stat AS SELECT * FROM mirox_internal.stat_now();
REVOKE ALL ON TABLE mirox.stat FROM PUBLIC;
COMMENT ON VIEW mirox.stat IS 'Checks and their recording in this database since the server started, or stat_reset() was called';

CREATE FUNCTION mirox.stat_reset() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_stat_reset' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.stat_reset() FROM PUBLIC;
COMMENT ON FUNCTION mirox.stat_reset() IS 'Sets the counts of the view stat to zero. What is recorded is not touched';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.token_history(text,bigint,timestamp with time zone)', 'function', 'application'),
    ('mirox.token_report', 'relation', 'reporting'),
    ('mirox.expiring_tokens', 'relation', 'reporting'),
    ('mirox.unused_tokens', 'relation', 'reporting'),
    ('mirox.usage_hourly', 'relation', 'reporting'),
    ('mirox.usage_daily', 'relation', 'reporting'),
    ('mirox.refusals', 'relation', 'reporting'),
    ('mirox.audit_trail', 'relation', 'reporting'),
    ('mirox.account_report', 'relation', 'reporting'),
    ('mirox.stat', 'relation', 'reporting'),
    ('mirox_internal.token_status(timestamp with time zone,timestamp with time zone,timestamp with time zone)', 'function', 'reporting'),
    ('mirox_internal.days_until(timestamp with time zone,timestamp with time zone)', 'function', 'reporting'),
    ('mirox_internal.compile_permissions(mirox.scopes,mirox.scopes)', 'function', 'reporting'),
    ('mirox_internal.pending_uses(bigint,bigint,integer)', 'function', 'reporting'),
    ('mirox_internal.ring_ids()', 'function', 'reporting'),
    ('mirox_internal.expiry_horizon()', 'function', 'reporting'),
    ('mirox_internal.places()', 'function', 'reporting'),
    ('mirox_internal.stat_now()', 'function', 'reporting'),
    ('mirox.stat_reset()', 'function', 'admin');

-- ---- columns -----------------------------------------------------------------------------------------------------------
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
COMMENT ON COLUMN mirox.token_report.last_used_at IS 'When it was last let through, since it was issued or last rotated';
COMMENT ON COLUMN mirox.token_report.last_ip IS 'The address of the last use';
COMMENT ON COLUMN mirox.token_report.last_location IS 'Where that address is, as far as mirox_tokens.geoip_database tells';
COMMENT ON COLUMN mirox.token_report.last_browser IS 'The browser or program of the last use';
COMMENT ON COLUMN mirox.token_report.last_os IS 'The operating system of the last use';
COMMENT ON COLUMN mirox.token_report.uses IS 'How often it was let through, since it was issued or last rotated';
COMMENT ON COLUMN mirox.token_report.refusals IS 'How often it was refused, since it was issued or last rotated';
COMMENT ON COLUMN mirox.token_report.last_refused_at IS 'When it was last refused';
COMMENT ON COLUMN mirox.token_report.hint IS 'The redacted form of the current secret';
COMMENT ON COLUMN mirox.token_report.allowed_ips IS 'The networks it works from; NULL: all';
COMMENT ON COLUMN mirox.token_report.revoked_at IS 'When it was revoked; NULL: it was not';
COMMENT ON COLUMN mirox.token_report.revoke_reason IS 'Why it was revoked';
COMMENT ON COLUMN mirox.token_report.metadata IS 'What the application keeps with it';
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
COMMENT ON COLUMN mirox.expiring_tokens.last_used_at IS 'When it was last let through, since it was issued or last rotated';
COMMENT ON COLUMN mirox.expiring_tokens.last_ip IS 'The address of the last use';
COMMENT ON COLUMN mirox.expiring_tokens.last_location IS 'Where that address is, as far as mirox_tokens.geoip_database tells';
COMMENT ON COLUMN mirox.expiring_tokens.last_browser IS 'The browser or program of the last use';
COMMENT ON COLUMN mirox.expiring_tokens.last_os IS 'The operating system of the last use';
COMMENT ON COLUMN mirox.expiring_tokens.uses IS 'How often it was let through, since it was issued or last rotated';
COMMENT ON COLUMN mirox.expiring_tokens.refusals IS 'How often it was refused, since it was issued or last rotated';
COMMENT ON COLUMN mirox.expiring_tokens.days_left IS 'Whole days until it expires';
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
COMMENT ON COLUMN mirox.unused_tokens.last_used_at IS 'When it was last let through, since it was issued or last rotated';
COMMENT ON COLUMN mirox.unused_tokens.last_ip IS 'The address of the last use';
COMMENT ON COLUMN mirox.unused_tokens.last_location IS 'Where that address is, as far as mirox_tokens.geoip_database tells';
COMMENT ON COLUMN mirox.unused_tokens.last_browser IS 'The browser or program of the last use';
COMMENT ON COLUMN mirox.unused_tokens.last_os IS 'The operating system of the last use';
COMMENT ON COLUMN mirox.unused_tokens.uses IS 'How often it was let through, since it was issued or last rotated';
COMMENT ON COLUMN mirox.unused_tokens.refusals IS 'How often it was refused, since it was issued or last rotated';
COMMENT ON COLUMN mirox.unused_tokens.days_unused IS 'Whole days since its last use (or since it was issued or rotated)';
COMMENT ON COLUMN mirox.usage_hourly.hour IS 'The hour, beginning';
COMMENT ON COLUMN mirox.usage_hourly.user_id IS 'The owner, as the platform names the user; of a deleted account, its last name';
COMMENT ON COLUMN mirox.usage_hourly.token_id IS 'The token''s id';
COMMENT ON COLUMN mirox.usage_hourly.ip IS 'The caller''s address; NULL: not known';
COMMENT ON COLUMN mirox.usage_hourly.location IS 'Where that address was at the time; NULL: not known';
COMMENT ON COLUMN mirox.usage_hourly.browser IS 'The browser or program';
COMMENT ON COLUMN mirox.usage_hourly.os IS 'The operating system';
COMMENT ON COLUMN mirox.usage_hourly.scope IS 'What the request needed; NULL: nothing in particular';
COMMENT ON COLUMN mirox.usage_hourly.status IS 'The HTTP status of the answer';
COMMENT ON COLUMN mirox.usage_hourly.reason IS 'The exact reason of the answer; other: one that this version does not know';
COMMENT ON COLUMN mirox.usage_hourly.requests IS 'How many there were';
COMMENT ON COLUMN mirox.usage_hourly.first_at IS 'When the first was';
COMMENT ON COLUMN mirox.usage_hourly.last_at IS 'When the last was';
COMMENT ON COLUMN mirox.usage_hourly.user_agent IS 'The user agent that the caller sent, cleaned and cut at 512 bytes';
COMMENT ON COLUMN mirox.usage_hourly.generation IS 'How often the token had been issued and rotated';
COMMENT ON COLUMN mirox.usage_daily.day IS 'The day in UTC';
COMMENT ON COLUMN mirox.usage_daily.user_id IS 'The owner, as the platform names the user; of a deleted account, its last name';
COMMENT ON COLUMN mirox.usage_daily.token_id IS 'The token''s id';
COMMENT ON COLUMN mirox.usage_daily.ip IS 'The caller''s address; NULL: not known';
COMMENT ON COLUMN mirox.usage_daily.location IS 'Where that address was at the time; NULL: not known';
COMMENT ON COLUMN mirox.usage_daily.browser IS 'The browser or program';
COMMENT ON COLUMN mirox.usage_daily.os IS 'The operating system';
COMMENT ON COLUMN mirox.usage_daily.scope IS 'What the request needed; NULL: nothing in particular';
COMMENT ON COLUMN mirox.usage_daily.status IS 'The HTTP status of the answer';
COMMENT ON COLUMN mirox.usage_daily.reason IS 'The exact reason of the answer; other: one that this version does not know';
COMMENT ON COLUMN mirox.usage_daily.requests IS 'How many there were';
COMMENT ON COLUMN mirox.usage_daily.first_at IS 'When the first was';
COMMENT ON COLUMN mirox.usage_daily.last_at IS 'When the last was';
COMMENT ON COLUMN mirox.usage_daily.user_agent IS 'The user agent that the caller sent, cleaned and cut at 512 bytes';
COMMENT ON COLUMN mirox.usage_daily.generation IS 'How often the token had been issued and rotated';
COMMENT ON COLUMN mirox.refusals.first_at IS 'When the first was';
COMMENT ON COLUMN mirox.refusals.last_at IS 'When the last was';
COMMENT ON COLUMN mirox.refusals.status IS 'The HTTP status of the answer';
COMMENT ON COLUMN mirox.refusals.reason IS 'The exact reason of the answer; other: one that this version does not know';
COMMENT ON COLUMN mirox.refusals.token_id IS 'The token, when it is known';
COMMENT ON COLUMN mirox.refusals.user_id IS 'The owner, when known';
COMMENT ON COLUMN mirox.refusals.ip IS 'The address; of callers without a known token their network; NULL: not known, or gathered from many';
COMMENT ON COLUMN mirox.refusals.location IS 'Where that address was at the time; NULL: not known';
COMMENT ON COLUMN mirox.refusals.user_agent IS 'The user agent; not kept of callers without a known token';
COMMENT ON COLUMN mirox.refusals.requests IS 'How many there were';
COMMENT ON COLUMN mirox.refusals.session_id IS 'The web session whose request it was; NULL: a token''s, or nobody''s';
COMMENT ON COLUMN mirox.refusals.scope IS 'What the request needed, or the function that an act called (management_refused); NULL: nothing in particular';
COMMENT ON COLUMN mirox.audit_trail.audit_id IS 'With node, the key of the row in the audit log; NULL: a use';
COMMENT ON COLUMN mirox.audit_trail.at IS 'When it happened; of uses, when the first of the minute was';
COMMENT ON COLUMN mirox.audit_trail.event IS 'What happened: token_issued, token_used, token_refused ...';
COMMENT ON COLUMN mirox.audit_trail.user_id IS 'Whose account it is';
COMMENT ON COLUMN mirox.audit_trail.token_id IS 'The token';
COMMENT ON COLUMN mirox.audit_trail.session_id IS 'The web session that acted';
COMMENT ON COLUMN mirox.audit_trail.db_role IS 'The database role that called: current_user at the call';
COMMENT ON COLUMN mirox.audit_trail.ip IS 'The address of the session or of the caller';
COMMENT ON COLUMN mirox.audit_trail.user_agent IS 'The user agent of the session or of the caller';
COMMENT ON COLUMN mirox.audit_trail.requests IS 'How many uses the row stands for; NULL: an act of management';
COMMENT ON COLUMN mirox.audit_trail.detail IS 'What else there is to tell: changes, or the answer that a use got';
COMMENT ON COLUMN mirox.audit_trail.node IS 'With audit_id, the key in the audit log';
COMMENT ON COLUMN mirox.audit_trail.acting_token_id IS 'The token that the transaction acted for (authenticate); NULL: none';
COMMENT ON COLUMN mirox.audit_trail.acting_session_id IS 'The web session that the transaction acted for; NULL: none';
COMMENT ON COLUMN mirox.audit_trail.login_role IS 'The database role that logged in: session_user at the call';
COMMENT ON COLUMN mirox.account_report.user_id IS 'The owner, as the platform names the user';
COMMENT ON COLUMN mirox.account_report.locked IS 'Whether the account is locked';
COMMENT ON COLUMN mirox.account_report.tokens IS 'Tokens that are not revoked';
COMMENT ON COLUMN mirox.account_report.tokens_expiring IS 'Of those, the ones that expire within mirox_tokens.expiry_notice';
COMMENT ON COLUMN mirox.account_report.tokens_expired IS 'Of those, the ones that have expired';
COMMENT ON COLUMN mirox.account_report.places_free IS 'How many more tokens it may hold';
COMMENT ON COLUMN mirox.account_report.last_used_at IS 'When one of its tokens was last let through';
COMMENT ON COLUMN mirox.account_report.uses IS 'How often its tokens were let through, since each was issued or last rotated';
COMMENT ON COLUMN mirox.account_report.refusals IS 'How often its tokens were refused, since each was issued or last rotated';
COMMENT ON COLUMN mirox.account_report.permissions IS 'What the owner may';
COMMENT ON COLUMN mirox.account_report.created_at IS 'When the account was registered';
COMMENT ON COLUMN mirox.stat.checks IS 'Checks that were answered and recorded';
COMMENT ON COLUMN mirox.stat.ok IS 'Of those, let through';
COMMENT ON COLUMN mirox.stat.malformed IS 'Refused (401): not of a secret''s form';
COMMENT ON COLUMN mirox.stat.unknown IS 'Refused (401): no such secret';
COMMENT ON COLUMN mirox.stat.revoked IS 'Refused (401): a revoked token or closed session';
COMMENT ON COLUMN mirox.stat.rotated IS 'Refused (401): a secret that was rotated away';
COMMENT ON COLUMN mirox.stat.expired IS 'Refused (401): expired';
COMMENT ON COLUMN mirox.stat.locked IS 'Refused (401): the account is locked';
COMMENT ON COLUMN mirox.stat.ip_not_allowed IS 'Refused (401): from an address that the token does not allow';
COMMENT ON COLUMN mirox.stat.insufficient_scope IS 'Refused (403): outside its permissions';
COMMENT ON COLUMN mirox.stat.rate_limited IS 'Refused (429): over the rate limit';
COMMENT ON COLUMN mirox.stat.invalid_request IS 'Refused (400): a malformed request';
COMMENT ON COLUMN mirox.stat.events_waiting IS 'Events in shared memory that are not written yet';
COMMENT ON COLUMN mirox.stat.events_flushed IS 'Events written to the tables';
COMMENT ON COLUMN mirox.stat.events_dropped IS 'Events that found no room and were given up; the check was answered all the same. Kept over restarts';
COMMENT ON COLUMN mirox.stat.events_torn IS 'Events whose backend died while writing them: their check was never answered. Kept over restarts';
COMMENT ON COLUMN mirox.stat.flushes IS 'Transactions that wrote events';
COMMENT ON COLUMN mirox.stat.flush_failures IS 'Attempts to write that failed and were, or will be, repeated';
COMMENT ON COLUMN mirox.stat.flush_time IS 'Milliseconds spent writing';
COMMENT ON COLUMN mirox.stat.last_flush_at IS 'When events were last written';
COMMENT ON COLUMN mirox.stat.worker_pid IS 'The process of this database''s worker; NULL: none runs, and worker_state says whether one should';
COMMENT ON COLUMN mirox.stat.ring_bytes IS 'Size of the ring of events, for all databases';
COMMENT ON COLUMN mirox.stat.ring_used IS 'How much of it is in use, 0 to 1';
COMMENT ON COLUMN mirox.stat.shared_memory IS 'Bytes of shared memory and of the file behind it, for all databases';
COMMENT ON COLUMN mirox.stat.counters_missed IS 'Uses that views show only once they are written, for want of a counter; all databases';
COMMENT ON COLUMN mirox.stat.unauthenticated_uncounted IS 'Refusals of callers without a known token for which no slot was left; all databases';
COMMENT ON COLUMN mirox.stat.discarded IS 'Events thrown away since their database or extension is gone; all databases, kept over restarts';
COMMENT ON COLUMN mirox.stat.lost IS 'Events dropped for want of a place for their database at all, and those of databases that are gone; all databases, kept over restarts';
COMMENT ON COLUMN mirox.stat.agent_rules IS 'The rules of browsers and systems: ok, unused, unreadable or invalid';
COMMENT ON COLUMN mirox.stat.geoip IS 'The file of locations: ok, none (not set), unused, unreadable or invalid';
COMMENT ON COLUMN mirox.stat.stats_reset IS 'When the counts were last set to zero; NULL: not since the start';
COMMENT ON COLUMN mirox.stat.acts_refused IS 'Acts of management refused: by who acted for a token, or without an open session of the account''s';
COMMENT ON COLUMN mirox.stat.keys_unavailable IS 'Refused (503): tokens in the form of a JWT, while the server has had no good file of keys';
COMMENT ON COLUMN mirox.stat.jwt_keys IS 'How many keys of JWTs checks go by: those of the last good file';
COMMENT ON COLUMN mirox.stat.jwt_key_file IS 'The file of the keys of JWTs: ok, unused (not set), unreadable, unsafe (owner or mode), empty or invalid';
COMMENT ON COLUMN mirox.stat.jwt_key_file_since IS 'Since when it is so; NULL: no file is set';
COMMENT ON COLUMN mirox.stat.worker_state IS
    'idle: none runs, and none is missing; running; failing: some of its work fails and is repeated; missing: events wait, and none could be started';
COMMENT ON COLUMN mirox.stat.last_error IS 'What failed last, with the SQLSTATE; the server''s log has its message. Kept when all is well again; NULL: nothing failed yet';
COMMENT ON COLUMN mirox.stat.last_error_at IS 'When that was';
COMMENT ON COLUMN mirox.stat.failing_since IS 'Since when something has been failing; NULL: all is well';
