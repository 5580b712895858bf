-- Direct DML on the tables: held to the same rules, carried to what depends on it, audited once and marked as direct.
\set SHOW_CONTEXT never
CREATE TEMP TABLE mark AS SELECT 0::bigint AS at;
CREATE FUNCTION pg_temp.audited(OUT event text, OUT direct text, OUT detail jsonb) RETURNS SETOF record LANGUAGE sql AS $$
    SELECT a.event, a.detail ->> 'direct', jsonb_strip_nulls(a.detail - ARRAY['direct', 'account_id', 'token_id', 'session_id', 'created_at', 'opened_at',
        'expires_at', 'locked_at', 'closed_at', 'revoked_at', 'rotated_at', 'group_id', 'ends_at'])
    FROM mirox_internal.audit_log a WHERE audit_id > (SELECT at FROM mark) AND user_id LIKE 'direct%' ORDER BY audit_id
$$;
CREATE FUNCTION pg_temp.mark() RETURNS void LANGUAGE sql AS 'UPDATE mark SET at = (SELECT COALESCE(max(audit_id), 0) FROM mirox_internal.audit_log)';

-- ---- accounts -------------------------------------------------------------------------------------------------------
SELECT pg_temp.mark();
INSERT INTO mirox_internal.account (user_id, permissions) VALUES ('direct', '{parks,reports}'), ('direct/other', '{*}');
UPDATE mirox_internal.account SET permissions = '{parks}' WHERE user_id = 'direct';
UPDATE mirox_internal.account SET permissions = permissions WHERE user_id = 'direct';
UPDATE mirox_internal.account SET locked_at = now(), lock_reason = 'x' WHERE user_id = 'direct';
UPDATE mirox_internal.account SET locked_at = NULL, lock_reason = NULL WHERE user_id = 'direct';
SELECT * FROM pg_temp.audited();
SELECT count(*) AS stamped FROM mirox_internal.account a JOIN mirox_internal.audit_log l ON (a.audit_node, a.audit_id) = (l.node, l.audit_id) AND l.user_id = a.user_id WHERE a.user_id LIKE 'direct%';
SELECT t.outcome($$INSERT INTO mirox_internal.account (user_id, permissions) VALUES (E'direct\x07', '{}')$$);
SELECT t.outcome($$INSERT INTO mirox_internal.account (user_id, permissions) VALUES ('', '{}')$$);
SELECT t.outcome($$UPDATE mirox_internal.account SET user_id = E'direct\n' WHERE user_id = 'direct'$$);
SELECT t.outcome($$UPDATE mirox_internal.account SET account_id = account_id + 1000000 WHERE user_id = 'direct'$$);
SELECT t.state($$INSERT INTO mirox_internal.account (user_id, permissions) VALUES ('direct', '{}')$$) AS twice,
       t.state($$INSERT INTO mirox_internal.account (user_id, permissions) VALUES ('direct/null', NULL)$$) AS no_permissions,
       t.state($$INSERT INTO mirox_internal.account (user_id, permissions, rate_limit) VALUES ('direct/null', '{}', -1)$$) AS negative;

-- What is not inserted after all is not logged; what is updated instead is.
SELECT pg_temp.mark();
INSERT INTO mirox_internal.account (user_id, permissions) VALUES ('direct', '{x}') ON CONFLICT DO NOTHING;
INSERT INTO mirox_internal.account (user_id, permissions) VALUES ('direct', '{parks,x}'), ('direct/new', '{x}')
    ON CONFLICT (user_id) DO UPDATE SET permissions = EXCLUDED.permissions;
MERGE INTO mirox_internal.account a USING (VALUES ('direct', '{parks}'::mirox.scopes), ('direct/merged', '{y}')) v (user_id, permissions) ON a.user_id = v.user_id
    WHEN MATCHED THEN UPDATE SET permissions = v.permissions WHEN NOT MATCHED THEN INSERT (user_id, permissions) VALUES (v.user_id, v.permissions);
SELECT * FROM pg_temp.audited();

-- ---- sessions and tokens --------------------------------------------------------------------------------------------
SELECT account_id FROM mirox_internal.account WHERE user_id = 'direct' \gset
SELECT mirox.open_session('direct') AS session \gset
SELECT pg_temp.mark();
INSERT INTO mirox_internal.session (digest, account_id, expires_at) VALUES (repeat('1', 64)::mirox.digest, :account_id, now() + interval '1 hour');
UPDATE mirox_internal.session SET closed_at = now() WHERE digest OPERATOR(mirox.=) repeat('1', 64)::mirox.digest;
DELETE FROM mirox_internal.session WHERE digest OPERATOR(mirox.=) repeat('1', 64)::mirox.digest;
SELECT * FROM pg_temp.audited();
SELECT t.outcome($$INSERT INTO mirox_internal.session (digest, account_id, expires_at) VALUES (repeat('1', 64)::mirox.digest, -1, now())$$);

SELECT token_id, secret FROM mirox.issue_token(:'session', 'a', 'full_access') \gset
SELECT pg_temp.mark();
UPDATE mirox_internal.token SET name = '  b ' WHERE token_id = :token_id;
UPDATE mirox_internal.token SET permissions = '{parks:read}' WHERE token_id = :token_id;
SELECT permissions AS narrowed FROM mirox.verify_token(:'secret');
UPDATE mirox_internal.token SET allowed_ips = '{203.0.113.0/24,2001:db8::/32}' WHERE token_id = :token_id;
SELECT a.reason, b.reason FROM mirox.verify_token(:'secret', '198.51.100.1') a, mirox.verify_token(:'secret', '2001:db8::7') b;
-- What the functions would have put in plain form is obeyed as it stands, and what they would have refused matches nothing.
UPDATE mirox_internal.token SET allowed_ips = '{NULL,::ffff:203.0.113.0/120}' WHERE token_id = :token_id;
SELECT a.reason, b.reason, c.reason FROM mirox.verify_token(:'secret', '198.51.100.1') a, mirox.verify_token(:'secret', '203.0.113.7') b,
       mirox.verify_token(:'secret', '::ffff:203.0.113.7') c;
UPDATE mirox_internal.token SET allowed_ips = '{{NULL,10.0.0.0/8},{NULL,203.0.113.0/24}}' WHERE token_id = :token_id;
SELECT a.reason, b.reason, c.reason FROM mirox.verify_token(:'secret', '198.51.100.1') a, mirox.verify_token(:'secret', '203.0.113.7') b,
       mirox.verify_token(:'secret', NULL) c;
UPDATE mirox_internal.token SET allowed_ips = NULL, group_id = 2 WHERE token_id = :token_id;
SELECT permission_group, permissions FROM mirox.verify_token(:'secret');
UPDATE mirox_internal.token SET group_id = 1, permissions = NULL, expires_at = now() + interval '10 days' WHERE token_id = :token_id;
SELECT permission_group, permissions, expires_at = now() + interval '10 days' AS expires FROM mirox.verify_token(:'secret') \gset v_
SELECT :'v_permission_group' AS permission_group, :'v_permissions' AS permissions;
UPDATE mirox_internal.token SET revoked_at = now(), revoke_reason = 'by hand' WHERE token_id = :token_id;
SELECT reason FROM mirox.verify_token(:'secret');
SELECT * FROM pg_temp.audited();
SELECT name FROM mirox_internal.token WHERE token_id = :token_id;
SELECT pg_temp.mark();
DELETE FROM mirox_internal.token WHERE token_id = :token_id;
SELECT reason FROM mirox.verify_token(:'secret');
SELECT count(*) AS secrets_left FROM mirox_internal.token_secret WHERE token_id = :token_id;
SELECT * FROM pg_temp.audited();
-- The rules of the functions hold.
SELECT token_id, secret FROM mirox.issue_token(:'session', 'c', 'full_access') \gset
SELECT change, t.outcome(format('UPDATE mirox_internal.token SET %s WHERE token_id = %s', change, :token_id)) AS outcome FROM (VALUES
    ($$name = E'a\x07'$$), ($$name = ''$$), ($$name = repeat('x', 101)$$),
    ($$expires_at = now() - interval '1 second'$$), ($$expires_at = 'infinity'$$), ($$group_id = 99$$)) v (change);
SELECT change, t.state(format('UPDATE mirox_internal.token SET %s WHERE token_id = %s', change, :token_id)) AS outcome FROM (VALUES
    ($$name = NULL$$), ($$group_id = NULL$$), ($$expires_at = NULL$$), ($$allowed_ips = '{}'$$), ($$metadata = '[]'$$), ($$generation = 0$$),
    ($$format = 'other'$$), ($$expires_at = now() + interval '6 years'$$)) v (change);
SELECT regexp_replace(row, '^\d+, ', '') AS row, split_part(t.outcome(format('INSERT INTO mirox_internal.token (account_id, name, group_id, hint, lifetime, expires_at) VALUES (%s)', row)), ' | A token issued', 1) AS outcome FROM (VALUES
    ($$-1, 'x', 1, 'x', '1 day', now() + interval '1 day'$$), (:account_id || $$, E'x\n\x01', 1, 'x', '1 day', now() + interval '1 day'$$),
    (:account_id || $$, 'x', 99, 'x', '1 day', now() + interval '1 day'$$), (:account_id || $$, 'x', 1, 'x', '1 day', now()$$),
    (:account_id || $$, 'x', 1, 'x', '6 years', now() + interval '6 years'$$)) v (row);
SELECT status FROM mirox.verify_token(:'secret');

-- ---- secrets --------------------------------------------------------------------------------------------------------
SELECT pg_temp.mark();
UPDATE mirox_internal.token_secret SET state = 'r' WHERE token_id = :token_id;
SELECT reason FROM mirox.verify_token(:'secret');
UPDATE mirox_internal.token_secret SET state = 'c' WHERE token_id = :token_id;
SELECT reason FROM mirox.verify_token(:'secret');
UPDATE mirox_internal.token_secret SET digest = repeat('2', 64)::mirox.digest WHERE token_id = :token_id;
SELECT reason FROM mirox.verify_token(:'secret');
DELETE FROM mirox_internal.token_secret WHERE token_id = :token_id;
INSERT INTO mirox_internal.token_secret (digest, token_id, account_id, expires_at, generation, group_id, rate_limit, burst, locked, user_id, permissions)
VALUES (t.stored(:'secret'), :token_id, :account_id, now() + interval '1 day', 1, 1, -1, -1, false, 'direct', '{parks}');
SELECT reason FROM mirox.verify_token(:'secret');
SELECT * FROM pg_temp.audited();
SELECT count(*) AS with_a_digest FROM mirox_internal.audit_log, (SELECT digest FROM mirox_internal.token_secret UNION ALL SELECT digest FROM mirox_internal.session
    UNION ALL SELECT repeat('2', 64)::mirox.digest) d WHERE user_id LIKE 'direct%' AND position(digest::text IN detail::text) > 0;

-- A revoked token's secret cannot be brought back, nor a secret be given to no token or another's.
SELECT mirox.revoke_token(:'session', :token_id) IS NOT NULL AS revoked;
SELECT t.outcome(format('UPDATE mirox_internal.token_secret SET state = %L WHERE token_id = %s', state, :token_id)), state FROM unnest(ARRAY['c', 'o', 'r', 'v']) state;
SELECT what, t.outcome(format($$INSERT INTO mirox_internal.token_secret (digest, token_id, account_id, expires_at, generation, group_id, rate_limit, burst, locked, user_id, permissions)
    VALUES (repeat('3', 64)::mirox.digest, %s, %s, now() + interval '1 day', 1, 1, -1, -1, false, 'direct', '{parks}')$$, id, account)) FROM (VALUES
    ('revoked', :token_id, :account_id), ('no such token', -1, :account_id), ('no such account', :token_id, -1),
    ('another owner''s', :token_id, (SELECT account_id FROM mirox_internal.account WHERE user_id = 'direct/other'))) v (what, id, account);
SELECT t.outcome(format('UPDATE mirox_internal.token_secret SET token_id = 1 WHERE token_id = %s', :token_id)),
       t.outcome(format('UPDATE mirox_internal.token_secret SET account_id = -1 WHERE token_id = %s', :token_id));
SELECT reason FROM mirox.verify_token(:'secret');

-- A token has one secret in force, and one that overlaps it: those of its generation and of the generation before.
SELECT token_id AS two, secret AS first FROM mirox.issue_token(:'session', 'two', 'full_access') \gset
SELECT secret AS second FROM mirox.rotate_token(:'session', :two) \gset
SELECT secret AS third FROM mirox.rotate_token(:'session', :two, '1 day') \gset
SELECT generation, state, t.outcome(format('UPDATE mirox_internal.token_secret SET state = ''c'' WHERE token_id = %s AND generation = %s', :two, generation)) AS current,
       t.outcome(format('UPDATE mirox_internal.token_secret SET state = ''o'' WHERE token_id = %s AND generation = %s', :two, generation)) AS overlapping
FROM mirox_internal.token_secret WHERE token_id = :two ORDER BY generation;
SELECT generation, (SELECT reason FROM mirox.verify_token(s)) FROM (VALUES (1, :'first'), (2, :'second'), (3, :'third')) v (generation, s);
SELECT generation, state, t.state(format($$INSERT INTO mirox_internal.token_secret (digest, token_id, account_id, expires_at, generation, state, group_id, rate_limit, burst, locked, user_id, permissions)
    VALUES (repeat('3', 64)::mirox.digest, %s, %s, now() + interval '1 day', %L, %L, 1, -1, -1, false, 'direct', '{parks}')$$, :two, :account_id, generation, state))
FROM (VALUES (3, 'c'), (4, 'c'), (2, 'o'), (1, 'o'), (0, 'r'), (2, 'x'), (NULL, 'c')) v (generation, state);
-- With no trigger to ask, a generation still has one secret.
BEGIN;
SET LOCAL session_replication_role = replica;
SELECT generation, state, t.state(format($$INSERT INTO mirox_internal.token_secret (digest, token_id, account_id, expires_at, generation, state, group_id, rate_limit, burst, locked, user_id, permissions)
    VALUES (repeat('3', 64)::mirox.digest, %s, %s, %s, %s, %L, 1, -1, -1, false, 'direct', '{parks}')$$, :two, :account_id, ends, generation, state))
FROM (VALUES (3, 'c', 'now()'), (3, 'r', 'now()'), (0, 'r', 'now()'), (7, 'x', 'now()'), (7, 'r', $$'infinity'$$)) v (generation, state, ends);
ROLLBACK;

-- ---- deleting an account --------------------------------------------------------------------------------------------
SELECT pg_temp.mark();
DELETE FROM mirox_internal.account WHERE user_id = 'direct';
SELECT * FROM pg_temp.audited();
SELECT reason FROM mirox.verify_token(:'secret');
SELECT (SELECT count(*) FROM mirox_internal.token WHERE account_id = :account_id) + (SELECT count(*) FROM mirox_internal.session WHERE account_id = :account_id)
     + (SELECT count(*) FROM mirox_internal.token_secret WHERE account_id = :account_id) AS left_behind;
-- Several at once, by a condition, in one statement.
SELECT pg_temp.mark();
INSERT INTO mirox_internal.account (user_id, permissions) SELECT 'direct/' || n, '{parks}' FROM generate_series(1, 5) n;
SELECT count(mirox.issue_token(mirox.open_session(user_id), 'x', 'full_access')) FROM mirox_internal.account WHERE user_id ~ '^direct/\d';
UPDATE mirox_internal.token SET name = 'y' FROM mirox_internal.account a WHERE a.account_id = token.account_id AND a.user_id ~ '^direct/\d';
DELETE FROM mirox_internal.account WHERE user_id ~ '^direct/';
SELECT event, direct, count(*) FROM pg_temp.audited() GROUP BY 1, 2 ORDER BY 1, 2;

-- ---- policies, service accounts, notices, answered calls ------------------------------------------------------------------
SELECT pg_temp.mark();
INSERT INTO mirox_internal.account (user_id, permissions) VALUES ('direct', '{parks}');
SELECT mirox.put_group('direct', '{parks}');
SELECT group_id FROM mirox_internal.permission_group WHERE name = 'direct' \gset
INSERT INTO mirox_internal.group_policy (group_id, max_lifetime) VALUES (:group_id, '30 days');
SELECT mirox.open_session('direct') AS session \gset
-- A backend that has read the groups obeys at once.
SELECT t.state(format('SELECT mirox.issue_token(%L, %L, %L, expires_in => %L)', :'session', 'a', 'direct', '31 days'));
UPDATE mirox_internal.group_policy SET max_lifetime = '60 days', on_reuse = 'revoke' WHERE group_id = :group_id;
SELECT t.state(format('SELECT mirox.issue_token(%L, %L, %L, expires_in => %L)', :'session', 'a', 'direct', '31 days'));
DELETE FROM mirox_internal.group_policy WHERE group_id = :group_id;
SELECT t.state(format('SELECT mirox.issue_token(%L, %L, %L, expires_in => %L)', :'session', 'a', 'direct', '61 days'));
SELECT change, t.outcome('INSERT INTO mirox_internal.group_policy (group_id, max_lifetime, unused_after, on_reuse) VALUES (' || change || ')') FROM unnest(ARRAY[
    $$-1, '1 day', NULL, NULL$$, $$1, '-1 day', NULL, NULL$$, $$1, NULL, '1 hour', NULL$$]) change;
SELECT t.state($$INSERT INTO mirox_internal.group_policy (group_id, on_reuse) VALUES (1, 'panic')$$);
-- An account with an open session is a person's.
SELECT t.outcome($$INSERT INTO mirox_internal.service_account SELECT account_id FROM mirox_internal.account WHERE user_id = 'direct'$$);
SELECT t.outcome('INSERT INTO mirox_internal.service_account VALUES (-1)');
SELECT mirox.close_sessions('direct');
INSERT INTO mirox_internal.service_account SELECT account_id FROM mirox_internal.account WHERE user_id = 'direct';
SELECT t.outcome($$SELECT mirox.open_session('direct')$$);
SELECT t.outcome($$UPDATE mirox_internal.service_account SET account_id = -1 WHERE account_id = (SELECT account_id FROM mirox_internal.account WHERE user_id = 'direct')$$);
DELETE FROM mirox_internal.service_account WHERE account_id = (SELECT account_id FROM mirox_internal.account WHERE user_id = 'direct');
INSERT INTO mirox_internal.service_account SELECT account_id FROM mirox_internal.account WHERE user_id = 'direct';
SELECT t.outcome(change) FROM unnest(ARRAY['UPDATE mirox_internal.posted_notice SET acknowledged_at = now()', 'DELETE FROM mirox_internal.posted_notice',
    'UPDATE mirox_internal.answered_call SET at = now()', 'DELETE FROM mirox_internal.answered_call']) change;
-- A row that brings its key is a replay.
INSERT INTO mirox_internal.group_policy (group_id, max_lifetime, audit_node, audit_id) VALUES (:group_id, '30 days', 0, 1);
DELETE FROM mirox_internal.account WHERE user_id = 'direct';
SELECT count(*) AS left_behind FROM mirox_internal.service_account s WHERE NOT EXISTS (SELECT FROM mirox_internal.account a WHERE a.account_id = s.account_id);
INSERT INTO mirox_internal.group_policy (group_id, max_lifetime) VALUES (:group_id, '30 days') ON CONFLICT DO NOTHING;
SELECT mirox.drop_group('direct');
SELECT count(*) AS left_behind FROM mirox_internal.group_policy WHERE group_id = :group_id;
SELECT event, detail - 'group_id' AS detail FROM mirox_internal.audit_log WHERE audit_id > (SELECT at FROM mark) AND event ~ 'policy|service' ORDER BY audit_id;

-- ---- the audit log and TRUNCATE -------------------------------------------------------------------------------------
-- Append-only, to a superuser too.
UPDATE mirox_internal.audit_log SET event = 'nothing' WHERE audit_id = (SELECT max(audit_id) FROM mirox_internal.audit_log);
DELETE FROM mirox_internal.audit_log;
TRUNCATE mirox_internal.audit_log;
SELECT relname, t.outcome(format('TRUNCATE mirox_internal.%I', relname)) FROM unnest(ARRAY['account', 'session', 'token', 'token_secret', 'permission_group',
    'group_policy', 'service_account', 'posted_notice', 'answered_call']) relname;
SELECT t.state('TRUNCATE mirox_internal.account, mirox_internal.token CASCADE');

-- A sooner end of the token is one of its overlapping secret as well; a later one is not.
INSERT INTO mirox_internal.account (user_id, permissions) VALUES ('direct', '{parks}');
SELECT mirox.open_session('direct') AS session \gset
SELECT token_id FROM mirox.issue_token(:'session', 'a', 'full_access', expires_in => '30 days') \gset
SELECT expires_at AS rotated_until FROM mirox.rotate_token(:'session', :token_id, '3 days') \gset
SELECT ends_at AS overlap_until FROM mirox_internal.token_secret WHERE token_id = :token_id AND state = 'o' \gset
UPDATE mirox_internal.token SET expires_at = :'overlap_until'::timestamptz - interval '2 days' WHERE token_id = :token_id;
SELECT state, LEAST(expires_at, ends_at) = :'overlap_until'::timestamptz - interval '2 days' AS sooner FROM mirox_internal.token_secret WHERE token_id = :token_id ORDER BY state;
UPDATE mirox_internal.token SET expires_at = :'rotated_until' WHERE token_id = :token_id;
SELECT state, LEAST(expires_at, ends_at) = :'overlap_until'::timestamptz - interval '2 days' AS sooner FROM mirox_internal.token_secret WHERE token_id = :token_id ORDER BY state;
DELETE FROM mirox_internal.account WHERE user_id = 'direct';

-- ---- replays --------------------------------------------------------------------------------------------------------
-- A row that brings the key of its audit row (a restore, a subscriber's copy) is taken as it is and not logged again.
INSERT INTO mirox_internal.account (user_id, permissions) VALUES ('direct', '{parks}');
SELECT mirox.open_session('direct') AS session \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'kept', 'full_access') \gset
SELECT mirox.revoke_token(:'session', token_id) IS NOT NULL AS revoked FROM mirox.issue_token(:'session', 'gone', 'full_access');
CREATE TEMP TABLE account AS SELECT * FROM mirox_internal.account WHERE user_id = 'direct';
CREATE TEMP TABLE session AS SELECT * FROM mirox_internal.session WHERE account_id IN (SELECT account_id FROM account);
CREATE TEMP TABLE token AS SELECT * FROM mirox_internal.token WHERE account_id IN (SELECT account_id FROM account);
CREATE TEMP TABLE token_secret AS SELECT * FROM mirox_internal.token_secret WHERE account_id IN (SELECT account_id FROM account);
DELETE FROM mirox_internal.account WHERE user_id = 'direct';
SELECT reason FROM mirox.verify_token(:'secret');
SELECT pg_temp.mark();
-- In any order, as a restore with triggers on may bring them.
INSERT INTO mirox_internal.token_secret SELECT * FROM token_secret;
INSERT INTO mirox_internal.token SELECT * FROM token;
INSERT INTO mirox_internal.session SELECT * FROM session;
INSERT INTO mirox_internal.account SELECT * FROM account;
SELECT count(*) AS logged FROM pg_temp.audited();
SELECT count(*) AS differing FROM (
    (SELECT t::text FROM token t EXCEPT SELECT t::text FROM mirox_internal.token t) UNION ALL (SELECT t::text FROM token_secret t EXCEPT SELECT t::text FROM mirox_internal.token_secret t)
    UNION ALL (SELECT t::text FROM session t EXCEPT SELECT t::text FROM mirox_internal.session t) UNION ALL (SELECT t::text FROM account t EXCEPT SELECT t::text FROM mirox_internal.account t)) x;
SELECT status FROM mirox.verify_token(:'secret');
SELECT count(*) FROM mirox.list_tokens(:'session');
-- UPDATE and DELETE are always logged, of a replayed row too.
UPDATE mirox_internal.token SET name = 'changed' WHERE token_id = :token_id;
DELETE FROM mirox_internal.token WHERE token_id = :token_id;
SELECT event, direct FROM pg_temp.audited();
DROP TABLE account, session, token, token_secret;
SELECT mirox.delete_account('direct');
