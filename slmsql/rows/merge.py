"""Training data of the merge model: two drafts with their results, and the query that is right.

The drafts are what inference would show: the best two groups of a question's candidates. Where
neither is right, the published branch puts the gold query in the place of one of them by a fair
coin. The reasoning of a row is never made up: it is that of a completion whose query has the gold
result, or the one that comes with the question.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from slmsql.consistency.candidates import Candidate, CandidateSet, with_execution
from slmsql.consistency.revision import Revision, RevisionSettings, needs_revision
from slmsql.consistency.voting import ResultGroup, group_by_result
from slmsql.execution import Execution
from slmsql.prompt.answer import parse
from slmsql.questions.question import Question


class Neither(StrEnum):
    """What becomes of a question where no draft is right."""

    GOLD = "gold"  # the gold query takes the place of a draft, as published
    KEEP = "keep"  # both stay wrong: the model must correct them
    DROP = "drop"


class Case(StrEnum):
    """How the drafts of a question stand; each is counted."""

    GOLD_DOES_NOT_RUN = "gold does not run"
    NOTHING_RUNS = "no candidate runs"
    NOT_IN_DOUBT = "not in doubt"
    RIGHT = "one draft is right"
    NEITHER = "neither is right"


@dataclass(frozen=True, slots=True)
class Settled:
    """A question's drafts and what a right answer says."""

    case: Case
    revision: Revision | None
    """None where there is nothing to settle."""
    sql: str = ""
    thought: str = ""


def settle(
    question: Question,
    found: CandidateSet,
    gold: Execution,
    revision_settings: RevisionSettings,
    neither: Neither,
    seed: int,
) -> Settled:
    """Choose the drafts of a question. Candidates must have run; `gold` is the gold's execution."""
    groups = group_by_result(found.candidates)
    if not gold.ok:
        return Settled(Case.GOLD_DOES_NOT_RUN, None)
    if not groups:
        return Settled(Case.NOTHING_RUNS, None)
    if not needs_revision(groups, revision_settings):
        return Settled(Case.NOT_IN_DOUBT, None)
    drafts = groups[: revision_settings.drafts]
    is_right = any(group.digest == gold.digest for group in drafts)
    if not is_right and neither is Neither.GOLD:
        drafts = _with_gold(drafts, question, gold, random.Random(f"{seed} {question.id}"))
    revision = Revision(question, drafts)
    if not is_right and neither is Neither.DROP:
        return Settled(Case.NEITHER, None)
    sql, thought = right_answer(question, found.candidates, gold)
    return Settled(Case.RIGHT if is_right else Case.NEITHER, revision, sql, thought)


def right_answer(
    question: Question, candidates: Sequence[Candidate], gold: Execution
) -> tuple[str, str]:
    """SQL and reasoning of a well-formed completion with the gold result; else gold, no reasoning.

    The reasoning leads to its own completion's query, so the two stay together; a completion that
    found the very gold query goes before the others.
    """
    gold_sql = question.gold_sql or ""
    right = [one for one in candidates if one.ok and one.digest == gold.digest and one.completion]
    answers = [(one.sql or "", parse(one.completion)) for one in right]
    traces = [(sql, answer.thought) for sql, answer in answers if answer.well_formed]
    traces.sort(key=lambda trace: _bare(trace[0]) != _bare(gold_sql))
    return traces[0] if traces else (gold_sql, "")


def _with_gold(
    groups: Sequence[ResultGroup], question: Question, gold: Execution, coin: random.Random
) -> tuple[ResultGroup, ...]:
    candidate = with_execution(Candidate(question.gold_sql), gold)
    right = replace(groups[0], members=(candidate,))
    kept = tuple(groups[: len(groups) - 1])
    at = coin.randrange(len(groups))
    return (*kept[:at], right, *kept[at:])


def _bare(sql: str) -> str:
    return " ".join(sql.split()).rstrip("; ").lower()
