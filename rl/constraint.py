"""Rollouts whose SQL names only what their databases have, and the probabilities of such tokens.

With a constraint, a token is drawn from those that may come next, and is likelier than the model
alone says. So the trainer's log-probabilities are renormalised over the same tokens: they are
found again from the completion. Otherwise the importance ratio would be wrong from the first step.

Sampler and trainer find the database of a completion by the tokens of its prompt.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy
import torch
from torch.utils.checkpoint import checkpoint

from rl.rows import layout_of
from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.grammar.constraint import ConstrainedText, Constraints
from slmsql.prompt.build import Layout
from slmsql.sampling.constraining import ConstrainedRows

PROCESSOR = "slmsql.sampling.vllm_constraint:SchemaProcessor"
POSITIONS_AT_ONCE = 256  # whose logits are in memory together

Messages = Sequence[Mapping[str, str]]


def messages_key(prompt: Messages) -> tuple[tuple[str, str], ...]:
    """What prompts are compared by."""
    return tuple((message["role"], message["content"]) for message in prompt)


@dataclass(frozen=True, slots=True)
class AllowedTokens:
    """The tokens that may come at some positions; most positions share theirs with others.

    `sets` has the tokens of one set in a row, eight in a byte; `places` names each position's row.
    """

    sets: torch.Tensor
    places: torch.Tensor

    def at(self, positions: slice, width: int) -> torch.Tensor:
        """Whether each token of a vocabulary may come, a row for each position."""
        packed = self.sets[self.places[positions]]
        digits = torch.arange(8, device=packed.device, dtype=torch.uint8)
        return (packed[:, :, None] >> digits & 1).bool().flatten(1)[:, :width]


class RolloutConstraint:
    """The constraint of each prompt of a run, for its sampler and for its trainer.

    Args:
        constraints: for the tokenizer and the model.
        rows: all rows whose prompts are answered, those of the validation too.
    """

    def __init__(self, constraints: Constraints, rows: Sequence[Record]) -> None:
        self._constraints = constraints
        self._rows = {messages_key(row["prompt"]): row for row in rows}
        self._about: dict[bytes, tuple[Path, Layout]] = {}

    def note(self, prompts: Sequence[Messages], prompt_ids: Sequence[Sequence[int]]) -> None:
        """Remember which prompts have which tokens."""
        for prompt, ids in zip(prompts, prompt_ids, strict=True):
            row = self._rows[messages_key(prompt)]
            self._about[_key(ids)] = (Path(row["database"]), Layout(layout_of(row)))

    @contextmanager
    def generating(self, model: Any, prompt_ids: Sequence[Sequence[int]]) -> Iterator[None]:
        """Let a model of transformers generate constrained completions of these prompts."""
        rows = ConstrainedRows([self._begin(ids) for ids in prompt_ids])
        model.generate = partial(model.generate, logits_processor=[rows])
        try:
            yield
        finally:
            del model.generate

    @contextmanager
    def generating_in_vllm(self, llm: Any) -> Iterator[None]:
        """Let vLLM's engine, which has the processor `PROCESSOR`, generate such completions."""
        generate = llm.generate

        def constrained(prompts: Any, sampling_params: Any, **named: Any) -> Any:
            each = [self._parameters(p["prompt_token_ids"], sampling_params) for p in prompts]
            return generate(prompts, sampling_params=each, **named)

        llm.generate = constrained
        try:
            yield
        finally:
            del llm.generate

    @contextmanager
    def scoring(self, ids: torch.Tensor, mask: torch.Tensor, width: int) -> Iterator[None]:
        """Let TRL renormalise log-probabilities, and entropies, over the tokens that may come.

        Args:
            ids: prompts, padded on the left, with their completions, padded on the right.
            mask: 0 where they are padded.
            width: of the completions.
        """
        from trl.trainer import utils

        names = vars(utils)
        function = names["_ChunkedLogProbFunction"]
        names["_ChunkedLogProbFunction"] = _OutputLayer(self.allowed(ids, mask, width))
        try:
            yield
        finally:
            names["_ChunkedLogProbFunction"] = function

    def allowed(self, ids: torch.Tensor, mask: torch.Tensor, width: int) -> AllowedTokens:
        """The tokens that may come in the place of each token of the completions, in their order.

        The arguments are those of `scoring`.
        """
        rows: dict[int, int] = {}
        places: list[int] = []
        used = mask.bool()
        for row, is_used in zip(ids, used, strict=True):
            prompt, completion = row[:-width][is_used[:-width]], row[-width:][is_used[-width:]]
            text = self._begin(prompt.tolist())
            for token in completion.tolist():
                places.append(rows.setdefault(text.allowed(), len(rows)))
                text.accept(token)
        size = (self._constraints.width + 7) // 8
        packed = b"".join(tokens.to_bytes(size, "little") for tokens in rows)
        sets = torch.from_numpy(numpy.frombuffer(packed, dtype=numpy.uint8).copy())
        return AllowedTokens(
            sets.view(-1, size).to(ids.device), torch.tensor(places, device=ids.device)
        )

    def _begin(self, prompt_ids: Sequence[int]) -> ConstrainedText:
        about = self._about.get(_key(prompt_ids))
        if about is None:
            raise InputError("--constrain needs prompts that TRL tokenizes: leave out rollout_func")
        return self._constraints.begin(*about)

    def _parameters(self, prompt_ids: Sequence[int], parameters: Any) -> Any:
        """vLLM's parameters for one prompt; unchanged for texts that are no prompts of the run."""
        about = self._about.get(_key(prompt_ids))
        if about is None:
            return parameters
        database, layout = about
        own = parameters.clone()
        own.extra_args = {
            **(parameters.extra_args or {}),
            "database": str(database),
            "layout": str(layout),
        }
        return own


class _OutputLayer:
    """Stands in for TRL's function from hidden states to log-probabilities of labels.

    TRL's is called for the labelled positions only, which are the tokens of the completions.
    """

    def __init__(self, allowed: AllowedTokens) -> None:
        self._allowed = allowed

    def apply(
        self,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        temperature: float,
        _vocabulary_chunk: int,
        softcap: float | None,
        scale: float,
        outputs: Sequence[str],
    ) -> tuple[torch.Tensor | None, ...]:
        """TRL: log-probabilities, entropies, and three more that only other trainers ask for."""
        if set(outputs) - {"log_probs", "entropy"} or len(labels) != len(self._allowed.places):
            raise RuntimeError(f"TRL asks for {outputs} of {len(labels)} positions")
        parts = []
        for start in range(0, len(labels), POSITIONS_AT_ONCE):
            part = slice(start, start + POSITIONS_AT_ONCE)

            def score(hidden: torch.Tensor, part: slice = part) -> tuple[torch.Tensor, ...]:
                logits = torch.nn.functional.linear(hidden, weight, bias).float() * scale
                if softcap is not None:
                    logits = softcap * torch.tanh(logits / softcap)
                allowed = self._allowed.at(part, logits.shape[1])
                return _renormalised(logits / temperature, allowed, labels[part])

            parts.append(checkpoint(score, hidden[part], use_reentrant=False))
        if not parts:
            nothing = hidden.float().sum(dim=-1)
            return nothing, nothing.detach(), None, None, None
        logprobs, entropies = (torch.cat(values) for values in zip(*parts, strict=True))
        return logprobs, entropies, None, None, None


def _renormalised(
    logits: torch.Tensor, allowed: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The labels' log-probabilities among the allowed tokens, and the entropies of these."""
    logprobs = logits.masked_fill(~allowed, -torch.inf).log_softmax(dim=-1)
    finite = logprobs.masked_fill(~allowed, 0.0)
    entropies = -(logprobs.exp() * finite).sum(dim=-1)
    return logprobs.gather(1, labels[:, None])[:, 0], entropies


def _key(prompt_ids: Sequence[int]) -> bytes:
    return blake2b(numpy.asarray(prompt_ids, dtype=numpy.int64).tobytes(), digest_size=16).digest()
