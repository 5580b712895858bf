# Rate limits where one session cannot show them: many connections on one account, an owner's tokens and session together,
# more accounts than there is room for, a change by another session or by a reload.
use strict;
use warnings;
use Mirox qw(new_node wire call open_session issue verify clean_log);
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('limits', conf => "max_connections = 60\nmirox_tokens.max_tracked_accounts = 64\n");
my $main = wire($node);

sub account { my ($user, $limit, $burst) = @_; call($main, 'put_account', $user, ['parks:read'], $limit, $burst); return open_session($main, $user); }
sub check_request { my ($wire, $secret) = @_; return call($wire, 'check_request', "Bearer $secret", 'GET', '/'); }

# Loops until the instant, without a pause, and counts what is admitted; a check's wait must never be beyond the truth.
$main->rows(<<'SQL');
CREATE FUNCTION hammer(secret text, start timestamptz, stop timestamptz, OUT admitted int, OUT refused int, OUT longest int)
LANGUAGE plpgsql AS $$
DECLARE v mirox.verdict;
BEGIN
    admitted := 0; refused := 0; longest := 0;
    PERFORM pg_sleep(extract(epoch FROM start - clock_timestamp()));
    WHILE clock_timestamp() < stop LOOP
        SELECT * INTO v FROM mirox.verify_token(secret);
        IF v.status = 200 THEN admitted := admitted + 1;
        ELSIF v.status = 429 THEN refused := refused + 1; longest := greatest(longest, v.retry_after_ms);
        ELSE RAISE 'status %', v.status; END IF;
    END LOOP;
END $$
SQL

# ---- 32 connections on one account, 10 s ------------------------------------------------------------------------------
my $session = account('crowd', 600, 60);
my $token = issue($main, $session, 'crowd');
my @crowd = map { wire($node, name => "crowd$_") } 1 .. 32;
my $start = $main->value("SELECT clock_timestamp() + interval '1 second'");
my @results = map { $_->{rows}[0] }
  Mirox::Wire::all(
	sub { ['SELECT * FROM hammer($1, $2::timestamptz, $2::timestamptz + interval \'10 seconds\')', $token->{secret}, $start] }, @crowd);
my ($admitted, $refused, $longest) = (0, 0, 0);
for (@results)
{
	$admitted += $_->[0];
	$refused  += $_->[1];
	$longest = $_->[2] if $_->[2] > $longest;
}
note "admitted $admitted, refused $refused, longest wait $longest ms";
cmp_ok($admitted, '<=', 160, 'in 10 s at most the burst and the rate are admitted');
cmp_ok($admitted, '>=', 157, 'and at least 98% of that');
cmp_ok($refused, '>', 1000, 'the others were refused');
# An interval is 100 ms. A process that was put aside between reading the clock and drawing is judged by its older reading.
cmp_ok($longest, '<=', 1000, 'nobody was told to wait for much longer than one interval');

# ---- two tokens and a session of one owner, exactly -------------------------------------------------------------------
$session = account('owner', 1, 50);
my @secrets = (issue($main, $session, 'one')->{secret}, issue($main, $session, 'two')->{secret}, $session);
my (%count, %sent);
Mirox::Wire::drive(
	sub {
		my ($wire, $result) = @_;
		$count{ $result->{rows}[0][0] }++ if $result;
		return undef if $sent{$wire}++ == 10;
		return [ 'SELECT status FROM mirox.check_request($1, $2, $3)', "Bearer $secrets[ ($sent{$wire} + $wire->{pid}) % 3 ]", 'GET', '/' ];
	},
	@crowd);
is_deeply(\%count, { 403 => 50, 429 => 270 }, 'two tokens and a session share one burst, to the request');
my $status = call($main, 'rate_limit_status', 'owner');
is_deeply([ @$status[ 0 .. 2 ] ], [ 1, 50, 0 ], 'the status says so');
cmp_ok($status->[3], '<=', 60000, 'and when the next one is let in');

# ---- two clients of one account, of which one has a lower limit of its own ---------------------------------------------
$session = account('shared', 1, 200);
my $capped = issue($main, $session, 'capped');
call($main, 'set_token_rate_limit', $session, $capped->{token_id}, 1, 20);
my @clients = ($capped->{secret}, issue($main, $session, 'free')->{secret});
(%count, %sent) = ();
Mirox::Wire::drive(
	sub {
		my ($wire, $result) = @_;
		my $client = ($sent{$wire} // 0) % 2;
		$count{ ($client ? 'free ' : 'capped ') . $result->{rows}[0][0] }++ if $result;
		return undef if ($sent{$wire}++ // 0) == 10;
		return [ 'SELECT status FROM mirox.verify_token($1)', $clients[ $sent{$wire} % 2 ] ];
	},
	@crowd);
is_deeply(\%count, { 'capped 200' => 20, 'capped 429' => 140, 'free 200' => 160 }, 'the lower limit admits its burst, to the request')
  or diag explain \%count;
is(call($main, 'rate_limit_status', 'shared')->[2], 20, 'and its refusals took nothing from the account');

# The account is the one that refuses, to 32 connections at once: the token keeps what the account did not let it use.
$session = account('stingy', 1, 20);
$capped  = issue($main, $session, 'capped');
call($main, 'set_token_rate_limit', $session, $capped->{token_id}, 1, 60);
(%count, %sent) = ();
Mirox::Wire::drive(
	sub {
		my ($wire, $result) = @_;
		$count{ $result->{rows}[0][0] }++ if $result;
		return undef if ($sent{$wire}++ // 0) == 10;
		return [ 'SELECT status FROM mirox.verify_token($1)', $capped->{secret} ];
	},
	@crowd);
is_deeply(\%count, { 200 => 20, 429 => 300 }, 'the account admits its burst, to the request');
call($main, 'put_account', 'stingy', ['parks:read'], 1, 1000);
# What goes back is less by the time between the two draws, which are microseconds; a request is a minute.
my $left = call($main, 'rate_limit_status', 'stingy', $capped->{token_id});
is($left->[5], 'token', 'now the token is the one that binds');
cmp_ok($left->[2], '>=', 39, 'refused requests took nothing from it');

# Who waits as long as told is let in, and no sooner.
$session = account('patient', 300, 1);
is(check_request($main, $session)->[0], 403, 'the first goes through');
my $verdict = check_request($main, $session);
is($verdict->[0], 429, 'the second does not');
sleep $verdict->[7] / 1000;
is(check_request($main, $session)->[0], 403, 'after the time that it was told it does');

# ---- a change by another session, obeyed in a transaction that began before --------------------------------------------
$session = account('changed', 1, 1);
$token = issue($main, $session, 'changed');
my $old = wire($node, name => 'old');
$old->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
is(verify($old, $token->{secret})->{status}, 200, 'a transaction draws the one there is');
is(verify($old, $token->{secret})->{status}, 429, 'and no other');
call($main, 'put_account', 'changed', ['parks:read'], 1, 3);
is(join(' ', map { verify($old, $token->{secret})->{status} } 1 .. 3), '200 200 429', 'a larger burst works at once');
$old->run('ROLLBACK');
call($main, 'set_rate_limit', 'changed', undef, undef);
is(verify($main, $token->{secret})->{status}, 200, 'without a limit of its own it has the default');
$node->append_conf('postgresql.conf', "mirox_tokens.rate_limit = 0\n");
$node->reload;
ok($node->poll_query_until('postgres', "SHOW mirox_tokens.rate_limit", '0'), 'the default is lowered to nothing');
is(verify($old, $token->{secret})->{status}, 429, 'and every session obeys');
$node->append_conf('postgresql.conf', "mirox_tokens.rate_limit = 1000000\n");
$node->reload;
ok($node->poll_query_until('postgres', "SHOW mirox_tokens.rate_limit", '1000000'), 'and raised again');
is(verify($old, $token->{secret})->{status}, 200, 'which is obeyed too');

# ---- more accounts than there is room for ------------------------------------------------------------------------------
# Each account may make two requests; whatever is evicted or shared, none may make a third.
my @accounts = map { account("many$_", 1, 2) } 1 .. 300;
my (%passed, @over);
for my $round (1 .. 3)
{
	for my $i (0 .. $#accounts)
	{
		$passed{$i}++ if check_request($main, $accounts[$i])->[0] != 429;
	}
}
@over = grep { ($passed{$_} // 0) > 2 } 0 .. $#accounts;
is("@over", '', 'no account of 300 gets through more often than its limit, with room for 64');
cmp_ok(scalar(grep { ($passed{$_} // 0) == 2 } 0 .. $#accounts), '>=', 30, 'those that have a place get all that is theirs');

# Accounts that have their whole burst again make room: a word that is idle is given to who comes.
$node->restart;
$main = wire($node);
my @fast = map { account("fast$_", 600000, 100) } 1 .. 400;
my $through = grep { check_request($main, $_)->[0] == 403 } @fast, @fast;
is($through, 800, 'accounts that rest make room for others: 400 in turn, with room for 64');

# Where no place is to be had, draws on a shared word go through its lock. Who finds that taken waits his turn: on a busy
# machine its holder may be put off the processor at that instant, which is nothing that the client did.
check_request($main, account("filler$_", 1, 1000)) for 1 .. 300;
$session = account('no place left', 60_000_000, 1_000_000);
$token = issue($main, $session, 'no place left');
@crowd = map { wire($node, name => "again$_") } 1 .. 16;
$start = $main->value("SELECT clock_timestamp() + interval '1 second'");
$refused = 0;
$refused += $_->{rows}[0][1]
  for Mirox::Wire::all(
	sub { ['SELECT * FROM hammer($1, $2::timestamptz, $2::timestamptz + interval \'3 seconds\')', $token->{secret}, $start] }, @crowd);
is($refused, 0, 'who shares a word with others is refused for his own use alone');

# ---- a server without the library checks nothing -----------------------------------------------------------------------
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nmirox_tokens.rate_limit = 600\n");
$node->adjust_conf('postgresql.conf', 'mirox_tokens.max_tracked_accounts', undef);
$node->restart;
my $bare = wire($node);
is($bare->state('SELECT * FROM mirox.verify_token($1)', $fast[0]), 'ok', 'what is no token is refused without it');
is($bare->state('SELECT * FROM mirox.check_request($1, $2, $3)', "Bearer $fast[0]", 'GET', '/'), '55000', 'a check that would have to count says that it cannot');

clean_log($node);
done_testing();
