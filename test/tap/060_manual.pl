# The manual runs: every example of README.md and docs/*.md, as it stands there.
#
# A block fenced as
#   ini            is added to postgresql.conf before the server starts;
#   sql            is run in the page's own database, as the role that follows (`sql gateway`), else as a superuser;
#   sh             is run by bash, with PGHOST, PGPORT, PGUSER and PGDATABASE (the page's) set;
# and every other fence is text. A statement whose last line ends in a comment `-- => …` must answer that: its rows
# joined by `; `, their columns by `, `. One that ends in `-- ERROR 42501` must fail so. All others must succeed.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $tree = $ENV{MIROX_TREE};

# Pages with the blocks of each: [language, role, first line, text].
my %pages;
foreach my $file ("$tree/README.md", sort glob "$tree/docs/*.md")
{
	my ($name) = $file =~ m{(\w+)\.md$};
	my ($block, $number) = (undef, 0);
	$pages{ lc $name } = [];
	foreach my $line (split /\n/, slurp_file($file))
	{
		$number++;
		if ($line !~ /^```(\w*) *(\w*)/) { $block->[3] .= "$line\n" if $block; next; }
		if ($block) { push @{ $pages{ lc $name } }, $block; $block = undef; next; }
		$block = [ $1, $2, $number + 1, '' ];
	}
	ok(!$block, "$name.md: every fence is closed");
}

# Links within the manual lead somewhere: a file, and in it a heading.
{
	my (%anchors, @links, @broken);
	foreach my $file ("$tree/README.md", glob "$tree/docs/*.md")
	{
		(my $folder = $file) =~ s{/[^/]*$}{};
		my $text = slurp_file($file);
		$text =~ s/^```.*?^```$//msg;
		foreach my $heading ($text =~ /^#+ (.*)$/mg)
		{
			(my $anchor = lc $heading) =~ s/[^\w -]//g;
			$anchor =~ tr/ /-/;
			$anchors{"$file#$anchor"} = 1;
		}
		push @links, map { [ $file, $folder, $_ ] } $text =~ /\]\(([^)\s]+)\)/g;
	}
	foreach my $link (grep { $_->[2] !~ /^https?:/ } @links)
	{
		my ($file, $folder, $to) = @$link;
		my ($path, $anchor) = $to =~ /^([^#]*)(?:#(.*))?$/;
		my $target = $path eq '' ? $file : "$folder/$path";
		push @broken, "$file: $to" if !-e $target || (defined $anchor && !$anchors{"$target#$anchor"});
	}
	is(join("\n", @broken), '', scalar(@links) . ' links lead somewhere');
}

# Statements of a block, with the line that each ends on and what is expected of it.
sub statements
{
	my ($first, $text) = @_;
	my (@found, $statement);
	my $number = $first - 1;
	foreach my $line (split /\n/, $text)
	{
		$number++;
		next if !defined $statement && $line =~ /^\s*(--.*)?$/;
		$statement = (defined $statement ? "$statement\n" : '') . $line;
		my $quotes = () = $statement =~ /\$\$/g;
		next if $quotes % 2 || $line !~ /(?:;|\\gset(?: \w+)?|^\\\w.*?)\s*(?:--\s*(.*))?$/;
		my $comment = $1 // '';
		my $wanted = $comment =~ /^=> (.*)/ ? $1 : $comment =~ /^ERROR (\w{5})/ ? "ERROR $1" : undef;
		push @found, [ $number, $statement, $wanted ];
		undef $statement;
	}
	fail("line $number: a statement without an end") if defined $statement;
	return @found;
}

my $node = PostgreSQL::Test::Cluster->new('manual');
$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf', "log_statement = none\n");
$node->append_conf('postgresql.conf', $_->[3]) foreach grep { $_->[0] eq 'ini' } map { @{ $pages{$_} } } sort keys %pages;
$node->start;

# dba.md makes the roles and installs the extension by itself; the other pages start where it ends.
sub prepare
{
	my ($page) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE manual_$page");
	return if $page =~ /^(dba|readme)$/;
	$node->safe_psql("manual_$page", 'CREATE EXTENSION mirox_tokens');
	my %levels = (login_service => 'login', profile_page => 'application', gateway => 'gateway',
		reports => 'reporting', token_admin => 'admin');
	$node->safe_psql("manual_$page", "SELECT mirox.grant_access('$_', '$levels{$_}')") foreach sort keys %levels;
}

foreach my $page ('dba', grep { $_ ne 'dba' } sort keys %pages)
{
	my @blocks = grep { $_->[0] =~ /^(sql|sh)$/ } @{ $pages{$page} };
	next unless @blocks;
	prepare($page);
	my (%wanted, @order);
	my $script = "\\pset null NULL\n";
	my $temp = $node->basedir;
	foreach my $block (@blocks)
	{
		my ($language, $role, $first, $text) = @$block;
		if ($language eq 'sh')
		{
			# psql runs it in its place among the statements, and says how it ended.
			my $file = "$temp/$page-$first.sh";
			append_to_file($file, "set -euo pipefail\ncd '$temp'\n" . $text);
			$script .= "\\set SQLSTATE 99999\n\\! bash '$file' >'$file.out' 2>&1 && echo done\n\\echo \@\@$first 00000\n";
			$wanted{$first} = 'done';
			push @order, $first;
			next;
		}
		$script .= $role ? "SET SESSION AUTHORIZATION $role;\n" : "RESET SESSION AUTHORIZATION;\n";
		foreach my $statement (statements($first, $text))
		{
			my ($line, $sql, $expected) = @$statement;
			$script .= "$sql\n\\echo \@\@$line :SQLSTATE\n";
			$wanted{$line} = $expected;
			push @order, $line;
		}
	}
	my $file = "$temp/$page.sql";
	append_to_file($file, $script);
	local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => "manual_$page",
		PGUSER => $node->safe_psql('postgres', 'SELECT current_user'));
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-XqAtF', ', ', '-f', $file ], '<', \undef, '>', \$out, '2>', \$err);

	my ($answer, %got) = ('');
	foreach my $line (split /\n/, $out)
	{
		if ($line !~ /^\@\@(\d+) (\w+)$/) { $answer .= ($answer eq '' ? '' : '; ') . $line; next; }
		$got{$1} = $2 eq '00000' ? $answer : "ERROR $2";
		$answer = '';
	}
	my @wrong;
	foreach my $line (@order)
	{
		my $got = $got{$line} // 'no answer';
		next if defined $wanted{$line} ? $got eq $wanted{$line} : $got !~ /^(ERROR|no answer)/;
		push @wrong, "$page.md:$line: " . ($wanted{$line} // 'success') . " expected, got $got";
	}
	is(join("\n", @wrong), '', "$page.md: its " . scalar(@order) . ' examples answer what the page says') or diag($err);
	foreach my $log (grep { -s } glob "$temp/$page-*.out") { note("$log: " . slurp_file($log)) if @wrong; }
}

# The reference agrees with the catalog: what schema mirox holds; each function's arguments, how many have a default, and who may call
# it; each setting's default and, for a number, its range.
{
	my $reference = slurp_file("$tree/docs/reference.md");
	my $node_sql = sub { split /\n/, $node->safe_psql('manual_reference', $_[0]) };
	prepare('reference');
	my (%row, @wrong);
	# By name and arguments, since two functions may have one name. Commas inside a default are in quotes or braces; there are none today.
	while ($reference =~ /^\| `(\w+)\((.*?)\)` \| ([^|]*) \|/mg)
	{
		my ($name, $level, @given) = ($1, $3, split /, /, $2);
		$row{ "$name(" . join(' ', map { /^(\w+)/ } @given) . ')' } = [ scalar(grep { / = / } @given), $level ];
	}
	foreach my $line ($node_sql->(q{
		SELECT p.proname || '|' || coalesce(array_to_string(p.proargnames[1:p.pronargs], ' '), '') || '|' || p.pronargdefaults
			|| '|' || CASE WHEN has_function_privilege('public', p.oid, 'EXECUTE') THEN 'everybody' ELSE coalesce((
				SELECT string_agg(level, ', ' ORDER BY level) FROM mirox_internal.access_rule
				WHERE kind = 'function' AND to_regprocedure(object) = p.oid), '') END
		FROM pg_proc p WHERE p.pronamespace = 'mirox'::regnamespace
			AND NOT EXISTS (SELECT FROM pg_cast WHERE castfunc = p.oid)
			AND NOT EXISTS (SELECT FROM pg_operator WHERE oprcode = p.oid)
			AND NOT EXISTS (SELECT FROM pg_amproc WHERE amproc = p.oid)
			AND NOT EXISTS (SELECT FROM pg_type WHERE p.oid IN (typinput, typoutput, typreceive, typsend)) ORDER BY 1}))
	{
		my ($name, $arguments, $defaults, $levels) = split /\|/, $line;
		my $found = delete $row{"$name($arguments)"};
		if (!$found) { push @wrong, "$name($arguments) has no row"; next; }
		push @wrong, "$name: $found->[0] defaults instead of $defaults" if $found->[0] != $defaults;
		(my $said = $found->[1]) =~ s/, and owner of the table|nobody but the owner//;
		push @wrong, "$name: level '$said' instead of '$levels'" if $said ne $levels;
	}
	push @wrong, "$_ is no function" foreach sort keys %row;
	is(join("\n", @wrong), '', 'reference.md: functions as in the catalog');

	# All that `\d mirox.*` shows, in both pages.
	my $views = join ' ', $node_sql->(q{SELECT relname FROM pg_class WHERE relnamespace = 'mirox'::regnamespace AND relkind NOT IN ('c', 'i')
		ORDER BY relname COLLATE "C"});
	my ($section) = $reference =~ /^## Views\n(.*?)^## /ms;
	is(join(' ', sort map { /`(\w+)`/g } $section =~ /^\| (`[^|]*) \|/mg), $views, 'reference.md: views as in the catalog');
	is(join(' ', sort map { /`(\w+)`/g } slurp_file("$tree/docs/reporting.md") =~ /^\| [^|`]*\? \| ([^|]*) \|/mg), $views,
		'reporting.md: views as in the catalog');

	@wrong = ();
	foreach my $line ($node_sql->(q{SELECT name || '|' || CASE boot_val WHEN '' THEN '''''' ELSE boot_val END || coalesce(unit, '') || '|' || CASE WHEN vartype = 'integer'
		THEN min_val || coalesce(' ' || unit, '') || ' to ' || max_val || coalesce(' ' || unit, '') ELSE '' END
		FROM pg_settings WHERE name LIKE 'mirox_tokens.%' ORDER BY 1}))
	{
		my ($name, $default, $range) = split /\|/, $line;
		my ($said, $bounds) = $reference =~ /^\| `\Q$name\E` \| `?(.*?)`? \| (.*?) \|/m;
		if (!defined $said) { push @wrong, "$name has no row"; next; }
		push @wrong, "$name: default $said instead of $default" if $said ne $default;
		push @wrong, "$name: range $bounds instead of $range" if $range ne '' && $bounds ne $range;
	}
	is(join("\n", @wrong), '', 'reference.md: settings as the server has them');
}

# No example wrote a whole secret into the log, though psql put many into the text of statements.
unlike(slurp_file($node->logfile), qr/miroxs?_[0-9A-Za-z]{49}/, 'no secret is in the server log');
done_testing();
