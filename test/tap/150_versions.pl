# Versions. The next one, which nobody has written yet, is made in a copy of the tree: a column more on a table, a type and a view, its
# own install script, a script from this version to it, and a library of that number. Shown with it, while checks are under way at a
# primary and a standby: a library under a newer script answers and records checks, and manages nothing; under an older one of its
# major version it does all, and says so once a session; no check is ever an error for it. An extension that was updated is the same
# as a fresh one, to the last comment. And pg_upgrade, in which the library does nothing, carries it over.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate reason contents clean_log);
use Mirox::Members qw($acls described);
use Mirox::Tree qw(copy_tree copy_stage installation build edits apply_edits update_script version_of);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# ---- the next version ------------------------------------------------------------------------------------------------------------
my $this = version_of($ENV{MIROX_TREE});
(my $next = $this) =~ s/(\d+)$/$1 + 1/e;
my $tree = copy_tree();
apply_edits($tree, edits(<<"EDITS"));
@@ mirox_tokens.control instead
default_version = '$this'
==
default_version = '$next'
@@ src/schema/25_usage.sql instead
    resolved boolean NOT NULL,
    seen_on date NOT NULL
);
==
    resolved boolean NOT NULL,
    seen_on date NOT NULL,
    invented text COLLATE "C"
);
@@ src/schema/25_usage.sql before
COMMENT ON COLUMN mirox_internal.agent.key IS
==
COMMENT ON COLUMN mirox_internal.agent.invented IS 'Of the next version';
@@ src/schema/60_checks.sql instead
    expires_at timestamptz, retry_after_ms integer
);
==
    expires_at timestamptz, retry_after_ms integer, invented text
);
@@ src/schema/92_stat.sql instead
CREATE VIEW mirox.stat AS SELECT * FROM
==
CREATE VIEW mirox.stat AS SELECT *, NULL::pg_catalog.text AS invented FROM
EDITS
my ($view) = slurp_file("$tree/src/schema/92_stat.sql") =~ /^(CREATE VIEW mirox\.stat .*?;)$/ms;
$view =~ s/CREATE/CREATE OR REPLACE/;
my $update = update_script('ALTER TABLE mirox_internal.agent ADD COLUMN invented text COLLATE "C";', "COMMENT ON COLUMN mirox_internal.agent.invented IS 'Of the next version';",
	'ALTER TYPE mirox.verdict ADD ATTRIBUTE invented text;', $view);
# As a release does: this version's install script is kept beside the script that leads on from it.
mkdir "$tree/src/upgrade";
system('cp', "$tree/mirox_tokens--$this.sql", "$tree/src/upgrade/") == 0 or die;
append_to_file("$tree/src/upgrade/mirox_tokens--$this--$next.sql", $update);

my %stage = map { $_ => copy_stage() } qw(primary standby);
build($tree);
# A package upgrade: the server that runs keeps the library that it has, until it is restarted.
sub upgrade_package { my $server = shift; return build($tree, $stage{$server}); }

# ---- the servers -----------------------------------------------------------------------------------------------------------------------
my $primary = new_node('primary', extension => 0, streaming => 1, install_path => installation($stage{primary}), conf => "\nmirox_tokens.flush_interval = 300ms\n");
my (%session, %secret, %before);
for my $dbname (qw(early late))
{
	$primary->safe_psql('postgres', "CREATE DATABASE $dbname");
	my $wire = $before{$dbname} = wire($primary, dbname => $dbname);
	$wire->rows('CREATE EXTENSION mirox_tokens');
	put_account($wire, 'anna', ['*']);
	$session{$dbname} = open_session($wire, 'anna');
	$secret{$dbname} = issue($wire, $session{$dbname}, 'token')->{secret};
	is($wire->value("SELECT extversion FROM pg_extension WHERE extname = 'mirox_tokens'"), $this, "$dbname: $this");
}
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby', install_path => installation($stage{standby}));
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
sub caught_up { return $primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert')); }

# Checks that go on at both servers while something is done: none fails, and each lets the token through.
sub checks_under_way
{
	my ($dbname, $name, $what) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/check.sql';
	append_to_file($file, "SELECT 1 / (CASE WHEN v.reason = 'ok' THEN 1 ELSE 0 END) FROM mirox.verify_token('$secret{$dbname}', '203.0.113.7', 'curl/8.5.0') v;\n"
		  . "SELECT 1 / (CASE WHEN (mirox.check_request('Bearer $secret{$dbname}', 'GET', '/')).status = 403 THEN 0 ELSE 1 END);\n");
	my @clients;
	for my $node ($primary, $standby)
	{
		my $out = '';
		push @clients, [ $node->name, \$out, IPC::Run::start([ 'pgbench', '-n', '-c', 2, '-T', 4, '-R', 100, '-f', $file, '-h', $node->host, '-p', $node->port, $dbname ], '<', \undef, '>&', \$out) ];
	}
	sleep 1;
	$what->();
	caught_up();
	for my $client (@clients)
	{
		my ($where, $out, $run) = @$client;
		ok($run->finish && $$out =~ /number of transactions actually processed: [1-9]/ && $$out !~ /abort|ERROR/, "$name: no check fails at the $where") or diag($$out);
	}
	return;
}

# What a session is told, beside the answer; a check's reason and a manager's SQLSTATE.
sub check { my ($wire, $dbname) = @_; return $wire->run('SELECT v.reason FROM mirox.verify_token($1) v', $secret{$dbname}); }
sub told { my $result = shift; return [ map { "$_->{S} $_->{H}" } @{ $result->{notices} } ]; }
sub manages { my ($wire, $dbname) = @_; return join ' ', $wire->state('SELECT mirox.put_account($1, $2)', 'bert', '{parks}'), $wire->state('SELECT mirox.issue_token($1, $2, $3)', $session{$dbname}, "token $$ " . rand, 'full_access'), $wire->state('SELECT mirox.unlock_account($1)', 'anna'); }
sub doctor_says { my $wire = shift; return join ' ', map { join '=', @$_ } $wire->rows(q(SELECT name, state FROM mirox.doctor() WHERE name IN ('package', 'version') ORDER BY 1)); }
my $refused = '55000 55000 55000';
my $all_well = 'ok ok ok';
my @update = ('WARNING Run ALTER EXTENSION mirox_tokens UPDATE.');

# Uses that come in are written, and by no failing worker.
sub drained
{
	my ($wire, $dbname, $name) = @_;
	my $written = 'SELECT COALESCE(sum(requests), 0) FROM mirox.usage_daily';
	my $had = $wire->value($written);
	check($wire, $dbname) for 1 .. 5;
	for (1 .. 100) { last if $wire->value('SELECT events_waiting FROM mirox.stat') == 0; sleep 0.1; }
	cmp_ok($wire->value($written), '>=', $had + 5, "$name: uses are written");
	is($wire->value("SELECT concat_ws(' ', flush_failures, last_error) FROM mirox.stat"), '0', "$name: without a failure");
	return;
}

# ---- an older library under a newer script ---------------------------------------------------------------------------------------------
# The package is upgraded, and somebody updates before the restart; the standby has replayed it and its own package is the old one.
my $waiting = wire($standby, dbname => 'early');
is(check($_, 'early')->{rows}[0][0], 'ok', 'a check before') for $before{early}, $waiting;
upgrade_package('primary');
checks_under_way('early', 'update before the restart', sub { $primary->safe_psql('early', 'ALTER EXTENSION mirox_tokens UPDATE'); });
for my $case ([ 'primary, a session of before', $before{early} ], [ 'primary', wire($primary, dbname => 'early') ], [ 'standby, a session of before', $waiting ], [ 'standby', wire($standby, dbname => 'early') ])
{
	my ($name, $wire) = @$case;
	my $answer = check($wire, 'early');
	is($answer->{rows}[0][0], 'ok', "older library, $name: a check");
	is_deeply(told($answer), [], 'and nothing is said');
	is(manages($wire, 'early'), $refused, 'nothing is managed');
	my $told = $wire->run('SELECT mirox.put_account($1, $2)', 'bert', '{parks}');
	like($told->{message}, qr/\Q$next\E.*\Q$this\E/, 'the error names both versions');
	is($told->{hint}, 'Install the library of that version, and restart the server.', 'and what to do');
	is($wire->value('SELECT status FROM mirox.check_request($1, $2, $3)', "Bearer $secret{early}", 'GET', '/'), 200, 'a request is checked');
	$wire->rows('BEGIN');
	is($wire->state('SELECT mirox.authenticate($1)', "Bearer $secret{early}"), 'ok', 'and authenticated');
	is($wire->value('SELECT mirox.current_user_id()'), 'anna', 'as whom it is');
	$wire->rows('ROLLBACK');
	is(doctor_says($wire), $name =~ /primary/ ? 'package=warning version=error' : 'package=ok version=error', 'doctor() says what is behind');
	drained($wire, 'early', "older library, $name") if $name =~ /primary/;
}

# ---- a newer library under an older script ---------------------------------------------------------------------------------------------
upgrade_package('standby');
$_->close for values %before, $waiting;
$_->restart for $primary, $standby;
for my $node ($primary, $standby)
{
	my $name = $node->name;
	my $wire = wire($node, dbname => 'early');
	my $answer = check($wire, 'early');
	is_deeply([ $answer->{rows}[0][0], told($answer) ], [ 'ok', [] ], "restarted $name: the versions agree, and nothing is said");
	is(manages($wire, 'early'), $node == $primary ? $all_well : '25006 25006 25006', "$name: all is managed, at the primary");
	drained($wire, 'early', $name) if $node == $primary;
	is(doctor_says($wire), 'package=ok version=ok', 'doctor() finds nothing');
	$wire->close;

	$wire = wire($node, dbname => 'late');
	is_deeply(told($wire->run('SELECT count(*) FROM generate_series(1, 3)')), [], "older script, $name: a session that does not use it is told nothing");
	$answer = check($wire, 'late');
	is_deeply([ $answer->{rows}[0][0], told($answer) ], [ 'ok', \@update ], 'the first check answers, and says what to do');
	$answer = check($wire, 'late');
	is_deeply([ $answer->{rows}[0][0], told($answer) ], [ 'ok', [] ], 'the next says nothing');
	is(manages($wire, 'late'), $node == $primary ? $all_well : '25006 25006 25006', 'all is managed, at the primary');
	drained($wire, 'late', "older script, $name") if $node == $primary;
	is(doctor_says($wire), 'package=ok version=warning', 'doctor() says what is to do');
	$wire->close;
	$wire = wire($node, dbname => 'late');
	$answer = $wire->run('SELECT count(*) FROM mirox.list_tokens($1)', $session{late});
	is_deeply([ $answer->{state}, told($answer) ], [ undef, \@update ], 'another session is told by what it does first');
	$wire->close;
}
like(slurp_file($primary->logfile), qr/WARNING:  the extension mirox_tokens has version \Q$this\E here, and its library has \Q$next\E/, 'the log says so too');
checks_under_way('late', 'update after the restart', sub { $primary->safe_psql('late', 'ALTER EXTENSION mirox_tokens UPDATE'); });
for my $node ($primary, $standby)
{
	my $wire = wire($node, dbname => 'late');
	is_deeply(told(check($wire, 'late')), [], 'updated: ' . $node->name . ' has nothing to say');
	$wire->close;
}

# ---- another major version ---------------------------------------------------------------------------------------------------------------
my ($major) = $next =~ /^(\d+)/;
for my $case ([ ($major + 1) . '.0', 'Install the library of that version, and restart the server.' ], [ ($major - 1) . '.9', 'Run ALTER EXTENSION mirox_tokens UPDATE.' ])
{
	my ($version, $hint) = @$case;
	$primary->safe_psql('late', "UPDATE pg_extension SET extversion = '$version' WHERE extname = 'mirox_tokens'");
	my $wire = wire($primary, dbname => 'late');
	my $answer = check($wire, 'late');
	is_deeply([ $answer->{rows}[0][0], told($answer) ], [ 'ok', [] ], "$version: a check");
	is(manages($wire, 'late'), $refused, 'nothing is managed');
	is($wire->run('SELECT mirox.flush()')->{hint}, $hint, 'and what to do');
	is(doctor_says($wire), 'package=ok version=error', 'as doctor() says');
	drained($wire, 'late', $version);
	$wire->close;
}
clean_log($_) for $primary, $standby;
$standby->stop;

# ---- updated equals fresh ----------------------------------------------------------------------------------------------------------------
# Which versions there are to come from: those that were released, and this one for the invented next.
sub released { my $folder = shift; return map { m{mirox_tokens--([^/]+)\.sql$} } grep { !/--.*--/ } glob "$folder/src/upgrade/mirox_tokens--*.sql"; }

# Lines that only one of two lists has.
sub differences
{
	my ($updated, $fresh) = @_;
	my (%updated, %fresh);
	@updated{@$updated} = @fresh{@$fresh} = ();
	return [ (map { "only updated: $_" } grep { !exists $fresh{$_} } @$updated), (map { "only fresh: $_" } grep { !exists $updated{$_} } @$fresh) ];
}

# The life of a token, so that what this library asks of an older script is there.
sub serves
{
	my ($wire, $name) = @_;
	put_account($wire, 'serves', ['*']);
	my $session = open_session($wire, 'serves');
	my $token = issue($wire, $session, 'token');
	my $rotated = rotate($wire, $session, $token->{token_id}, '1 hour');
	is(join(' ', map { reason($wire, $_, '203.0.113.7', 'curl/8.5.0', 'parks:read') } $token->{secret}, $rotated->{secret}), 'ok ok', "$name: checks");
	call($wire, 'flush');
	is($wire->value('SELECT uses FROM mirox.list_tokens($1)', $session), 1, "$name: and their record");
	is($wire->value('SELECT count(*) FROM mirox.token_history($1, $2)', $session, $token->{token_id}), 2, "$name: which the owner sees, by both secrets");
	is($wire->value('SELECT mirox.revoke_all_tokens($1)', $session), 1, "$name: a token is revoked");
	is(reason($wire, $rotated->{secret}), 'revoked', "$name: at once");
	$wire->rows("TABLE $_->[0]") for $wire->rows("SELECT oid::regclass FROM pg_class WHERE relkind = 'v' AND relnamespace = 'mirox'::regnamespace");
	return;
}

# The facts of a fresh one, and a connection to the one that was updated last.
sub compare
{
	my ($node, $to, @from) = @_;
	$node->safe_psql('postgres', 'CREATE DATABASE fresh');
	my $wire = wire($node, dbname => 'fresh');
	$wire->rows('CREATE EXTENSION mirox_tokens');
	my @fresh = described($wire);
	cmp_ok(scalar @fresh, '>', 1000, "$to: a fresh one has " . @fresh . ' facts');
	for my $from (@from)
	{
		$wire->close;
		$node->safe_psql('postgres', qq{CREATE DATABASE "from $from"});
		$wire = wire($node, dbname => "from $from");
		$wire->rows("CREATE EXTENSION mirox_tokens VERSION '$from'");
		cmp_ok(scalar @{ differences([ described($wire) ], \@fresh) }, '>', 1, "$from can be made, and is another");
		serves($wire, "by the script of $from");
		$wire->rows('ALTER EXTENSION mirox_tokens UPDATE');
		is_deeply(differences([ described($wire) ], \@fresh), [], "updated from $from it is the same as a fresh $to");
	}
	return ($wire, @fresh);
}

if (my @from = released($ENV{MIROX_TREE}))
{
	my $node = new_node('released', extension => 0);
	my ($wire) = compare($node, $this, @from);
	$wire->close;
	$node->stop;
}
my ($wire, @fresh) = compare($primary, $next, released($tree));
$wire->rows('SET search_path = pg_catalog');
my $granted = $wire->value($acls);
# The comparison sees what a script may forget.
my @forgotten = (
	'COMMENT ON COLUMN mirox_internal.agent.invented IS NULL',
	"COMMENT ON VIEW mirox.stat IS 'Other words'",
	'ALTER TABLE mirox_internal.agent ADD COLUMN more integer',
	'ALTER TABLE mirox_internal.agent ALTER COLUMN key DROP NOT NULL',
	'ALTER TABLE mirox_internal.agent ALTER COLUMN invented TYPE text COLLATE "default"',
	'ALTER TABLE mirox_internal.agent SET (fillfactor = 90)',
	"ALTER TABLE mirox_internal.token ALTER COLUMN metadata SET DEFAULT '[]'",
	'CREATE INDEX ON mirox_internal.agent (invented)',
	'ALTER TABLE mirox_internal.agent ADD CHECK (invented <> agent)',
	'ALTER TABLE mirox_internal.permission_group DISABLE TRIGGER group_guard',
	'ALTER TYPE mirox.verdict ADD ATTRIBUTE more integer',
	'ALTER DOMAIN mirox_internal.place ADD CHECK (VALUE < 64)',
	'CREATE OR REPLACE VIEW mirox.stat AS SELECT *, NULL::text AS invented FROM mirox_internal.stat_now() WHERE true',
	'GRANT SELECT ON mirox.stat TO PUBLIC',
	'GRANT SELECT (invented) ON mirox_internal.agent TO PUBLIC',
	'REVOKE USAGE ON TYPE mirox.verdict FROM PUBLIC',
	'GRANT EXECUTE ON FUNCTION mirox.flush() TO PUBLIC',
	'GRANT USAGE ON SCHEMA mirox_internal TO PUBLIC',
	'ALTER FUNCTION mirox.verify_token(text, inet, text, text) STABLE',
	'ALTER FUNCTION mirox.flush() SECURITY DEFINER',
	'ALTER FUNCTION mirox.list_tokens(text, boolean) ROWS 17',
	'ALTER OPERATOR mirox.= (mirox.scopes, mirox.scopes) SET (RESTRICT = NONE)',
	'ALTER SEQUENCE mirox_internal.group_id_seq INCREMENT 2',
	'ALTER EXTENSION mirox_tokens DROP VIEW mirox.stat',
	'ALTER EXTENSION mirox_tokens DROP SEQUENCE mirox_internal.agent_id_seq',
	"UPDATE pg_extension SET extcondition[1] = 'WHERE true' WHERE extname = 'mirox_tokens'",
	'CREATE VIEW mirox.more AS SELECT 1 AS one; ALTER EXTENSION mirox_tokens ADD VIEW mirox.more',
	"SET LOCAL session_replication_role = replica; UPDATE mirox_internal.permission_group SET description = 'Other words' WHERE name = 'full_access'");
my @unseen;
for my $statement (@forgotten)
{
	$wire->rows('BEGIN');
	my @failed = grep { $_ ne 'ok' } map { $wire->state($_) } split /; /, $statement;
	push @unseen, "$statement: @failed" if @failed || !@{ differences([ described($wire) ], \@fresh) };
	$wire->rows('ROLLBACK');
}
is(join("\n", @unseen), '', 'the comparison sees each of ' . @forgotten . ' things that a script may forget');
$wire->close;
clean_log($primary);
$primary->stop;

# ---- pg_upgrade --------------------------------------------------------------------------------------------------------------------------
my $from = new_node('from');
$wire = wire($from);
put_account($wire, 'anna', ['*']);
$session{postgres} = open_session($wire, 'anna');
$secret{postgres} = issue($wire, $session{postgres}, 'token')->{secret};
reason($wire, $secret{postgres}, '203.0.113.7', 'curl/8.5.0', 'parks:read') for 1 .. 3;
call($wire, 'flush');
my $contents = contents($from, 'postgres');
$wire->close;
$from->stop;
my $to = PostgreSQL::Test::Cluster->new('to', install_path => installation($stage{primary}));
$to->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$to->append_conf('postgresql.conf', slurp_file($ENV{MIROX_CONF}));
my $bin = $to->config_data('--bindir');
my ($out, $err) = run_command([ 'bash', '-c', 'cd "$1" && shift && exec "$@"', 'bash', PostgreSQL::Test::Utils::tempdir(), "$bin/pg_upgrade", '--no-sync', '-d', $from->data_dir, '-D', $to->data_dir,
	'-b', $from->config_data('--bindir'), '-B', $bin, '-s', $to->host, '-p', $from->port, '-P', $to->port ]);
like($out, qr/Upgrade Complete/, 'pg_upgrade from this version to the next') or diag("$out\n$err");
# As pg_upgrade starts a server: the library does nothing there, and has no settings, no shared memory and no worker.
my @start = ("$bin/pg_ctl", '-w', '-D', $to->data_dir, '-l', $to->logfile, '-o', '-b', 'start');
$to->command_ok(\@start, 'a server for pg_upgrade');
my $idle = wire($to);
is($idle->state('SHOW mirox_tokens.max_tracked_tokens'), '42704', 'no settings');
is($idle->value("SELECT count(*) FROM pg_shmem_allocations WHERE name ~ 'mirox'"), 0, 'no shared memory');
is($idle->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'mirox'"), 0, 'no worker');
ok(!-e $to->data_dir . '/pg_stat_tmp/mirox_tokens.ring', 'no ring');
$idle->close;
$to->command_ok([ "$bin/pg_ctl", '-w', '-D', $to->data_dir, 'stop' ], 'is stopped');
$to->start;
is(contents($to, 'postgres'), $contents, 'pg_upgrade carries all of it over');
$wire = wire($to);
my $answer = check($wire, 'postgres');
is_deeply([ $answer->{rows}[0][0], told($answer) ], [ 'ok', \@update ], 'a token verifies there, by the older script');
$wire->rows('ALTER EXTENSION mirox_tokens UPDATE');
is(manages($wire, 'postgres'), $all_well, 'updated, all is managed');
# A dump writes queries anew, with casts that stood there unsaid, and leaves rights out that are the owner's anyway.
is_deeply(differences(map { [ grep { /^(column|constraint|trigger|sequence|operator|cast|dumped|level|group|extension) / && !/: rights from the script / } @$_ ] } [ described($wire) ], \@fresh), [], 'and it is the same as a fresh one');
$wire->rows('SET search_path = pg_catalog');
is($wire->value($acls), $granted, 'with the same rights');
$wire->close;
clean_log($to);
$to->stop;
done_testing();
