"""Supervised fine-tuning on prompt/completion rows.

    accelerate launch --config_file configs/accelerate/one.yaml sft/train.py \\
        --config configs/sft/NAME.yaml

The loss is on the completion alone, its end token included. Rows over `--max_length` tokens are
dropped and counted, not cut. The same command again resumes from the last complete checkpoint.

With `--validation_file` each evaluation also measures execution accuracy, and
`--metric_for_best_model ex_greedy --load_best_model_at_end` keeps the best checkpoint.
"""

import os
from collections.abc import Sequence, Sized
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from sft.options import Options
from slmsql.cli.config import parse_with_trainer
from slmsql.errors import InputError, run_program
from slmsql.training.attention import choose_attention
from slmsql.training.checkpoints import output_folder, resume_from, train_from
from slmsql.training.clock import check_schedule, follow_clock
from slmsql.training.extension_locks import check_extension_locks
from slmsql.training.model_check import check_named_model, load_configuration
from slmsql.training.model_options import check_precision
from slmsql.training.output_layer import score_labelled_positions_only
from slmsql.training.publish import finish
from slmsql.training.recomputation import recompute_cheap_results, recomputes
from slmsql.training.rows import count_sft_rows, read_grpo_rows
from slmsql.training.run_record import check_same_run, describe, write_record
from slmsql.training.tracking import start_wandb, track

if TYPE_CHECKING:
    from trl import ModelConfig, SFTConfig, SFTTrainer


def main() -> None:
    options, (training, model) = parse_with_trainer(
        Options,
        ["trl:SFTConfig", "trl:ModelConfig"],
        about=__doc__,
        check_first=_check_first,
    )
    train(options, training, model)


def _check_first(options: Options, words: Sequence[str]) -> list[str]:
    """Find bad rows and a missing model before TRL is imported; returns more words for TRL."""
    for path in filter(None, (options.data, options.eval_data)):
        count_sft_rows(path)
    check_named_model(words)
    return options.planning.implied()


def train(options: Options, training: "SFTConfig", model: "ModelConfig") -> None:
    """Check everything that can be checked, then load, train and save."""
    from sft.plan_report import show_plan

    check(options, training, model)
    check_extension_locks()
    record = describe(options, training, model, data=options.data)
    if options.planning.plan:
        show_plan(options, training, model)
        return
    output = output_folder(training)
    checkpoint = resume_from(training)
    if checkpoint:
        check_same_run(record, output)
    is_published, training.push_to_hub = training.push_to_hub, False  # once, at the end
    trainer = make_trainer(options, training, model)
    if trainer.is_world_process_zero():
        start_wandb(record, training, resumes=checkpoint is not None)
        write_record(record, output)
    track(trainer, record, options.data)
    train_from(checkpoint, trainer)
    rows = len(cast(Sized, trainer.train_dataset))
    finish(trainer, record, method="sft", rows=rows, is_published=is_published)


def check(options: Options, training: "SFTConfig", model: "ModelConfig") -> None:
    """Find mistakes before weights are loaded or a file is written.

    Raises:
        InputError: with what is wrong.
    """
    from sft.models import check_packing

    if int(os.environ.get("WORLD_SIZE", "1")) != training.world_size:
        raise InputError("several processes were started, but on the CPU they need --use_cpu true")
    if not options.planning.plan:  # which may be for another machine
        choose_attention(training, model)
        check_precision(training, model)
    check_schedule(options.seconds, training)
    if training.eval_strategy == "no" and (options.validation_file or options.eval_data):
        raise InputError("there is data for evaluations but no --eval_strategy steps|epoch")
    if options.validation_vllm and find_spec("vllm") is None:
        raise InputError("--validation_vllm needs vLLM: pip install -e .[vllm], or leave it out")
    if options.validation_file:
        read_grpo_rows(options.validation_file)
    config = load_configuration(model)
    if training.packing or training.padding_free:
        check_packing(config)


def make_trainer(options: Options, training: "SFTConfig", model: "ModelConfig") -> "SFTTrainer":
    """Encode the data, load the model and make the trainer that validates it."""
    from trl import SFTTrainer

    from sft.examples import prepare_both
    from sft.models import lay_rows_side_by_side, load_encoder, load_model
    from sft.plan_report import check_fits
    from sft.validate import add_validation, make_validation
    from slmsql.training.adapters import keep_precise

    score_labelled_positions_only()
    encoder = load_encoder(model, training)
    validation = make_validation(options, training)
    examples, held_out = prepare_both(options, encoder, training)
    if not options.planning.ignore_plan:
        check_fits(examples, training, model)
    loaded, adapter = load_model(model, training, options.bnb_4bit_compute_dtype)
    lay_rows_side_by_side(training, loaded)
    if recomputes(training):
        recompute_cheap_results(loaded)
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
    if options.seconds:
        follow_clock(trainer, options.seconds)
    if validation:
        add_validation(trainer, validation, options)
    return trainer


if __name__ == "__main__":
    run_program(main)
