"""A headless Chromium, driven over its DevTools protocol."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from pathlib import Path

import httpx
from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-port=0", "--remote-allow-origins=*",
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2",  # a mouse, as on a computer
)  # fmt: skip


NO_BROWSER = f"no Chromium is installed ({', '.join(NAMES)}); .ci/run installs it"


def find_browser():
    """The path of an installed browser, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a browser that runs with the given profile folder."""

    def __init__(self, profile: Path):
        command = [find_browser(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        port = self._port(profile / "DevToolsActivePort")
        targets = httpx.get(f"http://127.0.0.1:{port}/json").json()
        page = next(target for target in targets if target["type"] == "page")
        self.socket = connect(page["webSocketDebuggerUrl"], max_size=None, legacy=True)
        self.numbers = itertools.count(1)
        self.events = []
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def _port(self, file):
        for _ in range(600):
            if file.exists() and (text := file.read_text()).count("\n"):
                return int(text.split()[0])
            time.sleep(0.05)
        raise AssertionError("the browser did not start in 30 s")

    def send(self, method, **parameters):
        """The result of a method; events that arrive meanwhile are kept for `complaints`."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.socket.recv(timeout=30))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def size(self, width, height):
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def open(self, url):
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def run(self, script):
        """The value of a JavaScript expression."""
        evaluated = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in evaluated, evaluated
        return evaluated["result"].get("value")

    def wait(self, condition):
        """Until the JavaScript expression is true; 30 s at most."""
        for _ in range(600):
            if self.run(condition):
                return
            time.sleep(0.05)
        raise AssertionError(f"not true after 30 s: {condition}")

    def type(self, selector, text):
        """Replace the text of a field through the keyboard, as a person does."""
        self.run(f"document.querySelector({selector!r}).focus()")
        self.run(f"document.querySelector({selector!r}).select?.()")
        self.send("Input.insertText", text=text)

    def press(self, key, *, control=False):
        """Press a key and release it, such as "Enter" or "ArrowUp"."""
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, modifiers=2 * control)

    def click(self, selector):
        """Click in the middle of an element."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView();"
            " const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent",
                type=kind, x=x, y=y, button="left", clickCount=1,
            )  # fmt: skip

    def text(self, selector):
        """The visible text of an element."""
        return self.run(f"document.querySelector({selector!r}).innerText")

    def complaints(self):
        """Exceptions of the page's scripts, and what the browser logged as errors."""
        self.run("1")  # receives the events that have arrived
        return [
            event
            for event in self.events
            if event["method"] == "Runtime.exceptionThrown"
            or event.get("params", {}).get("entry", {}).get("level") == "error"
        ]

    def screenshot(self, file):
        picture = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(picture["data"]))

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(timeout=30)
