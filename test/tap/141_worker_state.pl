# A worker that fails, is missing or is cut short says so: in mirox.stat, without a word of anybody's data, in the log, and to whoever
# waits in flush(), who never waits for ever. What a database's settings say does not keep it from its work. And maintenance
# holds up no drain.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log shift_open all_due);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('worker_state', conf => "\nmirox_tokens.flush_interval = 200ms\n");
my $wire = wire($node);
my $other = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
my $token = issue($wire, $session, 'token');
sub check { my ($on) = @_; return ($on // $other)->value('SELECT status FROM mirox.verify_token($1, $2, $3)', $token->{secret}, '203.0.113.9', 'curl/8.5.0'); }
sub stat_of { my ($on, @columns) = @_; my ($row) = $on->rows('SELECT ' . join(', ', @columns) . ' FROM mirox.stat'); return join ' | ', map { $_ // '-' } @$row; }
sub flush_says
{
	my ($on) = @_;
	my $began = time;
	my $result = $on->run('SELECT mirox.flush()');
	return ($result->{state} || 'ok', time - $began, $result->{message} // '', $result->{detail} // '');
}
my $worker = "FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker' AND datname = current_database()";
# The launcher may start another at once.
sub anew { my $on = shift; my @old = map { $_->[0] } $on->rows("SELECT pid, pg_terminate_backend(pid) $worker"); for (1 .. 600) { if ($on->value("SELECT count(*) $worker AND pid = ANY (\$1::int[])", '{' . join(',', @old) . '}') == 0) { all_due($on); return; } sleep 0.05; } die 'the worker stays'; }
sub poll { my ($on, $sql) = @_; for (1 .. 200) { return 1 if ($on->value($sql) // '') eq 't'; sleep 0.1; } diag $on->value("SELECT s::text FROM mirox.stat s"); return 0; }

# ---- well ------------------------------------------------------------------------------------------------------------------
call($wire, 'flush');
is(stat_of($wire, qw(worker_state last_error last_error_at failing_since)), 'running | - | - | -', 'a worker runs, and nothing has failed');

# ---- failing: a table that somebody holds ------------------------------------------------------------------------------------
$other->rows('BEGIN');
$other->rows('LOCK TABLE mirox_internal.usage_open IN ACCESS EXCLUSIVE MODE');
check($wire);
my ($state, $took, $message, $detail) = flush_says($wire);
is($state, '55000', 'flush() ends when the worker fails');
cmp_ok($took, '<', 5, "soon ($took s)");
is($message, 'the worker could not write recorded usage', 'and says what');
like($detail, qr/^55P03: canceling statement due to lock timeout/, "with the server's message");
like(stat_of($wire, qw(worker_state last_error)), qr/^failing \| 55P03: could not write recorded usage$/, 'stat has the state and our own words');
is($wire->value('SELECT failing_since <= last_error_at AND last_error_at > now() - $1::interval FROM mirox.stat', '1 minute'), 't', 'and since when');
# The longest pause between two attempts does not keep a caller waiting.
sleep 3;
(($state), $took) = (flush_says($wire))[ 0, 1 ];
is($state, '55000', 'again');
cmp_ok($took, '<', 5, "each call is an attempt ($took s)");
$other->rows('ROLLBACK');
is((flush_says($wire))[0], 'ok', 'and succeeds when it is free');
is(stat_of($wire, qw(worker_state last_error failing_since)), 'running | 55P03: could not write recorded usage | -', 'all is well; what failed last stays');
is($wire->value('SELECT uses FROM mirox.token_report'), 1, 'nothing is lost');

# ---- cancelled ---------------------------------------------------------------------------------------------------------------
my $pid = $wire->value('SELECT worker_pid FROM mirox.stat');
$wire->value('SELECT pg_cancel_backend($1::int)', $pid);
sleep 0.5;
is((flush_says($wire))[0], 'ok', 'a cancel between statements does nothing');
is($wire->value('SELECT worker_pid FROM mirox.stat'), $pid, 'and ends no process');
$other->rows('BEGIN');
$other->rows('LOCK TABLE mirox_internal.usage_open IN ACCESS EXCLUSIVE MODE');
check($wire);
for (1 .. 100) { last if $wire->value("SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE pid = \$1::int AND wait_event_type = 'Lock'", $pid); sleep 0.05; }
ok(poll($wire, "SELECT last_error = '57014: could not write recorded usage' OR last_error LIKE '55P03%' FROM mirox.stat"), 'a statement of its own can be cancelled');
$other->rows('ROLLBACK');
call($wire, 'flush');

# ---- flush() is cancellable, and waits for no worker that does not move -------------------------------------------------------
kill 'STOP', $pid;
$wire->rows("SET statement_timeout = '1s'");
is((flush_says($wire))[0], '57014', 'flush() obeys a timeout while the worker is stopped');
$wire->rows('RESET statement_timeout');
kill 'CONT', $pid;
is((flush_says($wire))[0], 'ok', 'and goes on');

# ---- one step fails for good, the rest goes on: a deferred trigger of the platform's ------------------------------------------
$wire->rows("CREATE FUNCTION public.later() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
$wire->rows('CREATE CONSTRAINT TRIGGER later AFTER INSERT OR DELETE ON mirox_internal.audit_log DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.later()');
is($wire->state("SELECT mirox.put_account('bob', '{parks}')"), 'ok', 'an act obeys a deferred trigger');
my $old = open_session($wire, 'anna');
call($wire, 'close_session', $old);
$wire->rows('SET session_replication_role = replica');
$wire->rows("UPDATE mirox_internal.session SET closed_at = closed_at - interval '40 days', expires_at = expires_at - interval '40 days' WHERE closed_at IS NOT NULL");
$wire->rows('SET session_replication_role = origin');
anew($wire);
check();
is((flush_says($wire))[0], 'ok', 'uses are written');
ok(poll($wire, "SELECT worker_state = 'failing' FROM mirox.stat"), 'the worker fails to take a session away');
is($wire->value('SELECT last_error FROM mirox.stat'), '42501: could not do maintenance', 'and says so');
like(slurp_file($node->logfile), qr/mirox_tokens could not do maintenance, and tries again: cannot fire deferred trigger within security-restricted operation/, 'the log has the message');
check();
is((flush_says($wire))[0], 'ok', 'drains go on');
is(stat_of($wire, 'worker_state'), 'failing', 'and what fails still does');
# Two that fail do not fill the log in turn.
$wire->rows('CREATE CONSTRAINT TRIGGER later AFTER INSERT OR UPDATE ON mirox_internal.token_usage DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.later()');
my $told = () = slurp_file($node->logfile) =~ /, and tries again: /g;
for (1 .. 5) { check(); flush_says($wire); }
my $more = (() = slurp_file($node->logfile) =~ /, and tries again: /g) - $told;
cmp_ok($more, '<=', 2, 'what fails in turn is told once each');
$wire->rows('DROP TRIGGER later ON mirox_internal.token_usage');
$wire->rows('DROP TRIGGER later ON mirox_internal.audit_log');
anew($wire);
call($wire, 'flush');
ok(poll($wire, "SELECT worker_state = 'running' AND failing_since IS NULL FROM mirox.stat"), 'without it all is well again');
is($wire->value('SELECT count(*) FROM mirox_internal.session WHERE closed_at IS NOT NULL'), 0, 'and the session has gone');

# ---- settings of a database that would keep a worker from its work ---------------------------------------------------------------
$node->safe_psql('postgres', 'CREATE DATABASE odd');
my %odd = (lock_timeout => '1ms', statement_timeout => '1ms', default_transaction_read_only => 'on', default_transaction_isolation => 'serializable',
	default_transaction_deferrable => 'on', session_replication_role => 'replica', exit_on_error => 'on', row_security => 'off', enable_indexscan => 'off',
	enable_nestloop => 'off', enable_tidscan => 'off', timezone => 'Asia/Kathmandu', datestyle => 'German', intervalstyle => 'sql_standard',
	standard_conforming_strings => 'off', synchronous_commit => 'off', search_path => 'nowhere', idle_in_transaction_session_timeout => '1ms',
	default_table_access_method => 'elsewhere', default_tablespace => 'elsewhere', temp_tablespaces => 'elsewhere', force_parallel_mode => 'on', max_parallel_workers_per_gather => '8', plan_cache_mode => 'force_custom_plan',
	restrict_nonsystem_relation_kind => 'view,foreign-table', transaction_timeout => '1ms');
my $odd = wire($node, dbname => 'odd');
$odd->rows($_) for 'CREATE EXTENSION mirox_tokens', 'CREATE ACCESS METHOD elsewhere TYPE TABLE HANDLER heap_tableam_handler', 'SET allow_in_place_tablespaces = on',
  "CREATE TABLESPACE elsewhere LOCATION ''";
put_account($odd, 'anna', ['*']);
my $there = issue($odd, open_session($odd, 'anna'), 'token');
for my $name (sort keys %odd)
{
	next unless $wire->value('SELECT count(*) FROM pg_settings WHERE name = $1', $name) || $name eq 'restrict_nonsystem_relation_kind';
	$wire->run("ALTER DATABASE odd SET $name = '$odd{$name}'");
}
cmp_ok($wire->value("SELECT cardinality(setconfig) FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = 'odd')"), '>', 15, 'settings that would break it');
anew($odd);
$odd->value('SELECT status FROM mirox.verify_token($1)', $there->{secret}) for 1 .. 5;
$odd->value('SELECT (mirox.verify_token($1)).status', 'mirox_guess');
is((flush_says($odd))[0], 'ok', 'break nothing');
is($odd->value('SELECT uses FROM mirox.token_report'), 5, 'uses are written');
is($odd->value('SELECT sum(requests) FROM mirox_internal.unauthenticated'), 1, 'and unauthenticated requests');
shift_open($odd, '1 hour');
anew($odd);
call($odd, 'flush');
ok(poll($odd, 'SELECT count(*) = 1 FROM mirox_internal.usage_minute'), 'minutes close');
is($odd->value("SELECT count(*) FILTER (WHERE reltablespace = 0 AND (relkind = 'i' OR relam = (SELECT oid FROM pg_am WHERE amname = 'heap'))) - count(*) FROM pg_class
    WHERE relnamespace = 'mirox_internal'::regnamespace AND relname ~ '^usage_minute_'"), 0, 'in partitions where the other tables are');
ok(poll($odd, "SELECT worker_state IN ('running', 'idle') AND flush_failures = 0 FROM mirox.stat"), 'nothing has failed');
$odd->close;
$node->safe_psql('postgres', $_) for 'DROP DATABASE odd', 'DROP TABLESPACE elsewhere';

# ---- long maintenance holds up no drain -------------------------------------------------------------------------------
# Old rows of many kinds, written as a restore would; triggers of the worker's own statements would find them.
$wire->rows('SET session_replication_role = replica');
$wire->rows("INSERT INTO mirox_internal.audit_log (node, audit_id, at, event) SELECT 9, i, '2020-01-01', 'token_issued' FROM generate_series(1, 200000) i");
$wire->rows("INSERT INTO mirox_internal.token_usage SELECT 1000000 + i, 1, 1, 0, '2020-01-01' FROM generate_series(1, 30000) i");
$wire->rows("INSERT INTO mirox_internal.unauthenticated SELECT 9, 9, i, date_trunc('minute', now()) - interval '3 hours' + (i % 60) * interval '1 minute', NULL, NULL, 401, 'unknown', 1, now(), now() FROM generate_series(1, 60000) i");
$wire->rows('SET session_replication_role = origin');
$node->append_conf('postgresql.conf', "mirox_tokens.audit_retention = '30 days'\nmirox_tokens.day_retention = '30 days'");
$node->reload;
my $before = $wire->value('SELECT count(*) FROM mirox_internal.audit_log');
anew($wire);
my ($longest, $during, $began) = (0, 0, time);
until ($wire->value('SELECT (SELECT count(*) FROM mirox_internal.audit_log WHERE node = 9) + (SELECT count(*) FROM mirox_internal.token_usage WHERE token_id > 1000000) = 0') eq 't' || time - $began > 120)
{
	check();
	my ($how, $long) = flush_says($wire);
	is($how, 'ok', 'flush() in the midst of it') if $how ne 'ok';
	$longest = $long if $long > $longest;
	$during++;
}
cmp_ok($during, '>', 3, "$during calls of flush() during retention of $before acts");
cmp_ok($longest, '<', 2.5, "none takes long ($longest s)");
is($wire->value('SELECT count(*) FROM mirox_internal.token_usage WHERE token_id > 1000000'), 0, 'all that is old has gone');
is($wire->value('SELECT sum(requests) FROM mirox_internal.unauthenticated WHERE serial < 100000 OR ring_id = 0'), 60000, 'unauthenticated requests are folded');
cmp_ok($wire->value('SELECT count(*) FROM mirox_internal.unauthenticated'), '<', 15000, 'into few rows');

clean_log($node);
$_->close for $wire, $other;
$node->stop;

# ---- missing: no slot for a worker, or for the launcher -----------------------------------------------------------------------
# The launcher of logical replication takes the first one.
for my $slots (1, 2)
{
	my $log = -s $node->logfile;
	$node->append_conf('postgresql.conf', "max_worker_processes = $slots\n");
	$node->start;
	$wire = wire($node);
	check($wire);
	($state, $took, $message, $detail) = flush_says($wire);
	is($state, '55000', "max_worker_processes = $slots: flush() ends");
	cmp_ok($took, '<', 20, "within a bound ($took s)");
	is($message, 'no worker writes recorded uses of this database', 'says why');
	is(stat_of($wire, qw(worker_state worker_pid)), 'missing | -', 'and so does stat');
	my $said = substr slurp_file($node->logfile), $log;
	my @warned = $said =~ /WARNING:  mirox_tokens (?:has no|could not start).*/g;
	cmp_ok(scalar(@warned), '>=', 1, 'the log warns at the start');
	cmp_ok(scalar(@warned), '<=', 2, 'and seldom: ' . join ' / ', @warned);
	$wire->close;
	$node->stop;
}
$node->append_conf('postgresql.conf', "max_worker_processes = 8\n");
$node->start;
$wire = wire($node);
is((flush_says($wire))[0], 'ok', 'with room again it is written');
is(stat_of($wire, qw(worker_state events_waiting)), 'running | 0', 'nothing was lost');
$wire->close;
$node->stop;
done_testing();
