"""Execution accuracy on held-out rows while training goes on: greedy, and by vote of k samples."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards import Judge
from slmsql.consistency.candidates import Candidate, CandidateSet, with_execution
from slmsql.consistency.voting import vote
from slmsql.execution import Execution, Pair
from slmsql.files import Record
from slmsql.match import Match
from slmsql.prompt.answer import parse


@dataclass(frozen=True, slots=True)
class Answered:
    """A row with its greedy completion and its sampled ones."""

    row: Record
    greedy: str
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows of a share were right; counts of several processes add up."""

    rows: int = 0
    greedy: int = 0
    voted: int = 0
    sampled: float = 0.0
    passed: int = 0

    def figures(self, samples: int) -> dict[str, float]:
        """Shares by the names that trackers show."""
        of = {"ex_greedy": float(self.greedy)}
        if samples:
            of[f"ex_vote{samples}"] = float(self.voted)
            of["pass@1"] = self.sampled
            of[f"pass@{samples}"] = float(self.passed)
        return {name: value / max(1, self.rows) for name, value in of.items()}


def count(answered: Sequence[Answered], judge: Judge, match: Match) -> Counts:
    """Judge the answers of some rows, all in one call."""
    pairs = [
        Pair(Path(one.row["database"]), parse(text).sql, one.row["gold_sql"])
        for one in answered
        for text in (one.greedy, *one.samples)
    ]
    verdicts = iter(judge.verdicts(pairs, match))
    greedy = voted = passed = 0
    sampled = 0.0
    for one in answered:
        greedy += next(verdicts).correct is True
        own = [(parse(text).sql, next(verdicts)) for text in one.samples]
        right = [verdict.correct is True for _, verdict in own]
        sampled += sum(right) / len(right) if right else 0.0
        passed += any(right)
        winner = _winner([(sql, verdict.predicted) for sql, verdict in own])
        voted += any(ok for (sql, _), ok in zip(own, right, strict=True) if sql and sql == winner)
    return Counts(len(answered), greedy, voted, sampled, passed)


def _winner(ran: Sequence[tuple[str | None, Execution]]) -> str:
    candidates = tuple(with_execution(Candidate(sql), execution) for sql, execution in ran)
    return vote(CandidateSet("", "", Path(), candidates)).sql


class ExecutionValidation:
    """Replaces the trainer's evaluation, which would report a loss, by execution accuracy."""

    def set_up_validation(self, rows: Sequence[Record], samples: int) -> None:
        """Call once, before `train`. `samples` completions of each row vote; 0: greedy alone."""
        self._validation_rows = rows
        self._validation_samples = samples

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The trainer calls this every `eval_steps`; its figures choose the best checkpoint."""
        import torch
        from accelerate.utils import gather_object

        self.model.eval()
        with torch.random.fork_rng():  # the rollouts go on as if nothing had been sampled here
            torch.manual_seed(self.args.seed + self.accelerator.process_index)
            own = count(self._answers(), self._setup.judge, self._setup.match)
        parts = gather_object([own])
        total = Counts(*(sum(values) for values in zip(*map(_values, parts), strict=True)))
        figures = total.figures(self._validation_samples)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in figures.items()}
        metrics[f"{metric_key_prefix}_rows"] = float(total.rows)
        self.log(dict(metrics))
        self.model.train()
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _answers(self) -> list[Answered]:
        """The answers to this process's share of the rows."""
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        size = self.args.per_device_eval_batch_size
        answered: list[Answered] = []
        for start in range(0, len(self._validation_rows), size * world):
            batch = self._validation_rows[start : start + size * world]
            mine = share_of(batch, rank, world)
            answered += self._answer(mine)[: len(batch[rank::world])]
        return answered

    def _answer(self, rows: Sequence[Record]) -> list[Answered]:
        prompts = [row["prompt"] for row in rows]
        with _greedily(self):
            greedy = self._texts(prompts, 1)
        k = self._validation_samples
        sampled = self._texts([prompt for prompt in prompts for _ in range(k)], k) if k else []
        return [
            Answered(row, text, tuple(sampled[k * number : k * (number + 1)]))
            for number, (row, text) in enumerate(zip(rows, greedy, strict=True))
        ]

    def _texts(self, prompts: Sequence[Any], copies: int) -> list[str]:
        """TRL: completions of prompts, each of which stands `copies` times in a row."""
        ids, images, more = self._tokenize_prompts(list(prompts))
        completions, _ = self._generate_single_turn(ids, images, more, copies)
        return self.processing_class.batch_decode(completions, skip_special_tokens=True)


def share_of(batch: Sequence[Record], rank: int, world: int) -> list[Record]:
    """The rows of one process, as many as those of each other: sampling is done together.

    Where rows run out, a share is filled up with the first row.
    """
    most = -(-len(batch) // world)
    mine = list(batch[rank::world])
    return mine + [batch[0]] * (most - len(mine))


@contextmanager
def _greedily(trainer: Any) -> Iterator[None]:
    """Sample without chance, with vLLM or with transformers."""
    import copy

    if trainer.use_vllm:
        engine, temperature = trainer.vllm_generation, trainer.vllm_generation.temperature
        engine.temperature = 0.0
        try:
            yield
        finally:
            engine.temperature = temperature
        return
    config, kwargs = trainer.generation_config, trainer.generation_kwargs
    trainer.generation_config = copy.deepcopy(config)
    trainer.generation_config.update(do_sample=False, temperature=1.0, top_p=1.0, top_k=50)
    trainer.generation_kwargs = {**kwargs, "do_sample": False}
    try:
        yield
    finally:
        trainer.generation_config, trainer.generation_kwargs = config, kwargs


def _values(counts: Counts) -> tuple[float, ...]:
    return (counts.rows, counts.greedy, counts.voted, counts.sampled, counts.passed)
