# Unauthenticated callers cannot fill anything: floods of random secrets with random agents, from random addresses, leave tables of
# bounded size and push out no use of a known token. MIROX_UNAUTHENTICATED (40000) says how many.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue);
use Test::More;

my $flood = $ENV{MIROX_UNAUTHENTICATED} || 40_000;
my $node = new_node('unauthenticated', conf => "\nmirox_tokens.ring_size = 1MB\nmirox_tokens.flush_interval = 300ms\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
my $secret = issue($wire, $session, 'token')->{secret};
my $dead = issue($wire, $session, 'dead');
call($wire, 'revoke_token', $session, $dead->{token_id});
call($wire, 'stat_reset');

# Half of them of no secret's form, half digests of secrets that nobody has.
my $half = $flood / 2;
$wire->rows(<<'SQL', $half);
SELECT count(v.status) FROM generate_series(1, $1::int) i, LATERAL mirox.verify_token(
	'mirox_' || md5(i::text) || md5((-i)::text), ('2001:db8:' || to_hex((random() * 65535)::int) || ':' || to_hex((random() * 65535)::int) || '::1')::inet,
	'agent ' || random()) v
SQL
my $known = 500;
$wire->rows('SELECT count(v.status) FROM generate_series(1, $2::int) i, LATERAL mirox.verify_token($1, $3::inet, left(i::text, 0)) v', $secret, $known, '203.0.113.7');
# By digest there is no form to get wrong.
$wire->rows(<<'SQL', $half);
SELECT count(v.status) FROM generate_series(1, $1::int) i, LATERAL mirox.verify_digest(
	sha256(i::text::bytea), ('10.' || (random() * 255)::int || '.' || (random() * 255)::int || '.' || (random() * 255)::int)::inet, 'agent ' || random()) v
SQL
my ($stat) = $wire->rows('SELECT malformed, unknown, ok, events_dropped, unauthenticated_uncounted FROM mirox.stat');
is_deeply([ @$stat[ 0 .. 3 ] ], [ $half, $half, $known, 0 ], 'every check is counted, none was dropped');
call($wire, 'flush');
is($wire->value('SELECT uses FROM mirox.token_report WHERE name = $1', 'token'), $known, 'every use of the known token is recorded');
is($wire->value('SELECT sum(requests) FROM mirox.refusals') + $stat->[4], $flood, 'every refusal is counted');
is($wire->value("SELECT string_agg(DISTINCT status || ' ' || reason, ', ' ORDER BY status || ' ' || reason) FROM mirox.refusals"), '401 malformed, 401 unknown', 'with its reason');
cmp_ok($wire->value('SELECT count(*) FROM mirox_internal.unauthenticated'), '<=', (4096 + 256) * 3, 'in a bounded number of rows');
is($wire->value('SELECT count(*) FROM mirox_internal.agent'), 0, 'no agent of an unauthenticated caller is kept');
is($wire->value('SELECT count(*) FROM mirox_internal.minute_use'), 1, 'and no caller but the known one');
is($wire->value("SELECT count(*) FROM mirox.refusals WHERE ip IS NOT NULL AND masklen(ip) > CASE family(ip) WHEN 4 THEN 32 ELSE 64 END"), 0, 'IPv6 by network');
# Flushing again changes nothing: a slot's row is written as it stands, not added to.
call($wire, 'flush');
is($wire->value('SELECT sum(requests) FROM mirox.refusals') + $stat->[4], $flood, 'written again, it is the same');
# Nor does a crash.
$wire->close;
$node->stop('immediate');
$node->start;
$wire = wire($node);
call($wire, 'flush');
is($wire->value('SELECT sum(requests) FROM mirox.refusals') + $stat->[4], $flood, 'nor does a crash change it');

# Whoever holds a dead token can invent agents, too: they are gathered.
$wire->rows(<<'SQL', $dead->{secret});
SELECT count(*) FROM generate_series(1, 3000) i, LATERAL mirox.verify_token($1, '203.0.113.8', 'invented ' || i) v
SQL
call($wire, 'flush');
is($wire->value('SELECT refusals FROM mirox.token_report WHERE name = $1', 'dead'), 3000 - $wire->value('SELECT events_dropped FROM mirox.stat'), 'each refusal of a dead token counts');
cmp_ok($wire->value('SELECT count(*) FROM mirox_internal.open_use'), '<', 2000, 'few of the invented agents are kept');
$node->stop;
done_testing();
