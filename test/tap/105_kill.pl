# No verification that was answered is lost, and none is counted twice, while backends, the worker and the postmaster are killed
# with SIGKILL at random. Each request needs a scope of its own, which is recorded: what was answered stands in the tables once,
# what was not, once at most. MIROX_ROUNDS (6) says how often something is killed; the full run is MIROX_ROUNDS=20 or more.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds = $ENV{MIROX_ROUNDS} || 6;
my $clients = 4;
my $seed = $ENV{MIROX_SEED} || time;
srand $seed;
note "MIROX_SEED=$seed";

my $node = new_node('kill', conf => "\nmirox_tokens.flush_interval = 100ms\nmirox_tokens.ring_size = 16MB\nrestart_after_crash = on\n");
my $folder = PostgreSQL::Test::Utils::tempdir();
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
my @secrets = map { issue($wire, $session, "token $_")->{secret} } 1 .. 10;
$wire->close;

# A client: one request after the other, each noted before it is sent and when its answer has come.
sub client
{
	my $number = shift;
	open my $notes, '>', "$folder/client$number" or die $!;
	$notes->autoflush(1);
	my ($n, $connection) = (0);
	until (-e "$folder/stop")
	{
		$connection //= eval { wire($node) };
		unless ($connection) { sleep 0.05; next; }
		$n++;
		my $scope = "k.c$number:n$n";
		print $notes "sent $scope\n";
		my $result = eval {
			$connection->run('SELECT reason FROM mirox.verify_token($1, $2, $3, $4)', $secrets[ $n % @secrets ], "10.0.0.$number", 'killer', $scope);
		};
		if ($result && !$result->{state}) { print $notes "got $scope $result->{rows}[0][0]\n"; next; }
		undef $connection;
	}
	close $notes;
	require POSIX;
	POSIX::_exit(0);
}

my @children;
for my $number (1 .. $clients)
{
	my $pid = fork // die $!;
	client($number) if $pid == 0;
	push @children, $pid;
}

# The children of a postmaster that was killed hold its shared memory until they notice; and it is there, dead, until its
# parent has taken note of it.
sub start_again
{
	my $dead = shift;
	for (1 .. 300)
	{
		last unless kill 0, $dead;
		sleep 0.1;
	}
	for (1 .. 100)
	{
		$node->{_pid} = undef;
		return 1 if system_log('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '--cluster-name=kill', 'start') == 0 && do { $node->_update_pid(1); 1 };
		sleep 0.2;
	}
	return 0;
}

sub ready
{
	for (1 .. 300)
	{
		my $connection = eval { wire($node) };
		return $connection if $connection;
		sleep 0.1;
	}
	return;
}

my %killed;
for my $round (1 .. $rounds)
{
	sleep 0.2 + rand 0.8;
	my $connection = ready() or die 'the server does not come back';
	my $what = (qw(backend worker postmaster launcher))[ $round <= 3 ? $round - 1 : int rand 4 ];
	my %type = (backend => 'client backend', worker => 'mirox_tokens worker', launcher => 'mirox_tokens launcher');
	my $pid;
	if ($what eq 'postmaster') { ($pid) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/; }
	else
	{
		for (1 .. 50)
		{
			$pid = eval { $connection->value('SELECT pid FROM pg_stat_activity WHERE backend_type = $1 AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1', $type{$what}) };
			last if $pid || !$connection || $connection->{lost};
			sleep 0.05;
		}
	}
	undef $connection;
	next unless $pid;
	$killed{$what}++;
	note "round $round: $what $pid";
	kill 'KILL', $pid;
	if ($what eq 'postmaster') { start_again($pid) or die 'no start after the postmaster was killed'; }
}
append_to_file("$folder/stop", '');
waitpid $_, 0 for @children;
ok($killed{$_}, "killed: $_, " . ($killed{$_} // 0) . ' times') for qw(backend worker postmaster);

# ---- what was answered is there, once ---------------------------------------------------------------------------------
# The last one killed may not have been noticed yet.
for (1 .. 20)
{
	$wire = ready() or die 'the server does not come back';
	last if eval { call($wire, 'flush'); 1 };
	sleep 0.3;
}
my (%sent, %got);
for my $number (1 .. $clients)
{
	for (split /\n/, slurp_file("$folder/client$number"))
	{
		my ($verb, $scope, $reason) = split / /;
		if ($verb eq 'sent') { $sent{$scope} = 1; }
		else { $got{$scope} = $reason; }
	}
}
my %recorded = map { $_->[0] => $_->[1] } $wire->rows('SELECT scope, sum(requests) FROM mirox.usage_daily GROUP BY scope');
my @lost = grep { !$recorded{$_} } sort keys %got;
my @twice = grep { $recorded{$_} > 1 } sort keys %recorded;
my @invented = grep { !$sent{$_} } sort keys %recorded;
is($wire->value('SELECT events_dropped FROM mirox.stat'), 0, 'the ring had room for all');
is(join(' ', @lost[ 0 .. ($#lost > 9 ? 9 : $#lost) ]), '', scalar(keys %got) . ' answered of ' . scalar(keys %sent) . ' sent: none is lost');
is(join(' ', @twice[ 0 .. ($#twice > 9 ? 9 : $#twice) ]), '', 'none is counted twice');
is(join(' ', @invented), '', 'none was never asked');
is(join(' ', grep { $_ ne 'ok' } values %got), '', 'all were let through');
cmp_ok(scalar(keys %got), '>', 50 * $rounds, 'there was enough to lose');
my $sum = 0;
$sum += $_ for values %recorded;
is($wire->value('SELECT sum(uses) FROM mirox.token_report'), $sum, 'the tokens count as many');
is($wire->value('SELECT sum(requests) FROM mirox.usage_hourly'), $sum, 'and the hours');
is($wire->value('SELECT events_waiting FROM mirox.stat'), 0, 'nothing waits');
my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP:/, 'the log tells of no defect');
$node->stop;
done_testing();
