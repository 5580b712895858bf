# A check goes to the newest committed row of its secret. Whatever becomes of that row, its page, its table or its indexes,
# and whatever this transaction has done or taken back itself, the answer is the right one.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate verify broken clean_log);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('checks', conf => "\nautovacuum = off\n");
my $main = wire($node);

# What a check says: reason, token, owner.
sub answer { my ($wire, $token) = @_; return join ' ', map { $_ // '-' } @{ verify($wire, $token->{secret}) }{qw(reason token_id user_id)}; }
sub answers { my ($wire, @tokens) = @_; return join "\n", map { answer($wire, $_) } @tokens; }
sub good { return join "\n", map { "ok $_->{token_id} $_->{owner}" } @_; }
# Of whom is refused a check tells nothing but why; whose row it was shows in what is recorded (refused, below).
sub told { my ($reason, @tokens) = @_; return join "\n", ("$reason - -") x @tokens; }
sub unknown { return told('unknown', @_); }

# Twice: what the first one leaves in caches must not mislead the second.
sub are
{
	my ($wire, $expected, $name, @tokens) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(answers($wire, @tokens), $expected, $name);
	is(answers($wire, @tokens), $expected, "$name, once more");
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

# ---- management ------------------------------------------------------------------------------------------------------
{
	my ($revoked, $rotated, $overlapping, $by_dba, @rest) = splice @tokens, 0, 8;
	my @all = ($revoked, $rotated, $overlapping, $by_dba, @rest);
	my $other = wire($node, name => 'other');
	call($main, 'revoke_token', $anna->{session}, $revoked->{token_id});
	are($_, told('revoked', $revoked), 'revoked', $revoked) for $other, $main;
	my $new = rotate($main, $anna->{session}, $rotated->{token_id});
	$new->{owner} = 'anna';
	are($_, told('rotated', $rotated) . "\n" . good($new), 'rotated: the old secret is refused, the new one works', $rotated, $new) for $other, $main;
	my $second = rotate($main, $anna->{session}, $overlapping->{token_id}, '1 hour');
	$second->{owner} = 'anna';
	are($_, good($overlapping, $second), 'rotated with an overlap: both work', $overlapping, $second) for $other, $main;
	call($main, 'revoke_token', $anna->{session}, $overlapping->{token_id});
	are($_, told('revoked', $overlapping, $second), 'revoked: neither does', $overlapping, $second) for $other, $main;
	call($main, 'revoke_any_token', $by_dba->{token_id}, 'lost');
	are($_, told('revoked', $by_dba), 'revoked by the operator', $by_dba) for $other, $main;
	call($main, 'flush');
	is(join(', ', map { "@$_" } $main->rows('SELECT token_id, reason, sum(requests) FROM mirox.refusals WHERE token_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1')),
		"$revoked->{token_id} revoked 4, $rotated->{token_id} rotated 4, $overlapping->{token_id} revoked 8, $by_dba->{token_id} revoked 4",
		'each refusal is recorded for the token whose secret it was');

	call($main, 'lock_account', 'anna');
	are($_, told('locked', @rest), 'a locked account', @rest) for $other, $main;
	call($main, 'unlock_account', 'anna');
	$anna->{session} = open_session($main, 'anna');
	are($_, good(@rest), 'unlocked', @rest) for $other, $main;
	for my $permissions (['parks'], [ 'parks', 'reports' ], ['exports'])
	{
		put_account($main, 'anna', $permissions);
		my $set = '{' . join(',', @$permissions) . '}';
		is(verify($_, $rest[1]{secret})->{permissions}, $set, "permissions are $set") for $other, $other, $main, $main;
	}
	put_account($main, 'anna', [ 'parks', 'reports' ]);
	$other->close;

	# What a transaction has done itself, and takes back.
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
	# Versions on the page, pruned.
	bare($main, 'UPDATE mirox_internal.token_secret SET locked = locked') for 1 .. 3;
	are($main, good(@tokens), 'every row has newer versions', @tokens);
	$main->rows('VACUUM mirox_internal.token_secret');
	are($main, good(@tokens), 'and the older ones are gone', @tokens);
	for my $chore ('VACUUM FULL mirox_internal.token_secret', 'CLUSTER mirox_internal.token_secret USING token_secret_token', 'REINDEX INDEX mirox_internal.token_secret_lookup',
		'REINDEX INDEX CONCURRENTLY mirox_internal.token_secret_lookup', 'REINDEX TABLE mirox_internal.token_secret', 'VACUUM FREEZE mirox_internal.token_secret',
		'ALTER TABLE mirox_internal.token_secret SET (fillfactor = 50)', 'VACUUM FULL mirox_internal.token_secret', 'ALTER TABLE mirox_internal.token_secret SET (fillfactor = 90)',
		'ALTER TABLE mirox_internal.token_secret SET UNLOGGED', 'ALTER TABLE mirox_internal.token_secret SET LOGGED')
	{
		my $other = wire($node, name => 'other');
		$main->rows($chore);
		are($_, good(@tokens), $chore, @tokens) for $other, $main;
		$other->close;
	}
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
	$main->rows("COPY (SELECT * FROM mirox_internal.token_secret ORDER BY random()) TO '$file'");
	bare($main, 'TRUNCATE mirox_internal.token_secret');
	are($_, unknown(@tokens), 'an emptied table', @tokens) for $other, $main;
	bare($main, "COPY mirox_internal.token_secret FROM '$file'");
	are($_, good(@tokens), 'and filled again, in another order', @tokens) for $other, $main;
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
	$old->rows("BEGIN ISOLATION LEVEL $level");
	$old->rows('SELECT count(*) FROM mirox_internal.token_secret');
	are($old, good($revoked, $moved), "$level", $revoked, $moved);
	answers($old, $revoked, $moved);
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
	my @secrets = map { $_->{secret} } @tokens;
	$main->rows('INSERT INTO log (secret, token_id, by_function)
		SELECT s, v.token_id, nested(s) FROM unnest($1::text[]) s, LATERAL mirox.verify_token(s) v', \@secrets);
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
$main->close;
clean_log($node);
$node->stop;
done_testing();
