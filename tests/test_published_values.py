"""docs/published_values.md agrees with the configs and gives a reason for every difference."""

import re
from pathlib import Path

import pytest
import yaml

from slmsql.cli.config import load_config

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "published_values.md").read_text()
SYSTEMS = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
HEADING = "| config | setting | published | ours | source | why ours differs |"
SFT_CONFIGS = sorted((ROOT / "configs/sft").glob("*.yaml"))
NOT_PUBLISHED = "not published"


def table():
    lines = [line for line in TEXT.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def value_of(path, setting):
    """A value of a config, or of a command at its top."""
    content = load_config(path)
    if setting in content:
        return content[setting]
    [value] = set(re.findall(rf"--{setting} (\S+)", path.read_text()))
    return yaml.safe_load(value)


@pytest.mark.parametrize("row", table(), ids=lambda row: f"{row[0]} {row[1]}".replace("`", ""))
def test_a_row_is_true_and_its_difference_is_explained(row):
    config, setting, published, ours, source, reason = row
    files = sorted((ROOT / "configs").glob(config.strip("`")))
    assert files
    for file in files:
        assert value_of(file, setting.strip("`")) == yaml.safe_load(ours), file
    differs = published == NOT_PUBLISHED or yaml.safe_load(published) != yaml.safe_load(ours)
    assert bool(reason) == differs
    assert bool(source) == (published != NOT_PUBLISHED)


def test_all_five_systems_and_all_their_training_configs_are_there():
    assert SYSTEMS == [
        "SLM-SQL and CSC-SQL",
        "Mnemosyne-3B",
        "SS-350M-SQL-Strict",
        "Nemo-text-to-sql",
        "NicheLM",
    ]
    assert TEXT.count(HEADING) == 1 + len(SYSTEMS)
    named = {row[0].strip("`") for row in table()}
    covered = {file for pattern in named for file in (ROOT / "configs").glob(pattern)}
    configs = [*SFT_CONFIGS, *(ROOT / "configs/rl").glob("slm_sql*.yaml")]
    assert not set(configs) - covered


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs/sft").glob("*.yaml")), ids=lambda p: p.stem
)
def test_the_settings_that_decide_a_run_can_be_looked_up(path):
    rows = [(row[0].strip("`"), row[1].strip("`")) for row in table()]
    listed = {setting for pattern, setting in rows if path.match(f"configs/{pattern}")}
    decisive = {"learning_rate", "lr_scheduler_type", "warmup_steps", "max_length"}
    adapter = {"lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "load_in_4bit"}
    length = {"num_train_epochs", "max_steps"}
    assert (decisive | adapter | length) & set(load_config(path)) <= listed
