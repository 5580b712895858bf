-- Recorded use: a store by time. Only the background worker writes it (src/worker), one transaction for each batch of events. No
-- statement of a user writes here or locks a row, so an open transaction cannot delay a drain. There are no foreign keys.
--
-- The way of a use. A drain adds up its uses by minute and facts, and packs the sums into a few rows of usage_open: an UPDATE of each
-- row that a drain touches would write ten times as much WAL. When a minute has closed, its sums go to usage_minute (admitted) or
-- refusal_minute, to traffic_hour and to token_usage. When an hour has closed, its minutes are added up into usage_hour and
-- refusal_hour. When a day has closed, its hours are added up into usage_day, refusal_day, token_day and account_day. Minutes, hours
-- and days are never changed. A late use (recovered after a crash, or of a client whose request began before midnight) adds a row.
--
-- Each of these steps takes several transactions, so that drains go on meanwhile. usage_closing and usage_summed tell how far the
-- steps have come. So a reader of all use adds what a step has not taken yet, in one snapshot (84_open.sql).
--
-- What is looked up by an index (account, token, session, address, a refusal's reason, time) is a column of its own type, as the views
-- show it, NULL for none. Texts that are only shown or filtered within some time (agent, place, endpoint, scope) are small keys.
-- Admitted uses and refusals are different tables, so that each arm of a view's UNION ALL is one bare table.
--
-- Partitions. The parents are members of the extension and have no index, no key and no DEFAULT partition. Partitions are not
-- members: pg_dump would leave a member's rows out. The worker makes each one when it has a row for it (worker/partitions.cpp), as a
-- table of its own that it then attaches, with its own indexes and its own guard against TRUNCATE. So each is dumped and restored as
-- an ordinary table. Retention drops partitions.

CREATE SEQUENCE mirox_internal.agent_id_seq AS integer;
CREATE SEQUENCE mirox_internal.used_place_id_seq AS integer;
CREATE SEQUENCE mirox_internal.used_endpoint_id_seq AS integer;
CREATE SEQUENCE mirox_internal.used_scope_id_seq AS integer;
CREATE SEQUENCE mirox_internal.unauthenticated_serial_seq;
CREATE SEQUENCE mirox_internal.usage_open_id_seq;
REVOKE ALL ON SEQUENCE mirox_internal.agent_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.used_place_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.used_endpoint_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.used_scope_id_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.unauthenticated_serial_seq FROM PUBLIC;
REVOKE ALL ON SEQUENCE mirox_internal.usage_open_id_seq FROM PUBLIC;

-- ---- texts, each once --------------------------------------------------------------------------------------------------

CREATE TABLE mirox_internal.agent (
    agent_id integer NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.agent_id_seq') PRIMARY KEY,
    agent text COLLATE "C" NOT NULL UNIQUE,
    key bigint NOT NULL,
    browser text,
    os text,
    resolved boolean NOT NULL,
    seen_on date NOT NULL
);
REVOKE ALL ON TABLE mirox_internal.agent FROM PUBLIC;
CREATE INDEX agent_key ON mirox_internal.agent (key);
CREATE INDEX agent_unresolved ON mirox_internal.agent (agent_id) WHERE NOT resolved;
CREATE INDEX agent_seen ON mirox_internal.agent (seen_on);
COMMENT ON TABLE mirox_internal.agent IS 'Each distinct user agent once, with its browser and operating system';
COMMENT ON COLUMN mirox_internal.agent.key IS 'Its key in shared memory: a hash of the text';
COMMENT ON COLUMN mirox_internal.agent.resolved IS 'False: the rules could not be read; the worker retries';
COMMENT ON COLUMN mirox_internal.agent.seen_on IS 'The last day (UTC) of a use; the row goes after mirox_tokens.address_retention';

-- `key` holds all that makes a place, since some of it may be unknown.
CREATE TABLE mirox_internal.used_place (
    place_id integer NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.used_place_id_seq') PRIMARY KEY,
    key text COLLATE "C" NOT NULL UNIQUE,
    location text COLLATE "C",
    country text COLLATE "C",
    region text COLLATE "C",
    city text COLLATE "C",
    latitude double precision,
    longitude double precision
);
REVOKE ALL ON TABLE mirox_internal.used_place FROM PUBLIC;
COMMENT ON TABLE mirox_internal.used_place IS 'Each distinct place of callers once, as the file of locations named it at the time';
COMMENT ON COLUMN mirox_internal.used_place.location IS 'The place as one text';

CREATE TABLE mirox_internal.used_endpoint (
    endpoint_id integer NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.used_endpoint_id_seq') PRIMARY KEY,
    method text COLLATE "C" NOT NULL,
    endpoint text COLLATE "C" NOT NULL,
    UNIQUE (method, endpoint)
);
REVOKE ALL ON TABLE mirox_internal.used_endpoint FROM PUBLIC;
COMMENT ON TABLE mirox_internal.used_endpoint IS
    'Each method and endpoint of recorded use once: an endpoint is the rule that matched, "GET /parks/*". Empty: not known';

CREATE TABLE mirox_internal.used_scope (
    scope_id integer NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.used_scope_id_seq') PRIMARY KEY,
    scope text COLLATE "C" NOT NULL UNIQUE
);
REVOKE ALL ON TABLE mirox_internal.used_scope FROM PUBLIC;
COMMENT ON TABLE mirox_internal.used_scope IS 'Each scope that a recorded request needed once';

-- ---- accounts ----------------------------------------------------------------------------------------------------------

-- The trigger account_guard keeps it, except where a row is replayed. Recorded use names accounts by their id, also those that are
-- gone.
CREATE TABLE mirox_internal.account_name (
    account_id bigint NOT NULL PRIMARY KEY,
    user_id text COLLATE "C"
);
REVOKE ALL ON TABLE mirox_internal.account_name FROM PUBLIC;
CREATE INDEX account_name_user ON mirox_internal.account_name (user_id);
COMMENT ON TABLE mirox_internal.account_name IS 'The last user id of each account that ever was; NULL: its traces were erased';

-- ---- use of open minutes -----------------------------------------------------------------------------------------------

-- Arrays of equal length, sorted by credential: a token's id, or minus a session's id. A reader of one token takes the rows whose
-- first_credential and last_credential enclose it. open_id is the replica identity for logical replication: the whole row would
-- be 4 kB.
CREATE TABLE mirox_internal.usage_open (
    open_id bigint NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.usage_open_id_seq') PRIMARY KEY,
    minute timestamptz NOT NULL,
    first_credential bigint NOT NULL,
    last_credential bigint NOT NULL,
    credentials bigint[] NOT NULL,
    accounts bigint[] NOT NULL,
    generations integer[] NOT NULL,
    ips inet[] NOT NULL,
    statuses integer[] NOT NULL,
    reasons text[] COLLATE "C" NOT NULL,
    agents integer[] NOT NULL,
    places integer[] NOT NULL,
    endpoints integer[] NOT NULL,
    scopes integer[] NOT NULL,
    requests integer[] NOT NULL,
    first_at timestamptz[] NOT NULL,
    last_at timestamptz[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 100);
REVOKE ALL ON TABLE mirox_internal.usage_open FROM PUBLIC;
-- Rows are read as often as written and live for a minute, so they are neither compressed nor moved out of line.
ALTER TABLE mirox_internal.usage_open ALTER COLUMN credentials SET STORAGE PLAIN, ALTER COLUMN accounts SET STORAGE PLAIN,
    ALTER COLUMN generations SET STORAGE PLAIN, ALTER COLUMN ips SET STORAGE PLAIN, ALTER COLUMN statuses SET STORAGE PLAIN,
    ALTER COLUMN reasons SET STORAGE PLAIN, ALTER COLUMN agents SET STORAGE PLAIN, ALTER COLUMN places SET STORAGE PLAIN,
    ALTER COLUMN endpoints SET STORAGE PLAIN, ALTER COLUMN scopes SET STORAGE PLAIN, ALTER COLUMN requests SET STORAGE PLAIN,
    ALTER COLUMN first_at SET STORAGE PLAIN, ALTER COLUMN last_at SET STORAGE PLAIN;
COMMENT ON TABLE mirox_internal.usage_open IS 'Uses in minutes that are still open, as drains wrote them. Read it through the views';

-- While minutes close, one row: of the rows of usage_open with open_id up to `upto` and a minute before `before`, the credentials up to
-- `credential` are closed.
CREATE TABLE mirox_internal.usage_closing (
    one boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (one),
    before timestamptz NOT NULL,
    upto bigint NOT NULL,
    credential bigint NOT NULL
) WITH (fillfactor = 50);
REVOKE ALL ON TABLE mirox_internal.usage_closing FROM PUBLIC;
COMMENT ON TABLE mirox_internal.usage_closing IS 'How far the closing of minutes that goes on has come; no row: none goes on';

-- Unit hour or day. All units before `before` are added up, and of the unit that begins there the accounts up to `account`.
CREATE TABLE mirox_internal.usage_summed (
    unit text COLLATE "C" NOT NULL PRIMARY KEY,
    before timestamptz NOT NULL,
    account bigint NOT NULL
) WITH (fillfactor = 50);
REVOKE ALL ON TABLE mirox_internal.usage_summed FROM PUBLIC;
COMMENT ON TABLE mirox_internal.usage_summed IS 'How far minutes are added up into hours, and hours into days';

-- ---- closed minutes: a partition for each day or more, by first_at -----------------------------------------------------

CREATE TABLE mirox_internal.usage_minute (
    minute timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    requests bigint NOT NULL,
    account_id bigint NOT NULL,
    token_id bigint,
    session_id bigint,
    generation integer NOT NULL,
    status integer NOT NULL,
    agent_id integer,
    place_id integer,
    endpoint_id integer,
    scope_id integer,
    ip inet
) PARTITION BY RANGE (first_at);
CREATE TABLE mirox_internal.refusal_minute (
    minute timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    requests bigint NOT NULL,
    account_id bigint NOT NULL,
    token_id bigint,
    session_id bigint,
    generation integer NOT NULL,
    status integer NOT NULL,
    agent_id integer,
    place_id integer,
    endpoint_id integer,
    scope_id integer,
    ip inet,
    reason text COLLATE "C" NOT NULL
) PARTITION BY RANGE (first_at);
REVOKE ALL ON TABLE mirox_internal.usage_minute FROM PUBLIC;
REVOKE ALL ON TABLE mirox_internal.refusal_minute FROM PUBLIC;
COMMENT ON TABLE mirox_internal.usage_minute IS
    'Admitted uses of closed minutes; never changed, dropped after mirox_tokens.minute_retention or address_retention';
COMMENT ON TABLE mirox_internal.refusal_minute IS 'The same of refused uses of known tokens and sessions';
COMMENT ON COLUMN mirox_internal.usage_minute.token_id IS 'NULL: a session''s use';
COMMENT ON COLUMN mirox_internal.usage_minute.ip IS 'NULL: not known; a network where one token came from too many addresses in a minute';

-- ---- hours: a partition for each month, or day -------------------------------------------------------------------------

CREATE TABLE mirox_internal.usage_hour (
    hour timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    requests bigint NOT NULL,
    account_id bigint NOT NULL,
    token_id bigint,
    session_id bigint,
    generation integer NOT NULL,
    status integer NOT NULL,
    agent_id integer,
    place_id integer,
    endpoint_id integer,
    scope_id integer,
    ip inet
) PARTITION BY RANGE (hour);
CREATE TABLE mirox_internal.refusal_hour (
    hour timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    requests bigint NOT NULL,
    account_id bigint NOT NULL,
    token_id bigint,
    session_id bigint,
    generation integer NOT NULL,
    status integer NOT NULL,
    agent_id integer,
    place_id integer,
    endpoint_id integer,
    scope_id integer,
    ip inet,
    reason text COLLATE "C" NOT NULL
) PARTITION BY RANGE (hour);
REVOKE ALL ON TABLE mirox_internal.usage_hour FROM PUBLIC;
REVOKE ALL ON TABLE mirox_internal.refusal_hour FROM PUBLIC;
COMMENT ON TABLE mirox_internal.usage_hour IS 'Admitted uses by hour, dropped after mirox_tokens.hour_retention or address_retention';
COMMENT ON TABLE mirox_internal.refusal_hour IS 'The same of refused uses of known tokens and sessions';

-- ---- days: a partition for each year, month or day ---------------------------------------------------------------------

CREATE TABLE mirox_internal.usage_day (
    day date NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    requests bigint NOT NULL,
    account_id bigint NOT NULL,
    token_id bigint,
    session_id bigint,
    generation integer NOT NULL,
    status integer NOT NULL,
    agent_id integer,
    place_id integer,
    endpoint_id integer,
    scope_id integer,
    ip inet
) PARTITION BY RANGE (day);
CREATE TABLE mirox_internal.refusal_day (
    day date NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    requests bigint NOT NULL,
    account_id bigint NOT NULL,
    token_id bigint,
    session_id bigint,
    generation integer NOT NULL,
    status integer NOT NULL,
    agent_id integer,
    place_id integer,
    endpoint_id integer,
    scope_id integer,
    ip inet,
    reason text COLLATE "C" NOT NULL
) PARTITION BY RANGE (day);
REVOKE ALL ON TABLE mirox_internal.usage_day FROM PUBLIC;
REVOKE ALL ON TABLE mirox_internal.refusal_day FROM PUBLIC;
COMMENT ON TABLE mirox_internal.usage_day IS 'Admitted uses by day in UTC, dropped after mirox_tokens.day_retention or address_retention';
COMMENT ON TABLE mirox_internal.refusal_day IS 'The same of refused uses of known tokens and sessions';

-- What is kept of a day when its callers are gone: no address, no agent, no session. Both admitted and refused uses.
CREATE TABLE mirox_internal.token_day (
    day date NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    requests bigint NOT NULL,
    account_id bigint NOT NULL,
    token_id bigint,
    generation integer NOT NULL,
    status integer NOT NULL,
    endpoint_id integer,
    reason text COLLATE "C" NOT NULL,
    country text COLLATE "C"
) PARTITION BY RANGE (day);
REVOKE ALL ON TABLE mirox_internal.token_day FROM PUBLIC;
COMMENT ON TABLE mirox_internal.token_day IS
    'Use by day in UTC, token, outcome, endpoint and country, without address and agent; dropped after mirox_tokens.day_retention';

CREATE TABLE mirox_internal.account_day (
    day date NOT NULL,
    account_id bigint NOT NULL,
    uses bigint NOT NULL,
    refusals bigint NOT NULL
) PARTITION BY RANGE (day);
REVOKE ALL ON TABLE mirox_internal.account_day FROM PUBLIC;
COMMENT ON TABLE mirox_internal.account_day IS 'Uses and refusals by day in UTC and account; dropped after mirox_tokens.day_retention';

-- For publications with publish_via_partition_root; each partition has an identity of its own.
ALTER TABLE mirox_internal.usage_minute REPLICA IDENTITY FULL;
ALTER TABLE mirox_internal.refusal_minute REPLICA IDENTITY FULL;
ALTER TABLE mirox_internal.usage_hour REPLICA IDENTITY FULL;
ALTER TABLE mirox_internal.refusal_hour REPLICA IDENTITY FULL;
ALTER TABLE mirox_internal.usage_day REPLICA IDENTITY FULL;
ALTER TABLE mirox_internal.refusal_day REPLICA IDENTITY FULL;
ALTER TABLE mirox_internal.token_day REPLICA IDENTITY FULL;
ALTER TABLE mirox_internal.account_day REPLICA IDENTITY FULL;

-- Days before `before` have no rows in usage_day (or refusal_day) any more, only in token_day, which has admitted and refused uses.
CREATE TABLE mirox_internal.usage_dropped (
    store text COLLATE "C" NOT NULL PRIMARY KEY,
    before date NOT NULL
) WITH (fillfactor = 50);
REVOKE ALL ON TABLE mirox_internal.usage_dropped FROM PUBLIC;
COMMENT ON TABLE mirox_internal.usage_dropped IS 'Up to which day usage_day and refusal_day were dropped; no row: they were not';

-- Requests of tokens and sessions. Minutes add rows when they close; when the hour is over, its rows are added up. The requests of
-- unauthenticated callers stand in `unauthenticated`.
CREATE TABLE mirox_internal.traffic_hour (
    hour timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL,
    status integer NOT NULL,
    reason text COLLATE "C" NOT NULL,
    requests bigint NOT NULL
);
REVOKE ALL ON TABLE mirox_internal.traffic_hour FROM PUBLIC;
ALTER TABLE mirox_internal.traffic_hour REPLICA IDENTITY FULL;
CREATE INDEX traffic_hour_hour ON mirox_internal.traffic_hour (hour);
COMMENT ON TABLE mirox_internal.traffic_hour IS 'Requests by hour, kind of caller (token, session), status and reason';

-- The newest recorded use of each generation of a token. Rotation raises the generation and writes nothing here.
CREATE TABLE mirox_internal.token_usage (
    token_id bigint NOT NULL,
    generation integer NOT NULL,
    uses bigint NOT NULL DEFAULT 0,
    refusals bigint NOT NULL DEFAULT 0,
    last_used_at timestamptz,
    last_refused_at timestamptz,
    last_ip inet,
    last_agent_id integer,
    last_place_id integer,
    PRIMARY KEY (token_id, generation)
) WITH (fillfactor = 48);
REVOKE ALL ON TABLE mirox_internal.token_usage FROM PUBLIC;
COMMENT ON TABLE mirox_internal.token_usage IS 'Use of each token since it was issued or last rotated (by generation)';

-- What mirox.erase_traces() was asked for. The worker does it in steps, and keeps how far it has come. The rows stay: a use that comes
-- late must not bring traces back. ring_id: by it the worker knows that the order was given here, and not brought by a dump that may
-- still be in the making.
CREATE SEQUENCE mirox_internal.erasure_id_seq;
REVOKE ALL ON SEQUENCE mirox_internal.erasure_id_seq FROM PUBLIC;
CREATE TABLE mirox_internal.erasure (
    erasure_id bigint NOT NULL,
    account_id bigint NOT NULL,
    whole boolean NOT NULL,
    until timestamptz NOT NULL,
    requested_at timestamptz NOT NULL,
    ring_id bigint NOT NULL,
    stage integer NOT NULL DEFAULT 0,
    cursor timestamptz NOT NULL DEFAULT '-infinity',
    rows bigint NOT NULL DEFAULT 0,
    finished_at timestamptz,
    PRIMARY KEY (erasure_id, account_id)
) WITH (fillfactor = 50);
REVOKE ALL ON TABLE mirox_internal.erasure FROM PUBLIC;
CREATE INDEX erasure_unfinished ON mirox_internal.erasure (erasure_id) WHERE finished_at IS NULL;
COMMENT ON TABLE mirox_internal.erasure IS 'Each account whose traces are to be taken out, or were: up to when, and how far that has come';
COMMENT ON COLUMN mirox_internal.erasure.whole IS 'The account is gone: all of it, and the user id';

-- How far the tasks of maintenance have come, so that a worker that was restarted goes on. Not dumped: where a dump is restored, all
-- tasks are due.
CREATE TABLE mirox_internal.upkeep (
    task text COLLATE "C" NOT NULL PRIMARY KEY,
    due timestamptz NOT NULL,
    cursor bigint NOT NULL
) WITH (fillfactor = 50);
REVOKE ALL ON TABLE mirox_internal.upkeep FROM PUBLIC;
COMMENT ON TABLE mirox_internal.upkeep IS 'When each task of maintenance is due, and how far it has come';

-- Refusals without a known token. (node, ring_id, serial) identifies one life of a slot in shared memory, whose count only grows.
-- When a minute is over, the networks with the most requests keep their rows, and the others are summed up without an address.
CREATE TABLE mirox_internal.unauthenticated (
    node integer NOT NULL,
    ring_id bigint NOT NULL,
    serial bigint NOT NULL,
    minute timestamptz NOT NULL,
    network inet,
    place_id integer,
    status integer NOT NULL,
    reason text COLLATE "C" NOT NULL,
    requests bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (node, ring_id, serial)
);
REVOKE ALL ON TABLE mirox_internal.unauthenticated FROM PUBLIC;
CREATE INDEX unauthenticated_minute ON mirox_internal.unauthenticated (minute);
CREATE INDEX unauthenticated_network ON mirox_internal.unauthenticated (minute) WHERE network IS NOT NULL;
CREATE INDEX unauthenticated_at ON mirox_internal.unauthenticated (first_at);
CREATE INDEX unauthenticated_ip ON mirox_internal.unauthenticated (network, first_at);
CREATE INDEX unauthenticated_reason ON mirox_internal.unauthenticated (reason, first_at);
CREATE INDEX unauthenticated_hour ON mirox_internal.unauthenticated (pg_catalog.date_bin('1:00', minute, '2000-01-01 00:00:00+00'));
COMMENT ON TABLE mirox_internal.unauthenticated IS
    'Refusals of callers without a known token, by minute and network, and requests to public endpoints without credentials, by '
    'minute; after a day by hour; without network after mirox_tokens.address_retention';

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

-- ---- dump and restore: everything except the positions. Partitions are dumped as tables of their own -----------------
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.agent_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.used_place_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.used_endpoint_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.used_scope_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.unauthenticated_serial_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_open_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.agent', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.used_place', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.used_endpoint', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.used_scope', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.account_name', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_open', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_closing', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_summed', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.usage_dropped', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.erasure_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.erasure', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.traffic_hour', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.token_usage', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.unauthenticated', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.notice', '');
