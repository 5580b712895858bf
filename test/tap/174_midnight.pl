# The last midnight of a year under load, by a server whose clock is set before it: a minute, an hour, a day, a month and a year end while
# checks go on. Each use stands once, on the day on which its request began.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::Local qw(timegm);

# What time a server has, it asks of gettimeofday(). (libfaketime leaves the machine's own clock to a process that the postmaster forks
# in a signal handler, as all background workers are before PostgreSQL 16.)
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/clock.cpp", <<'CPP');
#include <cstdlib>
#include <ctime>
#include <sys/time.h>
extern "C" int gettimeofday(timeval* at, void*) noexcept {
	static const long ahead = atol(getenv("CLOCK_AHEAD"));
	timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	*at = {now.tv_sec + ahead, now.tv_nsec / 1000};
	return 0;
}
CPP
system_or_bail('g++', '-shared', '-fPIC', '-O1', '-o', "$dir/clock.so", "$dir/clock.cpp");

my $node = new_node('midnight', conf => "\nmirox_tokens.flush_interval = 300ms\nmirox_tokens.minute_retention = 30\n");
my $wire = wire($node);
my $clients = 2;
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
$wire->rows('CREATE TABLE secret (n int PRIMARY KEY, secret text)');
$wire->rows('INSERT INTO secret VALUES ($1, $2)', $_, issue($wire, $session, "token $_")->{secret}) for 1 .. 16;
$wire->close;
$node->stop;

# Under a minute, so that the load begins in the year's last one.
my $year = (gmtime)[5] + 1900;
my $ahead = timegm(25, 59, 23, 31, 11, $year) - time;
sub start_ahead
{
	local $ENV{LD_PRELOAD} = "$dir/clock.so";
	local $ENV{CLOCK_AHEAD} = $ahead;
	$node->start;
	return wire($node);
}
$wire = start_ahead();
my $before = $wire->value('SELECT clock_timestamp() < $1::timestamptz', ($year + 1) . '-01-01 00:00:00+00');
is($before, 't', 'the server lives in the last minute of the year');

append_to_file("$dir/check.sql", "\\set n random(1, 16)\nSELECT (mirox.verify_token(secret, '203.0.113.7', 'curl/8.5.0', 'parks')).status FROM secret WHERE n = :n;\n");
my ($out, $err) = ('', '');
my $load = IPC::Run::start([ 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-T', '300', '-f', "$dir/check.sql", '-h', $node->host, '-p', $node->port, 'postgres' ], '>', \$out, '2>', \$err);
ok($node->poll_query_until('postgres', "SELECT count(DISTINCT day) = 2 FROM mirox.usage_daily WHERE token_id IS NOT NULL"), 'uses of both years');
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM mirox_internal.usage_minute"), 'the minute closes');
is($wire->value("SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'mirox_internal.usage_minute'::regclass"), "usage_minute_${year}1231", 'into the partition of its day');
is($wire->value('SELECT events_dropped FROM mirox.stat'), 0, 'no use was dropped');
is($wire->value('SELECT last_error FROM mirox.stat'), undef, 'nothing has failed');
$node->stop('fast');
eval { $load->finish };
my ($answered) = $out =~ /number of transactions actually processed: (\d+)/ or diag($out . $err);

$wire = start_ahead();
call($wire, 'flush');
my ($days) = $wire->rows(q(SELECT sum(requests) FILTER (WHERE extract(year FROM day) = $1), sum(requests) FILTER (WHERE extract(year FROM day) = $1 + 1), sum(requests),
	count(*) FILTER (WHERE timezone('UTC', first_at)::date <> day OR timezone('UTC', last_at)::date <> day) FROM mirox.usage_daily), $year);
my ($old, $new, $recorded, $astray) = @$days;
note "$answered checks, $old in $year and $new in the next year";
cmp_ok($old, '>', 0, 'the old year has uses');
cmp_ok($new, '>', 0, 'the new one too');
is($old + $new, $recorded, 'and no other');
is($astray, 0, 'each on its own day');
cmp_ok($recorded, '>=', $answered, 'each check that was answered is recorded');
cmp_ok($recorded, '<=', $answered + $clients, 'once');
is($wire->value('SELECT sum(uses) FROM mirox.token_report'), $recorded, 'and counted for its token');
is($wire->value('SELECT sum(requests) FROM mirox.traffic_hourly'), $recorded, 'and in its hour');
clean_log($node);
$wire->close;
$node->stop;
done_testing();
