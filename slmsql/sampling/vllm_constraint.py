"""Constrains requests in vLLM's engine, which may run in a process of its own.

Imports vLLM, which loads it by name: nothing else should.
"""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from slmsql.grammar.constraint import ConstrainedText, Constraints
from slmsql.prompt.build import Layout
from slmsql.sampling.constraining import blocked_tokens


class _Row:
    """A completion in the batch; `tokens` is vLLM's own list, which grows."""

    def __init__(self, text: ConstrainedText, tokens: list[int]) -> None:
        self._text = text
        self._tokens = tokens
        self._taken = 0

    def so_far(self) -> ConstrainedText:
        """The completion with all its tokens."""
        for token in self._tokens[self._taken :]:
            self._text.accept(token)
        self._taken = len(self._tokens)
        return self._text


class SchemaProcessor(LogitsProcessor):
    """Blocks tokens for requests whose `extra_args` name a database and a layout."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self._model = vllm_config.model_config
        self._constraints: Constraints | None = None
        self._rows: dict[int, _Row] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        process_dict_updates(self._rows, batch_update, self._new_row)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        if not self._rows:
            return logits
        number, width = logits.shape
        rows = [self._rows.get(index) for index in range(number)]
        blocked = blocked_tokens([row.so_far() if row else None for row in rows], width)
        return logits.masked_fill_(blocked.to(logits.device), float("-inf"))

    def _new_row(
        self, params: SamplingParams, _prompt: list[int] | None, tokens: list[int]
    ) -> _Row | None:
        arguments = params.extra_args or {}
        if "database" not in arguments:
            return None
        if self._constraints is None:
            self._constraints = self._load(params)
        database, layout = Path(arguments["database"]), Layout(arguments["layout"])
        return _Row(self._constraints.begin(database, layout), tokens)

    def _load(self, params: SamplingParams) -> Constraints:
        tokenizer = AutoTokenizer.from_pretrained(self._model.tokenizer)
        stop_tokens = {tokenizer.eos_token_id, *params.all_stop_token_ids}
        return Constraints(tokenizer, self._model.get_vocab_size(), sorted(stop_tokens - {None}))
