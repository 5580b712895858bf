-- The statements of group_policy.cpp.

-- name: write_policy(group_id int4, max_lifetime interval, unused_after interval, on_reuse text)
INSERT INTO mirox_internal.group_policy (group_id, max_lifetime, unused_after, on_reuse) VALUES ($1, $2, $3, $4)
ON CONFLICT (group_id) DO UPDATE SET max_lifetime = $2, unused_after = $3, on_reuse = $4;

-- name: select_longest(group_id int4)
SELECT max_lifetime FROM mirox_internal.group_policy WHERE group_id = $1 AND max_lifetime IS NOT NULL;
