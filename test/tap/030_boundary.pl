# The error boundary (src/pg) where one session cannot show it: a storm of failures on several connections, a cancel
# and a shutdown request from another session, a worker whose main throws, an error that there is no memory to keep.
# After all of it the same postmaster runs, no process was killed by a signal, and nothing went into recovery.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('boundary');
$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf', "log_statement = none\nmax_worker_processes = 8\n");
$node->start;

my %functions = (
	live         => '() RETURNS bigint',
	raise        => '() RETURNS void',
	throw        => '(text) RETURNS void',
	query        => '(text) RETURNS bigint',
	query_caught => '(text) RETURNS bigint',
	copy_fails   => '() RETURNS void',
	start_worker => '(integer) RETURNS void');
$node->safe_psql('postgres',
	"CREATE FUNCTION probe_$_$functions{$_} LANGUAGE c AS '\$libdir/mirox_tokens_probe', 'mirox_probe_$_'")
  for sort keys %functions;
my $postmaster = $node->safe_psql('postgres',
	"SELECT pg_catalog.split_part(pg_catalog.pg_read_file('postmaster.pid'), E'\\n', 1)");

# Starts psql on a script and gives what is needed to wait for it and to read it.
sub start_psql
{
	my ($name, $script) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$name.sql";
	PostgreSQL::Test::Utils::append_to_file($file, $script);
	my %s = (out => '', err => '');
	$s{run} = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=0', '-v', 'VERBOSITY=verbose', '-d',
			$node->connstr('postgres') . " application_name=$name", '-f', $file
		],
		'<', \undef, '>', \$s{out}, '2>', \$s{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%s;
}

# Waits until the session of that name sleeps inside the server.
sub wait_for_sleep
{
	my $name = shift;
	return $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_catalog.pg_stat_activity"
		  . " WHERE application_name = '$name' AND wait_event = 'PgSleep'");
}

# ---- an error's place, and text beyond ASCII ----------------------------------------------------------
my ($rc, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT probe_raise()");
like($err, qr/ERROR:  22023: name is empty/, 'SQLSTATE and message reach the client');
like($err, qr/LOCATION:  probe_raise_body, \S*probe\.cpp:\d+/, 'the place reported is where it was raised');

($rc, $out, $err) =
  $node->psql('postgres', q{SELECT probe_query('DO $$ BEGIN RAISE EXCEPTION $e$caf%$e$, pg_catalog.chr(233) || pg_catalog.chr(28450); END $$')});
like($err, qr/ERROR:  caf\xc3\xa9\xe6\xbc\xa2\n/, 'the text of a server error keeps its bytes');

# ---- a storm on three connections -----------------------------------------------------------------------
my @failing = (
	"SELECT probe_throw('int');",
	"SELECT probe_throw('error');",
	"SELECT probe_throw('bad_alloc');",
	"SELECT probe_query('SELECT 1/0');",
	"SELECT probe_query_caught('SELECT probe_query(''SELECT probe_throw(''''runtime_error'''')'')');");
my @state = qw(XX000 53400 53200 22012 XX000);
my $rounds = 300;
my $storm = join('', map { "$_\n" } @failing) x $rounds;
my @sessions = map { start_psql("storm$_", "${storm}SELECT 'left', probe_live();\n") } 1 .. 3;
for my $i (0 .. $#sessions)
{
	my $s = $sessions[$i];
	$s->{run}->finish;
	my @got = $s->{err} =~ /ERROR:  ([0-9A-Z]{5}):/g;
	is_deeply(\@got, [ (@state) x $rounds ], "session $i: each of @{[ scalar @got ]} failures has its own SQLSTATE");
	is($s->{out}, "left|0\n", "session $i: goes on to the end with no object left");
}

# ---- a cancel from another session ----------------------------------------------------------------------
my $caller = start_psql('sleeper', <<'SQL');
SELECT probe_query('SELECT pg_catalog.pg_sleep(600)');
SELECT probe_query_caught('SELECT probe_query(''SELECT pg_catalog.pg_sleep(600)'')');
SELECT 'left', probe_live(), probe_query('SELECT 1');
SQL
for my $which ('one', 'two')
{
	ok(wait_for_sleep('sleeper'), "call $which sleeps under pg_call");
	$node->safe_psql('postgres',
		"SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = 'sleeper'");
	my $wanted = $which eq 'one' ? 1 : 2;
	$caller->{run}->pump until (() = $caller->{err} =~ /ERROR:  57014:/g) >= $wanted;
	pass("call $which ends as cancelled");
}
$caller->{run}->finish;
is($caller->{out}, "left|0|1\n", 'the cancelled session goes on with no object left');

# Many cancels at whatever point of the calls they meet.
my $loop = q{DO $$ BEGIN LOOP BEGIN PERFORM probe_query_caught('SELECT probe_throw(''error'')');
EXCEPTION WHEN configuration_limit_exceeded THEN NULL; END; END LOOP; END $$;};
# In force for the loop alone: a SET may itself take longer than the milliseconds of the one before.
my $script = join '', map { "BEGIN;\nSET LOCAL statement_timeout = '${_}ms';\n$loop\nROLLBACK;\n" } map { 1 + $_ % 7 } 1 .. 100;
my $cancelled = start_psql('cancelled', "${script}SELECT 'left', probe_live();\n");
$cancelled->{run}->finish;
my @states = $cancelled->{err} =~ /ERROR:  ([0-9A-Z]{5}):/g;
is_deeply(\@states, [ ('57014') x 100 ], 'each of 100 timeouts inside a loop of failures arrives as a timeout');
is($cancelled->{out}, "left|0\n", 'and leaves no object');

# ---- a shutdown request -----------------------------------------------------------------------------------
my $ended = start_psql('ended', "SELECT probe_query_caught('SELECT pg_catalog.pg_sleep(600)');\n");
ok(wait_for_sleep('ended'), 'a call sleeps under pg_call');
$node->safe_psql('postgres',
	"SELECT pg_catalog.pg_terminate_backend(pid, 60000) FROM pg_catalog.pg_stat_activity WHERE application_name = 'ended'");
$ended->{run}->finish;
like($ended->{err}, qr/FATAL:  57P01:/, 'a request to end is not swallowed');

# ---- an error that there is no memory to keep --------------------------------------------------------------
my $poor = start_psql('poor',
	"SELECT probe_copy_fails();\nSELECT 'left', probe_live(), probe_query('SELECT 1');\n");
$poor->{run}->finish;
like($poor->{err}, qr/^\S*\s*ERROR:  53100: a server error could not be kept: out of memory/m,
	'an error that cannot be copied keeps its SQLSTATE');
is($poor->{out}, "left|0|1\n", 'and the session goes on with no object left');

# ---- a worker's main ---------------------------------------------------------------------------------------
my $offset = -s $node->logfile;
$node->safe_psql('postgres', "SELECT probe_start_worker($_)") for 1, 2;
# The postmaster says that a worker has ended a little after it has.
my ($log, $said) = ('', qr/background worker "mirox_tokens probe" \(PID \d+\) exited with exit code 1/);
foreach my $round (1 .. 100)
{
	$log = slurp_file($node->logfile, $offset);
	last if 2 == (() = $log =~ /$said/g);
	select undef, undef, undef, 0.1;
}
like($log, qr/ERROR:  unexpected exception in mirox_tokens\n.*DETAIL:  the disk is on fire/, 'a worker that throws logs an error');
like($log, qr/ERROR:  unexpected exception of unknown type in mirox_tokens/, 'whatever it throws');
is(scalar(() = $log =~ /$said/g),
	2, 'and only the worker ends');

# ---- the server lives ---------------------------------------------------------------------------------------
is( $node->safe_psql('postgres',
		"SELECT pg_catalog.split_part(pg_catalog.pg_read_file('postmaster.pid'), E'\\n', 1)"),
	$postmaster, 'the postmaster is the same');
$log = slurp_file($node->logfile);
unlike($log, qr/terminated by signal|terminating any other active|automatic recovery|not properly shut down|PANIC|TRAP:/,
	'the log tells of no crash and no restart');
unlike($log, qr/STATEMENT:  SELECT probe_throw/, 'the statement of a C++ failure is not logged');
$node->stop;
done_testing();
