# CONTRIBUTING.md tells which places to touch to add a thing of a kind. Each such list is true: done in a copy of the tree, by
# edits of the listed files and no others (test/contributing/KIND.edit, whose first line is the heading of the list), the thing builds, keeps the
# static rules and works. And each file that the page names is there.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log);
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
	local $ENV{TESTS} = 'acts comments exports listed manual rooms schema secrets version';
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
