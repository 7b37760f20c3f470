"""Execution accuracy during training: questions answered by the model as it is, run and judged.

The prompts are GRPO rows (`prompt`, `gold_sql`, `database`); decoding is greedy, so that the score
of a checkpoint is the same every time. Under several processes each answers its share.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft.samples import show
from slmsql.errors import InputError
from slmsql.execution import Executor, Pair, Verdict
from slmsql.files import Record, json_line, read_jsonl
from slmsql.match import Match
from slmsql.prompt.answer import parse

if TYPE_CHECKING:
    from trl import SFTTrainer

SHOWN = 20  # samples of each scoring that trackers show; all of them go to the file
PRINTED = 3


@dataclass(frozen=True, slots=True)
class Scored:
    """A question that a checkpoint is chosen by."""

    id: str
    prompt: list[dict[str, str]]
    gold_sql: str
    database: Path


def read_scored(path: Path, count: int) -> list[Scored]:
    """Read the first `count` questions; all where it is 0.

    Raises:
        InputError: a record is malformed or there is none.
        FileNotFoundError: a database is missing.
    """
    questions = [
        _scored(record, f"{path}, row {n}") for n, record in enumerate(read_jsonl(path), 1)
    ]
    if not questions:
        raise InputError(f"{path} is empty; scripts/prepare_rl.py makes such rows")
    questions = questions[: count or None]
    for question in questions:
        if not question.database.is_file():
            raise FileNotFoundError(f"{path}: no database {question.database}")
    return questions


def judged(
    questions: Sequence[Scored], completions: Sequence[str], executor: Executor, match: Match
) -> list[Record]:
    """What became of each completion: SQL, whether it ran, whether it is correct."""
    answers = [parse(completion) for completion in completions]
    pairs = [
        Pair(question.database, answer.sql, question.gold_sql)
        for question, answer in zip(questions, answers, strict=True)
    ]
    verdicts = executor.judge(pairs, match=match)
    return [
        _sample(question, completion, pair, verdict)
        for question, completion, pair, verdict in zip(
            questions, completions, pairs, verdicts, strict=True
        )
    ]


def scores(samples: Sequence[Record]) -> dict[str, float]:
    """The metrics of one scoring; questions without a verdict (gold does not run) are left out."""
    counted = [sample for sample in samples if sample["correct"] is not None]
    if not counted:
        raise InputError("none of the questions' gold queries runs; audit them first")
    return {
        "eval_execution_accuracy": sum(sample["correct"] for sample in counted) / len(counted),
        "eval_valid_sql": sum(sample["status"] == "ok" for sample in counted) / len(counted),
        "eval_questions": float(len(counted)),
    }


class Scorer:
    """Scores the model at each evaluation, into the evaluation's own metrics.

    Args:
        tokens: longest answer.
        file: where samples of every scoring are kept.
    """

    def __init__(
        self, questions: Sequence[Scored], *, match: Match, tokens: int, batch: int, file: Path
    ) -> None:
        self.questions = questions
        self.match = match
        self.tokens = tokens
        self.batch = batch
        self.file = file

    def score(self, trainer: "SFTTrainer", metrics: dict[str, float]) -> None:
        """Add execution accuracy and the share of valid SQL to `metrics`, the same everywhere."""
        from accelerate.utils import broadcast_object_list

        start = time.monotonic()
        completions = self._completions(trainer)
        result: list[Any] = [None]
        if trainer.is_world_process_zero():
            with Executor() as executor:
                samples = judged(self.questions, completions, executor, self.match)
            self._keep(samples, trainer.state.global_step)
            show(trainer.callback_handler.callbacks, samples[:SHOWN], trainer.state.global_step)
            result = [scores(samples)]
        broadcast_object_list(result)
        metrics.update(result[0])
        trainer.log({**result[0], "eval_scoring_seconds": time.monotonic() - start})

    def _completions(self, trainer: "SFTTrainer") -> list[str]:
        from accelerate.utils import gather_object

        rank, world = trainer.accelerator.process_index, trainer.accelerator.num_processes
        mine = range(rank, len(self.questions), world)
        texts = generate(trainer, [self.questions[i].prompt for i in mine], self.tokens, self.batch)
        pairs = gather_object(list(zip(mine, texts, strict=True)))
        return [text for _, text in sorted(pairs)]

    def _keep(self, samples: Sequence[Record], step: int) -> None:
        with open(self.file, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(json_line({"step": step, **sample}) for sample in samples)
        for sample in samples[:PRINTED]:
            print(f"  {sample['id']}: correct={sample['correct']} {sample['sql']!r:.200}")


def generate(
    trainer: "SFTTrainer", prompts: Sequence[list[dict[str, str]]], tokens: int, batch: int
) -> list[str]:
    """Answer prompts greedily with the model in training; under ZeRO-3 its weights are gathered."""
    import torch
    from trl.models import unwrap_model_for_generation

    from sft.encoding import prompt_text

    tokenizer: Any = trainer.processing_class
    answers: list[str] = []
    with (
        unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model,
        torch.no_grad(),
        trainer.compute_loss_context_manager(),
    ):
        was_training = model.training
        model.eval()
        for start in range(0, len(prompts), batch):
            texts = [prompt_text(tokenizer, prompt) for prompt in prompts[start : start + batch]]
            answers += _answers(model, tokenizer, texts, tokens)
        model.train(was_training)
    return answers


def _answers(model: Any, tokenizer: Any, texts: list[str], tokens: int) -> list[str]:
    inputs = tokenizer(
        texts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False
    ).to(model.device)
    inputs.pop("token_type_ids", None)
    output = model.generate(**inputs, max_new_tokens=tokens, do_sample=False, use_cache=True)
    new = output[:, inputs["input_ids"].shape[1] :]
    decoded: list[str] = tokenizer.batch_decode(new, skip_special_tokens=True)
    return decoded


def _scored(record: Record, position: str) -> Scored:
    match record:
        case {"id": id_, "prompt": list(prompt), "gold_sql": str(gold), "database": str(database)}:
            return Scored(str(id_), prompt, gold, Path(database))
    raise InputError(f"{position}: expected id, prompt, gold_sql and database, got {list(record)}")


def _sample(question: Scored, completion: str, pair: Pair, verdict: Verdict) -> Record:
    return {
        "id": question.id,
        "question": question.prompt[-1]["content"],
        "sql": pair.predicted,
        "correct": verdict.correct,
        "status": str(verdict.predicted.status),
        "error": verdict.predicted.error,
        "completion": completion,
    }
