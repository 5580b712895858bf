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
sub new_session { return open_session($wire, 'user 1'); }

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
new_token();    # so that there is an account

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

done_testing();
