"""What a plan is for, and how the parts of one that SFT and GRPO share are printed."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from slmsql.training.memory import GB, MemoryEstimate

if TYPE_CHECKING:
    from transformers import TrainingArguments

USABLE = 0.92  # of a GPU's memory; CUDA needs the rest


class GPU(NamedTuple):
    """A GPU by its vendor's data sheet."""

    tflops: float
    """Dense 16-bit operations."""
    memory: float
    """GB."""
    bandwidth: float
    """GB/s."""


GPUS = {
    "H200": GPU(989, 141, 4800),
    "H100": GPU(989, 80, 3350),
    "A100": GPU(312, 80, 2039),
    "L40S": GPU(362, 48, 864),
    "RTX4090": GPU(165, 24, 1008),
    "A10": GPU(125, 24, 600),
    "T4": GPU(65, 16, 320),
}


@dataclass(kw_only=True)
class PlanOptions:
    """Plan a run without training."""

    plan: bool = field(
        default=False, metadata={"help": "print what the run will take, without training"}
    )
    plan_gpu: str = field(default="H100", metadata={"help": f"GPU to plan for: {', '.join(GPUS)}"})
    plan_gpus: int = field(default=1, metadata={"help": "number of GPUs to plan for"})
    plan_zero: int = field(default=0, metadata={"help": "DeepSpeed's ZeRO stage to plan for"})
    ignore_plan: bool = field(
        default=False, metadata={"help": "train even if the plan says that memory is too small"}
    )

    def __post_init__(self) -> None:
        if self.plan_gpu not in GPUS:
            raise ValueError(f"--plan_gpu {self.plan_gpu} is unknown; one of {', '.join(GPUS)}")
        if self.plan_gpus < 1:
            raise ValueError(f"plan_gpus must be at least 1, got {self.plan_gpus}")
        if self.plan_zero not in range(4):
            raise ValueError(f"plan_zero must be 0, 1, 2 or 3, got {self.plan_zero}")

    def implied(self) -> list[str]:
        """A plan needs no GPU, but the trainer's options refuse `bf16` without one."""
        return ["--use_cpu=true"] if self.plan else []

    @property
    def gpu(self) -> GPU:
        return GPUS[self.plan_gpu]


def memory_lines(memory: MemoryEstimate, attention: str) -> list[tuple[str, str]]:
    """The parts of a device's memory, one line each."""
    return [
        ("memory: weights", gigabytes(memory.weights)),
        ("memory: gradients", gigabytes(memory.gradients)),
        ("memory: optimizer", gigabytes(memory.optimizer)),
        ("memory: activations", gigabytes(memory.activations)),
        ("memory: attention's masks", f"{gigabytes(memory.masks)} ({attention})"),
        ("memory: logits", gigabytes(memory.logits)),
        ("memory: 16-bit copies", gigabytes(memory.copies)),
    ]


def gigabytes(size: float) -> str:
    return f"{size / GB:.2f} GB"


def memory_to_check(training: "TrainingArguments") -> float | None:
    """Bytes of the GPU that a run must fit; None if its plan says nothing about its device.

    FSDP divides a model in ways that are not planned.
    """
    if training.use_cpu or os.environ.get("ACCELERATE_USE_FSDP") == "true":
        return None
    return memory_of_gpu()


def zero_stage(training: "TrainingArguments") -> int:
    """DeepSpeed's ZeRO stage of a run; 0 without DeepSpeed."""
    deepspeed: Any = training.deepspeed_plugin
    return int(deepspeed.zero_stage) if deepspeed else 0


def memory_of_gpu() -> float | None:
    """Bytes of this process's GPU; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    return float(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
