# Location, browser and system of recorded uses: from any MMDB file; without one, with a missing or a corrupt one the location
# is NULL, mirox.stat says so, and recording goes on; a replaced file is taken up. The rules of browsers likewise.
use strict;
use warnings;
use File::Copy qw(copy);
use Mirox qw(new_node wire call put_account open_session issue clean_log);
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir();
my $file = "$folder/places.mmdb";
my $data = "$ENV{MIROX_TREE}/test/unit/data";
my $node = new_node('geo');
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
my $token = issue($wire, $session, 'token');
my $chrome = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36';
my $uses = 0;

# A backend that begins with the new value was forked after all others were told of it.
sub set
{
	my ($name, $value) = @_;
	$node->append_conf('postgresql.conf', "mirox_tokens.$name = '$value'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('mirox_tokens.$name') = '$value'") or die "$name is not set";
	return;
}

# One use, drained; gives location, browser and system as the profile page shows them, and what stat says.
sub use_it
{
	my ($address, $agent) = @_;
	call($wire, 'verify_token', $token->{secret}, $address, $agent);
	call($wire, 'flush');
	$uses++;
	my ($row) = $wire->rows('SELECT last_location, last_browser, last_os, uses FROM mirox.list_tokens($1)', $session);
	is($row->[3], $uses, 'the use is recorded');
	return @$row[ 0 .. 2 ];
}
sub stat_of { return $wire->value('SELECT ' . shift . ' FROM mirox.stat'); }

# Each setting is in force at the worker's next look.
sub settled { my ($column, $value) = @_; return $node->poll_query_until('postgres', "SELECT $column = '$value' FROM mirox.stat, mirox.flush()"); }

is_deeply([ use_it('81.2.69.160', $chrome) ], [ undef, 'Chrome 126.0', 'Windows 10' ], 'without a file: no location, but browser and system');
is(stat_of('geoip'), 'none', 'stat says that none is set');
is(stat_of('agent_rules'), 'ok', 'and that the rules are read');

set('geoip_database', $file);
ok(settled('geoip', 'unreadable'), 'a missing file: stat says so');
is((use_it('81.2.69.160', $chrome))[0], undef, 'the location is not known');

append_to_file($file, 'this is no MMDB file' x 100);
ok(settled('geoip', 'invalid'), 'a corrupt file: stat says so');
is((use_it('81.2.69.160', $chrome))[0], undef, 'the location is not known');

copy("$data/enrich_places_city.mmdb", "$file.new");
rename "$file.new", $file;
ok(settled('geoip', 'ok'), 'replaced by a good one, it is taken up');
is((use_it('81.2.69.160', $chrome))[0], 'London, England, United Kingdom', 'the location is known');
is((use_it('::ffff:81.2.69.160', $chrome))[0], 'London, England, United Kingdom', 'of an IPv4-mapped address, too');
is((use_it('10.0.0.1', $chrome))[0], undef, 'a private address is nowhere');
is($wire->value("SELECT string_agg(DISTINCT location, '|') FROM mirox.usage_daily WHERE ip = '81.2.69.160'"), 'London, England, United Kingdom',
	'reports show it');
is($wire->value("SELECT count(*) FROM mirox.usage_daily WHERE ip = '81.2.69.160' AND location IS NULL"), 1, 'what came before stays as it was known then');
my $history = $wire->value('SELECT location FROM mirox.token_history($1, $2) WHERE location IS NOT NULL LIMIT 1', $session, $token->{token_id});
is($history, 'London, England, United Kingdom', 'and the history');
my $parts = "concat_ws('|', country, region, city, latitude, longitude)";
is($wire->value("SELECT DISTINCT $parts FROM $_ WHERE ip = '81.2.69.160' AND country IS NOT NULL"), 'GB|England|London|51.5142|-0.0931', 'its parts are in ' . (split /\(/)[0])
	for qw(mirox.usage_minutely mirox.usage_hourly mirox.usage_daily mirox.audit_trail), "mirox.token_history('$session', $token->{token_id})";

# Cut short in place: the one in memory stays.
open my $cut, '>', $file or die $!;
print $cut 'x';
close $cut;
ok(settled('geoip', 'invalid'), 'spoiled in place: stat says so');
is((use_it('81.2.69.160', $chrome))[0], 'London, England, United Kingdom', 'the one read before stays in use');
copy("$data/enrich_places_flat.mmdb", "$file.new");
rename "$file.new", $file;
ok(settled('geoip', 'ok'), 'a file of another layout is taken up');
set('geoip_database', '');
ok(settled('geoip', 'none'), 'none again');
is((use_it('81.2.69.160', $chrome))[0], undef, 'and no location');

set('agent_rules', "$folder/none.yaml");
is_deeply([ (use_it('10.0.0.1', 'curl/8.5.0'))[ 1, 2 ] ], [ undef, undef ], 'without rules: no browser');
is(stat_of('agent_rules'), 'unreadable', 'stat says so');
is($wire->value("SELECT resolved FROM mirox_internal.agent WHERE agent = 'curl/8.5.0'"), 'f', 'it is to be tried again');
my $log = slurp_file($node->logfile);
my $warned = () = $log =~ /WARNING.*cannot read the file of locations/g;
cmp_ok($warned, '>=', 2, 'the log warned');
cmp_ok($warned, '<=', 6, "and not at each drain ($warned)");
clean_log($node);
$node->stop;
done_testing();
