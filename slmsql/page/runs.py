"""What a page says of runs: their figures, where they fail, and what differs between them."""

from collections import Counter
from collections.abc import Sequence

from slmsql.evaluation.statistics import compare
from slmsql.files import Record
from slmsql.page.curves import Curve, line_charts
from slmsql.page.document import section
from slmsql.page.figures import Figure, bars, figure_table, read_figure
from slmsql.page.markup import Html, element, joined, table, text
from slmsql.page.published import published_section
from slmsql.page.questions import question_list
from slmsql.page.reading import Run, verdicts

KEYS = ("mean", "p50", "p90", "p99")
LABELS = {
    "ex_bird": "EX, bird: sets of rows",
    "ex_spider": "EX, spider: column order free",
    "ex_strict": "EX, strict: order and repetition count",
    "ex_test_suite": "EX, test suite: on several databases",
    "exact_match": "exact match of the normalised SQL",
    "exact_set_match": "exact-set match of Spider",
    "soft_f1": "Soft-F1, order of rows free",
    "soft_f1_official": "Soft-F1 as BIRD computes it",
    "r_ves": "R-VES",
    "r_ves_official": "R-VES as BIRD computes it",
    "r_ves_steps": "R-VES by steps instead of time",
    "ves": "VES",
    "valid_sql": "SQL that runs",
}


def run_sections(runs: Sequence[Run], published: str = "") -> list[Html]:
    """All sections for runs on the same questions, the first being the one to compare with.

    Args:
        runs: what to show.
        published: the set whose published numbers stand beside ours, such as "bird dev".
    """
    if not runs:
        return []
    ours = [read_figure(run.report, run.name, run.name) for run in runs]
    sections = [_summary(runs, ours), published_section(published, ours)]
    if len(runs) > 1:
        sections.append(_comparison(runs))
    sections += [_grouped(runs, name) for name in runs[0].report.get("by", {})]
    if any("error_class" in outcome for run in runs for outcome in run.outcomes):
        sections.append(_errors(runs))
    sections += [part for run in runs if "sampling" in run.report for part in _sampling(run)]
    about = "Open one to see gold and prediction side by side."
    return [*sections, section("Questions", question_list(runs), about=about)]


def _summary(runs: Sequence[Run], figures: Sequence[Figure]) -> Html:
    left_out = [_data(run) for run in runs]
    mode = runs[0].report["match"]
    about = f"Execution accuracy in the mode “{mode}”, in percent; the thin line is the interval."
    return section("Summary", bars(figures), _metrics(runs), *left_out, about=about)


def _metrics(runs: Sequence[Run]) -> Html:
    """All metrics: with n and interval for one run, side by side for several."""
    if len(runs) == 1:
        metrics = runs[0].report["metrics"]
        return figure_table([read_figure(m, k, LABELS.get(k, k)) for k, m in metrics.items()], "%")
    names = dict.fromkeys(name for run in runs for name in run.report["metrics"])
    rows = [
        [text(LABELS.get(name, name)), *(_cell(run.report["metrics"].get(name)) for run in runs)]
        for name in names
    ]
    return table(["", *(run.name for run in runs)], rows)


def _cell(metric: Record | None) -> Html:
    if metric is None:
        return Html("")
    low, high = metric["interval"]
    interval = element("small", text(f"{low:.1f} – {high:.1f}, n = {metric['n']}"))
    return joined(text(f"{metric['value']:.1f}"), interval)


def _data(run: Run) -> Html:
    left_out = run.report["left_out_because"]
    reasons = ", ".join(f"{count} ({reason})" for reason, count in left_out.items()) or "none"
    line = f"{run.name}: left out {reasons}; data {run.report.get('data', '?')}, "
    line += f"predictions {run.report.get('predictions', '?')}."
    return element("p", element("small", text(line)))


def _comparison(runs: Sequence[Run]) -> Html:
    rows = [_compared(runs[0], run) for run in runs[1:]]
    head = ["", "difference", "95 % interval", "verdict", "gained", "lost", "p (McNemar)"]
    return section(
        f"Against {runs[0].name}",
        table(head, rows),
        about="Gained: right where the first is wrong. Paired on the questions that both answer.",
    )


def _compared(first: Run, second: Run) -> list[Html]:
    before, after = verdicts(first), verdicts(second)
    shared = [identity for identity in before if identity in after]
    found = compare([before[i] for i in shared], [after[i] for i in shared])
    word = "significant" if found.is_significant else "chance can do that"
    low, high = found.interval.rounded(1)
    figures = [second.name, f"{found.difference:+.1f}", f"{low:+.1f} – {high:+.1f}", word]
    return [text(c) for c in (*figures, found.gained, found.lost, f"{found.p_value:.2g}")]


def _grouped(runs: Sequence[Run], name: str) -> Html:
    parts = []
    for run in runs:
        figures = [read_figure(m, key, key) for key, m in run.report["by"].get(name, {}).items()]
        if figures:
            title = [element("h3", text(run.name))] if len(runs) > 1 else []
            parts.append(element("div", *title, bars(figures)))
    return section(f"By {name}", element("div", *parts, class_="sides")) if parts else Html("")


def _sampling(run: Run) -> list[Html]:
    sampling = run.report["sampling"]
    curve = [read_figure(m, f"pass@{k}", f"pass@{k}") for k, m in sampling["pass_at_k"].items()]
    curve.append(read_figure(sampling["top2"], "top-2", "top-2 groups"))
    margins = [read_figure(m, name, name) for name, m in sampling["vote_margin"].items()]
    return [
        section(
            f"Candidates: {run.name}",
            line_charts([_curve(sampling)], x_name="k ="),
            bars(curve),
            about=f"{sampling['candidates']:.1f} candidates a question. pass@k: one of k is right; "
            "top-2: one of the two largest groups is, which is what a revision can reach.",
        ),
        section(
            f"Vote margin: {run.name}",
            bars(margins),
            about="Accuracy by the lead of the best group over the next, as a share of all votes.",
        ),
        *_usage(run),
    ]


def _curve(sampling: Record) -> Curve:
    points = [(float(k), float(metric["value"])) for k, metric in sampling["pass_at_k"].items()]
    return Curve("pass@k in percent, over k", tuple(points))


def _usage(run: Run) -> list[Html]:
    usage = run.report.get("usage", {})
    rows = [
        [text(name.replace("_", " ")), *(text(f"{usage[name][key]:,.2f}") for key in KEYS)]
        for name in ("prompt_tokens", "tokens", "seconds")
        if name in usage
    ]
    if not rows:
        return []
    cost = usage.get("dollars_per_question")
    about = "For one question." + (f" It costs ${cost:.6f}." if cost else "")
    return [section(f"Cost: {run.name}", table(["", *KEYS], rows), about=about)]


def _errors(runs: Sequence[Run]) -> Html:
    counts = [Counter(o.get("error_class") for o in run.outcomes) for run in runs]
    names = sorted(
        {name for count in counts for name in count if name}, key=lambda name: -counts[-1][name]
    )
    rows = [[text(name), *(text(count[name] or "") for count in counts)] for name in names]
    return section(
        "Why answers are wrong",
        joined(table(["", *(run.name for run in runs)], rows)),
        about="Each wrong answer in one class: the first difference that explains it.",
    )
