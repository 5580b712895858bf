# Accounts that follow a users table: for each type of id and each kind of table, after whatever is done to it, the accounts are
# exactly the ids in it, or it was refused; whose rights the look-up has; two connections at once.
use strict;
use warnings;
use IO::Select;
use Mirox qw(new_node wire call put_account open_session issue reason verify broken clean_log);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('bound', conf => 'max_prepared_transactions = 5', extension => 0);
$node->safe_psql('postgres', 'CREATE DATABASE life');
$node->safe_psql($_, 'CREATE EXTENSION mirox_tokens') for qw(postgres life);
my $wire = wire($node, dbname => 'life');

# ---- each type, each kind ------------------------------------------------------------------------------------------------
$wire->rows($_) for 'CREATE DOMAIN number AS integer CHECK (VALUE > 0)', 'CREATE DOMAIN key AS text COLLATE "C"';
my %form = (
	text          => sub { "Ünal $_[0]" }, 'varchar(40)' => sub { "v$_[0]" }, key => sub { "k$_[0]" },
	uuid          => sub { sprintf '3f2504e0-4f89-11d3-9a0c-%012d', $_[0] },
	map { ($_ => sub { $_[0] }) } qw(smallint integer bigint number));
my @types = ('text', 'varchar(40)', 'uuid', 'smallint', 'integer', 'bigint', 'number', 'key');
my @tables;

# Accounts without a row and rows without an account.
sub apart
{
	my ($wire, @only) = @_;
	my $ids = join ' UNION ALL ', map { "SELECT id::text FROM $_" } @only ? @only : @tables;
	return join ' ', map { $_->[0] // 'NULL' } $wire->rows(
		"(SELECT user_id FROM mirox_internal.account EXCEPT ($ids)) UNION ALL (($ids) EXCEPT SELECT user_id FROM mirox_internal.account)");
}
sub refused { my ($sql, $state, $name) = @_; is($wire->state($sql), $state, $name); return; }
sub done { my ($sql, $name) = @_; $wire->rows($sql); is(apart($wire), '', $name); return; }

my $base = 0;
for my $type (@types)
{
	for my $kind (qw(plain cut twice))
	{
		my $users = 'users_' . ++$base;
		my $name  = "$kind table of $type";
		my @id    = map { $form{$type}->(100 * $base + $_) } 0 .. 9;
		my ($plain, $twice) = ($kind eq 'plain', $kind eq 'twice');
		if ($plain) { $wire->rows("CREATE TABLE $users (id $type PRIMARY KEY DEFERRABLE, region text)"); }
		else
		{
			# Without a key: what pg_dump --clean says of a part's key, the server refuses, bound or not.
			$wire->rows("CREATE TABLE $users (id $type, region text) PARTITION BY LIST (region)");
			$wire->rows("CREATE TABLE ${users}_us PARTITION OF $users FOR VALUES IN ('us')");
			$wire->rows("CREATE TABLE ${users}_eu PARTITION OF $users FOR VALUES IN ('eu', 'at')"
				  . ($twice ? ' PARTITION BY LIST (region)' : ''));
			if ($twice) { $wire->rows("CREATE TABLE ${users}_eu$_ PARTITION OF ${users}_eu FOR VALUES IN ('$_')") for qw(eu at); }
		}
		push @tables, $users;
		$wire->rows("SELECT mirox.bind_accounts('$users', 'id')");
		$wire->rows("INSERT INTO $users VALUES (\$1, \$2)", $id[$_], (qw(us eu at))[ $_ % 3 ]) for 1 .. 6;
		put_account($wire, $id[$_], ['parks']) for 1 .. 6;
		my $secret = issue($wire, open_session($wire, $id[1]), 'a')->{secret};
		is(apart($wire), '', "$name: bound");

		my $swap = "CASE id WHEN '$id[1]' THEN '$id[2]'::$type WHEN '$id[2]' THEN '$id[1]' ELSE id END";
		done("UPDATE $users SET id = $swap", "$name: renumbered");
		is(verify($wire, $secret)->{user_id}, $id[2], "$name: each keeps his own tokens");
		done("UPDATE $users SET id = $swap", "$name: and back");
		done("UPDATE $users SET id = '$id[7]' WHERE id = '$id[1]'", "$name: a new id");
		is(verify($wire, $secret)->{user_id}, $id[7], "$name: with his tokens");
		unless ($plain)
		{
			done("UPDATE $users SET region = CASE region WHEN 'us' THEN 'eu' WHEN 'eu' THEN 'at' ELSE 'us' END", "$name: moved");
			is(reason($wire, $secret), 'ok', "$name: and nobody's tokens are gone");
			done("UPDATE $users SET region = CASE region WHEN 'us' THEN 'at' WHEN 'at' THEN 'eu' ELSE 'us' END", "$name: and back");
			refused("UPDATE $users SET region = 'us', id = '$id[8]' WHERE id = '$id[7]'", '0A000', "$name: not both at once");
		}
		refused("TRUNCATE $users", '55006', "$name: TRUNCATE");
		my @parts = $plain ? () : ("${users}_us", $twice ? ("${users}_eueu", "${users}_euat") : "${users}_eu");
		for my $part (@parts)
		{
			next unless $wire->value("SELECT count(*) FROM $part");
			my $whole = $part =~ /_eu(eu|at)$/ ? "${users}_eu" : $users;
			refused($_, '55006', "$name: $_") for "TRUNCATE $part", "DROP TABLE $part", "ALTER TABLE $whole DETACH PARTITION $part";
			refused("ALTER TABLE $whole DETACH PARTITION $part CONCURRENTLY", '55006', "$name: DETACH $part CONCURRENTLY");
		}
		refused("DROP TABLE ${users}_eu", '55006', "$name: DROP of a part of parts") if $twice;
		is(apart($wire), '', "$name: and all is as before");
		is($wire->value('SELECT count(*) FROM pg_inherits WHERE inhdetachpending'), '0', "$name: nothing half detached");
		done("DELETE FROM $users WHERE id = '$id[7]'", "$name: deleted");
		is(reason($wire, $secret), 'unknown', "$name: with his tokens");
		next if $plain;
		done("DELETE FROM ${users}_us", "$name: a part emptied");
		done("TRUNCATE ${users}_us", "$name: may be truncated");
		done("ALTER TABLE $users DETACH PARTITION ${users}_us", "$name: detached");
		$wire->rows("INSERT INTO ${users}_us VALUES ('$id[9]', 'us')");
		put_account($wire, $id[9], ['parks']);
		done("ALTER TABLE $users ATTACH PARTITION ${users}_us FOR VALUES IN ('us')", "$name: attached");
		done("DELETE FROM $users WHERE id = '$id[9]'", "$name: and bound");
		done("ALTER TABLE $users DETACH PARTITION ${users}_us CONCURRENTLY", "$name: detached concurrently");
		done("DROP TABLE ${users}_us", "$name: dropped");
		done("CREATE TABLE ${users}_us PARTITION OF $users FOR VALUES IN ('us')", "$name: another made");
		$wire->rows("INSERT INTO $users VALUES ('$id[9]', 'us')");
		put_account($wire, $id[9], ['parks']);
		$wire->rows("DELETE FROM $users WHERE region = 'us'") if $users eq 'users_2';
	}
}
is(apart($wire), '', 'all tables at once');
is(broken($wire), '', 'the tables agree');

# Where the id decides the partition, a new id is a user of another one: refused, or the row stays where it is.
$wire->rows($_) for 'CREATE TABLE hashed (id int) PARTITION BY HASH (id)', (map { "CREATE TABLE hashed_$_ PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER $_)" } 0, 1),
  q{SELECT mirox.bind_accounts('hashed', 'id')}, 'INSERT INTO hashed SELECT generate_series(20001, 20009)';
push @tables, 'hashed';
put_account($wire, $_, ['parks']) for 20001 .. 20009;
my %states = map { $wire->state('UPDATE hashed SET id = $2::int WHERE id = $1::int', $_, $_ + 20) => 1 } 20001 .. 20009;
is(join(' ', sort keys %states), '0A000 ok', 'partitions by id: some rows would move');
is(apart($wire), '', 'partitions by id: nobody is lost');

# Another's table: after a restore, its owner may do what he could.
$wire->rows($_) for 'CREATE ROLE keeper LOGIN', 'ALTER TABLE users_2 OWNER TO keeper', 'ALTER TABLE users_2_eu OWNER TO keeper', 'ALTER TABLE users_2_us OWNER TO keeper',
  "SELECT mirox.bind_accounts('users_2', 'id')";

# ---- dump and restore ----------------------------------------------------------------------------------------------------
my $folder = PostgreSQL::Test::Utils::tempdir();
$wire->close;
for my $way ('plain', 'custom')
{
	$node->command_ok([ 'pg_dump', '--clean', '-d', $node->connstr('life'), '-f', "$folder/$way", $way eq 'custom' ? '-Fc' : () ], "pg_dump, $way");
	$node->command_ok(
		$way eq 'plain'
		? [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('life'), '-f', "$folder/plain" ]
		: [ 'pg_restore', '--clean', '--exit-on-error', '-d', $node->connstr('life'), "$folder/custom" ],
		"restored with --clean, $way");
	$wire = wire($node, dbname => 'life');
	is(apart($wire), '', "$way: the same accounts and ids");
	for my $users (grep { $_ ne 'users_2' } @tables)
	{
		my $id = $wire->value("SELECT min(id::text) FROM $users");
		$wire->rows("DELETE FROM $users WHERE id::text = \$1", $id);
	}
	is(apart($wire), '', "$way: and bound again");
	my $keeper = wire($node, dbname => 'life', user => 'keeper');
	$keeper->rows("DELETE FROM users_2 WHERE id = (SELECT min(id) FROM users_2)");
	is(apart($wire), '', "$way: by the owner too");
	$keeper->rows($_) for "ALTER TABLE users_2 DETACH PARTITION users_2_us", "ALTER TABLE users_2 ATTACH PARTITION users_2_us FOR VALUES IN ('us')";
	is($wire->value("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'users_2_us'::regclass"), '3', "$way: who adds partitions");
	$keeper->close;
	$wire->close;
}
$wire = wire($node, dbname => 'life');
# What goes as a whole may go.
$wire->rows("CREATE ROLE leaver");
$wire->rows("GRANT CREATE ON SCHEMA public TO leaver");
$wire->rows("ALTER TABLE $_ OWNER TO leaver") for $wire->value("SELECT string_agg(oid::regclass::text, ',') FROM pg_class WHERE relname ~ '^users_3(_|\$)' AND relkind IN ('r', 'p')") =~ /[^,]+/g;
$wire->rows('DROP OWNED BY leaver');
is($wire->value("SELECT to_regclass('users_3') IS NULL"), 't', 'DROP OWNED takes the whole');
$wire->rows('DROP TABLE users_2');
$wire->rows('DROP EXTENSION mirox_tokens CASCADE');
$wire->rows('TRUNCATE users_1');
$wire->rows('DROP TABLE users_5_us');
$wire->close;
$node->safe_psql('postgres', 'DROP DATABASE life');

# ---- whose rights --------------------------------------------------------------------------------------------------------
$wire = wire($node);
$wire->script($_), $wire->wait for <<'SQL';
CREATE ROLE dev LOGIN;
CREATE SCHEMA dev AUTHORIZATION dev;
CREATE TABLE dev.seen (who text, depth int, restricted boolean, place text);
GRANT ALL ON dev.seen TO dev, PUBLIC;
GRANT USAGE ON SCHEMA dev TO PUBLIC;
SET ROLE dev;
CREATE FUNCTION dev.note(place text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE restricted boolean := false;
BEGIN
	BEGIN
		PERFORM set_config('role', 'none', true);
	EXCEPTION WHEN insufficient_privilege THEN
		restricted := true;
	END;
	INSERT INTO dev.seen VALUES (current_user, pg_trigger_depth(), restricted, place);
	IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AND pg_trigger_depth() > 0 THEN
		EXECUTE 'ALTER ROLE dev SUPERUSER';
	END IF;
	RETURN true;
END $$;
CREATE FUNCTION dev.bait(place text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN dev.note(place); END $$;
CREATE FUNCTION dev."="(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE OPERATOR dev.= (LEFTARG = text, RIGHTARG = text, FUNCTION = dev."=");
CREATE TABLE dev.users (id text, region text) PARTITION BY LIST (region);
CREATE TABLE dev.users_eu PARTITION OF dev.users (CHECK (dev.bait('check'))) FOR VALUES IN ('eu');
CREATE TABLE dev.users_us PARTITION OF dev.users FOR VALUES IN ('us');
CREATE INDEX ON dev.users_us (region) WHERE dev.bait('index');
CREATE TABLE dev.plain (id text PRIMARY KEY, region text);
CREATE INDEX ON dev.plain (region) WHERE dev.bait('plain index');
RESET ROLE;
SELECT mirox.bind_accounts('dev.users', 'id'), mirox.bind_accounts('dev.plain', 'id');
INSERT INTO dev.users VALUES ('a', 'eu'), ('b', 'us'), ('c', 'us'), ('d', 'us');
INSERT INTO dev.plain VALUES ('e', 'eu'), ('f', 'eu');
SELECT mirox.put_account(u, '{parks}') FROM unnest('{a,b,c,d,e,f}'::text[]) u;
SELECT mirox.protect_table('dev.users', 'parks'), mirox.protect_table('dev.plain', 'parks');
TRUNCATE dev.seen;
SQL
$wire->rows("SET search_path = dev, pg_catalog");
$wire->rows($_)
  for "DELETE FROM dev.users WHERE id OPERATOR(pg_catalog.=) 'a'", "UPDATE dev.users SET id = 'bb' WHERE id OPERATOR(pg_catalog.=) 'b'",
  "DELETE FROM dev.plain WHERE id OPERATOR(pg_catalog.=) 'e'";
$wire->script("BEGIN; DELETE FROM dev.users WHERE id OPERATOR(pg_catalog.=) 'c'; INSERT INTO dev.users VALUES ('c', 'eu'); COMMIT"), $wire->wait;
$wire->rows('RESET search_path');
my $who = sub { my ($where) = @_; return join '; ', map { join ' ', @$_ } $wire->rows("SELECT DISTINCT who, restricted FROM dev.seen WHERE $where ORDER BY 1, 2"); };
is($who->('depth > 0'), 'dev t', "in what we run, the table's owner's code ran as the owner alone, restricted");
is($wire->value("SELECT string_agg(DISTINCT place, ', ' ORDER BY place) FROM dev.seen WHERE depth > 0"), 'check, index, plain index', 'and it did run: each bait was taken');
like($who->('depth = 0'), qr/^(?!dev)/, "the superuser's own statement ran it as himself, which is the server's way");
is($wire->value("SELECT rolsuper FROM pg_roles WHERE rolname = 'dev'"), 'f', 'nobody became what he is not');
is($wire->value("SELECT string_agg(user_id, ' ' ORDER BY user_id) FROM mirox_internal.account"), 'bb c d f',
	'row security that binds the owner hides no row from the look-up, and no operator of his decides');
my $seen = $wire->value('SELECT count(*) FROM dev.seen WHERE depth > 0');
refused('TRUNCATE dev.users', '55006', 'TRUNCATE');
refused('DROP TABLE dev.users_us', '55006', 'DROP of a part');
refused('ALTER TABLE dev.users DETACH PARTITION dev.users_us', '55006', 'DETACH');
refused('ALTER TABLE dev.users DETACH PARTITION dev.users_us CONCURRENTLY', '55006', 'DETACH CONCURRENTLY');
is($wire->value("SELECT count(*) FROM dev.seen WHERE place = 'x'"), '0', 'whether a part is empty is seen without a plan');
# Who has no right to TRUNCATE learns nothing, and locks nothing.
my $other = wire($node, user => 'dev');
$wire->rows('ALTER TABLE dev.users_us OWNER TO ' . $wire->value('SELECT quote_ident(current_user)'));
is($other->state('TRUNCATE dev.users_us'), '42501', 'TRUNCATE without the right is refused as ever');
$other->close;

# ---- two at once ---------------------------------------------------------------------------------------------------------
$wire->rows($_) for 'CREATE TABLE users (id text PRIMARY KEY)', 'CREATE TABLE loose (id text)', q{SELECT mirox.bind_accounts('users', 'id'), mirox.bind_accounts('loose', 'id')};
my ($a, $b) = map { wire($node) } 1, 2;
sub user { my $id = shift; $wire->rows('INSERT INTO users VALUES ($1)', $id); put_account($wire, $id, ['parks']); return open_session($wire, $id); }
sub waits { my $wire = shift; return !IO::Select->new($wire->{socket})->can_read(0.5); }
my $kept = sub { return $wire->value('SELECT count(*) FROM mirox_internal.account a FULL JOIN users u ON u.id = a.user_id WHERE a.user_id ~ $1 AND u.id IS NULL', '^race'); };

for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	# The one that issues comes first: the deletion waits for it, and takes what it has issued along.
	my $session = user('race');
	$b->rows("BEGIN ISOLATION LEVEL $level");
	$b->rows('SELECT count(*) FROM users');
	$a->rows('BEGIN');
	my $secret = issue($a, $session, 'late')->{secret};
	$b->rows("DELETE FROM users WHERE id = 'race'");
	$b->send('COMMIT');
	ok(waits($b), "$level: the deletion waits for who issues");
	$a->rows('COMMIT');
	my $end = $b->wait->{state};
	if ($level eq 'SERIALIZABLE' && $end) { is($end, '40001', 'may have to be run again'); $b->state('ROLLBACK'); $b->rows("DELETE FROM users WHERE id = 'race'"); }
	else { is($end, undef, "$level: and is done"); }
	is(reason($wire, $secret), 'unknown', "$level: the token that came late is gone too");

	# The deletion comes first: nothing is issued any more.
	$session = user('race');
	$b->rows("BEGIN ISOLATION LEVEL $level");
	$b->rows("DELETE FROM users WHERE id = 'race'");
	$b->rows('SET CONSTRAINTS ALL IMMEDIATE');
	$a->send(q{SELECT secret FROM mirox.issue_token($1, 'x', 'full_access')}, $session);
	ok(waits($a), "$level: who issues waits for the deletion");
	$b->rows('COMMIT');
	is($a->wait->{state}, '28000', "$level: and finds no session");
	is($kept->(), '0', "$level: no account without its user");

	# The newest state is looked at: another's row of the same id, committed since the snapshot was taken.
	$wire->rows("INSERT INTO loose VALUES ('twin')");
	put_account($wire, 'twin', ['parks']);
	$b->rows("BEGIN ISOLATION LEVEL $level");
	$b->rows('SELECT count(*) FROM loose');
	$a->rows("INSERT INTO loose VALUES ('twin')");
	$b->rows("DELETE FROM loose WHERE ctid = (SELECT min(ctid) FROM loose WHERE id = 'twin')");
	$b->rows('COMMIT');
	is($wire->value("SELECT count(*) FROM mirox_internal.account WHERE user_id = 'twin'"), '1', "$level: an id that another has put there");
	$wire->rows("DELETE FROM loose");
	is($wire->value("SELECT count(*) FROM mirox_internal.account WHERE user_id = 'twin'"), '0', "$level: until that is gone");
}
for my $round (1 .. 40)
{
	my $session = user("race $round");
	$a->send(q{SELECT secret FROM mirox.issue_token($1, 'x', 'full_access')}, $session);
	$b->send("DELETE FROM users WHERE id = 'race $round'");
	$_->wait for $a, $b;
}
is($kept->(), '0', 'at any moment: no account without its user');
is($wire->value("SELECT count(*) FROM mirox_internal.token_secret WHERE user_id ~ '^race'"), '0', 'and no secret');

# Two swaps at once of the same users, and a registration of the id that another is to have.
user($_) for 'race x', 'race y';
for my $round (1 .. 10)
{
	$_->send(q{UPDATE users SET id = CASE id WHEN 'race x' THEN 'race z' ELSE 'race x' END WHERE id IN ('race x', 'race z')}) for $a, $b;
	$_->wait for $a, $b;
}
is($kept->(), '0', 'renamed from two sides');
$a->rows('BEGIN');
put_account($a, 'race w', ['parks']);
$b->send(q{UPDATE users SET id = 'race w' WHERE id = 'race y'});
ok(waits($b), 'a registration under way is waited for');
$a->rows('COMMIT');
is($b->wait->{state}, '23505', 'and is another account');
$wire->rows("SELECT mirox.delete_account('race w')");

# ---- any order of things ------------------------------------------------------------------------------------------------
# Random transactions on a few users. What each row was is in its column who, which nothing but the test changes, and what each
# account was is in its permissions. Whoever was there before and after has kept his account, or has none as before; who was
# deleted has none, unless a new row has taken his id.
my $seed = $ENV{MIROX_SEED} // time;
srand $seed;
my ($tried, $committed) = (0, 0);
my @wrong;
sub pick { return $_[ int rand @_ ]; }
for my $kind ('plain', 'cut')
{
	my $table = "any_$kind";
	if ($kind eq 'plain') { $wire->rows("CREATE TABLE $table (id int, region text, who int, note int)"); }
	else
	{
		$wire->rows($_) for "CREATE TABLE $table (id int, region text, who int, note int) PARTITION BY LIST (region)",
		  map { "CREATE TABLE ${table}_$_ PARTITION OF $table FOR VALUES IN ('$_')" } qw(us eu at);
	}
	$wire->rows("SELECT mirox.bind_accounts('$table', 'id')");
	my $next = 500;
	my $accounts = sub { return map { @$_ } $wire->rows(q{SELECT substr(permissions::text, 3, length(permissions::text) - 3), user_id FROM mirox_internal.account WHERE permissions::text ~ '^\{u[0-9]+\}$'}); };
	my $rows = sub { return map { @$_ } $wire->rows("SELECT who, id FROM $table"); };
	for my $round (1 .. 400)
	{
		# As many users as before, most of them with accounts.
		my %before = $rows->();
		my %id = reverse %before;
		for my $id (1 .. 6)
		{
			next if $id{$id} || rand() < 0.3;
			my $who = $next++;
			$wire->rows("INSERT INTO $table VALUES (\$1, \$2, \$3)", $id, pick(qw(us eu at)), $who);
			put_account($wire, $id, ["u$who"]) if rand() < 0.75;
		}
		%before = $rows->();
		my %had = $accounts->();
		my @who = keys %before;
		my @said;
		my $say = sub { push @said, $_[0]; return $wire->state($_[0]); };
		my $ok = $say->('BEGIN ISOLATION LEVEL ' . pick('READ COMMITTED', 'REPEATABLE READ')) eq 'ok';
		my (@savepoints, $judged);
		# Nothing is judged while two users have one id, as no deferred key would have it either.
		my $unique = sub { return $wire->value("SELECT count(*) = count(DISTINCT id) FROM $table") eq 't'; };
		my $free = "(SELECT min(g) FROM generate_series(1, 9) g WHERE g NOT IN (SELECT id FROM $table))";
		for (1 .. 2 + int rand 9)
		{
			my $who = pick(@who);
			my $act = int rand 12;
			my $sql =
			    $act < 3  ? "UPDATE $table SET id = " . (rand() < 0.25 ? 1 + int rand 8 : $free) . " WHERE who = $who"
			  : $act == 3 ? "UPDATE $table SET id = id % 8 + 1"
			  : $act == 4 ? 'UPDATE ' . $table . ' SET id = (ARRAY[' . join(',', sort { rand() <=> 0.5 } 1 .. 8) . '])[id]'
			  : $act == 5 ? "DELETE FROM $table WHERE who = $who"
			  : $act == 6 ? "INSERT INTO $table VALUES (" . (rand() < 0.1 ? 1 + int rand 8 : $free) . ", 'us', " . $next++ . ")"
			  : $act == 7 ? "UPDATE $table SET note = " . int(rand 99) . (rand() < 0.5 ? " WHERE who = $who" : '')
			  : $act == 8 ? "UPDATE $table SET region = '" . pick(qw(us eu at)) . "' WHERE who = $who"
			  : $act == 9 ? (rand() < 0.6 ? 'SET CONSTRAINTS ALL IMMEDIATE' : 'SET CONSTRAINTS ALL DEFERRED')
			  : $act == 10 ? 'SAVEPOINT s' : @savepoints ? pick('ROLLBACK TO s', 'RELEASE s') : 'SELECT 1';
			if ($sql =~ /IMMEDIATE/) { next unless $unique->(); $judged = 1; }
			push @savepoints, 1 if $act == 10;
			pop @savepoints if $sql eq 'RELEASE s';
			if ($say->($sql) ne 'ok')
			{
				$ok = @savepoints && $say->('ROLLBACK TO s') eq 'ok';
				last unless $ok;
			}
			$ok &&= !$judged || $unique->();
			last unless $ok;
		}
		$ok &&= $unique->();
		$tried++;
		if (!$ok) { $wire->rows('ROLLBACK'); }
		elsif ($say->('COMMIT') eq 'ok') { $committed++; }
		my %after = $rows->();
		my %has   = $accounts->();
		my %named = reverse %has;
		my %ids   = reverse %after;
		my @bad;
		for my $w (grep { exists $after{$_} } @who)
		{
			if (exists $had{$w}) { push @bad, "$w is $after{$w}, its account " . ($has{$w} // 'gone') if ($has{$w} // '') ne $after{$w}; }
			elsif ($named{ $after{$w} }) { push @bad, "$w has got the account of $named{$after{$w}}"; }
		}
		for my $w (keys %has)
		{
			if (!exists $ids{ $has{$w} }) { push @bad, "account $w is of nobody ($has{$w})"; }
			elsif (!exists $after{$w} && exists $before{ $ids{ $has{$w} } }) { push @bad, "account $w, whose user is gone, is $ids{$has{$w}}'s"; }
			# A new row that took the id goes on as what the account was.
			elsif (!exists $after{$w}) { $wire->rows("UPDATE $table SET who = $w WHERE id = $has{$w}"); }
		}
		push @wrong, "$kind, round $round: @bad\n" . join(";\n", @said) if @bad;
		last if @wrong;
	}
	last if @wrong;
	$wire->rows("DELETE FROM $table");
	is($wire->value(q{SELECT count(*) FROM mirox_internal.account WHERE permissions::text ~ '^\{u[0-9]+\}$'}), '0', "$kind: nobody is left in the end");
}
is("@wrong", '', "random transactions: each user keeps his own account (seed $seed, $tried tried, $committed committed)");
cmp_ok($committed, '>', 100, 'and many of them were done');
is(broken($wire), '', 'the tables agree');

# ---- triggers that fire always, where ordinary ones do not ---------------------------------------------------------------
# As on a subscriber. What they do is checked and carried to the tokens as ever.
my $apply = wire($node);
my %always = map { $_ => issue($wire, user("always $_"), 'a') } 'gone', 'old';
$wire->rows("ALTER TABLE users ENABLE ALWAYS TRIGGER $_") for qw(mirox_account_deleted mirox_account_renamed);
$apply->rows($_) for 'SET session_replication_role = replica', q{DELETE FROM users WHERE id = 'always gone'}, q{UPDATE users SET id = 'always new' WHERE id = 'always old'};
is($apply->value('SHOW session_replication_role'), 'replica', 'the setting stands after it');
is($wire->value('SELECT reason FROM mirox.verify_token($1)', $always{gone}{secret}), 'unknown', 'the token of a deleted user is gone');
is($wire->value('SELECT user_id FROM mirox.verify_token($1)', $always{old}{secret}), 'always new', 'the token of a renamed one is his');
is($wire->value(q{SELECT count(*) FROM mirox.audit_trail WHERE event IN ('account_deleted', 'account_changed') AND user_id LIKE 'always %'}), 2, 'both are audited');
$wire->rows("ALTER TABLE users ENABLE TRIGGER $_") for qw(mirox_account_deleted mirox_account_renamed);
$wire->rows(q{DELETE FROM users WHERE id = 'always new'});
is(broken($wire), '', 'the tables agree');

# ---- two who bind at once --------------------------------------------------------------------------------------------------
$wire->rows("CREATE TABLE at_once_$_ (id int)") for 1, 2;
$a->rows($_) for 'BEGIN', "SELECT mirox.bind_accounts('at_once_1', 'id')";
$b->send("SELECT mirox.bind_accounts('at_once_2', 'id')");
ok(waits($b), 'the second waits');
$a->rows('COMMIT');
is($b->wait->{state}, undef, 'and then is bound too');

# ---- two-phase commit ----------------------------------------------------------------------------------------------------
user('race p');
$a->rows($_) for 'BEGIN', "DELETE FROM users WHERE id = 'race p'", "PREPARE TRANSACTION 'p'", "ROLLBACK PREPARED 'p'";
is($wire->value("SELECT count(*) FROM mirox_internal.account WHERE user_id = 'race p'"), '1', 'rolled back after PREPARE');
$a->rows($_) for 'BEGIN', "DELETE FROM users WHERE id = 'race p'", "PREPARE TRANSACTION 'p'", "COMMIT PREPARED 'p'";
is($wire->value("SELECT count(*) FROM mirox_internal.account WHERE user_id = 'race p'"), '0', 'judged at PREPARE');
put_account($wire, 'race q', ['parks']);
$a->rows($_) for 'BEGIN', q{UPDATE users SET id = 'race q' WHERE id = 'race y'};
is($a->state("PREPARE TRANSACTION 'p'"), '23505', 'a conflict too');
$a->state('ROLLBACK');

# ---- DETACH CONCURRENTLY, and a row that came in between ------------------------------------------------------------------
$wire->rows($_) for 'CREATE TABLE cut (id int, region text) PARTITION BY LIST (region)', q{CREATE TABLE cut_eu PARTITION OF cut FOR VALUES IN ('eu')},
  q{SELECT mirox.bind_accounts('cut', 'id')};
put_account($wire, '77', ['parks']);
$b->rows($_) for 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM cut';
$a->send('ALTER TABLE cut DETACH PARTITION cut_eu CONCURRENTLY');
ok(waits($a), 'DETACH CONCURRENTLY waits for an older transaction');
$b->rows($_) for q{INSERT INTO cut VALUES (77, 'eu')}, 'COMMIT';
is($a->wait->{state}, '55006', 'what that has put there is not lost');
is($a->state('ALTER TABLE cut DETACH PARTITION cut_eu FINALIZE'), '55006', 'nor by FINALIZE');
$a->rows('DELETE FROM cut_eu');
is($wire->value("SELECT count(*) FROM mirox_internal.account WHERE user_id = '77'"), '0', 'deleted, it is ended');
$a->rows('ALTER TABLE cut DETACH PARTITION cut_eu FINALIZE');
is(broken($wire), '', 'the tables agree in the end');

$_->close for $a, $b, $wire;
clean_log($node);
$node->stop;
done_testing();
