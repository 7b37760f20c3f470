"""How far a long job is: one line, rewritten on a terminal, now and then elsewhere."""

import sys
import time


class Progress:
    """Counts questions and tokens on standard error."""

    def __init__(self, name: str, total: int, done: int = 0) -> None:
        self._name = name
        self._total = total
        self._done = done
        self._tokens = 0
        self._start = self._shown = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def step(self, tokens: int = 0) -> None:
        """One question more."""
        self._done += 1
        self._tokens += tokens
        now = time.monotonic()
        if now - self._shown > (0.2 if self._terminal else 10.0):
            self._shown = now
            self._show("\r" if self._terminal else "\n")

    def finish(self) -> None:
        """The last state, on a line of its own."""
        if self._terminal:
            print("\r", end="", file=sys.stderr)
        self._show("\n")

    def _show(self, end: str) -> None:
        seconds = max(time.monotonic() - self._start, 1e-9)
        rate = f", {self._tokens / seconds:,.0f} tokens/s" if self._tokens else ""
        line = f"{self._name}: {self._done}/{self._total} questions in {seconds:.0f} s{rate}"
        print(f"{line:<70}", end=end, file=sys.stderr, flush=True)
