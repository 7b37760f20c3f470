"""`slmsql sample`, for those who run it from a checkout."""

from slmsql.commands import run_command
from slmsql.commands.sample import Options, main

__all__ = ["Options", "main"]

if __name__ == "__main__":
    run_command("sample")
