"""A value in a config file is checked exactly as one on the command line."""

import subprocess
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pytest

from slmsql.cli.config import as_arguments, load_config, parse, words_of
from slmsql.errors import InputError, run_program


class Color(StrEnum):
    RED = "red"


@dataclass
class Options:
    model: str
    n: int = 8
    rewards: list[str] = field(default_factory=lambda: ["execution"])
    mode: Literal["a", "b"] = "a"
    color: Color = Color.RED
    output: Path | None = None
    verbose: bool = False

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")


def read(tmp_path, text, *words):
    (tmp_path / "c.yaml").write_text(text)
    return parse(Options, about="x", argv=["--config", str(tmp_path / "c.yaml"), *words])


def refused(capsys, tmp_path, text, *words):
    with pytest.raises(SystemExit) as exit_:
        read(tmp_path, text, *words)
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_the_file_fills_the_options_and_the_command_line_overrides_it(tmp_path):
    text = "model: m\nn: 4\nrewards: [x, y]\nverbose: true\noutput: o\nmode: b"
    options = read(tmp_path, text, "--n", "2")
    assert options == Options("m", 2, ["x", "y"], "b", Color.RED, Path("o"), True)


def test_a_single_word_for_a_list_is_a_list_of_one(tmp_path):
    assert read(tmp_path, "model: m\nrewards: format").rewards == ["format"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: m\nn: 4.5", "--n: invalid int value: '4.5'"),
        ("model: m\nmode: c", "--mode: invalid choice: 'c'"),
        ("model: m\ncolor: blue", "--color: invalid choice: 'blue'"),
        ("model: m\nverbose: maybe", "expected true or false, got 'maybe'"),
        ("model: m\nn: 0", "n must be at least 1, got 0"),
        ("model: m\nsamples: 3", "unrecognized arguments: --samples=3"),
        ("n: 3", "required: --model"),
        ("model: m\nrewards: []", "--rewards: expected at least one argument"),
    ],
)
def test_a_wrong_value_in_the_file_is_one_line(tmp_path, capsys, text, message):
    assert message in refused(capsys, tmp_path, text)


@dataclass(kw_only=True)
class Part:
    """How often. And more about it."""

    n: int = field(default=3, metadata={"help": "number of times"})
    mode: Literal["a", "b"] = "a"

    def __post_init__(self):
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")


@dataclass(kw_only=True)
class Whole:
    name: str
    often: Part
    tags: list[str] = field(default_factory=list)


def test_the_options_of_a_part_are_options_of_the_program(capsys):
    whole = parse(Whole, about=None, argv=["--name", "x", "--n", "5"])
    assert whole == Whole(name="x", often=Part(n=5))
    with pytest.raises(SystemExit):
        parse(Whole, about=None, argv=["--name", "x", "--n", "0"])
    assert "n must be at least 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(Whole, about=None, argv=["--help"])
    assert "How often. And more about it:" in capsys.readouterr().out


def test_options_become_the_words_that_give_them():
    whole = Whole(name="x", often=Part(n=5), tags=["a", "b"])
    words = words_of(whole)
    assert words == ["--name=x", "--n=5", "--tags", "a", "b"]
    assert parse(Whole, about=None, argv=words) == whole


def test_dashes_in_an_option_are_as_good_as_underscores():
    @dataclass
    class Names:
        given_name: str
        last_names: list[str]

    words = ["--given-name=a-b_c", "--last-names", "x-y", "x_y", "-1"]
    for argv in (words, [word.replace("--last-names", "--last_names") for word in words]):
        assert parse(Names, about=None, argv=argv) == Names("a-b_c", ["x-y", "x_y", "-1"])


def test_options_are_not_abbreviated(tmp_path, capsys):
    assert "--mod=b" in refused(capsys, tmp_path, "model: m", "--mod=b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [", "c.yaml: while parsing"),
        ("- a", "expected `name: value` lines, got list"),
        ("model:", "model has no value"),
        ("n: 1\nn: 2", "the key 'n' occurs twice"),
    ],
)
def test_a_file_that_is_not_a_config_is_refused(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "c.yaml")


def test_mappings_become_json():
    words = as_arguments({"kwargs": {"use_reentrant": False}, "rate": 1e-6})
    assert words == ['--kwargs={"use_reentrant": false}', "--rate=1e-06"]


def program(tmp_path, body):
    file = tmp_path / "program.py"
    file.write_text(body)
    return subprocess.run(
        [sys.executable, file, "--learning_rate", "x"], capture_output=True, text=True
    )


def test_a_missing_file_and_bad_input_end_a_program_with_one_line(capsys):
    def missing():
        Path("no/such/file").read_text()

    def bad():
        raise InputError("n is 0")

    for main, message in ((missing, "no/such/file"), (bad, "error: n is 0\n")):
        with pytest.raises(SystemExit) as exit_:
            run_program(main)
        error = capsys.readouterr().err
        assert exit_.value.code == 2
        assert message in error
        assert error.count("\n") == 1


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_program(lambda: 1 / 0)


TRAINER = """
from dataclasses import dataclass
from slmsql.cli.config import parse_with_trainer
@dataclass
class Options:
    n: int = 1
print(parse_with_trainer(Options, ["transformers:TrainingArguments"], about="x"))
"""


@pytest.mark.slow
def test_the_trainers_options_are_checked_in_one_line_too(tmp_path):
    result = program(tmp_path, TRAINER)
    assert result.returncode == 2
    last = result.stderr.strip().splitlines()[-1]
    assert "invalid float value: 'x'" in last
    assert "usage:" not in result.stderr
