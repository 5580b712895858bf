# What an owner may do to a token, in every order of two acts, and as each level: the outcome by a table worked out by hand.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue reason broken clean_log);
use Test::More;

my $node = new_node('orders');
my $main = wire($node);
put_account($main, 'anna', [ 'parks', 'reports' ]);
my $session = open_session($main, 'anna');

# ---- two acts on one token ------------------------------------------------------------------------------------------
# The token is narrowed to parks.a. Each act: the call after the token's id.
my @acts = (
	[ rotate    => 'secret FROM mirox.rotate_token($1, $2)' ],
	[ overlap   => q{secret FROM mirox.rotate_token($1, $2, '1 hour')} ],
	[ revoke    => 'mirox.revoke_token($1, $2)' ],
	[ suspend   => 'mirox.suspend_token($1, $2)' ],
	[ resume    => 'mirox.resume_token($1, $2)' ],
	[ narrow    => q{mirox.set_token_permissions($1, $2, '{parks.a:read}')} ],
	[ widen     => q{mirox.set_token_permissions($1, $2, '{parks}')} ],
	[ networks  => q{mirox.set_token_networks($1, $2, '{203.0.113.9/24}')} ],
	[ later     => q{mirox.set_token_expiration($1, $2, expires_in => '2 years')} ],
	[ metadata  => q{mirox.set_token_metadata($1, $2, '{"a": 1}')} ],
	[ limit     => 'mirox.set_token_rate_limit($1, $2, 60)' ],
	[ rename    => q{mirox.rename_token($1, $2, 'other')} ],
	[ end       => 'mirox.end_overlap($1, $2)' ]);
my %act = map { @$_ } @acts;
# For each first act (none; expired: its time is over) and each second: what the second answers, then what a check says of the
# newest secret, then of the first one.
#   answers: . done, t true, f false, = the time of the first call, - P0002, x 55000
#   checks: o ok, s suspended, v revoked, r rotated, e expired
my @table = (
	#             rotate overlap revoke suspend resume narrow widen networks later metadata limit rename end
	[ none     => '.or    .oo     .vv    .ss     foo    .oo    .oo   .oo      .oo   .oo      .oo   .oo    foo' ],
	[ rotate   => '.or    .or     .vv    .sr     for    .or    .or   .or      .or   .or      .or   .or    for' ],
	[ overlap  => '.or    .or     .vv    .ss     foo    .oo    xoo   .oo      .oo   .oo      .oo   .oo    tor' ],
	[ revoke   => '-vv    -vv     =vv    -vv     -vv    -vv    -vv   -vv      -vv   -vv      -vv   -vv    -vv' ],
	[ suspend  => '.sr    .ss     .vv    =ss     too    .ss    .ss   .ss      .ss   .ss      .ss   .ss    fss' ],
	[ resume   => '.or    .oo     .vv    .ss     foo    .oo    .oo   .oo      .oo   .oo      .oo   .oo    foo' ],
	[ narrow   => '.or    .oo     .vv    .ss     foo    .oo    .oo   .oo      .oo   .oo      .oo   .oo    foo' ],
	[ widen    => '.or    .oo     .vv    .ss     foo    .oo    .oo   .oo      .oo   .oo      .oo   .oo    foo' ],
	[ networks => '.or    .oo     .vv    .ss     foo    .oo    .oo   .oo      .oo   .oo      .oo   .oo    foo' ],
	[ later    => '.or    .oo     .vv    .ss     foo    .oo    .oo   .oo      .oo   .oo      .oo   .oo    foo' ],
	[ metadata => '.or    .oo     .vv    .ss     foo    .oo    .oo   .oo      .oo   .oo      .oo   .oo    foo' ],
	[ limit    => '.or    .oo     .vv    .ss     foo    .oo    .oo   .oo      .oo   .oo      .oo   .oo    foo' ],
	[ rename   => '.or    .oo     .vv    .ss     foo    .oo    .oo   .oo      .oo   .oo      .oo   .oo    foo' ],
	[ end      => '.or    .oo     .vv    .ss     foo    .oo    .oo   .oo      .oo   .oo      .oo   .oo    foo' ],
	[ expired  => '.or    .or     .vv    .ee     fee    .ee    .ee   .ee      xee   .ee      .ee   .ee    fee' ]);
my %letter = (ok => 'o', suspended => 's', revoked => 'v', rotated => 'r', expired => 'e');
my %state  = (P0002 => '-', 55000 => 'x');

# Does it; the answer, and its letter.
sub act
{
	my ($name, $token, $before) = @_;
	my $result = $main->run("SELECT $act{$name}", $session, $token->{token_id});
	return ('', $state{ $result->{state} } // $result->{state}) if $result->{state};
	my $value = $result->{rows}[0][0];
	$token->{newest} = $value if $name eq 'rotate' || $name eq 'overlap';
	return ($value, $name eq 'resume' || $name eq 'end' ? $value : defined $before && $before eq $value ? '=' : '.');
}

for my $row (@table)
{
	my ($first, $line) = @$row;
	my @seen;
	for my $second (map { $_->[0] } @acts)
	{
		my $token = issue($main, $session, "$first, $second", permissions => ['parks.a'],
			expires_at => $main->value('SELECT clock_timestamp() + $1::interval', $first eq 'expired' ? '1 s' : '1 year'));
		$token->{newest} = $token->{secret};
		my $answer;
		if ($first eq 'expired') { $main->rows('SELECT pg_sleep(1.05)'); }
		elsif ($first ne 'none') { ($answer) = act($first, $token); }
		my (undef, $letter) = act($second, $token, $first eq $second && $first =~ /^(revoke|suspend)$/ ? $answer : undef);
		push @seen, join '', $letter, map { $letter{ reason($main, $_, '203.0.113.7') } // '?' } @{$token}{qw(newest secret)};
		# What was changed, the list shows.
		my ($shown) = $main->rows('SELECT status, suspended_at IS NOT NULL, overlap_ends_at IS NOT NULL FROM mirox.list_tokens($1, true) WHERE token_id = $2',
			$session, $token->{token_id});
		my %status = (o => $first eq 'expired' ? 'expiring' : 'active', s => 'suspended', v => 'revoked', e => 'expired');
		is($shown->[0], $status{ substr $seen[-1], 1, 1 }, "$first, then $second: the list says what a check says");
		is($shown->[1], $shown->[0] eq 'suspended' || $first eq 'expired' && $second eq 'suspend' ? 't' : 'f', 'and whether it is suspended')
		  if $shown->[0] !~ /^(active|expiring)$/;
		call($main, 'revoke_token', $session, $token->{token_id});
	}
	is(join(' ', @seen), join(' ', split ' ', $line), "$first, then each other act");
}
is(broken($main), '', 'the tables agree');
# Each act that did something has its row of from and to; one that changed nothing has none.
is(join(' ', map { @$_ } $main->rows(q{SELECT DISTINCT event FROM mirox_internal.audit_log WHERE token_id IS NOT NULL ORDER BY 1})),
	'overlap_ended token_changed token_issued token_renamed token_resumed token_revoked token_rotated token_suspended token_widened', 'each kind of act is logged');
is($main->value(q{SELECT count(*) FROM mirox_internal.audit_log WHERE event IN ('token_changed', 'token_widened', 'token_suspended', 'token_resumed')
	AND NOT EXISTS (SELECT FROM jsonb_each(detail) d WHERE d.value ? 'from' AND d.value ? 'to')}), 0, 'with what it was and what it is');

# ---- each function as each level ------------------------------------------------------------------------------------
my %level = (
	login => [ 'put_account($user, \'{parks}\')', 'set_rate_limit($user, NULL, NULL)', 'close_sessions($user)' ],
	application => [ 'my_account($session)', 'list_groups($session)', 'list_tokens($session, true)', 'list_sessions($session)',
		'account_log($session)', 'close_session($session, 0)', 'close_other_sessions($session)', 'revoke_all_tokens($session, NULL, true)',
		map { my $call = (/(mirox\.\w+\(.*)/)[0]; $call =~ s/^mirox\.//; $call =~ s/\$1/\$session/; $call =~ s/\$2/\$token/; $call } map { $_->[1] } @acts ],
	admin => [ 'revoke_tokens($user)', 'lock_account($user)', 'unlock_account($user)' ],
	gateway => [], reporting => []);
put_account($main, 'bert', ['parks']);
for my $as (sort keys %level)
{
	$main->rows("CREATE ROLE level_$as LOGIN");
	call($main, 'grant_access', "level_$as", $as);
	my $wire = wire($node, user => "level_$as");
	my @wrong;
	for my $needs (sort keys %level)
	{
		for my $call (@{ $level{$needs} })
		{
			my $own   = open_session($main, 'bert');
			my $token = issue($main, $own, 'of bert', permissions => ['parks.a']);
			(my $sql = $call) =~ s/\$(\w+)/'$1' eq 'user' ? "'bert'" : $1 eq 'session' ? "'$own'" : $1 eq 'user' ? "'bert'" : $token->{token_id}/ge;
			my $result = $wire->run("SELECT mirox.$sql");
			my $state  = $result->{state} // 'ok';
			my $may    = $as eq $needs || $as eq 'admin';
			push @wrong, "$call: $state " . ($result->{message} // '')
			  if $may ? $state ne 'ok' : $state ne '42501' || $result->{message} !~ /^permission denied for function/;
			call($main, 'unlock_account', 'bert');
			call($main, 'revoke_tokens', 'bert');
		}
	}
	is(join("\n", @wrong), '', "level $as: its own functions, and no others");
	$wire->close;
}
clean_log($node);
$node->stop;
done_testing();
