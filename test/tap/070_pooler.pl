# A pooler that hands one server connection to many clients, a transaction each: checks go on, and no client ever has what
# another one was.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($pgbouncer) = grep { -x } '/usr/sbin/pgbouncer', '/usr/bin/pgbouncer';
plan skip_all => 'pgbouncer is not installed' if !$pgbouncer;

my $node = PostgreSQL::Test::Cluster->new('pooled');
$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'mirox_tokens'\nlog_statement = none\n");
$node->start;
$node->safe_psql('postgres', q{CREATE EXTENSION mirox_tokens; CREATE ROLE gateway LOGIN;
	SELECT mirox.grant_access('gateway', 'gateway')});
my $user = $node->safe_psql('postgres', 'SELECT current_user');

my $folder = PostgreSQL::Test::Utils::tempdir_short();
my $port = PostgreSQL::Test::Cluster::get_free_port();
append_to_file("$folder/users", qq{"gateway" ""\n});
append_to_file("$folder/pgbouncer.ini", join "\n", '[databases]',
	"postgres = host=${\$node->host} port=${\$node->port} dbname=postgres", '[pgbouncer]', 'listen_addr =',
	"listen_port = $port", "unix_socket_dir = $folder", 'auth_type = trust', "auth_file = $folder/users",
	'pool_mode = transaction', 'default_pool_size = 1', 'server_reset_query =', "logfile = $folder/log",
	"pidfile = $folder/pid", '');
my $pooler = IPC::Run::start([ $pgbouncer, '-q', "$folder/pgbouncer.ini" ], '<', \undef, '>', \my $said, '2>&1');
my $pooled = "host=$folder port=$port dbname=postgres user=gateway";
my $out;
for (1 .. 100)
{
	last if IPC::Run::run([ 'psql', '-XAtq', '-d', $pooled, '-c', 'SELECT 1' ], '>', \$out, '2>', \my $err);
	select undef, undef, undef, 0.1;
}

# Each call is a client of its own; each statement of it a transaction, unless it says BEGIN.
sub client
{
	my ($out, $err);
	IPC::Run::run([ 'psql', '-XAtq', '-d', $pooled, map { ('-c', $_) } @_ ], '>', \$out, '2>', \$err);
	chomp $out;
	return wantarray ? ($out, $err) : $out;
}

$node->safe_psql('postgres', q{SELECT mirox.put_account('anna', '{parks}'), mirox.put_account('bob', '{reports}')});
my %session = map { $_ => $node->safe_psql('postgres', "SELECT mirox.open_session('$_')") } 'anna', 'bob';
my %secret = map { $_ => $node->safe_psql('postgres',
	"SELECT secret FROM mirox.issue_token('$session{$_}', 'Script', 'full_access')") } 'anna', 'bob';

my $server = client('SELECT pg_backend_pid()');
like($server, qr/^\d+$/, 'the pooler answers') or diag($said, -e "$folder/log" ? slurp_file("$folder/log") : '');
is(client('SELECT pg_backend_pid()'), $server, 'two clients share one server connection');
is(client("SELECT status, user_id FROM mirox.verify_token('$secret{anna}')"), '200|anna', 'checks go on through it');
is(client('BEGIN', "SELECT mirox.authenticate('Bearer $secret{anna}')", 'SELECT mirox.current_user_id()', 'COMMIT',
	'SELECT mirox.current_user_id() IS NULL'), "\nanna\nt", 'an identity lasts for its transaction');
is(client('SELECT pg_backend_pid(), mirox.current_user_id() IS NULL'), "$server|t", 'the next client has none of it');
is(client('BEGIN', "SELECT mirox.authenticate('Bearer $secret{bob}')", 'SELECT mirox.current_user_id()', 'COMMIT'), "\nbob",
	'and may be somebody else');
is((client('BEGIN', "SELECT mirox.authenticate('Bearer $secret{anna}')", 'SELECT 1 / 0', 'ROLLBACK',
	'SELECT mirox.current_user_id() IS NULL'))[0], "\nt", 'an error ends it');
client('BEGIN', "SELECT mirox.authenticate('Bearer $secret{anna}')");
is(client('SELECT mirox.current_user_id() IS NULL'), 't', 'so does a client that goes away');

$node->safe_psql('postgres', "SELECT mirox.revoke_all_tokens('$session{anna}')");
is(client("SELECT status, reason FROM mirox.verify_token('$secret{anna}')"), '401|revoked',
	'a revocation elsewhere is obeyed by the pooled connection');
unlike(client("SELECT mirox.authenticate('Bearer $secret{anna}')", 'SELECT mirox.current_user_id()'), qr/anna/,
	'and makes no identity');

$pooler->kill_kill;
done_testing();
