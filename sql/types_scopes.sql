-- mirox.scopes: normal form, coverage, intersection, casts, binary form, limits.
CREATE SCHEMA types_scopes;
SET search_path = types_scopes, mirox, public;

-- Written as a text array is; sorted, nothing twice, nothing that another covers.
SELECT s, s::mirox.scopes FROM (VALUES
    ('{}'), ('{ }'), ('  {parks}  '), ('{reports,parks:read}'), ('{b, a ,c}'), ('{a,a,a}'),
    ('{parks,parks:read}'), ('{parks:read,parks.berlin:read}'), ('{parks:read,parks.berlin}'),
    ('{parks.berlin:write,parks:read}'), ('{*,a,b:c}'), ('{*}'), ('{"parks:read","reports"}'),
    ('{a-b,a.b,a:r,a_b}'), ('{a.b,a-b}'), ('{0,00,9_-}'), ('{-}'), (E'{a,\n\tb}')) v (s);

-- Malformed ones; a set is no place for NULL.
SELECT s, t.state(format('SELECT %L::mirox.scopes', s)),
       split_part(t.outcome(format('SELECT %L::mirox.scopes', s)), ' | ', 3) AS detail FROM (VALUES
    (''), ('parks'), ('{'), ('}'), ('{parks'), ('parks}'), ('{,}'), ('{a,}'), ('{,a}'), ('{""}'), ('{Parks}'), ('{parks:}'),
    ('{:read}'), ('{a:b:c}'), ('{a..b}'), ('{.a}'), ('{a.}'), ('{a.:b}'), ('{a:b.c}'), ('{*:read}'), ('{a.*}'), ('{**}'),
    ('{parks:*}'), ('{NULL}'), ('{a b}'), ('{pärks}'), ('{{a}}'), ('[0:0]={a}'), ('{"a}'), ('{"a,b"}'), ('{a\nb}'),
    (E'{a\x01}')) v (s);

SELECT t.outcome($$SELECT '{Parks}'::mirox.scopes$$);

-- A segment and an action of 63 characters, 16 segments, 256 scopes; one more of each is refused.
SELECT t.state(format('SELECT %L::mirox.scopes', s)), what FROM (VALUES
    ('63 in a segment', '{' || repeat('a', 63) || '}'),
    ('64 in a segment', '{' || repeat('a', 64) || '}'),
    ('63 in an action', '{a:' || repeat('a', 63) || '}'),
    ('64 in an action', '{a:' || repeat('a', 64) || '}'),
    ('16 segments', '{a' || repeat('.a', 15) || ':r}'),
    ('17 segments', '{a' || repeat('.a', 16) || ':r}'),
    ('all of it', '{' || repeat('a', 63) || repeat('.' || repeat('a', 63), 15) || ':' || repeat('a', 63) || '}'),
    ('256 scopes', (SELECT '{' || string_agg('s' || i, ',') || '}' FROM generate_series(1, 256) i)),
    ('257 scopes', (SELECT '{' || string_agg('s' || i, ',') || '}' FROM generate_series(1, 257) i)),
    ('300 scopes, 100 of them different', (SELECT '{' || string_agg('s' || i % 100, ',') || '}' FROM generate_series(1, 300) i)))
    v (what, s);
SELECT t.outcome(format('SELECT %L::mirox.scopes', array_agg('s' || i))) FROM generate_series(1, 257) i;
SELECT t.outcome(format('SELECT %L::text[]::mirox.scopes', array_agg('s' || i))) FROM generate_series(1, 257) i;
-- A large one is stored out of line and comes back whole.
CREATE TABLE large (s mirox.scopes);
INSERT INTO large SELECT array_agg(repeat(md5(i::text), 16)::text) FROM generate_series(1, 1) i, generate_series(1, 0);
INSERT INTO large SELECT array_agg((SELECT string_agg(md5(i::text || j), '.') FROM generate_series(1, 16) j) || ':read')
FROM generate_series(1, 256) i;
SELECT s IS NULL AS none, cardinality(s::text[]), pg_column_size(s) > 100000 AS large, s @> s AS whole,
       (s::text)::mirox.scopes = s AS same FROM large;

-- Covers: everything below a resource, every action when none is given.
SELECT a, b, a::mirox.scopes @> b::mirox.scopes AS "a @> b", b::mirox.scopes <@ a::mirox.scopes AS "b <@ a",
       b::mirox.scopes @> a::mirox.scopes AS "b @> a"
FROM (VALUES
    ('{parks:read}', '{parks.berlin.turbine_7:read}'), ('{reports}', '{reports:generate}'), ('{reports}', '{reports.daily}'),
    ('{parks:read}', '{parks:write}'), ('{parks:read}', '{parks}'), ('{parks.berlin}', '{parks}'),
    ('{park}', '{parks}'), ('{parks.b}', '{parks.berlin}'), ('{*}', '{parks:read,reports}'), ('{*}', '{*}'), ('{parks}', '{*}'),
    ('{}', '{}'), ('{parks}', '{}'), ('{a,b}', '{a:x,b.c}'), ('{a,b}', '{a:x,c}')) v (a, b);
-- Against one scope as text.
SELECT '{parks:read,reports}'::mirox.scopes @> 'parks.berlin:read'::text AS t,
       '{parks:read,reports}'::mirox.scopes @> 'parks:write'::text AS f,
       'reports:generate'::text <@ '{parks:read,reports}'::mirox.scopes AS t,
       '*'::text <@ '{parks:read,reports}'::mirox.scopes AS f, '{*}'::mirox.scopes @> '*'::text AS t;
SELECT t.outcome($$SELECT '{parks}'::mirox.scopes @> 'Parks'::text$$);
SELECT t.outcome($$SELECT ''::text <@ '{parks}'::mirox.scopes$$);
SELECT t.outcome($$SELECT '{parks}'::mirox.scopes @> 'parks'$$); -- without a cast it is read as a set
SELECT '{parks}'::mirox.scopes @> NULL::text AS strict;

-- Equality is that of the normal form.
SELECT '{b,a,a:x}'::mirox.scopes = '{a,b}'::mirox.scopes AS eq, '{b,a}'::mirox.scopes <> '{a,b}'::mirox.scopes AS ne,
       '{a}'::mirox.scopes = '{a:x}'::mirox.scopes AS narrower;

-- Intersection: what both cover, again in normal form.
SELECT a, b, a::mirox.scopes * b::mirox.scopes AS "a * b", b::mirox.scopes * a::mirox.scopes AS "b * a" FROM (VALUES
    ('{*}', '{parks:read,reports}'), ('{parks}', '{parks:read}'), ('{parks:read}', '{parks.berlin}'),
    ('{parks:read}', '{parks:write}'), ('{parks:read}', '{parks.berlin:write}'), ('{a,b,c}', '{b,c,d}'), ('{}', '{*}'),
    ('{parks,reports:generate}', '{parks.berlin:read,parks.hamburg,reports}'), ('{a:x,a.b}', '{a.b:x,a}'),
    ('{*}', '{*}')) v (a, b);
-- It is what both cover and no more, over many sets (the members of a * b are covered by a and by b, and what is covered
-- by both is covered by a * b).
WITH words (w) AS (SELECT unnest(ARRAY['a', 'a.b', 'a.b.c', 'a:r', 'a.b:r', 'a.b.c:w', 'b', 'b:r', 'b.a:w', '*'])),
     sets (s) AS (SELECT ARRAY[x.w, y.w]::text[]::mirox.scopes FROM words x, words y)
SELECT count(*) AS pairs,
       bool_and(x.s @> (x.s * y.s) AND y.s @> (x.s * y.s) AND (x.s * y.s) = (y.s * x.s)
                AND (SELECT bool_and((x.s @> w AND y.s @> w) = ((x.s * y.s) @> w)) FROM words)
                AND (x.s * y.s) = ((x.s * y.s)::text)::mirox.scopes) AS closed
FROM (SELECT DISTINCT s FROM sets) x, (SELECT DISTINCT s FROM sets) y;
-- A product beyond 256 scopes is an error here, never a set cut short.
SELECT t.outcome($$SELECT (SELECT array_agg('p:act' || i)::mirox.scopes FROM generate_series(1, 16) i)
                        * (SELECT array_agg('p.s' || j)::mirox.scopes FROM generate_series(1, 17) j)$$);
SELECT cardinality(((SELECT array_agg('p:act' || i)::mirox.scopes FROM generate_series(1, 16) i)
                  * (SELECT array_agg('p.s' || j)::mirox.scopes FROM generate_series(1, 16) j))::text[]);

-- Casts from and to text[]: on assignment and when asked for.
SELECT '{reports,parks:read}'::mirox.scopes::text[], ARRAY['b', 'a', 'a:x']::mirox.scopes, ARRAY[]::text[]::mirox.scopes,
       '{}'::mirox.scopes::text[];
SELECT cast(NULL::text[] AS mirox.scopes) IS NULL AS strict;
CREATE TABLE assigned (s mirox.scopes, a text[]);
INSERT INTO assigned SELECT ARRAY['b', 'a'], '{d,c}'::mirox.scopes;
SELECT * FROM assigned;
SELECT t.outcome($$SELECT ARRAY['a', NULL]::mirox.scopes$$);
-- What is no scope may be a secret in the wrong place: it is not repeated.
SELECT t.outcome($$SELECT ARRAY['a', 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria']::mirox.scopes$$);
SELECT t.outcome($$SELECT ARRAY[['a'], ['b']]::mirox.scopes$$);

-- Every function behind the type is IMMUTABLE and PARALLEL SAFE.
SELECT count(*) > 10 AS many, bool_and(provolatile = 'i' AND proparallel = 's') AS immutable_and_safe
FROM pg_proc WHERE pronamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace) AND proname ~ '^scopes?_' AND proname !~ '_support$' OR oid = 'mirox.scopes(text[])'::regprocedure;

-- DISTINCT, grouping and joins hash; there is no order to sort by.
CREATE TABLE many (i int, s mirox.scopes);
INSERT INTO many SELECT i, ARRAY['a' || i % 7, 'b:x'] FROM generate_series(1, 700) i;
EXPLAIN (COSTS OFF) SELECT s, count(*) FROM many GROUP BY s;
SELECT s, n FROM (SELECT s, count(*) AS n FROM many GROUP BY s) g ORDER BY s::text COLLATE "C";
SELECT count(*) FROM (SELECT DISTINCT s FROM many) d;
EXPLAIN (COSTS OFF) SELECT count(*) FROM many x JOIN many y USING (s);
SELECT count(*) FROM many x JOIN many y USING (s);
SELECT t.state('SELECT s FROM types_scopes.many ORDER BY s'), t.state('CREATE INDEX ON types_scopes.many (s)'),
       t.state('CREATE INDEX ON types_scopes.many USING hash (s)');

-- Binary COPY there and back.
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/types_scopes.copy'
INSERT INTO many SELECT 1001, '{}'::mirox.scopes UNION ALL SELECT 1002, '{*}' UNION ALL SELECT 1003, NULL::mirox.scopes UNION ALL SELECT 1004, s FROM large;
CREATE TABLE back (i int, s mirox.scopes);
COPY many TO :'file' (FORMAT binary);
COPY back FROM :'file' (FORMAT binary);
SELECT count(*) AS same FROM many JOIN back USING (i) WHERE many.s = back.s OR many.s IS NULL AND back.s IS NULL;
TRUNCATE back;
COPY many TO :'file';
COPY back FROM :'file';
SELECT count(*) AS same FROM many JOIN back USING (i) WHERE many.s = back.s OR many.s IS NULL AND back.s IS NULL;

-- The binary form: a count, then each scope's length and text. What is not in normal form, too long, or short is refused.
CREATE FUNCTION wire(VARIADIC scopes text[]) RETURNS bytea LANGUAGE sql AS $$
    SELECT int4send(cardinality(scopes)) || string_agg(int4send(octet_length(s)) || convert_to(s, 'UTF8'), ''::bytea ORDER BY n)
    FROM unnest(scopes) WITH ORDINALITY u (s, n)
$$;
CREATE FUNCTION received(bytes bytea, file text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    TRUNCATE types_scopes.back;
    EXECUTE format('COPY (SELECT 1, %L::bytea) TO %L (FORMAT binary)', bytes, file);
    outcome := t.outcome(format('COPY types_scopes.back FROM %L (FORMAT binary)', file));
    RETURN CASE outcome WHEN 'ok' THEN (SELECT s::text FROM types_scopes.back) ELSE outcome END;
END
$$;
SELECT received(wire('a', 'b:x'), :'file');
SELECT received(int4send(0), :'file');
SELECT received(wire('b', 'a'), :'file');
SELECT received(wire('a', 'a'), :'file');
SELECT received(wire('a', 'a:x'), :'file');
SELECT received(wire('*', 'a'), :'file');
SELECT received(wire('A'), :'file');
SELECT received(wire(''), :'file');
SELECT received(int4send(2) || int4send(1) || 'a', :'file');
SELECT received(wire('a') || '\x00', :'file');
SELECT received(int4send(257), :'file');
SELECT received(int4send(-1), :'file');
SELECT received(int4send(1) || int4send(-1), :'file');
SELECT received(int4send(1) || int4send(2147483647) || 'a', :'file');
SELECT received(int4send(1) || int4send(100) || 'a', :'file');
SELECT received(''::bytea, :'file');

-- What is written again and again is one scope, within reason: sorting millions could not be cancelled.
SELECT ('{' || repeat('a:b,', 65535) || 'a}')::mirox.scopes, mirox.scopes(array_fill('a'::text, ARRAY[65536]));
SELECT t.outcome($$SELECT ('{' || repeat('a,', 65536) || 'a}')::mirox.scopes$$);
SELECT t.outcome($$SELECT mirox.scopes(array_fill('a'::text, ARRAY[65537]))$$);

SET client_min_messages = warning;
DROP SCHEMA types_scopes CASCADE;
