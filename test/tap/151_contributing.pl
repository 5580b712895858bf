# CONTRIBUTING.md tells which places to touch to add a thing of a kind. Each such list is true: done in a copy of the tree, by
# edits of the listed files and no others (test/contributing/KIND.edit, whose first line is the heading of the list), the thing builds, keeps the
# static rules and works. And each file that the page names is there.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue reason clean_log);
use Mirox::Tree qw(copy_tree copy_stage installation build edits apply_edits);
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$ENV{MIROX_TREE}/CONTRIBUTING.md");
my %section = map { /\A([^\n]*)\n(.*)\z/s } split /^#+ /m, $page;

# What shows that each works, given a connection to a server that has them all and another as a role without rights.
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
		my ($wire) = @_;
		put_account($wire, 'dora', ['*']);
		my $session = open_session($wire, 'dora');
		my $token = issue($wire, $session, 'Requests');
		call($wire, 'check_request', "Bearer $token->{secret}", $_, '/parks') for qw(GET GET PUT);
		reason($wire, $token->{secret});
		my $history = sub {
			join ' ', map { $_ // '-' } map { @$_ } $wire->rows('SELECT method, requests FROM mirox.token_history($1, $2) ORDER BY method', $session, $token->{token_id});
		};
		is($history->(), 'GET 2 PUT 1 - 1', 'it is read from shared memory');
		call($wire, 'flush');
		is($history->(), 'GET 2 PUT 1 - 1', 'and from the tables');
		for my $view (qw(usage_hourly usage_daily))
		{
			is(join(' ', map { $_ // '-' } map { @$_ } $wire->rows("SELECT method, requests FROM mirox.$view WHERE token_id = \$1 ORDER BY method", $token->{token_id})), 'GET 2 PUT 1 - 1', "and by $view");
		}
		is($wire->value(q{SELECT count(DISTINCT detail ->> 'method') FROM mirox.audit_trail WHERE token_id = $1}, $token->{token_id}), 2, 'and by the audit trail');
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
	$shows{$kind}->($wire, $other);
}
$_->close for $wire, $other;
clean_log($node);
$node->stop;
done_testing();
