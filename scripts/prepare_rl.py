"""GRPO rows from a benchmark's training split or from questions of one's own.

    python scripts/prepare_rl.py --benchmark bird --root BIRD --split train --output rl.jsonl

Gold that does not run would reward nothing or nonsense: it is left out and counted, as is gold that
gives something else each time. With candidates of the model to be trained (`--candidates`), what it
always or never solves can be left out too: such questions teach GRPO nothing. Questions of some of
the databases can go to a file of their own, for validation during training (`--held_out`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from slmsql.candidates import CandidateSet, read_candidates, run_candidates
from slmsql.card import Tally, write_card
from slmsql.config import parse
from slmsql.errors import InputError, run_program
from slmsql.execution import Execution, Executor, Statement
from slmsql.files import Record, read_jsonl, write_jsonl
from slmsql.guards import split_by_database
from slmsql.options import GuardOptions, PromptOptions
from slmsql.prompt import compose, read_template
from slmsql.question import Question, with_databases
from slmsql.rows import grpo_row
from slmsql.training import guarded


@dataclass(kw_only=True)
class Options(PromptOptions, GuardOptions):
    output: str = field(metadata={"help": "JSON Lines to write"})
    exclude: str = field(
        default="", metadata={"help": "JSON Lines of `id`: questions whose gold is known as wrong"}
    )
    held_out_output: str = field(
        default="", metadata={"help": "JSON Lines for questions over databases not in --output"}
    )
    held_out: float = field(default=0.1, metadata={"help": "share of the questions that go there"})
    seed: int = field(default=42, metadata={"help": "decides which databases go there"})
    drop_empty: bool = field(
        default=False, metadata={"help": "leave out gold with an empty result: easy to hit"}
    )
    candidates: list[str] = field(
        default_factory=list, metadata={"help": "candidates.jsonl or prediction files"}
    )
    pass_above: float = field(
        default=0.0, metadata={"help": "with candidates: keep what is solved more often than this"}
    )
    pass_below: float = field(
        default=1.0, metadata={"help": "with candidates: keep what is solved less often than this"}
    )

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out must be between 0 and 1, got {self.held_out}")
        if self.held_out_output and self.held_out_output == self.output:
            raise ValueError(f"--held_out_output is --output: {self.output}")
        if not 0 <= self.pass_above < self.pass_below <= 1:
            raise ValueError(
                "expected 0 <= pass_above < pass_below <= 1, got "
                f"{self.pass_above} and {self.pass_below}"
            )


def main() -> None:
    options = parse(Options, about=__doc__)
    left_out: Counter[str] = Counter()
    questions, report = guarded(options, options, left_out)
    kept = usable(questions, options, left_out)
    if not kept:
        reasons = Tally(left_out=left_out).reasons()
        raise InputError(f"nothing is left of {len(questions)} questions; left out: {reasons}")
    for output, part in parts(kept, options).items():
        write(output, part, options, left_out, report)


def parts(questions: Sequence[Question], options: Options) -> dict[Path, Sequence[Question]]:
    """The questions of each file to write.

    Raises:
        InputError: there are too few databases to hold out any.
    """
    if not options.held_out_output:
        return {Path(options.output): questions}
    training, held_out = split_by_database(questions, options.held_out, options.seed)
    if not training or not held_out:
        databases = len({question.db_id for question in questions})
        raise InputError(
            f"{databases} databases cannot be split so that {options.held_out:.0%} of the "
            "questions are over others; give another --held_out or --seed"
        )
    return {Path(options.output): training, Path(options.held_out_output): held_out}


def write(
    output: Path,
    questions: Sequence[Question],
    options: Options,
    left_out: Counter[str],
    report: Record,
) -> None:
    """The rows, and the card beside them."""
    tally = Tally(left_out=Counter(left_out))
    count = write_jsonl(output, rows(questions, options, tally))
    card = write_card(
        output, tally, arguments=options.deciding(), inputs=options.files(), overlap=report
    )
    print(f"{output}: {count} rows; left out: {tally.reasons()}; see {card}")


def usable(
    questions: Sequence[Question], options: Options, left_out: Counter[str]
) -> list[Question]:
    """The questions to train on; why the others were left out is counted."""
    found, missing = with_databases(_audited(questions, options.exclude, left_out))
    left_out["no database"] += len(missing)
    sets = _sets(options.candidates, questions, found)
    with Executor() as executor:
        golds = executor.run([Statement(q.database, q.gold_sql) for q in found])
        ran = run_candidates(list(sets.values()), executor)
    rates = pass_rates(found, golds, {one.id: one for one in ran})
    kept = []
    for question, gold in zip(found, golds, strict=True):
        reason = objection(gold, rates.get(question.id), options)
        if reason:
            left_out[reason] += 1
        else:
            kept.append(question)
    return kept


def objection(gold: Execution, rate: float | None, options: Options) -> str:
    """Why a question is left out; empty if it is not."""
    if not gold.ok:
        return f"gold: {gold.status}"
    if gold.volatile:
        return "gold: another result each time"
    if options.drop_empty and not gold.row_count:
        return "gold: empty result"
    if rate is not None and rate <= options.pass_above:
        return "solved too rarely"
    if rate is not None and rate >= options.pass_below:
        return "solved too often"
    return ""


def pass_rates(
    questions: Sequence[Question], golds: Sequence[Execution], sets: Mapping[str, CandidateSet]
) -> dict[str, float]:
    """The share of each question's candidates that have the gold result."""
    rates = {}
    for question, gold in zip(questions, golds, strict=True):
        if question.id in sets:
            candidates = sets[question.id].candidates
            right = sum(one.ok and one.digest == gold.digest for one in candidates)
            rates[question.id] = right / len(candidates)
    return rates


def rows(questions: Sequence[Question], options: Options, tally: Tally) -> Iterator[Record]:
    prompting = options.prompting()
    layout = read_template(options.template).layout
    for question in questions:
        prompt = compose(question, prompting)
        row = grpo_row(question, prompt.messages, layout)
        if prompt.left_out:
            row["columns_left_out"] = prompt.left_out
        tally.add(question, row)
        yield row


def _audited(questions: Sequence[Question], exclude: str, left_out: Counter[str]) -> list[Question]:
    if not exclude:
        return list(questions)
    ids = {str(record.get("id")) for record in read_jsonl(Path(exclude))}
    kept = [question for question in questions if question.id not in ids]
    left_out["excluded"] += len(questions) - len(kept)
    return kept


def _sets(
    files: Sequence[str], questions: Sequence[Question], found: Sequence[Question]
) -> dict[str, CandidateSet]:
    if not files:
        return {}
    by_id = {one.id: one for one in read_candidates([Path(file) for file in files], questions)}
    return {q.id: replace(by_id[q.id], database=q.database) for q in found}


if __name__ == "__main__":
    run_program(main)
