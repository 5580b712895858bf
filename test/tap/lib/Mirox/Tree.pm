# Copies of the tree that a test changes and builds, and of the server's stage that it installs them into: a next version that
# nobody has written yet, the things that CONTRIBUTING.md says how to add. The objects come along, so that only what an edit touches
# is compiled again.
package Mirox::Tree;
use strict;
use warnings;
use Carp qw(croak);
use Exporter qw(import);
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(copy_tree copy_stage installation build edits apply_edits update_script version_of);

# Run with its output kept; dies with it when the command fails.
sub _run
{
	my @command = @_;
	my ($out, $status) = ('', 0);
	IPC::Run::run(\@command, '<', \undef, '>&', \$out) or croak "@command\n" . substr($out, -6000);
	return $out;
}

# copy_tree(), copy_stage(): where the copy is. It goes with the test.
sub copy_tree { my $to = PostgreSQL::Test::Utils::tempdir() . '/tree'; _run('cp', '-a', $ENV{MIROX_TREE}, $to); return $to; }
sub copy_stage { my $to = PostgreSQL::Test::Utils::tempdir() . '/stage'; _run('cp', '-a', $ENV{MIROX_STAGE}, $to); return $to; }

# installation($stage): as the install_path of a PostgreSQL::Test::Cluster; its bin/pg_config answers for the stage.
sub installation { my $stage = shift; (my $bin = "$stage$ENV{MIROX_BIN}") =~ s{/bin$}{}; return $bin; }

# build($tree, @stages): compiles what has changed, in the quickest way, and installs it into each.
sub build
{
	my ($tree, @stages) = @_;
	my @make = ('make', '-s', '-j2', '-C', $tree, 'with_llvm=no', 'CXXFLAGS=-O0 -g0 -fwrapv -Wno-cpp');
	_run(@make, 'all');
	_run(@make, 'install', "DESTDIR=$_") for @stages;
	return;
}

sub version_of { my $tree = shift; my ($version) = slurp_file("$tree/mirox_tokens.control") =~ /^default_version *= *'(.*?)'/m; return $version; }

# Edits are a text of pieces like
#
#     @@ src/pg/settings.hpp after
#     int rate_burst;
#     ==
#         int example;
#
# What stands before == is found once in the file, and names a place; what comes after it is put on lines of its own `after` or
# `before` the lines of that place, or `instead` of the very text. A file that is not there is made by a piece with nothing to find.
# edits($text): the pieces, [file, how, what is found, what is put].
sub edits
{
	my $text = shift;
	my @edits;
	my @pieces = split /^@@ /m, $text;
	shift @pieces;
	for my $piece (@pieces)
	{
		my ($file, $how, $find, $put) = $piece =~ /\A(\S+) (after|before|instead)\n(.*?)^==\n(.*)\z/ms or croak "no edit: $piece";
		s/\n+\z// for $find, $put;
		push @edits, [ $file, $how, $find, $put ];
	}
	croak 'no edits' unless @edits;
	return @edits;
}

sub apply_edits
{
	my ($tree, @edits) = @_;
	for my $edit (@edits)
	{
		my ($file, $how, $find, $put) = @$edit;
		my $text = '';
		if ($find ne '')
		{
			$text = slurp_file("$tree/$file");
			my $found = () = $text =~ /\Q$find\E/g;
			croak "$file: found $found times: $find" if $found != 1;
			if ($how eq 'instead') { $text =~ s/\Q$find\E/$put/; }
			elsif ($how eq 'after') { $text =~ s/(\Q$find\E[^\n]*\n)/$1$put\n/; }
			else { $text =~ s/^([^\n]*\Q$find\E)/$put\n$1/m; }
		}
		else { $text = "$put\n"; }
		open my $out, '>', "$tree/$file" or croak "$file: $!";
		print $out $text;
		close $out;
	}
	return;
}

# update_script(@statements): a script between two versions, as CONTRIBUTING.md wants it. It lets go tables that somebody made OF a type of
# ours, which could not have an attribute more, and takes what default privileges gave on what is new.
sub update_script
{
	return join "\n", 'SET LOCAL search_path = pg_catalog, pg_temp;', <<'SQL', @_, 'SELECT mirox_internal.revoke_default_privileges();', '';
DO $$
DECLARE typed regclass;
BEGIN
    FOR typed IN SELECT c.oid FROM pg_class c JOIN pg_type t ON t.oid = c.reloftype WHERE t.typnamespace OPERATOR(pg_catalog.=) 'mirox'::regnamespace LOOP
        EXECUTE pg_catalog.format('ALTER TABLE %s NOT OF', typed);
    END LOOP;
END
$$;
SQL
}

1;
