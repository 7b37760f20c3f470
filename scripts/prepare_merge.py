"""Make SFT and GRPO rows for the merge model, from the candidates of any model.

    python scripts/prepare_merge.py --questions train.jsonl --candidates candidates.jsonl \\
        --output merge_sft.jsonl --rl_output merge_rl.jsonl

A row shows two drafts with their results and asks for the right query. Candidates come from
inference/generate.py or from prediction files of other models; give any number of files. Questions
whose candidates all agree make no row.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import TemplateOptions, TrainingDataOptions, card_arguments
from slmsql.consistency.candidates import CandidateSet, read_candidates, run_candidates
from slmsql.consistency.revision import Revision, RevisionSettings, revision_prompts
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor, Statement
from slmsql.files import Record, write_json
from slmsql.prompt.build import Layout, Messages, read_template, target
from slmsql.questions.question import Question
from slmsql.rows.data_card import Tally, write_rows
from slmsql.rows.formats import grpo_row, read_thoughts, sft_row
from slmsql.rows.merge import Case, MergeExample, Neither, merge_example
from slmsql.rows.selection import select_questions, with_gold

CHUNK = 500  # questions whose SQL runs together
CASES_WITH_ROWS = (Case.RIGHT, Case.NEITHER)


@dataclass(kw_only=True)
class Options(TemplateOptions, TrainingDataOptions):
    candidates: list[str] = field(metadata={"help": "candidates.jsonl or prediction files"})
    output: str = field(metadata={"help": "JSON Lines file for SFT rows"})
    rl_output: str = field(default="", metadata={"help": "JSON Lines file for GRPO rows"})
    template: str = field(default="merge", metadata={"help": "prompt template: a name or a path"})
    drafts: int = field(default=2, metadata={"help": "number of drafts in a prompt"})
    max_rows: int = field(default=20, metadata={"help": "rows shown of a draft's result"})
    result_tokens: int = field(default=300, metadata={"help": "token budget for a result"})
    show_votes: bool = field(
        default=False, metadata={"help": "say how many candidates agree with each draft"}
    )
    neither: Neither = field(
        default=Neither.GOLD,
        metadata={
            "help": "if neither draft is right: replace one with the gold query (gold), leave both "
            "wrong (keep), or leave the question out (drop)"
        },
    )
    seed: int = field(default=42, metadata={"help": "decides which draft the gold query replaces"})
    json: str = field(default="", metadata={"help": "JSON file for the figures"})


@dataclass(frozen=True, slots=True)
class QuestionRows:
    """The rows of a question."""

    question: Question
    sft: Record | None
    """None if the template teaches reasoning and there is none for the right query."""
    rl: Record


def main() -> None:
    options = parse(Options, about=__doc__)
    counts: Counter[str] = Counter()
    selected, overlap = select_questions(options, counts)
    questions = with_gold(selected, counts)
    sets = candidate_sets(options, selected, questions)
    all_rows = list(build(questions, sets, options, counts))
    if not all_rows:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in counts.items() if count)
        raise InputError(f"no question has two drafts that differ ({reasons})")
    write(all_rows, options, counts, overlap)


def candidate_sets(
    options: Options, selected: Sequence[Question], questions: Sequence[Question]
) -> list[CandidateSet]:
    """Return the candidates of `questions`; the files may answer all that were selected."""
    sets = read_candidates([Path(file) for file in options.candidates], selected)
    by_id = {candidate_set.id: candidate_set for candidate_set in sets}
    return [replace(by_id[question.id], database=question.database) for question in questions]


def build(
    questions: Sequence[Question],
    sets: Sequence[CandidateSet],
    options: Options,
    counts: Counter[str],
) -> Iterator[QuestionRows]:
    """Yield the rows of each question, in order; count the case of each question."""
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
            chunk = pairs[start : start + CHUNK]
            examples = merge_examples(chunk, executor, revision_settings, options, counts)
            revisions = [revision for _, revision in examples]
            prompts = revision_prompts(revisions, executor, revision_settings)
            for (example, revision), prompt in zip(examples, prompts, strict=True):
                yield question_rows(example, revision.question, prompt, thoughts, options.template)


def merge_examples(
    chunk: Sequence[tuple[Question, CandidateSet]],
    executor: Executor,
    revision_settings: RevisionSettings,
    options: Options,
    counts: Counter[str],
) -> list[tuple[MergeExample, Revision]]:
    """Return the examples that have drafts, with these drafts; count the case of each question."""
    golds = executor.run([Statement(question.database, question.gold_sql) for question, _ in chunk])
    sets = run_candidates([candidate_set for _, candidate_set in chunk], executor)
    examples = []
    for (question, _), candidate_set, gold in zip(chunk, sets, golds, strict=True):
        example = merge_example(
            question, candidate_set, gold, revision_settings, options.neither, options.seed
        )
        counts[example.case] += 1
        if example.revision:
            examples.append((example, example.revision))
    return examples


def question_rows(
    example: MergeExample,
    question: Question,
    prompt: Messages,
    thoughts: Mapping[str, str],
    template: str,
) -> QuestionRows:
    layout = read_template(template).layout
    sql, thought = example.sql, example.thought
    if not thought and question.id in thoughts:
        sql, thought = question.gold_sql or "", thoughts[question.id]
    sft = None
    if layout is Layout.SQL or thought:
        sft = sft_row(question, prompt, target(thought, sql, layout))
    return QuestionRows(question, sft, grpo_row(question, prompt, layout))


def write(
    all_rows: Sequence[QuestionRows], options: Options, counts: Counter[str], overlap: Record
) -> None:
    """Write both files of rows and the figures."""
    sft = [(rows.question, rows.sft) for rows in all_rows if rows.sft]
    if not sft and not options.rl_output:
        raise InputError(
            f"the template {options.template!r} teaches reasoning and no right completion has any; "
            "give --rl_output FILE for GRPO rows alone, or --template merge_sql"
        )
    without_reasoning = len(all_rows) - len(sft)
    write_file(options.output, sft, options, counts, without_reasoning, overlap)
    rl = [(rows.question, rows.rl) for rows in all_rows] if options.rl_output else []
    if rl:
        write_file(options.rl_output, rl, options, counts, 0, overlap)
    in_doubt = counts[Case.RIGHT] + counts[Case.NEITHER]
    figures = {
        "questions": {str(case): count for case, count in counts.items() if count},
        "in_doubt": in_doubt,
        "right_among_drafts_percent": round(100 * counts[Case.RIGHT] / in_doubt, 1),
        "sft_rows": len(sft),
        "without_reasoning": without_reasoning,
        "rl_rows": len(rl),
    }
    if options.json:
        write_json(Path(options.json), figures)
    for name, value in figures.items():
        print(f"{name.replace('_', ' ')}: {value}")


def write_file(
    name: str,
    rows: Sequence[tuple[Question, Record]],
    options: Options,
    counts: Counter[str],
    without_reasoning: int,
    overlap: Record,
) -> None:
    tally = Tally()
    tally.left_out.update({case: n for case, n in counts.items() if case not in CASES_WITH_ROWS})
    tally.left_out["no reasoning"] += without_reasoning
    tally.notes.update({case: counts[case] for case in CASES_WITH_ROWS})
    write_rows(
        Path(name),
        rows,
        tally,
        arguments=card_arguments(options),
        inputs=[*options.files(), *map(Path, options.candidates)],
        overlap=overlap,
    )


if __name__ == "__main__":
    run_program(main)
