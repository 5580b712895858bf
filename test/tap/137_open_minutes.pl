# What a minute used is the same before and after it closes: in every view, the profile's list and history; added to hours, days
# and tokens that are there already; a late use changes no newest one; and what is open stays little.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate clean_log shift_open);
use Test::More;

my $node = new_node('open_minutes', conf => "\nmirox_tokens.flush_interval = 600s\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
put_account($wire, 'carl', ['parks']);
my %session = map { $_ => open_session($wire, $_) } qw(anna carl);
my $one     = issue($wire, $session{anna}, 'one');
my $two     = issue($wire, $session{anna}, 'two');
my $dead    = issue($wire, $session{anna}, 'dead');
my $other   = issue($wire, $session{carl}, 'other');
call($wire, 'revoke_token', $session{anna}, $dead->{token_id});

sub use_token { my ($token, $ip, $agent, $scope) = @_; return call($wire, 'verify_token', $token->{secret}, $ip, $agent, $scope); }

my @lists = (
	(map { "SELECT * FROM $_" } qw(mirox.usage_hourly mirox.usage_daily mirox.token_report mirox.account_report mirox.audit_trail mirox.refusals mirox_internal.minute_use mirox_internal.minute_refusal)),
	"SELECT * FROM mirox.list_tokens('$session{anna}')",
	(map { "SELECT * FROM mirox.token_history('$session{anna}', $_->{token_id})" } $one, $two));
sub shown
{
	return join "\n\n", map { my $list = $_; join "\n", $list =~ s/'miroxs_.*?'/…/r, map { join ' | ', map { $_ // '-' } @$_ } $wire->rows("SELECT x::text FROM ($list) x ORDER BY 1") } @lists;
}
my $worker = "FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'";
# A worker that comes anew closes what is over.
sub close_minutes
{
	$wire->value("SELECT count(pg_terminate_backend(pid)) $worker");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 $worker") or die 'the worker stays';
	call($wire, 'flush');
	return $node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM mirox_internal.usage_open');
}
sub shift_back { return shift_open($wire, shift); }
sub in_report { my $token = shift; return join ' ', map { $_ // '-' } @{ ($wire->rows('SELECT uses, refusals, host(last_ip), last_browser FROM mirox.token_report WHERE token_id = $1', $token->{token_id}))[0] }; }

# ---- three drains of a few minutes ------------------------------------------------------------------------------------------
sub some_use
{
	use_token($one, '203.0.113.1', 'curl/8.5.0', 'parks') for 1 .. 3;
	use_token($two, '203.0.113.9', 'curl/8.5.0', undef);
	use_token($dead, '198.51.100.7', 'curl/8.5.0', undef);
	call($wire, 'flush');
	use_token($one, '203.0.113.1', 'curl/8.5.0', 'parks') for 1 .. 2;
	use_token($one, '203.0.113.2', 'Wget/1.21.3', 'parks');
	use_token($other, undef, undef, 'reports');
	use_token($other, undef, undef, 'parks');
	call($wire, 'check_request', "Bearer $session{carl}", 'GET', '/', '192.0.2.4', 'curl/8.5.0');
	call($wire, 'flush');
	use_token($two, '203.0.113.8', 'Wget/1.21.3', undef);
	call($wire, 'flush');
	return;
}
some_use();
cmp_ok($wire->value('SELECT count(*) FROM mirox_internal.usage_open'), '>=', 3, 'each drain brought its own');
is($wire->value('SELECT count(*) FROM mirox_internal.usage_minute') + $wire->value('SELECT count(*) FROM mirox_internal.usage_hour') + $wire->value('SELECT count(*) FROM mirox_internal.token_usage'), 0, 'and wrote nothing else');
is(in_report($one), '6 0 203.0.113.2 Wget 1.21.3', 'the report has what is open: the newest use');
is(in_report($two), '2 0 203.0.113.8 Wget 1.21.3', 'of the third drain');
is(in_report($dead), '0 1 - -', 'a refusal');
is(in_report($other), '1 1 - -', 'a use without an address');
is($wire->value("SELECT string_agg(format('%s/%s/%s', user_id, uses, refusals), ' ' ORDER BY user_id) FROM mirox.account_report"), 'anna/8/1 carl/1/1', 'the accounts sum them up');
is($wire->value("SELECT sum(requests) FROM mirox.usage_hourly WHERE scope = 'parks'"), 7, 'the hours add up drains');
is($wire->value("SELECT count(*) FROM (SELECT FROM mirox.usage_daily WHERE ip = '203.0.113.1' AND scope = 'parks' GROUP BY day, ip, scope) d"), 1, 'a day and caller is a row');
shift_back('1 hour');
my $before = shown();
ok(close_minutes(), 'the minutes close');
is(shown(), $before, 'and all is shown as before');
my $uses = 'SELECT sum(requests) FROM (SELECT requests FROM mirox_internal.usage_X UNION ALL SELECT requests FROM mirox_internal.refusal_X) x';
ok($node->poll_query_until('postgres', ($uses =~ s/X/hour/gr) =~ s/sum\(requests\)/sum(requests) = 12/r), 'the hours have all of it');
is($wire->value("SELECT string_agg(uses || '/' || refusals, ' ' ORDER BY token_id) FROM mirox_internal.token_usage"), '6/0 2/0 0/1 1/1', 'and the tokens');

# ---- once more into the same hour, day and tokens -----------------------------------------------------------------------------
some_use();
shift_back('1 hour');
is(in_report($one), '12 0 203.0.113.2 Wget 1.21.3', 'what is open is added to what was closed');
$before = shown();
ok(close_minutes(), 'they close again');
is(shown(), $before, 'and all is shown as before');
is($wire->value($uses =~ s/X/minute/gr) . ' ' . $wire->value($uses =~ s/X/hour/gr), '24 24', 'the hour, which was added up, gets rows of its own');
is($wire->value('SELECT sum(requests) FROM mirox_internal.traffic_hour'), 24, 'and the traffic');
is($wire->value("SELECT string_agg(uses || '/' || refusals, ' ' ORDER BY token_id) FROM mirox_internal.token_usage"), '12/0 4/0 0/2 2/2', 'of tokens too');

# ---- a late use, and a rotation ------------------------------------------------------------------------------------------------
use_token($one, '203.0.113.77', 'Late/1', 'parks');
call($wire, 'flush');
shift_back('5 hours');
is(in_report($one), '13 0 203.0.113.2 Wget 1.21.3', 'an older use is not the newest');
$before = shown();
ok(close_minutes(), 'its minute closes');
is(shown(), $before, 'and all is shown as before');
use_token($one, '203.0.113.78', 'Before/1', 'parks');
call($wire, 'flush');
my $again = rotate($wire, $session{anna}, $one->{token_id});
is(in_report($one), '0 0 - -', 'rotation clears what is open too');
call($wire, 'verify_token', $again->{secret}, '203.0.113.79', 'curl/7.88.1');
call($wire, 'flush');
is(in_report($one), '1 0 203.0.113.79 curl 7.88.1', 'and counts anew');
shift_back('1 hour');
$before = shown();
ok(close_minutes(), 'both generations close');
is(shown(), $before, 'and all is shown as before');
is($wire->value('SELECT string_agg(uses::text, $2 ORDER BY generation) FROM mirox_internal.token_usage WHERE token_id = $1', $one->{token_id}, ' '), '14 1', 'each for itself');

# ---- how much may be open, by a worker that has seen nothing ---------------------------------------------------------------------
# Its plans are made while the tables are empty, and known to be; they must serve when these are large.
$node->safe_psql('postgres', 'CREATE DATABASE crowd');
$node->safe_psql('crowd', 'CREATE EXTENSION mirox_tokens; VACUUM (ANALYZE)');
my $crowd = wire($node, dbname => 'crowd');
my @busy;
for my $user (qw(anna bert carl))
{
	put_account($crowd, $user, ['*']);
	my $session = open_session($crowd, $user);
	push @busy, map { issue($crowd, $session, "busy $_")->{secret} } 1 .. 60;
}
call($crowd, 'verify_token', $busy[0]);
call($crowd, 'flush');
# All three times may fall into one minute, in which 2,000 callers of a token are told apart.
my $each = 600;
my $many = $each * @busy;
my $sum = 1;
for (1 .. 3)
{
	is($crowd->value("SELECT count(*) FILTER (WHERE (mirox.verify_token(s, '10.0.0.0'::inet + i, 'agent')).status = 200) FROM unnest(\$1::text[]) s, generate_series(1, $each) i", '{' . join(',', @busy) . '}'),
		$many, 'more callers than may be open');
	$sum += $many;
	call($crowd, 'flush');
	ok($node->poll_query_until('crowd', 'SELECT count(*) = 0 FROM mirox_internal.usage_open'), 'are moved on before their minute is over');
	is($crowd->value('SELECT sum(uses) FROM mirox.token_report'), $sum, 'and counted once');
	is($crowd->value('SELECT sum(requests) FROM mirox.usage_hourly'), $sum, 'in the hours too');
}
is($crowd->value('SELECT max(requests) FROM mirox.usage_daily'), 3, 'rows that were there have grown');
$crowd->close;

clean_log($node);
$node->stop;
done_testing();
