-- Internal views of the reports: all recorded use by minute, hour and day. They have keys of agents, places, endpoints and scopes;
-- the views of 86_reports.sql join the texts.
--
-- An index can give the newest rows of a UNION ALL only where each arm is one bare table: plain columns and constants, no WHERE, no
-- join and no expression. So what is closed and what is still open are different arms, and admitted and refused uses too. Names are
-- joined above the union.

CREATE FUNCTION mirox_internal.first_use() RETURNS timestamptz
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT LEAST((SELECT pg_catalog.min(first_at) FROM mirox_internal.usage_minute),
                 (SELECT pg_catalog.min(first_at) FROM mirox_internal.refusal_minute),
                 (SELECT pg_catalog.min(hour) FROM mirox_internal.usage_hour),
                 (SELECT pg_catalog.min(hour) FROM mirox_internal.refusal_hour));
END;
REVOKE ALL ON FUNCTION mirox_internal.first_use() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.first_use() IS 'Internal: the time of the first use that the tables hold; NULL: none';

-- The hours, or days, that are not added up yet or not for all accounts: from `at` until `until`, for accounts above `account`. A
-- condition on the hour or day of the views below becomes one on `at`, so that it reads no row outside that time. A function with few
-- rows, and not a view, so that the planner expects few. It is stable, and so reads by the snapshot of the query. Steps are in hours,
-- since a day has another length in a reader's time zone.
CREATE FUNCTION mirox_internal.unsummed(
    unit_of text, OUT at timestamptz, OUT until timestamptz, OUT account bigint) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp ROWS 2
BEGIN ATOMIC
    SELECT t.at, t.at + w.step, CASE WHEN t.at = s.before THEN s.account ELSE -1 END
    FROM mirox_internal.summed s
    CROSS JOIN LATERAL (SELECT CASE WHEN s.unit = 'hour' THEN INTERVAL '1:00' ELSE INTERVAL '24:00' END AS step) w
    CROSS JOIN LATERAL pg_catalog.generate_series(
        CASE WHEN s.before > '-infinity' THEN s.before ELSE pg_catalog.date_trunc(s.unit, mirox_internal.first_use(), 'UTC') END,
        pg_catalog.clock_timestamp() + w.step, w.step) t (at)
    WHERE s.unit = unit_of;
END;
REVOKE ALL ON FUNCTION mirox_internal.unsummed(text) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.unsummed(text) IS 'Internal: the hours or days that are not added up yet, and for which accounts';

CREATE VIEW mirox_internal.unsummed_minutes AS
    SELECT h.at, m.first_at, m.last_at, m.requests, m.account_id, m.token_id, m.session_id, m.generation, m.status, m.agent_id,
           m.place_id, m.endpoint_id, m.scope_id, m.ip, 'ok'::text COLLATE "C" AS reason
    FROM mirox_internal.unsummed('hour') h
    JOIN mirox_internal.usage_minute m ON m.first_at >= h.at AND m.first_at < h.until AND m.account_id > h.account
    UNION ALL
    SELECT h.at, m.first_at, m.last_at, m.requests, m.account_id, m.token_id, m.session_id, m.generation, m.status, m.agent_id,
           m.place_id, m.endpoint_id, m.scope_id, m.ip, m.reason
    FROM mirox_internal.unsummed('hour') h
    JOIN mirox_internal.refusal_minute m ON m.first_at >= h.at AND m.first_at < h.until AND m.account_id > h.account
    UNION ALL
    SELECT o.minute, o.first_at, o.last_at, o.requests, o.account_id, o.token_id, o.session_id, o.generation, o.status, o.agent_id,
           o.place_id, o.endpoint_id, o.scope_id, o.ip, COALESCE(o.reason, 'ok')
    FROM mirox_internal.open_use o;
REVOKE ALL ON TABLE mirox_internal.unsummed_minutes FROM PUBLIC;
COMMENT ON VIEW mirox_internal.unsummed_minutes IS
    'Internal: use that no hour has yet; at is the start of its hour, for open minutes that of its minute';

CREATE VIEW mirox_internal.unsummed_hours AS
    SELECT d.at, m.first_at, m.last_at, m.requests, m.account_id, m.token_id, m.session_id, m.generation, m.status, m.agent_id,
           m.place_id, m.endpoint_id, m.scope_id, m.ip, 'ok'::text COLLATE "C" AS reason
    FROM mirox_internal.unsummed('day') d
    JOIN mirox_internal.usage_hour m ON m.hour >= d.at AND m.hour < d.until AND m.account_id > d.account
    UNION ALL
    SELECT d.at, m.first_at, m.last_at, m.requests, m.account_id, m.token_id, m.session_id, m.generation, m.status, m.agent_id,
           m.place_id, m.endpoint_id, m.scope_id, m.ip, m.reason
    FROM mirox_internal.unsummed('day') d
    JOIN mirox_internal.refusal_hour m ON m.hour >= d.at AND m.hour < d.until AND m.account_id > d.account
    UNION ALL
    SELECT at, first_at, last_at, requests, account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id,
           scope_id, ip, reason
    FROM mirox_internal.unsummed_minutes;
REVOKE ALL ON TABLE mirox_internal.unsummed_hours FROM PUBLIC;
COMMENT ON VIEW mirox_internal.unsummed_hours IS
    'Internal: use that no day has yet; at is the start of its day, for minutes that of its hour or minute';

-- The views by minute, hour and day, from one list of columns. `event` is a constant in each arm by minute, so that a query for one event
-- leaves out the other arms. `country` is NULL except for days whose addresses are gone: only token_day has these, and for other rows
-- the place names the country.
DO $$
DECLARE
    facts constant text := 'account_id, token_id, session_id, generation, status, agent_id, place_id, endpoint_id, scope_id, ip';
    used constant text := $x$'ok'::text COLLATE "C" AS reason, 'used'::text COLLATE "C" AS event$x$;
    refused constant text := $x$reason, 'refused'::text COLLATE "C" AS event$x$;
    none constant text := 'NULL::text COLLATE "C"';
BEGIN
    EXECUTE format($x$
        CREATE VIEW mirox_internal.minute_all AS
        SELECT minute, first_at, last_at, requests, %1$s, %2$s, %4$s AS country FROM mirox_internal.usage_minute
        UNION ALL
        SELECT minute, first_at, last_at, requests, %1$s, %3$s, %4$s FROM mirox_internal.refusal_minute
        UNION ALL
        SELECT minute, first_at, last_at, requests, %1$s, %2$s, %4$s FROM mirox_internal.open_minute WHERE status < 400
        UNION ALL
        SELECT minute, first_at, last_at, requests, %1$s, %3$s, %4$s FROM mirox_internal.open_minute WHERE status >= 400
        $x$, facts, used, refused, none);
    EXECUTE format($x$
        CREATE VIEW mirox_internal.hour_all AS
        SELECT hour, first_at, last_at, requests, %1$s, %2$s, %4$s AS country FROM mirox_internal.usage_hour
        UNION ALL
        SELECT hour, first_at, last_at, requests, %1$s, %3$s, %4$s FROM mirox_internal.refusal_hour
        UNION ALL
        SELECT date_trunc('hour', at, 'UTC'), min(first_at), max(last_at), sum(requests)::bigint, %1$s, reason, %4$s, %4$s
        FROM mirox_internal.unsummed_minutes GROUP BY 1, %1$s, reason
        $x$, facts, used, refused, none);
    EXECUTE format($x$
        CREATE VIEW mirox_internal.day_all AS
        SELECT day, first_at, last_at, requests, %1$s, %2$s, %4$s AS country FROM mirox_internal.usage_day
        UNION ALL
        SELECT day, first_at, last_at, requests, %1$s, %3$s, %4$s FROM mirox_internal.refusal_day
        UNION ALL
        SELECT timezone('UTC', at)::date, min(first_at), max(last_at), sum(requests)::bigint, %1$s, reason, %4$s, %4$s
        FROM mirox_internal.unsummed_hours GROUP BY 1, %1$s, reason
        UNION ALL
        SELECT day, first_at, last_at, requests, account_id, token_id, NULL, generation, status, NULL, NULL, endpoint_id, NULL, NULL,
               %2$s, country
        FROM mirox_internal.token_day
        WHERE status < 400 AND day < (SELECT before FROM mirox_internal.usage_dropped WHERE store = 'usage_day')
        UNION ALL
        SELECT day, first_at, last_at, requests, account_id, token_id, NULL, generation, status, NULL, NULL, endpoint_id, NULL, NULL,
               %3$s, country
        FROM mirox_internal.token_day
        WHERE status >= 400 AND day < (SELECT before FROM mirox_internal.usage_dropped WHERE store = 'refusal_day')
        $x$, facts, used, refused, none);
END$$;
REVOKE ALL ON TABLE mirox_internal.minute_all FROM PUBLIC;
REVOKE ALL ON TABLE mirox_internal.hour_all FROM PUBLIC;
REVOKE ALL ON TABLE mirox_internal.day_all FROM PUBLIC;
COMMENT ON VIEW mirox_internal.minute_all IS 'Internal: all use of tokens and sessions by minute, open minutes included';
COMMENT ON VIEW mirox_internal.hour_all IS 'Internal: all use of tokens and sessions by hour, with what is not added up yet';
COMMENT ON VIEW mirox_internal.day_all IS 'Internal: all use of tokens and sessions by day in UTC, with what is not added up yet';
