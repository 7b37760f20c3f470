"""How fast is scripts/prepare_synsql.py on millions of records, and how much memory does it take?

    python scripts/bench/prepare.py --data SYNSQL/data.json --databases SYNSQL/databases \\
        --folder /tmp/bench --records 1000000

Makes a file of that size by repeating real records, each time with another question and other
white space in the SQL, so that no record is a duplicate and no result is cached. Then it runs the
program on the file.

A good result: hours, not days, for all of SynSQL-2.5M, in about 500 MB (docs/data.md).

`--kill_after SECONDS` kills the program in the middle. The next call resumes, and measures the
speed from there.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from scripts.bench.processes import megabytes, process_tree, processor_seconds
from slmsql.cli.config import parse
from slmsql.cli.programs import start
from slmsql.errors import InputError, run_program
from slmsql.files import read_json, replacing, write_json

SYNSQL_RECORDS = 2_544_390
RECORDS_OF_A_PART = 1000  # the program writes and resumes by parts


@dataclass
class Options:
    data: str = field(metadata={"help": "real SynSQL records, any number"})
    databases: str = field(metadata={"help": "folder of <db_id>/<db_id>.sqlite"})
    folder: str = field(metadata={"help": "folder for the generated file and the rows"})
    records: int = field(default=10_000, metadata={"help": "records of the generated file"})
    tokenizer: str = field(default="", metadata={"help": "as for scripts/prepare_synsql.py"})
    workers: int = field(default=2, metadata={"help": "processes that build rows"})
    kill_after: float = field(default=0, metadata={"help": "seconds; 0: let it finish"})
    json: str = field(default="", metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of the program."""

    records: int
    done_before: int
    done_now: int
    seconds: float
    processor_seconds: float
    """Of all processes: on a busy machine a fairer measure of speed than `seconds`."""
    records_per_second: float
    hours_for_synsql: float
    peak_megabytes: float
    finished: bool


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of a run used."""

    status: int
    seconds: float
    processor_seconds: float
    peak_megabytes: float


def main() -> None:
    options = parse(Options, about=__doc__)
    folder = Path(options.folder)
    data = folder / f"data-{options.records}.json"
    output = folder / f"think-{options.records}.jsonl"
    if not data.is_file():
        write_repeated(data, Path(options.data), options.records)
    figures = measure(options, data, output)
    for name, value in asdict(figures).items():
        print(f"{name.replace('_', ' ')}: {value}")
    if options.json:
        write_json(Path(options.json), asdict(figures))


def write_repeated(file: Path, sample: Path, count: int) -> None:
    """Write `count` records by repeating those of the sample, no two of them equal."""
    originals = read_json(sample)
    if not isinstance(originals, list) or not originals:
        raise InputError(f"{sample}: expected a list of records")
    with replacing(file) as stream:
        for number in range(count):
            record = dict(originals[number % len(originals)])
            record["question"] = f"{record['question']} (case {number})"
            record["sql"] = record["sql"].replace(" ", white_space(number // len(originals)), 1)
            stream.write(("[\n" if not number else ",\n") + json.dumps(record))
        stream.write("\n]\n")


def white_space(number: int) -> str:
    """White space that differs for each number and means the same in SQL."""
    return "".join(" \t"[int(digit)] for digit in f"{number:b}")


def measure(options: Options, data: Path, output: Path) -> Figures:
    done_before = finished_parts(output) * RECORDS_OF_A_PART
    words = ["python", "scripts/prepare_synsql.py", "--data", str(data), "--output", str(output)]
    words += ["--databases", options.databases, "--workers", str(options.workers)]
    words += ["--tokenizer", options.tokenizer] if options.tokenizer else []
    usage = watch(words, options.kill_after)
    if usage.status > 0:
        raise InputError(f"the program ended with code {usage.status}")
    finished = usage.status == 0
    done = options.records if finished else finished_parts(output) * RECORDS_OF_A_PART
    rate = (done - done_before) / usage.seconds
    return Figures(
        records=options.records,
        done_before=done_before,
        done_now=done - done_before,
        seconds=round(usage.seconds, 1),
        processor_seconds=round(usage.processor_seconds, 1),
        records_per_second=round(rate, 1),
        hours_for_synsql=round(SYNSQL_RECORDS / max(rate, 1e-9) / 3600, 2),
        peak_megabytes=round(usage.peak_megabytes, 1),
        finished=finished,
    )


def watch(words: Sequence[str], kill_after: float) -> Usage:
    """Run a command, and read the memory and time of all its processes twice a second."""
    peak = 0.0
    cpu_seconds: dict[int, float] = {}
    began = time.monotonic()
    with start(words) as process:
        while process.poll() is None:
            family = list(process_tree(process.pid))
            peak = max(peak, sum(map(megabytes, family)))
            cpu_seconds |= {pid: cpu for pid in family if (cpu := processor_seconds(pid))}
            if kill_after and time.monotonic() - began > kill_after:
                process.kill()
                process.wait()
            time.sleep(0.5)
    seconds = time.monotonic() - began
    return Usage(process.returncode, seconds, sum(cpu_seconds.values()), peak)


def finished_parts(output: Path) -> int:
    return len(list(output.with_name(f"{output.name}.parts").glob("[0-9]*.jsonl")))


if __name__ == "__main__":
    run_program(main)
