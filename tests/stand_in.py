"""A server that stands in for an OpenAI-compatible one: it answers as told, also badly."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Answers as a script says: one behaviour a request, then properly."""

    daemon_threads = True
    request_queue_size = 128  # else many at once are refused by the system

    def __init__(self, script=(), always=None, models=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.always = always
        self.models = models  # those that /v1/models lists, or an answer with a status
        self.seen = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def next(self):
        with self.lock:
            return self.script.pop(0) if self.script else self.always


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        models = self.server.models
        if self.path != "/v1/models" or models is None:
            self.answer(404, {"error": "no such page"})
        elif isinstance(models, tuple):
            self.answer(*models)
        else:
            self.answer(200, {"data": [{"id": name} for name in models]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, dict(self.headers), body))
        behaviour = self.server.next()
        if behaviour is None:
            self.answer(200, proper(body))
        elif callable(behaviour):
            answer = behaviour(body)
            self.answer(*answer) if isinstance(answer, tuple) else self.answer(200, answer)
        else:
            getattr(self, behaviour)()

    def answer(self, status, content, **headers):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def overloaded(self):
        self.answer(429, {"error": "slow down"}, Retry_After="0")

    def broken(self):
        self.answer(500, {"error": "oops"})

    def unknown_model(self):
        self.answer(404, {"error": "no such model"})

    def wrong_key(self):
        self.answer(401, {"error": "wrong API key"})

    def filtered(self):
        self.answer(400, {"error": "the prompt triggered the content filter"})

    def too_long(self):
        self.answer(400, {"error": "This model's maximum context length is 10 tokens"})

    def garbage(self):
        self.answer(200, b"<html>not JSON")

    def empty(self):
        self.answer(200, {"choices": []})

    def odd(self):
        self.answer(200, {"choices": [{"message": {"content": 3}}]})

    def null(self):
        self.answer(200, None)

    def hang_up(self):
        self.close_connection = True
        self.connection.close()

    def half(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')
        self.close_connection = True

    def stall(self):
        time.sleep(2)
        self.close_connection = True

    def log_message(self, *_):
        pass


def choice(text, reason="stop", **message):
    return {"message": {"content": text, **message}, "finish_reason": reason}


def proper(body, count=None):
    text = f"<think>\nx\n</think>\n<answer>\nSELECT {body['seed']}\n"
    return {
        "choices": [choice(text)] * (count or body["n"]),
        "usage": {"prompt_tokens": 7, "completion_tokens": 5 * body["n"]},
    }
