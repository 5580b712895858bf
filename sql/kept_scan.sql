-- A check keeps its scan, slot and row type from one to the next: what happens to the tables between two checks, or to the
-- transaction amid one, must not show. Alone: it takes table locks.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT mirox.put_account('kept', '{parks,reports}', 60000, 100000);
SELECT mirox.open_session('kept') AS session \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'a', 'reporting') \gset
PREPARE checked AS SELECT status, reason, user_id, permissions FROM mirox.verify_token($1);
PREPARE other AS SELECT (mirox.verify_token('mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria')).reason;
EXECUTE checked(:'secret');
EXECUTE other;

-- ---- tables and indexes that are changed or built anew, in this session and in the very transaction ------------------
VACUUM FULL mirox_internal.token_secret;
EXECUTE checked(:'secret');
REINDEX INDEX mirox_internal.token_secret_lookup;
EXECUTE checked(:'secret');
REINDEX INDEX CONCURRENTLY mirox_internal.token_secret_lookup;
EXECUTE checked(:'secret');
BEGIN;
EXECUTE checked(:'secret');
ALTER TABLE mirox_internal.token_secret ADD COLUMN more text DEFAULT 'x', ADD COLUMN volatile_more float DEFAULT random();
EXECUTE checked(:'secret');
REINDEX TABLE mirox_internal.token_secret;
EXECUTE checked(:'secret');
EXECUTE other;
ROLLBACK;
EXECUTE checked(:'secret');
BEGIN;
ALTER TYPE mirox.verdict ADD ATTRIBUTE more int;
SELECT status, reason, more FROM mirox.verify_token(:'secret');
ROLLBACK;
EXECUTE checked(:'secret');

-- ---- statements, savepoints and transactions that end amid -------------------------------------------------------------
BEGIN;
SAVEPOINT a;
SELECT (mirox.verify_token(:'secret')).status, 1 / (i - 2) FROM generate_series(1, 3) i;
ROLLBACK TO a;
EXECUTE checked(:'secret');
SAVEPOINT b;
EXECUTE checked(:'secret');
ROLLBACK TO a;
EXECUTE checked(:'secret');
COMMIT;
DO $$ BEGIN
    FOR i IN 1..300 LOOP
        BEGIN
            PERFORM (mirox.verify_token('mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria')).status / (i % 2);
        EXCEPTION WHEN division_by_zero THEN NULL;
        END;
        IF i % 50 = 0 THEN COMMIT; END IF;
    END LOOP;
END $$;
EXECUTE checked(:'secret');
-- A cursor's rows are checked as they are fetched.
BEGIN;
DECLARE c CURSOR FOR SELECT i, (mirox.verify_token(current_setting('kept.secret'))).reason FROM generate_series(1, 3) i;
SELECT set_config('kept.secret', :'secret', true) IS NOT NULL AS set;
FETCH c;
EXECUTE other;
SELECT mirox.revoke_token(:'session', :token_id) IS NOT NULL AS revoked;
FETCH c;
EXECUTE checked(:'secret');
ROLLBACK;
EXECUTE checked(:'secret');

-- ---- inside an older snapshot -------------------------------------------------------------------------------------------
BEGIN ISOLATION LEVEL SERIALIZABLE;
EXECUTE checked(:'secret');
SELECT mirox.revoke_token(:'session', :token_id) IS NOT NULL AS revoked;
EXECUTE checked(:'secret');
COMMIT;
EXECUTE checked(:'secret');
-- Nothing is left pinned or locked.
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text LIKE 'mirox.%';
