"""The quickstart: its stages run once each, show their commands, and are never left half done."""

import json
import shlex
from pathlib import Path

import pytest

from scripts.demo.scores import Row, as_report, as_stages, as_table
from scripts.demo.stages import stages
from scripts.stage import Stage, run_chain
from slmsql.cli.programs import ROOT
from slmsql.errors import InputError
from tests.in_process import run_here

CONFIGS = sorted((ROOT / "configs" / "quickstart").glob("*.yaml"))
APPEND = "import sys; open(sys.argv[1], 'a').write(sys.argv[2])"


def writing(name: str, text: str, folder: Path, reads: tuple[Path, ...] = ()) -> Stage:
    """A stage that appends to its output, so that a second run is visible."""
    file = folder / f"{name}.txt"
    command = shlex.join(["python", "-c", APPEND, str(file), text])
    return Stage(name, f"write {text}", command, (file,), reads)


def failing(name: str, folder: Path) -> Stage:
    command = """python -c "print('why'); exit(3)" """
    return Stage(name, "fail", command, (folder / name,))


def test_stages_run_in_order_and_show_their_commands(tmp_path, capsys):
    run_chain([writing("a", "1", tmp_path), writing("b", "2", tmp_path)], tmp_path)
    shown = capsys.readouterr().out
    assert "[1/2] write 1" in shown
    assert f"{tmp_path}/b.txt 2" in shown
    assert (tmp_path / "a.txt").read_text() == "1"


def test_a_second_call_reuses_what_is_done(tmp_path, capsys):
    chain = [writing("a", "1", tmp_path)]
    first = run_chain(chain, tmp_path)
    capsys.readouterr()
    assert run_chain(chain, tmp_path) == first
    assert "reused" in capsys.readouterr().out
    assert (tmp_path / "a.txt").read_text() == "1"


def test_a_change_runs_everything_behind_it_again(tmp_path):
    run_chain([writing("a", "1", tmp_path), writing("b", "2", tmp_path)], tmp_path)
    before = (tmp_path / "b.txt").stat().st_mtime_ns
    run_chain([writing("a", "3", tmp_path), writing("b", "2", tmp_path)], tmp_path)
    assert (tmp_path / "a.txt").read_text() == "3"
    assert (tmp_path / "b.txt").read_text() == "2"
    assert (tmp_path / "b.txt").stat().st_mtime_ns > before


def test_a_changed_config_runs_its_stage_again(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("a: 1")
    chain = [writing("a", "1", tmp_path, (config,))]
    first = run_chain(chain, tmp_path)
    config.write_text("a: 2")
    assert run_chain(chain, tmp_path)[0].key != first[0].key


def test_a_missing_output_is_made_again(tmp_path):
    chain = [writing("a", "1", tmp_path)]
    run_chain(chain, tmp_path)
    (tmp_path / "a.txt").unlink()
    run_chain(chain, tmp_path)
    assert (tmp_path / "a.txt").read_text() == "1"


def test_a_failing_stage_says_why_and_runs_again_next_time(tmp_path, capsys):
    with pytest.raises(InputError, match="stage b ended with status 3"):
        run_chain([writing("a", "1", tmp_path), failing("b", tmp_path)], tmp_path)
    assert "why" in capsys.readouterr().err
    assert not (tmp_path / "done" / "b.json").exists()
    run_chain([writing("a", "1", tmp_path), writing("b", "2", tmp_path)], tmp_path)
    assert (tmp_path / "a.txt").read_text() == "1"  # reused


def interrupted(folder: Path, word: str) -> Stage:
    """A stage that appends to its output and fails at its first run."""
    append = f"{APPEND}; exit(len(open(sys.argv[1]).read()) < 2)"
    command = shlex.join(["python", "-c", append, str(folder / "out.txt"), word])
    return Stage("half", "half", command, (folder / "out.txt",))


def test_an_interrupted_stage_goes_on_with_what_it_has_written(tmp_path):
    with pytest.raises(InputError):
        run_chain([interrupted(tmp_path, "1")], tmp_path)
    run_chain([interrupted(tmp_path, "1")], tmp_path)
    assert (tmp_path / "out.txt").read_text() == "11"


def test_an_interrupted_stage_with_another_command_starts_anew(tmp_path):
    with pytest.raises(InputError):
        run_chain([interrupted(tmp_path, "1")], tmp_path)
    with pytest.raises(InputError):
        run_chain([interrupted(tmp_path, "2")], tmp_path)
    assert (tmp_path / "out.txt").read_text() == "2"


def test_a_stage_made_again_clears_its_own_files_and_no_others(tmp_path):
    (tmp_path / "a.txt.run.json").write_text("of an earlier run")
    (tmp_path / "b").mkdir()
    (tmp_path / "b.jsonl").write_text("another stage's output")
    folder = Stage("b", "b", "python -c ''", (tmp_path / "b",))
    run_chain([writing("a", "1", tmp_path), folder], tmp_path)
    assert not (tmp_path / "a.txt.run.json").exists()
    assert (tmp_path / "b.jsonl").exists()


def test_progress_bars_become_lines_in_the_log(tmp_path):
    bar = "import sys; sys.stdout.write('10%\\r20%\\r100%\\n')"
    run_chain([Stage("bar", "bar", shlex.join(["python", "-c", bar]), ())], tmp_path)
    assert (tmp_path / "logs" / "bar.log").read_text() == "10%\n20%\n100%\n"


@pytest.mark.parametrize("size", ["full", "smallest"])
def test_every_stage_runs_a_program_that_exists_and_writes_into_the_folder(size):
    chain = stages(Path("out"), size, seed=1)
    assert len({stage.name for stage in chain}) == len(chain)
    for stage in chain:
        program = next(word for word in stage.words if word.endswith(".py"))
        assert (ROOT / program).is_file()
        assert all((ROOT / file).is_file() for file in stage.reads)
        assert stage.outputs
        assert all(path.is_relative_to("out") for path in stage.outputs)


def test_no_stage_of_training_reads_the_held_out_questions():
    for stage in stages(Path("out"), "full", seed=1):
        if "accelerate" in stage.words or "prepare" in stage.words[1]:
            assert not any("test" in word for word in stage.words), stage.name


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_each_config_is_understood_by_its_program(config):
    from slmsql.cli.config import parse_with_trainer

    if "grpo" in config.stem:
        from rl.options import Options

        words = ["--train_file", str(config)]
        trainer = ["trl:GRPOConfig", "trl:ModelConfig"]
    else:
        from sft.options import Options

        words = ["--data", str(config)]
        trainer = ["trl:SFTConfig", "trl:ModelConfig"]
    argv = ["--config", str(config), *words, "--output_dir", "out"]
    _, (training, _) = parse_with_trainer(Options, trainer, about=None, argv=argv)
    assert training.use_cpu
    assert training.report_to in ("none", ["none"], [])


def scored() -> dict:
    keys = ("sft_greedy", "grpo_greedy", "sft_sampled", "grpo_sampled", "vote", "corrective")
    rows = [Row(key, key, (1.0, 0.0, 0.5, 1.0)) for key in keys]
    rows[1] = Row("grpo_greedy", "grpo_greedy", (1.0, 1.0, 1.0, 1.0))
    demo = {
        **{"demonstrations": 200, "wrong_demonstrations": 50, "audited": 10},
        "held_out_new_combinations": 2,
    }
    return as_report(rows, demo)


def test_gains_are_paired_and_have_intervals():
    gain = scored()["gains"]["GRPO over SFT, greedy"]
    assert gain["difference"] == 37.5
    assert gain["interval"][0] <= 37.5 <= gain["interval"][1]


def test_the_table_and_the_page_state_the_share_of_wrong_demonstrations():
    report = scored()
    assert "25.0 % are wrong" in as_table(report)
    assert "25.0 % are wrong" in as_stages(report)["about"]


def test_the_page_has_each_row_with_n_and_interval():
    figures = as_stages(scored())["stages"]
    assert all({"name", "value", "n", "interval"} <= figure.keys() for figure in figures)
    json.dumps(figures)


def test_a_wrong_size_is_one_line():
    ended = run_here("scripts/quickstart.py", "--size", "huge")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
