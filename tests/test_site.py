"""The documentation as a site: built strictly, with the options that the programs have."""

import os
import subprocess
from itertools import product
from pathlib import Path

import pytest

from scripts.site_pages import as_markdown, programs_page
from tests.accessibility import NO_AXE, find_axe, harmful_findings

pytest.importorskip("websockets")
from tests.browser import NO_BROWSER, Browser, find_browser

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [".venv/bin/mkdocs", "build", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        check=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    return folder


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_has_each_page_of_docs(site):
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    for page in pages:
        folder = page.parent if page.name == "index.md" else page.with_suffix("")
        assert (site / folder / "index.html").is_file(), page


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        for part in ('src="http', 'src="//', 'rel="stylesheet" href="http'):
            assert part not in text, page


@pytest.mark.slow
def test_the_api_is_documented_from_the_docstrings(site):
    text = (site / "reference" / "python" / "index.html").read_text()
    assert "Instructions of SQLite" in text
    assert "slmsql.execution.Executor" in text


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER)
@pytest.mark.skipif(find_axe() is None, reason=NO_AXE)
def test_pages_have_no_serious_accessibility_finding(site, tmp_path):
    browser = Browser(tmp_path / "profile")
    pages = ("index", "ask/index", "reference/files/index", "concepts/groups/index")
    for page, (scheme, width) in product(pages, (("light", 1200), ("dark", 360))):
        preferred = {"name": "prefers-color-scheme", "value": scheme}
        browser.send("Emulation.setEmulatedMedia", features=[preferred])
        browser.size(width, 900)
        browser.open((site / f"{page}.html").as_uri())
        assert harmful_findings(browser) == [], (page, scheme)
        if folder := os.environ.get("SCREENSHOTS"):
            name = page.removesuffix("/index").replace("/", "_")
            browser.screenshot(Path(folder) / f"site_{name}_{scheme}.png")
    browser.close()


def test_each_program_and_option_has_its_line():
    page = programs_page()
    for name in ("sft/train.py", "rl/grpo.py", "inference/csc.py", "slmsql ask", "slmsql evaluate"):
        assert f"\n## {name}\n" in page
    assert "| `--match` | `bird` | when two results agree |" in page
    assert (
        "| `--predictions` | required | JSON Lines with id and sql, or a benchmark's format |"
        in page
    )
    assert "How candidates vote:" in page  # the heading of a nested dataclass


def test_examples_stay_as_they_are_and_options_in_sentences_become_code():
    about = "Scores.\n\n    run --limit <3>\n\nWith --limit, `--all\n--of it` or <tag>."
    assert as_markdown(about) == (
        "Scores.\n\n    run --limit <3>\n\nWith `--limit`, `--all\n--of it` or &lt;tag>."
    )
