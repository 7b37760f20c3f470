"""Execution accuracy on held-out questions during training, the same for SFT and GRPO.

The model answers each question greedily, so that a checkpoint has the same score every time, and
on request with k sampled completions, which vote. The SQL of all answers runs and is judged. Each
process answers and judges its share of the questions.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slmsql.consistency.candidates import Candidate, CandidateSet, with_execution
from slmsql.consistency.judging import JudgedSet
from slmsql.consistency.voting import vote
from slmsql.errors import InputError
from slmsql.evaluation.statistics import share_interval
from slmsql.execution import Pair, Verdict
from slmsql.files import Record, json_line
from slmsql.match import Match
from slmsql.prompt.answer import parse
from slmsql.training.samples import show_samples

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import Trainer

SHOWN = 20  # samples of each validation that trackers show; all of them go to the file
PRINTED = 3


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """A row with its greedy completion and its sampled ones."""

    row: Record
    greedy: str
    samples: tuple[str, ...] = ()


Answer = Callable[[Sequence[Record]], list[AnsweredRow]]
"""Answers rows with the model in training; called equally often on every process."""

JudgeFunction = Callable[[Sequence[Pair], Match], list[Verdict]]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many answers of some rows were correct; counts of several processes add up."""

    questions: int = 0
    greedy: int = 0
    valid: int = 0
    """Greedy answers whose SQL ran."""
    voted: int = 0
    sampled: float = 0.0
    """The sum over the questions of the share of samples that were correct."""
    passed: int = 0
    """Questions with a correct sample."""

    def metrics(self, samples: int) -> dict[str, float]:
        """Shares of the questions, by the names that trackers show.

        `ex_greedy_low` and `ex_greedy_high` are the ends of the 95 % interval of `ex_greedy`.
        """
        sums = {"ex_greedy": float(self.greedy), "valid_sql": float(self.valid)}
        if samples:
            sums[f"ex_vote{samples}"] = float(self.voted)
            sums["pass@1"] = self.sampled
            sums[f"pass@{samples}"] = float(self.passed)
        shares = {name: value / self.questions for name, value in sums.items()}
        interval = share_interval(self.greedy, self.questions)
        ends = {"ex_greedy_low": interval.low / 100, "ex_greedy_high": interval.high / 100}
        return {**shares, **ends}


@dataclass(frozen=True)
class Validation:
    """Held-out questions and how their answers are judged.

    Args:
        rows: GRPO rows whose gold query runs.
        match: when a result is correct.
        judge: runs and judges pairs of SQL.
        file: where the greedy answers of every validation are kept, as JSON Lines.
        samples: sampled completions of each row that vote; 0: greedy alone.
    """

    rows: Sequence[Record]
    match: Match
    judge: JudgeFunction
    file: Path
    samples: int = 0

    def run(
        self, trainer: "Trainer", answer: Answer, *, prefix: str = "eval", at_once: bool = False
    ) -> dict[str, float]:
        """Answer and judge all rows; returns metrics, the same on every process but for the time.

        Args:
            at_once: answer this process's rows in one call, as vLLM forms batches itself;
                otherwise `per_device_eval_batch_size` rows at a time.

        Raises:
            InputError: no answer could be judged.
        """
        from accelerate.utils import gather_object

        start = time.monotonic()
        size = len(self.rows) if at_once else trainer.args.per_device_eval_batch_size
        answered = answer_share(self.rows, answer, size, trainer.accelerator)
        counts, samples = judge_answers(answered, self.judge, self.match)
        total = add(gather_object([counts]))
        if not total.questions:
            raise InputError("no answer could be judged: no gold query of the validation rows runs")
        self._keep(trainer, in_order_of(self.rows, gather_object(samples)))
        metrics = {**total.metrics(self.samples), "questions": float(total.questions)}
        metrics["validation_seconds"] = time.monotonic() - start
        return {f"{prefix}_{name}": value for name, value in metrics.items()}

    def _keep(self, trainer: "Trainer", samples: Sequence[Record]) -> None:
        """Write all samples to the file, show some in the trackers and print a few."""
        if not trainer.is_world_process_zero():
            return
        step = trainer.state.global_step
        with open(self.file, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(json_line({"step": step, **sample}) for sample in samples)
        show_samples(trainer.callback_handler.callbacks, samples[:SHOWN], step)
        for sample in samples[:PRINTED]:
            print(f"  {sample['id']}: correct={sample['correct']} {sample['sql']!r:.200}")


def judge_answers(
    answered: Sequence[AnsweredRow], judge: JudgeFunction, match: Match
) -> tuple[Counts, list[Record]]:
    """Judge the answers of some rows in one call; returns counts and the greedy answers' records.

    A row whose greedy answer cannot be judged is not counted.
    """
    pairs = [
        Pair(Path(answers.row["database"]), parse(text).sql, answers.row["gold_sql"])
        for answers in answered
        for text in (answers.greedy, *answers.samples)
    ]
    judged = iter(zip(pairs, judge(pairs, match), strict=True))
    counts, records = Counts(), []
    for answers in answered:
        pair, verdict = next(judged)
        sampled = [next(judged) for _ in answers.samples]
        records.append(_sample_record(answers, pair, verdict))
        if verdict.correct is not None:
            counts = add([counts, _count(verdict, sampled)])
    return counts, records


def add(parts: Sequence[Counts]) -> Counts:
    """The sum of counts."""
    return Counts(*(sum(values) for values in zip(*map(astuple, parts), strict=True)))


def answer_share(
    rows: Sequence[Record], answer: Answer, size: int, accelerator: "Accelerator"
) -> list[AnsweredRow]:
    """Answer this process's share of the rows, `size` at a time."""
    rank, world = accelerator.process_index, accelerator.num_processes
    answered: list[AnsweredRow] = []
    for start in range(0, len(rows), size * world):
        batch = rows[start : start + size * world]
        own = len(batch[rank::world])  # what `share_of` adds is answered and dropped
        answered += answer(share_of(batch, rank, world))[:own]
    return answered


def share_of(batch: Sequence[Record], rank: int, world: int) -> list[Record]:
    """One process's rows of a batch, as many as every other process has.

    Under ZeRO-3 all processes generate together: if one had fewer rows, the others would wait for
    it forever. Shares are filled up with the batch's first row.
    """
    size = -(-len(batch) // world)
    share = list(batch[rank::world])
    return share + [batch[0]] * (size - len(share))


def in_order_of(rows: Sequence[Record], samples: Sequence[Record]) -> list[Record]:
    """The samples of all processes in the order of the rows."""
    places = {row["id"]: place for place, row in enumerate(rows)}
    return sorted(samples, key=lambda sample: places[sample["id"]])


def _count(greedy: Verdict, sampled: Sequence[tuple[Pair, Verdict]]) -> Counts:
    """The counts of one question."""
    candidates = tuple(
        with_execution(Candidate(pair.predicted), verdict.predicted) for pair, verdict in sampled
    )
    verdicts = tuple(verdict for _, verdict in sampled)
    judged = JudgedSet(CandidateSet("", "", Path(), candidates), verdicts)
    winner = vote(judged.candidate_set).sql
    return Counts(
        questions=1,
        greedy=int(greedy.correct is True),
        valid=int(greedy.predicted.ok),
        voted=int(bool(winner) and judged.correct_by_sql.get(winner, False)),
        sampled=sum(judged.correct) / len(candidates) if candidates else 0.0,
        passed=int(any(judged.correct)),
    )


def _sample_record(answers: AnsweredRow, pair: Pair, verdict: Verdict) -> Record:
    return {
        "id": answers.row["id"],
        "question": answers.row["prompt"][-1]["content"],
        "sql": pair.predicted,
        "correct": verdict.correct,
        "status": str(verdict.predicted.status),
        "error": verdict.predicted.error,
        "completion": answers.greedy,
    }
