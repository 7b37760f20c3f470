"""Answers to validation rows, generated as rollouts are: with vLLM or with transformers."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slmsql.files import Record
from slmsql.prompt.generation import plain_generation
from slmsql.training.validation import AnsweredRow

if TYPE_CHECKING:
    from trl import GRPOTrainer


def answer_rows(trainer: "GRPOTrainer", rows: Sequence[Record], samples: int) -> list[AnsweredRow]:
    """Answer each row greedily and, if `samples` is not 0, with that many sampled completions."""
    prompts = [row["prompt"] for row in rows]
    with _greedy_generation(trainer):
        greedy = _completions(trainer, prompts, 1)
    sampled: list[str] = []
    if samples:
        repeated = [prompt for prompt in prompts for _ in range(samples)]
        sampled = _completions(trainer, repeated, samples)
    return [
        AnsweredRow(row, text, tuple(sampled[samples * index : samples * (index + 1)]))
        for index, (row, text) in enumerate(zip(rows, greedy, strict=True))
    ]


def _completions(trainer: "GRPOTrainer", prompts: Sequence[Any], copies: int) -> list[str]:
    """The texts that the model writes; each prompt occurs `copies` times in succession."""
    ids, images, multimodal_fields = trainer._tokenize_prompts(list(prompts))
    with plain_generation(trainer.model):
        completion_ids, _ = trainer._generate_single_turn(ids, images, multimodal_fields, copies)
    tokenizer: Any = trainer.processing_class
    texts: list[str] = tokenizer.batch_decode(completion_ids, skip_special_tokens=True)
    return texts


@contextmanager
def _greedy_generation(trainer: "GRPOTrainer") -> Iterator[None]:
    """Let the trainer's generation take the most likely token, and then sample again."""
    if trainer.use_vllm:
        engine = trainer.vllm_generation
        sampled = engine.temperature, engine.repetition_penalty
        engine.temperature, engine.repetition_penalty = 0.0, 1.0
        try:
            yield
        finally:
            engine.temperature, engine.repetition_penalty = sampled
        return
    config, kwargs = trainer.generation_config, trainer.generation_kwargs
    trainer.generation_config = copy.deepcopy(config)
    greedy = {"do_sample": False, "repetition_penalty": 1.0}
    trainer.generation_config.update(**greedy, temperature=1.0, top_p=1.0, top_k=50)
    trainer.generation_kwargs = {**kwargs, **greedy}
    try:
        yield
    finally:
        trainer.generation_config, trainer.generation_kwargs = config, kwargs
