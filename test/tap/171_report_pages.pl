# A page of a report reads few pages of the tables, whatever their size: the newest rows, and the oldest, by each key that has an index.
# Judged by the buffers that the executor touched, not by time or by the words of a plan.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log);
use Mirox::Fill qw(make_partitions fill_usage);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('report_pages', conf => "\nmirox_tokens.flush_interval = 600s\njit = off\n");
my $wire = wire($node);
put_account($wire, 'anna', ['parks']);
my $made = issue($wire, open_session($wire, 'anna'), 'made');
ok(make_partitions($node, $wire, $made->{secret}), 'the worker makes partitions');
fill_usage($node, rows => 200_000, days => 20, tokens => 20_000, accounts => 2_000, addresses => 20_000, acts => 50_000);

my $pages_of_all = $wire->value(q{SELECT sum(relpages) FROM pg_class WHERE relnamespace = 'mirox_internal'::regnamespace AND relname ~ '^(usage|refusal)_(minute|hour|day)_'});
cmp_ok($pages_of_all, '>', 5_000, "the tables have $pages_of_all pages");

# Pages that a query touched, planning apart.
sub pages
{
	my ($sql) = @_;
	my $plan = $wire->value("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) $sql");
	my ($hit) = $plan =~ /"Shared Hit Blocks": (\d+)/;
	my ($read) = $plan =~ /"Shared Read Blocks": (\d+)/;
	return $hit + $read;
}
# A page of 50 rows: a descent of each partition's index, and the rows with their names.
sub few
{
	my ($most, $sql, $name) = @_;
	my $pages = pages($sql);
	cmp_ok($pages, '<=', $most, "$name: $pages pages");
	return;
}

my ($user, $account, $token, $session, $ip) = @{ ($wire->rows(q{SELECT user_id, account_id, token_id,
	(SELECT session_id FROM mirox.usage_hourly WHERE session_id IS NOT NULL LIMIT 1), host(ip) FROM mirox.refusals WHERE token_id IS NOT NULL ORDER BY first_at DESC LIMIT 1}))[0] };
my %key = (user_id => "'$user'", account_id => $account, token_id => $token, session_id => $session, ip => "'$ip'");
my %time = (usage_minutely => 'minute', usage_hourly => 'hour', usage_daily => 'day', refusals => 'first_at', audit_trail => 'at', audit_acts => 'at');
for my $view (sort keys %time)
{
	my $by = $time{$view};
	# Partitions that a view of minutes reads: 20 days of two tables, with 3 pages down an index each.
	few(1_000, "SELECT * FROM mirox.$view ORDER BY $by $_ LIMIT 50", "$view, from the $_ end") for 'DESC', 'ASC';
	# All rows of a user are read, and their names: user_id itself is joined.
	few($_ eq 'user_id' ? 2_000 : 1_000, "SELECT * FROM mirox.$view WHERE $_ = $key{$_} ORDER BY $by DESC LIMIT 50", "$view by $_") for sort keys %key;
}
few(1_000, "SELECT * FROM mirox.refusals WHERE reason = '$_' ORDER BY first_at DESC LIMIT 50", "refusals by reason $_") for qw(insufficient_scope expired malformed revoked);
few(1_000, "SELECT * FROM mirox.audit_trail WHERE event = '$_' ORDER BY at DESC LIMIT 50", "audit_trail by event $_") for qw(used refused token_issued);
few(250, "SELECT * FROM mirox.audit_trail WHERE event = '$_' ORDER BY at DESC LIMIT 50", "an act's event reads no uses: $_") for qw(token_revoked nothing);

# One day by another column reads that day.
my $day = $wire->value(q{SELECT (now() AT TIME ZONE 'UTC')::date - 5});
my $pages_of_day = $wire->value(q{SELECT sum(pg_relation_size(c.oid)) / 8192 FROM pg_class c WHERE relname ~ ('^(usage|refusal)_minute_' || to_char($1::date, 'YYYYMMDD') || '$') OR relname ~ '^(used_|agent|account_name)'}, $day);
few($pages_of_day + 200, "SELECT count(*), sum(requests) FROM mirox.usage_minutely WHERE first_at >= '$day 00:00+00' AND first_at < '$day 00:00+00'::timestamptz + interval '24 hours' AND $_", "one day by $_")
	for "country = 'DE'", "endpoint = 'GET /parks/1'", 'status = 403';
few(300, "SELECT status, sum(requests) FROM mirox.traffic_hourly WHERE hour >= '$day 00:00+00' AND hour < '$day 00:00+00'::timestamptz + interval '24 hours' GROUP BY 1", 'sums of a day by status');
few(1_500, "SELECT user_id, uses FROM mirox.account_daily WHERE day = '$day' ORDER BY uses DESC LIMIT 20", 'the users of a day');

# The ten questions of the manual read no more than it says.
my $manual = slurp_file("$ENV{MIROX_TREE}/docs/reporting.md");
my $questions = 0;
while ($manual =~ /^### (\d+\. [^\n]*)\n.*?^```sql[^\n]*\n(.*?)^```\nPages: (\d+)$/msg)
{
	my ($name, $queries, $most) = ($1, $2, $3);
	$queries =~ s/--[^\n]*//g;
	$queries =~ s/'anna'/'$user'/g;
	$queries =~ s/'(?:203\.0\.113\.9|198\.51\.100\.7)'/'$ip'/g;
	few($most, $_, $name) for grep { /\S/ } split /;/, $queries;
	$questions++;
}
is($questions, 10, 'all ten');

clean_log($node);
$node->stop;
done_testing();
