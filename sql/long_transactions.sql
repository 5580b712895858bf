-- A transaction that goes on and on: it gathers no memory, and nothing recorded waits for it.
\set SHOW_CONTEXT never
SELECT mirox.put_account('long', (SELECT array_agg('parks.' || md5(n::text) || ':read') FROM generate_series(1, 200) n), 1000000000, 1000000);
SELECT mirox.open_session('long') AS session \gset
SELECT secret FROM mirox.issue_token(:'session', 'a', 'full_access') \gset
-- What a backend holds beside its caches, after `rounds` of a statement, the failing ones rolled back to a savepoint each.
CREATE FUNCTION pg_temp.grown(statement text, argument text, rounds integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
    held CONSTANT text := 'SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name !~ ''^(Cache|Relation|index info|CachedPlan|LOCALLOCK|PLpgSQL)''';
BEGIN
    FOR i IN 1 .. rounds + 100 LOOP
        IF i = 100 THEN EXECUTE held INTO before; END IF;
        BEGIN
            EXECUTE statement USING argument;
            RAISE EXCEPTION SQLSTATE 'UU000';
        EXCEPTION WHEN OTHERS THEN
        END;
    END LOOP;
    RETURN (SELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name !~ '^(Cache|Relation|index info|CachedPlan|LOCALLOCK|PLpgSQL)') - before;
END
$$;
-- Checks, acts that fail, and identities of an account with many permissions; a savepoint each.
SELECT statement, pg_temp.grown(format('SELECT %s', statement), :'secret', 3000) < 100000 AS bounded FROM (VALUES
    ('mirox.verify_token($1)'), ('mirox.verify_token($1 || 1)'), ('mirox.check_request(''Bearer '' || $1, ''GET'', ''/'')'),
    ('mirox.issue_token($1, ''b'', ''full_access'')'), ('mirox.close_session($1)'), ('mirox.rename_token($1, 0, NULL)'),
    ('mirox.authenticate(''Bearer '' || $1)'), ('mirox.authenticate($1)')) v (statement);
-- An identity that was released with its savepoint stays until the end.
BEGIN;
SAVEPOINT a;
SELECT mirox.authenticate('Bearer ' || :'secret');
RELEASE a;
SAVEPOINT b;
SELECT mirox.current_user_id(), mirox.allows('parks.' || md5('7') || ':read');
ROLLBACK TO b;
SELECT mirox.current_user_id(), mirox.allows('parks.' || md5('7') || ':read');
ROLLBACK;

-- In one statement: a row a check, and nothing left of it.
CREATE TEMP TABLE size (at text, bytes bigint);
BEGIN;
SELECT count(*) FROM (SELECT (mirox.verify_token(:'secret' || left('', n))).status FROM generate_series(1, 100) n OFFSET 0) x WHERE status = 200;
INSERT INTO size SELECT 'before', sum(used_bytes) FROM pg_backend_memory_contexts WHERE name !~ '^(Cache|Relation|index info|CachedPlan)';
SELECT count(*) FROM (SELECT (mirox.verify_token(:'secret' || left('', n))).status FROM generate_series(1, 20000) n OFFSET 0) x WHERE status = 200;
INSERT INTO size SELECT 'after', sum(used_bytes) FROM pg_backend_memory_contexts WHERE name !~ '^(Cache|Relation|index info|CachedPlan)';
SELECT (SELECT bytes FROM size WHERE at = 'after') - (SELECT bytes FROM size WHERE at = 'before') < 200000 AS bounded;
COMMIT;

-- Who may not take us away keeps no worker out, whatever is tried; nor does dropping what is not ours.
CREATE ROLE regress_mirox_nobody;
CREATE SCHEMA regress_mirox_nobody AUTHORIZATION regress_mirox_nobody;
CREATE SCHEMA regress_mirox_other;
BEGIN;
SET LOCAL ROLE regress_mirox_nobody;
DROP SCHEMA regress_mirox_nobody CASCADE;
DROP SCHEMA IF EXISTS mirox_nothing;
DROP OWNED BY regress_mirox_nobody;
RESET ROLE;
DROP SCHEMA regress_mirox_other;
SET LOCAL statement_timeout = '30s';
SELECT mirox.flush();
ROLLBACK;
DROP SCHEMA regress_mirox_nobody, regress_mirox_other;
DROP ROLE regress_mirox_nobody;
SELECT mirox.delete_account('long');
