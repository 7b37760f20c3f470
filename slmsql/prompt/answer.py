"""What a completion says: the thought, the SQL, and whether the asked format held."""

import re
from dataclasses import dataclass

TAGS = ("<think>", "</think>", "<answer>", "</answer>")
FENCE = re.compile(r"```(?:[ \t]*(?:sqlite|sql|SQL)\b)?(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed completion; `sql` is None where there is none."""

    thought: str
    sql: str | None
    well_formed: bool


def parse(completion: str) -> Answer:
    """Read a completion in the think layout, in a fenced block, or as plain SQL.

    The SQL is kept as it was written: newlines, comments, literals and semicolons inside it mean
    something (flattening lines turns the rest of a query into a comment). Only blank space, a code
    fence and semicolons at the very end are taken off.

    A text that opens a tag and never closes it was cut off: what stands in the open `<answer>` is
    still taken, since a query may be whole, but the format did not hold.
    """
    before, thought, between, answer, after = _parts(completion)
    if thought.strip() and answer.strip() and not (before + between + after).strip():
        return Answer(thought.strip(), _sql(answer), True)
    thought, _, rest = completion.rpartition("</think>")
    return Answer(thought.replace("<think>", "").strip(), _loose(rest), False)


def _parts(completion: str) -> list[str]:
    """What stands before, between and after the four tags; empty unless each occurs once.

    One thought and one answer, both with something in them, and nothing around them but blank
    space: a trailing newline, or an answer on the line of its tags, is no fault of the model's.
    """
    if any(completion.count(tag) != 1 for tag in TAGS):
        return [""] * 5
    parts = []
    for tag in TAGS:  # a tag out of its place leaves the rest empty
        part, _, completion = completion.partition(tag)
        parts.append(part)
    return [*parts, completion]


def _loose(text: str) -> str | None:
    if "<answer>" in text:
        return _sql(text.rpartition("<answer>")[2].partition("</answer>")[0])
    if "<think>" in text:  # cut off inside the thought: nothing was answered
        return None
    if blocks := FENCE.findall(text):
        return _sql(blocks[-1])
    return _sql(text)


def _sql(text: str) -> str | None:
    if blocks := FENCE.findall(text):
        text = blocks[-1]
    text = text.strip()
    while text.endswith(";") and not _in_comment(text):
        text = text[:-1].rstrip()
    return text or None


def _in_comment(sql: str) -> bool:
    """Whether the last line may be a comment; a semicolon there does no harm and stays."""
    return "--" in sql.rpartition("\n")[2]
