# Databases in encodings other than UTF-8: names round trip, text that is none is refused with 22023, and nothing that a
# client sends, or that we say, fails for want of a counterpart.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue rotate verify reason broken clean_log);
use Test::More;

# All that we install and say is ASCII, which every server encoding holds.
for my $part (glob "$ENV{MIROX_TREE}/src/schema/*.sql")
{
	open my $in, '<:raw', $part or die "$part: $!";
	my @lines = grep { /[^\x00-\x7f]/ } <$in>;
	is("@lines", '', "$part is ASCII");
}

my $node = new_node('encodings', extension => 0);
my %encodings = (bytes => 'SQL_ASCII', latin1 => 'LATIN1', win1252 => 'WIN1252', eucjp => 'EUC_JP', utf8 => 'UTF8');
for my $name (sort keys %encodings)
{
	$node->safe_psql('postgres',
		"CREATE DATABASE $name TEMPLATE template0 ENCODING '$encodings{$name}' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($name, 'CREATE EXTENSION mirox_tokens');
}

# begin_life($dbname, $client_encoding): a connection and an open session.
sub begin_life
{
	my ($dbname, $encoding, $user) = @_;
	my $wire = wire($node, dbname => $dbname, encoding => $encoding);
	put_account($wire, $user // 'anna', [ 'parks', 'reports' ]);
	return ($wire, open_session($wire, $user // 'anna'));
}

# ---- UTF-8 and SQL_ASCII: the same bytes, valid or not --------------------------------------------------------------------
my %names = (
	"caf\xc3\xa9"                    => "caf\xc3\xa9",
	"cafe\xcc\x81"                   => "caf\xc3\xa9",                           # decomposed: NFC
	"  \xe6\xbc\xa2\xe5\xad\x97 "    => "\xe6\xbc\xa2\xe5\xad\x97",
	"\xf0\x9f\x8c\x8d"               => "\xf0\x9f\x8c\x8d",
	"\xe6\xbc\xa2" x 100             => "\xe6\xbc\xa2" x 100);
my %invalid = (
	'a stray continuation byte' => "a\x80b",
	'an overlong form'          => "a\xc0\xafb",
	'a surrogate'               => "a\xed\xa0\x80b",
	'beyond Unicode'            => "a\xf4\x90\x80\x80b",
	'a cut character'           => "a\xe6\xbc",
	'LATIN1'                    => "caf\xe9");
for my $dbname ('utf8', 'bytes')
{
	my ($wire, $session) = begin_life($dbname, $dbname eq 'utf8' ? 'UTF8' : 'SQL_ASCII');
	for my $given (sort keys %names)
	{
		my $token = issue($wire, $session, $given);
		is($token->{name}, $names{$given}, "$dbname: a name in UTF-8 is kept, normalised");
		is($wire->value('SELECT name FROM mirox.list_tokens($1) WHERE token_id = $2', $session, $token->{token_id}),
			$names{$given}, 'and listed');
		is(rotate($wire, $session, $token->{token_id})->{name}, $names{$given}, 'and kept by a rotation');
	}
	is($wire->state('SELECT * FROM mirox.issue_token($1, $2, $3)', $session, "\xe6\xbc\xa2" x 101, 'reporting'), '22023',
		"$dbname: a name of 101 characters");
	for my $what (sort keys %invalid)
	{
		# In a UTF-8 database the server itself refuses what is no UTF-8, before we see it.
		my $expected = $dbname eq 'utf8' ? '22021' : '22023';
		my $result = $wire->run('SELECT * FROM mirox.issue_token($1, $2, $3)', $session, $invalid{$what}, 'reporting');
		is($result->{state}, $expected, "$dbname: a name with $what");
		like($result->{detail}, qr/not valid UTF-8/, 'and why') if $dbname eq 'bytes';
		my $agent = $wire->run('SELECT mirox.open_session($1, user_agent => $2)', 'anna', "agent $invalid{$what} \x01");
		next if $dbname eq 'utf8';
		is($agent->{state}, undef, "a user agent with $what is taken");
		my $stored = $wire->value('SELECT user_agent FROM mirox_internal.session ORDER BY session_id DESC LIMIT 1');
		ok(utf8::decode(my $copy = $stored), 'and kept as valid UTF-8') or diag $stored;
		unlike($stored, qr/[\x00-\x1f]/, 'without control characters');
		is(scalar $wire->value('SELECT user_agent FROM mirox_internal.audit_log ORDER BY audit_id DESC LIMIT 1'), $stored,
			'in the audit log too');
		my $check = $wire->run('SELECT status, reason FROM mirox.verify_token($1, NULL, $2)', 'not a secret', $invalid{$what});
		is_deeply($check->{rows}, [ [ 401, 'malformed' ] ], 'and a check with it answers');
	}
	# Over-long: cut at 512 bytes, between characters.
	for my $filler ('a', "\xc3\xa9", "\xe6\xbc\xa2", "\xf0\x9f\x8c\x8d")
	{
		$wire->value('SELECT mirox.open_session($1, user_agent => $2)', 'anna', 'x' . $filler x 3000);
		my $stored = $wire->value('SELECT user_agent FROM mirox_internal.session ORDER BY session_id DESC LIMIT 1');
		my $fits = int(511 / length $filler);
		is($stored, 'x' . $filler x $fits, "$dbname: an over-long user agent is cut between characters of @{[ length $filler ]} bytes");
	}
	is(broken($wire), '', "$dbname: the tables agree");
	$wire->close;
}

# ---- single bytes ----------------------------------------------------------------------------------------------------------
for my $dbname ('latin1', 'win1252')
{
	my ($wire, $session) = begin_life($dbname, $encodings{$dbname}, "\xdcnal");
	my $token = issue($wire, $session, "  caf\xe9 \xdf ");
	is($token->{name}, "caf\xe9 \xdf", "$dbname: a name in the database's encoding is kept");
	my $utf8 = wire($node, dbname => $dbname, encoding => 'UTF8');
	is($utf8->value('SELECT name FROM mirox.list_tokens($1)', $session), "caf\xc3\xa9 \xc3\x9f", 'and read by a client in UTF-8');
	is(issue($utf8, $session, "\xc3\xa9" x 100)->{name}, "\xc3\xa9" x 100, 'which can give one too, of 100 characters');
	is($utf8->state('SELECT * FROM mirox.issue_token($1, $2, $3)', $session, "\xc3\xa9" x 101, 'reporting'), '22023', 'not of 101');
	is($utf8->state('SELECT mirox.rename_token($1, $2, $3)', $session, $token->{token_id}, "\xe6\xbc\xa2"), '22P05',
		'a character that the database lacks is refused by the server');
	like($wire->value('SELECT hint FROM mirox.list_tokens($1) LIMIT 1', $session), qr/^mirox_[0-9A-Za-z]{4}(\.\.\.|\x85)$/,
		'the redacted form fits the encoding');
	like($utf8->value('SELECT $1::mirox.secret', $token->{secret}), qr/^mirox_[0-9A-Za-z]{4}(\.\.\.|\xe2\x80\xa6)$/,
		'likewise of a value');
	is(reason($wire, $token->{secret}), 'ok', 'it verifies');
	is(verify($utf8, $token->{secret})->{user_id}, "\xc3\x9cnal", 'and names the user in the client\'s encoding');
	# Every byte that a header may hold, those without counterpart in Unicode among them.
	my $all = join '', map { chr } 1 .. 255;
	is($wire->state('SELECT mirox.open_session($1, user_agent => $2)', "\xdcnal", $all), 'ok', 'a user agent of all bytes is taken');
	my $stored = $wire->value('SELECT user_agent FROM mirox_internal.session ORDER BY session_id DESC LIMIT 1');
	unlike($stored, qr/[\x00-\x1f\x7f]/, 'and kept without control characters');
	like($stored, qr/abc.*\xe9/s, 'with all that means something');
	is($wire->state('SELECT * FROM mirox.verify_token($1, NULL, $2)', $token->{secret}, $all), 'ok', 'and taken by a check');
	is($wire->state('SELECT * FROM mirox.verify_token($1, NULL, $2, $3)', $all, $all, $all), 'ok', 'as anything is, in any place');
	$wire->value('SELECT mirox.open_session($1, user_agent => $2)', "\xdcnal", "\xe9" x 3000);
	cmp_ok(length($wire->value('SELECT user_agent FROM mirox_internal.session ORDER BY session_id DESC LIMIT 1')), '<=', 512,
		'an over-long one is cut');
	call($wire, 'revoke_token', $session, $token->{token_id}, "verl\xf6ren");
	is($utf8->value('SELECT revoke_reason FROM mirox_internal.token WHERE token_id = $1', $token->{token_id}), "verl\xc3\xb6ren", 'a reason is kept');
	is(broken($wire), '', "$dbname: the tables agree");
	$_->close for $wire, $utf8;
}

# ---- several bytes, none of them UTF-8 -----------------------------------------------------------------------------------------
{
	my ($wire, $session) = begin_life('eucjp', 'UTF8');
	my $kanji = "\xe6\xbc\xa2";
	is(issue($wire, $session, $kanji x 100)->{name}, $kanji x 100, 'EUC_JP: 100 characters are kept');
	is($wire->state('SELECT * FROM mirox.issue_token($1, $2, $3)', $session, $kanji x 101, 'reporting'), '22023', '101 are not');
	is($wire->state('SELECT mirox.open_session($1, user_agent => $2)', 'anna', $kanji x 3000), 'ok', 'a long user agent is taken');
	my $stored = $wire->value('SELECT user_agent FROM mirox_internal.session ORDER BY session_id DESC LIMIT 1');
	like($stored, qr/^(?:$kanji){100,256}$/, 'and cut between characters');
	is($wire->value("SELECT octet_length(user_agent) <= 512 FROM mirox_internal.session ORDER BY session_id DESC LIMIT 1"), 't', 'at 512 bytes');
	my $refused = $wire->run('SELECT * FROM mirox.issue_token($1, $2, $3, permissions => $4)', $session, 'x', 'full_access', ['not a scope!']);
	is($refused->{state}, '22023', 'a message of ours arrives');
	is(reason($wire, issue($wire, $session, 'x')->{secret}), 'ok', 'and a token verifies');
	is(broken($wire), '', 'the tables agree');
	$wire->close;
}
clean_log($node);
$node->stop;
done_testing();
