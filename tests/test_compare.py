import json

import pytest

from tests.in_process import run_here


def program(name, *words):
    return run_here(f"scripts/{name}", *words)


def write_run(folder, right, match="bird", **hashes):
    folder.mkdir()
    report = {"match": match, "metrics": {}, "by": {}, "left_out_because": {}, **hashes}
    report |= {"execution_accuracy": 100 * sum(right) / len(right), "n": len(right)}
    (folder / "report.json").write_text(json.dumps(report))
    blank = {"db_id": "d", "difficulty": "easy", "question": "?", "evidence": "", "sql": "s"}
    blank |= {"gold_sql": "g", "predicted": None, "gold": None}
    outcomes = [
        {"id": str(i), "correct": {match: one}, "scores": {"soft_f1": float(one)}, **blank}
        for i, one in enumerate(right)
    ]
    (folder / "outcomes.jsonl").write_text("".join(json.dumps(o) + "\n" for o in outcomes))
    return folder


def test_a_clear_gain_is_called_significant(tmp_path):
    before = write_run(tmp_path / "before", [True] * 50 + [False] * 50)
    after = write_run(tmp_path / "after", [True] * 80 + [False] * 20)
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    result = program("compare.py", "--runs", before, after, "--output", page, "--json", figures)
    assert result.returncode == 0, result.stderr
    total = json.loads(figures.read_text())["runs"][0]["total"]
    assert (total["gained"], total["lost"], total["significant"]) == (30, 0, True)
    assert "Against before" in page.read_text()


def test_a_few_changes_are_called_chance(tmp_path):
    before = write_run(tmp_path / "before", [True, False] * 50)
    after = write_run(tmp_path / "after", [False, True] + [True, False] * 49)
    result = program("compare.py", "--runs", before, after)
    assert "chance alone can do that" in result.stdout


@pytest.mark.parametrize(
    ("right", "match", "message"),
    [
        ([True] * 3, "bird", "judge different questions (2 and 3, 2 of them shared)"),
        ([True] * 2, "strict", "different modes ['bird', 'strict']"),
    ],
)
def test_runs_that_cannot_be_paired_are_refused(tmp_path, right, match, message):
    before = write_run(tmp_path / "before", [True] * 2)
    after = write_run(tmp_path / "after", right, match)
    result = program("compare.py", "--runs", before, after)
    assert (result.returncode, message in result.stderr) == (2, True)


@pytest.mark.parametrize("key", ["data", "databases"])
def test_runs_on_other_data_are_refused_with_both_hashes_unless_asked_for(tmp_path, key):
    runs = [write_run(tmp_path / name, [True, False], **{key: f"hash {name}"}) for name in "ab"]
    result = program("compare.py", "--runs", *runs)
    assert result.returncode == 2
    assert "(hashes hash a and hash b)" in result.stderr
    assert program("compare.py", "--runs", *runs, "--different_data", "true").returncode == 0
    page = ("--output", tmp_path / "page.html")
    assert "hash a and hash b" in program("report.py", "--runs", *runs, *page).stderr
    result = program("report.py", "--runs", *runs, *page, "--different_data", "true")
    assert result.returncode == 0, result.stderr


def two_modes(folder, bird, strict):
    """A run whose verdicts are known in two modes; it was scored in mode `bird`."""
    write_run(folder, bird)
    outcomes = [json.loads(line) for line in (folder / "outcomes.jsonl").read_text().splitlines()]
    for outcome, right in zip(outcomes, strict, strict=True):
        outcome["correct"]["strict"] = right
    (folder / "outcomes.jsonl").write_text("".join(json.dumps(o) + "\n" for o in outcomes))
    return folder


def test_the_page_shows_the_mode_that_was_asked_for(tmp_path):
    runs = [
        two_modes(tmp_path / "before", [True] * 8, [True] * 3 + [False] * 5),
        two_modes(tmp_path / "after", [True] * 8, [True] * 7 + [False]),
    ]
    page = tmp_path / "page.html"
    words = ("--match", "strict", "--output", page)
    result = program("compare.py", "--runs", *runs, *words)
    assert "+50.0" in result.stdout
    html = page.read_text()
    assert "match mode “strict”" in html
    assert "37.5" in html
    assert "+50.0" in html
    page.unlink()
    assert program("report.py", "--runs", *runs, *words).returncode == 0
    assert "37.5" in page.read_text()


def test_a_page_of_runs_in_two_modes_is_refused(tmp_path):
    runs = [write_run(tmp_path / mode, [True] * 2, mode) for mode in ("bird", "strict")]
    result = program("report.py", "--runs", *runs, "--output", tmp_path / "page.html")
    assert (result.returncode, "different modes ['bird', 'strict']" in result.stderr) == (2, True)


def test_several_runs_are_corrected_and_levels_have_no_verdict(tmp_path):
    right = [True] * 50 + [False] * 50
    runs = [write_run(tmp_path / "first", right)]
    for number in range(3):  # 11 gained, 2 lost: p = 0.022 alone
        changed = [False] * 2 + [True] * 59 + [False] * 39
        runs.append(write_run(tmp_path / str(number), changed))
    figures = tmp_path / "figures.json"
    result = program("compare.py", "--runs", *runs, "--json", figures)
    for run in json.loads(figures.read_text())["runs"]:
        assert run["total"]["p_value"] < 0.05 < run["total"]["p_value_holm"]
        assert run["total"]["significant"] is False
        assert "significant" not in run["by_difficulty"]["easy"]
    assert "p = 0.022, corrected 0.067: chance alone can do that" in result.stdout
    alone = program("compare.py", "--runs", *runs[:2])
    assert "p = 0.022: significant" in alone.stdout


def test_seeds_have_a_mean_and_a_spread(tmp_path):
    runs = [write_run(tmp_path / str(n), [True] * n + [False] * (10 - n)) for n in (6, 7, 8)]
    figures = tmp_path / "figures.json"
    result = program("seeds.py", "--runs", *runs, "--json", figures)
    assert result.returncode == 0, result.stderr
    assert "70.0   10.0   60.0   80.0" in result.stdout
    spread = json.loads(figures.read_text())["spreads"]["EX (bird)"]
    assert spread["values"] == [60.0, 70.0, 80.0]
    assert "two or more runs" in program("seeds.py", "--runs", runs[0]).stderr


def test_a_folder_without_a_run_is_named(tmp_path):
    result = program("compare.py", "--runs", tmp_path, tmp_path)
    assert "is missing" in result.stderr
    assert result.returncode == 2


def test_one_run_alone_is_refused(tmp_path):
    assert "two or more runs" in program("compare.py", "--runs", tmp_path).stderr


@pytest.mark.slow
def test_codes_1b_and_15b_differ_and_a_run_does_not_differ_from_itself(benchmarks, tmp_path):
    for model in ("1b", "15b"):
        result = program(
            "evaluate.py",
            *("--benchmark", "spider", "--root", benchmarks / "spider", "--split", "dev"),
            *("--predictions", benchmarks / "predictions" / f"spider_dev__codes-{model}.jsonl"),
            *("--output", tmp_path / model),
        )
        assert result.returncode == 0, result.stderr
    result = program("compare.py", "--runs", *(tmp_path / m for m in ("1b", "15b", "1b")))
    big, same = result.stdout.split("1b against 1b")
    assert "significant" in big.splitlines()[1]
    assert "over databases [+1." in big.splitlines()[1]
    assert "gained 0, lost 0" in same
    assert "chance alone" in same
