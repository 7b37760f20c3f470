"""GRPO with rewards from running the SQL, on TRL's GRPOTrainer.

    accelerate launch --config_file configs/accelerate/one.yaml rl/grpo.py \\
        --config configs/rl/NAME.yaml --output_dir runs/NAME

Rows are JSON Lines of `id, prompt, gold_sql, database` (scripts/prepare_rl.py). The same command
goes on where a killed run stopped. Beside the checkpoints lie `rollouts/` (every completion with
its rewards) and `run.json` (options, versions, data).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rewards import Judge, make_rewards
from rewards.watch import make_alarms
from rl.checkpoint import last_checkpoint, step_of
from rl.groups import Resting, groups_of_update
from rl.model import check_tokenizer, fitting
from rl.options import Options, check, held_out
from rl.record import check_databases, write_run
from rl.rollouts import RolloutLog, groups_of, rewind
from rl.rows import pass_rates, running
from rl.training import ExecutionTraining, Setup
from rl.validation import ExecutionValidation
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import run_program
from slmsql.execution import Executor
from slmsql.files import Record
from slmsql.training.shutdown import end_together

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from trl import GRPOConfig, GRPOTrainer, ModelConfig


@dataclass
class Run:
    """A checked run: nothing of the model is loaded yet."""

    options: Options
    training: "GRPOConfig"
    model: "ModelConfig"
    judge: Judge
    rows: list[Record]
    validation: list[Record]
    pass_rates: dict[str, float]

    @property
    def folder(self) -> Path:
        return Path(self.training.output_dir)


def main() -> None:
    options, (training, model) = parse_with_trainer(
        Options, ["trl:GRPOConfig", "trl:ModelConfig"], about=__doc__
    )
    train(check_run(options, training, model))


def check_run(options: Options, training: "GRPOConfig", model: "ModelConfig") -> Run:
    """Everything that can be wrong, found before the model is loaded."""
    from accelerate import PartialState

    rows = check(options, training, model)
    folder = Path(training.output_dir)
    judge = Judge(
        workers=options.workers or None,
        cache=Path(options.gold_cache or folder / "gold"),
        fault_share=options.fault_share,
    )
    files = {options.train_file: rows}
    if options.validation_file:
        files[options.validation_file] = held_out(options, rows)
    check_databases(folder / "run.json", {row["database"] for row in rows})
    with (
        PartialState().local_main_process_first(),  # the others find gold results in the cache
        Executor(workers=judge.workers, cache=judge.cache) as executor,
    ):
        checked = {file: running(rows, executor, options.match) for file, rows in files.items()}
    for file, found in checked.items():
        PartialState().print(f"{file}: {found.summary()}")
    kept = [found.rows for found in checked.values()]
    held = kept[1] if len(kept) > 1 else []
    return Run(options, training, model, judge, kept[0], held, pass_rates(rows))


def train(run: Run, **more: Any) -> None:
    """Train, from the last checkpoint if there is one. `more` goes to TRL's trainer."""
    from accelerate import PartialState
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(
        run.model.model_name_or_path, revision=run.model.model_revision
    )
    check_tokenizer(tokenizer, think="format" in run.options.rewards)
    _leave_out_long_prompts(run, tokenizer)
    checkpoint = last_checkpoint(run.folder) if run.options.resume else None
    with PartialState().main_process_first():
        if PartialState().is_main_process:
            _open_folder(run, checkpoint)
    trainer = _trainer(run, tokenizer, **more)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_model()
    trainer.save_state()  # the log history, for plots
    run.judge.close()
    end_together(trainer.accelerator)


def _leave_out_long_prompts(run: Run, tokenizer: "PreTrainedTokenizerBase") -> None:
    from accelerate import PartialState

    if limit := run.options.max_prompt_length:
        count = len(run.rows)
        run.rows = fitting(run.rows, tokenizer, limit)
        PartialState().print(f"left out: {count - len(run.rows)} prompts over {limit} tokens")


def _open_folder(run: Run, checkpoint: Path | None) -> None:
    moved = rewind(run.folder / "rollouts", step_of(checkpoint) if checkpoint else 0)
    write_run(run.folder / "run.json", run.options, run.training, run.model, run.rows)
    if checkpoint or moved:
        print(f"going on from {checkpoint or 'the start'}; {moved} rollouts after it set aside")


def _trainer(run: Run, tokenizer: "PreTrainedTokenizerBase", **more: Any) -> "GRPOTrainer":
    from datasets import Dataset
    from trl import GRPOTrainer, get_peft_config, get_quantization_config

    class Trainer(ExecutionTraining, ExecutionValidation, GRPOTrainer):
        """TRL's trainer with ours in front."""

    _fill_model_arguments(run.training, run.model)
    trainer = Trainer(
        model=run.model.model_name_or_path,
        processing_class=tokenizer,
        reward_funcs=make_rewards(
            run.options.rewards,
            match=run.options.match,
            judge=run.judge,
            max_completion_length=run.training.max_completion_length,
        ),
        args=run.training,
        train_dataset=Dataset.from_list(run.rows),
        eval_dataset=Dataset.from_list(run.validation) if run.validation else None,
        peft_config=get_peft_config(run.model),
        quantization_config=get_quantization_config(run.model),
        **more,
    )
    trainer.set_up(_setup(run, trainer.accelerator.process_index))
    trainer.set_up_validation(run.validation, run.options.validation_samples)
    return trainer


def _setup(run: Run, rank: int) -> Setup:
    folder, options = run.folder / "rollouts", run.options
    return Setup(
        judge=run.judge,
        match=options.match,
        reward_names=options.rewards,
        rollouts=RolloutLog(folder, rank),
        alarms=make_alarms(options.alarms),
        rows=run.rows,
        resting=_resting(run, folder) if options.skip_zero_variance else None,
    )


def _resting(run: Run, folder: Path) -> Resting:
    """What is known of the rows from before and from the rollouts, the same on every process."""
    from accelerate.utils import broadcast_object_list

    groups = groups_of_update(run.training)
    resting = Resting([row["id"] for row in run.rows], groups, run.training.seed)
    resting.expect(run.pass_rates)
    (known,) = broadcast_object_list([groups_of(folder)])
    for step, varied in known:
        resting.learn(step, list(varied), list(varied.values()))
    return resting


def _fill_model_arguments(training: "GRPOConfig", model: "ModelConfig") -> None:
    """As TRL's own script: the model's options go where the trainer looks for them."""
    given: dict[str, Any] = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
    }
    training.model_init_kwargs = {**given, **(training.model_init_kwargs or {})}


if __name__ == "__main__":
    run_program(main)
