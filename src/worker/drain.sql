-- The statements of drain.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- name: select_position(ring_ids int8[], database oid)
SELECT COALESCE(max("position"), 0) FROM mirox_internal.drain_position
WHERE ring_id = ANY ($1) AND database = $2;

-- name: put_position(node int4, ring_id int8, database oid, position int8)
INSERT INTO mirox_internal.drain_position (node, ring_id, database, "position", at)
VALUES ($1, $2, $3, $4, clock_timestamp())
ON CONFLICT (node, ring_id, database) DO UPDATE SET "position" = excluded."position", at = excluded.at;

-- name: uses_own(ring_ids int8[], database oid)
SELECT EXISTS (SELECT FROM mirox_internal.drain_position WHERE ring_id = ANY ($1) AND database = $2);

-- Uses that found no room in the ring count for their tokens alone.
-- name: add_lost(tokens int8[], generations int4[], uses int8[], refusals int8[], used timestamptz[], refused timestamptz[])
INSERT INTO mirox_internal.token_usage AS u (token_id, generation, uses, refusals, last_used_at, last_refused_at)
SELECT g.token_id, g.generation, g.uses, g.refusals, g.used, g.refused
FROM unnest($1, $2, $3, $4, $5, $6) g (token_id, generation, uses, refusals, used, refused)
ON CONFLICT (token_id, generation) DO UPDATE
SET uses = u.uses + excluded.uses, refusals = u.refusals + excluded.refusals,
    last_used_at = GREATEST(u.last_used_at, excluded.last_used_at),
    last_refused_at = GREATEST(u.last_refused_at, excluded.last_refused_at);
