# What the TAP tests share: a node that has the extension, the life cycle by bound parameters, and what must hold of the
# tables at any moment, said in SQL of the tests' own.
package Mirox;
use strict;
use warnings;
use Exporter qw(import);
use Mirox::Wire;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT_OK = qw(new_node start_with_feedback wire call put_account open_session issue rotate verify reason contents broken clean_log random_part shift_open all_due);

# new_node($name, conf => …, extension => 0, init => [...], streaming => 1, install_path => …): a started server with the library
# preloaded and, unless told otherwise, the extension in the database postgres.
sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, $options{install_path} ? (install_path => $options{install_path}) : ());
	$node->init(
		extra => $options{init} // [ '--encoding=UTF8', '--no-locale' ],
		($options{streaming} ? (allows_streaming => 1) : ()));
	$node->append_conf('postgresql.conf', slurp_file($ENV{MIROX_CONF})) unless $options{bare};
	# Tests that ask for it have a rate limit; the others are not slowed down by it.
	$node->append_conf('postgresql.conf', "mirox_tokens.rate_limit = 1000000\nmirox_tokens.rate_burst = 1000000")
	  unless $options{bare};
	$node->append_conf('postgresql.conf', $options{conf}) if $options{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION mirox_tokens') if $options{extension} // !$options{bare};
	return $node;
}

# start_with_feedback($standby, $primary): the primary keeps what the standby's transactions see; where it did not, replay would end
# an older one, or wait for it.
sub start_with_feedback
{
	my ($standby, $primary) = @_;
	$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nwal_receiver_status_interval = 1s");
	$standby->start;
	ok($primary->poll_query_until('postgres', 'SELECT backend_xmin IS NOT NULL FROM pg_stat_replication'), 'the primary keeps what is seen there');
	return;
}

sub wire { my ($node, %options) = @_; return Mirox::Wire->connect($node, %options); }

# call($wire, $function, @arguments): the row that a function of schema mirox returns.
sub call
{
	my ($wire, $function, @arguments) = @_;
	my $marks = join ', ', map { "\$$_" } 1 .. @arguments;
	my ($row) = $wire->rows("SELECT * FROM mirox.$function($marks)", @arguments);
	return $row;
}

sub put_account { my ($wire, $user, $permissions) = @_; return call($wire, 'put_account', $user, $permissions); }
sub open_session { my ($wire, $user) = @_; return call($wire, 'open_session', $user)->[0]; }

my @issued = qw(token_id secret name group place expires_at created_at);

# issue($wire, $session, $name, group => …, permissions => […], expires_at => …, allowed_ips => […])
sub issue
{
	my ($wire, $session, $name, %options) = @_;
	my $row = call($wire, 'issue_token', $session, $name, $options{group} // 'full_access',
		@options{qw(expires_at expires_in permissions allowed_ips)});
	my %token;
	@token{@issued} = @$row;
	return \%token;
}

sub rotate
{
	my ($wire, $session, $token_id, $overlap) = @_;
	my $row = call($wire, 'rotate_token', $session, $token_id, $overlap);
	my %token;
	@token{@issued} = @$row;
	return \%token;
}

# reason($wire, $secret, …): the verdict's reason. verify: all of it, as a hash.
sub reason { my ($wire, @arguments) = @_; return verify($wire, @arguments)->{reason}; }

sub verify
{
	my ($wire, @arguments) = @_;
	my %verdict;
	@verdict{qw(status reason token_id user_id group permissions expires_at retry_after_ms)} =
	  @{ call($wire, 'verify_token', @arguments) };
	return \%verdict;
}

# What of a secret must not be found anywhere.
sub random_part { my ($part) = $_[0] =~ /^[a-z0-9]+_([0-9A-Za-z]{43})[0-9A-Za-z]{6}$/; return $part; }

# ---- what must hold --------------------------------------------------------------------------------------------------

# Rows that break what holds of the tables at any moment: whatever a secret's row repeats equals what it repeats, no secret
# in force reaches what its owner may not, an unrevoked token has one current secret, a revoked one none in force, and
# nobody holds more than 64.
my $broken = <<'SQL';
SELECT 'secret repeats something else', s.token_id, s.state::text
FROM mirox_internal.token_secret s LEFT JOIN mirox_internal.token t USING (token_id) LEFT JOIN mirox_internal.account a ON a.account_id = t.account_id
WHERE t.token_id IS NULL OR a.account_id IS NULL OR s.account_id <> t.account_id
   OR (t.revoked_at IS NULL AND s.state IN ('c', 'o') AND (
        s.user_id <> a.user_id OR s.locked <> (a.locked_at IS NOT NULL) OR s.suspended <> (t.suspended_at IS NOT NULL) OR s.rate_limit <> coalesce(a.rate_limit, -1)
     OR s.burst <> coalesce(a.burst, -1) OR s.group_id <> t.group_id OR s.allowed_ips IS DISTINCT FROM t.allowed_ips
     OR s.permissions::text IS DISTINCT FROM coalesce(a.permissions OPERATOR(mirox.*) t.permissions, a.permissions)::text))
   OR (s.state = 'c' AND (s.expires_at <> t.expires_at OR s.generation <> t.generation))
UNION ALL
SELECT 'a permission that the owner has lost', s.token_id, s.permissions::text
FROM mirox_internal.token_secret s JOIN mirox_internal.account a USING (account_id)
WHERE s.state IN ('c', 'o') AND NOT a.permissions OPERATOR(mirox.@>) s.permissions
UNION ALL
SELECT 'secrets in force', t.token_id, format('%s current, %s overlapping', count(s.*) FILTER (WHERE s.state = 'c'),
       count(s.*) FILTER (WHERE s.state = 'o'))
FROM mirox_internal.token t LEFT JOIN mirox_internal.token_secret s USING (token_id)
GROUP BY t.token_id, t.revoked_at
HAVING count(s.*) FILTER (WHERE s.state = 'c') <> CASE WHEN t.revoked_at IS NULL THEN 1 ELSE 0 END
    OR count(s.*) FILTER (WHERE s.state = 'o') > CASE WHEN t.revoked_at IS NULL THEN 1 ELSE 0 END
UNION ALL
SELECT 'tokens of an account', account_id, count(*)::text
FROM mirox_internal.token WHERE revoked_at IS NULL GROUP BY account_id HAVING count(*) > 64
UNION ALL
SELECT 'a row without its audit row', key, kind
FROM (SELECT 'account', account_id, audit_node, audit_id FROM mirox_internal.account
      UNION ALL SELECT 'token', token_id, audit_node, audit_id FROM mirox_internal.token
      UNION ALL SELECT 'session', session_id, audit_node, audit_id FROM mirox_internal.session
      UNION ALL SELECT 'secret', token_id, audit_node, audit_id FROM mirox_internal.token_secret) r (kind, key, node, id)
WHERE NOT EXISTS (SELECT FROM mirox_internal.audit_log l WHERE l.node = r.node AND l.audit_id = r.id)
SQL

sub broken { my $wire = shift; return join "\n", map { join ' | ', @$_ } $wire->rows($broken); }

# shift_open($wire, $span): makes the use of open minutes as old as $span, as if it had been recorded then. Only a superuser can, who
# turns the triggers off.
sub shift_open
{
	my ($wire, $span) = @_;
	$wire->rows('SET session_replication_role = replica');
	$wire->rows("UPDATE mirox_internal.usage_open SET minute = minute - \$1::interval,
		first_at = ARRAY(SELECT x - \$1::interval FROM unnest(first_at) WITH ORDINALITY u (x, n) ORDER BY n),
		last_at = ARRAY(SELECT x - \$1::interval FROM unnest(last_at) WITH ORDINALITY u (x, n) ORDER BY n)", $span);
	$wire->rows('SET session_replication_role = origin');
	return;
}

# all_due($wire): makes all tasks of maintenance due for the next worker, which otherwise goes on where the last one was.
sub all_due
{
	my $wire = shift;
	$wire->rows('SET session_replication_role = replica');
	$wire->rows('DELETE FROM mirox_internal.upkeep');
	$wire->rows('SET session_replication_role = origin');
	return;
}

# contents($node, $dbname): every table of schema mirox whose rows a dump carries, with their number and a digest of them
# all; and where each sequence stands. What waits in shared memory is written first.
# Recorded use moves on by itself, from open minutes to closed ones and on to hours,
# days and tokens, so it is compared as the requests of each minute and caller, and as what reports show of each token; and what belongs to a server's own ring, or is sent by
# its worker, is not a dump's.
sub contents
{
	my ($node, $dbname) = @_;
	$node->safe_psql($dbname, 'SELECT mirox.flush()') if $node->safe_psql($dbname, 'SELECT pg_is_in_recovery()') eq 'f';
	my $tables = $node->safe_psql($dbname, <<'SQL');
SELECT c.relname FROM pg_class c WHERE c.relnamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace) AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition
  AND c.relname !~ '^(drain_position|notice|posted_notice|upkeep|(usage|refusal)_.*|token_usage|token_day|account_day|traffic_hour|unauthenticated)$'
ORDER BY c.relname COLLATE "C"
SQL
	my $text = $node->safe_psql($dbname, join ' UNION ALL ', map {
		"SELECT '$_', count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\")) FROM mirox_internal.$_ t"
	} split /\n/, $tables);
	$text .= "\n" . $node->safe_psql($dbname, <<'SQL');
SELECT 'use', count(*), sum(requests), md5(string_agg(u::text, E'\n' ORDER BY u::text COLLATE "C"))
FROM (SELECT minute, min(first_at), max(last_at), sum(requests) AS requests, account_id, token_id, session_id, generation, status, reason,
             agent_id, place_id, endpoint_id, scope_id, ip
      FROM (SELECT *, 'ok' AS reason FROM mirox_internal.minute_use UNION ALL SELECT * FROM mirox_internal.minute_refusal) m
      GROUP BY minute, account_id, token_id, session_id, generation, status, reason, agent_id, place_id, endpoint_id, scope_id, ip) u
UNION ALL SELECT 'hours', count(*), sum(requests), md5(string_agg(h::text, E'\n' ORDER BY h::text COLLATE "C")) FROM mirox.usage_hourly h
UNION ALL SELECT 'days', count(*), sum(requests), md5(string_agg(d::text, E'\n' ORDER BY d::text COLLATE "C")) FROM mirox.usage_daily d
UNION ALL SELECT 'tokens', count(*), sum(uses + refusals), md5(string_agg(concat_ws(' ', token_id, uses, refusals, last_used_at, last_ip,
    last_location, last_browser, last_os), E'\n' ORDER BY token_id)) FROM mirox.token_report
UNION ALL SELECT 'unauthenticated', count(DISTINCT reason), sum(requests), NULL FROM mirox_internal.unauthenticated
SQL
	my $sequences = $node->safe_psql($dbname,
		"SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'mirox_internal' ORDER BY 1");
	return "$text\n$sequences";
}

# Fails unless the server's log tells of no crash, no internal error and no deadlock.
sub clean_log
{
	my ($node, $name) = @_;
	my $log = slurp_file($node->logfile);
	my @bad = $log =~ /^.*(?:PANIC|terminated by signal|TRAP:|deadlock detected|unexpected outcome|invalid memory alloc|duplicate key|leaked|leak:).*$/mg;
	return is(join("\n", @bad), '', $name // 'the log tells of no crash, no defect and no deadlock');
}

1;
