"""The server's page in a real browser: ask, see rows, chart and groups, take them elsewhere."""

import csv
import json
import os
import re
import tarfile
from itertools import combinations
from pathlib import Path

import pytest

from slmsql.execution import create_database
from tests.accessibility import NO_AXE, find_axe, harmful_findings
from tests.running_server import ROOT, start, stop, wait_until
from tests.stand_in import Server, choice

pytest.importorskip("websockets")
from tests.browser import NO_BROWSER, Browser, find_browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER),
]
ALBUMS = """SELECT Artist.Name, COUNT(*) AS albums
FROM Artist JOIN Album ON Album.ArtistId = Artist.ArtistId
GROUP BY Artist.ArtistId ORDER BY albums DESC, Artist.Name LIMIT {}"""
ANSWERS = {
    "albums": [ALBUMS.format(10), ALBUMS.format(10), ALBUMS.format(5), "SELECT Nme FROM Artist"],
    "broken": ["SELECT Nme FROM Artist"],
    "many": ["SELECT * FROM Track"],
    "hostile": [
        "SELECT '<img src=x onerror=document.title=1>' AS \"<b>x</b>\", 1 AS n"
        " UNION SELECT '<script>document.title=2</script>', 2"
    ],
    "formula": ["SELECT '=1+1' AS \"a,b\", 'say \"hi\"' AS c, NULL AS d, -1.5 AS e"],
    "months": [
        "SELECT strftime('%Y-%m', InvoiceDate) AS month, ROUND(SUM(Total), 2) AS revenue"
        " FROM Invoice GROUP BY month"
    ],
    "longest": ["SELECT hex(zeroblob(2000)) || TrackId AS x, TrackId * 1e300 AS y FROM Track"],
}


HOSTILE = "<img src=x onerror=document.title=3>"


@pytest.fixture(scope="module")
def chinook(tmp_path_factory):
    unpacked = ROOT / "data" / "classic"
    if unpacked.is_dir():
        return unpacked
    archive = ROOT.parent / "shared" / "data" / "classic.tar.xz"
    if not archive.is_file():
        pytest.skip("needs data/classic/chinook.sqlite")
    folder = tmp_path_factory.mktemp("classic")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / "classic"


def answer(body):
    text = body["messages"][-1]["content"].rpartition("Question:")[2]
    sql = ANSWERS[next(word for word in ANSWERS if word in text)]
    texts = [f"<think>\nx\n</think>\n<answer>\n{sql[n % len(sql)]}\n" for n in range(body["n"])]
    return {"choices": [choice(text) for text in texts]}


@pytest.fixture(scope="module")
def address(chinook, tmp_path_factory):
    folder = tmp_path_factory.mktemp("databases")
    for name in ("chinook", "northwind"):
        (folder / f"{name}.sqlite").symlink_to(chinook / f"{name}.sqlite")
    create_database(folder / f"{HOSTILE}.sqlite", f'CREATE TABLE "{HOSTILE}" ("{HOSTILE}" INT)')
    model = Server(always=answer)
    process, client = start(model, folder)
    yield str(client.base_url)
    stop(process)
    model.shutdown()


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(window, address):
    """The page as a person sees it at first."""
    window.send("Storage.clearDataForOrigin", origin=address, storageTypes="local_storage")
    window.send("Emulation.setEmulatedMedia", features=[])
    window.size(1200, 900)
    window.open(address)
    window.wait("document.querySelectorAll('#database option').length > 0")
    choose(window, "chinook")
    return window


@pytest.fixture
def pictures(tmp_path):
    """The folder for screenshots; set SCREENSHOTS=FOLDER to look at them."""
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ask(browser, question):
    browser.type("#question", question)
    browser.click("#ask")
    answered(browser)


def answered(browser):
    browser.wait("!document.querySelector('#ask').disabled")


def choose(browser, database):
    """Pick a database, as the arrow keys do."""
    browser.run(
        f"document.querySelector('#database').value = '{database}';"
        "document.querySelector('#database').dispatchEvent(new Event('change'))"
    )


def test_a_person_asks_on_chinook_and_sees_rows_and_groups(browser, pictures):
    assert browser.text("#database").split("\n") == [HOSTILE, "chinook", "northwind"]
    ask(browser, "Who has most albums?")
    assert "COUNT(*) AS albums\nFROM Artist" in browser.text("#sql")
    assert browser.text("#sql-title") == "SQL SQLite"
    rows = browser.text("#rows").splitlines()
    assert rows[0].split() == ["Name", "albums"]
    assert rows[1].split("\t") == ["Iron Maiden", "21"]
    assert len(rows) == 11
    groups = browser.text("#groups")
    assert "4 of 8 candidates, 10 rows" in groups
    assert "2 of 8 candidates, 5 rows" in groups
    assert "2 did not run" in browser.text("#failed")
    assert browser.complaints() == []
    browser.screenshot(pictures / "answer.png")


def test_a_question_that_fails_shows_an_error(browser, pictures):
    ask(browser, "a broken one")
    assert browser.text("#error") == "This question has no answer: no such column: Nme"
    browser.screenshot(pictures / "error.png")
    ask(browser, "Who has most albums?")
    assert browser.run("document.querySelector('#error').hidden")


def test_a_narrow_window_shows_all_of_it(browser, pictures):
    browser.size(360, 740)
    ask(browser, "many tracks")
    assert "first 100 of 3503" in browser.text("#answer")
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
    browser.screenshot(pictures / "narrow.png")
    ask(browser, "a broken one")
    browser.screenshot(pictures / "narrow_error.png")


def test_what_stands_in_a_database_is_text(browser):
    ask(browser, "a hostile one")
    assert browser.text("#rows").splitlines()[1].startswith("<img src=x")
    assert "<script>" in browser.run("document.querySelector('#chart').textContent")
    assert browser.run("document.querySelectorAll('#answer img, #answer script').length") == 0
    browser.click("#history summary")
    browser.run("localStorage.history = JSON.stringify([{database: 'x', question: '<img src=x>'}])")
    browser.open(browser.run("location.href"))
    browser.wait("document.querySelectorAll('#database option').length > 0")
    assert browser.run("document.querySelector('#earlier button').textContent") == "<img src=x>"
    assert browser.run("document.title") == "Ask a database"


def test_names_of_databases_tables_and_columns_are_text(browser):
    choose(browser, HOSTILE)
    browser.click("#schema summary")
    browser.click("#schema details summary")
    assert HOSTILE in browser.run("document.querySelector('#picture').textContent")
    assert browser.text("#tables") == f"{HOSTILE} ({HOSTILE})"
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.run("document.title") == "Ask a database"


def test_huge_values_and_many_rows_are_cut(browser):
    ask(browser, "the longest")
    assert browser.text("#count") == "first 100 of 3503"
    assert browser.run("document.querySelector('#rows').textContent.length") < 150_000
    assert browser.run("document.querySelector('#chart').hidden")  # it would show a part as a whole
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")


def test_another_database_is_picked_and_its_tables_drawn(browser, pictures):
    choose(browser, "northwind")
    browser.click("#schema summary")
    label = browser.run("document.querySelector('#picture svg').getAttribute('aria-label')")
    assert re.fullmatch(r"\d+ tables of northwind, \d+ foreign keys between them", label)
    tables, keys = (int(number) for number in re.findall(r"\d+", label))
    assert browser.run("document.querySelectorAll('#picture rect').length") == tables
    assert browser.run("document.querySelectorAll('#picture path').length") == keys
    boxes = browser.run(
        "[...document.querySelectorAll('#picture rect')].map((box) => "
        "[box.x, box.y, box.width, box.height].map((length) => length.baseVal.value))"
    )
    assert not any(overlap(one, other) for one, other in combinations(boxes, 2))
    browser.click("#schema details summary")
    assert "Order Details (OrderID, ProductID" in browser.text("#tables")
    assert "OrderID refers to Orders" in browser.text("#tables")
    browser.screenshot(pictures / "tables.png")


def overlap(one, other):
    (x, y, width, height), (a, b, far, low) = one, other
    return x < a + far and a < x + width and y < b + low and b < y + height


def test_a_link_carries_a_question(browser, address):
    browser.open(f"{address}/?database=northwind&question=Who%3F")
    browser.wait("document.querySelector('#question').value === 'Who?'")
    assert browser.run("document.querySelector('#database').value") == "northwind"


def test_labels_and_numbers_are_drawn_as_bars_and_a_rising_time_as_a_line(browser, pictures):
    ask(browser, "Who has most albums?")
    words = "document.querySelector('#chart svg').getAttribute('aria-label')"
    said = browser.run(words)
    assert said.startswith("albums by Name, from 4 (")
    assert said.endswith("to 21 (Iron Maiden)")
    assert browser.run("document.querySelectorAll('#chart rect').length") == 10
    ask(browser, "the months")
    assert browser.run(words).startswith("revenue by month, from 23.76 (")
    assert browser.run("document.querySelectorAll('#chart circle').length") == 60
    browser.screenshot(pictures / "line.png")


NO_SERIES = [
    (["n"], [[1], [2]]),
    (["name", "n"], [["a", 1]]),
    (["name", "n"], [["a", 1], ["a", 2]]),
    (["name", "n"], [[None, 1], ["a", 2]]),
    (["name", "city"], [["a", "b"], ["c", "d"]]),
    (["name", "n"], [["a", 1], ["b", None]]),
    (["name", "ArtistId"], [["a", 1], ["b", 2]]),
    (["name", "n"], [[f"name {n}", n] for n in range(31)]),
]


def test_what_is_no_series_has_no_chart(browser):
    found = "import('/chart.js').then((chart) => chart.seriesOf(%s, %s))"
    for columns, rows in NO_SERIES:
        assert browser.run(found % (json.dumps(columns), json.dumps(rows))) is None, columns
    assert browser.run(found % ('["name", "n"]', '[["a", 1], ["b", 2]]'))["isLine"] is False


def test_the_disagreement_is_told_in_words(browser):
    ask(browser, "Who has most albums?")
    assert browser.text("#agreement") == (
        "The 6 candidates that ran have 2 different results. 2 did not run."
    )
    assert "sorts or cuts the rows in another way; 5 rows instead of 10" in browser.text("#groups")


def test_the_keyboard_asks_and_brings_back_the_last_question(browser):
    browser.type("#question", "Who has most albums?")
    browser.press("Enter", control=True)
    answered(browser)
    assert browser.text("#state") == "Answered, 10 rows."
    browser.type("#question", " ")
    browser.run("document.querySelector('#question').value = ''")
    browser.press("ArrowUp")
    assert browser.run("document.querySelector('#question').value") == "Who has most albums?"


def test_earlier_questions_come_back_and_can_be_forgotten(browser):
    for question in ("Who has most albums?", "many tracks", "Who has most albums?"):
        ask(browser, question)
    choose(browser, "northwind")
    browser.open(browser.run("location.href"))
    browser.wait("document.querySelectorAll('#earlier button').length === 2")
    browser.click("#history summary")
    browser.click("#earlier li:nth-child(2) button")
    assert browser.run("document.querySelector('#question').value") == "many tracks"
    assert browser.run("document.querySelector('#database').value") == "chinook"
    browser.click("#forget")
    assert browser.run("document.querySelector('#history').hidden && localStorage.length === 0")


def test_sql_and_rows_are_copied(browser, address):
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    browser.send("Browser.grantPermissions", origin=address, permissions=permissions)
    ask(browser, "a formula")
    for button, copied in (
        ("#copy-sql", "SELECT '=1+1' AS \"a,b\", 'say \"hi\"' AS c, NULL AS d, -1.5 AS e"),
        ("#copy-rows", 'a,b\tc\td\te\n\'=1+1\tsay "hi"\t\t-1.5'),
    ):
        browser.click(button)
        browser.wait("document.querySelector('#state').textContent.endsWith('copied.')")
        assert browser.run("navigator.clipboard.readText()") == copied


def test_rows_are_saved_as_csv_that_no_spreadsheet_runs(browser, tmp_path):
    browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    ask(browser, "a formula")
    browser.click("#download")
    file = tmp_path / "chinook.csv"
    wait_until(file.exists)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        assert list(csv.reader(lines)) == [
            ["a,b", "c", "d", "e"],
            ["'=1+1", 'say "hi"', "", "-1.5"],
        ]


@pytest.mark.skipif(find_axe() is None, reason=NO_AXE)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_serious_accessibility_finding(browser, pictures, scheme):
    scheme_of_the_system = {"name": "prefers-color-scheme", "value": scheme}
    browser.send("Emulation.setEmulatedMedia", features=[scheme_of_the_system])
    ask(browser, "Who has most albums?")
    for summary in ("#schema", "#schema details", "#history", "#failed"):
        browser.click(f"{summary} summary")
    assert harmful_findings(browser) == []
    browser.screenshot(pictures / f"all_open_{scheme}.png")
    browser.size(360, 740)
    ask(browser, "a broken one")
    assert harmful_findings(browser) == []
    browser.screenshot(pictures / f"narrow_{scheme}.png")
