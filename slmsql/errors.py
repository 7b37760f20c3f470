"""What a user can put right: reported as one line, never as a traceback."""

import sys
from collections.abc import Callable


class InputError(ValueError):
    """Input that cannot be used. The message names the value, what was expected and the way out."""


def run_program(main: Callable[[], None]) -> None:
    """Run a program's `main`; a mistake in its input ends it with one line and exit code 2.

    Faults of our own keep their traceback: only `InputError` and missing files are the user's.
    """
    try:
        main()
    except (InputError, FileNotFoundError, NotADirectoryError, PermissionError) as error:
        sys.exit(_one_line(error))
    except BrokenPipeError:  # `program | head`
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _one_line(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2
