-- Recorded use, from the check to the tables: what is recorded, how it is gathered, who may see and change it.
\set VERBOSITY terse
SET timezone = 'UTC';
-- What is gathered by the minute is to fall into one.
SELECT FROM pg_sleep(CASE WHEN extract(second FROM clock_timestamp()) > 50 THEN 61 - extract(second FROM clock_timestamp()) ELSE 0 END);
SELECT mirox.put_account('usage', '{parks,reports}', 60000, 10000);
SELECT mirox.open_session('usage', client_ip => '192.0.2.1', user_agent => 'profile page') AS session \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'used', 'full_access') \gset
SELECT token_id AS other_id, secret AS other FROM mirox.issue_token(:'session', 'other', 'reporting') \gset

-- ---- each outcome of a known token, with address, agent and scope -----------------------------------------------------
SELECT reason FROM mirox.verify_token(:'secret', '203.0.113.7', 'curl/8.5.0', 'parks:read');
SELECT reason FROM mirox.verify_token(:'secret', '203.0.113.7', 'curl/8.5.0', 'parks:read');
-- IPv4-mapped IPv6 is IPv4, so that this is the same caller.
SELECT reason FROM mirox.verify_token(:'secret', '::ffff:203.0.113.7', 'curl/8.5.0', 'parks:read');
SELECT reason FROM mirox.verify_token(:'secret', '2001:db8::7', 'Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0', 'parks:write');
SELECT reason FROM mirox.verify_token(:'secret');
SELECT reason FROM mirox.verify_token(:'secret', '203.0.113.7', 'curl/8.5.0', 'secrets');
SELECT reason FROM mirox.verify_token(:'other', '203.0.113.8', NULL, 'parks');
-- Looking leaves no trace.
SELECT reason FROM mirox.explain_check(:'secret', client_ip => '203.0.113.9', user_agent => 'curl/8.5.0');

-- ---- shown at once ------------------------------------------------------------------------------------------------------
SELECT name, uses, refusals, last_ip, last_used_at > now() - interval '1 minute' AS just_now FROM mirox.list_tokens(:'session');
SELECT name, uses, refusals FROM mirox.token_report WHERE user_id = 'usage' ORDER BY name;
SELECT status, reason, requests, ip, left(user_agent, 11) AS agent, scope FROM mirox.token_history(:'session', :token_id) ORDER BY reason, ip, scope;

-- ---- and the same once it is written --------------------------------------------------------------------------------------
SELECT mirox.flush();
SELECT name, uses, refusals, last_ip, last_browser, last_os FROM mirox.list_tokens(:'session');
SELECT name, uses, refusals FROM mirox.token_report WHERE user_id = 'usage' ORDER BY name;
SELECT status, reason, requests, ip, browser, os, left(user_agent, 11) AS agent, scope FROM mirox.token_history(:'session', :token_id) ORDER BY reason, ip, scope;
SELECT count(*) FROM mirox.token_history(:'session', :token_id, now() + interval '1 minute');
SELECT day = (now() AT TIME ZONE 'UTC')::date AS today, token_id = :token_id AS of_token, ip, browser, scope, status, reason, requests FROM mirox.usage_daily
WHERE user_id = 'usage' ORDER BY of_token DESC, reason, ip, scope;
SELECT sum(requests), bool_and(hour = date_trunc('hour', first_at)) FROM mirox.usage_hourly WHERE user_id = 'usage';
SELECT event, ip, requests, detail - 'last_at' AS detail FROM mirox.audit_trail
WHERE user_id = 'usage' AND requests IS NOT NULL ORDER BY event, ip, requests, detail::text;

-- A session's requests are recorded as its own, not as a token's.
SELECT status, reason FROM mirox.check_request('Bearer ' || :'session', 'GET', '/nowhere', '192.0.2.9');
SELECT mirox.flush();
SELECT event, method, endpoint, scope, token_id, ip, requests FROM mirox.audit_trail WHERE user_id = 'usage' AND session_id IS NOT NULL AND requests IS NOT NULL;
SELECT token_id, session_id IS NOT NULL AS of_session, generation, method, requests FROM mirox.usage_daily WHERE ip = '192.0.2.9';

-- ---- unauthenticated ---------------------------------------------------------------------------------------------------------
SELECT reason FROM mirox.verify_token('nonsense', '198.51.100.77', 'agent');
SELECT reason FROM mirox.verify_token('nonsense', '198.51.100.77', 'another agent');
SELECT reason FROM mirox.verify_token(repeat('x', 100000), '2001:db8:1:2:3:4:5:6');
SELECT mirox.flush();
SELECT status, reason, token_id, user_id, ip, user_agent, sum(requests) FROM mirox.refusals
WHERE ip <<= '198.51.100.77' OR ip <<= '2001:db8:1::/48' GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY ip;

-- ---- rotation begins anew -----------------------------------------------------------------------------------------------------
SELECT reason FROM mirox.verify_token(:'secret', '203.0.113.7');
SELECT secret AS fresh FROM mirox.rotate_token(:'session', :token_id) \gset
SELECT uses, refusals, last_used_at, last_ip FROM mirox.list_tokens(:'session') WHERE name = 'used';
SELECT count(*) FROM mirox.token_history(:'session', :token_id);
SELECT reason FROM mirox.verify_token(:'fresh', '203.0.113.10');
-- What the secret before does now is shown too, as its own generation's.
SELECT reason FROM mirox.verify_token(:'secret', '203.0.113.11');
SELECT mirox.flush();
SELECT uses, refusals, last_ip FROM mirox.list_tokens(:'session') WHERE name = 'used';
SELECT generation, reason, requests, ip FROM mirox.token_history(:'session', :token_id) ORDER BY 1;
-- The reports keep all.
SELECT sum(requests) FROM mirox.usage_daily WHERE token_id = :token_id;
SELECT generation, sum(requests) FROM mirox.usage_daily WHERE token_id = :token_id GROUP BY 1 ORDER BY 1;

-- ---- in a transaction: recorded whatever becomes of it, written without waiting for it -------------------------------------------
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT reason FROM mirox.verify_token(:'fresh', '203.0.113.12');
SELECT mirox.flush();
SELECT uses FROM mirox.list_tokens(:'session') WHERE name = 'used';
ROLLBACK;
SELECT uses FROM mirox.list_tokens(:'session') WHERE name = 'used';

-- ---- whose history it is ------------------------------------------------------------------------------------------------------------
SELECT mirox.put_account('usage other', '{parks}');
SELECT mirox.open_session('usage other') AS other_session \gset
SELECT * FROM mirox.token_history(:'other_session', :token_id);
SELECT * FROM mirox.token_history(:'session', NULL);
SELECT * FROM mirox.token_history('nonsense', :token_id);
SELECT * FROM mirox.token_history(:'fresh', :token_id);

-- ---- what is closed stays ---------------------------------------------------------------------------------------------------------------
UPDATE mirox_internal.usage_open SET requests = '{2}';
DELETE FROM mirox_internal.usage_open;
TRUNCATE mirox_internal.usage_minute;

-- ---- of a deleted account the name is kept by the audit log ----------------------------------------------------------------------------------
SELECT mirox.delete_account('usage');
SELECT user_id, sum(requests) FROM mirox.usage_daily WHERE token_id IN (:token_id, :other_id) GROUP BY 1;
SELECT count(*) FROM mirox.token_report WHERE user_id = 'usage';
