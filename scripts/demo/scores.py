"""The quickstart's table: execution accuracy of each stage with intervals, and each stage's gain.

    python scripts/demo/scores.py --folder quickstart

reads the files of a finished quickstart, and writes report.json (the figures) and stages.json (the
same for scripts/report.py). Sampled pass@1 is the mean over a question's candidates. A gain is the
mean difference over the same questions, with the interval of that mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.consistency.candidates import read_candidates
from slmsql.consistency.judging import judge_candidates
from slmsql.errors import run_program
from slmsql.evaluation.statistics import Interval, mean_interval, share_interval
from slmsql.execution import Executor
from slmsql.files import Record, read_json, read_jsonl, write_json
from slmsql.match import Match
from slmsql.questions.question import Question
from slmsql.questions.reading import read_questions

# Name, first row, second row; the gain is the second minus the first.
GAINS = (
    ("GRPO over SFT, greedy", "sft_greedy", "grpo_greedy"),
    ("GRPO over SFT, sampled pass@1", "sft_sampled", "grpo_sampled"),
    ("self-consistency over sampled pass@1", "grpo_sampled", "vote"),
    ("self-consistency over sampled pass@1, SFT", "sft_sampled", "sft_vote"),
    ("corrective over plain self-consistency", "vote", "corrective"),
)


@dataclass(frozen=True, slots=True)
class Options:
    folder: Path = field(metadata={"help": "output folder of the quickstart"})
    json: Path | None = field(default=None, metadata={"help": "another file for the figures"})


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: the score of each question, from 0 to 1, in the questions' order."""

    key: str
    name: str
    scores: tuple[float, ...]


def main() -> None:
    options = parse(Options, about=__doc__)
    questions = read_questions(options.folder / "demo" / "test.jsonl")
    rows = read_rows(options.folder, questions)
    demo = read_json(options.folder / "demo" / "demo.json")
    report = as_report(rows, demo)
    for path in filter(None, (options.folder / "report.json", options.json)):
        write_json(path, report)
    write_json(options.folder / "stages.json", as_stages(report))
    print(as_table(report))


def read_rows(folder: Path, questions: Sequence[Question]) -> list[Row]:
    """Read the rows from the outcomes of scripts/evaluate.py and from the candidates."""
    sft = candidate_scores(folder / "sft_test_sampled.jsonl", questions)
    grpo = candidate_scores(folder / "grpo_test_sampled.jsonl", questions)
    n = max(map(len, grpo))

    def evaluated(name: str) -> tuple[float, ...]:
        return evaluated_scores(folder / "evaluation" / name / "outcomes.jsonl", questions)

    return [
        Row("sft_greedy", "SFT, greedy", evaluated("sft_greedy")),
        Row("grpo_greedy", "SFT + GRPO, greedy", evaluated("grpo_greedy")),
        Row("sft_sampled", "SFT, sampled pass@1", tuple(map(_mean, sft))),
        Row("grpo_sampled", "SFT + GRPO, sampled pass@1", tuple(map(_mean, grpo))),
        Row("vote", f"self-consistency (vote of {n})", evaluated("vote")),
        Row("corrective", "corrective self-consistency", evaluated("corrective")),
        Row("pass_at_n", f"pass@{n} (any right)", tuple(float(any(right)) for right in grpo)),
    ]


def evaluated_scores(file: Path, questions: Sequence[Question]) -> tuple[float, ...]:
    """1 for each question that scripts/evaluate.py found right, 0 for the others."""
    correct = {
        str(outcome["id"]): outcome["correct"][Match.BIRD.value] is True
        for outcome in read_jsonl(file)
    }
    return tuple(float(correct[question.id]) for question in questions)


def candidate_scores(file: Path, questions: Sequence[Question]) -> list[tuple[bool, ...]]:
    """Which candidates of each question are right."""
    sets = read_candidates([file], questions)
    gold = {question.id: question.gold_sql for question in questions}
    with Executor() as executor:
        judged_sets = judge_candidates(sets, gold, executor, Match.BIRD)
    return [judged.correct for judged in judged_sets]


def as_report(rows: Sequence[Row], demo: Record) -> Record:
    """The figures with what a reader must know about the data."""
    about = _about(demo, len(rows[0].scores))
    return {**as_figures(rows), "title": "Quickstart", "about": about, "demo": demo}


def as_figures(rows: Sequence[Row]) -> Record:
    """Figures and gains; shares in percent, differences in points."""
    by_key = {row.key: row for row in rows}
    return {
        "match": Match.BIRD.value,
        "n": len(rows[0].scores),
        "figures": {row.key: _figure(row) for row in rows},
        "gains": {
            name: _gain(by_key[first], by_key[second])
            for name, first, second in GAINS
            if first in by_key and second in by_key
        },
    }


def as_stages(report: Record) -> Record:
    """The report in the form that scripts/report.py reads."""
    return {
        "title": report["title"],
        "about": report["about"],
        "stages": list(report["figures"].values()),
        "notes": [_gain_line(name, gain) for name, gain in report["gains"].items()],
    }


def as_table(report: Record) -> str:
    """The report as text for the terminal."""
    lines = [f"{'':38} {'EX':>6}  {'95 % interval':>16} {'n':>5}"]
    for figure in report["figures"].values():
        low, high = figure["interval"]
        interval = f"{low:.1f} to {high:.1f}"
        lines.append(f"{figure['name']:38} {figure['value']:6.1f}  {interval:>16} {figure['n']:5}")
    lines += ["", *(_gain_line(name, gain) for name, gain in report["gains"].items())]
    return "\n".join([*lines, "", report["about"]])


def _about(demo: Record, n: int) -> str:
    share = 100 * demo["wrong_demonstrations"] / demo["demonstrations"]
    return (
        f"A model of random weights on made-up data: {demo['demonstrations']} demonstrations, of"
        f" which {share:.1f} % are wrong in a systematic way, as synthetic data is. GRPO and the"
        f" merge model train on {demo['audited']} questions with right gold SQL. Scored on {n}"
        f" held-out questions, {demo['held_out_new_combinations']} of them new combinations."
    )


def _gain_line(name: str, gain: Record) -> str:
    low, high = gain["interval"]
    return f"{name}: {gain['difference']:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})"


def _figure(row: Row) -> Record:
    return {
        "name": row.name,
        "value": round(100 * _mean(row.scores), 2),
        "n": len(row.scores),
        "interval": _interval(row.scores),
    }


def _gain(first: Row, second: Row) -> Record:
    differences = [b - a for a, b in zip(first.scores, second.scores, strict=True)]
    return {
        "difference": round(100 * _mean(differences), 2),
        "interval": _percent(mean_interval(differences, bounds=(-1.0, 1.0))),
    }


def _interval(scores: Sequence[float]) -> list[float]:
    """Of a share, as in scripts/evaluate.py, if each score is 0 or 1; otherwise of a mean."""
    if set(scores) <= {0.0, 1.0}:
        interval = share_interval(sum(map(int, scores)), len(scores))
        return [round(interval.low, 2), round(interval.high, 2)]
    return _percent(mean_interval(scores, bounds=(0.0, 1.0)))


def _percent(interval: Interval) -> list[float]:
    return [round(100 * interval.low, 2), round(100 * interval.high, 2)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    run_program(main)
