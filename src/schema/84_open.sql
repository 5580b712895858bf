-- Internal views of the reports: callers as they are shown, and the recorded use that is still open, by token, minute, hour and
-- day. Each reader adds the open use to the closed use, in one snapshot (25_usage.sql).

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

-- Unpacked before any sort or aggregation (hence OFFSET 0), so that the packed arrays are not carried along.
CREATE VIEW mirox_internal.open_all AS
    SELECT minute, caller_id, requests, first_at, last_at, token_id FROM mirox_internal.open_use OFFSET 0;
REVOKE ALL ON TABLE mirox_internal.open_all FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_all IS 'Internal: all use of open minutes by minute, caller and drain';

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

CREATE VIEW mirox_internal.open_hour AS
    SELECT pg_catalog.date_trunc('hour', minute, 'UTC') AS hour, caller_id, pg_catalog.sum(requests)::bigint AS requests,
           pg_catalog.min(first_at) AS first_at, pg_catalog.max(last_at) AS last_at
    FROM mirox_internal.open_all GROUP BY 1, 2;
REVOKE ALL ON TABLE mirox_internal.open_hour FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_hour IS 'Internal: use of open minutes by hour and caller';

CREATE VIEW mirox_internal.open_day AS
    SELECT pg_catalog.timezone('UTC', minute)::date AS day, caller_id, pg_catalog.sum(requests)::bigint AS requests,
           pg_catalog.min(first_at) AS first_at, pg_catalog.max(last_at) AS last_at
    FROM mirox_internal.open_all GROUP BY 1, 2;
REVOKE ALL ON TABLE mirox_internal.open_day FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_day IS 'Internal: use of open minutes by day and caller';

-- All use of a token, for token_report and list_tokens(): the closed part (c), the open part (o) and the part in shared memory
-- (p). The newest part gives address and agent. A use in shared memory has no location; when its address is the same as the last
-- one in the tables, that location is shown.
CREATE FUNCTION mirox_internal.whole_use(
    c_uses bigint, c_refusals bigint, c_used_at timestamptz, c_refused_at timestamptz, c_ip inet, c_location text, c_browser text,
    c_os text,
    o_uses bigint, o_refusals bigint, o_used_at timestamptz, o_refused_at timestamptz, o_ip inet, o_location text, o_browser text,
    o_os text,
    p_uses bigint, p_refusals bigint, p_used_at timestamptz, p_refused_at timestamptz, p_ip inet, p_browser text, p_os text,
    OUT uses bigint, OUT refusals bigint, OUT last_used_at timestamptz, OUT last_refused_at timestamptz, OUT last_ip inet,
    OUT last_location text, OUT last_browser text, OUT last_os text) RETURNS SETOF record
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT COALESCE(c_uses, 0) + COALESCE(o_uses, 0) + COALESCE(p_uses, 0),
           COALESCE(c_refusals, 0) + COALESCE(o_refusals, 0) + COALESCE(p_refusals, 0),
           GREATEST(c_used_at, o_used_at, p_used_at), GREATEST(c_refused_at, o_refused_at, p_refused_at),
           CASE WHEN n.p THEN p_ip WHEN n.o THEN o_ip ELSE c_ip END,
           CASE WHEN n.p AND p_ip IS DISTINCT FROM CASE WHEN n.o THEN o_ip ELSE c_ip END THEN NULL
                WHEN n.o THEN o_location ELSE c_location END,
           CASE WHEN n.p THEN p_browser WHEN n.o THEN o_browser ELSE c_browser END,
           CASE WHEN n.p THEN p_os WHEN n.o THEN o_os ELSE c_os END
    FROM (SELECT o_used_at >= COALESCE(c_used_at, '-infinity') AS o,
                 p_used_at > COALESCE(GREATEST(c_used_at, o_used_at), '-infinity') AS p) n;
END;
REVOKE ALL ON FUNCTION mirox_internal.whole_use FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.whole_use IS 'Internal: all use of a token: the closed part, the open part and the part in shared memory';
