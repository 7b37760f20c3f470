"""Reads a completion: its thought, its SQL, and whether it has the format that was asked for."""

import re
from dataclasses import dataclass

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
FENCE = re.compile(r"```(?:[ \t]*(?:sqlite|sql|SQL)\b)?(.*?)```", re.DOTALL)
# A semicolon and all that `str.strip` takes off; the last space in Unicode is U+3000.
CLOSING = ";" + "".join(filter(str.isspace, map(chr, range(0x3001))))


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed completion; `sql` is None if it contains none."""

    thought: str
    sql: str | None
    well_formed: bool


def parse(completion: str) -> Answer:
    """Read a completion in the think layout, in a fenced block, or as plain SQL.

    The SQL stays as the model wrote it: newlines, comments, literals and inner semicolons have a
    meaning (on one line, a comment would swallow the rest of the query). Only surrounding white
    space, a code fence and semicolons at the very end are removed.

    If the completion ends inside `<answer>`, the SQL so far is returned, since it may be whole, but
    the completion is not well formed. The time is linear in the length of the completion.
    """
    before, thought, between, answer, after = _split_at_tags(completion)
    if thought.strip() and answer.strip() and not (before + between + after).strip():
        return Answer(thought.strip(), _sql(answer), True)
    thought, _, rest = completion.rpartition("</think>")
    return Answer(thought.replace("<think>", "").strip(), _sql_outside_format(rest), False)


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


def _sql_outside_format(text: str) -> str | None:
    if "<answer>" in text:
        return _sql(text.rpartition("<answer>")[2].partition("</answer>")[0])
    if "<think>" in text:  # the completion ends inside the thought
        return None
    return _sql(text)


def _sql(text: str) -> str | None:
    """The last fenced block, or else the whole text, without white space and semicolons around."""
    if blocks := FENCE.findall(text):
        text = blocks[-1]
    text = text.strip()
    sql = text.rstrip(CLOSING)
    if "--" in sql.rpartition("\n")[2]:  # perhaps a comment: its semicolons do no harm and stay
        sql += text[len(sql) :].partition("\n")[0].rstrip()
    return sql or None
