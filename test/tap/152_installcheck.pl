# What anybody does with an extension: `make install` and `make installcheck`, given PG_CONFIG, into a server that has nothing of ours, and
# `make uninstall`. The server stands in a folder of its own; installcheck starts it as the ordinary user that this test runs as. One
# test of each kind is enough to show it.
use strict;
use warnings;
use Mirox::Tree qw(copy_tree copy_stage installation);
use PostgreSQL::Test::Utils;
use Test::More;

my $tree = copy_tree();
my $stage = copy_stage();
sub ours { my @found = split /\n/, (run_command([ 'find', $stage, '-name', 'mirox_tokens*' ]))[0]; return scalar @found; }
system('find', $stage, '-depth', '-name', 'mirox_tokens*', '-exec', 'rm', '-r', '{}', ';') == 0 or die;
is(ours(), 0, 'a server without the extension');

my @make = ('make', '-s', '-C', $tree, 'with_llvm=no', 'PG_CONFIG=' . installation($stage) . '/bin/pg_config');
# pg_regress finds its server by itself.
delete @ENV{qw(PGHOST PGPORT PG_REGRESS PG_CONFIG PERL5LIB)};
sub make { my ($name, @what) = @_; my ($out, $err) = ('', ''); ok(IPC::Run::run([ @make, @what ], '<', \undef, '>', \$out, '2>', \$err), $name) or diag($out, $err); return $out; }
make('make install', 'install');
cmp_ok(ours(), '>=', 4, 'libraries, script and control file are there');
my $out = make('make installcheck', 'installcheck', 'REGRESS=install verify', 'ISOLATION=rotate_vs_rotate');
like($out, qr/All 2 tests passed.*All 1 tests passed/s, 'it runs tests of both suites');
my $all = (run_command([ @make, '-n', 'installcheck' ]))[0];
like($all, qr/ install .*verify.* rotate_vs_rotate/s, 'all of them, unless told otherwise');
make('make uninstall', 'uninstall');
is(ours(), 0, 'nothing is left');
done_testing();
