# Where a secret stands after it was given to our functions in every way, as a bind parameter and as a literal: in the log, with
# the client, in what other sessions see, in the memory of an idle backend. A thousand of them, at the default and at the
# recommended settings, through functions that succeed, fail, time out and are cancelled; then one by one through the settings that
# have the server write more. The table of docs/security.md must say just what is seen.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate clean_log random_part);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('secrets', conf => <<'EOC');
shared_preload_libraries = 'mirox_tokens,pg_stat_statements,auto_explain'
pg_stat_statements.track = all
log_min_messages = info
auto_explain.log_min_duration = -1
EOC
my $wire = wire($node);
$wire->rows('CREATE EXTENSION pg_stat_statements');
$wire->rows('CREATE ROLE passer_by LOGIN');
# A trigger of the platform's own that refuses.
$wire->rows(<<'EOS');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.name = 'refused' THEN RAISE EXCEPTION 'refused'; END IF; RETURN NEW; END $$
EOS
$wire->rows('CREATE TRIGGER refuse AFTER INSERT ON mirox_internal.token FOR EACH ROW EXECUTE FUNCTION refuse()');

my $accounts = 0;
my @tokens;
# Of an account of their own: revoke_all_tokens runs beside the checks of tokens.
sub new_session { return open_session($wire, 'sessions'); }

sub new_token
{
	if ($accounts == 0 || @tokens == 64)
	{
		put_account($wire, 'user ' . ++$accounts, ['*']);
		@tokens = ();
	}
	my $token = issue($wire, open_session($wire, "user $accounts"), 'token ' . @tokens);
	push @tokens, $token;
	return $token->{secret};
}
put_account($wire, 'sessions', ['*']);

my $log_at = 0;

# What the log says since it was looked at last: the labels of the lines (ERROR, CONTEXT, STATEMENT, …) that each secret stands in.
sub look_at_log
{
	my $log = substr(slurp_file($node->logfile), $log_at);
	$log_at += length $log;
	my (%found, $label);
	foreach my $line (split /\n/, $log)
	{
		$label = $1 if $line =~ /^\d{4}-\d\d-\d\d .*? ([A-Z]{3,9}):  /;
		$found{$1}{$label} = 1 while $line =~ /(miroxs?_[0-9A-Za-z]{49})/g;
	}
	return \%found;
}

# ---- the calls, and the ways to make them ------------------------------------------------------------------------------------
# %s is where the secret stands; s: a session's, t: a token's. What each makes when all is well, or has to wait.
my @calls = (
	[ s => q{mirox.issue_token(%s, 'one', 'reporting')} ],
	[ s => q{mirox.revoke_all_tokens(%s)} ],
	[ s => q{mirox.revoke_expired_tokens(%s)} ],
	[ s => q{mirox.list_tokens(%s)} ],
	[ s => q{mirox.close_session(%s)} ],
	[ t => q{mirox.verify_token(%s)} ],
	[ t => q{mirox.check_request('Bearer ' || %s, 'GET', '/')} ],
	[ t => q{mirox.explain_check(%s)} ],
	[ t => q{mirox.authenticate('Bearer ' || %s)} ],
	[ t => q{mirox.revoke_self(%s)} ]);
# What each is refused by itself.
my @refused = (
	[ s => q{mirox.issue_token(%s, '', 'reporting')} ],
	[ s => q{mirox.rotate_token(%s, -1)} ],
	[ s => q{mirox.revoke_token(%s, -1)} ],
	[ s => q{mirox.rename_token(%s, -1, 'name')} ],
	[ s => q{mirox.token_history(%s, -1)} ],
	[ t => q{mirox.authenticate('Basic ' || %s)} ],
	[ t => q{mirox.issue_token(%s, 'name', 'reporting')} ],
	[ s => q{mirox.revoke_self(%s)} ],
	[ t => q{mirox.reveal(CAST(%s || 'x' AS mirox.secret))} ]);
my @failing = ([ s => q{mirox.issue_token(%s, 'refused', 'reporting')} ]);

# What a statement comes to: the calls that it makes, the setting before it, what stands behind count(*), the SQLSTATE.
my %outcomes = (
	'ok'                => [ \@calls,   '',                           '',     qr/^ok$/ ],
	'refused'           => [ \@refused, '',                           '',     qr/^(22023|P0002|28000|42501|22P02)$/ ],
	'trigger'           => [ \@failing, '',                           '',     qr/^P0001$/ ],
	'lock timeout'      => [ \@calls,   "lock_timeout = '10ms'",      '',     qr/^55P03$/ ],
	'statement timeout' => [ \@calls,   "statement_timeout = '500ms'", '',    qr/^57014$/ ],
	'cancelled'         => [ \@calls,   '',                           '',     qr/^57014$/ ],
	'beside'            => [ \@calls,   '',                           ' / 0', qr/^22012$/ ],
	'denied'            => [ \@calls,   '',                           '',     qr/^42501$/ ]);
my %inside = map { $_ => 1 } 'refused', 'trigger', 'lock timeout', 'statement timeout', 'cancelled';
my %waits  = map { $_ => 1 } 'lock timeout', 'statement timeout', 'cancelled';

my $functions = 0;
my %function_of;

# A function in PL/pgSQL that makes the call; it tells what it caught, or does not catch.
sub plpgsql_function
{
	my ($body, $catches) = @_;
	return $function_of{"$body $catches"} //= do {
		my $name  = 'public.caller_' . ++$functions;
		my $catch = $catches ? <<'EOS' : '';
EXCEPTION WHEN query_canceled OR OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
  RETURN concat_ws(' | ', SQLSTATE, message, detail, hint, context);
EOS
		$wire->rows("CREATE FUNCTION $name(given text) RETURNS text LANGUAGE plpgsql AS \$f\$
DECLARE message text; detail text; hint text; context text;
BEGIN $body; RETURN 'ok'; $catch END \$f\$");
		$name;
	};
}

# Each way: starts the statement that makes the call $call with $secret.
my $prepared = 0;
my %ways = (
	'simple'   => sub { my ($on, $sql, $secret) = @_; $on->script(sprintf $sql, "'$secret'") },
	'extended' => sub { my ($on, $sql, $secret) = @_; $on->send(sprintf($sql, '$1::text'), $secret) },
	'named'    => sub {
		my ($on, $sql, $secret) = @_;
		my $name = 'named_' . ++$prepared;
		$on->prepare($name, sprintf $sql, '$1::text');
		$on->wait;
		$on->execute($name, $secret);
	},
	'PREPARE' => sub {
		my ($on, $sql, $secret) = @_;
		my $name = 'prepared_' . ++$prepared;
		$on->rows("PREPARE $name (text) AS " . sprintf $sql, '$1');
		$on->script("EXECUTE $name('$secret')");
	},
	'DO' => sub {
		my ($on, $sql, $secret) = @_;
		$on->script('DO $do$ BEGIN PERFORM ' . substr(sprintf($sql, "'$secret'"), 7) . '; END $do$');
	},
	'EXECUTE' => sub {
		my ($on, $sql, $secret) = @_;
		$on->script('DO $do$ BEGIN EXECUTE format($f$' . sprintf($sql, '%L') . "\$f\$, '$secret'); END \$do\$");
	},
	map {
		my $catches = $_;
		my $word    = $catches ? 'caught' : 'uncaught';
		(   "function, $word" => sub {
				my ($on, $sql, $secret) = @_;
				$on->send('SELECT ' . plpgsql_function('PERFORM ' . substr(sprintf($sql, 'given'), 7), $catches) . '($1)', $secret);
			},
			"function with EXECUTE, $word" => sub {
				my ($on, $sql, $secret) = @_;
				$on->send('SELECT ' . plpgsql_function('EXECUTE format($q$' . sprintf($sql, '%L') . '$q$, given)', $catches) . '($1)', $secret);
			})
	} (0, 1));
my %literal = map { $_ => 1 } qw(simple PREPARE DO EXECUTE);
my %nested  = map { $_ => 1 } 'DO', 'EXECUTE', 'function with EXECUTE, uncaught', 'function with EXECUTE, caught';

# What the server itself writes, and only that, may hold the secret.
sub expected
{
	my ($way, $outcome) = @_;
	my $caught = $way =~ /, caught/;
	my (%log, %client);
	if (!$inside{$outcome} && $outcome ne 'ok')
	{
		$client{ $caught ? 'row' : 'W' } = 1 if $nested{$way};
		$log{CONTEXT}   = 1 if $nested{$way} && !$caught;
		$log{STATEMENT} = 1 if $literal{$way};
	}
	$log{STATEMENT} = 1 if $inside{$outcome} && $outcome ne 'refused' && $literal{$way};
	return (join(' ', sort keys %log), join(' ', sort keys %client));
}

my $locker = wire($node);
my @on     = map { wire($node) } 1 .. 8;
my @denied = map { wire($node, user => 'passer_by') } 1 .. 8;
my $all    = 0;
my %seen;    # way, outcome: the labels of the log, the fields of the client's

for my $settings ('default', 'recommended')
{
	if ($settings eq 'recommended')
	{
		# As the manual has them.
		my ($block) = slurp_file("$ENV{MIROX_TREE}/docs/security.md") =~ /^```ini\n(.*?)^```/ms;
		like($block, qr/^log_parameter_max_length = 0\nlog_parameter_max_length_on_error = 0$/m, 'the manual recommends settings');
		$node->append_conf('postgresql.conf', $block);
		$node->reload;
		$node->poll_query_until('postgres', "SELECT current_setting('log_parameter_max_length') = '0'");
	}
	my %cells;
	look_at_log();
	for my $way (sort keys %ways)
	{
		for my $outcome (sort keys %outcomes)
		{
			my ($calls, $setting, $tail, $wanted) = @{ $outcomes{$outcome} };
			my (@secrets, @states);
			my @chosen = map { $calls->[ ($all + $_) % @$calls ] } 0 .. $#on;
			@secrets = map { $_->[0] eq 's' ? new_session() : new_token() } @chosen;
			# So that what is caught, or told, can be found.
			my $connections = $outcome eq 'denied' ? \@denied : \@on;
			# What has to be made first must not wait.
			if ($way =~ /^function/)
			{
				my $catches = $way =~ /, caught/ ? 1 : 0;
				for my $call (@chosen)
				{
					my $sql = "SELECT count(*)$tail FROM $call->[1]";
					plpgsql_function($way =~ /EXECUTE/ ? 'EXECUTE format($q$' . sprintf($sql, '%L') . '$q$, given)'
						: 'PERFORM ' . substr(sprintf($sql, 'given'), 7), $catches);
				}
			}
			if ($waits{$outcome})
			{
				$locker->rows('BEGIN');
				$locker->rows('LOCK TABLE mirox_internal.session, mirox_internal.account, mirox_internal.token, mirox_internal.token_secret');
			}
			for my $i (0 .. $#on)
			{
				my $on = $connections->[$i];
				# What PREPARE and Parse take is not to wait for the locks: they do not plan.
				$on->rows("SET $setting") if $setting;
				$ways{$way}->($on, "SELECT count(*)$tail FROM $chosen[$i][1]", $secrets[$i]);
			}
			if ($outcome eq 'cancelled')
			{
				my $waiting = 'SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = $1 AND pid = ANY ($2::int[])';
				my $pids = '{' . join(',', map { $_->{pid} } @on) . '}';
				my $tries = 0;
				select(undef, undef, undef, 0.02) while $wire->value($waiting, 'Lock', $pids) < @on && $tries++ < 1000;
				$wire->rows('SELECT pg_cancel_backend(p) FROM unnest($1::int[]) p', $pids);
			}
			for my $i (0 .. $#on)
			{
				my $on     = $connections->[$i];
				my $result = $on->wait;
				my $row    = @{ $result->{rows} } ? $result->{rows}[0][0] // '' : '';
				my $state  = $result->{state} // ($way =~ /, caught/ ? substr($row . '     ', 0, 5) =~ s/ok .*/ok/r : 'ok');
				push @states, $state =~ $wanted ? () : "$state for $chosen[$i][1]: " . ($result->{message} // $row);
				my %told = (%{ $result->{fields} // {} }, $way =~ /, caught/ ? (row => $row) : ());
				my $part = random_part($secrets[$i]);
				$cells{"$way, $outcome"}{ $secrets[$i] } = join ' ', sort grep { index($told{$_} // '', $part) >= 0 } keys %told;
				$all++;
			}
			$locker->rows('ROLLBACK') if $waits{$outcome};
			$_->rows('RESET ALL') for @$connections;
			is("@states", '', "$settings: $way, $outcome: ends as it should");
		}
	}
	my $log = look_at_log();
	for my $cell (sort keys %cells)
	{
		my ($way, $outcome) = $cell =~ /^(.*), ([a-z ]+)$/;
		my ($in_log, $in_client) = expected($way, $outcome);
		my (%log_seen, %client_seen);
		for my $secret (keys %{ $cells{$cell} })
		{
			$log_seen{ join ' ', sort keys %{ $log->{$secret} // {} } }++;
			$client_seen{ $cells{$cell}{$secret} }++;
		}
		is(join(', ', sort keys %log_seen), $in_log, "$settings: $cell: in the log");
		is(join(', ', sort keys %client_seen), $in_client, "$settings: $cell: with the client");
		$seen{$way}{$outcome}{log}    ||= grep { length } keys %log_seen;
		$seen{$way}{$outcome}{client} ||= grep { length } keys %client_seen;
	}
}
cmp_ok($all, '>=', 1000, "$all secrets");

# ---- by the catalog: nothing that takes a secret tells where it was called from ------------------------------------------------------
# Each such function, in DO, with every table locked: what fails in it, by its own doing or by the lock, comes without context.
{
	my @found = $wire->rows(<<'EOS');
SELECT p.oid::regproc, array_to_string(p.proargnames[1:p.pronargs], ','), array_to_string(ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) t), ',')
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'mirox_tokens'
WHERE p.prorettype NOT IN ('trigger'::regtype, 'internal'::regtype, 'cstring'::regtype)
  AND (p.proargnames[1:p.pronargs] && '{session,secret,authorization,credential,sha256}' OR 'mirox.secret'::regtype = ANY (p.proargtypes))
ORDER BY 1
EOS
	cmp_ok(scalar @found, '>=', 16, 'functions that take a secret');
	my (@told, %states);
	for my $function (@found)
	{
		my ($name, $names, $types) = @$function;
		my @names = split /,/, $names;
		my @types = split /,/, $types;
		my ($session, $token) = (new_session(), new_token());
		my @arguments = map {
			my $word = $names[$_];
			  $types[$_] eq 'mirox.secret' ? "CAST('$token' AS mirox.secret)"
			: $types[$_] eq 'bytea'        ? "sha256('$token'::bytea)"
			: $word eq 'session'           ? "'$session'"
			: $word eq 'authorization'     ? "'Bearer $token'"
			: $word =~ /^(secret|credential)$/ ? "'$token'"
			: "NULL::$types[$_]"
		} 0 .. $#types;
		$locker->rows('BEGIN');
		$locker->rows('LOCK TABLE mirox_internal.session, mirox_internal.account, mirox_internal.token, mirox_internal.token_secret');
		$on[0]->rows("SET lock_timeout = '10ms'");
		$on[0]->script('DO $do$ BEGIN PERFORM count(*) FROM ' . "$name(" . join(', ', @arguments) . '); END $do$');
		my $result = $on[0]->wait;
		$locker->rows('ROLLBACK');
		push @{ $states{ $result->{state} // 'ok' } }, $name;
		push @told, "$name: $result->{fields}{W}" if ($result->{fields}{W} // '') ne '';
	}
	is("@told", '', 'tell nothing of the statement that called them');
	is(join(' ', @{ $states{ok} }), 'mirox.reveal', 'each but this one reads a table, and so was tried: ' . join ' ', sort keys %states);
}

# COPY says what stood in the column that it could not read.
for my $type (qw(secret digest))
{
	my $secret  = new_token();
	my ($status, $out, $err) =
	  $node->psql('postgres', "CREATE TEMP TABLE t (s mirox.$type);\n\\copy t from stdin\n${secret}x\n\\.\n", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	like($err, qr/22P02/, "COPY of a malformed $type");
	unlike($err . join(' ', keys %{ look_at_log() }), qr/\Q@{[random_part($secret)]}/, 'which is not repeated');
}

# ---- our lines of the log ------------------------------------------------------------------------------------------------------------
{
	my $file = $node->data_dir . '/keys';
	append_to_file($file, "no key\n");
	chmod 0600, $file or die $!;
	$node->append_conf('postgresql.conf', "mirox_tokens.jwt_key_file = '$file'\nmirox_tokens.agent_rules = 'nowhere'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('mirox_tokens.jwt_key_file') <> ''");
	$wire->rows('ALTER TABLE mirox_internal.endpoint DROP CONSTRAINT endpoint_check');
	$wire->rows('SET session_replication_role = replica');
	$wire->rows("INSERT INTO mirox_internal.endpoint VALUES ('GET', 'x', 'y')");
	$wire->rows('RESET session_replication_role');
	my $secret = new_token();
	look_at_log();
	my $from = $log_at;
	# To a client that has asked for it, too.
	my $fresh = wire($node);
	$fresh->rows("SET client_min_messages = 'log'");
	$fresh->script("DO \$do\$ BEGIN PERFORM count(*) FROM mirox.check_request('Bearer $secret', 'GET', '/'), mirox.verify_token('eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImEifQ.e30.' || repeat('a', 43)); END \$do\$");
	my @notices = map { join ' ', map { $_ // '' } values %$_ } @{ $fresh->wait->{notices} };
	my $log     = substr(slurp_file($node->logfile), $from);
	for my $line ('the file of mirox_tokens.jwt_key_file cannot be used', 'mirox_internal.endpoint holds rules that cannot be used')
	{
		like($log, qr/LOG:  $line/, "the log says: $line");
		is(scalar(grep { /$line/ } @notices), 1, 'and the client is told');
	}
	is(join(' ', keys %{ look_at_log() }), '', 'without the statement');
	unlike("@notices", qr/@{[random_part($secret)]}/, 'nor is that told');
	$wire->rows('DELETE FROM mirox_internal.endpoint');
	$fresh->close;
}

# ---- the table of the manual ---------------------------------------------------------------------------------------------------------
# The memory of a backend, as a core dump of it would hold it; undef where it cannot be read. And how often a secret stands in it.
sub memory_of
{
	my ($on) = @_;
	my $memory = '';
	open my $maps, '<', "/proc/$on->{pid}/maps" or return;
	open my $in, '<:raw', "/proc/$on->{pid}/mem" or return;
	while (<$maps>)
	{
		# Its own, and written to; what is shared holds no secret (020_leak.pl).
		my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) rw.p/ or next;
		next unless seek $in, hex $from, 0;
		my $read = read $in, my $piece, hex($to) - hex $from;
		$memory .= $piece if $read;
	}
	return $memory;
}

sub copies
{
	my ($on, $secret) = @_;
	my $part = random_part($secret) // $secret;
	return scalar(() = memory_of($on) =~ /\Q$part/g);
}

# A superuser's connection, whose settings are its own.
my $other = wire($node);

# seen($way, $call, @settings): runs the call in this way under the settings; where the secret was seen then.
my %run_as = (bind => 'extended', literal => 'simple', nested => 'EXECUTE');
sub seen_in
{
	my ($column, $sql, $settings, $look, $kind) = @_;
	my $secret = ($kind // 't') eq 's' ? new_session() : new_token();
	look_at_log();
	$other->rows($_) for @$settings;
	look_at_log();
	$ways{ $run_as{$column} }->($other, $sql, $secret);
	my $result = $other->wait;
	my $seen   = $look->($secret, $result);
	$other->rows('RESET ALL');
	return $seen ? 'the secret' : 'nothing';
}
my $in_log     = sub { my $secret = shift; return exists look_at_log()->{$secret} };
my $in_query   = sub {
	my ($view) = @_;
	return sub { my $secret = shift; return $wire->value("SELECT count(*) FROM $view v WHERE query LIKE '%' || \$1 || '%'", random_part($secret)) };
};
my $of_parameters = [ 'SET log_parameter_max_length = -1', 'SET log_parameter_max_length_on_error = 0' ];
my $in_from   = 'SELECT status FROM mirox.verify_token(%s)';
my $explained = [ map { "SET auto_explain.$_" } 'log_min_duration = 0', 'log_verbose = on', 'log_analyze = on', 'log_nested_statements = on',
	# Before 16 it shows no parameters, and has no such setting.
	$node->pg_version >= 16 ? 'log_parameter_max_length = 0' : () ];

my %observed;
for my $column (qw(bind literal nested))
{
	my %among = map { $_ => 1 } $column eq 'bind' ? ('extended', 'named', 'function, uncaught', 'function, caught')
	  : $column eq 'literal' ? ('simple', 'PREPARE') : grep { $nested{$_} } keys %ways;
	my $whether = sub {
		my ($sink, @outcomes) = @_;
		return (grep { my $way = $_; grep { $seen{$way}{$_}{$sink} } @outcomes } keys %among) ? 'the secret' : 'nothing';
	};
	my @server = grep { $_ ne 'refused' } keys %inside;
	my %row;
	$row{'an error during a secret call, raised by the extension or the server: the message to the client, and `PG_EXCEPTION_CONTEXT`'} =
	  $whether->('client', keys %inside);
	$row{'an error that the extension raises during a secret call: the log'} = $whether->('log', 'refused');
	$row{'an error that the server raises during a secret call (a timeout, a cancel, a failing trigger): the log'} = $whether->('log', @server);
	my ($beside, $within) = ('SELECT count(*) / 0 FROM mirox.verify_token(%s)', q{SELECT mirox.issue_token(%s, 'refused', 'reporting')});
	$row{'the same, with `log_parameter_max_length_on_error = -1`'} =
	  seen_in($column, $within, ['SET log_parameter_max_length_on_error = -1'], $in_log, 's');
	$row{'the same, with `log_min_error_statement = panic`'} =
	  seen_in($column, $within, [ @$of_parameters, 'SET log_min_error_statement = panic' ], $in_log, 's');
	$row{'another error in the same statement (permission denied, a division by zero): the message to the client'} =
	  $whether->('client', 'beside', 'denied');
	$row{'such an error: the log'} = $whether->('log', 'beside', 'denied');
	$row{'such an error: the log, with `log_parameter_max_length_on_error = -1`'} =
	  seen_in($column, $beside, ['SET log_parameter_max_length_on_error = -1'], $in_log);
	for my $setting ('log_statement = all', 'log_min_duration_statement = 0')
	{
		my $set = 'SET ' . $setting =~ s/= (\w+)/= '$1'/r;
		$row{"`$setting`"} = seen_in($column, $in_from, [ @$of_parameters, $set ], $in_log);
		$row{"`$setting`, with `log_parameter_max_length = 0`"} =
		  seen_in($column, $in_from, [ 'SET log_parameter_max_length = 0', $set ], $in_log);
	}
	$row{'`auto_explain` without parameters (`auto_explain.log_parameter_max_length = 0`, from 16 on), with `log_verbose` too: a function in `FROM` that returns one row'} =
	  seen_in($column, $in_from, $explained, $in_log);
	my $many = '`auto_explain` with `log_verbose`: a function in the list of results, or one that returns many rows';
	$row{$many} = seen_in($column, 'SELECT (mirox.verify_token(%s)).status', $explained, $in_log);
	is(seen_in($column, 'SELECT count(*) FROM mirox.list_tokens(%s)', $explained, $in_log, 's'),
		$row{$many}, "$column: a function that returns many rows is as one in the list of results");
	$row{'`auto_explain`: a function in `WHERE`'} =
	  seen_in($column, 'SELECT 1 WHERE (mirox.verify_token(%s)).status = 200', [ grep { !/verbose/ } @$explained ], $in_log);
	$row{'`pg_stat_statements`'} = seen_in($column, $in_from, [], $in_query->('pg_stat_statements'));
	$row{'`pg_stat_activity`, to the same role, superusers and `pg_read_all_stats`, while it is the last statement'} =
	  seen_in($column, $in_from, [], $in_query->('pg_stat_activity'));
	$row{'the memory of the server process (a core dump, `/proc/PID/mem`), for a while'} =
	  defined memory_of($other) ? seen_in($column, $in_from, [], sub { return copies($other, $_[0]) }) : 'the secret';
	$observed{$_}{$column} = $row{$_} for keys %row;
}

# What is no query keeps its literals in pg_stat_statements.
{
	my $until_16 = $node->pg_version >= 16 ? 'nothing' : 'the secret';
	my %kept = ("COPY ($in_from) TO STDOUT" => 'the secret', "EXPLAIN $in_from" => $until_16, "CREATE TEMPORARY TABLE kept AS $in_from" => $until_16,
		"DECLARE kept CURSOR WITH HOLD FOR $in_from" => $until_16);
	is(seen_in('literal', $_, [], $in_query->('pg_stat_statements')), $kept{$_}, "pg_stat_statements: $_") for sort keys %kept;
	$other->rows($_) for 'CLOSE kept', 'DROP TABLE kept';
}

# ---- the memory of an idle backend -----------------------------------------------------------------------------------------------------
SKIP:
{
	my $on = wire($node);
	skip 'the memory of a process cannot be read here', 1 unless defined memory_of($on);
	skip 'a server built with assertions wipes what it frees itself', 1 if $on->value('SHOW debug_assertions') eq 'on';
	put_account($wire, 'memory', ['*']);
	my $session = open_session($wire, 'memory');

	# A result: as many copies as the server makes of any text, but the function's own.
	$on->rows(q{CREATE FUNCTION pg_temp.same_kind() RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN md5(random()::text) || md5(random()::text); END$$});
	my $others = copies($on, $on->value('SELECT pg_temp.same_kind()'));
	cmp_ok($others, '>=', 3, "the server keeps $others copies of a text that a function has returned");
	my %made = (
		'open_session'          => q{SELECT mirox.open_session('memory')},
		'issue_token in FROM'   => qq{SELECT secret FROM mirox.issue_token('$session', 'in FROM', 'reporting')},
		'issue_token'           => qq{SELECT (i).secret FROM (SELECT mirox.issue_token('$session', 'in SELECT', 'reporting') AS i OFFSET 0) x},
		'rotate_token in FROM'  => qq{SELECT secret FROM mirox.list_tokens('$session') l, mirox.rotate_token('$session', l.token_id) WHERE l.name = 'in SELECT'},
		'rotate_token by a portal' => qq{SELECT secret FROM mirox.rotate_token('$session', (SELECT token_id FROM mirox.list_tokens('$session') LIMIT 1))});
	for my $what (sort keys %made)
	{
		my $secret = $on->value($made{$what});
		cmp_ok(copies($on, $secret), '<', $others, "$what: none of them ours");
		my %found = map { $_ => 1 } memory_of($on) =~ /(mirox_[0-9A-Za-z]{49}|miroxs_[0-9A-Za-z]{49})/g;
		delete @found{ $secret, $session };
		is(join(' ', keys %found), '', 'nor of another');
		$on->close;
		$on = wire($node);
		$on->rows(q{SET client_min_messages = warning});
	}

	# What was never shown is nowhere: a platform's trigger, a timeout, each after the secret was made; the transaction left as it is.
	my %fails = (
		'a failing trigger' => ['BEGIN', "SELECT mirox.issue_token(\$1, 'refused', 'reporting')"],
		'a failing trigger, a savepoint' => ['BEGIN', 'SAVEPOINT a', "SELECT mirox.issue_token(\$1, 'refused', 'reporting')"],
		'a failing trigger, in FROM' => ["SELECT secret FROM mirox.issue_token(\$1, 'refused', 'reporting')"],
		'a failing trigger, caught' => ['SELECT ' . plpgsql_function("PERFORM mirox.issue_token(given, 'refused', 'reporting')", 1) . '($1)'],
		'a failing trigger, in PL/pgSQL' => ['BEGIN', 'SELECT ' . plpgsql_function("PERFORM mirox.issue_token(given, 'refused', 'reporting')", 0) . '($1)'],
		'a timeout' => ["SET statement_timeout = '300ms'", 'BEGIN', "SELECT mirox.issue_token(\$1, 'waits', 'reporting')"]);
	# It waits where the new secret's row is written.
	$wire->rows(<<'EOS');
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.name = 'refused' THEN RAISE EXCEPTION 'refused'; END IF;
  IF NEW.name = 'waits' THEN PERFORM pg_sleep(60); END IF;
  RETURN NEW;
END $$
EOS
	for my $what (sort keys %fails)
	{
		my $fresh = wire($node);
		my ($state, @statements) = ('ok', @{ $fails{$what} });
		my $last = pop @statements;
		$fresh->rows($_) for @statements;
		my $result = $fresh->run($last, $session);
		like($result->{state} // $result->{rows}[0][0], qr/^(P0001|57014)/, "$what: fails");
		my %found = map { $_ => 1 } memory_of($fresh) =~ /(mirox_[0-9A-Za-z]{49}|miroxs_[0-9A-Za-z]{49})/g;
		delete $found{$session};
		is(join(' ', keys %found), '', 'and leaves no secret behind');
		$fresh->close;
	}

	# What a function is given: as many copies as any parameter has. What a table holds compressed is unpacked for us, and wiped.
	my $secret = new_token();
	my $value  = substr($secret, 0, 12) . join '', map { ('a' .. 'z')[ rand 26 ] } 1 .. 44;
	my ($given, $any) = map { wire($node) } 1, 2;
	$given->rows('SELECT 1 FROM mirox.verify_token($1) LIMIT 1', $secret);
	$any->rows(q{SELECT 1 FROM pg_logical_emit_message(false, 'other', $1) LIMIT 1}, $value);
	cmp_ok(copies($given, $secret), '<=', copies($any, $value), 'a check leaves no copy of its own');
	$wire->rows('CREATE TABLE kept (field text)');
	$wire->rows("INSERT INTO kept VALUES ('Bearer ' || \$1 || repeat(' ', 5000))", $secret);
	is($wire->value('SELECT pg_column_size(field) < 500 FROM kept'), 't', 'a field that is kept compressed');
	my ($ours, $theirs) = map { wire($node) } 1, 2;
	is($ours->value("SELECT v.reason FROM kept, mirox.check_request(field, 'GET', '/') v"), 'ok', 'is checked');
	$theirs->rows('SELECT md5(field) FROM kept');
	is(copies($ours, $secret), 0, 'and leaves no copy');
	cmp_ok(copies($theirs, $secret), '>', 0, 'as a function of the server does');

	# PostgREST's way: the request's fields are a setting, which the server keeps; the reader's copies are gone.
	my @postgrest = map { wire($node) } 1, 2;
	for my $i (0, 1)
	{
		$postgrest[$i]->rows('BEGIN');
		$postgrest[$i]->rows("SELECT set_config('request.headers', \$1, true)", qq({"authorization": "Bearer $secret", "a": "b"}));
		$postgrest[$i]->rows($i == 0 ? 'SELECT mirox.postgrest_pre_request()' : 'SELECT 1');
		$postgrest[$i]->rows('SELECT repeat($1, 3000)', 'x');
	}
	cmp_ok(copies($postgrest[0], $secret), '<=', copies($postgrest[1], $secret), 'postgrest_pre_request leaves no copy of its own');
	$_->close for $given, $any, $ours, $theirs, @postgrest;
}

# What the page says: its rows, in the words above.
{
	my ($table) = slurp_file("$ENV{MIROX_TREE}/docs/security.md") =~ /^\| where \| bind parameter \|.*?\n\|[- |]+\|\n((?:\|.*\n)+)/m;
	my %page;
	for my $line (split /\n/, $table // '')
	{
		my ($where, @cells) = map { s/^\s+|\s+$//gr } split /\|/, $line =~ s/^\||\|$//gr;
		@{ $page{$where} }{qw(bind literal nested)} = @cells;
	}
	is_deeply(\%page, \%observed, 'docs/security.md says what was seen') or diag(join "\n", map { "| $_ | " . join(' | ', @{ $observed{$_} }{qw(bind literal nested)}) . ' |' } sort keys %observed);
}

done_testing();
