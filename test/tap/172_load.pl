# Under full load: partitions of another day while a report reads, a retention pass, a dump, and a fast stop. No use is lost, drains go
# on, and the stop takes less than five seconds.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log shift_open);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('load', conf => "\nmirox_tokens.flush_interval = 300ms\nmirox_tokens.minute_retention = 400\nautovacuum = off\n");
my $wire = wire($node);
my $clients = 4;
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
$wire->rows('CREATE TABLE secret (n int PRIMARY KEY, secret text)');
$wire->rows('CREATE TABLE drained (at timestamptz PRIMARY KEY)');
$wire->rows('INSERT INTO secret VALUES ($1, $2)', $_, issue($wire, $session, "token $_")->{secret}) for 1 .. 32;
sub poll { return $node->poll_query_until('postgres', shift); }
# A worker that comes anew closes what is over.
sub anew { return $wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'"); }

# What retention finds: minutes that are too old, and many old acts.
my $uses = 100;
$wire->value(q(SELECT count((mirox.verify_token(secret, '203.0.113.7', 'curl/8.5.0', 'parks')).status) FROM secret, generate_series(1, 100) WHERE n = 1));
call($wire, 'flush');
shift_open($wire, '60 days');
anew();
poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
call($wire, 'flush');
ok(poll('SELECT count(*) = 0 FROM mirox_internal.usage_open'), 'there are old minutes');
$wire->rows(q(INSERT INTO mirox_internal.audit_log (node, audit_id, at, event) SELECT 0, -i, now() - interval '90 days', 'load' FROM generate_series(1, 100000) i));

# ---- the load: checks, and somebody who notes each drain -------------------------------------------------------------------------
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/check.sql", "\\set n random(1, 32)\n\\set a random(1, 250)\nSELECT (mirox.verify_token(secret, ('203.0.113.' || :a)::inet, 'curl/8.5.0', 'parks')).status FROM secret WHERE n = :n;\n");
append_to_file("$dir/note.sql", "INSERT INTO drained SELECT last_flush_at FROM mirox.stat WHERE last_flush_at IS NOT NULL ON CONFLICT DO NOTHING;\n\\sleep 50 ms\n");
my ($out, $err, $quiet) = ('', '', '');
my @at = ('-h', $node->host, '-p', $node->port);
my $noting = IPC::Run::start([ 'pgbench', '-n', '-c', '1', '-T', '300', '-f', "$dir/note.sql", @at, 'postgres' ], '>', \$quiet, '2>', \$quiet);
my $load = IPC::Run::start([ 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-T', '300', '-f', "$dir/check.sql", @at, 'postgres' ], '>', \$out, '2>', \$err);
ok(poll('SELECT count(*) > 3 FROM drained'), 'checks and drains go on');
my $loaded = $wire->value('SELECT clock_timestamp()');

# ---- another day's partition, and a drop, while a report reads -------------------------------------------------------------------
my $report = wire($node);
$report->rows('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $read = $report->value('SELECT sum(requests) FROM mirox.usage_minutely');
shift_open($wire, '1 day');
my $left = $wire->value('SELECT clock_timestamp()');
anew();
ok(poll("SELECT count(*) > 0 FROM mirox_internal.usage_minute WHERE first_at > now() - interval '2 days' AND first_at < now() - interval '23 hours'"), 'use of another day has its partition while a report reads');
my $came = $wire->value("SELECT max(backend_start) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
$node->append_conf('postgresql.conf', "mirox_tokens.minute_retention = 30\nmirox_tokens.audit_retention = '30 days'\n");
$node->reload;
ok(poll('SELECT drop_waits_since IS NOT NULL FROM mirox.stat'), 'a drop waits for the report');
ok(poll(q(SELECT count(*) = 0 FROM mirox_internal.audit_log WHERE event = 'load')), 'old acts go meanwhile');
is($report->value('SELECT sum(requests) FROM mirox.usage_minutely'), $read, 'the report shows what it showed');
$report->rows('COMMIT');
$report->close;
$node->reload;
ok(poll(q(SELECT count(*) = 0 FROM mirox_internal.usage_minute WHERE first_at < now() - interval '50 days')), 'then the old minutes are dropped');

# ---- a dump ----------------------------------------------------------------------------------------------------------------------
$node->command_ok([ 'pg_dump', @at, '-Fc', '-f', "$dir/dump", 'postgres' ], 'pg_dump beside the checks');
is($wire->value('SELECT events_dropped FROM mirox.stat'), 0, 'no use was dropped');
is($wire->value('SELECT last_error FROM mirox.stat'), undef, 'nothing has failed');

# ---- and a stop ------------------------------------------------------------------------------------------------------------------
my $at = -s $node->logfile;
my $began = time;
$node->stop('fast');
my $took = time - $began;
cmp_ok($took, '<', 5, "a fast stop under load ($took s)");
unlike(substr(slurp_file($node->logfile), $at), qr/mirox_tokens leaves recorded use/, 'leaves nothing');
eval { $_->finish } for $load, $noting;
my ($answered) = $out =~ /number of transactions actually processed: (\d+)/ or diag($out . $err);
$node->start;
$wire = wire($node);
call($wire, 'flush');
my $recorded = $wire->value('SELECT sum(requests) FROM mirox.usage_daily') - $uses;
note "$answered checks, $recorded recorded";
# What was answered last may not have reached its client.
cmp_ok($recorded, '>=', $answered, 'each check that was answered is recorded');
cmp_ok($recorded, '<=', $answered + $clients, 'once');
is($wire->value('SELECT sum(uses) FROM mirox.token_report') - $uses, $recorded, 'and counted for its token');
# A worker that is told to leave waits for clients first; that is no gap of a worker that runs.
my $gap = $wire->value(q(SELECT extract(epoch FROM max(gap)) FROM (SELECT at - lag(at) OVER (PARTITION BY at > $2::timestamptz ORDER BY at) AS gap FROM drained WHERE at BETWEEN $3::timestamptz AND $1::timestamptz OR at > $2::timestamptz) x), $left, $came, $loaded);
note "the longest gap between two drains: $gap s";
clean_log($node);
$wire->close;
$node->stop;
done_testing();
