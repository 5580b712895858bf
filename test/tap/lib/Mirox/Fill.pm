# Much recorded use, for tests of what reports read.
package Mirox::Fill;
use strict;
use warnings;
use Exporter 'import';
use Mirox qw(call);

our @EXPORT_OK = qw(make_partitions fill_usage);

# Makes the worker write one admitted and one refused use of some days ago, so that each store has a partition.
sub make_partitions
{
	my ($node, $wire, $secret) = @_;
	call($wire, 'verify_token', $secret, '192.0.2.1', 'filler');
	call($wire, 'verify_token', $secret, '192.0.2.1', 'filler', 'nothing:allowed');
	call($wire, 'flush');
	$wire->rows('SET session_replication_role = replica');
	$wire->rows(q{UPDATE mirox_internal.usage_open SET minute = minute - interval '72 hours',
		first_at = ARRAY(SELECT x - interval '72 hours' FROM unnest(first_at) WITH ORDINALITY u (x, n) ORDER BY n),
		last_at = ARRAY(SELECT x - interval '72 hours' FROM unnest(last_at) WITH ORDINALITY u (x, n) ORDER BY n)});
	$wire->rows('SET session_replication_role = origin');
	my $worker = "FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'";
	$wire->value("SELECT count(pg_terminate_backend(pid)) $worker");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 $worker") or die 'the worker stays';
	call($wire, 'flush');
	return $node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM mirox_internal.refusal_day') && $node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM mirox_internal.account_day');
}

# fill_usage($node, rows => …, days => …, tokens => …, accounts => …, addresses => …, acts => …): see test/bench/fill_usage.sql.
sub fill_usage
{
	my ($node, %size) = @_;
	$node->command_ok([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), (map { ('-v', "$_=$size{$_}") } sort keys %size), '-f', "$ENV{MIROX_TREE}/test/bench/fill_usage.sql" ], 'use of past days is filled in');
	return;
}

1;
