-- Idempotency keys: a repeated issue or rotation changes nothing and shows no secret.
\set SHOW_CONTEXT never
SELECT mirox.put_account('again', '{parks}');
SELECT mirox.open_session('again') AS session, mirox.open_session('again') AS other \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'one', 'full_access', idempotency_key => 'k1') \gset
SELECT token_id = :token_id AS same, secret, name, permission_group, place FROM mirox.issue_token(:'session', 'one', 'full_access', idempotency_key => 'k1');
SELECT status FROM mirox.verify_token(:'secret');
SELECT count(*) FROM mirox.list_tokens(:'session');
-- The key is the session's; another request must not have it; without a key each call is a new request.
SELECT token_id = :token_id AS same, secret IS NULL AS no_secret FROM mirox.issue_token(:'other', 'one', 'full_access', idempotency_key => 'k1');
SELECT mirox.issue_token(:'session', 'two', 'full_access', idempotency_key => 'k1') IS NOT NULL AS issued;
SELECT mirox.rotate_token(:'session', :token_id, idempotency_key => 'k1') IS NOT NULL AS rotated;
SELECT mirox.issue_token(:'session', 'two', 'full_access', idempotency_key => '') IS NOT NULL AS issued;
SELECT mirox.issue_token(:'session', 'two', 'full_access', idempotency_key => repeat('k', 501)) IS NOT NULL AS issued;
SELECT count(DISTINCT token_id) FROM (SELECT (mirox.issue_token(:'session', 'free', 'full_access')).token_id FROM generate_series(1, 2)) t;
-- Another argument makes another request: each of them, one at a time.
SELECT a.argument, t.outcome(format('SELECT 1 FROM mirox.issue_token(%L, %L, %L, idempotency_key => %L, %s)', :'session', 'one', 'full_access', 'k1', a.argument))
FROM unnest(ARRAY[$$expires_at => '2027-01-01'$$, $$expires_in => '3 days'$$, $$permissions => '{parks}'$$, $$allowed_ips => '{192.0.2.0/24}'$$,
                  $$format => 'jwt'$$, $$metadata => '{"a": 1}'$$, $$rate_limit => 5$$]) a (argument);
SELECT t.outcome(format('SELECT 1 FROM mirox.issue_token(%L, %L, %L, idempotency_key => %L)', :'session', 'one', 'reporting', 'k1'));
SELECT secret IS NOT NULL AS shown FROM mirox.issue_token(:'session', 'all', 'full_access', NULL, '3 days', '{parks}', '{192.0.2.0/24}', 'opaque', '{"a": 1}', 'k4', 5);
SELECT secret IS NOT NULL AS shown FROM mirox.issue_token(:'session', 'all', 'full_access', NULL, '3 days', '{parks}', '{192.0.2.0/24}', 'opaque', '{"a": 1}', 'k4', 5);
SELECT t.outcome(format($$SELECT 1 FROM mirox.issue_token(%L, 'all', 'full_access', NULL, '3 days', '{parks}', '{192.0.2.0/24}', 'opaque', '{"a": 1}', 'k4', 6)$$, :'session'));
-- How a session writes times makes none.
SET timezone = 'Asia/Tokyo';
SET intervalstyle = 'iso_8601';
SELECT secret IS NOT NULL AS shown FROM mirox.issue_token(:'session', 'all', 'full_access', NULL, '3 days', '{parks}', '{192.0.2.0/24}', 'opaque', '{"a": 1}', 'k4', 5);
RESET timezone;
RESET intervalstyle;
-- A rotation.
SELECT secret AS second FROM mirox.rotate_token(:'session', :token_id, idempotency_key => 'k2') \gset
SELECT token_id = :token_id AS same, secret FROM mirox.rotate_token(:'session', :token_id, idempotency_key => 'k2');
SELECT t.outcome(format('SELECT 1 FROM mirox.rotate_token(%L, %s, %L, %L)', :'session', :token_id, '1 hour', 'k2'));
SELECT status FROM mirox.verify_token(:'second');
SELECT generation FROM mirox_internal.token WHERE token_id = :token_id;
-- What was rolled back was not answered.
BEGIN;
SELECT secret IS NOT NULL AS shown FROM mirox.issue_token(:'session', 'back', 'full_access', idempotency_key => 'k3');
ROLLBACK;
SELECT secret IS NOT NULL AS shown FROM mirox.issue_token(:'session', 'back', 'full_access', idempotency_key => 'k3');
-- After a day the key is free.
SELECT t.outcome($$UPDATE mirox_internal.answered_call SET at = at - interval '25 hours' WHERE key = 'k3'$$);
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE mirox_internal.answered_call SET at = at - interval '25 hours' WHERE key = 'k3';
COMMIT;
SELECT secret IS NOT NULL AS shown FROM mirox.issue_token(:'session', 'back', 'full_access', idempotency_key => 'k3');
-- The key opens nothing: without the session it is refused as ever.
SELECT t.state(format('SELECT mirox.issue_token(%L, %L, %L, idempotency_key => %L)', 'miroxs_none', 'one', 'full_access', 'k1'));
SELECT mirox.delete_account('again');
