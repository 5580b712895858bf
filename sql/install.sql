-- The first test: makes the extension in the database that the other tests share.
CREATE EXTENSION pgcrypto;
CREATE EXTENSION mirox_tokens;
SELECT extname FROM pg_extension WHERE extname IN ('pgcrypto', 'mirox_tokens') ORDER BY extname COLLATE "C";
