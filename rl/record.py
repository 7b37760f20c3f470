"""What a run was made from, written beside its output and checked when it goes on."""

from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from rl.options import Options
from slmsql.errors import InputError
from slmsql.execution import fingerprint
from slmsql.files import Record, file_hash, read_json, write_json

if TYPE_CHECKING:
    from trl import GRPOConfig, ModelConfig

PACKAGES = ("torch", "transformers", "trl", "accelerate", "deepspeed", "peft", "vllm", "slmsql")


def check_databases(file: Path, databases: Iterable[str]) -> None:
    """Refuse to go on with databases that are not those the run began with."""
    if not file.is_file():
        return
    known = read_json(file)["databases"]
    for database in databases:
        if database in known and fingerprint(Path(database)) != known[database]:
            raise InputError(
                f"{database} has changed since this run began; start anew in another --output_dir"
            )


def write_run(
    file: Path, options: Options, training: "GRPOConfig", model: "ModelConfig", rows: list[Record]
) -> None:
    """Write `run.json`: options, versions and hashes of the data."""
    databases = sorted({row["database"] for row in rows})
    write_json(
        file,
        {
            "options": asdict(options),
            "training": training.to_sanitized_dict(),
            "model": {name: str(value) for name, value in vars(model).items() if value is not None},
            "versions": {name: _version(name) for name in PACKAGES},
            "rows": len(rows),
            "train_file": file_hash(Path(options.train_file)),
            "databases": {database: fingerprint(Path(database)) for database in databases},
        },
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
