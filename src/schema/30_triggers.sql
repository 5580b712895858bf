-- Triggers: the cap, integrity, audit and derived data. They are in C (src/store/triggers_*.cpp), since they must read with a
-- fresh snapshot at any isolation level.

CREATE FUNCTION mirox_internal.account_guard() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_account_guard' LANGUAGE C;
CREATE FUNCTION mirox_internal.account_follow() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_account_follow' LANGUAGE C;
CREATE FUNCTION mirox_internal.session_guard() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_session_guard' LANGUAGE C;
CREATE FUNCTION mirox_internal.token_guard() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_token_guard' LANGUAGE C;
CREATE FUNCTION mirox_internal.token_follow() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_token_follow' LANGUAGE C;
CREATE FUNCTION mirox_internal.token_secret_guard() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_token_secret_guard' LANGUAGE C;
CREATE FUNCTION mirox_internal.group_guard() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_group_guard' LANGUAGE C;
CREATE FUNCTION mirox_internal.endpoint_guard() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_endpoint_guard' LANGUAGE C;
CREATE FUNCTION mirox_internal.cache_changed() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_cache_changed' LANGUAGE C;
CREATE FUNCTION mirox_internal.statement_lock() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_statement_lock' LANGUAGE C;
CREATE FUNCTION mirox_internal.refuse_change() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_refuse_change' LANGUAGE C;
CREATE FUNCTION mirox_internal.acts_only() RETURNS trigger
    AS 'MODULE_PATHNAME', 'mirox_acts_only' LANGUAGE C;
REVOKE ALL ON FUNCTION mirox_internal.acts_only() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.account_guard() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.account_follow() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.session_guard() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.token_guard() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.token_follow() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.token_secret_guard() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.group_guard() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.endpoint_guard() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.cache_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.statement_lock() FROM PUBLIC;
REVOKE ALL ON FUNCTION mirox_internal.refuse_change() FROM PUBLIC;
COMMENT ON FUNCTION mirox_internal.account_guard() IS 'Internal: checks and audits changes of accounts';
COMMENT ON FUNCTION mirox_internal.account_follow() IS 'Internal: carries an account''s change to its secrets, sessions and tokens';
COMMENT ON FUNCTION mirox_internal.session_guard() IS 'Internal: locks the account, checks and audits changes of sessions';
COMMENT ON FUNCTION mirox_internal.token_guard() IS 'Internal: locks the account, enforces cap, lifetime and name, audits changes of tokens';
COMMENT ON FUNCTION mirox_internal.token_follow() IS 'Internal: carries a token''s change to its secrets';
COMMENT ON FUNCTION mirox_internal.token_secret_guard() IS 'Internal: audits changes of secrets that bypass the functions';
COMMENT ON FUNCTION mirox_internal.group_guard() IS 'Internal: protects built-in groups and groups in use, audits changes';
COMMENT ON FUNCTION mirox_internal.endpoint_guard() IS 'Internal: brings endpoint rules to their normal form, audits changes';
COMMENT ON FUNCTION mirox_internal.cache_changed() IS 'Internal: makes every backend read the cached table again';
COMMENT ON FUNCTION mirox_internal.statement_lock() IS
    'Internal: makes a direct UPDATE or DELETE wait for all running acts of management, since it locks rows before their account';
COMMENT ON FUNCTION mirox_internal.acts_only() IS 'Internal: refuses every change that is not part of an act';
COMMENT ON FUNCTION mirox_internal.refuse_change() IS 'Internal: refuses TRUNCATE, and changes that only the worker may make';

CREATE TRIGGER account_guard BEFORE INSERT OR UPDATE OR DELETE ON mirox_internal.account
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.account_guard();
CREATE TRIGGER account_follow AFTER UPDATE OR DELETE ON mirox_internal.account
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.account_follow();

CREATE TRIGGER session_guard BEFORE INSERT OR UPDATE OR DELETE ON mirox_internal.session
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.session_guard();
CREATE TRIGGER session_lock BEFORE UPDATE OR DELETE ON mirox_internal.session
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.statement_lock();

CREATE TRIGGER token_guard BEFORE INSERT OR UPDATE OR DELETE ON mirox_internal.token
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.token_guard();
CREATE TRIGGER token_follow AFTER UPDATE OR DELETE ON mirox_internal.token
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.token_follow();
CREATE TRIGGER token_lock BEFORE UPDATE OR DELETE ON mirox_internal.token
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.statement_lock();

CREATE TRIGGER token_secret_guard BEFORE INSERT OR UPDATE OR DELETE ON mirox_internal.token_secret
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.token_secret_guard();
CREATE TRIGGER token_secret_lock BEFORE UPDATE OR DELETE ON mirox_internal.token_secret
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.statement_lock();

CREATE TRIGGER group_guard BEFORE INSERT OR UPDATE OR DELETE ON mirox_internal.permission_group
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.group_guard();
CREATE TRIGGER group_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mirox_internal.permission_group
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.cache_changed();
-- Standbys get the invalidation by WAL. The apply worker of a subscriber must send its own, for each row, since logical
-- replication fires no statement triggers except for TRUNCATE.
CREATE TRIGGER group_row_changed AFTER INSERT OR UPDATE OR DELETE ON mirox_internal.permission_group
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.cache_changed();
ALTER TABLE mirox_internal.permission_group ENABLE ALWAYS TRIGGER group_changed;
ALTER TABLE mirox_internal.permission_group ENABLE ALWAYS TRIGGER group_row_changed;

CREATE TRIGGER endpoint_guard BEFORE INSERT OR UPDATE OR DELETE ON mirox_internal.endpoint
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.endpoint_guard();
CREATE TRIGGER endpoint_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mirox_internal.endpoint
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.cache_changed();
-- As for groups: the apply worker of a subscriber fires only row triggers.
CREATE TRIGGER endpoint_row_changed AFTER INSERT OR UPDATE OR DELETE ON mirox_internal.endpoint
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.cache_changed();
ALTER TABLE mirox_internal.endpoint ENABLE ALWAYS TRIGGER endpoint_changed;
ALTER TABLE mirox_internal.endpoint ENABLE ALWAYS TRIGGER endpoint_row_changed;

CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
-- Only the worker changes recorded use. Triggers for each statement, so that the worker pays nothing for its rows.
CREATE TRIGGER agent_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.agent
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER used_place_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.used_place
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER used_endpoint_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.used_endpoint
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER used_scope_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.used_scope
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER usage_open_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.usage_open
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER usage_closing_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.usage_closing
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER usage_summed_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.usage_summed
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER usage_dropped_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.usage_dropped
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER erasure_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.erasure
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER upkeep_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.upkeep
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER traffic_hour_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.traffic_hour
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER token_usage_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.token_usage
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER unauthenticated_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.unauthenticated
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
-- The store by time is append-only. A partition gets a row trigger from its parent, so that a statement that names the partition is
-- refused too; its guard against TRUNCATE is its own. They fire whatever session_replication_role says.
CREATE TRIGGER usage_minute_append_only BEFORE UPDATE OR DELETE ON mirox_internal.usage_minute
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER usage_minute_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.usage_minute
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
ALTER TABLE mirox_internal.usage_minute ENABLE ALWAYS TRIGGER usage_minute_append_only, ENABLE ALWAYS TRIGGER usage_minute_worker_only;
CREATE TRIGGER refusal_minute_append_only BEFORE UPDATE OR DELETE ON mirox_internal.refusal_minute
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER refusal_minute_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.refusal_minute
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
ALTER TABLE mirox_internal.refusal_minute ENABLE ALWAYS TRIGGER refusal_minute_append_only, ENABLE ALWAYS TRIGGER refusal_minute_worker_only;
CREATE TRIGGER usage_hour_append_only BEFORE UPDATE OR DELETE ON mirox_internal.usage_hour
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER usage_hour_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.usage_hour
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
ALTER TABLE mirox_internal.usage_hour ENABLE ALWAYS TRIGGER usage_hour_append_only, ENABLE ALWAYS TRIGGER usage_hour_worker_only;
CREATE TRIGGER refusal_hour_append_only BEFORE UPDATE OR DELETE ON mirox_internal.refusal_hour
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER refusal_hour_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.refusal_hour
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
ALTER TABLE mirox_internal.refusal_hour ENABLE ALWAYS TRIGGER refusal_hour_append_only, ENABLE ALWAYS TRIGGER refusal_hour_worker_only;
CREATE TRIGGER usage_day_append_only BEFORE UPDATE OR DELETE ON mirox_internal.usage_day
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER usage_day_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.usage_day
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
ALTER TABLE mirox_internal.usage_day ENABLE ALWAYS TRIGGER usage_day_append_only, ENABLE ALWAYS TRIGGER usage_day_worker_only;
CREATE TRIGGER refusal_day_append_only BEFORE UPDATE OR DELETE ON mirox_internal.refusal_day
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER refusal_day_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.refusal_day
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
ALTER TABLE mirox_internal.refusal_day ENABLE ALWAYS TRIGGER refusal_day_append_only, ENABLE ALWAYS TRIGGER refusal_day_worker_only;
CREATE TRIGGER token_day_append_only BEFORE UPDATE OR DELETE ON mirox_internal.token_day
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER token_day_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.token_day
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
ALTER TABLE mirox_internal.token_day ENABLE ALWAYS TRIGGER token_day_append_only, ENABLE ALWAYS TRIGGER token_day_worker_only;
CREATE TRIGGER account_day_append_only BEFORE UPDATE OR DELETE ON mirox_internal.account_day
    FOR EACH ROW EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER account_day_worker_only BEFORE UPDATE OR DELETE OR TRUNCATE ON mirox_internal.account_day
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
ALTER TABLE mirox_internal.account_day ENABLE ALWAYS TRIGGER account_day_append_only, ENABLE ALWAYS TRIGGER account_day_worker_only;

CREATE TRIGGER account_name_kept BEFORE DELETE OR TRUNCATE ON mirox_internal.account_name
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();

CREATE TRIGGER account_no_truncate BEFORE TRUNCATE ON mirox_internal.account
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER session_no_truncate BEFORE TRUNCATE ON mirox_internal.session
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER token_no_truncate BEFORE TRUNCATE ON mirox_internal.token
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER token_secret_no_truncate BEFORE TRUNCATE ON mirox_internal.token_secret
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER endpoint_no_truncate BEFORE TRUNCATE ON mirox_internal.endpoint
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();
CREATE TRIGGER group_no_truncate BEFORE TRUNCATE ON mirox_internal.permission_group
    FOR EACH STATEMENT EXECUTE FUNCTION mirox_internal.refuse_change();

-- ---- the built-in permission groups ----------------------------------------------------------------------------------
-- Inserted by the script, never dumped. They have no audit row, since no role made them.
INSERT INTO mirox_internal.permission_group (group_id, name, permissions, description, builtin, audit_node, audit_id) VALUES
    (1, 'full_access', '{*}', 'The owner''s own permissions', true, 0, 0),
    (2, 'reporting', '{exports,reports}', 'Generating reports and exporting data only', true, 0, 0),
    (3, 'timeseries', '{timeseries:query}', 'Time-series query endpoints only', true, 0, 0);
