# What the worker does by policy: a token whose rotated secret is used, by group and by setting; a token that nobody uses for long. A
# check is neither slower nor an error for it, and a token that is used at the last moment stays.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate reason broken clean_log shift_open);
use Test::More;

my $node = new_node('policies', conf => "mirox_tokens.flush_interval = 500ms\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
$wire->rows(q(SELECT mirox.put_group($1, '{*}'), mirox.set_group_policy($1, on_reuse => $2)), "on_$_", $_) for qw(record notify revoke);
my %token = map { $_ => issue($wire, $session, $_, group => "on_$_") } qw(record notify revoke);
$token{setting} = issue($wire, $session, 'setting');
sub status { return $wire->value("SELECT coalesce(string_agg(name || ' ' || status, ', ' ORDER BY name), '') FROM mirox.token_report WHERE name = ANY (\$1::text[])", [@_]); }
sub notices { return $wire->value(q(SELECT coalesce(string_agg(concat_ws(' ', token_name, event, detail ->> 'outcome', detail ->> 'requests', detail ->> 'unused_days'), ', ' ORDER BY token_name), '') FROM mirox.notices)); }

my %new = map { $_ => rotate($wire, $session, $token{$_}{token_id})->{secret} } sort keys %token;
call($wire, 'flush');
is(notices(), '', 'a rotation is no reuse');
is(reason($wire, $token{$_}{secret}), 'rotated', "$_: the old secret is refused as ever") for sort keys %token;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 3 FROM mirox.notices'), 'three are told of');
is(notices(), 'notify secret_reused recorded 1, revoke secret_reused revoked 1, setting secret_reused recorded 1', 'by group, or by the setting');
is(status(sort keys %token), 'notify active, record active, revoke revoked, setting active', 'one token is revoked');
is(reason($wire, $new{revoke}), 'revoked', 'its new secret too');
is(reason($wire, $new{$_}), 'ok', "$_: the new secret works") for qw(record notify setting);
is($wire->value(q(SELECT detail #>> '{revoke_reason,to}' FROM mirox_internal.audit_log WHERE event = 'token_revoked')), 'a rotated secret was used', 'with its audit row');
is(reason($wire, $token{$_}{secret}), 'rotated', "$_: again") for qw(notify record setting);
is(reason($wire, $token{revoke}{secret}), 'revoked', 'revoke: the old secret is of a revoked token now');
call($wire, 'flush') for 1, 2;
is($wire->value('SELECT count(*) FROM mirox.notices'), 3, 'but one notice a day');

# Somebody holds the account: the worker does not wait, and comes again.
$node->append_conf('postgresql.conf', "mirox_tokens.on_reuse = revoke\n");
$node->reload;
ok($node->poll_query_until('postgres', q(SELECT current_setting('mirox_tokens.on_reuse') = 'revoke')), 'the setting is revoke');
my $other = wire($node);
$other->rows($_) for 'BEGIN', q(SELECT mirox.lock_account('anna'));
is(reason($wire, $token{setting}{secret}), 'rotated', 'an old secret is used while the account is held');
call($wire, 'flush') for 1, 2;
is(status('setting'), 'setting active', 'the token cannot be revoked yet');
$other->rows('ROLLBACK');
ok($node->poll_query_until('postgres', q(SELECT status = 'revoked' FROM mirox.token_report WHERE name = 'setting')), 'then it is');

# ---- tokens that nobody uses ---------------------------------------------------------------------------------------------------
$wire->rows(q(SELECT mirox.put_group('idle', '{*}'), mirox.set_group_policy('idle', unused_after => '60 days')));
my %idle = map { $_ => issue($wire, $session, $_, group => 'idle') } qw(old used late young);
my $kept = issue($wire, $session, 'kept');
sub age { my ($days, @names) = @_; $wire->rows('SET session_replication_role = replica'); $wire->rows('UPDATE mirox_internal.token SET created_at = created_at - $1::interval WHERE name = ANY ($2::text[])', "$days days", [@names]); $wire->rows('SET session_replication_role = origin'); return; }
is(reason($wire, $idle{used}{secret}), 'ok', 'one is used');
call($wire, 'flush');
age(100, qw(old used late kept));
is(reason($wire, $idle{late}{secret}), 'ok', 'one at the last moment');
# A new worker begins a walk at once.
sub new_worker
{
	$wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
	$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'") or die;
	call($wire, 'flush');
	return;
}
new_worker();
ok($node->poll_query_until('postgres', q(SELECT status = 'revoked' FROM mirox.token_report WHERE name = 'old')), 'the unused one is revoked');
call($wire, 'flush');
is(status(qw(old used late young kept)), 'kept active, late active, old revoked, used active, young active', 'and no other');
is($wire->value(q(SELECT concat_ws(' ', user_id, token_name, detail ->> 'unused_days') FROM mirox.notices WHERE event = 'token_ended_unused')), 'anna old 100', 'with a notice');
is($wire->value(q(SELECT concat_ws(' ', detail #>> '{revoke_reason,to}', db_role IS NOT NULL) FROM mirox_internal.audit_log WHERE token_id = $1 AND event = 'token_revoked'), $idle{old}{token_id}), 'unused for too long t', 'and an audit row');
ok($node->poll_query_until('postgres', q(SELECT found = 1 AND state = 'info' FROM mirox.doctor() WHERE name = 'unused_tokens')), 'doctor() counts the one that no policy ends');
is($wire->value(q(SELECT string_agg(name, ' ') FROM mirox.unused_tokens)), 'kept', 'which the view lists');

# Old notices go. By hand no row of theirs is changed, but with the triggers off.
$wire->rows('SET session_replication_role = replica');
$wire->rows(q(UPDATE mirox_internal.posted_notice SET at = at - interval '100 days'));
$wire->rows(q(UPDATE mirox_internal.posted_notice SET acknowledged_at = now() - interval '95 days' WHERE event = 'secret_reused'));
$wire->rows('RESET session_replication_role');
new_worker();
ok($node->poll_query_until('postgres', q(SELECT count(*) FILTER (WHERE acknowledged_at IS NOT NULL) = 0 AND count(*) FILTER (WHERE event = 'token_ended_unused') = 1 FROM mirox.notices)), 'an acknowledged notice goes after 90 days, others stay');

# Nobody waits for policies: flush() is answered before them, and a walk that fails goes on after the next drain.
issue($wire, $session, 'last', group => 'idle');
age(100, 'last');
$node->append_conf('postgresql.conf', "mirox_tokens.flush_interval = 10min\n");
$node->reload;
$other->rows($_) for 'BEGIN', 'LOCK TABLE mirox_internal.group_policy';
my $waits = 0;
for (1 .. 20)
{
	new_worker();
	for (1 .. 20) { $waits ||= $wire->value(q(SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'mirox_internal.group_policy'::regclass)); }
	last if $waits;
}
is($waits, 1, 'flush() is answered while policies wait');
$other->rows('ROLLBACK');
call($wire, 'flush');
ok($node->poll_query_until('postgres', q(SELECT status = 'revoked' FROM mirox.token_report WHERE name = 'last')), 'and the walk goes on');

# ---- reuse that is written later -------------------------------------------------------------------------------------------------
# A refusal is counted before its event is in the ring. So a drain may miss it, and what follows the next drain looks once more.
sub looked { return $wire->value(q(SELECT cursor FROM mirox_internal.upkeep WHERE task = 'look_for_reuse')); }
sub told { my $name = shift; return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM mirox.notices WHERE event = 'secret_reused' AND token_name = '$name'"); }
my %later = map { $_ => issue($wire, $session, $_, group => 'on_record') } qw(counted restarted aged);
rotate($wire, $session, $_->{token_id}) for values %later;
call($wire, 'flush');
my $before = looked();
is(reason($wire, $later{counted}{secret}), 'rotated', 'an old secret is used');
call($wire, 'flush');
ok($node->poll_query_until('postgres', "SELECT cursor > $before FROM mirox_internal.upkeep WHERE task = 'look_for_reuse'"), 'and looked for, in vain');
$wire->rows(q(SELECT mirox.set_group_policy('on_record', on_reuse => 'notify')));
call($wire, 'flush');
ok(told('counted'), 'after the next drain it is found');
# What waits in the ring while the server is restarted, whose counts begin anew.
is(reason($wire, $later{restarted}{secret}), 'rotated', 'an old secret is used before a crash');
$_->close for $wire, $other;
$node->stop('immediate');
$node->start;
($wire, $other) = (wire($node), wire($node));
call($wire, 'flush');
ok(told('restarted'), 'the first worker looks for it');
# A worker looks back to where the one before had come to. (The first check reads the policies.)
is(reason($wire, $new{notify}), 'ok', 'a check in a new backend');
$other->rows($_) for 'BEGIN', 'LOCK TABLE mirox_internal.group_policy';
is(reason($wire, $later{aged}{secret}), 'rotated', 'an old secret is used while no worker can look');
call($wire, 'flush');
shift_open($wire, '3 hours');
$wire->rows($_) for 'SET session_replication_role = replica', q(UPDATE mirox_internal.upkeep SET cursor = cursor - 4 * 3600000000 WHERE task = 'look_for_reuse'), 'SET session_replication_role = origin';
my $old = $wire->value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
$wire->value("SELECT pg_terminate_backend($old)");
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $old") or die 'the worker stays';
$other->rows('ROLLBACK');
call($wire, 'flush');
ok(told('aged'), 'the next one finds it, three hours later');
is(broken($wire), '', 'all agree');
$_->close for $wire, $other;
clean_log($node);
done_testing();
