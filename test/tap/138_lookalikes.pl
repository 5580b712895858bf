# Whose objects our SQL trusts. Look-alikes of all that the extension has, made by a role with nothing but CREATE, are full of
# lures: code that makes him a superuser wherever one runs it. They stand in a database without the extension, in one where it has just been
# dropped with uses waiting, and beside it. Then objects of ours that came to belong to somebody else by mistake, before and in the
# midst of an act. No lure runs as anybody but its maker, checks go on, and once it is put right all works on the same connection.
#
# Of the lines in "Who runs what, as whom" of docs/security.md this file shows: the launcher and the worker without the extension; the worker's
# SQL; functions that manage; triggers that somebody put on our tables; domains and the like; checks; grant_access. The others: our
# triggers, sql/direct.sql and own_triggers.sql; reports, sql/access.sql and 139_dependence.pl; bind_accounts, sql/bind_accounts.sql;
# protect_table, sql/protect.sql; planner functions, sql/protect_plans.sql and function_scan.sql; the hook on utility commands,
# 115_databases.pl; scripts, sql/search_path_attack.sql and 139_dependence.pl.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue reason clean_log);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('lookalikes', conf => "\nmirox_tokens.flush_interval = 200ms\nlog_min_messages = debug1\n");
my $boss = wire($node);
$boss->rows("CREATE ROLE $_ LOGIN") for qw(mallory other trig);
$boss->rows("CREATE DATABASE $_") for qw(prey hides);
$boss->rows("GRANT CREATE ON DATABASE $_ TO mallory") for qw(postgres prey hides);

sub log_text { return slurp_file($node->logfile); }
# What lures there were that ran as somebody else.
sub sprung { return join "\n", log_text() =~ /^.*LURE \S+ AS (?!mallory\b|other\b|trig\b).*$/mg; }
sub nobody_gained
{
	my $name = shift;
	is(sprung(), '', "$name: no lure has run as anybody but its maker");
	is($boss->value("SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolsuper AND rolname IN ('mallory', 'other', 'trig')"), undef, "$name: and nobody gained by it");
	return;
}

# ---- the lures -------------------------------------------------------------------------------------------------------------
# A schema of the role's own with functions that tell the log who runs them, and take what there is to take.
sub lures
{
	my ($wire, $schema, $role) = @_;
	$wire->rows($_) for "CREATE SCHEMA $schema", "GRANT USAGE ON SCHEMA $schema TO PUBLIC",
	  "CREATE FUNCTION $schema.spring(what text) RETURNS boolean LANGUAGE plpgsql AS \$\$ BEGIN
	      RAISE LOG 'LURE % AS %', what, current_user;
	      RAISE NOTICE 'LURE % AS %', what, current_user;
	      IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN EXECUTE 'ALTER ROLE $role SUPERUSER'; END IF;
	      RETURN true; END \$\$",
	  "CREATE FUNCTION $schema.fixed(what text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS \$\$ BEGIN RETURN $schema.spring(what); END \$\$",
	  "CREATE FUNCTION $schema.bait(anyelement) RETURNS anyelement LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $schema.spring('value'); RETURN \$1; END \$\$",
	  "CREATE FUNCTION $schema.fire() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $schema.spring('trigger'); RETURN COALESCE(NEW, OLD); END \$\$",
	  "CREATE TABLE $schema.later (x int)",
	  "CREATE CONSTRAINT TRIGGER later AFTER INSERT ON $schema.later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION $schema.fire()",
	  "CREATE FUNCTION $schema.lure() RETURNS bigint LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO $schema.later VALUES (1); PERFORM $schema.spring('view'); RETURN 0; END \$\$";
	return;
}

# Statements that make a look-alike of every object of the extension, read from the catalog of a database that has it. What only
# C code can make has another kind of the same name: a base type is a domain. Functions of the server's internal types are left out.
my $generate = <<'SQL';
WITH ours AS (SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
              WHERE e.extname = 'mirox_tokens' AND d.deptype = 'e'),
named AS (SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS name, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.oid IN (SELECT objid FROM ours WHERE classid = 'pg_class'::regclass)),
columns AS (SELECT c.oid, c.name, c.relkind, string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) AS plain,
                   string_agg(format('%I %s DEFAULT mal.bait(NULL::%2$s)', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum) AS baited,
                   string_agg(format('NULLIF(mal.lure(), 0)::text::%s AS %I', format_type(a.atttypid, a.atttypmod), a.attname), ', ' ORDER BY a.attnum) AS lured
            FROM named c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped GROUP BY c.oid, c.name, c.relkind)
SELECT statement FROM (
    SELECT 1, format('CREATE SCHEMA %I', nspname) FROM pg_namespace WHERE oid IN (SELECT objid FROM ours WHERE classid = 'pg_namespace'::regclass)
    UNION ALL
    SELECT 2, format('CREATE DOMAIN %s AS %s CHECK (mal.spring(''domain''))', format_type(t.oid, NULL), CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE 'text' END)
    FROM pg_type t WHERE t.typtype IN ('b', 'd') AND t.typelem = 0 AND t.oid IN (SELECT objid FROM ours WHERE classid = 'pg_type'::regclass)
    UNION ALL
    SELECT 3, format('CREATE TYPE %s AS (%s)', format_type(t.oid, NULL), (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
                                                                          FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0))
    FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c' WHERE t.oid IN (SELECT objid FROM ours WHERE classid = 'pg_type'::regclass)
    UNION ALL
    SELECT 4, format('CREATE SEQUENCE %s', name) FROM named WHERE relkind = 'S'
    UNION ALL
    SELECT 5, unnest(CASE WHEN $1 = 'views' OR relkind = 'v' OR name = 'mirox_internal.drain_position'
        THEN ARRAY[format('CREATE VIEW %s AS SELECT %s OFFSET 0', name, lured)]
        ELSE ARRAY[format('CREATE TABLE %s (%s, CHECK (mal.fixed(''check'')))', name, baited),
            format('CREATE TRIGGER before BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION mal.fire()', name),
            format('CREATE TRIGGER statement BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION mal.fire()', name),
            format('CREATE CONSTRAINT TRIGGER later AFTER INSERT OR UPDATE OR DELETE ON %s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION mal.fire()', name),
            format('CREATE RULE also AS ON INSERT TO %s DO ALSO SELECT mal.spring(''rule'')', name),
            format('INSERT INTO %s DEFAULT VALUES', name)] END)
    FROM columns WHERE relkind IN ('r', 'p', 'v')
    UNION ALL
    SELECT 6, format('CREATE INDEX %I ON %s (%I) WHERE mal.fixed(''predicate'')', i.relname, c.name, a.attname)
    FROM named c JOIN pg_index x ON x.indrelid = c.oid JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
    WHERE $1 <> 'views' AND c.name <> 'mirox_internal.drain_position'
    UNION ALL
    SELECT 7, format('CREATE FUNCTION %s.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN PERFORM mal.spring(''function''); RETURN %s; END $f$', p.pronamespace::regnamespace,
                     p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
                     CASE WHEN p.proretset OR p.prorettype = 'void'::regtype OR p.proargmodes::text LIKE '%o%' THEN '' ELSE 'NULL' END)
    FROM pg_proc p WHERE p.oid IN (SELECT objid FROM ours WHERE classid = 'pg_proc'::regclass)
      AND NOT p.proargtypes::oid[] && ARRAY['internal'::regtype, 'cstring'::regtype]::oid[] AND p.prorettype NOT IN ('internal'::regtype, 'cstring'::regtype)
    UNION ALL
    SELECT 8, format('CREATE OPERATOR %s.%s (%sRIGHTARG = %s, FUNCTION = %s)', o.oprnamespace::regnamespace, o.oprname,
                     CASE WHEN o.oprleft <> 0 THEN format('LEFTARG = %s, ', format_type(o.oprleft, NULL)) END, format_type(o.oprright, NULL),
                     format('%s.%I', p.pronamespace::regnamespace, p.proname))
    FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode WHERE o.oid IN (SELECT objid FROM ours WHERE classid = 'pg_operator'::regclass)) s (part, statement)
ORDER BY part
SQL
$boss->rows("SET search_path = pg_catalog");
my %made = map { my $kind = $_; ($kind => [ map { $_->[0] } $boss->rows($generate, $kind) ]) } qw(tables views);
# Rows, too, unless a lure spoils them; within a transaction that would spoil it all.
sub make_lookalikes
{
	my ($wire, $kind, $name) = @_;
	my @failed = grep { !/^INSERT/ && $wire->state($_) ne 'ok' } @{ $made{$kind} };
	if ($wire->{transaction} eq 'I') { $wire->run($_) for grep { /^INSERT/ } @{ $made{$kind} }; }
	is(join("\n", map { substr $_, 0, 100 } @failed), '', "$name: a look-alike of each of " . scalar(@{ $made{$kind} }));
	return;
}
cmp_ok(scalar(grep { /^CREATE (TABLE|VIEW)/ } @{ $made{tables} }), '>=', 30, 'every relation');
cmp_ok(scalar(grep { /^CREATE FUNCTION/ } @{ $made{tables} }), '>=', 90, 'every function that SQL can make');

# ---- in databases without the extension --------------------------------------------------------------------------------------
my %of;
for my $kind (qw(tables views))
{
	my $dbname = $kind eq 'tables' ? 'prey' : 'hides';
	my $wire = $of{$dbname} = wire($node, dbname => $dbname, user => 'mallory');
	lures($wire, 'mal', 'mallory');
	make_lookalikes($wire, $kind, $dbname);
	$wire->close;
}
# The extension was here, and uses of its tokens wait: then the worker comes at once.
$boss->rows('CREATE DATABASE dropped');
$boss->rows('GRANT CREATE ON DATABASE dropped TO mallory');
my $dropped = wire($node, dbname => 'dropped');
$dropped->rows('CREATE EXTENSION mirox_tokens');
put_account($dropped, 'anna', ['*']);
my $once = issue($dropped, open_session($dropped, 'anna'), 'once')->{secret};
$dropped->rows('SET ROLE mallory');
lures($dropped, 'mal', 'mallory');
$dropped->rows('RESET ROLE');
$dropped->rows('BEGIN');
$dropped->rows('SELECT * FROM mirox.verify_token($1)', $once) for 1 .. 100;
$dropped->rows('DROP EXTENSION mirox_tokens');
$dropped->rows('SET ROLE mallory');
make_lookalikes($dropped, 'tables', 'dropped');
$dropped->rows('COMMIT');
$dropped->close;
sub visits { my $dbname = shift; my $oid = $boss->value('SELECT oid FROM pg_database WHERE datname = $1', $dbname); return scalar(() = log_text() =~ /starting background worker process "mirox_tokens worker for database $oid"/g); }
sub await { my ($what, $name) = @_; for (1 .. 900) { return ok(1, $name) if $what->(); sleep 0.1; } return ok(0, $name); }
await(sub { visits('dropped') > 0 }, 'a worker came to the database whose extension was dropped');
my %before = map { $_ => visits($_) } qw(prey hides dropped);
$boss->close;
$node->restart;
$boss = wire($node);
await(sub { visits('prey') > $before{prey} && visits('hides') > $before{hides} && visits('dropped') > $before{dropped} }, 'after a restart it came to all three');
await(sub { !$boss->value("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mirox_tokens worker' AND datname <> 'postgres'") }, 'and left');
nobody_gained('without the extension');

# ---- beside it ---------------------------------------------------------------------------------------------------------------
# In schemas of his own, which a database's owner can put into everybody's search_path. The real ones are taken.
my $mallory = wire($node, user => 'mallory');
lures($mallory, 'mal', 'mallory');
is($mallory->state('CREATE SCHEMA mirox'), '42P06', 'the schemas are taken');
for my $statement (@{ $made{tables} })
{
	next if $statement =~ /^CREATE SCHEMA/;
	(my $own = $statement) =~ s/\bmirox(_internal)?\./mal./g;
	$mallory->run($own);
}
$mallory->run("CREATE FUNCTION mal.$_") for
  map { "$_(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN PERFORM mal.spring(''called''); RETURN NULL; END'" } qw(lower now max count);
$boss->rows('ALTER DATABASE postgres SET search_path = mal, pg_catalog, public');
$boss->close;
$boss = wire($node);
put_account($boss, 'anna', ['*']);
my $session = open_session($boss, 'anna');
my $token = issue($boss, $session, 'one');
is(reason($boss, $token->{secret}, '203.0.113.7', 'curl/8.5.0', 'parks:read'), 'ok', 'a check');
reason($boss, 'mirox_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2UGria');
call($boss, 'flush');
is($boss->value('SELECT uses FROM mirox.token_report'), 1, 'what is recorded is written');
is($boss->value('SELECT count(*) FROM mirox.list_tokens($1)', $session), 1, 'and listed');
nobody_gained('beside the extension');
$boss->rows('ALTER DATABASE postgres RESET search_path');
$boss->close;
$boss = wire($node);

# ---- what a superuser gave away by mistake ------------------------------------------------------------------------------------
# The new owner makes the best of it at once. Acts say what is wrong, checks go on, and when it is put back all goes on as before.
my $other = wire($node, user => 'other');
$boss->rows('GRANT CREATE ON DATABASE postgres TO other, trig');
lures($other, 'bad', 'other');
$boss->rows('GRANT USAGE ON SCHEMA mirox, mirox_internal TO other, trig');
my @writers = ([ 'put_account', 'anna', '{*}' ], [ 'issue_token', $session, 'two', 'full_access' ], [ 'put_group', 'own', '{parks}' ], [ 'put_endpoint', 'GET', '/x', 'parks' ]);
sub acts { my $wire = shift; return join ' ', map { my ($f, @a) = @$_; $wire->state("SELECT mirox.$f(" . join(', ', map { "\$$_" } 1 .. @a) . ')', @a) } @writers; }
my $all_refused = join ' ', ('55000') x @writers;
my $all_well = join ' ', ('ok') x @writers;
is(acts($boss), $all_well, 'before: all works');
my $failures = sub { $boss->value('SELECT flush_failures FROM mirox.stat') };
my @gifts = (
	[ 'TABLE mirox_internal.token_secret', 'CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON mirox_internal.token_secret FOR EACH ROW EXECUTE FUNCTION bad.fire()', 'DROP TRIGGER trap ON mirox_internal.token_secret' ],
	[ 'TABLE mirox_internal.usage_open', 'CREATE TRIGGER trap BEFORE INSERT ON mirox_internal.usage_open FOR EACH STATEMENT EXECUTE FUNCTION bad.fire()', 'DROP TRIGGER trap ON mirox_internal.usage_open' ],
	[ 'TABLE mirox_internal.audit_log', 'CREATE RULE trap AS ON INSERT TO mirox_internal.audit_log DO ALSO SELECT bad.spring(\'rule\')', 'DROP RULE trap ON mirox_internal.audit_log' ],
	[ 'VIEW mirox_internal.open_minute' ],
	[ 'FUNCTION mirox_internal.compile_permissions(mirox.scopes, mirox.scopes)' ],
	[ 'FUNCTION mirox_internal.days_until(timestamptz, timestamptz)' ],
	[ 'DOMAIN mirox_internal.place', 'ALTER DOMAIN mirox_internal.place ADD CONSTRAINT trap CHECK (bad.spring(\'domain\'))', 'ALTER DOMAIN mirox_internal.place DROP CONSTRAINT trap' ],
	[ 'TYPE mirox.verdict' ],
	[ 'SEQUENCE mirox_internal.audit_id_seq' ],
	[ 'SCHEMA mirox' ],
	[ 'SCHEMA mirox_internal' ]);
for my $gift (@gifts)
{
	my ($object, $trap, $undo) = @$gift;
	my ($name) = $object =~ /^\w+ ([\w.]+)/;
	$boss->rows("ALTER $object OWNER TO other");
	is($other->state($trap), 'ok', "$object is another's, who lays a trap") if $trap;
	is(acts($boss), $all_refused, "$object is another's: our SQL refuses to run");
	my $told = $boss->run('SELECT mirox.put_group($1, $2)', 'own', '{reports}');
	like("$told->{message} $told->{hint}", qr/\Q$name\E/, 'and says what is wrong');
	is(reason($boss, $token->{secret}), 'ok', 'checks go on');
	if ($name eq 'mirox_internal.usage_open')
	{
		my $had = $failures->();
		await(sub { $failures->() > $had + 1 }, 'the worker does not write either');
	}
	$other->rows($undo) if $undo;
	$boss->rows("ALTER $object OWNER TO CURRENT_USER");
	$boss->rows('GRANT USAGE ON SCHEMA mirox, mirox_internal TO other') if $object =~ /^SCHEMA/;
	is(acts($boss), $all_well, 'put back: all works, without reconnecting');
}
for my $schema (qw(mirox mirox_internal))
{
	for my $grantee (qw(other PUBLIC))
	{
		$boss->rows("GRANT CREATE ON SCHEMA $schema TO $grantee");
		is(acts($boss), $all_refused, "$grantee may create in $schema: our SQL refuses to run");
		is(reason($boss, $token->{secret}), 'ok', 'checks go on');
		$boss->rows("REVOKE CREATE ON SCHEMA $schema FROM $grantee");
		is(acts($boss), $all_well, 'taken back: all works');
	}
}
# Taken out of the extension, it is still what our SQL names.
$boss->rows('ALTER EXTENSION mirox_tokens DROP TABLE mirox_internal.notice');
is(acts($boss), $all_well, 'an object that is no member any more, but the owner\'s');
$boss->rows('ALTER TABLE mirox_internal.notice OWNER TO other');
is(acts($boss), $all_refused, 'and that is another\'s');
$boss->rows('ALTER TABLE mirox_internal.notice OWNER TO CURRENT_USER');
$boss->rows('ALTER EXTENSION mirox_tokens ADD TABLE mirox_internal.notice');
# A partition of the store by time is no member either. One that came after all was checked, and one that was moved out of our schema.
await(sub { $boss->value(q(SELECT count(*) FROM pg_inherits WHERE inhparent = 'mirox_internal.usage_minute'::regclass)) }, 'the worker has made a partition');
my $partition = $boss->value(q(SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'mirox_internal.usage_minute'::regclass LIMIT 1));
$boss->rows($_) for 'CREATE TABLE bad.next (LIKE mirox_internal.usage_minute INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
  q(ALTER TABLE mirox_internal.usage_minute ATTACH PARTITION bad.next FOR VALUES FROM ('2030-01-01') TO ('2030-01-02'));
is(acts($boss), $all_well, 'a partition of the owner\'s');
for my $moved ('bad.next', $partition, 'bad.moved')
{
	$boss->rows("ALTER TABLE $partition SET SCHEMA bad"), $boss->rows('ALTER TABLE ' . ($partition =~ s/^.*\./bad./r) . ' RENAME TO moved') if $moved eq 'bad.moved';
	$boss->rows("ALTER TABLE $moved OWNER TO other");
	is($other->state("CREATE TRIGGER trap BEFORE INSERT ON $moved FOR EACH ROW EXECUTE FUNCTION bad.fire()"), 'ok', "$moved is another's, who lays a trap");
	is(acts($boss), $all_refused, 'our SQL refuses to run');
	my $had = $failures->();
	reason($boss, $token->{secret});
	await(sub { $failures->() > $had + 1 }, 'nor does the worker write');
	$other->rows("DROP TRIGGER trap ON $moved");
	$boss->rows("ALTER TABLE $moved OWNER TO CURRENT_USER");
	is(acts($boss), $all_well, 'put back: all works');
}
$boss->rows('ALTER TABLE bad.moved RENAME TO ' . ($partition =~ s/^.*\.//r)), $boss->rows('ALTER TABLE bad.' . ($partition =~ s/^.*\.//r) . ' SET SCHEMA mirox_internal');
$boss->rows('DROP TABLE bad.next');
# Put into the schema from outside.
$other->rows('CREATE FUNCTION bad.days_until(timestamptz, date) RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$');
$boss->rows('ALTER FUNCTION bad.days_until(timestamptz, date) SET SCHEMA mirox_internal');
is(acts($boss), $all_refused, 'somebody\'s overload beside a function of ours');
$boss->rows('DROP FUNCTION mirox_internal.days_until(timestamptz, date)');
# Another superuser's is no danger, as long as he is one.
$boss->rows('CREATE ROLE second SUPERUSER');
$boss->rows('CREATE VIEW mirox.his AS SELECT 1 AS one');
$boss->rows('ALTER VIEW mirox.his OWNER TO second');
is(acts($boss), $all_well, 'a view of another superuser\'s');
$boss->rows('ALTER ROLE second NOSUPERUSER');
is(acts($boss), $all_refused, 'who is one no more');
$boss->rows('DROP VIEW mirox.his');
is(acts($boss), $all_well, 'gone');
call($boss, 'flush');
nobody_gained('by mistake');

# ---- in the midst of an act ----------------------------------------------------------------------------------------------------
# The trap is laid while the act waits for the table's lock (by our own SQL, and by the rows that are written without a plan), or
# within a transaction that has heard of nothing since it began.
my $act = wire($node);
for my $case ([ 'session', 'open_session', 'anna' ], [ 'audit_log', 'open_session', 'anna' ], [ 'permission_group', 'put_group', 'own', '{exports}' ])
{
	my ($table, $function, @arguments) = @$case;
	my $call = "SELECT mirox.$function(" . join(', ', map { "\$$_" } 1 .. @arguments) . ')';
	$act->rows($call, @arguments);
	$boss->rows('BEGIN');
	$boss->rows("ALTER TABLE mirox_internal.$table OWNER TO other");
	$boss->rows('SET LOCAL ROLE other');
	$boss->rows("CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON mirox_internal.$table FOR EACH ROW EXECUTE FUNCTION bad.fire()");
	$boss->rows('RESET ROLE');
	$act->send($call, @arguments);
	await(sub { $boss->value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = \$1", $act->{pid}) }, "$function waits for $table");
	$boss->rows('COMMIT');
	is($act->wait->{state}, '55000', 'and does not run what stands there then');
	$boss->rows("DROP TRIGGER trap ON mirox_internal.$table");
	$boss->rows("ALTER TABLE mirox_internal.$table OWNER TO CURRENT_USER");
	is($act->state($call, @arguments), 'ok', 'put back: it works');
}
$act->rows('BEGIN');
$act->rows('SELECT mirox.put_account($1, $2)', 'bob', '{*}');
$boss->rows('ALTER TABLE mirox_internal.endpoint OWNER TO other');
$other->rows('CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON mirox_internal.endpoint FOR EACH ROW EXECUTE FUNCTION bad.fire()');
is($act->state('SELECT mirox.put_endpoint($1, $2, $3)', 'GET', '/x', 'exports'), '55000', 'a transaction that began before');
$act->rows('ROLLBACK');
$other->rows('DROP TRIGGER trap ON mirox_internal.endpoint');
$boss->rows('ALTER TABLE mirox_internal.endpoint OWNER TO CURRENT_USER');
is(acts($boss), $all_well, 'all works again');
nobody_gained('in the midst of an act');

# ---- a trigger that fires at COMMIT, by a role that may make triggers -----------------------------------------------------------
my $trig = wire($node, user => 'trig');
lures($trig, 'tri', 'trig');
call($boss, 'flush');
$boss->rows('GRANT TRIGGER ON mirox_internal.usage_open TO trig');
$trig->rows('CREATE CONSTRAINT TRIGGER later AFTER INSERT OR DELETE ON mirox_internal.usage_open DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tri.fire()');
my $had = $failures->();
reason($boss, $token->{secret}) for 1 .. 5;
await(sub { $failures->() > $had + 1 }, 'the worker refuses to queue it');
like(log_text(), qr/cannot fire deferred trigger within security-restricted operation/, 'and the log says why');
nobody_gained('deferred');
$boss->rows('DROP TRIGGER later ON mirox_internal.usage_open');
$boss->rows('REVOKE TRIGGER ON mirox_internal.usage_open FROM trig');
call($boss, 'flush');
is($boss->value('SELECT events_waiting FROM mirox.stat'), 0, 'without it what was waiting is written');

# ---- who may write all data -----------------------------------------------------------------------------------------------------
# What grant_access makes SQL of cannot be written by anybody; nor is its text ever SQL.
$boss->rows('CREATE ROLE writer LOGIN IN ROLE pg_write_all_data');
$boss->rows('CREATE ROLE guest');
my $writer = wire($node, user => 'writer');
my $injected = 'pg_catalog.now() TO guest; ALTER ROLE writer SUPERUSER; GRANT EXECUTE ON FUNCTION pg_catalog.now()';
is($writer->state('INSERT INTO mirox_internal.access_rule VALUES ($1, $2, $3)', $injected, 'function', 'login'), '42501', 'rules of access are for scripts alone');
is($writer->state($_), '42501', "so is $_") for "UPDATE mirox_internal.access_rule SET level = 'login' WHERE level = 'admin'", 'DELETE FROM mirox_internal.access_rule';
is($boss->state('TRUNCATE mirox_internal.access_rule'), '42501', 'and TRUNCATE');
$boss->rows('ALTER TABLE mirox_internal.access_rule DISABLE TRIGGER ALL');
my $rule = 'INSERT INTO mirox_internal.access_rule VALUES ($1, $2, $3)';
$writer->rows($rule, $injected, 'function', 'login');
is($boss->state("SELECT mirox.grant_access('guest', 'login')"), '42601', 'a text that names no function');
$boss->rows('DELETE FROM mirox_internal.access_rule WHERE object = $1', $injected);
$writer->rows($rule, @$_) for [ 'pg_catalog.pg_read_file(text)', 'function', 'login' ], [ 'pg_catalog.pg_authid', 'relation', 'login' ];
$boss->rows("SELECT mirox.grant_access('guest', 'login')");
is($boss->value("SELECT rolsuper FROM pg_roles WHERE rolname = 'writer'"), 'f', 'is no SQL');
is($boss->value("SELECT has_function_privilege('guest', 'pg_catalog.pg_read_file(text)', 'EXECUTE') OR has_table_privilege('guest', 'pg_catalog.pg_authid', 'SELECT')"), 'f', 'and only members are granted');
is($boss->value("SELECT has_function_privilege('guest', 'mirox.open_session(text,interval,inet,text)', 'EXECUTE')"), 't', 'which they are');
$boss->rows("SELECT mirox.revoke_access('guest', 'login')");
is($boss->value("SELECT has_function_privilege('guest', 'mirox.open_session(text,interval,inet,text)', 'EXECUTE')"), 'f', 'and revoked');

# Two who grant at once wait for each other.
$act->rows('BEGIN');
$act->rows("SELECT mirox.grant_access('guest', 'gateway')");
$boss->send("SELECT mirox.grant_access('trig', 'gateway')");
# By its id: a transaction sees the texts of queries as they were when it first looked.
await(sub { $act->value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = \$1", $boss->{pid}) }, 'a second grant_access waits');
$act->rows('COMMIT');
is($boss->wait->{state}, undef, 'and then grants too');

# ---- the lures do work: a superuser who reads them springs one --------------------------------------------------------------------
my $reader = wire($node, dbname => 'prey');
$reader->rows('BEGIN');
$reader->rows('SELECT * FROM mirox_internal.drain_position');
$reader->rows('ROLLBACK');
like(sprung(), qr/LURE view AS/, 'a lure that a superuser runs is seen here');
$_->close for $reader, $writer, $trig, $act, $other, $mallory, $boss;
clean_log($node);
$node->stop;
done_testing();
