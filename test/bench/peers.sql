-- The peers that mirox_tokens is measured against: the ways in which the field keeps API tokens in
-- PostgreSQL, each written as its followers would, with the index that it needs. After limits.sql.
\set ON_ERROR_STOP on

-- (b) A function that looks up and updates the last use and a count.
CREATE TABLE bench.api_key_b (LIKE bench.api_key INCLUDING DEFAULTS);
INSERT INTO bench.api_key_b SELECT * FROM bench.api_key ORDER BY id;
ALTER TABLE bench.api_key_b ADD PRIMARY KEY (id), ADD UNIQUE (key_hash);
CREATE FUNCTION bench.check_b(token text) RETURNS TABLE (user_id text, scopes text[]) LANGUAGE plpgsql AS $$
DECLARE
    k record;
BEGIN
    SELECT a.id, a.user_id, a.scopes INTO k FROM bench.api_key_b a
        WHERE a.key_hash = sha256(token::bytea) AND a.revoked_at IS NULL AND a.expires_at > now();
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE bench.api_key_b a SET last_used_at = now(), use_count = a.use_count + 1 WHERE a.id = k.id;
    RETURN QUERY SELECT k.user_id, k.scopes;
END $$;

-- (c) The same with a row in a log.
CREATE TABLE bench.api_key_c (LIKE bench.api_key INCLUDING DEFAULTS);
INSERT INTO bench.api_key_c SELECT * FROM bench.api_key ORDER BY id;
ALTER TABLE bench.api_key_c ADD PRIMARY KEY (id), ADD UNIQUE (key_hash);
CREATE TABLE bench.api_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_id bigint NOT NULL, at timestamptz NOT NULL DEFAULT now(), ip inet, user_agent text);
CREATE INDEX ON bench.api_log (key_id, at);
CREATE FUNCTION bench.check_c(token text, ip inet, agent text) RETURNS TABLE (user_id text, scopes text[])
LANGUAGE plpgsql AS $$
DECLARE
    k record;
BEGIN
    SELECT a.id, a.user_id, a.scopes INTO k FROM bench.api_key_c a
        WHERE a.key_hash = sha256(token::bytea) AND a.revoked_at IS NULL AND a.expires_at > now();
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE bench.api_key_c a SET last_used_at = now(), use_count = a.use_count + 1 WHERE a.id = k.id;
    INSERT INTO bench.api_log (key_id, ip, user_agent) VALUES (k.id, ip, agent);
    RETURN QUERY SELECT k.user_id, k.scopes;
END $$;

-- (d) As (b), throttled to a write a minute for each key.
CREATE TABLE bench.api_key_d (LIKE bench.api_key INCLUDING DEFAULTS);
INSERT INTO bench.api_key_d SELECT * FROM bench.api_key ORDER BY id;
ALTER TABLE bench.api_key_d ADD PRIMARY KEY (id), ADD UNIQUE (key_hash);
CREATE FUNCTION bench.check_d(token text) RETURNS TABLE (user_id text, scopes text[]) LANGUAGE plpgsql AS $$
DECLARE
    k record;
BEGIN
    SELECT a.id, a.user_id, a.scopes, a.last_used_at INTO k FROM bench.api_key_d a
        WHERE a.key_hash = sha256(token::bytea) AND a.revoked_at IS NULL AND a.expires_at > now();
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' THEN
        UPDATE bench.api_key_d a SET last_used_at = now() WHERE a.id = k.id;
    END IF;
    RETURN QUERY SELECT k.user_id, k.scopes;
END $$;

-- (e) bcrypt, found by the secret's beginning. Cost 10, the default of the usual libraries. A million slow hashes would take
-- a day to make, so only the keys that are asked for have hashes of their own secrets; the others hold one of them.
CREATE TABLE bench.api_key_e (id bigint NOT NULL, prefix text NOT NULL, key_hash text NOT NULL, user_id text NOT NULL,
                              scopes text[] NOT NULL, expires_at timestamptz NOT NULL, revoked_at timestamptz);
INSERT INTO bench.api_key_e
    SELECT a.id, COALESCE(left(s.secret, 14), encode(substr(a.key_hash, 1, 6), 'base64')),
           COALESCE(crypt(s.secret, gen_salt('bf', 10)), '$2a$10$abcdefghijklmnopqrstuuGHDyG0uHHyG5RzbYE0n9S5BXaXJk3vO'),
           a.user_id, a.scopes, a.expires_at
    FROM bench.api_key a LEFT JOIN bench.slow_source s USING (id);
CREATE INDEX ON bench.api_key_e (prefix);
CREATE FUNCTION bench.check_e(token text) RETURNS TABLE (user_id text, scopes text[]) LANGUAGE sql STABLE AS $$
    SELECT a.user_id, a.scopes FROM bench.api_key_e a
    WHERE a.prefix = left(token, 14) AND a.key_hash = crypt(token, a.key_hash) AND a.revoked_at IS NULL
      AND a.expires_at > now()
$$;
CREATE UNLOGGED TABLE bench.slow_batch AS
    SELECT n, max(secret) FILTER (WHERE i = 0) AS s0, max(secret) FILTER (WHERE i = 1) AS s1,
           max(secret) FILTER (WHERE i = 2) AS s2, max(secret) FILTER (WHERE i = 3) AS s3,
           max(secret) FILTER (WHERE i = 4) AS s4, max(secret) FILTER (WHERE i = 5) AS s5,
           max(secret) FILTER (WHERE i = 6) AS s6, max(secret) FILTER (WHERE i = 7) AS s7,
           max(secret) FILTER (WHERE i = 8) AS s8, max(secret) FILTER (WHERE i = 9) AS s9,
           max(secret) FILTER (WHERE i = 10) AS s10, max(secret) FILTER (WHERE i = 11) AS s11,
           max(secret) FILTER (WHERE i = 12) AS s12, max(secret) FILTER (WHERE i = 13) AS s13,
           max(secret) FILTER (WHERE i = 14) AS s14, max(secret) FILTER (WHERE i = 15) AS s15
    FROM (SELECT secret, (row_number() OVER () - 1) / 16 + 1 AS n, (row_number() OVER () - 1) % 16 AS i
          FROM bench.slow_source) numbered
    GROUP BY n;

-- (f) A JWT, verified by pgcrypto's hmac: no table, so nothing can be revoked and nothing is recorded.
CREATE FUNCTION bench.from_base64url(part text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT decode(rpad(translate(part, '-_', '+/'), (length(part) + 3) / 4 * 4, '='), 'base64')
$$;
CREATE FUNCTION bench.check_f(token text) RETURNS TABLE (user_id text, scopes text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    parts text[] := string_to_array(token, '.');
    claims jsonb;
BEGIN
    IF array_length(parts, 1) <> 3
       OR convert_from(bench.from_base64url(parts[1]), 'UTF8')::jsonb ->> 'alg' <> 'HS256'
       OR bench.from_base64url(parts[3])
          <> hmac((parts[1] || '.' || parts[2])::bytea, 'a key of the bench, 32 bytes long'::bytea, 'sha256') THEN
        RETURN;
    END IF;
    claims := convert_from(bench.from_base64url(parts[2]), 'UTF8')::jsonb;
    IF (claims ->> 'exp')::bigint > extract(epoch FROM now()) THEN
        RETURN QUERY SELECT claims ->> 'sub', claims ->> 'scope';
    END IF;
END $$;

-- Management: a bare INSERT or UPDATE of one row with one audit row.
CREATE TABLE bench.bare (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, account_id bigint NOT NULL,
    name text NOT NULL, key_hash bytea NOT NULL UNIQUE, expires_at timestamptz NOT NULL, revoked_at timestamptz);
CREATE TABLE bench.bare_audit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),
    event text NOT NULL, row_id bigint NOT NULL, db_role text NOT NULL DEFAULT current_user);
INSERT INTO bench.bare (id, account_id, name, key_hash, expires_at)
    SELECT id, id / 20, 'script ' || id, key_hash, expires_at FROM bench.api_key ORDER BY id;
SELECT setval(pg_get_serial_sequence('bench.bare', 'id'), max(id)) FROM bench.bare;

ALTER TABLE bench.jwt_batch ADD PRIMARY KEY (n);
ALTER TABLE bench.slow_batch ADD PRIMARY KEY (n);
VACUUM (ANALYZE);
