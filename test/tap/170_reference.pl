# Every view shows what was sent. Requests with known instants, addresses, agents, scopes and endpoints are sent in any order, over borders
# of a minute, hour, day, month and year, some of them days late. What each view must show is added up here, from the list of what was
# sent, and compared while minutes are open, when they have closed, and when hours and days are added up.
use strict;
use warnings;
use List::Util qw(max min shuffle sum0);
use Mirox qw(new_node wire call put_account open_session issue rotate clean_log);
use Test::More;

my $node = new_node('reference', conf => "\nmirox_tokens.flush_interval = 600s\nmirox_tokens.minute_retention = 400\n");
my $wire = wire($node);
$wire->rows("SET timezone = 'UTC'");
put_account($wire, $_, ['parks', 'reports'], 60000, 10000) for qw(anna carl);
call($wire, 'put_endpoint', 'GET', '/parks/*', 'parks:read');
call($wire, 'put_endpoint', '*', '/admin/**', 'admin');
my %session = map { $_ => open_session($wire, $_) } qw(anna carl);
my %session_id = map { $_ => $wire->value('SELECT max(session_id) FROM mirox.audit_acts WHERE event = $1 AND user_id = $2', 'session_opened', $_) } qw(anna carl);
my %account_id = map { $_ => $wire->value('SELECT account_id FROM mirox.account_report WHERE user_id = $1', $_) } qw(anna carl);
my %token = (one => issue($wire, $session{anna}, 'one'), two => issue($wire, $session{anna}, 'two'), other => issue($wire, $session{carl}, 'other'));
my %owner = (one => 'anna', two => 'anna', other => 'carl');

# ---- what is sent ---------------------------------------------------------------------------------------------------------------
# Instants at both sides of each border, of days that are past.
my $year = $wire->value(q{SELECT extract(year FROM now() AT TIME ZONE 'UTC')::int - 1});
my @borders = map { $wire->value('SELECT $1::timestamptz', $_) } "$year-12-31 24:00:00+00",
	$wire->value(q{SELECT date_trunc('month', now() - interval '3 days', 'UTC')}), $wire->value(q{SELECT date_trunc('day', now(), 'UTC') - interval '1 day'}),
	$wire->value(q{SELECT date_trunc('day', now(), 'UTC') - interval '26 hours'}), $wire->value(q{SELECT date_trunc('day', now(), 'UTC') - interval '1000 minutes'});
my @instants = map { my $border = $_; map { $wire->value('SELECT $1::timestamptz + $2::interval', $border, $_) } '-0.000001 s', '0 s', '30 s', '-45 s', '3 min', '-2 h' } @borders;
my @how = (
	sub { +{ token => 'one', ip => '203.0.113.1', agent => 'curl/8.5.0', scope => 'parks:read', status => 200, reason => 'ok' } },
	sub { +{ token => 'one', ip => '203.0.113.1', agent => 'curl/8.5.0', scope => 'secrets', status => 403, reason => 'insufficient_scope' } },
	sub { +{ token => 'two', ip => '2001:db8::7', agent => 'Wget/1.21.3', path => ['GET', '/parks/7'], scope => 'parks:read', endpoint => 'GET /parks/*', status => 200, reason => 'ok' } },
	sub { +{ token => 'two', path => ['put', '/admin/users'], scope => 'admin', endpoint => '* /admin/**', status => 403, reason => 'insufficient_scope' } },
	sub { +{ token => 'other', status => 200, reason => 'ok' } },
	sub { +{ session => 'carl', ip => '192.0.2.9', path => ['HEAD', '/parks/7'], scope => 'parks:read', endpoint => 'GET /parks/*', status => 200, reason => 'ok' } },
	sub { +{ session => 'carl', ip => '192.0.2.9', path => ['GET', '/nowhere'], scope => '*', status => 403, reason => 'insufficient_scope' } },
);
srand(7);
my @plan = shuffle(map { my $at = $_; map { +{ %{ $how[ rand @how ]->() }, at => $at } } 1 .. 2 } @instants);
my @sent;

# Sends one, and gives it its instant in the table where a drain has put it.
sub send_one
{
	my $use = shift;
	$wire->rows('SELECT pg_sleep(CASE WHEN extract(second FROM clock_timestamp()) > 55 THEN 61 - extract(second FROM clock_timestamp()) ELSE 0 END)');
	my $secret = $use->{token} ? $token{ $use->{token} }{secret} : $session{ $use->{session} };
	my $last = $wire->value('SELECT coalesce(max(open_id), 0) FROM mirox_internal.usage_open');
	if ($use->{path}) { call($wire, 'check_request', "Bearer $secret", @{ $use->{path} }, $use->{ip}, $use->{agent}); }
	else { call($wire, 'verify_token', $secret, $use->{ip}, $use->{agent}, $use->{scope}); }
	call($wire, 'flush');
	$wire->rows('SET session_replication_role = replica');
	my $moved = $wire->value(q{WITH u AS (UPDATE mirox_internal.usage_open SET minute = date_trunc('minute', $2::timestamptz, 'UTC'), first_at = ARRAY[$2::timestamptz], last_at = ARRAY[$2::timestamptz]
		WHERE open_id > $1 RETURNING 1) SELECT count(*) FROM u}, $last, $use->{at});
	$wire->rows('SET session_replication_role = origin');
	die "a drain wrote $moved rows" if $moved != 1;
	my $who = $use->{token} ? $owner{ $use->{token} } : $use->{session};
	push @sent, { %$use, user_id => $who, account_id => $account_id{$who}, token_id => $use->{token} && $token{ $use->{token} }{token_id}, session_id => $use->{session} && $session_id{ $use->{session} },
		generation => $use->{token} ? 1 : 0, method => $use->{path} && uc $use->{path}[0], user_agent => $use->{agent}, minute => substr($use->{at}, 0, 16) . ':00+00', hour => substr($use->{at}, 0, 13) . ':00:00+00',
		day => substr($use->{at}, 0, 10), event => $use->{status} < 400 ? 'used' : 'refused', kind => $use->{token} ? 'token' : 'session', requests => 1 };
	return;
}

# ---- what must be shown, and what is ----------------------------------------------------------------------------------------------
my @facts = qw(user_id account_id token_id session_id generation ip user_agent scope method endpoint status reason);
# The sums by these keys: requests, the first and the last instant.
sub expected
{
	my ($keys, @uses) = @_;
	my %sums;
	for my $use (@uses) { push @{ $sums{ join '|', map { $use->{$_} // '-' } @$keys } }, $use->{at}; }
	return join "\n", sort map { join '|', $_, scalar @{ $sums{$_} }, (sort @{ $sums{$_} })[ 0, -1 ] } keys %sums;
}
sub shown
{
	my ($view, $keys, $first, $last, $where) = @_;
	my $list = join ', ', map { $_ eq 'ip' ? 'host(ip)' : $_ } @$keys;
	return join "\n", sort map { join '|', map { $_ // '-' } @$_ } $wire->rows("SELECT $list, sum(requests), min($first), max($last) FROM $view " . ($where // '') . " GROUP BY $list");
}
sub compare
{
	my $state = shift;
	for (qw(minute hour day))
	{
		my $view = { minute => 'usage_minutely', hour => 'usage_hourly', day => 'usage_daily' }->{$_};
		is(shown("mirox.$view", [ $_, @facts ], 'first_at', 'last_at'), expected([ $_, @facts ], @sent), "$view, $state");
	}
	is(shown('mirox.refusals', [@facts], 'first_at', 'last_at'), expected([@facts], grep { $_->{status} >= 400 } @sent), "refusals, $state");
	is(shown('mirox.audit_trail', [ 'event', @facts ], 'at', q{(detail ->> 'last_at')::timestamptz}, 'WHERE requests IS NOT NULL'), expected([ 'event', @facts ], @sent), "audit_trail, $state");
	my %traffic;
	$traffic{"$_->{hour}|$_->{kind}|$_->{status}|$_->{reason}"}++ for @sent;
	is(join("\n", sort map { join '|', @$_ } $wire->rows('SELECT hour, kind, status, reason, requests FROM mirox.traffic_hourly')), join("\n", sort map { "$_|$traffic{$_}" } keys %traffic), "traffic_hourly, $state");
	my %days;
	$days{"$_->{day}|$_->{user_id}"}[ $_->{status} >= 400 ]++ for @sent;
	is(join("\n", sort map { join '|', @$_ } $wire->rows('SELECT day, user_id, uses, refusals FROM mirox.account_daily')), join("\n", sort map { join '|', $_, map { $_ // 0 } @{ $days{$_} }[ 0, 1 ] } keys %days), "account_daily, $state");
	for my $name (sort keys %token)
	{
		my @of = grep { ($_->{token} // '') eq $name } @sent;
		my @used = sort { $a->{at} cmp $b->{at} } grep { $_->{status} < 400 } @of;
		my $newest = @used ? $used[-1]{at} : undef;
		is(join('|', map { $_ // '-' } @{ ($wire->rows('SELECT uses, refusals, last_used_at, last_refused_at FROM mirox.token_report WHERE token_id = $1', $token{$name}{token_id}))[0] }),
			join('|', scalar @used, @of - @used, $newest // '-', (sort map { $_->{at} } grep { $_->{status} >= 400 } @of)[-1] // '-'), "token_report of $name, $state");
		my @keys = qw(generation ip user_agent scope method endpoint status reason);
		is(shown("mirox.token_history('$session{$owner{$name}}', $token{$name}{token_id}, max_rows => NULL)", \@keys, 'first_at', 'last_at'), expected(\@keys, @of), "token_history of $name, $state");
	}
	is(join(' ', map { join '/', @$_ } $wire->rows('SELECT user_id, uses, refusals FROM mirox.account_report ORDER BY 1')),
		join(' ', map { my $user = $_; my @of = grep { $_->{token} && $_->{user_id} eq $user } @sent; join '/', $user, scalar(grep { $_->{status} < 400 } @of), scalar(grep { $_->{status} >= 400 } @of) } qw(anna carl)), "account_report, $state");
	return;
}

# A worker that comes anew closes what is over, and adds up.
my $worker = "FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'";
sub close_all
{
	$wire->value("SELECT count(pg_terminate_backend(pid)) $worker");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 $worker") or die 'the worker stays';
	call($wire, 'flush');
	$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM mirox_internal.usage_open') or die 'minutes stay open';
	return $node->poll_query_until('postgres', q{SELECT bool_and(before >= date_trunc(unit, now() - interval '5 minutes', 'UTC')) FROM mirox_internal.usage_summed HAVING count(*) = 2});
}

my @late = splice @plan, @plan * 2 / 3;
send_one($_) for @plan;
compare('minutes open or closed as it came');
ok(close_all(), 'minutes are closed, hours and days added up');
compare('all closed');
send_one($_) for @late;
compare('some late');
# A reader in another time zone sees the same hours and days.
$wire->rows("SET timezone = 'America/New_York'");
is(join(' ', map { @$_ } $wire->rows('SELECT day, sum(requests) FROM mirox.usage_daily GROUP BY 1 ORDER BY 1')),
	do { my %n; $n{ $_->{day} }++ for @sent; join ' ', map { $_, $n{$_} } sort keys %n }, 'days are those of UTC whatever the time zone');
is($wire->value('SELECT sum(requests) FROM mirox.usage_hourly'), scalar @sent, 'and no hour is lost');
$wire->rows("SET timezone = 'UTC'");
ok(close_all(), 'and the late ones');
compare('late ones closed');
cmp_ok($wire->value('SELECT count(DISTINCT tableoid) FROM mirox_internal.usage_minute'), '>=', 3, 'in several partitions');

# What the overlapping secret does after a rotation is of its own generation.
my $old = $token{one}{secret};
my $again = rotate($wire, $session{anna}, $token{one}{token_id}, '1 hour');
call($wire, 'verify_token', $_, '198.51.100.1') for $old, $again->{secret}, $again->{secret};
my $history = sub { join ' ', map { join '/', @$_ } $wire->rows('SELECT generation, sum(requests) FROM mirox.token_history($1, $2) GROUP BY 1 ORDER BY 1', $session{anna}, $token{one}{token_id}) };
is($history->(), '1/1 2/2', 'both secrets, from shared memory');
call($wire, 'flush');
is($history->(), '1/1 2/2', 'and from the tables');
is($wire->value('SELECT count(*) FROM mirox.token_history($1, $2, max_rows => 1)', $session{anna}, $token{one}{token_id}), 1, 'no more than was asked for');
is($wire->state('SELECT * FROM mirox.token_history($1, $2, max_rows => -1)', $session{anna}, $token{one}{token_id}), '22023', 'a negative number is refused');

# A request through PostgREST: its method, and the rule that matches its path, whatever the rule's scope.
$wire->rows('BEGIN');
$wire->rows("SELECT set_config('request.method', 'get', true), set_config('request.path', '/admin/users', true), set_config('request.headers', \$1, true)",
	qq({"authorization": "Bearer $token{other}{secret}", "user-agent": "postgrest/12", "x-forwarded-for": "203.0.113.50"}));
$wire->rows('SELECT mirox.postgrest_pre_request()');
$wire->rows('COMMIT');
call($wire, 'flush');
is(join('|', map { $_ // '-' } @{ ($wire->rows("SELECT method, endpoint, scope, status, host(ip) FROM mirox.usage_minutely WHERE user_agent = 'postgrest/12'"))[0] }),
	'GET|* /admin/**|-|200|203.0.113.50', 'PostgREST: method and endpoint are recorded');

clean_log($node);
$node->stop;
done_testing();
