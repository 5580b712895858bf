-- Notices: what an owner or operator should learn of. They stay in a table until somebody acknowledges them. NOTIFY mirox_tokens is
-- only the bell: it is lost when nobody listens, and any role can ring it. So whoever hears it reads the view.
--
-- The table has no user id, name or address: the view looks them up, so that nothing of a person outlives the account here.

CREATE SEQUENCE mirox_internal.notice_id_seq;
REVOKE ALL ON SEQUENCE mirox_internal.notice_id_seq FROM PUBLIC;
CREATE TABLE mirox_internal.posted_notice (
    notice_id bigint NOT NULL DEFAULT pg_catalog.nextval('mirox_internal.notice_id_seq') PRIMARY KEY,
    at timestamptz NOT NULL,
    event text COLLATE "C" NOT NULL,
    account_id bigint,
    token_id bigint,
    session_id bigint,
    detail jsonb NOT NULL DEFAULT '{}',
    acknowledged_at timestamptz,
    acknowledged_by text COLLATE "C"
);
REVOKE ALL ON TABLE mirox_internal.posted_notice FROM PUBLIC;
CREATE INDEX posted_notice_at ON mirox_internal.posted_notice (at);
CREATE INDEX posted_notice_open ON mirox_internal.posted_notice (at) WHERE acknowledged_at IS NULL;
CREATE INDEX posted_notice_token ON mirox_internal.posted_notice (token_id, at);
COMMENT ON TABLE mirox_internal.posted_notice IS 'Notices, kept until 90 days after somebody acknowledged them, a year at most';
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.notice_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.posted_notice', '');
CREATE TRIGGER posted_notice_acts_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.posted_notice
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.acts_only();

CREATE VIEW mirox.notices AS
    SELECT n.notice_id, n.at, n.event, a.user_id, n.token_id, t.name AS token_name, n.session_id, n.detail, n.acknowledged_at,
           n.acknowledged_by
    FROM mirox_internal.posted_notice n
    LEFT JOIN mirox_internal.account a ON a.account_id = n.account_id
    LEFT JOIN mirox_internal.token t ON t.token_id = n.token_id;
REVOKE ALL ON TABLE mirox.notices FROM PUBLIC;
COMMENT ON VIEW mirox.notices IS 'A row for each notice to an owner or operator. Acknowledge it with acknowledge_notice';
COMMENT ON COLUMN mirox.notices.notice_id IS 'The notice''s number; NOTIFY mirox_tokens carries it';
COMMENT ON COLUMN mirox.notices.at IS 'When it was posted';
COMMENT ON COLUMN mirox.notices.event IS
    'token_expiring, token_widened, secret_leaked, secret_reused (a rotated secret was used), token_ended_unused';
COMMENT ON COLUMN mirox.notices.user_id IS 'The owner, as the platform names the user; NULL: the account was deleted';
COMMENT ON COLUMN mirox.notices.token_id IS 'The token; NULL: a web session';
COMMENT ON COLUMN mirox.notices.token_name IS 'The token''s name; NULL: a web session, or the account was deleted';
COMMENT ON COLUMN mirox.notices.session_id IS 'The web session; NULL: a token';
COMMENT ON COLUMN mirox.notices.detail IS 'Details, by event: days_left, outcome, reporter, unused_days, changed ...';
COMMENT ON COLUMN mirox.notices.acknowledged_at IS 'When it was acknowledged; NULL: not yet';
COMMENT ON COLUMN mirox.notices.acknowledged_by IS 'The database role that acknowledged it';

CREATE FUNCTION mirox.acknowledge_notice(notice_id bigint) RETURNS timestamptz
    AS 'MODULE_PATHNAME', 'mirox_acknowledge_notice' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.acknowledge_notice(bigint) FROM PUBLIC;
COMMENT ON FUNCTION mirox.acknowledge_notice(bigint) IS
    'Acknowledges a notice; returns the time at which it was first acknowledged. P0002: no such notice';

CREATE FUNCTION mirox.report_leak(secret text, reporter text DEFAULT NULL) RETURNS text
    AS 'MODULE_PATHNAME', 'mirox_report_leak' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.report_leak(text, text) FROM PUBLIC;
COMMENT ON FUNCTION mirox.report_leak(text, text) IS
    'For a secret that was found where it does not belong: revokes its token or closes its session, records and posts a notice. '
    'revoked, closed, ended (it was no longer in force) or unknown (nothing is recorded)';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.notices', 'relation', 'login'),
    ('mirox.notices', 'relation', 'reporting'),
    ('mirox.acknowledge_notice(bigint)', 'function', 'login'),
    ('mirox.report_leak(text,text)', 'function', 'gateway');
