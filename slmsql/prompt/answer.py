"""Reads a completion: its thought, its SQL, and whether it has the format that was asked for.

Rewards, sampling and training all read completions here, by these rules:

1. The answer is the text between the first `</answer>` and the last `<answer>` before it. Sampling
   stops at the first `</answer>`, so what follows it never counts. Tags inside the SQL, such as a
   `</think>` in a comment, do not cut it.
2. Without a complete answer, the SQL is what follows an unclosed `<answer>`, or else what follows
   the thought, or else the whole completion. The thought ends at the first `</think>` after the
   last `<think>`. If it never ends, there is no SQL.
3. A fence is three or more backticks or tildes at the start of a line, with any label. It closes
   with a fence at the end of a line, or else at the end of the text. The SQL is the last block with
   content; without one, it is the text that is not in a block.
4. White space around the SQL and semicolons at its end are dropped; all else stays as written. (On
   one line, for instance, a comment would swallow the rest of the query.)
5. A completion is well formed if each of the four tags occurs once, in order, with only white space
   around the two blocks, the thought is not empty and the SQL begins a query
   (`slmsql.sql.tokens.begins_query`).
"""

import re
from dataclasses import dataclass

from slmsql.sql.tokens import WORD_END, begins_query

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
THOUGHT_END = re.compile(r"</think>(?:\s*+</think>)*+")
FENCE = r"(?:`{3,}+|~{3,}+)"
CLOSING_FENCE = rf"{FENCE}[ \t\r]*+$"
BLOCK = re.compile(  # the group is the content of the block
    rf"""
    ^[ \t]*+ {FENCE}
    (?: [ \t]*+ (?! (?i:SELECT|VALUES|WITH){WORD_END} | \( | -- | /\* ) [^\s`~]++ )?+  # the label
    \s*+
    ( [^`~]*+ (?: (?! {CLOSING_FENCE} | (?<=\n){FENCE} ) [`~]++ [^`~]*+ )*+ )
    (?: {CLOSING_FENCE} )?+  # or the end, or a line that opens the next block
    """,
    re.MULTILINE | re.VERBOSE,
)
# A semicolon and all that `str.strip` takes off; the last space in Unicode is U+3000.
CLOSING = ";" + "".join(filter(str.isspace, map(chr, range(0x3001))))


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed completion; `sql` is None if it contains none."""

    thought: str
    sql: str | None
    well_formed: bool


def parse(completion: str) -> Answer:
    """Read a completion by the rules above, in time linear in its length."""
    before, thought, between, answer, after = _split_at_tags(completion)
    if thought.strip() and not (before + between + after).strip():
        sql = _sql(answer)
        return Answer(thought.strip(), sql, begins_query(sql or ""))
    thought, text = _thought_and_answer(completion)
    return Answer(thought, _sql(text), False)


def _split_at_tags(completion: str) -> list[str]:
    """The text before, between and after the four tags; five empty texts unless each occurs once.

    `parse` accepts white space around the tags: a final newline, or an answer on the same line as
    its tags, is not an error of format.
    """
    if any(completion.count(tag) != 1 for tag in TAGS):
        return [""] * 5
    parts = []
    for tag in TAGS:  # a tag out of order leaves the rest empty
        part, _, completion = completion.partition(tag)
        parts.append(part)
    return [*parts, completion]


def _thought_and_answer(completion: str) -> tuple[str, str]:
    text, closing, _ = completion.partition("</answer>")
    before, opening, answer = text.rpartition("<answer>")
    if opening and closing:
        return _split_thought(before)[0], answer
    thought, rest = _split_thought(text)
    return thought, rest.rpartition("<answer>")[2]


def _split_thought(text: str) -> tuple[str, str]:
    """The thought and what follows it."""
    end = THOUGHT_END.search(text, max(0, text.rfind("<think>")))
    if end is not None:
        return text[: end.start()].replace("<think>", "").strip(), text[end.end() :]
    unfinished = "<think>" in text and "<answer>" not in text
    return "", "" if unfinished else text


def _sql(text: str) -> str | None:
    """The last fenced block, or else the whole text, without white space and semicolons around."""
    outside_and_blocks = BLOCK.split(text)
    blocks = list(filter(None, outside_and_blocks[1::2]))
    text = (blocks[-1] if blocks else "".join(outside_and_blocks[::2])).strip()
    sql = text.rstrip(CLOSING)
    if "--" in sql.rpartition("\n")[2]:  # perhaps a comment: its semicolons do no harm and stay
        sql += text[len(sql) :].partition("\n")[0].rstrip()
    return sql or None
