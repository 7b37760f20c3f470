"""Errors that the user can fix. Programs report them in one line, without a traceback."""

import errno
import sys
from collections.abc import Callable


class InputError(ValueError):
    """Input that cannot be used. The message says what is wrong and how to fix it."""


def run_program(main: Callable[[], None]) -> None:
    """Run a program's `main`; an error in its input prints one line and exits with code 2.

    Only `InputError`, missing files, folders in place of files (or the reverse), missing
    permissions and a full disk count as errors in the input. Any other exception is a bug and keeps
    its traceback.
    """
    try:
        main()
    except (
        InputError,
        FileNotFoundError,
        IsADirectoryError,
        NotADirectoryError,
        PermissionError,
    ) as error:
        print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader is gone, as in `program | head`
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" for {error.filename}" if error.filename else ""
        print(f"error: there is no space left on the disk{where}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
