"""What training and sampling reach on this machine: one table in at most 8 minutes on one H100.

    python scripts/bench/gpu.py --benchmark spider --root SPIDER --split train --json gpu.json

Nothing is downloaded: the models have the sizes of SmolLM2-135M, Qwen2.5-0.5B and Qwen2.5-1.5B and
random weights. Prompts, SQL and databases are those of the benchmark.

    sft        speed, share of the GPU's peak, time and memory beside the plan's: for each size,
               packed and not, with each attention that is there, and TRL's trainer beside ours
    grpo       seconds of a step of the 0.5B model by part, with vLLM beside the trainer
    generate   inference/generate.py beside vLLM's own throughput on the same prompts, 0.5B

Each part is a process of its own, which is stopped at its time limit; what it has measured until
then is kept. `--device cpu` makes all parts in miniature, to show that they run.
"""

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

from scripts.bench import gpu_parts
from scripts.bench.gpu_parts import MINIATURE, ON_GPU, Inputs, write_inputs
from slmsql.cli.config import parse
from slmsql.cli.options import SourceOptions
from slmsql.errors import InputError, run_program
from slmsql.files import Record, read_jsonl, write_json

PARTS = {"sft": gpu_parts.sft, "grpo": gpu_parts.grpo, "generate": gpu_parts.generate}
TIME_LIMITS = {"sft": 200, "grpo": 130, "generate": 130}  # seconds; 20 are left for the inputs


@dataclass(kw_only=True)
class Options:
    source: SourceOptions
    output: Path | None = field(
        default=None, metadata={"help": "folder of models, rows and logs; default: a temporary one"}
    )
    device: Literal["gpu", "cpu"] = field(default="gpu", metadata={"help": "cpu: in miniature"})
    only: list[str] = field(default_factory=list, metadata={"help": f"of {', '.join(PARTS)}"})
    models: list[str] = field(
        default_factory=list, metadata={"help": f"of {', '.join(ON_GPU.models)}; default: all"}
    )
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if unknown := set(self.only) - set(PARTS):
            raise ValueError(f"--only {' '.join(sorted(unknown))} is unknown")
        if unknown := set(self.models) - set(ON_GPU.models):
            raise ValueError(f"--models {' '.join(sorted(unknown))} is unknown")


def main() -> None:
    options = parse(Options, about=__doc__)
    folder = options.output or Path(mkdtemp(prefix="gpu-"))
    size = MINIATURE if options.device == "cpu" else ON_GPU
    if options.models:
        size = replace(size, models=tuple(options.models))
    inputs = write_inputs(options.source, folder, size, on_cpu=options.device == "cpu")
    figures: list[Record] = []
    failed = []
    for name in options.only or PARTS:
        print(f"{name} ...", flush=True)
        measured, fault = run_part(name, inputs)
        figures += measured
        if fault:
            failed.append(f"{name}: {fault}")
    print(table(figures))
    if options.json:
        write_json(options.json, figures)
    if failed:
        raise InputError(f"{'; '.join(failed)}; the logs are in {folder}")


def run_part(name: str, inputs: Inputs) -> tuple[list[Record], str]:
    """The figures of a part, and what went wrong; an empty text if nothing did."""
    file, log = inputs.folder / f"{name}.figures.jsonl", inputs.folder / f"{name}.log"
    file.unlink(missing_ok=True)
    if inputs.on_cpu:  # all in one process: the start of each takes longer than its work
        PARTS[name](inputs, file)
        return list(read_jsonl(file)), ""
    process = get_context("spawn").Process(target=_run_part, args=(name, inputs, file, log))
    process.start()
    process.join(TIME_LIMITS[name])
    fault = "" if process.exitcode == 0 else f"ended with {process.exitcode}"
    if process.exitcode is None:
        assert process.pid is not None
        os.killpg(process.pid, signal.SIGKILL)  # vLLM's processes, too
        process.join()
        fault = f"not finished after {TIME_LIMITS[name]} s"
    return (list(read_jsonl(file)) if file.exists() else []), fault


def _run_part(name: str, inputs: Inputs, file: Path, log: Path) -> None:
    os.setsid()
    with open(log, "w", encoding="utf-8") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
        PARTS[name](inputs, file)
        sys.stdout.flush()


def table(figures: Sequence[Record]) -> str:
    """One line for each case: its part, its name, and its figures."""
    lines = []
    for figure in figures:
        values = {
            name: value for name, value in figure.items() if name not in ("part", "case", "device")
        }
        shown = "  ".join(f"{name} {_text(value)}" for name, value in values.items())
        lines.append(f"{figure['part']:<9} {figure['case']:<42} {shown}")
    return "\n".join(lines)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return str(value)


if __name__ == "__main__":
    run_program(main)
