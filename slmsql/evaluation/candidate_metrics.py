"""Metrics of the candidates behind the predictions: pass@k, vote margins, tokens and cost.

With 4 candidates of which 2 are right, pass@1 of the question is 50 % and pass@4 is 100 %.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from slmsql.consistency.candidates import CandidateSet, fixed_count, run_candidates
from slmsql.consistency.judging import judge_candidates
from slmsql.consistency.voting import group_by_result
from slmsql.evaluation.metric import Metric, mean, share
from slmsql.evaluation.outcome import Evaluation, Outcome, VoteGroup
from slmsql.evaluation.statistics import pass_at_k, percentile
from slmsql.execution import Executor
from slmsql.files import Record, read_jsonl

MARGINS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)  # bounds of the ranges of vote margins
UNANIMOUS = "unanimous"


@dataclass(frozen=True, slots=True)
class CandidateMetrics:
    """Metrics of a run's candidates, on the questions that are judged."""

    candidates: float
    """Mean number of candidates of a question."""
    pass_at_k: Mapping[int, Metric]
    """The chance that at least one of k candidates is right, for powers of two up to
    `estimated_from`."""
    estimated_from: int | None
    """Number of leading candidates of each question that pass@k is estimated from: all, or the
    first round if sampling stopped early. None, and no pass@k, if questions have different numbers
    of candidates and no first round is recorded."""
    top2: Metric
    """Questions with a right candidate in the two largest groups: the upper bound of a revision."""
    margins: Mapping[str, Metric]
    """Accuracy of the predictions by vote margin."""

    def as_record(self) -> Record:
        return {
            "candidates": round(self.candidates, 2),
            "pass_at_k": {str(k): metric.as_record() for k, metric in self.pass_at_k.items()},
            "pass_at_k_estimated_from": self.estimated_from,
            "top2": self.top2.as_record(),
            "vote_margin": {name: metric.as_record() for name, metric in self.margins.items()},
        }


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens."""

    prompt: float = 0.0
    completion: float = 0.0


FREE = Price()


def with_candidates(
    evaluation: Evaluation, sets: Sequence[CandidateSet], executor: Executor
) -> tuple[Evaluation, CandidateMetrics | None]:
    """Judge the candidates of each question.

    Returns:
        The evaluation with each question's groups of candidates, and the metrics of the
        candidates: None if no question with candidates could be judged.
    """
    executed = run_candidates(sets, executor, evaluation.match)
    sets_by_id = {candidate_set.id: candidate_set for candidate_set in executed}
    judged = [o for o in evaluation.judged if o.question.id in sets_by_id]
    gold = {o.question.id: o.question.gold_sql for o in judged}
    judged_sets = judge_candidates(
        [sets_by_id[question_id] for question_id in gold], gold, executor, evaluation.match
    )
    correct = {judged.id: judged.correct_by_sql for judged in judged_sets if judged.is_judged}
    outcomes = tuple(
        replace(o, groups=_groups(sets_by_id[o.question.id], correct.get(o.question.id, {})))
        if o.question.id in sets_by_id
        else o
        for o in evaluation.outcomes
    )
    evaluation = replace(evaluation, outcomes=outcomes)
    return evaluation, _metrics(evaluation, sets_by_id, correct)


def pass_at_k_note(sampling: Record) -> list[str]:
    """What to say beside pass@k if sampling stopped early; nothing otherwise.

    Args:
        sampling: a record of `CandidateMetrics`.
    """
    count = sampling.get("pass_at_k_estimated_from", sampling["candidates"])
    if count is None:
        return [
            "pass@k is left out: questions have different numbers of candidates, and no first "
            "round is recorded"
        ]
    if count < sampling["candidates"]:
        return [
            f"pass@k is estimated from the first {count} candidates of each question alone, "
            "because sampling stopped when a vote was decided"
        ]
    return []


def cut_notes(usage_record: Record) -> list[str]:
    """How many completions were cut at the token limit, if the samplers said why they ended."""
    notes = []
    for key, name in (("finish", "completions"), ("revisions_finish", "revisions")):
        if reasons := usage_record.get(key):
            cut, total = reasons.get("length", 0), sum(reasons.values())
            notes.append(f"{cut:,} of {total:,} {name} were cut at the token limit")
    return notes


def usage(
    files: Sequence[Path],
    price: Price,
    revisions: Sequence[Path] = (),
    merge_price: Price = FREE,
) -> Record:
    """Tokens, cost and latency per question, and why completions ended, if it was recorded.

    The records of a question in all files are summed, so a question that was revised counts with
    both stages, and the mean is over all questions.

    Args:
        files: candidates.jsonl files of the first stage.
        price: of the model that sampled them.
        revisions: revisions.jsonl files of the second stage.
        merge_price: of the merge model.
    """
    totals: dict[str, Counter[str]] = {}
    finish: dict[str, Counter[str]] = {"finish": Counter(), "revisions_finish": Counter()}
    stages = ((files, price), (revisions, merge_price))
    for reasons, (stage_files, stage_price) in zip(finish.values(), stages, strict=True):
        for file in stage_files:
            for number, record in enumerate(read_jsonl(file)):
                if "candidates" in record:
                    key = str(record.get("id", f"{file}:{number}"))
                    totals.setdefault(key, Counter()).update(_costs(record, stage_price))
                    reasons.update(c["finish"] for c in record["candidates"] if c.get("finish"))
    figures: Record = {name: dict(reasons) for name, reasons in finish.items() if reasons}
    for name in ("prompt_tokens", "tokens", "seconds"):
        values = [float(total[name]) for total in totals.values() if name in total]
        if values:
            figures[name] = {
                "n": len(values),
                "mean": round(sum(values) / len(values), 4),
                **{f"p{p}": round(percentile(values, p / 100), 4) for p in (50, 90, 99)},
            }
    if price != FREE or merge_price != FREE:
        dollars = [total["dollars"] for total in totals.values() if "tokens" in total]
        if dollars:
            figures["dollars_per_question"] = round(sum(dollars) / len(dollars), 8)
    return figures


def _costs(record: Record, price: Price) -> dict[str, Any]:
    """What one record cost: the numbers that the sampler recorded, and dollars."""
    costs = {
        name: record[name]
        for name in ("prompt_tokens", "tokens", "seconds")
        if record.get(name) is not None
    }
    prompt, completion = costs.get("prompt_tokens", 0), costs.get("tokens", 0)
    return costs | {"dollars": (prompt * price.prompt + completion * price.completion) / 1e6}


def _groups(
    candidate_set: CandidateSet, correct: Mapping[str | None, bool]
) -> tuple[VoteGroup, ...]:
    groups = [
        VoteGroup(group.sql, group.votes, correct.get(group.members[0].sql), "ok")
        for group in group_by_result(candidate_set.candidates)
    ]
    failed = [candidate for candidate in candidate_set.candidates if not candidate.ok]
    if failed:
        status = failed[0].status.value if failed[0].status else "error"
        groups.append(VoteGroup(failed[0].sql or "", len(failed), False, status))
    return tuple(groups)


def _metrics(
    evaluation: Evaluation,
    sets_by_id: Mapping[str, CandidateSet],
    correct: Mapping[str, Mapping[str | None, bool]],
) -> CandidateMetrics | None:
    judged = [o for o in evaluation.judged if o.question.id in correct]
    sets = [sets_by_id[o.question.id] for o in judged]
    flags = [[correct[s.id][c.sql] for c in s.candidates] for s in sets]
    top2 = share([any(g.correct for g in o.groups[:2] if g.status == "ok") for o in judged])
    if top2 is None:
        return None
    count = fixed_count(sets)
    curve = {
        k: mean([_pass_at(k, question_flags[:count]) for question_flags in flags])
        for k in ([] if count is None else _powers_of_two(count))
    }
    return CandidateMetrics(
        candidates=sum(map(len, flags)) / len(flags),
        pass_at_k={k: metric for k, metric in curve.items() if metric is not None},
        estimated_from=count,
        top2=top2,
        margins=_accuracy_by_margin(judged, evaluation),
    )


def _pass_at(k: int, flags: Sequence[bool]) -> float:
    """pass@k of a question; one that the model could not be asked has a single, wrong candidate."""
    return pass_at_k(sum(flags), len(flags), min(k, len(flags))) if flags else 0.0


def _powers_of_two(largest: int) -> list[int]:
    """The powers of two up to `largest`, and `largest` itself."""
    powers = [2**i for i in range(largest.bit_length()) if 2**i <= largest]
    return powers if powers[-1] == largest else [*powers, largest]


def _accuracy_by_margin(judged: Sequence[Outcome], evaluation: Evaluation) -> dict[str, Metric]:
    ranges = {f"{low:.0%} – {high:.0%}": high for low, high in pairwise(MARGINS)}
    verdicts: dict[str, list[bool]] = {name: [] for name in (*ranges, UNANIMOUS)}
    for outcome in judged:
        margin = _vote_margin(outcome)
        name = next((name for name, high in ranges.items() if margin < high), UNANIMOUS)
        verdicts[name].append(outcome.correct[evaluation.match])
    metrics = {name: share(flags) for name, flags in verdicts.items()}
    return {name: metric for name, metric in metrics.items() if metric is not None}


def _vote_margin(outcome: Outcome) -> float:
    """The lead of the best group over the second, as a share of all votes."""
    votes = [group.votes for group in outcome.groups if group.status == "ok"]
    total = sum(group.votes for group in outcome.groups)
    if not votes:
        return 0.0
    return (votes[0] - (votes[1] if len(votes) > 1 else 0)) / total
