"""Starts `serve` as a user does, with a model that answers by a word of the question."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.stand_in import choice

ROOT = Path(__file__).parent.parent
SHOP = """
CREATE TABLE artist (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE album (id INTEGER PRIMARY KEY, title TEXT, artist_id INTEGER REFERENCES artist (id));
INSERT INTO artist VALUES (1, 'AC/DC'), (2, '<b>Bold</b>');
INSERT INTO album VALUES (1, 'Rock', 1), (2, 'Restless', 1), (3, 'Quiet', 2);
"""
# What the model answers, by a word of the question.
ANSWERS = {
    "albums": [
        "SELECT name, count(*) AS albums FROM artist JOIN album ON artist.id = artist_id"
        " GROUP BY name ORDER BY name"
    ],
    "doubt": ["SELECT count(*) FROM album", "SELECT count(*) FROM artist"],
    "broken": ["SELECT nam FROM artist"],
    "delete": [
        "DELETE FROM artist",
        "DROP TABLE artist",
        "ATTACH '/tmp/x' AS y",
        "PRAGMA writable_schema = 1",
    ],
    "endless": ["WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"],
    "nothing": [""],
    "odd": ["SELECT x'00ff', NULL, 9007199254740993, 9e999, 'a' || char(0) || 'b'"],
}


def answer(body):
    text = body["messages"][-1]["content"]
    if "slow" in text:
        time.sleep(1.5)
    word = next((word for word in ANSWERS if word in text), "albums")
    sql = [ANSWERS[word][n % len(ANSWERS[word])] for n in range(body["n"])]
    choices = [choice(f"<think>\nx\n</think>\n<answer>\n{query}\n") for query in sql]
    return {"choices": choices, "usage": {"prompt_tokens": 100, "completion_tokens": 9 * len(sql)}}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(model, databases, *words, **environment):
    """Start `serve` with a model behind an endpoint."""
    asked = ("--model", "m", "--endpoints", model.url, "--retries", "0")
    return serve(databases, *asked, *words, **environment)


def serve(databases, *words, **environment):
    """Start `serve`; returns the process and a client once it answers."""
    port = free_port()
    command = [sys.executable, "inference/serve.py", "--databases", str(databases)]
    command += ["--port", str(port), *words]
    with tempfile.TemporaryFile("w+") as errors:  # a pipe that nobody reads would fill up
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        )
        line = process.stdout.readline()
        errors.seek(0)
        assert line.startswith("http://"), errors.read()
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
    wait_until(lambda: healthy(client))
    return process, client


def healthy(client):
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(holds):
    for _ in range(200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about in 10 s")


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    return process.returncode
