-- The statements of group_policy.cpp.

-- name: select_policy(group_id int4)
SELECT FROM mirox_internal.group_policy WHERE group_id = $1;

-- name: insert_policy(group_id int4, max_lifetime interval, unused_after interval, on_reuse text)
INSERT INTO mirox_internal.group_policy (group_id, max_lifetime, unused_after, on_reuse) VALUES ($1, $2, $3, $4);

-- name: update_policy(group_id int4, max_lifetime interval, unused_after interval, on_reuse text)
UPDATE mirox_internal.group_policy SET max_lifetime = $2, unused_after = $3, on_reuse = $4
WHERE group_id = $1 AND (max_lifetime, unused_after, on_reuse) IS DISTINCT FROM ($2, $3, $4);
