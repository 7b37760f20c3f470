import json
import os
import re
from itertools import product
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from slmsql.errors import InputError
from slmsql.page import page, render
from slmsql.page.curves import read_curves
from slmsql.page.figures import read_figure
from tests.accessibility import NO_AXE, find_axe, harmful_findings
from tests.in_process import run_here

pytest.importorskip("websockets")
from tests.browser import NO_BROWSER, Browser, find_browser

ROOT = Path(__file__).parent.parent


def program(name, *words):
    return run_here(f"scripts/{name}", *words)


@pytest.fixture
def run(singers, tmp_path):
    def run(name, sql):
        questions = tmp_path / "questions.jsonl"
        asked = {"id": "q0", "question": "<b>names</b>?", "db_id": "singers"}
        questions.write_text(json.dumps({**asked, "gold_sql": "SELECT name FROM singer"}) + "\n")
        answers = tmp_path / f"{name}.jsonl"
        answers.write_text(json.dumps({"id": "q0", "sql": sql}) + "\n")
        result = program(
            "evaluate.py",
            *("--questions", questions, "--databases", tmp_path, "--predictions", answers),
            *("--output", tmp_path / name),
        )
        assert result.returncode == 0, result.stderr
        return tmp_path / name

    return run


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "trainer_state.json"
    history = [{"step": i, "loss": 1 / i, "reward": i / 50} for i in range(1, 51)]
    path.write_text(json.dumps({"log_history": [*history, {"step": 50, "train_runtime": 1.0}]}))
    return path


def test_stages_and_curves_make_a_page(tmp_path, log):
    stages = tmp_path / "stages.json"
    figure = {"name": "SFT & greedy", "value": 71.8, "n": 500, "interval": [67.8, 75.6]}
    stages.write_text(json.dumps({"title": "A chain", "stages": [figure], "notes": ["Of note."]}))
    output = tmp_path / "report.html"
    result = program("report.py", "--stages", stages, "--curves", f"SFT={log}", "--output", output)
    assert result.returncode == 0, result.stderr
    html = output.read_text()
    for part in ("A chain", "SFT &amp; greedy", "67.8 – 75.6", "Training: SFT", "Of note."):
        assert part in html


def test_the_page_loads_nothing_from_elsewhere(run, tmp_path):
    output = tmp_path / "report.html"
    program("report.py", "--runs", run("a", "SELECT 1"), "--output", output)
    assert not re.search(r"(src|href)=|@import|url\(", output.read_text())


def test_questions_cannot_bring_markup_into_the_page(run, tmp_path):
    output = tmp_path / "report.html"
    program("report.py", "--runs", run("a", "SELECT '</script>'"), "--output", output)
    html = output.read_text()
    assert "<b>names" not in html
    assert html.count("</script>") == 2


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER)
@pytest.mark.skipif(find_axe() is None, reason=NO_AXE)
def test_a_report_has_no_serious_accessibility_finding(run, log, tmp_path):
    runs = [f"old={run('a', 'SELECT 1')}", f"new={run('b', 'SELECT name FROM singer')}"]
    output = tmp_path / "report.html"
    program("report.py", "--runs", *runs, "--curves", f"SFT={log}", "--output", output)
    browser = Browser(tmp_path / "profile")
    for scheme, width, height in product(("light", "dark"), (1200, 360), (800,)):
        preferred = {"name": "prefers-color-scheme", "value": scheme}
        browser.send("Emulation.setEmulatedMedia", features=[preferred])
        browser.size(width, height)
        browser.open(output.as_uri())
        browser.click("#list summary")
        assert harmful_findings(browser) == []
        assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
        if folder := os.environ.get("SCREENSHOTS"):
            browser.screenshot(Path(folder) / f"report_{scheme}_{width}.png")
    browser.close()


def test_two_runs_are_compared(run, tmp_path):
    output = tmp_path / "report.html"
    folders = [f"old={run('a', 'SELECT 1')}", f"new={run('b', 'SELECT name FROM singer')}"]
    result = program("report.py", "--runs", *folders, "--output", output)
    assert result.returncode == 0, result.stderr
    assert "Against old" in output.read_text()
    assert "gained: only new is right" in output.read_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "expected a list of figures"),
        ('[{"value": 1}]', "figure 0: a figure needs 'name' and 'value'"),
        ("[3]", "figure 0: expected an object"),
        ("[", "not JSON"),
    ],
)
def test_wrong_stages_get_one_line(tmp_path, content, message):
    stages = tmp_path / "stages.json"
    stages.write_text(content)
    result = program("report.py", "--stages", stages, "--output", tmp_path / "r.html")
    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / "r.html").exists()


def test_a_report_without_anything_to_show_is_refused(tmp_path):
    assert "nothing to report" in program("report.py", "--output", tmp_path / "r.html").stderr


def test_curves_are_found_by_what_trainers_log(log):
    assert [curve.name for curve in read_curves(log)] == ["reward", "loss"]


def test_a_log_without_curves_says_what_was_expected(tmp_path):
    path = tmp_path / "state.json"
    path.write_text('{"log_history": []}')
    with pytest.raises(InputError, match="none of reward"):
        read_curves(path)


def test_a_figure_is_read_from_a_report_too():
    figure = read_figure({"execution_accuracy": 50.0, "n": 2, "interval": [1, 99]}, "here", "run")
    assert (figure.name, figure.value, figure.interval) == ("run", 50.0, (1.0, 99.0))


def test_text_is_escaped_and_data_cannot_end_its_element():
    assert "<h1>&lt;&amp;&gt;</h1>" in page("<&>", [])
    assert "<p>&lt;&amp;&gt;</p>" in render("notes.html", notes=["<&>"])
    data = {"runs": ["</script>"], "questions": []}
    no_filters = {"error_classes": {}, "databases": {}, "difficulties": {}}
    assert render("questions.html", **data, **no_filters).count("</script>") == 1


def test_data_that_a_template_lacks_is_an_error():
    with pytest.raises(UndefinedError, match="'notes' is undefined"):
        render("notes.html")
