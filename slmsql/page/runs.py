"""The sections about runs: their figures, where they fail, and how they differ."""

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from slmsql.evaluation.candidate_metrics import cut_notes, pass_at_k_note
from slmsql.evaluation.statistics import LEVEL, Comparison, Interval, compare, holm
from slmsql.files import Record
from slmsql.page.curves import Curve, line_chart
from slmsql.page.figures import Figure, read_figure
from slmsql.page.published import published_sections
from slmsql.page.questions import questions_section
from slmsql.page.reading import EvaluationRun, one_match_mode, verdicts
from slmsql.page.rendering import render

METRICS = {
    "ex_bird": "EX, bird: rows as a set",
    "ex_spider": "EX, spider: any order of columns",
    "ex_strict": "EX, strict: order and repetition of rows count",
    "ex_test_suite": "EX, test suite: on several databases",
    "exact_match": "exact match of the normalised SQL",
    "exact_set_match": "Spider's exact-set match",
    "soft_f1": "Soft-F1, any order of rows",
    "soft_f1_official": "Soft-F1 as BIRD computes it",
    "r_ves": "R-VES",
    "r_ves_filtered": "R-VES with BIRD's outlier rule",
    "r_ves_steps": "R-VES by steps instead of time",
    "ves": "VES",
    "valid_sql": "SQL that runs",
}
USAGE = ("prompt_tokens", "tokens", "seconds")
STATISTICS = ("mean", "p50", "p90", "p99")


def run_sections(runs: Sequence[EvaluationRun], published: str = "") -> list[Markup]:
    """All sections for runs on the same questions in one match mode, compared with the first run.

    Args:
        runs: what to show.
        published: the set whose published numbers stand beside ours, such as "bird dev".

    Raises:
        InputError: the runs answer different questions, or were scored in different modes.
    """
    if not runs:
        return []
    runs = one_match_mode(runs)
    accuracies = [read_figure(run.report, run.name, run.name) for run in runs]
    sections = [_summary(runs, accuracies), *published_sections(published, accuracies)]
    if len(runs) > 1:
        sections.append(_comparisons(runs))
    for name in runs[0].report.get("by", {}):
        sections += _breakdown(runs, name)
    if any("error_class" in outcome for run in runs for outcome in run.outcomes):
        sections.append(_errors(runs))
    for run in runs:
        if "sampling" in run.report:
            sections += [_sampling(run), *_usage(run)]
    return [*sections, questions_section(runs)]


def _summary(runs: Sequence[EvaluationRun], accuracies: Sequence[Figure]) -> Markup:
    names = dict.fromkeys(name for run in runs for name in run.report["metrics"])
    metrics = {METRICS.get(name, name): [_metric(run, name) for run in runs] for name in names}
    return render("summary.html", runs=runs, accuracies=accuracies, metrics=metrics)


def _metric(run: EvaluationRun, name: str) -> Figure | None:
    record = run.report["metrics"].get(name)
    return record and read_figure(record, name, METRICS.get(name, name))


def compare_runs(first: EvaluationRun, second: EvaluationRun, level: str = "") -> Comparison:
    """Compare two runs on the questions that both judge.

    Args:
        first: the run to compare with.
        second: the other one.
        level: only questions of this difficulty; by default all.

    Raises:
        ValueError: there is no such question.
    """
    before, after = verdicts(first), verdicts(second)
    shared = {
        outcome["id"]: str(outcome["db_id"])
        for outcome in first.outcomes
        if outcome["id"] in before
        and outcome["id"] in after
        and level in ("", outcome["difficulty"])
    }
    return compare(
        [before[key] for key in shared], [after[key] for key in shared], list(shared.values())
    )


def _comparisons(runs: Sequence[EvaluationRun]) -> Markup:
    comparisons = [compare_runs(runs[0], run) for run in runs[1:]]
    corrected = holm([comparison.p_value for comparison in comparisons])
    rows = [
        [
            run.name,
            f"{comparison.difference:+.1f}",
            _span(comparison.interval),
            _span(comparison.over_databases),
            "significant" if p_value < 1 - LEVEL else "may be chance",
            comparison.gained,
            comparison.lost,
            f"{p_value:.2g}",
        ]
        for run, comparison, p_value in zip(runs[1:], comparisons, corrected, strict=True)
    ]
    return render("comparison.html", first=runs[0].name, rows=rows)


def _span(interval: Interval | None) -> str:
    return f"{interval.low:+.1f} – {interval.high:+.1f}" if interval else ""


def _breakdown(runs: Sequence[EvaluationRun], name: str) -> list[Markup]:
    """Accuracy by difficulty, database or construct; nothing if no run has this breakdown."""
    figures = [(run.name, _figures(run.report["by"].get(name, {}))) for run in runs]
    figures = [(run, values) for run, values in figures if values]
    return [render("breakdown.html", name=name, runs=runs, figures=figures)] if figures else []


def _errors(runs: Sequence[EvaluationRun]) -> Markup:
    counts = [Counter(outcome.get("error_class") for outcome in run.outcomes) for run in runs]
    classes = sorted({name for count in counts for name in count if name})
    classes.sort(key=lambda name: -counts[-1][name])
    rows = [[name, *(count[name] or "" for count in counts)] for name in classes]
    return render("errors.html", runs=runs, rows=rows)


def _sampling(run: EvaluationRun) -> Markup:
    sampling = run.report["sampling"]
    passes = _figures({f"pass@{k}": metric for k, metric in sampling["pass_at_k"].items()})
    points = tuple((float(k), float(m["value"])) for k, m in sampling["pass_at_k"].items())
    return render(
        "sampling.html",
        run=run.name,
        candidates=sampling["candidates"],
        notes=pass_at_k_note(sampling),
        charts=[line_chart(Curve("pass@k in percent, over k", points), x_name="k =")]
        if points
        else [],
        bounds=[*passes, read_figure(sampling["top2"], "top-2", "top-2 groups")],
        margins=_figures(sampling["vote_margin"]),
    )


def _usage(run: EvaluationRun) -> list[Markup]:
    """Tokens and seconds per question; nothing if the report has no usage."""
    usage = run.report.get("usage", {})
    rows = [
        [name.replace("_", " "), *(f"{usage[name][key]:,.2f}" for key in STATISTICS)]
        for name in USAGE
        if name in usage
    ]
    if not rows:
        return []
    dollars = usage.get("dollars_per_question")
    notes = cut_notes(usage)
    return [
        render("usage.html", run=run.name, head=STATISTICS, rows=rows, dollars=dollars, notes=notes)
    ]


def _figures(metrics: Record) -> list[Figure]:
    return [read_figure(metric, name, name) for name, metric in metrics.items()]
