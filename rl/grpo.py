"""GRPO with rewards from running the SQL, on TRL's GRPOTrainer.

    accelerate launch --config_file configs/accelerate/one.yaml rl/grpo.py \\
        --config configs/rl/NAME.yaml --output_dir runs/NAME

Rows are JSON Lines of `id, prompt, gold_sql, database` (scripts/prepare_rl.py). The same command
again resumes from the last complete checkpoint. Beside the checkpoints are `rollouts/` (every
completion with its rewards) and `run.json` (options, versions, data).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rewards import Judge, make_rewards
from rewards.watch import make_alarms
from rl.options import Options, check, validation_rows
from rl.plan import check_fits, count_processes, make_plan, plan_lines
from rl.rollouts import RolloutLog, groups_by_step, rewind
from rl.rows import pass_rates
from rl.tokenizer import (
    check_tokenizer,
    prompt_lengths,
    prompt_limit,
    read_completions_whole,
    rows_within,
)
from rl.zero_variance import ZeroVarianceFilter, groups_per_update
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import InputError, run_program
from slmsql.execution import Executor
from slmsql.files import Record
from slmsql.suites.neighbours.folder import Suites
from slmsql.training.adapters import base_of, keep_precise, tokenizer_folder, with_adapter
from slmsql.training.checkpoints import output_folder, resume_from, step_of, train_from
from slmsql.training.clock import follow_clock
from slmsql.training.extension_locks import check_extension_locks
from slmsql.training.model_check import check_named_model, load_configuration
from slmsql.training.output_layer import score_labelled_positions_only
from slmsql.training.plan_options import memory_to_check, zero_stage
from slmsql.training.publish import finish
from slmsql.training.quick_start import QUICK_START, start_vllm_with, vllm_left_out
from slmsql.training.recomputation import recompute_cheap_results, recomputes
from slmsql.training.rows import runnable_rows
from slmsql.training.run_record import check_same_run, describe, write_record
from slmsql.training.tracking import start_wandb, track
from slmsql.training.validation import Validation

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedTokenizerBase
    from trl import GRPOConfig, ModelConfig

    from rl.trainer import ExecutionGRPOTrainer


@dataclass(frozen=True)
class GRPORun:
    """A checked run, of whose model nothing is loaded yet."""

    options: Options
    training: "GRPOConfig"
    model: "ModelConfig"
    judge: Judge
    record: Record
    """What `run.json` will say."""
    checkpoint: Path | None
    """From which it resumes."""
    rows: list[Record]
    validation_rows: list[Record]
    pass_rates: dict[str, float]
    is_published: bool

    @property
    def folder(self) -> Path:
        return output_folder(self.training)


def main() -> None:
    options, (training, model) = parse_with_trainer(
        Options,
        ["trl:GRPOConfig", "trl:ModelConfig"],
        about=__doc__,
        check_first=_check_first,
    )
    if options.planning.plan:
        show_plan(options, training, model)
    else:
        train(check_run(options, training, model))


def _check_first(options: Options, words: Sequence[str]) -> list[str]:
    """Find a missing file or model before TRL is imported; returns more words for TRL's options."""
    for file in filter(None, (options.train_file, options.validation_file)):
        if not file.is_file():
            raise InputError(f"no file {file}; scripts/prepare_rl.py makes such rows")
    check_named_model(words)
    if options.planning.plan:
        count_processes(options.planning.plan_gpus)
    return options.planning.implied()


def show_plan(options: Options, training: "GRPOConfig", model: "ModelConfig") -> None:
    """Print what the run will take, and whether it fits the GPU. No query runs."""
    tokenizer = _tokenizer(model)
    rows = check(options, training, model)
    if limit := prompt_limit(options.max_prompt_length, training):
        rows = rows_within(limit, rows, tokenizer)
    planning = options.planning
    plan = make_plan(
        prompt_lengths(rows, tokenizer),
        config=load_configuration(model),
        training=training,
        model=model,
        devices=planning.plan_gpus,
        zero=planning.plan_zero,
    )
    for name, value in plan_lines(plan, planning):
        print(f"{name:<30} {value}")


def check_run(options: Options, training: "GRPOConfig", model: "ModelConfig") -> GRPORun:
    """Check everything that can be checked before the model is loaded.

    Raises:
        FileNotFoundError: a file or a database is missing.
        InputError: with what else is wrong.
    """
    from accelerate import PartialState

    rows = check(options, training, model)
    check_extension_locks()
    files = {options.train_file: rows}
    if options.validation_file:
        files[options.validation_file] = validation_rows(options.validation_file, options, rows)
    record, checkpoint = _resume(options, training, model, rows)
    judge = Judge(
        workers=options.workers or None,
        cache=options.gold_cache or output_folder(training) / "gold",
        fault_share=options.fault_share,
        suites=Suites(options.suites) if options.suites else None,
    )
    with (
        PartialState().local_main_process_first(),  # the others find gold results in the cache
        Executor(workers=judge.workers, cache=judge.cache) as executor,
    ):
        runnable = {
            file: runnable_rows(rows, executor, options.match) for file, rows in files.items()
        }
    for file, file_rows in runnable.items():
        PartialState().print(f"{file}: {file_rows.summary()}")
    if judge.suites:
        rows_to_train = runnable[options.train_file].rows
        PartialState().print(_suite_summary(judge.suites, rows_to_train))
    is_published, training.push_to_hub = training.push_to_hub, False  # once, at the end
    return GRPORun(
        options=options,
        training=training,
        model=model,
        judge=judge,
        record=record,
        checkpoint=checkpoint,
        rows=runnable[options.train_file].rows,
        validation_rows=(runnable[options.validation_file].rows if options.validation_file else []),
        pass_rates=pass_rates(rows),
        is_published=is_published,
    )


def train(run: GRPORun, **trainer_arguments: Any) -> None:
    """Train, resuming from the run's checkpoint if there is one.

    Args:
        trainer_arguments: further arguments of TRL's trainer, such as `rollout_func`.
    """
    from accelerate import PartialState

    tokenizer = _tokenizer(run.model)
    check_tokenizer(tokenizer, think="format" in run.options.rewards)
    read_completions_whole(tokenizer)
    run = _without_long_prompts(run, tokenizer)
    if not run.options.planning.ignore_plan:
        _check_fits(run, tokenizer)
    with PartialState().main_process_first():
        if PartialState().is_main_process:
            _open_folder(run)
    trainer = _make_trainer(run, tokenizer, **trainer_arguments)
    track(trainer, run.record, run.options.train_file, run.folder / "rollouts")
    train_from(run.checkpoint, trainer)
    run.judge.close()
    finish(trainer, run.record, method="grpo", rows=len(run.rows), is_published=run.is_published)


def _tokenizer(model: "ModelConfig") -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    folder = tokenizer_folder(str(model.model_name_or_path))
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, revision=model.model_revision
    )
    return tokenizer


def _check_fits(run: GRPORun, tokenizer: "PreTrainedTokenizerBase") -> None:
    size = memory_to_check(run.training)
    if size is None:
        return
    plan = make_plan(
        prompt_lengths(run.rows, tokenizer),
        config=load_configuration(run.model),
        training=run.training,
        model=run.model,
        devices=run.training.world_size,
        zero=zero_stage(run.training),
    )
    check_fits(plan, run.training, size)


def _suite_summary(suites: Suites, rows: list[Record]) -> str:
    counts = [len(suites.neighbours(Path(row["database"]), row["gold_sql"])) for row in rows]
    without = counts.count(0)
    mean = sum(counts) / max(1, len(rows) - without)
    return (
        f"{suites.folder}: {mean:.1f} neighbours for each row; "
        f"{without} of {len(rows)} rows have no suite and are judged on their own database alone"
    )


def _resume(
    options: Options, training: "GRPOConfig", model: "ModelConfig", rows: list[Record]
) -> tuple[Record, Path | None]:
    """The record of the run, and the checkpoint that it resumes from."""
    databases = {row["database"] for row in rows}
    record = describe(options, training, model, data=options.train_file, databases=databases)
    checkpoint = resume_from(training) if options.resume else None
    if checkpoint:
        check_same_run(record, output_folder(training))
    return record, checkpoint


def _without_long_prompts(run: GRPORun, tokenizer: "PreTrainedTokenizerBase") -> GRPORun:
    """Leave out the rows of both files whose prompts are too long."""
    limit = prompt_limit(run.options.max_prompt_length, run.training)
    if not limit:
        return run
    rows = _short_rows(limit, run.rows, tokenizer, run.options.train_file)
    validation_file = run.options.validation_file
    if not validation_file:
        return replace(run, rows=rows)
    short = _short_rows(limit, run.validation_rows, tokenizer, validation_file)
    return replace(run, rows=rows, validation_rows=short)


def _short_rows(
    limit: int, rows: list[Record], tokenizer: "PreTrainedTokenizerBase", file: Path
) -> list[Record]:
    from accelerate import PartialState

    short = rows_within(limit, rows, tokenizer)
    PartialState().print(f"{file}: left out {len(rows) - len(short)} prompts over {limit} tokens")
    return short


def _open_folder(run: GRPORun) -> None:
    """Start wandb, write `run.json` and set aside rollouts of steps that will be made again."""
    moved = rewind(run.folder / "rollouts", step_of(run.checkpoint) if run.checkpoint else 0)
    start_wandb(run.record, run.training, resumes=run.checkpoint is not None)
    write_record({**run.record, "rows": len(run.rows)}, run.folder)
    if run.checkpoint or moved:
        start = run.checkpoint or "the start"
        print(f"resuming from {start}; {moved} later rollouts moved to rollouts/abandoned")


def _make_trainer(
    run: GRPORun, tokenizer: "PreTrainedTokenizerBase", **trainer_arguments: Any
) -> "ExecutionGRPOTrainer":
    from accelerate import PartialState
    from datasets import Dataset

    options, training = run.options, run.training
    with vllm_left_out(when=not training.use_vllm):
        from rl.trainer import ExecutionGRPOTrainer
    score_labelled_positions_only()
    if options.vllm_eager and training.vllm_mode == "colocate":
        start_vllm_with(compilation_config=QUICK_START)
    if options.constrain != "off" and training.use_vllm:
        from rl.constraint import PROCESSOR

        start_vllm_with(logits_processors=[PROCESSOR])
    trainer = ExecutionGRPOTrainer(
        judge=run.judge,
        match=options.match,
        rows=run.rows,
        reward_names=options.rewards,
        rollouts=RolloutLog(run.folder / "rollouts", PartialState().process_index),
        alarms=make_alarms(options.alarms),
        zero_variance_filter=_make_filter(run) if options.skip_zero_variance else None,
        validation=Validation(
            rows=run.validation_rows,
            match=options.match,
            judge=run.judge.verdicts,
            file=run.folder / "samples.jsonl",
            samples=options.validation_samples,
        ),
        sync_tolerance=options.sync_tolerance,
        sync_timeout=options.sync_timeout,
        constrained_rows=[*run.rows, *run.validation_rows] if options.constrain != "off" else [],
        **_model_arguments(training, run.model),
        processing_class=tokenizer,
        reward_funcs=make_rewards(
            options.rewards,
            match=options.match,
            judge=run.judge,
            max_completion_length=training.max_completion_length or 0,
        ),
        args=training,
        train_dataset=Dataset.from_list(run.rows),
        eval_dataset=Dataset.from_list(run.validation_rows) if run.validation_rows else None,
        **trainer_arguments,
    )
    if run.model.load_in_4bit or run.model.load_in_8bit:
        keep_precise(trainer.model)
    if recomputes(training):
        recompute_cheap_results(cast("Module", trainer.model))
    if options.seconds:
        follow_clock(trainer, options.seconds)
    return trainer


def _make_filter(run: GRPORun) -> ZeroVarianceFilter:
    """The filter with what pass rates and earlier rollouts tell, the same on every process."""
    from accelerate.utils import broadcast_object_list

    row_filter = ZeroVarianceFilter(
        ids=[row["id"] for row in run.rows],
        groups=groups_per_update(run.training),
        seed=run.training.seed,
    )
    row_filter.record_pass_rates(run.pass_rates)
    (steps,) = broadcast_object_list([groups_by_step(run.folder / "rollouts")])
    for step, variance in steps:
        row_filter.record(step, list(variance), list(variance.values()))
    return row_filter


def _model_arguments(training: "GRPOConfig", model: "ModelConfig") -> dict[str, Any]:
    """The trainer's arguments for the model: its name, or an adapter on its base model."""
    from transformers import AutoModelForCausalLM
    from trl import get_peft_config, get_quantization_config

    quantization = get_quantization_config(model)
    given = cast(dict[str, Any], training.model_init_kwargs or {})  # the parser has read its JSON
    loading = {
        "revision": model.model_revision,
        "attn_implementation": model.attn_implementation,
        "dtype": model.dtype,
        **given,
    }
    base = base_of(str(model.model_name_or_path))
    if base is None:
        training.model_init_kwargs = loading  # where the trainer looks for them
        return {
            "model": model.model_name_or_path,
            "peft_config": get_peft_config(model),
            "quantization_config": quantization,
        }
    training.model_init_kwargs = None
    loaded = AutoModelForCausalLM.from_pretrained(
        base,
        quantization_config=quantization,
        trust_remote_code=training.trust_remote_code,
        **loading,
    )
    checkpointing = training.gradient_checkpointing
    return {"model": with_adapter(loaded, model, gradient_checkpointing=checkpointing)}


if __name__ == "__main__":
    run_program(main)
