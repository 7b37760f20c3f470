"""The server's page in a real browser: ask, see rows and groups, see why a question fails."""

import os
import tarfile
from pathlib import Path

import pytest

from tests.running_server import ROOT, start, stop
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
    "hostile": ["SELECT '<img src=x onerror=document.title=1>' AS \"<b>x</b>\""],
}


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
def address(chinook):
    model = Server(always=answer)
    process, client = start(model, chinook)
    yield str(client.base_url)
    stop(process)
    model.shutdown()


@pytest.fixture
def browser(tmp_path, address):
    browser = Browser(tmp_path / "profile")
    browser.size(1200, 900)
    browser.open(address)
    browser.wait("document.querySelectorAll('#database option').length > 0")
    yield browser
    browser.close()


@pytest.fixture
def pictures(tmp_path):
    """The folder for screenshots; set SCREENSHOTS=FOLDER to look at them."""
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ask(browser, question):
    browser.type("#question", question)
    browser.click("#ask")
    browser.wait("!document.querySelector('#ask').disabled")


def test_a_person_asks_on_chinook_and_sees_rows_and_groups(browser, pictures):
    assert browser.text("#database").split() == ["chinook", "northwind"]
    ask(browser, "Who has most albums?")
    assert "COUNT(*) AS albums\nFROM Artist" in browser.text("#sql")
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
    assert browser.run("document.title") == "Ask a database"


def test_another_database_is_picked_and_its_tables_shown(browser):
    browser.run(
        "document.querySelector('#database').value = 'northwind';"
        "document.querySelector('#database').dispatchEvent(new Event('change'))"
    )
    browser.click("#schema summary")
    assert "Order Details (OrderID, ProductID" in browser.text("#tables")


def test_a_link_carries_a_question(browser, address):
    browser.open(f"{address}/?database=northwind&question=Who%3F")
    browser.wait("document.querySelector('#question').value === 'Who?'")
    assert browser.run("document.querySelector('#database').value") == "northwind"
