# Tokens in the form of a JWT: read and made by an independent library (python3-jwt), hostile ones, keys that roll, a file of
# keys that is broken, missing or open to others.
use strict;
use warnings;
use IPC::Run qw(run);
use MIME::Base64 qw(encode_base64 encode_base64url decode_base64url);
use Mirox qw(new_node wire call put_account open_session issue rotate verify reason clean_log);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('jwt', conf => "log_statement = none\n");
my $file = $node->basedir . '/keys';
my $main = wire($node);

sub write_keys
{
	my ($text, $mode) = @_;
	open my $out, '>', "$file.new" or die;
	print $out $text;
	close $out;
	chmod $mode // 0600, "$file.new";
	rename "$file.new", $file or die;
	return;
}

# Runs a script with the library; arguments and result as JSON-free text lines.
sub python
{
	my ($script, @arguments) = @_;
	my ($out, $err) = ('', '');
	run [ '/usr/bin/python3', '-c', "import sys, jwt, json\n$script", @arguments ], '<', \undef, '>', \$out, '2>', \$err
	  or die "python: $err";
	chomp $out;
	return $out;
}

my ($key1, $key2) = map { my $n = $_; join '', map { chr((37 * $_ + 11 * $n) % 256) } 1 .. 48 } 1 .. 2;
my $hex1 = unpack 'H*', $key1;
put_account($main, 'anna', [ 'parks:read', 'reports' ]);
put_account($main, "\x{c3}\x{a4}nne \"q\" \\ o'x", ['parks:read']);
my $session = open_session($main, 'anna');
my $issue_jwt = 'SELECT token_id, secret, floor(extract(epoch FROM expires_at)), floor(extract(epoch FROM created_at))'
  . ' FROM mirox.issue_token($1, $2, $3, format => $4)';

is($main->state($issue_jwt, $session, 'jwt', 'reporting', 'jwt'), '55000', 'without a file of keys there is no JWT');
write_keys("# two keys\n\n  first : $hex1   # in hex\nsecond:" . encode_base64($key2, '') . "\n");
$node->append_conf('postgresql.conf', "mirox_tokens.jwt_key_file = '$file'\nmirox_tokens.jwt_issuer = 'https://mirox.example'\n");
$node->reload;
ok($node->poll_query_until('postgres', 'SHOW mirox_tokens.jwt_issuer', 'https://mirox.example'), 'the settings are read');

# ---- ours, read by theirs ------------------------------------------------------------------------------------------------
my ($row) = $main->rows($issue_jwt, $session, 'jwt', 'reporting', 'jwt');
my ($token_id, $jwt, $expires, $created) = @$row;
my $claims = python(<<'PY', $jwt, $hex1);
token, key = sys.argv[1], bytes.fromhex(sys.argv[2])
header = jwt.get_unverified_header(token)
claims = jwt.decode(token, key, algorithms=["HS256"], issuer="https://mirox.example", options={"require": ["exp", "iat", "iss", "sub", "jti"]})
print(json.dumps(header, sort_keys=True)); print(sorted(claims)); print(claims["sub"], claims["grp"], claims["exp"], claims["iat"], len(claims["jti"]) >= 22)
PY
is($claims, join("\n", '{"alg": "HS256", "kid": "first", "typ": "JWT"}', "['exp', 'grp', 'iat', 'iss', 'jti', 'sub']",
	"anna reporting $expires $created True"), 'an independent library verifies and reads it')
  or diag $claims;
my $odd = open_session($main, "\x{c3}\x{a4}nne \"q\" \\ o'x");
my ($odd_row) = $main->rows($issue_jwt, $odd, 'jwt', 'full_access', 'jwt');
is(python('print(jwt.decode(sys.argv[1], bytes.fromhex(sys.argv[2]), algorithms=["HS256"])["sub"] == "\u00e4nne \"q\" \\\\ o\x27x")', $odd_row->[1], $hex1),
	'True', 'also of an account with an odd name');
is(reason($main, $odd_row->[1]), 'ok', 'which is checked as well');

my $verdict = verify($main, $jwt, undef, undef, 'reports:generate');
is("$verdict->{status} $verdict->{user_id} $verdict->{group} $verdict->{permissions}", '200 anna reporting {reports}', 'a check takes it');
is(call($main, 'check_request', "Bearer $jwt", 'GET', '/')->[0], 403, 'check_request too');
is($main->value('SELECT reason FROM mirox.verify_digest(sha256($1))', $jwt), 'ok', 'and verify_digest, given its SHA-256');
like($main->value('SELECT hint FROM mirox.list_tokens($1)', $session), qr/^eyJ\x{e2}\x{80}\x{a6}.{4}$/, 'the list shows a redacted form');
is($main->state('SELECT mirox.issue_token($1, $2, $3)', $jwt, 'x', 'reporting'), '42501', 'it cannot manage tokens');

# ---- theirs, and hostile ones, read by ours --------------------------------------------------------------------------------
my ($h, $p, $s) = split /\./, $jwt;
my %hostile = (
	'with our header and key, never issued' => [ 'unknown', python(<<'PY', $hex1) ],
import base64, hmac
part = lambda text: base64.urlsafe_b64encode(text).rstrip(b"=")
text = part(b'{"alg":"HS256","typ":"JWT","kid":"first"}') + b"." + part(b'{"iss":"https://mirox.example","sub":"anna","jti":"x","iat":1,"exp":4102444800,"grp":"full_access"}')
print((text + b"." + part(hmac.digest(bytes.fromhex(sys.argv[1]), text, "sha256"))).decode())
PY
	'signed by the library with our key, under a header that we do not write' => [ 'malformed', python(<<'PY', $hex1) ],
print(jwt.encode({"iss": "https://mirox.example", "sub": "anna", "jti": "x", "iat": 1, "exp": 4102444800, "grp": "full_access"}, bytes.fromhex(sys.argv[1]), algorithm="HS256", headers={"kid": "first"}))
PY
	'a wrong key' => [ 'malformed', python('print(jwt.encode({"sub": "anna"}, b"k" * 48, algorithm="HS256", headers={"kid": "first"}))') ],
	'HS384 with our key' => [ 'malformed', python('print(jwt.encode({"sub": "anna"}, bytes.fromhex(sys.argv[1]), algorithm="HS384", headers={"kid": "first"}))', $hex1) ],
	'HS512 with our key' => [ 'malformed', python('print(jwt.encode({"sub": "anna"}, bytes.fromhex(sys.argv[1]), algorithm="HS512", headers={"kid": "first"}))', $hex1) ],
	'alg none' => [ 'malformed', python('print(jwt.encode({"sub": "anna"}, None, algorithm="none", headers={"kid": "first"}))') ],
	'alg none with our signature' => [ 'malformed', encode_base64url('{"alg":"none","typ":"JWT","kid":"first"}') . ".$p.$s" ],
	'an unknown key' => [ 'malformed', python('print(jwt.encode({"sub": "anna"}, bytes.fromhex(sys.argv[1]), algorithm="HS256", headers={"kid": "third"}))', $hex1) ],
	'no key id' => [ 'malformed', python('print(jwt.encode({"sub": "anna"}, bytes.fromhex(sys.argv[1]), algorithm="HS256"))', $hex1) ],
	'the other key id' => [ 'malformed', encode_base64url('{"alg":"HS256","typ":"JWT","kid":"second"}') . ".$p.$s" ],
	'an altered payload' => [ 'malformed', "$h." . encode_base64url(decode_base64url($p) =~ s/reporting/full_access/r) . ".$s" ],
	'an altered signature' => [ 'malformed', "$h.$p." . ($s =~ s/^(.)/$1 eq 'A' ? 'B' : 'A'/er) ],
	'stray bits in the signature' => [ 'malformed', substr($jwt, 0, -1) . (chr(ord(substr $jwt, -1) + 1)) ],
	'padding' => [ 'malformed', "$jwt=" ],
	'a fourth part' => [ 'malformed', "$jwt.$s" ],
	'no signature' => [ 'malformed', "$h.$p." ],
	'a space' => [ 'malformed', "$jwt " ],
	'a line end' => [ 'malformed', "$jwt\n" ],
	'64 KiB of payload, signed with our key' => [ 'malformed', python('print(jwt.encode({"sub": "a" * 65536}, bytes.fromhex(sys.argv[1]), algorithm="HS256", headers={"kid": "first"}))', $hex1) ],
	'64 KiB of dots' => [ 'malformed', 'eyJ' . ('.' x 65536) ],
	'64 KiB of header' => [ 'malformed', 'eyJ' . ('a' x 65536) . ".$p.$s" ],
	'crit' => [ 'malformed', python('print(jwt.encode({"sub": "anna"}, bytes.fromhex(sys.argv[1]), algorithm="HS256", headers={"kid": "first", "crit": ["x"], "x": 1}))', $hex1) ],
	'jwk' => [ 'malformed', python('print(jwt.encode({"sub": "anna"}, bytes.fromhex(sys.argv[1]), algorithm="HS256", headers={"kid": "first", "jwk": {"kty": "oct", "k": "AA"}}))', $hex1) ],
);
for my $name (sort keys %hostile)
{
	my ($expected, $text) = @{ $hostile{$name} };
	$verdict = verify($main, $text);
	is("$verdict->{status} $verdict->{reason}", "401 $expected", $name);
}

# ---- rotation, expiry, revocation --------------------------------------------------------------------------------------------
my $rotated = rotate($main, $session, $token_id);
is(reason($main, $jwt), 'rotated', 'rotation ends the old one');
is(reason($main, $rotated->{secret}), 'ok', 'and makes a new one, of the same form');
is(python('print(jwt.decode(sys.argv[1], bytes.fromhex(sys.argv[2]), algorithms=["HS256"])["grp"])', $rotated->{secret}, $hex1), 'reporting', 'which the library reads');
my ($brief) = $main->rows('SELECT secret FROM mirox.issue_token($1, $2, $3, expires_in => $4, format => $5)', $session, 'brief', 'reporting', '1 second', 'jwt');
is(reason($main, $brief->[0]), 'ok', 'a brief one');
sleep 2;
is(reason($main, $brief->[0]), 'expired', 'expires by the clock');

# ---- keys that roll ------------------------------------------------------------------------------------------------------------
my $hex2 = unpack 'H*', $key2;
write_keys("second: $hex2\nfirst: $hex1\n");
is(reason($main, $rotated->{secret}), 'ok', 'the old key still verifies when another one signs');
my $new = ($main->rows($issue_jwt, $session, 'new', 'reporting', 'jwt'))[0][1];
is(python('print(jwt.get_unverified_header(sys.argv[1])["kid"])', $new), 'second', 'the first in the file signs');
write_keys("second: $hex2\n");
is(reason($main, $rotated->{secret}), 'malformed', 'a key that is taken away verifies no longer');
is(reason($main, $new), 'ok', 'the one that stays does');
# Changed in place, within the same instant and of the same size.
for my $round (1 .. 20)
{
	my $which = $round % 2 ? 'second' : 'secone';
	open my $out, '+<', $file or die;
	print $out "$which: $hex2\n";
	close $out;
	my $expected = $round % 2 ? 'ok' : 'malformed';
	my $was = reason($main, $new);
	next if $was eq $expected;
	fail("round $round: $was, not $expected, after a change in place");
}
pass('changes in place are seen');
write_keys("second: $hex2\n");

# ---- a file that is no good: the last good keys go on, in every backend ------------------------------------------------------
my $state = 'SELECT jwt_keys, jwt_key_file, jwt_key_file_since IS NOT NULL FROM mirox.stat';
my $stat = sub { return join ' ', map { $_ // 'NULL' } @{ ($main->rows($state))[0] } };
is($stat->(), '1 ok t', 'mirox.stat tells how the file stands');
for my $case (
	[ 'unsafe', 'open to the group', "second: $hex2\n", 0640 ],
	[ 'unsafe', 'open to all', "second: $hex2\n", 0604 ],
	[ 'empty', 'no key', "# nothing\n" ],
	[ 'empty', 'empty', '' ],
	[ 'invalid', 'a short key', "second: $hex2\nthird: " . ('ab' x 16) . "\n" ],
	[ 'invalid', 'no colon', "$hex2\n" ],
	[ 'invalid', 'a bad key id', "a b: $hex2\n" ],
	[ 'invalid', 'a key id twice', "second: $hex2\nsecond: $hex1\n" ],
	[ 'invalid', 'a bad key', 'second: ' . ('!' x 64) . "\n" ],
	[ 'invalid', 'too many keys', join('', map { "k$_: $hex1\n" } 1 .. 17) ],
	[ 'invalid', 'too long', "second: $hex2\n" . ('#' x 20000) . "\n" ],
	[ 'unreadable', 'missing', undef ])
{
	my ($word, $name, $text, $mode) = @$case;
	if (defined $text) { write_keys($text, $mode) }
	else { unlink $file }
	my $new_backend = wire($node);
	is(join(' ', reason($new_backend, $new), reason($main, $new), reason($new_backend, $rotated->{secret})), 'ok ok malformed',
		"a file that is bad ($name) leaves the last good keys in force, in a new backend too, and no other");
	is($stat->(), "1 $word t", "and mirox.stat says so ($name)");
	my $again = slurp_file($node->logfile);
	reason($_, $new) for $main, $new_backend;
	is(slurp_file($node->logfile), $again, "and the log once ($name)");
	$new_backend->close;
}
is(($main->rows($issue_jwt, $session, 'still', 'reporting', 'jwt'))[0][1] =~ /^eyJ/, 1, 'they sign on');
write_keys("second: $hex2\n");
is($stat->(), '1 ok t', 'a good file is taken at once');
# An editor that truncates and then writes, and one that moves the new file into place, while others check all the time.
for my $way ('truncate', 'move')
{
	my @workers = map { wire($node) } 1 .. 2;
	my %seen;
	for my $round (1 .. 60)
	{
		if ($way eq 'truncate')
		{
			open my $out, '>', $file or die;
			$seen{ reason($workers[ $round % 2 ], $new) }++;
			print $out "second: $hex2\nthird$round: $hex1\n";
			$out->flush;
			close $out;
		}
		else { write_keys("second: $hex2\nthird$round: $hex1\n") }
		$seen{ reason($_, $new) }++ for @workers;
	}
	is(join(' ', keys %seen), 'ok', "no check fails meanwhile ($way)");
	$_->close for @workers;
}
write_keys("third: $hex1\n");
{
	my $new_backend = wire($node);
	is(join(' ', map { reason($_, $new) } $main, $new_backend), 'malformed malformed', 'a good file that lacks a key takes it away at once, everywhere');
}
write_keys("second: $hex2\n");
is(reason($main, $new), 'ok', 'and one that has it again gives it back');

# ---- a server that never had a good file ---------------------------------------------------------------------------------------
write_keys("second $hex2\n");
$node->restart;
$main = wire($node);
$session = open_session($main, 'anna');
$verdict = verify($main, $new);
is("$verdict->{status} $verdict->{reason}", '503 keys_unavailable', 'nobody can tell whether a JWT is ours');
is(join(' ', @{ ($main->rows("SELECT status, reason, www_authenticate IS NULL, retry_after IS NULL, user_id IS NULL FROM mirox.check_request(\$1, 'GET', '/')", "Bearer $new"))[0] }),
	'503 keys_unavailable t t t', 'check_request answers the same, with no challenge');
is(reason($main, 'eyJ.no.jwt'), 'malformed', 'what has not the form of one is malformed');
is($main->value('SELECT reason FROM mirox.verify_digest(sha256($1))', $new), 'ok', 'a digest needs no key');
is($main->state('SELECT mirox.authenticate($1)', "Bearer $new"), '55000', 'authenticate raises');
my $refused = $main->run("SELECT set_config('request.headers', json_build_object('authorization', \$1::text)::text, false), mirox.postgrest_pre_request()", "Bearer $new");
is("$refused->{state} $refused->{detail}", 'PT503 []', 'for PostgREST it is a 503');
is($main->state($issue_jwt, $session, 'x', 'reporting', 'jwt'), '55000', 'and no JWT is issued');
is(join(' ', @{ ($main->rows('SELECT jwt_keys, jwt_key_file, keys_unavailable FROM mirox.stat'))[0] }), '0 invalid 4', 'mirox.stat counts them');
write_keys("second: $hex2\n");
is(reason($main, $new), 'ok', 'until the file is repaired');
$node->append_conf('postgresql.conf', "mirox_tokens.jwt_key_file = ''\n");
$node->reload;
ok($node->poll_query_until('postgres', 'SHOW mirox_tokens.jwt_key_file', ''), 'no file is set any more');
is($stat->(), '0 unused f', 'mirox.stat says so');
is(reason($main, $new), 'malformed', 'so no JWT is one of ours');
$node->append_conf('postgresql.conf', "mirox_tokens.jwt_key_file = '$file.bad'\n");
$node->reload;
ok($node->poll_query_until('postgres', 'SHOW mirox_tokens.jwt_key_file', "$file.bad"), 'another file is set, which is not there');
is(reason($main, $new), 'keys_unavailable', 'and the keys of the one before are not gone by');
$node->append_conf('postgresql.conf', "mirox_tokens.jwt_key_file = '$file'\n");
$node->reload;
ok($node->poll_query_until('postgres', 'SHOW mirox_tokens.jwt_key_file', $file), 'the file is set again');
is(reason($main, $new), 'ok', 'and read');
write_keys("third: $hex1\n");
is(reason($main, $new), 'malformed', 'no key, no token');
is($main->value('SELECT mirox.revoke_self($1) IS NOT NULL', $new), 't', 'a leaked one can be ended with itself even when its key is gone');
write_keys("second: $hex2\n");
is(reason($main, $new), 'revoked', 'and is');

# Where the keys stand, core dumps leave out: the shelf of all backends, and this one's copy.
SKIP: {
	my $pid = $main->value('SELECT pg_backend_pid()');
	open my $maps, '<', "/proc/$pid/smaps" or skip 'no /proc', 1;
	my (%left_out, $kind);
	while (<$maps>)
	{
		$kind = /rw-s.*\/dev\/zero/ ? 'shared' : /rw-p \S+ \S+ 0\s*$/ ? 'own' : '' if /^[0-9a-f]+-[0-9a-f]+ /;
		$left_out{$kind}++ if $kind && /^VmFlags:.* dd\b/;
	}
	is(join(' ', sort keys %left_out), 'own shared', 'core dumps leave the keys out');
}

my $log = slurp_file($node->logfile);
unlike($log, qr/\Q$hex1\E|\Q$hex2\E/, 'no key in the log');
unlike($log, qr/\Q$s\E/, 'no token in the log');
like($log, qr/jwt_key_file cannot be used: group or others may read or write it/, 'the log says what is wrong with the file');
like($log, qr/jwt_key_file can be used again/, 'and when it is good again');
unlike($log, qr/jwt_key_file[^\n]*\n(?:[^\n]*(?:DETAIL|HINT)[^\n]*\n)*[^\n]*(?:STATEMENT|CONTEXT)/, 'without the statement that found it out');
clean_log($node);
done_testing();
