# A session that was closed does nothing more: in no transaction, at no isolation level, by no function; and of 32 connections
# that issue and close at once none issues a token by a session that was closed before. MIROX_ROUNDS is how often (24).
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue broken clean_log);
use Test::More;

my $node   = new_node('closing', conf => "max_connections = 60\nmax_pred_locks_per_transaction = 256\n");
my $main   = wire($node);
my @levels = ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');

# ---- in every transaction, by every function ------------------------------------------------------------------------
put_account($main, 'anna', ['*']);
# Each function of level application that takes a session, with arguments that it would do something with.
my @functions = map { $_->[0] } $main->rows(<<'SQL');
SELECT format('SELECT count(*) FROM mirox.%I(%s)', p.proname, string_agg(CASE
    WHEN name = 'session' THEN '$1'
    WHEN name = 'token_id' THEN '$2::bigint'
    WHEN name = 'permission_group' THEN '''full_access'''
    WHEN type IN ('text[]'::regtype, 'inet[]'::regtype) THEN format('NULL::%s', type::regtype)
    WHEN type = 'jsonb'::regtype THEN '''{}'''
    WHEN type IN ('bigint'::regtype, 'integer'::regtype) THEN '1'
    ELSE '''x''' END, ', ' ORDER BY n))
FROM mirox_internal.access_rule r JOIN pg_proc p ON p.oid = to_regprocedure(r.object),
     unnest(p.proargnames[1:p.pronargs - p.pronargdefaults], (p.proargtypes::oid[])[0:p.pronargs - p.pronargdefaults - 1]) WITH ORDINALITY a (name, type, n)
WHERE r.level = 'application' AND p.proargnames[1] = 'session'
GROUP BY p.oid, p.proname ORDER BY p.proname
SQL
cmp_ok(scalar @functions, '>=', 20, scalar(@functions) . ' functions take a session');
my %closes = (
	close_sessions       => sub { call($main, 'close_sessions', 'anna') },
	close_other_sessions => sub { call($main, 'close_other_sessions', $_[0]) },
	close_session        => sub { call($main, 'close_session', $_[0], $_[1]) },
	revoke_all_tokens    => sub { call($main, 'revoke_all_tokens', $_[0], 'stolen', 'true') },
	lock_account         => sub { call($main, 'lock_account', 'anna') },
	lock_and_unlock      => sub { call($main, 'lock_account', 'anna'); call($main, 'unlock_account', 'anna') },
	delete_account       => sub { call($main, 'delete_account', 'anna') },
	delete_and_put       => sub { call($main, 'delete_account', 'anna'); put_account($main, 'anna', ['*']) });
for my $how (sort keys %closes)
{
	put_account($main, 'anna', ['*']);
	call($main, 'unlock_account', 'anna');
	my $mine = open_session($main, 'anna');
	my $old  = open_session($main, 'anna');
	my $id   = $main->value('SELECT session_id FROM mirox.my_account($1)', $old);
	my $token = issue($main, $old, 'of the old session');
	my @wires = map { my $wire = wire($node); $wire->rows("BEGIN ISOLATION LEVEL $_"); $wire->rows('SELECT count(*) FROM mirox_internal.account'); $wire } @levels;
	$closes{$how}->($mine, $id);
	my @wrong;
	for my $i (0 .. $#levels)
	{
		for my $function (@functions)
		{
			$wires[$i]->rows('SAVEPOINT s');
			my @arguments = ($old, $function =~ /\$2/ ? $token->{token_id} : ());
			my $state = $wires[$i]->state($function, @arguments);
			push @wrong, "$levels[$i], $function: $state" if $state ne '28000';
			$wires[$i]->rows('ROLLBACK TO s');
		}
		push @wrong, "$levels[$i]: a check lets it in"
		  if $wires[$i]->value('SELECT status FROM mirox.check_request($1, $2, $3)', "Bearer $old", 'GET', '/') != 401;
		$wires[$i]->close;
	}
	is(join("\n", @wrong), '', "$how: at every level, by every function: no open session");
}

# ---- 32 at once -------------------------------------------------------------------------------------------------------
my @crowd = map { wire($node, name => "crowd$_") } 1 .. 32;
my $rounds = $ENV{MIROX_ROUNDS} // 24;
my (%states, @wrong);
my @ways = qw(close_sessions lock_account close_other_sessions revoke_all_tokens);
for my $round (1 .. $rounds)
{
	my $user  = "race$round";
	my $level = $levels[ $round % 3 ];
	my $way   = $ways[ $round % 4 ];
	put_account($main, $user, ['*']);
	# Two connections to a session, and one that closes.
	my @sessions = map { open_session($main, $user) } 1 .. 16;
	my $own  = open_session($main, $user);
	my $held = issue($main, $own, 'held');
	my %of   = map { $crowd[$_] => $sessions[ $_ / 2 ] } 0 .. 31;
	my $closer = $crowd[ $round * 7 % 32 ];
	$_->run("BEGIN ISOLATION LEVEL $level"), $_->run('SELECT count(*) FROM mirox_internal.token') for @crowd;
	my (%step, $issued);
	Mirox::Wire::drive(
		sub {
			my ($wire, $result) = @_;
			if (!$result)
			{
				if ($wire == $closer)
				{
					return [ "SELECT mirox.$way(\$1)", $user ] if $way =~ /^(close_sessions|lock_account)$/;
					return [ 'SELECT mirox.close_other_sessions($1)', $own ] if $way eq 'close_other_sessions';
					return [ 'SELECT mirox.revoke_all_tokens($1, NULL, true)', $own ];
				}
				return [ 'SELECT token_id FROM mirox.issue_token($1, $2, $3)', $of{$wire}, 'raced', 'full_access' ];
			}
			my $state = $result->{state} // 'ok';
			$states{$level}{$state}++;
			return undef if $step{$wire}++;
			push @wrong, "$level, $way: $state $result->{message}" unless $state =~ /^(ok|28000)$/ || $state eq '40001' && $level eq 'SERIALIZABLE';
			push @wrong, "$level, $way: who closes is refused: $state" if $wire == $closer && $state ne 'ok' && $state ne '40001';
			return [ $result->{state} ? 'ROLLBACK' : 'COMMIT' ];
		},
		@crowd);
}
is(join("\n", @wrong), '', "$rounds rounds of 32: issued before the closing, or no session after it");
# The audit rows are written under the account's lock, so their order is that of the acts.
is($main->value(<<'SQL'), 0, 'no token was issued by a session that was closed before');
SELECT count(*) FROM mirox_internal.audit_log i JOIN mirox_internal.audit_log c ON c.session_id = i.by_session_id AND c.event = 'session_closed' AND c.audit_id < i.audit_id
WHERE i.event = 'token_issued'
SQL
is($main->value(<<'SQL'), 0, 'and every session of these accounts that was to be closed is closed');
SELECT count(*) FROM mirox_internal.session s JOIN mirox_internal.account a USING (account_id)
WHERE a.user_id LIKE 'race%' AND s.closed_at IS NULL
  AND EXISTS (SELECT FROM mirox_internal.audit_log c WHERE c.account_id = a.account_id AND c.event = 'session_closed')
  AND s.session_id <> (SELECT max(o.session_id) FROM mirox_internal.session o WHERE o.account_id = a.account_id)
SQL
ok($states{ $levels[0] }{ok} && $states{ $levels[0] }{28000}, 'both happened');
note "$_: " . join ', ', map { my $state = $_; "$state $states{ $levels[0] }{$state}" } sort keys %{ $states{ $levels[0] } } for $levels[0];
is(broken($main), '', 'the tables agree');
clean_log($node);
$node->stop;
done_testing();
