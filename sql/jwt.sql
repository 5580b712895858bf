-- Tokens in the form of a JWT. The same by another's library, and hostile ones: test/tap/045_jwt.pl.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT mirox.put_account('jwt', '{parks:read,reports}', 100000, 1000);
SELECT mirox.open_session('jwt') AS session \gset
-- Without keys there is no such thing.
SHOW mirox_tokens.jwt_key_file;
SHOW mirox_tokens.jwt_issuer;
SELECT mirox.issue_token(:'session', 'jwt', 'reporting', format => 'jwt');
SELECT mirox.issue_token(:'session', 'jwt', 'reporting', format => 'JWT');
SELECT secret LIKE 'mirox\_%' AS opaque FROM mirox.issue_token(:'session', 'none', 'reporting', format => NULL);
-- A well-formed one of somebody else's is malformed to us, and no token may manage tokens, whatever its form.
SELECT status, reason FROM mirox.verify_token('eyJhbGciOiJIUzI1NiJ9.e30.XmNK3GpH3Ys_7wsYBfq4C3M6goz71I7dTgUkuIa5lyQ');
SELECT mirox.issue_token('eyJhbGciOiJIUzI1NiJ9.e30.XmNK3GpH3Ys_7wsYBfq4C3M6goz71I7dTgUkuIa5lyQ', 'jwt', 'reporting');
SELECT mirox.revoke_self('eyJhbGciOiJIUzI1NiJ9.e30.XmNK3GpH3Ys_7wsYBfq4C3M6goz71I7dTgUkuIa5lyQ');
SET mirox_tokens.jwt_key_file = '/tmp/keys';
SET mirox_tokens.jwt_issuer = '';
SET mirox_tokens.jwt_issuer = 'é';
\set VERBOSITY sqlstate
CREATE ROLE jwt_somebody;
SET ROLE jwt_somebody;
SHOW mirox_tokens.jwt_key_file;
SET mirox_tokens.jwt_issuer = 'me';
RESET ROLE;
DROP ROLE jwt_somebody;
