# The store by time: each use stands once in minutes, hours, days, traffic and totals, also when it comes days late; partitions are made
# as tables that dump and restore; nobody changes what is closed, except mirox.erase_traces().
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log contents shift_open);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('store', conf => "\nmirox_tokens.flush_interval = 200ms\nmirox_tokens.minute_retention = 400\n");
my $wire = wire($node);
$wire->rows('CREATE PUBLICATION everything FOR ALL TABLES');
$wire->rows('CREATE ROLE reader');
$wire->rows('GRANT SELECT ON mirox_internal.usage_minute, mirox_internal.token_day TO reader');
$wire->rows('ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC');
put_account($wire, $_, ['parks']) for qw(anna carl);
my %session = map { $_ => open_session($wire, $_) } qw(anna carl);
my @tokens = map { issue($wire, $session{$_}, 'token') } qw(anna carl);

sub worker_gone { return $node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'"); }
# A worker that comes anew closes what is over.
sub close_minutes
{
	$wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
	worker_gone();
	call($wire, 'flush');
	return $node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM mirox_internal.usage_open') && $node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM mirox_internal.unsummed_minute_use WHERE minute < date_trunc('hour', now()) - interval '2 hours')
		    AND NOT EXISTS (SELECT FROM mirox_internal.unsummed_hour_use WHERE hour < date_trunc('day', now(), 'UTC'))");
}
my %sent = (uses => 0, refusals => 0, sessions => 0);
sub some_use
{
	for my $token (@tokens)
	{
		for my $n (1 .. 3) { call($wire, 'verify_token', $token->{secret}, "203.0.113.$n", 'curl/8.5.0', 'parks'); $sent{uses}++; }
		for my $n (1 .. 2) { call($wire, 'verify_token', $token->{secret}, '2001:db8::7', 'Wget/1.21.3', 'reports'); $sent{refusals}++; }
	}
	for (1 .. 2) { call($wire, 'check_request', "Bearer $session{anna}", 'GET', '/nowhere', '192.0.2.9', 'curl/8.5.0'); $sent{sessions}++; }
	return call($wire, 'flush');
}
sub sum_of { my ($table, $column) = @_; $column //= 'requests'; return $wire->value("SELECT COALESCE(sum($column), 0) FROM $table"); }
sub told
{
	my $name = shift;
	my $all = $sent{uses} + $sent{refusals} + $sent{sessions};
	is(sum_of('mirox_internal.minute_use') + sum_of('mirox_internal.minute_refusal'), $all, "$name: minutes");
	is(sum_of("(SELECT requests FROM mirox_internal.hour_use UNION ALL SELECT requests FROM mirox_internal.hour_refusal) x"), $all, "$name: hours");
	is(sum_of("(SELECT requests FROM mirox_internal.day_use UNION ALL SELECT requests FROM mirox_internal.day_refusal) x"), $all, "$name: days");
	is(sum_of('mirox_internal.traffic_hour') + sum_of('mirox_internal.open_use'), $all, "$name: traffic");
	is(sum_of('mirox.token_report', 'uses') . ' ' . sum_of('mirox.token_report', 'refusals'), "$sent{uses} $sent{refusals}", "$name: totals of tokens");
	return;
}

# ---- minutes, hours, days ------------------------------------------------------------------------------------------------------
some_use();
told('open');
my $closed = 0;
for my $span ('3 days', '3 days', '40 days', '1 hour', '70 days')
{
	shift_open($wire, $span);
	ok(close_minutes(), "use of $span ago is closed and added up");
	told("after use of $span ago");
	$closed++;
	some_use();
}
my $days = $closed - 1;    # all but that of an hour ago
is(sum_of('mirox_internal.token_day'), 12 * $days, 'days without callers have all of a day');
is(sum_of('mirox_internal.account_day', 'uses') . ' ' . sum_of('mirox_internal.account_day', 'refusals'), 6 * $days . ' ' . 6 * $days, 'and the accounts');
is($wire->value("SELECT count(*) FROM mirox_internal.traffic_hour WHERE hour < now() - interval '2 days' AND kind = 'token' AND status = 200 AND hour > now() - interval '4 days'"), 2, 'a late use adds a row');

# ---- partitions ------------------------------------------------------------------------------------------------------------------
my $partitions = "FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace n ON n.oid = p.relnamespace WHERE n.nspname = 'mirox_internal' AND c.relkind = 'r'";
cmp_ok($wire->value("SELECT count(*) $partitions"), '>=', 12, 'partitions were made');
is($wire->value("SELECT string_agg(c.relname, ' ') $partitions AND EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')"), undef, 'none is a member');
is($wire->value("SELECT string_agg(c.relname, ' ') $partitions AND (c.relreplident <> 'f' OR (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled = 'A') <> 2)"), undef, 'each has its guards and its identity');
is($wire->value("SELECT string_agg(DISTINCT p.relname, ' ' ORDER BY p.relname) $partitions AND has_table_privilege('reader', c.oid, 'SELECT')"), 'token_day usage_minute', 'and the readers of its parent');
is($wire->value("SELECT string_agg(c.relname, ' ') $partitions AND EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee = 0)"), undef, 'and nobody else');
is($wire->value("SELECT string_agg(x.tables, ', ') FROM (SELECT string_agg(c.relname, ' ') AS tables $partitions GROUP BY (SELECT min(t.xmin::text) FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = c.relname || '_no_truncate') HAVING count(*) > 1) x"), undef,
	'each is made in a transaction of its own, so that a drain waits for one');
my $one = $wire->value("SELECT c.oid::regclass::text $partitions AND p.relname = 'usage_minute' ORDER BY 1 LIMIT 1");
for my $table ('mirox_internal.usage_minute', $one)
{
	is($wire->state("UPDATE $table SET requests = 0"), '42501', "$table is not updated");
	is($wire->state("DELETE FROM $table"), '42501', 'nor deleted from');
	is($wire->state("TRUNCATE $table"), '42501', 'nor truncated');
	$wire->rows('SET session_replication_role = replica');
	is($wire->state("DELETE FROM $table"), '42501', 'nor where triggers are off');
	$wire->rows('SET session_replication_role = origin');
}

# A level that is being revoked while a partition is made. The worker waits, drains go on.
$wire->rows('CREATE ROLE keeper');
$wire->rows(q(SELECT mirox.grant_access('keeper', 'backup')));
my $readable = "SELECT string_agg(c.oid::regclass::text, ' ') $partitions AND has_table_privilege('keeper', c.oid, 'SELECT')";
isnt($wire->value($readable), undef, 'level backup reads partitions');
shift_open($wire, '300 days');
my $revoking = wire($node);
$revoking->rows('BEGIN');
$revoking->rows(q(SELECT mirox.revoke_access('keeper', 'backup')));
my $had = $wire->value("SELECT count(*) $partitions");
$wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
worker_gone();
some_use();
ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'object' AND NOT granted)"), 'a new partition waits for a level that is being revoked');
some_use();
$revoking->rows('COMMIT');
ok(close_minutes(), 'then it is made');
cmp_ok($wire->value("SELECT count(*) $partitions"), '>', $had, 'with others');
is($wire->value($readable), undef, 'and does not keep the level');
told('after that');

$wire->rows('ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC');

# ---- dump and restore ----------------------------------------------------------------------------------------------------------------
my $shape = "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), c.relreplident, COALESCE(c.relacl, acldefault('r', c.relowner)),
	(SELECT string_agg(pg_get_indexdef(x.indexrelid), E'\\n' ORDER BY pg_get_indexdef(x.indexrelid) COLLATE \"C\") FROM pg_index x WHERE x.indrelid = c.oid),
	(SELECT string_agg(format('%s %s', t.tgname, t.tgenabled), ' ' ORDER BY t.tgname COLLATE \"C\") FROM pg_trigger t WHERE t.tgrelid = c.oid) $partitions ORDER BY c.relname COLLATE \"C\"";
sub state_of
{
	my $db = shift;
	# The worker goes on with what is open, so it is left alone.
	my $rows = join "\n", map { $node->safe_psql($db, "SELECT '$_', count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")) FROM mirox_internal.$_ t") }
	  qw(usage_minute refusal_minute usage_hour refusal_hour usage_day refusal_day token_day account_day traffic_hour usage_open usage_summed account_name agent used_scope used_endpoint);
	return $node->safe_psql($db, $shape) . "\n$rows";
}
call($wire, 'flush');
shift_open($wire, '3 hours');
close_minutes();
my $whole = state_of('postgres');
my $dir = PostgreSQL::Test::Utils::tempdir();
my @at = ('-h', $node->host, '-p', $node->port);
$node->command_ok([ 'pg_dump', @at, '-f', "$dir/plain.sql", 'postgres' ], 'pg_dump, plain');
$node->command_ok([ 'pg_dump', @at, '-Fc', '-f', "$dir/custom", 'postgres' ], 'custom');
my $later = state_of('postgres');
$node->command_ok([ 'pg_dump', @at, '--clean', '--if-exists', '-f', "$dir/clean.sql", 'postgres' ], 'with --clean');
$node->command_ok([ 'pg_dump', @at, '-a', '-Fc', '-f', "$dir/data", 'postgres' ], 'data only');
$node->safe_psql('postgres', "CREATE DATABASE $_") for qw(plain custom);
$node->command_ok([ 'psql', @at, '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/plain.sql", 'plain' ], 'restored in one transaction');
is(state_of('plain'), $whole, 'the same rows, bounds, indexes, triggers and grants');
$node->command_ok([ 'pg_restore', @at, '-e', '-j', '2', '-d', 'custom', "$dir/custom" ], 'restored in parallel');
is(state_of('custom'), $whole, 'the same');
$node->command_ok([ 'psql', @at, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', "$dir/clean.sql", 'plain' ], 'restored over what is there');
is(state_of('plain'), $later, 'the same');
is($node->safe_psql('plain', 'SELECT sum(requests) FROM mirox.usage_daily'), $wire->value('SELECT sum(requests) FROM mirox.usage_daily'), 'the views show the same');
$node->safe_psql('custom', 'DROP EXTENSION mirox_tokens');
is($node->safe_psql('custom', "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'mirox%'"), 0, 'DROP EXTENSION takes the partitions along');

# ---- traces --------------------------------------------------------------------------------------------------------------------------
is($wire->state("SELECT mirox.erase_traces('nobody')"), 'P0002', 'nobody of that name');
my @stores = qw(usage_minute refusal_minute usage_hour refusal_hour usage_day refusal_day);
my %account = map { $_ => $wire->value('SELECT account_id FROM mirox_internal.account_name WHERE user_id = $1', $_) } qw(anna carl);
# How many rows of an account still have traces, by what they are in; only those before an instant.
sub traces
{
	my ($account, $before) = @_;
	return join ' ', grep { $_ } map { my ($n, $name) = ($wire->value($_->[1], $account, $before // 'infinity'), $_->[0]); $n ? "$name $n" : '' }
	  (map { [ $_, "SELECT count(*) FROM mirox_internal.$_ WHERE account_id = \$1 AND first_at < \$2::timestamptz AND num_nonnulls(ip, agent_id, place_id) > 0" ] } @stores, 'open_use'),
	  [ 'session', 'SELECT count(*) FROM mirox_internal.session WHERE account_id = $1 AND opened_at < $2::timestamptz AND num_nonnulls(client_ip, user_agent) > 0' ],
	  [ 'token_usage', 'SELECT count(*) FROM mirox_internal.token_usage u JOIN mirox_internal.audit_log l ON l.token_id = u.token_id AND l.event = \'token_issued\' AND l.account_id = $1 WHERE last_used_at < $2::timestamptz AND num_nonnulls(last_ip, last_agent_id, last_place_id) > 0' ],
	  [ 'audit_log', 'SELECT count(*) FROM mirox_internal.audit_log WHERE account_id = $1 AND at < $2::timestamptz AND (num_nonnulls(ip, user_agent) > 0 OR detail ?| \'{client_ip,user_agent,ip}\')' ];
}
sub finished { my $id = shift; call($wire, 'flush'); return $node->poll_query_until('postgres', "SELECT bool_and(finished_at IS NOT NULL) FROM mirox.erasures WHERE erasure_id = $id"); }

$wire->rows(q(SELECT mirox.open_session('carl', client_ip => '192.0.2.7', user_agent => 'Wget')));
my $ago = $wire->value("SELECT now() - interval '10 days'");
my $newer = traces($account{carl});
like($newer, qr/usage_day .*refusal_day .*session 1 .*audit_log/, 'what there is');
my $erasure = call($wire, 'erase_traces', 'carl', $ago)->[0];
ok(finished($erasure), 'older traces of a living account') or note 'rows';
is(traces($account{carl}, $ago), '', 'are gone');
like(traces($account{carl}), qr/usage_day .*session 1 .*audit_log/, 'newer ones stay');
cmp_ok($wire->value('SELECT rows FROM mirox.erasures WHERE user_id = $1 AND until = $2', 'carl', $ago), '>', 0, 'how many rows');

# A worker that stops comes back to it; what waits in the ring, what is open, and a session go too.
some_use();
for my $token (@tokens) { call($wire, 'verify_token', $token->{secret}, '203.0.113.77', 'curl/8.5.0', 'parks'); $sent{uses}++; }
my $other = wire($node);
$other->rows($_) for 'BEGIN', 'LOCK TABLE mirox_internal.audit_log IN SHARE MODE';
my $now = $wire->value('SELECT clock_timestamp()');
$other->rows('SELECT mirox.erase_traces($1, $2)', 'carl', $now);
$erasure = $other->value('SELECT max(erasure_id) FROM mirox.erasures');
$other->rows('COMMIT');
$other->rows($_) for 'BEGIN', 'LOCK TABLE mirox_internal.audit_log IN SHARE MODE';
call($wire, 'flush');
ok($node->poll_query_until('postgres', "SELECT stage = 7 FROM mirox_internal.erasure WHERE erasure_id = $erasure"), 'acts are held by somebody');
is($wire->value('SELECT finished_at FROM mirox.erasures WHERE erasure_id = $1', $erasure), undef, 'so it is not finished');
$wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
worker_gone();
$other->rows('COMMIT');
$other->close;
ok(finished($erasure), 'the next worker ends it');
is(traces($account{carl}, $now), '', 'all traces of a living account are gone');
is($wire->value('SELECT count(*) FROM mirox.sessions WHERE user_id = $1', 'carl'), 2, 'its sessions stay');

told('counts stay');
my $all = sum_of('mirox.usage_daily');
call($wire, 'delete_account', 'anna');
$erasure = $wire->value("SELECT mirox.erase_traces('anna')");
is($wire->value("SELECT count(*) FROM mirox_internal.account_name WHERE user_id = 'anna'"), 0, 'a former account has no name at once');
ok(finished($erasure), 'and is erased');
is(traces($account{anna}), '', 'all of it');
is($wire->value("SELECT count(*) FROM mirox_internal.audit_log WHERE user_id = 'anna' OR detail::text ~ 'anna'"), 0, 'in no act either');
is($wire->value("SELECT count(*) FROM mirox_internal.audit_log WHERE event = 'traces_erased'"), 3, 'what was erased is told');
is($wire->value("SELECT count(*) FROM mirox_internal.audit_log WHERE event = 'session_changed'"), 0, 'and nothing else');
is(sum_of('mirox.usage_daily'), $all, 'counts stay');
is($wire->state("SELECT mirox.erase_traces('anna')"), 'P0002', 'the second time there is nobody');

# A use that comes late, as after a crash, brings nothing back. Its account lives again by the old id.
my $secret = $tokens[1]{secret};
# No drain may come before the crash.
my $holds = wire($node);
$holds->rows($_) for 'BEGIN', 'LOCK TABLE mirox_internal.usage_open IN EXCLUSIVE MODE';
call($wire, 'verify_token', $secret, '203.0.113.88', 'late/1', 'parks');
$wire->rows('SET session_replication_role = replica');
$wire->rows('UPDATE mirox_internal.erasure SET until = now() + interval \'1 hour\' WHERE account_id = $1', $account{carl});
$wire->rows('SET session_replication_role = origin');
$node->stop('immediate');
$node->start;
$wire = wire($node);
call($wire, 'flush');
is($wire->value("SELECT count(*) FROM mirox_internal.agent WHERE agent = 'late/1'") . traces($account{carl}), '0', 'a use that comes late brings no traces');
is(sum_of('mirox.usage_daily'), $all + 1, 'and is counted');
is($wire->value('SELECT last_error FROM mirox.stat'), undef, 'nothing has failed');
clean_log($node);
$wire->close;
$node->stop;
done_testing();
