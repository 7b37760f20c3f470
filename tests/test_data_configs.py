"""Every config of a data set parses with the options of the program that it names."""

import importlib
import re
from pathlib import Path

import pytest

from slmsql.cli.config import load_config, parse
from slmsql.prompt.build import read_template

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs" / "data").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_names_its_program_and_itself(path):
    [(program, named)] = re.findall(
        r"#   python scripts/(\w+)\.py --config configs/data/(\w+)\.yaml", path.read_text()
    )
    assert named == path.stem
    module = importlib.import_module(f"scripts.{program}")
    parse(module.Options, about=None, argv=["--config", str(path)])
    read_template(load_config(path).get("template", "think"))


def test_every_training_config_has_its_data(tmp_path):
    made = set()
    for path in CONFIGS:
        content = load_config(path)
        made |= {content.get(name) for name in ("output", "rl_output", "held_out_output")}
    for path in [*(ROOT / "configs" / "sft").glob("*.yaml"), *(ROOT / "configs/rl").glob("*.yaml")]:
        content = load_config(path)
        for name in ("data", "train_file", "validation_file"):
            assert content.get(name) in {None, *made}, path
