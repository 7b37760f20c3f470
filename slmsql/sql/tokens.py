"""SQL as SQLite's tokenizer sees it, to answer questions about a statement without parsing it.

`orders_rows("SELECT a FROM t ORDER BY a")` is True; with the ORDER BY in a subquery it is False.
Other evaluators use regular expressions over whole statements. These change literals, miss
`ORDER  BY` with two spaces, or find it in a subquery.
"""

import re
from collections.abc import Iterator

TOKEN = re.compile(
    r"""
    (?P<space>  [ \t\n\f\r\ufeff]+ | --[^\n]* | /\*(?s:.)*?(?:\*/|\Z) )
  | (?P<string> '[^']*(?:''[^']*)*'? )
  | (?P<name>   "[^"]*(?:""[^"]*)*"? | `[^`]*(?:``[^`]*)*`? | \[[^\]]*\]? )
  | (?P<number> (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? )
  | (?P<word>   [A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]* )
  | (?P<mark>   (?s:.) )
    """,
    re.VERBOSE,
)
GAP = r"(?: [ \t\n\f\r\ufeff]++ | --[^\n]*+ | /\*(?s:.)*?(?:\*/|\Z) )*+"
WORD_END = r"(?![\w$\x80-\U0010ffff])"
NAME = r"""(?: "[^"]*+" | `[^`]*+` | \[[^\]]*+\] | \w[\w$]*+ )"""
QUERY_START = re.compile(
    rf"""
    {GAP} (?: \( {GAP} )*+
    (?: (?:SELECT|VALUES){WORD_END}
      | WITH{WORD_END} {GAP} (?:RECURSIVE{WORD_END} {GAP})? {NAME} {GAP} (?: \( | AS{WORD_END} )
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
CURRENT_YEAR = ["YEAR", "(", "CURDATE", "(", ")", ")"]

Token = tuple[str, str]  # kind (a group of TOKEN) and text


def tokens(sql: str) -> Iterator[Token]:
    """All tokens; their texts, joined, give the statement."""
    for match in TOKEN.finditer(sql):
        yield match.lastgroup or "mark", match.group()


def meaningful(sql: str) -> list[Token]:
    """Tokens without white space and comments."""
    return [token for token in tokens(sql) if token[0] != "space"]


def first_word(sql: str) -> str:
    """The first word in capitals; empty if the statement does not begin with a word."""
    for kind, text in tokens(sql):
        if kind != "space":
            return text.upper() if kind == "word" else ""
    return ""


def begins_query(sql: str) -> bool:
    """Whether a text begins as a query does, after comments and parentheses.

    That is SELECT, VALUES, `WITH name AS` or `WITH name (`. The rest of the text is not looked at.
    """
    return QUERY_START.match(sql) is not None


def orders_rows(sql: str) -> bool:
    """Whether the query has ORDER BY at top level: not in a subquery, a window or a literal."""
    if "order" not in sql.lower():
        return False
    depth = 0
    previous = ""
    for _, text in meaningful(sql):
        depth += (text == "(") - (text == ")")
        if depth == 0 and previous == "ORDER" and text.upper() == "BY":
            return True
        previous = text.upper()
    return False


def for_spider(sql: str) -> str:
    """The statement as the test-suite evaluator runs it by default.

    It removes every DISTINCT, joins `> =`, `< =` and `! =`, and replaces `YEAR(CURDATE())` by 2020.
    Unlike the evaluator, we leave literals and quoted names as they are.
    """
    lower = sql.lower()
    if "distinct" in lower or " =" in sql:
        texts = [text for _, text in tokens(sql) if text.lower() != "distinct"]
        sql = "".join(_with_comparisons_joined(texts))
    return _with_fixed_year(sql) if "curdate" in lower else sql


def _with_comparisons_joined(texts: list[str]) -> Iterator[str]:
    """The texts without the spaces inside `> =`, `< =` and `! =`."""
    for before, text, after in zip(["", *texts], texts, [*texts[1:], ""], strict=False):
        if not (text == " " and before in (">", "<", "!") and after == "="):
            yield text


def _with_fixed_year(sql: str) -> str:
    """The statement with 2020 in place of each `YEAR(CURDATE())`."""
    parts = list(tokens(sql))
    positions = [index for index, part in enumerate(parts) if part[0] != "space"]
    texts = [parts[index][1] for index in positions]
    start = 0
    while start < len(positions):
        if [text.upper() for text in texts[start : start + 6]] == CURRENT_YEAR:
            for index in range(positions[start], positions[start + 5] + 1):
                parts[index] = ("number", "2020" if index == positions[start] else "")
            start += 5
        start += 1
    return "".join(text for _, text in parts)
