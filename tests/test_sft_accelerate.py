"""The launch files are read by accelerate itself, and say what their names say."""

from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parent.parent / "configs" / "accelerate").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_taken_by_accelerate_with_what_its_name_says(file):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(file))
    words = file.stem.split("_")
    stages = [int(word[-1]) for word in words if word.startswith("zero")]
    settings = config.deepspeed_config if stages else {}
    assert [settings["zero_stage"]] == stages if stages else not settings
    assert config.use_cpu == ("cpu" in words)
    assert (config.num_machines > 1) == ("nodes" in words)
