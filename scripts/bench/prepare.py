"""How fast the think builder is and what memory it takes, on a SynSQL-shaped file of any size.

    python scripts/bench/prepare.py --data SYNSQL/data.json --databases SYNSQL/databases \\
        --folder /tmp/bench --records 1000000

The file is made by repeating real records, each time with another question and with other blanks in
the SQL, so that nothing is a duplicate and no result is remembered from the copy before.
`--kill_after SECONDS` kills the builder in the middle; the next call goes on where it was, and says
how fast it is from there.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from slmsql.cli.config import parse
from slmsql.errors import InputError, run_program
from slmsql.files import read_json, replacing, write_json

WHOLE = 2_544_390  # records of SynSQL-2.5M
PROGRAM = Path(__file__).parents[1] / "prepare_synsql.py"
PART = 1000  # records of a finished part


@dataclass
class Options:
    data: str = field(metadata={"help": "real SynSQL records, any number"})
    databases: str = field(metadata={"help": "folder of <db_id>/<db_id>.sqlite"})
    folder: str = field(metadata={"help": "where the file and the rows go"})
    records: int = field(default=10_000, metadata={"help": "size of the file"})
    tokenizer: str = field(default="", metadata={"help": "as for prepare_synsql"})
    workers: int = field(default=2, metadata={"help": "building processes"})
    kill_after: float = field(default=0, metadata={"help": "seconds; 0: let it finish"})
    json: str = field(default="", metadata={"help": "file for the figures"})


@dataclass(frozen=True, slots=True)
class Figures:
    """One call of the builder."""

    records: int
    done_before: int
    done_now: int
    seconds: float
    processor_seconds: float
    """Of all processes: on a busy machine the fairer measure of speed."""
    records_per_second: float
    hours_for_synsql: float
    peak_megabytes: float
    finished: bool


def main() -> None:
    options = parse(Options, about=__doc__)
    folder = Path(options.folder)
    data = folder / f"data-{options.records}.json"
    output = folder / f"think-{options.records}.jsonl"
    if not data.is_file():
        write_shaped(data, Path(options.data), options.records)
    figures = measure(options, data, output)
    for name, value in asdict(figures).items():
        print(f"{name.replace('_', ' ')}: {value}")
    if options.json:
        write_json(Path(options.json), asdict(figures))


def write_shaped(file: Path, sample: Path, records: int) -> None:
    """Repeat the sample's records, none exactly as before."""
    real = read_json(sample)
    if not isinstance(real, list) or not real:
        raise InputError(f"{sample}: expected a list of records")
    with replacing(file) as stream:
        for number in range(records):
            record = dict(real[number % len(real)])
            record["question"] = f"{record['question']} (case {number})"
            record["sql"] = record["sql"].replace(" ", blanks(number // len(real)), 1)
            stream.write(("[\n" if not number else ",\n") + json.dumps(record))
        stream.write("\n]\n")


def blanks(number: int) -> str:
    """White space that is another for each number, and the same to SQL."""
    return "".join(" \t"[int(digit)] for digit in f"{number:b}")


def measure(options: Options, data: Path, output: Path) -> Figures:
    """Run the builder, watching the memory of all its processes."""
    before = finished_parts(output)
    command = [sys.executable, str(PROGRAM), "--data", str(data), "--output", str(output)]
    command += ["--databases", options.databases, "--workers", str(options.workers)]
    command += ["--tokenizer", options.tokenizer] if options.tokenizer else []
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=PROGRAM.parent.parent)
    peak = 0.0
    used: dict[int, float] = {}
    while process.poll() is None:
        running = list(tree(process.pid))
        peak = max(peak, sum(map(megabytes, running)))
        used |= {one: cpu for one in running if (cpu := processor_seconds(one))}
        if options.kill_after and time.monotonic() - start > options.kill_after:
            process.send_signal(signal.SIGKILL)
            process.wait()
        time.sleep(0.5)
    seconds = time.monotonic() - start
    if process.returncode > 0:
        raise InputError(f"the builder ended with code {process.returncode}")
    is_whole = process.returncode == 0
    done = (options.records if is_whole else finished_parts(output) * PART) - before * PART
    rate = done / seconds
    return Figures(
        records=options.records,
        done_before=before * PART,
        done_now=done,
        seconds=round(seconds, 1),
        processor_seconds=round(sum(used.values()), 1),
        records_per_second=round(rate, 1),
        hours_for_synsql=round(WHOLE / max(rate, 1e-9) / 3600, 2),
        peak_megabytes=round(peak, 1),
        finished=is_whole,
    )


def finished_parts(output: Path) -> int:
    return len(list(output.with_name(f"{output.name}.parts").glob("[0-9]*.jsonl")))


def tree(process: int) -> Iterator[int]:
    """A process and all below it, whichever of its threads started them."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        for child in found:
            yield from tree(int(child))


def megabytes(process: int) -> float:
    """Memory of a process, what it shares counted in proportion."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def processor_seconds(process: int) -> float:
    """Processor time of a process so far."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    run_program(main)
