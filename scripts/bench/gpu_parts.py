"""The parts of scripts/bench/gpu.py: each appends its figures to a file, one line for each case."""

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.random_models import save_models
from slmsql.cli.config import as_arguments, parse_with_trainer
from slmsql.cli.options import PromptOptions, SourceOptions
from slmsql.files import Record, json_line, write_jsonl
from slmsql.prompt.build import Layout, build_prompt, read_template, target
from slmsql.questions.question import Question, database_faults
from slmsql.rows.formats import grpo_row, sft_row
from slmsql.training.attention import choose_attention
from slmsql.training.varlen import VARLEN

if TYPE_CHECKING:
    from transformers import Trainer

    from sft.plan import TrainingPlan

WARM_UP = 3  # steps that are not timed: they compile, and start workers
SETTINGS: Record = {
    "save_strategy": "no",
    "report_to": "none",
    "logging_steps": 1,
    "learning_rate": 1e-5,
    "gradient_checkpointing": False,
    "gradient_accumulation_steps": 1,
    "dtype": "float32",
}
GPU: Record = {"bf16": True}
CPU: Record = {"bf16": False, "use_cpu": True}


@dataclass(frozen=True)
class Size:
    """How much is measured, on a GPU or in miniature on a CPU."""

    models: tuple[str, ...]
    rows: int
    prompt_length: int
    """Characters of the longest prompt."""
    sft: Record
    grpo: Record
    sampled: int
    """Questions that `generate` answers."""
    n: int
    max_tokens: int
    repeats: int


ON_GPU = Size(
    models=("135M", "0.5B", "1.5B"),
    rows=800,
    prompt_length=6000,
    sft={"max_length": 2048, "per_device_train_batch_size": 8, "max_steps": 10},
    grpo={
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": 0.3,
        "vllm_max_model_length": 4096,
        "num_generations": 8,
        "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 8,
        "max_completion_length": 128,
        "max_steps": 5,
    },
    sampled=400,
    n=8,
    max_tokens=128,
    repeats=3,
)
MINIATURE = Size(
    models=("tiny",),
    rows=8,
    prompt_length=3000,
    sft={"max_length": 2048, "per_device_train_batch_size": 2, "max_steps": 4},
    grpo={
        "num_generations": 2,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "max_completion_length": 8,
        "max_steps": 2,
    },
    sampled=4,
    n=2,
    max_tokens=8,
    repeats=1,
)


@dataclass(frozen=True)
class Inputs:
    """The files that the parts read."""

    folder: Path
    source: SourceOptions
    size: Size
    models: dict[str, Path]
    on_cpu: bool

    @property
    def settings(self) -> Record:
        return {**SETTINGS, **(CPU if self.on_cpu else GPU)}

    @property
    def half_billion(self) -> Path:
        """The model of the parts that measure one size."""
        return self.models.get("0.5B") or next(iter(self.models.values()))


def write_inputs(source: SourceOptions, folder: Path, size: Size, *, on_cpu: bool) -> Inputs:
    """Write rows for both methods and the models."""
    questions = source.read_all()
    faults = database_faults(questions)
    usable = [question for question in questions if question not in faults and question.gold_sql]
    rows = list(_rows(usable, size))
    write_jsonl(folder / "sft.jsonl", [sft for sft, _ in rows])
    write_jsonl(folder / "grpo.jsonl", [grpo for _, grpo in rows])
    texts = [message["content"] for sft, _ in rows for message in sft["prompt"] + sft["completion"]]
    models = save_models(size.models, texts, folder / "models")
    return Inputs(folder, source, size, models, on_cpu)


def _rows(questions: list[Question], size: Size) -> Iterator[tuple[Record, Record]]:
    """Rows for SFT and for GRPO, evenly from all questions, without long prompts."""
    settings = PromptOptions(template="think").prompt_settings
    count = 0
    for question in questions[:: max(1, len(questions) // (2 * size.rows))]:
        prompt = build_prompt(question, settings).messages
        if count == size.rows or sum(len(m["content"]) for m in prompt) > size.prompt_length:
            continue
        count += 1
        answer = target(
            "The schema has what the question asks for.", question.gold_sql or "", Layout.THINK
        )
        layout = read_template(settings.template).layout
        yield sft_row(question, prompt, answer), grpo_row(question, prompt, layout)


def sft(inputs: Inputs, file: Path) -> None:
    """Each size: packed with each attention, not packed, and TRL's trainer on packs."""
    best = _best_attention(inputs)
    others = [name for name in (VARLEN, "sdpa") if name != best]
    for name, model in inputs.models.items():
        cases = [
            ("ours", True, best),
            # TRL does not know torch's own; without a package its users have sdpa.
            ("trl", True, "sdpa" if best == VARLEN else best),
            ("ours", False, best),
            *(("ours", True, other) for other in others),
        ]
        for program, packing, attention in cases:
            settings = {**inputs.settings, **inputs.size.sft, "packing": packing}
            settings |= {"model_name_or_path": str(model), "attn_implementation": attention}
            case = f"{name} {program} {'packed' if packing else 'padded'} {attention}"
            _append(file, {"part": "sft", "case": case, **_measure_sft(inputs, program, settings)})


def _best_attention(inputs: Inputs) -> str:
    """What `attn_implementation: auto` takes."""
    from sft.options import Options

    argv = as_arguments({**inputs.settings, "data": str(inputs.folder / "sft.jsonl")})
    _, (training, model) = parse_with_trainer(
        Options, ["trl:SFTConfig", "trl:ModelConfig"], about=None, argv=argv
    )
    choose_attention(training, model)
    return str(model.attn_implementation)


def _measure_sft(inputs: Inputs, program: str, settings: Record) -> Record:
    """Speed and memory of a training; `fault` where the GPU's memory is too small."""
    import torch

    settings = {**settings, "output_dir": str(inputs.folder / "sft")}
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        trainer, plan = _sft_trainer(inputs, program, settings)
        speed, step = _speed(trainer)
        return {"tokens_per_second": speed, **_beside_the_plan(speed, step, plan)}
    except torch.OutOfMemoryError as error:
        return {"fault": str(error).splitlines()[0]}
    finally:
        gc.collect()  # the trainer and its model refer to each other
        torch.cuda.empty_cache()


def _sft_trainer(inputs: Inputs, program: str, settings: Record) -> "tuple[Trainer, TrainingPlan]":
    """The trainer of `sft/train.py` or of `trl sft`, and our plan."""
    from datasets import load_dataset
    from trl import SFTTrainer

    from sft.options import Options
    from sft.plan_report import plan_of
    from sft.train import make_trainer

    data = str(inputs.folder / "sft.jsonl")
    options, (training, model) = parse_with_trainer(
        Options,
        ["trl:SFTConfig", "trl:ModelConfig"],
        about=None,
        # A case that does not fit the plan is measured: it shows whether the plan is right.
        argv=as_arguments({**settings, "data": data, "ignore_plan": True}),
    )
    plan = plan_of(options, training, model)
    if program == "ours":
        return make_trainer(options, training, model), plan
    training.model_init_kwargs = {
        "dtype": model.dtype,
        "attn_implementation": model.attn_implementation,
    }
    rows = load_dataset("json", data_files=data, split="train")
    trainer = SFTTrainer(
        model=str(model.model_name_or_path),
        args=training,
        train_dataset=rows.select_columns(["prompt", "completion"]),
    )
    return trainer, plan


def _speed(trainer: "Trainer") -> tuple[float, float]:
    """Train; tokens per second and seconds per step, of all steps after the warm-up."""
    from transformers import TrainerCallback

    moments = []

    class Clock(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, **named: Any) -> None:
            if tokens := named["logs"].get("num_tokens"):
                moments.append((time.perf_counter(), float(tokens)))

    trainer.add_callback(Clock())
    trainer.train()
    timed = moments[min(WARM_UP, len(moments) - 2) :]
    (start, before), (end, after) = timed[0], timed[-1]
    return (after - before) / (end - start), (end - start) / (len(timed) - 1)


def _beside_the_plan(speed: float, step: float, plan: "TrainingPlan") -> Record:
    """Time and peak memory beside the plan's, and the share of the GPU's peak.

    Nothing without a GPU, and nothing on one whose peak is not in the plan's table.
    """
    import torch

    from slmsql.training.memory import GB
    from slmsql.training.plan_options import GPUS

    if not torch.cuda.is_available():
        return {}
    device = torch.cuda.get_device_name().replace(" ", "")
    peak = next((gpu.tflops * 1e12 for name, gpu in GPUS.items() if name in device), None)
    if peak is None:
        return {"device": device}
    parameters = plan.parameters.total
    return {
        # Two operations forward and four backward for each weight; nothing is computed twice.
        "share_of_peak": 6 * parameters * speed / peak,
        "seconds_per_step": step,
        "planned_seconds": plan.work.seconds(parameters, plan.attention, peak) / plan.steps,
        "peak_gb": torch.cuda.max_memory_allocated() / GB,
        "planned_gb": plan.memory.total / GB,
        "device": device,
    }


def grpo(inputs: Inputs, file: Path) -> None:
    """Seconds of each part of a step, the mean of all steps but the first."""
    from rl.grpo import check_run, train
    from rl.options import Options
    from scripts.bench.step import mean_step, rollout_func, step_times

    settings = {
        **inputs.settings,
        **inputs.size.grpo,
        "model_name_or_path": str(inputs.half_billion),
        "train_file": str(inputs.folder / "grpo.jsonl"),
        "output_dir": str(inputs.folder / "grpo"),
        "resume": False,
    }
    options, (training, model) = parse_with_trainer(
        Options,
        ["trl:GRPOConfig", "trl:ModelConfig"],
        about=None,
        argv=as_arguments(settings),
    )
    run = check_run(options, training, model)
    train(run, rollout_func=rollout_func(run))
    case = f"{inputs.half_billion.name}, {training.generation_batch_size} completions"
    _append(file, {"part": "grpo", "case": case, **mean_step(list(step_times(run.folder)))})


def generate(inputs: Inputs, file: Path) -> None:
    """Completion tokens per second of inference/generate.py and of vLLM alone."""
    from scripts.bench import throughput
    from slmsql.cli.options import QuestionOptions
    from slmsql.sampling.options import PlanOptions, SamplerOptions

    size = inputs.size
    options = throughput.Options(
        source=QuestionOptions(**vars(inputs.source), limit=size.sampled),
        prompt=PromptOptions(template="think"),
        plan=PlanOptions(n=size.n, max_tokens=size.max_tokens),
        sampler=SamplerOptions(model=str(inputs.half_billion), max_model_len=8192),
        repeats=size.repeats,
    )
    figures = throughput.figures_of(throughput.measure(options))
    case = f"{inputs.half_billion.name}, {size.sampled} questions, n {size.n}"
    _append(file, {"part": "generate", "case": case, **figures})


def _append(file: Path, figures: Record) -> None:
    """Write a line at once: what comes later may be stopped."""
    with open(file, "a", encoding="utf-8") as output:
        output.write(json_line(figures))
