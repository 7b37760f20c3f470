"""The simulation of pass@k when sampling stops early, small."""

from scripts.bench.adaptive_bias import main
from slmsql.files import read_json


def test_the_first_round_is_unbiased_and_all_candidates_are_not(tmp_path, monkeypatch, capsys):
    file = tmp_path / "figures.json"
    words = f"x --probability 0.6 --n 32 --questions 2000 --json {file}"
    monkeypatch.setattr("sys.argv", words.split())
    main()
    first, second, last = read_json(file)["estimates"]
    assert (first["k"], first["true"]) == (1, 60.0)
    assert abs(first["first_round"] - 60) < 2 < 5 < first["all_drawn"] - 60
    assert abs(second["first_round"] - second["true"]) < 2
    assert (last["k"], last["first_round"]) == (32, None)
    assert "first round" in capsys.readouterr().out
