-- The error boundary between C++ and the server (src/pg), through the test-only library of test/probe: whatever is
-- thrown arrives as an ordinary error, destructors run, nothing is left behind.
CREATE SCHEMA probe;
SET search_path = probe;
CREATE FUNCTION probe_live() RETURNS bigint LANGUAGE c AS '$libdir/mirox_tokens_probe', 'mirox_probe_live';
CREATE FUNCTION probe_rss() RETURNS bigint LANGUAGE c AS '$libdir/mirox_tokens_probe', 'mirox_probe_rss';
CREATE FUNCTION probe_noop() RETURNS void LANGUAGE c AS '$libdir/mirox_tokens_probe', 'mirox_probe_noop';
CREATE FUNCTION probe_throw(kind text) RETURNS void STRICT LANGUAGE c
    AS '$libdir/mirox_tokens_probe', 'mirox_probe_throw';
CREATE FUNCTION probe_raise() RETURNS void LANGUAGE c AS '$libdir/mirox_tokens_probe', 'mirox_probe_raise';
CREATE FUNCTION probe_library_oom() RETURNS void LANGUAGE c
    AS '$libdir/mirox_tokens_probe', 'mirox_probe_library_oom';
CREATE FUNCTION probe_query(sql text) RETURNS bigint STRICT LANGUAGE c
    AS '$libdir/mirox_tokens_probe', 'mirox_probe_query';
CREATE FUNCTION probe_query_caught(sql text) RETURNS bigint STRICT LANGUAGE c
    AS '$libdir/mirox_tokens_probe', 'mirox_probe_query_caught';
CREATE FUNCTION probe_stacks() RETURNS text LANGUAGE c AS '$libdir/mirox_tokens_probe', 'mirox_probe_stacks';
CREATE FUNCTION probe_in_pg_try(kind text) RETURNS void STRICT LANGUAGE c
    AS '$libdir/mirox_tokens_probe', 'mirox_probe_in_pg_try';
CREATE FUNCTION probe_across_pg_try(kind text) RETURNS void STRICT LANGUAGE c
    AS '$libdir/mirox_tokens_probe', 'mirox_probe_across_pg_try';
CREATE FUNCTION probe_unguarded_jump() RETURNS void LANGUAGE c
    AS '$libdir/mirox_tokens_probe', 'mirox_probe_unguarded_jump';
CREATE FUNCTION probe_forget_live() RETURNS void LANGUAGE c
    AS '$libdir/mirox_tokens_probe', 'mirox_probe_forget_live';
CREATE FUNCTION probe_hook("on" boolean) RETURNS void STRICT LANGUAGE c
    AS '$libdir/mirox_tokens_probe', 'mirox_probe_hook';
CREATE FUNCTION probe_at_commit() RETURNS void LANGUAGE c AS '$libdir/mirox_tokens_probe', 'mirox_probe_at_commit';

-- What a statement's error carries, field by field.
CREATE FUNCTION report(statement text, OUT field text, OUT value text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    state text := 'no error';
    message text;
    detail text;
    hint text;
    schema_name text;
    table_name text;
    column_name text;
    constraint_name text;
    type_name text;
BEGIN
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
            hint = PG_EXCEPTION_HINT, schema_name = SCHEMA_NAME, table_name = TABLE_NAME,
            column_name = COLUMN_NAME, constraint_name = CONSTRAINT_NAME, type_name = PG_DATATYPE_NAME;
    END;
    RETURN QUERY
        SELECT n, v
          FROM (VALUES (1, 'sqlstate', state), (2, 'message', message), (3, 'detail', detail), (4, 'hint', hint),
                       (5, 'schema', schema_name), (6, 'table', table_name), (7, 'column', column_name),
                       (8, 'constraint', constraint_name), (9, 'type', type_name)) AS u(i, n, v)
         WHERE v <> ''
         ORDER BY i;
END
$$;

-- Each kind of C++ exception. The long one is cut: its text is counted, not shown.
SELECT * FROM report($$SELECT probe.probe_throw('int')$$);
SELECT * FROM report($$SELECT probe.probe_throw('text')$$);
SELECT * FROM report($$SELECT probe.probe_throw('runtime_error')$$);
SELECT * FROM report($$SELECT probe.probe_throw('percent')$$);
SELECT * FROM report($$SELECT probe.probe_throw('bytes')$$);
SELECT * FROM report($$SELECT probe.probe_throw('bad_alloc')$$);
SELECT value FROM report($$SELECT probe.probe_throw('real_bad_alloc')$$) WHERE field = 'sqlstate';
SELECT value FROM report($$SELECT probe.probe_throw('length_error')$$) WHERE field = 'sqlstate';
SELECT * FROM report($$SELECT probe.probe_throw('error')$$);
SELECT * FROM report($$SELECT probe.probe_throw('bare_error')$$);
SELECT field, length(value), ltrim(value, 'm') AS rest FROM report($$SELECT probe.probe_throw('long_error')$$);
SELECT probe_live();

-- As a client sees them, without a frame of SQL in between.
SELECT probe_throw('error');
SELECT probe_throw('int');
SELECT probe_live();

-- Our own way to raise.
SELECT * FROM report($$SELECT probe.probe_raise()$$);
SELECT * FROM report($$SELECT probe.probe_library_oom()$$);

-- A server error under pg_call, with objects alive above it, arrives whole.
SELECT probe_query('SELECT g FROM pg_catalog.generate_series(1, 3) g');
CREATE FUNCTION rich() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'ZX123', MESSAGE = 'the message', DETAIL = 'the detail', HINT = 'the hint',
        SCHEMA = 'the schema', TABLE = 'the table', COLUMN = 'the column', CONSTRAINT = 'the constraint',
        DATATYPE = 'the type';
END
$$;
SELECT * FROM report($$SELECT probe.rich()$$);
SELECT * FROM report($$SELECT probe.probe_query('SELECT probe.rich()')$$);
SELECT * FROM report($$SELECT probe.probe_query_caught('SELECT probe.rich()')$$);
SELECT * FROM report($$SELECT probe.probe_query('SELECT 1/0')$$);
-- The CONTEXT lines are the first error's, once each.
SELECT probe_query('SELECT probe.rich()');
SELECT probe_live();

-- Guards within guards: C++ under SQL under C++, three deep, both kinds of failure.
SELECT probe_query($$SELECT probe.probe_query('SELECT probe.probe_query(''SELECT 1/0'')')$$);
SELECT probe_query($$SELECT probe.probe_query('SELECT probe.probe_throw(''error'')')$$);
SELECT * FROM report($$SELECT probe.probe_query_caught('SELECT probe.probe_query_caught(''SELECT probe.probe_throw(''''bad_alloc'''')'')')$$);
SELECT probe_live();

-- Cancelling reaches the call, and is neither swallowed nor renamed.
\set VERBOSITY sqlstate
SET statement_timeout = '100ms';
SELECT probe_query('SELECT pg_catalog.pg_sleep(60)');
SELECT probe_query_caught('SELECT pg_catalog.pg_sleep(60)');
RESET statement_timeout;
\set VERBOSITY default
SELECT probe_live();

-- The server's globals are as before on each way out of pg_call.
SELECT probe_stacks();

-- A guarded failure inside PG_TRY is caught there; one thrown across PG_TRY and a dead error callback does no harm.
SELECT probe_in_pg_try('error');
SELECT probe_in_pg_try('int');
SELECT probe_across_pg_try('error');
SELECT probe_across_pg_try('int');
SELECT 1/0;
SELECT probe_live();

-- Hooks and callbacks of the server.
SELECT probe_hook(true);
SELECT 'probe_hook_marker';
SELECT 'probe_hook_marker';
SELECT probe_hook(false);
SELECT 'probe_hook_marker';
BEGIN;
CREATE TABLE at_commit (i integer);
SELECT probe_at_commit();
COMMIT;
SELECT pg_catalog.to_regclass('probe.at_commit') IS NULL AS rolled_back;
SELECT probe_live();

-- A failed transaction and a failed savepoint go on as after any error.
BEGIN;
SELECT probe_throw('int');
SELECT 1;
ROLLBACK;
BEGIN;
CREATE TABLE kept (i integer);
SAVEPOINT s;
INSERT INTO kept VALUES (1);
SELECT probe_query('SELECT 1/0');
ROLLBACK TO s;
INSERT INTO kept VALUES (2);
COMMIT;
SELECT * FROM kept;

-- The counter does see a destructor that was jumped over.
SELECT probe_unguarded_jump();
SELECT probe_live();
SELECT probe_forget_live();

-- 10,000 failures of every kind in one backend, each in a subtransaction: nothing grows.
CREATE FUNCTION storm(rounds integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    failures integer := 0;
    statement text;
BEGIN
    FOR i IN 1 .. rounds LOOP
        statement := CASE i % 8
            WHEN 0 THEN $s$SELECT probe.probe_throw('int')$s$
            WHEN 1 THEN $s$SELECT probe.probe_throw('runtime_error')$s$
            WHEN 2 THEN $s$SELECT probe.probe_throw('bad_alloc')$s$
            WHEN 3 THEN $s$SELECT probe.probe_throw('error')$s$
            WHEN 4 THEN $s$SELECT probe.probe_query('SELECT probe.rich()')$s$
            WHEN 5 THEN $s$SELECT probe.probe_query_caught('SELECT 1/0')$s$
            WHEN 6 THEN $s$SELECT probe.probe_query('SELECT probe.probe_throw(''error'')')$s$
            WHEN 7 THEN $s$SELECT probe.probe_across_pg_try('int')$s$
        END;
        BEGIN
            EXECUTE statement;
        EXCEPTION WHEN OTHERS THEN
            failures := failures + 1;
        END;
    END LOOP;
    RETURN failures;
END
$$;
SELECT storm(1000);
SELECT sum(total_bytes) AS bytes_before, count(*) AS contexts_before FROM pg_catalog.pg_backend_memory_contexts \gset
SELECT probe_rss() AS rss_before \gset
SELECT storm(10000);
SELECT sum(total_bytes) AS bytes_after, count(*) AS contexts_after FROM pg_catalog.pg_backend_memory_contexts \gset
SELECT probe_live(),
       :contexts_after - :contexts_before AS more_contexts,
       :bytes_after - :bytes_before < 65536 AS contexts_within_64_kb,
       probe_rss() - :rss_before < 1048576 AS rss_within_1_mb;

SET client_min_messages = warning;
DROP SCHEMA probe CASCADE;
