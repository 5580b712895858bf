# CONTRIBUTING.md tells which places to touch to add a thing of a kind. Each such list is true: done in a copy of the tree, by
# edits of the listed files and no others (test/contributing/KIND.edit, whose first line is the heading of the list), the thing builds, keeps the
# static rules and works. And each file that the page names is there.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue reason clean_log shift_open);
use Mirox::Tree qw(copy_tree copy_stage installation build edits apply_edits);
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$ENV{MIROX_TREE}/CONTRIBUTING.md");
my %section = map { /\A([^\n]*)\n(.*)\z/s } split /^#+ /m, $page;

# What shows that each works, given a connection to a server that has them all, another as a role without rights, and the server.
my %shows = (
	setting => sub {
		my ($wire) = @_;
		is($wire->value('SHOW mirox_tokens.example'), 7, 'it has its default');
		is($wire->state('SET mirox_tokens.example = 9') . $wire->state('SET mirox_tokens.example = 10'), 'ok22023', 'and its bounds');
	},
	list_column => sub {
		my ($wire) = @_;
		put_account($wire, 'anna', ['*']);
		my $session = open_session($wire, 'anna');
		issue($wire, $session, 'Report bot');
		is($wire->value('SELECT example FROM mirox.list_tokens($1)', $session), 'REPORT BOT', 'it is listed');
	},
	view_column => sub {
		my ($wire) = @_;
		put_account($wire, 'bert', ['*']);
		is($wire->value(q{SELECT example FROM mirox.account_report WHERE user_id = 'bert'}), 'BERT', 'it is read');
	},
	level => sub {
		my ($wire, $other) = @_;
		is($other->state('SELECT * FROM mirox.audit_trail'), '42501', 'without it: nothing');
		call($wire, 'grant_access', 'other', 'example');
		is($other->state('SELECT * FROM mirox.audit_trail') . $other->state('SELECT * FROM mirox.token_report'), 'ok42501', 'what it names, and no more');
		call($wire, 'revoke_access', 'other', 'example');
		is($other->state('SELECT * FROM mirox.audit_trail'), '42501', 'taken back');
	},
	reason => sub {
		my ($wire) = @_;
		put_account($wire, 'carl', ['*']);
		my $token = issue($wire, open_session($wire, 'carl'), 'Refused');
		is(reason($wire, $token->{secret}), 'ok', 'it is not given without need');
		call($wire, 'put_account', 'carl', ['*'], 0);
		is(reason($wire, $token->{secret}), 'example', 'it is given');
		is($wire->value('SELECT example FROM mirox.stat'), 1, 'and counted');
		call($wire, 'flush');
		is($wire->value(q{SELECT status || ' ' || reason FROM mirox.refusals WHERE user_id = 'carl'}), '401 example', 'and reported');
	},
	dimension => sub {
		my ($wire, undef, $node) = @_;
		put_account($wire, 'dora', ['*']);
		my $session = open_session($wire, 'dora');
		my $token = issue($wire, $session, 'Requests');
		# No endpoint is known and the method is the same, so nothing else tells these requests apart.
		my $request = sub { call($wire, 'check_request', "Bearer $token->{secret}", 'GET', shift) };
		$request->($_) for qw(/parks /parks /roads);
		reason($wire, $token->{secret});
		my $shown = sub {
			my ($from, @arguments) = @_;
			return join ' ', map { $_ // '-' } map { @$_ } $wire->rows("SELECT section, sum(requests) FROM $from GROUP BY section ORDER BY section", @arguments);
		};
		my @history = ('mirox.token_history($1, $2)', $session, $token->{token_id});
		is($shown->(@history), '/p 2 /r 1 - 1', 'it is read from shared memory');
		call($wire, 'flush');
		is($shown->(@history), '/p 2 /r 1 - 1', 'and from open minutes');
		call($wire, 'revoke_token', $session, $token->{token_id});
		$request->('/trees');
		call($wire, 'flush');
		my $views = sub {
			my ($when) = @_;
			is($shown->("mirox.$_ WHERE token_id = \$1", $token->{token_id}), '/p 2 /r 1 /t 1 - 1', "$_ has it $when") for qw(usage_minutely usage_hourly usage_daily);
			is($shown->('mirox.refusals WHERE token_id = $1', $token->{token_id}), '/t 1', "and refusals $when");
			is($shown->(q{mirox.audit_trail WHERE token_id = $1 AND requests > 0 AND section IS NOT DISTINCT FROM detail ->> 'section'}, $token->{token_id}),
				'/p 2 /r 1 /t 1 - 1', "and the audit trail $when");
		};
		$views->('in open minutes');
		shift_open($wire, '3 days');
		# A worker that starts closes what is over, and adds it up.
		$wire->value("SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker'");
		call($wire, 'flush');
		ok($node->poll_query_until('postgres', "SELECT sum(requests) = 4 FROM mirox_internal.usage_day WHERE token_id = $token->{token_id}"), 'the day is added up');
		$views->('in closed minutes, hours and days');
	},
	column => sub {
		my ($wire) = @_;
		put_account($wire, 'emil', ['*']);
		my $token = issue($wire, open_session($wire, 'emil'), 'Issued');
		is($wire->value('SELECT example FROM mirox_internal.token WHERE token_id = $1', $token->{token_id}), 'issued', 'it is filled');
		is($wire->value(q{SELECT detail ->> 'example' FROM mirox.audit_trail WHERE event = 'token_issued' AND token_id = $1}, $token->{token_id}), 'issued', 'and logged');
		$wire->rows('ALTER TABLE mirox_internal.token RENAME example TO other');
		is($wire->state('SELECT * FROM mirox.open_session($1)', 'emil'), '55000', 'a column of another name is noticed');
		$wire->rows('ALTER TABLE mirox_internal.token RENAME other TO example');
		is($wire->state('SELECT * FROM mirox.open_session($1)', 'emil'), 'ok', 'until it is put back');
	});

my $tree = copy_tree();
my (%edits, %heading);
for my $file (glob "$ENV{MIROX_TREE}/test/contributing/*.edit")
{
	my ($kind) = $file =~ m{(\w+)\.edit$};
	my $text = slurp_file($file);
	($heading{$kind}) = $text =~ /\A(.*)/;
	$edits{$kind} = [ edits($text) ];
	my %touched = map { $_->[0] => 1 } @{ $edits{$kind} };
	my %listed = map { $_ => 1 } ($section{ $heading{$kind} } // '') =~ /^- `(\S+)`/mg;
	is_deeply([ sort keys %listed ], [ sort keys %touched ], "$heading{$kind}: the page lists the files that are touched");
	apply_edits($tree, @{ $edits{$kind} });
}
is_deeply([ sort keys %edits ], [ sort keys %shows ], 'each has its test');
# (There is no script between versions yet.)
my @gone = grep { $_ ne 'src/upgrade' && !-e "$ENV{MIROX_TREE}/$_" } map { s{/$}{}r } grep { !/[*<>]|[A-Z]{4}/ } $page =~ m{`((?:src|test|docs|scripts|sql|expected)/[^`\s]*)`}g;
is(join(' ', @gone), '', 'what the page names is there');

my $stage = copy_stage();
build($tree, $stage);
{
	local $ENV{TESTS} = 'acts comments exports listed manual reasons rooms schema secrets version';
	my ($out) = run_command([ '/usr/bin/python3', "$tree/test/static/run.py" ]);
	is(join("\n", $out =~ /^(not ok .*(?:\n    .*)*)/mg), '', 'the static rules are kept');
	like($out, qr/^ok manual:/m, 'they were looked at');
}
my $node = new_node('contributing', install_path => installation($stage));
my $wire = wire($node);
$wire->rows('CREATE ROLE other LOGIN');
my $other = wire($node, user => 'other');
for my $kind (sort keys %edits)
{
	note $heading{$kind};
	$shows{$kind}->($wire, $other, $node);
}
$_->close for $wire, $other;
clean_log($node);
$node->stop;
done_testing();
