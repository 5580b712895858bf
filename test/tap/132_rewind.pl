# pg_rewind brings a server back behind one that was promoted: the ring is not copied with it. The rewound server has none of the
# other's events, and begins with a ring of its own.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $ring = '/pg_stat_tmp/mirox_tokens.ring';
my $old = new_node('old', streaming => 1, init => [ '--encoding=UTF8', '--no-locale', '--data-checksums' ],
	conf => "\nmirox_tokens.flush_interval = 600s\nwal_keep_size = 320MB\n");
my $wire = wire($old);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
my $secret = issue($wire, $session, 'token')->{secret};
$wire->close;

sub burst { my ($where, $count) = @_; $where->rows('SELECT count(v.status) FROM generate_series(1, $2::int) i, LATERAL mirox.verify_token($1, NULL, left(i::text, 0)) v', $secret, $count); return; }
sub uses { return shift->value('SELECT uses FROM mirox.token_report'); }

$old->backup('base');
my $new = PostgreSQL::Test::Cluster->new('new');
$new->init_from_backup($old, 'base', has_streaming => 1);
$new->start;
$old->wait_for_catchup($new, 'replay', $old->lsn('write'));
$new->promote;
$new->safe_psql('postgres', 'CHECKPOINT');

# The two part, each with events of its own that wait.
my $there = wire($new);
burst($there, 7);
is(uses($there), 7, 'seven wait on the promoted server');
$wire = wire($old);
burst($wire, 40);
$wire->close;
$old->safe_psql('postgres', 'CREATE TABLE parted (i int)');
$old->stop;

command_ok([ 'pg_rewind', '--target-pgdata', $old->data_dir, '--source-server', $new->connstr('postgres') . ' user=' . getpwuid($<) ],
	'pg_rewind runs');
ok(!-e $old->data_dir . $ring, 'and leaves the ring out');
my $port = $old->port;
$old->append_conf('postgresql.conf', "port = $port\nprimary_conninfo = '" . $new->connstr . "'\n");
$old->append_conf('postgresql.conf', "unix_socket_directories = '" . $old->host . "'\n");
open my $standby, '>', $old->data_dir . '/standby.signal' or die $!;
close $standby;
$old->start;
$new->wait_for_catchup($old, 'replay', $new->lsn('write'));
ok(-e $old->data_dir . $ring, 'the rewound server begins with a ring of its own');
$wire = wire($old);
is($wire->value('SELECT reason FROM mirox.verify_token($1)', $secret), 'ok', 'and checks tokens');
$wire->close;
call($there, 'flush');
is(uses($there), 7, 'what waited on the other is written there, once');
$there->close;
clean_log($new);
$old->stop;
$new->stop;
done_testing();
