# A streaming hot standby: checks and lists work there, and obey whatever the primary has committed once it is replayed;
# what would change something says that it cannot; after promotion life goes on.
use strict;
use warnings;
use Mirox qw(new_node start_with_feedback wire call put_account open_session issue rotate verify reason broken clean_log);
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = new_node('primary', streaming => 1, conf => "wal_level = replica\nmax_wal_senders = 4\n");
my $p = wire($primary);
put_account($p, 'anna', [ 'parks', 'reports' ]);
my $session = open_session($p, 'anna');
my $token   = issue($p, $session, 'before', group => 'reporting');

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
start_with_feedback($standby, $primary);
$primary->wait_for_catchup($standby);

my $s = wire($standby);
is(reason($s, $token->{secret}), 'ok', 'a token of before the backup verifies');
is_deeply([ map { @$_ } $s->rows('SELECT name, status, permission_group FROM mirox.list_tokens($1)', $session) ],
	[ 'before', 'active', 'reporting' ], 'and is listed');

# A long transaction there, its snapshot taken before all that follows.
my $old = wire($standby);
$old->rows('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($old->value('SELECT count(*) FROM mirox_internal.token'), 1, 'a transaction with an old snapshot');
is(reason($old, $token->{secret}), 'ok', 'checks in it');

my $replayed = sub { $primary->wait_for_catchup($standby) };
my $new = issue($p, $session, 'after');
$replayed->();
is(reason($_, $new->{secret}), 'ok', 'a token issued since verifies') for $s, $old;
my $next = rotate($p, $session, $new->{token_id});
$replayed->();
is(reason($_, $new->{secret}), 'rotated', 'its rotation is obeyed') for $s, $old;
is(reason($_, $next->{secret}), 'ok', 'and the new secret verifies') for $s, $old;
call($p, 'put_account', 'anna', ['parks']);
$replayed->();
is(verify($_, $next->{secret})->{permissions}, '{parks}', 'so is a permission that the owner has lost') for $s, $old;
$p->rows("INSERT INTO mirox_internal.permission_group (name, permissions) VALUES ('own', '{parks:read}')");
my $grouped = issue($p, $session, 'grouped', group => 'own');
$replayed->();
is(verify($_, $grouped->{secret})->{permissions}, '{parks:read}', 'a group added since') for $s, $old;
$p->rows("UPDATE mirox_internal.permission_group SET permissions = '{parks:write}' WHERE name = 'own'");
$replayed->();
is(verify($_, $grouped->{secret}, undef, undef, 'parks:read')->{reason}, 'insufficient_scope', 'a change of a group that is cached')
  for $s, $old;
my @request = ("Bearer $next->{secret}", 'GET', '/parks/1');
is(call($_, 'check_request', @request)->[1], 'insufficient_scope', 'a request of which no rule says anything') for $s, $old;
call($p, 'put_endpoint', 'GET', '/parks/*', 'parks:read');
$replayed->();
is(call($_, 'check_request', @request)->[1], 'ok', 'a rule added since') for $s, $old;
call($p, 'drop_endpoint', 'GET', '/parks/*');
$replayed->();
is(call($_, 'check_request', @request)->[1], 'insufficient_scope', 'and dropped') for $s, $old;
$s->rows('BEGIN');
is($s->state('SELECT mirox.authenticate($1)', $request[0]), 'ok', 'a transaction acts for a token there');
is($s->value('SELECT mirox.current_user_id()'), 'anna', 'and knows for whom');
$s->rows('COMMIT');
call($p, 'lock_account', 'anna');
$replayed->();
is(reason($_, $next->{secret}), 'locked', 'a locked account') for $s, $old;
is($_->state('SELECT * FROM mirox.list_tokens($1)', $session), '28000', 'and its session') for $s;
call($p, 'unlock_account', 'anna');
$session = open_session($p, 'anna');
call($p, 'revoke_token', $session, $next->{token_id});
$replayed->();
is(reason($_, $next->{secret}), 'revoked', 'a revocation') for $s, $old;

# ---- nothing changes there ---------------------------------------------------------------------------------------------
# Every function of the levels of management, as the catalog has them, so that a new one cannot be forgotten here.
my @acts = $p->rows(q{
	SELECT p.proname, format('SELECT count(*) FROM %s(%s)', p.oid::regproc, (
		SELECT string_agg(format('%L::%s', CASE
			WHEN p.proargnames[i] = 'session' THEN $1
			WHEN p.proargnames[i] IN ('secret', 'credential') THEN $2
			WHEN p.proargnames[i] IN ('token_id', 'notice_id') THEN $3
			WHEN p.proargnames[i] = 'user_id' THEN 'anna'
			WHEN t.type = 'regclass'::regtype THEN 'pg_class'
			WHEN t.type = 'regrole'::regtype THEN 'pg_monitor'
			WHEN t.type = 'inet[]'::regtype THEN '{203.0.113.0/24}'
			WHEN t.type = 'jsonb'::regtype THEN '{}'
			WHEN t.type IN ('integer'::regtype, 'bigint'::regtype) THEN '1'
			WHEN t.type::text LIKE '%[]' THEN '{parks}'
			WHEN t.type = 'interval'::regtype THEN '1 hour'
			ELSE 'x' END, t.type), ', ' ORDER BY i)
		FROM generate_series(1, p.pronargs - p.pronargdefaults) i
		CROSS JOIN LATERAL (SELECT p.proargtypes[i - 1]::regtype AS type) t))
	FROM mirox_internal.access_rule r JOIN pg_proc p ON p.oid = to_regprocedure(r.object)
	WHERE r.kind = 'function' AND p.prorettype <> 'trigger'::regtype AND p.pronamespace = 'mirox'::regnamespace
	GROUP BY p.oid HAVING array_agg(r.level) <@ '{login,application,admin}'
	ORDER BY 1}, $session, $token->{secret}, $token->{token_id});
cmp_ok(scalar(@acts), '>', 25, 'the functions of management');
# Those that write no table go on.
my %reads = map { $_ => 'ok' } qw(account_log explain_check list_groups list_sessions list_tokens my_account rate_limit_status reveal stat_reset token_history verify_audit);
for my $wire ($s, $p)
{
	my $where = $wire == $s ? 'on the standby' : 'on the primary';
	$wire->rows('BEGIN READ ONLY');
	for my $act (@acts, [ revoke_self => "SELECT mirox.revoke_self('$token->{secret}')" ])
	{
		my ($name, $statement) = @$act;
		# flush() waits for the worker, which a standby does not have.
		my $expected = $reads{$name} // ($name ne 'flush' ? '25006' : $wire == $s ? '55000' : 'ok');
		$wire->rows('SAVEPOINT a');
		my $result = $wire->run($statement);
		is($result->{state} // 'ok', $expected, "$name read-only, $where");
		ok($result->{hint}, 'with a hint') if $expected ne 'ok';
		$wire->rows('ROLLBACK TO a');
	}
	is(reason($wire, $token->{secret}), 'ok', 'a check is read-only');
	is(scalar(my @rows = $wire->rows('SELECT * FROM mirox.list_tokens($1)', $session)), 2, 'a list too');
	$wire->rows('ROLLBACK');
}

# ---- the extension dropped and made anew on the primary -------------------------------------------------------------------
$p->rows('CREATE DATABASE other');
my $p2 = wire($primary, dbname => 'other');
$p2->rows('CREATE EXTENSION mirox_tokens');
put_account($p2, 'carl', ['*']);
my $first = issue($p2, open_session($p2, 'carl'), 'first');
$replayed->();
my $s2 = wire($standby, dbname => 'other');
is(reason($s2, $first->{secret}), 'ok', 'an extension made since');
$p2->rows('DROP EXTENSION mirox_tokens');
$p2->rows('CREATE EXTENSION mirox_tokens');
put_account($p2, 'carl', ['*']);
my $second = issue($p2, open_session($p2, 'carl'), 'second');
$replayed->();
is(reason($s2, $first->{secret}), 'unknown', 'made anew: what it held is gone');
is(reason($s2, $second->{secret}), 'ok', 'and what it holds is found, in the same session');

# ---- promotion -----------------------------------------------------------------------------------------------------------
$old->rows('COMMIT');
my $last_id = $p->value('SELECT max(token_id) FROM mirox_internal.token');
$_->close for $p, $p2;
clean_log($primary);
$primary->stop;
$standby->promote;
my $more = issue($s, $session, 'promoted');
cmp_ok($more->{token_id}, '>', $last_id, 'promoted: a token is issued in a session that was open, under a new id');
is(reason($s, $more->{secret}), 'ok', 'and verifies');
call($s, 'revoke_token', $session, $more->{token_id});
is(reason($s, $more->{secret}), 'revoked', 'until it is revoked');
is(broken($s), '', 'the tables agree');
$_->close for $s, $s2, $old;
clean_log($standby);
$standby->stop;
done_testing();
