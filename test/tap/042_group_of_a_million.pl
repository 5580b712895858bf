# A million tokens in one permission group: changing the group takes milliseconds, writes no token's row, waits for nobody
# and makes nobody wait; every session obeys at its next check, also one whose transaction began before.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue verify clean_log);
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('million', conf => "max_wal_size = 2GB\nautovacuum = off\nsynchronous_commit = off\n");
my $main = wire($node);
put_account($main, 'owner', [ 'parks', 'reports' ]);
call($main, 'put_group', 'crowd', ['parks:read']);
my $session = open_session($main, 'owner');
my $token = issue($main, $session, 'mine', group => 'crowd');

# A million others, past the triggers: what is measured is the change of the group.
my ($group_id) = map { $_->[0] } $main->rows("SELECT group_id FROM mirox_internal.permission_group WHERE name = 'crowd'");
$main->script(<<SQL);
SET session_replication_role = replica;
INSERT INTO mirox_internal.token (token_id, account_id, place, name, group_id, hint, lifetime, expires_at, audit_node, audit_id)
SELECT 1000 + i, 1000 + i, 1, 'token', $group_id, 'mirox_', '1 year', now() + interval '1 year', 0, 1
FROM generate_series(1, 1000000) i;
INSERT INTO mirox_internal.token_secret (digest, token_id, account_id, expires_at, generation, group_id, rate_limit, burst, locked,
    user_id, permissions, audit_node, audit_id)
SELECT encode(sha256(int8send(i)), 'hex')::mirox.digest, 1000 + i, 1000 + i, now() + interval '1 year', 1, $group_id, -1, -1,
    false, 'user', '{parks}', 0, 1
FROM generate_series(1, 1000000) i;
RESET session_replication_role;
SQL
is($main->wait->{message}, undef, 'a million tokens are in the group');
is($main->value("SELECT count(*) FROM mirox_internal.token WHERE group_id = $group_id"), 1000001, 'all of them');

# A transaction that began before, and one that holds an owner's row and has just issued into the group.
my $old = wire($node, name => 'old');
$old->run('BEGIN ISOLATION LEVEL REPEATABLE READ');
is(verify($old, $token->{secret}, undef, undef, 'parks:read')->{status}, 200, 'an older transaction reads the group as it is');
put_account($main, 'busy', ['parks']);
my $busy = wire($node, name => 'busy');
my $busy_session = open_session($main, 'busy');
$busy->run('BEGIN');
my $busy_token = issue($busy, $busy_session, 'busy', group => 'crowd');

my $admin = wire($node, name => 'admin');
$admin->rows("SELECT count(*) FROM mirox_internal.permission_group");    # catalogs warm
my @times;
for my $round (1 .. 5)
{
	my $begun = time;
	call($admin, 'put_group', 'crowd', [ $round % 2 ? 'reports' : 'parks:read' ]);
	push @times, (time - $begun) * 1000;
}
my ($median) = (sort { $a <=> $b } @times)[2];
note sprintf 'put_group: %s ms', join ' ', map { sprintf '%.1f', $_ } @times;
cmp_ok($median, '<', 50, 'changing it takes milliseconds');

my $refused = verify($old, $token->{secret}, undef, undef, 'parks:read');
is("$refused->{status} $refused->{permissions}", '403 {reports}', 'the older transaction obeys at its next check');
is(verify($main, $token->{secret}, undef, undef, 'reports')->{status}, 200, 'so do others');
is(verify($busy, $busy_token->{secret}, undef, undef, 'reports')->{status}, 403, 'the issuing transaction too: its owner has parks alone');

# What was written: one row of the group's and one of the log for each change.
my $counter = wire($node, name => 'counter');
$counter->run('BEGIN');
call($counter, 'put_group', 'crowd', ['parks']);
my @written = $counter->rows(<<'SQL');
SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_xact_all_tables
WHERE schemaname = 'mirox_internal' AND n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY relname
SQL
is(join('; ', map { join ' ', @$_ } @written), 'audit_log 1 0 0; permission_group 0 1 0', 'a change writes the group and the log, no token');
# While it is open: a revocation goes through, and a check reads what is committed.
$main->run("SET lock_timeout = '5s'");
is($main->state('SELECT mirox.revoke_token($1, $2)', $session, $token->{token_id}), 'ok', 'it makes no revoke wait');
$counter->run('COMMIT');
$busy->run('COMMIT');
$old->run('COMMIT');
is($main->state("SELECT mirox.drop_group('crowd')"), '2BP01', 'a group in use cannot be dropped');
clean_log($node);
done_testing();
