# Level backup: the owner of a database, who is no superuser, dumps it with pg_dump; a superuser restores it, whole.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate reason contents broken clean_log);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('backup', extension => 0);
$node->safe_psql('postgres', 'CREATE ROLE keeper LOGIN; CREATE DATABASE shop OWNER keeper; CREATE DATABASE again');
$node->safe_psql('shop', 'CREATE EXTENSION mirox_tokens');
$node->safe_psql('shop', 'CREATE TABLE orders (i int); INSERT INTO orders VALUES (1)', extra_params => [ '-U', 'keeper' ]);
my $wire = wire($node, dbname => 'shop');
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
my $token = issue($wire, $session, 'one');
my $old = issue($wire, $session, 'two')->{secret};
$wire->rows(q(SELECT mirox.put_group('mine', '{parks}')));
$wire->rows(q(SELECT mirox.put_endpoint('GET', '/parks', 'parks:read')));
is(reason($wire, $token->{secret}, '192.0.2.7', 'curl/8'), 'ok', 'a use') for 1 .. 3;
is(reason($wire, 'nonsense'), 'malformed', 'and a caller without a token');
call($wire, 'flush');

my $file = $node->basedir . '/shop.dump';
my @dump = ('pg_dump', '-U', 'keeper', '-Fc', '-f', $file, $node->connstr('shop'));
command_fails(\@dump, 'without the level, the database\'s owner cannot dump it');
$node->safe_psql('shop', q(SELECT mirox.grant_access('keeper', 'backup')));
is($node->safe_psql('shop', 'SELECT count(*) FROM mirox.access', extra_params => []), 1, 'the level is listed');
command_ok(\@dump, 'with it, the owner can');

$node->safe_psql('again', 'ALTER DATABASE again OWNER TO keeper');
command_ok([ 'pg_restore', '-e', '-d', $node->connstr('again'), $file ], 'a superuser restores it without an error');
my $other = wire($node, dbname => 'again');
is(contents($node, 'again'), contents($node, 'shop'), 'every table has its rows, every sequence its place');
is(broken($other), '', 'and all agree');
is(reason($other, $token->{secret}), 'ok', 'tokens verify there');
is($node->safe_psql('again', q(SELECT level, complete FROM mirox.access)), 'backup|t', 'the level is restored too');

# What was made after the grant by the worker or a script is dumped too: a dump by the owner equals one by a superuser.
my ($mine, $theirs) = map { my $out = ''; run_log([ 'pg_dump', @$_, '-a', '-n', 'mirox_internal', $node->connstr('shop') ], '>', \$out) or die; $out =~ s/^\\(?:un)?restrict.*$//mgr } ([ '-U', 'keeper' ], []);
is($mine, $theirs, 'no row is left out');

# It reads, and does nothing else.
my ($code, $out, $err) = $node->psql('shop', 'DELETE FROM mirox_internal.audit_log', extra_params => [ '-U', 'keeper' ]);
like($err, qr/permission denied/, 'it changes nothing');
($code, $out, $err) = $node->psql('shop', q(SELECT mirox.grant_access('keeper', 'admin')), extra_params => [ '-U', 'keeper' ]);
like($err, qr/permission denied/, 'and grants nothing');
$node->safe_psql('shop', q(SELECT mirox.revoke_access('keeper', 'backup')));
command_fails(\@dump, 'nor does it dump once the level is taken away');
$_->close for $wire, $other;
clean_log($node);
done_testing();
