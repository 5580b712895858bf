-- Triggers and columns that a platform puts on our tables: a BEFORE trigger may narrow what an act writes, and the secret goes by the
-- row as it stands; one that leaves a row out leaves no half of an act behind.
\set SHOW_CONTEXT never
SELECT mirox.put_account('own', '{parks,reports}');
SELECT mirox.open_session('own') AS session \gset
SELECT token_id AS id, secret AS first FROM mirox.issue_token(:'session', 'before', 'full_access') \gset

-- ---- narrowed ---------------------------------------------------------------------------------------------------------
CREATE FUNCTION pg_temp.narrow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.expires_at := LEAST(NEW.expires_at, clock_timestamp() + interval '30 days');
    NEW.permissions := '{parks}';
    NEW.allowed_ips := '{192.0.2.0/24}';
    NEW.name := 'narrowed';
    RETURN NEW;
END $$;
CREATE TRIGGER own BEFORE INSERT OR UPDATE ON mirox_internal.token FOR EACH ROW EXECUTE FUNCTION pg_temp.narrow();
SELECT token_id AS narrowed, secret, name, expires_at < now() + interval '31 days' AS soon FROM mirox.issue_token(:'session', 'wide', 'full_access') \gset n_
SELECT :'n_name' AS name, :'n_soon' AS soon;
SELECT reason, permissions, expires_at < now() + interval '31 days' AS soon FROM mirox.verify_token(:'n_secret', '192.0.2.7');
SELECT reason FROM mirox.verify_token(:'n_secret', '198.51.100.7');
SELECT secret, name, expires_at < now() + interval '31 days' AS soon FROM mirox.rotate_token(:'session', :id) \gset r_
SELECT :'r_name' AS name, :'r_soon' AS soon;
SELECT reason, permissions, expires_at < now() + interval '31 days' AS soon FROM mirox.verify_token(:'r_secret', '192.0.2.7');
SELECT reason FROM mirox.verify_token(:'r_secret', '198.51.100.7');
SELECT count(*) AS differing FROM mirox_internal.token t JOIN mirox_internal.token_secret s USING (token_id, generation)
WHERE s.user_id = 'own' AND (t.expires_at, t.allowed_ips, t.permissions::text) IS DISTINCT FROM (s.expires_at, s.allowed_ips, s.permissions::text);
DROP TRIGGER own ON mirox_internal.token;

-- ---- left out ---------------------------------------------------------------------------------------------------------
CREATE FUNCTION pg_temp.leave_out() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TEMP TABLE before AS SELECT (SELECT count(*) FROM mirox_internal.token) AS tokens, (SELECT count(*) FROM mirox_internal.token_secret) AS secrets,
    (SELECT count(*) FROM mirox_internal.audit_log) AS audited;
CREATE TRIGGER own BEFORE INSERT OR UPDATE ON mirox_internal.token FOR EACH ROW EXECUTE FUNCTION pg_temp.leave_out();
SELECT mirox.issue_token(:'session', 'none', 'full_access');
SELECT mirox.rotate_token(:'session', :id);
SELECT mirox.rename_token(:'session', :id, 'none');
SELECT mirox.revoke_token(:'session', :id);
DROP TRIGGER own ON mirox_internal.token;
CREATE TRIGGER own BEFORE INSERT OR UPDATE ON mirox_internal.token_secret FOR EACH ROW EXECUTE FUNCTION pg_temp.leave_out();
SELECT mirox.issue_token(:'session', 'none', 'full_access');
SELECT mirox.rotate_token(:'session', :id);
DROP TRIGGER own ON mirox_internal.token_secret;
CREATE TRIGGER own BEFORE INSERT ON mirox_internal.audit_log FOR EACH ROW EXECUTE FUNCTION pg_temp.leave_out();
SELECT mirox.issue_token(:'session', 'none', 'full_access');
SELECT mirox.revoke_token(:'session', :id);
DROP TRIGGER own ON mirox_internal.audit_log;
SELECT (SELECT count(*) FROM mirox_internal.token) - tokens AS tokens, (SELECT count(*) FROM mirox_internal.token_secret) - secrets AS secrets,
    (SELECT count(*) FROM mirox_internal.audit_log) - audited AS audited FROM before;
SELECT reason FROM mirox.verify_token(:'r_secret', '192.0.2.7');

-- ---- told after the fact, at once or at commit ----------------------------------------------------------------------------
CREATE TEMP TABLE told (what text, name text);
CREATE FUNCTION pg_temp.tell() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO told VALUES (TG_ARGV[0] || ' ' || TG_OP, NEW.name); RETURN NULL; END$$;
CREATE TRIGGER own_after AFTER INSERT OR UPDATE OF name ON mirox_internal.token FOR EACH ROW EXECUTE FUNCTION pg_temp.tell('after');
CREATE CONSTRAINT TRIGGER own_deferred AFTER INSERT OR UPDATE ON mirox_internal.token INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.revoked_at IS NULL) EXECUTE FUNCTION pg_temp.tell('deferred');
BEGIN;
SELECT token_id AS id FROM mirox.issue_token(:'session', 'told', 'full_access') \gset
SELECT mirox.rename_token(:'session', :id, 'told more');
SELECT secret IS NOT NULL AS rotated FROM mirox.rotate_token(:'session', :id);
SELECT * FROM told;
COMMIT;
SELECT mirox.revoke_token(:'session', :id) IS NOT NULL AS revoked;
SELECT * FROM told;
DROP TRIGGER own_after ON mirox_internal.token;
DROP TRIGGER own_deferred ON mirox_internal.token;

-- ---- narrowed after the fact: what stands when the triggers are done is what the secret may do -------------------------------
CREATE FUNCTION pg_temp.narrow_after() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN UPDATE mirox_internal.token SET allowed_ips = '{192.0.2.0/24}', expires_at = NEW.created_at + interval '1 day' WHERE token_id = NEW.token_id; RETURN NULL; END$$;
CREATE TRIGGER own_after AFTER INSERT OR UPDATE OF generation ON mirox_internal.token FOR EACH ROW EXECUTE FUNCTION pg_temp.narrow_after();
SELECT token_id AS id, secret AS s, expires_at - created_at AS lifetime FROM mirox.issue_token(:'session', 'narrowed', 'full_access') \gset
SELECT :'lifetime' AS lifetime, a.reason, b.reason, b.expires_at < clock_timestamp() + interval '1 day' AS soon
    FROM mirox.verify_token(:'s') a, mirox.verify_token(:'s', '192.0.2.7') b;
SELECT secret AS s FROM mirox.rotate_token(:'session', :id) \gset
SELECT a.reason, b.reason, b.expires_at < clock_timestamp() + interval '1 day' AS soon FROM mirox.verify_token(:'s') a, mirox.verify_token(:'s', '192.0.2.7') b;
DROP TRIGGER own_after ON mirox_internal.token;

-- ---- moved to another account, or given another id: no secret is made for it ------------------------------------------------
SELECT mirox.put_account('own/other', '{*}');
CREATE FUNCTION pg_temp.move() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN NEW.account_id := (SELECT account_id FROM mirox_internal.account WHERE user_id = 'own/other'); RETURN NEW; END$$;
CREATE FUNCTION pg_temp.renumber() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.token_id := NEW.token_id + 1000000; RETURN NEW; END$$;
SELECT count(*) AS secrets FROM mirox_internal.token_secret \gset
CREATE TRIGGER zz_own BEFORE INSERT OR UPDATE ON mirox_internal.token FOR EACH ROW EXECUTE FUNCTION pg_temp.move();
SELECT mirox.issue_token(:'session', 'moved', 'full_access');
SELECT mirox.rotate_token(:'session', :id);
DROP TRIGGER zz_own ON mirox_internal.token;
CREATE TRIGGER zz_own BEFORE INSERT ON mirox_internal.token FOR EACH ROW EXECUTE FUNCTION pg_temp.renumber();
SELECT mirox.issue_token(:'session', 'renumbered', 'full_access');
DROP TRIGGER zz_own ON mirox_internal.token;
SELECT count(*) - :secrets AS secrets FROM mirox_internal.token_secret;
SELECT mirox.delete_account('own/other');

-- ---- a column of one's own, with its default --------------------------------------------------------------------------------
BEGIN;
ALTER TABLE mirox_internal.token ADD COLUMN team text NOT NULL DEFAULT lower('NONE');
ALTER TABLE mirox_internal.token_secret ADD COLUMN noted timestamptz NOT NULL DEFAULT clock_timestamp(), ADD COLUMN nothing integer;
ALTER TABLE mirox_internal.audit_log ADD COLUMN host text NOT NULL DEFAULT 'here', ADD COLUMN line bigint GENERATED ALWAYS AS IDENTITY,
    ADD COLUMN shout text GENERATED ALWAYS AS (upper(event)) STORED;
SELECT token_id AS id FROM mirox.issue_token(:'session', 'with more', 'full_access') \gset
UPDATE mirox_internal.token SET team = 'wind' WHERE token_id = :id;
SELECT secret AS s FROM mirox.rotate_token(:'session', :id) \gset
SELECT t.team, s.noted <= clock_timestamp() AS noted, s.nothing, s.state FROM mirox_internal.token t JOIN mirox_internal.token_secret s USING (token_id) WHERE token_id = :id ORDER BY s.generation;
SELECT event, host, line > 0 AS numbered, shout FROM mirox_internal.audit_log WHERE token_id = :id ORDER BY audit_id;
SELECT reason FROM mirox.verify_token(:'s');
ROLLBACK;
SELECT mirox.delete_account('own');
