-- Whether tables and audit log agree (level admin).

CREATE FUNCTION mirox.verify_audit(OUT kind text, OUT key text, OUT node integer, OUT audit_id bigint) RETURNS SETOF record
    AS 'MODULE_PATHNAME', 'mirox_verify_audit' LANGUAGE C VOLATILE ROWS 10;
REVOKE ALL ON FUNCTION mirox.verify_audit() FROM PUBLIC;
COMMENT ON FUNCTION mirox.verify_audit() IS
    'A row for each audited row whose last act is not in the audit log: its kind, its key, and the key of the audit row that is missing. '
    'With mirox_tokens.audit_retention, acts older than all that the log has left are not missed. Reads all tokens and sessions';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.verify_audit()', 'function', 'admin');
