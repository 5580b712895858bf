-- Databases that are not UTF-8: one stated outcome for each text from outside.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE DATABASE regress_mirox_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_mirox_latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_mirox_euc TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C';

-- ---- SQL_ASCII: bytes are taken as UTF-8, or refused ----------------------------------------------------------------
\set home :DBNAME
\c regress_mirox_ascii
SET client_min_messages = warning;
CREATE EXTENSION mirox_tokens;
SELECT mirox.put_account('anna', '{parks}');
SELECT mirox.open_session('anna') AS session \gset
SELECT secret, convert_to(name, 'SQL_ASCII') AS name FROM mirox.issue_token(:'session', E' Caf\xc3\xa9 ', 'full_access') \gset
SELECT :'name' AS valid_utf8, status, reason FROM mirox.verify_token(:'secret');
SELECT convert_to(name, 'SQL_ASCII') AS composed FROM mirox.issue_token(:'session', E'Cafe\xcc\x81', 'full_access');
\set VERBOSITY terse
SELECT mirox.issue_token(:'session', E'Caf\xe9', 'full_access');
SELECT mirox.issue_token(:'session', E'a\xff', 'full_access');
SELECT mirox.issue_token(:'session', E'\xc0\xaf', 'full_access');
SELECT mirox.issue_token(:'session', E'\xed\xa0\x80', 'full_access');
SELECT mirox.issue_token(:'session', E'a\x80', 'full_access');
\set VERBOSITY default
-- 100 characters are counted as UTF-8's.
SELECT length(convert_to(name, 'SQL_ASCII')) AS bytes FROM mirox.issue_token(:'session', repeat(E'\xe6\xbc\xa2', 100), 'full_access');
SELECT count(*) FROM mirox.list_tokens(:'session');
-- User agents are kept, what is invalid in them replaced, cut between characters.
SELECT mirox.open_session('anna', '1 hour', NULL, E'Mo\xffzilla\x80') IS NOT NULL AS opened;
SELECT convert_to(user_agent, 'SQL_ASCII') FROM mirox_internal.session ORDER BY session_id DESC LIMIT 1;
SELECT mirox.open_session('anna', '1 hour', NULL, 'a' || repeat(E'\xc3\xbc', 1000)) IS NOT NULL AS opened;
SELECT length(convert_to(user_agent, 'SQL_ASCII')) AS bytes FROM mirox_internal.session ORDER BY session_id DESC LIMIT 1;
SELECT mirox.open_session('anna', '1 hour', NULL, repeat(E'\xff', 2000)) IS NOT NULL AS opened;
SELECT length(convert_to(user_agent, 'SQL_ASCII')) AS bytes FROM mirox_internal.session ORDER BY session_id DESC LIMIT 1;
-- What a check is given is never an error.
SELECT status, reason FROM mirox.verify_token(E'\xff\xfe');
SELECT status, reason FROM mirox.verify_token(:'secret', NULL, E'\xff\xc3', E'\xff');
-- User ids and reasons are the bytes that they are.
SELECT mirox.put_account(E'b\xff', '{}');
SELECT mirox.lock_account(E'b\xff', E'r\xff') IS NOT NULL AS locked;
SELECT count(*) AS audited FROM mirox_internal.audit_log WHERE convert_to(user_id, 'SQL_ASCII') = '\x62ff';
SELECT regexp_replace(encode(convert_to(hint, 'SQL_ASCII'), 'escape'), '_[0-9A-Za-z]{4}', '_Ab3d') AS hint FROM mirox_internal.token ORDER BY token_id LIMIT 1;

-- ---- LATIN1: converted to UTF-8 and back ----------------------------------------------------------------------------
\c regress_mirox_latin
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
CREATE EXTENSION mirox_tokens;
SELECT mirox.put_account('müller', '{parks}');
SELECT mirox.open_session('müller', '1 hour', NULL, 'Möbel/1.0') AS session \gset
SELECT token_id, secret, name FROM mirox.issue_token(:'session', ' Büro ', 'full_access') \gset
SELECT :'name' AS name, status, user_id FROM mirox.verify_token(:'secret');
SELECT name, status, hint ~ '^mirox_[0-9A-Za-z]{4}\.\.\.$' AS redacted FROM mirox.list_tokens(:'session');
SELECT length(name) AS chars, octet_length(name) AS bytes FROM mirox.issue_token(:'session', repeat('ü', 100), 'full_access');
SELECT mirox.issue_token(:'session', repeat('ü', 101), 'full_access');
SELECT user_agent FROM mirox_internal.session;
SELECT mirox.open_session('müller', '1 hour', NULL, repeat('ü', 2000)) IS NOT NULL AS opened;
SELECT length(user_agent) FROM mirox_internal.session ORDER BY session_id DESC LIMIT 1;
-- An ellipsis that the encoding does not have is three dots.
SELECT 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'::mirox.secret::text;
SELECT mirox.rotate_token(:'session', :token_id) IS NOT NULL AS rotated, mirox.rename_token(:'session', :token_id, 'Größe') AS renamed;
SELECT status, reason FROM mirox.verify_token(:'secret', NULL, 'ÿ', 'ÿ');
SELECT mirox.put_account('x', '{Parks}');
SELECT event, detail -> 'name' AS name FROM mirox_internal.audit_log WHERE token_id = :token_id ORDER BY audit_id;

-- ---- EUC_JP: characters of several bytes ----------------------------------------------------------------------------
\c regress_mirox_euc
SET client_min_messages = warning;
SET client_encoding = 'UTF8';
CREATE EXTENSION mirox_tokens;
SELECT mirox.put_account('花子', '{parks}');
SELECT mirox.open_session('花子', '1 hour', NULL, repeat('漢', 2000)) AS session \gset
SELECT token_id, secret, name FROM mirox.issue_token(:'session', '　日報　', 'full_access') \gset
SELECT :'name' AS name, status, user_id FROM mirox.verify_token(:'secret');
SELECT length(name) AS chars, octet_length(name) AS bytes FROM mirox.issue_token(:'session', repeat('漢', 100), 'full_access');
SELECT length(user_agent) AS chars, octet_length(user_agent) AS bytes FROM mirox_internal.session;
SELECT name, hint ~ '^mirox_[0-9A-Za-z]{4}…$' AS redacted FROM mirox.list_tokens(:'session') ORDER BY place LIMIT 1;
SELECT mirox.put_account('x', '{Parks}');
SELECT status, reason FROM mirox.verify_token('漢', NULL, '漢', '漢');

\c :home
SET client_min_messages = warning;
DROP DATABASE regress_mirox_ascii;
DROP DATABASE regress_mirox_latin;
DROP DATABASE regress_mirox_euc;
