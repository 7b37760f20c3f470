"""Run a model on a benchmark: prepare, generate, vote, revise, score, report.

    python scripts/benchmark.py --config configs/evaluation/bird_dev.yaml --model MODEL \\
        --merge_model MERGE_MODEL --root data/bird --output runs/NAME

Each stage is a program of its own; its command line is printed and can be run by hand. The same
command goes on where it was stopped. A base model, and any OpenAI-compatible server
(--endpoints URL), run the same way on the same questions, which makes them baselines.
"""

import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.consistency.prediction import read_predictions
from slmsql.errors import InputError, run_program
from slmsql.evaluation.releases import release
from slmsql.evaluation.submission import write_submission
from slmsql.files import Record, file_hash, read_json, write_json, write_jsonl
from slmsql.match import Match
from slmsql.questions.question import Question, read_questions, with_databases
from slmsql.training.model_check import check_model

ROOT = Path(__file__).parent.parent
SAMPLING = (
    "template",
    "sample_values",
    "retrieve_values",
    "schema_tokens",
    "n",
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
)


@dataclass(kw_only=True)
class Options(SourceOptions):
    model: str = field(metadata={"help": "model folder, hub name, or the endpoint's model name"})
    output: str = field(metadata={"help": "folder of the run"})
    name: str = field(default="", metadata={"help": "heading of the page; default: the model"})
    tables: str = field(default="", metadata={"help": "tables.json, for Spider's exact-set match"})
    suites: str = field(default="", metadata={"help": "databases for test-suite EX"})
    limit: int = field(default=0, metadata={"help": "only the first questions; 0: all"})
    match: Match = field(default=Match.BIRD, metadata={"help": "when two results agree"})
    template: str = field(default="think", metadata={"help": "prompt template, name or path"})
    sample_values: int = field(default=2, metadata={"help": "values shown of each column"})
    retrieve_values: bool = field(
        default=False, metadata={"help": "search values for the question"}
    )
    schema_tokens: int = field(default=0, metadata={"help": "budget of the schema; 0: none"})
    n: int = field(default=8, metadata={"help": "candidates of each question"})
    temperature: float = field(default=0.8, metadata={"help": "0: one greedy candidate"})
    top_p: float = field(default=1.0, metadata={"help": "mass of the tokens drawn from"})
    max_tokens: int = field(default=1024, metadata={"help": "length of a completion"})
    seed: int = field(default=0, metadata={"help": "the same seed gives the same candidates"})
    revise: bool = field(default=False, metadata={"help": "revise, also without a merge model"})
    merge_model: str = field(default="", metadata={"help": "model that revises"})
    merge_n: int = field(default=8, metadata={"help": "revisions of a question"})
    merge_template: str = field(default="merge", metadata={"help": "prompt of the revision"})
    merge_retrieve_values: bool = field(
        default=False, metadata={"help": "search values for it too"}
    )
    merge_max_rows: int = field(default=20, metadata={"help": "rows shown of each draft's result"})
    sampler: str = field(default="auto", metadata={"help": "auto, vllm, transformers, endpoint"})
    endpoints: list[str] = field(
        default_factory=list, metadata={"help": "OpenAI-compatible servers"}
    )
    key_env: str = field(default="OPENAI_API_KEY", metadata={"help": "variable with their key"})
    prices: str = field(
        default="", metadata={"help": "YAML table: model name to dollars per million tokens"}
    )
    timings: int = field(default=0, metadata={"help": "time right answers so often, for R-VES"})
    workers: int = field(default=0, metadata={"help": "processes for SQL; 0: all cores"})

    @property
    def revises(self) -> bool:
        return self.revise or bool(self.merge_model)


def main() -> None:
    options = parse(Options, about=__doc__)
    folder = Path(options.output)
    if not options.endpoints:
        for name in filter(None, (options.model, options.merge_model)):
            check_model(name)  # a wrong merge model would show only when all is sampled
    questions = _prepared(options, folder)
    sampled = folder / "candidates.jsonl"
    _run("inference/generate.py", *_sampling(options), "--output", str(sampled))
    votes = folder / "votes.jsonl"
    ask = ["--questions", str(folder / "questions.jsonl")]
    _run("inference/vote.py", *ask, "--candidates", str(sampled), "--output", str(votes))
    stages = {"vote" if options.n > 1 and options.temperature else "greedy": votes}
    if options.revises:
        stages["revised"] = folder / "predictions.jsonl"
        _run("inference/revise.py", *_revision(options, folder))
    for stage, predictions in stages.items():
        _run("scripts/evaluate.py", *_scoring(options, folder, stage, predictions))
    runs = [f"{stage}={folder / stage}" for stage in stages]
    title = options.name or f"{options.model} on {options.benchmark or options.questions}"
    page = ["--output", str(folder / "report.html"), "--title", title]
    known = f"{options.benchmark} {options.split}".strip()
    _run("scripts/report.py", "--runs", *runs, "--published", known, *page)
    final = read_predictions(list(stages.values())[-1], questions)
    for path in write_submission(questions, final, folder):
        print(f"{path}: written")
    _summary(folder, stages)


def _prepared(options: Options, folder: Path) -> list[Question]:
    """The questions of the run, in a file of its own; a run never changes what it was begun on."""
    questions = options.read_all()
    named = release(questions)
    questions = questions[: options.limit or None]
    found, missing = with_databases(questions)
    print(f"data: {named}; {len(questions)} questions, {len(missing)} of them without database")
    if not found:
        raise InputError(f"no question has a database; expected {questions[0].database}")
    path = folder / "questions.jsonl"
    before = path.read_bytes() if path.is_file() else None
    fresh = folder / "questions.new.jsonl"
    write_jsonl(fresh, (question.as_record() for question in questions))
    if before is not None and before != fresh.read_bytes():
        fresh.unlink()
        raise InputError(f"{path} has other questions than this run; give another --output")
    fresh.replace(path)
    about = {"release": named, "questions": file_hash(path), "n": len(questions)}
    write_json(folder / "data.json", about)
    return read_questions(path)


def _sampling(options: Options) -> list[str]:
    words = ["--model", options.model, "--questions", f"{options.output}/questions.jsonl"]
    for name in SAMPLING:
        words += [f"--{name}", str(vars(options)[name])]
    return [*words, *_means(options)]


def _means(options: Options) -> list[str]:
    words = ["--sampler", options.sampler, "--key_env", options.key_env]
    if options.endpoints:
        words += ["--endpoints", *options.endpoints]
    return [*words, *_workers(options)]


def _revision(options: Options, folder: Path) -> list[str]:
    return [
        *("--model", options.merge_model or options.model),
        *("--questions", str(folder / "questions.jsonl")),
        *("--candidates", str(folder / "candidates.jsonl")),
        *("--output", str(folder / "predictions.jsonl")),
        *("--n", str(options.merge_n), "--merge_template", options.merge_template),
        *(
            "--merge_retrieve_values",
            str(options.merge_retrieve_values),
            "--merge_sample_values",
            str(options.sample_values),
        ),
        *("--max_rows", str(options.merge_max_rows)),
        *("--temperature", str(options.temperature), "--max_tokens", str(options.max_tokens)),
        *("--seed", str(options.seed)),
        *_means(options),
    ]


def _scoring(options: Options, folder: Path, stage: str, predictions: Path) -> list[str]:
    name = "test_tables.json" if options.split == "test" else "tables.json"  # as Spider ships them
    tables = options.tables or (f"{options.root}/{name}" if options.root else "")
    words = ["--questions", str(folder / "questions.jsonl"), "--predictions", str(predictions)]
    words += ["--candidates", str(folder / "candidates.jsonl"), "--match", options.match.value]
    if tables and Path(tables).is_file():
        words += ["--tables", tables]
    if options.suites:
        words += ["--suites", options.suites]
    words += ["--timings", str(options.timings), *_workers(options), *_prices(options)]
    return [*words, "--cache", str(folder / "gold"), "--output", str(folder / stage)]


def _workers(options: Options) -> list[str]:
    return ["--workers", str(options.workers)]


def _prices(options: Options) -> list[str]:
    """What the model's tokens cost, looked up in the table of prices."""
    if not options.prices:
        return []
    table = yaml.safe_load(Path(options.prices).read_text(encoding="utf-8")) or {}
    price = table.get(options.model)
    if price is None:
        print(f"{options.prices} has no price for {options.model}; cost is left out")
        return []
    return ["--price_in", str(price["prompt"]), "--price_out", str(price["completion"])]


def _run(program: str, *words: str) -> None:
    """Run a stage; its own message has been printed when it fails."""
    command = [sys.executable, str(ROOT / program), *words]
    print(f"\n$ {shlex.join(['python', program, *words])}", flush=True)
    if subprocess.run(command, check=False).returncode:
        raise InputError(f"{program} failed; the same command goes on from there")


def _summary(folder: Path, stages: Iterable[str]) -> None:
    figures: Record = {}
    for stage in stages:
        report = read_json(folder / stage / "report.json")
        figures[stage] = {name: report[name] for name in ("execution_accuracy", "n", "interval")}
        print(f"{stage}: EX {report['execution_accuracy']} {report['interval']}, n = {report['n']}")
    write_json(folder / "summary.json", figures)


if __name__ == "__main__":
    run_program(main)
