"""What the static checks share: the tree under test, its C++ and SQL without comments, and how to report.

A check is a file check_NAME.py that calls report() once for each rule. MIROX_ROOT names the tree (the self-test
gives it spoilt copies); the default is the one this file stands in.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(os.environ.get("MIROX_ROOT", pathlib.Path(__file__).resolve().parents[2]))
CONTROL = (ROOT / "mirox_tokens.control").read_text()
VERSION = re.search(r"^default_version\s*=\s*'([^']+)'", CONTROL, re.M).group(1)
ROOMS = ("core", "pg", "store", "shmem", "worker", "enrich", "api")


def files(*patterns):
    """Files of the tree by glob, sorted."""
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern) if path.is_file()})


def name_of(path):
    return str(path.relative_to(ROOT))


def report(rule, problems):
    """Prints the outcome of one rule and each problem found."""
    problems = list(problems)
    print(f"{'not ok' if problems else 'ok'} {rule}")
    for problem in problems[:40]:
        print(f"    {problem}")
    if len(problems) > 40:
        print(f"    and {len(problems) - 40} more")


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")


CXX_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^\s()\\]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def cxx_code(path):
    """The text of a C++ file without comments and the insides of strings; lines stay where they are."""

    def blank(match):
        text = match.group(0)
        if text.startswith("'") and re.search(r"[0-9a-fA-F]$", match.string[: match.start()]):
            return text  # a digit separator
        lines = "\n" * text.count("\n")
        return lines if text.startswith("/") else '""' + lines

    return CXX_TOKEN.sub(blank, path.read_text())


def server_free(path):
    """True for files that hold no server call, which the Makefile compiles with src/core/pure.hpp."""
    name = name_of(path)
    return name.startswith(("src/core/", "src/enrich/", "src/shmem/core_")) and name != "src/enrich/library.cpp"


class Statement:
    """One statement of an SQL file: its text without comments, the same with the insides of strings emptied,
    the comment directly above it, and its place."""

    def __init__(self, text, bare, above, where):
        self.text, self.bare, self.above, self.where = text, bare, above, where


SQL_TOKEN = re.compile(
    r"(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)|(?P<quote>'(?:''|[^'])*')"
    r'|(?P<name>"[^"]*")|(?P<meta>^\\[^\n]*)|(?P<end>;)|(?P<other>[^-/$\'"\\;]+|.)', re.S | re.M)


def sql_statements(path):
    found, text, bare, above, line, start, depth = [], "", "", "", 1, None, 0
    for token in SQL_TOKEN.finditer(path.read_text()):
        piece = token.group(0)
        kind = token.lastgroup if token.lastgroup != "tag" else "dollar"
        if kind == "comment":
            if not text.strip():
                above += piece + "\n"
            else:
                text += " "
                bare += " "
        elif kind == "meta" and not text.strip():
            above = ""
        elif kind == "end" and not re.search(r"\bBEGIN\s+ATOMIC\b(?!.*;\s*END\s*$)", bare, re.S | re.I):
            if text.strip():
                found.append(Statement(text.strip(), bare.strip(), above, f"{name_of(path)}:{start}"))
            text, bare, above, start = "", "", "", None
        else:
            if kind == "other" and not text.strip() and piece.count("\n") > 1 and not piece.strip():
                above = ""  # a blank line parts a comment from what follows
            if start is None and piece.strip():
                start = line + piece[: len(piece) - len(piece.lstrip())].count("\n")
            text += piece
            bare += {"dollar": "$$$$", "quote": "''"}.get(kind, piece)
        line += piece.count("\n")
    return found


def schema_parts():
    return files("src/schema/*.sql")


def schema():
    """Every statement of the install script, in order."""
    return [statement for part in schema_parts() for statement in sql_statements(part)]


CREATED = re.compile(
    r"^CREATE\s+(?:OR\s+REPLACE\s+)?(?:UNLOGGED\s+|TEMP\w*\s+|CONSTRAINT\s+|UNIQUE\s+|MATERIALIZED\s+|RECURSIVE\s+)*"
    r"(FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN|VIEW|TABLE|SEQUENCE|OPERATOR(?:\s+CLASS|\s+FAMILY)?|CAST|TRIGGER)\s+"
    r"(?:IF\s+NOT\s+EXISTS\s+)?(?:mirox(?:_internal)?\s*\.\s*)?([^\s(]+)", re.I)


def created(*kinds):
    """(kind, name, statement) of each object that the install script makes; a type's shell does not count."""
    for statement in schema():
        match = CREATED.match(statement.bare)
        if match:
            kind = re.sub(r"\s+", " ", match.group(1)).upper()
            if kind == "PROCEDURE":
                kind = "FUNCTION"
            if kind == "DOMAIN":
                kind = "TYPE"
            if kind == "TYPE" and re.fullmatch(r"\S+", statement.bare[match.end(1):].strip()):
                continue
            if kind in kinds:
                yield kind, match.group(2), statement


def behind():
    """Names of functions that stand behind types, operators, casts, aggregates and triggers."""
    names = set()
    for statement in schema():
        if re.match(r"CREATE\s+(OPERATOR|TYPE|CAST|AGGREGATE|(CONSTRAINT\s+|EVENT\s+)*TRIGGER)\b", statement.bare, re.I):
            names.update(re.findall(r"\bmirox(?:_internal)?\s*\.\s*(\w+)", statement.bare[10:]))
    for _, name, statement in created("FUNCTION"):
        if re.search(r"\bRETURNS\s+(pg_catalog\.)?(event_)?trigger\b", statement.bare, re.I):
            names.add(name)
    return names


def internal(statement):
    """An object is for the extension's own use when the comment directly above it says `internal`."""
    return re.search(r"\binternal\b", statement.above, re.I) is not None
