"""The whole method with a real model on real data: SmolLM2-135M on Spider.

    make models/smollm2
    python scripts/speedrun.py --spider data/spider --output speedrun
    python scripts/speedrun.py --spider data/spider --output speedrun --size cpu --seconds 3600

On one GPU: SFT on Spider train, GRPO with rewards from running the SQL, a merge model trained on
candidates of the generator, then corrective self-consistency on Spider dev. GRPO and merging are
learnt on databases that SFT has not seen. `--size cpu` takes two cores: SFT for a given time and
self-consistency, on 200 questions of dev that the seed draws.
`--size miniature` runs every command with a handful of rows and steps; it shows that the commands
work, not that anything is learnt.

This file is the run: read the commands below from top to bottom. Each is printed, so you can copy
it. A second call runs only what is not done yet, and resumes a training that was stopped.
OUTPUT/logs holds the output of each stage, OUTPUT/report.html the results.

Spider dev is only scored: nothing is chosen on it.
"""

import os
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from scripts.demo.page import write_page
from scripts.demo.scores import (
    Row,
    as_figures,
    as_stages,
    as_table,
    candidate_scores,
    evaluated_scores,
)
from scripts.stage import Mark, Stage, run_chain
from slmsql.cli.config import parse
from slmsql.cli.programs import ROOT
from slmsql.errors import run_program
from slmsql.files import write_json
from slmsql.questions.question import Question, with_databases
from slmsql.questions.reading import read_benchmark, read_questions
from slmsql.training.model_check import check_model

CONFIGS = Path("configs/speedrun")


@dataclass(frozen=True, slots=True)
class Options:
    spider: Path = field(metadata={"help": "Spider: dev.json, train_spider.json, database/"})
    model: str = field(
        default="models/smollm2", metadata={"help": "instruct model to start from: folder or name"}
    )
    output: Path = field(default=Path("speedrun"), metadata={"help": "folder for all files"})
    seed: int = field(default=1, metadata={"help": "of the training, the samples and the draw"})
    size: Literal["full", "cpu", "miniature"] = field(
        default="full",
        metadata={"help": "full: one GPU; cpu: SFT and votes; miniature: a few rows and steps"},
    )
    template: str = field(default="short", metadata={"help": "prompt template: short or schema"})
    seconds: float = field(
        default=0.0,
        metadata={"help": "time of SFT without its start; 0: 50 on a GPU, 3600 with --size cpu"},
    )

    def __post_init__(self) -> None:
        for name in ("dev.json", "train_spider.json", "database"):
            if not (self.spider / name).exists():
                raise ValueError(f"--spider {self.spider}: there is no {name} in it")
        if self.seconds < 0:
            raise ValueError(f"--seconds must not be negative, got {self.seconds}")


@dataclass(frozen=True, slots=True)
class Size:
    """Where the runs differ: further words of the commands.

    Args:
        dev_questions: how many questions of Spider dev the seed draws; 0: all are answered.
        after_sft: whether GRPO and the merge model follow.
        splits_train: whether they learn from databases that SFT has not seen.
        sft_seconds: time of SFT; 0: as long as the other words say.
    """

    dev_questions: int = 0
    after_sft: bool = True
    splits_train: bool = False
    sft_seconds: float = 0.0
    sft_config: str = "sft"
    train: str = ""
    sft: str = ""
    merge_sft: str = ""
    grpo: str = ""
    tokens: str = "--max_tokens 128"
    sampled: str = "--n 16"
    train_sampled: str = "--n 8 --temperature 0.8"
    revised: str = "--n 8"


ON_CPU = "--use_cpu true --bf16 false --packing false --logging_steps 1"
SIZES = {
    "full": Size(
        # Ten epochs of SFT, 120 s on an H200, learn Spider train by heart (docs/speedrun.md).
        splits_train=True,
        sft_seconds=50,
        grpo="--seconds 120",
        merge_sft="--seconds 40",
    ),
    "cpu": Size(
        dev_questions=200,
        sft_seconds=3600,
        after_sft=False,  # a step of GRPO takes minutes there (docs/speedrun.md)
        sft_config="sft_cpu",
        tokens="--max_tokens 96",
        sampled="--n 8",
    ),
    "miniature": Size(
        dev_questions=4,
        train="--limit 6",
        # Enough steps to write SQL that runs: otherwise there are no drafts to merge.
        sft=f"{ON_CPU} --num_train_epochs 5 --warmup_steps 2 --per_device_train_batch_size 1"
        " --gradient_accumulation_steps 1",
        merge_sft=f"{ON_CPU} --max_steps 2 --per_device_train_batch_size 1"
        " --gradient_accumulation_steps 1",
        grpo="--use_cpu true --bf16 false --use_vllm false --max_steps 1 --logging_steps 1"
        " --per_device_train_batch_size 2 --num_generations 2 --gradient_accumulation_steps 1"
        " --max_completion_length 16",
        tokens="--max_tokens 48",
        sampled="--n 2",
        # Hot and constrained: answers that run and differ, as the merge model's rows need.
        train_sampled="--n 8 --temperature 1.5 --constrain schema",
        revised="--n 2",
    ),
}


def main() -> None:
    options = parse(Options, about=__doc__)
    check_model(options.model)
    chain = stages(options)
    marks = run_chain(chain, ROOT / options.output)
    write_report(options, chain, marks)


def stages(options: Options) -> list[Stage]:
    """All stages in order."""
    commands = Commands(options)
    size = commands.size
    chain = sft_stages(commands)
    predictions = ["sft_greedy", "sft_vote"]
    if size.dev_questions:
        chain.insert(0, commands.draw())
    if size.splits_train:
        chain.insert(0, commands.split())
    if size.after_sft:
        chain += [*grpo_stages(commands), *merge_stages(commands)]
        predictions += ["grpo_greedy", "vote", "corrective"]
    return [*chain, *map(commands.evaluation, predictions)]


class Commands:
    """The words of the commands: what they have in common stands here once."""

    def __init__(self, options: Options) -> None:
        self.size = SIZES[options.size]
        self.output, self.seed = options.output, options.seed
        self.out, self.model = shlex.quote(str(options.output)), shlex.quote(options.model)
        self.spider = f"--benchmark spider --root {shlex.quote(str(options.spider))}"
        self.sft_train = self.rl_train = f"{self.spider} --split train {self.size.train}"
        if self.size.splits_train:
            self.sft_train = f"--questions {self.out}/sft_questions.jsonl"
            self.rl_train = f"--questions {self.out}/rl_questions.jsonl"
        self.dev = f"{self.spider} --split dev"
        if self.size.dev_questions:
            self.dev = f"--questions {self.out}/dev.jsonl"
        self.prompt = f"--template {options.template} --retrieve_values true"
        self.sft_seconds = f"--seconds {options.seconds or self.size.sft_seconds:g}"
        self.sft_words = self.size.sft
        if options.size == "cpu" and options.template == "schema":
            self.sft_words = "--max_length 950"  # 63 % of the rows, as 320 for short prompts

    def stage(self, name: str, about: str, command: str, *files: str, config: str = "") -> Stage:
        reads = (CONFIGS / config,) if config else ()
        return Stage(name, about, command, tuple(self.output / file for file in files), reads)

    def split(self) -> Stage:
        files = ("sft_questions.jsonl", "rl_questions.jsonl")
        command = f"""python scripts/split_questions.py {self.spider} --split train --held_out 0.2
            --output {self.out}/{files[0]} --held_out_output {self.out}/{files[1]}
            --seed {self.seed}"""
        return self.stage(
            "train", "Questions of Spider train for SFT and for GRPO", command, *files
        )

    def draw(self) -> Stage:
        command = f"""python scripts/draw_questions.py {self.spider} --split dev
            --n {self.size.dev_questions} --seed {self.seed} --output {self.out}/dev.jsonl"""
        return self.stage("dev", "Questions of Spider dev, drawn by the seed", command, "dev.jsonl")

    def training(
        self, name: str, about: str, program: str, words: str, *, start: str, config: str = ""
    ) -> Stage:
        file = f"{config or name}.yaml"
        # Not with `accelerate launch`, which takes up to 17 s to start: there is one process.
        command = f"""python {program} --config {CONFIGS}/{file} --model_name_or_path {start}
            --output_dir {self.out}/{name} --seed {self.seed} {words}"""
        return self.stage(name, about, command, name, config=file)

    def generation(self, name: str, about: str, model: str, words: str, *files: str) -> Stage:
        command = f"""python inference/generate.py {self.prompt} {self.size.tokens}
            --max_model_len 4096 --eager true --model {self.out}/{model} --seed {self.seed}
            --output {self.out}/{name}.jsonl {words}"""
        return self.stage(name, about, command, f"{name}.jsonl", *files)

    def answers(self, model: str, about: str) -> Stage:
        """Samples and a greedy answer for each dev question; the model is started once."""
        greedy = f"{model}_greedy_candidates.jsonl"
        words = f"{self.dev} {self.size.sampled} --temperature 0.8 --greedy {self.out}/{greedy}"
        return self.generation(f"{model}_test_sampled", about, model, words, greedy)

    def vote(self, name: str, about: str, candidates: str) -> Stage:
        command = f"""python inference/vote.py {self.dev} --output {self.out}/{name}.jsonl
            --candidates {self.out}/{candidates}.jsonl"""
        return self.stage(name, about, command, f"{name}.jsonl")

    def evaluation(self, name: str) -> Stage:
        command = f"""python scripts/evaluate.py {self.dev} --predictions {self.out}/{name}.jsonl
            --output {self.out}/evaluation/{name}"""
        about = f"Execution accuracy of {name.replace('_', ' ')}"
        return self.stage(f"evaluate_{name}", about, command, f"evaluation/{name}")


def sft_stages(c: Commands) -> list[Stage]:
    """The generator after SFT."""
    return [
        c.stage(
            "sft_rows",
            "SFT rows",
            f"""python scripts/prepare_sft.py {c.sft_train} {c.prompt} --schema_spelling true
            --output {c.out}/sft.jsonl""",
            "sft.jsonl",
        ),
        c.training(
            *("sft", "SFT", "sft/train.py"),
            f"--data {c.out}/sft.jsonl {c.sft_seconds} {c.sft_words}",
            start=c.model,
            config=c.size.sft_config,
        ),
        c.answers("sft", "SFT: answers to the dev questions"),
        c.vote("sft_greedy", "Predictions of SFT, greedy", "sft_greedy_candidates"),
        c.vote("sft_vote", "Self-consistency of SFT", "sft_test_sampled"),
    ]


def grpo_stages(c: Commands) -> list[Stage]:
    """The generator after GRPO."""
    return [
        c.stage(
            "rl_rows",
            "GRPO rows",
            f"python scripts/prepare_rl.py {c.rl_train} {c.prompt} --output {c.out}/rl.jsonl",
            "rl.jsonl",
        ),
        c.training(
            *("grpo", "GRPO with rewards from execution", "rl/grpo.py"),
            f"--train_file {c.out}/rl.jsonl {c.size.grpo}",
            start=f"{c.out}/sft",
        ),
        c.answers("grpo", "SFT + GRPO: answers to the dev questions"),
        c.vote("grpo_greedy", "Predictions of SFT + GRPO, greedy", "grpo_greedy_candidates"),
        c.vote("vote", "Self-consistency: the vote of the samples", "grpo_test_sampled"),
    ]


def merge_stages(c: Commands) -> list[Stage]:
    """The merge model learns from the generator's candidates for the questions of GRPO."""
    prompt = "--template merge_sql --retrieve_values true --max_rows 5 --result_tokens 150"
    return [
        c.generation(
            *("train_sampled", "Sampled answers to the questions of GRPO", "grpo"),
            f"{c.rl_train} {c.size.train_sampled}",
        ),
        c.stage(
            "merge_rows",
            "Rows for the merge model: two drafts with their results",
            f"""python scripts/prepare_merge.py {c.rl_train} {prompt} --seed {c.seed}
            --candidates {c.out}/train_sampled.jsonl --output {c.out}/merge_sft.jsonl""",
            "merge_sft.jsonl",
        ),
        c.training(
            *("merge_sft", "SFT of the merge model", "sft/train.py"),
            f"--data {c.out}/merge_sft.jsonl {c.size.merge_sft}",
            start=f"{c.out}/grpo",
        ),
        c.stage(
            "revise",
            "Corrective self-consistency: the merge model decides between the largest groups",
            f"""python inference/revise.py --model {c.out}/merge_sft {c.dev}
            --candidates {c.out}/grpo_test_sampled.jsonl --output {c.out}/corrective.jsonl
            --revisions {c.out}/revisions.jsonl --merge_template merge_sql
            --merge_retrieve_values true --max_rows 5 --result_tokens 150 --consensus 0.8
            {c.size.revised} {c.size.tokens} --max_model_len 4096 --eager true
            --temperature 0.8 --seed {c.seed}""",
            *("corrective.jsonl", "revisions.jsonl"),
        ),
    ]


def write_report(options: Options, chain: Sequence[Stage], marks: Sequence[Mark]) -> None:
    """The table, report.json and report.html."""
    folder, size = ROOT / options.output, SIZES[options.size]
    questions = dev_questions(options)
    report = {
        **as_figures(table_rows(folder, questions, size)),
        "title": "Speedrun",
        "about": f"{options.model} on {len(questions)} questions of Spider dev, template"
        f" {options.template}, seed {options.seed}, size {options.size}, {os.cpu_count()} CPU"
        " cores.",
        "seconds": {
            stage.name: round(mark.seconds) for stage, mark in zip(chain, marks, strict=True)
        },
        "marks": [asdict(mark) for mark in marks],
    }
    write_json(folder / "report.json", report)
    write_json(folder / "stages.json", as_stages(report))
    print(as_table(report))
    print(f"{sum(mark.seconds for mark in marks):.0f} s in all stages")
    write_page(options.output, last="corrective" if size.after_sft else "sft_vote")


def dev_questions(options: Options) -> list[Question]:
    if SIZES[options.size].dev_questions:
        return read_questions(ROOT / options.output / "dev.jsonl")
    return with_databases(read_benchmark("spider", options.spider, "dev"))[0]


def table_rows(folder: Path, questions: Sequence[Question], size: Size) -> list[Row]:
    """The rows of the table: the score of each question after each stage."""

    def evaluated(key: str, name: str) -> Row:
        file = folder / "evaluation" / key / "outcomes.jsonl"
        return Row(key, name, evaluated_scores(file, questions))

    def sampled(key: str, name: str, file: str) -> list[Row]:
        judged = candidate_scores(folder / file, questions)
        any_right = tuple(float(any(right)) for right in judged)
        return [
            Row(f"{key}_sampled", f"{name}, pass@1", tuple(sum(r) / len(r) for r in judged)),
            Row(f"{key}_pass_at_n", f"{name}, pass@{max(map(len, judged))}", any_right),
        ]

    rows = [
        evaluated("sft_greedy", "SFT, greedy"),
        *sampled("sft", "SFT", "sft_test_sampled.jsonl"),
        evaluated("sft_vote", "SFT, vote"),
    ]
    if size.after_sft:
        rows += [
            evaluated("grpo_greedy", "SFT + GRPO, greedy"),
            *sampled("grpo", "SFT + GRPO", "grpo_test_sampled.jsonl"),
            evaluated("vote", "SFT + GRPO, vote"),
            evaluated("corrective", "corrective self-consistency"),
        ]
    return rows


if __name__ == "__main__":
    run_program(main)
