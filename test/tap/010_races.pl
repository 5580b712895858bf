# Many connections on one account: the cap holds at every isolation level, nothing deadlocks, no raw error comes through,
# and no token keeps a permission that its owner has lost. MIROX_RACE_SECONDS is how long the mixed part runs (20).
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue verify reason broken clean_log);
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{MIROX_SEED} // int(time);
srand $seed;
note "MIROX_SEED=$seed";
my @levels = ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
# A deadlock that took longer than this to end would be hidden by a longer deadlock_timeout.
my $node = new_node('races', conf => "max_connections = 120\nmax_pred_locks_per_transaction = 256\nlog_lock_waits = off\n");
my $main = wire($node);

# ---- 64 connections, 200 rounds -----------------------------------------------------------------------------------
put_account($main, 'crowd', ['*']);
my $session = open_session($main, 'crowd');
my @crowd = map { wire($node, name => "crowd$_") } 1 .. 64;
my $held_sql = "SELECT count(*) FROM mirox_internal.token t JOIN mirox_internal.account a USING (account_id)"
  . " WHERE a.user_id = 'crowd' AND t.revoked_at IS NULL";
my $issue = 'SELECT * FROM mirox.issue_token($1, $2, $3)';

my (%states, @over, @short, @unclear);
my $rounds = 200;
for my $round (1 .. $rounds)
{
	my $level = $levels[ $round % 3 ];
	# Frees a number of places, all of them at times.
	my $free = $round % 10 == 0 ? 64 : int rand 65;
	$main->rows(
		'SELECT mirox.revoke_token($1, token_id) FROM (SELECT token_id FROM mirox.list_tokens($1) ORDER BY random() LIMIT $2) l',
		$session, $free);
	my $before = $main->value($held_sql);
	# Each has its snapshot before anybody issues.
	my %step;
	$_->run("BEGIN ISOLATION LEVEL $level") for @crowd;
	Mirox::Wire::all(sub { ['SELECT count(*) FROM mirox_internal.token'] }, @crowd) if $level ne 'READ COMMITTED';
	my $done = 0;
	Mirox::Wire::drive(
		sub {
			my ($wire, $result) = @_;
			return [ $issue, $session, "round $round", 'full_access' ] unless $result;
			if (!$step{$wire}++)
			{
				if ($result->{state})
				{
					$states{$level}{ $result->{state} }++;
					push @unclear, "$result->{state}: $result->{message}"
					  unless $result->{state} eq '54000' && $result->{hint} && $result->{detail} =~ /holds 64 of at most 64/
					  || $result->{state} eq '40001';
				}
				return [ $result->{state} ? 'ROLLBACK' : 'COMMIT' ];
			}
			if ($result->{state}) { $states{$level}{ $result->{state} }++; }
			elsif ($wire->{sql} eq 'COMMIT') { $done++; $states{$level}{ok}++; }
			return undef;
		},
		@crowd);
	my $after = $main->value($held_sql);
	push @over, "round $round: $after held" if $after > 64 || $after != $before + $done;
	# With no serialization failure in play each free place is taken, and only then is anybody refused.
	push @short, "round $round, $level: $after held" if $level ne 'SERIALIZABLE' && $after != 64;
	push @short, "round $round, $level: nobody succeeded" if $before < 64 && !$done;
}
is("@over", '', "$rounds rounds of 64 at once: never 65, and as many tokens as successes");
is("@short", '', 'below SERIALIZABLE every free place is taken before anybody is refused; at it, somebody always gets one');
is(join("\n", @unclear), '', 'whoever is refused is told of the cap and what to do');
for my $level (@levels)
{
	my %allowed = map { $_ => 1 } ('ok', '54000', $level eq 'SERIALIZABLE' ? '40001' : ());
	is(join(' ', grep { !$allowed{$_} } sort keys %{ $states{$level} }), '', "$level: no other SQLSTATE");
	note "$level: " . join ', ', map { "$_ $states{$level}{$_}" } sort keys %{ $states{$level} };
}
is(broken($main), '', 'the tables agree');
$_->close for @crowd;

# ---- first registrations at once ------------------------------------------------------------------------------------
my @pair = map { wire($node, name => "pair$_") } 1 .. 8;
my %registered;
for my $round (1 .. 30)
{
	my $level = $levels[ $round % 3 ];
	$_->run("BEGIN ISOLATION LEVEL $level"), $_->run('SELECT 1') for @pair;
	my (%step, $n);
	Mirox::Wire::drive(
		sub {
			my ($wire, $result) = @_;
			return [ 'SELECT mirox.put_account($1, $2)', "new$round", [ 'parks:read', 'n' . ++$n ] ] unless $result;
			$registered{$level}{ $result->{state} // 'ok' }++;
			return $step{$wire}++ ? undef : [ $result->{state} ? 'ROLLBACK' : 'COMMIT' ];
		},
		@pair);
}
is($main->value("SELECT count(*) FROM mirox_internal.account WHERE user_id LIKE 'new%'"), 30, 'each user was registered once');
is(join(' ', grep { $_ ne 'ok' } map { keys %$_ } @registered{ @levels[ 0, 1 ] }), '', 'and nobody saw an error');
is(join(' ', grep { !/^(ok|40001)$/ } keys %{ $registered{SERIALIZABLE} }), '', 'nor, at SERIALIZABLE, any but 40001');

# The same of permission groups and endpoint rules, added and dropped.
my %few = (
	"put_group"    => [ 'SELECT mirox.put_group($1, $2)', sub { ( "group$_[0]", ['parks'] ) } ],
	"drop_group"   => [ 'SELECT mirox.drop_group($1)', sub { ("group$_[0]") } ],
	"put_endpoint" => [ 'SELECT mirox.put_endpoint($1, $2, $3)', sub { ( 'GET', "/e$_[0]/*", (qw(parks reports exports))[ rand 3 ] ) } ],
	"drop_endpoint" => [ 'SELECT mirox.drop_endpoint($1, $2)', sub { ( 'GET', "/e$_[0]/*" ) } ]);
my %fewer;
for my $round (1 .. 60)
{
	my $level = $levels[ $round % 3 ];
	my $kind  = (qw(group endpoint))[ $round % 2 ];
	$_->run("BEGIN ISOLATION LEVEL $level"), $_->run('SELECT 1') for @pair;
	my %step;
	Mirox::Wire::drive(
		sub {
			my ($wire, $result) = @_;
			if (!$result)
			{
				my $act = $few{ ($wire == $pair[0] || $wire == $pair[4] ? 'drop_' : 'put_') . $kind };
				return [ $act->[0], $act->[1]->(int $round / 4) ];
			}
			my $state = $result->{state} // 'ok';
			$fewer{"$kind, $level: $state " . ($result->{message} // '')} = 1
			  unless $state eq 'ok' || $state eq '40001' && $level eq 'SERIALIZABLE';
			return $step{$wire}++ ? undef : [ $result->{state} ? 'ROLLBACK' : 'COMMIT' ];
		},
		@pair);
}
is(join("\n", sort keys %fewer), '', 'groups and endpoint rules put and dropped at once: no error');

# ---- deleting an account while its sessions issue -----------------------------------------------------------------------
my %deleted;
for my $round (1 .. 20)
{
	my $level = $levels[ $round % 3 ];
	put_account($main, 'brief', ['*']);
	my $brief = open_session($main, 'brief');
	my %step;
	$_->run("BEGIN ISOLATION LEVEL $level"), $_->run('SELECT 1') for @pair;
	Mirox::Wire::drive(
		sub {
			my ($wire, $result) = @_;
			if (!$result)
			{
				return ['SELECT mirox.delete_account($1)', 'brief'] if $wire == $pair[ $round % 8 ];
				return [ $issue, $brief, 'late', 'reporting' ];
			}
			$deleted{$level}{ $result->{state} // 'ok' }++;
			return $step{$wire}++ ? undef : [ $result->{state} ? 'ROLLBACK' : 'COMMIT' ];
		},
		@pair);
	call($main, 'delete_account', 'brief');
}
is(join(' ', grep { !/^(ok|28000)$/ } map { keys %$_ } @deleted{ @levels[ 0, 1 ] }), '',
	'an account that goes away: issued before it, or no session after it');
is(join(' ', grep { !/^(ok|28000|40001)$/ } keys %{ $deleted{SERIALIZABLE} }), '', 'likewise at SERIALIZABLE');
is($main->value("SELECT count(*) FROM mirox_internal.token t LEFT JOIN mirox_internal.account a USING (account_id) WHERE a.account_id IS NULL"),
	0, 'and no token is left without an owner');
is(broken($main), '', 'the tables agree');
$_->close for @pair;

# ---- errors under savepoints -------------------------------------------------------------------------------------------
# Who acts is forgotten with the savepoint that failed, and only with it; the next call acts for itself.
put_account($main, 'careful', ['*']);
my $careful = open_session($main, 'careful');
my $token   = issue($main, $careful, 'careful');
my %failing = (
	'SELECT mirox.rename_token($1, $2, $3)' => [ $careful, $token->{token_id}, "\x01" ],
	'SELECT mirox.revoke_token($1, $2)'     => [ $careful, -1 ],
	'SELECT * FROM mirox.rotate_token($1, $2, $3)' => [ $careful, $token->{token_id}, '8 days' ],
	'UPDATE mirox_internal.token SET generation = 9 WHERE token_id = $1' => [ $token->{token_id} ],
	'UPDATE mirox_internal.token SET name = $2 WHERE token_id = $1' => [ $token->{token_id}, '' ],
	'SELECT * FROM mirox.issue_token($1, $2, $3)' => [ $careful, 'x', 'none' ]);
$main->rows('BEGIN');
for my $round (1 .. 200)
{
	my $depth = 1 + $round % 5;
	$main->rows("SAVEPOINT s$_") for 1 .. $depth;
	my $statement = (sort keys %failing)[ $round % keys %failing ];
	$main->state($statement, @{ $failing{$statement} }) =~ /^(22023|P0002)$/ or fail("$statement: " . $main->{sql});
	$main->rows('ROLLBACK TO s' . (1 + int rand $depth));
	call($main, 'rename_token', $careful, $token->{token_id}, "round $round");
	$main->rows("UPDATE mirox_internal.token SET metadata = jsonb_build_object('round', $round) WHERE token_id = \$1", $token->{token_id});
	$main->rows('RELEASE s1');
}
$main->rows('COMMIT');
is_deeply(
	[ map { @$_ } $main->rows(
			q{SELECT event, (detail ? 'direct')::text, count(*) FROM mirox_internal.audit_log WHERE token_id = $1 AND event <> 'token_issued'
			  GROUP BY 1, 2 ORDER BY 1, 2}, $token->{token_id}) ],
	[ 'token_changed', 'true', 200, 'token_renamed', 'false', 200 ],
	'200 failures under savepoints: each act after one is its own, each direct change is one');
$main->rows(q{CREATE FUNCTION swallow(statement text) RETURNS text LANGUAGE plpgsql AS
	'BEGIN EXECUTE statement; RETURN ''ok''; EXCEPTION WHEN others THEN RETURN sqlstate; END'});
is($main->value(q{SELECT string_agg(DISTINCT swallow(format('SELECT mirox.rename_token(%L, %s, %L)', $1::text, $2::bigint, E'\\x01')), ' ')
	FROM generate_series(1, 500)}, $careful, $token->{token_id}), '22023', 'and 500 swallowed by PL/pgSQL in one statement');
is(call($main, 'rename_token', $careful, $token->{token_id}, 'last')->[0], 'last', 'after which life goes on');

# ---- everything at once ---------------------------------------------------------------------------------------------
my @scopes = qw(parks:read parks:write reports exports timeseries:query admin.users:list);
put_account($main, 'busy', \@scopes);
my @sessions = map { open_session($main, 'busy') } 1 .. 4;
my @tokens;
# One of the newest: locking the account has closed those of before.
my $some_session = sub { $sessions[ -1 - int rand(@sessions < 4 ? scalar @sessions : 4) ] };
my $some_token   = sub { @tokens ? $tokens[ rand @tokens ] : 0 };
my $pick = sub { my @of = @_; return [ grep { rand() < 0.6 } @of ]; };
my %acts = (
	issue => [ 30, sub { [ $issue, $some_session->(), 'busy', (qw(full_access reporting timeseries))[ rand 3 ] ] } ],
	narrow => [ 10, sub {
		[ 'SELECT * FROM mirox.issue_token($1, $2, $3, permissions => $4)', $some_session->(), 'narrow', 'full_access',
			[ $scopes[ rand @scopes ] ] ] } ],
	rotate => [ 15, sub {
		[ 'SELECT * FROM mirox.rotate_token($1, $2, $3)', $some_session->(), $some_token->(), rand() < 0.5 ? '0' : '1 hour' ] } ],
	revoke => [ 15, sub { [ 'SELECT mirox.revoke_token($1, $2)', $some_session->(), $some_token->() ] } ],
	rename => [ 8, sub { [ 'SELECT mirox.rename_token($1, $2, $3)', $some_session->(), $some_token->(), 'name ' . int rand 99 ] } ],
	permissions => [ 15, sub { [ 'SELECT mirox.put_account($1, $2)', 'busy', $pick->(@scopes) ] } ],
	lock   => [ 2, sub { [ 'SELECT mirox.lock_account($1)', 'busy' ] } ],
	unlock => [ 8, sub { [ 'SELECT mirox.unlock_account($1)', 'busy' ] } ],
	open   => [ 8, sub { [ 'SELECT mirox.open_session($1)', 'busy' ] } ],
	close  => [ 2, sub { [ 'SELECT mirox.close_session($1)', @sessions > 4 ? shift @sessions : '' ] } ],
	all    => [ 1, sub { [ 'SELECT mirox.revoke_all_tokens($1)', $some_session->() ] } ],
	expired => [ 1, sub { [ 'SELECT mirox.revoke_expired_tokens($1)', $some_session->() ] } ],
	list   => [ 6, sub { [ 'SELECT * FROM mirox.list_tokens($1)', $some_session->() ] } ],
	any    => [ 2, sub { [ 'SELECT mirox.revoke_any_token($1)', $some_token->() ] } ]);
# By a superuser past the functions; in transactions of READ COMMITTED, since the server itself answers 40001 else.
my %direct = (
	token   => [ 3, sub { [ 'UPDATE mirox_internal.token SET metadata = $2 WHERE token_id = $1 AND revoked_at IS NULL', $some_token->(), '{"a": 1}' ] } ],
	tokens  => [ 1, sub { ["UPDATE mirox_internal.token t SET group_id = 1 + (random() * 2)::int FROM mirox_internal.account a WHERE a.user_id = 'busy' AND t.account_id = a.account_id AND t.revoked_at IS NULL"] } ],
	revoke  => [ 1, sub { [ 'UPDATE mirox_internal.token SET revoked_at = now() WHERE token_id = $1 AND revoked_at IS NULL', $some_token->() ] } ],
	account => [ 2, sub { [ "UPDATE mirox_internal.account SET permissions = \$1::text[]::mirox.scopes, burst = 1 + (random() * 9)::int WHERE user_id = 'busy'", $pick->(@scopes) ] } ],
	session => [ 1, sub { ['DELETE FROM mirox_internal.session WHERE closed_at IS NOT NULL'] } ]);
sub choose
{
	my %of = @_;
	my $sum = 0;
	$sum += $_->[0] for values %of;
	my $at = rand $sum;
	for my $name (sort keys %of) { return ($name, $of{$name}[1]->()) if ($at -= $of{$name}[0]) < 0; }
	return choose(%of);
}

my @busy = map { wire($node, name => "busy$_") } 1 .. 16;
my %allowed = map { $_ => 1 } qw(ok 54000 28000 P0002 42501);
my (%count, @wrong, @disagree);
my $end = time + ($ENV{MIROX_RACE_SECONDS} // 20);
my $checkpoints = 0;
# On a slow machine a rare kind of act may not have gone through by then.
my $never = sub { return grep { !$count{$_}{ok} } (keys %acts), map { "direct $_" } keys %direct };
while (time < $end || time < $end + 60 && $never->())
{
	my $pause = time + 2;
	my %at;
	Mirox::Wire::drive(
		sub {
			my ($wire, $result) = @_;
			my $at = $at{$wire} //= {};
			if ($result)
			{
				my $state = $result->{state} // 'ok';
				if (($at->{act} // '') ne '' && $at->{step} eq 'act')
				{
					$count{ $at->{act} }{$state}++;
					$at->{row} = $result->{rows}[0];
				}
				push @wrong, "$at->{level}, $at->{step} $at->{act}: $state $result->{message}"
				  unless $allowed{$state} || $state eq '40001' && $at->{level} eq 'SERIALIZABLE';
				$at->{failed} = 1 if $result->{state};
			}
			my $step = $at->{step} // 'end';
			if ($step eq 'end')
			{
				if (!$at->{failed} && $at->{act})
				{
					if ($at->{act} =~ /^(issue|narrow)$/ && $at->{row}) { push @tokens, $at->{row}[0]; shift @tokens if @tokens > 80; }
					push @sessions, $at->{row}[0] if $at->{act} eq 'open' && $at->{row};
				}
				return undef if time > $pause;
				%$at = (level => $levels[ rand 3 ], step => 'begin', act => '', direct => rand() < 0.08);
				$at->{level} = 'READ COMMITTED' if $at->{direct};
				return ["BEGIN ISOLATION LEVEL $at->{level}"];
			}
			if ($step eq 'begin') { $at->{step} = 'snapshot'; return ['SELECT count(*) FROM mirox_internal.account']; }
			if ($step eq 'snapshot')
			{
				$at->{step} = 'act';
				($at->{act}, my $statement) = choose($at->{direct} ? %direct : %acts);
				$at->{act} = "direct $at->{act}" if $at->{direct};
				return $statement;
			}
			$at->{step} = 'end';
			return [ $at->{failed} || rand() < 0.1 && ($at->{failed} = 1) ? 'ROLLBACK' : 'COMMIT' ];
		},
		@busy);
	my $bad = broken($main);
	push @disagree, $bad if $bad ne '';
	$checkpoints++;
}
is(join("\n", @wrong), '', 'everything at once: no deadlock and no error but the stated ones');
is(join("\n", @disagree), '', "at $checkpoints checkpoints the tables agree, and no token has what its owner has lost");
my %by_act = map { my $act = $_; ($act => join ', ', map { "$_ $count{$act}{$_}" } sort keys %{ $count{$act} }) } keys %count;
note "$_: $by_act{$_}" for sort keys %by_act;
is(join(' ', $never->()), '', 'every kind of act went through at times');
clean_log($node);
$node->stop;
done_testing();
