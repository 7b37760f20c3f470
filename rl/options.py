"""The options of `rl/grpo.py` beside those of TRL, and what can be wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rewards import REWARDS
from rewards.select import check_reward_names
from rewards.watch import make_alarms
from rl.rows import check_layout, read_rows
from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.match import Match
from slmsql.training.model_check import check_model

if TYPE_CHECKING:
    from trl import GRPOConfig, ModelConfig

# TRL 1.16 takes any word and fails after the first rollout.
LOSSES = ("bnpo", "cispo", "dapo", "dr_grpo", "grpo", "luspo", "sapo", "vespo")
PUBLISHED_WEIGHTS = {"execution": 1.0, "format": 0.1}  # all others 1.0 unless given


@dataclass
class Options:
    train_file: str = field(metadata={"help": "rows: JSON Lines of id, prompt, gold_sql, database"})
    rewards: list[str] = field(
        default_factory=lambda: ["execution", "format"],
        metadata={"help": f"of {', '.join(REWARDS)}; weights by --reward_weights"},
    )
    match: Match = field(default=Match.BIRD, metadata={"help": "when a result is the gold result"})
    max_prompt_length: int = field(
        default=0, metadata={"help": "tokens; rows with longer prompts are left out; 0: none"}
    )
    workers: int = field(default=0, metadata={"help": "processes for SQL; 0: this rank's cores"})
    gold_cache: str = field(
        default="", metadata={"help": "folder of gold results; default: OUTPUT_DIR/gold"}
    )
    fault_share: float = field(
        default=0.05, metadata={"help": "stop if the machine fails to judge more than this share"}
    )
    validation_file: str = field(
        default="", metadata={"help": "held-out rows; EX on them every --eval_steps"}
    )
    validation_samples: int = field(
        default=0, metadata={"help": "samples of each that vote; 0: greedy alone"}
    )
    skip_zero_variance: bool = field(
        default=False,
        metadata={
            "help": "rows whose group taught nothing, or that a `pass_rate` of 0 or 1 says will "
            "teach nothing, sit out for a while"
        },
    )
    alarms: list[str] = field(
        default_factory=list, metadata={"help": "thresholds of your own: watch/empty=0.5 ..."}
    )
    resume: bool = field(default=True, metadata={"help": "go on from the last checkpoint, if any"})

    def __post_init__(self) -> None:
        check_reward_names(self.rewards)
        make_alarms(self.alarms)
        if not 0 <= self.fault_share < 1:
            raise ValueError(f"fault_share must be in [0, 1), got {self.fault_share}")
        for name, value in (
            ("workers", self.workers),
            ("validation_samples", self.validation_samples),
            ("max_prompt_length", self.max_prompt_length),
        ):
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")


def check(options: Options, training: "GRPOConfig", model: "ModelConfig") -> list[Record]:
    """The rows to train on, after everything that can be wrong without running a query."""
    check_model(model.model_name_or_path)
    if training.loss_type not in LOSSES:
        raise InputError(f"unknown loss_type {training.loss_type!r}; expected one of {LOSSES}")
    _check_weights(options, training)
    _check_validation(options, training)
    return rows_of(options.train_file, options)


def held_out(options: Options, rows: Sequence[Record]) -> list[Record]:
    """The validation rows; one that is trained on as well is refused."""
    validation = rows_of(options.validation_file, options)
    trained = {row["id"] for row in rows}
    if shared := [row["id"] for row in validation if row["id"] in trained]:
        raise InputError(
            f"{options.validation_file}: {len(shared)} of its rows are trained on as well, such as "
            f"{shared[0]!r}; give them ids of their own or hold them out"
        )
    return validation


def rows_of(file: str, options: Options) -> list[Record]:
    """The rows of a file, in the layout that the rewards ask for."""
    rows = read_rows(Path(file))
    if "format" in options.rewards:
        check_layout(rows, Path(file))
    return rows


def _check_weights(options: Options, training: "GRPOConfig") -> None:
    if training.reward_weights is None:
        training.reward_weights = [PUBLISHED_WEIGHTS.get(name, 1.0) for name in options.rewards]
    if len(training.reward_weights) != len(options.rewards):
        raise InputError(
            f"{len(training.reward_weights)} reward_weights for {len(options.rewards)} rewards "
            f"({', '.join(options.rewards)})"
        )


def _check_validation(options: Options, training: "GRPOConfig") -> None:
    evaluates = training.eval_strategy != "no"
    if options.validation_file and not evaluates:
        raise InputError("a validation_file needs `eval_strategy: steps` and eval_steps")
    if evaluates and not options.validation_file:
        raise InputError("eval_strategy needs a validation_file with held-out rows")
