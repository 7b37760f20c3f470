"""The programs of an installed package: `slmsql NAME`.

Each module has `Options`, the options of a command; `main`, which runs it; and a docstring, which
is its --help. `ESSENTIAL` names the options that --help shows, if these are not all. May import
every other room.
"""

from importlib import import_module

COMMANDS = {
    "ask": "ask questions about a database in the terminal",
    "sample": "write a sample database to ask about",
    "serve": "answer questions over HTTP, with a page to ask them on",
    "evaluate": "score predictions against gold queries",
    "vote": "choose one SQL per question from candidates of any system",
    "compare": "is one run better than another, or is the difference chance?",
    "report": "write an HTML page about evaluated runs",
    "audit": "find the gold queries of a benchmark that cannot be trusted",
    "mcp": "offer databases as tools to an assistant (Model Context Protocol)",
}


def run_command(name: str) -> None:
    """Run a command with the options of this process's command line; errors are one line."""
    from slmsql.cli.config import parse  # only a command needs it, `slmsql --help` does not
    from slmsql.errors import run_program

    command = import_module(f"slmsql.commands.{name}")
    essential = getattr(command, "ESSENTIAL", ())
    run_program(
        lambda: command.main(parse(command.Options, about=command.__doc__, essential=essential))
    )
