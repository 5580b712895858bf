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
	'signed by the library with our key, never issued' => [ 'unknown', python(<<'PY', $hex1) ],
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

for my $case (
	[ 'open to the group', "second: $hex2\n", 0640 ],
	[ 'open to all', "second: $hex2\n", 0604 ],
	[ 'no key', "# nothing\n" ],
	[ 'a short key', "second: $hex2\nthird: " . ('ab' x 16) . "\n" ],
	[ 'no colon', "$hex2\n" ],
	[ 'a bad key id', "a b: $hex2\n" ],
	[ 'a key id twice', "second: $hex2\nsecond: $hex1\n" ],
	[ 'a bad key', 'second: ' . ('!' x 64) . "\n" ],
	[ 'too many keys', join('', map { "k$_: $hex1\n" } 1 .. 17) ],
	[ 'too long', "second: $hex2\n" . ('#' x 20000) . "\n" ])
{
	my ($name, $text, $mode) = @$case;
	write_keys($text, $mode);
	my $result = $main->run($issue_jwt, $session, 'x', 'reporting', 'jwt');
	is(join(' ', $result->{state}, reason($main, $new)), '55000 malformed', "a file that is bad ($name) gives no key at all");
	unlike("$result->{message} $result->{detail} $result->{hint}", qr/\Q$hex2\E|\Q$hex1\E/, "and its error shows none ($name)");
}
unlink $file;
is(reason($main, $new), 'malformed', 'no file, no key');
is($main->value('SELECT mirox.revoke_self($1) IS NOT NULL', $new), 't', 'a leaked one can be ended with itself even when its key is gone');
write_keys("second: $hex2\n");
is(reason($main, $new), 'revoked', 'and is');

my $log = slurp_file($node->logfile);
unlike($log, qr/\Q$hex1\E|\Q$hex2\E/, 'no key in the log');
unlike($log, qr/\Q$s\E/, 'no token in the log');
like($log, qr/jwt_key_file cannot be used: group or others may read or write it/, 'the log says what is wrong with the file');
clean_log($node);
done_testing();
