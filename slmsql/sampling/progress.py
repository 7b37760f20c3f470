"""The progress of a long job: a bar on a terminal, a line every ten seconds in a log."""

import sys
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm


class Progress:
    """Counts questions and tokens on standard error."""

    def __init__(self, name: str, total: int, done: int = 0) -> None:
        bar: type[tqdm[Any]] = tqdm if sys.stderr.isatty() else _LogLines
        self._bar = bar(
            desc=name,
            total=total,
            initial=done,
            unit=" questions",
            file=sys.stderr,
            mininterval=0.2 if sys.stderr.isatty() else 10.0,
            dynamic_ncols=True,
        )
        self._tokens = 0
        self._start = time.monotonic()

    def step(self, tokens: int = 0) -> None:
        """Count one more question."""
        self._tokens += tokens
        if self._tokens:
            rate = self._tokens / max(time.monotonic() - self._start, 1e-9)
            self._bar.set_postfix_str(f"{rate:,.0f} tokens/s", refresh=False)
        self._bar.update()

    def finish(self) -> None:
        """Show the last state."""
        self._bar.close()


class _LogLines(tqdm):  # type: ignore[misc]  # tqdm has no types
    """Prints each state on a line of its own."""

    @staticmethod
    def status_printer(file: Any) -> Callable[[str], None]:
        def print_line(text: str) -> None:
            if text.strip():
                print(text, file=file, flush=True)

        return print_line
