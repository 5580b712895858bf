-- The settings: defaults, bounds, who may set them, and that the prefix is ours alone.
SELECT name, setting, unit, context, vartype, min_val, max_val FROM pg_settings
WHERE name IN ('mirox_tokens.default_lifetime', 'mirox_tokens.expiry_notice', 'mirox_tokens.max_lifetime',
    'mirox_tokens.max_tokens_per_account', 'mirox_tokens.node_id', 'mirox_tokens.prefix') ORDER BY name COLLATE "C";
-- Nothing that weakens a check can be set by an ordinary role; every description is a whole sentence.
SELECT name FROM pg_settings WHERE name LIKE 'mirox\_tokens.%' AND (context = 'user' OR context = 'backend'
    OR short_desc !~ '^[A-Z].*\.$');

SET mirox_tokens.max_tokens_per_account = 65;
SET mirox_tokens.max_tokens_per_account = 0;
SET mirox_tokens.max_tokens_per_account = 1;
SET mirox_tokens.max_tokens_per_account = 64;
SET mirox_tokens.node_id = -1;
SET mirox_tokens.node_id = 2147483647;
RESET mirox_tokens.node_id;

-- Lifetimes: positive intervals of at most five years.
SET mirox_tokens.max_lifetime = '5 years 1 second';
SET mirox_tokens.max_lifetime = '61 months';
SET mirox_tokens.max_lifetime = '1827 days';
SET mirox_tokens.max_lifetime = '0';
SET mirox_tokens.max_lifetime = '-1 day';
SET mirox_tokens.max_lifetime = '1 mon -28 days';
SET mirox_tokens.default_lifetime = '1 mon -28 days';
SET mirox_tokens.max_lifetime = '';
SET mirox_tokens.max_lifetime = 'forever';
SET mirox_tokens.max_lifetime = 'infinity';
SET mirox_tokens.max_lifetime = '1 year; DROP TABLE';
SELECT t.state($$SELECT set_config('mirox_tokens.max_lifetime', repeat('1 day ', 1000), false)$$);
SET mirox_tokens.max_lifetime = '5 years';
SET mirox_tokens.max_lifetime = '60 months';
SET mirox_tokens.max_lifetime = '90 days';
SHOW mirox_tokens.max_lifetime;
RESET mirox_tokens.max_lifetime;
SET mirox_tokens.default_lifetime = '6 years';
SET mirox_tokens.default_lifetime = 'P1Y';
SET mirox_tokens.default_lifetime = '1-6';
RESET mirox_tokens.default_lifetime;
SET mirox_tokens.expiry_notice = '0 days';
SET mirox_tokens.expiry_notice = '10 years';
RESET mirox_tokens.expiry_notice;
-- Stems of prefixes; the DETAIL is the same for all.
\set VERBOSITY terse
SET mirox_tokens.prefix = '';
SET mirox_tokens.prefix = 'Mirox';
SET mirox_tokens.prefix = 'mi_rox';
SET mirox_tokens.prefix = '1mirox';
SET mirox_tokens.prefix = 'mirox,';
SET mirox_tokens.prefix = 'mirox,mirox';
SET mirox_tokens.prefix = 'mirox,miroxs';
SET mirox_tokens.prefix = 'acmes,mirox,acme';
SET mirox_tokens.prefix = 'abcdefghijklmnopq';
SET mirox_tokens.prefix = 'a,b,c,d,e,f,g,h,i';
SET mirox_tokens.prefix = 'a,b,c,d,e,f,g,h';
SET mirox_tokens.prefix = 'abcdefghijklmnop', 'mirox';
SHOW mirox_tokens.prefix;
RESET mirox_tokens.prefix;

\set VERBOSITY default
SET mirox_tokens.prefix = 'Mirox';

-- The prefix of the settings is reserved: a misspelt one is an error, not a silent placeholder.
SET mirox_tokens.max_livetime = '1 year';
SELECT set_config('mirox_tokens.no_such', '1', false);

-- Superusers, and roles they let.
CREATE ROLE regress_mirox_guc;
SET ROLE regress_mirox_guc;
SET mirox_tokens.max_tokens_per_account = 3;
SET mirox_tokens.max_lifetime = '1 day';
SET mirox_tokens.prefix = 'acme';
SET mirox_tokens.expiry_notice = '1 day';
SET mirox_tokens.default_lifetime = '1 day';
SET mirox_tokens.node_id = 7;
SELECT t.state(format('SELECT set_config(%L, %L, true)', name, setting)), count(*) > 5 AS several
FROM pg_settings WHERE name LIKE 'mirox\_tokens.%' AND context <> 'postmaster' AND context <> 'sighup' GROUP BY 1;
SHOW mirox_tokens.max_lifetime;
RESET ROLE;
ALTER ROLE regress_mirox_guc SET mirox_tokens.max_lifetime = 'forever';
-- A limit of accounts is no role's: two roles that act for one account would judge it by two limits.
SELECT name, t.state(format('ALTER ROLE regress_mirox_guc SET %s = 5', name)) AS role,
       t.state(format('ALTER ROLE regress_mirox_guc IN DATABASE %I SET %s TO 5', current_database(), name)) AS role_in_database,
       t.state(format('ALTER ROLE regress_mirox_guc SET %s FROM CURRENT', name)) AS from_current,
       t.state(format('ALTER ROLE regress_mirox_guc RESET %s', name)) AS reset,
       t.state(format('ALTER DATABASE %I SET %s = 5', current_database(), name)) AS database,
       t.state(format('ALTER DATABASE %I RESET %s', current_database(), name)) AS database_reset
FROM pg_settings WHERE name IN ('mirox_tokens.max_tokens_per_account', 'mirox_tokens.rate_burst', 'mirox_tokens.rate_limit') ORDER BY name COLLATE "C";
ALTER ROLE regress_mirox_guc SET "Mirox_Tokens.Rate_Burst" = 5;
ALTER ROLE regress_mirox_guc SET mirox_tokens.expiry_notice = '7 days';
DROP ROLE regress_mirox_guc;
