-- The statements of groups.cpp.

-- name: select_group(name text, permissions scopes, description text)
SELECT permissions OPERATOR(mirox.<>) $2 OR ($3 IS NOT NULL AND description <> $3)
FROM mirox_internal.permission_group WHERE name = $1;

-- name: insert_group(name text, permissions scopes, description text)
INSERT INTO mirox_internal.permission_group (name, permissions, description) VALUES ($1, $2, COALESCE($3, ''));

-- name: update_group(name text, permissions scopes, description text)
UPDATE mirox_internal.permission_group SET permissions = $2, description = COALESCE($3, description) WHERE name = $1;

-- name: delete_group(name text)
WITH policy AS (
    DELETE FROM mirox_internal.group_policy p USING mirox_internal.permission_group g WHERE g.name = $1 AND p.group_id = g.group_id
)
DELETE FROM mirox_internal.permission_group WHERE name = $1;
