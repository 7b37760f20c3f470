"""Supervised fine-tuning on prompt/completion rows.

    accelerate launch --config_file configs/accelerate/one.yaml sft/train.py \\
        --config configs/sft/NAME.yaml

Loss is on the completion alone, its end token included. Rows over `--max_length` tokens are dropped
and counted, not cut. The same command again goes on from the last complete checkpoint. With
`--questions` the model is scored by execution at each evaluation, and `--metric_for_best_model
eval_execution_accuracy --load_best_model_at_end` keeps the best checkpoint.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sft.checkpoints import check_can_resume, is_full_disk, latest_complete
from sft.plan import GPUS, SHARE
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import InputError, run_program
from slmsql.files import Record, write_text
from slmsql.match import Match
from slmsql.training.shutdown import end_together

if TYPE_CHECKING:
    from trl import ModelConfig, SFTConfig, SFTTrainer


@dataclass
class Options:
    """What is ours beside TRL's SFTConfig and ModelConfig."""

    data: Path = field(metadata={"help": "rows to train on, JSONL from scripts/prepare_*.py"})
    eval_data: Path | None = field(default=None, metadata={"help": "rows for the eval loss"})
    eval_rows: int = field(
        default=0, metadata={"help": "hold out so many rows of --data for the eval loss"}
    )
    questions: Path | None = field(
        default=None, metadata={"help": "GRPO rows to score by execution at each evaluation"}
    )
    question_count: int = field(default=64, metadata={"help": "how many of them; 0: all"})
    answer_tokens: int = field(default=512, metadata={"help": "longest scored answer"})
    match: Match = field(default=Match.BIRD, metadata={"help": "when a result is correct"})
    plan: bool = field(default=False, metadata={"help": "print what the run will take, and end"})
    plan_gpu: str = field(default="H100", metadata={"help": f"one of {', '.join(GPUS)}"})
    plan_gpus: int = field(default=1, metadata={"help": "how many of them"})
    plan_zero: int = field(default=0, metadata={"help": "DeepSpeed's ZeRO stage"})
    plan_share: float = field(default=SHARE, metadata={"help": "of the GPU's peak, for the time"})

    def __post_init__(self) -> None:
        for path in (self.data, self.eval_data, self.questions):
            if path is not None and not path.is_file():
                raise ValueError(f"no file {path}")
        if self.plan_gpu not in GPUS:
            raise ValueError(f"--plan_gpu {self.plan_gpu} is unknown; one of {', '.join(GPUS)}")
        if self.eval_data and self.eval_rows:
            raise ValueError("give --eval_data or --eval_rows, not both")
        if self.questions and not (self.eval_data or self.eval_rows):
            raise ValueError(
                "--questions are scored at evaluations: give --eval_data or --eval_rows"
            )


def main() -> None:
    options, (training, model) = parse_with_trainer(
        Options, ["trl:SFTConfig", "trl:ModelConfig"], about=__doc__
    )
    train(options, training, model)


def train(options: Options, training: "SFTConfig", model: "ModelConfig") -> None:
    """Check everything that can be checked, then load, train and save."""
    from sft.plan_report import show_plan
    from sft.record import check_same_run, describe, write_record

    check(options, training, model)
    record = describe(options, training, model)
    if options.plan:
        show_plan(options, training, model)
        return
    output = Path(training.output_dir)
    start = resume_from(training)
    if start:
        check_same_run(record, output)
    is_pushed, training.push_to_hub = training.push_to_hub, False  # at the end, with attempts
    trainer = make_trainer(options, training, model)
    if trainer.is_world_process_zero():
        write_record(record, output)
    fit(trainer, start)
    trainer.save_model()
    trainer.save_state()  # the log history, which scripts/report.py plots
    end_together(trainer.accelerator)  # the others end here; a push may take longer than they wait
    if trainer.is_world_process_zero():
        finish(trainer, record, training, is_pushed=is_pushed)


def finish(
    trainer: "SFTTrainer", record: Record, training: "SFTConfig", *, is_pushed: bool
) -> None:
    """Write the model card, and push where asked to."""
    from sft.card import model_card
    from sft.publish import publish

    output = Path(training.output_dir)
    rows = len(trainer.train_dataset)
    write_text(output / "README.md", model_card(record, trainer.state.log_history, rows))
    if is_pushed:
        publish(
            output,
            name=training.hub_model_id or output.name,
            private=bool(training.hub_private_repo),
            token=training.hub_token,
        )


def check(options: Options, training: "SFTConfig", model: "ModelConfig") -> None:
    """Everything that would go wrong later, before weights are loaded or a file is written."""
    from sft.models import check_model, check_packing
    from sft.rows import count_rows

    if int(os.environ.get("WORLD_SIZE", "1")) != training.world_size:
        raise InputError("several processes were started, but on the CPU they need --use_cpu true")
    if training.eval_strategy == "no" and (options.questions or options.eval_data):
        raise InputError("there is data for evaluations but no --eval_strategy steps|epoch")
    for path in filter(None, (options.data, options.eval_data)):
        count_rows(path)
    config = check_model(model)
    if training.packing or training.padding_free:
        check_packing(config)


def resume_from(training: "SFTConfig") -> Path | None:
    """The checkpoint to go on from: the one named, else the last complete one of the output."""
    if training.resume_from_checkpoint:
        check_can_resume(Path(training.resume_from_checkpoint))
        return Path(training.resume_from_checkpoint)
    found = latest_complete(Path(training.output_dir))
    if found and training.save_only_model:
        raise InputError(f"{found} has weights only, from which a run cannot go on; remove it")
    return found


def make_trainer(options: Options, training: "SFTConfig", model: "ModelConfig") -> "SFTTrainer":
    """Data encoded, model loaded, callbacks attached."""
    from trl import SFTTrainer

    from sft.examples import prepare_both
    from sft.hooks import attach
    from sft.models import keep_precise, load_encoder, load_model

    encoder = load_encoder(model, training)
    scorer = make_scorer(options, training)
    examples, held_out = prepare_both(options, encoder, training)
    loaded, adapter = load_model(model, training)
    keep = training.save_total_limit
    training.save_total_limit = None  # ours removes old ones only when the new one is complete
    trainer = SFTTrainer(
        model=loaded,
        args=training,
        train_dataset=examples,
        eval_dataset=held_out,
        processing_class=encoder.tokenizer,
        peft_config=adapter,
    )
    if model.load_in_4bit or model.load_in_8bit:
        keep_precise(trainer.model)
    attach(trainer, keep=keep, scorer=scorer)
    return trainer


def make_scorer(options: Options, training: "SFTConfig") -> Any:
    """The scorer of `--questions`, or None."""
    from sft.scoring import Scorer, read_scored

    if options.questions is None:
        return None
    return Scorer(
        read_scored(options.questions, options.question_count),
        match=options.match,
        tokens=options.answer_tokens,
        batch=training.per_device_eval_batch_size,
        file=Path(training.output_dir) / "samples.jsonl",
    )


def fit(trainer: "SFTTrainer", start: Path | None) -> None:
    """Train; a full disk is the user's to put right, and the last checkpoint is still there.

    Raises:
        InputError: the disk is full.
    """
    try:
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    except Exception as error:  # torch, safetensors and the system name a full disk differently
        if not is_full_disk(error):
            raise
        output = Path(str(trainer.args.output_dir))
        raise InputError(
            f"the disk of {output} is full; the last complete checkpoint is "
            f"{latest_complete(output)}: make room and give the same command again"
        ) from error


if __name__ == "__main__":
    run_program(main)
