"""Make GRPO rows from a benchmark's training split or from your own questions.

    python scripts/prepare_rl.py --benchmark bird --root data/bird --split train --output rl.jsonl

The reward compares a completion's result with that of the gold query. Gold that fails, or whose
result changes from run to run, is therefore left out and counted.

With --candidates, samples of the model that will be trained, each row gets its pass rate, and
questions that the model always or never solves are left out, because they teach GRPO nothing. To
keep them, give --pass_above -1 --pass_below 2; rl/grpo.py --skip_zero_variance then starts with the
other questions.

With --held_out_output, the questions over some of the databases go to a second file, for validation
during training.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.cli.options import PromptOptions, TrainingDataOptions, card_arguments
from slmsql.consistency.candidates import read_candidates
from slmsql.consistency.judging import judge_candidates
from slmsql.errors import InputError, run_program
from slmsql.execution import Execution, Executor
from slmsql.files import Record, read_jsonl
from slmsql.match import Match
from slmsql.prompt.build import build_prompt, read_template
from slmsql.questions.leakage import split_by_database
from slmsql.questions.question import Question
from slmsql.rows.data_card import Tally, write_rows
from slmsql.rows.formats import grpo_row
from slmsql.rows.selection import run_gold, select_questions, with_gold


@dataclass(kw_only=True)
class Options(PromptOptions, TrainingDataOptions):
    output: str = field(metadata={"help": "JSON Lines file to write"})
    exclude: str = field(
        default="",
        metadata={"help": "JSON Lines with the `id` of questions whose gold is known to be wrong"},
    )
    held_out_output: str = field(
        default="",
        metadata={"help": "JSON Lines file for questions over databases that --output lacks"},
    )
    held_out: float = field(
        default=0.1, metadata={"help": "share of the questions that goes to --held_out_output"}
    )
    seed: int = field(default=42, metadata={"help": "decides which databases are held out"})
    drop_empty: bool = field(
        default=False,
        metadata={"help": "leave out gold with an empty result, which is easy to match"},
    )
    candidates: list[str] = field(
        default_factory=list,
        metadata={"help": "the model's samples: candidates.jsonl or prediction files"},
    )
    match: Match = field(
        default=Match.BIRD,
        metadata={"help": "rule by which a candidate is right; give the reward the same"},
    )
    pass_above: float = field(
        default=0.0,
        metadata={"help": "with --candidates: leave out pass rates up to this one; -1: none"},
    )
    pass_below: float = field(
        default=1.0,
        metadata={"help": "with --candidates: leave out pass rates from this one on; 2: none"},
    )

    def __post_init__(self) -> None:
        if not 0 < self.held_out < 1:
            raise ValueError(f"held_out must be between 0 and 1, got {self.held_out}")
        if self.held_out_output and self.held_out_output == self.output:
            raise ValueError(f"--held_out_output and --output are both {self.output}")
        if not self.pass_above < self.pass_below:
            raise ValueError(
                f"pass_above must be below pass_below, got {self.pass_above} and {self.pass_below}"
            )


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file to write: its questions, their pass rates, and why other questions are not in it."""

    output: Path
    questions: Sequence[Question]
    left_out: Counter[str]
    pass_rates: Mapping[str, float] = field(default_factory=dict)


def main() -> None:
    options = parse(Options, about=__doc__)
    left_out: Counter[str] = Counter()
    selected, overlap = select_questions(options, left_out)
    questions = usable(selected, options, left_out)
    training, held_out = questions, list[Question]()
    if options.held_out_output:
        training, held_out = split_by_database(questions, options.held_out, options.seed)
    files = [within_bounds(training, pass_rates(training, selected, options), options, left_out)]
    if held_out:  # not filtered by pass rate: validation needs easy and hard questions too
        files.append(RowFile(Path(options.held_out_output), held_out, left_out))
    for file in files:
        if not file.questions:
            reasons = Tally(left_out=file.left_out).reasons()
            raise InputError(f"none of {len(selected)} questions is usable; left out: {reasons}")
    for file in files:
        write_rows(
            file.output,
            rows(file, options),
            Tally(left_out=Counter(file.left_out)),
            arguments=card_arguments(options),
            inputs=options.files(),
            overlap=overlap,
        )


def usable(
    questions: Sequence[Question], options: Options, left_out: Counter[str]
) -> list[Question]:
    """Return the questions whose gold can serve as a reward; count why others cannot."""
    if options.exclude:
        excluded = {str(record.get("id")) for record in read_jsonl(Path(options.exclude))}
        remaining = [question for question in questions if question.id not in excluded]
        left_out["excluded"] += len(questions) - len(remaining)
        questions = remaining
    stable = []
    for question, gold in run_gold(with_gold(questions, left_out), left_out):
        if reason := objection(gold, drop_empty=options.drop_empty):
            left_out[reason] += 1
        else:
            stable.append(question)
    return stable


def objection(gold: Execution, *, drop_empty: bool) -> str:
    """Return why a gold query that runs is unfit for a reward; empty if it is fit."""
    if gold.volatile:
        return "gold: another result each time"
    if drop_empty and not gold.row_count:
        return "gold: empty result"
    return ""


def pass_rates(
    training: Sequence[Question], selected: Sequence[Question], options: Options
) -> dict[str, float]:
    """Return for each training question the share of its candidates that are right.

    Args:
        selected: all questions that the candidate files may answer.
    """
    if not options.candidates:
        return {}
    files = [Path(file) for file in options.candidates]
    sets = read_candidates(files, selected, wanted=training)
    gold = {question.id: question.gold_sql for question in training}
    with Executor() as executor:
        judged_sets = judge_candidates(sets, gold, executor, options.match)
    return {judged.id: sum(judged.correct) / len(judged.correct) for judged in judged_sets}


def within_bounds(
    questions: Sequence[Question],
    rates: Mapping[str, float],
    options: Options,
    left_out: Counter[str],
) -> RowFile:
    """Return the training file, without questions that are solved too rarely or too often."""
    rarely = {identity for identity, rate in rates.items() if rate <= options.pass_above}
    often = {identity for identity, rate in rates.items() if rate >= options.pass_below}
    remaining = [question for question in questions if question.id not in rarely | often]
    reasons = Counter({"solved too rarely": len(rarely), "solved too often": len(often)})
    return RowFile(Path(options.output), remaining, left_out + reasons, rates)


def rows(file: RowFile, options: Options) -> Iterator[tuple[Question, Record]]:
    """Yield each question of a file with its row."""
    layout = read_template(options.template).layout
    for question in file.questions:
        prompt = build_prompt(question, options.prompt_settings)
        row = grpo_row(
            question,
            prompt.messages,
            layout,
            file.pass_rates.get(question.id),
            columns_left_out=prompt.columns_left_out,
        )
        yield question, row


if __name__ == "__main__":
    run_program(main)
