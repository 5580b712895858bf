# A ring far too small and a worker that is stopped: checks go on without waiting, and what found no room is counted exactly (answered =
# recorded + dropped), also for its token. When the worker comes back, so does recording.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('full', conf => "\nmirox_tokens.ring_size = 1MB\nmirox_tokens.flush_interval = 1s\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
my $secret = issue($wire, $session, 'token')->{secret};
my $warm = issue($wire, $session, 'warm')->{secret};
$wire->rows('SELECT * FROM mirox.verify_token($1)', $warm);
call($wire, 'flush');
my $worker = $wire->value('SELECT worker_pid FROM mirox.stat');
ok($worker, 'a worker runs');
call($wire, 'stat_reset');
kill 'STOP', $worker;

my ($clients, $each) = (8, 1200);
my $script = PostgreSQL::Test::Utils::tempdir() . '/verify.sql';
append_to_file($script, "SELECT 1 / (status = 200)::int FROM mirox.verify_token('$secret', '203.0.113.7', 'bench', 'parks:read');\n");
my $began = time;
$node->command_ok([ 'pgbench', '-n', '-c', $clients, '-j', '2', '-t', $each, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'checks go on while the worker is stopped');
my $took = time - $began;
my $answered = $clients * $each;
my ($stat) = $wire->rows('SELECT checks, ok, events_waiting, events_dropped, ring_used FROM mirox.stat');
is($stat->[0], $answered, 'stat counts every check');
cmp_ok($stat->[3], '>', 0, "$stat->[3] of $answered found no room");
cmp_ok($stat->[2], '>', 0, "$stat->[2] wait");
is($stat->[2] + $stat->[3], $answered, 'answered = waiting + dropped');
is($wire->value('SELECT uses FROM mirox.token_report WHERE name = $1', 'token'), $answered, 'the token counts all, also what was dropped');
sub doctor_says { return join ', ', map { join ' ', @$_ } $wire->rows(q(SELECT name, state, found FROM mirox.doctor() WHERE name IN ('ring', 'lost_events') ORDER BY 1)); }
is(doctor_says(), "lost_events warning $stat->[3], ring error 1", 'doctor() finds the full ring, and what it lost');
# 5 ms a second at most; on a slow machine the checks themselves take most of it.
cmp_ok($took, '<', 30, "no check waited long ($took s)");
kill 'CONT', $worker;
call($wire, 'flush');
my $recorded = $wire->value('SELECT sum(requests) FROM mirox.usage_daily WHERE scope IS NOT NULL');
is($recorded + $wire->value('SELECT events_dropped FROM mirox.stat'), $answered, 'answered = recorded + dropped');
is(doctor_says(), "lost_events warning $stat->[3], ring ok 0", 'doctor() finds room again');
is($wire->value('SELECT events_flushed FROM mirox.stat'), $recorded, 'flushed are the recorded');
is($wire->value('SELECT uses FROM mirox.token_report WHERE name = $1', 'token'), $answered, 'the token counts all');
is($wire->value('SELECT uses FROM mirox_internal.token_usage u JOIN mirox_internal.token t USING (token_id, generation) WHERE t.name = $1', 'token'), $answered - $recorded, 'what was dropped is in its totals, while the minute is open');
is($wire->value('SELECT count(*) FROM mirox.verify_token($1)', $secret), 1, 'checks go on');
call($wire, 'flush');
is($wire->value('SELECT uses FROM mirox.token_report WHERE name = $1', 'token'), $answered + 1, 'and are recorded again');

# A worker that cannot write (its table is locked) tries again and says so once; nothing is lost.
$wire->rows('BEGIN');
$wire->rows('LOCK TABLE mirox_internal.usage_open IN ACCESS EXCLUSIVE MODE');
my $other = wire($node);
$other->rows('SELECT * FROM mirox.verify_token($1)', $secret) for 1 .. 10;
ok($node->poll_query_until('postgres', 'SELECT flush_failures > 2 FROM mirox.stat'), 'a lock fails the drain');
$wire->rows('ROLLBACK');
call($wire, 'flush');
is($wire->value('SELECT uses FROM mirox.token_report WHERE name = $1', 'token'), $answered + 11, 'and costs nothing but time');
my $said = () = slurp_file($node->logfile) =~ /could not write recorded usage/g;
cmp_ok($said, '<=', 2, 'the log says so once');
call($wire, 'stat_reset');
is(doctor_says(), 'lost_events ok 0, ring ok 0', 'doctor() has nothing to tell after a reset');
$node->stop;
done_testing();
