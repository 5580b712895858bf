-- Revoking: one, all, the expired ones, by the token itself, by an administrator. It works at once and for good.
\set SHOW_CONTEXT never
SELECT mirox.put_account('revoke', '{parks}', 60000, 1000);
SELECT mirox.open_session('revoke') AS session \gset
SELECT mirox.put_account('revoke/other', '{parks}');
SELECT mirox.open_session('revoke/other') AS other \gset

-- ---- one ------------------------------------------------------------------------------------------------------------
SELECT token_id, secret, place FROM mirox.issue_token(:'session', 'a', 'full_access') \gset
SELECT mirox.revoke_token(:'session', :token_id, 'laptop lost') AS first \gset
SELECT :'first'::timestamptz BETWEEN now() - interval '1 minute' AND clock_timestamp() AS now;
SELECT status, reason, token_id, user_id, permission_group, permissions, expires_at, retry_after_ms FROM mirox.verify_token(:'secret');
SELECT count(*) AS listed FROM mirox.list_tokens(:'session');
-- Again: the first time's time and reason, and no second audit row.
SELECT mirox.revoke_token(:'session', :token_id, 'again') = :'first' AS first_stands;
SELECT revoked_at = :'first' AS first, revoke_reason FROM mirox_internal.token WHERE token_id = :token_id;
SELECT event, detail #>> '{revoke_reason,to}' AS reason FROM mirox_internal.audit_log WHERE token_id = :token_id ORDER BY audit_id;
-- Its place is free at once.
SELECT token_id, secret, place = :place AS reused FROM mirox.issue_token(:'session', 'b', 'full_access') \gset
SELECT :'reused' AS reused;
-- Without a reason, with one of 500 characters, with a longer one.
SELECT mirox.revoke_token(:'session', :token_id) IS NOT NULL AS revoked;
SELECT revoke_reason FROM mirox_internal.token WHERE token_id = :token_id;
SELECT token_id, secret FROM mirox.issue_token(:'session', 'c', 'full_access') \gset
SELECT t.outcome(format('SELECT mirox.revoke_token(%L, %s, %L)', :'session', :token_id, repeat('ü', 501)));
-- What could break a line, a terminal or the order in which a list is read is refused wherever a reason is taken, as in a name.
SELECT convert_to(reason, 'UTF8') AS reason, t.outcome(format('SELECT mirox.revoke_token(%L, %s, %L)', :'session', :token_id, reason)) FROM (VALUES
    (E'a\nb'), (E'\x1b[2J'), (E'\x7f'), (U&'\0085'), (U&'\2028'), (U&'\202e'), (U&'\2066')) r (reason);
SELECT call, t.state('SELECT mirox.' || format(call, :'session', :token_id, :'secret', E'\x1b[2J')) FROM unnest(ARRAY[
    'revoke_all_tokens(%1$L, %4$L)', 'revoke_self(%3$L, %4$L)', 'revoke_any_token(%2$L, %4$L)', 'lock_account(''revoke'', %4$L)']) call;
SELECT t.state(format('UPDATE mirox_internal.token SET revoked_at = now(), revoke_reason = %L WHERE token_id = %s', E'\x1b[2J', :token_id)) AS direct;
SELECT status FROM mirox.verify_token(:'secret');
SELECT mirox.revoke_token(:'session', :token_id, repeat('ü', 500)) IS NOT NULL AS revoked;
-- Another's, none at all: one text, and nothing happens.
SELECT token_id AS theirs, secret AS their_secret FROM mirox.issue_token(:'other', 'theirs', 'full_access') \gset
SELECT what, t.outcome(format('SELECT mirox.revoke_token(%L, %s)', :'session', id)) FROM (VALUES
    ('another''s', :theirs::text), ('none', '9223372036854775807'), ('NULL', 'NULL')) v (what, id);
SELECT status FROM mirox.verify_token(:'their_secret');
-- Rolled back, it never was; committed, it is for good, against direct DML too.
SELECT token_id, secret FROM mirox.issue_token(:'session', 'd', 'full_access') \gset
BEGIN;
SELECT mirox.revoke_token(:'session', :token_id) IS NOT NULL AS revoked;
SELECT reason FROM mirox.verify_token(:'secret');
ROLLBACK;
SELECT reason FROM mirox.verify_token(:'secret');
SELECT mirox.revoke_token(:'session', :token_id) IS NOT NULL AS revoked;
SELECT t.outcome(format('UPDATE mirox_internal.token SET revoked_at = NULL WHERE token_id = %s', :token_id));
SELECT t.outcome(format('UPDATE mirox_internal.token SET revoked_at = now() WHERE token_id = %s', :token_id));
SELECT t.outcome(format('SELECT mirox.rotate_token(%L, %s)', :'session', :token_id));
SELECT t.outcome(format('SELECT mirox.rename_token(%L, %s, ''x'')', :'session', :token_id));
SELECT reason FROM mirox.verify_token(:'secret');

-- ---- all, and the expired ones --------------------------------------------------------------------------------------
SELECT mirox.revoke_all_tokens(:'session') AS none_yet;
CREATE TEMP TABLE issued AS
SELECT i.token_id, i.secret FROM generate_series(1, 5) n, LATERAL mirox.issue_token(:'session', 'long ' || n, 'full_access') i
UNION ALL
SELECT i.token_id, i.secret FROM generate_series(1, 3) n, LATERAL mirox.issue_token(:'session', 'short ' || n, 'full_access', expires_in => '1 millisecond') i;
SELECT pg_sleep(0.01);
SELECT status, count(*) FROM mirox.list_tokens(:'session') GROUP BY status ORDER BY status;
SELECT mirox.revoke_expired_tokens(:'session') AS expired_ones, mirox.revoke_expired_tokens(:'session') AS none_left;
SELECT reason, count(*) FROM issued, mirox.verify_token(secret) GROUP BY reason ORDER BY reason;
SELECT DISTINCT revoke_reason FROM mirox_internal.token WHERE token_id IN (SELECT token_id FROM issued) AND revoked_at IS NOT NULL;
SELECT mirox.revoke_all_tokens(:'session', 'clean up') AS the_others, mirox.revoke_all_tokens(:'session') AS none_left;
SELECT reason, count(*) FROM issued, mirox.verify_token(secret) GROUP BY reason;
SELECT revoke_reason, count(*) FROM mirox_internal.token WHERE token_id IN (SELECT token_id FROM issued) GROUP BY 1 ORDER BY 1;
SELECT event, count(*), count(DISTINCT token_id) AS tokens FROM mirox_internal.audit_log WHERE token_id IN (SELECT token_id FROM issued) GROUP BY 1 ORDER BY 1;
SELECT t.outcome(format('SELECT mirox.revoke_all_tokens(%L, repeat(''x'', 501))', :'session'));
SELECT status AS another_owners FROM mirox.verify_token(:'their_secret');

-- ---- by the token itself --------------------------------------------------------------------------------------------
-- In each state of the secret: one in force, overlapping or merely expired ends its token; one that was rotated away does
-- not let its finder end the new one; all else is one text.
SELECT token_id, secret FROM mirox.issue_token(:'session', 'leaked', 'full_access', allowed_ips => '{203.0.113.7}') \gset
SELECT mirox.revoke_self(:'secret', 'found on GitHub') AS first \gset
SELECT mirox.revoke_self(:'secret') = :'first' AS first_stands;
SELECT reason FROM mirox.verify_token(:'secret', '203.0.113.7');
SELECT revoke_reason FROM mirox_internal.token WHERE token_id = :token_id;
SELECT event, session_id, detail #>> '{revoke_reason,to}' AS reason FROM mirox_internal.audit_log WHERE token_id = :token_id ORDER BY audit_id DESC LIMIT 1;
SELECT token_id, secret FROM mirox.issue_token(:'session', 'expired', 'full_access', expires_in => '1 millisecond') \gset
SELECT pg_sleep(0.01);
SELECT mirox.revoke_self(:'secret') IS NOT NULL AS expired;
SELECT reason FROM mirox.verify_token(:'secret');
SELECT revoke_reason FROM mirox_internal.token WHERE token_id = :token_id;
SELECT token_id, secret AS first FROM mirox.issue_token(:'session', 'rotated', 'full_access') \gset
SELECT secret AS second FROM mirox.rotate_token(:'session', :token_id, '1 hour') \gset
SELECT secret AS third FROM mirox.rotate_token(:'session', :token_id, '1 hour') \gset
SELECT t.outcome(format('SELECT mirox.revoke_self(%L)', :'first')) AS rotated_away;
SELECT a.reason, b.reason, c.reason FROM mirox.verify_token(:'first') a, mirox.verify_token(:'second') b, mirox.verify_token(:'third') c;
SELECT mirox.revoke_self(:'second') IS NOT NULL AS overlapping;
SELECT a.reason, b.reason, c.reason FROM mirox.verify_token(:'first') a, mirox.verify_token(:'second') b, mirox.verify_token(:'third') c;
SELECT secret FROM mirox.issue_token(:'other', 'locked', 'full_access') \gset
SELECT mirox.lock_account('revoke/other') IS NOT NULL AS locked;
SELECT mirox.revoke_self(:'secret') IS NOT NULL AS of_a_locked_account;
SELECT mirox.unlock_account('revoke/other');
SELECT reason FROM mirox.verify_token(:'secret');
SELECT what, t.outcome(format('SELECT mirox.revoke_self(%L)', secret)) FROM (VALUES
    ('NULL', NULL), ('empty', ''), ('junk', 'junk'), ('a session', :'session'),
    ('unknown', 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria')) v (what, secret);
SELECT count(*) AS the_session_lives FROM mirox.list_tokens(:'session');
SELECT secret FROM mirox.issue_token(:'session', 'x', 'full_access') \gset
SELECT t.outcome(format('SELECT mirox.revoke_self(%L, repeat(''x'', 501))', :'secret'));
SELECT status FROM mirox.verify_token(:'secret');

-- ---- by an administrator --------------------------------------------------------------------------------------------
SELECT mirox.revoke_any_token(:theirs, 'abuse') AS first \gset
SELECT mirox.revoke_any_token(:theirs) = :'first' AS first_stands;
SELECT reason FROM mirox.verify_token(:'their_secret');
SELECT event, user_id, session_id, detail #>> '{revoke_reason,to}' AS reason FROM mirox_internal.audit_log WHERE token_id = :theirs ORDER BY audit_id DESC LIMIT 1;
SELECT t.outcome('SELECT mirox.revoke_any_token(9223372036854775807)'), t.outcome('SELECT mirox.revoke_any_token(NULL)');

-- Every secret of a revoked token is revoked, and only of those.
SELECT count(*) > 15 AS many, bool_and((s.state = 'v') = (t.revoked_at IS NOT NULL)) AS agree
FROM mirox_internal.token_secret s JOIN mirox_internal.token t USING (token_id) WHERE s.user_id LIKE 'revoke%';
SELECT mirox.delete_account('revoke'), mirox.delete_account('revoke/other');
