-- The statements of places.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- name: select_places(keys text[])
SELECT g.n, p.place_id
FROM unnest($1) WITH ORDINALITY g (key, n)
CROSS JOIN LATERAL (
    SELECT p.place_id FROM mirox_internal.used_place p WHERE p.key = g.key COLLATE "C" OFFSET 0) p;

-- name: insert_places(keys text[], locations text[], countries text[], regions text[], cities text[], latitudes text[],
--     longitudes text[])
INSERT INTO mirox_internal.used_place (key, location, country, region, city, latitude, longitude)
SELECT g.key, g.location, g.country, g.region, g.city, g.latitude::float8, g.longitude::float8
FROM unnest($1, $2, $3, $4, $5, $6, $7) g (key, location, country, region, city, latitude, longitude)
ON CONFLICT (key) DO NOTHING;
