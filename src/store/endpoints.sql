-- The statements of endpoints.cpp.

-- name: select_rule(method text, path text, scope text)
SELECT scope = $3 FROM mirox_internal.endpoint WHERE method = $1 AND path = $2;

-- name: insert_rule(method text, path text, scope text)
INSERT INTO mirox_internal.endpoint (method, path, scope) VALUES ($1, $2, $3);

-- name: update_rule(method text, path text, scope text)
UPDATE mirox_internal.endpoint SET scope = $3 WHERE method = $1 AND path = $2;

-- name: delete_rule(method text, path text)
DELETE FROM mirox_internal.endpoint WHERE method = $1 AND path = $2;
