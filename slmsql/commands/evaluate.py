"""Scores predictions against gold queries.

    slmsql evaluate --benchmark bird --root BIRD --split dev --predictions FILE \\
        --match bird --output DIR
    slmsql evaluate --benchmark spider --root SPIDER --split dev --predictions FILE --every_scorer
    slmsql evaluate --questions FILE --databases DIR --predictions FILE --output DIR
    slmsql evaluate --questions FILE --databases DIR --predictions FILE --beside postgresql://ann@host

Predictions are JSON Lines with `id` and `sql`, BIRD's JSON or Spider's text file. DIR gets
- report.json with the figures and outcomes.jsonl with each question and both results;
- scores.csv and questions.csv, the same for a spreadsheet;
- predict_bird.json and predict_spider.sql, the predictions as the benchmarks take them.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from slmsql.cli.options import SourceOptions
from slmsql.consistency.candidates import read_candidates
from slmsql.consistency.prediction import read_predictions
from slmsql.evaluation import Evaluation, Extras, as_record, as_table, evaluate
from slmsql.evaluation.beside import Beside, as_lines, evaluate_beside
from slmsql.evaluation.candidate_metrics import (
    Price,
    cut_notes,
    pass_at_k_note,
    usage,
    with_candidates,
)
from slmsql.evaluation.csv_tables import write_questions_csv, write_scores_csv
from slmsql.evaluation.provenance import data_record
from slmsql.evaluation.report import outcome_record
from slmsql.evaluation.scorers import every_scorer
from slmsql.evaluation.scoring import check_ids
from slmsql.evaluation.spider import Catalogs, read_foreign_keys, with_levels
from slmsql.evaluation.submission import write_submission
from slmsql.execution import Executor
from slmsql.files import Record, write_json, write_jsonl
from slmsql.match import Match
from slmsql.questions.question import Question
from slmsql.questions.reading import read_questions

EVERY_TIMINGS = 5  # of an answer for --every_scorer, unless --timings says otherwise


@dataclass(kw_only=True)
class Options(SourceOptions):
    predictions: str = field(
        metadata={"help": "JSON Lines with id and sql, or a benchmark's format"}
    )
    limit: int = field(default=0, metadata={"help": "score only the first N questions; 0: all"})
    match: Match = field(default=Match.BIRD, metadata={"help": "when two results agree"})
    output: str = field(default="", metadata={"help": "folder for all files of the run"})
    json: str = field(default="", metadata={"help": "another file for the figures"})
    cache: str = field(
        default="",
        metadata={
            "help": "folder for results of gold queries on SQLite, reused by later runs while the "
            "files are the same"
        },
    )
    tables: str = field(
        default="",
        metadata={"help": "Spider's tables.json; by default the one beside the questions"},
    )
    suites: str = field(
        default="",
        metadata={
            "help": "folder of make_neighbours.py, for suite EX, or of Spider's test suites "
            "(<db_id>/*.sqlite), for test-suite EX"
        },
    )
    timings: int = field(
        default=0,
        metadata={"help": "how often to time right answers for R-VES, on SQLite; 0: never"},
    )
    every_scorer: bool = field(
        default=False,
        metadata={"help": "print one table of every match mode and official rule at once"},
    )
    candidates: list[str] = field(
        default_factory=list,
        metadata={"help": "candidates.jsonl files of the run, for pass@k, votes, tokens and cost"},
    )
    price_in: float = field(default=0.0, metadata={"help": "dollars per million prompt tokens"})
    price_out: float = field(
        default=0.0, metadata={"help": "dollars per million completion tokens"}
    )
    revisions: list[str] = field(
        default_factory=list,
        metadata={"help": "revisions.jsonl files of the run, for the cost of both stages"},
    )
    merge_price_in: float = field(
        default=0.0, metadata={"help": "the merge model's dollars per million prompt tokens"}
    )
    merge_price_out: float = field(
        default=0.0, metadata={"help": "the merge model's dollars per million completion tokens"}
    )
    beside: str = field(
        default="",
        metadata={
            "help": "folder or URL with copies of the databases on another engine; gold queries "
            "and predictions are translated, and EX there stands beside EX here"
        },
    )
    workers: int = field(
        default=0, metadata={"help": "number of processes; 0: one for each processor"}
    )


def main(options: Options) -> None:
    questions = options.read_all()
    file = Path(options.predictions)
    total = len(questions)
    predictions = read_predictions(file, questions)
    if options.limit:
        left_out = {question.id for question in questions[options.limit :]}
        predictions = {name: sql for name, sql in predictions.items() if name not in left_out}
        questions = questions[: options.limit]
    check_ids(predictions, questions, file)
    extras = _extras(options, questions)
    if extras.catalogs:
        questions = with_levels(questions, extras.catalogs)
    cache = Path(options.cache) if options.cache else None
    with Executor(workers=options.workers or None, cache=cache) as executor:
        evaluation = evaluate(
            questions, predictions, match=options.match, executor=executor, extras=extras
        )
        evaluation, candidate_figures = _with_candidates(evaluation, options, executor)
        beside = _beside(evaluation, options, executor)
    record = {
        **as_record(evaluation),
        **candidate_figures,
        **({"beside": beside.as_record()} if beside else {}),
        **data_record(evaluation, file),
        "options": {**asdict(options), "match": options.match.value},
        "questions_in_file": total,
        "versions": {"slmsql": version("slmsql"), "python": sys.version.split()[0]},
    }
    _write(options, evaluation, record)
    if options.output:
        write_submission(questions, predictions, Path(options.output))
    print(every_scorer(evaluation) if options.every_scorer else as_table(evaluation))
    if beside:
        print(as_lines(beside))
    if sampling := record.get("sampling"):
        print(_sampling_lines(sampling))
    for note in cut_notes(record.get("usage", {})):
        print(note)
    if not options.every_scorer:
        print(f"data: {record['questions']} questions, {record['data']}")
    if len(questions) < total:
        print(f"only the first {len(questions)} of {total} questions were scored (--limit)")
    if evaluation.accuracy is None:
        print("no gold query runs, so the share of valid SQL is the only figure")


def _extras(options: Options, questions: Sequence[Question]) -> Extras:
    folder = Path(options.root) if options.benchmark else Path(options.questions).parent
    name = "test_tables.json" if options.split == "test" else "tables.json"  # as Spider ships them
    tables = Path(options.tables) if options.tables else folder / name
    is_spider = any(question.source == "spider" for question in questions)
    keys = read_foreign_keys(tables) if is_spider and (options.tables or tables.is_file()) else {}
    return Extras(
        catalogs=Catalogs(keys) if is_spider else None,
        suites=Path(options.suites) if options.suites else None,
        timings=options.timings or (EVERY_TIMINGS if options.every_scorer else 0),
    )


def _with_candidates(
    evaluation: Evaluation, options: Options, executor: Executor
) -> tuple[Evaluation, Record]:
    """The evaluation and figures of the candidates, if `--candidates` is given."""
    if not options.candidates:
        return evaluation, {}
    files = [Path(file) for file in options.candidates]
    questions = [outcome.question for outcome in evaluation.outcomes]
    sets = read_candidates(files, [*questions, *evaluation.missing], wanted=questions)
    evaluation, metrics = with_candidates(evaluation, sets, executor)
    figures = {"sampling": metrics.as_record()} if metrics else {}
    price = Price(options.price_in, options.price_out)
    merge_price = Price(options.merge_price_in, options.merge_price_out)
    revisions = [Path(file) for file in options.revisions]
    return evaluation, {**figures, "usage": usage(files, price, revisions, merge_price)}


def _beside(evaluation: Evaluation, options: Options, executor: Executor) -> Beside | None:
    """The same predictions on the databases of `--beside`."""
    if not options.beside or not evaluation.outcomes:
        return None
    others = read_questions(options.files()[0], Path(options.beside))
    return evaluate_beside(evaluation, others, executor)


def _sampling_lines(sampling: Record) -> str:
    passes = {f"pass@{k}": metric for k, metric in sampling["pass_at_k"].items()}
    lines = [
        f"{name:<22} {metric['value']:6.1f}   {metric['interval']}   n = {metric['n']}"
        for name, metric in {**passes, "top-2": sampling["top2"]}.items()
    ]
    return "\n".join([*lines, *pass_at_k_note(sampling)])


def _write(options: Options, evaluation: Evaluation, record: Record) -> None:
    if options.output:
        folder = Path(options.output)
        write_jsonl(folder / "outcomes.jsonl", map(outcome_record, evaluation.outcomes))
        write_scores_csv(evaluation, folder / "scores.csv")
        write_questions_csv(evaluation, folder / "questions.csv")
        write_json(folder / "report.json", record)
    if options.json:
        write_json(Path(options.json), record)
