-- Recorded use. Only the background worker writes it (src/worker), one transaction for each batch of events. No statement of a
-- user writes here or locks a row, so an open transaction cannot delay a drain. There are no foreign keys.
--
-- A star schema: token, address, agent and outcome of a use are one row of `caller`. The tables by time hold its id, a count, and
-- the first and last instant. A drain writes its sums by minute and caller, packed into a few rows of usage_open: an UPDATE of
-- each row that a drain touches would write ten times as much WAL. When a minute has closed, one transaction moves its rows to
-- usage_minute, where they are never changed, and adds them to usage_hour, usage_day and token_usage. So a reader of all use adds
-- the open rows to the closed ones, in one snapshot. A late use (recovered after a crash) makes a second row for its minute.
--
-- The minutes repeat the token of the caller, so that indexes find the audit trail of one token and the newest rows of all
-- tokens.
--
-- No column of caller is NULL, so that one unique index finds a row: 0 means no token, session, account or agent; 0.0.0.0/0 no
-- address; an empty text no location, scope, method or endpoint.

CREATE SEQUENCE mirox_internal.agent_id_seq;
CREATE SEQUENCE mirox_internal.caller_id_seq;
CREATE SEQUENCE mirox_internal.unauthenticated_serial_seq;
CREATE SEQUENCE mirox_internal.usage_open_id_seq;
REVOKE ALL ON SEQUENCE mirox_internal.agent_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.caller_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.unauthenticated_serial_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.usage_open_id_seq FROM PUBLIC;

CREATE TABLE mirox_internal.agent (
    agent_id bigint NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.agent_id_seq') PRIMARY KEY,
    agent text COLLATE "C" NOT NULL UNIQUE,
    key bigint NOT NULL,
    browser text,
    os text,
    resolved boolean NOT NULL
);
REVOKE ALL ON TABLE mirox_internal.agent FROM PUBLIC;
CREATE INDEX agent_key ON mirox_internal.agent (key);
CREATE INDEX agent_unresolved ON mirox_internal.agent (agent_id) WHERE NOT resolved;
COMMENT ON TABLE mirox_internal.agent IS 'Each distinct user agent once, with its browser and operating system';
COMMENT ON COLUMN mirox_internal.agent.key IS 'Its key in shared memory: a hash of the text';
COMMENT ON COLUMN mirox_internal.agent.resolved IS 'False: the rules could not be read; the worker retries';

CREATE TABLE mirox_internal.caller (
    caller_id bigint NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.caller_id_seq') PRIMARY KEY,
    token_id bigint NOT NULL,
    session_id bigint NOT NULL,
    account_id bigint NOT NULL,
    agent_id bigint NOT NULL,
    generation integer NOT NULL,
    status smallint NOT NULL,
    reason text COLLATE "C" NOT NULL,
    ip inet NOT NULL,
    location text COLLATE "C" NOT NULL,
    scope text COLLATE "C" NOT NULL,
    method text COLLATE "C" NOT NULL,
    endpoint text COLLATE "C" NOT NULL
);
REVOKE ALL ON TABLE mirox_internal.caller FROM PUBLIC;
CREATE UNIQUE INDEX caller_key ON mirox_internal.caller
    (token_id, generation, session_id, account_id, agent_id, ip, status, reason, scope, location, method, endpoint);
-- For reports on a user, which show tokens only. The condition keeps the planner from using this index for the worker's look-ups
-- of callers, which do not have it.
CREATE INDEX caller_account ON mirox_internal.caller (account_id) WHERE token_id > 0;
COMMENT ON TABLE mirox_internal.caller IS
    'Each distinct combination of token, generation, session, address, location, agent, scope and outcome once';

-- Arrays of equal length, sorted by token: a reader of one token takes the rows whose first_token and last_token enclose it.
-- Token 0 is the use of a session. open_id is the replica identity for logical replication: the whole row would be 2.5 kB.
CREATE TABLE mirox_internal.usage_open (
    open_id bigint NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.usage_open_id_seq') PRIMARY KEY,
    minute timestamptz NOT NULL,
    first_token bigint NOT NULL,
    last_token bigint NOT NULL,
    callers bigint[] NOT NULL,
    tokens bigint[] NOT NULL,
    requests integer[] NOT NULL,
    first_at timestamptz[] NOT NULL,
    last_at timestamptz[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 1000);
REVOKE ALL ON TABLE mirox_internal.usage_open FROM PUBLIC;
-- Rows are read as often as written and live for a minute, so they are neither compressed nor moved out of line.
ALTER TABLE mirox_internal.usage_open ALTER COLUMN callers SET STORAGE PLAIN, ALTER COLUMN tokens SET STORAGE PLAIN,
    ALTER COLUMN requests SET STORAGE PLAIN, ALTER COLUMN first_at SET STORAGE PLAIN, ALTER COLUMN last_at SET STORAGE PLAIN;
COMMENT ON TABLE mirox_internal.usage_open IS 'Uses in minutes that are still open, as drains wrote them. Read it through the views';

CREATE VIEW mirox_internal.open_use AS
    SELECT o.minute, o.callers[i] AS caller_id, o.requests[i]::bigint AS requests, o.first_at[i] AS first_at,
           o.last_at[i] AS last_at, NULLIF(o.tokens[i], 0) AS token_id, o.first_token, o.last_token
    FROM mirox_internal.usage_open o CROSS JOIN LATERAL pg_catalog.generate_series(1, pg_catalog.cardinality(o.callers)) i;
REVOKE ALL ON TABLE mirox_internal.open_use FROM PUBLIC;
COMMENT ON VIEW mirox_internal.open_use IS
    'Internal: use of open minutes by minute, caller and drain; first_token and last_token tell which rows can hold a token';

CREATE TABLE mirox_internal.usage_minute (
    minute timestamptz NOT NULL,
    caller_id bigint NOT NULL,
    requests bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    token_id bigint
);
REVOKE ALL ON TABLE mirox_internal.usage_minute FROM PUBLIC;
-- Only retention deletes here. A key would give each row one more index forever (77 bytes of WAL, 61 of disk: a quarter more).
-- The full identity puts the old row, 50 bytes, into the WAL for each deleted row, and only where rows are published. (The rows
-- have no natural key: a late use makes a second row for its minute.)
ALTER TABLE mirox_internal.usage_minute REPLICA IDENTITY FULL;
CREATE INDEX usage_minute_token ON mirox_internal.usage_minute (token_id, first_at) WHERE token_id IS NOT NULL;
CREATE INDEX usage_minute_at ON mirox_internal.usage_minute (first_at);
COMMENT ON TABLE mirox_internal.usage_minute IS 'Uses in closed minutes; never changed, deleted only after mirox_tokens.audit_retention';

-- Half of each page stays free in this table and the next two. When a minute closes, all rows of a page may be updated at once,
-- and a new version on the same page needs no index entry.
CREATE TABLE mirox_internal.usage_hour (
    hour timestamptz NOT NULL,
    caller_id bigint NOT NULL,
    requests bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (caller_id, hour)
) WITH (fillfactor = 48);
REVOKE ALL ON TABLE mirox_internal.usage_hour FROM PUBLIC;
CREATE INDEX usage_hour_hour ON mirox_internal.usage_hour (hour);
COMMENT ON TABLE mirox_internal.usage_hour IS 'Uses by hour. Read it through the view usage_hourly';

CREATE TABLE mirox_internal.usage_day (
    day date NOT NULL,
    caller_id bigint NOT NULL,
    requests bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (caller_id, day)
) WITH (fillfactor = 48);
REVOKE ALL ON TABLE mirox_internal.usage_day FROM PUBLIC;
CREATE INDEX usage_day_day ON mirox_internal.usage_day (day);
COMMENT ON TABLE mirox_internal.usage_day IS 'Uses by day in UTC. Read it through the view usage_daily';

-- The newest recorded use of each generation of a token. Rotation raises the generation and writes nothing here.
CREATE TABLE mirox_internal.token_usage (
    token_id bigint NOT NULL,
    generation integer NOT NULL,
    uses bigint NOT NULL DEFAULT 0,
    refusals bigint NOT NULL DEFAULT 0,
    last_used_at timestamptz,
    last_ip inet,
    last_location text,
    last_browser text,
    last_os text,
    last_refused_at timestamptz,
    PRIMARY KEY (token_id, generation)
) WITH (fillfactor = 48);
REVOKE ALL ON TABLE mirox_internal.token_usage FROM PUBLIC;
COMMENT ON TABLE mirox_internal.token_usage IS 'Use of each token since it was issued or last rotated (by generation)';

-- Refusals without a known token. (node, ring_id, serial) identifies one life of a slot in shared memory, whose count only grows.
-- When a minute is over, the networks with the most requests keep their rows, and the others are summed up without an address.
CREATE TABLE mirox_internal.unauthenticated (
    node integer NOT NULL,
    ring_id bigint NOT NULL,
    serial bigint NOT NULL,
    minute timestamptz NOT NULL,
    network cidr,
    location text COLLATE "C",
    status smallint NOT NULL,
    reason text COLLATE "C" NOT NULL,
    requests bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (node, ring_id, serial)
);
REVOKE ALL ON TABLE mirox_internal.unauthenticated FROM PUBLIC;
CREATE INDEX unauthenticated_minute ON mirox_internal.unauthenticated (minute);
CREATE INDEX unauthenticated_at ON mirox_internal.unauthenticated (first_at);
COMMENT ON TABLE mirox_internal.unauthenticated IS 'Refusals of callers without a known token, by minute and network, and requests to public endpoints without credentials, '
    'by minute; after a day by hour';

-- The thresholds at which a notice was sent to the owner of a token, so that each is sent once.
CREATE TABLE mirox_internal.notice (
    token_id bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    days integer NOT NULL,
    sent_at timestamptz NOT NULL,
    PRIMARY KEY (token_id, expires_at, days)
);
REVOKE ALL ON TABLE mirox_internal.notice FROM PUBLIC;
COMMENT ON TABLE mirox_internal.notice IS 'Notices of expiration that were sent, one for each token, expiration and threshold';

-- The position up to which the events of a ring were written here, stored by the transaction that wrote them. Not dumped: it
-- belongs to this server's ring, and a restored position would skip or repeat events of another ring.
CREATE TABLE mirox_internal.drain_position (
    node integer NOT NULL,
    ring_id bigint NOT NULL,
    database oid NOT NULL,
    "position" bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (node, ring_id, database)
) WITH (fillfactor = 50);
REVOKE ALL ON TABLE mirox_internal.drain_position FROM PUBLIC;
COMMENT ON TABLE mirox_internal.drain_position IS 'The position up to which the events of each ring in shared memory have been written';

-- Events that an earlier extension of this database left in shared memory do not belong to this one.
CREATE FUNCTION mirox_internal.begin_recording() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_begin_recording' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox_internal.begin_recording() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.begin_recording() IS
    'Internal: discards, when this transaction commits, the events that an earlier mirox_tokens of this database left in shared '
    'memory';
SELECT mirox_internal.begin_recording();

-- Uses that are in shared memory and not yet in the tables. The argument is the position that the tables have in the same
-- snapshot of the query, so that no use is shown twice or missed.
CREATE FUNCTION mirox_internal.ring_ids() RETURNS bigint[]
    AS 'MODULE_PATHNAME', 'mirox_ring_ids' LANGUAGE C STABLE PARALLEL RESTRICTED;
CREATE FUNCTION mirox_internal.pending_uses(
    stored bigint, token bigint DEFAULT NULL, token_generation integer DEFAULT NULL,
    OUT token_id bigint, OUT generation integer, OUT uses bigint, OUT refusals bigint, OUT last_used_at timestamptz,
    OUT last_refused_at timestamptz, OUT last_ip inet, OUT agent_key bigint) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'mirox_pending_uses' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
CREATE FUNCTION mirox_internal.waiting_uses(
    stored bigint, token bigint, token_generation integer,
    OUT at timestamptz, OUT status smallint, OUT reason text, OUT ip inet, OUT user_agent text, OUT scope text,
    OUT method text, OUT endpoint text) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'mirox_waiting_uses' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;
REVOKE ALL ON FUNCTION mirox_internal.ring_ids() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.pending_uses(bigint, bigint, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.waiting_uses(bigint, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.ring_ids() IS 'Internal: the ids that this server''s ring of events has had, newest first';
COMMENT ON FUNCTION mirox_internal.pending_uses(bigint, bigint, integer) IS
    'Internal: counts of tokens'' uses that the tables do not hold yet; of one token when it is given';
COMMENT ON FUNCTION mirox_internal.waiting_uses(bigint, bigint, integer) IS
    'Internal: one token''s events that the tables do not hold yet';

CREATE VIEW mirox_internal.drained AS
    SELECT COALESCE(pg_catalog.max(p."position"), 0)::bigint AS "position"
    FROM mirox_internal.drain_position p
    WHERE p.ring_id = ANY (mirox_internal.ring_ids())
      AND p.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());
REVOKE ALL ON TABLE mirox_internal.drained FROM PUBLIC;
COMMENT ON VIEW mirox_internal.drained IS 'Internal: the position up to which this database''s events have been written, in the reader''s snapshot';

-- ---- dump and restore: everything except the positions --------------------------------------------------------------
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.agent_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.caller_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.unauthenticated_serial_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_open_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.agent', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.caller', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_open', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_minute', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_hour', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_day', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.token_usage', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.unauthenticated', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.notice', '');
