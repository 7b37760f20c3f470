"""Publishing through the real client, to a small hub of this machine that fails at first."""

import json
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import huggingface_hub.constants
import pytest

import slmsql.training.publish
from slmsql.errors import InputError
from slmsql.training.publish import publish


class Hub(ThreadingHTTPServer):
    """What the hub keeps, and the requests it is still to refuse."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.refuse = {}
        self.requests = []
        self.large = {}
        self.files = {}


class Answer(BaseHTTPRequestHandler):
    """The hub's HTTP, as far as an upload asks for it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.path.split("?")[0].split("/")[-2 if "/api/models" in self.path else -1]
        self.server.requests.append(kind)
        if self.server.refuse.get(kind, 0):
            self.server.refuse[kind] -= 1
            return self.reply({"error": "not now"}, 403)  # on others the client tries again itself
        return self.reply(getattr(self, kind.replace("-", "_"))(body))

    do_PUT = do_POST  # a large file

    def create(self, body):
        return {"url": f"{self.server.address}/me/{json.loads(body)['name']}"}

    def validate_yaml(self, body):
        return {"warnings": [], "errors": []}

    def preupload(self, body):
        paths = [file["path"] for file in json.loads(body)["files"]]
        modes = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in paths}
        return {
            "files": [{"path": p, "uploadMode": modes[p], "shouldIgnore": False} for p in modes]
        }

    def batch(self, body):
        objects = json.loads(body)["objects"]
        for one in objects:
            if one["oid"] not in self.server.large:
                href = f"{self.server.address}/{one['oid']}/upload"
                one["actions"] = {"upload": {"href": href}}
        return {"transfer": "basic", "objects": objects}

    def upload(self, body):
        self.server.large[self.path.split("/")[1]] = body
        return {}

    def commit(self, body):
        lines = [json.loads(line) for line in body.splitlines()]
        for value in (line["value"] for line in lines if line["key"] != "header"):
            content = value.get("content")
            large = self.server.large.get(value.get("oid"))
            self.server.files[value["path"]] = b64decode(content) if content else large
        return {"commitUrl": f"{self.server.address}/me/x/commit/1", "commitOid": "1"}

    def reply(self, content, status=200):
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def mode(path):
    return {"uploadMode": "lfs" if path.endswith(".safetensors") else "regular"}


@pytest.fixture
def hub(monkeypatch):
    with Hub() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(slmsql.training.publish.time, "sleep", lambda seconds: None)
        yield server
        server.shutdown()


@pytest.fixture
def folder(tmp_path):
    for name in ("model.safetensors", "README.md", "samples.jsonl", "checkpoint-2/optimizer.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_it_is_tried_again_and_what_arrived_is_not_sent_again(hub, folder, capsys):
    hub.refuse = {"create": 1, "upload": 1, "commit": 1}
    publish(folder, name="model", private=True, token="hf_x")
    assert hub.files == {name: name.encode() for name in ("model.safetensors", "README.md")}
    assert hub.requests.count("upload") == 2  # one was refused
    assert hub.requests.count("commit") == 2
    assert "push to model, attempt 3 of 5: " in capsys.readouterr().out


def test_after_the_last_attempt_it_says_so_and_a_later_call_sends_only_the_rest(hub, folder):
    hub.refuse = {"commit": slmsql.training.publish.ATTEMPTS}
    with pytest.raises(InputError, match=r"could not be pushed to model: .*run it again later"):
        publish(folder, name="model", private=True, token="hf_x")
    assert not hub.files
    publish(folder, name="model", private=True, token="hf_x")
    assert hub.files.keys() == {"model.safetensors", "README.md"}
    assert hub.requests.count("upload") == 1
