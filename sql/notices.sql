-- Notices, reports of leaked secrets, and policies of permission groups.
\set SHOW_CONTEXT never
CREATE ROLE regress_notices_login;
CREATE ROLE regress_notices_gateway;
SELECT mirox.grant_access('regress_notices_login', 'login'), mirox.grant_access('regress_notices_gateway', 'gateway');
SELECT mirox.put_account('leaky', '{parks}');
SELECT mirox.open_session('leaky') AS session, mirox.open_session('leaky') AS stolen \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'one', 'full_access') \gset
SELECT token_id AS two, secret AS two_secret FROM mirox.issue_token(:'session', 'two', 'full_access', allowed_ips => '{192.0.2.0/24}') \gset
SELECT secret AS two_new FROM mirox.rotate_token(:'session', :two) \gset

-- ---- a leaked secret ------------------------------------------------------------------------------------------------
SET ROLE regress_notices_gateway;
SELECT mirox.report_leak(:'secret', 'GitHub');
SELECT status, reason FROM mirox.verify_token(:'secret');
-- Reported again; one that was rotated away, whose token goes on; a session's; none of ours.
SELECT mirox.report_leak(:'secret', 'GitHub') AS again, mirox.report_leak(:'two_secret') AS rotated, mirox.report_leak(:'stolen', 'a pastebin') AS session,
    mirox.report_leak('mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria') AS unknown, mirox.report_leak('x') AS malformed, mirox.report_leak(NULL) AS "null";
SELECT status FROM mirox.verify_token(:'two_new', '192.0.2.7');
-- Bound to networks, it is revoked all the same.
SELECT mirox.report_leak(:'two_new', 'GitHub');
SELECT status, reason FROM mirox.verify_token(:'two_new', '192.0.2.7');
-- An old one may be found by many, a token's or a session's. What they report is told and recorded once a day.
SELECT mirox.report_leak(:'stolen', 'somebody'), mirox.report_leak(:'two_new', 'somebody'), mirox.report_leak(:'stolen', 'somebody else');
SELECT mirox.report_leak(:'two_new', E'two\nlines');
SELECT * FROM mirox.notices;
RESET ROLE;
SELECT t.state(format('SELECT * FROM mirox.list_tokens(%L)', :'stolen'));
SELECT event, detail - 'revoked_at' - 'closed_at' AS detail FROM mirox_internal.audit_log WHERE user_id = 'leaky' AND event IN ('leak_reported', 'token_revoked', 'session_closed') ORDER BY audit_id;
-- No secret, and no digest of one, in what was recorded.
SELECT count(*) FROM mirox_internal.posted_notice n WHERE n::text ~ 'mirox' OR n::text ~ '[0-9a-f]{32}';

-- ---- notices --------------------------------------------------------------------------------------------------------
SET ROLE regress_notices_login;
SELECT event, user_id, token_name, token_id IS NOT NULL AS token, session_id IS NOT NULL AS session, detail, acknowledged_at FROM mirox.notices
WHERE user_id = 'leaky' ORDER BY notice_id;
SELECT notice_id FROM mirox.notices WHERE user_id = 'leaky' ORDER BY notice_id LIMIT 1 \gset
SELECT mirox.acknowledge_notice(:notice_id) AS at \gset
SELECT mirox.acknowledge_notice(:notice_id) = :'at' AS the_same;
SELECT acknowledged_at = :'at' AS at, acknowledged_by FROM mirox.notices WHERE notice_id = :notice_id;
SELECT mirox.acknowledge_notice(-1);
SELECT mirox.acknowledge_notice(NULL);
RESET ROLE;

-- ---- policies of permission groups ----------------------------------------------------------------------------------
SELECT mirox.put_group('brief', '{parks}');
SELECT mirox.set_group_policy('brief', max_lifetime => '30 days', unused_after => '60 days', on_reuse => 'revoke');
SELECT max_lifetime, unused_after, on_reuse FROM mirox.groups WHERE name = 'brief';
-- Without an expiration it is the longest; beyond it none is issued; a rotation obeys too.
SELECT expires_at = created_at + interval '30 days' AS longest FROM mirox.issue_token(:'session', 'brief', 'brief');
SELECT t.state(format('SELECT mirox.issue_token(%L, %L, %L, expires_in => %L)', :'session', 'later', 'brief', '31 days'));
SELECT token_id AS brief FROM mirox.issue_token(:'session', 'in time', 'brief', expires_in => '30 days') \gset
SELECT mirox.set_group_policy('brief', max_lifetime => '7 days');
SELECT expires_at BETWEEN now() + interval '6 days 23 hours' AND now() + interval '7 days 1 hour' AS longest FROM mirox.rotate_token(:'session', :brief);
SELECT max_lifetime, unused_after, on_reuse FROM mirox.groups WHERE name = 'brief';
-- A built-in group has one too.
SELECT mirox.set_group_policy('reporting', max_lifetime => '1 year');
SELECT name, max_lifetime FROM mirox.groups WHERE name = 'reporting';
SELECT mirox.set_group_policy('reporting');
SELECT call, t.outcome('SELECT mirox.' || call) FROM unnest(ARRAY[$$set_group_policy('none', '1 day')$$, $$set_group_policy(NULL)$$,
    $$set_group_policy('brief', '-1 day')$$, $$set_group_policy('brief', NULL, '1 hour')$$, $$set_group_policy('brief', NULL, NULL, 'panic')$$]) call;
SELECT detail - 'group_id' AS detail FROM mirox_internal.audit_log WHERE event = 'group_policy_set' AND detail ->> 'name' IN ('brief', 'reporting') ORDER BY audit_id;
-- ---- a token that is widened: a notice for each, none for what narrows it or changes nothing --------------------------------
SELECT mirox.open_session('leaky') AS session \gset
SELECT token_id AS wide FROM mirox.issue_token(:'session', 'wide', 'full_access', expires_in => '30 days', permissions => '{parks.a:read}', allowed_ips => '{192.0.2.0/24,2001:db8::/32}') \gset
CREATE FUNCTION pg_temp.told(id bigint) RETURNS bigint LANGUAGE sql AS $$SELECT count(*) FROM mirox.notices WHERE token_id = id AND event = 'token_widened'$$;
SELECT step, t.state(format('SELECT mirox.%s', format(call, :'session', :wide))) = 'ok' AS done, pg_temp.told(:wide) FROM (VALUES
    (1, $$set_token_permissions(%L, %s, '{parks.a:read}')$$), (2, $$set_token_permissions(%L, %s, '{parks:read}')$$),
    (3, $$set_token_permissions(%L, %s, '{parks.b:read}')$$), (4, 'set_token_permissions(%L, %s, NULL)'),
    (5, $$set_token_networks(%L, %s, '{192.0.2.128/25,2001:db8::/48}')$$), (6, $$set_token_networks(%L, %s, '{192.0.2.0/25}')$$),
    (7, 'set_token_networks(%L, %s, NULL)'), (8, $$set_token_networks(%L, %s, '{192.0.2.0/24}')$$),
    (9, $$set_token_networks(%L, %s, '{192.0.2.0/24,::/0}')$$),
    (10, $$set_token_expiration(%L, %s, expires_in => '20 days')$$), (11, $$set_token_expiration(%L, %s, expires_in => '40 days')$$),
    (12, $$set_token_metadata(%L, %s, '{"a": 1}')$$)) v (step, call) ORDER BY step;
SELECT string_agg(detail ->> 'changed', ' ' ORDER BY notice_id) FROM mirox.notices WHERE token_id = :wide;
SELECT mirox.delete_account('leaky');
-- The notices of an account that is gone name nobody.
SELECT count(*) FROM mirox.notices WHERE user_id = 'leaky';
SELECT mirox.drop_group('brief');
SELECT count(*) AS policies_left FROM mirox_internal.group_policy p WHERE NOT EXISTS (SELECT FROM mirox.groups g WHERE g.group_id = p.group_id);
SELECT mirox.revoke_access('regress_notices_login', 'login'), mirox.revoke_access('regress_notices_gateway', 'gateway');
DROP ROLE regress_notices_login, regress_notices_gateway;
