-- The statements of erasing.cpp. They run as the extension's owner with a search_path of pg_catalog, in UTC.

-- All of them, or those that the worker has not ended yet.
-- name: select_erased(everything boolean)
SELECT account_id, max(CASE WHEN whole THEN 'infinity' ELSE until END) FROM mirox_internal.erasure
WHERE $1 OR finished_at IS NULL GROUP BY account_id;

-- Only what was ordered here, where this server has not recorded any use: a dump may be about to be restored.
-- name: next_erasure(before timestamptz, everything boolean, ring_ids int8[])
SELECT erasure_id, account_id, whole, until, stage, cursor FROM mirox_internal.erasure
WHERE finished_at IS NULL AND requested_at < $1 AND ($2 OR ring_id = ANY ($3))
ORDER BY erasure_id LIMIT 1;

-- name: put_erasure(erasure_id int8, account_id int8, stage int4, cursor timestamptz, rows int8, finished boolean)
UPDATE mirox_internal.erasure
SET stage = $3, cursor = $4, rows = rows + $5, finished_at = CASE WHEN $6 THEN clock_timestamp() END
WHERE erasure_id = $1 AND account_id = $2;

-- Some rows of usage_open that have traces of the account. What is taken out is not met again.
-- name: blank_open(account_id int8, until timestamptz, rows int4)
UPDATE mirox_internal.usage_open o
SET (ips, agents, places) = (
    SELECT array_agg(CASE WHEN NOT g.gone THEN o.ips[g.i] END ORDER BY g.i),
           array_agg(CASE WHEN NOT g.gone THEN o.agents[g.i] END ORDER BY g.i),
           array_agg(CASE WHEN NOT g.gone THEN o.places[g.i] END ORDER BY g.i)
    FROM (SELECT i, o.accounts[i] = $1 AND o.first_at[i] < $2 AS gone FROM generate_series(1, cardinality(o.accounts)) i) g)
WHERE o.open_id = ANY (ARRAY(
    SELECT n.open_id FROM mirox_internal.usage_open n
    WHERE n.accounts @> ARRAY[$1]
      AND EXISTS (SELECT FROM generate_series(1, cardinality(n.accounts)) i
                  WHERE n.accounts[i] = $1 AND n.first_at[i] < $2 AND num_nonnulls(n.ips[i], n.agents[i], n.places[i]) > 0)
    LIMIT $3));

-- The last use of the account's tokens stands longer than any row of use. These are tokens that still exist. Those that are gone are
-- known by their uses and acts (blank_totals).
-- name: blank_last_uses(account_id int8, until timestamptz, rows int4)
UPDATE mirox_internal.token_usage SET last_ip = NULL, last_agent_id = NULL, last_place_id = NULL
WHERE ctid = ANY (ARRAY(
    SELECT u.ctid FROM mirox_internal.token t JOIN mirox_internal.token_usage u ON u.token_id = t.token_id
    WHERE t.account_id = $1 AND u.last_used_at < $2
      AND (u.last_ip IS NOT NULL OR u.last_agent_id IS NOT NULL OR u.last_place_id IS NOT NULL)
    LIMIT $3));

-- Patterns for each table that is gone through in the order of its index of accounts: table %1$s, the index's columns after the account
-- %2$s, $3 in them %3$s, the last parameter that is an instant in them %4$s, and a row's instant %5$s. The order is compared as a row that
-- begins with the account. So no other index serves, a slice begins where the last one has ended, and it ends after some rows.

-- The next rows: up to which instant, and how many.
-- name: stretch(account_id int8, until timestamptz, after timestamptz, rows int4)
SELECT max(%5$s), count(*)::int4
FROM (SELECT %5$s FROM mirox_internal.%1$s
      WHERE (account_id, %2$s) > ($1, %3$s) AND (account_id, %2$s) < ($1, %4$s) AND account_id IS NOT NULL
      ORDER BY account_id, %2$s LIMIT $4) s;

-- name: blank_uses(account_id int8, until timestamptz, after timestamptz, upto timestamptz)
UPDATE mirox_internal.%1$s SET ip = NULL, agent_id = NULL, place_id = NULL
WHERE (account_id, %2$s) > ($1, %3$s) AND (account_id, %2$s) <= ($1, %4$s)
  AND (ip IS NOT NULL OR agent_id IS NOT NULL OR place_id IS NOT NULL);

-- An array, so that it is read by the same index.
-- name: blank_totals(account_id int8, until timestamptz, after timestamptz, upto timestamptz)
UPDATE mirox_internal.token_usage SET last_ip = NULL, last_agent_id = NULL, last_place_id = NULL
WHERE last_used_at < $2 AND (last_ip IS NOT NULL OR last_agent_id IS NOT NULL OR last_place_id IS NOT NULL)
  AND token_id = ANY (ARRAY(
      SELECT DISTINCT token_id FROM mirox_internal.%1$s
      WHERE (account_id, %2$s) > ($1, %3$s) AND (account_id, %2$s) <= ($1, %4$s) AND account_id IS NOT NULL));

-- Acts that are blanked say so.
-- name: blank_acts(account_id int8, whole boolean, after timestamptz, upto timestamptz)
UPDATE mirox_internal.audit_log
SET ip = NULL, user_agent = NULL, user_id = CASE WHEN NOT $2 THEN user_id END,
    detail = (detail - CASE WHEN $2 THEN '{client_ip,user_agent,allowed_ips,ip,user_id,metadata,name}'::text[]
                            ELSE '{client_ip,user_agent,allowed_ips,ip}' END) || '{"erased": true}'
WHERE (account_id, at) > ($1, $3) AND (account_id, at) <= ($1, $4) AND account_id IS NOT NULL
  AND (event <> 'traces_erased' AND NOT detail ? 'erased' OR $2 AND user_id IS NOT NULL);
