-- The statements of manage.cpp, on accounts and web sessions.

-- name: insert_account(user_id text, permissions scopes, rate_limit int4, burst int4)
INSERT INTO mirox_internal.account (user_id, permissions, rate_limit, burst) VALUES ($1, $2, $3, $4);

-- What is not given stays.
-- name: update_account(account_id int8, permissions scopes, rate_limit int4, burst int4)
UPDATE mirox_internal.account
SET permissions = $2, rate_limit = COALESCE($3, rate_limit), burst = COALESCE($4, burst)
WHERE account_id = $1
  AND (permissions OPERATOR(mirox.<>) $2 OR rate_limit IS DISTINCT FROM COALESCE($3, rate_limit)
       OR burst IS DISTINCT FROM COALESCE($4, burst));

-- name: update_limits(account_id int8, rate_limit int4, burst int4)
UPDATE mirox_internal.account SET rate_limit = $2, burst = $3
WHERE account_id = $1 AND (rate_limit IS DISTINCT FROM $2 OR burst IS DISTINCT FROM $3);

-- name: update_lock(account_id int8, locked_at timestamptz, reason text)
UPDATE mirox_internal.account SET locked_at = $2, lock_reason = $3 WHERE account_id = $1;

-- name: delete_row(account_id int8)
DELETE FROM mirox_internal.account WHERE account_id = $1;

-- name: rename_row(account_id int8, user_id text)
UPDATE mirox_internal.account SET user_id = $2 WHERE account_id = $1;

-- name: insert_session(digest digest, account_id int8, opened_at timestamptz, expires_at timestamptz, client_ip inet, user_agent text)
INSERT INTO mirox_internal.session (digest, account_id, opened_at, expires_at, client_ip, user_agent)
VALUES ($1, $2, $3, $4, $5, $6);

-- name: close_row(account_id int8, session_id int8)
UPDATE mirox_internal.session SET closed_at = clock_timestamp()
WHERE session_id = $2 AND account_id = $1 AND closed_at IS NULL AND expires_at > clock_timestamp();

-- name: close_rows(account_id int8, spared int8, reason text)
UPDATE mirox_internal.session SET closed_at = clock_timestamp(), close_reason = $3
WHERE account_id = $1 AND closed_at IS NULL AND expires_at > clock_timestamp() AND session_id <> $2;
