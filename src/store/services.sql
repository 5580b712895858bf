-- The statements of services.cpp.

-- name: find_service(account_id int8)
SELECT 1 FROM mirox_internal.service_account WHERE account_id = $1;

-- name: find_open_session(account_id int8)
SELECT 1 FROM mirox_internal.session WHERE account_id = $1 AND closed_at IS NULL AND expires_at > clock_timestamp() LIMIT 1;

-- name: insert_service(account_id int8)
INSERT INTO mirox_internal.service_account (account_id) VALUES ($1);

-- name: delete_service(account_id int8)
DELETE FROM mirox_internal.service_account WHERE account_id = $1;
