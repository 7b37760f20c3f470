"""The metrics besides EX: for each, the score of one answer."""

import statistics

from slmsql.evaluation import efficiency
from slmsql.evaluation.outcome import Outcome
from slmsql.evaluation.spider import Catalog, same_sets
from slmsql.evaluation.submission import one_line
from slmsql.execution import Verdict
from slmsql.match import Match
from slmsql.sql.parsing import normalised

Scores = dict[str, bool | float]


def query_scores(sql: str, gold: str, catalog: Catalog | None) -> Scores:
    """Scores from the texts of both queries; with a catalog also Spider's exact-set match."""
    gold_text = normalised(gold)
    scores: Scores = {"exact_match": gold_text is not None and normalised(sql) == gold_text}
    same = same_sets(sql, gold, catalog) if catalog is not None else None
    return scores if same is None else {**scores, "exact_set_match": same}


def result_scores(verdict: Verdict) -> Scores:
    """Scores from both complete results. An answer without a result scores 0."""
    soft_f1, official = verdict.soft_f1 or (0.0, 0.0)
    return {"soft_f1": soft_f1, "soft_f1_official": official}


def timing_scores(outcome: Outcome, repeats: int) -> Scores:
    """R-VES and VES. An answer that is wrong in mode `bird` scores 0, as BIRD defines it.

    An answer that is the gold query itself is not timed: it takes as long as itself. If it were
    timed, half of the noise would cost it a quarter of its reward.
    """
    names = ("r_ves", "r_ves_filtered", "ves", "r_ves_steps")
    gold, gold_sql = outcome.gold, outcome.question.gold_sql or ""
    if gold is None or not outcome.correct[Match.BIRD]:
        return dict.fromkeys(names, 0.0)
    if one_line(outcome.sql) == one_line(gold_sql):
        ratios = [1.0]
    else:
        ratios = efficiency.time_ratios(outcome.question.database, outcome.sql, gold_sql, repeats)
    median = statistics.median(ratios)
    steps = efficiency.steps_ratio(outcome.predicted.steps, gold.steps)
    rewards = (
        efficiency.r_ves(efficiency.reward(median)),
        efficiency.r_ves(efficiency.official_reward(ratios)),
        efficiency.ves(median),
        efficiency.r_ves(efficiency.reward(steps)),
    )
    return dict(zip(names, rewards, strict=True))
