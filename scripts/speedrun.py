"""The whole method with a real model on real data: SmolLM2-135M on Spider, on one GPU.

    make models/smollm2
    python scripts/speedrun.py --spider data/spider --output speedrun

SFT on Spider train, GRPO with rewards from running the SQL, a merge model trained on candidates of
the generator, then corrective self-consistency on Spider dev. This file is the run: read the
commands below from top to bottom. Each is printed, so you can copy it. A second call runs only what
is not done yet. OUTPUT/logs holds the output of each stage, OUTPUT/report.html the results.

Spider dev is only scored: nothing is chosen on it.

`--size miniature` runs every command on a CPU with a handful of rows and two training steps. It
shows that the commands work, not that anything is learnt.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from scripts.demo.page import write_page
from scripts.demo.scores import as_figures, as_stages, as_table, read_rows
from scripts.stage import Mark, Stage, run_chain
from slmsql.cli.config import parse
from slmsql.cli.programs import ROOT
from slmsql.errors import run_program
from slmsql.files import write_json
from slmsql.questions.question import with_databases
from slmsql.questions.reading import read_benchmark
from slmsql.training.model_check import check_model

CONFIGS = Path("configs/speedrun")
ACCELERATE = "configs/accelerate/one.yaml"


@dataclass(frozen=True, slots=True)
class Options:
    spider: Path = field(metadata={"help": "Spider: dev.json, train_spider.json, database/"})
    model: str = field(
        default="models/smollm2", metadata={"help": "instruct model to start from: folder or name"}
    )
    output: Path = field(default=Path("speedrun"), metadata={"help": "folder for all files"})
    seed: int = field(default=1, metadata={"help": "of the training and the samples"})
    size: Literal["full", "miniature"] = field(
        default="full", metadata={"help": "miniature: a few rows and steps on a CPU"}
    )

    def __post_init__(self) -> None:
        for name in ("dev.json", "train_spider.json", "database"):
            if not (self.spider / name).exists():
                raise ValueError(f"--spider {self.spider}: there is no {name} in it")


@dataclass(frozen=True, slots=True)
class Size:
    """Where the full run and the miniature differ: further words of the commands."""

    train: str = ""
    dev_limit: int = 0  # questions of Spider dev that are answered; 0: all
    sft: str = ""
    merge_sft: str = ""
    grpo: str = ""
    tokens: str = "--max_tokens 128"
    sampled: str = "--n 16"
    train_sampled: str = "--n 8 --temperature 0.8"
    revised: str = "--n 8"


CPU = "--use_cpu true --bf16 false --packing false --logging_steps 1"
SIZES = {
    "full": Size(),
    "miniature": Size(
        train="--limit 6",
        dev_limit=4,
        # Enough steps to write SQL that runs: otherwise there are no drafts to merge.
        sft=f"{CPU} --num_train_epochs 5 --warmup_steps 2 --per_device_train_batch_size 1"
        " --gradient_accumulation_steps 1",
        merge_sft=f"{CPU} --max_steps 2 --per_device_train_batch_size 1"
        " --gradient_accumulation_steps 1",
        grpo="--use_cpu true --bf16 false --use_vllm false --max_steps 1 --logging_steps 1"
        " --per_device_train_batch_size 2 --num_generations 2 --gradient_accumulation_steps 1"
        " --max_completion_length 16",
        tokens="--max_tokens 48",
        sampled="--n 2",
        train_sampled="--n 6 --temperature 1.5",
        revised="--n 2",
    ),
}


def main() -> None:
    options = parse(Options, about=__doc__)
    check_model(options.model)
    marks = run_chain(stages(options), ROOT / options.output)
    write_report(options, marks)


def stages(options: Options) -> list[Stage]:
    """All stages in order."""
    size = SIZES[options.size]
    output, seed = options.output, options.seed
    out, model = shlex.quote(str(output)), shlex.quote(options.model)
    spider = f"--benchmark spider --root {shlex.quote(str(options.spider))}"
    train = f"{spider} --split train {size.train}"
    dev = f"{spider} --split dev --limit {size.dev_limit}"
    prompt = "--template schema --retrieve_values true"
    merge_prompt = "--template merge_sql --retrieve_values true --max_rows 5 --result_tokens 150"
    launch = f"accelerate launch --config_file {ACCELERATE}"
    generate = f"python inference/generate.py {prompt} {size.tokens} --max_model_len 4096"
    greedy, sampled = "--temperature 0", f"--temperature 0.8 --seed {seed}"

    def stage(name: str, about: str, command: str, *files: str, config: str = "") -> Stage:
        reads = (CONFIGS / config,) if config else ()
        return Stage(name, about, command, tuple(output / file for file in files), reads)

    def training(name: str, about: str, program: str, data: str, start: str, words: str) -> Stage:
        command = f"""{launch} {program} --config {CONFIGS}/{name}.yaml {data}
            --model_name_or_path {start} --output_dir {out}/{name} --seed {seed} {words}"""
        return stage(name, about, command, name, config=f"{name}.yaml")

    def answers(name: str, about: str, start: str, questions: str, words: str) -> Stage:
        file = f"{name}.jsonl"
        command = f"{generate} --model {start} {questions} --output {out}/{file} {words}"
        return stage(name, about, command, file)

    def vote(name: str, about: str, candidates: str) -> Stage:
        command = f"""python inference/vote.py --candidates {out}/{candidates}.jsonl {dev}
            --output {out}/{name}.jsonl"""
        return stage(name, about, command, f"{name}.jsonl")

    return [
        # The generator: SFT, then GRPO.
        stage(
            "sft_rows",
            "SFT rows from Spider train",
            f"python scripts/prepare_sft.py {train} {prompt} --output {out}/sft.jsonl",
            "sft.jsonl",
        ),
        training("sft", "SFT", "sft/train.py", f"--data {out}/sft.jsonl", model, size.sft),
        stage(
            "rl_rows",
            "GRPO rows from Spider train",
            f"python scripts/prepare_rl.py {train} {prompt} --output {out}/rl.jsonl",
            "rl.jsonl",
        ),
        training(
            *("grpo", "GRPO with rewards from execution", "rl/grpo.py"),
            *(f"--train_file {out}/rl.jsonl", f"{out}/sft", size.grpo),
        ),
        # The merge model learns from the generator's candidates on the training questions.
        answers(
            *("train_sampled", "Sampled answers to the training questions", f"{out}/grpo"),
            *(train, f"{size.train_sampled} --seed {seed}"),
        ),
        stage(
            "merge_rows",
            "Rows for the merge model: two drafts with their results",
            f"""python scripts/prepare_merge.py {train} {merge_prompt} --seed {seed}
            --candidates {out}/train_sampled.jsonl --output {out}/merge_sft.jsonl""",
            "merge_sft.jsonl",
        ),
        training(
            *("merge_sft", "SFT of the merge model", "sft/train.py"),
            *(f"--data {out}/merge_sft.jsonl", f"{out}/grpo", size.merge_sft),
        ),
        # Spider dev: greedy, sampled, the vote, and corrective self-consistency.
        answers("sft_greedy_candidates", "SFT, greedy", f"{out}/sft", dev, greedy),
        vote("sft_greedy", "Predictions of SFT, greedy", "sft_greedy_candidates"),
        answers("grpo_greedy_candidates", "SFT + GRPO, greedy", f"{out}/grpo", dev, greedy),
        vote("grpo_greedy", "Predictions of SFT + GRPO, greedy", "grpo_greedy_candidates"),
        answers(
            *("sft_test_sampled", "SFT, sampled", f"{out}/sft", dev, f"{size.sampled} {sampled}"),
        ),
        answers(
            *("grpo_test_sampled", "SFT + GRPO, sampled", f"{out}/grpo"),
            *(dev, f"{size.sampled} {sampled}"),
        ),
        vote("vote", "Self-consistency: the vote of the samples", "grpo_test_sampled"),
        stage(
            "revise",
            "Corrective self-consistency: the merge model decides between the largest groups",
            f"""python inference/revise.py --model {out}/merge_sft {dev}
            --candidates {out}/grpo_test_sampled.jsonl --output {out}/corrective.jsonl
            --revisions {out}/revisions.jsonl --merge_template merge_sql
            --merge_retrieve_values true --max_rows 5 --result_tokens 150 --consensus 0.8
            {size.revised} {size.tokens} --max_model_len 4096 {sampled}""",
            *("corrective.jsonl", "revisions.jsonl"),
        ),
        *(
            stage(
                f"evaluate_{name}",
                f"Execution accuracy of {name.replace('_', ' ')}",
                f"""python scripts/evaluate.py {dev} --predictions {out}/{name}.jsonl
                --output {out}/evaluation/{name}""",
                f"evaluation/{name}",
            )
            for name in ("sft_greedy", "grpo_greedy", "vote", "corrective")
        ),
    ]


def write_report(options: Options, marks: Sequence[Mark]) -> None:
    """The table, report.json and report.html."""
    folder = ROOT / options.output
    limit = SIZES[options.size].dev_limit or None
    questions, _ = with_databases(read_benchmark("spider", options.spider, "dev")[:limit])
    report = {
        **as_figures(read_rows(folder, questions)),
        "title": "Speedrun",
        "about": f"{options.model} on Spider dev ({len(questions)} questions whose database is"
        f" available), seed {options.seed}, size {options.size}, {os.cpu_count()} CPU cores.",
        "seconds": {
            stage.name: round(mark.seconds)
            for stage, mark in zip(stages(options), marks, strict=True)
        },
        "marks": [asdict(mark) for mark in marks],
    }
    write_json(folder / "report.json", report)
    write_json(folder / "stages.json", as_stages(report))
    print(as_table(report))
    print(f"{sum(mark.seconds for mark in marks):.0f} s in all stages")
    write_page(options.output)


if __name__ == "__main__":
    run_program(main)
