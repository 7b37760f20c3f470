"""Attacks on the server: slow clients, odd Unicode, forged keys, generated requests."""

import contextlib
import json
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slmsql.commands.serve import check_key
from slmsql.consistency.prediction import Prediction
from slmsql.errors import InputError
from slmsql.execution import Execution, Status, create_database
from slmsql.server import connections
from slmsql.server.admission import Admission
from slmsql.server.answering import Site
from slmsql.server.connections import connection_class
from slmsql.server.routes import build_app
from slmsql.server.service import Reply
from slmsql.server.uploaded_schema import UploadedSchemas
from tests.running_server import SHOP, answer, free_port, start, stop, wait_until
from tests.stand_in import Server

ASK = {"question": "How many albums?", "database": "shop"}


class Echo:
    """A service that answers each question with itself."""

    is_alive = True

    def ask(self, question):
        execution = Execution(Status.OK, columns=("q",), rows=((question.text,),), row_count=1)
        return Reply(Prediction("q", question.text), execution, (), (), (), 0, 0.0)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    create_database(folder / "shop.sqlite", SHOP)
    (folder / "uploads").mkdir()
    admission = Admission(concurrent=4, waiting=100, seconds=30)
    databases = {"shop": folder / "shop.sqlite"}

    def make(key=""):
        return build_app(
            Site(Echo(), databases, UploadedSchemas(folder / "uploads"), admission, key)
        )

    yield make
    admission.close()


@pytest.fixture(scope="module")
def client(site):
    with TestClient(site()) as client:  # raises what the server does not catch
        yield client


@contextmanager
def served(app):
    """The application on a port of this machine, with the connections of `serve`."""
    port = free_port()
    config = uvicorn.Config(
        app, port=port, http=connection_class(), ws="none", log_level="critical", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield port
    server.should_exit = True
    thread.join(timeout=10)


def connect(port, *texts):
    """A socket that has sent these bytes and waits."""
    opened = socket.create_connection(("127.0.0.1", port), timeout=10)
    for text in texts:
        opened.sendall(text)
    return opened


def is_cut_off(opened, seconds=5):
    """Whether the server closes this connection."""
    opened.settimeout(seconds)
    try:
        while opened.recv(100_000):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


# Slow clients


HALVES = [
    b"",
    b"G",
    b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    b"POST /api/ask HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nG",  # one whole request, then a slow one
]


@pytest.mark.slow
def test_500_slow_sockets_keep_nobody_from_an_answer(tmp_path):
    create_database(tmp_path / "shop.sqlite", SHOP)
    model = Server(always=answer)
    words = ("--concurrent", "4", "--waiting", "100")
    process, client = start(model, tmp_path, *words, SLMSQL_KEY="secret")
    headers = {"Authorization": "Bearer secret"}
    with ExitStack() as sockets:
        for number in range(500):
            half = HALVES[number % len(HALVES)]
            sockets.enter_context(connect(client.base_url.port, half))
        for path, body in (("/health", None), ("/api/ask", ASK), ("/health", None)):
            # A client of its own, so that each request opens a connection.
            with httpx.Client(base_url=client.base_url, headers=headers, timeout=2) as honest:
                response = honest.post(path, json=body) if body else honest.get(path)
            assert response.status_code == 200
    stop(process)


@pytest.mark.parametrize("half", HALVES)
def test_a_request_that_stays_incomplete_is_cut_off(site, monkeypatch, half):
    monkeypatch.setattr(connections, "DEADLINE", 0.3)
    with served(site()) as port, connect(port, half) as slow:
        if half.endswith(b"\r\nG"):
            assert b"200 OK" in slow.recv(10_000)
        assert is_cut_off(slow)


def test_a_byte_now_and_then_does_not_extend_the_deadline(site, monkeypatch):
    monkeypatch.setattr(connections, "DEADLINE", 0.5)

    def send_slowly(opened):
        for _ in range(100):
            opened.sendall(b"x")
            time.sleep(0.05)

    half = b"GET / HTTP/1.1\r\nX-Slow: "
    with served(site()) as port, connect(port, half) as slow, pytest.raises(ConnectionError):
        send_slowly(slow)


def test_a_client_that_does_not_read_its_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(connections, "DEADLINE", 0.3)
    size = 50_000_000

    async def long_answer(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(50):
            await send({"type": "http.response.body", "body": bytes(size // 50), "more_body": True})
        await send({"type": "http.response.body"})

    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with served(long_answer) as port, connect(port, request) as honest:
        assert received(honest) > size
    with served(long_answer) as port, connect(port, request) as slow:
        time.sleep(1.5)
        assert received(slow) < size


def received(opened):
    """The number of bytes until the connection is closed."""
    total = 0
    with contextlib.suppress(ConnectionError):
        while part := opened.recv(1_000_000):
            total += len(part)
    return total


def test_the_oldest_waiting_connection_of_a_client_makes_room(site, monkeypatch):
    monkeypatch.setattr(connections, "MOST_PER_CLIENT", 3)
    with served(site()) as port, ExitStack() as stack:
        slow = [stack.enter_context(connect(port, b"G")) for _ in range(5)]
        assert [is_cut_off(opened, 0.5) for opened in slow] == [True, True, False, False, False]


def test_a_slow_answer_is_waited_for(site, monkeypatch):
    """The deadline is the client's: the server may take longer."""
    monkeypatch.setattr(connections, "DEADLINE", 0.2)
    answer_at_once = Echo.ask

    def answer_later(service, question):
        time.sleep(1)
        return answer_at_once(service, question)

    monkeypatch.setattr(Echo, "ask", answer_later)
    with served(site()) as port:
        response = httpx.post(f"http://127.0.0.1:{port}/api/ask", json=ASK, timeout=10)
    assert response.status_code == 200


# Bodies


@pytest.mark.parametrize(
    "body",
    [
        r'{"question": "\ud800", "database": "shop"}',
        r'{"question": "x", "database": "\udfff"}',
        r'{"question": "x", "ddl": "CREATE TABLE t (\ud800)"}',
        r'{"question": "x", "database": "shop", "evidence": "\ud83d"}',
        r'{"question": "x", "database": "shop", "\ud800": 1}',
        '{"question": NaN, "database": "shop"}',
        '{"question": "x", "database": Infinity}',
        '{"question": "x", "database": "shop", "evidence": [-Infinity]}',
        '{"question": {"a": NaN}}',
        "NaN",
        r'"\ud800"',
        "null",
        "[]",
        "",
    ],
)
def test_json_that_cannot_be_sent_back_is_status_422_without_echo(client, body):
    response = client.post("/api/ask", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert "ud8" not in response.text
    assert "NaN" not in response.text


@pytest.mark.parametrize(
    "body",
    [b"[" * 200_000, b'{"question": ' + b"9" * 5000 + b"}", b'{"question": "\xff"}', b"\xff"],
)
def test_bodies_that_cannot_be_parsed_are_refused(client, body):
    response = client.post("/api/ask", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert isinstance(response.json()["detail"], str)


def test_an_error_names_neither_the_input_nor_a_path_of_the_server(client):
    for body in (
        {"question": "x", "ddl": "CREATE TABLE sqlite_x (a INT)"},
        {"question": "x", "database": "<b>secret</b>"},
        {"question": "x", "database": "shop", "<b>secret</b>": 1},
        {"question": ["<b>secret</b>"], "database": "shop"},
    ):
        response = client.post("/api/ask", json=body)
        assert response.status_code == 422
        assert "secret" not in response.text
        assert "/tmp" not in response.text


# Keys (RFC 6750: `Bearer`, in any case, a space, the token)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer secret", 200),
        ("bearer secret", 200),
        ("BEARER  secret", 200),
        ("secret", 401),
        ("Bearer", 401),
        ("Bearer secret2", 401),
        ("Bearer secre", 401),
        ("Bearersecret", 401),
        ("Basic secret", 401),
        ("Bearer Bearer secret", 401),
        ("Bearer sécret".encode(), 401),
        (b"Bearer \xff\xfe", 401),
        ("", 401),
    ],
)
def test_a_key_is_a_bearer_token(site, header, status):
    with TestClient(site("secret")) as client:
        response = client.post("/api/ask", json=ASK, headers={"Authorization": header})
    assert response.status_code == status
    if status == 401:
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["schlüssel", "two words", "a\nb", "=", "ключ"])
def test_a_key_that_no_client_can_send_ends_the_start(monkeypatch, key):
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(InputError, match="MY_KEY may contain only"):
        check_key("MY_KEY")


@pytest.mark.parametrize("host", ["x", "x/y?", "x/y#", "/", "x@y", "[::1]:1"])
@pytest.mark.parametrize("path", ["/api/ask", "/%61pi/ask", "/api/ask?x=1"])
def test_no_header_and_no_spelling_of_the_path_goes_past_the_key(site, host, path):
    with TestClient(site("secret")) as client:
        assert client.post(path, json=ASK, headers={"Host": host}).status_code == 401


def test_without_a_key_the_body_is_not_read(site):
    with TestClient(site("secret")) as client:
        assert client.post("/api/ask", content=b"{not json").status_code == 401


# Generated requests

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["question", "database", "ddl", "evidence", "other"])
WORDS = ["CREATE TABLE ", "t", "(", ")", "a", " INT", ",", ";", '"', "--", "\0"]
SQL = st.lists(st.sampled_from(WORDS)).map("".join)


@pytest.mark.slow
@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(body=st.dictionaries(FIELDS, JSON | SQL | st.just("shop"), max_size=5) | JSON)
def test_any_json_gets_an_answer_or_a_refusal(client, body):
    response = client.post(
        "/api/ask", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert response.status_code in (200, 413, 422)
    if response.status_code != 200:
        assert isinstance(response.json()["detail"], str)


@pytest.mark.slow
def test_the_server_does_what_its_description_says(site):
    """Requests that schemathesis makes from /openapi.json, valid ones and others."""
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    schema = schemathesis.openapi.from_asgi("/openapi.json", site())

    @settings(
        max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(data=st.data())
    def fuzz(data):
        for operation in schema.get_all_operations():
            case = data.draw(operation.ok().as_strategy(), label=operation.ok().label)
            # A name can be valid by its type, and still be that of no database.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

    fuzz()
