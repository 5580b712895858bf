# Dump and restore: the same rows and counts in every table, the audit log not one row longer, every token still verifies,
# and the restored database goes on as the old one would have.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate verify reason contents broken clean_log shift_open);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('source', extension => 0);
$node->safe_psql('postgres', "CREATE ROLE app; CREATE ROLE gate; CREATE ROLE boss");
$node->safe_psql('postgres', 'CREATE DATABASE lived');

# ---- a database with something of everything -----------------------------------------------------------------------------
my $wire = wire($node, dbname => 'lived');
$wire->rows('CREATE EXTENSION mirox_tokens');
$wire->rows('SELECT mirox.grant_access($1::regrole, $2)', @$_)
  for [ app => 'application' ], [ app => 'login' ], [ gate => 'gateway' ], [ boss => 'admin' ];
$wire->rows("INSERT INTO mirox_internal.permission_group (name, permissions, description) VALUES ('own', '{parks:read}', 'added by a DBA')");
call($wire, 'put_endpoint', 'GET', '/parks/*', 'parks:read');
call($wire, 'put_endpoint', '*', '/reports/**', 'reports');
$wire->rows('CREATE TABLE users (id text PRIMARY KEY)');
$wire->rows("INSERT INTO users VALUES ('carl'), ('anna')");
$wire->rows("SELECT mirox.bind_accounts('users', 'id')");
put_account($wire, $_, [ 'parks', 'reports', 'exports' ]) for qw(anna carl lock gone), 'Ünal "x" \\ tab';
call($wire, 'put_account', 'carl', ['*'], 120, 7);
my %session = map { $_ => open_session($wire, $_) } qw(anna carl lock gone), 'Ünal "x" \\ tab';
my %expected;    # secret => reason
my @tokens = map { issue($wire, $session{anna}, "token $_", group => (qw(full_access reporting own))[ $_ % 3 ]) } 1 .. 60;
$expected{ $_->{secret} } = 'ok' for @tokens;
for my $i (0 .. 9)
{
	$expected{ $tokens[$i]{secret} } = 'rotated';
	$expected{ rotate($wire, $session{anna}, $tokens[$i]{token_id})->{secret} } = 'ok';
	# Overlapping, the older of two ended.
	my $second = rotate($wire, $session{anna}, $tokens[ $i + 10 ]{token_id}, '1 day');
	$expected{ $second->{secret} } = 'ok';
	if ($i < 5) { $expected{ $tokens[ $i + 10 ]{secret} } = 'rotated'; $expected{ rotate($wire, $session{anna}, $tokens[ $i + 10 ]{token_id}, '1 day')->{secret} } = 'ok'; }
	$expected{ $tokens[ $i + 20 ]{secret} } = 'revoked';
	call($wire, 'revoke_token', $session{anna}, $tokens[ $i + 20 ]{token_id}, "no longer \\t needed \\N");
}
my $narrow = issue($wire, $session{carl}, 'naïve 🌍', permissions => ['parks.berlin:read'], allowed_ips => ['10.0.0.0/8']);
$expected{ $narrow->{secret} } = 'ip_not_allowed';
my $short = issue($wire, $session{carl}, 'short', expires_at => $wire->value("SELECT clock_timestamp() + interval '1 second'"));
my $sealed = issue($wire, $session{lock}, 'sealed');
call($wire, 'lock_account', 'lock', 'asked for');
$expected{ $sealed->{secret} } = 'locked';
my $gone = issue($wire, $session{gone}, 'gone');
call($wire, 'delete_account', 'gone');
$expected{ $gone->{secret} } = 'unknown';
call($wire, 'close_session', $session{'Ünal "x" \\ tab'});
call($wire, 'rename_token', $session{anna}, $tokens[40]{token_id}, 'renamed');
$wire->rows("UPDATE mirox_internal.token SET metadata = '{\"a\": [1, null]}' WHERE token_id = \$1", $tokens[41]{token_id});
$wire->rows("INSERT INTO mirox_internal.token_usage (token_id, generation, uses) VALUES (\$1, 1, 5)", $tokens[41]{token_id});
# A user who is deleted by an API that acts for a token: the log says which.
$wire->rows("INSERT INTO users VALUES ('acted')");
put_account($wire, 'acted', ['parks']);
$wire->rows('BEGIN');
$wire->rows('SELECT mirox.authenticate($1)', "Bearer $tokens[30]{secret}");
$wire->rows("DELETE FROM users WHERE id = 'acted'");
$wire->rows('COMMIT');
is($wire->value("SELECT acting_token_id FROM mirox_internal.audit_log WHERE user_id = 'acted' AND event = 'account_deleted'"), $tokens[30]{token_id},
	'an act of a token\'s transaction');
$wire->rows('SELECT pg_sleep(1.1)');
$expected{ $short->{secret} } = 'expired';
is(broken($wire), '', 'before: the tables agree');

my $acls = q{SELECT string_agg(kind || ' ' || object || ' ' || acl, E'\n' ORDER BY kind, object COLLATE "C") FROM (
	SELECT 'function', p.oid::regprocedure::text, p.proacl::text FROM pg_proc p WHERE p.pronamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace)
	UNION ALL SELECT 'relation', c.oid::regclass::text, c.relacl::text FROM pg_class c WHERE c.relnamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace)
	UNION ALL SELECT 'schema', nspname, nspacl::text FROM pg_namespace WHERE nspname IN ('mirox', 'mirox_internal')) a (kind, object, acl)};
my @requests = map { my $path = $_; map { [ "Bearer $_", 'GET', $path ] } $tokens[32]{secret}, $tokens[33]{secret}, $session{carl} }
  '/parks/1', '/reports/a/b', '/nowhere';
my $answers = sub { my $wire = shift; return join ' ', map { call($wire, 'check_request', @$_)->[1] } @requests };
my $answered = $answers->($wire);
note $answered;
# Use of every kind, refusals of unauthenticated callers among it.
reason($wire, $_, '198.51.100.7', 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0') for sort keys %expected;
reason($wire, $gone->{secret}, "203.0.113.$_") for 1 .. 5;
$wire->rows('SELECT mirox.flush()');
# All minutes are closed, so that no partition comes between two dumps.
shift_open($wire, '2 minutes');
$wire->rows('SELECT mirox.flush()');
ok($node->poll_query_until('lived', 'SELECT NOT EXISTS (SELECT FROM mirox_internal.usage_open)'), 'its minutes are closed');
my $before = contents($node, 'lived');
my $acls_before = $wire->value($acls);
note $before;

# check($node, $dbname, $name, acls => 0, users => 0): all that must hold of a restored database.
sub check
{
	my ($node, $dbname, $name, %options) = @_;
	is(contents($node, $dbname), $before, "$name: each table has the same rows, each sequence stands where it did");
	my $wire = wire($node, dbname => $dbname);
	my @differ = grep { reason($wire, $_) ne $expected{$_} } keys %expected;
	is(join(', ', map { "$expected{$_} is now " . reason($wire, $_) } @differ), '', "$name: every secret has the verdict that it had");
	is($answers->($wire), $answered, "$name: requests are answered as they were");
	is(broken($wire), '', "$name: the tables agree");
	is($wire->value($acls), $acls_before, "$name: every grant is there, and none more") if $options{acls} // 1;

	# Life goes on: new ids are new, the cap and its triggers hold, audit goes on.
	my $audit = $wire->value('SELECT count(*) FROM mirox_internal.audit_log');
	my $new = issue($wire, $session{anna}, 'after', group => 'own');
	is(reason($wire, $new->{secret}), 'ok', "$name: a token is issued by a session of before");
	is($wire->value('SELECT count(*) FROM mirox_internal.audit_log'), $audit + 1, "$name: with one row in the audit log");
	is(scalar(grep { $_->{token_id} == $new->{token_id} } @tokens), 0, "$name: under a new id");
	put_account($wire, 'new', ['*']);
	my $session = open_session($wire, 'new');
	issue($wire, $session, "full $_") for 1 .. 64;
	is($wire->state('SELECT * FROM mirox.issue_token($1, $2, $3)', $session, 'over', 'full_access'), '54000', "$name: the cap holds");
	is($wire->state('UPDATE mirox_internal.audit_log SET at = now()'), '42501', "$name: the audit log is append-only");
	call($wire, 'put_account', 'anna', ['exports']);
	is(verify($wire, $tokens[50]{secret})->{permissions}, '{exports}', "$name: the owner's loss reaches the tokens");
	# The trigger of bind_accounts was dumped with the users table; it went with the extension when that was dropped.
	if ($options{users} // 1) { $wire->rows("DELETE FROM users WHERE id = 'anna'"); }
	else                      { call($wire, 'delete_account', 'anna'); }
	is(reason($wire, $new->{secret}), 'unknown', "$name: deleting the user deletes the account");
	is(broken($wire), '', "$name: the tables agree in the end");
	$wire->close;
	return;
}

# A secret is in none of it.
my $folder = PostgreSQL::Test::Utils::tempdir();
sub dump_of
{
	my ($file, @options) = @_;
	my ($out, $err) = run_command([ 'pg_dump', '-d', $node->connstr('lived'), '-f', "$folder/$file", @options ]);
	is($err, '', "pg_dump @options, with nothing to say");
	return "$folder/$file";
}
sub play
{
	my ($node, $dbname, @files) = @_;
	$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($dbname), map { ('-f', $_) } @files ],
		"plays into $dbname");
	return;
}

# ---- CREATE DATABASE … TEMPLATE ----------------------------------------------------------------------------------------
my $plain = dump_of('plain.sql');
my $text  = slurp_file($plain);
my @shown = grep { index($text, substr $_, -40, 30) >= 0 } keys %expected, values %session;
is("@shown", '', 'no secret is in a dump');
$wire->close;
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE lived');
check($node, 'copy', 'TEMPLATE');

# ---- pg_dump | psql into a fresh cluster --------------------------------------------------------------------------------
my $fresh = new_node('fresh', extension => 0);
$fresh->safe_psql('postgres', 'CREATE ROLE app; CREATE ROLE gate; CREATE ROLE boss');
$fresh->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE template0") for qw(plain custom apart apart_off replica inserts);
play($fresh, 'plain', $plain);
check($fresh, 'plain', 'plain');

# ---- pg_restore, two at once ----------------------------------------------------------------------------------------------
my $custom = dump_of('custom.dump', '-Fc');
$node->command_ok([ 'pg_restore', '-j2', '--exit-on-error', '-d', $fresh->connstr('custom'), $custom ], 'pg_restore -j2');
check($fresh, 'custom', 'custom -j2');

# ---- schema and data apart ------------------------------------------------------------------------------------------------
my ($schema, $data) = (dump_of('schema.sql', '--schema-only'), dump_of('data.sql', '--data-only'));
play($fresh, 'apart', $schema, $data);
check($fresh, 'apart', 'schema and data apart');
my $off = dump_of('off.sql', '--data-only', '--disable-triggers');
play($fresh, 'apart_off', $schema, $off);
check($fresh, 'apart_off', 'data with --disable-triggers');
play($fresh, 'replica', $schema);
$fresh->command_ok(
	[ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $fresh->connstr('replica') . " options='-c session_replication_role=replica'", '-f', $data ],
	'plays as a replica');
check($fresh, 'replica', 'data with session_replication_role = replica');
play($fresh, 'inserts', $schema, dump_of('inserts.sql', '--data-only', '--column-inserts', '--rows-per-insert=7'));
check($fresh, 'inserts', 'data as INSERTs');

# ---- the extension dropped, made anew, its data alone restored ----------------------------------------------------------------
my $data_of_ours = dump_of('ours.sql', '--table=mirox_internal.*');
$node->safe_psql('lived', 'DROP EXTENSION mirox_tokens CASCADE');
$node->safe_psql('lived', 'CREATE EXTENSION mirox_tokens');
$node->safe_psql('lived', 'DROP TABLE users');
play($node, 'lived', $data_of_ours);
check($node, 'lived', 'made anew, data alone', acls => 0, users => 0);

clean_log($_), $_->stop for $node, $fresh;
done_testing();
