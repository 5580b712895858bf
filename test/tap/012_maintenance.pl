# What a DBA does to keep tables in shape goes on under load: while indexes are rebuilt, tables rewritten and settings
# reloaded, no check and no act of management fails or errs. Prepared transactions and a crash keep what was committed.
# MIROX_RACE_SECONDS is how long the first part runs (10).
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate verify reason broken clean_log);
use PostgreSQL::Test::Cluster;
use Test::More;
use Time::HiRes qw(time);

my $seed = $ENV{MIROX_SEED} // int(time);
srand $seed;
note "MIROX_SEED=$seed";
my $node = new_node('maintenance', conf => "max_prepared_transactions = 5\nautovacuum_naptime = 1s\ndeadlock_timeout = 30s\nwal_writer_delay = 10s\n");
my $main = wire($node);
put_account($main, 'anna', ['*']);
my $session = open_session($main, 'anna');
$main->rows("INSERT INTO mirox_internal.permission_group (name, permissions) VALUES ('own', '{parks}')");
my @steady = map { issue($main, $session, "steady $_", group => (qw(own full_access))[ $_ % 2 ]) } 1 .. 10;
my $revoked = issue($main, $session, 'revoked');
call($main, 'revoke_token', $session, $revoked->{token_id});
my $spinning = issue($main, $session, 'spinning');

# ---- maintenance under load ----------------------------------------------------------------------------------------------
my @tables  = qw(account session token token_secret permission_group audit_log token_usage agent usage_open);
my @indexes = map { $_->[0] } $main->rows(
	"SELECT indexrelid::regclass FROM pg_index WHERE indrelid = ANY (\$1::regclass[]) ORDER BY 1", [ map { "mirox_internal.$_" } @tables ]);
# Those that take a table whole deadlock with any transaction of several statements that comes back for it, so in the second
# half, where they run, each statement is a transaction.
my @gentle = (
	(map { "REINDEX INDEX CONCURRENTLY $_" } @indexes, @indexes),
	(map { ("VACUUM mirox_internal.$_", "ANALYZE mirox_internal.$_", "ALTER TABLE mirox_internal.$_ SET (fillfactor = 80)") } @tables),
	'CHECKPOINT', 'DISCARD PLANS', 'SELECT pg_reload_conf()');
my @strong = map { ("REINDEX TABLE mirox_internal.$_", "VACUUM FULL mirox_internal.$_", $_ eq 'usage_open' ? () : "CLUSTER mirox_internal.$_ USING ${_}_pkey") } @tables;
my $keeper  = wire($node, name => 'keeper');
my @loaders = map { wire($node, name => "load$_") } 1 .. 6;
my @levels  = ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
my (%done, @wrong, %at);
my $length = $ENV{MIROX_RACE_SECONDS} // 10;
my ($half, $end) = (time + $length / 2, time + $length);
Mirox::Wire::drive(
	sub {
		my ($wire, $result) = @_;
		my $at    = $at{$wire} //= { queue => [] };
		my $state = $result ? $result->{state} // 'ok' : undef;
		if ($wire == $keeper)
		{
			$done{$state}++ if $state;
			push @wrong, "$wire->{sql}: $state $result->{message}" if $state && $state ne 'ok';
			return undef if time > $end;
			# Not before the others have ended what they began.
			return ['SELECT pg_sleep(0.3)'] if time > $half && !$at->{strong}++;
			my @chores = time > $half ? (@gentle, @strong, @strong) : @gentle;
			return [ $chores[ rand @chores ] ];
		}
		if ($result && $at->{expect})
		{
			my $got = $state eq 'ok' ? $result->{rows}[0][0] // '' : "$state $result->{message}";
			push @wrong, "$at->{level}: $wire->{sql}: $got" unless $got =~ $at->{expect} || $state eq '40001' && $at->{level} eq 'SERIALIZABLE';
			$done{act}++;
			# The rest of a failed transaction says nothing.
			$at->{queue} = [ [ ['ROLLBACK'], undef ] ] if $state ne 'ok' && $at->{level} ne 'alone';
		}
		if (!@{ $at->{queue} })
		{
			return undef if time > $end;
			$at->{level} = $levels[ rand 3 ];
			my $token = $steady[ rand @steady ];
			my $check = [ [ 'SELECT reason FROM mirox.verify_token($1)', $token->{secret} ], qr/^ok$/ ];
			my @acts = (
				$check, $check, $check,
				[ [ 'SELECT reason FROM mirox.verify_token($1)', $revoked->{secret} ], qr/^revoked$/ ],
				[ [ 'SELECT count(*) FROM mirox.list_tokens($1)', $session ], qr/^\d+$/ ],
				[ [ 'SELECT mirox.rename_token($1, $2, $3)', $session, $token->{token_id}, 'n ' . int rand 9 ], qr/^n \d$/ ],
				[ [ 'SELECT token_id FROM mirox.rotate_token($1, $2)', $session, $spinning->{token_id} ], qr/^\d+$/ ],
				[ [ 'SELECT mirox.revoke_token($1, token_id) IS NOT NULL FROM mirox.issue_token($1, $2, $3)', $session, 'brief', 'own' ], qr/^t$/ ],
				[ [ q{SELECT mirox.put_account('anna', '{*}'), 'put'} ], qr/^$/ ],
				[ [ 'SELECT mirox.close_session(mirox.open_session($1))', 'anna' ], qr/^t$/ ]);
			# A statement first: then the transaction's snapshot is older than what goes on meanwhile.
			$at->{queue} =
			  time > $half
			  ? [ $acts[ rand @acts ] ]
			  : [
				[ ["BEGIN ISOLATION LEVEL $at->{level}"], undef ], [ ['SELECT 1'], undef ],
				(map { $acts[ rand @acts ] } 0 .. rand 3), [ ['COMMIT'], undef ] ];
			$at->{level} = "alone" if time > $half;
		}
		(my $statement, $at->{expect}) = @{ shift @{ $at->{queue} } };
		return $statement;
	},
	$keeper, @loaders);
is(join("\n", @wrong), '', "$done{act} checks and acts during " . ($done{ok} // 0) . ' chores: each as ever');
is($main->state('SELECT mirox.flush()'), 'ok', 'recorded use is written all the same');
is(broken($main), '', 'the tables agree');
$_->close for $keeper, @loaders;

# ---- prepared transactions -------------------------------------------------------------------------------------------------
my $two = wire($node, name => 'two phases');
$two->rows('BEGIN');
my $pending = issue($two, $session, 'pending');
call($two, 'revoke_token', $session, $steady[0]{token_id});
put_account($two, 'carl', ['parks']);
is($two->state("PREPARE TRANSACTION 'one'"), 'ok', 'acts can be prepared');
is(reason($two, $pending->{secret}), 'unknown', 'what is prepared is not there yet');
is(reason($two, $steady[0]{secret}), 'ok', 'nor gone');
$two->rows("SET lock_timeout = '200ms'");
is($two->state('SELECT mirox.rename_token($1, $2, $3)', $session, $steady[1]{token_id}, 'x'), '55P03', 'the account stays locked');
is($two->state('SELECT mirox.put_account($1, $2)', 'carl', ['reports']), '55P03', 'and the name of the new one');
$two->rows('RESET lock_timeout');

# ---- a crash ------------------------------------------------------------------------------------------------------------------
# An act waits for the disk whatever the session says of others (and the WAL writer sleeps).
$two->rows("SET synchronous_commit = off");
put_account($two, 'dora', ['*']);
my $dora = open_session($two, 'dora');
my $late = issue($two, $dora, 'late');
$two->rows('CHECKPOINT');
my $after = issue($two, $dora, 'after the checkpoint');
call($two, 'revoke_token', $dora, $late->{token_id});
$two->rows('BEGIN');
my $lost = issue($two, $dora, 'not committed');
$node->stop('immediate');
$node->start;
$_->close for $two, $main;
$main = wire($node);
is(reason($main, $after->{secret}), 'ok', 'a crash keeps a token that was committed');
is(reason($main, $late->{secret}), 'revoked', 'and a revocation');
is(reason($main, $lost->{secret}), 'unknown', 'and nothing else');
is(reason($main, $pending->{secret}), 'unknown', 'what was prepared still waits');
is($main->state("COMMIT PREPARED 'one'"), 'ok', 'and is committed');
is(reason($main, $pending->{secret}), 'ok', 'then it is there');
is(reason($main, $steady[0]{secret}), 'revoked', 'or gone');
is($main->value("SELECT permissions FROM mirox_internal.account WHERE user_id = 'carl'"), '{parks}', 'with the account that it registered');
my $next = issue($main, $dora, 'next');
cmp_ok($next->{token_id}, '>', $after->{token_id}, 'ids go on');
is(broken($main), '', 'the tables agree');
$main->close;
clean_log($node);
$node->stop;
done_testing();
