# docs/drivers.md: each sample runs, as it stands on the page, against the real driver, and prints what the page says. A driver that is
# not on this machine is skipped, and named. What the page says of drivers that send parameters apart, or paste them, shows in the
# server's log.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue);
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$ENV{MIROX_TREE}/docs/drivers.md");
my (%sample, %prints);
while ($page =~ /^```(\w+) ([\w-]+)\n(.*?)^```$/msg)
{
	if ($1 eq 'text') { $prints{$2} = $3; } else { $sample{$2} = { language => $1, program => $3 }; }
}
is_deeply([ sort keys %sample ], [ sort qw(psycopg asyncpg sqlalchemy node-postgres JDBC libpq) ], 'the page has a sample for each driver');
is_deeply([ sort keys %prints ], [ sort keys %sample ], 'and says what each prints');

my $node = new_node('drivers', conf => "listen_addresses = 'localhost'\nlog_statement = all\nlog_parameter_max_length = 0\n");
$node->safe_psql('postgres', "CREATE ROLE api LOGIN; SELECT mirox.grant_access('api', 'gateway'); SELECT mirox.grant_access('api', 'application')");
my $wire = wire($node);
put_account($wire, 'anna', [ 'parks', 'reports:read' ]);
call($wire, 'put_endpoint', 'GET', '/parks/*', 'parks:read');
my $session = open_session($wire, 'anna');
my $secret = issue($wire, $session, 'sample')->{secret};
my @arguments = ("Bearer $secret", 'GET', '/parks/7?unit=kWh', '203.0.113.9', 'sample/1.0', $session);

my $folder = $node->basedir;
sub kept { my ($name, $text) = @_; append_to_file("$folder/$name", $text); return "$folder/$name"; }
sub works { my (@command) = @_; my $both = ''; return run_quietly(\$both, @command); }
sub run_quietly { my ($both, @command) = @_; return IPC::Run::run([@command], '<', \undef, '>&', $both); }

# For a driver: the command that runs the program, or nothing where the driver is missing.
my $python = '/usr/bin/python3';
my $jar = '/usr/share/java/postgresql.jar';
chomp(my $global = `npm root -g 2>/dev/null` // '');
$ENV{NODE_PATH} = join ':', '/usr/share/nodejs', '/usr/lib/nodejs', grep { $_ ne '' } $global;
my %command = (
	python => sub {
		my ($name, $program) = @_;
		return unless works($python, '-c', 'import ' . ($name eq 'sqlalchemy' ? 'sqlalchemy, asyncpg, greenlet' : $name));
		return ($python, kept("sample_$name.py", $program));
	},
	js => sub {
		my ($name, $program) = @_;
		return unless works('node', '-e', 'require("pg")');
		return ('node', kept("$name.js", $program));
	},
	java => sub {
		my ($name, $program) = @_;
		return unless -e $jar && works('javac', '-version');
		return ('java', '--class-path', $jar, kept('Sample.java', $program));
	},
	cpp => sub {
		my ($name, $program) = @_;
		chomp(my $installed = `pg_config --includedir`);
		my ($headers) = grep { -e "$_/libpq-fe.h" } $installed, '/usr/include/postgresql';
		return unless defined $headers;
		my $source = kept("$name.cpp", $program);
		my $both = '';
		run_quietly(\$both, 'g++', '-Wall', '-I', $headers, '-o', "$folder/$name", $source, '-lpq') or fail("$name: $both");
		return "$folder/$name";
	});

@ENV{qw(PGHOST PGPORT PGDATABASE PGUSER)} = ($node->host, $node->port, 'postgres', 'api');
foreach my $name (sort keys %sample)
{
  SKIP:
	{
		my @run = $command{ $sample{$name}{language} }->($name, $sample{$name}{program});
		if (!@run)
		{
			diag("$name is NOT TESTED: it is not on this machine; scripts/setup.sh installs it where the registries have it");
			skip("$name is not on this machine", 2);
		}
		my $at = -s $node->logfile;
		my $both = '';
		run_quietly(\$both, @run, @arguments);
		$both =~ s/\s*\z/\n/;
		is($both, $prints{$name}, "$name prints what the page says");
		my $log = slurp_file($node->logfile, $at);
		ok($log =~ /mirox\.check_request/ && index($log, $secret) < 0 && index($log, $session) < 0, "$name sends parameters apart from the SQL");
	}
}

SKIP:
{
	skip('psycopg is not on this machine', 1) unless works($python, '-c', 'import psycopg');
	my $at = -s $node->logfile;
	my $both = '';
	run_quietly(\$both, $python, '-c', 'import sys, psycopg; psycopg.connect(cursor_factory=psycopg.ClientCursor).execute("SELECT mirox.verify_token(%s)", sys.argv[1:])', $secret);
	ok(index(slurp_file($node->logfile, $at), $secret) > 0, 'a client cursor of psycopg pastes them');
}

# What a set of permissions is without a cast: its text.
foreach my $name ('psycopg', 'asyncpg')
{
  SKIP:
	{
		skip("$name is not on this machine", 1) unless works($python, '-c', "import $name");
		my $both = '';
		run_quietly(\$both, $python, '-c', $name eq 'psycopg' ? <<'PY' : <<'PY2', $secret);
import sys, psycopg
print(repr(psycopg.connect().execute("SELECT permissions FROM mirox.verify_token(%s)", sys.argv[1:]).fetchone()[0]))
PY
import asyncio, sys, asyncpg
async def main():
    print(repr(await (await asyncpg.connect()).fetchval("SELECT permissions FROM mirox.verify_token($1)", sys.argv[1])))
asyncio.run(main())
PY2
		is($both, "'{parks,reports:read}'\n", "$name gives a set without a cast as its text");
	}
}

# Bytes that are not UTF-8.
SKIP:
{
	skip('psycopg is not on this machine', 1) unless works($python, '-c', 'import psycopg');
	my $both = '';
	run_quietly(\$both, $python, '-c', <<'PY', $secret);
import sys, psycopg
db = psycopg.connect(autocommit=True)
field = b"caf\xe9 \x00/1.0".decode("latin-1")
clean = field.encode("latin-1").decode("utf-8", "replace").replace("\0", "")
print(db.execute("SELECT status FROM mirox.verify_token(%s, user_agent => %s)", [sys.argv[1], clean]).fetchone()[0])
PY
	is($both, "200\n", 'a user agent that was cleaned as the page says is taken');
}

$wire->close if $wire->can('close');
$node->stop;
done_testing();
