# What depends on what. A database's owner, a schema's, a trusted extension's, a holder of CREATE and roles that the superuser's
# ALTER DEFAULT PRIVILEGES name try all there is on all that is ours: nothing is dropped, altered or read, and all tokens verify. Their
# own tables, types and views, which use whatever of ours they can name, stand in the way of no update, dump or restore. And the
# extension works as an owner who is no superuser.
use strict;
use warnings;
use Mirox qw(new_node wire call put_account open_session issue reason contents clean_log);
use Mirox::Members qw($acls);
use Mirox::Tree qw(update_script);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_node('dependence', extension => 0, conf => "\nmirox_tokens.flush_interval = 200ms\nlog_min_messages = log\n");
my $boss = wire($node);
my @roles = qw(dbowner pubowner creator named granter nobody);
$boss->rows("CREATE ROLE $_ LOGIN") for @roles, qw(reports app);
$boss->rows("CREATE DATABASE $_") for qw(plain hard);
$boss->rows('CREATE DATABASE shop OWNER dbowner');

# What the superuser may have said before: to roles by name, to everybody, and taken from everybody.
my @generous = map { my $kind = $_; map { "ALTER DEFAULT PRIVILEGES GRANT ALL ON $kind TO $_" } 'named', 'granter WITH GRANT OPTION', 'PUBLIC' } qw(TABLES SEQUENCES FUNCTIONS TYPES SCHEMAS);
my @harsh = ('ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC', 'ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC');
sub acls { my $dbname = shift; return $node->safe_psql($dbname, "SET search_path = pg_catalog; $acls"); }

my $plain = wire($node, dbname => 'plain');
$plain->rows('CREATE EXTENSION mirox_tokens');
my $hard = wire($node, dbname => 'hard');
$hard->rows($_) for @harsh, 'CREATE EXTENSION mirox_tokens';
is(acls('hard'), acls('plain'), 'what default privileges take from PUBLIC is given to it all the same, where types and policies need it');
$_->close for $plain, $hard;

my $wire = wire($node, dbname => 'shop');
$wire->rows('ALTER SCHEMA public OWNER TO pubowner');
$wire->rows('GRANT CREATE ON DATABASE shop TO creator, pubowner, named, granter');
$wire->rows($_) for @generous;
my %as = map { $_ => wire($node, dbname => 'shop', user => $_) } @roles, 'reports';
$as{creator}->rows($_) for 'CREATE SCHEMA devs', 'CREATE EXTENSION pgcrypto SCHEMA devs';
$wire->rows('CREATE EXTENSION mirox_tokens');
is(acls('shop'), acls('plain'), 'what default privileges gave is taken back');
$wire->rows('DROP EXTENSION mirox_tokens');
$wire->rows('DO $$ BEGIN CREATE EXTENSION mirox_tokens; EXCEPTION WHEN division_by_zero THEN NULL; END $$');
is(acls('shop'), acls('plain'), 'so it is where the extension is made in a subtransaction');
$wire->rows("SELECT mirox.grant_access('reports', 'reporting')");

put_account($wire, 'anna', [ 'parks', 'reports' ]);
my $session = open_session($wire, 'anna');
my @secrets = map { issue($wire, $session, "token $_")->{secret} } 1 .. 5;
sub all_verify { my ($name) = @_; return is(join(' ', map { reason($wire, $_) } @secrets), join(' ', ('ok') x @secrets), "$name: every token verifies"); }
all_verify('before');
call($wire, 'flush');

# ---- all that may be tried ------------------------------------------------------------------------------------------------------
# R: the role. A statement that is to fail, for each object and each thing that can be done to it.
my $tries = <<'SQL';
WITH ours AS (SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
              WHERE e.extname = 'mirox_tokens' AND d.deptype = 'e'),
relations AS (SELECT c.oid::regclass::text AS name, c.relkind, CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
                     (SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum = 1) AS first
              FROM pg_class c WHERE c.oid IN (SELECT objid FROM ours WHERE classid = 'pg_class'::regclass) AND relkind <> 'c'),
functions AS (SELECT p.oid::regprocedure::text AS signature, p.oid, p.pronamespace::regnamespace || '.' || quote_ident(p.proname) AS name,
                     (SELECT string_agg(format('(SELECT NULL::%s)', format_type(t, NULL)), ', ' ORDER BY n) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY u (t, n)) AS arguments, p.proargtypes
              FROM pg_proc p WHERE p.oid IN (SELECT objid FROM ours WHERE classid = 'pg_proc'::regclass)),
types AS (SELECT format_type(t.oid, NULL) AS name, t.typtype, CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END AS kind FROM pg_type t
          WHERE t.typelem = 0 AND t.oid IN (SELECT objid FROM ours WHERE classid = 'pg_type'::regclass))
SELECT replace(replace(template, '{}', name), '{first}', COALESCE(first, 'x')) FROM (
    SELECT name, first, unnest(ARRAY[format('DROP %s {} CASCADE', kind), format('ALTER %s {} RENAME TO mine', kind), format('ALTER %s {} OWNER TO R', kind), format('ALTER %s {} SET SCHEMA devs', kind),
        format('COMMENT ON %s {} IS ''mine''', kind), 'GRANT ALL ON {} TO R', 'SELECT * FROM {}', 'SELECT count(*) FROM {}', 'TABLE {}', 'COPY (SELECT * FROM {}) TO STDOUT']
        || CASE WHEN relkind = 'S' THEN ARRAY['SELECT nextval(''{}'')', 'SELECT setval(''{}'', 1)', 'ALTER SEQUENCE {} RESTART'] ELSE
           ARRAY['INSERT INTO {} DEFAULT VALUES', 'UPDATE {} SET {first} = NULL', 'DELETE FROM {}', 'CREATE TRIGGER mine BEFORE INSERT ON {} FOR EACH STATEMENT EXECUTE FUNCTION suppress_redundant_updates_trigger()',
           'CREATE RULE mine AS ON INSERT TO {} DO INSTEAD NOTHING', 'CREATE POLICY mine ON {}', 'LOCK TABLE {} IN ACCESS SHARE MODE', 'LOCK TABLE {} IN ACCESS EXCLUSIVE MODE', 'SELECT 1 FROM {} FOR UPDATE',
           'SELECT tableoid, ctid FROM {}', 'SELECT {first} FROM {}', 'SELECT x FROM {} x', 'CREATE STATISTICS devs.mine ON {first}, {first} FROM {}', 'CREATE PUBLICATION mine FOR TABLE {}',
           'SECURITY LABEL ON TABLE {} IS ''mine''', 'TRUNCATE {} CASCADE', 'CREATE INDEX mine ON {} ({first})', 'ALTER TABLE {} ADD COLUMN mine int', 'ALTER TABLE {} DISABLE TRIGGER ALL',
           'ALTER TABLE {} ENABLE ROW LEVEL SECURITY', 'CREATE TABLE devs.child () INHERITS ({})', 'CREATE TABLE devs.refers (x bigint REFERENCES {})', 'COPY {} TO STDOUT', 'COPY {} FROM STDIN',
           'SELECT query_to_xml(''SELECT * FROM {}'', true, true, '''')', 'CREATE VIEW devs.mine AS SELECT * FROM {}; SELECT * FROM devs.mine'] END) AS template FROM relations
    UNION ALL
    SELECT i.oid::regclass::text, NULL, unnest(ARRAY['DROP INDEX {}', 'ALTER INDEX {} RENAME TO mine', 'REINDEX INDEX {}']) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid IN (SELECT objid FROM ours WHERE classid = 'pg_class'::regclass)
    UNION ALL
    SELECT t.tgname::text, NULL, unnest(ARRAY[format('DROP TRIGGER {} ON %s CASCADE', t.tgrelid::regclass), format('ALTER TRIGGER {} ON %s RENAME TO mine', t.tgrelid::regclass),
        format('ALTER TABLE %s DISABLE TRIGGER {}', t.tgrelid::regclass)]) FROM pg_trigger t
    WHERE t.tgrelid IN (SELECT objid FROM ours WHERE classid = 'pg_class'::regclass) AND NOT t.tgisinternal
    UNION ALL
    SELECT signature, NULL, unnest(ARRAY['DROP FUNCTION {} CASCADE', 'ALTER FUNCTION {} OWNER TO R', 'ALTER FUNCTION {} SET search_path = devs', 'ALTER FUNCTION {} RENAME TO mine', 'ALTER FUNCTION {} SET SCHEMA devs',
        'COMMENT ON FUNCTION {} IS ''mine''', 'GRANT EXECUTE ON FUNCTION {} TO R', 'ALTER FUNCTION {} DEPENDS ON EXTENSION pgcrypto', 'SECURITY LABEL ON FUNCTION {} IS ''mine''']) FROM functions
    UNION ALL
    SELECT name, NULL, format('SELECT {}(%s)', arguments) FROM functions f WHERE NOT has_function_privilege('nobody', f.oid, 'EXECUTE') AND NOT f.proargtypes::oid[] && ARRAY['internal'::regtype, 'cstring'::regtype]::oid[]
    UNION ALL
    SELECT name, NULL, unnest(ARRAY[format('DROP %s {} CASCADE', kind), format('ALTER %s {} OWNER TO R', kind), format('ALTER %s {} RENAME TO mine', kind), format('ALTER %s {} SET SCHEMA devs', kind),
        format('COMMENT ON %s {} IS ''mine''', kind), 'GRANT ALL ON TYPE {} TO R WITH GRANT OPTION']
        || CASE typtype WHEN 'c' THEN ARRAY['ALTER TYPE {} ADD ATTRIBUTE mine int CASCADE', 'ALTER TYPE {} DROP ATTRIBUTE status CASCADE'] WHEN 'd' THEN ARRAY['ALTER DOMAIN {} ADD CHECK (true)', 'CREATE DOMAIN devs.mine AS {}', 'CREATE TABLE devs.mine (x {})']
           ELSE ARRAY['ALTER TYPE {} SET (STORAGE = plain)'] END) FROM types
    UNION ALL
    SELECT o.oid::regoperator::text, NULL, unnest(ARRAY[format('DROP OPERATOR %s CASCADE', n.name), format('ALTER OPERATOR %s OWNER TO R', n.name), format('ALTER OPERATOR %s SET (RESTRICT = NONE)', n.name), format('COMMENT ON OPERATOR %s IS ''mine''', n.name)])
    FROM pg_operator o CROSS JOIN LATERAL (SELECT format('%s.%s (%s, %s)', o.oprnamespace::regnamespace, o.oprname, CASE o.oprleft WHEN 0 THEN 'NONE' ELSE format_type(o.oprleft, NULL) END, format_type(o.oprright, NULL)) AS name) n
    WHERE o.oid IN (SELECT objid FROM ours WHERE classid = 'pg_operator'::regclass)
    UNION ALL
    SELECT format('%s.%s USING %s', c.opcnamespace::regnamespace, c.opcname, m.amname), NULL, unnest(ARRAY['DROP OPERATOR CLASS {} CASCADE', 'DROP OPERATOR FAMILY {} CASCADE', 'ALTER OPERATOR CLASS {} OWNER TO R', 'ALTER OPERATOR FAMILY {} OWNER TO R'])
    FROM pg_opclass c JOIN pg_am m ON m.oid = c.opcmethod WHERE c.oid IN (SELECT objid FROM ours WHERE classid = 'pg_opclass'::regclass)
    UNION ALL
    SELECT format('(%s AS %s)', format_type(castsource, NULL), format_type(casttarget, NULL)), NULL, unnest(ARRAY['DROP CAST {} CASCADE', 'COMMENT ON CAST {} IS ''mine''']) FROM pg_cast WHERE oid IN (SELECT objid FROM ours WHERE classid = 'pg_cast'::regclass)
    UNION ALL
    SELECT s, NULL, unnest(ARRAY['DROP SCHEMA {} CASCADE', 'ALTER SCHEMA {} RENAME TO mine', 'ALTER SCHEMA {} OWNER TO R', 'COMMENT ON SCHEMA {} IS ''mine''', 'CREATE TABLE {}.mine (x int)', 'CREATE FUNCTION {}.mine() RETURNS int LANGUAGE sql AS ''SELECT 1''',
        'CREATE VIEW {}.mine AS SELECT 1', 'GRANT ALL ON SCHEMA {} TO R', 'GRANT SELECT ON ALL TABLES IN SCHEMA {} TO R', 'ALTER DEFAULT PRIVILEGES FOR ROLE ' || current_user || ' IN SCHEMA {} GRANT ALL ON TABLES TO R', 'REINDEX SCHEMA {}',
        'CREATE PUBLICATION mine FOR TABLES IN SCHEMA {}', 'ALTER FUNCTION devs.crypt(text, text) SET SCHEMA {}', 'ALTER EXTENSION pgcrypto SET SCHEMA {}']) FROM unnest(ARRAY['mirox', 'mirox_internal']) s
    UNION ALL
    SELECT 'mirox_tokens', NULL, unnest(ARRAY['DROP EXTENSION {} CASCADE', 'ALTER EXTENSION {} UPDATE', 'ALTER EXTENSION {} SET SCHEMA devs', 'COMMENT ON EXTENSION {} IS ''mine''', 'ALTER EXTENSION {} DROP TABLE mirox_internal.token', 'ALTER EXTENSION {} DROP VIEW mirox.token_report',
        'ALTER EXTENSION {} DROP SCHEMA mirox', 'DROP EXTENSION pgcrypto, {} CASCADE', 'CREATE EXTENSION {}', 'ALTER DATABASE shop SET mirox_tokens.rate_limit = 1', 'SET mirox_tokens.rate_limit = 1', 'DROP OWNED BY ' || current_user || ' CASCADE',
        'REASSIGN OWNED BY ' || current_user || ' TO R', 'SET ROLE ' || current_user, 'CREATE EVENT TRIGGER mine ON sql_drop EXECUTE FUNCTION devs.mine()'])) t (name, first, template)
SQL
$wire->rows('SET search_path = pg_catalog');
my @tries = map { $_->[0] } $wire->rows($tries);
cmp_ok(scalar @tries, '>', 2500, 'of things to try there are ' . @tries);
my $contents = contents($node, 'shop');
my $ours = sub { return acls('shop') . $node->safe_psql('shop', "SELECT count(*), string_agg(classid::regclass || pg_describe_object(classid, objid, 0), ' ' ORDER BY classid, objid) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'mirox_tokens')") };
my $before = $ours->();
for my $role (@roles)
{
	my @may;
	for my $try (@tries)
	{
		(my $statement = $try) =~ s/\bR\b/$role/g;
		$as{$role}->script($statement);
		my $result = $as{$role}->wait;
		# A GRANT of nothing is a warning.
		push @may, $statement if @{ $result->{rows} } || !$result->{state} && !grep { $_->{C} eq '01007' } @{ $result->{notices} };
	}
	is(join("\n", @may), '', "$role may do none of it, and reads nothing");
}
# As they clean up their own, with all that depends on it. What is not refused takes nothing of ours along.
$as{dbowner}->run($_) for 'DROP SCHEMA public CASCADE', 'ALTER DATABASE shop SET search_path = devs', 'REASSIGN OWNED BY dbowner TO dbowner';
is($as{pubowner}->state('DROP SCHEMA public CASCADE'), 'ok', 'the owner of public drops it with CASCADE');
is($as{creator}->state('DROP EXTENSION pgcrypto CASCADE'), 'ok', 'the owner of pgcrypto likewise');
$as{$_}->run("DROP OWNED BY $_ CASCADE") for @roles;
is($ours->(), $before, 'all that is ours is there, with the rights that it had');
is(contents($node, 'shop'), $contents, 'and every row');
all_verify('after it');
$wire->rows('GRANT CREATE ON DATABASE shop TO creator');
$as{creator}->rows('CREATE SCHEMA IF NOT EXISTS devs');

# ---- types of inner tables --------------------------------------------------------------------------------------------------------
# They cannot be named.
my $oid = $wire->value("SELECT 'mirox_internal.token'::regclass::oid");
my @named = ('CREATE TABLE devs.x (a mirox_internal.token)', 'CREATE TABLE devs.x (a mirox_internal.token[])', 'CREATE TABLE devs.x (a mirox_internal._token)', 'CREATE TABLE devs.x (LIKE mirox_internal.token)',
	'CREATE TABLE devs.x OF mirox_internal.token', 'CREATE FUNCTION devs.x(mirox_internal.token) RETURNS int LANGUAGE sql AS \'SELECT 1\'', 'CREATE FUNCTION devs.x(mirox_internal.token.name%TYPE) RETURNS int LANGUAGE sql AS \'SELECT 1\'',
	'CREATE FUNCTION devs.x() RETURNS SETOF mirox_internal.token LANGUAGE sql AS \'SELECT NULL\'', 'CREATE TYPE devs.x AS (a mirox_internal.token)', 'CREATE DOMAIN devs.x AS mirox_internal.place', 'CREATE CAST (mirox_internal.token AS text) WITH INOUT',
	'DO $$ DECLARE x mirox_internal.token%ROWTYPE; BEGIN NULL; END $$', 'DO $$ DECLARE x mirox_internal.token.name%TYPE; BEGIN NULL; END $$', 'SELECT NULL::mirox_internal.token', "SELECT 'mirox_internal.token'::regtype",
	"SELECT pg_typeof(NULL::mirox_internal.token)", "SELECT * FROM json_populate_record(NULL::mirox_internal.token, '{}')", "SELECT * FROM json_to_record('{}') AS t (x mirox_internal.token)", 'PREPARE x (mirox_internal.token) AS SELECT $1',
	"SELECT 'mirox_internal.token'::regclass", 'CREATE TABLE devs.x AS TABLE mirox_internal.token WITH NO DATA', "SELECT currval('mirox_internal.token_id_seq')", 'CREATE AGGREGATE devs.x (mirox_internal.token) (SFUNC = array_append, STYPE = mirox_internal.token[])');
is(join("\n", grep { $as{creator}->state($_) ne '42501' } @named), '', 'no statement of theirs can name one');
is($wire->value(<<'SQL'), undef, 'and nothing in mirox shows one: no column of a view or type, no argument or result');
WITH inner_types AS (SELECT oid FROM pg_type WHERE typnamespace = 'mirox_internal'::regnamespace)
SELECT string_agg(at, ', ') FROM (
    SELECT format('%s.%s', a.attrelid::regclass, a.attname) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'mirox'::regnamespace AND a.attnum > 0 AND a.atttypid IN (SELECT oid FROM inner_types)
    UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.pronamespace = 'mirox'::regnamespace
      AND (p.prorettype IN (SELECT oid FROM inner_types) OR EXISTS (SELECT FROM inner_types t WHERE t.oid = ANY (p.proargtypes::oid[] || p.proallargtypes)))) s (at)
SQL
# But by number they can be had, in the server's own protocol, and a view can name a table's number: neither hinders an update.
sub typed_table
{
	my ($wire, $table, $type) = @_;
	my $message = sub { return $_[0] . pack('N', 4 + length $_[1]) . $_[1] };
	$wire->_write($message->('P', "\0CREATE TABLE $table AS SELECT \$1 AS x WHERE false\0" . pack('nN', 1, $type)) . $message->('B', "\0\0" . pack('nnNn', 0, 1, 0xffffffff, 0))
		  . $message->('E', "\0" . pack('N', 0)) . $message->('S', ''));
	$wire->{busy} = 1;
	return $wire->wait->{state} // 'ok';
}

# ---- strangers' objects that use ours ------------------------------------------------------------------------------------------------
$wire->rows('GRANT reports TO creator');
my @inner = $wire->rows("SELECT relname, reltype FROM pg_class WHERE relnamespace = 'mirox_internal'::regnamespace AND relkind IN ('r', 'p', 'v')");
is(join(' ', grep { $_ ne 'ok' } map { typed_table($as{creator}, "devs.by_number_$_->[0]", $_->[1]) } @inner), '', 'tables with columns of every inner row type, by number');
my @types = map { $_->[0] } $wire->rows("SELECT c.oid::regclass FROM pg_class c WHERE c.relkind = 'c' AND c.relnamespace = 'mirox'::regnamespace");
my @views = map { $_->[0] } $wire->rows("SELECT c.oid::regclass FROM pg_class c WHERE c.relkind = 'v' AND c.relnamespace = 'mirox'::regnamespace AND has_table_privilege('reports', c.oid, 'SELECT')");
my @way;
for my $type (@types)
{
	(my $n = $type) =~ s/\W/_/g;
	push @way, "CREATE TABLE devs.typed_$n OF $type", "CREATE TABLE devs.child_$n (added text) INHERITS (devs.typed_$n)", "CREATE TABLE devs.column_$n (a $type, b ${type}[])", "INSERT INTO devs.column_$n DEFAULT VALUES",
	  "CREATE DOMAIN devs.domain_$n AS $type", "CREATE TYPE devs.pair_$n AS (a $type, b int)", "CREATE TABLE devs.deep_$n (a devs.pair_$n, b devs.domain_$n)", "CREATE FUNCTION devs.takes_$n($type) RETURNS SETOF $type LANGUAGE sql AS 'SELECT \$1'",
	  "CREATE VIEW devs.view_$n AS SELECT (devs.takes_$n(a)).* FROM devs.column_$n", "CREATE TYPE devs.own_$n AS (x int)", "CREATE FUNCTION devs.cast_$n($type) RETURNS devs.own_$n LANGUAGE sql AS 'SELECT ROW(1)::devs.own_$n'",
	  "CREATE CAST ($type AS devs.own_$n) WITH FUNCTION devs.cast_$n($type)";
}
push @way, 'CREATE TABLE devs.parted OF mirox.verdict PARTITION BY LIST (status)', 'CREATE TABLE devs.part PARTITION OF devs.parted DEFAULT', 'CREATE TABLE devs.scopes (s mirox.scopes, d mirox.digest, UNIQUE (d))', 'CREATE INDEX ON devs.scopes USING hash (s)',
  "CREATE VIEW devs.numbered AS SELECT '$oid'::regclass AS x", 'CREATE OPERATOR devs.=== (LEFTARG = mirox.scopes, RIGHTARG = mirox.scopes, FUNCTION = mirox.scopes_eq)',
  'CREATE FUNCTION devs.added(mirox.scopes) RETURNS int LANGUAGE sql AS \'SELECT 1\'';
for my $view (@views)
{
	(my $n = $view) =~ s/\W/_/g;
	push @way, "CREATE TABLE devs.row_$n (a $view)", "CREATE VIEW devs.all_$n AS SELECT * FROM $view", "CREATE VIEW devs.whole_$n AS SELECT x FROM $view x", "CREATE MATERIALIZED VIEW devs.kept_$n AS SELECT * FROM $view", "CREATE TABLE devs.copied_$n AS SELECT * FROM $view",
	  "CREATE FUNCTION devs.rows_$n() RETURNS SETOF $view LANGUAGE sql BEGIN ATOMIC SELECT * FROM $view; END", "CREATE FUNCTION devs.text_$n() RETURNS SETOF $view LANGUAGE sql AS 'SELECT * FROM $view'", "CREATE TABLE devs.like_$n (LIKE $view, added text)";
}
is(join("\n", map { my $s = $as{creator}->run($_); $s->{state} ? "$s->{state} $s->{message}: $_" : () } @way), '', 'what a role with CREATE and level reporting can make of ours: ' . @way);

# ---- dump and restore, strangers' objects and default privileges included ------------------------------------------------------------
my $folder = PostgreSQL::Test::Utils::tempdir();
my ($out, $err) = run_command([ 'pg_dump', '-d', $node->connstr('shop'), '-f', "$folder/shop.sql" ]);
is($err, '', 'pg_dump has nothing to say');
$contents = contents($node, 'shop');
my $granted = acls('shop');
for my $target (qw(calm generous))
{
	$boss->rows("CREATE DATABASE $target TEMPLATE template0");
	if ($target eq 'generous')
	{
		my $there = wire($node, dbname => $target);
		$there->rows($_) for @generous;
		$there->close;
	}
	$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($target), '-f', "$folder/shop.sql" ], "$target: plays back");
	is(acls($target), $granted, "$target: the rights are those of before");
	is(contents($node, $target), $contents, "$target: and the rows");
	($out, $err) = run_command([ 'pg_dump', '-d', $node->connstr($target), '-f', "$folder/again.sql" ]);
	is($err, '', "$target: its dump says nothing either");
}

# ---- an update ----------------------------------------------------------------------------------------------------------------------
# As CONTRIBUTING.md has it: tables whose rows are of a type of ours are let go from it first; columns are added at the end, in tables
# without a default and of no domain, since either would rewrite them.
my $additions = $wire->value(<<'SQL');
WITH ours AS (SELECT c.* FROM pg_class c WHERE c.oid IN (SELECT d.objid FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
              WHERE e.extname = 'mirox_tokens' AND d.deptype = 'e' AND d.classid = 'pg_class'::regclass) OR c.relkind = 'c' AND c.relnamespace = 'mirox'::regnamespace)
SELECT string_agg(CASE relkind
    WHEN 'c' THEN format('ALTER TYPE %s ADD ATTRIBUTE added integer;', oid::regclass)
    WHEN 'p' THEN format('ALTER TABLE %s ADD COLUMN added integer;', oid::regclass)
    WHEN 'r' THEN format('ALTER TABLE %s ADD COLUMN added integer;', oid::regclass)
    WHEN 'v' THEN format('CREATE OR REPLACE VIEW %s AS SELECT before.*, NULL::integer AS added FROM (%s) before;', oid::regclass, rtrim(pg_get_viewdef(oid), ';')) END, E'\n' ORDER BY oid)
FROM ours WHERE relkind IN ('c', 'p', 'r', 'v')
SQL
my $version = $wire->value("SELECT extversion FROM pg_extension WHERE extname = 'mirox_tokens'");
my $script = $node->config_data('--sharedir') . "/extension/mirox_tokens--$version--${version}test.sql";
END { unlink $script if defined $script; }
append_to_file($script, update_script($additions, <<'SQL'));
CREATE TABLE mirox_internal.new_table (id integer);
REVOKE ALL ON TABLE mirox_internal.new_table FROM PUBLIC;
CREATE SEQUENCE mirox_internal.new_seq;
REVOKE ALL ON SEQUENCE mirox_internal.new_seq FROM PUBLIC;
CREATE VIEW mirox.new_view AS SELECT 1 AS one;
REVOKE ALL ON TABLE mirox.new_view FROM PUBLIC;
CREATE FUNCTION mirox.new_function() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; END;
REVOKE ALL ON FUNCTION mirox.new_function() FROM PUBLIC;
INSERT INTO mirox_internal.access_rule (object, kind, level) VALUES ('mirox.new_function()', 'function', 'login');
SQL
for my $dbname (qw(shop generous))
{
	my $there = wire($node, dbname => $dbname);
	$there->rows($_) for @generous;
	my $result = $there->run("ALTER EXTENSION mirox_tokens UPDATE TO '${version}test'");
	is($result->{message}, undef, "$dbname: the update runs through");
	is($there->value("SELECT string_agg(c.oid::regclass::text, ' ') FROM pg_class c WHERE c.relkind IN ('p', 'r', 'v', 'c') AND c.relnamespace IN ('mirox'::regnamespace, 'mirox_internal'::regnamespace)
		AND c.relname !~ '^new_' AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'added')"), undef, "$dbname: each table, type and view has its column");
	my $now = acls($dbname);
	is(join("\n", grep { /\b(named|granter)\b/ || /^\S+ \S*new_.*- / } split /\n/, $now), '', "$dbname: default privileges gave nothing on what is new");
	is(join("\n", grep { !/ mirox(_internal)?\.new_/ } split /\n/, $now), $granted, "$dbname: and what was granted before is as it was");
	$there->rows("SELECT mirox.grant_access('app', 'login')");
	is($there->value("SELECT has_function_privilege('app', 'mirox.new_function()', 'EXECUTE')"), 't', "$dbname: a new function has its level");
	is($there->value('SELECT v.reason FROM mirox.verify_token($1) v', $secrets[0]), 'ok', "$dbname: a check");
	my $new = issue($there, $session, 'after the update');
	is(reason($there, $new->{secret}, '203.0.113.7'), 'ok', "$dbname: a token is issued");
	call($there, 'flush');
	is($there->value('SELECT uses FROM mirox.token_report WHERE token_id = $1', $new->{token_id}), 1, "$dbname: and its use recorded");
	is($there->value('SELECT mirox.revoke_all_tokens($1)', $session), 6, "$dbname: and all are revoked") if $dbname ne 'shop';
	$there->close;
}
all_verify('after the update');
is(join("\n", map { my $s = $as{creator}->run($_); $s->{state} ? "$s->{state} $s->{message}: $_" : () }
		map { my $n = $_ =~ s/\W/_/gr; ("SELECT * FROM devs.all_$n", "SELECT * FROM devs.whole_$n", "REFRESH MATERIALIZED VIEW devs.kept_$n", "TABLE devs.row_$n") } @views),
	'', "strangers' views and tables work as they did");

# ---- an owner who is no superuser -----------------------------------------------------------------------------------------------------
$boss->rows('CREATE ROLE dba SUPERUSER LOGIN');
$boss->rows('CREATE DATABASE owned');
my $dba = wire($node, dbname => 'owned', user => 'dba');
$dba->rows('CREATE EXTENSION mirox_tokens');
put_account($dba, 'anna', ['*']);
my $logged_in = open_session($dba, 'anna');
my $early = issue($dba, $logged_in, 'early');
$dba->close;
my $owned = wire($node, dbname => 'owned');
is(reason($owned, $early->{secret}), 'ok', 'a check before');
# The first drain is over before the owner changes: one that meets the change may fail, and is repeated.
call($owned, 'flush');
$owned->rows('REASSIGN OWNED BY dba TO app');
is($owned->value("SELECT string_agg(DISTINCT extowner::regrole::text, ' ') FROM pg_extension WHERE extname = 'mirox_tokens'"), 'app', 'REASSIGN OWNED moves the extension');
is(reason($owned, $early->{secret}), 'ok', 'then checks go on');
my $late = issue($owned, $logged_in, 'late');
is(reason($owned, $late->{secret}, '203.0.113.9', 'curl/8.5.0'), 'ok', 'a token is issued');
is($owned->state('SELECT mirox.rotate_token($1, $2)', $logged_in, $early->{token_id}), 'ok', 'one is rotated');
$owned->rows("SELECT mirox.grant_access('reports', 'reporting')");
call($owned, 'flush');
is($owned->value('SELECT uses FROM mirox.token_report WHERE token_id = $1', $late->{token_id}), 1, 'use is recorded');
# Maintenance and policies do not wait for who holds a lock: they are tried again.
like($owned->value("SELECT concat_ws(' ', flush_failures, last_error) FROM mirox.stat"), qr/^(0|1 55P03: could not (do maintenance|apply the policies of permission groups))$/, 'without a failure');
my $app = wire($node, dbname => 'owned', user => 'app');
is($app->value('SELECT count(*) FROM mirox_internal.token'), 2, 'all as that owner');
# Whose traps run as him, in the worker too.
$app->rows($_) for 'GRANT CREATE ON SCHEMA mirox_internal TO app',
  'CREATE FUNCTION mirox_internal.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE LOG \'TRAP AS %\', current_user; RETURN NULL; END $$',
  'CREATE TRIGGER trap AFTER INSERT ON mirox_internal.usage_open FOR EACH ROW EXECUTE FUNCTION mirox_internal.trap()';
reason($owned, $late->{secret});
call($owned, 'flush');
like(slurp_file($node->logfile), qr/TRAP AS app/, 'a trigger of his runs as himself');
unlike(slurp_file($node->logfile), qr/TRAP AS (?!app)/, 'and as nobody else');
$_->close for $app, $owned, values(%as), $wire, $boss;
clean_log($node);
$node->stop;
done_testing();
