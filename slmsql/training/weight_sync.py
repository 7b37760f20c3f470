"""Sends the trained weights to vLLM, and proves that its rollouts come from them.

An engine that misses an update samples from an old model without any error, and the run learns
nothing. So after a sync vLLM scores a fixed text, and the trainer scores the same text. Training
stops when the two part, when vLLM's values stand still while the trainer's move, and when the sync
hangs.

The check took 0.08 s with SmolLM2-135M on an H200, 3 % of a step. So it follows each of the first
syncs, where faults show, and every fourth one later.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from slmsql.errors import InputError
from slmsql.training.deadline import deadline

if TYPE_CHECKING:
    from transformers import Trainer

TEXT = """<think>
The question asks how many songs each singer over 30 has, so I join both tables and count.
</think>
<answer>
SELECT singer.name, count(*) FROM singer JOIN song ON song.singer_id = singer.id WHERE age > 30 \
GROUP BY singer.id
</answer>"""
MOVED = 0.005
"""From here on the trainer's values have moved by more than rounding in 16 bits explains."""
TOLERANCE = 0.2
TIMEOUT = 600.0  # seconds
FIRST_CHECKS = 8
CHECK_EVERY = 4
STILL = 0.1
"""vLLM stands still if its values move by less than this share of the trainer's movement."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """One sync: the mean difference of the log-probabilities, and seconds of its two parts.

    The difference is None, and the check takes no time, if this sync was not checked.
    """

    difference: float | None
    send_seconds: float
    check_seconds: float


@dataclass
class WeightSync:
    """Takes the place of `sync_weights` of TRL's `VLLMGeneration`.

    Args:
        generation: TRL's `VLLMGeneration`.
        token_ids: of the fixed text.
        score: the trainer's log-probability of each token but the first; all processes call it
            together, because under ZeRO-3 they share the weights.
        tolerance: largest mean difference between the log-probabilities of vLLM and the trainer.
        timeout: seconds that vLLM may take to load the weights and to score the text.
    """

    generation: Any
    token_ids: Sequence[int]
    score: Callable[[Sequence[int]], list[float]]
    tolerance: float = TOLERANCE
    timeout: float = TIMEOUT
    _syncs: int = field(default=0, init=False)
    _last_change: tuple[list[float], list[float]] | None = field(default=None, init=False)
    """Values of vLLM and of the trainer when vLLM's values last moved."""

    def run(self) -> SyncReport:
        """Send the weights and compare.

        Raises:
            InputError: vLLM does not have the weights that are trained.
        """
        self._syncs += 1
        is_checked = self._syncs <= FIRST_CHECKS or self._syncs % CHECK_EVERY == 0
        start = time.perf_counter()
        expected = self.score(self.token_ids) if is_checked else []
        scored = time.perf_counter()
        with deadline(self.timeout, self._hangs()):
            send_weights(self.generation)
            sent = time.perf_counter()
            if not is_checked:
                return SyncReport(None, sent - scored, 0.0)
            found = engine_logprobs(self.generation, self.token_ids)
        difference = mean_difference(found, expected)
        self._check(found, expected, difference)
        check_seconds = time.perf_counter() - sent + scored - start
        return SyncReport(difference, sent - scored, check_seconds)

    def _check(self, found: list[float], expected: list[float], difference: float) -> None:
        found_before, expected_before = self._last_change or (found, expected)
        moved = mean_difference(expected, expected_before)
        stands_still = mean_difference(found, found_before) < STILL * moved
        if stands_still and moved > MOVED:
            raise InputError(
                "vLLM ignores the updates of the weights: the trainer's log-probabilities of a "
                f"fixed text have moved by {moved:.3g} on average, vLLM's stand still; see "
                "docs/rl.md, Check of the weights"
            )
        if not difference <= self.tolerance:  # NaN is a difference, too
            raise InputError(
                "vLLM does not sample from the model in training: for a fixed text, its "
                f"log-probabilities differ from the trainer's by {difference:.3g} on average, more "
                f"than {self.tolerance:g} (in GRPO --sync_tolerance); see docs/rl.md, Check of the "
                "weights"
            )
        if not stands_still:
            self._last_change = found, expected

    def _hangs(self) -> str:
        return (
            f"vLLM did not take the weights within {self.timeout:g} seconds (in GRPO "
            "--sync_timeout); see docs/rl.md, Check of the weights"
        )


def send_weights(generation: Any) -> None:
    """Send all weights to vLLM.

    TRL calls `load_weights` of a vLLM beside the trainer once for each tensor, and each call lists
    all parameters of the model. Here one call loads them all. Under ZeRO-3 and FSDP TRL's way
    stays: there a tensor is whole only for as long as the iterator stands at it.
    """
    sharding = generation._dist
    if generation.mode == "server" or sharding.is_zero3 or sharding.is_fsdp:
        type(generation).sync_weights(generation)
        return
    if generation.enable_sleep_mode:
        import torch

        torch.cuda.empty_cache()
        generation.llm.wake_up(tags=["weights"])
        generation._llm_weights_sleeping = False
    worker = generation.llm.llm_engine.model_executor.driver_worker
    worker.model_runner.model.load_weights(generation._iter_named_params())
    generation.llm.reset_prefix_cache()


def engine_logprobs(generation: Any, token_ids: Sequence[int]) -> list[float]:
    """vLLM's log-probability of each token but the first, the same on every process."""
    if generation.mode == "server":
        return _server_logprobs(generation, token_ids)
    from vllm import SamplingParams

    if generation.enable_sleep_mode:
        generation.llm.wake_up(tags=["kv_cache"])
    (output,) = generation.llm.generate(
        [{"prompt_token_ids": list(token_ids)}],
        SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0),
        use_tqdm=False,
    )
    scored = zip(token_ids[1:], output.prompt_logprobs[1:], strict=True)
    return [float(logprobs[token].logprob) for token, logprobs in scored]


def model_logprobs(trainer: "Trainer", token_ids: Sequence[int]) -> list[float]:
    """The log-probability that the model in training gives each token but the first."""
    import torch

    model = cast(torch.nn.Module, trainer.model)
    is_training = model.training
    ids = torch.tensor([token_ids], device=trainer.accelerator.device)
    model.eval()
    with torch.no_grad(), trainer.accelerator.autocast():
        logits = model(input_ids=ids).logits[0, :-1].float()
    model.train(is_training)
    values: list[float] = logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0].tolist()
    return values


def _server_logprobs(generation: Any, token_ids: Sequence[int]) -> list[float]:
    from accelerate.utils import broadcast_object_list

    values: list[list[float]] = [[]]
    if generation.accelerator.is_main_process:
        scored = generation.vllm_client.get_sequence_logprobs(
            [list(token_ids)], prompt_lengths=[1], top_logprobs=1
        )
        values = [[float(token[0]) for token in scored["actual_logprobs"][0]]]
    broadcast_object_list(values)
    return values[0]


def mean_difference(first: Sequence[float], second: Sequence[float]) -> float:
    """The mean absolute difference of two rows of values."""
    return sum(abs(a - b) for a, b in zip(first, second, strict=True)) / len(first)
