# An owner sees the newest uses of the current secret and the one before, however often an older secret is tried meanwhile.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate clean_log);
use Test::More;

my $node = new_node('history', conf => "\nmirox_tokens.flush_interval = 600s\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
my @token = issue($wire, $session, 'token');
push @token, rotate($wire, $session, $token[0]{token_id}) for 1, 2;
sub use_secret { my ($n, $times, $ip) = @_; return $wire->value('SELECT count((mirox.verify_token($1, $2::inet)).status) FROM generate_series(1, $3::int)', $token[$n]{secret}, $ip, $times); }
sub history { return join ', ', map { join ' ', @$_ } $wire->rows('SELECT generation, reason, host(ip), sum(requests) FROM mirox.token_history($1, $2) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3', $session, $token[0]{token_id}); }
call($wire, 'flush');
use_secret(0, 10_500, '192.0.2.66');
use_secret(1, 2, '192.0.2.1');
use_secret(2, 3, '192.0.2.2');
my $shown = '2 rotated 192.0.2.1 2, 3 ok 192.0.2.2 3';
is(history(), $shown, 'while all wait in shared memory');
use_secret(0, 10_500, '192.0.2.66');
is(history(), $shown, 'and after more of the oldest');
use_secret(2, 10_000, '192.0.2.3');
is(history(), '2 rotated 192.0.2.1 2, 3 ok 192.0.2.3 10000', 'of one secret the newest are shown');
call($wire, 'flush');
is(history(), '2 rotated 192.0.2.1 2, 3 ok 192.0.2.2 3, 3 ok 192.0.2.3 10000', 'and all when they are written');
$wire->close;
clean_log($node);
$node->stop;
done_testing();
