"""The program `slmsql`: text to SQL from the command line."""

import sys

from slmsql.commands import COMMANDS, run_command


def main() -> None:
    """Run the command that the first word names."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        print(usage())
    elif words[0] in COMMANDS:
        sys.argv = [f"slmsql {words[0]}", *words[1:]]
        run_command(words[0])
    else:
        print(
            f"error: no command {words[0]!r}; the commands are {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        sys.exit(2)


def usage() -> str:
    """What `slmsql --help` prints."""
    lines = [f"  {name:<9} {about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "usage: slmsql COMMAND [--OPTION VALUE ...]",
            "",
            *lines,
            "",
            "`slmsql COMMAND --help` explains a command.",
        ]
    )


if __name__ == "__main__":
    main()
