# Notices of expiration whose widest threshold is counted in months, or in hours: told once, whatever the length of the month.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue clean_log);
use Test::More;

my $node = new_node('notices', conf => "mirox_tokens.expiry_notice = '12 months'\n");
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
sub in { return $wire->value('SELECT clock_timestamp() + $1::interval', shift); }
issue($wire, $session, 'far', expires_at => in('362 days'));
issue($wire, $session, 'week', expires_at => in('5 days 1 hour'));
issue($wire, $session, 'hours', expires_at => in('6 hours'));

sub heard
{
	my ($out, $err) = ('', '');
	$node->psql('postgres', "LISTEN mirox_tokens;\nSELECT mirox.flush();\nSELECT pg_sleep(0.3);\nSELECT 1;", stdout => \$out, stderr => \$err);
	my @heard = $out =~ /payload "\{"event" : "token_expiring", "notice_id" : (\d+)\}" received/g;
	return $wire->value('SELECT coalesce(string_agg(concat_ws(\' \', token_name, detail ->> \'threshold_days\'), \', \' ORDER BY token_name COLLATE "C"), \'\') FROM mirox.notices WHERE notice_id = ANY ($1::bigint[])', [ @heard ]);
}
sub set_notice
{
	my $span = shift;
	$node->append_conf('postgresql.conf', "mirox_tokens.expiry_notice = '$span'");
	$node->reload;
	ok($node->poll_query_until('postgres', 'SHOW mirox_tokens.expiry_notice', $span), "the notice is $span");
	# A worker that waits reads it when it wakes.
	return heard();
}
# 12 months are 365 days or 366; the threshold is called 360 in any year.
is(heard(), 'far 360, hours 1, week 7', 'a month counts for 30 days, in the name of the threshold');
is($wire->value('SELECT string_agg(DISTINCT days::text, \' \' ORDER BY days::text) FROM mirox_internal.notice'), '1 360 7', 'so each is noted by a number that does not change');
is(set_notice('360 days'), '', 'no token is told of a threshold of the same name again');
is(set_notice('1 year'), '', 'or of its other name');
is(set_notice('12 hours'), 'hours 0', 'a notice of some hours is told too');
is(heard(), '', 'once');

# What is sent is not to be believed: any role can send it, and to look the token up tells what is so.
$node->safe_psql('postgres', 'CREATE ROLE nobody_special LOGIN');
is(scalar($node->psql('postgres', q(SET ROLE nobody_special; NOTIFY mirox_tokens, '{"event": "token_expiring", "token_id": 1}'))), 0, 'a role without rights can send one');
clean_log($node);
done_testing();
