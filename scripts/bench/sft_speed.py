"""How fast is SFT beside TRL's own `trl sft`, on the same rows, model and settings?

    python scripts/bench/sft_speed.py --data rows.jsonl --model MODEL --json bench.json

Starts both programs as users do, in turn, `--repeats` times, and compares the best run of each, in
tokens per second. Without a GPU the seconds are processor time on one core, so other work of the
machine has little effect. With a GPU the speed of a 0.5B Qwen2 with random weights follows, with
and without packing, and its share of the GPU's peak.

A good result: a ratio of at least 1. It was 1.03 on one core (docs/sft.md).
"""

import json
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from subprocess import PIPE

from scripts.bench.processes import process_tree, processor_seconds
from slmsql.cli.config import parse
from slmsql.cli.programs import start
from slmsql.errors import InputError, run_program
from slmsql.files import Record, read_jsonl, write_json, write_jsonl

PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "4090": 165e12}  # 16-bit FLOP/s, dense
HALF_BILLION = {  # Qwen2.5-0.5B's shape
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "vocab_size": 151_936,
    "tie_word_embeddings": True,
}
SFT = ["accelerate", "launch", "--num_processes", "1", "sft/train.py"]


@dataclass
class Options:
    data: Path = field(metadata={"help": "training rows"})
    model: str = field(metadata={"help": "model folder or name"})
    steps: int = field(default=20, metadata={"help": "steps of each run"})
    batch: int = field(default=4, metadata={"help": "rows of a step"})
    max_length: int = field(
        default=2048, metadata={"help": "use only rows of fewer bytes, hence of fewer tokens"}
    )
    repeats: int = field(default=3, metadata={"help": "runs of each program"})
    json: Path | None = field(default=None, metadata={"help": "file for the figures"})

    def __post_init__(self) -> None:
        if not self.data.is_file():
            raise ValueError(f"no file {self.data}")


def main() -> None:
    options = parse(Options, about=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        figures = compare(options, Path(folder)) | measure_on_gpu(options, Path(folder))
    for name, value in figures.items():
        print(f"{name:<32} {value:,.3f}")
    if options.json:
        write_json(options.json, figures)


def compare(options: Options, folder: Path) -> dict[str, float]:
    """Tokens per second of both programs."""
    write_jsonl(folder / "trl" / "train.jsonl", short_rows(options))
    commands = {
        "ours": [*SFT, "--data", f"{folder}/trl/train.jsonl"],
        "trl": ["trl", "sft", "--dataset_name", f"{folder}/trl"],
    }
    speeds: dict[str, list[float]] = {name: [] for name in commands}
    for repeat in range(options.repeats):
        for name, command in commands.items():
            words = [*shared_words(options), "--output_dir", f"{folder}/{name}{repeat}"]
            speeds[name].append(tokens_per_second([*command, *words]))
            print(f"{name} {repeat + 1}: {speeds[name][-1]:,.0f} tokens/s", flush=True)
    best = {f"{name}_tokens_per_second": max(runs) for name, runs in speeds.items()}
    return {**best, "ratio": max(speeds["ours"]) / max(speeds["trl"])}


def short_rows(options: Options) -> list[Record]:
    """As many rows as are trained on, all so short that neither program drops or cuts one."""
    rows = (
        {name: row[name] for name in ("prompt", "completion")} for row in read_jsonl(options.data)
    )
    short = (row for row in rows if len(json.dumps(row)) < options.max_length)
    if chosen := list(islice(short, options.steps * options.batch)):
        return chosen
    raise InputError(f"{options.data} has no row below {options.max_length} bytes")


def shared_words(options: Options) -> list[str]:
    """The options that both programs get. Nothing is saved, so only training is timed."""
    on_cpu = peak_of_gpu() is None
    return as_words(
        {
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
    )


def as_words(values: Mapping[str, object]) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def tokens_per_second(words: list[str]) -> float:
    """Run a program; its own log says the tokens of each step, from the first to the last."""
    progress = []
    with (
        tempfile.TemporaryFile("w+b") as errors,
        start(words, environment={"OMP_NUM_THREADS": "1"}, stdout=PIPE, stderr=errors) as process,
    ):
        for line in process.stdout or ():
            if match := re.search(r"'num_tokens': '?([\d.e+]+)", line.decode()):
                progress.append((float(match[1]), seconds(process.pid)))
        if process.wait():
            errors.seek(0)
            last_line = errors.read().decode().strip().splitlines()[-1]
            raise InputError(f"{' '.join(words)}: {last_line}")
    (first_tokens, began), (last_tokens, ended) = progress[0], progress[-1]
    return (last_tokens - first_tokens) / (ended - began)


def seconds(pid: int) -> float:
    """Processor time of a program and its children; on a GPU, which does the work, clock time."""
    if peak_of_gpu() is not None:
        return time.monotonic()
    return sum(map(processor_seconds, process_tree(pid)))


def measure_on_gpu(options: Options, folder: Path) -> dict[str, float]:
    """Speed and share of peak of a 0.5B Qwen2 with random weights; nothing without a GPU."""
    peak = peak_of_gpu()
    if peak is None:
        return {}
    parameters = save_half_billion(options.model, folder / "half")
    figures = {}
    for name, packing in (
        ("packed", {"packing": True, "attn_implementation": "flash_attention_2"}),
        ("unpacked", {"packing": False}),
    ):
        values = {"model_name_or_path": f"{folder}/half", "dtype": "bfloat16", **packing}
        words = [*SFT, "--data", str(options.data), *shared_words(options), *as_words(values)]
        speed = tokens_per_second([*words, "--output_dir", f"{folder}/half_{name}"])
        figures[f"half_billion_{name}_tokens_per_second"] = speed
        figures[f"half_billion_{name}_share_of_peak"] = 6 * parameters * speed / peak
    return figures


def save_half_billion(tokenizer: str, folder: Path) -> int:
    """Save a 0.5B Qwen2 with random weights; returns its number of parameters."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("qwen2", **HALF_BILLION))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    return int(model.num_parameters())


def peak_of_gpu() -> float | None:
    """16-bit operations per second of the GPU; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    for part, peak in PEAKS.items():
        if part in name:
            return peak
    raise InputError(f"the peak of {name} is not in the table; it has {', '.join(PEAKS)}")


if __name__ == "__main__":
    run_program(main)
