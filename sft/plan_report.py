"""Plan a run from its real data and configuration, and print the plan."""

from typing import TYPE_CHECKING

from sft.encoding import IGNORED
from sft.examples import prepare_both
from sft.models import load_encoder
from sft.options import Options
from sft.plan import TrainingPlan, make_plan
from slmsql.errors import InputError
from slmsql.training.memory import GB
from slmsql.training.model_check import load_configuration
from slmsql.training.plan_options import (
    USABLE,
    gigabytes,
    memory_lines,
    memory_to_check,
    zero_stage,
)
from slmsql.training.plan_time import attention_share, weight_share

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import ModelConfig, SFTConfig


def plan_of(options: Options, training: "SFTConfig", model: "ModelConfig") -> TrainingPlan:
    """Encode the data and plan the run; no weights are loaded."""
    examples, _ = prepare_both(options, load_encoder(model, training), training)
    return plan_examples(
        examples,
        training,
        model,
        devices=options.planning.plan_gpus,
        zero=options.planning.plan_zero,
    )


def plan_examples(
    examples: "Dataset", training: "SFTConfig", model: "ModelConfig", *, devices: int, zero: int
) -> TrainingPlan:
    """Plan a run on encoded rows."""
    labels = list(examples["labels"])
    return make_plan(
        [len(row) for row in labels],
        sum(label != IGNORED for row in labels for label in row),
        config=load_configuration(model),
        training=training,
        model=model,
        devices=devices,
        zero=zero,
    )


def check_fits(examples: "Dataset", training: "SFTConfig", model: "ModelConfig") -> None:
    """Check on a GPU that the run fits, before weights are loaded.

    Raises:
        InputError: it does not; with the micro-batch that would.
    """
    size = memory_to_check(training)
    if size is None:
        return
    plan = plan_examples(
        examples, training, model, devices=training.world_size, zero=zero_stage(training)
    )
    if plan.memory.total <= USABLE * size:
        return
    rows = plan.rows_that_fit(USABLE * size)
    advice = f"give --per_device_train_batch_size {rows}" if rows else "not even one row fits"
    raise InputError(
        f"a batch of {training.per_device_train_batch_size} takes about "
        f"{gigabytes(plan.memory.total)} of the GPU's {gigabytes(size)}; {advice}, or "
        "--ignore_plan true to try"
    )


def show_plan(options: Options, training: "SFTConfig", model: "ModelConfig") -> None:
    """Print the plan, and whether it fits the GPU."""
    plan = plan_of(options, training, model)
    for name, value in plan_lines(plan, options):
        print(f"{name:<30} {value}")


def plan_lines(plan: TrainingPlan, options: Options) -> list[tuple[str, str]]:
    """Names and values of the plan, one line each."""
    planning = options.planning
    gpu = planning.gpu
    room = USABLE * gpu.memory * GB
    memory = plan.memory
    seconds = plan.work.seconds(plan.parameters.total, plan.attention, gpu.tflops * 1e12)
    seconds /= planning.plan_gpus
    within = f"; about {options.seconds / seconds:.0%} of it in --seconds {options.seconds:g}"
    fits = "fits" if memory.total < room else "does not fit"
    return [
        ("rows", f"{plan.rows:,}"),
        ("tokens in an epoch", f"{plan.tokens:,}, {plan.loss_tokens:,} of them with loss"),
        ("steps", f"{plan.steps:,}"),
        ("parameters", f"{plan.parameters.total:,}, {plan.parameters.trained:,} trained"),
        ("largest batch of a device", f"{plan.largest_batch:,} tokens"),
        *memory_lines(memory, plan.attention),
        (
            "memory in all",
            f"{gigabytes(memory.total)} ({fits} {planning.plan_gpu}, {gpu.memory} GB)",
        ),
        ("largest micro-batch that fits", f"{plan.rows_that_fit(room):,}"),
        (
            "time",
            f"{seconds / 3600:.2g} h on {planning.plan_gpus} x {planning.plan_gpu}, of whose peak "
            f"weights reach {weight_share(plan.parameters.total):.0%} and attention "
            f"{attention_share(plan.attention):.0%}{within if options.seconds else ''}",
        ),
    ]
