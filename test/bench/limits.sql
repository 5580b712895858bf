-- The limits that mirox_tokens is measured against, and what their clients send. After data.py.
\set ON_ERROR_STOP on

-- pk: a single-row SELECT by a unique 32-byte key, in a table of the same size.
CREATE TABLE bench.pk (k bytea NOT NULL, id bigint NOT NULL, status int NOT NULL, reason text NOT NULL, user_id text NOT NULL,
    permissions text NOT NULL);
INSERT INTO bench.pk SELECT key_hash, id, 200, 'ok', user_id, scopes::text FROM bench.api_key ORDER BY id;
ALTER TABLE bench.pk ADD PRIMARY KEY (k);
CREATE UNLOGGED TABLE bench.key_batch AS
    SELECT n, sha256(s0::bytea)::text AS s0, sha256(s1::bytea)::text AS s1, sha256(s2::bytea)::text AS s2,
           sha256(s3::bytea)::text AS s3, sha256(s4::bytea)::text AS s4, sha256(s5::bytea)::text AS s5,
           sha256(s6::bytea)::text AS s6, sha256(s7::bytea)::text AS s7, sha256(s8::bytea)::text AS s8,
           sha256(s9::bytea)::text AS s9, sha256(s10::bytea)::text AS s10, sha256(s11::bytea)::text AS s11,
           sha256(s12::bytea)::text AS s12, sha256(s13::bytea)::text AS s13, sha256(s14::bytea)::text AS s14,
           sha256(s15::bytea)::text AS s15
    FROM bench.batch;
CREATE UNLOGGED TABLE bench.key_sample AS SELECT sha256(secret::bytea) AS k FROM bench.sample;

-- (a) Look-up by sha256 in SQL, nothing recorded: the table as it was loaded.
ALTER TABLE bench.api_key ADD PRIMARY KEY (id), ADD UNIQUE (key_hash);

ALTER TABLE bench.batch ADD PRIMARY KEY (n);
ALTER TABLE bench.key_batch ADD PRIMARY KEY (n);
ALTER TABLE bench.manage_batch ADD PRIMARY KEY (n);
VACUUM (ANALYZE);
