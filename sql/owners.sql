-- What owners do on the profile page beside issuing: see their account, change, suspend and resume tokens, end an overlap, close
-- sessions, read their own log; and what the login service and operators do for them.
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.verdict(secret text, client_ip inet DEFAULT NULL, scope text DEFAULT NULL) RETURNS text LANGUAGE sql AS
    $$ SELECT reason FROM mirox.verify_token(secret, client_ip, NULL, scope) $$;
SELECT mirox.put_account('owners', '{parks,reports,users:read}', burst => 7);
SELECT mirox.open_session('owners', '2 hours', '203.0.113.1', 'Firefox/123.0') AS session \gset

-- ---- my_account: what a form needs --------------------------------------------------------------------------------------
SELECT user_id, permissions, tokens, places_free, max_tokens, default_lifetime, max_lifetime, rate_limit, burst, remaining,
       session_expires_at BETWEEN now() + interval '1 hour' AND now() + interval '2 hours' AS session_ends FROM mirox.my_account(:'session');
SET mirox_tokens.max_lifetime = '30 days';
SET mirox_tokens.max_tokens_per_account = 3;
SELECT default_lifetime, max_lifetime, max_tokens, places_free FROM mirox.my_account(:'session');
RESET mirox_tokens.max_lifetime;
RESET mirox_tokens.max_tokens_per_account;
SELECT * FROM mirox.list_groups(:'session');

-- ---- networks as people type them (203.0.113.9/24 is that host's network) -------------------------------------------------
SELECT token_id AS one, secret FROM mirox.issue_token(:'session', 'one', 'full_access', allowed_ips => '{203.0.113.9/24,2001:db8::7/32,::ffff:198.51.100.7/120}') \gset
SELECT allowed_ips FROM mirox.list_tokens(:'session');
SELECT pg_temp.verdict(:'secret', '203.0.113.200') AS inside, pg_temp.verdict(:'secret', '203.0.114.1') AS outside;
SELECT mirox.set_token_networks(:'session', :one, '{192.0.2.77/28,192.0.2.1}');
SELECT pg_temp.verdict(:'secret', '192.0.2.65') AS inside, pg_temp.verdict(:'secret', '203.0.113.200') AS no_more, pg_temp.verdict(:'secret') AS unknown;
-- What list_tokens shows may be given back as it is.
SELECT mirox.set_token_networks(:'session', :one, allowed_ips) FROM mirox.list_tokens(:'session');
SELECT mirox.set_token_networks(:'session', :one, NULL);
SELECT pg_temp.verdict(:'secret') AS everywhere;
SELECT t.outcome(format('SELECT mirox.set_token_networks(%L, %s, %s)', :'session', :one, given)) FROM (VALUES
    ('''{}'''), ('''{NULL}'''), ('''{{10.0.0.0/8},{10.0.0.1}}'''), ('''{10.0.0.0/33}'''), ('''{somewhere}'''),
    ('(SELECT array_agg(''10.0.0.0''::inet + i) FROM generate_series(1, 257) i)')) v (given);

-- ---- permissions ----------------------------------------------------------------------------------------------------------
SELECT mirox.set_token_permissions(:'session', :one, '{parks.berlin:read,reports}');
SELECT pg_temp.verdict(:'secret', scope => 'parks.berlin:read') AS granted, pg_temp.verdict(:'secret', scope => 'parks.kiel:read') AS beyond;
SELECT permissions, own_permissions FROM mirox.list_tokens(:'session');
SELECT mirox.set_token_permissions(:'session', :one, '{parks}');
SELECT mirox.set_token_permissions(:'session', :one, '{parks}');
SELECT mirox.set_token_permissions(:'session', :one, NULL);
SELECT t.outcome(format('SELECT mirox.set_token_permissions(%L, %s, %L)', :'session', :one, given)) FROM (VALUES
    ('{users:write,parks}'), ('{*}'), ('{}'), ('{Parks}')) v (given);
SELECT token_id AS two, secret AS two_secret FROM mirox.issue_token(:'session', 'two', 'reporting') \gset
SELECT t.outcome(format('SELECT mirox.set_token_permissions(%L, %s, ''{parks}'')', :'session', :two));
-- While two secrets are in force it may be narrowed, not widened; the events tell which it was.
SELECT mirox.set_token_permissions(:'session', :two, '{reports:read,reports:generate}');
SELECT secret AS two_newer FROM mirox.rotate_token(:'session', :two, '1 hour') \gset
SELECT mirox.set_token_permissions(:'session', :two, '{reports:read}');
SELECT t.outcome(format('SELECT mirox.set_token_permissions(%L, %s, %L)', :'session', :two, given)) FROM (VALUES ('{reports:read,reports:generate}'), (NULL)) v (given);
SELECT mirox.end_overlap(:'session', :two), pg_temp.verdict(:'two_secret') AS older, pg_temp.verdict(:'two_newer') AS newer;
SELECT mirox.end_overlap(:'session', :two);
SELECT mirox.set_token_permissions(:'session', :two, '{reports:read,reports:generate}');
SELECT event, detail -> 'permissions' AS permissions FROM mirox_internal.audit_log
WHERE token_id = :two AND event NOT IN ('token_issued', 'token_rotated') ORDER BY audit_id;

-- ---- expiration -----------------------------------------------------------------------------------------------------------
SELECT mirox.set_token_expiration(:'session', :one, expires_in => '10 days') BETWEEN now() + interval '10 days' AND clock_timestamp() + interval '10 days' AS in_ten_days;
SELECT secret, expires_at > now() + interval '10 days' AND expires_at < now() + interval '11 days' AS ten_days_again FROM mirox.rotate_token(:'session', :one) \gset
SELECT :'ten_days_again' AS ten_days_again;
SELECT mirox.set_token_expiration(:'session', :one, expires_at => date_trunc('day', now()) + interval '20 days') = date_trunc('day', now()) + interval '20 days' AS as_given;
SELECT detail ? 'expires_at' AS expires_at, detail ? 'lifetime' AS lifetime FROM mirox_internal.audit_log WHERE token_id = :one ORDER BY audit_id DESC LIMIT 1;
SELECT t.outcome(format('SELECT mirox.set_token_expiration(%L, %s, %s)', :'session', :one, given)) AS outcome FROM (VALUES
    ('expires_at => now() - interval ''1 second'''), ('expires_at => ''infinity'''), ('expires_in => ''0'''), ('expires_in => ''1 mon -28 days'''),
    ('expires_at => now() + interval ''1 day'', expires_in => ''1 day''')) v (given);
SELECT mirox.set_token_expiration(:'session', :one) > now() + interval '364 days' AS by_default;
SELECT t.state(format('SELECT mirox.set_token_expiration(%L, %s, expires_in => ''6 years'')', :'session', :one)) AS too_long;
-- An overlapping secret is never extended, and ends with an earlier end of its token.
SELECT secret AS newer FROM mirox.rotate_token(:'session', :one, '7 days') \gset
SELECT mirox.set_token_expiration(:'session', :one, expires_in => '1 year') IS NOT NULL AS longer;
SELECT overlap_ends_at < now() + interval '8 days' AS not_longer FROM mirox.list_tokens(:'session') WHERE token_id = :one;
SELECT mirox.set_token_expiration(:'session', :one, expires_in => '1 hour') IS NOT NULL AS shorter;
SELECT overlap_ends_at = expires_at AS shorter_too FROM mirox.list_tokens(:'session') WHERE token_id = :one;
SELECT token_id AS old FROM mirox.issue_token(:'session', 'old', 'full_access', expires_in => '1 millisecond') \gset
SELECT pg_sleep(0.01);
SELECT t.outcome(format('SELECT mirox.set_token_expiration(%L, %s, expires_in => ''1 day'')', :'session', :old));

-- ---- metadata -------------------------------------------------------------------------------------------------------------
SELECT mirox.set_token_metadata(:'session', :one, '{"team": "wind"}');
SELECT metadata FROM mirox.list_tokens(:'session') WHERE token_id = :one;
SELECT mirox.set_token_metadata(:'session', :one, NULL);
SELECT t.outcome(format('SELECT mirox.set_token_metadata(%L, %s, %L)', :'session', :one, given)) FROM (VALUES ('[]'), ('1')) v (given);

-- ---- suspended ------------------------------------------------------------------------------------------------------------
SELECT mirox.suspend_token(:'session', :one, 'holidays') AS first \gset
SELECT mirox.suspend_token(:'session', :one, 'again') = :'first' AS first_stands;
SELECT status, reason, token_id, user_id FROM mirox.verify_token(:'newer');
SELECT pg_temp.verdict(:'secret') AS overlapping;
SELECT name, status, suspended_at = :'first' AS first, suspend_reason FROM mirox.list_tokens(:'session');
SELECT status FROM mirox.token_report WHERE token_id = :one;
SELECT tokens, places_free FROM mirox.my_account(:'session');
SELECT secret AS newest FROM mirox.rotate_token(:'session', :one) \gset
SELECT pg_temp.verdict(:'newest') AS still;
SELECT mirox.resume_token(:'session', :one), pg_temp.verdict(:'newest') AS now;
SELECT mirox.resume_token(:'session', :one);
SELECT mirox.suspend_token(:'session', :one) IS NOT NULL AS suspended, mirox.revoke_token(:'session', :one) IS NOT NULL AS revoked;
SELECT status, suspended_at FROM mirox.list_tokens(:'session', true) WHERE token_id = :one;
SELECT t.outcome(format('SELECT mirox.suspend_token(%L, %s, E''a\nb'')', :'session', :two));
SELECT event, detail - ARRAY['hint', 'expires_at', 'rotated_at', 'generation'] AS detail FROM (
    SELECT event, jsonb_strip_nulls(detail #- '{suspended_at,to}' #- '{suspended_at,from}' #- '{revoked_at,to}') AS detail, audit_id FROM mirox_internal.audit_log
    WHERE token_id = :one AND event IN ('token_suspended', 'token_resumed', 'token_revoked')) x ORDER BY audit_id;

-- Of a revoked token, another's and none: one text for all, from each function.
SELECT mirox.put_account('owners/other', '{*}');
SELECT mirox.open_session('owners/other') AS other \gset
SELECT token_id AS theirs, secret AS their_secret FROM mirox.issue_token(:'other', 'theirs', 'full_access') \gset
SELECT function, string_agg(DISTINCT t.outcome(format('SELECT mirox.%s', format(function, quote_literal(:'session'), id))), '; ') AS outcome
FROM (VALUES ('set_token_permissions(%s, %s, ''{parks}'')'), ('set_token_networks(%s, %s, ''{10.0.0.0/8}'')'), ('set_token_expiration(%s, %s, expires_in => ''1 day'')'),
    ('set_token_metadata(%s, %s, ''{}'')'), ('suspend_token(%s, %s)'), ('resume_token(%s, %s)'), ('end_overlap(%s, %s)')) f (function),
    (VALUES (:'one'), (:'theirs'), ('0'), ('NULL')) v (id) GROUP BY 1 ORDER BY 1;
SELECT pg_temp.verdict(:'their_secret') AS theirs;

-- ---- sessions -------------------------------------------------------------------------------------------------------------
SELECT mirox.open_session('owners', client_ip => '198.51.100.66', user_agent => 'Thief/1.0') AS stolen \gset
SELECT mirox.open_session('owners', '1 millisecond') AS brief, pg_sleep(0.01) \gset
SELECT session_id AS stolen_id FROM mirox.my_account(:'stolen') \gset
SELECT session_id AS mine FROM mirox.my_account(:'session') \gset
SELECT session_id AS theirs_id FROM mirox.my_account(:'other') \gset
SELECT session_id = :mine AS mine, current, opened_at <= now() AS opened, expires_at > now() AS open, client_ip, user_agent FROM mirox.list_sessions(:'session');
SELECT mirox.close_session(:'session', :theirs_id) AS theirs, mirox.close_session(:'session', 0) AS none, mirox.close_session(:'session', NULL) AS unknown;
SELECT mirox.close_session(:'session', :stolen_id) AS closed;
SELECT mirox.close_session(:'session', :stolen_id) AS again;
SELECT mirox.my_account(:'stolen');
SELECT mirox.my_account(:'other') IS NOT NULL AS others_stay;
SELECT mirox.open_session('owners') AS second, mirox.open_session('owners') AS third \gset
SELECT mirox.close_other_sessions(:'session');
SELECT mirox.close_other_sessions(:'session');
SELECT t.state(format('SELECT mirox.my_account(%L)', s)) FROM (VALUES (:'session'), (:'second'), (:'third')) v (s);
SELECT mirox.close_session(:'session', :mine) AS itself;
SELECT t.state(format('SELECT mirox.my_account(%L)', :'session'));

-- By the login service, and by operators.
SELECT mirox.open_session('owners') AS session, mirox.open_session('owners') AS second \gset
SELECT mirox.close_sessions('owners', 'password changed');
SELECT mirox.close_sessions('owners');
SELECT t.outcome($$SELECT mirox.close_sessions('owners/nobody')$$), t.outcome($$SELECT mirox.close_sessions(NULL)$$), t.outcome($$SELECT mirox.close_sessions('owners', E'\x1b')$$);
SELECT DISTINCT close_reason FROM mirox_internal.session s JOIN mirox_internal.account a USING (account_id) WHERE user_id = 'owners' ORDER BY 1;
SELECT mirox.revoke_tokens('owners', 'contract ended');
SELECT mirox.revoke_tokens('owners');
SELECT t.outcome($$SELECT mirox.revoke_tokens('owners/nobody')$$);
-- A session that a direct INSERT brings is none of a locked account, and locking by a direct UPDATE closes them too.
SELECT mirox.open_session('owners') AS session \gset
UPDATE mirox_internal.account SET locked_at = now() WHERE user_id = 'owners';
SELECT t.outcome(format($$INSERT INTO mirox_internal.session (digest, account_id, expires_at) SELECT repeat('7', 64)::mirox.digest, account_id, now() + interval '1 hour' FROM mirox_internal.account WHERE user_id = 'owners'$$));
SELECT mirox.unlock_account('owners');
SELECT t.outcome(format('SELECT mirox.my_account(%L)', :'session'));

-- All at once: tokens, and sessions but the one that calls.
SELECT mirox.open_session('owners') AS session, mirox.open_session('owners') AS stolen \gset
SELECT token_id FROM mirox.issue_token(:'stolen', 'stolen', 'full_access') \gset
SELECT mirox.revoke_all_tokens(:'session', 'stolen', close_sessions => true);
SELECT t.state(format('SELECT mirox.issue_token(%L, ''again'', ''full_access'')', :'stolen')), t.state(format('SELECT mirox.list_tokens(%L)', :'session'));

-- ---- account_log ------------------------------------------------------------------------------------------------------------
SELECT event, token_id = :token_id AS token, token_name, by_session_id IS NOT NULL AS by_session, by_session_id = session_id AS itself, ip, user_agent
FROM mirox.account_log(:'session', max_rows => 6);
SELECT event, by_session_id = :mine AS mine, ip, user_agent FROM mirox.account_log(:'session', max_rows => NULL) l
WHERE session_id = :stolen_id;
SELECT count(*) FROM mirox.account_log(:'session', since => clock_timestamp());
SELECT count(*) = (SELECT count(*) FROM mirox_internal.audit_log JOIN mirox_internal.account USING (account_id) WHERE account.user_id = 'owners') AS all
FROM mirox.account_log(:'session', '-infinity', NULL);
SELECT count(*) FROM mirox.account_log(:'session', NULL, 0);
SELECT t.outcome(format('SELECT mirox.account_log(%L, NULL, -1)', :'session'));
SELECT DISTINCT event FROM mirox.account_log(:'other') ORDER BY 1;

SELECT mirox.delete_account('owners'), mirox.delete_account('owners/other');

-- ---- what the status says of several things at once -----------------------------------------------------------------------
SELECT mirox.put_account('owners-locked', '{parks}');
SELECT mirox.open_session('owners-locked') AS session \gset
SELECT count(mirox.issue_token(:'session', name, 'full_access')) FROM unnest(ARRAY['active', 'suspended', 'expired', 'revoked']) name;
SELECT count(mirox.suspend_token(:'session', token_id)) FROM mirox.list_tokens(:'session') WHERE name <> 'active';
SELECT mirox.revoke_token(:'session', token_id) IS NOT NULL AS revoked FROM mirox.list_tokens(:'session') WHERE name = 'revoked';
SET session_replication_role = replica;
UPDATE mirox_internal.token SET expires_at = now() - interval '1 day' WHERE name = 'expired' AND account_id = (SELECT account_id FROM mirox.accounts WHERE user_id = 'owners-locked');
RESET session_replication_role;
SELECT mirox.lock_account('owners-locked') IS NOT NULL AS locked;
SELECT name, status FROM mirox.token_report WHERE user_id = 'owners-locked' ORDER BY place NULLS LAST, name;
SELECT mirox.unlock_account('owners-locked');
SELECT name, status FROM mirox.token_report WHERE user_id = 'owners-locked' ORDER BY place NULLS LAST, name;
SELECT mirox.delete_account('owners-locked');
