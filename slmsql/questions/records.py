"""Records (JSON objects) from JSON, JSON Lines, parquet or the Hugging Face hub."""

from collections.abc import Iterator
from pathlib import Path

from slmsql.errors import InputError
from slmsql.files import Record, read_json, read_jsonl

HUB = "hub:"


def read_records(name: str) -> Iterator[Record]:
    """Yield the records of a file, or of a data set on the hub.

    Args:
        name: a path that ends in `.parquet` or `.jsonl`; any other path is read as JSON; or
            `hub:OWNER/NAME` for the split `train`, `hub:OWNER/NAME:SPLIT` for another.

    Raises:
        InputError: the file is malformed, a record is not an object, or the data set cannot be
            read.
    """
    path = Path(name)
    if name.startswith(HUB):
        yield from _from_hub(name.removeprefix(HUB))
    elif path.suffix == ".parquet":
        yield from _from_parquet(path)
    elif path.suffix == ".jsonl":
        yield from read_jsonl(path)
    else:
        yield from _from_json(path)


def _from_json(path: Path) -> Iterator[Record]:
    records = read_json(path)
    if not isinstance(records, list):
        raise InputError(f"{path}: expected a list of records, got {type(records).__name__}")
    for position, record in enumerate(records):
        if not isinstance(record, dict):
            raise InputError(f"{path}, record {position}: expected an object, got {record!r:.80}")
        yield record


def _from_parquet(path: Path) -> Iterator[Record]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        for batch in ParquetFile(path).iter_batches():
            yield from batch.to_pylist()
    except ArrowInvalid as error:
        raise InputError(f"{path}: not a parquet file ({error})") from error


def _from_hub(name: str) -> Iterator[Record]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise InputError(f"hub:{name} needs the package datasets: pip install datasets") from None
    name, _, split = name.partition(":")
    split = split or "train"
    try:
        rows = load_dataset(name, split=split)
    except (OSError, ValueError) as error:  # unknown data set, unreachable hub or unknown split
        reason = " ".join(str(error).split())
        raise InputError(
            f"hub:{name}, split {split!r}, could not be read: {reason:.300}"
        ) from error
    for record in rows:
        yield dict(record)
