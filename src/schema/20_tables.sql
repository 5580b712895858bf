-- Tables of management. Each change of an account, its tokens or its sessions locks the account's row first and then reads with a
-- fresh snapshot (src/store). That is why there are no foreign keys here: their checks read with the transaction's snapshot, and
-- at REPEATABLE READ would fail on rows that exist. The triggers of 30_triggers.sql keep the same integrity, also for DML that
-- bypasses the functions.
--
-- An audited row has the key (audit_node, audit_id) of its last row in audit_log. An INSERT that brings such a key is a replay (a
-- restore, a subscriber) and is stored unchanged.
--
-- C code reads the first columns of token_secret and session at fixed offsets. Columns may be added at the end, where column() reads
-- them, and never moved.

-- Domains, not CHECK constraints, say what values a column may have. The condition of a domain is read once a backend. A CHECK
-- constraint is read by each statement that writes a row, which costs as much as writing it. Both hold even when triggers are
-- disabled. (An account's name keeps its CHECK: the trigger comes first and gives the better error, and accounts are seldom
-- written.)
CREATE DOMAIN mirox_internal.requests_a_minute AS integer CHECK (VALUE OPERATOR(pg_catalog.>=) 0);
CREATE DOMAIN mirox_internal.burst AS integer CHECK (VALUE OPERATOR(pg_catalog.>=) 1);
CREATE FUNCTION mirox_internal.ends(at timestamptz) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_ends' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.ends(timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.ends(timestamptz) IS 'Internal: true, or 22023 for an infinite expiration';
CREATE DOMAIN mirox_internal.end_time AS timestamptz CHECK (mirox_internal.ends(VALUE));
CREATE DOMAIN mirox_internal.place AS smallint CHECK (VALUE OPERATOR(pg_catalog.>=) 1 AND VALUE OPERATOR(pg_catalog.<=) 64);
CREATE DOMAIN mirox_internal.generation AS integer CHECK (VALUE OPERATOR(pg_catalog.>=) 1);
CREATE DOMAIN mirox_internal.networks AS cidr[] CHECK (pg_catalog.cardinality(VALUE) OPERATOR(pg_catalog.>=) 1);
CREATE DOMAIN mirox_internal.token_format AS text COLLATE "C"
    CHECK (VALUE OPERATOR(pg_catalog.=) ANY (ARRAY['opaque', 'jwt']));
CREATE DOMAIN mirox_internal.metadata AS jsonb CHECK (pg_catalog.jsonb_typeof(VALUE) OPERATOR(pg_catalog.=) 'object');
CREATE DOMAIN mirox_internal.secret_scheme AS "char" CHECK (VALUE OPERATOR(pg_catalog.=) ANY (ARRAY['s', 'h']::"char"[]));
CREATE DOMAIN mirox_internal.secret_state AS "char"
    CHECK (VALUE OPERATOR(pg_catalog.=) ANY (ARRAY['c', 'o', 'r', 'v']::"char"[]));
REVOKE ALL ON DOMAIN mirox_internal.requests_a_minute FROM PUBLIC;
REVOKE ALL ON DOMAIN mirox_internal.burst FROM PUBLIC;
REVOKE ALL ON DOMAIN mirox_internal.end_time FROM PUBLIC;
REVOKE ALL ON DOMAIN mirox_internal.place FROM PUBLIC;
REVOKE ALL ON DOMAIN mirox_internal.generation FROM PUBLIC;
REVOKE ALL ON DOMAIN mirox_internal.networks FROM PUBLIC;
REVOKE ALL ON DOMAIN mirox_internal.token_format FROM PUBLIC;
REVOKE ALL ON DOMAIN mirox_internal.metadata FROM PUBLIC;
REVOKE ALL ON DOMAIN mirox_internal.secret_scheme FROM PUBLIC;
REVOKE ALL ON DOMAIN mirox_internal.secret_state FROM PUBLIC;
COMMENT ON DOMAIN mirox_internal.requests_a_minute IS 'Internal: a rate limit';
COMMENT ON DOMAIN mirox_internal.burst IS 'Internal: the requests that a rate limit admits at once after a pause';
COMMENT ON DOMAIN mirox_internal.end_time IS 'Internal: an expiration, never infinite';
COMMENT ON DOMAIN mirox_internal.place IS 'Internal: a token''s place in its owner''s list, 1 to 64';
COMMENT ON DOMAIN mirox_internal.generation IS 'Internal: how often a token was issued and rotated';
COMMENT ON DOMAIN mirox_internal.networks IS 'Internal: the networks a token may be used from, at least one';
COMMENT ON DOMAIN mirox_internal.token_format IS 'Internal: opaque or jwt';
COMMENT ON DOMAIN mirox_internal.metadata IS 'Internal: a JSON object that the application defines';
COMMENT ON DOMAIN mirox_internal.secret_scheme IS 'Internal: how a digest was made';
COMMENT ON DOMAIN mirox_internal.secret_state IS 'Internal: c current, o overlapping, r rotated away, v revoked';

CREATE SEQUENCE mirox_internal.account_id_seq;
CREATE SEQUENCE mirox_internal.session_id_seq;
CREATE SEQUENCE mirox_internal.token_id_seq;
CREATE SEQUENCE mirox_internal.group_id_seq START 100;
CREATE SEQUENCE mirox_internal.audit_id_seq;
REVOKE ALL ON SEQUENCE mirox_internal.account_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.session_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.token_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.group_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.audit_id_seq FROM PUBLIC;

CREATE TABLE mirox_internal.audit_log (
    node integer NOT NULL,
    audit_id bigint NOT NULL,
    at timestamptz NOT NULL,
    event text COLLATE "C" NOT NULL,
    account_id bigint,
    user_id text COLLATE "C",
    token_id bigint,
    session_id bigint,
    db_role text COLLATE "C",
    ip inet,
    user_agent text,
    requests bigint,
    detail jsonb NOT NULL DEFAULT '{}',
    acting_token_id bigint,
    acting_session_id bigint,
    login_role text COLLATE "C",
    by_session_id bigint,
    PRIMARY KEY (node, audit_id),
    -- Uses have tables of their own. So the planner leaves acts out where audit_trail is asked for uses.
    CHECK (event OPERATOR(pg_catalog.<>) 'used' AND event OPERATOR(pg_catalog.<>) 'refused')
);
REVOKE ALL ON TABLE mirox_internal.audit_log FROM PUBLIC;
CREATE INDEX audit_log_token ON mirox_internal.audit_log (token_id, at) WHERE token_id IS NOT NULL;
-- For account_log(): the newest acts of one account, however long the log is.
CREATE INDEX audit_log_account ON mirox_internal.audit_log (account_id, at, audit_id) WHERE account_id IS NOT NULL;
-- For audit_acts and audit_trail.
CREATE INDEX audit_log_at ON mirox_internal.audit_log (at);
CREATE INDEX audit_log_event ON mirox_internal.audit_log (event, at);
CREATE INDEX audit_log_session ON mirox_internal.audit_log (session_id, at) WHERE session_id IS NOT NULL;
CREATE INDEX audit_log_ip ON mirox_internal.audit_log (ip, at) WHERE ip IS NOT NULL;
COMMENT ON TABLE mirox_internal.audit_log IS
    'Each act of management, written by triggers and never changed. Read it through the view audit_trail';
COMMENT ON COLUMN mirox_internal.audit_log.db_role IS 'current_user at the call';
COMMENT ON COLUMN mirox_internal.audit_log.acting_token_id IS 'The token that the transaction acted for; NULL: none';
COMMENT ON COLUMN mirox_internal.audit_log.acting_session_id IS 'The web session that the transaction acted for; NULL: none';
COMMENT ON COLUMN mirox_internal.audit_log.login_role IS 'session_user at the call';
COMMENT ON COLUMN mirox_internal.audit_log.session_id IS 'The web session that the act is about, otherwise the one by whose secret it was done';
COMMENT ON COLUMN mirox_internal.audit_log.by_session_id IS 'The web session by whose secret the act was done; NULL: by none';

CREATE TABLE mirox_internal.account (
    account_id bigint NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.account_id_seq') PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL UNIQUE
        CHECK (pg_catalog.length(user_id) OPERATOR(pg_catalog.>=) 1
               AND pg_catalog.length(user_id) OPERATOR(pg_catalog.<=) 255),
    permissions mirox.scopes NOT NULL,
    rate_limit mirox_internal.requests_a_minute,
    burst mirox_internal.burst,
    locked_at timestamptz,
    lock_reason text,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    audit_node integer,
    audit_id bigint
) WITH (fillfactor = 90);
REVOKE ALL ON TABLE mirox_internal.account FROM PUBLIC;
COMMENT ON TABLE mirox_internal.account IS 'Owners of tokens. The row is the lock for everything that belongs to the account';
COMMENT ON COLUMN mirox_internal.account.permissions IS 'The owner''s permissions; no token of the owner has more';
COMMENT ON COLUMN mirox_internal.account.rate_limit IS 'Requests a minute; NULL: mirox_tokens.rate_limit';
COMMENT ON COLUMN mirox_internal.account.burst IS 'Requests at once after a pause; NULL: mirox_tokens.rate_burst';

CREATE TABLE mirox_internal.session (
    digest mirox.digest NOT NULL UNIQUE,
    session_id bigint NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.session_id_seq') PRIMARY KEY,
    account_id bigint NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    expires_at mirox_internal.end_time NOT NULL,
    closed_at timestamptz,
    client_ip inet,
    user_agent text,
    audit_node integer,
    audit_id bigint,
    close_reason text
) WITH (fillfactor = 90);
REVOKE ALL ON TABLE mirox_internal.session FROM PUBLIC;
CREATE INDEX session_account ON mirox_internal.session (account_id);
COMMENT ON TABLE mirox_internal.session IS 'Logged-in web sessions, by the digest of their secret';

CREATE TABLE mirox_internal.permission_group (
    group_id integer NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.group_id_seq') PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
        CHECK (name OPERATOR(pg_catalog.~) '^[a-z][a-z0-9_-]{0,62}$'),
    permissions mirox.scopes NOT NULL,
    description text NOT NULL DEFAULT '',
    builtin boolean NOT NULL DEFAULT false,
    audit_node integer,
    audit_id bigint
);
REVOKE ALL ON TABLE mirox_internal.permission_group FROM PUBLIC;
COMMENT ON TABLE mirox_internal.permission_group IS
    'Permission groups: a token reaches what its owner, its group and the token itself all allow';

CREATE TABLE mirox_internal.token (
    token_id bigint NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.token_id_seq') PRIMARY KEY,
    account_id bigint NOT NULL,
    place mirox_internal.place NOT NULL,
    generation mirox_internal.generation NOT NULL DEFAULT 1,
    name text NOT NULL,
    group_id integer NOT NULL,
    permissions mirox.scopes,
    allowed_ips mirox_internal.networks,
    format mirox_internal.token_format NOT NULL DEFAULT 'opaque',
    hint text NOT NULL,
    lifetime interval NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    rotated_at timestamptz,
    expires_at mirox_internal.end_time NOT NULL,
    revoked_at timestamptz,
    revoke_reason text,
    metadata mirox_internal.metadata NOT NULL DEFAULT '{}',
    audit_node integer,
    audit_id bigint,
    suspended_at timestamptz,
    suspend_reason text,
    rate_limit mirox_internal.requests_a_minute,
    burst mirox_internal.burst
) WITH (fillfactor = 90);
REVOKE ALL ON TABLE mirox_internal.token FROM PUBLIC;
-- This is the cap: 64 places, each held by one unrevoked token. It holds even when triggers are disabled.
CREATE UNIQUE INDEX token_place ON mirox_internal.token (account_id, place) WHERE revoked_at IS NULL;
-- The revoked ones, for list_tokens() and for the end of their account.
CREATE INDEX token_revoked ON mirox_internal.token (account_id, revoked_at) WHERE revoked_at IS NOT NULL;
-- Tells whether a group is in use when it is dropped. Built-in groups cannot be dropped.
CREATE INDEX token_group ON mirox_internal.token (group_id) WHERE group_id OPERATOR(pg_catalog.>=) 100;
-- Finds all tokens of an account: token_place has only the unrevoked ones.
CREATE INDEX token_account ON mirox_internal.token (account_id);
COMMENT ON TABLE mirox_internal.token IS 'Tokens as the owner sees them. The digests of their secrets are in token_secret';
COMMENT ON COLUMN mirox_internal.token.permissions IS 'The token''s own permissions, which narrow the owner''s; NULL: no narrowing';
COMMENT ON COLUMN mirox_internal.token.generation IS 'Raised by each rotation; usage is kept by generation';
COMMENT ON COLUMN mirox_internal.token.lifetime IS 'The lifetime, which rotation starts again';
COMMENT ON COLUMN mirox_internal.token.suspended_at IS 'Since when it is suspended; NULL: it is not';
COMMENT ON COLUMN mirox_internal.token.rate_limit IS 'The token''s own requests a minute, beside the account''s; NULL: none of its own';
COMMENT ON COLUMN mirox_internal.token.burst IS 'The token''s own requests at once after a pause; NULL: as many as in a minute';
COMMENT ON COLUMN mirox_internal.token.hint IS 'The redacted form of the current secret';

-- One row for each secret, with all data that a check needs. state: c current, o overlapping (until ends_at), r rotated away, v
-- revoked. rate_limit and burst are the account's, -1 for the configured default; own_rate_limit and own_burst are the token's, -1
-- for none.
CREATE TABLE mirox_internal.token_secret (
    digest mirox.digest NOT NULL PRIMARY KEY,
    token_id bigint NOT NULL,
    account_id bigint NOT NULL,
    expires_at mirox_internal.end_time NOT NULL,
    ends_at timestamptz NOT NULL DEFAULT 'infinity',
    generation mirox_internal.generation NOT NULL,
    group_id integer NOT NULL,
    rate_limit integer NOT NULL,
    burst integer NOT NULL,
    own_rate_limit integer NOT NULL DEFAULT -1,
    own_burst integer NOT NULL DEFAULT -1,
    key_id smallint NOT NULL DEFAULT 0,
    scheme mirox_internal.secret_scheme NOT NULL DEFAULT 's',
    state mirox_internal.secret_state NOT NULL DEFAULT 'c',
    locked boolean NOT NULL,
    suspended boolean NOT NULL DEFAULT false,
    user_id text COLLATE "C" NOT NULL,
    permissions mirox.scopes NOT NULL,
    allowed_ips cidr[],
    audit_node integer,
    audit_id bigint
) WITH (fillfactor = 90);
REVOKE ALL ON TABLE mirox_internal.token_secret FROM PUBLIC;
-- The index that a check uses: a page or two for any number of secrets, where the btree of the key takes three or four.
CREATE INDEX token_secret_lookup ON mirox_internal.token_secret USING hash (digest);
-- A token's current secret has the token's generation, an overlapping one the generation before, so there is at most one of each.
-- No index contains the state, so rotating or revoking a secret changes only its row (a HOT update).
CREATE UNIQUE INDEX token_secret_token ON mirox_internal.token_secret (token_id, generation);
-- Finds tokens that expire soon. It is not on the row of the token, because rotation changes the date and would then write all
-- indexes of that row.
CREATE INDEX token_secret_expiry ON mirox_internal.token_secret (expires_at);
COMMENT ON TABLE mirox_internal.token_secret IS 'Digests of secrets: the current one of each token, at most one overlapping, and past ones';
COMMENT ON COLUMN mirox_internal.token_secret.permissions IS 'The owner''s permissions and the token''s own, intersected';
COMMENT ON COLUMN mirox_internal.token_secret.scheme IS 's: SHA-256 of the secret; h: HMAC-SHA-256(key, SHA-256(secret))';

CREATE FUNCTION mirox_internal.valid_endpoint(method text, path text, scope text, public boolean) RETURNS boolean
    AS 'MODULE_PATHNAME', 'mirox_valid_endpoint' LANGUAGE C IMMUTABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION mirox_internal.valid_endpoint(text, text, text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.valid_endpoint(text, text, text, boolean) IS 'Internal: an endpoint rule in its normal form';

CREATE TABLE mirox_internal.endpoint (
    method text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    scope text COLLATE "C",
    public boolean NOT NULL DEFAULT false,
    audit_node integer,
    audit_id bigint,
    PRIMARY KEY (method, path),
    CHECK (mirox_internal.valid_endpoint(method, path, scope, public))
);
REVOKE ALL ON TABLE mirox_internal.endpoint FROM PUBLIC;
COMMENT ON TABLE mirox_internal.endpoint IS
    'What each method and path need: a scope; without one any token or session in force; where public, nothing. * stands for one '
    'path segment (or every method), ** for the rest; the most specific rule wins; a path without a rule needs the scope *';

-- ---- dump and restore: everything except rows that the script itself inserts ----------------------------------------
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.account_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.session_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.token_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.group_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.audit_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.audit_log', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.account', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.session', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.permission_group', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.endpoint', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.token', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.token_secret', '');
