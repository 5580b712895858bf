# The worker's statements are planned once, often while tables are empty. When these are filled afterwards, as by a restore, a flush still
# reads no table whole. And what has to be done about many tokens at once is done some at a time.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate clean_log);
use Test::More;

my $node = new_node('filled', conf => "\nmirox_tokens.flush_interval = 600s\nautovacuum = off\nmirox_tokens.on_reuse = revoke\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
call($wire, 'flush') for 1, 2;
my $tokens = 20_000;
$wire->rows('SET session_replication_role = replica');
$wire->rows($_, $tokens) for
  q(INSERT INTO mirox_internal.account (account_id, user_id, permissions, audit_node, audit_id) SELECT 1000 + i, 'user' || i, '{*}', 0, i FROM generate_series(1, $1 / 10) i),
  q(INSERT INTO mirox_internal.token (token_id, account_id, place, generation, name, group_id, hint, lifetime, expires_at, audit_node, audit_id)
	SELECT 1000 + n, 1001 + (n - 1) / 10, (n - 1) % 10 + 1, 2, 'token ' || n, 1, 'hint', '1 year', now() + interval '300 days', 0, n FROM generate_series(1, $1::int) n),
  q(INSERT INTO mirox_internal.token_secret (digest, token_id, account_id, expires_at, generation, group_id, rate_limit, burst, locked, user_id, permissions, audit_node, audit_id)
	SELECT encode(sha256(n::text::bytea), 'hex')::mirox.digest, 1000 + n, 1001 + (n - 1) / 10, now() + interval '300 days', 2, 1, -1, -1, false, 'user' || ((n - 1) / 10 + 1), '{*}', 0, n
	FROM generate_series(1, $1::int) n);
$wire->rows('SET session_replication_role = origin');
sub reads { return $wire->value(q(SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname IN ('token', 'token_secret', 'token_usage')))
	+ $wire->value(q(SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname IN ('token', 'token_secret') AND indexrelname <> 'token_pkey')); }
# The first walk over tokens after a start goes by the key.
call($wire, 'flush');
my $before = reads();
call($wire, 'flush') for 1 .. 3;
my $read = reads() - $before;
cmp_ok($read, '<', 1000, "three flushes read $read rows, of $tokens tokens");

# ---- many at once --------------------------------------------------------------------------------------------------------------------
# More tokens than one slice takes had a secret used that was rotated away.
my $used = 450;
$wire->rows('SET session_replication_role = replica');
$wire->rows(q(INSERT INTO mirox_internal.usage_open (minute, first_credential, last_credential, credentials, accounts, generations, ips, statuses, reasons, agents, places, endpoints, scopes, requests, first_at, last_at)
	SELECT date_trunc('minute', now(), 'UTC'), 1000 + n, 1000 + n, ARRAY[1000 + n], ARRAY[1001 + (n - 1) / 10], ARRAY[1], ARRAY[NULL]::inet[], ARRAY[401], ARRAY['rotated'], ARRAY[NULL]::int[], ARRAY[NULL]::int[],
		ARRAY[NULL]::int[], ARRAY[NULL]::int[], ARRAY[1], ARRAY[now()], ARRAY[now()] FROM generate_series(1, $1::int) n), $used);
$wire->rows(q(INSERT INTO mirox_internal.answered_call (session_id, key, request, token_id, at) SELECT 1, n::text, encode(sha256(''), 'hex')::mirox.digest, 1, now() - interval '2 days' FROM generate_series(1, 7000) n));
$wire->rows('SET session_replication_role = origin');
my $token = issue($wire, $session, 'token');
rotate($wire, $session, $token->{token_id});
call($wire, 'verify_token', $token->{secret});
# A new worker begins with both.
my $old = $wire->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
$wire->value("SELECT pg_terminate_backend($old)");
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $old") or die 'the worker stays';
call($wire, 'flush');
ok($node->poll_query_until('postgres', "SELECT count(*) = $used + 1 FROM mirox_internal.token WHERE revoke_reason = 'a rotated secret was used'"), 'all of them are revoked');
my $most = $wire->value(q(SELECT max(n) FROM (SELECT count(*) AS n FROM mirox_internal.token WHERE revoked_at IS NOT NULL GROUP BY xmin::text) t));
cmp_ok($most, '<=', 200, "$most in one transaction");
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM mirox_internal.answered_call'), 'old answers go');

# ---- old acts ------------------------------------------------------------------------------------------------------------------------
my $acts = 60_000;
$wire->rows('SET session_replication_role = replica');
$wire->rows(q(INSERT INTO mirox_internal.audit_log (node, audit_id, at, event, account_id, user_id) SELECT 1000, i, now() - interval '700 days' + i * interval '1 s', 'account_created', i, 'user' || i FROM generate_series(1, $1::int) i), $acts);
$wire->rows('SET session_replication_role = origin');
$wire->rows('VACUUM (ANALYZE) mirox_internal.audit_log');
sub entries { return $wire->value(q(SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'audit_log_at')); }
$before = entries();
$node->append_conf('postgresql.conf', "mirox_tokens.audit_retention = '1 year'\n");
$node->reload;
ok($node->poll_query_until('postgres', q(SELECT current_setting('mirox_tokens.audit_retention') = '1 year')), 'acts are kept for a year');
$wire->rows(q(SELECT mirox.flush()));
ok($node->poll_query_until('postgres', q(SELECT count(*) = 0 FROM mirox_internal.audit_log WHERE node = 1000 AND audit_id IN (1, 60000))), 'older ones go');
$read = entries() - $before;
cmp_ok($read, '<=', 1.5 * $acts, "$read entries of the index were read for $acts acts");
is($wire->value('SELECT last_error FROM mirox.stat'), undef, 'nothing has failed');

# New settings reach a worker that could not read yet how far the last one had come, by which nothing is due for an hour.
$wire->rows('SET session_replication_role = replica');
$wire->rows(q(INSERT INTO mirox_internal.audit_log (node, audit_id, at, event) VALUES (1001, 1, now() - interval '200 days', 'account_created')));
$wire->rows('SET session_replication_role = origin');
my $blocker = wire($node);
$blocker->rows($_) for 'BEGIN', 'LOCK TABLE mirox_internal.upkeep IN ACCESS EXCLUSIVE MODE';
$old = $wire->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
$wire->value("SELECT pg_terminate_backend($old)");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $old"), 'the worker leaves');
call($wire, 'flush');
ok($node->poll_query_until('postgres', "SELECT last_error LIKE '%could not do maintenance' FROM mirox.stat"), 'another one cannot read it');
$node->append_conf('postgresql.conf', "mirox_tokens.audit_retention = '100 days'\n");
$node->reload;
ok($node->poll_query_until('postgres', q(SELECT current_setting('mirox_tokens.audit_retention') = '100 days')), 'meanwhile acts are kept for 100 days');
$blocker->rows('ROLLBACK');
$blocker->close;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM mirox_internal.audit_log WHERE node = 1001'), 'the older one goes');
$wire->close;
clean_log($node);
$node->stop;
done_testing();
