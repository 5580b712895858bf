-- mirox.digest: text and binary forms, order, both index types, pgcrypto as the independent witness.
CREATE SCHEMA types_digest;
SET search_path = types_digest, mirox, public;

-- Text form: 64 hex digits, in either case; lower case out.
SELECT '00000000000000000000000000000000000000000000000000000000000000ff'::mirox.digest;
SELECT 'ABCDEF0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789'::mirox.digest;
SELECT typlen, typbyval, typalign, typstorage FROM pg_type WHERE oid = 'mirox.digest'::regtype;
SELECT NULL::mirox.digest IS NULL;

-- What is malformed is refused and never repeated: it may be a secret in the wrong place.
SELECT t.outcome(format('SELECT %L::mirox.digest', given)) AS outcome,
       position(nullif(given, '') IN t.outcome(format('SELECT %L::mirox.digest', given))) AS repeated
FROM unnest(ARRAY[
    '',
    'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria',
    repeat('0', 63),
    repeat('0', 65),
    repeat('0', 63) || 'g',
    repeat('0', 62) || 'é',
    '\x' || repeat('0', 64),
    ' ' || repeat('0', 63),
    repeat('0', 63) || ' ']) AS given;

-- SHA-256 as pgcrypto has it, in values and in what is stored for a secret.
SELECT encode(digest('abc', 'sha256'), 'hex')::mirox.digest
     = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' AS known;
SELECT mirox.put_account('types_digest', '{parks}');
SELECT mirox.open_session('types_digest') AS session \gset
SELECT token_id, secret FROM mirox.issue_token(:'session', 'a', 'full_access') \gset
SELECT digest = encode(digest(:'secret', 'sha256'), 'hex')::mirox.digest AS as_pgcrypto, state, scheme
FROM mirox_internal.token_secret WHERE token_id = :token_id;
SELECT count(*) FROM mirox_internal.session WHERE digest = encode(digest(:'session', 'sha256'), 'hex')::mirox.digest;

-- Order is that of the bytes.
CREATE TABLE d (i int, d mirox.digest, b bytea);
INSERT INTO d SELECT i, encode(digest(i::text, 'sha256'), 'hex')::mirox.digest, digest(i::text, 'sha256')
FROM generate_series(1, 2000) i;
INSERT INTO d VALUES (0, NULL, NULL);
SELECT count(*) AS pairs,
       bool_and((x.d = y.d) = (x.b = y.b) AND (x.d <> y.d) = (x.b <> y.b) AND (x.d < y.d) = (x.b < y.b)
                AND (x.d <= y.d) = (x.b <= y.b) AND (x.d > y.d) = (x.b > y.b) AND (x.d >= y.d) = (x.b >= y.b)
                AND sign(mirox.digest_cmp(x.d, y.d)) = (x.b > y.b)::int - (x.b < y.b)::int) AS as_bytes
FROM (SELECT * FROM d WHERE i BETWEEN 1 AND 60) x, (SELECT * FROM d WHERE i BETWEEN 1 AND 60) y;
SELECT (array_agg(i ORDER BY d)) = (array_agg(i ORDER BY b)) AS same_order FROM d;
-- A difference in any one byte is a difference.
SELECT bool_and(zero <> other AND zero < other AND NOT zero = other) AS all_bytes_count
FROM (SELECT repeat('00', 32)::mirox.digest AS zero,
             encode(set_byte(decode(repeat('00', 32), 'hex'), n, 1), 'hex')::mirox.digest AS other
      FROM generate_series(0, 31) n) x;
SELECT NULL::mirox.digest = repeat('0', 64)::mirox.digest AS strict;

-- Both indexes are used and find what a scan finds.
CREATE INDEX d_btree ON d (d);
CREATE INDEX d_hash ON d USING hash (d);
ANALYZE d;
SELECT d AS one FROM d WHERE i = 1234 \gset
SET enable_seqscan = off;
SET enable_bitmapscan = off;
BEGIN;
DROP INDEX d_hash;
EXPLAIN (COSTS OFF) SELECT i FROM d WHERE d = '0000000000000000000000000000000000000000000000000000000000000000';
SELECT i FROM d WHERE d = :'one';
EXPLAIN (COSTS OFF) SELECT i FROM d WHERE d < '0100000000000000000000000000000000000000000000000000000000000000' ORDER BY d;
SELECT (SELECT count(*) FROM d WHERE d < repeat('8', 64)::mirox.digest)
     = (SELECT count(*) FROM d WHERE b < decode(repeat('8', 64), 'hex')) AS same_range;
ROLLBACK;
BEGIN;
DROP INDEX d_btree;
EXPLAIN (COSTS OFF) SELECT i FROM d WHERE d = '0000000000000000000000000000000000000000000000000000000000000000';
SELECT i FROM d WHERE d = :'one';
ROLLBACK;
RESET enable_seqscan;
RESET enable_bitmapscan;
-- Hash and merge joins, hash and sort grouping.
SET enable_nestloop = off;
SET enable_mergejoin = off;
SELECT count(*) FROM d x JOIN d y ON x.d = y.d;
SET enable_hashjoin = off;
SET enable_mergejoin = on;
SELECT count(*) FROM d x JOIN d y ON x.d = y.d;
RESET enable_nestloop;
RESET enable_hashjoin;
SET enable_sort = off;
SELECT count(*) FROM (SELECT d FROM d UNION SELECT d FROM d) u;
RESET enable_sort;
SET enable_hashagg = off;
SELECT count(*) FROM (SELECT DISTINCT d FROM d) u;
RESET enable_hashagg;
-- The extended hash agrees with the plain one at seed 0, and partitions by it.
SELECT bool_and(mirox.digest_hash_extended(d, 0) & 4294967295 = mirox.digest_hash(d)::bigint & 4294967295) AS agree,
       bool_or(mirox.digest_hash_extended(d, 1) = mirox.digest_hash_extended(d, 0)) AS seed_ignored
FROM d WHERE d IS NOT NULL;
CREATE TABLE parts (d mirox.digest) PARTITION BY HASH (d);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT d FROM d WHERE d IS NOT NULL;
SELECT (SELECT count(*) > 500 FROM parts_0) AND (SELECT count(*) > 500 FROM parts_1) AS spread;

-- Binary COPY there and back.
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/types_digest.copy'
COPY d (i, d) TO :'file' (FORMAT binary);
CREATE TABLE back (i int, d mirox.digest);
COPY back FROM :'file' (FORMAT binary);
SELECT count(*) AS differing FROM (TABLE back EXCEPT SELECT i, d FROM d UNION ALL (SELECT i, d FROM d EXCEPT TABLE back)) x;
COPY d (i, d) TO :'file';
TRUNCATE back;
COPY back FROM :'file';
SELECT count(*) AS differing FROM (TABLE back EXCEPT SELECT i, d FROM d UNION ALL (SELECT i, d FROM d EXCEPT TABLE back)) x;
-- The binary form is the 32 bytes; any other number of them is refused.
TRUNCATE back;
COPY (SELECT 1, digest('abc', 'sha256')) TO :'file' (FORMAT binary);
COPY back FROM :'file' (FORMAT binary);
SELECT d FROM back;
\set SHOW_CONTEXT never
COPY (SELECT 1, decode(repeat('00', 31), 'hex')) TO :'file' (FORMAT binary);
COPY back FROM :'file' (FORMAT binary);
COPY (SELECT 1, decode(repeat('00', 33), 'hex')) TO :'file' (FORMAT binary);
COPY back FROM :'file' (FORMAT binary);
COPY (SELECT 1, ''::bytea) TO :'file' (FORMAT binary);
COPY back FROM :'file' (FORMAT binary);

SELECT mirox.delete_account('types_digest');
SET client_min_messages = warning;
DROP SCHEMA types_digest CASCADE;
