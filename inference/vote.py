"""`slmsql vote`, for those who run it from a checkout."""

from slmsql.commands import run_command
from slmsql.commands.vote import Options, main

__all__ = ["Options", "main"]

if __name__ == "__main__":
    run_command("vote")
