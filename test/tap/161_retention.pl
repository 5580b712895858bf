# Retention drops partitions, and waits for nobody: a report that reads one holds up neither drains nor other readers. Addresses are kept
# no longer than address_retention.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log shift_open);
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('retention', conf => "\nmirox_tokens.flush_interval = 200ms\nmirox_tokens.minute_retention = 400\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $token = issue($wire, open_session($wire, 'anna'), 'token');
sub use_token { call($wire, 'verify_token', $token->{secret}, '203.0.113.1', 'curl/8.5.0', 'parks') for 1 .. 3; return call($wire, 'flush'); }
sub poll { return $node->poll_query_until('postgres', shift); }
sub anew
{
	$wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
	poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
	return call($wire, 'flush');
}
for my $span ('100 days', '500 days')
{
	use_token();
	shift_open($wire, $span);
	anew();
	ok(poll('SELECT count(*) = 0 FROM mirox_internal.usage_open'), "use of $span ago");
}
ok(poll("SELECT count(*) = 1 FROM mirox_internal.usage_day WHERE day < now() - interval '90 days' AND day > now() - interval '110 days'"), 'days are added up');
is($wire->value('SELECT count(*) FROM mirox_internal.usage_minute'), 1, 'a use of 500 days ago is in no minute');
is($wire->value('SELECT sum(requests) FROM mirox.usage_hourly'), 6, 'but in the hours');

# ---- somebody reads --------------------------------------------------------------------------------------------------------------------
my $reader = wire($node);
$reader->rows('BEGIN');
$reader->rows('SELECT count(*) FROM mirox_internal.usage_minute');
$node->append_conf('postgresql.conf', "mirox_tokens.minute_retention = 30");
$node->reload;
ok(poll('SELECT drop_waits_since IS NOT NULL FROM mirox.stat'), 'the partition cannot be dropped while it is read');
my $longest = 0;
for (1 .. 5)
{
	my $began = time;
	use_token();
	$wire->value('SELECT count(*) FROM mirox_internal.usage_minute');
	my $took = time - $began;
	$longest = $took if $took > $longest;
}
cmp_ok($longest, '<', 2.5, "drains and readers go on ($longest s)");
is($wire->value('SELECT worker_state FROM mirox.stat'), 'running', 'and nothing fails');
$reader->rows('ROLLBACK');
$node->reload;
ok(poll('SELECT count(*) = 0 FROM mirox_internal.usage_minute'), 'then it is dropped');
ok(poll('SELECT drop_waits_since IS NULL FROM mirox.stat'), 'and nothing waits');

# ---- addresses -------------------------------------------------------------------------------------------------------------------------
$node->append_conf('postgresql.conf', "mirox_tokens.address_retention = '90 days'");
$node->reload;
ok(poll("SELECT (SELECT count(*) FROM mirox_internal.usage_day WHERE day < now() - interval '90 days') + (SELECT count(*) FROM mirox_internal.usage_hour WHERE hour < now() - interval '90 days') = 0
	OR date_part('year', now()) = date_part('year', now() - interval '100 days')"), 'rows with addresses go');
is($wire->value("SELECT sum(requests) FROM mirox_internal.token_day"), 6, 'days by token stay');
# In one snapshot, since the worker may be at it.
is($wire->value(<<'SQL'), 6, 'and say what the others no longer have');
SELECT (SELECT COALESCE(sum(t.requests), 0) FROM mirox_internal.token_day t JOIN mirox_internal.usage_dropped d ON d.store = 'usage_day' AND t.day < d.before)
	+ (SELECT COALESCE(sum(requests), 0) FROM mirox_internal.usage_day)
SQL
is($wire->state("SET mirox_tokens.address_retention = '1 hour'"), '55P02', 'a setting of the server');
is($wire->value('SELECT last_error FROM mirox.stat'), undef, 'nothing has failed');

# ---- how many partitions a report locks --------------------------------------------------------------------------------------------------
# Of each day of sixty something is kept.
$node->append_conf('postgresql.conf', "mirox_tokens.address_retention = ''\nmirox_tokens.minute_retention = 60");
$node->reload;
use_token();
$wire->rows('SET session_replication_role = replica');
$wire->rows(q(INSERT INTO mirox_internal.usage_open (minute, first_credential, last_credential, credentials, accounts, generations, ips, statuses, reasons, agents, places, endpoints, scopes, requests, first_at, last_at)
	SELECT minute - d, first_credential, last_credential, credentials, accounts, generations, ips, statuses, reasons, agents, places, endpoints, scopes, requests,
		ARRAY(SELECT t - d FROM unnest(first_at) WITH ORDINALITY u (t, n) ORDER BY n), ARRAY(SELECT t - d FROM unnest(last_at) WITH ORDINALITY u (t, n) ORDER BY n)
	FROM mirox_internal.usage_open, (SELECT i * INTERVAL '1 day' AS d FROM generate_series(1, 59) i) x));
$wire->rows('SET session_replication_role = origin');
anew();
ok(poll("SELECT count(*) = 0 FROM mirox_internal.usage_open WHERE minute < now() - interval '1 hour'"), 'sixty days');
is($wire->value("SELECT count(DISTINCT date_trunc('day', minute, 'UTC')) FROM mirox_internal.minute_use"), 60, 'are kept');
for my $view (qw(usage_minutely audit_trail refusals usage_hourly))
{
	my %read = map { $_->[0] =~ / on ((?:usage|refusal)_\w+_\d{8}\w*)/ && $_->[0] !~ /never executed/ ? ($1 => 1) : () } $wire->rows("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) SELECT * FROM mirox.$view");
	cmp_ok(scalar(keys %read), '>', 2, "$view reads partitions");
	cmp_ok(scalar(keys %read), '<=', 64, "$view reads at most 64");
}
clean_log($node);
$_->close for $wire, $reader;
$node->stop;
done_testing();
