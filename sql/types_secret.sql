-- mirox.secret: what is well formed, what it shows, and what it never says. The secrets here were computed by Python's
-- zlib from the contract: prefix, 43 base62 characters, six base62 digits of CRC-32 over all before.
\set token mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria
\set session miroxs_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg3SxeAG
\set acme acme_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg1cfhE7
\set acmes acmes_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg3L29lT

-- Shown redacted whichever way it goes; revealed by name alone.
SELECT :'token'::mirox.secret AS token, :'session'::mirox.secret AS session;
SELECT :'token'::mirox.secret::text AS cast_to_text, format('%s', :'token'::mirox.secret) AS formatted,
       to_jsonb(:'token'::mirox.secret) AS json, ROW(:'token'::mirox.secret) AS in_a_row,
       ARRAY[:'token'::mirox.secret] AS in_an_array;
SELECT mirox.reveal(:'token'::mirox.secret) = :'token' AS token,
       mirox.reveal(:'session'::mirox.secret) = :'session' AS session, mirox.reveal(NULL) IS NULL AS none;
DO $$ BEGIN RAISE NOTICE 'in a notice: %', 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'::mirox.secret; END $$;

-- A token in the form of a JWT, as the list of tokens shows it. Whether it is one of ours its signature tells, in a check.
\set jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg
SELECT :'jwt'::mirox.secret AS jwt, mirox.reveal(:'jwt'::mirox.secret) = :'jwt' AS whole;
SELECT what, t.state(format('SELECT %L::mirox.secret', secret)) AS sqlstate FROM (VALUES
    ('no signature', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.'), ('two parts', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0'),
    ('a fourth', :'jwt' || '.x'), ('a blank after', :'jwt' || ' '), ('no header', 'abc.' || :'jwt'), ('too long', replace(:'jwt', 'J9.', 'J9.' || repeat('a', 9000)))) g (what, secret);

-- No binary form: what cannot be sent cannot be dumped or fetched by mistake.
SELECT typsend, typreceive FROM pg_type WHERE oid = 'mirox.secret'::regtype;
CREATE TEMP TABLE kept AS SELECT :'token'::mirox.secret AS s;
\set VERBOSITY sqlstate
COPY kept TO STDOUT (FORMAT binary);
\set VERBOSITY default
COPY kept TO STDOUT;
-- Neither comparable nor hashable: a secret is found by its digest.
SELECT t.state('SELECT s FROM kept ORDER BY s'), t.state('SELECT DISTINCT s FROM kept'),
       t.state('SELECT s = s FROM kept');

-- Malformed: one error for all, which repeats nothing of the input.
WITH given (what, secret) AS (VALUES
    ('empty', ''),
    ('prefix alone', 'mirox_'),
    ('no prefix', '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'),
    ('another stem', :'acme'),
    ('another stem''s session', :'acmes'),
    ('upper-case prefix', 'MIROX_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'),
    ('stem and digit', 'mirox2_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg4Zodjk'),
    ('session prefix with the token''s checksum', 'miroxs_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'),
    ('double session suffix', 'miroxss_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'),
    ('a character changed', 'mirox_1123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'),
    ('case changed', 'mirox_0123456789aBCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'),
    ('two characters swapped', 'mirox_1023456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'),
    ('checksum changed', 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGrib'),
    ('a character less', 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGri'),
    ('a character more', 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGriaa'),
    ('blank before', ' mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'),
    ('blank after', 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria '),
    ('line end after', E'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria\n'),
    ('not base62, checksum right', 'mirox_-ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ0j4VyI'),
    ('not ASCII, checksum right', 'mirox_éZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ0gglqp'),
    ('full-width underscore', 'mirox＿0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria'),
    ('a megabyte', repeat('mirox_', 174763)))
SELECT what, t.state(format('SELECT %L::mirox.secret', secret)) AS sqlstate,
       position(nullif(secret, '') IN t.outcome(format('SELECT %L::mirox.secret', secret))) AS repeated
FROM given;
SELECT t.outcome('SELECT ''mirox_wrong''::mirox.secret');

-- New secrets have the form that the type asks for, and random parts that differ.
SELECT mirox.put_account('types_secret', '{parks}');
SELECT mirox.open_session('types_secret') AS opened \gset
SELECT :'opened' ~ '^miroxs_[0-9A-Za-z]{49}$' AS shape, mirox.reveal(:'opened'::mirox.secret) = :'opened' AS well_formed;
SELECT token_id, secret FROM mirox.issue_token(:'opened', 'a', 'full_access') \gset
SELECT :'secret' ~ '^mirox_[0-9A-Za-z]{49}$' AS shape, mirox.reveal(:'secret'::mirox.secret) = :'secret' AS well_formed;
SELECT hint = :'secret'::mirox.secret::text AS hint_is_redacted_form, length(hint) FROM mirox_internal.token WHERE token_id = :token_id;
CREATE TEMP TABLE drawn AS
SELECT (mirox.rotate_token(:'opened', :token_id)).secret FROM generate_series(1, 200);
SELECT count(DISTINCT secret) AS drawn, bool_and(mirox.reveal(secret::mirox.secret) = secret) AS all_well_formed,
       count(DISTINCT c) AS characters
FROM drawn, regexp_split_to_table(substr(secret, 7, 43), '') c;
DROP TABLE drawn;

-- The prefix is a list of stems: the first for new secrets, all for checks, so that a change kills no live token.
SET mirox_tokens.prefix = 'acme, mirox';
SELECT :'acme'::mirox.secret, :'acmes'::mirox.secret, :'token'::mirox.secret, :'session'::mirox.secret;
SELECT secret AS current FROM mirox.rotate_token(:'opened', :token_id) \gset
SELECT :'current' ~ '^acme_[0-9A-Za-z]{49}$' AS shape, status, reason FROM mirox.verify_token(:'current');
SELECT mirox.open_session('types_secret') ~ '^acmes_[0-9A-Za-z]{49}$' AS session_shape;
RESET mirox_tokens.prefix;
-- A stem taken away: such a secret is no longer one of ours.
SELECT t.state(format('SELECT %L::mirox.secret', :'acme'));
SELECT status, reason FROM mirox.verify_token(:'current');
SET mirox_tokens.prefix = 'mirox, acme';
SELECT status, reason FROM mirox.verify_token(:'current');
RESET mirox_tokens.prefix;

SELECT mirox.delete_account('types_secret');
