"""What a GRPO run will take - steps, memory by part, seconds of a step - before weights are loaded.

    python rl/grpo.py --config configs/rl/NAME.yaml --plan true [--plan_gpu H100 --plan_gpus 8]

Memory is that of the largest batch there can be: the longest prompts, and completions as long as
`--max_completion_length`. How long completions will be is not known before, so the time, too, is
the longest: it shrinks with shorter completions.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from slmsql.errors import InputError
from slmsql.training.memory import (
    GB,
    Batch,
    MemoryEstimate,
    Parameters,
    count_parameters,
    estimate_memory,
    flops_per_token,
    planned_attention,
)
from slmsql.training.plan_options import (
    GPU,
    USABLE,
    PlanOptions,
    gigabytes,
    memory_lines,
)
from slmsql.training.plan_time import Work, attention_flops, decoding_seconds, forward_flops

if TYPE_CHECKING:
    from transformers import PretrainedConfig
    from trl import GRPOConfig, ModelConfig

VLLM_WEIGHT_BYTES = 2  # of each weight, which vLLM reads for every token


@dataclass(frozen=True, slots=True)
class GRPOPlan:
    """What a GRPO run will take."""

    rows: int
    prompt_tokens: float
    """Of a prompt, on average."""
    completions: int
    """Of one generation, on all devices."""
    per_update: int
    """Completions of one update on one device."""
    updates: int
    """On one generation."""
    steps: int
    parameters: Parameters
    attention: str
    memory: MemoryEstimate
    """Of the trainer on one device."""
    vllm_share: float
    """Of a device's memory, for a vLLM beside the trainer; 0 without one."""
    vllm_sleeps: bool
    rollout: Work
    """Prefill of one generation on one device."""
    update: Work
    """Forward and backward passes of one generation on one device."""
    decoding: tuple[int, float]
    """Tokens one after the other, and bytes read for each of them."""
    largest_batch: int
    """Tokens."""
    rows_that_fit: Callable[[float], int]
    """The largest micro-batch, in completions, for a device with so many bytes; may be 0."""

    def takes(self, size: float) -> float:
        """Bytes at the peak on a device of `size` bytes.

        A vLLM that sleeps while weights are updated shares the device only with what the trainer
        keeps between updates.
        """
        vllm = self.vllm_share * size
        if self.vllm_sleeps:
            return max(self.memory.total, self.memory.kept + vllm)
        return self.memory.total + vllm

    def rollout_seconds(self, gpu: GPU) -> float:
        """Of one generation, if every completion is as long as it may be."""
        return self.rollout.seconds(
            self.parameters.total, self.attention, gpu.tflops * 1e12
        ) + decoding_seconds(*self.decoding, gpu.bandwidth * GB)

    def update_seconds(self, gpu: GPU) -> float:
        """Of all updates on one generation."""
        return self.update.seconds(self.parameters.total, self.attention, gpu.tflops * 1e12)


def make_plan(
    prompt_lengths: Sequence[int],
    *,
    config: "PretrainedConfig",
    training: "GRPOConfig",
    model: "ModelConfig",
    devices: int,
    zero: int,
) -> GRPOPlan:
    """Plan a run.

    Args:
        prompt_lengths: tokens of each row's prompt.
        devices: number of devices that share each step.
        zero: DeepSpeed's ZeRO stage; 0 without DeepSpeed.
    """
    parameters = count_parameters(config, model)
    attention = planned_attention(model, config)
    longest = max(prompt_lengths)
    completion = training.max_completion_length or 0
    per_update = training.per_device_train_batch_size * training.gradient_accumulation_steps
    per_generation = training.per_device_train_batch_size * (training.steps_per_generation or 1)
    groups = per_generation * devices / (training.num_generations or 1)

    def memory_of(rows: int) -> MemoryEstimate:
        batch = batch_of(rows, longest, completion)
        estimate = estimate_memory(
            config, parameters, batch, training, model, devices=devices, zero=zero
        )
        if not training.beta or model.use_peft:
            return estimate
        return replace(estimate, weights=2 * estimate.weights)  # the reference model

    def rows_that_fit(room: float) -> int:
        tries = range(1, per_update + 1)
        return bisect_right(tries, room, key=lambda rows: memory_of(rows).total)

    mean = sum(prompt_lengths) / len(prompt_lengths)
    return GRPOPlan(
        rows=len(prompt_lengths),
        prompt_tokens=mean,
        completions=per_generation * devices,
        per_update=per_update,
        updates=ceil(per_generation / per_update) * training.num_iterations,
        steps=steps_of(len(prompt_lengths), groups, per_generation / per_update, training),
        parameters=parameters,
        attention=attention,
        memory=memory_of(training.per_device_train_batch_size),
        vllm_share=_vllm_share(training),
        vllm_sleeps=training.vllm_enable_sleep_mode,
        rollout=Work(
            weights=forward_flops(parameters.total) * mean * groups / devices, attention=0, layers=0
        ),
        update=_update_work(config, parameters, training, mean, completion),
        decoding=(completion, VLLM_WEIGHT_BYTES * parameters.total),
        largest_batch=batch_of(training.per_device_train_batch_size, longest, completion).tokens,
        rows_that_fit=rows_that_fit,
    )


def batch_of(rows: int, prompt: int, completion: int) -> Batch:
    """The largest batch of so many completions of the longest prompt."""
    return Batch(
        tokens=rows * (prompt + completion),
        labelled=rows * completion,
        squares=rows * (prompt + completion) ** 2,
    )


def steps_of(
    rows: int, groups: float, updates_per_generation: float, training: "GRPOConfig"
) -> int:
    """Optimizer steps of a run."""
    if training.max_steps > 0:
        return training.max_steps
    generations = ceil(rows * training.num_train_epochs / groups)
    return ceil(generations * updates_per_generation) * training.num_iterations


def count_processes(processes: int) -> None:
    """Let TRL's options hold for so many processes.

    TRL checks that a generation can be divided among the processes that run. A plan is one process.
    """
    from trl import GRPOConfig

    vars_of_class: Any = GRPOConfig
    vars_of_class.world_size = processes


def check_fits(plan: GRPOPlan, training: "GRPOConfig", size: float) -> None:
    """Check that the run fits a GPU of `size` bytes.

    Raises:
        InputError: it does not; with the micro-batch that would.
    """
    needed = plan.takes(size)
    if needed <= USABLE * size:
        return
    vllm = f", {gigabytes(plan.vllm_share * size)} of it for vLLM" if plan.vllm_share else ""
    raise InputError(
        f"{training.per_device_train_batch_size} completions take up to {gigabytes(needed)}{vllm}, "
        f"of the GPU's {gigabytes(size)}; {advice(plan, size)}, or --ignore_plan true to try"
    )


def advice(plan: GRPOPlan, size: float) -> str:
    """What to change so that the run fits a device of `size` bytes."""
    beside = 0.0 if plan.vllm_sleeps else plan.vllm_share
    rows = plan.rows_that_fit((USABLE - beside) * size)
    if plan.vllm_sleeps and plan.memory.kept + plan.vllm_share * size > USABLE * size:
        return "give a smaller --vllm_gpu_memory_utilization"
    if not rows:
        return "not even one fits"
    rows = max(part for part in range(1, rows + 1) if plan.per_update % part == 0)
    return (
        f"give --per_device_train_batch_size {rows} --gradient_accumulation_steps "
        f"{plan.per_update // rows} for the same updates"
    )


def plan_lines(plan: GRPOPlan, options: PlanOptions) -> list[tuple[str, str]]:
    """Names and values of the plan, one line each."""
    size = options.gpu.memory * GB
    fits = "fits" if plan.takes(size) <= USABLE * size else "does not fit"
    rollout, update = plan.rollout_seconds(options.gpu), plan.update_seconds(options.gpu)
    seconds = (rollout + update) * plan.steps / plan.updates
    sleeps = " while it samples" if plan.vllm_sleeps else ""
    beside = (USABLE - (0 if plan.vllm_sleeps else plan.vllm_share)) * size
    return [
        ("rows", f"{plan.rows:,} with {plan.prompt_tokens:,.0f} tokens in a prompt on average"),
        ("completions of a generation", f"{plan.completions:,}, for {plan.updates} updates"),
        ("steps", f"{plan.steps:,}"),
        ("parameters", f"{plan.parameters.total:,}, {plan.parameters.trained:,} trained"),
        ("largest batch of a device", f"{plan.largest_batch:,} tokens"),
        *memory_lines(plan.memory, plan.attention),
        ("memory: vLLM", f"{gigabytes(plan.vllm_share * size)}{sleeps}"),
        (
            "memory in all",
            f"{gigabytes(plan.takes(size))} ({fits} {options.plan_gpu}, {options.gpu.memory} GB)",
        ),
        ("largest micro-batch that fits", f"{plan.rows_that_fit(beside):,} completions"),
        ("seconds of a rollout", f"{rollout:.2f} if all completions have the greatest length"),
        ("seconds of its updates", f"{update:.2f}"),
        ("time", f"{seconds / 3600:.2g} h on {options.plan_gpus} x {options.plan_gpu} at most"),
    ]


def _vllm_share(training: "GRPOConfig") -> float:
    beside = training.use_vllm and training.vllm_mode == "colocate"
    return training.vllm_gpu_memory_utilization if beside else 0.0


def _update_work(
    config: "PretrainedConfig",
    parameters: Parameters,
    training: "GRPOConfig",
    prompt: float,
    completion: int,
) -> Work:
    """The passes of one generation: forward and backward, and those of log-probabilities alone."""
    text: Any = config.get_text_config()
    batches = (training.steps_per_generation or 1) * training.num_iterations
    rows = training.per_device_train_batch_size
    length = prompt + completion
    flops = flops_per_token(parameters, training)
    flops += _extra_passes(training) * forward_flops(parameters.total)
    pairs = rows * length**2 / 2
    return Work(
        weights=batches * rows * length * flops,
        attention=batches
        * attention_flops(config, pairs, checkpointing=training.gradient_checkpointing),
        layers=batches * int(text.num_hidden_layers),
    )


def _extra_passes(training: "GRPOConfig") -> int:
    """Passes without gradients: of the policy before several updates, and of the reference model.

    With as many updates as generations the update's own pass serves (rl/base_trainer.py).
    """
    generate_every = (training.steps_per_generation or 1) * training.num_iterations
    aligned = training.gradient_accumulation_steps % generate_every == 0
    return (0 if aligned else 1) + (1 if training.beta else 0)
