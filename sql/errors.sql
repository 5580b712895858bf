-- Errors: one row for each SQLSTATE of the contract, with a HINT where it tells what to do; none repeats a secret.
\set SHOW_CONTEXT never
SELECT mirox.put_account('errors', '{parks}');
SELECT mirox.open_session('errors') AS session \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'a', 'full_access') \gset
SELECT token_id AS gone FROM mirox.issue_token(:'session', 'b', 'full_access') \gset
SELECT mirox.revoke_token(:'session', :gone) IS NOT NULL AS revoked;
SELECT token_id AS overlapping FROM mirox.issue_token(:'session', 'c', 'full_access', permissions => '{parks.b}') \gset
SELECT mirox.rotate_token(:'session', :overlapping, '1 hour') IS NOT NULL AS rotated;
SELECT token_id AS expired FROM mirox.issue_token(:'session', 'd', 'full_access', expires_in => '1 microsecond') \gset
CREATE TABLE errors_users (id text);
SET mirox_tokens.max_tokens_per_account = 1;
CREATE FUNCTION pg_temp.fields(statement text, OUT state text, OUT message text, OUT detail text, OUT hint text, OUT word text, OUT argument text, OUT bare boolean) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    state := '00000';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
        word = CONSTRAINT_NAME, argument = COLUMN_NAME;
    bare := message ~ '^[A-Z]|\.$' OR detail <> '' AND detail !~ '^([A-Z].*[.]|[{].*[}])$' OR hint <> '' AND hint !~ '[.]$';
END
$$;
SELECT what, state, word, argument, message, detail <> '' AS detail, hint <> '' AS hint, bare AS not_in_style FROM (VALUES
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
-- What a form needs: the field, the kind of its fault, and the values as an array.
SELECT what, word, argument, replace(detail, ',groups_many', '') AS detail FROM (VALUES
    (1, 'no name', format('SELECT mirox.issue_token(%L, ''  '', ''full_access'')', :'session')),
    (2, 'an invisible name', format('SELECT mirox.issue_token(%L, E''\u200b'', ''full_access'')', :'session')),
    (3, 'a long name', format('SELECT mirox.issue_token(%L, repeat(''a'', 101), ''full_access'')', :'session')),
    (4, 'a name of two lines', format('SELECT mirox.issue_token(%L, E''a\nb'', ''full_access'')', :'session')),
    (5, 'permissions that the owner lacks', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', permissions => ''{users:write,parks,exports}'')', :'session')),
    (6, 'permissions that the group lacks', format('SELECT mirox.issue_token(%L, ''a'', ''timeseries'', permissions => ''{parks:read,parks:write}'')', :'session')),
    (7, 'no such group', format('SELECT mirox.issue_token(%L, ''a'', ''everything'')', :'session')),
    (8, 'no such format', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', format => ''xml'')', :'session')),
    (9, 'a date in the past', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', expires_at => now() - interval ''1 day'')', :'session')),
    (10, 'a date too far away', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', expires_at => ''infinity'')', :'session')),
    (11, 'two expirations', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', now() + interval ''1 day'', ''1 day'')', :'session')),
    (12, 'no time at all', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', expires_in => ''0'')', :'session')),
    (13, 'no network', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', allowed_ips => ''{}'')', :'session')),
    (14, 'a list as metadata', format('SELECT mirox.issue_token(%L, ''a'', ''full_access'', metadata => ''[]'')', :'session')),
    (15, 'a long overlap', format('SELECT mirox.rotate_token(%L, %s, ''8 days'')', :'session', :token_id)),
    (16, 'a reason of two lines', format('SELECT mirox.revoke_token(%L, %s, E''a\nb'')', :'session', :token_id)),
    (17, 'a malformed permission of an owner', 'SELECT mirox.put_account(''errors/new'', ''{A}'')'),
    (18, 'a limit below 0', 'SELECT mirox.put_account(''errors/new'', ''{a}'', -1)'),
    (19, 'no such level', 'SELECT mirox.grant_access(current_user::regrole, ''root'')'),
    (20, 'no path', 'SELECT mirox.put_endpoint(''GET'', ''parks'', ''parks:read'')'),
    (21, 'no scope', 'SELECT mirox.put_endpoint(''GET'', ''/parks'', ''PARKS'')'),
    (22, 'no credentials', 'SELECT mirox.authenticate(''Bearer x'')'),
    (23, 'a row of another column', format('UPDATE mirox_internal.token SET account_id = -1 WHERE token_id = %s', :token_id)),
    (24, 'more while two secrets are in force', format('SELECT mirox.set_token_permissions(%L, %s, ''{parks.a,parks.b,parks.c}'')', :'session', :overlapping)),
    (25, 'another date for an expired token', format('SELECT mirox.set_token_expiration(%L, %s, expires_in => ''1 day'')', :'session', :expired)),
    (26, 'a number of rows below 0', format('SELECT mirox.account_log(%L, max_rows => -1)', :'session'))) v (n, what, statement),
    pg_temp.fields(statement) ORDER BY n;

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
