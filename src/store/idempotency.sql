-- The statements of idempotency.cpp.

-- name: select_answer(session_id int8, key text, request digest)
SELECT c.request OPERATOR(mirox.=) $3, t.token_id, t.name, t.group_id, t.place::int4, t.expires_at::timestamptz, t.created_at
FROM mirox_internal.answered_call c JOIN mirox_internal.token t ON t.token_id = c.token_id
WHERE c.session_id = $1 AND c.key = $2 AND c.at > clock_timestamp() - INTERVAL '1 day';

-- name: write_answer(session_id int8, key text, request digest, token_id int8)
INSERT INTO mirox_internal.answered_call (session_id, key, request, token_id, at) VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (session_id, key) DO UPDATE SET request = $3, token_id = $4, at = clock_timestamp();
