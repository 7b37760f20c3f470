"""Execution accuracy at each evaluation: the model in training answers validation rows greedily."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sft.encoding import prompt_text
from sft.options import Options
from sft.vllm_answers import VLLMAnswers
from slmsql.execution import Executor, Pair, Verdict
from slmsql.files import Record
from slmsql.match import Match
from slmsql.prompt.generation import plain_generation
from slmsql.training.checkpoints import output_folder
from slmsql.training.rows import read_grpo_rows, runnable_rows
from slmsql.training.validation import Answer, AnsweredRow, Validation

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments
    from trl import SFTConfig, SFTTrainer


def make_validation(options: Options, training: "SFTConfig") -> Validation | None:
    """The validation on `--validation_file`; None without one.

    Raises:
        FileNotFoundError: a database is missing.
        InputError: a row is malformed, or no gold query runs.
    """
    if options.validation_file is None:
        return None
    rows = read_grpo_rows(options.validation_file)[: options.validation_rows or None]
    with Executor() as executor:
        runnable = runnable_rows(rows, executor, options.match)
    if training.process_index == 0:
        print(f"{options.validation_file}: {runnable.summary()}")
    file = output_folder(training) / "samples.jsonl"
    return Validation(runnable.rows, options.match, judge, file)


def judge(pairs: Sequence[Pair], match: Match) -> list[Verdict]:
    """Judge with workers that end afterwards: training does not need them."""
    with Executor() as executor:
        return executor.judge(pairs, match=match)


def add_validation(trainer: "SFTTrainer", validation: Validation, options: Options) -> None:
    """Validate at each evaluation and add the metrics to the evaluation's own."""
    from transformers import TrainerCallback

    answer = _answers(trainer, validation, options)
    at_once = options.validation_vllm > 0

    class ValidationCallback(TrainerCallback):
        def on_evaluate(
            self,
            args: "TrainingArguments",
            state: "TrainerState",
            control: "TrainerControl",
            **kwargs: Any,
        ) -> None:
            metrics = validation.run(trainer, answer, at_once=at_once)
            kwargs["metrics"].update(metrics)  # of which the best checkpoint is chosen
            trainer.log(metrics)

    trainer.add_callback(ValidationCallback())


def _answers(trainer: "SFTTrainer", validation: Validation, options: Options) -> Answer:
    """What answers validation rows: vLLM or transformers."""
    tokens, memory = options.validation_tokens, options.validation_vllm
    if memory:
        return VLLMAnswers(trainer, validation.rows, tokens=tokens, memory=memory)

    def answer(rows: Sequence[Record]) -> list[AnsweredRow]:
        texts = generate(trainer, [row["prompt"] for row in rows], tokens)
        return [AnsweredRow(row, text) for row, text in zip(rows, texts, strict=True)]

    return answer


def generate(
    trainer: "SFTTrainer", prompts: Sequence[list[dict[str, str]]], tokens: int
) -> list[str]:
    """Answer one batch of prompts greedily, whatever the model's `generation_config.json` says.

    Under ZeRO-3 the weights are gathered meanwhile.
    """
    import torch
    from trl.models import unwrap_model_for_generation

    tokenizer: Any = trainer.processing_class
    inputs = tokenizer(
        [prompt_text(tokenizer, prompt) for prompt in prompts],
        return_tensors="pt",
        padding=True,
        padding_side="left",
        add_special_tokens=False,
    )
    inputs.pop("token_type_ids", None)
    with (
        unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model,
        plain_generation(model),
        torch.no_grad(),
        trainer.compute_loss_context_manager(),
    ):
        was_training = model.training
        model.eval()
        inputs = inputs.to(model.device)
        output = model.generate(**inputs, max_new_tokens=tokens, do_sample=False, use_cache=True)
        model.train(was_training)
    completions = output[:, inputs["input_ids"].shape[1] :]
    texts: list[str] = tokenizer.batch_decode(completions, skip_special_tokens=True)
    return texts
