"""Run a model on a benchmark: sample, vote, revise, score, report.

    python scripts/benchmark.py --config configs/evaluation/bird_dev.yaml --model MODEL \\
        --merge_model MERGE_MODEL --root data/bird --output runs/NAME

Each stage is a program whose command is printed, so that you can run it by hand. Run the same
command again to resume. For a baseline on the same questions, give a base model as --model, or an
OpenAI-compatible server with --endpoints URL.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from inference import csc
from slmsql.cli.config import as_arguments, parse, words_of
from slmsql.cli.options import PromptOptions, QuestionOptions, SourceOptions
from slmsql.cli.programs import run
from slmsql.consistency.options import RevisionOptions, VoteOptions
from slmsql.errors import InputError, run_program
from slmsql.evaluation.releases import release
from slmsql.files import Record, file_hash, read_json, write_json, write_jsonl
from slmsql.questions.question import with_databases
from slmsql.sampling.loading import check_sampler
from slmsql.sampling.options import PlanOptions, SamplerOptions


@dataclass(kw_only=True)
class ScoringOptions:
    """How the answers are scored and reported."""

    name: str = field(default="", metadata={"help": "heading of the report; default: the model"})
    tables: str = field(default="", metadata={"help": "tables.json, for Spider's exact-set match"})
    suites: str = field(
        default="", metadata={"help": "folder of databases for test-suite execution accuracy"}
    )
    timings: int = field(
        default=0, metadata={"help": "number of times each right query is timed, for R-VES"}
    )
    prices: str = field(
        default="",
        metadata={"help": "YAML file with the price of each model, in dollars per million tokens"},
    )


@dataclass(kw_only=True)
class Options:
    output: Path = field(metadata={"help": "folder of the run"})
    source: SourceOptions
    limit: int = field(default=0, metadata={"help": "use only the first N questions; 0: all"})
    prompt: PromptOptions
    plan: PlanOptions
    sampler: SamplerOptions
    voting: VoteOptions
    revise: bool = field(
        default=False, metadata={"help": "revise even without --merge_model, with --model"}
    )
    revision: RevisionOptions
    merge: csc.MergeModelOptions
    scoring: ScoringOptions

    @property
    def questions_file(self) -> Path:
        """The questions of the run, which every stage reads."""
        return self.output / "questions.jsonl"

    def chain(self) -> csc.Options:
        """Return the options of csc.py, which runs the stages before scoring."""
        return csc.Options(
            output=self.output,
            source=QuestionOptions(questions=str(self.questions_file)),
            prompt=self.prompt,
            plan=self.plan,
            sampler=self.sampler,
            voting=self.voting,
            revision=self.revision,
            merge=self.merge,
        )


def main() -> None:
    options = parse(Options, about=__doc__)
    options.sampler = priced(options.sampler, options.scoring.prices)
    chain = options.chain()
    check_sampler(chain.sampler)
    check_sampler(chain.merge_sampler)  # otherwise a wrong name would show only after sampling
    write_questions(options)
    votes = options.output / "votes.jsonl"
    predictions = {"vote" if options.plan.n > 1 else "greedy": votes}
    if options.revise or options.merge.merge_model:
        stage("inference/csc.py", *words_of(chain))
        predictions["revised"] = options.output / "predictions.jsonl"
    else:
        stage("inference/generate.py", *words_of(chain.generation()))
        vote_options = replace(chain.first_vote(), voting=options.voting)
        stage("inference/vote.py", *words_of(vote_options))
    for name, file in predictions.items():
        stage("scripts/evaluate.py", *scoring_words(options, name, file))
    stage("scripts/report.py", *report_words(options, predictions))
    print(f"predictions for the benchmarks: predict_* in {options.output / list(predictions)[-1]}")
    write_summary(options.output, predictions)


def stage(program: str, *words: str) -> None:
    """Run a program of this repository.

    Raises:
        InputError: the program failed; it has printed why.
    """
    if run(["python", program, *words]):
        raise InputError(f"{program} failed; run the same command again to resume")


def write_questions(options: Options) -> None:
    """Write the questions of the run to a file that every stage reads.

    Raises:
        InputError: no question has a database, or the run was started with other questions.
    """
    questions = options.source.read_all()
    name = release(questions)
    questions = questions[: options.limit or None]
    present, missing = with_databases(questions)
    print(f"data: {name}; {len(questions)} questions, {len(missing)} without a usable database")
    if not present:
        raise InputError(f"no question has a database; expected {questions[0].database}")
    path = options.questions_file
    new = path.with_name("questions.new.jsonl")
    write_jsonl(new, (question.as_record() for question in questions))
    if path.is_file() and path.read_bytes() != new.read_bytes():
        new.unlink()
        raise InputError(f"{path} has other questions than this command; choose another --output")
    new.replace(path)
    about = {"release": name, "questions": file_hash(path), "n": len(questions)}
    write_json(options.output / "data.json", about)


def scoring_words(options: Options, name: str, predictions: Path) -> list[str]:
    """Return the options of evaluate.py for the predictions of a stage."""
    source, scoring, folder = options.source, options.scoring, options.output
    # Spider ships tables.json for train and dev, and test_tables.json for test.
    file = "test_tables.json" if source.split == "test" else "tables.json"
    tables = scoring.tables or (f"{source.root}/{file}" if source.root else "")
    words: Record = {
        "questions": options.questions_file,
        "predictions": predictions,
        "candidates": folder / "candidates.jsonl",
        "match": options.voting.match.value,
        "timings": scoring.timings,
        "workers": options.voting.workers,
        "cache": folder / "gold",
        "output": folder / name,
    }
    if tables and Path(tables).is_file():
        words["tables"] = tables
    if scoring.suites:
        words["suites"] = scoring.suites
    if options.sampler.price_in or options.sampler.price_out:
        words |= {"price_in": options.sampler.price_in, "price_out": options.sampler.price_out}
    if name == "revised":
        words["revisions"] = folder / "revisions.jsonl"
        merge = priced(options.chain().merge_sampler, scoring.prices)
        if merge.price_in or merge.price_out:
            words |= {"merge_price_in": merge.price_in, "merge_price_out": merge.price_out}
    return as_arguments(words)


def report_words(options: Options, predictions: Iterable[str]) -> list[str]:
    """Return the options of report.py."""
    source = options.source
    benchmark = source.benchmark or source.questions
    return as_arguments(
        {
            "runs": [f"{name}={options.output / name}" for name in predictions],
            "published": f"{source.benchmark} {source.split}".strip(),
            "output": options.output / "report.html",
            "title": options.scoring.name or f"{options.sampler.model} on {benchmark}",
        }
    )


def priced(sampler: SamplerOptions, file: str) -> SamplerOptions:
    """Return the options of the sampler with its model's prices from a file."""
    if not file:
        return sampler
    prices: Any = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
    price = prices.get(sampler.model)
    if price is None:
        print(f"{file} has no price for {sampler.model}; the cost is left out")
        return replace(sampler, price_in=0.0, price_out=0.0)
    return replace(sampler, price_in=price["prompt"], price_out=price["completion"])


def write_summary(folder: Path, stages: Iterable[str]) -> None:
    """Print the execution accuracy of each stage and write it to summary.json."""
    summary: Record = {}
    for name in stages:
        report = read_json(folder / name / "report.json")
        summary[name] = {key: report[key] for key in ("execution_accuracy", "n", "interval")}
        print(f"{name}: EX {report['execution_accuracy']} {report['interval']}, n = {report['n']}")
    write_json(folder / "summary.json", summary)


if __name__ == "__main__":
    run_program(main)
