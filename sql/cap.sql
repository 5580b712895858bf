-- The cap: at most 64 unrevoked tokens an owner, whatever way they come; expired ones count, revoked ones do not.
\set SHOW_CONTEXT never
SELECT mirox.put_account('cap', '{parks}');
SELECT mirox.open_session('cap') AS session \gset
SELECT account_id FROM mirox_internal.account WHERE user_id = 'cap' \gset
CREATE FUNCTION pg_temp.held() RETURNS text LANGUAGE sql AS $$
    SELECT count(*) || ' held, ' || count(DISTINCT place) || ' places from ' || min(place) || ' to ' || max(place)
    FROM mirox_internal.token JOIN mirox_internal.account USING (account_id) WHERE user_id = 'cap' AND revoked_at IS NULL
$$;

-- ---- by the function ------------------------------------------------------------------------------------------------
SELECT count(*) AS issued, array_agg(place) = array_agg(n) AS in_order
FROM generate_series(1, 64) n, LATERAL mirox.issue_token(:'session', 't' || n, 'full_access') i;
SELECT pg_temp.held();
SELECT mirox.issue_token(:'session', 'one more', 'full_access');
\set VERBOSITY sqlstate
SELECT mirox.issue_token(:'session', 'one more', 'full_access');
\set VERBOSITY default
-- The DETAIL says how many of the 64 are expired, and the HINT what to do about it.
UPDATE mirox_internal.token SET expires_at = clock_timestamp() + interval '500 milliseconds' WHERE account_id = :account_id AND place IN (3, 5, 64);
SELECT pg_sleep(0.6);
SELECT mirox.issue_token(:'session', 'one more', 'full_access');
-- An expired one can be rotated at the cap; its place is its own.
SELECT place FROM mirox.rotate_token(:'session', (SELECT token_id FROM mirox_internal.token WHERE account_id = :account_id AND place = 3 AND revoked_at IS NULL));
SELECT mirox.revoke_expired_tokens(:'session');
SELECT place AS lowest FROM mirox.issue_token(:'session', 'a', 'full_access');
SELECT place AS next FROM mirox.issue_token(:'session', 'b', 'full_access');
SELECT t.state(format('SELECT mirox.issue_token(%L, ''c'', ''full_access'')', :'session'));
SELECT pg_temp.held();

-- ---- by direct DML --------------------------------------------------------------------------------------------------
CREATE FUNCTION pg_temp.inserted(what text) RETURNS text LANGUAGE sql AS $$
    SELECT t.outcome(format('INSERT INTO mirox_internal.token (account_id, place, name, group_id, hint, lifetime, expires_at) %s', what))
$$;
SELECT pg_temp.inserted(format($$VALUES (%s, NULL, 'x', 1, 'x', '1 day', now() + interval '1 day')$$, :account_id));
SELECT pg_temp.inserted(format($$VALUES (%s, 7, 'x', 1, 'x', '1 day', now() + interval '1 day')$$, :account_id));
SELECT pg_temp.inserted(format($$SELECT %s, NULL, 'x', 1, 'x', '1 day', now() + interval '1 day' FROM generate_series(1, 100)$$, :account_id));
SELECT pg_temp.held();
-- COPY, with and without a place.
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/cap.copy'
COPY (SELECT :account_id, NULL::int, 'x', 1, 'x', interval '1 day', now() + interval '1 day' FROM generate_series(1, 3)) TO :'file';
SELECT t.outcome(format('COPY mirox_internal.token (account_id, place, name, group_id, hint, lifetime, expires_at) FROM %L', :'file'));
-- Three places free: a statement of four rows is refused whole, one of three is taken and fills the gaps.
SELECT count(mirox.revoke_token(:'session', token_id)) FROM (SELECT token_id FROM mirox.list_tokens(:'session') WHERE place IN (2, 40, 63)) x;
SELECT pg_temp.inserted(format($$SELECT %s, NULL, 'x', 1, 'x', '1 day', now() + interval '1 day' FROM generate_series(1, 4)$$, :account_id));
SELECT pg_temp.held();
SELECT pg_temp.inserted(format($$SELECT %s, NULL, 'x', 1, 'x', '1 day', now() + interval '1 day' FROM generate_series(1, 3)$$, :account_id));
SELECT pg_temp.held();
SELECT array_agg(place ORDER BY token_id) FROM mirox_internal.token WHERE account_id = :account_id AND name = 'x' AND revoked_at IS NULL;
SELECT count(mirox.revoke_token(:'session', token_id)) FROM (SELECT token_id FROM mirox.list_tokens(:'session') WHERE place IN (2, 40, 63)) x;
COPY mirox_internal.token (account_id, place, name, group_id, hint, lifetime, expires_at) FROM :'file';
SELECT pg_temp.held();
-- A revoked row needs no place of the 64; it cannot be brought back.
SELECT t.outcome(format($$INSERT INTO mirox_internal.token (account_id, place, name, group_id, hint, lifetime, expires_at, revoked_at)
    VALUES (%s, 1, 'history', 1, 'x', '1 day', now() + interval '1 day', now())$$, :account_id));
SELECT t.outcome(format('UPDATE mirox_internal.token SET revoked_at = NULL WHERE account_id = %s AND name = ''history''', :account_id));
SELECT t.outcome(format('UPDATE mirox_internal.token SET revoked_at = NULL WHERE account_id = %s', :account_id));
-- Nor can a token be given to an owner who has room.
SELECT mirox.put_account('cap/other', '{parks}');
SELECT account_id AS other_id FROM mirox_internal.account WHERE user_id = 'cap/other' \gset
SELECT t.outcome(format('UPDATE mirox_internal.token SET account_id = %s WHERE account_id = %s', :other_id, :account_id));
SELECT t.outcome(format('UPDATE mirox_internal.token SET token_id = -token_id WHERE account_id = %s', :account_id));
SELECT t.outcome(format('UPDATE mirox_internal.token SET generation = generation + 1 WHERE account_id = %s', :account_id));
SELECT pg_temp.held();

-- ---- places ---------------------------------------------------------------------------------------------------------
-- Unique among an owner's unrevoked tokens, 1 to 64.
SELECT count(mirox.revoke_token(:'session', token_id)) FROM (SELECT token_id FROM mirox.list_tokens(:'session') WHERE place > 60) x;
SELECT pg_temp.inserted(format($$VALUES (%s, 60, 'x', 1, 'x', '1 day', now() + interval '1 day')$$, :account_id)) AS taken;
SELECT pg_temp.inserted(format($$VALUES (%s, 62, 'placed', 1, 'x', '1 day', now() + interval '1 day')$$, :account_id)) AS free;
SELECT t.state(format($$INSERT INTO mirox_internal.token (account_id, place, name, group_id, hint, lifetime, expires_at)
    VALUES (%s, %s, 'x', 1, 'x', '1 day', now() + interval '1 day')$$, :account_id, place)), place FROM unnest(ARRAY[0, 65, -1, 32767, 40000]) place;
SELECT t.outcome(format('UPDATE mirox_internal.token SET place = 60 WHERE account_id = %s AND name = ''placed''', :account_id)) AS taken;
SELECT t.outcome(format('UPDATE mirox_internal.token SET place = 64 WHERE account_id = %s AND name = ''placed''', :account_id)) AS free;
SELECT t.outcome(format('UPDATE mirox_internal.token SET place = NULL WHERE account_id = %s AND name = ''placed''', :account_id)) AS lowest;
SELECT place FROM mirox_internal.token WHERE account_id = :account_id AND name = 'placed';
SELECT t.state(format('UPDATE mirox_internal.token SET place = 65 WHERE account_id = %s AND name = ''placed''', :account_id));
SELECT pg_temp.held();
-- With every trigger off, the index still holds the cap.
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO mirox_internal.token (account_id, place, name, group_id, hint, lifetime, expires_at)
SELECT :account_id, n, 'r', 1, 'x', '1 day', now() + interval '1 day' FROM generate_series(62, 64) n;
SELECT pg_temp.held();
SELECT t.state(format($$INSERT INTO mirox_internal.token (account_id, place, name, group_id, hint, lifetime, expires_at)
    VALUES (%s, %s, 'x', 1, 'x', '1 day', now() + interval '1 day')$$, :account_id, place)), count(*) FROM generate_series(1, 64) place GROUP BY 1;
ROLLBACK;

-- ---- lowered --------------------------------------------------------------------------------------------------------
-- Who holds more keeps them, and gets no new one until below.
SET mirox_tokens.max_tokens_per_account = 5;
SELECT mirox.issue_token(:'session', 'one more', 'full_access');
SELECT pg_temp.inserted(format($$VALUES (%s, NULL, 'x', 1, 'x', '1 day', now() + interval '1 day')$$, :account_id));
SELECT count(mirox.rotate_token(:'session', token_id)) FROM (SELECT token_id FROM mirox.list_tokens(:'session') WHERE place > 55) x;
SELECT mirox.revoke_all_tokens(:'session') > 0 AS revoked;
SELECT count(*) FROM generate_series(1, 5) n, LATERAL mirox.issue_token(:'session', 'few ' || n, 'full_access') i;
SELECT t.outcome(format('SELECT mirox.issue_token(%L, ''c'', ''full_access'')', :'session'));
SELECT pg_temp.inserted(format($$VALUES (%s, 60, 'x', 1, 'x', '1 day', now() + interval '1 day')$$, :account_id));
RESET mirox_tokens.max_tokens_per_account;
SELECT place FROM mirox.issue_token(:'session', 'again', 'full_access');

-- ---- many at once in one transaction --------------------------------------------------------------------------------
SELECT mirox.revoke_all_tokens(:'session') > 0 AS revoked;
DO $$
DECLARE
    session text := mirox.open_session('cap');
    issued int := 0;
    refused int := 0;
BEGIN
    FOR i IN 1 .. 200 LOOP
        BEGIN
            PERFORM mirox.issue_token(session, 'n' || i, 'full_access');
            issued := issued + 1;
        EXCEPTION WHEN program_limit_exceeded THEN
            refused := refused + 1;
        END;
    END LOOP;
    RAISE NOTICE '% issued, % refused', issued, refused;
END
$$;
SELECT pg_temp.held();
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT mirox.revoke_all_tokens(:'session');
SELECT count(*) FROM generate_series(1, 64) n, LATERAL mirox.issue_token(:'session', 's' || n, 'full_access') i;
SELECT t.state(format('SELECT mirox.issue_token(%L, ''c'', ''full_access'')', :'session'));
COMMIT;
SELECT pg_temp.held();

-- Another owner's places are another matter.
SELECT mirox.open_session('cap/other') AS other \gset
SELECT place FROM mirox.issue_token(:'other', 'theirs', 'full_access');
SELECT mirox.delete_account('cap'), mirox.delete_account('cap/other');
