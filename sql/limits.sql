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

-- ---- refusals
\set VERBOSITY sqlstate
SELECT mirox.put_account('limits', '{parks}', -1, 5);
SELECT mirox.put_account('limits', '{parks}', 1, 0);
SELECT * FROM mirox.rate_limit_status('limits-nobody');
SELECT * FROM mirox.rate_limit_status(NULL);
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
