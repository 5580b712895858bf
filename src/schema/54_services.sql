-- Service accounts: of a program, with no person who logs in. Their tokens are issued by an administrator.

CREATE TABLE mirox_internal.service_account (
    account_id bigint NOT NULL PRIMARY KEY,
    audit_node integer,
    audit_id bigint
);
REVOKE ALL ON TABLE mirox_internal.service_account FROM PUBLIC;
COMMENT ON TABLE mirox_internal.service_account IS 'Accounts of programs: no session can be opened, and an administrator issues their tokens';
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.service_account', '');

CREATE FUNCTION mirox_internal.service_account_guard() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_service_account_guard' LANGUAGE C;
REVOKE ALL ON FUNCTION mirox_internal.service_account_guard() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.service_account_guard() IS 'Internal: locks the account, checks and audits which ones are of programs';
CREATE TRIGGER service_account_guard BEFORE INSERT OR UPDATE OR DELETE ON mirox_internal.service_account
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.service_account_guard();
CREATE TRIGGER service_account_lock BEFORE UPDATE OR DELETE ON mirox_internal.service_account
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.statement_lock();
CREATE TRIGGER service_account_no_truncate BEFORE TRUNCATE ON mirox_internal.service_account
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();

CREATE FUNCTION mirox.set_service_account(user_id text, service boolean DEFAULT true) RETURNS void
    AS 'MODULE_PATHNAME', 'mirox_set_service_account' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.set_service_account(text, boolean) FROM PUBLIC;
COMMENT ON FUNCTION mirox.set_service_account(text, boolean) IS
    'Makes an account one of a program, for which no session can be opened, or one of a person again. 55000: it has an open session; '
    'P0002: no such account';

CREATE FUNCTION mirox.issue_service_token(
    user_id text, name text, permission_group text, expires_at timestamptz DEFAULT NULL,
    expires_in interval DEFAULT NULL, permissions text[] DEFAULT NULL, allowed_ips inet[] DEFAULT NULL,
    format text DEFAULT 'opaque', metadata jsonb DEFAULT '{}', rate_limit integer DEFAULT NULL) RETURNS mirox.issued_token
    AS 'MODULE_PATHNAME', 'mirox_issue_service_token' LANGUAGE C VOLATILE;
REVOKE ALL ON FUNCTION mirox.issue_service_token(text, text, text, timestamptz, interval, text[], inet[], text, jsonb, integer) FROM PUBLIC;
COMMENT ON FUNCTION mirox.issue_service_token(text, text, text, timestamptz, interval, text[], inet[], text, jsonb, integer) IS
    'Issues a token for a service account, as issue_token does for the owner of a session. 42501: it is no service account';

INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES
    ('mirox.set_service_account(text,boolean)', 'function', 'admin'),
    ('mirox.issue_service_token(text,text,text,timestamptz,interval,text[],inet[],text,jsonb,integer)', 'function', 'admin');
