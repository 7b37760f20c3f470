"""The options of `rl/grpo.py` beside those of TRL, and their checks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rewards import REWARDS
from rewards.select import check_reward_names
from rewards.watch import make_alarms
from rl.rows import check_dialect, check_layout
from slmsql.errors import InputError
from slmsql.files import Record
from slmsql.match import Match
from slmsql.training.adapters import check_peft_option
from slmsql.training.attention import choose_attention
from slmsql.training.clock import check_schedule
from slmsql.training.model_check import load_configuration
from slmsql.training.model_options import check_precision
from slmsql.training.plan_options import PlanOptions
from slmsql.training.rows import read_grpo_rows

if TYPE_CHECKING:
    from trl import GRPOConfig, ModelConfig

# TRL 1.16 accepts any word and fails after the first rollout.
LOSSES = ("bnpo", "cispo", "dapo", "dr_grpo", "grpo", "luspo", "sapo", "vespo")
PUBLISHED_WEIGHTS = {"execution": 1.0, "format": 0.1}  # all others 1.0 unless given


@dataclass
class Options:
    train_file: Path = field(
        metadata={"help": "rows: JSON Lines of id, prompt, gold_sql, database"}
    )
    rewards: list[str] = field(
        default_factory=lambda: ["execution", "format"],
        metadata={"help": f"of {', '.join(REWARDS)}; weights by --reward_weights"},
    )
    match: Match = field(default=Match.BIRD, metadata={"help": "when a result is correct"})
    max_prompt_length: int = field(
        default=0,
        metadata={
            "help": "leave out rows with prompts over N tokens, also for validation; 0: no limit"
        },
    )
    workers: int = field(
        default=0, metadata={"help": "processes that run SQL; 0: this rank's share of the cores"}
    )
    gold_cache: Path | None = field(
        default=None, metadata={"help": "folder of gold results (default: OUTPUT_DIR/gold)"}
    )
    suites: Path | None = field(
        default=None,
        metadata={
            "help": "folder of scripts/make_neighbours.py: for the rewards execution_suite and "
            "execution_suite_share, and for watch/coincidence with any reward"
        },
    )
    fault_share: float = field(
        default=0.05,
        metadata={"help": "stop if the machine fails to judge more than this share of completions"},
    )
    validation_file: Path | None = field(
        default=None, metadata={"help": "held-out rows for execution accuracy every --eval_steps"}
    )
    validation_rows: int = field(
        default=0, metadata={"help": "use only the first N of them; 0: all"}
    )
    validation_samples: int = field(
        default=0, metadata={"help": "sampled completions of each that vote; 0: greedy alone"}
    )
    skip_zero_variance: bool = field(
        default=False,
        metadata={
            "help": "skip rows for a while whose last group had no variance in its rewards, or "
            "whose `pass_rate` is 0 or 1"
        },
    )
    constrain: Literal["off", "schema"] = field(
        default="off",
        metadata={
            "help": "schema: completions, also of the validation, can only name tables and columns "
            "of their database; SQLite's, with transformers or with vLLM beside the trainer"
        },
    )
    alarms: list[str] = field(
        default_factory=list, metadata={"help": "other thresholds, as in watch/empty=0.5"}
    )
    sync_tolerance: float = field(
        default=0.2,
        metadata={
            "help": "stop if vLLM's log-probabilities of a fixed text differ from the trainer's by "
            "more than this on average"
        },
    )
    sync_timeout: float = field(
        default=600.0, metadata={"help": "stop if vLLM takes longer to load weights, in seconds"}
    )
    vllm_eager: bool = field(
        default=False,
        metadata={"help": "start vLLM beside the trainer without compiling: a minute earlier"},
    )
    seconds: float = field(
        default=0.0,
        metadata={
            "help": "train for this long, with a learning rate that follows the clock; 0: for "
            "--max_steps or --num_train_epochs"
        },
    )
    resume: bool = field(
        default=True, metadata={"help": "resume from the last complete checkpoint, if any"}
    )
    planning: PlanOptions = field(default_factory=PlanOptions)

    def __post_init__(self) -> None:
        check_reward_names(self.rewards)
        make_alarms(self.alarms)
        if not 0 <= self.fault_share < 1:
            raise ValueError(f"fault_share must be in [0, 1), got {self.fault_share}")
        for name in ("sync_tolerance", "sync_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("workers", "validation_rows", "validation_samples", "max_prompt_length"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


def check(options: Options, training: "GRPOConfig", model: "ModelConfig") -> list[Record]:
    """Check all that can be checked without running a query; returns the rows to train on.

    Raises:
        InputError: with what is wrong.
    """
    load_configuration(model)
    check_peft_option(model)
    if not options.planning.plan:  # which may be for another machine
        choose_attention(training, model)
        check_precision(training, model)
    check_schedule(options.seconds, training)
    _check_loss(training)
    _set_weights(options, training)
    _check_validation(options, training)
    if options.constrain != "off":
        _check_constraint(training)
    return rows_of(options.train_file, options)


def validation_rows(file: Path, options: Options, trained: Sequence[Record]) -> list[Record]:
    """The validation rows.

    Raises:
        InputError: one of them is trained on as well.
    """
    rows = rows_of(file, options)[: options.validation_rows or None]
    trained_ids = {row["id"] for row in trained}
    if shared := [row["id"] for row in rows if row["id"] in trained_ids]:
        raise InputError(
            f"{file}: {len(shared)} of its rows are trained on as well, such as "
            f"{shared[0]!r}; give them other ids, or hold them out"
        )
    return rows


def rows_of(file: Path, options: Options) -> list[Record]:
    """The rows of a file, in the layout that the rewards ask for."""
    rows = read_grpo_rows(file)
    if "format" in options.rewards:
        check_layout(rows, file)
    if options.constrain != "off":
        check_dialect(rows, file)
    return rows


def _check_loss(training: "GRPOConfig") -> None:
    if training.loss_type not in LOSSES:
        raise InputError(f"unknown loss_type {training.loss_type!r}; expected one of {LOSSES}")
    ceiling = training.epsilon if training.epsilon_high is None else training.epsilon_high
    if training.loss_type == "cispo" and ceiling < 1:
        raise InputError(
            f"with loss_type cispo, epsilon_high is the largest ratio, not its distance from 1: "
            f"{ceiling:g} would clip every token; give a value from 1, such as 5"
        )


def _check_constraint(training: "GRPOConfig") -> None:
    if training.use_transformers_continuous_batching:
        raise InputError(
            "--constrain schema cannot use_transformers_continuous_batching; leave it out"
        )
    if training.use_vllm and training.vllm_mode != "colocate":
        raise InputError(
            f"--constrain schema cannot reach vLLM with vllm_mode {training.vllm_mode}: TRL gives "
            "a server one constraint for all prompts; take --vllm_mode colocate"
        )
    if training.use_vllm and training.vllm_tensor_parallel_size > 1:
        raise InputError(
            f"--constrain schema needs --vllm_tensor_parallel_size 1, got "
            f"{training.vllm_tensor_parallel_size}"
        )


def _set_weights(options: Options, training: "GRPOConfig") -> None:
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
