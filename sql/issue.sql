-- Issuing: lifetimes, names, permissions, networks, metadata; what is refused and in which words.
\set SHOW_CONTEXT never
SELECT mirox.put_account('issue', '{parks,reports:generate,timeseries:query}', 60000, 1000);
SELECT mirox.open_session('issue') AS session \gset
SELECT mirox.put_account('issue/all', '{*}');
SELECT mirox.open_session('issue/all') AS all \gset
CREATE TEMP TABLE s AS SELECT :'session' AS session, :'all' AS all;
-- What becomes of issue_token with these further arguments (text of an argument list).
CREATE FUNCTION pg_temp.outcome(arguments text) RETURNS text LANGUAGE sql AS $$
    SELECT t.outcome(format('SELECT mirox.issue_token(%L, %s)', session, arguments)) FROM s
$$;
-- Issues, revokes again (so that places never run out), and returns the row as stored.
CREATE FUNCTION pg_temp.issued(arguments text) RETURNS mirox_internal.token LANGUAGE plpgsql AS $$
DECLARE
    issued mirox.issued_token;
    stored mirox_internal.token;
BEGIN
    EXECUTE (SELECT format('SELECT * FROM mirox.issue_token(%L, %s)', session, arguments) FROM s) INTO issued;
    SELECT * INTO stored FROM mirox_internal.token WHERE token_id = issued.token_id;
    ASSERT (issued.name, issued.place, issued.expires_at, issued.created_at)
           IS NOT DISTINCT FROM (stored.name, stored.place::int, stored.expires_at, stored.created_at), 'result and row differ';
    ASSERT (SELECT status FROM mirox.verify_token(issued.secret, '203.0.113.1')) = 200 OR stored.allowed_ips IS NOT NULL, 'does not verify';
    PERFORM mirox.revoke_token((SELECT session FROM s), issued.token_id);
    RETURN stored;
END
$$;

-- ---- the plain case -------------------------------------------------------------------------------------------------
SELECT token_id, secret, name, permission_group, place, expires_at, created_at
FROM mirox.issue_token(:'session', 'Grafana', 'full_access') \gset first_
SELECT :'first_name' AS name, :'first_permission_group' AS permission_group, :first_place AS place,
       :'first_created_at'::timestamptz BETWEEN now() - interval '1 minute' AND clock_timestamp() AS now;
SELECT status, reason, token_id = :first_token_id AS token, user_id, permission_group, permissions,
       expires_at = :'first_expires_at' AS expires, retry_after_ms FROM mirox.verify_token(:'first_secret');
SELECT name, generation, permissions, allowed_ips, format, lifetime, rotated_at, revoked_at, metadata
FROM mirox_internal.token WHERE token_id = :first_token_id;
-- Only a digest is stored: the secret is in no column of any table.
SELECT count(*) AS columns_with_the_secret FROM (
    SELECT t::text AS r FROM mirox_internal.token t UNION ALL SELECT t::text FROM mirox_internal.token_secret t UNION ALL
    SELECT t::text FROM mirox_internal.audit_log t UNION ALL SELECT t::text FROM mirox_internal.session t UNION ALL
    SELECT t::text FROM mirox_internal.account t) rows WHERE position(substr(:'first_secret', 11) IN r) > 0
    OR position(substr(:'session', 12) IN r) > 0;

-- ---- lifetimes ------------------------------------------------------------------------------------------------------
-- A year by default, measured in UTC whatever the session's TimeZone, whichever days its clocks change.
CREATE FUNCTION pg_temp.in_utc(zone text, arguments text, span interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    row mirox_internal.token;
BEGIN
    PERFORM set_config('timezone', zone, true);
    row := pg_temp.issued(arguments);
    RETURN (row.expires_at AT TIME ZONE 'UTC') = (row.created_at AT TIME ZONE 'UTC') + span;
END
$$;
SELECT zone, pg_temp.in_utc(zone, '''a'', ''full_access''', '1 year') AS a_year,
       pg_temp.in_utc(zone, '''a'', ''full_access'', expires_in => ''5 years''', '5 years') AS five_years,
       pg_temp.in_utc(zone, '''a'', ''full_access'', expires_in => ''6 months''', '6 months') AS six_months,
       pg_temp.in_utc(zone, '''a'', ''full_access'', expires_in => ''200 days''', '200 days') AS two_hundred_days,
       pg_temp.in_utc(zone, '''a'', ''full_access'', expires_in => ''1 second''', '1 second') AS a_second
FROM unnest(ARRAY['UTC', 'Europe/Berlin', 'America/Los_Angeles', 'Australia/Lord_Howe', 'Asia/Kolkata', 'Pacific/Apia',
                  'Pacific/Chatham', 'Etc/GMT+12', '<XYZ>-14:30']) zone;
RESET timezone;
-- The 29th of February: a year later is the 28th; leap to leap year it is the 29th again. (token_status adds
-- expiry_notice to its third argument by the same rule as a lifetime is added to now.)
SET mirox_tokens.expiry_notice = '1 year';
SET timezone = 'America/New_York';
SELECT mirox_internal.token_status(NULL, '2029-02-28 23:30:00+00', '2028-02-29 23:30:00+00') AS the_28th,
       mirox_internal.token_status(NULL, '2029-02-28 23:30:00.000001+00', '2028-02-29 23:30:00+00') AS after_it,
       mirox_internal.token_status(NULL, '2028-02-28 23:30:00+00', '2027-02-28 23:30:00+00') AS common_to_leap,
       mirox_internal.token_status(NULL, '2028-02-28 23:30:00.000001+00', '2027-02-28 23:30:00+00') AS after_it;
SET mirox_tokens.expiry_notice = '4 years';
SELECT mirox_internal.token_status(NULL, '2032-02-29 23:30:00+00', '2028-02-29 23:30:00+00') AS leap_to_leap,
       mirox_internal.token_status(NULL, '2032-02-29 23:30:00.000001+00', '2028-02-29 23:30:00+00') AS after_it;
SET mirox_tokens.expiry_notice = '1 month';
SELECT mirox_internal.token_status(NULL, '2026-02-28 12:00+00', '2026-01-31 12:00+00') AS end_of_january,
       mirox_internal.token_status(NULL, '2026-02-28 12:00:01+00', '2026-01-31 12:00+00') AS after_it;
SET mirox_tokens.expiry_notice = '1 day'; -- the night that New York's clocks spring forward is a day all the same
SELECT mirox_internal.token_status(NULL, '2026-03-08 12:00+00', '2026-03-07 12:00+00') AS a_day,
       mirox_internal.token_status(NULL, '2026-03-08 12:00:01+00', '2026-03-07 12:00+00') AS after_it;
RESET timezone;
RESET mirox_tokens.expiry_notice;
-- An instant; or a length; not both; NULL is left out.
SELECT expires_at - clock_timestamp() BETWEEN '89 days 23:59' AND '90 days', lifetime - interval '90 days' BETWEEN '-1 minute' AND '0'
FROM pg_temp.issued($$'a', 'full_access', now() + interval '90 days'$$);
SELECT (row).lifetime FROM (SELECT pg_temp.issued($$'a', 'full_access', NULL, NULL$$) AS row) r;
SELECT (row).lifetime FROM (SELECT pg_temp.issued($$'a', 'full_access', expires_in => '18 months'$$) AS row) r;
SELECT arguments, pg_temp.outcome(format($$'a', 'full_access', %s$$, arguments)) AS outcome FROM (VALUES
    ($$expires_at => now() + interval '1 day', expires_in => '1 day'$$), ($$expires_at => 'infinity'$$),
    ($$expires_at => '-infinity'$$), ($$expires_at => now()$$), ($$expires_at => '1970-01-01'$$),
    ($$expires_in => '0'$$), ($$expires_in => '-1 day'$$), ($$expires_in => '1 month -31 days'$$),
    ($$expires_in => '1 mon -28 days'$$), ($$expires_in => '-1 mon 31 days'$$), ($$expires_in => '1 year -13 mons 31 days'$$),
    ($$expires_in => '1 day -24:00'$$), ($$expires_in => '1 mon -28 days 1 microsecond'$$), ($$expires_in => '1 year -1 day'$$)) v (arguments);
-- Five years and no more; the latest instant is told in UTC.
SELECT arguments, t.state(format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', %s)', session, arguments)),
       pg_temp.outcome(format($$'a', 'full_access', %s$$, arguments))
       ~ '^22023 \| the expiration is too far away \| A token issued now may live until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC at most\. \| HINT: Use an earlier date\.' AS too_far
FROM s, (VALUES ($$expires_in => '5 years'$$), ($$expires_in => '5 years 1 microsecond'$$), ($$expires_in => '61 months'$$),
    ($$expires_in => '100000 years'$$), ($$expires_in => '178000000 years'$$), ($$expires_in => '-178000000 years'$$), ($$expires_at => now() + interval '5 years 1 day'$$), ($$expires_at => '9999-12-31'$$),
    ($$expires_at => '294276-12-31'$$)) v (arguments);
SELECT mirox.revoke_all_tokens(:'session') > 0 AS revoked;
-- Lowered settings: a default beyond the maximum means the maximum.
SET mirox_tokens.max_lifetime = '90 days';
SELECT (row).lifetime, (row).expires_at - (row).created_at AS lives FROM (SELECT pg_temp.issued($$'a', 'full_access'$$) AS row) r;
SELECT t.state(format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', expires_in => ''91 days'')', session)) FROM s;
SET mirox_tokens.default_lifetime = '1 hour';
SELECT (row).lifetime FROM (SELECT pg_temp.issued($$'a', 'full_access'$$) AS row) r;
RESET mirox_tokens.max_lifetime;
RESET mirox_tokens.default_lifetime;

-- ---- names ----------------------------------------------------------------------------------------------------------
-- Trimmed, NFC, 1 to 100 characters in any script; two tokens may share a name. (Not aligned: how wide an emoji is differs between psqls.)
\pset format unaligned
SELECT to_json(given) AS given, (row).name, length((row).name) AS chars, octet_length((row).name) AS bytes
FROM (SELECT given, pg_temp.issued(format('%L, ''full_access''', given)) AS row FROM (VALUES
    ('a'), ('  Grafana  '), (E'\t\nGrafana\r\n'), ('Grafana  Berlin'), (U&'\00A0\3000Turm\2003'), ('0'), ('null'), ('日報'),
    ('تقرير يومي'), ('🦅'), ('👨‍👩‍👧'), (''';--"\'), (U&'Cafe\0301'), (U&'\212B\2126'), (U&'\1100\1161\11A8')) v (given)) r;
\pset format aligned
SELECT (pg_temp.issued(format('%L, ''full_access''', U&'Cafe\0301'))).name = U&'Caf\00E9' AS composed,
       (pg_temp.issued(format('%L, ''full_access''', U&'\1100\1161\11A8'))).name = U&'\AC01' AS hangul;
SELECT script, length(name) AS chars, octet_length(name) AS bytes, (name = repeat(one, 100)) AS same FROM (
    SELECT script, one, (pg_temp.issued(format('%L, ''full_access''', repeat(one, 100)))).name FROM (VALUES
        ('Latin', 'x'), ('Greek', 'λ'), ('Cyrillic', 'ж'), ('Hebrew', 'ש'), ('Devanagari', 'क'), ('Thai', 'ก'), ('Han', '漢'),
        ('Hangul', '각'), ('emoji', '🙂'), ('Gothic', '𐍈')) v (script, one)) r;
SELECT script, pg_temp.outcome(format('%L, ''full_access''', repeat(one, 101))) AS outcome FROM (VALUES
    ('Latin', 'x'), ('Han', '漢'), ('emoji', '🙂')) v (script, one);
SELECT length((pg_temp.issued(format('%L, ''full_access''', repeat(U&'e\0301', 100)))).name) AS hundred_after_nfc,
       length((pg_temp.issued(format('%L, ''full_access''', '   ' || repeat('x', 100) || E'\n'))).name) AS blanks_do_not_count;
SELECT what, pg_temp.outcome(format('%L, ''full_access''', name)) AS outcome FROM (VALUES
    ('NULL', NULL), ('empty', ''), ('blanks', E' \t\n'), ('no-break spaces', U&'\00A0\2003\3000'),
    ('zero-width space', U&'\200B'), ('soft hyphen', U&'\00AD'), ('Hangul filler', U&'\3164'), ('combining mark', U&'\0301'),
    ('bell', E'a\x07b'), ('newline', E'a\nb'), ('tab', E'a\tb'), ('escape', E'\x1b[31mred'), ('DEL', E'a\x7fb'),
    ('C1 control', U&'a\0085b'), ('line separator', U&'a\2028b'), ('right-to-left override', U&'a\202Eb'), ('isolate', U&'a\2066b'),
    ('101 after trimming', ' ' || repeat('x', 101)), ('a megabyte', repeat('x', 1048576)), ('a megabyte of blanks', repeat(' ', 1048576)))
    v (what, name);
SELECT count(*), count(DISTINCT place) AS places FROM (
    SELECT place FROM mirox.issue_token(:'session', 'twin', 'full_access') UNION ALL
    SELECT place FROM mirox.issue_token(:'session', 'twin', 'full_access')) twins;
SELECT mirox.revoke_all_tokens(:'session');

-- ---- groups and permissions -----------------------------------------------------------------------------------------
-- The narrowest of owner, group and token; beyond the owner's or the group's is an error, not cut.
SELECT permission_group, (SELECT permissions FROM mirox.verify_token(secret)) AS effective FROM (
    SELECT g.name AS permission_group, i.secret FROM mirox_internal.permission_group g, mirox.issue_token(:'session', 'a', g.name) i
    WHERE g.builtin) r ORDER BY permission_group;
SELECT permission_group, (SELECT permissions FROM mirox.verify_token(secret)) AS effective FROM (
    SELECT g.name AS permission_group, i.secret FROM mirox_internal.permission_group g, mirox.issue_token(:'all', 'a', g.name) i
    WHERE g.builtin) r ORDER BY permission_group;
SELECT asked, (SELECT permissions FROM mirox.verify_token((i).secret)) AS effective FROM (
    SELECT asked, mirox.issue_token(:'session', 'a', 'full_access', permissions => asked) AS i FROM (VALUES
        ('{parks}'::text[]), ('{parks:read}'), ('{parks.berlin:read,parks:read}'), ('{reports:generate,parks.berlin}'), (NULL)) v (asked)) r;
SELECT asked, g, pg_temp.outcome(format('''a'', %L, permissions => %L', g, asked)) AS outcome FROM (VALUES
    ('{*}'::text[], 'full_access'), ('{reports}', 'full_access'), ('{parks:read,exports}', 'full_access'), ('{parks:read}', 'reporting'),
    ('{reports:generate}', 'timeseries'), ('{}', 'full_access'), ('{Parks}', 'full_access'), ('{NULL}', 'full_access'), ('{parks,"a b"}', 'full_access'))
    v (asked, g);
SELECT pg_temp.outcome(format('''a'', ''full_access'', permissions => %L', (SELECT array_agg('x' || i) FROM generate_series(1, 12) i))) AS long_list;
SELECT pg_temp.outcome(format('''a'', %L', g)) AS outcome FROM (VALUES ('admin'), ('Full_Access'), (''), (NULL), ('full_access ')) v (g);
SELECT mirox.revoke_all_tokens(:'session'), mirox.revoke_all_tokens(:'all');
-- An owner with nothing: a token may be had, and reaches nothing.
SELECT mirox.put_account('issue/none', '{}');
SELECT mirox.open_session('issue/none') AS none \gset
SELECT secret FROM mirox.issue_token(:'none', 'a', 'full_access') \gset
SELECT status, permissions FROM mirox.verify_token(:'secret');
SELECT status, reason FROM mirox.verify_token(:'secret', required_scope => 'parks:read');

-- ---- networks -------------------------------------------------------------------------------------------------------
SELECT given, (pg_temp.issued(format('''a'', ''full_access'', allowed_ips => %L', given))).allowed_ips FROM (VALUES
    (NULL), ('{203.0.113.0/24}'), ('{203.0.113.7,2001:db8::/32}'), ('{0.0.0.0/0}'), ('{::/0}'), ('{::ffff:203.0.113.0/120}'),
    ('{::ffff:203.0.113.9/128}'), ('{::ffff:0:0/96}'), ('{::/80}')) v (given);
SELECT given, pg_temp.outcome(format('''a'', ''full_access'', allowed_ips => %L::cidr[]', given)) AS outcome FROM (VALUES
    ('{}'), ('{NULL}'), ('{203.0.113.0/24,NULL}'), ('{{203.0.113.0/24},{10.0.0.0/8}}'), ('{203.0.113.7/24}'), ('{localhost}')) v (given);
SELECT pg_temp.outcome(format('''a'', ''full_access'', allowed_ips => %L', (SELECT array_agg(('10.0.' || i || '.0/24')::cidr) FROM generate_series(0, 255) i))) AS "256",
       pg_temp.outcome(format('''a'', ''full_access'', allowed_ips => %L', (SELECT array_agg(('10.' || i / 256 || '.' || i % 256 || '.0/24')::cidr) FROM generate_series(0, 256) i))) AS "257";

-- ---- metadata -------------------------------------------------------------------------------------------------------
SELECT given, (pg_temp.issued(format('''a'', ''full_access'', metadata => %L', given))).metadata FROM (VALUES
    ('{}'), ('{"team": "wind", "n": [1, 2]}'), (NULL)) v (given);
SELECT given, pg_temp.outcome(format('''a'', ''full_access'', metadata => %L', given)) AS outcome FROM (VALUES
    ('[]'), ('"text"'), ('1'), ('null')) v (given);
SELECT pg_temp.outcome(format('''a'', ''full_access'', metadata => %L', jsonb_build_object('x', repeat('x', 8000)))) AS "8 kB",
       pg_temp.outcome(format('''a'', ''full_access'', metadata => %L', jsonb_build_object('x', repeat('x', 9000)))) AS "9 kB";

-- ---- places ---------------------------------------------------------------------------------------------------------
-- The lowest free one.
SELECT mirox.revoke_all_tokens(:'session') >= 0 AS cleared;
SELECT token_id AS one FROM mirox.issue_token(:'session', '1', 'full_access') \gset
SELECT token_id AS two FROM mirox.issue_token(:'session', '2', 'full_access') \gset
SELECT token_id AS three, place FROM mirox.issue_token(:'session', '3', 'full_access') \gset
SELECT :place AS third;
SELECT mirox.revoke_token(:'session', :two) IS NOT NULL AS revoked;
SELECT place AS in_the_gap FROM mirox.issue_token(:'session', '4', 'full_access');
SELECT place AS at_the_end FROM mirox.issue_token(:'session', '5', 'full_access');

-- What failed left nothing behind: as many tokens as secrets that are current, and one audit row for each.
SELECT (SELECT count(*) FROM mirox_internal.token JOIN mirox_internal.account USING (account_id) WHERE user_id LIKE 'issue%')
     = (SELECT count(*) FROM mirox_internal.token_secret WHERE user_id LIKE 'issue%') AS one_secret_each,
       (SELECT count(*) FROM mirox_internal.token JOIN mirox_internal.account USING (account_id) WHERE user_id LIKE 'issue%')
     = (SELECT count(*) FROM mirox_internal.audit_log WHERE user_id LIKE 'issue%' AND event = 'token_issued') AS one_audit_row_each;
SELECT bool_and(mirox.delete_account(user_id)) FROM mirox_internal.account WHERE user_id LIKE 'issue%';
