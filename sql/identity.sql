-- The transaction's identity: from authenticate to the end of the transaction, out of SQL's reach.
CREATE SCHEMA identity_test;
SET search_path = identity_test;
\set VERBOSITY terse
CREATE ROLE regress_identity_gateway;
CREATE ROLE regress_identity_nobody;
SELECT mirox.grant_access('regress_identity_gateway', 'gateway');
GRANT USAGE ON SCHEMA identity_test TO PUBLIC;

SELECT mirox.put_account('identity-ann', '{parks:read,parks.berlin,reports}', 1000000, 1000);
SELECT mirox.put_account('identity-bob', '{*}', 1000000, 1000);
SELECT mirox.open_session('identity-ann') AS ann_session, mirox.open_session('identity-bob') AS bob_session \gset
SELECT 'Bearer ' || secret AS ann, token_id AS ann_id FROM mirox.issue_token(:'ann_session', 'all', 'full_access') \gset
SELECT 'Bearer ' || secret AS narrow
  FROM mirox.issue_token(:'ann_session', 'narrow', 'full_access', permissions => '{parks.berlin:read}') \gset
SELECT 'Bearer ' || secret AS bob FROM mirox.issue_token(:'bob_session', 'all', 'full_access') \gset
SELECT 'Bearer ' || secret AS reporting FROM mirox.issue_token(:'bob_session', 'reports', 'reporting') \gset

CREATE VIEW who AS SELECT mirox.current_user_id() AS user_id, mirox.current_token_id() IS NOT NULL AS token,
    mirox.granted('read') AS read, mirox.allows('parks.berlin:read') AS berlin, mirox.allows('parks:write') AS write;
GRANT SELECT ON who TO PUBLIC;

-- No identity: nothing, and no error.
SET ROLE regress_identity_nobody;
TABLE who;
SELECT mirox.granted(NULL), mirox.granted('no action!'), mirox.allows(NULL), mirox.allows('no scope!');
-- Who may ask may not become.
SELECT mirox.authenticate('Bearer x');
RESET ROLE;

-- A token's, for the transaction.
SET ROLE regress_identity_gateway;
BEGIN;
SELECT mirox.authenticate(:'ann');
TABLE who;
SELECT mirox.current_token_id() = :ann_id AS same_token;
SELECT mirox.allows('no scope!'), mirox.allows('*'), mirox.allows(''), mirox.granted('no action!'), mirox.granted('');
COMMIT;
TABLE who;
-- A token narrowed; a group's token; a session.
BEGIN; SELECT mirox.authenticate(:'narrow'); TABLE who; ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'reporting'); TABLE who; SELECT mirox.granted('generate'); ROLLBACK;
BEGIN; SELECT mirox.authenticate('bEaReR   ' || :'bob_session'); TABLE who; ROLLBACK;
TABLE who;
-- Autocommit: with the statement. One string of statements is one transaction.
SELECT mirox.authenticate(:'ann');
TABLE who;
SELECT mirox.authenticate(:'ann') \; TABLE who;
TABLE who;
-- COMMIT AND CHAIN begins another one.
BEGIN; SELECT mirox.authenticate(:'ann'); COMMIT AND CHAIN; TABLE who; COMMIT;

-- ---- savepoints ----------------------------------------------------------------------------------------------------
-- Rolled back, it is gone; the same one may come again, no other.
BEGIN;
SAVEPOINT a;
SELECT mirox.authenticate(:'ann');
SELECT mirox.current_user_id();
ROLLBACK TO a;
TABLE who;
SELECT mirox.authenticate(:'ann');
ROLLBACK TO a;
SELECT mirox.authenticate(:'bob');
ROLLBACK TO a;
SELECT mirox.authenticate(:'narrow');
ROLLBACK TO a;
SELECT mirox.authenticate('Bearer ' || :'ann_session');
ROLLBACK;
-- Released, it stays, until what holds the savepoint is rolled back.
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
SELECT mirox.authenticate(:'ann');
RELEASE b;
SELECT mirox.current_user_id();
SAVEPOINT c;
SELECT 1 / 0;
ROLLBACK TO c;
SELECT mirox.current_user_id();
ROLLBACK TO a;
SELECT mirox.current_user_id();
COMMIT;
-- Blocks of PL/pgSQL.
BEGIN;
DO $$
BEGIN
    BEGIN
        PERFORM mirox.authenticate('Bearer nobody');
    EXCEPTION WHEN invalid_authorization_specification THEN
        RAISE NOTICE 'refused: %', SQLSTATE;
    END;
END $$;
SELECT set_config('identity_test.ann', :'ann', true) IS NOT NULL AS given;
DO $$
BEGIN
    BEGIN
        PERFORM mirox.authenticate(current_setting('identity_test.ann'));
        RAISE NOTICE 'inside: %', mirox.current_user_id();
        RAISE EXCEPTION 'out';
    EXCEPTION WHEN raise_exception THEN
        RAISE NOTICE 'after the error: %', mirox.current_user_id();
    END;
    BEGIN
        PERFORM mirox.authenticate(current_setting('identity_test.ann'));
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
    RAISE NOTICE 'after the block: %', mirox.current_user_id();
END $$;
SELECT mirox.current_user_id();
-- ---- after an error --------------------------------------------------------------------------------------------------
SELECT 1 / 0;
TABLE who;
ROLLBACK;
TABLE who;

-- ---- it cannot be swapped, raised, set, kept or read elsewhere -----------------------------------------------------------
\set VERBOSITY default
BEGIN;
SELECT mirox.authenticate(:'narrow');
SAVEPOINT s;
SELECT mirox.authenticate(:'ann');
ROLLBACK TO s;
SELECT mirox.authenticate(:'narrow');
ROLLBACK TO s;
\set VERBOSITY terse
-- A refused one changes nothing either.
SELECT mirox.authenticate('Bearer nobody');
ROLLBACK TO s;
SELECT name FROM pg_settings WHERE name LIKE 'mirox%' AND (name LIKE '%ident%' OR name LIKE '%user%' OR name LIKE '%token_id%');
SET mirox_tokens.user_id = 'identity-bob';
ROLLBACK TO s;
SELECT set_config('mirox_tokens.current_user_id', 'identity-bob', true);
ROLLBACK TO s;
SET mirox.user_id = 'identity-bob';
SELECT set_config('mirox.current_user_id', 'identity-bob', false);
TABLE who;
RESET ALL;
SET ROLE regress_identity_nobody;
TABLE identity_test.who;
SET ROLE regress_identity_gateway;
COMMIT;
-- DISCARD ALL runs outside a transaction alone: there is nothing to keep.
SELECT mirox.authenticate(:'ann');
DISCARD ALL;
SET search_path = identity_test;
TABLE who;
-- A definer function sees and leaves the same one.
CREATE FUNCTION definer(text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    PERFORM mirox.authenticate($1);
    RETURN mirox.current_user_id();
END $$;
SET ROLE regress_identity_gateway;
SELECT definer(:'ann');
TABLE who;
BEGIN; SELECT definer(:'ann'); SELECT definer(:'bob'); ROLLBACK;
-- No C symbol without a superuser.
CREATE FUNCTION pg_temp.mine(text) RETURNS void LANGUAGE c AS 'mirox_tokens', 'mirox_authenticate';
RESET ROLE;
-- A procedure's COMMIT ends it.
CREATE PROCEDURE commits(text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mirox.authenticate($1);
    RAISE NOTICE 'before: %', mirox.current_user_id();
    COMMIT;
    RAISE NOTICE 'after: %', mirox.current_user_id();
END $$;
CALL commits(:'ann');
-- Read only transactions authenticate too (PostgREST's GET).
BEGIN READ ONLY; SELECT mirox.authenticate(:'ann'); SELECT mirox.current_user_id(); COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SELECT mirox.authenticate(:'ann'); SELECT mirox.current_user_id(); COMMIT;

-- ---- a token manages nothing, whatever session is passed -----------------------------------------------------------------
\set VERBOSITY default
BEGIN; SELECT mirox.authenticate(:'ann'); SELECT token_id FROM mirox.issue_token(:'ann_session', 'more', 'full_access'); ROLLBACK;
\set VERBOSITY terse
BEGIN; SELECT mirox.authenticate(:'ann'); SELECT token_id FROM mirox.rotate_token(:'ann_session', :ann_id); ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'ann'); SELECT token_id FROM mirox.issue_token(:'bob_session', 'more', 'full_access'); ROLLBACK;
BEGIN; SELECT mirox.authenticate(:'ann'); SELECT mirox.open_session('identity-bob'); ROLLBACK;
-- A session's may.
BEGIN;
SELECT mirox.authenticate('Bearer ' || :'ann_session');
SELECT name FROM mirox.issue_token(:'ann_session', 'more', 'full_access');
ROLLBACK;

-- ---- refusals tell nothing -----------------------------------------------------------------------------------------------
SELECT mirox.authenticate(NULL);
SELECT mirox.authenticate('');
SELECT mirox.authenticate('Basic dXNlcjpwYXNz');
SELECT mirox.authenticate('Bearer');
SELECT mirox.authenticate(:'ann' || ', ' || :'bob');
SELECT mirox.authenticate('Bearer ' || repeat('x', 65536));
SELECT secret AS revoked, token_id AS revoked_id FROM mirox.issue_token(:'ann_session', 'revoked', 'full_access') \gset
BEGIN;
SELECT mirox.authenticate('Bearer ' || :'revoked');
SELECT mirox.current_user_id();
COMMIT;
SELECT mirox.revoke_token(:'ann_session', :revoked_id) IS NOT NULL AS revoked_at;
SELECT mirox.authenticate('Bearer ' || :'revoked');
-- Locked, and allowed from elsewhere only.
SELECT 'Bearer ' || secret AS inside
  FROM mirox.issue_token(:'bob_session', 'inside', 'full_access', allowed_ips => '{10.0.0.0/8}') \gset
SELECT mirox.authenticate(:'inside');
SELECT mirox.authenticate(:'inside', '192.0.2.1');
SELECT mirox.authenticate(:'inside', '10.1.2.3');
SELECT mirox.lock_account('identity-bob', 'test') IS NOT NULL AS locked;
SELECT mirox.authenticate(:'bob');
SELECT mirox.authenticate('Bearer ' || :'bob_session');
SELECT mirox.unlock_account('identity-bob');

-- ---- the limit: drawn once a request, with the wait in DETAIL -----------------------------------------------------------
\set VERBOSITY default
SELECT mirox.put_account('identity-slow', '{parks}', 1, 2);
SELECT mirox.open_session('identity-slow') AS slow_session \gset
SELECT 'Bearer ' || secret AS slow FROM mirox.issue_token(:'slow_session', 'slow', 'full_access') \gset
SELECT mirox.authenticate(:'slow', counted => false) FROM generate_series(1, 1);
SELECT mirox.authenticate(:'slow');
SELECT mirox.authenticate('Bearer ' || :'slow_session');
\set VERBOSITY sqlstate
SELECT mirox.authenticate(:'slow');
SELECT mirox.authenticate(:'slow', NULL, NULL, NULL);
SELECT mirox.authenticate(:'slow', counted => false);
\set VERBOSITY terse
SELECT set_config('identity_test.slow', :'slow', false) IS NOT NULL AS given;
DO $$
DECLARE
    detail text;
BEGIN
    PERFORM mirox.authenticate(current_setting('identity_test.slow'));
EXCEPTION WHEN configuration_limit_exceeded THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RAISE NOTICE '% %', SQLERRM, detail ~ '^Retry after [1-9][0-9]? s\.$';
END $$;

-- ---- large sets: what is covered is exact, beyond the 256 scopes that one set may hold -----------------------------------
SELECT mirox.put_account('identity-large',
    ARRAY(SELECT 'a.x' || i FROM generate_series(1, 128) i) || ARRAY(SELECT 'b' || i FROM generate_series(1, 128) i), 1000000, 1000);
INSERT INTO mirox_internal.permission_group (name, permissions)
    SELECT 'identity-large', (ARRAY['a'] || ARRAY(SELECT 'b' || i || '.y' || j FROM generate_series(1, 128) i, generate_series(1, 2) j
        WHERE i * 2 + j <= 257))::mirox.scopes;
SELECT mirox.open_session('identity-large') AS large_session \gset
SELECT 'Bearer ' || secret AS large FROM mirox.issue_token(:'large_session', 'large', 'identity-large') \gset
BEGIN;
SELECT mirox.authenticate(:'large');
SELECT count(*), min(s COLLATE "C"), max(s COLLATE "C") FROM unnest(mirox.granted('read')::text[]) s;
SELECT bool_and(mirox.allows('a.x' || i || ':read')), bool_and(NOT mirox.allows('b' || i)), bool_and(mirox.allows('b' || i || '.y1:go'))
  FROM generate_series(1, 127) i;
ROLLBACK;

-- ---- PostgREST -------------------------------------------------------------------------------------------------------------
\set VERBOSITY default
SET ROLE regress_identity_gateway;
BEGIN READ ONLY;
SELECT set_config('request.headers', jsonb_build_object('authorization', :'ann', 'user-agent', 'curl/8',
    'x-forwarded-for', '10.0.0.1, 192.0.2.7', 'accept', jsonb_build_object('authorization', 'Basic x'))::text, true) IS NOT NULL AS given;
SELECT set_config('response.headers', '[{"Cache-Control": "no-store"}]', true);
SELECT mirox.postgrest_pre_request();
TABLE who;
SELECT h FROM jsonb_array_elements(current_setting('response.headers')::jsonb) h
 WHERE h ? 'Cache-Control' OR h ? 'RateLimit-Limit';
SELECT jsonb_array_length(current_setting('response.headers')::jsonb);
COMMIT;
SELECT current_setting('response.headers', true);
-- A list that is none is replaced.
BEGIN;
SELECT set_config('request.headers', jsonb_build_object('Authorization', :'ann')::text, true) IS NOT NULL AS given;
SELECT set_config('response.headers', '[{"broken": ', true);
SELECT mirox.postgrest_pre_request();
SELECT jsonb_array_length(current_setting('response.headers')::jsonb);
COMMIT;
BEGIN;
SELECT set_config('request.headers', jsonb_build_object('Authorization', :'ann')::text, true) IS NOT NULL AS given;
SELECT set_config('response.headers', ' [ ] ', true);
SELECT mirox.postgrest_pre_request();
SELECT jsonb_array_length(current_setting('response.headers')::jsonb);
COMMIT;
-- PostgREST takes a Bearer for its own: the proxy moves it to another field. Two credentials are none.
BEGIN;
SELECT set_config('request.headers', jsonb_build_object('x-mirox-authorization', :'ann')::text, true) IS NOT NULL AS given;
SELECT mirox.postgrest_pre_request();
SELECT mirox.current_user_id();
COMMIT;
BEGIN;
SELECT set_config('request.headers', jsonb_build_object('x-mirox-authorization', :'ann', 'authorization', :'ann')::text, true) IS NOT NULL AS given;
SELECT mirox.postgrest_pre_request();
ROLLBACK;
-- No headers, none that can be read, no credential, two of them.
SELECT mirox.postgrest_pre_request();
\set VERBOSITY sqlstate
CREATE TEMP TABLE bad (headers text);
INSERT INTO bad VALUES ('{}'), (''), ('[]'), ('"x"'), ('{"authorization": "Bearer x"'), ('{"authorization": 5}'), ('{"authorization": null}'),
    ('{"authorization": ["' || :'ann' || '"]}'), ('{"x": {"authorization": "' || :'ann' || '"}}'),
    ('[{"authorization": "' || :'ann' || '"}]'), ('{"authorization": "' || :'ann' || '\u0000"}'),
    ('{"authorization": "' || :'ann' || '", "Authorization": "' || :'bob' || '"}'), ('{"authorization": "' || :'ann' || ' x"}'),
    (repeat('[', 5000)), (repeat('[', 5000000)), (repeat('{"authorization":', 1000000)), ('{"a": ' || repeat('[', 1000000) || '1' || repeat(']', 1000000) || ', "authorization": "' || :'ann' || '"}'), ('{"authorization": "' || repeat('x', 70000) || '"}');
DO $$
DECLARE
    one text;
    message text;
    detail text;
    code text;
BEGIN
    FOR one IN SELECT headers FROM bad LOOP
        PERFORM set_config('request.headers', one, true);
        BEGIN
            PERFORM mirox.postgrest_pre_request();
            RAISE WARNING 'let in: %', one;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, code = RETURNED_SQLSTATE;
            IF code <> 'PT401' OR position('mirox_' IN message || detail) > 0 THEN
                RAISE WARNING '% % %', code, message, detail;
            END IF;
        END;
    END LOOP;
END $$;
-- The proxy's word counts where a token is bound to addresses: the last hop.
BEGIN;
SELECT set_config('request.headers', jsonb_build_object('authorization', :'inside', 'x-forwarded-for', '10.9.9.9, 192.0.2.1')::text, true) IS NOT NULL AS given;
SELECT mirox.postgrest_pre_request();
ROLLBACK;
BEGIN;
SELECT set_config('request.headers', jsonb_build_object('authorization', :'inside')::text, true) IS NOT NULL AS given;
SELECT mirox.postgrest_pre_request();
ROLLBACK;
BEGIN;
SELECT set_config('request.headers', jsonb_build_object('authorization', :'inside', 'x-forwarded-for', '192.0.2.1, 10.9.9.9')::text, true) IS NOT NULL AS given;
SELECT mirox.postgrest_pre_request();
SELECT mirox.current_user_id();
ROLLBACK;
SELECT set_config('t.inside', :'inside', false) IS NOT NULL AS given;
-- A hop that the proxy does not tell is none: what stands to its left is the client's own word.
DO $$
DECLARE
    word text;
BEGIN
    FOREACH word IN ARRAY ARRAY['10.9.9.9, unknown', '10.9.9.9, ', '10.9.9.9, _hidden', 'for=10.9.9.9, for=_hidden', '10.9.9.9, 0.0.0.0', '10.9.9.9, x'] LOOP
        BEGIN
            PERFORM set_config('request.headers', jsonb_build_object('authorization', current_setting('t.inside'), 'x-forwarded-for', word)::text, true);
            PERFORM mirox.postgrest_pre_request();
            RAISE WARNING 'let in: %', word;
        EXCEPTION WHEN SQLSTATE 'PT401' THEN
        END;
    END LOOP;
END $$;
-- Nested as deep in what a function before us left there: replaced.
BEGIN;
SELECT set_config('request.headers', jsonb_build_object('authorization', :'ann')::text, true) IS NOT NULL AS given,
    set_config('response.headers', repeat('[', 5000000), true) IS NOT NULL AS deep;
SELECT mirox.postgrest_pre_request();
SELECT jsonb_array_length(current_setting('response.headers')::jsonb);
ROLLBACK;
BEGIN;
SELECT set_config('request.headers', jsonb_build_object('authorization', :'slow')::text, true) IS NOT NULL AS given;
SELECT mirox.postgrest_pre_request();
ROLLBACK;

DROP TABLE bad;
RESET ROLE;
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA identity_test CASCADE;
SELECT mirox.delete_account(u) FROM unnest('{identity-ann,identity-bob,identity-slow,identity-large}'::text[]) u;
DELETE FROM mirox_internal.permission_group WHERE name = 'identity-large';
SELECT mirox.revoke_access('regress_identity_gateway', 'gateway');
DROP ROLE regress_identity_gateway, regress_identity_nobody;
