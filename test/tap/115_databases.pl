# Nothing of ours stands in the way of commands that need a database empty, straight after a burst of checks: DROP DATABASE,
# CREATE DATABASE … TEMPLATE, ALTER DATABASE, DROP EXTENSION. Workers come by themselves to each database that has the
# extension, and leave; what belongs to a database or extension that is gone is never counted for another.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('databases', extension => 0, conf => "\nmirox_tokens.flush_interval = 200ms\nlog_min_messages = log\n");
my $main = wire($node);

sub make
{
	my $name = shift;
	$main->rows("CREATE DATABASE $name");
	my $wire = wire($node, dbname => $name);
	$wire->rows('CREATE EXTENSION mirox_tokens');
	put_account($wire, 'anna', ['*']);
	my $secret = issue($wire, open_session($wire, 'anna'), 'token')->{secret};
	return ($wire, $secret);
}
# The argument that changes nothing has the function called for each row.
sub burst { my ($wire, $secret, $count) = @_; $wire->rows('SELECT count(v.status) FROM generate_series(1, $2::int) i, LATERAL mirox.verify_token($1, NULL, left(i::text, 0)) v', $secret, $count); return; }
sub worker { return $main->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker' AND datname = \$1", shift); }

# Waits until the worker is in the midst of things.
sub await_worker { my $name = shift; for (1 .. 100) { return 1 if worker($name); sleep 0.05; } return 0; }

# ---- workers come by themselves, with nothing listed anywhere ---------------------------------------------------------------
my ($one, $secret_one) = make('one');
my ($two, $secret_two) = make('two');
burst($one, $secret_one, 100);
burst($two, $secret_two, 50);
ok($node->poll_query_until('one', 'SELECT uses = 100 AND events_waiting = 0 FROM mirox.token_report, mirox.stat'), 'one database is drained, unasked');
ok($node->poll_query_until('two', 'SELECT uses = 50 AND events_waiting = 0 FROM mirox.token_report, mirox.stat'), 'and the other, of itself alone');
is($one->value('SELECT sum(requests) FROM mirox.usage_daily'), 100, 'in the tables');

# ---- CREATE DATABASE … TEMPLATE, ALTER DATABASE, DROP DATABASE -----------------------------------------------------------------
for my $round (1 .. 3)
{
	burst($one, $secret_one, 200);
	$one->close;
	ok(await_worker('one'), 'a worker is in the database') if $round == 1;
	is($main->state("CREATE DATABASE copy$round TEMPLATE one"), 'ok', "round $round: CREATE DATABASE … TEMPLATE after a burst");
	$one = wire($node, dbname => 'one');
	burst($one, $secret_one, 200);
	$one->close;
	await_worker('one');
	is($main->state('ALTER DATABASE one RENAME TO uno'), 'ok', 'ALTER DATABASE … RENAME');
	is($main->state('ALTER DATABASE uno RENAME TO one'), 'ok', 'and back');
	$one = wire($node, dbname => 'one');
}
is($main->state('DROP DATABASE nowhere'), '3D000', 'a command that fails bars nothing');
# Nor does one that the role may not run.
$main->rows($_) for 'CREATE ROLE maker LOGIN CREATEDB', 'CREATE ROLE passer LOGIN';
my $worker_of_one = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker' AND datname = 'one'";
call($one, 'flush');
my $pid = $main->value($worker_of_one);
for my $role (qw(maker passer))
{
	my $other = wire($node, user => $role);
	is($other->state("$_ one"), '42501', "$role: $_") for 'DROP DATABASE', 'CREATE DATABASE copy TEMPLATE';
	is($other->state("ALTER DATABASE one $_"), '42501', "$role: $_") for 'RENAME TO uno', 'SET TABLESPACE pg_default';
	$other->close;
}
is($main->value($worker_of_one), $pid, 'and the worker has not left');
call($one, 'flush');
is($one->value('SELECT uses FROM mirox.token_report'), 1300, 'each use is counted once, in the database where it was made');
my $copy = wire($node, dbname => 'copy1');
call($copy, 'flush');
my $copied = $copy->value('SELECT uses FROM mirox.token_report');
cmp_ok($copied, '<=', 300, 'a copy has what had been written when it was made');
burst($copy, $secret_one, 10);
call($copy, 'flush');
is($copy->value('SELECT uses FROM mirox.token_report'), $copied + 10, 'and counts for itself');
$copy->close;
burst($two, $secret_two, 500);
$two->close;
is($main->state('DROP DATABASE two'), 'ok', 'DROP DATABASE straight after a burst');
is($main->state("DROP DATABASE copy$_"), 'ok', "and of copy $_") for 1 .. 3;

# Rolled back and cancelled commands bar nobody for longer.
$main->rows('BEGIN');
burst($one, $secret_one, 10);
$one->close;
is($main->state('ALTER DATABASE one RENAME TO uno'), 'ok', 'in a transaction block');
$main->rows('ROLLBACK');
$one = wire($node, dbname => 'one');
burst($one, $secret_one, 10);
ok($node->poll_query_until('one', 'SELECT uses = 1320 AND events_waiting = 0 FROM mirox.token_report, mirox.stat'), 'the worker is back after the rollback');

# ---- DROP EXTENSION under load; what it left is not the next one's ---------------------------------------------------------------
my $script = PostgreSQL::Test::Utils::tempdir() . '/verify.sql';
append_to_file($script, "SELECT 1 FROM mirox.verify_token('$secret_one', '203.0.113.7');\n");
my ($out, $err) = ('', '');
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '2', '-T', '3', '-f', $script, '-h', $node->host, '-p', $node->port, 'one' ], '>', \$out, '2>', \$err);
sleep 0.7;
my $began = time;
is($one->state('DROP EXTENSION mirox_tokens'), 'ok', 'DROP EXTENSION under load');
cmp_ok(time - $began, '<', 5, 'at once');
$load->finish;
is($one->state('CREATE EXTENSION mirox_tokens'), 'ok', 'CREATE EXTENSION again');
put_account($one, 'anna', ['*']);
my $fresh = issue($one, open_session($one, 'anna'), 'token');
is($one->value('SELECT uses FROM mirox.token_report'), 0, 'a token of the new one, with the id of an old one, has no use');
burst($one, $fresh->{secret}, 7);
is($one->value('SELECT uses FROM mirox.token_report'), 7, 'but its own');
call($one, 'flush');
is($one->value('SELECT sum(requests) FROM mirox.usage_daily'), 7, 'written, too');
# The same in one transaction, with events on their way.
burst($one, $fresh->{secret}, 100);
$one->rows('BEGIN');
$one->rows('DROP EXTENSION mirox_tokens');
$one->rows('CREATE EXTENSION mirox_tokens');
$one->rows('ROLLBACK');
call($one, 'flush');
is($one->value('SELECT sum(requests) FROM mirox.usage_daily'), 107, 'rolled back: nothing is lost');
burst($one, $fresh->{secret}, 100);
$one->rows('BEGIN');
$one->rows('DROP EXTENSION mirox_tokens');
$one->rows('CREATE EXTENSION mirox_tokens');
$one->rows('COMMIT');
put_account($one, 'anna', ['*']);
$fresh = issue($one, open_session($one, 'anna'), 'token');
burst($one, $fresh->{secret}, 3);
call($one, 'flush');
is($one->value('SELECT uses FROM mirox.token_report'), 3, 'committed: nothing of the old one counts');

# The launchers of logical replication and of ours have a slot each, so one is left.
# ---- idle workers leave; with too few slots all get their turn --------------------------------------------------------------------
clean_log($node);
$one->close;
$node->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$main->close;
$node->restart;
$main = wire($node);
my @made = map { [ make("many$_") ] } 1 .. 4;
burst(@$_, 20) for @made;
ok($node->poll_query_until("many$_", 'SELECT uses = 20 AND events_waiting = 0 FROM mirox.token_report, mirox.stat'), "with one slot for workers, database $_ is drained")
  for 1 .. 4;
my $said = () = slurp_file($node->logfile) =~ /no background worker slot is free/g;
cmp_ok($said, '<=', 3, "the log says so seldom ($said)");
$_->[0]->close for @made;
$node->stop;
done_testing();
