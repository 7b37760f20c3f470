"""Training examples for the merge model: two drafts with their results, and the right query.

The drafts are those that inference would show: the two best groups of a question's candidates. If
neither is right, the published method replaces one of them, chosen by a fair coin, with the gold
query. Reasoning is never invented: it comes from a completion whose query has the gold result, or
from the question itself.
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
from slmsql.questions.leakage import plain_sql
from slmsql.questions.question import Question


class Neither(StrEnum):
    """What to do with a question if neither draft is right."""

    GOLD = "gold"  # the gold query replaces a draft, as published
    KEEP = "keep"  # both drafts stay wrong: the model must correct them
    DROP = "drop"


class Case(StrEnum):
    """What is true of a question's drafts. The data card counts each case."""

    GOLD_DOES_NOT_RUN = "gold does not run"
    NOTHING_RUNS = "no candidate runs"
    NOT_IN_DOUBT = "not in doubt"
    RIGHT = "one draft is right"
    NEITHER = "neither is right"


@dataclass(frozen=True, slots=True)
class MergeExample:
    """A question's drafts and the answer that the model learns."""

    case: Case
    revision: Revision | None
    """The drafts; None if the question makes no training example."""
    sql: str = ""
    thought: str = ""
    """The reasoning that leads to `sql`; empty if no right completion has any."""


def merge_example(
    question: Question,
    candidates: CandidateSet,
    gold: Execution,
    revision_settings: RevisionSettings,
    neither: Neither,
    seed: int,
) -> MergeExample:
    """Choose the drafts of a question and the answer to learn.

    Args:
        candidates: the question's candidates, already run.
        gold: the execution of the gold query.
        seed: decides, together with the question's id, which draft the gold query replaces.
    """
    groups = group_by_result(candidates.candidates)
    if not gold.ok:
        return MergeExample(Case.GOLD_DOES_NOT_RUN, None)
    if not groups:
        return MergeExample(Case.NOTHING_RUNS, None)
    if not needs_revision(groups, revision_settings):
        return MergeExample(Case.NOT_IN_DOUBT, None)
    drafts = groups[: revision_settings.drafts]
    is_right = any(group.digest == gold.digest for group in drafts)
    if not is_right and neither is Neither.DROP:
        return MergeExample(Case.NEITHER, None)
    if not is_right and neither is Neither.GOLD:
        drafts = _with_gold(drafts, question, gold, random.Random(f"{seed} {question.id}"))
    sql, thought = right_answer(question, candidates.candidates, gold)
    case = Case.RIGHT if is_right else Case.NEITHER
    return MergeExample(case, Revision(question, drafts), sql, thought)


def right_answer(
    question: Question, candidates: Sequence[Candidate], gold: Execution
) -> tuple[str, str]:
    """Return the SQL and the reasoning that the model learns for a question.

    Both come from one completion, because reasoning leads to its own query. The completion must be
    well-formed and its query must have the gold result; one that wrote the gold query itself is
    preferred. If there is none, return the gold query and no reasoning.
    """
    gold_sql = question.gold_sql or ""
    answers = [
        (candidate.sql or "", answer.thought)
        for candidate in candidates
        if candidate.ok and candidate.digest == gold.digest and candidate.completion
        if (answer := parse(candidate.completion)).well_formed
    ]
    if not answers:
        return gold_sql, ""
    return min(answers, key=lambda answer: plain_sql(answer[0]) != plain_sql(gold_sql))


def _with_gold(
    groups: Sequence[ResultGroup], question: Question, gold: Execution, coin: random.Random
) -> tuple[ResultGroup, ...]:
    """Drop the last group and put a group of the gold query at a random place."""
    candidate = with_execution(Candidate(question.gold_sql), gold)
    drafts = list(groups[:-1])
    drafts.insert(coin.randrange(len(groups)), replace(groups[0], members=(candidate,)))
    return tuple(drafts)
