"""Six short trainings that show whether this installation trains on one GPU, in about 8 minutes.

    python scripts/bench/gpu_smoke.py --model Qwen/Qwen2.5-Coder-0.5B-Instruct

Each prints one line: its seconds and the last figures that it logged.

    plain         GRPO; transformers samples
    colocate      GRPO with vLLM on the same GPU, which sleeps during the update, and validation
    lora          GRPO of an adapter, merged into vLLM's weights before each generation
    lora_4bit     GRPO of an adapter on 4-bit weights, merged into vLLM's
    zero3         GRPO under ZeRO-3 on one process, with vLLM on the same GPU
    sft_packing   SFT of an adapter on 4-bit weights, with packed rows

With vLLM, `ratio` is how probable the trainer finds the sampled tokens, divided by how probable
vLLM found them. It is near 1 if vLLM has the weights that are trained; a run fails outside
`RATIOS`. `--device cpu` makes the four runs that need no vLLM, for a tiny model.
"""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import yaml

from slmsql.cli.config import parse
from slmsql.cli.programs import variables
from slmsql.errors import InputError, run_program
from slmsql.execution import create_database
from slmsql.files import Record, read_json, write_jsonl, write_text
from slmsql.prompt.build import Layout, PromptSettings, build_prompt, target
from slmsql.questions.question import Question
from slmsql.rows.formats import grpo_row

ROOT = Path(__file__).parent.parent.parent
SCHEMA = """CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INTEGER);
INSERT INTO singer VALUES (1, 'Ada', 30), (2, 'Bo', 41), (3, 'Cy', 52);"""
TIME_LIMITS = {"gpu": 240, "cpu": 900}  # seconds for one run
RATIOS = (0.8, 1.25)
RATIO = "sampling/importance_sampling_ratio/mean"
SHOWN = {  # names in a line: names in the log
    "loss": "loss",
    "reward": "reward",
    "ratio": RATIO,
    "ex_greedy": "eval_ex_greedy",
}

COMMON: Record = {
    "max_steps": 2,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "attn_implementation": "auto",
    "learning_rate": 1e-5,
}
GRPO: Record = {
    "num_generations": 4,
    "per_device_train_batch_size": 8,
    "max_completion_length": 64,
    "workers": 2,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "num_generations_eval": 1,
    "validation_samples": 2,
}
VLLM: Record = {
    "use_vllm": True,
    "vllm_mode": "colocate",
    "vllm_gpu_memory_utilization": 0.3,
    "vllm_max_model_length": 1024,
    "vllm_enable_sleep_mode": True,
    "vllm_importance_sampling_correction": True,
}
LORA: Record = {"use_peft": True, "lora_r": 8, "lora_target_modules": "all-linear"}
FOUR_BIT: Record = {**LORA, "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
WHOLE_ON_GPU: Record = {"bf16": True, "dtype": "float32"}
ADAPTER_ON_GPU: Record = {"bf16": True, "dtype": "bfloat16"}
ON_CPU: Record = {"use_cpu": True, "bf16": False, "dtype": "float32"}


@dataclass(frozen=True)
class SmokeRun:
    """One training.

    Args:
        settings: its options on both devices.
        gpu: further ones on a GPU.
        needs_gpu: it shows nothing on a CPU.
        launch: the config of accelerate on a GPU, in configs/accelerate; none without one.
    """

    name: str
    settings: Record
    gpu: Record
    program: str = "rl/grpo.py"
    needs_gpu: bool = False
    launch: str = ""
    launch_on_cpu: str = ""


RUNS = (
    SmokeRun("plain", GRPO, WHOLE_ON_GPU),
    SmokeRun("colocate", GRPO, {**VLLM, **WHOLE_ON_GPU}, needs_gpu=True),
    SmokeRun("lora", {**GRPO, **LORA}, {**VLLM, **ADAPTER_ON_GPU}),
    SmokeRun("lora_4bit", {**GRPO, **FOUR_BIT}, {**VLLM, **ADAPTER_ON_GPU}, needs_gpu=True),
    SmokeRun("zero3", GRPO, {**VLLM, **WHOLE_ON_GPU}, launch="zero3", launch_on_cpu="cpu_zero3"),
    SmokeRun(
        "sft_packing",
        {**FOUR_BIT, "packing": True, "max_length": 512, "per_device_train_batch_size": 2},
        ADAPTER_ON_GPU,
        program="sft/train.py",
    ),
)


@dataclass
class Options:
    model: str = field(metadata={"help": "model folder or name on the hub, up to about 3B"})
    output: Path | None = field(
        default=None, metadata={"help": "folder of the runs; default: a temporary one"}
    )
    device: Literal["gpu", "cpu"] = field(default="gpu", metadata={"help": "where to train"})
    only: list[str] = field(
        default_factory=list, metadata={"help": f"of {', '.join(run.name for run in RUNS)}"}
    )

    def __post_init__(self) -> None:
        if unknown := set(self.only) - {run.name for run in RUNS}:
            raise ValueError(f"--only {' '.join(sorted(unknown))} is unknown")


def main() -> None:
    options = parse(Options, about=__doc__)
    folder = options.output or Path(mkdtemp(prefix="gpu_smoke-"))
    write_rows(folder)
    failed = [
        run.name
        for run in RUNS
        if (not options.only or run.name in options.only) and not passes(run, options, folder)
    ]
    if failed:
        raise InputError(f"failed: {', '.join(failed)}; the logs are in {folder}")


def write_rows(folder: Path) -> None:
    """Write rows for both methods, and others to validate on, over one small database."""
    database = folder / "singer" / "singer.sqlite"
    create_database(database, SCHEMA)
    rows: dict[str, list[Record]] = {"train": [], "held_out": [], "sft": []}
    for age in range(20, 60):
        sql = f"SELECT name FROM singer WHERE age > {age}"
        text = f"Which singers are over {age}?"
        question = Question(f"q{age}", text, "singer", database, gold_sql=sql)
        row = grpo_row(question, build_prompt(question, PromptSettings()).messages, Layout.THINK)
        rows["held_out" if age % 10 == 0 else "train"].append(row)
        answer = target("The age is in the table singer.", sql, Layout.THINK)
        completion = [{"role": "assistant", "content": answer}]
        rows["sft"].append({"prompt": row["prompt"], "completion": completion})
    for name, content in rows.items():
        write_jsonl(folder / f"{name}.jsonl", content)


def passes(run: SmokeRun, options: Options, folder: Path) -> bool:
    """Train, print the line, and tell whether the run passes."""
    if options.device == "cpu" and run.needs_gpu:
        print(f"skip {run.name}: it needs a GPU", flush=True)
        return True
    start = time.monotonic()
    fault = train(run, options, folder)
    seconds = time.monotonic() - start
    state = folder / run.name / "trainer_state.json"
    figures = last_figures(read_json(state)["log_history"]) if not fault else {}
    fault = fault or fault_of(run, options, figures)
    shown = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
    verdict = "FAIL" if fault else "ok"
    print(f"{verdict:4} {run.name:12} {seconds:4.0f} s  {shown}{fault}", flush=True)
    return not fault


def train(run: SmokeRun, options: Options, folder: Path) -> str:
    """Run the training program; returns its last line where it fails, else an empty text."""
    config, log = folder / f"{run.name}.yaml", folder / f"{run.name}.log"
    write_text(config, yaml.safe_dump(settings_of(run, options, folder)))
    limit = TIME_LIMITS[options.device]
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [*command(run, options), "--config", str(config)],
            stdout=file,
            stderr=file,
            env={**variables(), "PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # vLLM's processes too
            return f"  not finished after {limit} s"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return "" if status == 0 else f"  {lines[-1] if lines else 'no output'}"


def command(run: SmokeRun, options: Options) -> list[str]:
    """The words that start the program of a run, through accelerate where it needs that."""
    words = [sys.executable]
    if run.launch:
        name = run.launch_on_cpu if options.device == "cpu" else run.launch
        words += ["-m", "accelerate.commands.launch", "--num_processes", "1", "--config_file"]
        words += [str(ROOT / "configs" / "accelerate" / f"{name}.yaml")]
    return [*words, str(ROOT / run.program)]


def settings_of(run: SmokeRun, options: Options, folder: Path) -> Record:
    files = {"train_file": "train", "validation_file": "held_out"}
    if run.program == "sft/train.py":
        files = {"data": "sft"}
    return {
        **COMMON,
        **run.settings,
        **(ON_CPU if options.device == "cpu" else run.gpu),
        **{name: str(folder / f"{file}.jsonl") for name, file in files.items()},
        "model_name_or_path": options.model,
        "output_dir": str(folder / run.name),
    }


def last_figures(history: list[Record]) -> dict[str, float]:
    """The last value of each shown metric."""
    last: Record = {}
    for entry in history:
        last |= entry
    return {name: float(last[metric]) for name, metric in SHOWN.items() if metric in last}


def fault_of(run: SmokeRun, options: Options, figures: Mapping[str, Any]) -> str:
    """What is wrong with the figures of a run; an empty text if nothing is."""
    if not math.isfinite(figures.get("loss", math.nan)):
        return "  no loss was logged, or it is not a number"
    has_vllm = options.device == "gpu" and "use_vllm" in run.gpu
    if has_vllm and not RATIOS[0] <= figures.get("ratio", math.nan) <= RATIOS[1]:
        return "  vLLM does not sample from the weights that are trained"
    return ""


if __name__ == "__main__":
    run_program(main)
