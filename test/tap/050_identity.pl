# The identity and protected tables where one session cannot show it: two-phase commit, a transaction pooler, dump and
# restore, and what the server's log holds.
use strict;
use warnings;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('identity');
$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf', slurp_file($ENV{MIROX_CONF}));
$node->append_conf('postgresql.conf', "max_prepared_transactions = 5\nlog_min_error_statement = error\n");
$node->start;
my $postgres = sub { $node->safe_psql('postgres', @_) };

$postgres->('CREATE EXTENSION pgcrypto');
$postgres->('CREATE EXTENSION mirox_tokens');
$postgres->(q{
	CREATE ROLE app LOGIN;
	CREATE ROLE keeper LOGIN;
	SELECT mirox.grant_access('app', 'gateway');
	SELECT mirox.grant_access('app', 'application');
	SELECT mirox.grant_access('keeper', 'admin');
	GRANT CREATE ON SCHEMA public TO keeper;
	SELECT mirox.put_account('ann', '{parks.berlin:read,notes}', 1000000, 1000);
	SELECT mirox.put_account('bob', '{*}', 1000000, 1000);
});
my %session = map { ($_ => $postgres->("SELECT mirox.open_session('$_')")) } qw(ann bob);
my %secret = map { ($_ => $postgres->("SELECT secret FROM mirox.issue_token('$session{$_}', 'x', 'full_access')")) } qw(ann bob);
$node->safe_psql('postgres', q{
	CREATE TABLE note (id int PRIMARY KEY, owner text, body text);
	INSERT INTO note VALUES (1, 'ann', 'a'), (2, 'bob', 'b');
	CREATE TABLE measure (region text NOT NULL, v int) PARTITION BY RANGE (v);
	CREATE TABLE measure_1 PARTITION OF measure FOR VALUES FROM (0) TO (10);
	INSERT INTO measure VALUES ('berlin', 1), ('rome', 2);
	SELECT mirox.protect_table('note', 'notes', 'owner');
	SELECT mirox.protect_table('measure', 'parks', resource_column => 'region');
	GRANT SELECT, INSERT ON note, measure, measure_1 TO app;
}, extra_params => [ '-U', 'keeper' ]);
my $as = sub { $node->safe_psql('postgres', $_[0], extra_params => [ '-U', 'app' ]) };

# ---- two-phase commit --------------------------------------------------------------------------------------------
is($as->(qq{
	BEGIN;
	SELECT mirox.authenticate('Bearer $secret{ann}');
	INSERT INTO note VALUES (3, 'ann', 'c');
	PREPARE TRANSACTION 'kept';
	SELECT coalesce(mirox.current_user_id(), 'nobody'), (SELECT count(*) FROM note);
}), "\nnobody|0", 'PREPARE TRANSACTION ends the identity');
is($as->(qq{
	COMMIT PREPARED 'kept';
	SELECT coalesce(mirox.current_user_id(), 'nobody');
	BEGIN;
	SELECT mirox.authenticate('Bearer $secret{bob}');
	SELECT count(*) FROM note;
	COMMIT;
}), "nobody\n\n1", 'COMMIT PREPARED brings none back');
is($postgres->('SELECT count(*) FROM note'), '3', 'what was done under it is there');

# ---- a transaction pooler -------------------------------------------------------------------------------------------
SKIP:
{
	my ($pgbouncer) = grep { -x $_ } qw(/usr/sbin/pgbouncer /usr/bin/pgbouncer);
	skip 'no pgbouncer', 8 unless defined $pgbouncer;
	my $home = PostgreSQL::Test::Utils::tempdir_short();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	append_to_file("$home/users", qq{"app" ""\n});
	append_to_file("$home/ini", join("\n", '[databases]',
		'postgres = host=' . $node->host . ' port=' . $node->port . ' dbname=postgres user=app', '[pgbouncer]',
		"listen_port = $port", 'listen_addr =', "unix_socket_dir = $home", 'auth_type = trust', "auth_file = $home/users",
		'pool_mode = transaction', 'default_pool_size = 1', 'max_client_conn = 20', "logfile = $home/log",
		"pidfile = $home/pid", 'ignore_startup_parameters = extra_float_digits,options', ''));
	my $output = '';
	my $bouncer = IPC::Run::start([ $pgbouncer, "$home/ini" ], '<', \undef, '>&', \$output);
	my $pooled = sub {
		my ($sql) = @_;
		my ($out, $err) = ('', '');
		IPC::Run::run([ 'psql', '-XAtq', '-h', $home, '-p', $port, '-U', 'app', '-d', 'postgres' ], '<', \$sql, '>', \$out, '2>', \$err,
			IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
		chomp $out;
		return $err eq '' ? $out : "$out$err";
	};
	my $up = 0;
	for (1 .. 100) { last if $up = $pooled->('SELECT 1') eq '1'; select undef, undef, undef, 0.1 }
	ok($up, 'the pooler is up') or diag $output, -e "$home/log" ? slurp_file("$home/log") : '';

	my $backend = $pooled->('SELECT pg_backend_pid()');
	is($pooled->("SELECT pg_backend_pid() = $backend, coalesce(mirox.current_user_id(), 'nobody')"), 't|nobody', 'one connection for all');
	is($pooled->("BEGIN;\nSELECT mirox.authenticate('Bearer $secret{ann}');\nSELECT mirox.current_user_id(), count(*) FROM note;\nCOMMIT;\nSELECT mirox.current_user_id();\n"),
		"\nann|2\n", 'for the length of a transaction');
	is($pooled->("SELECT pg_backend_pid() = $backend, coalesce(mirox.current_user_id(), 'nobody'), (SELECT count(*) FROM note)"), 't|nobody|0',
		'the next client has none');
	my $list = "SELECT count(*) FROM mirox.list_tokens('$session{ann}')";
	like($pooled->("BEGIN;\nSELECT mirox.authenticate('Bearer $secret{ann}');\n$list;\nROLLBACK;\n"), qr/acts for a token manages nothing/,
		'who acts for a token manages nothing');
	is($pooled->($list), '1', 'the next client, on the same connection, does');

	# A client that goes away in the middle, while another one waits for the connection.
	my ($in, $out, $err) = ("BEGIN;\nSELECT mirox.authenticate('Bearer $secret{bob}');\nSELECT 'is ' || mirox.current_user_id();\n", '', '');
	my $leaver = IPC::Run::start([ 'psql', '-XAtq', '-h', $home, '-p', $port, '-U', 'app', '-d', 'postgres' ], '<', \$in, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$leaver->pump until $out =~ /is bob/ || !$leaver->pumpable;
	like($out, qr/is bob/, 'a client in the middle of its transaction');
	$leaver->kill_kill;
	is($pooled->("SELECT coalesce(mirox.current_user_id(), 'nobody'), (SELECT count(*) FROM note)"), 'nobody|0',
		'a client that dies leaves none behind');
	$bouncer->kill_kill;
}

# ---- dump and restore ------------------------------------------------------------------------------------------------
my $file = PostgreSQL::Test::Utils::tempdir() . '/dump.sql';
my $policies = q{SELECT polrelid::regclass::text, polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
	FROM pg_policy ORDER BY 1, 2};
my $tables = q{SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname IN ('note', 'measure', 'measure_1') ORDER BY 1};
my @before = ($postgres->($policies), $postgres->($tables));
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $file, '-t', 'public.*' ], 'pg_dump as a superuser');
like(slurp_file($file), qr/CREATE POLICY mirox_read ON public\.note FOR SELECT/, 'the dump holds the policies');
like(slurp_file($file), qr/ALTER TABLE ONLY public\.note FORCE ROW LEVEL SECURITY/, 'and who is bound');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->safe_psql('restored', 'CREATE EXTENSION pgcrypto; CREATE EXTENSION mirox_tokens;');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $file ], 'restore');
is($node->safe_psql('restored', $policies), $before[0], 'the policies are as they were');
is($node->safe_psql('restored', $tables), $before[1], 'row security is as it was');
is($node->safe_psql('restored', 'SELECT count(*) FROM note'), '3', 'the rows are there');
is($node->safe_psql('restored', 'SELECT count(*) FROM note', extra_params => [ '-U', 'keeper' ]), '0', 'and bound');
$node->command_fails_like([ 'pg_dump', '-U', 'keeper', '-d', $node->connstr('postgres'), '-t', 'public.note' ],
	qr/row-level security/, 'the bound owner cannot dump a part for the whole');

# ---- the server's log --------------------------------------------------------------------------------------------------
my $revoked = $postgres->(qq{SELECT secret FROM mirox.issue_token(mirox.open_session('ann'), 'gone', 'full_access')});
$postgres->("UPDATE mirox_internal.token SET revoked_at = now() WHERE name = 'gone'");
my $start = -s $node->logfile;
for my $statement (
	"SELECT mirox.authenticate('Bearer $revoked')",
	"SELECT mirox.authenticate('Bearer $revoked x')",
	"BEGIN; SELECT mirox.authenticate('Bearer $secret{ann}'); SELECT mirox.authenticate('Bearer $secret{bob}')",
	"BEGIN; SELECT set_config('request.headers', '{\"authorization\": \"Bearer $revoked\"}', true); SELECT mirox.postgrest_pre_request()",
	"BEGIN; SELECT set_config('request.headers', '{\"authorization\": \"Bearer $revoked', true); SELECT mirox.postgrest_pre_request()",
	"BEGIN; SELECT mirox.authenticate('Bearer $secret{ann}'); SELECT mirox.revoke_self('$secret{bob}')",
	"BEGIN; SELECT mirox.authenticate('Bearer $secret{ann}'); SELECT mirox.issue_token('$session{ann}', 'x', 'reporting')",
	"BEGIN; SELECT mirox.authenticate('Bearer $session{ann}'); SELECT mirox.issue_token('$session{bob}', 'x', 'reporting')",
	"SELECT mirox.issue_token('$secret{ann}', 'x', 'reporting')")
{
	my ($rc, $out, $err) = $node->psql('postgres', $statement, extra_params => [ '-U', 'app' ]);
	isnt($rc, 0, 'refused');
	my @shown = ($err =~ /(miroxs?_\w{20,})/g);
	is("@shown", '', 'no secret in the message');
}
my $log = slurp_file($node->logfile, $start);
like($log, qr/no valid credentials/, 'the log says that it was refused');
like($log, qr/the transaction has an identity/, 'and that it may not be swapped');
like($log, qr/acts for a token manages nothing/, 'and that who acts for a token manages nothing');
unlike($log, qr/miroxs?_[0-9A-Za-z]{20}/, 'and holds no secret');
# The transactions are gone, what they tried is not: it is kept over a stop, by token and by session.
$node->stop('immediate');
$node->start;
$postgres->('SELECT mirox.flush()');
is($postgres->(q{SELECT token_id IS NULL, session_id IS NULL, user_id, scope, sum(requests) FROM mirox.refusals
	WHERE reason = 'management_refused' AND scope <> 'mirox.list_tokens' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4}),
	"f|t|ann|mirox.issue_token|2\nf|t|ann|mirox.revoke_self|1\nt|f|ann|mirox.issue_token|1", 'refused acts are recorded');

$node->stop;
done_testing();
