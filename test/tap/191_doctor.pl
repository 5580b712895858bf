# doctor(): sees nothing on a well-kept server, and each condition when it is made for real. Level monitor gets counts, level admin
# names and paths.
use strict;
use warnings;
use File::Copy qw(copy);
use Mirox qw(new_node wire call put_account open_session issue reason clean_log);
use PostgreSQL::Test::Utils;
use Test::More;

my $keys = PostgreSQL::Test::Utils::tempdir() . '/jwt.keys';
PostgreSQL::Test::Utils::append_to_file($keys, 'one: ' . ('ab' x 32) . "\n");
chmod 0600, $keys or die $!;
my $node = new_node('doctor', conf => "fsync = on\nlog_parameter_max_length = 0\nmax_worker_processes = 16\nmirox_tokens.rate_limit = 600\nmirox_tokens.rate_burst = 60\nmirox_tokens.jwt_key_file = '$keys'\n");
$node->safe_psql('postgres', q(
	CREATE ROLE watch LOGIN; SELECT mirox.grant_access('watch', 'monitor');
	CREATE ROLE boss LOGIN; SELECT mirox.grant_access('boss', 'admin');
	CREATE ROLE gate LOGIN; SELECT mirox.grant_access('gate', 'gateway');
	CREATE ROLE page LOGIN; SELECT mirox.grant_access('page', 'application');
	CREATE ROLE app LOGIN; GRANT CREATE ON SCHEMA public TO app));
my $wire = wire($node);
put_account($wire, 'anna', ['*']);
my $session = open_session($wire, 'anna');
my $secret = issue($wire, $session, 'one')->{secret};
is(reason($wire, $secret), 'ok', 'a token is used');
call($wire, 'flush');

# All rows as a hash; a hash too, of what was seen.
sub doctor
{
	my ($as, %options) = @_;
	my ($code, $out, $err) = $node->psql($options{dbname} // 'postgres', 'SELECT name, state, found, seen, advice FROM mirox.doctor()', extra_params => [ '-U', $as, '-A', '-F', "\t" ]);
	is($err, '', "doctor() answers to $as") or return {};
	return { map { my @row = split /\t/, $_, -1; ($row[0] => { state => $row[1], found => $row[2], seen => $row[3], advice => $row[4] }) } split /\n/, $out };
}
sub unwell { my $found = shift; return join ' ', map { "$_=$found->{$_}{state}" } grep { $found->{$_}{state} !~ /^(?:ok|info)$/ } sort keys %$found; }

my $well = doctor('boss');
is(unwell($well), '', 'a well-kept server has nothing to tell');
is(join(' ', grep { ($well->{$_}{state} eq 'ok') ne ($well->{$_}{advice} eq '') } sort keys %$well), '', 'advice is given where something is to do, and there alone');
my $checks = join ' ', sort keys %$well;
is(join(' ', sort keys %{ doctor('watch') }), $checks, 'level monitor gets the same checks');
is(($node->psql('postgres', 'SELECT * FROM mirox.doctor()', extra_params => [ '-U', 'gate' ]))[0], 3, 'another level none');
is(($node->psql('postgres', q(SELECT user_id FROM mirox.accounts), extra_params => [ '-U', 'watch' ]))[0], 3, 'and level monitor nothing of any person');

# condition($check, $state, $found, $seen, $make, $undo): made, found, and gone again.
sub condition
{
	my ($check, $state, $found, $seen, $make, $undo) = @_;
	ref $make ? $make->() : $node->safe_psql('postgres', $make);
	my $row = doctor('boss')->{$check};
	is($row->{state}, $state, "$check: $state");
	is($row->{found}, $found, "$check: counted");
	like($row->{seen}, $seen, "$check: named for level admin");
	isnt($row->{advice}, '', "$check: says what to do");
	my $counts = doctor('watch')->{$check};
	is("$counts->{state} $counts->{found}", "$state $found", "$check: level monitor gets the count");
	is($counts->{seen}, '', "$check: and no name") unless $check =~ /^(?:durability|ring|worker|version|expiring_tokens|unused_tokens|notices)$/;
	ref $undo ? $undo->() : $node->safe_psql('postgres', $undo);
	is(unwell(doctor('boss')), '', "$check: gone");
	return;
}
sub set
{
	my (@settings) = @_;
	return sub {
		$node->safe_psql('postgres', "ALTER SYSTEM $_") for @settings;
		my $before = $node->safe_psql('postgres', 'SELECT pg_conf_load_time()');
		$node->reload;
		$node->poll_query_until('postgres', "SELECT pg_conf_load_time() > '$before'") or die;
		return;
	};
}

condition('log_settings', 'warning', 2, qr/^log_statement = all, log_parameter_max_length = -1$/,
	set(q(SET log_parameter_max_length = -1), q(SET log_statement = 'all')), set('RESET log_statement', 'RESET log_parameter_max_length'));
condition('log_settings', 'warning', 1, qr/^log_parameter_max_length_on_error = -1$/, set('SET log_parameter_max_length_on_error = -1'), set('RESET log_parameter_max_length_on_error'));
condition('durability', 'error', 1, qr/off/, set('SET full_page_writes = off'), set('RESET full_page_writes'));
condition('role_log_settings', 'warning', 1, qr/^gate: log_statement=all$/, q(ALTER ROLE gate SET log_statement = 'all'), 'ALTER ROLE gate RESET ALL');
condition('several_levels', 'warning', 1, qr/^gate: gateway \+ login$/, q(SELECT mirox.grant_access('gate', 'login')), q(SELECT mirox.revoke_access('gate', 'login')));
condition('several_levels', 'warning', 1, qr/^gate: application \+ gateway$/, 'GRANT page TO gate', 'REVOKE page FROM gate');
condition('incomplete_levels', 'warning', 1, qr/^gate: gateway$/, 'REVOKE EXECUTE ON FUNCTION mirox.revoke_self(text, text) FROM gate', q(SELECT mirox.grant_access('gate', 'gateway')));
condition('bypassrls_roles', 'warning', 1, qr/^gate$/, 'ALTER ROLE gate BYPASSRLS', 'ALTER ROLE gate NOBYPASSRLS');
condition('public_access', 'error', 1, qr/^gateway$/, 'GRANT EXECUTE ON FUNCTION mirox.revoke_self(text, text) TO PUBLIC', 'REVOKE EXECUTE ON FUNCTION mirox.revoke_self(text, text) FROM PUBLIC');
condition('own_triggers', 'error', 1, qr/^token_guard on mirox_internal.token$/, 'ALTER TABLE mirox_internal.token DISABLE TRIGGER token_guard', 'ALTER TABLE mirox_internal.token ENABLE TRIGGER token_guard');

# A limit of a role, which would judge one account by two limits, cannot be set.
is(($node->psql('postgres', 'ALTER ROLE gate SET mirox_tokens.rate_burst = 7'))[0], 3, 'a rate limit of a role is refused');

# Bound tables.
$node->safe_psql('postgres', q(CREATE TABLE users (id text PRIMARY KEY); INSERT INTO users VALUES ('anna'); ALTER TABLE users OWNER TO app; SELECT mirox.bind_accounts('users', 'id')));
is(unwell(doctor('boss')), '', 'a bound table');
condition('bound_triggers', 'error', 1, qr/^mirox_account_deleted on public\.users$/, 'ALTER TABLE users DISABLE TRIGGER mirox_account_deleted', 'ALTER TABLE users ENABLE TRIGGER mirox_account_deleted');
condition('bound_tables', 'error', 1, qr/^public\.users$/, 'DROP TRIGGER mirox_account_renamed ON users', q(SELECT mirox.bind_accounts('users', 'id')));
condition('bound_tables', 'error', 1, qr/^a table of app$/, 'DROP TRIGGER mirox_account_renamed ON users; DROP TRIGGER mirox_account_deleted ON users', q(SELECT mirox.bind_accounts('users', 'id')));
condition('bound_children', 'error', 1, qr/^public\.more_users inherits from public\.users$/, 
	# As a restore may leave it; what is attached later by a command is refused.
	q(DROP TRIGGER mirox_account_renamed ON users; DROP TRIGGER mirox_account_deleted ON users; CREATE TABLE more_users () INHERITS (users);
	CREATE CONSTRAINT TRIGGER mirox_account_deleted AFTER DELETE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mirox.account_bound('id');
	CREATE CONSTRAINT TRIGGER mirox_account_renamed AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id)
		EXECUTE FUNCTION mirox.account_bound('id')), 'DROP TABLE more_users');
$node->safe_psql('postgres', q(CREATE TABLE parted (id text) PARTITION BY LIST (id); CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a'); SELECT mirox.bind_accounts('parted', 'id');
	CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('b')));
condition('bound_triggers', 'error', 1, qr/ on public\.parted_b$/, 'ALTER TABLE parted_b DISABLE TRIGGER mirox_account_deleted', 'ALTER TABLE parted_b ENABLE TRIGGER mirox_account_deleted');
$node->safe_psql('postgres', q(CREATE TABLE park (owner text); SELECT mirox.protect_table('park', 'parks', 'owner')));
condition('protected_tables', 'error', 1, qr/^public\.park$/, 'ALTER TABLE park DISABLE ROW LEVEL SECURITY', 'ALTER TABLE park ENABLE ROW LEVEL SECURITY');

# Files.
condition('jwt_key_file', 'error', 1, qr/^\Q$keys\E: unsafe$/, sub { chmod 0644, $keys or die }, sub { chmod 0600, $keys or die });
condition('jwt_key_file', 'error', 1, qr/^\Q$keys\E: unreadable$/, sub { rename $keys, "$keys.away" or die }, sub { rename "$keys.away", $keys or die });
my $mmdb = "$keys.mmdb";
condition('geoip_database', 'error', 1, qr/^\Q$mmdb\E: No such file/, set("SET mirox_tokens.geoip_database = '$mmdb'"), set('RESET mirox_tokens.geoip_database'));
condition('geoip_database', 'warning', 1, qr/^\Q$mmdb\E: last changed 2001-09-09/, sub { copy("$ENV{MIROX_TREE}/test/unit/data/enrich_places_city.mmdb", $mmdb) or die; utime 1_000_000_000, 1_000_000_000, $mmdb or die; set("SET mirox_tokens.geoip_database = '$mmdb'")->() },
	set('RESET mirox_tokens.geoip_database'));
condition('agent_rules', 'error', 1, qr/^\/nowhere: No such file/, set("SET mirox_tokens.agent_rules = '/nowhere'"), set('RESET mirox_tokens.agent_rules'));

# An object of another role: its check stands, those that need the extension's owner are left out, and nothing runs as that owner.
$node->safe_psql('postgres', 'CREATE ROLE stranger; ALTER VIEW mirox.audit_trail OWNER TO stranger');
my $foreign = doctor('watch');
is("$foreign->{foreign_objects}{state} $foreign->{foreign_objects}{found}", 'error 1', 'an object of another role is found');
is($foreign->{own_triggers}, undef, 'and what cannot be looked at is left out');
$node->safe_psql('postgres', 'ALTER VIEW mirox.audit_trail OWNER TO CURRENT_USER');
# The worker may have met it.
call($wire, 'flush');
for (1 .. 120) { last if (doctor('watch')->{worker}{state} // 'ok') eq 'ok'; sleep 1; }

# A table that a session has locked: the drain fails, and is told of.
my $blocker = wire($node);
$blocker->rows($_) for "BEGIN", "LOCK TABLE mirox_internal.usage_open IN ACCESS EXCLUSIVE MODE";
is(reason($wire, $secret), 'ok', 'a use that waits');
my $failing;
for (1 .. 60) { $failing = doctor('watch')->{worker}; last if $failing->{state} eq 'error'; sleep 1; }
is($failing->{state}, 'error', 'a worker that fails is found');
like($failing->{seen}, qr/^55P03: could not/, 'with what failed');
$blocker->rows("ROLLBACK");
$blocker->close;
call($wire, 'flush');
is(unwell(doctor('boss')), '', 'and is well again');

# A notice that nobody reads.
condition('notices', 'warning', 1, qr/^$/, sub { $wire->rows(q(INSERT INTO mirox_internal.posted_notice (at, event) VALUES (now() - interval '8 days', 'secret_leaked'))) },
	q(SELECT mirox.acknowledge_notice(notice_id) FROM mirox.notices));

# A token that expires soon is good to know, no fault.
$wire->rows(q(SELECT token_id FROM mirox.issue_token($1, 'soon', 'full_access', expires_in => '5 days')), $session);
my $soon = doctor('watch')->{expiring_tokens};
is("$soon->{state} $soon->{found}", 'info 1', 'a token that expires soon is counted');

# A transaction that acts for a token may ask too; so may a reader at any isolation level, in a read-only transaction.
my ($code, $out, $err) = $node->psql('postgres', "SET ROLE watch; BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY; SELECT count(*) > 15 FROM mirox.doctor(); COMMIT");
is("$out|$err", 't|', 'in a read-only transaction, too');
$wire->close;
clean_log($node);
done_testing();
