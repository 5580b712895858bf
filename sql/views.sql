-- The views for reporting tools: their columns in the contract's order, a comment on each, who may read them, what they show.
\set VERBOSITY terse
SET timezone = 'UTC';
SELECT c.relname, string_agg(a.attname, ' ' ORDER BY a.attnum) AS columns FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'mirox'::regnamespace AND c.relname IN (SELECT split_part(object, '.', 2) FROM mirox_internal.access_rule WHERE kind = 'relation' AND level = 'reporting')
GROUP BY 1 ORDER BY c.relname;
-- What mirox shows is of no type of mirox_internal, nor of a domain: whoever reads a view may make a table of it.
SELECT c.oid::regclass AS of, a.attname AS name, t.oid::regtype AS type FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.typarray = t.oid
WHERE c.relnamespace = 'mirox'::regnamespace AND ('mirox_internal'::regnamespace IN (t.typnamespace, e.typnamespace) OR 'd' IN (t.typtype, e.typtype));
SELECT p.oid::regprocedure AS of, t.oid::regtype AS type FROM pg_proc p, unnest(p.prorettype || p.proargtypes::oid[] || p.proallargtypes) o (type)
    JOIN pg_type t ON t.oid = o.type LEFT JOIN pg_type e ON e.typarray = t.oid
WHERE p.pronamespace = 'mirox'::regnamespace AND ('mirox_internal'::regnamespace IN (t.typnamespace, e.typnamespace) OR 'd' IN (t.typtype, e.typtype));
SELECT count(*) FROM pg_operator WHERE oprnamespace = 'mirox_internal'::regnamespace;
-- What a function in SQL does was read when it was made: its body names objects, and no texts.
SELECT p.oid::regprocedure AS function FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.pronamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace) AND l.lanname NOT IN ('c', 'internal') AND p.prosqlbody IS NULL;
-- Each column says what it is.
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'mirox'::regnamespace AND c.relkind = 'v' AND col_description(c.oid, a.attnum) IS NULL
  AND obj_description(c.oid) NOT LIKE 'Internal%' ORDER BY 1, 2;
-- No digest in any of them.
SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'mirox'::regnamespace AND c.relkind = 'v' AND a.atttypid IN ('mirox.digest'::regtype, 'mirox.secret'::regtype);

-- ---- who may read ---------------------------------------------------------------------------------------------------------
CREATE ROLE views_reader;
SET ROLE views_reader;
-- (16 names what the view calls, not the view.)
SELECT has_table_privilege('mirox.token_report', 'SELECT');
\set VERBOSITY sqlstate
SELECT count(*) FROM mirox.token_report;
\set VERBOSITY terse
SELECT count(*) FROM mirox.usage_daily;
SELECT mirox.flush();
RESET ROLE;
SELECT mirox.grant_access('views_reader', 'reporting');
SET ROLE views_reader;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.token_report) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.expiring_tokens) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.unused_tokens) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.usage_minutely) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.usage_hourly) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.usage_daily) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.refusals) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.traffic_hourly) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.account_daily) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.audit_acts) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.audit_trail) x;
SELECT count(*) >= 0 AS readable FROM (TABLE mirox.account_report) x;
SELECT count(*) = 1 AS readable FROM (TABLE mirox.stat) x;
-- Every column is evaluated, too.
SELECT count(x::text) >= 0 AS readable FROM mirox.token_report x;
SELECT count(x::text) >= 0 AS readable FROM mirox.account_report x;
SELECT count(x::text) >= 0 AS readable FROM mirox.usage_daily x;
SELECT count(x::text) >= 0 AS readable FROM mirox.account_daily x;
SELECT count(x::text) >= 0 AS readable FROM mirox.audit_trail x;
-- The tables behind them, and what resets, are out of reach.
SELECT count(*) FROM mirox_internal.usage_minute;
SELECT count(*) FROM mirox_internal.token_secret;
SELECT mirox.stat_reset();
RESET ROLE;
SELECT mirox.revoke_access('views_reader', 'reporting');
DROP ROLE views_reader;

-- ---- states and days ---------------------------------------------------------------------------------------------------------
SELECT mirox.put_account('views', '{parks}', 60000, 10000);
SELECT mirox.open_session('views') AS session \gset
SELECT mirox.issue_token(:'session', 'active', 'full_access') IS NOT NULL AS issued;
SELECT mirox.issue_token(:'session', 'soon', 'reporting', expires_in => '10 days 1 hour') IS NOT NULL AS issued;
SELECT mirox.issue_token(:'session', 'old', 'full_access') IS NOT NULL AS issued;
SELECT mirox.issue_token(:'session', 'idle', 'full_access') IS NOT NULL AS issued;
SELECT mirox.issue_token(:'session', 'gone', 'full_access') IS NOT NULL AS issued;
SELECT mirox.revoke_token(:'session', token_id) IS NOT NULL AS revoked FROM mirox.token_report WHERE user_id = 'views' AND name = 'gone';
SET session_replication_role = replica;
UPDATE mirox_internal.token SET created_at = created_at - interval '200 days', expires_at = now() - interval '1 day' WHERE name = 'old';
UPDATE mirox_internal.token SET created_at = created_at - interval '100 days' WHERE name = 'idle';
RESET session_replication_role;
SELECT name, permission_group, permissions, place, status, uses FROM mirox.token_report WHERE user_id = 'views' ORDER BY name;
SELECT name, status, days_left FROM mirox.expiring_tokens WHERE user_id = 'views';
SELECT name, status, days_unused FROM mirox.unused_tokens WHERE user_id = 'views';
SELECT user_id, locked, tokens, tokens_expiring, tokens_expired, places_free, uses, refusals FROM mirox.account_report WHERE user_id = 'views';
SET mirox_tokens.expiry_notice = '5 days';
SELECT count(*) FROM mirox.expiring_tokens WHERE user_id = 'views';
RESET mirox_tokens.expiry_notice;

-- What adds a token's use up is part of the plan, and called for no row.
DO $$DECLARE line text; BEGIN
    FOR line IN EXPLAIN (VERBOSE, COSTS OFF) SELECT uses, last_location FROM mirox.token_report LOOP
        ASSERT line !~ 'Function Call: mirox_internal.whole_use', line;
    END LOOP;
END$$;

-- ---- health ------------------------------------------------------------------------------------------------------------------
SELECT mirox.stat_reset();
SELECT reason FROM mirox.verify_token('nonsense');
SELECT checks, ok, malformed, unknown, events_dropped, events_torn, stats_reset IS NOT NULL AS reset FROM mirox.stat;
SELECT ring_bytes > 0 AS ring, ring_used BETWEEN 0 AND 1 AS used, shared_memory > ring_bytes AS more, agent_rules, geoip FROM mirox.stat;

-- ---- an act of management in the audit trail ---------------------------------------------------------------------------------
SELECT event, token_id IS NOT NULL AS of_token, requests FROM mirox.audit_trail WHERE user_id = 'views' AND event LIKE 'token%' ORDER BY audit_id;
