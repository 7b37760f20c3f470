"""SQL as lexemes, read piece by piece as a model writes it.

Texts are bytes as Latin-1, one character for each byte, because a token of a model may end within a
character.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from slmsql.grammar.names import fold

# What can still grow (a word, a number, a quoted text) is complete when something else follows.
LEXEME = re.compile(
    r"""
    (?P<space>  [ \t\n\f\r]+ )
  | (?P<comment> --[^\n]* | /\*(?s:.)*?(?:\*/|\Z) )
  | (?P<string> '[^']*(?:''[^']*)*'? )
  | (?P<double> "[^"]*(?:""[^"]*)*"? )
  | (?P<name>   `[^`]*(?:``[^`]*)*`? | \[[^\]]*\]? )
  | (?P<number> \d+\.?\d* )
  | (?P<word>   [A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]* )
  | (?P<end>    </answer> )
  | (?P<closing> </[a-z]*\Z )
  | (?P<operator> <> | <= | << | < | >= | >> | > | == | = | != | \|\| | \| | ->>? | [-+/%&~] )
  | (?P<mark>   [(),.;*] )
  | (?P<other>  (?s:.) )
    """,
    re.VERBOSE,
)
GROWING = frozenset({"word", "number", "string", "double", "name", "comment", "closing"})
# What operators, comments and `</answer>` can begin with, and how they go on.
UNDECIDED = {"<": "/=><", ">": "=>", "=": "=", "!": "=", "|": "|", "-": "->", "/": "*", "->": ">"}
MANY_TEXTS = 100_000  # whose lexemes are kept: names and tokens come again and again
COMMENTS = ("--", "/*")
CLOSING = {"'": "'", '"': '"', "`": "`", "[": "]"}


class Lexeme(NamedTuple):
    """A token of SQL.

    `kind` is word, double (in double quotes: a name or a text), name (in other quotes), string,
    number, operator, mark, or other, which no statement has. `text` is folded and without quotes;
    of strings it counts only as a new name.
    """

    kind: str
    text: str


OPEN, DOT = Lexeme("mark", "("), Lexeme("mark", ".")
OPERATOR, SIGN = Lexeme("operator", "binary"), Lexeme("operator", "sign")
COMPARISON = Lexeme("operator", "comparison")
OPERATORS = {
    **dict.fromkeys(("-", "+"), SIGN),
    **dict.fromkeys(("<", ">", "=", "==", "<=", ">=", "<>", "!="), COMPARISON),
    "~": Lexeme("operator", "unary"),
}
CLOSING_TAG = "</answer>"
END = Lexeme("mark", "end")
"""The end of the statement: of the completion, or `</answer>`."""


@lru_cache(MANY_TEXTS)
def split(text: str) -> tuple[tuple[Lexeme, ...], str]:
    """The complete lexemes of a text, and its rest, which more text may still continue."""
    lexemes: list[Lexeme] = []
    for match in LEXEME.finditer(text):
        kind, piece = match.lastgroup or "mark", match.group()
        if match.end() == len(text) and (kind in GROWING or piece in UNDECIDED):
            return tuple(lexemes), piece
        if kind not in ("space", "comment"):
            lexemes.append(lexeme_of(kind, piece))
    return tuple(lexemes), ""


@lru_cache(MANY_TEXTS)
def last(rest: str) -> Lexeme | None:
    """The rest of a text as a lexeme, if nothing follows it.

    None if a quote or a tag is not complete, or if the rest is a comment.
    """
    (match,) = LEXEME.finditer(rest)
    kind = match.lastgroup or "mark"
    if kind in ("comment", "closing") or (rest[0] in CLOSING and not is_closed(rest)):
        return None
    return lexeme_of(kind, rest)


def is_closed(quoted: str) -> bool:
    """Whether a text that begins with a quote ends with the closing one."""
    closing = CLOSING[quoted[0]]
    return len(quoted) > 1 and quoted[1:].count(closing) % 2 == 1


def lexeme_of(kind: str, piece: str) -> Lexeme:
    """The lexeme of a complete piece of SQL."""
    if kind == "word":
        return Lexeme(kind, fold(piece))
    if kind in ("string", "double", "name"):
        closing = CLOSING[piece[0]]
        return Lexeme(kind, fold(piece[1:-1].replace(closing * 2, closing)))
    if kind == "end":
        return END
    if kind == "operator":
        return OPERATORS.get(piece, OPERATOR)
    return Lexeme(kind, piece)
