"""Answers to validation rows from a vLLM beside the trainer, with the weights of the moment."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sft.encoding import prompt_text
from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.training.merging import keep_frozen_weights
from slmsql.training.quick_start import QUICK_START, start_vllm_with
from slmsql.training.validation import AnsweredRow
from slmsql.training.weight_sync import TEXT, WeightSync, model_logprobs

if TYPE_CHECKING:
    from trl import SFTTrainer


class VLLMAnswers:
    """Answers rows greedily, after it has sent vLLM the weights and checked that they arrived.

    On a GPU vLLM gives its memory back between validations.

    Args:
        rows: all that will be answered; the longest decides how much context vLLM has.
        tokens: longest answer.
        memory: share of the GPU's memory that vLLM may take.

    Raises:
        InputError: a prompt and its answer are too long for the model.
    """

    def __init__(
        self, trainer: "SFTTrainer", rows: Sequence[Record], *, tokens: int, memory: float
    ) -> None:
        import torch
        from trl.generation.vllm_generation import VLLMGeneration

        tokenizer: Any = trainer.processing_class
        self._tokenizer = tokenizer
        fixed_text = tokenizer.encode(TEXT, add_special_tokens=False)
        model: Any = trainer.model
        start_vllm_with(compilation_config=QUICK_START)
        generation: Any = VLLMGeneration(
            model=model,
            accelerator=trainer.accelerator,
            processing_class=tokenizer,
            gpu_memory_utilization=memory,
            max_model_length=max(self._context(model, rows, tokens), len(fixed_text) + 1),
            enable_sleep_mode=torch.cuda.is_available(),
            temperature=0.0,
            max_completion_length=tokens,
            logprobs=None,
        )
        keep_frozen_weights(generation)
        score = partial(model_logprobs, trainer)
        generation.sync_weights = WeightSync(generation, fixed_text, score).run
        self._generation = generation

    def __call__(self, rows: Sequence[Record]) -> list[AnsweredRow]:
        self._generation.sync_weights()
        prompts = [self._token_ids(row) for row in rows]
        _, completions, _, _ = self._generation.generate(prompts, None, num_generations=1)
        texts = self._tokenizer.batch_decode(completions, skip_special_tokens=True)
        return [AnsweredRow(row, text) for row, text in zip(rows, texts, strict=True)]

    def _token_ids(self, row: Record) -> list[int]:
        text = prompt_text(self._tokenizer, row["prompt"])
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _context(self, model: Any, rows: Sequence[Record], tokens: int) -> int:
        """Tokens of the longest prompt and its answer."""
        prompt, longest = max((len(self._token_ids(row)), str(row["id"])) for row in rows)
        if prompt + tokens > model.config.max_position_embeddings:
            raise InputError(
                f"validation row {longest!r} has a prompt of {prompt} tokens; with "
                f"--validation_tokens {tokens} that is more than the model's "
                f"{model.config.max_position_embeddings}"
            )
        return prompt + tokens
