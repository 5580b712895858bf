-- The profile page: the list, its order and columns, and renaming.
\set SHOW_CONTEXT never
SELECT mirox.put_account('list', '{parks,reports:generate}');
SELECT mirox.open_session('list') AS session \gset
SELECT * FROM mirox.list_tokens(:'session');
SELECT token_id AS one, secret AS one_secret FROM mirox.issue_token(:'session', 'one', 'full_access', expires_in => '100 days', metadata => '{"team": "wind"}') \gset
SELECT token_id AS two FROM mirox.issue_token(:'session', 'two', 'reporting', expires_in => '20 days') \gset
SELECT token_id AS three FROM mirox.issue_token(:'session', 'three', 'full_access', expires_in => '1 millisecond') \gset
SELECT token_id AS four FROM mirox.issue_token(:'session', 'four', 'timeseries', expires_in => '30 days') \gset
SELECT token_id AS five FROM mirox.issue_token(:'session', 'five', 'full_access', expires_in => '31 days', permissions => '{parks.berlin:read}',
    allowed_ips => '{203.0.113.0/24}') \gset
SELECT mirox.revoke_token(:'session', :two) IS NOT NULL AS revoked;
SELECT token_id AS six FROM mirox.issue_token(:'session', 'six', 'full_access', expires_in => '1 hour') \gset
-- By place, the revoked one gone, its place taken by the sixth; an overlap adds no row.
SELECT mirox.rotate_token(:'session', :four, '1 hour') IS NOT NULL AS rotated;
SELECT place, name, permission_group, permissions, allowed_ips, status, rotated_at IS NOT NULL AS rotated, days_left, last_used_at, last_ip, last_location,
       last_browser, last_os, uses, refusals, metadata FROM mirox.list_tokens(:'session');
SELECT hint = :'one_secret'::mirox.secret::text AS redacted, token_id = :one AS id, created_at <= clock_timestamp() AS created, expires_at > now() AS expires
FROM mirox.list_tokens(:'session') WHERE place = 1;
-- The columns are those of a named type, so that more can come at its end.
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = (SELECT typrelid FROM pg_type WHERE oid = (SELECT prorettype FROM pg_proc WHERE oid = 'mirox.list_tokens(text,boolean)'::regprocedure));
-- Effective permissions are those of now.
SELECT mirox.put_account('list', '{parks.berlin,timeseries}');
SELECT name, permissions FROM mirox.list_tokens(:'session');
SELECT mirox.put_account('list', '{}');
SELECT DISTINCT permissions FROM mirox.list_tokens(:'session');
SELECT mirox.put_account('list', '{parks,reports:generate}');
-- What counts as expiring is a setting.
SET mirox_tokens.expiry_notice = '1 day';
SELECT name, status FROM mirox.list_tokens(:'session');
RESET mirox_tokens.expiry_notice;
SELECT token_id FROM mirox.issue_token(:'session', 'at the bound', 'full_access', expires_in => '30 days 1 minute') \gset
SELECT status, days_left FROM mirox.list_tokens(:'session') WHERE name = 'at the bound';
-- Recorded use is that of the current generation.
INSERT INTO mirox_internal.agent (agent, key, browser, os, resolved, seen_on) VALUES ('list', 0, 'curl', 'Windows', true, now()) RETURNING agent_id \gset
INSERT INTO mirox_internal.used_place (key, location) VALUES ('list', 'Kiel') RETURNING place_id \gset
INSERT INTO mirox_internal.token_usage (token_id, generation, uses, refusals, last_used_at, last_ip, last_agent_id, last_place_id)
VALUES (:four, 1, 7, 1, now(), '203.0.113.7', NULL, NULL), (:four, 2, 3, 0, now(), '2001:db8::7', :agent_id, :place_id);
SELECT name, uses, refusals, last_ip, last_location, last_browser, last_os FROM mirox.list_tokens(:'session') WHERE token_id = :four;
-- That of the secret before is beside it (fault 13), and how long it still works.
SELECT previous_uses, previous_refusals, previous_last_used_at IS NOT NULL AS used, previous_last_ip, overlap_ends_at BETWEEN now() AND now() + interval '1 hour' AS overlaps
FROM mirox.list_tokens(:'session') WHERE token_id = :four;
SELECT count(*) FILTER (WHERE previous_uses IS NOT NULL OR overlap_ends_at IS NOT NULL) FROM mirox.list_tokens(:'session');
-- The revoked ones, when they are asked for.
SELECT place, name, status, revoked_at IS NOT NULL AS revoked, revoke_reason FROM mirox.list_tokens(:'session', revoked => true);
-- What a form needs of a token: what it was narrowed to, and its form.
SELECT name, own_permissions, format FROM mirox.list_tokens(:'session');
-- Whole days, never negative.
SELECT mirox_internal.days_until(now() + interval '23:59:59', now()) AS today, mirox_internal.days_until(now() + interval '24 hours', now()) AS tomorrow,
       mirox_internal.days_until(now() - interval '1 year', now()) AS past, mirox_internal.days_until(now(), now()) AS now, mirox_internal.days_until('2031-11-25', '2026-11-25') AS five_years;
SELECT mirox_internal.token_status(now(), now(), now()), mirox_internal.token_status(NULL, now(), now()), mirox_internal.token_status(NULL, now() + interval '1 second', now()),
       mirox_internal.token_status(NULL, now() + interval '1 year', now()), mirox_internal.token_status(NULL, NULL, now()) IS NULL;

-- ---- renaming -------------------------------------------------------------------------------------------------------
SELECT mirox.rename_token(:'session', :one, E'  Grafana \n');
SELECT mirox.rename_token(:'session', :one, U&'Cafe\0301') = U&'Caf\00E9' AS composed;
SELECT mirox.rename_token(:'session', :one, 'six') AS shared;
SELECT mirox.rename_token(:'session', :one, ' six ') AS again;
SELECT event, detail -> 'name' AS name FROM mirox_internal.audit_log WHERE token_id = :one ORDER BY audit_id;
SELECT status FROM mirox.verify_token(:'one_secret');
SELECT what, t.outcome(format('SELECT mirox.rename_token(%L, %s, %L)', :'session', :one, name)) FROM (VALUES
    ('NULL', NULL), ('empty', ''), ('control', E'a\x07'), ('101', repeat('漢', 101))) v (what, name);
SELECT mirox.rename_token(:'session', :one, repeat('漢', 100)) = repeat('漢', 100) AS a_hundred;
-- An expired one may be renamed; a revoked, another's or no token: one text.
SELECT mirox.rename_token(:'session', :three, 'old');
SELECT mirox.put_account('list/other', '{}');
SELECT mirox.open_session('list/other') AS other \gset
SELECT token_id AS theirs FROM mirox.issue_token(:'other', 'theirs', 'full_access') \gset
SELECT what, t.outcome(format('SELECT mirox.rename_token(%L, %s, ''x'')', :'session', id)) FROM (VALUES
    ('revoked', :two::text), ('another''s', :theirs::text), ('none', '0'), ('NULL', 'NULL')) v (what, id);
SELECT name FROM mirox.list_tokens(:'other');

SELECT mirox.rename_token(:'session', :one, 'one');
-- In a transaction that began before: the list shows what is there now.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) AS before FROM mirox.list_tokens(:'session');
SELECT mirox.revoke_all_tokens(:'session') AS revoked;
SELECT count(*) AS after FROM mirox.list_tokens(:'session');
ROLLBACK;
SELECT count(*) AS rolled_back FROM mirox.list_tokens(:'session');
-- As a column and as a row source, and stopped early.
SELECT (mirox.list_tokens(:'session')).name LIMIT 1;
SELECT name FROM mirox.list_tokens(:'session') LIMIT 1;
SELECT count(*) FROM (VALUES (:'session'), (:'other')) s (session), mirox.list_tokens(session);

-- Declared with another type: an error and no crash. With fewer columns or more, as of another version: what both have.
CREATE FUNCTION t.wrong_list(session text, OUT place integer, OUT token_id text, OUT name text) RETURNS SETOF record AS '$libdir/mirox_tokens', 'mirox_list_tokens' LANGUAGE C;
CREATE FUNCTION t.short_list(session text, OUT place integer, OUT token_id bigint) RETURNS SETOF record AS '$libdir/mirox_tokens', 'mirox_list_tokens' LANGUAGE C;
CREATE FUNCTION t.long_list(session text, OUT place integer, OUT token_id bigint, OUT name text, OUT hint text, OUT permission_group text, OUT permissions mirox.scopes,
    OUT allowed_ips cidr[], OUT status text, OUT created_at timestamptz, OUT rotated_at timestamptz, OUT expires_at timestamptz, OUT days_left integer,
    OUT last_used_at timestamptz, OUT last_ip inet, OUT last_location text, OUT last_browser text, OUT last_os text, OUT uses bigint, OUT refusals bigint,
    OUT metadata jsonb, OUT suspended_at timestamptz, OUT suspend_reason text, OUT overlap_ends_at timestamptz, OUT previous_uses bigint,
    OUT previous_refusals bigint, OUT previous_last_used_at timestamptz, OUT previous_last_ip inet, OUT revoked_at timestamptz, OUT revoke_reason text,
    OUT own_permissions mirox.scopes, OUT format text, OUT rate_limit integer, OUT burst integer, OUT later text) RETURNS SETOF record AS '$libdir/mirox_tokens', 'mirox_list_tokens' LANGUAGE C;
SELECT * FROM t.wrong_list(:'session');
SELECT place FROM t.short_list(:'session') ORDER BY 1 LIMIT 2;
SELECT place, metadata, later FROM t.long_list(:'session') ORDER BY 1 LIMIT 2;
DROP FUNCTION t.wrong_list, t.short_list, t.long_list;

SELECT mirox.delete_account('list'), mirox.delete_account('list/other');
