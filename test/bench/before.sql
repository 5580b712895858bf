-- The tables that the bench loads (data.py): what clients send, and the peers' keys.
\set ON_ERROR_STOP on
CREATE SCHEMA bench;
CREATE UNLOGGED TABLE bench.batch (n int, s0 text, s1 text, s2 text, s3 text, s4 text, s5 text, s6 text, s7 text,
    s8 text, s9 text, s10 text, s11 text, s12 text, s13 text, s14 text, s15 text);
CREATE UNLOGGED TABLE bench.jwt_batch (LIKE bench.batch);
CREATE UNLOGGED TABLE bench.manage_batch (n int, s0 text, t0 bigint, s1 text, t1 bigint, s2 text, t2 bigint, s3 text, t3 bigint,
    s4 text, t4 bigint, s5 text, t5 bigint, s6 text, t6 bigint, s7 text, t7 bigint, s8 text, t8 bigint, s9 text, t9 bigint,
    s10 text, t10 bigint, s11 text, t11 bigint, s12 text, t12 bigint, s13 text, t13 bigint, s14 text, t14 bigint,
    s15 text, t15 bigint);
CREATE UNLOGGED TABLE bench.sample (secret text);
CREATE UNLOGGED TABLE bench.slow_source (id bigint, secret text);
CREATE TABLE bench.api_key (
    id bigint NOT NULL,
    key_hash bytea NOT NULL,
    user_id text NOT NULL,
    scopes text[] NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    last_used_at timestamptz,
    use_count bigint NOT NULL DEFAULT 0
);
