"""Corrective self-consistency in one command: generate, vote, revise; each model is loaded once.

    python inference/csc.py --model MODEL --merge_model MERGE_MODEL --questions FILE --output DIR

DIR gets candidates.jsonl, votes.jsonl (the first vote alone), revisions.jsonl and
predictions.jsonl. With two models each stage is a program of its own, whose command line is
printed, so that the first has freed its memory; finished stages are not run again. Without
--merge_model the generator revises.
"""

import ctypes
import shlex
import signal
import subprocess
import sys
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from inference import generate, revise, vote
from inference.inputs import RevisionOptions, VoteOptions
from inference.sampling.loading import check_sampler, sampler_when_needed
from slmsql.cli.config import as_arguments, parse
from slmsql.errors import run_program

FOLDER = Path(__file__).parent
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@dataclass(kw_only=True)
class Options(VoteOptions, RevisionOptions, generate.Options):
    """Options of both stages; those of the revision begin with `merge_`."""

    output: Path = field(metadata={"help": "folder for the files of all stages"})
    merge_model: str = field(default="", metadata={"help": "model that revises; default: --model"})
    merge_adapter: str = field(default="", metadata={"help": "LoRA adapter of the merge model"})
    merge_endpoints: list[str] = field(
        default_factory=list, metadata={"help": "its endpoints; default: --endpoints"}
    )
    merge_n: int = field(default=8, metadata={"help": "revisions of a question"})
    merge_temperature: float = field(default=0.8, metadata={"help": "0 is greedy: one revision"})
    merge_max_tokens: int = field(default=1024, metadata={"help": "length of a revision"})

    def __post_init__(self) -> None:
        generate.Options.__post_init__(self)
        RevisionOptions.__post_init__(self)

    def first(self) -> generate.Options:
        """The options of the first stage."""
        values = asdict(self) | {"output": self.output / "candidates.jsonl"}
        return generate.Options(**_own(generate.Options, values))

    def second(self) -> revise.Options:
        """The options of the second stage."""
        values = asdict(self) | {
            "model": self.merge_model or self.model,
            "adapter": self.merge_adapter if self.merge_model else self.adapter,
            "candidates": [self.output / "candidates.jsonl"],
            "output": self.output / "predictions.jsonl",
            "revisions": self.output / "revisions.jsonl",
            "endpoints": self.merge_endpoints or self.endpoints,
            "n": self.merge_n,
            "temperature": self.merge_temperature,
            "max_tokens": self.merge_max_tokens,
        }
        return revise.Options(**_own(revise.Options, values))

    def votes(self) -> vote.Options:
        """The options of the vote between them, which needs no model."""
        values = asdict(self) | {
            "candidates": [self.output / "candidates.jsonl"],
            "output": self.output / "votes.jsonl",
            "json": None,
        }
        return vote.Options(**_own(vote.Options, values))


def main(options: Options) -> None:
    """Run the three stages."""
    first, second = options.first(), options.second()
    if (first.model, first.adapter) == (second.model, second.adapter):
        with sampler_when_needed(first) as sampler:
            generate.run(first, sampler)
            vote.main(options.votes())
            revise.run(second, sampler)
    else:
        check_sampler(second)  # not only when the first has done its work
        _run("generate.py", first)
        vote.main(options.votes())
        _run("revise.py", second)


def _run(program: str, options: generate.Options | revise.Options) -> None:
    command = [sys.executable, str(FOLDER / program), *_arguments(options)]
    print(shlex.join(command), flush=True)
    if code := subprocess.run(command, check=False, preexec_fn=_end_with_parent).returncode:
        sys.exit(code)  # the stage has said why


def _end_with_parent() -> None:
    """A stage that outlived a kill of this program would keep its output from the next one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _own(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    return {one.name: values[one.name] for one in fields(kind)}


def _arguments(options: generate.Options | revise.Options) -> list[str]:
    """The options as words, without those that are at their defaults."""
    defaults = {
        one.name: one.default_factory() if one.default_factory is not MISSING else one.default
        for one in fields(options)
    }
    return as_arguments(
        {
            name: value
            for name, value in asdict(options).items()
            if value not in (defaults[name], None)
        }
    )


if __name__ == "__main__":
    run_program(lambda: main(parse(Options, about=__doc__)))
