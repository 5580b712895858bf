-- Accounts: registering, changing, locking, deleting; each act leaves one row in the audit log, each no-op none.
\set SHOW_CONTEXT never

SELECT mirox.put_account('accounts/anna', '{reports,parks:read,parks.berlin:read}');
SELECT user_id, permissions, rate_limit, burst, locked_at, created_at BETWEEN now() - interval '1 minute' AND clock_timestamp() AS now
FROM mirox_internal.account WHERE user_id = 'accounts/anna';
-- The same again, in other words: nothing happens.
SELECT mirox.put_account('accounts/anna', '{parks:read,reports,reports}');
SELECT mirox.put_account('accounts/anna', '{parks:read,reports}', NULL, NULL);
-- Changes; what is left out stays (fault 15). set_rate_limit is what goes back to the configured default.
SELECT mirox.put_account('accounts/anna', '{parks:read,reports}', 1200, 100);
SELECT mirox.put_account('accounts/anna', '{parks:read,reports}', rate_limit => 1200, burst => 100);
SELECT mirox.put_account(user_id => 'accounts/anna', permissions => '{parks}', rate_limit => 0);
SELECT permissions, rate_limit, burst FROM mirox_internal.account WHERE user_id = 'accounts/anna';
SELECT mirox.put_account('accounts/anna', '{}');
SELECT permissions, rate_limit, burst FROM mirox_internal.account WHERE user_id = 'accounts/anna';
SELECT mirox.set_rate_limit('accounts/anna', NULL, NULL);
SELECT permissions, rate_limit, burst FROM mirox_internal.account WHERE user_id = 'accounts/anna';
SELECT mirox.set_rate_limit('accounts/anna', 60, NULL);
SELECT mirox.set_rate_limit('accounts/anna', 60, NULL);
SELECT mirox.put_account('accounts/anna', '{}');
SELECT permissions, rate_limit, burst FROM mirox_internal.account WHERE user_id = 'accounts/anna';
SELECT t.outcome($$SELECT mirox.set_rate_limit('accounts/anna', -1, NULL)$$), t.outcome($$SELECT mirox.set_rate_limit('accounts/anna', NULL, 0)$$),
       t.outcome($$SELECT mirox.set_rate_limit(NULL, 1, 1)$$), t.outcome($$SELECT mirox.set_rate_limit('accounts/nobody', 1, 1)$$);
SELECT * FROM t.audit('accounts/anna');

-- User ids: any text of 1 to 255 characters in any script, taken as it is.
SELECT mirox.put_account(id, '{}') FROM (VALUES (' accounts spaced '), ('accounts/' || repeat('ü', 246)), ('accounts/日本語'),
    ('accounts/42'), ('accounts/A'), ('accounts/a'), ('accounts/''; DROP TABLE mirox.account; --')) v (id);
SELECT left(user_id, 42) AS user_id, length(user_id) FROM mirox_internal.account WHERE user_id LIKE '%accounts%' ORDER BY 1;
SELECT what, t.outcome(format('SELECT mirox.put_account(%L, ''{}'')', id)) FROM (VALUES
    ('NULL', NULL), ('empty', ''), ('256 characters', repeat('ü', 256)), ('control character', E'accounts\x07'),
    ('line end', E'accounts\n'), ('DEL', E'accounts\x7f')) v (what, id);

-- Other arguments.
SELECT t.outcome($$SELECT mirox.put_account('accounts/b', NULL)$$);
SELECT t.outcome($$SELECT mirox.put_account('accounts/b', '{Parks}')$$);
SELECT t.outcome($$SELECT mirox.put_account('accounts/b', '{parks,NULL}')$$);
SELECT t.outcome($$SELECT mirox.put_account('accounts/b', '{{parks},{reports}}')$$);
SELECT t.outcome($$SELECT mirox.put_account('accounts/b', (SELECT array_agg('s' || i) FROM generate_series(1, 257) i))$$);
SELECT t.outcome($$SELECT mirox.put_account('accounts/b', '{}', rate_limit => -1)$$);
SELECT t.outcome($$SELECT mirox.put_account('accounts/b', '{}', burst => 0)$$);
SELECT count(*) AS registered_nevertheless FROM mirox_internal.account WHERE user_id = 'accounts/b';

-- A locked account's sessions and tokens are refused at once; the first lock's time and reason stand.
SELECT mirox.put_account('accounts/lena', '{parks}');
SELECT mirox.open_session('accounts/lena') AS session \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'a', 'full_access') \gset
SELECT status, reason FROM mirox.verify_token(:'secret');
SELECT mirox.lock_account('accounts/lena', 'left the company') AS first \gset
SELECT :'first'::timestamptz BETWEEN now() - interval '1 minute' AND clock_timestamp() AS now;
SELECT status, reason, token_id, user_id, permission_group, permissions, expires_at, retry_after_ms
FROM mirox.verify_token(:'secret');
SELECT * FROM mirox.list_tokens(:'session');
SELECT mirox.issue_token(:'session', 'b', 'full_access');
SELECT mirox.open_session('accounts/lena');
SELECT mirox.lock_account('accounts/lena', 'another reason') = :'first' AS first_stands;
SELECT locked_at = :'first' AS first, lock_reason FROM mirox_internal.account WHERE user_id = 'accounts/lena';
-- What is changed meanwhile does not unlock.
SELECT mirox.put_account('accounts/lena', '{parks,reports}');
SELECT status, reason FROM mirox.verify_token(:'secret');
SELECT mirox.unlock_account('accounts/lena');
SELECT mirox.unlock_account('accounts/lena');
SELECT status, reason, permissions FROM mirox.verify_token(:'secret');
-- The sessions of before stay closed (fault 16).
SELECT count(*) FROM mirox.list_tokens(:'session');
SELECT status, reason FROM mirox.check_request('Bearer ' || :'session', 'GET', '/');
SELECT locked_at, lock_reason FROM mirox_internal.account WHERE user_id = 'accounts/lena';
SELECT mirox.lock_account('accounts/lena') IS NOT NULL AS locked;
SELECT t.outcome($$SELECT mirox.lock_account('accounts/nobody')$$);
SELECT t.outcome($$SELECT mirox.lock_account('accounts/lena', E'\x1b[2J')$$), t.outcome($$SELECT mirox.lock_account('accounts/lena', repeat('x', 501))$$);
SELECT t.outcome($$SELECT mirox.put_account(U&'anna\202e', '{}')$$);
SELECT t.outcome($$SELECT mirox.unlock_account('accounts/nobody')$$);
SELECT t.outcome($$SELECT mirox.lock_account(NULL)$$);
SELECT t.outcome($$SELECT mirox.unlock_account(NULL)$$);
SELECT t.outcome($$SELECT mirox.lock_account('accounts/anna', repeat('ü', 501))$$);
SELECT mirox.lock_account('accounts/a', repeat('ü', 500)) IS NOT NULL AS locked;

-- Deleting revokes first; nothing is left but the audit log. It works on a locked account too.
SELECT mirox.delete_account('accounts/lena');
SELECT status, reason FROM mirox.verify_token(:'secret');
SELECT mirox.list_tokens(:'session');
SELECT count(*) FROM mirox_internal.account WHERE user_id = 'accounts/lena';
SELECT count(*) FROM mirox_internal.token WHERE token_id = :token_id;
SELECT count(*) FROM mirox_internal.token_secret WHERE user_id = 'accounts/lena';
SELECT count(*) FROM mirox_internal.session WHERE digest OPERATOR(mirox.=) t.stored(:'session');
SELECT * FROM t.audit('accounts/lena');
SELECT mirox.delete_account('accounts/lena');
SELECT mirox.delete_account('accounts/nobody');
SELECT t.outcome($$SELECT mirox.delete_account(NULL)$$);
-- Registered again, it is another account: old secrets stay dead.
SELECT mirox.put_account('accounts/lena', '{parks}');
SELECT status, reason FROM mirox.verify_token(:'secret');
SELECT count(DISTINCT account_id) AS accounts FROM mirox_internal.audit_log WHERE user_id = 'accounts/lena' AND event = 'account_registered';

-- In a transaction: what is rolled back never was.
BEGIN;
SELECT mirox.put_account('accounts/gone', '{}');
SAVEPOINT s;
SELECT mirox.lock_account('accounts/gone') IS NOT NULL AS locked;
ROLLBACK TO s;
SELECT locked_at FROM mirox_internal.account WHERE user_id = 'accounts/gone';
ROLLBACK;
SELECT count(*) FROM mirox_internal.account WHERE user_id = 'accounts/gone';
SELECT count(*) FROM mirox_internal.audit_log WHERE user_id = 'accounts/gone';

-- Times in the audit log are ISO 8601 in UTC whatever the session shows.
BEGIN;
SET LOCAL timezone = 'Asia/Kolkata';
SET LOCAL datestyle = 'German, DMY';
SELECT extract(epoch FROM mirox.lock_account('accounts/anna', 'zone')) AS at \gset
SELECT detail #>> '{locked_at,to}' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$' AS iso_utc,
       extract(epoch FROM (detail #>> '{locked_at,to}')::timestamptz) = :at AS same
FROM mirox_internal.audit_log WHERE user_id = 'accounts/anna' AND event = 'account_locked';
COMMIT;

SELECT bool_and(mirox.delete_account(user_id)) FROM mirox_internal.account WHERE user_id LIKE '%accounts%';
-- A transaction may register any number of accounts, so it keeps no lock in the server's table of locks for each.
BEGIN;
SELECT count(mirox.put_account('accounts/many/' || i, '{}')) FROM generate_series(1, 3) i;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'object' AND classid = 'mirox_internal.account'::regclass;
ROLLBACK;
