"""How fast is SFT? Ours beside TRL's own `trl sft`, on the same rows, model and settings.

    python scripts/bench/sft_speed.py --data rows.jsonl --model MODEL --json bench.json

Both are started as users start them, in turn, `--repeats` times; the best time of each counts.
Without a GPU it is processor time on one core, on which other work of the machine has little
effect. Where there is one, a 0.5B Qwen2 with random weights follows, packed and not, with its share
of the GPU's peak.
"""

import json
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.files import Record, read_jsonl, write_json, write_jsonl

ROOT = Path(__file__).parents[2]
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "4090": 165e12}  # dense 16-bit
HALF_BILLION = {  # Qwen2.5-0.5B's shape
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "vocab_size": 151_936,
    "tie_word_embeddings": True,
}


@dataclass
class Options:
    data: Path = field(metadata={"help": "training rows"})
    model: str = field(metadata={"help": "model folder or name"})
    steps: int = field(default=20, metadata={"help": "steps of each run"})
    batch: int = field(default=4, metadata={"help": "rows of a step"})
    max_length: int = field(default=2048, metadata={"help": "longer rows are in no run"})
    repeats: int = field(default=3, metadata={"help": "runs of each program"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if not self.data.is_file():
            raise ValueError(f"no file {self.data}")


def main() -> None:
    options = parse(Options, about=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, Any] = compare(options, Path(folder))
        figures |= on_gpu(options, Path(folder))
    for name, value in figures.items():
        print(f"{name:<32} {value:,.3f}")
    if options.json:
        write_json(options.json, figures)


def compare(options: Options, folder: Path) -> dict[str, float]:
    """Tokens per second of both programs."""
    (folder / "trl").mkdir()
    write_jsonl(folder / "trl" / "train.jsonl", short_rows(options))
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1"]
    ours = [*launch, str(ROOT / "sft" / "train.py"), "--data", f"{folder}/trl/train.jsonl"]
    theirs = [str(Path(sys.executable).parent / "trl"), "sft", "--dataset_name", f"{folder}/trl"]
    speeds: dict[str, list[float]] = {"ours": [], "trl": []}
    for repeat in range(options.repeats):
        for name, command in (("ours", ours), ("trl", theirs)):
            words = [*shared(options), "--output_dir", f"{folder}/{name}{repeat}"]
            speeds[name].append(tokens_per_second([*command, *words]))
            print(f"{name} {repeat + 1}: {speeds[name][-1]:,.0f} tokens/s", flush=True)
    best = {f"{name}_tokens_per_second": max(found) for name, found in speeds.items()}
    return {**best, "ratio": max(speeds["ours"]) / max(speeds["trl"])}


def short_rows(options: Options) -> list[Record]:
    """As many rows as are trained on, none of which either program drops or cuts."""
    rows = ({k: r[k] for k in ("prompt", "completion")} for r in read_jsonl(options.data))
    short = (row for row in rows if len(json.dumps(row)) < options.max_length)  # bytes > tokens
    if chosen := list(islice(short, options.steps * options.batch)):
        return chosen
    raise InputError(f"{options.data} has no row below {options.max_length} bytes")


def shared(options: Options) -> list[str]:
    """What both programs are told; nothing is saved, so that only training is timed."""
    on_cpu = peak_of_gpu() is None
    values = {
        "model_name_or_path": options.model,
        "max_steps": options.steps,
        "per_device_train_batch_size": options.batch,
        "max_length": options.max_length,
        "gradient_checkpointing": False,
        "bf16": not on_cpu,
        "use_cpu": on_cpu,
        "save_strategy": "no",
        "logging_steps": 1,
        "report_to": "none",
        "seed": 1,
    }
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def tokens_per_second(command: list[str]) -> float:
    """Run a program to its end; tokens by time from the first to the last step in its own log."""
    marks = []
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    with (
        tempfile.TemporaryFile("w+") as errors,
        Popen(command, cwd=ROOT, stdout=PIPE, stderr=errors, text=True, env=environment) as process,
    ):
        for line in process.stdout or ():
            if found := re.search(r"'num_tokens': '?([\d.e+]+)", line):
                marks.append((float(found[1]), seconds(process.pid)))
        if process.wait():
            errors.seek(0)
            raise InputError(f"{' '.join(command)}: {errors.read().strip().splitlines()[-1]}")
    (first, start), (last, end) = marks[0], marks[-1]
    return (last - first) / (end - start)


def seconds(pid: int) -> float:
    """Processor time of a program and its children; the clock's where the GPU does the work."""
    from psutil import Process

    if peak_of_gpu() is not None:
        return time.monotonic()
    family = [Process(pid), *Process(pid).children(recursive=True)]
    return float(sum(sum(one.cpu_times()[:2]) for one in family))


def on_gpu(options: Options, folder: Path) -> dict[str, float]:
    """Speed and share of peak of a 0.5B Qwen2 with random weights; nothing without a GPU."""
    peak = peak_of_gpu()
    if peak is None:
        return {}
    model, parameters = half_billion(options.model, folder / "half")
    figures = {}
    for packing in (True, False):
        words = {"model_name_or_path": model, "packing": packing, "dtype": "bfloat16"}
        words |= {"attn_implementation": "flash_attention_2"} if packing else {}
        command = [sys.executable, str(ROOT / "sft" / "train.py"), "--data", str(options.data)]
        command += [*shared(options), "--output_dir", f"{folder}/half_{packing}"]
        command += [word for name, value in words.items() for word in (f"--{name}", str(value))]
        speed = tokens_per_second(command)
        name = "packed" if packing else "unpacked"
        figures[f"half_billion_{name}_tokens_per_second"] = speed
        figures[f"half_billion_{name}_share_of_peak"] = 6 * parameters * speed / peak
    return figures


def half_billion(tokenizer: str, folder: Path) -> tuple[str, int]:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("qwen2", **HALF_BILLION))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    return str(folder), model.num_parameters()


def peak_of_gpu() -> float | None:
    """Operations per second of the GPU at hand; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    found = [peak for key, peak in PEAKS.items() if key in name]
    if not found:
        raise InputError(f"the peak of {name} is not known here; known are {', '.join(PEAKS)}")
    return found[0]


if __name__ == "__main__":
    run_program(main)
