# What the worker does besides: notices of expiration, each once; closed minutes that nobody can change; retention of usage, audit
# log and ended sessions; nothing that a user's open transaction could hold up for long.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate clean_log shift_open all_due);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('maintenance', conf => "\nmirox_tokens.flush_interval = 200ms\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');

# ---- notices ---------------------------------------------------------------------------------------------------------------
sub in { return $wire->value('SELECT clock_timestamp() + $1::interval', shift); }
my $far = issue($wire, $session, 'far', expires_at => in('60 days'));
my $month = issue($wire, $session, 'month', expires_at => in('20 days'));
my $week = issue($wire, $session, 'wéek "x"', expires_at => in('5 days 1 hour'));
my $day = issue($wire, $session, 'day', expires_at => in('20 hours'));
my $dead = issue($wire, $session, 'revoked', expires_at => in('5 days'));
call($wire, 'revoke_token', $session, $dead->{token_id});
sub heard
{
	my ($out, $err) = ('', '');
	$node->psql('postgres', "LISTEN mirox_tokens;\nSELECT mirox.flush();\nSELECT pg_sleep(0.3);\nSELECT 1;", stdout => \$out, stderr => \$err);
	return $out =~ /payload "\{"event" : "token_expiring", "notice_id" : (\d+)\}" received/g;
}
# The bell carries the notice's number alone.
sub told { return $wire->value("SELECT coalesce(string_agg(format('%s %s %s', token_name, detail->>'days_left', detail->>'threshold_days'), ', ' ORDER BY token_id), '') FROM mirox.notices WHERE notice_id = ANY (\$1::bigint[])", [ @_ ]); }
my @first = heard();
is(told(@first), 'month 19 30, wéek "x" 5 7, day 0 1', 'one notice a token, of the nearest threshold');
is($wire->value('SELECT string_agg(DISTINCT user_id, \' \') FROM mirox.notices'), 'anna', 'with its owner');
is(told(heard()), '', 'once each');
rotate($wire, $session, $day->{token_id});
is(told(heard()), 'day 0 1', 'rotated, it expires anew');
$node->append_conf('postgresql.conf', "mirox_tokens.expiry_notice = '90 days'");
$node->reload;
ok($node->poll_query_until('postgres', 'SELECT n.count > 0 FROM mirox.flush(), LATERAL (SELECT count(*) FROM mirox_internal.notice'
		. ' WHERE days = 90 AND token_id = ' . $far->{token_id} . ') n'), 'a wider notice tells of more');

# ---- closed minutes ----------------------------------------------------------------------------------------------------------
call($wire, 'verify_token', $far->{secret}, '10.0.0.1', 'agent', 'parks');
call($wire, 'flush');
is($wire->value('SELECT count(*) FROM mirox_internal.usage_open'), 1, 'the minute is open');
shift_open($wire, '1 hour');
sub sealed { return $node->poll_query_until('postgres', 'SELECT count(*) = ' . shift() . ' FROM mirox_internal.usage_minute'); }
# The worker closes what is over when the next minute begins, or when it comes anew.
$wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'"), 'the worker leaves when it is asked to');
call($wire, 'flush');
ok(sealed(1), 'and the next one closes the minute');
is($wire->state('UPDATE mirox_internal.usage_minute SET requests = 0'), '42501', 'which nobody changes');
is($wire->state('DELETE FROM mirox_internal.usage_minute'), '42501', 'or deletes');
is($wire->state('TRUNCATE mirox_internal.usage_minute'), '42501', 'or empties');
is($wire->value('SELECT sum(requests) FROM mirox.usage_hourly'), 1, 'the hours have it once');

# ---- retention ---------------------------------------------------------------------------------------------------------------
sub anew { $wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'"); $node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'"); all_due($wire); call($wire, 'flush'); return; }
ok($node->poll_query_until('postgres', 'SELECT sum(requests) = 1 FROM mirox_internal.usage_hour'), 'the hour is added up');
call($wire, 'verify_token', $far->{secret}, '10.0.0.1', 'agent', 'parks');
call($wire, 'flush');
shift_open($wire, '400 days');
anew();
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM mirox_internal.usage_open'), 'a use that comes very late is written');
is($wire->value('SELECT too_late FROM mirox.stat'), 1, 'and counted as too late for the minutes');
is($wire->value('SELECT sum(requests) FROM mirox_internal.usage_minute'), 1, 'which do not have it');
is($wire->value('SELECT sum(requests) FROM mirox.usage_hourly'), 2, 'the hours do');
is($wire->value('SELECT uses FROM mirox.token_report WHERE name = $1', 'far'), 2, 'and the totals');
$wire->rows('SET session_replication_role = replica');
$wire->rows("UPDATE mirox_internal.audit_log SET at = at - interval '40 days' WHERE event = 'account_registered'");
my $old = open_session($wire, 'anna');
call($wire, 'close_session', $old);
# An account that somebody holds is left for the next time, and holds up nothing. It is held before its session is old enough to go:
# the worker may be at its sessions already.
my $holder = wire($node);
$holder->rows('BEGIN');
$holder->rows("SELECT FROM mirox_internal.account WHERE user_id = 'anna' FOR UPDATE");
$wire->rows("UPDATE mirox_internal.session SET closed_at = closed_at - interval '40 days', expires_at = expires_at - interval '40 days', opened_at = opened_at - interval '41 days' WHERE closed_at IS NOT NULL");
$wire->rows('SET session_replication_role = origin');
$node->append_conf('postgresql.conf', "mirox_tokens.audit_retention = '30 days'\nmirox_tokens.hour_retention = '30 days'\nmirox_tokens.day_retention = '30 days'");
$node->reload;
anew();
ok($node->poll_query_until('postgres', "SELECT (SELECT count(*) FROM mirox_internal.usage_hour WHERE hour < now() - interval '300 days') + (SELECT count(*) FROM mirox_internal.usage_day WHERE day < now() - interval '300 days') = 0"), 'old usage is taken away');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM mirox_internal.audit_log WHERE event = 'account_registered'"), 'and the old audit log');
cmp_ok($wire->value('SELECT count(*) FROM mirox_internal.audit_log'), '>', 5, 'what is newer stays');
is($wire->value('SELECT count(*) FROM mirox_internal.session WHERE closed_at IS NOT NULL'), 1, 'the session of an account that is held stays for now');
$holder->rows('ROLLBACK');
anew();
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM mirox_internal.session WHERE closed_at IS NOT NULL'), 'and goes the next time');
is($wire->value('SELECT count(*) FROM mirox_internal.session'), 1, 'the open one stays');
is($wire->value("SELECT uses FROM mirox.token_report WHERE name = 'far'"), 2, 'what the profile page shows stays');

# ---- a user's transaction that holds the token's row, or a table, for long -------------------------------------------------------
$holder->rows('BEGIN');
$holder->rows('SELECT FROM mirox_internal.token FOR UPDATE');
$holder->rows('SELECT FROM mirox_internal.account FOR UPDATE');
call($wire, 'verify_token', $far->{secret}, '10.0.0.1', 'agent', 'parks');
call($wire, 'flush');
is($wire->value("SELECT uses FROM mirox.token_report WHERE name = 'far'"), 3, 'locked rows of tokens and accounts hold up no drain');
$holder->rows('ROLLBACK');
clean_log($node);
$_->close for $wire, $holder;
$node->stop;
done_testing();
