"""The rows of a file as a data set of token ids and labels, kept on disk between runs."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sft.encoding import Encoder
from sft.rows import read_rows
from slmsql.errors import InputError
from slmsql.files import Record, file_hash

if TYPE_CHECKING:
    from datasets import Dataset
    from trl import SFTConfig

    from sft.train import Options

log = logging.getLogger(__name__)


def prepare(path: Path, encoder: Encoder, training: "SFTConfig") -> "Dataset":
    """Encode the rows of a file and leave out those over `max_length` tokens.

    The main process does the work; the others read what it kept.

    Raises:
        InputError: no row is short enough.
    """
    with training.main_process_first(desc="encoding"):
        encoded = _encode(path, encoder, training.dataset_num_proc)
        kept = _short(encoded, training.max_length)
    dropped = len(encoded) - len(kept)
    if training.process_index == 0:
        print(f"{path}: {len(kept)} rows, {dropped} dropped with over {training.max_length} tokens")
    if not len(kept):
        raise InputError(
            f"{path}: each of the {dropped} rows has over {training.max_length} tokens; "
            "raise --max_length"
        )
    return kept


def prepare_both(
    options: "Options", encoder: Encoder, training: "SFTConfig"
) -> "tuple[Dataset, Dataset | None]":
    """The examples to train on and those for the eval loss: a file of their own, or held out."""
    examples = prepare(options.data, encoder, training)
    if options.eval_data:
        return examples, prepare(options.eval_data, encoder, training)
    if not options.eval_rows:
        return examples, None
    if options.eval_rows >= len(examples):
        raise InputError(f"--eval_rows {options.eval_rows} leaves none of {len(examples)} rows")
    parts = examples.train_test_split(options.eval_rows, seed=training.seed)
    return parts["train"], parts["test"]


def _encode(path: Path, encoder: Encoder, processes: int | None) -> "Dataset":
    from datasets import Dataset

    rows = Dataset.from_generator(
        _rows, gen_kwargs={"path": str(path), "content": file_hash(path)}
    )  # the hash makes a changed file another data set in the cache
    return rows.map(
        encoder, remove_columns=rows.column_names, num_proc=processes, desc=f"Encoding {path.name}"
    )


def _rows(path: str, content: str) -> Iterator[Record]:
    yield from read_rows(Path(path))


def _short(encoded: "Dataset", longest: int | None) -> "Dataset":
    if longest is None:
        return encoded
    return encoded.filter(
        lambda many: [len(ids) <= longest for ids in many],
        input_columns="input_ids",
        batched=True,
        desc="Dropping rows that are too long",
    )
