# Recorded use is exact and costs the checks no write: many verifications of many tokens from eight connections are all in
# usage_daily after the next drain; the verifying backends write no WAL, with checksums and without.
# MIROX_CHECKS (100000) says how many; the full run is MIROX_CHECKS=1000000.
use strict;
use warnings;
use Mirox qw(new_node wire call clean_log);
use PostgreSQL::Test::Utils;
use Test::More;

my $checks = $ENV{MIROX_CHECKS} || 100_000;
my $tokens = 10_000;
my $clients = 8;

for my $checksums (0, 1)
{
	# Nothing else is to write WAL while we look; the ring holds all, so that no drain comes before we ask for it.
	my $ring = 64 + int($checks * 256 * 2 / 1024 / 1024);
	my $node = new_node(
		"usage$checksums",
		init => [ '--encoding=UTF8', '--no-locale', ($checksums ? '--data-checksums' : ()) ],
		conf => "\nautovacuum = off\nwal_level = minimal\nmax_wal_senders = 0\ncheckpoint_timeout = 1h\nmax_wal_size = 8GB\n"
		  . "mirox_tokens.flush_interval = 600s\nmirox_tokens.ring_size = ${ring}MB\n");
	my $wire = wire($node);
	my $accounts = $tokens / 50;
	$wire->rows('CREATE TABLE tok (n int PRIMARY KEY, secret text)');
	$wire->rows(<<"SQL");
DO \$\$ DECLARE session text; BEGIN
FOR a IN 1..$accounts LOOP
	PERFORM mirox.put_account('user ' || a, '{*}');
	session := mirox.open_session('user ' || a);
	INSERT INTO tok SELECT (a - 1) * 50 + i, t.secret FROM generate_series(1, 50) i,
		LATERAL mirox.issue_token(session, 'token ' || i, 'full_access') t;
END LOOP; END \$\$
SQL
	$wire->script('VACUUM');
	$wire->wait;
	# All catalogs and tables hinted, and our own session's caches filled.
	$wire->rows('SELECT count(*) FROM tok, LATERAL mirox.verify_token(secret) WHERE n = 0');

	my $script = PostgreSQL::Test::Utils::tempdir() . '/verify.sql';
	append_to_file($script, <<"SQL");
\\set n random(1, $tokens)
SELECT 1 / (v.status = 200)::int FROM tok, LATERAL mirox.verify_token(secret, '203.0.113.7', 'psql', 'parks') v WHERE n = :n
SQL
	my $each = int($checks / $clients);
	my $total = $each * $clients;
	my $before = $wire->value('SELECT pg_current_wal_insert_lsn()');
	$node->command_ok(
		[ 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-j', '2', '-t', $each, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
		"checksums $checksums: $total checks");
	is($wire->value('SELECT pg_current_wal_insert_lsn() - $1::pg_lsn', $before), 0, 'the verifying backends wrote no WAL');
	my ($stat) = $wire->rows('SELECT ok, checks, events_dropped, events_waiting FROM mirox.stat');
	is_deeply($stat, [ $total, $total, 0, $total ], 'stat counts them, all waiting in shared memory');
	# A use that found no counter (two connections made theirs at once) is shown after the drain, and said to be so.
	is($wire->value('SELECT sum(uses) + (SELECT counters_missed FROM mirox.stat) FROM mirox.token_report'),
		$total, 'token_report shows them before they are written');
	is($wire->value('SELECT count(*) FROM mirox.usage_daily'), 0, 'nothing is written yet');
	call($wire, 'flush');
	is($wire->value('SELECT sum(requests) FROM mirox.usage_daily'), $total, 'usage_daily has exactly as many');
	is($wire->value('SELECT sum(requests) FROM mirox.usage_hourly'), $total, 'and usage_hourly');
	is($wire->value('SELECT sum(uses) FROM mirox.token_report'), $total, 'and token_report');
	is($wire->value('SELECT count(*) FROM mirox.token_report r FULL JOIN (SELECT token_id, sum(requests) FROM mirox.usage_daily GROUP BY 1) d'
			. ' USING (token_id) WHERE coalesce(r.uses, 0) <> coalesce(d.sum, 0)'), 0, 'token by token');
	is($wire->value('SELECT events_waiting FROM mirox.stat'), 0, 'nothing waits any more');

	# ---- rotation in an open transaction holds up neither checks of others nor the drain --------------------------------------
	my $rotating = wire($node);
	my $session = call($rotating, 'open_session', 'user 1')->[0];
	$rotating->rows('BEGIN');
	my $fresh = call($rotating, 'rotate_token', $session, 1)->[1];
	my $reason = $wire->value('SELECT v.reason FROM tok, LATERAL mirox.verify_token(secret) v WHERE n = 2');
	is($reason, 'ok', 'an open rotation holds up no check of another token');
	$reason = $wire->value('SELECT v.reason FROM tok, LATERAL mirox.verify_token(secret) v WHERE n = 1');
	is($reason, 'ok', 'nor of the same one, whose old secret still works');
	call($wire, 'flush');
	is($wire->value('SELECT sum(requests) FROM mirox.usage_daily'), $total + 2, 'nor the drain');
	$rotating->rows('COMMIT');
	is($wire->value('SELECT uses FROM mirox.token_report WHERE token_id = 1'), 0, 'rotated, its recorded use begins anew');
	is(call($wire, 'verify_token', $fresh)->[1], 'ok', 'the new secret works');
	is($wire->value('SELECT uses FROM mirox.token_report WHERE token_id = 1'), 1, 'and counts from 1');
	clean_log($node);
	$wire->close;
	$rotating->close;
	$node->stop;
}
done_testing();
