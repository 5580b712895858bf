# No plaintext secret in the data folder (tables, indexes, WAL, statistics, temporary files) or in the server's log, after
# every function was played with bound parameters and log_statement = none, errors and cancelled statements included.
use strict;
use warnings;
use File::Find;
use Mirox qw(new_node wire call put_account open_session issue rotate verify reason clean_log random_part);
use Test::More;

# What an ordinary server may log beside statements.
my $node = new_node('leak', init => [ '--encoding=UTF8', '--no-locale', '--data-checksums' ], conf => <<'EOC');
shared_preload_libraries = 'mirox_tokens,pg_stat_statements'
pg_stat_statements.track = all
log_statement = none
log_min_messages = info
log_min_error_statement = error
log_connections = on
log_checkpoints = on
log_temp_files = 0
log_lock_waits = on
deadlock_timeout = 100ms
log_parameter_max_length_on_error = 0
wal_level = logical
full_page_writes = on
autovacuum_naptime = 1s
EOC
my $wire = wire($node);
$wire->rows('CREATE EXTENSION pg_stat_statements');

# Every secret that was ever shown or sent; the random part is what must not be found.
my %secrets;
sub keep { my $secret = shift; $secrets{$secret} = 1; return $secret; }

# ---- the whole life, many times --------------------------------------------------------------------------------------
put_account($wire, $_, ['*']) for 'anna', 'carl';
my @last;
for my $round (1 .. 20)
{
	my $session = keep(open_session($wire, 'anna'));
	my $token = issue($wire, $session, "round $round", group => 'full_access', allowed_ips => ['10.0.0.0/8']);
	keep($token->{secret});
	is(reason($wire, $token->{secret}, '10.1.2.3', "agent $round", 'parks:read'), 'ok', 'a check') if $round == 1;
	call($wire, 'verify_token', $token->{secret}, '192.0.2.1', 'agent');
	call($wire, 'verify_digest', '\x' . $wire->value('SELECT encode(sha256($1::text::bytea), $2)', $token->{secret}, 'hex'));
	call($wire, 'list_tokens', $session);
	call($wire, 'rename_token', $session, $token->{token_id}, "renamed $round");
	call($wire, 'check_request', "Bearer $_", 'GET', '/parks/1', '10.1.1.1', 'agent') for $token->{secret}, $session;
	call($wire, 'check_request', "Bearer  $token->{secret}", 'GET', "/?token=$token->{secret}");
	call($wire, 'explain_check', $token->{secret}, 'GET', '/parks/1');
	$wire->rows('BEGIN');
	$wire->rows('SELECT mirox.authenticate($1, $2)', "Bearer $token->{secret}", '10.1.1.1');
	$wire->rows('SELECT mirox.current_user_id()');
	$wire->rows('COMMIT');
	my $new = rotate($wire, $session, $token->{token_id}, $round % 2 ? '0' : '1 day');
	keep($new->{secret});
	call($wire, 'verify_token', $_->{secret}) for $token, $new;
	call($wire, 'revoke_self', $new->{secret}, 'found') if $round % 3 == 0;
	call($wire, 'revoke_token', $session, $token->{token_id}, 'done') if $round % 3 == 1;
	$wire->rows('SELECT mirox.reveal($1::mirox.secret)', $new->{secret});
	$wire->rows('SELECT $1::mirox.secret::text', $new->{secret});
	call($wire, 'close_session', $session) if $round % 2;
	@last = ($session, $token, $new);
}
call($wire, 'revoke_expired_tokens', $last[0]);
call($wire, 'revoke_all_tokens', $last[0], 'all');

# ---- errors, each with secrets among the arguments -----------------------------------------------------------------------
my $session = keep(open_session($wire, 'anna'));
my $token = issue($wire, $session, 'errors');
my $secret = keep($token->{secret});
my $damaged = keep(substr($secret, 0, -1) . (substr($secret, -1) eq 'x' ? 'y' : 'x'));
my %states;
my $fails = sub {
	my ($function, @arguments) = @_;
	my $marks  = join ', ', map { "\$$_" } 1 .. @arguments;
	my $result = $wire->run("SELECT * FROM mirox.$function($marks)", @arguments);
	my $state  = $result->{state} // 'ok';
	$states{"$function $state"} = 1;
	my $text = join ' ', map { $_ // '' } values %{ $result->{fields} // {} };
	return grep { index($text, random_part($_)) >= 0 } keys %secrets;
};
my @told = map { $fails->(@$_) }
  [ 'rotate_token', $session, -1, '0' ],
  [ 'rotate_token', $session, $token->{token_id}, '8 days' ],
  [ 'rotate_token', $secret,  $token->{token_id}, '0' ],
  [ 'rotate_token', $damaged, $token->{token_id}, '0' ],
  [ 'issue_token',  $secret,  'x', 'full_access' ],
  [ 'issue_token',  $session, '',  'full_access' ],
  [ 'issue_token',  $session, 'x', 'no such group' ],
  [ 'issue_token',  $session, 'x', 'full_access', '2001-01-01' ],
  [ 'revoke_token', $session, -1, $secret x 20 ],
  [ 'revoke_token', $last[0], 'not a number', $secret ],
  [ 'revoke_self',  $damaged, 'reason' ],
  [ 'revoke_self',  $last[1]{secret}, 'reason' ],
  [ 'verify_token', $secret, 'no address' ],
  [ 'rename_token', $session, $token->{token_id}, "\x01" ],
  [ 'open_session', 'nobody', '1 day', undef, $secret ],
  [ 'put_account',  "nobody\x01$secret", ['*'] ],
  [ 'authenticate', "Bearer $damaged" ],
  [ 'authenticate', "Bearer $secret x" ],
  [ 'authenticate', "Basic $secret" ],
  [ 'rate_limit_status', $secret ],
  [ 'put_group', $secret, ['parks'] ],
  [ 'put_endpoint', 'GET', '/x', "$secret!" ],
  [ 'close_session', $damaged ];
is("@told", '', 'no error repeats a secret');
cmp_ok(scalar(grep { !/ ok$/ } keys %states), '>=', 10, 'of ' . keys(%states) . ' kinds');
for my $cast ($damaged, $secret . 'x', " $secret", $secret . "\n")
{
	my $result = $wire->run('SELECT $1::text::mirox.secret', $cast);
	is($result->{state}, '22P02', 'a malformed secret as a value: 22P02');
	is(index(join(' ', values %{ $result->{fields} }), random_part($secret)), -1, 'and not repeated');
}

# The cap, in a transaction; a statement that waits for a lock and is cancelled; a savepoint rolled back; a crash of
# the transaction; a prepared transaction would be another.
my $carl = keep(open_session($wire, 'carl'));
keep(issue($wire, $carl, "full $_")->{secret}) for 1 .. 64;
is($wire->state('SELECT * FROM mirox.issue_token($1, $2, $3)', $carl, 'over', 'full_access'), '54000', 'the cap');
my $other = wire($node);
$other->rows('BEGIN');
$other->rows("SELECT mirox.put_account('carl', '{parks}')");
$wire->rows("SET statement_timeout = '400ms'");
is($wire->state('SELECT mirox.revoke_all_tokens($1, $2)', $carl, 'waits'), '57014', 'a wait that is logged and cancelled');
$wire->rows("SET lock_timeout = '200ms'");
is($wire->state('SELECT * FROM mirox.issue_token($1, $2, $3)', $carl, 'waits', 'full_access'), '55P03', 'and one that times out');
$wire->rows("RESET ALL");
$other->rows('ROLLBACK');
$wire->rows('BEGIN');
$wire->rows('SAVEPOINT a');
call($wire, 'revoke_all_tokens', $carl);
keep(issue($wire, $carl, 'undone')->{secret});
$wire->rows('ROLLBACK TO a');
call($wire, 'revoke_all_tokens', $carl);
keep(issue($wire, $carl, 'undone')->{secret});
$wire->rows('ROLLBACK');

# A result that spills, sorts and materialises: what temporary files there are hold what the caller put in them, so the
# secrets go through no relation of the caller's here, only through the functions'.
$wire->rows('SELECT count(*) FROM generate_series(1, 200), mirox.list_tokens($1)', $carl);
$wire->rows('ANALYZE');
$wire->rows('CHECKPOINT');
$wire->rows('SELECT pg_switch_wal()');

# ---- look for them -----------------------------------------------------------------------------------------------------
# Each by its plain text, by its random part alone, and by that part as a hex dump or in UTF-16, which a careless log could hold.
my %needles;
for my $secret (keys %secrets)
{
	my $part = random_part($secret) or die 'an unexpected form of secret';
	$needles{$_} = 1 for $part, unpack('H*', $part), join('', map { "$_\0" } split //, $part);
}
my $pattern = join '|', map { quotemeta } sort keys %needles;
my $match   = qr/($pattern)/;
my ($files, $bytes, @found) = (0, 0);
sub look
{
	my $file = $_;
	return unless -f $file;
	open my $in, '<:raw', $file or return;
	local $/;
	my $content = <$in>;
	close $in;
	$files++;
	$bytes += length $content;
	push @found, $File::Find::name if $content =~ $match;
	return;
}
# With the server up: pg_stat_tmp and the like are there; then after a shutdown, which writes all statistics.
find(\&look, $node->data_dir, $node->logfile);
ok(-e $node->data_dir . '/pg_stat_statements' || -d $node->data_dir . '/pg_stat_tmp', 'the folder of statistics is looked at');
my $statements = join "\n", map { $_->[0] } $wire->rows('SELECT query FROM pg_stat_statements');
unlike($statements, $match, 'no secret in pg_stat_statements');
$wire->close;
$other->close;
clean_log($node);
$node->stop;
find(\&look, $node->data_dir, $node->logfile);
is(join("\n", @found), '', "no secret in $files files, $bytes bytes, of the data folder and the log (" . keys(%secrets) . ' secrets)');
# The search finds what is there: the digest that the table must hold, in the same files.
cmp_ok($bytes, '>', 20_000_000, 'it read the WAL too');
my $canary = 0;
find(
	sub {
		return unless -f $_ && open my $in, '<:raw', $_;
		local $/;
		$canary++ if index(scalar(<$in>), 'renamed 20') >= 0;
	},
	$node->data_dir);
cmp_ok($canary, '>=', 2, 'and would have found a name, which table and WAL do hold');
done_testing();
