-- Recorded use. Written by the background worker alone (src/worker), one transaction a batch of events; no user's
-- statement writes here or locks a row, so that an open transaction holds up no drain. No foreign keys.
--
-- A star: what was used, from where, with what and how it ended is one row of `caller`; the tables by time hold its id, a
-- count and the first and last instant. A drain writes one thing, its sums by minute and caller, packed into few rows of
-- usage_open: an UPDATE of each row that a drain touches would write ten times as much WAL. When a minute has closed, its rows
-- go from there to usage_minute, which is never changed from then on, and are added to usage_hour, usage_day and token_usage,
-- in one transaction; so whoever wants all adds what is open to what he reads in these, in one snapshot. A use that comes late
-- (recovered after a crash) makes a row of its own for its minute.
--
-- The minutes repeat the caller's token, so that the audit trail of one token and the newest of all are found by an index.
--
-- In caller nothing is NULL, so that one unique index finds a row: 0 is no token, session, account or agent; 0.0.0.0/0 no
-- address; an empty text no location or scope.

CREATE SEQUENCE mirox_internal.agent_id_seq;
CREATE SEQUENCE mirox_internal.caller_id_seq;
CREATE SEQUENCE mirox_internal.stranger_serial_seq;
CREATE SEQUENCE mirox_internal.usage_open_id_seq;
REVOKE ALL ON SEQUENCE mirox_internal.agent_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.caller_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.stranger_serial_seq FROM PUBLIC;
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
COMMENT ON TABLE mirox_internal.agent IS 'Each distinct user agent once, with the browser and system it names';
COMMENT ON COLUMN mirox_internal.agent.key IS 'Its name in shared memory: a hash of the text';
COMMENT ON COLUMN mirox_internal.agent.resolved IS 'False: the rules could not be read then; the worker tries again';

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
    scope text COLLATE "C" NOT NULL
);
REVOKE ALL ON TABLE mirox_internal.caller FROM PUBLIC;
CREATE UNIQUE INDEX caller_key ON mirox_internal.caller
    (token_id, generation, session_id, account_id, agent_id, ip, status, reason, scope, location);
-- For reports on a user, which are of tokens alone. The condition keeps the worker's look-ups of callers, which do not say it,
-- from ever being planned by this index.
CREATE INDEX caller_account ON mirox_internal.caller (account_id) WHERE token_id > 0;
COMMENT ON TABLE mirox_internal.caller IS
    'Each distinct combination of token, generation, session, address, place, agent, scope and outcome once';

-- Arrays of one length, by token: a reader of one token takes the rows between whose first and last it lies. token 0: a session's.
-- The number is what logical replication knows a row by: all of it would be 2.5 kB.
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
-- Read as often as written, and gone in a minute: neither compressed nor moved out.
ALTER TABLE mirox_internal.usage_open ALTER COLUMN callers SET STORAGE PLAIN, ALTER COLUMN tokens SET STORAGE PLAIN,
    ALTER COLUMN requests SET STORAGE PLAIN, ALTER COLUMN first_at SET STORAGE PLAIN, ALTER COLUMN last_at SET STORAGE PLAIN;
COMMENT ON TABLE mirox_internal.usage_open IS 'Uses of the minutes that are still open, as drains brought them. Read it through the views';

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
-- Only retention deletes here. A key would cost each row one more index for good (77 bytes of WAL, 61 of disk: a quarter more); this
-- costs the old row, 50 bytes, in the WAL of each that is deleted, and only where rows are published. (They have no key of their own:
-- a late use makes a second row of its minute.)
ALTER TABLE mirox_internal.usage_minute REPLICA IDENTITY FULL;
CREATE INDEX usage_minute_token ON mirox_internal.usage_minute (token_id, first_at) WHERE token_id IS NOT NULL;
CREATE INDEX usage_minute_at ON mirox_internal.usage_minute (first_at);
COMMENT ON TABLE mirox_internal.usage_minute IS 'Uses of closed minutes; never changed, taken away by mirox_tokens.audit_retention alone';

-- Half of a page stays free in this table and the next two: when a minute closes, all rows of a page may be updated at once, and
-- a new version that finds room beside the old one needs no entry in an index.
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
COMMENT ON TABLE mirox_internal.usage_hour IS 'Uses by the hour. Read it through the view usage_hourly';

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
COMMENT ON TABLE mirox_internal.usage_day IS 'Uses by the day in UTC. Read it through the view usage_daily';

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
COMMENT ON TABLE mirox_internal.token_usage IS 'Usage of each token since it was issued or last rotated (by generation)';

-- Refusals without a known token. (node, ring_id, serial) names a life of a slot in shared memory, whose count only grows.
-- Of a minute that is over, the networks with most requests keep their row, the rest are added up without an address.
CREATE TABLE mirox_internal.stranger (
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
REVOKE ALL ON TABLE mirox_internal.stranger FROM PUBLIC;
CREATE INDEX stranger_minute ON mirox_internal.stranger (minute);
CREATE INDEX stranger_at ON mirox_internal.stranger (first_at);
COMMENT ON TABLE mirox_internal.stranger IS 'Refusals of callers without a known token, by minute and network; after a day by the hour';

-- The thresholds that a token's owner has been told of, so that each is told once.
CREATE TABLE mirox_internal.notice (
    token_id bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    days integer NOT NULL,
    sent_at timestamptz NOT NULL,
    PRIMARY KEY (token_id, expires_at, days)
);
REVOKE ALL ON TABLE mirox_internal.notice FROM PUBLIC;
COMMENT ON TABLE mirox_internal.notice IS 'Notices of expiration that were sent, once a token, expiration and threshold';

-- Up to where the events of a ring have been written here, in the transaction that wrote them.
-- Not dumped: it belongs to this server's ring, and a restored position would skip or double events of another.
CREATE TABLE mirox_internal.drain_position (
    node integer NOT NULL,
    ring_id bigint NOT NULL,
    database oid NOT NULL,
    "position" bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (node, ring_id, database)
) WITH (fillfactor = 50);
REVOKE ALL ON TABLE mirox_internal.drain_position FROM PUBLIC;
COMMENT ON TABLE mirox_internal.drain_position IS 'Up to where the events of each ring in shared memory have been written';

-- What an earlier extension of this database left in shared memory is none of this one's.
CREATE FUNCTION mirox_internal.begin_recording() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_begin_recording' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox_internal.begin_recording() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.begin_recording() IS
    'Internal: has what an earlier mirox_tokens of this database left in shared memory discarded when this transaction commits';
SELECT mirox_internal.begin_recording();

-- What stands in shared memory and not yet in the tables. The argument is the position that the tables hold in the very
-- snapshot of the query, so that nothing is shown twice or not at all.
CREATE FUNCTION mirox_internal.ring_ids() RETURNS bigint[]
    AS 'MODULE_PATHNAME', 'mirox_ring_ids' LANGUAGE C STABLE PARALLEL RESTRICTED;
CREATE FUNCTION mirox_internal.pending_uses(
    stored bigint, token bigint DEFAULT NULL, token_generation integer DEFAULT NULL,
    OUT token_id bigint, OUT generation integer, OUT uses bigint, OUT refusals bigint, OUT last_used_at timestamptz,
    OUT last_refused_at timestamptz, OUT last_ip inet, OUT agent_key bigint) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'mirox_pending_uses' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
CREATE FUNCTION mirox_internal.waiting_uses(
    stored bigint, token bigint, token_generation integer,
    OUT at timestamptz, OUT status smallint, OUT reason text, OUT ip inet, OUT user_agent text, OUT scope text) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'mirox_waiting_uses' LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;
REVOKE ALL ON FUNCTION mirox_internal.ring_ids() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.pending_uses(bigint, bigint, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.waiting_uses(bigint, bigint, integer) FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.ring_ids() IS 'Internal: the names that this server''s ring of events has had, newest first';
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
COMMENT ON VIEW mirox_internal.drained IS 'Internal: up to where this database''s events have been written, in the reader''s snapshot';

-- ---- dump and restore: all but the positions ---------------------------------------------------------------------------
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.agent_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.caller_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.stranger_serial_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_open_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.agent', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.caller', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_open', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_minute', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_hour', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_day', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.token_usage', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.stranger', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.notice', '');
