# An attack from 200,000 addresses on one token, and one with invented methods: every refusal keeps scope, endpoint and reason, and a
# minute has few rows.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log);
use Test::More;

my $node = new_node('attack', conf => "\nmirox_tokens.flush_interval = 300ms\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
$wire->rows(q(SELECT mirox.put_endpoint('GET', '/parks/*', 'parks:read'), mirox.put_endpoint('POST', '/reports/*', 'reports:write')));
my $token = issue($wire, open_session($wire, 'anna'), 'token', permissions => ['parks:read']);
my $addresses = 200_000;
is($wire->value(q(SELECT count(*) FILTER (WHERE (mirox.check_request($1, 'POST', '/reports/' || i, ('10.' || (i >> 16) || '.' || ((i >> 8) & 255) || '.' || (i & 255))::inet, 'bot/' || i % 5000)).status = 403)
	FROM generate_series(1, $2::int) i), "Bearer $token->{secret}", $addresses), $addresses, 'each request is refused');
call($wire, 'flush');

# 200 addresses one by one, 200 networks, one row for all others, and fewer than ten callers of a drain that are not remembered.
my $per_minute = 200 + 200 + 1 + 9;
sub seen
{
	my $name = shift;
	is($wire->value('SELECT sum(requests) FROM mirox.refusals'), $addresses, "$name: all are counted");
	is($wire->value(q(SELECT string_agg(DISTINCT concat_ws(' ', status, reason, method, endpoint, scope, user_id), ', ') FROM mirox.refusals)),
		'403 insufficient_scope POST POST /reports/* reports:write anna', "$name: each with its reason, endpoint and scope");
	my $most = $wire->value('SELECT max(n) FROM (SELECT count(*) AS n FROM mirox_internal.minute_refusal GROUP BY minute) x');
	cmp_ok($most, '<=', $per_minute, "$name: at most $per_minute rows a minute");
	cmp_ok($most, '>', 200, "$name: addresses, and networks");
	is($wire->value(q(SELECT count(*) FROM mirox.refusals WHERE ip IS NOT NULL AND masklen(ip) < 32 AND user_agent IS NOT NULL)), 0, "$name: networks without the agent");
	return;
}
seen('open');
is($wire->value('SELECT events_dropped FROM mirox.stat'), 0, 'nothing was dropped');
ok($node->poll_query_until('postgres', 'SELECT sum(requests) = ' . $addresses . ' FROM mirox_internal.refusal_minute'), 'the minute closes');
seen('closed');
is($wire->value('SELECT refusals FROM mirox.token_report'), $addresses, 'and the token counts them');

# A client may invent methods, and endless ones. Those of HTTP and of the rule that matches are shown, all others are one.
$wire->rows(q(SELECT mirox.put_endpoint('PURGE', '/cache/*', 'cache'), mirox.put_endpoint('*', '/dav/**', 'dav')));
my $ask = 'SELECT count((mirox.check_request($1, $2 || CASE WHEN $3::int > 1 THEN i::text ELSE $4 END, $5)).status) FROM generate_series(1, $3::int) i';
$wire->value($ask, "Bearer $token->{secret}", @$_) for [ 'INVENTED', 5000, '', '/parks/1' ], [ 'purge', 1, '', '/cache/1' ], [ 'PURGE', 1, '', '/reports/1' ],
  [ 'PROPFIND', 1, '', '/dav/1' ], [ 'GETS', 1, '', '/dav/1' ], [ 'LOCK', 1, '', '%' ], [ 'BLOCK', 1, '', '%' ];
call($wire, 'flush');
is($wire->value(q(SELECT string_agg(concat_ws(' ', n, method, endpoint), ', ' ORDER BY method COLLATE "C", endpoint COLLATE "C") FROM
	(SELECT sum(requests) AS n, method, endpoint FROM mirox.refusals WHERE method <> 'POST' GROUP BY method, endpoint) r)),
	'1 LOCK, 1 PROPFIND * /dav/**, 1 PURGE PURGE /cache/*, 1 other * /dav/**, 5002 other', 'methods that HTTP or a rule names, and other ones');
cmp_ok($wire->value('SELECT count(*) FROM mirox_internal.used_endpoint'), '<=', 6, 'which are one in the tables too');
is($wire->value('SELECT last_error FROM mirox.stat'), undef, 'nothing has failed');

# ---- texts ---------------------------------------------------------------------------------------------------------------------------
# Of each kind 20,000 new ones a day are kept, whatever worker drains them.
my $texts = 20_000;
my $first_day = $wire->value("SELECT timezone('UTC', now())::date");
my $before = $wire->value('SELECT refusals FROM mirox.token_report');
my $sent = 0;
for my $part (0, 1)
{
	$sent += $wire->value(q(SELECT count((mirox.verify_token($1, '203.0.113.9', 'bot', 'x:s' || i)).status) FROM generate_series($2::int * 15000 + 1, $2::int * 15000 + 15000) i), $token->{secret}, $part);
	call($wire, 'flush');
	$wire->value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'"), 'a worker leaves');
}
SKIP: {
	skip 'a day has begun meanwhile', 1 if $wire->value("SELECT timezone('UTC', now())::date") ne $first_day;
	is($wire->value('SELECT count(*) FROM mirox_internal.used_scope'), $texts, 'the first 20,000 scopes of the day are kept');
}
is($wire->value('SELECT refusals FROM mirox.token_report') - $before, $sent, 'each use is counted');
clean_log($node);
$wire->close;
$node->stop;
done_testing();
