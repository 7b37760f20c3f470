"""Every command in README, docs and configs has options that exist, and its files fit together.

The cheap ones run, on the first rows of the real data.
"""

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from slmsql.cli.config import _trainer_options, as_arguments, load_config, parser_of
from slmsql.files import read_jsonl, write_jsonl

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
TRAINERS = {"sft.train": "SFTConfig", "rl.grpo": "GRPOConfig", "scripts.bench.step": "GRPOConfig"}
OUTPUTS = {"--output", "--rl_output", "--output_dir"}
STARTS = ("python", "accelerate", "trl", "pip", "make", "slmsql", ".venv/bin/python")


@dataclass(frozen=True)
class Command:
    """A command without its environment; `page` and `text` name it in a failure."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        words = shlex.split(self.text, comments=True)
        while "=" in words[0] and not words[0].startswith("-"):
            words.pop(0)
        return words[:-1] if words[-1] == "&" else words

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"[:90]


def commands(path):
    """The commands in the indented blocks of a page, or at the top of a config."""
    indent = r"#   +" if path.suffix == ".yaml" else r"    +"
    return commands_in(path.read_text(), str(path.relative_to(ROOT)), indent)


def commands_in(text, page, indent=r"    +"):
    lines = "\n".join(re.findall(rf"^{indent}(.*)$", text, re.MULTILINE))
    joined = re.sub(r"\\\n", " ", lines)
    found = [Command(page, line.strip()) for line in joined.splitlines()]
    return [command for command in found if is_command(command.text)]


def is_command(line):
    without_environment = re.sub(r"^(\w+=\S+ )*", "", line)
    return without_environment.split(" ")[0] in STARTS


COMMANDS = [command for path in (*PAGES, *CONFIGS) for command in commands(path)]


def module_of(script):
    assert (ROOT / script).is_file(), script
    return ".".join(Path(script).with_suffix("").parts)


def with_config(words):
    """The words with those of `--config FILE` in its place."""
    if "--config" not in words:
        return words
    position = words.index("--config")
    content = load_config(ROOT / words[position + 1])
    return [*as_arguments(content), *words[:position], *words[position + 2 :]]


def check_program(script, words, processes=1):
    """Parse the words with the program's own classes."""
    name = module_of(script)
    module = importlib.import_module(name)
    if not hasattr(module, "Options"):
        assert not words
        return
    parser = parser_of(module.Options, about=None)
    words = with_config(words)
    if "..." in words:  # the reader's own options
        for action in parser._actions:
            action.required = False
        words = [word for word in words if word != "..."]
    if name not in TRAINERS:
        parser.parse_args(words)
        return
    _, rest = parser.parse_known_args(words)
    _trainer_options(
        [f"trl:{TRAINERS[name]}", "trl:ModelConfig"], [*rest, *on_one_cpu(rest, processes)]
    )


def on_one_cpu(words, processes):
    """One process on a CPU with the batch of all, so that the trainer checks the whole batch."""
    parsed = dict(re.findall(r"--(per_device_\w+_batch_size)[ =](\d+)", " ".join(words)))
    batches = [f"--{name}={int(size) * processes}" for name, size in parsed.items()]
    return ["--use_cpu=true", "--bf16=false", "--fp16=false", *batches]


def check_accelerate(words):
    from accelerate.commands.launch import launch_command_parser

    assert words[0] == "launch"
    parsed = launch_command_parser().parse_args(words[1:])
    config = yaml.safe_load((ROOT / parsed.config_file).read_text())
    processes = parsed.num_processes or config["num_processes"]
    check_program(parsed.training_script, parsed.training_script_args, processes)


def check_server(words):
    """`trl vllm-serve`; importing it would load vLLM, so its options are read from its source."""
    assert words[0] == "vllm-serve"
    folder = Path(importlib.util.find_spec("trl").origin).parent
    tree = ast.parse((folder / "scripts" / "vllm_serve.py").read_text())
    [options] = [node for node in tree.body if getattr(node, "name", "") == "ScriptArguments"]
    names = {node.target.id for node in options.body if isinstance(node, ast.AnnAssign)}
    assert {word.removeprefix("--") for word in words if word.startswith("--")} <= names


def check_pip(words):
    assert words[0] == "install"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"\.\[(.+?)\]", " ".join(words)):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])
    for option, file in pairwise(words):
        assert option not in {"-c", "--constraint", "--override"} or (ROOT / file).is_file()


def check_command(words):
    name, *options = words
    options = options[: options.index(">")] if ">" in options else options
    module = importlib.import_module(f"slmsql.commands.{name}")
    parser_of(module.Options, about=None).parse_args(options)


def check_make(words):
    makefile = (ROOT / "Makefile").read_text()
    names = re.findall(r"^([\w./-]+):|^(\w+ )\?=", makefile, re.MULTILINE)
    known = {target or f"{variable.strip()}=" for target, variable in names}
    assert {re.sub("=.*", "=", word) for word in words} <= known


CHECKS = {
    "accelerate": check_accelerate,
    "trl": check_server,
    "pip": check_pip,
    "make": check_make,
    "slmsql": check_command,
}


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS), ids=str)
def test_a_documented_command_has_options_that_exist(command):
    program, *words = command.words
    if program in CHECKS:
        CHECKS[program](words)
    else:
        check_program(words[0], words[1:])


def test_each_kind_of_command_is_found():
    starts = {command.words[0] for command in COMMANDS}
    assert starts == set(STARTS)
    assert len(COMMANDS) > 120


def test_each_training_config_has_its_own_command():
    for path in CONFIGS:
        if path.parent.name in {"sft", "rl"}:
            texts = [command.text for command in commands(path)]
            assert any(f"--config {path.relative_to(ROOT)}" in text for text in texts), path


def test_a_config_for_a_server_starts_one_on_its_own_gpu():
    for path in (ROOT / "configs" / "rl").glob("*.yaml"):
        config = load_config(path)
        servers = [c.text for c in commands(path) if " vllm-serve " in c.text]
        assert bool(servers) == (config["vllm_mode"] == "server")
        for text in servers:
            assert text.startswith("CUDA_VISIBLE_DEVICES=3 ")
            assert f"--model {config['model_name_or_path']} " in re.sub(" +", " ", text)
            assert f"--port {config['vllm_server_port']}" in text


def files_of(command):
    """What a command reads of `data/*.jsonl` and `outputs/`, and what it writes."""
    words = with_config(command.words)
    pairs = [tuple(word.split("=", 1)) for word in words if re.match("--.*=", word)]
    pairs += [(name, value) for name, value in pairwise(words) if name.startswith("--")]
    named = {*words, *(value for _, value in pairs)}
    files = {file for file in named if re.match(r"(data/.*\.jsonl|outputs/.*)$", file)}
    written = {value for name, value in pairs if name in OUTPUTS}
    return files - written, written


def test_each_step_of_the_readme_reads_what_an_earlier_one_writes():
    heading = "\n## Train and run a real model\n"
    section = (ROOT / "README.md").read_text().partition(heading)[2].partition("\n## ")[0]
    ready = set()
    for command in commands_in(section, "README.md"):
        reads, writes = files_of(command)
        assert reads <= ready, command
        ready |= writes
    assert "outputs/slm_sql_qwen2.5_coder_0.5b_merge_grpo" in ready


# Cheap commands, run as documented but for options that shorten them


def run(command, *more):
    """Run a command in the present folder, as a reader would."""
    program, *words = command.words
    assert program in ("python", "slmsql")
    start = ["-m", "slmsql"] if program == "slmsql" else [ROOT / words.pop(0)]
    ended = subprocess.run(
        [sys.executable, *start, *words, *more],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr


def the_command(page, start):
    return next(c for c in commands(ROOT / page) if c.text.startswith(start))


@pytest.fixture
def workplace(benchmarks, tmp_path, monkeypatch):
    """An empty folder with the configs and the real data where the commands expect them."""
    (tmp_path / "data").mkdir()
    for name in ("bird", "spider"):
        (tmp_path / "data" / name).symlink_to(benchmarks / name)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLMSQL_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("bird_rl", "--retrieve_values=false"),  # indexes of values take long to build
        ("bird_rl_held_out", "--retrieve_values=false --held_out=0.5"),
        ("nemo_phase2", ""),
        ("nichelm_all", ""),
    ],
)
def test_the_command_of_a_data_config_runs(workplace, name, more):
    config = f"configs/data/{name}.yaml"
    run(the_command(config, "python"), "--limit", "40", *more.split())
    assert list(read_jsonl(workplace / load_config(ROOT / config)["output"]))


@pytest.mark.slow
def test_the_commands_for_the_laboratory_run(workplace):
    for command in commands(ROOT / "configs/data/laboratory.yaml"):
        run(command)
    assert len(list(read_jsonl(Path("data/laboratory.jsonl")))) == 579


@pytest.mark.slow
def test_the_commands_for_nichelms_mix_run(workplace):
    for name in ("nichelm_all", "nichelm"):
        more = ["--limit", "60"] if name == "nichelm_all" else ["--most", "20"]
        run(the_command(f"configs/data/{name}.yaml", "python"), *more)
    rows = list(read_jsonl(Path("data/nichelm.jsonl")))
    assert len(rows) == 20
    assert [message["role"] for message in rows[0]["prompt"]] == ["system", "user"]
    assert "CREATE TABLE" in rows[0]["prompt"][0]["content"]


SPIDER_FILES = {  # as the commands name them
    "predictions.jsonl": "codes-15b",
    "spider_dev__codes-15b.jsonl": "codes-15b",
    "system_1.jsonl": "codes-1b",
    "system_2.jsonl": "codes-3b",
    "system_3.jsonl": "codes-7b",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "start", "output"),
    [
        ("README.md", "python scripts/evaluate.py --benchmark spider", "runs/score/report.json"),
        ("docs/guides/vote.md", "slmsql vote", "vote.json"),
        (
            "docs/evaluation.md",
            "python scripts/evaluate.py --benchmark spider",
            "runs/codes-15b/report.json",
        ),
    ],
)
def test_a_command_for_predictions_runs(workplace, benchmarks, page, start, output):
    for name, system in SPIDER_FILES.items():
        file = benchmarks / "predictions" / f"spider_dev__{system}.jsonl"
        (workplace / name).symlink_to(file)
    command = the_command(page, start)
    run(Command(page, command.text.replace("SPIDER", "data/spider")))
    assert (workplace / output).exists()


@pytest.mark.slow
def test_the_guide_for_own_data_runs_up_to_the_training(singers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    databases = [tmp_path / f"{name}.sqlite" for name in ("lab", "shop", "hotel", "school")]
    for database in databases:
        database.write_bytes(singers.read_bytes())
    queries = ("SELECT name FROM singer", "SELECT count(*) FROM song", "SELECT nam FROM singer")
    write_jsonl(
        tmp_path / "questions.jsonl",
        [
            {"id": f"{database.stem}{n}", "question": f"{n}?", "database": database.name}
            | {"gold_sql": sql}
            for database in databases
            for n, sql in enumerate(queries)
        ],
    )
    text = (ROOT / "docs" / "guides" / "own_data.md").read_text().partition("## Train")[0]
    for command in commands_in(text, "docs/guides/own_data.md"):
        run(command)
    clean = list(read_jsonl(tmp_path / "clean.jsonl"))
    assert len(clean) == 8  # a third of the queries does not run
    for name in ("sft_rows.jsonl", "rl_rows.jsonl", "validation_rows.jsonl"):
        assert 0 < len(list(read_jsonl(tmp_path / name))) < 8
