-- The statements of notices.cpp.

-- name: insert_notice(event text, account_id int8, token_id int8, session_id int8, detail jsonb, once boolean)
WITH posted AS (
    INSERT INTO mirox_internal.posted_notice (at, event, account_id, token_id, session_id, detail)
    SELECT clock_timestamp(), $1, $2, $3, $4, $5
    WHERE NOT $6 OR NOT EXISTS (SELECT FROM mirox_internal.posted_notice n
                                WHERE (n.token_id = $3 OR n.token_id IS NULL AND n.session_id = $4)
                                      AND n.at > clock_timestamp() - INTERVAL '1 day' AND n.event = $1)
    RETURNING notice_id
)
SELECT pg_notify('mirox_tokens', json_build_object('event', $1, 'notice_id', notice_id)::text) FROM posted;

-- name: update_acknowledged(notice_id int8, by text)
UPDATE mirox_internal.posted_notice
SET acknowledged_at = COALESCE(acknowledged_at, clock_timestamp()), acknowledged_by = COALESCE(acknowledged_by, $2)
WHERE notice_id = $1 RETURNING acknowledged_at;
