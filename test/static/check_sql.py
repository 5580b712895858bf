"""SQL is read where it is SQL: in a file of its own, not in pieces between quotes.

A literal of C++ is a statement when it begins with a verb of SQL. One that is built (it has a % for psprintf) cannot stand in a file.
"""
import re

from tree import files, name_of, report

LITERAL = r'"(?:\\.|[^"\\\n])*"'
STATEMENT = re.compile(r'"\(?(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|MERGE INTO|TRUNCATE|LOCK) (?:\\.|[^"\\\n])*"'
                       rf'(?:\s*\\?\n\s*{LITERAL})+')
RAW = re.compile(r'R"(\w*)\(\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|MERGE)\b.*?\)\1"', re.S)

found = []
for path in files("src/**/*.[ch]pp"):
    text = path.read_text()
    for pattern in (STATEMENT, RAW):
        for match in pattern.finditer(text):
            if "\n" in match.group(0) and "%" not in match.group(0):
                found.append(f"{name_of(path)}:{text.count(chr(10), 0, match.start()) + 1}: {match.group(0).split(chr(10))[0]}")
report("sql: a statement longer than a line stands in a .sql file", found)
