"""The options of `sft/train.py` beside those of TRL's SFTConfig and ModelConfig."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from slmsql.match import Match
from slmsql.training.plan_options import PlanOptions


@dataclass
class Options:
    data: Path = field(metadata={"help": "rows to train on, JSON Lines from scripts/prepare_*.py"})
    seconds: float = field(
        default=0.0,
        metadata={
            "help": "train for this long, with a learning rate that follows the clock; 0: for "
            "--max_steps or --num_train_epochs"
        },
    )
    eval_data: Path | None = field(default=None, metadata={"help": "rows for the eval loss"})
    eval_rows: int = field(
        default=0, metadata={"help": "number of rows of --data held out for the eval loss"}
    )
    validation_file: Path | None = field(
        default=None, metadata={"help": "GRPO rows for execution accuracy at each evaluation"}
    )
    validation_rows: int = field(
        default=64, metadata={"help": "use only the first N of them; 0: all"}
    )
    validation_tokens: int = field(
        default=1024,  # as at inference, so that the same answers are cut off
        metadata={"help": "longest answer to a validation row, in tokens"},
    )
    validation_vllm: float = field(
        default=0.0,
        metadata={
            "help": "share of each GPU's memory for a vLLM that answers the validation rows, which "
            "is many times as fast; 0: transformers answers"
        },
    )
    match: Match = field(default=Match.BIRD, metadata={"help": "when a result is correct"})
    bnb_4bit_compute_dtype: Literal["", "bfloat16", "float16", "float32"] = field(
        default="", metadata={"help": "arithmetic on 4-bit weights; default: that of --dtype"}
    )
    planning: PlanOptions = field(default_factory=PlanOptions)

    def __post_init__(self) -> None:
        for path in (self.data, self.eval_data, self.validation_file):
            if path is not None and not path.is_file():
                raise ValueError(f"no file {path}")
        if self.validation_rows < 0:
            raise ValueError(f"validation_rows must not be negative, got {self.validation_rows}")
        if not 0 <= self.validation_vllm < 1:
            raise ValueError(f"validation_vllm must be in [0, 1), got {self.validation_vllm}")
        if self.validation_vllm and not self.validation_file:
            raise ValueError("--validation_vllm answers the rows of a --validation_file: give one")
        if self.eval_data and self.eval_rows:
            raise ValueError("give --eval_data or --eval_rows, not both")
        if self.validation_file and not (self.eval_data or self.eval_rows):
            raise ValueError(
                "--validation_file is used at evaluations: give --eval_data or --eval_rows, too"
            )
