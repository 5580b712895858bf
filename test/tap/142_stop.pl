# A server that stops: the worker ends what it does, lets the backends go, and drains once more, so that a copy without the ring's file
# has all. What no worker came to write is told of, and written after the next start. Long work does not hold the stop up. And a code
# in the ring that this version does not know is never written as `ok`.
use strict;
use warnings;
no warnings 'portable';
use Mirox qw(new_node wire call put_account open_session issue shift_open all_due);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('stop', conf => "\nmirox_tokens.flush_interval = 600s\nmirox_tokens.ring_size = 4MB\nrestart_after_crash = on\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
my $token = issue($wire, $session, 'token');
my $uses = 0;
sub check { my ($on, $count) = @_; $uses += $count; $on->value('SELECT count((mirox.verify_token($1, NULL, left(i::text, 0))).status) FROM generate_series(1, $2::int) i', $token->{secret}, $count); return; }
sub log_since { my $at = shift; return substr slurp_file($node->logfile), $at; }
sub stop_takes { my $began = time; $node->stop('fast'); return time - $began; }
sub start_again { $node->start; $wire = wire($node); return; }
sub shown { return $wire->value('SELECT uses FROM mirox.token_report'); }
my $left = qr/mirox_tokens leaves recorded use/;

# ---- what was recorded up to the stop is in the tables ------------------------------------------------------------------------
call($wire, 'flush');
check($wire, 50);
is($wire->value('SELECT events_waiting FROM mirox.stat'), 50, 'fifty uses wait in shared memory');
my $at = -s $node->logfile;
my $took = stop_takes();
cmp_ok($took, '<', 4, "a fast stop drains ($took s)");
unlike(log_since($at), $left, 'and leaves nothing');
my $copy = PostgreSQL::Test::Cluster->new('copy');
PostgreSQL::Test::RecursiveCopy::copypath($node->data_dir, $copy->data_dir, filterfn => sub { return shift ne 'pg_stat_tmp/mirox_tokens.ring' });
mkdir $copy->data_dir . '/pg_stat_tmp';
chmod 0700, $copy->data_dir or die $!;
$copy->append_conf('postgresql.conf', "port = " . $copy->port . "\nunix_socket_directories = '" . $copy->host . "'\nlisten_addresses = ''\n");
$copy->start;
is($copy->safe_psql('postgres', 'SELECT sum(requests) FROM mirox.usage_daily'), 50, 'a cold copy without the ring has all fifty');
is($copy->safe_psql('postgres', 'SELECT uses FROM mirox.token_report'), 50, 'and shows them');
$copy->stop;
start_again();
is(shown(), 50, 'the server itself counts them once');

# ---- backends that record until the last moment -------------------------------------------------------------------------------
call($wire, 'flush');
my $script = PostgreSQL::Test::Utils::tempdir() . '/verify.sql';
append_to_file($script, "SELECT 1 FROM mirox.verify_token('$token->{secret}');\n");
my ($out, $err) = ('', '');
my $load = IPC::Run::start([ 'pgbench', '-n', '-c', '4', '-T', '60', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ], '>', \$out, '2>', \$err);
sleep 1.5;
$at = -s $node->logfile;
$took = stop_takes();
eval { $load->finish };
cmp_ok($took, '<', 4, "under load too ($took s)");
unlike(log_since($at), $left, 'nothing is left');
start_again();
$uses = shown();
cmp_ok($uses, '>', 100, "there was load ($uses)");
is($wire->value('SELECT sum(requests) FROM mirox.usage_daily') . ' ' . $wire->value('SELECT events_waiting FROM mirox.stat'), "$uses 0", 'and what is shown is what was written');

# ---- a database whose worker does not run: told of, kept, written later --------------------------------------------------------
# (A server that has just started has none yet, unless something waits; half a minute later they look in.)
sub without_worker { $node->restart; $wire = wire($node); sleep 1; is($wire->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'"), 0, 'no worker runs'); return; }
without_worker();
check($wire, 7);
$at = -s $node->logfile;
stop_takes();
like(log_since($at), qr/mirox_tokens leaves recorded use in "pg_stat_tmp\/mirox_tokens.ring": 7 events of 1 database/, 'the log tells how many are left');
start_again();
is(shown(), $uses, 'they are shown at once');
call($wire, 'flush');
is($wire->value('SELECT sum(requests) FROM mirox.usage_daily'), $uses, 'and written by the next worker');

# ---- long work, and locks, do not hold a stop up -----------------------------------------------------------------------------------
# A step that sleeps, as long as somebody's own trigger may: the end of the minute, and retention.
$wire->rows("CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_sleep(100); RETURN NULL; END'");
$wire->rows('CREATE TRIGGER slow AFTER DELETE ON mirox_internal.audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.slow()');
$node->append_conf('postgresql.conf', "mirox_tokens.audit_retention = '30 days'");
$node->reload;
check($wire, 3);
call($wire, 'flush');
$wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'") or die;
all_due($wire);
call($wire, 'flush');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker' AND wait_event = 'PgSleep'"), 'retention is under way');
check($wire, 5);
my $began = time;
call($wire, 'flush');
cmp_ok(time - $began, '<', 2.5, 'flush() waits a slice at most');
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker' AND wait_event = 'PgSleep'")
  or note 'the task was given up';
check($wire, 4);
$at = -s $node->logfile;
$took = stop_takes();
cmp_ok($took, '<', 4, "SIGTERM ends it ($took s)");
unlike(log_since($at), $left, 'and what waited was written');
start_again();
is($wire->value('SELECT sum(requests) FROM mirox.usage_daily'), $uses, 'all of it');
$wire->rows('DROP TRIGGER slow ON mirox_internal.audit_log');
$wire->rows('CREATE TRIGGER slow AFTER INSERT ON mirox_internal.usage_minute FOR EACH STATEMENT EXECUTE FUNCTION public.slow()');
shift_open($wire, '1 hour');
check($wire, 1);
my $flush = wire($node);
$flush->send('SELECT mirox.flush()');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker' AND wait_event = 'PgSleep'"), 'a minute closes, slowly');
check($wire, 2);
$took = stop_takes();
cmp_ok($took, '<', 4, "SIGTERM ends that too ($took s)");
start_again();
$wire->rows('DROP TRIGGER slow ON mirox_internal.usage_minute');
is(shown(), $uses, 'what was being closed is closed later, once');
call($wire, 'flush');
is($wire->value('SELECT sum(requests) FROM mirox_internal.minute_use'), $uses, 'in the minutes too');

# A drain that cannot be done (its table is held by a prepared transaction, which no stop ends) is given up in time, and lost is nothing.
$node->append_conf('postgresql.conf', 'max_prepared_transactions = 2');
$node->restart;
$wire = wire($node);
call($wire, 'flush');
my $holder = wire($node);
$holder->rows('BEGIN');
$holder->rows('LOCK TABLE mirox_internal.usage_open IN ACCESS EXCLUSIVE MODE');
$holder->rows("PREPARE TRANSACTION 'holds'");
check($wire, 6);
$at = -s $node->logfile;
$took = stop_takes();
cmp_ok($took, '<', 5, "a drain that cannot be done holds no stop up ($took s)");
like(log_since($at), qr/$left.*: 6 events/, 'what is left is told of');
start_again();
$wire->rows("ROLLBACK PREPARED 'holds'");
call($wire, 'flush');
is($wire->value('SELECT sum(requests) FROM mirox.usage_daily'), $uses, 'and written when it can be');

# ---- a crash loses nothing that is in the ring ---------------------------------------------------------------------------------------
check($wire, 20);
kill 'KILL', $wire->value('SELECT worker_pid FROM mirox.stat');
for (1 .. 100) { sleep 0.1; $wire = eval { wire($node) } or next; last if eval { call($wire, 'flush'); 1 }; }
is($wire->value('SELECT sum(requests) FROM mirox.usage_daily'), $uses, 'a worker that was killed loses nothing');
$holder = undef;

# ---- a code that this version does not know ------------------------------------------------------------------------------------------
# As a newer library may have left it: written into the file of a server that has stopped.
without_worker();
is($wire->value("SELECT status FROM mirox.verify_token(\$1, '2001:db8::77')", $token->{secret}), 200, 'a use');
stop_takes();
my $file = $node->data_dir . '/pg_stat_tmp/mirox_tokens.ring';
my $ring = slurp_file($file);
my $mask = 0xFFFF_FFFF_FFFF_FFFF;
sub product { my ($x, $y) = @_; use integer; return $x * $y; }
sub total { my ($x, $y) = @_; use integer; return $x + $y; }
sub word { return unpack 'Q<', $_[0]; }
sub u { return unpack 'Q<', pack 'q<', $_[0]; }
sub scramble { my $x = shift; $x ^= $x >> 31; $x = u(product($x, 0x9E6C63D0876A3F6B)); $x ^= $x >> 29; $x = u(product($x, 0xC2F03D135B1D94C5)); return $x ^ $x >> 32; }
sub combine { my ($h, $x) = @_; return scramble($h ^ scramble(u(total($x, 0x5851F42D4C957F2D)))); }
sub hash
{
	my $bytes = shift;
	my @h = (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89);
	my $step = sub { my ($h, $w) = @_; $h = u(product($h ^ $w, 0x9FB21C651E98DF25)); return ($h << 27 & $mask) | $h >> 37; };
	my @words = unpack 'Q<*', $bytes;
	$h[$_] = $step->($h[$_], $words[$_]) for 0 .. 3;
	$h[$_] = $step->($h[$_], $words[ 4 + $_ ]) for 0 .. $#words - 4;
	$h[3] = $step->($h[3], 0);
	my $all = length $bytes;
	$all = combine($all, $_) for @h;
	return $all;
}
# The one record whose address is the one above.
my $where = -1;
while (($where = index $ring, "\x20\x01\x0d\xb8" . "\0" x 11 . "\x77", $where + 1) >= 0)
{
	my $record = $where - 48;
	my $begun = 0;
	# Its segment: the cells begin 3968 bytes into it.
	for (my $cell = 0; $cell < 960 && !$begun; $cell++)
	{
		my $segment = $record - 3968 - 64 * $cell;
		last if $segment < 0;
		my ($base, $id) = unpack 'x16 Q<Q<', substr $ring, $segment, 32;
		my $seal = sub { return combine(combine(hash(substr $ring, $record + 8, 56), $base + $cell), $id ^ (64 << 40)); };
		next if $seal->() != word(substr $ring, $record, 8);
		substr($ring, $record + 43, 2) = pack 'S<', 403;
		substr($ring, $record + 45, 1) = "\x0f";
		substr($ring, $record, 8) = pack 'Q<', $seal->();
		$begun = 1;
	}
	$where = -2 if $begun;
	last if $begun;
}
is($where, -2, 'the record is found');
open my $handle, '+<', $file or die $!;
binmode $handle;
syswrite $handle, $ring;
close $handle;
start_again();
is($wire->value('SELECT reason FROM mirox_internal.waiting_uses((SELECT d."position" FROM mirox_internal.drained d), $1, 1)', $token->{token_id}) // 'drained', 'other', 'what waits is shown by a word of its own')
  if $wire->value('SELECT events_waiting FROM mirox.stat') > 0;
call($wire, 'flush');
is(join(' ', @{ ($wire->rows("SELECT status, reason, requests FROM mirox.usage_daily WHERE ip = '2001:db8::77'"))[0] }), '403 other 1', 'and written so, with its status');
is($wire->value("SELECT reason FROM mirox.refusals WHERE ip = '2001:db8::77'"), 'other', 'a refusal, which was never let through');
is($wire->value('SELECT sum(requests) FROM mirox.usage_daily WHERE reason = $1', 'ok'), $uses, 'none is counted as ok');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP:/, 'the log tells of no defect');
$wire->close;
$node->stop;
done_testing();
