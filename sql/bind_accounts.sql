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
ROLLBACK;
SELECT reason FROM mirox.verify_token(:'secret');
DELETE FROM users WHERE id = 'bind/anne';
SELECT reason FROM mirox.verify_token(:'secret');
SELECT event FROM t.audit('bind/anne');
-- TRUNCATE would leave accounts behind.
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

-- A type of the platform's own: compared by its text, whatever operators it has.
CREATE TYPE pair AS (a int, b int);
CREATE TABLE typed (id pair);
SELECT mirox.bind_accounts('typed', 'id');
INSERT INTO typed VALUES ('(1,2)');
SELECT mirox.put_account('(1,2)', '{}');
UPDATE typed SET id = '(1,3)';
SELECT user_id FROM mirox_internal.account WHERE user_id LIKE '(1,%';
DELETE FROM typed;
SELECT user_id FROM mirox_internal.account WHERE user_id LIKE '(1,%';

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
CREATE TRIGGER mine AFTER DELETE ON own FOR EACH ROW EXECUTE FUNCTION mirox.account_bound();
INSERT INTO own VALUES ('x');
DELETE FROM own;

SELECT bool_and(mirox.delete_account(user_id)) FROM mirox_internal.account WHERE user_id LIKE 'bind/%';
SET client_min_messages = warning;
DROP SCHEMA bind_accounts CASCADE;
DROP ROLE regress_mirox_bind;
