-- bind_accounts: the platform's own users table deletes and renames accounts.
\set SHOW_CONTEXT never
CREATE SCHEMA bind_accounts;
SET search_path = bind_accounts, public;
CREATE TABLE users (id text PRIMARY KEY, email text);
SELECT mirox.bind_accounts('users', 'id');
SELECT tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'users'::regclass AND NOT tgisinternal ORDER BY tgname;
INSERT INTO users VALUES ('bind/anna', 'anna@example.org'), ('bind/bert', 'bert@example.org'), ('bind/none', 'none@example.org');
SELECT mirox.put_account('bind/anna', '{parks}'), mirox.put_account('bind/bert', '{parks}');
SELECT mirox.open_session('bind/anna') AS session \gset
SELECT secret FROM mirox.issue_token(:'session', 'a', 'full_access') \gset

-- Another column is nobody's business; the id renames the account, and tokens and sessions go on.
UPDATE users SET email = 'x';
UPDATE users SET id = id;
UPDATE users SET id = 'bind/anne' WHERE id = 'bind/anna';
SELECT status, user_id FROM mirox.verify_token(:'secret');
SELECT count(*) FROM mirox.list_tokens(:'session');
SELECT event, detail FROM t.audit('bind/anna') WHERE event NOT IN ('token_issued');
SELECT event, detail FROM t.audit('bind/anne');
-- Onto another account's id: refused in words of ours, and the user keeps the old one.
SELECT mirox.put_account('bind/taken', '{}');
UPDATE users SET id = 'bind/taken' WHERE id = 'bind/anne';
UPDATE users SET id = '' WHERE id = 'bind/anne';
SELECT user_id FROM mirox_internal.account WHERE user_id LIKE 'bind/%' ORDER BY 1;
SELECT id FROM users ORDER BY 1;
-- A user who has no account is renamed and deleted all the same.
UPDATE users SET id = 'bind/nobody' WHERE id = 'bind/none';
DELETE FROM users WHERE id = 'bind/nobody';

-- Deleting the user deletes the account; rolled back, with it.
BEGIN;
DELETE FROM users WHERE id = 'bind/anne';
SELECT reason FROM mirox.verify_token(:'secret');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT reason FROM mirox.verify_token(:'secret');
ROLLBACK;
SELECT reason FROM mirox.verify_token(:'secret');
DELETE FROM users WHERE id = 'bind/anne';
SELECT reason FROM mirox.verify_token(:'secret');
SELECT event FROM t.audit('bind/anne');
-- TRUNCATE would leave accounts behind, unless there is nobody.
TRUNCATE users;
DELETE FROM users;
SELECT count(*) FROM mirox_internal.account WHERE user_id = 'bind/bert';
TRUNCATE users;
-- An id set to NULL is a user gone.
CREATE TABLE loose (id text);
SELECT mirox.bind_accounts('loose', 'id');
INSERT INTO loose VALUES ('bind/null');
SELECT mirox.put_account('bind/null', '{}');
UPDATE loose SET id = NULL;
SELECT count(*) FROM mirox_internal.account WHERE user_id = 'bind/null';
UPDATE loose SET id = 'bind/null';
DELETE FROM loose;

-- Ids of other types are taken by their text form; names that need quotes; twice is once.
CREATE TABLE "Users; DROP" ("The id" uuid PRIMARY KEY);
SELECT mirox.bind_accounts('"Users; DROP"', 'The id');
SELECT mirox.bind_accounts('"Users; DROP"', 'The id');
SELECT count(*) FROM pg_trigger WHERE tgrelid = '"Users; DROP"'::regclass;
INSERT INTO "Users; DROP" VALUES ('3F2504E0-4F89-11D3-9A0C-0305E82C3301');
SELECT mirox.put_account('3f2504e0-4f89-11d3-9a0c-0305e82c3301', '{}');
DELETE FROM "Users; DROP";
SELECT count(*) FROM mirox_internal.account WHERE user_id = '3f2504e0-4f89-11d3-9a0c-0305e82c3301';
CREATE TABLE numbered (id bigint PRIMARY KEY);
SELECT mirox.bind_accounts('numbered', 'id');
INSERT INTO numbered VALUES (9000000000001), (9000000000002);
SELECT mirox.put_account('9000000000001', '{}');
UPDATE numbered SET id = id + 2 WHERE id = 9000000000001;
SELECT user_id FROM mirox_internal.account WHERE user_id LIKE '900000000000%';
DELETE FROM numbered;
SELECT count(*) FROM mirox_internal.account WHERE user_id LIKE '900000000000%';

-- Partitioned: rows of every partition, moved ones too.
CREATE TABLE parted (id text, region text) PARTITION BY LIST (region);
CREATE TABLE parted_eu PARTITION OF parted FOR VALUES IN ('eu');
CREATE TABLE parted_us PARTITION OF parted FOR VALUES IN ('us');
SELECT mirox.bind_accounts('parted', 'id');
INSERT INTO parted VALUES ('bind/eu', 'eu'), ('bind/us', 'us');
SELECT mirox.put_account('bind/eu', '{}'), mirox.put_account('bind/us', '{}');
UPDATE parted SET id = 'bind/europe' WHERE id = 'bind/eu';
SELECT user_id FROM mirox_internal.account WHERE user_id LIKE 'bind/%' ORDER BY 1;
DELETE FROM parted WHERE region = 'eu';
DELETE FROM parted_us;
SELECT user_id FROM mirox_internal.account WHERE user_id LIKE 'bind/%' ORDER BY 1;

SELECT mirox.delete_account('bind/taken');

-- ---- many changes in one transaction ---------------------------------------------------------------------------------
-- Who an account was is in its permissions: {u7} is the one that was registered as 7. Nobody's tokens may become another's.
CREATE TABLE many (id int PRIMARY KEY DEFERRABLE, note text);
SELECT mirox.bind_accounts('many', 'id');
CREATE FUNCTION fill(n int) RETURNS void LANGUAGE sql AS $$
    DELETE FROM many;
    SELECT mirox.delete_account(user_id) FROM mirox_internal.account WHERE user_id ~ '^[0-9]+$';
    INSERT INTO many SELECT g FROM generate_series(1, n) g;
    SELECT mirox.put_account(g::text, ARRAY['u' || g]) FROM generate_series(1, n) g;
$$;
-- Each account's id and what it was registered as; secrets that say something else than their account.
CREATE VIEW accounts AS SELECT string_agg(a.user_id || '=' || translate(a.permissions::text, '{}u', ''), ' ' ORDER BY a.user_id) AS is_was,
    (SELECT count(*) FROM mirox_internal.token_secret s WHERE s.account_id = a.account_id AND s.user_id <> a.user_id) AS wrong_secrets
    FROM mirox_internal.account a WHERE a.user_id ~ '^([0-9]+|mirox_tokens.*)$' GROUP BY 2;
SELECT fill(2);
SELECT mirox.open_session('1') AS session \gset
SELECT secret FROM mirox.issue_token(:'session', 'a', 'full_access') \gset
UPDATE many SET id = 3 - id;
SELECT * FROM accounts;
SELECT status, user_id FROM mirox.verify_token(:'secret');
SELECT event, regexp_replace(detail::text, '[-0-9a-f]{36}', '…') FROM t.audit('1') WHERE event = 'account_changed';
-- A chain, both ways; circles of different lengths; in one statement and in several.
SELECT fill(5); UPDATE many SET id = id + 1; SELECT * FROM accounts;
SELECT fill(5); UPDATE many SET id = id - 1; SELECT * FROM accounts;
SELECT fill(7); UPDATE many SET id = id % 7 + 1; SELECT * FROM accounts;
SELECT fill(7); UPDATE many SET id = (id + 5) % 7 + 1; SELECT * FROM accounts;
SELECT fill(7); UPDATE many SET id = (ARRAY[2, 1, 4, 5, 3, 6, 9])[id]; SELECT * FROM accounts;
SELECT fill(3);
BEGIN; UPDATE many SET id = 9 WHERE id = 1; UPDATE many SET id = 1 WHERE id = 2; UPDATE many SET note = 'x'; UPDATE many SET id = 2 WHERE id = 9; COMMIT;
SELECT * FROM accounts;
-- There and back again is nothing, and not one audit row.
SELECT fill(2);
SELECT count(*) AS audited FROM mirox_internal.audit_log \gset
BEGIN; UPDATE many SET id = 9 WHERE id = 1; UPDATE many SET id = 1 WHERE id = 9; COMMIT;
BEGIN; UPDATE many SET id = 3 - id; UPDATE many SET id = 3 - id; COMMIT;
SELECT count(*) - :audited AS audited FROM mirox_internal.audit_log;
SELECT * FROM accounts;
-- Gone and put there again in one transaction: nothing ended, unless the id had been changed before.
BEGIN; DELETE FROM many WHERE id = 1; INSERT INTO many VALUES (1); COMMIT;
BEGIN; UPDATE many SET id = 9 WHERE id = 1; DELETE FROM many WHERE id = 9; INSERT INTO many VALUES (9), (1); COMMIT;
SELECT * FROM accounts;
-- Gone, and another user renamed to the id: one ends, one is renamed, in either order, whether he has an account or not.
SELECT fill(2); BEGIN; DELETE FROM many WHERE id = 1; UPDATE many SET id = 1 WHERE id = 2; COMMIT; SELECT * FROM accounts;
SELECT fill(2); BEGIN; ALTER TABLE many DROP CONSTRAINT many_pkey; UPDATE many SET id = 1 WHERE id = 2; DELETE FROM many WHERE ctid = '(0,1)' AND id = 1;
DELETE FROM many WHERE id = 1 AND ctid = (SELECT min(ctid) FROM many WHERE id = 1) AND (SELECT count(*) FROM many) > 1; COMMIT; SELECT * FROM accounts; SELECT id FROM many;
ALTER TABLE many ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED;
SELECT fill(2); SELECT mirox.delete_account('2'); BEGIN; DELETE FROM many WHERE id = 1; UPDATE many SET id = 1 WHERE id = 2; COMMIT; SELECT * FROM accounts; SELECT id FROM many;
SELECT fill(2); SELECT mirox.delete_account('2'); BEGIN; UPDATE many SET id = 1 WHERE id = 2; UPDATE many SET id = 3 WHERE ctid = (SELECT min(ctid) FROM many WHERE id = 1); COMMIT; SELECT * FROM accounts; SELECT id FROM many ORDER BY 1;
SELECT fill(2); BEGIN; UPDATE many SET id = 9 WHERE id = 1; UPDATE many SET id = 1 WHERE id = 2; DELETE FROM many WHERE id = 9; COMMIT; SELECT * FROM accounts; SELECT id FROM many;
-- An id that is given away and taken by a new user: the account went along, the new one has none.
SELECT fill(1); BEGIN; UPDATE many SET id = 9 WHERE id = 1; INSERT INTO many VALUES (1); COMMIT; SELECT * FROM accounts;
-- A user without an account, whose id another gets: the account is the other's, and stays so.
SELECT fill(3); SELECT mirox.delete_account('2'); UPDATE many SET id = CASE id WHEN 1 THEN 2 WHEN 2 THEN 3 ELSE 1 END; SELECT * FROM accounts;

-- ---- when it is judged -----------------------------------------------------------------------------------------------
SELECT fill(3);
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
UPDATE many SET id = 4 - id;
SELECT * FROM accounts;
UPDATE many SET note = 'y';
UPDATE many SET id = id % 3 + 1;
SELECT * FROM accounts;
UPDATE many SET note = 'z';
DELETE FROM many WHERE id = 3;
SELECT * FROM accounts;
COMMIT;
SELECT * FROM accounts;
SELECT fill(3);
BEGIN;
UPDATE many SET id = 4 - id;
SAVEPOINT s;
SET CONSTRAINTS ALL IMMEDIATE;
UPDATE many SET note = 'y';
UPDATE many SET id = id + 10;
SELECT * FROM accounts;
ROLLBACK TO s;
SELECT * FROM accounts;
SAVEPOINT s;
UPDATE many SET id = id % 3 + 1;
RELEASE s;
DELETE FROM many WHERE id = 2;
COMMIT;
SELECT * FROM accounts;
SELECT id FROM many ORDER BY 1;
-- A conflict that the transaction resolves later is none; one that it does not, fails.
SELECT fill(2);
SELECT mirox.put_account('9', '{u9}');
BEGIN; SET CONSTRAINTS ALL IMMEDIATE; UPDATE many SET id = 9 WHERE id = 1; SELECT * FROM accounts; COMMIT;
SELECT * FROM accounts;
BEGIN; UPDATE many SET id = 9 WHERE id = 1; SELECT mirox.delete_account('9'); COMMIT;
SELECT * FROM accounts;
BEGIN; UPDATE many SET id = 1 WHERE id = 2; SELECT mirox.put_account('1', '{u1}'); COMMIT;
SELECT * FROM accounts;
-- The newest state is looked at, at any isolation level.
SELECT fill(3);
BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE many SET id = id % 3 + 1; DELETE FROM many WHERE id = 2; COMMIT; SELECT * FROM accounts;
BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE many SET id = 4 - id; DELETE FROM many WHERE id = 1; INSERT INTO many VALUES (1); COMMIT; SELECT * FROM accounts;
-- Switched off is off.
BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM many WHERE id = 1; TRUNCATE many; COMMIT; SELECT * FROM accounts;
SELECT fill(1);
ALTER TABLE many DISABLE TRIGGER mirox_account_deleted; TRUNCATE many; ALTER TABLE many ENABLE TRIGGER mirox_account_deleted;
SELECT * FROM accounts;
-- A million would do as well: many at once, deep chains and one great circle.
SELECT fill(2000); UPDATE many SET id = id % 2000 + 1;
SELECT count(*), count(*) FILTER (WHERE user_id::int = substr(a.permissions::text, 3, length(a.permissions::text) - 3)::int % 2000 + 1) FROM mirox_internal.account a WHERE user_id ~ '^[0-9]+$';
DELETE FROM many;
SELECT count(*) FROM mirox_internal.account WHERE user_id ~ '^[0-9]+$';

-- ---- partitions ------------------------------------------------------------------------------------------------------
CREATE TABLE cut (id int, region text, note text) PARTITION BY LIST (region);
CREATE TABLE cut_us PARTITION OF cut FOR VALUES IN ('us');
CREATE TABLE cut_eu PARTITION OF cut FOR VALUES IN ('de', 'fr') PARTITION BY LIST (region);
CREATE TABLE cut_de (note text, region text, dropped int, id int);
ALTER TABLE cut_de DROP COLUMN dropped;
ALTER TABLE cut_eu ATTACH PARTITION cut_de FOR VALUES IN ('de');
SELECT mirox.bind_accounts('cut', 'id');
CREATE TABLE cut_fr PARTITION OF cut_eu FOR VALUES IN ('fr');
SELECT tgrelid::regclass, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid IN ('cut'::regclass, 'cut_de'::regclass) ORDER BY 1, 2;
CREATE FUNCTION fill_cut() RETURNS void LANGUAGE sql AS $$
    DELETE FROM cut;
    SELECT mirox.delete_account(user_id) FROM mirox_internal.account WHERE user_id ~ '^[0-9]+$';
    INSERT INTO cut SELECT g, (ARRAY['us', 'de', 'fr'])[(g - 1) % 3 + 1] FROM generate_series(1, 6) g;
    SELECT mirox.put_account(g::text, ARRAY['u' || g]) FROM generate_series(1, 6) g;
$$;
SELECT fill_cut();
-- A row that moves has not ended.
UPDATE cut SET region = CASE region WHEN 'us' THEN 'de' WHEN 'de' THEN 'fr' ELSE 'us' END;
SELECT * FROM accounts;
SELECT tableoid::regclass, id FROM cut ORDER BY 2;
-- One that moves and is renamed at once is refused, though the ids stay the same as a whole; in two statements it works.
UPDATE cut SET id = 9, region = 'de' WHERE id = 1 AND region <> 'de';
UPDATE cut SET id = 9, region = 'us' WHERE id = 1;
UPDATE cut SET id = 7 - id, region = CASE region WHEN 'us' THEN 'de' ELSE 'us' END;
UPDATE cut SET id = 9, region = 'us', note = 'x' WHERE false;
BEGIN; UPDATE cut SET id = 7 - id; UPDATE cut SET region = CASE region WHEN 'us' THEN 'de' ELSE 'us' END; UPDATE cut SET id = id % 6 + 1; COMMIT;
SELECT * FROM accounts;
SELECT fill_cut();
BEGIN; UPDATE cut SET id = 9 WHERE id = 1; UPDATE cut SET region = 'fr' WHERE id = 9; UPDATE cut SET note = 'x'; UPDATE cut SET id = 1 WHERE id = 2; DELETE FROM cut WHERE id = 3; UPDATE cut SET id = 3 WHERE id = 9; COMMIT;
SELECT * FROM accounts;
SELECT id FROM cut ORDER BY 1;
BEGIN; UPDATE cut SET region = 'us'; DELETE FROM cut WHERE id = 4; COMMIT;
SELECT * FROM accounts;
BEGIN; UPDATE cut SET id = NULL, region = 'us' WHERE id = 5; UPDATE cut SET region = 'de' WHERE id IS NULL; COMMIT;
SELECT * FROM accounts;
-- A trigger that keeps the row from arriving has a user vanish.
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER swallow BEFORE INSERT ON cut_fr FOR EACH ROW EXECUTE FUNCTION swallow();
UPDATE cut SET region = 'fr' WHERE region = 'us';
DROP TRIGGER swallow ON cut_fr;
-- TRUNCATE, DROP and DETACH of a part that holds users.
SELECT fill_cut();
SELECT t.outcome(statement) FROM unnest(ARRAY['TRUNCATE cut', 'TRUNCATE cut_eu', 'TRUNCATE cut_us', 'TRUNCATE ONLY cut_de', 'DROP TABLE cut_us', 'DROP TABLE cut_eu CASCADE',
    'ALTER TABLE cut DETACH PARTITION cut_us', 'ALTER TABLE cut DETACH PARTITION cut_eu', 'ALTER TABLE cut_eu DETACH PARTITION cut_fr']) statement;
ALTER TABLE cut_eu DETACH PARTITION cut_fr CONCURRENTLY;
ALTER TABLE cut DETACH PARTITION cut_eu CONCURRENTLY;
SELECT count(*) FROM pg_inherits WHERE inhdetachpending;
SELECT * FROM accounts;
-- Emptied, it may go, be attached again, and what comes back is bound.
DELETE FROM cut WHERE region = 'fr';
TRUNCATE cut_fr;
ALTER TABLE cut_eu DETACH PARTITION cut_fr CONCURRENTLY;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'cut_fr'::regclass;
INSERT INTO cut_fr VALUES (3, 'fr');
DELETE FROM cut_fr;
INSERT INTO cut_fr VALUES (10, 'fr');
SELECT mirox.put_account('10', '{u10}');
ALTER TABLE cut_eu ATTACH PARTITION cut_fr FOR VALUES IN ('fr');
UPDATE cut SET id = 11 WHERE id = 10;
SELECT * FROM accounts;
DELETE FROM cut_fr;
DROP TABLE cut_fr;
BEGIN; DELETE FROM cut_de; SET CONSTRAINTS ALL IMMEDIATE; DROP TABLE cut_de; ROLLBACK;
SELECT * FROM accounts;
-- Without the triggers, or as a whole, all may go: what is left is nobody's business, as after DROP TABLE.
BEGIN; DROP TRIGGER mirox_account_deleted ON cut; TRUNCATE cut_us; DROP TABLE cut_us; ROLLBACK;
BEGIN; DROP SCHEMA bind_accounts CASCADE; ROLLBACK;
BEGIN; DROP TABLE cut; ROLLBACK;
BEGIN; DROP TABLE cut_us, cut; ROLLBACK;
BEGIN; DROP TABLE cut_us; ROLLBACK;
DELETE FROM cut;
DROP TABLE cut;
SELECT * FROM accounts;

-- ---- who, and what --------------------------------------------------------------------------------------------------
CREATE ROLE regress_mirox_bind;
GRANT USAGE, CREATE ON SCHEMA bind_accounts TO regress_mirox_bind;
SET ROLE regress_mirox_bind;
CREATE TABLE own (id text);
SELECT mirox.bind_accounts('own', 'id');
RESET ROLE;
SELECT mirox.grant_access('regress_mirox_bind', 'admin');
SET ROLE regress_mirox_bind;
SELECT mirox.bind_accounts('users', 'id');
SELECT mirox.bind_accounts('own', 'id');
RESET ROLE;
-- Whoever may delete a user needs no right on anything of ours.
SELECT mirox.revoke_access('regress_mirox_bind', 'admin');
SELECT mirox.put_account('bind/own', '{}');
SET ROLE regress_mirox_bind;
INSERT INTO own VALUES ('bind/own');
DELETE FROM own;
SELECT count(*) FROM mirox_internal.account;
RESET ROLE;
SELECT count(*) FROM mirox_internal.account WHERE user_id = 'bind/own';
SELECT event, NULLIF(db_role, session_user) AS db_role FROM mirox_internal.audit_log WHERE user_id = 'bind/own' ORDER BY audit_id DESC LIMIT 1;
SELECT event, detail FROM mirox_internal.audit_log WHERE event = 'accounts_bound' AND detail ->> 'table' LIKE 'bind_accounts.%' ORDER BY audit_id;
-- The owner makes partitions; a new owner is not yet one that accounts are bound to; a binding by him replaces the other's.
CREATE ROLE regress_mirox_bind2;
GRANT USAGE ON SCHEMA bind_accounts TO regress_mirox_bind2;
CREATE TABLE staff (id int, region text) PARTITION BY LIST (region);
ALTER TABLE staff OWNER TO regress_mirox_bind;
SELECT mirox.bind_accounts('staff', 'id');
SELECT mirox.put_account('1', '{u1}'), mirox.put_account('2', '{u2}');
SET ROLE regress_mirox_bind;
CREATE TABLE staff_eu PARTITION OF staff FOR VALUES IN ('eu');
CREATE TABLE staff_us (id int, region text);
ALTER TABLE staff ATTACH PARTITION staff_us FOR VALUES IN ('us');
INSERT INTO staff VALUES (1, 'eu'), (2, 'us');
DELETE FROM staff WHERE id = 1;
RESET ROLE;
SELECT * FROM accounts;
ALTER TABLE staff OWNER TO regress_mirox_bind2;
DELETE FROM staff;
SELECT mirox.bind_accounts('staff', 'id');
DELETE FROM staff;
SELECT * FROM accounts;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'staff'::regclass;
-- Nobody else can put the function on a table; and who took it over from elsewhere has no use of it.
SET ROLE regress_mirox_bind2;
CREATE TEMP TABLE trap (id text);
CREATE CONSTRAINT TRIGGER t AFTER DELETE ON trap DEFERRABLE FOR EACH ROW EXECUTE FUNCTION mirox.account_bound('id');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION mirox.account_bound() FROM regress_mirox_bind2;
SELECT mirox.put_account('1', '{u1}');
SET ROLE regress_mirox_bind2;
INSERT INTO trap VALUES ('1');
DELETE FROM trap;
CREATE TEMP TABLE trap2 (id text);
CREATE CONSTRAINT TRIGGER t AFTER DELETE ON trap2 DEFERRABLE FOR EACH ROW EXECUTE FUNCTION mirox.account_bound('id');
RESET ROLE;
SELECT * FROM accounts;
DROP TABLE trap, trap2, staff;
SELECT mirox.delete_account('1');
-- What cannot be bound.
CREATE TABLE elder (id int);
CREATE TABLE younger () INHERITS (elder);
CREATE TABLE cut2 (id int) PARTITION BY RANGE (id);
CREATE TABLE cut2_a PARTITION OF cut2 FOR VALUES FROM (1) TO (9);
CREATE TEMP TABLE passing (id int);
CREATE FOREIGN DATA WRAPPER regress_mirox_fdw;
CREATE SERVER regress_mirox_far FOREIGN DATA WRAPPER regress_mirox_fdw;
CREATE FOREIGN TABLE far (id int) SERVER regress_mirox_far;
CREATE TABLE cut3 (id int) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE cut3_a PARTITION OF cut3 FOR VALUES FROM (1) TO (9) SERVER regress_mirox_far;
CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE DOMAIN number_or_so AS numeric;
CREATE TABLE kinds (a char(5), b bytea, c date, d timestamptz, e interval, f numeric, g name, h jsonb, i float8, j "char", k text[], l number_or_so, m text COLLATE blind);
SELECT call, t.outcome('SELECT mirox.bind_accounts(' || call || ')') FROM unnest(ARRAY[$$'elder', 'id'$$, $$'younger', 'id'$$, $$'cut2_a', 'id'$$, $$'passing', 'id'$$, $$'far', 'id'$$,
    $$'cut3', 'id'$$, $$'pg_catalog.pg_class', 'relname'$$, $$'mirox_internal.account', 'user_id'$$, $$'information_schema.sql_features', 'feature_id'$$]) call;
SELECT attname, t.outcome(format('SELECT mirox.bind_accounts(%L, %L)', 'kinds', attname)) FROM pg_attribute WHERE attrelid = 'kinds'::regclass AND attnum > 0 ORDER BY attnum;
-- A former child is none.
ALTER TABLE younger NO INHERIT elder;
SELECT mirox.bind_accounts('elder', 'id'), mirox.bind_accounts('younger', 'id');
-- Nor can one be had later.
ALTER TABLE younger INHERIT elder;
CREATE TABLE youngest () INHERITS (kinds, elder);
CREATE SCHEMA nursery CREATE TABLE youngest (id int) INHERITS (elder);
SELECT count(*) AS children FROM pg_inherits WHERE inhparent = 'elder'::regclass;
DROP FOREIGN TABLE far, cut3_a;
DROP SERVER regress_mirox_far;
DROP FOREIGN DATA WRAPPER regress_mirox_fdw;

CREATE VIEW seen AS SELECT id FROM users;
CREATE MATERIALIZED VIEW matted AS SELECT id FROM users;
CREATE SEQUENCE counted;
SELECT call, t.outcome('SELECT mirox.bind_accounts(' || call || ')') FROM unnest(ARRAY[$$'users', 'nope'$$, $$'users', 'ctid'$$, $$'users', ''$$, $$'seen', 'id'$$,
    $$'matted', 'id'$$, $$'counted', 'last_value'$$, $$999999::oid, 'id'$$, $$NULL, 'id'$$, $$'users', NULL$$]) call;
-- The column goes: the next deletion says what to do.
ALTER TABLE loose RENAME COLUMN id TO ident;
INSERT INTO loose VALUES ('x');
DELETE FROM loose;
-- The trigger function by itself is of no use.
SELECT t.outcome('SELECT mirox.account_bound()');
CREATE TABLE wrong (id int, note text);
CREATE VIEW wrong_view AS SELECT note FROM wrong;
CREATE FUNCTION attempt(definition text, act text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    INSERT INTO wrong VALUES (1);
    EXECUTE definition;
    SET CONSTRAINTS ALL IMMEDIATE;
    result := t.outcome(act);
    RAISE EXCEPTION USING MESSAGE = result, ERRCODE = 'P0001';
EXCEPTION WHEN raise_exception THEN
    RETURN SQLERRM;
END
$$;
SELECT definition, split_part(attempt(format(definition, 'EXECUTE FUNCTION mirox.account_bound'), act), ' | ', 1) FROM (VALUES
    ('CREATE TRIGGER t AFTER DELETE ON wrong FOR EACH ROW %s(''id'')', 'DELETE FROM wrong'),
    ('CREATE TRIGGER t AFTER INSERT OR DELETE ON wrong FOR EACH ROW %s(''id'')', 'DELETE FROM wrong'),
    ('CREATE TRIGGER t AFTER UPDATE ON wrong FOR EACH ROW %s(''id'')', 'UPDATE wrong SET id = 2'),
    ('CREATE TRIGGER t BEFORE DELETE ON wrong FOR EACH ROW %s(''id'')', 'DELETE FROM wrong'),
    ('CREATE TRIGGER t BEFORE UPDATE ON wrong FOR EACH ROW %s(''id'')', 'UPDATE wrong SET id = 2'),
    ('CREATE TRIGGER t BEFORE INSERT ON wrong FOR EACH ROW %s(''id'')', 'INSERT INTO wrong VALUES (2)'),
    ('CREATE TRIGGER t AFTER DELETE ON wrong FOR EACH STATEMENT %s(''id'')', 'DELETE FROM wrong'),
    ('CREATE TRIGGER t AFTER DELETE ON wrong REFERENCING OLD TABLE AS o FOR EACH STATEMENT %s(''id'')', 'DELETE FROM wrong'),
    ('CREATE TRIGGER t BEFORE TRUNCATE ON wrong FOR EACH STATEMENT %s(''id'')', 'TRUNCATE wrong'),
    ('CREATE TRIGGER t AFTER TRUNCATE ON wrong FOR EACH STATEMENT %s(''id'')', 'TRUNCATE wrong'),
    ('CREATE TRIGGER t INSTEAD OF DELETE ON wrong_view FOR EACH ROW %s(''id'')', 'DELETE FROM wrong_view'),
    ('CREATE CONSTRAINT TRIGGER t AFTER INSERT ON wrong DEFERRABLE FOR EACH ROW %s(''id'')', 'INSERT INTO wrong VALUES (2)'),
    ('CREATE CONSTRAINT TRIGGER t AFTER DELETE ON wrong DEFERRABLE FOR EACH ROW %s()', 'DELETE FROM wrong'),
    ('CREATE CONSTRAINT TRIGGER t AFTER DELETE ON wrong DEFERRABLE FOR EACH ROW %s(''id'', ''id'')', 'DELETE FROM wrong'),
    ('CREATE CONSTRAINT TRIGGER t AFTER DELETE ON wrong DEFERRABLE FOR EACH ROW %s(''nope'')', 'DELETE FROM wrong'),
    ('CREATE CONSTRAINT TRIGGER t AFTER DELETE ON wrong DEFERRABLE FOR EACH ROW %s(''ctid'')', 'DELETE FROM wrong'),
    ('ALTER TABLE wrong ALTER id TYPE date USING NULL; CREATE CONSTRAINT TRIGGER t AFTER DELETE ON wrong DEFERRABLE FOR EACH ROW %s(''id'')', 'DELETE FROM wrong')) v (definition, act);

-- Any number of users may change their ids in one transaction, which keeps no lock in the server's table of locks for each.
CREATE TABLE renamed (id text PRIMARY KEY);
SELECT mirox.bind_accounts('renamed', 'id');
INSERT INTO renamed VALUES ('bind/renamed');
SELECT mirox.put_account('bind/renamed', '{}');
BEGIN;
UPDATE renamed SET id = 'bind/named';
SET CONSTRAINTS ALL IMMEDIATE;
SELECT user_id FROM mirox_internal.account WHERE user_id IN ('bind/renamed', 'bind/named');
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'object' AND classid = 'mirox_internal.account'::regclass;
COMMIT;

SELECT bool_and(mirox.delete_account(user_id)) FROM mirox_internal.account WHERE user_id LIKE 'bind/%';
SET client_min_messages = warning;
DROP SCHEMA bind_accounts CASCADE;
DROP OWNED BY regress_mirox_bind, regress_mirox_bind2;
DROP ROLE regress_mirox_bind, regress_mirox_bind2;
