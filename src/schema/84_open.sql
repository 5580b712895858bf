-- Internal views of the reports: recorded use that is still open, or closed and not added up yet. Each reader adds it to what is closed
-- and added up, in one snapshot (25_usage.sql). They have keys of agents, places, endpoints and scopes; views above join the texts.

-- Unpacked, drain by drain. credential: the token's id, or minus the session's id. By unnest(), of which the planner expects ten rows. Of
-- generate_series() it expects a thousand. Then a page of all use would be sorted, not merged.
CREATE VIEW mirox_internal.open_use AS
    SELECT o.minute, o.first_at[i] AS first_at, o.last_at[i] AS last_at, o.requests[i]::bigint AS requests,
           o.accounts[i] AS account_id, CASE WHEN credential > 0 THEN credential END AS token_id,
           CASE WHEN credential < 0 THEN - credential END AS session_id, o.generations[i] AS generation,
           o.statuses[i] AS status, o.reasons[i] AS reason, o.agents[i] AS agent_id, o.places[i] AS place_id,
           o.endpoints[i] AS endpoint_id, o.scopes[i] AS scope_id, o.ips[i] AS ip,
           credential, o.first_credential, o.last_credential, o.open_id
    FROM mirox_internal.usage_open o
    CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(o.credentials)) WITH ORDINALITY u (credential, i)
    WHERE (o.open_id <= (SELECT c.upto FROM mirox_internal.usage_closing c)
           AND o.minute < (SELECT c.before FROM mirox_internal.usage_closing c)
           AND credential <= (SELECT c.credential FROM mirox_internal.usage_closing c)) IS NOT TRUE;
REVOKE ALL ON TABLE mirox_internal.open_use FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_use IS
    'Internal: use of open minutes by drain; first_credential and last_credential tell which rows can hold a token';

-- Unpacked before any sort or aggregation (hence OFFSET 0), so that the packed arrays are not carried along.
CREATE VIEW mirox_internal.open_minute AS
    SELECT minute, pg_catalog.min(first_at) AS first_at, pg_catalog.max(last_at) AS last_at,
           pg_catalog.sum(requests)::bigint AS requests, account_id, token_id, session_id, generation, status, agent_id,
               place_id, endpoint_id, scope_id, ip, reason, credential
    FROM (SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
        place_id, endpoint_id, scope_id, ip, reason, credential FROM mirox_internal.open_use OFFSET 0) o
    GROUP BY minute, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip,
        reason, credential;
REVOKE ALL ON TABLE mirox_internal.open_minute FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_minute IS 'Internal: use of open minutes, by minute';

CREATE VIEW mirox_internal.open_token AS
    SELECT token_id, generation,
           COALESCE(pg_catalog.sum(requests) FILTER (WHERE status < 400), 0)::bigint AS uses,
           COALESCE(pg_catalog.sum(requests) FILTER (WHERE status >= 400), 0)::bigint AS refusals,
           pg_catalog.max(last_at) FILTER (WHERE status < 400) AS last_used_at,
           pg_catalog.max(last_at) FILTER (WHERE status >= 400) AS last_refused_at,
           (pg_catalog.array_agg(ip ORDER BY last_at DESC) FILTER (WHERE status < 400))[1] AS last_ip,
           (pg_catalog.array_agg(agent_id ORDER BY last_at DESC) FILTER (WHERE status < 400))[1] AS last_agent_id,
           (pg_catalog.array_agg(place_id ORDER BY last_at DESC) FILTER (WHERE status < 400))[1] AS last_place_id
    FROM (SELECT * FROM mirox_internal.open_use WHERE credential > 0 OFFSET 0) o
    GROUP BY token_id, generation;
REVOKE ALL ON TABLE mirox_internal.open_token FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_token IS 'Internal: use of tokens in minutes that are still open';

-- ---- by minute ---------------------------------------------------------------------------------------------------------

CREATE VIEW mirox_internal.minute_use AS
    SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip FROM mirox_internal.usage_minute
    UNION ALL
    SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip FROM mirox_internal.open_minute WHERE status < 400;
REVOKE ALL ON TABLE mirox_internal.minute_use FROM PUBLIC;
COMMENT ON VIEW mirox_internal.minute_use IS 'Internal: admitted uses by minute, open minutes included';

CREATE VIEW mirox_internal.minute_refusal AS
    SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip, reason FROM mirox_internal.refusal_minute
    UNION ALL
    SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip, reason FROM mirox_internal.open_minute WHERE status >= 400;
REVOKE ALL ON TABLE mirox_internal.minute_refusal FROM PUBLIC;
COMMENT ON VIEW mirox_internal.minute_refusal IS 'Internal: refused uses of tokens and sessions by minute, with open minutes';

-- ---- by hour and day: what is added up, and what is not added up yet ---------------------------------------------------

CREATE VIEW mirox_internal.summed AS
    SELECT u.unit, COALESCE(s.before, '-infinity') AS before, u.width, COALESCE(s.account, -1) AS account
    FROM (VALUES ('hour', INTERVAL '1 hour'), ('day', INTERVAL '1 day')) u (unit, width)
    LEFT JOIN mirox_internal.usage_summed s ON s.unit = u.unit;
REVOKE ALL ON TABLE mirox_internal.summed FROM PUBLIC;
COMMENT ON VIEW mirox_internal.summed IS 'Internal: how far hours and days are added up; a row for each unit';

CREATE VIEW mirox_internal.unsummed_minute_use AS
    SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip FROM mirox_internal.usage_minute m
    WHERE first_at >= (SELECT before FROM mirox_internal.summed WHERE unit = 'hour')
      AND (first_at >= (SELECT before + width FROM mirox_internal.summed WHERE unit = 'hour')
           OR account_id > (SELECT account FROM mirox_internal.summed WHERE unit = 'hour'));
CREATE VIEW mirox_internal.unsummed_hour_use AS
    SELECT hour, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip FROM mirox_internal.usage_hour h
    WHERE hour >= (SELECT before FROM mirox_internal.summed WHERE unit = 'day')
      AND (hour >= (SELECT before + width FROM mirox_internal.summed WHERE unit = 'day')
           OR account_id > (SELECT account FROM mirox_internal.summed WHERE unit = 'day'));
REVOKE ALL ON TABLE mirox_internal.unsummed_minute_use FROM PUBLIC;
REVOKE ALL ON TABLE mirox_internal.unsummed_hour_use FROM PUBLIC;
COMMENT ON VIEW mirox_internal.unsummed_minute_use IS 'Internal: closed minutes that no hour has yet';
COMMENT ON VIEW mirox_internal.unsummed_hour_use IS 'Internal: hours that no day has yet';

CREATE VIEW mirox_internal.unsummed_minute_refusal AS
    SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip, reason FROM mirox_internal.refusal_minute m
    WHERE first_at >= (SELECT before FROM mirox_internal.summed WHERE unit = 'hour')
      AND (first_at >= (SELECT before + width FROM mirox_internal.summed WHERE unit = 'hour')
           OR account_id > (SELECT account FROM mirox_internal.summed WHERE unit = 'hour'));
CREATE VIEW mirox_internal.unsummed_hour_refusal AS
    SELECT hour, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip, reason FROM mirox_internal.refusal_hour h
    WHERE hour >= (SELECT before FROM mirox_internal.summed WHERE unit = 'day')
      AND (hour >= (SELECT before + width FROM mirox_internal.summed WHERE unit = 'day')
           OR account_id > (SELECT account FROM mirox_internal.summed WHERE unit = 'day'));
REVOKE ALL ON TABLE mirox_internal.unsummed_minute_refusal FROM PUBLIC;
REVOKE ALL ON TABLE mirox_internal.unsummed_hour_refusal FROM PUBLIC;
COMMENT ON VIEW mirox_internal.unsummed_minute_refusal IS 'Internal: closed minutes that no hour has yet';
COMMENT ON VIEW mirox_internal.unsummed_hour_refusal IS 'Internal: hours that no day has yet';

CREATE VIEW mirox_internal.hour_use AS
    SELECT hour, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip FROM mirox_internal.usage_hour
    UNION ALL
    SELECT pg_catalog.date_trunc('hour', minute, 'UTC'), pg_catalog.min(first_at), pg_catalog.max(last_at),
           pg_catalog.sum(requests)::bigint, account_id, token_id, session_id, generation, status, agent_id, place_id,
               endpoint_id, scope_id, ip
    FROM (SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
        place_id, endpoint_id, scope_id, ip FROM mirox_internal.unsummed_minute_use
          UNION ALL
          SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
              place_id, endpoint_id, scope_id, ip FROM mirox_internal.open_use WHERE status < 400) m
    GROUP BY 1, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip;
REVOKE ALL ON TABLE mirox_internal.hour_use FROM PUBLIC;
COMMENT ON VIEW mirox_internal.hour_use IS 'Internal: admitted uses by hour, with those not added up yet';

CREATE VIEW mirox_internal.day_use AS
    SELECT day, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip FROM mirox_internal.usage_day
    UNION ALL
    SELECT pg_catalog.timezone('UTC', at)::date, pg_catalog.min(first_at), pg_catalog.max(last_at),
           pg_catalog.sum(requests)::bigint, account_id, token_id, session_id, generation, status, agent_id, place_id,
               endpoint_id, scope_id, ip
    FROM (SELECT hour AS at, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
        place_id, endpoint_id, scope_id, ip FROM mirox_internal.unsummed_hour_use
          UNION ALL
          SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
              place_id, endpoint_id, scope_id, ip FROM mirox_internal.unsummed_minute_use
          UNION ALL
          SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
              place_id, endpoint_id, scope_id, ip FROM mirox_internal.open_use WHERE status < 400) m
    GROUP BY 1, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip;
REVOKE ALL ON TABLE mirox_internal.day_use FROM PUBLIC;
COMMENT ON VIEW mirox_internal.day_use IS 'Internal: admitted uses by day, with those not added up yet';

CREATE VIEW mirox_internal.hour_refusal AS
    SELECT hour, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip, reason FROM mirox_internal.refusal_hour
    UNION ALL
    SELECT pg_catalog.date_trunc('hour', minute, 'UTC'), pg_catalog.min(first_at), pg_catalog.max(last_at),
           pg_catalog.sum(requests)::bigint, account_id, token_id, session_id, generation, status, agent_id, place_id,
               endpoint_id, scope_id, ip, reason
    FROM (SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
        place_id, endpoint_id, scope_id, ip, reason FROM mirox_internal.unsummed_minute_refusal
          UNION ALL
          SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
              place_id, endpoint_id, scope_id, ip, reason FROM mirox_internal.open_use WHERE status >= 400) m
    GROUP BY 1, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip, reason;
REVOKE ALL ON TABLE mirox_internal.hour_refusal FROM PUBLIC;
COMMENT ON VIEW mirox_internal.hour_refusal IS 'Internal: refused uses of tokens and sessions by hour, with those not added up yet';

CREATE VIEW mirox_internal.day_refusal AS
    SELECT day, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id,
        endpoint_id, scope_id, ip, reason FROM mirox_internal.refusal_day
    UNION ALL
    SELECT pg_catalog.timezone('UTC', at)::date, pg_catalog.min(first_at), pg_catalog.max(last_at),
           pg_catalog.sum(requests)::bigint, account_id, token_id, session_id, generation, status, agent_id, place_id,
               endpoint_id, scope_id, ip, reason
    FROM (SELECT hour AS at, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
        place_id, endpoint_id, scope_id, ip, reason FROM mirox_internal.unsummed_hour_refusal
          UNION ALL
          SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
              place_id, endpoint_id, scope_id, ip, reason FROM mirox_internal.unsummed_minute_refusal
          UNION ALL
          SELECT minute, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id,
              place_id, endpoint_id, scope_id, ip, reason FROM mirox_internal.open_use WHERE status >= 400) m
    GROUP BY 1, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip, reason;
REVOKE ALL ON TABLE mirox_internal.day_refusal FROM PUBLIC;
COMMENT ON VIEW mirox_internal.day_refusal IS 'Internal: refused uses of tokens and sessions by day, with those not added up yet';

-- All use of a token: the closed part (c), the open part (o) and the part in shared memory (p). The newest part gives address, agent and
-- place. A use in shared memory has no place; when its address is the same as the last one in the tables, that place is shown.
CREATE FUNCTION mirox_internal.whole_use(
    c_uses bigint, c_refusals bigint, c_used_at timestamptz, c_refused_at timestamptz, c_ip inet, c_agent integer, c_place integer,
    o_uses bigint, o_refusals bigint, o_used_at timestamptz, o_refused_at timestamptz, o_ip inet, o_agent integer, o_place integer,
    p_uses bigint, p_refusals bigint, p_used_at timestamptz, p_refused_at timestamptz, p_ip inet, p_agent integer,
    OUT uses bigint, OUT refusals bigint, OUT last_used_at timestamptz, OUT last_refused_at timestamptz, OUT last_ip inet,
    OUT last_agent_id integer, OUT last_place_id integer) RETURNS SETOF record
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    SELECT COALESCE(c_uses, 0) + COALESCE(o_uses, 0) + COALESCE(p_uses, 0),
           COALESCE(c_refusals, 0) + COALESCE(o_refusals, 0) + COALESCE(p_refusals, 0),
           GREATEST(c_used_at, o_used_at, p_used_at), GREATEST(c_refused_at, o_refused_at, p_refused_at),
           CASE WHEN n.p THEN p_ip WHEN n.o THEN o_ip ELSE c_ip END,
           CASE WHEN n.p THEN p_agent WHEN n.o THEN o_agent ELSE c_agent END,
           CASE WHEN n.p AND p_ip IS DISTINCT FROM CASE WHEN n.o THEN o_ip ELSE c_ip END THEN NULL
                WHEN n.o THEN o_place ELSE c_place END
    FROM (SELECT o_used_at >= COALESCE(c_used_at, '-infinity') AS o,
                 p_used_at > COALESCE(GREATEST(c_used_at, o_used_at), '-infinity') AS p) n;
END;
REVOKE ALL ON FUNCTION mirox_internal.whole_use FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.whole_use IS 'Internal: all use of a token: the closed part, the open part and the part in shared memory';

-- All use of one generation of a token, for list_tokens(). It is inlined, so that it reads open minutes and shared memory for that
-- token only.
CREATE FUNCTION mirox_internal.use_of(
    token bigint, token_generation integer,
    OUT uses bigint, OUT refusals bigint, OUT last_used_at timestamptz, OUT last_refused_at timestamptz, OUT last_ip inet,
    OUT last_location text, OUT last_browser text, OUT last_os text) RETURNS SETOF record
    LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 1
BEGIN ATOMIC
    SELECT u.uses, u.refusals, u.last_used_at, u.last_refused_at, u.last_ip, l.location, a.browser, a.os
    FROM (SELECT token AS token_id, token_generation AS generation) t
    LEFT JOIN mirox_internal.token_usage c ON c.token_id = t.token_id AND c.generation = t.generation
    CROSS JOIN LATERAL (
        SELECT pg_catalog.sum(w.requests) FILTER (WHERE w.status < 400)::bigint AS uses,
               pg_catalog.sum(w.requests) FILTER (WHERE w.status >= 400)::bigint AS refusals,
               pg_catalog.max(w.last_at) FILTER (WHERE w.status < 400) AS used_at,
               pg_catalog.max(w.last_at) FILTER (WHERE w.status >= 400) AS refused_at,
               (pg_catalog.array_agg(w.ip ORDER BY w.last_at DESC) FILTER (WHERE w.status < 400))[1] AS ip,
               (pg_catalog.array_agg(w.agent_id ORDER BY w.last_at DESC) FILTER (WHERE w.status < 400))[1] AS agent_id,
               (pg_catalog.array_agg(w.place_id ORDER BY w.last_at DESC) FILTER (WHERE w.status < 400))[1] AS place_id
        FROM mirox_internal.open_use w
        WHERE w.first_credential <= t.token_id AND w.last_credential >= t.token_id AND w.credential = t.token_id
          AND w.generation = t.generation) o
    LEFT JOIN LATERAL mirox_internal.pending_uses((SELECT d."position" FROM mirox_internal.drained d), t.token_id, t.generation) p
        ON true
    LEFT JOIN LATERAL (SELECT x.agent_id FROM mirox_internal.agent x WHERE x.key = p.agent_key LIMIT 1) x ON true
    CROSS JOIN LATERAL mirox_internal.whole_use(
        c.uses, c.refusals, c.last_used_at, c.last_refused_at, c.last_ip, c.last_agent_id, c.last_place_id,
        o.uses, o.refusals, o.used_at, o.refused_at, o.ip, o.agent_id, o.place_id,
        p.uses, p.refusals, p.last_used_at, p.last_refused_at, p.last_ip, x.agent_id) u
    LEFT JOIN mirox_internal.agent a ON a.agent_id = u.last_agent_id
    LEFT JOIN mirox_internal.used_place l ON l.place_id = u.last_place_id;
END;
REVOKE ALL ON FUNCTION mirox_internal.use_of FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.use_of IS
    'Internal: all use of one generation of a token: closed minutes, open ones and shared memory';
