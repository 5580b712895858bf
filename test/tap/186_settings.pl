# What may differ by database or role, and works there: sessions, and the worker of the database. A limit of accounts that stands in the
# catalog for a role, as from before, is left out at login, with a warning.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue);
use Test::More;

my $node = new_node('settings', bare => 1, conf => "shared_preload_libraries = 'mirox_tokens'\nmirox_tokens.flush_interval = 100\n");
$node->safe_psql('postgres', 'CREATE ROLE api LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql($_, 'CREATE EXTENSION mirox_tokens') foreach qw(postgres other);

# By database.
$node->safe_psql('postgres', "ALTER DATABASE other SET mirox_tokens.rate_burst = 7; ALTER DATABASE other SET mirox_tokens.rate_limit = 6; ALTER DATABASE other SET mirox_tokens.expiry_notice = '2 years'");
foreach (['postgres', 60, 600, 0], ['other', 7, 6, 1])
{
	my ($database, $burst, $limit, $notices) = @$_;
	my $wire = wire($node, dbname => $database);
	put_account($wire, 'anna', ['*']);
	my $session = open_session($wire, 'anna');
	my $secret = issue($wire, $session, 'sample', expires_at => $wire->value("SELECT now() + interval '1 year'"))->{secret};
	is($wire->value("SELECT rate_limit || ' ' || burst FROM mirox.rate_limit_status('anna')"), "$limit $burst", "$database: limit and burst");
	is($wire->value("SELECT ratelimit_limit FROM mirox.check_request(\$1, 'GET', '/')", "Bearer $secret"), $burst, "$database: and a check counts by them");
	is($wire->value('SELECT count(*) FROM mirox.expiring_tokens'), $notices, "$database: what counts as expiring");
}
like(($node->psql('postgres', 'ALTER DATABASE other SET mirox_tokens.flush_interval = 500'))[2], qr/cannot be changed now/, 'what is the server\'s is refused for a database');

# By role.
my ($status, $out, $err) = $node->psql('postgres', 'ALTER ROLE api SET mirox_tokens.rate_burst = 5');
like($err, qr/parameter "mirox_tokens.rate_burst" cannot be set for a role.*several roles act for an account.*Set it for the database/s, 'a limit of accounts is refused for a role');
$node->safe_psql('postgres', "ALTER ROLE api SET mirox_tokens.default_lifetime = '30 days'");
is($node->safe_psql('postgres', 'SHOW mirox_tokens.default_lifetime', extra_params => [ '-U', 'api' ]), '30 days', 'another setting works');
$node->safe_psql('postgres', q{SET allow_system_table_mods = on; UPDATE pg_db_role_setting SET setconfig = setconfig || '{mirox_tokens.rate_burst=5}'
	WHERE setrole = 'api'::regrole});
($status, $out, $err) = $node->psql('postgres', 'SHOW mirox_tokens.rate_burst; SHOW mirox_tokens.default_lifetime', extra_params => [ '-U', 'api' ]);
is($out, "60\n30 days", 'one that stands in the catalog is left out');
like($err, qr/WARNING:  invalid value for parameter "mirox_tokens.rate_burst"/, 'with a warning');

$node->stop;
done_testing();
