"""Plan a run from its real data and configuration, and print the plan."""

from typing import TYPE_CHECKING

from sft.encoding import IGNORED
from sft.examples import prepare_both
from sft.models import check_model, load_encoder
from sft.options import Options
from sft.plan import GB, GPUS, TrainingPlan, make_plan

if TYPE_CHECKING:
    from trl import ModelConfig, SFTConfig

USABLE = 0.92  # of a GPU's memory; CUDA needs the rest


def plan_of(options: Options, training: "SFTConfig", model: "ModelConfig") -> TrainingPlan:
    """Encode the data and plan the run; no weights are loaded."""
    examples, _ = prepare_both(options, load_encoder(model, training), training)
    labels = list(examples["labels"])
    return make_plan(
        [len(row) for row in labels],
        sum(label != IGNORED for row in labels for label in row),
        config=check_model(model),
        training=training,
        model=model,
        devices=options.plan_gpus,
        zero=options.plan_zero,
    )


def show_plan(options: Options, training: "SFTConfig", model: "ModelConfig") -> None:
    """Print the plan, and whether it fits the GPU."""
    plan = plan_of(options, training, model)
    for name, value in plan_lines(plan, options):
        print(f"{name:<28} {value}")


def plan_lines(plan: TrainingPlan, options: Options) -> list[tuple[str, str]]:
    """Names and values of the plan, one line each."""
    peak, size = GPUS[options.plan_gpu]
    memory = plan.memory
    hours = plan.flops / (peak * 1e12 * options.plan_share * options.plan_gpus) / 3600
    fits = "fits" if memory.total < USABLE * size * GB else "does not fit"
    return [
        ("rows", f"{plan.rows:,}"),
        ("tokens in an epoch", f"{plan.tokens:,}, {plan.loss_tokens:,} of them with loss"),
        ("steps", f"{plan.steps:,}"),
        ("parameters", f"{plan.parameters.total:,}, {plan.parameters.trained:,} trained"),
        ("largest batch of a device", f"{plan.largest_batch:,} tokens"),
        ("memory: weights", _gb(memory.weights)),
        ("memory: gradients", _gb(memory.gradients)),
        ("memory: optimizer", _gb(memory.optimizer)),
        ("memory: activations", _gb(memory.activations)),
        ("memory in all", f"{_gb(memory.total)} ({fits} {options.plan_gpu}, {size} GB)"),
        (
            "time",
            f"{hours:.2g} h on {options.plan_gpus} x {options.plan_gpu} "
            f"at {options.plan_share:.0%} of {peak} TFLOP/s",
        ),
    ]


def _gb(size: float) -> str:
    return f"{size / GB:.2f} GB"
