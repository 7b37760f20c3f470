"""Rows for the merge model: SFT and GRPO, from any candidates.

    python scripts/prepare_merge.py --questions train.jsonl --candidates candidates.jsonl \\
        --output merge_sft.jsonl --rl_output merge_rl.jsonl

Candidates are ours (inference/generate.py) or prediction files of other models, any number.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import DataOptions, GuardOptions
from slmsql.consistency.candidates import CandidateSet, read_candidates, run_candidates
from slmsql.consistency.revision import RevisionSettings, revision_prompts
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor, Statement
from slmsql.files import Record, write_json, write_jsonl
from slmsql.prompt.build import Layout, Messages, read_template, target
from slmsql.questions.question import Question, with_databases
from slmsql.rows.data_card import Tally, write_card
from slmsql.rows.formats import grpo_row, sft_row
from slmsql.rows.merge import Case, Neither, Settled, settle
from slmsql.rows.selection import guarded
from slmsql.rows.thoughts import read_thoughts

CHUNK = 500  # questions that run together
KEPT = (Case.RIGHT, Case.NEITHER)


@dataclass(kw_only=True)
class Options(DataOptions, GuardOptions):
    candidates: list[str] = field(metadata={"help": "candidates.jsonl or prediction files"})
    output: str = field(metadata={"help": "SFT rows to write, JSON Lines"})
    rl_output: str = field(default="", metadata={"help": "GRPO rows to write, JSON Lines"})
    template: str = field(default="merge", metadata={"help": "prompt template, name or path"})
    sample_values: int = field(default=2, metadata={"help": "values shown of each column"})
    retrieve_values: bool = field(
        default=False, metadata={"help": "search values for the question"}
    )
    drafts: int = field(default=2, metadata={"help": "drafts in a prompt"})
    max_rows: int = field(default=20, metadata={"help": "rows shown of a draft's result"})
    result_tokens: int = field(default=300, metadata={"help": "bound of a result's text"})
    show_votes: bool = field(default=False, metadata={"help": "drafts say how many agree"})
    neither: Neither = field(
        default=Neither.GOLD,
        metadata={"help": "where no draft is right: gold in the place of one, keep or drop"},
    )
    seed: int = field(default=42, metadata={"help": "of the coin that places the gold query"})
    json: str = field(default="", metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Built:
    """A question's rows; `sft` is None where no reasoning exists and the layout asks for it."""

    question: Question
    sft: Record | None
    rl: Record


def main() -> None:
    options = parse(Options, about=__doc__)
    counts: Counter[str] = Counter()
    questions, report = guarded(options, options, counts)
    found, missing = with_databases([question for question in questions if question.gold_sql])
    sets = _sets(options, questions, found)
    counts["no database"] += len(missing)
    counts["no gold SQL"] += len(questions) - len(found) - len(missing)
    built = list(build(found, sets, options, counts))
    if not built:
        raise InputError(f"no question has two drafts that differ: {dict(counts)}")
    _write(built, options, counts, report)


def _sets(
    options: Options, questions: Sequence[Question], found: Sequence[Question]
) -> list[CandidateSet]:
    sets = read_candidates([Path(file) for file in options.candidates], questions)
    by_id = {one.id: one for one in sets}
    return [replace(by_id[q.id], database=q.database) for q in found]


def build(
    questions: Sequence[Question],
    sets: Sequence[CandidateSet],
    options: Options,
    counts: Counter[str],
) -> Iterator[Built]:
    """Rows in the order of the questions; how the drafts of each stood is counted."""
    revision_settings = RevisionSettings(
        template=options.template,
        drafts=options.drafts,
        sample_values=options.sample_values,
        retrieve_values=options.retrieve_values,
        max_rows=options.max_rows,
        result_tokens=options.result_tokens,
        show_votes=options.show_votes,
    )
    thoughts = read_thoughts(Path(options.questions))
    pairs = list(zip(questions, sets, strict=True))
    with Executor() as executor:
        for start in range(0, len(pairs), CHUNK):
            part = pairs[start : start + CHUNK]
            settled = list(_settled(part, executor, revision_settings, options, counts))
            revisions = [one.revision for one in settled if one.revision]
            prompts = revision_prompts(revisions, executor, revision_settings)
            for one, prompt in zip(settled, prompts, strict=True):
                yield _rows(one, prompt, thoughts, options.template)


def _settled(
    part: Sequence[tuple[Question, CandidateSet]],
    executor: Executor,
    revision_settings: RevisionSettings,
    options: Options,
    counts: Counter[str],
) -> Iterator[Settled]:
    golds = executor.run([Statement(q.database, q.gold_sql) for q, _ in part])
    sets = run_candidates([found for _, found in part], executor)
    for (question, _), found, gold in zip(part, sets, golds, strict=True):
        one = settle(question, found, gold, revision_settings, options.neither, options.seed)
        counts[one.case] += 1
        if one.revision:
            yield one


def _rows(settled: Settled, prompt: Messages, thoughts: Mapping[str, str], template: str) -> Built:
    assert settled.revision is not None
    question = settled.revision.question
    layout = read_template(template).layout
    sql, thought = settled.sql, settled.thought
    if not thought and question.id in thoughts:
        sql, thought = question.gold_sql or "", thoughts[question.id]
    teaches = layout is Layout.SQL or thought
    sft = sft_row(question, prompt, target(thought, sql, layout)) if teaches else None
    return Built(question, sft, grpo_row(question, prompt, layout))


def _write(built: Sequence[Built], options: Options, counts: Counter[str], report: Record) -> None:
    taught = [one.sft for one in built if one.sft]
    if not taught and not options.rl_output:
        raise InputError(
            f"the template {options.template!r} teaches reasoning and no right completion has any; "
            "give --rl_output FILE for GRPO rows alone, or --template merge_sql"
        )
    _write_rows(options.output, built, taught, options, counts, report)
    if options.rl_output:
        rows = [one.rl for one in built]
        _write_rows(options.rl_output, built, rows, options, counts, report)
    in_doubt = counts[Case.RIGHT] + counts[Case.NEITHER]
    share = 100 * counts[Case.RIGHT] / in_doubt
    figures = {
        "questions": {str(case): count for case, count in counts.items() if count},
        "in_doubt": in_doubt,
        "right_among_drafts_percent": round(share, 1),
        "sft_rows": len(taught),
        "without_reasoning": len(built) - len(taught),
        "rl_rows": len(built),
    }
    if options.json:
        write_json(Path(options.json), figures)
    for name, value in figures.items():
        print(f"{name.replace('_', ' ')}: {value}")


def _write_rows(
    name: str,
    built: Sequence[Built],
    rows: Sequence[Record],
    options: Options,
    counts: Counter[str],
    report: Record,
) -> None:
    by_id = {one.question.id: one.question for one in built}
    tally = Tally()
    for row in rows:
        tally.add(by_id[row["id"]], row)
    tally.left_out.update({case: n for case, n in counts.items() if case not in KEPT})
    tally.left_out["no reasoning"] += len(built) - len(rows)
    tally.notes.update({case: counts[case] for case in KEPT})
    write_jsonl(Path(name), rows)
    inputs = [*options.files(), *map(Path, options.candidates)]
    write_card(Path(name), tally, arguments=options.deciding(), inputs=inputs, overlap=report)


if __name__ == "__main__":
    run_program(main)
