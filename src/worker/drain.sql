-- The statements of drain.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- name: select_position(ring_ids int8[], database oid)
SELECT COALESCE(max("position"), 0) FROM mirox_internal.drain_position
WHERE ring_id = ANY ($1) AND database = $2;

-- name: put_position(node int4, ring_id int8, database oid, position int8)
INSERT INTO mirox_internal.drain_position (node, ring_id, database, "position", at)
VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (node, ring_id, database) DO UPDATE SET "position" = excluded."position", at = excluded.at;
