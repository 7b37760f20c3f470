"""GRPO rows from a benchmark's training split or from questions of one's own.

    python scripts/prepare_rl.py --benchmark bird --root BIRD --split train --output rl.jsonl

Gold that does not run would reward nothing or nonsense: it is left out and counted, as is gold that
gives something else each time. With candidates of the model to be trained (`--candidates`), what it
always or never solves is left out too: such questions teach GRPO nothing. With `--pass_above -1
--pass_below 2` all stay, and rl/grpo.py --skip_zero_variance begins with the others. Each row then
has its `pass_rate`. Questions of some of the databases can go to a file of their own, for
validation during training (`--held_out`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import DataOptions, GuardOptions, PromptOptions
from slmsql.consistency.candidates import read_candidates
from slmsql.errors import InputError, run_program
from slmsql.execution import Execution, Executor, Pair, Statement
from slmsql.files import Record, read_jsonl, write_jsonl
from slmsql.match import Match
from slmsql.prompt.build import compose, read_template
from slmsql.questions.leakage import split_by_database
from slmsql.questions.question import Question, with_databases
from slmsql.rows.data_card import Tally, write_card
from slmsql.rows.formats import grpo_row
from slmsql.rows.selection import guarded


@dataclass(kw_only=True)
class Options(PromptOptions, DataOptions, GuardOptions):
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
    match: Match = field(
        default=Match.BIRD, metadata={"help": "when a candidate is right: that of the reward"}
    )
    pass_above: float = field(
        default=0.0, metadata={"help": "with candidates: keep what is solved more often; -1: all"}
    )
    pass_below: float = field(
        default=1.0, metadata={"help": "with candidates: keep what is solved less often; 2: all"}
    )

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out must be between 0 and 1, got {self.held_out}")
        if self.held_out_output and self.held_out_output == self.output:
            raise ValueError(f"--held_out_output is --output: {self.output}")
        if not self.pass_above < self.pass_below:
            raise ValueError(
                f"pass_above must be below pass_below, got {self.pass_above} and {self.pass_below}"
            )


@dataclass(frozen=True, slots=True)
class Part:
    """The questions of one file, why others are not in it, and known pass rates."""

    output: Path
    questions: Sequence[Question]
    left_out: Counter[str]
    rates: Mapping[str, float] = field(default_factory=dict)


def main() -> None:
    options = parse(Options, about=__doc__)
    left_out: Counter[str] = Counter()
    questions, report = guarded(options, options, left_out)
    found = usable(questions, options, left_out)
    training, held_out = split(found, options) if options.held_out_output else (found, [])
    rates = pass_rates(training, questions, options)
    parts = [in_bounds(training, rates, options, left_out)]
    if held_out:  # pass rates have no say here: the easy and the hard are part of the whole
        parts.append(Part(Path(options.held_out_output), held_out, left_out))
    for part in parts:
        if not part.questions:
            reasons = Tally(left_out=part.left_out).reasons()
            raise InputError(f"nothing is left of {len(questions)} questions; left out: {reasons}")
    for part in parts:
        write(part, options, report)


def usable(
    questions: Sequence[Question], options: Options, left_out: Counter[str]
) -> list[Question]:
    """The questions whose gold can be trusted; why others were left out is counted."""
    found, missing = with_databases(_audited(questions, options.exclude, left_out))
    left_out["no database"] += len(missing)
    with Executor() as executor:
        golds = executor.run([Statement(q.database, q.gold_sql) for q in found])
    kept = []
    for question, gold in zip(found, golds, strict=True):
        if reason := objection(gold, drop_empty=options.drop_empty):
            left_out[reason] += 1
        else:
            kept.append(question)
    return kept


def objection(gold: Execution, *, drop_empty: bool) -> str:
    """Why a question is left out; empty if it is not."""
    if not gold.ok:
        return f"gold: {gold.status}"
    if gold.volatile:
        return "gold: another result each time"
    if drop_empty and not gold.row_count:
        return "gold: empty result"
    return ""


def split(questions: Sequence[Question], options: Options) -> tuple[list[Question], list[Question]]:
    """The questions to train on, and those to validate with.

    Raises:
        InputError: there are too few databases to hold out any.
    """
    training, held_out = split_by_database(questions, options.held_out, options.seed)
    if not training or not held_out:
        databases = len({question.db_id for question in questions})
        raise InputError(
            f"{databases} databases cannot be split so that {options.held_out:.0%} of the "
            "questions are over others; give another --held_out or --seed"
        )
    return training, held_out


def in_bounds(
    questions: Sequence[Question],
    rates: Mapping[str, float],
    options: Options,
    left_out: Counter[str],
) -> Part:
    """The questions to train on that are solved neither too rarely nor too often."""
    rarely = {key for key, rate in rates.items() if rate <= options.pass_above}
    often = {key for key, rate in rates.items() if rate >= options.pass_below}
    kept = [one for one in questions if one.id not in rarely | often]
    reasons = Counter({"solved too rarely": len(rarely), "solved too often": len(often)})
    return Part(Path(options.output), kept, left_out + reasons, rates)


def pass_rates(
    wanted: Sequence[Question], questions: Sequence[Question], options: Options
) -> dict[str, float]:
    """The share of each wanted question's candidates that the reward would pay for."""
    if not options.candidates:
        return {}
    files = [Path(file) for file in options.candidates]
    sets = read_candidates(files, questions, wanted=wanted)
    pairs = [
        Pair(question.database, candidate.sql, question.gold_sql)
        for question, own in zip(wanted, sets, strict=True)
        for candidate in own.candidates
    ]
    with Executor() as executor:
        verdicts = iter(executor.judge(pairs, match=options.match))
    return {
        own.id: sum(next(verdicts).correct is True for _ in own.candidates) / len(own.candidates)
        for own in sets
    }


def write(part: Part, options: Options, report: Record) -> None:
    """The rows, and the card beside them."""
    tally = Tally(left_out=Counter(part.left_out))
    count = write_jsonl(part.output, rows(part, options, tally))
    card = write_card(
        part.output, tally, arguments=options.deciding(), inputs=options.files(), overlap=report
    )
    print(f"{part.output}: {count} rows; left out: {tally.reasons()}; see {card}")


def rows(part: Part, options: Options, tally: Tally) -> Iterator[Record]:
    prompt_settings = options.prompt_settings
    layout = read_template(options.template).layout
    for question in part.questions:
        prompt = compose(question, prompt_settings)
        row = grpo_row(question, prompt.messages, layout, part.rates.get(question.id))
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


if __name__ == "__main__":
    run_program(main)
