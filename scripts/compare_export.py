"""Ask the original model and its GGUF files the same questions: what did the export cost?

    python scripts/compare_export.py --model outputs/MODEL --files exports/MODEL/*.gguf \\
        --benchmark spider --root data/spider --split dev --output exports/MODEL/comparison

Each model gives one greedy answer to each question. The commands are printed; the same command
resumes. OUTPUT/table.md and OUTPUT/report.html compare each file with the original:

- how many answers are the same SQL, and at which token the others part;
- execution accuracy, with a paired interval and McNemar's test, and how many queries run;
- completion tokens per second of sampling, one answer at a time (vLLM: many at once);
- the size of the weights, and the largest memory of the process that samples;
- if the template asks for SQL alone, how many answers are that and nothing else.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

from slmsql.cli.config import as_arguments, parse, words_of
from slmsql.cli.options import PromptOptions, SourceOptions
from slmsql.cli.programs import run, start
from slmsql.errors import InputError, run_program
from slmsql.evaluation import share
from slmsql.files import Record, read_json, read_jsonl, write_json, write_text
from slmsql.page import page, render
from slmsql.page.reading import EvaluationRun, read_run
from slmsql.page.runs import compare_runs, run_sections
from slmsql.prompt.answer import CLOSING
from slmsql.prompt.answer import parse as parse_answer
from slmsql.prompt.build import Layout, read_template
from slmsql.sql.tokens import begins_query

ORIGINAL = "original"
HEAD = (
    *("", "same SQL", "EX", "against the original", "p (McNemar)", "queries that run"),
    *("tokens/s", "file", "memory"),
)


@dataclass(kw_only=True)
class Options:
    model: str = field(metadata={"help": "the original model: a folder or hub name"})
    files: list[str] = field(metadata={"help": "GGUF files that export_gguf.py wrote from it"})
    output: Path = field(metadata={"help": "folder for answers, scores, table and page"})
    sampler: Literal["transformers", "vllm"] = field(
        default="transformers", metadata={"help": "what runs the original model"}
    )
    dtype: str = field(default="float32", metadata={"help": "type of the original's weights"})
    max_tokens: int = field(default=1024, metadata={"help": "longest completion, in tokens"})
    limit: int = field(default=0, metadata={"help": "use only the first N questions; 0: all"})
    source: SourceOptions
    prompt: PromptOptions

    def models(self) -> dict[str, str]:
        """Each model by the name of its folder in the output."""
        return {ORIGINAL: self.model, **{Path(file).stem: file for file in self.files}}


@dataclass(frozen=True, slots=True)
class Answers:
    """One model's answers, their scores, and what they took."""

    name: str
    candidates: Mapping[str, Record]
    """The answer to each question: its SQL, its completion and whether it ran."""
    run: EvaluationRun
    tokens_per_second: float
    peak_memory: int
    """Bytes of the process that sampled."""
    file_size: int


def main() -> None:
    options = parse(Options, about=__doc__)
    if missing := [file for file in options.files if not Path(file).is_file()]:
        raise InputError(f"there is no file {missing[0]}")
    if len(options.models()) <= len(options.files):
        raise InputError("two of --files have the same name, or one is called original.gguf")
    answers = [_answers(options, name, model) for name, model in options.models().items()]
    rows = compared(answers, options)
    write_json(options.output / "comparison.json", {"models": rows})
    _show(rows, answers, options)


def _answers(options: Options, name: str, model: str) -> Answers:
    folder = options.output / name
    cost = _generate(options, folder, model)
    source = words_of(options.source)
    limit = ["--limit", str(options.limit)] if options.limit else []
    candidates, predictions = str(folder / "candidates.jsonl"), str(folder / "predictions.jsonl")
    _run(
        *("inference/vote.py", *source, "--candidates", candidates, "--output", predictions), *limit
    )
    _run(
        *("scripts/evaluate.py", *source, "--predictions", predictions, "--output", str(folder)),
        *limit,
    )
    records = list(read_jsonl(folder / "candidates.jsonl"))
    seconds = sum(record["seconds"] for record in records)
    return Answers(
        name,
        {record["id"]: (record["candidates"] or [{}])[0] for record in records},
        read_run(f"{name}={folder}"),
        sum(record["tokens"] for record in records) / seconds if seconds else 0.0,
        cost["peak_memory"],
        _size(Path(model)),
    )


def _generate(options: Options, folder: Path, model: str) -> Record:
    """Sample one greedy answer to each question; returns what the process took."""
    cost = folder / "cost.json"
    original = {"sampler": options.sampler, "dtype": options.dtype}
    words = [
        *("python", "inference/generate.py", *words_of(options.source), *words_of(options.prompt)),
        *as_arguments({"model": model, "output": str(folder / "candidates.jsonl")}),
        *as_arguments({"temperature": 0, "max_tokens": options.max_tokens}),
        *as_arguments({"limit": options.limit} if options.limit else {}),
        *as_arguments(original if model == options.model else {"concurrency": 1}),
    ]
    print(f"\n$ {' '.join(words)}", flush=True)
    process = start(words)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(os.waitstatus_to_exitcode(status))
    if not cost.is_file():  # a run that found all answers has sampled nothing
        write_json(cost, {"peak_memory": usage.ru_maxrss * 1024})
    return dict(read_json(cost))


def _run(*words: str) -> None:
    if status := run(["python", *words]):
        sys.exit(status)


def _size(model: Path) -> int:
    """Bytes of the weights."""
    files = [model] if model.is_file() else model.glob("*.safetensors")
    return sum(file.stat().st_size for file in files)


def compared(answers: Sequence[Answers], options: Options) -> list[Record]:
    """The figures of each model; those after the first are compared with it."""
    is_sql = read_template(options.prompt.template).layout is Layout.SQL
    tokenizer = _tokenizer(options.model)
    rows = []
    for each in answers:
        figures = _figures(each)
        if is_sql:
            only = share([is_bare_sql(c.get("completion") or "") for c in each.candidates.values()])
            figures["only_sql"] = only and only.as_record()
        if each is not answers[0]:
            figures |= _against(answers[0], each, tokenizer)
        rows.append(figures)
    return rows


def _figures(answers: Answers) -> Record:
    metrics = answers.run.report["metrics"]
    return {
        "name": answers.name,
        "ex": metrics.get(f"ex_{answers.run.report['match']}"),
        "valid_sql": metrics["valid_sql"],
        "tokens_per_second": round(answers.tokens_per_second, 2),
        "file_size": answers.file_size,
        "peak_memory": answers.peak_memory,
    }


def _against(original: Answers, other: Answers, tokenizer: Any) -> Record:
    same, parting = [], {}
    for key, first in original.candidates.items():
        second = other.candidates[key]
        same.append(first.get("sql") == second.get("sql"))
        if not same[-1]:
            texts = [candidate.get("completion") or "" for candidate in (first, second)]
            parting[key] = first_difference(*(tokenizer(text)["input_ids"] for text in texts))
    agreement = share(same)
    comparison = compare_runs(original.run, other.run)
    return {
        "same_sql": agreement and agreement.as_record(),
        "first_different_token": parting,
        "gained": comparison.gained,
        "lost": comparison.lost,
        "difference": round(comparison.difference, 2),
        "interval": comparison.interval.rounded(),
        "p_value": comparison.p_value,
    }


def first_difference(first: Sequence[int], second: Sequence[int]) -> int:
    """The position of the first token at which two answers part, from 0."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))


def is_bare_sql(completion: str) -> bool:
    """Whether an answer is a query and nothing else; white space and semicolons may surround it."""
    sql = parse_answer(completion).sql or ""
    return begins_query(sql) and completion.strip(CLOSING) == sql


def _tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


def _show(rows: Sequence[Record], answers: Sequence[Answers], options: Options) -> None:
    """Print the table; write it and the page."""
    with_only = any("only_sql" in row for row in rows)
    head = [*HEAD, "only SQL"] if with_only else list(HEAD)
    cells = [_cells(row, with_only) for row in rows]
    lines = [" | ".join(line) for line in (head, ["---"] * len(head), *cells)]
    table = "\n".join(f"| {line} |" for line in lines)
    print(f"\n{table}")
    write_text(options.output / "table.md", table + "\n")
    about = (
        f"{len(answers[0].candidates)} questions (data {answers[0].run.report['data']}), one "
        "greedy answer each. The interval of a difference is paired, in percentage points."
    )
    section = render("exports.html", head=head, rows=cells, about=about, notes=_notes(rows))
    title = f"{Path(options.model).name}: original and exports"
    sections = [section, *run_sections([each.run for each in answers])]
    write_text(options.output / "report.html", page(title, sections))
    print(f"{options.output / 'report.html'}: written")


def _cells(row: Record, with_only: bool) -> list[str]:
    paired = "difference" in row
    return [
        row["name"],
        _metric(row["same_sql"]) if paired else "",
        _metric(row["ex"]),
        f"{row['difference']:+.1f} [{row['interval'][0]:+.1f}, {row['interval'][1]:+.1f}], "
        f"gained {row['gained']}, lost {row['lost']}"
        if paired
        else "",
        f"{row['p_value']:.2g}" if paired else "",
        _metric(row["valid_sql"]),
        f"{row['tokens_per_second']:.0f}",
        f"{row['file_size'] / 1e6:.1f} MB",
        f"{row['peak_memory'] / 1e6:.0f} MB",
        *([_metric(row["only_sql"])] if with_only else []),
    ]


def _metric(metric: Record | None) -> str:
    if metric is None:
        return ""
    low, high = metric["interval"]
    return f"{metric['value']:.1f} [{low:.1f}, {high:.1f}]"


def _notes(rows: Sequence[Record]) -> list[str]:
    """Where answers part, for each file that gives other ones."""
    notes = []
    for row in rows:
        if parting := sorted(row.get("first_different_token", {}).values()):
            notes.append(
                f"{row['name']}: {len(parting)} answers differ; they part between token "
                f"{parting[0]} and token {parting[-1]} (median {median(parting):g})."
            )
    return notes


if __name__ == "__main__":
    run_program(main)
