-- Rate limits in one session: what is drawn, what is said, what changes at once. The load test is test/tap/040_limits.pl.
-- The limits here are slow ones (a request in minutes), so that no time passes that would count.
\set VERBOSITY terse
SELECT mirox.put_account('limits', '{parks:read}', 1, 5);
SELECT mirox.open_session('limits') AS session \gset
SELECT secret AS a FROM mirox.issue_token(:'session', 'a', 'full_access') \gset
SELECT secret AS b FROM mirox.issue_token(:'session', 'b', 'full_access') \gset
SELECT * FROM mirox.rate_limit_status('limits');

-- Two tokens and a session share one limit; a 403 draws, a 401 and a look do not, a digest does.
SELECT status, retry_after_ms FROM mirox.verify_token(:'a');
SELECT status FROM mirox.verify_token(:'b', required_scope => 'users');
SELECT status, ratelimit_limit, ratelimit_remaining, ratelimit_reset BETWEEN 59 AND 60 AS reset, retry_after
FROM mirox.check_request('Bearer ' || :'session', 'GET', '/');
SELECT status FROM mirox.explain_check(:'a');
SELECT status FROM mirox.verify_token('mirox_x');
SELECT status FROM mirox.verify_digest(sha256('nobody'));
SELECT rate_limit, burst, remaining, retry_after_ms FROM mirox.rate_limit_status('limits');
SELECT status FROM mirox.verify_digest(sha256(:'a'));
SELECT status, ratelimit_remaining FROM mirox.check_request('Bearer ' || :'b', 'GET', '/');
-- The burst is gone. 429 comes before 403, and says when to come back.
SELECT status, reason, token_id IS NOT NULL AS token, user_id, permissions, retry_after_ms BETWEEN 50000 AND 60000 AS retry
FROM mirox.verify_token(:'a', required_scope => 'users');
SELECT status, reason, www_authenticate, retry_after BETWEEN 50 AND 60 AS retry_after, ratelimit_limit, ratelimit_remaining,
    ratelimit_reset BETWEEN 50 AND 60 AS reset
FROM mirox.check_request('Bearer ' || :'session', 'GET', '/');
-- retry_after is retry_after_ms in seconds, rounded up.
SELECT retry_after = ceil(retry_after_ms / 1000.0) AS agree FROM mirox.check_request('Bearer ' || :'b', 'GET', '/');
-- A refused request costs nothing: however many, the wait is no longer.
SELECT count(*) FROM generate_series(1, 1000), mirox.verify_token(:'a') v WHERE v.status = 429;
SELECT remaining, retry_after_ms BETWEEN 50000 AND 60000 AS retry FROM mirox.rate_limit_status('limits');
SELECT status, reason FROM mirox.explain_check(:'a', 'GET', '/');

-- A change works at once: what was used stays used.
SELECT mirox.put_account('limits', '{parks:read}', 1, 7);
SELECT remaining FROM mirox.rate_limit_status('limits');
SELECT status FROM mirox.verify_token(:'a') UNION ALL SELECT status FROM mirox.verify_token(:'b') UNION ALL SELECT status FROM mirox.verify_token(:'a');
SELECT mirox.put_account('limits', '{parks:read}', 600, 7);
SELECT status FROM mirox.verify_token(:'a');
SELECT pg_sleep(0.2);
SELECT status FROM mirox.verify_token(:'a');
SELECT mirox.put_account('limits', '{parks:read}', 0, 7);
SELECT status, retry_after_ms FROM mirox.verify_token(:'a');
SELECT rate_limit, remaining FROM mirox.rate_limit_status('limits');
-- The defaults, for who has no limit of his own; a change of theirs too.
SELECT mirox.put_account('limits-default', '{parks}');
SELECT mirox.open_session('limits-default') AS session \gset
SELECT secret AS c FROM mirox.issue_token(:'session', 'c', 'full_access') \gset
SELECT rate_limit, burst, remaining FROM mirox.rate_limit_status('limits-default');
SET mirox_tokens.rate_limit = 1;
SET mirox_tokens.rate_burst = 2;
SELECT status, ratelimit_limit, ratelimit_remaining FROM mirox.check_request('Bearer ' || :'c', 'GET', '/');
SELECT status, ratelimit_limit, ratelimit_remaining FROM mirox.check_request('Bearer ' || :'session', 'GET', '/');
SELECT status, ratelimit_limit, ratelimit_remaining FROM mirox.check_request('Bearer ' || :'c', 'GET', '/');
RESET mirox_tokens.rate_limit;
RESET mirox_tokens.rate_burst;
SELECT status, ratelimit_limit, ratelimit_remaining FROM mirox.check_request('Bearer ' || :'c', 'GET', '/');
-- Direct DML counts as well.
UPDATE mirox_internal.account SET rate_limit = 1, burst = 1 WHERE user_id = 'limits-default';
SELECT rate_limit, burst FROM mirox.rate_limit_status('limits-default');
SELECT status, ratelimit_limit FROM mirox.check_request('Bearer ' || :'c', 'GET', '/');
SELECT status, ratelimit_limit FROM mirox.check_request('Bearer ' || :'session', 'GET', '/');

-- A draw is no part of the transaction: rolling back gives nothing back.
SELECT mirox.put_account('limits-rollback', '{parks}', 1, 2);
SELECT mirox.open_session('limits-rollback') AS session \gset
BEGIN;
SELECT status FROM mirox.check_request('Bearer ' || :'session', 'GET', '/');
ROLLBACK;
SELECT remaining FROM mirox.rate_limit_status('limits-rollback');

-- ---- a token's own limit -------------------------------------------------------------------------------------------
-- An admitted request draws on both limits, a refused one on neither; the answer tells of the one that binds.
SELECT mirox.put_account('limits-own', '{parks:read}', 1, 10);
SELECT mirox.open_session('limits-own') AS session \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'capped', 'full_access', rate_limit => 1) \gset
SELECT secret AS other FROM mirox.issue_token(:'session', 'free', 'full_access') \gset
SELECT name, rate_limit, burst FROM mirox.list_tokens(:'session');
SELECT name, rate_limit, burst FROM mirox.token_report WHERE user_id = 'limits-own' ORDER BY name;
SELECT status, ratelimit_policy, ratelimit ~ '^"token";r=0;t=(59|60)$' AS ratelimit, ratelimit_limit, ratelimit_remaining
FROM mirox.check_request('Bearer ' || :'secret', 'GET', '/');
SELECT status, reason, ratelimit_policy, ratelimit = '"token";r=0;t=' || retry_after AS ratelimit, retry_after BETWEEN 50 AND 60 AS retry,
    ratelimit_reset = retry_after AS reset FROM mirox.check_request('Bearer ' || :'secret', 'GET', '/');
SELECT status, retry_after_ms BETWEEN 50000 AND 60000 AS retry FROM mirox.verify_token(:'secret');
SELECT status, reason, ratelimit ~ '^"token"' AS ratelimit FROM mirox.explain_check(:'secret', 'GET', '/');
SELECT count(*) FROM generate_series(1, 1000), mirox.verify_token(:'secret') v WHERE v.status = 429;
-- Its refusals took nothing from the account, whose other tokens go on, and have no such policy.
SELECT remaining, policy FROM mirox.rate_limit_status('limits-own');
SELECT rate_limit, burst, remaining, retry_after_ms BETWEEN 50000 AND 60000 AS retry, policy FROM mirox.rate_limit_status('limits-own', :token_id);
SELECT status, ratelimit_policy, ratelimit_remaining FROM mirox.check_request('Bearer ' || :'other', 'GET', '/');
BEGIN;
SELECT mirox.authenticate('Bearer ' || :'secret');
ROLLBACK;
-- A change is obeyed at once, and what was used stays used; each writes its audit row of from and to, and a repeated one none.
SELECT mirox.set_token_rate_limit(:'session', :token_id, 1, 3);
SELECT mirox.set_token_rate_limit(:'session', :token_id, 1, 3);
SELECT status FROM mirox.verify_token(:'secret') UNION ALL SELECT status FROM mirox.verify_token(:'secret') UNION ALL SELECT status FROM mirox.verify_token(:'secret');
-- It stays through a rotation, and so do the 3 requests that it has admitted: with this one 4 of 5.
SELECT mirox.set_token_rate_limit(:'session', :token_id, 1, 5);
SELECT secret FROM mirox.rotate_token(:'session', :token_id) \gset
SELECT status, ratelimit_policy, ratelimit_remaining FROM mirox.check_request('Bearer ' || :'secret', 'GET', '/');
-- Never above the account's.
SELECT mirox.set_token_rate_limit(:'session', :token_id, 1000, 1000);
SELECT rate_limit, burst, policy FROM mirox.rate_limit_status('limits-own', :token_id);
SELECT ratelimit_policy FROM mirox.check_request('Bearer ' || :'secret', 'GET', '/');
-- None any more.
SELECT mirox.set_token_rate_limit(:'session', :token_id, NULL);
SELECT ratelimit_policy FROM mirox.check_request('Bearer ' || :'secret', 'GET', '/');
-- Direct DML counts as well.
UPDATE mirox_internal.token SET rate_limit = 1, burst = 1 WHERE token_id = :token_id;
SELECT own_rate_limit, own_burst FROM mirox_internal.token_secret WHERE token_id = :token_id AND state = 'c';
SELECT event, jsonb_object_agg(k, v ORDER BY k) FROM mirox_internal.audit_log, jsonb_each(detail) d (k, v)
WHERE token_id = :token_id AND k IN ('rate_limit', 'burst') GROUP BY event, node, audit_id ORDER BY audit_id;
-- An account that refuses gives the token its draw back.
SELECT mirox.put_account('limits-back', '{parks:read}', 1, 2);
SELECT mirox.open_session('limits-back') AS session \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'capped', 'full_access') \gset
SELECT mirox.set_token_rate_limit(:'session', :token_id, 1, 2);
SELECT secret AS other FROM mirox.issue_token(:'session', 'free', 'full_access') \gset
SELECT status FROM mirox.verify_token(:'other') UNION ALL SELECT status FROM mirox.verify_token(:'other');
SELECT status, ratelimit ~ '^"account";r=0;t=' AS ratelimit FROM mirox.check_request('Bearer ' || :'secret', 'GET', '/');
SELECT count(*) FROM generate_series(1, 1000), mirox.verify_token(:'secret') v WHERE v.status = 429;
SELECT mirox.put_account('limits-back', '{parks:read}', 1, 4);
SELECT remaining, policy FROM mirox.rate_limit_status('limits-back', :token_id);
SELECT status FROM mirox.verify_token(:'secret') UNION ALL SELECT status FROM mirox.verify_token(:'secret');
SELECT status, ratelimit_remaining FROM mirox.check_request('Bearer ' || :'secret', 'GET', '/');
-- A service account's token.
SELECT mirox.put_account('limits-service', '{parks:read}');
SELECT mirox.set_service_account('limits-service');
SELECT ratelimit_policy FROM mirox.issue_service_token('limits-service', 'nightly', 'full_access', rate_limit => 5) i,
    LATERAL mirox.check_request('Bearer ' || i.secret, 'GET', '/');

-- ---- refusals
\set VERBOSITY sqlstate
SELECT mirox.put_account('limits', '{parks}', -1, 5);
SELECT mirox.put_account('limits', '{parks}', 1, 0);
SELECT * FROM mirox.rate_limit_status('limits-nobody');
SELECT * FROM mirox.rate_limit_status(NULL);
SELECT * FROM mirox.rate_limit_status('limits', 0);
SELECT * FROM mirox.rate_limit_status('limits', :token_id);
SELECT mirox.issue_token(:'session', 'none', 'full_access', rate_limit => 0);
SELECT mirox.set_token_rate_limit(:'session', :token_id, 0);
SELECT mirox.set_token_rate_limit(:'session', :token_id, 1, 0);
SELECT mirox.set_token_rate_limit(:'session', :token_id, NULL, 1);
SELECT mirox.set_token_rate_limit(:'session', -1, 1);
SELECT mirox.set_token_rate_limit(:'other', :token_id, 1);
SET mirox_tokens.rate_limit = -1;
SET mirox_tokens.rate_burst = 0;
SET mirox_tokens.max_tracked_accounts = 100;
CREATE ROLE limits_gateway; CREATE ROLE limits_application; CREATE ROLE limits_reporting;
SELECT mirox.grant_access('limits_gateway', 'gateway'), mirox.grant_access('limits_application', 'application'),
    mirox.grant_access('limits_reporting', 'reporting');
SET ROLE limits_gateway;
SELECT rate_limit FROM mirox.rate_limit_status('limits');
SET mirox_tokens.rate_limit = 1000000;
SET ROLE limits_application;
SELECT rate_limit FROM mirox.rate_limit_status('limits');
SET ROLE limits_reporting;
SELECT rate_limit FROM mirox.rate_limit_status('limits');
RESET ROLE;
SELECT mirox.revoke_access('limits_gateway', 'gateway'), mirox.revoke_access('limits_application', 'application'),
    mirox.revoke_access('limits_reporting', 'reporting');
DROP ROLE limits_gateway, limits_application, limits_reporting;
