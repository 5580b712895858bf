-- Views for reporting tools (level reporting). None shows a digest. A view reads the tables as the extension's owner. The
-- functions in it run as the reader, so the level has them too.
--
-- token_report and the views that build on it also show uses that are in shared memory and not drained yet. No view sorts or
-- aggregates the use of all time, so one page of any comes at once. Columns that an index finds (account_id, token_id, session_id, ip,
-- event, reason and the time) are the tables' own; names are joined above (85_uses.sql).

CREATE FUNCTION mirox_internal.expiry_horizon() RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_expiry_horizon' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.expiry_horizon() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.expiry_horizon() IS 'Internal: tokens that expire before this count as expiring (mirox_tokens.expiry_notice from now)';
CREATE FUNCTION mirox_internal.unused_since(at timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT at - INTERVAL '90 days';
END;
REVOKE ALL ON FUNCTION mirox_internal.unused_since(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.unused_since(timestamptz) IS
    'Internal: a token that was not used, issued or rotated since then counts as unused at that time';
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
        mirox_internal.token_status(t.revoked_at, t.expires_at, pg_catalog.statement_timestamp(), t.suspended_at, a.locked_at) AS status,
        t.created_at,
        t.rotated_at,
        t.expires_at::timestamptz AS expires_at,  -- the domain's base type, which anyone may put in a table
        u.last_used_at, u.last_ip, l.location AS last_location, w.browser AS last_browser, w.os AS last_os, u.uses, u.refusals,
        u.last_refused_at,
        t.hint,
        t.allowed_ips::cidr[] AS allowed_ips,
        t.revoked_at,
        t.revoke_reason,
        t.metadata::jsonb AS metadata,
        t.account_id,
        t.generation::integer AS generation,
        l.country AS last_country,
        t.rate_limit::integer AS rate_limit,
        t.burst::integer AS burst
    FROM mirox_internal.token t
    JOIN mirox_internal.account a ON a.account_id = t.account_id
    JOIN mirox_internal.permission_group g ON g.group_id = t.group_id
    LEFT JOIN mirox_internal.token_usage c ON c.token_id = t.token_id AND c.generation = t.generation
    LEFT JOIN mirox_internal.open_token o ON o.token_id = t.token_id AND o.generation = t.generation
    LEFT JOIN (mirox_internal.pending_uses((SELECT d."position" FROM mirox_internal.drained d)) p
               LEFT JOIN LATERAL (SELECT x.agent_id FROM mirox_internal.agent x WHERE x.key = p.agent_key LIMIT 1) x ON true)
        ON p.token_id = t.token_id AND p.generation = t.generation
    CROSS JOIN LATERAL mirox_internal.whole_use(
        c.uses, c.refusals, c.last_used_at, c.last_refused_at, c.last_ip, c.last_agent_id, c.last_place_id,
        o.uses, o.refusals, o.last_used_at, o.last_refused_at, o.last_ip, o.last_agent_id, o.last_place_id,
        p.uses, p.refusals, p.last_used_at, p.last_refused_at, p.last_ip, x.agent_id) u
    LEFT JOIN mirox_internal.agent w ON w.agent_id = u.last_agent_id
    LEFT JOIN mirox_internal.used_place l ON l.place_id = u.last_place_id;
REVOKE ALL ON TABLE mirox.token_report FROM PUBLIC;
COMMENT ON VIEW mirox.token_report IS 'A row for each token, with its use since it was issued or last rotated';

CREATE VIEW mirox.expiring_tokens AS
    SELECT r.token_id, r.user_id, r.name, r.permission_group, r.permissions, r.place, r.status, r.created_at, r.rotated_at,
           r.expires_at, r.last_used_at, r.last_ip, r.last_location, r.last_browser, r.last_os, r.uses, r.refusals,
           mirox_internal.days_until(r.expires_at, pg_catalog.statement_timestamp()) AS days_left,
           r.account_id
    FROM mirox.token_report r
    WHERE r.revoked_at IS NULL AND r.expires_at > pg_catalog.statement_timestamp()
      AND r.expires_at <= mirox_internal.expiry_horizon()
      -- A token expires with its current secret, whose index finds the rows to look at.
      AND r.token_id IN (SELECT s.token_id FROM mirox_internal.token_secret s
                         WHERE s.expires_at > pg_catalog.statement_timestamp() AND s.expires_at <= mirox_internal.expiry_horizon());
REVOKE ALL ON TABLE mirox.expiring_tokens FROM PUBLIC;
COMMENT ON VIEW mirox.expiring_tokens IS 'A row for each token in force that expires within mirox_tokens.expiry_notice';

CREATE VIEW mirox.unused_tokens AS
    SELECT r.token_id, r.user_id, r.name, r.permission_group, r.permissions, r.place, r.status, r.created_at, r.rotated_at,
           r.expires_at, r.last_used_at, r.last_ip, r.last_location, r.last_browser, r.last_os, r.uses, r.refusals,
           mirox_internal.days_until(pg_catalog.statement_timestamp(), COALESCE(r.last_used_at, r.rotated_at, r.created_at))
               AS days_unused,
           r.account_id
    FROM mirox.token_report r
    WHERE r.revoked_at IS NULL AND r.expires_at > pg_catalog.statement_timestamp()
      AND r.created_at < mirox_internal.unused_since(pg_catalog.statement_timestamp())
      AND COALESCE(r.last_used_at, r.rotated_at, r.created_at) < mirox_internal.unused_since(pg_catalog.statement_timestamp());
REVOKE ALL ON TABLE mirox.unused_tokens FROM PUBLIC;
COMMENT ON VIEW mirox.unused_tokens IS
    'A row for each token in force that has not been used for 90 days (nor issued or rotated in them)';

CREATE VIEW mirox.account_report AS
    SELECT a.user_id, a.locked_at IS NOT NULL AS locked, n.tokens, n.tokens_expiring, n.tokens_expired,
           GREATEST(mirox_internal.places() - n.tokens, 0) AS places_free, GREATEST(n.last_used_at, p.last_used_at) AS last_used_at,
           n.uses + COALESCE(p.uses, 0) AS uses, n.refusals + COALESCE(p.refusals, 0) AS refusals, a.permissions, a.created_at,
           a.account_id
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

-- ---- usage by time -----------------------------------------------------------------------------------------------------

-- Minutes, hours and days have the same columns, from one list.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('usage_minutely', 'minute', 'Use of tokens and sessions: a row for each minute, caller, endpoint and outcome'),
        ('usage_hourly', 'hour', 'Use of tokens and sessions: a row for each hour, caller, endpoint and outcome'),
        ('usage_daily', 'day', 'Use of tokens and sessions: a row for each day in UTC, caller, endpoint and outcome')
    ) v (name, unit, comment) LOOP
        EXECUTE format(
            'CREATE VIEW mirox.%1$I AS
             SELECT u.%2$I, n.user_id, u.token_id, u.ip, p.location, a.browser, a.os, s.scope, u.status, u.reason, u.requests,
                    u.first_at, u.last_at, a.agent AS user_agent, u.generation, u.account_id, u.session_id,
                    NULLIF(e.method, '''') AS method, NULLIF(e.endpoint, '''') AS endpoint,
                    COALESCE(p.country, u.country) AS country, p.region, p.city, p.latitude, p.longitude
             FROM mirox_internal.%3$I u
             LEFT JOIN mirox_internal.account_name n ON n.account_id = u.account_id
             LEFT JOIN mirox_internal.agent a ON a.agent_id = u.agent_id
             LEFT JOIN mirox_internal.used_place p ON p.place_id = u.place_id
             LEFT JOIN mirox_internal.used_endpoint e ON e.endpoint_id = u.endpoint_id
             LEFT JOIN mirox_internal.used_scope s ON s.scope_id = u.scope_id',
            one.name, one.unit, one.unit || '_all');
        EXECUTE format('REVOKE ALL ON TABLE mirox.%I FROM PUBLIC', one.name);
        EXECUTE format('COMMENT ON VIEW mirox.%I IS %L', one.name, one.comment);
    END LOOP;
END$$;

CREATE VIEW mirox.refusals AS
    SELECT u.first_at, u.last_at, u.status, u.reason, u.token_id, n.user_id, u.ip, p.location, a.agent AS user_agent, u.requests,
           u.session_id, s.scope, u.account_id, u.generation, a.browser, a.os, NULLIF(e.method, '') AS method,
           NULLIF(e.endpoint, '') AS endpoint, p.country, p.region, p.city, p.latitude, p.longitude
    FROM (SELECT first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id,
                 scope_id, ip, reason
          FROM mirox_internal.refusal_minute
          UNION ALL
          SELECT first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id,
                 scope_id, ip, reason
          FROM mirox_internal.open_minute WHERE status >= 400
          UNION ALL
          SELECT first_at, last_at, requests, NULL, NULL, NULL, NULL, status, NULL, place_id, NULL, NULL, network, reason
          FROM mirox_internal.unauthenticated) u
    LEFT JOIN mirox_internal.account_name n ON n.account_id = u.account_id
    LEFT JOIN mirox_internal.agent a ON a.agent_id = u.agent_id
    LEFT JOIN mirox_internal.used_place p ON p.place_id = u.place_id
    LEFT JOIN mirox_internal.used_endpoint e ON e.endpoint_id = u.endpoint_id
    LEFT JOIN mirox_internal.used_scope s ON s.scope_id = u.scope_id
    WHERE u.status >= 400;
REVOKE ALL ON TABLE mirox.refusals FROM PUBLIC;
COMMENT ON VIEW mirox.refusals IS
    'A row for each refused caller, endpoint, reason and minute. Callers without a known token are grouped by network';

-- ---- sums --------------------------------------------------------------------------------------------------------------

-- Rows of open minutes, and of minutes that closed in this hour, are added up here.
CREATE VIEW mirox.traffic_hourly AS
    SELECT hour, kind, status, reason, pg_catalog.sum(requests)::bigint AS requests
    FROM (SELECT hour, kind, status, reason, requests FROM mirox_internal.traffic_hour
          UNION ALL
          SELECT pg_catalog.date_trunc('hour', minute, 'UTC'),
                 CASE WHEN credential > 0 THEN 'token' ELSE 'session' END COLLATE "C", status, COALESCE(reason, 'ok'), requests
          FROM mirox_internal.open_use
          UNION ALL
          SELECT pg_catalog.date_bin('1:00', minute, '2000-01-01 00:00:00+00'), 'stranger' COLLATE "C", status, reason, requests
          FROM mirox_internal.unauthenticated) t
    GROUP BY hour, kind, status, reason;
REVOKE ALL ON TABLE mirox.traffic_hourly FROM PUBLIC;
COMMENT ON VIEW mirox.traffic_hourly IS 'All requests: a row for each hour, kind of caller, status and reason';

CREATE VIEW mirox.account_daily AS
    SELECT d.day, n.user_id, d.uses, d.refusals, d.account_id
    FROM (SELECT day, account_id, pg_catalog.sum(uses)::bigint AS uses, pg_catalog.sum(refusals)::bigint AS refusals
          FROM (SELECT day, account_id, uses, refusals FROM mirox_internal.account_day
                UNION ALL
                SELECT pg_catalog.timezone('UTC', at)::date, account_id, CASE WHEN status < 400 THEN requests ELSE 0 END,
                       CASE WHEN status >= 400 THEN requests ELSE 0 END
                FROM mirox_internal.unsummed_hours) t
          GROUP BY day, account_id) d
    LEFT JOIN mirox_internal.account_name n ON n.account_id = d.account_id;
REVOKE ALL ON TABLE mirox.account_daily FROM PUBLIC;
COMMENT ON VIEW mirox.account_daily IS 'A row for each day in UTC and account that was used: its uses and refusals';

-- ---- audit -------------------------------------------------------------------------------------------------------------

CREATE VIEW mirox.audit_acts AS
    SELECT l.audit_id, l.at, l.event, n.user_id, l.token_id, l.session_id, l.db_role, l.ip, l.user_agent, l.detail, l.node,
           l.acting_token_id, l.acting_session_id, l.login_role, l.account_id, l.user_id AS user_id_then, l.by_session_id
    FROM mirox_internal.audit_log l
    LEFT JOIN mirox_internal.account_name n ON n.account_id = l.account_id;
REVOKE ALL ON TABLE mirox.audit_acts FROM PUBLIC;
COMMENT ON VIEW mirox.audit_acts IS 'A row for each act of management';

CREATE VIEW mirox.audit_trail AS
    SELECT u.audit_id, u.at, u.event, n.user_id, u.token_id, u.session_id, u.db_role, u.ip, COALESCE(u.user_agent, a.agent) AS user_agent,
           u.requests,
           COALESCE(u.detail, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
               'status', u.status, 'reason', u.reason, 'scope', s.scope, 'method', NULLIF(e.method, ''), 'endpoint',
               NULLIF(e.endpoint, ''), 'location', p.location, 'browser', a.browser, 'os', a.os, 'last_at',
               pg_catalog.to_char(pg_catalog.timezone('UTC', u.last_at), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))) AS detail,
           u.node, u.acting_token_id, u.acting_session_id, u.login_role, u.account_id, u.generation, u.status, u.reason, s.scope,
           NULLIF(e.method, '') AS method, NULLIF(e.endpoint, '') AS endpoint, p.country, p.region, p.city, p.latitude, p.longitude,
           u.by_session_id
    FROM (SELECT audit_id, at, event, token_id, session_id, db_role, ip, user_agent, requests, detail, node, acting_token_id,
                 acting_session_id, login_role, account_id, NULL::timestamptz AS last_at, NULL::integer AS generation,
                 NULL::integer AS status, NULL::text COLLATE "C" AS reason, NULL::integer AS agent_id, NULL::integer AS place_id,
                 NULL::integer AS endpoint_id, NULL::integer AS scope_id, by_session_id
          FROM mirox_internal.audit_log
          UNION ALL
          SELECT NULL, first_at, event, token_id, session_id, NULL::text COLLATE "C", ip, NULL::text, requests, NULL, NULL, NULL,
                 NULL, NULL::text COLLATE "C", account_id, last_at, generation, status, reason, agent_id, place_id, endpoint_id,
                 scope_id, NULL
          FROM mirox_internal.minute_all) u
    LEFT JOIN mirox_internal.account_name n ON n.account_id = u.account_id
    LEFT JOIN mirox_internal.agent a ON a.agent_id = u.agent_id
    LEFT JOIN mirox_internal.used_place p ON p.place_id = u.place_id
    LEFT JOIN mirox_internal.used_endpoint e ON e.endpoint_id = u.endpoint_id
    LEFT JOIN mirox_internal.used_scope s ON s.scope_id = u.scope_id;
REVOKE ALL ON TABLE mirox.audit_trail FROM PUBLIC;
COMMENT ON VIEW mirox.audit_trail IS
    'A row for each act of management, and for each use of a token or session, summed by minute (requests is the number)';

-- ---- what each column is -----------------------------------------------------------------------------------------------

-- One text a column name, and another one for views where it means something else.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT c.relname, a.attname, w.text
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        CROSS JOIN LATERAL (
            SELECT w.text FROM (VALUES
                (NULL::text, 'token_id', 'The token; NULL: a web session, an act without one, or a caller without a known token'),
                ('token_report expiring_tokens unused_tokens', 'token_id', 'The token''s id'),
                (NULL, 'user_id', 'The owner, as the platform names the user now; for a deleted account, its last name'),
                (NULL, 'account_id', 'The owner''s account; stays when the user is renamed, and finds rows faster than user_id'),
                (NULL, 'name', 'The token''s name'),
                (NULL, 'permission_group', 'The token''s permission group'),
                (NULL, 'permissions', 'What the token may reach now: the owner''s, the group''s and its own permissions'),
                ('account_report', 'permissions', 'The owner''s permissions'),
                (NULL, 'place', 'Its place in the owner''s list'),
                (NULL, 'status', 'The HTTP status of the answer'),
                ('token_report expiring_tokens unused_tokens', 'status',
                 'active, expiring (within mirox_tokens.expiry_notice), expired or revoked'),
                ('audit_trail', 'status', 'The HTTP status of the answer; NULL: an act of management'),
                (NULL, 'created_at', 'When it was issued'),
                ('account_report', 'created_at', 'When the account was registered'),
                (NULL, 'rotated_at', 'When it was last rotated; NULL: never'),
                (NULL, 'expires_at', 'When it stops working'),
                (NULL, 'last_used_at', 'When it was last admitted, since it was issued or last rotated'),
                ('account_report', 'last_used_at', 'When one of its tokens was last admitted'),
                (NULL, 'last_ip', 'The address of the last use'),
                (NULL, 'last_location', 'The location of that address, by mirox_tokens.geoip_database'),
                (NULL, 'last_browser', 'The browser or program of the last use'),
                (NULL, 'last_os', 'The operating system of the last use'),
                (NULL, 'last_country', 'The country of that address, as ISO 3166-1 alpha-2'),
                (NULL, 'uses', 'How often it was admitted, since it was issued or last rotated'),
                ('account_report', 'uses', 'How often its tokens were admitted, since each was issued or last rotated'),
                ('account_daily', 'uses', 'Requests of its tokens and sessions that were admitted on that day'),
                (NULL, 'refusals', 'How often it was refused, since it was issued or last rotated'),
                ('account_report', 'refusals', 'How often its tokens were refused, since each was issued or last rotated'),
                ('account_daily', 'refusals', 'Requests of its tokens and sessions that were refused on that day'),
                (NULL, 'last_refused_at', 'When it was last refused'),
                (NULL, 'hint', 'The redacted form of the current secret'),
                (NULL, 'rate_limit', 'The token''s own requests a minute, beside the account''s limit; NULL: none of its own'),
                (NULL, 'burst', 'The token''s own requests at once after a pause; NULL: as many as in a minute'),
                (NULL, 'allowed_ips', 'The networks it works from; NULL: all'),
                (NULL, 'revoked_at', 'When it was revoked; NULL: it was not'),
                (NULL, 'revoke_reason', 'Why it was revoked'),
                (NULL, 'metadata', 'Metadata of the application'),
                (NULL, 'days_left', 'Whole days until it expires'),
                (NULL, 'days_unused', 'Whole days since its last use (or since it was issued or rotated)'),
                (NULL, 'locked', 'Whether the account is locked'),
                (NULL, 'tokens', 'Tokens that are not revoked'),
                (NULL, 'tokens_expiring', 'Of those, the ones that expire within mirox_tokens.expiry_notice'),
                (NULL, 'tokens_expired', 'Of those, the ones that have expired'),
                (NULL, 'places_free', 'How many more tokens it may hold'),
                (NULL, 'minute', 'The start of the minute'),
                (NULL, 'hour', 'The start of the hour'),
                (NULL, 'day', 'The day in UTC'),
                (NULL, 'ip',
                 'The caller''s address; a network: one token came from too many addresses to keep each; NULL: not known'),
                ('refusals', 'ip',
                 'The address; a network: callers without a known token, or too many addresses of one token to keep each; NULL: not known, or too many networks'),
                ('audit_acts', 'ip', 'The address of the session'),
                ('audit_trail', 'ip',
                 'The address of the session or of the caller; a network: one token came from too many addresses to keep each'),
                (NULL, 'location', 'The location of that address at the time, as people read it; NULL: not known'),
                (NULL, 'country', 'The country of that address at the time, as ISO 3166-1 alpha-2; NULL: not known'),
                (NULL, 'region', 'The region of that address at the time; NULL: not known'),
                (NULL, 'city', 'The city of that address at the time; NULL: not known'),
                (NULL, 'latitude', 'The latitude of that place in degrees; NULL: not known'),
                (NULL, 'longitude', 'The longitude of that place in degrees; NULL: not known'),
                (NULL, 'browser', 'The browser or program'),
                (NULL, 'os', 'The operating system'),
                (NULL, 'scope',
                 'The scope that the request needed, or the function that was called (management_refused); NULL: none'),
                (NULL, 'method', 'The method of the request; NULL: only a secret was checked, or the method is malformed'),
                (NULL, 'endpoint',
                 'The endpoint rule that matched, as method and path: GET /parks/*; NULL: none, or only a secret was checked'),
                (NULL, 'reason', 'The exact reason of the answer; other: a reason that this version does not know'),
                ('audit_trail', 'reason',
                 'The exact reason of the answer; other: a reason that this version does not know; NULL: an act of management'),
                (NULL, 'requests', 'Number of requests'),
                ('audit_trail', 'requests', 'The number of uses in the row; NULL: an act of management'),
                (NULL, 'kind', 'Who sent the requests: token, session, or stranger (no known token or session)'),
                (NULL, 'first_at', 'Time of the first'),
                (NULL, 'last_at', 'Time of the last'),
                (NULL, 'user_agent', 'The user agent that the caller sent, cleaned and cut at 512 bytes'),
                ('refusals', 'user_agent', 'The user agent; not recorded for callers without a known token'),
                ('audit_acts', 'user_agent', 'The user agent of the session'),
                ('audit_trail', 'user_agent', 'The user agent of the session or of the caller'),
                (NULL, 'generation', 'How often the token had been issued and rotated'),
                ('token_report', 'generation', 'How often it has been issued and rotated'),
                ('audit_trail', 'generation', 'How often the token had been issued and rotated; NULL: an act of management'),
                (NULL, 'session_id', 'The web session that sent the request; NULL: a token, or an unauthenticated caller'),
                ('audit_acts', 'session_id', 'The web session that the act is about, otherwise the one that acted'),
                ('audit_trail', 'session_id', 'The web session that the act is about, otherwise the one that acted; or that sent the request'),
                (NULL, 'by_session_id', 'The web session by whose secret the act was done; NULL: by none'),
                (NULL, 'audit_id', 'With node, the key of the row in the audit log'),
                ('audit_trail', 'audit_id', 'With node, the key of the row in the audit log; NULL: a use'),
                (NULL, 'at', 'When it happened'),
                ('audit_trail', 'at', 'When it happened; for uses, the first one of the minute'),
                (NULL, 'event', 'What happened: token_issued, token_rotated, session_opened ...'),
                ('audit_trail', 'event', 'What happened: token_issued, session_opened ...; used or refused for requests'),
                (NULL, 'db_role', 'The database role that called: current_user at the call'),
                (NULL, 'detail', 'Details: values of a new row, or changes'),
                ('audit_trail', 'detail', 'Details: changes, or the answer to a use'),
                (NULL, 'node', 'With audit_id, the key in the audit log'),
                (NULL, 'acting_token_id', 'The token that the transaction acted for (authenticate); NULL: none'),
                (NULL, 'acting_session_id', 'The web session that the transaction acted for; NULL: none'),
                (NULL, 'login_role', 'The database role that logged in: session_user at the call'),
                (NULL, 'user_id_then', 'The owner as the platform named the user at the time of the act')
            ) w (views, name, text)
            WHERE w.name = a.attname AND c.relname = ANY (COALESCE(string_to_array(w.views, ' '), ARRAY[c.relname::text]))
            ORDER BY w.views IS NULL LIMIT 1) w
        WHERE c.relnamespace = 'mirox'::regnamespace
          AND c.relname IN ('token_report', 'expiring_tokens', 'unused_tokens', 'account_report', 'usage_minutely', 'usage_hourly',
                            'usage_daily', 'refusals', 'traffic_hourly', 'account_daily', 'audit_acts', 'audit_trail')
    LOOP
        EXECUTE format('COMMENT ON COLUMN mirox.%I.%I IS %L', one.relname, one.attname, one.text);
    END LOOP;
END$$;

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.token_report', 'relation', 'reporting'),
    ('mirox.expiring_tokens', 'relation', 'reporting'),
    ('mirox.unused_tokens', 'relation', 'reporting'),
    ('mirox.usage_minutely', 'relation', 'reporting'),
    ('mirox.usage_hourly', 'relation', 'reporting'),
    ('mirox.usage_daily', 'relation', 'reporting'),
    ('mirox.refusals', 'relation', 'reporting'),
    ('mirox.traffic_hourly', 'relation', 'reporting'),
    ('mirox.account_daily', 'relation', 'reporting'),
    ('mirox.audit_acts', 'relation', 'reporting'),
    ('mirox.audit_trail', 'relation', 'reporting'),
    ('mirox.account_report', 'relation', 'reporting'),
    ('mirox_internal.token_status(timestamptz,timestamptz,timestamptz,timestamptz,timestamptz)', 'function', 'reporting'),
    ('mirox_internal.days_until(timestamp with time zone,timestamp with time zone)', 'function', 'reporting'),
    ('mirox_internal.compile_permissions(mirox.scopes,mirox.scopes)', 'function', 'reporting'),
    ('mirox_internal.pending_uses(bigint,bigint,integer)', 'function', 'reporting'),
    ('mirox_internal.ring_ids()', 'function', 'reporting'),
    ('mirox_internal.expiry_horizon()', 'function', 'reporting'),
    ('mirox_internal.unused_since(timestamptz)', 'function', 'reporting'),
    ('mirox_internal.places()', 'function', 'reporting'),
    ('mirox_internal.unsummed(text)', 'function', 'reporting'),
    ('mirox_internal.whole_use(bigint,bigint,timestamptz,timestamptz,inet,integer,integer,bigint,bigint,timestamptz,timestamptz,inet,'
     'integer,integer,bigint,bigint,timestamptz,timestamptz,inet,integer)', 'function', 'reporting');
