-- Rotation: a new secret, the same token; overlap; the window restarted at its original length.
\set SHOW_CONTEXT never
SELECT mirox.put_account('rotate', '{parks,reports}', 60000, 1000);
SELECT mirox.open_session('rotate') AS session \gset
SELECT mirox.put_account('rotate/other', '{parks}');
SELECT mirox.open_session('rotate/other') AS other \gset

SELECT token_id, secret AS first, created_at, expires_at FROM mirox.issue_token(:'session', 'nightly', 'full_access',
    expires_in => '30 days', permissions => '{parks:read}', allowed_ips => '{203.0.113.0/24}', metadata => '{"team": "wind"}') \gset
SELECT place FROM mirox.issue_token(:'session', 'another', 'full_access');
INSERT INTO mirox_internal.token_usage (token_id, generation, uses, last_used_at) VALUES (:token_id, 1, 42, now());
SELECT uses, last_used_at IS NOT NULL AS used FROM mirox.list_tokens(:'session') WHERE token_id = :token_id;
SELECT token_id AS same, secret AS second, name, permission_group, place, expires_at AS fresh, created_at AS created
FROM mirox.rotate_token(:'session', :token_id) \gset
SELECT :same = :token_id AS same_token, :'second' <> :'first' AS new_secret, :'name' AS name, :'permission_group' AS permission_group,
       :place AS place, :'created' = :'created_at' AS created_stays, :'fresh'::timestamptz > :'expires_at' AS window_restarts;
SELECT status, reason, token_id, user_id, permission_group, permissions, expires_at FROM mirox.verify_token(:'first', '203.0.113.5');
SELECT status, reason, permissions, expires_at = :'fresh' AS expires FROM mirox.verify_token(:'second', '203.0.113.5');
SELECT status, reason FROM mirox.verify_token(:'second', '198.51.100.1');
SELECT generation, permissions, allowed_ips, lifetime, metadata, rotated_at IS NOT NULL AS rotated, expires_at = rotated_at + interval '30 days' AS full_window,
       hint = :'second'::mirox.secret::text AS new_hint FROM mirox_internal.token WHERE token_id = :token_id;
-- The recorded usage is cleared (what is shown came after), the audit log is not.
SELECT uses, refusals, last_ip FROM mirox.list_tokens(:'session') WHERE token_id = :token_id;
SELECT event, detail #> '{generation}' AS generation, detail #>> '{name}' AS name FROM mirox_internal.audit_log WHERE token_id = :token_id ORDER BY audit_id;
-- Again without overlap: only the newest works.
SELECT secret AS third FROM mirox.rotate_token(:'session', :token_id, '0') \gset
SELECT a.reason, b.reason, c.reason FROM mirox.verify_token(:'first', '203.0.113.5') a, mirox.verify_token(:'second', '203.0.113.5') b,
       mirox.verify_token(:'third', '203.0.113.5') c;
SELECT secret AS fourth FROM mirox.rotate_token(:'session', :token_id, NULL) \gset
SELECT a.reason, b.reason FROM mirox.verify_token(:'third', '203.0.113.5') a, mirox.verify_token(:'fourth', '203.0.113.5') b;

-- ---- overlap --------------------------------------------------------------------------------------------------------
-- Both work; the old one's verdict says when it ends; a second rotation ends the first overlap.
SELECT token_id, secret AS first FROM mirox.issue_token(:'session', 'overlapping', 'full_access') \gset
SELECT secret AS second FROM mirox.rotate_token(:'session', :token_id, '1 hour') \gset
SELECT status, reason, expires_at - clock_timestamp() BETWEEN '59 minutes' AND '1 hour' AS in_an_hour FROM mirox.verify_token(:'first');
SELECT status, reason, expires_at - clock_timestamp() > '364 days' AS in_a_year FROM mirox.verify_token(:'second');
SELECT secret AS third FROM mirox.rotate_token(:'session', :token_id, '7 days') \gset
SELECT a.reason, b.reason, c.reason FROM mirox.verify_token(:'first') a, mirox.verify_token(:'second') b, mirox.verify_token(:'third') c;
SELECT secret AS fourth FROM mirox.rotate_token(:'session', :token_id) \gset
SELECT a.reason, b.reason, c.reason, d.reason FROM mirox.verify_token(:'first') a, mirox.verify_token(:'second') b,
       mirox.verify_token(:'third') c, mirox.verify_token(:'fourth') d;
-- It ends by the clock, within one transaction too.
SELECT secret AS fifth FROM mirox.rotate_token(:'session', :token_id, '1 second') \gset
BEGIN;
SELECT status, reason FROM mirox.verify_token(:'fourth');
SELECT pg_sleep(1.1);
SELECT status, reason FROM mirox.verify_token(:'fourth');
COMMIT;
SELECT status, reason FROM mirox.verify_token(:'fifth');
-- Never past the old secret's own expiry.
SELECT token_id, secret AS first, expires_at FROM mirox.issue_token(:'session', 'short', 'full_access', expires_in => '1 hour') \gset
SELECT mirox.rotate_token(:'session', :token_id, '7 days') IS NOT NULL AS rotated;
SELECT status, expires_at = :'expires_at' AS as_before FROM mirox.verify_token(:'first');
-- Revoking ends all of a token's secrets; what is taken from the owner is taken from the overlapping one too.
SELECT secret AS second FROM mirox.rotate_token(:'session', :token_id, '1 hour') \gset
SELECT secret AS third FROM mirox.rotate_token(:'session', :token_id, '1 hour') \gset
SELECT mirox.put_account('rotate', '{reports}', 60000, 1000);
SELECT a.permissions, b.permissions FROM mirox.verify_token(:'second') a, mirox.verify_token(:'third') b;
SELECT mirox.put_account('rotate', '{parks,reports}', 60000, 1000);
SELECT mirox.revoke_token(:'session', :token_id) IS NOT NULL AS revoked;
SELECT a.reason, b.reason, c.reason FROM mirox.verify_token(:'first') a, mirox.verify_token(:'second') b, mirox.verify_token(:'third') c;
SELECT overlap, t.outcome(format('SELECT mirox.rotate_token(%L, %s, %L)', :'session', :token_id, overlap)) FROM (VALUES
    ('7 days 1 microsecond'), ('8 days'), ('1 year'), ('-1 second'), ('1 month -31 days'), ('1 mon -28 days'), ('1 mon -30 days')) v (overlap);

-- ---- which tokens ---------------------------------------------------------------------------------------------------
-- Revoked, another's, none at all: one text.
SELECT token_id AS theirs, secret AS their_secret FROM mirox.issue_token(:'other', 'theirs', 'full_access') \gset
SELECT what, t.outcome(format('SELECT mirox.rotate_token(%L, %s)', :'session', id)) FROM (VALUES
    ('revoked', :token_id::text), ('another''s', :theirs::text), ('none', '9223372036854775807'), ('negative', '-1'), ('NULL', 'NULL')) v (what, id);
SELECT status FROM mirox.verify_token(:'their_secret');
SELECT t.outcome(format('SELECT mirox.rotate_token(%L, %s)', :'their_secret', :theirs)) AS by_a_token;

-- An expired one is rotated back to life, in its place, at its original length.
SELECT token_id, secret AS first, place FROM mirox.issue_token(:'session', 'expired', 'full_access', expires_in => '1 second') \gset
SELECT status FROM mirox.verify_token(:'first');
SELECT pg_sleep(1.1);
SELECT status, reason FROM mirox.verify_token(:'first');
SELECT status FROM mirox.list_tokens(:'session') WHERE token_id = :token_id;
SELECT secret AS second, place = :place AS same_place, expires_at > clock_timestamp() AS lives FROM mirox.rotate_token(:'session', :token_id, '1 day') \gset
SELECT :'same_place' AS same_place, :'lives' AS lives;
-- An overlap gives an expired secret no second life.
SELECT a.status, a.reason, b.status, b.reason FROM mirox.verify_token(:'first') a, mirox.verify_token(:'second') b;

-- ---- the window -----------------------------------------------------------------------------------------------------
-- Months stay months, in UTC; a maximum lowered since clips.
CREATE FUNCTION pg_temp.restarted(session text, zone text, span interval) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    id bigint;
    expires timestamptz;
BEGIN
    PERFORM set_config('timezone', zone, true);
    id := (SELECT token_id FROM mirox.issue_token(session, 'z', 'full_access', expires_in => span));
    expires := (SELECT expires_at FROM mirox.rotate_token(session, id));
    RETURN (SELECT (expires AT TIME ZONE 'UTC') = (rotated_at AT TIME ZONE 'UTC') + span AND expires_at = expires FROM mirox_internal.token WHERE token_id = id);
END
$$;
SELECT zone, pg_temp.restarted(:'session', zone, '18 months'), pg_temp.restarted(:'session', zone, '200 days')
FROM unnest(ARRAY['UTC', 'Europe/Berlin', 'America/Los_Angeles', 'Pacific/Apia']) zone;
RESET timezone;
SELECT token_id FROM mirox.issue_token(:'session', 'long', 'full_access', expires_in => '5 years') \gset
SET mirox_tokens.max_lifetime = '90 days';
SELECT (mirox.rotate_token(:'session', :token_id)).token_id = :token_id AS rotated;
SELECT expires_at - rotated_at AS clipped, lifetime AS original FROM mirox_internal.token WHERE token_id = :token_id;
RESET mirox_tokens.max_lifetime;
SELECT (mirox.rotate_token(:'session', :token_id)).token_id = :token_id AS rotated;
SELECT (expires_at AT TIME ZONE 'UTC') = (rotated_at AT TIME ZONE 'UTC') + interval '5 years' AS original_again FROM mirox_internal.token WHERE token_id = :token_id;
-- One that was issued until an instant keeps that distance.
SELECT token_id FROM mirox.issue_token(:'session', 'until', 'full_access', now() + interval '100 days') \gset
SELECT (mirox.rotate_token(:'session', :token_id)).token_id = :token_id AS rotated;
SELECT expires_at - rotated_at = lifetime AND lifetime BETWEEN '99 days 23:59' AND '100 days' AS same_distance FROM mirox_internal.token WHERE token_id = :token_id;

-- ---- the whole of it in one transaction, and undone -----------------------------------------------------------------
BEGIN;
SELECT token_id, secret AS first FROM mirox.issue_token(:'session', 'undone', 'full_access') \gset
SAVEPOINT s;
SELECT secret AS second FROM mirox.rotate_token(:'session', :token_id) \gset
ROLLBACK TO s;
COMMIT;
SELECT a.reason, b.reason FROM mirox.verify_token(:'first') a, mirox.verify_token(:'second') b;
SELECT generation FROM mirox_internal.token WHERE token_id = :token_id;

-- However often a token was rotated, the next rotation reads the secrets that are in force, and none of the past ones.
SELECT token_id FROM mirox.issue_token(:'session', 'often', 'full_access') \gset
SELECT count(mirox.rotate_token(:'session', :token_id)) FROM generate_series(1, 20);
SELECT mirox.rotate_token(:'session', :token_id, '1 hour') IS NOT NULL AS rotated;
BEGIN;
SELECT idx_tup_fetch AS fetched FROM pg_stat_xact_user_tables WHERE relid = 'mirox_internal.token_secret'::regclass \gset
SELECT mirox.rotate_token(:'session', :token_id) IS NOT NULL AS rotated;
SELECT idx_tup_fetch - :fetched AS read FROM pg_stat_xact_user_tables WHERE relid = 'mirox_internal.token_secret'::regclass;
COMMIT;
-- Each token has one current secret and at most one overlapping, whatever was done.
SELECT count(*) > 5 AS several, bool_and(current = (revoked_at IS NULL)::int AND overlapping <= 1 AND generations = generation) AS sound FROM (
    SELECT t.token_id, t.generation, t.revoked_at, count(*) FILTER (WHERE state = 'c') AS current,
           count(*) FILTER (WHERE state = 'o') AS overlapping, count(DISTINCT s.generation) AS generations
    FROM mirox_internal.token t JOIN mirox_internal.token_secret s USING (token_id) WHERE s.user_id = 'rotate' GROUP BY t.token_id) x;
SELECT mirox.delete_account('rotate'), mirox.delete_account('rotate/other');
