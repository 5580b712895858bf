# What the extension has in a database, as text: who may what of it, and all else that the catalog knows.
package Mirox::Members;
use strict;
use warnings;
use Exporter qw(import);

our @EXPORT_OK = qw($acls described);

# Who may what, but for row types, which are everybody's whatever is said of types, and array types, which follow their elements: from 17
# on both are members. A type without a list is everybody's.
our $acls = <<'SQL';
SELECT string_agg(concat_ws(' ', object, acl), E'\n' ORDER BY object COLLATE "C") FROM (
    SELECT d.object, (SELECT string_agg(concat_ws(' ', a.grantee::regrole, a.privilege_type, a.is_grantable), ', ' ORDER BY a.grantee::regrole::text, a.privilege_type)
                      FROM aclexplode(COALESCE(acl, acldefault(kind, owner))) a)
    FROM (SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'sequence' ELSE 'relation' END, oid::regclass), relacl, CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner, oid, 'pg_class'::regclass
          FROM pg_class WHERE relkind <> 'c'
          UNION ALL SELECT format('function %s', oid::regprocedure), proacl, 'f', proowner, oid, 'pg_proc'::regclass FROM pg_proc
          UNION ALL SELECT format('type %s', oid::regtype), typacl, 'T', typowner, oid, 'pg_type'::regclass FROM pg_type
                    WHERE typelem = 0 AND (typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = typrelid AND c.relkind = 'c'))
          UNION ALL SELECT format('schema %s', nspname), nspacl, 'n', nspowner, oid, 'pg_namespace'::regclass FROM pg_namespace) d (object, acl, kind, owner, oid, class)
    WHERE EXISTS (SELECT FROM pg_depend e JOIN pg_extension x ON e.refclassid = 'pg_extension'::regclass AND e.refobjid = x.oid AND e.deptype = 'e'
                  WHERE x.extname = 'mirox_tokens' AND e.classid = d.class AND e.objid = d.oid)) o (object, acl)
SQL

# Members, and what goes with them: row types, indexes, defaults, constraints, triggers, rules. Partitions hang on their parents in the
# same way, but the worker makes them by what was used and when, so no two databases have the same ones.
my $parts = <<'SQL';
WITH RECURSIVE extension AS (SELECT * FROM pg_extension WHERE extname = 'mirox_tokens'),
part AS (SELECT d.classid, d.objid FROM pg_depend d JOIN extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid WHERE d.deptype = 'e'
         UNION SELECT d.classid, d.objid FROM pg_depend d JOIN part p ON d.refclassid = p.classid AND d.refobjid = p.objid
         WHERE d.deptype IN ('i', 'a') AND NOT EXISTS (SELECT FROM pg_class c WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relispartition)),
relation AS (SELECT c.* FROM pg_class c JOIN part p ON p.classid = 'pg_class'::regclass AND p.objid = c.oid WHERE c.relkind <> 't' AND c.relnamespace <> 'pg_toast'::regnamespace),
proc AS (SELECT f.* FROM pg_proc f JOIN part p ON p.classid = 'pg_proc'::regclass AND p.objid = f.oid)
SQL
my @lines = (
	# What depends on what, the extension's membership too.
	q{SELECT format('%s depends (%s) on %s', pg_describe_object(d.classid, d.objid, d.objsubid), d.deptype, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
	  FROM pg_depend d JOIN part p USING (classid, objid)},
	q{SELECT format('%s: comment %L', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description) FROM pg_description d JOIN part p ON p.classid = d.classoid AND p.objid = d.objoid},
	q{SELECT format('%s: rights from the script %s', pg_describe_object(i.classoid, i.objoid, i.objsubid), (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(i.initprivs) a))
	  FROM pg_init_privs i JOIN part p ON p.classid = i.classoid AND p.objid = i.objoid},
	q{SELECT format('relation %s: %s', oid::regclass, ROW(relkind, relpersistence, relreplident, relrowsecurity, relforcerowsecurity, reloptions, relam::regclass, reloftype::regtype,
	  (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(relacl) a), CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) WHEN 'i' THEN pg_get_indexdef(oid) END)) FROM relation},
	q{SELECT format('column %s %s %s: %s', r.oid::regclass, row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), a.attname, ROW(format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attcollation::regcollation,
	  a.attstorage, a.attcompression, a.attstattarget, a.attidentity, a.attgenerated, (SELECT array_agg(o ORDER BY o) FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='), a.attacl, pg_get_expr(d.adbin, d.adrelid)))
	  FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum WHERE a.attnum > 0 AND NOT a.attisdropped},
	q{SELECT format('sequence %s: %s', s.seqrelid::regclass, ROW(s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)) FROM pg_sequence s JOIN relation r ON r.oid = s.seqrelid},
	q{SELECT format('constraint %s: %s %s', pg_describe_object('pg_constraint'::regclass, c.oid, 0), c.convalidated, pg_get_constraintdef(c.oid)) FROM pg_constraint c JOIN part p ON p.classid = 'pg_constraint'::regclass AND p.objid = c.oid},
	q{SELECT format('trigger %s: %s', t.tgenabled, pg_get_triggerdef(t.oid)) FROM pg_trigger t JOIN relation r ON r.oid = t.tgrelid},
	q{SELECT format('policy on %s: %s', p.polrelid::regclass, ROW(p.polname, p.polcmd, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))) FROM pg_policy p JOIN relation r ON r.oid = p.polrelid},
	q{SELECT format('rights on function %s: %s', oid::regprocedure, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(proacl) a)) FROM proc},
	q{SELECT format('function %s: %s', oid::regprocedure, CASE WHEN prokind = 'a' THEN (SELECT ROW(a.aggkind, a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggtranstype::regtype, a.agginitval)::text FROM pg_aggregate a WHERE a.aggfnoid = proc.oid) ELSE pg_get_functiondef(oid) END) FROM proc},
	q{SELECT format('type %s: %s', t.oid::regtype, ROW(t.typlen, t.typbyval, t.typtype, t.typcategory, t.typispreferred, t.typdelim, t.typsubscript, t.typelem::regtype, t.typarray::regtype, t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin,
	  t.typmodout, t.typanalyze, t.typalign, t.typstorage, t.typnotnull, t.typbasetype::regtype, t.typtypmod, t.typcollation::regcollation, t.typdefault, t.typacl)) FROM pg_type t JOIN part p ON p.classid = 'pg_type'::regclass AND p.objid = t.oid},
	q{SELECT format('operator %s: %s', o.oid::regoperator, ROW(o.oprkind, o.oprcanmerge, o.oprcanhash, o.oprresult::regtype, o.oprcom::regoperator, o.oprnegate::regoperator, o.oprcode, o.oprrest, o.oprjoin)) FROM pg_operator o JOIN part p ON p.classid = 'pg_operator'::regclass AND p.objid = o.oid},
	q{SELECT format('%s: %s', pg_describe_object('pg_opclass'::regclass, c.oid, 0), ROW(c.opcintype::regtype, c.opcdefault, c.opckeytype::regtype)) FROM pg_opclass c JOIN part p ON p.classid = 'pg_opclass'::regclass AND p.objid = c.oid},
	q{SELECT format('cast %s to %s: %s', c.castsource::regtype, c.casttarget::regtype, ROW(c.castfunc::regprocedure, c.castcontext, c.castmethod)) FROM pg_cast c JOIN part p ON p.classid = 'pg_cast'::regclass AND p.objid = c.oid},
	q{SELECT format('schema %s: %s', n.nspname, (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(n.nspacl) a)) FROM pg_namespace n JOIN part p ON p.classid = 'pg_namespace'::regclass AND p.objid = n.oid},
	# What a dump carries of tables and sequences, and the rows that the scripts themselves put in.
	q{SELECT format('dumped %s %s', c.oid::regclass, c.condition) FROM extension e, unnest(e.extconfig, e.extcondition) c (oid, condition)},
	q{SELECT format('extension: %s', ROW(extversion, extnamespace::regnamespace, extrelocatable)) FROM extension},
	q{SELECT format('level %s', r) FROM mirox_internal.access_rule r},
	q{SELECT format('group %s', ROW(group_id, name, permissions::text, builtin, description)) FROM mirox_internal.permission_group WHERE builtin});

# described($wire): a line for each fact, in order. The names of tables for long values are the server's and tell nothing, as the
# option pg_attver that some servers put on a column.
sub described
{
	my $wire = shift;
	my $path = $wire->value('SHOW search_path');
	$wire->rows('SET search_path = pg_catalog');
	my %lines;
	for my $query (@lines)
	{
		$lines{$_}++ for map { my ($line) = @$_; $line =~ s/pg_toast_\d+/pg_toast/g; $line } $wire->rows("$parts SELECT line FROM ($query) l (line)");
	}
	$wire->rows(q{SELECT set_config('search_path', $1, false)}, $path);
	return sort keys %lines;
}

1;
