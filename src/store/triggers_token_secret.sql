-- The statement of triggers_token_secret.cpp.

-- name: select_state(token_id int8, account_id int8)
SELECT revoked_at IS NOT NULL, generation FROM mirox_internal.token WHERE token_id = $1 AND account_id = $2;
