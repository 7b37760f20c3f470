"""A missing model is reported within seconds, in one line."""

import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from slmsql.errors import InputError
from slmsql.files import write_jsonl
from slmsql.training.model_check import check_model
from tests.in_process import run_here

pytest.importorskip("huggingface_hub")
ROOT = Path(__file__).parent.parent
CHECK = "import sys; from slmsql.training.model_check import check_model; check_model(sys.argv[1])"


class Hub(BaseHTTPRequestHandler):
    """Has one model; a second is for those who were let in."""

    def do_HEAD(self):
        known = {"/owner/there/resolve/main/config.json": 200, "/owner/gated/": 401}
        self.send_response(next((s for p, s in known.items() if self.path.startswith(p)), 404))
        self.send_header("ETag", '"x"')
        self.send_header("X-Repo-Commit", "c")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def check(name, tmp_path, **environment):
    """In a process of its own: the hub's library reads its environment once."""
    environment = {"PATH": "/usr/bin:/bin", "HF_HOME": str(tmp_path), **environment}
    done = subprocess.run(
        [sys.executable, "-c", CHECK, name],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stderr.strip().rpartition("\n")[2]


def cached(tmp_path, owner, name):
    folder = tmp_path / "hub" / f"models--{owner}--{name}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / "config.json").write_text("{}")


def test_a_folder_must_have_the_configuration_of_a_model(tmp_path):
    with pytest.raises(InputError, match=r"there is no config\.json in it"):
        check_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    check_model(str(tmp_path))
    with pytest.raises(InputError, match=r"there is no adapter_config\.json in it"):
        check_model(str(tmp_path), file="adapter_config.json")


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/nowhere", "a/b/c"])
def test_a_path_that_is_not_there_is_no_name_of_the_hub(name):
    with pytest.raises(InputError, match="is not a model folder"):
        check_model(name)


def test_a_model_of_the_hub_is_known_by_one_request(tmp_path, hub):
    assert check("owner/there", tmp_path, HF_ENDPOINT=hub) == ""
    assert "cannot be loaded from the hub" in check("owner/nowhere", tmp_path, HF_ENDPOINT=hub)
    assert "cannot be loaded from the hub" in check("owner/gated", tmp_path, HF_ENDPOINT=hub)


def test_a_model_in_the_cache_needs_no_hub(tmp_path):
    cached(tmp_path, "owner", "here")
    assert check("owner/here", tmp_path, HF_HUB_OFFLINE="1") == ""
    assert "the hub is off" in check("owner/nowhere", tmp_path, HF_HUB_OFFLINE="1")


def test_a_hub_that_cannot_be_reached_is_given_up_at_once(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        start = time.monotonic()
        found = check(
            "owner/name", tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{closed.getsockname()[1]}"
        )
    assert "owner/name is not a folder, and cannot be loaded from the hub" in found
    assert time.monotonic() - start < 15


@pytest.mark.slow
def test_a_hub_that_does_not_answer_is_given_up_in_seconds(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        found = check(
            "owner/name", tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}"
        )
    assert "cannot be loaded from the hub" in found
    assert time.monotonic() - start < 30


def test_a_model_must_be_named():
    with pytest.raises(InputError, match="no model is named"):
        check_model(None)


@pytest.mark.parametrize(
    ("program", "words", "message"),
    [
        ("rl/grpo.py", ("--train_file", "nowhere.jsonl"), "no file nowhere.jsonl"),
        (
            "rl/grpo.py",
            ("--train_file", __file__, "--validation_file", "nowhere.jsonl"),
            "no file nowhere.jsonl",
        ),
        (
            "rl/grpo.py",
            ("--train_file", __file__, "--model_name_or_path", "./nowhere"),
            "./nowhere is not a model folder",
        ),
        (
            "sft/train.py",
            ("--data", "ROWS", "--model_name_or_path=./nowhere"),
            "./nowhere is not a model folder",
        ),
        ("sft/train.py", ("--data", "ROWS", "--model_name_or_path"), "no model is named"),
    ],
)
def test_a_training_finds_what_is_missing_before_it_imports_trl(
    program, words, message, monkeypatch, tmp_path
):
    turns = {"prompt": [{"role": "user", "content": "?"}]}
    turns["completion"] = [{"role": "assistant", "content": "SELECT 1"}]
    rows = tmp_path / "rows.jsonl"
    write_jsonl(rows, [turns])
    monkeypatch.setitem(sys.modules, "trl", None)  # an import of it would now fail
    done = run_here(program, *[rows if word == "ROWS" else word for word in words])
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_name_that_none_could_have_is_refused():
    with pytest.raises(InputError, match="cannot be a name on the hub"):
        check_model("not a name")
