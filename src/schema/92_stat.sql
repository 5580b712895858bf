-- Counts of checks and of their recording in this database, and the state of the worker.

CREATE FUNCTION mirox_internal.stat_now(
    OUT checks bigint, OUT ok bigint, OUT malformed bigint, OUT unknown bigint, OUT revoked bigint, OUT rotated bigint,
    OUT expired bigint, OUT locked bigint, OUT ip_not_allowed bigint, OUT insufficient_scope bigint, OUT rate_limited bigint,
    OUT invalid_request bigint, OUT events_waiting bigint, OUT events_flushed bigint, OUT events_dropped bigint,
    OUT events_torn bigint, OUT flushes bigint, OUT flush_failures bigint, OUT flush_time double precision,
    OUT last_flush_at timestamptz, OUT worker_pid integer, OUT ring_bytes bigint, OUT ring_used double precision,
    OUT shared_memory bigint, OUT counters_missed bigint, OUT unauthenticated_uncounted bigint, OUT discarded bigint,
    OUT lost bigint, OUT agent_rules text,
    OUT geoip text, OUT stats_reset timestamptz, OUT acts_refused bigint,
    OUT keys_unavailable bigint, OUT jwt_keys integer, OUT jwt_key_file text, OUT jwt_key_file_since timestamptz,
    OUT worker_state text, OUT last_error text, OUT last_error_at timestamptz, OUT failing_since timestamptz,
    OUT too_late bigint, OUT drop_waits_since timestamptz, OUT public bigint, OUT suspended bigint)
    AS 'MODULE_PATHNAME', 'mirox_stat_now' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION mirox_internal.stat_now() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.stat_now() IS 'Internal: the row of the view stat';

CREATE VIEW mirox.stat AS SELECT * FROM mirox_internal.stat_now();
REVOKE ALL ON TABLE mirox.stat FROM PUBLIC;
COMMENT ON VIEW mirox.stat IS 'Checks and their recording in this database since the server started, or stat_reset() was called';

CREATE FUNCTION mirox.stat_reset() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_stat_reset' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.stat_reset() FROM PUBLIC;
COMMENT ON FUNCTION mirox.stat_reset() IS 'Sets the counts of the view stat to zero. Recorded use is not changed';
COMMENT ON COLUMN mirox.stat.checks IS 'Checks that were answered and recorded';
COMMENT ON COLUMN mirox.stat.ok IS 'Checks that were admitted';
COMMENT ON COLUMN mirox.stat.malformed IS 'Refused (401): not in the form of a secret';
COMMENT ON COLUMN mirox.stat.unknown IS 'Refused (401): no such secret';
COMMENT ON COLUMN mirox.stat.revoked IS 'Refused (401): a revoked token or closed session';
COMMENT ON COLUMN mirox.stat.rotated IS 'Refused (401): a secret that was rotated away';
COMMENT ON COLUMN mirox.stat.expired IS 'Refused (401): expired';
COMMENT ON COLUMN mirox.stat.locked IS 'Refused (401): the account is locked';
COMMENT ON COLUMN mirox.stat.ip_not_allowed IS 'Refused (401): from an address that the token does not allow';
COMMENT ON COLUMN mirox.stat.insufficient_scope IS 'Refused (403): beyond the token''s permissions';
COMMENT ON COLUMN mirox.stat.rate_limited IS 'Refused (429): over the rate limit';
COMMENT ON COLUMN mirox.stat.invalid_request IS 'Refused (400): a malformed request';
COMMENT ON COLUMN mirox.stat.events_waiting IS 'Events in shared memory that are not written yet';
COMMENT ON COLUMN mirox.stat.events_flushed IS 'Events written to the tables';
COMMENT ON COLUMN mirox.stat.events_dropped IS 'Events dropped because the ring had no room; their checks were answered. Kept over restarts';
COMMENT ON COLUMN mirox.stat.events_torn IS 'Events whose backend died while writing them: their check was never answered. Kept over restarts';
COMMENT ON COLUMN mirox.stat.flushes IS 'Transactions that wrote events';
COMMENT ON COLUMN mirox.stat.flush_failures IS 'Failed attempts to write; the worker retries each';
COMMENT ON COLUMN mirox.stat.flush_time IS 'Milliseconds spent writing';
COMMENT ON COLUMN mirox.stat.last_flush_at IS 'Time at which events were last written';
COMMENT ON COLUMN mirox.stat.worker_pid IS 'The process of this database''s worker; NULL: none runs; worker_state says whether one should run';
COMMENT ON COLUMN mirox.stat.ring_bytes IS 'Size of the ring of events, for all databases';
COMMENT ON COLUMN mirox.stat.ring_used IS 'The used part of the ring, 0 to 1';
COMMENT ON COLUMN mirox.stat.shared_memory IS 'Bytes of shared memory and of the file behind it, for all databases';
COMMENT ON COLUMN mirox.stat.counters_missed IS 'Uses that views show only when they are written, because no counter was free; all databases';
COMMENT ON COLUMN mirox.stat.unauthenticated_uncounted IS 'Refusals of callers without a known token that were not counted because no slot was free; all databases';
COMMENT ON COLUMN mirox.stat.discarded IS 'Events discarded because their database or extension is gone; all databases, kept over restarts';
COMMENT ON COLUMN mirox.stat.lost IS 'Events dropped because no slot for their database was free, and dropped events of databases that are gone; all databases, kept over restarts';
COMMENT ON COLUMN mirox.stat.agent_rules IS 'State of the rules of browsers and operating systems: ok, unused, unreadable or invalid';
COMMENT ON COLUMN mirox.stat.geoip IS 'State of the file of locations: ok, none (not set), unused, unreadable or invalid';
COMMENT ON COLUMN mirox.stat.stats_reset IS 'When the counts were last set to zero; NULL: not since the server started';
COMMENT ON COLUMN mirox.stat.acts_refused IS 'Acts of management refused: the transaction acted for a token, or had no open session of the account';
COMMENT ON COLUMN mirox.stat.keys_unavailable IS 'Refused (503): secrets in the form of a JWT, while the server had no valid key file';
COMMENT ON COLUMN mirox.stat.jwt_keys IS 'Number of JWT keys that checks use: those of the last valid file';
COMMENT ON COLUMN mirox.stat.jwt_key_file IS 'State of the JWT key file: ok, unused (not set), unreadable, unsafe (owner or mode), empty or invalid';
COMMENT ON COLUMN mirox.stat.jwt_key_file_since IS 'Since when the key file has this state; NULL: no file is set';
COMMENT ON COLUMN mirox.stat.worker_state IS
    'idle: no worker runs, and none is needed; running; failing: some of its work fails and is retried; missing: events wait, '
    'and no worker could be started';
COMMENT ON COLUMN mirox.stat.last_error IS 'The last failure, with the SQLSTATE; the server log has its message. Kept after the worker recovered; NULL: nothing failed yet';
COMMENT ON COLUMN mirox.stat.last_error_at IS 'Time of the last failure';
COMMENT ON COLUMN mirox.stat.public IS 'Checks of requests without credentials that were admitted to public endpoints';
COMMENT ON COLUMN mirox.stat.failing_since IS 'Since when some of the work has been failing; NULL: nothing fails';
COMMENT ON COLUMN mirox.stat.too_late IS
    'Uses that were written after mirox_tokens.minute_retention: they count in totals, and in hours and days that are kept, in no minute';
COMMENT ON COLUMN mirox.stat.drop_waits_since IS
    'Since when retention cannot drop a partition because somebody reads it, tried each minute; NULL: none waits';
COMMENT ON COLUMN mirox.stat.suspended IS 'Refused (401): its owner has suspended the token';

CREATE FUNCTION mirox.flush() RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_flush' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.flush() FROM PUBLIC;
COMMENT ON FUNCTION mirox.flush() IS
    'Waits until every use of this database that was recorded before the call is written to the tables. 55000: the worker failed '
    'since the call, or none came for ten seconds';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.stat', 'relation', 'reporting'),
    ('mirox_internal.stat_now()', 'function', 'reporting'),
    ('mirox.stat', 'relation', 'monitor'),
    ('mirox_internal.stat_now()', 'function', 'monitor'),
    ('mirox.stat_reset()', 'function', 'admin'),
    ('mirox.flush()', 'function', 'admin');
