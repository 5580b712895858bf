-- Errors: one row for each SQLSTATE of the contract, with a HINT where it tells what to do; none repeats a secret.
\set SHOW_CONTEXT never
SELECT mirox.put_account('errors', '{parks}');
SELECT mirox.open_session('errors') AS session \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'a', 'full_access') \gset
SELECT token_id AS gone FROM mirox.issue_token(:'session', 'b', 'full_access') \gset
SELECT mirox.revoke_token(:'session', :gone) IS NOT NULL AS revoked;
CREATE TABLE errors_users (id text);
SET mirox_tokens.max_tokens_per_account = 1;
CREATE FUNCTION pg_temp.fields(statement text, OUT state text, OUT message text, OUT detail text, OUT hint text, OUT bare boolean) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    state := '00000';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    bare := message ~ '^[A-Z]|\.$' OR detail <> '' AND detail !~ '^[A-Z].*[.]$' OR hint <> '' AND hint !~ '[.]$';
END
$$;
SELECT what, state, message, detail <> '' AS detail, hint <> '' AS hint, bare AS not_in_style FROM (VALUES
    (1, 'a bad argument', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', expires_in => ''6 years'')', :'session')),
    (2, 'a bad name', format('SELECT mirox.issue_token(%L, '''', ''full_access'')', :'session')),
    (3, 'a malformed secret as a value', 'SELECT ''mirox_x''::mirox.secret'),
    (4, 'a malformed digest', 'SELECT ''x''::mirox.digest'),
    (5, 'a malformed set of scopes', 'SELECT ''{A}''::mirox.scopes'),
    (6, 'no such token', format('SELECT mirox.revoke_token(%L, -1)', :'session')),
    (7, 'no such account', 'SELECT mirox.lock_account(''errors/nobody'')'),
    (8, 'the cap', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'')', :'session')),
    (9, 'too many scopes', $$SELECT (SELECT array_agg('p:act' || i)::mirox.scopes FROM generate_series(1, 16) i) OPERATOR(mirox.*) (SELECT array_agg('p.s' || j)::mirox.scopes FROM generate_series(1, 17) j)$$),
    (10, 'no session', 'SELECT mirox.list_tokens(NULL)'),
    (11, 'a token instead of a session', format('SELECT mirox.list_tokens(%L)', :'secret')),
    (12, 'permissions beyond the owner''s', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', permissions => ''{exports}'')', :'session')),
    (13, 'a revoked token brought back', format('UPDATE mirox_internal.token SET revoked_at = NULL WHERE token_id = %s', :gone)),
    (14, 'the audit log changed', 'DELETE FROM mirox_internal.audit_log'),
    (15, 'a token of no account', 'INSERT INTO mirox_internal.token (account_id, name, group_id, hint, lifetime, expires_at) VALUES (-1, ''x'', 1, ''x'', ''1 day'', now() + interval ''1 day'')'),
    (16, 'no such role', 'SELECT mirox.grant_access(999999::oid, ''admin'')'),
    (17, 'an internal function', 'SELECT mirox_internal.token_guard()'),
    (18, 'no such column', 'SELECT mirox.bind_accounts(''errors_users'', ''nope'')'),
    (19, 'not a table', 'SELECT mirox.bind_accounts(''mirox_internal.token_place'', ''place'')')) v (n, what, statement), pg_temp.fields(statement) ORDER BY n;
RESET mirox_tokens.max_tokens_per_account;

-- Whatever text argument of whatever function a secret is passed as, by mistake, no error repeats it. All functions of
-- every level, one argument after the other and all at once; and what the call did is undone.
CREATE FUNCTION pg_temp.argument(type oid, secret text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN type = 'text'::regtype OR type = 'name'::regtype THEN quote_literal(secret)
        WHEN type = 'text[]'::regtype THEN format('ARRAY[%L]', secret)
        WHEN type = 'jsonb'::regtype THEN format('%L::jsonb', jsonb_build_array(secret))
        WHEN type = 'bytea'::regtype THEN format('convert_to(%L, ''UTF8'')', secret) END
$$;
CREATE FUNCTION pg_temp.leaks(fn regprocedure, secret text, session text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    calls int := 0;
    types oid[] := (SELECT proargtypes::oid[] FROM pg_proc WHERE oid = fn);
    leaks int := 0;
    arguments text;
BEGIN
    FOR i IN 0 .. COALESCE(array_length(types, 1), 0) LOOP
        FOR with_session IN 0 .. 1 LOOP
            -- proargtypes counts from 0. The first argument is an open session's secret in the second round.
            SELECT string_agg(CASE WHEN with_session = 1 AND n = 0 AND types[n] = 'text'::regtype THEN quote_literal(session)
                WHEN i = 0 OR n = i - 1 THEN COALESCE(pg_temp.argument(types[n], secret), 'NULL') ELSE 'NULL' END || '::' || types[n]::regtype, ', ' ORDER BY n)
            INTO arguments FROM generate_series(0, COALESCE(array_length(types, 1), 0) - 1) n;
            BEGIN
                EXECUTE format('SELECT count(*) FROM %s(%s)', fn::oid::regproc, arguments);
                RAISE EXCEPTION USING ERRCODE = 'ZZZZZ'; -- undo whatever it did
            EXCEPTION WHEN SQLSTATE 'ZZZZZ' THEN
                calls := calls + 1;
            WHEN OTHERS THEN
                DECLARE
                    message text;
                    more text;
                    advice text;
                BEGIN
                    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL, advice = PG_EXCEPTION_HINT;
                    IF position(secret IN message || more || advice) > 0 THEN leaks := leaks + 1; END IF;
                END;
            END;
        END LOOP;
    END LOOP;
    RETURN leaks;
END
$$;
SELECT function, leaks FROM (SELECT object AS function, pg_temp.leaks(object::regprocedure, :'secret', :'session') AS leaks
    FROM (SELECT DISTINCT object FROM mirox_internal.access_rule WHERE kind = 'function') r) x
WHERE leaks > 0 ORDER BY function COLLATE "C";
SELECT count(*) FROM mirox.list_tokens(:'session');
SELECT status FROM mirox.verify_token(:'secret');
SELECT mirox.delete_account('errors');
