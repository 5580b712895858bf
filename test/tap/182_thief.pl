# The thief's case, end to end: a session and a token are stolen, the owner logs in, sees what is going on, and ends both by one
# call. Each party has the level that it has on a real server.
use strict;
use warnings;
use Mirox qw(new_node wire call clean_log);
use Test::More;

my $node = new_node('thief');
my $dba  = wire($node);
for my $level (qw(login application gateway))
{
	$dba->rows("CREATE ROLE $level LOGIN");
	call($dba, 'grant_access', $level, $level);
}
my ($login, $page, $gateway) = map { wire($node, user => $_) } qw(login application gateway);
# The profile page of a platform that authenticates each request, so that the database knows from where it comes.
$dba->rows('CREATE ROLE web LOGIN');
call($dba, 'grant_access', 'web', $_) for qw(application gateway);
my $web = wire($node, user => 'web');
sub from_browser
{
	my ($session, $ip, $agent, $sql, @arguments) = @_;
	$web->rows('BEGIN');
	$web->rows('SELECT mirox.authenticate($1, $2, $3)', "Bearer $session", $ip, $agent);
	my $result = $web->run($sql, @arguments);
	$web->rows($result->{state} ? 'ROLLBACK' : 'COMMIT');
	return $result->{state} ? [ $result->{state} ] : $result->{rows}[0];
}

my ($home, $thief) = ('203.0.113.9', '198.51.100.66');
call($login, 'put_account', 'anna', [ 'parks', 'reports' ]);
call($dba, 'put_endpoint', 'GET', '/parks/**', 'parks:read');
my $stolen = call($login, 'open_session', 'anna', '12 hours', $home, 'Firefox/123.0')->[0];
my ($token_id, $secret) = @{ from_browser($stolen, $home, 'Firefox/123.0', 'SELECT token_id, secret FROM mirox.issue_token($1, $2, $3)', $stolen, 'Nightly export', 'full_access') };
my $request = sub { my ($credential, $ip, $agent) = @_; call($gateway, 'check_request', "Bearer $credential", 'GET', '/parks/berlin', $ip, $agent)->[0] };
is($request->($secret, $home, 'curl/8.5.0'), 200, 'the owner works');

# The thief has both secrets.
is($request->($secret, $thief, 'evil/1.0'), 200, 'the thief reads with the token');
is($page->state('SELECT * FROM mirox.issue_token($1, $2, $3)', $secret, 'more', 'full_access'), '42501', 'which makes no token');
my ($second_id, $second) = @{ from_browser($stolen, $thief, 'evil/1.0', 'SELECT token_id, secret FROM mirox.issue_token($1, $2, $3)', $stolen, 'Backup', 'full_access') };
is($request->($second, $thief, 'evil/1.0'), 200, 'but the session does');
is(from_browser($stolen, $thief, 'evil/1.0', 'SELECT secret FROM mirox.rotate_token($1, $2, $3)', $stolen, $token_id, '7 days')->[0] =~ /^mirox_/, 1, 'and rotates the first');

# The owner logs in anew, and looks.
my $mine = call($login, 'open_session', 'anna', '12 hours', $home, 'Firefox/124.0')->[0];
my @sessions = $page->rows('SELECT current, client_ip, user_agent FROM mirox.list_sessions($1)', $mine);
is_deeply(\@sessions, [ [ 't', $home, 'Firefox/124.0' ], [ 'f', $home, 'Firefox/123.0' ] ], 'two sessions');
is_deeply([ $page->rows(q{SELECT event, coalesce(token_name, '-'), ip FROM mirox.account_log($1) WHERE by_session_id IS NOT NULL}, $mine) ],
	[ [ 'token_rotated', 'Nightly export', $thief ], [ 'token_issued', 'Backup', $thief ], [ 'token_issued', 'Nightly export', $home ] ],
	'the log: what was done with the stolen session, and from where');
is($page->value('SELECT count(DISTINCT by_session_id) FROM mirox.account_log($1)', $mine), 1, 'by one session');
my ($shown) = $page->rows('SELECT previous_uses, previous_last_ip, overlap_ends_at IS NOT NULL FROM mirox.list_tokens($1) WHERE token_id = $2', $mine, $token_id);
is_deeply($shown, [ 2, $thief, 't' ], 'the list: the secret before the rotation still works, and who used it last');
is_deeply([ $page->rows(q{SELECT status, ip, user_agent, requests FROM mirox.token_history($1, $2)}, $mine, $second_id) ],
	[ [ 200, $thief, 'evil/1.0', 1 ] ], 'the history of the new token');

# One call ends it all.
is(call($page, 'revoke_all_tokens', $mine, 'stolen', 'true')->[0], 2, 'both tokens are revoked by one call');
is($request->($_, $thief, 'evil/1.0'), 401, 'a secret of the thief is refused') for $secret, $second, $stolen;
is($page->state('SELECT * FROM mirox.issue_token($1, $2, $3)', $stolen, 'again', 'full_access'), '28000', 'and the session does nothing more');
is($page->state('SELECT * FROM mirox.list_tokens($1)', $mine), 'ok', 'the owner goes on');
is_deeply([ $page->rows(q{SELECT event, detail #>> '{close_reason,to}', detail #>> '{revoke_reason,to}', ip FROM mirox.account_log($1, max_rows => 3) ORDER BY event}, $mine) ],
	[ [ 'session_closed', 'stolen', undef, $home ], [ 'token_revoked', undef, 'stolen', $home ], [ 'token_revoked', undef, 'stolen', $home ] ], 'the log shows that too');
is($page->value('SELECT count(*) FROM mirox.list_tokens($1, true) WHERE revoke_reason = $2', $mine, 'stolen'), 2, 'the revoked ones are shown, with why');
clean_log($node);
$node->stop;
done_testing();
