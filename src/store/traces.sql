-- The statements of traces.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- name: take_former(user_id text)
UPDATE mirox_internal.account_name n SET user_id = NULL
WHERE n.user_id = $1 COLLATE "C" AND NOT EXISTS (SELECT FROM mirox_internal.account a WHERE a.account_id = n.account_id)
RETURNING n.account_id;

-- name: new_erasure()
SELECT nextval('mirox_internal.erasure_id_seq');

-- name: insert_erasure(erasure_id int8, account_id int8, whole boolean, until timestamptz, ring_id int8)
INSERT INTO mirox_internal.erasure (erasure_id, account_id, whole, until, requested_at, ring_id)
VALUES ($1, $2, $3, $4, clock_timestamp(), $5);

-- name: blank_sessions(account_id int8, until timestamptz)
UPDATE mirox_internal.session SET client_ip = NULL, user_agent = NULL
WHERE account_id = $1 AND opened_at < $2 AND (client_ip IS NOT NULL OR user_agent IS NOT NULL);
