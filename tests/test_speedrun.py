"""The speedrun: its commands are valid, and all of them run on a real model in miniature."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.speedrun import Options, stages
from slmsql.cli.config import parse, parse_with_trainer
from slmsql.files import read_json

ROOT = Path(__file__).parent.parent
SMOLLM2 = ROOT / "models" / "smollm2"
TRAINERS = {
    "sft/train.py": ("sft.options", ["trl:SFTConfig", "trl:ModelConfig"]),
    "rl/grpo.py": ("rl.options", ["trl:GRPOConfig", "trl:ModelConfig"]),
}


@pytest.fixture
def spider(tmp_path):
    for name in ("dev.json", "train_spider.json"):
        (tmp_path / name).write_text("[]")
    (tmp_path / "database").mkdir()
    return tmp_path


def speedrun(*words):
    command = [sys.executable, "scripts/speedrun.py", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("size", ["full", "cpu", "miniature"])
def test_every_program_takes_the_options_it_is_given(size, spider, tmp_path):
    names = ("dev", "sft", "merge_sft", "rl", "sft_questions", "rl_questions")
    for name in (f"{name}.jsonl" for name in names):
        (tmp_path / name).write_text("")
    for stage in stages(Options(spider=spider, output=tmp_path, size=size)):
        words = stage.words
        program = next(word for word in words if word.endswith(".py"))
        arguments = words[words.index(program) + 1 :]
        if program in TRAINERS:
            module, trainer = TRAINERS[program]
            arguments += ["--use_cpu", "true"]  # or bf16 is refused where there is no GPU
            parse_with_trainer(
                importlib.import_module(module).Options, trainer, about=None, argv=arguments
            )
        else:
            module = program.removesuffix(".py").replace("/", ".")
            parse(importlib.import_module(module).Options, about=None, argv=arguments)


def test_a_folder_that_is_not_spider_is_one_line(tmp_path):
    done = speedrun("--spider", tmp_path)
    assert done.returncode == 2
    assert "there is no dev.json in it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_negative_time_is_one_line(spider):
    done = speedrun("--spider", spider, "--size", "cpu", "--seconds", "-1")
    assert done.returncode == 2
    assert "--seconds must not be negative, got -1.0" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_stage_of_training_reads_dev(spider, tmp_path):
    for stage in stages(Options(spider=spider, output=tmp_path)):
        if TRAINERS.keys() & set(stage.words) or "prepare" in stage.words[1]:
            assert not any("dev" in word for word in stage.words), stage.name


def test_a_model_that_is_missing_is_one_line(spider):
    done = speedrun("--spider", spider, "--model", "./nowhere")
    assert done.returncode == 2
    assert "./nowhere" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_one_line_and_nothing_is_half_written(benchmarks, tmp_path):
    disk, model = tmp_path / "disk", tmp_path / "model"
    for folder in (disk, model):
        folder.mkdir()
    (model / "config.json").write_text("{}")
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "speedrun", disk]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        words = ("--spider", benchmarks / "spider", "--output", disk / "out", "--size", "cpu")
        done = speedrun(*words, "--model", model)
        written = {path.name for path in disk.rglob("*") if path.is_file()}
    finally:
        subprocess.run(["umount", disk], check=True)
    assert done.returncode == 2
    reason, end = done.stderr.splitlines()
    assert reason == "  error: there is no space left on the disk"
    assert end.startswith("error: stage dev ended with status 2; its output is in ")
    assert written == {"dev", "dev.log", "warm_python.log"}  # begun, and logs


@pytest.mark.slow
def test_all_commands_run_on_a_real_model_in_miniature(benchmarks, tmp_path):
    if not (SMOLLM2 / "config.json").is_file():
        pytest.skip("needs models/smollm2 (make models/smollm2)")
    words = ("--spider", benchmarks / "spider", "--output", tmp_path, "--size", "miniature")
    done = speedrun(*words)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    figures = read_json(tmp_path / "report.json")["figures"]
    assert {figure["n"] for figure in figures.values()} == {4}
    assert (tmp_path / "report.html").is_file()
    again = speedrun(*words)
    assert again.returncode == 0
    assert again.stdout.count("reused; it took") == done.stdout.count("done in")
    assert "done in" not in again.stdout
