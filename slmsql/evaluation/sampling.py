"""What the candidates behind the predictions could have given, and what they cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from slmsql.consistency.candidates import CandidateSet, run_candidates
from slmsql.consistency.judging import judge_candidates
from slmsql.consistency.voting import group_by_result
from slmsql.evaluation.metric import Metric, mean, share
from slmsql.evaluation.outcome import Evaluation, Group, Outcome
from slmsql.evaluation.statistics import pass_at_k, percentile
from slmsql.execution import Executor
from slmsql.files import Record, read_jsonl

MARGINS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # bounds of the shares by which a vote is won


@dataclass(frozen=True, slots=True)
class Sampling:
    """Figures of the candidates of a run, on the questions that are judged."""

    candidates: float
    """Mean number of a question."""
    pass_at_k: Mapping[int, Metric]
    """The chance that one of k candidates is right, for powers of two."""
    top2: Metric
    """Questions with a right one among the two largest groups: the bound of a revision."""
    margins: Mapping[str, Metric]
    """Accuracy of the predictions by how clearly the vote was won."""

    def as_record(self) -> Record:
        return {
            "candidates": round(self.candidates, 2),
            "pass_at_k": {str(k): metric.as_record() for k, metric in self.pass_at_k.items()},
            "top2": self.top2.as_record(),
            "vote_margin": {name: metric.as_record() for name, metric in self.margins.items()},
        }


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for a million tokens."""

    prompt: float = 0.0
    completion: float = 0.0


def with_candidates(
    evaluation: Evaluation, sets: Sequence[CandidateSet], executor: Executor
) -> tuple[Evaluation, Sampling | None]:
    """The evaluation with the groups of each question's candidates, and the figures of these."""
    ran = {found.id: found for found in run_candidates(sets, executor)}
    judged = [o for o in evaluation.judged if o.question.id in ran]
    gold = {o.question.id: o.question.gold_sql for o in judged}
    judged_sets = judge_candidates([ran[name] for name in gold], gold, executor, evaluation.match)
    right = {judged_set.id: judged_set.correct_by_sql for judged_set in judged_sets}
    grouped = tuple(
        replace(o, groups=_groups(ran[o.question.id], right.get(o.question.id, {})))
        if o.question.id in ran
        else o
        for o in evaluation.outcomes
    )
    evaluation = replace(evaluation, outcomes=grouped)
    return evaluation, _figures(evaluation, ran, right) if judged else None


def usage(files: Sequence[Path], price: Price) -> Record:
    """Tokens, cost and latency for one question, where the sampler recorded them."""
    records = [record for file in files for record in read_jsonl(file) if "candidates" in record]
    found: Record = {}
    for name in ("prompt_tokens", "tokens", "seconds"):
        values = [float(record[name]) for record in records if record.get(name) is not None]
        if values:
            found[name] = {
                "n": len(values),
                "mean": round(sum(values) / len(values), 4),
                **{f"p{p}": round(percentile(values, p / 100), 4) for p in (50, 90, 99)},
            }
    if price != Price() and "tokens" in found:
        prompt = found.get("prompt_tokens", {"mean": 0.0})["mean"]
        cost = (prompt * price.prompt + found["tokens"]["mean"] * price.completion) / 1e6
        found["dollars_per_question"] = round(cost, 8)
    return found


def _groups(found: CandidateSet, right: Mapping[str | None, bool]) -> tuple[Group, ...]:
    groups = [
        Group(group.sql, group.votes, right.get(group.members[0].sql), "ok")
        for group in group_by_result(found.candidates)
    ]
    failed = [one for one in found.candidates if not one.ok]
    if failed:
        status = failed[0].status.value if failed[0].status else "error"
        groups.append(Group(failed[0].sql or "", len(failed), False, status))
    return tuple(groups)


def _figures(
    evaluation: Evaluation,
    ran: Mapping[str, CandidateSet],
    right: Mapping[str, Mapping[str | None, bool]],
) -> Sampling | None:
    judged = [o for o in evaluation.judged if o.question.id in right]
    flags = [[right[o.question.id][c.sql] for c in ran[o.question.id].candidates] for o in judged]
    curve = {k: mean([_at(k, one) for one in flags]) for k in _powers(max(map(len, flags)))}
    top2 = share([any(g.correct for g in o.groups[:2] if g.status == "ok") for o in judged])
    if top2 is None:
        return None
    return Sampling(
        candidates=sum(map(len, flags)) / len(flags),
        pass_at_k={k: metric for k, metric in curve.items() if metric is not None},
        top2=top2,
        margins=_margins(judged, evaluation),
    )


def _at(k: int, flags: Sequence[bool]) -> float:
    """Questions whose vote was decided early have fewer candidates: all of them count then."""
    return pass_at_k(sum(flags), len(flags), min(k, len(flags))) if flags else 0.0


def _powers(most: int) -> list[int]:
    powers = [2**i for i in range(most.bit_length()) if 2**i <= most]
    return powers if powers[-1] == most else [*powers, most]


def _margins(judged: Sequence[Outcome], evaluation: Evaluation) -> dict[str, Metric]:
    found: dict[str, list[bool]] = {}
    for outcome in judged:
        margin = _margin(outcome)
        bounds = pairwise(MARGINS)
        name = next(
            (f"{low:.0%} – {high:.0%}" for low, high in bounds if margin < high), "unanimous"
        )
        found.setdefault(name, []).append(outcome.correct[evaluation.match])
    order = [f"{low:.0%} – {high:.0%}" for low, high in pairwise(MARGINS)]
    metrics = {name: share(found[name]) for name in (*order, "unanimous") if name in found}
    return {name: metric for name, metric in metrics.items() if metric is not None}


def _margin(outcome: Outcome) -> float:
    """The lead of the best group over the next, as a share of all votes."""
    votes = [group.votes for group in outcome.groups if group.status == "ok"]
    total = sum(group.votes for group in outcome.groups)
    if not votes:
        return 0.0
    return (votes[0] - (votes[1] if len(votes) > 1 else 0)) / total
