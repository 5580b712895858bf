# A check goes to the row where it was last found. Whatever has become of that row, its page or its buffer since, the answer
# is the right one; and as long as nothing has become of it, the index is read by one check in sixteen of a connection, no more.
# Each part first checks until the hints are there, which the number of the index's scans shows, then does what should mislead them.
use strict;
use warnings;
use Mirox qw(new_node start_with_feedback wire call put_account open_session issue rotate verify broken clean_log);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $seed = $ENV{MIROX_SEED} // int(time);
srand $seed;
note "MIROX_SEED=$seed";
my $node = new_node(
	'hints',
	streaming => 1,
	conf      => "\nshared_buffers = 64MB\nwal_level = replica\nmax_wal_senders = 4\nautovacuum = off\nrestart_after_crash = on\nmirox_tokens.ring_size = 16MB\n");
my $main = wire($node);

# What a check says: reason, token, owner.
sub answer { my ($wire, $token) = @_; return join ' ', map { $_ // '-' } @{ verify($wire, $token->{secret}) }{qw(reason token_id user_id)}; }
sub answers { my ($wire, @tokens) = @_; return join "\n", map { answer($wire, $_) } @tokens; }
sub good { return join "\n", map { "ok $_->{token_id} $_->{owner}" } @_; }
# Of whom is refused a check tells nothing but why; whose row it was shows in what is recorded (refused, below).
sub told { my ($reason, @tokens) = @_; return join "\n", ("$reason - -") x @tokens; }
sub unknown { return told('unknown', @_); }

# Twice, since the first one may go by the index and the second by what it has left.
sub are
{
	my ($wire, $expected, $name, @tokens) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(answers($wire, @tokens), $expected, $name);
	is(answers($wire, @tokens), $expected, "$name, once more");
	return;
}

my $lookups = q{SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelid = 'mirox_internal.token_secret_lookup'::regclass};

# Look-ups in the index so far, of all connections that are at rest and this one.
sub lookups
{
	my $wire = shift;
	$wire->rows('SELECT pg_stat_force_next_flush()');
	return $wire->value($lookups);
}

# Within a transaction: this connection's, since it last reported them.
sub lookups_here { my $wire = shift; return $wire->value(q{SELECT pg_stat_get_xact_numscans('mirox_internal.token_secret_lookup'::regclass)}); }

# Whether so many look-ups are what so many checks by the hints make: one in sixteen, to mark the page as used.
sub are_by_hints { my ($lookups, $checks) = @_; return $lookups >= int($checks / 16) && $lookups <= int($checks / 16) + 1; }
sub by_hints
{
	my ($lookups, $checks, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok(are_by_hints($lookups, $checks), $name) or diag "$lookups look-ups in $checks checks";
	return;
}

# Checks until the hints are there.
sub warm
{
	my ($wire, @tokens) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	answers($wire, @tokens);
	# Another connection may report only now what it read a moment ago; what is read each time shows each time.
	my $found;
	for (1 .. 5)
	{
		my $before = lookups($wire);
		my $said = answers($wire, @tokens) eq good(@tokens) ? 'good' : 'something else';
		$found = $said . ', ' . (are_by_hints(lookups($wire) - $before, scalar @tokens) ? 'by the hints' : 'by the index');
		last if $found eq 'good, by the hints';
		sleep 1;
	}
	is($found, 'good, by the hints', 'warmed up: all are good, by the hints');
	return;
}

sub make_owner
{
	my ($wire, $user, @permissions) = @_;
	put_account($wire, $user, [@permissions]);
	return { user => $user, session => open_session($wire, $user) };
}
my $number = 0;
sub make { my ($wire, $owner, $count) = @_; return map { my $t = issue($wire, $owner->{session}, 'token ' . ++$number); $t->{owner} = $owner->{user}; $t } 1 .. $count; }

# As a DBA who goes past the triggers.
sub bare { my ($wire, @statement) = @_; $wire->rows('SET session_replication_role = replica'); my @rows = $wire->rows(@statement); $wire->rows('RESET session_replication_role'); return @rows; }
sub place { my ($wire, $token) = @_; return $wire->value("SELECT ctid FROM mirox_internal.token_secret WHERE token_id = \$1 AND state = 'c'", $token->{token_id}); }
sub page { my ($page) = $_[0] =~ /\((\d+),/; return $page; }

my $anna = make_owner($main, 'anna', 'parks', 'reports');
my $bert = make_owner($main, 'bert', '*');
my @tokens = (make($main, $anna, 30), make($main, $bert, 30));

# ---- they are used ---------------------------------------------------------------------------------------------------
{
	my $before = lookups($main);
	is(answers($main, @tokens), good(@tokens), 'each token is its own');
	is(lookups($main) - $before, 60, 'the first check of each reads the index');
	$before = lookups($main);
	answers($main, @tokens) for 1 .. 5;
	by_hints(lookups($main) - $before, 300, 'of the others one in sixteen');
	my $other = wire($node, name => 'other');
	$before = lookups($other);
	answers($other, @tokens);
	by_hints(lookups($other) - $before, 60, 'of another connection too');
	$before = lookups($other);
	$other->rows('SET mirox_tokens.enable_hints = off');
	is(answers($other, @tokens), good(@tokens), 'without hints the answer is the same');
	is(lookups($other) - $before, 60, 'and each reads the index');
	$other->close;
	my $read = $main->value(q{SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'mirox_internal.token_secret'::regclass});
	answers($main, @tokens);
	lookups($main);
	is($main->value(q{SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'mirox_internal.token_secret'::regclass}) - $read,
		60, 'the rows are counted as read all the same');
	is($main->value('SELECT count(*) FROM generate_series(1, 3) i, LATERAL mirox.verify_token($1, NULL, left(i::text, 0)) WHERE token_id = $2',
			$tokens[3]{secret}, $tokens[3]{token_id}), 3, 'several in a statement');
	is(verify($main, 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria')->{reason}, 'unknown', 'a secret of nobody');
}

# A page that is pinned by its number is not counted as used. One check in sixteen goes by the index, so that it is.
{
	$main->rows('CREATE EXTENSION pg_buffercache');
	my $page = page(place($main, $tokens[0]));
	my $usage = sub {
		return $main->value(q{SELECT usagecount FROM pg_buffercache WHERE relfilenode = pg_relation_filenode('mirox_internal.token_secret')
			AND reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND relforknumber = 0 AND relblocknumber = $1}, $page);
	};
	$main->close;
	$node->restart;
	$main = wire($node);
	is($usage->(), undef, 'after a start nothing of the table is in memory');
	answer($main, $tokens[0]);
	my ($counted, $before) = ($usage->(), lookups($main));
	cmp_ok($counted, '<', 4, 'read once');
	answer($main, $tokens[0]) for 1 .. 80;
	is($usage->(), 5, 'after many checks it counts as much as the server counts');
	by_hints(lookups($main) - $before, 80, 'by one in sixteen');
}

# ---- management ------------------------------------------------------------------------------------------------------
{
	my ($revoked, $rotated, $overlapping, $by_dba, @rest) = splice @tokens, 0, 8;
	my @all = ($revoked, $rotated, $overlapping, $by_dba, @rest);
	my $other = wire($node, name => 'other');
	warm($other, @all);
	warm($main, @all);
	call($main, 'revoke_token', $anna->{session}, $revoked->{token_id});
	are($_, told('revoked', $revoked), 'revoked', $revoked) for $other, $main;
	my $new = rotate($main, $anna->{session}, $rotated->{token_id});
	$new->{owner} = 'anna';
	are($_, told('rotated', $rotated) . "\n" . good($new), 'rotated: the old secret is refused, the new one works', $rotated, $new) for $other, $main;
	my $second = rotate($main, $anna->{session}, $overlapping->{token_id}, '1 hour');
	$second->{owner} = 'anna';
	are($_, good($overlapping, $second), 'rotated with an overlap: both work', $overlapping, $second) for $other, $main;
	warm($other, $overlapping, $second);
	call($main, 'revoke_token', $anna->{session}, $overlapping->{token_id});
	are($_, told('revoked', $overlapping, $second), 'revoked: neither does', $overlapping, $second) for $other, $main;
	call($main, 'revoke_any_token', $by_dba->{token_id}, 'lost');
	are($_, told('revoked', $by_dba), 'revoked by the operator', $by_dba) for $other, $main;
	call($main, 'flush');
	is(join(', ', map { "@$_" } $main->rows('SELECT token_id, reason, sum(requests) FROM mirox.refusals WHERE token_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1')),
		"$revoked->{token_id} revoked 4, $rotated->{token_id} rotated 4, $overlapping->{token_id} revoked 8, $by_dba->{token_id} revoked 4",
		'each refusal is recorded for the token whose secret it was');

	warm($other, @rest);
	call($main, 'lock_account', 'anna');
	are($_, told('locked', @rest), 'a locked account', @rest) for $other, $main;
	call($main, 'unlock_account', 'anna');
	are($_, good(@rest), 'unlocked', @rest) for $other, $main;
	warm($other, @rest);
	for my $permissions (['parks'], [ 'parks', 'reports' ], ['exports'])
	{
		put_account($main, 'anna', $permissions);
		my $set = '{' . join(',', @$permissions) . '}';
		is(verify($_, $rest[1]{secret})->{permissions}, $set, "permissions are $set") for $other, $other, $main, $main;
	}
	put_account($main, 'anna', [ 'parks', 'reports' ]);
	$other->close;

	# What a transaction has done itself, and takes back.
	warm($main, $rest[0]);
	$main->rows('BEGIN');
	$main->rows('SAVEPOINT a');
	call($main, 'revoke_token', $anna->{session}, $rest[0]{token_id});
	are($main, told('revoked', $rest[0]), 'revoked in this transaction', $rest[0]);
	$main->rows('ROLLBACK TO a');
	are($main, good($rest[0]), 'and taken back', $rest[0]);
	my $never = rotate($main, $anna->{session}, $rest[0]{token_id});
	$never->{owner} = 'anna';
	are($main, good($never), 'rotated in this transaction', $never);
	$main->rows('ROLLBACK');
	are($main, good($rest[0]) . "\n" . unknown($never), 'rolled back: the new secret was never there', $rest[0], $never);
}

# ---- rows that move --------------------------------------------------------------------------------------------------
{
	my @some = @tokens[ 0 .. 4 ];
	warm($main, @tokens);
	for my $token (@some)
	{
		my $before = place($main, $token);
		$main->rows('BEGIN');
		for (1 .. 500)
		{
			bare($main, 'UPDATE mirox_internal.token_secret SET locked = locked WHERE token_id = $1', $token->{token_id});
			last if page(place($main, $token)) != page($before);
		}
		isnt(page(place($main, $token)), page($before), 'a row has moved to another page');
		are($main, good($token), 'and is found there', $token);
		$main->rows('COMMIT');
	}
	are($main, good(@tokens), 'so is each', @tokens);
	warm($main, @tokens);
	# Versions on the page, pruned: the hint's item leads on to the newest.
	bare($main, 'UPDATE mirox_internal.token_secret SET locked = locked') for 1 .. 3;
	are($main, good(@tokens), 'every row has newer versions', @tokens);
	warm($main, @tokens);
	$main->rows('VACUUM mirox_internal.token_secret');
	are($main, good(@tokens), 'and the older ones are gone', @tokens);
	for my $chore ('VACUUM FULL mirox_internal.token_secret', 'CLUSTER mirox_internal.token_secret USING token_secret_token', 'REINDEX INDEX mirox_internal.token_secret_lookup',
		'REINDEX INDEX CONCURRENTLY mirox_internal.token_secret_lookup', 'REINDEX TABLE mirox_internal.token_secret', 'VACUUM FREEZE mirox_internal.token_secret',
		'ALTER TABLE mirox_internal.token_secret SET (fillfactor = 50)', 'VACUUM FULL mirox_internal.token_secret', 'ALTER TABLE mirox_internal.token_secret SET (fillfactor = 90)',
		'ALTER TABLE mirox_internal.token_secret SET UNLOGGED', 'ALTER TABLE mirox_internal.token_secret SET LOGGED')
	{
		my $other = wire($node, name => 'other');
		warm($other, @tokens);
		$main->rows($chore);
		are($_, good(@tokens), $chore, @tokens) for $other, $main;
		$other->close;
	}
	warm($main, @tokens);
	$main->rows('BEGIN');
	answers($main, @tokens);
	$main->rows('ALTER TABLE mirox_internal.token_secret ADD COLUMN more text DEFAULT random()::text');
	are($main, good(@tokens), 'a table that this transaction has written anew', @tokens);
	$main->rows('ROLLBACK');
	are($main, good(@tokens), 'and has not after all', @tokens);
}

# ---- emptied and filled again ----------------------------------------------------------------------------------------
{
	my $other = wire($node, name => 'other');
	my $file = PostgreSQL::Test::Utils::tempdir() . '/token_secret';
	warm($other, @tokens);
	$main->rows("COPY (SELECT * FROM mirox_internal.token_secret ORDER BY random()) TO '$file'");
	bare($main, 'TRUNCATE mirox_internal.token_secret');
	are($_, unknown(@tokens), 'an emptied table', @tokens) for $other, $main;
	bare($main, "COPY mirox_internal.token_secret FROM '$file'");
	are($_, good(@tokens), 'and filled again, in another order', @tokens) for $other, $main;
	warm($other, @tokens);
	$main->rows('BEGIN');
	bare($main, 'TRUNCATE mirox_internal.token_secret');
	are($main, unknown(@tokens), 'emptied in this transaction', @tokens);
	bare($main, "COPY mirox_internal.token_secret FROM '$file'");
	are($main, good(@tokens), 'and filled', @tokens);
	$main->rows('ROLLBACK');
	are($_, good(@tokens), 'rolled back', @tokens) for $other, $main;
	$other->close;
}

# ---- older transactions, errors, nesting -----------------------------------------------------------------------------
for my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	my ($revoked, $moved) = splice @tokens, -2;
	my $old = wire($node, name => 'old');
	warm($old, $revoked, $moved);
	$old->rows("BEGIN ISOLATION LEVEL $level");
	$old->rows('SELECT count(*) FROM mirox_internal.token_secret');
	are($old, good($revoked, $moved), "$level", $revoked, $moved);
	my $before = lookups_here($old);
	answers($old, $revoked, $moved);
	by_hints(lookups_here($old) - $before, 2, "$level: by the hints");
	call($main, 'revoke_token', $bert->{session}, $revoked->{token_id});
	are($old, told('revoked', $revoked), "$level: revoked since", $revoked);
	bare($main, 'UPDATE mirox_internal.token_secret SET locked = locked');
	are($old, good($moved), "$level: a row with a newer version", $moved);
	my $new = rotate($main, $bert->{session}, $moved->{token_id});
	$new->{owner} = 'bert';
	are($old, told('rotated', $moved) . "\n" . good($new), "$level: rotated since", $moved, $new);
	is($old->value('SELECT count(*) FROM mirox_internal.token WHERE token_id = $1 AND revoked_at IS NULL', $revoked->{token_id}), $level eq 'READ COMMITTED' ? 0 : 1,
		"$level: the transaction's own snapshot is what it was");
	is($old->state('COMMIT'), 'ok', "$level: it ends well");
	$old->close;
	push @tokens, make($main, $bert, 2);
}
{
	my ($one, $two) = @tokens[ 0, 1 ];
	warm($main, $one, $two);
	$main->rows('BEGIN');
	for (1 .. 5)
	{
		$main->rows('SAVEPOINT a');
		is($main->state('SELECT v.token_id / (v.status - 200) FROM mirox.verify_token($1) v', $one->{secret}), '22012', 'an error after a check');
		$main->rows('ROLLBACK TO a');
		are($main, good($one, $two), 'the next checks', $one, $two);
	}
	$main->rows('COMMIT');

	# An error amid a check: it has its row, and must read the groups anew, which it waits for in vain.
	my $other = wire($node, name => 'other');
	call($main, 'put_group', 'locked', ['parks']);
	$main->rows(q{SET lock_timeout = '50ms'});
	for my $round (1 .. 3)
	{
		warm($main, $one, $two);
		$main->rows('BEGIN');
		answer($main, $one);
		$main->rows('SAVEPOINT a');
		call($other, 'put_group', 'locked', [ $round % 2 ? 'reports' : 'parks' ]);
		$other->rows('BEGIN');
		$other->rows('LOCK TABLE mirox_internal.permission_group');
		is($main->state('SELECT * FROM mirox.verify_token($1)', $one->{secret}), '55P03', 'an error amid a check');
		$main->rows('ROLLBACK TO a');
		is($main->state('SELECT * FROM mirox.verify_token($1)', $two->{secret}), '55P03', 'and another') if $round == 2;
		$main->rows('ROLLBACK TO a');
		$other->rows('COMMIT');
		are($main, good($two, $one), 'the next checks', $two, $one);
		$main->rows($round % 2 ? 'COMMIT' : 'ROLLBACK');
		are($main, good($one, $two), 'and those of the next transaction', $one, $two);
	}
	$main->rows('RESET lock_timeout');
	$other->close;
	warm($main, $one, $two);
	is($main->value('SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation::regclass::text LIKE $1', 'mirox.%'), 0, 'no lock is left');

	# Checks within a statement that checks: in a function, and in a trigger on what it writes.
	$main->rows($_) for (
		'CREATE TABLE log (secret text, token_id bigint, by_trigger bigint, by_function bigint)',
		q{CREATE FUNCTION nested(secret text) RETURNS bigint LANGUAGE plpgsql AS $$
			DECLARE id bigint;
			BEGIN
				BEGIN
					PERFORM v.token_id / (v.status - 200) FROM mirox.verify_token(secret) v;
				EXCEPTION WHEN division_by_zero THEN NULL;
				END;
				SELECT token_id INTO id FROM mirox.verify_token(secret);
				RETURN id;
			END $$},
		q{CREATE FUNCTION log_check() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN
				SELECT token_id INTO NEW.by_trigger FROM mirox.verify_token(NEW.secret);
				RETURN NEW;
			END $$},
		'CREATE TRIGGER log_check BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION log_check()');
	warm($main, @tokens);
	my @secrets = map { $_->{secret} } @tokens;
	my $before = lookups($main);
	$main->rows('INSERT INTO log (secret, token_id, by_function)
		SELECT s, v.token_id, nested(s) FROM unnest($1::text[]) s, LATERAL mirox.verify_token(s) v', \@secrets);
	by_hints(lookups($main) - $before, 3 * @tokens, 'checks within a statement that checks find their rows');
	is(join(' ', map { join '/', @$_ } $main->rows('SELECT secret, token_id, by_trigger, by_function FROM log ORDER BY token_id')),
		join(' ', map { join '/', $_->{secret}, ($_->{token_id}) x 3 } sort { $a->{token_id} <=> $b->{token_id} } @tokens), 'each its own');
	# Revoked by the statement itself, between two of its checks.
	my $token = pop @tokens;
	is(join(' ', map { $_->[0] // 'NULL' } $main->rows(q{SELECT CASE i WHEN 2 THEN mirox.revoke_token($2, $3) IS NOT NULL ELSE
			(mirox.verify_token($1, NULL, left(i::text, 0))).reason = 'ok' END FROM generate_series(1, 3) i}, $token->{secret}, $bert->{session}, $token->{token_id})),
		't t f', 'revoked amid a statement');
	$main->rows('DROP TABLE log');
}
is(broken($main), '', 'the tables agree');

# ---- items that another token's row has taken ------------------------------------------------------------------------
# Tokens by the thousand: number i has the SHA-256 of i for a digest, and an owner of its own.
sub make_crowd
{
	my ($wire, $from, $to) = @_;
	bare($wire, q{INSERT INTO mirox_internal.token (token_id, account_id, place, name, group_id, hint, lifetime, expires_at, audit_node, audit_id)
		SELECT 100000 + i, 100000 + i, 1, 'token', 1, 'mirox_', '1 year', now() + interval '1 year', 0, 1 FROM generate_series($1::int, $2::int) i
		ON CONFLICT DO NOTHING}, $from, $to);
	bare($wire, q{INSERT INTO mirox_internal.token_secret (digest, token_id, account_id, expires_at, generation, group_id, rate_limit, burst, locked,
			user_id, permissions, audit_node, audit_id)
		SELECT encode(sha256(int8send(i)), 'hex')::mirox.digest, 100000 + i, 100000 + i, now() + interval '1 year', 1, 1, -1, -1,
			false, 'user ' || i, '{parks}', 0, 1 FROM generate_series($1::int, $2::int) i}, $from, $to);
	return;
}

# How many of them are good, revoked, unknown, and something else: of a row that is not their own, above all.
my $ask_crowd = q{SELECT count(*) FILTER (WHERE own AND reason = 'ok'), count(*) FILTER (WHERE nobody AND reason = 'revoked'),
		count(*) FILTER (WHERE nobody AND reason = 'unknown')
	FROM (SELECT v.*, v.token_id = 100000 + i AND v.user_id = 'user ' || i AS own, v.token_id IS NULL AND v.user_id IS NULL AS nobody
		FROM (SELECT i FROM generate_series($1::int, $2::int) i ORDER BY hashint4(i # $3::int)) i, LATERAL mirox.verify_digest(sha256(int8send(i))) v) v};
sub crowd
{
	my ($wire, $from, $to) = @_;
	my ($row) = $wire->rows($ask_crowd, $from, $to, int rand 1 << 30);
	my $rest = $to - $from + 1;
	$rest -= $_ for @$row;
	return sprintf '%d good, %d revoked, %d unknown, %d wrong', @$row, $rest;
}
sub warm_crowd
{
	my ($wire, $from, $to) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	crowd($wire, $from, $to) for 1 .. 2;
	my $before = lookups($wire);
	crowd($wire, $from, $to);
	cmp_ok(lookups($wire) - $before, '<', ($to - $from) / 14, 'warmed up: the index is hardly read');
	return;
}

$main->rows('CREATE DATABASE crowd');
my $crowd = wire($node, dbname => 'crowd');
$crowd->rows('CREATE EXTENSION mirox_tokens');
make_crowd($crowd, 1, 3000);
my $watch = wire($node, dbname => 'crowd', name => 'watch');
my $all = sub { return sprintf '%d good, %d revoked, %d unknown, 0 wrong', @_ };
warm_crowd($watch, 1, 3000);
is(crowd($watch, 1, 3000), $all->(3000, 0, 0), 'three thousand, each its own');
$crowd->rows('CREATE TABLE places AS SELECT ctid AS place, token_id FROM mirox_internal.token_secret');
bare($crowd, 'DELETE FROM mirox_internal.token_secret WHERE token_id % 3 = 0');
is(crowd($_, 1, 3000), $all->(2000, 0, 1000), 'those that are deleted are unknown') for $watch, $watch;
$crowd->rows('VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) mirox_internal.token_secret');
is(crowd($_, 1, 3000), $all->(2000, 0, 1000), 'after VACUUM too') for $watch, $watch;
# Hints of those that are gone cannot have been put anew: they still name what now is another's.
make_crowd($crowd, 10001, 11000);
cmp_ok($crowd->value('SELECT count(*) FROM mirox_internal.token_secret s JOIN places p ON p.place = s.ctid AND p.token_id <> s.token_id'),
	'>', 900, 'rows of others have taken their items');
is(crowd($_, 1, 3000), $all->(2000, 0, 1000), 'they are unknown, and nobody else') for $watch, $watch, $crowd;
is(crowd($_, 10001, 11000), $all->(1000, 0, 0), 'the others are themselves') for $watch, $watch, $crowd;
# The other way round, all at once: every row's item is now another's.
warm_crowd($watch, 10001, 11000);
$crowd->rows('DROP TABLE places');
bare($crowd, 'DELETE FROM mirox_internal.token_secret');
$crowd->rows('VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) mirox_internal.token_secret');
make_crowd($crowd, 20001, 24000);
is(crowd($_, 20001, 24000), $all->(4000, 0, 0), 'four thousand others in their place') for $watch, $watch;
is(crowd($_, 1, 3000), $all->(0, 0, 3000), 'and none of the first is anybody') for $watch, $watch;
is(crowd($_, 10001, 11000), $all->(0, 0, 1000), 'nor of the second') for $watch, $watch;
warm_crowd($watch, 20001, 24000);
# A row that is deleted and comes back elsewhere; a table that shrinks below the hint's page.
bare($crowd, q{CREATE TABLE aside AS SELECT * FROM mirox_internal.token_secret WHERE token_id > 122000});
bare($crowd, q{DELETE FROM mirox_internal.token_secret WHERE token_id > 122000});
$crowd->rows('VACUUM (INDEX_CLEANUP ON) mirox_internal.token_secret');
is(crowd($_, 20001, 24000), $all->(2000, 0, 2000), 'a table that has shrunk') for $watch, $watch;
bare($crowd, 'INSERT INTO mirox_internal.token_secret SELECT * FROM aside ORDER BY random()');
is(crowd($_, 20001, 24000), $all->(4000, 0, 0), 'and grown again') for $watch, $watch;
bare($crowd, q{UPDATE mirox_internal.token_secret SET state = 'v' WHERE token_id % 4 = 0});
is(crowd($_, 20001, 24000), $all->(3000, 1000, 0), 'every fourth revoked') for $watch, $watch;
$_->close for $watch, $crowd;

# ---- two databases with the same tokens ------------------------------------------------------------------------------
{
	my @same = @tokens[ 0 .. 9 ];
	warm($main, @same);
	$main->close;
	my $template = wire($node, dbname => 'template1');
	for my $strategy (qw(wal_log file_copy))
	{
		$template->rows("CREATE DATABASE twin TEMPLATE postgres STRATEGY $strategy");
		$main = wire($node);
		my $twin = wire($node, dbname => 'twin');
		warm($main, @same);
		warm($twin, @same);
		my ($here, $there, @rest) = splice @same, 0, 4;
		my %session = (anna => $anna->{session}, bert => $bert->{session});
		call($twin, 'revoke_token', $session{ $there->{owner} }, $there->{token_id});
		are($twin, told('revoked', $there) . "\n" . good($here, @rest), "$strategy: revoked in one database", $there, $here, @rest);
		are($main, good($there, $here, @rest), "$strategy: and in one alone", $there, $here, @rest);
		call($main, 'revoke_token', $session{ $here->{owner} }, $here->{token_id});
		are($main, told('revoked', $here) . "\n" . good($there, @rest), "$strategy: the other way round", $here, $there, @rest);
		are($twin, good($here) . "\n" . told('revoked', $there) . "\n" . good(@rest), "$strategy: likewise", $here, $there, @rest);
		@tokens = grep { $_ != $here } @tokens;

		# An extension that goes, and comes again.
		warm($twin, @rest);
		$twin->rows('DROP EXTENSION mirox_tokens');
		isnt($twin->state('SELECT * FROM mirox.verify_token($1)', $rest[0]{secret}), 'ok', 'without the extension there is no check');
		$twin->rows('CREATE EXTENSION mirox_tokens');
		are($twin, unknown(@rest), 'with a new one nobody is known', @rest);
		my $carl = make_owner($twin, 'carl', '*');
		my @new = make($twin, $carl, 20);
		are($twin, good(@new), 'but its own', @new);
		warm($twin, @new);
		are($twin, unknown(@rest), 'and nobody else', @rest);
		$_->close for $twin, $main;
		$template->rows('DROP DATABASE twin');
	}
	$template->close;
	$main = wire($node);
	are($main, good(@tokens), 'here all is as it was', @tokens);
}

# ---- a hot standby ---------------------------------------------------------------------------------------------------
{
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	start_with_feedback($standby, $node);
	my $replayed = sub { $node->wait_for_catchup($standby, 'replay', $node->lsn('insert')) };
	$replayed->();
	my $there = wire($standby);
	warm($there, @tokens);
	my $old = wire($standby, name => 'old');
	$old->rows('BEGIN ISOLATION LEVEL REPEATABLE READ');
	are($old, good(@tokens), 'an older transaction on the standby', @tokens);
	my ($revoked, $rotated) = splice @tokens, -2;
	call($main, 'revoke_token', $bert->{session}, $revoked->{token_id});
	my $new = rotate($main, $bert->{session}, $rotated->{token_id});
	$new->{owner} = 'bert';
	$replayed->();
	are($_, told('revoked', $revoked) . "\n" . told('rotated', $rotated) . "\n" . good($new), 'revoked and rotated on the primary', $revoked, $rotated, $new)
	  for $there, $old;
	$old->rows('COMMIT');
	$standby->append_conf('postgresql.conf', 'hot_standby_feedback = off');
	$standby->reload;
	ok($node->poll_query_until('postgres', 'SELECT backend_xmin IS NULL FROM pg_stat_replication'), 'and no longer');
	push @tokens, $new;
	warm($there, @tokens);
	for my $chore ('VACUUM FULL mirox_internal.token_secret', 'REINDEX TABLE mirox_internal.token_secret', 'VACUUM mirox_internal.token_secret')
	{
		$main->rows($chore);
		$replayed->();
		are($there, good(@tokens), "$chore on the primary", @tokens);
	}

	my $far = wire($standby, dbname => 'crowd');
	my $near = wire($node, dbname => 'crowd');
	is(crowd($_, 20001, 24000), $all->(3000, 1000, 0), 'the crowd on the standby') for $far, $far;
	bare($near, 'DELETE FROM mirox_internal.token_secret WHERE token_id % 2 = 1');
	$near->rows('VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) mirox_internal.token_secret');
	make_crowd($near, 30001, 32000);
	$replayed->();
	is(crowd($_, 20001, 24000), $all->(1000, 1000, 2000), 'what others have taken the place of is unknown there') for $far, $far;
	is(crowd($_, 30001, 32000), $all->(2000, 0, 0), 'and the others are themselves') for $far, $far;
	$standby->promote;
	are($there, good(@tokens), 'promoted', @tokens);
	call($there, 'revoke_token', $bert->{session}, $new->{token_id});
	are($there, told('revoked', $new), 'and revoked there', $new);
	are($main, good($new), 'alone', $new);
	$_->close for $there, $old, $far, $near;
	clean_log($standby);
	$standby->stop;
}

# ---- crashes ---------------------------------------------------------------------------------------------------------
{
	my $back = sub {
		for (1 .. 300) { last if (eval { wire($node)->value('SELECT NOT pg_is_in_recovery()') } // '') eq 't'; sleep 0.1; }
		return wire($node);
	};
	my %crash = (
		'a shutdown at once' => sub { $node->stop('immediate'); $node->start; },
		'a backend killed'   => sub {
			# By itself: what is left of the log must tell of nothing else.
			my $victim = wire($node, name => 'victim');
			$victim->send('SELECT pg_sleep(60)');
			system_or_bail('pg_ctl', 'kill', 'KILL', $victim->{pid});
			eval { $main->run('SELECT pg_sleep(10)') };
		});
	for my $name (sort keys %crash)
	{
		my $revoked = pop @tokens;
		warm($main, $revoked, @tokens);
		$main->rows('CHECKPOINT');
		call($main, 'revoke_token', $bert->{session}, $revoked->{token_id});
		bare($main, 'UPDATE mirox_internal.token_secret SET locked = locked');
		answers($main, @tokens);
		my $open = wire($node, name => 'open');
		$open->rows('BEGIN');
		call($open, 'revoke_token', $anna->{session}, $tokens[0]{token_id});
		is(answer($open, $tokens[0]), told('revoked', $tokens[0]), 'not committed');
		$crash{$name}->();
		$_->close for $open, $main;
		$main = $back->();
		are($main, told('revoked', $revoked) . "\n" . good(@tokens), $name, $revoked, @tokens);
		warm($main, @tokens);
	}
	is(broken($main), '', 'the tables agree');
	$main->close;
	my $log = slurp_file($node->logfile);
	is(scalar(() = $log =~ /was terminated by signal 9/g), 1, 'the log tells of the kill');
	unlike($log, qr/PANIC|terminated by signal (?!9)|TRAP:|leaked|leak:|invalid memory alloc/, 'and of nothing else');
	$node->stop;
}

# ---- few buffers, few hints ------------------------------------------------------------------------------------------
{
	my $small = new_node('small', conf => "\nshared_buffers = 1MB\nautovacuum = off\nmirox_tokens.ring_size = 16MB\nmirox_tokens.flush_interval = 60s\n");
	my $wire = wire($small);
	make_crowd($wire, 1, 4000);
	# Other tables, each small enough to be read through all buffers.
	$wire->rows("CREATE TABLE filler$_ AS SELECT i, repeat('x', 700) AS text FROM generate_series(1, 200) i") for 1 .. 12;
	my $pages = $wire->value(q{SELECT sum(pg_relation_size(oid)) / 8192 FROM pg_class WHERE relname LIKE 'filler%'});
	cmp_ok($pages, '>', 200, 'other tables have more pages than there are buffers');
	my $churn = sub { $wire->value('SELECT count(*) FROM filler' . (1 + int rand 12)) for 1 .. shift };
	for my $part ('few buffers', 'few buffers and few hints')
	{
		if ($part =~ /hints/)
		{
			$small->append_conf('postgresql.conf', 'mirox_tokens.max_tracked_tokens = 64');
			$wire->close;
			$small->restart;
			$wire = wire($small);
		}
		is(crowd($wire, 1, 4000), $all->(4000, 0, 0), "$part: each its own") for 1 .. 2;
		for my $round (1 .. 4)
		{
			$churn->(12);
			is(crowd($wire, 1, 4000), $all->(4000, 0, 0), "$part: after other tables have gone through, round $round");
		}
		# One by one, in between.
		my ($asked, $wrong) = (0, 0);
		for (1 .. 100)
		{
			my $from = 1 + int rand 3990;
			$asked += 10;
			$wrong++ if crowd($wire, $from, $from + 9) ne $all->(10, 0, 0);
			$churn->(1);
		}
		is($wrong, 0, "$part: $asked checks amid others' reads");
		bare($wire, q{UPDATE mirox_internal.token_secret SET state = 'v' WHERE token_id % 10 = 0});
		is(crowd($wire, 1, 4000), $all->(3600, 400, 0), "$part: every tenth revoked") for 1 .. 2;
		bare($wire, q{DELETE FROM mirox_internal.token_secret WHERE token_id % 10 = 0});
		$wire->rows('VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) mirox_internal.token_secret');
		$churn->(3);
		make_crowd($wire, $_, $_) for 9001, 9002;
		make_crowd($wire, 9003, 9400);
		is(crowd($wire, 1, 4000), $all->(3600, 0, 400), "$part: every tenth's place taken") for 1 .. 2;
		is(crowd($wire, 9001, 9400), $all->(400, 0, 0), "$part: by others") for 1 .. 2;
		bare($wire, q{DELETE FROM mirox_internal.token_secret WHERE token_id > 109000});
		$wire->rows('VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) mirox_internal.token_secret');
		make_crowd($wire, 10 * $_, 10 * $_) for 1 .. 400;
		is(crowd($wire, 1, 4000), $all->(4000, 0, 0), "$part: back again") for 1 .. 2;
		is(crowd($wire, 9001, 9400), $all->(0, 0, 400), "$part: the others gone") for 1 .. 2;
	}
	# 64 hints, of which most are always another's: the index is read, and the answer is right.
	my $before = lookups($wire);
	is(crowd($wire, 1, 4000), $all->(4000, 0, 0), 'thousands of tokens, hints for 64');
	cmp_ok(lookups($wire) - $before, '>', 3800, 'the index is read for almost all');
	$before = lookups($wire);
	crowd($wire, 7, 7) for 1 .. 20;
	cmp_ok(lookups($wire) - $before, '<', 4, 'and for one that is checked again it is not');
	$wire->close;
	clean_log($small);
	$small->stop;
}
done_testing();
