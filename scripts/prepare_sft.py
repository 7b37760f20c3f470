"""SFT rows from a benchmark's training split or from questions of one's own.

    python scripts/prepare_sft.py --benchmark spider --root SPIDER --split train \\
        --template schema --output sft.jsonl

Takes BIRD, Spider, JSON Lines, gretel's synthetic_text_to_sql and sql-create-context (their
databases are created in `--databases`). A template of the layout `think` needs thoughts: JSON Lines
with a `thought` for each question. Several outputs become one with scripts/prepare_mix.py.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import DataOptions, GuardOptions, PromptOptions
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor, Statement
from slmsql.files import Record, write_jsonl
from slmsql.prompt.build import Layout, compose, read_template, target
from slmsql.questions.question import Question, with_databases
from slmsql.rows.data_card import Tally, write_card
from slmsql.rows.formats import sft_row
from slmsql.rows.selection import guarded
from slmsql.rows.thoughts import read_thoughts


@dataclass(kw_only=True)
class Options(PromptOptions, DataOptions, GuardOptions):
    output: str = field(metadata={"help": "JSON Lines to write"})
    template: str = field(default="schema", metadata={"help": "prompt template, name or path"})
    run_gold: bool = field(default=True, metadata={"help": "leave out gold that does not run"})


def main() -> None:
    options = parse(Options, about=__doc__)
    tally = Tally()
    questions, report = guarded(options, options, tally.left_out)
    taught = teachable(questions, options.run_gold, tally.left_out)
    if not taught:
        raise InputError(
            f"nothing is left of {len(questions)} questions; left out: {tally.reasons()}"
        )
    thoughts = needed_thoughts(options.questions, taught, options.template)
    output = Path(options.output)
    count = write_jsonl(output, rows(taught, thoughts, options, tally))
    card = write_card(
        output, tally, arguments=options.deciding(), inputs=options.files(), overlap=report
    )
    print(f"{output}: {count} rows; left out: {tally.reasons()}; see {card}")


def teachable(
    questions: Sequence[Question], run_gold: bool, left_out: Counter[str]
) -> list[Question]:
    """Questions with a database and gold that runs; why the others were left out is counted."""
    found, missing = with_databases(questions)
    left_out["no database"] += len(missing)
    taught = [question for question in found if question.gold_sql]
    left_out["no gold SQL"] += len(found) - len(taught)
    if not run_gold:
        return taught
    with Executor() as executor:
        golds = executor.run([Statement(q.database, q.gold_sql) for q in taught])
    for gold in golds:
        left_out[f"gold: {gold.status}"] += not gold.ok
    return [question for question, gold in zip(taught, golds, strict=True) if gold.ok]


def needed_thoughts(file: str, questions: Sequence[Question], template: str) -> dict[str, str]:
    """The thought of each question by id; none where the layout has none.

    Raises:
        InputError: the layout asks for thoughts and one is missing.
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
    questions: Sequence[Question], thoughts: Mapping[str, str], options: Options, tally: Tally
) -> Iterator[Record]:
    prompt_settings = options.prompt_settings
    layout = read_template(options.template).layout
    for question in questions:
        prompt = compose(question, prompt_settings)
        completion = target(thoughts.get(question.id, ""), question.gold_sql or "", layout)
        row = sft_row(question, prompt.messages, completion)
        if prompt.left_out:
            row["columns_left_out"] = prompt.left_out
        tally.add(question, row)
        yield row


if __name__ == "__main__":
    run_program(main)
