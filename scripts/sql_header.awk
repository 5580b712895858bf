# Makes a header of the statements that stand in src/ROOM/NAME.sql, each a pg::Query of namespace mirox::ROOM:
#
#     -- name: delete_notices(before timestamptz)
#     DELETE FROM mirox_internal.notice WHERE expires_at < $1;
#
# In the brackets stand the names of the parameters, which are for readers, and their types, as pg::Type has them; a long list goes
# on in the next comment line. Other comments stand on lines of their own and do not reach the server.
# -v room=ROOM -v source=src/ROOM/NAME.sql.

function fail(what) {
    print source ":" NR ": " what > "/dev/stderr"
    failed = 1
    exit 1
}

BEGIN {
    print "// Made from " source " by scripts/sql_header.awk.\n#pragma once\n\n#include \"pg/query.hpp\"\n"
    print "namespace mirox::" room " {"
}

/^-- name: / {
    if (name != "") fail("the statement " name " does not end in a semicolon")
    while ($0 !~ /\)$/ && (getline more) > 0) {
        sub(/^-- */, " ", more)
        $0 = $0 more
    }
    if ($0 !~ /^-- name: [a-z_]+\([^()]*\)$/) fail("not of the form -- name: NAME(PARAMETER TYPE, ...)")
    name = substr($3, 1, index($3, "(") - 1)
    types = $0
    sub(/^[^(]*\(/, "", types)
    sub(/\)$/, "", types)
    count = split(types, parameter, /, */)
    types = ""
    for (i = 1; i <= count; i++) {
        if (split(parameter[i], word, " ") != 2) fail("not PARAMETER TYPE: " parameter[i])
        sub(/\[\]$/, "_array", word[2])
        types = types (i > 1 ? ", " : "") "pg::Type::" word[2]
    }
    next
}

/^ *--/ || (/^ *$/ && text == "") { next }

{
    if (name == "") fail("no -- name: before a statement")
    text = text (text == "" ? "" : "\n") $0
    if ($0 !~ /; *$/) next
    sub(/; *$/, "", text)
    print "\nstatic constinit pg::Query " name " = {R\"sql(" text ")sql\",\n    {" types "}};"
    name = text = ""
}

END {
    if (failed) exit 1
    if (name != "") fail("the statement " name " does not end in a semicolon")
    print "\n}  // namespace mirox::" room ""
}
