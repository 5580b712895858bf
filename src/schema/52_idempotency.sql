-- Calls of issue_token and rotate_token that a client may repeat, because it has lost the answer.

CREATE TABLE mirox_internal.answered_call (
    session_id bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    request mirox.digest NOT NULL,
    token_id bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (session_id, key)
);
REVOKE ALL ON TABLE mirox_internal.answered_call FROM PUBLIC;
CREATE INDEX answered_call_at ON mirox_internal.answered_call (at);
COMMENT ON TABLE mirox_internal.answered_call IS 'Calls with an idempotency key, for a day, and the token that each returned';
COMMENT ON COLUMN mirox_internal.answered_call.request IS 'The digest of what was asked, to tell a repeated call from another one';
SELECT pg_catalog.pg_extension_config_dump('mirox_internal.answered_call', '');
CREATE TRIGGER answered_call_acts_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.answered_call
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.acts_only();
