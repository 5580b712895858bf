# With and without shared_preload_libraries; the extension dropped, made anew and dropped again under sessions that use it.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue verify reason clean_log);
use Test::More;

# ---- not preloaded ------------------------------------------------------------------------------------------------
my $node = new_node('plain', bare => 1);
my $wire = wire($node);
my $refused = $wire->run('CREATE EXTENSION mirox_tokens');
is($refused->{state}, '55000', 'CREATE EXTENSION without preload: 55000');
like($refused->{hint}, qr/shared_preload_libraries = 'mirox_tokens'$/, 'with the exact line');
is($wire->value("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^mirox'"), 0, 'and nothing stays behind');
is($wire->state('CREATE EXTENSION mirox_tokens'), '55000', 'the same when tried again in the same session');

# The line keeps what is there, each name as it must be written.
for my $others ('auto_explain', 'auto_explain, pg_stat_statements', 'auto_explain,"pg_stat_statements"')
{
	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$others'");
	$node->restart;
	$wire = wire($node);
	(my $line) = $wire->run('CREATE EXTENSION mirox_tokens')->{hint} =~ /(shared_preload_libraries = '.*')$/;
	ok($line, "beside $others: a line");
	# The line is put in as it is told.
	$node->append_conf('postgresql.conf', $line);
	$node->restart;
	$wire = wire($node);
	like($wire->value('SHOW shared_preload_libraries'), qr/^\Q$others\E, ?mirox_tokens$/, 'which adds ours to them');
	is($wire->state('CREATE EXTENSION mirox_tokens'), 'ok', 'and is enough');
	$wire->rows('DROP EXTENSION mirox_tokens');
}

# A database that was made preloaded, then a server without: what needs no shared memory still loads.
$wire->rows('CREATE EXTENSION mirox_tokens');
$wire->rows('CREATE TABLE kept (d mirox.digest, s mirox.scopes)');
$wire->rows("INSERT INTO kept VALUES (repeat('ab', 32)::mirox.digest, '{parks:read,reports}')");
put_account($wire, 'anna', ['*']);
my $token = issue($wire, open_session($wire, 'anna'), 'before');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$wire = wire($node);
is_deeply([ $wire->rows('SELECT * FROM kept') ], [ [ 'ab' x 32, '{parks:read,reports}' ] ],
	'types load in a server that is not preloaded');
is($wire->value("SELECT s OPERATOR(mirox.\@>) 'parks.berlin:read'::text FROM kept"), 't', 'with their operators');
is($node->safe_psql('postgres', 'SELECT count(*) FROM mirox_internal.token_secret'), 1, 'tables can be read, and so dumped');
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $node->basedir . '/plain.sql' ], 'and pg_dump works');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'mirox_tokens'");
$node->restart;
$wire = wire($node);
is(reason($wire, $token->{secret}), 'ok', 'preloaded again, the token verifies');
$wire->close;
clean_log($node);
$node->stop;

# ---- a schema that somebody else made --------------------------------------------------------------------------------
$node = new_node('anew', extension => 0);
$node->safe_psql('postgres', 'CREATE ROLE mallory; CREATE DATABASE prepared; CREATE DATABASE unprepared');
$node->safe_psql('prepared', 'CREATE SCHEMA mirox AUTHORIZATION mallory');
$wire = wire($node, dbname => 'prepared');
is($wire->state('CREATE EXTENSION mirox_tokens'), '42P06', 'a schema that is there already is not adopted');
is($wire->state('CREATE EXTENSION mirox_tokens SCHEMA mirox'), '0A000', 'nor when it is named');
is($wire->value("SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'mirox'"), 'mallory', 'and is left as it was');
$wire->close;

# ---- no extension, then one, then another, in sessions that go on ------------------------------------------------------
$wire = wire($node);
my $other = wire($node);
$wire->rows('CREATE EXTENSION mirox_tokens');
my %was;
for my $round (1 .. 4)
{
	put_account($wire, 'anna', ['*']);
	my $session = open_session($wire, 'anna');
	my $token = issue($wire, $session, "round $round", group => 'reporting');
	is(reason($_, $token->{secret}), 'ok', "extension $round: verifies in each session") for $wire, $other;
	is(scalar(my @list = $other->rows('SELECT * FROM mirox.list_tokens($1)', $session)), 1, 'and is listed');
	is(reason($_, $was{secret}), 'unknown', 'one of the extension before is unknown') for $was{secret} ? ($wire, $other) : ();
	is($wire->state('SELECT mirox.rename_token($1, $2, $3)', $was{session}, 1, 'x'), '28000', 'likewise a session')
	  if $was{session};
	%was = (secret => $token->{secret}, session => $session);

	# Dropped by either session, at times undone, at times all in one transaction.
	my ($by, $witness) = $round % 2 ? ($wire, $other) : ($other, $wire);
	$by->rows('BEGIN');
	$by->rows('DROP EXTENSION mirox_tokens CASCADE');
	$by->rows('ROLLBACK');
	is(reason($_, $token->{secret}), 'ok', 'a drop undone changes nothing') for $wire, $other;
	$by->rows('BEGIN');
	$by->rows('DROP EXTENSION mirox_tokens CASCADE');
	if ($round != 2)
	{
		$by->rows('COMMIT');
		is($witness->state('SELECT * FROM mirox.verify_token($1)', $token->{secret}), '3F000', 'dropped: no such schema');
		$by->rows('BEGIN');
	}
	$by->rows('CREATE EXTENSION mirox_tokens');
	$by->rows('COMMIT');
}

# Made, used and undone in one transaction; then made for good.
$other->rows('DROP EXTENSION mirox_tokens') if $wire->value("SELECT count(*) FROM pg_extension WHERE extname = 'mirox_tokens'");
for my $end ('ROLLBACK', 'COMMIT')
{
	$wire->rows('BEGIN');
	$wire->rows('CREATE EXTENSION mirox_tokens');
	put_account($wire, 'undone', ['*']);
	my $token = issue($wire, open_session($wire, 'undone'), 'undone');
	is(reason($wire, $token->{secret}), 'ok', 'an extension works in the transaction that makes it');
	$wire->rows($end);
	is($wire->state('SELECT * FROM mirox.verify_token($1)', $token->{secret}), $end eq 'COMMIT' ? 'ok' : '3F000', "$end");
	is($other->state('SELECT * FROM mirox.verify_token($1)', $token->{secret}), $end eq 'COMMIT' ? 'ok' : '3F000', 'in the other session too');
}

# Dropped while the worker writes what was just used: it steps aside, no deadlock.
my %drops;
for my $round (1 .. 15)
{
	put_account($wire, 'anna', ['*']);
	my $token = issue($wire, open_session($wire, 'anna'), 'used');
	reason($other, $token->{secret}, "10.0.0.$_", "agent $_") for 1 .. 20;
	# Waits for the worker, which is then sure to be here; or meets it as it comes.
	$other->rows('SELECT mirox.flush()') if $round % 2;
	reason($other, $token->{secret}, "10.0.1.$_", "agent $_") for 1 .. 20;
	$drops{ $wire->state('DROP EXTENSION mirox_tokens') }++;
	$drops{ $wire->state('CREATE EXTENSION mirox_tokens') }++;
}
is_deeply(\%drops, { ok => 30 }, 'an extension in use is dropped and made anew, 15 times');

# A function kept by name beyond its extension finds the new one, not the tables of the old.
put_account($wire, 'anna', ['*']);
my $kept = issue($wire, open_session($wire, 'anna'), 'kept');
$wire->rows('PREPARE check_it(text) AS SELECT reason FROM mirox.verify_token($1)');
my $execute = "EXECUTE check_it('$kept->{secret}')";
is($wire->value($execute), 'ok', 'a prepared check');
$other->rows('DROP EXTENSION mirox_tokens');
$other->rows('CREATE EXTENSION mirox_tokens');
my $answer = $wire->run($execute);
ok(($answer->{state} // '') =~ /^(42883|3F000|42704|0A000)$/ || $answer->{rows}[0][0] eq 'unknown',
	'of an extension made anew knows nothing of the old') or diag explain $answer;

# In another database of the same server there is no extension: the library says so rather than guess.
my $elsewhere = wire($node, dbname => 'unprepared');
$elsewhere->rows(q{CREATE FUNCTION put_account(text, text[], integer, integer) RETURNS void
	AS '$libdir/mirox_tokens', 'mirox_put_account' LANGUAGE C});
my $stray = $elsewhere->run(q{SELECT put_account('anna', '{a}', NULL, NULL)});
is($stray->{state}, '55000', 'a function of ours without the extension: 55000');
like($stray->{hint}, qr/CREATE EXTENSION mirox_tokens/, 'and what to do');
clean_log($node);
$node->stop;
done_testing();
