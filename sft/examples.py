"""The rows of a file as a data set of token ids and labels, kept on disk between runs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sft.encoding import Encoder
from sft.options import Options
from slmsql.errors import InputError
from slmsql.files import Record, file_hash
from slmsql.training.rows import read_sft_rows

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import SFTConfig

ROWS_PER_PROCESS = 2_000  # fewer are encoded sooner than a further process starts


def prepare(path: Path, encoder: Encoder, training: "SFTConfig") -> "Dataset":
    """Encode the rows of a file and leave out those over `max_length` tokens.

    The main process encodes, on all cores unless `--dataset_num_proc` says otherwise; the others
    read its cached result.

    Raises:
        InputError: no row is short enough.
    """
    with training.main_process_first(desc="encoding"):
        encoded = _encode(path, encoder, training.dataset_num_proc)
        examples = _within(training.max_length, encoded, training.dataset_num_proc)
    dropped = len(encoded) - len(examples)
    if training.process_index == 0:
        print(
            f"{path}: {len(examples)} rows, "
            f"{dropped} dropped with over {training.max_length} tokens"
        )
    if not len(examples):
        raise InputError(
            f"{path}: each of the {dropped} rows has over {training.max_length} tokens; "
            "raise --max_length"
        )
    return examples


def prepare_both(
    options: Options, encoder: Encoder, training: "SFTConfig"
) -> "tuple[Dataset, Dataset | None]":
    """The examples to train on, and those for the eval loss: from --eval_data, or held out."""
    examples = prepare(options.data, encoder, training)
    if options.eval_data:
        return examples, prepare(options.eval_data, encoder, training)
    if not options.eval_rows:
        return examples, None
    if options.eval_rows >= len(examples):
        raise InputError(f"--eval_rows {options.eval_rows} leaves none of {len(examples)} rows")
    parts = examples.train_test_split(options.eval_rows, seed=training.seed)
    return parts["train"], parts["test"]


def encoding_processes(rows: int, wanted: int | None) -> int | None:
    """How many processes encode some rows; None for this one alone."""
    processes = wanted or min(len(os.sched_getaffinity(0)), rows // ROWS_PER_PROCESS)
    return processes if processes > 1 else None


def _encode(path: Path, encoder: Encoder, processes: int | None) -> "Dataset":
    from datasets import Dataset

    rows = Dataset.from_generator(
        _rows, gen_kwargs={"path": str(path), "content": file_hash(path)}
    )  # the hash in the arguments makes a changed file another entry of the cache
    return rows.map(
        encoder,
        remove_columns=rows.column_names,
        num_proc=encoding_processes(len(rows), processes),
        desc=f"Encoding {path.name}",
    )


def _rows(path: str, content: str) -> Iterator[Record]:
    yield from read_sft_rows(Path(path))


def _within(limit: int | None, encoded: "Dataset", processes: int | None) -> "Dataset":
    if limit is None:
        return encoded
    return encoded.filter(
        lambda batch: [len(ids) <= limit for ids in batch],
        input_columns="input_ids",
        batched=True,
        num_proc=encoding_processes(len(encoded), processes),
        desc="Dropping rows that are too long",
    )
