# An erasure goes through the store by the account's index, some rows in a transaction, however many rows stand in one hour or day. An
# account is known as erased as soon as that is ordered.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log);
use Mirox::Fill qw(make_partitions fill_usage);
use Test::More;

my $node = new_node('erasure', conf => "\nmirox_tokens.flush_interval = 600s\nautovacuum = off\n");
my $wire = wire($node);
put_account($wire, 'anna', ['parks']);
my $token = issue($wire, open_session($wire, 'anna'), 'token');
ok(make_partitions($node, $wire, $token->{secret}), 'the worker makes partitions');
fill_usage($node, rows => 60_000, days => 1, tokens => 100, accounts => 2, addresses => 60_000, acts => 50_000);
my ($many, $other, $few) = map { 1_000_000_000 + $_ } 1 .. 3;
my @stores = qw(usage_minute refusal_minute usage_hour refusal_hour usage_day refusal_day);
$wire->rows('INSERT INTO mirox_internal.account_name VALUES ($1, $2)', $few, 'few');
for my $store (@stores) { $wire->rows("INSERT INTO mirox_internal.$store SELECT (jsonb_populate_record(u, jsonb_build_object('account_id', $few, 'token_id', 7))).* FROM mirox_internal.$store u WHERE account_id = $many LIMIT 3"); }
$wire->rows('INSERT INTO mirox_internal.token_usage (token_id, generation, uses, last_used_at, last_ip) SELECT 1000000000 + i, 1, 1, now() - interval \'1 day\', $1 FROM generate_series(1, 100) i', '192.0.2.1');
# The tokens of the acts that are filled in are other ones.
$wire->rows($_) for 'SET session_replication_role = replica', 'UPDATE mirox_internal.audit_log SET token_id = NULL WHERE node = 1000', 'SET session_replication_role = origin', 'VACUUM (ANALYZE)';

sub traces { my $account = shift; return join ' ', map { $wire->value("SELECT count(*) FROM mirox_internal.$_ WHERE account_id = \$1 AND num_nonnulls(ip, agent_id, place_id) > 0", $account) } @stores; }
sub acts { return $wire->value('SELECT count(*) FROM mirox_internal.audit_log WHERE account_id = $1 AND ip IS NOT NULL', shift); }
sub finished { my $id = shift; call($wire, 'flush'); return $node->poll_query_until('postgres', "SELECT bool_and(finished_at IS NOT NULL) FROM mirox.erasures WHERE erasure_id = $id"); }
# What scans of the store and the acts have read so far: rows of tables in their order, and entries of indexes.
sub reads
{
	my $of = "WHERE schemaname = 'mirox_internal' AND relname ~ '^(usage|refusal|token)_(minute|hour|day)|^audit_log'";
	return map { $_ // 0 } map { @$_ } $wire->rows("SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables $of), (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes $of)");
}

# ---- its own rows alone ----------------------------------------------------------------------------------------------------------
call($wire, 'flush');
$node->poll_query_until('postgres', q(SELECT count(*) = 0 FROM mirox_internal.upkeep WHERE due <= now())) or die 'maintenance goes on';
is(traces($few), '3 3 3 3 3 3', 'an account with few rows');
my @before = reads();
my $erasure = $wire->value(q(SELECT mirox.erase_traces('few')));
ok(finished($erasure), 'is erased');
my @after = reads();
is($after[0] - $before[0], 0, 'reading no table whole');
cmp_ok($after[1] - $before[1], '<', 1000, 'and of indexes little more than its own rows');
is(traces($few), '0 0 0 0 0 0', 'all of it');

# ---- some rows in a transaction ----------------------------------------------------------------------------------------------------
my $day = $wire->value('SELECT count(*) FROM mirox_internal.usage_day WHERE account_id = $1', $many);
cmp_ok($day, '>', 25_000, "an account has $day rows on one day");
my @kept = (traces($other), acts($other));
ok(finished($wire->value(q(SELECT mirox.erase_traces('filled-1')))), 'it is erased');
is(traces($many) . ' ' . acts($many), '0 0 0 0 0 0 0', 'all of it');
for my $store (@stores, 'audit_log')
{
	my $most = $wire->value("SELECT max(n) FROM (SELECT count(*) AS n FROM mirox_internal.$store WHERE account_id = \$1 GROUP BY xmin::text) t", $many);
	cmp_ok($most, '<=', 20_000, "$store: $most rows in one transaction");
}
is(join(' ', traces($other), acts($other)), "@kept", 'another account keeps its traces');
is($wire->value('SELECT count(*) FROM mirox_internal.token_usage WHERE token_id % 2 = 0 AND token_id > 1000000000 AND last_ip IS NOT NULL'), 0, 'the last use of its tokens goes, which are no more');
is($wire->value('SELECT count(*) FROM mirox_internal.token_usage WHERE token_id % 2 = 1 AND token_id > 1000000000 AND last_ip IS NOT NULL'), 50, 'not that of others');

# ---- an order that waits ---------------------------------------------------------------------------------------------------------
# While somebody holds an act of the account before, the next order waits. A use that is drained meanwhile brings no traces.
my $anna = $wire->value(q(SELECT account_id FROM mirox_internal.account WHERE user_id = 'anna'));
my $holds = wire($node);
$holds->rows('BEGIN');
$holds->rows('SELECT FROM mirox_internal.audit_log WHERE account_id = $1 ORDER BY at DESC LIMIT 1 FOR UPDATE', $other);
my $first = $wire->value(q(SELECT mirox.erase_traces('filled-2')));
call($wire, 'flush');
ok($node->poll_query_until('postgres', "SELECT stage = 7 FROM mirox_internal.erasure WHERE erasure_id = $first"), 'the first order cannot be ended');
call($wire, 'verify_token', $token->{secret}, '203.0.113.88', 'late/1', 'parks');
call($wire, 'delete_account', 'anna');
my $second = $wire->value(q(SELECT mirox.erase_traces('anna')));
call($wire, 'flush');
is(join(' ', map { @$_ } $wire->rows('SELECT count(*), coalesce(sum(num_nonnulls(ip, agent_id, place_id)), 0) FROM mirox_internal.open_use WHERE account_id = $1', $anna)), '1 0', 'a use of the second is drained without traces');
is($wire->value('SELECT count(*) FROM mirox_internal.agent WHERE agent = $1', 'late/1'), 0, 'and without its agent');
is($wire->value('SELECT stage FROM mirox_internal.erasure WHERE erasure_id = $1', $second), 0, 'before its erasure has begun');
$holds->rows('ROLLBACK');
ok(finished($first) && finished($second), 'both are ended');
is(traces($anna) . ' ' . traces($other), '0 0 0 0 0 0 0 0 0 0 0 0', 'all is gone');
$_->close for $wire, $holds;
clean_log($node);
$node->stop;
done_testing();
