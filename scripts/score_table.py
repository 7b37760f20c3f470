"""Scores several prediction files on the same questions, by every metric, in one table.

    python scripts/score_table.py --benchmark spider --root SPIDER --split dev \\
        --predictions FILE... --output docs/scores_spider_dev.md
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.consistency.prediction import match_ids, read_predictions
from slmsql.errors import run_program
from slmsql.evaluation import Evaluation, Extras, Metric, evaluate
from slmsql.evaluation.provenance import databases_hash, questions_hash
from slmsql.evaluation.report import metrics
from slmsql.evaluation.scorers import SCORERS
from slmsql.evaluation.spider import Catalogs, read_foreign_keys
from slmsql.execution import Executor
from slmsql.files import write_json, write_text
from slmsql.match import Match
from slmsql.questions.question import Question, with_databases

COLUMNS = (
    *("ex_bird", "ex_spider", "ex_strict", "exact_match", "exact_set_match"),
    *("soft_f1", "soft_f1_official", "r_ves", "ves", "valid_sql"),
)


@dataclass(kw_only=True)
class Options(SourceOptions):
    predictions: list[str] = field(metadata={"help": "prediction files"})
    output: str = field(metadata={"help": "Markdown table to write"})
    timings: int = field(
        default=0, metadata={"help": "how often to time right answers for R-VES; 0: never"}
    )
    json: str = field(default="", metadata={"help": "file for the figures"})


def main() -> None:
    options = parse(Options, about=__doc__)
    questions = options.read_all()
    available, missing = with_databases(questions)
    extras = Extras(catalogs=_catalogs(options), timings=options.timings)
    rows: dict[str, dict[str, Metric]] = {}
    with Executor() as executor:
        for file in map(Path, options.predictions):
            predictions = read_predictions(file, questions)
            match_ids(predictions, questions, file)
            evaluation = evaluate(
                available, predictions, match=Match.BIRD, executor=executor, extras=extras
            )
            rows[file.stem.rpartition("__")[2]] = dict(metrics(evaluation))
            print(f"{file.name}: {_headline(evaluation)}", flush=True)
    about = _about(options, available, missing)
    write_text(Path(options.output), _table(rows, about))
    if options.json:
        figures = {
            name: {key: metric.as_record() for key, metric in row.items()}
            for name, row in rows.items()
        }
        write_json(Path(options.json), {"about": about, "files": figures})


def _catalogs(options: Options) -> Catalogs | None:
    tables = Path(options.root) / "tables.json"
    is_spider = options.benchmark == "spider" and tables.is_file()
    return Catalogs(read_foreign_keys(tables)) if is_spider else None


def _headline(evaluation: Evaluation) -> str:
    accuracy = evaluation.accuracy
    return f"EX {accuracy.value:.1f}, n = {accuracy.n}" if accuracy else "no question was judged"


def _about(options: Options, available: Sequence[Question], missing: Sequence[Question]) -> str:
    return (
        f"{options.benchmark or Path(options.questions).name} {options.split}: "
        f"{len(available)} questions; {len(missing)} more are left out because their database is "
        f"missing. Hash of the data {questions_hash([*available, *missing])}, of the databases "
        f"{databases_hash(available)}. All figures are in percent; the 95 % interval of EX bird is "
        "in brackets."
    )


def _table(rows: dict[str, dict[str, Metric]], about: str) -> str:
    columns = [name for name in COLUMNS if any(name in row for row in rows.values())]
    header = "| predictions | " + " | ".join(SCORERS[name].name for name in columns) + " |"
    lines = [about, "", header, "|---|" + "---:|" * len(columns)]
    for name, row in rows.items():
        cells = [f"{row[c].value:.1f}" if c in row else "" for c in columns]
        interval = row["ex_bird"].interval
        cells[columns.index("ex_bird")] += f" [{interval.low:.1f}, {interval.high:.1f}]"
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_program(main)
