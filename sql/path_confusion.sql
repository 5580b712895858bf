-- The corpus of confusing spellings, through check_request: each needs what its plain spelling needs, or is refused; and a
-- token that may read what is public alone gets nowhere by any spelling but there.
\set VERBOSITY terse
SELECT mirox.put_account('spelling', '{public:read}', 1000000, 100000);
SELECT mirox.open_session('spelling') AS session \gset
SELECT secret AS token FROM mirox.issue_token(:'session', 'spelling', 'full_access') \gset
SELECT mirox.put_endpoint(m, p, s) FROM (VALUES ('*', '/api/v1/public', 'public:read'), ('*', '/api/v1/public/**', 'public:read'),
    ('*', '/api/v1/admin', 'admin:use'), ('*', '/api/v1/admin/**', 'admin:use'), ('*', '/api/**', 'other:use')) AS r (m, p, s);
-- One a line; what cannot be text in this database (NUL, broken UTF-8) never reaches us: the server refuses it.
CREATE FUNCTION pg_temp.bytes(field text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    out bytea := '';
    at int := 1;
BEGIN
    WHILE at <= length(field) LOOP
        IF substr(field, at, 2) = '\\' THEN
            out := out || '\x5c'::bytea; at := at + 2;
        ELSIF substr(field, at, 2) = '\x' THEN
            out := out || decode(substr(field, at + 2, 2), 'hex'); at := at + 4;
        ELSE
            out := out || convert_to(substr(field, at, 1), 'UTF8'); at := at + 1;
        END IF;
    END LOOP;
    RETURN convert_from(out, 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN NULL;
END $$;
\getenv abs_srcdir PG_ABS_SRCDIR
\set corpus :abs_srcdir '/test/unit/data/path_confusion.txt'
CREATE TEMP TABLE lines (line text);
COPY lines FROM :'corpus' WITH (FORMAT csv, DELIMITER E'\x02', QUOTE E'\x01');
CREATE TEMP TABLE corpus AS
    SELECT split_part(line, E'\t', 1) AS method, pg_temp.bytes(split_part(line, E'\t', 2)) AS target,
        pg_temp.bytes(split_part(line, E'\t', 3)) AS plain, split_part(line, E'\t', 2) AS written
    FROM lines WHERE line <> '' AND line NOT LIKE '#%';
SELECT count(*) >= 60 AS enough, count(*) FILTER (WHERE target IS NULL) > 0 AS some_are_no_text FROM corpus;

-- None of these may have a row.
SELECT c.method, c.written, c.plain, v.status, v.required_scope, p.required_scope
FROM corpus c, mirox.check_request('Bearer ' || :'token', c.method, c.target) AS v,
    mirox.check_request('Bearer ' || :'token', upper(c.method), replace(replace(c.plain, '%', '%25'), ' ', '%20')) AS p
WHERE c.target IS NOT NULL AND c.plain <> 'refused'
    AND (v.status, v.reason, v.required_scope) IS DISTINCT FROM (p.status, p.reason, p.required_scope);
SELECT c.method, c.written, v.status, v.reason, v.required_scope
FROM corpus c, mirox.check_request('Bearer ' || :'token', c.method, c.target) AS v
WHERE c.target IS NOT NULL AND c.plain = 'refused' AND (v.status, v.reason, v.required_scope) IS DISTINCT FROM (400, 'invalid_request', NULL);
SELECT c.method, c.written, c.plain FROM corpus c, mirox.check_request('Bearer ' || :'token', c.method, c.target) AS v
WHERE v.status = 200 AND c.plain <> '/api/v1/public' AND c.plain NOT LIKE '/api/v1/public/%';

SELECT v.status, v.required_scope, count(*) > 0 AS some FROM corpus c, mirox.check_request('Bearer ' || :'token', c.method, c.target) AS v
GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(mirox.drop_endpoint(method, path)) FROM mirox_internal.endpoint WHERE path LIKE '/api%';
