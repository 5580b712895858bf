# Under a publication FOR ALL TABLES, which tools of replication make, every UPDATE and DELETE needs to know rows by something. None of
# our statements fails: drains, minutes that close, folding, retention, notices, and all of management.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate clean_log broken shift_open all_due);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('publication', conf => "\nwal_level = logical\nmirox_tokens.flush_interval = 200ms\n");
my $wire = wire($node);
$wire->rows('CREATE PUBLICATION everything FOR ALL TABLES');

# ---- by the catalog ----------------------------------------------------------------------------------------------------------
is($wire->value(<<'SQL'), undef, 'every table of ours has something to know its rows by');
SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'mirox_tokens'
WHERE c.relkind IN ('r', 'p') AND NOT (c.relreplident = 'f' OR c.relreplident = 'd' AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
SQL
cmp_ok($wire->value("SELECT count(*) FROM pg_publication_tables WHERE schemaname = 'mirox_internal'"), '>=', 18, 'all are published');

# ---- management --------------------------------------------------------------------------------------------------------------
put_account($wire, $_, ['*']) for 'anna', 'bob';
my $session = open_session($wire, 'anna');
my $token = issue($wire, $session, 'token');
my $again = rotate($wire, $session, $token->{token_id}, '1 hour');
my $soon = issue($wire, $session, 'soon', expires_at => $wire->value("SELECT clock_timestamp() + interval '5 days'"));
call($wire, 'put_group', 'maps', ['maps'], undef);
call($wire, 'put_endpoint', 'GET', '/maps', 'maps:read');
is($wire->state("SELECT mirox.put_group('maps', '{maps:read}')"), 'ok', 'a group is changed');
is($wire->state("SELECT mirox.drop_group('maps')"), 'ok', 'and dropped');
is($wire->state("SELECT mirox.drop_endpoint('GET', '/maps')"), 'ok', 'and an endpoint');
is($wire->state("SELECT mirox.lock_account('bob')"), 'ok', 'an account is locked');
is($wire->state("SELECT mirox.delete_account('bob')"), 'ok', 'and deleted');
is($wire->state("SELECT mirox.close_session('" . open_session($wire, 'anna') . "')"), 'ok', 'a session is closed');

# ---- the worker --------------------------------------------------------------------------------------------------------------
$wire->value('SELECT status FROM mirox.verify_token($1, $2, $3, $4)', $again->{secret}, '203.0.113.9', 'curl/8.5.0', 'parks') for 1 .. 5;
$wire->value('SELECT status FROM mirox.verify_token($1, $2)', 'mirox_guess', '198.51.100.7');
is($wire->state('SELECT mirox.flush()'), 'ok', 'drains');
is($wire->state('SELECT mirox.flush()'), 'ok', 'again, unauthenticated requests updated');
is($wire->value('SELECT count(*) FROM mirox_internal.notice'), 2, 'notices');
sub anew
{
	$wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'") or die;
	all_due($wire);
	return call($wire, 'flush');
}
sub by_hand { $wire->rows('SET session_replication_role = replica'); $wire->rows($_) for @_; $wire->rows('SET session_replication_role = origin'); return; }
sub poll { return $node->poll_query_until('postgres', shift); }
for my $round (1 .. 2)
{
	shift_open($wire, '1 hour');
	anew();
	ok(poll("SELECT count(*) = $round FROM mirox_internal.usage_minute"), "round $round: the minute closes");
	is($wire->value('SELECT count(*) FROM mirox_internal.usage_open'), 0, 'and is open no longer');
	ok(poll('SELECT sum(requests) = ' . 5 * $round . ' FROM mirox_internal.usage_hour'), 'it is added up into its hour');
	is($wire->value('SELECT sum(uses) FROM mirox_internal.token_usage'), 5 * $round, 'tokens are updated');
	$wire->value('SELECT status FROM mirox.verify_token($1, $2, $3, $4)', $again->{secret}, '203.0.113.9', 'curl/8.5.0', 'parks') for 1 .. 5;
	call($wire, 'flush');
}
shift_open($wire, '400 days');
anew();
ok(poll('SELECT count(*) = 0 FROM mirox_internal.usage_open'), 'late uses are written');
is($wire->state("SELECT mirox.erase_traces('anna')"), 'ok', 'traces are erased');
by_hand(
	"UPDATE mirox_internal.audit_log SET at = at - interval '400 days' WHERE event = 'account_locked'",
	"INSERT INTO mirox_internal.token_usage VALUES (1000, 1, 1, 0, '2020-01-01')",
	"INSERT INTO mirox_internal.unauthenticated SELECT 9, 9, i, '2020-01-01', NULL, NULL, 401, 'unknown', 1, '2020-01-01', '2020-01-01' FROM generate_series(1, 10) i",
	"INSERT INTO mirox_internal.unauthenticated SELECT 9, 9, 100 + i, date_trunc('minute', now()) - interval '1 hour', NULL, NULL, 401, 'unknown', 1, now(), now() FROM generate_series(1, 500) i",
	"INSERT INTO mirox_internal.unauthenticated SELECT 9, 9, 1000 + i, date_trunc('hour', now()) - interval '30 hours', NULL, NULL, 401, 'unknown', 1, now(), now() FROM generate_series(1, 500) i",
	"INSERT INTO mirox_internal.drain_position VALUES (9, 9, 9, 9, '2020-01-01')",
	"INSERT INTO mirox_internal.notice VALUES (9, '2020-01-01', 9, '2020-01-01')",
	"INSERT INTO mirox_internal.agent (agent, key, resolved, seen_on) VALUES ('Wget/1.21.3', 9, false, current_date)",
	"UPDATE mirox_internal.session SET closed_at = closed_at - interval '40 days', expires_at = expires_at - interval '40 days' WHERE closed_at IS NOT NULL");
$node->append_conf('postgresql.conf', join '', map { "mirox_tokens.$_ = '30 days'\n" } qw(audit_retention hour_retention day_retention));
$node->reload;
anew();
my %gone = (
	'hours' => "SELECT count(*) = 0 FROM mirox_internal.usage_hour WHERE hour < now() - interval '390 days'",
	'days' => 'SELECT count(*) = 0 FROM mirox_internal.usage_day WHERE day < current_date - 390', 'audit rows' => "SELECT count(*) = 0 FROM mirox_internal.audit_log WHERE event = 'account_locked'",
	'totals of tokens that are gone' => 'SELECT count(*) = 0 FROM mirox_internal.token_usage WHERE token_id = 1000', 'old unauthenticated requests' => "SELECT count(*) = 0 FROM mirox_internal.unauthenticated WHERE minute < '2021-01-01'",
	'unauthenticated requests of a minute beyond two hundred' => "SELECT count(*) = 201 AND sum(requests) = 500 FROM mirox_internal.unauthenticated WHERE minute = (SELECT minute FROM mirox_internal.unauthenticated WHERE serial > 100 AND serial <= 600 AND node = 9 LIMIT 1)",
	'unauthenticated requests of an hour beyond two hundred' => "SELECT count(*) = 201 AND sum(requests) = 500 FROM mirox_internal.unauthenticated WHERE minute < now() - interval '25 hours'",
	'old positions' => 'SELECT count(*) = 0 FROM mirox_internal.drain_position WHERE ring_id = 9', 'old notices' => 'SELECT count(*) = 0 FROM mirox_internal.notice WHERE token_id = 9',
	'agents that were not resolved' => 'SELECT bool_and(resolved) FROM mirox_internal.agent', 'ended sessions' => 'SELECT count(*) = 0 FROM mirox_internal.session WHERE closed_at IS NOT NULL');
ok(poll($gone{$_}), "$_ go") for sort keys %gone;
is($wire->value('SELECT flush_failures FROM mirox.stat'), 0, 'nothing has failed');
is($wire->value('SELECT last_error FROM mirox.stat'), undef, 'at any time');
is(broken($wire), '', 'all is as it must be');
clean_log($node);
$wire->close;
$node->stop;
done_testing();
