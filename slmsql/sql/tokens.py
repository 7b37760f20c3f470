"""SQL as SQLite's tokenizer sees it: enough to ask about a statement without parsing it.

Regular expressions over whole statements are what goes wrong in other evaluators: they change
literals, miss `ORDER  BY` with two spaces, or find it in a subquery.
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
CURRENT_YEAR = ["YEAR", "(", "CURDATE", "(", ")", ")"]

Token = tuple[str, str]  # what it is (a group of TOKEN), how it is written


def tokens(sql: str) -> Iterator[Token]:
    """All tokens; joined, their texts are the statement again."""
    for match in TOKEN.finditer(sql):
        yield match.lastgroup or "mark", match.group()


def meaningful(sql: str) -> list[Token]:
    """Tokens without white space and comments."""
    return [token for token in tokens(sql) if token[0] != "space"]


def first_word(sql: str) -> str:
    """The first keyword in capitals; empty where the statement does not begin with a word."""
    for kind, text in tokens(sql):
        if kind != "space":
            return text.upper() if kind == "word" else ""
    return ""


def orders_rows(sql: str) -> bool:
    """Whether the query sorts its rows at top level: not in a subquery, a window or a literal."""
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

    It leaves every DISTINCT out, joins `> =`, `< =` and `! =`, and reads `YEAR(CURDATE())` as
    2020. Ours does so outside literals and quoted names only.
    """
    lower = sql.lower()
    if "distinct" in lower or " =" in sql:
        sql = "".join(_joined([t for t in tokens(sql) if t[1].lower() != "distinct"]))
    return _this_year(sql) if "curdate" in lower else sql


def _joined(parts: list[Token]) -> Iterator[str]:
    skip = False
    for index, (_, text) in enumerate(parts):
        if skip:
            skip = False
        elif text == " " and index and parts[index - 1][1] in {">", "<", "!"}:
            skip = False
            if index + 1 == len(parts) or parts[index + 1][1] != "=":
                yield text
        else:
            yield text


def _this_year(sql: str) -> str:
    parts = list(tokens(sql))
    places = [index for index, part in enumerate(parts) if part[0] != "space"]
    texts = [parts[index][1] for index in places]
    start = 0
    while start < len(places):
        if [text.upper() for text in texts[start : start + 6]] == CURRENT_YEAR:
            for index in range(places[start], places[start + 5] + 1):
                parts[index] = ("number", "2020" if index == places[start] else "")
            start += 5
        start += 1
    return "".join(text for _, text in parts)
