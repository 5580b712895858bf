-- The statements of erasing.cpp. They run as the extension's owner with a search_path of pg_catalog, in UTC.

-- name: select_erased()
SELECT account_id, max(CASE WHEN whole THEN 'infinity' ELSE until END) FROM mirox_internal.erasure GROUP BY account_id;

-- Only what was ordered here, where this server has not recorded any use: a dump may be about to be restored.
-- name: next_erasure(before timestamptz, everything boolean, ring_ids int8[])
SELECT erasure_id, account_id, whole, until, stage, cursor FROM mirox_internal.erasure
WHERE finished_at IS NULL AND requested_at < $1 AND ($2 OR ring_id = ANY ($3))
ORDER BY erasure_id LIMIT 1;

-- name: put_erasure(erasure_id int8, account_id int8, stage int4, cursor timestamptz, rows int8, finished boolean)
UPDATE mirox_internal.erasure
SET stage = $3, cursor = $4, rows = rows + $5, finished_at = CASE WHEN $6 THEN clock_timestamp() END
WHERE erasure_id = $1 AND account_id = $2;

-- name: erase_open(account_id int8, until timestamptz)
WITH gone AS (
    UPDATE mirox_internal.usage_open o
    SET (ips, agents, places) = (
        SELECT array_agg(CASE WHEN NOT g.gone THEN o.ips[g.i] END ORDER BY g.i),
               array_agg(CASE WHEN NOT g.gone THEN o.agents[g.i] END ORDER BY g.i),
               array_agg(CASE WHEN NOT g.gone THEN o.places[g.i] END ORDER BY g.i)
        FROM (SELECT i, o.accounts[i] = $1 AND o.first_at[i] < $2 AS gone FROM generate_series(1, cardinality(o.accounts)) i) g)
    WHERE o.accounts @> ARRAY[$1]
    RETURNING 1)
SELECT NULL::timestamptz, 0, count(*) FROM gone;

-- The last use of the account's tokens, which stands there longer than any row of use. Tokens that are gone are known by their days
-- and acts.
-- name: erase_totals(account_id int8, until timestamptz)
WITH gone AS (
    UPDATE mirox_internal.token_usage SET last_ip = NULL, last_agent_id = NULL, last_place_id = NULL
    WHERE last_used_at < $2 AND (last_ip IS NOT NULL OR last_agent_id IS NOT NULL OR last_place_id IS NOT NULL)
      AND token_id IN (SELECT token_id FROM mirox_internal.token WHERE account_id = $1
                       UNION SELECT token_id FROM mirox_internal.token_day WHERE account_id = $1
                       UNION SELECT token_id FROM mirox_internal.usage_minute WHERE account_id = $1
                       UNION SELECT token_id FROM mirox_internal.audit_log WHERE account_id = $1 AND event = 'token_issued')
    RETURNING 1)
SELECT count(*) FROM gone;

-- Rows of an account whose time is after $3, in its order, until about $4 were met: up to which time, how many, how many changed.
-- Acts that are blanked say so.
-- name: erase_acts(account_id int8, until timestamptz, after timestamptz, rows int4, whole boolean)
WITH stretch AS MATERIALIZED (
    SELECT max(at) AS upto, count(*)::int4 AS met
    FROM (SELECT at FROM mirox_internal.audit_log WHERE account_id = $1 AND at > $3 AND at < $2 ORDER BY at LIMIT $4) s
), gone AS (
    UPDATE mirox_internal.audit_log
    SET ip = NULL, user_agent = NULL, user_id = CASE WHEN NOT $5 THEN user_id END,
        detail = (detail - CASE WHEN $5 THEN '{client_ip,user_agent,allowed_ips,ip,user_id,metadata,name}'::text[]
                                ELSE '{client_ip,user_agent,allowed_ips,ip}' END) || '{"erased": true}'
    WHERE account_id = $1 AND at > $3 AND at <= (SELECT upto FROM stretch)
      AND (event <> 'traces_erased' AND NOT detail ? 'erased' OR $5 AND user_id IS NOT NULL)
    RETURNING 1)
SELECT s.upto, s.met, (SELECT count(*) FROM gone) FROM stretch s;

-- Like erase_acts, for a store (%1$s) by its time (%2$s).
-- name: erase_store(account_id int8, until timestamptz, after timestamptz, rows int4)
WITH stretch AS MATERIALIZED (
    SELECT max(k)::timestamptz AS upto, count(*)::int4 AS met
    FROM (SELECT %2$s AS k FROM mirox_internal.%1$s WHERE account_id = $1 AND %2$s > $3 AND %2$s < $2 ORDER BY %2$s LIMIT $4) s
), gone AS (
    UPDATE mirox_internal.%1$s SET ip = NULL, agent_id = NULL, place_id = NULL
    WHERE account_id = $1 AND %2$s > $3 AND %2$s <= (SELECT upto FROM stretch) AND first_at < $2
      AND (ip IS NOT NULL OR agent_id IS NOT NULL OR place_id IS NOT NULL)
    RETURNING 1)
SELECT s.upto, s.met, (SELECT count(*) FROM gone) FROM stretch s;
