-- The statement of unauthenticated.cpp. It runs as the extension's owner with a search_path of pg_catalog.

-- A slot's count only grows, so writing it twice changes nothing.
-- name: put_unauthenticated(node int4, ring_ids int8[], serials int8[], minutes timestamptz[], networks inet[],
--     places int4[], statuses int2[], reasons text[], requests int8[], firsts timestamptz[], lasts timestamptz[])
INSERT INTO mirox_internal.unauthenticated AS s
       (node, ring_id, serial, minute, network, place_id, status, reason, requests, first_at, last_at)
SELECT $1, g.ring_id, g.serial, g.minute, g.network::cidr, g.place_id,
       g.status, g.reason, g.requests, g.first_at, g.last_at
FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
     g (ring_id, serial, minute, network, place_id, status, reason, requests, first_at, last_at)
ON CONFLICT (node, ring_id, serial) DO UPDATE
SET requests = GREATEST(s.requests, excluded.requests),
    first_at = LEAST(s.first_at, excluded.first_at),
    last_at = GREATEST(s.last_at, excluded.last_at)
WHERE s.requests < excluded.requests;
