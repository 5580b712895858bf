-- The statements of traces.cpp. They run as the extension's owner with a search_path of pg_catalog.

-- Former accounts of a user id, or the one that lives.
-- name: select_accounts(user_id text, living boolean)
SELECT n.account_id FROM mirox_internal.account_name n
WHERE n.user_id = $1 COLLATE "C"
  AND EXISTS (SELECT FROM mirox_internal.account a WHERE a.account_id = n.account_id) = $2;

-- name: blank_usage_minutes(accounts int8[], until timestamptz)
UPDATE mirox_internal.usage_minute SET ip = NULL, agent_id = NULL, place_id = NULL
WHERE account_id = ANY ($1) AND first_at < $2 AND (ip IS NOT NULL OR agent_id IS NOT NULL OR place_id IS NOT NULL);

-- name: blank_refusal_minutes(accounts int8[], until timestamptz)
UPDATE mirox_internal.refusal_minute SET ip = NULL, agent_id = NULL, place_id = NULL
WHERE account_id = ANY ($1) AND first_at < $2 AND (ip IS NOT NULL OR agent_id IS NOT NULL OR place_id IS NOT NULL);

-- name: blank_usage_hours(accounts int8[], until timestamptz)
UPDATE mirox_internal.usage_hour SET ip = NULL, agent_id = NULL, place_id = NULL
WHERE account_id = ANY ($1) AND first_at < $2 AND (ip IS NOT NULL OR agent_id IS NOT NULL OR place_id IS NOT NULL);

-- name: blank_refusal_hours(accounts int8[], until timestamptz)
UPDATE mirox_internal.refusal_hour SET ip = NULL, agent_id = NULL, place_id = NULL
WHERE account_id = ANY ($1) AND first_at < $2 AND (ip IS NOT NULL OR agent_id IS NOT NULL OR place_id IS NOT NULL);

-- name: blank_usage_days(accounts int8[], until timestamptz)
UPDATE mirox_internal.usage_day SET ip = NULL, agent_id = NULL, place_id = NULL
WHERE account_id = ANY ($1) AND first_at < $2 AND (ip IS NOT NULL OR agent_id IS NOT NULL OR place_id IS NOT NULL);

-- name: blank_refusal_days(accounts int8[], until timestamptz)
UPDATE mirox_internal.refusal_day SET ip = NULL, agent_id = NULL, place_id = NULL
WHERE account_id = ANY ($1) AND first_at < $2 AND (ip IS NOT NULL OR agent_id IS NOT NULL OR place_id IS NOT NULL);

-- The tokens of an account that is gone are known from its use.
-- name: blank_token_usage(accounts int8[], until timestamptz)
UPDATE mirox_internal.token_usage SET last_ip = NULL, last_agent_id = NULL, last_place_id = NULL
WHERE last_used_at < $2 AND (last_ip IS NOT NULL OR last_agent_id IS NOT NULL OR last_place_id IS NOT NULL)
  AND token_id IN (SELECT token_id FROM mirox_internal.token WHERE account_id = ANY ($1)
                   UNION SELECT token_id FROM mirox_internal.usage_minute WHERE account_id = ANY ($1)
                   UNION SELECT token_id FROM mirox_internal.token_day WHERE account_id = ANY ($1)
                   UNION SELECT token_id FROM mirox_internal.audit_log WHERE account_id = ANY ($1) AND event = 'token_issued');

-- Acts that are blanked say so.
-- name: blank_acts(accounts int8[], until timestamptz)
UPDATE mirox_internal.audit_log
SET ip = NULL, user_agent = NULL,
    detail = (detail - '{client_ip,user_agent,allowed_ips,ip}'::text[]) || '{"erased": true}'
WHERE account_id = ANY ($1) AND at < $2 AND event <> 'traces_erased' AND NOT detail ? 'erased';

-- name: blank_acts_and_user(accounts int8[], until timestamptz)
UPDATE mirox_internal.audit_log
SET ip = NULL, user_agent = NULL, user_id = NULL,
    detail = (detail - '{client_ip,user_agent,allowed_ips,ip,user_id,metadata,name}'::text[]) || '{"erased": true}'
WHERE account_id = ANY ($1) AND at < $2 AND event <> 'traces_erased' AND (user_id IS NOT NULL OR NOT detail ? 'erased');

-- name: blank_names(accounts int8[])
UPDATE mirox_internal.account_name SET user_id = NULL WHERE account_id = ANY ($1);
