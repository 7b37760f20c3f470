"""The quickstart's table: execution accuracy by stage, with intervals, and what each stage gains.

    python scripts/demo/scores.py --folder quickstart

Reads what the chain left in the folder; writes report.json (figures) and stages.json (the same for
scripts/report.py). A sampled pass@1 is the mean over a question's candidates. Gains are paired: the
interval is of the mean difference over the questions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.consistency.candidates import read_candidates
from slmsql.errors import run_program
from slmsql.evaluation.statistics import Interval, mean_interval, share_interval
from slmsql.execution import Executor, Pair
from slmsql.files import Record, read_json, read_jsonl, write_json
from slmsql.match import Match
from slmsql.questions.question import Question, read_questions

# Second minus first, in the order of the page.
GAINS = (
    ("GRPO over SFT, greedy", "sft_greedy", "grpo_greedy"),
    ("GRPO over SFT, sampled pass@1", "sft_sampled", "grpo_sampled"),
    ("self-consistency over sampled pass@1", "grpo_sampled", "vote"),
    ("corrective over plain self-consistency", "vote", "corrective"),
)


@dataclass(frozen=True, slots=True)
class Options:
    folder: Path = field(metadata={"help": "the quickstart's output"})
    json: Path | None = field(default=None, metadata={"help": "write the figures here too"})


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: the score of each question, from 0 to 1, in one order for all rows."""

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
    """The rows of the table, from evaluate.py's outcomes and from the candidates."""
    sft = candidate_scores(folder / "sft_test_sampled.jsonl", questions)
    grpo = candidate_scores(folder / "grpo_test_sampled.jsonl", questions)
    n = max(map(len, grpo))
    return [
        Row("sft_greedy", "SFT, greedy", _judged(folder, "sft_greedy", questions)),
        Row("grpo_greedy", "SFT + GRPO, greedy", _judged(folder, "grpo_greedy", questions)),
        Row("sft_sampled", "SFT, sampled pass@1", _means(sft)),
        Row("grpo_sampled", "SFT + GRPO, sampled pass@1", _means(grpo)),
        Row("vote", f"self-consistency (vote of {n})", _judged(folder, "vote", questions)),
        Row("corrective", "corrective self-consistency", _judged(folder, "corrective", questions)),
        Row("pass_at_n", f"pass@{n} (any right)", tuple(float(any(right)) for right in grpo)),
    ]


def candidate_scores(file: Path, questions: Sequence[Question]) -> list[list[bool]]:
    """Which candidates of each question are right."""
    sets = read_candidates([file], questions)
    pairs = [
        Pair(question.database, candidate.sql, question.gold_sql)
        for question, found in zip(questions, sets, strict=True)
        for candidate in found.candidates
    ]
    with Executor() as executor:
        verdicts = iter(executor.judge(pairs, match=Match.BIRD))
    return [[next(verdicts).correct is True for _ in found.candidates] for found in sets]


def as_report(rows: Sequence[Row], demo: Record) -> Record:
    """Figures and gains; shares in percent, differences in points."""
    by_key = {row.key: row for row in rows}
    return {
        "match": Match.BIRD.value,
        "n": len(rows[0].scores),
        "demo": demo,
        "figures": {row.key: _figure(row) for row in rows},
        "gains": {name: _gain(by_key[first], by_key[second]) for name, first, second in GAINS},
    }


def as_stages(report: Record) -> Record:
    """The same in the form of scripts/report.py."""
    return {
        "title": "Quickstart",
        "about": _about(report["demo"], report["n"]),
        "stages": list(report["figures"].values()),
        "notes": [_gain_line(name, gain) for name, gain in report["gains"].items()],
    }


def as_table(report: Record) -> str:
    """The table for the terminal."""
    lines = [f"{'':38} {'EX':>6}  {'95 % interval':>16} {'n':>5}"]
    for figure in report["figures"].values():
        low, high = figure["interval"]
        interval = f"{low:.1f} to {high:.1f}"
        lines.append(f"{figure['name']:38} {figure['value']:6.1f}  {interval:>16} {figure['n']:5}")
    lines += ["", *(_gain_line(name, gain) for name, gain in report["gains"].items())]
    return "\n".join([*lines, "", _about(report["demo"], report["n"])])


def _about(demo: Record, n: int) -> str:
    share = 100 * demo["wrong_demonstrations"] / demo["demonstrations"]
    return (
        f"A model of random weights on made-up data: {demo['demonstrations']} demonstrations, of"
        f" which {share:.1f} % are wrong in a systematic way, as synthetic data is. GRPO and the"
        f" merge model have {demo['audited']} questions with true gold. Scored on {n} held-out"
        f" questions, {demo['held_out_new_combinations']} of them new combinations."
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
        "interval": _percent(mean_interval(differences)),
    }


def _interval(scores: Sequence[float]) -> list[float]:
    """As evaluate.py has it where a question is right or wrong, else of a mean."""
    if set(scores) <= {0.0, 1.0}:
        interval = share_interval(sum(map(int, scores)), len(scores))
        return [round(interval.low, 2), round(interval.high, 2)]
    return _percent(mean_interval(scores))


def _percent(interval: Interval) -> list[float]:
    return [round(100 * interval.low, 2), round(100 * interval.high, 2)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _means(right: Sequence[Sequence[bool]]) -> tuple[float, ...]:
    return tuple(map(_mean, right))


def _judged(folder: Path, name: str, questions: Sequence[Question]) -> tuple[float, ...]:
    outcomes: Mapping[str, Record] = {
        str(record["id"]): record
        for record in read_jsonl(folder / "evaluation" / name / "outcomes.jsonl")
    }
    return tuple(float(_is_right(outcomes[question.id])) for question in questions)


def _is_right(outcome: Record) -> bool:
    return outcome["correct"][Match.BIRD.value] is True


if __name__ == "__main__":
    run_program(main)
