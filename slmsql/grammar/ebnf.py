"""Grammars in EBNF that xgrammar compiles; llama.cpp reads the same notation as GBNF.

`select_grammar(schema)` accepts `SELECT name FROM singer` if the database has these names, in any
case and quoting. A grammar without context cannot know to which table an alias belongs, so it lets
any column stand behind any alias; `Binding` is exact. The grammar is for servers, which take no
code of ours.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from string import ascii_letters, digits

from slmsql.grammar.names import Names, is_plain
from slmsql.prompt.build import Layout
from slmsql.schema.model import Schema

FILE = Path(__file__).parent / "select.ebnf"
# What must stay as it is (a literal or a class of characters), or a keyword.
KEYWORD = re.compile(r"""("(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\])|\b([A-Z][A-Z0-9_]*)\b""")
WORD = r"[a-zA-Z_\u0080-\U0010ffff] [a-zA-Z0-9_$\u0080-\U0010ffff]*"  # not ASCII: a letter
TEXT = """ "'" ([^'] | "''")* "'" """.strip()
DOUBLE_QUOTED = r""" "\"" ([^"] | "\"\"")* "\"" """.strip()
QUOTED = rf"""{DOUBLE_QUOTED} | "`" ([^`] | "``")+ "`" | "[" [^\]]+ "]" """.strip()
# The thought of the think layout is free and ends with the first "<ans".
THOUGHT = """thought ::= ([^<] | "<"+ ([^<a] | "a" ([^<n] | "n" [^<s])))*"""
NOTHING = r'"\u0000"'


def select_grammar(schema: Schema, layout: Layout) -> str:
    """The grammar of a completion that contains one SELECT statement.

    Args:
        schema: the tables and columns that statements may name.
        layout: `sql`: the statement alone; `think`: a free thought, then `<answer>`, the statement
            and `</answer>`.
    """
    statement = _statement_rules()
    # After WITH names are free: the statement defines tables and columns of its own.
    free = _renamed("\n".join([statement, *_any_names()]))
    known = re.sub(r"(?m)^with-query ::=.*$", "with-query ::= free-with-query", statement)
    return "\n".join([_root(layout), known, *_known_names(Names.of(schema)), free]) + "\n"


def _root(layout: Layout) -> str:
    if layout is Layout.SQL:
        return 'root ::= statement ("--" [^\\n]*)?'
    return f'root ::= thought "<answer>" statement "</answer>" ws\n{THOUGHT}'


@cache
def _statement_rules() -> str:
    """The rules of `select.ebnf`, one on a line, with keywords in any case."""
    text = re.sub(r"(?m)^#.*\n|  #.*$", "", FILE.read_text(encoding="utf-8"))
    text = re.sub(r"\n +", " ", text)
    return KEYWORD.sub(lambda match: match[1] or f"({_any_case(match[2])})", text).strip()


def _renamed(rules: str) -> str:
    """The rules with `free-` before each rule's name."""
    names = set(re.findall(r"(?m)^([a-z-]+) ::=", rules))
    word = re.compile(r"""("(?:[^"\\]|\\.)*"|\[(?:[^\]\\]|\\.)*\])|([a-z-]+)""")
    return word.sub(lambda m: f"free-{m[2]}" if m[2] in names else m[0], rules)


def _any_names() -> tuple[str, ...]:
    """Rules by which any name, and any keyword, may stand where a name may stand.

    To exclude keywords takes hundreds of rules, and with them ten times as long to compile.
    """
    return (
        f"word ::= {WORD}",
        f"quoted ::= {QUOTED}",
        "column-word ::= word",
        "quoted-column ::= quoted",
        "column ::= word | quoted",
        "table-word ::= word",
        "quoted-table ::= quoted",
        "qualifier ::= word",
        "quoted-qualifier ::= quoted",
        "defined-word ::= word",
        "new-word ::= word",
        "alias ::= word",
        f"quoted-new-name ::= quoted | {TEXT}",
        "new-name ::= word | quoted-new-name",
    )


def _known_names(names: Names) -> tuple[str, ...]:
    """Rules by which names are those of the database, or defined by the statement itself."""
    tables = frozenset(names.tables)
    return (
        f"column-word ::= {_plain(names.columns)}",
        f"quoted-name ::= {_quoted(names.columns)}",
        f"quoted-column ::= quoted-name | {DOUBLE_QUOTED}",  # SQLite takes the latter as a text
        "column ::= column-word | quoted-name",
        f"table-word ::= {_plain(tables)}",
        f"quoted-table ::= {_quoted(tables)}",
        f"alias ::= ([a-zA-Z] | {_plain(names.alias_stems())}) [0-9]?",
        "qualifier ::= table-word | alias",
        "quoted-qualifier ::= quoted-table",
        f"new-word ::= {WORD}",
        "defined-word ::= new-word",
        f"quoted-new-name ::= {QUOTED} | {TEXT}",
        "new-name ::= new-word | quoted-new-name",
    )


def _plain(names: Iterable[str]) -> str:
    return _alternatives(_any_case(name) for name in names if is_plain(name))


def _quoted(names: Iterable[str]) -> str:
    """The names in each of SQLite's quotes."""
    return _alternatives(_any_case(form) for name in names for form in quoted_forms(name))


def quoted_forms(name: str) -> Iterator[str]:
    """A name in each of SQLite's quotes; a quote is doubled in it, and `]` cannot occur."""
    yield '"' + name.replace('"', '""') + '"'
    yield "`" + name.replace("`", "``") + "`"
    if "]" not in name:
        yield f"[{name}]"


def _alternatives(parts: Iterable[str]) -> str:
    return " | ".join(sorted(parts)) or NOTHING


@cache
def _any_case(text: str) -> str:
    """A text in any case, as EBNF: `"_id"` is `"_" [iI] [dD]`."""
    return " ".join(map(_character, text))


def _character(character: str) -> str:
    if character in ascii_letters:
        return f"[{character.lower()}{character.upper()}]"
    if character in digits or character in " _":
        return f'"{character}"'
    return f'"\\U{ord(character):08x}"'
