-- Web sessions: what opens one, what ends one, and what is refused as one.
\set SHOW_CONTEXT never
SELECT mirox.put_account('sessions', '{parks}');

-- 12 hours by default; any positive time of at most a year, counted in UTC.
CREATE FUNCTION pg_temp.opened(given interval, OUT lifetime interval) LANGUAGE sql AS $$
    SELECT mirox.open_session('sessions', given);
    SELECT (expires_at AT TIME ZONE 'UTC') - (opened_at AT TIME ZONE 'UTC')
    FROM mirox_internal.session WHERE session_id = (SELECT max(session_id) FROM mirox_internal.session JOIN mirox_internal.account a USING (account_id)
                                           WHERE user_id = 'sessions')
$$;
SELECT mirox.open_session('sessions') AS session \gset
SELECT expires_at - opened_at AS lifetime, closed_at, client_ip, user_agent FROM mirox_internal.session
WHERE digest OPERATOR(mirox.=) t.stored(:'session');
SELECT pg_temp.opened('1 second'), pg_temp.opened('90 minutes'), pg_temp.opened('30 days');
SELECT date_trunc('day', pg_temp.opened('1 year')) IN ('365 days', '366 days') AS a_year;
SELECT lifetime, t.outcome(format('SELECT mirox.open_session(''sessions'', %L)', lifetime)) FROM (VALUES
    (NULL), ('0'), ('-1 second'), ('1 month -31 days'), ('1 mon -28 days'), ('1 year 1 microsecond'), ('13 months'), ('1000000 years')) v (lifetime);

-- Who: a known account.
SELECT t.outcome($$SELECT mirox.open_session('sessions/nobody')$$);
SELECT t.outcome($$SELECT mirox.open_session(NULL)$$);
SELECT t.outcome($$SELECT mirox.open_session('')$$);

-- From where, and by what: stored at the session and in each act's audit row; an IPv4-mapped address is IPv4.
SELECT mirox.open_session('sessions', '1 hour', '::ffff:203.0.113.7', 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0') AS s \gset
SELECT client_ip, user_agent FROM mirox_internal.session WHERE digest OPERATOR(mirox.=) t.stored(:'s');
SELECT token_id FROM mirox.issue_token(:'s', 'a', 'full_access') \gset
SELECT event, ip, user_agent, session_id = (SELECT session_id FROM mirox_internal.session WHERE digest OPERATOR(mirox.=) t.stored(:'s')) AS session
FROM mirox_internal.audit_log WHERE token_id = :token_id;
SELECT event, ip, user_agent FROM mirox_internal.audit_log WHERE session_id =
    (SELECT session_id FROM mirox_internal.session WHERE digest OPERATOR(mirox.=) t.stored(:'s')) ORDER BY audit_id;
-- A netmask is no part of a client's address.
SELECT mirox.open_session('sessions', '1 hour', '203.0.113.7/24') AS s \gset
SELECT client_ip FROM mirox_internal.session WHERE digest OPERATOR(mirox.=) t.stored(:'s');
SELECT mirox.open_session('sessions', '1 hour', '2001:db8::7') AS s \gset
SELECT client_ip FROM mirox_internal.session WHERE digest OPERATOR(mirox.=) t.stored(:'s');
-- Over-long user agents are cut at 512 bytes, between characters; controls become question marks.
CREATE FUNCTION pg_temp.agent(given text, OUT bytes int, OUT chars int, OUT kept text) LANGUAGE sql AS $$
    SELECT mirox.open_session('sessions', '1 hour', NULL, given);
    SELECT octet_length(user_agent), length(user_agent), CASE WHEN length(user_agent) < 60 THEN user_agent END
    FROM mirox_internal.session WHERE session_id = (SELECT max(session_id) FROM mirox_internal.session JOIN mirox_internal.account a USING (account_id)
                                           WHERE user_id = 'sessions')
$$;
SELECT what, a.* FROM (VALUES
    ('2000 bytes of ASCII', repeat('a', 2000)), ('512 bytes', repeat('a', 512)), ('513 bytes', repeat('a', 513)),
    ('2000 bytes, 2 a character', repeat('ü', 1000)), ('1 byte, then 2 a character', 'a' || repeat('ü', 1000)),
    ('3 a character', repeat('€', 700)), ('1 byte, then 3 a character', 'a' || repeat('€', 700)),
    ('4 a character', repeat('🙂', 500)), ('3 bytes, then 4 a character', 'abc' || repeat('🙂', 500)),
    ('a megabyte', repeat('€', 349526)),
    ('controls', E'Mo\x01zilla\r\nX-Evil: 1\x7f'), ('empty', ''), ('spaces kept', ' a ')) v (what, agent), pg_temp.agent(agent) a;
SELECT user_agent IS NULL AS null_is_null FROM mirox_internal.session WHERE digest OPERATOR(mirox.=) t.stored(:'session');

-- What is no open session, before each function that needs one: the same SQLSTATE and hint, the reason in DETAIL.
SELECT mirox.open_session('sessions') AS closed \gset
SELECT mirox.close_session(:'closed') AS first, mirox.close_session(:'closed') AS again;
SELECT mirox.open_session('sessions') AS expired \gset
UPDATE mirox_internal.session SET expires_at = clock_timestamp() - interval '1 microsecond' WHERE digest OPERATOR(mirox.=) t.stored(:'expired');
SELECT mirox.close_session(:'expired') AS expired_is_not_open;
SELECT mirox.put_account('sessions/locked', '{parks}');
SELECT mirox.open_session('sessions/locked') AS locked \gset
SELECT mirox.lock_account('sessions/locked') IS NOT NULL;
SELECT mirox.put_account('sessions/deleted', '{parks}');
SELECT mirox.open_session('sessions/deleted') AS deleted \gset
SELECT mirox.delete_account('sessions/deleted');
SELECT secret AS token FROM mirox.issue_token(:'session', 'token', 'full_access') \gset
CREATE TEMP TABLE given (n int, what text, secret text);
INSERT INTO given VALUES (1, 'NULL', NULL), (2, 'empty', ''), (3, 'junk', 'junk'), (4, 'a megabyte', repeat('x', 1048576)),
    (5, 'unknown', 'miroxs_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg3SxeAG'), (6, 'closed', :'closed'), (7, 'expired', :'expired'),
    (8, 'locked', :'locked'), (9, 'deleted', :'deleted'), (10, 'a token', :'token'),
    (11, 'an unknown token', 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'), (12, 'checksum', :'session' || 'x'),
    (13, 'another case', upper(:'session'));
SELECT what, t.outcome(format('SELECT mirox.list_tokens(%L)', secret)) AS outcome FROM given ORDER BY n;
SELECT what, bool_or(position(secret IN t.outcome(format('SELECT mirox.list_tokens(%L)', secret))) > 0) AS repeated
FROM given WHERE secret <> '' GROUP BY n, what ORDER BY n;
SELECT what, string_agg(DISTINCT t.state(format(call, secret)), ' ' ORDER BY t.state(format(call, secret))) AS sqlstates, count(*) AS functions
FROM given, unnest(ARRAY['SELECT mirox.issue_token(%L, ''b'', ''full_access'')', 'SELECT mirox.rotate_token(%L, 1)',
    'SELECT mirox.revoke_token(%L, 1)', 'SELECT mirox.revoke_all_tokens(%L)', 'SELECT mirox.revoke_expired_tokens(%L)',
    'SELECT mirox.rename_token(%L, 1, ''x'')', 'SELECT * FROM mirox.list_tokens(%L)']) call
GROUP BY n, what ORDER BY n;
SELECT what, mirox.close_session(secret) AS closed FROM given ORDER BY n;
-- A session's secret is no token.
SELECT status, reason FROM mirox.verify_token(:'session');
SELECT status, reason FROM mirox.verify_digest(t.sha256(:'session'));

-- A closed session stays closed, also against direct DML; its key and owner cannot be changed.
SELECT t.outcome(format('UPDATE mirox_internal.session SET closed_at = NULL WHERE digest OPERATOR(mirox.=) %L', t.stored(:'closed')));
SELECT t.outcome(format('UPDATE mirox_internal.session SET closed_at = now() WHERE digest OPERATOR(mirox.=) %L', t.stored(:'closed')));
SELECT t.outcome(format('UPDATE mirox_internal.session SET account_id = account_id + 1 WHERE digest OPERATOR(mirox.=) %L', t.stored(:'session')));
SELECT t.outcome(format('UPDATE mirox_internal.session SET session_id = -session_id WHERE digest OPERATOR(mirox.=) %L', t.stored(:'session')));
SELECT t.outcome(format('UPDATE mirox_internal.session SET digest = repeat(''0'', 64)::mirox.digest WHERE digest OPERATOR(mirox.=) %L', t.stored(:'session')));
SELECT t.state(format('UPDATE mirox_internal.session SET expires_at = ''infinity'' WHERE digest OPERATOR(mirox.=) %L', t.stored(:'session')));
SELECT count(*) FROM mirox.list_tokens(:'session');

-- An open session of one owner cannot reach another's tokens (see rotate and revoke); closing one leaves the others open.
SELECT mirox.open_session('sessions') AS other \gset
SELECT mirox.close_session(:'session');
SELECT count(*) > 0 AS lists FROM mirox.list_tokens(:'other');

SELECT mirox.delete_account('sessions'), mirox.delete_account('sessions/locked');
