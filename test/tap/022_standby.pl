# A hot standby checks tokens, obeys what it has replayed, and says clearly what it cannot do.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1, extra => [ '--encoding=UTF8', '--no-locale' ]);
$primary->append_conf('postgresql.conf', "shared_preload_libraries = 'mirox_tokens'\n");
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION mirox_tokens');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# Answers on the standby, once it has replayed what the primary has written.
sub ask
{
	my ($sql) = @_;
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	return $standby->psql('postgres', $sql);
}

$primary->safe_psql('postgres', q{SELECT mirox.put_account('anna', '{parks,reports}')});
my $session = $primary->safe_psql('postgres', q{SELECT mirox.open_session('anna')});
my ($id, $secret) = split /\|/, $primary->safe_psql('postgres',
	"SELECT token_id, secret FROM mirox.issue_token('$session', 'Report bot', 'reporting')");

is((ask("SELECT status, reason, permissions FROM mirox.verify_token('$secret')"))[1], '200|ok|{reports}',
	'a token issued on the primary is good on the standby');
is((ask("SELECT status, required_scope FROM mirox.check_request('Bearer $session', 'GET', '/x')"))[1], '403|*',
	'so is a session');
is((ask("BEGIN; SELECT mirox.authenticate('Bearer $secret'); SELECT mirox.current_user_id(); COMMIT"))[1], "\nanna",
	'a transaction on the standby has an identity');
is((ask("SELECT count(*) FROM mirox.list_tokens('$session')"))[1], '1', 'the list can be read there');

$primary->safe_psql('postgres', q{SELECT mirox.put_account('anna', '{parks}')});
is((ask("SELECT permissions FROM mirox.verify_token('$secret')"))[1], '{}', 'a permission taken is taken there');
$primary->safe_psql('postgres', q{SELECT mirox.put_group('maps', '{parks:read}')});
my $grouped = $primary->safe_psql('postgres', "SELECT secret FROM mirox.issue_token('$session', 'Maps', 'maps')");
is((ask("SELECT permissions FROM mirox.verify_token('$grouped')"))[1], '{parks:read}', 'a new group is known there');
$primary->safe_psql('postgres', q{SELECT mirox.put_group('maps', '{parks.berlin:read}')});
is((ask("SELECT permissions FROM mirox.verify_token('$grouped')"))[1], '{parks.berlin:read}', 'and a changed one obeyed');
$primary->safe_psql('postgres', "SELECT mirox.revoke_token('$session', $id)");
is((ask("SELECT status, reason FROM mirox.verify_token('$secret')"))[1], '401|revoked', 'a revoked token is refused there');

foreach my $act ("SELECT mirox.revoke_token('$session', $id)", "SELECT mirox.revoke_self('$grouped')",
	q{SELECT mirox.put_account('anna', '{reports}')}, q{SELECT mirox.open_session('anna')})
{
	my ($status, $out, $err) = ask($act);
	my ($name) = $act =~ /mirox\.(\w+)/;
	like($err, qr/read-only transaction\nHINT:  Call it on the primary/, "$name says where to go");
	unlike($err, qr/\Q$session\E|\Q$grouped\E/, "$name repeats no secret");
}

$standby->promote;
is($standby->safe_psql('postgres', "SELECT status, reason FROM mirox.verify_token('$grouped')"), '200|ok', 'promoted, it goes on');
ok($standby->safe_psql('postgres', "SELECT mirox.revoke_self('$grouped') IS NOT NULL"), 'and manages');
done_testing();
