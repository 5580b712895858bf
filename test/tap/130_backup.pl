# The ring is this server's own: a base backup leaves it out, and a server made of one begins with a ring of its own; what the
# backup's tables hold is neither skipped nor doubled there. A clean restart, an immediate one, and one with another ring_size
# lose nothing.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log);
use PostgreSQL::Test::Cluster;
use Test::More;

my $node = new_node('first', streaming => 1, conf => "\nmirox_tokens.flush_interval = 600s\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $secret = issue($wire, open_session($wire, 'anna'), 'token')->{secret};

sub burst { my ($where, $count) = @_; $where->rows('SELECT count(v.status) FROM generate_series(1, $2::int) i, LATERAL mirox.verify_token($1, NULL, left(i::text, 0)) v', $secret, $count); return; }
sub uses { return shift->value('SELECT uses FROM mirox.token_report'); }
sub written { return shift->value('SELECT coalesce(sum(requests), 0) FROM mirox.usage_daily'); }

burst($wire, 100);
call($wire, 'flush');
burst($wire, 50);
is(uses($wire), 150, '100 written, 50 waiting');
is(written($wire), 100, 'as said');
ok(-e $node->data_dir . '/pg_stat_tmp/mirox_tokens.ring', 'the ring is a file');
my $size = -s $node->data_dir . '/pg_stat_tmp/mirox_tokens.ring';
is((stat($node->data_dir . '/pg_stat_tmp/mirox_tokens.ring'))[12] * 512 >= $size, 1, 'allocated in full');

$node->backup('copy');
ok(!-e $node->backup_dir . '/copy/pg_stat_tmp/mirox_tokens.ring', 'a base backup leaves it out');
my $copy = PostgreSQL::Test::Cluster->new('second');
$copy->init_from_backup($node, 'copy');
$copy->start;
my $other = wire($copy);
is(uses($other), 100, 'a server made of the backup has what was written');
burst($other, 7);
call($other, 'flush');
is(written($other), 107, 'and counts its own on top');
$other->close;
$copy->stop;

# ---- restarts --------------------------------------------------------------------------------------------------------
for my $mode (qw(fast immediate))
{
	$wire->close;
	$node->stop($mode);
	$node->start;
	$wire = wire($node);
	is(uses($wire), 150, "after a $mode stop the 50 still wait, and are shown");
}
burst($wire, 5);
$wire->close;
$node->append_conf('postgresql.conf', "mirox_tokens.ring_size = 2MB\n");
$node->restart;
$wire = wire($node);
is(uses($wire), 155, 'with another ring_size, too');
call($wire, 'flush');
is(written($wire), 155, 'all are written, across four names of the ring');
$wire->close;
$node->restart;
$wire = wire($node);
is($wire->value('SELECT ring_bytes FROM mirox.stat'), 2 * 1024 * 1024, 'once it was empty, the ring has its new size');
burst($wire, 3);
call($wire, 'flush');
is(written($wire), 158, 'and goes on');
is(uses($wire), 158, 'as it did');

# A file that is none of ours (or was spoiled) is replaced.
$wire->close;
$node->stop;
open my $spoiled, '>', $node->data_dir . '/pg_stat_tmp/mirox_tokens.ring' or die $!;
print $spoiled 'x' x 100_000;
close $spoiled;
$node->start;
$wire = wire($node);
burst($wire, 2);
call($wire, 'flush');
is(written($wire), 160, 'a spoiled file is replaced, and what comes is recorded');
$wire->close;
$node->stop;
unlink $node->data_dir . '/pg_stat_tmp/mirox_tokens.ring';
$node->start;
$wire = wire($node);
burst($wire, 2);
call($wire, 'flush');
is(written($wire), 162, 'and so is one that is gone');
clean_log($node);
$node->stop;
done_testing();
