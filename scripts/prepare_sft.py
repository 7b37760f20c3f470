"""Make SFT rows from a benchmark's training split or from your own questions.

    python scripts/prepare_sft.py --benchmark spider --root data/spider --split train \\
        --template schema --output sft.jsonl

Reads BIRD, Spider, JSON Lines, gretel's synthetic_text_to_sql and sql-create-context. The last two
come without databases; they are created in the folder --databases.

A template with the layout `think` teaches reasoning, so every question needs a `thought`; only JSON
Lines can have one. scripts/prepare_mix.py joins several outputs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import PromptOptions, TrainingDataOptions, card_arguments
from slmsql.errors import InputError, run_program
from slmsql.files import Record
from slmsql.prompt.build import Layout, build_prompt, read_template, target
from slmsql.questions.question import Question
from slmsql.rows.data_card import Tally, write_rows
from slmsql.rows.formats import read_thoughts, sft_row
from slmsql.rows.selection import run_gold, select_questions, with_gold
from slmsql.schema.reading import read_schema
from slmsql.schema.spelling import spelled_as_in


@dataclass(kw_only=True)
class Options(PromptOptions, TrainingDataOptions):
    output: str = field(metadata={"help": "JSON Lines file to write"})
    template: str = field(default="schema", metadata={"help": "prompt template: a name or a path"})
    schema_spelling: bool = field(
        default=False,
        metadata={
            "help": "spell names in the gold SQL as the database does: small models learn to copy "
            "them from the prompt"
        },
    )
    run_gold: bool = field(
        default=True, metadata={"help": "run gold queries and leave out those that fail"}
    )


def main() -> None:
    options = parse(Options, about=__doc__)
    tally = Tally()
    selected, overlap = select_questions(options, tally.left_out)
    questions = with_gold(selected, tally.left_out)
    if options.run_gold:
        questions = [question for question, _ in run_gold(questions, tally.left_out)]
    if not questions:
        raise InputError(
            f"none of {len(selected)} questions is usable; left out: {tally.reasons()}"
        )
    thoughts = needed_thoughts(options.questions, questions, options.template)
    write_rows(
        Path(options.output),
        rows(questions, thoughts, options),
        tally,
        arguments=card_arguments(options),
        inputs=options.files(),
        overlap=overlap,
    )


def needed_thoughts(file: str, questions: Sequence[Question], template: str) -> dict[str, str]:
    """Return the thought of each question by id; empty if the template teaches SQL alone.

    Raises:
        InputError: the template teaches reasoning and a question has no thought.
    """
    if read_template(template).layout is not Layout.THINK:
        return {}
    thoughts = read_thoughts(Path(file))
    for question in questions:
        if question.id not in thoughts:
            raise InputError(
                f"the template {template!r} teaches reasoning and {question.id!r} has no "
                "'thought'; choose a template that answers with SQL alone, such as 'schema'"
            )
    return thoughts


def rows(
    questions: Sequence[Question], thoughts: Mapping[str, str], options: Options
) -> Iterator[tuple[Question, Record]]:
    """Yield each question with its row."""
    layout = read_template(options.template).layout
    for question in questions:
        prompt = build_prompt(question, options.prompt_settings)
        sql = question.gold_sql or ""
        if options.schema_spelling:
            sql = spelled_as_in(read_schema(question.database, sample_values=0), sql)
        completion = target(thoughts.get(question.id, ""), sql, layout)
        row = sft_row(
            question, prompt.messages, completion, columns_left_out=prompt.columns_left_out
        )
        yield question, row


if __name__ == "__main__":
    run_program(main)
