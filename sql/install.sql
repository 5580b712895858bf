-- The first test: makes the extension in the database that the other tests share.
CREATE EXTENSION pgcrypto;
CREATE EXTENSION mirox_tokens;
SELECT extname, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE extname IN ('pgcrypto', 'mirox_tokens') ORDER BY extname COLLATE "C";
